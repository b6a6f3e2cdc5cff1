//! The cell: 128 bytes of type-stable memory that an actor lives in.
//!
//! ```text
//!  line 0, what senders touch         line 1, what the owner touches
//!  link      8  run-queue link        signals   8  pushed by others, rarely
//!  inbox    16  word, taken, bound    fifo      8  taken messages in order
//!  generation 4 / place 4             current   8  the message being handled
//!  runtime   8                        frame     8  a suspended async handler
//!  vtable    8                        state     8
//!  parent    8                        extra     8  what few actors need
//!  waiting_on 8                       siblings 16  written by the parent's owner; phase, quiet, flags
//! ```
//!
//! Two lines, not the one of the first sketch: the owner looks at the signal lane and the state for
//! every message, and on the senders' line each look would fetch the line back from the producer's
//! core (docs/decisions/0003). The owner touches line 0 once per batch.
//!
//! # Invariants
//!
//! - H1 (type-stable): a cell's memory is a `CellHeader` for ever, from the first time it is cut; zero
//!   bytes are a valid, never-used header. So every `CellRef` may be followed at any time.
//! - H2 (owner): line 1 but for `signals`, `quiet` and the sibling links belongs to the owner of the cell
//!   (`inbox` B1). `vtable` and `parent` are written only between `claim` and the first schedule, by
//!   the owner.
//! - H3 (links): `prev` and `next` belong to the owner of the *parent*; the child leaves them alone and
//!   its cell is not freed before the parent has unlinked it.
//! - H4 (generation): changes only by the owner: up by one when the actor terminates. A generation that
//!   differs from a reference's means: that actor is gone.
//! - H5 (seen from outside): the census (`cell::census`) reads the atomics of any cell at any time and
//!   marks `quiet`; all of it is evidence for people, nothing is decided by it.

mod place;

pub(super) use place::mark_of_home;

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::crossing;
use super::extra::Extra;
use super::frame::Frame;
use super::marks;
use super::runtime::Runtime;
use super::signal::Signal;
use super::vtable::ActorVtable;
use crate::id::ActorId;
use crate::mailbox::inbox::Inbox;
use crate::mailbox::lane::{Lane, Taken};
use crate::mailbox::node::Node;
use crate::mailbox::quiet::Quiet;
use crate::memory::{self, CELL_SIZE};
use crate::scheduler::{Hint, Link, Task};
use crate::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

#[repr(C, align(128))]
pub(crate) struct CellHeader {
    link: Link,
    pub(super) inbox: Inbox,
    generation: AtomicU32,
    /// Arena of the cell | NUMA index of the actor's home << 8 | sender flags << 16 | arena of the home << 24.
    place: AtomicU32,
    runtime: AtomicPtr<Runtime>,
    vtable: AtomicPtr<ActorVtable>,
    /// Null: the root.
    parent: AtomicPtr<Self>,
    /// The actor this one's handler waits for in an ask; 0 = none.
    waiting_on: AtomicU64,

    signals: Lane<Signal>,
    pub(super) owned: UnsafeCell<Owned>,
}

const _: () = assert!(size_of::<CellHeader>() == CELL_SIZE);

/// What the owner alone touches (H2; the sibling links: H3).
#[derive(Debug)]
#[repr(C)]
pub(super) struct Owned {
    pub(super) fifo: *mut Node,
    pub(super) current: *mut Node,
    pub(super) frame: *mut Frame,
    pub(super) state: *mut u8,
    pub(super) extra: *mut Extra,
    pub(super) prev: Sibling,
    pub(super) next: Sibling,
    pub(super) phase: Phase,
    /// When the census last found that nothing had been handled since it looked before; see there.
    pub(super) quiet: Quiet,
    pub(super) flags: Flags,
}

/// A sibling in five bytes.
#[derive(Clone, Copy, Debug)]
#[repr(C, packed)]
pub(super) struct Sibling {
    index: u32,
    arena: u8,
}

/// Where an actor is in its life. Zero is a cell nobody lives in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nobody lives here: what arrives is a dead letter.
    Dead = 0,
    /// The state is to be built, or was given, and `started` has not run.
    Starting,
    /// Handles messages.
    Running,
    /// Waits for its children to stop, then goes on to what `Flags` say.
    StoppingChildren,
    /// Runs its `stopped` hook.
    Stopping,
    /// Failed or ended; waits for its supervisor's word.
    Down,
    /// Will start again at the time in `Extra::restart_at`.
    BackingOff,
    /// No actor: the turn of a batch lane between two NUMA nodes (`crossing`).
    Lane,
}

/// The supervisor's rule for a child that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RestartPolicy {
    Temporary = 0,
    Transient,
    Permanent,
}

/// What the owner has to remember between messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Flags(u32);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    /// Stop after the current message.
    pub(super) const STOP: Self = Self(1);
    /// Stop once the mailbox is empty and the children are gone.
    pub(super) const DRAIN: Self = Self(1 << 1);
    /// Stop now; a suspended handler is cut off.
    pub(super) const KILL: Self = Self(1 << 2);
    /// The state block holds a live value.
    pub(super) const STATE: Self = Self(1 << 3);
    /// The end of the current life is a failure or a normal end to be restarted, not the last.
    pub(super) const RESTARTING: Self = Self(1 << 4);
    /// The owner knows of senders that wait for room (inbox B3).
    pub(super) const WAITERS: Self = Self(1 << 5);
    /// Overflow policy is to drop the oldest.
    pub(super) const DROP_OLDEST: Self = Self(1 << 6);
    /// `stopped` is not run for this life: it failed, or never started.
    pub(super) const NO_STOPPED_HOOK: Self = Self(1 << 7);
    /// The actor is its system's root.
    pub(super) const ROOT: Self = Self(1 << 8);
    /// Is to move, or has moved and left its state behind.
    pub(super) const MOVE: Self = Self(1 << 9);
    /// The restart policy, in two bits.
    const RESTART_SHIFT: u32 = 14;
    /// The parent waits for the first start; see `sequence`.
    pub(super) const REPORT_START: Self = Self(1 << 13);
    /// A panic in a handler costs the message, not the life.
    pub(super) const RESUME: Self = Self(1 << 10);
    /// Stopped to be started again with its siblings, whatever the reason of its end.
    pub(super) const RECYCLE: Self = Self(1 << 11);
    /// Its time to stop is over: what awaits is cut off, the children keep their own times.
    pub(super) const CUT: Self = Self(1 << 12);
    /// Messages that were put aside are to be given back (stash).
    pub(super) const UNSTASH: Self = Self(1 << 30);
    /// The step of [`publishing`](Self::publishing), in bits 16 to 26; 27 to 31 are flags again.
    const STEP_SHIFT: u32 = 16;
    const STEP: u32 = (1 << 11) - 1;
    /// The actor is elsewhere: what comes is forwarded.
    pub(super) const PROXY: Self = Self(1 << 27);
    /// The handler that waits is measured (`stamps`).
    pub(super) const TIMED: Self = Self(1 << 28);
    /// The turn is to end: it sends more than others can handle.
    pub(super) const GIVE_WAY: Self = Self(1 << 31);
    /// What ends a life.
    pub(super) const URGENT: Self = Self(Self::STOP.0 | Self::DRAIN.0 | Self::KILL.0);
    /// What the hot loop must not pass by, and what keeps a cell from going idle.
    pub(super) const UNUSUAL: Self =
        Self(Self::URGENT.0 | Self::MOVE.0 | Self::UNSTASH.0 | Self::GIVE_WAY.0 | Self::PROXY.0);

    /// No flag, and the step at which room is published to senders in the upper half: a
    /// thirty-second of the capacity, because a store per message would take their line away once per
    /// message. Kept here so that the owner need not read it from their line either.
    const fn publishing(capacity: u32) -> Self {
        let step = if capacity == 0 {
            0
        } else if capacity < 32 {
            1
        } else {
            capacity / 32
        };
        assert!(step <= Self::STEP, "the step of the largest capacity fits");
        Self(step << Self::STEP_SHIFT)
    }

    /// With a restart policy: it changes only at birth.
    const fn restarting(self, policy: RestartPolicy) -> Self {
        Self(self.0 | (policy as u32) << Self::RESTART_SHIFT)
    }

    /// Whether the actor is to be restarted when it ends.
    pub(super) const fn restart(self) -> RestartPolicy {
        match self.0 >> Self::RESTART_SHIFT & 3 {
            0 => RestartPolicy::Temporary,
            1 => RestartPolicy::Transient,
            _ => RestartPolicy::Permanent,
        }
    }

    /// Whether the mailbox has a bound.
    #[inline(always)]
    pub(super) const fn is_bounded(self) -> bool {
        self.0 >> Self::STEP_SHIFT & Self::STEP != 0
    }

    /// Whether senders are to be shown that `left` messages are left.
    #[inline(always)]
    pub(super) const fn is_publishing(self, left: u32) -> bool {
        let step = self.0 >> Self::STEP_SHIFT & Self::STEP;
        step != 0 && left.is_multiple_of(step)
    }

    #[inline(always)]
    pub(super) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    pub(super) const fn bits(self) -> u32 {
        self.0
    }

    pub(super) const fn any(bits: u32) -> Self {
        Self(bits)
    }

    pub(super) fn set(&mut self, flag: Self) {
        self.0 |= flag.0;
    }

    pub(super) fn clear(&mut self, flag: Self) {
        self.0 &= !flag.0;
    }
}

/// A cell's address. `Copy`; may be followed at any time (H1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct CellRef(NonNull<CellHeader>);

// SAFETY: a CellRef only gives access to the header's atomics; `owned` is guarded by the single-runner
// invariant (inbox B1), which holds across threads.
unsafe impl Send for CellRef {}
// SAFETY: as above.
unsafe impl Sync for CellRef {}

/// Sender flag: full means drop the new message.
const DROP_NEWEST: u32 = 1 << 16;
/// Sender flag: `send` does not wait for room.
const NO_WAIT: u32 = 1 << 17;
/// The actor that lived here has ended; set before the generation moves on.
const ENDED: u32 = 1 << 20;
/// What `place >> 8` says of the route.
const ROUTE: usize = 0xff | marks::DEDICATED as usize >> 8;

impl CellRef {
    /// The cell of an id.
    #[inline(always)]
    pub(crate) fn of(id: ActorId) -> Self {
        let address = memory::cell_address(id.numa_node().0, id.index());
        debug_assert!(!address.is_null(), "{id} names no cell");
        // SAFETY: H1: ids are made only for cells that exist.
        Self(unsafe { NonNull::new_unchecked(address.cast()) })
    }

    pub(crate) const fn from_raw(cell: NonNull<u8>) -> Self {
        Self(cell.cast())
    }

    pub(crate) const fn as_raw(self) -> NonNull<u8> {
        self.0.cast()
    }

    /// The cell of a scheduled task.
    pub(crate) fn from_task(task: Task) -> Self {
        // SAFETY: tasks are made of links, which are never null.
        Self(unsafe { NonNull::new_unchecked(task.as_ptr().cast()) })
    }

    pub(super) fn task(self) -> Task {
        // The link is the header's first field.
        // SAFETY: H1: the link is valid for ever; B1: whoever schedules the cell owns it, so one copy of
        // its task is in a queue at most.
        unsafe { Task::from_raw(self.0.cast()) }
    }

    #[inline(always)]
    fn header(&self) -> &CellHeader {
        // SAFETY: H1.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn inbox(&self) -> &Inbox {
        &self.header().inbox
    }

    /// The owner's fields.
    #[inline(always)]
    pub(super) fn owned(self) -> *mut Owned {
        self.header().owned.get()
    }

    #[inline(always)]
    pub(crate) fn generation(self) -> u32 {
        // Acquire: with the Release of `next_generation`; whoever sees the new generation sees the end.
        self.header().generation.load(Ordering::Acquire)
    }

    /// Ends the actor's identity: from here on its references are refused. `false`: the cell's
    /// generations are used up and it must never be lived in again.
    pub(super) fn next_generation(self) -> bool {
        let header = self.header();
        // Relaxed: published by the Release below, see `living_id`. Others mark the word too.
        header.place.fetch_or(ENDED, Ordering::Relaxed);
        let next = self.generation() + 1;
        header.generation.store(next, Ordering::Release);
        next < (1 << ActorId::GENERATION_BITS) - 1
    }

    pub(crate) fn id(self) -> ActorId {
        self.id_of(self.generation())
    }

    /// The identity that the cell's actor of that generation has or had.
    pub(super) fn id_of(self, generation: u32) -> ActorId {
        let place = self.header().place.load(Ordering::Relaxed);
        let arena = place as u8;
        if generation == 0 {
            // Nobody's: a batch lane, which lies elsewhere.
            return ActorId::new(arena, 0, 0);
        }
        let base = memory::cell_address(arena, 0) as usize;
        let index = (self.0.as_ptr() as usize - base) / CELL_SIZE;
        ActorId::new(arena, index as u32, generation)
    }

    #[inline(always)]
    pub(crate) fn runtime(self) -> &'static Runtime {
        // Acquire: with the Release in `occupy`.
        let runtime = self.header().runtime.load(Ordering::Acquire);
        // SAFETY: ids are handed out after `occupy`, which sets this, and runtimes are never freed.
        unsafe { &*runtime }
    }

    #[inline(always)]
    pub(crate) fn numa_index(self) -> usize {
        if memory::ONE_HOME {
            return 0;
        }
        usize::from((self.header().place.load(Ordering::Relaxed) >> 8) as u8)
    }

    /// The way to those who run it: its NUMA index, and whether it has a thread of its own (`dedicated`).
    #[inline(always)]
    pub(super) fn route(self) -> usize {
        if memory::ONE_HOME {
            return 0;
        }
        (self.header().place.load(Ordering::Relaxed) >> 8) as usize & ROUTE
    }

    /// The arena of the actor's home.
    #[inline(always)]
    pub(crate) fn arena(self) -> u8 {
        if memory::ONE_HOME {
            return 0;
        }
        (self.header().place.load(Ordering::Relaxed) >> 24) as u8
    }

    pub(super) fn vtable(self) -> &'static ActorVtable {
        // Relaxed: read by the owner only, who has edge B of the inbox.
        let vtable = self.header().vtable.load(Ordering::Relaxed);
        // SAFETY: H2: set in `occupy` from a &'static, and the caller owns an occupied cell.
        unsafe { &*vtable }
    }

    /// The Rust type of the actor of that generation, if it lives: for reports, from any thread.
    pub(crate) fn type_name_of(self, generation: u32) -> Option<&'static str> {
        self.vtable_of(generation)
            .map(|vtable| (vtable.type_name)())
    }

    /// What is known of the type of the actor of that generation, if it lives: from any thread.
    pub(super) fn vtable_of(self, generation: u32) -> Option<&'static ActorVtable> {
        if self.generation() != generation {
            return None;
        }
        // Relaxed: whoever has an id has it by an edge from `occupy` (the spawn's return, a message), and
        // vtables are static.
        let vtable = self.header().vtable.load(Ordering::Relaxed);
        // SAFETY: H2: null, or from a &'static.
        let vtable = unsafe { vtable.as_ref() };
        // The cell may have been moved into meanwhile; then the vtable is another's.
        vtable.filter(|_| self.generation() == generation)
    }

    /// The state block of the actor that lives here.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    #[inline(always)]
    pub(crate) unsafe fn state(self) -> *mut u8 {
        // SAFETY: H2, by the caller.
        unsafe { (*self.owned()).state }
    }

    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn parent(self) -> Option<Self> {
        self.parent_now()
    }

    /// The parent as it shows from any thread.
    pub(super) fn parent_now(self) -> Option<Self> {
        // Relaxed: for the owner by edge B; for others it is evidence (H5).
        NonNull::new(self.header().parent.load(Ordering::Relaxed)).map(Self)
    }

    /// The type as it shows from any thread: nothing for a cell that nobody has lived in.
    pub(super) fn vtable_now(self) -> Option<&'static ActorVtable> {
        // Relaxed: evidence (H5), and vtables are static.
        let vtable = self.header().vtable.load(Ordering::Relaxed);
        // SAFETY: H2: null, or from a &'static.
        unsafe { vtable.as_ref() }
    }

    /// Whether the cell's last tenant was of that system.
    pub(super) fn is_of(self, runtime: &'static Runtime) -> bool {
        // Relaxed: compared, not followed.
        std::ptr::eq(self.header().runtime.load(Ordering::Relaxed), runtime)
    }

    /// The mark of the census.
    #[inline(always)]
    pub(super) fn quiet(&self) -> &Quiet {
        // SAFETY: H1; a field that is only ever touched as an atomic.
        unsafe { &(*self.header().owned.get()).quiet }
    }

    /// Sets or clears a mark; see `marks`.
    pub(super) fn mark(self, mark: u32, set: bool) {
        // Relaxed: evidence (H5). The rest of the word is written before anybody knows the cell.
        let place = &self.header().place;
        if set {
            place.fetch_or(mark, Ordering::Relaxed);
        } else {
            place.fetch_and(!mark, Ordering::Relaxed);
        }
    }

    pub(super) fn has_mark(self, mark: u32) -> bool {
        // Relaxed: evidence (H5).
        self.header().place.load(Ordering::Relaxed) & mark != 0
    }

    /// Whether the actor of that generation lives here and is `parent`'s child. Exact for the owner of
    /// `parent`: the cell of a child is not moved into before the parent has unlinked it (H3).
    pub(super) fn is_child_of(self, parent: Self, generation: u32) -> bool {
        // Acquire, in `generation`: with the Release in `next_generation`.
        self.generation() == generation
            && self.header().parent.load(Ordering::Relaxed) == parent.0.as_ptr()
    }

    /// The identity of a child, as its parent's owner sees it; `None` once it has ended, also before the
    /// parent was told.
    pub(super) fn living_id(self) -> Option<ActorId> {
        let generation = self.generation();
        // Relaxed: ENDED is set before the Release of the generation that was read by an Acquire. Seen
        // too early it says of an actor in its last moment that it is gone.
        let ended = self.header().place.load(Ordering::Relaxed) & ENDED != 0;
        (!ended).then(|| self.id_of(generation))
    }

    pub(crate) fn drops_newest(self) -> bool {
        self.header().place.load(Ordering::Relaxed) & DROP_NEWEST != 0
    }

    pub(crate) fn waits_for_room(self) -> bool {
        self.header().place.load(Ordering::Relaxed) & NO_WAIT == 0
    }

    /// Makes a claimed cell an actor's home. The caller owns the cell (claimed it) and schedules it next.
    ///
    /// # Safety
    ///
    /// The caller claimed the cell.
    pub(super) unsafe fn occupy(
        self,
        home: &Home,
        runtime: &'static Runtime,
        vtable: &'static ActorVtable,
        parent: Option<Self>,
        owned: Owned,
    ) {
        let header = self.header();
        if header.generation.load(Ordering::Relaxed) == 0 {
            header.generation.store(1, Ordering::Relaxed);
        }
        let flags =
            if home.drop_newest { DROP_NEWEST } else { 0 } | if home.no_wait { NO_WAIT } else { 0 };
        let flags = flags | if home.dedicated { marks::DEDICATED } else { 0 };
        let arena = u32::from(home.arena);
        let place = arena | u32::from(home.numa_index) << 8 | flags | arena << 24;
        header.place.store(place, Ordering::Relaxed);
        // Release: `runtime` follows this from any thread that has an id.
        header
            .runtime
            .store(std::ptr::from_ref(runtime).cast_mut(), Ordering::Release);
        header
            .vtable
            .store(std::ptr::from_ref(vtable).cast_mut(), Ordering::Relaxed);
        header.waiting_on.store(0, Ordering::Relaxed);
        // Relaxed: read by the owner, by edge B of the inbox, and by the census.
        header.parent.store(
            parent.map_or(std::ptr::null_mut(), |parent| parent.0.as_ptr()),
            Ordering::Relaxed,
        );
        // SAFETY: H2: the caller owns the cell; the old values need no drop (plain pointers).
        unsafe {
            Owned::lay_down(owned, self.owned());
        }
        // Last: who sees life sees whose.
        self.quiet().occupy();
    }

    /// Whether a signal waits. One load from the owner's line.
    #[inline(always)]
    pub(super) fn has_signals(self) -> bool {
        !self.header().signals.is_empty()
    }

    /// Pushes a signal and makes sure that the cell's owner, if need be a new one, looks at it.
    pub(super) fn signal(self, signal: Box<Signal>) {
        // What the sender has told it before is not overtaken.
        crossing::settle_towards(self);
        self.header().signals.push(signal);
        if self.inbox().notify() {
            self.schedule(Hint::Next);
        }
    }

    /// All signals, in the order they came.
    pub(super) fn take_signals(self) -> Taken<Signal> {
        self.header().signals.take()
    }

    /// Hands the cell to a worker of its home. The caller owns it (its push or notify said so).
    #[inline(always)]
    pub(crate) fn schedule(self, hint: Hint) {
        self.runtime().schedule(self.task(), self.route(), hint);
    }

    /// Wakes a suspended handler.
    pub(crate) fn wake(self) {
        if self.inbox().wake() {
            self.schedule(Hint::Next);
        }
    }

    /// A waker for the handler that runs here. Free to clone: it holds no count, see `inbox::wake`.
    pub(crate) fn waker(self) -> Waker {
        // SAFETY: the vtable's functions uphold RawWaker's contract for any cell address (H1).
        unsafe { Waker::from_raw(RawWaker::new(self.0.as_ptr().cast_const().cast(), &WAKER)) }
    }

    /// The cell behind a waker, if it is one of ours.
    pub(crate) fn of_waker(waker: &Waker) -> Option<Self> {
        if !std::ptr::eq(waker.vtable(), &raw const WAKER) {
            return None;
        }
        NonNull::new(waker.data().cast::<CellHeader>().cast_mut()).map(Self)
    }

    pub(crate) fn waiting_on(&self) -> &AtomicU64 {
        &self.header().waiting_on
    }
}

static WAKER: RawWakerVTable =
    RawWakerVTable::new(|cell| RawWaker::new(cell, &WAKER), wake, wake, |_| ());

fn wake(cell: *const ()) {
    if let Some(cell) = NonNull::new(cell.cast::<CellHeader>().cast_mut()) {
        CellRef(cell).wake();
    }
}

/// Where a new actor goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Home {
    pub(super) arena: u8,
    pub(super) numa_index: u8,
    pub(super) drop_newest: bool,
    pub(super) no_wait: bool,
    pub(super) dedicated: bool,
}

impl Sibling {
    pub(super) const NONE: Self = Self {
        index: u32::MAX,
        arena: 0,
    };

    pub(super) fn of(cell: CellRef) -> Self {
        let id = cell.id();
        Self {
            index: id.index(),
            arena: id.numa_node().0,
        }
    }

    /// In both links of a child that its parent has given up waiting for.
    pub(super) const ABANDONED: Self = Self {
        index: u32::MAX - 1,
        arena: 0,
    };

    pub(super) fn is_abandoned(self) -> bool {
        self.index == Self::ABANDONED.index
    }

    pub(super) fn cell(self) -> Option<CellRef> {
        debug_assert!(!self.is_abandoned(), "an abandoned child has no siblings");
        if self.index == u32::MAX {
            return None;
        }
        Some(CellRef::of(ActorId::new(self.arena, self.index, 0)))
    }
}

impl Owned {
    pub(super) fn new(state: *mut u8, restart: RestartPolicy, capacity: u32) -> Self {
        Self {
            fifo: std::ptr::null_mut(),
            current: std::ptr::null_mut(),
            frame: std::ptr::null_mut(),
            state,
            extra: std::ptr::null_mut(),
            prev: Sibling::NONE,
            next: Sibling::NONE,
            phase: Phase::Starting,
            quiet: Quiet::vacant(),
            flags: Flags::publishing(capacity).restarting(restart),
        }
    }

    /// Writes all of it but `quiet`, which is not the owner's alone (H2) and is never written as plain
    /// memory.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, and what lay there needs no drop.
    unsafe fn lay_down(self, at: *mut Self) {
        let Self {
            fifo,
            current,
            frame,
            state,
            extra,
            prev,
            next,
            phase,
            quiet: _,
            flags,
        } = self;
        // SAFETY: by the caller.
        unsafe {
            (*at).fifo = fifo;
            (*at).current = current;
            (*at).frame = frame;
            (*at).state = state;
            (*at).extra = extra;
            (*at).prev = prev;
            (*at).next = next;
            (*at).phase = phase;
            (*at).flags = flags;
        }
    }
}

#[cfg(all(test, not(actor_loom)))]
#[path = "header_tests.rs"]
mod tests;

//! The inbox: one 64-bit word that answers "push", "full?", "must I schedule?" and "may I sleep?".
//!
//! ```text
//!  63        48 47                          6 5       0
//!  |  count    |  address of newest node >> 6 |  tags   |
//! ```
//!
//! Senders push nodes as a stack by CAS; the owner takes all at once and turns them round into its
//! private FIFO. Because the state lives in the same word as the messages, no wake-up can be lost
//! between two words. After CAF's `lifo_inbox`; against Vyukov's queue it needs no stub node (an idle
//! actor owns no memory, a cold one costs one cache miss less) and hides no message behind a stalled
//! producer. Figures: docs/decisions/0001.
//!
//! ```text
//!            push / notify (pusher schedules)                 notify / wake (schedules)
//!   IDLE ------------------------------------> (no tag) <--------------------------- AWAIT
//!     ^            finish: CAS 0 -> IDLE       scheduled      suspend: CAS | AWAIT     ^
//!     +--------------------------------------- or running ----------------------------+
//!                                              |     ^
//!                                              +-----+ notify: | NOTIFY
//! ```
//!
//! # Invariants
//!
//! - B1 (single runner): whoever's CAS removes IDLE or AWAIT owns the cell until it is scheduled, then
//!   the worker that runs it, until `finish` or `suspend` succeeds. Owner-only methods are `unsafe`.
//! - B2: `taken` is written only by the owner and only lowered when room was really made.
//! - B3: while WAITERS is set or the owner knows of waiters, the owner does not go idle without
//!   either waking them or leaving WAITERS in the word.
//!
//! # Edges
//!
//! - A: push's CAS (Release) with the owner's take, close or load (Acquire): the node's contents.
//! - B: `finish`/`suspend` CAS (Release) with the next CAS that removes IDLE/AWAIT (Acquire): all the
//!   owner wrote, for the next owner.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::node::Node;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};

const IDLE: u64 = 1;
const NOTIFY: u64 = 1 << 1;
const AWAIT: u64 = 1 << 2;
const WAITERS: u64 = 1 << 3;
const TAGS: u64 = (1 << 6) - 1;
const COUNT_SHIFT: u32 = 48;
const COUNT_ONE: u64 = 1 << COUNT_SHIFT;
const ADDRESS: u64 = (COUNT_ONE - 1) & !TAGS;

/// Untaken messages behind which a sender is told to let the owner work: far above what a default
/// mailbox holds, far below what the count can say.
const CROWD: u64 = 4096;

/// The largest capacity a mailbox can have: the count has 16 bits and saturates.
pub(crate) const CAPACITY_MAX: u32 = 60_000;

/// The senders' half of a mailbox.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Inbox<P = Sound> {
    word: AtomicU64,
    /// How many messages the owner has taken and not handled yet, as last published.
    taken: AtomicU32,
    /// 0 = unbounded.
    capacity: AtomicU32,
    protocol: PhantomData<fn() -> P>,
}

/// The steps on which the protocol stands, so that models can weaken one and must fail.
pub(crate) trait Protocol {
    /// Edge A, the sender's half.
    const PUSH: Ordering = Ordering::AcqRel;
    /// Edge B, the half of the owner that leaves.
    const LEAVE: Ordering = Ordering::Release;
    /// A sender's look at the word before its look at `taken`: a word that shows a batch gone is seen
    /// together with the batch's size.
    const LOOK: Ordering = Ordering::Acquire;
    /// The size of a batch is published before the CAS that takes it.
    const TAKEN_FIRST: bool = true;
    /// Going idle and claiming are one step each, not a look and a store.
    const ONE_STEP: bool = true;
    /// A notification on the word keeps the owner from suspending itself.
    const SUSPEND_LOOKS: bool = true;
    /// A waiter leaves word only in the very word that showed the mailbox full.
    const ANNOUNCE_IN_PLACE: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

/// What a push did.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Pushed {
    /// The cell is scheduled, running or suspended already.
    Queued,
    /// As `Queued`, behind very many others: the pusher should let the owner work.
    Crowded,
    /// The cell was idle: the pusher owns it now and must schedule it.
    Schedule,
    /// No room; the node is still the caller's.
    Full,
}

/// What a take found.
#[derive(Debug)]
pub(crate) struct Taken {
    /// The oldest message; the rest hang on `next` in the order they were sent.
    pub(crate) first: *mut Node,
    pub(crate) count: u32,
    /// A signal or wake-up came: look at the signal lane and the suspended frame.
    #[cfg_attr(
        not(any(test, actor_loom)),
        expect(
            dead_code,
            reason = "the owner looks at the lane itself; the models ask"
        )
    )]
    pub(crate) notified: bool,
    /// Senders wait for room.
    pub(crate) waiters: bool,
}

/// What an actor is at, for reports.
#[cfg(not(actor_loom))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Nothing waits, nothing runs.
    Idle,
    /// A handler is suspended, or messages wait for a new life.
    Suspended { waiting: u32 },
    /// Scheduled or running.
    Busy { waiting: u32 },
}

/// What the owner sees when it looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing at all: `finish` may succeed.
    Empty,
    /// Exactly one message and no tag: it may be handled in place.
    One(NonNull<Node>, Stamp),
    /// Something to take or to see to.
    More,
}

/// The word as it was seen, for [`Inbox::close_after`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

impl<P: Protocol> Inbox<P> {
    /// An idle inbox: of a cell that nobody runs.
    #[cfg(any(test, actor_loom))]
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            word: AtomicU64::new(IDLE),
            taken: AtomicU32::new(0),
            capacity: AtomicU32::new(capacity),
            protocol: PhantomData,
        }
    }

    /// For a spawner: takes an idle, dead cell. Fails while a stale push has it scheduled.
    pub(crate) fn claim(&self, capacity: u32) -> bool {
        // Acquire: edge B with the last owner's `finish`.
        if !self.replace(IDLE, 0, Ordering::Acquire) {
            return false;
        }
        self.set_bound(capacity);
        true
    }

    /// As `claim`, for a cell whose bytes are still zero: no word of its own yet, nobody in it.
    ///
    /// # Safety
    ///
    /// Nobody else has heard of the cell.
    #[cfg(not(actor_loom))]
    pub(crate) unsafe fn claim_fresh(&self, capacity: u32) {
        // Zero is "no tag, nothing waits": scheduled, which is what a claimed cell is.
        debug_assert_eq!(
            self.word.load(Ordering::Relaxed),
            0,
            "a fresh cell has been used"
        );
        self.set_bound(capacity);
    }

    fn set_bound(&self, capacity: u32) {
        // Relaxed: a stale sender may read the old or the new bound; either only decides on a refusal.
        self.taken.store(0, Ordering::Relaxed);
        self.capacity.store(capacity, Ordering::Relaxed);
    }

    /// Pushes a user message, within the bound.
    ///
    /// # Safety
    ///
    /// The caller owns `node` (N1) and gives it up unless the answer is `Full`.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, node: NonNull<Node>) -> Pushed {
        // Relaxed: a bound that changes only at spawn; a stale value decides only on a refusal.
        let capacity = self.capacity.load(Ordering::Relaxed);
        // SAFETY: the caller's contract.
        unsafe { self.push_within(node, capacity, || {}) }
    }

    /// As `push`, and says how often another sender was faster: each time the line has been away.
    ///
    /// # Safety
    ///
    /// As for [`Inbox::push`].
    #[cfg(not(actor_loom))]
    pub(crate) unsafe fn push_counting(&self, node: NonNull<Node>) -> (Pushed, u32) {
        let capacity = self.capacity.load(Ordering::Relaxed);
        let mut lost = 0;
        // SAFETY: the caller's contract.
        let pushed = unsafe { self.push_within(node, capacity, || lost += 1) };
        (pushed, lost)
    }

    /// Pushes `count` user messages whatever the bound: those who accepted them have looked at it (`cell::crossing`).
    ///
    /// # Safety
    ///
    /// The caller owns the nodes (N1), which are linked by `next` from the newest to the oldest, and gives
    /// them up.
    pub(crate) unsafe fn push_chain(
        &self,
        newest: NonNull<Node>,
        oldest: NonNull<Node>,
        count: u32,
    ) -> Pushed {
        let address = newest.as_ptr().expose_provenance() as u64;
        // Acquire: as in `push_within`.
        let mut seen = self.word.load(P::LOOK);
        loop {
            let below = std::ptr::with_exposed_provenance_mut((seen & ADDRESS) as usize);
            // SAFETY: N1: still ours until the CAS succeeds.
            unsafe { Node::set_next(oldest, below) };
            let count = ((seen >> COUNT_SHIFT) + u64::from(count)).min(0xffff);
            let new = count << COUNT_SHIFT | address | seen & TAGS & !IDLE;
            // AcqRel: as in `push_within`.
            match self.word.compare_exchange_weak(seen, new, P::PUSH, P::LOOK) {
                Ok(_) if seen & IDLE != 0 => return Pushed::Schedule,
                Ok(_) => return Pushed::Queued,
                Err(now) => seen = now,
            }
        }
    }

    /// Whether nobody runs or will run the cell: its next message has to call somebody.
    #[cfg(not(actor_loom))]
    pub(crate) fn is_idle(&self) -> bool {
        // Relaxed: a hint.
        self.word.load(Ordering::Relaxed) & IDLE != 0
    }

    /// Whether so many messages wait that senders should give way.
    #[cfg(not(actor_loom))]
    pub(crate) fn is_crowded(&self) -> bool {
        // Relaxed: a hint.
        self.word.load(Ordering::Relaxed) >> COUNT_SHIFT > CROWD
    }

    /// Pushes one of our own nodes (a Terminated notice): it needs no room.
    ///
    /// # Safety
    ///
    /// As for [`Inbox::push`].
    pub(crate) unsafe fn push_always(&self, node: NonNull<Node>) -> Pushed {
        // SAFETY: the caller's contract.
        match unsafe { self.push_within(node, 0, || {}) } {
            Pushed::Crowded => Pushed::Queued,
            other => other,
        }
    }

    #[inline(always)]
    unsafe fn push_within(
        &self,
        node: NonNull<Node>,
        capacity: u32,
        mut lost: impl FnMut(),
    ) -> Pushed {
        let address = node.as_ptr().expose_provenance() as u64;
        debug_assert_eq!(
            address & !ADDRESS,
            0,
            "node {address:#x} is not aligned or not in user space"
        );
        // Acquire: with the Release of the take: a word without its batch is seen with `taken` raised.
        let mut seen = self.word.load(P::LOOK);
        loop {
            let count = seen >> COUNT_SHIFT;
            // Relaxed: not older than the word (above). Newer or older within one turn of the word, it is
            // too high (B2) and refuses early. What remains is a sender that stalls here while others
            // fill the mailbox and the owner takes all of it, so that its CAS finds the same word again:
            // its one message is above the bound then.
            if capacity != 0
                && count + u64::from(self.taken.load(Ordering::Relaxed)) >= u64::from(capacity)
            {
                return Pushed::Full;
            }
            let below = std::ptr::with_exposed_provenance_mut((seen & ADDRESS) as usize);
            // SAFETY: N1: still ours until the CAS succeeds.
            unsafe { Node::set_next(node, below) };
            let count = if count == 0xffff { 0xffff } else { count + 1 };
            let new = count << COUNT_SHIFT | address | seen & TAGS & !IDLE;
            // AcqRel: Release is edge A; Acquire is edge B when this CAS removes IDLE.
            match self.word.compare_exchange_weak(seen, new, P::PUSH, P::LOOK) {
                Ok(_) if seen & IDLE != 0 => return Pushed::Schedule,
                Ok(_) if count > CROWD => return Pushed::Crowded,
                Ok(_) => return Pushed::Queued,
                Err(now) => {
                    lost();
                    seen = now;
                }
            }
        }
    }

    /// Says that a signal or something else waits beside the inbox. `true`: the caller must schedule.
    ///
    /// The signal itself must have been published before.
    pub(crate) fn notify(&self) -> bool {
        self.set_notify(IDLE | AWAIT)
    }

    /// A waker's call: only a suspended or running cell cares. `true`: the caller must schedule.
    ///
    /// Harmless on a cell that has gone idle, died or been reused since the waker was made.
    pub(crate) fn wake(&self) -> bool {
        self.set_notify(AWAIT)
    }

    #[inline(always)]
    fn set_notify(&self, schedules_from: u64) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if seen & IDLE & !schedules_from != 0 {
                return false;
            }
            // Being scheduled is notice enough: a turn begins with the signals and the frame. Only an
            // owner that is at work already needs the mark (and pays for clearing it).
            let new = if seen & schedules_from != 0 {
                seen & !(IDLE | AWAIT)
            } else {
                seen | NOTIFY
            };
            // AcqRel: Release publishes the signal to the owner's Acquire; Acquire is edge B when
            // this CAS removes IDLE or AWAIT. Done even when NOTIFY is set already: the owner that
            // clears it must see what came before this call.
            match self
                .word
                .compare_exchange_weak(seen, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => return seen & schedules_from != 0,
                Err(now) => seen = now,
            }
        }
    }

    /// For a sender that found the mailbox full, under the lock of the waiters' table: leaves word
    /// that it waits. `false`: there is room by now, or nothing moves here any more; try again.
    pub(crate) fn announce_waiter(&self) -> bool {
        let capacity = self.capacity.load(Ordering::Relaxed);
        // Acquire, here and below: with the Release of `suspend` and of the take. Of an owner that has
        // gone to wait for something, the last word on `taken` is seen: nobody gets in line at a mailbox
        // that has room and stands still.
        let mut seen = self.word.load(P::LOOK);
        loop {
            let count = seen >> COUNT_SHIFT;
            if capacity == 0
                || count + u64::from(self.taken.load(Ordering::Relaxed)) < u64::from(capacity)
            {
                return false;
            }
            // An idle inbox that looks full: the owner published `taken` before it went idle, so this
            // is a passing view. Never leave WAITERS where no owner will look.
            if seen & IDLE != 0 {
                crate::sync::hint::spin_loop();
                seen = self.word.load(Ordering::Acquire);
                continue;
            }
            if !P::ANNOUNCE_IN_PLACE {
                self.word.fetch_or(WAITERS, Ordering::AcqRel);
                return true;
            }
            // The CAS goes into the word that showed the inbox full. If the owner made room after
            // our look at `taken`, it still has a take, a finish or a suspend on this word before it and
            // sees WAITERS there (B3).
            match self
                .word
                .compare_exchange_weak(seen, seen | WAITERS, Ordering::AcqRel, P::LOOK)
            {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// How many messages wait, as far as it shows: exact up to one batch, at most 65535 untaken.
    pub(crate) fn len(&self) -> u32 {
        // Relaxed: a figure for people.
        let untaken = (self.word.load(Ordering::Relaxed) >> COUNT_SHIFT) as u32;
        untaken + self.taken.load(Ordering::Relaxed)
    }

    /// What the actor is at, as far as it shows from outside.
    #[cfg(not(actor_loom))]
    pub(crate) fn rest(&self) -> Rest {
        // Relaxed: a figure for people.
        let word = self.word.load(Ordering::Relaxed);
        let waiting = self.len();
        if word & AWAIT != 0 {
            Rest::Suspended { waiting }
        } else if word & IDLE != 0 && waiting == 0 {
            Rest::Idle
        } else {
            Rest::Busy { waiting }
        }
    }

    /// How many taken messages the owner last published.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity.load(Ordering::Relaxed)
    }

    // Owner only from here.

    /// # Safety
    ///
    /// The caller is the owner (B1).
    #[inline(always)]
    pub(crate) unsafe fn look(&self) -> Look {
        // Acquire: edge A, for a message handled in place.
        let seen = self.word.load(Ordering::Acquire);
        if seen == 0 {
            return Look::Empty;
        }
        if seen >> COUNT_SHIFT == 1
            && seen & TAGS == 0
            && let Some(node) = node_at(seen)
        {
            return Look::One(node, Stamp(seen));
        }
        Look::More
    }

    /// After the single message was handled in place: goes idle if nothing came since.
    ///
    /// On `false` the node is still the oldest in the inbox and `take_above` separates them.
    ///
    /// # Safety
    ///
    /// The caller is the owner (B1); on `true` it no longer is.
    #[inline(always)]
    pub(crate) unsafe fn close_after(&self, stamp: Stamp) -> bool {
        // Release: edge B. `take_above` follows if it fails.
        self.replace(stamp.0, IDLE, P::LEAVE)
    }

    /// Takes everything pushed after `oldest`, which stays with the caller.
    ///
    /// # Safety
    ///
    /// The caller is the owner (B1), and `oldest` is the oldest node in the inbox.
    pub(crate) unsafe fn take_above(&self, oldest: NonNull<Node>) -> Taken {
        // SAFETY: the caller's contract.
        unsafe { self.take_down_to(oldest.as_ptr(), 1) }
    }

    /// Takes all messages.
    ///
    /// # Safety
    ///
    /// The caller is the owner (B1) and has no taken messages left.
    #[inline(always)]
    pub(crate) unsafe fn take(&self) -> Taken {
        // SAFETY: the caller's contract.
        unsafe { self.take_down_to(std::ptr::null_mut(), 0) }
    }

    /// Takes the messages above `bottom`, which are all but `kept`.
    ///
    /// # Safety
    ///
    /// The caller is the owner (B1) and has no taken messages left.
    #[inline(always)]
    unsafe fn take_down_to(&self, bottom: *mut Node, kept: u32) -> Taken {
        if self.capacity.load(Ordering::Relaxed) == 0 {
            // AcqRel: Acquire is edge A; Release keeps the chain of edge B, for whoever reads this 0.
            let taken = turn_round(self.word.swap(0, Ordering::AcqRel), bottom);
            self.taken.store(taken.count, Ordering::Relaxed);
            return taken;
        }
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            // Before the CAS, so that a sender counts the batch twice rather than not at all.
            if P::TAKEN_FIRST {
                let batch = (seen >> COUNT_SHIFT) as u32 - kept;
                self.taken.store(batch, Ordering::Relaxed);
            }
            // AcqRel: Acquire is edge A; Release carries `taken` to whoever reads the new word.
            match self
                .word
                .compare_exchange_weak(seen, 0, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) => {
                    let taken = turn_round(seen, bottom);
                    // Our own notices ride above the bound and the count may have saturated.
                    self.taken.store(taken.count, Ordering::Relaxed);
                    return taken;
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Publishes how many taken messages are left, so that senders see the room.
    ///
    /// # Safety
    ///
    /// The caller is the owner (B1).
    #[inline(always)]
    pub(crate) unsafe fn publish_taken(&self, left: u32) {
        // Relaxed: see `push_within`; ordered before the owner's next CAS on the word.
        self.taken.store(left, Ordering::Relaxed);
    }

    /// Whether somebody waits for room; the mark is removed, the owner sees to them now.
    ///
    /// # Safety
    ///
    /// The caller is the owner (B1).
    pub(crate) unsafe fn clear_waiters(&self) -> bool {
        if self.word.load(Ordering::Relaxed) & WAITERS == 0 {
            return false;
        }
        // Acquire: pairs with `announce_waiter`; what it left in the table is under the table's lock.
        self.word.fetch_and(!WAITERS, Ordering::AcqRel) & WAITERS != 0
    }

    /// Goes idle if the inbox is empty. `keep_waiters` leaves word for the next owner (B3).
    ///
    /// # Safety
    ///
    /// The caller is the owner (B1); on `true` it no longer is.
    #[inline(always)]
    pub(crate) unsafe fn finish(&self, keep_waiters: bool) -> bool {
        let idle = if keep_waiters { IDLE | WAITERS } else { IDLE };
        // Release: edge B.
        self.replace(0, idle, P::LEAVE)
    }

    /// Suspends the cell: pushes pile up, only a notify or a wake schedules it.
    /// `false`: a notification came meanwhile, or a sender that found the mailbox full (it may have seen
    /// it before the owner last made room, and nobody would look again).
    ///
    /// # Safety
    ///
    /// The caller is the owner (B1); on `true` it no longer is.
    pub(crate) unsafe fn suspend(&self) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if P::SUSPEND_LOOKS && seen & (NOTIFY | WAITERS) != 0 {
                return false;
            }
            // Release: edge B.
            match self
                .word
                .compare_exchange_weak(seen, seen | AWAIT, P::LEAVE, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Removes the notification mark; says whether it was there.
    ///
    /// # Safety
    ///
    /// The caller is the owner (B1).
    #[inline(always)]
    pub(crate) unsafe fn clear_notify(&self) -> bool {
        if self.word.load(Ordering::Relaxed) & NOTIFY == 0 {
            return false;
        }
        // Acquire: pairs with the Release of `set_notify`: the signal is visible.
        self.word.fetch_and(!NOTIFY, Ordering::AcqRel) & NOTIFY != 0
    }

    /// One CAS. Relaxed on failure: the callers look again.
    #[inline(always)]
    fn replace(&self, seen: u64, new: u64, ordering: Ordering) -> bool {
        if P::ONE_STEP {
            return self
                .word
                .compare_exchange(seen, new, ordering, Ordering::Relaxed)
                .is_ok();
        }
        let is_so = self.word.load(Ordering::Acquire) == seen;
        if is_so {
            self.word.store(new, Ordering::Release);
        }
        is_so
    }
}

fn node_at(word: u64) -> Option<NonNull<Node>> {
    NonNull::new(std::ptr::with_exposed_provenance_mut(
        (word & ADDRESS) as usize,
    ))
}

/// The stack of a word as a FIFO, down to `bottom` (exclusive).
fn turn_round(word: u64, bottom: *mut Node) -> Taken {
    let mut first = std::ptr::null_mut();
    let mut count = 0;
    let mut at = node_at(word);
    while let Some(node) = at.filter(|node| node.as_ptr() != bottom) {
        // SAFETY: N1: the word was taken, so the whole chain is ours.
        unsafe {
            at = NonNull::new(Node::next(node));
            Node::set_next(node, first);
        }
        first = node.as_ptr();
        count += 1;
    }
    Taken {
        first,
        count,
        notified: word & NOTIFY != 0,
        waiters: word & WAITERS != 0,
    }
}

#[cfg(all(test, actor_loom))]
#[path = "inbox_loom.rs"]
mod models;

#[cfg(all(test, not(actor_loom)))]
#[path = "inbox_tests.rs"]
mod tests;

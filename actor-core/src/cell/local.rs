//! What a worker thread knows without asking anybody.
//!
//! Thread-locals, all const-initialised and without destructors, so that reading one is a plain load:
//! the worker's [`Local`] (null on other threads), the current message's context (any thread:
//! `Context::scope` sets it outside of handlers too), and why user values are being dropped, if the
//! runtime is doing so.

use std::cell::Cell;
use std::ptr::NonNull;

use super::crossing::Crossings;
use super::header::{CellRef, mark_of_home};
use super::running::Running;
use super::runtime::Runtime;
use super::stamps::Pace;
use crate::contain::{Booked, book};
use crate::id::{ActorId, WorkerId};
use crate::locality::{Row, SAMPLE_EVERY};
use crate::mailbox::ledger::Counters;
use crate::mailbox::node::Fate;
use crate::memory::ONE_HOME;
use crate::scheduler::{DEDICATED, Worker};
use crate::trace::{Brief, Desk};

fn no_pressure(runtime: &Runtime) -> Box<[Cell<u32>]> {
    runtime.numa_nodes().map(|_| Cell::new(0)).collect()
}

thread_local! {
    static LOCAL: Cell<*const Local> = const { Cell::new(std::ptr::null()) };
    static CONTEXT: Cell<*mut ()> = const { Cell::new(std::ptr::null_mut()) };
    static ENDING: Cell<Option<Fate>> = const { Cell::new(None) };
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// One worker's own things. Made on its thread and never leaves it.
#[derive(Debug)]
pub(crate) struct Local {
    runtime: &'static Runtime,
    /// Null on a thread that only plays worker (`simulated`).
    worker: *const Worker,
    numa_index: usize,
    /// The cells that belong here; see `CellRef::route`.
    route: usize,
    /// Messages a turn may handle.
    #[cfg(feature = "testkit")]
    messages_per_turn: Cell<u32>,
    counters: &'static Counters,
    running: &'static Running,
    arena: u8,
    cell: Cell<Option<CellRef>>,
    /// The cell of the turn has gone idle: it is another worker's, maybe, while this one ends its message.
    has_left: Cell<bool>,
    sends: Cell<u32>,
    traffic: &'static Row,
    until_sample: Cell<u32>,
    sampled: Cell<u32>,
    home_mark: u32,
    crossings: Option<&'static Crossings>,
    /// By the NUMA index it is for: how much this worker sends there just now, see `crossing`.
    pressure: Box<[Cell<u32>]>,
    /// The turn is that of an actor of another NUMA node.
    guest: Cell<bool>,
    /// Which of its messages are measured.
    pace: &'static Pace,
    /// Where its spans go.
    desk: &'static Desk,
}

/// Messages a cell may handle before it goes to the back of the queue. 64 amortises the queue's cost
/// (10 ns) to nothing and keeps a full turn of 20 ns messages under 2 us.
pub(crate) const MESSAGES_PER_TURN: u32 = 64;

/// Sends in one turn after which the LIFO slot is opened to thieves: a handler that sends a lot would
/// otherwise keep the first receiver waiting behind itself while other workers sleep.
pub(crate) const SENDS_BEFORE_EXPOSE: u32 = 32;

/// No actor's [`CellRef::way_mark`].
const NOWHERE: u32 = u32::MAX;

impl Local {
    /// Makes this thread a worker of `runtime`; the guard undoes it.
    pub(super) fn install(runtime: &'static Runtime, worker: &Worker) -> Installed {
        let local = Box::new(Self {
            runtime,
            worker,
            numa_index: worker.numa_index(),
            route: if worker.is_apart() {
                worker.numa_index() | DEDICATED
            } else {
                worker.numa_index()
            },
            #[cfg(feature = "testkit")]
            messages_per_turn: Cell::new(MESSAGES_PER_TURN),
            counters: runtime.ledger().worker(usize::from(worker.id().0)),
            running: runtime.running(worker.id()),
            arena: runtime.arena(worker.numa_index()),
            cell: Cell::new(None),
            has_left: Cell::new(false),
            sends: Cell::new(0),
            traffic: runtime.traffic().row(usize::from(worker.id().0)),
            until_sample: Cell::new(SAMPLE_EVERY),
            sampled: Cell::new(0),
            home_mark: if worker.is_apart() {
                NOWHERE
            } else {
                mark_of_home(worker.numa_index())
            },
            crossings: runtime.crossings(),
            pressure: no_pressure(runtime),
            guest: Cell::new(false),
            pace: runtime.stamps().pace(usize::from(worker.id().0)),
            desk: runtime.spans().desk(usize::from(worker.id().0)),
        });
        local.traffic.set_numa_index(local.numa_index);
        // A raw pointer from here on: moving a Box would claim that nobody else reaches its content.
        let local = NonNull::from(Box::leak(local));
        LOCAL.set(local.as_ptr());
        Installed {
            local,
            _booked: book(runtime),
        }
    }

    /// The worker this thread is, if it is one.
    #[inline(always)]
    pub(crate) fn current<'a>() -> Option<&'a Self> {
        let local = LOCAL.get();
        // SAFETY: set by `install` or `enter` on this thread and cleared before the box is dropped; references
        // do not outlive the turn or call they were fetched in, which is within the guard's life.
        unsafe { local.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn runtime(&self) -> &'static Runtime {
        self.runtime
    }

    #[inline(always)]
    pub(crate) fn counters(&self) -> &'static Counters {
        self.counters
    }

    /// The cell whose turn it is.
    #[inline(always)]
    pub(crate) fn cell(&self) -> Option<CellRef> {
        self.cell.get()
    }

    /// The cell whose turn it is, if the turn still owns it.
    pub(crate) fn owned_cell(&self) -> Option<CellRef> {
        self.cell.get().filter(|_| !self.has_left.get())
    }

    /// The turn has given its cell up, or is over.
    #[inline(always)]
    pub(super) fn set_left(&self, left: bool) {
        self.has_left.set(left);
    }

    /// The arena of this worker's NUMA node.
    #[inline(always)]
    pub(crate) fn arena(&self) -> u8 {
        self.arena
    }

    pub(crate) fn numa_index(&self) -> usize {
        self.numa_index
    }

    /// The route of the cells that belong here.
    pub(super) fn route(&self) -> usize {
        self.route
    }

    /// Messages that a turn may handle: a constant, but for the test kit, which shortens turns to see
    /// other orders.
    #[inline(always)]
    pub(super) fn messages_per_turn(&self) -> u32 {
        #[cfg(feature = "testkit")]
        return self.messages_per_turn.get();
        #[cfg(not(feature = "testkit"))]
        MESSAGES_PER_TURN
    }

    #[inline(always)]
    pub(super) fn begin_turn(&self, cell: CellRef) {
        self.cell.set(Some(cell));
        self.sends.set(0);
        if !ONE_HOME {
            self.guest.set(cell.numa_index() != self.numa_index);
        }
        self.running.begin_turn(cell);
    }

    #[inline(always)]
    pub(super) fn end_turn(&self) {
        self.cell.set(None);
        self.running.end_turn();
    }

    /// What others see of this worker.
    #[inline(always)]
    pub(super) fn running(&self) -> &'static Running {
        self.running
    }

    /// Whether the turn is that of an actor that lives elsewhere.
    #[inline(always)]
    pub(super) fn is_guest(&self) -> bool {
        !ONE_HOME && self.guest.get()
    }

    /// Whether that actor, of this system, is run by this very worker or its neighbours. Not one that has moved
    /// here, some of whose messages may still be on a lane to where it was, nor one with a thread of its own.
    #[inline(always)]
    pub(crate) fn is_home_of(&self, target: CellRef) -> bool {
        ONE_HOME || target.way_mark() == self.home_mark
    }

    pub(super) fn pace(&self) -> &'static Pace {
        self.pace
    }

    /// Whether the message of that number, counted here, is to be measured.
    #[inline(always)]
    pub(crate) fn is_stamped(&self, number: u64) -> bool {
        self.pace.is_due(number)
    }

    /// Writes down a span of this system that has ended.
    #[inline(always)]
    pub(crate) fn push_span(&self, span: impl FnOnce() -> Brief) {
        // SAFETY: a `Local` never leaves its thread, and there is one of each worker.
        unsafe { self.runtime.spans().push_at(self.desk, span) };
    }

    pub(super) fn crossings(&self) -> Option<&'static Crossings> {
        self.crossings
    }

    pub(super) fn traffic(&self) -> &'static Row {
        self.traffic
    }

    pub(super) fn pressure(&self, numa_index: usize) -> &Cell<u32> {
        &self.pressure[numa_index]
    }

    /// Whether the turn has sent nothing yet.
    pub(super) fn is_first_send(&self) -> bool {
        self.sends.get() == 0
    }

    /// Notes that the running handler sent a message to that actor of this system.
    #[inline(always)]
    pub(crate) fn note_send(&self, target: ActorId) {
        if !ONE_HOME {
            let until_sample = self.until_sample.get() - 1;
            self.until_sample.set(until_sample);
            if until_sample == 0 {
                self.sample(target);
            }
        }
        let sends = self.sends.get() + 1;
        if sends == SENDS_BEFORE_EXPOSE {
            self.sends.set(0);
            if let Some(worker) = self.worker() {
                worker.expose();
            }
        } else {
            self.sends.set(sends);
        }
    }

    #[cold]
    fn sample(&self, target: ActorId) {
        self.until_sample.set(SAMPLE_EVERY);
        let number = self.sampled.get();
        self.sampled.set(number.wrapping_add(1));
        self.traffic.sample(number, target);
    }

    /// The worker's number; none where nobody is one.
    pub(crate) fn worker_id(&self) -> Option<WorkerId> {
        self.worker().map(Worker::id)
    }

    fn worker(&self) -> Option<&Worker> {
        // SAFETY: null, or a worker that lives as long as its thread; `self` is only reached from there.
        unsafe { self.worker.as_ref() }
    }
}

/// For turns on a thread that is no worker's (`simulated`).
#[cfg(feature = "testkit")]
impl Local {
    pub(super) fn without_worker(runtime: &'static Runtime, numa_index: usize) -> Self {
        // As many desks as the runtime was told of workers.
        let books = u16::try_from(numa_index).unwrap_or(u16::MAX);
        Self {
            runtime,
            worker: std::ptr::null(),
            numa_index,
            route: numa_index,
            messages_per_turn: Cell::new(MESSAGES_PER_TURN),
            counters: runtime.ledger().worker(numa_index),
            running: runtime.running(crate::id::WorkerId(books)),
            arena: runtime.arena(numa_index),
            cell: Cell::new(None),
            has_left: Cell::new(false),
            sends: Cell::new(0),
            traffic: runtime.traffic().row(numa_index),
            until_sample: Cell::new(SAMPLE_EVERY),
            sampled: Cell::new(0),
            home_mark: mark_of_home(numa_index),
            crossings: runtime.crossings(),
            pressure: no_pressure(runtime),
            guest: Cell::new(false),
            pace: runtime.stamps().pace(numa_index),
            desk: runtime.spans().desk(numa_index),
        }
    }

    pub(super) fn set_messages_per_turn(&self, messages: u32) {
        self.messages_per_turn.set(messages.max(1));
    }

    /// Makes this thread one of the runtime's until the guard is dropped.
    pub(super) fn enter(&self) -> Entered<'_> {
        Entered {
            before: LOCAL.replace(self),
            _booked: book(self.runtime),
            local: std::marker::PhantomData,
        }
    }
}

/// Puts back what the thread was before.
#[cfg(feature = "testkit")]
#[derive(Debug)]
pub(super) struct Entered<'a> {
    before: *const Local,
    _booked: Booked,
    local: std::marker::PhantomData<&'a Local>,
}

#[cfg(feature = "testkit")]
impl Drop for Entered<'_> {
    fn drop(&mut self) {
        LOCAL.set(self.before);
    }
}

/// Takes the thread's `Local` away again.
#[derive(Debug)]
pub(super) struct Installed {
    local: NonNull<Local>,
    _booked: Booked,
}

impl Drop for Installed {
    fn drop(&mut self) {
        LOCAL.set(std::ptr::null());
        // SAFETY: leaked from a box in `install`; nothing points to it any more.
        drop(unsafe { Box::from_raw(self.local.as_ptr()) });
    }
}

/// The cell that runs on this thread now.
#[inline(always)]
pub(crate) fn current_cell() -> Option<CellRef> {
    Local::current().and_then(Local::cell)
}

/// The context block in force on this thread; null for none.
#[inline(always)]
pub(crate) fn context_now() -> *mut () {
    CONTEXT.get()
}

/// Puts another context in force and returns the one before.
#[inline(always)]
pub(crate) fn swap_context(context: *mut ()) -> *mut () {
    CONTEXT.replace(context)
}

/// Runs `f`, which does not unwind, as a part of what an actor does on a thread that is no worker.
pub(crate) fn at_work<R>(f: impl FnOnce() -> R) -> R {
    let before = AT_WORK.replace(true);
    let result = f();
    AT_WORK.set(before);
    result
}

/// Whether this thread does what was decided on elsewhere: a worker, or one that works for an actor.
pub(crate) fn is_at_work() -> bool {
    Local::current().is_some() || AT_WORK.get()
}

/// Why the runtime is dropping what it drops on this thread, if it is: a reply handle among it answers
/// with that.
pub(crate) fn ending() -> Option<Fate> {
    ENDING.get()
}

/// Runs `f`, which drops user values and does not unwind, for that reason.
pub(crate) fn while_ending<R>(fate: Fate, f: impl FnOnce() -> R) -> R {
    let before = ENDING.replace(Some(fate));
    let result = f();
    ENDING.set(before);
    result
}

//! What all cells of one system share: scheduler, ledger, timers, root.
//!
//! Leaked on purpose, a few KiB per system: a stale reference, a tokio reactor with one of our wakers
//! or a user's thread may come back to it long after shutdown, and then must find it whole.

use std::cell::Cell;
use std::sync::{OnceLock, PoisonError};
use std::time::Duration;

use super::crossing::Crossings;
use super::end;
use super::header::CellRef;
use super::heaviest::Heaviest;
use super::local::Local;
use super::names::Names;
use super::recent::{ByType, Circle, Failed, Lost, Recent};
use super::running::{Look, Running};
use super::stall::{Labels, Stalls};
use super::stamps::Stamps;
use super::turn;
use crate::clock::Tick;
use crate::contain::{Books, book, log};
use crate::id::{ActorId, NumaNodeId, WorkerId};
use crate::locality::{Lanes, Traffic};
use crate::mailbox::ledger::{Count, Ledger};
use crate::mailbox::node::Fate;
use crate::memory;
use crate::scheduler::timer::Timers;
use crate::scheduler::{After, Driver, Hint, Pool, Scheduler, Stall, Task, Worker};
use crate::stack::ThreadStack;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::cache_padded::CachePadded;
use crate::sync::{Mutex, MutexGuard};
use crate::trace::{Spans, TraceId};

thread_local! {
    static SWEEPING: Cell<bool> = const { Cell::new(false) };
}

pub(crate) struct Runtime {
    scheduler: OnceLock<&'static Scheduler>,
    ledger: Ledger,
    timers: OnceLock<Timers>,
    root: OnceLock<CellRef>,
    /// Arena of each NUMA index.
    arenas: Box<[u8]>,
    /// The tokio runtime of each NUMA index.
    reactors: OnceLock<Box<[tokio::runtime::Handle]>>,
    /// What each worker does, behind them each spare, and each thread that runs one actor alone.
    running: Box<[CachePadded<Running>]>,
    /// For work that blocks, by NUMA index; none where there are no threads at all.
    pools: OnceLock<Box<[&'static Pool]>>,
    stalls: Stalls,
    labels: Labels,
    closed: AtomicBool,
    next_numa: AtomicUsize,
    dead_letter_log: LogLimit,
    ended: Latch,
    names: Names,
    traffic: Traffic,
    /// None on one NUMA node, and where they are switched off.
    crossings: OnceLock<Crossings>,
    spans: Spans,
    stamps: Stamps,
    lost: Recent<Lost>,
    failed: Recent<Failed>,
    failed_by_type: ByType,
    circles: Recent<Circle>,
    restarted: Mutex<Heaviest>,
}

impl Runtime {
    /// For so many workers, spares and threads of single actors included.
    pub(crate) fn new(workers: usize, arenas: Box<[u8]>) -> &'static Self {
        let traffic = Traffic::new(workers, arenas.len());
        Box::leak(Box::new(Self {
            traffic,
            scheduler: OnceLock::new(),
            ledger: Ledger::new(workers),
            timers: OnceLock::new(),
            root: OnceLock::new(),
            arenas,
            reactors: OnceLock::new(),
            running: (0..workers).map(|_| CachePadded::default()).collect(),
            pools: OnceLock::new(),
            stalls: Stalls::default(),
            labels: Labels::default(),
            closed: AtomicBool::new(false),
            next_numa: AtomicUsize::new(0),
            dead_letter_log: LogLimit::new(),
            ended: Latch::new(),
            names: Names::new(),
            crossings: OnceLock::new(),
            spans: Spans::new(workers),
            stamps: Stamps::new(workers),
            lost: Recent::new(),
            failed: Recent::new(),
            failed_by_type: ByType::default(),
            circles: Recent::new(),
            restarted: Mutex::default(),
        }))
    }

    /// Fills in what needs the runtime itself to exist. Once, before anything else.
    pub(crate) fn complete(&self, timers: Timers, reactors: Box<[tokio::runtime::Handle]>) {
        let first = self.timers.set(timers).is_ok() && self.reactors.set(reactors).is_ok();
        assert!(first, "a runtime is completed once");
    }

    /// Once, before the workers start.
    pub(crate) fn set_pools(&self, pools: Box<[&'static Pool]>) {
        assert!(
            self.pools.set(pools).is_ok(),
            "a runtime has its pools once"
        );
    }

    /// Where work of that NUMA node may block.
    pub(crate) fn pool(&self, numa_index: usize) -> Option<&'static Pool> {
        self.pools().get(numa_index).copied()
    }

    pub(crate) fn pools(&self) -> &[&'static Pool] {
        self.pools.get().map_or(&[], |pools| pools)
    }

    pub(crate) fn set_scheduler(&self, scheduler: &'static Scheduler) {
        assert!(
            self.scheduler.set(scheduler).is_ok(),
            "a runtime has one scheduler"
        );
    }

    pub(crate) fn set_root(&self, root: CellRef) {
        assert!(self.root.set(root).is_ok(), "a runtime has one root");
    }

    #[inline(always)]
    pub(crate) fn scheduler(&self) -> &'static Scheduler {
        self.scheduler
            .get()
            .expect("set before the first cell is made")
    }

    /// Who sends where, by NUMA nodes.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Lays batch lanes between the NUMA nodes, if there are several. Once, before the workers start.
    pub(crate) fn lay_lanes(&'static self, lanes: Lanes) {
        if let Some(crossings) = Crossings::lay(self, lanes) {
            let first = self.crossings.set(crossings).is_ok();
            assert!(first, "lanes are laid once");
        }
    }

    /// The batch lanes between NUMA nodes.
    #[inline(always)]
    pub(crate) fn crossings(&self) -> Option<&Crossings> {
        if memory::ONE_HOME {
            return None;
        }
        self.crossings.get()
    }

    /// Messages that were not handled, the latest.
    pub(crate) fn lost(&self) -> &Recent<Lost> {
        &self.lost
    }

    /// Actors that failed, the latest.
    pub(crate) fn failed(&self) -> &Recent<Failed> {
        &self.failed
    }

    /// How many actors failed.
    pub(crate) fn failed_by_type(&self) -> &ByType {
        &self.failed_by_type
    }

    /// How long messages wait and are worked on.
    pub(crate) fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    /// The spans of recorded traces.
    pub(crate) fn spans(&self) -> &Spans {
        &self.spans
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub(crate) fn timers(&self) -> &Timers {
        self.timers
            .get()
            .expect("set before the first cell is made")
    }

    pub(crate) fn root(&self) -> CellRef {
        *self.root.get().expect("set before users see the system")
    }

    pub(crate) fn reactors(&self) -> &[tokio::runtime::Handle] {
        self.reactors.get().expect("set before the workers start")
    }

    pub(crate) fn is_rooted(&self) -> bool {
        self.root.get().is_some()
    }

    pub(crate) fn arena(&self, numa_index: usize) -> u8 {
        self.arenas[numa_index]
    }

    /// The NUMA index of a NUMA node that has workers.
    pub(crate) fn numa_index_of(&self, node: NumaNodeId) -> Option<usize> {
        self.arenas.iter().position(|arena| *arena == node.0)
    }

    /// The NUMA index of the calling thread: of a worker, a reactor's thread, a thread that blocks. Of
    /// other threads the first.
    pub(crate) fn numa_index_here(&self) -> usize {
        if self.arenas.len() == 1 {
            return 0;
        }
        let here = memory::here().map(NumaNodeId);
        here.and_then(|node| self.numa_index_of(node)).unwrap_or(0)
    }

    /// The NUMA nodes that have workers, in index order.
    pub(crate) fn numa_nodes(&self) -> impl Iterator<Item = NumaNodeId> + '_ {
        self.arenas.iter().map(|arena| NumaNodeId(*arena))
    }

    /// NUMA indexes in turn, for spreading.
    pub(crate) fn next_numa_index(&self) -> usize {
        // Relaxed: any order of turns is a fair one.
        self.next_numa.fetch_add(1, Ordering::Relaxed) % self.arenas.len()
    }

    /// No actor is spawned from outside any more.
    pub(crate) fn close(&self) {
        // Release: with the Acquire in `is_closed`.
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Opens when the root has terminated.
    pub(crate) fn ended(&self) -> &Latch {
        &self.ended
    }

    #[inline(always)]
    pub(super) fn schedule(&'static self, task: Task, route: usize, hint: Hint) {
        let scheduler = self.scheduler();
        scheduler.schedule(task, route, hint);
        if scheduler.is_stopping() {
            self.sweep();
        }
    }

    #[inline(always)]
    pub(super) fn schedule_at_home(&'static self, cell: CellRef, hint: Hint) {
        let scheduler = self.scheduler();
        if !Worker::schedule_here(scheduler, cell.task(), hint) {
            scheduler.schedule(cell.task(), cell.route(), hint);
        }
        if scheduler.is_stopping() {
            self.sweep();
        }
    }

    /// After the workers are gone: ends the actors that are still in the queues, mailbox, state and all.
    ///
    /// Whoever schedules after the stop comes by here as well, so nothing is left lying: either the
    /// sweep at the end of shutdown sees the task, or its scheduler saw the stop.
    pub(crate) fn sweep(&'static self) {
        // Ending one actor schedules its parent, which comes by here: that one is left to the loop
        // below, or a deep tree would be a deep stack.
        if SWEEPING.replace(true) {
            return;
        }
        let _booked = book(self);
        loop {
            if let Some(crossings) = self.crossings() {
                crossings.settle_all();
            }
            let tasks = self.scheduler().drain_remaining();
            if tasks.is_empty() {
                break;
            }
            for task in tasks {
                let cell = CellRef::from_task(task);
                // SAFETY: the queue held the single right to run the cell, and no worker is left.
                unsafe { end::bury(cell) };
            }
        }
        SWEEPING.set(false);
    }

    /// Counts `n` of something, from any thread.
    #[inline(always)]
    pub(crate) fn count(&self, count: Count, n: u64) {
        match Local::current() {
            Some(local) if std::ptr::eq(local.runtime(), self) => {
                local.counters().add_owned(count, n);
            }
            _ => self.ledger.add(count, n),
        }
    }

    /// Counts restarts of an actor.
    pub(super) fn note_restarts(&self, actor: ActorId, restarts: u64) {
        self.count(Count::Restarts, 1);
        self.restarted().add(actor, restarts);
    }

    /// Those that were started again, and how often. Not under it: anything that waits.
    pub(crate) fn restarted(&self) -> MutexGuard<'_, Heaviest> {
        // Nothing under it leaves it half changed.
        self.restarted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// An ask had to end because these would wait for each other.
    pub(crate) fn note_circle(&self, actors: &[ActorId], message: &'static str) {
        self.circles.note(|at| Circle {
            at,
            actors: actors.into(),
            message,
        });
    }

    pub(crate) fn circles(&self) -> &Recent<Circle> {
        &self.circles
    }

    /// Records what became of a message that was not handled.
    pub(crate) fn record_fate(
        &self,
        fate: Fate,
        target: ActorId,
        message: &'static str,
        trace: Option<TraceId>,
    ) {
        match Local::current() {
            Some(local) if std::ptr::eq(local.runtime(), self) => local.counters().fate_owned(fate),
            _ => self.ledger.fate(fate),
        }
        self.lost.note(|at| Lost {
            at,
            fate,
            target,
            message,
            trace,
        });
        if fate.is_dead_letter()
            && let Some(suppressed) = self.dead_letter_log.admit()
        {
            let trace_id = trace.map(tracing::field::display);
            log!(info, %target, message_type = message, trace_id, suppressed, "dead letter: {fate}");
        }
    }

    pub(super) fn running(&self, worker: WorkerId) -> &Running {
        &self.running[usize::from(worker.0)]
    }

    /// What a stuck worker does; `None` if it is not stuck any more.
    pub(super) fn look_at(&self, stall: &Stall) -> Option<Look> {
        let look = self.running(stall.worker).look()?;
        // Still the same turn, so the look was at it.
        let same = self.scheduler.get()?.turns(stall.worker) == stall.turns;
        same.then_some(look)
    }

    /// The functions that a worker is in, if it is still in that turn. Takes up to 1 s.
    pub(crate) fn stack_of(&self, worker: WorkerId, turn: u64) -> Option<ThreadStack> {
        let scheduler = self.scheduler.get()?;
        let same = || scheduler.turns(worker) == turn && !self.running(worker).is_idle();
        if !same() {
            return None;
        }
        let stack = self.running(worker).thread.stack()?;
        // Still the same turn, so the stack is of it.
        same().then_some(stack)
    }

    pub(crate) fn stalls(&self) -> &Stalls {
        &self.stalls
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Whether a worker is in a turn of that cell.
    pub(super) fn is_running(&self, cell: CellRef) -> bool {
        self.running
            .iter()
            .any(|running| running.cell() == Some(cell))
    }

    /// The actors that run now, on whatever thread.
    pub(crate) fn running_now(&self) -> impl Iterator<Item = ActorId> + '_ {
        let running = self.running.iter();
        running.filter_map(|running| running.cell().map(CellRef::id))
    }

    /// The actor that a worker is running, if it is in a turn.
    pub(crate) fn running_on(&self, worker: WorkerId) -> Option<ActorId> {
        self.running(worker).cell().map(CellRef::id)
    }
}

impl Books for Runtime {
    fn caught(&self) {
        self.count(Count::Panics, 1);
    }
}

impl Driver for Runtime {
    unsafe fn take_turn(&self, task: Task, _worker: &Worker) -> After {
        let local = Local::current().expect("workers have a Local from their first moment");
        // SAFETY: by the scheduler's contract this worker alone runs the task, so it owns the cell.
        unsafe { turn::take_turn(CellRef::from_task(task), local) }
    }

    fn worker_started(&self, worker: &Worker) -> Box<dyn std::any::Any> {
        // The runtime is leaked (see the module's head), so `self` lives for ever.
        // SAFETY: `new` is the only constructor and leaks.
        let runtime: &'static Self = unsafe { &*std::ptr::from_ref(self) };
        memory::set_here(runtime.arena(worker.numa_index()));
        let reactor: &'static tokio::runtime::Handle = &runtime.reactors()[worker.numa_index()];
        // Handlers find their NUMA node's tokio as the current runtime. `enter`, never `block_on`: a
        // loop inside one `block_on` runs out of tokio's budget and then nothing is ever ready.
        let entered = reactor.enter();
        #[cfg(all(unix, not(miri)))]
        super::overflow::note_guard();
        self.running(worker.id()).thread.note_current();
        Box::new((Local::install(runtime, worker), LastSweep(runtime), entered))
    }

    fn in_turn(&self, worker: WorkerId) -> bool {
        !self.running(worker).is_idle()
    }

    fn stalled(&self, stall: &Stall) {
        self.stalls.note(self, stall);
    }

    fn describe(&self, task: Task) -> (ActorId, &'static str) {
        let cell = CellRef::from_task(task);
        // What lies in the queues and has no type is a lane.
        let actor_type = cell
            .vtable_now()
            .map_or("(batch lane)", |it| (it.type_name)());
        (cell.id(), actor_type)
    }

    fn handled(&self, worker: &Worker) -> u64 {
        let counters = self.ledger.worker(usize::from(worker.id().0));
        counters.owned(Count::Handled)
    }
}

/// Dropped by a worker when it has given back what it had queued. One that comes back from a handler only
/// after its system has ended finds nobody else to see to that.
struct LastSweep(&'static Runtime);

impl Drop for LastSweep {
    fn drop(&mut self) {
        // A thread of a single actor ends while the others work.
        if self.0.scheduler.get().is_some_and(|it| it.is_stopping()) {
            self.0.sweep();
        }
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("arenas", &self.arenas)
            .finish_non_exhaustive()
    }
}

/// At most ten log lines a second; says how many were held back before.
#[derive(Debug)]
pub(crate) struct LogLimit {
    second: AtomicU64,
    seen: AtomicU64,
}

const LINES_PER_SECOND: u64 = 10;

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self {
            second: AtomicU64::new(0),
            seen: AtomicU64::new(0),
        }
    }

    /// `None`: not this one. Otherwise how many were held back since the last.
    pub(crate) fn admit(&self) -> Option<u64> {
        let now = Tick::now().0 / 1_000_000_000 + 1;
        // Relaxed throughout: a race admits a line more or less.
        if self.second.swap(now, Ordering::Relaxed) == now {
            let seen = self.seen.fetch_add(1, Ordering::Relaxed);
            return (seen < LINES_PER_SECOND).then_some(0);
        }
        let before = self.seen.swap(1, Ordering::Relaxed);
        Some(before.saturating_sub(LINES_PER_SECOND))
    }
}

/// Opens once; threads can wait for it.
#[derive(Debug)]
pub(crate) struct Latch {
    is_open: std::sync::Mutex<bool>,
    opened: std::sync::Condvar,
}

impl Latch {
    const fn new() -> Self {
        Self {
            is_open: std::sync::Mutex::new(false),
            opened: std::sync::Condvar::new(),
        }
    }

    pub(crate) fn open(&self) {
        *self.lock() = true;
        self.opened.notify_all();
    }

    pub(crate) fn is_open(&self) -> bool {
        *self.lock()
    }

    /// Waits on this thread; whether it is open.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let (is_open, _) = self
            .opened
            .wait_timeout_while(self.lock(), timeout, |is_open| !*is_open)
            .unwrap_or_else(PoisonError::into_inner);
        *is_open
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.is_open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

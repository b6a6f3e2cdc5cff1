//! `Scheduler`: the workers of one system, and everything they share.
//!
//! ```text
//!   Scheduler (leaked) --+-- Home, one per NUMA node: Injector, Idle, its Seats, who is near
//!                        +-- Seat, one per worker and spare: the thieves' end of its ring, its Parker,
//!                        |         LIFO slot, counters
//!                        +-- Watchdog: looks after workers that are stuck
//!   Worker (leaked), known to its own thread only: the owner's end of the ring
//! ```
//!
//! The scheduler, its seats and its workers are leaked on purpose. References to stopped actors live
//! for ever in user code, a waker of a foreign reactor may fire after shutdown, and each may reach
//! `schedule`; a reference count on that path would cost 10 ns per turn for the sake of about 3 KiB
//! per worker and started system. A task scheduled after `stop` stays in a queue until
//! `drain_remaining` returns it.
//!
//! Seats and workers are allocated on their own threads, after pinning, so that first touch puts
//! them on the right NUMA node; the seats of spares on the thread of their NUMA node's first worker.

#[cfg(feature = "testkit")]
mod manual;
mod plan;
mod recording;
#[cfg(feature = "model")]
mod stepped;

use std::any::Any;
use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::contain::log;
use crate::id::{ActorId, WorkerId};
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::cache_padded::CachePadded;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex, MutexGuard};

use super::config::{Config, Pin};
use super::dedicated::{Booths, DEDICATED};
use super::gathering;
use super::injector::SHARE_MAX;
use super::recorder::Recorder;
use super::ring::Local;
use super::seat::{Duty, Home, Place, Seat};
use super::stats::{Counts, NumaStats, SchedulerStats, WorkerStats};
use super::steal::{self, CrossNuma};
use super::task::{After, Hint, Task};
use super::watchdog::{self, Bench, Stall, Watchdog};
use super::worker::{self, Worker};

pub(crate) use recording::{Recordable, ThreadKind};

/// How the scheduler speaks upwards: owned here, implemented by the floor above.
///
/// None of these may unwind; the process is aborted with a message if one does (see `worker.rs`).
pub(crate) trait Driver: Send + Sync + 'static {
    /// One turn of `task` on the calling thread, which is `worker`'s.
    ///
    /// # Safety
    ///
    /// Called by one worker at a time per task, for tasks that were given to `Scheduler::schedule`
    /// under the contract of `Task::from_raw`, once for each time they were.
    unsafe fn take_turn(&self, task: Task, worker: &Worker) -> After;

    /// The first thing on a worker's thread. The guard is dropped on that thread at its end.
    fn worker_started(&self, worker: &Worker) -> Box<dyn Any> {
        let _ = worker;
        Box::new(())
    }

    /// The worker has found nothing and is about to sleep. It may schedule tasks, which cancels the
    /// sleep. May be called several times before one sleep, and before none.
    fn before_park(&self, worker: &Worker) {
        let _ = worker;
    }

    /// Whether that worker is inside of a turn, as seen from another thread.
    fn in_turn(&self, worker: WorkerId) -> bool {
        let _ = worker;
        true
    }

    /// A turn takes longer than it should, or has ended after it did. On the watchdog's thread, which
    /// has other things to do: no foreign code, no waiting.
    fn stalled(&self, stall: &Stall) {
        let _ = stall;
    }

    /// Who runs, and what it is, for a recording. On the worker that is about to take its turn.
    fn describe(&self, task: Task) -> (ActorId, &'static str) {
        let _ = task;
        (ActorId::new(0, 0, 0), "")
    }

    /// Messages that `worker`, whose thread this is, has handled so far.
    fn handled(&self, worker: &Worker) -> u64 {
        let _ = worker;
        0
    }
}

/// The workers of one system. Lives for ever once started.
pub(crate) struct Scheduler {
    driver: &'static dyn Driver,
    homes: Box<[Home]>,
    /// In the order of `Config::seats`; behind them those of spares.
    seats: Box<[&'static Seat]>,
    /// How many of them are workers'.
    workers: usize,
    booths: Booths,
    watchdog: CachePadded<Watchdog>,
    /// Held by the one thread that takes from another's LIFO slot.
    evicting: Mutex<()>,
    pub(super) cross_numa: CrossNuma,
    pub(super) lifo_streak_max: u32,
    pub(super) spin: Duration,
    stopping: AtomicBool,
    /// What the workers do is noted. Beside `stopping`, which they read at every turn.
    recording: AtomicBool,
    recorder: Recorder,
    pin_failures: Vec<(WorkerId, String)>,
    wakes_from_outside: CachePadded<AtomicU64>,
    /// By seat; then the watchdog's; then those that run one task each.
    threads: CachePadded<Mutex<Vec<Thread>>>,
    thread_gone: Condvar,
}

struct Thread {
    handle: Option<JoinHandle<()>>,
    /// There is nobody to wait for.
    gone: bool,
    /// It has said so itself, perhaps before its handle was here.
    has_left: bool,
}

impl Scheduler {
    /// Starts all workers and returns when each has taken its seat.
    ///
    /// `distances[a][b]` is the distance between NUMA indices as the firmware tells it; its length is
    /// the number of NUMA nodes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if there are no seats, if a NUMA index has none or is out of range, or if
    /// `distances` is not square; otherwise what the operating system said to a new thread. No
    /// thread is left behind.
    pub(crate) fn start(
        config: Config,
        distances: Vec<Vec<u32>>,
        driver: &'static dyn Driver,
    ) -> io::Result<&'static Self> {
        plan::check(&config.seats, &distances)?;
        // What the caller's thread may use; a caller pinned to one CPU starts workers that do not spin.
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let numa_nodes = distances.len();
        let workers = config.seats.len();
        let spares: Vec<usize> = (0..numa_nodes).map(|index| config.spares(index)).collect();
        let mut members = vec![0; numa_nodes];
        for spec in &config.seats {
            members[spec.numa_index] += 1;
        }
        let mut spare_places = plan::spare_places(workers, &members, &spares);
        let mut taken_slots = vec![0; numa_nodes];

        let (ready, readies) = mpsc::channel();
        let mut gates = Vec::new();
        let mut handles = Vec::new();
        let mut spawned = Ok(());
        for (index, spec) in config.seats.into_iter().enumerate() {
            let slot = taken_slots[spec.numa_index];
            taken_slots[spec.numa_index] += 1;
            let (gate, opened) = mpsc::channel();
            let place = Place {
                worker: spec.worker,
                numa_index: spec.numa_index,
                index,
                slot,
            };
            let ready = ready.clone();
            // Those of its NUMA node, for its first worker.
            let spares = std::mem::take(&mut spare_places[spec.numa_index]);
            let handle = thread::Builder::new()
                .name(format!("{}-{}", config.thread_name_prefix, spec.worker.0))
                .stack_size(config.stack_size)
                .spawn(move || seat_and_run(place, spec.pin, &spares, numa_nodes, &ready, &opened));
            match handle {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    spawned = Err(error);
                    break;
                }
            }
            gates.push(gate);
        }
        drop(ready);

        let mut taken: Vec<Taken> = readies.iter().take(handles.len()).collect();
        if spawned.is_ok() && taken.len() < handles.len() {
            spawned = Err(io::Error::other(
                "a worker ended before it had taken its seat",
            ));
        }
        if let Err(error) = spawned {
            drop(gates); // Closed gates send the others home.
            for handle in handles {
                // A thread that unwinds has aborted the process.
                let _ = handle.join();
            }
            return Err(error);
        }
        taken.sort_by_key(|taken| taken.seat.index);

        let mut pin_failures = Vec::new();
        let mut seats: Vec<&'static Seat> = Vec::new();
        let mut benches: Vec<Vec<Bench>> = (0..numa_nodes).map(|_| Vec::new()).collect();
        for taken in taken {
            let seat: &'static Seat = Box::leak(taken.seat);
            if let Some(reason) = taken.pin_failure {
                log!(warn, worker = %seat.worker, reason, "worker runs unpinned");
                pin_failures.push((seat.worker, reason));
            }
            seats.push(seat);
            benches[seat.numa_index].extend(taken.spares.into_iter().map(|(seat, ring)| Bench {
                seat: Box::leak(seat),
                ring: Some(ring),
            }));
        }
        seats.extend(benches.iter().flatten().map(|spare| spare.seat));
        let homes = (0..numa_nodes)
            .map(|numa_index| {
                let here = seats.iter().copied();
                Home::new(
                    here.filter(|seat| seat.numa_index == numa_index).collect(),
                    members[numa_index],
                    steal::groups_by_distance(&distances[numa_index], numa_index),
                    distances[numa_index].clone().into(),
                )
            })
            .collect();
        let mut threads: Vec<Thread> = handles.into_iter().map(Thread::running).collect();
        let first_booth = seats.len();
        let booths = Booths::new(
            config.dedicated,
            numa_nodes,
            first_booth,
            first_booth + 1,
            &config.thread_name_prefix,
            config.stack_size,
        );
        threads.resize_with(seats.len() + 1 + booths.len(), Thread::none);
        let recorder = Recorder::new(seats.len() + booths.len());

        let scheduler: &'static Self = Box::leak(Box::new(Self {
            driver,
            homes,
            seats: seats.into(),
            workers,
            booths,
            watchdog: CachePadded::default(),
            evicting: Mutex::new(()),
            cross_numa: config.cross_numa,
            lifo_streak_max: config.lifo_streak_max,
            spin: if cpus < 2 {
                Duration::ZERO
            } else {
                config.spin
            },
            stopping: AtomicBool::new(false),
            recording: AtomicBool::new(false),
            recorder,
            pin_failures,
            wakes_from_outside: CachePadded::default(),
            threads: CachePadded(Mutex::new(threads)),
            thread_gone: Condvar::new(),
        }));
        for (gate, &seat) in gates.iter().zip(&scheduler.seats) {
            gate.send((scheduler, seat))
                .expect("a worker that has taken its seat waits at its gate");
        }
        if let Some(watchdog) = config.watchdog {
            let (names, stack_size) = (config.thread_name_prefix, config.stack_size);
            let index = scheduler.seats.len();
            let watch = move || {
                watchdog::run(scheduler, watchdog, benches, names, stack_size);
                scheduler.left(index);
            };
            let spawned = thread::Builder::new()
                .name("actor-watchdog".to_owned())
                .spawn(watch);
            match spawned {
                Ok(handle) => scheduler.joined(index, handle),
                Err(error) => {
                    scheduler.stop();
                    // Nobody has given them anything to do.
                    let _ = scheduler.join(Duration::MAX);
                    return Err(error);
                }
            }
        }
        Ok(scheduler)
    }

    /// Queues a task for the workers of its NUMA node, whose index is its `route`; with `DEDICATED` in it, for
    /// the thread that is kept for this task (`reserve`). From any thread; never waits.
    ///
    /// On a worker of that NUMA node the task stays with that worker, where `hint` says; `hint` means
    /// nothing anywhere else. After `stop` the task is kept for `drain_remaining`.
    ///
    /// # Panics
    ///
    /// If the NUMA index is not one of those the scheduler was started with.
    #[inline]
    pub(crate) fn schedule(&'static self, task: Task, route: usize, hint: Hint) {
        match Worker::current() {
            Some(worker) if worker.serves(self, route) => worker.schedule_local(task, hint),
            _ => self.inject(task, route),
        }
    }

    /// No more turns are taken: each worker leaves after the turn it is in, and puts what it has
    /// queued where `drain_remaining` finds it. Returns at once; may be called again.
    pub(crate) fn stop(&self) {
        // Release: with the Acquire in `is_stopping`. Before the tokens below, whose own edge shows
        // it to each sleeper.
        self.stopping.store(true, Ordering::Release);
        for seat in &self.seats {
            seat.unpark();
        }
        self.booths.stop();
        self.watchdog.stop();
    }

    /// Waits until every worker's thread has ended. Call `stop` first, and not from a worker.
    ///
    /// # Errors
    ///
    /// The workers that did not come back within `timeout`: each is still in a turn. They leave when
    /// it ends; `join` may be called again.
    pub(crate) fn join(&self, timeout: Duration) -> Result<(), Vec<WorkerId>> {
        let deadline = Instant::now().checked_add(timeout);
        let mut threads = self.threads();
        while threads.iter().any(|thread| !thread.gone) {
            // A deadline beyond what the clock can say is none.
            let left = deadline.map_or(Duration::MAX, |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                break;
            }
            threads = self
                .thread_gone
                .wait_timeout(threads, left)
                .expect("nothing panics under this lock")
                .0;
        }
        let mut missing = Vec::new();
        let mut ended = Vec::new();
        for (i, thread) in threads.iter_mut().enumerate() {
            if thread.gone {
                ended.extend(thread.handle.take());
            } else {
                missing.extend(self.worker_of_thread(i));
            }
        }
        drop(threads); // The last steps of a thread need the lock.
        for handle in ended {
            // A thread that unwinds has aborted the process.
            let _ = handle.join();
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(missing)
        }
    }

    /// Takes all tasks out of the queues, after `stop` and `join`. Without `membarrier` the task in the
    /// LIFO slot of a worker that did not come back is not among them; it comes with the next call
    /// after that worker has left.
    pub(crate) fn drain_remaining(&self) -> Vec<Task> {
        let mut remaining = Vec::new();
        for home in &self.homes {
            remaining.extend(home.injector.take_all().into_iter().flatten());
        }
        for seat in &self.seats {
            remaining.extend(self.take_lifo(seat));
            remaining.extend(std::iter::from_fn(|| seat.ring.steal_one()));
        }
        remaining.extend(self.booths.take_all());
        remaining
    }

    /// Moves the task in the LIFO slot of a stuck worker to where others find it.
    pub(super) fn evict(&'static self, seat: &Seat) {
        if let Some(task) = self.take_lifo(seat) {
            self.inject(task, seat.numa_index);
        }
    }

    fn take_lifo(&self, seat: &Seat) -> Option<Task> {
        if seat.own.lifo.looks_empty() {
            return None;
        }
        let _one_at_a_time = self
            .evicting
            .lock()
            .expect("nothing panics under this lock");
        seat.own.lifo.evict()
    }

    /// A look at all counters and queues. Costs a cache miss per worker, and disturbs none.
    pub(crate) fn stats(&self) -> SchedulerStats {
        let workers: Vec<WorkerStats> = self.seats[..self.workers]
            .iter()
            .map(|seat| WorkerStats {
                worker: seat.worker,
                numa_index: seat.numa_index,
                counts: seat.own.counters.read(),
                queued: seat.ring.len(),
            })
            .collect();
        let mut total = Counts::default();
        let mut stolen = vec![vec![0; self.homes.len()]; self.homes.len()];
        for seat in &self.seats {
            total += seat.own.counters.read();
            for (from, took) in seat.took_from.iter().enumerate() {
                stolen[seat.numa_index][from] += took.get();
            }
        }
        let (apart, dedicated) = self.booths.stats();
        total += apart;
        SchedulerStats {
            dedicated,
            stolen,
            stalls: self.watchdog.counts(),
            total,
            // Relaxed: a statistic.
            wakes_from_outside: self.wakes_from_outside.load(Ordering::Relaxed),
            workers,
            numa: self
                .homes
                .iter()
                .map(|home| NumaStats {
                    queued: home.injector.len(),
                    asleep: home.idle.asleep(),
                })
                .collect(),
        }
    }

    /// The workers that run unpinned although a CPU was meant for them, and why.
    pub(crate) fn pin_failures(&self) -> &[(WorkerId, String)] {
        &self.pin_failures
    }

    /// How many turns a worker (or spare) has begun.
    pub(crate) fn turns(&self, worker: WorkerId) -> u64 {
        let index = usize::from(worker.0);
        match self.seats.get(index) {
            Some(seat) => seat.own.counters.turns.get(),
            None => self.booths.turns(index - self.seats.len()),
        }
    }

    /// The task has no thread of its own any more; who still sends it there finds the workers of its NUMA
    /// node.
    pub(crate) fn vacate(&self, task: Task, numa_index: usize) {
        self.booths.vacate(task, numa_index);
    }

    pub(super) fn booths(&self) -> &Booths {
        &self.booths
    }

    /// Behind those of all seats and the watchdog's.
    pub(super) fn first_booth_thread(&self) -> usize {
        self.seats.len() + 1
    }

    /// The worker whose thread that is; `None` for the watchdog's.
    fn worker_of_thread(&self, thread: usize) -> Option<WorkerId> {
        match self.seats.get(thread) {
            Some(seat) => Some(seat.worker),
            None => self
                .booths
                .worker(thread.checked_sub(self.first_booth_thread())?),
        }
    }

    /// All seats: workers', then spares'.
    pub(super) fn seats(&self) -> &[&'static Seat] {
        &self.seats
    }

    /// How many workers there are, without spares.
    pub(crate) fn workers(&self) -> usize {
        self.workers
    }

    pub(super) fn homes(&self) -> &[Home] {
        &self.homes
    }

    pub(super) fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// A worker has come out of its sleep.
    pub(super) fn somebody_woke(&self) {
        self.watchdog.somebody_woke();
    }

    pub(super) fn driver(&self) -> &'static dyn Driver {
        self.driver
    }

    pub(super) fn home(&self, numa_index: usize) -> &Home {
        let nodes = self.homes.len();
        self.homes.get(numa_index).unwrap_or_else(|| {
            panic!("NUMA index {numa_index} in a scheduler with {nodes} NUMA nodes")
        })
    }

    #[inline(always)]
    pub(crate) fn is_stopping(&self) -> bool {
        // Acquire: with the Release in `stop`.
        self.stopping.load(Ordering::Acquire)
    }

    /// To the injector of that NUMA node, and wakes one of its workers.
    #[cold]
    pub(super) fn inject(&'static self, task: Task, route: usize) {
        let numa_index = route & !DEDICATED;
        if route != numa_index && self.booths.put(task, numa_index) {
            return;
        }
        let home = self.home(numa_index);
        let depth = home.injector.push(task);
        if !gathering::keep(self, numa_index) {
            self.call_home(home);
        }
        // Not at every push: the words of other NUMA nodes are far away.
        if depth.is_multiple_of(SHARE_MAX) {
            self.call_far(home, depth);
        }
    }

    /// As `call_home`, of a NUMA index.
    pub(super) fn call(&self, numa_index: usize) {
        self.call_home(self.home(numa_index));
    }

    /// After work was published at `home` where its workers find it: wakes one, if none searches.
    pub(super) fn call_home(&self, home: &Home) {
        if let Some(slot) = home.idle.wake_one() {
            self.unpark(home.seats[slot]);
        }
    }

    /// If all workers of `home` are busy and its injector holds more than they take at one visit, wakes
    /// one worker of the nearest NUMA node that has one asleep. Workers that are awake come by themselves.
    pub(super) fn call_far(&self, home: &Home, depth: usize) {
        if self.cross_numa == CrossNuma::Never
            || depth < SHARE_MAX * home.workers
            || !home.idle.all_busy()
        {
            return;
        }
        for &numa_index in home.far.iter().flatten() {
            let far = self.home(numa_index);
            if let Some(slot) = far.idle.wake_one() {
                self.unpark(far.seats[slot]);
                return;
            }
        }
    }

    /// Wakes the worker that `Idle` has named.
    pub(super) fn unpark(&self, seat: &Seat) {
        match Worker::current() {
            Some(worker) if worker.belongs_to(self) => worker.counters().wakes_sent.add(1),
            // Relaxed: a statistic.
            _ => drop(self.wakes_from_outside.fetch_add(1, Ordering::Relaxed)),
        }
        if self.is_recorded() {
            self.unpark_and_note(seat);
            return;
        }
        seat.unpark();
    }

    /// A thread was started later than the others.
    pub(super) fn joined(&self, index: usize, handle: JoinHandle<()>) {
        let mut threads = self.threads();
        // It may be gone already.
        let gone = std::mem::replace(&mut threads[index], Thread::running(handle));
        threads[index].gone = gone.has_left;
        threads[index].has_left = gone.has_left;
    }

    /// A thread was started in the place of one that has left.
    pub(super) fn joined_again(&self, index: usize, handle: JoinHandle<()>) {
        self.threads()[index] = Thread::running(handle);
    }

    /// The last step of a thread.
    pub(super) fn left(&self, index: usize) {
        let mut threads = self.threads();
        threads[index].gone = true;
        threads[index].has_left = true;
        drop(threads);
        self.thread_gone.notify_all();
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.threads.lock().expect("nothing panics under this lock")
    }
}

impl Thread {
    const fn running(handle: JoinHandle<()>) -> Self {
        Self {
            handle: Some(handle),
            gone: false,
            has_left: false,
        }
    }

    const fn none() -> Self {
        Self {
            handle: None,
            gone: true,
            has_left: false,
        }
    }
}

/// A worker that has taken its seat.
struct Taken {
    seat: Box<Seat>,
    pin_failure: Option<String>,
    spares: Vec<(Box<Seat>, Local)>,
}

type Gate = (&'static Scheduler, &'static Seat);

/// A worker's thread from its first to its last step.
fn seat_and_run(
    place: Place,
    pin: Option<Pin>,
    spares: &[Place],
    numa_nodes: usize,
    ready: &mpsc::Sender<Taken>,
    gate: &mpsc::Receiver<Gate>,
) {
    let _guard = worker::AbortOnUnwind(place.worker);
    let pin_failure = pin.and_then(|pin| pin().err());
    let (seat, local) = Seat::new(place, Duty::On, numa_nodes);
    let taken = Taken {
        seat,
        pin_failure,
        spares: spares
            .iter()
            .map(|place| Seat::new(*place, Duty::Off, numa_nodes))
            .collect(),
    };
    // Either failure means that `start` has given up.
    if ready.send(taken).is_err() {
        return;
    }
    let Ok((scheduler, seat)) = gate.recv() else {
        return;
    };
    worker::run(scheduler, seat, local);
    scheduler.left(seat.index);
}

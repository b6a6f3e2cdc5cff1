//! `Scheduler`: the workers of one system, and everything they share.
//!
//! ```text
//!   Scheduler (leaked) --+-- Home, one per NUMA node: Injector, Idle, its Seats, who is near
//!                        +-- Seat, one per worker: the thieves' end of its ring, its Parker, counters
//!   Worker (leaked), known to its own thread only: the owner's end of the ring, LIFO slot
//! ```
//!
//! The scheduler, its seats and its workers are leaked on purpose. References to stopped actors live
//! for ever in user code, a waker of a foreign reactor may fire after shutdown, and each may reach
//! `schedule`; a reference count on that path would cost 10 ns per turn for the sake of about 3 KiB
//! per worker and started system. A task scheduled after `stop` stays in a queue until
//! `drain_remaining` returns it.
//!
//! Seats and workers are allocated on their own threads, after pinning, so that first touch puts
//! them on the right NUMA node.

#[cfg(feature = "testkit")]
mod manual;

use std::any::Any;
use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::contain::log;
use crate::id::WorkerId;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::cache_padded::CachePadded;
use crate::sync::thread::{self, JoinHandle};
use crate::sync::{Condvar, Mutex, MutexGuard};

use super::config::{Config, CrossNuma, Pin, SeatSpec};
use super::idle::Idle;
use super::injector::{Injector, SHARE_MAX};
use super::park::Parker;
use super::ring::{self, Steal};
use super::stats::{Counters, Counts, NumaStats, SchedulerStats, WorkerStats};
use super::steal;
use super::task::{After, Hint, Task};
use super::worker::{self, Worker};

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
}

/// The workers of one system. Lives for ever once started.
pub(crate) struct Scheduler {
    driver: &'static dyn Driver,
    homes: Box<[Home]>,
    /// In the order of `Config::seats`.
    seats: Box<[&'static Seat]>,
    pub(super) cross_numa: CrossNuma,
    pub(super) lifo_streak_max: u32,
    pub(super) spin: Duration,
    stopping: AtomicBool,
    pin_failures: Vec<(WorkerId, String)>,
    wakes_from_outside: CachePadded<AtomicU64>,
    threads: CachePadded<Mutex<Vec<Thread>>>,
    thread_gone: Condvar,
}

/// One NUMA node's share of the scheduler.
pub(super) struct Home {
    pub(super) injector: Injector,
    pub(super) idle: Idle,
    /// By the index that `idle` knows.
    pub(super) seats: Box<[&'static Seat]>,
    /// The other NUMA indices, nearest group first.
    pub(super) far: Box<[Box<[usize]>]>,
}

/// What others may touch of one worker.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) worker: WorkerId,
    pub(super) numa_index: usize,
    /// Index among all seats.
    pub(super) index: usize,
    /// Index among the seats of its home.
    pub(super) slot: usize,
    pub(super) ring: Steal,
    parker: CachePadded<Parker>,
    pub(super) counters: CachePadded<Counters>,
}

struct Thread {
    handle: Option<JoinHandle<()>>,
    gone: bool,
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
        check(&config.seats, &distances)?;
        // What the caller's thread may use; a caller pinned to one CPU starts workers that do not spin.
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let numa_nodes = distances.len();
        let mut members = vec![0; numa_nodes];

        let (ready, readies) = mpsc::channel();
        let mut gates = Vec::new();
        let mut handles = Vec::new();
        let mut spawned = Ok(());
        for (index, spec) in config.seats.into_iter().enumerate() {
            let slot = members[spec.numa_index];
            members[spec.numa_index] += 1;
            let (gate, opened) = mpsc::channel();
            let place = Place {
                worker: spec.worker,
                numa_index: spec.numa_index,
                index,
                slot,
            };
            let ready = ready.clone();
            let handle = thread::Builder::new()
                .name(format!("{}-{}", config.thread_name_prefix, spec.worker.0))
                .stack_size(config.stack_size)
                .spawn(move || seat_and_run(place, spec.pin, &ready, &opened));
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

        let mut taken: Vec<(Box<Seat>, Option<String>)> =
            readies.iter().take(handles.len()).collect();
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
        taken.sort_by_key(|(seat, _)| seat.index);

        let mut pin_failures = Vec::new();
        let seats: Box<[&'static Seat]> = taken
            .into_iter()
            .map(|(seat, pin_failure)| {
                let seat: &'static Seat = Box::leak(seat);
                if let Some(reason) = pin_failure {
                    log!(warn, worker = %seat.worker, reason, "worker runs unpinned");
                    pin_failures.push((seat.worker, reason));
                }
                seat
            })
            .collect();
        let homes = (0..numa_nodes)
            .map(|numa_index| Home {
                injector: Injector::new(),
                idle: Idle::new(members[numa_index]),
                seats: seats
                    .iter()
                    .copied()
                    .filter(|seat| seat.numa_index == numa_index)
                    .collect(),
                far: steal::groups_by_distance(&distances[numa_index], numa_index),
            })
            .collect();
        let threads = handles
            .into_iter()
            .map(|handle| Thread {
                handle: Some(handle),
                gone: false,
            })
            .collect();

        let scheduler: &'static Self = Box::leak(Box::new(Self {
            driver,
            homes,
            seats,
            cross_numa: config.cross_numa,
            lifo_streak_max: config.lifo_streak_max,
            spin: if cpus < 2 {
                Duration::ZERO
            } else {
                config.spin
            },
            stopping: AtomicBool::new(false),
            pin_failures,
            wakes_from_outside: CachePadded::default(),
            threads: CachePadded(Mutex::new(threads)),
            thread_gone: Condvar::new(),
        }));
        for (gate, &seat) in gates.iter().zip(&scheduler.seats) {
            gate.send((scheduler, seat))
                .expect("a worker that has taken its seat waits at its gate");
        }
        Ok(scheduler)
    }

    /// Queues a task for the workers of its NUMA node. From any thread; never waits.
    ///
    /// On a worker of that NUMA node the task stays with that worker, where `hint` says; `hint` means
    /// nothing anywhere else. After `stop` the task is kept for `drain_remaining`.
    ///
    /// # Panics
    ///
    /// If `numa_index` is not one of those the scheduler was started with.
    #[inline]
    pub(crate) fn schedule(&'static self, task: Task, numa_index: usize, hint: Hint) {
        match Worker::current() {
            Some(worker) if worker.serves(self, numa_index) => worker.schedule_local(task, hint),
            _ => self.inject(task, numa_index),
        }
    }

    /// No more turns are taken: each worker leaves after the turn it is in, and puts what it has
    /// queued where `drain_remaining` finds it. Returns at once; may be called again.
    pub(crate) fn stop(&self) {
        // Release: with the Acquire in `is_stopping`. Before the tokens below, whose own edge shows
        // it to each sleeper.
        self.stopping.store(true, Ordering::Release);
        for seat in &self.seats {
            seat.parker.unpark();
        }
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
        for (thread, seat) in threads.iter_mut().zip(&self.seats) {
            if thread.gone {
                ended.extend(thread.handle.take());
            } else {
                missing.push(seat.worker);
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

    /// Takes all tasks out of the queues, after `stop` and `join`. The task in the LIFO slot of a
    /// worker that did not come back is not among them; it comes with the next call after that
    /// worker has left.
    pub(crate) fn drain_remaining(&self) -> Vec<Task> {
        let mut remaining = Vec::new();
        for home in &self.homes {
            remaining.extend(home.injector.take_all().into_iter().flatten());
        }
        for seat in &self.seats {
            remaining.extend(std::iter::from_fn(|| seat.ring.steal_one()));
        }
        remaining
    }

    /// A look at all counters and queues. Costs a cache miss per worker, and disturbs none.
    pub(crate) fn stats(&self) -> SchedulerStats {
        let workers: Vec<WorkerStats> = self
            .seats
            .iter()
            .map(|seat| WorkerStats {
                worker: seat.worker,
                numa_index: seat.numa_index,
                counts: seat.counters.read(),
                queued: seat.ring.len(),
            })
            .collect();
        let mut total = Counts::default();
        for worker in &workers {
            total += worker.counts;
        }
        SchedulerStats {
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
    pub(super) fn inject(&self, task: Task, numa_index: usize) {
        let home = self.home(numa_index);
        let depth = home.injector.push(task);
        self.call_home(home);
        // Not at every push: the words of other NUMA nodes are far away.
        if depth.is_multiple_of(SHARE_MAX) {
            self.call_far(home, depth);
        }
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
            || depth < SHARE_MAX * home.seats.len()
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
        seat.parker.unpark();
    }

    /// The last step of a worker's thread.
    fn left(&self, seat: &Seat) {
        self.threads()[seat.index].gone = true;
        self.thread_gone.notify_all();
    }

    fn threads(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.threads.lock().expect("nothing panics under this lock")
    }
}

impl Home {
    /// Somebody of this NUMA node would find something now.
    pub(super) fn has_work(&self) -> bool {
        self.injector.len() > 0 || self.seats.iter().any(|seat| seat.ring.has_work())
    }
}

impl Seat {
    /// Sleeps until somebody unparks this worker. Its own thread only.
    pub(super) fn park(&self) {
        self.parker.park();
    }
}

/// Where one worker will sit.
struct Place {
    worker: WorkerId,
    numa_index: usize,
    index: usize,
    slot: usize,
}

type Gate = (&'static Scheduler, &'static Seat);

/// A worker's thread from its first to its last step.
fn seat_and_run(
    place: Place,
    pin: Option<Pin>,
    ready: &mpsc::Sender<(Box<Seat>, Option<String>)>,
    gate: &mpsc::Receiver<Gate>,
) {
    let _guard = worker::AbortOnUnwind(place.worker);
    let pin_failure = pin.and_then(|pin| pin().err());
    let (local, steal) = ring::ring();
    let seat = Box::new(Seat {
        worker: place.worker,
        numa_index: place.numa_index,
        index: place.index,
        slot: place.slot,
        ring: steal,
        parker: CachePadded(Parker::new()),
        counters: CachePadded::default(),
    });
    // Either failure means that `start` has given up.
    if ready.send((seat, pin_failure)).is_err() {
        return;
    }
    let Ok((scheduler, seat)) = gate.recv() else {
        return;
    };
    worker::run(scheduler, seat, local);
    scheduler.left(seat);
}

fn check(seats: &[SeatSpec], distances: &[Vec<u32>]) -> io::Result<()> {
    let refuse = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let nodes = distances.len();
    if seats.is_empty() {
        return refuse("a scheduler needs at least one worker; 0 seats given".to_owned());
    }
    for (from, row) in distances.iter().enumerate() {
        if row.len() != nodes {
            let len = row.len();
            return refuse(format!(
                "distances must be square: {nodes} NUMA nodes, but {len} distances from index {from}"
            ));
        }
        if !seats.iter().any(|seat| seat.numa_index == from) {
            return refuse(format!(
                "NUMA index {from} of {nodes} has no worker; its tasks would never run"
            ));
        }
    }
    match seats.iter().find(|seat| seat.numa_index >= nodes) {
        Some(SeatSpec {
            worker, numa_index, ..
        }) => refuse(format!(
            "{worker} sits at NUMA index {numa_index}, but there are {nodes} NUMA nodes"
        )),
        None => Ok(()),
    }
}

//! The scheduler with real threads and toy actors: a toy counts what it was told, and is scheduled
//! by whoever tells it the first thing.

use std::any::Any;
use std::io;
use std::ptr::NonNull;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::stats::SchedulerStats;
use super::{After, Config, CrossNuma, Driver, Hint, Link, Scheduler, SeatSpec, Task, Worker};
use crate::id::WorkerId;
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, thread};

mod far;

type Handler = Box<dyn Fn(&'static Toy, &Worker) + Send + Sync>;

/// Told a number of times, handles a few of them per turn.
#[repr(C)]
struct Toy {
    link: Link,
    numa_index: usize,
    /// Told and not yet handled. Whoever takes it from 0 to 1 schedules.
    pending: AtomicU64,
    handled: AtomicU64,
    running: AtomicBool,
    handler: Handler,
}

impl Toy {
    fn new(
        numa_index: usize,
        handler: impl Fn(&'static Self, &Worker) + Send + Sync + 'static,
    ) -> &'static Self {
        Box::leak(Box::new(Self {
            link: Link::new(),
            numa_index,
            pending: AtomicU64::new(0),
            handled: AtomicU64::new(0),
            running: AtomicBool::new(false),
            handler: Box::new(handler),
        }))
    }

    fn quiet(numa_index: usize) -> &'static Self {
        Self::new(numa_index, |_, _| {})
    }

    fn tell(&'static self, scheduler: &'static Scheduler, hint: Hint) {
        if self.pending.fetch_add(1, Ordering::AcqRel) == 0 {
            scheduler.schedule(self.task(), self.numa_index, hint);
        }
    }

    fn task(&'static self) -> Task {
        // SAFETY: a toy lives for ever, and `pending` keeps the single-runner invariant.
        unsafe { Task::from_raw(NonNull::from(self).cast()) }
    }

    fn handled(&self) -> u64 {
        self.handled.load(Ordering::Acquire)
    }
}

struct ToyDriver {
    /// Most messages in one turn.
    budget: u64,
    guards: AtomicUsize,
    before_park: Box<dyn Fn(&Worker) + Send + Sync>,
}

impl Driver for ToyDriver {
    unsafe fn take_turn(&self, task: Task, worker: &Worker) -> After {
        // SAFETY: all tasks of these tests come from `Toy::task`, with the provenance of the toy.
        let toy: &'static Toy = unsafe { &*task.as_ptr().cast() };
        let twice = toy.running.swap(true, Ordering::AcqRel);
        assert!(!twice, "one toy on two workers");
        let turn = toy.pending.load(Ordering::Acquire).min(self.budget);
        assert!(turn > 0, "scheduled for nothing");
        for _ in 0..turn {
            (toy.handler)(toy, worker);
            toy.handled.fetch_add(1, Ordering::Release);
        }
        toy.running.store(false, Ordering::Release);
        if toy.pending.fetch_sub(turn, Ordering::AcqRel) == turn {
            After::Done
        } else {
            After::Again
        }
    }

    fn worker_started(&self, worker: &Worker) -> Box<dyn Any> {
        assert_eq!(Worker::current().map(Worker::id), Some(worker.id()));
        self.guards.fetch_add(1, Ordering::Relaxed);
        // The scheduler's driver lives for ever, but not in this signature.
        struct Guard(*const AtomicUsize, thread::ThreadId);
        impl Drop for Guard {
            fn drop(&mut self) {
                assert_eq!(thread::current().id(), self.1);
                // SAFETY: drivers of these tests are leaked.
                unsafe { &*self.0 }.fetch_sub(1, Ordering::Relaxed);
            }
        }
        Box::new(Guard(&raw const self.guards, thread::current().id()))
    }

    fn before_park(&self, worker: &Worker) {
        (self.before_park)(worker);
    }
}

fn driver() -> &'static ToyDriver {
    driver_with(16, |_| {})
}

fn driver_with(
    budget: u64,
    before_park: impl Fn(&Worker) + Send + Sync + 'static,
) -> &'static ToyDriver {
    Box::leak(Box::new(ToyDriver {
        budget,
        guards: AtomicUsize::new(0),
        before_park: Box::new(before_park),
    }))
}

/// `workers[i]` workers at NUMA index i.
fn config(workers: &[usize]) -> Config {
    let mut seats = Vec::new();
    for (numa_index, &n) in workers.iter().enumerate() {
        for _ in 0..n {
            seats.push(SeatSpec {
                worker: WorkerId(seats.len() as u16),
                numa_index,
                pin: None,
            });
        }
    }
    Config::new(seats)
}

fn distances(n: usize) -> Vec<Vec<u32>> {
    let row = |a: usize| (0..n).map(|b| if a == b { 10 } else { 21 }).collect();
    (0..n).map(row).collect()
}

fn start(config: Config) -> &'static Scheduler {
    start_with(config, driver())
}

fn start_with(config: Config, driver: &'static ToyDriver) -> &'static Scheduler {
    let numa_nodes = 1 + config
        .seats
        .iter()
        .map(|seat| seat.numa_index)
        .max()
        .unwrap();
    Scheduler::start(config, distances(numa_nodes), driver).unwrap()
}

fn stop(scheduler: &'static Scheduler) -> SchedulerStats {
    scheduler.stop();
    scheduler.join(PATIENCE).unwrap();
    scheduler.stats()
}

#[track_caller]
fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        thread::yield_now();
    }
}

/// Until the other end is dropped.
fn block_on(released: &Mutex<mpsc::Receiver<()>>) {
    assert!(released.lock().unwrap().recv().is_err(), "nobody sends");
}

/// Far beyond what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

fn all_asleep(scheduler: &Scheduler) -> bool {
    let stats = scheduler.stats();
    stats.numa.iter().map(|numa| numa.asleep).sum::<usize>() == stats.workers.len()
}

/// A xorshift step, for tests that want variety without a crate.
fn next(seed: &AtomicU64) -> u64 {
    let mut x = seed.load(Ordering::Relaxed);
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    seed.store(x, Ordering::Relaxed);
    x
}

#[test]
fn a_storm_conserves_every_message_and_never_runs_a_toy_twice_at_once() {
    static TOYS: Mutex<Vec<&'static Toy>> = Mutex::new(Vec::new());
    let scheduler = start(config(&[2, 2]));
    let forwarded: &'static AtomicU64 = Box::leak(Box::new(AtomicU64::new(0)));
    let mut toys = Vec::new();
    for i in 0..200 {
        let seed = AtomicU64::new(i + 1);
        toys.push(Toy::new(i as usize % 2, move |_, _| {
            // On average one message makes half another one.
            let x = next(&seed);
            if x.is_multiple_of(2) {
                let target = TOYS.lock().unwrap()[(x >> 8) as usize % 200];
                forwarded.fetch_add(1, Ordering::Relaxed);
                let hint = if x & 4 == 0 { Hint::Next } else { Hint::Back };
                target.tell(scheduler, hint);
            }
        }));
    }
    TOYS.lock().unwrap().clone_from(&toys);
    let told = if cfg!(miri) { 200 } else { 30_000 };
    thread::scope(|scope| {
        for sender in 0..3 {
            let toys = &toys;
            scope.spawn(move || {
                let seed = AtomicU64::new(sender + 77);
                for i in 0..told {
                    toys[(next(&seed) >> 8) as usize % 200].tell(scheduler, Hint::Back);
                    if i % 5000 == 0 {
                        thread::sleep(Duration::from_millis(1)); // Let some fall asleep.
                    }
                }
            });
        }
    });
    let handled = || toys.iter().map(|toy| toy.handled()).sum::<u64>();
    let sent = || 3 * told + forwarded.load(Ordering::Relaxed);
    wait_for("all messages", || handled() == sent());
    let stats = stop(scheduler);
    assert_eq!(handled(), sent());
    assert_eq!(stats.queued(), 0);
    assert!(scheduler.drain_remaining().is_empty());
    assert!(
        stats.total.turns <= sent() && stats.total.injector_pops > 0,
        "{stats:?}"
    );
}

#[test]
fn sleeping_workers_wake_for_work_from_outside() {
    let scheduler = start(config(&[2, 2]));
    let toys = [Toy::quiet(0), Toy::quiet(1)];
    for round in 1..=100 {
        wait_for("all workers to sleep", || all_asleep(scheduler));
        for toy in toys {
            toy.tell(scheduler, Hint::Back);
        }
        wait_for("both toys", || {
            toys.iter().all(|toy| toy.handled() == round)
        });
    }
    let stats = stop(scheduler);
    assert!(stats.wakes_from_outside >= 200, "{stats:?}");
    assert!(stats.total.parks >= 200, "{stats:?}");
}

#[test]
fn a_sleeping_neighbour_wakes_for_work_in_a_busy_workers_ring() {
    let scheduler = start(config(&[2]));
    let (ran, wait) = mpsc::channel();
    let ran = Mutex::new(ran);
    let neighbour = Toy::new(0, move |_, worker| {
        ran.lock().unwrap().send(worker.id()).unwrap()
    });
    let wait = Mutex::new(wait);
    let (told, outcome) = mpsc::channel();
    let told = Mutex::new(told);
    // Tells, and does not end its turn before the other has run: elsewhere, necessarily.
    let busy = Toy::new(0, move |_, worker| {
        neighbour.tell(worker.scheduler(), Hint::Back);
        let other = wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        assert_ne!(other, worker.id());
        // The same with the LIFO slot, once exposed.
        wait_for("the neighbour's turn to end", || {
            !neighbour.running.load(Ordering::Acquire)
        });
        neighbour.tell(worker.scheduler(), Hint::Next);
        worker.expose();
        let other = wait.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        told.lock().unwrap().send((other, worker.id())).unwrap();
    });
    wait_for("all workers to sleep", || all_asleep(scheduler));
    busy.tell(scheduler, Hint::Back);
    let (other, busy) = outcome.recv_timeout(PATIENCE).unwrap();
    assert_ne!(other, busy);
    let stats = stop(scheduler);
    assert!(stats.total.steals_near >= 1, "{stats:?}");
}

#[test]
fn a_stopped_scheduler_takes_no_more_turns_and_returns_what_is_left() {
    let driver = driver();
    let scheduler = start_with(config(&[1, 1]), driver);
    // Tell themselves for ever.
    let restless: Vec<&'static Toy> = (0..20)
        .map(|i| {
            Toy::new(i % 2, move |toy, worker| {
                toy.tell(worker.scheduler(), Hint::Next)
            })
        })
        .collect();
    for toy in &restless {
        toy.tell(scheduler, Hint::Back);
    }
    wait_for("some turns", || {
        restless.iter().all(|toy| toy.handled() > 100)
    });
    assert_eq!(driver.guards.load(Ordering::Relaxed), 2);
    let stats = stop(scheduler);
    assert_eq!(driver.guards.load(Ordering::Relaxed), 0);
    assert_eq!(scheduler.stats().total.turns, stats.total.turns);

    let late = Toy::quiet(1);
    late.tell(scheduler, Hint::Next);
    let mut left = scheduler.drain_remaining();
    let mut expected: Vec<Task> = restless.iter().map(|toy| toy.task()).collect();
    expected.push(late.task());
    let address = |task: &Task| task.as_ptr() as usize;
    left.sort_by_key(address);
    expected.sort_by_key(address);
    assert_eq!(left, expected);
    assert_eq!(late.handled(), 0);
    assert!(scheduler.drain_remaining().is_empty());
    assert_eq!(scheduler.join(Duration::ZERO), Ok(()));
}

#[test]
fn join_names_the_worker_that_does_not_come_back() {
    let mut config = config(&[1, 1]);
    config.cross_numa = CrossNuma::Never; // So that it is worker 1.
    let scheduler = start(config);
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let stuck = Toy::new(1, move |_, _| block_on(&wait));
    stuck.tell(scheduler, Hint::Back);
    wait_for("the turn to begin", || {
        stuck.running.load(Ordering::Acquire)
    });
    scheduler.stop();
    assert_eq!(
        scheduler.join(Duration::from_millis(100)),
        Err(vec![WorkerId(1)])
    );
    drop(release);
    assert_eq!(scheduler.join(PATIENCE), Ok(()));
}

#[test]
fn a_refused_pin_is_a_warning_and_the_worker_works() {
    let mut config = config(&[2]);
    let (pinned, on) = mpsc::channel();
    config.seats[0].pin = Some(Box::new(|| Err("not permitted".to_owned())));
    config.seats[1].pin = Some(Box::new(move || {
        pinned
            .send(thread::current().name().map(str::to_owned))
            .unwrap();
        Ok(())
    }));
    config.thread_name_prefix = "toy".to_owned();
    let scheduler = start(config);
    assert_eq!(on.recv().unwrap().as_deref(), Some("toy-1"));
    let refused = [(WorkerId(0), "not permitted".to_owned())];
    assert_eq!(scheduler.pin_failures(), refused);
    let toy = Toy::quiet(0);
    toy.tell(scheduler, Hint::Back);
    wait_for("the toy", || toy.handled() == 1);
    stop(scheduler);
}

/// What a worker did, in order.
fn journal() -> &'static Mutex<Vec<u32>> {
    Box::leak(Box::new(Mutex::new(Vec::new())))
}

#[test]
fn two_that_reschedule_each_other_do_not_starve_a_hundred() {
    let scheduler = start(config(&[1]));
    let journal = journal();
    let over: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    static PAIR: Mutex<Vec<&'static Toy>> = Mutex::new(Vec::new());
    for other in [1, 0] {
        PAIR.lock().unwrap().push(Toy::new(0, move |_, worker| {
            if !over.load(Ordering::Relaxed) {
                journal.lock().unwrap().push(0);
                let other = PAIR.lock().unwrap()[other];
                other.tell(worker.scheduler(), Hint::Next);
            }
        }));
    }
    let others: Vec<&'static Toy> = (1..=100)
        .map(|i| Toy::new(0, move |_, _| journal.lock().unwrap().push(i)))
        .collect();
    let told = others.clone();
    // From inside, so that all of them lie in the ring behind the first of the pair.
    let starter = Toy::new(0, move |_, worker| {
        for toy in &told {
            toy.tell(worker.scheduler(), Hint::Back);
        }
        let first = PAIR.lock().unwrap()[0];
        first.tell(worker.scheduler(), Hint::Next);
    });
    starter.tell(scheduler, Hint::Back);
    wait_for("the hundred", || {
        others.iter().all(|toy| toy.handled() == 1)
    });
    over.store(true, Ordering::Relaxed);
    stop(scheduler);

    let journal = journal.lock().unwrap();
    let in_order: Vec<u32> = journal.iter().copied().filter(|&i| i > 0).collect();
    assert_eq!(in_order, (1..=100).collect::<Vec<_>>(), "the ring is fair");
    let longest = journal
        .split(|&i| i > 0)
        .map(<[u32]>::len)
        .take(100)
        .max()
        .unwrap();
    assert!(
        (1..=8).contains(&longest),
        "{longest} turns of the pair in a row"
    );
}

#[test]
fn what_is_scheduled_next_runs_before_what_is_scheduled_back() {
    let scheduler = start(config(&[1]));
    let journal = journal();
    let note = |i: u32| Toy::new(0, move |_, _| journal.lock().unwrap().push(i));
    let toys = [note(0), note(1), note(2), note(3)];
    let starter = Toy::new(0, move |_, worker| {
        toys[0].tell(worker.scheduler(), Hint::Back);
        toys[1].tell(worker.scheduler(), Hint::Next); // Displaced to the back of the ring.
        toys[2].tell(worker.scheduler(), Hint::Back);
        toys[3].tell(worker.scheduler(), Hint::Next);
    });
    starter.tell(scheduler, Hint::Back);
    wait_for("all toys", || toys.iter().all(|toy| toy.handled() == 1));
    assert_eq!(*journal.lock().unwrap(), [3, 0, 2, 1]);
    assert!(Worker::current().is_none());
    stop(scheduler);
}

#[test]
fn a_lone_worker_sees_the_injector_while_tasks_that_never_end_run() {
    for busy in [1, 3] {
        let scheduler = start_with(config(&[1]), driver_with(4, |_| {}));
        let over: &'static AtomicBool = Box::leak(Box::default());
        let hogs: Vec<&'static Toy> = (0..busy)
            .map(|_| {
                Toy::new(0, |toy, worker| {
                    if !over.load(Ordering::Relaxed) {
                        toy.tell(worker.scheduler(), Hint::Back);
                    }
                })
            })
            .collect();
        for hog in &hogs {
            for _ in 0..8 {
                hog.tell(scheduler, Hint::Back);
            }
        }
        wait_for("the hogs", || hogs.iter().all(|hog| hog.handled() > 1000));
        for _ in 0..20 {
            let toy = Toy::quiet(0);
            toy.tell(scheduler, Hint::Back);
            wait_for("a toy beside the hogs", || toy.handled() == 1);
        }
        over.store(true, Ordering::Relaxed);
        stop(scheduler);
    }
}

#[test]
fn a_ring_that_overflows_loses_nothing() {
    let scheduler = start(config(&[1]));
    let toys: Vec<&'static Toy> = (0..2000).map(|_| Toy::quiet(0)).collect();
    let told = toys.clone();
    let starter = Toy::new(0, move |_, worker| {
        for (i, toy) in told.iter().enumerate() {
            let hint = if i % 2 == 0 { Hint::Back } else { Hint::Next };
            toy.tell(worker.scheduler(), hint);
        }
    });
    starter.tell(scheduler, Hint::Back);
    wait_for("all toys", || toys.iter().all(|toy| toy.handled() == 1));
    let stats = stop(scheduler);
    assert!(stats.total.overflows > 0, "{stats:?}");
    assert_eq!(stats.total.turns, 2001);
}

#[test]
fn work_made_before_sleep_cancels_the_sleep() {
    let toy = Toy::quiet(0);
    let times = AtomicU64::new(0);
    let driver = driver_with(16, move |worker| {
        if times.fetch_add(1, Ordering::Relaxed) < 100 {
            toy.tell(worker.scheduler(), Hint::Next);
        }
    });
    let scheduler = start_with(config(&[1]), driver);
    wait_for("the hundred", || toy.handled() == 100);
    wait_for("the worker to sleep", || all_asleep(scheduler));
    stop(scheduler);
}

#[test]
fn a_scheduler_that_could_not_work_is_refused() {
    let refusal = |config: Config, distances: Vec<Vec<u32>>| {
        let refused = Scheduler::start(config, distances, driver()).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        refused.to_string()
    };
    assert!(refusal(config(&[]), vec![]).contains("0 seats"));
    assert!(refusal(config(&[1]), distances(2)).contains("NUMA index 1 of 2 has no worker"));
    assert!(refusal(config(&[1, 1]), distances(1)).contains("worker1 sits at NUMA index 1"));
    let lopsided = vec![vec![10, 20], vec![20]];
    assert!(refusal(config(&[1, 1]), lopsided).contains("1 distances from index 1"));
}

#[test]
#[cfg(not(miri))]
fn a_panic_that_reaches_the_scheduler_ends_the_process_and_says_so() {
    const CHILD: &str = "ACTOR_CORE_TEST_PANIC_CHILD";
    if std::env::var_os(CHILD).is_some() {
        let scheduler = start(config(&[1]));
        Toy::new(0, |_, _| panic!("the toy breaks")).tell(scheduler, Hint::Back);
        thread::sleep(PATIENCE);
        return; // A success that the parent does not expect.
    }
    let name = "scheduler::tests::a_panic_that_reaches_the_scheduler_ends_the_process_and_says_so";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(!child.status.success());
    assert!(
        said.contains("a panic reached the scheduler on worker0"),
        "{said}"
    );
}

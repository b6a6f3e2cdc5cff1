//! Across NUMA nodes: who helps whom, when, and when not at all.

use super::*;

#[test]
fn never_means_that_no_task_leaves_its_numa_node() {
    let mut config = config(&[1, 2]);
    config.cross_numa = CrossNuma::Never;
    let scheduler = start(config);
    let toys: Vec<&'static Toy> = (0..50)
        .map(|i| {
            let numa_index = usize::from(i % 5 == 0);
            Toy::new(numa_index, move |_, worker| {
                assert_eq!(worker.numa_index(), numa_index);
            })
        })
        .collect();
    // Most of it at index 0, which has one worker while two others idle.
    let rounds = if cfg!(miri) { 20 } else { 2000 };
    for _ in 0..rounds {
        for toy in &toys {
            toy.tell(scheduler, Hint::Back);
        }
    }
    wait_for("all messages", || {
        toys.iter().all(|toy| toy.handled() == rounds)
    });
    assert_eq!(stop(scheduler).total.steals_far, 0);
}

#[test]
fn an_idle_numa_node_helps_a_drowning_one_task_by_task() {
    let scheduler = start(config(&[1, 1]));
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let stuck = Toy::new(0, move |_, _| block_on(&wait));
    stuck.tell(scheduler, Hint::Back);
    wait_for("the turn to begin", || {
        stuck.running.load(Ordering::Acquire)
    });
    let stuck_on = scheduler
        .stats()
        .workers
        .iter()
        .position(|worker| worker.counts.turns > 0)
        .unwrap();
    // Whoever took the stuck one, the other is asleep or on its way there.
    wait_for("the other to sleep", || {
        scheduler.stats().numa[1 - stuck_on].asleep == 1
    });
    let toys: Vec<&'static Toy> = (0..64).map(|_| Toy::quiet(stuck_on)).collect();
    for toy in &toys {
        toy.tell(scheduler, Hint::Back);
    }
    wait_for("all toys", || {
        // If this thread was held up while it told them, the helper may sleep over a few that are left: it
        // is called for many.
        Toy::quiet(stuck_on).tell(scheduler, Hint::Back);
        toys.iter().all(|toy| toy.handled() == 1)
    });
    drop(release);
    let stats = stop(scheduler);
    let took = stats.workers[1 - stuck_on].counts.steals_far;
    assert!(took >= 64, "{stats:?}");
    assert_eq!(stats.stolen[1 - stuck_on][stuck_on], took, "{stats:?}");
}

/// Worker 0 stuck at home, a task that waits behind it, and worker 1 about to run out of work.
struct OneWaits {
    scheduler: &'static Scheduler,
    waiting: &'static Toy,
    release: mpsc::Sender<()>,
    /// Before worker 1 had nothing to do.
    began: std::time::Instant,
    /// On a busy machine they may have changed places.
    swapped: bool,
}

fn one_waits(policy: CrossNuma) -> OneWaits {
    let mut config = config(&[1, 1]);
    config.cross_numa = policy;
    let scheduler = start(config);
    let (release, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let (tell, told) = mpsc::channel();
    let tell_too = tell.clone();
    let stuck = Toy::new(0, move |_, worker| {
        tell.send(worker.id()).unwrap();
        block_on(&wait);
    });
    let (go, going) = mpsc::channel::<()>();
    let going = Mutex::new(going);
    let brief = Toy::new(1, move |_, worker| {
        tell_too.send(worker.id()).unwrap();
        block_on(&going);
    });
    stuck.tell(scheduler, Hint::Back);
    let first = told.recv_timeout(PATIENCE).unwrap();
    brief.tell(scheduler, Hint::Back);
    let second = told.recv_timeout(PATIENCE).unwrap();
    assert_ne!(first, second);
    let waiting = Toy::quiet(0);
    waiting.tell(scheduler, Hint::Back);
    let began = std::time::Instant::now();
    drop(go); // Its worker runs out of work now, and finds one task at the other NUMA node.
    OneWaits {
        scheduler,
        waiting,
        release,
        began,
        swapped: first != WorkerId(0),
    }
}

#[test]
fn who_waits_to_help_comes_when_the_time_is_up() {
    // Far longer than the spinning: the helper sleeps, and nobody calls it.
    let after = Duration::from_millis(30);
    let it = one_waits(CrossNuma::IdleFor(after));
    wait_for("the helper", || it.waiting.handled() == 1);
    assert!(it.swapped || it.began.elapsed() >= after, "too early");
    drop(it.release);
    stop(it.scheduler);
}

#[test]
fn who_waits_to_help_is_no_hindrance_to_the_end() {
    let OneWaits {
        scheduler,
        waiting,
        release,
        ..
    } = one_waits(CrossNuma::IdleFor(Duration::MAX));
    wait_for("the helper to sleep", || {
        scheduler.stats().numa.iter().any(|numa| numa.asleep == 1)
    });
    assert_eq!(waiting.handled(), 0);
    drop(release);
    wait_for("its own worker", || waiting.handled() == 1);
    assert_eq!(stop(scheduler).total.steals_far, 0);
}

#[test]
fn a_guest_that_could_go_on_returns_home() {
    let mut config = config(&[1, 1]);
    config.cross_numa = CrossNuma::IdleFor(Duration::ZERO);
    let scheduler = start(config);
    // Never ends a turn with Done until told enough; wherever it runs, others of its home do too.
    let toys: Vec<&'static Toy> = (0..8)
        .map(|_| {
            Toy::new(0, |toy, worker| {
                if toy.handled() < 5000 {
                    toy.tell(worker.scheduler(), Hint::Back);
                }
            })
        })
        .collect();
    for toy in &toys {
        toy.tell(scheduler, Hint::Back);
    }
    wait_for("all messages", || {
        toys.iter().all(|toy| toy.handled() == 5001)
    });
    assert_eq!(stop(scheduler).queued(), 0);
}

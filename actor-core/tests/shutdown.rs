//! The end of a system: in order, within its time, and with every message accounted for.

mod common;
#[path = "common/life.rs"]
mod life;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actor_core::SpawnError;
use actor_core::prelude::*;
use common::*;
use life::*;

/// One test at a time: a reference to an actor of an ended system is counted in the books of whoever took
/// over its cell, and here that shall be nobody.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn s04_the_tree_stops_in_reverse_order() {
    let _alone = alone();
    quiet();
    let (system, log) = (system(), Log::new());
    let tree = |name: &str| {
        Spec::new(name, &log)
            .child(Spec::new(&format!("{name}.1"), &log))
            .child(Spec::new(&format!("{name}.2"), &log))
    };
    for name in ["a", "b"] {
        let spec = tree(name);
        spec.spawn(&system);
        assert_eq!(spec.family.get(&format!("{name}.2")).life(), 1);
    }
    log.clear();
    finish(system);
    let ends: Vec<String> = log
        .lines()
        .iter()
        .filter_map(|line| line.strip_suffix(" stopped").map(str::to_owned))
        .collect();
    assert_eq!(ends, ["b.2", "b.1", "b", "a.2", "a.1", "a"]);
}

#[test]
fn c13_nothing_accepted_is_lost_unreported() {
    let _alone = alone();
    quiet();
    for round in 0..10 {
        let system = system();
        let handle = system.handle();
        let dots: Vec<_> = (0..16)
            .map(|_| {
                system
                    .actor(Dot)
                    .mailbox(Mailbox::bounded(64))
                    .spawn()
                    .unwrap()
            })
            .collect();
        let dots = Arc::new(dots);
        let (accepted, go) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
        let tellers: Vec<_> = (0..2)
            .map(|_| {
                let (dots, accepted, go) = (dots.clone(), accepted.clone(), go.clone());
                std::thread::spawn(move || {
                    let mut n = 0;
                    while go.load(Ordering::Relaxed) {
                        n += 1;
                        let taken = dots[n % 16].tell(Echo(1)).is_ok();
                        accepted.fetch_add(u64::from(taken), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let other = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (dots, accepted, go) = (dots.clone(), accepted.clone(), go.clone());
                other.spawn(async move {
                    let mut n = 0;
                    while go.load(Ordering::Relaxed) {
                        n += 1;
                        let taken = if n % 2 == 0 {
                            dots[n % 16].send(Echo(1)).await.is_ok()
                        } else {
                            dots[n % 16].ask(Echo(1)).await.is_ok()
                        };
                        accepted.fetch_add(u64::from(taken), Ordering::Relaxed);
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(10 + round));
        let report = system.shutdown_blocking(Duration::from_secs(10));
        assert!(
            report.is_clean(),
            "outsiders cannot keep it from draining: {report}"
        );
        go.store(false, Ordering::Relaxed);
        tellers
            .into_iter()
            .for_each(|teller| teller.join().unwrap());
        other.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
        });
        let books = settle(&handle);
        assert!(books.accepted >= accepted.load(Ordering::Relaxed));
    }
}

#[test]
fn x02_grace_over_cuts_handlers_off() {
    let _alone = alone();
    quiet();
    let (system, log) = (system(), Log::new());
    let nodes: Vec<_> = (0..1000)
        .map(|_| Spec::new("A", &log).spawn(&system))
        .collect();
    for node in &nodes {
        node.tell(Sleep(None)).unwrap();
        node.tell(Note(1)).unwrap();
    }
    wait_until("all sleep", || log.count("A sleeps") == 1000);
    let began = Instant::now();
    let report = system.shutdown_blocking(Duration::from_millis(100));
    assert!(!report.drained && !report.is_clean());
    assert_eq!(report.actors_left, 0, "{report}");
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!(report.conservation.holds_at_rest(), "{report}");
    assert_eq!(
        (
            report.conservation.dropped.interrupted,
            report.conservation.dead_letters.total()
        ),
        (1000, 1000)
    );
}

#[test]
fn x02_sleepers_that_wake_in_time_are_waited_for() {
    let _alone = alone();
    quiet();
    let (system, log) = (system(), Log::new());
    for _ in 0..1000 {
        let node = Spec::new("A", &log).spawn(&system);
        node.tell(Sleep(Some(Duration::from_millis(100)))).unwrap();
    }
    wait_until("all sleep", || log.count("A sleeps") == 1000);
    let report = system.shutdown_blocking(Duration::from_secs(10));
    assert!(
        report.is_clean() && report.conservation.holds_at_rest(),
        "{report}"
    );
    assert_eq!(report.conservation.handled, 1000);
}

#[test]
fn s13_a_handler_that_blocks_is_abandoned_and_named() {
    let _alone = alone();
    quiet();
    let (system, log) = (system(), Log::new());
    let handle = system.handle();
    let a = Spec::new("A", &log).spawn(&system);
    let gate = Gate::new();
    let began = gate.clone();
    a.tell(with(move |_, _| {
        began.open();
        std::thread::sleep(Duration::from_secs(3));
    }))
    .unwrap();
    gate.pass();
    let started = Instant::now();
    let report = system.shutdown_blocking(Duration::from_millis(200));
    assert!(
        started.elapsed() < Duration::from_millis(200 + 1500),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(report.abandoned.len(), 1, "{report}");
    assert_eq!(report.abandoned[0].actor, Some(a.id()));
    assert!(report.to_string().contains(&a.id().to_string()), "{report}");
    assert_eq!(handle.stats().messages.queued(), 1);
}

#[test]
fn afterwards_spawns_and_sends_are_refused_and_the_books_stay() {
    let _alone = alone();
    quiet();
    let (system, log) = (system(), Log::new());
    let handle = system.handle();
    let a = Spec::new("A", &log).spawn(&system);
    a.life();
    let report = system.shutdown_blocking(PATIENCE);
    assert!(report.is_clean());
    assert!(handle.is_shutting_down());
    assert_eq!(handle.spawn(Dot), Err(SpawnError::ShuttingDown));
    assert!(a.tell(Note(1)).unwrap_err().is_dead());
    assert!(matches!(
        a.ask_blocking(Note(1)),
        Err(AskError::Dead { .. })
    ));
    a.stop();
    let books = settle(&handle);
    assert_eq!((books.handled, books.refused.dead), (1, 2));
    assert!(handle.stats().to_string().contains("0 alive"));
}

#[test]
fn dropped_without_shutdown_everywhere() {
    let _alone = alone();
    quiet();
    let log = Log::new();
    let busy = || {
        let system = system();
        let handle = system.handle();
        let node = Spec::new("A", &log).spawn(&system);
        node.tell(Sleep(None)).unwrap();
        node.tell(Note(1)).unwrap();
        (system, handle)
    };
    let over = |handle: SystemRef| {
        wait_until("all actors are gone", || handle.stats().actors.alive() == 0);
        settle(&handle);
    };
    let (system, handle) = busy();
    drop(system);
    over(handle);
    // In async code.
    let (system, handle) = busy();
    let other = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    other.block_on(async move { drop(system) });
    over(handle);
    // In a handler of its own.
    let (system, handle) = busy();
    let node = Spec::new("B", &log).spawn(&system);
    node.tell(with(move |_, _| drop(system))).unwrap();
    over(handle);
    // And the future of a shutdown that nobody waits for.
    let (system, handle) = busy();
    other.block_on(async move {
        let shutdown = system.shutdown(Duration::from_secs(1));
        let _ = tokio::time::timeout(Duration::from_millis(10), shutdown).await;
    });
    over(handle);
}

#[test]
fn two_systems_do_not_mix() {
    let _alone = alone();
    quiet();
    let (one, two, log) = (system(), system(), Log::new());
    let (a, b) = (
        Spec::new("A", &log).spawn(&one),
        Spec::new("B", &log).spawn(&two),
    );
    // Across systems.
    a.watches(b, "B");
    a.ask_blocking(with(move |_, _| b.tell(Note(1)).unwrap()))
        .unwrap();
    assert_eq!(b.life(), 1);
    finish(two);
    log.wait("A heard of B: shut down");
    assert_eq!(a.life(), 1);
    finish(one);
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn systems_come_and_go() {
    let _alone = alone();
    quiet();
    for n in 0..if cfg!(debug_assertions) { 60 } else { 200 } {
        let system = system();
        let dot = system.spawn(Dot).unwrap();
        assert_eq!(dot.ask_blocking(Echo(n)).unwrap(), n);
        let report = system.shutdown_blocking(PATIENCE);
        assert!(report.is_clean(), "{report}");
    }
    // Other tests of this process have threads of their own meanwhile.
    wait_until("their threads are gone", || threads() < 100);
}

/// Runs the test of that name again in a process of its own, as `role`.
#[cfg(unix)]
fn again(test: &str, role: &str) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("ACTOR_TEST_ROLE", role)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[cfg(unix)]
fn terminate(child: &std::process::Child) {
    let killed = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
}

#[cfg(unix)]
fn wait_for_line(child: &mut std::process::Child, wanted: &str) {
    use std::io::BufRead;
    let out = child.stdout.take().unwrap();
    let found = std::io::BufReader::new(out)
        .lines()
        .map_while(Result::ok)
        .any(|line| line.contains(wanted));
    assert!(found, "the child never said {wanted}");
}

#[cfg(unix)]
#[test]
fn x01_sigterm_ends_with_zero_and_a_second_one_at_once() {
    let _alone = alone();
    quiet();
    const ME: &str = "x01_sigterm_ends_with_zero_and_a_second_one_at_once";
    if let Ok(role) = std::env::var("ACTOR_TEST_ROLE") {
        let (system, log) = (system(), Log::new());
        let node = Spec::new("A", &log).spawn(&system);
        let handle = system.handle();
        if role == "stuck" {
            node.tell(Sleep(None)).unwrap();
            log.wait("A sleeps");
        }
        std::thread::spawn(move || {
            // Time for the signal handlers.
            std::thread::sleep(Duration::from_millis(300));
            println!("child is ready");
            _ = handle;
        });
        let report = system
            .run_until_terminated(Duration::from_secs(30))
            .unwrap();
        assert!(report.is_clean() && report.conservation.holds_at_rest());
        std::process::exit(0);
    }
    let mut quick = again(ME, "quick");
    wait_for_line(&mut quick, "child is ready");
    terminate(&quick);
    assert_eq!(quick.wait().unwrap().code(), Some(0));

    let mut stuck = again(ME, "stuck");
    wait_for_line(&mut stuck, "child is ready");
    let began = Instant::now();
    terminate(&stuck);
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        stuck.try_wait().unwrap().is_none(),
        "it waits for its handler"
    );
    terminate(&stuck);
    assert_eq!(stuck.wait().unwrap().code(), Some(143));
    assert!(began.elapsed() < Duration::from_secs(10));
}

//! The end of a system: in order, within its time, and with every message accounted for.

mod common;
#[path = "common/life.rs"]
mod life;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{Abandoned, PhaseOutcome, ShutdownPhase, SpawnError, StartError};
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
        for child in 1..=2 {
            assert_eq!(spec.family.get(&format!("{name}.{child}")).life(), 1);
        }
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
        let report = system.shutdown_blocking(PATIENCE);
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
    let report = system.shutdown_blocking(Duration::from_millis(100));
    assert!(!report.drained && !report.is_clean());
    assert_eq!(report.actors_left, 0, "{report}");
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
    let report = system.shutdown_blocking(PATIENCE);
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
    let (began, gate) = (Gate::new(), Gate::new());
    let (begun, inside) = (began.clone(), gate.clone());
    a.tell(with(move |_, _| {
        begun.open();
        inside.pass();
    }))
    .unwrap();
    began.pass();
    // The gate is shut all the while: a shutdown that waited for the handler would not come back.
    let report = system.shutdown_blocking(Duration::from_millis(200));
    // Beside it a worker that got no CPU in time, perhaps.
    let named = |left: &Abandoned| left.actor == Some(a.id());
    assert!(report.abandoned.iter().any(named), "{report}");
    assert!(report.to_string().contains(&a.id().to_string()), "{report}");
    assert_eq!(handle.stats().messages.queued(), 1);
    gate.open();
    settle(&handle);
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

/// Waits for a line of the child's and leaves the rest to be read.
#[cfg(unix)]
fn lines_of(
    child: &mut std::process::Child,
) -> std::io::Lines<std::io::BufReader<std::process::ChildStdout>> {
    use std::io::BufRead;
    std::io::BufReader::new(child.stdout.take().unwrap()).lines()
}

/// Whether this process has a handler for SIGTERM, so that the signal does not end it. The operating
/// system knows; elsewhere than on Linux it is not asked but given time.
#[cfg(unix)]
fn listens_to_sigterm() -> bool {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        std::thread::sleep(Duration::from_millis(500));
        return true;
    };
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .expect("Linux says which signals are caught");
    let caught = u64::from_str_radix(caught.trim(), 16).unwrap();
    caught & 1 << (libc::SIGTERM - 1) != 0
}

/// Serves asks from outside, as fast as they come, while the process is told to end.
#[cfg(unix)]
fn serve_under_load() -> ! {
    use std::sync::atomic::AtomicUsize;
    #[derive(Default)]
    struct Counts {
        answered: AtomicU64,
        while_unready: AtomicU64,
        refused: AtomicU64,
        wrong: AtomicU64,
        asking: AtomicUsize,
        told_unready: AtomicBool,
    }
    let counts = Arc::new(Counts::default());
    let unready = counts.clone();
    let system = ActorSystem::builder()
        .drain_delay(Duration::from_millis(200))
        // The delay is long enough for all who look: however slow they are.
        .shutdown_phase(
            ShutdownPhase::new("seen")
                .after("unready")
                .timeout(PATIENCE)
                .run(move || async move {
                    let seen = || {
                        unready.told_unready.load(Ordering::SeqCst)
                            && unready.while_unready.load(Ordering::SeqCst) > 0
                    };
                    while !seen() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }),
        )
        .shutdown_phase(ShutdownPhase::new("flush").run(|| async { println!("flushed") }))
        .build()
        .unwrap();
    let handle = system.handle();
    let dots: Vec<_> = (0..8).map(|_| system.spawn(Dot).unwrap()).collect();
    let clients: Vec<_> = (0..2)
        .map(|client| {
            let (dots, counts) = (dots.clone(), counts.clone());
            std::thread::spawn(move || {
                counts.asking.fetch_add(1, Ordering::SeqCst);
                for n in client.. {
                    let unready = !handle.is_ready();
                    match dots[n % dots.len()].ask_blocking(Echo(n as u64)) {
                        Ok(answer) if answer == n as u64 => {
                            counts.answered.fetch_add(1, Ordering::SeqCst);
                            if unready {
                                counts.while_unready.fetch_add(1, Ordering::SeqCst);
                            }
                        }
                        // Not accepted: the one honest answer during a shutdown.
                        Err(AskError::Dead { .. }) => {
                            counts.refused.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                        other => {
                            println!("client {client} was told {other:?}");
                            counts.wrong.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                    }
                }
            })
        })
        .collect();
    {
        let mut readiness = system.readiness();
        let tokio = system.tokio().clone();
        let counts = counts.clone();
        std::thread::spawn(move || {
            tokio.block_on(readiness.until_unready());
            println!("unready");
            counts.told_unready.store(true, Ordering::SeqCst);
        });
    }
    let ready = counts.clone();
    std::thread::spawn(move || {
        wait_until("all serve", || ready.asking.load(Ordering::SeqCst) == 2);
        wait_until("signals are listened to", listens_to_sigterm);
        println!("child is ready");
    });
    let report = system.run_until_terminated(PATIENCE).unwrap();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    let get = |count: &AtomicU64| count.load(Ordering::SeqCst);
    assert!(report.is_clean(), "{report}");
    let books = settle(&handle);
    assert_eq!(get(&counts.wrong), 0);
    assert!(get(&counts.while_unready) > 0, "it served on");
    assert_eq!(get(&counts.refused), 2);
    assert_eq!(books.handled, get(&counts.answered), "{report}");
    assert_eq!(books.accepted, books.handled, "{report}");
    println!("all accounted for");
    std::process::exit(0)
}

#[cfg(unix)]
#[test]
fn x01_sigterm_under_load_serves_drains_and_ends_with_zero() {
    let _alone = alone();
    quiet();
    const ME: &str = "x01_sigterm_under_load_serves_drains_and_ends_with_zero";
    if std::env::var_os("ACTOR_TEST_ROLE").is_some() {
        serve_under_load();
    }
    let mut child = again(ME, "loaded");
    let mut lines = lines_of(&mut child).map_while(Result::ok);
    assert!(lines.any(|line| line.contains("child is ready")));
    terminate(&child);
    let said: Vec<String> = lines.collect();
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(0), "{said:#?}");
    let at = |wanted: &str| {
        said.iter()
            .position(|line| line == wanted)
            .unwrap_or_else(|| panic!("no {wanted:?} in {said:#?}"))
    };
    assert!(at("unready") < at("flushed") && at("flushed") < at("all accounted for"));
}

#[cfg(unix)]
#[test]
fn x02_a_second_sigterm_ends_it_at_once_and_says_what_it_leaves() {
    use std::io::Read;
    let _alone = alone();
    quiet();
    const ME: &str = "x02_a_second_sigterm_ends_it_at_once_and_says_what_it_leaves";
    if std::env::var_os("ACTOR_TEST_ROLE").is_some() {
        let log = Log::new();
        let system = system();
        let asleep = Spec::new("asleep", &log).spawn(&system);
        asleep.tell(Sleep(None)).unwrap();
        log.wait("asleep sleeps");
        let blocked = Spec::new("blocked", &log).spawn(&system);
        let began = Gate::new();
        let begun = began.clone();
        blocked
            .tell(with(move |_, _| {
                begun.open();
                std::thread::sleep(PATIENCE)
            }))
            .unwrap();
        began.pass();
        // The last one: stopped first, when the actors are drained.
        let idle = Spec::new("idle", &log).spawn(&system);
        assert_eq!(idle.life(), 1);
        std::thread::spawn(move || {
            wait_until("signals are listened to", listens_to_sigterm);
            println!("child is ready");
            log.wait("idle stopping: shut down");
            println!("it drains now");
        });
        _ = system.run_until_terminated(Duration::from_secs(60));
        panic!("it was to be ended before");
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", ME, "--nocapture"])
        .env("ACTOR_TEST_ROLE", "stuck")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = lines_of(&mut child).map_while(Result::ok);
    assert!(lines.any(|line| line.contains("child is ready")));
    terminate(&child);
    assert!(lines.any(|line| line.contains("it drains now")));
    assert!(
        child.try_wait().unwrap().is_none(),
        "it waits for its handlers"
    );
    let began = Instant::now();
    terminate(&child);
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{said}");
    assert!(began.elapsed() < PATIENCE, "at once");
    for part in [
        "second signal: SIGTERM",
        "abandoned: phase drain-actors",
        "\"asleep\": ",
        "Sleep awaits",
        "in a handler that neither returns nor awaits",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
}

#[cfg(unix)]
#[test]
fn x02_after_the_end_a_first_signal_is_enough() {
    let _alone = alone();
    quiet();
    const ME: &str = "x02_after_the_end_a_first_signal_is_enough";
    if std::env::var_os("ACTOR_TEST_ROLE").is_some() {
        let system = system();
        let handle = system.handle();
        let dot = system.spawn(Dot).unwrap();
        dot.ask_blocking(Echo(1)).unwrap();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            handle.request_shutdown(PATIENCE).unwrap();
        });
        let report = system.run_until_terminated(PATIENCE).unwrap();
        assert!(report.is_clean() && report.conservation.holds_at_rest());
        println!("child is ready");
        std::thread::sleep(PATIENCE);
        std::process::exit(1);
    }
    let mut child = again(ME, "over");
    wait_for_line(&mut child, "child is ready");
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(143));
}

/// A system with phases; each writes its name into the log.
fn with_phases(log: &Log, phases: Vec<ShutdownPhase>) -> ActorSystem {
    let mut builder = ActorSystem::builder();
    for phase in phases {
        builder = builder.shutdown_phase(phase);
    }
    let _ = log;
    builder.build().unwrap()
}

fn saying(log: &Log, name: &str) -> ShutdownPhase {
    let (log, line) = (log.clone(), format!("phase {name}"));
    ShutdownPhase::new(name).run(move || async move {
        log.say(line);
    })
}

fn outcomes(report: &actor_core::ShutdownReport) -> Vec<(&str, &PhaseOutcome)> {
    report
        .phases
        .iter()
        .map(|phase| (phase.name.as_str(), &phase.outcome))
        .collect()
}

#[test]
fn x03_phases_run_at_their_places() {
    let _alone = alone();
    quiet();
    let log = Log::new();
    let own: &[(&str, &str)] = &[
        ("early", "unready"),
        ("after-unready", "unready"),
        ("leave", "drain-actors"),
        ("flush", "drain-actors"),
    ];
    let system = with_phases(
        &log,
        vec![
            saying(&log, own[3].0).after(own[3].1),
            saying(&log, own[2].0).before(own[2].1),
            saying(&log, own[1].0).after(own[1].1),
            saying(&log, own[0].0).before(own[0].1),
        ],
    );
    let spec = Spec::new("A", &log);
    spec.spawn(&system).life();
    let books = settle(&system);
    let report = system.shutdown_blocking(PATIENCE);
    assert!(report.is_clean(), "{report}");
    let names: Vec<_> = report
        .phases
        .iter()
        .map(|phase| phase.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "early",
            "unready",
            "after-unready",
            "drain-delay",
            "stop-intake",
            "leave",
            "drain-actors",
            "flush"
        ]
    );
    assert!(log.at("phase leave") < log.at("A stopped"));
    assert!(log.at("A stopped") < log.at("phase flush"));
    assert_eq!(report.conservation, books);
}

#[test]
fn x03_a_phase_that_hangs_or_panics_does_not_keep_the_next_from_running() {
    let _alone = alone();
    quiet();
    let log = Log::new();
    let short = Duration::from_millis(30);
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    let phases = vec![
        ShutdownPhase::new("hangs")
            .timeout(short)
            .run(std::future::pending::<()>),
        ShutdownPhase::new("blocks")
            .after("hangs")
            .timeout(short)
            .run(move || async move { _ = blocked.recv() }),
        ShutdownPhase::new("panics").after("blocks").run(|| async {
            if true {
                boom()
            }
        }),
        ShutdownPhase::new("bomb").after("panics").run(|| async {
            if true {
                std::panic::panic_any(Bomb)
            }
        }),
        ShutdownPhase::new("panics-early")
            .after("bomb")
            .run(|| -> std::future::Ready<()> { boom() }),
        ShutdownPhase::new("fails")
            .after("panics-early")
            .run(|| async { Err::<(), _>("no disk") }),
        saying(&log, "last").after("fails"),
    ];
    let system = with_phases(&log, phases);
    Spec::new("A", &log).spawn(&system).life();
    let handle = system.handle();
    let report = system.shutdown_blocking(PATIENCE);
    drop(unblock);
    assert!(report.drained && !report.is_clean(), "{report}");
    let panicked = PhaseOutcome::Panicked("meant: boom".to_owned());
    let outcomes = outcomes(&report);
    // Whether it has been seen to end, after its time, is a matter of the machine.
    let ("hangs", PhaseOutcome::TimedOut { limit, .. }) = outcomes[4] else {
        panic!("{report}");
    };
    assert_eq!(*limit, short);
    assert_eq!(
        outcomes[5..],
        [
            (
                "blocks",
                &PhaseOutcome::TimedOut {
                    limit: short,
                    still_running: true
                }
            ),
            ("panics", &panicked),
            (
                "bomb",
                &PhaseOutcome::Panicked("a panic payload that is not text".to_owned())
            ),
            ("panics-early", &panicked),
            ("fails", &PhaseOutcome::Failed("no disk".to_owned())),
            ("last", &PhaseOutcome::Done),
        ]
    );
    assert!(log.has("phase last"));
    assert!(report.to_string().contains("phase blocks: timed out"));
    assert_eq!(handle.stats().actors.panics, 3);
    assert!(report.conservation.holds_at_rest(), "{report}");
}

#[test]
fn x03_with_the_grace_over_what_is_left_is_skipped_and_the_actors_still_end() {
    let _alone = alone();
    quiet();
    let log = Log::new();
    let phases = vec![
        ShutdownPhase::new("greedy")
            .before("unready")
            .timeout(PATIENCE)
            .run(std::future::pending::<()>),
        saying(&log, "late"),
    ];
    let system = with_phases(&log, phases);
    let node = Spec::new("A", &log).spawn(&system);
    node.tell(Sleep(None)).unwrap();
    log.wait("A sleeps");
    let report = system.shutdown_blocking(Duration::from_millis(50));
    assert!(!report.drained, "{report}");
    assert_eq!(report.phases.last().unwrap().name, "late");
    assert_eq!(report.phases.last().unwrap().outcome, PhaseOutcome::Skipped);
    assert!(!log.has("phase late"));
    assert_eq!(report.actors_left, 0, "{report}");
    assert_eq!(report.conservation.dropped.interrupted, 1);
    assert!(report.conservation.holds_at_rest(), "{report}");
}

#[test]
fn x04_a_phase_graph_that_makes_no_sequence_is_refused_at_the_start() {
    // It counts threads.
    if !is_alone("x04_a_phase_graph_that_makes_no_sequence_is_refused_at_the_start") {
        return;
    }
    let before = threads();
    let refused = |phases: Vec<ShutdownPhase>| {
        let mut builder = ActorSystem::builder();
        for phase in phases {
            builder = builder.shutdown_phase(phase);
        }
        match builder.build() {
            Err(error @ StartError::Phases(_)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let phase = ShutdownPhase::new;
    assert_eq!(
        refused(vec![phase("a").after("b"), phase("b").after("a")]),
        "cannot start actors: shutdown phases wait for each other in a circle: a -> b -> a"
    );
    assert!(refused(vec![phase("a").after("flush")]).contains("refers to \"flush\""));
    assert!(refused(vec![phase("a"), phase("a")]).contains("two shutdown phases"));
    assert!(refused(vec![phase("stop-intake")]).contains("the runtime has a phase of that name"));
    assert!(refused(vec![phase("a").timeout(Duration::ZERO)]).contains("timeout is zero"));
    assert!(threads() <= before, "nothing was started");
}

#[test]
fn x05_asked_for_from_everywhere_it_runs_once_and_all_get_the_report() {
    let _alone = alone();
    quiet();
    for round in 0..20 {
        let log = Log::new();
        let system = with_phases(&log, vec![saying(&log, "once")]);
        let handle = system.handle();
        let a = Spec::new("A", &log).spawn(&system);
        a.life();
        let go = Arc::new(std::sync::Barrier::new(3));
        let askers: Vec<_> = (0..2)
            .map(|_| {
                let go = go.clone();
                std::thread::spawn(move || {
                    go.wait();
                    let asked = handle.request_shutdown(PATIENCE).unwrap();
                    asked.report_blocking()
                })
            })
            .collect();
        // And from an actor, which is itself among those that stop.
        let inside = a.ask_blocking(with(move |_, _| {
            if round % 2 == 0 {
                Some(handle.request_shutdown(PATIENCE).unwrap())
            } else {
                None
            }
        }));
        go.wait();
        let mut reports: Vec<_> = askers
            .into_iter()
            .map(|asker| asker.join().unwrap())
            .collect();
        if let Ok(Some(asked)) = inside {
            reports.push(asked.report_blocking());
        }
        let other = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        reports.push(other.block_on(system.shutdown(PATIENCE)));
        assert!(handle.is_shutting_down() && !handle.is_ready());
        for report in &reports {
            assert!(report.is_clean(), "{report}");
            assert_eq!(
                report.elapsed, reports[0].elapsed,
                "one shutdown, one report"
            );
            assert!(report.conservation.holds_at_rest(), "{report}");
        }
        assert_eq!(log.count("phase once"), 1);
        assert_eq!(log.count("A stopped"), 1);
    }
}

#[test]
fn x05_dropping_the_system_waits_for_a_shutdown_that_was_asked_for() {
    let _alone = alone();
    quiet();
    let log = Log::new();
    let system = with_phases(&log, vec![saying(&log, "flush")]);
    let node = Spec::new("A", &log).spawn(&system);
    node.tell(Sleep(Some(Duration::from_millis(50)))).unwrap();
    let asked = system.request_shutdown(PATIENCE).unwrap();
    drop(system);
    let report = asked.try_report().expect("it is over");
    assert!(report.is_clean() && log.has("phase flush"), "{report}");
    assert_eq!(report.conservation.handled, 1);
    assert!(report.conservation.holds_at_rest(), "{report}");
}

#[test]
fn x01_readiness_is_the_programs_wish_and_ends_with_a_shutdown() {
    let _alone = alone();
    let system = system();
    let handle = system.handle();
    let mut readiness = system.readiness();
    assert!(system.is_ready());
    system.set_ready(false);
    assert!(!readiness.is_ready());
    system.set_ready(true);
    assert!(readiness.is_ready());
    let dot = system.spawn(Dot).unwrap();
    dot.ask_blocking(Echo(1)).unwrap();
    let watcher = std::thread::spawn(move || {
        let other = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        other.block_on(readiness.until_unready());
    });
    finish(system);
    watcher.join().unwrap();
    handle.set_ready(true);
    assert!(!handle.is_ready());
}

#[test]
fn x02_the_report_names_all_that_was_left() {
    let _alone = alone();
    quiet();
    let log = Log::new();
    let system = with_phases(&log, Vec::new());
    // A parent that waits for its child, whose handler blocks its worker.
    let parent = Spec::new("parent", &log).spawn(&system);
    let (gate, began) = (Gate::new(), Gate::new());
    let (inside, begun) = (gate.clone(), began.clone());
    let spec = Spec::new("stuck", &log);
    let stuck = parent
        .ask_blocking(with(move |_, cx| spec.spawn_in(cx).unwrap()))
        .unwrap();
    stuck
        .tell(with(move |_, _| {
            begun.open();
            inside.pass();
        }))
        .unwrap();
    began.pass();
    stuck.tell(Note(1)).unwrap();
    let handle = system.handle();
    let report = system.shutdown_blocking(Duration::from_millis(50));
    assert!(!report.is_clean());
    // Beside it a worker that got no CPU in time, perhaps.
    let named = |left: &&Abandoned| left.actor == Some(stuck.id());
    let Some(abandoned) = report.abandoned.iter().find(named) else {
        panic!("{report}");
    };
    let actor_type = abandoned.actor_type;
    assert!(actor_type.is_some_and(|name| name.ends_with("Node")));
    // The parent has given up waiting for its child, unless it got no worker for that.
    let left: Vec<_> = report.left_behind.iter().map(|left| left.actor).collect();
    // It may end after it was seen.
    let most = left.len() as u64;
    assert!((1..=most).contains(&report.actors_left), "{report}");
    assert_eq!(left[0], stuck.id(), "{report}");
    assert!(
        left[1..].iter().all(|left| *left == parent.id()),
        "{report}"
    );
    assert!(report.left_behind[0].seen.is_none(), "{report}");
    assert!(report.to_string().contains("left behind"), "{report}");
    // It comes back after all: everything still comes to its end.
    gate.open();
    wait_until("all are gone", || handle.stats().actors.alive() == 0);
    assert_eq!(log.count("stuck dropped 1"), 1);
    assert_eq!(log.count("parent dropped 1"), 1);
    let books = settle(&handle);
    assert_eq!((books.handled, books.dead_letters.total()), (2, 1));
}

#[test]
fn c3_a_spawn_that_races_the_end_is_refused_or_dropped() {
    let _alone = alone();
    quiet();
    struct Held(#[expect(dead_code, reason = "its drop is counted")] Token);
    impl Actor for Held {}
    for round in 0..if cfg!(debug_assertions) { 100 } else { 400 } {
        let (system, tally) = (system(), Tally::new());
        let handle = system.handle();
        let spawners: Vec<_> = (0..2)
            .map(|n| {
                let tally = tally.clone();
                std::thread::spawn(move || {
                    loop {
                        let token = tally.token();
                        let spawned = if n == 0 {
                            handle.spawn(Held(token))
                        } else {
                            let mut token = Some(token);
                            let make = move || Held(token.take().expect("built once"));
                            handle.actor(make).restart(Restart::Temporary).spawn()
                        };
                        if let Err(error) = spawned {
                            assert_eq!(error, SpawnError::ShuttingDown);
                            return;
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_micros(100 * (round % 7)));
        let report = if round % 2 == 0 {
            system.shutdown_blocking(PATIENCE)
        } else {
            drop(system);
            handle.wait_for_shutdown()
        };
        spawners
            .into_iter()
            .for_each(|spawner| spawner.join().unwrap());
        let what = format!("every payload of round {round} is dropped after this:\n{report}");
        wait_until(&what, || tally.alive() == 0);
        assert_eq!(handle.stats().actors.alive(), 0, "{report}");
        settle(&handle);
    }
}

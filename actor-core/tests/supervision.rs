//! Supervision, by the contract's checks: who is restarted, how often, and what gives up.

mod common;
#[path = "common/life.rs"]
mod life;

use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{ActorId, StopMode};
use common::*;
use life::*;

fn supervisor(log: &Log, names: &[&str]) -> Spec {
    let mut spec = Spec::new("sup", log);
    for name in names {
        spec = spec.child(Spec::new(name, log));
    }
    spec
}

#[test]
fn s01_one_for_one_leaves_siblings_alone() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = supervisor(&log, &["A", "B"]);
    spec.spawn(&system);
    let (a, b) = (spec.family.get("A"), spec.family.get("B"));
    for n in 0..100 {
        b.tell(Note(n)).unwrap();
        if n == 50 {
            a.crash();
        }
    }
    assert_eq!((a.life(), b.life()), (2, 1));
    let numbers = b
        .ask_blocking(with(|node, _| node.numbers.clone()))
        .unwrap();
    assert_eq!(numbers[..100], (0..100).collect::<Vec<_>>());
    finish(system);
}

#[test]
fn s04_children_stop_in_reverse_each_fully_before_the_next() {
    quiet();
    let (system, log) = (system(), Log::new());
    let names = ["A", "B", "C", "D", "E"];
    let spec = supervisor(&log, &names);
    let sup = spec.spawn(&system);
    for name in names {
        assert_eq!(spec.family.get(name).life(), 1, "started");
    }
    log.clear();
    sup.stop();
    sup.gone();
    let mut expected = Vec::new();
    for name in names.iter().rev() {
        expected.push(format!("{name} stopping: shut down"));
        expected.push(format!("{name} stopped"));
        expected.push(format!("{name} dropped 1"));
    }
    expected.extend(["sup stopping: stopped", "sup stopped", "sup dropped 1"].map(str::to_owned));
    assert_eq!(log.lines(), expected);
    finish(system);
}

#[test]
fn s05_limit_is_exact_and_escalates() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = supervisor(&log, &["A", "B", "C"]);
    spec.supervision = Supervision::one_for_one()
        .intensity(3)
        .period(Duration::from_secs(60));
    let top = Spec::new("top", &log);
    let boss = top.spawn(&system);
    let sup = {
        let spec = spec.clone();
        boss.ask_blocking(with(move |_, cx| spec.spawn_in(cx).unwrap()))
            .unwrap()
    };
    let [a, b, c] = ["A", "B", "C"].map(|name| spec.family.get(name));
    boss.watches(a, "A");
    a.crash();
    b.crash();
    c.crash();
    assert_eq!(
        (a.life(), b.life(), c.life()),
        (2, 2, 2),
        "all restarted within the limit"
    );
    assert_eq!(sup.life(), 1);
    log.clear();
    b.crash();
    log.wait("sup started 2");
    assert_eq!(sup.life(), 2, "answered once its children are spawned");
    assert_eq!(
        spec.family.get("A").life(),
        1 + 2,
        "a new child of the new life"
    );
    let lines = log.lines();
    assert!(log.at("C dropped 2") < log.at("A dropped 2"), "{lines:#?}");
    assert!(
        log.at("A dropped 2") < log.at("sup started 2"),
        "{lines:#?}"
    );
    assert!(!a.is_alive() && !b.is_alive() && !c.is_alive());
    assert!(sup.is_alive(), "its address is kept");
    log.wait("top heard of A: shut down");
    assert_eq!(log.starting("top heard"), 1);
    finish(system);
}

#[test]
fn s05_last_reason_is_the_restart_limit() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = supervisor(&log, &["A"]);
    spec.supervision = Supervision::one_for_one()
        .intensity(1)
        .period(Duration::from_secs(60));
    spec.restart = Restart::Temporary;
    let boss = Spec::new("top", &log).spawn(&system);
    let inner = spec.clone();
    let sup = boss
        .ask_blocking(with(move |_, cx| inner.spawn_in(cx).unwrap()))
        .unwrap();
    boss.watches(sup, "sup");
    let a = spec.family.get("A");
    a.crash();
    assert_eq!(a.life(), 2);
    a.crash();
    sup.gone();
    let told =
        "top heard of sup: restart limit reached (1 in 60s), last failure: A panicked: meant: boom";
    log.wait(told);
    finish(system);
    assert_eq!(log.starting("top heard"), 1, "the parent is notified once");
}

#[test]
fn s05_a_new_life_begins_with_an_empty_window() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = supervisor(&log, &["A"]);
    spec.supervision = Supervision::one_for_one()
        .intensity(1)
        .period(Duration::from_secs(60));
    let boss = Spec::new("top", &log).spawn(&system);
    let inner = spec.clone();
    let sup = boss
        .ask_blocking(with(move |_, cx| inner.spawn_in(cx).unwrap()))
        .unwrap();
    for life in 1..=2 {
        let a = spec.family.get("A");
        wait_until("the child of this life", || spec.family.get("A").is_alive());
        let a = if a.is_alive() {
            a
        } else {
            spec.family.get("A")
        };
        a.crash();
        assert_eq!(
            sup.life(),
            life,
            "one restart is within the limit of each life"
        );
        a.crash();
        log.wait(&format!("sup started {}", life + 1));
        wait_until("a new child", || spec.family.get("A") != a);
    }
    assert_eq!(sup.life(), 3);
    finish(system);
}

#[test]
fn s05_a_supervisor_at_the_top_has_its_own_window() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = supervisor(&log, &["A"]);
    spec.supervision = Supervision::one_for_one()
        .intensity(0)
        .period(Duration::from_secs(60));
    let sup = spec.spawn(&system);
    spec.family.get("A").crash();
    log.wait("sup started 2");
    assert_eq!(
        sup.life(),
        2,
        "the limit for its children is not the limit for itself"
    );
    finish(system);
}

#[test]
fn s06_old_crashes_leave_the_window() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = supervisor(&log, &["A"]);
    spec.supervision = Supervision::one_for_one()
        .intensity(1)
        .period(Duration::from_millis(100));
    let sup = spec.spawn(&system);
    let a = spec.family.get("A");
    for life in 2..=5 {
        a.crash();
        assert_eq!(a.life(), life);
        std::thread::sleep(Duration::from_millis(210));
    }
    assert_eq!(sup.life(), 1);
    finish(system);
}

#[test]
fn s07_periods_beyond_all_bounds_keep_the_limit() {
    quiet();
    let (system, log) = (system(), Log::new());
    for period in [
        Duration::from_secs(30 * 24 * 3600),
        Duration::from_millis(u64::MAX),
        Duration::MAX,
    ] {
        log.clear();
        let mut spec = supervisor(&log, &["A"]);
        spec.supervision = Supervision::one_for_one().intensity(2).period(period);
        spec.restart = Restart::Temporary;
        let sup = spec.spawn(&system);
        let a = spec.family.get("A");
        a.crash();
        a.crash();
        assert_eq!((a.life(), sup.life()), (3, 1));
        a.crash();
        sup.gone();
    }
    finish(system);
}

#[test]
fn s08_limit_zero_stops_at_the_first_crash() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = supervisor(&log, &["A", "B"]);
    spec.supervision = Supervision::one_for_one().intensity(0);
    spec.restart = Restart::Temporary;
    let sup = spec.spawn(&system);
    spec.family.get("A").crash();
    sup.gone();
    assert_eq!(log.starting("A started"), 1);
    assert_eq!(log.count("B stopped"), 1);
    finish(system);
}

#[test]
fn s09_restart_by_policy_and_by_end() {
    quiet();
    type End = fn(&ActorRef<Node>);
    let ends: [(&str, End); 5] = [
        ("normal", |child| child.stop()),
        ("own word", |child| {
            child.ask_blocking(with(|_, cx| cx.stop())).unwrap()
        }),
        ("fail", |child| {
            child.ask_blocking(with(|_, cx| cx.fail("no"))).unwrap()
        }),
        ("panic", |child| child.crash()),
        ("kill", NodeRef::kill),
    ];
    let (system, log) = (system(), Log::new());
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        for (end, act) in ends {
            let mut child = Spec::new("A", &log);
            child.restart = restart;
            let spec = Spec::new("sup", &log).child(child);
            let sup = spec.spawn(&system);
            let a = spec.family.get("A");
            assert_eq!(a.life(), 1);
            act(&a);
            let again = match restart {
                Restart::Permanent => end != "kill",
                Restart::Transient => matches!(end, "panic" | "fail"),
                Restart::Temporary => false,
            };
            if again {
                wait_until("it is restarted", || {
                    a.ask_blocking(Note(0)).is_ok_and(|life| life == 2)
                });
            } else {
                a.gone();
                assert!(matches!(
                    a.ask_blocking(Note(0)),
                    Err(AskError::Dead { .. })
                ));
            }
            assert_eq!(sup.life(), 1, "{restart:?} {end}");
            let children = sup.ask_blocking(with(|_, cx| cx.children())).unwrap();
            wait_until("the child is unlinked", || {
                sup.ask_blocking(with(|_, cx| cx.children())).unwrap() == usize::from(again)
            });
            assert!(children <= 1);
            sup.stop();
            sup.gone();
            assert!(!a.is_alive(), "a supervisor's stop is the end, {restart:?}");
        }
    }
    finish(system);
}

#[test]
fn s09_shutdown_of_the_parent_restarts_nobody() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = Spec::new("sup", &log);
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        let mut child = Spec::new(&format!("{restart:?}"), &log);
        child.restart = restart;
        spec = spec.child(child);
    }
    let sup = spec.spawn(&system);
    assert_eq!(spec.family.get("Temporary").life(), 1);
    sup.stop();
    sup.gone();
    for child in &spec.children {
        assert_eq!(child.lives(), 1);
        assert_eq!(log.count(&format!("{} stopped", child.name)), 1);
    }
    finish(system);
}

#[test]
fn s11_start_that_fails_in_a_restart_counts_and_escalates() {
    quiet();
    for hook in [
        Hook::Error,
        Hook::Panic,
        Hook::PanicLater,
        Hook::PanicWithBomb,
    ] {
        let (system, log) = (system(), Log::new());
        let mut child = Spec::new("A", &log);
        child.on_start = hook;
        child.hooks_from = 2;
        let mut spec = Spec::new("sup", &log)
            .child(child)
            .child(Spec::new("B", &log));
        spec.supervision = Supervision::one_for_one()
            .intensity(3)
            .period(Duration::from_secs(60));
        spec.restart = Restart::Temporary;
        let sup = spec.spawn(&system);
        spec.family.get("A").crash();
        sup.gone();
        // The first life, and three restarts that failed.
        assert_eq!(log.starting("A started"), 4, "{hook:?} {:#?}", log.lines());
        assert_eq!(
            log.starting("A stopping"),
            0,
            "a life that failed has no stopped hook"
        );
        assert_eq!(log.count("B stopped"), 1);
        finish(system);
    }
}

#[test]
fn s12_supervisor_answers_while_a_child_cannot_start() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut child = Spec::new("A", &log);
    child.on_start = Hook::Error;
    child.backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
    let mut spec = Spec::new("sup", &log).child(child);
    spec.supervision = Supervision::one_for_one()
        .intensity(10_000)
        .period(Duration::from_secs(60));
    let sup = spec.spawn(&system);
    wait_until("it has failed some times", || spec.children[0].lives() > 5);
    // How fast: the test of this name in `supervisor`.
    assert_eq!(sup.ask_blocking(with(|_, cx| cx.children())).unwrap(), 1);
    sup.stop();
    sup.gone();
    finish(system);
}

#[test]
fn s14_children_end_by_themselves_while_the_supervisor_stops() {
    quiet();
    let (system, log) = (system(), Log::new());
    let names: Vec<String> = (0..12).map(|n| format!("c{n}")).collect();
    let mut spec = Spec::new("sup", &log);
    spec.restart = Restart::Temporary;
    for name in &names {
        spec = spec.child(Spec::new(name, &log));
    }
    // It is stopped first, and keeps the stop from going on while the others end.
    let mut last = Spec::new("last", &log);
    last.on_stop = Hook::Hang;
    last.shutdown = Shutdown::Infinity;
    let spec = spec.child(last);
    let watcher = Spec::new("w", &log).spawn(&system);
    let sup = spec.spawn(&system);
    let children: Vec<_> = names.iter().map(|name| spec.family.get(name)).collect();
    for (child, name) in children.iter().zip(&names) {
        watcher.watches(*child, name);
        // Answered, so the watch is in place before the end.
        child.life();
    }
    let last = spec.family.get("last");
    watcher.watches(last, "last");
    assert_eq!(last.life(), 1);
    sup.stop();
    log.wait("last stopping: shut down");
    for (n, child) in children.iter().enumerate() {
        match n % 4 {
            0 => child.stop(),
            1 => child.kill(),
            2 => child.tell(Crash).unwrap(),
            _ => child.tell(with(|_, cx| cx.fail("tired"))).unwrap(),
        }
    }
    wait_until("they have ended", || {
        children.iter().all(|child| !child.is_alive())
    });
    assert!(sup.is_alive(), "it waits for the last one");
    last.kill();
    sup.gone();
    wait_until("each end is told", || log.starting("w heard") == 13);
    for (n, name) in names.iter().enumerate() {
        let reason = [
            "stopped",
            "killed",
            "panicked: meant: boom",
            "failed: tired",
        ][n % 4];
        let heard = format!("w heard of {name}: {reason}");
        assert_eq!(log.count(&heard), 1, "no {heard:?} in {:#?}", log.lines());
    }
    assert!(
        spec.children.iter().all(|child| child.lives() == 1),
        "nobody is restarted under a supervisor that stops"
    );
    finish(system);
    assert_eq!(log.starting("w heard"), 13);
}

/// As above, with the ends and the stop at the same moment: who ends how is open, that each does is not.
#[test]
fn s14_children_that_end_just_when_they_are_stopped_are_told_once() {
    quiet();
    let (system, log) = (system(), Log::new());
    let names: Vec<String> = (0..12).map(|n| format!("c{n}")).collect();
    let mut spec = Spec::new("sup", &log);
    spec.restart = Restart::Temporary;
    for name in &names {
        spec = spec.child(Spec::new(name, &log));
    }
    let watcher = Spec::new("w", &log).spawn(&system);
    let sup = spec.spawn(&system);
    let children: Vec<_> = names.iter().map(|name| spec.family.get(name)).collect();
    for (child, name) in children.iter().zip(&names) {
        watcher.watches(*child, name);
        child.life();
    }
    sup.stop();
    for (n, child) in children.iter().enumerate() {
        match n % 3 {
            0 => child.stop(),
            1 => child.kill(),
            // May be too late by now.
            _ => _ = child.tell(Crash),
        }
    }
    sup.gone();
    wait_until("each end is told", || log.starting("w heard") == 12);
    finish(system);
    for name in &names {
        assert_eq!(log.starting(&format!("w heard of {name}:")), 1);
    }
}

#[test]
fn s15_children_stop_before_the_new_parent_instance_starts() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = supervisor(&log, &["A", "B"]);
    let sup = spec.spawn(&system);
    let a = spec.family.get("A");
    assert_eq!(spec.family.get("B").life(), 1);
    sup.crash();
    assert_eq!(sup.life(), 2);
    for name in ["A", "B"] {
        assert!(log.at(&format!("{name} dropped 1")) < log.at("sup started 2"));
        wait_until("the new child", || log.has(&format!("{name} started 2")));
    }
    assert!(log.at("B stopped") < log.at("A stopping: shut down"));
    assert!(!a.is_alive(), "the new instance's children are new actors");
    finish(system);
}

#[test]
fn s16_failed_start_leaves_siblings_alone_and_answers_asks() {
    quiet();
    for hook in [
        Hook::Error,
        Hook::Panic,
        Hook::PanicLater,
        Hook::PanicWithBomb,
    ] {
        let (system, log) = (system(), Log::new());
        let mut bad = Spec::new("bad", &log);
        bad.on_start = hook;
        bad.restart = Restart::Temporary;
        let spec = Spec::new("sup", &log).child(Spec::new("A", &log));
        let sup = spec.spawn(&system);
        let a = spec.family.get("A");
        let watcher = Spec::new("w", &log).spawn(&system);
        let inner = bad.clone();
        let failing = sup
            .ask_blocking(with(move |_, cx| inner.spawn_in(cx).unwrap()))
            .unwrap();
        watcher.watches(failing, "bad");
        assert!(
            matches!(failing.ask_blocking(Note(1)), Err(AskError::Dead { .. })),
            "{hook:?}"
        );
        failing.gone();
        assert_eq!((sup.life(), a.life()), (1, 1));
        wait_until("one notice", || log.starting("w heard of bad") == 1);
        assert_eq!(log.starting("bad stopping"), 0);
        assert_eq!(log.count("bad dropped 1"), 1);
        finish(system);
    }
}

#[test]
fn s16_factory_that_panics_is_a_failed_start() {
    quiet();
    for hook in [Hook::Panic, Hook::PanicWithBomb] {
        let (system, log) = (system(), Log::new());
        let mut spec = Spec::new("A", &log);
        spec.on_factory = hook;
        let a = spec.spawn(&system);
        let answer = a.ask_blocking(Note(1));
        assert!(matches!(answer, Err(AskError::Dead { .. })), "{answer:?}");
        a.gone();
        assert_eq!(
            spec.lives(),
            4,
            "three restarts at the top, then stopped alone"
        );
        assert_eq!(
            log.lines().len(),
            0,
            "there never was a state: {:?}",
            log.lines()
        );
        // The system lives.
        assert_eq!(Spec::new("B", &log).spawn(&system).life(), 1);
        finish(system);
    }
}

#[test]
fn s17_panic_in_stopped_is_still_stopped() {
    quiet();
    for hook in [Hook::Panic, Hook::PanicLater, Hook::PanicWithBomb] {
        let (system, log) = (system(), Log::new());
        let mut spec = Spec::new("A", &log);
        spec.on_stop = hook;
        let a = spec.spawn(&system);
        let watcher = Spec::new("w", &log).spawn(&system);
        watcher.watches(a, "A");
        assert_eq!(a.life(), 1);
        a.stop();
        a.gone();
        log.wait("w heard of A: stopped");
        finish(system);
        assert_eq!(log.starting("w heard"), 1);
        assert_eq!(spec.lives(), 1);
    }
}

#[test]
fn s19_restart_keeps_address_mailbox_and_order() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = Spec::new("A", &log);
    let a = spec.spawn(&system);
    let gate = Gate::new();
    let held = gate.clone();
    a.tell(with(move |_, _| held.pass())).unwrap();
    for n in 0..100 {
        a.tell(Note(n)).unwrap();
        if n == 49 {
            a.tell(Crash).unwrap();
        }
    }
    gate.open();
    let (life, numbers) = a
        .ask_blocking(with(|node, _| (node.life, node.numbers.clone())))
        .unwrap();
    assert_eq!(life, 2);
    assert_eq!(
        numbers,
        (50..100).collect::<Vec<_>>(),
        "what waited is handled by the next life, in order"
    );
    assert_eq!(spec.lives(), 2, "the factory is called once per life");
    let books = finish(system);
    assert_eq!(books.dropped.panicked, 1);
    assert_eq!(books.dropped.total(), 1);
    assert_eq!(books.dead_letters.total(), 0);
}

#[test]
fn s20_backoff_waits_keeps_messages_and_resets() {
    quiet();
    let (system, log) = (system(), Log::new());
    let (min, max) = (Duration::from_millis(40), Duration::from_millis(160));
    let mut child = Spec::new("A", &log);
    // Crashes in a row are quick beside this, on a busy machine too.
    let quiet_time = Duration::from_millis(800);
    child.backoff = Backoff::new(min, max).jitter(20).reset_after(quiet_time);
    let mut spec = Spec::new("sup", &log).child(child);
    spec.supervision = Supervision::one_for_one().intensity(100);
    spec.spawn(&system);
    let a = spec.family.get("A");
    let outage = || {
        let began = Instant::now();
        a.crash();
        let life = a.life();
        (began.elapsed(), life)
    };
    // At least so long: how long at most is a matter of the machine. The exact delays, at both ends of
    // the jitter, are the business of the tests beside `supervision::backoff`.
    for (n, low) in [40, 64, 128].into_iter().enumerate() {
        let (waited, life) = outage();
        assert_eq!(life, n as u32 + 2);
        let low = Duration::from_millis(low);
        assert!(
            waited >= low,
            "restart {n} after {waited:?}, not after {low:?}"
        );
    }
    // Capped: without the maximum the quickest of these would take 256 ms.
    let quickest = (0..30).map(|_| outage().0).find(|waited| {
        assert!(*waited >= Duration::from_millis(128), "{waited:?}");
        *waited < Duration::from_millis(256)
    });
    assert!(quickest.is_some(), "the maximum is not kept");
    // Reset: it would take at least 128 ms otherwise.
    let reset = (0..20).any(|_| {
        std::thread::sleep(quiet_time + Duration::from_millis(50));
        outage().0 < Duration::from_millis(128)
    });
    assert!(reset, "a quiet time did not reset the delay");
    finish(system);
}

#[test]
fn s20_messages_wait_while_backing_off_and_a_stop_buries_them() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = Spec::new("A", &log);
    spec.backoff = Backoff::new(Duration::from_secs(3600), Duration::from_secs(3600));
    let a = spec.spawn(&system);
    for mode in [StopMode::Drain, StopMode::Now, StopMode::Kill] {
        let a = if mode == StopMode::Drain {
            a
        } else {
            spec.spawn(&system)
        };
        let before = settle(&system);
        a.crash();
        for n in 0..10 {
            a.tell(Note(n)).unwrap();
        }
        a.stop_with(mode);
        a.gone();
        let after = settle(&system);
        assert_eq!(
            after.dead_letters.total() - before.dead_letters.total(),
            10,
            "{mode:?}"
        );
    }
    finish(system);
}

#[test]
fn s21_a_top_level_actor_over_its_limit_is_stopped_alone() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = supervisor(&log, &["A"]);
    let (sup, other) = (spec.spawn(&system), Spec::new("other", &log).spawn(&system));
    let watcher = Spec::new("w", &log).spawn(&system);
    watcher.watches(sup, "sup");
    for life in 1..=3 {
        sup.crash();
        assert_eq!(sup.life(), life + 1);
    }
    sup.crash();
    sup.gone();
    log.wait(
        "w heard of sup: restart limit reached (3 in 5s), last failure: sup panicked: meant: boom",
    );
    assert_eq!(other.life(), 1);
    finish(system);
}

#[test]
fn by_value_and_permanent_stops_for_good() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = Spec::new("A", &log);
    let a = system
        .actor(spec.make())
        .restart(Restart::Permanent)
        .spawn()
        .unwrap();
    a.crash();
    a.gone();
    assert_eq!(log.lines(), ["A started 1", "A dropped 1"]);
    finish(system);
}

#[test]
fn a_stop_is_not_lost_in_a_restart() {
    quiet();
    let (system, log) = (system(), Log::new());
    // The child's stopped hook holds up the parent between its failure and its next life.
    let mut slow = Spec::new("slow", &log);
    slow.on_stop = Hook::Hang;
    let spec = Spec::new("sup", &log).child(slow);
    let sup = spec.spawn(&system);
    assert_eq!(spec.family.get("slow").life(), 1);
    sup.crash();
    log.wait("slow stopping: shut down");
    sup.stop();
    std::thread::sleep(Duration::from_millis(20));
    spec.family.get("slow").kill();
    sup.gone();
    assert_eq!(spec.lives(), 1);
    finish(system);
}

#[test]
fn a_stop_is_not_lost_when_the_handler_then_panics() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = Spec::new("A", &log);
    let a = spec.spawn(&system);
    a.tell(with(|_, cx| {
        cx.stop();
        boom()
    }))
    .unwrap();
    a.gone();
    assert_eq!(spec.lives(), 1);
    finish(system);
}

#[test]
fn children_of_a_failed_parent_may_outlive_a_drain_order() {
    quiet();
    // Failed, waiting for its children, and then told to drain: there is no state to run messages on.
    let (system, log) = (system(), Log::new());
    let mut slow = Spec::new("slow", &log);
    slow.on_stop = Hook::Hang;
    let spec = Spec::new("sup", &log).child(slow);
    let sup = spec.spawn(&system);
    assert_eq!(spec.family.get("slow").life(), 1);
    sup.crash();
    log.wait("slow stopping: shut down");
    let mut asked = Vec::new();
    for n in 0..10 {
        sup.tell(Note(n)).unwrap();
        asked.push(n);
    }
    sup.stop_with(StopMode::Drain);
    std::thread::sleep(Duration::from_millis(20));
    spec.family.get("slow").kill();
    sup.gone();
    let books = settle(&system);
    assert_eq!(books.dead_letters.total(), 10);
    assert_eq!(log.starting("sup dropped"), 1);
    finish(system);
}

#[test]
fn ids_are_never_given_twice() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = Spec::new("A", &log);
    let mut seen = std::collections::HashSet::<ActorId>::new();
    for _ in 0..200 {
        let a = spec.spawn(&system);
        assert!(seen.insert(a.id()));
        a.stop();
        a.gone();
    }
    finish(system);
}

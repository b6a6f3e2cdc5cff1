//! Group restarts, by the contract's checks: who stops, in which order, and who comes back.

mod common;
#[path = "common/life.rs"]
mod life;

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{ChildPhase, StopMode};
use common::*;
use life::*;

const LONG: Duration = Duration::from_secs(60);

fn group(supervision: Supervision, log: &Log, names: &[&str]) -> Spec {
    let mut spec = Spec::new("sup", log);
    spec.supervision = supervision.intensity(10).period(LONG);
    for name in names {
        spec = spec.child(Spec::new(name, log));
    }
    spec
}

/// What the log says of starts and ends since it was cleared, in order.
fn lives(log: &Log) -> Vec<String> {
    let of_life = |line: &String| line.contains(" started ") || line.contains(" dropped ");
    log.lines().into_iter().filter(of_life).collect()
}

/// Waits until every child is up again.
fn all_up(sup: ActorRef<Node>, children: usize) {
    wait_until("the group is up", || {
        let counts = sup.ask_blocking(with(|_, cx| cx.count_children())).unwrap();
        counts.running == children && counts.specs == children
    });
}

#[test]
fn s02_one_for_all_stops_all_before_any_starts() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = group(Supervision::one_for_all(), &log, &["A", "B", "C"]);
    let sup = spec.spawn(&system);
    let [a, b, c] = ["A", "B", "C"].map(|name| spec.family.get(name));
    assert_eq!((a.life(), b.life(), c.life()), (1, 1, 1));
    for (round, failing) in [b, a, c].into_iter().enumerate() {
        log.clear();
        failing.crash();
        wait_until("it is back", || {
            c.ask_blocking(Note(0))
                .is_ok_and(|life| life == round as u32 + 2)
        });
        all_up(sup, 3);
        let (old, new) = (round + 1, round + 2);
        let mut expected = vec![format!("{} dropped {old}", ["B", "A", "C"][round])];
        for name in ["C", "B", "A"]
            .iter()
            .filter(|name| **name != ["B", "A", "C"][round])
        {
            expected.push(format!("{name} dropped {old}"));
        }
        for name in ["A", "B", "C"] {
            expected.push(format!("{name} started {new}"));
        }
        assert_eq!(lives(&log), expected);
    }
    // The siblings ended in order, with their hooks.
    assert_eq!(log.count("B stopped"), 1);
    assert_eq!(sup.life(), 1);
    finish(system);
}

#[test]
fn s02_addresses_mailboxes_and_watches_survive_the_round() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = group(Supervision::one_for_all(), &log, &["A", "B"]);
    let sup = spec.spawn(&system);
    let (a, b) = (spec.family.get("A"), spec.family.get("B"));
    let watcher = Spec::new("w", &log).spawn(&system);
    watcher.watches(b, "B");
    assert_eq!(b.life(), 1);
    // B is busy, and has more to do than it comes to in this life.
    let (gate, began) = (Gate::new(), Gate::new());
    let (held, begun) = (gate.clone(), began.clone());
    b.tell(with(move |_, _| {
        begun.open();
        held.pass();
    }))
    .unwrap();
    began.pass();
    for n in 0..100 {
        b.tell(Note(n)).unwrap();
    }
    a.crash();
    wait_until("B has been told to stop", || {
        sup.ask_blocking(with(|_, cx| cx.count_children().restarting))
            .is_ok_and(|restarting| restarting == 2)
    });
    gate.open();
    wait_until("the next life is through with them", || {
        b.ask_blocking(with(|node, _| node.numbers.clone()))
            .is_ok_and(|numbers| numbers.len() == 100)
    });
    let (life, numbers) = b
        .ask_blocking(with(|node, _| (node.life, node.numbers.clone())))
        .unwrap();
    assert_eq!((life, numbers), (2, (0..100).collect()));
    assert_eq!(log.starting("w heard"), 0, "a restart is no end");
    let books = finish(system);
    assert_eq!(books.dead_letters.total(), 0);
}

#[test]
fn s03_rest_for_one_leaves_the_older_alone() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = group(Supervision::rest_for_one(), &log, &["A", "B", "C", "D"]);
    let sup = spec.spawn(&system);
    let [a, b, c, d] = ["A", "B", "C", "D"].map(|name| spec.family.get(name));
    assert_eq!((a.life(), b.life(), c.life(), d.life()), (1, 1, 1, 1));
    log.clear();
    b.crash();
    assert_eq!((a.life(), b.life(), c.life(), d.life()), (1, 2, 2, 2));
    all_up(sup, 4);
    assert_eq!(
        lives(&log),
        [
            "B dropped 1",
            "D dropped 1",
            "C dropped 1",
            "B started 2",
            "C started 2",
            "D started 2"
        ]
    );
    log.clear();
    d.crash();
    assert_eq!((a.life(), b.life(), c.life(), d.life()), (1, 2, 2, 3));
    assert_eq!(lives(&log), ["D dropped 2", "D started 3"]);
    finish(system);
}

#[test]
fn s02_the_next_is_started_when_the_one_before_is_up() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = group(Supervision::one_for_all(), &log, &[]);
    let mut slow = Spec::new("A", &log);
    slow.on_start = Hook::Hang;
    slow.hooks_from = 2;
    spec = spec.child(slow).child(Spec::new("B", &log));
    let sup = spec.spawn(&system);
    let (a, b) = (spec.family.get("A"), spec.family.get("B"));
    assert_eq!((a.life(), b.life()), (1, 1));
    b.crash();
    log.wait("A started 2");
    // In the middle of a round the supervisor is at home.
    let children = sup.ask_blocking(with(|_, cx| cx.which_children())).unwrap();
    let phases: Vec<_> = children.iter().map(|child| child.phase).collect();
    assert_eq!(phases, [ChildPhase::Restarting; 2], "{children:?}");
    assert_eq!(log.count("B started 2"), 0);
    a.kill();
    wait_until("B is up", || {
        b.ask_blocking(Note(0)).is_ok_and(|life| life == 2)
    });
    assert!(!a.is_alive(), "a kill is final");
    finish(system);
}

#[test]
fn s10_temporary_siblings_are_stopped_and_forgotten() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = group(Supervision::one_for_all(), &log, &["A"]);
    let mut temporary = Spec::new("T", &log);
    temporary.restart = Restart::Temporary;
    spec = spec.child(temporary).child(Spec::new("B", &log));
    let sup = spec.spawn(&system);
    let (a, t, b) = (
        spec.family.get("A"),
        spec.family.get("T"),
        spec.family.get("B"),
    );
    assert_eq!((a.life(), t.life(), b.life()), (1, 1, 1));
    // What its factory holds.
    let tally = Tally::new();
    let token = tally.token();
    let by_factory = sup
        .ask_blocking(with(move |_, cx| {
            let make = move || {
                let _held = &token;
                Dot
            };
            cx.actor(make).restart(Restart::Temporary).spawn().unwrap()
        }))
        .unwrap();
    assert_eq!(by_factory.ask_blocking(Echo(7)).unwrap(), 7);
    let by_value = sup
        .ask_blocking(with(|_, cx| cx.spawn(Dot).unwrap()))
        .unwrap();
    assert_eq!(by_value.ask_blocking(Echo(7)).unwrap(), 7);
    log.clear();
    a.crash();
    assert_eq!((a.life(), b.life()), (2, 2));
    all_up(sup, 2);
    assert!(!t.is_alive() && !by_factory.is_alive() && !by_value.is_alive());
    assert_eq!(log.starting("T started"), 0);
    assert_eq!(log.count("T stopped"), 1);
    tally.all_dropped();
    finish(system);
}

#[test]
fn s11_start_that_fails_in_a_round_stops_what_is_up_and_escalates() {
    quiet();
    for hook in [Hook::Error, Hook::Panic, Hook::PanicLater] {
        let (system, log) = (system(), Log::new());
        let mut weak = Spec::new("B", &log);
        weak.on_start = hook;
        weak.hooks_from = 2;
        weak.backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(2));
        let mut spec = group(Supervision::one_for_all(), &log, &["A"])
            .child(weak)
            .child(Spec::new("C", &log));
        spec.supervision = spec.supervision.intensity(2);
        spec.restart = Restart::Temporary;
        let top = Spec::new("top", &log).spawn(&system);
        let inner = spec.clone();
        let sup = top
            .ask_blocking(with(move |_, cx| inner.spawn_in(cx).unwrap()))
            .unwrap();
        top.watches(sup, "sup");
        assert_eq!(spec.family.get("C").life(), 1);
        spec.family.get("A").crash();
        sup.gone();
        let text = if hook == Hook::Error {
            "no luck"
        } else {
            "meant: boom"
        };
        log.wait(&format!(
            "top heard of sup: restart limit reached (2 in 60s), last failure: B failed to start: {text}"
        ));
        let lines = log.lines();
        // The crash and two failed starts: two rounds, and the third failure is one too many.
        assert_eq!(log.starting("B started"), 3, "{lines:#?}");
        assert_eq!(log.starting("A started"), 3, "{lines:#?}");
        assert_eq!(log.starting("C started"), 1, "never its turn: {lines:#?}");
        // What was up was stopped before the next attempt.
        assert!(log.at("A dropped 2") < log.at("A started 3"), "{lines:#?}");
        assert!(log.at("A dropped 2") < log.at("B started 3"), "{lines:#?}");
        assert_eq!(log.starting("top heard"), 1);
        finish(system);
    }
}

#[test]
fn s11_rest_for_one_retries_from_the_child_that_cannot_start() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut weak = Spec::new("C", &log);
    weak.on_start = Hook::Error;
    weak.hooks_from = 2;
    let mut spec = group(Supervision::rest_for_one(), &log, &["A", "B"]).child(weak);
    spec.supervision = spec.supervision.intensity(3);
    spec.restart = Restart::Temporary;
    let sup = spec.spawn(&system);
    assert_eq!(spec.family.get("C").life(), 1);
    spec.family.get("B").crash();
    sup.gone();
    assert_eq!(log.starting("A started"), 1);
    assert_eq!(
        log.starting("B started"),
        2,
        "older than the one that fails now"
    );
    assert_eq!(log.starting("C started"), 4);
    finish(system);
}

#[test]
fn s20_a_group_waits_for_the_back_off_of_the_one_that_failed() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut late = Spec::new("B", &log);
    late.backoff = Backoff::new(Duration::from_secs(3600), Duration::from_secs(3600));
    let spec = group(Supervision::one_for_all(), &log, &["A"]).child(late);
    let sup = spec.spawn(&system);
    let (a, b) = (spec.family.get("A"), spec.family.get("B"));
    assert_eq!((a.life(), b.life()), (1, 1));
    b.crash();
    log.wait("A dropped 1");
    let kept = a.tell(Note(1));
    assert!(kept.is_ok(), "its mailbox takes messages meanwhile");
    // Whoever does not want to wait for it lets it go.
    sup.ask_blocking(with(|_, cx| cx.terminate_child("B").unwrap()))
        .unwrap();
    assert_eq!(a.life(), 2);
    b.gone();
    sup.stop_with(StopMode::Drain);
    sup.gone();
    finish(system);
}

#[test]
fn failures_during_a_round_are_seen_to_after_it() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut held = Spec::new("C", &log);
    held.on_stop = Hook::PanicLater;
    let spec = group(Supervision::rest_for_one(), &log, &["A", "B"]).child(held);
    let sup = spec.spawn(&system);
    let [a, b, c] = ["A", "B", "C"].map(|name| spec.family.get(name));
    assert_eq!((a.life(), b.life(), c.life()), (1, 1, 1));
    b.crash();
    // B's asker may be told before its parent: the round has begun when C is told to stop. It is in its stopped
    // hook, perhaps; A is older than the group.
    log.wait("C stopping: shut down");
    a.crash();
    wait_until("both rounds are over", || {
        a.ask_blocking(Note(0)).is_ok_and(|life| life == 2)
            && c.ask_blocking(Note(0)).is_ok_and(|life| life == 3)
    });
    assert_eq!((a.life(), b.life()), (2, 3));
    all_up(sup, 3);
    finish(system);
}

#[test]
fn s09_a_normal_end_restarts_the_group_of_a_permanent_child_only() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut permanent = Spec::new("P", &log);
    permanent.restart = Restart::Permanent;
    let spec = group(Supervision::one_for_all(), &log, &["T"]).child(permanent);
    let sup = spec.spawn(&system);
    let (t, p) = (spec.family.get("T"), spec.family.get("P"));
    assert_eq!((t.life(), p.life()), (1, 1));
    p.stop();
    wait_until("both are new", || {
        t.ask_blocking(Note(0)).is_ok_and(|life| life == 2)
            && p.ask_blocking(Note(0)).is_ok_and(|life| life == 2)
    });
    t.stop();
    t.gone();
    assert_eq!(p.life(), 2);
    all_up(sup, 1);
    finish(system);
}

#[test]
fn a_supervisor_stops_in_the_middle_of_a_round() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut slow = Spec::new("C", &log);
    slow.on_stop = Hook::Hang;
    let spec = group(Supervision::one_for_all(), &log, &["A", "B"]).child(slow);
    for mode in [StopMode::Drain, StopMode::Now, StopMode::Kill] {
        let sup = spec.spawn(&system);
        wait_until("the family is there", || {
            spec.family.get("C").ask_blocking(Note(0)).is_ok() && spec.family.get("B").is_alive()
        });
        let [a, b, c] = ["A", "B", "C"].map(|name| spec.family.get(name));
        log.clear();
        a.crash();
        log.wait("C stopping: shut down");
        sup.stop_with(mode);
        std::thread::sleep(Duration::from_millis(5));
        c.kill();
        sup.gone();
        assert!(!a.is_alive() && !b.is_alive() && !c.is_alive());
        assert_eq!(log.starting("A started"), 0, "{mode:?}");
    }
    finish(system);
}

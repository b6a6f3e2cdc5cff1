//! What a supervisor may ask and order about its children, and when it ends with them.

mod common;
#[path = "common/life.rs"]
mod life;

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{ChildCounts, ChildError, ChildInfo, ChildPhase, InvalidOption, SpawnError};
use common::*;
use life::*;

const LONG: Duration = Duration::from_secs(3600);

fn family(supervision: Supervision, log: &Log, names: &[&str]) -> Spec {
    let mut spec = Spec::new("sup", log);
    spec.supervision = supervision;
    for name in names {
        spec = spec.child(Spec::new(name, log));
    }
    spec
}

fn ask<R: Send + 'static>(
    sup: ActorRef<Node>,
    act: impl FnOnce(&mut ActorContext<Node>) -> R + Send + 'static,
) -> R {
    sup.ask_blocking(with(move |_, cx| act(cx))).unwrap()
}

fn which(sup: ActorRef<Node>) -> Vec<ChildInfo> {
    ask(sup, |cx| cx.which_children())
}

fn count(sup: ActorRef<Node>) -> ChildCounts {
    ask(sup, |cx| cx.count_children())
}

/// Terminates a child and waits until it is gone.
struct End(&'static str);

impl Message for End {
    type Reply = Result<(), ChildError>;
}

impl Handler<End> for Node {
    async fn handle(
        &mut self,
        End(child): End,
        cx: &mut ActorContext<Self>,
    ) -> Result<(), ChildError> {
        cx.terminate_child(child)?;
        cx.child_terminated(child).await;
        Ok(())
    }
}

#[test]
fn s12_which_and_count_name_all_children_in_order() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = family(Supervision::one_for_one(), &log, &["A", "B"]);
    let sup = spec.spawn(&system);
    let (a, b) = (spec.family.get("A"), spec.family.get("B"));
    let dot = ask(sup, |cx| cx.spawn(Dot).unwrap());
    a.crash();
    assert_eq!(a.life(), 2);
    wait_until("A is up", || count(sup).running == 3);
    let children = which(sup);
    let ids: Vec<_> = children.iter().map(|child| child.id).collect();
    assert_eq!(ids, [a.id(), b.id(), dot.id()]);
    let names: Vec<_> = children.iter().map(|child| child.name.as_deref()).collect();
    assert_eq!(names, [Some("A"), Some("B"), None]);
    assert_eq!(children[0].restarts, 1);
    assert_eq!(children[1].restarts, 0);
    assert!(children[2].actor_type.ends_with("Dot"));
    assert!(children[0].to_string().starts_with("A actor:"));
    assert_eq!(count(sup).specs, 3);
    finish(system);
}

#[test]
fn s12_terminate_restart_and_delete_as_in_otp() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = family(Supervision::one_for_one(), &log, &["A", "B", "C"]);
    let sup = spec.spawn(&system);
    let [a, b, c] = ["A", "B", "C"].map(|name| spec.family.get(name));
    assert_eq!((a.life(), b.life(), c.life()), (1, 1, 1));
    // A child that runs is neither restarted nor deleted.
    assert_eq!(
        ask(sup, move |cx| cx.restart_child(b)),
        Err(ChildError::Running(b.id()))
    );
    assert_eq!(
        ask(sup, |cx| cx.delete_child("B")),
        Err(ChildError::Running(b.id()))
    );
    assert_eq!(sup.ask_blocking(End("B")).unwrap(), Ok(()));
    assert!(!b.is_alive());
    assert!(matches!(
        b.ask_blocking(Note(1)),
        Err(AskError::Dead { .. })
    ));
    assert_eq!((a.life(), c.life()), (1, 1));
    // Its specification is kept, in its place.
    let children = which(sup);
    assert_eq!(children[1].phase, ChildPhase::Terminated);
    assert_eq!((children.len(), children[1].id), (3, b.id()));
    assert_eq!(ask(sup, |cx| cx.children()), 2);
    assert_eq!(ask(sup, |cx| cx.terminate_child("B")), Ok(()), "again");
    let again = ask(sup, |cx| cx.restart_child("B")).unwrap();
    assert_ne!(again, b.id(), "a new actor");
    wait_until("it is up", || count(sup).running == 3);
    let children = which(sup);
    assert_eq!(children[1].id, again);
    assert_eq!(
        (children[1].name.as_deref(), children[1].restarts),
        (Some("B"), 1)
    );
    assert_eq!(spec.children[1].lives(), 2, "from the same factory");
    // Gone for good.
    assert_eq!(sup.ask_blocking(End("B")).unwrap(), Ok(()));
    assert_eq!(ask(sup, |cx| cx.delete_child("B")), Ok(()));
    assert_eq!(
        ask(sup, |cx| cx.restart_child("B")),
        Err(ChildError::NotFound("B".into()))
    );
    assert_eq!(
        ask(sup, move |cx| cx.delete_child(again)),
        Err(ChildError::NotFound(again.into()))
    );
    assert_eq!(count(sup).specs, 2);
    // The order of stops has not suffered.
    log.clear();
    sup.stop();
    sup.gone();
    assert!(log.at("C stopped") < log.at("A stopped"));
    finish(system);
}

#[test]
fn s12_a_restarted_child_stops_in_its_old_place() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = family(Supervision::one_for_one(), &log, &["A", "B", "C"]);
    let sup = spec.spawn(&system);
    assert_eq!(spec.family.get("C").life(), 1);
    for name in ["A", "C", "B"] {
        assert_eq!(sup.ask_blocking(End(name)).unwrap(), Ok(()));
    }
    assert_eq!(count(sup).terminated, 3);
    for name in ["B", "C", "A"] {
        ask(sup, move |cx| cx.restart_child(name)).unwrap();
    }
    wait_until("all are up", || count(sup).running == 3);
    log.clear();
    sup.stop();
    sup.gone();
    let lines = log.lines();
    let stops: Vec<_> = lines
        .iter()
        .filter(|line| line.ends_with(" stopped") && !line.contains("stopping"))
        .collect();
    assert_eq!(
        stops,
        ["C stopped", "B stopped", "A stopped", "sup stopped"]
    );
    finish(system);
}

#[test]
fn s12_what_is_kept_and_what_is_not() {
    quiet();
    let (system, log) = (system(), Log::new());
    let sup = Spec::new("sup", &log).spawn(&system);
    let tally = Tally::new();
    // Temporary, or by value: nothing is kept.
    let token = tally.token();
    let (temporary, value, permanent) = ask(sup, move |cx| {
        let make = move || {
            let _held = &token;
            Dot
        };
        (
            cx.actor(make).restart(Restart::Temporary).spawn().unwrap(),
            cx.actor(Dot).spawn().unwrap(),
            cx.actor(|| Dot)
                .restart(Restart::Permanent)
                .spawn()
                .unwrap(),
        )
    });
    for child in [temporary, value, permanent] {
        assert_eq!(child.ask_blocking(Echo(1)).unwrap(), 1);
        assert_eq!(ask(sup, move |cx| cx.terminate_child(child)), Ok(()));
        wait_until("it is gone", || !child.is_alive());
    }
    wait_until("only one is left on record", || count(sup).specs == 1);
    assert_eq!(which(sup)[0].id, permanent.id());
    assert_eq!(which(sup)[0].phase, ChildPhase::Terminated, "not restarted");
    tally.all_dropped();
    assert!(matches!(
        ask(sup, move |cx| cx.restart_child(temporary)),
        Err(ChildError::NotFound(_))
    ));
    // What is kept goes with the supervisor.
    let token = tally.token();
    let kept = ask(sup, move |cx| {
        let make = move || {
            let _held = &token;
            Dot
        };
        cx.actor(make).name("kept").spawn().unwrap()
    });
    assert_eq!(kept.ask_blocking(Echo(1)).unwrap(), 1);
    assert_eq!(sup.ask_blocking(End("kept")).unwrap(), Ok(()));
    assert_eq!(tally.alive(), 1);
    sup.stop();
    sup.gone();
    tally.all_dropped();
    finish(system);
}

#[test]
fn s12_under_simple_one_for_one_nothing_is_kept() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = family(Supervision::simple_one_for_one(), &log, &["A", "B"]);
    let sup = spec.spawn(&system);
    let (a, b) = (spec.family.get("A"), spec.family.get("B"));
    a.crash();
    assert_eq!((a.life(), b.life()), (2, 1), "restarted alone");
    assert_eq!(
        ask(sup, move |cx| cx.delete_child(a)),
        Err(ChildError::Dynamic(a.id()))
    );
    assert_eq!(sup.ask_blocking(End("A")).unwrap(), Ok(()));
    assert_eq!(count(sup).specs, 1);
    finish(system);
}

#[test]
fn s12_orders_about_nobody_and_about_namesakes() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = family(Supervision::one_for_one(), &log, &["A", "A"]);
    let sup = spec.spawn(&system);
    let stranger = Spec::new("stranger", &log).spawn(&system);
    wait_until("both are there", || count(sup).running == 2);
    let refused = ask(sup, |cx| cx.terminate_child("A")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "2 children are called `A`: name one by its id"
    );
    for refused in [
        ask(sup, move |cx| cx.terminate_child(stranger)).unwrap_err(),
        ask(sup, move |cx| cx.terminate_child(sup)).unwrap_err(),
        ask(sup, |cx| cx.terminate_child("nobody")).unwrap_err(),
        ask(sup, |cx| cx.delete_child("nobody")).unwrap_err(),
    ] {
        assert!(matches!(refused, ChildError::NotFound(_)), "{refused}");
    }
    assert_eq!(stranger.life(), 1);
    finish(system);
}

#[test]
fn s12_orders_while_a_child_fails_again_and_again() {
    quiet();
    for supervision in [
        Supervision::one_for_one(),
        Supervision::one_for_all(),
        Supervision::rest_for_one(),
        Supervision::simple_one_for_one(),
    ] {
        let (system, log) = (system(), Log::new());
        let mut weak = Spec::new("weak", &log);
        weak.on_start = Hook::Error;
        weak.hooks_from = 2;
        weak.backoff = Backoff::new(Duration::from_micros(100), Duration::from_millis(1));
        let supervision = supervision.intensity(10_000).period(LONG);
        let spec = family(supervision, &log, &["A"])
            .child(weak)
            .child(Spec::new("Z", &log));
        let sup = spec.spawn(&system);
        let weak = spec.family.get("weak");
        assert_eq!(spec.family.get("Z").life(), 1);
        weak.crash();
        wait_until("the storm is on", || spec.children[1].lives() > 10);
        let children = which(sup);
        assert_eq!(children.len(), 3, "{children:?}");
        assert_eq!(children[1].phase, ChildPhase::Restarting);
        assert!(children[1].restarts >= 8, "{children:?}");
        assert_eq!(
            ask(sup, move |cx| cx.restart_child(weak)),
            match supervision {
                dynamic
                    if dynamic
                        == Supervision::simple_one_for_one()
                            .intensity(10_000)
                            .period(LONG) =>
                    Err(ChildError::Dynamic(weak.id())),
                _ => Err(ChildError::Restarting(weak.id())),
            }
        );
        assert_eq!(sup.ask_blocking(End("weak")).unwrap(), Ok(()));
        wait_until("the others are up", || count(sup).running == 2);
        let lives = spec.children[1].lives();
        assert_eq!(sup.life(), 1);
        if supervision
            != Supervision::simple_one_for_one()
                .intensity(10_000)
                .period(LONG)
        {
            assert_eq!(ask(sup, |cx| cx.delete_child("weak")), Ok(()));
        }
        assert_eq!(spec.children[1].lives(), lives);
        finish(system);
    }
}

#[test]
fn s12_a_supervisor_stops_in_a_restart_storm() {
    quiet();
    for supervision in [Supervision::one_for_one(), Supervision::one_for_all()] {
        let (system, log) = (system(), Log::new());
        let mut weak = Spec::new("weak", &log);
        weak.on_start = Hook::Error;
        weak.hooks_from = 2;
        let spec = family(supervision.intensity(10_000).period(LONG), &log, &["A"]).child(weak);
        let sup = spec.spawn(&system);
        assert_eq!(spec.family.get("weak").life(), 1);
        spec.family.get("weak").crash();
        wait_until("the storm is on", || spec.children[1].lives() > 3);
        sup.stop();
        sup.gone();
        assert!(!spec.family.get("weak").is_alive() && !spec.family.get("A").is_alive());
        finish(system);
    }
}

#[test]
fn a_group_restart_starts_what_was_terminated_before() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = family(Supervision::one_for_all(), &log, &["A", "B", "C"]);
    let sup = spec.spawn(&system);
    let (b, c) = (spec.family.get("B"), spec.family.get("C"));
    assert_eq!((spec.family.get("A").life(), b.life(), c.life()), (1, 1, 1));
    assert_eq!(sup.ask_blocking(End("B")).unwrap(), Ok(()));
    log.clear();
    c.crash();
    wait_until("all are up", || count(sup).running == 3);
    let started: Vec<_> = log
        .lines()
        .into_iter()
        .filter(|line| line.contains("started"))
        .collect();
    assert_eq!(started, ["A started 2", "B started 2", "C started 2"]);
    assert!(!b.is_alive(), "a new actor");
    finish(system);
}

#[test]
fn s24_auto_shutdown_with_any_and_with_all() {
    quiet();
    for (when, ends) in [(AutoShutdown::Any, 1), (AutoShutdown::All, 2)] {
        for (end, restart) in [
            ("stop", Restart::Transient),
            ("crash", Restart::Temporary),
            ("kill", Restart::Transient),
        ] {
            let (system, log) = (system(), Log::new());
            let mut spec = family(Supervision::one_for_one().auto_shutdown(when), &log, &["X"]);
            for name in ["A", "B"] {
                let mut child = Spec::new(name, &log);
                (child.significant, child.restart) = (true, restart);
                spec = spec.child(child);
            }
            let top = Spec::new("top", &log).spawn(&system);
            let inner = spec.clone();
            let sup = ask(top, move |cx| inner.spawn_in(cx).unwrap());
            top.watches(sup, "sup");
            let significant = [spec.family.get("A"), spec.family.get("B")];
            assert_eq!(significant.map(|child| child.life()), [1, 1]);
            // One that is not significant does not count.
            spec.family.get("X").stop();
            spec.family.get("X").gone();
            for (n, child) in significant.into_iter().enumerate() {
                if n == ends {
                    break;
                }
                assert_eq!(sup.life(), 1);
                match end {
                    "stop" => child.stop(),
                    "crash" => child.crash(),
                    _ => child.kill(),
                }
            }
            sup.gone();
            log.wait("top heard of sup: shut itself down after a significant child");
            assert!(log.has("sup stopped"));
            assert_eq!(top.life(), 1);
            finish(system);
        }
    }
}

#[test]
fn s24_what_the_supervisor_ends_does_not_count() {
    quiet();
    let (system, log) = (system(), Log::new());
    let supervision = Supervision::one_for_all().auto_shutdown(AutoShutdown::Any);
    let mut spec = family(supervision, &log, &["X"]);
    for name in ["A", "B"] {
        let mut child = Spec::new(name, &log);
        child.significant = true;
        (child.restart, child.on_stop) = match name {
            "A" => (Restart::Transient, Hook::Nothing),
            _ => (Restart::Temporary, Hook::Nothing),
        };
        spec = spec.child(child);
    }
    let sup = spec.spawn(&system);
    let [x, a, b] = ["X", "A", "B"].map(|name| spec.family.get(name));
    assert_eq!((x.life(), a.life(), b.life()), (1, 1, 1));
    // A group restart stops both, the temporary one for good.
    x.crash();
    b.gone();
    wait_until("the group is up", || count(sup).running == 2);
    assert_eq!((sup.life(), a.life()), (1, 2));
    // A failure that is restarted is no end.
    a.crash();
    wait_until("the group is up", || {
        a.ask_blocking(Note(0)).is_ok_and(|life| life == 3)
    });
    assert_eq!(sup.life(), 1);
    // An order is not its own end.
    assert_eq!(sup.ask_blocking(End("A")).unwrap(), Ok(()));
    assert_eq!(sup.life(), 1);
    // Started again it counts again.
    ask(sup, |cx| cx.restart_child("A")).unwrap();
    wait_until("it is up", || count(sup).running == 2);
    let again = spec.family.get("sup");
    assert_eq!(again, sup);
    let id = which(sup)[1].id;
    assert_ne!(id, a.id());
    finish(system);
}

#[test]
fn s24_a_permanent_supervisor_comes_back_after_its_auto_shutdown() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut child = Spec::new("A", &log);
    child.significant = true;
    let mut spec = family(
        Supervision::one_for_one().auto_shutdown(AutoShutdown::Any),
        &log,
        &[],
    )
    .child(child);
    spec.restart = Restart::Permanent;
    let sup = spec.spawn(&system);
    spec.family.get("A").stop();
    log.wait("sup started 2");
    assert_eq!(sup.life(), 2);
    finish(system);
}

#[test]
fn s24_combinations_that_make_no_sense_are_refused_by_name() {
    quiet();
    let (system, log) = (system(), Log::new());
    let field = |refused: SpawnError| match refused {
        SpawnError::Option(option) => InvalidOption::to_string(&option),
        other => panic!("{other}"),
    };
    let permanent = system
        .actor(|| Dot)
        .restart(Restart::Permanent)
        .significant(true)
        .spawn();
    assert_eq!(
        field(permanent.unwrap_err()),
        "significant is true for a permanent child: must be false, or the child transient or \
         temporary: a permanent one never ends by itself"
    );
    let at_the_top = system.actor(|| Dot).significant(true).spawn();
    assert_eq!(
        field(at_the_top.unwrap_err()),
        "significant is true under a supervisor whose auto_shutdown is Never: must be false, or the \
         supervisor's auto_shutdown Any or All"
    );
    let sup = Spec::new("sup", &log).spawn(&system);
    let under = ask(sup, |cx| {
        cx.actor(|| Dot).significant(true).spawn().map(drop)
    });
    assert!(field(under.unwrap_err()).starts_with("significant"));
    finish(system);
}

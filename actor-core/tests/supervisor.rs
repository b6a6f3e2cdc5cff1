//! Declared trees: what is refused before anything starts, in which order the rest starts and stops, and
//! what a supervisor answers meanwhile.

mod common;
#[path = "common/life.rs"]
mod life;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{ActorPhase, ChildSpec, SpawnError, SpecError, Supervisor, SupervisorError};
use common::{Gate, PATIENCE, finish, system, wait_until};
use life::{Dot, Echo, Hook, Log, Node, NodeRef, Spec, quiet, with};

/// A child that does what `spec` says.
fn node(spec: &Spec) -> ChildSpec<Node> {
    let spec_of_child = spec.clone();
    ChildSpec::new(&spec.name, move || spec_of_child.make())
        .restart(spec.restart)
        .backoff(spec.backoff)
}

fn plain(name: &str, log: &Log) -> ChildSpec<Node> {
    node(&Spec::new(name, log))
}

/// The child of that name.
#[track_caller]
fn child(supervisor: ActorRef<Supervisor>, name: &str) -> ActorRef<Node> {
    supervisor
        .child(name)
        .blocking()
        .expect("the supervisor answers")
        .expect("there is such a child")
}

#[test]
fn a_tree_with_a_mistake_is_refused_and_nothing_starts() {
    let system = system();
    let log = Log::new();
    let before = system.stats().actors.spawned;
    let wrong = || {
        Supervisor::one_for_one()
            .child_with(plain("good", &log))
            .supervisor(
                "pool",
                Supervisor::one_for_all().child_with(plain("conn", &log).after("db")),
            )
    };
    let refused = system.spawn(wrong()).expect_err("refused");
    let SpawnError::Spec(error) = refused else {
        panic!("{refused:?}");
    };
    assert!(matches!(error, SpecError::UnknownDependency { .. }));
    assert_eq!((error.path(), error.field()), ("pool/conn", "after"));
    assert_eq!(error, wrong().build().expect_err("refused"));
    // Under an actor it is no different.
    let parent = system.spawn(Spec::new("parent", &log).factory()).unwrap();
    let under = wrong();
    let refused = parent
        .ask_blocking(with(move |_, cx| cx.spawn(under).map(|_| ())))
        .unwrap();
    assert_eq!(refused, Err(SpawnError::Spec(error)));
    assert_eq!(system.stats().actors.spawned, before + 1);
    assert!(!log.has("good started 1"));
    finish(system);
}

#[test]
fn children_start_in_their_order_each_when_the_one_before_is_up_and_stop_in_reverse() {
    let system = system();
    let log = Log::new();
    let gate = Gate::new();
    let slow = (gate.clone(), log.clone());
    let tree = Supervisor::one_for_one()
        .child_with(plain("web", &log).after("cache"))
        .child_with(ChildSpec::new("slow", move || {
            Slow(slow.0.clone(), slow.1.clone())
        }))
        .supervisor(
            "pool",
            Supervisor::one_for_one()
                .child_with(plain("conn-1", &log))
                .child_with(plain("conn-2", &log)),
        )
        .child_with(plain("cache", &log));
    let supervisor = system.actor(tree).name("shop").spawn().unwrap();

    log.wait("slow starts");
    // Refs are there at once, and messages wait for the start.
    let web = child(supervisor, "web");
    let cache = child(supervisor, "cache");
    web.tell(life::Note(1)).unwrap();
    let tree = system.supervision_tree().patience(PATIENCE).blocking();
    let phase = |name: &str| tree.find(name).unwrap().seen.as_ref().unwrap().phase;
    assert_eq!(phase("shop"), ActorPhase::Running);
    assert_eq!(phase("slow"), ActorPhase::Starting);
    assert_eq!(
        phase("cache"),
        ActorPhase::Starting,
        "held, not backing off"
    );
    assert_eq!(log.lines(), ["slow starts"]);

    gate.open();
    assert_eq!(web.life(), 1);
    assert_eq!(
        log.lines(),
        [
            "slow starts",
            "slow is up",
            "conn-1 started 1",
            "conn-2 started 1",
            "cache started 1",
            "web started 1"
        ]
    );
    assert_eq!(child(supervisor, "web"), web);
    assert_eq!(child(supervisor, "cache"), cache);

    log.clear();
    supervisor.stop();
    wait_until("the tree is gone", || !supervisor.is_alive());
    let stops: Vec<String> = log
        .lines()
        .into_iter()
        .filter(|line| line.ends_with(" stopped"))
        .collect();
    assert_eq!(
        stops,
        [
            "web stopped",
            "cache stopped",
            "conn-2 stopped",
            "conn-1 stopped"
        ]
    );
    finish(system);
}

/// Takes its time to start.
struct Slow(Gate, Log);
impl Actor for Slow {
    async fn started(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        self.1.say("slow starts");
        self.0.passed().await;
        self.1.say("slow is up");
        Ok(())
    }
}

#[test]
fn a_tree_that_is_stopped_while_it_starts_goes_without_a_trace() {
    let system = system();
    let log = Log::new();
    let slow = (Gate::new(), log.clone());
    let tree = Supervisor::one_for_one()
        .child_with(ChildSpec::new("slow", move || {
            Slow(slow.0.clone(), slow.1.clone())
        }))
        .child_with(plain("held", &log))
        .supervisor(
            "pool",
            Supervisor::one_for_one().child_with(plain("deep", &log)),
        );
    let supervisor = system.spawn(tree).unwrap();
    let held = child(supervisor, "held");
    held.tell(life::Note(1)).unwrap();
    log.wait("slow starts");
    supervisor.stop_with(actor_core::StopMode::Kill);
    wait_until("the tree is gone", || !supervisor.is_alive());
    assert!(!held.is_alive());
    assert!(!log.has("held started 1"));
    let books = finish(system);
    assert!(books.holds_at_rest());
}

#[test]
fn a_child_that_cannot_start_holds_its_juniors_up_until_it_can() {
    quiet();
    let system = system();
    let log = Log::new();
    let may_start = Arc::new(AtomicBool::new(false));
    let tries = Arc::new(AtomicUsize::new(0));
    let fussy = (may_start.clone(), tries.clone());
    let tree = Supervisor::one_for_one()
        .intensity(10_000)
        .child_with(
            ChildSpec::new("fussy", move || Fussy(fussy.0.clone(), fussy.1.clone())).backoff(
                Backoff::new(Duration::from_millis(1), Duration::from_millis(2)),
            ),
        )
        .child_with(plain("junior", &log));
    let supervisor = system.spawn(tree).unwrap();
    wait_until("it has been tried often", || {
        tries.load(Ordering::SeqCst) > 5
    });
    // The supervisor answers meanwhile, and its children can be written to.
    let junior = child(supervisor, "junior");
    assert!(!log.has("junior started 1"));
    may_start.store(true, Ordering::SeqCst);
    assert_eq!(junior.life(), 1);
    finish(system);
}

/// Starts only when it may.
struct Fussy(Arc<AtomicBool>, Arc<AtomicUsize>);
impl Actor for Fussy {
    async fn started(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        if self.0.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err("not yet".into())
        }
    }
}

#[test]
fn a_temporary_child_that_cannot_start_is_passed_by() {
    quiet();
    let system = system();
    let log = Log::new();
    let mut hopeless = Spec::new("hopeless", &log);
    hopeless.restart = Restart::Temporary;
    hopeless.on_factory = Hook::Panic;
    let tree = Supervisor::one_for_one()
        .child_with(node(&hopeless))
        .child_with(plain("next", &log));
    let supervisor = system.spawn(tree).unwrap();
    assert_eq!(child(supervisor, "next").life(), 1);
    let gone = supervisor.child::<Node>("hopeless").blocking().unwrap();
    assert!(gone.is_err(), "{gone:?}");
    finish(system);
}

#[test]
fn a_child_is_found_by_name_and_type_and_stays_the_same_over_restarts() {
    quiet();
    let system = system();
    let log = Log::new();
    let tree = Supervisor::one_for_one()
        .child_with(plain("node", &log))
        .child("dot", || Dot);
    let supervisor = system.spawn(tree).unwrap();
    let node = child(supervisor, "node");
    node.crash();
    assert_eq!(node.life(), 2);
    assert_eq!(child(supervisor, "node"), node);
    let dot = supervisor.child::<Dot>("dot").blocking().unwrap().unwrap();
    assert_eq!(dot.ask_blocking(Echo(5)).unwrap(), 5);

    let wrong = supervisor.child::<Dot>("node").blocking().unwrap();
    let Err(SupervisorError::WrongType { child, is, asked }) = &wrong else {
        panic!("{wrong:?}");
    };
    assert_eq!(&**child, "node");
    assert!(is.ends_with("Node") && asked.ends_with("Dot"));
    let none = supervisor.child::<Dot>("dots").blocking().unwrap();
    assert_eq!(
        none,
        Err(SupervisorError::NotFound {
            child: "dots".into()
        })
    );
    finish(system);
}

#[test]
fn a_supervisor_that_fails_too_often_is_started_anew_by_its_own() {
    quiet();
    let system = system();
    let log = Log::new();
    let tree = Supervisor::one_for_one().supervisor(
        "inner",
        Supervisor::one_for_one()
            .intensity(1)
            .period(Duration::from_secs(3600))
            .child_with(plain("a", &log))
            .child_with(plain("b", &log)),
    );
    let outer = system.spawn(tree).unwrap();
    let inner = outer
        .child::<Supervisor>("inner")
        .blocking()
        .unwrap()
        .unwrap();
    let old = child(inner, "a");
    assert_eq!(child(inner, "b").life(), 1);
    old.crash();
    assert_eq!(old.life(), 2);
    old.crash();
    // Once too often: the inner supervisor starts anew, with new children.
    wait_until("the old child is gone", || !old.is_alive());
    let new = child(inner, "a");
    assert_ne!(new, old);
    assert_eq!(new.life(), 3, "the third life made by that closure");
    assert_eq!(
        outer
            .child::<Supervisor>("inner")
            .blocking()
            .unwrap()
            .unwrap(),
        inner
    );
    log.wait_count("b started 2", 1);
    finish(system);
}

#[test]
fn children_are_added_while_the_supervisor_runs() {
    quiet();
    let system = system();
    let log = Log::new();
    let tree = Supervisor::one_for_one().child_with(plain("first", &log));
    let supervisor = system.spawn(tree).unwrap();
    let second = supervisor
        .start_child(plain("second", &log))
        .blocking()
        .unwrap()
        .unwrap();
    assert_eq!(second.life(), 1);
    assert_eq!(child(supervisor, "second"), second);
    second.crash();
    assert_eq!(second.life(), 2);

    let taken = supervisor
        .start_child(plain("first", &log))
        .blocking()
        .unwrap();
    assert_eq!(
        taken,
        Err(SupervisorError::NameTaken {
            child: "first".into()
        })
    );
    let wrong = supervisor
        .start_child(plain("third", &log).significant())
        .blocking()
        .unwrap();
    let Err(SupervisorError::Spec(error)) = wrong else {
        panic!("{wrong:?}");
    };
    assert_eq!((error.path(), error.field()), ("third", "significant"));
    // In the order of their starts, and so in reverse at the end.
    supervisor.stop();
    wait_until("the tree is gone", || !supervisor.is_alive());
    assert!(log.at("second stopped") < log.at("first stopped"));
    finish(system);
}

#[test]
fn s23_children_that_come_and_go_are_gone() {
    const CROWD: usize = 5_000;
    let system = system();
    let named = system.spawn(Supervisor::one_for_one()).unwrap();
    let simple = system.spawn(Supervisor::simple_one_for_one()).unwrap();
    for round in 0..CROWD {
        for supervisor in [named, simple] {
            let dot = ChildSpec::new(format!("dot-{round}"), || Dot).restart(Restart::Temporary);
            let dot = supervisor.start_child(dot).blocking().unwrap().unwrap();
            dot.stop();
        }
    }
    wait_until("all are gone", || system.stats().actors.alive() == 2);
    let seen = system.inspect_blocking(named.id(), PATIENCE).unwrap();
    assert_eq!(seen.child_count, 0);
    finish(system);
}

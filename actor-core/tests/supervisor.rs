//! Declared trees: what is refused before anything starts, in which order the rest starts and stops, and
//! what a supervisor answers meanwhile.

mod common;
#[path = "common/life.rs"]
mod life;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{
    ActorPhase, AutoShutdown, ChildError, ChildSpec, Shutdown, SpawnError, SpecError, Supervisor,
    SupervisorError, SupervisorSpec,
};
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
        Err(SupervisorError::Child(ChildError::NotFound("dots".into())))
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

/// The names of the lines that end so, in order.
fn who(log: &Log, what: &str) -> Vec<String> {
    let lines = log.lines().into_iter();
    let cut = |line: String| line.split_once(what).map(|(who, _)| who.trim().to_owned());
    lines.filter_map(cut).collect()
}

/// Three children under a strategy.
fn three(tree: SupervisorSpec, log: &Log) -> SupervisorSpec {
    tree.child_with(plain("a", log))
        .child_with(plain("b", log))
        .child_with(plain("c", log))
}

#[test]
fn s02_one_for_all_stops_all_in_reverse_and_starts_all_in_order() {
    quiet();
    let system = system();
    let log = Log::new();
    let supervisor = system
        .spawn(three(Supervisor::one_for_all(), &log))
        .unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| child(supervisor, name));
    assert_eq!(c.life(), 1);
    log.clear();
    b.crash();
    // The one that crashed first: `a` may still answer as its old self.
    assert_eq!(b.life(), 2);
    assert_eq!([a.life(), c.life()], [2, 2]);
    // References survive; no old life is alive when the first new one starts.
    assert_eq!(
        [a, b, c],
        ["a", "b", "c"].map(|name| child(supervisor, name))
    );
    assert_eq!(who(&log, "dropped 1"), ["b", "c", "a"]);
    assert_eq!(who(&log, "started 2"), ["a", "b", "c"]);
    assert!(log.at("a dropped 1") < log.at("a started 2"));
    finish(system);
}

#[test]
fn s03_rest_for_one_restarts_those_that_were_started_later_also_against_the_declaration() {
    quiet();
    let system = system();
    let log = Log::new();
    // Declared c, b, a; started a, b, c.
    let tree = Supervisor::rest_for_one()
        .child_with(plain("c", &log).after("b"))
        .child_with(plain("b", &log).after("a"))
        .child_with(plain("a", &log));
    let supervisor = system.spawn(tree).unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| child(supervisor, name));
    assert_eq!(c.life(), 1);
    log.clear();
    b.crash();
    assert_eq!([a.life(), b.life(), c.life()], [1, 2, 2]);
    assert_eq!(who(&log, "dropped 1"), ["b", "c"]);
    assert_eq!(who(&log, "started 2"), ["b", "c"]);
    finish(system);
}

#[test]
fn s12_a_supervisor_answers_at_once_while_a_child_restarts_for_ever() {
    quiet();
    let system = system();
    let log = Log::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let fussy = (Arc::new(AtomicBool::new(true)), tries.clone());
    let may_start = fussy.0.clone();
    let tree = Supervisor::one_for_one()
        .intensity(10_000)
        .period(Duration::from_millis(1))
        .child_with(
            ChildSpec::new("storm", move || Fussy(fussy.0.clone(), fussy.1.clone()))
                .restart(Restart::Permanent)
                .backoff(Backoff::new(
                    Duration::from_micros(50),
                    Duration::from_micros(100),
                )),
        )
        .child_with(plain("calm", &log));
    let supervisor = system.spawn(tree).unwrap();
    let storm = supervisor
        .child::<Fussy>("storm")
        .blocking()
        .unwrap()
        .unwrap();
    assert_eq!(child(supervisor, "calm").life(), 1);
    // From now on it can only fail to start.
    may_start.store(false, Ordering::SeqCst);
    storm.stop();
    wait_until("the storm has begun", || tries.load(Ordering::SeqCst) > 20);

    // A supervisor in peace says how long the same takes on this machine at this moment: the promise is
    // about the storm, not about a machine that is busy with something else.
    let peace = system
        .spawn(
            Supervisor::one_for_one()
                .child_with(plain("storm", &log))
                .child_with(plain("calm", &log)),
        )
        .unwrap();
    let round = |supervisor: ActorRef<Supervisor>, round: u32| {
        let began = std::time::Instant::now();
        let children = supervisor.which_children().blocking().unwrap();
        assert_eq!(children.len(), 2);
        assert_eq!(children[0].name.as_deref(), Some("storm"));
        let counts = supervisor.count_children().blocking().unwrap();
        assert_eq!((counts.specs, counts.terminated), (2, 0));
        assert_eq!(child(supervisor, "calm").life(), 1);
        let name = format!("more-{round}");
        let more = supervisor
            .start_child(plain(&name, &log))
            .blocking()
            .unwrap()
            .unwrap();
        assert_eq!(more.life(), 1);
        assert_eq!(
            supervisor.terminate_child(&*name).blocking().unwrap(),
            Ok(())
        );
        assert!(!more.is_alive());
        assert_eq!(supervisor.delete_child(name).blocking().unwrap(), Ok(()));
        began.elapsed()
    };
    const ROUNDS: u32 = 20;
    let (mut in_storm, mut in_peace) = (Duration::ZERO, Duration::ZERO);
    for n in 0..ROUNDS {
        in_storm += round(supervisor, n);
        in_peace += round(peace, n);
    }
    let limit = Duration::from_millis(100) * ROUNDS + in_peace * 10;
    println!("{ROUNDS} rounds in {in_storm:?}, in peace in {in_peace:?}");
    assert!(
        in_storm < limit,
        "{in_storm:?} in the storm, {limit:?} are allowed"
    );
    let so_far = tries.load(Ordering::SeqCst);
    wait_until("the storm goes on", || {
        tries.load(Ordering::SeqCst) > so_far
    });

    // The storm itself can be ended, and its child is forgotten.
    assert_eq!(
        supervisor.terminate_child("storm").blocking().unwrap(),
        Ok(())
    );
    let after = tries.load(Ordering::SeqCst);
    assert_eq!(supervisor.delete_child("storm").blocking().unwrap(), Ok(()));
    assert_eq!(supervisor.which_children().blocking().unwrap().len(), 1);
    assert_eq!(tries.load(Ordering::SeqCst), after);
    finish(system);
}

#[test]
fn a_child_is_terminated_restarted_and_deleted_from_outside() {
    quiet();
    let system = system();
    let log = Log::new();
    let supervisor = system
        .spawn(three(Supervisor::one_for_one(), &log))
        .unwrap();
    let old = child(supervisor, "b");
    assert_eq!(child(supervisor, "c").life(), 1);

    // A child that runs is not restarted, and not deleted.
    let runs = Err(SupervisorError::Child(ChildError::Running(old.id())));
    assert_eq!(
        supervisor.restart_child("b").blocking().unwrap(),
        runs.clone().map(|()| old.id())
    );
    assert_eq!(supervisor.delete_child("b").blocking().unwrap(), runs);

    assert_eq!(supervisor.terminate_child("b").blocking().unwrap(), Ok(()));
    assert!(!old.is_alive() && log.has("b stopped"));
    assert_eq!(
        supervisor.terminate_child("b").blocking().unwrap(),
        Ok(()),
        "again is fine"
    );
    let refused = supervisor.child::<Node>("b").blocking().unwrap();
    assert_eq!(
        refused,
        Err(SupervisorError::NotRunning { child: "b".into() })
    );
    let counts = supervisor.count_children().blocking().unwrap();
    assert_eq!((counts.specs, counts.running, counts.terminated), (3, 2, 1));
    let taken = supervisor.start_child(plain("b", &log)).blocking().unwrap();
    assert_eq!(taken, Err(SupervisorError::NameTaken { child: "b".into() }));

    // In its old place, as a new actor.
    let id = supervisor.restart_child("b").blocking().unwrap().unwrap();
    let new = child(supervisor, "b");
    assert_eq!(new.id(), id);
    assert_ne!(new, old);
    assert_eq!(new.life(), 2);
    let names: Vec<String> = supervisor
        .which_children()
        .blocking()
        .unwrap()
        .iter()
        .map(|child| child.name.as_deref().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(names, ["a", "b", "c"]);

    // By id as well as by name.
    assert_eq!(supervisor.terminate_child(id).blocking().unwrap(), Ok(()));
    assert_eq!(supervisor.delete_child(id).blocking().unwrap(), Ok(()));
    let none = supervisor.terminate_child("b").blocking().unwrap();
    assert!(
        matches!(none, Err(SupervisorError::Child(ChildError::NotFound(_)))),
        "{none:?}"
    );
    let fresh = supervisor
        .start_child(plain("b", &log))
        .blocking()
        .unwrap()
        .unwrap();
    assert_eq!(child(supervisor, "b"), fresh);
    finish(system);
}

#[test]
fn a_child_that_takes_its_time_to_end_keeps_no_other_request_waiting() {
    let system = system();
    let log = Log::new();
    let tree = Supervisor::one_for_one()
        .child_with(plain("slow", &log).shutdown(Shutdown::Infinity))
        .child_with(plain("calm", &log));
    let supervisor = system.spawn(tree).unwrap();
    let slow = child(supervisor, "slow");
    let gate = Gate::new();
    slow.tell(Hold(gate.clone(), log.clone())).unwrap();
    log.wait("slow holds");
    let ended = Arc::new(AtomicBool::new(false));
    let asker = std::thread::spawn({
        let ended = ended.clone();
        move || {
            let reply = supervisor.terminate_child("slow").blocking();
            ended.store(true, Ordering::SeqCst);
            reply
        }
    });
    wait_until("it was told to stop", || {
        supervisor.count_children().blocking().unwrap().stopping == 1
    });
    assert_eq!(child(supervisor, "calm").life(), 1);
    assert!(slow.is_alive() && !ended.load(Ordering::SeqCst));
    gate.open();
    assert_eq!(asker.join().unwrap().unwrap(), Ok(()));
    assert!(!slow.is_alive());
    finish(system);
}

/// Awaits until the gate is open.
struct Hold(Gate, Log);
impl Message for Hold {
    type Reply = ();
}
impl Handler<Hold> for Node {
    async fn handle(&mut self, Hold(gate, log): Hold, _cx: &mut ActorContext<Self>) {
        log.say("slow holds");
        gate.passed().await;
    }
}

#[test]
fn a_terminated_child_comes_back_with_its_group_and_is_found_again() {
    quiet();
    let system = system();
    let log = Log::new();
    let supervisor = system
        .spawn(three(Supervisor::one_for_all(), &log))
        .unwrap();
    let [a, old] = ["a", "b"].map(|name| child(supervisor, name));
    assert_eq!(child(supervisor, "c").life(), 1);
    assert_eq!(supervisor.terminate_child("b").blocking().unwrap(), Ok(()));
    a.crash();
    assert_eq!(a.life(), 2);
    wait_until(
        "it is back",
        || matches!(supervisor.child::<Node>("b").blocking().unwrap(), Ok(new) if new != old),
    );
    assert_eq!(child(supervisor, "b").life(), 2);
    finish(system);
}

#[test]
fn s24_auto_shutdown_any_ends_the_supervisor_with_the_first_significant_child() {
    let system = system();
    let log = Log::new();
    let tree = Supervisor::one_for_one()
        .auto_shutdown(AutoShutdown::Any)
        .child_with(plain("plain", &log))
        .child_with(plain("first", &log).significant())
        .child_with(
            plain("second", &log)
                .significant()
                .restart(Restart::Temporary),
        );
    let supervisor = system.spawn(tree).unwrap();
    let [plain_one, first] = ["plain", "first"].map(|name| child(supervisor, name));
    // Not with one that is not significant, and not with one that the supervisor ends itself.
    plain_one.stop();
    plain_one.gone();
    assert_eq!(
        supervisor.terminate_child("second").blocking().unwrap(),
        Ok(())
    );
    assert_eq!(first.life(), 1);
    assert!(supervisor.is_alive());
    first.stop();
    wait_until("the supervisor is gone", || !supervisor.is_alive());
    finish(system);
}

#[test]
fn s24_auto_shutdown_all_waits_for_the_last_significant_child() {
    let system = system();
    let log = Log::new();
    let tree = Supervisor::one_for_one()
        .auto_shutdown(AutoShutdown::All)
        .child_with(plain("first", &log).significant())
        .child_with(plain("second", &log).significant())
        .child_with(plain("plain", &log));
    let supervisor = system.spawn(tree).unwrap();
    let [first, second] = ["first", "second"].map(|name| child(supervisor, name));
    first.stop();
    first.gone();
    assert_eq!(second.life(), 1);
    assert_eq!(child(supervisor, "plain").life(), 1);
    assert!(supervisor.is_alive());
    second.stop();
    wait_until("the supervisor is gone", || !supervisor.is_alive());
    finish(system);
}

#[test]
fn a_group_restart_in_the_middle_of_the_first_start_starts_everybody_once_more_in_order() {
    quiet();
    let system = system();
    let log = Log::new();
    let mut fails_once = Spec::new("b", &log);
    fails_once.on_start = Hook::Panic;
    let lives = fails_once.lives.clone();
    let tree = Supervisor::one_for_all()
        .intensity(1000)
        .child_with(plain("a", &log))
        .child_with(ChildSpec::new("b", move || {
            // Only the first life's start fails.
            let mut spec = fails_once.clone();
            spec.on_start = match lives.load(Ordering::SeqCst) {
                0 => Hook::Panic,
                _ => Hook::Nothing,
            };
            spec.make()
        }))
        .child_with(plain("c", &log));
    let supervisor = system.spawn(tree).unwrap();
    assert_eq!(
        child(supervisor, "c").life(),
        1,
        "it was held when the others failed"
    );
    assert_eq!(who(&log, "started 1"), ["a", "b", "c"]);
    assert_eq!(who(&log, "started 2"), ["a", "b"]);
    assert!(log.at("b started 2") < log.at("c started 1"));
    finish(system);
}

#[test]
fn s22_many_declared_and_added_children_start_and_stop_in_linear_time() {
    let system = system();
    // Times are not asserted: done the square way, this would take minutes.
    const CROWD: usize = 20_000;
    let tree = (0..CROWD).fold(Supervisor::one_for_one(), |tree, n| {
        tree.child(format!("dot-{n}"), || Dot)
    });
    let supervisor = system.spawn(tree).unwrap();
    let last: ActorRef<Dot> = supervisor
        .child(format!("dot-{}", CROWD - 1))
        .blocking()
        .unwrap()
        .unwrap();
    assert_eq!(last.ask_blocking(Echo(1)).unwrap(), 1);
    for n in CROWD..CROWD + 1000 {
        let more = ChildSpec::new(format!("dot-{n}"), || Dot);
        assert!(supervisor.start_child(more).blocking().unwrap().is_ok());
    }
    let counts = supervisor.count_children().blocking().unwrap();
    assert_eq!((counts.specs, counts.running), (CROWD + 1000, CROWD + 1000));
    supervisor.stop();
    wait_until("the tree is gone", || !supervisor.is_alive());
    finish(system);
}

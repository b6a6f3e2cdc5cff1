//! How long a child's stop may take, and what becomes of a child that does not stop (S13).

mod common;
#[path = "common/life.rs"]
mod life;

use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{StopMode, SystemRef};
use common::*;
use life::*;

const LONG: Duration = Duration::from_secs(3600);

fn child(name: &str, log: &Log, shutdown: Shutdown) -> Spec {
    let mut child = Spec::new(name, log);
    child.shutdown = shutdown;
    child
}

/// Has the actor hold its worker's thread until the gate opens; returns once it does.
fn hang(actor: ActorRef<Node>) -> Gate {
    let (gate, began) = (Gate::new(), Gate::new());
    let (inside, begun) = (gate.clone(), began.clone());
    actor
        .tell(with(move |_, _| {
            begun.open();
            inside.pass();
        }))
        .unwrap();
    began.pass();
    gate
}

/// A system on which one hanging actor leaves a worker for the others.
fn system_of_two() -> ActorSystem {
    ActorSystem::builder()
        .workers(actor_core::topology::Workers::Count(2))
        .build()
        .expect("a system")
}

fn abandoned(system: &SystemRef) -> u64 {
    system.stats().actors.abandoned
}

#[test]
fn s13_a_stopped_hook_that_awaits_is_cut_off_and_the_rest_goes_on() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut slow = child("B", &log, Shutdown::After(Duration::from_millis(30)));
    slow.on_stop = Hook::Hang;
    let spec = Spec::new("sup", &log)
        .child(Spec::new("A", &log))
        .child(slow)
        .child(Spec::new("C", &log));
    let sup = spec.spawn(&system);
    for name in ["A", "B", "C"] {
        assert_eq!(spec.family.get(name).life(), 1, "started");
    }
    let watcher = Spec::new("w", &log).spawn(&system);
    watcher.watches(spec.family.get("B"), "B");
    log.clear();
    sup.stop();
    sup.gone();
    log.wait("w heard of B: shut down");
    assert!(log.at("C stopped") < log.at("B stopping: shut down"));
    assert!(log.at("B dropped 1") < log.at("A stopping: shut down"));
    assert!(!log.has("B stopped") && log.has("A stopped") && log.has("sup stopped"));
    assert_eq!(abandoned(&system), 0);
    finish(system);
}

#[test]
fn s13_a_handler_that_awaits_is_cut_off_and_its_stopped_hook_runs() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec =
        Spec::new("sup", &log).child(child("A", &log, Shutdown::After(Duration::from_millis(30))));
    let sup = spec.spawn(&system);
    let a = spec.family.get("A");
    a.tell(Sleep(None)).unwrap();
    log.wait("A sleeps");
    for n in 0..3 {
        a.tell(Note(n)).unwrap();
    }
    sup.stop();
    sup.gone();
    assert!(log.at("A sleep over") < log.at("A stopping: shut down"));
    assert!(log.has("A stopped"), "it has no await to be cut off at");
    let books = finish(system);
    assert_eq!(books.dropped.interrupted, 1);
    assert_eq!(books.dead_letters.total(), 3);
}

#[test]
fn s13_the_time_is_the_childs_own_its_children_have_theirs() {
    quiet();
    let (system, log) = (system(), Log::new());
    // The middle one's time is over long before its child's.
    let mut leaf = child("leaf", &log, Shutdown::After(Duration::from_millis(200)));
    leaf.on_stop = Hook::Hang;
    let middle = child("middle", &log, Shutdown::After(Duration::from_millis(10))).child(leaf);
    let spec = Spec::new("sup", &log).child(middle);
    let sup = spec.spawn(&system);
    assert_eq!(spec.family.get("leaf").life(), 1);
    let began = Instant::now();
    sup.stop();
    sup.gone();
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert!(log.at("leaf dropped 1") < log.at("middle stopping: shut down"));
    assert_eq!(abandoned(&system), 0);
    finish(system);
}

#[test]
fn s13_brutal_kill_does_not_wait_also_in_a_drain() {
    quiet();
    for mode in [StopMode::Now, StopMode::Drain] {
        let (system, log) = (system(), Log::new());
        let mut hard = child("A", &log, Shutdown::Kill);
        hard.on_stop = Hook::Hang;
        let spec = Spec::new("sup", &log).child(hard);
        let sup = spec.spawn(&system);
        let a = spec.family.get("A");
        a.tell(Sleep(None)).unwrap();
        log.wait("A sleeps");
        sup.stop_with(mode);
        sup.gone();
        assert!(log.has("A sleep over") && !log.has("A stopped"), "{mode:?}");
        finish(system);
    }
}

#[test]
fn s13_infinity_waits_and_a_kill_ends_it() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut slow = child("A", &log, Shutdown::Infinity);
    slow.on_stop = Hook::Hang;
    let mut brief = child("B", &log, Shutdown::After(Duration::from_millis(10)));
    brief.on_stop = Hook::Hang;
    let spec = Spec::new("sup", &log).child(slow).child(brief);
    let sup = spec.spawn(&system);
    assert_eq!(spec.family.get("B").life(), 1);
    sup.stop();
    log.wait("A stopping: shut down");
    assert!(log.has("B dropped 1"));
    std::thread::sleep(Duration::from_millis(30));
    assert!(sup.is_alive());
    sup.kill();
    sup.gone();
    finish(system);
}

#[test]
fn s13_a_child_that_hangs_is_abandoned_and_ends_when_it_comes_back() {
    quiet();
    let (system, log) = (system_of_two(), Log::new());
    let spec = Spec::new("sup", &log)
        .child(Spec::new("A", &log))
        .child(child("B", &log, Shutdown::After(Duration::from_millis(20))))
        .child(Spec::new("C", &log));
    let sup = spec.spawn(&system);
    let b = spec.family.get("B");
    assert_eq!(spec.family.get("C").life(), 1);
    let watcher = Spec::new("w", &log).spawn(&system);
    watcher.watches(b, "B");
    let gate = hang(b);
    for n in 0..3 {
        b.tell(Note(n)).unwrap();
    }
    sup.stop();
    sup.gone();
    assert_eq!(abandoned(&system), 1);
    assert!(
        log.has("A stopped") && log.has("sup stopped"),
        "the rest went on"
    );
    assert!(b.is_alive() && !log.has("B stopping: shut down"));
    assert_eq!(log.starting("w heard"), 0, "it has not ended");
    // The parent's cell may be another's by now.
    let tenants: Vec<_> = (0..64)
        .map(|n| Spec::new(&format!("t{n}"), &log).spawn(&system))
        .collect();
    gate.open();
    b.gone();
    log.wait("w heard of B: shut down");
    assert_eq!(log.count("B dropped 1"), 1);
    for tenant in tenants {
        assert_eq!(tenant.life(), 1);
    }
    let books = finish(system);
    assert_eq!(books.dead_letters.total(), 3);
}

#[test]
fn s13_a_hanging_child_that_then_panics_is_not_restarted() {
    quiet();
    let (system, log) = (system_of_two(), Log::new());
    let mut hanging = child("A", &log, Shutdown::Kill);
    hanging.restart = Restart::Permanent;
    let spec = Spec::new("sup", &log).child(hanging);
    let sup = spec.spawn(&system);
    let a = spec.family.get("A");
    let (gate, began) = (Gate::new(), Gate::new());
    let (inside, begun) = (gate.clone(), began.clone());
    a.tell(with(move |_, _| {
        begun.open();
        inside.pass();
        boom()
    }))
    .unwrap();
    began.pass();
    sup.kill();
    sup.gone();
    assert_eq!(abandoned(&system), 1);
    gate.open();
    a.gone();
    assert_eq!(spec.children[0].lives(), 1);
    finish(system);
}

#[test]
fn s13_a_hanging_child_is_terminated_alone() {
    quiet();
    let (system, log) = (system_of_two(), Log::new());
    let spec = Spec::new("sup", &log)
        .child(child("A", &log, Shutdown::After(Duration::from_millis(10))))
        .child(Spec::new("B", &log));
    let sup = spec.spawn(&system);
    let (a, b) = (spec.family.get("A"), spec.family.get("B"));
    assert_eq!(b.life(), 1);
    let gate = hang(a);
    sup.ask_blocking(with(move |_, cx| cx.terminate_child(a).unwrap()))
        .unwrap();
    wait_until("it is given up", || abandoned(&system) == 1);
    let left = sup.ask_blocking(with(|_, cx| cx.which_children())).unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!((b.life(), sup.life()), (1, 1));
    gate.open();
    a.gone();
    assert_eq!((b.life(), sup.life()), (1, 1));
    finish(system);
}

#[test]
fn s13_a_group_that_cannot_be_stopped_escalates() {
    quiet();
    let (system, log) = (system_of_two(), Log::new());
    let mut spec = Spec::new("sup", &log)
        .child(Spec::new("A", &log))
        .child(child("B", &log, Shutdown::After(Duration::from_millis(10))));
    spec.supervision = Supervision::one_for_all();
    let sup = spec.spawn(&system);
    let (a, b) = (spec.family.get("A"), spec.family.get("B"));
    assert_eq!(b.life(), 1);
    let gate = hang(b);
    a.crash();
    log.wait("sup started 2");
    assert_eq!(abandoned(&system), 1);
    assert!(!a.is_alive());
    assert_eq!(sup.life(), 2);
    wait_until("a new family", || spec.family.get("B") != b);
    gate.open();
    b.gone();
    assert_eq!((sup.life(), spec.family.get("B").life()), (2, 2));
    finish(system);
}

#[test]
fn dynamic_children_are_stopped_at_once_each_within_its_time() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut spec = Spec::new("sup", &log);
    spec.supervision = Supervision::simple_one_for_one();
    for n in 0..8 {
        let mut each = child(
            &format!("c{n}"),
            &log,
            Shutdown::After(Duration::from_millis(100 + 10 * (n % 2))),
        );
        each.on_stop = Hook::Hang;
        spec = spec.child(each);
    }
    spec = spec.child(Spec::new("quick", &log));
    let mut hard = child("hard", &log, Shutdown::Kill);
    hard.on_stop = Hook::Hang;
    spec = spec.child(hard);
    let sup = spec.spawn(&system);
    assert_eq!(spec.family.get("hard").life(), 1);
    sup.stop();
    // All are in their hooks together: none waits for another.
    for n in 0..8 {
        log.wait(&format!("c{n} stopping: shut down"));
    }
    sup.gone();
    for n in 0..8 {
        assert!(log.has(&format!("c{n} dropped 1")));
    }
    assert!(log.has("quick stopped"));
    finish(system);
}

#[test]
fn a_child_that_waits_for_its_own_children_is_not_abandoned() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut leaf = child("leaf", &log, Shutdown::Infinity);
    leaf.on_stop = Hook::Hang;
    let middle = child("middle", &log, Shutdown::After(Duration::from_millis(5))).child(leaf);
    let spec = Spec::new("sup", &log).child(middle);
    let sup = spec.spawn(&system);
    let leaf = spec.family.get("leaf");
    assert_eq!(leaf.life(), 1);
    sup.stop();
    log.wait("leaf stopping: shut down");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(abandoned(&system), 0);
    leaf.kill();
    sup.gone();
    finish(system);
}

/// It drains, waits for its child, and handles what comes meanwhile; then its time is over after all.
#[test]
fn s13_a_handler_that_awaits_in_a_drain_is_cut_off() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut leaf = child("leaf", &log, Shutdown::Infinity);
    leaf.on_stop = Hook::Hang;
    let middle = child("middle", &log, Shutdown::After(Duration::from_millis(5))).child(leaf);
    let spec = Spec::new("sup", &log).child(middle);
    let sup = spec.spawn(&system);
    let (leaf, middle) = (spec.family.get("leaf"), spec.family.get("middle"));
    assert_eq!(leaf.life(), 1);
    middle.stop_with(StopMode::Drain);
    log.wait("leaf stopping: shut down");
    middle.tell(Sleep(None)).unwrap();
    log.wait("middle sleeps");
    sup.stop();
    log.wait("middle sleep over");
    assert_eq!(abandoned(&system), 0);
    leaf.kill();
    sup.gone();
    let books = finish(system);
    assert_eq!(books.dropped.interrupted, 1, "{books}");
}

#[test]
fn a_drain_takes_the_time_it_takes() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec =
        Spec::new("sup", &log).child(child("A", &log, Shutdown::After(Duration::from_millis(1))));
    let sup = spec.spawn(&system);
    let a = spec.family.get("A");
    a.tell(Sleep(Some(Duration::from_millis(100)))).unwrap();
    for n in 0..10 {
        a.tell(Note(n)).unwrap();
    }
    sup.stop_with(StopMode::Drain);
    sup.gone();
    let books = finish(system);
    assert_eq!(books.handled, 11, "{books}");
}

#[test]
fn a_time_of_zero_is_refused_by_name() {
    let system = system();
    let refused = system
        .actor(|| Dot)
        .shutdown(Shutdown::After(Duration::ZERO))
        .spawn()
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "shutdown is 0 s: must be longer than 0 s; Shutdown::Kill does not wait at all"
    );
    let kept = system.actor(|| Dot).shutdown(Shutdown::After(LONG)).spawn();
    assert!(kept.is_ok());
    finish(system);
}

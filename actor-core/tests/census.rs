//! All actors at a glance, past the workers; and actors by what their ids print as.

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{Activity, ActorId, ActorSystem};

struct Node;
impl Actor for Node {}

/// Waits until it is told to go on.
struct Wait(std::sync::mpsc::Receiver<()>);
impl Message for Wait {
    type Reply = ();
}
impl SyncHandler<Wait> for Node {
    fn handle(&mut self, Wait(go_on): Wait, _cx: &mut ActorContext<Self>) {
        // The other end is gone when the test has failed.
        let _ = go_on.recv();
    }
}

struct Spawn;
impl Message for Spawn {
    type Reply = ActorId;
}
impl SyncHandler<Spawn> for Node {
    fn handle(&mut self, _: Spawn, cx: &mut ActorContext<Self>) -> ActorId {
        cx.spawn(Self).expect("a running system spawns").id()
    }
}

fn system() -> ActorSystem {
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    builder.build().expect("a system with one worker")
}

#[test]
fn a_walk_shows_every_actor_once_with_its_parent_and_what_it_is_at() {
    let system = system();
    let other = self::system();
    other.spawn(Node).expect("spawned");
    let parent = system.spawn(Node).expect("spawned");
    let child = parent.ask_blocking(Spawn).expect("answered");
    let mut seen = Vec::new();
    system.for_each_actor(|glance| seen.push(glance));
    seen.sort_by_key(|glance| glance.actor != parent.id());
    let parents: Vec<_> = seen.iter().map(|it| (it.actor, it.parent)).collect();
    assert_eq!(parents, [(parent.id(), None), (child, Some(parent.id()))]);
    assert!(seen.iter().all(|it| it.actor_type.ends_with("Node")));
    assert!(
        seen.iter().all(|it| it.quiet_for.is_none()),
        "no sample yet"
    );

    system.sample_leaks();
    let (go_on, waits) = std::sync::mpsc::channel();
    let waiting = std::thread::scope(|scope| {
        let asker = scope.spawn(|| parent.ask_blocking(Wait(waits)));
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        let waiting = loop {
            let mut seen = None;
            system.for_each_actor(|it| {
                seen = seen.or_else(|| (it.actor == parent.id()).then_some(it))
            });
            let seen = seen.expect("it lives");
            if seen.activity == Activity::Busy || std::time::Instant::now() > deadline {
                break seen;
            }
            std::thread::yield_now();
        };
        go_on.send(()).expect("the handler waits");
        asker.join().expect("no panic").expect("answered");
        waiting
    });
    assert_eq!(waiting.activity, Activity::Busy);
    assert!(waiting.quiet_for.is_some(), "there was a sample");
    for system in [system, other] {
        assert!(system.shutdown_blocking(Duration::from_secs(60)).is_clean());
    }
}

#[test]
fn ids_are_found_by_what_they_print_as_and_nothing_else_is() {
    let system = system();
    let node = system.spawn(Node).expect("spawned");
    let id = node.id();
    assert_eq!(id.to_string().parse(), Ok(id));
    let bare = id.to_string().replace("actor:", "");
    assert_eq!(system.find_actor(&bare), Some(id));
    assert_eq!(system.find_actor(&id.to_string()), Some(id));
    for wrong in [
        "",
        ".",
        "0",
        "0.1",
        "0.1.1.1",
        "actor:",
        "x.1.1",
        "0.1.-1",
        "256.1.1",
        "0.1073741824.1",
        "0.1.67108864",
        "actor:actor:0.1.1",
        "7.1.1",
        "0.1000000.1",
        "0.18446744073709551616.1",
    ] {
        assert_eq!(system.find_actor(wrong), None, "{wrong:?}");
    }
    let next = format!("0.{}.{}", bare.split('.').nth(1).unwrap(), 12345);
    assert_eq!(system.find_actor(&next), None, "another generation");
    // The root is nobody's business: every cell that is no actor's is refused.
    let found = (0..1000).filter_map(|index| {
        (0..4).find_map(|generation| system.find_actor(&format!("0.{index}.{generation}")))
    });
    assert!(found.eq([id]));
    let error = "0.x.1".parse::<ActorId>().expect_err("no id");
    assert!(
        error.to_string().contains("\"0.x.1\" is no actor's id"),
        "{error}"
    );
    node.stop();
    system.block_on(node.terminated());
    assert_eq!(system.find_actor(&bare), None);
    assert!(system.shutdown_blocking(Duration::from_secs(60)).is_clean());
}

/// Keeps its worker at work for so long.
struct Spin(Duration);
impl Message for Spin {
    type Reply = ();
}
impl SyncHandler<Spin> for Node {
    fn handle(&mut self, Spin(time): Spin, _cx: &mut ActorContext<Self>) {
        let began = std::time::Instant::now();
        while began.elapsed() < time {
            std::hint::spin_loop();
        }
    }
}

#[test]
fn the_time_of_workers_on_cpus_grows_with_their_work() {
    let system = system();
    let node = system.spawn(Node).expect("spawned");
    let before = system.worker_cpu_times();
    assert_eq!(before.len(), 1);
    node.ask_blocking(Spin(Duration::from_millis(50)))
        .expect("answered");
    let after = system.worker_cpu_times();
    match (before[0], after[0]) {
        // How much of it the kernel gave the worker is its own affair.
        (Some(before), Some(after)) => assert!(after > before, "{before:?} {after:?}"),
        other => println!("skipped: threads are not pinned or counted here: {other:?}"),
    }
    assert!(system.shutdown_blocking(Duration::from_secs(60)).is_clean());
}

//! Where actors live: on the NUMA node they were placed on, through restarts, with their children.

mod common;
#[path = "common/life.rs"]
mod life;

use std::collections::HashMap;

use actor_core::prelude::*;
use actor_core::{CrossNumaStealing, NumaNodeId, SpawnError};
use common::*;
use life::*;

#[test]
fn children_and_restarts_stay_at_home() {
    quiet();
    let (system, log) = (system(), Log::new());
    for node in system.numa_nodes() {
        let spec = Spec::new("A", &log);
        let a = system
            .actor(spec.factory())
            .placement(Placement::Node(node))
            .spawn()
            .unwrap();
        let at = |actor: ActorRef<Node>| actor.ask_blocking(with(|_, cx| cx.numa_node())).unwrap();
        assert_eq!((at(a), a.id().numa_node()), (node, node));
        let child = Spec::new("child", &log);
        let child = a
            .ask_blocking(with(move |_, cx| child.spawn_in(cx).unwrap()))
            .unwrap();
        assert_eq!(at(child), node, "a child lives where its parent does");
        child.crash();
        assert_eq!(
            (child.life(), at(child)),
            (2, node),
            "a restart does not move it"
        );
    }
    finish(system);
}

#[test]
fn spread_goes_round_all_numa_nodes() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut seen = HashMap::<NumaNodeId, usize>::new();
    let nodes = system.numa_nodes();
    for _ in 0..nodes.len() * 10 {
        let a = system
            .actor(Spec::new("A", &log).factory())
            .placement(Placement::Spread)
            .spawn()
            .unwrap();
        *seen.entry(a.id().numa_node()).or_default() += 1;
    }
    assert_eq!(seen.len(), nodes.len());
    assert!(seen.values().all(|n| *n == 10), "{seen:?}");
    finish(system);
}

#[test]
fn near_and_key_name_the_same_home_each_time() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spawn = |placement| {
        let spec = Spec::new("A", &log);
        let builder = system.actor(spec.factory()).placement(placement);
        builder.spawn().unwrap()
    };
    for node in system.numa_nodes() {
        let friend = spawn(Placement::Node(node));
        assert_eq!(spawn(Placement::Near(friend.id())).id().numa_node(), node);
        friend.stop();
        wait_until("the friend has stopped", || !friend.is_alive());
        let after = spawn(Placement::Near(friend.id()));
        assert_eq!(after.id().numa_node(), node, "where it was");
    }
    let mut homes = HashMap::<NumaNodeId, usize>::new();
    for key in 0..200 {
        let home = spawn(Placement::Key(key)).id().numa_node();
        assert_eq!(spawn(Placement::Key(key)).id().numa_node(), home);
        *homes.entry(home).or_default() += 1;
    }
    assert_eq!(homes.len(), system.numa_nodes().len(), "{homes:?}");
    finish(system);
}

#[test]
fn the_least_loaded_numa_node_is_found() {
    quiet();
    // A spare in the place of a worker that is kept busy would make its NUMA node as free as the others.
    // And a worker of another one must not be the one that is kept busy.
    let system = ActorSystem::builder()
        .watchdog(false)
        .cross_numa_stealing(CrossNumaStealing::Never)
        .build()
        .unwrap();
    let log = Log::new();
    let nodes = system.numa_nodes();
    let busy = nodes[0];
    let place = |placement| {
        let spec = Spec::new("A", &log);
        let builder = system.actor(spec.factory()).placement(placement);
        builder.spawn().unwrap()
    };
    // Every worker of the first NUMA node is kept busy, one actor each.
    let workers = system.seats().iter().filter(|seat| seat.numa_node == busy);
    let blockers: Vec<_> = workers
        .map(|_| {
            let (free, wait) = std::sync::mpsc::channel::<()>();
            let (tell, began) = std::sync::mpsc::channel();
            let blocker = place(Placement::Node(busy));
            blocker
                .tell(with(move |_, _| {
                    tell.send(()).unwrap();
                    // Ends when `free` is dropped.
                    let _ = wait.recv();
                }))
                .unwrap();
            began.recv_timeout(PATIENCE).unwrap();
            free
        })
        .collect();
    if nodes.len() > 1 {
        for _ in 0..20 {
            // What was spawned last has been served, and its worker sleeps again.
            wait_until("the other workers have nothing to do", || {
                let numa = &system.stats().numa_nodes;
                numa.iter()
                    .skip(1)
                    .all(|numa| numa.queued == 0 && numa.asleep > 0)
            });
            assert_ne!(place(Placement::LeastLoaded).id().numa_node(), busy);
        }
    } else {
        assert_eq!(place(Placement::LeastLoaded).id().numa_node(), busy);
    }
    drop(blockers);
    finish(system);
}

#[test]
fn a_numa_node_without_workers_is_refused_by_name() {
    quiet();
    let (system, log) = (system(), Log::new());
    let asked = NumaNodeId(200);
    let refused = system
        .actor(Spec::new("A", &log).factory())
        .placement(Placement::Node(asked))
        .spawn();
    let Err(error @ SpawnError::NoSuchNumaNode { .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.to_string().contains("numa200"), "{error}");
    finish(system);
}

#[test]
fn messages_cross_numa_nodes_in_order() {
    quiet();
    let (system, log) = (system(), Log::new());
    for from in system.numa_nodes() {
        for to in system.numa_nodes() {
            let place = |node| {
                let spec = Spec::new("A", &log);
                let builder = system.actor(spec.factory()).mailbox(Mailbox::unbounded());
                builder.placement(Placement::Node(node)).spawn().unwrap()
            };
            let (a, b) = (place(from), place(to));
            a.ask_blocking(with(move |_, _| {
                (0..1000).for_each(|n| b.tell(Note(n)).unwrap())
            }))
            .unwrap();
            let numbers = b
                .ask_blocking(with(|node, _| node.numbers.clone()))
                .unwrap();
            assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        }
    }
    finish(system);
}

//! Where actors live: on the NUMA node they were placed on, through restarts, with their children.

mod common;
#[path = "common/life.rs"]
mod life;

use std::collections::HashMap;

use actor_core::prelude::*;
use actor_core::{NumaNodeId, SpawnError};
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

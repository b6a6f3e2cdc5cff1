//! Messages between NUMA nodes are counted, and actors move to where their messages come from.
//!
//! On a machine with one NUMA node there is nothing to cross; run with `ACTOR_TOPOLOGY=2x1` or more.

mod common;

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{Balancing, CrossNumaStealing, NumaNodeId, StartError, SystemRef};
use common::*;

struct Partner {
    peers: Vec<ActorRef<Self>>,
    heard: u64,
}
impl Actor for Partner {}

fn partner(system: &SystemRef, node: NumaNodeId) -> ActorRef<Partner> {
    let spawn = system.actor(Partner {
        peers: Vec::new(),
        heard: 0,
    });
    spawn.placement(Placement::Node(node)).spawn().unwrap()
}

struct Meet(ActorRef<Partner>);
impl Message for Meet {
    type Reply = ();
}
impl SyncHandler<Meet> for Partner {
    fn handle(&mut self, Meet(peer): Meet, _cx: &mut ActorContext<Self>) {
        self.peers.push(peer);
    }
}

/// Goes round: each sends one to its peer for one that it gets.
#[derive(Clone, Copy)]
struct Ball(u64);
impl Message for Ball {
    type Reply = ();
}
impl SyncHandler<Ball> for Partner {
    fn handle(&mut self, Ball(left): Ball, _cx: &mut ActorContext<Self>) {
        self.heard += 1;
        if let (Some(left), Some(peer)) = (left.checked_sub(1), self.peers.first()) {
            peer.tell(Ball(left)).unwrap();
        }
    }
}

struct Home;
impl Message for Home {
    type Reply = NumaNodeId;
}
impl SyncHandler<Home> for Partner {
    fn handle(&mut self, Home: Home, cx: &mut ActorContext<Self>) -> NumaNodeId {
        cx.numa_node()
    }
}

fn pair(system: &SystemRef, a: NumaNodeId, b: NumaNodeId) -> [ActorRef<Partner>; 2] {
    let pair = [partner(system, a), partner(system, b)];
    pair[0].ask_blocking(Meet(pair[1])).unwrap();
    pair[1].ask_blocking(Meet(pair[0])).unwrap();
    pair
}

#[test]
fn messages_are_counted_by_where_they_come_from_and_go_to() {
    let system = ActorSystem::builder()
        .cross_numa_stealing(CrossNumaStealing::Never)
        .build()
        .unwrap();
    assert_eq!(system.stats().crossing_share(), None, "none sent yet");
    let nodes = system.numa_nodes();
    let (first, last) = (nodes[0], nodes[nodes.len() - 1]);
    let across = pair(&system, first, last);
    across[0].tell(Ball(1000)).unwrap();
    settle(&system);
    let within = pair(&system, first, first);
    within[0].tell(Ball(500)).unwrap();
    settle(&system);
    let stats = system.stats();
    let count = |from, to| {
        let edge = stats
            .edges
            .iter()
            .find(|each| (each.from, each.to) == (from, to));
        edge.map_or(0, |edge| edge.messages)
    };
    if first == last {
        assert_eq!(count(first, first), 1500);
        assert_eq!(stats.crossing_share(), Some(0.0));
    } else {
        assert_eq!(count(first, last), 500);
        assert_eq!(count(last, first), 500);
        assert_eq!(count(first, first), 500);
        assert_eq!(stats.crossing_share(), Some(1000.0 / 1500.0));
    }
    assert_eq!(stats.balancing, None, "not asked for");
    assert!(!system.set_balancing(true));
    finish(system);
}

#[test]
fn partners_are_brought_together_and_the_switch_stops_that() {
    let system = ActorSystem::builder()
        .cross_numa_stealing(CrossNumaStealing::Never)
        .balancing(Balancing::new().samples(8))
        .build()
        .unwrap();
    let nodes = system.numa_nodes();
    if nodes.len() < 2 {
        assert_eq!(system.stats().balancing, None, "nothing to balance here");
        finish(system);
        return;
    }
    assert!(system.set_balancing(false));
    let play = |pair: &[ActorRef<Partner>; 2]| {
        pair[0].tell(Ball(20_000)).unwrap();
        settle(&system);
    };
    let apart = pair(&system, nodes[0], nodes[1]);
    (0..3).for_each(|_| play(&apart));
    std::thread::sleep(Duration::from_millis(300));
    let stats = system.stats();
    assert_eq!(
        (stats.actors.moves, stats.balancing.unwrap().is_on),
        (0, false)
    );

    assert!(system.set_balancing(true));
    let began = std::time::Instant::now();
    let together = || {
        let home = |partner: ActorRef<Partner>| partner.ask_blocking(Home).unwrap();
        home(apart[0]) == home(apart[1])
    };
    while !together() {
        play(&apart);
        assert!(began.elapsed() < PATIENCE, "{:?}", system.stats().balancing);
    }
    let stats = system.stats();
    assert!(stats.actors.moves >= 1);
    assert!(stats.balancing.unwrap().samples >= 8);
    finish(system);
}

#[test]
fn numbers_that_make_no_sense_are_refused_at_the_start() {
    let options = Balancing::new().majority(20);
    let error = ActorSystem::builder()
        .balancing(options)
        .build()
        .unwrap_err();
    assert!(matches!(error, StartError::Balancing(_)), "{error}");
    assert!(error.to_string().contains("balancing majority"), "{error}");
}

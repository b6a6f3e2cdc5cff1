//! One region, told what to think of the cluster.

use std::time::Duration;

use super::*;
use crate::consensus::shard_map::ShardMap;
use crate::id::{Incarnation, PeerId};

fn life(name: &str) -> Life {
    Life {
        peer: PeerId::new(name).unwrap(),
        incarnation: Incarnation(1),
    }
}

/// A region on `me` of a kind with one shard, and the map, which the test changes.
struct Setup {
    region: Region<u32>,
    map: ShardMap,
    version: u64,
    now: Instant,
}

impl Setup {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let mut setup = Self {
            region: Region::new(life("me"), "k", settings, now),
            map: ShardMap::default(),
            version: 0,
            now,
        };
        let Some(Output::Propose(declare)) = setup.region.poll_output() else {
            panic!("a region declares itself");
        };
        setup.apply(&declare);
        for other in ["a", "b"] {
            let other = ShardCommand::Declare {
                kind: "k".into(),
                shards: 1,
                user: life(other),
                hosts: true,
            };
            setup.apply(&other);
        }
        for other in ["a", "b"] {
            let now = setup.now;
            setup.region.handle_way(&life(other), true, now);
        }
        setup
    }

    fn apply(&mut self, command: &ShardCommand) {
        self.map.apply(command, &|_| false);
    }

    fn assign(&mut self, epoch: u64, to: &str) {
        let kind = "k".into();
        let shards = vec![(0, epoch, life(to))];
        self.apply(&ShardCommand::Assign { kind, shards });
    }

    fn shift(&mut self, epoch: u64, to: &str) {
        let kind = "k".into();
        let shards = vec![(0, epoch, life(to))];
        self.apply(&ShardCommand::Move { kind, shards });
    }

    fn release(&mut self, epoch: u64, by: &str) {
        self.apply(&ShardCommand::Release {
            kind: "k".into(),
            owner: life(by),
            shards: vec![(0, epoch)],
        });
    }

    fn tell(&mut self) -> Vec<Output<u32>> {
        self.version += 1;
        self.region
            .handle_map(self.version, self.map.kind("k"), self.now);
        self.outputs()
    }

    fn offer(&mut self, item: u32, origin: Origin) -> Vec<Output<u32>> {
        self.region.offer(key(), item, origin, self.now);
        self.outputs()
    }

    fn pass(&mut self, time: Duration) -> Vec<Output<u32>> {
        self.now += time;
        self.region.handle_timeout(self.now);
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<Output<u32>> {
        std::iter::from_fn(|| self.region.poll_output()).collect()
    }
}

fn key() -> EntityKey {
    EntityKey::from(7u8)
}

fn deliver(item: u32) -> Output<u32> {
    Output::Deliver { key: key(), item }
}

fn refuse(item: u32, why: Refusal) -> Output<u32> {
    let key = key();
    Output::Refuse { key, item, why }
}

fn from_peer(epoch: u64) -> Origin {
    Origin::Peer { epoch, hops: 1 }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn h03_what_waits_is_bounded_counted_and_comes_back() {
    let mut setup = Setup::new(Settings {
        buffer: 2,
        ..Settings::new(1)
    });
    assert_eq!(setup.offer(1, Origin::Here), []);
    assert_eq!(setup.offer(2, Origin::Here), []);
    assert!(setup.region.is_full());
    assert_eq!(setup.offer(3, Origin::Here), [refuse(3, Refusal::Full)]);
    setup.assign(0, "me");
    let activate = Output::Activate {
        key: key(),
        epoch: 1,
    };
    assert_eq!(setup.tell(), [activate, deliver(1), deliver(2)]);
    let counts = setup.region.counts();
    assert_eq!((counts.offered, counts.delivered), (3, 2));
    assert_eq!(counts.refused, BTreeMap::from([(Refusal::Full, 1)]));
}

#[test]
fn what_finds_no_owner_in_time_is_refused() {
    let mut setup = Setup::new(Settings::new(1));
    setup.tell();
    setup.offer(1, Origin::Here);
    setup.pass(SECOND * 30);
    setup.offer(2, Origin::Here);
    assert_eq!(setup.pass(SECOND * 30), [refuse(1, Refusal::NoOwner)]);
    assert_eq!(setup.pass(SECOND * 30), [refuse(2, Refusal::NoOwner)]);
    assert_eq!(setup.region.poll_timeout(), None);
}

#[test]
fn h03_an_owner_takes_what_is_under_way_until_all_have_stopped_then_lets_go() {
    let mut setup = Setup::new(Settings::new(1));
    setup.assign(0, "me");
    setup.tell();
    setup.offer(1, from_peer(1));
    setup.shift(1, "b");
    assert_eq!(setup.tell(), []);
    // From here it goes behind all that came before, to the next owner.
    assert_eq!(setup.offer(2, Origin::Here), []);
    assert_eq!(setup.offer(3, from_peer(1)), [deliver(3)]);
    let stopped = || Packet::Stopped {
        shards: vec![(0, 1)],
    };
    let heard = |to| Output::Send {
        to: life(to),
        packet: Packet::Heard {
            shards: vec![(0, 1)],
        },
    };
    setup.region.handle_packet(&life("b"), stopped(), setup.now);
    assert_eq!(setup.outputs(), [heard("b")]);
    setup.region.handle_packet(&life("a"), stopped(), setup.now);
    let stop = Output::Stop {
        key: key(),
        epoch: 1,
    };
    assert_eq!(setup.outputs(), [stop, heard("a")]);
    assert_eq!(setup.offer(4, from_peer(1)), []);
    setup.region.handle_ended(&key(), 1, setup.now);
    let release = ShardCommand::Release {
        kind: "k".into(),
        owner: life("me"),
        shards: vec![(0, 1)],
    };
    assert_eq!(setup.outputs(), [Output::Propose(release.clone())]);
    // Lost, it is proposed again.
    let again = setup.pass(SECOND);
    assert_eq!(again, [Output::Propose(release.clone())]);
    setup.apply(&release);
    let forward = |item, hops| Output::Forward {
        to: life("b"),
        key: key(),
        origin: Origin::Peer { epoch: 2, hops },
        item,
    };
    assert_eq!(setup.tell(), [forward(2, 1), forward(4, 2)]);
    assert_eq!(setup.region.counts().barriers_cut_short, 0);
}

#[test]
fn h03_who_does_not_stop_in_time_is_waited_for_no_more() {
    let mut setup = Setup::new(Settings::new(1));
    setup.assign(0, "me");
    setup.shift(1, "b");
    setup.tell();
    assert_eq!(setup.pass(SECOND * 4), []);
    assert!(matches!(
        setup.pass(SECOND)[..],
        [Output::Propose(ShardCommand::Release { .. })]
    ));
    assert_eq!(setup.region.counts().barriers_cut_short, 1);
}

#[test]
fn h03_a_sender_stops_says_so_behind_its_last_message_and_again_until_heard() {
    let mut setup = Setup::new(Settings::new(1));
    setup.assign(0, "a");
    setup.tell();
    assert!(matches!(
        setup.offer(1, Origin::Here)[..],
        [Output::Forward { .. }]
    ));
    setup.shift(1, "b");
    let stopped = Output::Send {
        to: life("a"),
        packet: Packet::Stopped {
            shards: vec![(0, 1)],
        },
    };
    assert_eq!(setup.tell(), [stopped]);
    assert_eq!(setup.offer(2, Origin::Here), []);
    assert_eq!(setup.pass(SECOND).len(), 1);
    let heard = Packet::Heard {
        shards: vec![(0, 1)],
    };
    // Not by somebody else.
    setup
        .region
        .handle_packet(&life("b"), heard.clone(), setup.now);
    assert_eq!(setup.pass(SECOND).len(), 1);
    setup.region.handle_packet(&life("a"), heard, setup.now);
    assert_eq!(setup.pass(SECOND), []);
    setup.release(1, "a");
    assert!(matches!(
        setup.tell()[..],
        [Output::Forward { item: 2, .. }]
    ));
}

#[test]
fn a_message_from_a_later_epoch_waits_and_holds_nobody_else_up() {
    let mut setup = Setup::new(Settings::new(1));
    setup.assign(0, "me");
    setup.tell();
    assert_eq!(setup.offer(1, from_peer(u64::MAX)), []);
    assert_eq!(setup.offer(2, from_peer(2)), []);
    assert!(setup.offer(3, Origin::Here).contains(&deliver(3)));
    setup.shift(1, "me");
    setup.release(1, "me");
    // Moves to oneself do not happen: still epoch 1.
    assert_eq!(setup.tell(), []);
    let late = setup.pass(SECOND * 60);
    assert!(late.contains(&refuse(1, Refusal::NoOwner)));
    assert!(late.contains(&refuse(2, Refusal::NoOwner)));
}

#[test]
fn no_message_goes_round_for_ever() {
    let mut setup = Setup::new(Settings::new(1));
    setup.assign(0, "a");
    setup.tell();
    let origin = |hops| Origin::Peer { epoch: 1, hops };
    assert!(matches!(
        setup.offer(1, origin(HOPS_MAX - 1))[..],
        [Output::Forward { .. }]
    ));
    assert_eq!(setup.offer(2, origin(HOPS_MAX)), [refuse(2, Refusal::Hops)]);
}

#[test]
fn what_comes_while_an_actor_is_passivated_is_for_the_next_one() {
    let mut setup = Setup::new(Settings {
        passivate_after: Some(SECOND),
        ..Settings::new(1)
    });
    setup.assign(0, "me");
    setup.tell();
    let activate = || Output::Activate {
        key: key(),
        epoch: 1,
    };
    let stop = || Output::Stop {
        key: key(),
        epoch: 1,
    };
    assert_eq!(setup.offer(1, Origin::Here), [activate(), deliver(1)]);
    assert_eq!(setup.pass(SECOND), [stop()]);
    assert_eq!(setup.offer(2, Origin::Here), []);
    setup.region.handle_ended(&key(), 1, setup.now);
    assert_eq!(setup.outputs(), [activate(), deliver(2)]);
    // It moves while it is passivated: what it has taken it handles here.
    setup.region.passivate(&key());
    setup.offer(3, from_peer(1));
    setup.shift(1, "a");
    setup.tell();
    setup.pass(SECOND * 5);
    setup.outputs();
    setup.region.handle_ended(&key(), 1, setup.now);
    assert_eq!(setup.outputs(), [activate(), deliver(3), stop()]);
    setup.region.handle_ended(&key(), 1, setup.now);
    assert!(matches!(
        setup.outputs()[..],
        [Output::Propose(ShardCommand::Release { .. })]
    ));
}

#[test]
fn h02_whoever_was_declared_down_ends_its_actors_and_takes_nothing() {
    let mut setup = Setup::new(Settings::new(1));
    setup.assign(0, "me");
    setup.tell();
    setup.offer(1, Origin::Here);
    setup.offer(2, from_peer(9));
    setup.map.remove(&life("me"));
    let kill = Output::Kill {
        key: key(),
        epoch: 1,
    };
    assert_eq!(setup.tell(), [kill, refuse(2, Refusal::Gone)]);
    assert!(setup.region.is_gone());
    assert_eq!(
        setup.offer(3, from_peer(1)),
        [refuse(3, Refusal::Gone)],
        "to others this peer is gone"
    );
    // What is from here waits for the next life, which begins when the last actor of this one has ended.
    assert_eq!(setup.offer(4, Origin::Here), []);
    setup.region.handle_ended(&key(), 1, setup.now);
    let again = Life {
        incarnation: Incarnation(2),
        ..life("me")
    };
    setup.region.handle_life(again.clone(), setup.now);
    let declare = ShardCommand::Declare {
        kind: "k".into(),
        shards: 1,
        user: again.clone(),
        hosts: true,
    };
    assert_eq!(setup.outputs(), [Output::Propose(declare.clone())]);
    assert_eq!(setup.tell(), [], "it has nothing and is nobody yet");
    setup.apply(&declare);
    let assign = ShardCommand::Assign {
        kind: "k".into(),
        shards: vec![(0, 1, again)],
    };
    setup.map.apply(&assign, &|who| *who == life("me"));
    let activate = Output::Activate {
        key: key(),
        epoch: 2,
    };
    assert_eq!(setup.tell(), [activate, deliver(4)]);
    assert_eq!(setup.region.counts().waiting, 0);
}

#[test]
fn what_waits_for_another_life_does_not_wait_for_ever() {
    let mut setup = Setup::new(Settings::new(1));
    setup.tell();
    setup.map.remove(&life("me"));
    setup.tell();
    assert_eq!(setup.offer(1, Origin::Here), []);
    assert_eq!(setup.pass(SECOND * 60), [refuse(1, Refusal::NoOwner)]);
    setup.offer(2, Origin::Here);
    setup.region.handle_end();
    assert_eq!(setup.outputs(), [refuse(2, Refusal::Gone)]);
    assert_eq!(setup.offer(3, Origin::Here), [refuse(3, Refusal::Gone)]);
}

#[test]
fn x01_who_leaves_as_the_last_finishes_what_it_has_and_takes_nothing_more() {
    let mut setup = Setup::new(Settings::new(1));
    setup.assign(0, "me");
    setup.tell();
    setup.offer(1, Origin::Here);
    let stop = || Output::Stop {
        key: key(),
        epoch: 1,
    };
    setup.region.passivate(&key());
    assert_eq!(setup.outputs(), [stop()]);
    // Taken before: it is handled.
    assert_eq!(setup.offer(2, Origin::Here), []);
    setup.region.handle_closing(setup.now);
    assert_eq!(setup.outputs(), []);
    assert_eq!(setup.offer(3, Origin::Here), [refuse(3, Refusal::Gone)]);
    setup.region.handle_ended(&key(), 1, setup.now);
    let activate = Output::Activate {
        key: key(),
        epoch: 1,
    };
    assert_eq!(setup.outputs(), [activate, deliver(2), stop()]);
    setup.region.handle_ended(&key(), 1, setup.now);
    assert_eq!(setup.region.actors(), 0);
}

#[test]
fn h01_a_singleton_is_there_without_being_asked_for() {
    let mut setup = Setup::new(Settings {
        eager: true,
        ..Settings::new(1)
    });
    assert_eq!(setup.tell(), []);
    setup.assign(0, "me");
    let only = EntityKey::only();
    let activate = || {
        let key = EntityKey::only();
        [Output::Activate { key, epoch: 1 }]
    };
    assert_eq!(setup.tell(), activate());
    // It is never passivated; ended by itself it is made again, after a while.
    assert_eq!(setup.pass(SECOND * 1000), []);
    setup.region.handle_ended(&only, 1, setup.now);
    assert_eq!(setup.outputs(), []);
    assert_eq!(setup.pass(SECOND), activate());
}

#[test]
fn what_is_for_a_life_that_is_over_waits_for_the_next_owner() {
    let mut setup = Setup::new(Settings::new(1));
    setup.assign(0, "a");
    setup.tell();
    setup.region.handle_way(&life("a"), false, setup.now);
    assert_eq!(setup.offer(1, Origin::Here), []);
    setup.map.remove(&life("a"));
    setup.map.apply(
        &ShardCommand::Assign {
            kind: "k".into(),
            shards: vec![(0, 1, life("b"))],
        },
        &|who| *who == life("a"),
    );
    assert!(matches!(
        setup.tell()[..],
        [Output::Forward { item: 1, .. }]
    ));
}

#[test]
fn what_is_for_a_peer_without_a_way_waits_for_one() {
    let mut setup = Setup::new(Settings::new(1));
    setup.region.handle_way(&life("a"), false, setup.now);
    setup.assign(0, "a");
    setup.tell();
    assert_eq!(setup.offer(1, Origin::Here), []);
    setup.region.handle_way(&life("a"), true, setup.now);
    assert!(matches!(
        setup.outputs()[..],
        [Output::Forward { item: 1, .. }]
    ));
}

#[test]
fn a_kind_with_another_number_of_shards_is_refused() {
    let mut setup = Setup::new(Settings::new(1));
    setup.map = ShardMap::default();
    setup.apply(&ShardCommand::Declare {
        kind: "k".into(),
        shards: 8,
        user: life("a"),
        hosts: true,
    });
    setup.offer(1, Origin::Here);
    assert_eq!(setup.tell(), [refuse(1, Refusal::OtherShards)]);
    assert!(setup.region.has_other_shards());
}

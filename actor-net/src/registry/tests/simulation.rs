//! Whole clusters of group machines in foul weather: whatever happened, when it is quiet all that live know the
//! same; and at no time is a member listed whose life the peer knows to be over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::entry::{GroupLimits, Member, MemberId};
use super::super::machine::{Config, Event, Groups};
use super::{peer, weighing};
use crate::datagram::Datagram;
use crate::id::{Incarnation, PeerId};
use crate::simulation::{Machine, Network, Weather, for_seeds};

impl Machine for Groups {
    type Event = Event;

    fn handle_datagram(&mut self, from: &PeerId, bytes: &[u8], now: Instant) {
        self.handle_datagram(from, bytes, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    fn handle_connected(&mut self, peer: &PeerId, _incarnation: Incarnation, now: Instant) {
        self.handle_connected(peer, now);
    }

    fn poll_transmit(&mut self) -> Option<Datagram> {
        self.poll_transmit()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        (*self).poll_timeout()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.poll_event()
    }
}

const GROUPS: [&str; 5] = ["a", "b", "c", "d", "e"];

type Listed = BTreeMap<(Arc<str>, MemberId), Member>;

struct World {
    network: Network<Groups>,
    peers: Vec<PeerId>,
    /// What each peer was last told of who is there.
    views: BTreeMap<PeerId, BTreeMap<PeerId, Incarnation>>,
    /// What each peer's events add up to.
    heard: BTreeMap<PeerId, Listed>,
    seed: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut network = Network::new(seed, Weather::foul());
        let count = 3 + network.random().index(5);
        let peers: Vec<_> = (0..count).map(peer).collect();
        for peer in &peers {
            network.add(peer.clone(), Incarnation(1), machine(peer, 1, seed));
        }
        let mut world = Self {
            network,
            peers: peers.clone(),
            views: BTreeMap::new(),
            heard: BTreeMap::new(),
            seed,
        };
        for peer in &peers {
            world.see(peer);
        }
        world.network.connect_all();
        world
    }

    /// A peer learns who is there.
    fn see(&mut self, who: &PeerId) {
        if !self.network.is_running(who) {
            return;
        }
        let there = self
            .peers
            .iter()
            .filter(|peer| !self.network.is_crashed(peer));
        let there = there.map(|peer| (peer.clone(), self.network.incarnation(peer)));
        let view: BTreeMap<_, _> = there.collect();
        self.network.with(who, |machine, now| {
            machine.handle_members(view.iter().map(|(id, life)| (id, *life)), now);
        });
        self.views.insert(who.clone(), view);
        self.check(who);
    }

    fn any(&mut self) -> PeerId {
        let at = self.network.random().index(self.peers.len());
        self.peers[at].clone()
    }

    fn happen(&mut self) {
        let who = self.any();
        let other = self.any();
        let number = self.network.random().below(8);
        let weight = u16::try_from(1 + self.network.random().below(3)).unwrap();
        let group = GROUPS[self.network.random().index(GROUPS.len())];
        let runs = self.network.is_running(&who);
        match self.network.random().below(24) {
            0..=6 if runs => self.network.with(&who, |machine, _| {
                machine.join(group, weighing(number, weight)).unwrap();
            }),
            7..=10 if runs => self.network.with(&who, |machine, _| {
                machine.leave(group, number);
            }),
            11 if runs => self
                .network
                .with(&who, |machine, _| machine.leave_all(number)),
            12 if who != other => self.network.break_connection(&who, &other),
            13 if who != other => self.network.cut(&who, &other),
            14 => {
                let (one, two) = self.peers.split_at(self.peers.len() / 2);
                let groups = [one.to_vec(), two.to_vec()];
                self.network.partition(&groups);
            }
            15 | 16 => self.network.heal(),
            17 => self.network.pause(&who),
            18 | 19 => self.network.resume(&who),
            20 => self.network.crash(&who),
            21 => {
                let life = Incarnation(self.network.incarnation(&who).0 + 1);
                let machine = machine(&who, life.0, self.seed);
                self.network.restart(&who, life, machine);
                // What its former life heard is gone with it.
                self.network.events(&who);
                self.heard.remove(&who);
                self.see(&who);
            }
            _ => self.see(&who),
        }
        self.check(&who);
    }

    /// A peer's events add up to what it lists, and all that it lists lives as far as it knows.
    fn check(&mut self, who: &PeerId) {
        if self.network.is_crashed(who) {
            return;
        }
        let heard = self.heard.entry(who.clone()).or_default();
        for (_, event) in self.network.events(who) {
            match event {
                Event::Joined { group, member } => {
                    let before = heard.insert((group, member.id.clone()), member);
                    assert_eq!(before, None, "{who}: joined twice");
                }
                Event::Changed { group, member } => {
                    let before = heard.insert((group, member.id.clone()), member);
                    assert!(before.is_some(), "{who}: changed, and never joined");
                }
                Event::Left { group, member, .. } => {
                    let before = heard.remove(&(group, member.id.clone()));
                    assert_eq!(before, Some(member), "{who}: left, and was not in");
                }
                other => panic!("{who}: {other:?}"),
            }
        }
        let listed = listed(self.network.machine(who));
        assert_eq!(*heard, listed, "{who}: events and list");
        let view = &self.views[who];
        for (_, id) in listed.keys().filter(|(_, id)| id.peer != *who) {
            assert_eq!(
                view.get(&id.peer),
                Some(&id.incarnation),
                "{who} lists {id}"
            );
        }
    }
}

/// Everybody who lives lists the same: what each has put in itself.
fn converged(network: &Network<Groups>, peers: &[PeerId]) -> bool {
    let live = || peers.iter().filter(|peer| network.is_running(peer));
    let own = live().flat_map(|peer| {
        let listed = listed(network.machine(peer));
        listed.into_iter().filter(|((_, id), _)| id.peer == *peer)
    });
    let all: Listed = own.collect();
    live().all(|peer| listed(network.machine(peer)) == all)
}

fn machine(peer: &PeerId, incarnation: u64, seed: u64) -> Groups {
    let mut config = Config::new(peer.clone(), Incarnation(incarnation), seed ^ incarnation);
    // So that sweeps of several chunks happen all the time.
    config.limits = GroupLimits {
        departures: 3,
        ..GroupLimits::default()
    };
    config.chunk = 120;
    Groups::new(config)
}

fn listed(machine: &Groups) -> Listed {
    let groups = machine.groups().flat_map(|group| {
        let members = machine.members(group);
        members.map(|member| ((Arc::clone(group), member.id.clone()), member.clone()))
    });
    groups.collect()
}

fn run(seed: u64) -> u64 {
    let mut world = World::new(seed);
    for _ in 0..250 {
        let pause = Duration::from_millis(world.network.random().below(400));
        world.network.run_for(pause);
        world.happen();
    }
    // Quiet: all that live see each other, and nothing happens any more. The weather stays as it is.
    world.network.heal();
    for peer in world.peers.clone() {
        world.network.resume(&peer);
    }
    for peer in world.peers.clone() {
        world.see(&peer);
    }
    let peers = world.peers.clone();
    let (limit, every) = (Duration::from_secs(60), Duration::from_millis(250));
    let quiet = world
        .network
        .run_until(limit, every, |network| converged(network, &peers));
    assert!(quiet, "no agreement after a minute");
    for peer in &peers {
        world.check(peer);
    }
    world.network.trace()
}

#[test]
fn when_it_is_quiet_all_that_live_list_the_same_members() {
    for_seeds(100, |seed| {
        run(seed);
    });
}

#[test]
fn the_same_seed_is_the_same_trace() {
    for_seeds(3, |seed| assert_eq!(run(seed), run(seed)));
}

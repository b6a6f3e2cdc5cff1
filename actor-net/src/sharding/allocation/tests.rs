use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::consensus::shard_map::{Applied, ShardMap};
use crate::id::{Incarnation, PeerId};

fn life(n: usize) -> Life {
    Life {
        peer: PeerId::new(&format!("peer-{n}")).unwrap(),
        incarnation: Incarnation(7),
    }
}

fn host(n: usize, state: HostState) -> Host {
    Host {
        life: life(n),
        weight: 1,
        state,
    }
}

/// A map, and the hosts that plan for it.
struct World {
    map: ShardMap,
    hosts: Vec<Host>,
    gone: BTreeSet<Life>,
    limits: Limits,
    /// Shards that have changed their owner, or got their first.
    changes: usize,
    under_way_max: usize,
}

impl World {
    fn new(shards: u16, hosts: usize) -> Self {
        let mut world = Self {
            map: ShardMap::default(),
            hosts: Vec::new(),
            gone: BTreeSet::new(),
            limits: Limits::default(),
            changes: 0,
            under_way_max: 0,
        };
        for n in 0..hosts {
            world.join(n, shards);
        }
        world
    }

    fn join(&mut self, n: usize, shards: u16) {
        self.hosts.push(host(n, HostState::Up));
        let declare = ShardCommand::Declare {
            kind: "k".into(),
            shards,
            user: life(n),
            hosts: true,
        };
        self.map.apply(&declare, &|_| false);
    }

    fn state(&mut self, n: usize, state: HostState) {
        let host = self.hosts.iter_mut().find(|host| host.life == life(n));
        host.unwrap().state = state;
    }

    fn down(&mut self, n: usize) {
        self.hosts.retain(|host| host.life != life(n));
        self.gone.insert(life(n));
        self.map.remove(&life(n));
    }

    fn kind(&self) -> &Kind {
        self.map.kind("k").unwrap()
    }

    fn plan(&self) -> Vec<ShardCommand> {
        plan("k", self.kind(), &self.hosts, self.limits)
    }

    /// One round: the plan is applied, and owners let go. False: there is nothing to do.
    fn round(&mut self) -> bool {
        let gone = self.gone.clone();
        let is_gone = |life: &Life| gone.contains(life);
        let before: Vec<_> = self.kind().slots().map(|(_, slot)| slot.clone()).collect();
        let commands = self.plan();
        for command in &commands {
            let applied = self.map.apply(command, &is_gone);
            assert!(matches!(applied, Applied::Changed(_)), "{command:?}");
        }
        let moving: Vec<_> = self
            .kind()
            .slots()
            .filter(|(_, slot)| slot.next.is_some())
            .map(|(shard, slot)| (shard, slot.clone()))
            .collect();
        self.under_way_max = self.under_way_max.max(moving.len());
        let acted = !commands.is_empty() || !moving.is_empty();
        for (shard, slot) in moving {
            let release = ShardCommand::Release {
                kind: "k".into(),
                owner: slot.owner.unwrap(),
                shards: vec![(shard, slot.epoch)],
            };
            self.map.apply(&release, &is_gone);
        }
        let after = self.kind().slots().map(|(_, slot)| slot);
        self.changes += after
            .zip(before)
            .filter(|(after, before)| after.owner != before.owner)
            .count();
        acted
    }

    /// Plans until nothing changes; how many shards changed hands.
    fn settle(&mut self) -> usize {
        let before = self.changes;
        let mut rounds = 0;
        while self.round() {
            rounds += 1;
            assert!(rounds < 1000, "it never ends: {:?}", self.plan());
        }
        self.changes - before
    }

    fn loads(&self) -> BTreeMap<Life, usize> {
        let mut loads: BTreeMap<Life, usize> = self
            .hosts
            .iter()
            .map(|host| (host.life.clone(), 0))
            .collect();
        for (shard, slot) in self.kind().slots() {
            let owner = slot.owner.clone();
            let owner = owner.unwrap_or_else(|| panic!("shard {shard} has no owner"));
            *loads.entry(owner).or_default() += 1;
        }
        loads
    }
}

#[test]
fn shards_are_shared_evenly_and_by_weight() {
    let mut world = World::new(256, 3);
    assert_eq!(world.settle(), 256);
    let loads: Vec<_> = world.loads().into_values().collect();
    assert!(loads.iter().all(|n| (85..=86).contains(n)), "{loads:?}");

    let mut world = World::new(256, 3);
    world.hosts[0].weight = 2;
    world.settle();
    assert_eq!(
        world.loads().into_values().collect::<Vec<_>>(),
        [128, 64, 64]
    );
}

#[test]
fn h04_one_that_comes_takes_its_share_and_nothing_else_moves() {
    let mut world = World::new(256, 4);
    world.settle();
    world.join(4, 256);
    let moved = world.settle();
    assert_eq!(moved, 51, "256 / 5");
    assert_eq!(world.loads()[&life(4)], 51);
    assert!(world.under_way_max <= world.limits.moves);
}

#[test]
fn h01_of_one_that_is_gone_only_its_shards_move_and_at_once() {
    let mut world = World::new(256, 4);
    world.settle();
    world.down(2);
    assert!(world.round());
    assert_eq!(world.changes - 256, 64);
    assert_eq!(world.settle(), 0);
}

#[test]
fn h05_who_leaves_is_emptied_first_and_given_nothing() {
    let mut world = World::new(256, 4);
    world.settle();
    world.limits.moves = 8;
    world.state(1, HostState::Leaving);
    world.join(4, 256);
    // There is a lot to balance, too; but all that moves at first moves away from the one that leaves.
    for command in world.plan() {
        let ShardCommand::Move { shards, .. } = command else {
            panic!("{command:?}");
        };
        assert_eq!(shards.len(), 8);
        for (shard, _, to) in shards {
            assert_eq!(world.kind().slot(shard).unwrap().owner, Some(life(1)));
            assert_ne!(to, life(1));
        }
    }
    world.settle();
    assert_eq!(world.loads()[&life(1)], 0);
    assert!(world.under_way_max <= 8);
}

#[test]
fn who_is_unreachable_keeps_what_it_has_and_is_given_nothing() {
    let mut world = World::new(256, 4);
    world.settle();
    world.state(1, HostState::Unreachable);
    assert_eq!(world.settle(), 0);
    world.down(3);
    world.settle();
    assert_eq!(world.loads()[&life(1)], 64);
}

#[test]
fn a_singleton_stays_where_it_is() {
    let mut world = World::new(1, 2);
    world.settle();
    let owner = world.kind().slot(0).unwrap().owner.clone();
    for n in 2..8 {
        world.join(n, 1);
        assert_eq!(world.settle(), 0);
    }
    assert_eq!(world.kind().slot(0).unwrap().owner, owner);
}

#[test]
fn h04_a_move_to_one_that_is_gone_goes_elsewhere() {
    let mut world = World::new(64, 3);
    world.settle();
    world.join(3, 64);
    for command in world.plan() {
        world.map.apply(&command, &|_| false);
    }
    let towards = |world: &World, to: usize| {
        let slots = world.kind().slots();
        slots
            .filter(|(_, slot)| slot.next == Some(life(to)))
            .count()
    };
    assert_eq!(towards(&world, 3), 16);
    world.down(3);
    for command in world.plan() {
        world.map.apply(&command, &|who| *who == life(3));
    }
    assert_eq!(towards(&world, 3), 0);
    world.settle();
    assert!(world.loads().into_values().all(|n| n > 20));
}

#[test]
fn without_hosts_there_is_no_plan() {
    let mut world = World::new(16, 2);
    world.state(0, HostState::Leaving);
    world.state(1, HostState::Leaving);
    assert_eq!(world.plan(), []);
    world.hosts.clear();
    assert_eq!(world.plan(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever comes, goes and leaves: it settles, everything has an owner who is up, the shares are even, and
    /// a change of one host moves no more than its share.
    #[test]
    fn h04_it_settles_balanced_after_every_change(
        changes in prop::collection::vec((0u8..3, 0usize..6), 1..12),
        shards in prop::sample::select(vec![1u16, 7, 64, 256]),
    ) {
        let mut world = World::new(shards, 1);
        let mut next = 1;
        world.settle();
        for (what, which) in changes {
            let which = which % world.hosts.len();
            let n = world.hosts.len();
            let share = usize::from(shards).div_ceil(n.max(2) - usize::from(what != 0 && n > 2));
            match what {
                0 => {
                    world.join(next, shards);
                    next += 1;
                }
                _ if n == 1 => continue,
                1 => {
                    let gone = world.hosts[which].life.clone();
                    world.hosts.remove(which);
                    world.gone.insert(gone.clone());
                    world.map.remove(&gone);
                }
                _ => world.hosts[which].state = HostState::Leaving,
            }
            let moved = world.settle();
            prop_assert!(moved <= 2 * share + n, "{moved} moved, a share is {share}");
            world.hosts.retain(|host| host.state == HostState::Up);
            let loads: Vec<_> = world.loads().into_values().collect();
            let (min, max) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            prop_assert!(max - min <= 1, "{loads:?}");
            prop_assert_eq!(world.plan(), vec![]);
        }
    }
}

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::id::{Incarnation, PeerId};

fn life(n: u8) -> Life {
    Life {
        peer: PeerId::new(&format!("p{n}")).unwrap(),
        incarnation: Incarnation(1),
    }
}

fn nobody(_: &Life) -> bool {
    false
}

fn declared(peers: u8, shards: u16) -> ShardMap {
    let mut map = ShardMap::default();
    for n in 0..peers {
        let command = ShardCommand::Declare {
            kind: "k".into(),
            shards,
            user: life(n),
            hosts: true,
        };
        assert_eq!(map.apply(&command, &nobody), Applied::Changed(1));
        assert_eq!(map.apply(&command, &nobody), Applied::Nothing);
    }
    map
}

fn slot(map: &ShardMap) -> &Slot {
    map.kind("k").unwrap().slot(0).unwrap()
}

fn assign(epoch: u64, to: u8) -> ShardCommand {
    ShardCommand::Assign {
        kind: "k".into(),
        shards: vec![(0, epoch, life(to))],
    }
}

fn shift(epoch: u64, to: u8) -> ShardCommand {
    ShardCommand::Move {
        kind: "k".into(),
        shards: vec![(0, epoch, life(to))],
    }
}

fn release(epoch: u64, by: u8) -> ShardCommand {
    ShardCommand::Release {
        kind: "k".into(),
        owner: life(by),
        shards: vec![(0, epoch)],
    }
}

#[test]
fn h01_an_owner_that_is_gone_is_replaced_with_the_next_epoch() {
    let mut map = declared(2, 1);
    assert_eq!(map.apply(&assign(0, 0), &nobody), Applied::Changed(1));
    // It lives: nobody takes it away.
    assert_eq!(map.apply(&assign(1, 1), &nobody), Applied::Nothing);
    let gone = |who: &Life| *who == life(0);
    assert_eq!(map.apply(&assign(1, 0), &gone), Applied::Nothing);
    assert_eq!(map.apply(&assign(1, 1), &gone), Applied::Changed(1));
    assert_eq!((slot(&map).epoch, &slot(&map).owner), (2, &Some(life(1))));
}

#[test]
fn h03_a_shard_moves_when_its_owner_lets_go() {
    let mut map = declared(3, 1);
    map.apply(&assign(0, 0), &nobody);
    assert_eq!(map.apply(&release(1, 0), &nobody), Applied::Nothing);
    assert_eq!(map.apply(&shift(1, 0), &nobody), Applied::Nothing);
    assert_eq!(map.apply(&shift(1, 1), &nobody), Applied::Changed(1));
    assert_eq!(map.apply(&shift(1, 1), &nobody), Applied::Nothing);
    assert_eq!(map.apply(&release(1, 1), &nobody), Applied::Nothing);
    assert_eq!(slot(&map).owner, Some(life(0)));
    assert_eq!(map.apply(&release(1, 0), &nobody), Applied::Changed(1));
    assert_eq!(slot(&map).owner, Some(life(1)));
    assert_eq!(map.apply(&release(1, 0), &nobody), Applied::Nothing);
    // To whom it was to go is gone: nobody has it, and no epoch is used twice.
    map.apply(&shift(2, 2), &nobody);
    let gone = |who: &Life| *who == life(2);
    assert_eq!(map.apply(&release(2, 1), &gone), Applied::Changed(1));
    assert_eq!((slot(&map).epoch, &slot(&map).owner), (3, &None));
    assert_eq!(map.apply(&assign(3, 0), &gone), Applied::Changed(1));
    assert_eq!(slot(&map).epoch, 4);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut map = declared(1, 4);
    let before = map.clone();
    let declare = |kind: &str, shards| ShardCommand::Declare {
        kind: kind.into(),
        shards,
        user: life(0),
        hosts: true,
    };
    for (kind, shards) in [("", 4), ("x", 0), ("x", 1025), (&*"x".repeat(65), 4)] {
        assert_eq!(map.apply(&declare(kind, shards), &nobody), Applied::Invalid);
    }
    assert_eq!(
        map.apply(&declare("k", 8), &nobody),
        Applied::OtherShards(4)
    );
    let beyond = ShardCommand::Assign {
        kind: "k".into(),
        shards: vec![(4, 0, life(0)), (u16::MAX, 0, life(0))],
    };
    assert_eq!(map.apply(&beyond, &nobody), Applied::Nothing);
    let unknown = ShardCommand::Assign {
        kind: "other".into(),
        shards: vec![(0, 0, life(0))],
    };
    assert_eq!(map.apply(&unknown, &nobody), Applied::Invalid);
    assert_eq!(map, before);
}

#[test]
fn a_life_that_is_gone_uses_nothing() {
    let mut map = declared(3, 4);
    map.remove(&life(1));
    let kind = map.kind("k").unwrap();
    assert_eq!(kind.users().collect::<Vec<_>>(), [&life(0), &life(2)]);
    assert!(!kind.is_user(&life(1)));
    let again = ShardCommand::Declare {
        kind: "k".into(),
        shards: 4,
        user: life(1),
        hosts: true,
    };
    assert_eq!(map.apply(&again, &|who| *who == life(1)), Applied::Nothing);
}

proptest! {
    /// Whatever is proposed, in whatever order, by whoever: an epoch has one owner, and only who is gone
    /// loses a shard that it has not let go of.
    #[test]
    fn h01_no_two_owners_have_one_epoch(
        steps in prop::collection::vec((0u8..4, 0u64..6, 0u8..4), 1..200),
    ) {
        let mut map = declared(4, 1);
        let mut gone = BTreeSet::new();
        let mut owners: BTreeMap<u64, Life> = BTreeMap::new();
        for (what, epoch, who) in steps {
            let before = slot(&map).clone();
            // Near what is, so that something happens.
            let epoch = before.epoch.saturating_sub(epoch / 3);
            let command = match what {
                0 => assign(epoch, who),
                1 => shift(epoch, who),
                2 => release(epoch, who),
                _ => {
                    // One stays.
                    if epoch == 5 && who != 0 {
                        gone.insert(life(who));
                        map.remove(&life(who));
                    }
                    continue;
                }
            };
            map.apply(&command, &|life| gone.contains(life));
            let after = slot(&map);
            prop_assert!(after.epoch >= before.epoch && after.epoch <= before.epoch + 1);
            if let Some(owner) = &after.owner {
                let first = owners.entry(after.epoch).or_insert_with(|| owner.clone());
                prop_assert_eq!(&*first, owner);
            }
            if let Some(owner) = &before.owner
                && after.epoch != before.epoch
            {
                let let_go = matches!(&command, ShardCommand::Release { owner: by, .. } if by == owner);
                prop_assert!(let_go || gone.contains(owner));
            }
        }
    }
}

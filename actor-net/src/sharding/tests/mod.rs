//! Whole clusters that move shards while everybody asks, in virtual time.

mod runtime;
mod world;

use std::time::Duration;

use world::World;

use super::allocation::HostState;
use super::region::Settings;
use crate::simulation::{Weather, for_seeds};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn settings() -> Settings {
    Settings {
        passivate_after: Some(ms(300)),
        ..Settings::new(16)
    }
}

/// Slow, and some of it never arrives.
fn storm() -> Weather {
    Weather {
        delay_max: ms(100),
        loss: 3,
        ..Weather::fair()
    }
}

/// 3 to 7, by seed.
fn peers(seed: u64) -> usize {
    3 + (seed % 5) as usize
}

fn everybody(world: &World) -> Vec<usize> {
    (0..world.lives.len()).collect()
}

/// Every ask was handled, once, in order, and no key ever had two actors.
fn assert_nothing_lost(world: &mut World) {
    assert_eq!(world.barriers(), 0);
    let ledger = world.ledger.borrow();
    assert_eq!(ledger.handled(), ledger.asked(), "{:?}", ledger.refused);
    assert_eq!(
        (ledger.overtaken, ledger.overlaps, ledger.killed),
        (0, 0, 0)
    );
    assert!(ledger.refused.is_empty());
}

#[test]
fn h03_shards_move_to_a_peer_that_comes_and_nothing_is_lost_or_overtaken() {
    for_seeds(20, |seed| {
        let mut world = World::new(seed, Weather::fair(), peers(seed), settings());
        let all = everybody(&world);
        // One comes later.
        let late = world.lives[0].clone();
        world.authority(|authority| authority.hosts.remove(&late));
        world.load(secs(1), &all);
        world.set(&late, HostState::Up);
        world.load(secs(2), &all);
        world.settle(secs(30));
        let owned = world.peer(0, |peer, _| peer.region.owned());
        assert!(owned >= 16 / all.len(), "{owned}");
        assert_nothing_lost(&mut world);
        assert!(world.ledger.borrow().activations > 40, "some passivated");
    });
}

#[test]
fn h05_a_rolling_restart_of_every_peer_loses_no_ask() {
    for_seeds(10, |seed| {
        let mut world = World::new(seed, Weather::fair(), peers(seed), settings());
        let all = everybody(&world);
        world.load(secs(1), &all);
        for n in all.clone() {
            let others: Vec<_> = all.iter().copied().filter(|other| *other != n).collect();
            let life = world.lives[n].clone();
            world.set(&life, HostState::Leaving);
            world.load(ms(500), &others);
            let mut rounds = 0;
            while !world.peer(n, |peer, _| peer.is_idle()) {
                world.load(ms(100), &others);
                rounds += 1;
                assert!(rounds < 100, "{life} is not emptied");
            }
            // The last messages that it has sent on are acknowledged by the remote floor before it goes.
            world.load(ms(300), &others);
            world.crash(n);
            world.gone(n);
            world.load(ms(300), &others);
            world.restart(n);
            world.load(ms(500), &all);
        }
        world.settle(secs(30));
        assert_nothing_lost(&mut world);
    });
}

#[test]
fn h01_the_shards_of_a_crashed_peer_come_back_with_later_epochs() {
    for_seeds(20, |seed| {
        let mut world = World::new(seed, Weather::fair(), peers(seed), settings());
        let all = everybody(&world);
        world.load(secs(1), &all);
        world.settle(secs(10));
        let before = world.authority(|authority| authority.slots());
        let n = world.random.below(all.len() as u64) as usize;
        let dead = world.lives[n].clone();
        world.crash(n);
        let time = ms(100 + world.random.below(2000));
        world.load(time, &all);
        world.gone(n);
        world.load(secs(1), &all);
        if seed % 2 == 0 {
            world.restart(n);
            world.load(secs(1), &all);
        }
        world.settle(secs(30));
        let after = world.authority(|authority| authority.slots());
        for (before, after) in before.iter().zip(&after) {
            if before.1.as_ref() == Some(&dead) {
                assert!(after.0 > before.0, "{before:?} {after:?}");
            }
            assert_ne!(after.1.as_ref(), Some(&dead));
        }
        let ledger = world.ledger.borrow();
        assert_eq!((ledger.overtaken, ledger.overlaps), (0, 0));
        assert!(ledger.handled() > ledger.asked() / 2);
    });
}

#[test]
fn h02_an_owner_that_was_paused_or_cut_off_writes_with_an_epoch_that_is_over() {
    let mut stale = 0;
    for_seeds(20, |seed| {
        let mut world = World::new(seed, Weather::fair(), peers(seed), settings());
        let all = everybody(&world);
        world.load(secs(1), &all);
        world.settle(secs(10));
        let n = world.random.below(all.len() as u64) as usize;
        let peer = world.lives[n].peer.clone();
        let others: Vec<_> = all.iter().copied().filter(|other| *other != n).collect();
        if seed % 2 == 0 {
            // It still has work when it is stopped, and goes on with it later.
            for key in 0..world.keys {
                world.peer(n, |peer, now| peer.ask(key, now));
            }
            world.net.pause(&peer);
        } else {
            world.net.partition(&[
                vec![peer.clone()],
                others
                    .iter()
                    .map(|n| world.lives[*n].peer.clone())
                    .chain([world::authority()])
                    .collect(),
            ]);
        }
        world.load(ms(500), &all);
        world.gone(n);
        world.load(secs(2), &all);
        world.net.resume(&peer);
        world.net.heal();
        world.load(secs(1), &all);
        // By now it knows.
        assert!(world.peer(n, |peer, _| peer.region.is_gone()
            && peer.region.actors() == 0));
        world.restart(n);
        world.load(secs(1), &all);
        world.settle(secs(30));
        stale += world.ledger.borrow().stale_writes;
    });
    // A store that compares epochs has something to refuse, else this shows nothing.
    assert!(stale > 0 || std::env::var("ACTOR_SEED").is_ok());
}

#[test]
fn h04_whoever_plans_may_stop_and_another_go_on() {
    for_seeds(20, |seed| {
        let mut world = World::new(seed, Weather::fair(), peers(seed), settings());
        let all = everybody(&world);
        world.authority(|authority| authority.limits.moves = 2);
        world.load(secs(1), &all);
        world.settle(secs(10));
        let leaver = world.random.below(all.len() as u64) as usize;
        let life = world.lives[leaver].clone();
        world.set(&life, HostState::Leaving);
        for _ in 0..4 {
            world.authority(|authority| authority.is_planning = false);
            let time = ms(world.random.below(600));
            world.load(time, &all);
            world.authority(|authority| authority.is_planning = true);
            let time = ms(world.random.below(600));
            world.load(time, &all);
        }
        // It dies while its shards are on their way.
        let rest: Vec<_> = all.iter().copied().filter(|n| *n != leaver).collect();
        world.crash(leaver);
        world.gone(leaver);
        world.load(secs(1), &rest);
        world.settle(secs(30));
        let longest = world.authority(|authority| authority.unowned_max);
        assert!(longest <= ms(1500), "a shard had no owner for {longest:?}");
        assert_eq!(world.ledger.borrow().overlaps, 0);
    });
}

#[test]
fn h06_whatever_happens_a_key_has_one_actor_in_an_epoch() {
    for_seeds(60, |seed| {
        let mut world = World::new(seed, storm(), peers(seed), settings());
        world.pace = 100;
        let all = everybody(&world);
        world.load(ms(500), &all);
        let mut is_cut_off = vec![false; all.len()];
        for _ in 0..12 {
            let n = world.random.below(all.len() as u64) as usize;
            let peer = world.lives[n].peer.clone();
            match world.random.below(7) {
                0 if world.is_running(n) => {
                    world.crash(n);
                    let time = ms(world.random.below(800));
                    world.load(time, &all);
                    world.gone(n);
                    world.restart(n);
                }
                1 => {
                    world.net.cut(&peer, &world::authority());
                    is_cut_off[n] = true;
                }
                2 => {
                    let other = world.random.below(all.len() as u64) as usize;
                    let other = world.lives[other].peer.clone();
                    if other != peer {
                        world.net.cut(&peer, &other);
                    }
                }
                3 => world.net.pause(&peer),
                4 => {
                    let life = world.lives[n].clone();
                    if world.authority(|authority| authority.hosts.contains_key(&life)) {
                        world.set(&life, HostState::Leaving);
                    }
                }
                5 => {
                    // Down by mistake, or not.
                    world.gone(n);
                    is_cut_off[n] = true;
                }
                _ => {
                    world.net.heal();
                    for n in all.clone() {
                        let peer = world.lives[n].peer.clone();
                        world.net.resume(&peer);
                    }
                }
            }
            let time = ms(world.random.below(1000));
            world.load(time, &all);
        }
        world.net.heal();
        world.net.set_weather(Weather::fair());
        for n in all.clone() {
            let peer = world.lives[n].peer.clone();
            world.net.resume(&peer);
        }
        world.load(secs(1), &all);
        for n in all.clone() {
            world.gone(n);
            world.restart(n);
            world.load(ms(300), &all);
        }
        world.settle(secs(60));
        // Now that all is well, all is handled.
        let before = {
            let ledger = world.ledger.borrow();
            (ledger.asked(), ledger.handled())
        };
        world.load(secs(1), &all);
        world.settle(secs(10));
        let ledger = world.ledger.borrow();
        assert_eq!(ledger.asked() - before.0, ledger.handled() - before.1);
    });
}

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use kit::{Cluster, address, claim, peer, simulate};

mod chaos;
pub(crate) mod kit;
mod store;

#[test]
fn one_peer_alone_is_a_cluster() {
    simulate(async {
        let mut cluster = Cluster::new(1, 1, false);
        cluster.settings.bootstrap = Bootstrap::Alone;
        cluster.start(1).await.unwrap();
        cluster.settled().await;
        let (one, life) = (&cluster.peers[&1], cluster.life(1));
        let applied = one.propose(claim("a", &life, 1)).await.unwrap();
        assert_eq!(applied.changed, 1);
        // Said again, it is so already; for another actor the name is taken.
        let again = one.propose(claim("a", &life, 1)).await.unwrap();
        assert_eq!((again.version, again.changed), (applied.version, 0));
        let taken = one.propose(claim("a", &life, 2)).await;
        let Err(ProposeError::Refused(Refusal::NameTaken { by, .. })) = taken else {
            panic!("{taken:?}");
        };
        assert_eq!(
            (&by.address, by.epoch),
            (&address(&life, 1), applied.version)
        );
        let read = one.read().await.unwrap();
        assert_eq!(
            read.name("a").map(|by| &by.address),
            Some(&address(&life, 1))
        );
        one.shutdown().await;
        let stopped = Err(ProposeError::Stopped(Stopped::ShutDown));
        assert_eq!(one.propose(claim("b", &life, 1)).await, stopped);
    });
}

#[test]
fn three_agree_lose_their_leader_and_go_on() {
    simulate(async {
        let mut cluster = Cluster::started(2, 3, false).await;
        cluster.settled().await;
        for n in 1..=3 {
            let command = claim(&format!("n{n}"), &cluster.life(n), 1);
            cluster.peers[&n].propose(command).await.unwrap();
        }
        let first = cluster.leader().unwrap();
        cluster.crash(first).await;
        cluster
            .until("another leads", |cluster| cluster.leader().is_some())
            .await;
        let left: Vec<_> = cluster.peers.keys().copied().collect();
        for n in &left {
            let command = claim(&format!("later{n}"), &cluster.life(*n), 2);
            cluster.peers[n].propose(command).await.unwrap();
        }
        for n in &left {
            let read = cluster.peers[n].read().await.unwrap();
            assert_eq!(read.names().count(), 5);
        }
    });
}

#[test]
fn the_smaller_side_refuses_in_time_and_learns_after() {
    simulate(async {
        let cluster = Cluster::started(3, 5, false).await;
        cluster.settled().await;
        let leader = cluster.leader().unwrap();
        let (mut few, many): (Vec<_>, Vec<_>) = (1..=5).partition(|n| *n == leader);
        let mut many = many;
        few.push(many.remove(0));
        cluster.part(&[&few, &many]);
        let deadline = cluster.settings.deadline;
        for n in &few {
            let started = Instant::now();
            let refused = cluster.peers[n]
                .propose(claim("x", &cluster.life(*n), 1))
                .await;
            assert!(
                matches!(refused, Err(ProposeError::NoQuorum { .. })),
                "{refused:?}"
            );
            let refused = cluster.peers[n].read().await.unwrap_err();
            assert!(
                matches!(refused, ProposeError::NoQuorum { .. }),
                "{refused}"
            );
            assert!(started.elapsed() <= deadline * 2 + Duration::from_millis(100));
        }
        let winner = many[0];
        let life = cluster.life(winner);
        let won = cluster.peers[&winner].propose(claim("x", &life, 9)).await;
        won.unwrap();
        cluster.heal();
        cluster
            .until("all know whose the name is", |cluster| {
                let knows = |one: &Consensus| {
                    let authority = one.authority();
                    let by = authority.name("x");
                    by.is_some_and(|by| by.address == address(&life, 9))
                };
                cluster.peers.values().all(knows)
            })
            .await;
        let late = cluster.peers[&few[0]]
            .propose(claim("x", &cluster.life(few[0]), 1))
            .await;
        assert!(
            matches!(late, Err(ProposeError::Refused(Refusal::NameTaken { .. }))),
            "{late:?}"
        );
    });
}

#[test]
fn h06_two_sides_claim_one_name_and_exactly_one_has_it() {
    for seed in 0..10 {
        simulate(async {
            let cluster = Cluster::started(seed, 3, false).await;
            cluster.settled().await;
            cluster.part(&[&[1], &[2, 3]]);
            let (one, two) = (&cluster.peers[&1], &cluster.peers[&2]);
            let (first, second) = tokio::join!(
                one.propose(claim("x", &cluster.life(1), 1)),
                two.propose(claim("x", &cluster.life(2), 1)),
            );
            assert!(first.is_err(), "{first:?}");
            second.unwrap();
            cluster.heal();
            let after = one.propose(claim("x", &cluster.life(1), 1)).await;
            let Err(ProposeError::Refused(Refusal::NameTaken { by, .. })) = after else {
                panic!("{after:?}");
            };
            assert_eq!(by.address, address(&cluster.life(2), 1));
        });
    }
}

#[test]
fn whoever_is_declared_down_owns_nothing_and_does_not_return() {
    simulate(async {
        let mut cluster = Cluster::started(4, 3, false).await;
        cluster.settled().await;
        let life = cluster.life(3);
        cluster.peers[&3]
            .propose(claim("x", &life, 1))
            .await
            .unwrap();
        cluster.part(&[&[3], &[1, 2]]);
        let mut changes = cluster.peers[&1].changes();
        cluster.see(3, Sight::Down);
        let down = loop {
            let change = changes.next().await.unwrap();
            let is_down =
                |event: &Event| matches!(event, Event::Down { life: l, .. } if *l == life);
            if change.events.iter().any(is_down) {
                break change;
            }
        };
        // With the very change that says so.
        assert_eq!(down.authority.name("x"), None);
        let freed = Event::Name {
            name: "x".to_owned(),
            is: None,
        };
        assert!(down.events.contains(&freed));
        let one = &cluster.peers[&1];
        one.propose(claim("x", &cluster.life(1), 1)).await.unwrap();
        cluster.heal();
        let late = cluster.peers[&3].propose(claim("y", &life, 1)).await;
        assert_eq!(late, Err(ProposeError::Stopped(Stopped::LifeIsOver)));
        let over = Standing::Stopped(Stopped::LifeIsOver);
        cluster
            .until("it stops", |cluster| cluster.peers[&3].standing() == over)
            .await;
        cluster.crash(3).await;
        cluster.start(3).await.unwrap();
        cluster.settled().await;
        let life = cluster.life(3);
        cluster.peers[&3]
            .propose(claim("y", &life, 1))
            .await
            .unwrap();
    });
}

#[test]
fn as_soon_as_three_vote_any_one_of_them_may_go() {
    for seed in 0..20 {
        simulate(async move {
            let mut cluster = Cluster::new(seed, 1, false);
            for n in 1..=3 {
                cluster.settings.bootstrap = match n {
                    1 => Bootstrap::Alone,
                    _ => Bootstrap::Join,
                };
                cluster.start(n).await.unwrap();
            }
            // Not those, too, who are going to: of a change that is not finished the first one decides, alone.
            while [2, 3].iter().any(|n| cluster.peers[n].voters().len() < 3) {
                sleep(Duration::from_millis(1)).await;
            }
            cluster.crash(1).await;
            for n in [2, 3] {
                let command = claim(&format!("seed {seed}, {n}"), &cluster.life(n), 1);
                cluster.peers[&n].propose(command).await.unwrap();
            }
        });
    }
}

#[test]
fn members_come_and_go_and_the_voters_with_them() {
    simulate(async {
        let mut cluster = Cluster::new(5, 1, false);
        for (members, voters) in [
            (1, 1),
            (2, 1),
            (3, 3),
            (4, 3),
            (5, 5),
            (6, 5),
            (7, 7),
            (9, 7),
        ] {
            while cluster.peers.len() < members {
                cluster.settings.bootstrap = match cluster.peers.len() {
                    0 => Bootstrap::Alone,
                    _ => Bootstrap::Join,
                };
                cluster.start(cluster.peers.len() + 1).await.unwrap();
            }
            cluster.settled().await;
            cluster
                .until("enough vote", |cluster| cluster.voters() == Some(voters))
                .await;
        }
        for (members, voters) in [(8, 7), (6, 5), (5, 5), (4, 3), (3, 3), (2, 1), (1, 1)] {
            while cluster.peers.len() > members {
                let leaves = *cluster.peers.keys().next().unwrap();
                cluster.see(leaves, Sight::Left);
                cluster
                    .until("its end is known, and it has handed over", |cluster| {
                        let life = cluster.life(leaves);
                        cluster
                            .peers
                            .iter()
                            .all(|(n, consensus)| match *n == leaves {
                                true => {
                                    consensus.standing() == Standing::Stopped(Stopped::LifeIsOver)
                                }
                                false => consensus.authority().is_over(&life),
                            })
                    })
                    .await;
                cluster.crash(leaves).await;
            }
            cluster
                .until("few vote", |cluster| cluster.voters() == Some(voters))
                .await;
        }
        let (n, last) = cluster.peers.first_key_value().unwrap();
        last.propose(claim("x", &cluster.life(*n), 1))
            .await
            .unwrap();
    });
}

#[test]
fn on_disk_all_may_stop_at_once_and_nothing_is_forgotten() {
    simulate(async {
        let mut cluster = Cluster::started(6, 3, true).await;
        cluster.settings.snapshot_after = 16;
        cluster.settled().await;
        for number in 0..60 {
            let life = cluster.life(1);
            let name = format!("n{number}");
            cluster.peers[&1]
                .propose(claim(&name, &life, number))
                .await
                .unwrap();
        }
        for n in 1..=3 {
            cluster.crash(n).await;
        }
        for n in 1..=3 {
            cluster.start(n).await.unwrap();
        }
        cluster.settled().await;
        // Its earlier life is over, and so are its names; the others know the same.
        let read = cluster.peers[&2].read().await.unwrap();
        assert_eq!(read.names().count(), 0);
        assert_eq!(read.epoch(), 6);
        assert!(read.version() > 60);
        for n in 1..=3 {
            assert_eq!(
                cluster.peers[&n].shared.id.store(),
                crate::id::Incarnation(1)
            );
        }
    });
}

#[test]
fn two_clusters_never_merge() {
    simulate(async {
        let mut cluster = Cluster::new(7, 1, false);
        cluster.settings.bootstrap = Bootstrap::Alone;
        cluster.start(1).await.unwrap();
        cluster.start(2).await.unwrap();
        cluster
            .until("each is its own", |cluster| {
                let alone = |n| {
                    let leader = Some(peer(n));
                    cluster.peers[&n].standing() == Standing::Member { leader }
                };
                alone(1) && alone(2)
            })
            .await;
        for n in 1..=2 {
            let command = claim("x", &cluster.life(n), 1);
            cluster.peers[&n].propose(command).await.unwrap();
        }
        sleep(Duration::from_secs(60)).await;
        for n in 1..=2 {
            let members = cluster.peers[&n].authority();
            assert_eq!(
                members
                    .members()
                    .map(|(p, _)| p.clone())
                    .collect::<Vec<_>>(),
                [peer(n)]
            );
        }
    });
}

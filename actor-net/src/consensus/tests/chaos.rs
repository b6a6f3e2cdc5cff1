//! Cuts, losses, crashes and restarts, drawn by seed, and the law: no shard has two owners in one epoch, no name two
//! owners at once, and no two peers different states of one version.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt;
use tokio::time::sleep;

use super::super::front::lock;
use super::super::shard_map::ShardCommand;
use super::super::*;
use super::kit::{Cluster, claim, simulate};
use crate::id::Life;

/// What every peer has seen: of each version who owned what.
type Seen = Arc<Mutex<Book>>;

#[derive(Default)]
struct Book {
    versions: BTreeMap<u64, String>,
    owners: BTreeMap<u64, Life>,
    broken: Vec<String>,
}

/// Writes down what a peer hears, until it stops.
async fn follow(consensus: Consensus, seen: Seen) {
    let mut changes = consensus.changes();
    let mut last = 0;
    while let Some(Change { authority, .. }) = changes.next().await {
        let mut book = lock(&seen);
        let version = authority.version();
        if version <= last {
            book.broken.push(format!("version {version} after {last}"));
        }
        last = version;
        let slot = authority.shards().kind("k").and_then(|kind| kind.slot(0));
        let owned = slot.and_then(|slot| Some((slot.epoch, slot.owner.clone()?)));
        let members: Vec<_> = authority.members().collect();
        let text = format!("{owned:?} {:?} {members:?}", authority.name("n"));
        let first = book.versions.entry(version).or_insert_with(|| text.clone());
        if *first != text {
            let what = format!("version {version}: {first} and {text}");
            book.broken.push(what);
        }
        if let Some((epoch, owner)) = owned {
            let first = book.owners.entry(epoch).or_insert_with(|| owner.clone());
            if *first != owner {
                let what = format!("epoch {epoch}: {first} and {owner}");
                book.broken.push(what);
            }
        }
    }
}

/// Wants the shard and the name, over and over.
async fn greedy(consensus: Consensus, life: Life) {
    let declare = Command::Shards(ShardCommand::Declare {
        kind: "k".to_owned(),
        shards: 1,
        user: life.clone(),
        hosts: true,
    });
    loop {
        let authority = consensus.authority();
        let kind = authority.shards().kind("k");
        let command = match kind {
            Some(kind) if kind.is_user(&life) => Command::Shards(ShardCommand::Assign {
                kind: "k".to_owned(),
                shards: vec![(0, kind.slot(0).map_or(0, |slot| slot.epoch), life.clone())],
            }),
            _ => declare.clone(),
        };
        let done = consensus.propose(command).await;
        if let Err(ProposeError::Stopped(_)) = done {
            return;
        }
        // Taken by another, or nobody decides: both are fine.
        let _ = consensus.propose(claim("n", &life, 1)).await;
        sleep(Duration::from_millis(200)).await;
    }
}

async fn run(seed: u64, on_disk: bool) {
    let mut cluster = Cluster::started(seed, 3 + 2 * (seed as usize % 2), on_disk).await;
    cluster.settings.snapshot_after = 16;
    let seen = Seen::default();
    let watch = |cluster: &Cluster, n: usize| {
        let consensus = cluster.peers[&n].clone();
        tokio::spawn(follow(consensus.clone(), Arc::clone(&seen)));
        tokio::spawn(greedy(consensus, cluster.life(n)));
    };
    let all: Vec<_> = cluster.peers.keys().copied().collect();
    for n in &all {
        watch(&cluster, *n);
    }
    cluster.settled().await;
    for _ in 0..4 {
        let one = all[cluster.rng.random_range(0..all.len())];
        let down: BTreeSet<_> = all
            .iter()
            .filter(|n| !cluster.peers.contains_key(n))
            .collect();
        match cluster.rng.random_range(0..5) {
            // A minority may crash; in memory it is declared down before the next one may.
            0 | 1 if down.is_empty() => {
                cluster.crash(one).await;
                sleep(Duration::from_millis(cluster.rng.random_range(0..2000))).await;
                cluster.see(one, Sight::Down);
            }
            0..=2 => {
                let (left, right): (Vec<_>, Vec<_>) =
                    all.iter().partition(|_| cluster.rng.random_bool(0.4));
                cluster.part(&[&left, &right]);
            }
            3 => {
                let loss = cluster.rng.random_range(0.0..0.3);
                cluster.lose(loss);
            }
            _ => cluster.heal(),
        }
        sleep(Duration::from_millis(cluster.rng.random_range(100..4000))).await;
        cluster.heal();
        for n in &all {
            let is_over = cluster
                .peers
                .get(n)
                .is_none_or(|peer| matches!(peer.standing(), Standing::Stopped(_)));
            if is_over {
                cluster.crash(*n).await;
                cluster.start(*n).await.unwrap();
                watch(&cluster, *n);
            }
        }
        cluster.settled().await;
        // With fewer voters one crash more could take all that was agreed on along.
        let all_vote = |cluster: &Cluster| cluster.voters() == Some(cluster.peers.len());
        cluster.until("all vote", all_vote).await;
    }
    let version = cluster.peers[&all[0]].read().await.unwrap().version();
    cluster
        .until("all know the same", |cluster| {
            let knows = |one: &Consensus| one.authority().version() >= version;
            cluster.peers.values().all(knows)
        })
        .await;
    let book = lock(&seen);
    assert!(book.broken.is_empty(), "seed {seed}: {:?}", book.broken);
    assert!(!book.owners.is_empty(), "seed {seed}: nobody ever owned it");
}

/// In four parts, which the test runner runs beside each other.
fn seeds(part: u64, on_disk: bool) {
    let seeds = match std::env::var("ACTOR_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("ACTOR_SEED is a number");
            seed..seed + 1
        }
        Err(_) => part * 6..(part + 1) * 6,
    };
    for seed in seeds {
        println!("ACTOR_SEED={seed}");
        simulate(run(seed, on_disk));
    }
}

#[test]
fn h01_never_two_owners_in_one_epoch_in_memory() {
    seeds(0, false);
}

#[test]
fn h01_never_two_owners_in_one_epoch_in_memory_more() {
    seeds(1, false);
}

#[test]
fn h01_never_two_owners_in_one_epoch_on_disk() {
    seeds(2, true);
}

#[test]
fn h01_never_two_owners_in_one_epoch_on_disk_more() {
    seeds(3, true);
}

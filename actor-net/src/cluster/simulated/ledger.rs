//! What really happens, whoever believes what; and the laws about it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::consensus::{Authority, NameAddress, NameRecord};
use crate::id::{Incarnation, Life, PeerId};
use crate::membership::{MemberChange, MemberEvent};
use crate::sharding::EntityKey;

/// A message for an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ask {
    pub(super) id: u64,
    pub(super) from: Life,
}

/// One version of what all agree on.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    members: BTreeSet<Life>,
    names: BTreeMap<String, NameRecord>,
    shards: String,
}

/// What one life of a peer has said of the others.
#[derive(Debug, Default)]
struct Told {
    view: u64,
    agreed: u64,
    ended: BTreeMap<PeerId, Incarnation>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    versions: BTreeMap<u64, Version>,
    owners: BTreeMap<(String, u16, u64), Life>,
    told: BTreeMap<Life, Told>,
    /// Actors that are alive: their kind, key and epoch.
    alive: BTreeMap<(&'static str, EntityKey, u64), Life>,
    asked: u64,
    handled: BTreeSet<u64>,
    refused: BTreeSet<u64>,
    pub(super) activations: u64,
    pub(super) claimed: u64,
    pub(super) not_claimed: u64,
}

impl Ledger {
    // ---- What all agree on

    /// A peer has heard of that version. No two ever hear different things of one.
    pub(super) fn agreed(&mut self, by: &Life, authority: &Authority) {
        let number = authority.version();
        let told = self.told.entry(by.clone()).or_default();
        assert!(
            number > told.agreed,
            "{by} hears of version {number} after {}",
            told.agreed
        );
        told.agreed = number;
        let members = authority.members().map(|(peer, member)| Life {
            peer: peer.clone(),
            incarnation: member.incarnation,
        });
        let names = authority.names();
        let version = Version {
            members: members.collect(),
            names: names
                .map(|(name, by)| (name.to_owned(), by.clone()))
                .collect(),
            shards: format!("{:?}", authority.shards()),
        };
        match self.versions.get(&number) {
            Some(known) => assert_eq!(
                *known, version,
                "two states of version {number}, one by {by}"
            ),
            None => {
                self.learn_owners(authority);
                self.versions.insert(number, version);
            }
        }
    }

    /// H01: of a shard there is one owner in an epoch.
    fn learn_owners(&mut self, authority: &Authority) {
        for (name, kind) in authority.shards().kinds() {
            for (shard, slot) in kind.slots() {
                let Some(owner) = &slot.owner else { continue };
                let key = (name.to_owned(), shard, slot.epoch);
                let known = self.owners.entry(key).or_insert_with(|| owner.clone());
                assert_eq!(
                    known, owner,
                    "two owners of shard {shard} of {name} in epoch {}",
                    slot.epoch
                );
            }
        }
    }

    /// A name was given: whoever hears of that version hears that.
    pub(super) fn claimed(&mut self, name: &str, address: &NameAddress, version: u64) {
        self.claimed += 1;
        if let Some(version) = self.versions.get(&version) {
            assert_eq!(
                version.names.get(name).map(|by| &by.address),
                Some(address),
                "{name} was given, and is not there"
            );
        }
    }

    /// G02, G08 of what all agree on: a life that was a member and is none any more never is again.
    pub(super) fn check_members(&self) {
        let mut gone: BTreeSet<&Life> = BTreeSet::new();
        let mut before: &BTreeSet<Life> = &BTreeSet::new();
        for (number, version) in &self.versions {
            gone.extend(before.difference(&version.members));
            let back = version.members.iter().find(|life| gone.contains(life));
            assert_eq!(back, None, "it is a member again in version {number}");
            before = &version.members;
        }
    }

    // ---- What each sees

    /// G07: versions of views grow.
    pub(super) fn saw(&mut self, by: &Life, version: u64) {
        let told = self.told.entry(by.clone()).or_default();
        assert!(
            version > told.view,
            "{by}: view {version} after {}",
            told.view
        );
        told.view = version;
    }

    /// G02, G08: a life that was seen to end never returns.
    pub(super) fn heard(&mut self, by: &Life, event: &MemberEvent) {
        let told = self.told.entry(by.clone()).or_default();
        let (about, incarnation) = (event.member.peer(), event.member.incarnation());
        let ended = told.ended.get(about).copied();
        match event.change {
            MemberChange::Down(_) | MemberChange::Left => {
                let ended = ended.map_or(incarnation, |ended| ended.max(incarnation));
                told.ended.insert(about.clone(), ended);
            }
            _ => assert!(
                ended.is_none_or(|ended| incarnation > ended),
                "{by} saw {about} end in {ended:?}, and now {event:?}"
            ),
        }
    }

    // ---- Actors

    /// H06: of a key there is one actor in an epoch.
    pub(super) fn activate(
        &mut self,
        kind: &'static str,
        key: &EntityKey,
        epoch: u64,
        life: &Life,
    ) {
        let other = self.alive.insert((kind, key.clone(), epoch), life.clone());
        assert_eq!(
            other, None,
            "two actors of {kind} {key} in epoch {epoch}, one on {life}"
        );
        self.activations += 1;
    }

    pub(super) fn end(&mut self, kind: &'static str, key: &EntityKey, epoch: u64) {
        let ended = self.alive.remove(&(kind, key.clone(), epoch));
        assert!(ended.is_some(), "{kind} {key} ended twice in epoch {epoch}");
    }

    /// A process has ended, and all its actors.
    pub(super) fn crash(&mut self, life: &Life) {
        self.alive.retain(|_, on| on != life);
    }

    // ---- Messages

    pub(super) fn ask(&mut self, from: &Life) -> Ask {
        self.asked += 1;
        Ask {
            id: self.asked,
            from: from.clone(),
        }
    }

    pub(super) fn handle(&mut self, ask: &Ask) {
        assert!(self.handled.insert(ask.id), "{ask:?} was handled twice");
        assert!(
            !self.refused.contains(&ask.id),
            "{ask:?} was refused, and handled"
        );
    }

    pub(super) fn refuse(&mut self, ask: &Ask) {
        assert!(self.refused.insert(ask.id), "{ask:?} was refused twice");
        assert!(
            !self.handled.contains(&ask.id),
            "{ask:?} was handled, and refused"
        );
    }

    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// Those with numbers above `after` that were handled.
    pub(super) fn handled_after(&self, after: u64) -> u64 {
        self.handled.range(after + 1..).count() as u64
    }
}

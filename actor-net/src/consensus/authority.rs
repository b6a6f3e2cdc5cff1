//! What all agree on, at one version: who is a member, whose a name is, who owns which shard.
//!
//! An [`Authority`] never changes; a reader keeps it as long as it likes. Its version grows with every change, and
//! no two peers ever have different states of one version. A peer may lag behind: what it reads was true
//! once, and a decision made on it is checked again when the command that follows from it is applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, Life, PeerId};

use super::buckets::Buckets;
use super::command::NameRecord;
use super::shard_map::ShardMap;

/// Members that are up: 4,096.
pub(crate) const MEMBERS_MAX: usize = 4096;

/// Peers whose last life that is over is remembered: 16,384. Beyond, those longest over are forgotten.
pub(crate) const REMEMBERED_MAX: usize = 16_384;

/// Unique names: 100,000.
pub(crate) const NAMES_MAX: usize = 100_000;

/// What all agree on, at one version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Authority {
    pub(super) version: u64,
    pub(super) epoch: u64,
    pub(super) members: Arc<BTreeMap<PeerId, MemberRecord>>,
    pub(super) over: Arc<BTreeMap<PeerId, Over>>,
    pub(super) names: Buckets<NameRecord>,
    pub(super) shards: Arc<ShardMap>,
}

/// A member that is up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct MemberRecord {
    pub(crate) incarnation: Incarnation,
    /// Which incarnation made the store of its part in the consensus.
    pub(crate) store: Incarnation,
    pub(crate) zone: String,
    /// The epoch of the members in which it came up.
    pub(crate) since: u64,
}

/// The last life of a peer that is over.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Over {
    pub(crate) incarnation: Incarnation,
    /// The epoch of the members in which it ended.
    pub(crate) since: u64,
    /// It said so itself.
    pub(crate) left: bool,
}

impl Authority {
    /// Grows with every change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Grows with every change of the members.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The members that are up, by name.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&PeerId, &MemberRecord)> {
        self.members.iter()
    }

    pub(crate) fn member(&self, peer: &PeerId) -> Option<&MemberRecord> {
        self.members.get(peer)
    }

    /// Whether that life is a member and up.
    pub(crate) fn is_up(&self, life: &Life) -> bool {
        self.members
            .get(&life.peer)
            .is_some_and(|member| member.incarnation == life.incarnation)
    }

    /// Whether that life, or a later one of the peer, has been declared down.
    pub(crate) fn is_over(&self, life: &Life) -> bool {
        self.over
            .get(&life.peer)
            .is_some_and(|over| life.incarnation <= over.incarnation)
            || self
                .members
                .get(&life.peer)
                .is_some_and(|member| life.incarnation < member.incarnation)
    }

    /// Whether that life, or a later one of the peer, has been declared down and did not leave by itself.
    pub(crate) fn is_declared_down(&self, life: &Life) -> bool {
        let over = self.over.get(&life.peer);
        let has_left = over.is_some_and(|over| over.left && over.incarnation == life.incarnation);
        !has_left && self.is_over(life)
    }

    /// Who has a unique name.
    pub(crate) fn name(&self, name: &str) -> Option<&NameRecord> {
        self.names.get(name)
    }

    /// All unique names, in no order that means anything.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &NameRecord)> {
        self.names.iter().map(|(name, by)| (name.as_str(), by))
    }

    /// Who owns which shard, and which singleton (a kind with one shard). An owner that is not
    /// [up](Self::is_up) any more owns it no longer.
    pub(crate) fn shards(&self) -> &ShardMap {
        &self.shards
    }
}

/// A change of what all agree on: all that one command did.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    /// The state with it. Its version is greater than that of every change before.
    pub(crate) authority: Arc<Authority>,
    /// What it did.
    pub(crate) events: Arc<[Event]>,
}

/// One thing that a command did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    /// A life of a peer became a member.
    Up(Life),
    /// A life is over; what it owned is in events that follow.
    Down { life: Life, left: bool },
    /// A name has another actor, or none.
    Name {
        name: String,
        is: Option<Box<NameRecord>>,
    },
    /// Shards of the kind have other owners or users, or are to have.
    Shards { kind: String },
    /// More happened than is told: look at the whole state. After a snapshot, or for a reader that was slow.
    Replaced,
}

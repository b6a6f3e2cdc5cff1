//! The cluster as operators look at it: connections, and who has which shards.

use std::time::Duration;

use super::Cluster;
use crate::id::{Incarnation, PeerId};

/// This peer's connection to another; see [`Cluster::links`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerLink {
    /// The other peer.
    pub peer: PeerId,
    /// Which of its lives.
    pub incarnation: Incarnation,
    /// Whether there is a connection now.
    pub is_connected: bool,
    /// Whether that life is given up: there will be none.
    pub is_lost: bool,
    /// How long a heartbeat took to go and come back, lately; `None` before the first.
    pub round_trip: Option<Duration>,
    /// Connections for messages, beside the one for control.
    pub lanes: usize,
    /// Messages and answers handed to these connections, in this life of the peer.
    pub messages_out: u64,
    /// Messages and answers that came by them.
    pub messages_in: u64,
    /// Bytes that went, those of the connection for control among them.
    pub bytes_out: u64,
    /// Bytes that came.
    pub bytes_in: u64,
    /// Messages that wait to be sent now; answers are not among them.
    pub queued: u64,
}

/// Who has the shards of a kind of entity, or the one of a singleton, as this peer knows; see [`Cluster::shard_maps`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardMapView {
    /// The kind's name, or the singleton's.
    pub kind: String,
    /// Whether it is a singleton.
    pub is_singleton: bool,
    /// Each shard, in order.
    pub shards: Vec<ShardPlace>,
}

/// Where one shard is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardPlace {
    /// Who has it; `None` while nobody does.
    pub owner: Option<PeerId>,
    /// Which owner, counted over all that there were; 0 before the first.
    pub epoch: u64,
    /// Who is to have it when the owner has let go.
    pub next: Option<PeerId>,
}

impl Cluster {
    /// This peer's connections to the others, by their names: all that it has met in this life. Empty between two lives.
    pub fn links(&self) -> Vec<PeerLink> {
        let life = self.shared.life();
        let peers = life.map_or_else(Vec::new, |life| life.peers.all());
        let link = |peer: &std::sync::Arc<crate::peers::Peer>| {
            let traffic = peer.traffic();
            PeerLink {
                peer: peer.id().clone(),
                incarnation: peer.incarnation(),
                is_connected: peer.is_connected(),
                is_lost: peer.is_lost(),
                round_trip: peer.round_trip(),
                lanes: peer.lanes(),
                messages_out: traffic.messages_out,
                messages_in: traffic.messages_in,
                bytes_out: traffic.bytes_out,
                bytes_in: traffic.bytes_in,
                queued: traffic.queued,
            }
        };
        peers.iter().map(link).collect()
    }

    /// Who has the shards of each kind of entity, by the kinds' names: what this peer has heard that all agreed on. Empty
    /// between two lives.
    pub fn shard_maps(&self) -> Vec<ShardMapView> {
        let Some(life) = self.shared.life() else {
            return Vec::new();
        };
        let authority = life.consensus.authority();
        let place = |slot: &crate::consensus::shard_map::Slot| ShardPlace {
            owner: slot.owner.as_ref().map(|owner| owner.peer.clone()),
            epoch: slot.epoch,
            next: slot.next.as_ref().map(|next| next.peer.clone()),
        };
        let kinds = authority.shards().kinds();
        kinds
            .map(|(kind, map)| {
                let (is_singleton, kind) = crate::sharding::kind_name(kind);
                ShardMapView {
                    kind: kind.to_owned(),
                    is_singleton,
                    shards: map.slots().map(|(_, slot)| place(slot)).collect(),
                }
            })
            .collect()
    }
}

//! `GET /api/v1/cluster`.

use serde::{Deserialize, Serialize};

/// The cluster, if there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClusterAnswer {
    pub enabled: bool,
    pub cluster: Option<ClusterInfo>,
}

/// The cluster as this peer sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClusterInfo {
    pub name: String,
    pub own: String,
    pub incarnation: Option<u64>,
    pub address: String,
    pub status: String,
    pub status_text: String,
    pub version: u64,
    pub voters: Vec<String>,
    pub leader: Option<String>,
    pub members: Vec<Member>,
    pub remote: Option<RemoteCounts>,
    pub events: Vec<MemberEvent>,
    pub names: Names,
    pub groups: Groups,
}

/// A peer, in one of its lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    pub peer: String,
    pub own: bool,
    pub incarnation: u64,
    pub state: String,
    pub since_ns: u64,
    pub voter: bool,
    pub roles: Vec<String>,
    pub endpoints: Vec<String>,
    pub metadata: Vec<MetadataEntry>,
    pub numa_nodes: Vec<NumaCpus>,
    pub started_at_ms: Option<u64>,
    pub link: Option<Link>,
}

/// What a peer says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MetadataEntry {
    pub key: String,
    pub value: String,
}

/// A NUMA node of a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NumaCpus {
    pub id: u32,
    pub cpus: u32,
    pub bytes: u64,
}

/// The connection to a peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Link {
    pub connected: bool,
    pub lost: bool,
    pub round_trip_ns: Option<u64>,
    pub lanes: usize,
    pub sent_total: u64,
    pub received_total: u64,
    pub sent_bytes_total: u64,
    pub received_bytes_total: u64,
    pub sent_per_s: Option<f64>,
    pub received_per_s: Option<f64>,
    pub sent_bytes_per_s: Option<f64>,
    pub received_bytes_per_s: Option<f64>,
    pub queued: u64,
}

/// Messages to and from other peers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RemoteCounts {
    pub tells_out_total: u64,
    pub asks_out_total: u64,
    pub answers_out_total: u64,
    pub tells_in_total: u64,
    pub asks_in_total: u64,
    pub answers_in_total: u64,
    pub delivered_total: u64,
    pub held: u64,
    pub lost_total: u64,
    pub dropped_total: u64,
    pub refused_total: u64,
    pub all: Vec<Named>,
}

/// One count, by its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Named {
    pub name: String,
    pub value: u64,
}

/// Something that happened to a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemberEvent {
    pub at_ms: u64,
    pub peer: String,
    pub incarnation: u64,
    pub change: String,
    pub why: Option<String>,
    pub version: u64,
}

/// Names that one actor of the cluster has at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Names {
    pub items: Vec<Name>,
    pub total: u64,
    pub shown: usize,
    pub truncated: bool,
    pub next: Option<usize>,
}

/// Who has a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Name {
    pub name: String,
    pub peer: String,
    pub actor: String,
    #[serde(rename = "type")]
    pub actor_type: String,
    pub epoch: u64,
}

/// Names that any number of actors are called by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Groups {
    pub items: Vec<Group>,
    pub total: u64,
    pub shown: usize,
    pub truncated: bool,
    pub next: Option<usize>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Group {
    pub name: String,
}

//! `GET /api/v1/machine`.

use serde::{Deserialize, Serialize};

/// NUMA nodes, workers, and who sends where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Machine {
    pub source: String,
    pub pretended: bool,
    pub cpu_quota: Option<f64>,
    pub numa_nodes: Vec<NumaNode>,
    pub distances: Vec<Vec<u32>>,
    pub edges: Vec<Edge>,
    pub steals_across: Vec<StealsAcross>,
    pub lanes: Vec<Lane>,
    pub dedicated: Vec<Dedicated>,
    pub crossed_share: Option<f64>,
    pub wakes_from_outside_total: u64,
    pub balancing: Option<Balancing>,
    pub residency: Option<Vec<Residency>>,
}

/// One NUMA node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NumaNode {
    pub id: u8,
    pub cpus: String,
    pub memory_bytes: Option<u64>,
    pub queued: u64,
    pub asleep: usize,
    pub load: Option<f64>,
    pub actors: Option<u64>,
    pub arena: Arena,
    pub blocking: Blocking,
    pub timers: Timers,
    pub workers: Vec<Worker>,
}

/// The memory of its actors and messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Arena {
    pub slab_bytes: u64,
    pub cells: u64,
    pub cell_bytes: u64,
    pub large_bytes: u64,
    pub large_blocks: u64,
    pub user_bytes: u64,
    pub unbound_chunks: u64,
    pub remote_frees_total: u64,
    pub remote_batches_total: u64,
    pub huge_refusals: u64,
}

/// Its threads for work that blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Blocking {
    pub threads: usize,
    pub running: usize,
    pub queued: usize,
}

/// Its timers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Timers {
    pub waiting: usize,
    pub fired_total: u64,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Worker {
    pub id: u16,
    pub cpu: Option<u32>,
    pub pinned: bool,
    pub pin_problem: Option<String>,
    pub load: Option<f64>,
    pub queued: usize,
    pub turns_total: u64,
    pub turns_per_s: Option<f64>,
    pub steals_near_total: u64,
    pub steals_near_per_s: Option<f64>,
    pub steals_far_total: u64,
    pub steals_far_per_s: Option<f64>,
    pub parks_total: u64,
    pub parks_per_s: Option<f64>,
    pub stalled: Option<StalledBy>,
}

/// Whom a worker has been with for too long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StalledBy {
    pub actor: String,
    #[serde(rename = "type")]
    pub actor_type: String,
    pub name: Option<String>,
    pub message: Option<String>,
    pub for_ns: u64,
}

/// Messages between actors of two NUMA nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Edge {
    pub from: u8,
    pub to: u8,
    pub messages_total: u64,
    pub messages_per_s: Option<f64>,
}

/// Actors taken from one NUMA node by another for a turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StealsAcross {
    pub by: u8,
    pub from: u8,
    pub actors_total: u64,
    pub actors_per_s: Option<f64>,
}

/// How messages went from one NUMA node to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Lane {
    pub from: u8,
    pub to: u8,
    pub direct_total: u64,
    pub by_lane_total: u64,
    pub batches_total: u64,
    pub settled_total: u64,
    pub chains_total: u64,
    pub lost_races_total: u64,
    pub mean_batch: Option<f64>,
    pub line_transfers: u64,
    pub gain: f64,
}

/// An actor with a thread of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dedicated {
    pub worker: u16,
    pub numa_node: u8,
    pub actor: String,
    pub turns_total: u64,
    pub parks_total: u64,
}

/// What the balancer did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Balancing {
    pub on: bool,
    pub samples_total: u64,
    pub moves_total: u64,
    pub crossing_before: Option<f64>,
    pub crossing_now: Option<f64>,
}

/// Where the pages of a NUMA node's arena lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Residency {
    pub numa_node: u8,
    pub pages: Vec<PagesOn>,
    pub misplaced: u64,
    pub untouched: u64,
    pub huge_bytes: Option<u64>,
}

/// Pages that lie on a NUMA node of the operating system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PagesOn {
    pub on: u8,
    pub pages: u64,
}

//! `GET /api/v1/overview`.

use serde::{Deserialize, Serialize};

use super::{Latency, NotReady};

/// How the system is, on one page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Overview {
    pub now_ms: u64,
    pub system: SystemInfo,
    pub health: Health,
    pub features: Features,
    pub actors: ActorCounts,
    pub messages: MessageCounts,
    pub rates: Rates,
    pub asks: AskCounts,
    pub latency: Latency,
    pub workers: WorkerCounts,
    pub numa_nodes: usize,
    pub memory: MemoryBytes,
    pub stalls: StallCounts,
    pub tracing: Option<TracingInfo>,
    pub peers: Option<PeerCounts>,
    pub attention: Vec<Attention>,
}

/// Which process this is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SystemInfo {
    pub name: String,
    pub version: String,
    pub pid: u32,
    pub hostname: Option<String>,
    pub started_at_ms: u64,
    pub uptime_ns: u64,
}

/// Whether it lives and wants work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    pub live: bool,
    pub ready: bool,
    pub why: Vec<NotReady>,
}

/// What this console has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Features {
    pub cluster: bool,
    pub tracing: bool,
    pub latency: bool,
    pub schedule: bool,
    pub actions: bool,
    pub token_required: bool,
}

/// Actors, by what happened to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActorCounts {
    pub alive: u64,
    pub spawned_total: u64,
    pub stopped_total: u64,
    pub restarts_total: u64,
    pub panics_total: u64,
    pub moves_total: u64,
    pub abandoned_total: u64,
    pub attached_tasks: u64,
}

/// Messages, by their fate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MessageCounts {
    pub offered_total: u64,
    pub accepted_total: u64,
    pub handled_total: u64,
    pub queued: u64,
    pub refused_total: u64,
    pub dead_letters_total: u64,
    pub dropped_total: u64,
    pub refused: RefusedReasons,
    pub dead_letters: DeadLetterReasons,
    pub dropped: DroppedReasons,
}

/// Why messages were given back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RefusedReasons {
    pub full: u64,
    pub dead: u64,
    pub overloaded: u64,
    pub other: u64,
}

/// Why messages had nobody to go to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadLetterReasons {
    pub actor_stopped: u64,
    pub peer_gone: u64,
    pub not_exported: u64,
    pub too_large: u64,
    pub unreachable: u64,
}

/// Why messages were not handled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DroppedReasons {
    pub expired: u64,
    pub cancelled: u64,
    pub panicked: u64,
    pub interrupted: u64,
    pub overflow_oldest: u64,
    pub overflow_newest: u64,
    pub abandoned: u64,
}

/// What happened in the last second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Rates {
    pub messages_per_s: Option<f64>,
    pub dead_letters_per_s: Option<f64>,
    pub dropped_per_s: Option<f64>,
    pub restarts_per_s: Option<f64>,
    pub asks_per_s: Option<f64>,
    pub crossed_share: Option<f64>,
}

/// Asks, by their outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AskCounts {
    pub begun_total: u64,
    pub in_flight: u64,
    pub ok_total: Option<u64>,
    pub no_reply_total: u64,
    pub late_replies_total: u64,
    pub failed_total: Option<u64>,
    pub by_outcome: Vec<OutcomeCount>,
}

/// Asks that ended so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OutcomeCount {
    pub outcome: String,
    pub total: u64,
}

/// Workers, all together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkerCounts {
    pub count: usize,
    pub busy: usize,
    pub load: Option<f64>,
}

/// Memory, all NUMA nodes together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemoryBytes {
    pub arena_bytes: u64,
    pub user_bytes: u64,
}

/// Handlers that held up their workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StallCounts {
    pub total: u64,
    pub now: u64,
    pub longest_ns: u64,
}

/// What becomes of traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TracingInfo {
    pub enabled: bool,
    pub sample: Option<f64>,
    pub offered_total: u64,
    pub recorded_total: u64,
    pub dropped_total: u64,
    pub stored: usize,
    pub hint: Option<String>,
}

/// Members of the cluster, this peer among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PeerCounts {
    pub up: usize,
    pub unreachable: usize,
    pub others: usize,
}

/// Something that somebody should look at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Attention {
    pub kind: String,
    pub severity: String,
    pub title: String,
    pub detail: String,
    pub since_ms: Option<u64>,
    pub link: String,
}

//! `GET /api/v1/actors` and `GET /api/v1/actors/{id}`.

use serde::{Deserialize, Serialize};

use super::{ActorName, Latency, RefusedCycle};

/// A page of actors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Actors {
    pub items: Vec<ActorRow>,
    pub total: u64,
    pub shown: usize,
    pub truncated: bool,
    pub next: Option<usize>,
    pub alive: u64,
    pub examined: u64,
    pub complete: bool,
    pub walk_ns: u64,
}

/// One actor, in a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActorRow {
    pub id: String,
    #[serde(rename = "type")]
    pub actor_type: String,
    pub name: Option<String>,
    pub path: Option<String>,
    pub parent: Option<String>,
    pub phase: Option<String>,
    pub numa_node: u8,
    pub queued: u64,
    pub capacity: Option<u64>,
    pub restarts: Option<u64>,
    pub children: Option<u64>,
    pub strategy: Option<String>,
    pub handling: Option<String>,
    pub waits_for: Option<String>,
    pub busy: bool,
    pub quiet_ns: Option<u64>,
    pub rate_per_s: Option<f64>,
}

/// One actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ActorPage {
    pub actor: ActorRow,
    pub ancestors: Vec<ActorName>,
    pub children: Vec<ActorName>,
    pub restart: Option<String>,
    pub asker_gone: bool,
    pub watchers: Option<u64>,
    pub watching: Option<u64>,
    pub monitors: Option<u64>,
    pub links: Option<u64>,
    pub timers: Option<u64>,
    pub tasks: Option<u64>,
    pub registered: Vec<String>,
    pub waits_for: Option<AskWait>,
    pub asked_by: Vec<AskWait>,
    pub cycle: Option<Vec<String>>,
    pub refused_cycles: Vec<RefusedCycle>,
    pub last_failure: Option<Failure>,
    pub recent: Vec<Handled>,
    pub latency: Latency,
    pub dead_letters: u64,
    pub stalls: u64,
}

/// The other end of an ask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AskWait {
    pub actor: ActorName,
    pub message: Option<String>,
    pub since_ns: Option<u64>,
}

/// A failure of a handler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    pub at_ms: u64,
    pub message: Option<String>,
    pub error: String,
    pub trace_id: Option<String>,
}

/// A sampled message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Handled {
    pub at_ms: u64,
    pub message: Option<String>,
    pub wait_ns: Option<u64>,
    pub handle_ns: u64,
    pub outcome: String,
    pub trace_id: Option<String>,
    pub span_id: Option<String>,
}

//! `GET /api/v1/stalls`.

use serde::{Deserialize, Serialize};

/// Handlers that hold up their workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stalls {
    pub totals: StallTotals,
    pub now: Vec<Stall>,
    pub recent: Vec<Stall>,
}

/// All of them, counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StallTotals {
    pub stalls_total: u64,
    pub now: u64,
    pub longest_ns: u64,
    pub spares_started_total: u64,
    pub spares_exhausted_total: u64,
    pub spares_on_duty: u64,
    pub spare_threads: u64,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stall {
    pub at_ms: u64,
    pub worker: u16,
    pub numa_node: u8,
    pub actor: String,
    #[serde(rename = "type")]
    pub actor_type: String,
    pub name: Option<String>,
    pub message: Option<String>,
    pub for_ns: u64,
    pub trace_id: Option<String>,
    pub running: bool,
    pub stack: Option<String>,
}

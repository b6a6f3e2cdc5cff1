//! `GET /api/v1/failures`.

use serde::{Deserialize, Serialize};

/// Lives of actors that ended in failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failures {
    pub items: Vec<FailedLife>,
    pub total: u64,
    pub shown: usize,
    pub truncated: bool,
    pub next: Option<usize>,
    pub left_out: u64,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailedLife {
    pub at_ms: u64,
    pub actor: String,
    #[serde(rename = "type")]
    pub actor_type: String,
    pub name: Option<String>,
    pub path: String,
    pub message: Option<String>,
    pub error: String,
    pub trace_id: Option<String>,
    pub will_restart: bool,
}

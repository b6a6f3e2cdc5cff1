//! `GET /api/v1/dead-letters`.

use serde::{Deserialize, Serialize};

/// Messages that had nobody to go to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadLettersPage {
    pub by_reason: Vec<ReasonCount>,
    pub items: Vec<DeadLetter>,
    pub total: u64,
    pub shown: usize,
    pub truncated: bool,
    pub next: Option<usize>,
    pub recorded: bool,
}

/// How many for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReasonCount {
    pub reason: String,
    pub total: u64,
    pub per_s: Option<f64>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeadLetter {
    pub at_ms: u64,
    pub reason: String,
    pub message: String,
    pub actor: String,
    #[serde(rename = "type")]
    pub actor_type: Option<String>,
    pub name: Option<String>,
    pub trace_id: Option<String>,
}

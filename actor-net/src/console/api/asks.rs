//! `GET /api/v1/asks`.

use serde::{Deserialize, Serialize};

use super::ActorName;

/// Who waits for whom.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Asks {
    pub items: Vec<AskEdge>,
    pub total: u64,
    pub shown: usize,
    pub truncated: bool,
    pub next: Option<usize>,
    pub cycles: Vec<Vec<String>>,
    pub refused_cycles: Vec<RefusedCycle>,
    pub deadlocks_total: u64,
    pub walk_ns: u64,
}

/// A handler that waits for an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AskEdge {
    pub from: ActorName,
    pub to: ActorName,
    pub message: Option<String>,
    pub since_ns: Option<u64>,
}

/// An ask that was refused, because the actors would have waited for each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RefusedCycle {
    pub at_ms: u64,
    pub actors: Vec<ActorName>,
    pub message: String,
}

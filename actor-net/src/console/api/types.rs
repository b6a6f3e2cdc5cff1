//! `GET /api/v1/types`.

use serde::{Deserialize, Serialize};

use super::Spread;

/// Actors by type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Types {
    pub items: Vec<TypeRow>,
    pub total: u64,
    pub shown: usize,
    pub truncated: bool,
    pub next: Option<usize>,
    pub walk_ns: u64,
}

/// The actors of one type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TypeRow {
    #[serde(rename = "type")]
    pub actor_type: String,
    pub alive: u64,
    pub busy: u64,
    pub queued: u64,
    pub rate_per_s: Option<f64>,
    pub wait: Option<Spread>,
    pub handle: Option<Spread>,
    pub failures_total: u64,
}

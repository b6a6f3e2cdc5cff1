//! `GET /api/v1/history`.

use serde::{Deserialize, Serialize};

/// The last minutes, a sample a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct History {
    pub step_ms: u64,
    pub from_ms: u64,
    pub samples: usize,
    pub series: Series,
}

/// Columns of equal length, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Series {
    pub messages_per_s: Vec<Option<f64>>,
    pub accepted_per_s: Vec<Option<f64>>,
    pub dead_letters_per_s: Vec<Option<f64>>,
    pub dropped_per_s: Vec<Option<f64>>,
    pub refused_per_s: Vec<Option<f64>>,
    pub restarts_per_s: Vec<Option<f64>>,
    pub asks_ok_per_s: Vec<Option<f64>>,
    pub asks_failed_per_s: Vec<Option<f64>>,
    pub stalls_per_s: Vec<Option<f64>>,
    pub steals_near_per_s: Vec<Option<f64>>,
    pub steals_far_per_s: Vec<Option<f64>>,
    pub queued: Vec<Option<u64>>,
    pub actors: Vec<Option<u64>>,
    pub crossed_share: Vec<Option<f64>>,
    pub load: Vec<Option<f64>>,
    pub arena_bytes: Vec<Option<u64>>,
    pub wait_p50_ns: Vec<Option<u64>>,
    pub wait_p99_ns: Vec<Option<u64>>,
    pub wait_p999_ns: Vec<Option<u64>>,
    pub handle_p50_ns: Vec<Option<u64>>,
    pub handle_p99_ns: Vec<Option<u64>>,
    pub handle_p999_ns: Vec<Option<u64>>,
    pub remote_out_per_s: Vec<Option<f64>>,
    pub remote_in_per_s: Vec<Option<f64>>,
}

//! `GET /api/v1/traces` and `GET /api/v1/traces/{trace_id}`.

use serde::{Deserialize, Serialize};

/// Traces, the newest or the slowest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Traces {
    pub items: Vec<TraceRow>,
    pub total: u64,
    pub shown: usize,
    pub truncated: bool,
    pub next: Option<usize>,
    pub sample: f64,
    pub hint: Option<String>,
}

/// One trace, in a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TraceRow {
    pub trace_id: String,
    pub root: TraceRoot,
    pub started_at_ms: u64,
    pub duration_ns: u64,
    pub spans: u64,
    pub errors: u64,
    pub wait_ns: u64,
    pub peers: Vec<String>,
    pub numa_nodes: Vec<u8>,
    pub crossings: u64,
    pub kind: Vec<String>,
    pub complete: bool,
}

/// Where a trace begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TraceRoot {
    #[serde(rename = "type")]
    pub actor_type: Option<String>,
    pub message: Option<String>,
    pub name: Option<String>,
    pub actor: Option<String>,
}

/// One trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trace {
    pub trace_id: String,
    pub started_at_ms: u64,
    pub duration_ns: u64,
    pub complete: bool,
    pub dropped: u64,
    pub spans: Vec<Span>,
}

/// One step of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Span {
    pub span_id: String,
    pub parent_id: Option<String>,
    pub kind: String,
    pub actor: Option<String>,
    #[serde(rename = "type")]
    pub actor_type: Option<String>,
    pub name: Option<String>,
    pub message: Option<String>,
    pub sent_ns: Option<i64>,
    pub start_ns: i64,
    pub end_ns: i64,
    pub wait_ns: Option<u64>,
    pub numa_from: Option<u8>,
    pub numa_to: Option<u8>,
    pub worker: Option<u16>,
    pub sender: Option<String>,
    pub depth: Option<u64>,
    pub restarts: Option<u64>,
    pub peer: Option<String>,
    pub attributes: Vec<SpanAttribute>,
    pub links: Vec<SpanLink>,
    pub outcome: String,
    pub error: Option<String>,
}

/// Another span that this one goes back to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SpanLink {
    pub trace_id: String,
    pub span_id: String,
}

/// What else there is to say of a span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SpanAttribute {
    pub key: String,
    pub value: String,
}

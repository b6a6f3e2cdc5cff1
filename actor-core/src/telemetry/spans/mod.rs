//! Finished spans, off the workers: the thread that collects them (`collector`), the traces that are kept
//! (`store`), and the threads that export them (`export`).

mod collector;
mod export;
mod store;

pub(crate) use collector::{Collector, CollectorThread};
pub use store::{Trace, TraceList, TraceSummary};

/// The books of a system's spans; part of [`Stats`](crate::Stats).
///
/// `offered = recorded + dropped + queued`, exactly so at rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SpanStats {
    /// Whether anything can be recorded: not where the system was built with
    /// [`TracingOptions::off`](crate::TracingOptions::off).
    pub is_on: bool,
    /// The share of traces begun here that are recorded, 0 to 1.
    pub sample: f64,
    /// Spans that ended.
    pub offered: u64,
    /// Spans that came to the collector.
    pub recorded: u64,
    /// Spans that found the queue to the collector full.
    pub dropped: u64,
    /// Spans on their way to the collector.
    pub queued: u64,
    /// Traces that are kept now.
    pub kept_traces: u64,
    /// Spans that are kept now.
    pub kept_spans: u64,
    /// Spans that were taken by where they go to; each exporter counts. What waits to be sent is not among them.
    pub exported: u64,
    /// Spans that exporters lost: they failed for good, or too much waited for them.
    pub not_exported: u64,
}

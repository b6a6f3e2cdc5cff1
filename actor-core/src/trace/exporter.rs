//! Where finished spans go besides the system's own store: the part that others implement.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::record::SpanRecord;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Takes finished spans elsewhere: to a collector, a file, a test.
///
/// Given to a system by [`TracingOptions::exporter`](super::TracingOptions::exporter) or
/// [`SystemRef::add_span_exporter`](crate::SystemRef::add_span_exporter). It has a thread of its own
/// (`actor-spans`), so it may block; while it does, at most 64 batches wait for it, and what comes beyond
/// that is counted as not exported ([`SpanStats`](crate::SpanStats)). Workers never wait for it.
///
/// A panic in it is caught and counted as a batch that was not exported.
///
/// # Examples
///
/// ```
/// use std::sync::{Arc, mpsc};
/// use std::time::Duration;
/// use actor_core::prelude::*;
/// use actor_core::{ExportError, SpanExporter, SpanRecord, TracingOptions};
///
/// struct Into(mpsc::Sender<String>);
/// impl SpanExporter for Into {
///     fn export(&mut self, batch: &[Arc<SpanRecord>]) -> Result<(), ExportError> {
///         for span in batch {
///             self.0.send(span.to_string()).map_err(ExportError::new)?;
///         }
///         Ok(())
///     }
/// }
///
/// struct Echo;
/// impl Actor for Echo {}
/// struct Say(u32);
/// impl Message for Say { type Reply = u32; }
/// impl SyncHandler<Say> for Echo {
///     fn handle(&mut self, Say(n): Say, _cx: &mut ActorContext<Self>) -> u32 { n }
/// }
///
/// let (to, spans) = mpsc::channel();
/// let system = ActorSystem::builder()
///     .tracing(TracingOptions::new().sample(1.0).exporter(Into(to)))
///     .build()?;
/// let echo = system.spawn(Echo)?;
/// assert_eq!(echo.ask_blocking(Say(7))?, 7);
/// system.flush_spans(Duration::from_secs(10));
/// // The handling, then the ask around it.
/// assert_eq!(spans.try_iter().count(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SpanExporter: Send + 'static {
    /// Takes a batch: at least one span, at most 512, in the order in which they ended.
    ///
    /// # Errors
    ///
    /// Why the batch is lost. It is not offered again: an exporter that wants to try again does so itself.
    /// The first of a row of errors is logged as a warning, all are counted.
    fn export(&mut self, batch: &[Arc<SpanRecord>]) -> Result<(), ExportError>;

    /// For an exporter that keeps spans back and hands them on later: where it counts what has become of them. Asked
    /// once, before the first batch. Without it, spans count as exported when [`export`](Self::export) says `Ok`,
    /// and its errors are logged; with it, both are the exporter's own affair.
    fn counts(&self) -> Option<ExportCounts> {
        None
    }

    /// Hands on what it still keeps back, within that time.
    ///
    /// # Errors
    ///
    /// Why not all of it could be handed on.
    fn flush(&mut self, limit: Duration) -> Result<(), ExportError> {
        let _ = limit;
        Ok(())
    }

    /// The last call, when the system has ended: as `flush`, and nothing comes after it.
    ///
    /// # Errors
    ///
    /// Why not all of it could be handed on.
    fn shutdown(&mut self, limit: Duration) -> Result<(), ExportError> {
        self.flush(limit)
    }
}

/// What has become of the spans that an exporter took, counted by itself; see [`SpanExporter::counts`]. Clones are
/// the same counts.
#[derive(Clone, Debug, Default)]
pub struct ExportCounts(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    lost: AtomicU64,
}

impl ExportCounts {
    /// None of either.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many spans were taken by where they go to.
    pub fn add_exported(&self, spans: usize) {
        // Relaxed here and below: figures for people.
        self.0.exported.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// So many spans are lost.
    pub fn add_lost(&self, spans: usize) {
        self.0.lost.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Spans that were taken.
    pub fn exported(&self) -> u64 {
        self.0.exported.load(Ordering::Relaxed)
    }

    /// Spans that are lost.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }
}

/// Why spans were not exported.
#[derive(Debug)]
pub struct ExportError(Box<dyn std::error::Error + Send + Sync>);

impl ExportError {
    /// From what went wrong.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spans were not exported: {}", self.0)
    }
}

impl std::error::Error for ExportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

//! Traces and metrics to an OpenTelemetry collector (feature `otlp`).
//!
//! ```text
//!   workers --> collector thread --> exporter's thread --> Outbox (queue) --> actor-otlp --> collector
//!               (telemetry::spans)                                              ^ figures, now and then
//! ```
//!
//! [`SystemRef::export_otlp`](crate::SystemRef::export_otlp) starts it. Spans are plain data until they come
//! here: no tracer, no OpenTelemetry on any worker. Nothing here makes anybody wait but the threads that
//! export; what does not fit is dropped and counted ([`OtlpStats`]).
//!
//! | file | idea |
//! |---|---|
//! | `env.rs` | the standard variables; pure |
//! | `settings.rs` | what the export is told |
//! | `convert.rs` | a span of ours as one of theirs; pure |
//! | `outbox.rs` | the queue and the thread behind it |
//! | `sender.rs` | OpenTelemetry's exporters, driven without a runtime |
//! | `client.rs` | an HTTP request, counted |
//! | `tls.rs` | whom `https` trusts |
//! | `metrics.rs` | the thread that exports figures |
//! | `points.rs` | a reading of them as protobuf; pure |
//! | `upload.rs` | and how that goes to the collector |
//! | `books.rs` | what became of it all |
//! | `figures.rs` | and that as metrics |

mod books;
mod client;
mod convert;
mod env;
mod figures;
mod metrics;
mod outbox;
mod points;
mod sender;
mod settings;
#[cfg(feature = "otlp-tls")]
mod tls;
mod upload;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::contain::log;
use crate::telemetry::metrics::Reading;
use crate::trace::{ExportCounts, ExportError, SpanExporter, SpanRecord, TraceContext};
use outbox::Outbox;

pub use books::OtlpStats;
pub use env::OtlpWarning;
pub use settings::{OtlpOptions, Protocol};

/// An export that runs; see [`SystemRef::export_otlp`](crate::SystemRef::export_otlp). It goes on to the end
/// of the system, whether or not this is kept: it is there to look at.
#[derive(Clone)]
pub struct OtlpExport {
    outbox: Option<Arc<Outbox>>,
    books: Arc<books::Books>,
    warnings: Arc<[OtlpWarning]>,
}

impl OtlpExport {
    /// Starts the threads, and says once what is wrong with the options. The second is what to give to the
    /// system, if anything is to be exported.
    pub(crate) fn start(
        options: OtlpOptions,
        source: impl Fn() -> Reading + Send + Sync + 'static,
    ) -> io::Result<(Self, Option<impl SpanExporter>)> {
        let OtlpOptions { settings, warnings } = options;
        for warning in &warnings {
            log!(warn, target: "actor_core::otlp", "{warning}");
        }
        let books = Arc::new(books::Books::default());
        let traces_on = settings.traces_on;
        let outbox = if settings.is_on && (traces_on || settings.metrics_on) {
            Some(Outbox::start(settings, books.clone(), Box::new(source))?)
        } else {
            None
        };
        let exporter = outbox.clone().map(|outbox| Exporter { outbox, traces_on });
        let export = Self {
            outbox,
            books,
            warnings: warnings.into(),
        };
        Ok((export, exporter))
    }

    /// The share of traces that the variables ask for.
    pub(crate) fn sample(options: &OtlpOptions) -> Option<f64> {
        options.settings.sample
    }

    /// What it has done so far.
    pub fn stats(&self) -> OtlpStats {
        self.books.read()
    }

    /// What it has done so far, as metrics.
    pub(crate) fn read(&self, reading: &mut Reading) {
        figures::read(&self.stats(), reading);
    }

    /// Whether anything is exported: not if `OTEL_SDK_DISABLED` is true, or both signals are off.
    pub fn is_on(&self) -> bool {
        self.outbox.is_some()
    }

    /// What of the options was not used, and why.
    pub fn warnings(&self) -> &[OtlpWarning] {
        &self.warnings
    }
}

impl fmt::Debug for OtlpExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpExport")
            .field("is_on", &self.is_on())
            .field("stats", &self.stats())
            .finish()
    }
}

/// On the system's side.
#[derive(Debug)]
struct Exporter {
    outbox: Arc<Outbox>,
    traces_on: bool,
}

impl SpanExporter for Exporter {
    fn export(&mut self, batch: &[Arc<SpanRecord>]) -> Result<(), ExportError> {
        if self.traces_on {
            self.outbox.offer(batch);
        }
        Ok(())
    }

    fn counts(&self) -> Option<ExportCounts> {
        Some(self.outbox.counts())
    }

    fn flush(&mut self, limit: Duration) -> Result<(), ExportError> {
        if self.outbox.flush(limit) {
            return Ok(());
        }
        Err(ExportError::new(format!(
            "the collector did not take them within {limit:?}"
        )))
    }

    fn shutdown(&mut self, limit: Duration) -> Result<(), ExportError> {
        if self.outbox.end(limit) {
            return Ok(());
        }
        Err(ExportError::new(format!(
            "the collector did not take the last ones within {limit:?}"
        )))
    }
}

/// A system that does not take it, or has ended: the thread must not wait for ever.
impl Drop for Exporter {
    fn drop(&mut self) {
        self.outbox.end(Duration::ZERO);
    }
}

/// A trace of ours as OpenTelemetry's context: what is recorded by its API while this is attached becomes a
/// child of that span.
///
/// # Examples
///
/// ```
/// use actor_core::{TraceContext, otlp};
/// use opentelemetry::trace::TraceContextExt;
///
/// let trace = TraceContext::new_root(true);
/// let attached = otlp::context_of(&trace).attach();
/// let now = opentelemetry::Context::current();
/// assert_eq!(now.span().span_context().trace_id().to_string(), trace.trace_id().to_string());
/// # drop(attached);
/// ```
pub fn context_of(trace: &TraceContext) -> opentelemetry::Context {
    use opentelemetry::trace::TraceContextExt;
    let span = crate::context::otel_span_context(trace, true);
    opentelemetry::Context::current().with_remote_span_context(span)
}

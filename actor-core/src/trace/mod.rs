//! Which trace a message belongs to, and what is written down of those that are recorded.
//!
//! - `w3c`: what travels with every message of a trace, as the W3C Trace Context recommendation writes it;
//! - `record`: one span as plain data; `brief`: the same as a worker writes it down;
//! - `options`: what is sampled, and how tells are drawn;
//! - `spans`: the decision at the edge, and the bounded way from the workers to the collector;
//! - `exporter`: where the records go besides the system's own store.
//!
//! A message without a trace, or of a trace that nobody records, costs nothing here: the floors above look
//! at their one pointer, which is null. A message of a *sampled* trace gets a span: the context's floor
//! makes it, the worker pushes it to `spans` and forgets it. Pushing never waits: a full queue
//! drops the record, and counts it.

mod brief;
mod exporter;
mod options;
mod record;
mod spans;
mod w3c;

pub use exporter::{ExportCounts, ExportError, SpanExporter};
pub use options::{TellSpans, TracingOptions};
pub use record::{SpanKind, SpanLink, SpanOutcome, SpanRecord};
pub use w3c::{
    SpanId, TRACESTATE_BYTES_MAX, TRACESTATE_ENTRIES_MAX, TraceContext, TraceFlags, TraceId,
    TraceParent, TraceParseError, TraceStateError,
};

pub(crate) use brief::Brief;
pub(crate) use options::{Invalid, Settings, check_share};
pub(crate) use spans::{Desk, Drained, Spans};

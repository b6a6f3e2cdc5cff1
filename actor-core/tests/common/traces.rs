//! What the tests of traces share: a recorded trace to begin with, and what became of it.

use std::sync::Arc;

use actor_core::prelude::*;
use actor_core::{SpanKind, SpanRecord, Trace, TraceContext, TraceId};

use super::wait_until;

/// A context of a sampled trace of its own.
pub fn sampled() -> (Context, TraceId) {
    let trace = TraceContext::new_root(true);
    let id = trace.trace_id();
    (Context::empty().with_trace(trace), id)
}

/// The trace, when so many of its spans have ended.
#[track_caller]
pub fn trace_of(system: &ActorSystem, id: TraceId, spans: usize) -> Trace {
    wait_until("the spans have ended", || {
        system
            .trace(id)
            .is_some_and(|trace| trace.spans.len() >= spans)
    });
    let trace = system.trace(id).expect("there a moment ago");
    assert_eq!(trace.spans.len(), spans, "{:#?}", trace.spans);
    assert!(trace.spans.iter().all(|span| span.trace_id() == id));
    trace
}

/// The one span of that kind and message.
#[track_caller]
pub fn span<'a>(trace: &'a Trace, kind: SpanKind, message: &str) -> &'a SpanRecord {
    let ends_so = |span: &&Arc<SpanRecord>| span.kind == kind && span.message.ends_with(message);
    let found: Vec<_> = trace.spans.iter().filter(ends_so).collect();
    let [span] = found[..] else {
        panic!(
            "{} spans '{kind} {message}' in {:#?}",
            found.len(),
            trace.spans
        );
    };
    span
}

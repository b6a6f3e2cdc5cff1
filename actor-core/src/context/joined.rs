//! Spans of the user's own code within ours (feature `otlp`): while a message of a recorded trace is handled, also
//! between the awaits of its handler, OpenTelemetry's current context is that of the trace in force. What the
//! handler records by OpenTelemetry's API, or by `tracing` with the layer for it, becomes a part of the trace. Of a
//! trace that is not recorded it is the context too: a sampler that heeds its parent, as the default one does, then
//! records nothing either.
//!
//! Messages without a trace pay one null check more.

use opentelemetry::ContextGuard;
use opentelemetry::trace::{
    SpanContext, SpanId as OtelSpanId, TraceContextExt, TraceFlags as OtelFlags,
    TraceId as OtelTraceId,
};

use super::message_context::Context;
use crate::cell::context_now;
use crate::trace::TraceContext;

/// Until the guard is dropped, on this thread.
#[inline(always)]
pub(super) fn join() -> Option<ContextGuard> {
    if context_now().is_null() {
        return None;
    }
    join_traced()
}

#[cold]
fn join_traced() -> Option<ContextGuard> {
    let context = Context::current();
    let trace = context.trace()?;
    let outer = opentelemetry::Context::current();
    let own = outer.with_remote_span_context(otel_span_context(trace, false));
    Some(own.attach())
}

/// A trace of ours as OpenTelemetry names it.
pub(crate) fn otel_span_context(trace: &TraceContext, is_remote: bool) -> SpanContext {
    SpanContext::new(
        OtelTraceId::from(trace.trace_id().as_u128()),
        OtelSpanId::from(trace.span_id().as_u64()),
        OtelFlags::new(trace.flags().bits()),
        is_remote,
        trace
            .tracestate()
            .and_then(|it| it.parse().ok())
            .unwrap_or_default(),
    )
}

//! Spans of the user's own code within ours (feature `otlp`): while a message of a recorded trace is handled, also
//! between the awaits of its handler, OpenTelemetry's current context is that of the trace in force. What the
//! handler records by OpenTelemetry's API, or by `tracing` with the layer for it, becomes a part of the trace. Of a
//! trace that is not recorded it is the context too: a sampler that heeds its parent, as the default one does, then
//! records nothing either.
//!
//! *Cost.* Messages without a context pay a null check more, those whose context has no trace one more. Of a trace that
//! is not recorded the context is made once, for all messages that share the block of theirs ([`Joined`]): to make one
//! for each costs 480 to 620 instructions a message, to put it in force and take it back 240. In a recorded trace each handling has a span
//! of its own, and so a context of its own.
//!
//! What the thread itself had in force is not in it: a message's context does not depend on who handles it.

use std::sync::OnceLock;

use opentelemetry::ContextGuard;
use opentelemetry::trace::{
    SpanContext, SpanId as OtelSpanId, TraceContextExt, TraceFlags as OtelFlags,
    TraceId as OtelTraceId,
};

use super::message_context::Context;
use crate::cell::context_now;
use crate::trace::TraceContext;

/// OpenTelemetry's context of a trace that is not recorded, once a message of it has been handled. Belongs to the
/// trace beside it.
#[derive(Clone, Default)]
pub(super) struct Joined(OnceLock<opentelemetry::Context>);

impl Joined {
    fn of(&self, trace: &TraceContext) -> opentelemetry::Context {
        if trace.is_sampled() {
            return made(trace);
        }
        if let Some(kept) = self.0.get() {
            return kept.clone();
        }
        let own = made(trace);
        // Somebody else may have been faster, with the same.
        drop(self.0.set(own.clone()));
        own
    }
}

/// Until the guard is dropped, on this thread.
#[inline(always)]
pub(super) fn join() -> Option<ContextGuard> {
    if context_now().is_null() {
        return None;
    }
    join_traced()
}

#[inline(never)]
fn join_traced() -> Option<ContextGuard> {
    let own = Context::with_trace_in_force(|trace, joined| joined.of(trace))?;
    Some(own.attach())
}

fn made(trace: &TraceContext) -> opentelemetry::Context {
    opentelemetry::Context::new().with_remote_span_context(otel_span_context(trace, false))
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

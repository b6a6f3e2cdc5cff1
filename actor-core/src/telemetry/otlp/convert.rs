//! A span of ours as one of OpenTelemetry's: pure.
//!
//! Names follow the semantic conventions for messaging where they fit: `messaging.system` is `actor`, the
//! destination is the actor's name or type, the operation `ask` (a client waits for the reply), `process` (a
//! handler), `send` (to another peer). What they have no name for begins with `actor.`.

use opentelemetry::trace::{
    Link, SpanContext, SpanId as OtelSpanId, SpanKind as OtelKind, Status, TraceFlags as OtelFlags,
    TraceId as OtelTraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::context::otel_span_context;
use crate::telemetry::short_type_name;
use crate::trace::{SpanKind, SpanOutcome, SpanRecord};

pub(super) fn span_data(span: &SpanRecord, scope: &InstrumentationScope) -> SpanData {
    let mut links = SpanLinks::default();
    if let Some(link) = span.link {
        let linked = SpanContext::new(
            OtelTraceId::from(link.trace_id.as_u128()),
            OtelSpanId::from(link.span_id.as_u64()),
            OtelFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        links.links.push(Link::new(linked, Vec::new(), 0));
    }
    let parent = span.parent.map(|parent| parent.as_u64());
    SpanData {
        span_context: otel_span_context(&span.trace, false),
        parent_span_id: parent.map_or(OtelSpanId::INVALID, OtelSpanId::from),
        parent_span_is_remote: parent.is_some()
            && (span.kind == SpanKind::Request
                || span.peer.is_some() && span.kind == SpanKind::Handle),
        span_kind: match span.kind {
            SpanKind::Ask => OtelKind::Client,
            SpanKind::Handle => OtelKind::Consumer,
            SpanKind::Forward => OtelKind::Producer,
            SpanKind::Request => OtelKind::Server,
            SpanKind::Timer | SpanKind::Started | SpanKind::Stopped | SpanKind::Blocking => {
                OtelKind::Internal
            }
        },
        name: name(span).into(),
        start_time: span.started,
        end_time: span.ended(),
        attributes: attributes(span),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status: if span.is_error() {
            Status::error(span.outcome.to_string())
        } else {
            Status::Unset
        },
        instrumentation_scope: scope.clone(),
    }
}

/// The operation and the message, so few different ones that a collector can group by them.
fn name(span: &SpanRecord) -> String {
    match span.kind {
        SpanKind::Request => span.message.to_owned(),
        _ => format!("{} {}", operation(span.kind), short_type_name(span.message)),
    }
}

const fn operation(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Ask => "ask",
        SpanKind::Handle => "process",
        SpanKind::Forward => "send",
        SpanKind::Timer => "timer",
        SpanKind::Started => "started",
        SpanKind::Stopped => "stopped",
        SpanKind::Blocking => "blocking",
        SpanKind::Request => "request",
    }
}

fn attributes(span: &SpanRecord) -> Vec<KeyValue> {
    let mut all = Vec::with_capacity(16);
    let mut add =
        |key: &'static str, value: opentelemetry::Value| all.push(KeyValue::new(key, value));
    let number = |number: u64| opentelemetry::Value::I64(i64::try_from(number).unwrap_or(i64::MAX));
    let is_message = matches!(
        span.kind,
        SpanKind::Ask | SpanKind::Handle | SpanKind::Forward
    );
    if is_message {
        add("messaging.system", "actor".into());
        add("messaging.operation.name", operation(span.kind).into());
        let class = if span.kind == SpanKind::Handle {
            "process"
        } else {
            "send"
        };
        add("messaging.operation.type", class.into());
        let destination = span.actor_name.as_deref().unwrap_or(span.actor_type);
        if !destination.is_empty() {
            add("messaging.destination.name", destination.to_owned().into());
        }
    }
    if span.kind != SpanKind::Request {
        add("actor.message", span.message.into());
        let waited = u64::try_from(span.queue_wait.as_nanos()).unwrap_or(u64::MAX);
        add("actor.queue_wait_ns", number(waited));
    }
    if !span.actor_type.is_empty() {
        add("actor.type", span.actor_type.into());
    }
    if let Some(actor) = span.actor {
        add("actor.id", actor.to_string().into());
        add("actor.restarts", number(span.restarts));
    }
    if let Some(name) = &span.actor_name {
        add("actor.name", name.to_string().into());
    }
    if let Some(sender) = span.sender {
        add("actor.sender.id", sender.to_string().into());
    }
    if let Some(node) = span.sender_numa_node {
        add("actor.sender.numa_node", number(node.0.into()));
    }
    if let Some(node) = span.numa_node {
        add("actor.numa_node", number(node.0.into()));
        add("actor.crossed_numa", span.crossed().into());
    }
    if let Some(worker) = span.worker {
        add("actor.worker", number(worker.0.into()));
    }
    if let Some(depth) = span.mailbox_depth {
        add("actor.mailbox.depth", number(depth.into()));
    }
    if let Some(peer) = &span.peer {
        add("actor.peer", peer.to_string().into());
    }
    let error = match &span.outcome {
        SpanOutcome::Ok => None,
        SpanOutcome::Panicked(_) => Some("panic".to_owned()),
        SpanOutcome::Failed(fate) => Some(format!("{fate:?}")),
        SpanOutcome::Refused(_) => Some("refused".to_owned()),
        SpanOutcome::Error(_) => Some("error".to_owned()),
        SpanOutcome::Abandoned => Some("abandoned".to_owned()),
    };
    if let Some(error) = error {
        add("error.type", error.into());
    }
    for (key, value) in &span.attributes {
        add(key, value.to_string().into());
    }
    all
}

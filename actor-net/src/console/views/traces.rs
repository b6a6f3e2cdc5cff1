//! `GET /api/v1/traces`, `GET /api/v1/traces/{trace_id}`, and what traces know of an actor.

use std::collections::{BTreeSet, HashSet};
use std::time::SystemTime;

use actor_core::telemetry::TraceList;
use actor_core::trace::{SpanKind, SpanOutcome, SpanRecord};
use actor_core::{ActorId, Fate, SpanStats, SystemRef, TraceId};

use super::{id, ms, ns};
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{
    Failure, Handled, Span, SpanAttribute, SpanLink, Trace, TraceRoot, TraceRow, Traces,
};
use crate::console::query::Query;

/// Traces that are looked through for a text, or for an actor.
const LOOKED_AT: usize = 1000;
/// Spans of one trace that are told.
const SPANS_MAX: usize = 1000;
/// Messages of an actor that are told.
const HANDLED: usize = 50;

pub(in crate::console) async fn traces(shared: &Shared, query: &Query) -> Result<Answer, Wrong> {
    let limit = query.number("limit", 50, 1, 200)?;
    let which = match query.one_of("kind", &["recent", "slow", "failed"])? {
        "slow" => TraceList::Slow,
        "failed" => TraceList::Failed,
        _ => TraceList::Recent,
    };
    let text = query.text("q").map(str::to_lowercase);
    let system = shared.system;
    let answer = tokio::task::spawn_blocking(move || list(system, which, text.as_deref(), limit));
    Ok(json(&answer.await.map_err(gone)?))
}

/// What to do when no traces are to be expected.
pub(super) fn hint(spans: &SpanStats) -> Option<String> {
    let text = if !spans.is_on {
        "tracing is switched off (TracingOptions::off()): build the system without that to record traces"
    } else if spans.sample == 0.0 {
        "no trace that begins here is recorded, only those that come in recorded: set TracingOptions::sample(0.01), or \
         SystemRef::set_sampling(0.01) while it runs, or POST /api/v1/actions/sampling"
    } else {
        return None;
    };
    Some(text.to_owned())
}

fn gone(error: tokio::task::JoinError) -> Wrong {
    Wrong::unavailable(error.to_string(), "the system may be shutting down")
}

fn list(system: SystemRef, which: TraceList, text: Option<&str>, limit: usize) -> Traces {
    let ids = |which| -> HashSet<TraceId> {
        let all = system.traces(which, LOOKED_AT);
        all.iter().map(|it| it.trace_id).collect()
    };
    let (slow, failed) = (ids(TraceList::Slow), ids(TraceList::Failed));
    let mut all = system.traces(which, LOOKED_AT);
    if let Some(text) = text {
        all.retain(|it| {
            it.message.to_lowercase().contains(text)
                || it.actor_type.to_lowercase().contains(text)
                || it.trace_id.to_string() == text
        });
    }
    let total = all.len();
    let items: Vec<TraceRow> = all
        .into_iter()
        .take(limit)
        .map(|it| {
            let spans = system
                .trace(it.trace_id)
                .map_or_else(Vec::new, |trace| trace.spans);
            let nodes: BTreeSet<u8> = spans
                .iter()
                .flat_map(|span| [span.sender_numa_node, span.numa_node])
                .flatten()
                .map(|node| node.0)
                .collect();
            let mut kind = Vec::new();
            if slow.contains(&it.trace_id) {
                kind.push("slow".to_owned());
            }
            if failed.contains(&it.trace_id) {
                kind.push("failed".to_owned());
            }
            TraceRow {
                trace_id: it.trace_id.to_string(),
                root: TraceRoot {
                    actor_type: some(it.actor_type),
                    message: some(it.message),
                    name: it.actor_name.as_deref().map(str::to_owned),
                    actor: spans.first().and_then(|span| span.actor).map(id),
                },
                started_at_ms: ms(it.started),
                duration_ns: ns(it.duration),
                spans: it.spans as u64,
                errors: it.errors as u64,
                wait_ns: ns(it.queue_wait),
                peers: it.peers.iter().map(|peer| peer.to_string()).collect(),
                numa_nodes: nodes.into_iter().collect(),
                crossings: it.crossings as u64,
                kind,
                complete: it.left_out == 0,
            }
        })
        .collect();
    let spans = system.stats().spans;
    Traces {
        sample: spans.sample,
        hint: hint(&spans),
        shown: items.len(),
        truncated: total > items.len(),
        items,
        total: total as u64,
        next: None,
    }
}

pub(in crate::console) async fn trace(shared: &Shared, text: &str) -> Result<Answer, Wrong> {
    let trace_id: TraceId = text.parse().map_err(|_| {
        Wrong::bad(
            format!("{text:?} is no trace's id"),
            "it has 32 hexadecimal digits in lower case, not all 0",
        )
    })?;
    let found = shared.system.trace(trace_id).ok_or_else(|| {
        Wrong::missing(
            format!("the trace {text} is not kept"),
            "only some are, for a while: see /api/v1/traces, and TracingOptions",
        )
    })?;
    let summary = &found.summary;
    let spans = found.spans.iter().take(SPANS_MAX);
    Ok(json(&Trace {
        trace_id: trace_id.to_string(),
        started_at_ms: ms(summary.started),
        duration_ns: ns(summary.duration),
        complete: summary.left_out == 0 && found.spans.len() <= SPANS_MAX,
        dropped: (summary.left_out + found.spans.len().saturating_sub(SPANS_MAX)) as u64,
        spans: spans.map(|record| span(record, summary.started)).collect(),
    }))
}

fn span(record: &SpanRecord, beginning: SystemTime) -> Span {
    let waits = matches!(record.kind, SpanKind::Handle | SpanKind::Forward);
    Span {
        span_id: record.span_id().to_string(),
        parent_id: record.parent.map(|parent| parent.to_string()),
        kind: record.kind.to_string(),
        actor: record.actor.map(id),
        actor_type: some(record.actor_type),
        name: record.actor_name.as_deref().map(str::to_owned),
        message: some(record.message),
        sent_ns: waits.then(|| since(record.sent(), beginning)),
        start_ns: since(record.started, beginning),
        end_ns: since(record.ended(), beginning),
        wait_ns: waits.then(|| ns(record.queue_wait)),
        numa_from: record.sender_numa_node.map(|node| node.0),
        numa_to: record.numa_node.map(|node| node.0),
        worker: record.worker.map(|worker| worker.0),
        sender: record.sender.map(id),
        depth: record.mailbox_depth.map(u64::from),
        restarts: Some(record.restarts),
        peer: record.peer.as_deref().map(str::to_owned),
        attributes: record
            .attributes
            .iter()
            .map(|(key, value)| SpanAttribute {
                key: (*key).to_owned(),
                value: value.to_string(),
            })
            .collect(),
        links: record
            .link
            .iter()
            .map(|link| SpanLink {
                trace_id: link.trace_id.to_string(),
                span_id: link.span_id.to_string(),
            })
            .collect(),
        outcome: outcome(&record.outcome).to_owned(),
        error: record.is_error().then(|| record.outcome.to_string()),
    }
}

/// Clocks of peers differ: what began before the beginning has a minus.
fn since(at: SystemTime, beginning: SystemTime) -> i64 {
    let clamp = |nanos: u128| i64::try_from(nanos).unwrap_or(i64::MAX);
    match at.duration_since(beginning) {
        Ok(after) => clamp(after.as_nanos()),
        Err(before) => -clamp(before.duration().as_nanos()),
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn outcome(outcome: &SpanOutcome) -> &'static str {
    match outcome {
        SpanOutcome::Ok => "ok",
        SpanOutcome::Panicked(_) => "panicked",
        SpanOutcome::Refused(_) => "refused",
        SpanOutcome::Abandoned => "abandoned",
        SpanOutcome::Failed(fate) => match fate {
            Fate::Expired => "expired",
            Fate::Cancelled => "cancelled",
            Fate::Panicked => "panicked",
            Fate::Interrupted => "interrupted",
            Fate::Abandoned => "abandoned",
            Fate::NoReply => "no_reply",
            Fate::Oldest | Fate::Newest | Fate::NoRoom => "refused",
            Fate::ActorStopped
            | Fate::PeerGone
            | Fate::NotExported
            | Fate::TooLarge
            | Fate::Unreachable => "dead_letter",
            _ => "failed",
        },
        _ => "failed",
    }
}

/// What traces know of one actor.
#[derive(Debug, Default)]
pub(super) struct HandledBy {
    pub(super) recent: Vec<Handled>,
    pub(super) last_failure: Option<Failure>,
}

pub(super) async fn handled_by(shared: &Shared, actor: ActorId) -> HandledBy {
    let system = shared.system;
    let looking = tokio::task::spawn_blocking(move || look_through(system, actor));
    // Only the end of the system ends it.
    looking.await.unwrap_or_default()
}

fn look_through(system: SystemRef, actor: ActorId) -> HandledBy {
    let mut seen = HashSet::new();
    let mut spans = Vec::new();
    for which in [TraceList::Recent, TraceList::Failed] {
        for summary in system.traces(which, LOOKED_AT) {
            if !seen.insert(summary.trace_id) {
                continue;
            }
            let found = system.trace(summary.trace_id);
            let of_it = found.map_or_else(Vec::new, |trace| trace.spans);
            spans.extend(of_it.into_iter().filter(|span| {
                span.actor == Some(actor) && matches!(span.kind, SpanKind::Handle | SpanKind::Timer)
            }));
        }
    }
    spans.sort_by_key(|span| std::cmp::Reverse(span.started));
    let failed = spans.iter().find(|span| span.is_error());
    HandledBy {
        last_failure: failed.map(|span| Failure {
            at_ms: ms(span.ended()),
            message: some(span.message),
            error: span.outcome.to_string(),
            trace_id: Some(span.trace_id().to_string()),
        }),
        recent: spans
            .iter()
            .take(HANDLED)
            .map(|span| Handled {
                at_ms: ms(span.started),
                message: some(span.message),
                wait_ns: Some(ns(span.queue_wait)),
                handle_ns: ns(span.duration),
                outcome: outcome(&span.outcome).to_owned(),
                trace_id: Some(span.trace_id().to_string()),
                span_id: Some(span.span_id().to_string()),
            })
            .collect(),
    }
}

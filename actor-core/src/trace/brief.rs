//! A span as a worker writes it down: numbers, and references that cost nothing to copy. The collector makes the
//! record of it that others get.
//!
//! That is the span of what went as it should. One that failed, or whose trace has a `tracestate`, is made
//! into a record at once: these have text.

use std::sync::Arc;
use std::time::Duration;

use super::record::{SpanKind, SpanLink, SpanOutcome, SpanRecord};
use super::spans::Spans;
use super::w3c::{SpanId, TraceContext, TraceFlags, TraceId};
use crate::clock::Tick;
use crate::id::{ActorId, NumaNodeId, WorkerId};

/// See the module. What is `None` or 0 in most spans is so here.
#[derive(Clone, Debug)]
pub(crate) struct Brief {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) flags: TraceFlags,
    pub(crate) kind: SpanKind,
    pub(crate) parent: Option<SpanId>,
    pub(crate) link: Option<SpanLink>,
    /// Of what waited.
    pub(crate) sent: Option<Tick>,
    pub(crate) started: Tick,
    pub(crate) ended: Tick,
    pub(crate) actor: ActorId,
    pub(crate) actor_type: &'static str,
    pub(crate) actor_name: Option<Arc<str>>,
    pub(crate) message: &'static str,
    pub(crate) sender: Option<ActorId>,
    pub(crate) sender_numa_node: Option<NumaNodeId>,
    pub(crate) numa_node: Option<NumaNodeId>,
    pub(crate) worker: Option<WorkerId>,
    pub(crate) mailbox_depth: Option<u32>,
    pub(crate) restarts: u64,
    pub(crate) peer: Option<Arc<str>>,
}

impl Brief {
    /// In full, with what only some spans have.
    pub(crate) fn record(
        self,
        tracestate_of: Option<&TraceContext>,
        outcome: SpanOutcome,
        spans: &Spans,
    ) -> SpanRecord {
        let trace = tracestate_of.map_or_else(
            || TraceContext::new(self.trace_id, self.span_id, self.flags),
            |trace| trace.with_span(self.span_id),
        );
        SpanRecord {
            parent: self.parent,
            link: self.link,
            actor: Some(self.actor),
            actor_type: self.actor_type,
            actor_name: self.actor_name,
            sender: self.sender,
            duration: self.started.until(self.ended),
            queue_wait: self
                .sent
                .map_or(Duration::ZERO, |sent| sent.until(self.started)),
            sender_numa_node: self.sender_numa_node,
            numa_node: self.numa_node,
            worker: self.worker,
            mailbox_depth: self.mailbox_depth,
            restarts: self.restarts,
            peer: self.peer,
            outcome,
            ..SpanRecord::new(
                trace,
                self.kind,
                self.message,
                spans.time_of_day(self.started),
            )
        }
    }
}

// What a worker copies for each message of a recorded trace.
const _: () = assert!(size_of::<Brief>() <= 256);

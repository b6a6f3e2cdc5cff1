//! The spans of messages whose trace is recorded.
//!
//! A message of a sampled trace has a context block of its own, in which its *hop* stands: when and from
//! where it was sent, and under which span. When its handler begins, the handler's context takes its place in the
//! node: the same deadline, cancellation and baggage, but its span is the handler's. So whatever a handler does
//! (tells, asks, timers, tasks, streams, work that blocks, over all of its awaits) finds its parent in
//! force, and none of them has to know of spans.
//!
//! ```text
//!   asker's span S         ask C (parent S)           handler H (parent C)
//!   in force  ──depart──>  message: trace C, Sent ──begin──> in force: trace H, Open ──end──> recorded
//! ```
//!
//! An ask's own span C is written down by the asker, when it has the reply (`Call`).
//!
//! All of this is for sampled messages only, and apart from the way of all others: those pay the null check
//! on their context that they had to pay before.

use std::mem;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::envelope::context_of;
use super::message_context::Context;
use super::proxy::peer_of;
use crate::cell::recent::Culprit;
use crate::cell::{Begin, Cause, CellRef, Local, Runtime, SpanHooks, current_cell, is_at_work};
use crate::clock::Tick;
use crate::id::{ActorId, NumaNodeId};
use crate::mailbox::node::{Fate, Node};
use crate::memory;
use crate::trace::{SpanId, SpanKind, SpanLink, SpanOutcome, SpanRecord, TellSpans, TraceContext};

/// Beside its context: what one message or one handling of a sampled trace knows of itself.
pub(super) enum Hop {
    /// Come from that peer, and not sent to an actor yet.
    Came(Arc<str>),
    Sent(Sent),
    Open(Open),
}

impl Hop {
    fn sent(&self) -> Option<&Sent> {
        match self {
            Self::Sent(sent) => Some(sent),
            Self::Came(_) | Self::Open(_) => None,
        }
    }
}

/// A message on its way.
pub(super) struct Sent {
    at: Tick,
    sender: Option<ActorId>,
    numa_node: Option<NumaNodeId>,
    /// Of the handling.
    parent: Option<SpanId>,
    link: Option<SpanLink>,
    /// Of the ask that this is the message of: what it is under.
    asked: Option<Option<SpanId>>,
    /// Where it comes from, if that is another peer.
    peer: Option<Arc<str>>,
}

/// A handling that goes on, or is over.
pub(super) struct Open {
    /// Whose: a context travels, and others come by it.
    node: usize,
    begun: Mutex<Option<Box<Begun>>>,
}

struct Begun {
    record: SpanRecord,
    at: Tick,
    runtime: &'static Runtime,
    /// The message's own context, to be put back.
    message: Context,
    /// The handler has a handle for its answer, and the work lasts until both are done.
    has_reply: bool,
}

impl Open {
    /// The handler is done, or the answer given; the span ends with the last of them.
    fn end(&self, outcome: SpanOutcome) {
        let mut slot = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(begun) = &mut *slot else {
            return;
        };
        let before = &mut begun.record.outcome;
        // A handle says that there was a panic, the turn says which.
        if !before.is_error() || matches!(outcome, SpanOutcome::Panicked(_)) {
            *before = outcome;
        }
        if mem::take(&mut begun.has_reply) {
            return;
        }
        let begun = slot.take();
        drop(slot);
        if let Some(begun) = begun {
            let Begun {
                mut record,
                at,
                runtime,
                ..
            } = *begun;
            record.duration = at.until(Tick::now());
            runtime.spans().push(Box::new(record));
        }
    }
}

/// The span of work that is no message, while it goes on.
pub(super) struct WorkSpan {
    pub(super) record: Box<SpanRecord>,
    at: Tick,
    runtime: &'static Runtime,
    context: Context,
}

impl WorkSpan {
    /// What is to be in force in the work.
    pub(super) const fn context(&self) -> &Context {
        &self.context
    }

    /// The actor that is at work fails on it.
    pub(super) fn blame(&self) {
        blame(self.record.message, self.record.trace.clone());
    }

    pub(super) fn end(mut self, outcome: SpanOutcome) {
        self.record.duration = self.at.until(Tick::now());
        self.record.outcome = outcome;
        self.runtime.spans().push(self.record);
    }
}

/// How a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    /// Nobody waits.
    Tell,
    /// Somebody waits for the reply.
    Ask,
    /// By an actor to itself, or in the place of another message.
    Own,
}

impl Context {
    /// The context of a message that is sent with this one: of a sampled trace with the hop's beginning. Where
    /// work comes in from outside without a trace, it is decided here whether it begins one.
    #[inline(always)]
    pub(super) fn departing(self, verb: Verb, runtime: &'static Runtime) -> Self {
        if self.is_empty() && (Local::current().is_some() || !runtime.spans().may_begin()) {
            return self;
        }
        self.depart(verb, runtime)
    }

    #[cold]
    #[inline(never)]
    fn depart(self, verb: Verb, runtime: &'static Runtime) -> Self {
        let spans = runtime.spans();
        let Some(trace) = self.trace() else {
            // Inside it was decided where the work came in.
            if is_at_work() || !spans.begins() {
                return self;
            }
            return self.leave(TraceContext::new_root(true), None, verb, None);
        };
        if !trace.is_sampled() || !spans.is_on() {
            return self;
        }
        if let Some(Hop::Sent(_)) = self.hop() {
            return self;
        }
        let sending = Some(trace.span_id());
        if verb != Verb::Tell {
            return self.leave(trace.clone(), sending, verb, None);
        }
        let link = Some(SpanLink::to(trace));
        match spans.tell_spans() {
            TellSpans::Child => self.leave(trace.clone(), sending, verb, None),
            TellSpans::Linked => self.leave(trace.clone(), sending, verb, link),
            TellSpans::NewTrace => self.leave(TraceContext::new_root(true), None, verb, link),
        }
    }

    /// `sending`: the span that sends; `None` at a root.
    fn leave(
        &self,
        trace: TraceContext,
        sending: Option<SpanId>,
        verb: Verb,
        link: Option<SpanLink>,
    ) -> Self {
        let is_ask = verb == Verb::Ask;
        let trace = if is_ask { trace.child() } else { trace };
        let sent = Sent {
            at: Tick::now(),
            sender: current_cell().map(CellRef::id),
            numa_node: Local::current().map(|local| NumaNodeId(local.arena())),
            parent: if is_ask {
                Some(trace.span_id())
            } else {
                sending
            },
            link,
            asked: is_ask.then_some(sending),
            peer: match self.hop() {
                Some(Hop::Came(peer)) => Some(peer.clone()),
                _ => None,
            },
        };
        self.with_hop(trace, Hop::Sent(sent))
    }

    /// As `departing`, for work that an actor has done elsewhere.
    pub(super) fn departing_within(self, runtime: &'static Runtime) -> Self {
        if self.is_empty() {
            return self;
        }
        self.departing(Verb::Own, runtime)
    }

    /// Begins the span of work that is no message, if the trace is recorded.
    pub(super) fn begin_work(
        &self,
        runtime: &'static Runtime,
        kind: SpanKind,
        what: &'static str,
        actor: Option<ActorId>,
    ) -> Option<WorkSpan> {
        let spans = runtime.spans();
        let trace = self
            .trace()
            .filter(|trace| trace.is_sampled() && spans.is_on())?;
        let sent = self.hop().and_then(Hop::sent);
        let (own, at) = (trace.child(), Tick::now());
        let local = Local::current();
        let record = SpanRecord {
            parent: sent.map_or_else(|| Some(trace.span_id()), |sent| sent.parent),
            actor,
            actor_type: actor
                .and_then(|id| CellRef::of(id).type_name_of(id.generation()))
                .unwrap_or_default(),
            sender: sent.and_then(|sent| sent.sender),
            queue_wait: sent.map(|sent| sent.at.until(at)).unwrap_or_default(),
            sender_numa_node: sent.and_then(|sent| sent.numa_node),
            numa_node: local
                .map(Local::arena)
                .or_else(memory::here)
                .map(NumaNodeId),
            worker: local.and_then(Local::worker_id),
            ..SpanRecord::new(own.clone(), kind, what, spans.time_of_day(at))
        };
        Some(WorkSpan {
            record: Box::new(record),
            at,
            runtime,
            context: self.with_trace(own),
        })
    }

    /// The same, come from that peer: the span of what handles it says so.
    #[must_use]
    pub fn from_peer(&self, peer: &Arc<str>) -> Self {
        match self.trace() {
            Some(trace) if trace.is_sampled() => {
                self.with_hop(trace.clone(), Hop::Came(peer.clone()))
            }
            _ => self.clone(),
        }
    }

    /// For a tick of an interval that was begun with this context. Who begins an interval does not wait for its
    /// ticks, and they may go on for ever: each begins a trace of its own, decided on like what comes in from
    /// outside, and linked to what began the interval. `due`: when it is to come.
    #[inline(always)]
    pub(super) fn of_tick(&self, runtime: &'static Runtime, due: Tick, actor: ActorId) -> Self {
        if self.is_empty() && !runtime.spans().may_begin() {
            return Self::empty();
        }
        self.of_recorded_tick(runtime, due, actor)
    }

    #[cold]
    fn of_recorded_tick(&self, runtime: &'static Runtime, due: Tick, actor: ActorId) -> Self {
        let spans = runtime.spans();
        if !spans.is_on() {
            return self.clone();
        }
        let by = self.trace().filter(|trace| trace.is_sampled());
        if spans.begins() {
            let sent = Sent {
                at: due,
                sender: Some(actor),
                numa_node: None,
                parent: None,
                link: by.map(SpanLink::to),
                asked: None,
                peer: None,
            };
            return self.with_hop(TraceContext::new_root(true), Hop::Sent(sent));
        }
        match by {
            Some(_) => self.with_trace(TraceContext::new_root(false)),
            None => self.clone(),
        }
    }

    /// The context that the message came with, of a handling that goes on: for what comes again on its own.
    pub(super) fn before_handling(&self) -> Self {
        let Some(Hop::Open(open)) = self.hop() else {
            return self.clone();
        };
        let begun = open.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun
            .as_ref()
            .map_or_else(|| self.clone(), |begun| begun.message.clone())
    }

    /// An ask with this context is over: writes its span down, if it has one.
    #[cold]
    #[inline(never)]
    pub(super) fn ask_over(
        &self,
        runtime: &'static Runtime,
        target: ActorId,
        (actor_type, message): (&'static str, &'static str),
        outcome: SpanOutcome,
    ) {
        let (Some(Hop::Sent(sent)), Some(trace)) = (self.hop(), self.trace()) else {
            return;
        };
        let Some(parent) = sent.asked else {
            return;
        };
        let spans = runtime.spans();
        let started = spans.time_of_day(sent.at);
        spans.push(Box::new(SpanRecord {
            parent,
            actor: Some(target),
            actor_type,
            sender: sent.sender,
            sender_numa_node: sent.numa_node,
            duration: sent.at.until(Tick::now()),
            outcome,
            ..SpanRecord::new(trace.clone(), SpanKind::Ask, message, started)
        }));
    }
}

/// The actor that is at work fails in a task that a handling has left, whose span says so.
pub(super) fn blame_for(work: &Context) {
    let Some((Hop::Open(open), trace)) = work.hop().zip(work.trace()) else {
        return;
    };
    let message = {
        let begun = open.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.as_ref().map_or("", |begun| begun.record.message)
    };
    blame(message, trace.clone());
}

fn blame(message: &'static str, trace: TraceContext) {
    let culprit = Culprit {
        message: Some(message),
        trace: Some(trace),
        has_span: true,
    };
    if let Some(cell) = current_cell() {
        // SAFETY: what is polled in an actor is polled by the owner of the cell at work.
        unsafe { cell.set_blame(culprit) };
    }
}

/// What the turn calls on messages with such a context.
pub(super) static HOOKS: SpanHooks = SpanHooks {
    begin,
    put_back,
    end,
    cause: cause_in,
    lost,
};

unsafe fn begin(node: NonNull<Node>, begin: &Begin) {
    // SAFETY: by `SpanHooks::begin`.
    let (context, internal, message) = unsafe {
        let head = node.as_ref();
        (
            context_of(node),
            head.meta.internal,
            (head.vtable.message)(),
        )
    };
    let spans = begin.runtime.spans();
    let Some(trace) = context.trace().filter(|_| spans.is_on()) else {
        return;
    };
    let now = Tick::now();
    let sent = context.hop().and_then(Hop::sent);
    let kind = if begin.is_forward {
        SpanKind::Forward
    } else if internal {
        SpanKind::Timer
    } else {
        SpanKind::Handle
    };
    let peer = if begin.is_forward {
        // SAFETY: by `SpanHooks::begin` the caller owns the cell, which only a proxy's turn forwards from.
        unsafe { peer_of(begin.cell) }
    } else {
        sent.and_then(|sent| sent.peer.clone())
    };
    let own = trace.child();
    let record = SpanRecord {
        parent: sent.map_or_else(|| Some(trace.span_id()), |sent| sent.parent),
        link: sent.and_then(|sent| sent.link),
        actor: Some(begin.cell.id()),
        actor_type: begin.actor_type,
        actor_name: begin.actor_name.clone(),
        sender: sent.and_then(|sent| sent.sender),
        queue_wait: match sent {
            // A timer's message is sent when it is handled.
            Some(sent) if !internal => sent.at.until(now),
            _ => Duration::ZERO,
        },
        sender_numa_node: sent.and_then(|sent| sent.numa_node),
        numa_node: Some(NumaNodeId(begin.arena)),
        worker: begin.worker,
        mailbox_depth: Some(begin.left),
        restarts: begin.restarts,
        peer,
        ..SpanRecord::new(own.clone(), kind, message, spans.time_of_day(now))
    };
    let begun = Begun {
        record,
        at: now,
        runtime: begin.runtime,
        // The node's count goes along: from here on the handler's context is in its place.
        message: (*context).clone(),
        has_reply: false,
    };
    let open = Open {
        node: node.as_ptr().addr(),
        begun: Mutex::new(Some(Box::new(begun))),
    };
    let handling = context.with_hop(own, Hop::Open(open));
    // SAFETY: by `SpanHooks::begin`.
    unsafe { exchange(node, handling) };
}

/// # Safety
///
/// The caller owns the node.
unsafe fn exchange(node: NonNull<Node>, context: Context) {
    // SAFETY: by the caller; the node's count of the context before is given back.
    unsafe {
        let slot = &raw mut (*node.as_ptr()).context;
        let before = mem::replace(&mut *slot, context.into_raw());
        drop(Context::from_raw(before));
    }
}

/// What `begin` has left in the node; `None` if that was not called on it, or it is over.
///
/// # Safety
///
/// The caller owns the node.
unsafe fn take_begun(node: NonNull<Node>) -> Option<Box<Begun>> {
    // SAFETY: by the caller.
    let context = unsafe { context_of(node) };
    open_of(&context, node)?
        .begun
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()
}

fn open_of(context: &Context, node: NonNull<Node>) -> Option<&Open> {
    match context.hop() {
        Some(Hop::Open(open)) if open.node == node.as_ptr().addr() => Some(open),
        _ => None,
    }
}

unsafe fn put_back(node: NonNull<Node>) {
    // SAFETY: by `SpanHooks::put_back`.
    unsafe {
        if let Some(begun) = take_begun(node) {
            exchange(node, begun.message);
        }
    }
}

unsafe fn end(node: NonNull<Node>, outcome: SpanOutcome) {
    // SAFETY: by `SpanHooks::end`.
    let context = unsafe { context_of(node) };
    if let Some(open) = open_of(&context, node) {
        open.end(outcome);
    }
}

/// The handler of that message gets a handle for its answer: the span ends when both are done. What has to be
/// told then, or an empty context, if it is not recorded.
///
/// # Safety
///
/// The caller owns the node, which is being handled and has a context.
#[cold]
pub(super) unsafe fn keep_open(node: NonNull<Node>) -> Context {
    // SAFETY: by the caller; a context behind a stamp is none of ours, and has no hop.
    let context = unsafe { context_of(node) };
    let Some(open) = open_of(&context, node) else {
        return Context::empty();
    };
    match &mut *open.begun.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(begun) => begun.has_reply = true,
        None => return Context::empty(),
    }
    Context::clone(&context)
}

/// The answer is given, or never will be: of what `keep_open` gave.
#[cold]
pub(super) fn reply_given(work: &Context, outcome: SpanOutcome) {
    if let Some(Hop::Open(open)) = work.hop() {
        open.end(outcome);
    }
}

unsafe fn lost(node: NonNull<Node>, runtime: &'static Runtime, target: ActorId, fate: Fate) {
    // SAFETY: by `SpanHooks::lost`.
    let (context, message) = unsafe { (context_of(node), (node.as_ref().vtable.message)()) };
    let spans = runtime.spans();
    let Some(trace) = context.trace().filter(|_| spans.is_on()) else {
        return;
    };
    if open_of(&context, node).is_some() {
        return;
    }
    let sent = context.hop().and_then(Hop::sent);
    let now = Tick::now();
    spans.push(Box::new(SpanRecord {
        parent: sent.map_or_else(|| Some(trace.span_id()), |sent| sent.parent),
        link: sent.and_then(|sent| sent.link),
        actor: Some(target),
        sender: sent.and_then(|sent| sent.sender),
        queue_wait: sent.map(|sent| sent.at.until(now)).unwrap_or_default(),
        sender_numa_node: sent.and_then(|sent| sent.numa_node),
        peer: sent.and_then(|sent| sent.peer.clone()),
        outcome: SpanOutcome::Failed(fate),
        ..SpanRecord::new(
            trace.child(),
            SpanKind::Handle,
            message,
            spans.time_of_day(now),
        )
    }));
}

unsafe fn cause_in(node: NonNull<Node>) -> Option<Cause> {
    // SAFETY: by `SpanHooks::cause`.
    let context = unsafe { context_of(node) };
    Some(Box::new(context.without_deadline()))
}

/// The trace of a context.
///
/// # Safety
///
/// It is alive, or null.
pub(super) unsafe fn trace_of(context: *mut ()) -> Option<TraceContext> {
    // SAFETY: by the caller.
    let context = unsafe { Context::borrow_raw(context) };
    context.trace().cloned()
}

//! The spans of messages whose trace is recorded.
//!
//! A message of a sampled trace has a context block of its own, in which its *hop* stands: when and from
//! where it was sent, and under which span. When its handler begins, the handler's context takes its place in the
//! node: the same deadline, cancellation and baggage, but its span is the handler's. If nobody else has the message's
//! context, which is so for a tell, it is made into the handler's, without another block. So whatever a handler does
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
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};

use super::envelope::context_of;
use super::message_context::Context;
use super::proxy::peer_of;
use crate::cell::recent::Culprit;
use crate::cell::{Begin, Cause, CellRef, Local, Runtime, SpanHooks, current_cell, is_at_work};
use crate::clock::Tick;
use crate::id::{ActorId, NumaNodeId, WorkerId};
use crate::mailbox::node::{Fate, Node};
use crate::memory;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::trace::{
    Brief, SpanId, SpanKind, SpanLink, SpanOutcome, SpanRecord, TellSpans, TraceContext,
};

/// Behind its context: what one message or one handling of a sampled trace knows of itself.
pub(super) struct Hop {
    /// Where it comes from, if that is another peer.
    pub(super) peer: Option<Arc<str>>,
    /// Of a message: how it was sent; none if it has only come from a peer by now. Of a handling: as its message.
    pub(super) sent: Option<Sent>,
    /// Of a handling.
    pub(super) open: Option<Open>,
}

impl Hop {
    /// Of a message that is on its way.
    fn sent(&self) -> Option<&Sent> {
        self.sent.as_ref().filter(|_| self.open.is_none())
    }

    /// Of a message too.
    fn came_from(&self) -> Option<&Arc<str>> {
        self.peer.as_ref().filter(|_| self.open.is_none())
    }
}

/// A message on its way.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    at: Tick,
    /// What its context names: of an ask its own span, otherwise the one that sends.
    span: SpanId,
    sender: Option<ActorId>,
    numa_node: Option<NumaNodeId>,
    /// Of the handling.
    parent: Option<SpanId>,
    link: Option<SpanLink>,
    /// Of the ask that this is the message of: what it is under.
    asked: Option<Option<SpanId>>,
}

/// A handling that goes on, or is over.
pub(super) struct Open {
    /// Whose: a context travels, and others come by it.
    node: usize,
    is_over: AtomicBool,
    /// The handler has a handle for its answer, and the work lasts until both are done. Set before anybody else can
    /// have that handle.
    has_reply: AtomicBool,
    /// With a handle: how what was done first has ended.
    first: Mutex<Option<SpanOutcome>>,
    at: Tick,
    /// Since when the message waited, if it did.
    waited_since: Option<Tick>,
    kind: SpanKind,
    parent: Option<SpanId>,
    actor: ActorId,
    actor_type: &'static str,
    actor_name: Option<Arc<str>>,
    message_type: &'static str,
    numa_node: NumaNodeId,
    worker: Option<WorkerId>,
    mailbox_depth: u32,
    restarts: u64,
    peer: Option<Arc<str>>,
    runtime: &'static Runtime,
    /// The message's own context, to be put back. None: this one was it, and is again when the span goes back to
    /// what the message was sent with.
    message: Option<Context>,
}

impl Open {
    // Relaxed, all: without a handle only the owner of the node comes here, with one the lock is around it.
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn set_over(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// The handler is done, or the answer given. The outcome, if that was the last of them.
    #[inline(always)]
    fn end(&self, outcome: SpanOutcome) -> Option<SpanOutcome> {
        // Relaxed: who got a handle got it after this was set.
        if self.has_reply.load(Ordering::Relaxed) {
            return self.end_part(outcome);
        }
        if self.is_over() {
            return None;
        }
        self.set_over();
        Some(outcome)
    }

    #[cold]
    fn end_part(&self, outcome: SpanOutcome) -> Option<SpanOutcome> {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_over() {
            return None;
        }
        let Some(before) = first.take() else {
            *first = Some(outcome);
            return None;
        };
        self.set_over();
        // A handle says that there was a panic, the turn says which.
        let is_better = !before.is_error() || matches!(outcome, SpanOutcome::Panicked(_));
        Some(if is_better { outcome } else { before })
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
        if self.hop().and_then(Hop::sent).is_some() {
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
        let local = Local::current();
        let sent = Sent {
            at: Tick::now(),
            span: trace.span_id(),
            sender: local.and_then(Local::cell).map(CellRef::id),
            numa_node: local.map(|local| NumaNodeId(local.arena())),
            parent: if is_ask {
                Some(trace.span_id())
            } else {
                sending
            },
            link,
            asked: is_ask.then_some(sending),
        };
        let peer = self.hop().and_then(Hop::came_from).cloned();
        self.with_hop(trace, peer, Some(sent), None)
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
                self.with_hop(trace.clone(), Some(peer.clone()), None, None)
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
            let root = TraceContext::new_root(true);
            let sent = Sent {
                at: due,
                span: root.span_id(),
                sender: Some(actor),
                numa_node: None,
                parent: None,
                link: by.map(SpanLink::to),
                asked: None,
            };
            return self.with_hop(root, None, Some(sent), None);
        }
        match by {
            Some(_) => self.with_trace(TraceContext::new_root(false)),
            None => self.clone(),
        }
    }

    /// The context that the message came with, of a handling that goes on: for what comes again on its own.
    pub(super) fn before_handling(&self) -> Self {
        let Some((hop, trace)) = self.hop().zip(self.trace()) else {
            return self.clone();
        };
        let Some(open) = hop.open.as_ref().filter(|open| !open.is_over()) else {
            return self.clone();
        };
        match (&open.message, hop.sent) {
            (Some(message), _) => message.clone(),
            (None, Some(sent)) => self.with_hop(
                trace.with_span(sent.span),
                hop.peer.clone(),
                Some(sent),
                None,
            ),
            (None, None) => self.clone(),
        }
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
        let (Some(sent), Some(trace)) = (self.hop().and_then(Hop::sent), self.trace()) else {
            return;
        };
        let Some(parent) = sent.asked else {
            return;
        };
        let brief = || Brief {
            trace_id: trace.trace_id(),
            span_id: trace.span_id(),
            flags: trace.flags(),
            kind: SpanKind::Ask,
            parent,
            link: None,
            sent: None,
            started: sent.at,
            ended: Tick::now(),
            actor: target,
            actor_type,
            actor_name: None,
            message,
            sender: sent.sender,
            sender_numa_node: sent.numa_node,
            numa_node: None,
            worker: None,
            mailbox_depth: None,
            restarts: 0,
            peer: None,
        };
        hand_in(runtime, brief, trace, outcome);
    }

    /// A part of the handling with this context is over: writes its span down, if it was the last.
    fn part_over(&self, outcome: SpanOutcome) {
        let (Some(hop), Some(trace)) = (self.hop(), self.trace()) else {
            return;
        };
        let Some(open) = &hop.open else {
            return;
        };
        let Some(outcome) = open.end(outcome) else {
            return;
        };
        let sent = hop.sent.as_ref();
        let brief = || Brief {
            trace_id: trace.trace_id(),
            span_id: trace.span_id(),
            flags: trace.flags(),
            kind: open.kind,
            parent: open.parent,
            link: sent.and_then(|sent| sent.link),
            sent: open.waited_since,
            started: open.at,
            ended: Tick::now(),
            actor: open.actor,
            actor_type: open.actor_type,
            actor_name: open.actor_name.clone(),
            message: open.message_type,
            sender: sent.and_then(|sent| sent.sender),
            sender_numa_node: sent.and_then(|sent| sent.numa_node),
            numa_node: Some(open.numa_node),
            worker: open.worker,
            mailbox_depth: Some(open.mailbox_depth),
            restarts: open.restarts,
            peer: open.peer.clone(),
        };
        hand_in(open.runtime, brief, trace, outcome);
    }
}

/// Gives a span that has ended to the collector. `brief` is made in the place where the collector finds it.
#[inline(always)]
fn hand_in(
    runtime: &'static Runtime,
    brief: impl FnOnce() -> Brief,
    trace: &TraceContext,
    outcome: SpanOutcome,
) {
    if outcome.is_error() || trace.tracestate().is_some() {
        hand_in_full(runtime, brief(), trace, outcome);
        return;
    }
    match Local::current().filter(|local| ptr::eq(local.runtime(), runtime)) {
        Some(local) => local.push_span(brief),
        None => runtime.spans().push_brief(brief()),
    }
}

/// With its text.
#[cold]
fn hand_in_full(
    runtime: &'static Runtime,
    brief: Brief,
    trace: &TraceContext,
    outcome: SpanOutcome,
) {
    let spans = runtime.spans();
    spans.push(Box::new(brief.record(Some(trace), outcome, spans)));
}

/// The actor that is at work fails in a task that a handling has left, whose span says so.
pub(super) fn blame_for(work: &Context) {
    if let Some((hop, trace)) = work.hop().zip(work.trace())
        && let Some(open) = &hop.open
    {
        blame(open.message_type, trace.clone());
    }
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

unsafe fn begin(node: NonNull<Node>, begin: Begin) {
    // SAFETY: by `SpanHooks::begin`.
    let (context, internal, message_type) = unsafe {
        let head = node.as_ref();
        (
            context_of(node),
            head.meta.internal,
            (head.vtable.message)(),
        )
    };
    let Some(trace) = context.trace().filter(|_| begin.runtime.spans().is_on()) else {
        return;
    };
    let kind = if begin.is_forward {
        SpanKind::Forward
    } else if internal {
        SpanKind::Timer
    } else {
        SpanKind::Handle
    };
    let sent = context.hop().and_then(Hop::sent).copied();
    let peer = if begin.is_forward {
        // SAFETY: by `SpanHooks::begin` the caller owns the cell, which only a proxy's turn forwards from.
        unsafe { peer_of(begin.cell) }
    } else if sent.is_some() {
        context.hop().and_then(Hop::came_from).cloned()
    } else {
        None
    };
    let own = SpanId::random();
    let mut open = Open {
        node: node.as_ptr().addr(),
        is_over: AtomicBool::new(false),
        has_reply: AtomicBool::new(false),
        first: Mutex::new(None),
        at: Tick::now(),
        // A timer's message is sent when it is handled.
        waited_since: sent.filter(|_| !internal).map(|sent| sent.at),
        kind,
        parent: sent.map_or_else(|| Some(trace.span_id()), |sent| sent.parent),
        actor: begin.cell.id(),
        actor_type: begin.actor_type,
        actor_name: begin.actor_name,
        message_type,
        numa_node: NumaNodeId(begin.arena),
        worker: begin.worker,
        mailbox_depth: begin.left,
        restarts: begin.restarts,
        peer,
        runtime: begin.runtime,
        message: None,
    };
    // SAFETY: by `SpanHooks::begin` the node's count is ours, and what was borrowed above is not used any more.
    if let Some(alone) = unsafe { context.alone() }
        && alone.hop.sent().is_some()
        && let Some(trace) = alone.trace
    {
        // Nobody else has the message's context, so it becomes the handler's.
        trace.set_span(own);
        alone.hop.open = Some(open);
        return;
    }
    let Some(own) = context.trace().map(|trace| trace.with_span(own)) else {
        return;
    };
    // SAFETY: by `SpanHooks::begin`; the count goes from the node to `open`, and the node gets another context.
    unsafe {
        open.message = Some(Context::from_raw(context.as_raw()));
        let handling = context.with_hop(own, None, sent, Some(open));
        (*node.as_ptr()).context = handling.into_raw();
    }
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

/// What `begin` has left in that node's context, whether it is over or not; `None` if that was not called on it.
fn open_of(context: &Context, node: NonNull<Node>) -> Option<&Open> {
    let open = context.hop()?.open.as_ref()?;
    (open.node == node.as_ptr().addr()).then_some(open)
}

unsafe fn put_back(node: NonNull<Node>) {
    // SAFETY: by `SpanHooks::put_back`.
    let context = unsafe { context_of(node) };
    let Some(open) = open_of(&context, node).filter(|open| !open.is_over()) else {
        return;
    };
    let is_own = open.message.is_none();
    let sent = context.hop().and_then(|hop| hop.sent);
    // SAFETY: by `SpanHooks::put_back` the node's count is ours, and what was borrowed above is not used any more.
    unsafe {
        if is_own
            && let Some(alone) = context.alone()
            && let (Some(trace), Some(sent)) = (alone.trace, sent)
        {
            trace.set_span(sent.span);
            alone.hop.open = None;
            return;
        }
        // Others have it: they keep it.
        let message = context.before_handling();
        if let Some(open) = open_of(&context, node) {
            open.set_over();
        }
        exchange(node, message);
    }
}

unsafe fn end(node: NonNull<Node>, outcome: SpanOutcome) {
    // SAFETY: by `SpanHooks::end`.
    let context = unsafe { context_of(node) };
    if open_of(&context, node).is_some() {
        context.part_over(outcome);
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
    let Some(open) = open_of(&context, node).filter(|open| !open.is_over()) else {
        return Context::empty();
    };
    // Relaxed: whoever gets the handle gets it from here.
    open.has_reply.store(true, Ordering::Relaxed);
    Context::clone(&context)
}

/// The answer is given, or never will be: of what `keep_open` gave.
#[cold]
pub(super) fn reply_given(work: &Context, outcome: SpanOutcome) {
    work.part_over(outcome);
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
        peer: context.hop().and_then(Hop::came_from).cloned(),
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

//! Where a message's span begins and ends, seen from the turn.
//!
//! What a span is, the floor above knows: a context's block begins with a [`ContextHead`], and that of a
//! sampled trace has [`SpanHooks`] in it. The turn only asks messages that have a context at all, by a null
//! check on a word that it has in hand.
//!
//! ```text
//!   sent: its own block ──begin──> the handler's block in its place ──after / ended──> recorded, once
//!                      <─put back─ (not handled now)
//! ```

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;

use super::extra::Cause;
use super::header::{CellRef, Flags};
use super::local::Local;
use super::reason::StopReason;
use super::recent::Culprit;
use super::runtime::Runtime;
use super::stamps::{self, Timed};
use super::tasks;
use crate::clock::Tick;
use crate::contain::look_at;
use crate::id::{ActorId, NumaNodeId, WorkerId};
use crate::mailbox::node::{End, Fate, Node, Step};
use crate::sync::atomic::AtomicU32;
use crate::trace::{SpanKind, SpanOutcome, SpanRecord, TraceContext, TraceId};

/// How a context's block begins.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct ContextHead {
    pub(crate) count: AtomicU32,
    /// Of the block.
    pub(crate) arena: u8,
    /// Which block: for the floor above.
    pub(crate) has_hop: bool,
    /// Of a context that makes spans.
    pub(crate) hooks: Option<&'static SpanHooks>,
}

/// What is done with the context of a message; all of them called by the owner of its node.
#[derive(Debug)]
pub(crate) struct SpanHooks {
    /// A handler is about to get the message: puts its own context in the place of the message's.
    ///
    /// # Safety
    ///
    /// The caller owns the node, whose context has these hooks.
    pub(crate) begin: unsafe fn(NonNull<Node>, Begin),
    /// The handler will not have it now, or the message was none: everything as before `begin`.
    ///
    /// # Safety
    ///
    /// As for `begin`.
    pub(crate) put_back: unsafe fn(NonNull<Node>),
    /// It is over. Nothing happens if `begin` was not called, or this was already.
    ///
    /// # Safety
    ///
    /// As for `begin`.
    pub(crate) end: unsafe fn(NonNull<Node>, SpanOutcome),
    /// The context in force, for the hooks that follow on the handling.
    ///
    /// # Safety
    ///
    /// As for `begin`.
    pub(crate) cause: unsafe fn(NonNull<Node>) -> Option<Cause>,
    /// The message has come to that end without a handler. Nothing happens after `begin`.
    ///
    /// # Safety
    ///
    /// As for `begin`.
    pub(crate) lost: unsafe fn(NonNull<Node>, &'static Runtime, ActorId, Fate),
}

/// What there is to say of a handling when it begins.
#[derive(Debug)]
pub(crate) struct Begin {
    pub(crate) cell: CellRef,
    pub(crate) runtime: &'static Runtime,
    pub(crate) actor_type: &'static str,
    pub(crate) actor_name: Option<Arc<str>>,
    pub(crate) restarts: u64,
    /// Messages behind it, as far as they have been taken over.
    pub(crate) left: u32,
    pub(crate) worker: Option<WorkerId>,
    pub(crate) arena: u8,
    /// It goes to another process.
    pub(crate) is_forward: bool,
}

/// # Safety
///
/// The caller owns the node.
unsafe fn hooks(node: NonNull<Node>) -> Option<&'static SpanHooks> {
    // SAFETY: by the caller; whatever is behind a node's context begins with a head. The context of an attached
    // task's step is the task's, not the node's, and may be gone with it.
    unsafe {
        if tasks::is_step(node) {
            return None;
        }
        node.as_ref().context.cast::<ContextHead>().as_ref()?.hooks
    }
}

/// A message with a context is about to be handled.
///
/// # Safety
///
/// The caller owns the cell and the node, whose context is not null.
#[cold]
#[inline(never)]
pub(super) unsafe fn begin(
    cell: CellRef,
    local: &Local,
    node: NonNull<Node>,
    left: u32,
    is_forward: bool,
) -> Option<Timed> {
    // SAFETY: by the caller.
    unsafe {
        // A stamp has hooks too, that say that it is one.
        hooks(node)?;
        let timed = stamps::begin(cell, node, left);
        let Some(hooks) = hooks(node) else {
            return timed;
        };
        let (actor_name, restarts) = cell.name_and_restarts();
        let begin = Begin {
            cell,
            runtime: local.runtime(),
            actor_type: (cell.vtable().type_name)(),
            actor_name,
            restarts,
            left,
            worker: local.worker_id(),
            arena: local.arena(),
            is_forward,
        };
        (hooks.begin)(node, begin);
        timed
    }
}

/// The handler has come so far.
///
/// # Safety
///
/// The caller owns the node, whose context is not null.
#[cold]
#[inline(never)]
pub(super) unsafe fn after(cell: CellRef, node: NonNull<Node>, step: &Step, timed: Option<Timed>) {
    // SAFETY: by the caller.
    unsafe {
        if let Some(timed) = timed {
            match step {
                Step::Pending => {
                    if timed.suspend(cell.runtime(), cell) {
                        (*cell.owned()).flags.set(Flags::TIMED);
                    }
                }
                // It goes on waiting.
                Step::Later => {}
                _ => timed.end(cell.runtime()),
            }
        }
        let Some(hooks) = hooks(node) else {
            return;
        };
        match step {
            // A timer that was cancelled: there was no message.
            Step::Done if node.as_ref().meta.internal => (hooks.put_back)(node),
            Step::Done | Step::Forwarded => (hooks.end)(node, SpanOutcome::Ok),
            // `ended` sees to it, when it has come to its end.
            Step::Pending => {}
            Step::Later => (hooks.put_back)(node),
            Step::Skipped(fate) => (hooks.end)(node, SpanOutcome::Failed(*fate)),
            Step::GuardPanicked(payload) | Step::Panicked(payload) => {
                panicked(cell, node, &**payload);
            }
        }
    }
}

/// A handler panicked: what the actor does about it is a part of the trace too.
///
/// # Safety
///
/// The caller owns the cell and the node.
#[cold]
pub(super) unsafe fn panicked(cell: CellRef, node: NonNull<Node>, payload: &(dyn Any + Send)) {
    // SAFETY: by the caller.
    unsafe {
        let Some(hooks) = hooks(node) else {
            return;
        };
        (hooks.end)(node, SpanOutcome::Panicked(look_at(payload).into()));
        if let Some(extra) = cell.extra_if_any() {
            extra.cause = (hooks.cause)(node);
        }
    }
}

/// A node with a context comes to its end.
///
/// # Safety
///
/// The caller owns the node, whose context is not null.
#[cold]
#[inline(never)]
pub(super) unsafe fn ended(
    runtime: &'static Runtime,
    target: ActorId,
    node: NonNull<Node>,
    end: End,
) {
    // SAFETY: by the caller.
    unsafe {
        if hooks(node).is_none() {
            return;
        }
        stamps::take_off(node);
        let Some(hooks) = hooks(node) else {
            return;
        };
        match end {
            End::Handled | End::Forwarded => (hooks.end)(node, SpanOutcome::Ok),
            End::Interrupted(fate) => (hooks.end)(node, SpanOutcome::Failed(fate)),
            End::Unhandled(fate) if !node.as_ref().meta.internal => {
                (hooks.lost)(node, runtime, target, fate);
            }
            End::Unhandled(_) => {}
        }
    }
}

/// The trace that a message belongs to; its stamp is off.
///
/// # Safety
///
/// The caller owns the node.
#[cold]
pub(super) unsafe fn trace_of(cell: CellRef, node: NonNull<Node>) -> Option<TraceId> {
    // SAFETY: by the caller.
    unsafe { context_of(cell, node) }.map(|trace| trace.trace_id())
}

unsafe fn context_of(cell: CellRef, node: NonNull<Node>) -> Option<TraceContext> {
    // SAFETY: by the callers; a step's context is not the node's own.
    unsafe {
        if node.as_ref().context.is_null() || tasks::is_step(node) {
            return None;
        }
        (cell.vtable_now()?.trace_of)(node.as_ref().context)
    }
}

/// The message that an actor fails on.
///
/// # Safety
///
/// As for `trace_of`.
#[cold]
pub(super) unsafe fn culprit(cell: CellRef, node: NonNull<Node>) -> Culprit {
    // SAFETY: by the caller.
    unsafe {
        if tasks::is_step(node) {
            // What it was part of, `step_panicked` has noted: the work is gone by now.
            return cell.take_blame();
        }
        Culprit {
            message: Some((node.as_ref().vtable.message)()),
            trace: context_of(cell, node),
            has_span: hooks(node).is_some(),
        }
    }
}

/// An attached task panicked: what it was part of, and what the actor does about it is too.
///
/// # Safety
///
/// The caller owns the cell and the task's node, whose work is still there.
#[cold]
pub(super) unsafe fn step_panicked(cell: CellRef, node: NonNull<Node>) {
    // SAFETY: by the caller: the node's context is the work's, and alive.
    unsafe {
        let context = node.as_ref().context;
        let mut culprit = Culprit {
            message: Some((node.as_ref().vtable.message)()),
            ..Culprit::default()
        };
        if let Some(head) = context.cast::<ContextHead>().as_ref() {
            culprit.trace = cell
                .vtable_now()
                .and_then(|vtable| (vtable.trace_of)(context));
            if let Some(hooks) = head.hooks {
                cell.extra().cause = (hooks.cause)(node);
            }
        }
        // A reentrant handler has said so in its own span.
        let noted = cell.take_blame();
        cell.set_blame(if noted.has_span { noted } else { culprit });
    }
}

/// Writes down that an actor has failed, where no span of a message or hook says it: in a trace that nobody
/// records, or in none. It is kept as a trace that failed, and not exported.
///
/// # Safety
///
/// The caller owns the cell.
#[cold]
pub(super) unsafe fn failed(cell: CellRef, culprit: &mut Culprit, reason: &StopReason) {
    let spans = cell.runtime().spans();
    let (outcome, kind, what) = match reason {
        StopReason::Panicked(text) => (
            SpanOutcome::Panicked(text.clone()),
            SpanKind::Handle,
            "a hook",
        ),
        StopReason::Failed(text) => (
            SpanOutcome::Error(text.clone()),
            SpanKind::Handle,
            "cx.fail",
        ),
        StopReason::StartFailed(text) => (
            SpanOutcome::Error(text.clone()),
            SpanKind::Started,
            "started",
        ),
        // Another one failed before it.
        _ => return,
    };
    if culprit.has_span || !spans.is_on() {
        return;
    }
    let trace = culprit.trace.as_ref();
    let own = trace.map_or_else(|| TraceContext::new_root(false), TraceContext::child);
    // SAFETY: by the caller.
    let (actor_name, restarts) = unsafe { cell.name_and_restarts() };
    let local = Local::current();
    let record = SpanRecord {
        parent: trace.map(TraceContext::span_id),
        actor: Some(cell.id()),
        actor_type: (cell.vtable().type_name)(),
        actor_name,
        numa_node: local.map(|local| NumaNodeId(local.arena())),
        worker: local.and_then(Local::worker_id),
        restarts,
        outcome,
        ..SpanRecord::new(
            own.clone(),
            kind,
            culprit.message.unwrap_or(what),
            spans.time_of_day(Tick::now()),
        )
    };
    spans.push(Box::new(record));
    culprit.trace = Some(own);
    culprit.has_span = true;
}

impl CellRef {
    /// The next hook is a part of that.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, or the owner waits for it.
    pub(crate) unsafe fn set_cause(self, cause: Cause) {
        // SAFETY: H2, by the caller.
        unsafe { self.extra().cause = Some(cause) };
    }

    /// This life is about to fail on that.
    ///
    /// # Safety
    ///
    /// As for `set_cause`.
    pub(crate) unsafe fn set_blame(self, culprit: Culprit) {
        // SAFETY: H2, by the caller.
        unsafe { self.extra().blame = Some(culprit) };
    }

    /// What it fails on, if that was no message.
    ///
    /// # Safety
    ///
    /// As for `set_cause`.
    pub(super) unsafe fn take_blame(self) -> Culprit {
        // SAFETY: H2, by the caller.
        unsafe { self.extra_if_any() }
            .and_then(|extra| extra.blame.take())
            .unwrap_or_default()
    }

    /// What reports say of it besides its type.
    ///
    /// # Safety
    ///
    /// As for `set_cause`.
    pub(crate) unsafe fn name_and_restarts(self) -> (Option<Arc<str>>, u64) {
        // SAFETY: H2, by the caller.
        unsafe { self.extra_if_any() }
            .map_or((None, 0), |extra| (extra.name.clone(), extra.restarts))
    }

    /// What the next hook is a part of.
    ///
    /// # Safety
    ///
    /// As for `set_cause`.
    pub(crate) unsafe fn take_cause(self) -> Option<Cause> {
        // SAFETY: H2, by the caller.
        unsafe { self.extra_if_any() }?.cause.take()
    }
}

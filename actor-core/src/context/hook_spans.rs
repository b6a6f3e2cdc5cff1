//! The spans of hooks, and what an actor's next hook is part of.
//!
//! A hook has no message. That it belongs to a recorded trace, the cell notes (its *cause*): the message on which the
//! actor failed, or that has spawned or stopped it. The hook runs in that context, and a span of its own.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{self, Poll};

use super::actor::ActorError;
use super::message_context::Context;
use super::spanning::WorkSpan;
use crate::cell::recent::Culprit;
use crate::cell::{Cause, CellRef, contain, context_now};
use crate::contain::look_at;
use crate::trace::{SpanKind, SpanOutcome, TraceContext};

/// What an actor that is spawned or stopped here is spawned or stopped by, if that is recorded.
#[inline(always)]
pub(super) fn cause() -> Option<Cause> {
    if context_now().is_null() {
        return None;
    }
    recorded_cause()
}

/// The life of that actor is about to end by its own word, in the work that is being done here.
///
/// # Safety
///
/// The caller owns the cell, or its owner waits for the caller.
pub(super) unsafe fn blame(cell: CellRef) {
    if context_now().is_null() {
        return;
    }
    let culprit = Culprit {
        trace: Context::current().trace().cloned(),
        ..Culprit::default()
    };
    // SAFETY: by the caller.
    unsafe { cell.set_blame(culprit) };
}

#[cold]
fn recorded_cause() -> Option<Cause> {
    let context = Context::current();
    let is_sampled = context.trace().is_some_and(TraceContext::is_sampled);
    is_sampled.then(|| Box::new(context.without_deadline()) as Cause)
}

/// A hook's future, and its span if there is something of a recorded trace behind it.
pub(super) struct Hooked<F> {
    span: Option<Box<WorkSpan>>,
    future: F,
}

/// What the span of a hook says of its output.
pub(super) trait Output {
    fn outcome(&self) -> SpanOutcome;
}

impl Output for () {
    fn outcome(&self) -> SpanOutcome {
        SpanOutcome::Ok
    }
}

impl Output for Result<(), ActorError> {
    fn outcome(&self) -> SpanOutcome {
        match self {
            Ok(()) => SpanOutcome::Ok,
            Err(error) => {
                // Its `Display` is the user's.
                let mut text = String::from("an error whose text panics");
                contain(|| text = error.to_string());
                SpanOutcome::Error(text.into())
            }
        }
    }
}

/// The span of a hook that is about to run.
///
/// # Safety
///
/// The caller owns the cell.
pub(super) unsafe fn of_hook(
    cell: CellRef,
    kind: SpanKind,
    name: &'static str,
) -> Option<Box<WorkSpan>> {
    // SAFETY: by the caller.
    let cause = unsafe { cell.take_cause() }?;
    let context = cause.downcast::<Context>().ok()?;
    let mut span = context.begin_work(cell.runtime(), kind, name, Some(cell.id()))?;
    // SAFETY: by the caller.
    (span.record.actor_name, span.record.restarts) = unsafe { cell.name_and_restarts() };
    Some(Box::new(span))
}

impl<F> Hooked<F> {
    pub(super) const fn new(span: Option<Box<WorkSpan>>, future: F) -> Self {
        Self { span, future }
    }
}

impl<F: Future<Output: Output>> Future for Hooked<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        // SAFETY: `future` is pinned with `self` and not moved; `span` is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        match &this.span {
            None => future.poll(cx),
            Some(_) => poll_in_span(&mut this.span, future, cx),
        }
    }
}

#[cold]
fn poll_in_span<F: Future<Output: Output>>(
    slot: &mut Option<Box<WorkSpan>>,
    future: Pin<&mut F>,
    cx: &mut task::Context<'_>,
) -> Poll<F::Output> {
    let Some(span) = slot.take() else {
        return future.poll(cx);
    };
    let polled = span
        .context()
        .run(|| catch_unwind(AssertUnwindSafe(|| future.poll(cx))));
    match polled {
        Ok(Poll::Pending) => {
            *slot = Some(span);
            Poll::Pending
        }
        Ok(Poll::Ready(output)) => {
            let outcome = output.outcome();
            if outcome.is_error() {
                span.blame();
            }
            span.end(outcome);
            Poll::Ready(output)
        }
        Err(payload) => {
            span.blame();
            span.end(SpanOutcome::Panicked(look_at(&*payload).into()));
            resume_unwind(payload)
        }
    }
}

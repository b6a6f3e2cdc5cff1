//! The tracing span of one message, at arm's length: subscribers are the user's code, they run on the
//! worker, and one that panics must take nothing with it. Without a subscriber this is one relaxed load.

use tracing::Span;
use tracing::level_filters::LevelFilter;
use tracing::span::Entered;

use super::message_context::Context;
use crate::cell::{CellRef, contain};

/// A span, or none.
pub(super) struct HandlerSpan(Span);

impl HandlerSpan {
    pub(super) const fn none() -> Self {
        Self(Span::none())
    }

    /// The span of a message of type `M` to an `A`, if anybody listens.
    #[inline(always)]
    pub(super) fn of_message<A, M>(cell: CellRef) -> Self {
        if LevelFilter::current() < LevelFilter::DEBUG {
            return Self::none();
        }
        Self(enabled(
            cell,
            std::any::type_name::<A>(),
            std::any::type_name::<M>(),
        ))
    }

    #[inline(always)]
    pub(super) fn enter(&self) -> Inside<'_> {
        #[cfg(feature = "otlp")]
        let joined = super::joined::join();
        let mut entered = None;
        if !self.0.is_none() {
            contain(|| entered = Some(self.0.enter()));
        }
        Inside {
            entered,
            #[cfg(feature = "otlp")]
            _joined: joined,
        }
    }
}

impl Drop for HandlerSpan {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.0.is_none() {
            let span = std::mem::replace(&mut self.0, Span::none());
            contain(|| drop(span));
        }
    }
}

/// Left when dropped.
pub(super) struct Inside<'a> {
    entered: Option<Entered<'a>>,
    /// After the span has been left.
    #[cfg(feature = "otlp")]
    _joined: Option<opentelemetry::ContextGuard>,
}

impl Drop for Inside<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(entered) = self.entered.take() {
            contain(|| drop(entered));
        }
    }
}

#[cold]
fn enabled(cell: CellRef, actor_type: &'static str, message: &'static str) -> Span {
    // A layer for OpenTelemetry looks for the parent now.
    #[cfg(feature = "otlp")]
    let _joined = super::joined::join();
    let mut span = Span::none();
    contain(|| {
        span = tracing::debug_span!(
            target: "actor_core::message",
            "handle",
            actor = %cell.id(),
            actor_type,
            message,
            trace_id = tracing::field::Empty,
            parent_span_id = tracing::field::Empty,
        );
        if let Some(trace) = Context::current().trace() {
            span.record("trace_id", tracing::field::display(trace.trace_id()));
            span.record("parent_span_id", tracing::field::display(trace.span_id()));
        }
    });
    span
}

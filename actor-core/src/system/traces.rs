//! Traces as an operator sees them: what is kept, and the switch for how much is recorded.

use std::sync::Arc;
use std::time::Duration;

use super::SystemRef;
use super::start_error::StartError;
use crate::cell::Runtime;
use crate::context::Context;
use crate::telemetry::{
    self, ActorFailure, Collector, CollectorThread, Latencies, LostMessage, Mishaps, StallReport,
    Trace, TraceList, TraceSummary,
};
use crate::trace::{SpanExporter, SpanRecord, TraceContext, TraceId, TracingOptions, check_share};

/// Starts what collects spans; no thread if none are recorded.
///
/// # Errors
///
/// What the operating system says to a new thread.
pub(super) fn start(
    runtime: &'static Runtime,
    options: TracingOptions,
) -> std::io::Result<(Arc<Collector>, Option<CollectorThread>)> {
    let collector = Arc::new(Collector::new(runtime, &options.settings));
    for exporter in options.exporters {
        collector.add(exporter)?;
    }
    let thread = if options.settings.is_on {
        Some(collector.start()?)
    } else {
        None
    };
    Ok((collector, thread))
}

impl SystemRef {
    /// Traces that the system keeps, at most so many; see [`TraceList`] for which and in which order.
    ///
    /// They are of what has ended by now: the span of a handler that still runs comes later.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    /// use actor_core::{TraceList, TracingOptions};
    ///
    /// struct Echo;
    /// impl Actor for Echo {}
    /// struct Say(u32);
    /// impl Message for Say { type Reply = u32; }
    /// impl SyncHandler<Say> for Echo {
    ///     fn handle(&mut self, Say(n): Say, _cx: &mut ActorContext<Self>) -> u32 { n }
    /// }
    ///
    /// let system = ActorSystem::builder().tracing(TracingOptions::new().sample(1.0)).build()?;
    /// let echo = system.spawn(Echo)?;
    /// assert_eq!(echo.ask_blocking(Say(7))?, 7);
    /// let [trace] = &system.traces(TraceList::Recent, 10)[..] else { panic!() };
    /// let trace = system.trace(trace.trace_id).ok_or("still there")?;
    /// for span in &trace.spans {
    ///     println!("{span}"); // the ask, and in it the handling
    /// }
    /// assert_eq!(trace.spans[1].parent, Some(trace.spans[0].span_id()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn traces(&self, which: TraceList, limit: usize) -> Vec<TraceSummary> {
        self.plan.collector.list(which, limit)
    }

    /// A trace with its spans, if the system keeps it.
    pub fn trace(&self, id: TraceId) -> Option<Trace> {
        self.plan.collector.trace(id)
    }

    /// How long messages waited and handlers took, for each actor type and all together: counted from few
    /// measured ones, as [`Latencies`] says. Nothing is measured where the system was built with
    /// [`TracingOptions::off`].
    pub fn latencies(&self) -> Latencies {
        self.plan.collector.latencies()
    }

    /// Messages that were accepted and not handled, the latest first, at most so many: dead letters, and what
    /// expired, was cancelled, dropped from a full mailbox .. All of them are counted in
    /// [`Stats::messages`](crate::Stats), these are examples.
    pub fn lost_messages(&self, limit: usize) -> Mishaps<LostMessage> {
        telemetry::lost(self.runtime, limit)
    }

    /// Lives of actors that ended in failure, the latest first, at most so many, with what they failed on.
    pub fn failures(&self, limit: usize) -> Mishaps<ActorFailure> {
        telemetry::failures(self.runtime, limit)
    }

    /// How many lives ended in failure since the system started, by type of actor, those with the most first. Types
    /// that never failed are not there.
    pub fn failures_by_type(&self) -> Vec<(&'static str, u64)> {
        self.runtime.failed_by_type().list()
    }

    /// The latest stalls, the latest first, at most so many of the last 64 reports: one when a stall is
    /// noticed, and one when it is over.
    pub fn recent_stalls(&self, limit: usize) -> Vec<StallReport> {
        self.plan.stalls.latest(limit)
    }

    /// Records that share of the traces that begin here from now on: 0 (none) to 1 (all); see
    /// [`TracingOptions::sample`]. Nothing is recorded where the system was built with
    /// [`TracingOptions::off`].
    ///
    /// # Errors
    ///
    /// [`StartError::Setting`] for a share that is none.
    pub fn set_sampling(&self, share: f64) -> Result<(), StartError> {
        check_share("sampling", share)?;
        self.runtime.spans().set_share(share);
        Ok(())
    }

    /// Whether a trace that begins now is to be recorded, as a context to run it in: for what brings work in from
    /// outside, a server of another protocol. It counts as one for the share that is recorded
    /// ([`TracingOptions::sample`]). If this one is not, the context has a trace that is not sampled, so that nobody
    /// decides again; while the share is 0, it is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    /// use actor_core::TracingOptions;
    ///
    /// let system = ActorSystem::builder().tracing(TracingOptions::new().sample(1.0)).build()?;
    /// system.begin_trace().run(|| {
    ///     // Whatever is sent in here belongs to one trace.
    ///     assert!(Context::current().trace().is_some());
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin_trace(&self) -> Context {
        let spans = self.runtime.spans();
        if !spans.may_begin() {
            return Context::empty();
        }
        Context::empty().with_trace(TraceContext::new_root(spans.begins()))
    }

    /// Takes in a span of something that this crate does not see ([`SpanRecord::new`]), when it has ended. It
    /// goes the way of all spans: kept, exported, or counted as dropped. Nothing happens if its trace is not
    /// sampled, or the system was built with [`TracingOptions::off`].
    pub fn record_span(&self, span: SpanRecord) {
        let spans = self.runtime.spans();
        if spans.is_on() && span.trace.is_sampled() {
            spans.push(Box::new(span));
        }
    }

    /// Gives finished spans to one more exporter, from now on; it stays to the end of the system.
    ///
    /// # Errors
    ///
    /// What the operating system says to a new thread; `NotConnected` if the system has ended.
    pub fn add_span_exporter(&self, exporter: impl SpanExporter) -> std::io::Result<()> {
        if self.plan.collector.add(Box::new(exporter))? {
            return Ok(());
        }
        Err(std::io::Error::new(
            std::io::ErrorKind::NotConnected,
            "the system has ended: nothing is exported any more",
        ))
    }

    /// Has the exporters hand on what has ended by now, and waits for them on this thread, at most that long.
    /// Whether all did. Not on a worker: its actors would wait too.
    pub fn flush_spans(&self, limit: Duration) -> bool {
        self.plan.collector.flush(limit)
    }
}

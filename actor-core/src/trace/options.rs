//! What is sampled, how tells are drawn, and how much is kept.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::exporter::SpanExporter;

/// How a system traces: what is sampled, what is kept, where it goes. For
/// [`SystemBuilder::tracing`](crate::SystemBuilder::tracing).
///
/// Whether a trace is recorded is decided once, where it begins, and travels with it: see
/// [`sample`](Self::sample). A system that decides on none of its own ([`sample(0.0)`](Self::sample), the
/// default) still records the traces that come to it as sampled: from another peer, from an HTTP request with
/// a `traceparent`, or begun by [`TraceContext::new_root`](crate::TraceContext::new_root).
///
/// | option | default | touch it when |
/// |---|---|---|
/// | `sample` | 0: none of its own | always, in production: see below for what it costs |
/// | `tell_spans` | [`TellSpans::Linked`] | traces of events become too long |
/// | `keep_traces`, `keep_slow`, `keep_failed` | 1000, 100, 100 | traces are looked at long after |
/// | `keep_spans` | 20 000, about 10 MB when full, at most 20 | the same |
/// | `queue` | 4096 | [`SpanStats::dropped`](crate::SpanStats) grows |
/// | `exporter` | none | there is a collector |
/// | `flush_within` | 5 s | the collector is slow when the process ends |
///
/// A message of a trace that is not recorded costs nothing that can be seen. One that is recorded costs 160 to 400 ns, so
/// 1 % of them 2 to 4 ns a message: 3 % where a message takes 140 ns with its handler, and more where handlers are
/// empty.
#[must_use = "given to SystemBuilder::tracing"]
pub struct TracingOptions {
    pub(crate) settings: Settings,
    pub(crate) exporters: Vec<Box<dyn SpanExporter>>,
}

/// What of the options is plain numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) is_on: bool,
    pub(crate) sample: f64,
    pub(crate) tell_spans: TellSpans,
    pub(crate) keep_traces: usize,
    pub(crate) keep_slow: usize,
    pub(crate) keep_failed: usize,
    pub(crate) keep_spans: usize,
    pub(crate) queue: usize,
    pub(crate) flush_within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            is_on: true,
            sample: 0.0,
            tell_spans: TellSpans::default(),
            keep_traces: 1000,
            keep_slow: 100,
            keep_failed: 100,
            keep_spans: 20_000,
            queue: 4096,
            flush_within: Duration::from_secs(5),
        }
    }
}

/// How a tell's handling stands to what sent it. An asker waits, so what it asks is a part of what it does:
/// asks are always children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellSpans {
    /// In the same trace, under the span that sent it, and with a link to that: a viewer that knows links can
    /// tell what was waited for from what was only caused. The default.
    #[default]
    Linked,
    /// In a trace of its own that has only a link to what sent it. For systems in which one event causes
    /// others without end. The decision to record goes along.
    NewTrace,
    /// In the same trace, as a child like any other, without a link.
    Child,
}

/// A number that makes no sense: the option, what it was given, what it takes.
pub(crate) type Invalid = (&'static str, String, String);

/// Traces and spans that a store may be told to keep.
const KEEP: RangeInclusive<usize> = 0..=10_000_000;
const QUEUE: RangeInclusive<usize> = 16..=1_048_576;
const FLUSH_MAX: Duration = Duration::from_secs(600);

impl TracingOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            settings: Settings::default(),
            exporters: Vec::new(),
        }
    }

    /// Nothing is recorded, whatever the traces say; they still travel with the messages. Nor is measured how long
    /// messages take ([`SystemRef::latencies`](crate::SystemRef::latencies)).
    pub fn off() -> Self {
        let mut options = Self::new();
        options.settings.is_on = false;
        options
    }

    /// The share of traces that this system begins and records: 0 (none) to 1 (all).
    ///
    /// A trace begins where work comes in without one: a message sent from outside of actors, a tick of an interval, an HTTP
    /// request (with the layer for that), [`SystemRef::begin_trace`](crate::SystemRef::begin_trace). Every
    /// message that this causes, here or on another peer, is recorded or not as was decided there. Of each
    /// 1/share traces in a row each thread records one, anywhere among them.
    ///
    /// Changed while the system runs by [`SystemRef::set_sampling`](crate::SystemRef::set_sampling).
    pub fn sample(mut self, share: f64) -> Self {
        self.settings.sample = share;
        self
    }

    /// How tells are drawn.
    pub fn tell_spans(mut self, tell_spans: TellSpans) -> Self {
        self.settings.tell_spans = tell_spans;
        self
    }

    /// How many of the most recent traces the system keeps to be looked at
    /// ([`SystemRef::traces`](crate::SystemRef::traces)): 0 to 10 000 000. With 0, and none of the slow and
    /// failed, nothing is kept, only exported.
    pub fn keep_traces(mut self, traces: usize) -> Self {
        self.settings.keep_traces = traces;
        self
    }

    /// How many of the slowest traces stay beyond that: 0 to 10 000 000.
    pub fn keep_slow(mut self, traces: usize) -> Self {
        self.settings.keep_slow = traces;
        self
    }

    /// How many of the latest failed traces stay beyond that: 0 to 10 000 000.
    pub fn keep_failed(mut self, traces: usize) -> Self {
        self.settings.keep_failed = traces;
        self
    }

    /// How many spans are kept altogether: 0 to 10 000 000, about 500 bytes each; with the texts of errors never more
    /// than 1 KiB for each that may be kept. When there are more, whole traces go, the oldest first; one trace keeps at
    /// most 2000, and tells how many it has left out.
    pub fn keep_spans(mut self, spans: usize) -> Self {
        self.settings.keep_spans = spans;
        self
    }

    /// How many finished spans of each worker may wait for the collector, and as many of all other threads together:
    /// 16 to 1 048 576, rounded up to a power of two; some 250 bytes each, taken when a worker has its first span. The
    /// collector empties them every 20 ms, up to every millisecond when more comes. A span that finds no room is
    /// dropped and counted.
    pub fn queue(mut self, spans: usize) -> Self {
        self.settings.queue = spans;
        self
    }

    /// Takes the finished spans elsewhere too. May be said often.
    pub fn exporter(mut self, exporter: impl SpanExporter) -> Self {
        self.exporters.push(Box::new(exporter));
        self
    }

    /// How long a shutdown waits for the exporters: up to 600 s. What is not exported by then is counted
    /// and left.
    pub fn flush_within(mut self, limit: Duration) -> Self {
        self.settings.flush_within = limit;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Invalid> {
        let settings = &self.settings;
        check_share("tracing: sample", settings.sample)?;
        for (option, asked, allowed) in [
            ("tracing: keep_traces", settings.keep_traces, KEEP),
            ("tracing: keep_slow", settings.keep_slow, KEEP),
            ("tracing: keep_failed", settings.keep_failed, KEEP),
            ("tracing: keep_spans", settings.keep_spans, KEEP),
            ("tracing: queue", settings.queue, QUEUE),
        ] {
            if !allowed.contains(&asked) {
                let range = format!("{} to {}", allowed.start(), allowed.end());
                return Err((option, asked.to_string(), range));
            }
        }
        if settings.flush_within > FLUSH_MAX {
            let asked = format!("{:?}", settings.flush_within);
            return Err(("tracing: flush_within", asked, "up to 600s".to_owned()));
        }
        Ok(())
    }
}

/// Whether a share is one.
pub(crate) fn check_share(option: &'static str, share: f64) -> Result<(), Invalid> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err((option, share.to_string(), "0 to 1".to_owned()))
}

impl Default for TracingOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TracingOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TracingOptions")
            .field("settings", &self.settings)
            .field("exporters", &self.exporters.len())
            .finish()
    }
}

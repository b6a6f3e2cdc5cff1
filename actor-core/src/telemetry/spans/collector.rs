//! The collector: empties the queue of finished spans, keeps traces, feeds exporters.
//!
//! It looks every 20 ms while there is something, ten times a second otherwise, and is woken by nobody: a
//! worker that pushed a span would pay for the wake-up. Who wants to see what is there by now, collects on
//! its own thread first ([`Collector::collect`]), so a look is never behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::SpanStats;
use super::export::{Batch, Export, Exported};
use super::store::{Store, Trace, TraceList, TraceSummary};
use crate::cell::Runtime;
use crate::clock::Tick;
use crate::id::ActorId;
use crate::sync::thread;
use crate::telemetry::latencies::{Latencies, Recorder};
use crate::telemetry::rankings::Rates;
use crate::trace::{Settings, SpanExporter, SpanRecord, TraceId};

/// Between two looks: while spans come, and while none do.
const BUSY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(100);

/// Measurements that are taken in at one look.
const SAMPLES: usize = 32_768;

/// Spans in one batch for the exporters.
const BATCH: usize = 512;

#[derive(Debug)]
pub(crate) struct Collector {
    runtime: &'static Runtime,
    state: Mutex<State>,
    exported: Exported,
    flush_within: Duration,
}

#[derive(Debug)]
struct State {
    store: Store,
    latencies: Recorder,
    rates: Rates,
    exports: Vec<Export>,
    is_over: bool,
}

/// Ends the thread when dropped: what waits is collected and exported, within the time for that.
#[derive(Debug)]
pub(crate) struct CollectorThread {
    end: Option<Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Collector {
    pub(crate) fn new(runtime: &'static Runtime, settings: &Settings) -> Self {
        runtime.spans().set(settings);
        Self {
            runtime,
            state: Mutex::new(State {
                store: Store::new(settings),
                latencies: Recorder::default(),
                rates: Rates::default(),
                exports: Vec::new(),
                is_over: false,
            }),
            exported: Exported::default(),
            flush_within: settings.flush_within,
        }
    }

    /// Starts the thread that collects.
    ///
    /// # Errors
    ///
    /// What the operating system says to a new thread.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<CollectorThread> {
        self.runtime.stamps().enable();
        let (end, ended) = bounded::<()>(0);
        let this = self.clone();
        let thread = thread::Builder::new()
            .name("actor-collector".to_owned())
            .spawn(move || this.run(&ended))?;
        Ok(CollectorThread {
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// Gives finished spans to one more exporter, from now on. `false`: the system has ended.
    ///
    /// # Errors
    ///
    /// What the operating system says to a new thread.
    pub(crate) fn add(&self, exporter: Box<dyn SpanExporter>) -> std::io::Result<bool> {
        let export = Export::start(exporter, &self.exported)?;
        let mut state = self.state();
        if state.is_over {
            return Ok(false);
        }
        state.exports.push(export);
        Ok(true)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No user code runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what has ended by now. Whether there was something.
    pub(crate) fn collect(&self) -> bool {
        let mut state = self.state();
        let mut any = false;
        loop {
            let spans = self.runtime.spans().drain(BATCH);
            if spans.is_empty() {
                return any;
            }
            any = true;
            let batch = Batch::from(spans);
            for span in batch.iter() {
                state.store.insert(span.clone());
            }
            if state.exports.is_empty() {
                continue;
            }
            // A failure in a trace that is not sampled is kept here and goes nowhere else.
            let is_sampled = |span: &&Arc<SpanRecord>| span.trace.is_sampled();
            let batch = if batch.iter().all(|span| is_sampled(&span)) {
                batch
            } else {
                batch.iter().filter(is_sampled).cloned().collect()
            };
            for export in state.exports.iter().filter(|_| !batch.is_empty()) {
                export.offer(&batch);
            }
        }
    }

    /// How long messages waited and handlers took.
    pub(crate) fn latencies(&self) -> Latencies {
        self.measure();
        let lost = self.runtime.stamps().dropped();
        self.state().latencies.read(lost)
    }

    /// Messages per second, by actor, as far as measurements tell.
    pub(crate) fn rates(&self) -> HashMap<ActorId, f64> {
        self.measure();
        self.state().rates.read(Tick::now())
    }

    /// Takes in what was measured by now. Whether there was something.
    fn measure(&self) -> bool {
        let mut state = self.state();
        let now = Tick::now();
        state.latencies.turn(now);
        state.rates.turn(now);
        let mut any = false;
        // A bound, because more comes meanwhile.
        for sample in self.runtime.stamps().drain(SAMPLES) {
            any = true;
            state.latencies.add(&sample);
            state.rates.add(&sample);
        }
        any
    }

    pub(crate) fn list(&self, which: TraceList, limit: usize) -> Vec<TraceSummary> {
        self.collect();
        self.state().store.list(which, limit)
    }

    pub(crate) fn trace(&self, id: TraceId) -> Option<Trace> {
        self.collect();
        self.state().store.get(id)
    }

    /// Waits until the exporters have handed on what has ended by now. Whether all did in time.
    pub(crate) fn flush(&self, limit: Duration) -> bool {
        self.collect();
        let until = Instant::now() + limit;
        // The orders wait for room in the exporters' queues: not under the lock.
        let exports: Vec<Export> = self.state().exports.iter().map(Export::again).collect();
        let (done, all_done) = bounded(exports.len());
        for export in &exports {
            export.flush(until, done.clone());
        }
        drop(done);
        wait(&all_done, exports.len(), until)
    }

    pub(crate) fn stats(&self) -> SpanStats {
        let (kept_traces, kept_spans) = {
            let state = self.state();
            (state.store.traces() as u64, state.store.spans() as u64)
        };
        let spans = self.runtime.spans();
        let counts = spans.counts();
        let (exported, not_exported) = self.exported.read();
        SpanStats {
            is_on: spans.is_on(),
            sample: spans.share(),
            offered: counts.offered,
            recorded: counts.recorded,
            dropped: counts.dropped,
            queued: counts.queued,
            kept_traces,
            kept_spans,
            exported,
            not_exported,
        }
    }

    fn run(&self, ended: &Receiver<()>) {
        let mut pause = IDLE;
        // Until the other end of the channel is dropped.
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(pause) {
            let has_measured = self.measure();
            self.runtime.pace_stamps();
            pause = if self.collect() || has_measured {
                BUSY
            } else {
                IDLE
            };
        }
        self.end();
    }

    /// The last look, and the exporters' last call.
    fn end(&self) {
        self.collect();
        let until = Instant::now() + self.flush_within;
        let exports = {
            let mut state = self.state();
            state.is_over = true;
            std::mem::take(&mut state.exports)
        };
        let (done, all_done) = bounded(exports.len());
        let waited_for = exports.len();
        for export in exports {
            export.end(until, done.clone());
        }
        drop(done);
        wait(&all_done, waited_for, until);
    }
}

/// Waits for so many answers. Whether all came in time.
fn wait(done: &Receiver<()>, answers: usize, until: Instant) -> bool {
    (0..answers).all(|_| done.recv_deadline(until).is_ok())
}

impl Drop for CollectorThread {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It runs no user code, so it does not panic; and if it did, there would be nothing to do here.
            _ = thread.join();
        }
    }
}

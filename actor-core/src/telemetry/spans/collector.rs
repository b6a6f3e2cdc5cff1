//! The collector: empties the queue of finished spans, keeps traces, feeds exporters.
//!
//! It looks every 20 ms while there is something, sooner if what waits for it grows, and ten times a second when
//! there is nothing; after a second of that it sleeps until something comes (`scheduler/bell.rs`), so an idle
//! system costs nothing. Who wants to see what is there by now, collects on its own thread first
//! ([`Collector::collect`]), so a look is never behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use super::SpanStats;
use super::export::{Batch, Export, Exported};
use super::store::{self, Store, Trace, TraceList, TraceSummary};
use crate::cell::Runtime;
use crate::clock::Tick;
use crate::id::ActorId;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread;
use crate::telemetry::latencies::{Latencies, Recorder};
use crate::telemetry::rankings::Rates;
use crate::trace::{Drained, Settings, SpanExporter, SpanRecord, TraceId};

/// Between two looks: while spans come, and while none do.
const BUSY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(100);
/// At least so long, however much comes.
const BUSY_MIN: Duration = Duration::from_millis(1);
/// What waits shall be less than that part of what there is room for, in percent; with half of it there is no hurry.
const FULL: usize = 25;
/// Looks in a row that found nothing, before it sleeps until it is woken. A second, in which also the workers' paces
/// are back at every message (`cell::stamps`), so that whatever comes next is seen.
const DOZE_AFTER: u32 = 10;
/// Where it cannot be woken for nothing: between two looks.
const NO_BARRIERS: Duration = Duration::from_secs(1);

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
    is_ending: AtomicBool,
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
    collector: Arc<Collector>,
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
            is_ending: AtomicBool::new(false),
        }
    }

    /// Starts the thread that collects.
    ///
    /// # Errors
    ///
    /// What the operating system says to a new thread.
    pub(crate) fn start(self: &Arc<Self>) -> std::io::Result<CollectorThread> {
        self.runtime.stamps().enable();
        let this = self.clone();
        let thread = thread::Builder::new()
            .name("actor-collector".to_owned())
            .spawn(move || this.run())?;
        Ok(CollectorThread {
            collector: self.clone(),
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

    /// Takes in what has ended by now.
    pub(crate) fn collect(&self) -> Drained {
        let mut state = self.state();
        let State { store, exports, .. } = &mut *state;
        let spans = self.runtime.spans();
        if exports.is_empty() {
            // SAFETY: under the lock, which only this function has for that.
            return unsafe { spans.drain(|span| store.insert(span)) };
        }
        let mut ended = Vec::new();
        // SAFETY: as above.
        let drained = unsafe { spans.drain(|span| ended.push(span)) };
        // Each way has its spans in that order, and there are several.
        ended.sort_by_key(|span| span.ended());
        for spans in ended.chunks(BATCH) {
            let batch = Batch::from(spans);
            for span in spans {
                store.insert(span.clone());
            }
            // A failure in a trace that is not sampled is kept here and goes nowhere else.
            let is_sampled = |span: &&Arc<SpanRecord>| span.trace.is_sampled();
            let batch = if batch.iter().all(|span| is_sampled(&span)) {
                batch
            } else {
                batch.iter().filter(is_sampled).cloned().collect()
            };
            for export in exports.iter().filter(|_| !batch.is_empty()) {
                export.offer(&batch);
            }
        }
        drained
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
        let mut trace = self.state().store.get(id)?;
        store::name_peers(&mut trace.spans);
        Some(trace)
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
        let spans = self.runtime.spans();
        let (kept_traces, kept_spans, counts) = {
            // Under the lock: while spans are taken in they are neither queued nor recorded.
            let state = self.state();
            let store = &state.store;
            (store.traces() as u64, store.spans() as u64, spans.counts())
        };
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

    fn run(&self) {
        let bell = self.runtime.spans().bell();
        let (mut pause, mut quiet) = (IDLE, 0_u32);
        // Relaxed: the bell's lock hands it over, and what it is set after.
        while !self.is_ending.load(Ordering::Relaxed) {
            let has_measured = self.measure();
            self.runtime.pace_stamps();
            let drained = self.collect();
            if drained.taken > 0 || has_measured {
                (pause, quiet) = (next_pause(pause, drained.fullest), 0);
            } else {
                (pause, quiet) = (IDLE, quiet + 1);
            }
            if quiet >= DOZE_AFTER {
                (pause, quiet) = (IDLE, 0);
                if !bell.doze() {
                    bell.wait(NO_BARRIERS);
                    continue;
                }
                if self.is_quiet() {
                    bell.wait_until_rung();
                    continue;
                }
                bell.stay_awake();
            }
            bell.wait(pause);
        }
        self.end();
    }

    /// Nothing waits for the thread. Whatever comes later rings, and so does who ends it, at any time.
    fn is_quiet(&self) -> bool {
        self.runtime.spans().is_empty() && self.runtime.stamps().is_empty()
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

/// So that what waits stays below `FULL`.
fn next_pause(pause: Duration, fullest: usize) -> Duration {
    let pause = pause.min(BUSY);
    if fullest > FULL {
        (pause / 2).max(BUSY_MIN)
    } else if fullest < FULL / 2 {
        (pause * 2).min(BUSY)
    } else {
        pause
    }
}

/// Waits for so many answers. Whether all came in time.
fn wait(done: &Receiver<()>, answers: usize, until: Instant) -> bool {
    (0..answers).all(|_| done.recv_deadline(until).is_ok())
}

impl Drop for CollectorThread {
    fn drop(&mut self) {
        // Relaxed: the bell's lock hands it over.
        self.collector.is_ending.store(true, Ordering::Relaxed);
        self.collector.runtime.spans().bell().ring();
        if let Some(thread) = self.thread.take() {
            // It runs no user code, so it does not panic; and if it did, there would be nothing to do here.
            _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuller_the_sooner() {
        let mut pause = IDLE;
        for expected in [20, 10, 5, 2, 1, 1] {
            let fullest = if pause == IDLE { 20 } else { 60 };
            pause = next_pause(pause, fullest);
            assert_eq!(pause.as_millis(), expected);
        }
        assert_eq!(next_pause(pause, 20), pause, "neither full nor empty");
        for _ in 0..9 {
            pause = next_pause(pause, 3);
        }
        assert_eq!(pause, BUSY);
    }
}

//! One system's spans: the decision at the edge, and the way from the workers to the collector.
//!
//! ```text
//!   worker --try_send--> [ bounded queue ] --drain--> collector: store, exporters
//!              full: dropped, counted
//! ```
//!
//! Nobody waits and nobody is woken: the collector looks by itself every now and then, so a worker pays for
//! a push and never for a system call. The queue is made with the first span.
//!
//! The law of these books: offered = recorded + dropped + queued.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::options::{Settings, TellSpans};
use super::record::SpanRecord;
use crate::clock::Tick;
use crate::random;
use crate::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// The spans of one system.
#[derive(Debug)]
pub(crate) struct Spans {
    /// The share of traces that are recorded, of 2^64; `ALL` and 0 are exact.
    step: AtomicU64,
    /// `TellSpans`, or `OFF`.
    mode: AtomicU8,
    capacity: AtomicUsize,
    queue: OnceLock<Queue>,
    offered: AtomicU64,
    dropped: AtomicU64,
    recorded: AtomicU64,
    anchor: OnceLock<(SystemTime, Tick)>,
}

#[derive(Debug)]
struct Queue {
    to: Sender<Box<SpanRecord>>,
    from: Receiver<Box<SpanRecord>>,
}

/// The books of the spans.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SpanCounts {
    pub(crate) offered: u64,
    pub(crate) recorded: u64,
    pub(crate) dropped: u64,
    pub(crate) queued: u64,
}

const ALL: u64 = u64::MAX;
const OFF: u8 = u8::MAX;

thread_local! {
    static DRAW: Cell<Option<Draw>> = const { Cell::new(None) };
}

/// Which traces this thread records: of each 1/share traces in a row one, anywhere among them. So the share is
/// kept within one trace per thread, and work that comes in a rhythm cannot fall between: with every 50th alone a
/// failure at every 500th request would be seen always, or never.
#[derive(Clone, Copy)]
struct Draw {
    /// How far the row has come, of 2^64. Begins anywhere, or threads that send few messages would record none.
    at: u64,
    /// Where in the row it is.
    mark: u64,
}

impl Draw {
    fn new() -> Self {
        Self {
            at: random::next_u64(),
            mark: random::next_u64(),
        }
    }

    /// One trace further. Whether it is the one.
    fn step(&mut self, step: u64) -> bool {
        let (next, is_new_row) = self.at.overflowing_add(step);
        let was_ahead = self.mark > self.at;
        self.at = next;
        if !is_new_row {
            return was_ahead && self.mark <= next;
        }
        self.mark = random::next_u64();
        if self.mark > next {
            return was_ahead;
        }
        if was_ahead {
            // Two rows' at once: the second is the next trace.
            self.mark = next.saturating_add(1);
        }
        true
    }
}

impl Spans {
    pub(crate) fn new() -> Self {
        let spans = Self {
            step: AtomicU64::new(0),
            mode: AtomicU8::new(0),
            capacity: AtomicUsize::new(0),
            queue: OnceLock::new(),
            offered: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            anchor: OnceLock::new(),
        };
        spans.set(&Settings::default());
        spans
    }

    /// Before the first message.
    pub(crate) fn set(&self, settings: &Settings) {
        let mode = match settings.tell_spans {
            _ if !settings.is_on => OFF,
            TellSpans::Linked => 0,
            TellSpans::NewTrace => 1,
            TellSpans::Child => 2,
        };
        // Relaxed here and below: settings, each read by itself.
        self.mode.store(mode, Ordering::Relaxed);
        self.capacity.store(settings.queue, Ordering::Relaxed);
        self.set_share(settings.sample);
    }

    /// The share of traces that begin here and are recorded, 0 to 1.
    pub(crate) fn set_share(&self, share: f64) {
        let step = if share >= 1.0 {
            ALL
        } else {
            // At most 2^64 - 2^11: the largest number below 1 has 53 bits.
            (share.max(0.0) * 2f64.powi(64)) as u64
        };
        self.step.store(step, Ordering::Relaxed);
    }

    pub(crate) fn share(&self) -> f64 {
        match self.step.load(Ordering::Relaxed) {
            ALL => 1.0,
            step => step as f64 / 2f64.powi(64),
        }
    }

    /// Whether sampled traces are recorded at all.
    pub(crate) fn is_on(&self) -> bool {
        self.mode.load(Ordering::Relaxed) != OFF
    }

    pub(crate) fn tell_spans(&self) -> TellSpans {
        match self.mode.load(Ordering::Relaxed) {
            1 => TellSpans::NewTrace,
            2 => TellSpans::Child,
            _ => TellSpans::Linked,
        }
    }

    /// Whether any trace that begins here is recorded.
    #[inline(always)]
    pub(crate) fn may_begin(&self) -> bool {
        self.step.load(Ordering::Relaxed) != 0
    }

    /// Work comes in without a trace: whether it begins one that is recorded.
    pub(crate) fn begins(&self) -> bool {
        let step = self.step.load(Ordering::Relaxed);
        if step == ALL {
            return self.is_on();
        }
        if step == 0 {
            return false;
        }
        let mut draw = DRAW.get().unwrap_or_else(Draw::new);
        let is_due = draw.step(step);
        DRAW.set(Some(draw));
        is_due && self.is_on()
    }

    /// Takes a finished span. Never waits.
    pub(crate) fn push(&self, span: Box<SpanRecord>) {
        let queue = self.queue.get_or_init(|| {
            let (to, from) = bounded(self.capacity.load(Ordering::Relaxed));
            Queue { to, from }
        });
        // Before it can be seen as recorded: Relaxed is enough, the books are exact at rest.
        self.offered.fetch_add(1, Ordering::Relaxed);
        match queue.to.try_send(span) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The next finished spans, at most so many.
    pub(crate) fn drain(&self, most: usize) -> Vec<Arc<SpanRecord>> {
        let Some(queue) = self.queue.get() else {
            return Vec::new();
        };
        let taken: Vec<Arc<SpanRecord>> = queue.from.try_iter().take(most).map(Arc::from).collect();
        self.recorded
            .fetch_add(taken.len() as u64, Ordering::Relaxed);
        taken
    }

    pub(crate) fn counts(&self) -> SpanCounts {
        let queued = self.queue.get().map_or(0, |queue| queue.from.len());
        SpanCounts {
            offered: self.offered.load(Ordering::Relaxed),
            recorded: self.recorded.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            queued: queued as u64,
        }
    }

    /// The time of day of a tick.
    pub(crate) fn time_of_day(&self, tick: Tick) -> SystemTime {
        let (time, at) = *self.anchor.get_or_init(|| (SystemTime::now(), Tick::now()));
        if tick >= at {
            time + at.until(tick)
        } else {
            time - tick.until(at)
        }
    }
}

#[cfg(test)]
mod tests;

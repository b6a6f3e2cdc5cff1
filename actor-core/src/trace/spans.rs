//! One system's spans: the decision at the edge, and the way from the workers to the collector.
//!
//! ```text
//!   each worker --push--> [ its desk: a spool of briefs ] --take--+
//!                 full: dropped, counted                          +--> collector: store, exporters
//!   the others, and what has text --> [ one queue ] --------------+
//! ```
//!
//! Nobody waits, and nobody is woken but a collector that dozes because there was nothing for a while
//! (`scheduler/bell.rs`): otherwise it looks by itself every now and then, so a worker pays for a copy and never
//! for a system call. A desk and the queue are made with their first span.
//!
//! The law of these books: offered = recorded + dropped + queued.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::brief::Brief;
use super::options::{Settings, TellSpans};
use super::record::{SpanOutcome, SpanRecord};
use crate::clock::Tick;
use crate::random;
use crate::scheduler::Bell;
use crate::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use crate::sync::cache_padded::CachePadded;
use crate::sync::spool::Spool;

/// The spans of one system.
#[derive(Debug)]
pub(crate) struct Spans {
    /// The share of traces that are recorded, of 2^64; `ALL` and 0 are exact.
    step: AtomicU64,
    /// `TellSpans`, or `OFF`.
    mode: AtomicU8,
    capacity: AtomicUsize,
    /// One for each worker.
    desks: Box<[CachePadded<Desk>]>,
    queue: OnceLock<Queue>,
    offered: AtomicU64,
    dropped: AtomicU64,
    recorded: AtomicU64,
    anchor: OnceLock<(SystemTime, Tick)>,
    bell: Bell,
}

#[derive(Debug)]
struct Queue {
    to: Sender<Finished>,
    from: Receiver<Finished>,
}

/// What comes to the collector.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "in the queue's own memory: a box would be an allocation for each ask from outside"
)]
enum Finished {
    Brief(Brief),
    Full(Box<SpanRecord>),
}

/// Where one worker puts its spans.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    spool: OnceLock<Spool<Brief>>,
    /// Written by the worker alone.
    offered: AtomicU64,
    dropped: AtomicU64,
}

/// What `drain` found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drained {
    pub(crate) taken: usize,
    /// How full the fullest way was, in percent.
    pub(crate) fullest: usize,
}

impl Drained {
    fn note(&mut self, taken: usize, capacity: usize) {
        self.taken += taken;
        self.fullest = self.fullest.max(taken * 100 / capacity.max(1));
    }
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
    /// For so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        let spans = Self {
            step: AtomicU64::new(0),
            mode: AtomicU8::new(0),
            capacity: AtomicUsize::new(0),
            desks: (0..workers).map(|_| CachePadded::default()).collect(),
            queue: OnceLock::new(),
            offered: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            anchor: OnceLock::new(),
            bell: Bell::new(),
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

    /// That worker's desk.
    pub(crate) fn desk(&self, worker: usize) -> &Desk {
        &self.desks[worker]
    }

    /// Wakes the collector.
    pub(crate) const fn bell(&self) -> &Bell {
        &self.bell
    }

    /// Takes a finished span. Never waits.
    pub(crate) fn push(&self, span: Box<SpanRecord>) {
        self.queue_up(Finished::Full(span));
    }

    /// As `push`, from a thread that is no worker here.
    pub(crate) fn push_brief(&self, span: Brief) {
        self.queue_up(Finished::Brief(span));
    }

    fn queue_up(&self, span: Finished) {
        let queue = self.queue.get_or_init(|| {
            let (to, from) = bounded(self.capacity.load(Ordering::Relaxed));
            Queue { to, from }
        });
        // Before it can be seen as recorded: Relaxed is enough, the books are exact at rest.
        self.offered.fetch_add(1, Ordering::Relaxed);
        match queue.to.try_send(span) {
            Ok(()) => self.bell.ring_if_dozing(),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Puts a finished span on a worker's desk. Never waits.
    ///
    /// # Safety
    ///
    /// The caller is that worker, of this system.
    #[inline(always)]
    pub(crate) unsafe fn push_at(&self, desk: &Desk, span: impl FnOnce() -> Brief) {
        let spool = desk.spool.get().unwrap_or_else(|| self.equip(desk));
        // Relaxed: written by this thread alone.
        let add = |count: &AtomicU64| {
            count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        };
        add(&desk.offered);
        // SAFETY: by the caller.
        if unsafe { spool.push(span) } {
            self.bell.ring_if_dozing();
        } else {
            add(&desk.dropped);
        }
    }

    #[cold]
    fn equip<'a>(&self, desk: &'a Desk) -> &'a Spool<Brief> {
        let capacity = self.capacity.load(Ordering::Relaxed);
        desk.spool
            .get_or_init(|| Spool::new(capacity.next_power_of_two()))
    }

    /// The finished spans that are there now.
    ///
    /// # Safety
    ///
    /// One thread at a time, and not from within `each`.
    pub(crate) unsafe fn drain(&self, mut each: impl FnMut(Arc<SpanRecord>)) -> Drained {
        let mut drained = Drained::default();
        // First: who asked from outside wrote its span down after the one who answered.
        if let Some(queue) = self.queue.get() {
            let capacity = self.capacity.load(Ordering::Relaxed);
            let mut taken = 0;
            // A bound, because more comes meanwhile.
            for span in queue.from.try_iter().take(capacity) {
                taken += 1;
                each(match span {
                    Finished::Brief(brief) => Arc::new(brief.record(None, SpanOutcome::Ok, self)),
                    Finished::Full(record) => Arc::from(record),
                });
            }
            drained.note(taken, capacity);
        }
        for spool in self.desks.iter().filter_map(|desk| desk.spool.get()) {
            // SAFETY: by the caller.
            let taken = unsafe {
                spool.take(spool.capacity(), |brief| {
                    each(Arc::new(brief.record(None, SpanOutcome::Ok, self)));
                })
            };
            drained.note(taken, spool.capacity());
        }
        self.recorded
            .fetch_add(drained.taken as u64, Ordering::Relaxed);
        drained
    }

    pub(crate) fn counts(&self) -> SpanCounts {
        let mut counts = SpanCounts {
            offered: self.offered.load(Ordering::Relaxed),
            recorded: self.recorded.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            queued: self.queue.get().map_or(0, |queue| queue.from.len()) as u64,
        };
        for desk in &self.desks {
            counts.offered += desk.offered.load(Ordering::Relaxed);
            counts.dropped += desk.dropped.load(Ordering::Relaxed);
            counts.queued += desk.spool.get().map_or(0, Spool::len) as u64;
        }
        counts
    }

    /// Whether nothing waits for the collector.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts().queued == 0
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

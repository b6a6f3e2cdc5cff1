//! Notes what each worker does, while somebody has asked for it.
//!
//! ```text
//!   off:  one relaxed load per turn, park, theft and wake-up, of a flag that lies beside `stopping`
//!   on:   the worker reads the clock and writes into its own log, under a mutex that is free
//! ```
//!
//! *Own logs.* Each thread that takes turns has one, by the index of its seat; threads that are no workers share
//! one for the wake-ups they send. A log belongs to one recording: a turn that outlives its recording finds no
//! log, or another's, in which it has not begun.
//!
//! *Mutex.* It is taken by its worker alone until the end of the recording, so it costs two uncontended
//! steps (about 20 ns, less than the clock), and it makes the end simple: whoever takes the log out has it
//! all. Pointers that a worker follows would need to know when it has left off.
//!
//! *Limits.* All logs draw on one budget, chunk by chunk, so that a busy worker may use what idle ones do not
//! need. When it is used up, events are counted instead of noted, and the moment of the first is kept: up
//! to there the recording is whole. Chunks are allocated by the thread that fills them, on its NUMA node.

use std::time::Instant;

use crate::id::{ActorId, WorkerId};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::cache_padded::CachePadded;
use crate::sync::{Mutex, MutexGuard};

/// All logs of a scheduler.
#[derive(Debug)]
pub(super) struct Recorder {
    /// By seat; behind them those of threads that run one task each; the last is everybody else's.
    logs: Box<[CachePadded<Mutex<Option<Log>>>]>,
    /// Events for which there is room.
    budget: AtomicUsize,
    /// When the first event found none, in nanoseconds since the beginning; [`OPEN`] for never.
    full_at: AtomicU64,
    /// Since when, while one runs.
    running: Mutex<Option<Instant>>,
}

/// One thing that a thread did.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noted {
    /// Nanoseconds since the recording began.
    pub(crate) at: u64,
    /// As `at`; [`OPEN`] if it had not ended when the recording did, and for what has no length.
    pub(crate) ended: u64,
    pub(crate) what: What,
}

/// What it was.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    Turn {
        actor: ActorId,
        actor_type: &'static str,
        messages: u32,
        /// Tasks in the worker's ring when it began.
        queued: u32,
        /// Tasks in the injector of its NUMA node then.
        injector: u32,
    },
    /// `before`: it slept when the recording began.
    Park {
        before: bool,
        woken_by: Option<WokenBy>,
    },
    /// From that seat, or (`None`) from the injector of that NUMA node.
    Steal {
        from: Option<WorkerId>,
        numa_index: u16,
        tasks: u32,
        far: bool,
    },
    /// By the thread with that number, if it is no worker's.
    Wake { woken: WorkerId, thread: u32 },
    /// Its turn has been reported as too long, or (`over`) has ended after that.
    Stall { over: bool },
    /// A spare's.
    Shift,
}

/// Who ended a sleep; not known when it is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WokenBy {
    /// A worker.
    Worker(WorkerId),
    /// A thread that is none: of the user's, tokio's, the watchdog's.
    Outside,
}

/// A sleep that begins.
pub(super) const ASLEEP: What = What::Park {
    before: false,
    woken_by: None,
};
/// A sleep that began before the recording.
const ASLEEP_BEFORE: What = What::Park {
    before: true,
    woken_by: None,
};

/// For what has not ended.
pub(crate) const OPEN: u64 = u64::MAX;

/// What one thread did.
#[derive(Debug)]
pub(super) struct Log {
    began: Instant,
    chunks: Vec<Vec<Noted>>,
    /// Not noted, for want of room.
    dropped: u64,
    /// The turn or the sleep it is in, and the shift.
    open: Option<At>,
    shift: Option<At>,
    /// It slept when the recording began, and has not been heard of since.
    slept_before: bool,
}

/// Where an event lies.
#[derive(Clone, Copy, Debug)]
struct At {
    chunk: usize,
    index: usize,
}

/// A finished log.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) events: Vec<Noted>,
    pub(crate) dropped: u64,
}

/// A finished recording.
#[derive(Debug)]
pub(crate) struct Recording {
    /// In the order of the logs, without the last.
    pub(crate) threads: Vec<Recorded>,
    /// Wake-ups by threads that are no workers of this scheduler.
    pub(crate) others: Recorded,
    /// Nanoseconds.
    pub(crate) lasted: u64,
    /// Nanoseconds since the beginning; up to there nothing is missing.
    pub(crate) whole_until: u64,
}

impl Recorder {
    /// For so many threads.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            logs: (0..=threads).map(|_| CachePadded::default()).collect(),
            budget: AtomicUsize::new(0),
            full_at: AtomicU64::new(OPEN),
            running: Mutex::new(None),
        }
    }

    /// Begins, with room for so many events; `false` if a recording runs already.
    pub(super) fn begin(&self, room: usize) -> bool {
        let mut running = lock(&self.running);
        if running.is_some() {
            return false;
        }
        let now = Instant::now();
        // Relaxed, both: the logs' mutexes hand them over.
        self.budget.store(room, Ordering::Relaxed);
        self.full_at.store(OPEN, Ordering::Relaxed);
        for log in &self.logs {
            *lock(log) = Some(Log::new(now));
        }
        *running = Some(now);
        true
    }

    /// That thread sleeps as the recording begins, so its sleep has no beginning.
    pub(super) fn sleeps_already(&self, index: usize) {
        if let Some(log) = &mut *lock(&self.logs[index]) {
            log.slept_before = log.chunks.is_empty() && log.dropped == 0;
        }
    }

    /// Takes all logs out; `None` if no recording runs.
    pub(super) fn finish(&self) -> Option<Recording> {
        let began = lock(&self.running).take()?;
        let mut threads: Vec<Recorded> = Vec::with_capacity(self.logs.len());
        for log in &self.logs {
            threads.extend(lock(log).take().map(Log::into_recorded));
        }
        // After the last log: no event is later.
        let lasted = nanos(began);
        let others = threads.pop().unwrap_or(Recorded {
            events: Vec::new(),
            dropped: 0,
        });
        Some(Recording {
            threads,
            others,
            lasted,
            whole_until: self.full_at.load(Ordering::Relaxed).min(lasted),
        })
    }

    /// Notes something that begins now.
    pub(super) fn begins(&self, index: usize, what: What) {
        self.with(index, |log| {
            log.slept_before = false;
            log.open = log.push(self, log.now(), OPEN, what);
        });
    }

    /// The turn that thread is in is over.
    pub(super) fn turn_ends(&self, index: usize, handled: u64) {
        self.with(index, |log| {
            let now = log.now();
            let Some(noted) = log.open.take().map(|at| log.at(at)) else {
                return;
            };
            noted.ended = now;
            if let What::Turn { messages, .. } = &mut noted.what {
                *messages = u32::try_from(handled).unwrap_or(u32::MAX);
            }
        });
    }

    /// The sleep that thread is in is over.
    pub(super) fn park_ends(&self, index: usize) {
        self.with(index, |log| {
            let now = log.now();
            if std::mem::take(&mut log.slept_before) {
                log.push(self, 0, now, ASLEEP_BEFORE);
            } else if let Some(at) = log.open.take() {
                log.at(at).ended = now;
            }
        });
    }

    /// A spare's shift begins or ends.
    pub(super) fn shift(&self, index: usize, begins: bool) {
        self.with(index, |log| {
            let now = log.now();
            if begins {
                log.shift = log.push(self, now, OPEN, What::Shift);
            } else if let Some(at) = log.shift.take() {
                log.at(at).ended = now;
            }
        });
    }

    /// Notes something that has no length.
    pub(super) fn note(&self, index: usize, what: What) {
        self.with(index, |log| {
            log.push(self, log.now(), OPEN, what);
        });
    }

    /// Notes what has just ended.
    pub(super) fn note_since(&self, index: Option<usize>, since: Instant, what: What) {
        self.with(index.unwrap_or(self.logs.len() - 1), |log| {
            let at = log.since_beginning(since);
            log.push(self, at, log.now(), what);
        });
    }

    fn with(&self, index: usize, f: impl FnOnce(&mut Log)) {
        if let Some(log) = &mut *lock(&self.logs[index]) {
            f(log);
        }
    }

    /// Room for up to a chunk of events.
    fn chunk(&self) -> Option<Vec<Noted>> {
        // Relaxed, both: a number, nothing is read through it.
        let take = |left: usize| (left > 0).then(|| left.saturating_sub(CHUNK));
        let left = self
            .budget
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()?;
        let mut chunk = Vec::new();
        chunk.try_reserve_exact(left.min(CHUNK)).ok()?;
        Some(chunk)
    }
}

impl Log {
    fn new(began: Instant) -> Self {
        Self {
            began,
            chunks: Vec::new(),
            dropped: 0,
            open: None,
            shift: None,
            slept_before: false,
        }
    }

    fn now(&self) -> u64 {
        nanos(self.began)
    }

    fn since_beginning(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.began);
        u64::try_from(since.as_nanos()).unwrap_or(OPEN - 1)
    }

    fn push(&mut self, recorder: &Recorder, at: u64, ended: u64, what: What) -> Option<At> {
        if self.dropped > 0 {
            // Nothing comes after a gap, or it would look as if nothing had happened in it.
            self.dropped += 1;
            return None;
        }
        let has_room = |chunk: &Vec<Noted>| chunk.len() < chunk.capacity();
        if !self.chunks.last().is_some_and(has_room) {
            let Some(chunk) = recorder.chunk() else {
                self.dropped = 1;
                recorder.full_at.fetch_min(at, Ordering::Relaxed);
                return None;
            };
            self.chunks.push(chunk);
        }
        let chunk = self.chunks.len() - 1;
        let events = &mut self.chunks[chunk];
        events.push(Noted { at, ended, what });
        Some(At {
            chunk,
            index: events.len() - 1,
        })
    }

    fn at(&mut self, at: At) -> &mut Noted {
        &mut self.chunks[at.chunk][at.index]
    }

    fn into_recorded(mut self) -> Recorded {
        let mut events = Vec::new();
        if self.slept_before {
            events.push(Noted {
                at: 0,
                ended: OPEN,
                what: ASLEEP_BEFORE,
            });
        }
        for chunk in self.chunks.drain(..) {
            events.extend(chunk);
        }
        Recorded {
            events,
            dropped: self.dropped,
        }
    }
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(OPEN - 1)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics under this lock")
}

/// Events that a log takes from the budget at once: 28 KiB.
const CHUNK: usize = 512;

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;

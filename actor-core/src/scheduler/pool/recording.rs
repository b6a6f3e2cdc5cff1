//! The scheduler's side of a recording: one at a time, of all its threads.

use std::cell::Cell;
use std::time::Instant;

use super::Scheduler;
use crate::id::WorkerId;
use crate::scheduler::recorder::{Recorder, Recording, What};
use crate::scheduler::seat::{Duty, Seat};
use crate::scheduler::watchdog::Stall;
use crate::scheduler::worker::Worker;
use crate::sync::atomic::{AtomicU32, Ordering};

/// A thread whose doings are recorded, in the order of the recording's logs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recordable {
    pub(crate) worker: WorkerId,
    pub(crate) numa_index: usize,
    pub(crate) kind: ThreadKind,
}

/// What a thread that takes turns is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ThreadKind {
    Worker,
    Spare,
    Dedicated,
}

impl Scheduler {
    /// Whether what workers do is noted.
    #[inline(always)]
    pub(in crate::scheduler) fn is_recorded(&self) -> bool {
        // Relaxed: who sees it late notes a little less, and the logs have an edge of their own.
        self.recording.load(Ordering::Relaxed)
    }

    pub(in crate::scheduler) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Begins to note, with room for so many events; `false` if a recording runs already.
    pub(crate) fn begin_recording(&self, room: usize) -> bool {
        if !self.recorder.begin(room) {
            return false;
        }
        self.recording.store(true, Ordering::Relaxed);
        for seat in &self.seats {
            let is_asleep = self.home(seat.numa_index).idle.is_asleep(seat.slot);
            if seat.duty() != Duty::Off && is_asleep {
                self.recorder.sleeps_already(seat.index);
            }
        }
        true
    }

    /// What was noted since; `None` if nothing runs.
    pub(crate) fn finish_recording(&self) -> Option<Recording> {
        self.recording.store(false, Ordering::Relaxed);
        self.recorder.finish()
    }

    /// Whose logs a recording has.
    pub(crate) fn recordable(&self) -> Vec<Recordable> {
        let seats = self.seats.iter().map(|seat| Recordable {
            worker: seat.worker,
            numa_index: seat.numa_index,
            kind: if seat.index < self.workers {
                ThreadKind::Worker
            } else {
                ThreadKind::Spare
            },
        });
        let own = self.booths.places().map(|(worker, numa_index)| Recordable {
            worker,
            numa_index,
            kind: ThreadKind::Dedicated,
        });
        seats.chain(own).collect()
    }

    /// Unparks a worker and notes it, with how long that took.
    #[cold]
    pub(super) fn unpark_and_note(&self, seat: &Seat) {
        let since = Instant::now();
        seat.unpark();
        match Worker::current() {
            Some(worker) if worker.belongs_to(self) => worker.note_wake(seat.worker, since),
            _ => {
                let what = What::Wake {
                    woken: seat.worker,
                    thread: number_of_thread(),
                };
                self.recorder.note_since(None, since, what);
            }
        }
    }

    /// Notes a stall, which the watchdog has noticed or seen end.
    pub(in crate::scheduler) fn note_stall(&self, index: usize, stall: &Stall) {
        if self.is_recorded() {
            let over = !stall.running;
            self.recorder.note(index, What::Stall { over });
        }
    }
}

/// A number for a thread that is no worker's, to tell it from others.
fn number_of_thread() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    thread_local! {
        static MINE: Cell<u32> = const { Cell::new(0) };
    }
    if MINE.get() == 0 {
        MINE.set(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    MINE.get()
}

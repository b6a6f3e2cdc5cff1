//! What a worker tells the recorder, if a recording runs: apart from the loop, and cold.
//!
//! Every method looks at the flag first, and is nothing more than that look without a recording. It is the
//! scheduler's, on the line that the loop reads at every turn to see whether it is to stop.

use std::time::Instant;

use super::Worker;
use crate::id::WorkerId;
use crate::scheduler::recorder::{ASLEEP, What};
use crate::scheduler::seat::Seat;
use crate::scheduler::task::{After, Task};

impl Worker {
    #[inline(always)]
    pub(super) fn is_recorded(&self) -> bool {
        self.scheduler.is_recorded()
    }

    /// `turn`, with its beginning and its end.
    #[cold]
    #[inline(never)]
    pub(super) fn recorded_turn(&self, task: Task, turn: impl FnOnce() -> After) -> After {
        let (recorder, driver) = (self.scheduler.recorder(), self.scheduler.driver());
        let me = self.seat.index;
        let (actor, actor_type) = driver.describe(task);
        let waiting = |tasks: usize| u32::try_from(tasks).unwrap_or(u32::MAX);
        let what = What::Turn {
            actor,
            actor_type,
            messages: 0,
            queued: waiting(self.seat.ring.len()),
            injector: waiting(self.home.injector.len()),
        };
        recorder.begins(me, what);
        let before = driver.handled(self);
        let after = turn();
        recorder.turn_ends(me, driver.handled(self).wrapping_sub(before));
        after
    }

    /// `sleep`, from its beginning to its end.
    #[inline(always)]
    pub(in crate::scheduler) fn note_park<R>(&self, sleep: impl FnOnce() -> R) -> R {
        if self.is_recorded() {
            self.park_begins();
        }
        let woken = sleep();
        if self.is_recorded() {
            self.park_ends();
        }
        woken
    }

    #[cold]
    fn park_begins(&self) {
        self.scheduler.recorder().begins(self.seat.index, ASLEEP);
    }

    #[cold]
    fn park_ends(&self) {
        self.scheduler.recorder().park_ends(self.seat.index);
    }

    /// The first of them is about to be run, the others are in the ring, where nothing was before.
    #[inline(always)]
    pub(super) fn note_steal_near(&self, from: &Seat) {
        if self.is_recorded() {
            let tasks = self.seat.ring.len() + 1;
            self.note_steal(Some(from.worker), from.numa_index, tasks, false);
        }
    }

    /// One task, from a ring or (`None`) the injector there.
    #[inline(always)]
    pub(super) fn note_steal_far(&self, from: Option<WorkerId>, numa_index: usize) {
        if self.is_recorded() {
            self.note_steal(from, numa_index, 1, true);
        }
    }

    #[cold]
    fn note_steal(&self, from: Option<WorkerId>, numa_index: usize, tasks: usize, far: bool) {
        let what = What::Steal {
            from,
            numa_index: u16::try_from(numa_index).unwrap_or(u16::MAX),
            tasks: u32::try_from(tasks).unwrap_or(u32::MAX),
            far,
        };
        self.scheduler.recorder().note(self.seat.index, what);
    }

    /// A spare's shift, with its beginning and its end.
    pub(super) fn note_shift(&self, shift: impl FnOnce()) {
        let recorder = self.scheduler.recorder();
        if self.is_recorded() {
            recorder.shift(self.seat.index, true);
        }
        shift();
        if self.is_recorded() {
            recorder.shift(self.seat.index, false);
        }
    }

    /// It has woken another since then.
    #[cold]
    pub(in crate::scheduler) fn note_wake(&self, woken: WorkerId, since: Instant) {
        let what = What::Wake { woken, thread: 0 };
        let recorder = self.scheduler.recorder();
        recorder.note_since(Some(self.seat.index), since, what);
    }
}

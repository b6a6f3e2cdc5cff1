//! Plain counters with one writer each, and what is read from them.
//!
//! A counter is written by its worker alone, with a load and a store: no locked instruction on the
//! hot path. Readers see each number whole, but not all of them at the same moment.

use super::task::Task;
use crate::id::WorkerId;
use crate::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread counts up and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Only the owner calls this; a second writer would lose counts.
    #[inline(always)]
    pub(crate) fn add(&self, n: u64) {
        // Relaxed: a statistic, nothing is read through it.
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.wrapping_add(n), Ordering::Relaxed);
    }

    /// As `add`, to set it.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// One worker's counters, in lines that it shares with nobody (see `seat::Own`).
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        /// What one worker has done since it started, or the sum over several.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Counts {
            $($(#[$doc])* pub(crate) $name: u64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Counts {
                Counts { $($name: self.$name.get(),)* }
            }
        }

        impl std::ops::AddAssign for Counts {
            fn add_assign(&mut self, other: Self) {
                $(self.$name = self.$name.wrapping_add(other.$name);)*
            }
        }
    };
}

counters! {
    /// Turns begun. A watchdog that sees it stand still knows that one turn has not ended.
    turns,
    /// Turns of tasks from the LIFO slot.
    lifo_hits,
    /// Successful thefts from a ring of the worker's own NUMA node (each of one or more tasks).
    steals_near,
    /// Tasks taken from another NUMA node, one at a time.
    steals_far,
    /// Tasks taken from the NUMA node's injector.
    injector_pops,
    /// Times the worker went to sleep in the kernel.
    parks,
    /// Workers this one has woken.
    wakes_sent,
    /// Times the worker's ring was full and tasks went to the injector.
    overflows,
}

/// One worker at one moment.
#[derive(Clone, Debug)]
pub(crate) struct WorkerStats {
    pub(crate) worker: WorkerId,
    pub(crate) numa_index: usize,
    pub(crate) counts: Counts,
    /// Tasks in its ring, about.
    pub(crate) queued: usize,
}

/// A thread that runs one task alone.
#[derive(Clone, Debug)]
pub(crate) struct DedicatedStats {
    pub(crate) worker: WorkerId,
    pub(crate) numa_index: usize,
    /// Whom it runs.
    pub(crate) task: Task,
    /// Of the thread's place, whoever had it before included.
    pub(crate) counts: Counts,
}

/// One NUMA node at one moment.
#[derive(Clone, Debug)]
pub(crate) struct NumaStats {
    /// Tasks in its injector.
    pub(crate) queued: usize,
    /// Workers that sleep or are about to.
    pub(crate) asleep: usize,
}

/// The scheduler at one moment; parts are read one after the other.
#[derive(Clone, Debug)]
pub(crate) struct SchedulerStats {
    /// The sum over all workers.
    pub(crate) total: Counts,
    /// Workers woken by threads that are not workers of this scheduler.
    pub(crate) wakes_from_outside: u64,
    /// In the order of `Config::seats`; spares are in the sums only.
    pub(crate) workers: Vec<WorkerStats>,
    /// By NUMA index.
    pub(crate) numa: Vec<NumaStats>,
    /// By NUMA index of the thieves and then of those they took from: tasks taken.
    pub(crate) stolen: Vec<Vec<u64>>,
    /// Those that have a thread of their own; in the sum as well.
    pub(crate) dedicated: Vec<DedicatedStats>,
    pub(crate) stalls: StallCounts,
}

/// What the watchdog has seen and done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StallCounts {
    /// Turns that were reported.
    pub(crate) stalls: u64,
    /// Of those, turns that go on.
    pub(crate) running: u64,
    /// The longest of them, in nanoseconds.
    pub(crate) longest: u64,
    /// Times a spare began a shift.
    pub(crate) relieved: u64,
    /// Times none was left to begin one.
    pub(crate) exhausted: u64,
    /// Spares on their shift now.
    pub(crate) on_duty: u64,
    /// Threads of spares, on duty or not.
    pub(crate) spare_threads: u64,
}

impl SchedulerStats {
    #[cfg(test)]
    /// Tasks in all queues, about; LIFO slots are not visible from outside.
    pub(crate) fn queued(&self) -> usize {
        let rings: usize = self.workers.iter().map(|worker| worker.queued).sum();
        let injectors: usize = self.numa.iter().map(|numa| numa.queued).sum();
        rings + injectors
    }
}

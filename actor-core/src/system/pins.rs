//! Workers and their CPUs while the system runs.
//!
//! A worker is pinned once, by itself, before it takes its seat. The kernel may undo that: when a CPU is
//! taken offline it gives the threads that were bound to it a wider mask, and it does not give the old one
//! back when the CPU returns. Others may change a mask, too (`taskset -p`). So the watchdog compares the
//! masks with the pins twice a second:
//!
//! ```text
//!   the mask is              it means                                  what is done
//!   the CPU alone            all is well                               a loss is over, if there was one
//!   the CPU and others       it is back, or somebody widened the mask  pinned again
//!   others only              the CPU is offline or forbidden, or       told once; left alone
//!                            somebody moved the thread
//! ```
//!
//! A pin only ever takes CPUs away from a mask. So nobody is worked against who moves a thread off a CPU, and
//! no thread leaves what it was confined to. Meanwhile the worker works, on the CPUs it was given.
//!
//! A thread's number is used only while the thread runs: it takes its number back at its end, and both
//! happen under the lock of its entry.

use std::cell::RefCell;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::SystemRef;
use crate::contain::log;
use crate::id::{CpuId, WorkerId};
use crate::scheduler::{Chore, Pin};
use crate::topology::affinity::{self, ThreadNumber};
use crate::topology::{Seat, cpu_list};

/// A worker whose CPU was taken from it: it works on others.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostPin {
    /// The worker.
    pub worker: WorkerId,
    /// The CPU it was pinned to.
    pub cpu: CpuId,
    /// When that was noticed.
    pub since: Instant,
    /// The CPUs it may run on now. None: it sleeps, and the kernel gives it others when it wakes.
    pub runs_on: Vec<CpuId>,
}

impl fmt::Display for LostPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs_on = match &self.runs_on[..] {
            [] => "sleeps, and wakes on another".to_owned(),
            cpus => format!(
                "runs on CPUs {}",
                cpu_list::format(cpus.iter().map(|cpu| cpu.0))
            ),
        };
        write!(
            f,
            "{} has lost {} and {runs_on}: the CPU is offline or outside of the cpuset, or \
             the thread was moved from outside",
            self.worker, self.cpu
        )
    }
}

impl SystemRef {
    /// The workers that have lost the CPU they were pinned to, because it was taken offline or out of the
    /// cpuset, or because the thread was moved from outside. They work all the same, where the kernel lets
    /// them, and are pinned again within a second of the CPU's return.
    ///
    /// Each loss and each return is also a line in the log. Looked after by the watchdog
    /// ([`SystemBuilder::watchdog`](crate::SystemBuilder::watchdog)), while any worker is awake: empty without
    /// it, where threads cannot be pinned, and for workers in [`pin_failures`](Self::pin_failures).
    pub fn lost_pins(&self) -> Vec<LostPin> {
        self.plan.pins.lost()
    }
}

impl SystemRef {
    /// The time that each worker has spent on a CPU since it was started, in their order; `None` for one that was not
    /// pinned, and where the kernel does not tell (`/proc/self/task/*/schedstat`). Over some time it tells how loaded
    /// they are.
    ///
    /// Reads a small file for each worker: some microseconds each, on the calling thread.
    pub fn worker_cpu_times(&self) -> Vec<Option<Duration>> {
        let seats = self.plan.seats.iter();
        seats
            .map(|seat| self.plan.pins.cpu_time(seat.worker))
            .collect()
    }
}

/// The pins of a system's workers, by their numbers; `None` for one without a CPU to be pinned to.
#[derive(Debug, Default)]
pub(super) struct Pins(Box<[Option<Arc<Mutex<Entry>>>]>);

#[derive(Debug)]
struct Entry {
    worker: WorkerId,
    cpu: CpuId,
    /// While it runs, pinned.
    thread: Option<ThreadNumber>,
    lost: Option<LostPin>,
}

impl Pins {
    /// Of all seats, in their order; of none if nobody is to be pinned.
    pub(super) fn new(seats: &[Seat]) -> Arc<Self> {
        let entry = |seat: &Seat| {
            Some(Arc::new(Mutex::new(Entry {
                worker: seat.worker,
                cpu: seat.cpu?,
                thread: None,
                lost: None,
            })))
        };
        Arc::new(Self(seats.iter().map(entry).collect()))
    }

    /// What pins that worker, on its thread.
    pub(super) fn pin(&self, worker: WorkerId, allowed: &Arc<[CpuId]>) -> Option<Pin> {
        let entry = self.0.get(usize::from(worker.0))?.as_ref()?;
        let (entry, allowed) = (Arc::clone(entry), Arc::clone(allowed));
        Some(Box::new(move || {
            let cpu = lock(&entry).cpu;
            affinity::pin_current_thread(cpu, &allowed).map_err(|error| error.to_string())?;
            lock(&entry).thread = affinity::current_thread_number();
            TENURE.set(Some(Tenure(entry)));
            Ok(())
        }))
    }

    /// Compares the pins with what the kernel says.
    pub(super) fn chore(self: &Arc<Self>) -> Chore {
        let pins = Arc::clone(self);
        Box::new(move || pins.look())
    }

    fn look(&self) {
        for entry in self.0.iter().flatten() {
            let news = lock(entry).look();
            // Subscribers are not ours: no lock is held.
            match news {
                News::None => {}
                News::Lost(lost) => {
                    log!(warn, worker = %lost.worker, cpu = %lost.cpu, "{lost}");
                }
                News::Back(worker, cpu) => {
                    log!(warn, %worker, %cpu, "{worker} is pinned to {cpu} again");
                }
            }
        }
    }

    fn cpu_time(&self, worker: WorkerId) -> Option<Duration> {
        let entry = lock(self.0.get(usize::from(worker.0))?.as_ref()?);
        // Under the lock: it still runs.
        affinity::cpu_time_of(entry.thread?)
    }

    fn lost(&self) -> Vec<LostPin> {
        let lost = |entry: &Arc<Mutex<Entry>>| lock(entry).lost.clone();
        self.0.iter().flatten().filter_map(lost).collect()
    }
}

/// What is worth a line.
enum News {
    None,
    Lost(LostPin),
    Back(WorkerId, CpuId),
}

impl Entry {
    fn look(&mut self) -> News {
        let (worker, cpu) = (self.worker, self.cpu);
        let Some(thread) = self.thread else {
            self.lost = None;
            return News::None;
        };
        // Refused to ask: nothing is known, so nothing changes.
        let Ok(runs_on) = affinity::cpus_of(thread) else {
            return News::None;
        };
        match judge(cpu, &runs_on) {
            Verdict::Kept => match self.lost.take() {
                Some(_) => News::Back(worker, cpu),
                None => News::None,
            },
            Verdict::Widened => match affinity::pin_thread(thread, cpu) {
                Ok(()) => {
                    self.lost = None;
                    News::Back(worker, cpu)
                }
                // It has gone this moment, or pins are forbidden by now.
                Err(_) => self.loses(runs_on),
            },
            Verdict::Away => self.loses(runs_on),
        }
    }

    fn loses(&mut self, runs_on: Vec<CpuId>) -> News {
        if let Some(lost) = &mut self.lost {
            lost.runs_on = runs_on;
            return News::None;
        }
        let lost = LostPin {
            worker: self.worker,
            cpu: self.cpu,
            since: Instant::now(),
            runs_on,
        };
        self.lost = Some(lost.clone());
        News::Lost(lost)
    }
}

/// What a mask means for a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Kept,
    Widened,
    Away,
}

fn judge(cpu: CpuId, runs_on: &[CpuId]) -> Verdict {
    match runs_on {
        [only] if *only == cpu => Verdict::Kept,
        several if several.contains(&cpu) => Verdict::Widened,
        _ => Verdict::Away,
    }
}

/// Held by a pinned thread until its end.
struct Tenure(Arc<Mutex<Entry>>);

impl Drop for Tenure {
    fn drop(&mut self) {
        lock(&self.0).thread = None;
    }
}

thread_local! {
    static TENURE: RefCell<Option<Tenure>> = const { RefCell::new(None) };
}

fn lock(entry: &Mutex<Entry>) -> MutexGuard<'_, Entry> {
    // Nothing under this lock leaves an entry half changed.
    entry.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "pins_tests.rs"]
mod tests;

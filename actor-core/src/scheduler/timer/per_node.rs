//! A wheel for each NUMA node, each with its lock, its memory and its thread there.
//!
//! A timer that an actor sets goes to the wheel of the actor's home: the lock is taken by workers of one
//! NUMA node, the entry lies there, and the thread that rings pushes into a mailbox next door. An ask's
//! deadline goes to the wheel of the NUMA node that asks, which is who is woken.
//!
//! A timer's key knows its wheel. So whoever moves to another NUMA node cancels what it has set before
//! where that is; what it sets from then on goes to its new home, the next tick of an interval as well.
//!
//! Timers of different wheels have no order among each other within one millisecond.

use std::io;
use std::task::Waker;

use crate::clock::Tick;

use super::alarm::{Alarm, Due};
use super::service::{Service, TimerStats};
use super::wheel::Key;

/// Names one timer of one `Timers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TimerKey {
    key: Key,
    wheel: u8,
}

impl TimerKey {
    /// Fits no timer.
    pub(crate) const FITS_NOTHING: Self = Self {
        key: Key::FITS_NOTHING,
        wheel: 0,
    };
}

/// Where one wheel turns.
pub(crate) struct Spot {
    /// Of its thread.
    pub(crate) name: String,
    /// The arena that its entries lie in.
    pub(crate) arena: u8,
    /// The first thing its thread does: moves to its NUMA node's CPUs, say.
    pub(crate) begin: Box<dyn FnOnce() + Send>,
}

/// Wakes wakers and rings alarms at given times, by NUMA index. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Timers {
    services: Box<[Service]>,
}

impl Timers {
    /// Starts a thread for each spot; the first is NUMA index 0, and so on.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a thread; those that have started are stopped.
    pub(crate) fn start(spots: impl IntoIterator<Item = Spot>) -> io::Result<Self> {
        let start = |spot: Spot| Service::start(spot.name, spot.arena, spot.begin);
        Ok(Self {
            services: spots.into_iter().map(start).collect::<io::Result<_>>()?,
        })
    }

    /// As [`Service::wake_at`], on the wheel of that NUMA index.
    pub(crate) fn wake_at(&self, numa_index: usize, at: Tick, waker: Waker) -> TimerKey {
        self.insert(numa_index, at, Due::Wake(waker))
    }

    /// As [`wake_at`](Self::wake_at): rings `alarm` once, on the thread of that wheel.
    pub(crate) fn ring_at(&self, numa_index: usize, at: Tick, alarm: Alarm) -> TimerKey {
        self.insert(numa_index, at, Due::Ring(alarm))
    }

    fn insert(&self, numa_index: usize, at: Tick, due: Due) -> TimerKey {
        // A simulation has one wheel for all its NUMA nodes: its timers have one order.
        let wheel = numa_index.min(self.services.len() - 1);
        TimerKey {
            key: self.services[wheel].insert(at, due),
            wheel: wheel as u8,
        }
    }

    /// Takes a timer back. False when it was cancelled before, has fired, or is about to wake its
    /// waker on its timer thread.
    pub(crate) fn cancel(&self, key: TimerKey) -> bool {
        self.services[usize::from(key.wheel)].cancel(key.key)
    }

    /// Has the timer wake `waker` instead of the waker it has; free when they wake the same task.
    /// False, and nothing is done, when `cancel` would say so.
    pub(crate) fn replace_waker(&self, key: TimerKey, waker: &Waker) -> bool {
        self.services[usize::from(key.wheel)].replace_waker(key.key, waker)
    }

    /// Ends the threads and waits for them; see [`Service::stop`].
    pub(crate) fn stop(&self) {
        for service in &self.services {
            service.stop();
        }
    }

    /// Panics caught while timers fired.
    pub(crate) fn waker_panics(&self) -> u64 {
        self.services
            .iter()
            .map(|service| service.stats().waker_panics)
            .sum()
    }

    /// What the timers of that NUMA index did so far; nothing where it has no wheel of its own.
    pub(crate) fn stats(&self, numa_index: usize) -> TimerStats {
        let service = self.services.get(numa_index);
        service.map_or_else(TimerStats::default, Service::stats)
    }
}

#[cfg(feature = "testkit")]
impl Timers {
    /// Timers of a system whose time stands still between two calls of [`fire_due`](Self::fire_due).
    pub(crate) fn without_thread(now: Tick, arena: u8) -> Self {
        Self {
            services: Box::new([Service::without_thread(now, arena)]),
        }
    }

    /// A time before which nothing fires; `None` when no timer waits.
    pub(crate) fn next_expiry(&self) -> Option<Tick> {
        self.services.iter().filter_map(Service::next_expiry).min()
    }

    /// Fires all whose time has come, in the order of their times, then of their starts.
    pub(crate) fn fire_due(&self, now: Tick) {
        for service in &self.services {
            service.fire_due(now);
        }
    }
}

#[cfg(test)]
#[path = "per_node_tests.rs"]
mod tests;

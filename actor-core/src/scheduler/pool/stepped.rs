//! A scheduler whose workers have no threads, for the machine model: whoever holds a `Stepped` takes each
//! worker's steps one by one (`worker/stepped.rs`).

use std::time::Duration;

use super::{Booths, Config, CrossNuma, Driver, Home, Scheduler, steal};
use crate::id::WorkerId;
use crate::scheduler::recorder::Recorder;
use crate::scheduler::ring::Local;
use crate::scheduler::seat::{Duty, Place, Seat};
use crate::scheduler::task::{After, Task};
use crate::scheduler::worker::Worker;
use crate::sync::atomic::AtomicBool;
use crate::sync::cache_padded::CachePadded;
use crate::sync::{Condvar, Mutex};

/// A seat and the owner's end of its ring.
pub(in crate::scheduler) type Seated = (&'static Seat, Local);

impl Scheduler {
    /// Workers per NUMA index, the distances between these, and two of the numbers of `Config`.
    ///
    /// Leaked, as every scheduler is.
    pub(in crate::scheduler) fn stepped(
        members: &[usize],
        distances: &[Vec<u32>],
        cross_numa: CrossNuma,
        lifo_streak_max: u32,
    ) -> (&'static Self, Vec<Seated>) {
        let mut seated: Vec<Seated> = Vec::new();
        let numa_nodes = members.len();
        for (numa_index, &members) in members.iter().enumerate() {
            for slot in 0..members {
                let index = seated.len();
                let place = Place {
                    worker: WorkerId(u16::try_from(index).unwrap_or(u16::MAX)),
                    numa_index,
                    index,
                    slot,
                };
                let (seat, local) = Seat::new(place, Duty::On, numa_nodes);
                seated.push((Box::leak(seat), local));
            }
        }
        let seats: Box<[&'static Seat]> = seated.iter().map(|(seat, _)| *seat).collect();
        let homes = members.iter().enumerate().map(|(numa_index, &members)| {
            let here = seats.iter().copied();
            Home::new(
                here.filter(|seat| seat.numa_index == numa_index).collect(),
                members,
                steal::groups_by_distance(&distances[numa_index], numa_index),
                distances[numa_index].clone().into(),
            )
        });
        let scheduler: &'static Self = Box::leak(Box::new(Self {
            driver: &NoTurns,
            homes: homes.collect(),
            workers: seats.len(),
            seats,
            booths: Booths::none(),
            watchdog: CachePadded::default(),
            evicting: Mutex::new(()),
            cross_numa,
            lifo_streak_max,
            spin: Duration::ZERO,
            stopping: AtomicBool::new(false),
            recording: AtomicBool::new(false),
            recorder: Recorder::new(0),
            pin_failures: Vec::new(),
            wakes_from_outside: CachePadded::default(),
            threads: CachePadded(Mutex::new(Vec::new())),
            thread_gone: Condvar::new(),
        }));
        (scheduler, seated)
    }

    /// The defaults that a model shares: when to look beyond home, the LIFO streak, the time of spinning.
    pub(crate) fn defaults() -> (CrossNuma, u32, Duration) {
        let config = Config::new(Vec::new());
        (config.cross_numa, config.lifo_streak_max, config.spin)
    }
}

/// The model takes the turns itself.
struct NoTurns;

impl Driver for NoTurns {
    unsafe fn take_turn(&self, _: Task, _: &Worker) -> After {
        After::Done
    }
}

//! A scheduler without workers, for the test kit: what is scheduled waits until somebody takes it out
//! with `drain_remaining` and runs it on a thread of his own.

use std::time::Duration;

use super::{Booths, Config, Driver, Home, Scheduler};
use crate::scheduler::recorder::Recorder;
use crate::sync::atomic::AtomicBool;
use crate::sync::cache_padded::CachePadded;
use crate::sync::{Condvar, Mutex};

impl Scheduler {
    /// For that many NUMA nodes, each with an injector and nobody to empty it.
    pub(crate) fn without_workers(numa_nodes: usize, driver: &'static dyn Driver) -> &'static Self {
        let config = Config::new(Vec::new());
        let homes = (0..numa_nodes)
            .map(|_| Home::new(Box::default(), 0, Box::default(), Box::default()))
            .collect();
        Box::leak(Box::new(Self {
            driver,
            homes,
            seats: Box::default(),
            workers: 0,
            booths: Booths::none(),
            watchdog: CachePadded::default(),
            evicting: Mutex::new(()),
            cross_numa: config.cross_numa,
            lifo_streak_max: config.lifo_streak_max,
            spin: Duration::ZERO,
            stopping: AtomicBool::new(false),
            recording: AtomicBool::new(false),
            recorder: Recorder::new(0),
            pin_failures: Vec::new(),
            wakes_from_outside: CachePadded::default(),
            threads: CachePadded(Mutex::new(Vec::new())),
            thread_gone: Condvar::new(),
        }))
    }
}

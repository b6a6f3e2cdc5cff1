//! Models of the injector: a task handed over is out exactly once, and none stays behind when the
//! system stops while somebody schedules. The twin looks at the length without the lock first.

// std's: loom's would panic a second time when it is dropped after a violation was found.
use std::sync::Arc;

use super::super::task::{Chain, Link, Task};
use super::Injector;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::thread;

/// One that is told apart by its address. Leaked: see `inbox_loom`.
fn task() -> Task {
    let link = std::ptr::NonNull::from(Box::leak(Box::new(Link::new())));
    // SAFETY: leaked, and scheduled once.
    unsafe { Task::from_raw(link) }
}

fn check(threads: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(threads);
    builder.check(model);
}

fn count(chain: Option<Chain>) -> usize {
    chain.into_iter().flatten().count()
}

/// The end of `Runtime::schedule` against the end of a shutdown: either the sweep sees the task, or its
/// scheduler saw the stop and sweeps itself.
fn schedule_against_stop(drain: fn(&Injector) -> Option<Chain>) {
    check(3, move || {
        let shared = Arc::new((Injector::new(), AtomicBool::new(false)));
        let theirs = shared.clone();
        let scheduler = thread::spawn(move || {
            let (injector, stopping) = &*theirs;
            injector.push(task());
            // Acquire: as `Scheduler::is_stopping`.
            if stopping.load(Ordering::Acquire) {
                return count(drain(injector));
            }
            0
        });
        let (injector, stopping) = &*shared;
        // Release: as `Scheduler::stop`.
        stopping.store(true, Ordering::Release);
        let swept = count(drain(injector));
        let late = scheduler.join().unwrap();
        assert_eq!(swept + late, 1, "a task is swept exactly once");
    });
}

#[test]
fn loom_injector_hands_each_task_over_once() {
    check(2, || {
        let injector = Arc::new(Injector::new());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let injector = injector.clone();
                thread::spawn(move || {
                    injector.push(task());
                    // One NUMA node's worker takes what another's has pushed.
                    count(injector.take_share(1))
                })
            })
            .collect();
        let taken: usize = threads.into_iter().map(|each| each.join().unwrap()).sum();
        assert_eq!(taken + count(injector.take_all()), 2);
    });
}

#[test]
fn loom_injector_schedule_against_stop() {
    schedule_against_stop(Injector::take_all);
}

#[test]
#[should_panic(expected = "a task is swept exactly once")]
fn loom_injector_drained_by_a_look_without_the_lock_is_caught() {
    schedule_against_stop(|injector| injector.take(|len| len));
}

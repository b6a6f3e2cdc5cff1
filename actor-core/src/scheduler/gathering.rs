//! One wake-up for many tasks: a thread that is about to schedule a batch of them, and that is no worker, wakes
//! workers when it is done with the batch.
//!
//! Otherwise the first message for an idle actor wakes a worker, which on a busy machine takes the very CPU of the
//! thread that delivers, handles that one message, and sleeps again: two switches of threads for each message
//! rather than for each batch.
//!
//! To the protocol of sleep and wake (README) it is a publisher that takes its time between publishing and
//! looking: the call comes later, but it comes, also if the batch ends by a panic. So a batch must be short and
//! must not wait for anything. One call is enough for many tasks, since who is woken hands on
//! (`loom_idle_ramp_up_by_a_batch`, and its twins).

use std::cell::{Cell, RefCell};

use super::pool::Scheduler;
use super::worker::Worker;

thread_local! {
    static IS_GATHERING: Cell<bool> = const { Cell::new(false) };
    /// Where work was published: mostly one home, and never many.
    static KEPT: RefCell<Vec<(&'static Scheduler, usize)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work`; the workers that it has something for are woken at its end.
pub(crate) fn gather<T>(work: impl FnOnce() -> T) -> T {
    if Worker::current().is_some() || IS_GATHERING.replace(true) {
        // What a worker schedules it mostly runs itself; or this is within another batch.
        return work();
    }
    let _call = Call;
    work()
}

/// Keeps the call of that home for the end of the batch; `false`: there is no batch.
pub(super) fn keep(scheduler: &'static Scheduler, numa_index: usize) -> bool {
    if !IS_GATHERING.get() {
        return false;
    }
    KEPT.with_borrow_mut(|kept| {
        let is_known =
            |it: &(&'static Scheduler, usize)| std::ptr::eq(it.0, scheduler) && it.1 == numa_index;
        if !kept.iter().any(is_known) {
            kept.push((scheduler, numa_index));
        }
    });
    true
}

struct Call;

impl Drop for Call {
    fn drop(&mut self) {
        IS_GATHERING.set(false);
        // One at a time: nothing is borrowed while a worker is woken.
        while let Some((scheduler, numa_index)) = KEPT.with_borrow_mut(Vec::pop) {
            scheduler.call(numa_index);
        }
    }
}

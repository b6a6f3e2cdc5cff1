//! Models of sleep and wake with the real `Idle`, `Parker` and `Injector`: no task waits while a
//! worker sleeps. Each twin leaves out one step and must deadlock.

// std's: loom's would panic a second time when it is dropped after a deadlock was found.
use std::sync::Arc;

use super::super::injector::Injector;
use super::super::park::Parker;
use super::super::task::{Link, Task};
use super::{Idle, Protocol, Searching, Sleep, Sound};
use crate::sync::thread;

struct NoFenceOfPublisher;

impl Protocol for NoFenceOfPublisher {
    fn fence_publish() {}
}

struct NoFenceOfSleeper;

impl Protocol for NoFenceOfSleeper {
    fn fence_sleep() {}
}

struct NoFenceOfLeaver;

impl Protocol for NoFenceOfLeaver {
    fn fence_leave() {}
}

struct NoHandingOn;

impl Protocol for NoHandingOn {
    const HAND_ON: bool = false;
}

/// A NUMA node without rings.
struct Home<P> {
    injector: Injector,
    idle: Idle<P>,
    parkers: Vec<Parker>,
    links: Vec<Link>,
}

impl<P: Protocol> Home<P> {
    fn new(workers: usize, tasks: usize) -> Arc<Self> {
        Arc::new(Self {
            injector: Injector::new(),
            idle: Idle::new(workers, workers),
            parkers: (0..workers).map(|_| Parker::new()).collect(),
            links: (0..tasks).map(|_| Link::new()).collect(),
        })
    }

    fn submit(&self, i: usize) {
        // SAFETY: the links live as long as the home, and each is submitted once.
        self.injector
            .push(unsafe { Task::from_raw((&self.links[i]).into()) });
        self.unpark(self.idle.wake_one());
    }

    /// All of them, and one call for all (`gathering`).
    fn submit_together(&self, tasks: usize) {
        for i in 0..tasks {
            // SAFETY: as above.
            self.injector
                .push(unsafe { Task::from_raw((&self.links[i]).into()) });
        }
        self.unpark(self.idle.wake_one());
    }

    fn unpark(&self, worker: Option<usize>) {
        if let Some(worker) = worker {
            self.parkers[worker].unpark();
        }
    }

    fn has_work(&self) -> bool {
        self.injector.len() > 0
    }

    /// One task, however long it takes: `Worker::seek` without the spinning.
    fn take_one(&self, me: usize) {
        if self.injector.pop().is_some() {
            return;
        }
        let mut searching = self.idle.start_searching(me);
        loop {
            if searching.is_some() && self.injector.pop().is_some() {
                if let Some(was) = searching {
                    self.unpark(self.idle.stop_searching(me, was, || self.has_work()));
                }
                return;
            }
            searching = Some(match self.idle.sleep(me, searching, || self.has_work()) {
                Sleep::Searching(searching) => searching,
                Sleep::Asleep(asleep) => self.park(me, asleep),
            });
        }
    }

    fn park(&self, me: usize, mut asleep: super::Asleep) -> Searching {
        loop {
            self.parkers[me].park();
            match self.idle.woken(me, asleep) {
                Ok(searching) => return searching,
                Err(stale) => asleep = stale,
            }
        }
    }
}

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// One worker; two tasks from one thread. The worker goes to sleep in every possible place.
fn sleep_against_submit<P: Protocol + 'static>() {
    check(3, || {
        let home = Home::<P>::new(1, 2);
        let theirs = home.clone();
        let worker = thread::spawn(move || {
            theirs.take_one(0);
            theirs.take_one(0);
        });
        home.submit(0);
        home.submit(1);
        worker.join().unwrap();
    });
}

/// Two workers that take one task each and are busy for ever after; two tasks. So both must wake:
/// the second may rely on the first to be told, or on the publisher.
fn ramp_up<P: Protocol + 'static>() {
    check(2, || {
        let home = Home::<P>::new(2, 2);
        let workers: Vec<_> = (0..2)
            .map(|me| {
                let home = home.clone();
                thread::spawn(move || home.take_one(me))
            })
            .collect();
        home.submit(0);
        home.submit(1);
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

/// As `ramp_up`, with both tasks in one batch: whoever is called must hand on.
fn ramp_up_by_a_batch<P: Protocol + 'static>() {
    check(2, || {
        let home = Home::<P>::new(2, 2);
        let workers: Vec<_> = (0..2)
            .map(|me| {
                let home = home.clone();
                thread::spawn(move || home.take_one(me))
            })
            .collect();
        home.submit_together(2);
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

#[test]
fn loom_idle_ramp_up_by_a_batch() {
    ramp_up_by_a_batch::<Sound>();
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_idle_batch_without_handing_on_is_caught() {
    ramp_up_by_a_batch::<NoHandingOn>();
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_idle_batch_without_fence_of_publisher_is_caught() {
    ramp_up_by_a_batch::<NoFenceOfPublisher>();
}

#[test]
fn loom_idle_sleep_against_submit() {
    sleep_against_submit::<Sound>();
}

#[test]
fn loom_idle_ramp_up() {
    ramp_up::<Sound>();
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_idle_without_fence_of_publisher_is_caught() {
    sleep_against_submit::<NoFenceOfPublisher>();
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_idle_without_fence_of_sleeper_is_caught() {
    sleep_against_submit::<NoFenceOfSleeper>();
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_idle_without_fence_of_leaver_is_caught() {
    ramp_up::<NoFenceOfLeaver>();
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_idle_without_handing_on_is_caught() {
    ramp_up::<NoHandingOn>();
}

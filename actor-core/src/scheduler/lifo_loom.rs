//! Models of the LIFO slot: the owner fills and empties it while the watchdog takes from it. Each task
//! comes out once, wherever the two meet. `membarrier` is a fence on either side here.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize as Plain;
use std::sync::atomic::Ordering::Relaxed;

use super::super::task::{Link, Task};
use super::{Lifo, Protocol, Sound};
use crate::sync::thread;

struct NoBarrierOfOwner;

impl Protocol for NoBarrierOfOwner {
    fn owner_barrier() {}
}

struct NoBarrierOfEvictor;

impl Protocol for NoBarrierOfEvictor {
    fn evictor_barrier() -> bool {
        true
    }
}

struct NoLook;

impl Protocol for NoLook {
    const LOOKS: bool = false;
}

/// A slot, two tasks, and how often each has come out. The counts are no part of the model.
struct World<P> {
    lifo: Lifo<P>,
    links: [Link; 2],
    out: [Plain; 2],
}

impl<P: Protocol> World<P> {
    fn task(&self, i: usize) -> Task {
        // SAFETY: the links live as long as the world, and each is put in once.
        unsafe { Task::from_raw((&self.links[i]).into()) }
    }

    fn got(&self, task: Option<Task>) {
        if let Some(task) = task {
            let i = (0..2)
                .find(|i| self.task(*i) == task)
                .expect("one of the two");
            self.out[i].fetch_add(1, Relaxed);
        }
    }
}

fn owner_and_watchdog<P: Protocol + 'static>() {
    let mut builder = loom::model::Builder::new();
    // Three: unbounded it takes minutes, and passed (once) as well.
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let world = Arc::new(World::<P> {
            lifo: Lifo::new(),
            links: [Link::new(), Link::new()],
            out: [Plain::new(0), Plain::new(0)],
        });
        let there = world.clone();
        let watchdog = thread::spawn(move || {
            there.got(there.lifo.evict());
            there.got(there.lifo.evict());
        });
        world.got(world.lifo.put(world.task(0)));
        world.got(world.lifo.put(world.task(1)));
        world.got(world.lifo.take());
        watchdog.join().unwrap();
        world.got(world.lifo.take());
        for (i, out) in world.out.iter().enumerate() {
            assert_eq!(out.load(Relaxed), 1, "task {i} came out that often");
        }
    });
}

#[test]
fn loom_each_task_comes_out_once() {
    owner_and_watchdog::<Sound>();
}

#[test]
#[should_panic]
fn loom_twin_without_the_owners_barrier() {
    owner_and_watchdog::<NoBarrierOfOwner>();
}

#[test]
#[should_panic]
fn loom_twin_without_the_watchdogs_barrier() {
    owner_and_watchdog::<NoBarrierOfEvictor>();
}

#[test]
#[should_panic]
fn loom_twin_that_does_not_look() {
    owner_and_watchdog::<NoLook>();
}

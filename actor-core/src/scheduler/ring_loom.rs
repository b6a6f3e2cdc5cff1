//! Models of the ring (capacity 4): each task comes out exactly once, and weakened twins are caught.

use std::cell::RefCell;

use super::super::task::{Chain, Link, Task};
use super::{Local, Overflow, Protocol, Sound, Steal, ring};
use crate::sync::atomic::Ordering;
use crate::sync::{Arc, thread};

struct RelaxedPublication;

impl Protocol for RelaxedPublication {
    const PUBLISH: Ordering = Ordering::Relaxed;
}

struct RelaxedReturn;

impl Protocol for RelaxedReturn {
    const GIVE_BACK: Ordering = Ordering::Relaxed;
}

struct RelaxedAdvance;

impl Protocol for RelaxedAdvance {
    const ADVANCE: Ordering = Ordering::Relaxed;
}

struct NoClaim;

impl Protocol for NoClaim {
    const CLAIM_FIRST: bool = false;
}

impl Overflow for RefCell<Vec<Task>> {
    fn push_chain(&self, chain: Chain) {
        self.borrow_mut().extend(chain);
    }
}

/// Tasks that are told apart by their address.
struct Tasks(Box<[Link]>);

impl Tasks {
    fn new(n: usize) -> Self {
        Self((0..n).map(|_| Link::new()).collect())
    }

    fn get(&self, i: usize) -> Task {
        // SAFETY: the links outlive the model's threads, which are joined; each test schedules each
        // task once.
        unsafe { Task::from_raw((&self.0[i]).into()) }
    }

    fn assert_each_once(&self, mut got: Vec<Task>) {
        let address = |task: &Task| task.as_ptr() as usize;
        let mut all: Vec<Task> = (0..self.0.len()).map(|i| self.get(i)).collect();
        all.sort_by_key(address);
        got.sort_by_key(address);
        assert_eq!(all, got, "each task comes out exactly once");
    }
}

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// What a thief gets in `attempts` thefts of half.
fn thief<P: Protocol>(steal: &Steal<P>, attempts: usize) -> Vec<Task> {
    let (own, _others) = ring::<P>();
    let mut got = Vec::new();
    for _ in 0..attempts {
        got.extend(steal.steal_half(&own));
        got.extend(std::iter::from_fn(|| own.pop()));
    }
    got
}

/// The owner pushes 6 into a ring of 4 and pops in between, while a thief steals twice: the
/// positions wrap, the ring may overflow, and slots are used again.
fn owner_and_thief<P: Protocol + 'static>() {
    check(3, || {
        let tasks = Tasks::new(6);
        let (local, steal): (Local<P>, Steal<P>) = ring();
        let other = thread::spawn(move || thief(&steal, 2));
        let overflow = RefCell::new(Vec::new());
        let mut got = Vec::new();
        for i in 0..6 {
            local.push(tasks.get(i), &overflow);
            if i == 2 || i == 3 {
                got.extend(local.pop());
            }
        }
        got.extend(std::iter::from_fn(|| local.pop()));
        got.extend(other.join().unwrap());
        got.extend(overflow.into_inner());
        tasks.assert_each_once(got);
    });
}

/// The owner fills the ring and more while two thieves are at it, one of them for a single task.
fn two_thieves() {
    check(2, || {
        let tasks = Tasks::new(5);
        let (local, steal): (Local<Sound>, Steal<Sound>) = ring();
        let overflow = RefCell::new(Vec::new());
        local.push(tasks.get(0), &overflow);
        local.push(tasks.get(1), &overflow);
        let steal = Arc::new(steal);
        let theirs = steal.clone();
        let half = thread::spawn(move || thief(&theirs, 1));
        let one = thread::spawn(move || steal.steal_one());
        for i in 2..5 {
            local.push(tasks.get(i), &overflow);
        }
        let mut got: Vec<Task> = std::iter::from_fn(|| local.pop()).collect();
        got.extend(half.join().unwrap());
        got.extend(one.join().unwrap());
        got.extend(overflow.into_inner());
        tasks.assert_each_once(got);
    });
}

#[test]
fn loom_ring_conserves_tasks_with_a_thief() {
    owner_and_thief::<Sound>();
}

#[test]
fn loom_ring_conserves_tasks_with_two_thieves() {
    two_thieves();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_ring_with_relaxed_publication_is_caught() {
    owner_and_thief::<RelaxedPublication>();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_ring_with_relaxed_return_is_caught() {
    owner_and_thief::<RelaxedReturn>();
}

#[test]
#[should_panic(expected = "claimed")]
fn loom_ring_with_relaxed_advance_is_caught() {
    owner_and_thief::<RelaxedAdvance>();
}

#[test]
#[should_panic]
fn loom_ring_with_thieves_that_do_not_claim_is_caught() {
    owner_and_thief::<NoClaim>();
}

use std::cell::RefCell;

use super::super::task::{Chain, Link, Task};
use super::{CAPACITY, HALF, Local, Overflow, Sound, Steal, ring};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread;

impl Overflow for RefCell<Vec<Task>> {
    fn push_chain(&self, chain: Chain) {
        self.borrow_mut().extend(chain);
    }
}

fn nowhere() -> RefCell<Vec<Task>> {
    RefCell::new(Vec::new())
}

fn sound() -> (Local<Sound>, Steal<Sound>) {
    ring()
}

fn tasks(links: &[Link]) -> Vec<Task> {
    // SAFETY: the links outlive the test's queues, and each test queues each task once at a time.
    let task = |link: &Link| unsafe { Task::from_raw(link.into()) };
    links.iter().map(task).collect()
}

fn links(n: usize) -> Vec<Link> {
    (0..n).map(|_| Link::new()).collect()
}

fn pop_all(local: &Local<Sound>) -> Vec<Task> {
    std::iter::from_fn(|| local.pop()).collect()
}

#[test]
fn first_in_first_out_over_many_rounds() {
    let links = links(CAPACITY);
    let tasks = tasks(&links);
    let (local, steal) = sound();
    let overflow = nowhere();
    for round in 0..5 {
        let n = CAPACITY - round;
        for &task in &tasks[..n] {
            assert!(!local.push(task, &overflow));
        }
        assert_eq!(steal.len(), n);
        assert_eq!(local.free(), round);
        assert_eq!(pop_all(&local), tasks[..n]);
        assert!(local.is_empty());
    }
    assert!(overflow.into_inner().is_empty());
}

#[test]
fn overflow_sends_the_oldest_half_and_the_new_task() {
    let links = links(CAPACITY + 1);
    let tasks = tasks(&links);
    let (local, _steal) = sound();
    let overflow = nowhere();
    for &task in &tasks[..CAPACITY] {
        assert!(!local.push(task, &overflow));
    }
    assert!(local.push(tasks[CAPACITY], &overflow));
    let half = CAPACITY / 2;
    let out = overflow.into_inner();
    assert_eq!(out[..half], tasks[..half]);
    assert_eq!(out[half..], tasks[CAPACITY..]);
    assert_eq!(pop_all(&local), tasks[half..CAPACITY]);
}

#[test]
fn a_thief_takes_half_rounded_up_and_runs_the_oldest() {
    for n in [1, 2, 3, CAPACITY - 1, CAPACITY] {
        let links = links(n);
        let tasks = tasks(&links);
        let (local, steal) = sound();
        let (own, _) = sound();
        for &task in &tasks {
            local.push(task, &nowhere());
        }
        let taken = n.div_ceil(2);
        assert!(steal.has_work());
        assert_eq!(steal.steal_half(&own), Some(tasks[0]), "{n} queued");
        assert_eq!(pop_all(&own), tasks[1..taken], "{n} queued");
        assert_eq!(pop_all(&local), tasks[taken..], "{n} queued");
        assert!(!steal.has_work());
        assert_eq!(steal.steal_half(&own), None);
    }
}

#[test]
fn a_thief_without_room_takes_nothing_and_one_for_one_takes_one() {
    let links = links(CAPACITY + 1);
    let tasks = tasks(&links);
    let (own, _) = sound();
    for &task in &tasks[..HALF as usize + 1] {
        own.push(task, &nowhere());
    }
    let (local, steal) = sound();
    local.push(tasks[CAPACITY - 1], &nowhere());
    local.push(tasks[CAPACITY], &nowhere());
    assert_eq!(steal.steal_half(&own), None);
    assert_eq!(steal.steal_one(), Some(tasks[CAPACITY - 1]));
    assert_eq!(steal.steal_one(), Some(tasks[CAPACITY]));
    assert_eq!(steal.steal_one(), None);
    assert!(local.is_empty());
}

#[test]
fn extend_appends_in_order() {
    let links = links(40);
    let tasks = tasks(&links);
    let (local, steal) = sound();
    local.push(tasks[0], &nowhere());
    let mut chain = Chain::one(tasks[1]);
    for &task in &tasks[2..] {
        chain.push_back(task);
    }
    local.extend(chain);
    assert_eq!(steal.len(), 40);
    assert_eq!(pop_all(&local), tasks);
}

/// Each link is followed by how often its task came out.
#[repr(C)]
struct Counted {
    link: Link,
    out: AtomicUsize,
}

#[test]
fn a_storm_of_thieves_conserves_every_task() {
    let n = if cfg!(miri) { 2_000 } else { 200_000 };
    let all: Vec<Counted> = (0..n)
        .map(|_| Counted {
            link: Link::new(),
            out: AtomicUsize::new(0),
        })
        .collect();
    let count = |task: Task| {
        // SAFETY: the task came from `all[i]` below, whose first field is the link.
        let counted = unsafe { &*task.as_ptr().cast::<Counted>() };
        counted.out.fetch_add(1, Ordering::Relaxed);
    };
    let left = AtomicUsize::new(n);
    let came_out = |task: Task| {
        count(task);
        left.fetch_sub(1, Ordering::Relaxed);
    };
    let (local, steal) = sound();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let (own, _) = sound();
                while left.load(Ordering::Relaxed) > 0 {
                    if let Some(task) = steal.steal_half(&own).or_else(|| steal.steal_one()) {
                        came_out(task);
                        pop_all(&own).into_iter().for_each(came_out);
                    } else {
                        thread::yield_now();
                    }
                }
            });
        }
        let overflow = nowhere();
        for (i, counted) in all.iter().enumerate() {
            // SAFETY: `all` outlives the scope; each task is pushed once. The pointer is to the
            // whole of `Counted`.
            let task = unsafe { Task::from_raw(std::ptr::NonNull::from(counted).cast::<Link>()) };
            local.push(task, &overflow);
            if i % 3 == 0 {
                local.pop().into_iter().for_each(came_out);
            }
        }
        pop_all(&local).into_iter().for_each(came_out);
        overflow.into_inner().into_iter().for_each(came_out);
    });
    assert!(all.iter().all(|c| c.out.load(Ordering::Relaxed) == 1));
}

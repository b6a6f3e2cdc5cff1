use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::super::task::{Link, Task};
use super::Lifo;

fn task(link: &Link) -> Task {
    // SAFETY: the links of these tests outlive the slots.
    unsafe { Task::from_raw(NonNull::from(link)) }
}

#[test]
fn one_task_at_a_time() {
    let links = [Link::new(), Link::new()];
    let lifo: Lifo = Lifo::new();
    assert!(lifo.is_empty() && lifo.take().is_none() && lifo.evict().is_none());
    assert_eq!(lifo.put(task(&links[0])), None);
    assert_eq!(lifo.put(task(&links[1])), Some(task(&links[0])));
    assert!(!lifo.looks_empty());
    assert_eq!(lifo.take(), Some(task(&links[1])));
    assert!(lifo.is_empty());
}

#[test]
fn the_watchdog_takes_what_the_owner_leaves() {
    let link = Link::new();
    let lifo: Lifo = Lifo::new();
    lifo.put(task(&link));
    let there = std::thread::scope(|scope| scope.spawn(|| lifo.evict()).join().unwrap());
    if super::super::barrier::everywhere() {
        assert_eq!(there, Some(task(&link)));
        assert!(lifo.take().is_none());
    } else {
        assert_eq!(there, None, "without membarrier the task stays");
        assert_eq!(lifo.take(), Some(task(&link)));
    }
}

/// On real threads, with the kernel's barrier: what the model proves for fences.
#[test]
fn a_race_gives_each_task_out_once() {
    let links: Vec<Link> = (0..64).map(|_| Link::new()).collect();
    let lifo: Lifo = Lifo::new();
    let (out, evicted) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let done = AtomicBool::new(false);
    let mut put = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                if lifo.evict().is_some() {
                    out.fetch_add(1, Ordering::Relaxed);
                    evicted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        let rounds = if cfg!(miri) { 100 } else { 200_000 };
        let began = Instant::now();
        for round in 0..rounds {
            put += 1;
            let displaced = lifo.put(task(&links[round % links.len()]));
            out.fetch_add(usize::from(displaced.is_some()), Ordering::Relaxed);
            if round % 3 == 0 && lifo.take().is_some() {
                out.fetch_add(1, Ordering::Relaxed);
            }
            if began.elapsed() > Duration::from_secs(5) {
                break;
            }
        }
        done.store(true, Ordering::Release);
    });
    let left = usize::from(lifo.take().is_some());
    assert_eq!(out.load(Ordering::Relaxed) + left, put);
}

//! Models of the signal lane, alone and beside the inbox: no signal is lost or seen half written, and who
//! watches an actor that ends is told exactly once.

// std's: loom's would panic a second time when it is dropped after a violation was found.
use std::sync::Arc;

use super::super::inbox::Inbox;
use super::{Lane, Linked, Protocol, Sound};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{UnsafeCell, thread};

struct RelaxedPush;
impl Protocol for RelaxedPush {
    const PUSH: Ordering = Ordering::Relaxed;
}

struct RelaxedTake;
impl Protocol for RelaxedTake {
    const TAKE: Ordering = Ordering::Relaxed;
}

struct TwoSteps;
impl Protocol for TwoSteps {
    const ONE_STEP: bool = false;
}

struct Element {
    next: *mut Self,
    content: UnsafeCell<u32>,
}

// SAFETY: an element is one thread's at a time (L1), which is what the models put to the test.
unsafe impl Send for Element {}

impl Linked for Element {
    fn next(&mut self) -> &mut *mut Self {
        &mut self.next
    }
}

fn element(content: u32) -> Box<Element> {
    Box::new(Element {
        next: std::ptr::null_mut(),
        content: UnsafeCell::new(content),
    })
}

/// What it says. Leaked: an address that comes back by the allocator's whim would make a model take
/// another path the second time.
fn read(element: Box<Element>) -> u32 {
    let element = Box::leak(element);
    // SAFETY: L1: taken from the lane, so ours.
    element.content.with(|content| unsafe { *content })
}

fn check(bound: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.check(model);
}

/// Two push, the owner takes meanwhile.
fn each_signal_once<P: Protocol + 'static>() {
    check(3, || {
        let lane = Arc::new(Lane::<Element, P>::new());
        let pushers: Vec<_> = (1..3)
            .map(|content| {
                let lane = lane.clone();
                thread::spawn(move || lane.push(element(content)))
            })
            .collect();
        let mut sum: u32 = lane.take().map(read).sum();
        for pusher in pushers {
            pusher.join().unwrap();
        }
        sum += lane.take().map(read).sum::<u32>();
        assert_eq!(sum, 3, "each signal is seen once");
    });
}

/// An actor that ends while somebody begins to watch it.
struct Cell {
    inbox: Inbox,
    lane: Lane<Element>,
    /// Notices given to the watcher.
    notices: AtomicU32,
    looks_again: bool,
    owned: UnsafeCell<Owned>,
}

#[derive(Default)]
struct Owned {
    is_dead: bool,
    watchers: u32,
}

// SAFETY: `owned` is the owner's, says the inbox.
unsafe impl Sync for Cell {}
// SAFETY: as above.
unsafe impl Send for Cell {}

const STOP: u32 = 1;
const WATCH: u32 = 2;

impl Cell {
    fn signal(&self, kind: u32) {
        self.lane.push(element(kind));
        if self.inbox.notify() {
            self.turn();
        }
    }

    /// As `turn::attend` with a `Stop` and a `Watch`.
    fn turn(&self) {
        loop {
            // SAFETY: we are the owner, says the inbox.
            unsafe { self.inbox.clear_notify() };
            let mut stop = false;
            for signal in self.lane.take() {
                match read(signal) {
                    STOP => stop = true,
                    _ => self.watch(),
                }
            }
            if stop {
                self.terminate();
            }
            // SAFETY: we are the owner.
            let is_dead = self.owned.with(|owned| unsafe { (*owned).is_dead });
            if is_dead {
                // The dead letters: takes the mark of a signal away as well.
                // SAFETY: we are the owner.
                _ = unsafe { self.inbox.take() };
            }
            // SAFETY: we are the owner, until it says yes.
            if (!is_dead || !self.looks_again || self.lane.is_empty())
                && unsafe { self.inbox.finish(false) }
            {
                return;
            }
        }
    }

    fn watch(&self) {
        // SAFETY: we are the owner.
        self.owned.with_mut(|owned| unsafe {
            if (*owned).is_dead {
                self.notices.fetch_add(1, Ordering::Relaxed);
            } else {
                (*owned).watchers += 1;
            }
        });
    }

    fn terminate(&self) {
        // SAFETY: we are the owner.
        self.owned.with_mut(|owned| unsafe {
            (*owned).is_dead = true;
            let watchers = std::mem::take(&mut (*owned).watchers);
            self.notices.fetch_add(watchers, Ordering::Relaxed);
        });
    }
}

fn watch_against_terminate(looks_again: bool) {
    check(3, move || {
        let cell = Arc::new(Cell {
            inbox: Inbox::new(0),
            lane: Lane::new(),
            notices: AtomicU32::new(0),
            looks_again,
            owned: UnsafeCell::new(Owned::default()),
        });
        let theirs = cell.clone();
        let watcher = thread::spawn(move || theirs.signal(WATCH));
        cell.signal(STOP);
        watcher.join().unwrap();
        assert_eq!(
            cell.notices.load(Ordering::Relaxed),
            1,
            "a watch gets one notice"
        );
    });
}

#[test]
fn loom_lane_each_signal_once() {
    each_signal_once::<Sound>();
}

#[test]
fn loom_lane_watch_against_terminate() {
    watch_against_terminate(true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_lane_relaxed_push_is_caught() {
    each_signal_once::<RelaxedPush>();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_lane_relaxed_take_is_caught() {
    each_signal_once::<RelaxedTake>();
}

#[test]
#[should_panic(expected = "each signal is seen once")]
fn loom_lane_taken_in_two_steps_is_caught() {
    each_signal_once::<TwoSteps>();
}

#[test]
#[should_panic(expected = "a watch gets one notice")]
fn loom_lane_dead_that_do_not_look_again_are_caught() {
    watch_against_terminate(false);
}

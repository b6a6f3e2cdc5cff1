//! Models of the recalled node: every call is followed by a poll that sees it, one poll at a time, and
//! the node is in the queue once. Each weakened twin is caught.

use std::sync::Arc;

use super::{Protocol, Recall, Sound};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{UnsafeCell, thread};

struct RelaxedCall;
impl Protocol for RelaxedCall {
    const CALL: Ordering = Ordering::Relaxed;
}

struct ForgottenCall;
impl Protocol for ForgottenCall {
    const CALL_IS_KEPT: bool = false;
}

struct HastyCall;
impl Protocol for HastyCall {
    const CALL_WAITS: bool = false;
}

/// A task and the queue that its node may be in: a count of one at most.
struct Task<P> {
    recall: Recall<P>,
    queued: AtomicU32,
    /// What each of the callers wrote before its call.
    written: [UnsafeCell<bool>; 2],
    /// What the polls have seen of that.
    seen: UnsafeCell<[bool; 2]>,
}

// SAFETY: `written` and `seen` are handed over as K2 and K3 say, which is what the models put to the test.
unsafe impl<P> Sync for Task<P> {}
// SAFETY: as above.
unsafe impl<P> Send for Task<P> {}

impl<P: Protocol> Task<P> {
    fn push(&self) {
        // Relaxed: no edge of the queue's is to hide a missing one of the word's.
        let before = self.queued.fetch_add(1, Ordering::Relaxed);
        assert_eq!(before, 0, "the node is pushed while it is in the queue");
    }

    fn caller(&self, which: usize) {
        // SAFETY: before the call nobody else looks.
        self.written[which].with_mut(|written| unsafe { *written = true });
        if self.recall.call() {
            self.push();
        }
    }

    /// Takes the node if it is there. `made`: which of the callers have surely made their calls.
    fn turn(&self, made: [bool; 2]) {
        if self.queued.load(Ordering::Relaxed) == 0 {
            return;
        }
        if self.recall.begin() {
            self.poll(made);
        }
        // Only now has it left the inbox.
        self.queued.fetch_sub(1, Ordering::Relaxed);
        if self.recall.leave() {
            self.push();
        }
    }

    fn poll(&self, made: [bool; 2]) {
        for (which, made) in made.into_iter().enumerate() {
            if made {
                // SAFETY: K2, K3.
                let written = self.written[which].with(|written| unsafe { *written });
                self.seen
                    .with_mut(|seen| unsafe { (*seen)[which] |= written });
            }
        }
    }
}

fn every_call_is_answered<P: Protocol + 'static>() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let task = Arc::new(Task::<P> {
            recall: Recall::running(),
            queued: AtomicU32::new(1),
            written: [UnsafeCell::new(false), UnsafeCell::new(false)],
            seen: UnsafeCell::new([false; 2]),
        });
        let other = task.clone();
        // The first poll is on, and its node marks the inbox: a caller calls while it ends.
        let caller = thread::spawn(move || other.caller(0));
        task.queued.fetch_sub(1, Ordering::Relaxed);
        if task.recall.leave() {
            task.push();
        }
        // The second caller is the owner itself, between two turns.
        task.caller(1);
        task.turn([false, true]);
        caller.join().unwrap();
        // Whatever the order, the node is in the queue unless a poll came after the first call.
        task.turn([true, true]);
        // SAFETY: joined.
        let seen = task.seen.with(|seen| unsafe { *seen });
        assert!(seen[1], "a call was lost");
    });
}

/// What the caller wrote is seen by the poll that its call leads to.
fn a_call_carries<P: Protocol + 'static>() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let task = Arc::new(Task::<P> {
            recall: Recall::running(),
            queued: AtomicU32::new(1),
            written: [UnsafeCell::new(false), UnsafeCell::new(false)],
            seen: UnsafeCell::new([false; 2]),
        });
        let other = task.clone();
        let caller = thread::spawn(move || other.caller(0));
        task.queued.fetch_sub(1, Ordering::Relaxed);
        if task.recall.leave() {
            task.push();
        }
        // The only caller: if the node is in the queue, the call was made.
        task.turn([true, false]);
        // Without a join, which would be an edge of its own, until it was polled.
        // SAFETY: only this thread polls.
        if !task.seen.with(|seen| unsafe { *seen })[0] {
            caller.join().unwrap();
            task.turn([true, false]);
            assert!(
                task.seen.with(|seen| unsafe { *seen })[0],
                "a call was lost"
            );
        }
    });
}

#[test]
fn loom_recall_every_call_is_answered() {
    every_call_is_answered::<Sound>();
}

#[test]
fn loom_recall_a_call_carries() {
    a_call_carries::<Sound>();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_recall_relaxed_call_is_caught() {
    a_call_carries::<RelaxedCall>();
}

#[test]
#[should_panic(expected = "a call was lost")]
fn loom_recall_forgotten_call_is_caught() {
    a_call_carries::<ForgottenCall>();
}

#[test]
#[should_panic(expected = "pushed while it is in the queue")]
fn loom_recall_hasty_call_is_caught() {
    a_call_carries::<HastyCall>();
}

#[test]
fn loom_recall_over_is_the_end() {
    loom::model(|| {
        let task = Arc::new(Task::<Sound> {
            recall: Recall::running(),
            queued: AtomicU32::new(1),
            written: [UnsafeCell::new(false), UnsafeCell::new(false)],
            seen: UnsafeCell::new([false; 2]),
        });
        let other = task.clone();
        let caller = thread::spawn(move || other.caller(0));
        task.queued.fetch_sub(1, Ordering::Relaxed);
        if task.recall.leave() {
            task.push();
        }
        task.recall.over();
        assert!(task.recall.is_over());
        caller.join().unwrap();
        assert!(!task.recall.begin(), "polled after its end");
        assert!(!task.recall.call(), "called after its end");
        assert!(!task.recall.leave(), "pushed after its end");
    });
}

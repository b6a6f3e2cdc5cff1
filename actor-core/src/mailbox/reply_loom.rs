//! Models of the reply slot: the asker hears of every answer, the node is freed once, and the waker is
//! touched by one party at a time. Each weakened twin is caught.

// std's: loom's would panic a second time when it is dropped after a violation was found.
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::super::node::Fate;
use super::{Polled, Protocol, ReplySlot, Responded, Sound};
use crate::sync::atomic::Ordering;
use crate::sync::{Condvar, Mutex, UnsafeCell, thread};

struct RelaxedAnswer;
impl Protocol for RelaxedAnswer {
    const ANSWER: Ordering = Ordering::Acquire;
}

struct RelaxedHandOver;
impl Protocol for RelaxedHandOver {
    const HAND_OVER: Ordering = Ordering::Acquire;
}

struct BlindAnswer;
impl Protocol for BlindAnswer {
    const ANSWER_LOOKS: bool = false;
}

struct WakerInPlace;
impl Protocol for WakerInPlace {
    const TAKE_BACK: bool = false;
}

struct RelaxedMeeting;
impl Protocol for RelaxedMeeting {
    const MEET: Ordering = Ordering::Relaxed;
}

struct BlindPeek;
impl Protocol for BlindPeek {
    const PEEK_LOOKS: bool = false;
}

struct BlindAbandon;
impl Protocol for BlindAbandon {
    const ABANDON_LOOKS: bool = false;
}

/// What a waker wakes.
struct Bed {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Bed {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            rung: Mutex::new(false),
            bell: Condvar::new(),
        })
    }

    fn sleep(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.bell.wait(rung).unwrap();
        }
        *rung = false;
    }
}

impl Wake for Bed {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.bell.notify_one();
    }
}

/// An ask's node. Its memory outlives the model, so that being freed twice shows as a count.
struct Node<P> {
    slot: ReplySlot<P>,
    value: UnsafeCell<Option<u32>>,
    freed: UnsafeCell<u32>,
}

// SAFETY: value and freed are handed over as R2 and R3 say, which is what the models put to the test.
unsafe impl<P> Sync for Node<P> {}
// SAFETY: as above.
unsafe impl<P> Send for Node<P> {}

impl<P: Protocol> Node<P> {
    fn new(waker: Waker) -> Arc<Self> {
        Arc::new(Self {
            slot: ReplySlot::waiting(waker),
            value: UnsafeCell::new(None),
            freed: UnsafeCell::new(0),
        })
    }

    fn free(&self) {
        // SAFETY: R3, by the caller.
        self.freed.with_mut(|freed| unsafe { *freed += 1 });
    }

    /// The asker's end of an answered ask.
    fn resolve(&self, polled: &Polled) -> Option<u32> {
        let value = match polled {
            Polled::Pending => unreachable!("not answered yet"),
            // SAFETY: R2: answered with a value.
            Polled::Value => self.value.with_mut(|value| unsafe { (*value).take() }),
            Polled::Failed(_) => None,
        };
        self.free();
        value
    }

    fn respond(&self, failure: Option<Fate>) {
        if failure.is_none() {
            self.write();
        }
        self.end(failure.map(|fate| fate as u8));
    }

    fn write(&self) {
        // SAFETY: R2: not answered yet, and we are the responder.
        self.value.with_mut(|value| unsafe { *value = Some(7) });
    }

    /// The turn's side of an answer that comes later.
    fn turn_leaves(&self) {
        if !self.slot.is_handed_in() {
            drop(self.slot.peek(|waker| _ = waker.will_wake(waker)));
        }
        if let Some(failure) = self.slot.leave() {
            self.end(failure);
        }
    }

    /// The handle's side.
    fn handle_answers(&self) {
        self.write();
        if self.slot.hand_in(None) {
            self.end(None);
        }
    }

    fn end(&self, failure: Option<u8>) {
        match self.slot.respond(failure, |_| ()) {
            Responded::Delivered => {}
            Responded::Wake(waker) => waker.wake(),
            Responded::Abandoned(waker) => {
                drop(waker);
                // SAFETY: R3: nobody else holds the node.
                self.value.with_mut(|value| unsafe { *value = None });
                self.free();
            }
        }
    }

    fn assert_freed_once(&self) {
        // SAFETY: both threads are joined.
        let (freed, value) = (
            self.freed.with(|freed| unsafe { *freed }),
            self.value.with(|value| unsafe { *value }),
        );
        assert_eq!(
            (freed, value),
            (1, None),
            "the node is freed once, with nothing in it"
        );
    }
}

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// The asker waits for the answer. With `moved` it is polled by another task than the one that sent.
fn answer_is_heard<P: Protocol + 'static>(failure: Option<Fate>, moved: bool) {
    check(3, move || {
        let (first, second) = (Bed::new(), Bed::new());
        let node = Node::<P>::new(first.clone().into());
        let theirs = node.clone();
        let responder = thread::spawn(move || theirs.respond(failure));
        let bed = if moved { &second } else { &first };
        let waker = Waker::from(bed.clone());
        let polled = loop {
            match node.slot.poll(&waker) {
                Polled::Pending => {
                    bed.sleep();
                    // It may have woken itself, while the responder takes its waker: let that one go on.
                    thread::yield_now();
                }
                answered => break answered,
            }
        };
        assert_eq!(node.resolve(&polled), failure.is_none().then_some(7));
        responder.join().unwrap();
        node.assert_freed_once();
        drop((waker, node));
        assert_eq!(
            (Arc::strong_count(&first), Arc::strong_count(&second)),
            (1, 1),
            "wakers are dropped once"
        );
    });
}

/// As `answer_is_heard` for an asker whose waker stays the same and who only looks.
fn answer_is_seen<P: Protocol + 'static>() {
    check(3, || {
        let bed = Bed::new();
        let node = Node::<P>::new(bed.clone().into());
        let theirs = node.clone();
        let responder = thread::spawn(move || theirs.respond(None));
        let polled = loop {
            match node.slot.look() {
                Polled::Pending => {
                    bed.sleep();
                    // It may have woken itself, while the responder takes its waker: let that one go on.
                    thread::yield_now();
                }
                answered => break answered,
            }
        };
        assert_eq!(node.resolve(&polled), Some(7));
        responder.join().unwrap();
        node.assert_freed_once();
    });
}

/// The asker gives up, at once or after a poll with another waker, in whatever state the slot is.
fn giving_up<P: Protocol + 'static>(failure: Option<Fate>, after_a_poll: bool) {
    check(3, move || {
        let (first, second) = (Bed::new(), Bed::new());
        let node = Node::<P>::new(first.clone().into());
        let theirs = node.clone();
        let responder = thread::spawn(move || {
            if !theirs.slot.is_abandoned() {
                theirs.respond(failure);
            } else {
                // SAFETY: R3: the asker is gone and we never answered.
                theirs.free();
            }
        });
        let waker = Waker::from(second.clone());
        match after_a_poll.then(|| node.slot.poll(&waker)) {
            None | Some(Polled::Pending) => {
                if let Some(answered) = node.slot.abandon() {
                    node.resolve(&answered);
                }
            }
            Some(answered) => {
                node.resolve(&answered);
            }
        }
        responder.join().unwrap();
        node.assert_freed_once();
        drop((waker, node));
        assert_eq!(
            (Arc::strong_count(&first), Arc::strong_count(&second)),
            (1, 1),
            "wakers are dropped once"
        );
    });
}

/// Turn and handle on threads of their own; the asker waits, or gives up.
fn answered_later<P: Protocol + 'static>(gives_up: bool) {
    check(2, move || {
        let bed = Bed::new();
        let node = Node::<P>::new(bed.clone().into());
        let (turns, handles) = (node.clone(), node.clone());
        let turn = thread::spawn(move || turns.turn_leaves());
        let handle = thread::spawn(move || handles.handle_answers());
        if gives_up {
            if let Some(answered) = node.slot.abandon() {
                node.resolve(&answered);
            }
        } else {
            let polled = loop {
                match node.slot.look() {
                    Polled::Pending => {
                        bed.sleep();
                        thread::yield_now();
                    }
                    answered => break answered,
                }
            };
            assert_eq!(node.resolve(&polled), Some(7));
        }
        turn.join().unwrap();
        handle.join().unwrap();
        node.assert_freed_once();
        drop(node);
        assert_eq!(Arc::strong_count(&bed), 1, "wakers are dropped once");
    });
}

#[test]
fn loom_reply_later_is_heard() {
    answered_later::<Sound>(false);
}

#[test]
fn loom_reply_later_to_an_asker_that_gives_up() {
    answered_later::<Sound>(true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_reply_later_relaxed_meeting_is_caught() {
    answered_later::<RelaxedMeeting>(false);
}

#[test]
#[should_panic]
fn loom_reply_later_blind_peek_is_caught() {
    answered_later::<BlindPeek>(true);
}

#[test]
fn loom_reply_value_is_heard() {
    answer_is_heard::<Sound>(None, false);
}

#[test]
fn loom_reply_value_is_heard_by_another_waker() {
    answer_is_heard::<Sound>(None, true);
}

#[test]
fn loom_reply_failure_is_heard() {
    answer_is_heard::<Sound>(Some(Fate::Panicked), true);
}

#[test]
fn loom_reply_value_is_seen_by_looking() {
    answer_is_seen::<Sound>();
}

#[test]
fn loom_reply_giving_up_at_once() {
    giving_up::<Sound>(None, false);
}

#[test]
fn loom_reply_giving_up_after_a_poll() {
    giving_up::<Sound>(None, true);
}

#[test]
fn loom_reply_giving_up_against_a_failure() {
    giving_up::<Sound>(Some(Fate::ActorStopped), true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_reply_blind_answer_is_caught() {
    answer_is_heard::<BlindAnswer>(None, true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_reply_relaxed_answer_is_caught() {
    answer_is_heard::<RelaxedAnswer>(None, false);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_reply_relaxed_hand_over_is_caught() {
    answer_is_heard::<RelaxedHandOver>(None, true);
}

#[test]
#[should_panic]
fn loom_reply_waker_changed_in_place_is_caught() {
    answer_is_heard::<WakerInPlace>(None, true);
}

#[test]
#[should_panic]
fn loom_reply_blind_abandon_is_caught() {
    giving_up::<BlindAbandon>(None, false);
}

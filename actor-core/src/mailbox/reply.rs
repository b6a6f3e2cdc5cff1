//! The reply slot of an ask: who hands what to whom, and who frees the node.
//!
//! Two parties share the node: the *asker* (the future) and the *responder* (the worker that handles
//! the message, or whoever ends it). The state word decides every race:
//!
//! ```text
//!            poll with another waker                       respond: take the waker
//!   EMPTY <--------------------------> WAITING ---------------------------------> TAKING
//!     |  |                                                                         |  |
//!     |  +-- respond --> ANSWERED <------------------------------------- respond --+  |
//!     |                  (asker frees)                                                |
//!     +-- asker drops -> ABANDONED <------------------------------------ asker drops -+
//!                        (responder frees)
//! ```
//!
//! # Invariants
//!
//! - R1: the waker may be touched by the asker in EMPTY, by the responder in TAKING, by nobody else.
//! - R2: the value may be touched by the responder until ANSWERED, by the asker after.
//! - R3: exactly one party sees itself as the last one and frees the node.
//! - R4: an answer that goes into WAITING goes by way of TAKING: who waits is woken.
//!
//! # A handler that answers later
//!
//! Its message's node is held by two on the responder's side: the turn that runs the handler (the node
//! may still mark the inbox) and the reply handle, which any thread may have. `stage` says who of them
//! is the later one; that one responds. Until the turn has left, it alone is the responder.
//!
//! - R5: whoever of turn and handle comes second to `stage` responds, and sees all that the first wrote.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::task::Waker;

use crate::sync::UnsafeCell;
use crate::sync::atomic::{AtomicU32, Ordering};

const EMPTY: u32 = 0;
const WAITING: u32 = 1;
const TAKING: u32 = 2;
const ABANDONED: u32 = 3;
/// Plus the outcome in the bits above: 0 = the value lies in the node, else a `Fate` (and what the floor
/// above marks it with).
const ANSWERED: u32 = 4;
const STATE: u32 = 7;
const OUTCOME_SHIFT: u32 = 3;

/// In `stage`: the turn is done with the node.
const LEFT: u32 = 1;
/// In `stage`: the handle is done; the failure, if any, lies in the bits above.
const HANDED_IN: u32 = 2;
const FAILURE_SHIFT: u32 = 2;

/// State word and waker of one ask.
#[derive(Debug)]
pub(crate) struct ReplySlot<P = Sound> {
    state: AtomicU32,
    /// Turn and handle of a handler that answers later; 0 otherwise. Fills what would be padding.
    stage: AtomicU32,
    waker: UnsafeCell<MaybeUninit<Waker>>,
    protocol: PhantomData<fn() -> P>,
}

/// The steps on which the protocol stands, so that models can weaken one and must fail.
pub(crate) trait Protocol {
    /// The answer, with the asker's Acquire.
    const ANSWER: Ordering = Ordering::AcqRel;
    /// The asker hands the waker, or the node, to the responder.
    const HAND_OVER: Ordering = Ordering::AcqRel;
    /// R4: a responder that found the asker at its waker looks again before it answers.
    const ANSWER_LOOKS: bool = true;
    /// The asker takes the waker back before it changes it (R1).
    const TAKE_BACK: bool = true;
    /// An asker that gives up does so in one step with looking whether there is an answer (R3).
    const ABANDON_LOOKS: bool = true;
    /// R5: turn and handle meet.
    const MEET: Ordering = Ordering::AcqRel;
    /// The turn puts the waker back only if the asker has not given up meanwhile (R3).
    const PEEK_LOOKS: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

// SAFETY: the waker is handed between threads as R1 says, and `Waker` is Send and Sync.
unsafe impl<P> Sync for ReplySlot<P> {}

/// What a poll found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// Not yet; the waker given will be called.
    Pending,
    /// The value lies in the node, which is the asker's alone now.
    Value,
    /// There will be no value; the node is the asker's alone now.
    Failed(u8),
}

/// What responding did.
#[must_use]
#[derive(Debug)]
pub(crate) enum Responded {
    /// The asker will free the node.
    Delivered,
    /// The asker will free the node and must be woken: call this waker.
    Wake(Waker),
    /// Nobody waits any more: the node (with the value, if one was written) is the responder's. So is
    /// the waker, if there still was one; its `Drop` may be a user's.
    Abandoned(Option<Waker>),
}

impl<P: Protocol> ReplySlot<P> {
    /// A slot whose asker is waiting already: saves the asker a locked operation.
    pub(crate) fn waiting(waker: Waker) -> Self {
        Self {
            state: AtomicU32::new(WAITING),
            stage: AtomicU32::new(0),
            waker: UnsafeCell::new(MaybeUninit::new(waker)),
            protocol: PhantomData,
        }
    }

    /// For the responder: whether the asker has given up, so that the work can be saved.
    pub(crate) fn is_abandoned(&self) -> bool {
        // Acquire: the asker's last writes before the drop, if the responder frees next.
        self.state.load(Ordering::Acquire) == ABANDONED
    }

    /// For the asker whose waker has not changed since it was given: one load.
    pub(crate) fn look(&self) -> Polled {
        // Acquire: the value, with the Release in `respond`.
        let seen = self.state.load(Ordering::Acquire);
        debug_assert_ne!(seen, ABANDONED, "looking at an ask that was given up");
        outcome(seen).unwrap_or(Polled::Pending)
    }

    /// For the asker.
    pub(crate) fn poll(&self, waker: &Waker) -> Polled {
        // Acquire: the value, with the Release in `respond`.
        let mut seen = self.state.load(Ordering::Acquire);
        if seen == WAITING && P::TAKE_BACK {
            // Take the waker back to look at it (R1).
            // Acquire on both ways: our own last write, or the value.
            match self
                .state
                .compare_exchange(WAITING, EMPTY, P::HAND_OVER, Ordering::Acquire)
            {
                Ok(_) => seen = EMPTY,
                Err(now) => seen = now,
            }
        }
        // EMPTY from the start: cloning a waker panicked in an earlier poll. The slot is filled then.
        if seen == EMPTY || !P::TAKE_BACK && seen == WAITING {
            self.waker.with_mut(|slot| {
                // SAFETY: R1: the state is EMPTY and we are the asker; it was WAITING, so the
                // slot is filled, and nobody empties it before `abandon`, the asker's last call.
                let current = unsafe { (*slot).assume_init_mut() };
                if !current.will_wake(waker) {
                    current.clone_from(waker);
                }
            });
            // Release: publishes the waker to the responder's Acquire.
            match self
                .state
                .compare_exchange(seen, WAITING, P::HAND_OVER, Ordering::Acquire)
            {
                Ok(_) => return Polled::Pending,
                Err(now) => {
                    self.drop_waker();
                    seen = now;
                }
            }
        }
        if seen == TAKING {
            // The responder is between two instructions and will wake the old waker. Ask to be
            // polled again rather than rely on that one.
            waker.wake_by_ref();
            return Polled::Pending;
        }
        match outcome(seen) {
            Some(answered) => answered,
            None => unreachable!("an ask that was given up is polled; state = {seen}"),
        }
    }

    /// For the asker that gives up, once. `Some`: already answered, the node (and value) is the asker's.
    #[must_use]
    pub(crate) fn abandon(&self) -> Option<Polled> {
        // Acquire: the value, with the Release in `respond`.
        let mut seen = self.state.load(Ordering::Acquire);
        loop {
            if let Some(answered) = outcome(seen) {
                return Some(answered);
            }
            // From WAITING by way of EMPTY, so that the waker is dropped by us alone (R1).
            let next = if seen == WAITING { EMPTY } else { ABANDONED };
            if !P::ABANDON_LOOKS && next == ABANDONED {
                self.state.store(ABANDONED, Ordering::Release);
                return None;
            }
            // AcqRel: Release hands the node to the responder, Acquire sees its answer.
            match self
                .state
                .compare_exchange(seen, next, P::HAND_OVER, Ordering::Acquire)
            {
                Ok(_) if next == EMPTY => {
                    self.drop_waker();
                    seen = EMPTY;
                }
                Ok(_) => return None,
                Err(now) => seen = now,
            }
        }
    }

    /// For the responder, once: the value was written (`None`) or there is none. `before` is shown the
    /// asker's waker while the asker still waits, ahead of the answer.
    pub(crate) fn respond(&self, failure: Option<u8>, before: impl FnOnce(&Waker)) -> Responded {
        let answered = ANSWERED | failure.map_or(0, u32::from) << OUTCOME_SHIFT;
        // The asker waits, mostly.
        let mut seen = WAITING;
        loop {
            match seen {
                WAITING => {
                    // Acquire on success: the waker, with the asker's Release into WAITING.
                    match self.state.compare_exchange(
                        WAITING,
                        TAKING,
                        Ordering::AcqRel,
                        Ordering::Acquire,
                    ) {
                        Ok(_) => break,
                        Err(now) => seen = now,
                    }
                }
                // The asker is at its waker, or between that and giving up. It sees the answer when it
                // is done; if it is done first, look again (R4): it may rely on being woken.
                EMPTY if !P::ANSWER_LOOKS => {
                    return match self.state.swap(answered, P::ANSWER) {
                        ABANDONED => Responded::Abandoned(None),
                        _ => Responded::Delivered,
                    };
                }
                EMPTY => {
                    // Release: publishes the value to the asker. Acquire on failure: as above, or the
                    // asker's last writes if it gave up.
                    match self
                        .state
                        .compare_exchange(EMPTY, answered, P::ANSWER, Ordering::Acquire)
                    {
                        Ok(_) => return Responded::Delivered,
                        Err(now) => seen = now,
                    }
                }
                ABANDONED => return Responded::Abandoned(None),
                other => unreachable!("an ask is answered twice; state = {other}"),
            }
        }
        let waker = self.waker.with(|slot| {
            // SAFETY: R1: the state is TAKING, so the waker is ours; moved out once.
            unsafe { (*slot).assume_init_read() }
        });
        before(&waker);
        // AcqRel: Release publishes the value to the asker; Acquire sees the asker's last writes if
        // it gave up.
        match self.state.swap(answered, P::ANSWER) {
            ABANDONED => Responded::Abandoned(Some(waker)),
            _ => Responded::Wake(waker),
        }
    }

    /// For the turn whose handler will answer later, before [`leave`](Self::leave): shows `f` the
    /// asker's waker, if the asker waits. A waker that comes back was left behind by an asker that gave
    /// up at that moment.
    #[must_use]
    pub(crate) fn peek(&self, f: impl FnOnce(&Waker)) -> Option<Waker> {
        // Acquire: the waker, with the asker's Release into WAITING. An asker that is at its waker, or
        // gone, has no use for what `f` does.
        self.state
            .compare_exchange(WAITING, TAKING, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        self.waker.with(|slot| {
            // SAFETY: R1: the state is TAKING, so the waker is ours; it is only looked at.
            f(unsafe { (*slot).assume_init_ref() });
        });
        if !P::PEEK_LOOKS {
            self.state.store(WAITING, Ordering::Release);
            return None;
        }
        // Release: our look, before the asker or the handle touches the waker.
        // Acquire on failure: the asker's last writes.
        match self
            .state
            .compare_exchange(TAKING, WAITING, P::HAND_OVER, Ordering::Acquire)
        {
            Ok(_) => None,
            // Given up: it leaves a waker in TAKING to us (R1).
            Err(_) => Some(self.waker.with(|slot| {
                // SAFETY: R1: ours since TAKING; moved out once, and never looked at again.
                unsafe { (*slot).assume_init_read() }
            })),
        }
    }

    /// For the turn whose handler will answer later, once: it is done with the node. `Some`: the handle
    /// came first, with this failure or with the value in the node; the turn responds.
    #[must_use]
    pub(crate) fn leave(&self) -> Option<Option<u8>> {
        // AcqRel, here and in `hand_in`: R5.
        let before = self.stage.fetch_or(LEFT, P::MEET);
        (before & HANDED_IN != 0).then_some(match (before >> FAILURE_SHIFT) as u8 {
            0 => None,
            fate => Some(fate),
        })
    }

    /// Whether the handle has come first: for the turn, ahead of `leave`.
    pub(crate) fn is_handed_in(&self) -> bool {
        // Relaxed: nothing is read through it.
        self.stage.load(Ordering::Relaxed) & HANDED_IN != 0
    }

    /// For the handle, once: the value was written (`None`) or there will be none. `true`: the turn has
    /// left, so the handle responds; otherwise the turn will.
    #[must_use]
    pub(crate) fn hand_in(&self, failure: Option<u8>) -> bool {
        let failure = failure.map_or(0, u32::from) << FAILURE_SHIFT;
        self.stage.fetch_or(HANDED_IN | failure, P::MEET) & LEFT != 0
    }

    fn drop_waker(&self) {
        self.waker.with_mut(|slot| {
            // SAFETY: called by the asker when its CAS moved WAITING to EMPTY and the slot will not
            // be read again (R1).
            unsafe { (*slot).assume_init_drop() }
        });
    }
}

/// What the answer in a state word says, if there is one.
fn outcome(state: u32) -> Option<Polled> {
    if state & STATE != ANSWERED {
        return None;
    }
    Some(match state >> OUTCOME_SHIFT {
        0 => Polled::Value,
        fate => Polled::Failed(fate as u8),
    })
}

#[cfg(all(test, actor_loom))]
#[path = "reply_loom.rs"]
mod models;

#[cfg(all(test, not(actor_loom)))]
#[path = "reply_tests.rs"]
mod tests;

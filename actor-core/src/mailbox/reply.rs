//! The reply slot of an ask: who hands what to whom, and who frees the node.
//!
//! Two parties share the node: the *asker* (the future) and the *responder* (the worker that handles
//! the message, or whoever ends it). The state word decides every race:
//!
//! ```text
//!            poll with another waker                       respond: take the waker
//!   EMPTY <--------------------------> WAITING ---------------------------------> TAKING
//!     |                                   |                                          |
//!     |  respond                          | asker drops                 respond      |
//!     +-----------> ANSWERED <------------|------------------------------------------+
//!                   (asker frees)         v                                          |
//!                                     ABANDONED <------------------------------------+
//!                                     (responder frees)             asker drops
//! ```
//!
//! # Invariants
//!
//! - R1: the waker may be touched by the asker in EMPTY, by the responder in TAKING, by nobody else.
//! - R2: the value may be touched by the responder until ANSWERED, by the asker after.
//! - R3: exactly one party sees itself as the last one and frees the node.

use std::mem::MaybeUninit;
use std::task::Waker;

use super::node::Fate;
use crate::sync::UnsafeCell;
use crate::sync::atomic::{AtomicU32, Ordering};

const EMPTY: u32 = 0;
const WAITING: u32 = 1;
const TAKING: u32 = 2;
const ABANDONED: u32 = 3;
/// Plus the outcome in the bits above: 0 = the value lies in the node, else a `Fate`.
const ANSWERED: u32 = 4;
const STATE: u32 = 7;
const OUTCOME_SHIFT: u32 = 3;

/// State word and waker of one ask.
#[derive(Debug)]
pub(crate) struct ReplySlot {
    state: AtomicU32,
    waker: UnsafeCell<MaybeUninit<Waker>>,
}

// SAFETY: the waker is handed between threads as R1 says, and `Waker` is Send and Sync.
unsafe impl Sync for ReplySlot {}

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
    /// Nobody waits any more: the node (with the value, if one was written) is the responder's.
    Abandoned,
}

impl ReplySlot {
    /// A slot whose asker is waiting already: saves the asker a locked operation.
    pub(crate) fn waiting(waker: Waker) -> Self {
        Self {
            state: AtomicU32::new(WAITING),
            waker: UnsafeCell::new(MaybeUninit::new(waker)),
        }
    }

    /// For the responder: whether the asker has given up, so that the work can be saved.
    pub(crate) fn is_abandoned(&self) -> bool {
        // Acquire: the asker's last writes before the drop, if the responder frees next.
        self.state.load(Ordering::Acquire) == ABANDONED
    }

    /// For the asker.
    pub(crate) fn poll(&self, waker: &Waker) -> Polled {
        // Acquire: the value, with the swap in `respond`.
        let mut seen = self.state.load(Ordering::Acquire);
        if seen == WAITING {
            // Take the waker back to look at it (R1).
            // Acquire on both ways: our own last write, or the value.
            match self
                .state
                .compare_exchange(WAITING, EMPTY, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    self.waker.with_mut(|slot| {
                        // SAFETY: R1: the state is EMPTY and we are the asker; it was WAITING, so the
                        // slot is filled.
                        let current = unsafe { (*slot).assume_init_mut() };
                        if !current.will_wake(waker) {
                            current.clone_from(waker);
                        }
                    });
                    // Release: publishes the waker to the responder's Acquire.
                    match self.state.compare_exchange(
                        EMPTY,
                        WAITING,
                        Ordering::AcqRel,
                        Ordering::Acquire,
                    ) {
                        Ok(_) => return Polled::Pending,
                        Err(now) => {
                            self.drop_waker();
                            seen = now;
                        }
                    }
                }
                Err(now) => seen = now,
            }
        }
        if seen == TAKING {
            // The responder is between two instructions and will wake the old waker. Ask to be
            // polled again rather than rely on that one.
            waker.wake_by_ref();
            return Polled::Pending;
        }
        debug_assert_eq!(seen & STATE, ANSWERED, "ask polled in state {seen}");
        match seen >> OUTCOME_SHIFT {
            0 => Polled::Value,
            fate => Polled::Failed(fate as u8),
        }
    }

    /// For the asker that gives up. `true`: already answered, the node (and value) is the asker's.
    #[must_use]
    pub(crate) fn abandon(&self) -> Option<Polled> {
        let mut seen = self.state.load(Ordering::Acquire);
        loop {
            if seen & STATE == ANSWERED {
                return Some(match seen >> OUTCOME_SHIFT {
                    0 => Polled::Value,
                    fate => Polled::Failed(fate as u8),
                });
            }
            // From WAITING by way of EMPTY, so that the waker is dropped by us alone (R1).
            let next = if seen == WAITING { EMPTY } else { ABANDONED };
            // AcqRel: Release hands the node to the responder, Acquire sees its answer.
            match self
                .state
                .compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) if seen == WAITING => {
                    self.drop_waker();
                    seen = EMPTY;
                }
                Ok(_) => return None,
                Err(now) => seen = now,
            }
        }
    }

    /// For the responder: the value was written (`None`) or there is none. `before` is shown the
    /// asker's waker while the asker still waits, ahead of the answer.
    pub(crate) fn respond(&self, failure: Option<Fate>, before: impl FnOnce(&Waker)) -> Responded {
        let answered = ANSWERED | failure.map_or(0, |fate| fate as u32) << OUTCOME_SHIFT;
        // Acquire on success: the waker, with the asker's Release into WAITING.
        let waker =
            match self
                .state
                .compare_exchange(WAITING, TAKING, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => Some(self.waker.with(|slot| {
                    // SAFETY: R1: the state is TAKING, so the waker is ours; moved out once.
                    unsafe { (*slot).assume_init_read() }
                })),
                Err(_) => None,
            };
        if let Some(waker) = &waker {
            before(waker);
        }
        // AcqRel: Release publishes the value to the asker; Acquire sees the asker's last writes if
        // it gave up.
        if self.state.swap(answered, Ordering::AcqRel) == ABANDONED {
            return Responded::Abandoned;
        }
        match waker {
            Some(waker) => Responded::Wake(waker),
            None => Responded::Delivered,
        }
    }

    fn drop_waker(&self) {
        self.waker.with_mut(|slot| {
            // SAFETY: called by the asker when its CAS moved WAITING to EMPTY and the slot will not
            // be read again (R1).
            unsafe { (*slot).assume_init_drop() }
        });
    }
}

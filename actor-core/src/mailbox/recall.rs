//! A node that is pushed again and again: once per wake-up, and never while it is in a mailbox already.
//!
//! An attached task (`cell::tasks`) is polled when its node comes up in its actor's mailbox. Wake-ups
//! come from any thread, any number of them at any time; the word decides who pushes:
//!
//! ```text
//!              call (pushes)            begin               call
//!     RESTING ---------------> QUEUED ---------> RUNNING ---------> CALLED
//!        ^                       ^                  |                  |
//!        |                       +---- leave (pushes again) -----------+
//!        +------------------------ leave -----------+
//!
//!     every state -- over --> OVER
//! ```
//!
//! The node may still mark the inbox while it is RUNNING (handled in place), so a call meanwhile must
//! not push it: it is pushed by the turn, when the turn is done with it.
//!
//! # Invariants
//!
//! - K1: between a push and the `leave` after it the node is not pushed again: it is in one queue at most.
//! - K2: a call that comes after the poll has begun leads to another poll.
//! - K3: one poll at a time, which sees what the last one and every caller before it wrote.

use std::marker::PhantomData;

use crate::sync::atomic::{AtomicU32, Ordering};

const RESTING: u32 = 0;
const QUEUED: u32 = 1;
const RUNNING: u32 = 2;
const CALLED: u32 = 3;
const OVER: u32 = 4;

/// The word.
#[derive(Debug)]
pub(crate) struct Recall<P = Sound> {
    word: AtomicU32,
    protocol: PhantomData<fn() -> P>,
}

/// The steps on which the protocol stands, so that models can weaken one and must fail.
pub(crate) trait Protocol {
    /// What a caller wrote, to the poll.
    const CALL: Ordering = Ordering::AcqRel;
    /// A call during the poll is remembered (K2).
    const CALL_IS_KEPT: bool = true;
    /// A call during the poll does not push (K1).
    const CALL_WAITS: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

impl<P: Protocol> Recall<P> {
    /// Of a node that is being run for the first time, or about to be: nobody has pushed it.
    pub(crate) fn running() -> Self {
        Self {
            word: AtomicU32::new(RUNNING),
            protocol: PhantomData,
        }
    }

    /// From anybody. `true`: the caller pushes the node.
    #[must_use]
    pub(crate) fn call(&self) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            let (next, pushes) = match seen {
                RESTING => (QUEUED, true),
                RUNNING if !P::CALL_WAITS => (QUEUED, true),
                RUNNING => (CALLED, false),
                // Also when it is called for already: the poll must see what came before this call.
                QUEUED | CALLED => (seen, false),
                _ => return false,
            };
            // AcqRel: Release, with the Acquire of `begin`; Acquire for the one that pushes (K3).
            match self
                .word
                .compare_exchange_weak(seen, next, P::CALL, Ordering::Relaxed)
            {
                Ok(_) => return pushes,
                Err(now) => seen = now,
            }
        }
    }

    /// By whoever took the node out of the mailbox. `false`: it is over, nothing is to be polled.
    #[must_use]
    pub(crate) fn begin(&self) -> bool {
        // Acquire: with the Release of `call` and `leave`.
        self.word
            .compare_exchange(QUEUED, RUNNING, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// By the turn, once the node has left the mailbox. `true`: it was called for meanwhile; the turn
    /// pushes it.
    #[must_use]
    pub(crate) fn leave(&self) -> bool {
        // Release: the poll, to the next `begin`.
        let left =
            self.word
                .compare_exchange(RUNNING, RESTING, Ordering::AcqRel, Ordering::Acquire);
        let Err(CALLED) = left else { return false };
        if !P::CALL_IS_KEPT {
            self.word.store(RESTING, Ordering::Release);
            return false;
        }
        // It may be over by now, and stays so.
        self.word
            .compare_exchange(CALLED, QUEUED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// By the owner: never again. The node may still be in the mailbox.
    pub(crate) fn over(&self) {
        // AcqRel: a sum of all edges; who sees OVER touches nothing.
        self.word.swap(OVER, Ordering::AcqRel);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.word.load(Ordering::Acquire) == OVER
    }
}

#[cfg(all(test, actor_loom))]
#[path = "recall_loom.rs"]
mod models;

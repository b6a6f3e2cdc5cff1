//! Whether an actor has handled anything lately: one byte, for the census (`cell::census`).
//!
//! A clock in each cell would cost a clock read per turn. Instead the owner writes `FRESH` whenever it
//! handles something, a plain store to a line it writes anyway; and the census, when it finds `FRESH`, marks the
//! cell with the number of its walk. So a mark says: nothing was handled *since that walk*.
//!
//! ```text
//!   VACANT --occupy--> FRESH --look: CAS--> mark of a walk (2 to 255)
//!                        ^                     |
//!                        +--- touch: store ----+      vacate: swap VACANT, from any
//! ```
//!
//! # Edges
//!
//! - A: `occupy` (Release) with `look` (Acquire): who sees life sees whose, what was written before.
//! - The mark is a CAS from `FRESH`: a life that ends between the look and the mark stays ended.
//!
//! All else is relaxed: it is evidence for people, and nothing is read through it.

use std::marker::PhantomData;

use crate::sync::atomic::{AtomicU8, Ordering};

/// Nobody lives here. Also what a cell's memory is before it is first used.
const VACANT: u8 = 0;
/// Something was handled since the census last looked.
const FRESH: u8 = 1;

/// The marks there are: the walks that can be told apart.
pub(crate) const MARKS: std::ops::RangeInclusive<u8> = 2..=255;

#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Quiet<P = Sound> {
    byte: AtomicU8,
    protocol: PhantomData<fn() -> P>,
}

/// The steps on which it stands, so that models can weaken one and must fail.
pub(crate) trait Protocol {
    /// Edge A, the half of who moves in.
    const OCCUPY: Ordering = Ordering::Release;
    /// The mark is one step, not a look and a store.
    const ONE_STEP: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

impl<P: Protocol> Quiet<P> {
    pub(crate) fn vacant() -> Self {
        Self {
            byte: AtomicU8::new(VACANT),
            protocol: PhantomData,
        }
    }

    /// Somebody has moved in; all that the census reads of it has been written.
    pub(crate) fn occupy(&self) {
        self.byte.store(FRESH, P::OCCUPY);
    }

    /// Something is being handled. By the owner.
    #[inline(always)]
    pub(crate) fn touch(&self) {
        // Not a read-modify-write: a mark that is overwritten is out of date.
        self.byte.store(FRESH, Ordering::Relaxed);
    }

    /// Nobody lives here any more. By the owner.
    pub(crate) fn vacate(&self) {
        // A swap, once in a life: a store would do, for a mark is never put after it, but models do not
        // know the order of a store and another thread's CAS.
        self.byte.swap(VACANT, Ordering::Relaxed);
    }

    /// A look that leaves no mark: `None` where nobody lives, `Some(None)` when something was handled since the
    /// census was here, else the walk since which nothing was.
    #[cfg(not(actor_loom))]
    pub(crate) fn peek(&self) -> Option<Option<u8>> {
        // Edge A.
        match self.byte.load(Ordering::Acquire) {
            VACANT => None,
            FRESH => Some(None),
            since => Some(Some(since)),
        }
    }

    /// The census comes by on the walk `mark`: the walk since which nothing was handled, or `None` where
    /// nobody lives.
    pub(crate) fn look(&self, mark: u8) -> Option<u8> {
        match self.byte.load(Ordering::Acquire) {
            VACANT => None,
            FRESH if !P::ONE_STEP => {
                self.byte.store(mark, Ordering::Relaxed);
                Some(mark)
            }
            FRESH => {
                let marked =
                    self.byte
                        .compare_exchange(FRESH, mark, Ordering::Acquire, Ordering::Acquire);
                match marked {
                    Ok(_) => Some(mark),
                    Err(VACANT) => None,
                    // Another walk was here.
                    Err(now) => Some(now),
                }
            }
            since => Some(since),
        }
    }
}

#[cfg(all(test, not(actor_loom)))]
#[path = "quiet_tests.rs"]
mod tests;

#[cfg(all(test, actor_loom))]
#[path = "quiet_loom.rs"]
mod loom_tests;

//! The batch lane of one ordered pair of NUMA nodes: messages for many actors, on one word.
//!
//! ```text
//!  63        48 47                          6 5       0
//!  |  count    |  address of newest node >> 6 | IDLE    |
//! ```
//!
//! Workers of one NUMA node push; the word stays in their caches. Who drains takes all of it at once and
//! puts each message into its actor's inbox, a chain for an actor at a time. So what crosses between the two NUMA
//! nodes is the word twice per batch, instead of each actor's inbox word for each message.
//!
//! ```text
//!            push (pusher schedules the lane)
//!   IDLE ----------------------------------> (no tag) scheduled, or being drained by its turn
//!     ^                                          |
//!     +----- drain: all delivered, CAS 0 -> IDLE +      settle: anybody, at any time, takes and delivers
//! ```
//!
//! # Order
//!
//! A lane hands over in the order of its pushes, because one thread at a time takes *and delivers* (the lock).
//! What bypasses a lane must not overtake what lies on it. Hence the rule that every sender keeps (`cell::crossing`):
//!
//! > A message may go past a lane only if the lane was seen idle, or was settled, before.
//!
//! Idle means delivered, not just taken: the lane goes idle under the lock, after the last of its messages is
//! in an inbox.
//!
//! # Invariants
//!
//! - D1: a node is the pusher's until its CAS, then the lane's, then that of who took it, under the lock.
//! - D2: while the lane is not idle its turn is scheduled or running: whoever's push removes IDLE schedules it,
//!   and only its turn brings IDLE back. So nothing on it is forgotten.
//!
//! # Edges
//!
//! - A: push (Release) with take (Acquire): the node's contents.
//! - B: the CAS to IDLE (Release) with a look, or a push, that reads it (Acquire): all that was delivered.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::node::Node;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::cache_padded::CachePadded;

const IDLE: u64 = 1;
const TAGS: u64 = (1 << 6) - 1;
const COUNT_SHIFT: u32 = 48;
const ADDRESS: u64 = ((1 << COUNT_SHIFT) - 1) & !TAGS;

#[derive(Debug)]
pub(crate) struct BatchLane<P = Sound> {
    /// The pushers' line.
    word: CachePadded<AtomicU64>,
    /// Held while messages are taken and delivered. A panic under it would be a bug of ours, not of users:
    /// no user code runs under it.
    turn: CachePadded<Mutex<()>>,
    protocol: PhantomData<fn() -> P>,
}

/// The steps on which the protocol stands, so that models can weaken one and must fail.
pub(crate) trait Protocol {
    /// Edge A, and edge B for a push that removes IDLE.
    const PUSH: Ordering = Ordering::AcqRel;
    /// Edge B.
    const LOOK: Ordering = Ordering::Acquire;
    const LEAVE: Ordering = Ordering::Release;
    /// Who settles excludes the lane's turn, and the other way round.
    const LOCKED: bool = true;
    /// Idle only when all that was taken is delivered.
    const DELIVERED_FIRST: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

/// A lane as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    /// All that was ever pushed before has been delivered.
    pub(crate) idle: bool,
    /// Messages that nobody has taken.
    pub(crate) waiting: u64,
}

/// What was taken, oldest first, linked by `next`.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) first: NonNull<Node>,
}

impl<P: Protocol> BatchLane<P> {
    pub(crate) fn new() -> Self {
        Self {
            word: CachePadded(AtomicU64::new(IDLE)),
            turn: CachePadded(Mutex::new(())),
            protocol: PhantomData,
        }
    }

    #[inline(always)]
    pub(crate) fn look(&self) -> View {
        // Acquire: edge B.
        let seen = self.word.0.load(P::LOOK);
        View {
            idle: seen & IDLE != 0,
            waiting: seen >> COUNT_SHIFT,
        }
    }

    /// Puts a node on the lane. `true`: it was idle, and the pusher must schedule its turn.
    ///
    /// # Safety
    ///
    /// The caller owns `node` (N1), has written on it whom it is for, and gives it up.
    pub(crate) unsafe fn push(&self, node: NonNull<Node>) -> bool {
        let address = node.as_ptr().expose_provenance() as u64;
        debug_assert_eq!(
            address & !ADDRESS,
            0,
            "node {address:#x} is not aligned or not in user space"
        );
        // Relaxed: the value is only compared and linked to, not followed.
        let mut seen = self.word.0.load(Ordering::Relaxed);
        loop {
            let below = std::ptr::with_exposed_provenance_mut((seen & ADDRESS) as usize);
            // SAFETY: D1: ours until the CAS succeeds.
            unsafe { Node::set_next(node, below) };
            let count = ((seen >> COUNT_SHIFT) + 1).min(0xffff);
            // Edges A and B.
            match self.word.0.compare_exchange_weak(
                seen,
                count << COUNT_SHIFT | address,
                P::PUSH,
                Ordering::Relaxed,
            ) {
                Ok(_) => return seen & IDLE != 0,
                Err(now) => seen = now,
            }
        }
    }

    /// The lane's turn: delivers all there is, up to so many batches. `true`: the lane has gone idle and is no
    /// longer the caller's; otherwise there is more.
    ///
    /// # Safety
    ///
    /// The caller has the lane's turn (D2). `deliver` owns what it is given.
    pub(crate) unsafe fn drain(&self, batches: usize, mut deliver: impl FnMut(Batch)) -> bool {
        let _turn = P::LOCKED.then(|| self.lock());
        for _ in 0..batches {
            if let Some(batch) = self.take() {
                if !P::DELIVERED_FIRST && self.leave() {
                    deliver(batch);
                    return true;
                }
                deliver(batch);
            } else if self.leave() {
                return true;
            }
        }
        false
    }

    /// Delivers what lies on the lane now. When this returns, all that was pushed before the call is in the
    /// inboxes.
    ///
    /// # Safety
    ///
    /// `deliver` owns what it is given.
    pub(crate) unsafe fn settle(&self, mut deliver: impl FnMut(Batch)) {
        let _turn = P::LOCKED.then(|| self.lock());
        if let Some(batch) = self.take() {
            deliver(batch);
        }
    }

    fn lock(&self) -> crate::sync::MutexGuard<'_, ()> {
        self.turn
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// CAS: all delivered, nothing came since.
    fn leave(&self) -> bool {
        // Release: edge B. Relaxed on failure: looked at again.
        self.word
            .0
            .compare_exchange(0, IDLE, P::LEAVE, Ordering::Relaxed)
            .is_ok()
    }

    fn take(&self) -> Option<Batch> {
        let mut seen = self.word.0.load(Ordering::Relaxed);
        // Never an idle word: IDLE is the turn's to remove or to bring back (D2).
        while seen & ADDRESS != 0 {
            // Acquire: edge A.
            match self
                .word
                .0
                .compare_exchange_weak(seen, 0, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        // The stack turned round.
        let mut first = None;
        let mut at = NonNull::new(std::ptr::with_exposed_provenance_mut::<Node>(
            (seen & ADDRESS) as usize,
        ));
        while let Some(node) = at {
            // SAFETY: D1: the whole chain was taken, so it is ours.
            unsafe {
                at = NonNull::new(Node::next(node));
                Node::set_next(
                    node,
                    first.map_or(std::ptr::null_mut(), NonNull::<Node>::as_ptr),
                );
            }
            first = Some(node);
        }
        first.map(|first| Batch { first })
    }
}

#[cfg(all(test, actor_loom))]
#[path = "batch_loom.rs"]
mod models;

#[cfg(all(test, not(actor_loom)))]
#[path = "batch_tests.rs"]
mod tests;

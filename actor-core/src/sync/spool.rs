//! A bounded row of values from one thread to another: what finds it full is not made.
//!
//! ```text
//!   the producer                          the consumer
//!     reads `head` when its last              reads `tail` once for all that it takes
//!       look says that it is full
//!     writes the slot                         moves the values out
//!     stores `tail`  ── edge A ──>            stores `head` ── edge B ──> the slot may be written again
//! ```
//!
//! Both counters only grow, and their difference is what lies in between. Each is on cache lines of its own and
//! written by one side; the producer looks at the consumer's once per round, not per value. So a push
//! writes the value and stores a number, and no thread waits for another.
//!
//! # Invariants
//!
//! - P1: a slot from `head` to `tail` holds a value and is the consumer's, any other holds none and is the
//!   producer's; so nobody else touches a slot while one side does.

use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::UnsafeCell;
use super::atomic::{AtomicUsize, Ordering};
use super::cache_padded::CachePadded;

/// The row. For a thread that pushes, and one at a time that takes.
pub(crate) struct Spool<T, P = Sound> {
    produced: CachePadded<Produced>,
    consumed: CachePadded<Consumed>,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    protocol: PhantomData<fn() -> P>,
}

struct Produced {
    /// Values that were pushed: for the consumer.
    tail: AtomicUsize,
    /// The same for the producer itself. A model that sees it read back what it wrote takes that for the other
    /// side's look, and leaves out the order in which the sides meet.
    next: AtomicUsize,
    /// The producer's last look at `head`.
    seen: AtomicUsize,
}

struct Consumed {
    /// Values that were taken: for the producer.
    head: AtomicUsize,
    /// The same for the consumer itself.
    next: AtomicUsize,
}

/// The edges on which it stands, so that models can leave one out and must fail.
pub(crate) trait Protocol {
    /// Edge A: the value is there before whoever reads this store.
    const PUBLISH: Ordering = Ordering::Release;
    /// Edge B: the value is gone before whoever reads this store.
    const GIVE_BACK: Ordering = Ordering::Release;
}

/// As it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

// SAFETY: values go from one thread to another; by the contracts of `push` and `take` one thread at a time is on
// either side, and P1 keeps the sides apart.
unsafe impl<T: Send, P> Send for Spool<T, P> {}
// SAFETY: as above.
unsafe impl<T: Send, P> Sync for Spool<T, P> {}

impl<T, P: Protocol> Spool<T, P> {
    /// For at most so many values; a power of two.
    pub(crate) fn new(capacity: usize) -> Self {
        assert!(
            capacity.is_power_of_two(),
            "a spool takes a power of two, not {capacity}"
        );
        let empty = || UnsafeCell::new(MaybeUninit::uninit());
        Self {
            produced: CachePadded(Produced {
                tail: AtomicUsize::new(0),
                next: AtomicUsize::new(0),
                seen: AtomicUsize::new(0),
            }),
            consumed: CachePadded(Consumed {
                head: AtomicUsize::new(0),
                next: AtomicUsize::new(0),
            }),
            slots: (0..capacity).map(|_| empty()).collect(),
            protocol: PhantomData,
        }
    }

    fn slot(&self, number: usize) -> &UnsafeCell<MaybeUninit<T>> {
        &self.slots[number & (self.slots.len() - 1)]
    }

    /// Puts a value in, which is made in its place; `false`: there is no room, and it was not made.
    ///
    /// # Safety
    ///
    /// One thread at a time, and not from within `make`.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, make: impl FnOnce() -> T) -> bool {
        // Relaxed, both, and the store of `next`: this side's alone.
        let tail = self.produced.next.load(Ordering::Relaxed);
        let mut head = self.produced.seen.load(Ordering::Relaxed);
        if tail.wrapping_sub(head) == self.slots.len() {
            // Acquire: edge B, with the store in `take`.
            head = self.consumed.head.load(Ordering::Acquire);
            self.produced.seen.store(head, Ordering::Relaxed);
            if tail.wrapping_sub(head) == self.slots.len() {
                return false;
            }
        }
        self.slot(tail).with_mut(|slot| {
            // SAFETY: P1: not between `head` and `tail`, so ours, the one producer's.
            unsafe { (*slot).write(make()) };
        });
        let next = tail.wrapping_add(1);
        self.produced.next.store(next, Ordering::Relaxed);
        // Release: edge A, with the load in `take`.
        self.produced.tail.store(next, P::PUBLISH);
        true
    }

    /// Takes out what is there now, at most so many, oldest first. How many there were.
    ///
    /// # Safety
    ///
    /// One thread at a time, and not from within `each`.
    pub(crate) unsafe fn take(&self, most: usize, mut each: impl FnMut(T)) -> usize {
        // Relaxed, and the store of `next`: this side's alone.
        let head = self.consumed.next.load(Ordering::Relaxed);
        // Acquire: edge A, with the store in `push`.
        let tail = self.produced.tail.load(Ordering::Acquire);
        let count = tail.wrapping_sub(head).min(most);
        for number in 0..count {
            let at = head.wrapping_add(number);
            // SAFETY: P1: between `head` and `tail`, so ours, the one consumer's; `head` passes it below.
            let value = self
                .slot(at)
                .with_mut(|slot| unsafe { (*slot).assume_init_read() });
            // One by one: a value that was moved out is not there any more, whatever `each` does.
            let next = at.wrapping_add(1);
            self.consumed.next.store(next, Ordering::Relaxed);
            // Release: edge B, with the load in `push`.
            self.consumed.head.store(next, P::GIVE_BACK);
            each(value);
        }
        count
    }

    /// How many wait, as far as it shows.
    pub(crate) fn len(&self) -> usize {
        // Relaxed: a figure.
        let head = self.consumed.head.load(Ordering::Relaxed);
        let tail = self.produced.tail.load(Ordering::Relaxed);
        tail.wrapping_sub(head).min(self.slots.len())
    }

    /// How many it takes.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }
}

impl<T, P> Drop for Spool<T, P> {
    fn drop(&mut self) {
        // A model that has found its planted bug: to look at the slots would end it before it can say so.
        #[cfg(actor_loom)]
        if std::thread::panicking() {
            return;
        }
        // Relaxed: nobody else is left.
        let mut head = self.consumed.head.load(Ordering::Relaxed);
        let tail = self.produced.tail.load(Ordering::Relaxed);
        while head != tail {
            let slot = &self.slots[head & (self.slots.len() - 1)];
            // SAFETY: P1, and nobody else is left.
            slot.with_mut(|slot| unsafe { (*slot).assume_init_drop() });
            head = head.wrapping_add(1);
        }
    }
}

impl<T, P: Protocol> fmt::Debug for Spool<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish()
    }
}

#[cfg(all(test, actor_loom))]
#[path = "spool_loom.rs"]
mod models;

#[cfg(all(test, not(actor_loom)))]
#[path = "spool_tests.rs"]
mod tests;

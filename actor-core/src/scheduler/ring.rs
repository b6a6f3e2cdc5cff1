//! A worker's own queue: bounded, first in first out; thieves take half.
//!
//! ```text
//!            steal        real                  tail
//!   ... free   |  claimed   |       queued        |  free ...
//!              |  by one    |  owner pops here,   |  owner pushes here
//!              |  thief     |  thieves claim here |
//! ```
//!
//! `steal` and `real` share one 64-bit word, `head`. Positions count up for ever and wrap at 2^32;
//! a slot is `position % CAPACITY`.
//!
//! - The owner pushes: it writes the slot at `tail`, then moves `tail`. Room is counted from
//!   `steal`, so a slot that a thief still copies is never overwritten.
//! - The owner pops: one CAS moves `real` (and `steal` with it, if no thief is at work).
//! - A thief claims: one CAS moves `real` past half of the queued tasks and leaves `steal` behind.
//!   It copies them out, then a second CAS sets `steal` to `real`. While the two differ other
//!   thieves stay away, so there is one at a time per ring.
//!
//! After tokio's `multi_thread/queue.rs` and st3. Two 32-bit halves rather than tokio's 16: a thief
//! that sleeps between its load and its CAS would have to miss exactly 2^32 tasks (over 40 s at
//! 10 ns each) and wake at the very same position to be fooled.
//! Not crossbeam-deque: it is unbounded, pins an epoch per steal and pays a SeqCst `fetch_add` per
//! pop (35 ns against 31 ns per message, without LIFO slot).
//! Tried in a prototype and left out: claiming 8 tasks per CAS into a private array. It saved 1 ns
//! per task and hides seven of them from thieves.
//!
//! Who may touch what: [`Local`] is the owner's end, one per ring and not `Sync`; [`Steal`] is
//! everybody's.

use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::cache_padded::CachePadded;
use crate::sync::{Arc, UnsafeCell};

use super::task::{Chain, Link, Task};

/// Both ends of a new, empty ring.
pub(crate) fn ring<P: Protocol>() -> (Local<P>, Steal<P>) {
    let ring = Arc::new(Ring {
        ends: CachePadded(Ends {
            head: AtomicU64::new(0),
            tail: AtomicU32::new(0),
        }),
        slots: std::array::from_fn(|_| UnsafeCell::new(ptr::null_mut())),
        protocol: PhantomData,
    });
    let local = Local {
        ring: ring.clone(),
        not_sync: PhantomData,
    };
    (local, Steal(ring))
}

/// The owner's end.
#[derive(Debug)]
pub(crate) struct Local<P = Sound> {
    ring: Arc<Ring<P>>,
    /// Two threads with a `&Local` would be two owners.
    not_sync: PhantomData<Cell<()>>,
}

/// The thieves' end.
#[derive(Debug)]
pub(crate) struct Steal<P = Sound>(Arc<Ring<P>>);

/// Where tasks go for which there is no room. A trait, so that tests need no scheduler.
pub(crate) trait Overflow {
    fn push_chain(&self, chain: Chain);
}

/// The edges on which the ring stands, so that models can weaken one and must fail.
pub(crate) trait Protocol {
    /// Edge A, publication. Release of `tail` in `push`, with the Acquire of `tail` in `claim`: the
    /// thief sees the slot that the owner wrote.
    const PUBLISH: Ordering = Ordering::Release;
    /// Edge B, return. Release of `steal` when a thief is done, with the Acquire of `head` in
    /// `push`: the owner overwrites a slot only after the thief has read it.
    const GIVE_BACK: Ordering = Ordering::Release;
    /// Edge C, no end before its beginning. Release of `head` when the owner moves `real`, with the
    /// Acquire of `head` in `look`: a thief that sees this `head` then sees a `tail` at least as
    /// new, so `tail - real` never goes below zero.
    const ADVANCE: Ordering = Ordering::Release;
    /// Whether a thief leaves `steal` behind while it copies.
    const CLAIM_FIRST: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

/// # Invariants
///
/// 1. `steal <= real <= tail <= steal + CAPACITY`, in wrapping order.
/// 2. Slots in `real..tail` hold queued tasks; they are read only by who moves `real` past them.
/// 3. Slots in `steal..real` belong to the one thief that made `steal != real`.
/// 4. All other slots belong to the owner, who alone writes slots and `tail`.
#[derive(Debug)]
struct Ring<P> {
    ends: CachePadded<Ends>,
    slots: [UnsafeCell<*mut Link>; CAPACITY],
    protocol: PhantomData<fn() -> P>,
}

/// On one line: the owner touches both in each push and pop, a thief reads both first of all, so
/// two lines would be two misses.
#[derive(Debug)]
struct Ends {
    head: AtomicU64,
    tail: AtomicU32,
}

// SAFETY: slots are plain cells, but invariants 2 to 4 give each exactly one thread that may touch
// it, and edges A and B order the hand-overs. Tasks are `Send`.
unsafe impl<P> Sync for Ring<P> {}
// SAFETY: as above; the raw pointers inside are tasks.
unsafe impl<P> Send for Ring<P> {}

impl<P: Protocol> Local<P> {
    /// Appends. Without room, half of the ring and the task go to `overflow`, oldest first; returns
    /// whether that happened.
    #[inline]
    pub(crate) fn push(&self, task: Task, overflow: &impl Overflow) -> bool {
        let tail = self.tail();
        // Acquire: edge B, with the thief's CAS in `give_back`.
        let head = Head::unpack(self.ring.ends.head.load(Ordering::Acquire));
        if tail.wrapping_sub(head.steal) < CAPACITY_U32 {
            self.write(tail, task);
            self.publish(tail.wrapping_add(1));
            return false;
        }
        self.push_full(task, head, tail, overflow);
        true
    }

    #[cold]
    fn push_full(&self, task: Task, head: Head, tail: u32, overflow: &impl Overflow) {
        if head.steal == head.real {
            assert_eq!(
                tail.wrapping_sub(head.real),
                CAPACITY_U32,
                "the ring is not full; tail = {tail}, head = {head:?}"
            );
            // The oldest half: it has waited longest, and whoever is free takes it from there.
            let next = Head::at(head.real.wrapping_add(HALF));
            // Edge C. Relaxed on failure: nothing was read.
            let moved = self.ring.ends.head.compare_exchange(
                head.pack(),
                next.pack(),
                P::ADVANCE,
                Ordering::Relaxed,
            );
            if moved.is_ok() {
                let mut chain = Chain::one(self.ring.read(head.real));
                for i in 1..HALF {
                    chain.push_back(self.ring.read(head.real.wrapping_add(i)));
                }
                chain.push_back(task);
                overflow.push_chain(chain);
                return;
            }
        }
        // A thief is making room right now. Waiting for it would be a spin on its scheduling.
        overflow.push_chain(Chain::one(task));
    }

    /// Appends all of them.
    ///
    /// # Panics
    ///
    /// If there is no room: callers ask `free` first.
    pub(crate) fn extend(&self, chain: Chain) {
        let tail = self.tail();
        let len = u32::try_from(chain.len()).unwrap_or(u32::MAX);
        let room = self.room(tail);
        assert!(
            len <= room,
            "a share of {len} tasks for a ring with room for {room}"
        );
        let mut end = tail;
        for task in chain {
            self.write(end, task);
            end = end.wrapping_add(1);
        }
        self.publish(end);
    }

    /// The oldest task.
    #[inline]
    pub(crate) fn pop(&self) -> Option<Task> {
        let tail = self.tail();
        let ends = &self.ring.ends;
        // Relaxed: the slots were written by this thread, and room is not at stake.
        let mut seen = ends.head.load(Ordering::Relaxed);
        loop {
            let head = Head::unpack(seen);
            if head.real == tail {
                return None;
            }
            let real = head.real.wrapping_add(1);
            let next = if head.steal == head.real {
                Head::at(real)
            } else {
                Head { real, ..head } // `steal` is the thief's.
            };
            // Edge C. Relaxed on failure: as above.
            match ends
                .head
                .compare_exchange_weak(seen, next.pack(), P::ADVANCE, Ordering::Relaxed)
            {
                Ok(_) => return Some(self.ring.read(head.real)),
                Err(now) => seen = now,
            }
        }
    }

    /// No task is queued.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: only thieves change it, and they can only take more away.
        Head::unpack(self.ring.ends.head.load(Ordering::Relaxed)).real == self.tail()
    }

    /// How many more tasks fit; thieves can only make it more.
    pub(crate) fn free(&self) -> usize {
        self.room(self.tail()) as usize
    }

    fn tail(&self) -> u32 {
        // Relaxed: this thread is its only writer.
        self.ring.ends.tail.load(Ordering::Relaxed)
    }

    fn publish(&self, tail: u32) {
        self.ring.ends.tail.store(tail, P::PUBLISH);
    }

    /// Free slots from `tail` on.
    fn room(&self, tail: u32) -> u32 {
        // Acquire: edge B, since the caller will write into this room.
        let head = Head::unpack(self.ring.ends.head.load(Ordering::Acquire));
        CAPACITY_U32 - tail.wrapping_sub(head.steal)
    }

    /// Writes the slot of `position`, which lies in `tail..steal + CAPACITY`.
    fn write(&self, position: u32, task: Task) {
        // SAFETY: invariant 4: beyond `tail` and within the room the slot is the owner's, and this
        // is the owner.
        self.ring
            .slot(position)
            .with_mut(|slot| unsafe { *slot = task.as_ptr() });
    }
}

impl<P: Protocol> Steal<P> {
    /// Takes half, rounded up: the oldest is returned to be run, the others go into the thief's own
    /// ring. `None` if there is nothing, if another thief is at work here, or if the thief's ring
    /// has no room for half of a ring.
    pub(crate) fn steal_half(&self, into: &Local<P>) -> Option<Task> {
        let tail = into.tail();
        if into.room(tail) < HALF {
            return None;
        }
        let (first, n) = self.claim(|queued| queued - queued / 2)?;
        assert!(n <= HALF, "claimed {n} of a ring of {CAPACITY}");
        let task = self.0.read(first);
        for i in 1..n {
            let stolen = self.0.read(first.wrapping_add(i));
            into.write(tail.wrapping_add(i - 1), stolen);
        }
        self.give_back();
        if n > 1 {
            into.publish(tail.wrapping_add(n - 1));
        }
        Some(task)
    }

    /// Takes the oldest task only.
    pub(crate) fn steal_one(&self) -> Option<Task> {
        let (first, _) = self.claim(|queued| queued.min(1))?;
        let task = self.0.read(first);
        self.give_back();
        Some(task)
    }

    /// There is something a thief could take now. A ring with a thief at work says no: that thief
    /// calls the next one when it is done (README, "Theft in progress").
    pub(crate) fn has_work(&self) -> bool {
        let (head, tail) = self.look();
        head.steal == head.real && head.real != tail
    }

    /// How many tasks are queued, about.
    pub(crate) fn len(&self) -> usize {
        let (head, tail) = self.look();
        // A stale `head` under a fresh `tail` may count too many.
        (tail.wrapping_sub(head.real) as usize).min(CAPACITY)
    }

    /// `head` first: edge C, with the owner's CAS. Then `tail`: edge A, with `publish`.
    fn look(&self) -> (Head, u32) {
        let ends = &self.0.ends;
        let head = Head::unpack(ends.head.load(Ordering::Acquire));
        (head, ends.tail.load(Ordering::Acquire))
    }

    /// Claims `share(queued)` tasks and returns the first position and their number, never 0.
    fn claim(&self, share: impl Fn(u32) -> u32) -> Option<(u32, u32)> {
        loop {
            let (head, tail) = self.look();
            if head.steal != head.real {
                return None;
            }
            // If `head` is stale this may be nonsense, and the CAS fails.
            let n = share(tail.wrapping_sub(head.real));
            if n == 0 {
                return None;
            }
            let real = head.real.wrapping_add(n);
            let next = if P::CLAIM_FIRST {
                Head { real, ..head }
            } else {
                Head::at(real)
            };
            // Acquire: no read of a slot moves up before the claim. No Release: nothing was written,
            // and a read-modify-write carries the owner's release (edge C) on to whoever reads it.
            // Relaxed on failure: `look` reads again.
            let claimed = self.0.ends.head.compare_exchange(
                head.pack(),
                next.pack(),
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            if claimed.is_ok() {
                return Some((head.real, n));
            }
        }
    }

    /// Returns the claimed slots to the owner: `steal` catches up with `real`.
    fn give_back(&self) {
        if !P::CLAIM_FIRST {
            return;
        }
        let ends = &self.0.ends;
        // Relaxed: only the owner moves `real` meanwhile, and the CAS will say so.
        let mut seen = ends.head.load(Ordering::Relaxed);
        loop {
            let head = Head::unpack(seen);
            assert_ne!(
                head.steal, head.real,
                "a second thief was here; head = {head:?}"
            );
            let next = Head::at(head.real);
            match ends.head.compare_exchange_weak(
                seen,
                next.pack(),
                P::GIVE_BACK,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }
}

impl<P> Ring<P> {
    fn slot(&self, position: u32) -> &UnsafeCell<*mut Link> {
        &self.slots[position as usize % CAPACITY]
    }

    /// Takes the task out of a slot that the caller has just moved `real` past, or that lies
    /// between `steal` and `real` and was claimed by the caller.
    fn read(&self, position: u32) -> Task {
        // SAFETY: invariants 2 and 3: the caller's CAS made the slot its own.
        let link = self.slot(position).with(|slot| unsafe { *slot });
        let link = NonNull::new(link).expect("a queued slot holds a task");
        // SAFETY: the pointer was a `Task` when it was written, and is given out once.
        unsafe { Task::from_raw(link) }
    }
}

/// Both halves of the `head` word.
#[derive(Clone, Copy, Debug)]
struct Head {
    steal: u32,
    real: u32,
}

impl Head {
    /// No thief at work.
    const fn at(position: u32) -> Self {
        Self {
            steal: position,
            real: position,
        }
    }

    const fn unpack(word: u64) -> Self {
        Self {
            steal: (word >> 32) as u32,
            real: word as u32,
        }
    }

    const fn pack(self) -> u64 {
        (self.steal as u64) << 32 | self.real as u64
    }
}

/// 2 KiB of slots. tokio, Go and st3 all settled on 256: more than one worker should hoard, enough
/// that overflow is rare. A power of two, so that positions may wrap.
#[cfg(not(actor_loom))]
const CAPACITY: usize = 256;
/// Small, so that models reach the wrap and the overflow.
#[cfg(actor_loom)]
const CAPACITY: usize = 4;

const CAPACITY_U32: u32 = CAPACITY as u32;
const HALF: u32 = CAPACITY_U32 / 2;

#[cfg(all(test, actor_loom))]
#[path = "ring_loom.rs"]
mod models;

#[cfg(all(test, not(actor_loom)))]
#[path = "ring_tests.rs"]
mod tests;

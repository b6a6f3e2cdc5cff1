//! The task that runs next on this worker: a slot of one, all but private to its worker.
//!
//! A slot that thieves may empty has to be an atomic swap on both sides, 12 ns a turn, and tokio found
//! that the extra wake-ups cost more still. But a slot that nobody else reaches makes its task wait for
//! the whole turn in front of it, and a turn that blocks lasts as long as it likes. So this slot is
//! *biased*: its owner uses plain loads and stores, and one other thread, the watchdog, may empty it at
//! a price that only the watchdog pays (`barrier.rs`).
//!
//! ```text
//!   owner, to touch the slot          the watchdog
//!     busy = 1                          revoked = 1
//!     (compiler fence B)                barrier B on all threads
//!     revoked? then not now             busy? then give up
//!     put or take the task              take the task
//!     busy = 0                          revoked = 0
//! ```
//!
//! It is Dekker's mutual exclusion with the fence of one side moved to the other: whichever of `busy`
//! and `revoked` is written first is seen by the side that looks second. The watchdog never waits for
//! the owner: it comes back at its next look. The owner waits for the watchdog for a few instructions,
//! and only if it wants the task in that very microsecond.
//!
//! Without `membarrier` the slot cannot be emptied from outside, and its task waits for the turn in
//! front of it, as long as that lasts. The alternative, a real fence at every take, would cost 6 ns a turn
//! on all machines for the sake of those; a turn that sends a lot still empties its own slot
//! (`Worker::expose`).
//!
//! Who may touch what: `put`, `take` and `is_empty` belong to the owner; `evict` to one thread at a time,
//! any (the callers hold `Scheduler::evicting`); `looks_empty` to anybody.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use crate::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use crate::sync::thread;

use super::task::{Link, Task};

/// One worker's slot.
#[derive(Debug)]
pub(crate) struct Lifo<P = Sound> {
    slot: AtomicPtr<Link>,
    /// The owner is emptying the slot.
    busy: AtomicU32,
    /// Somebody else is.
    revoked: AtomicU32,
    protocol: PhantomData<fn() -> P>,
}

/// The steps on which the slot stands, so that models can leave one out and must fail.
pub(crate) trait Protocol {
    /// Barrier B, the owner's side: between writing `busy` and reading `revoked`.
    #[inline(always)]
    fn owner_barrier() {
        #[cfg(not(actor_loom))]
        crate::sync::atomic::compiler_fence(Ordering::SeqCst);
        #[cfg(actor_loom)]
        crate::sync::atomic::fence(Ordering::SeqCst);
    }

    /// Barrier B, the other side: between writing `revoked` and reading `busy`. `false`: there is none.
    fn evictor_barrier() -> bool {
        #[cfg(not(actor_loom))]
        return super::barrier::everywhere();
        #[cfg(actor_loom)]
        {
            crate::sync::atomic::fence(Ordering::SeqCst);
            true
        }
    }

    /// Whether the watchdog looks if the owner is at it.
    const LOOKS: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

impl<P: Protocol> Lifo<P> {
    pub(crate) fn new() -> Self {
        Self {
            slot: AtomicPtr::new(ptr::null_mut()),
            busy: AtomicU32::new(0),
            revoked: AtomicU32::new(0),
            protocol: PhantomData,
        }
    }

    /// Puts a task in; returns the one that was there, or the same if the slot is not to be had now. The
    /// owner only.
    #[inline(always)]
    pub(crate) fn put(&self, task: Task) -> Option<Task> {
        if !self.enter() {
            return Some(task);
        }
        // Relaxed, both: exclusive until `leave`, which publishes.
        let displaced = self.slot.load(Ordering::Relaxed);
        self.slot.store(task.as_ptr(), Ordering::Relaxed);
        self.leave();
        Self::task(displaced)
    }

    /// Takes the task out. The owner only.
    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Task> {
        // Relaxed: only this thread fills the slot, so empty is true for as long as it likes.
        if self.slot.load(Ordering::Relaxed).is_null() {
            return None;
        }
        while !self.enter() {
            self.wait();
        }
        // Relaxed, both: as in `put`.
        let task = self.slot.load(Ordering::Relaxed);
        self.slot.store(ptr::null_mut(), Ordering::Relaxed);
        self.leave();
        Self::task(task)
    }

    /// Whether the owner has the slot to itself until it leaves.
    #[inline(always)]
    fn enter(&self) -> bool {
        // Relaxed: barrier B orders it before the look at `revoked`.
        self.busy.store(1, Ordering::Relaxed);
        P::owner_barrier();
        // Acquire: with the Release in `evict`: then we see that the slot is empty.
        if self.revoked.load(Ordering::Acquire) == 0 {
            return true;
        }
        self.leave();
        false
    }

    #[inline(always)]
    fn leave(&self) {
        // Release: with the Acquire in `evict`, which then sees the slot, and the task, as we left them.
        self.busy.store(0, Ordering::Release);
    }

    /// Whether the slot is empty. The owner only; elsewhere it may have been filled since.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        self.slot.load(Ordering::Relaxed).is_null()
    }

    /// A look from another thread: right about what happened long ago.
    pub(crate) fn looks_empty(&self) -> bool {
        // Relaxed: a hint.
        self.slot.load(Ordering::Relaxed).is_null()
    }

    /// Takes the task away from a worker that does not come to it. One thread at a time, not the owner.
    ///
    /// `None` if there is none, if the owner is at the slot this very moment, or if this system has no
    /// `membarrier`.
    pub(crate) fn evict(&self) -> Option<Task> {
        if self.looks_empty() {
            return None;
        }
        // Relaxed: barrier B orders it before the look at `busy`.
        self.revoked.store(1, Ordering::Relaxed);
        let may = P::evictor_barrier();
        // Acquire: with the Release in `leave`.
        let task = if may && (self.busy.load(Ordering::Acquire) == 0 || !P::LOOKS) {
            // Relaxed, both: exclusive until `revoked` is taken back.
            let task = self.slot.load(Ordering::Relaxed);
            self.slot.store(ptr::null_mut(), Ordering::Relaxed);
            task
        } else {
            ptr::null_mut()
        };
        // Release: with the Acquire in `enter`.
        self.revoked.store(0, Ordering::Release);
        Self::task(task)
    }

    #[cold]
    fn wait(&self) {
        // Relaxed: `take` looks again.
        while self.revoked.load(Ordering::Relaxed) != 0 {
            thread::yield_now();
        }
    }

    fn task(link: *mut Link) -> Option<Task> {
        // SAFETY: what lies in the slot was a `Task` when it was put there, and barrier B gives it out
        // once: to the owner between `enter` and `leave`, or to the watchdog while neither is under way.
        NonNull::new(link).map(|link| unsafe { Task::from_raw(link) })
    }
}

#[cfg(all(test, actor_loom))]
#[path = "lifo_loom.rs"]
mod models;

#[cfg(all(test, not(actor_loom)))]
#[path = "lifo_tests.rs"]
mod tests;

//! The lane of signals: pushed by anybody, taken whole by the owner.
//!
//! A stack, because signals are rare and the owner takes all of them: one CAS to push, one swap to take.
//! Whoever takes puts them into the order they came in. That the owner comes to look is the inbox's
//! business (`notify`, `clear_notify`).
//!
//! # Invariants
//!
//! - L1: an element is the pusher's until its CAS, then the lane's, and after a take the taker's.

use std::marker::PhantomData;

use crate::sync::atomic::{AtomicPtr, Ordering};

/// What lies on a lane: has room for the address of the one below it.
pub(crate) trait Linked: Sized {
    fn next(&mut self) -> &mut *mut Self;
}

#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Lane<T, P = Sound> {
    newest: AtomicPtr<T>,
    protocol: PhantomData<fn() -> P>,
}

/// The steps on which the protocol stands, so that models can weaken one and must fail.
pub(crate) trait Protocol {
    /// Edge A: what was written into an element, with `TAKE`.
    const PUSH: Ordering = Ordering::Release;
    const TAKE: Ordering = Ordering::Acquire;
    /// The owner takes in one step, so that nothing comes between its look and its taking.
    const ONE_STEP: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

impl<T: Linked, P: Protocol> Lane<T, P> {
    #[cfg(any(test, actor_loom))]
    pub(crate) fn new() -> Self {
        Self {
            newest: AtomicPtr::new(std::ptr::null_mut()),
            protocol: PhantomData,
        }
    }

    /// Whether something waits: one load. A hint: the edge comes with `take`.
    #[inline(always)]
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: see above.
        self.newest.load(Ordering::Relaxed).is_null()
    }

    pub(crate) fn push(&self, element: Box<T>) {
        let element = Box::into_raw(element);
        // Relaxed: the value is only compared.
        let mut head = self.newest.load(Ordering::Relaxed);
        loop {
            // SAFETY: L1: ours until the CAS succeeds.
            unsafe { *(*element).next() = head };
            // Edge A.
            match self
                .newest
                .compare_exchange_weak(head, element, P::PUSH, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// All of them, in the order they came.
    pub(crate) fn take(&self) -> Taken<T> {
        // Edge A.
        let mut newest = if P::ONE_STEP {
            self.newest.swap(std::ptr::null_mut(), P::TAKE)
        } else {
            let seen = self.newest.load(P::TAKE);
            self.newest.store(std::ptr::null_mut(), Ordering::Relaxed);
            seen
        };
        let mut oldest = std::ptr::null_mut();
        while !newest.is_null() {
            // SAFETY: L1: taken, so ours.
            let below = unsafe { std::mem::replace((*newest).next(), oldest) };
            oldest = newest;
            newest = below;
        }
        Taken(oldest)
    }
}

/// What was taken, oldest first. Those that are not asked for are dropped.
#[derive(Debug)]
pub(crate) struct Taken<T: Linked>(*mut T);

impl<T: Linked> Iterator for Taken<T> {
    type Item = Box<T>;

    fn next(&mut self) -> Option<Box<T>> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: L1: pushed as a box, taken once, and the list is walked once.
        let mut first = unsafe { Box::from_raw(self.0) };
        self.0 = std::mem::replace(first.next(), std::ptr::null_mut());
        Some(first)
    }
}

impl<T: Linked> Drop for Taken<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

#[cfg(all(test, actor_loom))]
#[path = "lane_loom.rs"]
mod models;

#[cfg(all(test, not(actor_loom)))]
#[path = "lane_tests.rs"]
mod tests;

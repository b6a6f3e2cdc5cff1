//! Waiting for an actor's end outside of actors: a slot that the cell fills when it ends.
//!
//! The waiting future and the cell share the slot. A future that is dropped takes its waker back and
//! leaves an empty slot; the cell throws such out whenever its list would grow, so the list is at most
//! twice as long as there are futures that wait, however many came and went.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use super::contain;
use super::header::CellRef;
use super::reason::StopReason;
use super::signal::{Signal, SignalKind};
use super::watch::MANY;

/// Where one future waits for one end.
#[derive(Debug)]
pub(crate) struct EndSlot(Mutex<State>);

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Ended(StopReason),
}

impl EndSlot {
    /// Waits for the end of the actor of that generation; one that is gone is told as `NotFound`.
    pub(crate) fn wait_for(cell: CellRef, generation: u32, waker: Waker) -> Arc<Self> {
        let slot = Arc::new(Self(Mutex::new(State::Waiting(Some(waker)))));
        // Also to a cell whose actor is gone: its turn answers.
        let kind = SignalKind::Monitor(slot.clone());
        cell.signal(Signal::to_generation(generation, kind));
        slot
    }

    pub(crate) fn poll(&self, waker: &Waker) -> Poll<StopReason> {
        // Cloned and dropped outside of the lock: a waker is somebody's code.
        let mut other = Some(waker.clone());
        match &mut *self.lock() {
            State::Ended(reason) => return Poll::Ready(reason.clone()),
            State::Waiting(slot) if slot.as_ref().is_some_and(|old| old.will_wake(waker)) => {}
            State::Waiting(slot) => std::mem::swap(slot, &mut other),
        }
        Poll::Pending
    }

    /// Nobody waits any more.
    pub(crate) fn leave(&self) {
        let waker = match &mut *self.lock() {
            State::Waiting(waker) => waker.take(),
            State::Ended(_) => None,
        };
        drop(waker);
    }

    /// The actor has ended.
    pub(super) fn tell(&self, reason: StopReason) {
        let waiting = std::mem::replace(&mut *self.lock(), State::Ended(reason));
        if let State::Waiting(Some(waker)) = waiting {
            contain(move || waker.wake());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CellRef {
    /// Somebody outside wants to hear of the end.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, whose actor lives.
    pub(super) unsafe fn monitored(self, slot: Arc<EndSlot>) {
        // SAFETY: H2, by the caller.
        let slots = unsafe { &mut self.extra().monitors };
        if slots.len() == slots.capacity() {
            // One count left is ours: the future is gone.
            slots.retain(|slot| Arc::strong_count(slot) > 1);
        }
        slots.push(slot);
        if slots.len() == MANY {
            self.note_many_watches();
        }
    }
}

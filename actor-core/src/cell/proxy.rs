//! A cell whose actor lives elsewhere.
//!
//! To those who hold its address it is an actor as any: it has a mailbox with a bound, it is watched and
//! linked with, and when it ends they hear of it. What differs is told by one flag, which no hot path
//! looks at: a message is forwarded instead of handled, no sooner than the network has room for it, so
//! that a full mailbox here is what a slow network looks like; and a stop, or a broken link, is not felt
//! here but told there. The proxy itself ends when the network says so: the actor has ended, or its peer
//! is gone.

use std::any::TypeId;
use std::task::Context;

use super::header::{CellRef, Flags};
use super::reason::StopReason;
use super::signal::{Signal, SignalKind, StopMode};

impl CellRef {
    /// Asks an actor to stop, as a user does: for one elsewhere the order goes there.
    pub(crate) fn stop_wherever(self, generation: u32, mode: StopMode, reason: StopReason) {
        if self.is_proxy(generation) {
            self.signal(Signal::to_generation(
                generation,
                SignalKind::StopThere(mode),
            ));
        } else {
            self.stop(generation, mode, reason);
        }
    }

    /// Whether the network has room for another message; if not, it wakes the cell when it has. What was forwarded
    /// so far is on its way when it has not, and where `is_last` says that the turn may be over: before the cell
    /// becomes idle, and others' with that.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which is a proxy.
    pub(super) unsafe fn may_forward(self, is_last: bool) -> bool {
        // SAFETY: H2, by the caller.
        unsafe {
            let Some(proxy) = self.vtable().proxy else {
                return true;
            };
            let waker = self.waker();
            let is_ready = (proxy.is_ready)(self, &mut Context::from_waker(&waker));
            if is_last || !is_ready {
                (proxy.flush)(self);
            }
            is_ready
        }
    }

    /// Passes the order on.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn stop_there(self, mode: StopMode) {
        // SAFETY: H2, by the caller; without a state there is nobody who could pass it on.
        unsafe {
            if let Some(proxy) = self.vtable().proxy
                && (*self.owned()).flags.has(Flags::STATE)
            {
                (proxy.stop)(self, mode);
            }
        }
    }

    /// Whether the actor of that generation stands for one elsewhere.
    pub(crate) fn is_proxy(self, generation: u32) -> bool {
        self.vtable_of(generation)
            .is_some_and(|vtable| vtable.proxy.is_some())
    }

    /// Whether the actor of that generation is of that Rust type; it may end the next moment.
    pub(crate) fn is_kind(self, generation: u32, kind: TypeId) -> bool {
        self.vtable_of(generation)
            .is_some_and(|vtable| (vtable.kind)() == kind)
    }

    /// Whether an actor of that generation lives here, and not elsewhere.
    pub(crate) fn lives_here(self, generation: u32) -> bool {
        self.vtable_of(generation)
            .is_some_and(|vtable| vtable.proxy.is_none())
    }
}

//! A cell whose actor lives elsewhere.
//!
//! To those who hold its address it is an actor as any: it has a mailbox with a bound, it is watched and
//! linked with, and when it ends they hear of it. What differs is told by one flag, which no hot path
//! looks at: a message is forwarded instead of handled, no sooner than the network has room for it, so
//! that a full mailbox here is what a slow network looks like; and a stop, or a broken link, is not felt
//! here but told there. The proxy itself ends when the network says so: the actor has ended, or its peer
//! is gone.

use std::any::TypeId;

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

//! What each worker is doing, for who looks from outside: the watchdog and the shutdown's report.
//!
//! One line per worker, written by the worker with plain stores and read by others at any time. What
//! stands here is never followed to memory that may be gone: a cell's header is type-stable (header H1),
//! vtables live for ever, and the trace's number is copied. So a look is never wrong in more than that
//! it may be old; [`Running::look`] reads twice to see that it is of one piece.
//!
//! The message's context is not kept here: it may be freed while somebody follows it. Its trace is
//! written here when a context with one comes into force, under a version as in a seqlock, so that
//! messages without a trace pay nothing.

use super::header::CellRef;
use super::local::Local;
use crate::id::ActorId;
use crate::mailbox::node::NodeVtable;
use crate::stack::Thread;
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering, fence};

/// One worker's line.
#[derive(Debug, Default)]
pub(crate) struct Running {
    /// The cell it runs; null between turns.
    cell: AtomicPtr<u8>,
    /// The message it handles, or has handled last in this turn; null in a hook.
    message: AtomicPtr<NodeVtable>,
    /// Odd while the trace is being written.
    version: AtomicU64,
    /// The number of the trace, upper and lower half; 0 for none.
    trace: [AtomicU64; 2],
    /// Who can be asked for its stack.
    pub(super) thread: Thread,
}

/// What a worker was doing at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) actor: ActorId,
    pub(crate) actor_type: &'static str,
    /// `None` in a hook.
    pub(crate) message: Option<&'static str>,
    pub(crate) trace: u128,
}

impl Running {
    #[inline(always)]
    pub(super) fn begin_turn(&self, cell: CellRef) {
        // Relaxed: read together with `cell`, twice.
        self.message.store(std::ptr::null_mut(), Ordering::Relaxed);
        // Release: with the Acquire in `cell`.
        self.cell.store(cell.as_raw().as_ptr(), Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn end_turn(&self) {
        self.cell.store(std::ptr::null_mut(), Ordering::Release);
    }

    #[inline(always)]
    pub(super) fn begin_message(&self, vtable: &'static NodeVtable) {
        // Release: with the Acquire in `look`; what it points to has been there since before main.
        self.message
            .store(std::ptr::from_ref(vtable).cast_mut(), Ordering::Release);
    }

    /// A hook begins, or a message that a former turn left.
    pub(super) fn resume(&self, vtable: Option<&'static NodeVtable>) {
        let vtable = vtable.map_or(std::ptr::null_mut(), |vtable| {
            std::ptr::from_ref(vtable).cast_mut()
        });
        self.message.store(vtable, Ordering::Release);
    }

    /// The worker only.
    #[inline]
    fn set_trace(&self, trace: u128) {
        let [high, low] = &self.trace;
        let halves = ((trace >> 64) as u64, trace as u64);
        // Relaxed: this thread is the only writer.
        if (high.load(Ordering::Relaxed), low.load(Ordering::Relaxed)) == halves {
            return;
        }
        let version = self.version.load(Ordering::Relaxed);
        self.version
            .store(version.wrapping_add(1), Ordering::Relaxed);
        // Release fence: who sees one of the halves below, and then fences, sees the odd version.
        fence(Ordering::Release);
        high.store(halves.0, Ordering::Relaxed);
        low.store(halves.1, Ordering::Relaxed);
        // Release: with the first load in `trace`.
        self.version
            .store(version.wrapping_add(2), Ordering::Release);
    }

    fn trace(&self) -> Option<u128> {
        // Acquire: with the last store in `set_trace`.
        let version = self.version.load(Ordering::Acquire);
        let [high, low] = self
            .trace
            .each_ref()
            .map(|half| half.load(Ordering::Relaxed));
        // Acquire fence, with the Release fence in `set_trace`.
        fence(Ordering::Acquire);
        let same = self.version.load(Ordering::Relaxed) == version && version.is_multiple_of(2);
        same.then_some(u128::from(high) << 64 | u128::from(low))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.cell.load(Ordering::Relaxed).is_null()
    }

    /// The cell it runs.
    pub(super) fn cell(&self) -> Option<CellRef> {
        // Acquire: with the Release in `begin_turn`.
        std::ptr::NonNull::new(self.cell.load(Ordering::Acquire)).map(CellRef::from_raw)
    }

    /// What it is doing; `None` if it is between turns, or too quick to be looked at.
    pub(super) fn look(&self) -> Option<Look> {
        for _ in 0..LOOKS {
            let cell = self.cell()?;
            // Acquire: with the Release in `begin_message`.
            let message = self.message.load(Ordering::Acquire);
            let Some(trace) = self.trace() else { continue };
            let same = self.cell() == Some(cell) && self.message.load(Ordering::Acquire) == message;
            if !same {
                continue;
            }
            // SAFETY: null or one of the vtables that `begin_message` was given, which are static.
            let message = unsafe { message.as_ref() }.map(|vtable| (vtable.message)());
            return Some(Look {
                actor: cell.id(),
                actor_type: cell.type_name_of(cell.generation()).unwrap_or_default(),
                message,
                trace,
            });
        }
        None
    }
}

/// The trace of what this thread does now, if it is a worker; 0 for none.
#[cold]
pub(crate) fn publish_trace(trace: u128) {
    if let Some(local) = Local::current() {
        local.running().set_trace(trace);
    }
}

const LOOKS: usize = 8;

#[cfg(test)]
#[path = "running_tests.rs"]
mod tests;

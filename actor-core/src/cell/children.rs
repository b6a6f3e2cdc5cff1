//! The parent's side: who the children are, stopping them in reverse, deciding restarts.
//!
//! Children hang in a list through their own cells, in the order they were started (header H3), so a
//! child costs the parent no memory and a million of them are unlinked in a million steps.

use std::sync::Arc;

use super::birth;
use super::extra::Extra;
use super::header::{CellRef, Flags, Phase, Sibling};
use super::reason::{Escalation, StopReason};
use super::signal::{Signal, SignalKind, StopMode};
use crate::clock::Tick;
use crate::contain::log;
use crate::supervision::{AutoShutdown, RestartWindow, Verdict};

impl CellRef {
    /// The extra part, made if need be.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, and drops the reference before it comes here again.
    pub(super) unsafe fn extra<'a>(self) -> &'a mut Extra {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            if (*owned).extra.is_null() {
                (*owned).extra = Box::into_raw(Box::new(Extra::new()));
            }
            &mut *(*owned).extra
        }
    }

    /// The extra part, if there is one.
    ///
    /// # Safety
    ///
    /// As for [`CellRef::extra`].
    pub(super) unsafe fn extra_if_any<'a>(self) -> Option<&'a mut Extra> {
        // SAFETY: H2, by the caller.
        unsafe { (*self.owned()).extra.as_mut() }
    }

    /// Whether children are no longer welcome.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn is_stopping(self) -> bool {
        // SAFETY: H2, by the caller.
        // Field by field: a reference to all of `Owned` would cover the sibling links (H3).
        let (flags, phase) = unsafe { ((*self.owned()).flags, (*self.owned()).phase) };
        flags.has(Flags::URGENT) || !matches!(phase, Phase::Starting | Phase::Running)
    }

    /// When this supervisor ends itself with its significant children.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn auto_shutdown(self) -> AutoShutdown {
        // SAFETY: H2, by the caller; a shared borrow, so that a handler may look from two threads.
        unsafe { (*self.owned()).extra.as_ref() }
            .map_or(AutoShutdown::Never, |extra| extra.supervision.auto_shutdown)
    }

    /// How many children there are.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn child_count(self) -> usize {
        // SAFETY: H2, by the caller; a shared borrow, so that a handler may look from two threads.
        unsafe { (*self.owned()).extra.as_ref() }.map_or(0, |extra| extra.children)
    }

    /// Adds the youngest child.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`; `child` is linked nowhere.
    pub(super) unsafe fn link_child(self, child: Self) {
        let sibling = Sibling::of(child);
        // SAFETY: H2 for the parent, H3 for the links of its children.
        unsafe {
            let extra = self.extra();
            (*child.owned()).prev = extra.last_child;
            (*child.owned()).next = Sibling::NONE;
            match extra.last_child.cell() {
                Some(last) => (*last.owned()).next = sibling,
                None => extra.first_child = sibling,
            }
            extra.last_child = sibling;
            extra.children += 1;
        }
    }

    /// Takes a child that is gone out of the list.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`, whose child it is.
    unsafe fn unlink_child(self, child: Self) {
        // SAFETY: H2 for the parent, H3 for the links.
        unsafe {
            let (prev, next) = ((*child.owned()).prev, (*child.owned()).next);
            let extra = self.extra();
            match prev.cell() {
                Some(prev) => (*prev.owned()).next = next,
                None => extra.first_child = next,
            }
            match next.cell() {
                Some(next) => (*next.owned()).prev = prev,
                None => extra.last_child = prev,
            }
            extra.children -= 1;
        }
    }

    /// A child is gone for good: unlinks it, gives its cell back, stops the next one if we are at it.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`, whose child it is.
    pub(super) unsafe fn child_gone(self, child: Self, reusable: bool) {
        // SAFETY: by the caller; the child's turn has left the cell but for its own dead letters,
        // which `claim` waits for.
        unsafe {
            self.unlink_child(child);
            // Before its cell is another's.
            self.child_settled(child);
            if reusable {
                birth::free_cell(self.runtime(), child.as_raw(), child.id().numa_node().0);
            }
            let extra = self.extra();
            if extra.stopping_child == Some(child) {
                extra.stopping_child = None;
            }
            if (*self.owned()).phase == Phase::StoppingChildren {
                self.stop_next_child();
            }
        }
    }

    /// Tells the youngest child to stop, if none is stopping already; all of them when killing.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn stop_next_child(self) {
        // SAFETY: by the caller, H3.
        unsafe {
            let flags = (*self.owned()).flags;
            let extra = self.extra();
            if extra.stopping_child.is_some() {
                return;
            }
            let mode = if flags.has(Flags::DRAIN) && !flags.has(Flags::RESTARTING) {
                StopMode::Drain
            } else {
                StopMode::Now
            };
            if let Some(last) = extra.last_child.cell() {
                extra.stopping_child = Some(last);
                last.signal(Signal::to(
                    last,
                    SignalKind::Stop {
                        mode,
                        reason: StopReason::Shutdown,
                    },
                ));
            }
        }
    }

    /// Kills all children, youngest first, without waiting between them.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn kill_children(self) {
        // SAFETY: by the caller, H3.
        unsafe {
            let Some(extra) = self.extra_if_any() else {
                return;
            };
            let mut at = extra.last_child;
            while let Some(child) = at.cell() {
                at = (*child.owned()).prev;
                let (mode, reason) = (StopMode::Kill, StopReason::Killed);
                child.signal(Signal::to(child, SignalKind::Stop { mode, reason }));
            }
        }
    }

    /// A child is down and wants to be restarted: decides, and says so to it.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`, whose child it is. May end the parent's current life.
    pub(super) unsafe fn child_down(self, child: Self, name: Option<Arc<str>>, reason: StopReason) {
        // SAFETY: by the caller.
        unsafe {
            if self.is_stopping() {
                let (mode, reason) = (StopMode::Now, StopReason::Shutdown);
                child.signal(Signal::to(child, SignalKind::Stop { mode, reason }));
                return;
            }
            // The root has no parent to give up to: a top-level actor that fails too often is stopped
            // alone, by its own window (`life::restart`).
            if !(*self.owned()).flags.has(Flags::ROOT) {
                let extra = self.extra();
                let supervision = &extra.supervision;
                let window = extra.window.get_or_insert_with(|| {
                    RestartWindow::new(supervision.intensity, supervision.period)
                });
                if window.record(Tick::now()) == Verdict::LimitReached {
                    log!(error,
                        actor = %self.id(), actor_type = (self.vtable().type_name)(), child = %child.id(),
                        "restart limit reached ({} in {:?}): stopping all children, then itself",
                        supervision.intensity, supervision.period,
                    );
                    let limit = (supervision.intensity, supervision.period);
                    let escalation = Escalation::new(
                        child.id(),
                        name,
                        (child.vtable().type_name)(),
                        limit,
                        reason,
                    );
                    self.fail(StopReason::RestartLimit(Arc::new(escalation)));
                    return;
                }
            }
            child.signal(Signal::to(child, SignalKind::Restart));
        }
    }
}

//! Children that start one after the other: each is held until the one before it is up, or gone.
//!
//! ```text
//!  parent's `started` is over     child: `started` ok, or gone for good     no child is left
//!    Release to the first  ------>  ChildStarted / ChildGone to the parent  ----> the parent reports
//!                                     Release to the next                         to its own parent
//! ```
//!
//! A held child is in a back-off without an end (`restart_at` is `Tick::MAX`), so whatever may happen to
//! a child that backs off may happen to it: it is stopped, drained, restarted with its siblings. Released
//! or restarted, it is a child like any other; a second release finds nothing to do.
//!
//! The parent handles messages meanwhile, and a child whose start fails is restarted by the usual rules;
//! its juniors wait. A parent that is held itself reports only when its own children are up: so the
//! elder part of a tree, down to its leaves, is up before the younger part starts.

use super::header::{CellRef, Flags, Phase};
use super::signal::{Signal, SignalKind};
use crate::clock::Tick;

/// When a held child starts by itself.
pub(super) const NEVER: Tick = Tick(u64::MAX);

impl CellRef {
    /// Puts a new child in the line of those that are held. Alone in it, it may start at once, unless
    /// this actor is starting itself and may spawn more.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`; `child` was born held.
    pub(super) unsafe fn hold_child(self, child: Self) {
        // SAFETY: H2, by the caller.
        unsafe {
            let line = &mut self.extra().sequence;
            line.push_back(child);
            if line.len() == 1 && (*self.owned()).phase == Phase::Running {
                child.signal(Signal::to(child, SignalKind::Release));
            }
        }
    }

    /// This actor's `started` is over: lets its first held child go, and reports if it has none.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn started_up(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            if let Some(extra) = self.extra_if_any()
                && let Some(first) = extra.sequence.front()
            {
                first.signal(Signal::to(*first, SignalKind::Release));
            }
            self.report_start();
        }
    }

    /// Tells the parent that waits for it that this actor and those it holds are up.
    unsafe fn report_start(self) {
        // SAFETY: H2, by the callers.
        unsafe {
            let owned = self.owned();
            if !(*owned).flags.has(Flags::REPORT_START)
                || self
                    .extra_if_any()
                    .is_some_and(|extra| !extra.sequence.is_empty())
            {
                return;
            }
            (*owned).flags.clear(Flags::REPORT_START);
            if let Some(parent) = self.parent() {
                parent.signal(Signal::to(parent, SignalKind::ChildStarted(self)));
            }
        }
    }

    /// A child is up or gone: if the next in line waited for it, its time has come.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn child_settled(self, child: Self) {
        // SAFETY: H2, by the caller.
        unsafe {
            let Some(extra) = self.extra_if_any() else {
                return;
            };
            let line = &mut extra.sequence;
            if line.is_empty() {
                return;
            }
            if line.front() == Some(&child) {
                line.pop_front();
            } else if line.back() == Some(&child) {
                // Stopped in reverse, a long line is taken down from its end.
                line.pop_back();
            } else {
                line.retain(|each| *each != child);
            }
            // To the one at the front also if it was let go already: it does not mind.
            match line.front() {
                Some(next) => next.signal(Signal::to(*next, SignalKind::Release)),
                None if (*self.owned()).phase == Phase::Running => self.report_start(),
                None => {}
            }
        }
    }

    /// A held child may start.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn release(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            if (*owned).phase == Phase::BackingOff && self.extra().restart_at == NEVER {
                (*owned).phase = Phase::Starting;
            }
        }
    }
}

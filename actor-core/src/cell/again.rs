//! Another life: a supervisor's word to start again, the wait before it, and a group that is started anew.
//!
//! All functions here run on the cell's owner (header H2) and are called from `turn` and `life` only.

use std::sync::Arc;

use super::header::{CellRef, Flags, Phase};
use super::observe::{self, Event};
use super::reason::{Escalation, StopReason};
use super::signal::{Grant, Signal, SignalKind};
use crate::clock::Tick;
use crate::contain::log;
use crate::supervision::{RestartWindow, Verdict};

impl CellRef {
    /// The supervisor restarts a group that this actor is one of: it stops, and comes back down to be
    /// started with the others, unless it is temporary or cannot be built again.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn recycle(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            match (*owned).phase {
                // Down: it has said so.
                Phase::Dead | Phase::Down | Phase::Lane => {}
                Phase::BackingOff => {
                    self.cancel_restart();
                    (*owned).phase = Phase::Down;
                    (*owned).flags.set(Flags::RESTARTING);
                    if let Some(parent) = self.parent() {
                        self.report_down(parent);
                    }
                }
                Phase::Starting | Phase::Running => {
                    (*owned)
                        .flags
                        .set(Flags::any(Flags::STOP.bits() | Flags::RECYCLE.bits()));
                    (*owned).flags.clear(Flags::DRAIN);
                    let extra = self.extra();
                    if extra.stop_reason.is_none() {
                        extra.stop_reason = Some(StopReason::Shutdown);
                    }
                }
                // Ending already, perhaps for good: the group wants it back all the same.
                Phase::StoppingChildren | Phase::Stopping => {
                    (*owned).flags.set(Flags::RECYCLE);
                    (*owned).flags.clear(Flags::DRAIN);
                    let reason = self.stop_reason();
                    if self.would_restart(&reason) {
                        (*owned).flags.set(Flags::RESTARTING);
                    }
                }
            }
        }
    }

    /// The supervisor grants another life.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn restart(self, grant: Grant) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            if (*owned).phase != Phase::Down {
                return;
            }
            let now = Tick::now();
            let extra = self.extra();
            let under_root = self.parent().is_some_and(Self::is_root);
            if under_root {
                let supervision = crate::supervision::Supervision::one_for_one();
                let window = extra.own_window.get_or_insert_with(|| {
                    RestartWindow::new(supervision.intensity, supervision.period)
                });
                if window.record(now) == Verdict::LimitReached {
                    log!(error,
                        actor = %self.id(), actor_type = (self.vtable().type_name)(),
                        "restart limit reached ({} in {:?}): stopped for good",
                        supervision.intensity, supervision.period,
                    );
                    let last = extra.stop_reason.take().unwrap_or(StopReason::Normal);
                    let limit = (supervision.intensity, supervision.period);
                    let escalation = Escalation::new(
                        self.id(),
                        extra.name.clone(),
                        (self.vtable().type_name)(),
                        limit,
                        last,
                    );
                    extra.stop_reason = Some(StopReason::RestartLimit(Arc::new(escalation)));
                    (*owned).flags.clear(Flags::RESTARTING);
                    self.end_for_good();
                    return;
                }
            }
            let delay = match grant {
                Grant::AtOnce => std::time::Duration::ZERO,
                Grant::AfterBackoff | Grant::Prepare => {
                    let random = crate::random::next_u64();
                    extra.backoff_state.next(now, &extra.backoff, random)
                }
            };
            if grant == Grant::Prepare {
                self.prepare(delay);
                return;
            }
            extra.restarts += 1;
            extra.stop_reason = None;
            extra.failure = None;
            if !extra.keeps_children {
                // The children that crashed are gone with the life that had them.
                extra.window = None;
                self.forget_failures();
                self.cancel_alarm();
                self.extra().family = None;
            }
            let extra = self.extra();
            // The next life has not asked for these notices (W07).
            for (watched, _) in extra.watching.take() {
                Self::of(watched).unwatch(watched.generation(), self.id());
            }
            (*owned).flags.clear(Flags::any(
                Flags::RESTARTING.bits()
                    | Flags::NO_STOPPED_HOOK.bits()
                    | Flags::URGENT.bits()
                    | Flags::RECYCLE.bits()
                    | Flags::CUT.bits(),
            ));
            if !under_root {
                (*owned).flags.set(Flags::REPORT_START);
            }
            // What the last life has put aside is the next one's to look at.
            self.unstash(usize::MAX);
            self.runtime().note_restarts(self.id(), 1);
            observe::see(self.runtime(), || Event::Restarted { actor: self.id() });
            if delay.is_zero() {
                self.extra().keeps_children = false;
                (*owned).phase = Phase::Starting;
            } else {
                self.back_off(delay);
            }
        }
    }

    /// Sits out the back-off, down, and reports when it is over.
    pub(super) unsafe fn prepare(self, delay: std::time::Duration) {
        // SAFETY: H2, by the caller.
        unsafe {
            if !delay.is_zero() {
                self.extra().is_preparing = true;
                self.back_off(delay);
            } else if let Some(parent) = self.parent() {
                parent.signal(Signal::to(parent, SignalKind::ChildReady(self)));
            }
        }
    }

    pub(super) unsafe fn back_off(self, delay: std::time::Duration) {
        // SAFETY: H2, by the callers.
        unsafe {
            let extra = self.extra();
            extra.restart_at = Tick::now().after(delay);
            (*self.owned()).phase = Phase::BackingOff;
            let timers = self.runtime().timers();
            extra.restart_timer =
                Some(timers.wake_at(self.numa_index(), extra.restart_at, self.waker()));
        }
    }

    /// The back-off is over: starts, or reports.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which is backing off.
    pub(super) unsafe fn end_backoff(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            let extra = self.extra();
            extra.restart_timer = None;
            if !std::mem::take(&mut extra.is_preparing) {
                extra.keeps_children = false;
                (*self.owned()).phase = Phase::Starting;
                return;
            }
            (*self.owned()).phase = Phase::Down;
            if let Some(parent) = self.parent() {
                parent.signal(Signal::to(parent, SignalKind::ChildReady(self)));
            }
        }
    }

    /// There will be no start after the back-off.
    pub(super) unsafe fn cancel_restart(self) {
        // SAFETY: H2, by the callers.
        let Some(extra) = (unsafe { self.extra_if_any() }) else {
            return;
        };
        extra.is_preparing = false;
        if let Some(timer) = extra.restart_timer.take() {
            self.runtime().timers().cancel(timer);
        }
    }

    /// Whether the back-off is over; if not, a timer will wake the cell.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn backoff_over(self) -> bool {
        // SAFETY: H2, by the caller.
        unsafe { Tick::now() >= self.extra().restart_at }
    }

    fn is_root(self) -> bool {
        self.runtime().root() == self
    }
}

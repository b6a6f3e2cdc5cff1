//! A child failed: who is restarted, alone or with others, or whether the supervisor gives up.
//!
//! The decisions are `supervision`'s (`RestartWindow`, `Round`); here they are carried out by signals to
//! the children, whose answers come as signals too. Between two of them the supervisor is free: it
//! handles messages and signals in the middle of a round, so a child that never comes up does not make
//! it deaf (S12).

use std::collections::VecDeque;
use std::sync::Arc;

use super::family::{Failure, Why};
use super::header::{CellRef, Flags, Phase};
use super::reason::{Escalation, StopReason};
use super::signal::{Grant, Signal, SignalKind, StopMode};
use crate::clock::Tick;
use crate::contain::log;
use crate::supervision::{
    AutoShutdown, Order, Report, RestartWindow, Round, Standing, Strategy, Verdict,
};

impl CellRef {
    /// A child is down and wants to be restarted, or was stopped to be.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`, whose child it is. May end the parent's current life.
    pub(super) unsafe fn child_down(self, failure: Failure) {
        let child = failure.child;
        // SAFETY: by the caller.
        unsafe {
            // Ended since it said so: by its own decision, or because it was told to. Its end is on its way.
            if child.is_abandoned() || child.living_id().is_none() {
                return;
            }
            if self.is_stopping() && !self.supervises_between_lives() {
                let (mode, reason) = (StopMode::Now, StopReason::Shutdown);
                child.signal(Signal::to(child, SignalKind::Stop { mode, reason }));
                return;
            }
            // The root has no parent to give up to: a top-level actor that fails too often is stopped
            // alone, by its own window (`life::restart`).
            if (*self.owned()).flags.has(Flags::ROOT) {
                child.signal(Signal::to(child, SignalKind::Restart(Grant::AfterBackoff)));
                return;
            }
            self.mark_restarting(child, false);
            if let Some(family) = self.family_if_any() {
                match family.asked.get(&child).map(|asked| asked.why) {
                    // It failed before it came to the order to stop, which still holds.
                    Some(Why::Terminate | Why::Shutdown) => return,
                    Some(Why::Round) => _ = family.asked.remove(&child),
                    None => {}
                }
                if let Some(round) = &mut family.round {
                    match round.down(child) {
                        Report::Expected => return self.go_on(),
                        Report::Later => return family.later.push_back(failure),
                        Report::StartFailed => {}
                    }
                }
            }
            self.child_failed(failure);
        }
    }

    /// Decides on a failure.
    unsafe fn child_failed(self, failure: Failure) {
        let child = failure.child;
        // SAFETY: by the caller of `child_down`.
        unsafe {
            let extra = self.extra();
            let supervision = extra.supervision;
            let limit = (supervision.intensity, supervision.period);
            let window = extra
                .window
                .get_or_insert_with(|| RestartWindow::new(limit.0, limit.1));
            if window.record(Tick::now()) == Verdict::LimitReached {
                let child_type = (child.vtable().type_name)();
                log!(error,
                    actor = %self.id(), actor_type = (self.vtable().type_name)(),
                    child = %child.id(), child_name = failure.name.as_deref(), child_type,
                    "restart limit reached ({} in {:?}): stopping all children, then itself",
                    limit.0, limit.1,
                );
                let escalation =
                    Escalation::new(child.id(), failure.name, child_type, limit, failure.reason);
                self.fail(StopReason::RestartLimit(Arc::new(escalation)));
                return;
            }
            match supervision.strategy {
                Strategy::OneForOne | Strategy::SimpleOneForOne => {
                    self.mark_restarting(child, true);
                    child.signal(Signal::to(child, SignalKind::Restart(Grant::AfterBackoff)));
                }
                Strategy::OneForAll => {
                    let first = self.extra().first_child.cell();
                    self.begin_round(first, child);
                }
                Strategy::RestForOne => self.begin_round(Some(child), child),
            }
        }
    }

    /// Begins to restart the children from `first` on.
    unsafe fn begin_round(self, first: Option<Self>, failed: Self) {
        // SAFETY: H2 and H3, by the caller of `child_down`.
        unsafe {
            let family = self.family();
            let before = family.round.take();
            family.rounds += 1;
            let mut members = Vec::new();
            let mut next = first;
            while let Some(child) = next {
                next = (*child.owned()).next.cell();
                let is_down = child == failed
                    || before.as_ref().is_some_and(|round| round.is_down(child))
                    || family.later.iter().any(|failure| failure.child == child);
                let standing = if family.kept.contains_key(&child) {
                    Standing::Kept
                } else if family.asked.contains_key(&child) {
                    Standing::Told
                } else if is_down {
                    Standing::Down
                } else {
                    Standing::Up
                };
                members.push((child, standing));
            }
            let round = Round::new(members, failed);
            // Stopped and started with the others: no failure of its own any more, as in OTP.
            family
                .later
                .retain(|failure| round.standing(failure.child).is_none());
            family.round = Some(round);
            self.go_on();
        }
    }

    /// Carries out what the round wants next.
    ///
    /// # Safety
    ///
    /// The caller owns the cell. May end its current life.
    pub(super) unsafe fn go_on(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            loop {
                let family = self.family();
                let Some(round) = &mut family.round else {
                    return;
                };
                match round.next() {
                    Order::Stop(child) => {
                        self.mark_restarting(child, false);
                        self.ask_to_stop(child, StopMode::Now, Why::Round);
                    }
                    Order::Prepare(child) => {
                        child.signal(Signal::to(child, SignalKind::Restart(Grant::Prepare)));
                    }
                    Order::Start(child) => {
                        self.mark_restarting(child, true);
                        child.signal(Signal::to(child, SignalKind::Restart(Grant::AtOnce)));
                    }
                    Order::Revive(place) => {
                        let rounds = family.rounds;
                        let is_old = family
                            .kept
                            .get(&place)
                            .is_some_and(|kept| kept.round < rounds);
                        let child = if is_old {
                            self.revive(place).ok()
                        } else {
                            None
                        };
                        if let (Some(round), Some(child)) = (&mut self.family().round, child) {
                            round.revived(place, child);
                        } else if let Some(round) = &mut self.family().round {
                            round.gone(place);
                        }
                    }
                    Order::Wait => return,
                    Order::Done => {
                        family.round = None;
                        if let Some(failure) = family.later.pop_front() {
                            self.child_failed(failure);
                        }
                        return;
                    }
                }
            }
        }
    }

    /// A child that is restarted or was held is up, with all that it holds itself.
    ///
    /// # Safety
    ///
    /// As for `child_down`.
    pub(super) unsafe fn child_up(self, child: Self) {
        // SAFETY: by the caller.
        unsafe {
            if child.is_abandoned() {
                return;
            }
            self.child_settled(child);
            let Some(family) = self.family_if_any() else {
                return;
            };
            if let Some(listed) = family.roster.get_mut(&child) {
                listed.is_restarting = false;
            }
            if let Some(round) = &mut family.round {
                round.up(child);
                self.go_on();
            }
        }
    }

    /// A child has sat out its back-off for a round.
    ///
    /// # Safety
    ///
    /// As for `child_down`.
    pub(super) unsafe fn child_ready(self, child: Self) {
        // SAFETY: by the caller.
        unsafe {
            if child.is_abandoned() {
                return;
            }
            if let Some(round) = self
                .family_if_any()
                .and_then(|family| family.round.as_mut())
            {
                round.ready(child);
                self.go_on();
            }
        }
    }

    unsafe fn mark_restarting(self, child: Self, starts: bool) {
        // SAFETY: H2, by the caller of `child_down`.
        let listed = unsafe { self.family() }.roster.entry(child).or_default();
        listed.restarts += u64::from(starts);
        listed.is_restarting = true;
    }

    /// Whether the children live on while this actor is between two lives, and are restarted meanwhile.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn supervises_between_lives(self) -> bool {
        // SAFETY: H2, by the caller of `child_down`.
        unsafe {
            self.extra_if_any()
                .is_some_and(|extra| extra.keeps_children)
                && (*self.owned()).phase != Phase::Dead
        }
    }

    /// The failures and rounds of a life are over with it.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn forget_failures(self) {
        // SAFETY: H2, by the caller.
        if let Some(family) = unsafe { self.family_if_any() } {
            family.round = None;
            family.later = VecDeque::new();
        }
    }

    /// A significant child has ended by itself: ends this actor too, if its options say so.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn significant_child_ended(self, left: usize) {
        // SAFETY: H2, by the caller.
        unsafe {
            let when: AutoShutdown = self.auto_shutdown();
            let stopping = self.is_stopping() && !self.supervises_between_lives();
            if !when.applies(left) || stopping {
                return;
            }
            log!(info,
                actor = %self.id(), actor_type = (self.vtable().type_name)(),
                "a significant child ended: stopping"
            );
            self.stop_asked(StopMode::Now, StopReason::AutoShutdown);
        }
    }
}

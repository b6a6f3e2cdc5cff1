//! Children that were told to stop, and what becomes of those that do not.
//!
//! ```text
//!   told ---- its shutdown time ----> cut off -- a quarter second --> hangs? abandoned
//! ```
//!
//! The parent has one alarm for all of them, which is set when the first is told and cancelled when
//! nobody is waited for; it comes as a signal, because the parent may be running, awaiting or between
//! two lives. What is due when is decided by `supervision::deadline`.
//!
//! Abandoned is who has not looked at its signals for that long while a worker is in a turn of it:
//! its handler neither returns nor awaits. A blocking handler runs on another thread, and nobody waits
//! for that one: its actor looks at its signals and says that it cannot be cut off. Its cell is still its
//! own, so it is taken out of the list and marked; when it comes back after all it ends at once, and
//! whoever lives in the cell of its parent by then gives its cell back (`children::child_gone`).

use std::sync::Arc;
use std::task::{Wake, Waker};

use super::family::{AllAsked, Asked, Why};
use super::header::{CellRef, Flags, Sibling};
use super::reason::StopReason;
use super::signal::{Signal, SignalKind, StopMode};
use crate::clock::Tick;
use crate::contain::log;
use crate::mailbox::ledger::Count;
use crate::supervision::{CUT_OFF_GRACE, Due, Shutdown};

/// A child that waits for a worker, and so cannot look at its signals, is waited for that many times
/// longer than one that a worker is in a turn of: workers may be held up by others.
const QUEUED_PATIENCE: u32 = 20;

/// Wakes the owner of a cell with a signal.
struct Alarm {
    cell: CellRef,
    generation: u32,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.cell
            .signal(Signal::to_generation(self.generation, SignalKind::Alarm));
    }
}

impl CellRef {
    /// Tells a child to stop and remembers since when.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`, whose child it is.
    pub(super) unsafe fn ask_to_stop(self, child: Self, mode: StopMode, why: Why) {
        // SAFETY: H2, by the caller.
        unsafe {
            let shutdown = self.shutdown_of(child);
            let signal = |kind| child.signal(Signal::to(child, kind));
            let reason = StopReason::Shutdown;
            match (why, shutdown) {
                (Why::Shutdown, Shutdown::Kill) => {
                    let (mode, reason) = (StopMode::Kill, StopReason::Killed);
                    signal(SignalKind::Stop { mode, reason });
                }
                (Why::Shutdown, _) => signal(SignalKind::Stop { mode, reason }),
                (Why::Terminate, _) => signal(SignalKind::Terminate),
                (Why::Round, _) => signal(SignalKind::Recycle),
            }
            if shutdown == Shutdown::Kill && why != Why::Shutdown {
                signal(SignalKind::CutOff);
            }
            // A drain takes as long as whoever drains allows.
            if mode == StopMode::Drain && shutdown != Shutdown::Kill {
                return;
            }
            let at = Tick::now();
            self.family().asked.insert(child, Asked { at, why });
            self.look_after(shutdown, at);
        }
    }

    /// All children have been told to stop.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn all_were_asked(self, killed: bool) {
        // SAFETY: H2, by the caller.
        unsafe {
            let at = Tick::now();
            let family = self.family();
            family.all_asked = Some(AllAsked { at, killed });
            if killed {
                self.look_after(Shutdown::Kill, at);
                return;
            }
            // The distinct times are few; the default's is always among them.
            let mut times: Vec<Shutdown> = vec![Shutdown::DEFAULT];
            for listed in family.roster.values() {
                if !times.contains(&listed.shutdown) {
                    times.push(listed.shutdown);
                }
            }
            for time in times {
                self.look_after(time, at);
            }
        }
    }

    /// How long a child's stop may take.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn shutdown_of(self, child: Self) -> Shutdown {
        // SAFETY: H2, by the caller.
        unsafe { self.family_if_any() }
            .and_then(|family| family.roster.get(&child))
            .map_or(Shutdown::DEFAULT, |listed| listed.shutdown)
    }

    /// Sets the alarm for a child that was told to stop `at`.
    unsafe fn look_after(self, shutdown: Shutdown, at: Tick) {
        let due = match shutdown.due(at, at) {
            Due::Never => return,
            Due::At(due) | Due::CutOff(due) => due,
            Due::Overdue => at,
        };
        // SAFETY: H2, by the caller.
        unsafe { self.set_alarm(due) };
    }

    /// Has the owner look at `at`, if it would not look earlier.
    unsafe fn set_alarm(self, at: Tick) {
        // SAFETY: H2, by the caller.
        let family = unsafe { self.family() };
        let timers = self.runtime().timers();
        match family.alarm {
            Some((set, _)) if set <= at => return,
            Some((_, key)) => _ = timers.cancel(key),
            None => {}
        }
        let waker = Waker::from(Arc::new(Alarm {
            cell: self,
            generation: self.generation(),
        }));
        family.alarm = Some((at, timers.wake_at(self.numa_index(), at, waker)));
    }

    /// Nobody is waited for any more.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn cancel_alarm(self) {
        // SAFETY: H2, by the caller.
        let alarm = unsafe { self.family_if_any() }.and_then(|family| family.alarm.take());
        if let Some((_, key)) = alarm {
            self.runtime().timers().cancel(key);
        }
    }

    /// Looks after those that were told to stop.
    ///
    /// # Safety
    ///
    /// The caller owns the cell. May end its current life.
    pub(super) unsafe fn alarm_rang(self) {
        // SAFETY: H2 for the family, H3 for the list, by the caller.
        unsafe {
            let now = Tick::now();
            let family = self.family();
            if family.alarm.is_some_and(|(at, _)| at <= now) {
                family.alarm = None;
            }
            let mut next: Option<Tick> = None;
            let mut hanging = Vec::new();
            for (child, told, shutdown) in self.told_to_stop() {
                let look = match shutdown.due(told, now) {
                    Due::Never => continue,
                    Due::At(due) => due,
                    Due::CutOff(overdue) => {
                        child.signal(Signal::to(child, SignalKind::CutOff));
                        overdue
                    }
                    Due::Overdue => {
                        if child.hangs(told, shutdown, now) {
                            hanging.push(child);
                            continue;
                        }
                        // What it has not looked at when the alarm rings again tells that it hangs.
                        if !child.has_signals() {
                            child.signal(Signal::to(child, SignalKind::CutOff));
                        }
                        now.after(CUT_OFF_GRACE)
                    }
                };
                next = Some(next.map_or(look, |next| next.min(look)));
            }
            if let Some(next) = next {
                self.set_alarm(next);
            }
            for child in hanging {
                self.abandon(child);
            }
        }
    }

    /// The children that are waited for, in the order of their ids: since when, and how long.
    unsafe fn told_to_stop(self) -> Vec<(Self, Tick, Shutdown)> {
        // SAFETY: H2 and H3, by the caller.
        unsafe {
            let family = self.family();
            let shutdown = |child: &Self| {
                family
                    .roster
                    .get(child)
                    .map_or(Shutdown::DEFAULT, |listed| listed.shutdown)
            };
            if let Some(AllAsked { at, killed }) = family.all_asked {
                let mut told = Vec::new();
                let mut next = self.extra().first_child.cell();
                while let Some(child) = next {
                    next = (*child.owned()).next.cell();
                    if !family.kept.contains_key(&child) {
                        let time = if killed {
                            Shutdown::Kill
                        } else {
                            shutdown(&child)
                        };
                        told.push((child, at, time));
                    }
                }
                return told;
            }
            let asked = family.asked.iter();
            let mut told: Vec<_> = asked
                .map(|(child, asked)| (*child, asked.at, shutdown(child)))
                .collect();
            told.sort_by_key(|(child, ..)| child.id());
            told
        }
    }

    /// Whether an overdue child is in a turn that does not end.
    fn hangs(self, told: Tick, shutdown: Shutdown, now: Tick) -> bool {
        if self.is_away() {
            return true;
        }
        if !self.has_signals() {
            return false;
        }
        let cut_off = match shutdown {
            Shutdown::After(time) => told.after(time),
            Shutdown::Kill | Shutdown::Infinity => told,
        };
        self.runtime().is_running(self) || cut_off.until(now) > CUT_OFF_GRACE * QUEUED_PATIENCE
    }

    /// Waits no longer for a child.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`, whose child it is. May end the parent's current life.
    unsafe fn abandon(self, child: Self) {
        // SAFETY: H2 and H3, by the caller.
        unsafe {
            let id = child.id();
            let name = self
                .family()
                .roster
                .get(&child)
                .and_then(|listed| listed.name.clone());
            log!(error,
                actor = %id, actor_type = (child.vtable().type_name)(), name = name.as_deref(),
                parent = %self.id(),
                "abandoned: it was told to stop and cut off, but its handler neither returns nor awaits"
            );
            self.runtime().count(Count::Abandoned, 1);
            self.child_settled(child);
            self.unlink_child(child);
            (*child.owned()).prev = Sibling::ABANDONED;
            (*child.owned()).next = Sibling::ABANDONED;
            // If it was to come back for the round: nobody waits for that any more.
            let (mode, reason) = (StopMode::Now, StopReason::Shutdown);
            child.signal(Signal::to(child, SignalKind::Stop { mode, reason }));
            let in_round = self
                .family()
                .asked
                .get(&child)
                .is_some_and(|asked| asked.why == Why::Round);
            self.forget_child(child);
            if in_round && !self.is_stopping() {
                // Without it the group is not whole, and beside it no new one may start.
                self.fail(StopReason::ChildAbandoned(id));
            } else {
                self.after_child(child);
            }
        }
    }

    /// Whether the parent of this actor has given up waiting for it.
    ///
    /// # Safety
    ///
    /// The caller owns the cell of the parent, whoever lives there now.
    pub(super) unsafe fn is_abandoned(self) -> bool {
        // SAFETY: H3: the links belong to the owner of that cell.
        unsafe { (*self.owned()).prev.is_abandoned() }
    }

    /// The time to stop is over, says the parent: what awaits is cut off. The children have their own
    /// times.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn cut_off(self) {
        use super::header::Phase;
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            match (*owned).phase {
                Phase::Dead | Phase::Down | Phase::BackingOff | Phase::Lane => {}
                Phase::Starting => {
                    (*owned).flags.set(Flags::CUT);
                    self.cut_off_frame();
                    (*owned).flags.set(Flags::NO_STOPPED_HOOK);
                    let reason = self.stop_reason();
                    let restarting = self.would_restart(&reason);
                    self.begin_stop(reason, restarting);
                }
                // `STOP` is set already: the turn goes on to it.
                Phase::Running => {
                    (*owned).flags.set(Flags::CUT);
                    (*owned).flags.set(Flags::STOP);
                    self.cut_off_handler();
                }
                // Also what it handles while it drains: no more of that.
                Phase::StoppingChildren => {
                    (*owned).flags.set(Flags::CUT);
                    (*owned).flags.clear(Flags::DRAIN);
                    self.cut_off_handler();
                }
                // Its hook was the last thing to wait for.
                Phase::Stopping => {
                    self.cut_off_frame();
                    self.life_over();
                }
            }
        }
    }

    /// Cuts off what awaits. A state that is lent to another thread is waited for, but not by a worker.
    unsafe fn cut_off_handler(self) {
        // SAFETY: H2, by the caller of `cut_off`.
        unsafe {
            if self.is_lent() {
                self.set_away(true);
            } else {
                self.cut_off_frame();
            }
        }
    }
}

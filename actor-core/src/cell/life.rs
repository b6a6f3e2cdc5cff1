//! One life: starting, failing, stopping. What comes after it is in `again` (another life) and `end`.
//!
//! ```text
//!              started ok            stop asked             no children left
//!  Starting ---------------> Running ---------> StoppingChildren ---------> Stopping --> Dead
//!     ^  |                      |                    ^        |  (stopped hook)
//!     |  | start fails          | panic              |        | was a failure to be restarted
//!     |  +----------------------+--------------------+        v
//!     |                                                     Down --- stop asked ---> Dead
//!     +----- BackingOff <----- restart granted --------------+
//! ```
//!
//! All functions here run on the cell's owner (header H2) and are called from `turn` only.

use std::sync::Arc;

use super::frame::{FrameDone, FramePoll};
use super::header::{CellRef, Flags, Phase, RestartPolicy};
use super::observe::{self, Event, Hook};
use super::reason::StopReason;
use super::recent::{Culprit, Failed};
use super::signal::{Signal, SignalKind, StopMode};
use super::spanning;
use crate::contain::{log, panic_text};
use crate::mailbox::ledger::Count;

impl CellRef {
    /// Builds the state if it is not there and begins `started`.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, whose phase is `Starting` and which has no frame.
    pub(super) unsafe fn start(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            if !(*owned).flags.has(Flags::STATE) {
                let state = self.state();
                let factory = self.extra_if_any().and_then(|extra| extra.factory.as_mut());
                let Some(factory) = factory else {
                    unreachable!("{} is to start without a state or a factory", self.id());
                };
                let built = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    observe::strike(Hook::Factory, false, Some(self), "");
                    factory(state);
                }));
                if let Err(payload) = built {
                    self.runtime().count(Count::Panics, 1);
                    (*owned).flags.set(Flags::NO_STOPPED_HOOK);
                    self.fail(StopReason::StartFailed(panic_text(payload).into()));
                    return;
                }
                (*owned).flags.set(Flags::STATE);
            }
            match (self.vtable().started)(self) {
                FramePoll::Pending => {}
                FramePoll::Done(done) => self.hook_done(done),
                FramePoll::Panicked(payload) => self.hook_panicked(payload),
            }
        }
    }

    /// A hook came to its end.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which has no frame any more.
    pub(super) unsafe fn hook_done(self, done: FrameDone) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            match done {
                FrameDone::Started(Ok(())) => {
                    (*owned).phase = Phase::Running;
                    self.started_up();
                }
                FrameDone::Started(Err(text)) => self.fail(StopReason::StartFailed(text.into())),
                FrameDone::Stopped => self.life_over(),
                FrameDone::Message | FrameDone::Terminated => {}
            }
        }
    }

    /// A hook panicked.
    ///
    /// # Safety
    ///
    /// As for `hook_done`.
    pub(super) unsafe fn hook_panicked(self, payload: Box<dyn std::any::Any + Send>) {
        let text: Arc<str> = panic_text(payload).into();
        // SAFETY: H2, by the caller.
        unsafe {
            self.runtime().count(Count::Panics, 1);
            match (*self.owned()).phase {
                Phase::Starting => self.fail(StopReason::StartFailed(text)),
                Phase::Stopping => {
                    // It wanted to stop and it does (S17).
                    let mut culprit = self.take_blame();
                    culprit.message.get_or_insert("stopped");
                    spanning::failed(self, &mut culprit, &StopReason::Panicked(text.clone()));
                    log!(error,
                        actor = %self.id(), actor_type = (self.vtable().type_name)(), path = %self.path(),
                        trace_id = culprit.trace_id().map(tracing::field::display),
                        "panicked in its stopped hook: {text}"
                    );
                    self.life_over();
                }
                _ => self.fail(StopReason::Panicked(text)),
            }
        }
    }

    /// A message's handler panicked; the message is gone.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which has no frame.
    #[cold]
    pub(super) unsafe fn message_panicked(self, text: Arc<str>, mut culprit: Culprit) {
        // SAFETY: H2, by the caller.
        unsafe {
            if !(*self.owned()).flags.has(Flags::RESUME) {
                self.fail_on(StopReason::Panicked(text), culprit);
                return;
            }
            spanning::failed(self, &mut culprit, &StopReason::Panicked(text.clone()));
            self.take_cause();
            log!(error,
                actor = %self.id(), actor_type = (self.vtable().type_name)(),
                name = self.extra_if_any().and_then(|extra| extra.name.clone()).as_deref(),
                path = %self.path(), message_type = culprit.message,
                trace_id = culprit.trace_id().map(tracing::field::display),
                "panicked: {text}; resumes with the next message, as its options say"
            );
        }
    }

    /// The current life ends in failure: the state is dropped at once, the children are stopped, then
    /// the supervisor is asked or the actor ends.
    ///
    /// # Safety
    ///
    /// The caller owns the cell. A suspended frame is cut off; if it has lent the state to another thread,
    /// the failure waits until that one is done.
    pub(super) unsafe fn fail(self, reason: StopReason) {
        // SAFETY: by the caller.
        unsafe { self.fail_on(reason, Culprit::default()) };
    }

    /// As `fail`, on a message.
    unsafe fn fail_on(self, reason: StopReason, culprit: Culprit) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            if self.is_lent() {
                // As for a kill: waited for, but not by a worker. The turn goes on from `STOP`.
                self.extra().failure.get_or_insert(reason);
                if culprit.message.is_some() {
                    self.set_blame(culprit);
                }
                (*owned).flags.set(Flags::STOP);
                return;
            }
            self.cut_off_frame();
            let restarts = self.would_restart(&reason);
            self.note_failure(&reason, culprit, restarts);
            observe::see(self.runtime(), || Event::Failed {
                actor: self.id(),
                reason: &reason,
            });
            (*owned).flags.set(Flags::NO_STOPPED_HOOK);
            // There is no state any more to drain the mailbox with.
            (*owned).flags.clear(Flags::DRAIN);
            self.drop_state();
            // This life is over; links made from now on are the next one's.
            self.sever_links(self.id(), &reason);
            self.begin_stop(reason, restarts);
        }
    }

    /// Tells that this life ends in failure: to the log, to who looks, and in a span.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    #[cold]
    unsafe fn note_failure(self, reason: &StopReason, mut culprit: Culprit, restarts: bool) {
        // SAFETY: H2, by the caller.
        unsafe {
            let blame = self.take_blame();
            if culprit.message.is_none() {
                culprit = blame;
            }
            spanning::failed(self, &mut culprit, reason);
            let name = self.extra_if_any().and_then(|extra| extra.name.clone());
            let path = self.path();
            let actor_type = (self.vtable().type_name)();
            log!(error,
                actor = %self.id(), actor_type,
                name = name.as_deref(), %path, message_type = culprit.message,
                trace_id = culprit.trace_id().map(tracing::field::display),
                will_restart = restarts, "actor {reason}"
            );
            self.runtime().failed_by_type().one_more(actor_type);
            self.runtime().failed().note(|at| Failed {
                at,
                actor: self.id(),
                actor_type,
                name,
                path: path.into(),
                reason: reason.clone(),
                culprit,
                will_restart: restarts,
            });
        }
    }

    /// Whether the end of this life for `reason` asks for another one.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn would_restart(self, reason: &StopReason) -> bool {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            let recycled = (*owned).flags.has(Flags::RECYCLE);
            let by_policy = match (*owned).flags.restart() {
                RestartPolicy::Permanent | RestartPolicy::Transient if recycled => true,
                RestartPolicy::Permanent => {
                    !matches!(reason, StopReason::Shutdown | StopReason::Killed)
                }
                RestartPolicy::Transient => !reason.is_normal(),
                RestartPolicy::Temporary => false,
            };
            let extra = self.extra_if_any();
            let can = extra.as_ref().is_some_and(|extra| extra.factory.is_some());
            // Asked to stop before it failed: it stops.
            let asked = !recycled
                && (*owned).flags.has(Flags::STOP)
                && extra
                    .and_then(|extra| extra.stop_reason.as_ref())
                    .is_some_and(|asked| ends_for_good(asked, (*owned).flags.restart()));
            if by_policy && !can {
                log!(warn,
                    actor = %self.id(), actor_type = (self.vtable().type_name)(),
                    "cannot be restarted: it was spawned by value; spawn it with a closure that builds it"
                );
            }
            by_policy
                && can
                && !asked
                && !(*owned)
                    .flags
                    .has(Flags::any(Flags::DRAIN.bits() | Flags::KILL.bits()))
        }
    }

    /// As [`CellRef::fail`] for an orderly end: begins it, with another life after if the policy says.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which has no frame.
    pub(super) unsafe fn stop_now(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            if let Some(reason) = self.extra_if_any().and_then(|extra| extra.failure.take()) {
                self.fail(reason);
                return;
            }
            let reason = self.stop_reason();
            let restarting = self.would_restart(&reason);
            if let StopReason::Failed(_) = reason {
                self.note_failure(&reason, Culprit::default(), restarting);
            }
            self.begin_stop(reason, restarting);
        }
    }

    /// A handler wants its own actor to stop: noted, acted on when it is done.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, or the owner waits for it.
    pub(crate) unsafe fn stop_self(self, mode: StopMode, reason: StopReason) {
        // SAFETY: H2, by the caller. Not `stop_asked` for Kill: a frame does not cut itself off.
        unsafe {
            debug_assert_ne!(mode, StopMode::Kill, "a handler cannot cut itself off");
            self.stop_asked(mode, reason);
        }
    }

    /// Asked to stop from outside: notes it; the turn acts on it when it can.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn stop_asked(self, mode: StopMode, reason: StopReason) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            match (*owned).phase {
                Phase::Dead | Phase::Lane => return,
                // Nobody is at home: the end of the failed life becomes the last.
                Phase::Down | Phase::BackingOff => {
                    (*owned).flags.clear(Flags::RESTARTING);
                    if mode == StopMode::Kill {
                        (*owned).flags.set(Flags::KILL);
                    }
                    self.end_for_good();
                    return;
                }
                Phase::Starting | Phase::Running | Phase::StoppingChildren | Phase::Stopping => {}
            }
            let extra = self.extra();
            if extra.stop_reason.is_none()
                || reason == StopReason::Shutdown
                || reason == StopReason::Killed
            {
                // A later order does not hide the failure that came first.
                if extra.stop_reason.as_ref().is_none_or(StopReason::is_normal) {
                    extra.stop_reason = Some(reason.clone());
                }
            }
            // Asked to stop between two lives: the next one is not wanted, unless an orderly end is a
            // reason to restart by itself.
            let by_parent = matches!(reason, StopReason::Shutdown | StopReason::Killed);
            if by_parent {
                (*owned).flags.clear(Flags::RECYCLE);
            }
            if !(*owned).flags.has(Flags::RECYCLE)
                && (ends_for_good(&reason, (*owned).flags.restart()) || mode == StopMode::Drain)
            {
                (*owned).flags.clear(Flags::RESTARTING);
                self.part_from_children();
            }
            match mode {
                // Too late to drain once the end has begun: the state may be gone, and an earlier stop
                // has given up what waits.
                StopMode::Drain => {
                    let stopping = (*owned)
                        .flags
                        .has(Flags::any(Flags::STOP.bits() | Flags::KILL.bits()));
                    if matches!((*owned).phase, Phase::Starting | Phase::Running) && !stopping {
                        (*owned).flags.set(Flags::DRAIN);
                    }
                }
                StopMode::Now => {
                    let drained = (*owned).flags.has(Flags::DRAIN);
                    (*owned).flags.set(Flags::STOP);
                    (*owned).flags.clear(Flags::DRAIN);
                    if drained && (*owned).phase == Phase::StoppingChildren {
                        self.hurry_children();
                    }
                }
                StopMode::Kill => {
                    (*owned).flags.set(Flags::KILL);
                    (*owned).flags.clear(Flags::DRAIN);
                    // A state that is lent to another thread is waited for, but not here.
                    if !self.is_lent() {
                        self.cut_off_frame();
                    }
                    match (*owned).phase {
                        Phase::StoppingChildren => self.kill_children(),
                        Phase::Starting => {
                            (*owned).flags.set(Flags::NO_STOPPED_HOOK);
                            self.begin_stop(reason, false);
                        }
                        // Its hook was cut off: that was the last thing to wait for.
                        Phase::Stopping => self.life_over(),
                        Phase::Running
                        | Phase::Dead
                        | Phase::Down
                        | Phase::BackingOff
                        | Phase::Lane => {}
                    }
                }
            }
        }
    }

    /// Begins the end of this life: children first.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which has no frame.
    pub(super) unsafe fn begin_stop(self, reason: StopReason, restarting: bool) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            self.cancel_restart();
            let extra = self.extra();
            // What a supervisor decides about itself, it decides about its children too.
            extra.keeps_children = restarting
                && extra.supervision.keep_children
                && extra.children > 0
                && !matches!(
                    reason,
                    StopReason::RestartLimit(_)
                        | StopReason::ChildAbandoned(_)
                        | StopReason::AutoShutdown
                );
            extra.stop_reason = Some(reason);
            if restarting {
                (*owned).flags.set(Flags::RESTARTING);
            } else {
                (*owned).flags.clear(Flags::RESTARTING);
            }
            (*owned).phase = Phase::StoppingChildren;
            if !self.extra().keeps_children {
                self.stop_children();
            }
        }
    }

    /// Begins to stop the children, in order or, if killed, at once.
    pub(super) unsafe fn stop_children(self) {
        // SAFETY: H2, by the callers.
        unsafe {
            self.forget_failures();
            self.forget_kept();
            if (*self.owned()).flags.has(Flags::KILL) {
                self.kill_children();
            } else {
                self.stop_next_child();
            }
        }
    }

    /// Whether the end of this life need not wait for a child.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn waits_for_no_child(self) -> bool {
        // SAFETY: H2, by the caller.
        unsafe {
            self.child_count() == 0
                || self
                    .extra_if_any()
                    .is_some_and(|extra| extra.keeps_children)
        }
    }

    /// There will be no next life: children that were kept for it are stopped after all.
    pub(super) unsafe fn part_from_children(self) {
        // SAFETY: H2, by the callers.
        unsafe {
            let Some(extra) = self.extra_if_any() else {
                return;
            };
            if std::mem::take(&mut extra.keeps_children)
                && (*self.owned()).phase == Phase::StoppingChildren
            {
                self.stop_children();
            }
        }
    }

    /// Ends an actor that is between two lives.
    pub(super) unsafe fn end_for_good(self) {
        // SAFETY: H2, by the callers.
        unsafe {
            let owned = self.owned();
            self.part_from_children();
            if self.child_count() == 0 {
                self.terminate();
                return;
            }
            (*owned).flags.set(Flags::NO_STOPPED_HOOK);
            (*owned).phase = Phase::StoppingChildren;
            self.stop_children();
        }
    }

    /// The children are gone: runs `stopped`, if this life has a state to run it on.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which has no frame and no children.
    pub(super) unsafe fn run_stopped(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            (*owned).phase = Phase::Stopping;
            if !(*owned).flags.has(Flags::STATE) || (*owned).flags.has(Flags::NO_STOPPED_HOOK) {
                self.life_over();
                return;
            }
            let reason = self.stop_reason();
            match (self.vtable().stopped)(self, reason) {
                // Killed: what the hook awaits is not waited for, as with a handler.
                FramePoll::Pending
                    if (*owned)
                        .flags
                        .has(Flags::any(Flags::KILL.bits() | Flags::CUT.bits())) =>
                {
                    self.cut_off_frame();
                    self.life_over();
                }
                FramePoll::Pending => {}
                FramePoll::Done(done) => self.hook_done(done),
                FramePoll::Panicked(payload) => self.hook_panicked(payload),
            }
        }
    }

    /// Why it is stopping.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn stop_reason(self) -> StopReason {
        // SAFETY: H2, by the caller.
        unsafe { self.extra_if_any() }
            .and_then(|extra| extra.stop_reason.clone())
            .unwrap_or(StopReason::Normal)
    }

    /// Nothing of this life is left but the state: ask for another, or end.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which has no frame.
    pub(super) unsafe fn life_over(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            self.drop_state();
            let owned = self.owned();
            match self.parent() {
                Some(parent) if (*owned).flags.has(Flags::RESTARTING) => {
                    (*owned).phase = Phase::Down;
                    // A failed life's links were severed when it failed.
                    if !(*owned).flags.has(Flags::NO_STOPPED_HOOK) {
                        let reason = self.stop_reason();
                        self.sever_links(self.id(), &reason);
                    }
                    self.report_down(parent);
                }
                _ => self.end_for_good(),
            }
        }
    }

    /// Tells the parent that this actor is down and would live again.
    pub(super) unsafe fn report_down(self, parent: Self) {
        // SAFETY: H2, by the callers.
        unsafe {
            let reason = self.stop_reason();
            let name = self.extra_if_any().and_then(|extra| extra.name.clone());
            let down = SignalKind::ChildDown {
                child: self,
                name,
                reason,
            };
            parent.signal(Signal::to(parent, down));
        }
    }

    /// The supervisor wants this actor to end for good, and its specification.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn terminate_asked(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            self.extra().leaves_spec = (*self.owned()).flags.restart() != RestartPolicy::Temporary;
            self.stop_asked(StopMode::Now, StopReason::Shutdown);
        }
    }
}

/// Whether a stop for this reason leaves no room for another life.
fn ends_for_good(reason: &StopReason, restart: RestartPolicy) -> bool {
    match reason {
        StopReason::Shutdown | StopReason::Killed => true,
        other => other.is_normal() && restart != RestartPolicy::Permanent,
    }
}

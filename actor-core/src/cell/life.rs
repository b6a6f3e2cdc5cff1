//! From start to end: starting, failing, restarting, stopping, and what is owed to others at the end.
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

use super::birth;
use super::extra::Extra;
use super::family::Spec;
use super::frame::{FrameDone, FramePoll};
use super::header::{CellRef, Flags, Phase, RestartPolicy};
use super::local::while_ending;
use super::observe::{self, Event, Hook};
use super::reason::{Escalation, StopReason};
use super::signal::{Grant, Signal, SignalKind, StopMode};
use super::watch;
use crate::clock::Tick;
use crate::contain::{contain, log, panic_text};
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{End, Fate, Node};
use crate::mailbox::waiters;
use crate::supervision::{OnPanic, RestartWindow, Shutdown, Verdict};

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
                    log!(error,
                        actor = %self.id(), actor_type = (self.vtable().type_name)(),
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
    pub(super) unsafe fn message_panicked(self, text: Arc<str>) {
        // SAFETY: H2, by the caller.
        unsafe {
            if !(*self.owned()).flags.has(Flags::RESUME) {
                self.fail(StopReason::Panicked(text));
                return;
            }
            log!(error,
                actor = %self.id(), actor_type = (self.vtable().type_name)(),
                name = self.extra_if_any().and_then(|extra| extra.name.clone()).as_deref(),
                "panicked: {text}; resumes with the next message, as its options say"
            );
        }
    }

    /// The current life ends in failure: the state is dropped at once, the children are stopped, then
    /// the supervisor is asked or the actor ends.
    ///
    /// # Safety
    ///
    /// The caller owns the cell. A suspended frame is cut off.
    pub(super) unsafe fn fail(self, reason: StopReason) {
        // SAFETY: H2, by the caller.
        unsafe {
            self.cut_off_frame();
            let owned = self.owned();
            let restarts = self.would_restart(&reason);
            log!(error,
                actor = %self.id(), actor_type = (self.vtable().type_name)(),
                name = self.extra_if_any().and_then(|extra| extra.name.clone()).as_deref(),
                will_restart = restarts, "actor {reason}"
            );
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
            let reason = self.stop_reason();
            let restarting = self.would_restart(&reason);
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
                Phase::Dead => return,
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
                        Phase::Running | Phase::Dead | Phase::Down | Phase::BackingOff => {}
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
    unsafe fn stop_children(self) {
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
    unsafe fn part_from_children(self) {
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
    unsafe fn end_for_good(self) {
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
    unsafe fn report_down(self, parent: Self) {
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
                Phase::Dead | Phase::Down => {}
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
            self.runtime().count(Count::Restarts, 1);
            observe::see(self.runtime(), || Event::Restarted { actor: self.id() });
            if delay.is_zero() {
                extra.keeps_children = false;
                (*owned).phase = Phase::Starting;
            } else {
                self.back_off(delay);
            }
        }
    }

    /// Sits out the back-off, down, and reports when it is over.
    unsafe fn prepare(self, delay: std::time::Duration) {
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

    unsafe fn back_off(self, delay: std::time::Duration) {
        // SAFETY: H2, by the callers.
        unsafe {
            let extra = self.extra();
            extra.restart_at = Tick::now().after(delay);
            (*self.owned()).phase = Phase::BackingOff;
            let timers = self.runtime().timers();
            extra.restart_timer = Some(timers.wake_at(extra.restart_at, self.waker()));
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
    unsafe fn cancel_restart(self) {
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

    /// The end of an actor that no worker will serve again: its system has stopped. Its hooks are not run.
    ///
    /// Reached by what a worker was kept from by a handler that never came back, and by an actor spawned
    /// from outside in the last moment of a shutdown.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn end_unserved(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            // Lent to a thread that still works on it: that thread comes by here when it is done.
            if (*owned).phase == Phase::Dead || self.is_lent() {
                return;
            }
            self.cut_off_frame();
            let extra = self.extra();
            if extra.stop_reason.is_none() {
                extra.stop_reason = Some(StopReason::Killed);
            }
            (*owned).flags.clear(Flags::any(
                Flags::RESTARTING.bits() | Flags::DRAIN.bits() | Flags::STOP.bits(),
            ));
            (*owned).flags.set(Flags::KILL);
            if self.child_count() == 0 {
                self.terminate();
            } else {
                // Their ends bring us back here.
                self.drop_state();
                (*owned).phase = Phase::StoppingChildren;
                self.kill_children();
            }
        }
    }

    /// The end: the identity is void, what waits becomes dead letters, those who care are told.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which has no frame and no children. It stays the owner.
    pub(super) unsafe fn terminate(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            self.drop_state();
            self.cancel_restart();
            self.cancel_alarm();
            self.forget_kept();
            let spec = self.spec();
            let owned = self.owned();
            let id = self.id();
            let reason = self.stop_reason();
            observe::see(self.runtime(), || Event::Stopped {
                actor: id,
                reason: &reason,
            });
            (*owned).phase = Phase::Dead;
            self.quiet().vacate();
            birth::free_state(self.state_arena(), self.vtable(), self.state());
            (*owned).state = std::ptr::null_mut();
            let reusable = self.next_generation();
            self.sever_links(id, &reason);
            self.bury_stash();
            self.bury_messages();
            (*owned).flags.clear(Flags::WAITERS);
            waiters::table().wake(self.inbox(), usize::MAX);
            let extra = std::mem::replace(&mut (*owned).extra, std::ptr::null_mut());
            if !extra.is_null() {
                let extra: Box<Extra> = Box::from_raw(extra);
                if extra.name.is_some() {
                    self.runtime().labels().remove(id);
                }
                // Before anybody hears of the end (W06).
                for name in &extra.names {
                    self.runtime().names().release(name, id);
                }
                for (watcher, ()) in extra.watchers.iter() {
                    watch::notify(watcher, id, reason.clone());
                }
                for slot in &extra.monitors {
                    slot.tell(reason.clone());
                }
                for (watched, _) in extra.watching.iter() {
                    Self::of(watched).unwatch(watched.generation(), id);
                }
                // A factory holds user values.
                contain(move || drop(extra));
            }
            self.runtime().count(Count::Stopped, 1);
            let (parent, root) = (self.parent(), (*owned).flags.has(Flags::ROOT));
            (*owned).flags = Flags::NONE;
            match parent {
                Some(parent) => {
                    let gone = SignalKind::ChildGone {
                        child: self,
                        reusable,
                        spec,
                    };
                    parent.signal(Signal::to(parent, gone));
                }
                None if root => self.runtime().ended().open(),
                None => {}
            }
        }
    }

    /// How to spawn this actor again, if its parent asked for that.
    unsafe fn spec(self) -> Option<Box<Spec>> {
        // SAFETY: H2, by the caller.
        unsafe {
            let extra = self.extra_if_any().filter(|extra| extra.leaves_spec)?;
            let owned = self.owned();
            let on_panic = if (*owned).flags.has(Flags::RESUME) {
                OnPanic::Resume
            } else {
                OnPanic::Restart
            };
            Some(Box::new(Spec {
                factory: extra.factory.take()?,
                restarts: extra.restarts,
                birth: birth::Birth {
                    vtable: self.vtable(),
                    numa_index: self.numa_index(),
                    mailbox: extra.mailbox,
                    restart: (*owned).flags.restart(),
                    backoff: extra.backoff,
                    supervision: extra.supervision,
                    name: extra.name.clone(),
                    // What else the parent was told, it still knows.
                    registered: None,
                    shutdown: Shutdown::DEFAULT,
                    on_panic,
                    significant: false,
                    trap_links: extra.trap_links,
                    stash: extra.stash.capacity,
                    held: false,
                },
            }))
        }
    }

    /// Turns all that waits in the mailbox into dead letters, one by one: a `Drop` that panics takes
    /// none of the others with it (M20).
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn bury_messages(self) {
        // SAFETY: H2, by the caller; each node is owned once taken.
        unsafe {
            let owned = self.owned();
            loop {
                let mut at = std::mem::replace(&mut (*owned).fifo, std::ptr::null_mut());
                if at.is_null() {
                    let taken = self.inbox().take();
                    self.inbox().publish_taken(0);
                    if taken.waiters {
                        waiters::table().wake(self.inbox(), usize::MAX);
                    }
                    at = taken.first;
                }
                if at.is_null() {
                    return;
                }
                while let Some(node) = std::ptr::NonNull::new(at) {
                    at = Node::next(node);
                    self.end_node(node, End::Unhandled(Fate::ActorStopped));
                }
            }
        }
    }

    /// Ends one node and records its fate. A panic in a user's `Drop` is contained.
    ///
    /// # Safety
    ///
    /// The caller owns the node and gives it up.
    pub(super) unsafe fn end_node(self, node: std::ptr::NonNull<Node>, end: End) {
        // SAFETY: by the caller.
        unsafe {
            let (vtable, meta) = (node.as_ref().vtable, node.as_ref().meta);
            if let (End::Interrupted(fate) | End::Unhandled(fate), false) = (end, meta.internal) {
                self.runtime()
                    .record_fate(fate, self.id(), (vtable.message)());
                observe::see(self.runtime(), || Event::Unhandled {
                    actor: self.id(),
                    message: (vtable.message)(),
                    fate,
                });
            }
            (vtable.finish)(node, end);
        }
    }

    /// Cuts off a suspended handler or hook.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn cut_off_frame(self) {
        // SAFETY: H2 and F1, by the caller.
        unsafe {
            let owned = self.owned();
            let frame = std::mem::replace(&mut (*owned).frame, std::ptr::null_mut());
            let Some(frame) = std::ptr::NonNull::new(frame) else {
                return;
            };
            (frame.as_ref().vtable.cancel)(frame);
            let current = std::mem::replace(&mut (*owned).current, std::ptr::null_mut());
            if let Some(node) = std::ptr::NonNull::new(current) {
                self.end_node(node, End::Interrupted(Fate::Interrupted));
            }
        }
    }

    /// Whether a thread of the blocking pool works on the state.
    unsafe fn is_lent(self) -> bool {
        // SAFETY: H2 and F1, by the caller.
        unsafe {
            std::ptr::NonNull::new((*self.owned()).frame)
                .is_some_and(|frame| (frame.as_ref().vtable.is_lent)(frame))
        }
    }

    unsafe fn drop_state(self) {
        // SAFETY: H2, by the callers, who have no frame; so nobody borrows the state (F2).
        unsafe {
            let owned = self.owned();
            self.end_timers();
            if !(*owned).flags.has(Flags::STATE) {
                return;
            }
            (*owned).flags.clear(Flags::STATE);
            self.cut_off_tasks();
            let (vtable, state) = (self.vtable(), self.state());
            // Replies that it holds back will not be given: it stopped.
            let dropped = while_ending(Fate::ActorStopped, || {
                contain(|| {
                    (vtable.drop_state)(state);
                    observe::strike(Hook::StateDrop, false, Some(self), "");
                })
            });
            if !dropped {
                log!(error,
                    actor = %self.id(), actor_type = (vtable.type_name)(),
                    "panicked in the Drop of its state"
                );
            }
        }
    }

    fn is_root(self) -> bool {
        self.runtime().root() == self
    }
}

/// Whether a stop for this reason leaves no room for another life.
fn ends_for_good(reason: &StopReason, restart: RestartPolicy) -> bool {
    match reason {
        StopReason::Shutdown | StopReason::Killed => true,
        other => other.is_normal() && restart != RestartPolicy::Permanent,
    }
}

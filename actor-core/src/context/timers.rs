//! Messages that an actor sends itself later: once, again and again, under a key.
//!
//! The service that keeps the time is `scheduler::timer`, the bookkeeping `cell::timers`, the message on
//! its way `timer_node`; here is what the user says.

use std::time::{Duration, Instant};

use super::actor::{Actor, Handler, Message};
use super::actor_context::ActorContext;
use super::message_context::Context;
use super::timer_node::{Once, Ticking};
use crate::cell::{Every, Factory, TimerId, TimerKey, TimerRef};
use crate::clock::Tick;

/// # Timers
///
/// A timer's message goes to the actor's own mailbox when its time has come and is handled in its turn.
/// Rules for all of them:
///
/// - **Not before its time**, by the monotonic clock; late by 1 ms at most, plus the time the actor needs to
///   come to it. A wall clock that jumps moves nothing.
/// - **Cancelled or replaced means never delivered**, also if the message waits in the mailbox already.
/// - **Timers end with the life**: after a stop or a restart none is seen any more. Set those that every
///   life needs in [`started`](Actor::started). Dropping a [`TimerId`] cancels nothing.
/// - **A drain waits for no timer**: an actor that is being drained handles what waits, with what fires
///   meanwhile, but an interval ticks no more.
/// - **A full mailbox does not matter**: a timer needs no room and is never refused. What waits of it counts
///   as waiting, so senders see that much less room. An interval has one tick waiting at most.
/// - **Context**: the message carries the trace and the baggage that were in force when the timer was set,
///   not the deadline and the cancellation: those belong to the work that ends with the present message.
/// - **Books**: the message is counted as offered, accepted and handled when the actor comes to it. A timer
///   that is cancelled or ends with its actor was never sent.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::prelude::*;
/// use actor_core::{ActorError, Every};
///
/// struct Session { pings: u32 }
///
/// struct Ping;
/// impl Message for Ping { type Reply = (); }
/// struct Activity;
/// impl Message for Activity { type Reply = (); }
/// struct IdleForLong;
/// impl Message for IdleForLong { type Reply = (); }
///
/// impl Actor for Session {
///     async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
///         // Every second; after a stall one tick, then on with the grid.
///         cx.send_interval(Duration::from_secs(1), || Ping);
///         Ok(())
///     }
/// }
/// impl SyncHandler<Ping> for Session {
///     fn handle(&mut self, _: Ping, _cx: &mut ActorContext<Self>) {
///         self.pings += 1;
///     }
/// }
/// impl SyncHandler<Activity> for Session {
///     fn handle(&mut self, _: Activity, cx: &mut ActorContext<Self>) {
///         // Under the same key: the one before never fires.
///         cx.set_timer("idle", Duration::from_secs(60), IdleForLong);
///     }
/// }
/// impl SyncHandler<IdleForLong> for Session {
///     fn handle(&mut self, _: IdleForLong, cx: &mut ActorContext<Self>) {
///         cx.stop();
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// let session = system.spawn(|| Session { pings: 0 })?;
/// session.tell(Activity)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<A: Actor> ActorContext<A> {
    /// Sends this actor a message once, `delay` from now.
    pub fn send_after<M: Message>(&mut self, delay: Duration, message: M) -> TimerId
    where
        A: Handler<M>,
    {
        self.once(None, Tick::now().after(delay), message)
    }

    /// Sends this actor a message once, at that time; soon, if it has passed.
    pub fn send_at<M: Message>(&mut self, at: Instant, message: M) -> TimerId
    where
        A: Handler<M>,
    {
        self.once(None, Tick::from_instant(at), message)
    }

    /// Sends this actor a message every so often, until it is cancelled or the life ends.
    ///
    /// A plain [`Duration`] is a fixed rate that skips what it missed; see [`Every`] for the rule and for
    /// others. `make` is called for each message when the actor comes to it; a panic in it is a panic of
    /// the handler.
    pub fn send_interval<M: Message>(
        &mut self,
        every: impl Into<Every>,
        make: impl FnMut() -> M + Send + 'static,
    ) -> TimerId
    where
        A: Handler<M>,
    {
        self.interval(None, every.into(), make)
    }

    /// As [`send_after`](Self::send_after) under a key: a timer or interval set under it before ends, and
    /// its message is not delivered any more.
    pub fn set_timer<M: Message>(
        &mut self,
        key: impl Into<TimerKey>,
        delay: Duration,
        message: M,
    ) -> TimerId
    where
        A: Handler<M>,
    {
        self.once(Some(key.into()), Tick::now().after(delay), message)
    }

    /// As [`send_interval`](Self::send_interval) under a key, as [`set_timer`](Self::set_timer).
    pub fn set_interval<M: Message>(
        &mut self,
        key: impl Into<TimerKey>,
        every: impl Into<Every>,
        make: impl FnMut() -> M + Send + 'static,
    ) -> TimerId
    where
        A: Handler<M>,
    {
        self.interval(Some(key.into()), every.into(), make)
    }

    /// Ends a timer, by its id or its key; `false` if it has fired for the last time, was cancelled
    /// before, or is another actor's. After `true` its message is not delivered.
    pub fn cancel_timer(&mut self, timer: impl Into<TimerRef>) -> bool {
        // SAFETY: `&mut self`: the handler runs on the owner, or while the owner waits for it.
        unsafe { self.cell().end_timer(&timer.into()) }
    }

    /// Ends all timers of this actor. How many there were.
    pub fn cancel_timers(&mut self) -> usize {
        // SAFETY: as in `cancel_timer`.
        unsafe { self.cell().end_timers() }
    }

    /// How long until a timer is due, or the next tick of an interval; zero when it waits in the mailbox,
    /// `None` if there is no such timer.
    pub fn timer_remaining(&self, timer: impl Into<TimerRef>) -> Option<Duration> {
        // SAFETY: as in `cancel_timer`; only looks.
        let (due, _) = unsafe { self.cell().look_at_timer(&timer.into()) }?;
        Some(Tick::now().until(due))
    }

    /// How many ticks an interval at a fixed rate has skipped because this actor came to it late;
    /// `None` if there is no such timer.
    pub fn missed_ticks(&self, timer: impl Into<TimerRef>) -> Option<u64> {
        // SAFETY: as in `timer_remaining`.
        let (_, missed) = unsafe { self.cell().look_at_timer(&timer.into()) }?;
        Some(missed)
    }

    /// How many timers and intervals this actor has.
    pub fn timers(&self) -> usize {
        // SAFETY: as in `timer_remaining`.
        unsafe { self.cell().timer_count() }
    }

    fn once<M: Message>(&mut self, key: Option<TimerKey>, at: Tick, message: M) -> TimerId
    where
        A: Handler<M>,
    {
        let cell = self.cell();
        // SAFETY: as in `cancel_timer`; the actor in the cell is an `A`.
        unsafe {
            let timer = cell.note_timer(key, at, None);
            Once::<A, M>::arm(cell, timer, at, Context::lasting(), message);
            timer
        }
    }

    fn interval<M: Message>(
        &mut self,
        key: Option<TimerKey>,
        every: Every,
        mut make: impl FnMut() -> M + Send + 'static,
    ) -> TimerId
    where
        A: Handler<M>,
    {
        let cell = self.cell();
        let at = Tick::now().after(every.first());
        let make: Factory = Box::new(move |place| {
            let message = make();
            // SAFETY: `Ticking::run` gives room for an `M`.
            unsafe { place.cast::<M>().write(message) };
        });
        // SAFETY: as in `cancel_timer`; the actor in the cell is an `A`, and `make` makes `M`s.
        unsafe {
            let timer = cell.note_timer(key, at, Some((every, make)));
            Ticking::<A, M>::arm(cell, timer, at, Context::lasting());
            timer
        }
    }
}

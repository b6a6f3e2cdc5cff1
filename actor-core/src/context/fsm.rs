//! A state machine's state and the time-out of it, changed together.
//!
//! Behaviour in Rust is switched by an enum and `match`: the compiler checks that every state is thought
//! of, and a state carries its own data. What is left to get wrong is the time-out of a state that has
//! been left already; that is all this type is about (docs/decisions/0006).

use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use super::actor::{Actor, Handler, Message};
use super::actor_context::ActorContext;
use crate::cell::TimerId;
use crate::clock::Tick;

/// The state of an actor that is a state machine: a field of it.
///
/// Read it through `*self.state`, change it by [`to`](Self::to) or [`to_within`](Self::to_within). The
/// time-out of a state ends with the state: its message is never delivered afterwards, also if it waits
/// in the mailbox already. Messages that have to wait for another state are put aside by
/// [`accepts`](crate::Handler::accepts) and given back by
/// [`unstash_all`](crate::ActorContext::unstash_all) on entering it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::prelude::*;
/// use actor_core::{Accept, Fsm};
///
/// enum Link { Down, Connecting { attempt: u32 }, Up }
///
/// struct Client { link: Fsm<Link> }
/// impl Actor for Client {}
///
/// struct Connect;
/// impl Message for Connect { type Reply = (); }
/// impl SyncHandler<Connect> for Client {
///     fn handle(&mut self, _: Connect, cx: &mut ActorContext<Self>) {
///         let attempt = match *self.link {
///             Link::Up => return,
///             Link::Connecting { attempt } => attempt + 1,
///             Link::Down => 1,
///         };
///         // Not up in time: again.
///         let limit = Duration::from_secs(5);
///         self.link.to_within(Link::Connecting { attempt }, limit, Connect, cx);
///     }
/// }
///
/// struct Connected;
/// impl Message for Connected { type Reply = (); }
/// impl SyncHandler<Connected> for Client {
///     fn handle(&mut self, _: Connected, cx: &mut ActorContext<Self>) {
///         self.link.to(Link::Up, cx);
///         cx.unstash_all();
///     }
/// }
///
/// struct Query(u64);
/// impl Message for Query { type Reply = u64; }
/// impl SyncHandler<Query> for Client {
///     fn handle(&mut self, Query(n): Query, _cx: &mut ActorContext<Self>) -> u64 { n * 2 }
///     /// Queries wait for the link.
///     fn accepts(&self, _: &Query) -> Accept {
///         if matches!(*self.link, Link::Up) { Accept::Now } else { Accept::Later }
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// let client = system.spawn(|| Client { link: Fsm::new(Link::Down) })?;
/// client.tell(Connect)?;
/// system.block_on(async {
///     let (query, connected) = tokio::join!(client.ask(Query(21)), client.ask(Connected));
///     connected.map_err(AskError::without_message)?;
///     assert_eq!(query.map_err(AskError::without_message)?, 42);
///     Ok::<(), AskError<()>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Fsm<S> {
    state: S,
    since: Tick,
    timeout: Option<TimerId>,
    transitions: u64,
}

impl<S> Fsm<S> {
    /// In the first state, without a time-out.
    pub fn new(first: S) -> Self {
        Self {
            state: first,
            since: Tick::now(),
            timeout: None,
            transitions: 0,
        }
    }

    /// Goes to the next state and returns the one that was left, whose time-out ends with it. To the same
    /// state again is a change as well.
    pub fn to<A: Actor>(&mut self, next: S, cx: &mut ActorContext<A>) -> S {
        if let Some(timeout) = self.timeout.take() {
            cx.cancel_timer(timeout);
        }
        self.since = Tick::now();
        self.transitions += 1;
        std::mem::replace(&mut self.state, next)
    }

    /// As [`to`](Self::to); if the next state lasts longer than `limit`, the actor gets `timeout`.
    pub fn to_within<A: Handler<M>, M: Message>(
        &mut self,
        next: S,
        limit: Duration,
        timeout: M,
        cx: &mut ActorContext<A>,
    ) -> S {
        let left = self.to(next, cx);
        self.timeout = Some(cx.send_after(limit, timeout));
        left
    }

    /// What is in the state, to be changed in place. Put another state there and the time-out stays: for
    /// that there is [`to`](Self::to).
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.state
    }

    /// How long it has been in this state.
    pub fn elapsed(&self) -> Duration {
        self.since.until(Tick::now())
    }

    /// How often it has changed.
    pub fn transitions(&self) -> u64 {
        self.transitions
    }
}

impl<S> Deref for Fsm<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.state
    }
}

impl<S: Default> Default for Fsm<S> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S: fmt::Debug> fmt::Debug for Fsm<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fsm")
            .field("state", &self.state)
            .field("elapsed", &self.elapsed())
            .field("has_timeout", &self.timeout.is_some())
            .finish_non_exhaustive()
    }
}

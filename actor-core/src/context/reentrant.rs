//! Reentrancy, for those who ask for it: a handler that waits without keeping other messages waiting.
//!
//! Two borrows of one state cannot overlap, so a reentrant handler has none while it awaits. It gets a
//! handle and borrows the state between two awaits, in a closure. What it read before an await may be
//! different after it: that is the price, and why it is not the default.

use std::fmt;
use std::marker::PhantomData;

use super::actor::{Actor, Message};
use super::actor_context::ActorContext;
use super::reply::{DeferredHandler, Reply};
use super::stash::Accept;
use crate::cell::{Drain, First, NotLent, lend};
use crate::contain::log;
use crate::id::ActorId;

/// How an actor handles a message without keeping its other messages waiting.
///
/// The future is `'static`: it borrows nothing over an await, and reaches the state through
/// [`Reentrant::with`]. The message counts as handled when the future is pending for the first time; until
/// then it runs in the message's place, so the order among messages is kept up to the first await.
/// Circles of asks through a reentrant handler (A asks B asks A) work.
///
/// The future is an attached task: it ends with this life of the actor (the asker gets
/// [`Dead`](crate::AskError::Dead)), a panic in it ends this life (the asker gets
/// [`Panicked`](crate::AskError::Panicked)), and an actor may have
/// [so many](ActorContext::limit_attached_tasks). Over that limit the message is not handled and the asker
/// gets [`NoReply`](crate::AskError::NoReply).
///
/// With `#[messages]`: `#[message(reentrant)] async fn refresh(this: Reentrant<Self>, key: Key) -> Value`.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_core::{Reentrant, ReentrantHandler};
///
/// /// Counts down, by asking itself: a circle of one.
/// struct Down(u32);
/// impl Message for Down { type Reply = u32; }
/// struct Counter { calls: u32 }
/// impl Actor for Counter {}
///
/// impl ReentrantHandler<Down> for Counter {
///     async fn handle(this: Reentrant<Self>, Down(n): Down) -> u32 {
///         let (me, calls) = this.with(|counter, cx| {
///             counter.calls += 1;
///             (cx.actor_ref(), counter.calls)
///         });
///         if n == 0 { calls } else { me.ask(Down(n - 1)).await.unwrap_or(0) }
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// let counter = system.spawn(Counter { calls: 0 })?;
/// assert_eq!(counter.ask_blocking(Down(3))?, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "the actor `{Self}` does not handle the message `{M}`",
    label = "`{Self}` has no handler for this message"
)]
pub trait ReentrantHandler<M: Message>: Actor {
    /// Handles one message.
    fn handle(this: Reentrant<Self>, message: M)
    -> impl Future<Output = M::Reply> + Send + 'static;

    /// As [`Handler::accepts`](crate::Handler::accepts).
    #[inline(always)]
    fn accepts(&self, message: &M) -> Accept {
        let _ = message;
        Accept::Now
    }

    #[doc(hidden)]
    const IS_SYNC: bool = false;

    #[doc(hidden)]
    fn run_sync(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply {
        let _ = (message, cx);
        unreachable!("a reentrant handler is called with its handle, by the runtime")
    }

    #[doc(hidden)]
    fn run_later(&mut self, message: M, reply: Reply<M::Reply>, cx: &mut ActorContext<Self>) {
        let attached = cx.attach_step(
            |this| <Self as ReentrantHandler<M>>::handle(this, message),
            Some(reply),
            First::AfterHandler,
            Drain::Waits,
        );
        if let Err(error) = attached {
            let message = std::any::type_name::<M>();
            log!(warn, actor = %cx.id(), message_type = message, "not handled: {error}");
        }
    }
}

impl<A: DeferredHandler<M>, M: Message> ReentrantHandler<M> for A {
    async fn handle(_this: Reentrant<Self>, _message: M) -> M::Reply {
        unreachable!("a handler of another kind is called with the state, by the runtime")
    }

    #[inline(always)]
    fn accepts(&self, message: &M) -> Accept {
        DeferredHandler::accepts(self, message)
    }

    const IS_SYNC: bool = <A as DeferredHandler<M>>::PLAIN;

    #[inline(always)]
    fn run_sync(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply {
        self.handle_plain(message, cx)
    }

    #[inline(always)]
    fn run_later(&mut self, message: M, reply: Reply<M::Reply>, cx: &mut ActorContext<Self>) {
        DeferredHandler::handle(self, message, reply, cx);
    }
}

/// An actor's state, for tasks of its own that are being polled.
///
/// Cheap to clone. Of use only in the future that it was given to, or in another attached task of the
/// same actor: elsewhere, and while the state is lent already, nothing is lent.
pub struct Reentrant<A> {
    actor: ActorId,
    /// Which life of it.
    life: u64,
    // Neither owns nor shares an `A`.
    state: PhantomData<fn(A)>,
}

impl<A: Actor> Reentrant<A> {
    pub(super) fn of(cx: &ActorContext<A>) -> Self {
        Self {
            actor: cx.id(),
            // SAFETY: a handler runs on the owner of its cell, or while the owner waits for it.
            life: unsafe { cx.cell().life() },
            state: PhantomData,
        }
    }

    /// Borrows the state and the context for the time of `f`.
    ///
    /// # Panics
    ///
    /// Where [`try_with`](Self::try_with) is refused.
    #[track_caller]
    pub fn with<R>(&self, f: impl FnOnce(&mut A, &mut ActorContext<A>) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("{error}"),
        }
    }

    /// Borrows the state and the context for the time of `f`, if this is the place for it.
    ///
    /// # Errors
    ///
    /// [`ReentrantError`].
    pub fn try_with<R>(
        &self,
        f: impl FnOnce(&mut A, &mut ActorContext<A>) -> R,
    ) -> Result<R, ReentrantError> {
        let lent = lend(self.actor, self.life, |lent| {
            let cell = lent.cell();
            // SAFETY: T2: lent to us alone until `lent` is dropped; the identity says that it is an `A`.
            let state = unsafe { &mut *cell.state().cast::<A>() };
            f(state, &mut ActorContext::new(cell))
        });
        lent.map_err(|refused| match refused {
            NotLent::NotHere => ReentrantError::NotHere { actor: self.actor },
            NotLent::Lent => ReentrantError::Lent { actor: self.actor },
        })
    }

    /// The actor.
    pub fn id(&self) -> ActorId {
        self.actor
    }
}

impl<A> Clone for Reentrant<A> {
    fn clone(&self) -> Self {
        Self {
            actor: self.actor,
            life: self.life,
            state: PhantomData,
        }
    }
}

impl<A> fmt::Debug for Reentrant<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Reentrant<{}>({})",
            std::any::type_name::<A>(),
            self.actor
        )
    }
}

/// Why a state was not lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReentrantError {
    /// This is no place of the actor's: another thread, another task, or another life of it.
    NotHere {
        /// The actor.
        actor: ActorId,
    },
    /// It is lent already, further up on this stack.
    Lent {
        /// The actor.
        actor: ActorId,
    },
}

impl fmt::Display for ReentrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHere { actor } => write!(
                f,
                "the state of {actor} can only be borrowed in a task attached to it, by that life of it; \
                 from elsewhere send it a message"
            ),
            Self::Lent { actor } => write!(
                f,
                "the state of {actor} is borrowed already: do not call `with` within `with`"
            ),
        }
    }
}

impl std::error::Error for ReentrantError {}

//! The traits that user code implements, by hand or through the macros.

use std::error::Error;

use super::actor_context::ActorContext;
use super::export::Export;
use super::options::ActorOptions;
use super::reentrant::ReentrantHandler;
use super::reply::Reply;
use super::stash::Accept;
use crate::cell::{StopReason, Terminated};

/// What `started` may fail with.
pub type ActorError = Box<dyn Error + Send + Sync>;

/// Something with state that handles one message at a time.
///
/// All hooks have defaults, so `impl Actor for Counter {}` is an actor. The hooks run on the actor's
/// worker like handlers and may await; messages wait meanwhile.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
///
/// struct Counter(u64);
/// impl Actor for Counter {}
///
/// struct Add(u64);
/// impl Message for Add {
///     type Reply = u64;
/// }
/// impl SyncHandler<Add> for Counter {
///     fn handle(&mut self, Add(n): Add, _cx: &mut ActorContext<Self>) -> u64 {
///         self.0 += n;
///         self.0
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// let counter = system.spawn(Counter(40))?;
/// assert_eq!(counter.ask_blocking(Add(2))?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Actor: Sized + Send + 'static {
    /// Mailbox, placement, restart policy and more for actors of this type, unless the spawn says
    /// otherwise. Defaults: see [`ActorOptions`].
    fn options() -> ActorOptions {
        ActorOptions::new()
    }

    /// Runs before the first message of each life: after spawn and after every restart.
    ///
    /// # Errors
    ///
    /// An error (or a panic) is a failed start: the supervisor is told, and messages that wait stay in
    /// the mailbox for the next life or become dead letters.
    fn started(
        &mut self,
        cx: &mut ActorContext<Self>,
    ) -> impl Future<Output = Result<(), ActorError>> + Send {
        let _ = cx;
        std::future::ready(Ok(()))
    }

    /// Runs at an orderly end, after the children have stopped. Not run for a life that failed: its
    /// state may be broken and is dropped at once. After a kill it is cut off at its first `.await` that
    /// is not ready. A panic here is logged, the actor stops all the same.
    fn stopped(
        &mut self,
        reason: &StopReason,
        cx: &mut ActorContext<Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, cx);
        std::future::ready(())
    }

    /// An actor that this one watches has stopped. The default does nothing: an end that is watched
    /// and not handled has no effect on the watcher.
    fn terminated(
        &mut self,
        who: Terminated,
        cx: &mut ActorContext<Self>,
    ) -> impl Future<Output = ()> + Send {
        let _ = (who, cx);
        std::future::ready(())
    }
}

/// Something that can be sent to an actor, with the type of the answer.
///
/// Usually derived: `#[derive(Message)] #[message(reply = u64)] struct Get;`. Without `reply` it is `()`.
pub trait Message: Sized + Send + 'static {
    /// What an `ask` gives back.
    type Reply: Send + 'static;

    /// How the message travels to actors on other peers; by default it does not
    /// ([`AskError::NotExported`](crate::AskError::NotExported)).
    const EXPORT: Option<Export<Self>> = None;
}

/// How an actor handles a message, when that may need to await.
///
/// `&mut self` is kept across awaits: the next message waits until this one is done. Inside, the whole
/// tokio ecosystem works without set-up: timers, sockets, `tokio::spawn`, database and HTTP clients.
/// A future that is ready at its first poll costs about as much as a plain function.
///
/// For handlers that never await implement [`SyncHandler`] instead; it counts as a `Handler` too.
///
/// # Cancel safety
///
/// The future is dropped at an `.await` if the actor is killed, not if the asker goes away; handlers
/// can look at [`ActorContext::is_cancelled`].
#[diagnostic::on_unimplemented(
    message = "the actor `{Self}` does not handle the message `{M}`",
    label = "`{Self}` has no handler for this message",
    note = "write `impl SyncHandler<{M}> for {Self}` (plain fn) or `impl Handler<{M}> for {Self}` (async fn), or mark a method with `#[message]` in a `#[messages] impl`"
)]
pub trait Handler<M: Message>: Actor {
    /// Handles one message.
    ///
    /// # Panics
    ///
    /// A panic ends this life of the actor: the message is dropped and counted, an asker gets
    /// `Panicked`, the supervisor decides what comes next.
    fn handle(
        &mut self,
        message: M,
        cx: &mut ActorContext<Self>,
    ) -> impl Future<Output = M::Reply> + Send;

    /// Whether this actor takes the message now. Asked before the handler, with the message still in its
    /// envelope: [`Accept::Later`] puts it aside, with its asker if it has one, until
    /// [`ActorContext::unstash_all`] gives it back. When as many messages are put aside as may be, it is
    /// dropped and counted, and an asker gets `NoReply`.
    ///
    /// By default every message is taken, and nothing is asked. A panic here is one of the handler.
    #[inline(always)]
    fn accepts(&self, message: &M) -> Accept {
        let _ = message;
        Accept::Now
    }

    /// Whether `handle_sync` is there: set by the other kinds of handlers only.
    #[doc(hidden)]
    const SYNC: bool = false;

    #[doc(hidden)]
    fn handle_sync(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply {
        let _ = (message, cx);
        unreachable!("called only for handlers whose SYNC is true")
    }

    /// Whether `handle_lent` is there: set by `#[message(blocking)]` only.
    #[doc(hidden)]
    const BLOCKING: bool = false;

    /// On a thread of the blocking pool, while the actor waits.
    #[doc(hidden)]
    fn handle_lent(&mut self, message: M) -> M::Reply {
        let _ = message;
        unreachable!("called only for handlers whose BLOCKING is true")
    }

    /// Whether `handle_later` is there: set by `DeferredHandler` and `ReentrantHandler` only.
    #[doc(hidden)]
    const DEFERRED: bool = false;

    #[doc(hidden)]
    fn handle_later(&mut self, message: M, reply: Reply<M::Reply>, cx: &mut ActorContext<Self>) {
        let _ = (message, reply, cx);
        unreachable!("called only for handlers whose DEFERRED is true")
    }
}

/// How an actor handles a message with a plain function: no future is built.
///
/// It must not block: a worker that waits in a system call or a lock holds up the other actors on it.
#[diagnostic::on_unimplemented(
    message = "the actor `{Self}` does not handle the message `{M}`",
    label = "`{Self}` has no handler for this message"
)]
pub trait SyncHandler<M: Message>: Actor {
    /// Handles one message. Panics are handled as for [`Handler::handle`].
    fn handle(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply;

    /// As [`Handler::accepts`].
    #[inline(always)]
    fn accepts(&self, message: &M) -> Accept {
        let _ = message;
        Accept::Now
    }
}

// A chain, not a fan: two blanket impls of one trait would overlap, one for each trait does not. It goes
// from `Handler` over the rarer kinds to `SyncHandler`, at whose end an impl for every `M` can stand.
impl<A: ReentrantHandler<M>, M: Message> Handler<M> for A {
    async fn handle(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply {
        self.run_sync(message, cx)
    }

    const SYNC: bool = <A as ReentrantHandler<M>>::IS_SYNC;
    const DEFERRED: bool = !<A as ReentrantHandler<M>>::IS_SYNC;

    #[inline(always)]
    fn accepts(&self, message: &M) -> Accept {
        ReentrantHandler::accepts(self, message)
    }

    #[inline(always)]
    fn handle_sync(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply {
        self.run_sync(message, cx)
    }

    #[inline(always)]
    fn handle_later(&mut self, message: M, reply: Reply<M::Reply>, cx: &mut ActorContext<Self>) {
        self.run_later(message, reply, cx);
    }
}

//! How an actor is reached.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use super::actor::{Actor, Handler, Message};
use super::call::Call;
use super::envelope::{NoMemory, TellNode};
use super::message_context::Context;
use super::outgoing::{Offered, Target, inherited};
use super::owned_ref::OwnedRef;
use super::recipient::Recipient;
use super::send::Send as SendFuture;
use super::spanning::Verb;
use crate::cell::{StopMode, StopReason};
use crate::id::ActorId;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::Fate;
use crate::mailbox::{AskError, SendError};

/// The address of an actor: eight bytes, `Copy`, valid over restarts.
///
/// It does not keep the actor alive: actors live until they stop, under their parents, not until the
/// last reference goes away (use [`OwnedRef`] for that). A reference to an actor that has stopped is
/// safe to use and is refused; its identity is never given to another actor.
///
/// | verb | waits | on a full mailbox | gives back |
/// |---|---|---|---|
/// | [`tell`](Self::tell) | never | `Full` with the message | nothing |
/// | [`send`](Self::send) | for room | waits (policy `Wait`) or `Full` | nothing |
/// | [`ask`](Self::ask) | for room and the reply | waits (policy `Wait`) or `Full` | the reply |
pub struct ActorRef<A> {
    id: ActorId,
    // Neither owns nor shares an `A`: Send and Sync whatever `A` is.
    actor: PhantomData<fn(A)>,
}

impl<A> ActorRef<A> {
    pub(crate) const fn new(id: ActorId) -> Self {
        Self {
            id,
            actor: PhantomData,
        }
    }

    /// The actor's identity.
    pub const fn id(&self) -> ActorId {
        self.id
    }
}

impl<A: Actor> ActorRef<A> {
    /// Sends a message and does not wait. Can be called from anywhere: handlers, tasks, threads.
    ///
    /// Messages from one sender arrive in the order they were sent. `Ok` means accepted: the message
    /// will be handled, or its fate recorded (see [`Conservation`](crate::Conservation)).
    ///
    /// # Errors
    ///
    /// `Full` (but with `DropNewest` the message is dropped and counted, and the answer is `Ok`), `Dead`,
    /// `Overloaded`; `Expired` or `Cancelled` when the context in force is. All give the message back.
    #[inline]
    pub fn tell<M: Message>(&self, message: M) -> Result<(), SendError<M>>
    where
        A: Handler<M>,
    {
        tell::<A, M>(Target::of(self.id), message, inherited())
    }

    /// Sends a message, waiting for room if the mailbox is full and its policy is `Wait`.
    ///
    /// # Errors
    ///
    /// As for [`tell`](Self::tell); `Full` only if the policy does not wait.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent and no place in the queue is kept.
    pub fn send<M: Message>(&self, message: M) -> SendFuture<A, M>
    where
        A: Handler<M>,
    {
        SendFuture::new(*self, message, None)
    }

    /// Asks: sends a message and waits for the reply, when awaited. See [`Call`] for time-outs and more.
    ///
    /// # Errors
    ///
    /// See [`AskError`]. Asking in a circle is reported as `Deadlock` at once.
    ///
    /// # Cancel safety
    ///
    /// Dropped while waiting, the message is skipped if its handler has not begun; a reply that comes
    /// later is dropped and counted.
    pub fn ask<M: Message>(&self, message: M) -> Call<A, M>
    where
        A: Handler<M>,
    {
        Call::new(*self, message)
    }

    /// Asks from a plain thread, which sleeps until the reply is there.
    ///
    /// # Errors
    ///
    /// See [`AskError`]; on a worker `WouldBlock`, because its other actors would wait as well.
    pub fn ask_blocking<M: Message>(&self, message: M) -> Result<M::Reply, AskError<M>>
    where
        A: Handler<M>,
    {
        self.ask(message).blocking()
    }

    /// Stops the actor after the message it is handling; what waits becomes dead letters. Does nothing
    /// if it has stopped. Returns at once; watch the actor to hear of the end.
    pub fn stop(&self) {
        self.stop_with(StopMode::Now);
    }

    /// Stops the actor in the way given.
    pub fn stop_with(&self, mode: StopMode) {
        let reason = if mode == StopMode::Kill {
            StopReason::Killed
        } else {
            StopReason::Normal
        };
        Target::of(self.id)
            .cell
            .stop_wherever(self.id.generation(), mode, reason);
    }

    /// Whether the actor has not stopped yet. It may the next moment: for display, not for decisions.
    pub fn is_alive(&self) -> bool {
        Target::of(self.id).cell.generation() == self.id.generation()
    }

    /// How many messages wait in its mailbox; exact up to one batch.
    pub fn queue_len(&self) -> usize {
        Target::of(self.id).cell.inbox().len() as usize
    }

    /// The same actor, seen as somebody who takes one type of message.
    pub fn recipient<M: Message>(&self) -> Recipient<M>
    where
        A: Handler<M>,
    {
        Recipient::new(*self)
    }

    /// A reference that stops the actor when it is dropped.
    pub fn into_owned(self) -> OwnedRef<A> {
        OwnedRef::new(self)
    }
}

/// The one way in for messages that nobody waits for.
#[inline]
pub(super) fn tell<A: Handler<M>, M: Message>(
    target: Target,
    message: M,
    context: Context,
) -> Result<(), SendError<M>> {
    target.count(Count::Offered);
    if !target.admits() {
        target.count(Count::RefusedDead);
        return Err(SendError::Dead {
            target: target.id,
            message,
        });
    }
    if let Some(fate) = context.refusal() {
        target.count(Count::RefusedOther);
        return Err(refused(target.id, fate, message));
    }
    let context = context.departing(Verb::Tell, target.runtime);
    let arena = target.cell.arena();
    let node = match TellNode::alloc::<A>(arena, target.id.generation(), context, message) {
        Ok(node) => node,
        Err(NoMemory(message)) => {
            target.overloaded();
            return Err(SendError::Overloaded {
                target: target.id,
                message,
            });
        }
    };
    // SAFETY: the node is ours and of the target's type.
    match unsafe { target.push(node) } {
        Offered::Accepted => Ok(()),
        Offered::Full => {
            target.count(Count::RefusedFull);
            // SAFETY: `Full` leaves the node with us.
            let message = unsafe { TellNode::take_back(node) };
            Err(SendError::Full {
                target: target.id,
                capacity: target.capacity(),
                message,
            })
        }
        Offered::Drop => {
            target.record(Fate::Newest, std::any::type_name::<M>());
            // SAFETY: `Drop` leaves the node with us.
            drop(unsafe { TellNode::<M>::take_back(node) });
            Ok(())
        }
    }
}

/// The error for a context that does not allow sending any more.
pub(super) fn refused<M>(target: ActorId, fate: Fate, message: M) -> SendError<M> {
    match fate {
        Fate::Cancelled => SendError::Cancelled { target, message },
        _ => SendError::Expired { target, message },
    }
}

// By hand: derives would ask `A` for what only the id has.
impl<A> Clone for ActorRef<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for ActorRef<A> {}

impl<A> PartialEq for ActorRef<A> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<A> Eq for ActorRef<A> {}

impl<A> Hash for ActorRef<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl<A> fmt::Debug for ActorRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorRef<{}>({})", std::any::type_name::<A>(), self.id)
    }
}

impl<A> fmt::Display for ActorRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

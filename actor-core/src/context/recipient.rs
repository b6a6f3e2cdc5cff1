//! Somebody who takes one type of message, whatever actor it is.

use std::fmt;

use super::actor::{Handler, Message};
use super::actor_ref::{ActorRef, tell};
use super::message_context::Context;
use super::outgoing::{Target, inherited};
use crate::id::ActorId;
use crate::mailbox::SendError;

/// The address of some actor that handles `M`: 16 bytes, `Copy`, no allocation.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
///
/// struct Tick;
/// impl Message for Tick { type Reply = (); }
/// struct Clock;
/// impl Actor for Clock {}
/// impl SyncHandler<Tick> for Clock {
///     fn handle(&mut self, _: Tick, _cx: &mut ActorContext<Self>) {}
/// }
///
/// let system = ActorSystem::new()?;
/// let listeners: Vec<Recipient<Tick>> = vec![system.spawn(Clock)?.recipient()];
/// for listener in &listeners {
///     listener.tell(Tick)?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Recipient<M: Message> {
    id: ActorId,
    tell: fn(Target, M, Context) -> Result<(), SendError<M>>,
}

impl<M: Message> Recipient<M> {
    pub(super) fn new<A: Handler<M>>(actor: ActorRef<A>) -> Self {
        Self {
            id: actor.id(),
            tell: tell::<A, M>,
        }
    }

    /// The actor's identity.
    pub const fn id(&self) -> ActorId {
        self.id
    }

    /// Sends a message and does not wait; as [`ActorRef::tell`].
    ///
    /// # Errors
    ///
    /// As [`ActorRef::tell`].
    pub fn tell(&self, message: M) -> Result<(), SendError<M>> {
        (self.tell)(Target::of(self.id), message, inherited())
    }

    /// Whether the actor has not stopped yet.
    pub fn is_alive(&self) -> bool {
        Target::of(self.id).cell.generation() == self.id.generation()
    }
}

impl<A: Handler<M>, M: Message> From<ActorRef<A>> for Recipient<M> {
    fn from(actor: ActorRef<A>) -> Self {
        Self::new(actor)
    }
}

impl<M: Message> Clone for Recipient<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Message> Copy for Recipient<M> {}

impl<M: Message> PartialEq for Recipient<M> {
    fn eq(&self, other: &Self) -> bool {
        // One actor handles `M` in one way only, so the id says it all.
        self.id == other.id
    }
}

impl<M: Message> Eq for Recipient<M> {}

impl<M: Message> fmt::Debug for Recipient<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recipient<{}>({})", std::any::type_name::<M>(), self.id)
    }
}

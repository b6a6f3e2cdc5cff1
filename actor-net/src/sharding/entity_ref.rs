//! How an entity is reached.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use actor_core::{
    Actor, ActorRef, AskError, Call, CancelToken, Context, Handler, Message, SendError,
};

use super::door::{Asking, Door};
use super::key::EntityKey;
use super::keyed::Keyed;
use super::region::Origin;
use super::router::Router;

/// The address of an entity, on whatever peer it lives, or will when it is needed.
///
/// It is never stale: it names a key, not an actor. Messages from one sender to one key arrive in the order in
/// which they were sent, also while the entity moves; while it does they wait. A message that leaves
/// this peer must be one that travels (`#[message(remote)]`) and be listed for the kind
/// ([`Entity::handles`](super::Entity::handles)).
///
/// | what happens | `tell` | `ask` |
/// |---|---|---|
/// | as many messages as may wait here for owners of shards | `Full`, with the message | `Full`, with the message |
/// | this peer leaves the cluster, or has left it | `Dead`, with the message | `Dead`, with the message |
/// | no owner in time, or too many that wait for room in the mailboxes of entities | a dead letter, counted | `NoReply` |
/// | the owner's peer dies with the message | counted there as lost | `PeerGone` |
pub struct EntityRef<A: Actor> {
    key: EntityKey,
    router: ActorRef<Router<A>>,
    door: Arc<Door>,
    buffer: usize,
}

impl<A: Actor> EntityRef<A> {
    pub(super) fn new(
        key: EntityKey,
        router: ActorRef<Router<A>>,
        door: Arc<Door>,
        buffer: usize,
    ) -> Self {
        Self {
            key,
            router,
            door,
            buffer,
        }
    }

    /// Its key.
    pub fn key(&self) -> &EntityKey {
        &self.key
    }

    /// Sends a message and does not wait.
    ///
    /// # Errors
    ///
    /// As for [`ActorRef::tell`], of this peer's router; `Full` also if as many messages as may wait here for
    /// owners of shards; `Dead` when this peer leaves the cluster.
    pub fn tell<M: Message>(&self, message: M) -> Result<(), SendError<M>>
    where
        A: Handler<M>,
    {
        self.admit(message)
            .and_then(|keyed| self.router.tell(keyed).map_err(unwrap))
    }

    /// Sends a message, waiting for room in this peer's router.
    ///
    /// # Errors
    ///
    /// As for [`tell`](Self::tell).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing was sent.
    pub async fn send<M: Message>(&self, message: M) -> Result<(), SendError<M>>
    where
        A: Handler<M>,
    {
        let keyed = self.admit(message)?;
        self.router.send(keyed).await.map_err(unwrap)
    }

    /// Asks, when it is awaited.
    ///
    /// # Errors
    ///
    /// See [`AskError`] and the table above. `NoReply` and `PeerGone` leave open whether the entity has handled
    /// the message: retry with a key in it by which the entity knows it again.
    ///
    /// # Cancel safety
    ///
    /// As for [`ActorRef::ask`]: an ask that nobody waits for any more is cancelled, also on another peer.
    pub fn ask<M: Message>(&self, message: M) -> EntityCall<A, M>
    where
        A: Handler<M>,
    {
        // First: whoever shuts the door counts those behind it afterwards.
        let asking = self.door.enter();
        EntityCall(match self.admit(message) {
            Ok(keyed) => State::Asked(self.router.ask(keyed), asking),
            Err(error) => State::Refused(Some(error)),
        })
    }

    fn admit<M: Message>(&self, message: M) -> Result<Keyed<M>, SendError<M>> {
        let target = self.router.id();
        if self.door.is_shut() {
            return Err(SendError::Dead { target, message });
        }
        if self.door.is_full() {
            return Err(SendError::Full {
                target,
                capacity: self.buffer,
                message,
            });
        }
        Ok(Keyed {
            key: self.key.clone(),
            origin: Origin::Here,
            message,
        })
    }
}

impl<A: Actor> Clone for EntityRef<A> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            router: self.router,
            door: self.door.clone(),
            buffer: self.buffer,
        }
    }
}

impl<A: Actor> PartialEq for EntityRef<A> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.router == other.router
    }
}

impl<A: Actor> Eq for EntityRef<A> {}

impl<A: Actor> fmt::Debug for EntityRef<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntityRef<{}>({})", std::any::type_name::<A>(), self.key)
    }
}

/// An ask of an entity: await it.
#[must_use = "nothing is sent until it is awaited"]
pub struct EntityCall<A: Actor, M: Message>(State<A, M>);

enum State<A: Actor, M: Message> {
    Asked(Call<Router<A>, Keyed<M>>, Asking),
    Refused(Option<SendError<M>>),
}

impl<A: Handler<M>, M: Message> EntityCall<A, M> {
    /// Waits at most that long, from now; an earlier deadline in force stays.
    pub fn within(self, timeout: Duration) -> Self {
        self.change(|call| call.within(timeout))
    }

    /// Waits at most until then; an earlier deadline in force stays.
    pub fn deadline(self, at: Instant) -> Self {
        self.change(|call| call.deadline(at))
    }

    /// Gives up, and lets the entity know, when `token` is cancelled.
    pub fn cancel(self, token: &CancelToken) -> Self {
        self.change(|call| call.cancel(token))
    }

    /// Uses this context instead of the one in force.
    pub fn context(self, context: Context) -> Self {
        self.change(|call| call.context(context))
    }

    /// Asks from a plain thread, which sleeps until the reply is there.
    ///
    /// # Errors
    ///
    /// See [`AskError`]; on a worker `WouldBlock`.
    pub fn blocking(self) -> Result<M::Reply, AskError<M>> {
        match self.0 {
            State::Asked(call, _asking) => call.blocking().map_err(unwrap_ask),
            State::Refused(Some(error)) => Err(error.into()),
            State::Refused(None) => panic!("asked after it was ready"),
        }
    }

    fn change(
        self,
        change: impl FnOnce(Call<Router<A>, Keyed<M>>) -> Call<Router<A>, Keyed<M>>,
    ) -> Self {
        Self(match self.0 {
            State::Asked(call, asking) => State::Asked(change(call), asking),
            refused => refused,
        })
    }
}

// What waits in it is nowhere pinned.
impl<A: Actor, M: Message> Unpin for EntityCall<A, M> {}

impl<A: Handler<M>, M: Message> Future for EntityCall<A, M> {
    type Output = Result<M::Reply, AskError<M>>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            State::Asked(call, _) => Pin::new(call).poll(cx).map_err(unwrap_ask),
            State::Refused(error) => match error.take() {
                Some(error) => Poll::Ready(Err(error.into())),
                None => panic!("polled after it was ready"),
            },
        }
    }
}

impl<A: Actor, M: Message> fmt::Debug for EntityCall<A, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntityCall")
            .field("entity", &std::any::type_name::<A>())
            .field("message", &std::any::type_name::<M>())
            .finish_non_exhaustive()
    }
}

fn unwrap<M>(error: SendError<Keyed<M>>) -> SendError<M> {
    error.map(|keyed| keyed.message)
}

fn unwrap_ask<M>(error: AskError<Keyed<M>>) -> AskError<M> {
    error.map(|keyed| keyed.message)
}

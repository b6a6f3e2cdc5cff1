//! A message with the right to answer it, whatever its type: what waits in a region.

use actor_core::{Actor, ActorRef, Context, Handler, Message, Reply};

use super::key::EntityKey;
use super::keyed::Keyed;
use super::region::Origin;
use super::router::Router;

/// A message for an entity of type `A`.
pub(super) trait Parcel<A: Actor>: Send {
    /// Gives it to the entity; it comes back if that has stopped, or has no room.
    fn deliver(self: Box<Self>, to: ActorRef<A>) -> Handed<A>;

    /// Gives it to the router of another peer; it comes back if there is no room.
    fn forward(
        self: Box<Self>,
        to: ActorRef<Router<A>>,
        key: &EntityKey,
        origin: Origin,
    ) -> Handed<A>;
}

pub(super) enum Handed<A> {
    Done,
    /// There was no room.
    Full(Box<dyn Parcel<A>>),
    /// There is nobody any more.
    Dead(Box<dyn Parcel<A>>),
    /// Its asker was told why.
    Refused,
}

pub(super) struct Letter<M: Message> {
    pub(super) message: M,
    pub(super) reply: Reply<M::Reply>,
    /// It was sent with this, and goes on with it.
    pub(super) context: Context,
}

impl<A: Handler<M>, M: Message> Parcel<A> for Letter<M> {
    fn deliver(self: Box<Self>, to: ActorRef<A>) -> Handed<A> {
        let Self {
            message,
            reply,
            context,
        } = *self;
        let Err(refused) = context.run(|| reply.forward(to, message)) else {
            return Handed::Done;
        };
        let (is_full, is_dead) = (refused.error().is_full(), refused.error().is_dead());
        if !is_full && !is_dead {
            return Handed::Refused;
        }
        let (error, reply) = refused.into_parts();
        let back = Box::new(Self {
            message: error.into_message(),
            reply,
            context,
        });
        if is_full {
            Handed::Full(back)
        } else {
            Handed::Dead(back)
        }
    }

    fn forward(
        self: Box<Self>,
        to: ActorRef<Router<A>>,
        key: &EntityKey,
        origin: Origin,
    ) -> Handed<A> {
        let Self {
            message,
            reply,
            context,
        } = *self;
        let key = key.clone();
        let keyed = Keyed {
            key,
            origin,
            message,
        };
        let Err(refused) = context.run(|| reply.forward(to, keyed)) else {
            return Handed::Done;
        };
        if !refused.error().is_full() {
            return Handed::Refused;
        }
        let (error, reply) = refused.into_parts();
        Handed::Full(Box::new(Self {
            message: error.into_message().message,
            reply,
            context,
        }))
    }
}

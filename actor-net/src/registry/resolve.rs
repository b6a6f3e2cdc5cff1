//! What the registry asks of whoever knows the way to actors: a reference for an address, and how far a peer is.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actor_core::remote::Address;
use actor_core::{Actor, ActorId, ActorRef};

use crate::id::PeerId;

/// The way to actors, of this process and of others.
pub(crate) trait Resolve: Send + Sync + 'static {
    /// The actor at an address: itself if it lives here, one that stands for it otherwise.
    fn actor<A: Actor>(&self, address: &Address) -> Result<ActorRef<A>, ResolveError>;

    /// Whether it lives in this process and does not stand for one elsewhere; of one that has ended, `false`.
    fn is_local(&self, actor: ActorId) -> bool;

    /// How long a message and its answer take to a peer and back, if that is known.
    fn round_trip(&self, peer: &PeerId) -> Option<Duration>;
}

/// The same for one type of actor, whatever the way.
pub(super) trait ResolveTo<A>: Send + Sync {
    fn actor(&self, address: &Address) -> Result<ActorRef<A>, ResolveError>;
    fn is_local(&self, actor: ActorId) -> bool;
    fn round_trip(&self, peer: &PeerId) -> Option<Duration>;
}

impl<A: Actor, R: Resolve> ResolveTo<A> for Arc<R> {
    fn actor(&self, address: &Address) -> Result<ActorRef<A>, ResolveError> {
        (**self).actor(address)
    }

    fn is_local(&self, actor: ActorId) -> bool {
        (**self).is_local(actor)
    }

    fn round_trip(&self, peer: &PeerId) -> Option<Duration> {
        (**self).round_trip(peer)
    }
}

/// Why there is no reference for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResolveError {
    /// Its peer does not answer.
    Unreachable,
    /// That life of its peer is over, or the actor has stopped.
    Gone,
    /// It is an actor of another type.
    WrongType,
    /// This process has no room for one more actor that stands for another.
    NoRoom,
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "its peer does not answer now; try again, or another member",
            Self::Gone => "it has stopped, or its peer is gone",
            Self::WrongType => "it is an actor of another type",
            Self::NoRoom => {
                "this process has no room for another actor that stands for it; raise the memory limit"
            }
        })
    }
}

impl std::error::Error for ResolveError {}

/// What an actor's type is called between peers.
pub(super) fn type_name<A: Any>() -> &'static str {
    crate::wire::codec::cut(std::any::type_name::<A>(), super::entry::TYPE_BYTES_MAX)
}

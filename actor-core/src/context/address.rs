//! References inside of messages that travel.
//!
//! A reference is eight bytes that mean something in this process only. Written down it is an
//! [`Address`]: a peer, its incarnation, a number and a key there. Which peers there are is the network layer's
//! knowledge, so it says what an address means while a message is written or read: it puts an
//! [`Addressing`] in force on the thread. Without one a reference cannot be written.

use std::any::TypeId;
use std::cell::RefCell;
use std::rc::Rc;

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::actor::Actor;
use super::actor_ref::ActorRef;
use super::export::CodecError;
use crate::id::ActorId;

/// Where an actor is, for every peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The peer's name.
    pub peer: Box<str>,
    /// Which of its lives.
    pub incarnation: u64,
    /// The actor's number there.
    pub number: u64,
    /// What a stranger cannot guess: whoever has it was given the address. The network layer makes it, and
    /// looks at it before anything else.
    pub key: u64,
}

/// What addresses mean, on one link between two peers.
pub trait Addressing {
    /// The address of an actor that is known here.
    ///
    /// # Errors
    ///
    /// If it has none that the other side could use.
    fn address_of(&self, actor: ActorId) -> Result<Address, CodecError>;

    /// The actor that is known here for an address: one of ours if it is an actor of that type, or one
    /// that stands for an actor elsewhere.
    ///
    /// # Errors
    ///
    /// If there cannot be one; the bytes come from a stranger.
    fn actor_at(&self, address: &Address, actor_type: TypeId) -> Result<ActorId, CodecError>;
}

thread_local! {
    static IN_FORCE: RefCell<Option<Rc<dyn Addressing>>> = const { RefCell::new(None) };
}

/// Runs `work`, which writes or reads messages, with `addressing` in force on this thread.
pub fn with_addressing<T>(addressing: Rc<dyn Addressing>, work: impl FnOnce() -> T) -> T {
    /// Puts the former one back, also when `work` panics.
    struct Restore(Option<Rc<dyn Addressing>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let former = self.0.take();
            IN_FORCE.with(|in_force| drop(in_force.replace(former)));
        }
    }
    let _restore = Restore(IN_FORCE.with(|in_force| in_force.replace(Some(addressing))));
    work()
}

fn in_force() -> Result<Rc<dyn Addressing>, CodecError> {
    IN_FORCE
        .with(|in_force| in_force.borrow().clone())
        .ok_or_else(|| {
            CodecError::new("a reference travels between peers only, by a network layer")
        })
}

impl<A: Actor> Serialize for ActorRef<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let address = in_force()
            .and_then(|addressing| addressing.address_of(self.id()))
            .map_err(S::Error::custom)?;
        address.serialize(serializer)
    }
}

impl<'de, A: Actor> Deserialize<'de> for ActorRef<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let address = Address::deserialize(deserializer)?;
        let actor = in_force()
            .and_then(|addressing| addressing.actor_at(&address, TypeId::of::<A>()))
            .map_err(D::Error::custom)?;
        Ok(Self::new(actor))
    }
}

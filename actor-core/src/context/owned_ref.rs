//! A reference that stops its actor when it goes out of scope.

use std::ops::Deref;

use super::actor::Actor;
use super::actor_ref::ActorRef;
use crate::cell::{CellRef, StopMode};

/// An [`ActorRef`] for people who want RAII: dropping it stops the actor (mode `Drain`: what is in the
/// mailbox is handled first). Not `Clone`; give out copies of the [`ActorRef`] it derefs to.
#[derive(Debug)]
#[must_use = "dropping it stops the actor"]
pub struct OwnedRef<A: Actor>(ActorRef<A>);

impl<A: Actor> OwnedRef<A> {
    pub(super) fn new(actor: ActorRef<A>) -> Self {
        // For the leak report: it is wanted.
        CellRef::of(actor.id()).hold(actor.id().generation(), true);
        Self(actor)
    }

    /// Lets the actor live on.
    pub fn release(self) -> ActorRef<A> {
        let actor = self.0;
        CellRef::of(actor.id()).hold(actor.id().generation(), false);
        std::mem::forget(self);
        actor
    }
}

impl<A: Actor> Deref for OwnedRef<A> {
    type Target = ActorRef<A>;

    fn deref(&self) -> &ActorRef<A> {
        &self.0
    }
}

impl<A: Actor> Drop for OwnedRef<A> {
    fn drop(&mut self) {
        self.0.stop_with(StopMode::Drain);
    }
}

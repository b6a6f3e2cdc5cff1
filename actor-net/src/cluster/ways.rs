//! The way from an address to its actor, whichever life this peer is in.

use std::sync::Arc;
use std::time::Duration;

use actor_core::remote::Address;
use actor_core::{Actor, ActorId, ActorRef};

use super::lives::Shared;
use crate::id::{Incarnation, PeerId};
use crate::registry::ResolveError;
use crate::registry::resolve::Resolve;
use crate::remote::NoReference;

/// See the module.
pub(super) struct Ways(Arc<Shared>);

impl Ways {
    pub(super) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        Arc::new(Self(shared.clone()))
    }

    /// Of this process, in this or an earlier life of the peer: numbers are not used twice within a process.
    fn here<A: Actor>(&self, address: &Address) -> Result<ActorRef<A>, ResolveError> {
        let system = self.0.plan.system;
        if Incarnation(address.incarnation) < self.0.first {
            return Err(ResolveError::Gone);
        }
        let actor = system.resolve(address.number);
        actor.ok_or_else(|| match system.resolve_anyone(address.number) {
            Some(_) => ResolveError::WrongType,
            None => ResolveError::Gone,
        })
    }
}

impl Resolve for Ways {
    fn actor<A: Actor>(&self, address: &Address) -> Result<ActorRef<A>, ResolveError> {
        if *address.peer == *self.0.plan.peer.as_str() {
            return self.here(address);
        }
        let incarnation = Incarnation(address.incarnation);
        let peer = PeerId::new(&address.peer).map_err(|_| ResolveError::Gone)?;
        let view = self.0.view.borrow().clone();
        let is_gone = view.get(&peer).is_some_and(|member| {
            let known = member.incarnation();
            known > incarnation || known == incarnation && member.state().is_over()
        });
        let life = self.0.life().filter(|_| !is_gone);
        let life = life.ok_or(ResolveError::Gone)?;
        life.remote.reference(address).map_err(|error| match error {
            NoReference::Gone => ResolveError::Gone,
            NoReference::Unknown => ResolveError::Unreachable,
            NoReference::NoRoom => ResolveError::NoRoom,
        })
    }

    fn is_local(&self, actor: ActorId) -> bool {
        // Not so of a proxy, whichever life has made it.
        self.0.plan.system.resolve_anyone(actor.as_u64()).is_some()
    }

    fn round_trip(&self, peer: &PeerId) -> Option<Duration> {
        let life = self.0.life()?;
        life.peers.get(peer)?.round_trip()
    }
}

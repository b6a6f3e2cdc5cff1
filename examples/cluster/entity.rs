//! The entity: an order, by its number, on whatever peer it lives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use actor_core::prelude::*;
use actor_net::sharding::{Entity, EntityContext};
use serde::{Deserialize, Serialize};

use crate::order::Placed;

/// An order as it is known on the peer where it lives.
#[derive(Actor)]
pub(crate) struct Order {
    placed: Option<Placed>,
    /// Grows with each owner: what a store would look at.
    epoch: u64,
    desk: Arc<Desk>,
}

/// Place an order, unless it is: asking twice does no harm.
#[derive(Clone, Debug, Message, Serialize, Deserialize)]
#[message(remote = "orders.place", reply = Receipt)]
pub(crate) struct Place {
    pub(crate) order: Placed,
    pub(crate) asked_by: String,
}

/// The order is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// On this peer.
    pub(crate) peer: String,
    /// In this epoch of its owner.
    pub(crate) epoch: u64,
    /// What it costs.
    pub(crate) cents: u64,
    /// It was not known before, or had been forgotten.
    pub(crate) is_new: bool,
}

impl SyncHandler<Place> for Order {
    fn handle(&mut self, place: Place, _cx: &mut ActorContext<Self>) -> Receipt {
        self.desk.count(place.asked_by);
        let is_new = self.placed.is_none();
        let placed = self.placed.get_or_insert(place.order);
        Receipt {
            peer: self.desk.peer(),
            epoch: self.epoch,
            cents: placed.total_cents(),
            is_new,
        }
    }
}

/// What the entities of this process have in common.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    peer: OnceLock<String>,
    handled: Mutex<BTreeMap<String, u64>>,
}

impl Desk {
    /// The peer's name is known only when it has started.
    pub(crate) fn opens_at(&self, peer: &str) {
        self.peer.get_or_init(|| peer.to_owned());
    }

    fn peer(&self) -> String {
        self.peer.get().cloned().unwrap_or_default()
    }

    fn count(&self, asked_by: String) {
        // Held for an addition.
        let mut handled = self.handled.lock().unwrap_or_else(PoisonError::into_inner);
        *handled.entry(asked_by).or_default() += 1;
    }

    /// What was handled, by the peer that asked.
    pub(crate) fn handled(&self) -> BTreeMap<String, u64> {
        self.handled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The kind, to be declared on each peer.
pub(crate) fn orders(desk: Arc<Desk>) -> Entity<Order> {
    let orders = Entity::new("order", move |context: &EntityContext| Order {
        placed: None,
        epoch: context.epoch(),
        desk: desk.clone(),
    });
    orders.handles::<Place>()
}

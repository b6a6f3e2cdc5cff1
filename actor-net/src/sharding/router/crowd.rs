//! Entities whose mailboxes are full: what comes for them waits in their router, in its order, until there is room.
//!
//! A shard that was moving lets go at once what has waited for it, which is more than a mailbox holds. There is no
//! word when a mailbox has room again, so it is tried every few milliseconds, as long as anybody waits.

use std::collections::{HashMap, VecDeque};

use actor_core::{Actor, ActorContext, StopMode};

use super::inbox::Crowded;
use super::{NO_ROOM, Router, on_its_own};
use crate::sharding::key::EntityKey;
use crate::sharding::parcel::{Handed, Parcel};

/// What waits for the mailboxes of entities.
pub(super) struct Crowds<A> {
    by_key: HashMap<EntityKey, Crowd<A>>,
    waiting: usize,
}

struct Crowd<A> {
    parcels: VecDeque<Box<dyn Parcel<A>>>,
    /// The entity is to be stopped behind them.
    stops: bool,
}

impl<A> Default for Crowds<A> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            waiting: 0,
        }
    }
}

impl<A> Crowds<A> {
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether something waits for that entity: then everything for it goes behind that.
    pub(super) fn has(&self, key: &EntityKey) -> bool {
        self.waiting > 0 && self.by_key.contains_key(key)
    }

    /// Takes out what waits for an entity.
    pub(super) fn take(&mut self, key: &EntityKey) -> VecDeque<Box<dyn Parcel<A>>> {
        let crowd = self.by_key.remove(key);
        let parcels = crowd.map(|crowd| crowd.parcels).unwrap_or_default();
        self.waiting -= parcels.len();
        parcels
    }

    /// The entity is to be stopped when all this is in its mailbox; `false` if nothing waits.
    pub(super) fn stop_behind(&mut self, key: &EntityKey) -> bool {
        let crowd = self.by_key.get_mut(key);
        crowd.map(|crowd| crowd.stops = true).is_some()
    }
}

impl<A: Actor> Router<A> {
    /// Something for an entity whose mailbox is full, behind what waits for it.
    pub(super) fn crowd(
        &mut self,
        key: EntityKey,
        parcel: Box<dyn Parcel<A>>,
        cx: &mut ActorContext<Self>,
    ) {
        if self.crowds.waiting >= self.shared.settings.buffer {
            // Dropped, the asker hears of it.
            self.refused += 1;
            return;
        }
        if self.crowds.waiting == 0 {
            on_its_own(|| cx.set_timer("crowd", NO_ROOM, Crowded));
        }
        self.crowds.waiting += 1;
        let crowd = self.crowds.by_key.entry(key).or_insert_with(|| Crowd {
            parcels: VecDeque::new(),
            stops: false,
        });
        crowd.parcels.push_back(parcel);
    }

    /// As much as there is room for.
    pub(super) fn relieve(&mut self, cx: &mut ActorContext<Self>) {
        let Self {
            crowds,
            entities,
            refused,
            ..
        } = self;
        let waiting = &mut crowds.waiting;
        crowds.by_key.retain(|key, crowd| {
            let Some((entity, _)) = entities.get(key) else {
                // Its end takes out what waits for it.
                return true;
            };
            while let Some(parcel) = crowd.parcels.pop_front() {
                match parcel.deliver(*entity) {
                    Handed::Done => {}
                    // It is ending; what waits is for the next one.
                    Handed::Full(parcel) | Handed::Dead(parcel) => {
                        crowd.parcels.push_front(parcel);
                        return true;
                    }
                    Handed::Refused => *refused += 1,
                }
                *waiting -= 1;
            }
            if crowd.stops {
                entity.stop_with(StopMode::Drain);
            }
            false
        });
        if crowds.waiting > 0 {
            on_its_own(|| cx.set_timer("crowd", NO_ROOM, Crowded));
        }
    }
}

//! The registry: one name, one live holder at a time.
//!
//! A name is held by an *identity*, and an identity ends at one instant: when the owner moves the cell's
//! generation on (header H4). So an entry whose holder's generation has passed is void, at that instant
//! and for everybody, whether or not it has been swept out of the map yet. That is what makes a name free
//! *before* the notices of its holder's end go out (check W06), and what makes the races few: all
//! decisions about a name are made under the lock of its shard, against a generation that only moves on.
//!
//! The owner sweeps its names out when it ends. It learns of them by a signal, which may come too late:
//! then the turn of the dead cell sweeps.
//!
//! Locks are held for a look into a map, and at a spawn under a name until the cell has its identity, so
//! that the loser of a race is told who won. No user code runs under them.

use std::any::TypeId;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::header::CellRef;
use super::signal::{Signal, SignalKind};
use crate::id::ActorId;

/// Enough that threads which register at once seldom meet; a look-up hashes anyway.
const SHARDS: usize = 32;

type Shard = HashMap<Arc<str>, Holder>;

/// The names of one system.
pub(crate) struct Names {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// Who holds a name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder {
    pub(crate) actor: ActorId,
    pub(crate) kind: Kind,
}

/// The type of an actor, for a look-up that must not be fooled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) id: TypeId,
    pub(crate) name: &'static str,
}

impl Kind {
    pub(crate) fn of<A: 'static>() -> Self {
        Self {
            id: TypeId::of::<A>(),
            name: std::any::type_name::<A>(),
        }
    }
}

/// Why a name could not be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotHeld {
    /// Another live actor has it.
    Taken(ActorId),
    /// The actor to be named has stopped.
    Dead,
}

/// A name that nobody holds, kept free for one who is being born.
pub(super) struct Vacant<'a> {
    shard: MutexGuard<'a, Shard>,
    name: Arc<str>,
    kind: Kind,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Keeps a free name for an actor that has no identity yet.
    pub(super) fn vacant(&self, name: &Arc<str>, kind: Kind) -> Result<Vacant<'_>, ActorId> {
        let shard = self.shard(name);
        match shard.get(name).filter(|holder| holder.lives()) {
            Some(holder) => Err(holder.actor),
            None => Ok(Vacant {
                shard,
                name: name.clone(),
                kind,
            }),
        }
    }

    /// Gives a name to an actor; nothing changes if it has it already.
    pub(crate) fn give(
        &'static self,
        name: &Arc<str>,
        actor: ActorId,
        kind: Kind,
    ) -> Result<(), NotHeld> {
        {
            let mut shard = self.shard(name);
            let holder = Holder { actor, kind };
            if !holder.lives() {
                return Err(NotHeld::Dead);
            }
            match shard.entry(name.clone()) {
                Entry::Occupied(entry) if entry.get().actor == actor => return Ok(()),
                Entry::Occupied(entry) if entry.get().lives() => {
                    return Err(NotHeld::Taken(entry.get().actor));
                }
                Entry::Occupied(mut entry) => drop(entry.insert(holder)),
                Entry::Vacant(entry) => drop(entry.insert(holder)),
            }
        }
        self.tell_owner(name.clone(), actor);
        Ok(())
    }

    /// Takes a name away from whoever holds it.
    pub(crate) fn take(&'static self, name: &str) -> Option<Holder> {
        let (name, holder) = self.shard(name).remove_entry(name)?;
        let lived = holder.lives();
        if lived {
            self.tell_owner(name, holder.actor);
        }
        lived.then_some(holder)
    }

    /// The live holder of a name.
    pub(crate) fn find(&self, name: &str) -> Option<Holder> {
        let holder = *self.shard(name).get(name)?;
        holder.lives().then_some(holder)
    }

    /// All names that are held, in alphabetical order.
    pub(crate) fn list(&self) -> Vec<(Arc<str>, Holder)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = lock(shard);
            all.extend(
                shard
                    .iter()
                    .filter(|(_, holder)| holder.lives())
                    .map(|(name, holder)| (name.clone(), *holder)),
            );
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// Sweeps out a name that `actor` held, unless somebody else has it by now.
    pub(super) fn release(&self, name: &str, actor: ActorId) {
        let mut shard = self.shard(name);
        if shard.get(name).is_some_and(|holder| holder.actor == actor) {
            shard.remove(name);
        }
    }

    fn holds(&self, name: &str, actor: ActorId) -> bool {
        self.shard(name)
            .get(name)
            .is_some_and(|holder| holder.actor == actor)
    }

    /// Has the owner of the cell look whether it holds the name: it must sweep it out at its end.
    fn tell_owner(&'static self, name: Arc<str>, actor: ActorId) {
        let cell = CellRef::of(actor);
        // Also if it ended meanwhile: the dead cell's turn sweeps then.
        cell.signal(Signal::to_generation(
            actor.generation(),
            SignalKind::Named { name, names: self },
        ));
    }

    fn shard(&self, name: &str) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.hasher.hash_one(name) as usize % SHARDS])
    }
}

impl Vacant<'_> {
    /// The actor has its identity: the name is its own.
    pub(super) fn hold(mut self, actor: ActorId) {
        let holder = Holder {
            actor,
            kind: self.kind,
        };
        self.shard.insert(self.name.clone(), holder);
    }
}

impl Holder {
    fn lives(&self) -> bool {
        CellRef::of(self.actor).generation() == self.actor.generation()
    }
}

impl CellRef {
    /// A name was given to this actor, or taken away. Two such signals may come in either order, so the
    /// map is asked what holds.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, whose actor lives.
    pub(super) unsafe fn named(self, name: Arc<str>, names: &Names) {
        let holds = names.holds(&name, self.id());
        // SAFETY: H2, by the caller.
        let own = unsafe { &mut self.extra().names };
        own.retain(|each| *each != name);
        if holds {
            own.push(name);
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    // Nothing under the lock panics half-way.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map()
            .entries(
                self.list()
                    .into_iter()
                    .map(|(name, holder)| (name, holder.actor)),
            )
            .finish()
    }
}

//! The kinds of entities that this peer uses, over all its lives.

use std::any::{TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actor_core::{Actor, ActorRef, SystemRef};

use super::allocation::{Host, Limits, plan};
use super::entity::{Entity, InvalidEntity};
use super::entity_ref::EntityRef;
use super::error::{DeclareError, NotDeclared};
use super::key::EntityKey;
use super::kind::{AnyKind, KindStats, Present, Routers};
use super::router::Council;
use crate::consensus::shard_map::{ShardCommand, ShardMap};
use crate::id::Life;

/// What the floors below do for entities.
pub(crate) trait Links: Clone + Send + Sync + 'static {
    /// Makes an actor known to other peers by a name.
    fn publish<A: Actor>(&self, name: &str, actor: ActorRef<A>) -> bool;

    /// The actor that has a name in that life of a peer, and no other; `None`: not now.
    fn find<A: Actor>(
        &self,
        life: &Life,
        name: &str,
    ) -> impl Future<Output = Option<ActorRef<A>>> + Send;
}

/// The kinds of entities that this peer uses. A handle: clones are the same.
///
/// The order of `begin`, `end` and `handle_map` is the caller's matter: they are awaited one after the other.
pub(crate) struct Entities<L> {
    system: SystemRef,
    present: Arc<Mutex<Present<L>>>,
    kinds: Arc<Mutex<Kinds<L>>>,
}

/// By what all peers call them.
type Kinds<L> = BTreeMap<String, Arc<dyn AnyKind<L>>>;

impl<L> Clone for Entities<L> {
    fn clone(&self) -> Self {
        Self {
            system: self.system,
            present: self.present.clone(),
            kinds: self.kinds.clone(),
        }
    }
}

impl<L: Links> Entities<L> {
    /// For the first life.
    pub(crate) fn new(own: Life, system: SystemRef, council: Arc<dyn Council>, links: L) -> Self {
        let present = Present {
            own,
            council,
            links,
        };
        Self {
            system,
            present: Arc::new(Mutex::new(present)),
            kinds: Arc::default(),
        }
    }

    /// Starts a kind here. Messages may be sent at once; they wait until the cluster knows of it.
    pub(crate) fn declare<A: Actor>(&self, entity: Entity<A>) -> Result<(), DeclareError> {
        entity.check().map_err(DeclareError::Invalid)?;
        let kind = entity.kind.to_string();
        let present = lock(&self.present).clone();
        // Held until the routers are there: nobody else declares the same meanwhile.
        let mut kinds = lock(&self.kinds);
        if kinds.contains_key(&kind) {
            let name = kind.get(2..).unwrap_or_default().into();
            return Err(DeclareError::Invalid(InvalidEntity::Declared { name }));
        }
        let routers = Routers::spawn(entity, self.system, &present).map_err(DeclareError::Spawn)?;
        kinds.insert(kind, Arc::new(routers));
        Ok(())
    }

    /// This peer goes on as another life, which has no shards. What waits here waits on.
    pub(crate) async fn begin(&self, own: Life, council: Arc<dyn Council>, links: L) {
        let present = Present {
            own,
            council,
            links,
        };
        lock(&self.present).clone_from(&present);
        for kind in self.all().into_values() {
            kind.begin(&present).await;
        }
    }

    /// The life is over: its entities are told to end. After the last one nothing is taken any more.
    pub(crate) async fn end(&self, is_last: bool) {
        for kind in self.all().into_values() {
            kind.end(is_last).await;
        }
    }

    /// This peer is about to leave: nothing more is taken from its own users, and what entities have here they
    /// finish.
    pub(crate) async fn close(&self) {
        for kind in self.all().into_values() {
            kind.close().await;
        }
    }

    /// Asks of this process that are under way.
    pub(crate) fn asks(&self) -> usize {
        self.all().values().map(|kind| kind.asks()).sum()
    }

    /// The entity with that key of the kind that was declared here by this name.
    pub(crate) fn entity<A: Actor>(
        &self,
        kind: &str,
        key: EntityKey,
    ) -> Result<EntityRef<A>, NotDeclared> {
        self.find(&format!("e:{kind}"), kind, key)
    }

    /// The entity with that key of the one kind that was declared here for this type of actors.
    pub(crate) fn entity_of<A: Actor>(&self, key: EntityKey) -> Result<EntityRef<A>, NotDeclared> {
        let mut found = Vec::new();
        for (name, kind) in &*lock(&self.kinds) {
            if let Some(name) = name.strip_prefix("e:")
                && kind.actor() == TypeId::of::<A>()
            {
                found.push((name.to_owned(), kind.clone()));
            }
        }
        let actor = type_name::<A>();
        match &found[..] {
            [(_, only)] => {
                let routers = only.as_any().downcast_ref::<Routers<A>>();
                let routers = routers.ok_or(NotDeclared::NoKindOf { actor })?;
                Ok(routers.entity(key))
            }
            [] => Err(NotDeclared::NoKindOf { actor }),
            _ => Err(NotDeclared::SeveralKindsOf {
                actor,
                names: found.into_iter().map(|(name, _)| name.into()).collect(),
            }),
        }
    }

    /// The singleton that was declared here by this name.
    pub(crate) fn singleton<A: Actor>(&self, name: &str) -> Result<EntityRef<A>, NotDeclared> {
        self.find(&format!("s:{name}"), name, EntityKey::only())
    }

    fn find<A: Actor>(
        &self,
        kind: &str,
        name: &str,
        key: EntityKey,
    ) -> Result<EntityRef<A>, NotDeclared> {
        let (name, actor) = (name.into(), type_name::<A>());
        let Some(declared) = lock(&self.kinds).get(kind).cloned() else {
            return Err(NotDeclared::Unknown { name });
        };
        match declared.as_any().downcast_ref::<Routers<A>>() {
            Some(routers) => Ok(routers.entity(key)),
            None => Err(NotDeclared::OtherType { name, actor }),
        }
    }

    /// Hands on what all have agreed on. Maps must come in the order of their versions.
    pub(crate) async fn handle_map(&self, version: u64, map: &ShardMap) {
        for (name, declared) in self.all() {
            let kind = map.kind(&name).cloned().map(Arc::new);
            declared.tell_map(version, kind).await;
        }
    }

    /// How each kind is doing here, by what all peers call it.
    pub(crate) async fn stats(&self) -> BTreeMap<String, KindStats> {
        let mut stats = BTreeMap::new();
        for (name, declared) in self.all() {
            stats.insert(name, declared.stats().await);
        }
        stats
    }

    fn all(&self) -> Kinds<L> {
        lock(&self.kinds).clone()
    }
}

/// What should change about all kinds, by whoever plans.
pub(crate) fn plan_all(map: &ShardMap, hosts: &[Host], limits: Limits) -> Vec<ShardCommand> {
    map.kinds()
        .flat_map(|(name, kind)| plan(name, kind, hosts, limits))
        .collect()
}

impl<L> fmt::Debug for Entities<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = lock(&self.present).own.clone();
        let kinds: Vec<_> = lock(&self.kinds).keys().cloned().collect();
        f.debug_struct("Entities")
            .field("own", &own)
            .field("kinds", &kinds)
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! The kinds of entities that this peer uses: their routers, and what comes to all of them.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actor_core::{Actor, ActorRef, Mailbox, OnPanic, SpawnError, SystemRef};

use super::allocation::{Host, Limits, plan};
use super::entity::{Entity, InvalidEntity};
use super::entity_ref::EntityRef;
use super::hash::shard_of;
use super::key::EntityKey;
use super::router::{Council, MapIs, Report, Router, Shared, slices};
use crate::consensus::shard_map::{Kind, ShardCommand, ShardMap};
use crate::id::Life;

/// Messages that may wait in a router: what one peer sends to an eighth of a kind's entities at a time.
const ROUTER_MAILBOX: Mailbox = Mailbox::bounded(8192);

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
#[derive(Clone)]
pub(crate) struct Entities<L> {
    own: Life,
    system: SystemRef,
    council: Arc<dyn Council>,
    links: L,
    kinds: Arc<Mutex<BTreeMap<String, Arc<Declared>>>>,
}

/// The routers of a kind, without its type.
struct Declared {
    actor: TypeId,
    /// An `Arc<Routers<A>>`.
    routers: Box<dyn Any + Send + Sync>,
    tell_map: Box<dyn Fn(u64, Option<Arc<Kind>>) -> Done + Send + Sync>,
    report: Box<dyn Fn() -> Pin<Box<dyn Future<Output = KindStats> + Send>> + Send + Sync>,
}

type Done = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Routers<A: Actor> {
    routers: Vec<(ActorRef<Router<A>>, Arc<AtomicBool>)>,
    shards: u16,
    buffer: usize,
}

/// Why a kind of entity was not declared.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeclareError {
    /// It cannot be.
    Invalid(InvalidEntity),
    /// Its routers cannot be spawned.
    Spawn(SpawnError),
}

impl fmt::Display for DeclareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Spawn(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DeclareError {}

/// What one peer knows of a kind of entity. `offered` is the sum of what follows it, but for `refused`, which
/// holds besides what was delivered or forwarded and not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindStats {
    /// Messages for entities that came to this peer's routers.
    pub offered: u64,
    /// Given to entities here.
    pub delivered: u64,
    /// Sent to other peers.
    pub forwarded: u64,
    /// Waiting for owners of shards, or behind entities that are being passivated.
    pub waiting: u64,
    /// Refused: too many waited, or one too long, or there was no room.
    pub refused: u64,
    /// Shards that moved away before everybody had said that nothing more comes.
    pub barriers_cut_short: u64,
    /// Shards that this peer owns.
    pub shards: usize,
    /// Entities that live here.
    pub entities: usize,
    /// The other peers have declared this one down.
    pub is_gone: bool,
    /// The cluster has the kind with another number of shards: nothing is delivered.
    pub has_other_shards: bool,
}

impl<L: Links> Entities<L> {
    pub(crate) fn new(own: Life, system: SystemRef, council: Arc<dyn Council>, links: L) -> Self {
        Self {
            own,
            system,
            council,
            links,
            kinds: Arc::default(),
        }
    }

    /// Starts a kind here. Messages may be sent at once; they wait until the cluster knows of it.
    pub(crate) fn declare<A: Actor>(&self, entity: Entity<A>) -> Result<(), DeclareError> {
        entity.check().map_err(DeclareError::Invalid)?;
        let kind = entity.kind.to_string();
        // Held until the routers are there: nobody else declares the same meanwhile.
        let mut kinds = lock(&self.kinds);
        if kinds.contains_key(&kind) {
            let name = kind.get(2..).unwrap_or_default().into();
            return Err(DeclareError::Invalid(InvalidEntity::Declared { name }));
        }
        let links = self.links.clone();
        let shared = Arc::new(Shared {
            own: self.own.clone(),
            kind: entity.kind,
            system: self.system,
            create: entity.create,
            mailbox: entity.mailbox,
            council: self.council.clone(),
            find: Arc::new(move |life, name| {
                let links = links.clone();
                Box::pin(async move { links.find(&life, &name).await })
            }),
            settings: entity.settings,
        });
        let mut routers = Vec::new();
        for slice in 0..slices(shared.settings.shards) {
            let is_full = Arc::new(AtomicBool::new(false));
            let name = Router::<A>::name(&kind, slice);
            let router = self
                .system
                .actor(Router::new(shared.clone(), slice, is_full.clone()))
                .name(&name)
                .mailbox(ROUTER_MAILBOX)
                // A message that panics when it is dropped is not the end of all entities.
                .on_panic(OnPanic::Resume)
                .spawn()
                .map_err(DeclareError::Spawn)?;
            self.links.publish(&name, router);
            routers.push((router, is_full));
        }
        let all: Vec<_> = routers.iter().map(|(router, _)| *router).collect();
        let told = all.clone();
        let routers = Arc::new(Routers {
            routers,
            shards: shared.settings.shards,
            buffer: shared.settings.buffer,
        });
        let declared = Declared {
            actor: TypeId::of::<A>(),
            routers: Box::new(routers),
            tell_map: Box::new(move |version, kind| {
                let routers = told.clone();
                Box::pin(async move {
                    for router in routers {
                        let kind = kind.clone();
                        // Dead: the system shuts down.
                        _ = router.send(MapIs { version, kind }).await;
                    }
                })
            }),
            report: Box::new(move || {
                let routers = all.clone();
                Box::pin(async move {
                    let mut stats = KindStats::default();
                    for router in routers {
                        if let Ok(report) = router.ask(Report).await {
                            stats.add(&report);
                        }
                    }
                    stats
                })
            }),
        };
        kinds.insert(kind, Arc::new(declared));
        Ok(())
    }

    /// The entity with that key of the kind that was declared here by this name.
    pub(crate) fn entity<A: Actor>(
        &self,
        kind: &str,
        key: EntityKey,
    ) -> Result<EntityRef<A>, NotDeclared> {
        self.find(&format!("e:{kind}"), kind, key)
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
        let declared = lock(&self.kinds).get(kind).cloned();
        let routers = declared
            .as_ref()
            .filter(|declared| declared.actor == TypeId::of::<A>())
            .and_then(|declared| declared.routers.downcast_ref::<Arc<Routers<A>>>());
        let Some(routers) = routers else {
            return Err(NotDeclared {
                name: name.into(),
                actor: std::any::type_name::<A>(),
                has_other_type: declared.is_some(),
            });
        };
        let slices = routers.routers.len().max(1);
        let slice = usize::from(shard_of(key.as_str(), routers.shards)) % slices;
        let (router, is_full) = &routers.routers[slice];
        Ok(EntityRef::new(
            key,
            *router,
            is_full.clone(),
            routers.buffer,
        ))
    }

    /// Hands on what all have agreed on. Maps must come in the order of their versions.
    pub(crate) async fn handle_map(&self, version: u64, map: &ShardMap) {
        let all: Vec<_> = {
            let kinds = lock(&self.kinds);
            kinds
                .iter()
                .map(|(name, declared)| (map.kind(name).cloned().map(Arc::new), declared.clone()))
                .collect()
        };
        for (kind, declared) in all {
            (declared.tell_map)(version, kind).await;
        }
    }

    /// How each kind is doing here, by name.
    pub(crate) async fn stats(&self) -> BTreeMap<String, KindStats> {
        let all: Vec<_> = {
            let kinds = lock(&self.kinds);
            let kinds = kinds.iter();
            kinds
                .map(|(name, declared)| (name.clone(), declared.clone()))
                .collect()
        };
        let mut stats = BTreeMap::new();
        for (name, declared) in all {
            stats.insert(name, (declared.report)().await);
        }
        stats
    }
}

/// What should change about all kinds, by whoever plans.
pub(crate) fn plan_all(map: &ShardMap, hosts: &[Host], limits: Limits) -> Vec<ShardCommand> {
    map.kinds()
        .flat_map(|(name, kind)| plan(name, kind, hosts, limits))
        .collect()
}

impl KindStats {
    fn add(&mut self, report: &super::router::Reported) {
        let counts = &report.counts;
        self.offered += counts.offered;
        self.delivered += counts.delivered;
        self.forwarded += counts.forwarded;
        self.waiting += counts.waiting;
        self.refused += counts.refused.values().sum::<u64>() + report.refused;
        self.barriers_cut_short += counts.barriers_cut_short;
        self.shards += report.shards;
        self.entities += report.entities;
        self.is_gone |= report.is_gone;
        self.has_other_shards |= report.has_other_shards;
    }
}

impl<L> fmt::Debug for Entities<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = lock(&self.kinds);
        f.debug_struct("Entities")
            .field("own", &self.own)
            .field("kinds", &kinds.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A kind of entity that this peer has not declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDeclared {
    name: Box<str>,
    actor: &'static str,
    has_other_type: bool,
}

impl fmt::Display for NotDeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, actor, .. } = self;
        if self.has_other_type {
            write!(
                f,
                "{name:?} is declared on this peer for another type of actor than {actor}"
            )
        } else {
            write!(
                f,
                "{name:?} is not declared on this peer; declare it, with hosts(false) if it is only to be sent to"
            )
        }
    }
}

impl std::error::Error for NotDeclared {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A kind of entity as this peer has it: its routers, what is told to all of them, and how it is doing.

use std::any::{Any, TypeId, type_name};
use std::pin::Pin;
use std::sync::Arc;

use actor_core::{Actor, ActorRef, Handler, Mailbox, Message, OnPanic, SpawnError, SystemRef};

use super::door::Door;
use super::entities::Links;
use super::entity::Entity;
use super::entity_ref::EntityRef;
use super::hash::shard_of;
use super::key::EntityKey;
use super::router::{
    Begin, Closing, Council, MapIs, Over, Part, Report, Reported, Router, Shared, slices,
};
use crate::consensus::shard_map::Kind;
use crate::id::Life;

/// Messages that may wait in a router: what one peer sends to an eighth of a kind's entities at a time.
const ROUTER_MAILBOX: Mailbox = Mailbox::bounded(8192);

/// What is going on when it is awaited.
pub(super) type Doing<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A kind without the type of its actors.
pub(super) trait AnyKind<L>: Send + Sync {
    fn actor(&self) -> TypeId;
    fn as_any(&self) -> &(dyn Any + Send + Sync);
    /// Another life of this peer begins.
    fn begin(&self, present: &Present<L>) -> Doing<()>;
    /// This one is over.
    fn end(&self, is_last: bool) -> Doing<()>;
    /// This peer is about to leave.
    fn close(&self) -> Doing<()>;
    fn tell_map(&self, version: u64, kind: Option<Arc<Kind>>) -> Doing<()>;
    fn stats(&self) -> Doing<KindStats>;
    /// Asks of this process that are under way.
    fn asks(&self) -> usize;
}

/// The present life of this peer, and what the floors below do for it.
#[derive(Clone)]
pub(super) struct Present<L> {
    pub(super) own: Life,
    pub(super) council: Arc<dyn Council>,
    pub(super) links: L,
}

impl<L: Links> Present<L> {
    fn part<A: Actor>(&self) -> Arc<Part<A>> {
        let links = self.links.clone();
        Arc::new(Part {
            own: self.own.clone(),
            council: self.council.clone(),
            find: Arc::new(move |life, name| {
                let links = links.clone();
                Box::pin(async move { links.find(&life, &name).await })
            }),
        })
    }
}

/// The routers of a kind.
pub(super) struct Routers<A: Actor> {
    kind: Box<str>,
    all: Vec<(ActorRef<Router<A>>, Arc<Door>)>,
    shards: u16,
    buffer: usize,
}

impl<A: Actor> Routers<A> {
    pub(super) fn spawn<L: Links>(
        entity: Entity<A>,
        system: SystemRef,
        present: &Present<L>,
    ) -> Result<Self, SpawnError> {
        let part = present.part();
        let shared = Arc::new(Shared {
            kind: entity.kind,
            system,
            create: entity.create,
            mailbox: entity.mailbox,
            settings: entity.settings,
        });
        let mut routers = Self {
            kind: shared.kind.clone(),
            all: Vec::new(),
            shards: shared.settings.shards,
            buffer: shared.settings.buffer,
        };
        for slice in 0..slices(routers.shards) {
            let door = Arc::new(Door::default());
            let name = Router::<A>::name(&routers.kind, slice);
            let router = Router::new(shared.clone(), part.clone(), slice, door.clone());
            let router = system
                .actor(router)
                .name(&name)
                .mailbox(ROUTER_MAILBOX)
                // A message that panics when it is dropped is not the end of all entities.
                .on_panic(OnPanic::Resume)
                .spawn()?;
            present.links.publish(&name, router);
            routers.all.push((router, door));
        }
        Ok(routers)
    }

    pub(super) fn entity(&self, key: EntityKey) -> EntityRef<A> {
        let slice = usize::from(shard_of(key.as_str(), self.shards)) % self.all.len().max(1);
        let (router, door) = &self.all[slice];
        EntityRef::new(key, *router, door.clone(), self.buffer)
    }

    fn tell<M>(&self, message: M) -> Doing<()>
    where
        Router<A>: Handler<M>,
        M: Message + Clone,
    {
        let routers: Vec<_> = self.all.iter().map(|(router, _)| *router).collect();
        Box::pin(async move {
            for router in routers {
                // Dead: the system shuts down.
                _ = router.send(message.clone()).await;
            }
        })
    }
}

impl<A: Actor, L: Links> AnyKind<L> for Routers<A> {
    fn actor(&self) -> TypeId {
        TypeId::of::<A>()
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn begin(&self, present: &Present<L>) -> Doing<()> {
        for (slice, (router, _)) in (0..).zip(&self.all) {
            let name = Router::<A>::name(&self.kind, slice);
            present.links.publish(&name, *router);
        }
        self.tell(Begin(present.part()))
    }

    fn end(&self, is_last: bool) -> Doing<()> {
        self.tell(Over { is_last })
    }

    fn close(&self) -> Doing<()> {
        self.all.iter().for_each(|(_, door)| door.shut());
        self.tell(Closing)
    }

    fn tell_map(&self, version: u64, kind: Option<Arc<Kind>>) -> Doing<()> {
        self.tell(MapIs { version, kind })
    }

    fn stats(&self) -> Doing<KindStats> {
        let routers: Vec<_> = self.all.iter().map(|(router, _)| *router).collect();
        let (is_singleton, name) = kind_name(&self.kind);
        let name = name.into();
        Box::pin(async move {
            let mut stats = KindStats {
                name,
                is_singleton,
                ..KindStats::default()
            };
            for router in routers {
                // Dead: the system shuts down.
                if let Ok(report) = router.ask(Report).await {
                    stats.add(&report);
                }
            }
            stats
        })
    }

    fn asks(&self) -> usize {
        self.all.iter().map(|(_, door)| door.asks()).sum()
    }
}

impl<A: Actor> std::fmt::Debug for Routers<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Routers")
            .field("kind", &self.kind)
            .field("actor", &format_args!("{}", type_name::<A>()))
            .finish_non_exhaustive()
    }
}

/// What one peer knows of a kind of entity. `offered` is the sum of `delivered`, `forwarded`, `waiting` and what
/// was refused before it was either; `refused` holds besides what was given to an entity or a peer and not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindStats {
    /// What the kind is called, or the singleton.
    pub name: Box<str>,
    /// Whether it is a singleton.
    pub is_singleton: bool,
    /// Messages for entities that came to this peer's routers.
    pub offered: u64,
    /// Given to entities here.
    pub delivered: u64,
    /// Sent to other peers.
    pub forwarded: u64,
    /// Waiting for owners of shards, behind entities that are being passivated, or for room in a mailbox.
    pub waiting: u64,
    /// Refused: too many waited, or one too long, or there was no room.
    pub refused: u64,
    /// Shards that moved away before everybody had said that nothing more comes.
    pub barriers_cut_short: u64,
    /// Shards that this peer owns.
    pub shards: usize,
    /// Entities that live here.
    pub entities: usize,
    /// The other peers have declared this life of the peer down; its entities end.
    pub is_gone: bool,
    /// The cluster has the kind with another number of shards: nothing is delivered.
    pub has_other_shards: bool,
}

/// What all peers call a kind or a singleton: whether it is a singleton, and the name that users gave it.
pub(crate) fn kind_name(kind: &str) -> (bool, &str) {
    match kind.split_at_checked(2) {
        Some((prefix, name)) => (prefix == "s:", name),
        None => (false, kind),
    }
}

impl KindStats {
    fn add(&mut self, report: &Reported) {
        let counts = &report.counts;
        self.offered += counts.offered;
        self.delivered += counts.delivered - report.crowded;
        self.forwarded += counts.forwarded;
        self.waiting += counts.waiting + report.crowded;
        self.refused += counts.refused.values().sum::<u64>() + report.refused;
        self.barriers_cut_short += counts.barriers_cut_short;
        self.shards += report.shards;
        self.entities += report.entities;
        self.is_gone |= report.is_gone;
        self.has_other_shards |= report.has_other_shards;
    }
}

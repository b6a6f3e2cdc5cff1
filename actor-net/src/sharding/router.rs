//! The actor that runs a region: one of eight for a kind on each peer, each with its slice of the shards.
//!
//! All messages for entities go through the router of their sender's peer, and those for entities elsewhere through
//! the router there, too: it alone decides, one message after the other, and what it passes on keeps its order.
//! To an entity on the same peer a message is handed as it is; only what leaves the peer is written down.
//!
//! ```text
//!   EntityRef --> router (here) --> entity
//!                       |
//!                       +---> proxy ~~~ lane ~~~> router (there) --> entity
//! ```
//!
//! The answer to an ask goes the way back by itself: the right to answer is handed on with the message.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actor_core::{
    Actor, ActorContext, ActorId, ActorRef, Context, DeferredHandler, Handler, Mailbox, Message,
    Reply, StopMode, SyncHandler, SystemRef, Terminated,
};

use super::entity::{Create, EntityContext};
use super::handoff::Packet;
use super::hash::shard_of;
use super::key::EntityKey;
use super::keyed::Keyed;
use super::parcel::{Handed, Letter, Parcel};
use super::region::messages::Way;
use super::region::{Counts, Origin, Output, Region, Settings};
use crate::consensus::shard_map::{Kind, ShardCommand};
use crate::id::Life;

/// Routers of a kind on each peer. All peers must have the same number: a router speaks to the one with its
/// own slice.
pub(crate) const SLICES: u16 = 8;

/// Routers of a kind with so many shards.
pub(crate) fn slices(shards: u16) -> u16 {
    SLICES.min(shards).max(1)
}

/// How soon it is tried again where a proxy had no room.
const NO_ROOM: Duration = Duration::from_millis(2);

/// Takes what all should agree on to those who decide. It may get lost.
pub(crate) trait Council: Send + Sync + 'static {
    fn propose(&self, command: ShardCommand);
}

/// Finds the router with that name in that life of a peer; `None`: not now.
pub(super) type Find<A> = Arc<
    dyn Fn(Life, String) -> Pin<Box<dyn Future<Output = Option<ActorRef<Router<A>>>> + Send>>
        + Send
        + Sync,
>;

/// What the routers of a kind have in common.
pub(super) struct Shared<A: Actor> {
    pub(super) own: Life,
    pub(super) kind: Box<str>,
    pub(super) system: SystemRef,
    pub(super) create: Create<A>,
    pub(super) mailbox: Option<Mailbox>,
    pub(super) settings: Settings,
    pub(super) council: Arc<dyn Council>,
    pub(super) find: Find<A>,
}

/// Runs a region. Its messages are its own; users have [`EntityRef`](super::EntityRef).
pub struct Router<A: Actor> {
    shared: Arc<Shared<A>>,
    slice: u16,
    region: Region<Box<dyn Parcel<A>>>,
    entities: HashMap<EntityKey, (ActorRef<A>, u64)>,
    keys: HashMap<ActorId, EntityKey>,
    ways: BTreeMap<Life, Line<A>>,
    lives: HashMap<ActorId, Life>,
    looking: BTreeSet<Life>,
    /// When the next tick comes.
    armed: Option<Instant>,
    /// Set while more wait than may: `EntityRef` refuses then.
    is_full: Arc<AtomicBool>,
    refused: u64,
}

/// The way to another router, and what waits for room on it.
struct Line<A: Actor> {
    router: ActorRef<Router<A>>,
    waiting: VecDeque<Outgoing<A>>,
}

enum Outgoing<A: Actor> {
    Parcel(EntityKey, Origin, Box<dyn Parcel<A>>),
    Packet(Packet),
}

impl<A: Actor> Actor for Router<A> {
    async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), actor_core::ActorError> {
        self.pump(cx);
        Ok(())
    }

    async fn terminated(&mut self, who: Terminated, cx: &mut ActorContext<Self>) {
        let now = Instant::now();
        if let Some(key) = self.keys.remove(&who.actor) {
            if let Some((_, epoch)) = self.entities.remove(&key) {
                self.region.handle_ended(&key, epoch, now);
            }
        } else if let Some(life) = self.lives.remove(&who.actor) {
            self.region.handle_way(&life, false, now);
            if let Some(line) = self.ways.remove(&life) {
                // The life is over, so is what was on its way to it.
                self.refused += line.waiting.len() as u64;
            }
            self.look_for_ways(cx);
        }
        self.pump(cx);
    }
}

impl<A: Actor> Router<A> {
    pub(super) fn new(shared: Arc<Shared<A>>, slice: u16, is_full: Arc<AtomicBool>) -> Self {
        let settings = Settings {
            slice,
            slices: slices(shared.settings.shards),
            ..shared.settings.clone()
        };
        Self {
            region: Region::new(shared.own.clone(), &shared.kind, settings, Instant::now()),
            shared,
            slice,
            entities: HashMap::new(),
            keys: HashMap::new(),
            ways: BTreeMap::new(),
            lives: HashMap::new(),
            looking: BTreeSet::new(),
            armed: None,
            is_full,
            refused: 0,
        }
    }

    /// What the router of a slice is published as.
    pub(super) fn name(kind: &str, slice: u16) -> String {
        format!("router {slice} of {kind}")
    }

    /// Does all that is to be done.
    fn pump(&mut self, cx: &mut ActorContext<Self>) {
        let now = Instant::now();
        while let Some(output) = self.region.poll_output() {
            match output {
                Output::Activate { key, epoch } => self.activate(key, epoch, now, cx),
                Output::Deliver { key, item } => match self.entities.get(&key) {
                    Some((entity, _)) => match item.deliver(*entity) {
                        Handed::Done => {}
                        Handed::Back(item) => {
                            self.region.handle_ending(&key);
                            self.region.offer(key, item, Origin::Here, now);
                        }
                        Handed::Refused => self.refused += 1,
                    },
                    // It could not be made.
                    None => self.refused += 1,
                },
                Output::Stop { key, epoch } => self.stop(&key, epoch, StopMode::Drain),
                Output::Kill { key, epoch } => self.stop(&key, epoch, StopMode::Kill),
                Output::Forward {
                    to,
                    key,
                    origin,
                    item,
                } => self.push(&to, Outgoing::Parcel(key, origin, item), cx),
                // Counted by the region; the asker hears of it.
                Output::Refuse { item, .. } => drop(item),
                Output::Send { to, packet } => self.push(&to, Outgoing::Packet(packet), cx),
                Output::Propose(command) => self.shared.council.propose(command),
            }
        }
        self.is_full.store(self.region.is_full(), Ordering::Relaxed);
        if let Some(at) = self.region.poll_timeout()
            && self.armed.is_none_or(|armed| at < armed || armed <= now)
        {
            self.armed = Some(at);
            cx.set_timer("tick", at.saturating_duration_since(now), Tick);
        }
    }

    fn activate(&mut self, key: EntityKey, epoch: u64, now: Instant, cx: &mut ActorContext<Self>) {
        let shared = &self.shared;
        let context = EntityContext {
            shard: shard_of(key.as_str(), shared.settings.shards),
            key: key.clone(),
            epoch,
            router: cx.actor_ref().recipient(),
        };
        let create = shared.create.clone();
        let kind = shared.kind.get(2..).unwrap_or_default();
        // At the top, whose supervisor never gives up: an entity that fails too often is stopped alone, and
        // made anew by the next message.
        let mut entity = shared
            .system
            .actor(move || create(&context))
            .name(format!("{kind}/{key}"));
        if let Some(mailbox) = shared.mailbox {
            entity = entity.mailbox(mailbox);
        }
        match entity.spawn() {
            Ok(entity) => {
                cx.watch(entity);
                self.keys.insert(entity.id(), key.clone());
                self.entities.insert(key, (entity, epoch));
            }
            Err(error) => {
                tracing::error!(%key, kind, %error, "an entity cannot be made");
                self.region.handle_ended(&key, epoch, now);
            }
        }
    }

    fn stop(&self, key: &EntityKey, epoch: u64, mode: StopMode) {
        if let Some((entity, made)) = self.entities.get(key)
            && *made == epoch
        {
            entity.stop_with(mode);
        }
    }

    /// Something for another router, behind what waits for it.
    fn push(&mut self, to: &Life, what: Outgoing<A>, cx: &mut ActorContext<Self>) {
        let room = self.shared.settings.buffer;
        let Some(line) = self.ways.get_mut(to) else {
            // A packet is said again; and no parcel goes where there is no way.
            self.refused += u64::from(matches!(what, Outgoing::Parcel(..)));
            return;
        };
        let is_first = line.waiting.is_empty();
        if line.waiting.len() >= room {
            self.refused += u64::from(matches!(what, Outgoing::Parcel(..)));
            return;
        }
        line.waiting.push_back(what);
        if is_first {
            self.refused += line.flush(&self.shared.own);
            if !line.waiting.is_empty() {
                cx.send_after(NO_ROOM, Room(to.clone()));
            }
        }
    }

    /// There should be a way to everybody who uses the kind.
    fn look_for_ways(&mut self, cx: &mut ActorContext<Self>) {
        let wanted: Vec<_> = self
            .region
            .users()
            .filter(|life| !self.ways.contains_key(*life) && !self.looking.contains(*life))
            .cloned()
            .collect();
        for life in wanted {
            let name = Self::name(&self.shared.kind, self.slice);
            let looking = (self.shared.find)(life.clone(), name);
            let found = life.clone();
            let map = move |router| WayFound {
                life: found,
                router,
            };
            match cx.pipe_to_self(looking, map) {
                Ok(_) => _ = self.looking.insert(life),
                // As many tasks as an actor may have; the next map comes by here again.
                Err(error) => tracing::warn!(%life, %error, "cannot look for a router"),
            }
        }
    }
}

impl<A: Actor> Line<A> {
    /// As much as there is room for; how many parcels were refused.
    fn flush(&mut self, own: &Life) -> u64 {
        let mut refused = 0;
        while let Some(next) = self.waiting.pop_front() {
            let left = match next {
                Outgoing::Parcel(key, origin, parcel) => {
                    match parcel.forward(self.router, &key, origin) {
                        Handed::Done => None,
                        Handed::Back(parcel) => Some(Outgoing::Parcel(key, origin, parcel)),
                        Handed::Refused => {
                            refused += 1;
                            None
                        }
                    }
                }
                Outgoing::Packet(packet) => {
                    let from = own.clone();
                    match self.router.tell(Between { from, packet }) {
                        Err(error) if error.is_full() => {
                            Some(Outgoing::Packet(error.into_message().packet))
                        }
                        // It is said again.
                        _ => None,
                    }
                }
            };
            if let Some(left) = left {
                self.waiting.push_front(left);
                break;
            }
        }
        refused
    }
}

impl<A: Handler<M>, M: Message> DeferredHandler<Keyed<M>> for Router<A> {
    fn handle(&mut self, keyed: Keyed<M>, reply: Reply<M::Reply>, cx: &mut ActorContext<Self>) {
        let now = Instant::now();
        let Keyed {
            key,
            origin,
            message,
        } = keyed;
        // The short way: nothing is boxed.
        if let Some(way) = self.region.route(&key, origin, now) {
            match way {
                Way::Here => {
                    let Some((entity, _)) = self.entities.get(&key) else {
                        // Not to be: the region says that it runs. Dropped, the asker hears of it.
                        self.refused += 1;
                        return;
                    };
                    let Err(refused) = reply.forward(*entity, message) else {
                        return;
                    };
                    if !refused.error().is_dead() || self.shared.system.is_shutting_down() {
                        self.refused += 1;
                        return;
                    }
                    // It is ending by itself. When it has ended it is made again, for this.
                    let (error, reply) = refused.into_parts();
                    let parcel = Box::new(Letter {
                        message: error.into_message(),
                        reply,
                        context: Context::current(),
                    });
                    self.region.handle_ending(&key);
                    self.region.offer(key, parcel, origin, now);
                    self.pump(cx);
                }
                Way::There { to, origin } => {
                    let to = to.clone();
                    if let Some(line) = self.ways.get(&to)
                        && line.waiting.is_empty()
                    {
                        let router = line.router;
                        let keyed = Keyed {
                            key: key.clone(),
                            origin,
                            message,
                        };
                        let Err(refused) = reply.forward(router, keyed) else {
                            return;
                        };
                        let (error, reply) = refused.into_parts();
                        let is_full = error.is_full();
                        let parcel = Box::new(Letter {
                            message: error.into_message().message,
                            reply,
                            context: Context::current(),
                        });
                        if is_full {
                            self.push(&to, Outgoing::Parcel(key, origin, parcel), cx);
                        } else {
                            // Dropped, the asker hears of it.
                            self.refused += 1;
                        }
                        return;
                    }
                    let parcel = Box::new(Letter {
                        message,
                        reply,
                        context: Context::current(),
                    });
                    self.push(&to, Outgoing::Parcel(key, origin, parcel), cx);
                }
            }
            return;
        }
        let parcel = Box::new(Letter {
            message,
            reply,
            context: Context::current(),
        });
        self.region.offer(key, parcel, origin, now);
        self.pump(cx);
    }
}

/// What the region of another peer says.
pub(super) struct Between {
    pub(super) from: Life,
    pub(super) packet: Packet,
}

/// The map as of a version.
pub(super) struct MapIs {
    pub(super) version: u64,
    pub(super) kind: Option<Arc<Kind>>,
}

/// A router was looked for.
struct WayFound<A: Actor> {
    life: Life,
    router: Option<ActorRef<Router<A>>>,
}

/// An entity has nothing more to do.
pub(super) struct Passivate {
    pub(super) key: EntityKey,
    pub(super) epoch: u64,
}

/// Time has passed.
struct Tick;

/// There may be room again on the way to another.
struct Room(Life);

/// It is time to look for those that were not found.
struct Look;

/// How is it going?
pub(super) struct Report;

/// How it is going.
#[derive(Clone, Debug, Default)]
pub(super) struct Reported {
    pub(super) counts: Counts,
    /// Beyond those that the region has refused: for want of room in a mailbox, or because it was too late.
    pub(super) refused: u64,
    pub(super) shards: usize,
    pub(super) entities: usize,
    pub(super) is_gone: bool,
    pub(super) has_other_shards: bool,
}

macro_rules! told {
    ($($message:ty),*) => {$(
        impl Message for $message {
            type Reply = ();
        }
    )*};
}

told!(Between, MapIs, Passivate, Tick, Room, Look);

impl<A: Actor> Message for WayFound<A> {
    type Reply = ();
}

impl Message for Report {
    type Reply = Reported;
}

impl<A: Actor> SyncHandler<Between> for Router<A> {
    fn handle(&mut self, Between { from, packet }: Between, cx: &mut ActorContext<Self>) {
        self.region.handle_packet(&from, packet, Instant::now());
        self.pump(cx);
    }
}

impl<A: Actor> SyncHandler<MapIs> for Router<A> {
    fn handle(&mut self, map: MapIs, cx: &mut ActorContext<Self>) {
        let kind = map.kind.as_deref();
        self.region.handle_map(map.version, kind, Instant::now());
        self.pump(cx);
        self.look_for_ways(cx);
    }
}

impl<A: Actor> SyncHandler<WayFound<A>> for Router<A> {
    fn handle(&mut self, WayFound { life, router }: WayFound<A>, cx: &mut ActorContext<Self>) {
        self.looking.remove(&life);
        match router {
            Some(router) => {
                cx.watch(router);
                self.lives.insert(router.id(), life.clone());
                let waiting = VecDeque::new();
                self.ways.insert(life.clone(), Line { router, waiting });
                self.region.handle_way(&life, true, Instant::now());
                self.pump(cx);
            }
            None => _ = cx.set_timer("look", self.shared.settings.retry, Look),
        }
    }
}

impl<A: Actor> SyncHandler<Look> for Router<A> {
    fn handle(&mut self, _: Look, cx: &mut ActorContext<Self>) {
        self.look_for_ways(cx);
    }
}

impl<A: Actor> SyncHandler<Passivate> for Router<A> {
    fn handle(&mut self, Passivate { key, epoch }: Passivate, cx: &mut ActorContext<Self>) {
        if self
            .entities
            .get(&key)
            .is_some_and(|(_, made)| *made == epoch)
        {
            self.region.passivate(&key);
            self.pump(cx);
        }
    }
}

impl<A: Actor> SyncHandler<Tick> for Router<A> {
    fn handle(&mut self, _: Tick, cx: &mut ActorContext<Self>) {
        self.armed = None;
        self.region.handle_timeout(Instant::now());
        self.pump(cx);
    }
}

impl<A: Actor> SyncHandler<Room> for Router<A> {
    fn handle(&mut self, Room(life): Room, cx: &mut ActorContext<Self>) {
        if let Some(line) = self.ways.get_mut(&life) {
            self.refused += line.flush(&self.shared.own);
            if !line.waiting.is_empty() {
                cx.send_after(NO_ROOM, Room(life));
            }
        }
    }
}

impl<A: Actor> SyncHandler<Report> for Router<A> {
    fn handle(&mut self, _: Report, _cx: &mut ActorContext<Self>) -> Reported {
        Reported {
            counts: self.region.counts().clone(),
            refused: self.refused,
            shards: self.region.owned(),
            entities: self.region.actors(),
            is_gone: self.region.is_gone(),
            has_other_shards: self.region.has_other_shards(),
        }
    }
}

impl<A: Actor> std::fmt::Debug for Router<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router")
            .field("kind", &self.shared.kind)
            .field("slice", &self.slice)
            .finish_non_exhaustive()
    }
}

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
//!
//! A router lives as long as the process, over all lives of the peer; what it is told is in `inbox`.

mod crowd;
mod inbox;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actor_core::{
    Actor, ActorContext, ActorId, ActorRef, Context, Mailbox, StopMode, SystemRef, Terminated,
};

use self::crowd::Crowds;
pub(super) use self::inbox::{Begin, Between, Closing, MapIs, Over, Passivate, Report, Reported};
use self::inbox::{Room, Tick, WayFound};

use super::door::Door;
use super::entity::{Create, EntityContext};
use super::handoff::Packet;
use super::hash::shard_of;
use super::key::EntityKey;
use super::parcel::{Handed, Parcel};
use super::region::{Origin, Output, Region, Settings};
use crate::consensus::shard_map::ShardCommand;
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

/// Sets a timer of the router's. It is for all that waits, so it is no part of what the message that is handled belongs
/// to; and it sets the next, so a trace would have no end.
fn on_its_own<T>(set: impl FnOnce() -> T) {
    Context::empty().run(set);
}

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

/// What the routers of a kind have in common for one life of this peer.
pub(super) struct Part<A: Actor> {
    pub(super) own: Life,
    pub(super) council: Arc<dyn Council>,
    pub(super) find: Find<A>,
}

/// What the routers of a kind have in common.
pub(super) struct Shared<A: Actor> {
    pub(super) kind: Box<str>,
    pub(super) system: SystemRef,
    pub(super) create: Create<A>,
    pub(super) mailbox: Option<Mailbox>,
    pub(super) settings: Settings,
}

/// Runs a region. Its messages are its own; users have [`EntityRef`](super::EntityRef).
pub(super) struct Router<A: Actor> {
    shared: Arc<Shared<A>>,
    part: Arc<Part<A>>,
    /// The next life, and the map that it is told: when the last entity of this one has ended.
    next: Option<(Arc<Part<A>>, Option<MapIs>)>,
    slice: u16,
    region: Region<Box<dyn Parcel<A>>>,
    entities: HashMap<EntityKey, (ActorRef<A>, u64)>,
    keys: HashMap<ActorId, EntityKey>,
    ways: BTreeMap<Life, Line<A>>,
    lives: HashMap<ActorId, Life>,
    crowds: Crowds<A>,
    looking: BTreeSet<Life>,
    /// When the next tick comes.
    armed: Option<Instant>,
    door: Arc<Door>,
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
                // By itself: what waits for it is for the next one.
                for parcel in self.crowds.take(&key) {
                    self.region.handle_ending(&key);
                    self.region.offer(key.clone(), parcel, Origin::Here, now);
                }
                self.region.handle_ended(&key, epoch, now);
            }
            self.begin_next(now, cx);
        } else if let Some(life) = self.lives.remove(&who.actor)
            && let Some(line) = self.ways.get(&life)
            && line.router.id() == who.actor
        {
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
    pub(super) fn new(
        shared: Arc<Shared<A>>,
        part: Arc<Part<A>>,
        slice: u16,
        door: Arc<Door>,
    ) -> Self {
        let settings = Settings {
            slice,
            slices: slices(shared.settings.shards),
            ..shared.settings.clone()
        };
        Self {
            region: Region::new(part.own.clone(), &shared.kind, settings, Instant::now()),
            shared,
            part,
            next: None,
            slice,
            entities: HashMap::new(),
            keys: HashMap::new(),
            ways: BTreeMap::new(),
            lives: HashMap::new(),
            crowds: Crowds::default(),
            looking: BTreeSet::new(),
            armed: None,
            door,
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
                    Some(_) if self.crowds.has(&key) => self.crowd(key, item, cx),
                    Some((entity, _)) => match item.deliver(*entity) {
                        Handed::Done => {}
                        Handed::Full(item) => self.crowd(key, item, cx),
                        Handed::Dead(item) => {
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
                Output::Propose(command) => self.part.council.propose(command),
            }
        }
        self.door.set_full(self.region.is_full());
        if let Some(at) = self.region.poll_timeout()
            && self.armed.is_none_or(|armed| at < armed || armed <= now)
        {
            self.armed = Some(at);
            let wait = at.saturating_duration_since(now);
            on_its_own(|| cx.set_timer("tick", wait, Tick));
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

    fn stop(&mut self, key: &EntityKey, epoch: u64, mode: StopMode) {
        if let Some((entity, made)) = self.entities.get(key)
            && *made == epoch
        {
            match mode {
                StopMode::Drain if self.crowds.stop_behind(key) => return,
                StopMode::Drain => {}
                _ => self.refused += self.crowds.take(key).len() as u64,
            }
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
            self.refused += line.flush(&self.part.own);
            if !line.waiting.is_empty() {
                on_its_own(|| cx.send_after(NO_ROOM, Room(to.clone())));
            }
        }
    }

    /// This life is over: its entities end, and nobody else is known any more.
    fn end_life(&mut self, is_last: bool, cx: &mut ActorContext<Self>) {
        self.next = None;
        if is_last {
            self.door.shut();
            self.region.handle_end();
        } else {
            self.region.handle_gone();
        }
        for line in std::mem::take(&mut self.ways).into_values() {
            self.refused += line.waiting.len() as u64;
        }
        self.lives.clear();
        self.looking.clear();
        self.pump(cx);
    }

    /// The next life begins when the last entity of the former one has ended.
    fn begin_next(&mut self, now: Instant, cx: &mut ActorContext<Self>) {
        if !self.entities.is_empty() {
            return;
        }
        let Some((part, map)) = self.next.take() else {
            return;
        };
        self.region.handle_life(part.own.clone(), now);
        self.part = part;
        if let Some(map) = map {
            self.region
                .handle_map(map.version, map.kind.as_deref(), now);
        }
        self.look_for_ways(cx);
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
            let looking = (self.part.find)(life.clone(), name);
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
                        Handed::Full(parcel) => Some(Outgoing::Parcel(key, origin, parcel)),
                        Handed::Dead(_) | Handed::Refused => {
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

impl<A: Actor> std::fmt::Debug for Router<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router")
            .field("kind", &self.shared.kind)
            .field("slice", &self.slice)
            .finish_non_exhaustive()
    }
}

//! What a router is sent, and what it does about it: messages for entities, news of other regions, of the map, of the
//! lives of this peer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use actor_core::remote::Export;
use actor_core::{
    Actor, ActorContext, ActorRef, Context, DeferredHandler, Handler, Message, Reply, SyncHandler,
};
use serde::{Deserialize, Serialize};

use super::{Line, NO_ROOM, Outgoing, Part, Router, on_its_own};
use crate::consensus::shard_map::Kind;
use crate::id::Life;
use crate::remote::export;
use crate::sharding::handoff::Packet;
use crate::sharding::key::EntityKey;
use crate::sharding::keyed::Keyed;
use crate::sharding::parcel::Letter;
use crate::sharding::region::Counts;
use crate::sharding::region::messages::Way;

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
                    if self.crowds.has(&key) {
                        let parcel = Box::new(Letter {
                            message,
                            reply,
                            context: Context::current(),
                        });
                        self.crowd(key, parcel, cx);
                        return;
                    }
                    let Err(refused) = reply.forward(*entity, message) else {
                        return;
                    };
                    let (is_full, is_dead) = (refused.error().is_full(), refused.error().is_dead());
                    if !is_full && !is_dead || self.shared.system.is_shutting_down() {
                        self.refused += 1;
                        return;
                    }
                    let (error, reply) = refused.into_parts();
                    let parcel = Box::new(Letter {
                        message: error.into_message(),
                        reply,
                        context: Context::current(),
                    });
                    if is_full {
                        self.crowd(key, parcel, cx);
                        return;
                    }
                    // It is ending by itself. When it has ended it is made again, for this.
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
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::sharding) struct Between {
    pub(in crate::sharding) from: Life,
    pub(in crate::sharding) packet: Packet,
}

/// The map as of a version.
#[derive(Clone)]
pub(in crate::sharding) struct MapIs {
    pub(in crate::sharding) version: u64,
    pub(in crate::sharding) kind: Option<Arc<Kind>>,
}

/// This peer goes on as another life.
pub(in crate::sharding) struct Begin<A: Actor>(pub(in crate::sharding) Arc<Part<A>>);

impl<A: Actor> Clone for Begin<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// This peer's life is over.
#[derive(Clone)]
pub(in crate::sharding) struct Over {
    /// And there is none after it.
    pub(in crate::sharding) is_last: bool,
}

/// This peer is about to leave, and whoever could take what is here has it.
#[derive(Clone)]
pub(in crate::sharding) struct Closing;

/// A router was looked for.
pub(super) struct WayFound<A: Actor> {
    pub(super) life: Life,
    pub(super) router: Option<ActorRef<Router<A>>>,
}

/// An entity has nothing more to do.
pub(in crate::sharding) struct Passivate {
    pub(in crate::sharding) key: EntityKey,
    pub(in crate::sharding) epoch: u64,
}

/// Time has passed.
pub(super) struct Tick;

/// There may be room again on the way to another.
pub(super) struct Room(pub(super) Life);

/// There may be room again in the mailboxes of entities.
pub(super) struct Crowded;

/// It is time to look for those that were not found.
pub(super) struct Look;

/// How is it going?
pub(in crate::sharding) struct Report;

/// How it is going.
#[derive(Clone, Debug, Default)]
pub(in crate::sharding) struct Reported {
    pub(in crate::sharding) counts: Counts,
    /// Beyond those that the region has refused: for want of room in a mailbox, or because it was too late.
    pub(in crate::sharding) refused: u64,
    /// Of those that the region has delivered: they wait for room in a mailbox.
    pub(in crate::sharding) crowded: u64,
    pub(in crate::sharding) shards: usize,
    pub(in crate::sharding) entities: usize,
    pub(in crate::sharding) is_gone: bool,
    pub(in crate::sharding) has_other_shards: bool,
}

macro_rules! told {
    ($($message:ty),*) => {$(
        impl Message for $message {
            type Reply = ();
        }
    )*};
}

told!(MapIs, Over, Closing, Passivate, Tick, Room, Crowded, Look);

impl Message for Between {
    type Reply = ();
    const EXPORT: Option<Export<Self>> = Some(export("actor-net shards"));
}

impl<A: Actor> Message for WayFound<A> {
    type Reply = ();
}

impl<A: Actor> Message for Begin<A> {
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
        if let Some((_, latest)) = &mut self.next {
            *latest = Some(map);
            return;
        }
        let kind = map.kind.as_deref();
        self.region.handle_map(map.version, kind, Instant::now());
        self.pump(cx);
        self.look_for_ways(cx);
    }
}

impl<A: Actor> SyncHandler<Begin<A>> for Router<A> {
    fn handle(&mut self, Begin(part): Begin<A>, cx: &mut ActorContext<Self>) {
        self.next = Some((part, None));
        self.begin_next(Instant::now(), cx);
        self.pump(cx);
    }
}

impl<A: Actor> SyncHandler<Over> for Router<A> {
    fn handle(&mut self, Over { is_last }: Over, cx: &mut ActorContext<Self>) {
        self.end_life(is_last, cx);
    }
}

impl<A: Actor> SyncHandler<Closing> for Router<A> {
    fn handle(&mut self, _: Closing, cx: &mut ActorContext<Self>) {
        self.region.handle_closing(Instant::now());
        self.pump(cx);
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
            None => {
                let wait = self.shared.settings.retry;
                on_its_own(|| cx.set_timer("look", wait, Look));
            }
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
            self.refused += line.flush(&self.part.own);
            if !line.waiting.is_empty() {
                on_its_own(|| cx.send_after(NO_ROOM, Room(life)));
            }
        }
    }
}

impl<A: Actor> SyncHandler<Crowded> for Router<A> {
    fn handle(&mut self, _: Crowded, cx: &mut ActorContext<Self>) {
        self.relieve(cx);
    }
}

impl<A: Actor> SyncHandler<Report> for Router<A> {
    fn handle(&mut self, _: Report, _cx: &mut ActorContext<Self>) -> Reported {
        Reported {
            counts: self.region.counts().clone(),
            refused: self.refused,
            crowded: self.crowds.waiting() as u64,
            shards: self.region.owned(),
            entities: self.region.actors(),
            is_gone: self.region.is_gone(),
            has_other_shards: self.region.has_other_shards(),
        }
    }
}

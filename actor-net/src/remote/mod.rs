//! Actors over there: an `ActorRef` to an actor in another process is one to an actor here, a *proxy*, whose
//! messages go over a lane to the peer.
//!
//! ```text
//!  tell, ask ──> proxy ──> gateway ──> lane ~~~~~~~~ lane ──> exports ──> mailbox of the actor
//!  watchers <── end of proxy <── Terminated <~~~~~ control <── farewell <── end of the actor
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `export`, `schema` | how a message is written down; which shape it has |
//! | `exports` | which messages arrive at which types of actors |
//! | `own`, `addressing` | what actors are called between peers |
//! | `association`, `calls` | one life of one peer: its proxies, the asks under way |
//! | `gateway` | from a proxy into a lane |
//! | `inbound`, `held`, `answer` | from a lane into a mailbox, at once or when there is room, and the answer back |
//! | `pauses` | proxies that are held back, for their actors stay full |
//! | `circles` | asks that wait for each other over several peers |
//! | `signals`, `farewell` | watches, links, stops; the last word about an actor |
//! | `desk` | names and spawns at first contact |
//! | `books` | what became of every message |
//!
//! What the floor below has to give is in `way`.

mod addressing;
mod answer;
mod association;
mod books;
mod calls;
mod circles;
mod desk;
mod export;
mod exports;
mod farewell;
mod fate;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gateway;
mod held;
mod inbound;
mod own;
mod pauses;
mod schema;
mod settings;
mod signals;
mod way;

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use actor_core::remote::ProxyHandle;
use actor_core::{Actor, ActorId, ActorRef, SpawnError, StopReason, SystemRef};
use serde::Serialize;

use self::association::Association;
use self::desk::{DESK, Desk, Find, NotSpawned, Spawn};
use self::gateway::DESK_ADDRESS;
use self::own::Own;
pub(crate) use self::way::Way;
use crate::id::{Incarnation, Life, PeerId};
use crate::wire::lane::LaneEvent;
use crate::wire::message::Address;
use crate::wire::signal::Signal;

pub use books::RemoteStats;
pub use desk::{LookupError, RemoteSpawnError};
pub use export::export;
pub use exports::{ExportError, Exports};
pub use settings::RemoteSettings;

/// How often asks are looked at that nobody may wait for any more. 20 ms.
const SWEEP: Duration = Duration::from_millis(20);

/// What this process is to its peers, and they to it. A handle: clones are the same.
#[derive(Clone)]
pub(crate) struct Remote(Arc<Own>);

/// What a [`Remote`] starts with.
pub(crate) struct Config {
    pub(crate) peer: PeerId,
    pub(crate) incarnation: Incarnation,
    pub(crate) exports: Exports,
    pub(crate) settings: RemoteSettings,
    /// Bytes of a message from which it goes in pieces: the wire's limit.
    pub(crate) fragment: usize,
    /// Called with a peer that a message has brought a reference of, and that is not known: to connect to it.
    /// What is sent meanwhile waits. Without it such a message is refused.
    pub(crate) wanted: Option<Wanted>,
}

pub(crate) type Wanted = Box<dyn Fn(&PeerId) + Send + Sync>;

/// Why there is no reference to an actor of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoReference {
    /// That life of the peer is over.
    Gone,
    /// The peer is not known, and nobody looks for it.
    Unknown,
    /// More references are known here than may be, or there is no memory for another.
    NoRoom,
}

/// Why a [`Remote`] does not start.
#[derive(Debug)]
pub(crate) enum RemoteStartError {
    Exports(ExportError),
    Spawn(SpawnError),
}

impl fmt::Display for RemoteStartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exports(error) => error.fmt(f),
            Self::Spawn(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RemoteStartError {}

impl Remote {
    /// The exports as they are told to peers: with what this floor takes for itself.
    pub(crate) fn with_own(exports: Exports) -> Exports {
        exports.handles::<Desk, Find>().handles::<Desk, Spawn>()
    }

    /// Spawns an actor or two; nothing comes or goes before [`up`](Self::up).
    pub(crate) fn start(system: SystemRef, config: Config) -> Result<Self, RemoteStartError> {
        let exports = Self::with_own(config.exports);
        exports.check().map_err(RemoteStartError::Exports)?;
        let own = Arc::new(Own::new(
            system,
            config.peer,
            config.incarnation,
            config.settings,
            config.fragment,
            exports,
            config.wanted,
        ));
        let desk = system
            .actor(Desk(Arc::downgrade(&own)))
            .name(DESK)
            .spawn()
            .map_err(RemoteStartError::Spawn)?;
        own.publish(DESK, desk.id());
        system.tokio().spawn(sweep(Arc::downgrade(&own)));
        Ok(Self(own))
    }

    // ---- What the peers floor says ------------------------------------------------------------------

    /// A life of a peer is there, the first time or again.
    pub(crate) fn up(&self, way: &Arc<dyn Way>) {
        self.0.up(way.id(), way.incarnation()).up(way.clone());
    }

    /// A life of a peer is over.
    pub(crate) fn lost(&self, way: &dyn Way, why: &dyn fmt::Display) {
        self.over(way.id(), way.incarnation(), why);
    }

    /// The same of a life that may never have been met: somebody may have been given references to its actors.
    pub(crate) fn over(&self, peer: &PeerId, incarnation: Incarnation, why: &dyn fmt::Display) {
        self.0.is_over(peer, incarnation);
        if let Some(association) = self.0.present(peer)
            && association.incarnation <= incarnation
        {
            let reason = format!("{peer} ({why})");
            association.lose(StopReason::PeerGone(reason.into()));
            self.0.remove(&association);
        }
    }

    /// Something came over a lane, or became of what was sent by it.
    pub(crate) fn lane_event(&self, way: &dyn Way, lane: usize, event: LaneEvent) {
        self.lane_events(way, lane, &mut std::iter::once(event));
    }

    /// The same of several, in their order.
    pub(crate) fn lane_events(
        &self,
        way: &dyn Way,
        lane: usize,
        events: &mut dyn Iterator<Item = LaneEvent>,
    ) {
        if let Some(association) = self.of(way) {
            // Workers that sleep are woken once for all of them.
            actor_core::remote::gather(|| association.lane_events(lane, events));
        }
    }

    /// A lifecycle signal.
    pub(crate) fn signal(&self, way: &dyn Way, signal: Signal) {
        if let Some(association) = self.of(way) {
            association.take_signal(signal);
        }
    }

    /// Bytes of this floor over there.
    pub(crate) fn datagram(&self, way: &dyn Way, bytes: &[u8]) {
        if let Some(association) = self.of(way) {
            association.probed(bytes);
        }
    }

    fn of(&self, way: &dyn Way) -> Option<Arc<Association>> {
        let known = self.0.present(way.id())?;
        (known.incarnation == way.incarnation()).then_some(known)
    }

    // ---- For users ----------------------------------------------------------------------------------

    /// The actor that a peer, or this one, has published under a name.
    pub(crate) async fn lookup<A: Actor>(
        &self,
        peer: &PeerId,
        name: &str,
    ) -> Result<ActorRef<A>, LookupError> {
        if *peer == self.0.peer {
            let named = self.0.named(name);
            let found = named.and_then(|actor| self.0.system.resolve(actor.as_u64()));
            return found.ok_or_else(|| LookupError::NotFound {
                peer: peer.to_string(),
                name: name.to_owned(),
            });
        }
        let association = self.0.present(peer).ok_or_else(|| LookupError::Unknown {
            peer: peer.to_string(),
        })?;
        self.lookup_at(&association, name).await
    }

    /// The same in one life of a peer, and no other; `None`: it is not connected now, or has no such name.
    pub(crate) async fn lookup_in<A: Actor>(&self, life: &Life, name: &str) -> Option<ActorRef<A>> {
        let association = self.0.present(&life.peer);
        let association = association.filter(|known| known.incarnation == life.incarnation)?;
        let found = self.lookup_at(&association, name).await;
        found
            .map_err(|error| tracing::debug!(%life, name, %error, "not found there"))
            .ok()
    }

    async fn lookup_at<A: Actor>(
        &self,
        association: &Arc<Association>,
        name: &str,
    ) -> Result<ActorRef<A>, LookupError> {
        let peer = &association.peer;
        let desk = desk_of(association).map_err(LookupError::TooMany)?;
        let find = Find {
            name: name.to_owned(),
        };
        let found = desk.actor_ref::<Desk>().ask(find).await;
        let address = found
            .map_err(|error| LookupError::Ask(error.without_message()))?
            .ok_or_else(|| LookupError::NotFound {
                peer: peer.to_string(),
                name: name.to_owned(),
            })?;
        let proxy = proxy_at(association, &address).map_err(LookupError::TooMany)?;
        Ok(proxy.actor_ref())
    }

    /// Spawns an actor on a peer, of what that lets be spawned.
    pub(crate) async fn spawn<A: Actor>(
        &self,
        peer: &PeerId,
        name: &str,
        arguments: &impl Serialize,
    ) -> Result<ActorRef<A>, RemoteSpawnError> {
        let association = self
            .0
            .present(peer)
            .ok_or_else(|| RemoteSpawnError::Unknown {
                peer: peer.to_string(),
            })?;
        let desk = desk_of(&association).map_err(RemoteSpawnError::TooMany)?;
        let mut bytes = Vec::new();
        addressing::on_link(&association, || export::write(arguments, &mut bytes))
            .map_err(|error| RemoteSpawnError::Arguments(error.to_string()))?;
        let spawn = Spawn {
            name: name.to_owned(),
            arguments: bytes,
        };
        let spawned = desk.actor_ref::<Desk>().ask(spawn).await;
        let address = match spawned {
            Ok(Ok(address)) => address,
            Ok(Err(NotSpawned::NotExported)) => {
                return Err(RemoteSpawnError::NotExported {
                    peer: peer.to_string(),
                    name: name.to_owned(),
                });
            }
            Ok(Err(NotSpawned::Failed(text))) => return Err(RemoteSpawnError::Failed(text)),
            Err(error) => return Err(RemoteSpawnError::Ask(error.without_message())),
        };
        let proxy = proxy_at(&association, &address).map_err(RemoteSpawnError::TooMany)?;
        Ok(proxy.actor_ref())
    }

    /// What an actor is called by all peers, its key included; one elsewhere as it is called there.
    pub(crate) fn address_of(&self, actor: ActorId) -> actor_core::remote::Address {
        self.0.address_of(actor)
    }

    /// An actor of a peer, by its address. One of a peer that is not connected yet is waited for by what it is sent.
    pub(crate) fn reference<A: Actor>(
        &self,
        address: &actor_core::remote::Address,
    ) -> Result<ActorRef<A>, NoReference> {
        let peer = PeerId::new(&address.peer).map_err(|_| NoReference::Unknown)?;
        let incarnation = Incarnation(address.incarnation);
        let association = self.0.association(&peer, incarnation);
        let association = association.map_err(|_| NoReference::Unknown)?;
        if association.is_lost() {
            return Err(NoReference::Gone);
        }
        let proxy = proxy_at(&association, address).map_err(|_| NoReference::NoRoom)?;
        Ok(proxy.actor_ref())
    }

    /// Gives an actor a name that peers find it by; whether the name was free.
    pub(crate) fn publish<A: Actor>(&self, name: &str, actor: ActorRef<A>) -> bool {
        self.0.publish(name, actor.id())
    }

    /// Takes a name back; whether somebody had it.
    pub(crate) fn withdraw(&self, name: &str) -> bool {
        name != DESK && self.0.withdraw(name).is_some()
    }

    /// What became of messages so far.
    pub(crate) fn stats(&self) -> RemoteStats {
        self.0.books.read()
    }

    /// Until all that was sent before to actors of peers that were met is in the lanes.
    pub(crate) async fn all_sent(&self) {
        let (through, mut left) = tokio::sync::mpsc::channel(1);
        for association in self.0.all() {
            association.when_all_is_sent(&through);
        }
        drop(through);
        // Nothing is ever sent by it.
        let _: Option<()> = left.recv().await;
    }

    /// All peers are gone as far as this floor is concerned: asks fail, proxies end.
    pub(crate) fn shutdown(&self) {
        for association in self.0.all() {
            let reason = format!("{} (this side shuts down)", association.peer);
            association.lose(StopReason::PeerGone(reason.into()));
            self.0.remove(&association);
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("peer", &self.0.peer)
            .field("incarnation", &self.0.incarnation)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

fn desk_of(association: &Arc<Association>) -> Result<ProxyHandle, String> {
    association
        .proxy(DESK_ADDRESS)
        .map_err(|error| error.to_string())
}

fn proxy_at(
    association: &Arc<Association>,
    address: &actor_core::remote::Address,
) -> Result<ProxyHandle, String> {
    let there = Address {
        id: address.number,
        key: address.key,
    };
    association.proxy(there).map_err(|error| error.to_string())
}

/// Cancels asks that nobody waits for any more, as long as this side is there.
async fn sweep(own: Weak<Own>) {
    loop {
        let associations = match own.upgrade() {
            Some(own) => own.all(),
            None => return,
        };
        let now = Instant::now();
        for association in associations {
            if association.is_late(now) {
                let reason = format!("{} (not met in time)", association.peer);
                association.lose(StopReason::PeerGone(reason.into()));
                association.own.remove(&association);
            }
            association.sweep(now);
        }
        tokio::time::sleep(SWEEP).await;
    }
}

#[cfg(test)]
mod tests;

//! What is one for all associations: the system, its exports, the secret that keys are made with, the books.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use actor_core::remote::{self, CodecError};
use actor_core::{ActorId, StopReason, SystemRef};

use super::Wanted;
use super::association::{Association, lock};
use super::books::Books;
use super::exports::{Exports, Taker};
use super::settings::RemoteSettings;
use crate::id::{Incarnation, PeerId};
use crate::wire::message::Address;

pub(super) struct Own {
    pub(super) system: SystemRef,
    pub(super) peer: PeerId,
    pub(super) incarnation: Incarnation,
    pub(super) settings: RemoteSettings,
    /// Bytes of a message from which it goes in pieces.
    pub(super) fragment: usize,
    pub(super) exports: Exports,
    pub(super) takers: Vec<Box<[Taker]>>,
    pub(super) type_names: Vec<&'static str>,
    /// Names that were given at the start and later.
    names: RwLock<BTreeMap<String, ActorId>>,
    secret: RandomState,
    pub(super) books: Books,
    /// The present life of each peer.
    associations: Mutex<BTreeMap<PeerId, Arc<Association>>>,
    /// The latest life of each peer that is over.
    over: Mutex<BTreeMap<PeerId, Incarnation>>,
    /// What the proxies here stand for.
    proxies: RwLock<HashMap<ActorId, Elsewhere>>,
    /// Told of peers that somebody has a reference to, and that are not known.
    pub(super) wanted: Option<Wanted>,
}

struct Elsewhere {
    peer: PeerId,
    incarnation: Incarnation,
    address: Address,
}

impl Own {
    pub(super) fn new(
        system: SystemRef,
        peer: PeerId,
        incarnation: Incarnation,
        settings: RemoteSettings,
        fragment: usize,
        exports: Exports,
        wanted: Option<Wanted>,
    ) -> Self {
        let (type_names, takers) = exports.takers().into_iter().unzip();
        Self {
            system,
            peer,
            incarnation,
            settings,
            fragment,
            takers,
            type_names,
            names: RwLock::new(exports.names().clone()),
            exports,
            secret: RandomState::new(),
            books: Books::default(),
            associations: Mutex::default(),
            over: Mutex::default(),
            proxies: RwLock::default(),
            wanted,
        }
    }

    // ---- Addresses ----------------------------------------------------------------------------------

    fn key(&self, number: u64) -> u64 {
        self.secret.hash_one(number)
    }

    /// Whether somebody was given that address by us. Looked at before anything else.
    pub(super) fn is_ours(&self, address: Address) -> bool {
        address.key == self.key(address.id)
    }

    /// An actor of this process, as it is called on the wire.
    pub(super) fn wire_address(&self, actor: ActorId) -> Address {
        let id = actor.as_u64();
        let key = self.key(id);
        Address { id, key }
    }

    /// The same, by the number of the actor.
    pub(super) fn wire_address_of(&self, number: u64) -> Address {
        Address {
            id: number,
            key: self.key(number),
        }
    }

    pub(super) fn address_of(&self, actor: ActorId) -> remote::Address {
        if let Some(there) = read(&self.proxies).get(&actor) {
            return remote::Address {
                peer: there.peer.as_str().into(),
                incarnation: there.incarnation.0,
                number: there.address.id,
                key: there.address.key,
            };
        }
        let Address { id, key } = self.wire_address(actor);
        remote::Address {
            peer: self.peer.as_str().into(),
            incarnation: self.incarnation.0,
            number: id,
            key,
        }
    }

    pub(super) fn actor_at(
        self: &Arc<Self>,
        address: &remote::Address,
        actor_type: TypeId,
    ) -> Result<ActorId, CodecError> {
        let there = Address {
            id: address.number,
            key: address.key,
        };
        if *address.peer != *self.peer.as_str() {
            let peer = PeerId::new(&address.peer).map_err(CodecError::new)?;
            let association = self.association(&peer, Incarnation(address.incarnation))?;
            return association.proxy(there).map(|proxy| proxy.id());
        }
        if address.incarnation != self.incarnation.0 {
            // Of an earlier life of ours: nobody is there, and nobody will be.
            let association = self.gone(&self.peer, Incarnation(address.incarnation));
            return association.proxy(there).map(|proxy| proxy.id());
        }
        if !self.is_ours(there) {
            return Err(CodecError::new(
                "a reference to an actor here with a wrong key",
            ));
        }
        self.system
            .resolve_type_or_gone(there.id, actor_type)
            .ok_or_else(|| CodecError::new("a reference to an actor here of another type"))
    }

    pub(super) fn proxy_made(&self, proxy: ActorId, association: &Association, address: Address) {
        let there = Elsewhere {
            peer: association.peer.clone(),
            incarnation: association.incarnation,
            address,
        };
        write(&self.proxies).insert(proxy, there);
    }

    pub(super) fn is_proxy(&self, actor: ActorId) -> bool {
        read(&self.proxies).contains_key(&actor)
    }

    pub(super) fn proxy_ended(&self, proxy: ActorId) {
        write(&self.proxies).remove(&proxy);
    }

    // ---- Names --------------------------------------------------------------------------------------

    pub(super) fn named(&self, name: &str) -> Option<ActorId> {
        read(&self.names).get(name).copied()
    }

    pub(super) fn publish(&self, name: &str, actor: ActorId) -> bool {
        let mut names = write(&self.names);
        let is_free = !names.contains_key(name);
        if is_free {
            names.insert(name.to_owned(), actor);
        }
        is_free
    }

    pub(super) fn withdraw(&self, name: &str) -> Option<ActorId> {
        write(&self.names).remove(name)
    }

    // ---- Associations -------------------------------------------------------------------------------

    pub(super) fn present(&self, peer: &PeerId) -> Option<Arc<Association>> {
        lock(&self.associations).get(peer).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Association>> {
        lock(&self.associations).values().cloned().collect()
    }

    /// That of a life of a peer: the present one, a new one that waits for its peer, or one that is over.
    pub(super) fn association(
        self: &Arc<Self>,
        peer: &PeerId,
        incarnation: Incarnation,
    ) -> Result<Arc<Association>, CodecError> {
        if lock(&self.over)
            .get(peer)
            .is_some_and(|over| incarnation <= *over)
        {
            return Ok(self.gone(peer, incarnation));
        }
        let (is_new, association) = {
            let mut associations = lock(&self.associations);
            match associations.get(peer) {
                Some(known) if known.incarnation == incarnation => (false, known.clone()),
                Some(known) if known.incarnation > incarnation || known.way().is_some() => {
                    // A life that is over; or one of which nobody here has heard yet, and whose peer is
                    // connected as another.
                    drop(associations);
                    return Ok(self.gone(peer, incarnation));
                }
                _ if self.wanted.is_none() => {
                    return Err(CodecError::new(format_args!(
                        "a reference to an actor of peer {peer}, which is not connected here"
                    )));
                }
                _ => {
                    let new = Association::new(self.clone(), peer.clone(), incarnation);
                    associations.insert(peer.clone(), new.clone());
                    (true, new)
                }
            }
        };
        if is_new && let Some(wanted) = &self.wanted {
            wanted(peer);
        }
        Ok(association)
    }

    /// A life that is over: references to its actors are references to actors that are gone.
    fn gone(self: &Arc<Self>, peer: &PeerId, incarnation: Incarnation) -> Arc<Association> {
        let association = Association::new(self.clone(), peer.clone(), incarnation);
        association.lose(StopReason::PeerGone(peer.as_str().into()));
        association
    }

    /// The association of a life that is up. One that waited for another life is over.
    pub(super) fn up(
        self: &Arc<Self>,
        peer: &PeerId,
        incarnation: Incarnation,
    ) -> Arc<Association> {
        let (former, association) = {
            let mut associations = lock(&self.associations);
            match associations.get(peer) {
                Some(known) if known.incarnation == incarnation => (None, known.clone()),
                _ => {
                    let new = Association::new(self.clone(), peer.clone(), incarnation);
                    (associations.insert(peer.clone(), new.clone()), new)
                }
            }
        };
        if let Some(former) = former {
            former.lose(StopReason::PeerGone(peer.as_str().into()));
        }
        association
    }

    /// This life of a peer, and every one before, is over: who is told of its actors later is told of gone ones.
    pub(super) fn is_over(&self, peer: &PeerId, incarnation: Incarnation) {
        let mut over = lock(&self.over);
        let latest = over.entry(peer.clone()).or_insert(incarnation);
        *latest = incarnation.max(*latest);
    }

    pub(super) fn remove(&self, association: &Arc<Association>) {
        let mut associations = lock(&self.associations);
        if associations
            .get(&association.peer)
            .is_some_and(|known| Arc::ptr_eq(known, association))
        {
            associations.remove(&association.peer);
        }
    }
}

fn read<T>(guarded: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    guarded.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(guarded: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    guarded.write().unwrap_or_else(PoisonError::into_inner)
}

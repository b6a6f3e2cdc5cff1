//! Peers with regions, and somebody who agrees with himself on everything: what consensus is for them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::consensus::shard_map::{Applied, ShardCommand, ShardMap};
use crate::datagram::Datagram;
use crate::id::{Incarnation, Life, PeerId};
use crate::sharding::allocation::{Host, HostState, Limits, plan};
use crate::sharding::handoff::Packet;
use crate::sharding::key::EntityKey;
use crate::sharding::region::{Origin, Output, Refusal, Region, Settings};
use crate::simulation::{Machine, Network, Random, Weather};

pub(super) const KIND: &str = "account";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ask {
    pub(super) id: u64,
    pub(super) from: Life,
    /// Counted by its sender for each key.
    pub(super) nth: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Wire {
    Propose(ShardCommand),
    Map {
        version: u64,
        map: ShardMap,
    },
    Item {
        to: Life,
        key: EntityKey,
        epoch: u64,
        hops: u8,
        ask: Ask,
    },
    Packet {
        from: Life,
        to: Life,
        packet: Packet,
    },
}

/// What really happened, whoever believes what.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    next: u64,
    nth: BTreeMap<(Life, EntityKey), u64>,
    /// Actors that are alive.
    pub(super) alive: BTreeMap<(EntityKey, u64), Life>,
    /// The greatest epoch that a key has had; a fenced store that takes no writes with less.
    pub(super) fence: BTreeMap<EntityKey, u64>,
    pub(super) stale_writes: u64,
    /// Moments at which a key had two actors, in different epochs.
    pub(super) overlaps: u64,
    handled: BTreeSet<u64>,
    last: BTreeMap<(Life, EntityKey), u64>,
    pub(super) overtaken: u64,
    pub(super) refused: BTreeMap<Refusal, u64>,
    pub(super) killed: u64,
    pub(super) activations: u64,
    /// Cut short by a barrier: by peers that are no more.
    pub(super) barriers: u64,
}

impl Ledger {
    pub(super) fn asked(&self) -> u64 {
        self.next
    }

    pub(super) fn handled(&self) -> u64 {
        self.handled.len() as u64
    }

    fn activate(&mut self, key: &EntityKey, epoch: u64, life: &Life) {
        let of_key = (key.clone(), 0)..=(key.clone(), u64::MAX);
        self.overlaps += self.alive.range(of_key).count() as u64;
        let other = self.alive.insert((key.clone(), epoch), life.clone());
        assert_eq!(
            other, None,
            "two activations of {key} in epoch {epoch}: one here, on {life}"
        );
        self.activations += 1;
    }

    fn end(&mut self, key: &EntityKey, epoch: u64) {
        let life = self.alive.remove(&(key.clone(), epoch));
        assert!(life.is_some(), "{key} ended twice in epoch {epoch}");
    }

    fn handle(&mut self, key: &EntityKey, epoch: u64, ask: &Ask) {
        assert!(self.handled.insert(ask.id), "{ask:?} was handled twice");
        let last = self
            .last
            .entry((ask.from.clone(), key.clone()))
            .or_default();
        if ask.nth < *last {
            self.overtaken += 1;
        }
        *last = ask.nth.max(*last);
        let fence = self.fence.entry(key.clone()).or_default();
        if epoch < *fence {
            self.stale_writes += 1;
        }
        *fence = epoch.max(*fence);
    }

    fn crash(&mut self, life: &Life) {
        self.alive.retain(|_, on| on != life);
    }
}

struct Actor {
    epoch: u64,
    inbox: VecDeque<Ask>,
    is_stopping: bool,
    busy_until: Instant,
}

pub(super) struct Peer {
    life: Life,
    pub(super) region: Region<Ask>,
    actors: BTreeMap<EntityKey, Actor>,
    ledger: Rc<RefCell<Ledger>>,
    transmits: VecDeque<Datagram>,
    /// How long an actor needs for a message.
    work: Duration,
}

impl Peer {
    pub(super) fn new(
        life: Life,
        settings: Settings,
        ledger: &Rc<RefCell<Ledger>>,
        now: Instant,
    ) -> Self {
        let mut peer = Self {
            region: Region::new(life.clone(), KIND, settings, now),
            life,
            actors: BTreeMap::new(),
            ledger: ledger.clone(),
            transmits: VecDeque::new(),
            work: Duration::from_millis(3),
        };
        peer.pump(now);
        peer
    }

    pub(super) fn ask(&mut self, key: u64, now: Instant) {
        let key = EntityKey::from(key);
        let ask = {
            let ledger = &mut *self.ledger.borrow_mut();
            let nth = ledger
                .nth
                .entry((self.life.clone(), key.clone()))
                .or_default();
            *nth += 1;
            ledger.next += 1;
            Ask {
                id: ledger.next,
                from: self.life.clone(),
                nth: *nth,
            }
        };
        self.offer(key, ask, Origin::Here, now);
    }

    /// As the runtime does: by the short way if there is one.
    fn offer(&mut self, key: EntityKey, ask: Ask, origin: Origin, now: Instant) {
        use crate::sharding::region::messages::Way;
        match self.region.route(&key, origin, now) {
            Some(Way::Here) => self.deliver(&key, ask, now),
            Some(Way::There { to, origin }) => {
                let to = to.clone();
                self.forward(to, key, origin, ask);
            }
            None => self.region.offer(key, ask, origin, now),
        }
        self.pump(now);
    }

    fn deliver(&mut self, key: &EntityKey, ask: Ask, now: Instant) {
        let actor = self.actors.get_mut(key).expect("made before");
        if actor.inbox.is_empty() {
            actor.busy_until = now + self.work;
        }
        actor.inbox.push_back(ask);
    }

    fn forward(&mut self, to: Life, key: EntityKey, origin: Origin, ask: Ask) {
        let Origin::Peer { epoch, hops } = origin else {
            panic!("forwarded from nowhere");
        };
        let peer = to.peer.clone();
        let item = Wire::Item {
            to,
            key,
            epoch,
            hops,
            ask,
        };
        self.send(peer, &item);
    }

    fn send(&mut self, to: PeerId, what: &Wire) {
        let bytes = postcard::to_allocvec(what).expect("it can be written");
        self.transmits.push_back(Datagram { to, bytes });
    }

    fn pump(&mut self, now: Instant) {
        while let Some(output) = self.region.poll_output() {
            match output {
                Output::Activate { key, epoch } => {
                    self.ledger.borrow_mut().activate(&key, epoch, &self.life);
                    let actor = Actor {
                        epoch,
                        inbox: VecDeque::new(),
                        is_stopping: false,
                        busy_until: now,
                    };
                    let other = self.actors.insert(key, actor);
                    assert!(other.is_none(), "made twice");
                }
                Output::Deliver { key, item } => self.deliver(&key, item, now),
                Output::Stop { key, epoch } => {
                    let actor = self.actors.get_mut(&key).expect("made before");
                    assert_eq!(actor.epoch, epoch);
                    actor.is_stopping = true;
                }
                Output::Kill { key, epoch } => {
                    let actor = self.actors.remove(&key).expect("made before");
                    assert_eq!(actor.epoch, epoch);
                    let mut ledger = self.ledger.borrow_mut();
                    ledger.killed += actor.inbox.len() as u64;
                    ledger.end(&key, epoch);
                    drop(ledger);
                    self.region.handle_ended(&key, epoch, now);
                }
                Output::Forward {
                    to,
                    key,
                    origin,
                    item,
                } => self.forward(to, key, origin, item),
                Output::Refuse { why, .. } => {
                    *self.ledger.borrow_mut().refused.entry(why).or_default() += 1;
                }
                Output::Send { to, packet } => {
                    let peer = to.peer.clone();
                    let from = self.life.clone();
                    self.send(peer, &Wire::Packet { from, to, packet });
                }
                Output::Propose(command) => self.send(authority(), &Wire::Propose(command)),
            }
        }
    }

    /// Nothing of it is needed any more, and nothing of it is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.region.owned() == 0 && self.region.actors() == 0 && self.region.counts().waiting == 0
    }

    fn check_books(&self) {
        let counts = self.region.counts();
        let refused: u64 = counts.refused.values().sum();
        assert_eq!(
            counts.offered,
            counts.delivered + counts.forwarded + counts.waiting + refused,
            "{counts:?}"
        );
    }
}

/// Applies commands in the order in which they come, and plans.
pub(super) struct Authority {
    map: ShardMap,
    version: u64,
    /// Of the map that all were told last, and when.
    told: (u64, Instant),
    pub(super) hosts: BTreeMap<Life, HostState>,
    pub(super) gone: BTreeSet<Life>,
    pub(super) limits: Limits,
    /// The peer that plans is down or changes.
    pub(super) is_planning: bool,
    peers: BTreeSet<PeerId>,
    transmits: VecDeque<Datagram>,
    next: Instant,
    /// Since when a shard has been without a living owner, and the longest that one was.
    unowned: BTreeMap<u16, Instant>,
    pub(super) unowned_max: Duration,
}

impl Authority {
    fn new(now: Instant) -> Self {
        Self {
            map: ShardMap::default(),
            version: 0,
            told: (0, now),
            hosts: BTreeMap::new(),
            gone: BTreeSet::new(),
            limits: Limits {
                moves: 8,
                ..Limits::default()
            },
            is_planning: true,
            peers: BTreeSet::new(),
            transmits: VecDeque::new(),
            next: now,
            unowned: BTreeMap::new(),
            unowned_max: Duration::ZERO,
        }
    }

    fn apply(&mut self, command: &ShardCommand) {
        let gone = &self.gone;
        if let Applied::Changed(_) = self.map.apply(command, &|life| gone.contains(life)) {
            self.version += 1;
        }
    }

    /// Down, or left: no life of a peer comes back from that.
    pub(super) fn remove(&mut self, life: &Life) {
        self.gone.insert(life.clone());
        self.hosts.remove(life);
        self.map.remove(life);
        self.version += 1;
    }

    pub(super) fn slots(&self) -> Vec<(u64, Option<Life>, bool)> {
        let Some(kind) = self.map.kind(KIND) else {
            return Vec::new();
        };
        kind.slots()
            .map(|(_, slot)| (slot.epoch, slot.owner.clone(), slot.next.is_some()))
            .collect()
    }

    fn tell_all(&mut self) {
        let bytes = postcard::to_allocvec(&Wire::Map {
            version: self.version,
            map: self.map.clone(),
        })
        .expect("it can be written");
        for to in self.peers.clone() {
            let bytes = bytes.clone();
            self.transmits.push_back(Datagram { to, bytes });
        }
    }
}

pub(super) enum Seat {
    Peer(Box<Peer>),
    Authority(Box<Authority>),
}

pub(super) fn authority() -> PeerId {
    PeerId::new("authority").unwrap()
}

impl Machine for Seat {
    type Event = ();

    fn handle_datagram(&mut self, from: &PeerId, bytes: &[u8], now: Instant) {
        let wire: Wire = postcard::from_bytes(bytes).expect("it was written here");
        match (self, wire) {
            (Self::Peer(peer), Wire::Map { version, map }) => {
                peer.region.handle_map(version, map.kind(KIND), now);
                peer.pump(now);
            }
            (
                Self::Peer(peer),
                Wire::Item {
                    to,
                    key,
                    epoch,
                    hops,
                    ask,
                },
            ) => {
                if to == peer.life {
                    peer.offer(key, ask, Origin::Peer { epoch, hops }, now);
                }
            }
            (Self::Peer(peer), Wire::Packet { from, to, packet }) => {
                if to == peer.life {
                    peer.region.handle_packet(&from, packet, now);
                    peer.pump(now);
                }
            }
            (Self::Authority(authority), Wire::Propose(command)) => {
                authority.peers.insert(from.clone());
                authority.apply(&command);
                if authority.told.0 != authority.version {
                    authority.told = (authority.version, now);
                    authority.tell_all();
                }
            }
            (_, wire) => panic!("{wire:?} for the wrong one"),
        }
    }

    fn handle_connected(&mut self, peer: &PeerId, incarnation: Incarnation, now: Instant) {
        if let Self::Peer(seat) = self
            && *peer != authority()
        {
            // Lives before that one are over.
            for known in 1..=incarnation.0 {
                let life = Life {
                    peer: peer.clone(),
                    incarnation: Incarnation(known),
                };
                seat.region.handle_way(&life, known == incarnation.0, now);
            }
            seat.pump(now);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Self::Peer(peer) => {
                peer.region.handle_timeout(now);
                peer.pump(now);
                let due: Vec<_> = peer
                    .actors
                    .iter()
                    .filter(|(_, actor)| {
                        now >= actor.busy_until && (!actor.inbox.is_empty() || actor.is_stopping)
                    })
                    .map(|(key, _)| key.clone())
                    .collect();
                for key in due {
                    let actor = peer.actors.get_mut(&key).expect("just seen");
                    if let Some(ask) = actor.inbox.pop_front() {
                        actor.busy_until = now + peer.work;
                        peer.ledger.borrow_mut().handle(&key, actor.epoch, &ask);
                    } else {
                        let epoch = actor.epoch;
                        peer.actors.remove(&key);
                        peer.ledger.borrow_mut().end(&key, epoch);
                        peer.region.handle_ended(&key, epoch, now);
                        peer.pump(now);
                    }
                }
                peer.check_books();
            }
            Self::Authority(authority) => {
                if now < authority.next {
                    return;
                }
                authority.next = now + Duration::from_millis(200);
                if authority.is_planning {
                    let hosts: Vec<_> = authority
                        .hosts
                        .iter()
                        .map(|(life, state)| Host {
                            life: life.clone(),
                            weight: 1,
                            state: *state,
                        })
                        .collect();
                    let commands = authority
                        .map
                        .kind(KIND)
                        .map(|kind| plan(KIND, kind, &hosts, authority.limits));
                    for command in commands.unwrap_or_default() {
                        authority.apply(&command);
                    }
                }
                let slots = authority.slots();
                for (at, (_, owner, _)) in (0..).zip(slots) {
                    let lives = owner.is_some_and(|owner| !authority.gone.contains(&owner));
                    if lives {
                        authority.unowned.remove(&at);
                    } else {
                        let since = *authority.unowned.entry(at).or_insert(now);
                        authority.unowned_max = authority.unowned_max.max(now - since);
                    }
                }
                if authority.told.0 != authority.version
                    || now >= authority.told.1 + Duration::from_secs(1)
                {
                    authority.told = (authority.version, now);
                    authority.tell_all();
                }
            }
        }
    }

    fn poll_transmit(&mut self) -> Option<Datagram> {
        match self {
            Self::Peer(peer) => peer.transmits.pop_front(),
            Self::Authority(authority) => authority.transmits.pop_front(),
        }
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        match self {
            Self::Peer(peer) => {
                let actors = peer.actors.values();
                let busy = actors.filter(|actor| !actor.inbox.is_empty() || actor.is_stopping);
                let next = busy.map(|actor| actor.busy_until).min();
                [peer.region.poll_timeout(), next]
                    .into_iter()
                    .flatten()
                    .min()
            }
            Self::Authority(authority) => Some(authority.next),
        }
    }

    fn poll_event(&mut self) -> Option<()> {
        None
    }
}

/// A whole cluster.
pub(super) struct World {
    pub(super) net: Network<Seat>,
    pub(super) ledger: Rc<RefCell<Ledger>>,
    pub(super) settings: Settings,
    pub(super) lives: Vec<Life>,
    pub(super) keys: u64,
    /// Milliseconds between two asks of one peer, at most.
    pub(super) pace: u64,
    pub(super) random: Random,
}

impl World {
    pub(super) fn new(seed: u64, weather: Weather, peers: usize, settings: Settings) -> Self {
        let mut net = Network::new(seed, weather);
        let start = net.start();
        net.add(
            authority(),
            Incarnation(1),
            Seat::Authority(Box::new(Authority::new(start))),
        );
        let mut world = Self {
            net,
            ledger: Rc::default(),
            settings,
            lives: Vec::new(),
            keys: 30,
            pace: 30,
            random: Random::new(seed),
        };
        for n in 0..peers {
            let life = Life {
                peer: PeerId::new(&format!("peer-{n}")).unwrap(),
                incarnation: Incarnation(1),
            };
            let start = world.net.start();
            let peer = Peer::new(life.clone(), world.settings.clone(), &world.ledger, start);
            world.net.add(
                life.peer.clone(),
                life.incarnation,
                Seat::Peer(Box::new(peer)),
            );
            world.set(&life, HostState::Up);
            world.lives.push(life);
        }
        world.net.connect_all();
        world
    }

    pub(super) fn authority<R>(&mut self, call: impl FnOnce(&mut Authority) -> R) -> R {
        self.net.with(&authority(), |seat, _| match seat {
            Seat::Authority(authority) => call(authority),
            Seat::Peer(_) => unreachable!("the authority's seat"),
        })
    }

    pub(super) fn peer<R>(&mut self, n: usize, call: impl FnOnce(&mut Peer, Instant) -> R) -> R {
        let peer = self.lives[n].peer.clone();
        self.net.with(&peer, |seat, now| match seat {
            Seat::Peer(peer) => call(peer, now),
            Seat::Authority(_) => unreachable!("a peer's seat"),
        })
    }

    pub(super) fn set(&mut self, life: &Life, state: HostState) {
        let life = life.clone();
        self.authority(|authority| authority.hosts.insert(life, state));
    }

    pub(super) fn is_running(&self, n: usize) -> bool {
        self.net.is_running(&self.lives[n].peer)
    }

    /// Everybody who runs asks somebody, at random times, for so long.
    pub(super) fn load(&mut self, time: Duration, senders: &[usize]) {
        let end = self.net.now() + time;
        while self.net.now() < end {
            for &n in senders {
                if self.is_running(n) {
                    let key = self.random.below(self.keys);
                    self.peer(n, |peer, now| peer.ask(key, now));
                }
            }
            let pause = 1 + self.random.below(self.pace);
            self.net.run_for(Duration::from_millis(pause));
        }
    }

    pub(super) fn crash(&mut self, n: usize) {
        let life = self.lives[n].clone();
        self.note_barriers(n);
        self.net.crash(&life.peer);
        self.ledger.borrow_mut().crash(&life);
    }

    /// Declared down by the others, or left.
    pub(super) fn gone(&mut self, n: usize) {
        let life = self.lives[n].clone();
        self.authority(|authority| authority.remove(&life));
    }

    /// As another life; the one before must be gone or will be.
    pub(super) fn restart(&mut self, n: usize) {
        if !self.net.is_crashed(&self.lives[n].peer) {
            self.crash(n);
        }
        self.lives[n].incarnation.0 += 1;
        let life = self.lives[n].clone();
        let start = self.net.start();
        let peer = Peer::new(life.clone(), self.settings.clone(), &self.ledger, start);
        self.net
            .restart(&life.peer, life.incarnation, Seat::Peer(Box::new(peer)));
        self.set(&life, HostState::Up);
    }

    fn note_barriers(&mut self, n: usize) {
        let cut = self.peer(n, |peer, _| peer.region.counts().barriers_cut_short);
        self.ledger.borrow_mut().barriers += cut;
    }

    /// All barriers that were not waited for.
    pub(super) fn barriers(&mut self) -> u64 {
        let all = 0..self.lives.len();
        let now: u64 = all
            .map(|n| self.peer(n, |peer, _| peer.region.counts().barriers_cut_short))
            .sum();
        now + self.ledger.borrow().barriers
    }

    /// Until everything has an owner, nothing moves and nothing waits.
    pub(super) fn settle(&mut self, limit: Duration) {
        let all: Vec<_> = (0..self.lives.len())
            .filter(|n| self.is_running(*n))
            .collect();
        let lives: Vec<_> = all.iter().map(|n| self.lives[*n].peer.clone()).collect();
        let is_quiet = self.net.run_until(limit, Duration::from_millis(50), |net| {
            let slots = match net.machine(&authority()) {
                Seat::Authority(authority) => authority.slots(),
                Seat::Peer(_) => unreachable!(),
            };
            let owned = !slots.is_empty()
                && slots.iter().all(|(_, owner, moves)| {
                    !moves
                        && owner
                            .as_ref()
                            .is_some_and(|owner| lives.contains(&owner.peer))
                });
            owned
                && lives.iter().all(|peer| match net.machine(peer) {
                    Seat::Peer(peer) => {
                        peer.region.counts().waiting == 0
                            && peer.actors.values().all(|actor| actor.inbox.is_empty())
                    }
                    Seat::Authority(_) => unreachable!(),
                })
        });
        let slots = self.authority(|authority| authority.slots());
        assert!(is_quiet, "not settled: {slots:?}");
        // What is under way arrives.
        self.net.run_for(Duration::from_secs(2));
    }
}

//! Groups between peers: who is in which, told by each peer of its own actors to every other.
//!
//! ```text
//!  A, which owns a log                          B, which keeps a copy of it
//!   join ── Delta(from 7 to 8) ───────────────►  applies, known = 8
//!        ◄───────────────────── Digest(known 8)
//! ```
//!
//! Each peer speaks of its own members only, over its own connection, and is believed of these alone: no peer can
//! put another's actors into a group or take them out. It is not gossip in the sense that a third peer passes it
//! on: a member that we have no connection to could not be sent anything either. So a join is one hop from being
//! known everywhere, and a peer that is gone takes its members along at once.
//!
//! One chunk is on its way to a reader at a time. What changes meanwhile goes with the next, so that ten thousand
//! joins in a row are some two hundred datagrams, not ten thousand, and a slow connection is never filled. A
//! reader asks for news until it gets an answer, and from then on at long intervals and after every break of the
//! connection, so whatever was lost is said again.
//!
//! Pure: see `datagram.rs` for the calls. What a life of a peer said is dropped when the view of the members no
//! longer has that life, and believed only while it has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::copy::{Copy, News, TooMuch};
use super::entry::{Entry, GroupLimits, JoinError, Member, MemberId, check_name};
use super::frames::{CHANGES_BYTES, Delta, Digest, Frame, Position};
use super::log::{Joined, Log};
use super::rendezvous::mix;
use crate::datagram::Datagram;
use crate::id::{Incarnation, PeerId};
use crate::membership::MemberState;
use crate::wire::codec::DecodeError;

/// How a machine is set up.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) own: PeerId,
    pub(crate) incarnation: Incarnation,
    pub(crate) limits: GroupLimits,
    /// How long until a first question is asked again; each time twice as long, up to `interval`.
    pub(crate) repeat: Duration,
    /// How often every peer is asked for news that was lost.
    pub(crate) interval: Duration,
    /// Bytes of changes in one datagram, about.
    pub(crate) chunk: usize,
    /// What spreads the questions over time.
    pub(crate) seed: u64,
}

impl Config {
    pub(crate) fn new(own: PeerId, incarnation: Incarnation, seed: u64) -> Self {
        Self {
            own,
            incarnation,
            limits: GroupLimits::default(),
            repeat: Duration::from_millis(500),
            interval: Duration::from_secs(5),
            chunk: CHANGES_BYTES,
            seed,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Joined {
        group: Arc<str>,
        member: Member,
    },
    /// It was in the group; its weight is another now, or its peer is seen otherwise.
    Changed {
        group: Arc<str>,
        member: Member,
    },
    Left {
        group: Arc<str>,
        member: Member,
        why: Left,
    },
    /// A peer has more in groups than is taken from one. None of its members are listed until its next life.
    Refused {
        peer: PeerId,
        why: TooMuch,
    },
    /// Bytes that are none of ours. They were dropped.
    Malformed {
        peer: PeerId,
        error: DecodeError,
    },
}

/// Why an actor is in a group no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Left {
    /// It was taken out, or it stopped.
    Gone,
    /// Its peer is gone, or is in another life.
    PeerGone,
}

/// The machine.
#[derive(Debug)]
pub(crate) struct Groups {
    config: Config,
    log: Log,
    peers: BTreeMap<PeerId, Peer>,
    groups: BTreeMap<Arc<str>, BTreeMap<MemberId, Member>>,
    /// When each peer is asked next.
    timers: BTreeSet<(Instant, PeerId)>,
    /// Whom a digest is to be sent.
    digests: BTreeSet<PeerId>,
    /// Whom a delta is to be sent, and where the peer is in our log.
    deltas: BTreeMap<PeerId, Position>,
    events: VecDeque<Event>,
    draws: u64,
}

/// A machine of groups, or the way to one that others ask too.
pub(crate) trait Drive {
    /// Works at the machine. Its events belong to whoever has it.
    fn drive<T>(&mut self, work: impl FnOnce(&mut Groups) -> T) -> T;
}

impl Drive for Groups {
    fn drive<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        work(self)
    }
}

/// One life of another peer.
#[derive(Debug)]
struct Peer {
    incarnation: Incarnation,
    /// How it is seen from here.
    state: MemberState,
    copy: Copy,
    /// It has put more into groups than we take.
    is_refused: bool,
    /// Whether it has answered since we last had reason to doubt that.
    is_answered: bool,
    /// How long it has for the next answer.
    patience: Duration,
    ask_at: Instant,
    /// It wants to know where we are.
    asks_position: bool,
    /// Whether our next digest asks for an answer.
    asking: bool,
    /// Where it is in our log, when it has told.
    position: Option<Position>,
    /// A chunk is on its way to it.
    in_flight: bool,
}

impl Groups {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            log: Log::new(config.limits.clone()),
            config,
            peers: BTreeMap::new(),
            groups: BTreeMap::new(),
            timers: BTreeSet::new(),
            digests: BTreeSet::new(),
            deltas: BTreeMap::new(),
            events: VecDeque::new(),
            draws: 0,
        }
    }

    /// Puts an actor of this peer into a group, or changes what is said of it there.
    pub(crate) fn join(&mut self, group: &str, entry: Entry) -> Result<(), JoinError> {
        check_name(group)?;
        let group = self.name(group);
        let member = self.own_member(&entry);
        match self.log.join(&group, entry)? {
            Joined::Same => return Ok(()),
            Joined::New => self.enter(group, member),
            Joined::Changed => self.change(group, member),
        }
        self.tell_all();
        Ok(())
    }

    /// Takes it out; whether it was in.
    pub(crate) fn leave(&mut self, group: &str, number: u64) -> bool {
        let group = self.name(group);
        if !self.log.leave(&group, number) {
            return false;
        }
        let id = self.own_id(number);
        self.exit(&group, &id, Left::Gone);
        self.tell_all();
        true
    }

    /// Takes it out of all groups.
    pub(crate) fn leave_all(&mut self, number: u64) {
        for group in self.log.groups_of(number) {
            self.leave(&group, number);
        }
    }

    /// The groups that an actor of this peer is in.
    pub(crate) fn groups_of(&self, number: u64) -> Vec<Arc<str>> {
        self.log.groups_of(number)
    }

    /// The members of a group, in the order of their ids: the same on all peers that know the same.
    pub(crate) fn members(&self, group: &str) -> impl Iterator<Item = &Member> {
        self.groups
            .get(group)
            .into_iter()
            .flat_map(BTreeMap::values)
    }

    /// All groups that have members.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        self.groups.keys()
    }

    /// All groups that have members, and how many.
    pub(crate) fn sizes(&self) -> impl Iterator<Item = (Arc<str>, usize)> {
        let groups = self.groups.iter();
        groups.map(|(name, members)| (name.clone(), members.len()))
    }

    /// Memberships, of this peer and of all others.
    pub(crate) fn entries(&self) -> (usize, usize) {
        let others = self.peers.values().map(|peer| peer.copy.len()).sum();
        (self.log.len(), others)
    }

    /// Who is there: each peer that lives (reachable or not) with its life, whether or not it was said before.
    pub(crate) fn handle_members<'a>(
        &mut self,
        view: impl IntoIterator<Item = (&'a PeerId, Incarnation)>,
        now: Instant,
    ) {
        let view: BTreeMap<&PeerId, Incarnation> = view.into_iter().collect();
        let gone: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|(id, peer)| view.get(id) != Some(&peer.incarnation))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.drop_peer(&id);
        }
        for (id, incarnation) in view {
            if *id == self.config.own || self.peers.contains_key(id) {
                continue;
            }
            let peer = Peer {
                incarnation,
                state: MemberState::Up,
                copy: Copy::default(),
                is_refused: false,
                is_answered: false,
                patience: self.config.repeat,
                ask_at: now,
                asks_position: false,
                asking: false,
                position: None,
                in_flight: false,
            };
            self.peers.insert(id.clone(), peer);
            self.timers.insert((now, id.clone()));
            self.ask(id, now);
        }
    }

    /// How a peer that is there is seen now.
    pub(crate) fn handle_state(&mut self, id: &PeerId, state: MemberState) {
        let Some(peer) = self.peers.get_mut(id) else {
            return;
        };
        if std::mem::replace(&mut peer.state, state) == state {
            return;
        }
        for (group, number) in peer.copy.keys() {
            let id = MemberId {
                peer: id.clone(),
                incarnation: peer.incarnation,
                number: *number,
            };
            let members = self.groups.get_mut(group);
            if let Some(member) = members.and_then(|members| members.get_mut(&id)) {
                member.peer_state = state;
                let (group, member) = (Arc::clone(group), member.clone());
                self.events.push_back(Event::Changed { group, member });
            }
        }
    }

    /// This life talks to nobody any more: what the others said is over.
    pub(crate) fn forget_peers(&mut self) {
        let all: Vec<_> = self.peers.keys().cloned().collect();
        for id in all {
            self.drop_peer(&id);
        }
    }

    /// This life is over. What it had in groups itself is handed on to the next.
    pub(crate) fn close(&mut self) -> Vec<(Arc<str>, Entry)> {
        self.forget_peers();
        let own: Vec<_> = self.log.all().cloned().collect();
        for (group, entry) in &own {
            let id = self.own_id(entry.number);
            self.exit(group, &id, Left::PeerGone);
        }
        self.log = Log::new(self.config.limits.clone());
        own
    }

    /// There is a connection to a peer again, or for the first time: what was sent before may be lost.
    pub(crate) fn handle_connected(&mut self, id: &PeerId, now: Instant) {
        if let Some(peer) = self.peers.get_mut(id) {
            peer.is_answered = false;
            peer.patience = self.config.repeat;
            peer.position = None;
            peer.in_flight = false;
            self.deltas.remove(id);
            self.ask(id, now);
        }
    }

    pub(crate) fn handle_datagram(&mut self, from: &PeerId, bytes: &[u8], now: Instant) {
        match Frame::decode(bytes) {
            Ok(Frame::Digest(digest)) => self.handle_digest(from, &digest),
            Ok(Frame::Delta { owner, delta }) => self.handle_delta(from, owner, delta, now),
            Err(error) => {
                let peer = from.clone();
                self.events.push_back(Event::Malformed { peer, error });
            }
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, id)) = self.timers.first().cloned() {
            if at > now {
                return;
            }
            self.ask(&id, now);
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Datagram> {
        while let Some(to) = self.digests.pop_first() {
            if let Some(bytes) = self.digest_for(&to) {
                return Some(Datagram { to, bytes });
            }
        }
        let (to, position) = self.deltas.pop_first()?;
        let delta = self.log.chunk(position, self.config.chunk);
        if let Some(peer) = self.peers.get_mut(&to) {
            // One that says nothing is not acknowledged.
            peer.in_flight = delta.to > position.known || delta.sweep;
        }
        let bytes = delta.encode(self.config.incarnation);
        Some(Datagram { to, bytes })
    }

    fn handle_digest(&mut self, from: &PeerId, digest: &Digest) {
        if digest.owner != self.config.incarnation || *from == self.config.own {
            // It reads the log of another life.
            return;
        }
        let position = digest.position;
        let mut tells = digest.answer_wanted;
        if let Some(peer) = self.peers.get_mut(from)
            && peer.incarnation == digest.reader
        {
            peer.position = Some(position);
            peer.in_flight = false;
            tells |= self.log.has_news_for(position);
            if digest.position_wanted {
                peer.asks_position = true;
                self.digests.insert(from.clone());
            }
        }
        // Who is no member as we see it is answered and not remembered: it may see us before we see it.
        if tells {
            self.deltas.insert(from.clone(), position);
        }
    }

    fn handle_delta(&mut self, from: &PeerId, owner: Incarnation, delta: Delta, now: Instant) {
        let Some(peer) = self.peers.get_mut(from) else {
            return;
        };
        if peer.incarnation != owner {
            return;
        }
        let said_something = delta.to > delta.from || delta.sweep;
        let mut news = Vec::new();
        if !peer.is_refused
            && let Err(why) = peer.copy.apply(delta, &self.config.limits, &mut news)
        {
            peer.is_refused = true;
            self.refuse(from, owner, news, why);
            return;
        }
        let is_refused = peer.is_refused;
        let was_answered = std::mem::replace(&mut peer.is_answered, true);
        peer.patience = self.config.repeat;
        for each in news {
            self.publish(from, owner, each);
        }
        if said_something && !is_refused {
            self.digests.insert(from.clone());
        }
        if !was_answered {
            let again = now + self.spread(self.config.interval);
            self.ask_again_at(from, again);
        }
    }

    /// Drops all that a peer has said.
    fn refuse(&mut self, from: &PeerId, life: Incarnation, news: Vec<News>, why: TooMuch) {
        for each in news {
            self.publish(from, life, each);
        }
        let copy = match self.peers.get_mut(from) {
            Some(peer) => std::mem::take(&mut peer.copy),
            None => Copy::default(),
        };
        self.drop_copy(from, life, &copy);
        let peer = from.clone();
        self.events.push_back(Event::Refused { peer, why });
    }

    fn publish(&mut self, from: &PeerId, incarnation: Incarnation, news: News) {
        let id = |number| MemberId {
            peer: from.clone(),
            incarnation,
            number,
        };
        let state = self.peers.get(from).map(|peer| peer.state);
        let state = state.unwrap_or(MemberState::Up);
        match news {
            News::Joined(group, entry) => {
                let member = member(id(entry.number), entry, state);
                self.enter(group, member);
            }
            News::Changed(group, entry) => {
                let member = member(id(entry.number), entry, state);
                self.change(group, member);
            }
            News::Left(group, number) => self.exit(&group, &id(number), Left::Gone),
        }
    }

    fn enter(&mut self, group: Arc<str>, member: Member) {
        let members = self.groups.entry(Arc::clone(&group)).or_default();
        members.insert(member.id.clone(), member.clone());
        self.events.push_back(Event::Joined { group, member });
    }

    fn change(&mut self, group: Arc<str>, member: Member) {
        let members = self.groups.entry(Arc::clone(&group)).or_default();
        members.insert(member.id.clone(), member.clone());
        self.events.push_back(Event::Changed { group, member });
    }

    fn exit(&mut self, group: &Arc<str>, id: &MemberId, why: Left) {
        let Some(members) = self.groups.get_mut(group) else {
            return;
        };
        let Some(member) = members.remove(id) else {
            return;
        };
        if members.is_empty() {
            self.groups.remove(group);
        }
        let group = Arc::clone(group);
        self.events.push_back(Event::Left { group, member, why });
    }

    fn drop_peer(&mut self, id: &PeerId) {
        if let Some(peer) = self.peers.remove(id) {
            self.timers.remove(&(peer.ask_at, id.clone()));
            self.digests.remove(id);
            self.deltas.remove(id);
            self.drop_copy(id, peer.incarnation, &peer.copy);
        }
    }

    fn drop_copy(&mut self, id: &PeerId, incarnation: Incarnation, copy: &Copy) {
        for (group, number) in copy.keys() {
            let id = MemberId {
                peer: id.clone(),
                incarnation,
                number: *number,
            };
            self.exit(group, &id, Left::PeerGone);
        }
    }

    /// Something is new in our log.
    fn tell_all(&mut self) {
        for (id, peer) in &self.peers {
            if let Some(position) = peer.position
                && !peer.in_flight
            {
                self.deltas.insert(id.clone(), position);
            }
        }
    }

    /// Asks a peer now, and again unless it answers soon.
    fn ask(&mut self, id: &PeerId, now: Instant) {
        let interval = self.config.interval;
        let Some(peer) = self.peers.get_mut(id) else {
            return;
        };
        peer.asking = true;
        peer.is_answered = false;
        let wait = peer.patience;
        peer.patience = wait.saturating_mul(2).min(interval);
        self.digests.insert(id.clone());
        self.ask_again_at(id, now + wait);
    }

    fn ask_again_at(&mut self, id: &PeerId, at: Instant) {
        if let Some(peer) = self.peers.get_mut(id) {
            self.timers.remove(&(peer.ask_at, id.clone()));
            peer.ask_at = at;
            self.timers.insert((at, id.clone()));
        }
    }

    fn digest_for(&mut self, to: &PeerId) -> Option<Vec<u8>> {
        let peer = self.peers.get_mut(to)?;
        peer.asks_position = false;
        let answer_wanted = std::mem::take(&mut peer.asking) && !peer.is_refused;
        let digest = Digest {
            reader: self.config.incarnation,
            owner: peer.incarnation,
            position: peer.copy.position(),
            answer_wanted,
            position_wanted: peer.position.is_none(),
        };
        Some(digest.encode())
    }

    /// From three quarters of a time to all of it.
    fn spread(&mut self, time: Duration) -> Duration {
        self.draws = self.draws.wrapping_add(1);
        let draw = mix(self.config.seed ^ self.draws) >> 32;
        let quarter = time / 4;
        let part = (u128::from(draw) * quarter.as_nanos()) >> 32;
        time - quarter + Duration::from_nanos(u64::try_from(part).unwrap_or(0))
    }

    /// A group's name, the one that is there already if there is one.
    fn name(&self, group: &str) -> Arc<str> {
        match self.groups.get_key_value(group) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(group),
        }
    }

    fn own_id(&self, number: u64) -> MemberId {
        MemberId {
            peer: self.config.own.clone(),
            incarnation: self.config.incarnation,
            number,
        }
    }

    fn own_member(&self, entry: &Entry) -> Member {
        member(self.own_id(entry.number), entry.clone(), MemberState::Up)
    }
}

fn member(id: MemberId, entry: Entry, peer_state: MemberState) -> Member {
    Member {
        id,
        actor_type: entry.actor_type,
        numa_node: entry.numa_node,
        weight: entry.weight,
        peer_state,
        key: entry.key,
    }
}

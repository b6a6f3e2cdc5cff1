//! The machine: what comes from other peers and from the clock goes in, the view and what to do comes out.
//!
//! `swim.rs` holds foca, which keeps its own list; this file keeps a second one beside it, of what foca does
//! not know: since when, in which of our states, with which profile, who accuses. It follows foca's list change by
//! change (`Told`), in order.

mod decide;
mod exchange;
mod follow;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use foca::{Member as FocaMember, State};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::codec;
use super::downing::Voting;
use super::event::{Event, MemberChange, MemberEvent, RestartReason};
use super::facts::Fact;
use super::identity::Identity;
use super::packet::{self, Packet};
use super::profile::Profile;
use super::settings::MembershipSettings;
use super::stability::Stability;
use super::suspicion::Suspicion;
use super::swim::Swim;
use super::view::{DownReason, Member, MemberState, View};
use crate::datagram::Datagram;
use crate::id::{Incarnation, PeerId};
use crate::transport::Endpoint;
use crate::wire::codec::Reader;

/// Refutations are counted up to here; the number above says of a member that is down that it has left by itself.
const REFUTED_MAX: u16 = u16::MAX - 1;
const LEFT: u16 = u16::MAX;

/// A wake-up that comes so much too late is our own fault: see `forgive`.
const GRACE: Duration = Duration::from_millis(50);

/// Profiles are asked for after so long, and again so often.
const ASK_AFTER: Duration = Duration::from_millis(50);
const ASK_EVERY: Duration = Duration::from_millis(300);

/// A member, beside what foca knows of it.
#[derive(Debug)]
struct Entry {
    id: Identity,
    refuted: u16,
    state: MemberState,
    since: Instant,
    suspicion: Option<Suspicion>,
    /// It has said that it will leave, whatever its state.
    leaving: bool,
    profile: Option<Arc<Profile>>,
    /// Of the profile we have, and of the newest there is; 0 is none.
    version: u32,
    newest: u32,
}

/// Who is there: see `README.md`.
pub(crate) struct Membership {
    own: Identity,
    profile: Arc<Profile>,
    profile_version: u32,
    began: Instant,
    settings: MembershipSettings,
    swim: Swim,
    rng: StdRng,
    members: BTreeMap<PeerId, Entry>,
    /// How many are in which state, by its number.
    counts: [usize; 6],
    suspects: BTreeSet<PeerId>,
    connected: BTreeMap<PeerId, Incarnation>,
    /// Connections that broke, and until when they may come back.
    lost: BTreeMap<PeerId, Instant>,
    /// Whose profile is asked for, and who told of them.
    wanted: BTreeMap<PeerId, PeerId>,
    ask_at: Option<Instant>,
    asked: u32,
    sync_at: Option<Instant>,
    syncs: u32,
    /// Who speaks, while a datagram is handled.
    informer: Option<PeerId>,
    /// Why a member that is declared down now is.
    declaring: Option<DownReason>,
    joined: bool,
    leaving: bool,
    over: bool,
    /// As what it is over.
    end: MemberState,
    isolated: bool,
    forgiven: bool,
    stability: Stability,
    /// Since when a decision waits for suspects.
    undecided: Option<Instant>,
    shape_changed: bool,
    voting: Option<Voting>,
    lease: Option<BTreeSet<PeerId>>,
    lease_at: Option<Instant>,
    version: u64,
    view: Option<Arc<View>>,
    out: VecDeque<Datagram>,
    events: VecDeque<Event>,
    refused: u64,
}

impl Membership {
    /// A peer that knows nobody. `seed` is all its chance.
    pub(crate) fn new(
        peer: PeerId,
        incarnation: Incarnation,
        profile: Profile,
        settings: MembershipSettings,
        seed: u64,
        now: Instant,
    ) -> Self {
        let endpoint = profile.endpoints().first().cloned();
        let own = Identity::new(peer, incarnation, endpoint);
        let stability = Stability::new(settings.stable_after, settings.unstable_after);
        Self {
            swim: Swim::new(own.clone(), &settings, seed, now),
            rng: StdRng::seed_from_u64(seed ^ 0x6d65_6d62),
            own,
            profile: Arc::new(profile),
            profile_version: 1,
            began: now,
            settings,
            members: BTreeMap::new(),
            counts: [0; 6],
            suspects: BTreeSet::new(),
            connected: BTreeMap::new(),
            lost: BTreeMap::new(),
            wanted: BTreeMap::new(),
            ask_at: None,
            asked: 0,
            sync_at: None,
            syncs: 0,
            informer: None,
            declaring: None,
            joined: false,
            leaving: false,
            over: false,
            end: MemberState::Down,
            isolated: false,
            forgiven: false,
            stability,
            undecided: None,
            shape_changed: false,
            voting: None,
            lease: None,
            lease_at: None,
            version: 1,
            view: None,
            out: VecDeque::new(),
            events: VecDeque::new(),
            refused: 0,
        }
    }

    // ---- What the owner wants

    /// Looks for others at these addresses. May be called again, with others, at any time.
    pub(crate) fn join(&mut self, seeds: impl IntoIterator<Item = Endpoint>) {
        if self.over {
            return;
        }
        for endpoint in seeds {
            if !self.profile.endpoints().contains(&endpoint) {
                let peer = None;
                self.events.push_back(Event::Dial { peer, endpoint });
            }
        }
    }

    /// Tells everybody that we will leave: no new work for us. `depart` ends it.
    pub(crate) fn leave(&mut self, now: Instant) {
        if self.over || self.leaving {
            return;
        }
        self.leaving = true;
        self.touch();
        let (peer, incarnation) = (self.own.peer.clone(), self.own.incarnation);
        self.swim.spread(&Fact::Leaving { peer, incarnation });
        self.send_all(&packet::leaving(incarnation));
        self.absorb(now);
    }

    /// Leaves: everybody is told, and this machine is at its end.
    pub(crate) fn depart(&mut self) {
        if self.over {
            return;
        }
        self.send_all(&packet::left(self.own.incarnation));
        self.over = true;
        self.end = MemberState::Left;
        self.touch();
        self.events.push_back(Event::Departed);
    }

    /// Declares a member down, whoever asked for it; whether it is one that can be.
    pub(crate) fn declare_down(&mut self, peer: &PeerId, now: Instant) -> bool {
        let alive = |entry: &&Entry| !entry.state.is_over();
        let Some(entry) = self.members.get(peer).filter(alive) else {
            return false;
        };
        let down = FocaMember::new(entry.id.clone(), entry.refuted, State::Down);
        self.declaring = Some(DownReason::Asked);
        self.swim.apply([down].into_iter(), true, now);
        self.absorb(now);
        self.declaring = None;
        true
    }

    /// Says something else about ourselves from now on.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn set_profile(&mut self, profile: Profile, now: Instant) {
        if self.over || profile == *self.profile {
            return;
        }
        self.profile = Arc::new(profile);
        self.profile_version = self.profile_version.saturating_add(1);
        self.touch();
        self.swim.spread(&Fact::Profile {
            peer: self.own.peer.clone(),
            incarnation: self.own.incarnation,
            version: self.profile_version,
        });
        self.absorb(now);
    }

    /// Another peer refuses our connection because this life was declared down.
    pub(crate) fn handle_declared_dead(&mut self) {
        self.stop(RestartReason::DeclaredDown);
    }

    // ---- What comes

    pub(crate) fn handle_connected(
        &mut self,
        peer: &PeerId,
        incarnation: Incarnation,
        now: Instant,
    ) {
        if self.over || *peer == self.own.peer {
            return;
        }
        self.connected.insert(peer.clone(), incarnation);
        self.lost.remove(peer);
        self.send_own_profile(peer);
        let is_news = self.members.get(peer).is_none_or(|entry| {
            entry.id.incarnation != incarnation
                || entry.state.is_over()
                || entry.suspicion.is_some()
        });
        if is_news || !self.joined {
            self.send_sync(peer.clone(), true);
        }
        self.absorb(now);
    }

    pub(crate) fn handle_disconnected(&mut self, peer: &PeerId, now: Instant) {
        self.connected.remove(peer);
        if self.over {
            return;
        }
        let alive = |entry: &Entry| !entry.state.is_over();
        if self.members.get(peer).is_some_and(alive) {
            let patience = self.swim.health().patience();
            let until = now + self.settings.reconnect_grace * patience;
            self.lost.insert(peer.clone(), until);
        }
    }

    pub(crate) fn handle_datagram(&mut self, from: &PeerId, bytes: &[u8], now: Instant) {
        if self.over || *from == self.own.peer {
            return;
        }
        self.informer = Some(from.clone());
        let taken = match Packet::decode(bytes) {
            Ok(packet) => self.take(from, packet, now),
            Err(_) => false,
        };
        self.refused += u64::from(!taken);
        self.absorb(now);
        self.informer = None;
    }

    fn take(&mut self, from: &PeerId, packet: Packet<'_>, now: Instant) -> bool {
        match packet {
            Packet::Swim(bytes) => {
                let Ok(header) = codec::header(&mut Reader::new(bytes)) else {
                    return false;
                };
                self.speaks(from, header.src.incarnation)
                    && header.src.peer == *from
                    && self.has_room(from)
                    && self.swim.data(bytes, now)
            }
            Packet::Sync { back, members } => self.take_sync(from, back, members, now),
            Packet::Wishes(wishes) => {
                self.grant(from, &wishes);
                true
            }
            Packet::Profiles(profiles) => {
                for told in profiles {
                    self.take_profile(told, now);
                }
                true
            }
            Packet::Leaving(incarnation) => {
                let known = self.speaks(from, incarnation);
                if known {
                    self.take_leaving(from, incarnation, now);
                }
                known
            }
            Packet::Left(incarnation) => {
                let Some(entry) = self.members.get(from) else {
                    return false;
                };
                let known = self.speaks(from, incarnation) && entry.id.incarnation == incarnation;
                if known {
                    let left = FocaMember::new(entry.id.clone(), LEFT, State::Down);
                    self.swim.apply([left].into_iter(), true, now);
                }
                known
            }
        }
    }

    /// Whether that life of a peer is the one at the other end of its connection.
    fn speaks(&self, from: &PeerId, incarnation: Incarnation) -> bool {
        self.connected.get(from).is_none_or(|at| *at == incarnation)
    }

    /// Whether there is room for more members than are known, or the speaker is known. A packet of foca's brings 200 at
    /// most.
    fn has_room(&self, from: &PeerId) -> bool {
        self.members.len() < self.settings.members_max || self.members.contains_key(from)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.over || self.forgive(now) {
            return;
        }
        for id in self.swim.timeout(now) {
            let over = |entry: &Entry| entry.id == id && entry.state.is_over();
            if self.members.get(&id.peer).is_some_and(over) {
                self.forget(&id.peer);
            }
        }
        self.absorb(now);
        self.suspect_the_lost(now);
        self.believe(now);
        self.ask_for_profiles(now);
        if self.sync_at.is_some_and(|at| now >= at) {
            self.sync_with_one(now);
        }
        self.absorb(now);
        self.decide(now);
    }

    /// Called much too late, we have been asleep: stopped, swapped out, starved. Answers that came meanwhile are still
    /// in our buffers, so nobody is accused on account of it (G04): all that is due is put off by the time we were away
    /// and a little more, once, and we think less of our own health.
    fn forgive(&mut self, now: Instant) -> bool {
        let due = self.poll_timeout();
        let late = due.map_or(Duration::ZERO, |due| now.saturating_duration_since(due));
        if late <= self.settings.probe_timeout || self.forgiven {
            self.forgiven = false;
            return false;
        }
        self.forgiven = true;
        self.swim.health().worsen();
        let by = late + GRACE;
        self.swim.shift(by);
        self.stability.shift(by);
        for peer in &self.suspects {
            if let Some(Entry {
                suspicion: Some(suspicion),
                ..
            }) = self.members.get_mut(peer)
            {
                suspicion.since += by;
            }
        }
        let times = [&mut self.ask_at, &mut self.sync_at, &mut self.lease_at];
        let times = times.into_iter().flatten().chain(self.lost.values_mut());
        times.for_each(|time| *time += by);
        true
    }

    // ---- What goes out

    pub(crate) fn poll_transmit(&mut self) -> Option<Datagram> {
        if let Some(datagram) = self.out.pop_front() {
            return Some(datagram);
        }
        let datagram = self.swim.poll_transmit();
        // Of what foca wanted to say in a life that is over, it is the last word that counts, and we have said it.
        datagram.filter(|_| !self.over)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let believed = self.suspects.iter().filter_map(|peer| self.deadline(peer));
        let times = [
            self.swim.poll_timeout(),
            self.ask_at,
            self.sync_at,
            self.lease_at,
            self.stability.deadline(),
        ];
        let times = times.into_iter().flatten();
        times
            .chain(believed)
            .chain(self.lost.values().copied())
            .min()
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// All members as we know them now.
    pub(crate) fn view(&mut self) -> Arc<View> {
        if let Some(view) = &self.view {
            return view.clone();
        }
        let mut members: Vec<_> = self.members.values().map(Entry::member).collect();
        let own = Member {
            peer: self.own.peer.clone(),
            incarnation: self.own.incarnation,
            state: match (self.over, self.leaving) {
                (true, _) => self.end,
                (false, true) => MemberState::Leaving,
                (false, false) => MemberState::Up,
            },
            since: self.began,
            profile: Some(self.profile.clone()),
        };
        let at = members.partition_point(|member| member.peer < own.peer);
        members.insert(at, own);
        let view = Arc::new(View {
            version: self.version,
            own: self.own.peer.clone(),
            members,
        });
        self.view = Some(view.clone());
        view
    }

    pub(crate) fn own(&self) -> &Identity {
        &self.own
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_isolated(&self) -> bool {
        self.isolated
    }

    /// Members that are up, ourselves among them.
    pub(crate) fn up(&self) -> usize {
        self.counts[number(MemberState::Up)] + 1
    }

    /// 0 is well, 7 as bad as it gets.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn health_score(&mut self) -> u32 {
        self.swim.health().score()
    }

    /// Datagrams that were no datagrams of ours.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// Where a member is dialled.
    pub(crate) fn endpoint(&self, peer: &PeerId) -> Option<Endpoint> {
        let entry = self.members.get(peer)?;
        entry.id.endpoint.as_deref().cloned()
    }

    // ---- Inside

    fn touch(&mut self) {
        self.version += 1;
        self.view = None;
    }

    fn tell(&mut self, peer: &PeerId, change: MemberChange) {
        self.touch();
        if let Some(entry) = self.members.get(peer) {
            self.events.push_back(Event::Member(MemberEvent {
                version: self.version,
                member: entry.member(),
                change,
            }));
        }
    }

    /// This life is over.
    fn stop(&mut self, why: RestartReason) {
        if self.over {
            return;
        }
        self.over = true;
        self.touch();
        self.out.clear();
        let above = match why {
            RestartReason::Replaced { by } => by,
            _ => self.own.incarnation,
        };
        self.events.push_back(Event::MustRestart { why, above });
    }

    fn send_all(&mut self, bytes: &[u8]) {
        let live = self.members.iter().filter(|(_, e)| !e.state.is_over());
        let datagrams = live.map(|(to, _)| Datagram {
            to: to.clone(),
            bytes: bytes.to_vec(),
        });
        self.out.extend(datagrams);
    }

    /// One of the members that are up, by chance.
    fn anybody(&mut self) -> Option<PeerId> {
        let up = self.counts[number(MemberState::Up)];
        if up == 0 {
            return None;
        }
        let chosen = self.rng.random_range(0..up);
        let mut up = self
            .members
            .iter()
            .filter(|(_, e)| e.state == MemberState::Up);
        up.nth(chosen).map(|(peer, _)| peer.clone())
    }

    /// Live members and ourselves.
    fn alive(&self) -> usize {
        let over = self.counts[number(MemberState::Down)] + self.counts[number(MemberState::Left)];
        self.members.len() - over + 1
    }
}

impl Entry {
    fn member(&self) -> Member {
        Member {
            peer: self.id.peer.clone(),
            incarnation: self.id.incarnation,
            state: self.state,
            since: self.since,
            profile: self.profile.clone(),
        }
    }
}

fn number(state: MemberState) -> usize {
    match state {
        MemberState::Joining => 0,
        MemberState::Up => 1,
        MemberState::Unreachable => 2,
        MemberState::Leaving => 3,
        MemberState::Down => 4,
        MemberState::Left => 5,
    }
}

impl std::fmt::Debug for Membership {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Membership")
            .field("own", &self.own)
            .field("members", &self.members.len())
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

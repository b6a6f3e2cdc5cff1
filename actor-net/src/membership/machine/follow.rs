//! Following foca's list, change by change; suspicion on top of it.

use std::time::Instant;

use foca::{Member as FocaMember, State};

use super::super::codec::Told;
use super::super::event::{Event, MemberChange, RestartReason};
use super::super::facts::Fact;
use super::super::identity::Identity;
use super::super::suspicion::Suspicion;
use super::super::swim::is_alive;
use super::super::view::{DownReason, MemberState};
use super::{ASK_AFTER, Entry, LEFT, Membership, REFUTED_MAX, number};
use crate::id::{Incarnation, PeerId};

impl Membership {
    /// Takes in what foca has told, until it tells no more.
    pub(super) fn absorb(&mut self, now: Instant) {
        while !self.over {
            if let Some(told) = self.swim.poll_told() {
                match told {
                    Told::Member { id, refuted, state } => self.follow(id, refuted, state, now),
                    // Somebody suspected us, and was wrong or we were slow (G01).
                    Told::Refuted => self.swim.health().worsen(),
                    Told::Fact(fact) => self.learn(fact, now),
                }
            } else if let Some((id, refuted)) = self.swim.poll_failed() {
                let is_new = self
                    .members
                    .get(&id.peer)
                    .is_some_and(|entry| entry.accused_by(&self.own.peer).is_none());
                if is_new {
                    self.swim.health().worsen();
                    self.accuse(&id, refuted, now);
                }
            } else if self.swim.is_defunct() {
                self.stop(RestartReason::DeclaredDown);
            } else {
                break;
            }
        }
        if std::mem::take(&mut self.shape_changed) {
            self.look_around(now);
        }
    }

    /// A member is so now, in foca's list.
    pub(super) fn follow(&mut self, id: Identity, refuted: u16, state: State, now: Instant) {
        if id.peer == self.own.peer {
            if id.incarnation > self.own.incarnation && is_alive(state) {
                let by = id.incarnation;
                self.stop(RestartReason::Replaced { by });
            }
            return;
        }
        match self.members.get(&id.peer) {
            Some(entry) if entry.id.incarnation > id.incarnation => {}
            Some(entry) if entry.id.incarnation < id.incarnation => {
                let live = !entry.state.is_over();
                let peer = id.peer.clone();
                if live {
                    self.set_state(&peer, MemberState::Down, now);
                    let by = id.incarnation;
                    self.tell(&peer, MemberChange::Down(DownReason::Replaced { by }));
                }
                self.forget(&peer);
                self.insert(id, refuted, state, now);
            }
            Some(_) => self.change(&id, refuted, state, now),
            None => self.insert(id, refuted, state, now),
        }
    }

    fn insert(&mut self, id: Identity, refuted: u16, state: State, now: Instant) {
        let peer = id.peer.clone();
        let starts_as = match state {
            State::Down if refuted == LEFT => MemberState::Left,
            State::Down => MemberState::Down,
            State::Alive | State::Suspect => MemberState::Joining,
        };
        let entry = Entry {
            id: id.clone(),
            refuted,
            state: starts_as,
            since: now,
            suspicion: None,
            leaving: false,
            profile: None,
            version: 0,
            newest: 1,
        };
        self.members.insert(peer.clone(), entry);
        self.counts[number(starts_as)] += 1;
        self.touch();
        if starts_as.is_over() {
            return;
        }
        self.want_profile(peer.clone(), now);
        let size = self.alive();
        self.swim.resize(size);
        if let Some(endpoint) = id.endpoint.as_deref().cloned() {
            let peer = Some(peer);
            self.events.push_back(Event::Dial { peer, endpoint });
        }
        if !self.joined {
            self.joined = true;
            self.events.push_back(Event::Joined);
            self.schedule_sync(now);
        }
        if state == State::Suspect {
            self.change(&id, refuted, state, now);
        }
    }

    /// The same life, in another state.
    fn change(&mut self, id: &Identity, refuted: u16, state: State, now: Instant) {
        let peer = &id.peer;
        let Some(entry) = self.members.get_mut(peer) else {
            return;
        };
        if entry.state.is_over() {
            return;
        }
        match state {
            State::Alive => {
                entry.refuted = entry.refuted.max(refuted);
                let refutes = |suspicion: &Suspicion| refuted > suspicion.refuted;
                if entry.suspicion.as_ref().is_some_and(refutes) {
                    entry.suspicion = None;
                    self.suspects.remove(peer);
                    if entry.state == MemberState::Unreachable {
                        let back = entry.reachable_state();
                        self.set_state(peer, back, now);
                        self.tell(peer, MemberChange::ReachableAgain);
                    }
                }
            }
            State::Suspect => {
                entry.refuted = entry.refuted.max(refuted);
                let older = |suspicion: &Suspicion| suspicion.refuted < refuted;
                if entry.suspicion.as_ref().is_none_or(older) {
                    entry.suspicion = Some(Suspicion::new(refuted, now));
                    self.suspects.insert(peer.clone());
                }
            }
            State::Down => {
                let left = refuted == LEFT || entry.leaving;
                self.suspects.remove(peer);
                self.lost.remove(peer);
                self.wanted.remove(peer);
                entry.suspicion = None;
                let over = if left {
                    MemberState::Left
                } else {
                    MemberState::Down
                };
                self.set_state(peer, over, now);
                let change = if left {
                    MemberChange::Left
                } else {
                    let why = self.declaring.clone();
                    MemberChange::Down(why.unwrap_or(DownReason::Declared))
                };
                self.tell(peer, change);
            }
        }
    }

    pub(super) fn set_state(&mut self, peer: &PeerId, state: MemberState, now: Instant) {
        let Some(entry) = self.members.get_mut(peer) else {
            return;
        };
        self.counts[number(entry.state)] -= 1;
        self.counts[number(state)] += 1;
        let before = std::mem::replace(&mut entry.state, state);
        entry.since = now;
        // Who joins does not make the rest unstable.
        let joins = before == MemberState::Joining && state == MemberState::Up;
        self.shape_changed |= !joins;
    }

    pub(super) fn forget(&mut self, peer: &PeerId) {
        if let Some(entry) = self.members.remove(peer) {
            self.counts[number(entry.state)] -= 1;
            self.suspects.remove(peer);
            self.lost.remove(peer);
            self.wanted.remove(peer);
            self.touch();
        }
    }

    fn learn(&mut self, fact: Fact, now: Instant) {
        match fact {
            Fact::Suspects {
                about,
                incarnation,
                refuted,
                by,
            } => self.take_accusation(&about, incarnation, refuted, by, now),
            Fact::Profile {
                peer,
                incarnation,
                version,
            } => self.hear_of_profile(&peer, incarnation, version, now),
            Fact::Leaving { peer, incarnation } => self.take_leaving(&peer, incarnation, now),
        }
    }

    pub(super) fn take_leaving(&mut self, peer: &PeerId, incarnation: Incarnation, now: Instant) {
        let Some(entry) = self.members.get_mut(peer) else {
            return;
        };
        let (same, over) = (entry.id.incarnation == incarnation, entry.state.is_over());
        if !same || over || entry.leaving {
            return;
        }
        entry.leaving = true;
        if entry.state != MemberState::Unreachable {
            self.set_state(peer, MemberState::Leaving, now);
        }
        self.tell(peer, MemberChange::Leaving);
    }

    /// We have no answer from it.
    pub(super) fn accuse(&mut self, id: &Identity, refuted: u16, now: Instant) {
        let fact = Fact::Suspects {
            about: id.peer.clone(),
            incarnation: id.incarnation,
            refuted,
            by: self.own.peer.clone(),
        };
        self.swim.spread(&fact);
        // It hears of it from us at once, if it hears anything: it can then say that it lives ("buddy system", Lifeguard
        // section IV-C).
        let suspect = FocaMember::new(id.clone(), refuted, State::Suspect);
        self.send_members(&id.peer, &[suspect], now);
    }

    fn take_accusation(
        &mut self,
        about: &PeerId,
        incarnation: Incarnation,
        refuted: u16,
        by: PeerId,
        now: Instant,
    ) {
        let Some(entry) = self.members.get_mut(about) else {
            return;
        };
        if entry.id.incarnation != incarnation || entry.state.is_over() || refuted < entry.refuted {
            return;
        }
        if entry.suspicion.is_none() {
            // The accusation came before the suspicion itself; they go different ways.
            let refuted = refuted.min(REFUTED_MAX);
            let suspect = FocaMember::new(entry.id.clone(), refuted, State::Suspect);
            self.swim.apply([suspect].into_iter(), true, now);
            // foca tells of it next; this is at once.
            entry.refuted = refuted;
            entry.suspicion = Some(Suspicion::new(refuted, now));
            self.suspects.insert(about.clone());
        }
        if let Some(suspicion) = &mut entry.suspicion
            && suspicion.refuted == refuted
        {
            suspicion.accuse(by);
        }
    }

    /// Connections that did not come back.
    pub(super) fn suspect_the_lost(&mut self, now: Instant) {
        let due = self.lost.iter().filter(|(_, until)| now >= **until);
        let due: Vec<_> = due.map(|(peer, _)| peer.clone()).collect();
        for peer in due {
            self.lost.remove(&peer);
            if self.connected.contains_key(&peer) {
                continue;
            }
            let Some(entry) = self.members.get(&peer) else {
                continue;
            };
            if entry.state.is_over() || entry.accused_by(&self.own.peer).is_some() {
                continue;
            }
            let (id, refuted) = (entry.id.clone(), entry.refuted);
            let suspect = FocaMember::new(id.clone(), refuted, State::Suspect);
            self.swim.apply([suspect].into_iter(), true, now);
            self.accuse(&id, refuted, now);
        }
        self.absorb(now);
    }

    /// When a suspect is unreachable.
    pub(super) fn deadline(&self, peer: &PeerId) -> Option<Instant> {
        let entry = self.members.get(peer)?;
        if entry.state == MemberState::Unreachable {
            return None;
        }
        let peers = self.alive();
        let (min, max) = self.settings.suspicion(peers);
        let suspicion = entry.suspicion.as_ref()?;
        Some(suspicion.deadline(min, max, peers))
    }

    /// Suspects that have not answered for themselves are unreachable.
    pub(super) fn believe(&mut self, now: Instant) {
        let due = |peer: &&PeerId| self.deadline(peer).is_some_and(|at| now >= at);
        let due: Vec<_> = self.suspects.iter().filter(due).cloned().collect();
        for peer in due {
            self.set_state(&peer, MemberState::Unreachable, now);
            self.tell(&peer, MemberChange::Unreachable);
        }
        self.absorb(now);
    }

    pub(super) fn want_profile(&mut self, peer: PeerId, now: Instant) {
        let informer = self.informer.clone().unwrap_or_else(|| peer.clone());
        self.wanted.insert(peer, informer);
        if self.ask_at.is_none() {
            self.ask_at = Some(now + ASK_AFTER);
        }
    }
}

impl Entry {
    /// Its state but for being unreachable.
    pub(super) fn reachable_state(&self) -> MemberState {
        match (&self.profile, self.leaving) {
            (_, true) => MemberState::Leaving,
            (Some(_), false) => MemberState::Up,
            (None, false) => MemberState::Joining,
        }
    }

    pub(super) fn accused_by(&self, peer: &PeerId) -> Option<&Suspicion> {
        let suspicion = self.suspicion.as_ref();
        suspicion.filter(|suspicion| suspicion.accusers.contains(peer))
    }
}

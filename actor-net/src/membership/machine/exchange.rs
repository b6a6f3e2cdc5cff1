//! What peers tell each other beside the gossip: all they know, and profiles.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foca::{Member as FocaMember, State};
use rand::RngExt;

use super::super::event::MemberChange;
use super::super::identity::Identity;
use super::super::packet::{self, Known, Told, WISHES_MAX};
use super::super::view::MemberState;
use super::{ASK_EVERY, Membership};
use crate::datagram::Datagram;
use crate::id::{Incarnation, PeerId};

/// So few profiles are asked for where they are made.
const FEW: usize = 4;

impl Membership {
    // ---- All one knows

    /// Tells all we know, ourselves first.
    pub(super) fn send_sync(&mut self, to: PeerId, back: bool) {
        let own = FocaMember::new(self.own.clone(), 0, State::Alive);
        let version = |member: &FocaMember<Identity>| {
            let entry = self.members.get(&member.id().peer);
            entry.map_or(0, |entry| entry.newest)
        };
        let others = self.swim.members().map(|m| (m, version(m)));
        let own = std::iter::once((&own, self.profile_version));
        for bytes in packet::sync(back, own.chain(others)) {
            let to = to.clone();
            self.out.push_back(Datagram { to, bytes });
        }
    }

    /// Tells a few things.
    pub(super) fn send_members(
        &mut self,
        to: &PeerId,
        members: &[FocaMember<Identity>],
        _now: Instant,
    ) {
        for bytes in packet::sync(false, members.iter().map(|member| (member, 0))) {
            let to = to.clone();
            self.out.push_back(Datagram { to, bytes });
        }
    }

    pub(super) fn take_sync(
        &mut self,
        from: &PeerId,
        back: bool,
        mut told: Vec<Known>,
        now: Instant,
    ) -> bool {
        let mut room = self.settings.members_max.saturating_sub(self.members.len());
        told.retain(|known| {
            let id = known.member.id();
            if id.peer == *from && !self.speaks(from, id.incarnation) {
                return false;
            }
            let is_new = id.peer != self.own.peer && !self.members.contains_key(&id.peer);
            if is_new && room == 0 {
                return false;
            }
            room -= usize::from(is_new);
            true
        });
        // A later life of ours: foca would take it for one of the past.
        let later = told.iter().map(|known| known.member.id());
        let later = later
            .filter(|id| id.peer == self.own.peer && id.incarnation > self.own.incarnation)
            .map(|id| id.incarnation)
            .max();
        if let Some(by) = later {
            self.stop(super::RestartReason::Replaced { by });
            return true;
        }
        // What a newcomer is told first everybody else knows.
        let pass_on = self.joined;
        let members: Vec<_> = told.iter().map(|known| known.member.clone()).collect();
        self.swim.apply(members.into_iter(), pass_on, now);
        self.absorb(now);
        if !pass_on {
            self.catch_up(now);
        }
        for known in &told {
            let id = known.member.id();
            self.hear_of_profile(&id.peer, id.incarnation, known.version, now);
        }
        if back && !self.over {
            self.send_sync(from.clone(), false);
        }
        true
    }

    /// Takes in foca's list as it is: it tells nothing of what it does not pass on.
    fn catch_up(&mut self, now: Instant) {
        let list: Vec<_> = self.swim.members().cloned().collect();
        for member in list {
            let (id, refuted, state) = (member.id().clone(), member.incarnation(), member.state());
            self.follow(id, refuted, state, now);
        }
        self.absorb(now);
    }

    /// The first come soon, for much is new then; later ones at leisure, none at the time of all others.
    pub(super) fn schedule_sync(&mut self, now: Instant) {
        let first = Duration::from_secs(1) * 2u32.saturating_pow(self.syncs.min(16));
        let period = first.min(self.settings.sync_interval);
        let share = self.rng.random_range(0.75..1.25);
        self.syncs = self.syncs.saturating_add(1);
        self.sync_at = Some(now + period.mul_f64(share));
    }

    pub(super) fn sync_with_one(&mut self, now: Instant) {
        self.schedule_sync(now);
        if let Some(to) = self.anybody() {
            self.send_sync(to, true);
        }
    }

    // ---- Profiles

    pub(super) fn send_own_profile(&mut self, to: &PeerId) {
        let Identity {
            peer, incarnation, ..
        } = &self.own;
        let own = (peer, *incarnation, self.profile_version, &*self.profile);
        for bytes in packet::profiles(std::iter::once(own)) {
            let to = to.clone();
            self.out.push_back(Datagram { to, bytes });
        }
    }

    /// There is a profile with that version.
    pub(super) fn hear_of_profile(
        &mut self,
        peer: &PeerId,
        incarnation: Incarnation,
        version: u32,
        now: Instant,
    ) {
        let Some(entry) = self.members.get_mut(peer) else {
            return;
        };
        if entry.id.incarnation != incarnation || entry.state.is_over() {
            return;
        }
        entry.newest = entry.newest.max(version);
        if entry.version < entry.newest {
            self.want_profile(peer.clone(), now);
        }
    }

    /// Asks: few where they are made, many where we heard of them; the next time somebody else.
    pub(super) fn ask_for_profiles(&mut self, now: Instant) {
        if self.ask_at.is_none_or(|at| now < at) {
            return;
        }
        self.ask_at = None;
        let Some(informer) = self.wanted.values().next().cloned() else {
            return;
        };
        self.ask_at = Some(now + ASK_EVERY);
        self.asked = self.asked.wrapping_add(1);
        let lives = |peer: &PeerId| self.members.get(peer).map(|entry| entry.id.incarnation);
        if self.wanted.len() <= FEW {
            for peer in self.wanted.keys() {
                if let Some(life) = lives(peer) {
                    let bytes = packet::wishes(std::iter::once((peer, life)));
                    let to = peer.clone();
                    self.out.push_back(Datagram { to, bytes });
                }
            }
            return;
        }
        let wishes = self.wanted.keys();
        let wishes = wishes.filter_map(|peer| lives(peer).map(|life| (peer, life)));
        let bytes = packet::wishes(wishes.take(WISHES_MAX));
        let to = match self.asked % 2 {
            1 => informer,
            _ => self.anybody().unwrap_or(informer),
        };
        self.out.push_back(Datagram { to, bytes });
    }

    /// Somebody asks for profiles: those we have.
    pub(super) fn grant(&mut self, to: &PeerId, wishes: &[(PeerId, Incarnation)]) {
        let found = wishes.iter().filter_map(|(peer, incarnation)| {
            if *peer == self.own.peer && *incarnation == self.own.incarnation {
                return Some((peer, *incarnation, self.profile_version, &*self.profile));
            }
            let entry = self.members.get(peer)?;
            let profile = entry.profile.as_deref()?;
            let same = entry.id.incarnation == *incarnation;
            same.then_some((peer, *incarnation, entry.version, profile))
        });
        for bytes in packet::profiles(found) {
            let to = to.clone();
            self.out.push_back(Datagram { to, bytes });
        }
    }

    pub(super) fn take_profile(&mut self, told: Told, now: Instant) {
        let Told {
            peer,
            incarnation,
            version,
            profile,
        } = told;
        let Some(entry) = self.members.get_mut(&peer) else {
            return;
        };
        if entry.id.incarnation != incarnation || entry.state.is_over() {
            return;
        }
        if version <= entry.version {
            return;
        }
        let first = entry.profile.is_none();
        entry.version = version;
        entry.newest = entry.newest.max(version);
        entry.profile = Some(Arc::new(profile));
        if entry.version == entry.newest {
            self.wanted.remove(&peer);
        }
        let joins = entry.state == MemberState::Joining;
        if joins {
            self.set_state(&peer, MemberState::Up, now);
        }
        match (first, joins) {
            (_, true) => self.tell(&peer, MemberChange::Up),
            (true, false) => self.touch(),
            (false, false) => self.tell(&peer, MemberChange::MetadataChanged),
        }
    }
}

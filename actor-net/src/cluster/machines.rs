//! The machines of a life, joined: pure.
//!
//! What is there and what is said goes in (`handle_*`, with the time), what is to be done comes out
//! ([`Machines::poll_output`], until there is nothing more). [`Driver`](super::driver::Driver) does it with sockets and a
//! clock; the simulation of whole clusters does it with a seed. Both run this, so what the simulation shows holds.
//!
//! The consensus is not in here, because its engine is not pure. It hears from here how the peers are seen
//! ([`Output::Seen`]); back comes who votes, whose majority goes on when the cluster is split
//! ([`Machines::handle_voters`]), who was declared down ([`Machines::handle_agreed`]), and that a peer that leaves has been let go ([`Machines::handle_let_go`]).

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::consensus::{Authority, Seen, Sight};
use crate::datagram::{Channel, Datagram};
use crate::id::{Incarnation, Life as LifeId, PeerId};
use crate::membership::{
    Event, MemberChange, MemberEvent, MemberState, Membership, RestartReason, View, Voting,
};
use crate::registry::machine::{Drive, Event as GroupsEvent, Groups};
use crate::transport::Endpoint;
use crate::wire::hello::Refusal;

/// The machines of a life. That of the groups is also asked by users, so it may be behind a lock.
pub(super) struct Machines<G = Groups> {
    pub(super) membership: Membership,
    pub(super) groups: G,
    /// Until when this peer has left, if it leaves.
    leaving: Option<Instant>,
    /// The view that everybody was told.
    told: u64,
    /// Which members, agreed on and seen, were compared last.
    checked: Option<(u64, u64)>,
    outputs: VecDeque<Output>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Output {
    /// Bytes for a peer. Without a connection they are lost, as on one that breaks; who must repeat does.
    Send {
        to: PeerId,
        channel: Channel,
        bytes: Vec<u8>,
    },
    /// A connection is wanted; without a name: with whoever is there.
    Dial {
        peer: Option<PeerId>,
        endpoint: Endpoint,
    },
    /// That life of a peer is over: it is not spoken to any more.
    Bury {
        peer: PeerId,
        incarnation: Incarnation,
    },
    /// For the consensus: how the peers are seen from now on.
    Seen(Vec<Seen>),
    /// This is who is there, from now on.
    View(Arc<View>),
    /// Somebody was found.
    Joined,
    Member(MemberEvent),
    /// Half of the members, or more, do not answer.
    Isolated,
    NoLongerIsolated,
    /// The lease is to be asked for; the outcome goes to `Membership::handle_lease`.
    AcquireLease(BTreeSet<PeerId>),
    /// Only of a machine that nobody else asks.
    Groups(GroupsEvent),
    /// This life is over. The next must have a number above that.
    Restart {
        why: RestartReason,
        above: Incarnation,
    },
    /// This peer has left; so much is left of the time that it was given.
    Departed {
        left: Duration,
    },
}

impl<G: Drive> Machines<G> {
    pub(super) fn new(membership: Membership, groups: G) -> Self {
        Self {
            membership,
            groups,
            leaving: None,
            told: 0,
            checked: None,
            outputs: VecDeque::new(),
        }
    }

    pub(super) fn view(&mut self) -> Arc<View> {
        self.membership.view()
    }

    // ---- In

    pub(super) fn handle_connected(&mut self, peer: &PeerId, life: Incarnation, now: Instant) {
        self.membership.handle_connected(peer, life, now);
        self.groups
            .drive(|groups| groups.handle_connected(peer, now));
    }

    pub(super) fn handle_disconnected(&mut self, peer: &PeerId, now: Instant) {
        self.membership.handle_disconnected(peer, now);
    }

    /// A datagram for one of them; whether that channel is one of theirs.
    pub(super) fn handle_datagram(
        &mut self,
        from: &PeerId,
        channel: Channel,
        bytes: &[u8],
        now: Instant,
    ) -> bool {
        match channel {
            Channel::Membership => self.membership.handle_datagram(from, bytes, now),
            Channel::Registry => self
                .groups
                .drive(|groups| groups.handle_datagram(from, bytes, now)),
            Channel::Consensus | Channel::Sharding | Channel::Remote | Channel::Lanes => {
                return false;
            }
        }
        true
    }

    /// A peer has refused to talk to us.
    pub(super) fn handle_refusal(&mut self, refusal: &Refusal) {
        match refusal {
            Refusal::DeclaredDead => self.membership.handle_declared_dead(),
            Refusal::StaleIncarnation { known } => {
                let above = Incarnation(*known);
                let why = RestartReason::Replaced { by: above };
                self.outputs.push_back(Output::Restart { why, above });
            }
            _ => {}
        }
    }

    /// Who votes in the consensus now, and whether that peer still is that voter.
    pub(super) fn handle_voters(&mut self, voters: Vec<(PeerId, bool)>) {
        let (present, lost): (Vec<_>, Vec<_>) = voters.into_iter().partition(|(_, here)| *here);
        self.membership.handle_voters(Voting {
            voters: present.into_iter().map(|(peer, _)| peer).collect(),
            lost: lost.len(),
        });
    }

    /// What all have agreed on, as far as it is known here: who was declared down there is down here, too. It may
    /// be known there alone: when all who saw it have begun anew, and the log was on their disks. Without that such
    /// a peer would go on, seen by all, and take part in nothing.
    pub(super) fn handle_agreed(&mut self, authority: &Authority, now: Instant) {
        let view = self.membership.view();
        let checked = Some((authority.epoch(), view.version()));
        if std::mem::replace(&mut self.checked, checked) == checked {
            return;
        }
        for member in view.members() {
            let life = LifeId {
                peer: member.peer().clone(),
                incarnation: member.incarnation(),
            };
            if member.state().is_over() || !authority.is_declared_down(&life) {
                continue;
            }
            if life.peer != *view.own() {
                self.membership.declare_down(&life.peer, now);
            } else if self.leaving.is_none() {
                self.membership.handle_declared_dead();
            }
        }
    }

    /// To leave in good order, within this time: others hear of it at once. Then what this peer has is handed over, all
    /// agree that it has left, and [`handle_let_go`](Self::handle_let_go) ends it.
    pub(super) fn handle_leave(&mut self, grace: Duration, now: Instant) {
        self.membership.leave(now);
        self.leaving.get_or_insert(now + grace);
    }

    /// Nobody needs this peer any more; or nobody is waited for any longer.
    pub(super) fn handle_let_go(&mut self) {
        self.membership.depart();
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let Self {
            membership, groups, ..
        } = self;
        if membership.poll_timeout().is_some_and(|at| at <= now) {
            membership.handle_timeout(now);
        }
        groups.drive(|groups| groups.handle_timeout(now));
        if self.leaving.is_some_and(|until| until <= now) {
            membership.depart();
        }
    }

    // ---- Out

    /// When `handle_timeout` is to be called.
    pub(super) fn poll_timeout(&mut self) -> Option<Instant> {
        let times = [
            self.membership.poll_timeout(),
            self.groups.drive(|groups| groups.poll_timeout()),
            self.leaving,
        ];
        times.into_iter().flatten().min()
    }

    /// What is to be done next; to be asked until there is nothing more.
    pub(super) fn poll_output(&mut self, now: Instant) -> Option<Output> {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                return Some(output);
            }
            if let Some(Datagram { to, bytes }) = self.membership.poll_transmit() {
                let channel = Channel::Membership;
                return Some(Output::Send { to, channel, bytes });
            }
            if let Some(Datagram { to, bytes }) = self.groups.drive(Groups::poll_transmit) {
                let channel = Channel::Registry;
                return Some(Output::Send { to, channel, bytes });
            }
            if let Some(event) = self.membership.poll_event() {
                return Some(self.happened(event, now));
            }
            if let Some(event) = self.groups.drive(Groups::poll_event) {
                return Some(Output::Groups(event));
            }
            let view = self.membership.view();
            if view.version() == self.told {
                return None;
            }
            self.tell_view(view, now);
        }
    }

    fn tell_view(&mut self, view: Arc<View>, now: Instant) {
        self.told = view.version();
        let alive = view
            .members()
            .iter()
            .filter(|member| !member.state().is_over());
        self.groups.drive(|groups| {
            let lives = alive.clone();
            let lives = lives.map(|member| (member.peer(), member.incarnation()));
            groups.handle_members(lives, now);
            for member in alive {
                groups.handle_state(member.peer(), member.state());
            }
        });
        let seen = view.members().iter().filter_map(|member| {
            let sight = match member.state() {
                MemberState::Joining => return None,
                // What it has it hands over first, and says itself when it is done.
                MemberState::Leaving | MemberState::Up => Sight::Up,
                MemberState::Unreachable => Sight::Unreachable,
                MemberState::Down => Sight::Down,
                MemberState::Left => Sight::Left,
            };
            let life = LifeId {
                peer: member.peer().clone(),
                incarnation: member.incarnation(),
            };
            Some(Seen { life, sight })
        });
        self.outputs.push_back(Output::Seen(seen.collect()));
        self.outputs.push_back(Output::View(view));
    }

    fn happened(&mut self, event: Event, now: Instant) -> Output {
        match event {
            Event::Joined => Output::Joined,
            Event::Dial { peer, endpoint } => Output::Dial { peer, endpoint },
            Event::Member(event) => {
                let member = &event.member;
                let is_over = matches!(event.change, MemberChange::Down(_) | MemberChange::Left);
                if !is_over || *member.peer() == self.membership.own().peer {
                    return Output::Member(event);
                }
                let (peer, incarnation) = (member.peer().clone(), member.incarnation());
                self.outputs.push_back(Output::Member(event));
                Output::Bury { peer, incarnation }
            }
            Event::Isolated => Output::Isolated,
            Event::NoLongerIsolated => Output::NoLongerIsolated,
            Event::AcquireLease { side } => Output::AcquireLease(side),
            Event::MustRestart { why, above } => Output::Restart { why, above },
            Event::Departed => {
                let left = self
                    .leaving
                    .take()
                    .map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
                Output::Departed { left }
            }
        }
    }
}

impl<G> fmt::Debug for Machines<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machines")
            .field("membership", &self.membership)
            .finish_non_exhaustive()
    }
}

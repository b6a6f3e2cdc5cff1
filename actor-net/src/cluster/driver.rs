//! The one task that drives the machines of a life: news, datagrams and the time in; datagrams, dials and events out.
//!
//! The machines know neither sockets nor clocks. Whatever comes, all of them are asked afterwards what they have to
//! say, until none has anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::life::Life;
use super::lives::Shared;
use super::status::Status;
use crate::consensus::{Seen, Sight};
use crate::datagram::{Channel, Datagram};
use crate::id::{Incarnation, Life as LifeId, PeerId};
use crate::membership::{Event, MemberChange, MemberState, Membership, RestartReason, View};
use crate::peers::{ConnectError, Contact};
use crate::registry::machine::Groups;
use crate::transport::Endpoint;
use crate::wire::handshake::HandshakeError;
use crate::wire::hello::Refusal;

/// Inputs that are taken before the machines are asked.
const BATCH: usize = 64;

/// How long a peer that leaves waits at most until the others have agreed that it is gone: 3 s.
const AGREE_WITHIN: Duration = Duration::from_secs(3);

/// How often it looks whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What comes to a driver.
pub(super) enum Input {
    Connected(PeerId, Incarnation),
    Disconnected(PeerId, Incarnation),
    Datagram {
        from: PeerId,
        channel: Channel,
        bytes: Bytes,
    },
    /// A message has brought a reference to an actor of that peer.
    Wanted(PeerId),
    Refused {
        who: Contact,
        error: ConnectError,
    },
    Seeds(BTreeSet<Endpoint>),
    Lease(bool),
    /// Something that a user wants of the machines.
    Do(Work),
    /// To leave in good order, within this time.
    Leave {
        grace: Duration,
        done: oneshot::Sender<()>,
    },
}

/// Done with the machines in hand.
pub(super) type Work = Box<dyn FnOnce(&mut Machines, Instant) + Send>;

/// The machines of a life.
pub(super) struct Machines {
    pub(super) membership: Membership,
    pub(super) groups: Groups,
}

/// How a life ended.
pub(super) enum End {
    Left {
        done: Option<oneshot::Sender<()>>,
        grace: Duration,
    },
    Restart {
        why: RestartReason,
        above: Incarnation,
    },
}

/// See the module.
pub(super) struct Driver {
    life: Arc<Life>,
    received: mpsc::UnboundedReceiver<Input>,
    machines: Machines,
    leaving: Option<Leaving>,
    end: Option<End>,
    /// The view that everybody was told.
    told: u64,
}

struct Leaving {
    done: oneshot::Sender<()>,
    until: Instant,
    look_at: Instant,
}

impl Driver {
    pub(super) fn new(
        life: Arc<Life>,
        received: mpsc::UnboundedReceiver<Input>,
        membership: Membership,
        groups: Groups,
    ) -> Self {
        Self {
            life,
            received,
            machines: Machines { membership, groups },
            leaving: None,
            end: None,
            told: 0,
        }
    }

    pub(super) fn inputs(&self) -> mpsc::UnboundedSender<Input> {
        self.life.inputs.clone()
    }

    pub(super) fn view(&mut self) -> Arc<View> {
        self.machines.membership.view()
    }

    /// Looks for others there.
    pub(super) fn join(&mut self, seeds: impl IntoIterator<Item = Endpoint>) {
        self.machines.membership.join(seeds);
    }

    /// Until this life is over.
    pub(super) async fn run(&mut self, shared: &Arc<Shared>) -> End {
        loop {
            self.settle(shared);
            if let Some(end) = self.end.take() {
                return end;
            }
            let wake = self.wake_at();
            let input = async {
                match wake {
                    Some(at) => tokio::time::timeout_at(at.into(), self.received.recv()).await,
                    None => Ok(self.received.recv().await),
                }
            };
            let now = match input.await {
                Ok(Some(input)) => {
                    let now = Instant::now();
                    self.take(input, now);
                    for _ in 1..BATCH {
                        match self.received.try_recv() {
                            Ok(input) => self.take(input, now),
                            Err(_) => break,
                        }
                    }
                    now
                }
                // The life holds a sender, so the queue is never closed.
                Ok(None) | Err(_) => Instant::now(),
            };
            self.tick(now);
        }
    }

    fn wake_at(&self) -> Option<Instant> {
        let machines = &self.machines;
        let times = [
            machines.membership.poll_timeout(),
            machines.groups.poll_timeout(),
            self.leaving.as_ref().map(|leaving| leaving.look_at),
        ];
        times.into_iter().flatten().min()
    }

    fn tick(&mut self, now: Instant) {
        let Machines { membership, groups } = &mut self.machines;
        if membership.poll_timeout().is_some_and(|at| at <= now) {
            membership.handle_timeout(now);
        }
        if groups.poll_timeout().is_some_and(|at| at <= now) {
            groups.handle_timeout(now);
        }
        if let Some(leaving) = &mut self.leaving
            && leaving.look_at <= now
        {
            leaving.look_at = now + LOOK_EVERY;
            let own = membership.own();
            let own = LifeId {
                peer: own.peer.clone(),
                incarnation: own.incarnation,
            };
            let is_alone = membership.up() <= 1;
            if is_alone || now >= leaving.until || !self.life.consensus.authority().is_up(&own) {
                membership.depart();
            }
        }
    }

    fn take(&mut self, input: Input, now: Instant) {
        let Machines { membership, groups } = &mut self.machines;
        match input {
            Input::Connected(peer, incarnation) => {
                membership.handle_connected(&peer, incarnation, now);
                groups.handle_connected(&peer, now);
            }
            Input::Disconnected(peer, incarnation) => {
                // A later life may be connected by now.
                let present = self.life.peers.get(&peer);
                if present.is_none_or(|life| life.incarnation() == incarnation) {
                    membership.handle_disconnected(&peer, now);
                }
            }
            Input::Datagram {
                from,
                channel,
                bytes,
            } => {
                self.life.wiring().taken();
                match channel {
                    Channel::Membership => membership.handle_datagram(&from, &bytes, now),
                    Channel::Registry => groups.handle_datagram(&from, &bytes, now),
                    Channel::Consensus => {
                        if let Err(error) = self.life.consensus.handle_datagram(&from, &bytes) {
                            tracing::debug!(peer = %from, ?error, "a datagram of the consensus is none");
                        }
                    }
                    Channel::Sharding => {}
                }
            }
            Input::Wanted(peer) => {
                if let Some(endpoint) = membership.endpoint(&peer) {
                    self.life.peers.connect(endpoint, Some(peer));
                }
            }
            Input::Refused { who, error } => self.refused(&who, &error),
            Input::Seeds(seeds) => membership.join(seeds),
            Input::Lease(granted) => membership.handle_lease(granted, now),
            Input::Do(work) => work(&mut self.machines, now),
            Input::Leave { grace, done } => {
                membership.leave(now);
                self.leaving.get_or_insert(Leaving {
                    done,
                    until: now + grace.min(AGREE_WITHIN),
                    look_at: now,
                });
            }
        }
    }

    /// A connection did not come about, and the other side said why.
    fn refused(&mut self, who: &Contact, error: &ConnectError) {
        let ConnectError::Handshake(HandshakeError::RefusedByPeer(refusal)) = error else {
            return;
        };
        match refusal {
            Refusal::DeclaredDead => self.machines.membership.handle_declared_dead(),
            Refusal::StaleIncarnation { known } => {
                tracing::error!(
                    %who, known,
                    "another process has this peer's name, or the clock was set back; give each process a name of \
                     its own"
                );
                let by = Incarnation(*known);
                let why = RestartReason::Replaced { by };
                self.end.get_or_insert(End::Restart { why, above: by });
            }
            _ => {}
        }
    }

    /// Everything that the machines have to say.
    fn settle(&mut self, shared: &Arc<Shared>) {
        let now = Instant::now();
        loop {
            let mut is_quiet = true;
            while let Some(Datagram { to, bytes }) = self.machines.membership.poll_transmit() {
                is_quiet = false;
                self.send(&to, Channel::Membership, &bytes);
            }
            while let Some(Datagram { to, bytes }) = self.machines.groups.poll_transmit() {
                is_quiet = false;
                self.send(&to, Channel::Registry, &bytes);
            }
            while let Some(event) = self.machines.membership.poll_event() {
                is_quiet = false;
                self.happened(event, shared);
            }
            while let Some(event) = self.machines.groups.poll_event() {
                is_quiet = false;
                tracing::debug!(?event, "groups");
            }
            let view = self.machines.membership.view();
            if view.version() != self.told {
                is_quiet = false;
                self.tell_view(&view, shared, now);
            }
            if is_quiet {
                return;
            }
        }
    }

    /// A datagram that finds no connection is lost, as one on a connection that breaks; who must repeat does.
    fn send(&self, to: &PeerId, channel: Channel, bytes: &[u8]) {
        if let Some(peer) = self.life.peers.get(to)
            && let Err(error) = peer.datagram(channel, bytes)
        {
            tracing::trace!(peer = %to, ?channel, ?error, "a datagram was not sent");
        }
    }

    fn tell_view(&mut self, view: &Arc<View>, shared: &Arc<Shared>, now: Instant) {
        self.told = view.version();
        let alive = view
            .members()
            .iter()
            .filter(|member| !member.state().is_over());
        let lives = alive.map(|member| (member.peer(), member.incarnation()));
        self.machines.groups.handle_members(lives, now);
        let leaving = self.leaving.is_some();
        let seen = view.members().iter().filter_map(|member| {
            let sight = match member.state() {
                MemberState::Joining => return None,
                // It has asked for it: what it owns is given to others while it still answers.
                MemberState::Leaving => Sight::Left,
                MemberState::Up if leaving && member.peer() == view.own() => Sight::Left,
                MemberState::Up => Sight::Up,
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
        self.life.consensus.set_members(seen);
        shared.view.send_replace(view.clone());
    }

    fn happened(&mut self, event: Event, shared: &Arc<Shared>) {
        let incarnation = self.life.incarnation;
        match event {
            Event::Joined => tracing::info!(peer = %shared.plan.peer, "joined the cluster"),
            Event::Dial { peer, endpoint } => self.life.peers.connect(endpoint, peer),
            Event::Member(event) => {
                let member = &event.member;
                tracing::info!(
                    peer = %member.peer(), incarnation = member.incarnation().0, change = ?event.change,
                    "a member of the cluster"
                );
                if let MemberChange::Down(_) | MemberChange::Left = event.change
                    && *member.peer() != shared.plan.peer
                {
                    self.life
                        .peers
                        .declare_dead(member.peer(), member.incarnation());
                }
                // Nobody listens: nobody misses it.
                let _ = shared.events.send(event);
            }
            Event::Isolated => {
                tracing::warn!("half of the members of the cluster, or more, do not answer");
                shared.status.send_replace(Status::Isolated { incarnation });
            }
            Event::NoLongerIsolated => {
                shared.status.send_replace(Status::Running { incarnation });
            }
            Event::AcquireLease { side } => self.acquire(side, shared),
            Event::MustRestart { why, above } => {
                self.end.get_or_insert(End::Restart { why, above });
            }
            Event::Departed => {
                let leaving = self.leaving.take();
                let grace = leaving.as_ref().map_or(Duration::ZERO, |leaving| {
                    leaving.until.saturating_duration_since(Instant::now())
                });
                let done = leaving.map(|leaving| leaving.done);
                self.end.get_or_insert(End::Left { done, grace });
            }
        }
    }

    /// Asks for the lease, somewhere else.
    fn acquire(&self, side: BTreeSet<PeerId>, shared: &Arc<Shared>) {
        let inputs = self.inputs();
        let plan = &shared.plan;
        let Some(lease) = plan.lease.clone() else {
            tracing::error!(
                "the strategy asks for a lease, and none was given; this side gives up"
            );
            let _ = inputs.send(Input::Lease(false));
            return;
        };
        let (cluster, peer) = (plan.cluster.clone(), plan.peer.clone());
        tokio::spawn(async move {
            let side = side.into_iter().collect();
            let granted = lease.acquire(cluster, peer, side).await;
            let granted = granted.unwrap_or_else(|error| {
                tracing::error!(%error, "the lease");
                false
            });
            // The life may have ended meanwhile.
            let _ = inputs.send(Input::Lease(granted));
        });
    }
}

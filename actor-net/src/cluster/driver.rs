//! The one task that drives the machines of a life: news, datagrams and the time in; datagrams, dials and events out.
//!
//! The machines know neither sockets nor clocks, and are joined without them ([`Machines`]). Whatever comes, they
//! are asked afterwards what is to be done, until there is nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::life::Life;
use super::lives::Shared;
use super::machines::{Machines, Output};
use super::shards;
use super::status::Status;
use crate::datagram::Channel;
use crate::id::{Incarnation, PeerId};
use crate::membership::{MemberEvent, RestartReason, View};
use crate::peers::{ConnectError, Contact};
use crate::registry::directory::Directory;
use crate::transport::Endpoint;
use crate::wire::handshake::HandshakeError;
use crate::wire::hello::Refusal;

/// Inputs that are taken before the machines are asked.
const BATCH: usize = 64;

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
pub(super) type Work = Box<dyn FnOnce(&mut Machines<Directory>, Instant) + Send>;

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
    machines: Machines<Directory>,
    /// Who waits until this peer has left.
    leaving: Option<oneshot::Sender<()>>,
    end: Option<End>,
    /// Which voters the machines were told of.
    voters_at: Option<(u64, u64)>,
}

impl Driver {
    pub(super) fn new(
        life: Arc<Life>,
        received: mpsc::UnboundedReceiver<Input>,
        machines: Machines<Directory>,
    ) -> Self {
        Self {
            life,
            received,
            machines,
            leaving: None,
            end: None,
            voters_at: None,
        }
    }

    pub(super) fn inputs(&self) -> mpsc::UnboundedSender<Input> {
        self.life.inputs.clone()
    }

    pub(super) fn life(&self) -> Arc<Life> {
        self.life.clone()
    }

    pub(super) fn view(&mut self) -> Arc<View> {
        self.machines.view()
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
            let wake = self.machines.poll_timeout();
            let input = async {
                match wake {
                    Some(at) => tokio::time::timeout_at(at.into(), self.received.recv()).await,
                    None => Ok(self.received.recv().await),
                }
            };
            let groups = self.machines.groups.clone();
            let came = tokio::select! {
                came = input => came,
                // Somebody here has joined a group, or left it.
                () = groups.changed() => Ok(None),
            };
            let now = match came {
                Ok(Some(input)) => {
                    let now = Instant::now();
                    self.take(input, now, shared);
                    for _ in 1..BATCH {
                        match self.received.try_recv() {
                            Ok(input) => self.take(input, now, shared),
                            Err(_) => break,
                        }
                    }
                    now
                }
                // The life holds a sender, so the queue is never closed.
                Ok(None) | Err(_) => Instant::now(),
            };
            if let Some(voters) = self.life.consensus.voting(&mut self.voters_at) {
                self.machines.handle_voters(voters);
            }
            let authority = self.life.consensus.authority();
            self.machines.handle_agreed(&authority, now);
            self.machines.handle_timeout(now);
        }
    }

    fn take(&mut self, input: Input, now: Instant, shared: &Arc<Shared>) {
        let machines = &mut self.machines;
        match input {
            Input::Connected(peer, incarnation) => {
                machines.handle_connected(&peer, incarnation, now);
            }
            Input::Disconnected(peer, incarnation) => {
                // A later life may be connected by now.
                let present = self.life.peers.get(&peer);
                if present.is_none_or(|life| life.incarnation() == incarnation) {
                    machines.handle_disconnected(&peer, now);
                }
            }
            Input::Datagram {
                from,
                channel,
                bytes,
            } => {
                self.life.wiring().taken();
                if !machines.handle_datagram(&from, channel, &bytes, now)
                    && channel == Channel::Consensus
                    && let Err(error) = self.life.consensus.handle_datagram(&from, &bytes)
                {
                    tracing::debug!(peer = %from, ?error, "a datagram of the consensus is none");
                }
            }
            Input::Wanted(peer) => {
                if let Some(endpoint) = machines.membership.endpoint(&peer) {
                    self.life.peers.connect(endpoint, Some(peer));
                }
            }
            Input::Refused { who, error } => self.refused(&who, &error),
            Input::Seeds(seeds) => machines.membership.join(seeds),
            Input::Lease(granted) => machines.membership.handle_lease(granted, now),
            Input::Do(work) => work(machines, now),
            Input::Leave { grace, done } => {
                if self.leaving.is_none() {
                    machines.handle_leave(grace, now);
                    self.leaving = Some(done);
                    let until = now + grace;
                    tokio::spawn(shards::leave(self.life.clone(), shared.clone(), until));
                }
            }
        }
    }

    /// A connection did not come about, and the other side said why.
    fn refused(&mut self, who: &Contact, error: &ConnectError) {
        let ConnectError::Handshake(HandshakeError::RefusedByPeer(refusal)) = error else {
            return;
        };
        if let Refusal::StaleIncarnation { known } = refusal {
            tracing::error!(
                %who, known,
                "another process has this peer's name, or the clock was set back; give each process a name of its own"
            );
        }
        self.machines.handle_refusal(refusal);
    }

    /// Does everything that is to be done.
    fn settle(&mut self, shared: &Arc<Shared>) {
        let now = Instant::now();
        while let Some(output) = self.machines.poll_output(now) {
            self.act(output, shared);
        }
    }

    fn act(&mut self, output: Output, shared: &Arc<Shared>) {
        let incarnation = self.life.incarnation;
        match output {
            Output::Send { to, channel, bytes } => self.send(&to, channel, &bytes),
            Output::Dial { peer, endpoint } => self.life.peers.connect(endpoint, peer),
            Output::Bury { peer, incarnation } => {
                self.life.peers.declare_dead(&peer, incarnation);
                // It may never have been met, and somebody wait for it all the same.
                self.life.remote.over(&peer, incarnation, &"it has left");
            }
            Output::Seen(seen) => self.life.consensus.set_members(seen),
            Output::View(view) => _ = shared.view.send_replace(view),
            Output::Joined => tracing::info!(peer = %shared.plan.peer, "joined the cluster"),
            Output::Member(event) => tell(event, shared),
            Output::Isolated => {
                tracing::warn!("half of the members of the cluster, or more, do not answer");
                shared.status.send_replace(Status::Isolated { incarnation });
            }
            Output::NoLongerIsolated => {
                shared.status.send_replace(Status::Running { incarnation });
            }
            Output::AcquireLease(side) => self.acquire(side, shared),
            Output::Groups(event) => tracing::debug!(?event, "groups"),
            Output::Restart { why, above } => {
                self.end.get_or_insert(End::Restart { why, above });
            }
            Output::Departed { left } => {
                let (done, grace) = (self.leaving.take(), left);
                self.end.get_or_insert(End::Left { done, grace });
            }
        }
    }

    fn send(&self, to: &PeerId, channel: Channel, bytes: &[u8]) {
        if let Some(peer) = self.life.peers.get(to)
            && let Err(error) = peer.datagram(channel, bytes)
        {
            tracing::trace!(peer = %to, ?channel, ?error, "a datagram was not sent");
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

fn tell(event: MemberEvent, shared: &Shared) {
    let member = &event.member;
    tracing::info!(
        peer = %member.peer(), incarnation = member.incarnation().0, change = ?event.change,
        "a member of the cluster"
    );
    // Nobody listens: nobody misses it.
    let _ = shared.events.send(event);
}

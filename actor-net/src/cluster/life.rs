//! One life of this peer: all floors, joined.
//!
//! Messages and signals go from the connections straight to the actors, on the reactor of the NUMA node that they are
//! for. What the machines of membership, groups and the rest have to do is one task's ([`Driver`]), to which the
//! connections pass on datagrams and news of peers.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::driver::{Driver, Input};
use super::error::ClusterError;
use super::lives::Plan;
use super::machines::Machines;
use super::troubles::Troubles;
use crate::consensus::{self, Bootstrap, Consensus, ConsensusSettings, NotSent, Post};
use crate::datagram::Channel;
use crate::id::{Incarnation, Life as LifeId, PeerId};
use crate::membership::Membership;
use crate::peers::{self, ConnectError, Contact, Interruption, Peer, PeerEvents, PeerLost, Peers};
use crate::registry::directory::Directory;
use crate::remote::{self, Remote, RemoteStartError, Way};
use crate::transport::Transport;
use crate::wire::lane::LaneEvent;
use crate::wire::signal::Signal;

/// Datagrams that wait for the driver: more are dropped, as a network would; every machine repeats what matters.
const DATAGRAMS_MAX: usize = 8192;

/// All that runs for one life.
pub(super) struct Life {
    pub(super) addr: SocketAddr,
    pub(super) incarnation: Incarnation,
    pub(super) peers: Peers,
    pub(super) remote: Remote,
    pub(super) consensus: Consensus,
    pub(super) inputs: mpsc::UnboundedSender<Input>,
    wiring: Arc<Wiring>,
}

/// A life that nobody drives yet.
pub(super) struct Opened {
    pub(super) life: Life,
    pub(super) seed: u64,
}

impl Life {
    /// Starts all floors and listens.
    pub(super) async fn open(
        plan: &Plan,
        incarnation: Incarnation,
        bootstrap: Bootstrap,
        listen: SocketAddr,
        inputs: mpsc::UnboundedSender<Input>,
    ) -> Result<Opened, ClusterError> {
        let system = plan.system;
        let numa_nodes = system.numa_nodes();
        let runtimes: Vec<_> = numa_nodes
            .iter()
            .filter_map(|node| system.tokio_on(*node).cloned())
            .collect();
        if runtimes.is_empty() || system.is_shutting_down() {
            return Err(ClusterError::SystemEnded);
        }
        let transport = Transport::start_observed(
            plan.transport.clone(),
            plan.security.clone(),
            system.tokio(),
            Some(plan.troubles.clone()),
        )?;
        let mut config = peers::Config::new(
            plan.cluster.clone(),
            plan.peer.clone(),
            incarnation,
            runtimes,
        );
        config.numa_nodes = numa_nodes.iter().map(|node| node.0).collect();
        config.exports = plan.exports.table();
        plan.links.apply(&mut config);
        let wanted = inputs.clone();
        let remote = Remote::start(
            system,
            remote::Config {
                peer: plan.peer.clone(),
                incarnation,
                exports: plan.exports.clone(),
                settings: plan.remote,
                fragment: usize::try_from(config.limits.fragment).unwrap_or(usize::MAX),
                wanted: Some(Box::new(move |peer| {
                    // The driver has ended: so have all connections.
                    let _ = wanted.send(Input::Wanted(peer.clone()));
                })),
            },
        )
        .map_err(|error| match error {
            RemoteStartError::Exports(error) => ClusterError::Exports(error),
            RemoteStartError::Spawn(error) => ClusterError::Spawn(error),
        })?;
        let wiring = Arc::new(Wiring {
            remote: remote.clone(),
            inputs: inputs.clone(),
            troubles: plan.troubles.clone(),
            datagrams: AtomicUsize::new(0),
        });
        let peers = Peers::start(config, transport.clone(), wiring.clone())
            .map_err(|error| ClusterError::Peers(error.to_string()));
        let peers = match peers {
            Ok(peers) => peers,
            Err(error) => {
                remote.shutdown();
                transport.shutdown(Duration::ZERO).await;
                return Err(error);
            }
        };
        let rest = async {
            let addr = peers.listen(listen)?;
            let config = consensus::Config {
                cluster: plan.cluster.clone(),
                own: LifeId {
                    peer: plan.peer.clone(),
                    incarnation,
                },
                settings: ConsensusSettings {
                    bootstrap,
                    ..plan.consensus.clone()
                },
            };
            let post = Arc::new(ByPeers(peers.clone()));
            let consensus = Consensus::start(config, post, system.tokio().clone()).await?;
            Ok((addr, consensus))
        };
        match rest.await {
            Ok((addr, consensus)) => Ok(Opened {
                life: Self {
                    addr,
                    incarnation,
                    peers,
                    remote,
                    consensus,
                    inputs,
                    wiring,
                },
                seed: RandomState::new().hash_one(0_u8),
            }),
            Err(error) => {
                remote.shutdown();
                peers.shutdown(Duration::ZERO).await;
                Err(error)
            }
        }
    }

    /// Ends everything; peers that are reached within `grace` hear of it.
    pub(super) async fn close(&self, grace: Duration) {
        self.consensus.shutdown().await;
        self.peers.shutdown(grace).await;
        self.remote.shutdown();
    }
}

impl Opened {
    /// With the machines that drive it.
    pub(super) fn drive(
        self,
        plan: &Plan,
        groups: Directory,
        received: mpsc::UnboundedReceiver<Input>,
    ) -> (Arc<Life>, Driver) {
        let now = Instant::now();
        let (incarnation, seed) = (self.life.incarnation, self.seed);
        let membership = Membership::new(
            plan.peer.clone(),
            incarnation,
            plan.profile.clone(),
            plan.membership.clone(),
            seed,
            now,
        );
        let life = Arc::new(self.life);
        let machines = Machines::new(membership, groups);
        let driver = Driver::new(life.clone(), received, machines);
        (life, driver)
    }
}

/// What the connections say, to whom it is for.
pub(super) struct Wiring {
    remote: Remote,
    inputs: mpsc::UnboundedSender<Input>,
    troubles: Arc<Troubles>,
    datagrams: AtomicUsize,
}

impl Wiring {
    fn tell(&self, input: Input) {
        // Without a driver this life is over, and its connections end.
        let _ = self.inputs.send(input);
    }

    /// The driver has taken a datagram.
    pub(super) fn taken(&self) {
        self.datagrams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Life {
    pub(super) fn wiring(&self) -> &Wiring {
        &self.wiring
    }
}

impl PeerEvents for Wiring {
    fn up(&self, peer: &Arc<Peer>) {
        let way: Arc<dyn Way> = peer.clone();
        self.remote.up(&way);
        self.tell(Input::Connected(peer.id().clone(), peer.incarnation()));
    }

    fn interrupted(&self, peer: &Arc<Peer>, why: &Interruption) {
        tracing::debug!(peer = %peer.id(), %why, "the connection is interrupted");
        self.troubles.interrupted(peer.id(), why);
        self.tell(Input::Disconnected(peer.id().clone(), peer.incarnation()));
    }

    fn lost(&self, peer: &Arc<Peer>, why: &PeerLost) {
        tracing::info!(peer = %peer.id(), incarnation = peer.incarnation().0, %why, "a peer's life is over");
        self.remote.lost(&**peer, why);
        self.tell(Input::Disconnected(peer.id().clone(), peer.incarnation()));
    }

    fn lane_event(&self, peer: &Arc<Peer>, lane: usize, event: LaneEvent) {
        self.remote.lane_event(&**peer, lane, event);
    }

    fn lane_events(
        &self,
        peer: &Arc<Peer>,
        lane: usize,
        events: &mut dyn Iterator<Item = LaneEvent>,
    ) {
        self.remote.lane_events(&**peer, lane, events);
    }

    fn signal(&self, peer: &Arc<Peer>, signal: Signal) {
        self.remote.signal(&**peer, signal);
    }

    fn datagram(&self, peer: &Arc<Peer>, channel: u8, bytes: Bytes) {
        let Some(channel) = Channel::of(channel) else {
            tracing::debug!(peer = %peer.id(), channel, "a datagram on a channel that is not known");
            return;
        };
        if channel == Channel::Remote {
            self.remote.datagram(&**peer, &bytes);
            return;
        }
        if self.datagrams.fetch_add(1, Ordering::Relaxed) >= DATAGRAMS_MAX {
            self.taken();
            return;
        }
        let from = peer.id().clone();
        self.tell(Input::Datagram {
            from,
            channel,
            bytes,
        });
    }

    fn refused(&self, who: &Contact, error: &ConnectError) {
        self.troubles.refused(who, error);
        let (who, error) = (who.clone(), error.clone());
        self.tell(Input::Refused { who, error });
    }
}

/// Datagrams of the consensus, over the control connections.
struct ByPeers(Peers);

impl Post for ByPeers {
    fn datagram(&self, to: &PeerId, bytes: Vec<u8>) -> Result<(), NotSent> {
        let peer = self.0.get(to).ok_or(NotSent)?;
        peer.datagram(Channel::Consensus, &bytes)
            .map_err(|_| NotSent)
    }
}

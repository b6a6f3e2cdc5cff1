//! One association with every peer: who is dialled, who is let in, what goes over which connection.
//!
//! `Peers` listens and dials. Of a peer that is there it makes a `Peer`: one life of it, with a control
//! connection and one data lane for each NUMA node of the larger machine. Connections break and come back
//! under it; what the floors above hear of is in `PeerEvents`.
#![allow(
    dead_code,
    unused_imports,
    reason = "the floors above it are being built"
)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{Incarnation, PeerId};
use crate::transport::{Endpoint, ListenError, Transport};

mod config;
mod error;
mod events;
mod peer;

pub(crate) use config::{Config, InvalidConfig};
pub(crate) use error::{ConnectError, Interruption, PeerLost, PushError};
pub(crate) use events::{Contact, PeerEvents};
pub(crate) use peer::Peer;

/// All peers of this process. A handle: clones are the same.
#[derive(Clone)]
pub(crate) struct Peers(Arc<Hub>);

struct Hub {
    config: Config,
    transport: Transport,
    events: Arc<dyn PeerEvents>,
}

impl Peers {
    /// Opens nothing yet; `listen` and `connect` do.
    pub(crate) fn start(
        config: Config,
        transport: Transport,
        events: Arc<dyn PeerEvents>,
    ) -> Result<Self, InvalidConfig> {
        config.check()?;
        Ok(Self(Arc::new(Hub {
            config,
            transport,
            events,
        })))
    }

    /// Lets peers in on this address; says where it listens (port 0 takes a free one).
    pub(crate) fn listen(&self, addr: SocketAddr) -> Result<SocketAddr, ListenError> {
        Ok(self.0.transport.listen(addr)?.local_addr())
    }

    /// Dials whoever is there, or `wanted` and nobody else, now and whenever there is no connection, with
    /// growing pauses, until [`disconnect`](Self::disconnect) or [`shutdown`](Self::shutdown).
    pub(crate) fn connect(&self, endpoint: Endpoint, wanted: Option<PeerId>) {
        let _ = (endpoint, wanted);
    }

    /// Dials this peer no more and closes its connection in good order. Its life goes on: it may come back.
    pub(crate) fn disconnect(&self, peer: &PeerId) {
        let _ = peer;
    }

    /// The present life of a peer, connected or not.
    pub(crate) fn get(&self, peer: &PeerId) -> Option<Arc<Peer>> {
        let _ = peer;
        None
    }

    /// All present lives, by their names.
    pub(crate) fn all(&self) -> Vec<Arc<Peer>> {
        Vec::new()
    }

    /// This life of the peer is over, and stays so: it is not let in again, a later life is.
    pub(crate) fn declare_dead(&self, peer: &PeerId, incarnation: Incarnation) {
        let _ = (peer, incarnation);
    }

    /// Lets nobody in, sends what waits, says goodbye, and shuts the transport down; what is not done within
    /// `grace` is cut off. `true` when nothing had to be.
    pub(crate) async fn shutdown(&self, grace: Duration) -> bool {
        self.0.transport.shutdown(grace).await
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers")
            .field("own", &self.0.config.peer)
            .finish_non_exhaustive()
    }
}

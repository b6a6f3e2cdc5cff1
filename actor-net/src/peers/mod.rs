//! One association with every peer: who is dialled, who is let in, what goes over which connection.
//!
//! `Peers` listens and dials. Of a peer that is there it makes a `Peer`: one *life* of it, with a control
//! connection and one data lane for each NUMA node of the larger machine. Connections break and come back under
//! it; what the floors above hear is in `PeerEvents`.
//!
//! ```text
//!           meet.rs: dial, accept          book.rs: which connection counts
//!                 │ handshake (shake.rs)         │
//!                 v                              v
//!   Peer ── control ── port ── link      up ──> interrupted ──> up ... ──> lost, once
//!      └─── lane 0.. ─ port ── link
//! ```
//!
//! **Interrupted and lost.** A peer whose connection breaks is interrupted: what is sent waits, signals are
//! kept, whoever dialled dials again. It is lost when it is declared dead, comes back as a later life, says
//! goodbye for good, or does not take its signals for too long; that life is then never let in again.
//!
//! **What became of a message** is told by lane events: delivered, lost (it may have arrived), or dropped (it
//! has not). Each token has one of them in the end, also of a life that is over.
//!
//! **Idle lanes** are closed, and made anew when there is something to send (`lanes.rs`).
//!
//! **Locks.** The book's, and one for each port; a port's may be taken under the book's, never the other way
//! round. None is held for a system call or while somebody above is called.

use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{Incarnation, PeerId};
use crate::transport::{Endpoint, ListenError, Transport};
use crate::wire::error::CloseReason;

mod book;
mod config;
mod error;
mod events;
mod farewell;
mod hub;
mod lanes;
mod machines;
mod meet;
mod peer;
mod port;
mod settings;
mod shake;
mod traffic;

pub(crate) use config::{Config, InvalidConfig};
pub(crate) use error::{ConnectError, Interruption, PeerLost, PushError};
pub(crate) use events::{Contact, PeerEvents};
pub(crate) use peer::Peer;
pub use settings::LinkSettings;

use hub::{Dialled, Hub};

/// All peers of this process. A handle: clones are the same. It works until [`shutdown`](Self::shutdown).
#[derive(Clone)]
pub(crate) struct Peers(Arc<Hub>);

impl Peers {
    /// Opens nothing yet; `listen` and `connect` do. The transport is this floor's from now on.
    pub(crate) fn start(
        config: Config,
        transport: Transport,
        events: Arc<dyn PeerEvents>,
    ) -> Result<Self, InvalidConfig> {
        config.check(transport.queue_bytes_max())?;
        Ok(Self(Arc::new(Hub::new(config, transport, events))))
    }

    /// Lets peers in on this address; says where it listens (port 0 takes a free one).
    pub(crate) fn listen(&self, addr: SocketAddr) -> Result<SocketAddr, ListenError> {
        let listener = self.0.transport.listen(addr)?;
        let addr = listener.local_addr();
        self.0.spawn(meet::accept(self.0.clone(), listener));
        Ok(addr)
    }

    /// Dials whoever is there, or `wanted` and nobody else, now and whenever there is no connection, with
    /// growing pauses, until [`disconnect`](Self::disconnect) or [`shutdown`](Self::shutdown). An endpoint that
    /// is dialled already goes on as it is.
    pub(crate) fn connect(&self, endpoint: Endpoint, wanted: Option<PeerId>) {
        let hub = &self.0;
        let cancel = hub.closing.child_token();
        match hub.dials().entry(endpoint.clone()) {
            Entry::Occupied(_) => return,
            Entry::Vacant(entry) => entry.insert(Dialled {
                cancel: cancel.clone(),
                peer: wanted,
            }),
        };
        hub.spawn(meet::keep_dialling(hub.clone(), endpoint, cancel));
    }

    /// Dials this peer no more and closes its connection in good order. Its life goes on: it may come back.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the front door has no way to ask for it")
    )]
    pub(crate) fn disconnect(&self, peer: &PeerId) {
        self.0.dials().retain(|_, dialled| {
            let is_it = dialled.peer.as_ref() == Some(peer);
            if is_it {
                dialled.cancel.cancel();
            }
            !is_it
        });
        if let Some(life) = self.get(peer) {
            let reason = CloseReason::Other {
                code: DISCONNECTED,
                detail: "the other side does not want the connection".to_owned(),
            };
            life.control.close(None, reason, Interruption::Disconnected);
        }
    }

    /// The present life of a peer, connected or not.
    pub(crate) fn get(&self, peer: &PeerId) -> Option<Arc<Peer>> {
        self.0.book().get(peer)
    }

    /// All present lives, by their names.
    pub(crate) fn all(&self) -> Vec<Arc<Peer>> {
        self.0.book().all()
    }

    /// This life of the peer, and every one before, is over, and stays so: it is not let in again, a later
    /// life is.
    pub(crate) fn declare_dead(&self, peer: &PeerId, incarnation: Incarnation) {
        let life = self.0.book().bury(peer, incarnation);
        if let Some(life) = life {
            life.end(PeerLost::DeclaredDead);
        }
    }

    /// Until what was pushed before has arrived, at all peers that are connected.
    pub(crate) async fn all_said(&self) {
        farewell::all_said(&self.0).await;
    }

    /// Lets nobody in, sends what waits, says goodbye, and shuts the transport down; what is not done within
    /// `grace` is cut off. `true` when nothing had to be.
    pub(crate) async fn shutdown(&self, grace: Duration) -> bool {
        farewell::shutdown(&self.0, grace).await
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peers")
            .field("own", &self.0.config.peer)
            .field("peers", &self.all())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

/// The code of a goodbye that is no fault and not for good.
const DISCONNECTED: u8 = 4;

//! A connection to a peer that has proven who it is, before it is a link: the handshake above this floor
//! reads and writes by turns, and learns from it on which NUMA node the link is to live.

use std::fmt;
use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::runtime::Handle;

use super::link::{LinkEvents, Peer};
use super::quota::LinkSlot;
use super::security::HandshakeFailure;
use super::session::Session;
use super::state::Core;
use super::tcp::{self, TcpLink};

/// An authenticated connection that nobody reads yet.
///
/// Dropping it closes the connection. It counts as a link already.
pub struct Established {
    session: Session,
    peer: Peer,
    slot: LinkSlot,
    core: Arc<Core>,
}

impl Established {
    pub(crate) fn new(mut session: Session, peer: Peer, slot: LinkSlot, core: Arc<Core>) -> Self {
        session.lift_budget();
        Self {
            session,
            peer,
            slot,
            core,
        }
    }

    /// Who is at the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What has come, at least a byte; 0: the end.
    ///
    /// How much to read of a peer, and how long to wait for it, is for the caller to limit.
    ///
    /// # Errors
    ///
    /// When the connection broke.
    ///
    /// # Cancel safety
    ///
    /// Bytes that were not returned will be returned by the next call, or delivered to the link's events.
    pub async fn read(&mut self, into: &mut [u8]) -> Result<usize, HandshakeFailure> {
        self.session.read(into).await
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    ///
    /// When the connection broke.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: some of the bytes may have gone out. Drop the connection then.
    pub async fn write_all(&mut self, bytes: &[u8]) -> Result<(), HandshakeFailure> {
        self.session.write_all(bytes).await
    }

    /// Closes it when the other side has had the time to read what it was told.
    pub(crate) async fn linger(self) {
        self.session.linger().await;
    }

    /// Makes it a link that lives on the runtime `on`, which is where its events are called.
    ///
    /// Bytes that came already are delivered first. `events` gets the link, to answer with.
    ///
    /// # Errors
    ///
    /// When the system does not move the socket to that runtime.
    pub fn start<E: LinkEvents>(
        self,
        on: &Handle,
        events: impl FnOnce(&TcpLink) -> E,
    ) -> io::Result<TcpLink> {
        let std = self.session.tcp.into_std()?;
        let tcp = {
            let _on = on.enter();
            TcpStream::from_std(std)?
        };
        let core = &self.core;
        let parts = tcp::Parts {
            tcp,
            tls: self.session.tls,
            peer: self.peer,
            slot: self.slot,
            buffers: core.buffers.clone(),
            queue_bytes_max: core.settings.queue_bytes_max,
            close_within: core.settings.close_within,
            abort_all: core.abort.clone(),
            close_all: core.closing.clone(),
        };
        let (link, task) = tcp::link(parts, events);
        core.tasks.spawn(on, task);
        Ok(link)
    }
}

impl fmt::Debug for Established {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Established")
            .field("peer", &self.peer.addr)
            .field("identity", &self.peer.identity)
            .finish_non_exhaustive()
    }
}

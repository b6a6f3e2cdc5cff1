//! What the floors above hear of peers.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::error::{ConnectError, Interruption, PeerLost};
use super::peer::Peer;
use crate::transport::Endpoint;
use crate::wire::lane::LaneEvent;
use crate::wire::signal::Signal;

/// Hears of peers and of what they say.
///
/// Called outside of all locks, on the reactors: it must not block. What comes over one lane comes in its
/// order, one call at a time, and so does everything else of one peer (`up`, `interrupted`, `lost`, `signal`,
/// `datagram`); the two are not ordered with each other, but for what is said below.
pub(crate) trait PeerEvents: Send + Sync + 'static {
    /// There is a connection: the first of this life, or again. Nothing else is said of a life before this.
    fn up(&self, peer: &Arc<Peer>);

    /// The connection is gone. What is sent waits for the next one, which is dialled for.
    fn interrupted(&self, peer: &Arc<Peer>, why: &Interruption);

    /// This life is over: the last word of it but for lane events that tell the fate of what was sent.
    /// Once for each life of which `up` was said.
    fn lost(&self, peer: &Arc<Peer>, why: &PeerLost);

    /// Something came over a lane, or became of what was pushed into it.
    ///
    /// `Flush` marks are kept here: the signal that waits for one is delivered after the messages before it.
    fn lane_event(&self, peer: &Arc<Peer>, lane: usize, event: LaneEvent);

    /// Several, in their order, one after the other; all of `events` is taken. What they have in common needs to be
    /// done once.
    fn lane_events(
        &self,
        peer: &Arc<Peer>,
        lane: usize,
        events: &mut dyn Iterator<Item = LaneEvent>,
    ) {
        events.for_each(|event| self.lane_event(peer, lane, event));
    }

    /// A lifecycle signal, each once.
    fn signal(&self, peer: &Arc<Peer>, signal: Signal);

    /// Bytes of a floor above; `channel` is whatever the peer says.
    fn datagram(&self, peer: &Arc<Peer>, channel: u8, bytes: Bytes);

    /// A connection did not come about. Each time; what is logged is limited.
    fn refused(&self, who: &Contact, error: &ConnectError) {
        let _ = (who, error);
    }
}

/// With whom a connection did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contact {
    /// This side dialled.
    Dialled(Endpoint),
    /// The other side did, from this address.
    Came(SocketAddr),
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dialled(endpoint) => endpoint.fmt(f),
            Self::Came(addr) => addr.fmt(f),
        }
    }
}

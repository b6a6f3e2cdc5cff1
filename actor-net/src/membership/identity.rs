//! One life of one peer, as the gossip names it: small, for it travels in every packet.
//!
//! foca compares identities all the time, so both comparisons are of plain numbers: a name is known by the
//! first 16 bytes of its SHA-256. Two names that share those would be one member to us; nobody can make such
//! a pair (2^64 tries for two of one's own choosing, 2^128 for a given one).

use std::fmt;
use std::sync::Arc;

use crate::id::{Incarnation, NAME_BYTES_MAX, PeerId};
use crate::transport::Endpoint;
use crate::wire::codec::{Decoded, Flaw, Reader, put_text, put_u64};

/// Bytes of an endpoint as text: a host name has at most 253, and the port 6.
pub(super) const ENDPOINT_BYTES_MAX: usize = 260;

/// A name, as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key(u128);

impl Key {
    pub(super) fn of(peer: &PeerId) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, peer.as_str().as_bytes());
        let mut first = [0; 16];
        first.copy_from_slice(&digest.as_ref()[..16]);
        Self(u128::from_le_bytes(first))
    }
}

/// Who, in which life, and where it is dialled.
#[derive(Clone)]
pub(crate) struct Identity {
    key: Key,
    pub(crate) incarnation: Incarnation,
    pub(crate) peer: PeerId,
    /// The first of its addresses, so that whoever hears of it can dial it. None: it only dials.
    pub(crate) endpoint: Option<Arc<Endpoint>>,
}

impl Identity {
    pub(crate) fn new(peer: PeerId, incarnation: Incarnation, endpoint: Option<Endpoint>) -> Self {
        Self {
            key: Key::of(&peer),
            incarnation,
            peer,
            endpoint: endpoint.map(Arc::new),
        }
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, self.peer.as_str());
        put_u64(out, self.incarnation.0);
        match &self.endpoint {
            Some(endpoint) => put_text(out, &endpoint.to_string()),
            None => put_text(out, ""),
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Decoded<Self> {
        let peer = decode_peer(reader)?;
        let incarnation = Incarnation(reader.u64("incarnation")?);
        let at = reader.at();
        let endpoint = match reader.text("endpoint", ENDPOINT_BYTES_MAX)? {
            "" => None,
            text => match text.parse() {
                Ok(endpoint) => Some(endpoint),
                Err(_) => return reader.flaw("endpoint", at, Flaw::Text),
            },
        };
        Ok(Self::new(peer, incarnation, endpoint))
    }
}

pub(super) fn decode_peer(reader: &mut Reader<'_>) -> Decoded<PeerId> {
    let at = reader.at();
    match PeerId::new(reader.text("peer", NAME_BYTES_MAX)?) {
        Ok(peer) => Ok(peer),
        Err(_) => reader.flaw("peer", at, Flaw::Text),
    }
}

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.incarnation == other.incarnation
    }
}

impl Eq for Identity {}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.peer, self.incarnation.0)
    }
}

impl foca::Identity for Identity {
    type Addr = Key;

    /// A life that was declared down does not come back under another number by itself: what it held is
    /// stale. Its owner drops it and begins anew (`README.md`).
    fn renew(&self) -> Option<Self> {
        None
    }

    fn addr(&self) -> Key {
        self.key
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.incarnation > adversary.incarnation
    }
}

//! What the machines of the upper floors say to each other: bytes for a peer, on a numbered channel of the
//! control connection, which may be lost with the connection and are never sent twice.
//!
//! Such a machine is pure, as those of the wire are: `handle_datagram(from, bytes, now)` and
//! `handle_timeout(now)` in; `poll_transmit() -> Option<Datagram>`, `poll_timeout()` and `poll_event()` out. One
//! driver serves them all, and the simulation of whole clusters is another.

use crate::id::PeerId;

/// Bytes for a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) to: PeerId,
    pub(crate) bytes: Vec<u8>,
}

/// Which machine a datagram is of: its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Channel {
    Membership = 1,
    Consensus = 2,
    Registry = 3,
    Sharding = 4,
    /// Of the actors themselves: circles of asks.
    Remote = 5,
    /// Of the peers floor: lanes that are wanted again.
    Lanes = 6,
}

impl Channel {
    /// The channel with that number; a peer may say any.
    pub(crate) const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Membership),
            2 => Some(Self::Consensus),
            3 => Some(Self::Registry),
            4 => Some(Self::Sharding),
            5 => Some(Self::Remote),
            6 => Some(Self::Lanes),
            _ => None,
        }
    }
}

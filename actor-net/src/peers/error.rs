//! What goes wrong between peers, and what became of whom.

use std::fmt;

use crate::id::Incarnation;
use crate::transport::{DialError, HandshakeFailure, LinkEnd};
use crate::wire::error::{CloseReason, WireError};
use crate::wire::handshake::HandshakeError;
use crate::wire::hello::Refusal;
use crate::wire::outbox::Outgoing;
use crate::wire::signal::Undeliverable;

/// Why a message was not taken; it comes back.
#[derive(Debug)]
#[non_exhaustive]
#[expect(
    dead_code,
    reason = "of what will never go remote has its own, not encoded yet"
)]
pub(crate) enum PushError {
    /// Too much waits for this peer already; `Peer::poll_room` says when it may be tried again.
    Full(Outgoing),
    TooLarge {
        message: Outgoing,
        bytes: usize,
        max: u32,
    },
    /// This life of the peer is over.
    Lost(Outgoing),
}

/// Why a connection did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum ConnectError {
    /// Nobody was reached, or they did not prove who they are.
    Dial(DialError),
    /// The two met and did not agree.
    Handshake(HandshakeError),
    /// The connection broke before they had.
    Broken(HandshakeFailure),
    /// The system did not move the socket to its reactor.
    Io(String),
}

impl ConnectError {
    /// Whether it belongs to the way of things: it needs nobody's eyes.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::Handshake(HandshakeError::Refused(why) | HandshakeError::RefusedByPeer(why)) => {
                why.is_passing() && !matches!(why, Refusal::TooManyConnections { .. })
            }
            _ => false,
        }
    }

    /// Whether one of the sides said this.
    pub(crate) fn is_about(&self, refusal: &Refusal) -> bool {
        matches!(
            self,
            Self::Handshake(HandshakeError::Refused(why) | HandshakeError::RefusedByPeer(why))
                if why == refusal
        )
    }

    /// Whether somebody else than the wanted peer answered.
    pub(crate) fn is_wrong_peer(&self) -> bool {
        matches!(
            self,
            Self::Handshake(HandshakeError::Refused(Refusal::NotTheOneDialled { .. }))
        )
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(error) => error.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Broken(error) => write!(f, "the handshake broke off: {error}"),
            Self::Io(text) => write!(f, "cannot drive the connection: {text}"),
        }
    }
}

impl std::error::Error for ConnectError {}

/// Why there is no connection to a peer now; it may come back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Interruption {
    /// The control connection ended.
    Ended(LinkEnd),
    /// What the peer sent was wrong, or it sent nothing for too long.
    Fault(WireError),
    /// The peer ended it.
    Goodbye(CloseReason),
    /// The peer had lost the connection and made a new one.
    Replaced,
    /// `Peers::disconnect`.
    Disconnected,
    /// Nobody used it.
    Idle,
}

impl Interruption {
    /// Whether one of the sides wanted it so.
    pub(crate) fn is_planned(&self) -> bool {
        matches!(
            self,
            Self::Disconnected
                | Self::Idle
                | Self::Goodbye(CloseReason::Shutdown | CloseReason::Idle)
        )
    }
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(end) => end.fmt(f),
            Self::Fault(error) => error.fmt(f),
            Self::Goodbye(reason) => reason.fmt(f),
            Self::Replaced => f.write_str("the peer had lost the connection and made a new one"),
            Self::Disconnected => f.write_str("disconnected by this side"),
            Self::Idle => f.write_str("it was not used"),
        }
    }
}

/// Why a life of a peer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum PeerLost {
    /// `Peers::declare_dead`.
    DeclaredDead,
    /// Its lifecycle signals could not be delivered.
    Undeliverable(Undeliverable),
    /// It is back as another.
    Restarted { incarnation: Incarnation },
    /// It said that it shuts down.
    Shutdown,
    /// This side shuts down.
    ShutdownHere,
}

impl fmt::Display for PeerLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeclaredDead => f.write_str("declared dead"),
            Self::Undeliverable(Undeliverable::TooMany { max }) => write!(
                f,
                "it did not acknowledge the {max} lifecycle signals that may wait for it"
            ),
            Self::Undeliverable(Undeliverable::TooOld { age }) => write!(
                f,
                "it did not acknowledge a lifecycle signal within {age:?}"
            ),
            Self::Undeliverable(Undeliverable::Lost) => f.write_str("its life is over"),
            Self::Restarted { incarnation } => write!(f, "restarted as {incarnation}"),
            Self::Shutdown => f.write_str("it has shut down"),
            Self::ShutdownHere => f.write_str("this side shuts down"),
        }
    }
}

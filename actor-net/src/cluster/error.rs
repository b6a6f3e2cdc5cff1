//! Why a peer does not start.

use std::fmt;
use std::net::SocketAddr;

use actor_core::SpawnError;

use crate::consensus;
use crate::id::InvalidId;
use crate::membership::{InvalidMembershipSettings, InvalidProfile};
use crate::remote::ExportError;
use crate::sharding::InvalidEntity;
use crate::transport::{self, ListenError};

/// Why a peer does not start. Nothing of it is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClusterError {
    /// The name of the cluster or of the peer is none.
    Name(InvalidId),
    /// Roles, metadata or addresses are too many or too long.
    Profile(InvalidProfile),
    /// A setting of the membership is out of its range.
    Membership(InvalidMembershipSettings),
    /// A setting or a key of the transport is not usable.
    Transport(transport::StartError),
    /// It cannot listen there.
    Listen(ListenError),
    /// It listens on all addresses of the host, and others are told none to dial.
    NotAdvertised {
        /// Where it listens.
        addr: SocketAddr,
    },
    /// The exports cannot be.
    Exports(ExportError),
    /// A kind of entities cannot be.
    Entity(InvalidEntity),
    /// An actor of its own could not be spawned.
    Spawn(SpawnError),
    /// Connections cannot be made as they are set up.
    Peers(String),
    /// What was agreed on before cannot be read, or a setting is out of its range.
    Consensus(consensus::StartError),
    /// The system has no reactor: it has been shut down.
    SystemEnded,
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer does not start: ")?;
        match self {
            Self::Name(error) => error.fmt(f),
            Self::Profile(error) => error.fmt(f),
            Self::Membership(error) => error.fmt(f),
            Self::Transport(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
            Self::NotAdvertised { addr } => write!(
                f,
                "it listens on {addr}, which nobody can dial; say .advertise(..) with an address that others reach \
                 it by, such as the pod's"
            ),
            Self::Exports(error) => error.fmt(f),
            Self::Entity(error) => error.fmt(f),
            Self::Spawn(error) => error.fmt(f),
            Self::Peers(text) => f.write_str(text),
            Self::Consensus(error) => error.fmt(f),
            Self::SystemEnded => {
                f.write_str("the actor system is shut down; start the peer before that")
            }
        }
    }
}

impl std::error::Error for ClusterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(error) => Some(error),
            Self::Profile(error) => Some(error),
            Self::Membership(error) => Some(error),
            Self::Transport(error) => Some(error),
            Self::Listen(error) => Some(error),
            Self::Exports(error) => Some(error),
            Self::Entity(error) => Some(error),
            Self::Spawn(error) => Some(error),
            Self::Consensus(error) => Some(error),
            Self::Peers(_) | Self::NotAdvertised { .. } | Self::SystemEnded => None,
        }
    }
}

impl From<InvalidId> for ClusterError {
    fn from(error: InvalidId) -> Self {
        Self::Name(error)
    }
}

impl From<InvalidProfile> for ClusterError {
    fn from(error: InvalidProfile) -> Self {
        Self::Profile(error)
    }
}

impl From<InvalidMembershipSettings> for ClusterError {
    fn from(error: InvalidMembershipSettings) -> Self {
        Self::Membership(error)
    }
}

impl From<transport::StartError> for ClusterError {
    fn from(error: transport::StartError) -> Self {
        Self::Transport(error)
    }
}

impl From<ListenError> for ClusterError {
    fn from(error: ListenError) -> Self {
        Self::Listen(error)
    }
}

impl From<consensus::StartError> for ClusterError {
    fn from(error: consensus::StartError) -> Self {
        Self::Consensus(error)
    }
}

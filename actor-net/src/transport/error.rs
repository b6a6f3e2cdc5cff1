//! Why a transport does not start, does not listen, or does not reach a peer.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::security::{HandshakeFailure, KeyError};
use super::settings::InvalidSetting;

/// Why a transport did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A number is out of its bounds.
    Setting(InvalidSetting),
    /// A certificate or a key is missing or not usable.
    Key(KeyError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(error) => error.fmt(f),
            Self::Key(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Setting(error) => Some(error),
            Self::Key(error) => Some(error),
        }
    }
}

impl From<InvalidSetting> for StartError {
    fn from(error: InvalidSetting) -> Self {
        Self::Setting(error)
    }
}

impl From<KeyError> for StartError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

/// Why a transport does not listen. Nothing listens then.
#[derive(Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// The address can be reached from other machines, and the security mode authenticates nobody.
    InsecureBeyondLoopback {
        /// The address.
        addr: SocketAddr,
    },
    /// Something listens there already.
    PortInUse {
        /// The address.
        addr: SocketAddr,
    },
    /// The address is not one of this machine.
    NotOurs {
        /// The address.
        addr: SocketAddr,
    },
    /// The system does not allow it.
    NotPermitted {
        /// The address.
        addr: SocketAddr,
    },
    /// The transport is shut down.
    ShutDown,
    /// Something else.
    Io {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
}

impl ListenError {
    pub(crate) fn of(addr: SocketAddr, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse { addr },
            io::ErrorKind::AddrNotAvailable => Self::NotOurs { addr },
            io::ErrorKind::PermissionDenied => Self::NotPermitted { addr },
            _ => Self::Io { addr, error },
        }
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InsecureBeyondLoopback { addr } => write!(
                f,
                "refusing to listen on {addr} without authentication: it is reachable from other machines; use Security::mtls, pinned_keys or shared_key, or listen on 127.0.0.1 or [::1]"
            ),
            Self::PortInUse { addr } => write!(
                f,
                "{addr} is in use; stop what listens there (ss -ltnp shows it) or choose another port, 0 for any"
            ),
            Self::NotOurs { addr } => write!(
                f,
                "{} is not an address of this machine (ip addr shows them); listen on one that is, or on 0.0.0.0 or [::]",
                addr.ip()
            ),
            Self::NotPermitted { addr } => write!(
                f,
                "not allowed to listen on {addr}; ports below 1024 need a privilege"
            ),
            Self::ShutDown => f.write_str("the transport is shut down"),
            Self::Io { addr, error } => write!(f, "cannot listen on {addr}: {error}"),
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Why a peer was not reached: what was tried, and the reason of the last try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialError {
    pub(crate) endpoint: Endpoint,
    pub(crate) tried: Vec<(SocketAddr, DialFailure)>,
    pub(crate) failure: DialFailure,
}

impl DialError {
    /// Whom this side wanted to reach.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The reason of the last try.
    pub fn failure(&self) -> &DialFailure {
        &self.failure
    }

    /// Each address that was tried, and why it failed. Empty when the name has none.
    pub fn tried(&self) -> &[(SocketAddr, DialFailure)] {
        &self.tried
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.endpoint, self.failure)?;
        if self.tried.len() > 1 {
            let addresses: Vec<_> = self.tried.iter().map(|(a, _)| a.to_string()).collect();
            write!(f, " (tried {})", addresses.join(", "))?;
        }
        Ok(())
    }
}

impl std::error::Error for DialError {}

/// Why one try to reach a peer failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialFailure {
    /// The name has no address.
    NotResolvable {
        /// What the resolver says.
        text: String,
    },
    /// Nothing listens there.
    ConnectionRefused,
    /// No answer to the attempt to connect.
    ConnectTimedOut {
        /// `connect_within`.
        after: Duration,
    },
    /// There is no way there.
    Unreachable {
        /// What the system says.
        text: String,
    },
    /// The address is on another machine, and the security mode authenticates nobody.
    InsecureBeyondLoopback,
    /// This process has as many links as it may, in all or to that peer.
    TooManyLinks,
    /// The transport is shut down.
    ShutDown,
    /// They met, and did not come together.
    Handshake(HandshakeFailure),
    /// Something else.
    Io {
        /// What kind of error it was.
        kind: io::ErrorKind,
        /// What the system says.
        text: String,
    },
}

impl DialFailure {
    pub(crate) fn of(error: &io::Error) -> Self {
        let text = error.to_string();
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::ConnectionRefused,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                Self::Unreachable { text }
            }
            kind => Self::Io { kind, text },
        }
    }
}

impl fmt::Display for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotResolvable { text } => write!(
                f,
                "the name has no address ({text}); check its spelling and the resolver (getent hosts NAME)"
            ),
            Self::ConnectionRefused => f.write_str(
                "nothing listens there; check that the peer runs, its port, and that it does not listen on loopback only",
            ),
            Self::ConnectTimedOut { after } => write!(
                f,
                "no answer within {after:?}; check the address and the firewalls between, or raise connect_within"
            ),
            Self::Unreachable { text } => {
                write!(f, "there is no way there ({text}); check routes and firewalls")
            }
            Self::InsecureBeyondLoopback => f.write_str(
                "refusing to connect to another machine without authentication; use Security::mtls, pinned_keys or shared_key",
            ),
            Self::TooManyLinks => {
                f.write_str("as many links are open here as links_max and links_per_peer allow")
            }
            Self::ShutDown => f.write_str("the transport is shut down"),
            Self::Handshake(failure) => failure.fmt(f),
            Self::Io { text, .. } => write!(f, "cannot connect: {text}"),
        }
    }
}

impl From<HandshakeFailure> for DialFailure {
    fn from(failure: HandshakeFailure) -> Self {
        Self::Handshake(failure)
    }
}

//! Why a console does not start.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a console does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConsoleError {
    /// It would listen beyond loopback, and anybody could read it.
    NoToken {
        /// Where.
        addr: SocketAddr,
    },
    /// The token is none.
    Token {
        /// Why.
        why: String,
    },
    /// The file with the token cannot be read.
    TokenFile {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The name is none that a host can have.
    Host {
        /// Which.
        host: String,
    },
    /// A number is out of its range.
    Setting {
        /// Which.
        setting: &'static str,
        /// What was asked for.
        asked: String,
        /// What may be.
        allowed: &'static str,
    },
    /// The address is taken, or cannot be listened on.
    Listen {
        /// Which.
        addr: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The actor system is shutting down, or has ended.
    SystemEnded,
    /// The operating system has no random numbers for sessions.
    NoRandom,
}

impl fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken { addr } => write!(
                f,
                "a console on {addr} could be read from other machines: set a token (.token(..) or \
                 .token_file(..)), or listen on 127.0.0.1"
            ),
            Self::Token { why } => write!(f, "the console's token {why}"),
            Self::TokenFile { path, error } => write!(
                f,
                "the console's token cannot be read from {}: {error}",
                path.display()
            ),
            Self::Host { host } => write!(
                f,
                "{host:?} is no host's name: 1 to 253 of a-z A-Z 0-9 - . without a port"
            ),
            Self::Setting {
                setting,
                asked,
                allowed,
            } => write!(f, "{setting} is {asked}; it may be {allowed}"),
            Self::Listen { addr, error } => {
                write!(f, "the console cannot listen on {addr}: {error}")?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => f.write_str(
                        "; another program has it: choose another port, or 0 for any that is free",
                    ),
                    io::ErrorKind::PermissionDenied => {
                        f.write_str("; ports below 1024 are for root: choose another")
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        f.write_str("; this machine does not have that address")
                    }
                    _ => Ok(()),
                }
            }
            Self::SystemEnded => f.write_str("the actor system is shutting down or has ended"),
            Self::NoRandom => f.write_str("the operating system has no random numbers"),
        }
    }
}

impl std::error::Error for ConsoleError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TokenFile { error, .. } | Self::Listen { error, .. } => Some(error),
            _ => None,
        }
    }
}

//! What can go wrong on this floor, in our own words.

use std::fmt;
use std::io;
use std::time::Duration;

use super::command::Refusal;

/// A command was not applied, or nobody knows whether it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum ProposeError {
    /// All agreed that it does not fit.
    Refused(Refusal),
    /// No majority of the voters answered in time: this side may be the smaller one of a cluster that is cut in
    /// two, or a leader is still being elected.
    NoQuorum {
        /// How long it was tried.
        waited: Duration,
        /// It was handed to a leader, so it may still be applied later: ask again with `read`, or repeat a command
        /// that does no harm twice.
        uncertain: bool,
    },
    /// Too many commands of this peer are on their way.
    Busy {
        /// How many may be.
        max: usize,
    },
    /// The command is too large.
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The bytes it may have.
        max: usize,
    },
    /// This peer takes part no more; why is in [`Stopped`].
    Stopped(Stopped),
}

impl fmt::Display for ProposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => fmt::Display::fmt(refusal, f),
            Self::NoQuorum { waited, uncertain } => {
                write!(
                    f,
                    "no majority of the voters answered within {} ms",
                    waited.as_millis()
                )?;
                if *uncertain {
                    f.write_str("; the command may still be applied")?;
                }
                Ok(())
            }
            Self::Busy { max } => write!(
                f,
                "{max} commands of this peer are on their way; wait for some of them"
            ),
            Self::TooLarge { bytes, max } => write!(
                f,
                "a command of {bytes} bytes; at most {max} are allowed, split it"
            ),
            Self::Stopped(why) => fmt::Display::fmt(why, f),
        }
    }
}

impl std::error::Error for ProposeError {}

/// Why a peer takes part in the consensus no more. It has to be started anew.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stopped {
    /// It was shut down.
    ShutDown,
    /// This life of the peer was declared down by the others.
    LifeIsOver,
    /// Its store failed, so that it can promise nothing any more.
    Store(String),
    /// A part of it panicked; the message is in the log.
    Panicked,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShutDown => f.write_str("the consensus is shut down"),
            Self::LifeIsOver => {
                f.write_str("the others declared this life of the peer down; start the peer anew")
            }
            Self::Store(why) => write!(
                f,
                "the store of the consensus failed ({why}); see to the disk and start the peer anew"
            ),
            Self::Panicked => {
                f.write_str("the consensus panicked; start the peer anew and report the message")
            }
        }
    }
}

impl std::error::Error for Stopped {}

/// The store on disk cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreError {
    /// The system said no.
    Io {
        /// The file.
        file: String,
        /// What it said.
        kind: io::ErrorKind,
        /// The same as text.
        text: String,
    },
    /// A record in the middle is damaged. What follows it cannot be trusted: move the directory away and start
    /// the peer as a new one.
    Corrupt {
        /// The file.
        file: String,
        /// Where, in bytes.
        at: u64,
    },
    /// It is another peer's.
    Foreign {
        /// Its cluster.
        cluster: crate::id::ClusterId,
        /// Its peer.
        peer: String,
    },
}

impl StoreError {
    pub(super) fn io(file: &str, error: io::Error) -> Self {
        Self::Io {
            file: file.to_owned(),
            kind: error.kind(),
            text: error.to_string(),
        }
    }

    pub(super) fn corrupt(file: &str, at: u64) -> Self {
        Self::Corrupt {
            file: file.to_owned(),
            at,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { file, text, .. } => write!(f, "the file {file:?} of the store: {text}"),
            Self::Corrupt { file, at } => write!(
                f,
                "the file {file:?} of the store is damaged at byte {at}, and what follows cannot be \
                 trusted; move the directory away and start the peer as a new one"
            ),
            Self::Foreign { cluster, peer } => write!(
                f,
                "the store is that of peer {peer:?} of cluster {cluster}; give every peer a directory of its own"
            ),
        }
    }
}

impl std::error::Error for StoreError {}

/// The consensus cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// Its store cannot be used.
    Store(StoreError),
    /// A setting is out of its range.
    Setting {
        /// Which.
        name: &'static str,
        /// What is allowed.
        allowed: &'static str,
        /// What it was.
        value: String,
    },
    /// The engine did not start.
    Engine(String),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => fmt::Display::fmt(error, f),
            Self::Setting {
                name,
                allowed,
                value,
            } => write!(f, "{name} is {value}; allowed: {allowed}"),
            Self::Engine(why) => write!(f, "the consensus does not start: {why}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

//! Why a system did not start.

use std::fmt;
use std::io;

use super::phases::PhaseError;
use crate::context::SpawnError;
use crate::supervision::InvalidOption;
use crate::topology::{PlacementError, TopologyError};

/// Why a system did not start. Nothing is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The machine could not be described.
    Topology(TopologyError),
    /// The workers could not be placed on it.
    Placement(PlacementError),
    /// The number of reactor threads is out of range.
    ReactorThreads {
        /// What was asked for.
        asked: usize,
        /// The most that is allowed; the least is 1.
        max: usize,
    },
    /// The memory for messages is too small.
    MessageMemory {
        /// Bytes that were asked for.
        asked: u64,
        /// The least that is allowed.
        min: u64,
    },
    /// The stack of a worker is out of range.
    WorkerStack {
        /// Bytes that were asked for.
        asked: usize,
        /// The least that is allowed.
        min: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// The numbers of the balancer make no sense.
    Balancing(InvalidOption),
    /// The phases of a shutdown make no sequence.
    Phases(PhaseError),
    /// A setting is out of range.
    Setting {
        /// The builder's method.
        setting: &'static str,
        /// What it was given.
        asked: String,
        /// What it takes.
        allowed: String,
    },
    /// The operating system refused a thread or a file.
    Os(io::Error),
    /// The root of the actors could not be spawned.
    Root(SpawnError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topology(error) => write!(f, "cannot start actors: {error}"),
            Self::Placement(error) => write!(f, "cannot place workers: {error}"),
            Self::ReactorThreads { asked, max } => {
                write!(
                    f,
                    "{asked} reactor threads per NUMA node: 1 to {max} are allowed"
                )
            }
            Self::MessageMemory { asked, min } => {
                write!(f, "{asked} bytes for messages: at least {min} are needed")
            }
            Self::WorkerStack { asked, min, max } => write!(
                f,
                "{asked} bytes of stack per worker: {min} to {max} are allowed"
            ),
            Self::Balancing(error) => write!(f, "cannot start actors: {error}"),
            Self::Phases(error) => write!(f, "cannot start actors: {error}"),
            Self::Setting {
                setting,
                asked,
                allowed,
            } => write!(f, "{setting} is {asked}: {allowed} is allowed"),
            Self::Os(error) => write!(f, "cannot start actors: the operating system says: {error}"),
            Self::Root(error) => write!(f, "cannot start actors: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Topology(error) => Some(error),
            Self::Placement(error) => Some(error),
            Self::Balancing(error) => Some(error),
            Self::Phases(error) => Some(error),
            Self::Os(error) => Some(error),
            Self::Root(error) => Some(error),
            Self::ReactorThreads { .. }
            | Self::MessageMemory { .. }
            | Self::WorkerStack { .. }
            | Self::Setting { .. } => None,
        }
    }
}

impl From<crate::trace::Invalid> for StartError {
    fn from((setting, asked, allowed): crate::trace::Invalid) -> Self {
        Self::Setting {
            setting,
            asked,
            allowed,
        }
    }
}

impl From<TopologyError> for StartError {
    fn from(error: TopologyError) -> Self {
        Self::Topology(error)
    }
}

impl From<PlacementError> for StartError {
    fn from(error: PlacementError) -> Self {
        Self::Placement(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self::Os(error)
    }
}

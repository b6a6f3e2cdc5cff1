//! How this peer stands with its cluster.

use std::fmt;

use crate::id::Incarnation;
use crate::membership::RestartReason;

/// How this peer stands with its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It takes part, as this life.
    Running {
        /// Which of its lives.
        incarnation: Incarnation,
    },
    /// Half of the members, or more, do not answer. It goes on until it is decided who is down.
    Isolated {
        /// Which of its lives.
        incarnation: Incarnation,
    },
    /// Its life was ended; it begins another.
    Restarting {
        /// Why.
        why: RestartReason,
    },
    /// It has left.
    Left,
    /// Its life was ended, and there is none after it.
    Ended {
        /// Why.
        why: RestartReason,
    },
}

impl Status {
    /// Whether nothing comes after it.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Left | Self::Ended { .. })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { incarnation } => write!(f, "running as {incarnation}"),
            Self::Isolated { incarnation } => write!(
                f,
                "running as {incarnation}, and half of the members or more do not answer"
            ),
            Self::Restarting { why } => write!(f, "beginning another life: {why}"),
            Self::Left => f.write_str("left"),
            Self::Ended { why } => write!(f, "ended: {why}"),
        }
    }
}

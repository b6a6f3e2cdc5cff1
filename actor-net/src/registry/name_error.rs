//! Why a unique name is not had, or not found.

use std::fmt;

use super::names::Holder;
use super::resolve::ResolveError;

/// There is no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Nothing was changed: this peer sees no majority.
    NoMajority,
    /// It took too long: what was asked for may be done, or may still be.
    Unknown,
}

/// Why a unique name is not had, or not found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// Another actor has it.
    Taken {
        /// The name.
        name: Box<str>,
        /// Who has it.
        holder: Holder,
    },
    /// Nobody has it.
    NotFound {
        /// The name.
        name: Box<str>,
    },
    /// An actor of another type has it.
    WrongType {
        /// Who has it.
        holder: Holder,
        /// The type that was asked for.
        wanted: &'static str,
    },
    /// The actor that has it is out of reach.
    OutOfReach {
        /// Who has it.
        holder: Holder,
        /// Why there is no reference to it.
        why: ResolveError,
    },
    /// The actor does not live in this process.
    NotLocal,
    /// The actor has stopped.
    Stopped,
    /// This peer sees no majority of the cluster. Nothing was changed.
    NoMajority,
    /// There was no answer in time, and what was asked for may be done or not.
    Unknown,
}

impl From<NoAnswer> for NameError {
    fn from(no: NoAnswer) -> Self {
        match no {
            NoAnswer::NoMajority => Self::NoMajority,
            NoAnswer::Unknown => Self::Unknown,
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { name, holder } => {
                write!(f, "the name {name:?} is taken: {} has it", holder.actor)
            }
            Self::NotFound { name } => write!(f, "no actor has the name {name:?}"),
            Self::WrongType { holder, wanted } => write!(
                f,
                "{} has the name and is a {}, not a {wanted}",
                holder.actor, holder.actor_type
            ),
            Self::OutOfReach { holder, why } => {
                write!(f, "{} has the name and is out of reach: {why}", holder.actor)
            }
            Self::NotLocal => f.write_str(
                "the actor lives on another peer; only actors of this process can be given names here",
            ),
            Self::Stopped => f.write_str("the actor has stopped"),
            Self::NoMajority => f.write_str(
                "this peer sees no majority of the cluster, so nothing was changed; try again when it does",
            ),
            Self::Unknown => f.write_str(
                "no answer in time: the name may have changed hands or not; ask again, asking twice does no harm",
            ),
        }
    }
}

impl std::error::Error for NameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::OutOfReach { why, .. } => Some(why),
            _ => None,
        }
    }
}

//! Why a unique name is not had, or not found.

use std::fmt;

use super::entry::InvalidName;
use super::names::Holder;
use super::resolve::ResolveError;

/// There is no decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Nothing was changed: this peer sees no majority.
    NoMajority,
    /// It took too long: what was asked for may be done, or may still be.
    Unknown,
    /// Nothing was changed: too many questions of this peer are on their way.
    Busy { max: usize },
    /// Nothing was changed: there is no room for another name.
    Full { max: usize },
    /// Nothing was changed: this peer takes part in no cluster now.
    NotAMember,
}

/// Why a unique name is not had, or not found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameError {
    /// The text is no name.
    Name(InvalidName),
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
    /// Too many questions of this peer are on their way. Nothing was changed.
    Busy {
        /// How many may be.
        max: usize,
    },
    /// The cluster has as many names as it may. Nothing was changed.
    Full {
        /// How many it may have.
        max: usize,
    },
    /// This peer takes part in no cluster now: it is between two lives, or it has left. Nothing was changed.
    NotAMember,
}

impl From<InvalidName> for NameError {
    fn from(invalid: InvalidName) -> Self {
        Self::Name(invalid)
    }
}

impl From<NoAnswer> for NameError {
    fn from(no: NoAnswer) -> Self {
        match no {
            NoAnswer::NoMajority => Self::NoMajority,
            NoAnswer::Unknown => Self::Unknown,
            NoAnswer::Busy { max } => Self::Busy { max },
            NoAnswer::Full { max } => Self::Full { max },
            NoAnswer::NotAMember => Self::NotAMember,
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(invalid) => invalid.fmt(f),
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
            Self::Busy { max } => write!(
                f,
                "{max} questions of this peer about names and shards are on their way; wait for some of them"
            ),
            Self::Full { max } => write!(
                f,
                "the cluster has {max} unique names, the most allowed; release some"
            ),
            Self::NotAMember => f.write_str(
                "this peer takes part in no cluster now: it has left, or begins another life; look at its status",
            ),
        }
    }
}

impl std::error::Error for NameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(invalid) => Some(invalid),
            Self::OutOfReach { why, .. } => Some(why),
            _ => None,
        }
    }
}

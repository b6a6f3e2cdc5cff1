//! What can be asked of the whole cluster, and how it is refused.
//!
//! A [`Command`] is applied by every peer to the same state in the same order, so its outcome is the same
//! everywhere: either it is [`Applied`], or a [`Refusal`] says why it does not fit what all agreed on before. A
//! refusal is an answer, not a failure: it was agreed on like everything else.
//!
//! [`Request`] is a command with its sender's sequence number. A sender that hears nothing repeats the request; the
//! state machine keeps the outcome of each until the sender says that it has it, so that a repeated request is
//! answered and not applied again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, Life};

use super::shard_map::ShardCommand;

/// Bytes of a unique name, or of a zone's: 255.
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// Shards in one command: 1,024.
pub(crate) const MOVES_MAX: usize = 1024;

/// Where the actor behind a unique name lives.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) struct NameAddress {
    /// The life of the peer it lives in.
    pub(crate) life: Life,
    /// The actor's number there.
    pub(crate) number: u64,
    /// The key that goes with the number.
    pub(crate) key: u64,
}

impl fmt::Display for NameAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "actor {} of {}", self.number, self.life)
    }
}

/// A unique name as all agreed on it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct NameRecord {
    /// Who has it.
    pub(crate) address: NameAddress,
    /// The name of the actor's type.
    pub(crate) actor_type: String,
    /// The version with which it got it: greater than that of every holder before.
    pub(crate) epoch: u64,
}

/// What can be asked of the whole cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// A life of a peer begins. An earlier life of the same peer is down with the same command.
    Up {
        /// The life.
        life: Life,
        /// The incarnation that made the store of this peer's part in the consensus: with a store on disk an
        /// earlier life, in memory this one.
        store: Incarnation,
        /// Where it runs, for the spread of voters: a zone, a rack; may be empty.
        zone: String,
    },
    /// A life of a peer is over, for good. What it owned has no owner from here on.
    Down {
        /// The life.
        life: Life,
        /// It said so itself.
        left: bool,
    },
    /// A name for an actor of the asker's.
    ClaimName {
        /// The name.
        name: String,
        /// The actor.
        address: NameAddress,
        /// The name of its type, at most 255 bytes.
        actor_type: String,
    },
    /// The name is free again.
    ReleaseName {
        /// The name.
        name: String,
        /// The actor that has it.
        address: NameAddress,
    },
    /// Who owns which shard, and which singleton.
    Shards(ShardCommand),
}

/// A command on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Who asks.
    pub(crate) by: Life,
    /// Which of its requests: each has its own number.
    pub(crate) sequence: u64,
    /// It has the answers to all that came before this one.
    pub(crate) answered: u64,
    /// What it wants.
    pub(crate) command: Command,
}

/// A command was applied, or had been already.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// The version of the state that has it; of a claim of what one has already, the one since when.
    pub(crate) version: u64,
    /// How many things it changed; 0: all was so already, or the command came late.
    pub(crate) changed: usize,
}

/// A command does not fit what all agreed on before. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub(crate) enum Refusal {
    /// Another actor has the name.
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        by: Box<NameRecord>,
    },
    /// Only the owner may do this.
    NotTheOwner {
        /// What is owned, as text.
        what: String,
        /// Who owns it; `None`: nobody.
        owner: Option<Life>,
    },
    /// That life of that peer is no member (yet).
    NotAMember {
        /// The life.
        life: Life,
    },
    /// That life of that peer, or a later one, has been declared down. It does not return: start the peer anew.
    LifeIsOver {
        /// The life.
        life: Life,
    },
    /// Another number of shards than those before it said.
    ShardCount {
        /// The kind.
        kind: String,
        /// What was agreed on.
        is: u16,
    },
    /// A kind or a shard that there is not, or with a name or number that is not allowed.
    NoSuchShards {
        /// The kind.
        kind: String,
    },
    /// A name of no characters, or of too many bytes.
    Name {
        /// Its bytes; 1 to 255 are allowed.
        bytes: usize,
    },
    /// No more room in the state.
    Full {
        /// For what.
        what: Limited,
        /// How many there may be.
        max: usize,
    },
    /// The asker said that it has the answer to this request already.
    Superseded {
        /// The request's number.
        sequence: u64,
    },
}

/// What the agreed state has a limited number of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub(crate) enum Limited {
    /// Members that are up.
    Members,
    /// Unique names.
    Names,
    /// Shards in one command.
    Moves,
    /// Unanswered requests of one member.
    Requests,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTaken { name, by } => {
                write!(f, "the name {name:?} is taken by {}", by.address)
            }
            Self::NotTheOwner {
                what,
                owner: Some(owner),
            } => write!(
                f,
                "{what} is owned by {owner}, and only the owner may give it up"
            ),
            Self::NotTheOwner { what, owner: None } => write!(f, "{what} has no owner"),
            Self::NotAMember { life } => write!(f, "{life} is no member"),
            Self::LifeIsOver { life } => write!(
                f,
                "{life} or a later life of it has been declared down and does not return; start it anew"
            ),
            Self::ShardCount { kind, is } => write!(
                f,
                "the cluster has {is} shards of {kind:?}; all peers must say the same number"
            ),
            Self::NoSuchShards { kind } => write!(
                f,
                "no such shards of {kind:?}; a kind has a name of 1 to {} bytes and 1 to {} shards, and somebody \
                 must have declared it",
                super::shard_map::KIND_NAME_MAX,
                super::shard_map::SHARDS_MAX
            ),
            Self::Name { bytes } => {
                write!(
                    f,
                    "a name of {bytes} bytes; 1 to {NAME_BYTES_MAX} are allowed"
                )
            }
            Self::Full { what, max } => write!(f, "no room for more {what}; there may be {max}"),
            Self::Superseded { sequence } => {
                write!(f, "request {sequence} is over for its sender")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Members => "members",
            Self::Names => "unique names",
            Self::Moves => "shards in one command",
            Self::Requests => "unanswered requests of one member",
        })
    }
}

//! What becomes of a message for a group.

use std::fmt;

use actor_core::SendError;

use super::entry::MemberId;
use super::resolve::ResolveError;

/// No member of a group can be sent anything.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoMember {
    /// Nobody is in it, as far as this peer knows.
    Empty {
        /// The group's name.
        group: Box<str>,
    },
    /// Those that it could be are out of reach.
    OutOfReach {
        /// The group's name.
        group: Box<str>,
        /// One of them.
        member: MemberId,
        /// Why that one is.
        why: ResolveError,
    },
}

impl fmt::Display for NoMember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty { group } => write!(
                f,
                "the group {group:?} has no members of this type; wait for one (subscribe), or check the name"
            ),
            Self::OutOfReach { group, member, why } => {
                write!(
                    f,
                    "no member of the group {group:?} is within reach; {member}: {why}"
                )
            }
        }
    }
}

impl std::error::Error for NoMember {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::OutOfReach { why, .. } => Some(why),
            Self::Empty { .. } => None,
        }
    }
}

/// Why a message was not sent to a member of a group. It comes back.
#[non_exhaustive]
pub enum GroupSendError<M> {
    /// There is nobody to send it to.
    NoMember {
        /// Why not.
        why: NoMember,
        /// The message.
        message: M,
    },
    /// The member did not take it.
    Refused(SendError<M>),
}

impl<M> GroupSendError<M> {
    /// The message that was not sent.
    pub fn into_message(self) -> M {
        match self {
            Self::NoMember { message, .. } => message,
            Self::Refused(error) => error.into_message(),
        }
    }
}

impl<M> fmt::Display for GroupSendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMember { why, .. } => why.fmt(f),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

// By hand: messages need not be `Debug`.
impl<M> fmt::Debug for GroupSendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMember { why, .. } => f
                .debug_struct("NoMember")
                .field("why", why)
                .finish_non_exhaustive(),
            Self::Refused(error) => f.debug_tuple("Refused").field(error).finish(),
        }
    }
}

impl<M> std::error::Error for GroupSendError<M> {}

/// What became of a message for all members of a group: `offered` is the sum of all others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broadcast {
    /// Members that there were.
    pub offered: usize,
    /// Those that took it. For one elsewhere that means that it was accepted to be sent there.
    pub accepted: usize,
    /// Those whose mailbox was full.
    pub full: usize,
    /// Those that had stopped.
    pub dead: usize,
    /// Those on peers that are out of reach.
    pub unreachable: usize,
    /// Those refused because of the process or the sender: no memory for messages, an expired or cancelled context.
    pub otherwise: usize,
}

impl Broadcast {
    /// Members that did not take it.
    pub const fn refused(&self) -> usize {
        self.offered - self.accepted
    }
}

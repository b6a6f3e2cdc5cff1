//! What happens to members, as values: for users ([`MemberEvent`]), and for the driver.

use std::collections::BTreeSet;
use std::fmt;

use super::view::{DownReason, Member};
use crate::id::{Incarnation, PeerId};
use crate::transport::Endpoint;

/// Something has happened to a member.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberEvent {
    /// Of the first view that shows it; a later event has a greater one.
    pub version: u64,
    /// The member, as it is now.
    pub member: Member,
    /// What has happened.
    pub change: MemberChange,
}

/// What has happened to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MemberChange {
    /// It is there.
    Up,
    /// It does not answer any more. It may come back.
    Unreachable,
    /// It answers again.
    ReachableAgain,
    /// It will leave.
    Leaving,
    /// It has left in good order.
    Left,
    /// It was declared gone.
    Down(DownReason),
    /// Its roles, metadata or addresses are others now.
    MetadataChanged,
}

/// Why a peer must give up this life and begin another.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestartReason {
    /// Others have declared it down.
    DeclaredDown,
    /// The cluster was split, and its side has lost.
    LostSplit,
    /// The lease went to another side.
    LeaseRefused,
    /// Who is unreachable kept changing for too long.
    Unstable,
    /// A later life of the same name is there. It is for a person to find out whether two processes have one name.
    Replaced {
        /// The number of that life.
        by: Incarnation,
    },
}

impl fmt::Display for RestartReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeclaredDown => f.write_str("other peers have declared this one down"),
            Self::LostSplit => f.write_str("the cluster was split and this side has lost"),
            Self::LeaseRefused => f.write_str("the lease is not with this side"),
            Self::Unstable => f.write_str("who is reachable kept changing for too long"),
            Self::Replaced { by } => write!(
                f,
                "a later life ({by}) of this peer's name is there; give each process its own peer id"
            ),
        }
    }
}

/// What the machine has to say to its driver.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    /// Somebody was found.
    Joined,
    /// A connection is wanted. Without a name: a seed.
    Dial {
        peer: Option<PeerId>,
        endpoint: Endpoint,
    },
    Member(MemberEvent),
    /// Half of the members, or more, do not answer.
    Isolated,
    /// That is over.
    NoLongerIsolated,
    /// Ask for the lease; the outcome goes to `handle_lease`.
    AcquireLease {
        side: BTreeSet<PeerId>,
    },
    /// This life is over: nothing comes from the machine any more. The next must have a greater number than `above`.
    MustRestart {
        why: RestartReason,
        above: Incarnation,
    },
    /// We have left.
    Departed,
}

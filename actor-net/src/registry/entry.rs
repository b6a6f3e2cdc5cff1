//! Who is in a group: a member as every peer knows it, the names of groups, and how many there may be.

use std::fmt;
use std::num::NonZeroU16;
use std::sync::Arc;

use actor_core::NumaNodeId;
use actor_core::remote::Address;

use crate::id::{Incarnation, PeerId};
use crate::membership::MemberState;

/// Bytes of a group's or a unique name: 255.
pub const NAME_BYTES_MAX: usize = 255;

/// Bytes of the name of an actor's type: 255. A longer one is cut, by all peers at the same place.
pub(super) const TYPE_BYTES_MAX: usize = 255;

/// Which actor: a peer, its life, and a number there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId {
    /// The peer that it lives on.
    pub peer: PeerId,
    /// Which life of that peer.
    pub incarnation: Incarnation,
    /// Its number there ([`ActorId::as_u64`](actor_core::ActorId::as_u64)).
    pub number: u64,
}

impl MemberId {
    /// What references are made of.
    pub(super) fn address(&self, key: Key) -> Address {
        Address {
            peer: self.peer.as_str().into(),
            incarnation: self.incarnation.0,
            number: self.number,
            key: key.0,
        }
    }
}

/// The part of an address that cannot be guessed (`remote/addressing.rs`). Not for logs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) u64);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.peer, self.incarnation.0, self.number)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a peer says of an actor that it puts into a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) key: Key,
    pub(crate) actor_type: Arc<str>,
    pub(crate) numa_node: NumaNodeId,
    pub(crate) weight: NonZeroU16,
}

/// A member of a group, as every peer knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which actor.
    pub id: MemberId,
    /// The name of the actor's type there.
    pub actor_type: Arc<str>,
    /// The NUMA node it was spawned on, by that machine's numbers.
    pub numa_node: NumaNodeId,
    /// How much of the keys it takes, beside the others' weights. 1 unless the join said otherwise.
    pub weight: NonZeroU16,
    /// How its peer is seen from here: `Up`, or `Unreachable` or `Leaving`, and then it is passed over where another
    /// member can be picked. The other peers may see that otherwise.
    pub peer_state: MemberState,
    pub(super) key: Key,
}

/// How much a peer puts into groups, and takes from another. The same on all peers: one that exceeds another's
/// is not listed there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLimits {
    /// Groups that one peer has members in. 10,000 by default: a group of a hundred members costs every peer
    /// about 20 KiB.
    pub groups: usize,
    /// Memberships of one peer, over all groups. 100,000 by default, about 20 MiB on every peer.
    pub entries: usize,
    /// Departures that a peer remembers, for others to be told. 10,000 by default. Who was away for more of them
    /// is told all that is there now instead.
    pub departures: usize,
}

impl Default for GroupLimits {
    fn default() -> Self {
        Self {
            groups: 10_000,
            entries: 100_000,
            departures: 10_000,
        }
    }
}

/// Why an actor was not put into a group.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The group's name is none.
    Name(InvalidName),
    /// The actor does not live in this process: whoever has it puts it into groups.
    NotLocal,
    /// The actor has stopped.
    Stopped,
    /// This peer has members in as many groups as it may.
    TooManyGroups {
        /// The limit, [`GroupLimits::groups`].
        max: usize,
    },
    /// This peer has as many memberships as it may.
    TooManyEntries {
        /// The limit, [`GroupLimits::entries`].
        max: usize,
    },
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(invalid) => invalid.fmt(f),
            Self::NotLocal => f.write_str(
                "the actor lives on another peer; only actors of this process can be put into groups here",
            ),
            Self::Stopped => f.write_str("the actor has stopped"),
            Self::TooManyGroups { max } => write!(
                f,
                "this peer has members in {max} groups, the most allowed; raise GroupLimits::groups on all peers"
            ),
            Self::TooManyEntries { max } => write!(
                f,
                "this peer has {max} memberships in groups, the most allowed; raise GroupLimits::entries on all \
                 peers"
            ),
        }
    }
}

impl std::error::Error for JoinError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(invalid) => Some(invalid),
            _ => None,
        }
    }
}

impl From<InvalidName> for JoinError {
    fn from(invalid: InvalidName) -> Self {
        Self::Name(invalid)
    }
}

/// A text that is no name of a group or an actor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidName {
    /// It has no characters.
    Empty,
    /// It is longer than 255 bytes.
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// It has a control character.
    Control {
        /// Where, in bytes.
        at: usize,
    },
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(
                f,
                "a name of no characters; give it 1 to {NAME_BYTES_MAX} bytes"
            ),
            Self::TooLong { bytes } => write!(
                f,
                "a name of {bytes} bytes; at most {NAME_BYTES_MAX} are allowed, choose a shorter one"
            ),
            Self::Control { at } => write!(
                f,
                "a name with a control character at byte {at}; all other characters are allowed"
            ),
        }
    }
}

impl std::error::Error for InvalidName {}

/// Whether a text is a name: 1 to 255 bytes without control characters, as names within one process are.
pub(super) fn check_name(name: &str) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(InvalidName::TooLong { bytes: name.len() });
    }
    match name
        .char_indices()
        .find(|(_, character)| character.is_control())
    {
        Some((at, _)) => Err(InvalidName::Control { at }),
        None => Ok(()),
    }
}

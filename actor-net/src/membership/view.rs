//! What a peer knows of who is there, as a value: [`View`].

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::profile::Profile;
use crate::id::{Incarnation, PeerId};

/// How a member stands.
///
/// ```text
///   Joining ──► Up ──► Leaving ──► Left
///      │       ▲  │        │
///      ▼       │  ▼        ▼
///     Unreachable ──────► Down     (ends of this life: Down, Left)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum MemberState {
    /// It was heard of, and its profile is not here yet. It has no say when the cluster is split.
    Joining,
    /// It is there.
    Up,
    /// It does not answer. It may come back; nothing was taken from it yet.
    Unreachable,
    /// It has said that it will leave. It has no say when the cluster is split.
    Leaving,
    /// It was declared gone. This life of it never returns.
    Down,
    /// It went by itself, in good order. This life of it never returns.
    Left,
}

impl MemberState {
    /// Whether this life is over.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Down | Self::Left)
    }
}

impl fmt::Display for MemberState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Joining => "joining",
            Self::Up => "up",
            Self::Unreachable => "unreachable",
            Self::Leaving => "leaving",
            Self::Down => "down",
            Self::Left => "left",
        })
    }
}

/// Why a peer was declared down.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// It was unreachable for the stability time, and the strategy decided against it here.
    Unreachable,
    /// Another peer has declared it down.
    Declared,
    /// A later life of it is here.
    Replaced {
        /// The number of that life.
        by: Incarnation,
    },
    /// Somebody asked for it ([`Downing::Manual`](super::Downing::Manual), or by hand beside another strategy).
    Asked,
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("unreachable for the stability time"),
            Self::Declared => f.write_str("another peer declared it down"),
            Self::Replaced { by } => write!(f, "a later life ({by}) has taken its place"),
            Self::Asked => f.write_str("declared down by request"),
        }
    }
}

/// One peer, in one life, as another sees it.
#[derive(Clone, PartialEq)]
pub struct Member {
    pub(super) peer: PeerId,
    pub(super) incarnation: Incarnation,
    pub(super) state: MemberState,
    pub(super) since: Instant,
    pub(super) profile: Option<Arc<Profile>>,
}

impl Member {
    /// Its name.
    pub fn peer(&self) -> &PeerId {
        &self.peer
    }

    /// Which of its lives.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// How it stands.
    pub fn state(&self) -> MemberState {
        self.state
    }

    /// Since when, by the clock of the peer whose view this is.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Where it listens, its roles, its metadata, its NUMA nodes; none while it is joining.
    pub fn profile(&self) -> Option<&Arc<Profile>> {
        self.profile.as_ref()
    }
}

impl fmt::Debug for Member {
    // An instant says nothing to a reader, and is another one in each run of a simulation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("peer", &self.peer)
            .field("incarnation", &self.incarnation)
            .field("state", &self.state)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

/// The members as one peer knows them, itself among them, in the order of their names. It does not change: a
/// change makes another view with a greater version.
#[derive(Clone, Debug)]
pub struct View {
    pub(super) version: u64,
    pub(super) own: PeerId,
    pub(super) members: Vec<Member>,
}

impl View {
    /// Its number: of two views of one peer in one life the later has the greater.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Whose view this is.
    pub fn own(&self) -> &PeerId {
        &self.own
    }

    /// All members, those that have gone among them until they are forgotten.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Members that are up.
    pub fn up(&self) -> impl Iterator<Item = &Member> {
        let up = |member: &&Member| member.state == MemberState::Up;
        self.members.iter().filter(up)
    }

    /// The member of that name.
    pub fn get(&self, peer: &PeerId) -> Option<&Member> {
        let found = self
            .members
            .binary_search_by(|member| member.peer.cmp(peer));
        found.ok().and_then(|at| self.members.get(at))
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "view {} of {}:", self.version, self.own)?;
        for member in &self.members {
            let Member {
                peer,
                incarnation,
                state,
                ..
            } = member;
            write!(f, " {peer}#{}={state}", incarnation.0)?;
        }
        Ok(())
    }
}

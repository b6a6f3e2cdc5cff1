//! What all must agree on: who is a member, who owns which shard and which singleton, whose a unique name is.
//!
//! Gossip (the floor below) says quickly what seems to be so. What must never be so twice is decided here, by a
//! majority of *voters*: 1, 3, 5 or 7 of the peers, chosen by themselves (`voters`); all others learn what was
//! decided. A side of a cut cluster without a majority decides nothing: it refuses, with an error, within the
//! deadline.
//!
//! ```text
//!  propose(Command) ──► leader ──► log of a majority ──► every peer: Machine::apply, in the same order
//!                                                            │
//!                              authority(): Arc<Authority> ◄─┴─► changes(): one after the other
//! ```
//!
//! | file | holds |
//! |---|---|
//! | `command` | what can be asked, and how it is refused |
//! | `authority` | what was agreed on, at one version |
//! | `machine` | one command after the other: pure |
//! | `shard_map` | the part of it that says who owns which shard |
//! | `voters`, `founding` | who votes; who founds the first cluster: pure |
//! | `log`, `applier`, `frames`, `disk` | what is kept, and how it survives a crash |
//! | `message`, `calls` | what peers say to each other, cut into datagrams; questions and answers |
//! | `engine` | the types that openraft is given |
//! | `serve`, `duties` | answers to others; what a leader and a newcomer do by themselves |
//!
//! **What may be relied on.** A command has one outcome, the same on every peer. Every ownership of a shard has an
//! epoch greater than all before it: no shard has two owners in one epoch, and a store that refuses smaller
//! epochs is safe from an owner that does not know yet that it was replaced. A life that was declared down stays
//! down, and what it owned is free from that very command on. Repeating a request applies it once.
//!
//! **What may not.** `Consensus::authority` is what this peer has heard so far: it was true once. Who must know
//! that it is true now asks `Consensus::read`. A proposal that ends in `NoQuorum { uncertain: true }` may still be
//! applied.
//!
//! **Identity.** A voter must not forget what it promised. One with its log in memory forgets when it
//! restarts: it comes back as another voter, and the old one is removed when its life is declared down. One with
//! its log on disk is the same voter in its next life (`engine::RaftId`).
//!
//! The algorithm is openraft's (`docs/decisions/0009-consensus-by-openraft.md`); none of its types leaves this floor.

mod applier;
mod authority;
mod buckets;
mod calls;
mod command;
mod contact;
mod disk;
mod duties;
mod engine;
mod error;
mod founding;
mod frames;
mod front;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod log;
mod machine;
mod message;
mod serve;
mod settings;
pub(crate) mod shard_map;
mod voters;

use std::fmt;

use crate::id::PeerId;

pub(crate) use self::authority::{Authority, Change, Event};
#[cfg(test)]
pub(crate) use self::command::Applied;
pub(crate) use self::command::{Command, NameAddress, NameRecord, Refusal};
pub(crate) use self::error::ProposeError;
pub use self::error::{StartError, Stopped, StoreError};
pub(crate) use self::front::{Config, Consensus, Seen, Sight, Standing};
pub use self::settings::{Bootstrap, ConsensusSettings, Storage};

/// Takes datagrams to other peers; the floor above gives it.
pub(crate) trait Post: Send + Sync + 'static {
    /// Sends a datagram, of at most 60 KiB. It may be lost. Never called with a lock of this floor held.
    fn datagram(&self, to: &PeerId, bytes: Vec<u8>) -> Result<(), NotSent>;
}

/// There is no connection to that peer, or no room on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotSent;

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no connection to the peer, or no room on it")
    }
}

#[cfg(test)]
mod tests;

/// What a simulation of whole clusters puts together by itself.
#[cfg(test)]
pub(crate) mod simulated {
    pub(crate) use super::disk::Disk;
    pub(crate) use super::tests::kit::SimulatedDisk;
}

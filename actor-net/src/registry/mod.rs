//! Who is called what: groups, which many actors are in and every peer knows of soon, and unique names, which one
//! actor has and all peers agree on.
//!
//! | file | holds |
//! |---|---|
//! | `entry` | members, names and limits |
//! | `log`, `copy`, `frames`, `machine` | groups between peers: pure, bytes and time in, bytes and events out |
//! | `rendezvous` | who of several takes a key |
//! | `directory` | the machine, its lock, its subscribers |
//! | `resolve` | what is asked of the floor below: references for addresses |
//! | `group`, `group_error`, `subscription` | what users hold |

#![allow(dead_code, reason = "the driver in `cluster` is still to come")]

mod copy;
pub(crate) mod directory;
mod entry;
mod frames;
mod group;
mod group_error;
mod log;
pub(crate) mod machine;
pub(crate) mod rendezvous;
pub(crate) mod resolve;
mod subscription;

#[cfg(test)]
mod tests;

pub use entry::{GroupLimits, InvalidName, JoinError, Member, MemberId, NAME_BYTES_MAX};
pub use group::Group;
pub use group_error::{Broadcast, GroupSendError, NoMember};
pub use machine::Left;
pub use resolve::ResolveError;
pub use subscription::{GroupEvent, GroupEvents, PENDING_EVENTS_MAX};

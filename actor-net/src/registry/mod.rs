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
//! | `group`, `group_error`, `subscription` | what users hold of groups |
//! | `names`, `name_error` | unique names, over whatever all peers agree by |
//! | `agreed`, `hearsay` | what all peers agree by, asked and overheard |

pub(crate) mod agreed;
mod copy;
pub(crate) mod directory;
mod entry;
mod frames;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod group;
mod group_error;
mod hearsay;
mod log;
pub(crate) mod machine;
mod name_error;
pub(crate) mod names;
pub(crate) mod rendezvous;
pub(crate) mod resolve;
mod subscription;

#[cfg(test)]
mod tests;

pub use entry::{GroupLimits, InvalidName, JoinError, Member, MemberId, NAME_BYTES_MAX};
pub use group::Group;
pub use group_error::{Broadcast, GroupSendError, NoMember};
pub use hearsay::{NameEvent, NameEvents};
pub use machine::Left;
pub use name_error::NameError;
pub use names::{Holder, UniqueName};
pub use resolve::ResolveError;
pub use subscription::{GroupEvent, GroupEvents, PENDING_EVENTS_MAX};

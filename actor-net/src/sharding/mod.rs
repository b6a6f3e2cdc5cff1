//! Actors by key: an entity lives on one peer, is made when it is first needed, and moves when peers come
//! and go. See the `README.md` beside this file for who owns a shard, and why there are never two.

mod allocation;
mod door;
mod entities;
mod entity;
mod entity_ref;
mod error;
mod handoff;
mod hash;
mod key;
mod keyed;
mod kind;
mod parcel;
mod region;
mod router;
mod shard;

pub(crate) use allocation::{Host, HostState, Limits};
pub(crate) use entities::{Entities, Links, plan_all};
pub use entity::{Entity, EntityContext, InvalidEntity};
pub use entity_ref::{EntityCall, EntityRef};
pub use error::{DeclareError, EntityError, NotDeclared};
pub use key::{EntityKey, InvalidKey, KEY_BYTES_MAX};
pub use kind::KindStats;
pub(crate) use kind::kind_name;
pub(crate) use router::Council;

#[cfg(test)]
mod tests;

/// What a simulation of whole clusters puts together by itself.
#[cfg(test)]
pub(crate) mod simulated {
    pub(crate) use super::handoff::Packet;
    pub(crate) use super::region::{Origin, Output, Region, Settings};
}

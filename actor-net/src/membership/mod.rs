//! Who is there, who does not answer, who is gone.
//!
//! SWIM with Lifeguard, by the crate `foca`, over our own connections; `README.md` beside this file says what
//! foca does, what is ours, and from which papers. The machine is pure: no clock, no socket, no thread, and its chance
//! comes from a seed.
//!
//! Users see [`View`]s and [`MemberEvent`]s. **Unreachable is not down**: a peer that does not answer is first
//! unreachable, and may come back; only the strategy ([`Downing`]) makes it down, and then that life of it never returns.
//! A peer that learns that it was declared down, or whose side loses, drops all it knows and begins another life.

// Words.
mod event;
mod identity;
mod lease;
mod profile;
mod settings;
mod view;

// On the wire.
mod codec;
mod facts;
mod packet;

// Parts, each pure.
mod downing;
mod health;
mod stability;
mod suspicion;

// foca, and the machine around it.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod machine;
mod swim;

#[cfg(test)]
mod tests;

pub use downing::Downing;
pub(crate) use downing::Voting;
pub use event::{MemberChange, MemberEvent, RestartReason};
pub use lease::{Lease, LeaseError, LeaseFuture};
pub use profile::{
    ENDPOINTS_MAX, InvalidProfile, KEY_BYTES_MAX, METADATA_MAX, NUMA_NODES_MAX, PeerNumaNode,
    Profile, ROLES_MAX, VALUE_BYTES_MAX,
};
pub use settings::{InvalidMembershipSettings, MembershipSettings};
pub use view::{DownReason, Member, MemberState, View};

pub(crate) use {event::Event, machine::Membership};

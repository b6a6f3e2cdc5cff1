//! The only door to atomics, shared cells and threads: std's in production, loom's under
//! `--cfg actor_loom`, and std's with pauses between the steps under `--cfg actor_chaos`.
//!
//! A private cfg, not `cfg(loom)`: the latter reaches dependencies and switches parts of tokio off.
//! `tests/floors.rs` refuses `std::sync::atomic` anywhere else in the crate.

pub(crate) mod cache_padded;
pub(crate) mod spool;

#[cfg(actor_loom)]
mod model;
#[cfg(not(actor_loom))]
mod real;
#[cfg(all(actor_chaos, not(actor_loom)))]
mod shaken;

#[cfg(actor_loom)]
pub(crate) use model::*;
#[cfg(not(actor_loom))]
pub(crate) use real::*;

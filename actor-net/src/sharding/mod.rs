//! Actors by key: an entity lives on one peer, is made when it is first needed, and moves when peers come
//! and go. See the `README.md` beside this file for who owns a shard, and why there are never two.

#![allow(dead_code, reason = "the floor above does not drive it yet")]

mod allocation;
mod handoff;
mod hash;
mod key;
mod region;
mod shard;

pub use key::{EntityKey, InvalidKey, KEY_BYTES_MAX};

#[cfg(test)]
mod tests;

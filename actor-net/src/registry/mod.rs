//! Who is called what.

#![allow(dead_code, reason = "the driver in `cluster` is still to come")]

mod copy;
mod entry;
mod frames;
mod log;
pub(crate) mod machine;
pub(crate) mod rendezvous;

#[cfg(test)]
mod tests;

pub use entry::{GroupLimits, InvalidName, JoinError, Member, MemberId, NAME_BYTES_MAX};
pub use machine::Left;

//! Tokens in, model out.
//!
//! One file per macro, and the parts they share: `entries` reads the `key = value` lists of every
//! attribute, `shape` refuses what no macro can be put on, `duration` reads `"10ms"`. Mistakes are
//! noted in [`Errors`](crate::errors::Errors) and reading goes on; nothing here writes output.

pub(crate) mod actor;
pub(crate) mod message;
pub(crate) mod messages;

mod duration;
mod entries;
mod names;
mod placement;
mod remote;
mod shape;
mod signature;
mod supervise;

//! The front door. Being built.
#![allow(
    dead_code,
    unused_imports,
    reason = "what it joins is still being built"
)]

mod incarnation;
mod name;
mod seeds;

pub use seeds::{SeedError, Seeds};

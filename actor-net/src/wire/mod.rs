//! What the bytes mean: pure state machines. No socket, no clock, no thread, no random number is made here.
//!
//! Bytes and the time come in, bytes and events go out. What drives a machine reads a socket, hands it what
//! it read, asks when it wants to be woken (`poll_timeout`), and writes what `poll_transmit` gives it. So the
//! same code runs in production, in the simulation and under the fuzzer. `README.md` beside this file shows
//! every frame byte by byte.
//!
//! **A peer is not believed.** Nothing here can be made to panic by bytes: unwrapping, indexing, arithmetic
//! that can overflow and casts that can truncate are denied in the whole module. No buffer is made as large
//! as a peer says that something will be: memory grows with the bytes that came, up to a limit.
#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

// Words: fields, frames, what may be wrong with them, how much of everything.
pub(crate) mod codec;
pub(crate) mod error;
mod frame;
pub(crate) mod limits;

// The beginning of a connection.
pub(crate) mod arbiter;
pub(crate) mod handshake;
pub(crate) mod hello;

// What both kinds of connection have.
mod goodbye;
mod heartbeat;
mod receive;

// The control connection.
pub(crate) mod control;
pub(crate) mod signal;
pub(crate) mod table;

// Payloads.
pub(crate) mod bounded;

// The data lanes.
pub(crate) mod context;
pub(crate) mod credit;
pub(crate) mod lane;
pub(crate) mod message;
pub(crate) mod outbox;
pub(crate) mod payload;
mod reassembly;
pub(crate) mod run;

#[cfg(any(test, fuzzing))]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    reason = "a harness asserts"
)]
pub(crate) mod fuzz;
#[cfg(any(test, fuzzing))]
#[allow(clippy::expect_used, reason = "its names are names")]
pub(crate) mod test_kit;
#[cfg(test)]
#[allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used,
    reason = "tests assert"
)]
mod tests;

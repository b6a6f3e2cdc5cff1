//! What happens when an actor fails: OTP's rules, with OTP's words.
//!
//! A failed child is restarted if its `Restart` type says so, after the delay its `Backoff` says,
//! unless the supervisor's restart intensity is used up; then the supervisor stops its children,
//! itself, and the failure goes one level up.
//!
//! The decisions are pure and lie one per file: `spec` (who is restarted, and the supervisor's
//! numbers), `intensity` (how often is too often), `backoff` (how long to wait). They take the time
//! as an argument and know no actor.

mod backoff;
mod intensity;
mod invalid_option;
mod spec;

pub use backoff::Backoff;
pub use invalid_option::InvalidOption;
pub use spec::{Restart, Strategy, Supervision};

pub(crate) use backoff::BackoffState;
pub(crate) use intensity::{RestartWindow, Verdict};

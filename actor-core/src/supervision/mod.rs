//! What happens when an actor fails: OTP's rules, with OTP's words.
//!
//! A failed child is restarted if its `Restart` type says so, after the delay its `Backoff` says,
//! unless the supervisor's restart intensity is used up; then the supervisor stops its children,
//! itself, and the failure goes one level up.
//!
//! The decisions are pure and lie one per file: `child` (what is said of one child), `spec` (who is
//! restarted with whom, and the supervisor's numbers), `intensity` (how often is too often), `backoff`
//! (how long to wait), `round` (restarting a group in order), `deadline` (how long a stop may take). They
//! take the time as an argument and know no actor.

mod backoff;
mod child;
mod deadline;
mod intensity;
mod invalid_option;
mod round;
mod spec;

pub use backoff::Backoff;
pub use child::{OnPanic, Restart, Shutdown};
pub use invalid_option::InvalidOption;
pub use spec::{AutoShutdown, Strategy, Supervision};

pub(crate) use backoff::BackoffState;
pub(crate) use deadline::{CUT_OFF_GRACE, Due};
pub(crate) use intensity::{RestartWindow, Verdict};
pub(crate) use round::{Order, Report, Round, Standing};

//! How long a child that was told to stop is waited for.
//!
//! ```text
//!   told ---- its shutdown time ----> cut off -- a quarter second --> overdue
//! ```
//!
//! Being overdue is not yet being abandoned: whether the child hangs, or merely waits for its own
//! children, is seen by looking (`cell::deadline`).

use std::time::Duration;

use super::child::Shutdown;
use crate::clock::Tick;

/// How long an actor that was cut off is waited for. An honest handler is back at its next `.await`, so
/// this is long even on a machine that is overloaded. Half of what a system's shutdown takes for the same
/// purpose, so that supervisors have given up by then and only those that hang are left in its report.
pub(crate) const CUT_OFF_GRACE: Duration = Duration::from_millis(250);

/// What is due for a child at some time after it was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Due {
    /// Nothing ever: it is waited for.
    Never,
    /// Nothing before then.
    At(Tick),
    /// To be cut off now, and looked at again then.
    CutOff(Tick),
    /// It should be gone by now.
    Overdue,
}

impl Shutdown {
    /// What is due at `now` for a child that was told to stop at `told`.
    pub(crate) fn due(self, told: Tick, now: Tick) -> Due {
        let cut_off = match self {
            Self::Infinity => return Due::Never,
            Self::Kill => told,
            Self::After(time) => told.after(time),
        };
        let overdue = cut_off.after(CUT_OFF_GRACE);
        if cut_off == Tick(u64::MAX) {
            Due::Never
        } else if now < cut_off {
            Due::At(cut_off)
        } else if now < overdue {
            Due::CutOff(overdue)
        } else {
            Due::Overdue
        }
    }
}

#[cfg(test)]
mod tests;

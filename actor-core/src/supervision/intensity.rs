//! How often is too often: OTP's restart intensity, exact.
//!
//! The window slides: a restart leaves it one period after it happened, not when some bucket ends.
//! As in OTP (`supervisor.erl`, `add_restart`) a restart exactly one period old still counts.
//!
//! To tell whether n + 1 crashes lie within one period it is enough to know the times of the last
//! n, so that is all that is kept: 8 bytes each, none before the first crash.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Tick;

use super::spec::Supervision;

/// The crashes of one supervisor's children that still count.
#[derive(Clone, Debug)]
pub(crate) struct RestartWindow {
    intensity: usize,
    period: Duration,
    /// Ascending, at most `intensity`.
    crashes: VecDeque<Tick>,
}

impl RestartWindow {
    /// A window without crashes. An intensity over `Supervision::INTENSITY_MAX`, which
    /// `Supervision::check` refuses, counts as that.
    pub(crate) fn new(intensity: u32, period: Duration) -> Self {
        Self {
            intensity: intensity.min(Supervision::INTENSITY_MAX) as usize,
            period,
            crashes: VecDeque::new(),
        }
    }

    /// Counts a crash at `now` and says what follows from it.
    ///
    /// A `now` before that of the last call counts as the last: time does not go back.
    pub(crate) fn record(&mut self, now: Tick) -> Verdict {
        let now = self.crashes.back().map_or(now, |&last| last.max(now));
        while let Some(&oldest) = self.crashes.front() {
            if oldest.until(now) <= self.period {
                break;
            }
            self.crashes.pop_front();
        }
        let verdict = if self.crashes.len() < self.intensity {
            Verdict::Restart
        } else {
            // Make room: asked again, the window still knows the last `intensity` crashes.
            self.crashes.pop_front();
            Verdict::LimitReached
        };
        if self.intensity > 0 {
            self.crashes.push_back(now);
        }
        verdict
    }

    #[cfg(test)]
    /// Crashes that counted when the last was recorded, it included, up to the intensity.
    pub(crate) fn len(&self) -> usize {
        self.crashes.len()
    }
}

/// What follows from a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Verdict {
    /// Within the limit.
    Restart,
    /// One too many: stop the children, then the supervisor.
    LimitReached,
}

#[cfg(test)]
mod tests;

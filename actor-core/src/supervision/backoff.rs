//! How long to wait before a restart, so that a child that fails because something else is down
//! does not hammer it.
//!
//! The n-th restart in a row waits `min * factor^n`, at most `max`, spread by the jitter. The
//! spread is drawn from the part of the band that lies within the bounds: children that failed
//! together do not meet again, not at `min` and not at `max`, where clamping afterwards would pile
//! them up.
//!
//! The row ends with quiet: a child that stayed up for `reset_after` begins at `min` again. Quiet
//! is counted from when the last restart was *due*; counted from the crash, waiting itself would be
//! quiet, and with `reset_after <= max` a child that always fails would start over and over.

use std::time::Duration;

use crate::clock::Tick;

use super::invalid_option::InvalidOption;
use super::spec::seconds;

/// Growing delays before restarts. The default, [`none`](Self::none), restarts at once.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::supervision::Backoff;
///
/// const BACKOFF: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(5));
/// assert!(BACKOFF.check().is_ok());
/// assert!(BACKOFF.jitter(200).check().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff(Option<Curve>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Curve {
    min: Duration,
    max: Duration,
    factor: u32,
    jitter_percent: u32,
    reset_after: Duration,
}

impl Backoff {
    /// Restarts at once; the other options have no effect on it.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Waits `min` before the first restart, then twice as long each time, up to `max`; 20 %
    /// jitter; begins at `min` again when the child stayed up for `max`.
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self(Some(Curve {
            min,
            max,
            factor: 2,
            jitter_percent: 20,
            reset_after: max,
        }))
    }

    /// By how much each delay exceeds the one before; default 2. 1 keeps it at `min`.
    #[must_use]
    pub const fn factor(mut self, times: u32) -> Self {
        if let Some(curve) = &mut self.0 {
            curve.factor = times;
        }
        self
    }

    /// How far a delay strays to either side, in percent of itself; default 20. It never leaves
    /// `min` to `max`.
    ///
    /// 0 makes delays predictable, and lets children that failed together come back together.
    #[must_use]
    pub const fn jitter(mut self, percent: u32) -> Self {
        if let Some(curve) = &mut self.0 {
            curve.jitter_percent = percent;
        }
        self
    }

    /// How long a child must stay up for the delays to begin at `min` again; default `max`.
    #[must_use]
    pub const fn reset_after(mut self, quiet: Duration) -> Self {
        if let Some(curve) = &mut self.0 {
            curve.reset_after = quiet;
        }
        self
    }

    /// How long it waits after `failures` failures in a row before this one; 0: this is the first.
    ///
    /// For those who retry something else than a child with the same numbers. `random` is any number, best
    /// a random one; equal numbers give equal delays. Options that [`check`](Self::check) refuses give
    /// some delay, never a panic.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use actor_core::supervision::Backoff;
    ///
    /// let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(50)).jitter(0);
    /// let delays = [0, 1, 2, 3].map(|failures| backoff.delay(failures, 7).as_millis());
    /// assert_eq!(delays, [10, 20, 40, 50]);
    /// ```
    pub fn delay(&self, failures: u32, random: u64) -> Duration {
        let Some(curve) = &self.0 else {
            return Duration::ZERO;
        };
        let grown = u64::from(curve.factor).saturating_pow(failures);
        curve.spread(nanos(curve.min).saturating_mul(grown), random)
    }

    /// How long something must stay up for the delays to begin at `min` again; zero for
    /// [`none`](Self::none).
    pub fn quiet(&self) -> Duration {
        self.0.map_or(Duration::ZERO, |curve| curve.reset_after)
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    ///
    /// Names the option when `min` or `reset_after` is zero, `max` is below `min`, the factor is
    /// not 1 to 100, or the jitter over 100 %.
    pub fn check(&self) -> Result<(), InvalidOption> {
        let Some(curve) = &self.0 else {
            return Ok(());
        };
        let refuse = |field, value: String, allowed| Err(InvalidOption::new(field, value, allowed));
        if curve.min.is_zero() {
            return refuse(
                "backoff min",
                seconds(curve.min),
                "longer than 0 s; Backoff::none() restarts at once",
            );
        }
        if curve.max < curve.min {
            return refuse(
                "backoff max",
                format!(
                    "{} with a min of {}",
                    seconds(curve.max),
                    seconds(curve.min)
                ),
                "at least as long as min",
            );
        }
        if !(1..=100).contains(&curve.factor) {
            return refuse(
                "backoff factor",
                curve.factor.to_string(),
                "1 to 100; 1 keeps the delay at min",
            );
        }
        if curve.jitter_percent > 100 {
            return refuse(
                "backoff jitter",
                format!("{} %", curve.jitter_percent),
                "0 to 100 % of the delay",
            );
        }
        if curve.reset_after.is_zero() {
            return refuse(
                "backoff reset_after",
                seconds(curve.reset_after),
                "longer than 0 s; it is how long a child must stay up to begin at min again",
            );
        }
        Ok(())
    }
}

impl Default for Backoff {
    /// [`Backoff::none`].
    fn default() -> Self {
        Self::none()
    }
}

impl Curve {
    /// A delay with its jitter, within the bounds.
    fn spread(&self, delay: u64, random: u64) -> Duration {
        let (min, max) = (nanos(self.min), nanos(self.max).max(nanos(self.min)));
        let delay = delay.clamp(min, max);
        let stray = (u128::from(delay) * u128::from(self.jitter_percent) / 100)
            .try_into()
            .unwrap_or(u64::MAX);
        let low = delay.saturating_sub(stray).max(min);
        let high = delay.saturating_add(stray).min(max);
        // Multiply and shift: uniform in low..=high without a division.
        let spread = u128::from(high - low) + 1;
        Duration::from_nanos(low + ((spread * u128::from(random)) >> 64) as u64)
    }
}

/// Where one child stands on the curve.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BackoffState {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    /// The delay before jitter, in ns.
    delay: u64,
    /// When the restart was due.
    due: Tick,
}

impl BackoffState {
    /// The delay before the restart of a child that crashed at `now`.
    ///
    /// `random` is any number; equal numbers give equal delays. Options that `Backoff::check`
    /// refuses give some delay, never a panic.
    pub(crate) fn next(&mut self, now: Tick, backoff: &Backoff, random: u64) -> Duration {
        let Some(curve) = &backoff.0 else {
            return Duration::ZERO;
        };
        let (min, max) = (nanos(curve.min), nanos(curve.max).max(nanos(curve.min)));
        let delay = match self.last {
            Some(last) if now < last.due.after(curve.reset_after) => last
                .delay
                .saturating_mul(u64::from(curve.factor))
                .clamp(min, max),
            _ => min,
        };
        let drawn = curve.spread(delay, random);
        self.last = Some(Last {
            delay,
            due: now.after(drawn),
        });
        drawn
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

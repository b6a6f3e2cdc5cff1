//! Who is restarted, and the numbers of one supervisor.
//!
//! Everything here is a constant that sits beside the actor's type or in the call that spawns it;
//! builders are `const`, and `check` runs once, when the supervisor starts.

use std::time::Duration;

use super::invalid_option::InvalidOption;

/// When a child that ended is started again.
///
/// | | normal end or stop | failure |
/// |---|---|---|
/// | `Permanent` | restart | restart |
/// | `Transient` | gone | restart |
/// | `Temporary` | gone | gone |
///
/// A failure is a panic, an error that the actor returned as its reason to stop, or a failed start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Always: a service that must exist.
    Permanent,
    /// Only after a failure. The default: an actor that says it is finished is finished.
    #[default]
    Transient,
    /// Never: its work is worthless once interrupted, or somebody else starts it anew.
    Temporary,
}

impl Restart {
    /// Whether a child that ended is restarted; `normal` is true for an end without failure.
    pub const fn applies(self, normal: bool) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => !normal,
            Self::Temporary => false,
        }
    }
}

/// Which children are restarted with the one that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// That child alone. The default.
    #[default]
    OneForOne,
}

/// How a parent supervises its children: the strategy, and how many restarts are too many.
///
/// More than `intensity` restarts within `period` (3 in 5 s unless set otherwise), and the
/// supervisor stops its children in reverse order, then itself, and its own supervisor decides. The
/// count is over all its children together.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::supervision::Supervision;
///
/// const POOL: Supervision = Supervision::one_for_one()
///     .intensity(10)
///     .period(Duration::from_secs(60));
/// assert!(POOL.check().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supervision {
    pub(crate) strategy: Strategy,
    pub(crate) intensity: u32,
    pub(crate) period: Duration,
}

impl Supervision {
    /// The largest intensity: a restart in the window is remembered by 8 bytes of the supervisor.
    pub const INTENSITY_MAX: u32 = 10_000;

    /// The shortest period.
    pub const PERIOD_MIN: Duration = Duration::from_millis(1);

    /// A child that fails is restarted alone; at most 3 restarts in 5 s.
    pub const fn one_for_one() -> Self {
        Self {
            strategy: Strategy::OneForOne,
            intensity: 3,
            period: Duration::from_secs(5),
        }
    }

    /// How many restarts within the period are carried out; default 3. One more, and the supervisor
    /// gives up.
    ///
    /// 0 gives up at the first failure. Too high, and a child that can never work is restarted for
    /// ever while its callers wait; too low, and a burst from one cause takes a subtree down.
    #[must_use]
    pub const fn intensity(mut self, restarts: u32) -> Self {
        self.intensity = restarts;
        self
    }

    /// The window in which restarts are counted; default 5 s. Any length, `Duration::MAX` included.
    ///
    /// The long-term rate of restarts that is tolerated is intensity divided by period; the
    /// intensity is the burst.
    #[must_use]
    pub const fn period(mut self, window: Duration) -> Self {
        self.period = window;
        self
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    ///
    /// Names the option when the period is under 1 ms or the intensity over 10 000.
    pub fn check(&self) -> Result<(), InvalidOption> {
        if self.period < Self::PERIOD_MIN {
            return Err(InvalidOption::new(
                "supervision period",
                seconds(self.period),
                "1 ms or longer; it is the window in which restarts are counted",
            ));
        }
        if self.intensity > Self::INTENSITY_MAX {
            return Err(InvalidOption::new(
                "supervision intensity",
                self.intensity,
                "0 to 10000 restarts per period; for a higher rate shorten the period",
            ));
        }
        Ok(())
    }
}

impl Default for Supervision {
    /// [`Supervision::one_for_one`].
    fn default() -> Self {
        Self::one_for_one()
    }
}

/// A duration as operators write it: `0 s`, `0.0005 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests;

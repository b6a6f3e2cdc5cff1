//! Who is restarted with whom, when a supervisor ends itself, and its numbers.
//!
//! Everything here is a constant that sits beside the actor's type or in the call that spawns it;
//! builders are `const`, and `check` runs once, when the supervisor starts.

use std::time::Duration;

use super::invalid_option::InvalidOption;

/// Which children are restarted with the one that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Strategy {
    /// That child alone. The default.
    #[default]
    OneForOne,
    /// All: children that make no sense without each other.
    OneForAll,
    /// That child and those that were started after it, who may depend on it.
    RestForOne,
    /// That child alone; the children are many and alike, come and go, and are stopped all at once
    /// rather than one after the other. What was terminated is forgotten.
    SimpleOneForOne,
}

/// When a supervisor ends itself because a significant child has ended by itself: OTP's
/// `auto_shutdown`.
///
/// Only an end that is final and that the supervisor did not order counts: a child that is restarted has
/// not ended, one that was terminated or stopped in a group restart did not end by itself. The
/// supervisor's reason is [`StopReason::AutoShutdown`](crate::StopReason::AutoShutdown), a normal end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AutoShutdown {
    /// It does not; and refuses to spawn significant children. The default.
    #[default]
    Never,
    /// With the first of its significant children.
    Any,
    /// With the last of them.
    All,
}

impl AutoShutdown {
    /// Whether the supervisor ends when a significant child has ended by itself and `left` others live.
    pub(crate) const fn applies(self, left: usize) -> bool {
        match self {
            Self::Never => false,
            Self::Any => true,
            Self::All => left == 0,
        }
    }
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
    pub(crate) auto_shutdown: AutoShutdown,
    pub(crate) keep_children: bool,
}

impl Supervision {
    /// The largest intensity: a restart in the window is remembered by 8 bytes of the supervisor.
    pub const INTENSITY_MAX: u32 = 10_000;

    /// The shortest period.
    pub const PERIOD_MIN: Duration = Duration::from_millis(1);

    /// A child that fails is restarted alone; at most 3 restarts in 5 s.
    pub const fn one_for_one() -> Self {
        Self::of(Strategy::OneForOne)
    }

    /// With a child that fails all others are stopped, youngest first, and then all are started again in
    /// their order, each when the one before it is up. Temporary ones are stopped and not started again.
    pub const fn one_for_all() -> Self {
        Self::of(Strategy::OneForAll)
    }

    /// As [`one_for_all`](Self::one_for_all), for the child that failed and those started after it.
    pub const fn rest_for_one() -> Self {
        Self::of(Strategy::RestForOne)
    }

    /// For many children of one kind that come and go: as [`one_for_one`](Self::one_for_one), but they
    /// are stopped all at once, in no order, and a child that was terminated is forgotten.
    pub const fn simple_one_for_one() -> Self {
        Self::of(Strategy::SimpleOneForOne)
    }

    /// Who is restarted when a child fails.
    pub const fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// With that strategy; at most 3 restarts in 5 s.
    pub const fn of(strategy: Strategy) -> Self {
        Self {
            strategy,
            intensity: 3,
            period: Duration::from_secs(5),
            auto_shutdown: AutoShutdown::Never,
            keep_children: false,
        }
    }

    /// Whether the supervisor ends itself with its significant children; default never.
    #[must_use]
    pub const fn auto_shutdown(mut self, when: AutoShutdown) -> Self {
        self.auto_shutdown = when;
        self
    }

    /// Keeps the children when the supervisor itself is restarted; without it they are stopped before its
    /// new life starts.
    ///
    /// The new life finds them by `cx.which_children()` and must not
    /// spawn them again; a `started` that does so finds itself with two of each. They are supervised
    /// while it is down, and stopped when it ends for good.
    #[must_use]
    pub const fn keep_children(mut self) -> Self {
        self.keep_children = true;
        self
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

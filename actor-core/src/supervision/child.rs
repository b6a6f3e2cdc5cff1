//! What a supervisor is told about one child: when to restart it, how long its end may take, what a
//! panic means, whether the supervisor lives on without it.
//!
//! Values only, with OTP's words (`restart`, `shutdown`, `significant` of a child specification);
//! `check` of the options as a whole is where the combinations are refused.

use std::time::Duration;

use super::invalid_option::InvalidOption;
use super::spec::seconds;

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

/// How long a child may take to stop when its supervisor tells it to.
///
/// The time bounds the child's own work: the handler it is in and its `stopped` hook. When it is over,
/// both are cut off at their `.await`. The child's own children are not cut off with it, they have
/// their own times; so a stop takes at most the sum of the times in the tree, plus a quarter of a second
/// for each actor that does not even await: such a handler cannot be cut off in Rust, and the actor is
/// *abandoned*: reported, counted, and no longer waited for. It ends when its handler returns.
///
/// It is about stops that throw waiting messages away. A drain (system shutdown, a dropped
/// [`OwnedRef`](crate::OwnedRef)) may take as long as whoever drains allows; only `Kill` holds there too.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::supervision::Shutdown;
///
/// assert_eq!(Shutdown::default(), Shutdown::After(Duration::from_secs(5)));
/// assert!(Shutdown::After(Duration::ZERO).check().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// It is asked to stop, and cut off after that long. The default, with 5 s.
    After(Duration),
    /// It is killed at once, its children with it; `stopped` runs up to its first `.await`.
    Kill,
    /// It is asked to stop and waited for. One hook that hangs then holds up the whole tree's stop, but
    /// not a system's shutdown, which has a grace of its own.
    Infinity,
}

impl Shutdown {
    /// The time of a child for which nothing was said: 5 s, as in OTP.
    pub const DEFAULT: Self = Self::After(Duration::from_secs(5));

    /// Whether the time makes sense.
    ///
    /// # Errors
    ///
    /// Names the option when the time is zero.
    pub fn check(&self) -> Result<(), InvalidOption> {
        if let Self::After(Duration::ZERO) = self {
            return Err(InvalidOption::new(
                "shutdown",
                seconds(Duration::ZERO),
                "longer than 0 s; Shutdown::Kill does not wait at all",
            ));
        }
        Ok(())
    }
}

impl Default for Shutdown {
    /// [`Shutdown::DEFAULT`].
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What a panic in a handler means for the actor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnPanic {
    /// This life has failed: the state is dropped and the supervisor decides. The default.
    #[default]
    Restart,
    /// Only the message has failed: it is dropped and counted as panicked, its asker told, and the actor
    /// goes on with the next message and the state as the panic left it.
    ///
    /// For state that cannot be left half-changed, or is checked on each use. A panic in `started` or
    /// `stopped`, or in the factory, is not resumed.
    Resume,
}

#[cfg(test)]
mod tests;

//! Why an actor ended.

use std::fmt;
use std::sync::Arc;

/// Why an actor stopped, or failed and was restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// It was asked to stop, or stopped itself.
    Normal,
    /// Its parent or the system shut down.
    Shutdown,
    /// It was killed: a suspended handler was cut off.
    Killed,
    /// A handler or hook panicked; the panic's text.
    Panicked(Arc<str>),
    /// It failed by its own word (`cx.fail(..)`); the error's text.
    Failed(Arc<str>),
    /// Its factory panicked or `started` returned an error; the text.
    StartFailed(Arc<str>),
    /// It was a supervisor whose children failed more often than its limit allows; the last failure.
    RestartLimit(Arc<str>),
    /// There was no such actor: it had stopped before it was watched.
    NotFound,
}

impl StopReason {
    /// Whether this is an orderly end, which `Restart::Transient` does not restart.
    pub fn is_normal(&self) -> bool {
        matches!(
            self,
            Self::Normal | Self::Shutdown | Self::Killed | Self::NotFound
        )
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("stopped"),
            Self::Shutdown => f.write_str("shut down"),
            Self::Killed => f.write_str("killed"),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::Failed(text) => write!(f, "failed: {text}"),
            Self::StartFailed(text) => write!(f, "failed to start: {text}"),
            Self::RestartLimit(text) => write!(f, "restart limit reached, last failure: {text}"),
            Self::NotFound => f.write_str("no such actor"),
        }
    }
}

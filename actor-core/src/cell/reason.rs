//! Why an actor ended, and the chain of failures that led to it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::id::ActorId;

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
    /// A significant child of it ended, and its [`AutoShutdown`](crate::AutoShutdown) says that it ends
    /// then too. A normal end.
    AutoShutdown,
    /// A handler or hook panicked; the panic's text.
    Panicked(Arc<str>),
    /// It failed by its own word (`cx.fail(..)`); the error's text.
    Failed(Arc<str>),
    /// Its factory panicked or `started` returned an error; the text.
    StartFailed(Arc<str>),
    /// It was a supervisor whose children failed more often than its limit allows.
    RestartLimit(Arc<Escalation>),
    /// It was a supervisor that had to restart its children together, and this one did not stop: its
    /// handler neither returns nor awaits.
    ChildAbandoned(ActorId),
    /// An actor that it was linked with (`cx.link(..)`) ended other than orderly.
    Linked(Arc<SharedFate>),
    /// An actor that it had a death pact with (`cx.death_pact(..)`) stopped.
    DeathPact(Arc<SharedFate>),
    /// It lived on a peer that is gone, which the text names. Nobody can know what became of it.
    PeerGone(Arc<str>),
    /// There was no such actor: it had stopped before it was watched or linked.
    NotFound,
}

/// What made a supervisor give up: the failure that was one too many, with its own cause.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Escalation {
    /// The child whose failure it was.
    pub child: ActorId,
    /// The label it was spawned with.
    pub child_name: Option<Arc<str>>,
    /// Its Rust type.
    pub child_type: &'static str,
    /// The restarts that are allowed ..
    pub intensity: u32,
    /// .. within this time.
    pub period: Duration,
    /// How the child failed.
    pub cause: StopReason,
    /// How many escalations follow in `cause`, this one included.
    depth: u32,
}

/// Whose end an actor shared, and how that one ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedFate {
    /// The actor whose end it was.
    pub actor: ActorId,
    /// How it ended.
    pub cause: StopReason,
    /// How many reasons follow in `cause`, this one included.
    depth: u32,
}

/// The reasons behind a reason, nearest first; see [`StopReason::causes`].
#[derive(Clone, Debug)]
pub struct Causes<'a>(Option<&'a StopReason>);

impl StopReason {
    /// The most escalations that a chain of causes keeps; of a longer one the middle is left out.
    pub const CAUSES_MAX: u32 = 64;

    /// Whether this is an orderly end, which `Restart::Transient` does not restart.
    pub fn is_normal(&self) -> bool {
        matches!(
            self,
            Self::Normal | Self::Shutdown | Self::Killed | Self::AutoShutdown | Self::NotFound
        )
    }

    /// This reason, then what caused it, down to the first failure: for a supervisor that gave up the
    /// failures of its child, its child's child and so on.
    pub fn causes(&self) -> Causes<'_> {
        Causes(Some(self))
    }

    /// The first failure: the last of [`causes`](Self::causes).
    pub fn root_cause(&self) -> &Self {
        self.causes().last().unwrap_or(self)
    }

    /// What caused it, if that is told.
    fn cause(&self) -> Option<&Self> {
        match self {
            Self::RestartLimit(escalation) => Some(&escalation.cause),
            Self::Linked(fate) | Self::DeathPact(fate) => Some(&fate.cause),
            _ => None,
        }
    }

    /// How many reasons have one behind them, from this one on.
    fn depth(&self) -> u32 {
        match self {
            Self::RestartLimit(escalation) => escalation.depth,
            Self::Linked(fate) | Self::DeathPact(fate) => fate.depth,
            _ => 0,
        }
    }

    /// As the cause of another reason: a long chain leaves its newest reason out. And the depth of that
    /// other one.
    fn bounded(self) -> (Self, u32) {
        let cause = match self.cause() {
            Some(inner) if self.depth() >= Self::CAUSES_MAX => inner.clone(),
            _ => self,
        };
        let depth = cause.depth() + 1;
        (cause, depth)
    }
}

impl Escalation {
    pub(crate) fn new(
        child: ActorId,
        child_name: Option<Arc<str>>,
        child_type: &'static str,
        (intensity, period): (u32, Duration),
        cause: StopReason,
    ) -> Self {
        // A tree may be deeper than a stack: what is dropped and shown by recursion has a bound.
        let (cause, depth) = cause.bounded();
        Self {
            child,
            child_name,
            child_type,
            intensity,
            period,
            cause,
            depth,
        }
    }
}

impl SharedFate {
    pub(crate) fn new(actor: ActorId, cause: StopReason) -> Self {
        let (cause, depth) = cause.bounded();
        Self {
            actor,
            cause,
            depth,
        }
    }
}

impl<'a> Iterator for Causes<'a> {
    type Item = &'a StopReason;

    fn next(&mut self) -> Option<&'a StopReason> {
        let reason = self.0.take()?;
        self.0 = reason.cause();
        Some(reason)
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("stopped"),
            Self::Shutdown => f.write_str("shut down"),
            Self::Killed => f.write_str("killed"),
            Self::AutoShutdown => f.write_str("shut itself down after a significant child"),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::Failed(text) => write!(f, "failed: {text}"),
            Self::StartFailed(text) => write!(f, "failed to start: {text}"),
            Self::RestartLimit(escalation) => escalation.fmt(f),
            Self::ChildAbandoned(child) => {
                write!(f, "could not stop its child {child}, which hangs")
            }
            Self::Linked(fate) => write!(f, "failed with its link to {fate}"),
            Self::DeathPact(fate) => write!(f, "failed by its death pact with {fate}"),
            Self::PeerGone(peer) => write!(f, "lost with its peer {peer}"),
            Self::NotFound => f.write_str("no such actor"),
        }
    }
}

/// `actor:0.7.1 (panicked: no connection)`.
impl fmt::Display for SharedFate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.actor, self.cause)
    }
}

/// `restart limit reached (3 in 5s), last failure: db panicked: no connection`.
impl fmt::Display for Escalation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "restart limit reached ({} in {:?}), last failure: ",
            self.intensity, self.period
        )?;
        match &self.child_name {
            Some(name) => write!(f, "{name} {}", self.cause),
            None => write!(f, "{} {}", self.child, self.cause),
        }
    }
}

#[cfg(test)]
mod tests;

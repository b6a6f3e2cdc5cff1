//! What went wrong lately, as values: messages that were not handled, and actors that failed.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use crate::cell::recent::{Failed, Lost};
use crate::cell::{CellRef, Runtime, StopReason};
use crate::id::ActorId;
use crate::mailbox::node::Fate;
use crate::trace::TraceId;

/// A message that was accepted and not handled: dead letters, and what was dropped for a reason of its own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LostMessage {
    /// When its fate was known.
    pub at: SystemTime,
    /// Why it was not handled.
    pub reason: Fate,
    /// Whom it was for.
    pub target: ActorId,
    /// That actor's type, if it lives.
    pub actor_type: Option<&'static str>,
    /// Its own type; empty if that is not known.
    pub message: &'static str,
    /// The trace it belonged to.
    pub trace_id: Option<TraceId>,
}

/// A life of an actor that ended in failure.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ActorFailure {
    /// When.
    pub at: SystemTime,
    /// The actor.
    pub actor: ActorId,
    /// Its type.
    pub actor_type: &'static str,
    /// Its name, if it has one.
    pub name: Option<Arc<str>>,
    /// The types and ids of those above it, from the top, and its own.
    pub path: Arc<str>,
    /// Why.
    pub reason: StopReason,
    /// The type of the message that it failed on; `None` in a hook, or for another reason.
    pub message: Option<&'static str>,
    /// The trace of that message.
    pub trace_id: Option<TraceId>,
    /// Whether its supervisor is asked for another life.
    pub will_restart: bool,
}

/// The latest of them, and how many there were besides.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Mishaps<T> {
    /// The latest first; at most 256 are kept, and at most 100 of a second.
    pub latest: Vec<T>,
    /// Those that came in a flood and were only counted, since the system started.
    pub left_out: u64,
}

pub(crate) fn lost(runtime: &Runtime, limit: usize) -> Mishaps<LostMessage> {
    let lost = runtime.lost();
    let as_value = |lost: Lost| LostMessage {
        at: runtime.spans().time_of_day(lost.at),
        reason: lost.fate,
        target: lost.target,
        actor_type: CellRef::of(lost.target).type_name_of(lost.target.generation()),
        message: lost.message,
        trace_id: lost.trace,
    };
    Mishaps {
        latest: lost.list(limit).into_iter().map(as_value).collect(),
        left_out: lost.left_out(),
    }
}

pub(crate) fn failures(runtime: &Runtime, limit: usize) -> Mishaps<ActorFailure> {
    let failed = runtime.failed();
    let as_value = |failed: Failed| ActorFailure {
        at: runtime.spans().time_of_day(failed.at),
        actor: failed.actor,
        actor_type: failed.actor_type,
        name: failed.name,
        path: failed.path,
        reason: failed.reason,
        message: failed.culprit.message,
        trace_id: failed.culprit.trace_id(),
        will_restart: failed.will_restart,
    };
    Mishaps {
        latest: failed.list(limit).into_iter().map(as_value).collect(),
        left_out: failed.left_out(),
    }
}

impl fmt::Display for LostMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}: {}", self.message, self.target, self.reason)?;
        if let Some(trace) = self.trace_id {
            write!(f, ", trace {trace}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ActorFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.reason)?;
        if let Some(message) = self.message {
            write!(f, " on {message}")?;
        }
        if let Some(trace) = self.trace_id {
            write!(f, ", trace {trace}")?;
        }
        Ok(())
    }
}

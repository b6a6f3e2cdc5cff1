//! All actors at a glance: what shows of each from outside, for who counts, sorts and pages.
//!
//! A walk by the calling thread, past the workers (`cell::census`): nobody is asked, so nobody is held up, and what is
//! known to actors only (names, phases, restarts) is not in it. That is what `inspect` is for, of the few that the
//! walk has picked.

use std::time::Duration;

use super::leaks::{Ages, History};
use crate::cell::{Runtime, Seen, glance, glance_at};
use crate::clock::Tick;
use crate::id::{ActorId, NumaNodeId};
use crate::mailbox::inbox::Rest;

/// What an actor is at, as it shows from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Activity {
    /// Nothing waits, nothing runs.
    Idle,
    /// A handler awaits something, or messages wait for another life.
    Suspended,
    /// It waits for a worker, or has one.
    Busy,
}

/// One live actor as it shows from outside; see [`SystemRef::for_each_actor`](crate::SystemRef::for_each_actor).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ActorGlance {
    /// The actor.
    pub actor: ActorId,
    /// Its Rust type.
    pub actor_type: &'static str,
    /// The NUMA node that it was spawned on; it may have moved.
    pub numa_node: NumaNodeId,
    /// Its supervisor; `None` for an actor at the top.
    pub parent: Option<ActorId>,
    /// What it is at.
    pub activity: Activity,
    /// Messages that wait.
    pub queued: u32,
    /// The bound of its mailbox; `None` without one.
    pub capacity: Option<u32>,
    /// Whom its handler waits for in an ask.
    pub waits_for: Option<ActorId>,
    /// For how long it has handled nothing, at least, as far as samples tell
    /// ([`SystemRef::sample_leaks`](crate::SystemRef::sample_leaks)): zero if it has since the last one. `None` before the
    /// first.
    pub quiet_for: Option<Duration>,
}

pub(crate) fn for_each(
    runtime: &'static Runtime,
    history: &History,
    mut visit: impl FnMut(ActorGlance),
) {
    let ages = history.ages(Tick::now());
    glance(runtime, |seen, is_fresh| {
        visit(shown(&seen, is_fresh, ages.as_ref()));
    });
}

pub(crate) fn one(
    runtime: &'static Runtime,
    history: &History,
    actor: ActorId,
) -> Option<ActorGlance> {
    let (seen, is_fresh) = glance_at(runtime, actor)?;
    Some(shown(&seen, is_fresh, history.ages(Tick::now()).as_ref()))
}

fn shown(seen: &Seen, is_fresh: bool, ages: Option<&Ages>) -> ActorGlance {
    let (activity, queued) = match seen.rest {
        Rest::Idle => (Activity::Idle, 0),
        Rest::Suspended { waiting } => (Activity::Suspended, waiting),
        Rest::Busy { waiting } => (Activity::Busy, waiting),
    };
    let quiet_for = |ages: &Ages| {
        if is_fresh {
            Duration::ZERO
        } else {
            ages.of(seen.mark)
        }
    };
    ActorGlance {
        actor: seen.actor,
        actor_type: (seen.kind.type_name)(),
        numa_node: seen.actor.numa_node(),
        parent: seen.parent,
        activity,
        queued,
        capacity: (seen.capacity > 0).then_some(seen.capacity),
        waits_for: seen.waits_for,
        quiet_for: ages.map(quiet_for),
    }
}

//! Who is still there: the actors that a shutdown could not end, or that a second signal finds at work.
//!
//! A walk from the root down by looks (`cell::inspect`), bounded in time and number. Actors answer for
//! themselves; one that does not is in a handler that neither returns nor awaits, and it is known by its
//! parent's list or its worker's slot.

use std::collections::HashSet;
use std::fmt;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::SystemRef;
use crate::cell::{ActorSnapshot, CellRef, Inspection};
use crate::id::ActorId;

/// The most actors that are named.
pub(super) const NAMED_MAX: usize = 64;
/// The most actors that are looked at for it.
const LOOKED_AT_MAX: usize = 4096;

/// An actor that was still there.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LeftBehind {
    /// The actor.
    pub actor: ActorId,
    /// Its Rust type, if it could be told.
    pub actor_type: Option<&'static str>,
    /// What it said of itself; `None`: it is in a handler that neither returns nor awaits.
    pub seen: Option<ActorSnapshot>,
}

impl LeftBehind {
    /// Whether it has something to do, rather than waiting to be told to stop.
    pub(super) fn is_at_work(&self) -> bool {
        self.seen
            .as_ref()
            .is_none_or(|seen| seen.handling.is_some() || seen.queued > 0 || seen.child_count == 0)
    }
}

impl fmt::Display for LeftBehind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.actor)?;
        if let Some(actor_type) = self.actor_type {
            write!(f, " ({actor_type})")?;
        }
        let Some(seen) = &self.seen else {
            return f.write_str(": in a handler that neither returns nor awaits");
        };
        if let Some(name) = &seen.name {
            write!(f, " {name:?}")?;
        }
        write!(f, ": {}", seen.phase)?;
        if let Some(message) = seen.handling {
            write!(f, ", its handler of {message} awaits")?;
        }
        if seen.queued > 0 {
            write!(f, ", {} messages wait", seen.queued)?;
        }
        if seen.child_count > 0 {
            write!(f, ", {} children", seen.child_count)?;
        }
        Ok(())
    }
}

/// How long until the workers are looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Whether each of them is in a turn at this moment.
fn hang(system: SystemRef, open: &HashSet<ActorId>) -> bool {
    let running: HashSet<ActorId> = system.runtime.running_now().collect();
    open.is_subset(&running)
}

/// Walks the tree for `limit` if somebody does not answer, and up to three times that if a worker does
/// not run what could answer: on a machine that is busy with something else it may be between two turns,
/// and an actor is not said to hang that was only not asked yet. Those at work come first.
pub(super) fn walk(system: SystemRef, limit: Duration) -> Vec<LeftBehind> {
    let began = Instant::now();
    let root = system.runtime.root().id();
    let (tell, told) = mpsc::channel();
    let mut asked = HashSet::new();
    let mut found = Vec::new();
    let ask = |actor: ActorId, asked: &mut HashSet<ActorId>| {
        if asked.len() < LOOKED_AT_MAX && asked.insert(actor) {
            let tell = tell.clone();
            let inspection = Inspection {
                children_max: LOOKED_AT_MAX,
                // Nobody listens any more when the time is up.
                tell: Box::new(move |seen| drop(tell.send((actor, seen)))),
            };
            CellRef::of(actor).inspect(actor.generation(), inspection);
        }
    };
    ask(root, &mut asked);
    // Actors whose parent does not answer are known by the workers that run them.
    for actor in system.runtime.running_now() {
        ask(actor, &mut asked);
    }
    let mut open = asked.clone();
    while !open.is_empty() {
        let elapsed = began.elapsed();
        let wait = match limit.checked_sub(elapsed) {
            Some(left) => left,
            None if elapsed >= limit * 3 || hang(system, &open) => break,
            None => LOOK_AGAIN,
        };
        let (actor, seen) = match told.recv_timeout(wait) {
            Ok(answer) => answer,
            Err(mpsc::RecvTimeoutError::Timeout) => continue,
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        };
        open.remove(&actor);
        let Some(seen) = seen else { continue };
        for child in &seen.children {
            if asked.len() < LOOKED_AT_MAX && !asked.contains(child) {
                ask(*child, &mut asked);
                open.insert(*child);
            }
        }
        if actor != root {
            found.push(LeftBehind {
                actor,
                actor_type: Some(seen.actor_type),
                seen: Some(seen),
            });
        }
    }
    open.remove(&root);
    for actor in open {
        // A dead one does not answer either once the workers are gone.
        if let Some(actor_type) = CellRef::of(actor).type_name_of(actor.generation()) {
            found.push(LeftBehind {
                actor,
                actor_type: Some(actor_type),
                seen: None,
            });
        }
    }
    found.sort_by_key(|left| (left.seen.is_some(), !left.is_at_work(), left.actor.as_u64()));
    found.truncate(NAMED_MAX);
    found
}

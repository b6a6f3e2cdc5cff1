//! A look at one actor, taken by its owner between two messages.
//!
//! Nobody but the owner may read line 1 of a cell (header H2), so a look is a signal like any other: the
//! owner copies what is asked for and tells it. It overtakes the mailbox and reaches an actor whose
//! handler awaits; one whose handler neither returns nor awaits does not answer, which is news too.
//!
//! `tell` is the runtime's own closure (a channel's end), never the user's code.

use std::ptr::NonNull;
use std::sync::Arc;

use super::header::{CellRef, Phase, RestartPolicy};
use super::signal::{Signal, SignalKind};
use crate::id::{ActorId, NumaNodeId};
use crate::supervision::{Restart, Supervision};

/// Where an actor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActorPhase {
    /// Its `started` hook has not come to its end.
    Starting,
    /// It handles messages.
    Running,
    /// It waits for its children to stop, or runs its `stopped` hook.
    Stopping,
    /// It failed or ended and waits for its supervisor's word.
    Down,
    /// It will be started again after its back-off.
    BackingOff,
}

impl std::fmt::Display for ActorPhase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Down => "down",
            Self::BackingOff => "backing off",
        })
    }
}

/// One actor at one moment, as its owner saw it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ActorSnapshot {
    /// The actor.
    pub actor: ActorId,
    /// Its Rust type.
    pub actor_type: &'static str,
    /// The label it was spawned with.
    pub name: Option<Arc<str>>,
    /// The NUMA node that is its home now.
    pub numa_node: NumaNodeId,
    /// Where it is in its life.
    pub phase: ActorPhase,
    /// Its supervisor; `None` for an actor at the top.
    pub parent: Option<ActorId>,
    /// Its children, oldest first, as many as were asked for.
    pub children: Vec<ActorId>,
    /// How many children it has.
    pub child_count: usize,
    /// How it supervises them.
    pub supervision: Supervision,
    /// When it is restarted itself.
    pub restart: Restart,
    /// How often it was restarted so far.
    pub restarts: u64,
    /// Messages that wait.
    pub queued: usize,
    /// The bound of its mailbox; `None` without one.
    pub capacity: Option<usize>,
    /// The type of the message whose handler is suspended at an `.await`.
    pub handling: Option<&'static str>,
    /// It handles an ask whose asker has given up: its deadline passed or it was cancelled.
    pub asker_gone: bool,
    /// Actors that want to hear of its end.
    pub watchers: usize,
    /// Actors whose end it wants to hear of.
    pub watching: usize,
    /// Futures that wait for its end (`terminated().await`), and lately gave up.
    pub monitors: usize,
    /// Actors that it is linked with.
    pub links: usize,
    /// Timers that are set.
    pub timers: usize,
    /// Tasks beside its handlers: streams, continuations, reentrant handlers.
    pub tasks: usize,
    /// The names it is registered under.
    pub registered: Vec<Arc<str>>,
}

/// A look that is on its way.
pub(crate) struct Inspection {
    /// How many children to name.
    pub(crate) children_max: usize,
    /// Told once; `None`: there is no such actor any more.
    pub(crate) tell: Box<dyn FnOnce(Option<ActorSnapshot>) + Send>,
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inspection")
            .field("children_max", &self.children_max)
            .finish_non_exhaustive()
    }
}

impl CellRef {
    /// Asks for a look at the actor of that generation.
    pub(crate) fn inspect(self, generation: u32, inspection: Inspection) {
        // Also to a cell whose actor is gone: its turn says so.
        self.signal(Signal::to_generation(
            generation,
            SignalKind::Inspect(Box::new(inspection)),
        ));
    }

    /// Answers a look.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn inspected(self, meant: bool, inspection: Inspection) {
        let snapshot = if meant {
            // SAFETY: H2, by the caller.
            unsafe { self.snapshot(inspection.children_max) }
        } else {
            None
        };
        (inspection.tell)(snapshot);
    }

    /// # Safety
    ///
    /// The caller owns the cell.
    unsafe fn snapshot(self, children_max: usize) -> Option<ActorSnapshot> {
        // SAFETY: H2, by the caller; field by field, because the sibling links are the parent's (H3).
        unsafe {
            let owned = self.owned();
            let extra = (*owned).extra.as_ref();
            let phase = match (*owned).phase {
                Phase::Dead | Phase::Lane => return None,
                Phase::Starting => ActorPhase::Starting,
                Phase::Running => ActorPhase::Running,
                Phase::StoppingChildren | Phase::Stopping => ActorPhase::Stopping,
                Phase::Down => ActorPhase::Down,
                // Held until its elder siblings are up: nothing went wrong.
                Phase::BackingOff
                    if extra.is_some_and(|extra| extra.restart_at == super::sequence::NEVER) =>
                {
                    ActorPhase::Starting
                }
                Phase::BackingOff => ActorPhase::BackingOff,
            };
            let mut children = Vec::new();
            let mut at = extra.and_then(|extra| extra.first_child.cell());
            while let Some(child) = at
                && children.len() < children_max
            {
                // Not yet unlinked, or a place that is kept: nobody lives there.
                children.extend(child.living_id());
                at = (*child.owned()).next.cell();
            }
            Some(ActorSnapshot {
                actor: self.id(),
                actor_type: (self.vtable().type_name)(),
                name: extra.and_then(|extra| extra.name.clone()),
                numa_node: NumaNodeId(self.arena()),
                phase,
                parent: self
                    .parent()
                    .filter(|parent| *parent != self.runtime().root())
                    .map(Self::id),
                children,
                child_count: self.child_count(),
                supervision: extra.map_or_else(Supervision::one_for_one, |extra| extra.supervision),
                restart: match (*owned).flags.restart() {
                    RestartPolicy::Permanent => Restart::Permanent,
                    RestartPolicy::Transient => Restart::Transient,
                    RestartPolicy::Temporary => Restart::Temporary,
                },
                restarts: extra.map_or(0, |extra| extra.restarts),
                queued: self.inbox().len() as usize,
                capacity: match self.inbox().capacity() {
                    0 => None,
                    bound => Some(bound as usize),
                },
                handling: NonNull::new((*owned).current)
                    .map(|node| (node.as_ref().vtable.message)()),
                // SAFETY (of the call): the node is being handled by us, the owner.
                asker_gone: NonNull::new((*owned).current)
                    .is_some_and(|node| (node.as_ref().vtable.abandoned)(node)),
                watchers: extra.map_or(0, |extra| extra.watchers.len()),
                watching: extra.map_or(0, |extra| extra.watching.len()),
                monitors: extra.map_or(0, |extra| extra.monitors.len()),
                links: extra.map_or(0, |extra| extra.links.len()),
                timers: extra
                    .and_then(|extra| extra.timers.as_ref())
                    .map_or(0, |timers| timers.len()),
                tasks: extra
                    .and_then(|extra| extra.tasks.as_ref())
                    .map_or(0, |tasks| tasks.len()),
                registered: extra.map_or_else(Vec::new, |extra| extra.names.clone()),
            })
        }
    }
}

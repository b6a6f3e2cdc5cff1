//! Moving an actor to another NUMA node by hand.

use std::fmt;

use super::actor::Actor;
use super::actor_context::ActorContext;
use super::actor_ref::ActorRef;
use super::options::no_workers;
use crate::cell::{CellRef, Runtime};
use crate::id::{ActorId, NumaNodeId};

/// Why an actor is not moved.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MoveError {
    /// The NUMA node does not exist or has no workers.
    NoSuchNumaNode {
        /// What was asked for.
        asked: NumaNodeId,
        /// The NUMA nodes that have workers.
        have_workers: Vec<NumaNodeId>,
    },
    /// The actor has stopped.
    Dead {
        /// The actor.
        actor: ActorId,
    },
    /// The actor has a thread of its own, which is bound to its NUMA node.
    Dedicated {
        /// The actor.
        actor: ActorId,
        /// Where it stays.
        numa_node: NumaNodeId,
    },
}

impl fmt::Display for MoveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchNumaNode {
                asked,
                have_workers,
            } => {
                write!(f, "not moved: ")?;
                no_workers(f, *asked, have_workers)
            }
            Self::Dead { actor } => write!(f, "{actor} has stopped and cannot be moved"),
            Self::Dedicated { actor, numa_node } => write!(
                f,
                "{actor} has a thread of its own on {numa_node} and cannot be moved: spawn it where it \
                 is to live"
            ),
        }
    }
}

impl std::error::Error for MoveError {}

impl<A: Actor> ActorRef<A> {
    /// Asks the actor to move to that NUMA node: it runs there from its next turn on, its state is copied
    /// there, and new messages for it lie there. Its address, the order of its messages and everything it
    /// has (children, timers, watches) stay; children stay where they are, later ones follow it.
    ///
    /// Overtakes the mailbox. A handler suspended at an `.await` is finished first. The last order counts.
    /// What moves is the value of the actor's type: what it owns on the heap stays where it is, and so
    /// does its cell (128 bytes).
    ///
    /// # Errors
    ///
    /// [`MoveError`]: no workers there, the actor has stopped, or it has a thread of its own.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// struct Cache([u64; 512]);
    /// impl Actor for Cache {}
    ///
    /// let system = ActorSystem::new()?;
    /// let cache = system.spawn(Cache([0; 512]))?;
    /// let node = *system.numa_nodes().last().expect("there is one");
    /// cache.move_to(node)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn move_to(&self, node: NumaNodeId) -> Result<(), MoveError> {
        let (actor, cell) = (self.id(), CellRef::of(self.id()));
        let numa_index = index_of(cell.runtime(), node)?;
        if cell.generation() != actor.generation() {
            return Err(MoveError::Dead { actor });
        }
        if cell.is_dedicated() {
            let numa_node = NumaNodeId(cell.arena());
            return Err(MoveError::Dedicated { actor, numa_node });
        }
        cell.move_home(actor.generation(), numa_index);
        Ok(())
    }
}

impl<A: Actor> ActorContext<A> {
    /// As [`ActorRef::move_to`], for this actor: when the present message is done.
    ///
    /// # Errors
    ///
    /// [`MoveError::NoSuchNumaNode`], [`MoveError::Dedicated`].
    pub fn move_to(&mut self, node: NumaNodeId) -> Result<(), MoveError> {
        self.actor_ref().move_to(node)
    }
}

fn index_of(runtime: &Runtime, asked: NumaNodeId) -> Result<usize, MoveError> {
    runtime
        .numa_index_of(asked)
        .ok_or_else(|| MoveError::NoSuchNumaNode {
            asked,
            have_workers: runtime.numa_nodes().collect(),
        })
}

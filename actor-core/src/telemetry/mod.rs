//! What an operator sees: one read of every floor's counters, the live tree of actors (`tree`), and
//! what looks like a leak (`leaks`).

pub(crate) mod leaks;
mod stall;
mod tree;

use std::fmt;

use crate::cell::Runtime;
use crate::id::{NumaNodeId, WorkerId};
use crate::mailbox::Conservation;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::Fate;
use crate::memory::{self, MemoryStats};

pub use leaks::{GrowingActors, IdleActors, LeakOptions, LeakReport, ManyWatches, StuckAsk};
pub(crate) use stall::{StallHook, StallHooks};
pub use stall::{StallReport, StallStats};
pub use tree::{SupervisionTree, TreeNode, TreeRequest};

/// The books of one system at one moment.
///
/// Read without stopping anything: figures of one line may be some messages apart. At rest they are
/// exact.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stats {
    /// Every message by its fate.
    pub messages: Conservation,
    /// Actors by what happened to them.
    pub actors: ActorStats,
    /// Visits of workers to actors, all together.
    pub turns: u64,
    /// Workers woken by threads that are none.
    pub wakes_from_outside: u64,
    /// Workers, in order.
    pub workers: Vec<WorkerStats>,
    /// NUMA nodes that have workers.
    pub numa_nodes: Vec<NumaStats>,
    /// Handlers that held up their workers, and what was done about it.
    pub stalls: StallStats,
}

/// Actors of a system, counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorStats {
    /// Spawned so far, without the system's own root.
    pub spawned: u64,
    /// Stopped for good so far.
    pub stopped: u64,
    /// Restarts granted by supervisors.
    pub restarts: u64,
    /// Panics caught on the system's threads: in handlers, hooks, factories, drops, wakers, log
    /// subscribers. One per catch: a payload that panics when it is dropped counts again.
    pub panics: u64,
    /// Replies that came after the asker had given up.
    pub late_replies: u64,
    /// Asks whose reply handle was dropped without a reply.
    pub no_replies: u64,
    /// Tasks and streams attached to actors now.
    pub attached_tasks: u64,
    /// Actors moved to another NUMA node.
    pub moves: u64,
    /// Notices of an actor's end sent to watchers.
    pub termination_notices: u64,
    /// Actors that did not stop when they were told to and cut off; their supervisors no longer wait for
    /// them. They count as alive until their handlers return.
    pub abandoned: u64,
}

impl ActorStats {
    /// Actors that live now.
    pub fn alive(&self) -> u64 {
        self.spawned.saturating_sub(self.stopped)
    }
}

/// What one worker did since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// The worker.
    pub worker: WorkerId,
    /// Its NUMA node.
    pub numa_node: NumaNodeId,
    /// Visits to actors.
    pub turns: u64,
    /// Thefts from workers of the same NUMA node.
    pub steals_near: u64,
    /// Actors taken from another NUMA node.
    pub steals_far: u64,
    /// Times it went to sleep.
    pub parks: u64,
    /// Actors in its own queue, about.
    pub queued: usize,
}

/// One NUMA node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NumaStats {
    /// The NUMA node.
    pub numa_node: NumaNodeId,
    /// Actors that wait for any of its workers.
    pub queued: usize,
    /// Its workers that sleep.
    pub asleep: usize,
    /// Its arena; shared by all systems of the process.
    pub memory: MemoryStats,
}

impl Stats {
    pub(crate) fn read(runtime: &Runtime) -> Self {
        let ledger = runtime.ledger();
        let scheduler = runtime.scheduler().stats();
        let node_of = |index: usize| NumaNodeId(runtime.arena(index));
        // The root is an actor to the runtime, not to the user.
        let root_stopped = u64::from(runtime.ended().is_open());
        Self {
            messages: ledger.conservation(),
            actors: ActorStats {
                spawned: ledger.sum(Count::Spawned).saturating_sub(1),
                stopped: ledger.sum(Count::Stopped).saturating_sub(root_stopped),
                restarts: ledger.sum(Count::Restarts),
                panics: ledger.sum(Count::Panics) + runtime.timers().waker_panics(),
                late_replies: ledger.sum(Count::LateReplies),
                no_replies: ledger.sum_fate(Fate::NoReply),
                attached_tasks: ledger
                    .sum(Count::TasksAttached)
                    .saturating_sub(ledger.sum(Count::TasksEnded)),
                moves: ledger.sum(Count::Moves),
                termination_notices: ledger.sum(Count::Notices),
                abandoned: ledger.sum(Count::Abandoned),
            },
            stalls: scheduler.stalls.into(),
            turns: scheduler.total.turns,
            wakes_from_outside: scheduler.wakes_from_outside,
            workers: scheduler
                .workers
                .iter()
                .map(|worker| WorkerStats {
                    worker: worker.worker,
                    numa_node: node_of(worker.numa_index),
                    turns: worker.counts.turns,
                    steals_near: worker.counts.steals_near,
                    steals_far: worker.counts.steals_far,
                    parks: worker.counts.parks,
                    queued: worker.queued,
                })
                .collect(),
            numa_nodes: scheduler
                .numa
                .iter()
                .enumerate()
                .map(|(index, numa)| NumaStats {
                    numa_node: node_of(index),
                    queued: numa.queued,
                    asleep: numa.asleep,
                    memory: memory::stats(node_of(index)),
                })
                .collect(),
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.messages)?;
        let ActorStats {
            spawned,
            stopped,
            restarts,
            panics,
            ..
        } = self.actors;
        write!(
            f,
            "actors: {} alive ({spawned} spawned, {stopped} stopped), {restarts} restarts, {panics} panics",
            self.actors.alive()
        )?;
        for worker in &self.workers {
            write!(
                f,
                "\n{} on {}: {} turns, {} near steals, {} far steals, {} parks",
                worker.worker,
                worker.numa_node,
                worker.turns,
                worker.steals_near,
                worker.steals_far,
                worker.parks
            )?;
        }
        if self.stalls.stalls > 0 {
            let StallStats {
                stalls,
                running,
                longest,
                spares_started,
                ..
            } = self.stalls;
            write!(
                f,
                "\nstalls: {stalls}, {running} of them going on, the longest {longest:.1?}; {spares_started} times a spare stood in"
            )?;
        }
        Ok(())
    }
}

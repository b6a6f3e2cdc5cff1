//! What an operator sees: one read of every floor's counters, all actors at a glance (`census`), the live
//! tree of actors (`tree`), what looks like a leak (`leaks`), the traces of messages (`spans`) and how long they
//! take (`latencies`), all figures as families (`metrics`), what went wrong of late (`mishaps`), which actors stand out
//! (`rankings`), and what the workers do moment by moment
//! (`schedule`).

pub(crate) mod census;
mod latencies;
pub(crate) mod leaks;
pub mod metrics;
mod mishaps;
#[cfg(feature = "otlp")]
pub mod otlp;
mod rankings;
mod schedule;
mod spans;
mod stall;
mod table;
mod tree;

use std::fmt;

use crate::cell::{CellRef, Runtime, crossing};
use crate::id::{ActorId, NumaNodeId, WorkerId};
use crate::locality::{Edge, LaneStats};
use crate::mailbox::ledger::Count;
use crate::mailbox::node::Fate;
use crate::mailbox::{AskStats, Conservation};
use crate::memory::{self, MemoryStats};
use crate::scheduler::PoolCounts;

pub use crate::stack::{StackFrame, ThreadStack};
pub use census::{Activity, ActorGlance};
pub use latencies::{DepthHistogram, Latencies, LatencyHistogram, TypeLatency};
pub use leaks::{GrowingActors, IdleActors, LeakOptions, LeakReport, ManyWatches, StuckAsk};
pub use mishaps::{ActorFailure, LostMessage, Mishaps};
pub(crate) use mishaps::{failures, lost};
pub use rankings::{ActorRate, ActorRestarts, AskCircle};
pub(crate) use rankings::{busiest, circles, most_restarted};
pub use schedule::{
    OutsideWake, RecordError, ScheduleEvent, ScheduleEventKind, ScheduleOptions, ScheduleRecording,
    ScheduleTotals, ThreadRole, ThreadSchedule, WokenBy,
};
pub(crate) use spans::{Collector, CollectorThread};
pub use spans::{SpanStats, Trace, TraceList, TraceSummary};
pub(crate) use stall::{StallHook, StallHooks};
pub use stall::{StallReport, StallStats};
pub use table::NumaTable;
#[cfg(feature = "otlp")]
pub(crate) use tree::short_type_name;
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
    /// Asks by their outcome.
    pub asks: AskStats,
    /// Actors by what happened to them.
    pub actors: ActorStats,
    /// Visits of workers to actors, all together.
    pub turns: u64,
    /// Workers woken by threads that are none.
    pub wakes_from_outside: u64,
    /// Workers, in order.
    pub workers: Vec<WorkerStats>,
    /// Actors that have a thread of their own
    /// ([`SpawnBuilder::dedicated`](crate::SpawnBuilder::dedicated)).
    pub dedicated: Vec<DedicatedStats>,
    /// NUMA nodes that have workers.
    pub numa_nodes: Vec<NumaStats>,
    /// Handlers that held up their workers, and what was done about it.
    pub stalls: StallStats,
    /// Messages between actors by the NUMA nodes of sender and target, every pair that had some. What
    /// threads outside of actors send is not in it.
    pub edges: Vec<Edge>,
    /// Actors that idle workers took from other NUMA nodes for a turn, every pair that had some.
    pub steals_across: Vec<StealsAcross>,
    /// How those from one NUMA node to another travelled, every pair that had some; empty without batch lanes.
    pub lanes: Vec<LaneStats>,
    /// What the balancer did, if the system has one.
    pub balancing: Option<BalancingStats>,
    /// Spans of traces: how many ended, and what became of them.
    pub spans: SpanStats,
}

/// What the balancer did so far; see [`Balancing`](crate::Balancing).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BalancingStats {
    /// Whether it is at work: the kill switch is
    /// [`SystemRef::set_balancing`](crate::SystemRef::set_balancing).
    pub is_on: bool,
    /// Messages it looked at.
    pub samples: u64,
    /// Moves it ordered: the cost, one copy of a state each.
    pub moves: u64,
    /// The share of messages that crossed NUMA nodes in the last second before the first move; `None`
    /// before there was enough to say.
    pub crossing_before: Option<f64>,
    /// The same share in the last second: the gain.
    pub crossing_now: Option<f64>,
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

/// Turns that workers of one NUMA node took for those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StealsAcross {
    /// Whose workers had nothing to do.
    pub by: NumaNodeId,
    /// Where the actors live.
    pub from: NumaNodeId,
    /// Actors taken, one turn each.
    pub actors: u64,
}

/// An actor with a thread of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DedicatedStats {
    /// The thread's number, behind those of the workers.
    pub worker: WorkerId,
    /// Its NUMA node.
    pub numa_node: NumaNodeId,
    /// Whose it is.
    pub actor: ActorId,
    /// Turns on a thread of that number, those of actors that had one before included.
    pub turns: u64,
    /// Times it went to sleep.
    pub parks: u64,
}

/// The threads of a NUMA node for work that blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockingStats {
    /// Threads, at work or waiting for some.
    pub threads: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that wait for a thread.
    pub queued: usize,
}

impl From<PoolCounts> for BlockingStats {
    fn from(counts: PoolCounts) -> Self {
        Self {
            threads: counts.threads,
            running: counts.running,
            queued: counts.queued,
        }
    }
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
    /// Its threads for work that blocks.
    pub blocking: BlockingStats,
    /// Its timers: those its actors have set, and the deadlines of those who ask there.
    pub timers: TimerStats,
}

/// The timers of a NUMA node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimerStats {
    /// Timers that wait for their time.
    pub waiting: usize,
    /// Timers whose time has come, so far. Most deadlines are met and never get here.
    pub fired: u64,
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
            asks: AskStats::read(|count| ledger.sum(count)),
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
            dedicated: scheduler
                .dedicated
                .iter()
                .map(|own| DedicatedStats {
                    worker: own.worker,
                    numa_node: node_of(own.numa_index),
                    actor: CellRef::from_task(own.task).id(),
                    turns: own.counts.turns,
                    parks: own.counts.parks,
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
                    timers: {
                        let timers = runtime.timers().stats(index);
                        TimerStats {
                            waiting: timers.pending,
                            fired: timers.fired,
                        }
                    },
                    blocking: runtime
                        .pool(index)
                        .map(|pool| pool.counts().into())
                        .unwrap_or_default(),
                })
                .collect(),
            edges: edges(runtime),
            steals_across: steals_across(runtime, &scheduler.stolen),
            lanes: crossing::stats(runtime),
            // The system's, which knows whether it has one.
            balancing: None,
            spans: SpanStats::default(),
        }
    }
}

impl Stats {
    /// The share of messages between actors that crossed from one NUMA node to another, 0 to 1; `None`
    /// before the first message.
    pub fn crossing_share(&self) -> Option<f64> {
        let all: u64 = self.edges.iter().map(|edge| edge.messages).sum();
        let crossing = self.edges.iter().filter(|edge| edge.crosses());
        let crossing: u64 = crossing.map(|edge| edge.messages).sum();
        (all > 0).then(|| crossing as f64 / all as f64)
    }
}

/// What each NUMA node's workers have sent to each.
fn edges(runtime: &Runtime) -> Vec<Edge> {
    let nodes: Vec<NumaNodeId> = runtime.numa_nodes().collect();
    let mut matrix = vec![0u64; nodes.len() * nodes.len()];
    let sent = runtime.ledger().of_workers(Count::Accepted);
    for (row, sent) in runtime.traffic().rows().zip(sent) {
        let from = row.numa_index() * nodes.len();
        let mut across = 0;
        for (to, messages) in row.across().enumerate() {
            matrix[from + to] += messages;
            across += messages;
        }
        // Read one after the other, so a message may be in one of them only.
        matrix[from + row.numa_index()] += sent.saturating_sub(across);
    }
    let edge = |(index, messages): (usize, u64)| {
        Edge::new(
            nodes[index / nodes.len()],
            nodes[index % nodes.len()],
            messages,
        )
    };
    let some = matrix.into_iter().enumerate();
    some.filter(|(_, messages)| *messages > 0)
        .map(edge)
        .collect()
}

fn steals_across(runtime: &Runtime, stolen: &[Vec<u64>]) -> Vec<StealsAcross> {
    let nodes: Vec<NumaNodeId> = runtime.numa_nodes().collect();
    let mut pairs = Vec::new();
    for (by, row) in nodes.iter().zip(stolen) {
        for (from, actors) in nodes.iter().zip(row) {
            if *actors > 0 {
                pairs.push(StealsAcross {
                    by: *by,
                    from: *from,
                    actors: *actors,
                });
            }
        }
    }
    pairs
}

/// `{}`: what happened to messages and actors, and a line per worker. `{:#}`: the first two, and the
/// [table](Stats::numa_table) by NUMA node instead.
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
        if f.alternate() {
            return write!(f, "\n\n{}", self.numa_table());
        }
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
        for own in &self.dedicated {
            write!(
                f,
                "\n{} on {}, for {} alone: {} turns, {} parks",
                own.worker, own.numa_node, own.actor, own.turns, own.parks
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

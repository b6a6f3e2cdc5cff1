//! On which NUMA node a new actor gets its home: a wish and the machine in, an index out.

use super::options::SpawnError;
use super::spawn::Parent;
use crate::cell::{CellRef, Local, Runtime};
use crate::id::{ActorId, NumaNodeId};

/// On which NUMA node an actor lives: for its whole life, restarts included, unless it is moved
/// ([`ActorRef::move_to`](crate::ActorRef::move_to)). Its children follow it unless they say otherwise, so
/// placing a parent places its subtree.
///
/// | choose | for actors that |
/// |---|---|
/// | `Inherit` | talk to their spawner most |
/// | `Near` | talk to some other actor most |
/// | `Key` | share data by a key: equal keys live together |
/// | `Spread` | have no favourite, and are many |
/// | `LeastLoaded` | have no favourite, are few, and work hard from their first message on |
/// | `Node` | serve a device or a memory of that NUMA node |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Placement {
    /// The spawner's NUMA node; from outside of actors, the same as `Spread`. The default.
    #[default]
    Inherit,
    /// NUMA nodes that have workers, in turn.
    Spread,
    /// The NUMA node with the least to do per worker now: queued actors and busy workers are counted.
    /// In turn where they are equal. The spawn looks at every worker's queue, some 100 ns each.
    LeastLoaded,
    /// That NUMA node, which must have workers.
    Node(NumaNodeId),
    /// The NUMA node that is that actor's home now; if it has stopped, the one it was spawned on.
    Near(ActorId),
    /// The NUMA node that the key falls on: the same for equal keys as long as the NUMA nodes with workers
    /// are the same ones; with one NUMA node more or less, most keys stay where they were (rendezvous
    /// hashing: Thaler and Ravishankar, 1998).
    Key(u64),
}

/// The NUMA index that a placement means here.
pub(super) fn place(
    parent: Parent<'_>,
    runtime: &'static Runtime,
    placement: Placement,
) -> Result<usize, SpawnError> {
    match (placement, parent) {
        (Placement::Inherit, Parent::Actor(cell, _)) => Ok(cell.numa_index()),
        (Placement::Inherit, Parent::Root(_)) => Ok(Local::current()
            .filter(|local| std::ptr::eq(local.runtime(), runtime))
            .map_or_else(|| runtime.next_numa_index(), Local::numa_index)),
        (Placement::Spread, _) => Ok(runtime.next_numa_index()),
        (Placement::LeastLoaded, _) => Ok(least_loaded(runtime)),
        (Placement::Node(asked), _) => index_of(runtime, asked),
        (Placement::Near(actor), _) => index_of(runtime, home_of(actor)),
        (Placement::Key(key), _) => Ok(by_key(key, runtime.numa_nodes())),
    }
}

/// Where an actor lives; where it was spawned, if it has stopped.
fn home_of(actor: ActorId) -> NumaNodeId {
    let cell = CellRef::of(actor);
    let home = cell.arena();
    // The place belongs to whoever lives there when it is read, so that is asked last.
    if cell.generation() == actor.generation() {
        NumaNodeId(home)
    } else {
        actor.numa_node()
    }
}

fn index_of(runtime: &Runtime, asked: NumaNodeId) -> Result<usize, SpawnError> {
    runtime
        .numa_index_of(asked)
        .ok_or_else(|| SpawnError::NoSuchNumaNode {
            asked,
            have_workers: runtime.numa_nodes().collect(),
        })
}

fn least_loaded(runtime: &Runtime) -> usize {
    let stats = runtime.scheduler().stats();
    let mut loads: Vec<Load> = stats
        .numa
        .iter()
        .map(|numa| Load {
            work: numa.queued,
            workers: 0,
            asleep: numa.asleep,
        })
        .collect();
    for worker in &stats.workers {
        let load = &mut loads[worker.numa_index];
        load.work += worker.queued;
        load.workers += 1;
    }
    lightest(&loads, runtime.next_numa_index())
}

/// What one NUMA node has to do.
struct Load {
    /// Actors that wait for a turn.
    work: usize,
    workers: usize,
    asleep: usize,
}

/// The lightest, by work per worker; the first of equals, counted from `first`.
fn lightest(loads: &[Load], first: usize) -> usize {
    let per_worker = |load: &Load| {
        let busy = load.work + load.workers.saturating_sub(load.asleep);
        // In thousandths, so that three workers with one task differ from two with one.
        busy.saturating_mul(1000) / load.workers.max(1)
    };
    (0..loads.len())
        .map(|step| (first + step) % loads.len())
        .min_by_key(|index| per_worker(&loads[*index]))
        .unwrap_or(0)
}

/// The index of the NUMA node with the highest score for the key. By number, not by index: a NUMA node
/// that goes away moves only the keys that it had.
fn by_key(key: u64, nodes: impl Iterator<Item = NumaNodeId>) -> usize {
    nodes
        .enumerate()
        .max_by_key(|(_, node)| mix(key ^ mix(u64::from(node.0) + 1)))
        .map_or(0, |(index, _)| index)
}

/// SplitMix64's finalizer (Steele, Lea and Flood, 2014): every input bit flips half of the output bits.
const fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
#[path = "placement_tests.rs"]
mod tests;

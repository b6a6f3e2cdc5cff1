//! On which NUMA node a new actor gets its home: a wish and the machine in, an index out.

use super::options::{ActorOptions, SpawnError};
use super::spawn::Parent;
use crate::cell::{CellRef, Local, Runtime};
use crate::id::{ActorId, NumaNodeId};
use crate::locality::Placement;

/// What an actor's options and its ancestors' say of its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) placement: Placement,
    /// A thread of its own.
    pub(super) dedicated: bool,
    /// What it says for those below it.
    pub(super) children: Option<Placement>,
}

impl Wish {
    pub(super) fn of(parent: Parent<'_>, options: &ActorOptions) -> Self {
        let inherited = match parent {
            Parent::Root(_) => None,
            // SAFETY: `Parent::Actor` is made by the owner of that cell only.
            Parent::Actor(cell, _) => unsafe { cell.children_placement() },
        };
        let placement = match (options.placement, inherited) {
            (Placement::Inherit, Some(subtree)) => subtree,
            (own, _) => own,
        };
        Self {
            placement,
            dedicated: options.dedicated == Some(true) || placement == Placement::Dedicated,
            children: options.children_placement.or(inherited),
        }
    }
}

/// The NUMA index that a placement means here.
pub(super) fn place(
    parent: Parent<'_>,
    runtime: &'static Runtime,
    placement: Placement,
) -> Result<usize, SpawnError> {
    match (placement, parent) {
        (Placement::Inherit | Placement::Dedicated, Parent::Actor(cell, _)) => {
            Ok(cell.numa_index())
        }
        (Placement::Inherit | Placement::Dedicated, Parent::Root(_)) => Ok(Local::current()
            .filter(|local| std::ptr::eq(local.runtime(), runtime))
            .map_or_else(|| runtime.next_numa_index(), Local::numa_index)),
        (Placement::Spread, _) => Ok(runtime.next_numa_index()),
        (Placement::LeastLoaded, _) => Ok(least_loaded(runtime)),
        (Placement::Node(asked), _) => index_of(runtime, asked),
        (Placement::Near(actor), _) => index_of(runtime, home_of(actor)),
        (Placement::Key(key), _) => Ok(by_key(key, runtime.numa_nodes())),
    }
}

/// Refuses what an actor says for those below it, now and not when the first of them is spawned.
pub(super) fn check_subtree(
    runtime: &Runtime,
    children: Option<Placement>,
) -> Result<(), SpawnError> {
    match children {
        Some(Placement::Node(asked)) => index_of(runtime, asked).map(drop),
        _ => Ok(()),
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
pub(crate) struct Load {
    /// Actors that wait for a turn.
    pub(crate) work: usize,
    pub(crate) workers: usize,
    pub(crate) asleep: usize,
}

/// The lightest, by work per worker; the first of equals, counted from `first`.
pub(crate) fn lightest(loads: &[Load], first: usize) -> usize {
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
pub(crate) fn by_key(key: u64, nodes: impl Iterator<Item = NumaNodeId>) -> usize {
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

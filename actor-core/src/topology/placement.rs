//! Where workers go: a topology and a wish in, one seat per worker out. Pure.
//!
//! Two rules hold for every wish. No CPU gets a second worker while another CPU that may be used has
//! none; and within a NUMA node workers go to separate physical cores before two share one, as two
//! SMT siblings together do little more than one of them alone.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;

use crate::id::{CpuId, NumaNodeId, WorkerId};

use super::machine::{Cpu, NumaNode, Topology};

/// How many workers a system has.
///
/// Only CPUs this process may use get workers, so NUMA nodes without such get none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Workers {
    /// One per CPU, but no more than the CPU quota of the cgroup can keep busy (2.5 CPUs are three
    /// workers); then as [`Count`](Self::Count). The default.
    ///
    /// More workers than the quota would use the time up early in each period and then stand still
    /// until the next, all at once.
    #[default]
    Auto,
    /// One per CPU, whatever the quota.
    PerCpu,
    /// One per physical core, on its first CPU. Choose it when handlers are limited by memory or
    /// vector units, which SMT siblings share.
    PerCore,
    /// So many, spread evenly over NUMA nodes; a NUMA node that has no CPU left gets no more until all
    /// are full. With more workers than CPUs, workers share CPUs.
    Count(usize),
    /// So many on each NUMA node with CPUs. With more workers than CPUs, workers share CPUs.
    PerNumaNode(usize),
}

/// The place of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seat {
    /// The worker.
    pub worker: WorkerId,
    /// The NUMA node it belongs to.
    pub numa_node: NumaNodeId,
    /// The real CPU to pin it to; `None` where threads cannot be pinned.
    ///
    /// On a pretended machine a CPU that plays a part ([`Topology::real_cpu`]).
    pub cpu: Option<CpuId>,
}

/// The most workers a system may have.
pub const WORKERS_MAX: usize = 4096;

/// One seat per worker, ordered by NUMA node, then CPU; workers are numbered in that order.
///
/// # Errors
///
/// [`PlacementError`] when that would be no worker or more than [`WORKERS_MAX`].
///
/// # Examples
///
/// ```
/// use actor_core::topology::{Topology, Workers, plan};
///
/// let machine = Topology::pretend("2x4")?;
/// let seats = plan(&machine, Workers::Count(3))?;
/// let nodes: Vec<u8> = seats.iter().map(|seat| seat.numa_node.0).collect();
/// assert_eq!(nodes, [0, 0, 1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn plan(topology: &Topology, workers: Workers) -> Result<Vec<Seat>, PlacementError> {
    let mut benches: Vec<Bench> = topology
        .numa_nodes()
        .iter()
        .map(|node| Bench::new(topology, node))
        .filter(|bench| !bench.order.is_empty())
        .collect();
    let cpus: usize = benches.iter().map(|bench| bench.order.len()).sum();
    let quota = topology
        .cpu_quota()
        .map_or(usize::MAX, |quota| quota.whole_cpus());
    let total = match workers {
        Workers::Auto => cpus.min(quota),
        Workers::PerCpu => cpus,
        Workers::PerCore => benches.iter().map(|bench| bench.cores).sum(),
        Workers::Count(count) => count,
        Workers::PerNumaNode(count) => count.saturating_mul(benches.len()),
    };
    if total == 0 {
        return Err(PlacementError::NoWorkers { asked: workers });
    }
    if total > WORKERS_MAX {
        return Err(PlacementError::TooManyWorkers {
            asked: workers,
            total,
        });
    }
    match workers {
        Workers::Auto | Workers::Count(_) => share_out(&mut benches, total),
        Workers::PerCpu => benches
            .iter_mut()
            .for_each(|bench| bench.taken = bench.order.len()),
        Workers::PerCore => benches
            .iter_mut()
            .for_each(|bench| bench.taken = bench.cores),
        Workers::PerNumaNode(count) => benches.iter_mut().for_each(|bench| bench.taken = count),
    }

    let mut seats = Vec::with_capacity(total);
    for bench in &benches {
        let mut cpus: Vec<CpuId> = bench
            .order
            .iter()
            .cycle()
            .take(bench.taken)
            .copied()
            .collect();
        cpus.sort_unstable();
        for cpu in cpus {
            seats.push(Seat {
                worker: WorkerId(seats.len() as u16), // at most `WORKERS_MAX`
                numa_node: bench.numa_node,
                cpu: topology.real_cpu(cpu),
            });
        }
    }
    Ok(seats)
}

/// The NUMA nodes in the order in which `from` should turn to them: groups of one distance each,
/// the nearest first. `from` itself comes first, alone; within a group they ascend.
///
/// # Examples
///
/// ```
/// use actor_core::id::NumaNodeId;
/// use actor_core::topology::{Topology, nearest_order};
///
/// let machine = Topology::pretend("3x1")?;
/// let order = nearest_order(&machine, NumaNodeId(1));
/// assert_eq!(order, [vec![NumaNodeId(1)], vec![NumaNodeId(0), NumaNodeId(2)]]);
/// # Ok::<(), actor_core::topology::TopologyError>(())
/// ```
pub fn nearest_order(topology: &Topology, from: NumaNodeId) -> Vec<Vec<NumaNodeId>> {
    // Firmware has been seen to call another NUMA node as near as the own one.
    let far = |id: NumaNodeId| (id != from, topology.distance(from, id));
    let mut nodes: Vec<NumaNodeId> = topology.numa_nodes().iter().map(|node| node.id).collect();
    nodes.sort_by_key(|id| (far(*id), *id));
    nodes
        .chunk_by(|a, b| far(*a) == far(*b))
        .map(<[_]>::to_vec)
        .collect()
}

/// Why workers cannot be placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlacementError {
    /// That would be no worker at all.
    NoWorkers {
        /// What was asked for.
        asked: Workers,
    },
    /// That would be more workers than [`WORKERS_MAX`].
    TooManyWorkers {
        /// What was asked for.
        asked: Workers,
        /// The number of workers it comes to on this machine.
        total: usize,
    },
}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWorkers { asked } => {
                write!(
                    f,
                    "{asked:?} is no worker at all, a system has 1 to {WORKERS_MAX}"
                )
            }
            Self::TooManyWorkers { asked, total } => write!(
                f,
                "{asked:?} comes to {total} workers, a system has 1 to {WORKERS_MAX}; \
                 ask for Count of fewer"
            ),
        }
    }
}

impl Error for PlacementError {}

/// The CPUs of one NUMA node that may be used, in the order in which they are given away.
struct Bench {
    numa_node: NumaNodeId,
    order: Vec<CpuId>,
    /// How many of the first in `order` are on cores of their own.
    cores: usize,
    taken: usize,
}

impl Bench {
    fn new(topology: &Topology, node: &NumaNode) -> Self {
        let mut seen = BTreeSet::new();
        let cpus = node
            .cpus
            .iter()
            .filter_map(|id| topology.cpu(*id))
            .filter(|cpu| cpu.allowed);
        let (mut order, siblings): (Vec<&Cpu>, Vec<&Cpu>) =
            cpus.partition(|cpu| seen.insert(cpu.core));
        let cores = order.len();
        order.extend(siblings);
        Self {
            numa_node: node.id,
            order: order.iter().map(|cpu| cpu.id).collect(),
            cores,
            taken: 0,
        }
    }
}

/// One worker at a time to the bench with the fewest laps over its CPUs, and among these to the one
/// with the fewest workers.
fn share_out(benches: &mut [Bench], total: usize) {
    for _ in 0..total {
        let next = benches
            .iter_mut()
            .min_by_key(|b| (b.taken / b.order.len(), b.taken));
        if let Some(bench) = next {
            bench.taken += 1;
        }
    }
}

#[cfg(test)]
mod tests;

//! Threads for single actors: the setting, and where they are bound.

use std::sync::Arc;

use super::builder::SystemBuilder;
use super::start_error::StartError;
use crate::id::NumaNodeId;
use crate::scheduler::{DedicatedConfig, SparePin};
use crate::topology::{Topology, affinity};

/// The most that may be asked for, of each NUMA node.
const THREADS_MAX: usize = 64;

/// What the builder was told: the most of each NUMA node.
#[derive(Clone, Copy, Debug)]
pub(super) struct DedicatedSettings(usize);

impl Default for DedicatedSettings {
    /// More of them than that are a sign of actors that should share workers, or block on blocking threads.
    fn default() -> Self {
        Self(8)
    }
}

impl SystemBuilder {
    /// The most actors of each NUMA node that have a thread of their own at a time
    /// ([`SpawnBuilder::dedicated`](crate::SpawnBuilder::dedicated)): 0 to 64. Default: 8.
    ///
    /// Threads are started when such an actor is spawned and end with it. What is not used costs about
    /// 1 KiB each.
    pub fn dedicated_threads(mut self, per_numa_node: usize) -> Self {
        self.dedicated = DedicatedSettings(per_numa_node);
        self
    }
}

impl DedicatedSettings {
    /// # Errors
    ///
    /// `Setting` for a number out of range.
    pub(super) fn check(self) -> Result<(), StartError> {
        if self.0 <= THREADS_MAX {
            return Ok(());
        }
        Err(StartError::Setting {
            setting: "dedicated_threads",
            asked: self.0.to_string(),
            allowed: format!("0 to {THREADS_MAX} per NUMA node"),
        })
    }

    /// How many there are on so many NUMA nodes.
    pub(super) const fn count(self, numa_nodes: usize) -> usize {
        self.0 * numa_nodes
    }

    pub(super) fn config(
        self,
        topology: &Topology,
        nodes: &[NumaNodeId],
        pinning: bool,
    ) -> DedicatedConfig {
        let pin = |node: &NumaNodeId| pinning.then(|| pin_to(topology, *node)).flatten();
        DedicatedConfig {
            per_numa_node: self.0,
            pins: nodes.iter().map(pin).collect(),
        }
    }
}

/// To all CPUs of a NUMA node that the process may use, those without a worker included.
fn pin_to(topology: &Topology, node: NumaNodeId) -> Option<SparePin> {
    let allowed = topology.allowed();
    let mut cpus = topology.real_cpus_of(node);
    cpus.retain(|cpu| allowed.contains(cpu));
    if cpus.is_empty() {
        return None;
    }
    Some(Arc::new(move || {
        affinity::widen_current_thread(&cpus).map_err(|error| error.to_string())
    }))
}

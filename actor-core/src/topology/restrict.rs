//! A part of a machine: the CPUs or the NUMA nodes that a system shall have. Pure.
//!
//! The rest stays in the picture, as CPUs outside of the cpuset do: not allowed, so without workers. A CPU
//! that cannot be used is an error and not left out: who names it has reason to count on it.

use std::collections::BTreeSet;

use super::cpu_list;
use super::error::TopologyError;
use super::machine::{Topology, list};
use crate::id::{CpuId, NumaNodeId};

impl Topology {
    /// The same machine, of which only these CPUs may be used: for several systems in one process, or to
    /// leave CPUs to other threads. Order and repetitions do not matter.
    ///
    /// # Errors
    ///
    /// [`TopologyError::CpusNotUsable`] names those that do not exist, are offline or lie outside of the
    /// cpuset, and those that can be used; also for no CPU at all.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    /// use actor_core::CpuId;
    /// use actor_core::topology::Topology;
    ///
    /// let machine = Topology::pretend("2x4")?;
    /// let system = ActorSystem::builder()
    ///     .topology(machine.only_cpus(&[CpuId(1), CpuId(2), CpuId(5)])?)
    ///     .build()?;
    /// assert_eq!(system.seats().len(), 3);
    ///
    /// let error = machine.only_cpus(&[CpuId(1), CpuId(9)]).unwrap_err();
    /// assert_eq!(error.to_string(), "CPU 9 does not exist; name some of 0-7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn only_cpus(&self, cpus: &[CpuId]) -> Result<Self, TopologyError> {
        let named: BTreeSet<CpuId> = cpus.iter().copied().collect();
        let (mut unknown, mut offline, mut outside) = (Vec::new(), Vec::new(), Vec::new());
        for id in &named {
            match self.cpu(*id) {
                Some(cpu) if cpu.allowed => {}
                Some(_) => outside.push(*id),
                None if self.offline().contains(id) => offline.push(*id),
                None => unknown.push(*id),
            }
        }
        if named.is_empty() || unknown.len() + offline.len() + outside.len() > 0 {
            return Err(TopologyError::CpusNotUsable {
                unknown: list(&unknown),
                offline: list(&offline),
                outside: list(&outside),
                usable: list(self.allowed()),
            });
        }
        Ok(self.narrowed(|cpu| named.contains(&cpu.id)))
    }

    /// The same machine, of which only the CPUs of these NUMA nodes may be used.
    ///
    /// Memory stays as it is: an actor's is that of its home all the same.
    ///
    /// # Errors
    ///
    /// [`TopologyError::NumaNodesNotUsable`] names those that do not exist or have no CPU that may be used,
    /// and those that do; also for no NUMA node at all.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::NumaNodeId;
    /// use actor_core::topology::Topology;
    ///
    /// let machine = Topology::pretend("2x4+1")?;
    /// assert_eq!(machine.only_numa_nodes(&[NumaNodeId(1)])?.allowed().len(), 4);
    ///
    /// let error = machine.only_numa_nodes(&[NumaNodeId(2)]).unwrap_err();
    /// assert_eq!(error.to_string(), "NUMA node 2 has no CPU; name some of 0-1");
    /// # Ok::<(), actor_core::topology::TopologyError>(())
    /// ```
    pub fn only_numa_nodes(&self, nodes: &[NumaNodeId]) -> Result<Self, TopologyError> {
        let named: BTreeSet<NumaNodeId> = nodes.iter().copied().collect();
        let is_usable = |id: &NumaNodeId| {
            self.cpus()
                .iter()
                .any(|cpu| cpu.allowed && cpu.numa_node == *id)
        };
        let (mut unknown, mut memory_only, mut outside) = (Vec::new(), Vec::new(), Vec::new());
        for id in &named {
            match self.numa_node(*id) {
                Some(_) if is_usable(id) => {}
                Some(node) if node.is_memory_only() => memory_only.push(*id),
                Some(_) => outside.push(*id),
                None => unknown.push(*id),
            }
        }
        if named.is_empty() || unknown.len() + memory_only.len() + outside.len() > 0 {
            let all = self.numa_nodes().iter().map(|node| node.id);
            let usable: Vec<NumaNodeId> = all.filter(is_usable).collect();
            return Err(TopologyError::NumaNodesNotUsable {
                unknown: numbers(&unknown),
                memory_only: numbers(&memory_only),
                outside: numbers(&outside),
                usable: numbers(&usable),
            });
        }
        Ok(self.narrowed(|cpu| named.contains(&cpu.numa_node)))
    }
}

fn numbers(nodes: &[NumaNodeId]) -> String {
    cpu_list::format(nodes.iter().map(|node| u32::from(node.0)))
}

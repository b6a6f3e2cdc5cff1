//! The doors: one constructor per provider, and `detect`, which chooses.

use std::env;
use std::path::Path;

use super::affinity;
use super::error::TopologyError;
use super::machine::{CpuPart, NumaNodePart, Parts, Pinning, Source, Topology};
use super::{hwloc, pretend, sysfs};
use crate::id::{CpuId, NumaNodeId};

/// The environment variable that makes [`Topology::detect`] pretend a machine.
pub const ENV: &str = "ACTOR_TOPOLOGY";

impl Topology {
    /// The machine this process runs on, or the one that `ACTOR_TOPOLOGY` pretends.
    ///
    /// Which source is taken, and how the cpuset, offline CPUs and the CPU quota count, is in the
    /// [module's documentation](crate::topology). What goes wrong with a real machine is
    /// reported by `tracing` and the next source is taken, down to one NUMA node with all CPUs.
    ///
    /// Call it before pinning threads: what the process may use is learned at the first call and
    /// kept, and a thread pinned before that would pass for the whole process if it is the main one.
    ///
    /// # Errors
    ///
    /// [`TopologyError::InvalidPretend`] when `ACTOR_TOPOLOGY` is set, not empty, and does not
    /// describe a machine.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::topology::Topology;
    ///
    /// let machine = Topology::detect()?;
    /// println!("{machine}");
    /// assert!(!machine.allowed().is_empty());
    /// # Ok::<(), actor_core::topology::TopologyError>(())
    /// ```
    pub fn detect() -> Result<Self, TopologyError> {
        match env::var_os(ENV) {
            // Text that is not Unicode is no description either: the parser says so.
            Some(value) if !value.is_empty() => {
                let mut machine = Self::pretend(&value.to_string_lossy());
                if let Err(TopologyError::InvalidPretend { variable, .. }) = &mut machine {
                    *variable = Some(ENV);
                }
                machine
            }
            _ => Ok(Self::detect_machine()),
        }
    }

    /// The machine below `root`, by the kernel's account in `sys/devices/system`.
    ///
    /// `root` is `/` for the running machine, or a directory with a recorded tree. What the process
    /// may use is read there too: `proc/self/status`, `proc/self/cgroup`, `sys/fs/cgroup`;
    /// where they are missing, everything is allowed.
    ///
    /// Unlike [`detect`](Self::detect) it reads the process's set of CPUs anew, as the main thread
    /// has it now.
    ///
    /// # Errors
    ///
    /// [`TopologyError`] when there is no such account below `root`, a file of it makes no sense
    /// (the error names it), or no CPU is allowed.
    pub fn from_sysfs(root: &Path) -> Result<Self, TopologyError> {
        sysfs::topology(root, None)
    }

    /// The machine that the hwloc library sees, completed from the kernel's account below `root`.
    ///
    /// hwloc itself obeys its environment variables (`HWLOC_XMLFILE` and others) and ignores
    /// `root`. Without an account below `root`, distances and memory are unknown and all CPUs
    /// hwloc lists are allowed.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Hwloc`] when the crate was built without feature `hwloc`, the library was
    /// not found then, or it discovers nothing; and those of [`from_sysfs`](Self::from_sysfs).
    pub fn from_hwloc(root: &Path) -> Result<Self, TopologyError> {
        match sysfs::topology(root, None) {
            Ok(kernel) => hwloc::topology(Some(&kernel)),
            Err(TopologyError::NotFound { .. }) => hwloc::topology(None),
            Err(error) => Err(error),
        }
    }

    /// A machine that does not exist: `2x4` has two NUMA nodes of four CPUs each.
    ///
    /// The whole form is `NODESxCPUS[+MEMORY][@DISTANCE]`: 1 to 64 NUMA nodes with 1 to 1024 CPUs
    /// each, then MEMORY (default 0; 64 NUMA nodes in all) memory-only ones, DISTANCE (10 to 254,
    /// default 20) from each to each other. Each NUMA node is a package of its own with one cache;
    /// cores have one CPU.
    ///
    /// The CPUs that the process may really use take turns in playing the pretended ones, and
    /// [`real_cpu`](Self::real_cpu) tells which. Memory is not bound.
    ///
    /// # Errors
    ///
    /// [`TopologyError::InvalidPretend`] names the value, the part at fault and its range.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::topology::Topology;
    ///
    /// let machine = Topology::pretend("2x4+1@21")?;
    /// assert!(machine.numa_nodes()[2].is_memory_only());
    ///
    /// let error = Topology::pretend("0x4").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "`0x4` does not describe a machine: the number of NUMA nodes must be 1 to 64, not 0",
    /// );
    /// # Ok::<(), actor_core::topology::TopologyError>(())
    /// ```
    pub fn pretend(value: &str) -> Result<Self, TopologyError> {
        pretend::topology(value, affinity::process_cpus().unwrap_or_default())
    }

    fn detect_machine() -> Self {
        let kernel = match sysfs::topology(Path::new("/"), affinity::process_cpus()) {
            Ok(kernel) => kernel,
            Err(error) => {
                if !matches!(error, TopologyError::NotFound { .. }) {
                    tracing::warn!(%error, "taking the machine for one NUMA node");
                }
                return Self::fallback();
            }
        };
        if !hwloc::BUILT_IN {
            return kernel;
        }
        match hwloc::topology(Some(&kernel)) {
            Ok(hwloc) if hwloc == kernel => hwloc,
            Ok(hwloc) => {
                let differences = kernel.differences(&hwloc).join("; ");
                tracing::warn!(%differences, "the kernel and hwloc differ, taking the kernel's word");
                kernel
            }
            Err(error) => {
                tracing::warn!(%error, "taking the kernel's word for the machine");
                kernel
            }
        }
    }

    /// One NUMA node with the CPUs that the operating system grants.
    fn fallback() -> Self {
        let (cpus, pinning) = match affinity::process_cpus() {
            Some(cpus) => (cpus.to_vec(), Pinning::Direct),
            None => {
                let count = std::thread::available_parallelism().map_or(1, |n| n.get());
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                ((0..count).map(CpuId).collect(), Pinning::Impossible)
            }
        };
        let part = |&id: &CpuId| CpuPart {
            id,
            numa_node: Some(NumaNodeId(0)),
            package: None,
            core: id,
            cache: None,
        };
        let parts = Parts {
            source: Source::Fallback,
            numa_nodes: vec![NumaNodePart {
                id: NumaNodeId(0),
                memory_bytes: None,
                has_memory: true,
                memory_allowed: true,
            }],
            cpus: cpus.iter().map(part).collect(),
            allowed: cpus.iter().copied().collect(),
            offline: Vec::new(),
            distances: Default::default(),
            cpu_quota: None,
            pinning,
        };
        // `process_cpus` is never an empty list, and a count is at least 1.
        Self::assemble(parts).expect("the process runs, so it has a CPU")
    }
}

#[cfg(test)]
mod tests;

//! The machine as a value. Providers hand over parts, `Topology::assemble` makes them fit.
//!
//! # Invariants of [`Topology`]
//!
//! * `numa_nodes` and `cpus` ascend by number, without repetition, and neither is empty.
//! * Each CPU's `numa_node` is in `numa_nodes`, and that one's `cpus` has the CPU.
//! * `allowed` is not empty and holds exactly the CPUs whose `allowed` is set.
//! * `distances` has one row and one column per NUMA node, in their order.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{CpuId, NumaNodeId};

use super::cpu_list;
use super::error::TopologyError;

/// A machine: NUMA nodes, CPUs, distances, and what of them this process may use.
///
/// Two topologies are equal when they describe the same machine: [`source`](Self::source) and
/// memory *sizes* are left out, as sizes change while a virtual machine runs (ballooning).
///
/// [`Display`](std::fmt::Display) draws it as a tree.
///
/// # Examples
///
/// ```
/// use actor_core::topology::Topology;
///
/// let machine = Topology::pretend("2x4")?;
/// assert_eq!(machine.numa_nodes().len(), 2);
/// assert_eq!(machine.cpus().len(), 8);
/// # Ok::<(), actor_core::topology::TopologyError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Topology {
    source: Source,
    numa_nodes: Vec<NumaNode>,
    cpus: Vec<Cpu>,
    allowed: Vec<CpuId>,
    offline: Vec<CpuId>,
    distances: Vec<u32>,
    cpu_quota: Option<CpuQuota>,
    pinning: Pinning,
}

impl Topology {
    /// Who told us. Not part of equality.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The NUMA nodes that are online, ascending by number. Never empty.
    ///
    /// Numbers may have holes: use [`numa_node`](Self::numa_node), not an index.
    pub fn numa_nodes(&self) -> &[NumaNode] {
        &self.numa_nodes
    }

    /// The NUMA node of this number, if there is one.
    pub fn numa_node(&self, id: NumaNodeId) -> Option<&NumaNode> {
        self.position(id).map(|at| &self.numa_nodes[at])
    }

    /// The CPUs that are online, allowed or not, ascending by number. Never empty.
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// The CPU of this number, if it is online.
    pub fn cpu(&self, id: CpuId) -> Option<&Cpu> {
        let at = self.cpus.binary_search_by_key(&id, |cpu| cpu.id).ok()?;
        Some(&self.cpus[at])
    }

    /// The CPUs this process may use: online and inside its cpuset. Never empty.
    pub fn allowed(&self) -> &[CpuId] {
        &self.allowed
    }

    /// The CPUs that are present but switched off.
    pub fn offline(&self) -> &[CpuId] {
        &self.offline
    }

    /// How far memory of `to` is from CPUs of `from`: 10 is local, 20 twice as slow to reach.
    ///
    /// [`DISTANCE_UNKNOWN`] when the machine does not say or one of the two does not exist.
    /// Need not be symmetric.
    pub fn distance(&self, from: NumaNodeId, to: NumaNodeId) -> u32 {
        match (self.position(from), self.position(to)) {
            (Some(from), Some(to)) => self.distances[from * self.numa_nodes.len() + to],
            _ if from == to => DISTANCE_LOCAL,
            _ => DISTANCE_UNKNOWN,
        }
    }

    /// How much CPU time the cgroup grants, where it limits that.
    ///
    /// For information, and for the number of workers of [`Workers::Auto`](super::Workers::Auto).
    pub fn cpu_quota(&self) -> Option<CpuQuota> {
        self.cpu_quota
    }

    /// The CPUs that share a physical core with `cpu`, itself included; none if it is not online.
    pub fn siblings(&self, cpu: CpuId) -> impl Iterator<Item = CpuId> + '_ {
        let core = self.cpu(cpu).map(|cpu| cpu.core);
        self.cpus
            .iter()
            .filter(move |cpu| Some(cpu.core) == core)
            .map(|cpu| cpu.id)
    }

    /// The real CPU to pin a thread to that is to run on `cpu`.
    ///
    /// `cpu` itself on a real machine; on a pretended one the CPU that plays its part. `None`
    /// where this machine's CPUs cannot be pinned to (not Linux) or `cpu` is not allowed.
    pub fn real_cpu(&self, cpu: CpuId) -> Option<CpuId> {
        let at = self.allowed.binary_search(&cpu).ok()?;
        match &self.pinning {
            Pinning::Direct => Some(cpu),
            Pinning::Stand(real) if real.is_empty() => None,
            Pinning::Stand(real) => Some(real[at % real.len()]),
            Pinning::Impossible => None,
        }
    }

    /// The real CPUs that stand for the allowed CPUs of `numa`, ascending, without repetition.
    ///
    /// What a thread's mask is widened to that serves the whole NUMA node (see
    /// [`affinity::widen_current_thread`](super::affinity::widen_current_thread)).
    pub fn real_cpus_of(&self, numa: NumaNodeId) -> Vec<CpuId> {
        let cpus = self.numa_node(numa).map_or(&[][..], |node| &node.cpus);
        let real: BTreeSet<CpuId> = cpus.iter().filter_map(|cpu| self.real_cpu(*cpu)).collect();
        real.into_iter().collect()
    }

    /// The NUMA node whose memory serves `numa`: itself if it has memory that this process may
    /// use, else the nearest that has.
    ///
    /// `None` where binding memory would be wrong: on a pretended or an unknown machine, and
    /// when no NUMA node's memory is allowed.
    pub fn memory_home(&self, numa: NumaNodeId) -> Option<NumaNodeId> {
        if matches!(self.source, Source::Pretend | Source::Fallback) {
            return None;
        }
        self.numa_nodes
            .iter()
            .filter(|node| node.has_memory && node.memory_allowed)
            .map(|node| node.id)
            .min_by_key(|id| (*id != numa, self.distance(numa, *id), *id))
    }

    /// In what two accounts of one machine differ, a sentence each; empty when they are equal.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::topology::Topology;
    ///
    /// let (a, b) = (Topology::pretend("2x4")?, Topology::pretend("2x4@21")?);
    /// assert_eq!(a.differences(&b), ["distance from numa0 to numa1: 20 or 21",
    ///                                "distance from numa1 to numa0: 20 or 21"]);
    /// # Ok::<(), actor_core::topology::TopologyError>(())
    /// ```
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let mut compare = |what: &str, a: String, b: String| {
            if a != b {
                found.push(format!("{what}: {a} or {b}"));
            }
        };
        let nodes = |t: &Self| cpu_list::format(t.numa_nodes.iter().map(|n| n.id.0.into()));
        compare("NUMA nodes", nodes(self), nodes(other));
        let cpus = |t: &Self| cpu_list::format(t.cpus.iter().map(|c| c.id.0));
        compare("online CPUs", cpus(self), cpus(other));
        compare("allowed CPUs", list(&self.allowed), list(&other.allowed));
        compare("offline CPUs", list(&self.offline), list(&other.offline));
        let quota = |t: &Self| {
            t.cpu_quota
                .map_or_else(|| "none".to_owned(), |q| format!("{:?}", q.cpus()))
        };
        compare("CPU quota", quota(self), quota(other));
        for (a, b) in self
            .numa_nodes
            .iter()
            .filter_map(|a| Some((a, other.numa_node(a.id)?)))
        {
            compare(&format!("CPUs of {}", a.id), list(&a.cpus), list(&b.cpus));
            let memory = |n: &NumaNode| match (n.has_memory, n.memory_allowed) {
                (false, _) => "none".to_owned(),
                (true, true) => "allowed".to_owned(),
                (true, false) => "not allowed".to_owned(),
            };
            compare(&format!("memory of {}", a.id), memory(a), memory(b));
        }
        let number = |n: Option<u32>| n.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
        for (a, b) in self.cpus.iter().filter_map(|a| Some((a, other.cpu(a.id)?))) {
            compare(
                &format!("package of {}", a.id),
                number(a.package),
                number(b.package),
            );
            let first = |of: CpuId| of.to_string();
            compare(
                &format!("first CPU in the core of {}", a.id),
                first(a.core),
                first(b.core),
            );
            let cache = |c: &Cpu| number(c.cache.map(|c| c.0));
            compare(
                &format!("first CPU at the cache of {}", a.id),
                cache(a),
                cache(b),
            );
        }
        for a in self.numa_nodes.iter().map(|n| n.id) {
            for b in self.numa_nodes.iter().map(|n| n.id) {
                if other.position(a).is_some() && other.position(b).is_some() {
                    let distance = |t: &Self| t.distance(a, b).to_string();
                    let what = format!("distance from {a} to {b}");
                    compare(&what, distance(self), distance(other));
                }
            }
        }
        found
    }

    /// Makes the parts fit: sorts them, gives CPUs without a NUMA node one, names groups by their
    /// first CPU, marks what is allowed.
    ///
    /// # Errors
    ///
    /// [`TopologyError::NoAllowedCpu`]: no CPU is both online and allowed.
    pub(super) fn assemble(parts: Parts) -> Result<Self, TopologyError> {
        let Parts {
            source,
            mut numa_nodes,
            mut cpus,
            allowed,
            mut offline,
            ..
        } = parts;
        numa_nodes.sort_by_key(|node| node.id);
        numa_nodes.dedup_by_key(|node| node.id);
        cpus.sort_by_key(|cpu| cpu.id);
        cpus.dedup_by_key(|cpu| cpu.id);
        offline.sort_unstable();
        if numa_nodes.is_empty() {
            // A kernel without CONFIG_NUMA, or a container that hides the directory: one NUMA
            // node with all there is.
            numa_nodes.push(NumaNodePart {
                id: NumaNodeId(0),
                memory_bytes: None,
                has_memory: true,
                memory_allowed: true,
            });
        }

        let known: BTreeSet<NumaNodeId> = numa_nodes.iter().map(|node| node.id).collect();
        let core_home: BTreeMap<CpuId, NumaNodeId> = cpus
            .iter()
            .filter_map(|cpu| Some((cpu.core, cpu.numa_node?)))
            .collect();
        let home = |cpu: &CpuPart| {
            // Kernels leave CPUs of a NUMA node without memory out of every list (some virtual
            // machines, some POWER machines): a CPU of the same core knows, else the first.
            let node = cpu.numa_node.or_else(|| core_home.get(&cpu.core).copied());
            node.filter(|id| known.contains(id))
                .unwrap_or(numa_nodes[0].id)
        };
        let cpus: Vec<Cpu> = cpus
            .iter()
            .map(|cpu| Cpu {
                id: cpu.id,
                numa_node: home(cpu),
                package: cpu.package,
                core: cpu.core,
                cache: cpu.cache,
                allowed: allowed.contains(&cpu.id),
            })
            .collect();
        let granted: Vec<CpuId> = cpus.iter().filter(|c| c.allowed).map(|c| c.id).collect();
        if granted.is_empty() {
            return Err(TopologyError::NoAllowedCpu {
                online: cpu_list::format(cpus.iter().map(|cpu| cpu.id.0)),
                allowed: cpu_list::format(allowed.iter().map(|cpu| cpu.0)),
            });
        }
        let distances = numa_nodes
            .iter()
            .flat_map(|from| numa_nodes.iter().map(move |to| (from.id, to.id)))
            .map(|(from, to)| match parts.distances.get(&(from, to)) {
                Some(distance) => *distance,
                None if from == to => DISTANCE_LOCAL,
                None => DISTANCE_UNKNOWN,
            })
            .collect();
        let numa_nodes = numa_nodes
            .into_iter()
            .map(|node| NumaNode {
                id: node.id,
                cpus: cpus
                    .iter()
                    .filter(|c| c.numa_node == node.id)
                    .map(|c| c.id)
                    .collect(),
                memory_bytes: node.memory_bytes,
                has_memory: node.has_memory,
                memory_allowed: node.memory_allowed,
            })
            .collect();
        Ok(Self {
            source,
            numa_nodes,
            cpus,
            allowed: granted,
            offline,
            distances,
            cpu_quota: parts.cpu_quota,
            pinning: parts.pinning,
        })
    }

    /// The same machine, of whose allowed CPUs only those stay allowed that `keep` picks: at least one.
    pub(super) fn narrowed(&self, keep: impl Fn(&Cpu) -> bool) -> Self {
        let mut narrow = self.clone();
        for cpu in &mut narrow.cpus {
            cpu.allowed = cpu.allowed && keep(cpu);
        }
        let stays = |id: &CpuId| narrow.cpu(*id).is_some_and(|cpu| cpu.allowed);
        let allowed: Vec<CpuId> = self.allowed.iter().copied().filter(stays).collect();
        // Who plays a CPU goes on playing it.
        if self.stand_ins().is_some() {
            let played = allowed.iter().filter_map(|cpu| self.real_cpu(*cpu));
            narrow.pinning = Pinning::Stand(played.collect());
        }
        narrow.allowed = allowed;
        narrow
    }

    /// The real CPUs that play this machine's; `None` when it is not pretended.
    pub(super) fn stand_ins(&self) -> Option<&[CpuId]> {
        match &self.pinning {
            Pinning::Stand(real) => Some(real),
            Pinning::Direct | Pinning::Impossible => None,
        }
    }

    /// Whether threads can be pinned to this machine's CPUs at all.
    pub(super) fn can_pin(&self) -> bool {
        !matches!(self.pinning, Pinning::Impossible) && self.stand_ins() != Some(&[])
    }

    fn position(&self, id: NumaNodeId) -> Option<usize> {
        self.numa_nodes
            .binary_search_by_key(&id, |node| node.id)
            .ok()
    }
}

impl PartialEq for Topology {
    fn eq(&self, other: &Self) -> bool {
        // Spelled out, so that a new field has to be thought of here.
        let Self {
            source: _,
            numa_nodes,
            cpus,
            allowed,
            offline,
            distances,
            cpu_quota,
            pinning,
        } = self;
        *numa_nodes == other.numa_nodes
            && *cpus == other.cpus
            && *allowed == other.allowed
            && *offline == other.offline
            && *distances == other.distances
            && *cpu_quota == other.cpu_quota
            && *pinning == other.pinning
    }
}

impl Eq for Topology {}

/// One memory domain and the CPUs next to it.
///
/// Equality leaves [`memory_bytes`](Self::memory_bytes) out: sizes change while a machine runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NumaNode {
    /// The operating system's number.
    pub id: NumaNodeId,
    /// Its CPUs that are online, allowed or not, ascending; empty for a memory-only NUMA node.
    pub cpus: Vec<CpuId>,
    /// The size of its memory in bytes when it was read, for information; `None` if unknown.
    pub memory_bytes: Option<u64>,
    /// Whether it has memory; `true` if unknown.
    pub has_memory: bool,
    /// Whether the cpuset lets this process allocate here.
    pub memory_allowed: bool,
}

impl NumaNode {
    /// Whether it is memory without a CPU beside it (CXL, HBM).
    pub fn is_memory_only(&self) -> bool {
        self.cpus.is_empty()
    }
}

impl PartialEq for NumaNode {
    fn eq(&self, other: &Self) -> bool {
        let Self {
            id,
            cpus,
            memory_bytes: _,
            has_memory,
            memory_allowed,
        } = self;
        *id == other.id
            && *cpus == other.cpus
            && *has_memory == other.has_memory
            && *memory_allowed == other.memory_allowed
    }
}

impl Eq for NumaNode {}

/// One CPU (a hardware thread) that is online.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cpu {
    /// The operating system's number.
    pub id: CpuId,
    /// The NUMA node beside it.
    pub numa_node: NumaNodeId,
    /// The socket, by the operating system's number; `None` where it is not told.
    pub package: Option<u32>,
    /// The physical core, named by its first online CPU. CPUs of one core are SMT siblings.
    pub core: CpuId,
    /// The last-level cache, named by its first online CPU; `None` where it is not told.
    pub cache: Option<CpuId>,
    /// Whether this process may run here.
    pub allowed: bool,
}

/// CPU time a cgroup grants: so much in each period, whatever the number of CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuQuota {
    quota_us: u64,
    period_us: u64,
}

impl CpuQuota {
    /// `None` for a period of zero.
    pub(super) fn new(quota_us: u64, period_us: u64) -> Option<Self> {
        (period_us > 0).then_some(Self {
            quota_us,
            period_us,
        })
    }

    /// The quota in CPUs, such as 2.5.
    pub fn cpus(self) -> f64 {
        self.quota_us as f64 / self.period_us as f64
    }

    /// The quota in whole CPUs, rounded up, at least 1: so many workers can use it up.
    pub fn whole_cpus(self) -> usize {
        let whole = self.quota_us.div_ceil(self.period_us).max(1);
        usize::try_from(whole).unwrap_or(usize::MAX)
    }
}

/// Who described the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// The kernel, in `/sys/devices/system`.
    Sysfs,
    /// The hwloc library, and the kernel where that cannot tell.
    Hwloc,
    /// A description such as `2x4`: the machine does not exist.
    Pretend,
    /// Nobody: one NUMA node with the CPUs the operating system grants.
    Fallback,
}

/// The distance of a NUMA node to itself, by definition (ACPI SLIT).
pub const DISTANCE_LOCAL: u32 = 10;

/// The distance between NUMA nodes of which none is told: the kernel's `REMOTE_DISTANCE`.
pub const DISTANCE_UNKNOWN: u32 = 20;

/// What a provider found out, before it is made to fit.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) source: Source,
    pub(super) numa_nodes: Vec<NumaNodePart>,
    pub(super) cpus: Vec<CpuPart>,
    pub(super) allowed: BTreeSet<CpuId>,
    pub(super) offline: Vec<CpuId>,
    pub(super) distances: BTreeMap<(NumaNodeId, NumaNodeId), u32>,
    pub(super) cpu_quota: Option<CpuQuota>,
    pub(super) pinning: Pinning,
}

#[derive(Debug)]
pub(super) struct NumaNodePart {
    pub(super) id: NumaNodeId,
    pub(super) memory_bytes: Option<u64>,
    pub(super) has_memory: bool,
    pub(super) memory_allowed: bool,
}

#[derive(Debug)]
pub(super) struct CpuPart {
    pub(super) id: CpuId,
    pub(super) numa_node: Option<NumaNodeId>,
    pub(super) package: Option<u32>,
    pub(super) core: CpuId,
    pub(super) cache: Option<CpuId>,
}

/// How this machine's CPUs are reached by threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pinning {
    /// They are the real ones.
    Direct,
    /// These real CPUs take turns in playing them.
    Stand(Vec<CpuId>),
    /// The operating system has no way.
    Impossible,
}

/// The CPUs in the kernel's list format.
pub(super) fn list(cpus: &[CpuId]) -> String {
    cpu_list::format(cpus.iter().map(|cpu| cpu.0))
}

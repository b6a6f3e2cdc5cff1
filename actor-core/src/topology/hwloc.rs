//! hwloc's account, through the crate `hwloc2`: read once, copied to plain numbers, dropped.
//!
//! That crate is from 2020 and its safe functions can break memory. Only those named here are
//! used; before adding one, read its source:
//!
//! | used | why it holds |
//! |---|---|
//! | `Topology::{new, with_flags}` | init, load, destroyed on drop |
//! | `objects_with_type(PU)` | the PU level always exists |
//! | `parent`, `object_type`, `os_index` | fields that outlive the borrow, no ownership |
//! | `cpuset`, `nodeset` | a view without a lifetime: used up inside `bits`, while the topology lives |
//!
//! | avoided | what it does |
//! |---|---|
//! | `Display` of an object | writes 2 KB into a buffer of one byte |
//! | `name` | frees hwloc's own string, or follows a null pointer |
//! | keeping what `cpuset` returns | use after free |
//! | `objects_with_type(NUMANode)`, `objects_at_depth` of it | panics |
//! | `support().memory()` | fields shifted by one |
//! | `set_cpubind` | says `Ok` and does nothing under an XML or synthetic topology |
//!
//! So NUMA nodes are known by what CPUs say they are near. Near a memory-only NUMA node a CPU names
//! two; its home is the one the kernel says, or the lower number without the kernel (firmware
//! lists memory with CPUs first). Distances and memory are the kernel's.
//!
//! hwloc itself obeys `HWLOC_XMLFILE`, `HWLOC_SYNTHETIC` and `HWLOC_FSROOT`; a file that does not
//! exist makes it look at the running machine without a word.

/// Whether this build can ask hwloc.
pub(super) const BUILT_IN: bool = cfg!(have_hwloc);

#[cfg(not(have_hwloc))]
pub(super) use absent::topology;
#[cfg(have_hwloc)]
pub(super) use built_in::topology;

#[cfg(have_hwloc)]
mod built_in {
    use std::collections::{BTreeMap, BTreeSet};

    use hwloc2::{Bitmap, ObjectType, TopologyFlag, TopologyObject};

    use crate::id::{CpuId, NumaNodeId};
    use crate::topology::cpu_list::CPUS_MAX;
    use crate::topology::error::TopologyError;
    use crate::topology::machine::{CpuPart, NumaNodePart, Parts, Pinning, Source, Topology};

    /// hwloc's account of the machine, completed from the kernel's where there is one.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Hwloc`] when it finds nothing, or numbers that cannot be.
    pub(in crate::topology) fn topology(
        kernel: Option<&Topology>,
    ) -> Result<Topology, TopologyError> {
        // Once with what the cpuset forbids, for the picture, and once without.
        let all = Facts::read(vec![TopologyFlag::IncludeDisallowed])?;
        let allowed = Facts::read(Vec::new())?;
        Topology::assemble(all.parts(&allowed, kernel))
    }

    /// What hwloc said, in numbers of the operating system.
    struct Facts {
        pus: BTreeMap<CpuId, Pu>,
        /// Every NUMA node that exists, with or without CPUs.
        numa_nodes: BTreeSet<NumaNodeId>,
    }

    struct Pu {
        near: BTreeSet<NumaNodeId>,
        package: Option<u32>,
        core: CpuId,
        cache: Option<CpuId>,
    }

    impl Facts {
        fn read(flags: Vec<TopologyFlag>) -> Result<Self, TopologyError> {
            let failed = |reason| TopologyError::Hwloc { reason };
            let Some(hwloc) = hwloc2::Topology::with_flags(flags) else {
                return Err(failed("discovery failed"));
            };
            let Ok(objects) = hwloc.objects_with_type(&ObjectType::PU) else {
                return Err(failed("it lists no CPUs"));
            };
            let mut facts = Self {
                pus: BTreeMap::new(),
                numa_nodes: BTreeSet::new(),
            };
            for pu in objects {
                if pu.os_index() >= CPUS_MAX {
                    return Err(failed("it names a CPU of a number above 8191"));
                }
                let id = CpuId(pu.os_index());
                let mut found = Pu {
                    near: numa_nodes(pu)?,
                    package: None,
                    core: id,
                    cache: None,
                };
                let mut above = pu.parent();
                let mut top = pu;
                while let Some(object) = above {
                    let first = || bits(object.cpuset(), CPUS_MAX).first().copied().map(CpuId);
                    match object.object_type() {
                        ObjectType::Core => found.core = first().unwrap_or(id),
                        // Going up, the last cache seen is the last level.
                        ObjectType::L1Cache
                        | ObjectType::L2Cache
                        | ObjectType::L3Cache
                        | ObjectType::L4Cache
                        | ObjectType::L5Cache => found.cache = first(),
                        // All ones is hwloc's "unknown".
                        ObjectType::Package if object.os_index() != u32::MAX => {
                            found.package = Some(object.os_index());
                        }
                        _ => {}
                    }
                    top = object;
                    above = object.parent();
                }
                facts.numa_nodes.extend(numa_nodes(top)?);
                facts.pus.insert(id, found);
            }
            Ok(facts)
        }

        fn parts(&self, allowed: &Self, kernel: Option<&Topology>) -> Parts {
            let numa_nodes = self.numa_nodes.iter().map(|&id| {
                let told = kernel.and_then(|kernel| kernel.numa_node(id));
                NumaNodePart {
                    id,
                    memory_bytes: told.and_then(|node| node.memory_bytes),
                    has_memory: told.is_none_or(|node| node.has_memory),
                    memory_allowed: allowed.numa_nodes.contains(&id)
                        && told.is_none_or(|node| node.memory_allowed),
                }
            });
            let cpus = self.pus.iter().map(|(&id, pu)| {
                let told = kernel
                    .and_then(|kernel| kernel.cpu(id))
                    .map(|cpu| cpu.numa_node);
                let home = told.filter(|home| pu.near.contains(home));
                CpuPart {
                    id,
                    // A CPU near no memory names nothing: then the kernel's word, if it has one.
                    numa_node: home.or_else(|| pu.near.first().copied()).or(told),
                    package: pu.package,
                    core: pu.core,
                    cache: pu.cache,
                }
            });
            // hwloc knows the cpuset, not the mask of `taskset`: the kernel's account has both.
            let granted = allowed.pus.keys().copied();
            let granted = granted.filter(|cpu| {
                kernel.is_none_or(|kernel| kernel.allowed().binary_search(cpu).is_ok())
            });
            let nodes: Vec<NumaNodeId> = kernel
                .iter()
                .flat_map(|k| k.numa_nodes())
                .map(|node| node.id)
                .collect();
            let pairs = nodes
                .iter()
                .flat_map(|a| nodes.iter().map(move |b| (*a, *b)));
            Parts {
                source: Source::Hwloc,
                numa_nodes: numa_nodes.collect(),
                cpus: cpus.collect(),
                allowed: granted.collect(),
                offline: kernel.map_or_else(Vec::new, |kernel| kernel.offline().to_vec()),
                distances: kernel.map_or_else(BTreeMap::new, |kernel| {
                    pairs
                        .map(|(a, b)| ((a, b), kernel.distance(a, b)))
                        .collect()
                }),
                cpu_quota: kernel.and_then(Topology::cpu_quota),
                pinning: Pinning::Direct,
            }
        }
    }

    fn numa_nodes(object: &TopologyObject) -> Result<BTreeSet<NumaNodeId>, TopologyError> {
        let numbers = bits(object.nodeset(), CPUS_MAX).into_iter();
        let nodes = numbers.map(|number| u8::try_from(number).map(NumaNodeId));
        nodes
            .collect::<Result<_, _>>()
            .map_err(|_| TopologyError::Hwloc {
                reason: "it names a NUMA node of a number above 255",
            })
    }

    /// The numbers in a set, which must still belong to a living topology; at most `limit` of
    /// them, as a set may be infinite.
    fn bits(set: Option<Bitmap>, limit: u32) -> Vec<u32> {
        set.into_iter().flatten().take(limit as usize).collect()
    }
}

#[cfg(not(have_hwloc))]
mod absent {
    use crate::topology::error::TopologyError;
    use crate::topology::machine::Topology;

    /// The same door, always shut.
    pub(in crate::topology) fn topology(
        _kernel: Option<&Topology>,
    ) -> Result<Topology, TopologyError> {
        let reason = if cfg!(feature = "hwloc") {
            "the library was not found when this program was built"
        } else {
            "this program was built without feature `hwloc`"
        };
        Err(TopologyError::Hwloc { reason })
    }
}

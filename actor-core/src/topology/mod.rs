//! What the machine looks like, and where workers go.
//!
//! A [`Topology`] is a plain value: NUMA nodes, their CPUs, the distances between them, and the
//! CPUs this process may use. It is read once, when a system starts; everything above this floor
//! works on the value, so the same code runs on a laptop, on a machine with eight NUMA nodes, on
//! a recorded tree in a test and on a pretended machine.
//!
//! # Where it comes from
//!
//! [`Topology::detect`] takes the first that applies:
//!
//! 1. the environment variable `ACTOR_TOPOLOGY`, when it is set and not empty: a pretended
//!    machine such as `2x4` (grammar: [`Topology::pretend`]);
//! 2. the hwloc library, when the crate was built with feature `hwloc` and the library was found
//!    then (see `build.rs`), checked against 3; what hwloc's safe binding cannot tell (distances,
//!    memory sizes, the home of CPUs near a memory-only NUMA node) comes from 3. Where the two
//!    differ, a warning says in what, and 3 is used: it is the kernel that pins and places;
//! 3. the kernel's account in `/sys/devices/system/{cpu,node}`;
//! 4. one NUMA node with the CPUs the operating system grants us (no `/sys`, or not Linux).
//!
//! # What counts
//!
//! * **Offline CPUs** are on no NUMA node and get no worker; [`Topology::offline`] lists them.
//! * **Numbers have holes.** CPUs and NUMA nodes keep the kernel's numbers; no code may use
//!   them as indices.
//! * **The cpuset** (cgroup v1 or v2, `taskset`, a container engine): CPUs outside it are part of
//!   the picture but not [`allowed`](Cpu::allowed), and get no worker. The process's set is read
//!   once, at first use, and kept: a pinned thread and the threads it starts see one CPU only.
//!   Detect before you pin. CPUs that appear later (hotplug, a widened cpuset) are not noticed;
//!   one that goes away while a system runs is, see [`SystemRef::lost_pins`](crate::SystemRef::lost_pins).
//! * **The memory nodes of the cpuset** (`Mems_allowed_list`) are [`NumaNode::memory_allowed`].
//! * **The CPU quota** (`cpu.max`, `cpu.cfs_quota_us`) takes no CPU away but makes the
//!   default number of workers smaller ([`Workers::Auto`]): 2.5 CPUs' worth of time is three workers.
//! * **A NUMA node without CPUs** (CXL, HBM) gets no worker; **one without memory** gets workers,
//!   and [`Topology::memory_home`] names the nearest that has memory.
//!
//! # Files
//!
//! `machine` is the value, `display` draws it, `detect` is the door, `restrict` takes a part of it. `sysfs`, `cgroup`, `hwloc`
//! and `pretend` each make or feed one. [`plan`] and [`nearest_order`] are pure. `affinity` is the
//! only file with system calls and `unsafe`.

pub mod affinity;
mod cgroup;
pub mod cpu_list;
mod detect;
mod display;
mod error;
mod hwloc;
mod machine;
mod placement;
mod pretend;
mod restrict;
mod sysfs;
#[cfg(test)]
mod test_tree;

pub use affinity::PinError;
pub use cpu_list::CpuListError;
pub use detect::ENV;
pub use error::{PretendReason, TopologyError};
pub use machine::{Cpu, CpuQuota, DISTANCE_LOCAL, DISTANCE_UNKNOWN, NumaNode, Source, Topology};
pub use placement::{PlacementError, Seat, WORKERS_MAX, Workers, nearest_order, plan};

/// The limit on this process's memory by its control groups, in bytes.
pub(crate) fn memory_limit() -> Option<u64> {
    cgroup::memory_limit(std::path::Path::new("/"))
}

//! The kernel's account: `sys/devices/system/{cpu,node}` and `proc/self/status` below a *given*
//! root, so that recorded trees can be read as well as the running machine.
//!
//! What kernels do that a reader must know (each is in a fixture of `tests/topology.rs`):
//!
//! * a list may be empty (one newline) or `(null)`;
//! * `node*/distance` has one column per *online* NUMA node, not per number;
//! * an offline CPU keeps its directory, without `topology/` or `cache/`, and is in no `cpulist`;
//! * following the links between `cpu*` and `node*` leads round in circles: nothing here walks
//!   directories, every path is made from a number of a list.
//!
//! A file that is missing or hidden (sandboxes forbid reading some) means "not told", and the
//! documented default applies. A file that is there and makes no sense is an error: guessing would
//! put memory in the wrong place without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::id::{CpuId, NumaNodeId};

use super::cgroup;
use super::cpu_list::{self, CPUS_MAX};
use super::error::{TopologyError, shortened};
use super::machine::{CpuPart, NumaNodePart, Parts, Pinning, Source, Topology};

/// The machine below `root`.
///
/// `process` are the CPUs this process may use, when known better than by the tree (the running
/// machine); else `proc/self/status` and the cgroup files of the tree say it.
pub(super) fn topology(root: &Path, process: Option<&[CpuId]>) -> Result<Topology, TopologyError> {
    let cpu_dir = root.join("sys/devices/system/cpu");
    let online_path = cpu_dir.join("online");
    let Some(online) = read_list(&online_path, CPUS_MAX)? else {
        return Err(TopologyError::NotFound { path: online_path });
    };
    let online: BTreeSet<u32> = online.into_iter().collect();
    if online.is_empty() {
        return Err(inconsistent(&online_path, "", "at least one CPU"));
    }
    let present = read_list(&cpu_dir.join("present"), CPUS_MAX)?.unwrap_or_default();
    let offline = present
        .into_iter()
        .filter(|cpu| !online.contains(cpu))
        .map(CpuId);

    let status = read(&root.join("proc/self/status"))?.unwrap_or_default();
    let limits = cgroup::limits(root)?;
    let allowed: BTreeSet<CpuId> = match process {
        Some(process) => process.iter().copied().collect(),
        None => {
            let status = status_list(root, &status, "Cpus_allowed_list:", CPUS_MAX)?;
            let set = |list: Vec<u32>| list.into_iter().map(CpuId).collect::<BTreeSet<_>>();
            match (status.map(set), limits.cpus.map(set)) {
                (Some(affinity), Some(cpuset)) => &affinity & &cpuset,
                (Some(one), None) | (None, Some(one)) => one,
                (None, None) => online.iter().copied().map(CpuId).collect(),
            }
        }
    };
    let memory_allowed = match status_list(root, &status, "Mems_allowed_list:", NODE_LIST_MAX)? {
        Some(nodes) => Some(nodes),
        None => limits.memory_nodes,
    };

    let nodes = read_nodes(&root.join("sys/devices/system/node"), &online)?;
    let numa_nodes = nodes.nodes.iter().map(|node| NumaNodePart {
        id: node.id,
        memory_bytes: node.memory_bytes,
        has_memory: node.has_memory,
        memory_allowed: memory_allowed
            .as_ref()
            .is_none_or(|allowed| allowed.contains(&node.id.0.into())),
    });
    Topology::assemble(Parts {
        source: Source::Sysfs,
        numa_nodes: numa_nodes.collect(),
        cpus: read_cpus(&cpu_dir, &online, &nodes.home)?,
        allowed,
        offline: offline.collect(),
        distances: nodes.distances,
        cpu_quota: limits.quota,
        pinning: Pinning::Direct,
    })
}

struct Nodes {
    nodes: Vec<Node>,
    home: BTreeMap<u32, NumaNodeId>,
    distances: BTreeMap<(NumaNodeId, NumaNodeId), u32>,
}

struct Node {
    id: NumaNodeId,
    memory_bytes: Option<u64>,
    has_memory: bool,
}

fn read_nodes(dir: &Path, online_cpus: &BTreeSet<u32>) -> Result<Nodes, TopologyError> {
    // A kernel without CONFIG_NUMA has no such directory, a container may hide it.
    let online = read_list(&dir.join("online"), NODES_MAX)?.unwrap_or_default();
    let ids: Vec<NumaNodeId> = online
        .iter()
        .filter_map(|id| u8::try_from(*id).ok()) // all of them: `NODES_MAX`
        .map(NumaNodeId)
        .collect();
    let with_memory = read_list(&dir.join("has_memory"), NODES_MAX)?;
    let mut found = Nodes {
        nodes: Vec::new(),
        home: BTreeMap::new(),
        distances: BTreeMap::new(),
    };
    for &id in &ids {
        let dir = dir.join(format!("node{}", id.0));
        let cpulist = dir.join("cpulist");
        for cpu in read_list(&cpulist, CPUS_MAX)?.unwrap_or_default() {
            if online_cpus.contains(&cpu)
                && let Some(other) = found.home.insert(cpu, id)
            {
                let expected = format!("no CPU of {other}");
                return Err(inconsistent(&cpulist, &format!("cpu{cpu}"), &expected));
            }
        }
        let path = dir.join("distance");
        if let Some(text) = read(&path)? {
            let row: Option<Vec<u32>> = text.split_whitespace().map(distance).collect();
            let Some(row) = row.filter(|row| row.len() == ids.len()) else {
                let expected = format!("{} numbers of 0 to 255", ids.len());
                return Err(inconsistent(&path, &text, &expected));
            };
            for (to, distance) in ids.iter().zip(row) {
                found.distances.insert((id, *to), distance);
            }
        }
        let memory_bytes = read_memory(&dir.join("meminfo"))?;
        let has_memory = match &with_memory {
            Some(list) => list.contains(&id.0.into()),
            None => memory_bytes != Some(0),
        };
        found.nodes.push(Node {
            id,
            memory_bytes,
            has_memory,
        });
    }
    Ok(found)
}

/// `MemTotal` of a `node*/meminfo`: `Node 0 MemTotal:  33554432 kB`.
fn read_memory(path: &Path) -> Result<Option<u64>, TopologyError> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    let Some(line) = text.lines().find(|line| line.contains("MemTotal:")) else {
        return Ok(None);
    };
    let kib = line
        .split_whitespace()
        .nth(3)
        .and_then(|kib| kib.parse::<u64>().ok());
    match kib.and_then(|kib| kib.checked_mul(1024)) {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(inconsistent(path, line, "`Node N MemTotal: NUMBER kB`")),
    }
}

fn read_cpus(
    dir: &Path,
    online: &BTreeSet<u32>,
    home: &BTreeMap<u32, NumaNodeId>,
) -> Result<Vec<CpuPart>, TopologyError> {
    // One file tells of a whole group: 256 CPUs with 16 caches are 16 reads, not 256.
    let mut core = BTreeMap::<u32, u32>::new();
    let mut cache = BTreeMap::<u32, Option<u32>>::new();
    let mut cpus = Vec::with_capacity(online.len());
    for &cpu in online {
        let dir = dir.join(format!("cpu{cpu}"));
        if !core.contains_key(&cpu) {
            // `core_cpus_list` since 5.2, with the old name kept beside it.
            let path = dir.join("topology/thread_siblings_list");
            let group = read_list(&path, CPUS_MAX)?.unwrap_or_default();
            for member in group_of(cpu, &group, online) {
                core.entry(member).or_insert(cpu);
            }
        }
        if !cache.contains_key(&cpu) {
            let group = read_last_level_cache(&dir.join("cache"))?;
            let first = group.as_ref().map(|_| cpu);
            for member in group_of(cpu, &group.unwrap_or_default(), online) {
                cache.entry(member).or_insert(first);
            }
        }
        let path = dir.join("topology/physical_package_id");
        let package = match read(&path)? {
            // -1 where the firmware does not say (some arm64 machines).
            Some(text) => match text.trim().parse::<i64>() {
                Ok(id) => u32::try_from(id).ok(),
                Err(_) => return Err(inconsistent(&path, &text, "a number")),
            },
            None => None,
        };
        cpus.push(CpuPart {
            id: CpuId(cpu),
            numa_node: home.get(&cpu).copied(),
            package,
            core: CpuId(core.get(&cpu).copied().unwrap_or(cpu)),
            cache: cache.get(&cpu).copied().flatten().map(CpuId),
        });
    }
    Ok(cpus)
}

/// The CPUs of the data or unified cache of the highest level, below a `cpu*/cache`.
fn read_last_level_cache(dir: &Path) -> Result<Option<Vec<u32>>, TopologyError> {
    let mut best: Option<(u32, Vec<u32>)> = None;
    for index in 0..CACHES_MAX {
        let dir = dir.join(format!("index{index}"));
        let path = dir.join("level");
        let Some(text) = read(&path)? else {
            break; // they are numbered without holes
        };
        let Ok(level) = text.trim().parse::<u32>() else {
            return Err(inconsistent(&path, &text, "a number"));
        };
        if read(&dir.join("type"))?.is_some_and(|kind| kind.trim() == "Instruction") {
            continue;
        }
        if best.as_ref().is_none_or(|(highest, _)| level > *highest)
            && let Some(shared) = read_list(&dir.join("shared_cpu_list"), CPUS_MAX)?
        {
            best = Some((level, shared));
        }
    }
    Ok(best.map(|(_, shared)| shared))
}

/// The online CPUs of a group that `cpu` was found in, itself always included.
fn group_of<'a>(
    cpu: u32,
    group: &'a [u32],
    online: &'a BTreeSet<u32>,
) -> impl Iterator<Item = u32> + 'a {
    let others = group
        .iter()
        .copied()
        .filter(move |other| *other != cpu && online.contains(other));
    std::iter::once(cpu).chain(others)
}

/// A list of a line such as `Cpus_allowed_list: 0-3` in `proc/self/status`.
fn status_list(
    root: &Path,
    status: &str,
    key: &str,
    limit: u32,
) -> Result<Option<Vec<u32>>, TopologyError> {
    let Some(value) = status.lines().find_map(|line| line.strip_prefix(key)) else {
        return Ok(None);
    };
    let list = cpu_list::parse(value, limit).map_err(|reason| TopologyError::InvalidList {
        path: root.join("proc/self/status"),
        reason,
    })?;
    Ok(Some(list))
}

/// The list in a file; `None` if there is no such file.
pub(super) fn read_list(path: &Path, limit: u32) -> Result<Option<Vec<u32>>, TopologyError> {
    let Some(text) = read(path)? else {
        return Ok(None);
    };
    match cpu_list::parse(&text, limit) {
        Ok(list) => Ok(Some(list)),
        Err(reason) => Err(TopologyError::InvalidList {
            path: path.to_owned(),
            reason,
        }),
    }
}

/// The text of a file; `None` if it does not exist or is hidden from us.
pub(super) fn read(path: &Path) -> Result<Option<String>, TopologyError> {
    use io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};

    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes)) {
        // What is not text makes no number either: the parser will say so.
        Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if matches!(e.kind(), NotFound | NotADirectory | PermissionDenied) => Ok(None),
        Err(e) => Err(TopologyError::Unreadable {
            path: path.to_owned(),
            kind: e.kind(),
        }),
    }
}

pub(super) fn inconsistent(path: &Path, value: &str, expected: &str) -> TopologyError {
    TopologyError::Inconsistent {
        path: path.to_owned(),
        value: shortened(value),
        expected: expected.to_owned(),
    }
}

fn distance(text: &str) -> Option<u32> {
    text.parse::<u8>().ok().map(u32::from)
}

/// `NumaNodeId` is a byte. Linux can count to 1024 (`CONFIG_NODES_SHIFT=10`); a machine that
/// does gets an error that says so.
const NODES_MAX: u32 = 256;

/// What a list of allowed memory nodes may name: they need not exist.
const NODE_LIST_MAX: u32 = 1024;

/// Real machines have four or five.
const CACHES_MAX: u32 = 16;

/// None of these files is near it (`mountinfo` with thousands of mounts is the largest).
const FILE_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests;

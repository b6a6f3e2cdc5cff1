//! What the control groups of this process leave to it: CPUs, memory nodes, CPU time.
//!
//! Both versions of the interface are in use, at times on one machine: version 1 with a hierarchy
//! per controller, version 2 with one for all. `proc/self/cgroup` names our group in each hierarchy
//! and `proc/self/mountinfo` where it is mounted; inside a container the mount may show only a
//! part of the hierarchy. A quota holds for everything below it, so the smallest on the way up to
//! the mount point counts; above it we cannot see.
//!
//! Without these two files (a recorded tree) the root of a version 2 hierarchy at `sys/fs/cgroup`
//! is taken for our group.

use std::path::{Path, PathBuf};

use super::cpu_list::CPUS_MAX;
use super::error::TopologyError;
use super::machine::CpuQuota;
use super::sysfs::{inconsistent, read, read_list};

/// What the groups say; `None` where they say nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) cpus: Option<Vec<u32>>,
    pub(super) memory_nodes: Option<Vec<u32>>,
    pub(super) quota: Option<CpuQuota>,
}

/// The limits of the process whose `proc/self` lies below `root`.
pub(super) fn limits(root: &Path) -> Result<Limits, TopologyError> {
    let mut limits = Limits::default();
    let groups = read(&root.join("proc/self/cgroup"))?.unwrap_or_else(|| "0::/".to_owned());
    let mounts = read(&root.join("proc/self/mountinfo"))?
        .unwrap_or_else(|| "0 0 0:0 / /sys/fs/cgroup ro - cgroup2 cgroup2 ro".to_owned());
    let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(Mount::parse).collect();

    for (controllers, group) in groups.lines().filter_map(membership) {
        let find = |controller: &str| {
            let mount = mounts.iter().find(|mount| match controllers {
                "" => mount.kind == "cgroup2",
                _ => mount.kind == "cgroup" && has(mount.options, controller),
            });
            mount.map(|mount| mount.steps(root, group))
        };
        let (cpu, cpuset) = match controllers {
            "" => (&V2_CPU, &V2_CPUSET),
            _ => (&V1_CPU, &V1_CPUSET),
        };
        if (controllers.is_empty() || has(controllers, "cpu"))
            && let Some(steps) = find("cpu")
        {
            for dir in &steps {
                limits.quota = tighter(limits.quota, cpu(dir)?);
            }
        }
        if (controllers.is_empty() || has(controllers, "cpuset"))
            && let Some(steps) = find("cpuset")
        {
            // The nearest that says anything: a group without the controller has the set of
            // the one above.
            for dir in &steps {
                for (file, limit, slot) in [
                    (cpuset[0], CPUS_MAX, &mut limits.cpus),
                    (cpuset[1], MEMORY_NODES_MAX, &mut limits.memory_nodes),
                ] {
                    if slot.is_none() {
                        *slot = read_list(&dir.join(file), limit)?.filter(|list| !list.is_empty());
                    }
                }
            }
        }
    }
    Ok(limits)
}

/// The smallest limit on memory, in bytes, of the groups of the process whose `proc/self` lies below
/// `root`. What cannot be read limits nothing: the machine's memory still does.
pub(super) fn memory_limit(root: &Path) -> Option<u64> {
    let text = |path: &str| std::fs::read_to_string(root.join(path)).ok();
    let groups = text("proc/self/cgroup").unwrap_or_else(|| "0::/".to_owned());
    let mounts = text("proc/self/mountinfo")
        .unwrap_or_else(|| "0 0 0:0 / /sys/fs/cgroup ro - cgroup2 cgroup2 ro".to_owned());
    let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(Mount::parse).collect();
    let limits = groups
        .lines()
        .filter_map(membership)
        .flat_map(|(controllers, group)| {
            let is_v2 = controllers.is_empty();
            let mount = mounts.iter().find(|mount| match is_v2 {
                true => mount.kind == "cgroup2",
                false => mount.kind == "cgroup" && has(mount.options, "memory"),
            });
            let mount = mount.filter(|_| is_v2 || has(controllers, "memory"));
            let file = if is_v2 {
                "memory.max"
            } else {
                "memory.limit_in_bytes"
            };
            let steps = mount.map(|mount| mount.steps(root, group));
            steps
                .into_iter()
                .flatten()
                // `max` is not a number, and means none.
                .filter_map(move |dir| {
                    std::fs::read_to_string(dir.join(file))
                        .ok()?
                        .trim()
                        .parse()
                        .ok()
                })
        });
    limits.min()
}

/// A line of `proc/self/cgroup`: `4:cpu,cpuacct:/a/b`, or `0::/a/b` for version 2.
fn membership(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(':')?;
    rest.split_once(':')
}

/// A line of `proc/self/mountinfo`, as far as it matters here.
struct Mount<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let mut right = right.split(' ');
        Some(Self {
            root: left.next()?,
            point: left.next()?,
            kind: right.next()?,
            options: right.nth(1).unwrap_or_default(),
        })
    }

    /// The directories from our group up to the mount point.
    fn steps(&self, root: &Path, group: &str) -> Vec<PathBuf> {
        let top = root.join(self.point.trim_start_matches('/'));
        let below = if self.root == "/" {
            Some(group)
        } else {
            group
                .strip_prefix(self.root)
                .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // A group outside of what is mounted (`/../b`: we were moved after the container's
        // namespace was made): what is mounted is the best we can see.
        let below = below.filter(|path| !path.split('/').any(|part| part == ".."));
        let parts: Vec<&str> = below
            .unwrap_or_default()
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        (0..=parts.len())
            .rev()
            .map(|depth| {
                parts[..depth]
                    .iter()
                    .fold(top.clone(), |dir, part| dir.join(part))
            })
            .collect()
    }
}

type ReadQuota = fn(&Path) -> Result<Option<CpuQuota>, TopologyError>;

const V1_CPUSET: [&str; 2] = ["cpuset.effective_cpus", "cpuset.effective_mems"];
const V2_CPUSET: [&str; 2] = ["cpuset.cpus.effective", "cpuset.mems.effective"];

/// `cpu.cfs_quota_us` (-1: no limit) per `cpu.cfs_period_us`.
const V1_CPU: ReadQuota = |dir| {
    let (quota, period) = (dir.join("cpu.cfs_quota_us"), dir.join("cpu.cfs_period_us"));
    let (Some(quota_text), Some(period_text)) = (read(&quota)?, read(&period)?) else {
        return Ok(None);
    };
    if quota_text.trim().starts_with('-') {
        return Ok(None);
    }
    let Ok(quota_us) = quota_text.trim().parse() else {
        return Err(inconsistent(&quota, &quota_text, "microseconds or -1"));
    };
    match period_text
        .trim()
        .parse()
        .ok()
        .and_then(|p| CpuQuota::new(quota_us, p))
    {
        Some(quota) => Ok(Some(quota)),
        None => Err(inconsistent(&period, &period_text, "microseconds above 0")),
    }
};

/// `cpu.max`: `max 100000` or `250000 100000`.
const V2_CPU: ReadQuota = |dir| {
    let path = dir.join("cpu.max");
    let Some(text) = read(&path)? else {
        return Ok(None); // the root group has none
    };
    let text = text.trim();
    // A lone quota is what may be written, and has the default period.
    let (quota, period) = match text.split_once(' ') {
        Some(both) => both,
        None => (text, "100000"),
    };
    if quota == "max" {
        return Ok(None);
    }
    let numbers = quota.parse().ok().zip(period.trim().parse().ok());
    match numbers.and_then(|(quota, period)| CpuQuota::new(quota, period)) {
        Some(quota) => Ok(Some(quota)),
        None => Err(inconsistent(
            &path,
            text,
            "`max PERIOD` or `QUOTA PERIOD` in microseconds",
        )),
    }
};

fn tighter(a: Option<CpuQuota>, b: Option<CpuQuota>) -> Option<CpuQuota> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.cpus() < a.cpus() { b } else { a }),
        (a, b) => a.or(b),
    }
}

fn has(controllers: &str, controller: &str) -> bool {
    controllers.split(',').any(|one| one == controller)
}

const MEMORY_NODES_MAX: u32 = 1024;

#[cfg(test)]
mod tests;

//! The drawing: one line per NUMA node and per cache, CPUs as ranges, so that a machine of 256 CPUs
//! still fits a screen.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use crate::id::{CpuId, NumaNodeId};

use super::machine::{Cpu, NumaNode, Source, Topology, list};

/// A tree of NUMA nodes, caches and CPUs, and below it the distances.
///
/// ```text
/// 3 NUMA nodes, 64 CPUs in 32 cores and 2 packages (kernel)
/// ├─ numa0: 128.0 GiB, package 0
/// │  └─ cache of cpu0: cpus 0-15,32-47 (16 cores of 2)
/// ├─ numa1: 128.0 GiB, package 1
/// │  └─ cache of cpu16: cpus 16-31,48-63 (16 cores of 2)
/// └─ numa2: 256.0 GiB, memory only
/// distances numa0 numa1 numa2
///     numa0    10    21    14
///     numa1    21    10    24
///     numa2    14    24    10
/// ```
impl Display for Topology {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.draw_summary(f)?;
        let last = self.numa_nodes().len() - 1;
        for (at, node) in self.numa_nodes().iter().enumerate() {
            let (branch, trunk) = if at == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            writeln!(f, "{branch}{}", self.node_line(node))?;
            let lines = self.cpu_lines(node);
            for (at, line) in lines.iter().enumerate() {
                let branch = if at + 1 == lines.len() {
                    "└─ "
                } else {
                    "├─ "
                };
                writeln!(f, "{trunk}{branch}{line}")?;
            }
        }
        self.draw_distances(f)
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sysfs => "kernel",
            Self::Hwloc => "hwloc",
            Self::Pretend => "pretended",
            Self::Fallback => "unknown machine, taken for one NUMA node",
        })
    }
}

impl Topology {
    fn draw_summary(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let cores: BTreeSet<CpuId> = self.cpus().iter().map(|cpu| cpu.core).collect();
        let packages: BTreeSet<u32> = self.cpus().iter().filter_map(|cpu| cpu.package).collect();
        write!(f, "{}, ", counted(self.numa_nodes().len(), "NUMA node"))?;
        write!(
            f,
            "{} in {}",
            counted(self.cpus().len(), "CPU"),
            counted(cores.len(), "core")
        )?;
        if !packages.is_empty() {
            write!(f, " and {}", counted(packages.len(), "package"))?;
        }
        writeln!(f, " ({})", self.source())?;
        if self.allowed().len() < self.cpus().len() {
            writeln!(f, "allowed to this process: cpus {}", list(self.allowed()))?;
        }
        if !self.offline().is_empty() {
            writeln!(f, "offline: cpus {}", list(self.offline()))?;
        }
        if let Some(quota) = self.cpu_quota() {
            writeln!(f, "CPU quota: {:.2} CPUs", quota.cpus())?;
        }
        match self.stand_ins() {
            Some([]) => writeln!(f, "played by unpinned threads"),
            Some(real) => writeln!(f, "played by the real cpus {}", list(real)),
            None if !self.can_pin() => writeln!(f, "threads cannot be pinned here"),
            None => Ok(()),
        }
    }

    fn node_line(&self, node: &NumaNode) -> String {
        let mut facts = Vec::new();
        match node.memory_bytes {
            _ if !node.has_memory => facts.push("no memory".to_owned()),
            Some(bytes) => facts.push(format!("{:.1} GiB", bytes as f64 / GIB)),
            None => {}
        }
        if node.is_memory_only() {
            facts.push("memory only".to_owned());
        }
        if node.has_memory && !node.memory_allowed {
            facts.push("memory not allowed".to_owned());
        }
        let cpus = node.cpus.iter().filter_map(|id| self.cpu(*id));
        let packages: BTreeSet<u32> = cpus.filter_map(|cpu| cpu.package).collect();
        if !packages.is_empty() {
            let ids: Vec<String> = packages.iter().map(u32::to_string).collect();
            let plural = if ids.len() == 1 { "" } else { "s" };
            facts.push(format!("package{plural} {}", ids.join(",")));
        }
        match facts.is_empty() {
            true => node.id.to_string(),
            false => format!("{}: {}", node.id, facts.join(", ")),
        }
    }

    /// A line for each cache that CPUs of this NUMA node have, and one for those without.
    fn cpu_lines(&self, node: &NumaNode) -> Vec<String> {
        let mut groups = BTreeMap::<Option<CpuId>, Vec<&Cpu>>::new();
        for cpu in node.cpus.iter().filter_map(|id| self.cpu(*id)) {
            groups.entry(cpu.cache).or_default().push(cpu);
        }
        let lines = groups.into_iter().map(|(cache, cpus)| {
            let ids: Vec<CpuId> = cpus.iter().map(|cpu| cpu.id).collect();
            let head = cache.map_or_else(String::new, |first| self.cache_label(first, node));
            let what = if ids.len() == 1 { "cpu" } else { "cpus" };
            let mut line = format!("{head}{what} {} ({})", list(&ids), cores(&cpus));
            let denied: Vec<CpuId> = cpus
                .iter()
                .filter(|cpu| !cpu.allowed)
                .map(|cpu| cpu.id)
                .collect();
            if denied.len() == cpus.len() {
                line.push_str(", not allowed");
            } else if !denied.is_empty() {
                line.push_str(&format!(", not allowed: {}", list(&denied)));
            }
            line
        });
        lines.collect()
    }

    /// `cache of cpu0: `, or `cache of cpu0, shared with numa1: `.
    fn cache_label(&self, first: CpuId, node: &NumaNode) -> String {
        let sharing = self.cpus().iter().filter(|cpu| cpu.cache == Some(first));
        let others: BTreeSet<NumaNodeId> = sharing
            .map(|cpu| cpu.numa_node)
            .filter(|id| *id != node.id)
            .collect();
        let others: Vec<String> = others.iter().map(NumaNodeId::to_string).collect();
        match others.as_slice() {
            [] => format!("cache of {first}: "),
            others => format!("cache of {first}, shared with {}: ", others.join(", ")),
        }
    }

    fn draw_distances(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.numa_nodes().len() < 2 {
            return Ok(());
        }
        const TITLE: &str = "distances";
        let ids = || self.numa_nodes().iter().map(|node| node.id);
        let column = ids()
            .map(|id| id.to_string().len())
            .max()
            .unwrap_or_default()
            + 1;
        write!(f, "{TITLE}")?;
        for to in ids() {
            write!(f, "{:>column$}", to.to_string())?;
        }
        writeln!(f)?;
        for from in ids() {
            write!(f, "{:>1$}", from.to_string(), TITLE.len())?;
            for to in ids() {
                write!(f, "{:>column$}", self.distance(from, to))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// `16 cores of 2`, `6 cores of 2, 8 cores of 1`: how many CPUs share a core.
fn cores(cpus: &[&Cpu]) -> String {
    let mut sizes = BTreeMap::<CpuId, usize>::new();
    for cpu in cpus {
        *sizes.entry(cpu.core).or_default() += 1;
    }
    let mut counts = BTreeMap::<usize, usize>::new();
    for size in sizes.into_values() {
        *counts.entry(size).or_default() += 1;
    }
    if counts.keys().eq([&1]) {
        return counts
            .values()
            .map(|count| counted(*count, "core"))
            .collect();
    }
    let parts = counts
        .iter()
        .rev()
        .map(|(size, count)| format!("{} of {size}", counted(*count, "core")));
    parts.collect::<Vec<_>>().join(", ")
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

const GIB: f64 = (1_u64 << 30) as f64;

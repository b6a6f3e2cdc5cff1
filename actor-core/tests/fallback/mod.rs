//! Why is a page not on the NUMA node that its arena is bound to?
//!
//! The binding is a preference: when the NUMA node has no free memory the kernel takes a page from another, and counts
//! it (`numa_foreign` in sysfs, of the NUMA node that was meant). More pages elsewhere than it has counted since the process
//! began were touched before they were bound, or are the kernel's own doing. That is told, with what the kernel knows of
//! the ranges, and no failure: it has been seen once, and is not explained yet (docs/numa.md).

use actor_core::{NumaNodeId, SystemRef};

/// What the kernel had counted before the first system started.
#[derive(Debug)]
pub(crate) struct Fallback(Vec<(NumaNodeId, u64)>);

/// Pages meant for that NUMA node that the kernel took elsewhere, since it booted, for whomever.
fn foreign(node: NumaNodeId) -> Option<u64> {
    let path = format!("/sys/devices/system/node/node{}/numastat", node.0);
    let text = std::fs::read_to_string(path).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("numa_foreign "))?;
    line.trim().parse().ok()
}

impl Fallback {
    /// To be called before any system is started in the process.
    pub(crate) fn begin() -> Self {
        let counted = (0..=u8::MAX).map(NumaNodeId);
        Self(
            counted
                .filter_map(|node| Some((node, foreign(node)?)))
                .collect(),
        )
    }

    /// Tells how many pages lie elsewhere, and of how many of them the kernel has no account.
    pub(crate) fn tell(&self, system: &SystemRef) {
        let found = match system.residency() {
            Ok(found) => found,
            Err(error) => {
                eprintln!("not checked: the kernel does not tell where pages lie: {error}");
                return;
            }
        };
        let stats = system.stats();
        let refused = |node| {
            let mut numa_nodes = stats.numa_nodes.iter();
            numa_nodes.any(|numa| numa.numa_node == node && numa.memory.unbound_chunks > 0)
        };
        let (mut pages, mut elsewhere) = (0, 0);
        for (node, found) in &found {
            let Some(wanted) = found.wanted.filter(|_| !refused(*node)) else {
                continue;
            };
            pages += found.resident();
            elsewhere += found.misplaced();
            let before = self.0.iter().find(|(known, _)| *known == wanted);
            let Some((before, now)) = before.zip(foreign(wanted)) else {
                eprintln!("not checked: no numastat of {wanted}");
                continue;
            };
            let taken = now - before.1;
            if found.misplaced() > taken {
                println!(
                    "figure: not accounted for: {} pages of the arena of {node} lie elsewhere, the kernel counted {taken}",
                    found.misplaced()
                );
                println!("{found:?}\n{}", policies());
            }
        }
        if pages > 0 {
            let share = (pages - elsewhere) as f64 * 100.0 / pages as f64;
            println!("figure: pages at home after the storm: {share:.1} % of {pages}");
        }
    }
}

/// What the kernel knows of memory that prefers a NUMA node.
fn policies() -> String {
    let maps = std::fs::read_to_string("/proc/self/numa_maps").unwrap_or_default();
    let ours = maps.lines().filter(|line| line.contains("prefer"));
    ours.collect::<Vec<_>>().join("\n")
}

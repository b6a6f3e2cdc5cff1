//! The memory brake: how much the slabs may map for messages before a `tell` is refused.

use std::sync::OnceLock;

use crate::sync::atomic::{AtomicU64, Ordering};

/// 0 = not set by a builder: the default below.
static LIMIT: AtomicU64 = AtomicU64::new(0);

/// Sets the process-wide limit in bytes. The arenas are process-wide, so the last builder wins.
pub(crate) fn set_limit(bytes: u64) {
    // Relaxed: a number that stands alone; nothing is read through it.
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// The limit in force, in bytes.
pub(crate) fn limit() -> u64 {
    // Relaxed: see `set_limit`.
    match LIMIT.load(Ordering::Relaxed) {
        0 => default_limit(),
        bytes => bytes,
    }
}

/// Half of what this process may use: the smaller of the machine's memory and the cgroup's limit.
fn default_limit() -> u64 {
    static DEFAULT: OnceLock<u64> = OnceLock::new();
    *DEFAULT.get_or_init(|| {
        let machine = std::fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| meminfo_total(&text));
        let cgroup = [
            "/sys/fs/cgroup/memory.max",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        ]
        .iter()
        .filter_map(|path| {
            std::fs::read_to_string(path)
                .ok()?
                .trim()
                .parse::<u64>()
                .ok()
        })
        .min();
        let smaller = match (machine, cgroup) {
            (Some(machine), Some(cgroup)) => machine.min(cgroup),
            (Some(one), None) | (None, Some(one)) => one,
            // Neither is readable (not Linux): no brake rather than a guessed one.
            (None, None) => return u64::MAX,
        };
        smaller / 2
    })
}

fn meminfo_total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

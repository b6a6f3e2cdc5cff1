//! The memory brake: how much may be mapped and allocated for messages before a `tell` is refused.
//!
//! What counts: every chunk of the slabs (messages, and the states, frames and timers of the runtime,
//! which are never refused themselves), and every block that is too large for them. What does not: what a
//! message points to (a `Vec` inside), which is the user's.
//!
//! Chunks stay with their size class. So that a storm of messages of one size does not leave those of
//! other sizes without any memory for ever, each class may have a little, whatever the others have.

use std::sync::OnceLock;

use crate::sync::atomic::{AtomicU64, Ordering};

/// 0 = not set by a builder: the default below.
static LIMIT: AtomicU64 = AtomicU64::new(0);

/// Bytes of slab chunks and of large blocks, the user's own among both.
static USED: AtomicU64 = AtomicU64::new(0);

/// Sets the process-wide limit in bytes. The arenas are process-wide, so the last builder wins.
pub(crate) fn set_limit(bytes: u64) {
    // Relaxed: a number that stands alone; nothing is read through it.
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// Books `bytes` in.
pub(super) fn add(bytes: u64) {
    // Relaxed: a limit that need not be exact.
    USED.fetch_add(bytes, Ordering::Relaxed);
}

/// Books `bytes` out.
pub(super) fn remove(bytes: u64) {
    USED.fetch_sub(bytes, Ordering::Relaxed);
}

/// Whether `bytes` more for messages are within the limit.
pub(super) fn allows(bytes: u64) -> bool {
    USED.load(Ordering::Relaxed).saturating_add(bytes) <= limit()
}

/// What each size class of each NUMA node may have, whatever is used otherwise.
pub(super) fn least_per_class() -> u64 {
    limit() / 64
}

/// The limit in force, in bytes.
pub(super) fn limit() -> u64 {
    // Relaxed: see `set_limit`.
    match LIMIT.load(Ordering::Relaxed) {
        0 => default_limit(),
        bytes => bytes,
    }
}

/// Half of what this process may use, the smaller of the machine's memory and the limit of its control
/// groups; and at most a quarter of its address space (`ulimit -v`), of which malloc alone reserves 64 MiB
/// for each thread.
fn default_limit() -> u64 {
    static DEFAULT: OnceLock<u64> = OnceLock::new();
    *DEFAULT.get_or_init(|| {
        let machine = std::fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| meminfo_total(&text));
        let shares = [
            machine.map(|bytes| bytes / 2),
            crate::topology::memory_limit().map(|bytes| bytes / 2),
            address_space().map(|bytes| bytes / 4),
        ];
        // None is readable (not Linux): no brake rather than a guessed one.
        shares.into_iter().flatten().min().unwrap_or(u64::MAX)
    })
}

/// The limit on address space, if there is one.
pub(super) fn address_space() -> Option<u64> {
    limit_of_address_space(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

fn limit_of_address_space(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn meminfo_total(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_the_kernel_prints_them() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max cpu time              unlimited            unlimited            seconds   \n\
                      Max address space         1073741824           unlimited            bytes     \n";
        assert_eq!(limit_of_address_space(limits), Some(1 << 30));
        let none = limits.replace("1073741824", "unlimited ");
        assert_eq!(limit_of_address_space(&none), None);
        assert_eq!(limit_of_address_space(""), None);
        let meminfo = "MemFree: 1 kB\nMemTotal:       16384256 kB\n";
        assert_eq!(meminfo_total(meminfo), Some(16_384_256 * 1024));
    }
}

//! A name for a peer that was given none: the host's, and the port, or the process where the port is any.
//!
//! It stays over restarts where host names do (a machine, a pod of a StatefulSet) and the port is a fixed one.

use crate::id::{NAME_BYTES_MAX, PeerId};

/// The host's name as the kernel has it.
pub(super) fn host_name() -> Option<String> {
    let by_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    by_kernel
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
}

/// A peer's name of a host's name, whatever that is made of, and a number: the port, or the process.
pub(super) fn peer_name(host: Option<&str>, number: u32) -> PeerId {
    let tail = format!("-{number}");
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
            c
        } else {
            '-'
        }
    };
    let host: String = host
        .unwrap_or("peer")
        .trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
        .chars()
        .map(keep)
        .take(NAME_BYTES_MAX - tail.len())
        .collect();
    let host = if host.is_empty() { "peer" } else { &host };
    PeerId::new(&format!("{host}{tail}")).expect("made of what names may have")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_host_name_gives_a_peer_name() {
        for (host, name) in [
            (Some("orders-0"), "orders-0-4710"),
            (Some("_x y\u{e9}"), "x-y--4710"),
            (Some("---"), "peer-4710"),
            (None, "peer-4710"),
        ] {
            assert_eq!(peer_name(host, 4710).as_str(), name, "{host:?}");
        }
        let long = peer_name(Some(&"h".repeat(300)), 65_535);
        assert_eq!(long.as_str().len(), NAME_BYTES_MAX);
    }
}

//! From a key to its shard: FNV-1a over the key's bytes, 64 bits, stirred by the last step of MurmurHash3, modulo
//! the number of shards.
//!
//! All peers of all versions must say the same, so this is part of the protocol and never changes: the
//! tests hold its values. It is not made to withstand keys chosen to meet in one shard: who chooses the keys
//! of a service can overload one key as well.

/// The shard of a key, of so many (at least one).
pub(crate) fn shard_of(key: &str, shards: u16) -> u16 {
    let shard = hash(key.as_bytes()) % u64::from(shards.max(1));
    // Less than a u16.
    shard.try_into().unwrap_or(0)
}

/// How much a host attracts a shard: rendezvous hashing. The highest takes it, and if that host goes, only what
/// it had goes elsewhere.
pub(crate) fn attraction(kind: &str, shard: u16, host: &str) -> u64 {
    let host = hash(host.as_bytes());
    let shard = hash(kind.as_bytes()) ^ stir(u64::from(shard) + 1);
    stir(host ^ shard.rotate_left(32))
}

fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    stir(fnv)
}

/// FNV's high bits hardly depend on the last byte, and its low bits on few: every bit of the result depends on
/// every bit of `hash`.
fn stir(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ hash >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_of_a_key_never_changes() {
        let shards: Vec<_> = ["", "a", "account-1", "account-2", "ä", &"x".repeat(255)]
            .iter()
            .map(|key| (shard_of(key, 256), shard_of(key, 1024), shard_of(key, 1)))
            .collect();
        assert_eq!(shards, GOLDEN);
    }

    const GOLDEN: [(u16, u16, u16); 6] = [
        (38, 294, 0),
        (91, 603, 0),
        (71, 71, 0),
        (245, 1013, 0),
        (46, 814, 0),
        (112, 880, 0),
    ];

    #[test]
    fn keys_that_count_up_are_spread_evenly() {
        let mut counts = [0u32; 256];
        for key in 0..25_600 {
            counts[usize::from(shard_of(&key.to_string(), 256))] += 1;
        }
        // 100 each; five times the standard deviation of chance is 50.
        assert!(counts.iter().all(|n| (50..=150).contains(n)), "{counts:?}");
    }

    #[test]
    fn no_keys_and_no_shards_are_no_panic() {
        assert_eq!(shard_of("a", 0), 0);
    }
}

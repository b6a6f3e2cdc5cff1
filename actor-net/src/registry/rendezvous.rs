//! Who of several takes a key: highest random weight hashing, called rendezvous (D. G. Thaler, C. V. Ravishankar,
//! "Using name-based mappings to increase hit rates", IEEE/ACM Transactions on Networking 6(1), 1998).
//!
//! Each candidate draws a number from the key and itself, and the best draw wins. Whoever knows the same candidates
//! picks the same, without a table to agree on; when one goes, only its own keys find new owners, spread over all
//! others; when one comes, it takes its share from each. With weights a draw is the time until an event at the rate
//! of the weight, -ln(u) / w with u uniform in (0, 1): the first of such events is that of `i` with probability
//! w_i / sum of w (the minimum of exponential variables), and the winner changes only in favour of whoever became
//! heavier. In whole numbers throughout, so that peers on different machines never disagree in a last bit.

use std::num::NonZeroU16;

/// A hash of any bytes, the same on all machines. Not against keys that an adversary chooses: who can make up keys
/// can have them all go to one candidate.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hash = mix(bytes.len() as u64 ^ 0x243f_6a88_85a3_08d3);
    for piece in bytes.chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(piece) {
            *to = *from;
        }
        hash = mix(hash.rotate_left(23) ^ u64::from_le_bytes(word));
    }
    hash
}

/// The finaliser of SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
/// OOPSLA 2014): every bit of the result depends on every bit of the value.
pub(crate) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Which of the candidates, each by the hash of its identity and its weight, takes the key with that hash. `None` if
/// there are no candidates. Of equal draws the candidate with the lower hash wins, wherever it stands.
pub(crate) fn pick(
    key: u64,
    candidates: impl IntoIterator<Item = (u64, NonZeroU16)>,
) -> Option<usize> {
    let mut best: Option<(u64, u64, NonZeroU16, usize)> = None;
    for (at, (candidate, weight)) in candidates.into_iter().enumerate() {
        let time = exponential(mix(key ^ mix(candidate)));
        let wins = match best {
            None => true,
            Some((other, other_candidate, other_weight, _)) => {
                let mine = u128::from(time) * u128::from(other_weight.get());
                let others = u128::from(other) * u128::from(weight.get());
                (mine, candidate) < (others, other_candidate)
            }
        };
        if wins {
            best = Some((time, candidate, weight, at));
        }
    }
    best.map(|(.., at)| at)
}

/// -log2 of a draw as a part of 2^64, in 2^-40ths: an exponential variable but for a factor, which all share.
fn exponential(draw: u64) -> u64 {
    // Within 1..=2^64 - 1, which is 1 - u of the uniform u.
    let draw = draw | 1;
    let whole = draw.leading_zeros();
    // The rest as a number from 1 to 2, with 63 bits behind the point.
    let mut rest = draw << whole;
    let mut fraction = 0u64;
    // log2 bit by bit: squared, the number is 2 or more if the next bit is set (Knuth, TAOCP 1.2.2, exercise 25).
    for _ in 0..FRACTION_BITS {
        let squared = u128::from(rest) * u128::from(rest);
        let is_two = squared >> 127 == 1;
        fraction = fraction << 1 | u64::from(is_two);
        rest = (squared >> if is_two { 64 } else { 63 }) as u64;
    }
    // log2(draw / 2^64) = fraction - whole - 1, which is below 0.
    ((u64::from(whole) + 1) << FRACTION_BITS) - fraction
}

const FRACTION_BITS: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> NonZeroU16 {
        NonZeroU16::MIN
    }

    fn weight(weight: u16) -> NonZeroU16 {
        NonZeroU16::new(weight).unwrap()
    }

    fn owners(candidates: &[(u64, NonZeroU16)], keys: u64) -> Vec<u64> {
        (0..keys)
            .map(|key| {
                candidates[pick(hash(&key.to_le_bytes()), candidates.iter().copied()).unwrap()].0
            })
            .collect()
    }

    #[test]
    fn the_logarithm_is_one() {
        for draw in [1, 3, 0xffff, 1 << 63 | 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            let exact = 64.0 - (draw as f64).log2();
            let ours = exponential(draw) as f64 / (1u64 << FRACTION_BITS) as f64;
            assert!((exact - ours).abs() < 1e-9, "{draw}: {exact} {ours}");
        }
    }

    #[test]
    fn keys_are_spread_evenly() {
        let candidates: Vec<_> = (0..10).map(|each| (hash(&[each]), one())).collect();
        let owners = owners(&candidates, 20_000);
        for (candidate, _) in &candidates {
            let share = owners.iter().filter(|owner| *owner == candidate).count();
            // 2,000 with a standard deviation of 42.
            assert!((1_750..2_250).contains(&share), "{share}");
        }
    }

    #[test]
    fn keys_are_spread_by_weight() {
        let candidates = [
            (hash(b"a"), weight(1)),
            (hash(b"b"), weight(3)),
            (hash(b"c"), weight(6)),
        ];
        let owners = owners(&candidates, 20_000);
        for (candidate, weight) in candidates {
            let share = owners.iter().filter(|owner| **owner == candidate).count();
            let due = 2_000 * usize::from(weight.get());
            assert!(share.abs_diff(due) < 350, "{share}, {due} were due");
        }
    }

    #[test]
    fn only_the_keys_of_whoever_goes_move() {
        let candidates: Vec<_> = (0..7)
            .map(|each| (hash(&[each]), weight(1 + u16::from(each) % 3)))
            .collect();
        let before = owners(&candidates, 5_000);
        let gone = candidates[3].0;
        let left: Vec<_> = candidates
            .iter()
            .copied()
            .filter(|(each, _)| *each != gone)
            .collect();
        let after = owners(&left, 5_000);
        let mut heirs = std::collections::BTreeSet::new();
        for (before, after) in before.iter().zip(&after) {
            if *before == gone {
                heirs.insert(after);
            } else {
                assert_eq!(before, after, "a key moved from one that stayed");
            }
        }
        assert_eq!(heirs.len(), 6, "all others take some");
    }

    #[test]
    fn who_becomes_heavier_takes_keys_and_no_other() {
        let light = [
            (hash(b"a"), weight(2)),
            (hash(b"b"), weight(2)),
            (hash(b"c"), weight(2)),
        ];
        let mut heavy = light;
        heavy[1].1 = weight(5);
        for (before, after) in owners(&light, 5_000).iter().zip(owners(&heavy, 5_000)) {
            assert!(*before == after || after == heavy[1].0);
        }
    }

    #[test]
    fn the_order_of_the_candidates_means_nothing() {
        let candidates: Vec<_> = (0..9).map(|each| (hash(&[each]), one())).collect();
        let turned: Vec<_> = candidates.iter().rev().copied().collect();
        assert_eq!(owners(&candidates, 1_000), owners(&turned, 1_000));
        assert_eq!(pick(7, []), None);
    }

    /// Peers of different builds must agree: these numbers never change.
    #[test]
    fn the_hash_is_what_it_was() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        let candidates: Vec<_> = (0..5).map(|each| (hash(&[each]), one())).collect();
        let picks: Vec<_> = (0..12u64)
            .map(|key| pick(hash(&key.to_le_bytes()), candidates.iter().copied()).unwrap())
            .collect();
        assert_eq!(picks, GOLDEN);
    }

    const GOLDEN: [usize; 12] = [4, 0, 3, 3, 0, 1, 0, 4, 1, 1, 0, 3];
}

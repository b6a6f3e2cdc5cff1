//! Victim order from distances. Pure: numbers in, numbers out.
//!
//! At home every worker is equally near, so a thief starts at a random one and goes round: fixed
//! starts would send all thieves to the same victim. Beyond home, nearer NUMA nodes come first, and
//! among equally near ones the start is random again.

use std::cell::Cell;

/// The indices `0..n` in a circle from a random start. `random` is any number.
pub(crate) fn circle(n: usize, random: u64) -> impl Iterator<Item = usize> {
    // Multiply and shift instead of a remainder: the high half of `random * n` is in 0..n.
    let start = ((u128::from(random) * n as u128) >> 64) as usize;
    (start..n).chain(0..start)
}

/// The other NUMA nodes as seen from `home`, nearest group first.
///
/// `distances[a][b]` is the distance from `a` to `b` as the firmware tells it (10 is home).
pub(crate) fn groups_by_distance(distances: &[u32], home: usize) -> Box<[Box<[usize]>]> {
    let mut others: Vec<usize> = (0..distances.len())
        .filter(|&other| other != home)
        .collect();
    others.sort_by_key(|&other| distances[other]); // Stable: by index within a group.
    others
        .chunk_by(|&a, &b| distances[a] == distances[b])
        .map(Into::into)
        .collect()
}

/// A cheap stream of numbers without meaning (xorshift64). One per worker.
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        // Weyl's constant spreads neighbouring seeds; xorshift must not start at 0.
        Self(Cell::new(
            seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        ))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        x
    }
}

#[cfg(test)]
#[path = "steal_tests.rs"]
mod tests;

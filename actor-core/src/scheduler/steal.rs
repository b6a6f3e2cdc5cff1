//! Whom a thief goes to, and when it goes far. Pure: numbers in, numbers out.
//!
//! At home every worker is equally near, so a thief starts at a random one and goes round: fixed
//! starts would send all thieves to the same victim. Beyond home, nearer NUMA nodes come first, and
//! among equally near ones the start is random again.
//!
//! *When it goes far* is a question of patience. To take an actor to another NUMA node for one turn costs that
//! turn's cache lines twice, there and back; to leave it costs nothing if a worker of its home is about to
//! come. Nobody knows which it will be, so the thief waits as long as the move costs: then it has lost at most
//! as much again as the better choice would have cost (the ski rental problem: Karlin, Manasse, Rudolph and
//! Sleator, 1988). A turn is 64 messages at most, of two or three lines each; a line from another socket
//! costs about 100 ns more than one from the own cache: 64 x 3 x 100 ns = 19 us. Less where the distance is
//! less, and less per waiting actor where many wait, since who comes last waits for all of them.

use std::cell::Cell;
use std::time::Duration;

/// Whether workers may run tasks of another NUMA node: one at a time, never half of a queue (the others'
/// memory is near where they are), and only of one whose own workers are all busy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CrossNuma {
    /// Each NUMA node for itself, even if one drowns while another sleeps.
    Never,
    /// When it has had nothing to do at home for so long.
    IdleFor(Duration),
    /// When it has had nothing to do at home for as long as the move would cost.
    Balanced,
}

/// What a worker with nothing to do at home sees of another NUMA node whose workers are all busy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FarView {
    /// As the firmware tells it: 10 is home.
    pub(crate) distance: u32,
    /// How long the worker has had nothing to do at home.
    pub(crate) idle_for: Duration,
    /// Tasks that wait there, at least one.
    pub(crate) queued: usize,
    /// Its workers.
    pub(crate) workers: usize,
}

impl CrossNuma {
    /// How much longer the worker waits before it takes a task from there; `None`: for ever.
    pub(crate) fn wait(self, view: &FarView) -> Option<Duration> {
        let patience = match self {
            Self::Never => return None,
            Self::IdleFor(time) => time,
            Self::Balanced => {
                let farther = view.distance.saturating_sub(HOME_DISTANCE);
                let rounds = (view.queued / view.workers.max(1)).max(1);
                let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
                FAR_TURN * farther / FAR_DISTANCE / rounds
            }
        };
        Some(patience.saturating_sub(view.idle_for))
    }
}

/// What one turn costs more at twice the distance of home; see above.
const FAR_TURN: Duration = Duration::from_micros(20);
/// The firmware's word for "here".
const HOME_DISTANCE: u32 = 10;
/// How much farther twice that is.
const FAR_DISTANCE: u32 = 10;

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

//! How long a suspected peer has to answer for itself: Lifeguard's dynamic timeout.
//!
//! One accuser may be wrong (slow, or badly connected), so a suspicion of one takes long to be believed; each
//! further *independent* accuser shortens it, by less and less, and at the k-th it is at its minimum
//! (Lifeguard, section IV-B; memberlist `suspicion.go`). The same peer accusing twice counts once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::id::PeerId;

/// Accusers beside the first that make the wait the shortest.
const CONFIRMATIONS: usize = 3;

#[derive(Clone, Debug)]
pub(crate) struct Suspicion {
    /// It ends when the suspect has refuted more often than that.
    pub(crate) refuted: u16,
    pub(crate) since: Instant,
    pub(crate) accusers: BTreeSet<PeerId>,
}

impl Suspicion {
    pub(crate) fn new(refuted: u16, since: Instant) -> Self {
        Self {
            refuted,
            since,
            accusers: BTreeSet::new(),
        }
    }

    /// Whether that is news.
    pub(crate) fn accuse(&mut self, by: PeerId) -> bool {
        // More than these change nothing; a crowd is not remembered.
        self.accusers.len() <= CONFIRMATIONS * 4 && self.accusers.insert(by)
    }

    /// When it is believed, in a cluster of so many (ourselves and the suspect among them).
    pub(crate) fn deadline(&self, min: Duration, max: Duration, peers: usize) -> Instant {
        self.since + timeout(min, max, self.accusers.len(), peers)
    }
}

/// The wait with so many accusers.
pub(crate) fn timeout(min: Duration, max: Duration, accusers: usize, peers: usize) -> Duration {
    // Where fewer than k others exist, they are all that can confirm.
    let possible = CONFIRMATIONS.min(peers.saturating_sub(2));
    let confirmed = accusers.saturating_sub(1);
    if possible == 0 || confirmed >= possible {
        return min;
    }
    let share = (confirmed as f64 + 1.0).ln() / (possible as f64 + 1.0).ln();
    max.saturating_sub(max.saturating_sub(min).mul_f64(share))
        .max(min)
}

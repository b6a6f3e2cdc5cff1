//! Batch lanes between NUMA nodes, as users choose and see them. What they do is in `cell::crossing`.

use crate::id::NumaNodeId;

/// Whether messages from one NUMA node to another may share a batch lane; see
/// [`SystemBuilder::lanes`](crate::SystemBuilder::lanes).
///
/// A message that travels alone goes straight into its target's mailbox, whatever is chosen: that costs the
/// two processors' caches three lines or so. Where many go the same way, a lane carries them over together and
/// a worker there puts them into the mailboxes.
///
/// Promises stay as they are: order per sender and target, every message accounted for, `Full` told to the
/// sender. What changes: a bounded mailbox may for a moment hold up to 256 messages more than its
/// bound, those that were under way when others filled it. One with fewer than 256 places free is never
/// sent to by lane, so that small bounds are exact. And a message may come later than one that *another*
/// actor sent afterwards, even if it did so because of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lanes {
    /// Where it pays: from the third message that a worker sends across in one turn, or when its targets are busy
    /// or others were faster at their mailboxes. For many senders and few targets, each with a NUMA node of its
    /// own; where everybody sends to everybody one worker at a time empties a lane, and that is less than all
    /// of them did (docs/numa.md, *what to expect*).
    Auto,
    /// For every message across. For tests and measurements: a lone message takes a detour.
    Always,
    /// Never. The default, until a machine with several sockets has shown otherwise.
    #[default]
    Off,
}

/// What went from one NUMA node to another since the start, and how; of [`Stats::lanes`](crate::Stats).
///
/// Messages between actors; what threads outside of actors send goes straight and is not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneStats {
    /// Where the senders ran.
    pub from: NumaNodeId,
    /// Where the targets were spawned.
    pub to: NumaNodeId,
    /// Messages put straight into their mailboxes.
    pub direct: u64,
    /// How often a sender of those found that another had been faster, and tried again.
    pub lost_races: u64,
    /// Messages that went by lane.
    pub by_lane: u64,
    /// How often something was taken off the lane.
    pub batches: u64,
    /// Of those, how often by a sender that needed the lane empty, rather than at the targets' NUMA node.
    pub settled: u64,
    /// Rows of messages for one target that were put into a mailbox as one.
    pub chains: u64,
    /// Of those, by a sender as well.
    pub settled_chains: u64,
}

impl LaneStats {
    /// Messages that the lane carried over at a time; `None` before the first.
    pub fn mean_batch(&self) -> Option<f64> {
        (self.batches > 0).then(|| self.by_lane as f64 / self.batches as f64)
    }

    /// An estimate, by counting, of the cache lines of mailboxes and lanes that went from one NUMA node to the
    /// other and back: two for each direct message (to the sender, back to the owner) and one for each lost race;
    /// for a batch the lane's line there and back, and the mailboxes' where a sender delivered. The
    /// lines of the messages themselves come on top, by either way.
    pub fn line_transfers(&self) -> u64 {
        2 * self.direct + self.lost_races + 2 * self.batches + 2 * self.settled_chains
    }

    /// What [`line_transfers`](Self::line_transfers) would be if all had gone direct without losing a race,
    /// over what it is: the gain. 1 if nothing was sent.
    pub fn gain(&self) -> f64 {
        let (direct, now) = (2 * (self.direct + self.by_lane), self.line_transfers());
        if now == 0 {
            1.0
        } else {
            direct as f64 / now as f64
        }
    }
}

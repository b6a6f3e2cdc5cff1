//! Messages between NUMA nodes: exact counts, and samples of their targets.
//!
//! A worker counts in a row of its own, with plain stores. One send in [`SAMPLE_EVERY`] leaves the target's
//! id in a slot that a reader takes out later; slots that nobody empties are overwritten, so that the
//! samples are the latest and cost the same whether or not anybody looks.

use crate::id::{ActorId, NumaNodeId};
use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::sync::cache_padded::CachePadded;

/// Sends between two samples of one worker. A sample costs about 10 ns, so this is less than a tenth of a
/// nanosecond per send.
pub(crate) const SAMPLE_EVERY: u32 = 128;

/// Samples that one worker keeps until somebody takes them.
const SLOTS: usize = 64;

/// What one worker has sent.
#[derive(Debug)]
pub(crate) struct Row {
    /// Of the worker; set when it starts.
    numa_index: AtomicUsize,
    /// By the NUMA index of the target's home. The worker's own index counts nothing: what stays at home is
    /// what is left of all that the worker has sent.
    /// On lines of their own: a line shared with what another worker writes would cost each message that
    /// crosses a transfer.
    across: Box<[CachePadded<Across>]>,
    /// Targets of sampled sends; 0 is none.
    samples: [AtomicU64; SLOTS],
}

/// To one NUMA node.
#[derive(Debug, Default)]
struct Across {
    messages: AtomicU64,
    /// Of those, by batch lane.
    by_lane: AtomicU64,
    /// Races for a mailbox that were lost on the way.
    lost: AtomicU64,
}

/// As it was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) messages: u64,
    pub(crate) by_lane: u64,
    pub(crate) lost: u64,
}

fn add(counter: &AtomicU64, n: u64) {
    // Relaxed: one writer; a reader only sums up.
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

impl Row {
    fn new(numa_nodes: usize) -> Self {
        Self {
            numa_index: AtomicUsize::new(0),
            across: (0..numa_nodes).map(|_| CachePadded::default()).collect(),
            samples: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Says where the worker sits, whose row it is from now on.
    pub(crate) fn set_numa_index(&self, numa_index: usize) {
        // Relaxed: a sample taken in the same moment is laid to the account of the wrong NUMA node.
        self.numa_index.store(numa_index, Ordering::Relaxed);
    }

    pub(crate) fn numa_index(&self) -> usize {
        self.numa_index.load(Ordering::Relaxed)
    }

    /// Messages to each NUMA index but the worker's own.
    pub(crate) fn across(&self) -> impl Iterator<Item = u64> + '_ {
        let counters = self.across.iter();
        counters.map(|across| across.messages.load(Ordering::Relaxed))
    }

    /// Takes the samples.
    pub(crate) fn take_samples(&self) -> impl Iterator<Item = ActorId> + '_ {
        self.samples.iter().filter_map(|slot| {
            // A look first: the line stays shared if there is nothing.
            if slot.load(Ordering::Relaxed) == 0 {
                return None;
            }
            ActorId::from_u64(slot.swap(0, Ordering::Relaxed))
        })
    }

    /// One message went to another NUMA node. By the worker whose row it is.
    #[inline(always)]
    pub(crate) fn count_across(&self, to: usize) {
        if let Some(across) = self.across.get(to) {
            add(&across.messages, 1);
        }
    }

    /// One of them by batch lane.
    pub(crate) fn count_by_lane(&self, to: usize) {
        if let Some(across) = self.across.get(to) {
            add(&across.by_lane, 1);
        }
    }

    /// So many races for a mailbox there were lost.
    pub(crate) fn count_lost(&self, to: usize, races: u32) {
        if let Some(across) = self.across.get(to) {
            add(&across.lost, u64::from(races));
        }
    }

    /// What went there, and how.
    pub(crate) fn way(&self, to: usize) -> Way {
        let across = &self.across[to].0;
        // Relaxed: figures for people. The part before the whole, which is never less.
        let by_lane = across.by_lane.load(Ordering::Relaxed);
        Way {
            messages: across.messages.load(Ordering::Relaxed),
            by_lane,
            lost: across.lost.load(Ordering::Relaxed),
        }
    }

    /// One message in `SAMPLE_EVERY` was for that actor; `number` counts the samples of this worker.
    pub(crate) fn sample(&self, number: u32, target: ActorId) {
        // Relaxed: the number is all there is.
        self.samples[number as usize % SLOTS].store(target.as_u64(), Ordering::Relaxed);
    }
}

/// All rows of one system.
#[derive(Debug)]
pub(crate) struct Traffic {
    rows: Box<[CachePadded<Row>]>,
    numa_nodes: usize,
}

impl Traffic {
    pub(crate) fn new(workers: usize, numa_nodes: usize) -> Self {
        Self {
            rows: (0..workers)
                .map(|_| CachePadded(Row::new(numa_nodes)))
                .collect(),
            numa_nodes,
        }
    }

    pub(crate) fn row(&self, worker: usize) -> &Row {
        &self.rows[worker].0
    }

    /// All rows, by worker.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().map(|row| &row.0)
    }

    pub(crate) fn numa_nodes(&self) -> usize {
        self.numa_nodes
    }
}

/// Messages that actors of one NUMA node sent to actors of another (or the same) one, since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Edge {
    /// Where the sender ran.
    pub from: NumaNodeId,
    /// Where the target lives.
    pub to: NumaNodeId,
    /// How many.
    pub messages: u64,
}

impl Edge {
    pub(crate) const fn new(from: NumaNodeId, to: NumaNodeId, messages: u64) -> Self {
        Self { from, to, messages }
    }

    /// Whether they crossed from one NUMA node to another.
    pub fn crosses(&self) -> bool {
        self.from != self.to
    }
}

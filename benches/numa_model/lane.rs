//! Batch lanes: one per ordered pair of NUMA nodes, emptied by a turn of their own at the other side.
//!
//! As linked nodes: messages are linked on one word that stays with the senders'
//! caches until the lane's turn takes them all. As chunks: payloads copied into chunks that are
//! published at the end of the sender's turn or when full.

use crate::lines::{Holds, LineId, Lines};
use crate::slab::Block;
use crate::workload::Sort;

/// A message on its way, without its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) sort: Sort,
    pub(crate) sent: u64,
    /// The socket it was sent on.
    pub(crate) socket: usize,
}

/// A message in its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub(crate) message: Message,
    pub(crate) block: Block,
    pub(crate) arena: usize,
}

/// How chunks are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Bytes of an entry: header and payload.
    pub(crate) entry: usize,
    /// Entries of a chunk.
    pub(crate) entries: usize,
    /// Bytes at the beginning of a chunk: links and length.
    pub(crate) header: usize,
}

impl Layout {
    /// Entries of that many bytes in a chunk of 4 KiB.
    pub(crate) const fn of(entry: usize) -> Self {
        let header = 16;
        Self {
            entry,
            entries: (4096 - header) / entry,
            header,
        }
    }

    fn lines(&self) -> usize {
        (self.header + self.entry * self.entries).div_ceil(64)
    }

    /// The lines of an entry.
    pub(crate) fn range(&self, entry: usize) -> std::ops::RangeInclusive<usize> {
        let first = self.header + entry * self.entry;
        first / 64..=(first + self.entry - 1) / 64
    }
}

#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) lines: Vec<LineId>,
    pub(crate) entries: Vec<Message>,
}

impl Chunk {
    pub(crate) fn new(layout: &Layout, lines: &mut Lines, home: usize) -> Self {
        Self {
            lines: (0..layout.lines())
                .map(|_| lines.add(home, Holds::Message))
                .collect(),
            entries: Vec::with_capacity(layout.entries),
        }
    }
}

/// One direction between two NUMA nodes.
#[derive(Debug)]
pub(crate) struct Lane {
    /// The word that messages or chunks are pushed on.
    pub(crate) head: LineId,
    /// Held while it is emptied.
    pub(crate) lock: LineId,
    /// Where empty chunks come back.
    pub(crate) returned: LineId,
    /// Messages that nobody has taken.
    pub(crate) waiting: Vec<Queued>,
    pub(crate) published: Vec<Chunk>,
    pub(crate) empty: Vec<Chunk>,
    /// Its turn is queued or running.
    pub(crate) scheduled: bool,
}

impl Lane {
    pub(crate) fn new(lines: &mut Lines, from: usize, to: usize) -> Self {
        Self {
            head: lines.add(to, Holds::Shared),
            lock: lines.add(to, Holds::Shared),
            waiting: Vec::new(),
            returned: lines.add(from, Holds::Shared),
            published: Vec::new(),
            empty: Vec::new(),
            scheduled: false,
        }
    }
}

//! Memory with a home: one arena per NUMA node, recycled blocks.
//!
//! ```text
//!  thread A                 thread B                    an arena (one per NUMA node)
//!  cache: 2 magazines       cache: 2 magazines          depot per class: full magazines,
//!  per class and arena      per class and arena         empty magazines, the open chunk
//!      |  63 blocks at a time      |                         |            |
//!      +---------------------------+----- lock ------------->+            +-- chunks from mmap,
//!                                                                             bound to the node
//! ```
//!
//! Magazines after Bonwick and Adams, "Magazines and Vmem" (USENIX 2001): the depot's lock is taken
//! once per 63 blocks, and a block that dies on another NUMA node travels home with 62 others.
//! A magazine is an array of addresses, not a list through the blocks, so that freeing does not
//! dirty the block's line again. Recycling matters more than the queue algorithm: glibc's malloc and
//! free across two cores cost 205 ns, this 33 ns for the whole message (docs/decisions/0002).
//!
//! Two kinds of block:
//! - *cells*: 128 bytes from one reserved range per arena, so that an index finds its cell by a
//!   shift. Type-stable: a cell's memory never becomes anything else and is never unmapped, which
//!   is what makes a stale `ActorRef` safe to follow.
//! - *slab blocks* in the size classes of `class`: message nodes, actor states, handler frames.
//!
//!
//! What is larger than 4 KiB comes from `large`, on the same NUMA node but without magazines. `NumaBox` is
//! all of this for values of the user's own.
//!
//! Cells and slab chunks are never returned to the operating system: the high-water mark of the process is
//! kept. Of large blocks the pages are.

mod arena;
mod bind;
mod cache;
pub(crate) mod class;
mod here;
mod large;
mod limit;
mod map;
mod numa_box;
mod prefault;
mod residency;

#[cfg(feature = "model")]
pub(crate) use arena::MAGAZINE;
pub(crate) use arena::{CELL_SIZE, cell_address, has_cell, prepare, set_home, set_huge_pages};
pub(crate) use cache::{Purpose, alloc, alloc_cell, free, free_cell};
pub use here::numa_node_here;
pub(crate) use here::{here, set_here};
pub(crate) use limit::set_limit;
pub use map::HugePages;
pub use numa_box::{Movable, NotAllocated, NumaAllocError, NumaBox};
pub(crate) use prefault::Prefaulter;
pub use residency::Residency;

use crate::id::NumaNodeId;

/// There is one home, number 0, and the compiler may know it (`--cfg actor_one_home`): what `tools/numa-cost`
/// compares with, to count what support for several costs where there is one. Never set in a build for use.
pub(crate) const ONE_HOME: bool = cfg!(actor_one_home);

/// What one arena holds, for `system.stats()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Bytes of slab chunks mapped so far (messages, states, frames).
    pub slab_bytes: u64,
    /// Cells handed out for the first time so far; each is 128 bytes and recycled for ever.
    pub cells: u64,
    /// Chunks that the kernel refused to bind to their NUMA node (containers often forbid `mbind`).
    pub unbound_chunks: u64,
    /// Bytes in use of blocks above 4 KiB: big messages and states, big [`NumaBox`]es.
    pub large_bytes: u64,
    /// How many of them are in use.
    pub large_blocks: u64,
    /// Bytes in use in [`NumaBox`]es of all sizes.
    pub user_bytes: u64,
    /// Blocks and cells that threads of other NUMA nodes have sent home, exactly. A block that is freed
    /// elsewhere and used again by the same thread has not travelled and does not count.
    pub remote_frees: u64,
    /// In how many batches they travelled: one lock and a few cache lines each.
    pub remote_batches: u64,
    /// Chunks that were to lie on explicit huge pages and do not; see [`HugePages`].
    pub huge_refusals: u64,
}

/// One size class of one arena.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Bytes of one block.
    pub block_bytes: usize,
    /// Bytes set aside for the class so far.
    pub reserved_bytes: u64,
    /// Bytes of them that nobody holds. A thread keeps up to 126 free blocks for itself, which are not in
    /// it.
    pub free_bytes: u64,
}

impl ClassStats {
    /// Bytes that are used, or kept by some thread for its next use.
    pub fn held_bytes(&self) -> u64 {
        self.reserved_bytes.saturating_sub(self.free_bytes)
    }
}

/// Figures of the arena of one NUMA node. The arenas belong to the process, not to one system.
pub(crate) fn stats(node: NumaNodeId) -> MemoryStats {
    arena::stats(node.0)
}

/// Cells handed out for the first time so far.
pub(crate) fn cells(node: NumaNodeId) -> u32 {
    arena::cells(node.0)
}

/// The size classes of that arena, ascending.
pub(crate) fn classes(node: NumaNodeId) -> Vec<ClassStats> {
    arena::classes(node.0)
}

/// Where the pages of that arena lie.
///
/// # Errors
///
/// What the kernel says when it does not tell.
pub(crate) fn residency(node: NumaNodeId) -> std::io::Result<Residency> {
    arena::residency(node.0)
}

#[cfg(test)]
mod tests;

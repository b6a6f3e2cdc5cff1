//! The place of a cell as it changes: an actor moves (`rehome`), and batch lanes have to know (`crossing`).
//!
//! The word is written by a read-modify-write, since others set marks in it (H5), and read without an edge: a
//! sender that sees an old place takes a detour.

use super::{CellRef, Owned, Phase, RestartPolicy, Runtime, marks};
use crate::scheduler::Hint;
use crate::sync::atomic::Ordering;

/// The actor has moved away from where it was spawned (`rehome`): batch lanes no longer lead to it.
const MOVED: u32 = 1 << 23;

impl CellRef {
    /// Where the actor lives, as one number to compare with [`mark_of_home`]: different for an actor that has
    /// moved, wherever it lives.
    #[inline(always)]
    pub(in crate::cell) fn home_mark(self) -> u32 {
        self.header().place.load(Ordering::Relaxed) & (0xff00 | MOVED)
    }

    /// As [`home_mark`](Self::home_mark), and different for who has a thread of its own, too: what is equal to
    /// [`mark_of_home`] is run by any worker of that NUMA node.
    #[inline(always)]
    pub(in crate::cell) fn way_mark(self) -> u32 {
        self.header().place.load(Ordering::Relaxed) & (0xff00 | MOVED | marks::DEDICATED)
    }

    /// The arena that the cell was cut from: of the NUMA node where its actor was spawned.
    pub(in crate::cell) fn birth_arena(self) -> u8 {
        self.header().place.load(Ordering::Relaxed) as u8
    }

    /// As `schedule`, of a cell that this thread's worker serves if the thread is a worker: see
    /// [`Local::is_home_of`](crate::cell::local::Local::is_home_of). The caller owns the cell.
    #[inline(always)]
    pub(crate) fn schedule_at_home(self, hint: Hint) {
        self.runtime().schedule_at_home(self, hint);
    }

    /// Says where the actor lives from now on.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(in crate::cell) unsafe fn set_home(self, arena: u8, numa_index: usize) {
        let place = &self.header().place;
        let home = u32::from(arena) << 24 | (numa_index as u32 & 0xff) << 8;
        // Relaxed: a sender that sees the old place makes its message there and queues the cell there,
        // which costs a detour and nothing else. No plain store: others set marks in the same word (H5).
        let moved = place.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            Some(now & 0x00ff_00ff | home | MOVED)
        });
        debug_assert!(moved.is_ok(), "an update that is always wanted");
    }

    /// Makes zeroed memory of a cell's size and alignment the turn of a batch lane of `runtime`, which belongs to
    /// the NUMA node of that index. Nobody has an id of it.
    ///
    /// # Safety
    ///
    /// The memory is the caller's, for ever.
    pub(in crate::cell) unsafe fn occupy_as_lane(
        self,
        runtime: &'static Runtime,
        arena: u8,
        numa_index: usize,
    ) {
        let header = self.header();
        let arena = u32::from(arena);
        let place = arena | arena << 24 | mark_of_home(numa_index);
        header.place.store(place, Ordering::Relaxed);
        header
            .runtime
            .store(std::ptr::from_ref(runtime).cast_mut(), Ordering::Release);
        // SAFETY: by the caller.
        unsafe {
            let mut owned = Owned::new(std::ptr::null_mut(), RestartPolicy::Temporary, 0);
            owned.phase = Phase::Lane;
            owned.lay_down(self.owned());
        }
    }
}

/// The [`CellRef::home_mark`] of those who live there and have never moved.
pub(in crate::cell) const fn mark_of_home(numa_index: usize) -> u32 {
    (numa_index as u32 & 0xff) << 8
}

//! An actor with a thread of its own.
//!
//! Which thread that is, the scheduler knows (`scheduler::dedicated`). Here it is one mark in the word that
//! says where the actor lives, next to its NUMA index: read together they are the *route* by which the cell
//! is scheduled, at the price of reading the NUMA index alone. The mark is set at birth, before anybody can
//! send anything, stays through restarts, and is taken back at the actor's end; whoever has read it a moment
//! before queues the dead cell at its NUMA node's workers.

use super::header::CellRef;
use super::marks::DEDICATED;
use crate::scheduler;

/// Where the mark stands in a route.
const _: () = assert!(DEDICATED as usize >> 8 == scheduler::DEDICATED);

impl CellRef {
    /// Whether the actor that lives here has a thread of its own.
    pub(crate) fn is_dedicated(self) -> bool {
        self.has_mark(DEDICATED)
    }

    /// At the actor's end: the thread ends, too.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn leave_thread(self) {
        if self.is_dedicated() {
            self.mark(DEDICATED, false);
            let scheduler = self.runtime().scheduler();
            scheduler.vacate(self.task(), self.numa_index());
        }
    }
}

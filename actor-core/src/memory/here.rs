//! Which arena is at home on this thread: set by the threads that serve a NUMA node (its workers, its
//! reactor's, its blocking ones, its timers'), and nothing elsewhere.

use std::cell::Cell;

use crate::id::NumaNodeId;

thread_local! {
    /// Const and without a destructor: readable while a thread ends.
    static HERE: Cell<Option<u8>> = const { Cell::new(None) };
}

/// Says that this thread serves that arena's NUMA node.
pub(crate) fn set_here(arena: u8) {
    HERE.set(Some(arena));
}

/// The arena of the NUMA node that this thread serves, if it serves one.
pub(crate) fn here() -> Option<u8> {
    HERE.get()
}

/// The NUMA node that this thread serves: a worker's, or that of a thread of the runtime beside them. `None` on a
/// thread that is not the runtime's.
///
/// # Examples
///
/// ```
/// assert_eq!(actor_core::numa_node_here(), None);
/// ```
pub fn numa_node_here() -> Option<NumaNodeId> {
    here().map(NumaNodeId)
}

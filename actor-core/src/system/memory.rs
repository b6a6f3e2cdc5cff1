//! What the system's memory is, by NUMA node and size, and memory of the user's own from outside.

use super::SystemRef;
use crate::id::NumaNodeId;
use crate::memory::{self, ClassStats, NotAllocated, NumaAllocError, NumaBox};

impl SystemRef {
    /// The arenas by size class, for each NUMA node that has workers: bytes set aside, and bytes of them
    /// that are free. Shared by all systems of the process. Takes each class's lock for a moment.
    pub fn memory_classes(&self) -> Vec<(NumaNodeId, Vec<ClassStats>)> {
        self.runtime
            .numa_nodes()
            .map(|node| (node, memory::classes(node)))
            .collect()
    }

    /// Moves a value into the memory of a NUMA node that has workers; see [`NumaBox`].
    ///
    /// # Errors
    ///
    /// `NoSuchNode`, or `NoMemory` above
    /// [`message_memory`](crate::SystemBuilder::message_memory) or when the kernel has none; with the value.
    pub fn alloc_on<T>(&self, node: NumaNodeId, value: T) -> Result<NumaBox<T>, NotAllocated<T>> {
        match self.check_node(node) {
            Ok(()) => NumaBox::new_in(node.0, value),
            Err(error) => Err(NotAllocated { error, value }),
        }
    }

    /// As [`ActorContext::alloc_local_slice`](crate::ActorContext::alloc_local_slice), in the memory of that
    /// NUMA node.
    ///
    /// # Errors
    ///
    /// As for [`alloc_on`](Self::alloc_on), and `TooLarge` for more than an address space holds.
    ///
    /// # Panics
    ///
    /// When `make` does; what it has made so far is dropped.
    pub fn alloc_slice_on<T>(
        &self,
        node: NumaNodeId,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<NumaBox<[T]>, NumaAllocError> {
        self.check_node(node)?;
        NumaBox::slice_in(node.0, len, make)
    }

    fn check_node(&self, node: NumaNodeId) -> Result<(), NumaAllocError> {
        match self.runtime.numa_index_of(node) {
            Some(_) => Ok(()),
            None => Err(NumaAllocError::NoSuchNode {
                asked: node,
                existing: self.numa_nodes(),
            }),
        }
    }
}

//! Memory of the user's own at the actor's home.

use super::actor::Actor;
use super::actor_context::ActorContext;
use crate::memory::{Movable, NotAllocated, NumaAllocError, NumaBox};

impl<A: Actor> ActorContext<A> {
    /// Moves a value into the memory of the actor's NUMA node; see [`NumaBox`].
    ///
    /// # Errors
    ///
    /// `NoMemory`, with the value, above
    /// [`message_memory`](crate::SystemBuilder::message_memory) or when the kernel has none.
    pub fn alloc_local<T>(&self, value: T) -> Result<NumaBox<T>, NotAllocated<T>> {
        NumaBox::new_in(self.cell().arena(), value)
    }

    /// `len` values in the memory of the actor's NUMA node, made by `make` from their indexes. From 512 KiB
    /// on it has a mapping of its own, and its memory goes back to the kernel when it is dropped.
    ///
    /// # Errors
    ///
    /// `NoMemory` as for [`alloc_local`](Self::alloc_local); `TooLarge` for more than an address space holds.
    ///
    /// # Panics
    ///
    /// When `make` does; what it has made so far is dropped.
    pub fn alloc_local_slice<T>(
        &self,
        len: usize,
        make: impl FnMut(usize) -> T,
    ) -> Result<NumaBox<[T]>, NumaAllocError> {
        NumaBox::slice_in(self.cell().arena(), len, make)
    }

    /// Moves the value of a box into the memory of the actor's NUMA node, if it lies elsewhere: one copy of
    /// its bytes. For an actor that has been [moved](crate::ActorRef::move_to), or a box that was sent.
    ///
    /// # Errors
    ///
    /// `NoMemory`, with the box as it was.
    pub fn bring_home<T: Movable + ?Sized>(
        &self,
        boxed: NumaBox<T>,
    ) -> Result<NumaBox<T>, NotAllocated<NumaBox<T>>> {
        boxed.moved_to(self.cell().arena())
    }
}

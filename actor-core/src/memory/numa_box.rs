//! A box for the user's own values, in the arena of a NUMA node.
//!
//! It knows the arena, not the actor: where it lies it stays, whoever owns it and wherever that moves. It
//! may be dropped on any thread at any time, also when its system is long gone: arenas belong to the
//! process. What is freed on another NUMA node goes home with the next batch, as messages do.
//!
//! Its bytes count towards the limit for messages (`limit`), so that a program that fills memory with
//! buffers is told so here, in a typed error, and not by the kernel.

use std::alloc::Layout;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::arena::Arena;
use super::class::class_for;
use super::{Purpose, alloc, free, limit};
use crate::id::NumaNodeId;

/// A value in the memory of one NUMA node; freed there, whichever thread drops it.
///
/// For what an actor works on all the time and would otherwise be wherever malloc found room: tables,
/// buffers, caches. Made by [`ActorContext::alloc_local`](crate::ActorContext::alloc_local) and
/// [`alloc_local_slice`](crate::ActorContext::alloc_local_slice), or by
/// [`SystemRef::alloc_on`](crate::SystemRef::alloc_on) from outside.
///
/// - **It stays where it is**, also when its owner moves to another NUMA node; then
///   [`bring_home`](crate::ActorContext::bring_home) copies it after.
/// - **It may outlive its system**: its memory belongs to the process.
/// - **It counts** towards
///   [`SystemBuilder::message_memory`](crate::SystemBuilder::message_memory); above that nothing is
///   allocated. `MemoryStats::user_bytes` tells how much there is.
/// - What the value points to (a `Vec` in it) lies wherever it was allocated.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_core::NumaBox;
///
/// struct Cache {
///     slots: Option<NumaBox<[u64]>>,
/// }
///
/// impl Actor for Cache {
///     async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
///         let slots = cx.alloc_local_slice(4096, |index| index as u64)?;
///         assert_eq!(slots.numa_node(), cx.numa_node());
///         self.slots = Some(slots);
///         Ok(())
///     }
/// }
/// ```
pub struct NumaBox<T: ?Sized> {
    value: NonNull<T>,
    arena: u8,
    owns: PhantomData<T>,
}

// SAFETY: it owns its value, as a Box does, and a block may be freed on any thread.
unsafe impl<T: Send + ?Sized> Send for NumaBox<T> {}
// SAFETY: shared access to the box is shared access to the value.
unsafe impl<T: Sync + ?Sized> Sync for NumaBox<T> {}

/// Why nothing was allocated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NumaAllocError {
    /// More than the process may use for messages and boxes, or than the kernel has.
    NoMemory {
        /// Bytes that were asked for.
        bytes: usize,
        /// The limit for all of it together; see
        /// [`SystemBuilder::message_memory`](crate::SystemBuilder::message_memory).
        limit: u64,
    },
    /// More than any address space holds.
    TooLarge {
        /// Values that were asked for.
        len: usize,
        /// Bytes of each.
        size: usize,
    },
    /// No worker of this system serves that NUMA node.
    NoSuchNode {
        /// What was asked for.
        asked: NumaNodeId,
        /// What there is.
        existing: Vec<NumaNodeId>,
    },
}

impl fmt::Display for NumaAllocError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemory { bytes, limit } => write!(
                f,
                "no memory for {bytes} bytes: messages and boxes may take {limit} bytes together \
                 (SystemBuilder::message_memory)"
            ),
            Self::TooLarge { len, size } => write!(
                f,
                "{len} values of {size} bytes: at most {} fit an address space",
                isize::MAX as usize / (*size).max(1)
            ),
            Self::NoSuchNode { asked, existing } => {
                write!(f, "{asked} has no workers: use one of")?;
                existing.iter().try_for_each(|node| write!(f, " {node}"))
            }
        }
    }
}

impl Error for NumaAllocError {}

/// A value that found no room, and why; the value is given back.
pub struct NotAllocated<T> {
    /// Why.
    pub error: NumaAllocError,
    /// What was to be moved there.
    pub value: T,
}

impl<T> fmt::Debug for NotAllocated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotAllocated")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for NotAllocated<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> Error for NotAllocated<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl<T> NumaBox<T> {
    /// Moves the value into that arena.
    pub(crate) fn new_in(arena: u8, value: T) -> Result<Self, NotAllocated<T>> {
        match Block::new(arena, Layout::new::<T>()) {
            Ok(block) => {
                let place = block.keep().cast::<T>();
                // SAFETY: a fresh block of this layout.
                unsafe { place.write(value) };
                Ok(Self::from_block(place, arena))
            }
            Err(error) => Err(NotAllocated { error, value }),
        }
    }

    /// The value, out of its box.
    pub fn into_inner(boxed: Self) -> T {
        let boxed = ManuallyDrop::new(boxed);
        let _block = Block::of(&boxed);
        // SAFETY: the value is read once: the box is not dropped, and its block drops no value.
        unsafe { boxed.value.read() }
    }
}

impl<T> NumaBox<[T]> {
    /// `len` values, made one after the other. If `make` panics, those made are dropped.
    pub(crate) fn slice_in(
        arena: u8,
        len: usize,
        mut make: impl FnMut(usize) -> T,
    ) -> Result<Self, NumaAllocError> {
        let layout = Layout::array::<T>(len).map_err(|_| NumaAllocError::TooLarge {
            len,
            size: size_of::<T>(),
        })?;
        let block = Block::new(arena, layout)?;
        let mut made = Made {
            start: block.start.cast::<T>(),
            len: 0,
        };
        while made.len < len {
            let value = make(made.len);
            // SAFETY: within the block of `len` values; not initialised.
            unsafe { made.start.add(made.len).write(value) };
            made.len += 1;
        }
        let start = ManuallyDrop::new(made).start;
        block.keep();
        Ok(Self::from_block(
            NonNull::slice_from_raw_parts(start, len),
            arena,
        ))
    }
}

/// The first values of a slice that is being filled.
struct Made<T> {
    start: NonNull<T>,
    len: usize,
}

impl<T> Drop for Made<T> {
    fn drop(&mut self) {
        let made = NonNull::slice_from_raw_parts(self.start, self.len);
        // SAFETY: so many are initialised, and nobody else knows of them.
        unsafe { made.drop_in_place() };
    }
}

impl<T: ?Sized> NumaBox<T> {
    fn from_block(value: NonNull<T>, arena: u8) -> Self {
        Self {
            value,
            arena,
            owns: PhantomData,
        }
    }

    /// The NUMA node in whose memory the value lies, as far as the kernel had room there.
    pub fn numa_node(&self) -> NumaNodeId {
        NumaNodeId(self.arena)
    }
}

impl<T: Movable + ?Sized> NumaBox<T> {
    /// The same value in another arena; the box as it is if that is where it lies.
    pub(crate) fn moved_to(self, arena: u8) -> Result<Self, NotAllocated<Self>> {
        if self.arena == arena {
            return Ok(self);
        }
        let layout = Layout::for_value(&*self);
        let block = match Block::new(arena, layout) {
            Ok(block) => block.keep(),
            Err(error) => return Err(NotAllocated { error, value: self }),
        };
        let old = ManuallyDrop::new(self);
        let _old_block = Block::of(&old);
        let bytes = old.value.cast::<u8>();
        // SAFETY: a value may be moved, which is a copy of its bytes into a block of its layout; the old
        // one is not dropped, and its block drops no value.
        unsafe { bytes.copy_to_nonoverlapping(block, layout.size()) };
        Ok(Self::from_block(T::at(old.value, block), arena))
    }
}

/// Values and slices of values: what can be moved knowing its bytes alone.
#[doc(hidden)]
pub trait Movable: sealed::Sealed {
    /// A pointer to what `like` points to, in another place.
    fn at(like: NonNull<Self>, start: NonNull<u8>) -> NonNull<Self>;
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for T {}
    impl<T> Sealed for [T] {}
}

impl<T> Movable for T {
    fn at(_like: NonNull<Self>, start: NonNull<u8>) -> NonNull<Self> {
        start.cast()
    }
}

impl<T> Movable for [T] {
    fn at(like: NonNull<Self>, start: NonNull<u8>) -> NonNull<Self> {
        NonNull::slice_from_raw_parts(start.cast(), like.len())
    }
}

impl<T: ?Sized> Drop for NumaBox<T> {
    fn drop(&mut self) {
        // Freed also if the value's drop panics.
        let _block = Block::of(self);
        // SAFETY: the value is the box's, which ends here.
        unsafe { self.value.drop_in_place() };
    }
}

/// The memory of a box, without regard to what is in it.
struct Block {
    start: NonNull<u8>,
    arena: u8,
    layout: Layout,
}

impl Block {
    fn new(arena: u8, layout: Layout) -> Result<Self, NumaAllocError> {
        let start = match layout.size() {
            // Nothing to store: any aligned address will do.
            0 => NonNull::new(std::ptr::without_provenance_mut(layout.align()))
                .expect("an alignment is not 0"),
            bytes => {
                let start = alloc(arena, class_for(layout), layout, Purpose::Message);
                let limit = limit::limit();
                start.ok_or(NumaAllocError::NoMemory { bytes, limit })?
            }
        };
        Arena::get(arena).add_user_bytes(layout.size());
        Ok(Self {
            start,
            arena,
            layout,
        })
    }

    /// That of a box: the caller does not use the box again.
    fn of<T: ?Sized>(boxed: &NumaBox<T>) -> Self {
        Self {
            start: boxed.value.cast(),
            arena: boxed.arena,
            layout: Layout::for_value(&**boxed),
        }
    }

    /// Somebody else sees to it from now on.
    fn keep(self) -> NonNull<u8> {
        ManuallyDrop::new(self).start
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        Arena::get(self.arena).remove_user_bytes(self.layout.size());
        if self.layout.size() > 0 {
            let class = class_for(self.layout);
            // SAFETY: allocated in `new` with the same arguments; who drops the block has done with it.
            unsafe { free(self.start, self.arena, class, self.layout) };
        }
    }
}

impl<T: ?Sized> Deref for NumaBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the box owns an initialised value.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for NumaBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above; borrowed exclusively with the box.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized> AsRef<T> for NumaBox<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: ?Sized> AsMut<T> for NumaBox<T> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: PartialEq + ?Sized> PartialEq for NumaBox<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq + ?Sized> Eq for NumaBox<T> {}

impl<T: fmt::Debug + ?Sized> fmt::Debug for NumaBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display + ?Sized> fmt::Display for NumaBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
#[path = "numa_box_tests.rs"]
mod tests;

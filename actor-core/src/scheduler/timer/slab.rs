//! Where the entries of a wheel lie: in blocks from an arena, so on the NUMA node that the wheel is for.
//!
//! Blocks of 64 rather than one growing array: growing would copy every timer there is, under the
//! wheel's lock, and the copy would lie wherever the thread that set the one timer too many runs.
//! A wheel keeps the blocks it has until it is dropped.
//!
//! Invariant: the first `len` entries, over all blocks in order, are initialised, and no others.

use std::alloc::Layout;
use std::ops::{Index, IndexMut};
use std::ptr::NonNull;

use crate::contain::contain;
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};

/// Entries of one block. 64 timers of 48 bytes fill the class of 3072.
const BLOCK: usize = 64;

pub(super) struct Slab<E> {
    blocks: Vec<NonNull<E>>,
    len: usize,
    arena: u8,
}

// SAFETY: it owns its entries and its blocks, which may be given back from any thread.
unsafe impl<E: Send> Send for Slab<E> {}

impl<E> Slab<E> {
    const LAYOUT: Layout = match Layout::array::<E>(BLOCK) {
        Ok(layout) => layout,
        Err(_) => panic!("64 entries fit the address space"),
    };
    const CLASS: Class = class_for(Self::LAYOUT);

    /// Empty; the first `push` allocates.
    pub(super) const fn new(arena: u8) -> Self {
        const { assert!(size_of::<E>() > 0) };
        Self {
            blocks: Vec::new(),
            len: 0,
            arena,
        }
    }

    pub(super) fn arena(&self) -> u8 {
        self.arena
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds an entry behind the last.
    pub(super) fn push(&mut self, entry: E) {
        let at = self.len % BLOCK;
        if at == 0 {
            // Room in the table first: if that fails, no block is lost.
            self.blocks.reserve(1);
            let block = memory::alloc(self.arena, Self::CLASS, Self::LAYOUT, Purpose::Runtime)
                .expect("the runtime's own blocks are not refused");
            self.blocks.push(block.cast());
        }
        let block = self.blocks[self.len / BLOCK];
        // SAFETY: within the block, which has room for `BLOCK`; the place is not initialised.
        unsafe { block.add(at).write(entry) };
        self.len += 1;
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut E> {
        if index >= self.len {
            return None;
        }
        // SAFETY: the invariant; borrowed from `self`, which owns it.
        Some(unsafe { self.place(index).as_mut() })
    }

    /// # Safety
    ///
    /// `index` is below `len`.
    unsafe fn place(&self, index: usize) -> NonNull<E> {
        // SAFETY: by the caller there is such a block, and it has `BLOCK` places.
        unsafe { self.blocks.get_unchecked(index / BLOCK).add(index % BLOCK) }
    }
}

impl<E> Index<u32> for Slab<E> {
    type Output = E;

    fn index(&self, index: u32) -> &E {
        let index = index as usize;
        assert!(index < self.len, "timer {index} of {}", self.len);
        // SAFETY: the invariant; borrowed from `self`, which owns it.
        unsafe { self.place(index).as_ref() }
    }
}

impl<E> IndexMut<u32> for Slab<E> {
    fn index_mut(&mut self, index: u32) -> &mut E {
        let len = self.len;
        let entry = self.get_mut(index as usize);
        entry.unwrap_or_else(|| panic!("timer {index} of {len}"))
    }
}

impl<E> Drop for Slab<E> {
    fn drop(&mut self) {
        for index in 0..self.len {
            // A timer holds code of others: one that panics must not keep the rest.
            // SAFETY: the invariant; each once, and `len` is not looked at again.
            contain(|| unsafe { self.place(index).drop_in_place() });
        }
        for block in &self.blocks {
            // SAFETY: allocated in `push` with the same arguments; its entries are dropped.
            unsafe { memory::free(block.cast(), self.arena, Self::CLASS, Self::LAYOUT) };
        }
    }
}

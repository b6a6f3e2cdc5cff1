//! Blocks that are too large for the slabs: big messages and states, and the user's own.
//!
//! ```text
//!   up to 512 KiB   whole pages in 13 classes, cut off the arena's own chunks, kept on a list when freed
//!   above           a mapping of its own, bound to the NUMA node, and unmapped when freed
//!   aligned to more than a page: the global allocator, wherever that puts it
//! ```
//!
//! No magazines here: 63 blocks of 512 KiB in the cache of each thread would be 32 MiB. A lock per class and
//! a block at a time is little beside filling so many bytes. A class keeps up to 1 MiB of free pages;
//! of what is freed beyond that the pages go back to the kernel, the address space stays.
//!
//! Which of the three it is depends on the layout alone, so a block finds its way back without a header.

use std::alloc::Layout;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::PoisonError;

use memmap2::{MmapMut, MmapOptions};

use super::map::{self, Chunk, HUGE};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Multiples of a page of 4 KiB, in steps of a half at most.
pub(super) const SIZES: [usize; 13] = [
    8 << 10,
    12 << 10,
    16 << 10,
    24 << 10,
    32 << 10,
    48 << 10,
    64 << 10,
    96 << 10,
    128 << 10,
    192 << 10,
    256 << 10,
    384 << 10,
    512 << 10,
];

/// What blocks of all classes are aligned to.
const ALIGN: usize = 4096;
/// Bytes of free blocks whose pages a class keeps.
const KEEP: usize = 1 << 20;
/// Bytes that classes are cut from.
const CHUNK: usize = if cfg!(miri) { 512 << 10 } else { 2 * HUGE };

/// The large blocks of one arena.
#[derive(Debug)]
pub(super) struct Large {
    classes: [Mutex<Free>; SIZES.len()],
    rest: Mutex<Rest>,
    own: Mutex<HashMap<usize, MmapMut>>,
    bytes: AtomicU64,
    blocks: AtomicU64,
    /// Bytes of chunks that classes were cut from.
    reserved: AtomicU64,
}

/// Free blocks of one class.
#[derive(Debug, Default)]
struct Free {
    /// With their pages.
    warm: Vec<Address>,
    /// Without.
    cold: Vec<Address>,
    /// Cut so far.
    cut: u64,
}

/// What has not been cut.
#[derive(Debug, Default)]
struct Rest {
    chunks: Vec<Chunk>,
    start: Address,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Address(*mut u8);

// SAFETY: an address of a block that the list owns; a block may be used from any thread.
unsafe impl Send for Address {}

impl Default for Address {
    fn default() -> Self {
        Self(std::ptr::null_mut())
    }
}

/// Where a block comes from and goes to.
enum Source {
    Class(usize),
    Own,
    Global,
}

fn source(layout: Layout) -> Source {
    if layout.align() > ALIGN {
        return Source::Global;
    }
    match SIZES.iter().position(|size| *size >= layout.size()) {
        Some(class) => Source::Class(class),
        None => Source::Own,
    }
}

/// What a block of that layout takes.
pub(super) fn footprint(layout: Layout) -> usize {
    match source(layout) {
        Source::Class(class) => SIZES[class],
        Source::Own => layout.size().next_multiple_of(ALIGN),
        Source::Global => layout.size(),
    }
}

/// What binds a mapping to the arena's NUMA node.
pub(super) trait Bind {
    fn bind(&self, chunk: Chunk);
    fn huge_refused(&self, error: std::io::Error);
}

impl Large {
    pub(super) fn new() -> Self {
        Self {
            classes: std::array::from_fn(|_| Mutex::new(Free::default())),
            rest: Mutex::new(Rest::default()),
            own: Mutex::new(HashMap::new()),
            bytes: AtomicU64::new(0),
            blocks: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
        }
    }

    /// A block of that layout, whose size is not 0. `None`: the kernel has no more.
    pub(super) fn alloc(&self, layout: Layout, home: &impl Bind) -> Option<NonNull<u8>> {
        let block = match source(layout) {
            Source::Class(class) => self.take(class, home)?,
            Source::Own => self.map(layout, home)?,
            // SAFETY: by the caller the size is not 0.
            Source::Global => NonNull::new(unsafe { std::alloc::alloc(layout) })?,
        };
        // Relaxed: statistics.
        self.bytes
            .fetch_add(footprint(layout) as u64, Ordering::Relaxed);
        self.blocks.fetch_add(1, Ordering::Relaxed);
        Some(block)
    }

    /// # Safety
    ///
    /// The block came from `alloc` of this arena with that layout, and nobody uses it.
    pub(super) unsafe fn free(&self, block: NonNull<u8>, layout: Layout) {
        self.bytes
            .fetch_sub(footprint(layout) as u64, Ordering::Relaxed);
        self.blocks.fetch_sub(1, Ordering::Relaxed);
        match source(layout) {
            // SAFETY: by the caller.
            Source::Class(class) => unsafe { self.put(class, block) },
            Source::Own => {
                let map = lock(&self.own).remove(&block.as_ptr().addr());
                debug_assert!(map.is_some(), "{block:?} was not mapped here");
                // Unmapped without the lock: the kernel takes its time.
                drop(map);
            }
            // SAFETY: by the caller it came from there.
            Source::Global => unsafe { std::alloc::dealloc(block.as_ptr(), layout) },
        }
    }

    fn take(&self, class: usize, home: &impl Bind) -> Option<NonNull<u8>> {
        let mut free = lock(&self.classes[class]);
        if let Some(Address(block)) = free.warm.pop().or_else(|| free.cold.pop()) {
            return NonNull::new(block);
        }
        free.cut += 1;
        drop(free);
        let block = self.cut(SIZES[class], home);
        if block.is_none() {
            lock(&self.classes[class]).cut -= 1;
        }
        block
    }

    fn cut(&self, size: usize, home: &impl Bind) -> Option<NonNull<u8>> {
        let mut rest = lock(&self.rest);
        if rest.len < size {
            // What is left of the old chunk is address space that is never touched.
            let bind = |chunk| home.bind(chunk);
            let chunk = map::chunk(CHUNK, bind, |error| home.huge_refused(error)).ok()?;
            rest.chunks.push(chunk);
            (rest.start, rest.len) = (Address(chunk.start), chunk.len);
            self.reserved.fetch_add(CHUNK as u64, Ordering::Relaxed);
        }
        let Address(block) = rest.start;
        rest.start = Address(block.wrapping_add(size));
        rest.len -= size;
        NonNull::new(block)
    }

    /// # Safety
    ///
    /// A block of that class that nobody uses.
    unsafe fn put(&self, class: usize, block: NonNull<u8>) {
        let size = SIZES[class];
        let address = Address(block.as_ptr());
        let mut free = lock(&self.classes[class]);
        if (free.warm.len() + 1) * size <= KEEP {
            free.warm.push(address);
            return;
        }
        drop(free);
        // SAFETY: by the caller; whole pages, and on no list yet.
        unsafe { map::forget_pages(block.as_ptr(), size) };
        lock(&self.classes[class]).cold.push(address);
    }

    fn map(&self, layout: Layout, home: &impl Bind) -> Option<NonNull<u8>> {
        let len = layout.size().checked_next_multiple_of(ALIGN)?;
        let mut map = MmapOptions::new().len(len).map_anon().ok()?;
        let start = map.as_mut_ptr();
        home.bind(Chunk { start, len });
        if map::mode() != map::HugePages::Never {
            map::want_huge(start, len);
        }
        lock(&self.own).insert(start.addr(), map);
        NonNull::new(start)
    }

    /// Every mapping, to be looked at. Those of single blocks may be gone by then, which a look at
    /// addresses does not mind.
    pub(super) fn mappings(&self) -> Vec<Chunk> {
        let mut all = lock(&self.rest).chunks.clone();
        all.extend(lock(&self.own).values().map(|map| Chunk {
            start: map.as_ptr().cast_mut(),
            len: map.len(),
        }));
        all
    }

    /// Bytes and blocks in use.
    pub(super) fn in_use(&self) -> (u64, u64) {
        (
            self.bytes.load(Ordering::Relaxed),
            self.blocks.load(Ordering::Relaxed),
        )
    }

    /// By class: its size, blocks cut so far, free ones.
    pub(super) fn by_class(&self) -> impl Iterator<Item = (usize, u64, u64)> + '_ {
        SIZES.iter().zip(&self.classes).map(|(size, free)| {
            let free = lock(free);
            let idle = free.warm.len() + free.cold.len();
            (*size, free.cut, idle as u64)
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing inside the locks can panic half-way, so what a poisoned one guards is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Each thread's own magazines: allocation and free without a lock in the common case.
//!
//! # Invariants
//!
//! - I1: a block is in exactly one place: in use, in one magazine, or in the uncut rest of a chunk.
//! - I2: a `ThreadCache` is reached only from its own thread, through `CACHE`, and lives until that
//!   thread's destructors run.

use std::alloc::Layout;
use std::cell::Cell;
use std::ptr::NonNull;

use super::arena::{Arena, MAGAZINE, Magazine};
use super::class::{Class, LARGE, SIZES};
use super::large::footprint;
use super::{ONE_HOME, limit};

/// What a block is for: decides what happens at the memory limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A user's message: refused above the limit (the sender gets `Overloaded`).
    Message,
    /// What the runtime needs to keep its word (signals, states, frames): never refused.
    Runtime,
}

/// Two magazines: with one, a thread that allocates and frees at the edge of full would go to the
/// depot each time (Bonwick and Adams, section 3.1).
struct Pair {
    loaded: Box<Magazine>,
    previous: Box<Magazine>,
}

struct ArenaCache {
    arena: &'static Arena,
    classes: [Pair; SIZES.len()],
    cells: Pair,
}

struct ThreadCache {
    arenas: [*mut ArenaCache; 256],
}

// SAFETY: for `NOTHING` alone, whose pointers are null and are not written.
unsafe impl Sync for ThreadCache {}

/// The cache of a thread that has none.
static NOTHING: ThreadCache = ThreadCache {
    arenas: [std::ptr::null_mut(); 256],
};

thread_local! {
    /// [`NOTHING`] until first use and again after the thread's destructors ran: the way through it has one
    /// question less than one past a null pointer.
    static CACHE: Cell<*const ThreadCache> = const { Cell::new(&raw const NOTHING) };
    /// With [`ONE_HOME`] a thread needs no table to find its magazines.
    static ONLY: Cell<*mut ArenaCache> = const { Cell::new(std::ptr::null_mut()) };
    /// Hands the magazines back at the thread's end.
    static AT_EXIT: AtExit = const { AtExit };
}

struct AtExit;

impl Drop for AtExit {
    fn drop(&mut self) {
        let cache = CACHE.replace(&NOTHING).cast_mut();
        if ONE_HOME {
            ONLY.set(std::ptr::null_mut());
        }
        if std::ptr::eq(cache, &NOTHING) {
            return;
        }
        // SAFETY: I2: the pointer came from `Box::into_raw` in `thread_cache`, and it was taken out
        // of the only place that holds it.
        let cache = unsafe { Box::from_raw(cache) };
        for arena in cache.arenas {
            if !arena.is_null() {
                // SAFETY: as above, made by `Box::into_raw` in `arena_cache`.
                unsafe { Box::from_raw(arena) }.give_back();
            }
        }
    }
}

/// A block of `class` from arena `number`; for [`LARGE`] by `layout`, see `large`.
///
/// `None` only for [`Purpose::Message`]: over the memory limit.
#[inline(always)]
pub(crate) fn alloc(
    number: u8,
    class: Class,
    layout: Layout,
    purpose: Purpose,
) -> Option<NonNull<u8>> {
    if class == LARGE {
        return alloc_large(number, layout, purpose);
    }
    let cache = arena_cache(number);
    // SAFETY: I2; the reference ends before anything else can reach the cache.
    let block = unsafe { (*cache).classes[usize::from(class)].take() }.or_else(|| {
        // SAFETY: as above.
        unsafe { (*cache).refill(class, purpose) }
    });
    block.and_then(NonNull::new)
}

/// Gives a block back to the arena it came from, from any thread.
///
/// # Safety
///
/// `block` came from [`alloc`] with the same arena, class and layout, and nobody uses it any more.
#[inline(always)]
pub(crate) unsafe fn free(block: NonNull<u8>, number: u8, class: Class, layout: Layout) {
    if class == LARGE {
        // SAFETY: by the contract it came from `alloc_large` with this arena and layout.
        unsafe { free_large(block, number, layout) };
        return;
    }
    let cache = arena_cache(number);
    // SAFETY: I2; the reference ends before anything else can reach the cache.
    unsafe { (*cache).put(class, block.as_ptr()) };
}

/// A cell that nobody uses, with its index. `None`: the address space for cells is used up.
///
/// Its bytes are zero, or what the cell's last life left: cells are type-stable.
pub(crate) fn alloc_cell(number: u8) -> Option<(NonNull<u8>, u32)> {
    let cache = arena_cache(number);
    // SAFETY: I2.
    let cache = unsafe { &mut *cache };
    let cell = cache.cells.take().or_else(|| cache.refill_cells())?;
    Some((NonNull::new(cell)?, cache.arena.cell_index(cell)))
}

/// Makes a cell available again.
///
/// # Safety
///
/// `cell` came from [`alloc_cell`] of the same arena and its owner gave up all claim to it. Stale
/// references may still read and push to it; that is what type-stable memory is for.
pub(crate) unsafe fn free_cell(cell: NonNull<u8>, number: u8) {
    let cache = arena_cache(number);
    // SAFETY: I2.
    unsafe { (*cache).put_cell(cell.as_ptr()) };
}

#[cold]
fn alloc_large(number: u8, layout: Layout, purpose: Purpose) -> Option<NonNull<u8>> {
    debug_assert!(
        layout.size() > 0,
        "nothing of size 0 is too large for the slab"
    );
    let bytes = footprint(layout) as u64;
    if purpose == Purpose::Message && !limit::allows(bytes) {
        return None;
    }
    let block = Arena::get(number).alloc_large(layout);
    if block.is_some() {
        limit::add(bytes);
    } else if purpose == Purpose::Runtime {
        std::alloc::handle_alloc_error(layout);
    }
    block
}

/// # Safety
///
/// As for [`free`], of a block that no class serves.
#[cold]
unsafe fn free_large(block: NonNull<u8>, number: u8, layout: Layout) {
    // SAFETY: by the caller.
    unsafe { Arena::get(number).free_large(block, layout) };
    limit::remove(footprint(layout) as u64);
}

#[inline(always)]
fn arena_cache(number: u8) -> *mut ArenaCache {
    if ONE_HOME {
        let only = ONLY.get();
        if !only.is_null() {
            return only;
        }
    }
    // SAFETY: I2, or it is a static.
    let arena = unsafe { (*CACHE.get()).arenas[usize::from(number)] };
    if arena.is_null() {
        return make_arena_cache(number);
    }
    arena
}

#[cold]
#[inline(never)]
fn make_arena_cache(number: u8) -> *mut ArenaCache {
    let mut cache = CACHE.get().cast_mut();
    if std::ptr::eq(cache, &NOTHING) {
        cache = Box::into_raw(Box::new(ThreadCache {
            arenas: [std::ptr::null_mut(); 256],
        }));
        CACHE.set(cache);
        // Registers the destructor. A thread whose destructors have already run (a block freed by
        // another thread-local's destructor) keeps this small cache: leaked, not lost track of.
        let _ = AT_EXIT.try_with(|_| ());
    }
    let arena = Box::into_raw(Box::new(ArenaCache::new(number)));
    // SAFETY: I2; the slot was null.
    unsafe { (*cache).arenas[usize::from(number)] = arena };
    if ONE_HOME {
        ONLY.set(arena);
    }
    arena
}

impl Pair {
    fn new() -> Self {
        Self {
            loaded: Magazine::empty(),
            previous: Magazine::empty(),
        }
    }

    #[inline(always)]
    fn take(&mut self) -> Option<*mut u8> {
        if let Some(block) = self.loaded.pop() {
            return Some(block);
        }
        if self.previous.len == 0 {
            return None;
        }
        std::mem::swap(&mut self.loaded, &mut self.previous);
        self.loaded.pop()
    }

    /// Whether the block found room.
    #[inline(always)]
    fn put(&mut self, block: *mut u8) -> bool {
        if self.loaded.len == MAGAZINE {
            if self.previous.len != 0 {
                return false;
            }
            std::mem::swap(&mut self.loaded, &mut self.previous);
        }
        self.loaded.push(block);
        true
    }
}

impl ArenaCache {
    fn new(number: u8) -> Self {
        Self {
            arena: Arena::get(number),
            classes: std::array::from_fn(|_| Pair::new()),
            cells: Pair::new(),
        }
    }

    #[cold]
    #[inline(never)]
    fn refill(&mut self, class: Class, purpose: Purpose) -> Option<*mut u8> {
        let loaded = &mut self.classes[usize::from(class)].loaded;
        if self.arena.refill(class, purpose, loaded) {
            loaded.pop()
        } else {
            None
        }
    }

    #[inline(always)]
    fn put(&mut self, class: Class, block: *mut u8) {
        if !self.classes[usize::from(class)].put(block) {
            self.spill(class, block);
        }
    }

    #[cold]
    #[inline(never)]
    fn spill(&mut self, class: Class, block: *mut u8) {
        let loaded = &mut self.classes[usize::from(class)].loaded;
        self.arena.spill(class, loaded);
        loaded.push(block);
    }

    #[cold]
    #[inline(never)]
    fn refill_cells(&mut self) -> Option<*mut u8> {
        let loaded = &mut self.cells.loaded;
        if self.arena.refill_cells(loaded) {
            loaded.pop()
        } else {
            None
        }
    }

    fn put_cell(&mut self, cell: *mut u8) {
        if !self.cells.put(cell) {
            self.arena.spill_cells(&mut self.cells.loaded);
            self.cells.loaded.push(cell);
        }
    }

    fn give_back(mut self) {
        for (class, pair) in self.classes.iter_mut().enumerate() {
            for magazine in [&mut pair.loaded, &mut pair.previous] {
                if magazine.len > 0 {
                    self.arena.spill(class as Class, magazine);
                }
            }
        }
        for magazine in [&mut self.cells.loaded, &mut self.cells.previous] {
            if magazine.len > 0 {
                self.arena.spill_cells(magazine);
            }
        }
    }
}

//! One arena per NUMA node: the range of cells, and per size class a depot of magazines.
//!
//! Arenas live in a static table and are never taken down: a tokio reactor may hold a waker, and a
//! user an `ActorRef`, long after the system that made the actor is gone.

use std::alloc::Layout;
use std::ptr::NonNull;
use std::sync::OnceLock;

use memmap2::{MmapMut, MmapOptions};

use super::class::{Class, SIZES};
use super::large::{Bind, Large};
use super::limit;
use super::map::{self, Chunk, HUGE, HugePages};
use super::prefault::{self, Wish};
use super::residency::{Residency, count_huge, survey};
use super::{ClassStats, MemoryStats, ONE_HOME, Purpose, bind, here};
use crate::id::{ActorId, NumaNodeId};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Bytes of one cell: two cache lines, see `cell::header`.
pub(crate) const CELL_SIZE: usize = 128;

/// Blocks a magazine holds: with its length it fills eight cache lines.
pub(crate) const MAGAZINE: usize = 63;

/// A stack of free blocks. Owned by one cache or by one depot at a time.
#[derive(Debug)]
pub(super) struct Magazine {
    pub(super) len: usize,
    pub(super) blocks: [*mut u8; MAGAZINE],
}

impl Magazine {
    pub(super) fn empty() -> Box<Self> {
        Box::new(Self {
            len: 0,
            blocks: [std::ptr::null_mut(); MAGAZINE],
        })
    }

    /// Adds one block; the caller has seen that there is room.
    #[inline(always)]
    pub(super) fn push(&mut self, block: *mut u8) {
        self.blocks[self.len] = block;
        self.len += 1;
    }

    /// Takes the block that was added last: the one most likely still in the cache.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<*mut u8> {
        if self.len == 0 {
            return None;
        }
        self.len -= 1;
        Some(self.blocks[self.len])
    }
}

/// Free blocks of one class that no thread holds, and the chunk that is being cut up.
#[expect(
    clippy::vec_box,
    reason = "magazines are traded by pointer; 512 bytes are not moved"
)]
struct Depot {
    full: Vec<Box<Magazine>>,
    empty: Vec<Box<Magazine>>,
    /// The uncut rest of the newest chunk.
    rest: *mut u8,
    rest_len: usize,
    /// Bytes of all chunks so far.
    mapped: u64,
}

// SAFETY: the depot owns the blocks it points to, and a block may be used from any thread.
unsafe impl Send for Depot {}

pub(super) struct Arena {
    number: u8,
    depots: [Mutex<Depot>; SIZES.len()],
    cells: Mutex<Depot>,
    /// Cells that the reserved range can hold.
    cell_capacity: u32,
    cells_cut: AtomicU32,
    slab_bytes: AtomicU64,
    unbound_chunks: AtomicU64,
    /// What the kernel said to the first of them.
    refusal: OnceLock<String>,
    /// All slab chunks.
    chunks: Mutex<Vec<Chunk>>,
    /// Mapped, bound and touched ahead, for the next class that needs one; see `prefault`.
    ready: Mutex<Vec<Chunk>>,
    /// Cells up to here have their pages, thanks to `prefault`.
    cells_populated: AtomicU32,
    huge_refusals: AtomicU64,
    remote_frees: AtomicU64,
    remote_batches: AtomicU64,
    large: Large,
    /// Bytes in `NumaBox`es.
    user_bytes: AtomicU64,
    /// Keeps the reserved range mapped for the life of the process.
    _cells_map: MmapMut,
}

static ARENAS: [OnceLock<Arena>; 256] = [const { OnceLock::new() }; 256];
/// Start of each arena's range of cells; null until the arena is made.
static CELL_BASE: [AtomicPtr<u8>; 256] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 256];
/// The NUMA node of the operating system that an arena is bound to, plus one; 0 = unbound.
static HOME: [AtomicU32; 256] = [const { AtomicU32::new(0) }; 256];

/// Cells whose pages are there ahead of those in use: at 10 million spawns a second, 6 ms.
const CELLS_AHEAD: u32 = (8 << 20) / CELL_SIZE as u32;

/// Says that arena `number` lies on that NUMA node of the machine, so that memory mapped from now on
/// is bound to it. Not called for pretended nodes or on machines with a single one.
pub(crate) fn set_home(number: u8, os_node: u8) {
    // Relaxed: read when the next chunk is mapped; a chunk mapped meanwhile is placed by first touch.
    HOME[usize::from(number)].store(u32::from(os_node) + 1, Ordering::Relaxed);
}

/// The address of cell `index` of arena `number`.
///
/// Both must come from an [`ActorId`], which is only made for a cell that exists.
#[inline(always)]
pub(crate) fn cell_address(number: u8, index: u32) -> *mut u8 {
    let number = if ONE_HOME { 0 } else { number };
    // Relaxed: the id reached this thread after the base was set, by whatever way it came.
    let base = CELL_BASE[usize::from(number)].load(Ordering::Relaxed);
    debug_assert!(!base.is_null(), "no arena {number}");
    base.wrapping_add(index as usize * CELL_SIZE)
}

/// Whether there is such a cell: for numbers that come from elsewhere.
pub(crate) fn has_cell(number: u8, index: u32) -> bool {
    ARENAS[usize::from(number)]
        .get()
        // Relaxed: whoever was told of the cell honestly was told after it was cut.
        .is_some_and(|arena| index < arena.cells_cut.load(Ordering::Relaxed))
}

pub(super) fn stats(number: u8) -> MemoryStats {
    ARENAS[usize::from(number)]
        .get()
        .map_or_else(MemoryStats::default, Arena::stats)
}

/// Cells cut so far.
pub(super) fn cells(number: u8) -> u32 {
    ARENAS[usize::from(number)]
        .get()
        .map_or(0, |arena| arena.cells_cut.load(Ordering::Relaxed))
}

/// What each size class holds; nothing if the arena was never used.
pub(super) fn classes(number: u8) -> Vec<ClassStats> {
    ARENAS[usize::from(number)]
        .get()
        .map_or_else(Vec::new, Arena::classes)
}

/// For what is mapped from now on, and the cells of all arenas that there are.
pub(crate) fn set_huge_pages(mode: HugePages) {
    map::set_mode(mode);
    if mode != HugePages::Never {
        for arena in ARENAS.iter().filter_map(OnceLock::get) {
            arena.want_huge_cells();
        }
    }
}

/// Asks the kernel where the pages of that arena lie; nothing if it was never used.
pub(super) fn residency(number: u8) -> std::io::Result<Residency> {
    let home = HOME[usize::from(number)].load(Ordering::Relaxed);
    let mut found = Residency {
        wanted: home
            .checked_sub(1)
            .and_then(|node| u8::try_from(node).ok())
            .map(NumaNodeId),
        ..Residency::default()
    };
    let Some(arena) = ARENAS[usize::from(number)].get() else {
        return Ok(found);
    };
    let cells = arena.cells_cut.load(Ordering::Relaxed) as usize * CELL_SIZE;
    // A copy: the kernel takes its time, and a worker may want to add a chunk.
    let mut chunks = lock(&arena.chunks).clone();
    chunks.extend(arena.large.mappings());
    chunks.push(Chunk {
        start: cell_address(number, 0),
        len: cells,
    });
    for chunk in &chunks {
        survey(chunk.start, chunk.len, &mut found)?;
    }
    count_huge(&chunks, &mut found);
    Ok(found)
}

/// Makes the arena, and says why its memory cannot be bound to its NUMA node if it cannot.
pub(crate) fn prepare(number: u8) -> Result<(), String> {
    Arena::get(number)
        .refusal
        .get()
        .cloned()
        .map_or(Ok(()), Err)
}

impl Arena {
    pub(super) fn get(number: u8) -> &'static Self {
        ARENAS[usize::from(number)].get_or_init(|| Self::new(number))
    }

    fn new(number: u8) -> Self {
        let mut map = reserve_cells();
        // Release: pairs with nothing in particular (see `cell_address`), it costs nothing here.
        CELL_BASE[usize::from(number)].store(map.as_mut_ptr(), Ordering::Release);
        let arena = Self {
            number,
            depots: std::array::from_fn(|_| Mutex::new(Depot::new())),
            cells: Mutex::new(Depot::new()),
            cell_capacity: u32::try_from(map.len() / CELL_SIZE).unwrap_or(u32::MAX),
            cells_cut: AtomicU32::new(0),
            slab_bytes: AtomicU64::new(0),
            unbound_chunks: AtomicU64::new(0),
            refusal: OnceLock::new(),
            chunks: Mutex::new(Vec::new()),
            ready: Mutex::new(Vec::new()),
            cells_populated: AtomicU32::new(0),
            huge_refusals: AtomicU64::new(0),
            remote_frees: AtomicU64::new(0),
            remote_batches: AtomicU64::new(0),
            large: Large::new(),
            user_bytes: AtomicU64::new(0),
            _cells_map: map,
        };
        arena.bind(arena.cell_range());
        if map::mode() != HugePages::Never {
            arena.want_huge_cells();
        }
        arena
    }

    fn cell_range(&self) -> Chunk {
        Chunk {
            start: CELL_BASE[usize::from(self.number)].load(Ordering::Relaxed),
            len: self.cell_capacity as usize * CELL_SIZE,
        }
    }

    /// The cells are one range, so there is no choice of pool pages for them.
    fn want_huge_cells(&self) {
        let Chunk { start, len } = self.cell_range();
        map::want_huge(start, len);
    }

    fn stats(&self) -> MemoryStats {
        let (large_bytes, large_blocks) = self.large.in_use();
        // Relaxed: statistics, each true at some moment of the call.
        MemoryStats {
            slab_bytes: self.slab_bytes.load(Ordering::Relaxed),
            cells: u64::from(self.cells_cut.load(Ordering::Relaxed)),
            unbound_chunks: self.unbound_chunks.load(Ordering::Relaxed),
            large_bytes,
            large_blocks,
            user_bytes: self.user_bytes.load(Ordering::Relaxed),
            remote_frees: self.remote_frees.load(Ordering::Relaxed),
            remote_batches: self.remote_batches.load(Ordering::Relaxed),
            huge_refusals: self.huge_refusals.load(Ordering::Relaxed),
        }
    }

    fn classes(&self) -> Vec<ClassStats> {
        let slabs = SIZES.iter().zip(&self.depots).map(|(size, depot)| {
            let depot = lock(depot);
            let idle: usize = depot.full.iter().map(|magazine| magazine.len).sum();
            ClassStats {
                block_bytes: *size,
                reserved_bytes: depot.mapped,
                free_bytes: (idle * size + depot.rest_len) as u64,
            }
        });
        let large = self.large.by_class().map(|(size, cut, idle)| ClassStats {
            block_bytes: size,
            reserved_bytes: cut * size as u64,
            free_bytes: idle * size as u64,
        });
        slabs.chain(large).collect()
    }

    /// A thread of another NUMA node has sent that many blocks home.
    fn note_sender(&self, blocks: usize) {
        if here::here().is_some_and(|here| here != self.number) {
            // Relaxed: statistics.
            self.remote_frees
                .fetch_add(blocks as u64, Ordering::Relaxed);
            self.remote_batches.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Books bytes of the user's own in.
    pub(super) fn add_user_bytes(&self, bytes: usize) {
        self.user_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Books them out.
    pub(super) fn remove_user_bytes(&self, bytes: usize) {
        self.user_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    fn bind(&self, Chunk { start, len }: Chunk) {
        let home = HOME[usize::from(self.number)].load(Ordering::Relaxed);
        let Some(os_node) = home.checked_sub(1).and_then(|node| u8::try_from(node).ok()) else {
            return;
        };
        // Not told from here: a log subscriber is code that allocates, sends and panics, and here a
        // depot is locked and a thread's cache is open.
        if let Err(error) = bind::prefer_node(start, len, os_node) {
            self.unbound_chunks.fetch_add(1, Ordering::Relaxed);
            _ = self.refusal.set(error.to_string());
        }
    }

    /// Puts blocks into an empty magazine, most cheaply by trading it for a full one. `false`: over
    /// the limit.
    pub(super) fn refill(
        &self,
        class: Class,
        purpose: Purpose,
        magazine: &mut Box<Magazine>,
    ) -> bool {
        let mut depot = lock(&self.depots[usize::from(class)]);
        if depot.trade_empty(magazine) {
            return true;
        }
        let size = SIZES[usize::from(class)];
        if depot.rest_len < size && !self.grow(&mut depot, purpose) {
            return false;
        }
        depot.cut(size, magazine);
        true
    }

    /// Trades a full magazine for an empty one.
    pub(super) fn spill(&self, class: Class, magazine: &mut Box<Magazine>) {
        self.note_sender(magazine.len);
        lock(&self.depots[usize::from(class)]).trade_full(magazine);
    }

    /// As `refill`, for cells. `false`: the reserved range is used up.
    pub(super) fn refill_cells(&self, magazine: &mut Box<Magazine>) -> bool {
        let mut depot = lock(&self.cells);
        if depot.trade_empty(magazine) {
            return true;
        }
        let cut = self.cells_cut.load(Ordering::Relaxed);
        let count = (self.cell_capacity - cut).min(MAGAZINE as u32);
        // Highest first, so that popping hands them out in ascending order: neighbours in time
        // become neighbours in memory.
        for index in (cut..cut + count).rev() {
            magazine.push(cell_address(self.number, index));
        }
        // Relaxed: written under the depot's lock; read elsewhere only for statistics.
        self.cells_cut.store(cut + count, Ordering::Relaxed);
        drop(depot);
        let populated = self.cells_populated.load(Ordering::Relaxed);
        if cut + count + CELLS_AHEAD / 2 > populated && map::mode() != HugePages::Never {
            prefault::ask(Wish::Cells(self.number));
        }
        count > 0
    }

    /// As `spill`, for cells.
    pub(super) fn spill_cells(&self, magazine: &mut Box<Magazine>) {
        self.note_sender(magazine.len);
        lock(&self.cells).trade_full(magazine);
    }

    /// The index of a cell of this arena.
    pub(super) fn cell_index(&self, cell: *mut u8) -> u32 {
        let base = CELL_BASE[usize::from(self.number)].load(Ordering::Relaxed);
        ((cell as usize - base as usize) / CELL_SIZE) as u32
    }

    fn grow(&self, depot: &mut Depot, purpose: Purpose) -> bool {
        let len = map::chunk_len() as u64;
        if purpose == Purpose::Message
            && !limit::allows(len)
            && depot.mapped + len > limit::least_per_class().max(len)
        {
            return false;
        }
        let ready = lock(&self.ready).pop();
        let chunk = match ready.map_or_else(|| self.map_chunk(), Ok) {
            Ok(chunk) => chunk,
            Err(_) if purpose == Purpose::Message => return false,
            // What the runtime needs to keep its word (a signal, a frame): the same end as a failed
            // `Box::new`, and documented as such.
            Err(_) => std::alloc::handle_alloc_error(
                Layout::from_size_align(len as usize, 4096).expect("a small layout"),
            ),
        };
        prefault::ask(Wish::Chunk(self.number));
        (depot.rest, depot.rest_len) = (chunk.start, chunk.len);
        lock(&self.chunks).push(chunk);
        let len = chunk.len as u64;
        // Relaxed: statistics and a limit that need not be exact.
        self.slab_bytes.fetch_add(len, Ordering::Relaxed);
        depot.mapped += len;
        limit::add(len);
        true
    }

    /// A chunk for the life of the process (see the module's head), bound to the NUMA node.
    fn map_chunk(&self) -> std::io::Result<Chunk> {
        let bind = |chunk| self.bind(chunk);
        map::chunk(map::chunk_len(), bind, |error| self.huge_refused(error))
    }

    /// Whether pages lie on the NUMA node whoever touches them first.
    fn is_bound(&self) -> bool {
        self.unbound_chunks.load(Ordering::Relaxed) == 0
    }

    /// Has a chunk ready, if there is none.
    pub(super) fn make_ready(&self) {
        if !self.is_bound() || !lock(&self.ready).is_empty() {
            return;
        }
        let Ok(chunk) = self.map_chunk() else {
            return;
        };
        // Refused (an old kernel, no memory): it is touched later, by whoever uses it.
        _ = map::populate(chunk.start, chunk.len);
        lock(&self.ready).push(chunk);
    }

    /// Has the pages of the cells ahead of those in use there.
    pub(super) fn populate_cells(&self) {
        const STEP: u32 = (HUGE / CELL_SIZE) as u32;
        while self.is_bound() {
            let cut = self.cells_cut.load(Ordering::Relaxed);
            let populated = self.cells_populated.load(Ordering::Relaxed).max(cut);
            let end = (populated + STEP).min(self.cell_capacity);
            if populated >= cut + CELLS_AHEAD || end == populated {
                return;
            }
            let start = populated as usize * CELL_SIZE;
            let len = (end - populated) as usize * CELL_SIZE;
            // Whole pages: where cells are in use already it changes nothing.
            let page = start & !(HUGE - 1);
            let address = self.cell_range().start.wrapping_add(page);
            if map::populate(address, start + len - page).is_err() {
                return;
            }
            self.cells_populated.store(end, Ordering::Relaxed);
        }
    }

    /// A block for `layout`, which no class serves. `None`: the kernel has no more.
    pub(super) fn alloc_large(&self, layout: Layout) -> Option<NonNull<u8>> {
        self.large.alloc(layout, self)
    }

    /// # Safety
    ///
    /// As for [`Large::free`].
    pub(super) unsafe fn free_large(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: by the caller.
        unsafe { self.large.free(block, layout) };
    }
}

impl Bind for Arena {
    fn bind(&self, chunk: Chunk) {
        self.bind(chunk);
    }

    fn huge_refused(&self, _error: std::io::Error) {
        // Relaxed: statistics.
        self.huge_refusals.fetch_add(1, Ordering::Relaxed);
    }
}

impl Depot {
    const fn new() -> Self {
        Self {
            full: Vec::new(),
            empty: Vec::new(),
            rest: std::ptr::null_mut(),
            rest_len: 0,
            mapped: 0,
        }
    }

    /// Cuts up to one magazine of blocks off the open chunk. The blocks are not touched.
    fn cut(&mut self, size: usize, into: &mut Magazine) {
        let count = (self.rest_len / size).min(MAGAZINE);
        for block in (0..count).rev() {
            into.push(self.rest.wrapping_add(block * size));
        }
        self.rest = self.rest.wrapping_add(count * size);
        self.rest_len -= count * size;
    }

    /// Whether a full magazine was there to trade.
    fn trade_empty(&mut self, magazine: &mut Box<Magazine>) -> bool {
        debug_assert_eq!(magazine.len, 0, "refilling a magazine that holds blocks");
        let Some(full) = self.full.pop() else {
            return false;
        };
        self.empty.push(std::mem::replace(magazine, full));
        true
    }

    fn trade_full(&mut self, magazine: &mut Box<Magazine>) {
        // A magazine comes back partly filled when its thread ends; it counts as full.
        let empty = self.empty.pop().unwrap_or_else(Magazine::empty);
        self.full.push(std::mem::replace(magazine, empty));
    }
}

/// Reserves address space for the cells of one arena: as much as the kernel grants, at most what an
/// [`ActorId`] can number. Reserved, not used: a page costs memory when a cell on it is first used.
fn reserve_cells() -> MmapMut {
    let most = if cfg!(miri) {
        1 << 12
    } else {
        1usize << ActorId::INDEX_BITS
    };
    // Under a limit on address space most of it is left to stacks, heaps and messages.
    let mut cells = limit::address_space().map_or(most, |bytes| {
        let share = usize::try_from(bytes / 16).unwrap_or(usize::MAX) / CELL_SIZE;
        most.min(share.max(1 << 10))
    });
    loop {
        let mut range = MmapOptions::new();
        range.len(cells * CELL_SIZE);
        // Miri knows plain mappings only.
        if !cfg!(miri) {
            range.no_reserve_swap();
        }
        match range.map_anon() {
            Ok(map) => return map,
            // A limit on address space (`ulimit -v`): take less.
            Err(_) if cells > 1 << 10 => cells /= 2,
            Err(error) => panic!("no address space for 1024 actors: {error}"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing inside the locks can panic half-way, so what a poisoned one guards is still whole.
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

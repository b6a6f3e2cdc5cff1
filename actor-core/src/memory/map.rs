//! Address space from the kernel, in pieces that it may back with huge pages.
//!
//! | [`HugePages`] | how a piece is mapped | if the kernel refuses |
//! |---|---|---|
//! | `Never` | plain pages | - |
//! | `Transparent` | aligned to 2 MiB, `MADV_HUGEPAGE` | plain pages, nobody is told: a wish |
//! | `Explicit` | `MAP_HUGETLB`, every page there at once | counted, then as `Transparent` |
//!
//! Explicit huge pages are touched when they are mapped. The kernel promises them to a mapping without
//! asking on which NUMA nodes they are free, and a page that is not there on first touch is a SIGBUS.

use std::io;

use memmap2::MmapOptions;

use crate::sync::atomic::{AtomicU8, Ordering};

/// What backs the memory of actors and messages.
///
/// For actors by the million: a page of 2 MiB needs one entry of the processor's address cache where small
/// ones need 512, so touching an actor at random takes about half as long. What it costs: memory comes in
/// steps of 2 MiB per size class, which shows with few actors.
///
/// Never makes anything fail: what cannot be had is served with small pages.
/// [`Residency::huge_bytes`](crate::Residency) tells what came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HugePages {
    /// Pages of the usual size, whatever the machine's setting for others is. The default.
    #[default]
    Never,
    /// The kernel makes huge pages where it can (`madvise(MADV_HUGEPAGE)`); needs `always` or `madvise` in
    /// `/sys/kernel/mm/transparent_hugepage/enabled`.
    Transparent,
    /// Messages, states and frames on pages of the pool in `/proc/sys/vm/nr_hugepages`, which an operator has
    /// set aside, and transparent ones when it is used up (`MemoryStats::huge_refusals` counts). Cells
    /// always get transparent ones.
    Explicit,
}

/// Bytes of a huge page on x86-64, and on AArch64 with small pages of 4 KiB.
pub(super) const HUGE: usize = 2 << 20;

/// Bytes asked of the kernel at a time without huge pages. A bound piece is also the unit of `mbind`.
const SMALL: usize = if cfg!(miri) { 64 << 10 } else { 1 << 20 };

static MODE: AtomicU8 = AtomicU8::new(0);

/// For what is mapped from now on. The arenas are the process's, so the last system started wins.
pub(super) fn set_mode(mode: HugePages) {
    let mode = match mode {
        HugePages::Never => 0,
        HugePages::Transparent => 1,
        HugePages::Explicit => 2,
    };
    // Relaxed: a setting that stands alone.
    MODE.store(mode, Ordering::Relaxed);
}

pub(super) fn mode() -> HugePages {
    match MODE.load(Ordering::Relaxed) {
        0 => HugePages::Never,
        1 => HugePages::Transparent,
        _ => HugePages::Explicit,
    }
}

/// Bytes of the next chunk.
pub(super) fn chunk_len() -> usize {
    match mode() {
        HugePages::Never => SMALL,
        HugePages::Transparent | HugePages::Explicit => HUGE,
    }
}

/// A mapping for the life of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    pub(super) start: *mut u8,
    pub(super) len: usize,
}

// SAFETY: only an address, of memory that stays mapped; nothing is read through it here.
unsafe impl Send for Chunk {}

/// `len` bytes, a multiple of [`chunk_len`]'s. `bind` is called before any page is touched.
///
/// # Errors
///
/// What the kernel says: no memory, or no address space.
pub(super) fn chunk(
    len: usize,
    bind: impl Fn(Chunk),
    refused: impl FnOnce(io::Error),
) -> io::Result<Chunk> {
    match mode() {
        HugePages::Never => plain(len, bind),
        HugePages::Transparent => transparent(len, bind),
        HugePages::Explicit => match os::explicit(len, &bind) {
            Ok(chunk) => Ok(chunk),
            Err(error) => {
                refused(error);
                transparent(len, bind)
            }
        },
    }
}

fn plain(len: usize, bind: impl Fn(Chunk)) -> io::Result<Chunk> {
    let mut map = MmapOptions::new().len(len).map_anon()?;
    let start = map.as_mut_ptr();
    std::mem::forget(map);
    let chunk = Chunk { start, len };
    bind(chunk);
    Ok(chunk)
}

fn transparent(len: usize, bind: impl Fn(Chunk)) -> io::Result<Chunk> {
    let chunk = os::aligned(len)?;
    bind(chunk);
    os::want_huge(chunk.start, chunk.len);
    Ok(chunk)
}

pub(super) use os::{forget_pages, populate, want_huge};

#[cfg(all(target_os = "linux", not(miri)))]
mod os {
    use std::io;

    use super::{Chunk, HUGE};

    fn map(len: usize, flags: libc::c_int) -> io::Result<*mut u8> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; no memory that exists is changed.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(start.cast())
    }

    /// # Safety
    ///
    /// The range is part of a mapping made by `map`, and nobody uses it.
    unsafe fn unmap(start: *mut u8, len: usize) {
        if len > 0 {
            // SAFETY: by the caller. It can fail only by running out of mappings; then address space is
            // lost and nothing else.
            unsafe { libc::munmap(start.cast(), len) };
        }
    }

    /// A mapping that begins at a multiple of a huge page.
    pub(in crate::memory) fn aligned(len: usize) -> io::Result<Chunk> {
        let wide = map(len + HUGE, 0)?;
        let before = wide.align_offset(HUGE);
        let start = wide.wrapping_add(before);
        // SAFETY: the two ends of the mapping made above, which nobody knows of.
        unsafe {
            unmap(wide, before);
            unmap(start.wrapping_add(len), HUGE - before);
        }
        Ok(Chunk { start, len })
    }

    /// A mapping on huge pages of the system's pool, all of them there.
    pub(super) fn explicit(len: usize, bind: &impl Fn(Chunk)) -> io::Result<Chunk> {
        let start = map(len, libc::MAP_HUGETLB | libc::MAP_HUGE_2MB)?;
        let chunk = Chunk { start, len };
        bind(chunk);
        populate(start, len).inspect_err(|_| {
            // SAFETY: made above, nobody knows of it.
            unsafe { unmap(start, len) };
        })?;
        Ok(chunk)
    }

    /// Asks for transparent huge pages, from the first touch on.
    pub(in crate::memory) fn want_huge(start: *mut u8, len: usize) {
        // SAFETY: a wish about a range of ours; refused, it changes nothing (no such kernel option).
        unsafe { libc::madvise(start.cast(), len, libc::MADV_HUGEPAGE) };
    }

    /// Has every page there, as if each had been written, without a change to what is in it.
    ///
    /// # Errors
    ///
    /// `EINVAL` before Linux 5.14; `ENOMEM`, `EFAULT` when there are no pages.
    pub(in crate::memory) fn populate(start: *mut u8, len: usize) -> io::Result<()> {
        // SAFETY: faults pages of our own mapping in, which readers and writers cannot tell.
        let result = unsafe { libc::madvise(start.cast(), len, libc::MADV_POPULATE_WRITE) };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Gives the pages of a range back to the kernel; its bytes are lost, its address space stays.
    ///
    /// # Safety
    ///
    /// A mapping of ours that nobody uses.
    pub(in crate::memory) unsafe fn forget_pages(start: *mut u8, len: usize) {
        // SAFETY: by the caller. Refused, the pages stay: memory is lost, nothing else.
        unsafe { libc::madvise(start.cast(), len, libc::MADV_DONTNEED) };
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod os {
    use std::io;

    use super::{Chunk, plain};

    pub(in crate::memory) fn aligned(len: usize) -> io::Result<Chunk> {
        plain(len, |_| {})
    }

    pub(super) fn explicit(_len: usize, _bind: &impl Fn(Chunk)) -> io::Result<Chunk> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    pub(in crate::memory) fn want_huge(_start: *mut u8, _len: usize) {}

    pub(in crate::memory) fn populate(_start: *mut u8, _len: usize) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }

    pub(in crate::memory) unsafe fn forget_pages(_start: *mut u8, _len: usize) {}
}

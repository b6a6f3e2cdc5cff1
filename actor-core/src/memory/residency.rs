//! On which NUMA node the pages of an arena really lie: the kernel is asked page by page.
//!
//! Binding is a wish (`MPOL_PREFERRED`) and first touch an accident; this is how either is checked. A
//! query of 512 pages is one system call that moves nothing and takes the kernel about 50 us.

use std::io;
use std::ops::Range;

use super::map::Chunk;
use crate::id::NumaNodeId;

/// Where the pages of one arena lie: cells, states, messages and handler frames of the actors whose
/// home is that NUMA node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Residency {
    /// Pages found, by the NUMA node of the operating system that they lie on, ascending.
    pub pages: Vec<(NumaNodeId, u64)>,
    /// The NUMA node they should lie on; `None` where that is nobody's wish: on a machine with a single
    /// one, and on a pretended machine.
    pub wanted: Option<NumaNodeId>,
    /// Pages that were never touched and so lie nowhere.
    pub untouched: u64,
    /// Bytes on huge pages, transparent or explicit; see [`HugePages`](crate::HugePages). `None` where
    /// `/proc/self/smaps` cannot be read.
    pub huge_bytes: Option<u64>,
}

impl Residency {
    /// Pages that lie somewhere.
    pub fn resident(&self) -> u64 {
        self.pages.iter().map(|(_, pages)| pages).sum()
    }

    /// Pages that lie on another NUMA node than the one wanted; 0 where none is.
    pub fn misplaced(&self) -> u64 {
        let elsewhere = |node| Some(node) != self.wanted;
        self.wanted.map_or(0, |_| {
            self.pages
                .iter()
                .filter(|(node, _)| elsewhere(*node))
                .map(|(_, pages)| pages)
                .sum()
        })
    }

    fn count(&mut self, node: NumaNodeId) {
        match self.pages.binary_search_by_key(&node, |(node, _)| *node) {
            Ok(at) => self.pages[at].1 += 1,
            Err(at) => self.pages.insert(at, (node, 1)),
        }
    }
}

/// Adds the pages of `[start, start + len)` to the count.
///
/// # Errors
///
/// What the kernel says to `move_pages`: `ENOSYS` without NUMA, `EPERM` in a sandbox that forbids it.
pub(super) fn survey(start: *mut u8, len: usize, found: &mut Residency) -> io::Result<()> {
    const BATCH: usize = 512;
    let page = page_size();
    let pages = len.div_ceil(page);
    for first in (0..pages).step_by(BATCH) {
        let batch = (pages - first).min(BATCH);
        let addresses: Vec<*mut u8> = (first..first + batch)
            .map(|index| start.wrapping_add(index * page))
            .collect();
        for status in query(&addresses)? {
            match u8::try_from(status) {
                Ok(node) => found.count(NumaNodeId(node)),
                // Every negative answer means the same: not there (kernels differ in which they give).
                Err(_) => found.untouched += 1,
            }
        }
    }
    Ok(())
}

/// Adds what of these pieces lies on huge pages.
///
/// The kernel counts by its own areas, which it joins where neighbours are alike: then some of a
/// neighbour's may be in it, up to the size of the pieces.
pub(super) fn count_huge(chunks: &[Chunk], found: &mut Residency) {
    if let Ok(smaps) = std::fs::read_to_string("/proc/self/smaps") {
        let pieces = chunks.iter().map(|chunk| {
            let start = chunk.start.addr();
            start..start + chunk.len
        });
        found.huge_bytes = Some(huge_bytes(&smaps, &pieces.collect::<Vec<_>>()));
    }
}

/// What `smaps` says of the areas that some piece lies in.
fn huge_bytes(smaps: &str, pieces: &[Range<usize>]) -> u64 {
    let (mut ours, mut sum) = (0, 0);
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if let Some(area) = area(first) {
            let shared = |piece: &Range<usize>| {
                let end = piece.end.min(area.end);
                end.saturating_sub(piece.start.max(area.start)) as u64
            };
            ours = pieces.iter().map(shared).sum();
        } else if matches!(first, "AnonHugePages:" | "Private_Hugetlb:") {
            let kib: u64 = words.next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
            sum += (kib * 1024).min(ours);
        }
    }
    sum
}

/// The area that a head line of `smaps` begins with.
fn area(word: &str) -> Option<Range<usize>> {
    let (start, end) = word.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[cfg(all(target_os = "linux", not(miri)))]
fn page_size() -> usize {
    // SAFETY: reads a constant of the system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

#[cfg(not(all(target_os = "linux", not(miri))))]
fn page_size() -> usize {
    4096
}

/// The NUMA node of each page, negative where it has none.
#[cfg(all(target_os = "linux", not(miri)))]
fn query(addresses: &[*mut u8]) -> io::Result<Vec<i32>> {
    let mut status = vec![-libc::EFAULT; addresses.len()];
    // SAFETY: without target nodes move_pages only looks; it reads `addresses` and writes `status`,
    // both of that length and alive across the call. Pages that do not exist are no fault.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            0,
            addresses.len(),
            addresses.as_ptr(),
            std::ptr::null::<i32>(),
            status.as_mut_ptr(),
            0,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(status)
}

/// Elsewhere there is no such call.
#[cfg(not(all(target_os = "linux", not(miri))))]
fn query(_addresses: &[*mut u8]) -> io::Result<Vec<i32>> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_bytes_are_those_of_our_areas() {
        let smaps = "7f0000000000-7f0000800000 rw-p 00000000 00:00 0 \n\
                     Size:               8192 kB\n\
                     AnonHugePages:      4096 kB\n\
                     Private_Hugetlb:       0 kB\n\
                     VmFlags: rd wr mr mw me ac nr hg \n\
                     7f0000a00000-7f0000c00000 rw-p 00000000 00:0f 77 /anon_hugepage (deleted)\n\
                     AnonHugePages:         0 kB\n\
                     Private_Hugetlb:    2048 kB\n\
                     7f1000000000-7f1000800000 rw-p 00000000 00:00 0 [heap]\n\
                     AnonHugePages:      8192 kB\n";
        const MIB: usize = 1 << 20;
        let at = |mib: usize, len: usize| {
            let start = 0x7f00_0000_0000 + mib * MIB;
            start..start + len * MIB
        };
        assert_eq!(huge_bytes(smaps, &[]), 0);
        assert_eq!(huge_bytes(smaps, &[at(0, 8)]), 4 << 20);
        assert_eq!(huge_bytes(smaps, &[at(10, 2)]), 2 << 20);
        assert_eq!(huge_bytes(smaps, &[at(0, 4), at(4, 4), at(10, 2)]), 6 << 20);
        // No more than the piece has, and nothing of other areas.
        assert_eq!(huge_bytes(smaps, &[at(2, 1)]), 1 << 20);
        assert_eq!(huge_bytes(smaps, &[at(16, 64)]), 0);
    }
}

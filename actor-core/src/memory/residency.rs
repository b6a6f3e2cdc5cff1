//! On which NUMA node the pages of an arena really lie: the kernel is asked page by page.
//!
//! Binding is a wish (`MPOL_PREFERRED`) and first touch an accident; this is how either is checked. A
//! query of 512 pages is one system call that moves nothing and takes the kernel about 50 us.

use std::io;

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

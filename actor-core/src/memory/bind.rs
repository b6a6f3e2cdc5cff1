//! Asking the kernel to keep a range of memory on one NUMA node.

use std::io;

/// Prefers `os_node` for the pages of `[start, start + len)` that are not touched yet.
///
/// `MPOL_PREFERRED`, not `MPOL_BIND`: a full node must spill to its neighbour, not kill the process.
///
/// # Errors
///
/// What the kernel says; `EPERM` under Docker's default seccomp profile, `ENOSYS` without NUMA.
#[cfg(all(target_os = "linux", not(miri)))]
pub(super) fn prefer_node(start: *mut u8, len: usize, os_node: u8) -> io::Result<()> {
    const WORDS: usize = 256 / usize::BITS as usize;
    let mut mask = [0 as libc::c_ulong; WORDS];
    mask[usize::from(os_node) / libc::c_ulong::BITS as usize] |=
        1 << (u32::from(os_node) % libc::c_ulong::BITS);
    // The kernel counts `maxnode` as bits + 1.
    let bits = (WORDS as libc::c_ulong) * libc::c_ulong::from(libc::c_ulong::BITS) + 1;
    // SAFETY: mbind changes only the placement policy of pages in our own mapping and reads `mask`,
    // which lives across the call; it cannot invalidate memory.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mbind,
            start,
            len,
            libc::MPOL_PREFERRED,
            mask.as_ptr(),
            bits,
            0,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Elsewhere there is no such call.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(super) fn prefer_node(_start: *mut u8, _len: usize, _os_node: u8) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

//! A barrier that one thread executes on behalf of all others: `membarrier(2)`.
//!
//! Two threads that each write one word and then read the other's need a full fence on both sides, or
//! both may read the old value. When one side does so for every message and the other some ten times
//! a second, the busy side keeps its program order only (a compiler fence, no instruction), and the
//! rare side pays for both: the kernel interrupts every CPU that runs a thread of this process and
//! executes a full fence there. 1 to 2 us (virtual Xeon, 2 CPUs).
//!
//! Linux since 4.14. Elsewhere, and where a seccomp filter forbids the call, [`everywhere`] says so
//! and its caller does without (`lifo.rs`).

/// Executes a full fence on every thread of this process, as seen from the caller. `false`: cannot.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn everywhere() -> bool {
    use std::sync::OnceLock;

    /// Registered with the kernel, once per process; without it the barrier is refused.
    static READY: OnceLock<bool> = OnceLock::new();
    let ready = READY.get_or_init(|| membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED));
    *ready && membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}

#[cfg(all(target_os = "linux", not(miri)))]
fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: membarrier takes three integers and touches no memory of ours. An unknown or forbidden
    // command is an error code.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// No such call here.
#[cfg(any(not(target_os = "linux"), miri))]
pub(crate) fn everywhere() -> bool {
    false
}

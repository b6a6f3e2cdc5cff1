//! Threads and CPUs: the system calls, and their errors. The only `unsafe` of this floor.
//!
//! What the kernel does that callers must know:
//!
//! * A thread inherits its mask from the one that starts it. So a pinned thread pins all it
//!   starts, and afterwards `available_parallelism`, `num_cpus` and `core_affinity::get_core_ids`
//!   report one CPU there. [`process_cpus`] is therefore read once and kept, and threads that serve
//!   a pinned one widen their mask first ([`widen_current_thread`]).
//! * `sched_setaffinity` returns when the thread runs on a CPU of the mask: no yield is needed.
//! * A mask is cut to the cgroup's cpuset; if nothing is left, the call fails with `EINVAL`.
//! * `cpu_set_t` ends at 1024 CPUs, and `core_affinity` aborts the process above that. Masks here
//!   hold [`CPUS_MAX`], and `core_affinity` is asked below 1024 only.
//!
//! Only Linux (and Android) can pin. macOS has hints without a promise, which would make "pinned"
//! a lie: elsewhere everything here says `Unsupported` or `None`.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::time::Duration;

use crate::id::{CpuId, NumaNodeId};

use super::cpu_list::CPUS_MAX;
use super::machine::list;

/// The CPUs this process may use: what its main thread or the first caller may run on.
///
/// Read at the first call and kept for the life of the process, as pinning changes the answer.
/// Both threads are asked because either may have been pinned before. `None` where the operating
/// system does not say.
pub fn process_cpus() -> Option<&'static [CpuId]> {
    static CPUS: OnceLock<Option<Vec<CpuId>>> = OnceLock::new();
    let cpus = CPUS.get_or_init(|| {
        let mut cpus = os::mask_of_main_thread().unwrap_or_default();
        cpus.extend(os::mask_of_current_thread().unwrap_or_default());
        cpus.sort_unstable();
        cpus.dedup();
        (!cpus.is_empty()).then_some(cpus)
    });
    cpus.as_deref()
}

/// Makes the calling thread, and threads it starts later, run on `cpu` only.
///
/// On return the thread runs there. `allowed` are the CPUs that the process may use
/// ([`process_cpus`]): without them a process started under `taskset` could leave its set.
///
/// # Errors
///
/// [`PinError`]; the thread's mask is then as it was.
///
/// # Examples
///
/// ```
/// use actor_core::topology::affinity;
///
/// if let Some(cpus) = affinity::process_cpus() {
///     let cpu = cpus[0];
///     std::thread::spawn(move || {
///         affinity::pin_current_thread(cpu, cpus).unwrap();
///         assert_eq!(affinity::current_thread_cpus().unwrap(), [cpu]);
///     })
///     .join()
///     .unwrap();
/// }
/// ```
pub fn pin_current_thread(cpu: CpuId, allowed: &[CpuId]) -> Result<(), PinError> {
    if cpu.0 >= CPUS_MAX {
        return Err(PinError::OutOfRange { cpu });
    }
    if !allowed.contains(&cpu) {
        let allowed = list(allowed);
        return Err(PinError::NotAllowed { cpu, allowed });
    }
    os::pin(cpu)
}

/// Lets the calling thread, and threads it starts later, run on any of `cpus`.
///
/// For threads that serve a whole NUMA node, such as a reactor's, and for undoing a pin. CPUs that
/// the cgroup forbids or that are offline are left out by the kernel.
///
/// # Errors
///
/// `InvalidInput` when `cpus` is empty, names a CPU above 8191, or none of them can be used;
/// `Unsupported` when this is not Linux.
pub fn widen_current_thread(cpus: &[CpuId]) -> io::Result<()> {
    if cpus.is_empty() {
        let message = "a thread cannot run on no CPU: name at least one";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    if let Some(cpu) = cpus.iter().find(|cpu| cpu.0 >= CPUS_MAX) {
        let message = PinError::OutOfRange { cpu: *cpu }.to_string();
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    os::set_mask(cpus).map_err(|error| {
        if error.kind() != io::ErrorKind::InvalidInput {
            return error;
        }
        let (asked, have) = (list(cpus), process_cpus().map_or_else(String::new, list));
        let message = format!(
            "no CPU of {asked} is online and inside of the cpuset; this process started with {have}"
        );
        io::Error::new(error.kind(), message)
    })
}

/// The CPUs the calling thread may run on, ascending.
///
/// # Errors
///
/// `Unsupported` when this is not Linux, else what the operating system says.
pub fn current_thread_cpus() -> io::Result<Vec<CpuId>> {
    os::mask_of_current_thread()
}

/// The CPU the calling thread runs on, and its NUMA node; `None` when this is not Linux.
///
/// Out of date at once unless the thread is pinned.
pub fn current_cpu() -> Option<(CpuId, NumaNodeId)> {
    os::current_cpu()
}

/// The operating system's number of a thread, for as long as it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadNumber(i32);

/// The calling thread's number; `None` when this is not Linux.
pub(crate) fn current_thread_number() -> Option<ThreadNumber> {
    os::current_thread().map(ThreadNumber)
}

/// The CPUs that thread may run on and that are online, ascending. The caller knows that it still runs.
pub(crate) fn cpus_of(thread: ThreadNumber) -> io::Result<Vec<CpuId>> {
    os::mask(thread.0)
}

/// As [`pin_current_thread`] for another thread, which the caller knows to run still, and to a CPU that is
/// one of [`cpus_of`] it: a pin takes away and never gives.
pub(crate) fn pin_thread(thread: ThreadNumber, cpu: CpuId) -> io::Result<()> {
    os::set_mask_of(thread.0, &[cpu])
}

/// The time that a thread has spent on CPUs, as the kernel counts it; `None` where it does not. The caller knows
/// that the thread still runs.
pub(crate) fn cpu_time_of(thread: ThreadNumber) -> Option<Duration> {
    // Its first number, in nanoseconds.
    let told = std::fs::read_to_string(format!("/proc/self/task/{}/schedstat", thread.0)).ok()?;
    let spent = told.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(spent))
}

/// Why a thread was not pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinError {
    /// The number is none that a CPU can have.
    OutOfRange {
        /// The CPU asked for.
        cpu: CpuId,
    },
    /// The CPU is not one the process may use.
    NotAllowed {
        /// The CPU asked for.
        cpu: CpuId,
        /// The CPUs allowed, as a list.
        allowed: String,
    },
    /// The operating system refused: the CPU is offline, or the cpuset became smaller.
    Refused {
        /// The CPU asked for.
        cpu: CpuId,
        /// The operating system's error number.
        code: i32,
    },
    /// This operating system cannot pin threads.
    Unsupported {
        /// The CPU asked for.
        cpu: CpuId,
    },
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { cpu } => {
                let last = CPUS_MAX - 1;
                write!(f, "{cpu} cannot exist, CPUs are 0 to {last}")
            }
            Self::NotAllowed { cpu, allowed } => {
                write!(f, "{cpu} is outside the cpuset of this process ({allowed})")
            }
            Self::Refused { cpu, code } => {
                let error = io::Error::from_raw_os_error(*code);
                write!(f, "the operating system refused {cpu}: {error}")?;
                if error.kind() == io::ErrorKind::InvalidInput {
                    f.write_str(" (it is offline, or the cpuset has become smaller)")?;
                }
                Ok(())
            }
            Self::Unsupported { cpu } => {
                write!(
                    f,
                    "cannot pin to {cpu}: this operating system does not pin threads"
                )
            }
        }
    }
}

impl Error for PinError {}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod os {
    use std::io;

    use crate::id::{CpuId, NumaNodeId};

    use super::{CPUS_MAX, PinError};

    /// `core_affinity` calls libc's `CPU_SET`, which panics from here on, and the panic cannot leave
    /// its `extern "C"`.
    const CPU_SETSIZE: u32 = 1024;

    /// The kernel's mask: an array of its `unsigned long`, lowest CPU in the lowest bit.
    type Mask = [libc::c_ulong; MASK_WORDS];
    const MASK_WORDS: usize = (CPUS_MAX / libc::c_ulong::BITS) as usize;

    pub(super) fn pin(cpu: CpuId) -> Result<(), PinError> {
        let done = if cpu.0 < CPU_SETSIZE {
            let id = cpu.0 as usize;
            core_affinity::set_for_current(core_affinity::CoreId { id })
        } else {
            set_mask(&[cpu]).is_ok()
        };
        if done {
            return Ok(());
        }
        // Both end in the system call that failed, so its number is still there.
        let code = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        Err(PinError::Refused { cpu, code })
    }

    /// `cpus` are below `CPUS_MAX`: the callers checked.
    pub(super) fn set_mask(cpus: &[CpuId]) -> io::Result<()> {
        set_mask_of(0, cpus)
    }

    /// As `set_mask`, of the thread of this number; 0 is the calling one.
    pub(super) fn set_mask_of(thread: libc::pid_t, cpus: &[CpuId]) -> io::Result<()> {
        let mut mask: Mask = [0; MASK_WORDS];
        for cpu in cpus {
            mask[(cpu.0 / libc::c_ulong::BITS) as usize] |= 1 << (cpu.0 % libc::c_ulong::BITS);
        }
        // SAFETY: the call reads `size_of_val(&mask)` bytes from `mask`, which has as many and
        // the alignment of `cpu_set_t` (an array of `unsigned long` too); no memory of ours is written.
        let rc = unsafe {
            libc::sched_setaffinity(thread, size_of_val(&mask), (&raw const mask).cast())
        };
        if rc == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    pub(super) fn mask_of_current_thread() -> io::Result<Vec<CpuId>> {
        mask(0)
    }

    pub(super) fn mask_of_main_thread() -> io::Result<Vec<CpuId>> {
        // The main thread's id is the process's.
        mask(libc::pid_t::try_from(std::process::id()).map_err(io::Error::other)?)
    }

    pub(super) fn mask(thread: libc::pid_t) -> io::Result<Vec<CpuId>> {
        let mut mask: Mask = [0; MASK_WORDS];
        // SAFETY: the call writes at most `size_of_val(&mask)` bytes to `mask`, which has as many
        // and the alignment of `cpu_set_t`; every bit pattern is a valid `Mask`.
        let rc =
            unsafe { libc::sched_getaffinity(thread, size_of_val(&mask), (&raw mut mask).cast()) };
        if rc != 0 {
            return Err(io::Error::last_os_error());
        }
        const BITS: u32 = libc::c_ulong::BITS;
        // Mostly zeros, and asked for every worker twice a second.
        let words = (0_u32..).zip(mask).filter(|(_, word)| *word != 0);
        let cpus = words.flat_map(|(at, word)| {
            let set = (0..BITS).filter(move |bit| word >> bit & 1 == 1);
            set.map(move |bit| CpuId(at * BITS + bit))
        });
        Ok(cpus.collect())
    }

    #[cfg(not(miri))]
    pub(super) fn current_thread() -> Option<libc::pid_t> {
        // SAFETY: the call takes nothing, touches no memory of ours and cannot fail.
        Some(unsafe { libc::gettid() })
    }

    /// Miri's threads have masks by no number but their own.
    #[cfg(miri)]
    pub(super) fn current_thread() -> Option<libc::pid_t> {
        None
    }

    #[cfg(not(miri))]
    pub(super) fn current_cpu() -> Option<(CpuId, NumaNodeId)> {
        let (mut cpu, mut node): (libc::c_uint, libc::c_uint) = (0, 0);
        let unused = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: the call writes one `unsigned` to each of the first two places, which are ours
        // and of that type; the third has been ignored since Linux 2.6.24.
        let rc = unsafe { libc::syscall(libc::SYS_getcpu, &raw mut cpu, &raw mut node, unused) };
        let node = u8::try_from(node).ok()?;
        (rc == 0).then_some((CpuId(cpu), NumaNodeId(node)))
    }

    /// Miri has no such system call.
    #[cfg(miri)]
    pub(super) fn current_cpu() -> Option<(CpuId, NumaNodeId)> {
        None
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod os {
    use std::io;

    use crate::id::{CpuId, NumaNodeId};

    use super::PinError;

    pub(super) fn pin(cpu: CpuId) -> Result<(), PinError> {
        Err(PinError::Unsupported { cpu })
    }

    pub(super) fn set_mask(_cpus: &[CpuId]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn set_mask_of(_thread: i32, _cpus: &[CpuId]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn mask(_thread: i32) -> io::Result<Vec<CpuId>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn current_thread() -> Option<i32> {
        None
    }

    pub(super) fn mask_of_current_thread() -> io::Result<Vec<CpuId>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn mask_of_main_thread() -> io::Result<Vec<CpuId>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn current_cpu() -> Option<(CpuId, NumaNodeId)> {
        None
    }
}

#[cfg(test)]
mod tests;

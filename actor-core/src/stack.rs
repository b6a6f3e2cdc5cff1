//! What another thread is doing: the functions it is in (feature `stall-stacks`, Linux on x86-64 and aarch64).
//!
//! A thread's stack can be read by itself alone, in a signal handler, which may interrupt it anywhere: inside the
//! allocator, the loader, the unwinder. So the handler does not walk. It copies its registers and the upper part of
//! its stack to a place that waits for them ([`capture`]), and the thread that asked walks through the copy at leisure,
//! by the unwind tables of the program ([`unwind`], crate `framehop`), as profilers do with recorded samples.
//!
//! Without the feature, and elsewhere, there is no stack to be had.

use std::fmt;
use std::path::PathBuf;

#[cfg(all(
    feature = "stall-stacks",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]
mod capture;
#[cfg(all(
    feature = "stall-stacks",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
))]
mod unwind;

#[cfg(not(all(
    feature = "stall-stacks",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
)))]
mod capture {
    /// Nothing to be known of a thread.
    #[derive(Debug, Default)]
    pub(crate) struct Thread;

    impl Thread {
        pub(crate) fn note_current(&self) {}

        pub(crate) fn stack(&self) -> Option<super::ThreadStack> {
            None
        }
    }
}

pub(crate) use capture::Thread;

/// The functions a thread was in at one moment, innermost first; those of the runtime below the handler are left out.
///
/// `Display` writes one line for each, and the place in the source where it is known:
///
/// ```text
///    0: std::thread::sleep
///    1: <orders::Ledger as actor_core::Handler<orders::Close>>::handle at examples/orders.rs:74
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ThreadStack {
    /// Innermost first; at most 128.
    pub frames: Vec<StackFrame>,
    /// Whether there were more: the stack is deeper than what was copied (256 KiB), or than the limit of frames, or
    /// passes through code without unwind tables.
    pub is_cut: bool,
}

/// One function of a [`ThreadStack`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackFrame {
    /// Its name, or its address if the program has no symbols.
    pub function: String,
    /// The file and line, if the program has debug information.
    pub location: Option<(PathBuf, u32)>,
}

impl fmt::Display for ThreadStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, frame) in self.frames.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{at:4}: {frame}")?;
        }
        if self.is_cut {
            f.write_str("\n      ...")?;
        }
        Ok(())
    }
}

impl fmt::Display for StackFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        match &self.location {
            Some((file, line)) => write!(f, " at {}:{line}", file.display()),
            None => Ok(()),
        }
    }
}

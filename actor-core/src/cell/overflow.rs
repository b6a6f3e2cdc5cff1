//! Names the actor whose handler overflows its worker's stack, before the process dies of it.
//!
//! Rust cannot contain a stack overflow: the guard page is hit, the kernel sends SIGSEGV, std prints the
//! thread's name and aborts. Which of a million actors it was is known to us alone, so a handler of ours
//! goes first: it writes one line to standard error and calls the handler that was there before (std's,
//! or whoever's).
//!
//! It runs on the alternate stack that std gives to each of its threads, in the middle of anything. So it
//! does nothing but read thread-locals that have no destructor, format numbers into an array and
//! `write(2)`. It stays silent unless the address is in the guard of the worker's own stack: others may
//! use SIGSEGV for purposes of their own.

use std::fmt::Write as _;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use super::header::CellRef;
use super::local::current_cell;

thread_local! {
    /// Where an access means that the stack is used up: from, to. Empty on threads that are no workers.
    static GUARD: std::cell::Cell<(usize, usize)> = const { std::cell::Cell::new((0, 0)) };
}

/// The handlers that were there before ours, for SIGSEGV and SIGBUS.
static BEFORE: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

/// Installs the handler, once for the process.
pub(crate) fn install() {
    BEFORE.get_or_init(|| {
        SIGNALS.map(|signal| {
            let mut before = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: zero bytes are a valid sigaction, and `named` is a handler as SA_SIGINFO asks for.
            unsafe {
                let mut ours = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
                ours.sa_sigaction = named as *const () as usize;
                ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigemptyset(&raw mut ours.sa_mask);
                // It fails for invalid numbers only; then there is nothing to chain to.
                libc::sigaction(signal, &raw const ours, before.as_mut_ptr());
                before.assume_init()
            }
        })
    });
}

/// Notes where this worker's stack ends.
pub(super) fn note_guard() {
    GUARD.set(guard().unwrap_or_default());
}

#[cfg(target_os = "linux")]
fn guard() -> Option<(usize, usize)> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut lowest, mut size, mut guard) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: the attributes are initialised by the first call if it succeeds, and destroyed once.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let known =
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut size) == 0
                && libc::pthread_attr_getguardsize(attributes.as_ptr(), &raw mut guard) == 0;
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        if !known {
            return None;
        }
    }
    // C libraries differ in whether the guard is above or below the lowest address, as std knows.
    let (lowest, guard) = (lowest.addr(), guard.max(4096));
    Some((lowest.saturating_sub(guard), lowest + guard))
}

/// Elsewhere the bounds are not asked for, and std's line is all there is.
#[cfg(not(target_os = "linux"))]
fn guard() -> Option<(usize, usize)> {
    None
}

/// The handler.
unsafe extern "C" fn named(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    // SAFETY: the kernel gives a valid siginfo to an SA_SIGINFO handler of these signals.
    let address = unsafe { (*info).si_addr() }.addr();
    let (from, to) = GUARD.get();
    if (from..to).contains(&address)
        && let Some(cell) = current_cell()
    {
        name(cell);
    }
    let at = usize::from(signal != SIGNALS[0]);
    let before = BEFORE.get().map(|before| before[at]);
    // SAFETY: the handler that was there before is called as it asked to be, or the default action is put
    // back, under which the same access, repeated on return, ends the process.
    unsafe {
        match before {
            Some(before)
                if before.sa_sigaction != libc::SIG_DFL && before.sa_sigaction != libc::SIG_IGN =>
            {
                if before.sa_flags & libc::SA_SIGINFO != 0 {
                    let handler: unsafe extern "C" fn(
                        libc::c_int,
                        *mut libc::siginfo_t,
                        *mut libc::c_void,
                    ) = std::mem::transmute(before.sa_sigaction);
                    handler(signal, info, context);
                } else {
                    let handler: unsafe extern "C" fn(libc::c_int) =
                        std::mem::transmute(before.sa_sigaction);
                    handler(signal);
                }
            }
            _ => {
                let mut default = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
                default.sa_sigaction = libc::SIG_DFL;
                libc::sigaction(signal, &raw const default, std::ptr::null_mut());
            }
        }
    }
}

fn name(cell: CellRef) {
    let id = cell.id();
    let mut line = Line {
        text: [0; 1024],
        len: 0,
    };
    // SAFETY: this thread is in a turn of the cell, so it owns it; the current message is alive.
    let message = unsafe {
        cell.current_node()
            .map(|node| (node.as_ref().vtable.message)())
    };
    // Cut off where the array ends, no error otherwise.
    _ = write!(
        line,
        "\n{id} ({}) has overflowed its worker's stack",
        cell.type_name_of(id.generation()).unwrap_or("unknown")
    );
    if let Some(message) = message {
        _ = write!(line, " while handling {message}");
    }
    _ = line.write_str(
        "\nThe process ends, which nothing can prevent. Deep recursion belongs on the heap, or give \
         workers more: SystemBuilder::worker_stack.\n",
    );
    // SAFETY: the array holds that many bytes; write is async-signal-safe.
    _ = unsafe { libc::write(libc::STDERR_FILENO, line.text.as_ptr().cast(), line.len) };
}

/// Text without an allocation.
struct Line {
    text: [u8; 1024],
    len: usize,
}

impl std::fmt::Write for Line {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        let room = &mut self.text[self.len..];
        let fits = part.len().min(room.len());
        room[..fits].copy_from_slice(&part.as_bytes()[..fits]);
        self.len += fits;
        Ok(())
    }
}

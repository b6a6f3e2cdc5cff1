//! Has another thread copy its registers and its stack.
//!
//! The signal is SIGURG: ignored where nobody handles it, so one that comes late or to the wrong place does no harm (Go
//! preempts by it for the same reason). A program that handles SIGURG itself keeps its handler, and there are no stacks.
//! System calls that it interrupts are restarted where the kernel can; `poll`, `epoll_wait` and sleeps return
//! `EINTR` as they may at any time.
//!
//! # Invariants
//!
//! - S1: the copy belongs to who moved `state` out of `ASKED`: by `COPYING` to the handler, by `IDLE` to the asker, who
//!   holds the lock of `ASKING` throughout. From `DONE` on it is the asker's.
//! - S2: the handler touches nothing but atomics, the copy, and its own stack.

use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::ThreadStack;
use super::unwind::{self, COPY_BYTES, Copy, Registers};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Mutex, UnsafeCell, thread};

/// How long a thread may take to answer: it may have no CPU just now.
const PATIENCE: Duration = Duration::from_secs(1);

const IDLE: u32 = 0;
const ASKED: u32 = 1;
const COPYING: u32 = 2;
const DONE: u32 = 3;

/// A thread that can be asked.
#[derive(Debug, Default)]
pub(crate) struct Thread {
    id: AtomicU32,
}

thread_local! {
    /// Where this thread's stack begins, from which it grows down; 0 on threads that are not asked.
    static TOP: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

struct Request {
    state: AtomicU32,
    thread: AtomicU32,
    copy: UnsafeCell<Copy>,
}

// SAFETY: the copy has one owner at a time (S1).
unsafe impl Sync for Request {}

static REQUEST: Request = Request {
    state: AtomicU32::new(IDLE),
    thread: AtomicU32::new(0),
    copy: UnsafeCell::new(Copy {
        registers: Registers {
            instruction: 0,
            stack: 0,
            frame: 0,
            #[cfg(target_arch = "aarch64")]
            link: 0,
        },
        from: 0,
        len: 0,
        bytes: [0; COPY_BYTES],
    }),
};

/// One asks at a time.
static ASKING: Mutex<()> = Mutex::new(());

static INSTALLED: OnceLock<bool> = OnceLock::new();

impl Thread {
    /// This is the thread.
    pub(crate) fn note_current(&self) {
        if let Some(top) = top_of_this_stack() {
            TOP.set(top);
            // Relaxed: the thread itself reads what belongs to it.
            self.id.store(this_thread(), Ordering::Relaxed);
        }
    }

    /// What it is in now; `None` if it is not known, gone, or does not answer within 1 s. Not from itself.
    pub(crate) fn stack(&self) -> Option<ThreadStack> {
        let id = self.id.load(Ordering::Relaxed);
        if id == 0 || !*INSTALLED.get_or_init(install) {
            return None;
        }
        let _asking = ASKING
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        REQUEST.thread.store(id, Ordering::Relaxed);
        // Release: with the Acquire in `answer`.
        REQUEST.state.store(ASKED, Ordering::Release);
        // A request that was not sent is as one that nobody answers: the next one overwrites it.
        if !send(id) || !is_answered() {
            return None;
        }
        // SAFETY: S1: the state was `DONE`, and the lock is ours.
        let stack = REQUEST.copy.with(|copy| unwind::walk(unsafe { &*copy }));
        REQUEST.state.store(IDLE, Ordering::Relaxed);
        stack
    }
}

/// Waits for the copy. `false`: it was not begun in time, and will not be.
fn is_answered() -> bool {
    let late = Instant::now() + PATIENCE;
    loop {
        // Acquire: with the Release in `answer`; the copy is whole.
        if REQUEST.state.load(Ordering::Acquire) == DONE {
            return true;
        }
        if Instant::now() < late {
            thread::sleep(Duration::from_micros(100));
        } else if is_taken_back() {
            return false;
        } else {
            // It copies now: some microseconds, if it has a CPU.
            thread::yield_now();
        }
    }
}

/// Whether nobody will answer any more.
fn is_taken_back() -> bool {
    let (from, to) = (ASKED, IDLE);
    // Relaxed: nothing was written for who asks.
    let before = REQUEST
        .state
        .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
    matches!(before, Ok(_) | Err(IDLE))
}

fn send(thread: u32) -> bool {
    // SAFETY: plain numbers; a thread that is gone is an error.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_tgkill,
            libc::getpid(),
            thread as libc::pid_t,
            libc::SIGURG,
        )
    };
    sent == 0
}

/// Installs the handler, if nobody else has one.
fn install() -> bool {
    let mut before = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zero bytes are a valid sigaction, and `answer` is a handler as SA_SIGINFO asks for.
    unsafe {
        if libc::sigaction(libc::SIGURG, std::ptr::null(), before.as_mut_ptr()) != 0 {
            return false;
        }
        let before = before.assume_init();
        if before.sa_sigaction != libc::SIG_DFL && before.sa_sigaction != libc::SIG_IGN {
            return false;
        }
        let mut ours = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
        ours.sa_sigaction = answer as *const () as usize;
        ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigemptyset(&raw mut ours.sa_mask);
        libc::sigaction(libc::SIGURG, &raw const ours, std::ptr::null_mut()) == 0
    }
}

/// The handler (S2).
unsafe extern "C" fn answer(
    _signal: libc::c_int,
    _info: *mut libc::siginfo_t,
    context: *mut libc::c_void,
) {
    let top = TOP.get();
    if top == 0 || REQUEST.thread.load(Ordering::Relaxed) != this_thread() {
        return;
    }
    // Acquire: with the Release in `stack`.
    let claimed =
        REQUEST
            .state
            .compare_exchange(ASKED, COPYING, Ordering::Acquire, Ordering::Relaxed);
    if claimed.is_err() || REQUEST.thread.load(Ordering::Relaxed) != this_thread() {
        // Somebody else's request came in between: theirs will not be answered, and they give up.
        if claimed.is_ok() {
            REQUEST.state.store(IDLE, Ordering::Relaxed);
        }
        return;
    }
    // SAFETY: the kernel gives a ucontext to an SA_SIGINFO handler.
    let registers = unsafe { registers(&*context.cast::<libc::ucontext_t>()) };
    let from = registers.stack as usize;
    let len = top.saturating_sub(from).min(COPY_BYTES);
    REQUEST.copy.with_mut(|copy| {
        // SAFETY: S1, the claim above. What is read lies between this thread's stack pointer and the beginning of its
        // stack, so it is mapped, and nobody writes to it while this handler runs.
        unsafe {
            (*copy).registers = registers;
            (*copy).from = from;
            (*copy).len = len;
            std::ptr::copy_nonoverlapping(
                std::ptr::with_exposed_provenance::<u8>(from),
                (&raw mut (*copy).bytes).cast::<u8>(),
                len,
            );
        }
    });
    // Release: with the Acquire in `is_answered`.
    REQUEST.state.store(DONE, Ordering::Release);
}

#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let all = &context.uc_mcontext.gregs;
    Registers {
        instruction: all[libc::REG_RIP as usize] as u64,
        stack: all[libc::REG_RSP as usize] as u64,
        frame: all[libc::REG_RBP as usize] as u64,
    }
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let all = &context.uc_mcontext;
    Registers {
        instruction: all.pc,
        stack: all.sp,
        frame: all.regs[29],
        link: all.regs[30],
    }
}

fn this_thread() -> u32 {
    // SAFETY: asks the kernel for a number; allowed in a signal handler.
    unsafe { libc::syscall(libc::SYS_gettid) as u32 }
}

/// The end of this thread's stack from which it grows down.
fn top_of_this_stack() -> Option<usize> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut lowest, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are initialised by the first call if it succeeds, and destroyed once.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let known =
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut lowest, &raw mut size);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        (known == 0).then(|| lowest.expose_provenance() + size)
    }
}

//! One thread's futex.
//!
//! A worker that has announced its sleep (`idle.rs`) waits here for the one thread that claims it.
//! The word holds a token: `unpark` leaves it, `park` takes it, in either order, and several tokens
//! are one.
//!
//! ```text
//!            park                  unpark
//!   EMPTY ---------> PARKED      any ------> NOTIFIED   (and wakes, if it was PARKED)
//!   NOTIFIED ------> EMPTY, returns at once
//!   PARKED: sleeps until NOTIFIED, takes it (EMPTY), returns
//! ```
//!
//! Who may touch what: `park` belongs to the one thread whose bed this is, `unpark` to anybody.
//!
//! Why not `std::thread::park`? Its token is shared with every library that parks the same thread
//! (a handler that blocks on a channel would eat it), and it costs a `Thread` handle per worker.

use std::marker::PhantomData;

use crate::sync::atomic::{AtomicU32, Ordering};

/// The bed of one thread.
#[derive(Debug)]
pub(crate) struct Parker<P = Sound> {
    word: Word,
    protocol: PhantomData<fn() -> P>,
}

/// The step on which the protocol stands, so that a model can weaken it and must fail.
pub(crate) trait Protocol {
    /// EMPTY -> PARKED and NOTIFIED -> EMPTY are one read-modify-write. In two steps the PARKED of
    /// the second overwrites a token that arrived between them.
    const ONE_STEP: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

impl<P: Protocol> Parker<P> {
    pub(crate) fn new() -> Self {
        Self {
            word: Word::new(EMPTY),
            protocol: PhantomData,
        }
    }

    /// Sleeps until there is a token, and takes it.
    pub(crate) fn park(&self) {
        let state = &self.word.value;
        // Acquire, here and in the CAS: with the Release of `unpark`'s swap, so that what the waker
        // did before waking us is seen.
        let before = if P::ONE_STEP {
            state.fetch_sub(1, Ordering::Acquire)
        } else {
            let before = state.load(Ordering::Acquire);
            state.store(before.wrapping_sub(1), Ordering::Relaxed);
            before
        };
        match before {
            NOTIFIED => return,
            EMPTY => {}
            other => unreachable!("two threads park in one bed; state = {other}"),
        }
        loop {
            self.word.wait_while(PARKED);
            let took =
                state.compare_exchange(NOTIFIED, EMPTY, Ordering::Acquire, Ordering::Relaxed);
            if took.is_ok() {
                return;
            }
            // A spurious return of the kernel: still PARKED.
        }
    }

    /// Leaves a token, and wakes the thread if it sleeps. Never blocks.
    pub(crate) fn unpark(&self) {
        // Release: with the Acquire in `park`.
        if self.word.value.swap(NOTIFIED, Ordering::Release) == PARKED {
            self.word.wake();
        }
    }
}

/// No token, nobody sleeps.
const EMPTY: u32 = 0;
/// A token lies here.
const NOTIFIED: u32 = 1;
/// The owner sleeps: one less than EMPTY, so that `park` begins with one `fetch_sub`.
const PARKED: u32 = EMPTY.wrapping_sub(1);

/// A word one can sleep on: the kernel's futex on Linux, a mutex and a condition variable elsewhere
/// and under loom. Both keep the same promise: `wait_while` compares and falls asleep in one step
/// as seen from `wake`.
#[derive(Debug)]
struct Word {
    value: AtomicU32,
    #[cfg(any(not(target_os = "linux"), actor_loom))]
    bed: (crate::sync::Mutex<()>, crate::sync::Condvar),
}

#[cfg(all(target_os = "linux", not(actor_loom)))]
impl Word {
    const fn new(value: u32) -> Self {
        Self {
            value: AtomicU32::new(value),
        }
    }

    /// Returns when woken, when the value is another, or for no reason at all.
    fn wait_while(&self, expected: u32) {
        // SAFETY: the address is that of a live, aligned 32-bit word for the whole call, and a null
        // timeout means for ever. Each error (EAGAIN: the value is another; EINTR: a signal) is a
        // reason to look again, which the caller does.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.value.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                expected,
                std::ptr::null::<libc::timespec>(),
            );
        }
    }

    /// Wakes the one sleeper.
    fn wake(&self) {
        // SAFETY: as above; the kernel only looks the address up.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.value.as_ptr(),
                libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
                1,
            );
        }
    }
}

#[cfg(any(not(target_os = "linux"), actor_loom))]
impl Word {
    fn new(value: u32) -> Self {
        Self {
            value: AtomicU32::new(value),
            bed: (crate::sync::Mutex::new(()), crate::sync::Condvar::new()),
        }
    }

    fn wait_while(&self, expected: u32) {
        let (lock, woken) = &self.bed;
        let guard = lock.lock().expect("nothing panics under this lock");
        // Relaxed: `wake` takes the lock after the value has changed, so either the new value is
        // seen here or the wake comes after the wait.
        if self.value.load(Ordering::Relaxed) == expected {
            drop(woken.wait(guard).expect("nothing panics under this lock"));
        }
    }

    fn wake(&self) {
        let (lock, woken) = &self.bed;
        drop(lock.lock().expect("nothing panics under this lock"));
        woken.notify_one();
    }
}

#[cfg(all(test, actor_loom))]
#[path = "park_loom.rs"]
mod models;

#[cfg(all(test, not(actor_loom)))]
#[path = "park_tests.rs"]
mod tests;

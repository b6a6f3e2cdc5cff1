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
//!   PARKED ------> EMPTY when the time of `park_timeout` is up, unless it is NOTIFIED by then
//! ```
//!
//! Who may touch what: `park` belongs to the one thread whose bed this is, `unpark` to anybody.
//!
//! Why not `std::thread::park`? Its token is shared with every library that parks the same thread
//! (a handler that blocks on a channel would eat it), and it costs a `Thread` handle per worker.

use std::marker::PhantomData;
use std::time::{Duration, Instant};

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
    /// When the time is up, PARKED -> EMPTY is one compare-exchange. A plain store overwrites a token that has
    /// just arrived.
    const GIVES_UP_IN_ONE_STEP: bool = true;
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
        if self.lie_down() {
            return;
        }
        while !self.take_token(|| self.word.wait_while(PARKED)) {
            // A spurious return of the kernel: still PARKED.
        }
    }

    /// As `park`, but for no longer than that. Whether it took a token.
    pub(crate) fn park_timeout(&self, timeout: Duration) -> bool {
        if self.lie_down() {
            return true;
        }
        let began = Instant::now();
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                return self.get_up();
            }
            if self.take_token(|| self.word.wait_while_for(PARKED, left)) {
                return true;
            }
        }
    }

    /// From EMPTY to PARKED; or there was a token, and it is taken.
    fn lie_down(&self) -> bool {
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
            NOTIFIED => true,
            EMPTY => false,
            other => unreachable!("two threads park in one bed; state = {other}"),
        }
    }

    /// Waits, and takes the token if there is one.
    fn take_token(&self, wait: impl FnOnce()) -> bool {
        wait();
        // Acquire: as in `lie_down`.
        let state = &self.word.value;
        state
            .compare_exchange(NOTIFIED, EMPTY, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    /// The time is up: from PARKED to EMPTY. Whether a token came in the last moment; then it is taken.
    fn get_up(&self) -> bool {
        let state = &self.word.value;
        if !P::GIVES_UP_IN_ONE_STEP {
            state.store(EMPTY, Ordering::Relaxed);
            return false;
        }
        // Relaxed: without a token nothing is read through it. Otherwise Acquire, as in `lie_down`.
        let gave_up = state.compare_exchange(PARKED, EMPTY, Ordering::Relaxed, Ordering::Relaxed);
        gave_up.is_err() && state.swap(EMPTY, Ordering::Acquire) == NOTIFIED
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
        self.futex_wait(expected, std::ptr::null());
    }

    /// As `wait_while`, and returns after that time as well.
    fn wait_while_for(&self, expected: u32, time: Duration) {
        let left = libc::timespec {
            // What does not fit is longer than anybody waits; the caller looks again.
            tv_sec: libc::time_t::try_from(time.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: time.subsec_nanos().into(),
        };
        self.futex_wait(expected, &raw const left);
    }

    fn futex_wait(&self, expected: u32, timeout: *const libc::timespec) {
        // SAFETY: the address is that of a live, aligned 32-bit word for the whole call; the timeout is null,
        // which means for ever, or that of a live `timespec`. Each error (EAGAIN: the value is another;
        // EINTR: a signal; ETIMEDOUT) is a reason to look again, which the caller does.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.value.as_ptr(),
                libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
                expected,
                timeout,
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

    #[cfg(not(actor_loom))]
    fn wait_while_for(&self, expected: u32, time: Duration) {
        let (lock, woken) = &self.bed;
        let guard = lock.lock().expect("nothing panics under this lock");
        // Relaxed: as in `wait_while`.
        if self.value.load(Ordering::Relaxed) == expected {
            let waited = woken.wait_timeout(guard, time);
            drop(waited.expect("nothing panics under this lock"));
        }
    }

    /// loom knows no time: models use a timeout of zero, which does not wait.
    #[cfg(actor_loom)]
    fn wait_while_for(&self, _expected: u32, _time: Duration) {}

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

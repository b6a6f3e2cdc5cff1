//! std's atomics, after which a thread sometimes falls asleep: under `--cfg actor_chaos`.
//!
//! Threads that run at full speed meet in few of the orders that are allowed. What another thread sees
//! between two atomic steps of this one is seen by tests only if there is time between them, so here there
//! is: after one step in so many, up to so long. `ACTOR_CHAOS=200:20` says 200 of a million, at most 20 ms;
//! that is the default, and `0:0` is none at all.
//!
//! Beside `tools/chaos`, which stops threads anywhere, this one stops them where it hurts. It finds in
//! seconds what a slow machine finds in months: a reply sent before the count that goes with it is raised, a
//! name free before its actor is gone.

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{self as std_atomic, Ordering};
use std::time::Duration;

/// Lets time pass, rarely.
fn maybe_pause() {
    static CHANCE: OnceLock<(u64, u64)> = OnceLock::new();
    static THREADS: std_atomic::AtomicU64 = std_atomic::AtomicU64::new(1);
    thread_local! {
        // Without a destructor, so that it can be used while a thread ends.
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    let &(of_a_million, max_ms) = CHANCE.get_or_init(|| {
        let asked = std::env::var("ACTOR_CHAOS").ok();
        let asked = asked.as_deref().and_then(|asked| asked.split_once(':'));
        asked
            .and_then(|(chance, ms)| Some((chance.parse().ok()?, ms.parse().ok()?)))
            .unwrap_or((200, 20))
    });
    let draw = STATE.with(|state| {
        let mut x = state.get();
        if x == 0 {
            // Relaxed: a number that nobody else gets.
            let thread = THREADS.fetch_add(1, Ordering::Relaxed);
            x = thread.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(std::process::id()) | 1;
        }
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    });
    if draw % 1_000_000 < of_a_million {
        let micros = (draw / 1_000_000) % (max_ms * 1000 + 1);
        std::thread::sleep(Duration::from_micros(micros));
    }
}

/// `fence`, and perhaps a pause after it.
pub(crate) fn fence(order: Ordering) {
    std_atomic::fence(order);
    maybe_pause();
}

macro_rules! steps {
    ($value:ty) => {
        #[inline]
        pub(crate) fn load(&self, order: Ordering) -> $value {
            let value = self.0.load(order);
            maybe_pause();
            value
        }

        #[inline]
        pub(crate) fn store(&self, value: $value, order: Ordering) {
            self.0.store(value, order);
            maybe_pause();
        }

        #[inline]
        pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
            let before = self.0.swap(value, order);
            maybe_pause();
            before
        }

        #[inline]
        pub(crate) fn compare_exchange(
            &self,
            current: $value,
            new: $value,
            success: Ordering,
            failure: Ordering,
        ) -> Result<$value, $value> {
            let outcome = self.0.compare_exchange(current, new, success, failure);
            maybe_pause();
            outcome
        }

        #[inline]
        pub(crate) fn compare_exchange_weak(
            &self,
            current: $value,
            new: $value,
            success: Ordering,
            failure: Ordering,
        ) -> Result<$value, $value> {
            let outcome = self.0.compare_exchange_weak(current, new, success, failure);
            maybe_pause();
            outcome
        }

        #[inline]
        pub(crate) fn fetch_update(
            &self,
            set: Ordering,
            fetch: Ordering,
            update: impl FnMut($value) -> Option<$value>,
        ) -> Result<$value, $value> {
            let outcome = self.0.fetch_update(set, fetch, update);
            maybe_pause();
            outcome
        }

        #[inline]
        pub(crate) fn get_mut(&mut self) -> &mut $value {
            self.0.get_mut()
        }

        #[inline]
        pub(crate) fn into_inner(self) -> $value {
            self.0.into_inner()
        }

        #[inline]
        pub(crate) const fn as_ptr(&self) -> *mut $value {
            self.0.as_ptr()
        }
    };
}

macro_rules! fetch {
    ($value:ty: $($name:ident),*) => {$(
        #[inline]
        pub(crate) fn $name(&self, value: $value, order: Ordering) -> $value {
            let before = self.0.$name(value, order);
            maybe_pause();
            before
        }
    )*};
}

macro_rules! atomics {
    ($($atomic:ident($value:ty): $($fetch:ident),*;)*) => {$(
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub(crate) struct $atomic(std_atomic::$atomic);

        #[allow(dead_code, reason = "the same methods for all")]
        impl $atomic {
            pub(crate) const fn new(value: $value) -> Self {
                Self(std_atomic::$atomic::new(value))
            }

            steps!($value);
            fetch!($value: $($fetch),*);
        }
    )*};
}

atomics! {
    AtomicBool(bool): fetch_and, fetch_or;
    AtomicU8(u8): fetch_add, fetch_sub, fetch_and, fetch_or, fetch_max, fetch_min;
    AtomicU32(u32): fetch_add, fetch_sub, fetch_and, fetch_or, fetch_max, fetch_min;
    AtomicU64(u64): fetch_add, fetch_sub, fetch_and, fetch_or, fetch_max, fetch_min;
    AtomicUsize(usize): fetch_add, fetch_sub, fetch_and, fetch_or, fetch_max, fetch_min;
}

#[repr(transparent)]
pub(crate) struct AtomicPtr<T>(std_atomic::AtomicPtr<T>);

#[allow(dead_code, reason = "the same methods for all")]
impl<T> AtomicPtr<T> {
    pub(crate) const fn new(value: *mut T) -> Self {
        Self(std_atomic::AtomicPtr::new(value))
    }

    steps!(*mut T);
}

impl<T> Default for AtomicPtr<T> {
    fn default() -> Self {
        Self::new(std::ptr::null_mut())
    }
}

impl<T> fmt::Debug for AtomicPtr<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

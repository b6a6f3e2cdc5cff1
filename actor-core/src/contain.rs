//! Where panics of code that is not ours stop: drops, wakers, texts, log subscribers.
//!
//! Handlers and hooks are caught where they run, because their panic is an actor's failure. What is
//! caught here is nobody's failure, but it is not swallowed either: each catch is told to whoever keeps
//! this thread's books (a worker, a sweep after the end); elsewhere it is a panic on a thread of the user's
//! that the panic hook has printed.
//!
//! The payload of a panic is a user's value too. It is dropped under the same guard; the payload of a
//! panic in that drop is leaked.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Where catches are counted. Implemented by the floor that keeps books.
pub(crate) trait Books {
    /// A panic was caught on this thread.
    fn caught(&self);
}

thread_local! {
    static BOOKS: Cell<Option<&'static dyn Books>> = const { Cell::new(None) };
}

/// Runs something of the user's that must not unwind into the runtime. Whether it came to its end.
pub(crate) fn contain(f: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(()) => true,
        Err(payload) => {
            caught();
            drop_payload(payload);
            false
        }
    }
}

/// The text of a panic payload that is still wanted.
pub(crate) fn look_at(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or(NO_TEXT)
}

const NO_TEXT: &str = "a panic payload that is not text";

/// The text of a panic payload, which is dropped with care.
pub(crate) fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let text = look_at(&*payload).to_owned();
    drop_payload(payload);
    text
}

fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        caught();
        std::mem::forget(second);
    }
}

/// Counts a panic that was caught elsewhere.
#[cold]
pub(crate) fn caught() {
    if let Some(books) = BOOKS.get() {
        books.caught();
    }
}

/// Has catches on this thread told to `books`, until the guard is dropped.
pub(crate) fn book(books: &'static dyn Books) -> Booked {
    Booked(BOOKS.replace(Some(books)))
}

/// Puts back what was there before.
pub(crate) struct Booked(Option<&'static dyn Books>);

impl std::fmt::Debug for Booked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Booked").field(&self.0.is_some()).finish()
    }
}

impl Drop for Booked {
    fn drop(&mut self) {
        BOOKS.set(self.0);
    }
}

/// A line in the log. A subscriber that panics takes nothing with it.
#[cfg(not(actor_loom))]
macro_rules! log {
    ($level:ident, $($line:tt)*) => {{
        $crate::contain::contain(|| tracing::$level!($($line)*));
    }};
}
#[cfg(not(actor_loom))]
pub(crate) use log;

//! Time as the test kit tells it: per thread, standing still until it is moved.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::Tick;

/// Where virtual time begins: an hour on, so that nothing in it lies before the beginning of time, and
/// on a whole tick of the timer wheel, so that every run rounds the same way.
const START: u64 = 3_600_000_000_000;

#[derive(Clone, Copy)]
struct Virtual {
    now: u64,
    /// The instant that stands for the start.
    anchor: Instant,
}

thread_local! {
    static VIRTUAL: Cell<Option<Virtual>> = const { Cell::new(None) };
}

/// Stops the time of this thread at the start; `anchor` is what the start is called as an `Instant`.
pub(crate) fn stop_at_start(anchor: Instant) {
    VIRTUAL.set(Some(Virtual { now: START, anchor }));
}

/// Gives this thread real time again.
pub(crate) fn resume() {
    VIRTUAL.set(None);
}

/// Sets this thread's time to so long after the start. Never back.
pub(crate) fn set_elapsed(elapsed: Duration) {
    if let Some(mut time) = VIRTUAL.get() {
        let elapsed = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        time.now = time.now.max(START.saturating_add(elapsed));
        VIRTUAL.set(Some(time));
    }
}

/// How long after the start a time is.
pub(crate) fn elapsed_at(at: Tick) -> Duration {
    Duration::from_nanos(at.0.saturating_sub(START))
}

/// The time of this thread, if it is virtual.
#[inline]
pub(super) fn now() -> Option<Tick> {
    VIRTUAL.get().map(|time| Tick(time.now))
}

pub(super) fn from_instant(at: Instant) -> Option<Tick> {
    VIRTUAL.get().map(|time| {
        let since = at.saturating_duration_since(time.anchor);
        Tick(START).after(since)
    })
}

pub(super) fn to_instant(at: Tick) -> Option<Instant> {
    VIRTUAL.get().map(|time| {
        let since = elapsed_at(at);
        // As far as an `Instant` reaches: some days less than 584 years on some systems.
        time.anchor.checked_add(since).unwrap_or(time.anchor)
    })
}

//! A log subscriber is the user's code on the runtime's threads: one that panics at every call takes
//! nothing with it. Alone in its process, because a subscriber is everybody's.

mod common;
#[path = "common/life.rs"]
mod life;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::*;
use life::*;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Panics whenever the runtime says something.
struct Mine;

static CALLS: AtomicU64 = AtomicU64::new(0);

fn called() {
    CALLS.fetch_add(1, Ordering::SeqCst);
    // The span of a handler that panics is left while nothing unwinds any more.
    assert!(!std::thread::panicking());
    boom()
}

impl Subscriber for Mine {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("actor_core")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // Every other one comes into being, so that entering and leaving are called as well.
        static SPANS: AtomicU64 = AtomicU64::new(0);
        let number = SPANS.fetch_add(1, Ordering::SeqCst) + 1;
        if number.is_multiple_of(2) {
            called();
        }
        Id::from_u64(number)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {
        called();
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        called();
    }

    fn enter(&self, span: &Id) {
        if !span.into_u64().is_multiple_of(3) {
            called();
        }
    }

    fn exit(&self, _: &Id) {
        called();
    }

    fn try_close(&self, _: Id) -> bool {
        called();
        true
    }
}

#[test]
fn c6_a_log_subscriber_that_panics_takes_nothing_with_it() {
    quiet();
    tracing::subscriber::set_global_default(Mine).unwrap();
    let (system, log) = (system(), Log::new());
    let handle = system.handle();
    let a = Spec::new("A", &log).spawn(&system);
    for n in 0..50 {
        a.tell(Note(n)).unwrap();
    }
    a.tell(Sleep(Some(Duration::from_millis(2)))).unwrap();
    a.crash();
    assert_eq!(a.life(), 2);
    let b = Spec::new("B", &log).spawn(&system);
    b.stop();
    b.gone();
    // A dead letter, which is told to the log as well.
    assert!(b.tell(Note(1)).is_err());
    let books = finish(system);
    assert_eq!(books.dropped.panicked, 1);
    assert!(CALLS.load(Ordering::SeqCst) > 50);
    assert!(handle.stats().actors.panics > 50, "{}", handle.stats());
}

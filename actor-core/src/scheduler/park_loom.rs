//! Models of the parker: no wake-up is lost, and the weakened twin loses one.

// std's: loom's would panic a second time when it is dropped after a deadlock was found.
use std::sync::Arc;
use std::time::Duration;

use super::{Parker, Protocol, Sound};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread;

/// Checks and sleeps in two steps.
struct TwoSteps;

impl Protocol for TwoSteps {
    const ONE_STEP: bool = false;
}

/// A sleeper waits for two signals, whose tokens may fall together.
fn two_signals<P: Protocol + 'static>() {
    loom::model(|| {
        let shared = Arc::new((Parker::<P>::new(), AtomicUsize::new(0)));
        let theirs = shared.clone();
        let waker = thread::spawn(move || {
            for _ in 0..2 {
                theirs.1.fetch_add(1, Ordering::Relaxed);
                theirs.0.unpark();
            }
        });
        // Relaxed: the token's edge is what is tested.
        while shared.1.load(Ordering::Relaxed) < 2 {
            shared.0.park();
        }
        waker.join().unwrap();
    });
}

#[test]
fn loom_park_loses_no_token() {
    two_signals::<Sound>();
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_park_in_two_steps_is_caught() {
    two_signals::<TwoSteps>();
}

/// Gives up with its token overwritten.
struct StoresEmpty;

impl Protocol for StoresEmpty {
    const GIVES_UP_IN_ONE_STEP: bool = false;
}

/// A sleeper whose time is up at once goes to sleep again; the signal may come at any moment.
fn one_signal_at_the_last_moment<P: Protocol + 'static>() {
    loom::model(|| {
        let parker = Arc::new(Parker::<P>::new());
        let theirs = parker.clone();
        let waker = thread::spawn(move || theirs.unpark());
        if !parker.park_timeout(Duration::ZERO) {
            parker.park();
        }
        waker.join().unwrap();
    });
}

#[test]
fn loom_giving_up_loses_no_token() {
    one_signal_at_the_last_moment::<Sound>();
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_giving_up_by_a_store_is_caught() {
    one_signal_at_the_last_moment::<StoresEmpty>();
}

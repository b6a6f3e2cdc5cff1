use std::sync::atomic::{AtomicBool, Ordering};

use super::Running;

#[test]
fn a_trace_is_seen_whole_or_not_at_all() {
    let running = Running::default();
    assert_eq!(running.trace(), Some(0));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let rounds: u64 = if cfg!(miri) { 100 } else { 100_000 };
            for n in 1..rounds {
                running.set_trace(u128::from(n) << 64 | u128::from(n));
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            if let Some(trace) = running.trace() {
                assert_eq!(
                    (trace >> 64) as u64,
                    trace as u64,
                    "two halves of two traces"
                );
            }
        }
    });
}

#[test]
fn nothing_is_seen_between_turns() {
    assert!(Running::default().look().is_none());
}

use std::time::Duration;

use super::*;
use crate::trace::{SpanKind, TraceContext};

fn record() -> Box<SpanRecord> {
    let trace = TraceContext::new_root(true);
    let at = SystemTime::UNIX_EPOCH;
    Box::new(SpanRecord::new(trace, SpanKind::Handle, "", at))
}

#[test]
fn a_full_queue_drops_and_counts_and_the_books_hold() {
    let spans = Spans::new();
    spans.set(&Settings {
        queue: 16,
        ..Settings::default()
    });
    for _ in 0..20 {
        spans.push(record());
    }
    let counts = spans.counts();
    assert_eq!((counts.offered, counts.queued, counts.dropped), (20, 16, 4));
    assert_eq!(spans.drain(10).len(), 10);
    assert_eq!(spans.drain(10).len(), 6);
    let counts = spans.counts();
    assert_eq!((counts.recorded, counts.queued, counts.dropped), (16, 0, 4));
}

#[test]
fn work_in_a_rhythm_does_not_fall_between() {
    let spans = Spans::new();
    spans.set_share(0.02);
    // Of what comes every 500th time, about one in 50 is recorded, and not all or nothing: in 50,000 draws for
    // 1000 of them, none would be a chance of 1 in 10^8.
    let hits = (0..500 * 1000)
        .filter(|n| spans.begins() && n % 500 == 0)
        .count();
    assert!((1..100).contains(&hits), "{hits}");
    for share in [0.6, 0.9] {
        spans.set_share(share);
        let hits = (0..10_000).filter(|_| spans.begins()).count() as f64;
        assert!((hits - share * 10_000.0).abs() < 3.0, "{hits} of {share}");
    }
}

#[test]
fn of_each_row_one_trace_is_recorded() {
    let spans = Spans::new();
    let of = |share, n: u32| {
        spans.set_share(share);
        (0..n).filter(|_| spans.begins()).count()
    };
    assert_eq!(of(0.0, 1000), 0);
    assert_eq!(of(1.0, 1000), 1000);
    assert!((9..=12).contains(&of(0.01, 1000)));
    assert!((248..=252).contains(&of(0.25, 1000)));
    spans.set(&Settings {
        is_on: false,
        sample: 1.0,
        ..Settings::default()
    });
    assert!(!spans.begins(), "switched off");
}

#[test]
fn times_of_day_go_with_the_clock_both_ways() {
    let spans = Spans::new();
    let now = Tick::now();
    let at = spans.time_of_day(now);
    let later = now.after(Duration::from_secs(3));
    assert_eq!(
        spans.time_of_day(later).duration_since(at).ok(),
        Some(Duration::from_secs(3))
    );
}

use std::time::Duration;

use super::*;
use crate::id::ActorId;
use crate::trace::{SpanKind, TraceContext, TraceFlags};

fn record() -> Box<SpanRecord> {
    let trace = TraceContext::new_root(true);
    let at = SystemTime::UNIX_EPOCH;
    Box::new(SpanRecord::new(trace, SpanKind::Handle, "", at))
}

#[test]
fn a_full_queue_drops_and_counts_and_the_books_hold() {
    let spans = Spans::new(1);
    spans.set(&Settings {
        queue: 16,
        ..Settings::default()
    });
    for _ in 0..20 {
        spans.push(record());
    }
    let counts = spans.counts();
    assert_eq!((counts.offered, counts.queued, counts.dropped), (20, 16, 4));
    // SAFETY: the one thread here.
    let drained = unsafe { spans.drain(drop) };
    assert_eq!((drained.taken, drained.fullest), (16, 100));
    let counts = spans.counts();
    assert_eq!((counts.recorded, counts.queued, counts.dropped), (16, 0, 4));
}

fn brief(at: u64) -> Brief {
    Brief {
        trace_id: TraceContext::new_root(true).trace_id(),
        span_id: TraceContext::new_root(true).span_id(),
        flags: TraceFlags::SAMPLED,
        kind: SpanKind::Handle,
        parent: None,
        link: None,
        sent: Some(Tick(at)),
        started: Tick(at + 10),
        ended: Tick(at + 30),
        actor: ActorId::new(0, 7, 1),
        actor_type: "Shop",
        actor_name: None,
        message: "Buy",
        sender: None,
        sender_numa_node: None,
        numa_node: None,
        worker: None,
        mailbox_depth: Some(7),
        restarts: 0,
        peer: None,
    }
}

#[test]
fn a_full_desk_drops_and_counts_and_the_books_hold() {
    let spans = Spans::new(2);
    spans.set(&Settings {
        queue: 20,
        ..Settings::default()
    });
    for at in 0..40 {
        // SAFETY: the one thread here, as below.
        unsafe { spans.push_at(spans.desk(1), || brief(at)) };
    }
    spans.push_brief(brief(99));
    let counts = spans.counts();
    assert_eq!((counts.offered, counts.queued, counts.dropped), (41, 33, 8));
    assert!(!spans.is_empty());
    let mut all = Vec::new();
    // SAFETY: as above.
    unsafe { spans.drain(|span| all.push(span)) };
    let counts = spans.counts();
    assert_eq!((counts.recorded, counts.queued, counts.dropped), (33, 0, 8));
    assert!(spans.is_empty());
    let span = &all[1];
    assert_eq!((span.actor_type, span.message), ("Shop", "Buy"));
    assert_eq!(span.queue_wait, Duration::from_nanos(10));
    assert_eq!(span.duration, Duration::from_nanos(20));
    assert_eq!(span.started, spans.time_of_day(Tick(10)));
    assert_eq!((span.mailbox_depth, span.parent), (Some(7), None));
    assert!(span.trace.is_sampled() && !span.is_error());
}

#[test]
fn work_in_a_rhythm_does_not_fall_between() {
    let spans = Spans::new(1);
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
    let spans = Spans::new(1);
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
    let spans = Spans::new(1);
    let now = Tick::now();
    let at = spans.time_of_day(now);
    let later = now.after(Duration::from_secs(3));
    assert_eq!(
        spans.time_of_day(later).duration_since(at).ok(),
        Some(Duration::from_secs(3))
    );
}

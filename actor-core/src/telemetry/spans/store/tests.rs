use super::*;
use crate::trace::{TraceContext, TraceFlags};

fn settings(traces: usize, slow: usize, failed: usize, spans: usize) -> Settings {
    Settings {
        keep_traces: traces,
        keep_slow: slow,
        keep_failed: failed,
        keep_spans: spans,
        ..Settings::default()
    }
}

/// A span of `ms` that begins `at` ms after the epoch.
fn span(trace: &TraceContext, at: u64, ms: u64, outcome: SpanOutcome) -> Arc<SpanRecord> {
    let started = SystemTime::UNIX_EPOCH + Duration::from_millis(at);
    Arc::new(SpanRecord {
        parent: Some(trace.span_id()),
        duration: Duration::from_millis(ms),
        outcome,
        ..SpanRecord::new(trace.child(), SpanKind::Handle, "", started)
    })
}

fn ids(list: &[TraceSummary]) -> Vec<TraceId> {
    list.iter().map(|trace| trace.trace_id).collect()
}

fn roots<const N: usize>() -> [TraceContext; N] {
    std::array::from_fn(|_| TraceContext::new_root(true))
}

#[test]
fn the_latest_stay_and_so_do_the_slow_and_the_failed() {
    let mut store = Store::new(&settings(2, 1, 1, 100));
    let traces: [_; 5] = roots();
    store.insert(span(&traces[0], 0, 1000, SpanOutcome::Ok));
    store.insert(span(&traces[1], 1, 1, SpanOutcome::Error("x".into())));
    for (at, trace) in traces.iter().enumerate().skip(2) {
        store.insert(span(trace, at as u64, 2, SpanOutcome::Ok));
    }
    let id = |n: usize| traces[n].trace_id();
    assert_eq!(ids(&store.list(TraceList::Recent, 9)), [id(4), id(3)]);
    assert_eq!(ids(&store.list(TraceList::Slow, 9)), [id(0)]);
    assert_eq!(ids(&store.list(TraceList::Failed, 9)), [id(1)]);
    assert!(store.get(id(2)).is_none(), "in no list");
    assert!(store.get(id(0)).is_some());
    assert_eq!((store.traces(), store.spans()), (4, 4));
}

#[test]
fn a_trace_grows_with_its_spans() {
    let mut store = Store::new(&settings(10, 10, 10, 100));
    let [a, b] = roots();
    store.insert(span(&a, 10, 5, SpanOutcome::Ok));
    store.insert(span(&b, 10, 50, SpanOutcome::Ok));
    // What ends later began earlier.
    store.insert(span(&a, 0, 100, SpanOutcome::Ok));
    let slow = store.list(TraceList::Slow, 9);
    assert_eq!(ids(&slow), [a.trace_id(), b.trace_id()]);
    assert_eq!(slow[0].duration, Duration::from_millis(100));
    assert_eq!((slow[0].spans, slow[0].errors), (2, 0));
    let spans = store.get(a.trace_id()).map(|trace| trace.spans);
    let starts: Vec<_> = spans.iter().flatten().map(|span| span.started).collect();
    assert!(starts.is_sorted());
    assert_eq!(starts.len(), 2);
}

#[test]
fn the_number_of_spans_is_bounded_in_one_trace_and_in_all() {
    let mut store = Store::new(&settings(1000, 0, 0, 3000));
    let long = TraceContext::new_root(true);
    for at in 0..2500 {
        store.insert(span(&long, at, 1, SpanOutcome::Ok));
    }
    let [trace] = &store.list(TraceList::Recent, 9)[..] else {
        panic!("one trace");
    };
    assert_eq!((trace.spans, trace.left_out), (2500, 500));
    assert_eq!(store.spans(), 2000);
    for at in 0..1001 {
        store.insert(span(&TraceContext::new_root(true), at, 1, SpanOutcome::Ok));
    }
    assert!(
        store.get(long.trace_id()).is_none(),
        "the oldest goes whole"
    );
    assert!(store.spans() <= 3000);
}

#[test]
fn the_bytes_are_bounded_too() {
    let mut store = Store::new(&settings(1000, 100, 100, 50));
    let long: Arc<str> = "x".repeat(10_000).into();
    for at in 0..40 {
        let trace = TraceContext::new_root(true);
        store.insert(span(&trace, at, 1, SpanOutcome::Panicked(long.clone())));
    }
    assert!(store.bytes <= 50 * BYTES_PER_SPAN);
    assert!((1..=5).contains(&store.traces()), "{}", store.traces());
    // One that is too long alone is not kept, and does not stay in the books.
    let huge: Arc<str> = "x".repeat(1_000_000).into();
    store.insert(span(
        &TraceContext::new_root(true),
        0,
        1,
        SpanOutcome::Error(huge),
    ));
    assert_eq!((store.traces(), store.spans(), store.bytes), (0, 0, 0));
}

#[test]
fn a_failure_that_is_not_sampled_is_among_the_failed_only() {
    let mut store = Store::new(&settings(10, 10, 2, 100));
    let unsampled = || {
        let root = TraceContext::new_root(false);
        TraceContext::new(root.trace_id(), root.span_id(), TraceFlags::NONE)
    };
    let failures = [unsampled(), unsampled(), unsampled()];
    for (at, failure) in failures.iter().enumerate() {
        store.insert(span(failure, at as u64, 1, SpanOutcome::Error("x".into())));
    }
    assert!(
        store.list(TraceList::Recent, 9).is_empty() && store.list(TraceList::Slow, 9).is_empty()
    );
    let [_, second, third] = failures.map(|failure| failure.trace_id());
    assert_eq!(ids(&store.list(TraceList::Failed, 9)), [third, second]);
    assert_eq!((store.traces(), store.spans()), (2, 2));
}

#[test]
fn nothing_is_kept_where_nothing_is_wanted() {
    for settings in [settings(0, 0, 0, 100), settings(10, 10, 10, 0)] {
        let mut store = Store::new(&settings);
        store.insert(span(&TraceContext::new_root(true), 0, 1, SpanOutcome::Ok));
        assert_eq!((store.traces(), store.spans()), (0, 0));
    }
}

//! Where finished spans go: to exporters, without anybody waiting for them, and the books of that.

mod common;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{ExportError, SpanExporter, SpanRecord, TracingOptions};
use common::*;

struct Worker;
impl Actor for Worker {}
struct Work;
impl Message for Work {
    type Reply = ();
}
impl SyncHandler<Work> for Worker {
    fn handle(&mut self, _: Work, _cx: &mut ActorContext<Self>) {}
}
struct Break;
impl Message for Break {
    type Reply = ();
}
impl SyncHandler<Break> for Worker {
    fn handle(&mut self, _: Break, _cx: &mut ActorContext<Self>) {
        panic!("broken on purpose");
    }
}

fn traced(options: TracingOptions) -> ActorSystem {
    let built = ActorSystem::builder().tracing(options).build();
    built.expect("a system starts")
}

/// Counts what it is given, and its calls of the other kinds.
#[derive(Clone, Default)]
struct Counting {
    spans: Arc<AtomicU64>,
    calls: Arc<Mutex<Vec<&'static str>>>,
}

impl SpanExporter for Counting {
    fn export(&mut self, batch: &[Arc<SpanRecord>]) -> Result<(), ExportError> {
        assert!(!batch.is_empty() && batch.len() <= 512);
        self.spans.fetch_add(batch.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    fn flush(&mut self, _limit: Duration) -> Result<(), ExportError> {
        self.calls.lock().expect("no panic").push("flush");
        Ok(())
    }

    fn shutdown(&mut self, _limit: Duration) -> Result<(), ExportError> {
        self.calls.lock().expect("no panic").push("shutdown");
        Ok(())
    }
}

#[test]
fn all_that_ended_is_exported_at_a_flush_and_at_the_shutdown() {
    let (first, second) = (Counting::default(), Counting::default());
    let system = traced(
        TracingOptions::new()
            .sample(1.0)
            .queue(65_536)
            .flush_within(PATIENCE)
            .exporter(first.clone()),
    );
    system.add_span_exporter(second.clone()).expect("a thread");
    let worker = system.spawn(Worker).expect("spawned");
    for _ in 0..500 {
        worker.ask_blocking(Work).expect("answered");
    }
    assert!(system.flush_spans(PATIENCE));
    assert_eq!(first.spans.load(Ordering::SeqCst), 1000);
    assert_eq!(second.spans.load(Ordering::SeqCst), 1000);
    for _ in 0..500 {
        worker.ask_blocking(Work).expect("answered");
    }
    let handle = system.handle();
    finish(system);
    assert_eq!(first.spans.load(Ordering::SeqCst), 2000);
    let stats = handle.stats().spans;
    assert_eq!(
        (stats.offered, stats.recorded, stats.dropped),
        (2000, 2000, 0)
    );
    assert_eq!((stats.exported, stats.not_exported), (4000, 0));
    assert_eq!(
        *first.calls.lock().expect("no panic"),
        ["flush", "shutdown"]
    );
    assert!(handle.add_span_exporter(second).is_err(), "it is over");
}

#[test]
fn an_exporter_that_fails_or_panics_is_counted_and_called_again() {
    struct Failing(mpsc::Sender<()>, u32);
    impl SpanExporter for Failing {
        fn export(&mut self, _batch: &[Arc<SpanRecord>]) -> Result<(), ExportError> {
            self.1 += 1;
            _ = self.0.send(());
            assert!(self.1 != 1, "panics the first time");
            Err(ExportError::new("the collector is down"))
        }
    }
    let (call, calls) = mpsc::channel();
    let system = traced(TracingOptions::new().sample(1.0).exporter(Failing(call, 0)));
    let worker = system.spawn(Worker).expect("spawned");
    for _ in 0..3 {
        worker.ask_blocking(Work).expect("answered");
        assert!(system.flush_spans(PATIENCE));
    }
    assert!(calls.try_iter().count() >= 3);
    let stats = system.stats().spans;
    assert_eq!((stats.exported, stats.not_exported), (0, 6));
    finish(system);
}

#[test]
fn nobody_waits_for_an_exporter_that_hangs() {
    struct Hanging(mpsc::Receiver<()>);
    impl SpanExporter for Hanging {
        fn export(&mut self, _batch: &[Arc<SpanRecord>]) -> Result<(), ExportError> {
            // Until the test is over.
            _ = self.0.recv();
            Ok(())
        }
    }
    let (over, gate) = mpsc::channel();
    let options = TracingOptions::new()
        .sample(1.0)
        .flush_within(Duration::from_millis(10))
        .exporter(Hanging(gate));
    let system = traced(options);
    let worker = system.spawn(Worker).expect("spawned");
    for _ in 0..200 {
        worker.ask_blocking(Work).expect("answered");
        // A batch each: more than may wait.
        system.traces(actor_core::TraceList::Recent, 1);
    }
    assert!(!system.flush_spans(Duration::from_millis(1)));
    wait_until("what does not fit is counted", || {
        system.stats().spans.not_exported > 0
    });
    finish(system);
    drop(over);
}

#[test]
fn the_books_hold_when_the_queue_is_full() {
    let system = traced(TracingOptions::new().sample(1.0).queue(16));
    let worker = system.spawn(Worker).expect("spawned");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    while worker.tell(Work).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    settle(&system);
    let stats = system.stats().spans;
    assert!(stats.offered >= 8000, "{stats:?}");
    assert_eq!(stats.offered, stats.recorded + stats.dropped + stats.queued);
    finish(system);
}

#[test]
fn numbers_that_make_no_sense_are_refused_by_name() {
    for (options, name) in [
        (TracingOptions::new().sample(1.1), "sample"),
        (TracingOptions::new().sample(f64::NAN), "sample"),
        (TracingOptions::new().queue(1), "queue"),
        (TracingOptions::new().keep_spans(usize::MAX), "keep_spans"),
        (
            TracingOptions::new().flush_within(Duration::from_secs(601)),
            "flush_within",
        ),
    ] {
        let refused = ActorSystem::builder().tracing(options).build();
        let error = refused.expect_err("out of range").to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn failures_and_lost_messages_of_late_name_actor_message_and_trace() {
    let system = traced(TracingOptions::new());
    let worker = system
        .actor(Worker)
        .name("worker")
        .spawn()
        .expect("spawned");
    // Of an unsampled trace too: an error can always be traced.
    let trace = actor_core::TraceContext::new_root(false);
    let context = Context::empty().with_trace(trace.clone());
    let failed = worker.ask(Break).context(context.clone()).blocking();
    assert!(
        matches!(failed, Err(AskError::Panicked { .. })),
        "{failed:?}"
    );
    wait_until("it is noted", || !system.failures(1).latest.is_empty());
    let failures = system.failures(10);
    let [failure] = &failures.latest[..] else {
        panic!("one failure: {failures:#?}");
    };
    assert_eq!(failure.actor, worker.id());
    assert_eq!(failure.name.as_deref(), Some("worker"));
    assert!(
        failure
            .message
            .is_some_and(|message| message.ends_with("Break"))
    );
    assert_eq!(failure.trace_id, Some(trace.trace_id()));
    assert_eq!(system.failures_by_type(), [(failure.actor_type, 1)]);
    let text = system.metrics().prometheus();
    let counted = format!("actor_failures_total{{type=\"{}\"}} 1", failure.actor_type);
    assert!(text.contains(&counted), "{text}");
    assert!(failure.path.contains("Worker") && failure.path.contains(&worker.id().to_string()));
    assert!(
        failure.to_string().contains("broken on purpose"),
        "{failure}"
    );
    // It was spawned from a value, so that was its end. The message it failed on is among the lost.
    let lost = system.lost_messages(10);
    let found = lost
        .latest
        .iter()
        .find(|lost| lost.trace_id == Some(trace.trace_id()));
    let lost = found.expect("noted");
    assert_eq!(
        (lost.target, lost.reason),
        (worker.id(), actor_core::Fate::Panicked)
    );
    assert!(lost.to_string().contains(&trace.trace_id().to_string()));
    finish(system);
}

#[test]
fn a_flood_of_lost_messages_leaves_examples_and_a_count() {
    let system = system();
    let worker = system
        .actor(Worker)
        .mailbox(Mailbox::bounded(1).overflow(Overflow::DropNewest))
        .spawn()
        .expect("spawned");
    for _ in 0..20_000 {
        _ = worker.tell(Work);
    }
    settle(&system);
    let lost = system.lost_messages(1000);
    let all = system.stats().messages.dropped.total();
    assert!(lost.latest.len() <= 256);
    assert!(lost.latest.len() as u64 + lost.left_out <= all);
    assert_eq!(lost.latest.is_empty(), all == 0);
    finish(system);
}

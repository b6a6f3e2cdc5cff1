//! What a service hears of an export that does not work: one warning, and then figures. The log is the process's, so
//! this is the only test of its binary.

mod common;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use actor_core::otlp::OtlpOptions;
use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{SpanKind, SpanRecord, TraceContext, TracingOptions};
use common::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Writes down the warnings of exports.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

struct Text(String);
impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN && metadata.target().starts_with("actor_core")
    }
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Echo;
impl Actor for Echo {}
struct Say(u32);
impl Message for Say {
    type Reply = u32;
}
impl SyncHandler<Say> for Echo {
    fn handle(&mut self, Say(n): Say, _cx: &mut ActorContext<Self>) -> u32 {
        n
    }
}

#[test]
fn a_collector_that_is_down_is_one_warning_and_then_figures() {
    let warnings = Warnings::default();
    tracing::subscriber::set_global_default(warnings.clone()).expect("the only test here");
    let (_held, gone) = nobody_listens();
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    let builder = builder.tracing(TracingOptions::new().flush_within(PATIENCE));
    let system = builder.build().unwrap();
    // A value that makes no sense is told by itself, and the one before it stays.
    let options = OtlpOptions::new()
        .endpoint(format!("http://{gone}"))
        .endpoint("ftp://nowhere")
        .signals(true, false)
        .timeout(Duration::from_millis(50))
        .batches(16, 4, Duration::ZERO);
    let export = system.export_otlp(options).unwrap();
    let echo = system.spawn(Echo).unwrap();
    for n in 0..200 {
        assert_eq!(echo.ask_blocking(Say(n)).unwrap(), n);
        let trace = TraceContext::new_root(true);
        system.record_span(SpanRecord::new(
            trace,
            SpanKind::Request,
            "GET",
            SystemTime::now(),
        ));
        if n % 50 == 0 {
            // Batches that fail, and a queue that is full: both happen.
            system.flush_spans(PATIENCE);
        }
    }
    let handle = system.handle();
    finish(system);
    let stats = export.stats();
    let spans = handle.stats().spans;
    assert_eq!(stats.spans_sent, 0, "{stats:?}");
    assert_eq!(
        stats.spans_offered,
        stats.spans_dropped + stats.spans_failed
    );
    assert!(stats.spans_failed > 0 && stats.last_error.is_some());
    // The system's own books say the same.
    assert_eq!(
        (spans.exported, spans.not_exported),
        (0, stats.spans_offered)
    );
    assert_eq!(spans.recorded, 200);
    let said = warnings.0.lock().unwrap().clone();
    let [setting, down] = &said[..] else {
        panic!("one warning each: {said:#?}");
    };
    assert!(
        setting.contains("ftp://nowhere") && setting.contains(&gone.to_string()),
        "{setting}"
    );
    assert!(down.contains("traces cannot be exported"), "{down}");
}

//! A span per message, when somebody listens.

mod common;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{TraceContext, TraceFlags};
use common::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down the spans of messages: when they are made, entered and left.
#[derive(Clone, Default)]
struct Notebook {
    lines: Arc<Mutex<Vec<String>>>,
    next: Arc<AtomicU64>,
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {}={value:?}", field.name());
    }
}

impl Notebook {
    fn note(&self, line: String) {
        self.lines.lock().unwrap().push(line);
    }
}

impl Subscriber for Notebook {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "actor_core::message"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let mut fields = Fields(format!("new {id}"));
        span.record(&mut fields);
        self.note(fields.0);
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut fields = Fields(format!("record {}", span.into_u64()));
        values.record(&mut fields);
        self.note(fields.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, span: &Id) {
        self.note(format!("enter {}", span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        self.note(format!("exit {}", span.into_u64()));
    }
}

#[derive(Actor)]
struct Sleeper;

#[messages]
impl Sleeper {
    #[message]
    fn nod(&mut self) {}

    #[message]
    async fn nap(&mut self) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn each_message_has_a_span_that_names_actor_message_and_trace() {
    let notebook = Notebook::default();
    tracing::subscriber::set_global_default(notebook.clone()).expect("the only test of its binary");
    let system = system();
    let sleeper = system.spawn(Sleeper).expect("spawned");
    sleeper.ask_blocking(Nod).expect("answered");
    let trace = TraceContext::new_root(true);
    assert_eq!(trace.flags().bits() & TraceFlags::SAMPLED.bits(), 1);
    sleeper
        .ask(Nap)
        .context(Context::empty().with_trace(trace.clone()))
        .blocking()
        .expect("answered");
    let id = sleeper.id().to_string();
    finish(system);

    let lines = notebook.lines.lock().unwrap().clone();
    let made: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("new"))
        .collect();
    assert_eq!(made.len(), 2, "one span per message: {lines:#?}");
    assert!(
        made[0].contains(&id) && made[0].contains("Nod"),
        "{}",
        made[0]
    );
    assert!(
        made[1].contains(&id) && made[1].contains("Nap"),
        "{}",
        made[1]
    );
    let trace_id = trace.trace_id().to_string();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("record 2") && line.contains(&trace_id)),
        "the trace of the sender: {lines:#?}"
    );
    // Entered for each poll and left before the handler waits: never held across an await.
    let passes = |n: u32, what: &str| {
        lines
            .iter()
            .filter(|line| **line == format!("{what} {n}"))
            .count()
    };
    assert_eq!((passes(1, "enter"), passes(1, "exit")), (1, 1));
    assert!(passes(2, "enter") >= 2 && passes(2, "enter") == passes(2, "exit"));
}

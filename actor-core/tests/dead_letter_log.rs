//! M05: a flood of dead letters is a few lines in the log, and those say how many there were beside them.
//! Alone in its process, because a subscriber is everybody's.

mod common;

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use common::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps what each line about a dead letter says was held back before it.
struct Lines;

static LINES: Mutex<Vec<u64>> = Mutex::new(Vec::new());

#[derive(Default)]
struct Read {
    is_dead_letter: bool,
    suppressed: u64,
}

impl Visit for Read {
    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "suppressed" {
            self.suppressed = value;
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" && format!("{value:?}").starts_with("dead letter") {
            self.is_dead_letter = true;
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("actor_core")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut read = Read::default();
        event.record(&mut read);
        if read.is_dead_letter {
            LINES.lock().unwrap().push(read.suppressed);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Gated(Gate);
impl Actor for Gated {}
struct Load;
impl Message for Load {
    type Reply = ();
}
impl SyncHandler<Load> for Gated {
    fn handle(&mut self, _: Load, _cx: &mut ActorContext<Self>) {
        self.0.pass();
    }
}

#[test]
fn m05_a_flood_of_dead_letters_is_a_few_lines_in_the_log() {
    const QUEUED: u64 = 100_000;
    tracing::subscriber::set_global_default(Lines).unwrap();
    let system = system();
    let began = Instant::now();
    for round in 0..2 {
        if round == 1 {
            // So that the next line can say how many those before held back.
            std::thread::sleep(Duration::from_millis(1100));
        }
        let gate = Gate::new();
        let gated = system
            .actor(Gated(gate.clone()))
            .mailbox(Mailbox::unbounded())
            .spawn()
            .unwrap();
        for _ in 0..QUEUED {
            gated.tell(Load).unwrap();
        }
        gated.stop();
        gate.open();
        wait_until("it is dead", || !gated.is_alive());
        settle(&system);
        // What is refused goes back to the sender, who may log it.
        for _ in 0..QUEUED {
            assert!(gated.tell(Load).unwrap_err().is_dead());
        }
    }
    let letters = settle(&system).dead_letters.actor_stopped;
    assert!(letters >= 2 * QUEUED - 2, "{letters} dead letters");
    let lines = LINES.lock().unwrap().clone();
    let most = 10 * (began.elapsed().as_secs() + 2) + 8;
    assert!(
        lines.len() > 1 && lines.len() as u64 <= most,
        "{} lines, {most} are enough",
        lines.len()
    );
    let told = lines.iter().sum::<u64>();
    assert!(
        told > QUEUED / 2 && told <= letters,
        "{told} of {letters} were said to be held back"
    );
    finish(system);
}

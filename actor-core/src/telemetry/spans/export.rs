//! An exporter on a thread of its own: it may block, the collector may not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::contain::{log, panic_text};
use crate::sync::thread;
use crate::trace::{ExportCounts, ExportError, SpanExporter, SpanRecord};

/// Batches that wait for an exporter.
const BATCHES: usize = 64;

pub(super) type Batch = Arc<[Arc<SpanRecord>]>;

enum Order {
    Export(Batch),
    /// Hand on what is kept back by then, and say so.
    Flush(Instant, Sender<()>),
    /// The same, and nothing comes after it.
    End(Instant, Sender<()>),
}

/// What all exporters of a system have done: those that count by themselves, and all others.
#[derive(Debug, Default)]
pub(super) struct Exported {
    own: ExportCounts,
    theirs: Mutex<Vec<ExportCounts>>,
}

impl Exported {
    /// Spans that were exported, and spans that were lost.
    pub(super) fn read(&self) -> (u64, u64) {
        let theirs = self.theirs.lock().unwrap_or_else(PoisonError::into_inner);
        let all = theirs.iter().chain([&self.own]);
        all.fold((0, 0), |(exported, lost), it| {
            (exported + it.exported(), lost + it.lost())
        })
    }
}

/// The way to an exporter's thread, which ends when the last of them is dropped.
#[derive(Debug)]
pub(super) struct Export {
    orders: Sender<Order>,
    counts: ExportCounts,
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Export(_) => "Export",
            Self::Flush(..) => "Flush",
            Self::End(..) => "End",
        })
    }
}

impl Export {
    pub(super) fn start(
        exporter: Box<dyn SpanExporter>,
        books: &Exported,
    ) -> std::io::Result<Self> {
        let mut theirs = None;
        crate::contain::contain(|| theirs = exporter.counts());
        let (orders, from) = bounded(BATCHES);
        let counts = theirs.clone().unwrap_or_else(|| books.own.clone());
        let counts_itself = theirs.is_some();
        thread::Builder::new()
            .name("actor-spans".to_owned())
            .spawn({
                let counts = counts.clone();
                move || run(exporter, &from, &counts, counts_itself)
            })?;
        let mut all = books.theirs.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(theirs);
        drop(all);
        Ok(Self { orders, counts })
    }

    /// Another way to the same thread.
    pub(super) fn again(&self) -> Self {
        Self {
            orders: self.orders.clone(),
            counts: self.counts.clone(),
        }
    }

    /// Never waits.
    pub(super) fn offer(&self, batch: &Batch) {
        if self.orders.try_send(Order::Export(batch.clone())).is_err() {
            self.counts.add_lost(batch.len());
        }
    }

    /// Has it hand on what it has. Answers on the channel when that is done.
    pub(super) fn flush(&self, until: Instant, done: Sender<()>) {
        self.order(Order::Flush(until, done), until);
    }

    pub(super) fn end(self, until: Instant, done: Sender<()>) {
        self.order(Order::End(until, done), until);
    }

    fn order(&self, order: Order, until: Instant) {
        // Behind what waits: with an exporter that hangs the time is up before there is room.
        _ = self.orders.send_deadline(order, until);
    }
}

fn run(
    mut exporter: Box<dyn SpanExporter>,
    orders: &Receiver<Order>,
    counts: &ExportCounts,
    counts_itself: bool,
) {
    let mut is_failing = false;
    let mut exported = |result: Result<(), String>, spans: usize| match result {
        // It says so itself.
        _ if counts_itself => {}
        Ok(()) => {
            counts.add_exported(spans);
            is_failing = false;
        }
        Err(error) => {
            counts.add_lost(spans);
            // One line when it begins: a collector that is down would fill the log.
            if !std::mem::replace(&mut is_failing, true) {
                log!(
                    warn,
                    target: "actor_core::spans",
                    spans,
                    "{error}; said once until it works again, see Stats::spans for how many"
                );
            }
        }
    };
    for order in orders {
        match order {
            Order::Export(batch) => {
                let result = guarded(|| exporter.export(&batch));
                exported(result, batch.len());
            }
            Order::Flush(until, done) => {
                let result = guarded(|| exporter.flush(left(until)));
                exported(result, 0);
                // Nobody may wait any more.
                _ = done.send(());
            }
            Order::End(until, done) => {
                let result = guarded(|| exporter.shutdown(left(until)));
                exported(result, 0);
                _ = done.send(());
                break;
            }
        }
    }
    crate::contain::contain(move || drop(exporter));
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// Calls the user's code.
fn guarded(call: impl FnOnce() -> Result<(), ExportError>) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| {
            let mut text =
                String::from("spans were not exported, and the text of the error panics");
            crate::contain::contain(|| text = error.to_string());
            text
        }),
        Err(payload) => Err(format!("a span exporter panicked: {}", panic_text(payload))),
    }
}

//! The way from the system's exporter thread to the collector: a bounded queue, and a thread that sends.
//!
//! ```text
//!   actor-spans: export(batch) --> queue (2048) --> actor-otlp: up to 512 a request, at the latest after 5 s
//!                  full: dropped, counted             fails: counted, told once
//! ```
//!
//! A thread of its own, since a collector that hangs holds it for as long as the time-out says, and since it
//! must have no tokio runtime around it: the HTTP client blocks. gRPC has a runtime of its own with one thread,
//! which lives as long as this one.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::InstrumentationScope;

use super::books::Books;
use super::convert::span_data;
use super::metrics::Metrics;
use super::sender::Sender;
use super::settings::Settings;
use crate::contain::{contain, log};
use crate::telemetry::metrics::Reading;
use crate::trace::{ExportCounts, SpanRecord};

/// How a system's figures are read.
pub(super) type Source = Box<dyn Fn() -> Reading + Send + Sync>;

/// The queue's front end.
#[derive(Debug)]
pub(super) struct Outbox {
    inner: Mutex<Inner>,
    changed: Condvar,
    books: Arc<Books>,
    settings: Settings,
}

#[derive(Debug, Default)]
struct Inner {
    queue: VecDeque<Arc<SpanRecord>>,
    /// When the first of the queue came.
    since: Option<Instant>,
    /// Flushes asked for, and done.
    asked: u64,
    done: u64,
    /// Nothing comes any more.
    ends: bool,
    has_ended: bool,
    /// When it was told last that spans are lost.
    told: Option<Instant>,
}

/// At most one warning within this time, however often it works in between.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What the thread is to do.
enum Work {
    Send(Vec<Arc<SpanRecord>>),
    Flushed(u64),
    End,
}

impl Outbox {
    pub(super) fn start(
        settings: Settings,
        books: Arc<Books>,
        source: Source,
    ) -> io::Result<Arc<Self>> {
        let this = Arc::new(Self {
            inner: Mutex::default(),
            changed: Condvar::new(),
            books,
            settings,
        });
        let outbox = this.clone();
        std::thread::Builder::new()
            .name("actor-otlp".to_owned())
            .spawn(move || {
                // Others wait for the end, also if something panics here.
                contain(|| outbox.run(source));
                outbox.lock().has_ended = true;
                outbox.changed.notify_all();
            })?;
        Ok(this)
    }

    /// All or none: what finds no room is counted.
    pub(super) fn offer(&self, batch: &[Arc<SpanRecord>]) {
        let mut inner = self.lock();
        self.books.offered(batch.len());
        if inner.ends || inner.queue.len() + batch.len() > self.settings.queue {
            let ends = inner.ends;
            drop(inner);
            self.books.dropped(batch.len());
            if !ends {
                let error = format!(
                    "its queue of {} spans is full, the collector is down or too slow",
                    self.settings.queue
                );
                self.complain(&error, batch.len());
            }
            return;
        }
        inner.since.get_or_insert_with(Instant::now);
        inner.queue.extend(batch.iter().cloned());
        let wakes = inner.queue.len() >= self.settings.batch || inner.queue.len() == batch.len();
        drop(inner);
        if wakes {
            self.changed.notify_all();
        }
    }

    pub(super) fn counts(&self) -> ExportCounts {
        self.books.counts()
    }

    /// Waits until all that has come was sent, or has failed; `false`: the time was up before.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let mut inner = self.lock();
        inner.asked += 1;
        let mine = inner.asked;
        self.changed.notify_all();
        self.wait(inner, limit, |inner| inner.done >= mine)
    }

    /// As `flush`, and nothing comes after it. What is not sent in time is counted as failed.
    pub(super) fn end(&self, limit: Duration) -> bool {
        let mut inner = self.lock();
        inner.ends = true;
        self.changed.notify_all();
        let in_time = self.wait(inner, limit, |_| false);
        let left: Vec<_> = self.lock().queue.drain(..).collect();
        self.books.left_behind(left.len());
        in_time && left.is_empty()
    }

    fn wait(
        &self,
        inner: MutexGuard<'_, Inner>,
        limit: Duration,
        is_done: impl Fn(&Inner) -> bool,
    ) -> bool {
        let goes_on = |inner: &mut Inner| !(inner.has_ended || is_done(inner));
        let waited = self.changed.wait_timeout_while(inner, limit, goes_on);
        let (inner, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(inner);
        !timeout.timed_out()
    }

    fn run(&self, source: Source) {
        let sender = match Sender::new(&self.settings, &self.books) {
            Ok(sender) => Some(sender),
            Err(error) => {
                self.books.note_error(error);
                None
            }
        };
        let metrics = match &sender {
            Some(sender) if self.settings.metrics_on => {
                Metrics::start(sender, &self.settings, &self.books, source)
            }
            _ => None,
        };
        let scope = InstrumentationScope::builder("actor-core")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        loop {
            match self.next() {
                Work::Send(batch) => {
                    let spans = batch.iter().map(|span| span_data(span, &scope)).collect();
                    let noted = self.books.noted();
                    let sent = match &sender {
                        Some(sender) => sender.send(spans),
                        None => Err(self.books.last_error().unwrap_or_default()),
                    };
                    let rejected = self.books.take_rejected();
                    let rejected = usize::try_from(rejected).unwrap_or(usize::MAX);
                    let rejected = rejected.min(batch.len());
                    if sent.is_ok() {
                        self.books.batch_in_part(batch.len(), rejected);
                    } else {
                        self.books.batch(batch.len(), false);
                    }
                    match sent {
                        Ok(()) if rejected > 0 => {
                            let error = self.books.last_error().unwrap_or_default();
                            self.complain(&error, rejected);
                        }
                        Ok(()) => self.works(),
                        Err(error) => {
                            // The client knows better what it was: "network error" helps nobody.
                            let of_client = self.books.last_error();
                            let error = if self.books.noted() == noted {
                                self.books.note_error(error.clone());
                                error
                            } else {
                                of_client.unwrap_or(error)
                            };
                            self.complain(&error, batch.len());
                        }
                    }
                }
                Work::Flushed(mine) => {
                    if let Some(metrics) = &metrics {
                        metrics.flush();
                    }
                    self.lock().done = mine;
                    self.changed.notify_all();
                }
                Work::End => break,
            }
        }
        if let Some(metrics) = metrics {
            metrics.end();
        }
    }

    /// A batch was taken. What goes wrong later is told again; not what goes wrong every other second.
    fn works(&self) {
        let mut inner = self.lock();
        inner.told = inner.told.filter(|told| told.elapsed() < TELL_EVERY);
    }

    /// One line when it begins, whatever it is: a collector that is down would fill the log.
    fn complain(&self, error: &str, spans: usize) {
        if self.lock().told.replace(Instant::now()).is_some() {
            return;
        }
        let endpoint = self.settings.traces_url();
        log!(
            warn,
            target: "actor_core::otlp",
            spans, endpoint,
            "traces cannot be exported, the system goes on without: {error}; said once until it works again, \
             OtlpExport::stats counts"
        );
    }

    /// Waits for something to do.
    fn next(&self) -> Work {
        let mut inner = self.lock();
        loop {
            let urgent = inner.ends || inner.asked > inner.done;
            let due = inner.since.map(|since| since + self.settings.delay);
            let now = Instant::now();
            let has_batch = inner.queue.len() >= self.settings.batch;
            if has_batch || !inner.queue.is_empty() && (urgent || due.is_none_or(|due| due <= now))
            {
                let size = inner.queue.len().min(self.settings.batch);
                let batch = inner.queue.drain(..size).collect();
                inner.since = (!inner.queue.is_empty()).then_some(now);
                return Work::Send(batch);
            }
            if inner.asked > inner.done {
                return Work::Flushed(inner.asked);
            }
            if inner.ends {
                return Work::End;
            }
            inner = match due {
                Some(due) => {
                    let waited = self
                        .changed
                        .wait_timeout(inner, due.saturating_duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    let waited = self.changed.wait(inner);
                    waited.unwrap_or_else(PoisonError::into_inner)
                }
            };
        }
    }

    /// Nothing panics under this lock but an allocation that fails.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

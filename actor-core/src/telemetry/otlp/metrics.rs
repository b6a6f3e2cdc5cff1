//! The system's figures, exported now and then: a thread that takes a reading, makes protobuf of it and sends it.
//!
//! Between two exports it costs nothing. A thread beside the one for spans, so that a collector that hangs on one signal
//! does not hold up the other.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::resource::v1::Resource;

use super::books::Books;
use super::outbox::Source;
use super::points;
use super::sender::Sender;
use super::settings::Settings;
use super::upload::Upload;
use crate::contain::{contain, log};

/// The thread, from outside.
pub(super) struct Metrics {
    orders: Arc<Orders>,
    thread: JoinHandle<()>,
}

/// What the thread is told.
#[derive(Default)]
struct Orders {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Exports asked for, and done.
    asked: u64,
    done: u64,
    ends: bool,
    has_ended: bool,
}

struct Exports {
    resource: Resource,
    source: Source,
    books: Arc<Books>,
    endpoint: String,
    is_failing: bool,
}

impl Metrics {
    /// `None`: it did not come about, and that is told.
    pub(super) fn start(
        sender: &Sender,
        settings: &Settings,
        books: &Arc<Books>,
        source: Source,
    ) -> Option<Self> {
        let complain = |error: String| {
            log!(warn, target: "actor_core::otlp", "metrics cannot be exported: {error}");
            books.note_error(error);
        };
        let upload = sender.upload(settings, books).map_err(complain).ok()?;
        let mut exports = Exports {
            resource: Resource::from(&sender.resource()),
            source,
            books: books.clone(),
            endpoint: settings.metrics_url(),
            is_failing: false,
        };
        let (orders, every) = (Arc::<Orders>::default(), settings.metrics_every);
        let told = orders.clone();
        let thread = std::thread::Builder::new()
            .name("actor-otlp-metrics".to_owned())
            .spawn(move || {
                // Others wait for the end, also if something panics here.
                contain(|| told.run(every, &mut || exports.export(&upload)));
                told.lock().has_ended = true;
                told.changed.notify_all();
            })
            .map_err(|error| complain(error.to_string()))
            .ok()?;
        Some(Self { orders, thread })
    }

    /// Exports now, and waits for it: at most as long as an export may take.
    pub(super) fn flush(&self) {
        let mut inner = self.orders.lock();
        inner.asked += 1;
        let mine = inner.asked;
        self.orders.changed.notify_all();
        while inner.done < mine && !inner.has_ended {
            let waited = self.orders.changed.wait(inner);
            inner = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// After a last export.
    pub(super) fn end(self) {
        self.orders.lock().ends = true;
        self.orders.changed.notify_all();
        // What it panics with is caught there.
        _ = self.thread.join();
    }
}

impl Orders {
    fn run(&self, every: Duration, export: &mut dyn FnMut()) {
        let mut due = Instant::now() + every;
        loop {
            let mut inner = self.lock();
            while !inner.ends && inner.asked == inner.done {
                let left = due.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                let waited = self.changed.wait_timeout(inner, left);
                inner = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            let (asked, ends) = (inner.asked, inner.ends);
            drop(inner);
            export();
            // From now on: a collector that is slow is not asked again at once.
            due = Instant::now() + every;
            self.lock().done = asked;
            self.changed.notify_all();
            if ends {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics under it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exports {
    fn export(&mut self, upload: &Upload) {
        let request = points::request(&(self.source)(), &self.resource);
        let result = upload.send(request, &self.books);
        self.books.metrics(result.is_ok());
        if let Err(error) = &result
            && !self.is_failing
        {
            let endpoint = &self.endpoint;
            log!(
                warn,
                target: "actor_core::otlp",
                endpoint,
                "metrics cannot be exported: {error}; said once until it works again"
            );
        }
        self.is_failing = result.is_err();
    }
}

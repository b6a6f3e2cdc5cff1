//! The system's figures as OpenTelemetry's metrics: read when they are exported, so that they cost nothing
//! between two exports.
//!
//! The number of series is bounded by the machine: by fate, by NUMA node and pairs of them, by worker. None is
//! by actor.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider, ObservableCounter, ObservableGauge};
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider, Temporality};

use super::books::Books;
use super::outbox::Source;
use super::sender::Sender;
use super::settings::Settings;
use crate::contain::log;
use crate::telemetry::Stats;

pub(super) struct Metrics {
    provider: SdkMeterProvider,
}

impl Metrics {
    /// `None`: it did not come about, and that is told.
    pub(super) fn start(
        sender: &Sender,
        settings: &Settings,
        books: &Arc<Books>,
        source: Source,
    ) -> Option<Self> {
        let exporter = match sender.metric_exporter(settings, books) {
            Ok(exporter) => exporter,
            Err(error) => {
                log!(warn, target: "actor_core::otlp", "metrics cannot be exported: {error}");
                books.note_error(error);
                return None;
            }
        };
        let counted = Counted {
            exporter,
            books: books.clone(),
            is_failing: Mutex::new(false),
            endpoint: settings.metrics_url(),
        };
        let reader = PeriodicReader::builder(counted)
            .with_interval(settings.metrics_every)
            .build();
        let provider = SdkMeterProvider::builder()
            .with_reader(reader)
            .with_resource(sender.resource())
            .build();
        declare(
            &provider.meter("actor-core"),
            &Arc::new(Snapshot::new(source)),
        );
        Some(Self { provider })
    }

    pub(super) fn flush(&self) {
        // What failed is in the books: the exporter below counts.
        _ = self.provider.force_flush();
    }

    pub(super) fn end(self) {
        // A last export is in it.
        _ = self.provider.shutdown();
    }
}

/// Counts what becomes of the exports: `shutdown` says that all is well when they fail.
struct Counted {
    exporter: MetricExporter,
    books: Arc<Books>,
    is_failing: Mutex<bool>,
    endpoint: String,
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}

impl PushMetricExporter for Counted {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let result = self.exporter.export(metrics).await;
        self.books.metrics(result.is_ok());
        let mut is_failing = self
            .is_failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = &result
            && !*is_failing
        {
            let endpoint = &self.endpoint;
            log!(
                warn,
                target: "actor_core::otlp",
                endpoint,
                "metrics cannot be exported: {error}; said once until it works again"
            );
        }
        *is_failing = result.is_err();
        result
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// One look at the books for all instruments of an export.
struct Snapshot {
    source: Source,
    last: Mutex<Option<(Instant, Arc<Stats>)>>,
}

/// The instruments are read one after the other within less.
const FRESH: Duration = Duration::from_millis(100);

impl Snapshot {
    fn new(source: Source) -> Self {
        Self {
            source,
            last: Mutex::new(None),
        }
    }

    fn get(&self) -> Arc<Stats> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((at, stats)) if at.elapsed() < FRESH => stats.clone(),
            _ => {
                let stats = Arc::new((self.source)());
                *last = Some((Instant::now(), stats.clone()));
                stats
            }
        }
    }
}

/// Where a reading goes.
type Observe<'a> = &'a mut dyn FnMut(f64, &[KeyValue]);

fn declare(meter: &Meter, snapshot: &Arc<Snapshot>) {
    counter(
        meter,
        snapshot,
        "actor.messages",
        "{message}",
        "Messages by what became of them",
        |stats, see| {
            let books = &stats.messages;
            for (fate, count) in [
                ("offered", books.offered),
                ("accepted", books.accepted),
                ("handled", books.handled),
                ("refused", books.refused.total()),
                ("dead_letter", books.dead_letters.total()),
                ("dropped", books.dropped.total()),
            ] {
                see(count as f64, &[KeyValue::new("fate", fate)]);
            }
        },
    );
    counter(
        meter,
        snapshot,
        "actor.messages.refused",
        "{message}",
        "Messages given back, by reason",
        |stats, see| {
            let refused = &stats.messages.refused;
            for (reason, count) in [
                ("full", refused.full),
                ("dead", refused.dead),
                ("overloaded", refused.overloaded),
                ("other", refused.other),
            ] {
                see(count as f64, &[KeyValue::new("reason", reason)]);
            }
        },
    );
    gauge(
        meter,
        snapshot,
        "actor.messages.queued",
        "{message}",
        "Messages that wait or are being handled",
        |stats, see| {
            see(stats.messages.queued() as f64, &[]);
        },
    );
    gauge(
        meter,
        snapshot,
        "actor.actors",
        "{actor}",
        "Actors alive",
        |stats, see| {
            see(stats.actors.alive() as f64, &[]);
        },
    );
    counter(
        meter,
        snapshot,
        "actor.lifecycle",
        "{event}",
        "What happened to actors",
        |stats, see| {
            let actors = &stats.actors;
            for (event, count) in [
                ("spawned", actors.spawned),
                ("stopped", actors.stopped),
                ("restarted", actors.restarts),
                ("panicked", actors.panics),
                ("moved", actors.moves),
                ("late_reply", actors.late_replies),
                ("no_reply", actors.no_replies),
            ] {
                see(count as f64, &[KeyValue::new("event", event)]);
            }
        },
    );
    counter(
        meter,
        snapshot,
        "actor.worker.turns",
        "{turn}",
        "Visits of workers to actors",
        |stats, see| {
            for worker in &stats.workers {
                see(worker.turns as f64, &worker_labels(worker));
            }
        },
    );
    counter(
        meter,
        snapshot,
        "actor.worker.parks",
        "{park}",
        "Times that workers went to sleep",
        |stats, see| {
            for worker in &stats.workers {
                see(worker.parks as f64, &worker_labels(worker));
            }
        },
    );
    counter(
        meter,
        snapshot,
        "actor.worker.steals",
        "{steal}",
        "Thefts by idle workers, near and far",
        |stats, see| {
            for worker in &stats.workers {
                for (distance, count) in [("near", worker.steals_near), ("far", worker.steals_far)]
                {
                    let [worker, node] = worker_labels(worker);
                    see(
                        count as f64,
                        &[worker, node, KeyValue::new("distance", distance)],
                    );
                }
            }
        },
    );
    counter(
        meter,
        snapshot,
        "actor.numa.messages",
        "{message}",
        "Messages between actors, by NUMA nodes",
        |stats, see| {
            for edge in &stats.edges {
                let pair = [node_label("from", edge.from.0), node_label("to", edge.to.0)];
                see(edge.messages as f64, &pair);
            }
        },
    );
    gauge(
        meter,
        snapshot,
        "actor.numa.crossing_share",
        "1",
        "Share of messages that crossed a NUMA node",
        |stats, see| {
            if let Some(share) = stats.crossing_share() {
                see(share, &[]);
            }
        },
    );
    counter(
        meter,
        snapshot,
        "actor.numa.lane.messages",
        "{message}",
        "Messages that went by batch lane",
        |stats, see| {
            for lane in &stats.lanes {
                let pair = [node_label("from", lane.from.0), node_label("to", lane.to.0)];
                see(lane.by_lane as f64, &pair);
            }
        },
    );
    counter(
        meter,
        snapshot,
        "actor.numa.lane.flushes",
        "{flush}",
        "Times that a batch lane was emptied",
        |stats, see| {
            for lane in &stats.lanes {
                let pair = [node_label("from", lane.from.0), node_label("to", lane.to.0)];
                see(lane.batches as f64, &pair);
            }
        },
    );
    gauge(
        meter,
        snapshot,
        "actor.memory",
        "By",
        "Memory of arenas, by NUMA node and use",
        |stats, see| {
            for node in &stats.numa_nodes {
                let memory = &node.memory;
                for (of, bytes) in [
                    ("slabs", memory.slab_bytes),
                    ("large", memory.large_bytes),
                    ("user", memory.user_bytes),
                ] {
                    let labels = [
                        node_label("numa_node", node.numa_node.0),
                        KeyValue::new("use", of),
                    ];
                    see(bytes as f64, &labels);
                }
            }
        },
    );
    counter(
        meter,
        snapshot,
        "actor.stalls",
        "{stall}",
        "Turns that lasted too long",
        |stats, see| {
            see(stats.stalls.stalls as f64, &[]);
        },
    );
    counter(
        meter,
        snapshot,
        "actor.spans",
        "{span}",
        "Spans by what became of them",
        |stats, see| {
            let spans = &stats.spans;
            for (fate, count) in [
                ("recorded", spans.recorded),
                ("dropped", spans.dropped),
                ("exported", spans.exported),
                ("not_exported", spans.not_exported),
            ] {
                see(count as f64, &[KeyValue::new("fate", fate)]);
            }
        },
    );
}

fn node_label(key: &'static str, node: u8) -> KeyValue {
    KeyValue::new(key, i64::from(node))
}

fn worker_labels(worker: &crate::telemetry::WorkerStats) -> [KeyValue; 2] {
    let number = KeyValue::new("worker", i64::from(worker.worker.0));
    [number, node_label("numa_node", worker.numa_node.0)]
}

/// The instruments live with the meter; their handles need not be kept.
fn counter(
    meter: &Meter,
    snapshot: &Arc<Snapshot>,
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    read: impl Fn(&Stats, Observe<'_>) + Send + Sync + 'static,
) {
    let snapshot = snapshot.clone();
    let _: ObservableCounter<u64> = meter
        .u64_observable_counter(name)
        .with_unit(unit)
        .with_description(about)
        .with_callback(move |observer| {
            read(&snapshot.get(), &mut |value, labels| {
                observer.observe(value as u64, labels)
            });
        })
        .build();
}

fn gauge(
    meter: &Meter,
    snapshot: &Arc<Snapshot>,
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    read: impl Fn(&Stats, Observe<'_>) + Send + Sync + 'static,
) {
    let snapshot = snapshot.clone();
    let _: ObservableGauge<f64> = meter
        .f64_observable_gauge(name)
        .with_unit(unit)
        .with_description(about)
        .with_callback(move |observer| {
            read(&snapshot.get(), &mut |value, labels| {
                observer.observe(value, labels)
            });
        })
        .build();
}

//! How long messages wait and handlers take, as histograms of Prometheus.

use std::time::Duration;

use actor_core::{Latencies, LatencyHistogram, TypeLatency};

use super::families::TYPES_MAX;
use super::text::{Kind, Text};
use crate::console::walks::OTHER;

/// By type: those with the most messages, and all others together.
pub(super) fn times(text: &mut Text, latencies: &Latencies) {
    type Of = fn(&TypeLatency) -> &LatencyHistogram;
    let families: [(&'static str, &str, Of); 2] = [
        (
            "actor_message_wait_seconds",
            "Time in the mailbox, by type of actor: an estimate from samples.",
            |it| &it.wait,
        ),
        (
            "actor_handler_seconds",
            "Time of handlers, by type of actor: an estimate from samples.",
            |it| &it.handle,
        ),
    ];
    let (own, rest) = latencies
        .types
        .split_at(latencies.types.len().min(TYPES_MAX));
    for (name, help, of) in families {
        let mut family = text.family(Kind::Histogram, name, help);
        let rows = own
            .iter()
            .map(|it| (it.actor_type, std::slice::from_ref(it)));
        let rest = (!rest.is_empty()).then_some((OTHER, rest));
        for (actor_type, together) in rows.chain(rest) {
            let sum = |count: &dyn Fn(&LatencyHistogram) -> u64| {
                together.iter().map(|it| count(of(it))).sum::<u64>()
            };
            let buckets = BUCKETS.map(|(seconds, nanos)| {
                (
                    seconds,
                    sum(&|it| it.count_within(Duration::from_nanos(nanos))),
                )
            });
            let total: Duration = together.iter().map(|it| of(it).sum()).sum();
            family.histogram(
                &[("type", actor_type)],
                &buckets,
                sum(&|it| it.count()),
                total.as_secs_f64(),
            );
        }
    }
    text.one(
        Kind::Counter,
        "actor_messages_measured_total",
        "Messages whose times were measured.",
        latencies.measured as f64,
    );
    text.one(
        Kind::Counter,
        "actor_measurements_lost_total",
        "Measurements that were lost, because more came at a time than could be taken in.",
        latencies.lost as f64,
    );
}

/// Upper bounds: as Prometheus reads them, and in nanoseconds.
const BUCKETS: [(f64, u64); 9] = [
    (0.000_001, 1_000),
    (0.000_01, 10_000),
    (0.000_1, 100_000),
    (0.001, 1_000_000),
    (0.01, 10_000_000),
    (0.1, 100_000_000),
    (1.0, 1_000_000_000),
    (10.0, 10_000_000_000),
    (100.0, 100_000_000_000),
];

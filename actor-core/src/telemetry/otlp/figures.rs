//! What became of an export, among the system's own figures: so that Prometheus, or the next export that works, shows that
//! the collector was down.

use super::books::OtlpStats;
use crate::telemetry::metrics::Reading;

pub(super) fn read(stats: &OtlpStats, reading: &mut Reading) {
    let mut out = reading.counter(
        "actor.otlp.spans",
        "{span}",
        "Spans that came to the OTLP export, by what became of them.",
    );
    for (fate, spans) in [
        ("sent", stats.spans_sent),
        ("dropped", stats.spans_dropped),
        ("failed", stats.spans_failed),
    ] {
        out.add(&[("fate", fate)], spans);
    }
    reading
        .up_down_counter(
            "actor.otlp.spans.queued",
            "{span}",
            "Spans that wait for the collector, or are under way.",
        )
        .add(&[], stats.spans_queued);
    let mut out = reading.counter(
        "actor.otlp.exports",
        "{export}",
        "Exports to the collector, by signal and whether it took them.",
    );
    for (signal, outcome, exports) in [
        ("traces", "sent", stats.batches_sent),
        ("traces", "failed", stats.batches_failed),
        ("metrics", "sent", stats.metrics_sent),
        ("metrics", "failed", stats.metrics_failed),
    ] {
        out.add(&[("signal", signal), ("outcome", outcome)], exports);
    }
    reading
        .counter(
            "actor.otlp.retries",
            "{request}",
            "Requests beyond the first of an export; not known of gRPC.",
        )
        .add(&[], stats.retries);
}

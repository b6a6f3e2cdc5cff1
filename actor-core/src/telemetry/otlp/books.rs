//! What became of what was to be exported.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sync::atomic::{AtomicU64, Ordering};
use crate::trace::ExportCounts;

/// What an export has done so far, from [`OtlpExport::stats`](super::OtlpExport::stats).
///
/// `spans_offered = spans_sent + spans_dropped + spans_failed + spans_queued`, exactly so at rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpStats {
    /// Spans that came to the export.
    pub spans_offered: u64,
    /// Spans that the collector took.
    pub spans_sent: u64,
    /// Spans that found the queue full: the collector is too slow, or down.
    pub spans_dropped: u64,
    /// Spans that were lost with a batch that failed for good, or with the end of the time to flush; and those of a
    /// batch that the collector took, and said that it rejects (by HTTP; gRPC does not tell).
    pub spans_failed: u64,
    /// Spans that wait, or are under way.
    pub spans_queued: u64,
    /// Batches of spans that the collector took.
    pub batches_sent: u64,
    /// Batches of spans that failed for good.
    pub batches_failed: u64,
    /// Requests beyond the first of a batch, spans and metrics together. Not known of gRPC.
    pub retries: u64,
    /// Exports of metrics that the collector took.
    pub metrics_sent: u64,
    /// Exports of metrics that failed.
    pub metrics_failed: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Books {
    offered: AtomicU64,
    sent: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    batches_sent: AtomicU64,
    batches_failed: AtomicU64,
    tries: AtomicU64,
    metrics_sent: AtomicU64,
    metrics_failed: AtomicU64,
    last_error: Mutex<Option<String>>,
    noted: AtomicU64,
    rejected: AtomicU64,
    /// The same for the system's own books.
    counts: ExportCounts,
}

// Relaxed throughout: figures for people.
impl Books {
    pub(super) fn offered(&self, spans: usize) {
        self.offered.fetch_add(spans as u64, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> ExportCounts {
        self.counts.clone()
    }

    pub(super) fn dropped(&self, spans: usize) {
        self.counts.add_lost(spans);
        self.dropped.fetch_add(spans as u64, Ordering::Relaxed);
    }

    pub(super) fn tried(&self) {
        self.tries.fetch_add(1, Ordering::Relaxed);
    }

    /// Of the batch that is under way the collector does not keep so many.
    pub(super) fn reject(&self, spans: u64) {
        self.rejected.store(spans, Ordering::Relaxed);
    }

    /// How many that were, of the batch that was under way.
    pub(super) fn take_rejected(&self) -> u64 {
        self.rejected.swap(0, Ordering::Relaxed)
    }

    /// It was sent, but for these.
    pub(super) fn batch_in_part(&self, spans: usize, rejected: usize) {
        self.batch(spans - rejected, true);
        self.left_behind(rejected);
    }

    pub(super) fn batch(&self, spans: usize, was_sent: bool) {
        let (batches, sum) = if was_sent {
            self.counts.add_exported(spans);
            (&self.batches_sent, &self.sent)
        } else {
            self.counts.add_lost(spans);
            (&self.batches_failed, &self.failed)
        };
        batches.fetch_add(1, Ordering::Relaxed);
        sum.fetch_add(spans as u64, Ordering::Relaxed);
    }

    /// Never tried, for there was no time left; or rejected.
    pub(super) fn left_behind(&self, spans: usize) {
        self.counts.add_lost(spans);
        self.failed.fetch_add(spans as u64, Ordering::Relaxed);
    }

    pub(super) fn metrics(&self, was_sent: bool) {
        let count = if was_sent {
            &self.metrics_sent
        } else {
            &self.metrics_failed
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// How many errors were noted.
    pub(super) fn noted(&self) -> u64 {
        self.noted.load(Ordering::Relaxed)
    }

    pub(super) fn note_error(&self, error: String) {
        self.noted.fetch_add(1, Ordering::Relaxed);
        *self.error() = Some(error);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.error().clone()
    }

    pub(super) fn read(&self) -> OtlpStats {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        // The outcomes first: what ends meanwhile counts as queued rather than as less than nothing.
        let (sent, dropped, failed) = (of(&self.sent), of(&self.dropped), of(&self.failed));
        let (batches_sent, batches_failed) = (of(&self.batches_sent), of(&self.batches_failed));
        let (metrics_sent, metrics_failed) = (of(&self.metrics_sent), of(&self.metrics_failed));
        let offered = of(&self.offered);
        let firsts = batches_sent + batches_failed + metrics_sent + metrics_failed;
        OtlpStats {
            spans_offered: offered,
            spans_sent: sent,
            spans_dropped: dropped,
            spans_failed: failed,
            spans_queued: offered.saturating_sub(sent + dropped + failed),
            batches_sent,
            batches_failed,
            retries: of(&self.tries).saturating_sub(firsts),
            metrics_sent,
            metrics_failed,
            last_error: self.last_error(),
        }
    }

    fn error(&self) -> MutexGuard<'_, Option<String>> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

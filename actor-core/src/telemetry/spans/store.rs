//! The traces that a system keeps to be looked at: the latest, and beyond them the slowest and the latest
//! that failed.
//!
//! Plain data behind the collector's lock. A trace is in up to three lists; when it has fallen out of all of
//! them, it goes. The number of traces is bounded, and that of spans, because a trace may be long, and the bytes,
//! because the text of an error may be long too.
//!
//! A failure of a trace that is not sampled comes as a span of its own: it is among the failed, and in no other
//! list, so that those show what the traces are like.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::random;
use crate::trace::{Settings, SpanId, SpanKind, SpanOutcome, SpanRecord, TraceId};

/// Spans of one trace that are kept.
const SPANS_PER_TRACE: usize = 2000;

/// Bytes for each of the spans that may be kept, together: twice what one has without an error.
const BYTES_PER_SPAN: usize = 1024;

/// Which traces: for [`SystemRef::traces`](crate::SystemRef::traces).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceList {
    /// The latest first.
    Recent,
    /// The slowest first.
    Slow,
    /// Those with a span that failed, the latest first.
    Failed,
}

/// One trace in a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TraceSummary {
    /// The trace.
    pub trace_id: TraceId,
    /// What its first span is of.
    pub kind: SpanKind,
    /// The message of its first span.
    pub message: &'static str,
    /// The actor type of its first span.
    pub actor_type: &'static str,
    /// The name of that actor, if it has one.
    pub actor_name: Option<Arc<str>>,
    /// When it began: its first message was sent.
    pub started: SystemTime,
    /// From there to the end of the span that ended last.
    pub duration: Duration,
    /// The sum of what its messages waited.
    pub queue_wait: Duration,
    /// Its spans, as far as they have ended.
    pub spans: usize,
    /// Those of them that are not kept.
    pub left_out: usize,
    /// Spans that failed.
    pub errors: usize,
    /// Messages that crossed NUMA nodes.
    pub crossings: usize,
    /// Other peers in it.
    pub peers: Vec<Arc<str>>,
}

/// A trace with its spans; what is still going on in it is missing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Trace {
    /// The trace as a whole.
    pub summary: TraceSummary,
    /// Its spans, in the order in which they began.
    pub spans: Vec<Arc<SpanRecord>>,
}

#[derive(Debug)]
pub(super) struct Store {
    limits: Limits,
    traces: HashMap<TraceId, Entry, Key>,
    recent: VecDeque<TraceId>,
    slow: BTreeSet<(Duration, TraceId)>,
    failed: VecDeque<TraceId>,
    spans: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Limits {
    traces: usize,
    slow: usize,
    failed: usize,
    spans: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    summary: TraceSummary,
    ended: SystemTime,
    spans: Vec<Arc<SpanRecord>>,
    bytes: usize,
    /// Among the recent, once.
    was_listed: bool,
    is_recent: bool,
    is_slow: bool,
    is_failed: bool,
}

impl Store {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            limits: Limits {
                traces: settings.keep_traces,
                slow: settings.keep_slow,
                failed: settings.keep_failed,
                spans: settings.keep_spans,
                bytes: settings.keep_spans.saturating_mul(BYTES_PER_SPAN),
            },
            traces: HashMap::with_hasher(Key(random::next_u64())),
            recent: VecDeque::new(),
            slow: BTreeSet::new(),
            failed: VecDeque::new(),
            spans: 0,
            bytes: 0,
        }
    }

    pub(super) fn traces(&self) -> usize {
        self.traces.len()
    }

    pub(super) fn spans(&self) -> usize {
        self.spans
    }

    pub(super) fn insert(&mut self, span: Arc<SpanRecord>) {
        let limits = &self.limits;
        if limits.spans == 0 || limits.traces == 0 && limits.slow == 0 && limits.failed == 0 {
            return;
        }
        let id = span.trace_id();
        let is_sampled = span.trace.is_sampled();
        let entry = self.traces.entry(id).or_insert_with(|| Entry::of(&span));
        if is_sampled && !entry.was_listed {
            entry.was_listed = true;
            entry.is_recent = true;
            self.recent.push_back(id);
        }
        let before = entry.summary.duration;
        if let Some(bytes) = entry.add(&span) {
            self.spans += 1;
            self.bytes += bytes;
        }
        let now = entry.summary.duration;
        if !is_sampled {
            // Only among the failed.
        } else if entry.is_slow {
            if now != before {
                self.slow.remove(&(before, id));
                self.slow.insert((now, id));
            }
        } else if self.slow.len() < limits.slow
            // Most are not slow: not to be put in and taken out again.
            || self.slow.first().is_some_and(|least| *least < (now, id))
        {
            entry.is_slow = true;
            self.slow.insert((now, id));
        }
        if span.is_error() && !entry.is_failed {
            entry.is_failed = true;
            self.failed.push_back(id);
        }
        self.trim();
    }

    /// Back within the limits.
    fn trim(&mut self) {
        while self.recent.len() > self.limits.traces {
            let Some(id) = self.recent.pop_front() else {
                break;
            };
            self.leave(id, |entry| entry.is_recent = false);
        }
        while self.slow.len() > self.limits.slow {
            let Some((_, id)) = self.slow.pop_first() else {
                break;
            };
            self.leave(id, |entry| entry.is_slow = false);
        }
        while self.failed.len() > self.limits.failed {
            let Some(id) = self.failed.pop_front() else {
                break;
            };
            self.leave(id, |entry| entry.is_failed = false);
        }
        // Of the latest first the oldest; the slow and the failed are few and wanted.
        while self.spans > self.limits.spans || self.bytes > self.limits.bytes {
            let Some(id) = self
                .recent
                .front()
                .or_else(|| self.failed.front())
                .or_else(|| self.slow.first().map(|(_, id)| id))
                .copied()
            else {
                break;
            };
            self.forget(id);
        }
    }

    fn leave(&mut self, id: TraceId, which: impl FnOnce(&mut Entry)) {
        let Some(entry) = self.traces.get_mut(&id) else {
            return;
        };
        which(entry);
        if !(entry.is_recent || entry.is_slow || entry.is_failed) {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: TraceId) {
        let Some(entry) = self.traces.remove(&id) else {
            return;
        };
        self.spans -= entry.spans.len();
        self.bytes -= entry.bytes;
        if entry.is_recent {
            self.recent.retain(|other| *other != id);
        }
        if entry.is_slow {
            self.slow.remove(&(entry.summary.duration, id));
        }
        if entry.is_failed {
            self.failed.retain(|other| *other != id);
        }
    }

    pub(super) fn list(&self, which: TraceList, limit: usize) -> Vec<TraceSummary> {
        let summary = |id: &TraceId| self.traces.get(id).map(|entry| entry.summary.clone());
        match which {
            TraceList::Recent => {
                let ids = self.recent.iter().rev();
                ids.filter_map(summary).take(limit).collect()
            }
            TraceList::Failed => {
                let ids = self.failed.iter().rev();
                ids.filter_map(summary).take(limit).collect()
            }
            TraceList::Slow => {
                let ids = self.slow.iter().rev().map(|(_, id)| id);
                ids.filter_map(summary).take(limit).collect()
            }
        }
    }

    pub(super) fn get(&self, id: TraceId) -> Option<Trace> {
        let entry = self.traces.get(&id)?;
        let mut spans = entry.spans.clone();
        spans.sort_by_key(|span| (span.sent(), span.started));
        Some(Trace {
            summary: entry.summary.clone(),
            spans,
        })
    }
}

/// Each ask that went to another peer names it, as the span of its way out does. Who asks does not know where the actor
/// lives, and does not pay for it: it is put together where a trace is looked at.
pub(super) fn name_peers(spans: &mut [Arc<SpanRecord>]) {
    let ways = spans.iter().filter(|span| span.kind == SpanKind::Forward);
    let ways = ways.filter_map(|way| Some((way.parent?, way.peer.clone()?)));
    let ways: HashMap<SpanId, Arc<str>> = ways.collect();
    if ways.is_empty() {
        return;
    }
    for span in spans {
        if span.kind == SpanKind::Ask
            && span.peer.is_none()
            && let Some(peer) = ways.get(&span.span_id())
        {
            Arc::make_mut(span).peer = Some(peer.clone());
        }
    }
}

/// Hashes trace ids. They are random numbers, but those of others are what they say: a key of this store's own
/// keeps them from choosing what falls together.
#[derive(Clone, Copy, Debug)]
struct Key(u64);

/// See [`Key`].
#[derive(Debug)]
struct KeyHasher(u64);

impl BuildHasher for Key {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.0)
    }
}

impl Hasher for KeyHasher {
    fn write_u128(&mut self, id: u128) {
        // Multiplied to twice the width and folded, so that each bit of the id and the key is in each of the result.
        let (high, low) = ((id >> 64) as u64, id as u64);
        for word in [high, low] {
            let wide = u128::from(self.0 ^ word) * u128::from(FACTOR);
            self.0 = (wide >> 64) as u64 ^ wide as u64;
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u128(u128::from(*byte));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Any odd number with as many ones as zeros, without pattern: 2^64 by the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Entry {
    fn of(span: &SpanRecord) -> Self {
        Self {
            summary: TraceSummary {
                trace_id: span.trace_id(),
                kind: span.kind,
                message: span.message,
                actor_type: span.actor_type,
                actor_name: span.actor_name.clone(),
                started: span.sent(),
                duration: Duration::ZERO,
                queue_wait: Duration::ZERO,
                spans: 0,
                left_out: 0,
                errors: 0,
                crossings: 0,
                peers: Vec::new(),
            },
            ended: span.ended(),
            spans: Vec::new(),
            bytes: 0,
            was_listed: false,
            is_recent: false,
            is_slow: false,
            is_failed: false,
        }
    }

    /// How many bytes are kept of it, if it is.
    fn add(&mut self, span: &Arc<SpanRecord>) -> Option<usize> {
        let summary = &mut self.summary;
        // What ends first is seldom what began first: an ask is recorded after its handling.
        let sent = span.sent();
        let is_first = sent < summary.started || sent == summary.started && span.parent.is_none();
        if is_first {
            summary.kind = span.kind;
            summary.message = span.message;
            summary.actor_type = span.actor_type;
            summary.actor_name = span.actor_name.clone();
            summary.started = sent;
        }
        self.ended = self.ended.max(span.ended());
        summary.duration = self
            .ended
            .duration_since(summary.started)
            .unwrap_or_default();
        summary.queue_wait += span.queue_wait;
        summary.spans += 1;
        summary.errors += usize::from(span.is_error());
        summary.crossings += usize::from(span.crossed());
        if let Some(peer) = &span.peer
            && !summary.peers.contains(peer)
        {
            summary.peers.push(peer.clone());
        }
        if self.spans.len() >= SPANS_PER_TRACE {
            summary.left_out += 1;
            return None;
        }
        self.spans.push(span.clone());
        let bytes = bytes_of(span);
        self.bytes += bytes;
        Some(bytes)
    }
}

/// About what a span takes. Names are shared, and count where they are long.
fn bytes_of(span: &SpanRecord) -> usize {
    let error = match &span.outcome {
        SpanOutcome::Panicked(text) | SpanOutcome::Error(text) => text.len(),
        _ => 0,
    };
    let attributes = span.attributes.iter();
    let attributes: usize = attributes.map(|(_, value)| 32 + value.len()).sum();
    let state = span.trace.tracestate().map_or(0, str::len);
    let name = span.actor_name.as_ref().map_or(0, |name| name.len());
    size_of::<SpanRecord>() + error + attributes + state + name
}

#[cfg(test)]
mod tests;

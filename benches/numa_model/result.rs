//! What a run has counted.

use actor_core::model::Counts;

use crate::lane::Message;
use crate::lines::Crossings;

/// Counting as the run goes: the first quarter is warm-up, the end after the limit is winding down.
#[derive(Debug)]
pub(crate) struct Tally {
    cores: usize,
    pub(crate) offered: u64,
    pub(crate) handled_all: u64,
    /// Of the measured part.
    began: Option<Mark>,
    ended: Option<Mark>,
    waits: Vec<u32>,
    crossed: u64,
    flushes: u64,
    flushed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: u64,
    handled: u64,
    crossings: Crossings,
    counts: Counts,
}

/// The figures of one run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) offered: u64,
    pub(crate) handled: u64,
    pub(crate) queued: usize,
    /// Millions of messages per second.
    pub(crate) throughput: f64,
    /// Nanoseconds of one core per message.
    pub(crate) per_message: f64,
    /// Lines whose content crossed between sockets, per message.
    pub(crate) data: f64,
    /// Of those, lines of messages, and lines that senders share (mailboxes, lanes, queues).
    pub(crate) messages: f64,
    pub(crate) shared: f64,
    /// Invalidations that crossed, per message.
    pub(crate) invalidations: f64,
    /// Lines between cores of one socket, per message.
    pub(crate) near: f64,
    /// Share of messages handled on another socket than sent, in percent.
    pub(crate) crossing: f64,
    /// Mailbox wait in nanoseconds, lanes included.
    pub(crate) p50: u32,
    pub(crate) p99: u32,
    /// Per thousand messages.
    pub(crate) steals_near: f64,
    pub(crate) steals_far: f64,
    pub(crate) wakes: f64,
    /// Messages per flushed chunk.
    pub(crate) batch: f64,
    /// Actors moved by the balancer.
    pub(crate) moves: u64,
}

impl Tally {
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            cores,
            offered: 0,
            handled_all: 0,
            began: None,
            ended: None,
            waits: Vec::new(),
            crossed: 0,
            flushes: 0,
            flushed: 0,
        }
    }

    fn is_measuring(&self) -> bool {
        self.began.is_some() && self.ended.is_none()
    }

    pub(crate) fn handled(&mut self, message: &Message, now: u64, socket: usize) {
        self.handled_all += 1;
        if self.is_measuring() {
            let wait = now.saturating_sub(message.sent);
            self.waits.push(u32::try_from(wait).unwrap_or(u32::MAX));
            self.crossed += u64::from(message.socket != socket);
        }
    }

    pub(crate) fn flushed(&mut self, entries: usize) {
        if self.is_measuring() {
            self.flushes += 1;
            self.flushed += entries as u64;
        }
    }

    /// Looks whether the measured part begins or ends here.
    pub(crate) fn is_due(&self, limit: u64) -> bool {
        match (self.began, self.ended) {
            (None, _) => self.handled_all >= limit / 4,
            (Some(_), None) => self.handled_all >= limit,
            _ => false,
        }
    }

    pub(crate) fn mark(&mut self, at: u64, crossings: Crossings, counts: Counts) {
        let mark = Mark {
            at,
            handled: self.handled_all,
            crossings,
            counts,
        };
        if self.began.is_none() {
            self.began = Some(mark);
        } else {
            self.ended = Some(mark);
        }
    }

    pub(crate) fn outcome(mut self, queued: usize, moves: u64) -> Outcome {
        let (Some(began), Some(ended)) = (self.began, self.ended) else {
            unreachable!("a closed loop goes on until the limit")
        };
        let messages = (ended.handled - began.handled) as f64;
        let nanos = (ended.at - began.at).max(1) as f64;
        let each = |after: u64, before: u64| (after - before) as f64 / messages;
        self.waits.sort_unstable();
        let percentile = |percent: usize| {
            let at = (self.waits.len() * percent / 100).min(self.waits.len().saturating_sub(1));
            self.waits.get(at).copied().unwrap_or_default()
        };
        Outcome {
            offered: self.offered,
            handled: self.handled_all,
            queued,
            throughput: messages / nanos * 1e3,
            per_message: nanos * self.cores as f64 / messages,
            data: each(ended.crossings.data, began.crossings.data),
            messages: each(ended.crossings.messages, began.crossings.messages),
            shared: each(ended.crossings.shared, began.crossings.shared),
            invalidations: each(ended.crossings.invalidations, began.crossings.invalidations),
            near: each(ended.crossings.near, began.crossings.near),
            crossing: self.crossed as f64 / messages * 100.0,
            p50: percentile(50),
            p99: percentile(99),
            steals_near: each(ended.counts.steals_near, began.counts.steals_near) * 1e3,
            steals_far: each(ended.counts.steals_far, began.counts.steals_far) * 1e3,
            wakes: each(ended.counts.wakes, began.counts.wakes) * 1e3,
            batch: self.flushed as f64 / self.flushes.max(1) as f64,
            moves,
        }
    }
}

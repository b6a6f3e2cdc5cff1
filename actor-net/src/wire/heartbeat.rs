//! Whether the other side is still there.
//!
//! Any bytes are a sign of life. After a silence of one interval a ping asks for a word; after a silence of
//! the time-out the connection is given up. Who was stopped himself (SIGSTOP, a suspended machine, a stalled
//! reactor) cannot tell a silence from not having listened: when the last look at the time is too long ago,
//! the other side gets two intervals more, in which what waits in the socket is read.
//!
//! A ping and its answer also tell the round trip. Where there is never a silence, one goes every tenth interval for that
//! alone.

use std::time::{Duration, Instant};

use super::codec::Reader;
use super::error::Fault;
use super::frame::{FrameKind, put_frame};
use super::limits::Limits;

/// Intervals after which a connection that is never silent is measured again.
const MEASURE_AFTER: u32 = 10;

#[derive(Debug)]
pub(crate) struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    heard: Instant,
    looked: Instant,
    /// When the ping went that has no answer yet.
    pinged: Option<Instant>,
    /// When the next goes at the latest.
    measure: Instant,
    number: u64,
    ping_due: bool,
    /// One is enough, however many pings came: an answer to the last says all.
    pong_due: Option<u64>,
    round_trip: Option<Duration>,
}

impl Heartbeat {
    pub(crate) fn new(limits: &Limits, now: Instant) -> Self {
        Self {
            interval: limits.heartbeat_interval,
            timeout: limits.heartbeat_timeout,
            heard: now,
            looked: now,
            pinged: None,
            measure: now.checked_add(limits.heartbeat_interval).unwrap_or(now),
            number: 0,
            ping_due: false,
            pong_due: None,
            round_trip: None,
        }
    }

    /// Bytes came.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.looked = now;
        self.ping_due = false;
    }

    pub(crate) fn ping(&mut self, body: &[u8]) -> Result<(), Fault> {
        self.pong_due = Some(number(body)?);
        Ok(())
    }

    pub(crate) fn pong(&mut self, body: &[u8], now: Instant) -> Result<(), Fault> {
        let number = number(body)?;
        if number == self.number
            && let Some(pinged) = self.pinged.take()
        {
            let sample = now.saturating_duration_since(pinged);
            // As TCP smooths its own (RFC 6298): an eighth of the new one.
            let smooth =
                |old: Duration| old.saturating_mul(7).saturating_add(sample).checked_div(8);
            self.round_trip = self.round_trip.map_or(Some(sample), smooth);
        }
        Ok(())
    }

    /// The smoothed time of a ping and its answer.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    pub(crate) fn tick(&mut self, now: Instant) -> Result<(), Fault> {
        let twice = self.interval.saturating_mul(2);
        if now.saturating_duration_since(self.looked) > twice {
            let grace = self.timeout.saturating_sub(twice);
            self.heard = now
                .checked_sub(grace)
                .map_or(self.heard, |at| at.max(self.heard));
        }
        self.looked = now;
        let silent = now.saturating_duration_since(self.heard);
        if silent >= self.timeout {
            return Err(Fault::Silent {
                after: self.timeout,
            });
        }
        let asked = self
            .pinged
            .is_some_and(|at| now.saturating_duration_since(at) < self.interval);
        if (silent >= self.interval || now >= self.measure) && !asked {
            self.ping_due = true;
        }
        Ok(())
    }

    /// When to look again.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        let from = self.pinged.map_or(self.heard, |at| at.max(self.heard));
        let next = from.checked_add(self.interval)?;
        let given_up = self.heard.checked_add(self.timeout)?;
        Some(next.min(given_up).min(self.measure))
    }

    pub(crate) fn put(&mut self, now: Instant, out: &mut Vec<u8>) {
        if let Some(number) = self.pong_due.take() {
            put_frame(out, FrameKind::Pong, 0, |out| {
                out.extend_from_slice(&number.to_le_bytes());
            });
        }
        if std::mem::take(&mut self.ping_due) {
            self.number = self.number.wrapping_add(1);
            self.pinged = Some(now);
            let pause = self.interval.saturating_mul(MEASURE_AFTER);
            self.measure = now.checked_add(pause).unwrap_or(now);
            let number = self.number;
            put_frame(out, FrameKind::Ping, 0, |out| {
                out.extend_from_slice(&number.to_le_bytes());
            });
        }
    }
}

fn number(body: &[u8]) -> Result<u64, Fault> {
    let mut reader = Reader::new(body);
    let number = reader.u64("number").map_err(Fault::Malformed)?;
    reader.finish().map_err(Fault::Malformed)?;
    Ok(number)
}

//! How much of everything a peer may have here: every number with its default and what it guards.
//!
//! A peer is told those that it must keep (they are part of its greeting, `hello.rs`); what it sends beyond
//! them is refused, and where that shows that it does not keep the rules, the connection is closed.

use std::fmt;
use std::time::Duration;

use super::codec::{Decoded, Flaw, Reader, put_u32};

/// Bytes of a frame's body before the other side has authenticated itself. Not a setting: both sides must
/// know it before they can say anything.
pub(crate) const HANDSHAKE_FRAME_MAX: usize = 4096;

/// Characters of a name an actor can be addressed by; as `actor_core::NAME_BYTES_MAX`.
pub(crate) const NAME_MAX: usize = 255;

/// Bytes of a text that explains a failure.
pub(crate) const DETAIL_MAX: usize = 1024;

/// Data connections to one peer, i.e. NUMA nodes of the larger of the two machines.
pub(crate) const LANES_MAX: usize = 64;

/// What one side allows the other, and how patient it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Bytes of a frame's body on the control connection. 64 KiB.
    pub(crate) control_frame: u32,
    /// Bytes of a frame's body on a data connection. 64 KiB.
    pub(crate) lane_frame: u32,
    /// Bytes of a message above which it is sent in fragments of this size. 16 KiB: 1.3 ms at 100 Mbit/s.
    pub(crate) fragment: u32,
    /// Bytes of one message with its head. 16 MiB.
    pub(crate) message: u32,
    /// Messages that a peer may have under way on one lane, received but not taken out. 8192.
    pub(crate) window_messages: u32,
    /// Bytes of small messages under way on one lane. 4 MiB.
    pub(crate) window_bytes: u32,
    /// Bytes of fragmented messages under way on one lane, complete or not: also the limit of the memory
    /// that incomplete ones hold. 16 MiB, at least one message.
    pub(crate) window_large: u32,
    /// Fragmented messages that come in at a time on one lane. 64.
    pub(crate) streams: u32,
    /// Bytes that wait here to be sent on one lane before senders are held up. 4 MiB.
    pub(crate) outbox_bytes: usize,
    /// Messages that wait here to be sent on one lane before senders are held up. 8192.
    pub(crate) outbox_messages: usize,
    /// How long an incomplete message may make no progress. 30 s.
    pub(crate) reassembly_timeout: Duration,
    /// How long a peer that has sent a lot may be left without its credit back. 20 ms.
    pub(crate) credit_delay: Duration,
    /// The whole handshake, not each read of it. 5 s.
    pub(crate) handshake_timeout: Duration,
    /// A silence after which the other side is asked for a word. 1 s.
    pub(crate) heartbeat_interval: Duration,
    /// A silence after which the connection is given up. 5 s.
    pub(crate) heartbeat_timeout: Duration,
    /// Lifecycle signals that wait for their acknowledgement before the peer is given up. 20,000.
    pub(crate) signals: usize,
    /// How old the oldest of them may become. 60 s.
    pub(crate) signal_age: Duration,
    /// Message types that a peer may export. 65,536.
    pub(crate) message_types: usize,
    /// Bytes of datagrams (gossip) that wait here. 1 MiB.
    pub(crate) datagram_bytes: usize,
    /// A data lane that was not used for so long is closed until it is needed. 5 min.
    pub(crate) lane_idle: Duration,
    /// The longest deadline that is believed; a longer one is cut. One hour.
    pub(crate) deadline_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            control_frame: 64 << 10,
            lane_frame: 64 << 10,
            fragment: 16 << 10,
            message: 16 << 20,
            window_messages: 8192,
            window_bytes: 4 << 20,
            window_large: 16 << 20,
            streams: 64,
            outbox_bytes: 4 << 20,
            outbox_messages: 8192,
            reassembly_timeout: Duration::from_secs(30),
            credit_delay: Duration::from_millis(20),
            handshake_timeout: Duration::from_secs(5),
            heartbeat_interval: Duration::from_secs(1),
            heartbeat_timeout: Duration::from_secs(5),
            signals: 20_000,
            signal_age: Duration::from_secs(60),
            message_types: 65_536,
            datagram_bytes: 1 << 20,
            lane_idle: Duration::from_secs(300),
            deadline_max: Duration::from_secs(3600),
        }
    }
}

/// A limit that cannot be, with what can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidLimit {
    pub(crate) name: &'static str,
    pub(crate) value: u64,
    pub(crate) min: u64,
    pub(crate) max: u64,
}

impl fmt::Display for InvalidLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            value,
            min,
            max,
        } = self;
        write!(
            f,
            "limit `{name}` of {value} is not within {min}..={max}; choose one that is"
        )
    }
}

impl std::error::Error for InvalidLimit {}

const FRAME_MIN: u32 = 4096;
const LANE_FRAME_MIN: u32 = 32 << 10;
const FRAME_MAX: u32 = 1 << 20;
const BYTES_MAX: u32 = 1 << 30;

impl Limits {
    /// Whether they agree with each other.
    pub(crate) fn check(&self) -> Result<(), InvalidLimit> {
        self.promised().check()?;
        within("control_frame", self.control_frame, FRAME_MIN, FRAME_MAX)?;
        // A fragment has a few bytes of its own in front, and must fit the smallest frame a peer may allow.
        let room = LANE_FRAME_MIN.saturating_sub(FRAGMENT_HEAD);
        within("fragment", self.fragment, 512, room)?;
        millis("heartbeat_interval", self.heartbeat_interval, 10, 600_000)?;
        let interval = self.heartbeat_interval.as_millis();
        let twice = u64::try_from(interval.saturating_mul(2)).unwrap_or(u64::MAX);
        millis(
            "heartbeat_timeout",
            self.heartbeat_timeout,
            twice,
            3_600_000,
        )?;
        millis("lane_idle", self.lane_idle, 10, u64::MAX)?;
        millis("handshake_timeout", self.handshake_timeout, 10, 600_000)
    }

    /// What the other side is told.
    pub(crate) fn promised(&self) -> PeerLimits {
        PeerLimits {
            control_frame: self.control_frame,
            lane_frame: self.lane_frame,
            message: self.message,
            window_messages: self.window_messages,
            window_bytes: self.window_bytes,
            window_large: self.window_large,
            streams: self.streams,
        }
    }
}

/// What stands before a fragment's bytes, at most.
pub(crate) const FRAGMENT_HEAD: u32 = 32;

/// The limits a side tells the other in its greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerLimits {
    pub(crate) control_frame: u32,
    pub(crate) lane_frame: u32,
    pub(crate) message: u32,
    pub(crate) window_messages: u32,
    pub(crate) window_bytes: u32,
    pub(crate) window_large: u32,
    pub(crate) streams: u32,
}

impl PeerLimits {
    fn fields(&self) -> [(&'static str, u32, u32, u32); 7] {
        [
            ("control_frame", self.control_frame, FRAME_MIN, FRAME_MAX),
            ("lane_frame", self.lane_frame, LANE_FRAME_MIN, FRAME_MAX),
            ("message", self.message, LANE_FRAME_MIN, BYTES_MAX),
            ("window_messages", self.window_messages, 1, 1 << 24),
            (
                "window_bytes",
                self.window_bytes,
                self.lane_frame,
                BYTES_MAX,
            ),
            ("window_large", self.window_large, self.message, BYTES_MAX),
            ("streams", self.streams, 1, 4096),
        ]
    }

    pub(crate) fn check(&self) -> Result<(), InvalidLimit> {
        for (name, value, min, max) in self.fields() {
            within(name, value, min, max)?;
        }
        Ok(())
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for (_, value, _, _) in self.fields() {
            put_u32(out, value);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Decoded<Self> {
        let start = reader.at();
        let limits = Self {
            control_frame: reader.u32("limit control_frame")?,
            lane_frame: reader.u32("limit lane_frame")?,
            message: reader.u32("limit message")?,
            window_messages: reader.u32("limit window_messages")?,
            window_bytes: reader.u32("limit window_bytes")?,
            window_large: reader.u32("limit window_large")?,
            streams: reader.u32("limit streams")?,
        };
        match limits.check() {
            Ok(()) => Ok(limits),
            Err(InvalidLimit {
                name,
                value,
                min,
                max,
            }) => reader.flaw(name, start, Flaw::Range { value, min, max }),
        }
    }
}

fn within(name: &'static str, value: u32, min: u32, max: u32) -> Result<(), InvalidLimit> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(InvalidLimit {
        name,
        value: value.into(),
        min: min.into(),
        max: max.into(),
    })
}

fn millis(name: &'static str, value: Duration, min: u64, max: u64) -> Result<(), InvalidLimit> {
    let value = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(InvalidLimit {
        name,
        value,
        min,
        max,
    })
}

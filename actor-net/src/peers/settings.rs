//! What a user can set of the connections to peers, each with its default and its range.

use std::time::Duration;

use actor_core::Backoff;

use super::config::Config;

/// How much peers may have under way here, and how patient this side is with them.
///
/// Limits of what comes hold per peer and per data lane (one for each NUMA node of the larger of the two machines);
/// a peer is told them when it connects and keeps them. What is wrong is refused when the peer is started, with the
/// range.
///
/// # Examples
///
/// ```
/// use actor_net::cluster::LinkSettings;
/// use std::time::Duration;
///
/// let mut links = LinkSettings::default();
/// links.message_max = 64 << 20;
/// links.window_large = 64 << 20;
/// links.heartbeat_timeout = Duration::from_secs(10);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkSettings {
    /// Bytes of one message as it is written down; longer ones are refused at the sender with
    /// [`TooLarge`](actor_core::AskError::TooLarge). 16 MiB; 32 KiB to 1 GiB.
    pub message_max: u32,
    /// Messages of a peer that wait here for room in mailboxes. Then its senders are held up. 8,192; 1 to 2^24.
    pub window_messages: u32,
    /// Bytes of those that are not in pieces (up to 16 KiB each). 4 MiB; 64 KiB to 1 GiB.
    pub window_bytes: u32,
    /// Bytes of those that come in pieces, half-come ones among them. 16 MiB; `message_max` to 1 GiB.
    pub window_large: u32,
    /// Bytes that wait here to go to a peer, before senders here are held up. 4 MiB.
    pub outbox_bytes: usize,
    /// Messages that wait here to go to a peer, before senders here are held up. 8,192.
    pub outbox_messages: usize,
    /// How long two peers may take to greet each other, after TLS. 5 s; 10 ms to 10 min.
    pub handshake_timeout: Duration,
    /// After this silence the peer is asked for a word. 1 s; 10 ms to 10 min.
    pub heartbeat_interval: Duration,
    /// After this silence the connection is given up and made anew. 5 s; twice the interval to 1 h.
    pub heartbeat_timeout: Duration,
    /// A data connection that nobody has used for so long is closed, and made anew when there is something to send. The
    /// control connection stays. 5 min; at least 10 ms, `Duration::MAX` for never.
    pub lane_idle: Duration,
    /// Lifecycle signals (watches, ends, stops) that wait for a peer's word that it has them, before the peer is given
    /// up. 20,000.
    pub signals_max: usize,
    /// How old the oldest of those may become before the peer is given up. 1 min.
    pub signal_age_max: Duration,
    /// The longest deadline of a peer that is believed; longer ones are cut. 1 h.
    pub deadline_max: Duration,
    /// The pause before a peer is dialled again: 100 ms, doubled each time to 10 s.
    pub redial: Backoff,
}

impl Default for LinkSettings {
    fn default() -> Self {
        let limits = crate::wire::limits::Limits::default();
        Self {
            message_max: limits.message,
            window_messages: limits.window_messages,
            window_bytes: limits.window_bytes,
            window_large: limits.window_large,
            outbox_bytes: limits.outbox_bytes,
            outbox_messages: limits.outbox_messages,
            handshake_timeout: limits.handshake_timeout,
            heartbeat_interval: limits.heartbeat_interval,
            heartbeat_timeout: limits.heartbeat_timeout,
            lane_idle: limits.lane_idle,
            signals_max: limits.signals,
            signal_age_max: limits.signal_age,
            deadline_max: limits.deadline_max,
            redial: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
        }
    }
}

impl LinkSettings {
    /// Puts them where they take effect.
    pub(crate) fn apply(&self, config: &mut Config) {
        let limits = &mut config.limits;
        limits.message = self.message_max;
        limits.window_messages = self.window_messages;
        limits.window_bytes = self.window_bytes;
        limits.window_large = self.window_large;
        limits.outbox_bytes = self.outbox_bytes;
        limits.outbox_messages = self.outbox_messages;
        limits.handshake_timeout = self.handshake_timeout;
        limits.heartbeat_interval = self.heartbeat_interval;
        limits.heartbeat_timeout = self.heartbeat_timeout;
        limits.lane_idle = self.lane_idle;
        limits.signals = self.signals_max;
        limits.signal_age = self.signal_age_max;
        limits.deadline_max = self.deadline_max;
        config.redial = self.redial;
    }
}

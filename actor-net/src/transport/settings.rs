//! Every number of the transport: its default, its bounds, and when to touch it.

use std::fmt;
use std::time::Duration;

/// The limits and times of a transport. The defaults suit a cluster of up to some hundred peers.
///
/// | setting | default | allowed | touch it when |
/// |---|---|---|---|
/// | `connect_within` | 5 s | 10 ms to 5 min | the network is slow to connect |
/// | `handshake_within` | 5 s | 10 ms to 5 min | peers are far away or starved of CPU |
/// | `handshake_bytes_max` | 16 KiB | 4 to 64 KiB | certificate chains are long |
/// | `unauthenticated_max` | 64 | 1 to 65,536 | more peers than that start at once |
/// | `unauthenticated_per_source` | 8 | 1 to 65,536 | many peers share one address |
/// | `arrivals_per_second` | 50 a source | 1 to 1,000,000 | many peers share one address |
/// | `links_max` | 2,048 | 1 to 1,048,576 | the cluster is larger |
/// | `links_per_peer` | 32 | 1 to 65,536 | a peer has more than about 30 NUMA nodes |
/// | `queue_bytes_max` | 4 MiB a link | 64 KiB to 1 GiB | round trips are long and links fast |
/// | `user_timeout` | 4 s | 100 ms to 1 h | a dead peer must be noticed sooner, or later |
/// | `close_within` | 5 s | 10 ms to 5 min | much is queued when a link closes |
/// | `backlog` | 1,024 | 1 to 65,535 | the kernel drops arrivals in a storm |
/// | `reload_every` | 10 s | 10 ms to 24 h | changed key files must be seen sooner |
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_net::transport::TransportSettings;
///
/// let settings = TransportSettings::default().handshake_within(Duration::from_secs(2));
/// assert!(settings.check().is_ok());
/// assert!(settings.links_max(0).check().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportSettings {
    pub(crate) connect_within: Duration,
    pub(crate) handshake_within: Duration,
    pub(crate) handshake_bytes_max: usize,
    pub(crate) unauthenticated_max: usize,
    pub(crate) unauthenticated_per_source: usize,
    pub(crate) arrivals_per_second: u32,
    pub(crate) links_max: usize,
    pub(crate) links_per_peer: usize,
    pub(crate) queue_bytes_max: usize,
    pub(crate) user_timeout: Duration,
    pub(crate) close_within: Duration,
    pub(crate) backlog: u32,
    pub(crate) reload_every: Duration,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            connect_within: Duration::from_secs(5),
            handshake_within: Duration::from_secs(5),
            handshake_bytes_max: 16 << 10,
            unauthenticated_max: 64,
            unauthenticated_per_source: 8,
            arrivals_per_second: 50,
            links_max: 2048,
            links_per_peer: 32,
            queue_bytes_max: 4 << 20,
            user_timeout: Duration::from_secs(4),
            close_within: Duration::from_secs(5),
            backlog: 1024,
            reload_every: Duration::from_secs(10),
        }
    }
}

impl TransportSettings {
    /// How long one address may take to accept a connection; default 5 s.
    #[must_use]
    pub fn connect_within(mut self, time: Duration) -> Self {
        self.connect_within = time;
        self
    }

    /// How long both sides have, in all, from the connection to the proof of who they are; default 5 s.
    ///
    /// For the whole of it, not for each read: a peer that sends a byte a second is cut off then.
    #[must_use]
    pub fn handshake_within(mut self, time: Duration) -> Self {
        self.handshake_within = time;
        self
    }

    /// How many bytes a peer may send before it is authenticated; default 16 KiB.
    #[must_use]
    pub fn handshake_bytes_max(mut self, bytes: usize) -> Self {
        self.handshake_bytes_max = bytes;
        self
    }

    /// How many connections may be unauthenticated at once; default 64. Others are closed at once.
    #[must_use]
    pub fn unauthenticated_max(mut self, connections: usize) -> Self {
        self.unauthenticated_max = connections;
        self
    }

    /// The same for one source; default 8. A source is an IPv4 address or an IPv6 /64.
    #[must_use]
    pub fn unauthenticated_per_source(mut self, connections: usize) -> Self {
        self.unauthenticated_per_source = connections;
        self
    }

    /// How many connections a second one source may open; default 50, and twice that in a burst.
    #[must_use]
    pub fn arrivals_per_second(mut self, connections: u32) -> Self {
        self.arrivals_per_second = connections;
        self
    }

    /// How many authenticated connections may be open in all; default 2,048.
    #[must_use]
    pub fn links_max(mut self, links: usize) -> Self {
        self.links_max = links;
        self
    }

    /// How many authenticated connections one peer may have; default 32.
    ///
    /// A peer is an identity at an address: peers that share a certificate or a key are counted apart.
    #[must_use]
    pub fn links_per_peer(mut self, links: usize) -> Self {
        self.links_per_peer = links;
        self
    }

    /// How many bytes may wait to be sent on one link; default 4 MiB. Then sends are refused, or wait.
    #[must_use]
    pub fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.queue_bytes_max = bytes;
        self
    }

    /// How long sent bytes may stay unacknowledged before the link is given up; default 4 s.
    ///
    /// Sets `TCP_USER_TIMEOUT`, and keep-alive probes from half of it on, so that an idle link notices
    /// too. A peer that stops *reading* for this long while bytes wait for it counts as gone.
    #[must_use]
    pub fn user_timeout(mut self, time: Duration) -> Self {
        self.user_timeout = time;
        self
    }

    /// How long a link that is closed may take to send what is queued; default 5 s. Then it is cut off.
    #[must_use]
    pub fn close_within(mut self, time: Duration) -> Self {
        self.close_within = time;
        self
    }

    /// How many connections the kernel keeps until they are accepted; default 1,024.
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// How often files with certificates and keys are looked at; default 10 s.
    #[must_use]
    pub fn reload_every(mut self, time: Duration) -> Self {
        self.reload_every = time;
        self
    }

    /// Whether every number is within its bounds.
    ///
    /// # Errors
    ///
    /// Names the first that is not, what it is, and what is allowed.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let ms = Duration::from_millis;
        let minutes = |n: u64| Duration::from_secs(60 * n);
        time("connect_within", self.connect_within, ms(10), minutes(5))?;
        time(
            "handshake_within",
            self.handshake_within,
            ms(10),
            minutes(5),
        )?;
        time("user_timeout", self.user_timeout, ms(100), minutes(60))?;
        time("close_within", self.close_within, ms(10), minutes(5))?;
        time("reload_every", self.reload_every, ms(10), minutes(24 * 60))?;
        count(
            "handshake_bytes_max",
            self.handshake_bytes_max,
            4 << 10,
            64 << 10,
        )?;
        count("unauthenticated_max", self.unauthenticated_max, 1, 1 << 16)?;
        count(
            "unauthenticated_per_source",
            self.unauthenticated_per_source,
            1,
            1 << 16,
        )?;
        count(
            "arrivals_per_second",
            self.arrivals_per_second as usize,
            1,
            1_000_000,
        )?;
        count("links_max", self.links_max, 1, 1 << 20)?;
        count("links_per_peer", self.links_per_peer, 1, 1 << 16)?;
        count("queue_bytes_max", self.queue_bytes_max, 64 << 10, 1 << 30)?;
        count("backlog", self.backlog as usize, 1, 65_535)
    }
}

fn time(
    name: &'static str,
    value: Duration,
    min: Duration,
    max: Duration,
) -> Result<(), InvalidSetting> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(InvalidSetting {
        name,
        value: format!("{value:?}"),
        allowed: format!("{min:?} to {max:?}"),
    })
}

fn count(name: &'static str, value: usize, min: usize, max: usize) -> Result<(), InvalidSetting> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(InvalidSetting {
        name,
        value: value.to_string(),
        allowed: format!("{min} to {max}"),
    })
}

/// A setting that is out of its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    name: &'static str,
    value: String,
    allowed: String,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            value,
            allowed,
        } = self;
        write!(f, "{name} is {value}; allowed are {allowed}")
    }
}

impl std::error::Error for InvalidSetting {}

//! Who may come in, before it is known who comes: pure decisions from counts and time.
//!
//! A source is an IPv4 address or an IPv6 /64 (one host has as many addresses as it likes of those).
//! Each has a bucket of arrivals that refills with time, and a number of connections that are not yet
//! authenticated. The table of sources is bounded: when it is full of sources that are remembered for a
//! reason, strangers share one entry, so a flood from many addresses costs strangers their turn and not
//! this process its memory.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Why a connection was closed before a byte was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TurnedAway {
    /// `unauthenticated_max` connections are not yet authenticated.
    TooManyUnauthenticated,
    /// `unauthenticated_per_source` of them come from this source.
    TooManyFromSource,
    /// The source opens more than `arrivals_per_second`.
    TooFast,
    /// `links_max` links are open.
    TooManyLinks,
}

impl fmt::Display for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyUnauthenticated => {
                "too many connections are not yet authenticated (unauthenticated_max)"
            }
            Self::TooManyFromSource => {
                "too many connections of its source are not yet authenticated (unauthenticated_per_source)"
            }
            Self::TooFast => "its source connects too often (arrivals_per_second)",
            Self::TooManyLinks => "too many links are open (links_max)",
        })
    }
}

/// The limits a gate keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GateLimits {
    pub(crate) open_max: usize,
    pub(crate) open_per_source: usize,
    pub(crate) arrivals_per_second: u32,
}

/// Counts those who are not yet known.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: GateLimits,
    open: usize,
    sources: HashMap<Source, Seen>,
    strangers: Seen,
    swept: Option<Instant>,
}

impl Gate {
    pub(crate) fn new(limits: GateLimits) -> Self {
        Self {
            limits,
            open: 0,
            sources: HashMap::new(),
            strangers: Seen::default(),
            swept: None,
        }
    }

    /// A connection came. `Ok` takes a place that `leave` gives back.
    pub(crate) fn arrive(&mut self, ip: IpAddr, now: Instant) -> Result<Place, TurnedAway> {
        let limits = self.limits;
        let source = Source::of(ip);
        let known = self.sources.contains_key(&source) || self.make_room(now);
        let seen = if known {
            self.sources.entry(source).or_default()
        } else {
            &mut self.strangers
        };
        if !seen.draw(limits.arrivals_per_second, now) {
            return Err(TurnedAway::TooFast);
        }
        if seen.open >= limits.open_per_source {
            return Err(TurnedAway::TooManyFromSource);
        }
        if self.open >= limits.open_max {
            return Err(TurnedAway::TooManyUnauthenticated);
        }
        seen.open += 1;
        self.open += 1;
        Ok(Place(known.then_some(source)))
    }

    /// The connection is authenticated, or gone.
    pub(crate) fn leave(&mut self, place: Place) {
        self.open = self.open.saturating_sub(1);
        let seen = match place.0 {
            Some(source) => self.sources.get_mut(&source),
            None => Some(&mut self.strangers),
        };
        if let Some(seen) = seen {
            seen.open = seen.open.saturating_sub(1);
        }
    }

    /// How many are not yet authenticated.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Whether another source fits in the table, after forgetting those with nothing to remember.
    fn make_room(&mut self, now: Instant) -> bool {
        if self.sources.len() < SOURCES_MAX {
            return true;
        }
        let due = self
            .swept
            .is_none_or(|at| now.saturating_duration_since(at) >= SWEEP_EVERY);
        if due {
            self.swept = Some(now);
            let rate = self.limits.arrivals_per_second;
            self.sources
                .retain(|_, seen| seen.open > 0 || !seen.is_full(rate, now));
        }
        self.sources.len() < SOURCES_MAX
    }

    #[cfg(test)]
    fn remembered(&self) -> usize {
        self.sources.len()
    }
}

/// A place among the unauthenticated, to be given back.
#[derive(Debug)]
pub(crate) struct Place(Option<Source>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4([u8; 4]),
    V6Net([u8; 8]),
}

impl Source {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6Net([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// What is known of one source.
#[derive(Debug, Default)]
struct Seen {
    open: usize,
    /// Arrivals left, and when that was; `None`: never seen, the bucket is full.
    bucket: Option<(f64, Instant)>,
}

impl Seen {
    fn level(&self, per_second: u32, now: Instant) -> f64 {
        let full = burst(per_second);
        match self.bucket {
            None => full,
            Some((level, at)) => {
                let since = now.saturating_duration_since(at).as_secs_f64();
                (level + since * f64::from(per_second)).min(full)
            }
        }
    }

    fn draw(&mut self, per_second: u32, now: Instant) -> bool {
        let level = self.level(per_second, now);
        let enough = level >= 1.0;
        self.bucket = Some((if enough { level - 1.0 } else { level }, now));
        enough
    }

    fn is_full(&self, per_second: u32, now: Instant) -> bool {
        self.level(per_second, now) >= burst(per_second)
    }
}

/// What may come at once after a quiet time: two seconds' worth.
fn burst(per_second: u32) -> f64 {
    f64::from(per_second) * 2.0
}

/// How many sources are remembered; about 100 bytes each.
const SOURCES_MAX: usize = 4096;

/// How often a full table is gone through.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;

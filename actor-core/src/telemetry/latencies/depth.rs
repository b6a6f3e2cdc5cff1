//! Lengths of mailboxes by how often they were seen, in the steps of `histogram`: exact to 64, then off by 3 % at most.

use std::time::Duration;

use super::LatencyHistogram;

/// How often which lengths of mailboxes were seen: messages that waited behind one when its handler began.
///
/// A plain value: copied out of a system by [`SystemRef::latencies`](crate::SystemRef::latencies).
#[derive(Clone, Default, PartialEq)]
pub struct DepthHistogram(LatencyHistogram);

impl DepthHistogram {
    /// Messages, as far as those that were measured speak for the others.
    pub const fn count(&self) -> u64 {
        self.0.count()
    }

    /// All lengths together.
    pub fn sum(&self) -> u64 {
        number(self.0.sum())
    }

    /// The shortest, exactly; 0 if there is none.
    pub fn min(&self) -> u64 {
        number(self.0.min())
    }

    /// The longest, exactly; 0 if there is none.
    pub fn max(&self) -> u64 {
        number(self.0.max())
    }

    /// The length that this share of the messages did not find exceeded; 0 if there is none. A share below 0 or above 1
    /// is taken for that.
    pub fn quantile(&self, share: f64) -> u64 {
        number(self.0.quantile(share))
    }

    /// How many messages had at most so many behind them.
    pub fn count_within(&self, depth: u64) -> u64 {
        self.0.count_within(Duration::from_nanos(depth))
    }

    pub(in crate::telemetry) fn within_each(&self, bounds: &[u64]) -> Vec<u64> {
        self.0.within_each(bounds)
    }

    pub(super) fn add(&mut self, depth: u64, weight: u64) {
        self.0.add(depth, weight);
    }

    pub(super) fn with(&self, other: &Self) -> Self {
        Self(self.0.with(&other.0))
    }
}

impl std::fmt::Debug for DepthHistogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DepthHistogram")
            .field("count", &self.count())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max())
            .finish()
    }
}

fn number(of: Duration) -> u64 {
    u64::try_from(of.as_nanos()).unwrap_or(u64::MAX)
}

//! Times by how often they were seen: 32 steps to each doubling, so that a figure is off by 3 % at most, from a
//! nanosecond to hours, in at most 10 KiB.

use std::time::Duration;

/// Steps to each doubling, as a power of two.
const STEP_BITS: u32 = 5;
const STEPS: u64 = 1 << STEP_BITS;
/// Longer times count as that long: two hours.
const MAX: u64 = 1 << 43;
const BUCKETS: usize = index_of(MAX) + 1;

/// How often which times were seen.
///
/// A plain value: copied out of a system by [`SystemRef::latencies`](crate::SystemRef::latencies).
///
/// # Examples
///
/// ```
/// # use actor_core::prelude::*;
/// let system = ActorSystem::new()?;
/// let latencies = system.latencies();
/// let waits = &latencies.all.wait;
/// println!("{} messages, p99 {:?}", waits.count(), waits.quantile(0.99));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct LatencyHistogram {
    /// As many as were needed so far.
    buckets: Vec<u64>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl LatencyHistogram {
    /// Messages, as far as those that were measured speak for the others.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// All times together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.sum).unwrap_or(u64::MAX))
    }

    /// The mean; zero if there is none.
    pub fn mean(&self) -> Duration {
        let mean = self.sum / u128::from(self.count.max(1));
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The shortest time, exactly; zero if there is none.
    pub const fn min(&self) -> Duration {
        Duration::from_nanos(self.min)
    }

    /// The longest time, exactly; zero if there is none.
    pub const fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The time that this share of the messages did not exceed, at most 3 % too long; zero if there is none. A
    /// share below 0 or above 1 is taken for that.
    pub fn quantile(&self, share: f64) -> Duration {
        let wanted = (share.clamp(0.0, 1.0) * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted.max(1) {
                return Duration::from_nanos(end_of(index).min(self.max).max(self.min));
            }
        }
        self.max()
    }

    /// How many messages took at most that long, to the next step.
    pub fn count_within(&self, time: Duration) -> u64 {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.buckets.iter().take(index_of(nanos) + 1).sum()
    }

    /// How many are at or below each of these, which ascend.
    pub(in crate::telemetry) fn within_each(&self, bounds: &[u64]) -> Vec<u64> {
        let mut seen = 0;
        let mut at = 0;
        let each = bounds.iter().map(|bound| {
            let end = (index_of(*bound) + 1).min(self.buckets.len());
            while at < end {
                seen += self.buckets[at];
                at += 1;
            }
            seen
        });
        each.collect()
    }

    /// One measurement, which speaks for so many.
    pub(in crate::telemetry) fn add(&mut self, nanos: u64, weight: u64) {
        let index = index_of(nanos);
        if self.buckets.len() <= index {
            self.buckets.resize(index + 1, 0);
        }
        self.buckets[index] += weight;
        self.min = if self.count == 0 {
            nanos
        } else {
            self.min.min(nanos)
        };
        self.max = self.max.max(nanos);
        self.count += weight;
        self.sum += u128::from(nanos) * u128::from(weight);
    }

    /// Both together.
    pub(super) fn with(&self, other: &Self) -> Self {
        if other.count == 0 {
            return self.clone();
        }
        if self.count == 0 {
            return other.clone();
        }
        let longer = self.buckets.len().max(other.buckets.len());
        let at = |of: &Self, index: usize| of.buckets.get(index).copied().unwrap_or_default();
        Self {
            buckets: (0..longer)
                .map(|index| at(self, index) + at(other, index))
                .collect(),
            count: self.count + other.count,
            sum: self.sum + other.sum,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}

impl std::fmt::Debug for LatencyHistogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LatencyHistogram")
            .field("count", &self.count)
            .field("mean", &self.mean())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("p999", &self.quantile(0.999))
            .field("max", &self.max())
            .finish()
    }
}

/// The bucket of a time. The first 32 nanoseconds have one each; then each doubling has 32.
const fn index_of(nanos: u64) -> usize {
    let nanos = if nanos > MAX { MAX } else { nanos };
    if nanos < STEPS {
        return nanos as usize;
    }
    let doubling = nanos.ilog2() - STEP_BITS;
    // The bits behind the first one.
    let step = (nanos >> doubling) - STEPS;
    ((doubling as u64 + 1) * STEPS + step) as usize
}

/// The longest time in a bucket.
const fn end_of(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let doubling = index / STEPS - 1;
    let step = index % STEPS;
    ((STEPS + step + 1) << doubling) - 1
}

const _: () = assert!(BUCKETS <= 1280);

#[cfg(test)]
mod tests;

//! How long messages wait and how long handlers take, by actor type, from the measurements of
//! `cell::stamps`.
//!
//! Types are told apart by their names, of which there is a bounded number; those that come later share one
//! entry. Beside the times since the start there are those of the last half minute to a minute, for who wants to
//! see what is now.

mod depth;
mod histogram;

pub use depth::DepthHistogram;
pub use histogram::LatencyHistogram;

use std::collections::HashMap;
use std::time::Duration;

use crate::cell::stamps::Sample;
use crate::clock::Tick;

/// Actor types that are told apart.
const TYPES_MAX: usize = 200;
/// The recent times are of one to two of these.
const WINDOW: Duration = Duration::from_secs(30);

/// The name under which the types beyond the first 200 are counted together.
pub(in crate::telemetry) const OTHERS: &str = "(other types)";

/// How long messages waited and how long handlers took, as [`SystemRef::latencies`](crate::SystemRef::latencies)
/// read it.
///
/// Of many messages few are measured, and each speaks for many: the counts are estimates, about right for
/// types that get many messages. Not measured are timers, and what was not handled.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Latencies {
    /// All actors together.
    pub all: TypeLatency,
    /// By actor type, those with most messages first; at most 200, beyond which types share one entry,
    /// `(other types)`.
    pub types: Vec<TypeLatency>,
    /// Messages that were measured.
    pub measured: u64,
    /// Measurements that were lost, because more came at a time than could be taken in.
    pub lost: u64,
}

/// The times of one actor type.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TypeLatency {
    /// The type; empty for all together.
    pub actor_type: &'static str,
    /// From sending to the handler's begin, since the system started.
    pub wait: LatencyHistogram,
    /// In the handler, over all of its awaits, since the system started.
    pub handle: LatencyHistogram,
    /// As `wait`, of the last 30 to 60 seconds.
    pub recent_wait: LatencyHistogram,
    /// As `handle`, of the last 30 to 60 seconds.
    pub recent_handle: LatencyHistogram,
    /// Messages that waited behind one when its handler began, since the system started.
    pub depth: DepthHistogram,
}

/// What the collector keeps.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct Recorder {
    types: HashMap<&'static str, Times>,
    measured: u64,
    window: Option<Tick>,
}

#[derive(Debug, Default)]
struct Times {
    all: Pair,
    now: Pair,
    before: Pair,
    depth: DepthHistogram,
}

#[derive(Clone, Debug, Default)]
struct Pair {
    wait: LatencyHistogram,
    handle: LatencyHistogram,
}

impl Pair {
    fn add(&mut self, sample: &Sample) {
        let weight = u64::from(sample.weight);
        self.wait.add(sample.wait, weight);
        if let Some(handle) = sample.handle {
            self.handle.add(handle, weight);
        }
    }

    fn with(&self, other: &Self) -> Self {
        Self {
            wait: self.wait.with(&other.wait),
            handle: self.handle.with(&other.handle),
        }
    }
}

impl Recorder {
    pub(in crate::telemetry) fn add(&mut self, sample: &Sample) {
        self.measured += 1;
        let mut name = (sample.actor_type)();
        if self.types.len() >= TYPES_MAX && !self.types.contains_key(name) {
            name = OTHERS;
        }
        let times = self.types.entry(name).or_default();
        times.all.add(sample);
        times.now.add(sample);
        times
            .depth
            .add(u64::from(sample.depth), u64::from(sample.weight));
    }

    /// Forgets what is not recent any more.
    pub(in crate::telemetry) fn turn(&mut self, now: Tick) {
        let began = *self.window.get_or_insert(now);
        let passed = began.until(now);
        if passed < WINDOW {
            return;
        }
        self.window = Some(now);
        for times in self.types.values_mut() {
            times.before = std::mem::take(&mut times.now);
            // Nobody has looked for so long that all of it is old.
            if passed >= 2 * WINDOW {
                times.before = Pair::default();
            }
        }
    }

    pub(in crate::telemetry) fn read(&self, lost: u64) -> Latencies {
        let (mut all, mut recent) = (Pair::default(), Pair::default());
        let mut depth = DepthHistogram::default();
        let mut types = Vec::with_capacity(self.types.len());
        for (actor_type, times) in &self.types {
            let now = times.now.with(&times.before);
            all = all.with(&times.all);
            recent = recent.with(&now);
            depth = depth.with(&times.depth);
            types.push(TypeLatency {
                actor_type,
                wait: times.all.wait.clone(),
                handle: times.all.handle.clone(),
                recent_wait: now.wait,
                recent_handle: now.handle,
                depth: times.depth.clone(),
            });
        }
        types.sort_by(|a, b| (b.wait.count(), a.actor_type).cmp(&(a.wait.count(), b.actor_type)));
        Latencies {
            all: TypeLatency {
                actor_type: "",
                wait: all.wait,
                handle: all.handle,
                recent_wait: recent.wait,
                recent_handle: recent.handle,
                depth,
            },
            types,
            measured: self.measured,
            lost,
        }
    }
}

#[cfg(test)]
mod tests;

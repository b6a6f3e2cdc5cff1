//! The figures of a system as families of metrics: one description, which OTLP exports and Prometheus reads.
//!
//! ```text
//!   families (the core's table) ─┐
//!                                ├─► Reading ──► prometheus()   text for a scrape
//!   sources (add_metrics) ───────┘         └───► otlp            protobuf for a collector (feature `otlp`)
//! ```
//!
//! [`SystemRef::metrics`](crate::SystemRef::metrics) takes a [`Reading`]: of what the core counts, and of what
//! others have added ([`SystemRef::add_metrics`](crate::SystemRef::add_metrics)): the network layer its peers, a
//! program its own figures. Nothing is counted for it; it is read when somebody asks.
//!
//! Names are OpenTelemetry's: dotted, the unit aside, in UCUM. [`Family::prometheus_name`] makes Prometheus's of
//! them by OpenTelemetry's own rule. Labels are bounded: see [`Reading`].
//!
//! | file | idea |
//! |---|---|
//! | `families.rs` | the table: what the core has, and from where |
//! | `census.rs` | what only a walk over all actors tells |
//! | `sources.rs` | those that others have added, and the last walk |
//! | `prometheus.rs` | the text format |

mod census;
mod families;
mod prometheus;
mod sources;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

pub(crate) use families::{Look, STANDING_MAX, read};
pub use sources::Source;
pub(crate) use sources::Sources;

/// What kind of number a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// It only grows, from the start of the system. In Prometheus its name ends in `_total`.
    Counter,
    /// It goes up and down, and those of several processes add up: messages that wait, bytes.
    UpDownCounter,
    /// It goes up and down, and a sum of several says nothing: a ratio, an age.
    Gauge,
    /// How often which values were seen, from the start of the system.
    Histogram,
}

/// Figures of one name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Family {
    /// OpenTelemetry's name: `actor.messages.handled`.
    pub name: &'static str,
    /// In UCUM: `s`, `By`, `1` for a ratio, `{message}` for what is counted, nothing for what has none.
    pub unit: &'static str,
    /// What it tells, in a sentence.
    pub help: &'static str,
    /// What kind of number.
    pub kind: Kind,
    /// Each set of labels has a value of its own.
    pub series: Vec<Series>,
}

/// One value of a family.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// What tells it from the others of its family.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: Value,
}

/// A value, by the kind of its family.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A whole number.
    Count(u64),
    /// Any number.
    Number(f64),
    /// A distribution.
    Histogram(Histogram),
}

/// How often which values were seen.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Histogram {
    /// Upper bounds, which belong to their buckets, in ascending order.
    pub bounds: Vec<f64>,
    /// How many values are in each bucket; one more than there are bounds, for what is above the last.
    pub counts: Vec<u64>,
    /// All values together.
    pub sum: f64,
    /// The smallest, if there is one.
    pub min: Option<f64>,
    /// The largest, if there is one.
    pub max: Option<f64>,
}

impl Histogram {
    /// From how many values are at or below each bound, and how many there are. A count below the one before is taken
    /// for that one.
    pub fn cumulative(buckets: impl IntoIterator<Item = (f64, u64)>, count: u64, sum: f64) -> Self {
        let (mut bounds, mut counts, mut below) = (Vec::new(), Vec::new(), 0);
        for (bound, within) in buckets {
            bounds.push(bound);
            counts.push(within.saturating_sub(below));
            below = within.max(below);
        }
        counts.push(count.saturating_sub(below));
        Self {
            bounds,
            counts,
            sum,
            min: None,
            max: None,
        }
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Both together. They have the same bounds.
    fn with(mut self, other: &Self) -> Self {
        debug_assert_eq!(self.bounds, other.bounds);
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        let least =
            |one: Option<f64>, two: Option<f64>| one.into_iter().chain(two).reduce(f64::min);
        let most = |one: Option<f64>, two: Option<f64>| one.into_iter().chain(two).reduce(f64::max);
        self.sum += other.sum;
        self.min = least(self.min, other.min);
        self.max = most(self.max, other.max);
        self
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<u32> for Value {
    fn from(count: u32) -> Self {
        Self::Count(u64::from(count))
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

/// 1 or 0.
impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Count(u64::from(is))
    }
}

/// In seconds.
impl From<Duration> for Value {
    fn from(time: Duration) -> Self {
        Self::Number(time.as_secs_f64())
    }
}

impl From<Histogram> for Value {
    fn from(histogram: Histogram) -> Self {
        Self::Histogram(histogram)
    }
}

impl Value {
    fn is_of(&self, kind: Kind) -> bool {
        matches!(self, Self::Histogram(_)) == (kind == Kind::Histogram)
    }
}

impl Family {
    /// What Prometheus calls it, by OpenTelemetry's rule: dots become underscores, the unit and `_total` of counters are
    /// put behind. What Prometheus does not allow in a name becomes an underscore.
    pub fn prometheus_name(&self) -> String {
        prometheus::name(self.name, self.unit, self.kind)
    }
}

/// What a system tells of itself at one moment, family by family; from
/// [`SystemRef::metrics`](crate::SystemRef::metrics).
///
/// # Bounds
///
/// A family has at most 2000 series; what comes beyond is left out, and counted in the family `actor.metrics.left_out`.
/// The core's own have a series per worker, per NUMA node, per pair of those, per reason; of actor types those 100 with the
/// most actors or messages, and one, `other`, for all further ones; of single actors only the ten longest mailboxes.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
///
/// let system = ActorSystem::new()?;
/// let reading = system.metrics();
/// for family in reading.families() {
///     println!("{} [{}]: {} series", family.name, family.unit, family.series.len());
/// }
/// assert!(reading.prometheus().contains("# TYPE actor_messages_handled_total counter"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reading {
    families: Vec<Family>,
    at: HashMap<&'static str, usize>,
    since: SystemTime,
    taken: SystemTime,
    left_out: u64,
}

/// Series that one family may have.
const SERIES_MAX: usize = 2000;
/// What tells how many were left out.
const LEFT_OUT: &str = "actor.metrics.left_out";
/// Families that one reading may have, and that one.
const FAMILIES_MAX: usize = 1000;

impl Reading {
    pub(crate) fn new(since: SystemTime) -> Self {
        Self {
            families: Vec::new(),
            at: HashMap::new(),
            since,
            taken: SystemTime::now(),
            left_out: 0,
        }
    }

    /// The families, in the order in which they were first named. None is there twice.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// When counters began: the start of the system.
    pub const fn since(&self) -> SystemTime {
        self.since
    }

    /// When it was taken.
    pub const fn taken(&self) -> SystemTime {
        self.taken
    }

    /// Series that were left out, because a family had too many, because they were there already, or because another
    /// family of that name had another kind or unit.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// A family of numbers that only grow, to add series to. One that there is already goes on.
    pub fn counter(
        &mut self,
        name: &'static str,
        unit: &'static str,
        help: &'static str,
    ) -> Entry<'_> {
        self.family(name, unit, help, Kind::Counter)
    }

    /// A family of numbers that go up and down, and add up over processes.
    pub fn up_down_counter(
        &mut self,
        name: &'static str,
        unit: &'static str,
        help: &'static str,
    ) -> Entry<'_> {
        self.family(name, unit, help, Kind::UpDownCounter)
    }

    /// A family of numbers that go up and down, and do not add up.
    pub fn gauge(
        &mut self,
        name: &'static str,
        unit: &'static str,
        help: &'static str,
    ) -> Entry<'_> {
        self.family(name, unit, help, Kind::Gauge)
    }

    /// A family of distributions.
    pub fn histogram(
        &mut self,
        name: &'static str,
        unit: &'static str,
        help: &'static str,
    ) -> Entry<'_> {
        self.family(name, unit, help, Kind::Histogram)
    }

    fn family(
        &mut self,
        name: &'static str,
        unit: &'static str,
        help: &'static str,
        kind: Kind,
    ) -> Entry<'_> {
        let known = self.at.get(name).copied();
        let index = known.unwrap_or(self.families.len());
        if known.is_none() && index < FAMILIES_MAX {
            self.at.insert(name, index);
            self.families.push(Family {
                name,
                unit,
                help,
                kind,
                series: Vec::new(),
            });
        }
        let family = self.families.get_mut(index);
        Entry {
            family: family.filter(|it| it.kind == kind && it.unit == unit),
            left_out: &mut self.left_out,
        }
    }

    /// No series twice, no two families of one name for Prometheus, and what was left out is told.
    pub(crate) fn finish(mut self) -> Self {
        let mut names = HashSet::new();
        for family in &mut self.families {
            // Two names that Prometheus does not tell apart: it would refuse both.
            let is_new = names.insert(family.prometheus_name());
            if !is_new || family.name == LEFT_OUT {
                self.left_out += family.series.len() as u64;
                family.series.clear();
            }
            let mut seen = HashSet::new();
            let before = family.series.len();
            family.series.retain(|it| seen.insert(it.labels.clone()));
            self.left_out += (before - family.series.len()) as u64;
        }
        self.families.retain(|family| !family.series.is_empty());
        // Beyond the bound: of all, this one must not be missing.
        self.families.push(Family {
            name: LEFT_OUT,
            unit: "{series}",
            help: "Series that this reading leaves out: beyond 2000 of a family, or there already.",
            kind: Kind::Gauge,
            series: vec![Series {
                labels: Vec::new(),
                value: Value::Count(self.left_out),
            }],
        });
        self
    }

    /// The text that Prometheus reads (format 0.0.4).
    pub fn prometheus(&self) -> String {
        prometheus::text(&self.families)
    }
}

/// A family that series are added to; from [`Reading::counter`] and its sisters.
#[derive(Debug)]
pub struct Entry<'a> {
    /// None: the name is another family's, or there are too many.
    family: Option<&'a mut Family>,
    left_out: &'a mut u64,
}

impl Entry<'_> {
    /// One more series. Labels are short, and few sets of them: what grows with the load (ids, keys, texts of users) does
    /// not belong there. A histogram fits histograms only, and a number everything else.
    pub fn add(&mut self, labels: &[(&'static str, &str)], value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        match &mut self.family {
            Some(family) if family.series.len() < SERIES_MAX && value.is_of(family.kind) => {
                let labels = labels.iter();
                family.series.push(Series {
                    labels: labels.map(|(key, of)| (*key, (*of).to_owned())).collect(),
                    value,
                });
            }
            _ => *self.left_out += 1,
        }
        self
    }
}

#[cfg(test)]
mod tests;

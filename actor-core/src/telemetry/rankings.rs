//! Which actors stand out: those with most messages, those that were started again most often, and those that would have
//! waited for each other.
//!
//! No actor counts its messages: there is no room for it on the two lines of a cell, and every message would pay. Their
//! rates are estimated from the measured ones (`cell::stamps`), each of which speaks for so many: exact where there is
//! little traffic and all are measured, and good for those that have much of it where there is a lot.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use crate::cell::heaviest::Heaviest;
use crate::cell::stamps::Sample;
use crate::cell::{CellRef, Runtime};
use crate::clock::Tick;
use crate::id::ActorId;

/// Rates are of one to two of these.
const WINDOW: Duration = Duration::from_secs(5);
/// Before so much has been seen nothing is told.
const LEAST: Duration = Duration::from_millis(500);

/// How many messages an actor gets; see [`SystemRef::busiest`](crate::SystemRef::busiest).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ActorRate {
    /// The actor.
    pub actor: ActorId,
    /// Its Rust type.
    pub actor_type: &'static str,
    /// Messages per second over the last 5 to 10 seconds, estimated.
    pub per_second: f64,
}

/// How often an actor was started again; see [`SystemRef::most_restarted`](crate::SystemRef::most_restarted).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActorRestarts {
    /// The actor.
    pub actor: ActorId,
    /// Its Rust type.
    pub actor_type: &'static str,
    /// Restarts.
    pub restarts: u64,
}

/// An ask that ended with [`AskError::Deadlock`](crate::AskError::Deadlock): actors that would have waited for each other.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AskCircle {
    /// When it was noticed.
    pub at: SystemTime,
    /// The actors, each asks the next, and the last one the first. Of a circle that goes over several peers, as they are
    /// known here.
    pub actors: Vec<ActorId>,
    /// The type of the message of the ask that was refused.
    pub message: &'static str,
}

impl fmt::Display for AskCircle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for actor in &self.actors {
            write!(f, "{actor} -> ")?;
        }
        match self.actors.first() {
            Some(first) => write!(f, "{first}, by {}", self.message),
            None => f.write_str(self.message),
        }
    }
}

/// What the collector has heard of late.
#[derive(Debug, Default)]
pub(in crate::telemetry) struct Rates {
    began: Option<Tick>,
    now: Heaviest,
    before: Option<(Heaviest, Duration)>,
}

impl Rates {
    pub(in crate::telemetry) fn add(&mut self, sample: &Sample) {
        self.now.add(sample.actor, u64::from(sample.weight));
    }

    /// Forgets what is not recent any more.
    pub(in crate::telemetry) fn turn(&mut self, now: Tick) {
        let began = *self.began.get_or_insert(now);
        let passed = began.until(now);
        if passed >= WINDOW {
            self.began = Some(now);
            self.before = Some((std::mem::take(&mut self.now), passed));
        }
    }

    /// Messages per second, by actor, in no order.
    pub(in crate::telemetry) fn read(&self, now: Tick) -> HashMap<ActorId, f64> {
        let passed = self.began.map_or(Duration::ZERO, |began| began.until(now));
        let (before, earlier) = match &self.before {
            Some((before, earlier)) => (Some(before), *earlier),
            None => (None, Duration::ZERO),
        };
        let seconds = (passed + earlier).as_secs_f64();
        if seconds < LEAST.as_secs_f64() {
            return HashMap::new();
        }
        let mut rates = HashMap::new();
        for (actor, count) in before
            .into_iter()
            .chain([&self.now])
            .flat_map(Heaviest::iter)
        {
            *rates.entry(actor).or_insert(0.0) += count as f64 / seconds;
        }
        rates
    }
}

/// The living ones, the busiest first.
pub(crate) fn busiest(rates: HashMap<ActorId, f64>, limit: usize) -> Vec<ActorRate> {
    let rate = |(actor, per_second): (ActorId, f64)| {
        Some(ActorRate {
            actor,
            actor_type: CellRef::of(actor).type_name_of(actor.generation())?,
            per_second,
        })
    };
    let mut all: Vec<ActorRate> = rates.into_iter().filter_map(rate).collect();
    all.sort_by(|a, b| {
        let by_rate = b.per_second.total_cmp(&a.per_second);
        by_rate.then(a.actor.cmp(&b.actor))
    });
    all.truncate(limit);
    all
}

/// The living ones, those with most first.
pub(crate) fn most_restarted(runtime: &Runtime, limit: usize) -> Vec<ActorRestarts> {
    let count = |(actor, restarts): (ActorId, u64)| {
        Some(ActorRestarts {
            actor,
            actor_type: CellRef::of(actor).type_name_of(actor.generation())?,
            restarts,
        })
    };
    let mut all: Vec<ActorRestarts> = runtime.restarted().iter().filter_map(count).collect();
    all.sort_by_key(|it| (Reverse(it.restarts), it.actor));
    all.truncate(limit);
    all
}

pub(crate) fn circles(runtime: &Runtime, limit: usize) -> super::Mishaps<AskCircle> {
    let circles = runtime.circles();
    let as_value = |circle: crate::cell::recent::Circle| AskCircle {
        at: runtime.spans().time_of_day(circle.at),
        actors: circle.actors.to_vec(),
        message: circle.message,
    };
    super::Mishaps {
        latest: circles.list(limit).into_iter().map(as_value).collect(),
        left_out: circles.left_out(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(actor: ActorId, weight: u32) -> Sample {
        Sample {
            actor,
            actor_type: || "an actor",
            wait: 1,
            handle: Some(1),
            depth: 0,
            weight,
        }
    }

    #[test]
    fn rates_are_of_the_last_seconds_and_weighted() {
        let at = |ms: u64| Tick(ms * 1_000_000 + 1);
        let (one, two) = (ActorId::new(0, 1, 1), ActorId::new(0, 2, 1));
        let mut rates = Rates::default();
        rates.turn(at(0));
        rates.add(&sample(one, 64));
        assert!(rates.read(at(100)).is_empty(), "too soon to say");
        for _ in 0..9 {
            rates.add(&sample(one, 64));
        }
        rates.add(&sample(two, 1));
        let told = rates.read(at(2000));
        assert!(
            (told[&one] - 320.0).abs() < 0.1 && (told[&two] - 0.5).abs() < 0.1,
            "{told:?}"
        );
        // The window goes by: one of them goes on.
        rates.turn(at(5000));
        rates.add(&sample(one, 640));
        let told = rates.read(at(10_000));
        assert!(
            (told[&one] - 128.0).abs() < 0.1 && (told[&two] - 0.1).abs() < 0.1,
            "{told:?}"
        );
        rates.turn(at(10_000));
        let told = rates.read(at(12_500));
        assert!(!told.contains_key(&two), "{told:?}");
    }
}

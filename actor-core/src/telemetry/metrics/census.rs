//! What only a walk over all actors tells: how many there are of each type, how much waits, who has most.
//!
//! Bounded whatever the number of actors and types: 100 types have counts of their own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::telemetry::{Activity, ActorGlance};

/// Types of actors that have counts and series of their own.
pub(super) const TYPES_MAX: usize = 100;
/// All further ones together.
pub(super) const OTHER: &str = "other";
/// The longest mailboxes that are told.
const LONGEST: usize = 10;
/// Types that are told apart in a walk.
const WALKED_MAX: usize = 4096;

#[derive(Debug)]
pub(crate) struct Census {
    pub(crate) at: Instant,
    pub(crate) took: Duration,
    pub(crate) actors: u64,
    /// Handlers that wait for the answer to an ask.
    pub(crate) asking: u64,
    /// Those with the most actors, and all others together.
    pub(crate) types: Vec<ByType>,
    /// The longest first.
    pub(crate) longest: Vec<ActorGlance>,
}

/// The actors of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ByType {
    /// The type, or [`OTHER`].
    pub(crate) actor_type: &'static str,
    /// Those that live.
    pub(crate) alive: u64,
    /// Those that have something to do.
    pub(crate) busy: u64,
    /// Messages in their mailboxes.
    pub(crate) queued: u64,
}

impl ByType {
    const fn new(actor_type: &'static str) -> Self {
        Self {
            actor_type,
            alive: 0,
            busy: 0,
            queued: 0,
        }
    }
}

pub(super) fn take(walk: impl FnOnce(&mut dyn FnMut(ActorGlance))) -> Census {
    let at = Instant::now();
    let mut types: Vec<ByType> = Vec::new();
    let mut index: HashMap<&'static str, usize> = HashMap::new();
    // Neighbours are often of one type.
    let mut last: Option<(&'static str, usize)> = None;
    let mut longest: Vec<ActorGlance> = Vec::with_capacity(LONGEST + 1);
    let (mut actors, mut asking) = (0, 0);
    walk(&mut |seen| {
        actors += 1;
        asking += u64::from(seen.waits_for.is_some());
        let known = last.filter(|(name, _)| std::ptr::eq(*name, seen.actor_type));
        let at = known.map_or_else(
            || {
                let name = match index.len() < WALKED_MAX {
                    true => seen.actor_type,
                    false if index.contains_key(seen.actor_type) => seen.actor_type,
                    false => OTHER,
                };
                *index.entry(name).or_insert_with(|| {
                    types.push(ByType::new(name));
                    types.len() - 1
                })
            },
            |(_, at)| at,
        );
        last = Some((seen.actor_type, at));
        let count = &mut types[at];
        count.alive += 1;
        count.busy += u64::from(seen.activity != Activity::Idle);
        count.queued += u64::from(seen.queued);
        let least = longest.last().map_or(0, |it| it.queued);
        if seen.queued > 0 && (longest.len() < LONGEST || seen.queued > least) {
            let place = longest.partition_point(|it| it.queued >= seen.queued);
            longest.insert(place, seen);
            longest.truncate(LONGEST);
        }
    });
    Census {
        at,
        took: at.elapsed(),
        actors,
        asking,
        types: most(types),
        longest,
    }
}

/// Those with the most actors, and one for all others.
fn most(mut types: Vec<ByType>) -> Vec<ByType> {
    types.sort_by_key(|it| {
        (
            it.actor_type == OTHER,
            std::cmp::Reverse(it.alive),
            it.actor_type,
        )
    });
    let named = types.iter().filter(|it| it.actor_type != OTHER).count();
    let rest = types.split_off(named.min(TYPES_MAX));
    if !rest.is_empty() {
        let mut other = ByType::new(OTHER);
        for of in rest {
            other.alive += of.alive;
            other.busy += of.busy;
            other.queued += of.queued;
        }
        types.push(other);
    }
    types
}

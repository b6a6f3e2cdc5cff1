//! Walks over all actors: at most one at a time, on a thread for blocking work, and the same answer for all who ask the same
//! within a second.
//!
//! A walk of a million actors takes some hundredths of a second of one CPU and a reader of a page asks every second, so
//! what it costs is bounded by doing one after the other. What a walk keeps is bounded too, whatever the number of actors.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use actor_core::{Activity, ActorGlance, ActorId, SystemRef};
use tokio::sync::Semaphore;

use super::answer::Wrong;

/// How long an answer serves.
pub(super) const FRESH: Duration = Duration::from_secs(1);
/// Types that are told apart; actors of further ones are counted as [`OTHER`].
const TYPES_MAX: usize = 4096;
pub(super) const OTHER: &str = "other";
/// Handlers that ask, which are kept.
const WAITING_MAX: usize = 1000;
/// Actors that can be paged to.
pub(super) const PAGED_MAX: usize = 10_000;
/// Actors whose names are asked for when a text is looked for.
pub(super) const NAMES_MAX: usize = 1000;
/// Questions whose answers are kept.
const KEPT: usize = 8;
/// How long a question waits for its walk.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Walks {
    system: SystemRef,
    one: Arc<Semaphore>,
    summary: Mutex<Option<Arc<Summary>>>,
    picked: Mutex<VecDeque<(Wanted, Arc<Picked>)>>,
}

/// What a walk over everybody tells.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) at: Instant,
    pub(super) took: Duration,
    pub(super) by_numa: BTreeMap<u8, u64>,
    pub(super) types: Vec<TypeCount>,
    /// Handlers that wait in an ask, at most [`WAITING_MAX`].
    pub(super) waiting: Vec<ActorGlance>,
    /// How many there are.
    pub(super) waiting_total: u64,
}

impl Summary {
    /// Those of the kept that wait for each other, in the order of asking.
    pub(super) fn circles(&self) -> Vec<Vec<ActorId>> {
        let pair = |seen: &ActorGlance| Some((seen.actor, seen.waits_for?));
        let pairs: Vec<_> = self.waiting.iter().filter_map(pair).collect();
        circles(&pairs)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TypeCount {
    pub(super) actor_type: &'static str,
    pub(super) alive: u64,
    pub(super) busy: u64,
    pub(super) queued: u64,
}

/// Which actors, and how sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Only children of this one; `Some(None)`: those at the top.
    pub(super) parent: Option<Option<ActorId>>,
    /// In lower case.
    pub(super) text: Option<String>,
    pub(super) actor_type: Option<String>,
    pub(super) sort: Sort,
    pub(super) skip: usize,
    pub(super) take: usize,
    /// Actors that are found whatever their type says: by a registered name.
    pub(super) named: Vec<ActorId>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sort {
    #[default]
    Id,
    Queued,
    Quiet,
    Type,
    Rate,
    Restarts,
}

/// Actors of a page.
#[derive(Debug)]
pub(super) struct Picked {
    at: Instant,
    pub(super) took: Duration,
    pub(super) examined: u64,
    /// Those that match.
    pub(super) total: u64,
    /// Of the page.
    pub(super) items: Vec<ActorGlance>,
    /// Those that do not match by what shows, and might by their names.
    pub(super) unnamed: Vec<ActorGlance>,
    pub(super) unnamed_total: u64,
}

impl Walks {
    pub(super) fn new(system: SystemRef) -> Self {
        Self {
            system,
            one: Arc::new(Semaphore::new(1)),
            summary: Mutex::default(),
            picked: Mutex::default(),
        }
    }

    /// The last one, however old.
    pub(super) fn last(&self) -> Option<Arc<Summary>> {
        lock(&self.summary).clone()
    }

    /// One that is not older.
    pub(super) async fn summary(&self, age: Duration) -> Result<Arc<Summary>, Wrong> {
        let young = || self.last().filter(|it| it.at.elapsed() < age);
        if let Some(summary) = young() {
            return Ok(summary);
        }
        let walked = self.walk(young, summarize).await?;
        *lock(&self.summary) = Some(walked.clone());
        Ok(walked)
    }

    pub(super) async fn pick(&self, wanted: Wanted) -> Result<Arc<Picked>, Wrong> {
        let kept = || {
            let mut kept = lock(&self.picked);
            kept.retain(|(_, picked)| picked.at.elapsed() < FRESH);
            let same = kept.iter().find(|(of, _)| *of == wanted);
            same.map(|(_, picked)| picked.clone())
        };
        if let Some(picked) = kept() {
            return Ok(picked);
        }
        let question = wanted.clone();
        let picked = self
            .walk(kept, move |system| pick(system, &question))
            .await?;
        let mut kept = lock(&self.picked);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((wanted, picked.clone()));
        Ok(picked)
    }

    /// Walks when nobody else does, unless what they have found will do.
    async fn walk<T: Send + Sync + 'static>(
        &self,
        kept: impl Fn() -> Option<Arc<T>>,
        walk: impl FnOnce(SystemRef) -> T + Send + 'static,
    ) -> Result<Arc<T>, Wrong> {
        let turn = tokio::time::timeout(PATIENCE, self.one.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Wrong::new(
                hyper::StatusCode::TOO_MANY_REQUESTS,
                "too many questions that need a walk over all actors",
                "ask less often",
            ));
        };
        if let Some(kept) = kept() {
            return Ok(kept);
        }
        let system = self.system;
        // The place is taken until the walk is done, also when nobody waits for it any more.
        let walking = tokio::task::spawn_blocking(move || {
            let found = walk(system);
            drop(turn);
            found
        });
        match walking.await {
            Ok(found) => Ok(Arc::new(found)),
            Err(error) => Err(Wrong::unavailable(
                format!("the walk over all actors did not end: {error}"),
                "the system may be shutting down",
            )),
        }
    }
}

fn summarize(system: SystemRef) -> Summary {
    let at = Instant::now();
    let mut by_numa: BTreeMap<u8, u64> = BTreeMap::new();
    let mut types = Types::default();
    let mut waiting = Vec::new();
    let mut waiting_total = 0;
    system.for_each_actor(|seen| {
        *by_numa.entry(seen.numa_node.0).or_default() += 1;
        types.count(&seen);
        if seen.waits_for.is_some() {
            waiting_total += 1;
            if waiting.len() < WAITING_MAX {
                waiting.push(seen);
            }
        }
    });
    Summary {
        at,
        took: at.elapsed(),
        by_numa,
        types: types.sorted(),
        waiting,
        waiting_total,
    }
}

/// Counts by type. Neighbours are often of one type, so the last one is tried first.
#[derive(Default)]
struct Types {
    all: Vec<TypeCount>,
    at: HashMap<&'static str, usize>,
    last: usize,
}

impl Types {
    fn count(&mut self, seen: &ActorGlance) {
        let at = self.find(seen.actor_type);
        let count = &mut self.all[at];
        count.alive += 1;
        count.busy += u64::from(seen.activity != Activity::Idle);
        count.queued += u64::from(seen.queued);
        self.last = at;
    }

    fn find(&mut self, name: &'static str) -> usize {
        if let Some(last) = self.all.get(self.last)
            && std::ptr::eq(last.actor_type, name)
        {
            return self.last;
        }
        let known = self.at.get(name).copied();
        known.unwrap_or_else(|| {
            let name = if self.all.len() < TYPES_MAX {
                name
            } else {
                OTHER
            };
            *self.at.entry(name).or_insert_with(|| {
                self.all.push(TypeCount {
                    actor_type: name,
                    alive: 0,
                    busy: 0,
                    queued: 0,
                });
                self.all.len() - 1
            })
        })
    }

    /// Most actors first.
    fn sorted(mut self) -> Vec<TypeCount> {
        self.all
            .sort_by_key(|it| (Reverse(it.alive), it.actor_type));
        self.all
    }
}

fn pick(system: SystemRef, wanted: &Wanted) -> Picked {
    let at = Instant::now();
    let end = wanted.skip + wanted.take;
    let mut best = BinaryHeap::new();
    let mut items = Vec::new();
    let mut picked = Picked {
        at,
        took: Duration::ZERO,
        examined: 0,
        total: 0,
        items: Vec::new(),
        unnamed: Vec::new(),
        unnamed_total: 0,
    };
    let mut text = wanted.text.as_deref().map(Looked::new);
    // Of those that stand out only, which are few; of all others it is 0.
    let outstanding: HashMap<ActorId, u64> = match wanted.sort {
        Sort::Rate => {
            let busiest = system.busiest(usize::MAX).into_iter();
            // Ordered by thousandths.
            busiest
                .map(|it| (it.actor, (it.per_second * 1000.0) as u64))
                .collect()
        }
        Sort::Restarts => {
            let most = system.most_restarted(usize::MAX).into_iter();
            most.map(|it| (it.actor, it.restarts)).collect()
        }
        _ => HashMap::new(),
    };
    system.for_each_actor(|seen| {
        picked.examined += 1;
        let parent = wanted.parent.is_none_or(|parent| parent == seen.parent);
        let of_type = wanted.actor_type.as_deref();
        if !parent || of_type.is_some_and(|wanted| wanted != seen.actor_type) {
            return;
        }
        if let Some(text) = &mut text
            && !text.is_in(&seen)
            && !wanted.named.contains(&seen.actor)
        {
            picked.unnamed_total += 1;
            if picked.unnamed.len() < NAMES_MAX {
                picked.unnamed.push(seen);
            }
            return;
        }
        picked.total += 1;
        let rank = match wanted.sort {
            // As they come.
            Sort::Id => {
                if items.len() < end {
                    items.push(seen);
                }
                return;
            }
            Sort::Queued => Rank::Number(u64::from(seen.queued)),
            Sort::Quiet => Rank::Time(seen.quiet_for.unwrap_or_default()),
            Sort::Type => Rank::Text(Reverse(seen.actor_type)),
            Sort::Rate | Sort::Restarts => {
                Rank::Number(outstanding.get(&seen.actor).copied().unwrap_or(0))
            }
        };
        keep(&mut best, Ranked(rank, seen), end);
    });
    items.extend(in_order(best));
    picked.items = items
        .into_iter()
        .skip(wanted.skip)
        .take(wanted.take)
        .collect();
    picked.took = at.elapsed();
    picked
}

/// A text that is looked for in types and ids. Types are few: what was found of the last one is kept.
struct Looked<'a> {
    text: &'a str,
    id: Option<ActorId>,
    last: Option<(&'static str, bool)>,
}

impl<'a> Looked<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            id: text.parse().ok(),
            last: None,
        }
    }

    fn is_in(&mut self, seen: &ActorGlance) -> bool {
        if let Some(id) = self.id {
            return id == seen.actor;
        }
        match self.last {
            Some((name, found)) if std::ptr::eq(name, seen.actor_type) => found,
            _ => {
                let found = seen.actor_type.to_lowercase().contains(self.text);
                self.last = Some((seen.actor_type, found));
                found
            }
        }
    }
}

/// What actors are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number(u64),
    Time(Duration),
    Text(Reverse<&'static str>),
}

/// An actor by its rank; the greatest is wanted, and of equal ones the oldest.
#[derive(Clone, Copy, Debug)]
struct Ranked<R>(R, ActorGlance);

impl<R: Ord> Ranked<R> {
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        let by_rank = self.0.cmp(&other.0);
        by_rank.then_with(|| other.1.actor.cmp(&self.1.actor))
    }
}

impl<R: Ord> PartialEq for Ranked<R> {
    fn eq(&self, other: &Self) -> bool {
        self.order(other).is_eq()
    }
}

impl<R: Ord> Eq for Ranked<R> {}

impl<R: Ord> PartialOrd for Ranked<R> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Ord> Ord for Ranked<R> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order(other)
    }
}

/// Keeps the `max` greatest.
fn keep<R: Ord>(heap: &mut BinaryHeap<Reverse<Ranked<R>>>, ranked: Ranked<R>, max: usize) {
    if heap.len() < max {
        heap.push(Reverse(ranked));
    } else if let Some(mut least) = heap.peek_mut()
        && least.0 < ranked
    {
        *least = Reverse(ranked);
    }
}

/// The greatest first.
fn in_order<R: Ord>(heap: BinaryHeap<Reverse<Ranked<R>>>) -> Vec<ActorGlance> {
    // Sorted by `Reverse`, so the greatest comes first.
    let sorted = heap.into_sorted_vec();
    sorted.into_iter().map(|Reverse(ranked)| ranked.1).collect()
}

/// Circles of those that wait for each other: each waits for one at most.
fn circles(pairs: &[(ActorId, ActorId)]) -> Vec<Vec<ActorId>> {
    let next: HashMap<ActorId, ActorId> = pairs.iter().copied().collect();
    // The round in which each was looked at.
    let mut round_of: HashMap<ActorId, usize> = HashMap::new();
    let mut circles = Vec::new();
    for (round, (first, _)) in pairs.iter().enumerate() {
        let mut at = *first;
        loop {
            match round_of.get(&at) {
                Some(earlier) if *earlier == round => {
                    circles.push(circle_from(at, &next));
                    break;
                }
                Some(_) => break,
                None => {}
            }
            round_of.insert(at, round);
            match next.get(&at) {
                Some(to) => at = *to,
                None => break,
            }
        }
    }
    circles
}

fn circle_from(first: ActorId, next: &HashMap<ActorId, ActorId>) -> Vec<ActorId> {
    let mut circle = vec![first];
    let mut at = first;
    while let Some(to) = next.get(&at)
        && *to != first
    {
        circle.push(*to);
        at = *to;
    }
    circle
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks leaves anything half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

//! Figures that others add to the system's own, and the last walk over all actors, which serves for ten seconds.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use super::Reading;
use super::census::{self, Census};
use crate::contain::{contain, log};
use crate::telemetry::ActorGlance;

/// A walk that is older is made anew.
const WALK_AGE: Duration = Duration::from_secs(10);

type Read = dyn Fn(&mut Reading) + Send + Sync;

/// What a system's readings are made of, beside its books.
pub(crate) struct Sources {
    since: SystemTime,
    began: Instant,
    added: Mutex<Added>,
    /// Held over a walk, so that there is one at a time.
    walk: Mutex<Option<Arc<Census>>>,
}

#[derive(Default)]
struct Added {
    next: u64,
    all: Vec<(u64, Arc<Read>)>,
}

impl Sources {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            since: SystemTime::now(),
            began: Instant::now(),
            added: Mutex::default(),
            walk: Mutex::default(),
        })
    }

    pub(crate) const fn since(&self) -> SystemTime {
        self.since
    }

    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn add(self: &Arc<Self>, read: Arc<Read>) -> Source {
        let mut added = lock(&self.added);
        added.next += 1;
        let number = added.next;
        added.all.push((number, read));
        Source {
            of: Arc::downgrade(self),
            number,
        }
    }

    /// What others have added. One that panics tells nothing more this time.
    pub(crate) fn read(&self, reading: &mut Reading) {
        let all: Vec<_> = lock(&self.added)
            .all
            .iter()
            .map(|(_, read)| read.clone())
            .collect();
        for read in all {
            if !contain(|| read(reading)) {
                log!(
                    warn,
                    "a source of metrics has panicked; its figures are incomplete"
                );
            }
        }
    }

    /// What a walk tells that is at most ten seconds old.
    pub(crate) fn census(&self, walk: impl FnOnce(&mut dyn FnMut(ActorGlance))) -> Arc<Census> {
        let mut last = lock(&self.walk);
        if let Some(census) = &*last
            && census.at.elapsed() < WALK_AGE
        {
            return census.clone();
        }
        let census = Arc::new(census::take(walk));
        *last = Some(census.clone());
        census
    }

    fn remove(&self, number: u64) {
        let mut added = lock(&self.added);
        let at = added.all.iter().position(|(it, _)| *it == number);
        let removed = at.map(|at| added.all.remove(at));
        drop(added);
        // The user's drop, outside of the lock.
        contain(|| drop(removed));
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("added", &lock(&self.added).all.len())
            .finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks leaves anything half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Figures that were added to a system's readings; see
/// [`SystemRef::add_metrics`](crate::SystemRef::add_metrics). They are taken out when this is dropped.
#[must_use = "dropped at once, nothing is added: keep it, or let the figures stay with `forever`"]
pub struct Source {
    of: Weak<Sources>,
    number: u64,
}

impl Source {
    /// Leaves the figures in for as long as the system is there.
    pub fn forever(mut self) {
        self.of = Weak::new();
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(sources) = self.of.upgrade() {
            sources.remove(self.number);
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.number).finish()
    }
}

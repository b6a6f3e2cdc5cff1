//! From the scheduler's "worker 3 has been in one turn for 100 ms" to "actor A handles message M".
//!
//! What the worker does is read at the moment the stall is noticed, checked against the number of its
//! turn, and kept: at the end of the stall the worker is long past it. Runs on the watchdog's thread;
//! what is done with it (logs, users' functions) is the floor above's, which must not hold it up.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::running::Look;
use super::runtime::Runtime;
use crate::id::{ActorId, NumaNodeId, WorkerId};
use crate::scheduler::Stall;

/// A stall with all that is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Stalled {
    pub(crate) look: Look,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) worker: WorkerId,
    pub(crate) numa_node: NumaNodeId,
    pub(crate) since: Instant,
    pub(crate) lasted: Duration,
    pub(crate) running: bool,
    /// The number of the turn.
    pub(crate) turns: u64,
}

/// What was seen of a stall when it began.
type Noticed = (WorkerId, Look, Option<Arc<str>>);

type Sink = Box<dyn Fn(Stalled) + Send + Sync>;

/// The stalls that go on, and who wants to hear of them.
#[derive(Default)]
pub(crate) struct Stalls {
    noticed: Mutex<Vec<Noticed>>,
    sink: OnceLock<Sink>,
}

impl Stalls {
    /// Once, before the workers start.
    pub(crate) fn set_sink(&self, sink: impl Fn(Stalled) + Send + Sync + 'static) {
        let first = self.sink.set(Box::new(sink)).is_ok();
        assert!(first, "stalls are told to one sink");
    }

    pub(super) fn note(&self, runtime: &Runtime, stall: &Stall) {
        let Some(sink) = self.sink.get() else { return };
        let found = if stall.running {
            runtime.look_at(stall).map(|look| {
                let name = runtime.labels().of(look.actor);
                let noticed = (stall.worker, look.clone(), name.clone());
                lock(&self.noticed).push(noticed);
                (look, name)
            })
        } else {
            let mut noticed = lock(&self.noticed);
            let at = noticed
                .iter()
                .position(|(worker, ..)| *worker == stall.worker);
            at.map(|at| noticed.swap_remove(at))
                .map(|(_, look, name)| (look, name))
        };
        // Gone in the very moment it was noticed: counted, not told.
        let Some((look, name)) = found else { return };
        sink(Stalled {
            look,
            name,
            worker: stall.worker,
            numa_node: NumaNodeId(runtime.arena(stall.numa_index)),
            since: stall.since,
            lasted: stall.lasted,
            running: stall.running,
            turns: stall.turns,
        });
    }
}

impl fmt::Debug for Stalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stalls").finish_non_exhaustive()
    }
}

/// The names of actors that have one, where others than their owners can read them.
///
/// A lock at the spawn and at the end of an actor with a name, nothing for one without.
#[derive(Debug, Default)]
pub(crate) struct Labels([Mutex<HashMap<ActorId, Arc<str>>>; SHARDS]);

impl Labels {
    pub(super) fn insert(&self, actor: ActorId, name: Arc<str>) {
        lock(self.shard(actor)).insert(actor, name);
    }

    pub(super) fn remove(&self, actor: ActorId) {
        let removed = lock(self.shard(actor)).remove(&actor);
        drop(removed); // Not under the lock.
    }

    pub(crate) fn of(&self, actor: ActorId) -> Option<Arc<str>> {
        lock(self.shard(actor)).get(&actor).cloned()
    }

    fn shard(&self, actor: ActorId) -> &Mutex<HashMap<ActorId, Arc<str>>> {
        &self.0[actor.index() as usize % SHARDS]
    }
}

const SHARDS: usize = 16;

/// Nothing panics under these locks but an allocation that fails.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

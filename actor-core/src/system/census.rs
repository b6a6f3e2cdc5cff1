//! All actors at a glance.

use super::SystemRef;
use crate::cell::CellRef;
use crate::id::ActorId;
use crate::memory;
use crate::telemetry::{ActorGlance, census};

impl SystemRef {
    /// Shows `visit` each live actor of the system as it is from outside, NUMA node by NUMA node, about in the order in
    /// which their places were first used.
    ///
    /// A walk by the calling thread past the workers, which are not held up: 10^6 actors take it some hundredths of a
    /// second. So not on a worker or a reactor, but where blocking work goes. What is shown of one actor
    /// need not be of one moment, and one that is spawned or ends meanwhile may be missing.
    ///
    /// # Examples
    ///
    /// The longest mailbox:
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// struct Idle;
    /// impl Actor for Idle {}
    ///
    /// let system = ActorSystem::new()?;
    /// let idle = system.spawn(Idle)?;
    /// let mut longest = None;
    /// system.for_each_actor(|seen| longest = longest.max(Some((seen.queued, seen.actor))));
    /// assert_eq!(longest, Some((0, idle.id())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_each_actor(&self, visit: impl FnMut(ActorGlance)) {
        census::for_each(self.runtime, &self.plan.leaks, visit);
    }

    /// As [`for_each_actor`](Self::for_each_actor) shows it, one actor; `None` when it has ended.
    pub fn glance(&self, actor: ActorId) -> Option<ActorGlance> {
        census::one(self.runtime, &self.plan.leaks, actor)
    }

    /// The living actor of this system whose [`ActorId`] prints so, with `actor:` in front or without: for ids that
    /// people type. Any text may be asked for.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// struct Idle;
    /// impl Actor for Idle {}
    ///
    /// let system = ActorSystem::new()?;
    /// let idle = system.spawn(Idle)?.id();
    /// assert_eq!(system.find_actor(&idle.to_string()), Some(idle));
    /// assert_eq!(system.find_actor("actor:0.999999.1"), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find_actor(&self, id: &str) -> Option<ActorId> {
        let id: ActorId = id.parse().ok()?;
        if !memory::has_cell(id.numa_node().0, id.index()) {
            return None;
        }
        let cell = CellRef::of(id);
        let lives = cell.living_in(self.runtime) == Some(id) && cell != self.runtime.root();
        lives.then_some(id)
    }
}

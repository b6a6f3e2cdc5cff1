//! All actors at a glance.

use super::SystemRef;
use crate::cell::CellRef;
use crate::id::ActorId;
use crate::memory;
use crate::telemetry::{self, ActorGlance, ActorRate, ActorRestarts, AskCircle, Mishaps, census};

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

    /// The living actors with most messages, the busiest first, at most so many.
    ///
    /// Estimated from the messages that are measured for [`latencies`](Self::latencies), over the last 5 to 10 seconds: good
    /// for those that have much of the traffic, and of those with little of it, among many others, nothing may be
    /// told. Timers are not in it. At most some thousands; empty where nothing is measured
    /// ([`TracingOptions::off`](crate::TracingOptions::off)), and in the first half second.
    ///
    /// # Examples
    ///
    /// ```
    /// # use actor_core::prelude::*;
    /// let system = ActorSystem::new()?;
    /// for busy in system.busiest(10) {
    ///     println!("{} {}: {:.0}/s", busy.actor, busy.actor_type, busy.per_second);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn busiest(&self, limit: usize) -> Vec<ActorRate> {
        telemetry::busiest(self.plan.collector.rates(), limit)
    }

    /// The living actors that were started again, those most often first, at most so many: of all actors, or, where some
    /// thousands were, of those with most restarts.
    pub fn most_restarted(&self, limit: usize) -> Vec<ActorRestarts> {
        telemetry::most_restarted(self.runtime, limit)
    }

    /// The latest asks that ended with [`AskError::Deadlock`](crate::AskError::Deadlock), the latest first, at most so many: actors
    /// that would have waited for each other for ever.
    pub fn ask_circles(&self, limit: usize) -> Mishaps<AskCircle> {
        telemetry::circles(self.runtime, limit)
    }
}

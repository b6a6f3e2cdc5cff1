//! The front door: start a system, spawn, read its books, shut it down.

mod balancing;
mod blocking;
mod builder;
mod census;
mod control;
mod dedicated;
mod engine;
mod inspect;
mod leaks;
mod leftover;
mod listen;
mod memory;
mod metrics;
mod naming;
mod os_signal;
#[cfg(feature = "otlp")]
mod otlp;
mod phases;
mod pins;
mod readiness;
pub(crate) mod remote;
mod schedule;
mod shutdown;
#[cfg(feature = "testkit")]
pub(crate) mod simulated;
mod stall;
mod start_error;
mod traces;
mod tree;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cell::{Local, Runtime};
use crate::context::{
    ActorRef, IntoActor, Parent, SpawnBuilder, SpawnError, builder as spawn_builder,
};
use crate::id::{NumaNodeId, WorkerId};
use crate::memory::Residency;
use crate::telemetry::leaks::History;
use crate::telemetry::metrics::Sources;
use crate::telemetry::{Collector, StallHooks, Stats};
use crate::topology::{Seat, Topology};

#[cfg(feature = "model")]
pub(crate) use balancing::INTERVAL as BALANCER_INTERVAL;
pub use blocking::BlockingLeft;
pub use builder::{CrossNumaStealing, SystemBuilder};
pub use control::ShutdownHandle;
pub use inspect::InspectError;
pub use leftover::LeftBehind;
pub use listen::NumaListener;
pub use os_signal::{OsSignal, termination};
pub use phases::{IntoPhaseResult, PhaseError, ShutdownPhase};
pub use pins::LostPin;
pub use readiness::Readiness;
pub use schedule::ScheduleRecorder;
pub use shutdown::{Abandoned, PhaseOutcome, PhaseReport, ShutdownReport};
pub use start_error::StartError;

/// A running actor system: pinned workers, their actors, one tokio runtime per NUMA node.
///
/// The one owner: dropping it stops everything (see [`Drop`](#impl-Drop-for-ActorSystem)); shut it down
/// properly with [`shutdown`](Self::shutdown). Hand [`SystemRef`]s around, which are `Copy`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::prelude::*;
///
/// struct Echo;
/// impl Actor for Echo {}
/// struct Say(u32);
/// impl Message for Say { type Reply = u32; }
/// impl SyncHandler<Say> for Echo {
///     fn handle(&mut self, Say(n): Say, _cx: &mut ActorContext<Self>) -> u32 { n }
/// }
///
/// let system = ActorSystem::new()?;
/// let echo = system.spawn(Echo)?;
/// assert_eq!(echo.ask_blocking(Say(7))?, 7);
/// let report = system.shutdown_blocking(Duration::from_secs(5));
/// assert!(report.is_clean());
/// assert!(report.conservation.holds_at_rest());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ActorSystem {
    system: SystemRef,
}

/// A running (or ended) actor system, to spawn in and to look at: `Copy`, valid for ever.
///
/// After the shutdown it refuses to spawn; its books stay readable.
#[derive(Clone, Copy)]
pub struct SystemRef {
    runtime: &'static Runtime,
    plan: &'static Plan,
}

/// What the system was started on. Leaked with the runtime.
#[derive(Debug)]
struct Plan {
    topology: Topology,
    seats: Vec<Seat>,
    readiness: readiness::Source,
    control: control::Control,
    leaks: History,
    stalls: &'static StallHooks,
    pins: Arc<pins::Pins>,
    balancing: Option<Arc<balancing::Shared>>,
    collector: Arc<Collector>,
    metrics: Arc<Sources>,
}

impl ActorSystem {
    /// Starts a system on the machine as it is: one worker per allowed CPU, pinned.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn new() -> Result<Self, StartError> {
        Self::builder().build()
    }

    /// To start one with other settings.
    pub fn builder() -> SystemBuilder {
        SystemBuilder::new()
    }

    /// A handle to pass around.
    pub fn handle(&self) -> SystemRef {
        self.system
    }

    /// Runs a future on the calling thread, with the system's tokio at hand.
    ///
    /// # Panics
    ///
    /// On a worker, or inside another tokio runtime: it would block them.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let handle = self.system.tokio();
        handle.block_on(future)
    }
}

impl std::ops::Deref for ActorSystem {
    type Target = SystemRef;

    fn deref(&self) -> &SystemRef {
        &self.system
    }
}

impl SystemRef {
    /// Spawns a top-level actor from a value or a closure, with the options of its type.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`]; `ShuttingDown` once shutdown has begun.
    pub fn spawn<How, I: IntoActor<How>>(
        &self,
        actor: I,
    ) -> Result<ActorRef<I::Actor>, SpawnError> {
        self.actor(actor).spawn()
    }

    /// As [`spawn`](Self::spawn), with options to change first.
    pub fn actor<How, I: IntoActor<How>>(&self, actor: I) -> SpawnBuilder<'static, I::Actor> {
        spawn_builder(Parent::Root(self.runtime), actor)
    }

    /// The books as they stand: messages by fate, actors, workers, memory. Any time, from anywhere.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::read(self.runtime);
        stats.balancing = self.plan.balancing.as_ref().map(|shared| shared.stats());
        stats.spans = self.plan.collector.stats();
        stats
    }

    /// The machine the system was started on.
    pub fn topology(&self) -> &'static Topology {
        &self.plan.topology
    }

    /// Where the workers sit.
    pub fn seats(&self) -> &'static [Seat] {
        &self.plan.seats
    }

    /// The workers that could not be pinned, and why. They work all the same.
    pub fn pin_failures(&self) -> &'static [(WorkerId, String)] {
        self.runtime.scheduler().pin_failures()
    }

    /// The NUMA nodes that have workers.
    pub fn numa_nodes(&self) -> Vec<NumaNodeId> {
        self.runtime.numa_nodes().collect()
    }

    /// The tokio runtime of the first NUMA node; actors use that of their own.
    pub fn tokio(&self) -> &'static tokio::runtime::Handle {
        &self.runtime.reactors()[0]
    }

    /// The tokio runtime of a NUMA node, if it has workers.
    pub fn tokio_on(&self, node: NumaNodeId) -> Option<&'static tokio::runtime::Handle> {
        self.runtime
            .numa_index_of(node)
            .map(|index| &self.runtime.reactors()[index])
    }

    /// Whether shutdown has begun, from its first phase on.
    pub fn is_shutting_down(&self) -> bool {
        self.plan.control.is_begun()
    }
}

/// Stops everything at once if the system was not shut down: handlers in flight are cut off at their
/// next await, what waits becomes dead letters, the books stay right; phases of a shutdown are not run.
/// Waits up to two seconds for the workers, but not when dropped on a worker or in async code. A shutdown
/// that was asked for and is still under way is waited for instead, with the same exceptions.
impl Drop for ActorSystem {
    fn drop(&mut self) {
        let control = &self.system.plan.control;
        match control.begin() {
            Some((engine, _)) => shutdown::abrupt(self.system, engine, Duration::from_secs(2)),
            None if Local::current().is_some() || tokio::runtime::Handle::try_current().is_ok() => {
            }
            None => drop(control.wait()),
        }
    }
}

impl fmt::Debug for ActorSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.system.fmt(f)
    }
}

impl SystemRef {
    /// Where the memory of actors and messages really lies, for each NUMA node that has workers: the
    /// kernel is asked for every page of its arena. The arenas belong to the process.
    ///
    /// Takes about 0.1 us per page (a million idle actors: 4 ms). Nothing is moved, no worker held up.
    ///
    /// # Errors
    ///
    /// What the kernel says when it does not tell: no NUMA in this kernel, or a sandbox that forbids
    /// `move_pages`.
    pub fn residency(&self) -> std::io::Result<Vec<(NumaNodeId, Residency)>> {
        self.runtime
            .numa_nodes()
            .map(|node| Ok((node, crate::memory::residency(node)?)))
            .collect()
    }
}

impl fmt::Debug for SystemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActorSystem")
            .field("workers", &self.plan.seats.len())
            .field("numa_nodes", &self.numa_nodes())
            .field("shutting_down", &self.is_shutting_down())
            .finish_non_exhaustive()
    }
}

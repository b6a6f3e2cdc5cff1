//! The pools for work that blocks: their settings, and work from outside of actors.

use std::time::{Duration, Instant};

use super::SystemRef;
use super::builder::SystemBuilder;
use super::engine::KILL_GRACE;
use super::start_error::StartError;
use crate::cell::Runtime;
use crate::contain::{book, log};
use crate::context::{Blocking, blocking_in, serve_here};
use crate::id::{ActorId, CpuId, NumaNodeId};
use crate::memory;
use crate::scheduler::{LeftRunning, Pool};
use crate::topology::affinity;

/// What the builder was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockingSettings {
    threads: usize,
    queue: usize,
}

/// The most threads of one NUMA node's pool.
const THREADS_MAX: usize = 1024;
/// The most jobs that may wait for one.
const QUEUE_MAX: usize = 1_000_000;

impl Default for BlockingSettings {
    fn default() -> Self {
        Self {
            // They wait in the kernel most of the time; as many as a database or a disk has use for.
            threads: 64,
            // Sixteen for each: more would wait for longer than anybody does.
            queue: 1024,
        }
    }
}

impl SystemBuilder {
    /// The most threads for work that blocks, per NUMA node: 1 to 1024. Default: 64.
    ///
    /// They are started when needed and end after 10 s without work.
    pub fn blocking_threads(mut self, per_numa_node: usize) -> Self {
        self.blocking.threads = per_numa_node;
        self
    }

    /// How many jobs may wait for such a thread, per NUMA node, before the next is refused with
    /// [`BlockingError::Full`](crate::BlockingError::Full): 1 to 1,000,000. Default: 1024.
    ///
    /// Handlers marked `#[message(blocking)]` are not counted: there is one at most for each actor.
    pub fn blocking_queue(mut self, per_numa_node: usize) -> Self {
        self.blocking.queue = per_numa_node;
        self
    }
}

impl SystemRef {
    /// Runs `work` on a thread of the system that may block: of the NUMA node of the worker that calls it,
    /// elsewhere of the first.
    ///
    /// Otherwise as [`actor_core::blocking`](crate::blocking).
    ///
    /// # Errors
    ///
    /// See [`BlockingError`](crate::BlockingError).
    ///
    /// # Cancel safety
    ///
    /// See [`Blocking`].
    pub fn blocking<F, R>(&self, work: F) -> Blocking<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        blocking_in(self.runtime, work)
    }
}

impl BlockingSettings {
    /// # Errors
    ///
    /// `Setting` for a number out of range.
    pub(super) fn check(&self) -> Result<(), StartError> {
        for (setting, asked, max) in [
            ("blocking_threads", self.threads, THREADS_MAX),
            ("blocking_queue", self.queue, QUEUE_MAX),
        ] {
            if asked == 0 || asked > max {
                return Err(StartError::Setting {
                    setting,
                    asked: asked.to_string(),
                    allowed: format!("1 to {max} per NUMA node"),
                });
            }
        }
        Ok(())
    }

    /// One pool per NUMA node, without threads so far.
    pub(super) fn pools(&self, nodes: &[NumaNodeId]) -> Vec<&'static Pool> {
        let pool =
            |node: &NumaNodeId| Pool::new(format!("blocking-{}", node.0), self.threads, self.queue);
        nodes.iter().map(pool).collect()
    }
}

/// Where the threads of a NUMA node's pool begin: on its CPUs, with its tokio at hand.
pub(super) fn furnish(
    pool: &'static Pool,
    runtime: &'static Runtime,
    tokio: tokio::runtime::Handle,
    cpus: Vec<CpuId>,
    node: NumaNodeId,
) {
    pool.set_around(move |life| {
        memory::set_here(node.0);
        if let Err(error) = affinity::widen_current_thread(&cpus) {
            log!(debug, %error, "a thread for blocking work stays where the kernel puts it");
        }
        let _entered = tokio.enter();
        let _booked = book(runtime);
        serve_here(pool);
        life();
    });
}

/// Work on a blocking thread that had not come back when the shutdown ended. Its thread is left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockingLeft {
    /// The type of the closure, which names the function it stands in, or of the message.
    pub work: &'static str,
    /// The actor that asked for it.
    pub actor: Option<ActorId>,
    /// For how long it had run.
    pub running_for: Duration,
}

/// Closes the pools and waits for what runs, at most that long altogether; what is given up.
pub(super) fn close(runtime: &Runtime, patience: Duration) -> Vec<BlockingLeft> {
    let was_running = runtime.pools().iter().any(|pool| pool.counts().running > 0);
    for pool in runtime.pools() {
        pool.close();
    }
    let began = Instant::now();
    let mut left = Vec::new();
    for pool in runtime.pools() {
        let patience = patience.saturating_sub(began.elapsed());
        left.extend(pool.wait_quiet(patience).into_iter().map(given_up));
    }
    if was_running && left.is_empty() {
        // The actors it was for may end now.
        runtime.ended().wait(KILL_GRACE);
    }
    left
}

fn given_up(left: LeftRunning) -> BlockingLeft {
    BlockingLeft {
        work: left.what,
        actor: left.actor,
        running_for: left.since.elapsed(),
    }
}

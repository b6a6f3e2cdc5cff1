//! What ends with the system: the tokio runtimes, one for each NUMA node, the balancer's thread, the one
//! that has huge pages ready, and the one that collects spans. And the timers' threads, which the runtime keeps.

use std::io;
use std::time::Duration;

use super::balancing;
use crate::contain::log;
use crate::context::serve_here;
use crate::id::NumaNodeId;
use crate::memory::{self, Prefaulter};
use crate::scheduler::Pool;
use crate::scheduler::timer::{Spot, Timers};
use crate::telemetry::CollectorThread;
use crate::topology::{Topology, affinity};

/// How long `Drop` and the last phase of a shutdown wait for killed actors, since the last of them ended.
pub(super) const KILL_GRACE: Duration = Duration::from_millis(500);

/// What ends with the system.
#[derive(Debug)]
pub(super) struct Engine {
    balancer: Option<balancing::Thread>,
    prefaulter: Option<Prefaulter>,
    collector: Option<CollectorThread>,
    reactors: Vec<tokio::runtime::Runtime>,
}

impl Engine {
    pub(super) const fn new(
        reactors: Vec<tokio::runtime::Runtime>,
        balancer: Option<balancing::Thread>,
        prefaulter: Option<Prefaulter>,
        collector: Option<CollectorThread>,
    ) -> Self {
        Self {
            balancer,
            prefaulter,
            collector,
            reactors,
        }
    }

    /// Of a simulation, which has none.
    #[cfg(feature = "testkit")]
    pub(super) const fn without_threads() -> Self {
        Self {
            balancer: None,
            prefaulter: None,
            collector: None,
            reactors: Vec::new(),
        }
    }
}

impl Drop for Engine {
    /// Stops the tokio runtimes; tasks that are not at an await are given up on. In the background:
    /// waiting here would panic inside of async code.
    fn drop(&mut self) {
        drop(self.balancer.take());
        drop(self.prefaulter.take());
        // After the actors: it takes their last spans to where they are exported.
        drop(self.collector.take());
        for reactor in self.reactors.drain(..) {
            reactor.shutdown_background();
        }
    }
}

/// Starts a tokio runtime for each NUMA node, its threads on the CPUs of that NUMA node.
pub(super) fn start_reactors(
    topology: &Topology,
    nodes: &[NumaNodeId],
    pools: &[&'static Pool],
    threads: usize,
) -> io::Result<(Vec<tokio::runtime::Runtime>, Box<[tokio::runtime::Handle]>)> {
    let mut reactors = Vec::new();
    let mut handles = Vec::new();
    for (node, pool) in nodes.iter().zip(pools) {
        let cpus = topology.real_cpus_of(*node);
        let pool: &'static Pool = pool;
        let arena = node.0;
        let reactor = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(format!("reactor-{}", node.0))
            // On its NUMA node, on any of its CPUs: threads for blocking calls must not share one.
            .on_thread_start(move || {
                memory::set_here(arena);
                serve_here(pool);
                if let Err(error) = affinity::widen_current_thread(&cpus) {
                    log!(debug, %error, "a reactor thread stays where the kernel puts it");
                }
            })
            .enable_all()
            .build()?;
        handles.push(reactor.handle().clone());
        reactors.push(reactor);
    }
    Ok((reactors, handles.into()))
}

/// Starts a wheel for each NUMA node, its thread on that NUMA node, on any of its CPUs: one that shares a CPU
/// with a busy worker is late. With a single NUMA node it may run wherever the process may.
pub(super) fn start_timers(topology: &Topology, nodes: &[NumaNodeId]) -> io::Result<Timers> {
    let spots = nodes.iter().map(|node| {
        let arena = node.0;
        let cpus = match nodes {
            [_] => Vec::new(),
            _ => topology.real_cpus_of(*node),
        };
        let begin = move || {
            memory::set_here(arena);
            if !cpus.is_empty()
                && let Err(error) = affinity::widen_current_thread(&cpus)
            {
                log!(debug, %error, "a timer thread stays where the kernel puts it");
            }
        };
        Spot {
            name: format!("actor-timer-{}", node.0),
            arena,
            begin: Box::new(begin),
        }
    });
    Timers::start(spots)
}

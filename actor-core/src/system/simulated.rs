//! A system without threads, for the test kit: the same runtime, founded and ended by hand.

use std::sync::Arc;
use std::time::Duration;

use super::builder::spawn_root;
use super::control::{Control, Settings};
use super::engine::Engine;
use super::shutdown::ShutdownReport;
use super::start_error::StartError;
use super::{Plan, SystemRef, readiness};
use crate::cell::observe;
use crate::cell::{Runtime, StopMode, StopReason};
use crate::clock::Tick;
use crate::locality::Lanes;
use crate::scheduler::Scheduler;
use crate::scheduler::timer::Timers;
use crate::telemetry::{Collector, StallHooks};
use crate::topology::{self, Topology, TopologyError, Workers};
use crate::trace::Settings as TraceSettings;

/// A runtime on that many pretended NUMA nodes, with nobody to run it.
pub(crate) fn runtime(
    numa_nodes: u8,
    lanes: Lanes,
    tokio: &tokio::runtime::Handle,
) -> &'static Runtime {
    let arenas = (0..numa_nodes).collect();
    let runtime = Runtime::new(usize::from(numa_nodes), arenas);
    runtime.lay_lanes(lanes);
    let tokios = (0..numa_nodes).map(|_| tokio.clone()).collect();
    runtime.complete(Timers::without_thread(Tick::now(), 0), tokios);
    runtime.set_scheduler(Scheduler::without_workers(usize::from(numa_nodes), runtime));
    runtime
}

/// Its root and its face.
pub(crate) fn found(runtime: &'static Runtime) -> Result<SystemRef, StartError> {
    let numa_nodes = runtime.numa_nodes().count();
    let topology = pretended(numa_nodes)?;
    let seats = topology::plan(&topology, Workers::default())?;
    spawn_root(runtime)?;
    let settings = Settings {
        order: Vec::new(),
        phases: Vec::new(),
        drain_delay: Duration::ZERO,
    };
    let plan = Box::leak(Box::new(Plan {
        leaks: crate::telemetry::leaks::History::default(),
        metrics: crate::telemetry::metrics::Sources::new(),
        pins: Arc::default(),
        balancing: None,
        collector: Arc::new(Collector::new(runtime, &TraceSettings::default())),
        topology,
        seats,
        readiness: readiness::Source::new(),
        control: Control::new(Engine::without_threads(), settings),
        // Nobody looks after workers that are not there.
        stalls: StallHooks::install(runtime, Vec::new(), false),
    }));
    Ok(SystemRef { runtime, plan })
}

fn pretended(numa_nodes: usize) -> Result<Topology, TopologyError> {
    Topology::pretend(&format!("{numa_nodes}x1"))
}

/// The runtime behind a system.
pub(crate) fn runtime_of(system: SystemRef) -> &'static Runtime {
    system.runtime
}

/// Whether this thread simulates that system: then it must not wait for it, and starts no thread for it.
pub(super) fn is_here(system: SystemRef) -> bool {
    observe::observer().is_some_and(|observer| std::ptr::eq(observer.runtime(), system.runtime))
}

/// Refuses what is new and asks the root to stop. Once; later calls do nothing.
pub(crate) fn begin_shutdown(system: SystemRef) {
    if system.plan.control.begin().is_some() {
        stop_root(system, StopMode::Drain, StopReason::Shutdown);
    }
}

/// Cuts off what is left.
pub(crate) fn kill(system: SystemRef) {
    drop(system.plan.control.begin());
    stop_root(system, StopMode::Kill, StopReason::Killed);
}

fn stop_root(system: SystemRef, mode: StopMode, reason: StopReason) {
    system.plan.readiness.end();
    system.runtime.close();
    let root = system.runtime.root();
    root.stop(root.generation(), mode, reason);
}

/// Whether all actors are gone.
pub(crate) fn has_ended(system: SystemRef) -> bool {
    system.runtime.ended().is_open()
}

/// What still waits becomes dead letters; the books are closed.
pub(crate) fn finish(system: SystemRef, elapsed: Duration, drained: bool) -> ShutdownReport {
    let runtime = system.runtime;
    runtime.scheduler().stop();
    runtime.sweep();
    runtime.timers().stop();
    let stats = system.stats();
    let report = ShutdownReport {
        drained,
        elapsed,
        phases: Vec::new(),
        abandoned: Vec::new(),
        // Work that blocks runs in place here.
        blocking_left: Vec::new(),
        actors_left: stats.actors.alive(),
        left_behind: Vec::new(),
        conservation: stats.messages,
    };
    system.plan.control.finish(report.clone());
    report
}

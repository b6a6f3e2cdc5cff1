//! Every knob, its default, and when to touch it.

use std::sync::Arc;
use std::time::Duration;

use super::blocking::{self, BlockingSettings};
use super::control::{Control, Settings};
use super::dedicated::DedicatedSettings;
use super::engine::{self, Engine};
use super::phases::{self, ShutdownPhase};
use super::pins::Pins;
use super::stall::{StallSettings, pin_spare};
use super::start_error::StartError;
use super::{ActorSystem, Plan, SystemRef, balancing, readiness, traces};
use crate::cell::Runtime;
use crate::contain::log;
use crate::context::{Actor, Parent, builder as spawn_builder};
use crate::id::{CpuId, NumaNodeId};
use crate::locality::{Balancing, Lanes};
use crate::mailbox::Mailbox;
use crate::memory::{self, HugePages, Prefaulter};
use crate::scheduler::{Config, CrossNuma, Scheduler, SeatSpec};
use crate::supervision::Restart;
use crate::telemetry::StallHooks;
use crate::topology::{self, Seat, Topology, Workers};
use crate::trace::TracingOptions;

/// Settings of a system that is about to start.
///
/// | setting | default | touch it when |
/// |---|---|---|
/// | `topology` | [`Topology::detect`] | tests, simulations, wrong firmware tables |
/// | `workers` | one per allowed CPU, fewer under a CPU quota | other threads need CPUs of their own |
/// | `pinning` | on | other programs compete for the same CPUs |
/// | `reactor_threads` | 1 per NUMA node | sockets, not actors, are the bottleneck |
/// | `cross_numa_stealing` | when idle for as long as it costs | strict locality matters more than idle CPUs |
/// | `watchdog`, `relieve_after`, `report_stalls_after`, `spares` | on, 10 ms, 100 ms, one per worker | handlers block, or must not be relieved |
/// | `blocking_threads`, `blocking_queue` | 64 and 1024 per NUMA node | what blocks can do more, or less, at a time |
/// | `dedicated_threads` | 8 per NUMA node | more actors than that need a thread of their own |
/// | `message_memory` | half of the memory (of the cgroup), a quarter of the address space | other parts of the process need more |
/// | `huge_pages` | never | there are actors by the million |
/// | `worker_stack` | 2 MiB | handlers recurse deeply |
/// | `name_stack_overflows` | on | SIGSEGV is to be left alone |
/// | `lanes` | [`Lanes::Off`] | many actors send to few on other NUMA nodes |
/// | `balancing` | off | actors talk in groups that change, on several NUMA nodes |
/// | `tracing` | traces that come in as sampled, none of its own | always: [`TracingOptions::sample`] |
/// | `drain_delay` | none | a load balancer takes a while to notice |
/// | `shutdown_phase` | none | something of yours ends with the system |
#[derive(Debug)]
#[must_use = "nothing happens before .build()"]
pub struct SystemBuilder {
    topology: Option<Topology>,
    workers: Workers,
    pinning: bool,
    reactor_threads: usize,
    stealing: CrossNumaStealing,
    message_memory: Option<u64>,
    huge_pages: HugePages,
    thread_name: String,
    worker_stack: usize,
    name_stack_overflows: bool,
    lanes: Lanes,
    balancing: Option<Balancing>,
    tracing: TracingOptions,
    drain_delay: Duration,
    phases: Vec<ShutdownPhase>,
    pub(super) stalls: StallSettings,
    pub(super) blocking: BlockingSettings,
    pub(super) dedicated: DedicatedSettings,
}

/// Whether idle workers take actors of other NUMA nodes: one at a time, for one turn, from the nearest NUMA node
/// first, and only where all workers are busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrossNumaStealing {
    /// When a worker has had nothing to do at home for as long as the move would cost, by our reckoning: 20 us
    /// at twice the distance of home (20 in the firmware's table), 4 us at 12, 44 us at 32, and less the more
    /// actors wait there for each worker. The default: who waits as long as it costs pays at most twice what the better
    /// choice would have cost.
    #[default]
    WhenIdle,
    /// When a worker has had nothing to do at home for so long, however many wait elsewhere. Zero: at once.
    /// Touch it when measurements say so: longer keeps actors at home over short bursts, shorter lets idle
    /// CPUs help sooner.
    WhenIdleFor(Duration),
    /// Never: an actor runs on its own NUMA node only.
    Never,
}

/// The most reactor threads per NUMA node.
const REACTOR_THREADS_MAX: usize = 1024;
/// Bytes of a worker's stack.
const WORKER_STACK: std::ops::RangeInclusive<usize> = 64 << 10..=1 << 30;
/// The least message memory: what a handful of threads hold in their caches.
const MESSAGE_MEMORY_MIN: u64 = 16 << 20;

impl SystemBuilder {
    pub(super) fn new() -> Self {
        Self {
            topology: None,
            workers: Workers::default(),
            pinning: true,
            reactor_threads: 1,
            stealing: CrossNumaStealing::default(),
            message_memory: None,
            huge_pages: HugePages::default(),
            thread_name: "actor".to_owned(),
            worker_stack: 2 << 20,
            name_stack_overflows: true,
            lanes: Lanes::default(),
            balancing: None,
            tracing: TracingOptions::new(),
            drain_delay: Duration::ZERO,
            phases: Vec::new(),
            stalls: StallSettings::default(),
            blocking: BlockingSettings::default(),
            dedicated: DedicatedSettings::default(),
        }
    }

    /// The machine to run on, instead of what is detected.
    pub fn topology(mut self, topology: Topology) -> Self {
        self.topology = Some(topology);
        self
    }

    /// How many workers, and where.
    pub fn workers(mut self, workers: Workers) -> Self {
        self.workers = workers;
        self
    }

    /// Whether workers are pinned to their CPUs.
    pub fn pinning(mut self, pinning: bool) -> Self {
        self.pinning = pinning;
        self
    }

    /// Threads of each NUMA node's tokio runtime: 1 to 1024. They run sockets, timers and spawned tasks.
    pub fn reactor_threads(mut self, threads: usize) -> Self {
        self.reactor_threads = threads;
        self
    }

    /// Whether idle workers take actors of other NUMA nodes.
    pub fn cross_numa_stealing(mut self, stealing: CrossNumaStealing) -> Self {
        self.stealing = stealing;
        self
    }

    /// Bytes that messages, states, frames and [`NumaBox`](crate::NumaBox)es may take before sends are refused with
    /// `Overloaded`, and boxes with `NoMemory`: at
    /// least 16 MiB. For the process, not for one system: the last one started wins.
    ///
    /// By default half of what the process may use, which is the smaller of the machine's memory and the
    /// limit of its control groups, and at most a quarter of its address space (`ulimit -v`). Counted are
    /// the messages themselves, not what they point to: leave room for that.
    pub fn message_memory(mut self, bytes: u64) -> Self {
        self.message_memory = Some(bytes);
        self
    }

    /// Whether memory of actors and messages lies on huge pages; see [`HugePages`]. For the process, not for
    /// one system: what is mapped from now on is as the last one started says.
    ///
    /// Unless it is `Never`, a thread `actor-memory` has pages ready before they are needed.
    pub fn huge_pages(mut self, pages: HugePages) -> Self {
        self.huge_pages = pages;
        self
    }

    /// Workers are called `<prefix>-<number>`.
    pub fn thread_name(mut self, prefix: impl Into<String>) -> Self {
        self.thread_name = prefix.into();
        self
    }

    /// Bytes of stack per worker: 64 KiB to 1 GiB, 2 MiB unless said otherwise. Handlers run on it, and a
    /// stack overflow ends the process. Address space, not memory: pages are used as they are touched.
    pub fn worker_stack(mut self, bytes: usize) -> Self {
        self.worker_stack = bytes;
        self
    }

    /// Whether a stack overflow in a handler is reported with the actor's id and type before the process
    /// ends; on unless said otherwise. Installs a handler for SIGSEGV and SIGBUS, once for the process, that
    /// calls the one before it; switch it off if those signals are yours. Linux only.
    pub fn name_stack_overflows(mut self, on: bool) -> Self {
        self.name_stack_overflows = on;
        self
    }

    /// How long a shutdown serves on after it has turned unready, so that load balancers notice before
    /// work is refused; at most half of the shutdown's grace. Default: none. Behind Kubernetes: 5 seconds,
    /// because endpoints are taken out while the process is already told to end.
    pub fn drain_delay(mut self, delay: Duration) -> Self {
        self.drain_delay = delay;
        self
    }

    /// Something to do during a shutdown, at a named place; see [`ShutdownPhase`]. May be said often.
    pub fn shutdown_phase(mut self, phase: ShutdownPhase) -> Self {
        self.phases.push(phase);
        self
    }

    /// Whether messages between NUMA nodes may share batch lanes. Nothing to choose on a machine with one
    /// NUMA node: there are none.
    pub fn lanes(mut self, lanes: Lanes) -> Self {
        self.lanes = lanes;
        self
    }

    /// Moves actors to the NUMA node that most of their messages come from, as [`Balancing`] says. Off by
    /// default; nothing happens on a machine with one NUMA node.
    ///
    /// [`SystemRef::set_balancing`] turns it off and on while the system runs, and
    /// [`Stats::balancing`](crate::Stats) shows its cost and its gain.
    pub fn balancing(mut self, balancing: Balancing) -> Self {
        self.balancing = Some(balancing);
        self
    }

    /// What is traced, what of it is kept, and where it goes; see [`TracingOptions`].
    pub fn tracing(mut self, tracing: TracingOptions) -> Self {
        self.tracing = tracing;
        self
    }

    /// Starts the system.
    ///
    /// # Errors
    ///
    /// See [`StartError`]. A refused pin is a warning, not an error: see
    /// [`SystemRef::pin_failures`](crate::SystemRef::pin_failures). So is a CPU that is taken offline later:
    /// see [`SystemRef::lost_pins`](crate::SystemRef::lost_pins).
    pub fn build(self) -> Result<ActorSystem, StartError> {
        if self.reactor_threads == 0 || self.reactor_threads > REACTOR_THREADS_MAX {
            return Err(StartError::ReactorThreads {
                asked: self.reactor_threads,
                max: REACTOR_THREADS_MAX,
            });
        }
        if let Some(bytes) = self.message_memory {
            if bytes < MESSAGE_MEMORY_MIN {
                return Err(StartError::MessageMemory {
                    asked: bytes,
                    min: MESSAGE_MEMORY_MIN,
                });
            }
            memory::set_limit(bytes);
        }
        if !WORKER_STACK.contains(&self.worker_stack) {
            return Err(StartError::WorkerStack {
                asked: self.worker_stack,
                min: *WORKER_STACK.start(),
                max: *WORKER_STACK.end(),
            });
        }
        if let Some(balancing) = &self.balancing {
            balancing.check().map_err(StartError::Balancing)?;
        }
        self.tracing.check()?;
        let order = phases::plan(&self.phases).map_err(StartError::Phases)?;
        self.stalls.check()?;
        self.blocking.check()?;
        self.dedicated.check()?;
        if cfg!(panic = "abort") {
            log!(
                warn,
                "built with panic=abort: a panic in a handler ends the process, supervision is off"
            );
        }
        // Before the first pin: a pinned thread sees one CPU only, and so do its children.
        let topology = match self.topology {
            Some(topology) => topology,
            None => Topology::detect()?,
        };
        let seats = topology::plan(&topology, self.workers)?;
        let nodes = numa_nodes(&seats);
        memory::set_huge_pages(self.huge_pages);
        bind_memory(&topology, &nodes);
        let arenas: Box<[u8]> = nodes.iter().map(|node| node.0).collect();
        let prefaulter = match self.huge_pages {
            HugePages::Never => None,
            HugePages::Transparent | HugePages::Explicit => Some(Prefaulter::start(&arenas)?),
        };
        let seats_of = |node: &NumaNodeId| -> Vec<&Seat> {
            seats
                .iter()
                .filter(|seat| seat.numa_node == *node)
                .collect()
        };
        let workers: Vec<usize> = nodes.iter().map(|node| seats_of(node).len()).collect();
        let spares = self.stalls.spares_of(&workers);
        let threads =
            seats.len() + spares.iter().sum::<usize>() + self.dedicated.count(nodes.len());
        let runtime = Runtime::new(threads, arenas);

        runtime.lay_lanes(self.lanes);
        let timers = engine::start_timers(&topology, &nodes)?;
        let pools = self.blocking.pools(&nodes);
        let (reactors, handles) =
            engine::start_reactors(&topology, &nodes, &pools, self.reactor_threads)?;
        let (balancing, balancer) = match self.balancing.filter(|_| nodes.len() > 1) {
            Some(options) => {
                let (shared, thread) = balancing::start(runtime, options)?;
                (Some(shared), Some(thread))
            }
            None => (None, None),
        };
        let (collector, collecting) = traces::start(runtime, self.tracing)?;
        let engine = Engine::new(reactors, balancer, prefaulter, collecting);
        for ((pool, node), handle) in pools.iter().zip(&nodes).zip(&handles) {
            blocking::furnish(
                pool,
                runtime,
                handle.clone(),
                topology.real_cpus_of(*node),
                *node,
            );
        }
        runtime.set_pools(pools.into());
        runtime.complete(timers, handles);

        let allowed: Arc<[CpuId]> = topology.allowed().into();
        let pins = Pins::new(if self.pinning { &seats[..] } else { &[] });
        let specs = seats.iter().map(|seat| {
            let numa_index = nodes
                .iter()
                .position(|node| *node == seat.numa_node)
                .unwrap_or(0);
            let pin = pins.pin(seat.worker, &allowed);
            SeatSpec {
                worker: seat.worker,
                numa_index,
                pin,
            }
        });
        let mut config = Config::new(specs.collect());
        config.thread_name_prefix = self.thread_name;
        config.stack_size = self.worker_stack;
        #[cfg(all(unix, not(miri)))]
        if self.name_stack_overflows {
            crate::cell::overflow::install();
        }
        let spare_pins = nodes.iter().map(|node| {
            self.pinning
                .then(|| pin_spare(&topology, &seats_of(node)))
                .flatten()
        });
        config.watchdog = self.stalls.config(spares, spare_pins.collect());
        if let Some(watchdog) = &mut config.watchdog {
            watchdog.chore = Some(pins.chore());
        }
        config.dedicated = self.dedicated.config(&topology, &nodes, self.pinning);
        let stalls = StallHooks::install(runtime, self.stalls.hooks, self.stalls.stacks);
        config.cross_numa = match self.stealing {
            CrossNumaStealing::Never => CrossNuma::Never,
            CrossNumaStealing::WhenIdle => CrossNuma::Balanced,
            CrossNumaStealing::WhenIdleFor(time) => CrossNuma::IdleFor(time),
        };
        let distances = nodes
            .iter()
            .map(|from| {
                nodes
                    .iter()
                    .map(|to| topology.distance(*from, *to))
                    .collect()
            })
            .collect();
        match Scheduler::start(config, distances, runtime) {
            Ok(scheduler) => runtime.set_scheduler(scheduler),
            Err(error) => {
                runtime.timers().stop();
                return Err(error.into());
            }
        }
        spawn_root(runtime)?;
        let settings = Settings {
            order,
            phases: self.phases,
            drain_delay: self.drain_delay,
        };
        let plan = Box::leak(Box::new(Plan {
            balancing,
            collector,
            topology,
            seats,
            readiness: readiness::Source::new(),
            control: Control::new(engine, settings),
            leaks: crate::telemetry::leaks::History::default(),
            metrics: crate::telemetry::metrics::Sources::new(),
            stalls,
            pins,
        }));
        Ok(ActorSystem {
            system: SystemRef { runtime, plan },
        })
    }
}

/// The parent of all top-level actors.
struct Root;

impl Actor for Root {}

pub(super) fn spawn_root(runtime: &'static Runtime) -> Result<(), StartError> {
    spawn_builder(Parent::Root(runtime), Root)
        .mailbox(Mailbox::unbounded())
        .restart(Restart::Temporary)
        .spawn()
        .map_err(StartError::Root)?;
    Ok(())
}

fn numa_nodes(seats: &[Seat]) -> Vec<NumaNodeId> {
    let mut nodes: Vec<NumaNodeId> = seats.iter().map(|seat| seat.numa_node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// With a single NUMA node there is nothing to choose, so no policy is set.
fn bind_memory(topology: &Topology, nodes: &[NumaNodeId]) {
    if topology.numa_nodes().len() < 2 {
        return;
    }
    for node in nodes {
        if let Some(home) = topology.memory_home(*node) {
            memory::set_home(node.0, home.0);
            if let Err(error) = memory::prepare(node.0) {
                log!(
                    warn,
                    numa_node = home.0,
                    error,
                    "the kernel refused to bind memory to its NUMA node; pages go where they are \
                     first touched (containers need CAP_SYS_NICE for mbind)"
                );
            }
        }
    }
}

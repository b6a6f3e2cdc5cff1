//! What a scheduler is started with: seats, policies, and the few numbers one may turn.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::steal::CrossNuma;
use crate::id::WorkerId;

/// See each field for when to touch it.
#[derive(Debug)]
pub(crate) struct Config {
    /// One per worker; every NUMA index that is used needs at least one.
    pub(crate) seats: Vec<SeatSpec>,
    /// Default: `Balanced`.
    pub(crate) cross_numa: CrossNuma,
    /// Threads are called `<prefix>-<worker number>`; Linux shows 15 bytes of it. Default: "actor".
    pub(crate) thread_name_prefix: String,
    /// Bytes of stack per worker. Default: 2 MiB, as std.
    pub(crate) stack_size: usize,
    /// How many tasks in a row a worker takes from its LIFO slot before the ring gets a turn.
    /// Default: 8. tokio takes 3 and Go lets the pair share one time slice; with 8, a pair that
    /// plays ping-pong costs one ring operation in 9 turns, and a task in the ring waits for at most
    /// 8 turns more than it would in plain FIFO. 0 switches the slot off.
    pub(crate) lifo_streak_max: u32,
    /// How long a searcher looks for work before it sleeps. Default: 20 us, about what one sleep and
    /// wake-up through the kernel costs (3.4 us for the waker, 6 us median and 23 us at p99 until
    /// the worker runs; measured in a virtual machine). Longer burns CPU for shorter latency; zero
    /// sleeps at once. On a machine with one CPU there is no spinning: nobody could publish
    /// meanwhile.
    pub(crate) spin: Duration,
    /// Default: none, so that whoever starts a scheduler says what its numbers are.
    pub(crate) watchdog: Option<WatchdogConfig>,
    /// Threads for one task each. Default: none.
    pub(crate) dedicated: DedicatedConfig,
}

/// Threads that run one task each, started when they are asked for.
#[derive(Default)]
pub(crate) struct DedicatedConfig {
    /// The most of each NUMA node.
    pub(crate) per_numa_node: usize,
    /// Binds such a thread to the CPUs of its NUMA node, by NUMA index.
    pub(crate) pins: Vec<Option<SparePin>>,
}

impl fmt::Debug for DedicatedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DedicatedConfig")
            .field("per_numa_node", &self.per_numa_node)
            .finish_non_exhaustive()
    }
}

/// When the watchdog steps in, and with whom.
pub(crate) struct WatchdogConfig {
    /// A worker that is in one turn for longer while work waits at its NUMA node is relieved.
    pub(crate) relieve_after: Duration,
    /// A turn that lasts longer is reported.
    pub(crate) report_after: Duration,
    /// The most spares of each NUMA node, by NUMA index. Zeros: nobody is relieved.
    pub(crate) spares: Vec<usize>,
    /// Binds a spare's thread to the CPUs of its NUMA node's workers, by NUMA index.
    pub(crate) pins: Vec<Option<SparePin>>,
    /// Called on the watchdog's thread twice a second while anybody is awake: no foreign code, no waiting.
    pub(crate) chore: Option<Chore>,
}

/// Something to look after now and then.
pub(crate) type Chore = Box<dyn FnMut() + Send>;

/// As [`Pin`], for every spare of a NUMA node.
pub(crate) type SparePin = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

impl fmt::Debug for WatchdogConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchdogConfig")
            .field("relieve_after", &self.relieve_after)
            .field("report_after", &self.report_after)
            .field("spares", &self.spares)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The defaults, with these seats.
    pub(crate) fn new(seats: Vec<SeatSpec>) -> Self {
        Self {
            seats,
            cross_numa: CrossNuma::Balanced,
            thread_name_prefix: "actor".to_owned(),
            stack_size: 2 << 20,
            lifo_streak_max: 8,
            spin: Duration::from_micros(20),
            watchdog: None,
            dedicated: DedicatedConfig::default(),
        }
    }

    /// The most spares of a NUMA node.
    pub(super) fn spares(&self, numa_index: usize) -> usize {
        self.watchdog
            .as_ref()
            .and_then(|watchdog| watchdog.spares.get(numa_index).copied())
            .unwrap_or(0)
    }
}

/// Where one worker sits.
pub(crate) struct SeatSpec {
    pub(crate) worker: WorkerId,
    /// Dense: `0..n` for `n` NUMA nodes that have workers.
    pub(crate) numa_index: usize,
    /// Run on the worker's thread before anything else. An `Err` is a warning, not a failure: in
    /// many containers pinning is forbidden, and an unpinned worker still works.
    pub(crate) pin: Option<Pin>,
}

/// Binds the calling thread to its CPU, or says why not.
pub(crate) type Pin = Box<dyn FnOnce() -> Result<(), String> + Send>;

impl fmt::Debug for SeatSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeatSpec")
            .field("worker", &self.worker)
            .field("numa_index", &self.numa_index)
            .field("pinned", &self.pin.is_some())
            .finish()
    }
}

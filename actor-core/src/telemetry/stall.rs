//! Reports of handlers that hold up their worker, to the log and to whoever listens.
//!
//! The watchdog notices; what is done with it (a log line, users' functions) may take its time, so it
//! happens on the blocking threads of the first NUMA node's tokio runtime, one report after the other.
//! At most [`QUEUE_MAX`] wait; older ones make room.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::cell::{LogLimit, Runtime, Stalled};
use crate::contain::{book, contain, log};
use crate::context::TraceId;
use crate::id::{ActorId, NumaNodeId, WorkerId};
use crate::scheduler::StallCounts;
use crate::stack::ThreadStack;

/// A handler (or hook) that has not given its worker back for a long time.
///
/// Each stall is reported twice: when it is noticed (`still_running`), and when it is over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StallReport {
    /// The actor.
    pub actor: ActorId,
    /// Its type.
    pub actor_type: &'static str,
    /// Its name, if it was given one.
    pub name: Option<Arc<str>>,
    /// The type of the message being handled; `None` in a hook.
    pub message: Option<&'static str>,
    /// The trace that the message belongs to.
    pub trace_id: Option<TraceId>,
    /// The worker that is held up (a number above the system's workers is a spare's).
    pub worker: WorkerId,
    /// Its NUMA node.
    pub numa_node: NumaNodeId,
    /// When the turn began, to half of the watchdog's shorter threshold. A turn is one visit of the
    /// worker: up to 64 messages, so a turn of many slow ones counts from the first.
    pub started: Instant,
    /// How long it has lasted so far, or in all.
    pub lasted: Duration,
    /// Whether it goes on.
    pub still_running: bool,
    /// The functions it was in some moments after it was noticed, with the feature `stall-stacks`. `None` without, in
    /// the report of its end, and where the thread did not answer
    /// ([`SystemBuilder::stall_stacks`](crate::SystemBuilder::stall_stacks)).
    pub stack: Option<Arc<ThreadStack>>,
}

impl fmt::Display for StallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.actor, self.actor_type)?;
        if let Some(name) = &self.name {
            write!(f, " {name:?}")?;
        }
        let verb = if self.still_running { "holds" } else { "held" };
        write!(f, " {verb} {} of {}", self.worker, self.numa_node)?;
        match self.message {
            Some(message) => write!(f, " with {message}")?,
            None => f.write_str(" with a hook")?,
        }
        write!(f, " for {:.1?}", self.lasted)?;
        if let Some(trace) = self.trace_id {
            write!(f, ", trace {trace}")?;
        }
        if let Some(stack) = &self.stack {
            write!(f, "\n{stack}")?;
        }
        Ok(())
    }
}

/// What the watchdog has seen and done since the system started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StallStats {
    /// Turns that lasted longer than the report threshold.
    pub stalls: u64,
    /// Of those, turns that still go on.
    pub running: u64,
    /// The longest of them so far.
    pub longest: Duration,
    /// Times a spare thread began to stand in for a stuck worker.
    pub spares_started: u64,
    /// Times work waited and no spare was left.
    pub spares_exhausted: u64,
    /// Spares that stand in now.
    pub spares_on_duty: u64,
    /// Threads of spares, standing in or waiting for the next time.
    pub spare_threads: u64,
}

impl From<StallCounts> for StallStats {
    fn from(counts: StallCounts) -> Self {
        Self {
            stalls: counts.stalls,
            running: counts.running,
            longest: Duration::from_nanos(counts.longest),
            spares_started: counts.relieved,
            spares_exhausted: counts.exhausted,
            spares_on_duty: counts.on_duty,
            spare_threads: counts.spare_threads,
        }
    }
}

/// A user's function.
pub(crate) type StallHook = Arc<dyn Fn(&StallReport) + Send + Sync>;

/// Who listens, and what has not been told yet.
pub(crate) struct StallHooks {
    hooks: Mutex<Vec<StallHook>>,
    queue: Mutex<Queue>,
    /// For who asks later.
    latest: Mutex<VecDeque<StallReport>>,
    log: LogLimit,
    /// Whether stacks are asked for.
    stacks: bool,
}

#[derive(Default)]
struct Queue {
    /// And the number of the turn.
    reports: VecDeque<(StallReport, u64)>,
    /// Somebody tells them.
    is_told: bool,
}

const QUEUE_MAX: usize = 1024;
const LATEST_MAX: usize = 64;

impl StallHooks {
    /// Listens to the stalls of `runtime`. Before its workers start.
    pub(crate) fn install(
        runtime: &'static Runtime,
        hooks: Vec<StallHook>,
        stacks: bool,
    ) -> &'static Self {
        let this: &'static Self = Box::leak(Box::new(Self {
            hooks: Mutex::new(hooks),
            queue: Mutex::default(),
            latest: Mutex::default(),
            log: LogLimit::new(),
            stacks,
        }));
        runtime.stalls().set_sink(move |stalled| {
            let turn = stalled.turns;
            this.push(runtime, (report(stalled), turn));
        });
        this
    }

    pub(crate) fn add(&self, hook: StallHook) {
        lock(&self.hooks).push(hook);
    }

    /// The latest reports, the latest first.
    pub(crate) fn latest(&self, limit: usize) -> Vec<StallReport> {
        lock(&self.latest)
            .iter()
            .rev()
            .take(limit)
            .cloned()
            .collect()
    }

    fn push(&'static self, runtime: &'static Runtime, report: (StallReport, u64)) {
        let mut queue = lock(&self.queue);
        if queue.reports.len() == QUEUE_MAX {
            queue.reports.pop_front();
        }
        queue.reports.push_back(report);
        if std::mem::replace(&mut queue.is_told, true) {
            return;
        }
        drop(queue);
        // Not run if tokio is being shut down: that is the end of all reports.
        drop(runtime.reactors()[0].spawn_blocking(move || tell_all(self, runtime)));
    }
}

/// Tells what waits.
fn tell_all(hooks: &StallHooks, runtime: &'static Runtime) {
    // A listener's panic is counted, and no more.
    let _booked = book(runtime);
    loop {
        let mut queue = lock(&hooks.queue);
        let Some((mut report, turn)) = queue.reports.pop_front() else {
            queue.is_told = false;
            return;
        };
        drop(queue);
        if hooks.stacks && report.still_running {
            report.stack = runtime.stack_of(report.worker, turn).map(Arc::new);
        }
        hooks.keep(&report);
        hooks.log(&report);
        let listeners: Vec<StallHook> = lock(&hooks.hooks).clone();
        for listener in listeners {
            contain(|| listener(&report));
        }
    }
}

impl StallHooks {
    fn keep(&self, report: &StallReport) {
        let mut latest = lock(&self.latest);
        if latest.len() == LATEST_MAX {
            latest.pop_front();
        }
        latest.push_back(report.clone());
    }

    fn log(&self, report: &StallReport) {
        let Some(suppressed) = self.log.admit() else {
            return;
        };
        let StallReport {
            actor,
            actor_type,
            message,
            worker,
            lasted,
            still_running,
            ..
        } = report;
        log!(
            warn,
            target: "actor_core::stall",
            %actor, actor_type, name = report.name.as_deref(), message_type = message,
            trace_id = report.trace_id.map(tracing::field::display),
            %worker, ?lasted, still_running, suppressed,
            stack = report.stack.as_deref().map(tracing::field::display),
            "a handler holds up its worker: move blocking work to cx.blocking(..)"
        );
    }
}

impl fmt::Debug for StallHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StallHooks")
            .field("hooks", &lock(&self.hooks).len())
            .finish_non_exhaustive()
    }
}

fn report(stalled: Stalled) -> StallReport {
    let Stalled {
        look,
        name,
        worker,
        numa_node,
        since,
        lasted,
        running,
        turns: _,
    } = stalled;
    StallReport {
        actor: look.actor,
        actor_type: look.actor_type,
        name,
        message: look.message,
        trace_id: TraceId::new(look.trace),
        worker,
        numa_node,
        started: since,
        lasted,
        still_running: running,
        stack: None,
    }
}

/// Nothing panics under these locks but an allocation that fails.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

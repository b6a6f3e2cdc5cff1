//! The watchdog's settings, and listening to what it finds.

use std::sync::Arc;
use std::time::Duration;

use super::SystemRef;
use super::builder::SystemBuilder;
use super::start_error::StartError;
use crate::scheduler::{SparePin, WatchdogConfig};
use crate::telemetry::{StallHook, StallReport};
use crate::topology::{Seat, Topology, affinity};

/// What the builder was told.
pub(super) struct StallSettings {
    is_on: bool,
    relieve_after: Duration,
    report_after: Duration,
    /// Per NUMA node; `None`: as many as it has workers.
    spares: Option<usize>,
    pub(super) hooks: Vec<StallHook>,
    pub(super) stacks: bool,
}

/// The most spares of one NUMA node.
const SPARES_MAX: usize = 64;
/// The shortest and the longest thresholds.
const AFTER: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(3600));

impl Default for StallSettings {
    fn default() -> Self {
        Self {
            is_on: true,
            // Go preempts after as much. Half of a latency that a user notices, and hundreds of times what an
            // honest turn takes.
            relieve_after: Duration::from_millis(10),
            report_after: Duration::from_millis(100),
            spares: None,
            hooks: Vec::new(),
            stacks: true,
        }
    }
}

impl SystemBuilder {
    /// Whether a thread looks after workers that are stuck in a handler. Default: on.
    ///
    /// Off, a handler that blocks keeps its worker, and what is queued behind it on a NUMA node with one
    /// worker waits; nothing is reported.
    pub fn watchdog(mut self, on: bool) -> Self {
        self.stalls.is_on = on;
        self
    }

    /// How long a worker may be in one turn while actors wait at its NUMA node, before a spare thread
    /// takes turns in its place: 1 ms to 1 h. Default: 10 ms.
    ///
    /// The watchdog looks twice as often as the shorter of this and
    /// [`report_stalls_after`](Self::report_stalls_after) while anything runs, so lower thresholds cost
    /// more wake-ups.
    pub fn relieve_after(mut self, after: Duration) -> Self {
        self.stalls.relieve_after = after;
        self
    }

    /// How long a turn may last before it is reported as a stall, whether or not anybody waits: 1 ms to
    /// 1 h. Default: 100 ms.
    pub fn report_stalls_after(mut self, after: Duration) -> Self {
        self.stalls.report_after = after;
        self
    }

    /// The most spare threads of each NUMA node: 0 to 64. Default: as many as the NUMA node has workers.
    ///
    /// They are started when first needed, wait parked between two stalls, and end with the system. With
    /// 0 stalls are reported, but nobody is relieved.
    pub fn spares(mut self, per_numa_node: usize) -> Self {
        self.stalls.spares = Some(per_numa_node);
        self
    }

    /// Whether reports of stalls that go on say which functions the handler is in. Default: yes, with the feature
    /// `stall-stacks` (Linux on x86-64 and aarch64); never without it.
    ///
    /// The thread is interrupted by SIGURG for some microseconds, to copy its stack: see docs/stalls.md for what that
    /// means. A program that handles this signal itself gets no stacks.
    pub fn stall_stacks(mut self, on: bool) -> Self {
        self.stalls.stacks = on;
        self
    }

    /// As [`SystemRef::on_stall`], from the start.
    pub fn on_stall(mut self, listener: impl Fn(&StallReport) + Send + Sync + 'static) -> Self {
        self.stalls.hooks.push(Arc::new(listener));
        self
    }
}

impl SystemRef {
    /// Has `listener` called for every stall: a turn that lasts longer than
    /// [`report_stalls_after`](SystemBuilder::report_stalls_after), once when that is noticed and once
    /// when it is over.
    ///
    /// Stalls are also logged, whether or not anybody listens: a `tracing` warning of target
    /// `actor_core::stall`, at most ten a second. Listeners are called one after the other, in the order
    /// they came, on a thread for blocking work; they stay for the life of the system. If one takes so
    /// long that 1024 reports wait, the oldest are left out. A panic in one is counted
    /// ([`ActorStats::panics`](crate::ActorStats::panics)) and does nothing else.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// let system = ActorSystem::new()?;
    /// system.on_stall(|stall| {
    ///     if stall.still_running {
    ///         eprintln!("{stall}");
    ///     }
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_stall(&self, listener: impl Fn(&StallReport) + Send + Sync + 'static) {
        self.plan.stalls.add(Arc::new(listener));
    }
}

impl StallSettings {
    /// # Errors
    ///
    /// `Setting` for a number out of range.
    pub(super) fn check(&self) -> Result<(), StartError> {
        for (setting, after) in [
            ("relieve_after", self.relieve_after),
            ("report_stalls_after", self.report_after),
        ] {
            if after < AFTER.0 || after > AFTER.1 {
                return Err(StartError::Setting {
                    setting,
                    asked: format!("{after:?}"),
                    allowed: "1ms to 3600s".to_owned(),
                });
            }
        }
        match self.spares {
            Some(spares) if spares > SPARES_MAX => Err(StartError::Setting {
                setting: "spares",
                asked: spares.to_string(),
                allowed: format!("0 to {SPARES_MAX} per NUMA node"),
            }),
            _ => Ok(()),
        }
    }

    /// Spares by NUMA index, for so many workers each.
    pub(super) fn spares_of(&self, workers: &[usize]) -> Vec<usize> {
        let of = |workers: &usize| match (self.is_on, self.spares) {
            (false, _) => 0,
            (true, Some(spares)) => spares,
            (true, None) => (*workers).clamp(1, SPARES_MAX),
        };
        workers.iter().map(of).collect()
    }

    pub(super) fn config(
        &self,
        spares: Vec<usize>,
        pins: Vec<Option<SparePin>>,
    ) -> Option<WatchdogConfig> {
        self.is_on.then_some(WatchdogConfig {
            relieve_after: self.relieve_after,
            report_after: self.report_after,
            spares,
            pins,
            chore: None,
        })
    }
}

impl std::fmt::Debug for StallSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StallSettings")
            .field("is_on", &self.is_on)
            .field("relieve_after", &self.relieve_after)
            .field("report_after", &self.report_after)
            .field("spares", &self.spares)
            .field("listeners", &self.hooks.len())
            .finish()
    }
}

/// Binds a spare to the CPUs of its NUMA node's workers: those of them that are free then serve it.
pub(super) fn pin_spare(topology: &Topology, seats: &[&Seat]) -> Option<SparePin> {
    let allowed = topology.allowed();
    let mut cpus: Vec<_> = seats.iter().filter_map(|seat| seat.cpu).collect();
    cpus.retain(|cpu| allowed.contains(cpu));
    if cpus.is_empty() {
        return None;
    }
    Some(Arc::new(move || {
        affinity::widen_current_thread(&cpus).map_err(|error| error.to_string())
    }))
}

//! Carrying out what `locality::Balancer` decides: ten times a second, on a thread of its own.
//!
//! Off unless asked for: then there is no thread, and the workers' samples are overwritten unread.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::SystemRef;
use crate::cell::{CellRef, Runtime};
use crate::clock::Tick;
use crate::id::ActorId;
use crate::locality::{Balancer, Balancing, Row};
use crate::mailbox::ledger::Count;
use crate::telemetry::BalancingStats;

pub(crate) const INTERVAL: Duration = Duration::from_millis(100);
/// Over which the share of crossing messages is told.
const WINDOW: Duration = Duration::from_secs(1);
/// A share of fewer messages says nothing.
const WINDOW_MESSAGES_MIN: u64 = 1000;

/// What the thread and the system share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    is_on: bool,
    is_ended: bool,
    stats: BalancingStats,
}

/// Ends the thread when dropped.
#[derive(Debug)]
pub(super) struct Thread {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
}

/// Starts the thread.
///
/// # Errors
///
/// What the operating system says to a new thread.
pub(super) fn start(
    runtime: &'static Runtime,
    options: Balancing,
) -> std::io::Result<(Arc<Shared>, Thread)> {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            is_on: true,
            is_ended: false,
            stats: BalancingStats::default(),
        }),
        changed: Condvar::new(),
    });
    let handle = std::thread::Builder::new()
        .name("actor-balancer".to_owned())
        .spawn({
            let shared = shared.clone();
            move || run(runtime, options, &shared)
        })?;
    let thread = Thread {
        shared: shared.clone(),
        handle: Some(handle),
    };
    Ok((shared, thread))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Numbers only; a panic leaves them as they were.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stats(&self) -> BalancingStats {
        let state = self.state();
        BalancingStats {
            is_on: state.is_on,
            ..state.stats
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.shared.state().is_ended = true;
        self.shared.changed.notify_all();
        if let Some(handle) = self.handle.take() {
            // It does not panic; and if it did, there would be nothing to do about it here.
            let _ = handle.join();
        }
    }
}

impl SystemRef {
    /// Turns the balancer off, or on again: the switch for the operator who suspects it. Actors stay where
    /// they are. `false`: the system was built without one.
    pub fn set_balancing(&self, is_on: bool) -> bool {
        let Some(shared) = &self.plan.balancing else {
            return false;
        };
        shared.state().is_on = is_on;
        true
    }
}

fn run(runtime: &'static Runtime, options: Balancing, shared: &Shared) {
    let traffic = runtime.traffic();
    let mut balancer = Balancer::new(options, traffic.numa_nodes(), Tick::now());
    let mut window = Window::begin(runtime);
    loop {
        let state = shared.state();
        let (state, _) = shared
            .changed
            .wait_timeout_while(state, INTERVAL, |state| !state.is_ended)
            .unwrap_or_else(PoisonError::into_inner);
        if state.is_ended {
            return;
        }
        let is_on = state.is_on;
        drop(state);
        let (mut samples, mut moves) = (0, 0);
        if is_on {
            for row in traffic.rows() {
                for target in row.take_samples() {
                    balancer.handle_sample(target, row.numa_index());
                    samples += 1;
                }
            }
            for each in balancer.poll_moves(Tick::now(), home_in(runtime)) {
                CellRef::of(each.actor).move_home(each.actor.generation(), each.to);
                moves += 1;
            }
        }
        let share = window.close(runtime);
        let stats = &mut shared.state().stats;
        if let Some(share) = share {
            stats.crossing_now = Some(share);
            if stats.moves == 0 {
                stats.crossing_before = Some(share);
            }
        }
        stats.samples += samples;
        stats.moves += moves;
    }
}

/// The NUMA index of an actor of this system, while it is alive.
fn home_in(runtime: &'static Runtime) -> impl Fn(ActorId) -> Option<usize> {
    move |actor| {
        let cell = CellRef::of(actor);
        let here = std::ptr::eq(cell.runtime(), runtime);
        // Whose thread is bound to its NUMA node does not move.
        let movable = here && cell.generation() == actor.generation() && !cell.is_dedicated();
        movable.then(|| cell.numa_index())
    }
}

/// Messages of one stretch of time.
struct Window {
    began: Tick,
    sent: u64,
    across: u64,
}

impl Window {
    fn begin(runtime: &Runtime) -> Self {
        let rows = runtime.traffic().rows();
        Self {
            began: Tick::now(),
            sent: runtime.ledger().of_workers(Count::Accepted).sum(),
            across: rows.flat_map(Row::across).sum(),
        }
    }

    /// The share of messages that crossed, once the window is over.
    fn close(&mut self, runtime: &Runtime) -> Option<f64> {
        if self.began.until(Tick::now()) < WINDOW {
            return None;
        }
        let before = std::mem::replace(self, Self::begin(runtime));
        let sent = self.sent.saturating_sub(before.sent);
        let across = self.across.saturating_sub(before.across);
        (sent >= WINDOW_MESSAGES_MIN).then(|| across as f64 / sent as f64)
    }
}

//! From "no more" to nothing left: the phases one after another, then kill, stop the workers, close the
//! books.
//!
//! ```text
//!  unready -> drain delay -> refuse spawns and sends from outside
//!    -> drain the tree, children before parents, last child first
//!    -> (grace over) kill: handlers are cut off at their await
//!    -> stop the workers -> what is still queued becomes dead letters -> stop timers and tokio
//! ```
//!
//! The user's phases stand between these steps (`phases`); `control` sees to it that all this happens once.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::blocking::{self, BlockingLeft};
use super::control::Settings;
use super::engine::{Engine, KILL_GRACE};
use super::leftover::{self, LeftBehind};
use super::os_signal::{OsSignal, Termination};
use super::phases::{DRAIN_ACTORS, ShutdownPhase, Step};
use super::{ActorSystem, SystemRef};
use crate::cell::{CellRef, Local, StopMode, StopReason};
use crate::contain::{log, panic_text};
use crate::id::{ActorId, WorkerId};
use crate::mailbox::Conservation;
use crate::mailbox::ledger::Count;

/// How a shutdown went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Whether every actor had handled its mailbox and stopped by itself within the grace.
    pub drained: bool,
    /// How long it took.
    pub elapsed: Duration,
    /// The phases in the order they ran, the runtime's own among them.
    pub phases: Vec<PhaseReport>,
    /// Handlers that did not come back: they were running, not awaiting, when the time was up.
    pub abandoned: Vec<Abandoned>,
    /// Work on blocking threads that did not come back.
    pub blocking_left: Vec<BlockingLeft>,
    /// Actors that had not stopped when it ended.
    pub actors_left: u64,
    /// Who they are: at most 64 of them, those at work first.
    pub left_behind: Vec<LeftBehind>,
    /// The books at the end.
    pub conservation: Conservation,
}

/// A worker that did not come back from a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Abandoned {
    /// The worker.
    pub worker: WorkerId,
    /// The actor it is running.
    pub actor: Option<ActorId>,
    /// The actor's Rust type.
    pub actor_type: Option<&'static str>,
}

/// How one phase went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// Its end.
    pub outcome: PhaseOutcome,
    /// How long it took.
    pub elapsed: Duration,
}

/// The end of a phase.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PhaseOutcome {
    /// As it should.
    Done,
    /// Its future ended with an error.
    Failed(String),
    /// It panicked.
    Panicked(String),
    /// Its time was up.
    TimedOut {
        /// The time it had.
        limit: Duration,
        /// Whether it goes on all the same, because it blocks its thread rather than awaits.
        still_running: bool,
    },
    /// The grace was over before it began.
    Skipped,
}

impl fmt::Display for PhaseOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::TimedOut {
                limit,
                still_running: false,
            } => write!(f, "timed out after {limit:.1?}"),
            Self::TimedOut {
                limit,
                still_running: true,
            } => write!(
                f,
                "timed out after {limit:.1?} and still runs: it blocks its thread"
            ),
            Self::Skipped => f.write_str("skipped: the grace was over"),
        }
    }
}

impl ShutdownReport {
    /// Whether all was drained, every phase did what it should, and nothing was abandoned.
    pub fn is_clean(&self) -> bool {
        self.drained
            && self.abandoned.is_empty()
            && self.blocking_left.is_empty()
            && self.actors_left == 0
            && self
                .phases
                .iter()
                .all(|phase| phase.outcome == PhaseOutcome::Done)
    }

    /// For `main` to return: success if the shutdown was [clean](Self::is_clean), else 1.
    pub fn exit_code(&self) -> ExitCode {
        if self.is_clean() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.is_clean() {
            "clean"
        } else if self.drained {
            "drained"
        } else {
            "cut off by the end of the grace"
        };
        writeln!(f, "shutdown {how} after {:.1?}", self.elapsed)?;
        for phase in &self.phases {
            if phase.outcome != PhaseOutcome::Done {
                writeln!(f, "phase {}: {}", phase.name, phase.outcome)?;
            }
        }
        for Abandoned {
            worker,
            actor,
            actor_type,
        } in &self.abandoned
        {
            match (actor, actor_type) {
                (Some(actor), Some(actor_type)) => writeln!(
                    f,
                    "abandoned: {worker} is still in a handler of {actor} ({actor_type})"
                )?,
                (Some(actor), None) => {
                    writeln!(f, "abandoned: {worker} is still in a handler of {actor}")?
                }
                (None, _) => writeln!(f, "abandoned: {worker} did not stop")?,
            }
        }
        for BlockingLeft {
            work,
            actor,
            running_for,
        } in &self.blocking_left
        {
            write!(f, "abandoned: blocking work {work}")?;
            if let Some(actor) = actor {
                write!(f, " of {actor}")?;
            }
            writeln!(f, " has run for {running_for:.1?}")?;
        }
        if self.actors_left > 0 {
            writeln!(f, "actors left: {}", self.actors_left)?;
        }
        for left in &self.left_behind {
            writeln!(f, "left behind: {left}")?;
        }
        self.conservation.fmt(f)
    }
}

impl ActorSystem {
    /// Shuts the system down, phase by phase: turns unready and serves on for the
    /// [drain delay](super::SystemBuilder::drain_delay), refuses spawns and outside messages, lets every
    /// actor handle what it has accepted, stops children before parents, the last one first, and after
    /// `grace` cuts off what is left. Every accepted message is handled or recorded with its fate. Where
    /// [phases](super::ShutdownPhase) of your own go is up to you.
    ///
    /// Takes at most `grace` plus a second for the cutting off. A handler that neither returns nor
    /// awaits cannot be stopped; it is named in the report and its thread left behind.
    ///
    /// If somebody asked for a shutdown already ([`SystemRef::request_shutdown`]), waits for that one.
    ///
    /// # Panics
    ///
    /// If the operating system has no thread for it.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the shutdown runs to its end whether or not anybody waits; only the report is lost.
    pub async fn shutdown(self, grace: Duration) -> ShutdownReport {
        // Waiting needs a thread anyway (workers are joined), and must hold up no reactor.
        match self.request_shutdown(grace) {
            Ok(handle) => {
                // Its Drop would wait for the end on this thread.
                std::mem::forget(self);
                handle.report().await
            }
            Err(error) => panic!("no thread to shut the actor system down with: {error}"),
        }
    }

    /// As [`shutdown`](Self::shutdown), from a plain thread.
    ///
    /// # Panics
    ///
    /// On a worker of the system, which would wait for itself.
    pub fn shutdown_blocking(self, grace: Duration) -> ShutdownReport {
        assert!(
            Local::current().is_none(),
            "a worker cannot wait for its own system's shutdown"
        );
        let control = &self.system.plan.control;
        match control.begin() {
            Some((engine, settings)) => run(self.system, engine, settings, grace),
            None => control.wait(),
        }
    }

    /// Serves until SIGTERM, Ctrl-C or [`SystemRef::request_shutdown`], then shuts down with `grace` (or
    /// with the grace of that request).
    ///
    /// A second signal ends the process at once with exit code 130 (Ctrl-C) or 143 (SIGTERM), after
    /// printing what was being waited for: the phase, the actors at work.
    ///
    /// # Errors
    ///
    /// If the signals cannot be listened to; the system is then stopped abruptly.
    ///
    /// # Panics
    ///
    /// On a worker of the system, which would wait for itself.
    pub fn run_until_terminated(self, grace: Duration) -> io::Result<ShutdownReport> {
        let (tell, told) = mpsc::channel();
        let system = self.system;
        // One listener for both signals, or one that follows on the heels of the first would be missed;
        // on a thread of its own, because the system's reactors end with the system.
        std::thread::Builder::new()
            .name("actor-signal".to_owned())
            .spawn(move || listen(system, grace, &tell))?;
        let Ok(listening) = told.recv() else {
            unreachable!("the listener tells whether it listens");
        };
        listening?;
        Ok(system.wait_for_shutdown())
    }
}

/// Begins the shutdown at the first signal; ends the process at the second, or if all is over already.
fn listen(system: SystemRef, grace: Duration, tell: &mpsc::Sender<io::Result<()>>) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return drop(tell.send(Err(error))),
    };
    let listening = {
        let _entered = runtime.enter();
        Termination::listen()
    };
    let mut signals = match listening {
        Ok(signals) => signals,
        Err(error) => return drop(tell.send(Err(error))),
    };
    // The receiver waits in `run_until_terminated`.
    let _ = tell.send(Ok(()));
    match runtime.block_on(signals.next()) {
        Ok(signal) if system.plan.control.is_over() => exit(system, signal, "the shutdown is over"),
        Ok(first) => log!(info, signal = %first, "shutting down"),
        // A service that cannot hear of its end ends now, in order.
        Err(error) => log!(error, %error, "signals are lost: shutting down"),
    }
    if let Err(error) = system.request_shutdown(grace) {
        log!(error, %error, "no thread to shut the actor system down with");
        exit(system, OsSignal::Terminate, "no shutdown is possible");
    }
    if let Ok(second) = runtime.block_on(signals.next()) {
        exit(system, second, "second signal");
    }
}

/// Ends the process, saying what it leaves behind.
fn exit(system: SystemRef, signal: OsSignal, why: &str) -> ! {
    eprintln!("{why}: {signal}, exiting now");
    if !system.plan.control.is_over() {
        if let Some((phase, since)) = system.plan.control.phase() {
            eprintln!("abandoned: phase {phase}, since {since:.1?}");
        }
        let left = leftover::walk(system, LOOK_AROUND);
        for left in left.iter().filter(|left| left.is_at_work()) {
            eprintln!("abandoned: {left}");
        }
        eprintln!("{}", system.stats());
    }
    std::process::exit(match signal {
        OsSignal::Interrupt => 130,
        OsSignal::Terminate => 143,
    })
}

/// How long it takes to find out who is left if somebody does not answer; see [`leftover::walk`].
const LOOK_AROUND: Duration = Duration::from_millis(200);

/// How much longer than its time a phase is waited for, so that one that awaits is seen to end.
const PHASE_SLACK: Duration = Duration::from_millis(200);

/// All phases, then the end. For whoever took the engine.
pub(super) fn run(
    system: SystemRef,
    engine: Engine,
    settings: Settings,
    grace: Duration,
) -> ShutdownReport {
    let began = Instant::now();
    let control = &system.plan.control;
    // Some graces are meant to be endless.
    let left = || grace.saturating_sub(began.elapsed());
    let Settings {
        order,
        mut phases,
        drain_delay,
    } = settings;
    let mut reports = Vec::new();
    let mut drained = false;
    for step in order {
        let name = match step {
            Step::User(index) => phases[index].name.clone(),
            own => own.own_name().unwrap_or_default().to_owned(),
        };
        control.enter(&name);
        let at = Instant::now();
        let outcome = match step {
            Step::Unready => {
                system.plan.readiness.end();
                PhaseOutcome::Done
            }
            Step::DrainDelay => {
                // The actors need their share of the grace.
                std::thread::sleep(drain_delay.min(left() / 2));
                PhaseOutcome::Done
            }
            Step::StopIntake => {
                system.runtime.close();
                PhaseOutcome::Done
            }
            Step::DrainActors => {
                let limit = left();
                drained = drain(system, limit);
                if drained {
                    PhaseOutcome::Done
                } else {
                    PhaseOutcome::TimedOut {
                        limit,
                        still_running: false,
                    }
                }
            }
            Step::User(_) if left().is_zero() => PhaseOutcome::Skipped,
            Step::User(index) => run_phase(system, &mut phases[index], left()),
        };
        if !matches!(outcome, PhaseOutcome::Done) {
            log!(error, phase = name, "shutdown phase {outcome}");
        }
        reports.push(PhaseReport {
            name,
            outcome,
            elapsed: at.elapsed(),
        });
    }
    control.enter("stop-workers");
    let patience = left();
    finish(system, engine, began, drained, reports, patience)
}

/// Runs one of the user's phases on a thread of its own, for at most `left`.
fn run_phase(system: SystemRef, phase: &mut ShutdownPhase, left: Duration) -> PhaseOutcome {
    let Some(work) = phase.work.take() else {
        return PhaseOutcome::Done;
    };
    let limit = phase.timeout.min(left);
    let (tell, told) = mpsc::sync_channel(1);
    let spawned = std::thread::Builder::new()
        .name("actor-phase".to_owned())
        .spawn(move || {
            let tokio = system.tokio();
            let ran = catch_unwind(AssertUnwindSafe(|| {
                tokio.block_on(async { tokio::time::timeout(limit, async { work().await }).await })
            }));
            let outcome = match ran {
                Ok(Ok(Ok(()))) => PhaseOutcome::Done,
                Ok(Ok(Err(error))) => PhaseOutcome::Failed(error),
                Ok(Err(_)) => PhaseOutcome::TimedOut {
                    limit,
                    still_running: false,
                },
                Err(payload) => {
                    system.runtime.count(Count::Panics, 1);
                    PhaseOutcome::Panicked(panic_text(payload))
                }
            };
            // Nobody listens any more if it took too long.
            let _ = tell.send(outcome);
        });
    if let Err(error) = spawned {
        return PhaseOutcome::Failed(format!("no thread for it: {error}"));
    }
    told.recv_timeout(limit.saturating_add(PHASE_SLACK))
        .unwrap_or(PhaseOutcome::TimedOut {
            limit,
            still_running: true,
        })
}

/// Lets the actors come to their end, and kills them when the time is up.
fn drain(system: SystemRef, limit: Duration) -> bool {
    let runtime = system.runtime;
    let root = runtime.root();
    root.stop(root.generation(), StopMode::Drain, StopReason::Shutdown);
    let drained = runtime.ended().wait(limit);
    if !drained {
        root.stop(root.generation(), StopMode::Kill, StopReason::Killed);
        wait_for_killed(system);
    }
    drained
}

/// Waits for killed actors as long as they keep ending: a crowd takes its time on a slow machine. Who is in a
/// handler, on a worker or on a blocking thread, has had its time; the others only wait for a CPU. A turn is
/// no handler yet: one that does not end within two looks is taken for one.
fn wait_for_killed(system: SystemRef) {
    const LOOKS: u32 = 6;
    let runtime = system.runtime;
    let ends = || runtime.ledger().sum(Count::Stopped);
    let (mut before, mut looks) = (ends(), 0);
    while !runtime.ended().wait(KILL_GRACE) {
        let now = ends();
        looks = if now == before { looks + 1 } else { 0 };
        before = now;
        let in_handlers = runtime.running_now().next().is_some()
            || runtime.pools().iter().any(|pool| pool.counts().running > 0);
        if looks == LOOKS || looks > 1 && in_handlers {
            return;
        }
    }
}

/// Kills at once; for a system that is dropped.
pub(super) fn abrupt(system: SystemRef, engine: Engine, wait: Duration) {
    let began = Instant::now();
    let runtime = system.runtime;
    let root = runtime.root();
    system.plan.readiness.end();
    system.plan.control.enter(DRAIN_ACTORS);
    runtime.close();
    root.stop(root.generation(), StopMode::Kill, StopReason::Killed);
    if Local::current().is_some() || tokio::runtime::Handle::try_current().is_ok() {
        // Waiting here could hold up the very thread that is waited for.
        let detached = std::thread::Builder::new()
            .name("actor-shutdown".to_owned())
            .spawn(move || {
                runtime.ended().wait(wait);
                finish(system, engine, began, false, Vec::new(), Duration::ZERO);
            });
        if let Err(error) = detached {
            log!(error, %error, "no thread to stop the actor system with; its workers go on");
        }
        return;
    }
    runtime.ended().wait(wait);
    finish(system, engine, began, false, Vec::new(), Duration::ZERO);
}

/// Waits for the workers to leave; those that do not are abandoned.
///
/// One that is in a handler has had its time. One that is not only waits for a CPU, on a machine that is
/// busy with something else: it is waited for while the grace lasts, rather than called abandoned. So is one
/// in a turn if `all_ended`, because then the turn is the runtime's own: it clears up after the last.
fn join(system: SystemRef, all_ended: bool, patience: Duration) -> Vec<WorkerId> {
    let began = Instant::now();
    loop {
        let Err(missing) = system.runtime.scheduler().join(KILL_GRACE) else {
            return Vec::new();
        };
        let in_handlers = missing
            .iter()
            .all(|worker| system.runtime.running_on(*worker).is_some());
        if in_handlers && !all_ended || began.elapsed() >= patience {
            return missing;
        }
    }
}

fn finish(
    system: SystemRef,
    engine: Engine,
    began: Instant,
    drained: bool,
    phases: Vec<PhaseReport>,
    patience: Duration,
) -> ShutdownReport {
    let runtime = system.runtime;
    let scheduler = runtime.scheduler();
    let entered = Instant::now();
    // While the workers still run: an actor whose handler is there ends when it comes back.
    let blocking_left = blocking::close(runtime, patience.max(KILL_GRACE));
    // The root does not wait for actors that hang.
    let all_ended = runtime.ended().is_open() && system.stats().actors.abandoned == 0;
    let left_behind = if all_ended {
        Vec::new()
    } else {
        // While the workers still answer.
        leftover::walk(system, LOOK_AROUND)
    };
    scheduler.stop();
    let patience = patience.saturating_sub(entered.elapsed());
    let abandoned: Vec<Abandoned> = join(system, all_ended, patience)
        .into_iter()
        .map(|worker| {
            let actor = runtime.running_on(worker);
            Abandoned {
                worker,
                actor,
                actor_type: actor
                    .and_then(|actor| CellRef::of(actor).type_name_of(actor.generation())),
            }
        })
        .collect();
    runtime.sweep();
    runtime.timers().stop();
    drop(engine);
    let stats = system.stats();
    let report = ShutdownReport {
        drained,
        elapsed: began.elapsed(),
        phases,
        abandoned,
        blocking_left,
        // The root counts itself in both.
        actors_left: stats.actors.alive(),
        left_behind: if stats.actors.alive() == 0 {
            Vec::new()
        } else {
            left_behind
        },
        conservation: stats.messages,
    };
    system.plan.control.finish(report.clone());
    report
}

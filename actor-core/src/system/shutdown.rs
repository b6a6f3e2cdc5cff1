//! From "no more" to nothing left: drain, kill, stop the workers, close the books.
//!
//! ```text
//!  refuse spawns and sends from outside -> drain the tree, children before parents, last child first
//!    -> (grace over) kill: handlers are cut off at their await
//!    -> stop the workers -> what is still queued becomes dead letters -> stop timers and tokio
//! ```

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::builder::{Engine, KILL_GRACE};
use super::os_signal::{OsSignal, Termination};
use super::{ActorSystem, SystemRef};
use crate::cell::{Local, StopMode, StopReason};
use crate::id::{ActorId, WorkerId};
use crate::mailbox::Conservation;

/// How a shutdown went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Whether every actor had handled its mailbox and stopped by itself within the grace.
    pub drained: bool,
    /// How long it took.
    pub elapsed: Duration,
    /// Handlers that did not come back: they were running, not awaiting, when the time was up.
    pub abandoned: Vec<Abandoned>,
    /// Actors that had not stopped when it ended.
    pub actors_left: u64,
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
}

impl ShutdownReport {
    /// Whether all was drained and nothing abandoned.
    pub fn is_clean(&self) -> bool {
        self.drained && self.abandoned.is_empty() && self.actors_left == 0
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
        for Abandoned { worker, actor } in &self.abandoned {
            match actor {
                Some(actor) => writeln!(f, "abandoned: {worker} is still in a handler of {actor}")?,
                None => writeln!(f, "abandoned: {worker} did not stop")?,
            }
        }
        if self.actors_left > 0 {
            writeln!(f, "actors left: {}", self.actors_left)?;
        }
        self.conservation.fmt(f)
    }
}

impl ActorSystem {
    /// Shuts the system down: refuses spawns and outside messages at once, lets every actor handle
    /// what it has accepted, stops children before parents, the last one first, and after `grace` cuts
    /// off what is left. Every accepted message is handled or recorded with its fate.
    ///
    /// Takes at most `grace` plus half a second for the cutting off. A handler that neither returns nor
    /// awaits cannot be stopped; it is named in the report and its thread left behind.
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
        let (tell, told) = tokio::sync::oneshot::channel();
        let spawned = std::thread::Builder::new()
            .name("actor-shutdown".to_owned())
            .spawn(move || {
                // Nobody listens if the caller gave up; the shutdown happened all the same.
                let _ = tell.send(self.shutdown_blocking(grace));
            });
        if let Err(error) = spawned {
            panic!("no thread to shut the actor system down with: {error}");
        }
        told.await.expect("a shutdown does not panic")
    }

    /// As [`shutdown`](Self::shutdown), from a plain thread.
    ///
    /// # Panics
    ///
    /// On a worker of the system, which would wait for itself.
    pub fn shutdown_blocking(mut self, grace: Duration) -> ShutdownReport {
        assert!(
            Local::current().is_none(),
            "a worker cannot wait for its own system's shutdown"
        );
        let Some(engine) = self.engine.take() else {
            unreachable!("a system is shut down once: shutdown takes it");
        };
        run(self.system, engine, grace)
    }

    /// Serves until SIGTERM or Ctrl-C, then shuts down with `grace`.
    ///
    /// A second signal ends the process at once with exit code 130 (Ctrl-C) or 143 (SIGTERM), after
    /// printing what was being waited for.
    ///
    /// # Errors
    ///
    /// If the signals cannot be listened to; the system is then stopped abruptly.
    pub fn run_until_terminated(self, grace: Duration) -> io::Result<ShutdownReport> {
        let (tell, told) = mpsc::channel();
        let system = self.system;
        // One listener for both signals, or one that follows on the heels of the first would be missed;
        // on a thread of its own, because the system's reactors end with the system.
        std::thread::Builder::new()
            .name("actor-signal".to_owned())
            .spawn(move || listen(system, &tell))?;
        let Ok(first) = told.recv() else {
            unreachable!("the listener tells of a signal or of why there is none");
        };
        let first = first?;
        tracing::info!(signal = %first, "shutting down");
        Ok(self.shutdown_blocking(grace))
    }
}

/// Tells of the first signal; ends the process at the second.
fn listen(system: SystemRef, tell: &mpsc::Sender<io::Result<OsSignal>>) {
    let both = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut signals = {
            let _entered = runtime.enter();
            Termination::listen()?
        };
        let first = runtime.block_on(signals.next())?;
        // Nobody listens any more if the caller's thread is gone; the signal was heard all the same.
        let _ = tell.send(Ok(first));
        runtime.block_on(signals.next())
    };
    match both() {
        Ok(second) => {
            eprintln!("second {second}: exiting now with {}", system.stats());
            std::process::exit(match second {
                OsSignal::Interrupt => 130,
                OsSignal::Terminate => 143,
            });
        }
        // After the first signal there is nobody to tell; the shutdown goes on by itself.
        Err(error) => drop(tell.send(Err(error))),
    }
}

fn run(system: SystemRef, engine: Engine, grace: Duration) -> ShutdownReport {
    let began = Instant::now();
    let runtime = system.runtime;
    let root = runtime.root();
    runtime.close();
    root.stop(root.generation(), StopMode::Drain, StopReason::Shutdown);
    let drained = runtime.ended().wait(grace);
    if !drained {
        root.stop(root.generation(), StopMode::Kill, StopReason::Killed);
        runtime.ended().wait(KILL_GRACE);
    }
    finish(system, engine, began, drained)
}

/// Kills at once; for a system that is dropped.
pub(super) fn abrupt(system: SystemRef, engine: Engine, wait: Duration) {
    let began = Instant::now();
    let runtime = system.runtime;
    let root = runtime.root();
    runtime.close();
    root.stop(root.generation(), StopMode::Kill, StopReason::Killed);
    if Local::current().is_some() || tokio::runtime::Handle::try_current().is_ok() {
        // Waiting here could hold up the very thread that is waited for.
        let detached = std::thread::Builder::new()
            .name("actor-shutdown".to_owned())
            .spawn(move || {
                runtime.ended().wait(wait);
                finish(system, engine, began, false);
            });
        if let Err(error) = detached {
            tracing::error!(%error, "no thread to stop the actor system with; its workers go on");
        }
        return;
    }
    runtime.ended().wait(wait);
    finish(system, engine, began, false);
}

fn finish(system: SystemRef, engine: Engine, began: Instant, drained: bool) -> ShutdownReport {
    let runtime = system.runtime;
    let scheduler = runtime.scheduler();
    scheduler.stop();
    let abandoned = scheduler.join(KILL_GRACE).err().unwrap_or_default();
    let abandoned: Vec<Abandoned> = abandoned
        .into_iter()
        .map(|worker| Abandoned {
            worker,
            actor: runtime.running_on(worker),
        })
        .collect();
    runtime.sweep();
    runtime.timers().stop();
    drop(engine);
    let stats = system.stats();
    ShutdownReport {
        drained,
        elapsed: began.elapsed(),
        abandoned,
        // The root counts itself in both.
        actors_left: stats.actors.alive(),
        conservation: stats.messages,
    }
}

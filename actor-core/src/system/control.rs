//! One shutdown, however many ask for it, from wherever they ask.
//!
//! The engine (what ends with the system) lies here until the first who asks takes it; from then on
//! everybody waits for the same report. Leaked with the system, so that a reference may ask for ever.

use std::fmt;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::SystemRef;
use super::engine::Engine;
use super::phases::{ShutdownPhase, Step};
use super::shutdown::{self, ShutdownReport};
use crate::cell::Local;

/// What a shutdown has to do, decided when the system was built.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) order: Vec<Step>,
    pub(super) phases: Vec<ShutdownPhase>,
    pub(super) drain_delay: Duration,
}

/// The once and the waiting.
#[derive(Debug)]
pub(super) struct Control {
    /// Until somebody asks for the end.
    engine: Mutex<Option<(Engine, Settings)>>,
    /// The phase under way and since when.
    phase: Mutex<Option<(String, Instant)>>,
    over: Mutex<Option<ShutdownReport>>,
    is_over: Condvar,
    told: watch::Sender<Option<ShutdownReport>>,
}

impl Control {
    pub(super) fn new(engine: Engine, settings: Settings) -> Self {
        Self {
            engine: Mutex::new(Some((engine, settings))),
            phase: Mutex::new(None),
            over: Mutex::new(None),
            is_over: Condvar::new(),
            told: watch::Sender::new(None),
        }
    }

    /// For the first who asks.
    pub(super) fn begin(&self) -> Option<(Engine, Settings)> {
        lock(&self.engine).take()
    }

    pub(super) fn is_begun(&self) -> bool {
        lock(&self.engine).is_none()
    }

    pub(super) fn is_over(&self) -> bool {
        lock(&self.over).is_some()
    }

    pub(super) fn enter(&self, phase: &str) {
        *lock(&self.phase) = Some((phase.to_owned(), Instant::now()));
    }

    pub(super) fn phase(&self) -> Option<(String, Duration)> {
        lock(&self.phase)
            .as_ref()
            .map(|(name, since)| (name.clone(), since.elapsed()))
    }

    /// Tells all who wait.
    pub(super) fn finish(&self, report: ShutdownReport) {
        *lock(&self.over) = Some(report.clone());
        self.is_over.notify_all();
        self.told.send_replace(Some(report));
    }

    /// Waits on this thread.
    pub(super) fn wait(&self) -> ShutdownReport {
        let mut over = lock(&self.over);
        loop {
            if let Some(report) = &*over {
                return report.clone();
            }
            over = self
                .is_over
                .wait(over)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Nothing here runs user code under a lock, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SystemRef {
    /// Begins the shutdown and returns at once: from a thread, a task or an actor, any number of times.
    ///
    /// The first call decides the grace; all get the same report. What a shutdown does is said at
    /// [`ActorSystem::shutdown`](crate::ActorSystem::shutdown).
    ///
    /// # Errors
    ///
    /// If the operating system has no thread for it; nothing has begun then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use actor_core::prelude::*;
    ///
    /// struct Operator { system: SystemRef }
    /// impl Actor for Operator {}
    /// struct Quit;
    /// impl Message for Quit { type Reply = (); }
    /// impl SyncHandler<Quit> for Operator {
    ///     fn handle(&mut self, Quit: Quit, _cx: &mut ActorContext<Self>) {
    ///         // Not waited for here: the actor itself is among those that stop.
    ///         if let Err(error) = self.system.request_shutdown(Duration::from_secs(5)) {
    ///             eprintln!("cannot shut down: {error}");
    ///         }
    ///     }
    /// }
    ///
    /// let system = ActorSystem::new()?;
    /// let operator = system.spawn(Operator { system: system.handle() })?;
    /// operator.tell(Quit)?;
    /// let report = system.wait_for_shutdown();
    /// assert!(report.is_clean());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn request_shutdown(&self, grace: Duration) -> io::Result<ShutdownHandle> {
        let handle = ShutdownHandle { system: *self };
        if self.plan.control.is_begun() {
            return Ok(handle);
        }
        #[cfg(feature = "testkit")]
        if super::simulated::is_here(*self) {
            // The test ends it, or looks at what is left: `Simulation::shutdown`.
            super::simulated::begin_shutdown(*self);
            return Ok(handle);
        }
        // The thread first: without one the engine stays where it is.
        let (hand_over, taken) = mpsc::channel();
        let system = *self;
        std::thread::Builder::new()
            .name("actor-shutdown".to_owned())
            .spawn(move || {
                // Nothing comes if somebody else was first.
                if let Ok((engine, settings)) = taken.recv() {
                    shutdown::run(system, engine, settings, grace);
                }
            })?;
        if let Some(taken) = self.plan.control.begin() {
            let sent = hand_over.send(taken);
            debug_assert!(sent.is_ok(), "the thread waits for its work");
        }
        Ok(handle)
    }

    /// Waits on this thread until a shutdown that somebody asked for is over, for ever if nobody does.
    ///
    /// # Panics
    ///
    /// On a worker of a system: one would wait for itself.
    pub fn wait_for_shutdown(&self) -> ShutdownReport {
        assert!(
            Local::current().is_none(),
            "a worker cannot wait for a system's shutdown: await ShutdownHandle::report outside of actors"
        );
        #[cfg(feature = "testkit")]
        assert!(
            !super::simulated::is_here(*self) || self.plan.control.is_over(),
            "a simulation ends by Simulation::shutdown, on the thread that runs it"
        );
        self.plan.control.wait()
    }
}

/// A shutdown that was asked for: `Clone`, for all who want to know how it went.
#[derive(Clone)]
pub struct ShutdownHandle {
    system: SystemRef,
}

impl ShutdownHandle {
    /// Waits for the end. Everybody gets the same report.
    ///
    /// An actor of the system must not await it: its handler would be waited for until the grace is over.
    ///
    /// # Cancel safety
    ///
    /// The shutdown goes on; ask again at any time.
    pub async fn report(&self) -> ShutdownReport {
        let mut told = self.system.plan.control.told.subscribe();
        match told.wait_for(Option::is_some).await {
            Ok(report) => report.clone(),
            // The sending half is leaked with the system.
            Err(_) => None,
        }
        .expect("a shutdown tells of its end before its channel goes")
    }

    /// As [`report`](Self::report), on this thread.
    ///
    /// # Panics
    ///
    /// On a worker of a system.
    pub fn report_blocking(&self) -> ShutdownReport {
        self.system.wait_for_shutdown()
    }

    /// The report, if it is over.
    pub fn try_report(&self) -> Option<ShutdownReport> {
        lock(&self.system.plan.control.over).clone()
    }

    /// The phase under way and how long it has been; `None` before the first.
    pub fn phase(&self) -> Option<(String, Duration)> {
        self.system.plan.control.phase()
    }
}

impl fmt::Debug for ShutdownHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownHandle")
            .field("phase", &self.phase())
            .field("is_over", &self.system.plan.control.is_over())
            .finish_non_exhaustive()
    }
}

//! tokio in lockstep: a current-thread runtime whose clock stands still until it is told to go on.
//!
//! tokio moves a paused clock by itself, to its next timer, as soon as it has nothing to run; there is
//! no call to ask for the next timer. So each visit is a `block_on` whose future is woken by the hook
//! that runs before tokio sleeps: the first time for [`Reactor::run_ready`], which leaves time alone,
//! the second time for [`Reactor::leap`], after tokio has moved its clock once, at most to the given
//! end. The clock of the runtime (`clock::virtual_time`) follows in the hook after the sleep, before
//! any task runs.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::clock::virtual_time;
use crate::sync::Mutex;

/// The tokio runtime of a simulation.
#[derive(Debug)]
pub(super) struct Reactor {
    tokio: tokio::runtime::Runtime,
    sleeper: Arc<Mutex<Sleeper>>,
    began: tokio::time::Instant,
}

/// What the hooks look at.
#[derive(Debug, Default)]
struct Sleeper {
    /// Times tokio may go to sleep before the visit is over.
    sleeps_left: u32,
    visitor: Option<Waker>,
    began: Option<tokio::time::Instant>,
}

impl Reactor {
    /// Starts it and stops this thread's time.
    ///
    /// # Errors
    ///
    /// When the operating system refuses what tokio needs.
    pub(super) fn start() -> io::Result<Self> {
        let sleeper = Arc::new(Mutex::new(Sleeper::default()));
        let (before, after) = (Arc::clone(&sleeper), Arc::clone(&sleeper));
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .on_thread_park(move || {
                let mut sleeper = lock(&before);
                let visitor = match sleeper.sleeps_left.checked_sub(1) {
                    Some(left) => {
                        sleeper.sleeps_left = left;
                        None
                    }
                    None => sleeper.visitor.take(),
                };
                drop(sleeper);
                if let Some(visitor) = visitor {
                    visitor.wake();
                }
            })
            .on_thread_unpark(move || {
                let began = lock(&after).began;
                if let Some(began) = began {
                    virtual_time::set_elapsed(began.elapsed());
                }
            })
            .build()?;
        let began = {
            let _entered = tokio.enter();
            tokio::time::Instant::now()
        };
        lock(&sleeper).began = Some(began);
        virtual_time::stop_at_start(began.into_std());
        Ok(Self {
            tokio,
            sleeper,
            began,
        })
    }

    pub(super) fn handle(&self) -> &tokio::runtime::Handle {
        self.tokio.handle()
    }

    /// Tasks that were spawned and have not ended.
    pub(super) fn tasks(&self) -> usize {
        self.tokio.metrics().num_alive_tasks()
    }

    /// Runs tasks until none is ready. Time stands still.
    pub(super) fn run_ready(&self) {
        self.visit(0, None);
    }

    /// Lets time pass to tokio's next timer, or to so long after the start if that comes first.
    pub(super) fn leap(&self, end: Duration) {
        self.visit(1, Some(end));
    }

    fn visit(&self, sleeps: u32, end: Option<Duration>) {
        lock(&self.sleeper).sleeps_left = sleeps;
        self.tokio.block_on(async {
            // tokio's clock reaches as far as ours does not: some decades.
            let end = end.and_then(|end| self.began.checked_add(end));
            let mut alarm = pin!(async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            });
            let mut visited = false;
            poll_fn(|task| {
                let alarmed = alarm.as_mut().poll(task).is_ready();
                // Woken by the hook: its waker is gone from where it was.
                let over = visited && lock(&self.sleeper).visitor.is_none();
                visited = true;
                if alarmed || over {
                    return Poll::Ready(());
                }
                lock(&self.sleeper).visitor = Some(task.waker().clone());
                Poll::Pending
            })
            .await;
        });
        lock(&self.sleeper).visitor = None;
        let _entered = self.tokio.enter();
        virtual_time::set_elapsed(self.began.elapsed());
    }

    /// Ends tokio; its tasks are dropped.
    pub(super) fn stop(self) {
        self.tokio.shutdown_background();
    }
}

fn lock(sleeper: &Mutex<Sleeper>) -> std::sync::MutexGuard<'_, Sleeper> {
    // Nothing of others runs under it.
    sleeper
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

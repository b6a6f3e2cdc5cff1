//! Counts tasks, so that an end can wait for them and a test can see that none is left.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::sync::Notify;

/// The tasks of one transport.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    running: AtomicUsize,
    idle: Notify,
}

impl Tasks {
    /// Runs a task that is counted until its last bit is dropped, also when its runtime goes away.
    pub(crate) fn spawn(&self, on: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        let running = Running::new(self.0.clone());
        on.spawn(async move {
            // Declared before the task's own values, so dropped after them.
            let _running = running;
            task.await;
        });
    }

    pub(crate) fn running(&self) -> usize {
        // Relaxed: a number to look at.
        self.0.running.load(Ordering::Relaxed)
    }

    /// Until no task runs.
    pub(crate) async fn idle(&self) {
        loop {
            let idle = self.0.idle.notified();
            tokio::pin!(idle);
            // Before the look, so that the last one's end is not missed.
            idle.as_mut().enable();
            // Acquire: with the Release of the last task's end, whose effects are then seen.
            if self.0.running.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }
}

struct Running(Arc<Shared>);

impl Running {
    fn new(shared: Arc<Shared>) -> Self {
        // Relaxed: who spawns is a task that is counted, or whoever will wait.
        shared.running.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // AcqRel: partner of the Acquire in `idle`, through the decrements between.
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

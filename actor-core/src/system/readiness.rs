//! Whether the system wants new work: what a health endpoint asks and a server listens to.
//!
//! Two wishes in one value: the program's own (warm-up not done, a dependency lost) and that of a
//! shutdown, which is final. Kept in a watch channel, so that both a poll and a wait are at hand.

use std::fmt;

use tokio::sync::watch;

use super::SystemRef;

/// A copy of the system's readiness that can be waited on. `Clone`, valid for ever.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::prelude::*;
///
/// let system = ActorSystem::new()?;
/// let mut readiness = system.readiness();
/// assert!(readiness.is_ready());
/// // A server would do this in its accept loop, beside `accept()`.
/// let server = std::thread::spawn({
///     let tokio = system.tokio().clone();
///     move || tokio.block_on(readiness.until_unready())
/// });
/// system.shutdown_blocking(Duration::from_secs(5));
/// server.join().unwrap();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Readiness(watch::Receiver<State>);

impl Readiness {
    /// Whether the system wants new work now.
    pub fn is_ready(&self) -> bool {
        self.0.borrow().is_ready()
    }

    /// Waits until it does not; at once if it does not already.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when dropped.
    pub async fn until_unready(&mut self) {
        self.until(false).await;
    }

    /// Waits until it does; for ever once a shutdown has begun.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when dropped.
    pub async fn until_ready(&mut self) {
        self.until(true).await;
    }

    async fn until(&mut self, wanted: bool) {
        let reached = self
            .0
            .wait_for(|state| state.is_ready() == wanted)
            .await
            .is_ok();
        // The sending half is leaked with the system.
        debug_assert!(reached, "a system's readiness outlives it");
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Readiness").field(&self.is_ready()).finish()
    }
}

#[derive(Clone, Copy, Debug)]
struct State {
    wanted: bool,
    ending: bool,
}

impl State {
    fn is_ready(self) -> bool {
        self.wanted && !self.ending
    }
}

/// The system's end.
#[derive(Debug)]
pub(super) struct Source(watch::Sender<State>);

impl Source {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(State {
            wanted: true,
            ending: false,
        }))
    }

    /// A shutdown has begun.
    pub(super) fn end(&self) {
        self.0.send_modify(|state| state.ending = true);
    }
}

impl SystemRef {
    /// Whether new work is welcome, for a readiness probe: true from the start, until a shutdown begins
    /// or [`set_ready`](Self::set_ready) says otherwise.
    ///
    /// Messages are taken all the same until the phase `stop-intake` of a shutdown.
    pub fn is_ready(&self) -> bool {
        self.plan.readiness.0.borrow().is_ready()
    }

    /// Says whether the program itself is ready: false while caches warm up, say. No effect once a
    /// shutdown has begun.
    pub fn set_ready(&self, ready: bool) {
        self.plan
            .readiness
            .0
            .send_modify(|state| state.wanted = ready);
    }

    /// To wait for a change of [`is_ready`](Self::is_ready).
    pub fn readiness(&self) -> Readiness {
        Readiness(self.plan.readiness.0.subscribe())
    }
}

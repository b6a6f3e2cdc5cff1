//! The wheel behind a lock, and the thread that turns it.

#[cfg(feature = "testkit")]
mod manual;

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, PoisonError};
use std::task::Waker;

use crate::clock::Tick;
use crate::contain::log;
use crate::sync::{Mutex, MutexGuard, thread};

use super::alarm::Due;
use super::wheel::{Key, Wheel};

/// Wakes wakers at given times. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Service {
    shared: Arc<Shared>,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

/// What the timers of one wheel did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TimerStats {
    /// Timers that wait now.
    pub(crate) pending: usize,
    /// Timers whose time came.
    pub(crate) fired: u64,
    /// Wakers that panicked when woken.
    pub(crate) waker_panics: u64,
    /// Inserts that had to wake the thread, because they were due before all others.
    pub(crate) bells: u64,
}

impl Service {
    /// Starts the thread, which calls `begin` first; timers lie in that arena.
    ///
    /// The thread inherits the CPU mask of the caller unless `begin` sets one. It should be wide: a thread
    /// that shares one CPU with a busy worker fires when that worker lets it.
    ///
    /// # Errors
    ///
    /// When the operating system refuses a thread.
    pub(super) fn start(
        name: String,
        arena: u8,
        begin: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(Tick::now(), arena));
        let thread = thread::Builder::new().name(name).spawn({
            let shared = Arc::clone(&shared);
            move || {
                begin();
                shared.run();
            }
        })?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Wakes `waker` once; as [`insert`](Self::insert).
    #[cfg(test)]
    pub(super) fn wake_at(&self, at: Tick, waker: Waker) -> Key {
        self.insert(at, Due::Wake(waker))
    }

    /// Does what is to be done once, at `at` or up to a tick later; soon, if `at` has passed.
    ///
    /// After [`stop`](Self::stop) it is dropped undone and the key fits nothing.
    pub(super) fn insert(&self, at: Tick, due: Due) -> Key {
        let mut state = self.shared.lock();
        if state.stopping {
            drop(state);
            drop(due);
            return Key::FITS_NOTHING;
        }
        let key = state.wheel.insert(at, due);
        if Wheel::<Due>::expiry(at) < state.sleeps_until {
            // It will look again: until then nobody else need ring.
            state.sleeps_until = AWAKE;
            state.stats.bells += 1;
            drop(state);
            self.shared.bell.notify_one();
        }
        key
    }

    /// Takes a timer back. False when it was cancelled before, has fired, or is about to wake its
    /// waker on the timer thread.
    pub(super) fn cancel(&self, key: Key) -> bool {
        let due = self.shared.lock().wheel.remove(key);
        due.is_some()
    }

    /// Has the timer wake `waker` instead of the waker it has; free when they wake the same task.
    /// False, and nothing is done, when `cancel` would say so.
    pub(super) fn replace_waker(&self, key: Key, waker: &Waker) -> bool {
        match self.shared.lock().wheel.get_mut(key) {
            Some(Due::Wake(old)) if old.will_wake(waker) => return true,
            Some(Due::Wake(_)) => {}
            Some(Due::Ring(_)) | None => return false,
        }
        // Twice under the lock rather than clone under it: a clone is foreign code.
        let mut waker = waker.clone();
        match self.shared.lock().wheel.get_mut(key) {
            Some(Due::Wake(old)) => std::mem::swap(old, &mut waker),
            Some(Due::Ring(_)) | None => return false,
        }
        drop(waker);
        true
    }

    /// Ends the thread and waits for it. Timers that have not fired never do: their wakers are
    /// dropped unwoken, so end what waits for them first.
    ///
    /// Later calls do nothing. Called by a waker on the timer thread itself it does not wait.
    pub(super) fn stop(&self) {
        let unfired = {
            let mut state = self.shared.lock();
            state.stopping = true;
            {
                let arena = state.wheel.arena();
                std::mem::replace(&mut state.wheel, Wheel::new(Tick(0), arena))
            }
        };
        self.shared.bell.notify_one();
        drop(unfired);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            log!(
                error,
                "the timer thread had panicked; timers since then never fired"
            );
        }
    }

    /// What the timers did so far.
    pub(super) fn stats(&self) -> TimerStats {
        let state = self.shared.lock();
        TimerStats {
            pending: state.wheel.len(),
            ..state.stats
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Rung for a timer before all others, and to stop.
    bell: Condvar,
}

#[derive(Debug)]
struct State {
    wheel: Wheel<Due>,
    /// Until when the thread sleeps unless rung; `AWAKE` when it will look at the wheel before it
    /// sleeps.
    sleeps_until: Tick,
    stopping: bool,
    /// Without `pending`, which the wheel knows.
    stats: TimerStats,
}

impl Shared {
    fn new(now: Tick, arena: u8) -> Self {
        Self {
            state: Mutex::new(State {
                wheel: Wheel::new(now, arena),
                sleeps_until: AWAKE,
                stopping: false,
                stats: TimerStats::default(),
            }),
            bell: Condvar::new(),
        }
    }

    fn run(&self) {
        let mut due: Vec<Due> = Vec::with_capacity(BATCH);
        let mut state = self.lock();
        while !state.stopping {
            let now = Tick::now();
            state.wheel.advance(now, BATCH, &mut |one| due.push(one));
            if !due.is_empty() {
                state.stats.fired += due.len() as u64;
                drop(state);
                let panics = fire_all(&mut due);
                state = self.lock();
                state.stats.waker_panics += panics;
                continue;
            }
            state = match state.wheel.next_expiry() {
                // Cut short by the limit of steps, all of which moved timers down a level. Others get in
                // between: a million timers of one instant are four thousand batches.
                Some(next) if next <= now => {
                    drop(state);
                    thread::yield_now();
                    state = self.lock();
                    continue;
                }
                Some(next) => {
                    state.sleeps_until = next;
                    let waited = self.bell.wait_timeout(state, now.until(next));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => {
                    state.sleeps_until = NEVER;
                    self.bell
                        .wait(state)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            };
            state.sleeps_until = AWAKE;
        }
    }

    /// No code of others runs under the lock, so a poisoned one still guards a sound state.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fires all, and says how many panicked. A waker is foreign code; the thread is everybody's.
fn fire_all(due: &mut Vec<Due>) -> u64 {
    let mut panics = 0;
    for one in due.drain(..) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| one.now())) {
            panics += 1;
            let told = catch_unwind(|| tracing::error!("a waker panicked when its timer fired"));
            // Each alone, since two panics at once end the process. A payload whose drop panics
            // leaves another payload; that one is not tried.
            let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
            panics += u64::from(dropped.is_err());
            std::mem::forget((told, dropped));
        }
    }
    panics
}

/// Timers taken under one lock: enough to spread its cost, few enough to let others in.
const BATCH: usize = 256;

/// Before all times: `Tick::now` is never 0.
const AWAKE: Tick = Tick(0);

const NEVER: Tick = Tick(u64::MAX);

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;

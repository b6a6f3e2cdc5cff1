//! Timers without a thread, for the test kit: they fire when they are told what time it is.

use std::sync::Arc;

use super::{BATCH, Service, Shared, fire_all};
use crate::clock::Tick;
use crate::sync::Mutex;

impl Service {
    /// Timers of a system whose time stands still between two calls of [`fire_due`](Self::fire_due).
    pub(in crate::scheduler::timer) fn without_thread(now: Tick, arena: u8) -> Self {
        Self {
            // Always awake: nobody is to be rung for.
            shared: Arc::new(Shared::new(now, arena)),
            thread: Mutex::new(None),
        }
    }

    /// A time before which nothing fires; `None` when no timer waits.
    pub(in crate::scheduler::timer) fn next_expiry(&self) -> Option<Tick> {
        self.shared.lock().wheel.next_expiry()
    }

    /// Fires all whose time has come, in the order of their times, then of their starts.
    pub(in crate::scheduler::timer) fn fire_due(&self, now: Tick) {
        let mut due = Vec::with_capacity(BATCH);
        loop {
            let mut state = self.shared.lock();
            state.wheel.advance(now, BATCH, &mut |one| due.push(one));
            state.stats.fired += due.len() as u64;
            let more = state.wheel.next_expiry().is_some_and(|next| next <= now);
            drop(state);
            let panics = fire_all(&mut due);
            self.shared.lock().stats.waker_panics += panics;
            if !more {
                return;
            }
        }
    }
}

//! What stands before the router of a slice, seen from those who send: whether it takes any more, and how many asks
//! are under way behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[derive(Debug, Default)]
pub(super) struct Door {
    /// As many wait as may. A guess, a moment old: the router counts, and refuses what comes beyond.
    is_full: AtomicBool,
    /// This peer leaves the cluster, or has left it.
    is_shut: AtomicBool,
    asks: AtomicUsize,
}

impl Door {
    pub(super) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Nobody comes in any more. Who has come in before is seen in [`asks`](Self::asks).
    pub(super) fn shut(&self) {
        // Sequentially consistent with `enter`: whoever finds it open is counted for who looks after this.
        self.is_shut.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::SeqCst)
    }

    /// Asks that are under way.
    pub(super) fn asks(&self) -> usize {
        self.asks.load(Ordering::SeqCst)
    }

    /// Counts an ask from here on, until what comes back is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Asking {
        self.asks.fetch_add(1, Ordering::SeqCst);
        Asking(self.clone())
    }
}

/// An ask that is under way.
#[derive(Debug)]
pub(super) struct Asking(Arc<Door>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asks.fetch_sub(1, Ordering::SeqCst);
    }
}

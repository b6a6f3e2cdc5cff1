//! One queue per NUMA node for work from outside: from other threads, other NUMA nodes, and from
//! rings that overflow.
//!
//! A mutex around an intrusive list. tokio, Go and Erlang/OTP all came back to a lock here; OTP
//! measured its lock-free attempt slower. Workers come for a share at a time, so the lock is taken
//! once for up to [`SHARE_MAX`] tasks.
//!
//! `len` is read without the lock, by every worker that looks for something to do. It is written
//! under the lock only, so it never lags behind what the lock's last holder did.

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::cache_padded::CachePadded;
use crate::sync::{Mutex, MutexGuard};

use super::ring::Overflow;
use super::task::{Chain, Task};

/// Unbounded: what is in it is bounded by the number of things that can be scheduled, since each is
/// in at most one queue.
#[derive(Debug)]
pub(crate) struct Injector(CachePadded<Inner>);

#[derive(Debug)]
struct Inner {
    len: AtomicUsize,
    list: Mutex<Option<Chain>>,
}

impl Injector {
    pub(crate) fn new() -> Self {
        Self(CachePadded(Inner {
            len: AtomicUsize::new(0),
            list: Mutex::new(None),
        }))
    }

    /// Appends, and returns the new length. The caller wakes somebody (`Idle::wake_one`).
    pub(crate) fn push_chain(&self, chain: Chain) -> usize {
        let mut list = self.lock();
        match &mut *list {
            Some(list) => list.append(chain),
            empty => *empty = Some(chain),
        }
        self.publish_len(&list)
    }

    /// As `push_chain`, for one.
    pub(crate) fn push(&self, task: Task) -> usize {
        self.push_chain(Chain::one(task))
    }

    /// Without the lock: exact for what happened before, in the order of the caller's fence.
    pub(crate) fn len(&self) -> usize {
        // Relaxed: the number says whether to come and look; the tasks themselves are read under
        // the lock. That a sleeper does not miss the last push is the fences' work (idle.rs).
        self.0.len.load(Ordering::Relaxed)
    }

    /// The oldest task.
    pub(crate) fn pop(&self) -> Option<Task> {
        let (task, rest) = self.take(|_| 1)?.pop_front();
        debug_assert!(rest.is_none(), "asked for one task");
        Some(task)
    }

    /// One worker's share of what is here: `len / workers + 1`, at most [`SHARE_MAX`], oldest first.
    pub(crate) fn take_share(&self, workers: usize) -> Option<Chain> {
        self.take(|len| (len / workers + 1).min(SHARE_MAX))
    }

    /// Everything, oldest first. Under the lock in any case: at the end of a system nobody comes to look
    /// again, and the lock is what orders this with a push whose pusher has not seen the stop.
    pub(crate) fn take_all(&self) -> Option<Chain> {
        let mut list = self.lock();
        let all = list.take();
        self.publish_len(&list);
        all
    }

    fn take(&self, share: impl FnOnce(usize) -> usize) -> Option<Chain> {
        if self.len() == 0 {
            return None; // The common case: no lock.
        }
        let mut list = self.lock();
        let chain = list.take()?;
        let n = share(chain.len());
        let (front, rest) = chain.split_front(n);
        *list = rest;
        self.publish_len(&list);
        Some(front)
    }

    fn publish_len(&self, list: &Option<Chain>) -> usize {
        let len = list.as_ref().map_or(0, Chain::len);
        // Relaxed: see `len`; writers are ordered by the lock.
        self.0.len.store(len, Ordering::Relaxed);
        len
    }

    fn lock(&self) -> MutexGuard<'_, Option<Chain>> {
        self.0.list.lock().expect("nothing panics under this lock")
    }
}

impl Overflow for Injector {
    fn push_chain(&self, chain: Chain) {
        Self::push_chain(self, chain);
    }
}

/// Most tasks one visit takes: a walk over 32 cold links may take 3 us under the lock (at 100 ns a
/// cache miss; an estimate), and a share must fit into an empty ring with room to spare.
pub(crate) const SHARE_MAX: usize = 32;

#[cfg(all(test, actor_loom))]
#[path = "injector_loom.rs"]
mod models;

#[cfg(all(test, not(actor_loom)))]
#[path = "injector_tests.rs"]
mod tests;

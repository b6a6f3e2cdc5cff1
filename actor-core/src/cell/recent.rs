//! What went wrong lately, kept for who looks: messages that were not handled, and actors that failed.
//!
//! A bounded ring each, under a lock that nobody waits for: who finds it taken, or comes in a flood, is counted
//! as left out. The counts of what happened are in the ledger, whole; these are examples.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use super::header::CellRef;
use super::reason::StopReason;
use crate::clock::Tick;
use crate::id::ActorId;
use crate::mailbox::node::Fate;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::trace::{TraceContext, TraceId};

/// Examples that are kept.
const KEPT: usize = 256;
/// Examples that are taken in within a second.
const PER_SECOND: u64 = 100;

/// The latest of them.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    kept: Mutex<VecDeque<T>>,
    second: AtomicU64,
    seen: AtomicU64,
    left_out: AtomicU64,
}

/// A message that was not handled.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) at: Tick,
    pub(crate) fate: Fate,
    pub(crate) target: ActorId,
    pub(crate) message: &'static str,
    pub(crate) trace: Option<TraceId>,
}

/// A life of an actor that ended in failure.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) at: Tick,
    pub(crate) actor: ActorId,
    pub(crate) actor_type: &'static str,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) path: Arc<str>,
    pub(crate) reason: StopReason,
    pub(crate) culprit: Culprit,
    pub(crate) will_restart: bool,
}

/// An ask that was refused or ended because actors would wait for each other.
#[derive(Clone, Debug)]
pub(crate) struct Circle {
    pub(crate) at: Tick,
    pub(crate) actors: Arc<[ActorId]>,
    pub(crate) message: &'static str,
}

/// The message that an actor failed on, if it was one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Culprit {
    pub(crate) message: Option<&'static str>,
    pub(crate) trace: Option<TraceContext>,
    /// A span of that trace says that it failed.
    pub(crate) has_span: bool,
}

impl Culprit {
    pub(crate) fn trace_id(&self) -> Option<TraceId> {
        self.trace.as_ref().map(TraceContext::trace_id)
    }
}

/// How many lives ended in failure, by type. All of them are counted, also in a flood.
#[derive(Debug, Default)]
pub(crate) struct ByType(Mutex<HashMap<&'static str, u64>>);

impl ByType {
    pub(super) fn one_more(&self, actor_type: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(actor_type).or_default() += 1;
    }

    /// Those with the most first.
    pub(crate) fn list(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = counts.iter().map(|(of, count)| (*of, *count)).collect();
        drop(counts);
        list.sort_by_key(|&(of, count)| (Reverse(count), of));
        list
    }
}

impl<T: Clone> Recent<T> {
    pub(super) fn new() -> Self {
        Self {
            kept: Mutex::default(),
            second: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    pub(super) fn note(&self, make: impl FnOnce(Tick) -> T) {
        let now = Tick::now();
        // Relaxed throughout: a race lets in one more or less.
        let second = now.0 / 1_000_000_000 + 1;
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.seen.store(0, Ordering::Relaxed);
        }
        let is_flood = self.seen.fetch_add(1, Ordering::Relaxed) >= PER_SECOND;
        let kept = match self.kept.try_lock() {
            _ if is_flood => None,
            Ok(kept) => Some(kept),
            Err(TryLockError::Poisoned(kept)) => Some(kept.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let Some(mut kept) = kept else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let oldest = if kept.len() == KEPT {
            kept.pop_front()
        } else {
            None
        };
        kept.push_back(make(now));
        drop(kept);
        drop(oldest);
    }

    /// The latest, the latest first.
    pub(crate) fn list(&self, limit: usize) -> Vec<T> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().rev().take(limit).cloned().collect()
    }

    /// Those that were not taken in.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}

impl CellRef {
    /// Who it is, from the top: types and ids, of at most 32 actors. Names are their owners' to read.
    pub(super) fn path(self) -> String {
        let mut above = Vec::new();
        let mut at = Some(self);
        while let Some(cell) = at.filter(|_| above.len() < PATH_MAX) {
            let parent = cell.parent_now();
            // The root is nobody's actor.
            if parent.is_some() || above.is_empty() {
                let what = cell.type_name_of(cell.generation()).unwrap_or_default();
                above.push(format!("{what}({})", cell.id()));
            }
            at = parent;
        }
        above.reverse();
        above.join("/")
    }
}

const PATH_MAX: usize = 32;

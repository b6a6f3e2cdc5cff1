//! Asks that are on their way: who waits here for the answer to which call.
//!
//! A call has a number, given once in the life of an association. Whoever takes it out of the table answers
//! it; so it is answered once, whatever comes twice. Who has given up does not say so: the table is looked
//! through now and then ([`Calls::sweep`]), and the callee is told.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use actor_core::remote::RemoteReply;
use actor_core::{ActorId, CancelToken};

/// Numbers of our own: spread, not guarded against attack.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }
}

pub(super) type Table<T> = HashMap<u64, T, BuildHasherDefault<Spread>>;

/// One that waits.
pub(super) struct Pending {
    pub(super) reply: RemoteReply,
    /// The pair that the ask was sent by, to find it in the outbox.
    pub(super) pair: u64,
    pub(super) cancel: Option<CancelToken>,
    pub(super) deadline: Option<Instant>,
    /// The actor here whose handler waits for it, if one does.
    pub(super) asker: Option<ActorId>,
    /// When it was first seen waiting, and when its circle is looked for next.
    pub(super) waits: Option<Waits>,
}

/// How long an ask has been seen to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) since: Instant,
    pub(super) look_at: Instant,
}

/// Why an ask is given up here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    Abandoned,
    Cancelled,
    Expired,
}

impl Pending {
    fn given_up(&self, now: Instant) -> Option<GivenUp> {
        if self.reply.is_abandoned() {
            return Some(GivenUp::Abandoned);
        }
        if self.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Some(GivenUp::Cancelled);
        }
        let is_late = self.deadline.is_some_and(|deadline| deadline <= now);
        is_late.then_some(GivenUp::Expired)
    }
}

/// The table, in one part for each lane.
pub(super) struct Calls {
    next: AtomicU64,
    lanes: Box<[Mutex<Table<Pending>>]>,
}

impl Calls {
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            next: AtomicU64::new(1),
            lanes: (0..lanes.max(1)).map(|_| Mutex::default()).collect(),
        }
    }

    fn of(&self, lane: usize) -> std::sync::MutexGuard<'_, Table<Pending>> {
        // Nothing under the lock panics.
        self.lanes[lane % self.lanes.len()]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn insert(&self, lane: usize, pending: Pending) -> u64 {
        let call = self.next.fetch_add(1, Ordering::Relaxed);
        self.of(lane).insert(call, pending);
        call
    }

    pub(super) fn take(&self, lane: usize, call: u64) -> Option<Pending> {
        self.of(lane).remove(&call)
    }

    /// Takes out those that nobody waits for any more, and shows the others to `stays` with their lane and call.
    pub(super) fn sweep(
        &self,
        now: Instant,
        mut stays: impl FnMut(usize, u64, &mut Pending),
    ) -> Vec<(usize, u64, Pending, GivenUp)> {
        let mut gone = Vec::new();
        for lane in 0..self.lanes.len() {
            let mut calls = self.of(lane);
            let mut which = Vec::new();
            for (call, pending) in calls.iter_mut() {
                match pending.given_up(now) {
                    Some(why) => which.push((*call, why)),
                    None => stays(lane, *call, pending),
                }
            }
            for (call, why) in which {
                gone.extend(calls.remove(&call).map(|of| (lane, call, of, why)));
            }
        }
        gone
    }

    /// Takes out all.
    pub(super) fn drain(&self) -> Vec<Pending> {
        let mut all = Vec::new();
        for lane in 0..self.lanes.len() {
            all.extend(std::mem::take(&mut *self.of(lane)).into_values());
        }
        all
    }
}

//! Senders that wait for room in a full mailbox, first come, first served.
//!
//! The slow path of backpressure, so a lock is right: a table of FIFO lists keyed by the inbox's
//! address, in shards. An actor that was never full has no entry and pays nothing. The protocol that
//! keeps a wake-up from being lost is `Inbox::announce_waiter` with invariant B3 of the inbox.

use std::collections::{HashMap, VecDeque};
use std::task::Waker;

use super::inbox::{Inbox, Protocol};
use crate::contain::contain;
use crate::sync::{Mutex, MutexGuard};

/// Names one waiter, to change its waker or to remove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    /// `None`: woken, on its way to push.
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Shard {
    lists: HashMap<usize, VecDeque<Waiter>>,
    next: u64,
}

/// One shard-locked table; the process has one, a model makes its own.
#[derive(Debug)]
pub(crate) struct Waiters {
    shards: [Mutex<Shard>; SHARDS],
}

const SHARDS: usize = if cfg!(actor_loom) { 1 } else { 64 };

impl Waiters {
    pub(crate) fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(Shard::default())),
        }
    }

    /// Waits for room. `None`: there is room, push again.
    pub(crate) fn wait<P: Protocol>(&self, inbox: &Inbox<P>, waker: &Waker) -> Option<Ticket> {
        let waker = waker.clone();
        let mut shard = self.shard(inbox);
        if !inbox.announce_waiter() {
            drop(shard);
            return None;
        }
        shard.next += 1;
        let ticket = Ticket(shard.next);
        let waiter = Waiter {
            ticket,
            waker: Some(waker),
        };
        shard.lists.entry(key(inbox)).or_default().push_back(waiter);
        Some(ticket)
    }

    /// Whether the waiter has been woken; if not, it will be by this waker.
    pub(crate) fn is_woken<P: Protocol>(
        &self,
        inbox: &Inbox<P>,
        ticket: Ticket,
        waker: &Waker,
    ) -> bool {
        let mut waker = waker.clone();
        let mut shard = self.shard(inbox);
        let waiter = shard
            .lists
            .get_mut(&key(inbox))
            .and_then(|list| list.iter_mut().find(|waiter| waiter.ticket == ticket));
        let still = waiter.and_then(|waiter| waiter.waker.as_mut());
        let is_woken = still.is_none();
        if let Some(current) = still {
            // The old one is dropped with our name for it, after the lock.
            std::mem::swap(current, &mut waker);
        }
        drop(shard);
        is_woken
    }

    /// A woken waiter pushed, or a waiter gave up. If it had been woken and `used` is false, its room
    /// goes to the next in line; if it is true, what room there is by now.
    pub(crate) fn leave<P: Protocol>(&self, inbox: &Inbox<P>, ticket: Ticket, used: bool) {
        let mut shard = self.shard(inbox);
        let (mut mine, mut next) = (None, None);
        if let Some(list) = shard.lists.get_mut(&key(inbox)) {
            mine = list
                .iter()
                .position(|waiter| waiter.ticket == ticket)
                .and_then(|at| list.remove(at));
            let woken = mine.as_ref().is_some_and(|waiter| waiter.waker.is_none());
            // A waiter that pushed held the next one up until now: the owner may have handled its
            // message meanwhile and gone idle. What it published before it looked at this list is
            // visible under the lock.
            let on_their_way = list.iter().filter(|waiter| waiter.waker.is_none()).count();
            let room = inbox.capacity().saturating_sub(inbox.len()) as usize;
            if woken && (!used || room > on_their_way) {
                next = list.iter_mut().find_map(|waiter| waiter.waker.take());
            }
            if list.is_empty() {
                shard.lists.remove(&key(inbox));
            }
        }
        drop(shard);
        drop(mine);
        if let Some(waker) = next {
            wake(waker);
        }
    }

    /// A woken waiter found the mailbox full again: back to its place in the line.
    /// `false`: there is room, push again.
    pub(crate) fn wait_again<P: Protocol>(
        &self,
        inbox: &Inbox<P>,
        ticket: Ticket,
        waker: &Waker,
    ) -> bool {
        let waker = waker.clone();
        let mut shard = self.shard(inbox);
        if !inbox.announce_waiter() {
            drop(shard);
            return false;
        }
        let list = shard.lists.entry(key(inbox)).or_default();
        let before = match list.iter_mut().find(|waiter| waiter.ticket == ticket) {
            Some(waiter) => waiter.waker.replace(waker),
            None => {
                list.push_front(Waiter {
                    ticket,
                    waker: Some(waker),
                });
                None
            }
        };
        drop(shard);
        drop(before);
        true
    }

    /// For the owner of the cell: sees to it that the first `room` waiters are awake. Says whether
    /// some still wait.
    ///
    /// Those that were woken before and have not pushed yet count: the room is theirs, and waking
    /// another for it would let it push ahead of them.
    pub(crate) fn wake<P: Protocol>(&self, inbox: &Inbox<P>, room: usize) -> bool {
        let mut shard = self.shard(inbox);
        let mut woken = Vec::new();
        let mut still = false;
        if let Some(list) = shard.lists.get_mut(&key(inbox)) {
            let on_their_way = list.iter().filter(|waiter| waiter.waker.is_none()).count();
            let room = room.saturating_sub(on_their_way);
            for waiter in list.iter_mut() {
                if woken.len() == room {
                    still |= waiter.waker.is_some();
                    if still {
                        break;
                    }
                } else if let Some(waker) = waiter.waker.take() {
                    woken.push(waker);
                }
            }
        }
        drop(shard);
        woken.into_iter().for_each(wake);
        still
    }

    /// The shard of an inbox. Under its lock no waker is cloned, dropped or called: those are the
    /// user's code, which may come back here.
    fn shard<P>(&self, inbox: &Inbox<P>) -> MutexGuard<'_, Shard> {
        // Cells lie 128 bytes apart: the bits above tell them from each other.
        let shard = &self.shards[(key(inbox) >> 7) % SHARDS];
        shard
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn key<P>(inbox: &Inbox<P>) -> usize {
    std::ptr::from_ref(inbox).addr()
}

/// Calls a waker of the user's from a worker, which must not unwind.
fn wake(waker: Waker) {
    contain(|| waker.wake());
}

/// The process's table.
#[cfg(not(actor_loom))]
pub(crate) fn table() -> &'static Waiters {
    static TABLE: std::sync::OnceLock<Waiters> = std::sync::OnceLock::new();
    TABLE.get_or_init(Waiters::new)
}

#[cfg(all(test, actor_loom))]
#[path = "waiters_loom.rs"]
mod models;

#[cfg(all(test, not(actor_loom)))]
#[path = "waiters_tests.rs"]
mod tests;

//! The conservation law, counted: every message has exactly one recorded fate.
//!
//! `offered = accepted + refused` and `accepted = handled + dead letters + dropped + queued`.
//! Each worker counts in lines of its own with plain stores; other threads share 16 stripes. Reading
//! sums them up and is exact when nothing is in flight, and off by what moves meanwhile otherwise.

use super::node::{FATES, Fate};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::cache_padded::CachePadded;

/// One thing that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Count {
    /// Same numbers as `Fate`, so that a fate counts itself.
    Handled = 0,
    Offered = FATES,
    Accepted,
    /// Beside `Accepted`, on one line with it: an ask counts both.
    AsksBegun,
    AsksAnswered,
    RefusedFull,
    RefusedDead,
    RefusedOverloaded,
    RefusedOther,
    LateReplies,
    Panics,
    Spawned,
    Stopped,
    Restarts,
    Notices,
    TasksAttached,
    TasksEnded,
    Moves,
    Abandoned,
    AskFull,
    AskDead,
    AskExpired,
    AskCancelled,
    AskPanicked,
    AskNoReply,
    AskPeerGone,
    AskUnreachable,
    AskNoRoom,
    AskNotExported,
    AskTooLarge,
    AskDeadlock,
    AskOverloaded,
    AskWouldBlock,
    AskAbandoned,
}

const COUNTS: usize = Count::AskAbandoned as usize + 1;
const STRIPES: usize = 16;

/// Counters of one worker, or one stripe of everybody else's.
#[derive(Debug)]
pub(crate) struct Counters(CachePadded<[AtomicU64; COUNTS]>);

impl Counters {
    fn new() -> Self {
        Self(CachePadded(std::array::from_fn(|_| AtomicU64::new(0))))
    }

    /// By the worker that owns the counters: no locked operation. Wraps: `u64::MAX` takes one back. What it is
    /// now.
    #[inline(always)]
    pub(crate) fn add_owned(&self, count: Count, n: u64) -> u64 {
        let counter = &self.0[count as usize];
        // Relaxed: one writer; a reader only sums up.
        let sum = counter.load(Ordering::Relaxed).wrapping_add(n);
        counter.store(sum, Ordering::Relaxed);
        sum
    }

    /// What its owner has counted so far.
    pub(crate) fn owned(&self, count: Count) -> u64 {
        // Relaxed: a number of this thread's own.
        self.0[count as usize].load(Ordering::Relaxed)
    }

    /// As `add_owned`, for a message that was not handled.
    pub(crate) fn fate_owned(&self, fate: Fate) {
        let counter = &self.0[fate as usize];
        counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn add_shared(&self, index: usize, n: u64) {
        // Relaxed: a sum, nothing is read through it.
        self.0[index].fetch_add(n, Ordering::Relaxed);
    }
}

/// All counters of one system.
#[derive(Debug)]
pub(crate) struct Ledger {
    workers: Box<[Counters]>,
    others: Box<[Counters]>,
}

impl Ledger {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers: (0..workers).map(|_| Counters::new()).collect(),
            others: (0..STRIPES).map(|_| Counters::new()).collect(),
        }
    }

    pub(crate) fn worker(&self, index: usize) -> &Counters {
        &self.workers[index]
    }

    /// What each worker has counted.
    pub(crate) fn of_workers(&self, count: Count) -> impl Iterator<Item = u64> + '_ {
        let workers = self.workers.iter();
        workers.map(move |counters| counters.0[count as usize].load(Ordering::Relaxed))
    }

    /// From a thread that is no worker of this system.
    pub(crate) fn add(&self, count: Count, n: u64) {
        self.others[stripe()].add_shared(count as usize, n);
    }

    /// As `add`, for a message that was not handled.
    pub(crate) fn fate(&self, fate: Fate) {
        self.others[stripe()].add_shared(fate as usize, 1);
    }

    pub(crate) fn sum(&self, count: Count) -> u64 {
        self.sum_index(count as usize)
    }

    pub(crate) fn sum_fate(&self, fate: Fate) -> u64 {
        self.sum_index(fate as usize)
    }

    fn sum_index(&self, index: usize) -> u64 {
        let all = self.workers.iter().chain(self.others.iter());
        all.map(|counters| counters.0[index].load(Ordering::Relaxed))
            .sum()
    }

    /// The law's terms as they stand.
    pub(crate) fn conservation(&self) -> Conservation {
        // Ends are read before beginnings, so that a message in flight shows as queued and never as
        // handled without having been accepted.
        let handled = self.sum(Count::Handled);
        let dead_letters = DeadLetters {
            actor_stopped: self.sum_fate(Fate::ActorStopped),
            peer_gone: self.sum_fate(Fate::PeerGone),
            not_exported: self.sum_fate(Fate::NotExported),
            too_large: self.sum_fate(Fate::TooLarge),
            unreachable: self.sum_fate(Fate::Unreachable),
        };
        let dropped = Dropped {
            expired: self.sum_fate(Fate::Expired),
            cancelled: self.sum_fate(Fate::Cancelled),
            panicked: self.sum_fate(Fate::Panicked),
            interrupted: self.sum_fate(Fate::Interrupted),
            overflow_oldest: self.sum_fate(Fate::Oldest),
            overflow_newest: self.sum_fate(Fate::Newest),
            abandoned: self.sum_fate(Fate::Abandoned),
        };
        let accepted = self.sum(Count::Accepted);
        let refused = Refused {
            full: self.sum(Count::RefusedFull),
            dead: self.sum(Count::RefusedDead),
            overloaded: self.sum(Count::RefusedOverloaded),
            other: self.sum(Count::RefusedOther),
        };
        let offered = self.sum(Count::Offered);
        Conservation {
            offered,
            accepted,
            refused,
            handled,
            dead_letters,
            dropped,
        }
    }
}

fn stripe() -> usize {
    thread_local! {
        static STRIPE: usize = {
            static NEXT: crate::sync::atomic::AtomicUsize = crate::sync::atomic::AtomicUsize::new(0);
            NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES
        };
    }
    STRIPE.try_with(|stripe| *stripe).unwrap_or(0)
}

/// The terms of the conservation law of one system, since its start.
///
/// Counts user messages only; the runtime's own signals and notices are not in it.
/// `offered = accepted + refused`; `accepted = handled + dead_letters + dropped + queued`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conservation {
    /// Messages that somebody tried to send.
    pub offered: u64,
    /// Messages taken into a mailbox, or dropped by the mailbox's own policy.
    pub accepted: u64,
    /// Messages given back to the sender, by reason.
    pub refused: Refused,
    /// Messages whose handler ran to its end, or that were handed to the network for an actor elsewhere.
    pub handled: u64,
    /// Messages that had nobody to go to, by reason.
    pub dead_letters: DeadLetters,
    /// Messages not handled for another reason.
    pub dropped: Dropped,
}

/// Messages given back to the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The mailbox was full.
    pub full: u64,
    /// The actor had stopped, or the system was shutting down.
    pub dead: u64,
    /// The memory limit for messages was reached.
    pub overloaded: u64,
    /// Not sent at all: the deadline had passed or the call was cancelled before, or an ask would
    /// have closed a circle or blocked a worker.
    pub other: u64,
}

/// Messages accepted that then had nobody to go to: their actor had stopped, or, of an actor elsewhere,
/// the network did not take them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetters {
    /// The actor stopped before it came to the message.
    pub actor_stopped: u64,
    /// The peer that the actor lives on was gone.
    pub peer_gone: u64,
    /// The peer does not take this type of message from others.
    pub not_exported: u64,
    /// Written down, the message was larger than the peer takes.
    pub too_large: u64,
    /// There was no connection to the peer.
    pub unreachable: u64,
}

/// Messages accepted and then, for a recorded reason, not handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The deadline passed while they waited.
    pub expired: u64,
    /// Their context was cancelled while they waited.
    pub cancelled: u64,
    /// Their handler panicked.
    pub panicked: u64,
    /// Their handler was cut off by a kill.
    pub interrupted: u64,
    /// Pushed out by newer ones (`Overflow::DropOldest`).
    pub overflow_oldest: u64,
    /// Not taken into a full mailbox (`Overflow::DropNewest`), or not put aside in a full stash.
    pub overflow_newest: u64,
    /// The asker gave up while they waited.
    pub abandoned: u64,
}

impl Refused {
    /// All reasons together.
    pub fn total(&self) -> u64 {
        self.full + self.dead + self.overloaded + self.other
    }
}

impl DeadLetters {
    /// All reasons together.
    pub fn total(&self) -> u64 {
        self.actor_stopped + self.peer_gone + self.not_exported + self.too_large + self.unreachable
    }
}

impl Dropped {
    /// All reasons together.
    pub fn total(&self) -> u64 {
        self.expired
            + self.cancelled
            + self.panicked
            + self.interrupted
            + self.overflow_oldest
            + self.overflow_newest
            + self.abandoned
    }
}

impl Conservation {
    /// Messages accepted and not ended yet: waiting in a mailbox or being handled.
    pub fn queued(&self) -> u64 {
        self.accepted
            .saturating_sub(self.handled + self.dead_letters.total() + self.dropped.total())
    }

    /// Whether both equations hold with nothing queued: the check for a system at rest.
    pub fn holds_at_rest(&self) -> bool {
        self.offered == self.accepted + self.refused.total()
            && self.accepted == self.handled + self.dead_letters.total() + self.dropped.total()
    }
}

impl std::fmt::Display for Conservation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            offered,
            accepted,
            refused,
            handled,
            dead_letters,
            dropped,
        } = self;
        writeln!(
            f,
            "offered {offered} = accepted {accepted} + refused {}",
            refused.total()
        )?;
        write!(
            f,
            "accepted {accepted} = handled {handled} + dead letters {} + dropped {} + queued {}",
            dead_letters.total(),
            dropped.total(),
            self.queued()
        )?;
        let reasons = [
            ("refused, mailbox full", refused.full),
            ("refused, actor stopped", refused.dead),
            ("refused, over the memory limit", refused.overloaded),
            ("refused, not sent", refused.other),
            ("dead letters, actor stopped", dead_letters.actor_stopped),
            ("dead letters, peer gone", dead_letters.peer_gone),
            ("dead letters, not exported", dead_letters.not_exported),
            ("dead letters, too large", dead_letters.too_large),
            ("dead letters, peer unreachable", dead_letters.unreachable),
            ("dropped, expired", dropped.expired),
            ("dropped, cancelled", dropped.cancelled),
            ("dropped, handler panicked", dropped.panicked),
            ("dropped, killed while handling", dropped.interrupted),
            ("dropped, oldest of a full mailbox", dropped.overflow_oldest),
            (
                "dropped, newest of a full mailbox or stash",
                dropped.overflow_newest,
            ),
            ("dropped, asker gave up", dropped.abandoned),
        ];
        for (reason, n) in reasons.into_iter().filter(|(_, n)| *n > 0) {
            write!(f, "\n  {reason}: {n}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;

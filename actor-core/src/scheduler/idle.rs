//! Who sleeps and who searches: one word per 56 workers of a NUMA node.
//!
//! ```text
//!    63      56 55                                             0
//!   [ searching |  one bit per worker: it sleeps, or is about to ]
//!
//!               start_searching                    found work: stop_searching
//!     busy ---------------------------> searching ---------------------------> busy
//!       |                                |     ^
//!       | sleep                    sleep |     | `wake_one` by somebody else, or
//!       v                                v     | `sleep` saw work and takes it back
//!     asleep (bit set) ----------------------->+
//! ```
//!
//! Whoever publishes work calls `wake_one` afterwards. It wakes nobody while somebody searches:
//! that searcher will see the work, or somebody it wakes will. So a burst of work costs one futex
//! call, and each worker that finds something wakes the next only if there is more.
//!
//! Mask and count share a word because "nobody searches, so make this sleeper the searcher" must be
//! one step. With a counter of its own, a waker that raises it and then finds nobody to wake has
//! for a moment pretended to be a searcher, and another publisher may have relied on it.
//!
//! The README has the proof. In short there are two races, and each is closed by a pair of SeqCst
//! fences: publish | *fence P* | look at the word, against change the word | *fence S* or *fence L*
//! | look for work. In the total order of the fences one comes first, and the side of the other
//! sees what was done before it.
//!
//! Why not `membarrier`, which would take the publisher's fence (6 ns) off the hot path and put
//! 1 to 2 us on the way to sleep? It may be forbidden by a seccomp filter, so the fences would have to
//! exist anyway, selected at run time by a branch on the same hot path; loom cannot model it; and
//! what most turns do, a push to the LIFO slot, publishes nothing and has no fence. Measured profit
//! at most 6 ns per task that thieves may reach. To be weighed again if that shows in a profile.
//!
//! Who may touch what: `start_searching`, `stop_searching`, `sleep` and `woken` belong to the worker
//! whose index is given; `wake_one` to anybody. [`Searching`] and [`Asleep`] prove which state a
//! worker is in; they are not made elsewhere.

use std::marker::PhantomData;

use crate::sync::atomic::{AtomicU64, Ordering, fence};
use crate::sync::cache_padded::CachePadded;

/// The idle workers of one NUMA node, by their index within it.
#[derive(Debug)]
pub(crate) struct Idle<P = Sound> {
    words: Box<[CachePadded<AtomicU64>]>,
    /// Without spares.
    workers: usize,
    protocol: PhantomData<fn() -> P>,
}

/// Proof that this worker is counted as searching. It leaves by `stop_searching` or `sleep`.
#[derive(Debug)]
#[must_use = "a searcher that forgets itself keeps everybody else asleep"]
pub(crate) struct Searching(());

/// Proof that this worker has set its bit and seen no work since.
#[derive(Debug)]
#[must_use = "a worker whose bit is set has to park"]
pub(crate) struct Asleep(());

/// What came of going to sleep.
#[derive(Debug)]
#[must_use]
pub(crate) enum Sleep {
    /// Park until woken.
    Asleep(Asleep),
    /// There is work after all: search.
    Searching(Searching),
}

/// The steps on which the protocol stands, so that models can leave one out and must fail.
pub(crate) trait Protocol {
    /// Fence P, between publishing work and looking for a sleeper.
    fn fence_publish() {
        fence(Ordering::SeqCst);
    }
    /// Fence S, between setting one's bit and looking for work a last time.
    fn fence_sleep() {
        fence(Ordering::SeqCst);
    }
    /// Fence L, between leaving the search as the last and looking whether to wake the next.
    fn fence_leave() {
        fence(Ordering::SeqCst);
    }
    /// Whether the last searcher to find something looks for more.
    const HAND_ON: bool = true;
}

/// The protocol as it must be.
#[derive(Debug)]
pub(crate) struct Sound;

impl Protocol for Sound {}

impl<P: Protocol> Idle<P> {
    /// For workers `0..workers`, all busy, and spares `workers..seats`, who are not here: they count as
    /// busy, since nobody can wake them.
    pub(crate) fn new(workers: usize, seats: usize) -> Self {
        let words = (0..seats.div_ceil(PER_WORD))
            .map(|_| CachePadded(AtomicU64::new(0)))
            .collect();
        Self {
            words,
            workers,
            protocol: PhantomData,
        }
    }

    /// A busy worker has run out of work and asks to search. `None` if enough do: go to sleep.
    pub(crate) fn start_searching(&self, me: usize) -> Option<Searching> {
        let word = self.word(me);
        let limit = self.searchers_max(me);
        // Relaxed, all three: nobody reads anything through this. What the proof needs of a searcher
        // it does when it leaves.
        let mut seen = word.load(Ordering::Relaxed);
        while searching(seen) < limit {
            match word.compare_exchange_weak(
                seen,
                seen + ONE_SEARCHING,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(Searching(())),
                Err(now) => seen = now,
            }
        }
        None
    }

    /// A searcher has found work and becomes busy. If it was the last, and there is more, returns
    /// who must be unparked: publishers have relied on us.
    #[must_use = "the worker returned must be unparked"]
    pub(crate) fn stop_searching(
        &self,
        me: usize,
        _was: Searching,
        work_left: impl FnOnce() -> bool,
    ) -> Option<usize> {
        // AcqRel: with the same step of the other searchers, so that the last one sees the thefts
        // that the others have finished.
        let before = self.word(me).fetch_sub(ONE_SEARCHING, Ordering::AcqRel);
        debug_assert!(searching(before) > 0, "nobody was searching: {before:#x}");
        if searching(before) > 1 || !P::HAND_ON {
            return None;
        }
        // Fence L, with fence P in `wake_one`.
        P::fence_leave();
        if work_left() { self.pick() } else { None }
    }

    /// Sets the bit of a worker that is busy (`None`) or searching, and looks for work a last time.
    pub(crate) fn sleep(
        &self,
        me: usize,
        was: Option<Searching>,
        work_left: impl FnOnce() -> bool,
    ) -> Sleep {
        let word = self.word(me);
        let bit = bit(me);
        // One step, so that nobody sees this worker neither search nor sleep.
        let change = match was {
            Some(Searching(())) => bit.wrapping_sub(ONE_SEARCHING),
            None => bit,
        };
        // AcqRel: as in `stop_searching`.
        let before = word.fetch_add(change, Ordering::AcqRel);
        debug_assert_eq!(before & bit, 0, "worker {me} sleeps already: {before:#x}");
        // Fence S, with fence P in `wake_one`.
        P::fence_sleep();
        if !work_left() {
            return Sleep::Asleep(Asleep(()));
        }
        // Take the bit back, unless a waker has it: then we are searching by its count. Its token
        // stays in the parker and ends the next sleep at once; `woken` sees that it was stale.
        // Relaxed: nothing is read through it.
        let mut seen = word.load(Ordering::Relaxed);
        while seen & bit != 0 {
            match word.compare_exchange_weak(
                seen,
                (seen & !bit) + ONE_SEARCHING,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => seen = now,
            }
        }
        Sleep::Searching(Searching(()))
    }

    /// A sleeper's parker has returned: was it a waker, or a stale token?
    pub(crate) fn woken(&self, me: usize, asleep: Asleep) -> Result<Searching, Asleep> {
        // Relaxed: the parker's Acquire has ordered us behind the waker.
        if self.word(me).load(Ordering::Relaxed) & bit(me) == 0 {
            Ok(Searching(()))
        } else {
            Err(asleep)
        }
    }

    /// A sleeper gets up by itself, to leave. `Some`: a waker was faster and counts on it; it has to
    /// hand that on by `stop_searching`.
    pub(crate) fn get_up(&self, me: usize, _asleep: Asleep) -> Option<Searching> {
        let before = self.word(me).fetch_and(!bit(me), Ordering::AcqRel);
        (before & bit(me) == 0).then_some(Searching(()))
    }

    /// Whether this worker sleeps or is about to. For the watchdog: old news.
    pub(crate) fn is_asleep(&self, worker: usize) -> bool {
        // Relaxed: nothing is read through it.
        self.word(worker).load(Ordering::Relaxed) & bit(worker) != 0
    }

    /// After work was published: returns who must be unparked, if anybody. That worker is counted
    /// as searching from here on.
    #[must_use = "the worker returned must be unparked"]
    pub(crate) fn wake_one(&self) -> Option<usize> {
        // Fence P, with fences S and L.
        P::fence_publish();
        self.pick()
    }

    /// Nobody sleeps and nobody searches: new work will wait.
    pub(crate) fn all_busy(&self) -> bool {
        // Relaxed: a policy asks; nothing is lost if the answer is old.
        self.words
            .iter()
            .all(|word| word.load(Ordering::Relaxed) == 0)
    }

    /// How many sleep, for statistics.
    pub(crate) fn asleep(&self) -> usize {
        // Relaxed: a number to look at.
        let asleep = |word: &CachePadded<AtomicU64>| {
            (word.load(Ordering::Relaxed) & MASK).count_ones() as usize
        };
        self.words.iter().map(asleep).sum()
    }

    /// The first sleeper, unless somebody searches. After a fence.
    fn pick(&self) -> Option<usize> {
        'again: loop {
            let mut sleepers = None;
            for (i, word) in self.words.iter().enumerate() {
                // Relaxed: the caller's fence stands before it.
                let seen = word.load(Ordering::Relaxed);
                if searching(seen) > 0 {
                    return None;
                }
                if seen & MASK != 0 && sleepers.is_none() {
                    sleepers = Some((i, word, seen));
                }
            }
            let (i, word, mut seen) = sleepers?;
            // The lowest bit, so that light load keeps the same few workers warm and leaves the
            // others in a deep sleep.
            while seen & MASK != 0 {
                let lowest = seen & MASK & (seen & MASK).wrapping_neg();
                // Relaxed: the work itself is published by the queue it lies in, and the sleeper is
                // ordered behind us by the token of its parker.
                match word.compare_exchange_weak(
                    seen,
                    (seen & !lowest) + ONE_SEARCHING,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return Some(i * PER_WORD + lowest.trailing_zeros() as usize),
                    Err(now) if searching(now) > 0 => return None,
                    Err(now) => seen = now,
                }
            }
            // Its sleepers were taken meanwhile; another word may have some.
            continue 'again;
        }
    }

    fn word(&self, worker: usize) -> &AtomicU64 {
        &self.words[worker / PER_WORD]
    }

    /// One per 8 workers that share the word, and at least one. A searcher reads the lines of all
    /// its victims, so many of them slow the busy down; one is enough to notice new work within a
    /// microsecond, and wakes the next.
    fn searchers_max(&self, me: usize) -> u64 {
        let first = me / PER_WORD * PER_WORD;
        let sharing = self.workers.saturating_sub(first).min(PER_WORD);
        (sharing / 8).max(1) as u64
    }
}

fn bit(worker: usize) -> u64 {
    1 << (worker % PER_WORD)
}

const fn searching(word: u64) -> u64 {
    word >> PER_WORD
}

/// Bits of the mask; the other eight count searchers (at most one per worker, so at most 56).
const PER_WORD: usize = 56;
const MASK: u64 = ONE_SEARCHING - 1;
const ONE_SEARCHING: u64 = 1 << PER_WORD;

#[cfg(all(test, actor_loom))]
#[path = "idle_loom.rs"]
mod models;

#[cfg(all(test, not(actor_loom)))]
#[path = "idle_tests.rs"]
mod tests;

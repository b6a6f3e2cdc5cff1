//! How long messages wait and are worked on, by measuring few of them.
//!
//! A worker stamps one message in so many that it sends: a small block with the time takes the place of the
//! message's context, which it keeps. The turn finds it by the null check on that word that it makes anyway, puts the
//! context back before anybody else looks, and measures. Each measurement says for how many messages it speaks.
//!
//! How many are stamped follows the traffic: all of them where there are few, and where there are many at most
//! one every 50 us, which costs some 300 ns each. The sender raises the distance, the collector lowers it.
//!
//! # Invariant
//!
//! - S1: a stamp is on a node from before its push to its begin or its end, whichever comes first; its owner alone
//!   takes it off, and nobody reads the context of a node that has one. A push that is refused takes it off again.

use std::alloc::Layout;
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::{Mutex, OnceLock, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::header::CellRef;
use super::local::Local;
use super::runtime::Runtime;
use super::spanning::{ContextHead, SpanHooks};
use crate::clock::Tick;
use crate::id::ActorId;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{Fate, Node};
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};
use crate::scheduler::Bell;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sync::cache_padded::CachePadded;
use crate::trace::SpanOutcome;

/// One message, measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) actor: ActorId,
    pub(crate) actor_type: fn() -> &'static str,
    /// From sending to the handler's begin, in nanoseconds.
    pub(crate) wait: u64,
    /// In the handler; none if that is not known.
    pub(crate) handle: Option<u64>,
    /// Messages that waited behind it when the handler began, about.
    pub(crate) depth: u32,
    /// Messages that this one speaks for.
    pub(crate) weight: u32,
}

/// A measurement that goes on: taken off its message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    actor: ActorId,
    actor_type: fn() -> &'static str,
    sent: Tick,
    began: Tick,
    depth: u32,
    weight: u32,
}

/// In the place of a node's context.
#[repr(C)]
struct Stamp {
    head: ContextHead,
    /// The context.
    inner: *mut (),
    at: Tick,
    weight: u32,
}

const LAYOUT: Layout = Layout::new::<Stamp>();
const CLASS: Class = class_for(LAYOUT);

/// Only to be known by: a stamp is taken off before any of these could be called.
static MARK: SpanHooks = SpanHooks {
    begin: |_, _| {},
    put_back: |_| {},
    end: |_, _: SpanOutcome| {},
    cause: |_| None,
    lost: |_, _, _, _: Fate| {},
};

/// What one worker stamps.
#[derive(Debug)]
pub(super) struct Pace {
    /// One message in `mask + 1`; `NONE`: no message.
    mask: AtomicU64,
    /// When it stamped last.
    last: AtomicU64,
    /// What it had sent when the collector looked last.
    seen: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            mask: AtomicU64::new(NONE),
            last: AtomicU64::new(0),
            seen: AtomicU64::new(0),
        }
    }
}

const NONE: u64 = u64::MAX;
const MASK_MAX: u64 = 4095;
/// Two stamps of a worker are so far apart, at least in the long run.
const APART: u64 = 50_000;
/// Below so many stamps of a worker between two looks of the collector there may be more.
const FEW: u64 = 50;
/// Handlers that are measured over an await, at a time.
const SUSPENDED_MAX: usize = 64;
/// Of threads that are no workers every such message.
const OUTSIDE: u32 = 64;

std::thread_local! {
    static UNTIL: std::cell::Cell<u32> = const { std::cell::Cell::new(1) };
}

/// One system's measurements.
#[derive(Debug)]
pub(crate) struct Stamps {
    paces: Box<[CachePadded<Pace>]>,
    queue: OnceLock<(Sender<Sample>, Receiver<Sample>)>,
    dropped: AtomicU64,
    /// Of handlers that wait, by their cells.
    suspended: Mutex<HashMap<usize, Timed>>,
}

impl Stamps {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            paces: (0..workers).map(|_| CachePadded::default()).collect(),
            queue: OnceLock::new(),
            dropped: AtomicU64::new(0),
            suspended: Mutex::new(HashMap::with_capacity(SUSPENDED_MAX)),
        }
    }

    /// Begins to measure. Once, by who takes the samples.
    pub(crate) fn enable(&self) {
        let capacity = (512 * self.paces.len()).clamp(1024, 16_384);
        _ = self.queue.set(bounded(capacity));
        for pace in &self.paces {
            // Relaxed: a setting.
            pace.mask.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn pace(&self, worker: usize) -> &Pace {
        &self.paces[worker]
    }

    /// What was measured by now, at most so many.
    pub(crate) fn drain(&self, most: usize) -> impl Iterator<Item = Sample> + '_ {
        let queue = self.queue.get().into_iter();
        queue.flat_map(move |(_, from)| from.try_iter().take(most))
    }

    /// Whether nothing waits for the collector.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.get().is_none_or(|(_, from)| from.is_empty())
    }

    /// Measurements that nobody has taken in time.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn push(&self, sample: Sample, collector: &Bell) {
        let full = self
            .queue
            .get()
            .is_none_or(|(to, _)| to.try_send(sample).is_err());
        if full {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        collector.ring_if_dozing();
    }

    fn suspended(&self) -> std::sync::MutexGuard<'_, HashMap<usize, Timed>> {
        self.suspended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime {
    /// Stamps more of what workers send that send little now. Every now and then, by the collector.
    pub(crate) fn pace_stamps(&self) {
        let stamps = self.stamps();
        let sent = self.ledger().of_workers(Count::Accepted);
        for (pace, sent) in stamps.paces.iter().zip(sent) {
            let mask = pace.mask.load(Ordering::Relaxed);
            let before = pace.seen.swap(sent, Ordering::Relaxed);
            if mask != NONE && sent.wrapping_sub(before) / (mask + 1) < FEW {
                // A worker that raises it at the same time does so again.
                pace.mask.store(mask >> 2, Ordering::Relaxed);
            }
        }
    }
}

impl Pace {
    /// Whether the message of that number is to be stamped.
    #[inline(always)]
    pub(super) fn is_due(&self, number: u64) -> bool {
        // Relaxed: a number by itself.
        number & self.mask.load(Ordering::Relaxed) == 0
    }
}

/// Stamps a message that this worker sends.
///
/// # Safety
///
/// The caller owns the node, which is about to be pushed.
#[cold]
#[inline(never)]
pub(crate) unsafe fn stamp(local: &Local, node: NonNull<Node>) {
    let pace = local.pace();
    let mask = pace.mask.load(Ordering::Relaxed);
    if mask == NONE {
        return;
    }
    let now = Tick::now();
    let last = pace.last.load(Ordering::Relaxed);
    pace.last.store(now.0, Ordering::Relaxed);
    if now.0.saturating_sub(last) < APART {
        pace.mask
            .store((mask << 1 | 1).min(MASK_MAX), Ordering::Relaxed);
    }
    // SAFETY: by the caller.
    unsafe { put(node, local.arena(), now, mask as u32 + 1) };
}

/// Stamps some of the messages that other threads send.
///
/// # Safety
///
/// As for [`stamp`].
pub(crate) unsafe fn stamp_outside(runtime: &Runtime, node: NonNull<Node>) {
    let until = UNTIL.get() - 1;
    if until > 0 {
        UNTIL.set(until);
        return;
    }
    UNTIL.set(OUTSIDE);
    if runtime.stamps().queue.get().is_some() {
        // SAFETY: by the caller.
        unsafe { put(node, 0, Tick::now(), OUTSIDE) };
    }
}

/// # Safety
///
/// The caller owns the node, which has no stamp.
unsafe fn put(node: NonNull<Node>, arena: u8, at: Tick, weight: u32) {
    let Some(block) = memory::alloc(arena, CLASS, LAYOUT, Purpose::Runtime) else {
        return;
    };
    let block = block.cast::<Stamp>();
    // SAFETY: by the caller; a fresh block of this layout.
    unsafe {
        let slot = &raw mut (*node.as_ptr()).context;
        block.write(Stamp {
            head: ContextHead {
                count: AtomicU32::new(1),
                arena,
                has_hop: false,
                hooks: Some(&MARK),
            },
            inner: *slot,
            at,
            weight,
        });
        *slot = block.as_ptr().cast();
    }
}

/// Takes a stamp off; the node's context is what it was before. When it was sent, and for how many it speaks.
///
/// # Safety
///
/// The caller owns the node.
pub(crate) unsafe fn take_off(node: NonNull<Node>) -> Option<(u64, u32)> {
    // SAFETY: by the caller; whatever is behind a node's context begins with a head, and that mark is only on
    // stamps, which `put` has made.
    unsafe {
        let slot = &raw mut (*node.as_ptr()).context;
        let head = NonNull::new((*slot).cast::<ContextHead>())?;
        let is_stamp = head
            .as_ref()
            .hooks
            .is_some_and(|hooks| std::ptr::eq(hooks, &MARK));
        if !is_stamp {
            return None;
        }
        let block = head.cast::<Stamp>();
        let stamp = block.as_ref();
        let found = (stamp.at.0, stamp.weight);
        let arena = stamp.head.arena;
        *slot = stamp.inner;
        memory::free(block.cast(), arena, CLASS, LAYOUT);
        Some(found)
    }
}

/// As `take_off`, of a message that is about to be handled; so many are behind it that its turn has taken.
///
/// # Safety
///
/// The caller owns the cell and the node.
pub(super) unsafe fn begin(cell: CellRef, node: NonNull<Node>, left: u32) -> Option<Timed> {
    // SAFETY: by the caller.
    let (sent, weight) = unsafe { take_off(node) }?;
    let inbox = cell.inbox();
    Some(Timed {
        actor: cell.id(),
        actor_type: cell.vtable().type_name,
        sent: Tick(sent),
        began: Tick::now(),
        depth: left.saturating_add(inbox.len().saturating_sub(inbox.taken())),
        weight,
    })
}

impl Timed {
    fn sample(self, ended: Option<Tick>) -> Sample {
        let nanos = |from: Tick, to: Tick| to.0.saturating_sub(from.0);
        Sample {
            actor: self.actor,
            actor_type: self.actor_type,
            wait: nanos(self.sent, self.began),
            handle: ended.map(|ended| nanos(self.began, ended)),
            depth: self.depth,
            weight: self.weight,
        }
    }

    /// The handler is over.
    pub(super) fn end(self, runtime: &Runtime) {
        let sample = self.sample(Some(Tick::now()));
        runtime.stamps().push(sample, runtime.spans().bell());
    }

    /// The handler waits: whether it will be measured when it is over.
    pub(super) fn suspend(self, runtime: &Runtime, cell: CellRef) -> bool {
        let mut suspended = runtime.stamps().suspended();
        if suspended.len() < SUSPENDED_MAX {
            suspended.insert(cell.as_raw().as_ptr().addr(), self);
            return true;
        }
        drop(suspended);
        // Of this one only the wait is known.
        let stamps = runtime.stamps();
        stamps.push(self.sample(None), runtime.spans().bell());
        false
    }
}

/// A handler that was measured and had been suspended is over.
#[cold]
pub(super) fn resume(runtime: &Runtime, cell: CellRef) {
    let timed = runtime
        .stamps()
        .suspended()
        .remove(&cell.as_raw().as_ptr().addr());
    if let Some(timed) = timed {
        timed.end(runtime);
    }
}

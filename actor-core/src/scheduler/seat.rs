//! Where workers sit: what others may touch of one worker, and one NUMA node's share of the scheduler.
//!
//! A NUMA node has a seat per worker and, behind those, seats for *spares*: threads that take turns
//! while a worker is stuck in one (`watchdog.rs`). A spare's seat is a seat like any other, with a
//! ring, a bed, counters and a number of its own, so nothing that a stuck worker believes to own alone is
//! ever touched. Seats are made at the start, since thieves and sleepers go through fixed arrays; the
//! threads that sit in the spare ones only when they are first needed.
//!
//! Each NUMA node's seats are allocated on the threads of its own workers, after pinning, so that first
//! touch puts them on the right NUMA node.

use std::time::Duration;

use crate::id::WorkerId;
use crate::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use crate::sync::cache_padded::CachePadded;

use super::idle::Idle;
use super::injector::Injector;
use super::lifo::Lifo;
use super::park::Parker;
use super::ring::{self, Local, Steal};
use super::stats::{Counter, Counters};

/// One NUMA node's share of the scheduler.
pub(super) struct Home {
    pub(super) injector: Injector,
    pub(super) idle: Idle,
    /// By the index that `idle` knows: workers first, then spares.
    pub(super) seats: Box<[&'static Seat]>,
    /// How many of them are workers'.
    pub(super) workers: usize,
    /// How many of them have ever been taken. Only the watchdog writes it, and only upwards.
    used: AtomicUsize,
    /// The other NUMA indices, nearest group first.
    pub(super) far: Box<[Box<[usize]>]>,
    /// From here to each NUMA index.
    pub(super) distances: Box<[u32]>,
}

/// What others may touch of one worker.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) worker: WorkerId,
    pub(super) numa_index: usize,
    /// Index among all seats.
    pub(super) index: usize,
    /// Index among the seats of its home.
    pub(super) slot: usize,
    pub(super) ring: Steal,
    parker: CachePadded<Parker>,
    pub(super) own: CachePadded<Own>,
    duty: AtomicU32,
    /// Tasks it took from each NUMA index; far thefts are rare, so these lines may be shared.
    pub(super) took_from: Box<[Counter]>,
}

/// What the worker writes at every turn: one line, and alone on it.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Own {
    pub(super) lifo: Lifo,
    pub(super) counters: Counters,
}

/// Where one worker will sit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) worker: WorkerId,
    pub(super) numa_index: usize,
    pub(super) index: usize,
    pub(super) slot: usize,
}

impl Home {
    pub(super) fn new(
        seats: Box<[&'static Seat]>,
        workers: usize,
        far: Box<[Box<[usize]>]>,
        distances: Box<[u32]>,
    ) -> Self {
        Self {
            injector: Injector::new(),
            idle: Idle::new(workers, seats.len()),
            workers,
            used: AtomicUsize::new(workers),
            seats,
            far,
            distances,
        }
    }

    /// The seats in which somebody sits or sat: others have nothing in their rings.
    #[inline(always)]
    pub(super) fn seats(&self) -> &[&'static Seat] {
        // Relaxed: the watchdog writes it before the spare begins its first shift, and what the spare
        // publishes after that is seen together with it by those who look after their fence (README).
        &self.seats[..self.used.load(Ordering::Relaxed)]
    }

    /// From here on the seat in `slot` is among those that are looked at. The watchdog only.
    pub(super) fn take_seat(&self, slot: usize) {
        let used = self.used.load(Ordering::Relaxed).max(slot + 1);
        self.used.store(used, Ordering::Relaxed);
    }

    /// Somebody of this NUMA node would find something now.
    pub(super) fn has_work(&self) -> bool {
        self.injector.len() > 0 || self.seats().iter().any(|seat| seat.ring.has_work())
    }

    /// About how many tasks wait where any worker of this NUMA node finds them.
    pub(super) fn waiting(&self) -> usize {
        let rings: usize = self.seats().iter().map(|seat| seat.ring.len()).sum();
        self.injector.len() + rings
    }
}

impl Seat {
    /// A seat and the owner's end of its ring. Call it where its memory shall lie.
    ///
    /// `numa_nodes` is how many there are.
    pub(super) fn new(place: Place, duty: Duty, numa_nodes: usize) -> (Box<Self>, Local) {
        let (local, steal) = ring::ring();
        let seat = Box::new(Self {
            worker: place.worker,
            numa_index: place.numa_index,
            index: place.index,
            slot: place.slot,
            ring: steal,
            parker: CachePadded(Parker::new()),
            own: CachePadded(Own {
                lifo: Lifo::new(),
                counters: Counters::default(),
            }),
            duty: AtomicU32::new(duty as u32),
            took_from: (0..numa_nodes).map(|_| Counter::default()).collect(),
        });
        (seat, local)
    }

    /// Sleeps until somebody unparks this worker. Its own thread only.
    pub(super) fn park(&self) {
        self.parker.park();
    }

    /// As `park`, for no longer than that; whether it was woken.
    pub(super) fn park_timeout(&self, timeout: Duration) -> bool {
        self.parker.park_timeout(timeout)
    }

    pub(super) fn unpark(&self) {
        self.parker.unpark();
    }

    pub(super) fn duty(&self) -> Duty {
        // Acquire: with the Release in `set_duty`.
        match self.duty.load(Ordering::Acquire) {
            0 => Duty::Off,
            1 => Duty::On,
            _ => Duty::Ending,
        }
    }

    /// `Off -> On -> Ending` by the watchdog, `Ending -> Off` by the spare.
    pub(super) fn set_duty(&self, duty: Duty) {
        // Release: with the Acquire in `duty`: a shift sees all that came before it.
        self.duty.store(duty as u32, Ordering::Release);
    }
}

/// Whether whoever sits here takes turns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(super) enum Duty {
    /// A spare that waits to be needed.
    Off = 0,
    /// A worker, always; a spare on its shift.
    On = 1,
    /// A spare that leaves after the turn it is in.
    Ending = 2,
}

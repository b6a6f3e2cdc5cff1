//! A thread for one task alone: for who computes for long, or must not wait behind others.
//!
//! ```text
//!            reserve             take            the tenant is queued: run it
//!   free -------------> reserved -----> let -----------------------------+
//!    ^ thread ends         |             |  ^                            |
//!    +---------------------+ given up    |  +----- spin, then park <-----+
//!    +-----------------------------------+ vacate
//! ```
//!
//! A *booth* is the place of such a thread. There are a few per NUMA node, made at the start and empty: no
//! thread, no ring, a line or two of memory. A task that sits in one is scheduled by a *route* that no
//! worker serves (`DEDICATED` and its NUMA index), so the question "is it dedicated?" is asked where
//! tasks of other NUMA nodes go as well, in `Scheduler::inject`, and costs the others nothing.
//!
//! The booth has one place, not a queue: its tenant is the only task that comes here, and a task is in at
//! most one queue (`task.rs`). It lies under a mutex, with whose it is; so a task that was routed here when
//! its booth was let to somebody else already is told so, and goes to the workers of its NUMA node.
//!
//! No wake-up is lost: who queues the tenant leaves a token in the parker afterwards, and the thread takes
//! the token before it looks (`park.rs`). The thread's end is decided under the same mutex under which a
//! booth is reserved, so that a new tenant finds either a thread that stays, or none.
//!
//! The watchdog does not look here: who got a thread for itself may keep it busy.

use std::io;
use std::time::Instant;

use crate::contain::log;
use crate::id::WorkerId;
use crate::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use crate::sync::cache_padded::CachePadded;
use crate::sync::hint::spin_loop;
use crate::sync::{Mutex, MutexGuard, thread};

use super::config::{DedicatedConfig, SparePin};
use super::park::Parker;
use super::pool::Scheduler;
use super::ring::Local;
use super::seat::{Duty, Place, Seat};
use super::stats::{Counts, DedicatedStats};
use super::task::{After, Link, Task};
use super::worker::{self, Worker};

/// In a route: to the thread of its own. The other bits are the NUMA index.
pub(crate) const DEDICATED: usize = 1 << 14;

/// All booths of a scheduler.
pub(super) struct Booths {
    /// By NUMA index, `per_home` of each.
    booths: Box<[CachePadded<Booth>]>,
    per_home: usize,
    /// Binds a thread to the CPUs of its NUMA node, by NUMA index.
    pins: Vec<Option<SparePin>>,
    names: String,
    stack_size: usize,
    /// There are no threads at all (the test kit).
    manual: bool,
}

impl std::fmt::Debug for Booth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Booth")
            .field("worker", &self.worker)
            .field("numa_index", &self.numa_index)
            .finish_non_exhaustive()
    }
}

pub(super) struct Booth {
    worker: WorkerId,
    numa_index: usize,
    /// Index among all threads of the scheduler.
    thread: usize,
    /// To find a tenant's booth by: what counts stands under the mutex.
    tenant: AtomicPtr<Link>,
    /// The tenant is queued: for the thread's look without the mutex.
    is_queued: AtomicBool,
    parker: Parker,
    inner: Mutex<Inner>,
    /// Made by its first thread, so that it lies on its NUMA node.
    seat: std::sync::OnceLock<&'static Seat>,
}

struct Inner {
    tenancy: Tenancy,
    queued: Option<Task>,
    has_thread: bool,
    /// The owner's end of the seat's ring, between two threads. Nothing is ever in it: what this thread
    /// schedules goes to the workers.
    ring: Option<Local>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Tenancy {
    Free,
    Reserved,
    Let(Task),
}

/// Why there is no thread to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoBooth {
    /// All of that NUMA node are taken.
    Taken {
        /// How many there are.
        limit: usize,
    },
    /// The operating system refused a thread.
    NoThread(io::ErrorKind),
    /// The scheduler stops.
    Stopping,
}

/// A booth that is kept free for somebody. Dropped, it is free again.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is given up"]
pub(crate) struct Reservation {
    booth: &'static Booth,
}

impl Reservation {
    /// Lets the booth to that task, which its holder may schedule from here on by the route
    /// `DEDICATED | numa_index`.
    pub(crate) fn let_to(self, task: Task) {
        let mut inner = self.booth.lock();
        inner.tenancy = Tenancy::Let(task);
        // Relaxed: whoever schedules the task has it by an edge from here.
        self.booth.tenant.store(task.as_ptr(), Ordering::Relaxed);
        drop(inner);
        std::mem::forget(self);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.booth.lock().tenancy = Tenancy::Free;
        self.booth.parker.unpark();
    }
}

impl Booths {
    /// Numbered from `first` on, behind all other workers; their threads from `first_thread` on.
    pub(super) fn new(
        config: DedicatedConfig,
        numa_nodes: usize,
        first: usize,
        first_thread: usize,
        names: &str,
        stack_size: usize,
    ) -> Self {
        let booth = |index: usize| {
            CachePadded(Booth {
                // The builder keeps the sum below.
                worker: WorkerId(u16::try_from(first + index).unwrap_or(u16::MAX)),
                numa_index: index / config.per_numa_node,
                thread: first_thread + index,
                tenant: AtomicPtr::default(),
                is_queued: AtomicBool::new(false),
                parker: Parker::new(),
                inner: Mutex::new(Inner {
                    tenancy: Tenancy::Free,
                    queued: None,
                    has_thread: false,
                    ring: None,
                }),
                seat: std::sync::OnceLock::new(),
            })
        };
        Self {
            booths: (0..numa_nodes * config.per_numa_node).map(booth).collect(),
            per_home: config.per_numa_node,
            pins: config.pins,
            names: names.to_owned(),
            stack_size,
            manual: false,
        }
    }

    /// Of a scheduler without threads: nobody sits apart.
    #[cfg(any(feature = "testkit", feature = "model"))]
    pub(super) fn none() -> Self {
        Self {
            booths: Box::default(),
            per_home: 0,
            pins: Vec::new(),
            names: String::new(),
            stack_size: 0,
            manual: true,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.booths.len()
    }

    /// The number of the worker with that index among all booths.
    pub(super) fn worker(&self, index: usize) -> Option<WorkerId> {
        self.booths.get(index).map(|booth| booth.worker)
    }

    /// The worker and the NUMA index of each.
    pub(super) fn places(&self) -> impl Iterator<Item = (WorkerId, usize)> + '_ {
        let booths = self.booths.iter();
        booths.map(|booth| (booth.worker, booth.numa_index))
    }

    fn of(&self, numa_index: usize) -> &[CachePadded<Booth>] {
        let from = numa_index * self.per_home;
        self.booths
            .get(from..from + self.per_home)
            .unwrap_or_default()
    }

    /// The booth that is let to the task, and what lies under its mutex.
    fn find(&self, task: Task, numa_index: usize) -> Option<(&Booth, MutexGuard<'_, Inner>)> {
        let booths = self.of(numa_index);
        let is_let = |booth| {
            let booth: &Booth = booth;
            let inner = booth.lock();
            (inner.tenancy == Tenancy::Let(task)).then_some((booth, inner))
        };
        // Relaxed: a hint.
        let at = |booth: &&CachePadded<Booth>| {
            std::ptr::eq(booth.tenant.load(Ordering::Relaxed), task.as_ptr())
        };
        let hinted = booths.iter().find(at);
        hinted
            .and_then(|booth| is_let(&booth.0))
            .or_else(|| booths.iter().find_map(|booth| is_let(&booth.0)))
    }

    /// Queues the task in its booth; `false` if it has none.
    pub(super) fn put(&self, task: Task, numa_index: usize) -> bool {
        let Some((booth, mut inner)) = self.find(task, numa_index) else {
            return false;
        };
        inner.queued = Some(task);
        // Relaxed: the mutex orders it, and the token below.
        booth.is_queued.store(true, Ordering::Relaxed);
        drop(inner);
        booth.parker.unpark();
        true
    }

    /// The task needs its thread no more.
    pub(super) fn vacate(&self, task: Task, numa_index: usize) {
        let Some((booth, mut inner)) = self.find(task, numa_index) else {
            return;
        };
        inner.tenancy = Tenancy::Free;
        booth.tenant.store(std::ptr::null_mut(), Ordering::Relaxed);
        drop(inner);
        booth.parker.unpark();
    }

    /// The scheduler stops.
    pub(super) fn stop(&self) {
        for booth in &self.booths {
            booth.parker.unpark();
        }
    }

    /// What is queued, after the stop.
    pub(super) fn take_all(&self) -> impl Iterator<Item = Task> + '_ {
        self.booths.iter().filter_map(|booth| booth.take())
    }

    /// What each has done, and those that are let.
    pub(super) fn stats(&self) -> (Counts, Vec<DedicatedStats>) {
        let mut total = Counts::default();
        let mut taken = Vec::new();
        for booth in &self.booths {
            let counts = booth.counts();
            total += counts;
            let inner = booth.lock();
            if let Tenancy::Let(task) = inner.tenancy {
                taken.push(DedicatedStats {
                    worker: booth.worker,
                    numa_index: booth.numa_index,
                    task,
                    counts,
                });
            }
        }
        (total, taken)
    }

    pub(super) fn turns(&self, index: usize) -> u64 {
        self.booths
            .get(index)
            .map_or(0, |booth| booth.counts().turns)
    }
}

impl Scheduler {
    /// Keeps a thread of its own for a task of that NUMA node, and starts it if there is none. `None` where
    /// there are no threads at all: then nobody has one of its own.
    pub(crate) fn reserve(
        &'static self,
        numa_index: usize,
    ) -> Result<Option<Reservation>, NoBooth> {
        let booths = self.booths();
        if booths.manual {
            return Ok(None);
        }
        if self.is_stopping() {
            return Err(NoBooth::Stopping);
        }
        for booth in booths.of(numa_index) {
            let mut inner = booth.lock();
            if inner.tenancy != Tenancy::Free {
                continue;
            }
            if !inner.has_thread {
                self.start_booth(booth)
                    .map_err(|error| NoBooth::NoThread(error.kind()))?;
                inner.has_thread = true;
            }
            inner.tenancy = Tenancy::Reserved;
            return Ok(Some(Reservation { booth }));
        }
        Err(NoBooth::Taken {
            limit: booths.per_home,
        })
    }

    /// The booth's mutex is held, so the thread begins after the caller has noted it.
    fn start_booth(&'static self, booth: &'static Booth) -> io::Result<()> {
        let booths = self.booths();
        let pin = booths.pins.get(booth.numa_index).cloned().flatten();
        let number = booth.thread - self.first_booth_thread();
        let handle = thread::Builder::new()
            .name(format!("{}-own-{number}", booths.names))
            .stack_size(booths.stack_size)
            .spawn(move || live(self, booth, pin))?;
        self.joined_again(booth.thread, handle);
        Ok(())
    }
}

/// The thread of a booth.
fn live(scheduler: &'static Scheduler, booth: &'static Booth, pin: Option<SparePin>) {
    let _guard = worker::AbortOnUnwind(booth.worker);
    if let Some(Err(reason)) = pin.map(|pin| pin()) {
        log!(warn, worker = %booth.worker, reason, "the thread of one actor runs unpinned");
    }
    let kept = booth.lock().ring.take();
    let mut ring = kept.unwrap_or_else(|| {
        let place = Place {
            worker: booth.worker,
            numa_index: booth.numa_index,
            index: usize::from(booth.worker.0),
            slot: 0,
        };
        let (seat, ring) = Seat::new(place, Duty::On, scheduler.homes().len());
        let seat: &'static Seat = Box::leak(seat);
        let first = booth.seat.set(seat).is_ok();
        assert!(first, "a ring is taken from its booth and given back");
        ring
    });
    let Some(seat) = booth.seat.get() else {
        unreachable!("set with the ring");
    };
    loop {
        ring = worker::run_apart(scheduler, seat, ring, |worker| {
            booth.serve(scheduler, worker);
        });
        let mut inner = booth.lock();
        if inner.tenancy == Tenancy::Free || scheduler.is_stopping() {
            inner.has_thread = false;
            inner.ring = Some(ring);
            // Under the mutex: the next thread of this booth is not taken for gone.
            scheduler.left(booth.thread);
            return;
        }
    }
}

impl Booth {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics under this lock")
    }

    /// Takes the tenant's turns until it moves out.
    fn serve(&self, scheduler: &'static Scheduler, worker: &Worker) {
        while let Some(task) = self.next(scheduler, worker) {
            if worker.take_turn(task) == After::Again {
                self.keep(scheduler, task);
            }
        }
    }

    /// After a turn that could have gone on.
    fn keep(&self, scheduler: &'static Scheduler, task: Task) {
        let mut inner = self.lock();
        if inner.tenancy == Tenancy::Let(task) {
            inner.queued = Some(task);
            self.is_queued.store(true, Ordering::Relaxed);
        } else {
            drop(inner);
            scheduler.inject(task, self.numa_index);
        }
    }

    /// The tenant, when it is queued; `None` when this thread is to end.
    fn next(&self, scheduler: &'static Scheduler, worker: &Worker) -> Option<Task> {
        while !scheduler.is_stopping() {
            if let Some(task) = self.take() {
                return Some(task);
            }
            if self.lock().tenancy == Tenancy::Free {
                return None;
            }
            if self.spin(scheduler) {
                continue;
            }
            worker.before_park();
            // Relaxed: what comes later comes with a token.
            if !self.is_queued.load(Ordering::Relaxed) {
                worker.counters().parks.add(1);
                worker.note_park(|| self.parker.park());
            }
        }
        None
    }

    fn take(&self) -> Option<Task> {
        let mut inner = self.lock();
        self.is_queued.store(false, Ordering::Relaxed);
        inner.queued.take()
    }

    /// Waits a little for the next message; whether the tenant is queued.
    fn spin(&self, scheduler: &Scheduler) -> bool {
        if scheduler.spin.is_zero() {
            return false;
        }
        let end = Instant::now() + scheduler.spin;
        loop {
            for _ in 0..SPINS_PER_LOOK {
                spin_loop();
            }
            if self.is_queued.load(Ordering::Relaxed) || scheduler.is_stopping() {
                return true;
            }
            if Instant::now() >= end {
                return false;
            }
        }
    }

    fn counts(&self) -> Counts {
        self.seat
            .get()
            .map(|seat| seat.own.counters.read())
            .unwrap_or_default()
    }
}

/// As a searching worker's (`worker.rs`).
const SPINS_PER_LOOK: u32 = 8;

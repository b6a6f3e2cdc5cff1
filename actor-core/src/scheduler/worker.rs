//! The loop of one worker.
//!
//! ```text
//!   LIFO slot -> own ring -> injector -> (search) injector, steal near, steal far -> spin -> sleep
//!      ^ at most 8 in a row                        ^ one worker in eight
//!   every 61st turn: the injector first
//! ```
//!
//! *LIFO slot.* What a turn schedules with `Hint::Next` runs next on this worker, while its message
//! is in the cache. Thieves do not reach it: tokio made its slot stealable once and took that back
//! (extra wake-ups, -30 % in one system), and an atomic slot costs 12 ns a turn. A task in the slot
//! waits for the whole turn in front of it, so a turn that runs on after it has sent a lot calls
//! `expose`, and the watchdog takes the task from a turn that does not end (`lifo.rs`).
//!
//! *Fairness.* Two tasks that schedule each other with `Hint::Next` would own the worker; after
//! `lifo_streak_max` in a row the slot goes to the back of the ring. A ring that is never empty would
//! hide the injector, so it is looked at every [`INJECTOR_INTERVAL`] turns, and sooner if turns end
//! with `After::Again`, which means that they were long.
//!
//! *No wake-up for what only this worker can run.* A push to the LIFO slot publishes nothing. Nor
//! does `After::Again` with nothing else queued: this worker takes the task up again at once.
//!
//! *Unwinding.* Drivers promise not to unwind: a panic in user code is caught where the actor is
//! known. One that comes through all the same has left a task marked as running that will never run
//! again, with its senders waiting for ever. There is nothing to repair here, so [`AbortOnUnwind`]
//! says so and ends the process, at no cost per turn: it sits around the whole thread.
//!
//! *Spares.* A spare runs the same loop, in shifts that the watchdog begins and ends (`watchdog.rs`).
//! A worker does not know whether it was relieved: the loop has no question for it.
//!
//! Who may touch what: everything in [`Worker`] belongs to its thread. It is not `Sync`, and known
//! to its thread alone through `Worker::current`.

mod recorded;
#[cfg(feature = "model")]
pub(crate) mod stepped;

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::id::WorkerId;
use crate::memory::ONE_HOME;
use crate::probes;
use crate::sync::hint::spin_loop;
use crate::sync::thread;

use super::idle::{Asleep, Searching, Sleep};
use super::injector::SHARE_MAX;
use super::pool::Scheduler;
use super::ring::Local;
use super::seat::{Duty, Home, Seat};
use super::stats::Counters;
use super::steal::{CrossNuma, FarView, Random, circle};
use super::task::{After, Chain, Hint, Task};

/// What a worker keeps to itself. Leaked, about 200 bytes (see `pool.rs`).
pub(crate) struct Worker {
    /// Turns in a row that came from the LIFO slot.
    streak: Cell<u32>,
    /// Turns until the injector goes first.
    until_injector: Cell<u32>,
    ring: Local,
    scheduler: &'static Scheduler,
    home: &'static Home,
    seat: &'static Seat,
    /// What is scheduled there it takes into its own queues: its NUMA index, or nothing.
    route: usize,
    numa_index: usize,
    /// Since when there has been nothing to do at home; turns of guests do not count as work.
    idle_since: Cell<Instant>,
    /// The number of the last guest's turn.
    guest: Cell<u64>,
    /// Work waits on another NUMA node, to be looked at again after so long if there is none at home.
    far_in: Cell<Option<Duration>>,
    random: Random,
}

thread_local! {
    /// Const and without a destructor, so that reading it is one load relative to the thread pointer.
    static CURRENT: Cell<Option<&'static Worker>> = const { Cell::new(None) };
}

/// A task, and whether it is a guest from another NUMA node.
enum Found {
    Home(Task),
    Far(Task, usize),
}

/// How a sleep has ended.
enum Woken {
    /// By a waker.
    ToSearch(Searching),
    /// The scheduler stops, or a spare's shift ends. `Some`: a waker counts on this worker all the same.
    ToLeave(Option<Searching>),
    /// It is time to look at other NUMA nodes. `Some`: as above.
    InTime(Option<Searching>),
}

/// The life of a worker on its thread.
pub(super) fn run(scheduler: &'static Scheduler, seat: &'static Seat, ring: Local) {
    with_worker(scheduler, seat, ring, Worker::work::<false>);
}

/// The life of a spare on its thread: shifts, and waiting for the next.
pub(super) fn run_spare(scheduler: &'static Scheduler, seat: &'static Seat, ring: Local) {
    with_worker(scheduler, seat, ring, |worker| {
        loop {
            while seat.duty() == Duty::Off && !scheduler.is_stopping() {
                seat.park();
            }
            if scheduler.is_stopping() {
                return;
            }
            worker.note_shift(|| worker.work::<true>());
            if worker.give_back() {
                scheduler.call_home(worker.home);
            }
            seat.set_duty(Duty::Off);
        }
    });
}

fn with_worker(
    scheduler: &'static Scheduler,
    seat: &'static Seat,
    ring: Local,
    work: impl FnOnce(&'static Worker),
) {
    let worker: &'static Worker = Box::leak(Box::new(Worker::new(
        scheduler,
        seat,
        ring,
        seat.numa_index,
    )));
    CURRENT.set(Some(worker));
    let started = scheduler.driver().worker_started(worker);
    work(worker);
    CURRENT.set(None);
    worker.give_back();
    // After its tasks are where `drain_remaining` finds them: the guard's drop may look there.
    drop(started);
}

/// As a worker that has no queue of its own (`dedicated.rs`). Such threads come and go, so nothing is
/// leaked: the ring is given back.
pub(super) fn run_apart(
    scheduler: &'static Scheduler,
    seat: &'static Seat,
    ring: Local,
    work: impl FnOnce(&Worker),
) -> Local {
    let worker = Box::into_raw(Box::new(Worker::new(scheduler, seat, ring, NO_ROUTE)));
    // SAFETY: just made, and freed below only.
    let in_place: &'static Worker = unsafe { &*worker };
    CURRENT.set(Some(in_place));
    let started = scheduler.driver().worker_started(in_place);
    work(in_place);
    CURRENT.set(None);
    drop(started);
    // SAFETY: from `Box::into_raw` above. What `current` has given out was for the moment, on this thread;
    // what `worker_started` has made of it is gone with its guard.
    unsafe { Box::from_raw(worker) }.ring
}

impl Worker {
    fn new(scheduler: &'static Scheduler, seat: &'static Seat, ring: Local, route: usize) -> Self {
        Self {
            streak: Cell::new(0),
            until_injector: Cell::new(INJECTOR_INTERVAL - 1),
            ring,
            scheduler,
            home: scheduler.home(seat.numa_index),
            seat,
            route,
            numa_index: seat.numa_index,
            idle_since: Cell::new(Instant::now()),
            guest: Cell::new(u64::MAX),
            far_in: Cell::new(None),
            random: Random::new(u64::from(seat.worker.0)),
        }
    }

    /// The worker whose thread this is. One load.
    #[inline(always)]
    pub(crate) fn current() -> Option<&'static Self> {
        CURRENT.get()
    }

    #[cfg(test)]
    /// Where it works.
    #[inline(always)]
    pub(crate) fn scheduler(&self) -> &'static Scheduler {
        self.scheduler
    }

    /// Its number in the system.
    pub(crate) fn id(&self) -> WorkerId {
        self.seat.worker
    }

    /// The NUMA node at which it sits.
    #[inline(always)]
    pub(crate) fn numa_index(&self) -> usize {
        self.numa_index
    }

    /// Queues a task on this worker. The task's NUMA node must be this worker's; `Scheduler::schedule`
    /// looks.
    ///
    /// With `Hint::Next` the task that was next goes to the back of the ring, and only then may
    /// another worker be woken.
    #[inline]
    pub(crate) fn schedule_local(&self, task: Task, hint: Hint) {
        match hint {
            Hint::Next => {
                if let Some(displaced) = self.seat.own.lifo.put(task) {
                    self.publish(displaced);
                }
            }
            Hint::Back => self.publish(task),
        }
    }

    /// As [`Scheduler::schedule`], of a task for the NUMA node that this thread's worker serves; `false`, and
    /// nothing done: the thread is no worker of this scheduler.
    #[inline(always)]
    pub(crate) fn schedule_here(scheduler: &Scheduler, task: Task, hint: Hint) -> bool {
        match Self::current() {
            Some(worker) if worker.belongs_to(scheduler) => {
                worker.schedule_local(task, hint);
                true
            }
            _ => false,
        }
    }

    /// Moves the task in the LIFO slot, if any, to where thieves reach it, and wakes one.
    ///
    /// For a turn that goes on for long after it has scheduled something.
    pub(crate) fn expose(&self) {
        if let Some(task) = self.seat.own.lifo.take() {
            self.publish(task);
        }
    }

    pub(super) fn belongs_to(&self, scheduler: &Scheduler) -> bool {
        std::ptr::eq(self.scheduler, scheduler)
    }

    #[inline(always)]
    pub(super) fn serves(&self, scheduler: &Scheduler, route: usize) -> bool {
        self.belongs_to(scheduler) & (ONE_HOME || self.route == route)
    }

    /// Whether it runs one task alone.
    pub(crate) fn is_apart(&self) -> bool {
        self.route == NO_ROUTE
    }

    /// One turn of a task that was given out for it.
    #[inline(always)]
    pub(super) fn take_turn(&self, task: Task) -> After {
        self.counters().turns.add(1);
        // SAFETY: the task was scheduled under the contract of `Task::from_raw`, and each queue gives a task
        // out once, so this is the one turn it was scheduled for.
        let turn = || unsafe { self.scheduler.driver().take_turn(task, self) };
        if self.is_recorded() {
            return self.recorded_turn(task, turn);
        }
        turn()
    }

    pub(super) fn before_park(&self) {
        self.scheduler.driver().before_park(self);
    }

    #[inline(always)]
    pub(super) fn counters(&self) -> &'static Counters {
        &self.seat.own.counters
    }

    /// Takes turns until the scheduler stops or, for a spare, until its shift ends.
    fn work<const SPARE: bool>(&self) {
        while !(self.scheduler.is_stopping() || SPARE && self.seat.duty() == Duty::Ending) {
            let Some(found) = self.next().map(Found::Home).or_else(|| self.seek()) else {
                continue; // Leaving.
            };
            let (Found::Home(task) | Found::Far(task, _)) = found;
            match (self.take_turn(task), found) {
                (After::Done, _) => {}
                (After::Again, Found::Home(task)) => self.again(task),
                // A guest goes home; its NUMA node may be idle by now.
                (After::Again, Found::Far(task, numa_index)) => {
                    self.scheduler.inject(task, numa_index);
                }
            }
        }
    }

    /// What this worker finds without searching.
    #[inline(always)]
    fn next(&self) -> Option<Task> {
        match self.until_injector.get().checked_sub(1) {
            Some(left) => self.until_injector.set(left),
            None => {
                self.until_injector.set(INJECTOR_INTERVAL - 1);
                if let Some(task) = self.take_share() {
                    return Some(task);
                }
            }
        }
        self.next_local().or_else(|| self.take_share())
    }

    #[inline(always)]
    fn next_local(&self) -> Option<Task> {
        if let Some(task) = self.seat.own.lifo.take() {
            let streak = self.streak.get();
            if streak < self.scheduler.lifo_streak_max {
                self.streak.set(streak + 1);
                self.counters().lifo_hits.add(1);
                return Some(task);
            }
            self.streak.set(0);
            if self.ring.is_empty() {
                return Some(task); // Nobody to be fair to.
            }
            self.publish(task);
        } else {
            self.streak.set(0);
        }
        self.ring.pop()
    }

    /// A share of the injector: one task to run, the others to the back of the ring. Thieves have to
    /// be told of them, and of a task that `again` has put there without a word.
    fn take_share(&self) -> Option<Task> {
        let task = self.take_share_quietly()?;
        if !self.ring.is_empty() {
            self.call();
        }
        Some(task)
    }

    /// As `take_share`, for a searcher: when it leaves the search, it looks whether there is more.
    fn take_share_quietly(&self) -> Option<Task> {
        let (task, others) = self.share()?.pop_front();
        if let Some(others) = others {
            self.ring.extend(others);
        }
        Some(task)
    }

    /// A share of the injector for which the ring has room (or one task, to be run).
    fn share(&self) -> Option<Chain> {
        let injector = &self.home.injector;
        if injector.len() == 0 {
            return None;
        }
        let share = if self.ring.free() >= SHARE_MAX {
            injector.take_share(self.home.workers)?
        } else {
            Chain::one(injector.pop()?)
        };
        self.counters().injector_pops.add(share.len() as u64);
        Some(share)
    }

    /// To the back of the queue after a turn that could have gone on.
    fn again(&self, task: Task) {
        // A turn that ends like this has used up its budget; ten of them are worth a look outside.
        self.until_injector
            .set(self.until_injector.get().saturating_sub(AGAIN_COST));
        if self.ring.is_empty() {
            // Who waits outside goes first, or one busy task would keep them waiting for ten turns,
            // each a full budget long. An empty ring has room for any share.
            if let Some(share) = self.share() {
                self.ring.extend(share);
            } else if self.seat.own.lifo.is_empty() {
                // This worker takes the task up again at once: nobody is to be told.
                self.push(task);
                return;
            }
        }
        self.publish(task);
    }

    /// To the back of the ring, for whoever comes first.
    fn publish(&self, task: Task) {
        self.push(task);
        self.call();
    }

    fn push(&self, task: Task) {
        let injector = &self.home.injector;
        if self.ring.push(task, injector) {
            self.counters().overflows.add(1);
            self.scheduler.call_far(self.home, injector.len());
        }
    }

    /// After publishing: wakes another worker of this NUMA node, if there is one.
    fn call(&self) {
        if self.home.seats().len() > 1 {
            self.scheduler.call_home(self.home);
        }
    }

    /// The scheduler stops, or a spare's shift ends.
    fn is_leaving(&self) -> bool {
        self.scheduler.is_stopping() || self.seat.duty() == Duty::Ending
    }

    /// Out of work: searches and sleeps until there is some, or until it is time to leave.
    #[cold]
    fn seek(&self) -> Option<Found> {
        let idle = &self.home.idle;
        let me = self.seat.slot;
        if self.guest.get() != self.counters().turns.get() {
            self.idle_since.set(Instant::now());
        }
        let mut searching = idle.start_searching(me);
        self.far_in.set(None);
        while !self.is_leaving() {
            if searching.is_some() {
                self.far_in.set(None);
                if let Some(found) = self.search() {
                    return self.found(found, searching);
                }
            }
            self.scheduler.driver().before_park(self);
            if let Some(task) = self.next_local() {
                return self.found(Found::Home(task), searching);
            }
            searching = match idle.sleep(me, searching, || self.home.has_work()) {
                Sleep::Searching(searching) => Some(searching),
                Sleep::Asleep(asleep) => match self.park(asleep) {
                    Woken::ToSearch(searching) => Some(searching),
                    Woken::ToLeave(searching) => searching,
                    Woken::InTime(searching) => {
                        self.far_in.set(None);
                        if let Some(found) = self.search_far() {
                            return self.found(found, searching);
                        }
                        searching
                    }
                },
            };
        }
        // Publishers may have relied on this search.
        self.stop_searching(searching);
        None
    }

    fn found(&self, found: Found, searching: Option<Searching>) -> Option<Found> {
        if matches!(found, Found::Far(..)) {
            self.guest.set(self.counters().turns.get() + 1);
        }
        self.stop_searching(searching);
        Some(found)
    }

    fn stop_searching(&self, was: Option<Searching>) {
        let Some(was) = was else { return };
        let home = self.home;
        if let Some(slot) = home
            .idle
            .stop_searching(self.seat.slot, was, || home.has_work())
        {
            self.scheduler.unpark(home.seats[slot]);
        }
    }

    /// Sleeps in the kernel until a waker has made this worker a searcher, or it gets up by itself.
    fn park(&self, asleep: Asleep) -> Woken {
        self.counters().parks.add(1);
        probes::park(self.seat.worker);
        self.note_park(|| self.sleep(asleep))
    }

    fn sleep(&self, mut asleep: Asleep) -> Woken {
        let idle = &self.home.idle;
        let me = self.seat.slot;
        // Work waits elsewhere. It is not asked for again: who is woken before that looks at home first, and
        // finds out anew.
        let left = self.far_in.get();
        let until = left.and_then(|left| Instant::now().checked_add(left));
        loop {
            let in_time = match until {
                None => {
                    self.seat.park();
                    false
                }
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    !self.seat.park_timeout(left)
                }
            };
            probes::unpark(self.seat.worker);
            match idle.woken(me, asleep) {
                Ok(searching) => {
                    self.scheduler.somebody_woke();
                    return Woken::ToSearch(searching);
                }
                Err(stale) if self.is_leaving() => return Woken::ToLeave(idle.get_up(me, stale)),
                Err(stale) if in_time => {
                    let searching = idle.get_up(me, stale);
                    self.scheduler.somebody_woke();
                    return Woken::InTime(searching);
                }
                Err(stale) => asleep = stale,
            }
        }
    }

    /// Looks everywhere, several times over the time given to spinning.
    fn search(&self) -> Option<Found> {
        let mut slices = if self.scheduler.spin.is_zero() {
            0
        } else {
            SPIN_SLICES
        };
        loop {
            // The first slice of the spinning leaves rings alone that are just being filled.
            let least = if slices == SPIN_SLICES { RIPE } else { 1 };
            if let Some(task) = self.search_home(least) {
                return Some(Found::Home(task));
            }
            if least == 1
                && let Some(found) = self.search_far()
            {
                return Some(found);
            }
            if slices == 0 || self.is_leaving() {
                return None;
            }
            slices -= 1;
            self.spin(least);
        }
    }

    /// The injector, then the rings of this NUMA node that hold at least so many tasks.
    fn search_home(&self, least: usize) -> Option<Task> {
        if let Some(task) = self.take_share_quietly() {
            return Some(task);
        }
        let seats = self.home.seats();
        let (task, from) = circle(seats.len(), self.random.next())
            .filter(|&slot| slot != self.seat.slot && seats[slot].ring.len() >= least)
            .find_map(|slot| Some((seats[slot].ring.steal_half(&self.ring)?, seats[slot])))?;
        self.counters().steals_near.add(1);
        self.note_steal_near(from);
        Some(task)
    }

    /// One task of the nearest NUMA node that has any to spare for us (`CrossNuma`). Only of one whose workers are
    /// all busy: where one sleeps or searches, it has been told already, and is nearer to the task than we
    /// are. If it is too early to take one, notes when it will not be.
    fn search_far(&self) -> Option<Found> {
        if self.home.far.is_empty() || self.scheduler.cross_numa == CrossNuma::Never {
            return None;
        }
        self.search_far_after(self.idle_since.get().elapsed())
    }

    /// As `search_far`, with nothing to do at home for so long.
    fn search_far_after(&self, idle_for: Duration) -> Option<Found> {
        for group in &self.home.far {
            for i in circle(group.len(), self.random.next()) {
                let numa_index = group[i];
                let far = self.scheduler.home(numa_index);
                if !far.idle.all_busy() || !self.may_take_from(far, numa_index, idle_for) {
                    continue;
                }
                let seats = far.seats();
                let from_ring = |slot: usize| {
                    let seat = seats[slot];
                    Some((seat.ring.steal_one()?, Some(seat.worker)))
                };
                let taken = far.injector.pop().map(|task| (task, None));
                let taken =
                    taken.or_else(|| circle(seats.len(), self.random.next()).find_map(from_ring));
                if let Some((task, from)) = taken {
                    self.counters().steals_far.add(1);
                    self.note_steal_far(from, numa_index);
                    self.seat.took_from[numa_index].add(1);
                    // While we took it, a worker there may have seen a theft in progress and gone to
                    // sleep over what is left (README).
                    if far.has_work() {
                        self.scheduler.call_home(far);
                    }
                    return Some(Found::Far(task, numa_index));
                }
            }
        }
        None
    }

    fn may_take_from(&self, far: &Home, numa_index: usize, idle_for: Duration) -> bool {
        let queued = far.waiting();
        if queued == 0 {
            return false;
        }
        let view = FarView {
            distance: self.home.distances[numa_index],
            idle_for,
            queued,
            workers: far.workers,
        };
        match self.scheduler.cross_numa.wait(&view) {
            Some(Duration::ZERO) => true,
            Some(wait) => {
                let sooner = self.far_in.get().map_or(wait, |before| before.min(wait));
                self.far_in.set(Some(sooner));
                false
            }
            None => false,
        }
    }

    /// One slice of the spinning time, or until there is work at home.
    fn spin(&self, least: usize) {
        let end = Instant::now() + self.scheduler.spin / SPIN_SLICES;
        for look in 1_u32.. {
            for _ in 0..SPINS_PER_LOOK {
                spin_loop();
            }
            // The injector is one line. The rings are one line per worker, which its owner then has
            // to fetch back, so they are looked at less often.
            let found = if look.is_multiple_of(4) {
                self.home.injector.len() > 0
                    || self
                        .home
                        .seats()
                        .iter()
                        .any(|seat| seat.ring.len() >= least)
            } else {
                self.home.injector.len() > 0
            };
            if found || self.is_leaving() || Instant::now() >= end {
                return;
            }
        }
    }

    /// At the end: everything queued here, to where others (or `drain_remaining`) find it. Whether
    /// there was anything.
    fn give_back(&self) -> bool {
        let queued = std::iter::from_fn(|| self.seat.own.lifo.take().or_else(|| self.ring.pop()));
        queued
            .map(|task| self.home.injector.push(task))
            .last()
            .is_some()
    }
}

/// Around the life of a worker's thread; see the top of the file.
pub(super) struct AbortOnUnwind(pub(super) WorkerId);

impl Drop for AbortOnUnwind {
    fn drop(&mut self) {
        if thread::panicking() {
            let worker = self.0;
            tracing::error!(%worker, "a panic reached the scheduler");
            // Also where nobody listens to `tracing`: this is the last thing the process says.
            eprintln!(
                "actor-core: a panic reached the scheduler on {worker}. The actor it came from can \
                 never run again, so the process ends. This is a bug in actor-core or in a Drop \
                 that panics."
            );
            std::process::abort();
        }
    }
}

/// The route of a worker that takes nothing into queues of its own.
const NO_ROUTE: usize = usize::MAX;

/// A prime, so that it does not beat with the patterns of users (Go's number, and tokio's).
const INJECTOR_INTERVAL: u32 = 61;

/// What a turn that ends with `After::Again` costs of that interval. Such a turn was as long as turns
/// may be: with 5, the injector is looked at after ten of them. A choice, not a measurement.
const AGAIN_COST: u32 = 5;

/// The spinning time is cut into so many slices with a full search after each.
const SPIN_SLICES: u32 = 4;

/// Tasks that make a ring worth a visit in the first slice. A worker that makes a task every 200 ns
/// would otherwise have each one carried off alone, at four cache misses for itself: spawning a
/// million actors took 450 ns each with 600,000 thefts, and 300 ns with 200,000. A lone task
/// waits 5 us longer for a thief that is awake, less than one that sleeps needs to come (6 us).
const RIPE: usize = 8;

/// Pauses between two looks: about 0.3 us where a pause takes 140 cycles (Intel since Skylake), 0.1 us
/// where it takes 40.
const SPINS_PER_LOOK: u32 = 8;

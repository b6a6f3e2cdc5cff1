//! Notices a worker that does not come back from a turn, and sends somebody else to work.
//!
//! One thread per system. It looks at every worker some hundred times a second: has the number of
//! turns it has begun changed, and is it in one? That costs the workers nothing, they count their
//! turns anyway. What it does about a worker that is *stuck*, in one turn for longer than
//! `relieve_after`:
//!
//! ```text
//!   its LIFO slot        emptied into the injector (lifo.rs)
//!   its ring             left alone: it stays the owner, thieves take from it as always
//!   its place            taken by a spare, if work waits and fewer workers than usual take turns
//!   in the books         reported when the turn has lasted `report_after`, and again when it ends
//! ```
//!
//! *Spares* are threads on seats of their own (`seat.rs`), bound to the CPUs of their NUMA node's
//! workers: the kernel puts them on the one that is free, which is the stuck worker's if it sleeps in a
//! system call, and shares them out if it spins. A spare's shift begins here and ends here: when the
//! stuck worker comes back, more take turns than there are workers, and one spare is sent off. It
//! leaves after the turn it is in, puts what it has queued into the injector, and waits for its next
//! shift. Its thread ends with the scheduler. Spares are watched like workers, so one that gets stuck is
//! relieved as well, until all are.
//!
//! Go takes the stuck thread's processor away with all that is on it, and needs a handshake at each
//! system call for it; tokio leaves the choice to the user (`block_in_place`). Here nothing is taken that
//! its owner believes to own, which is the whole argument for its soundness.
//!
//! Being there anyway, it also does what has to be done now and then (`WatchdogConfig::chore`).
//!
//! The thread sleeps for half of the shorter threshold between two looks, and when all workers have
//! been asleep for a while it sleeps until one wakes (`Bell`), so a system that has nothing to do costs
//! nothing. What it finds out is late by up to that interval; a turn's beginning is known to one
//! interval.

use std::time::{Duration, Instant};

use crate::contain::log;
use crate::id::WorkerId;
use crate::sync::atomic::{AtomicBool, Ordering, fence};
use crate::sync::{Condvar, Mutex, thread};

use super::config::{SparePin, WatchdogConfig};
use super::pool::Scheduler;
use super::ring::Local;
use super::seat::{Duty, Home, Seat};
use super::stats::{Counter, StallCounts};
use super::worker;

/// A turn that has been reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    pub(crate) worker: WorkerId,
    pub(crate) numa_index: usize,
    /// The number of the turn, to see whether it is still the same.
    pub(crate) turns: u64,
    pub(crate) since: Instant,
    pub(crate) lasted: Duration,
    /// Whether it goes on. Each stall is told twice: when it is noticed, and when it is over.
    pub(crate) running: bool,
}

/// Everything of the watchdog that others touch.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    bell: Bell,
    pub(super) counts: Counters,
}

/// Written by the watchdog's thread alone.
#[derive(Debug, Default)]
pub(super) struct Counters {
    stalls: Counter,
    running: Counter,
    longest: Counter,
    relieved: Counter,
    exhausted: Counter,
    on_duty: Counter,
    spare_threads: Counter,
}

impl Watchdog {
    pub(super) fn counts(&self) -> StallCounts {
        let counts = &self.counts;
        StallCounts {
            stalls: counts.stalls.get(),
            running: counts.running.get(),
            longest: counts.longest.get(),
            relieved: counts.relieved.get(),
            exhausted: counts.exhausted.get(),
            on_duty: counts.on_duty.get(),
            spare_threads: counts.spare_threads.get(),
        }
    }

    /// A worker has come out of its sleep.
    pub(super) fn somebody_woke(&self) {
        self.bell.ring_if_dozing();
    }

    /// The scheduler stops.
    pub(super) fn stop(&self) {
        self.bell.ring();
    }
}

/// What a spare needs to begin: made at the start, used when it is first needed.
pub(super) struct Bench {
    pub(super) seat: &'static Seat,
    /// Gone once its thread runs.
    pub(super) ring: Option<Local>,
}

/// The watchdog's life on its thread. `benches` are the spares of each NUMA node.
pub(super) fn run(
    scheduler: &'static Scheduler,
    config: WatchdogConfig,
    benches: Vec<Vec<Bench>>,
    names: String,
    stack_size: usize,
) {
    let now = Instant::now();
    let all = scheduler.seats().iter();
    let watched = all.map(|seat| Watched::new(seat, now)).collect();
    let tick = config.relieve_after.min(config.report_after) / 2;
    Keeper {
        scheduler,
        tick: tick.clamp(TICK_MIN, TICK_MAX),
        config,
        benches,
        names,
        stack_size,
        watched,
        no_threads_before: now,
    }
    .run();
}

struct Keeper {
    scheduler: &'static Scheduler,
    config: WatchdogConfig,
    tick: Duration,
    benches: Vec<Vec<Bench>>,
    names: String,
    stack_size: usize,
    /// By seat.
    watched: Vec<Watched>,
    /// The operating system refused a thread; not asked again before.
    no_threads_before: Instant,
}

/// What was seen of one worker at the last look.
struct Watched {
    seat: &'static Seat,
    turns: u64,
    /// When the present turn was first seen.
    since: Instant,
    is_stuck: bool,
    is_reported: bool,
}

/// What a look found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    /// Between turns, asleep, or in another turn than last time.
    Moving,
    /// In the same turn as at the last look, for so long.
    Same(Duration),
}

impl Watched {
    fn new(seat: &'static Seat, now: Instant) -> Self {
        Self {
            seat,
            turns: seat.own.counters.turns.get(),
            since: now,
            is_stuck: false,
            is_reported: false,
        }
    }

    fn look(&mut self, turns: u64, in_turn: bool, now: Instant) -> Seen {
        if in_turn && turns == self.turns {
            return Seen::Same(now.saturating_duration_since(self.since));
        }
        self.turns = turns;
        Seen::Moving
    }
}

impl Keeper {
    fn run(mut self) {
        let bell = &self.scheduler.watchdog().bell;
        let mut quiet = 0_u32;
        let mut next_chore = Instant::now() + CHORE_EVERY;
        while !self.scheduler.is_stopping() {
            let mut found_quiet = self.look();
            if let Some(chore) = &mut self.config.chore
                && Instant::now() >= next_chore
            {
                chore();
                next_chore = Instant::now() + CHORE_EVERY;
            }
            if found_quiet && quiet >= DOZE_AFTER {
                // Set, then look again: whoever wakes up meanwhile either is seen here or sees it.
                bell.doze();
                found_quiet = self.all_asleep();
                if found_quiet && !self.scheduler.is_stopping() {
                    bell.wait_until_rung();
                    quiet = 0;
                    // What it sees next began after it lay down.
                    self.start_afresh();
                    continue;
                }
                bell.stay_awake();
            }
            quiet = if found_quiet {
                quiet.saturating_add(1)
            } else {
                0
            };
            bell.wait(self.tick);
        }
    }

    /// One look at everything. Whether all workers sleep.
    fn look(&mut self) -> bool {
        let now = Instant::now();
        for at in 0..self.watched.len() {
            self.look_at(at, now);
        }
        for numa_index in 0..self.scheduler.homes().len() {
            self.see_to(numa_index);
        }
        self.all_asleep()
    }

    fn look_at(&mut self, at: usize, now: Instant) {
        let scheduler = self.scheduler;
        let watched = &mut self.watched[at];
        let seat = watched.seat;
        if seat.duty() == Duty::Off {
            // A spare that has left: its last turn is over.
            Self::over(scheduler, watched, now);
            watched.since = now;
            return;
        }
        let turns = seat.own.counters.turns.get();
        let in_turn = scheduler.driver().in_turn(seat.worker)
            && !scheduler.home(seat.numa_index).idle.is_asleep(seat.slot);
        match watched.look(turns, in_turn, now) {
            Seen::Moving => {
                Self::over(scheduler, watched, now);
                watched.since = now;
            }
            Seen::Same(lasted) => {
                watched.is_stuck = lasted >= self.config.relieve_after;
                if lasted < self.config.report_after {
                    return;
                }
                let counts = &scheduler.watchdog().counts;
                counts.note_longest(lasted);
                if !watched.is_reported {
                    watched.is_reported = true;
                    counts.stalls.add(1);
                    counts.running.add(1);
                    Self::tell(scheduler, watched, lasted, true);
                }
            }
        }
    }

    /// The turn is over; whoever heard of it hears so.
    fn over(scheduler: &'static Scheduler, watched: &mut Watched, now: Instant) {
        watched.is_stuck = false;
        if std::mem::take(&mut watched.is_reported) {
            let lasted = now.saturating_duration_since(watched.since);
            let counts = &scheduler.watchdog().counts;
            counts.note_longest(lasted);
            counts.running.add(u64::MAX); // Wraps: takes one back.
            Self::tell(scheduler, watched, lasted, false);
        }
    }

    fn tell(scheduler: &'static Scheduler, watched: &Watched, lasted: Duration, running: bool) {
        let stall = Stall {
            worker: watched.seat.worker,
            numa_index: watched.seat.numa_index,
            turns: watched.turns,
            since: watched.since,
            lasted,
            running,
        };
        scheduler.note_stall(watched.seat.index, &stall);
        scheduler.driver().stalled(&stall);
    }

    /// Sees that as many take turns at this NUMA node as it has workers, if there is work for them.
    fn see_to(&mut self, numa_index: usize) {
        let scheduler = self.scheduler;
        let home = scheduler.home(numa_index);
        let (mut able, mut stuck) = (0, 0);
        for watched in &self.watched[..] {
            if watched.seat.numa_index != numa_index {
                continue;
            }
            if watched.is_stuck {
                stuck += 1;
                scheduler.evict(watched.seat);
            } else if watched.seat.duty() == Duty::On {
                able += 1;
            }
        }
        if able > home.workers {
            self.end_shifts(home, able - home.workers);
        }
        if stuck == 0 {
            return;
        }
        let waiting = home.waiting();
        if able < home.workers && waiting > 0 {
            self.begin_shifts(numa_index, (home.workers - able).min(waiting));
        }
        // A worker that is alone at its NUMA node tells nobody of what it queues (`Worker::call`), and
        // it may have read so just before the spare came.
        if home.has_work() {
            scheduler.call_home(home);
        }
    }

    fn begin_shifts(&mut self, numa_index: usize, needed: usize) {
        let counts = &self.scheduler.watchdog().counts;
        for _ in 0..needed {
            let bench = &self.benches[numa_index];
            let free = bench
                .iter()
                .position(|spare| spare.seat.duty() == Duty::Off);
            let Some(spare) = free else {
                if !bench.is_empty() {
                    counts.exhausted.add(1);
                }
                return;
            };
            if !self.begin_shift(numa_index, spare) {
                return;
            }
            counts.relieved.add(1);
            counts.on_duty.add(1);
        }
    }

    fn begin_shift(&mut self, numa_index: usize, spare: usize) -> bool {
        let scheduler = self.scheduler;
        let Bench { seat, ring } = &mut self.benches[numa_index][spare];
        let seat: &'static Seat = seat;
        let ring = match ring.take() {
            None => {
                seat.set_duty(Duty::On);
                seat.unpark();
                return true;
            }
            Some(ring) if Instant::now() < self.no_threads_before => {
                // Not now.
                self.benches[numa_index][spare].ring = Some(ring);
                return false;
            }
            Some(ring) => ring,
        };
        let home = scheduler.home(numa_index);
        home.take_seat(seat.slot);
        seat.set_duty(Duty::On);
        let name = format!(
            "{}-spare-{}",
            self.names,
            usize::from(seat.worker.0) - scheduler.workers()
        );
        let pin = self.config.pins.get(numa_index).cloned().flatten();
        // The ring is handed over after the thread is there: if it is refused, the ring stays here.
        let (hand, handed) = std::sync::mpsc::channel::<Local>();
        let spawned = thread::Builder::new()
            .name(name)
            .stack_size(self.stack_size)
            .spawn(move || {
                if let Ok(ring) = handed.recv() {
                    live(scheduler, seat, pin, ring);
                }
            });
        match spawned {
            Ok(handle) => {
                scheduler.joined(seat.index, handle);
                scheduler.watchdog().counts.spare_threads.add(1);
                // The thread waits for it.
                let _ = hand.send(ring);
                true
            }
            Err(error) => {
                log!(error, %error, "no thread to relieve a stuck worker with");
                seat.set_duty(Duty::Off);
                self.benches[numa_index][spare].ring = Some(ring);
                self.no_threads_before = Instant::now() + THREAD_RETRY;
                false
            }
        }
    }

    fn end_shifts(&self, home: &Home, surplus: usize) {
        let spares = self.watched.iter().filter(|watched| {
            let seat = watched.seat;
            std::ptr::eq(self.scheduler.home(seat.numa_index), home)
                && seat.slot >= home.workers
                && seat.duty() == Duty::On
                && !watched.is_stuck
        });
        for watched in spares.take(surplus) {
            watched.seat.set_duty(Duty::Ending);
            watched.seat.unpark();
            self.scheduler.watchdog().counts.on_duty.add(u64::MAX); // Takes one back.
        }
    }

    fn all_asleep(&self) -> bool {
        self.watched.iter().all(|watched| {
            let seat = watched.seat;
            seat.duty() == Duty::Off
                || self
                    .scheduler
                    .home(seat.numa_index)
                    .idle
                    .is_asleep(seat.slot)
        })
    }

    fn start_afresh(&mut self) {
        let now = Instant::now();
        for watched in &mut self.watched {
            *watched = Watched::new(watched.seat, now);
        }
    }
}

impl Counters {
    fn note_longest(&self, lasted: Duration) {
        let nanos = u64::try_from(lasted.as_nanos()).unwrap_or(u64::MAX);
        self.longest.set(self.longest.get().max(nanos));
    }
}

/// A spare's thread.
fn live(scheduler: &'static Scheduler, seat: &'static Seat, pin: Option<SparePin>, ring: Local) {
    let _guard = worker::AbortOnUnwind(seat.worker);
    if let Some(Err(reason)) = pin.map(|pin| pin()) {
        log!(warn, worker = %seat.worker, reason, "a spare runs unpinned");
    }
    worker::run_spare(scheduler, seat, ring);
    scheduler.left(seat.index);
}

/// Wakes the watchdog's thread.
#[derive(Debug, Default)]
struct Bell {
    /// It sleeps until it is rung.
    dozing: AtomicBool,
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.lock() = true;
        self.ringing.notify_all();
    }

    fn ring_if_dozing(&self) {
        // Fence D, with the one in `doze`: between this worker's leaving its bed (its bit) and the look
        // here, as there between the mark and the look at the bits.
        fence(Ordering::SeqCst);
        // Relaxed, both: the fence orders them, and the mutex hands over.
        if self.dozing.load(Ordering::Relaxed) && self.dozing.swap(false, Ordering::Relaxed) {
            self.ring();
        }
    }

    fn doze(&self) {
        self.dozing.store(true, Ordering::Relaxed);
        // Fence D, with the one in `ring_if_dozing`.
        fence(Ordering::SeqCst);
    }

    fn stay_awake(&self) {
        self.dozing.store(false, Ordering::Relaxed);
    }

    /// Until it is rung or the time is over.
    fn wait(&self, timeout: Duration) {
        let (mut rung, _) = self
            .ringing
            .wait_timeout_while(self.lock(), timeout, |rung| !*rung)
            .expect("nothing panics under this lock");
        *rung = false;
    }

    fn wait_until_rung(&self) {
        let mut rung = self
            .ringing
            .wait_while(self.lock(), |rung| !*rung)
            .expect("nothing panics under this lock");
        *rung = false;
    }

    fn lock(&self) -> crate::sync::MutexGuard<'_, bool> {
        self.rung.lock().expect("nothing panics under this lock")
    }
}

/// Between two looks: at least this long, however low the thresholds.
const TICK_MIN: Duration = Duration::from_micros(500);
/// And at most this long, however high: a worker's return is noticed by then.
const TICK_MAX: Duration = Duration::from_millis(50);
/// Looks in a row that found all workers asleep, before it sleeps until rung. With the default of 5 ms
/// half a second: who wakes up a dozing watchdog pays a system call for it, so it shall be rare.
const DOZE_AFTER: u32 = 100;
/// Between two chores, while anybody is awake.
const CHORE_EVERY: Duration = Duration::from_millis(500);
/// After the operating system has refused a thread.
const THREAD_RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
#[path = "watchdog_tests.rs"]
mod tests;

//! Workers without threads, step by step: for the machine model in benches/, which has a clock of its own.
//!
//! The queues, the order of looking and stealing, the LIFO slot, the sleep and wake protocol are the code
//! that threads run: [`Stepped`] calls it with the modelled worker as `Worker::current`. What is not here is
//! what takes time there (spinning, the futex): the model lets that pass on its clock.
//!
//! One thread does it all, so no step meets another half done.

use std::collections::BTreeSet;
use std::ptr::NonNull;
use std::time::Duration;

use super::super::idle::{Asleep, Searching, Sleep};
use super::super::pool::Scheduler;
use super::super::steal::CrossNuma;
use super::super::task::{Hint, Link, Task};
use super::{CURRENT, Found, RIPE, SPIN_SLICES, Worker};

/// Modelled workers, and the tasks they run, which are numbers here.
pub struct Stepped {
    scheduler: &'static Scheduler,
    workers: Vec<&'static Worker>,
    states: Vec<State>,
    sleepers: BTreeSet<usize>,
    woken: Vec<usize>,
    /// By task. Never moved: queues hold pointers to them.
    links: Box<[Link]>,
    queued: Vec<bool>,
}

enum State {
    Busy,
    Searching(Searching),
    Asleep(Asleep),
}

/// When workers look beyond their NUMA node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// As by default.
    Default,
    /// Never.
    Never,
}

/// A task that a worker has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Which.
    pub task: usize,
    /// The NUMA index it was taken from, if that is not the worker's own.
    pub guest_of: Option<usize>,
    /// Where it lay.
    pub source: Source,
}

/// Where a worker has found a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In its own LIFO slot.
    Lifo,
    /// In its own ring.
    Ring,
    /// In the injector of a NUMA node, so many at once.
    Injector(usize),
    /// In that worker's ring, so many at once.
    Theft(usize, usize),
}

impl Stepped {
    /// `members[i]` workers at NUMA index `i`, for tasks `0..tasks`.
    pub fn new(
        members: &[usize],
        distances: &[Vec<u32>],
        beyond: Beyond,
        lifo_streak_max: Option<u32>,
        tasks: usize,
    ) -> Self {
        let (cross_numa, streak, _) = Scheduler::defaults();
        let cross_numa = match beyond {
            Beyond::Default => cross_numa,
            Beyond::Never => CrossNuma::Never,
        };
        let streak = lifo_streak_max.unwrap_or(streak);
        let (scheduler, seated) = Scheduler::stepped(members, distances, cross_numa, streak);
        let workers: Vec<&'static Worker> = seated
            .into_iter()
            .map(|(seat, ring)| {
                let worker = Worker::new(scheduler, seat, ring, seat.numa_index);
                &*Box::leak(Box::new(worker))
            })
            .collect();
        Self {
            scheduler,
            states: workers.iter().map(|_| State::Busy).collect(),
            workers,
            sleepers: BTreeSet::new(),
            woken: Vec::new(),
            links: (0..tasks).map(|_| Link::new()).collect(),
            queued: vec![false; tasks],
        }
    }

    /// How long a searching worker spins by default, and in how many slices.
    pub fn spin() -> (Duration, u32) {
        (Scheduler::defaults().2, SPIN_SLICES)
    }

    /// Queues a task as an actor that runs on `by` would: into its LIFO slot or ring if the task is at
    /// home there, else into the injector of its NUMA node.
    ///
    /// # Panics
    ///
    /// If the task is queued already: that would break the single-runner invariant.
    pub fn schedule(&mut self, by: usize, task: usize, numa_index: usize, next: bool) {
        let task = self.claim(task);
        let hint = if next { Hint::Next } else { Hint::Back };
        let scheduler = self.scheduler;
        self.as_worker(by, |_| scheduler.schedule(task, numa_index, hint));
    }

    /// Queues a task in the injector of a NUMA node, whoever sends it there.
    ///
    /// # Panics
    ///
    /// As `schedule`.
    pub fn inject(&mut self, by: usize, task: usize, numa_index: usize) {
        let task = self.claim(task);
        let scheduler = self.scheduler;
        self.as_worker(by, |_| scheduler.inject(task, numa_index));
    }

    /// What a busy worker runs next, without searching.
    pub fn next(&mut self, worker: usize) -> Option<Next> {
        let before = self.workers[worker].counters().read();
        let task = self.as_worker(worker, Worker::next)?;
        let after = self.workers[worker].counters().read();
        let source = if after.lifo_hits > before.lifo_hits {
            Source::Lifo
        } else if after.injector_pops > before.injector_pops {
            Source::Injector((after.injector_pops - before.injector_pops) as usize)
        } else {
            Source::Ring
        };
        Some(self.found(task, None, source))
    }

    /// A turn has ended with more to do.
    ///
    /// # Panics
    ///
    /// As `schedule`.
    pub fn again(&mut self, worker: usize, task: usize, guest_of: Option<usize>) {
        let task = self.claim(task);
        let scheduler = self.scheduler;
        self.as_worker(worker, |this| match guest_of {
            None => this.again(task),
            Some(numa_index) => scheduler.inject(task, numa_index),
        });
    }

    /// A turn goes on for long after it has sent a lot.
    pub fn expose(&mut self, worker: usize) {
        self.as_worker(worker, Worker::expose);
    }

    /// A worker without work asks to search; `false`: enough others do.
    pub fn start_searching(&mut self, worker: usize) -> bool {
        let this = self.workers[worker];
        match this.home.idle.start_searching(this.seat.slot) {
            Some(searching) => {
                self.states[worker] = State::Searching(searching);
                true
            }
            None => false,
        }
    }

    /// One round of a searcher's looking: at home, then elsewhere if it has had nothing to do for long
    /// enough. In the first slice of the spinning it leaves rings alone that are just being filled.
    pub fn search(&mut self, worker: usize, first_slice: bool, idle_for: Duration) -> Option<Next> {
        let least = if first_slice { RIPE } else { 1 };
        self.look(worker, |this| {
            this.far_in.set(None);
            let home = this.search_home(least).map(Found::Home);
            home.or_else(|| {
                if first_slice {
                    None
                } else {
                    this.far_after(idle_for)
                }
            })
        })
    }

    /// A sleeper gets up by itself, because work waits elsewhere, and looks there.
    pub fn search_in_time(&mut self, worker: usize, idle_for: Duration) -> Option<Next> {
        let this = self.workers[worker];
        if let State::Asleep(asleep) = std::mem::replace(&mut self.states[worker], State::Busy) {
            self.sleepers.remove(&worker);
            if let Some(searching) = this.home.idle.get_up(this.seat.slot, asleep) {
                self.states[worker] = State::Searching(searching);
            }
        }
        self.look(worker, |this| {
            this.far_in.set(None);
            this.far_after(idle_for)
        })
    }

    /// After how long a sleeper should look elsewhere, if it is not woken before.
    pub fn far_in(&self, worker: usize) -> Option<Duration> {
        self.workers[worker].far_in.get()
    }

    fn look(&mut self, worker: usize, look: impl FnOnce(&Worker) -> Option<Found>) -> Option<Next> {
        let before = self.ring_lens();
        let found = self.as_worker(worker, look)?;
        let after = self.ring_lens();
        let fewer = |other: &usize| *other != worker && after[*other] < before[*other];
        let victim = (0..self.workers.len()).find(fewer);
        let source = match victim {
            Some(victim) => Source::Theft(victim, before[victim] - after[victim]),
            None => Source::Injector(1 + after[worker].saturating_sub(before[worker])),
        };
        let state = std::mem::replace(&mut self.states[worker], State::Busy);
        if let State::Searching(searching) = state {
            self.as_worker(worker, |this| this.stop_searching(Some(searching)));
        }
        let next = match found {
            Found::Home(task) => self.found(task, None, source),
            Found::Far(task, from) => self.found(task, Some(from), source),
        };
        Some(next)
    }

    /// Whether a spinning worker sees something at home worth a search.
    pub fn sees_work(&self, worker: usize, first_slice: bool) -> bool {
        let home = self.workers[worker].home;
        let least = if first_slice { RIPE } else { 1 };
        home.injector.len() > 0 || home.seats().iter().any(|seat| seat.ring.len() >= least)
    }

    /// A worker that has found nothing goes to sleep; `false`: it saw something in its last look, and
    /// searches now.
    pub fn sleep(&mut self, worker: usize) -> bool {
        let this = self.workers[worker];
        let searching = match std::mem::replace(&mut self.states[worker], State::Busy) {
            State::Searching(searching) => Some(searching),
            State::Busy => None,
            State::Asleep(_) => unreachable!("worker {worker} sleeps already"),
        };
        let home = this.home;
        let slept = home
            .idle
            .sleep(this.seat.slot, searching, || home.has_work());
        match slept {
            Sleep::Searching(searching) => {
                self.states[worker] = State::Searching(searching);
                false
            }
            Sleep::Asleep(asleep) => {
                self.states[worker] = State::Asleep(asleep);
                self.sleepers.insert(worker);
                true
            }
        }
    }

    /// The workers that were woken since the last call; each is a searcher from then on.
    pub fn take_woken(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.woken)
    }

    /// Tasks in the ring of a worker.
    pub fn ring_len(&self, worker: usize) -> usize {
        self.workers[worker].seat.ring.len()
    }

    /// Thefts at home, tasks taken from elsewhere, sleeps, wake-ups, and turns from LIFO slots, of all.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for worker in &self.workers {
            let own = worker.counters().read();
            counts.steals_near += own.steals_near;
            counts.steals_far += own.steals_far;
            counts.parks += own.parks;
            counts.wakes += own.wakes_sent;
            counts.lifo_hits += own.lifo_hits;
            counts.injector_pops += own.injector_pops;
        }
        counts
    }

    fn found(&mut self, task: Task, guest_of: Option<usize>, source: Source) -> Next {
        let offset = task.as_ptr() as usize - self.links.as_ptr() as usize;
        let task = offset / size_of::<Link>();
        self.queued[task] = false;
        Next {
            task,
            guest_of,
            source,
        }
    }

    fn claim(&mut self, task: usize) -> Task {
        let was_queued = std::mem::replace(&mut self.queued[task], true);
        assert!(!was_queued, "task {task} is in a queue already");
        // SAFETY: the links live as long as `self`, and nothing runs a queue of these workers without it;
        // `queued` keeps the single-runner invariant.
        unsafe { Task::from_raw(NonNull::from(&self.links[task])) }
    }

    fn as_worker<T>(&mut self, worker: usize, step: impl FnOnce(&Worker) -> T) -> T {
        let this = self.workers[worker];
        let wakes = this.counters().read().wakes_sent;
        let outer = CURRENT.replace(Some(this));
        let result = step(this);
        CURRENT.set(outer);
        if this.counters().read().wakes_sent != wakes {
            self.collect_woken();
        }
        result
    }

    fn collect_woken(&mut self) {
        let woken: Vec<usize> = self
            .sleepers
            .iter()
            .copied()
            .filter(|&worker| {
                let this = self.workers[worker];
                !this.home.idle.is_asleep(this.seat.slot)
            })
            .collect();
        for worker in woken {
            self.sleepers.remove(&worker);
            let this = self.workers[worker];
            if let State::Asleep(asleep) = std::mem::replace(&mut self.states[worker], State::Busy)
            {
                let woken = this.home.idle.woken(this.seat.slot, asleep);
                self.states[worker] = match woken {
                    Ok(searching) => State::Searching(searching),
                    Err(asleep) => State::Asleep(asleep),
                };
            }
            self.woken.push(worker);
        }
    }

    fn ring_lens(&self) -> Vec<usize> {
        let rings = self.workers.iter().map(|worker| worker.seat.ring.len());
        rings.collect()
    }
}

impl Worker {
    /// As `search_far`, on a clock of the model's.
    fn far_after(&self, idle_for: Duration) -> Option<Found> {
        let may = !self.home.far.is_empty() && self.scheduler.cross_numa != CrossNuma::Never;
        may.then(|| self.search_far_after(idle_for)).flatten()
    }
}

impl std::fmt::Debug for Stepped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stepped")
            .field("workers", &self.workers.len())
            .field("asleep", &self.sleepers.len())
            .finish_non_exhaustive()
    }
}

/// See [`Stepped::counts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Successful thefts from a ring of the own NUMA node.
    pub steals_near: u64,
    /// Tasks taken from another NUMA node.
    pub steals_far: u64,
    /// Times a worker went to sleep.
    pub parks: u64,
    /// Workers woken.
    pub wakes: u64,
    /// Turns from the LIFO slot.
    pub lifo_hits: u64,
    /// Tasks taken from injectors.
    pub injector_pops: u64,
}

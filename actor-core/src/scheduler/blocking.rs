//! Threads for work that blocks: one pool per NUMA node, started when needed.
//!
//! ```text
//!   submit ──lock──► queue (crossbeam channel) ──► thread, thread, ..   at most `threads_max`
//!                     at most `queue_max` wait        each ends after 10 s without work
//! ```
//!
//! Workers must not block; what has to goes here. The threads run on the CPUs of their NUMA node, as a
//! set: they mostly sleep in the kernel, and share CPUs with the workers for the rest.
//!
//! One lock for the numbers, never held while a job runs. *Who takes a job* is decided with it: a job is
//! put into the channel and either claims one of the idle threads (`idle` falls by one) or starts a
//! thread, or waits for the next that is free. So a thread whose patience ends takes the lock and looks
//! once more: a job that has claimed it is in the channel by then.
//!
//! At the end the pool closes: what waits is refused, what runs is waited for by `wait_quiet`, and what
//! is still running then is named.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::id::ActorId;
use crate::sync::thread;

/// Something to be run once. Its methods contain what they call of the user's.
pub(crate) trait Job: Send + Sync {
    /// On a thread of the pool.
    fn run(&self);
    /// It will not be run: the pool has closed.
    fn refuse(&self);
    /// What it is, for reports.
    fn what(&self) -> &'static str;
    /// For whom it runs.
    fn actor(&self) -> Option<ActorId>;
}

/// Why a job was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// So many wait already.
    Full(usize),
    Closed,
    /// There is no thread, and the operating system refuses one.
    NoThread(Arc<str>),
}

/// A job that had not come back when the pool was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftRunning {
    pub(crate) what: &'static str,
    pub(crate) actor: Option<ActorId>,
    pub(crate) since: Instant,
}

/// A pool at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PoolCounts {
    pub(crate) threads: usize,
    pub(crate) running: usize,
    pub(crate) queued: usize,
}

/// Puts a thread of the pool into the surroundings that jobs expect, and calls its life there.
type Around = Box<dyn Fn(&mut dyn FnMut()) + Send + Sync>;

/// The pool of one NUMA node. Leaked with its system.
pub(crate) struct Pool {
    threads_max: usize,
    queue_max: usize,
    name: String,
    around: OnceLock<Around>,
    jobs: Receiver<Arc<dyn Job>>,
    state: Mutex<State>,
    quiet: Condvar,
}

struct State {
    /// `None`: closed.
    submit: Option<Sender<Arc<dyn Job>>>,
    threads: usize,
    /// Threads that wait and that no job has claimed.
    idle: usize,
    running: Vec<(u64, Arc<dyn Job>, Instant)>,
    next: u64,
}

/// A thread without work ends after this long.
const PATIENCE: Duration = Duration::from_secs(10);

impl Pool {
    pub(crate) fn new(name: String, threads_max: usize, queue_max: usize) -> &'static Self {
        let (submit, jobs) = unbounded();
        Box::leak(Box::new(Self {
            threads_max,
            queue_max,
            name,
            around: OnceLock::new(),
            jobs,
            state: Mutex::new(State {
                submit: Some(submit),
                threads: 0,
                idle: 0,
                running: Vec::new(),
                next: 0,
            }),
            quiet: Condvar::new(),
        }))
    }

    /// Once, before the first job.
    pub(crate) fn set_around(&self, around: impl Fn(&mut dyn FnMut()) + Send + Sync + 'static) {
        let first = self.around.set(Box::new(around)).is_ok();
        assert!(first, "a pool's threads begin in one way");
    }

    /// Queues a job. One that is `exempt` is taken however many wait: there are no more of them than actors.
    pub(crate) fn submit(&'static self, job: Arc<dyn Job>, exempt: bool) -> Result<(), NotTaken> {
        let mut state = self.lock();
        let Some(submit) = &state.submit else {
            return Err(NotTaken::Closed);
        };
        if state.idle > 0 {
            let sent = submit.send(job).is_ok();
            debug_assert!(sent, "the pool keeps a receiver");
            state.idle -= 1;
            return Ok(());
        }
        if state.threads == self.threads_max {
            if !exempt && self.jobs.len() >= self.queue_max {
                return Err(NotTaken::Full(self.queue_max));
            }
            let sent = submit.send(job).is_ok();
            debug_assert!(sent, "the pool keeps a receiver");
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        let mut first = Some(job.clone());
        let spawned = thread::Builder::new()
            .name(self.name.clone())
            .spawn(move || self.live(&mut first));
        let Err(error) = spawned else { return Ok(()) };
        let mut state = self.lock();
        state.threads -= 1;
        match &state.submit {
            // Others will come to it.
            Some(submit) if state.threads > 0 => {
                let sent = submit.send(job).is_ok();
                debug_assert!(sent, "the pool keeps a receiver");
                Ok(())
            }
            Some(_) => Err(NotTaken::NoThread(error.to_string().into())),
            None => Err(NotTaken::Closed),
        }
    }

    /// Takes no more jobs, and refuses those that wait.
    pub(crate) fn close(&self) {
        let submit = self.lock().submit.take();
        drop(submit); // Ends the threads that wait.
        while let Ok(job) = self.jobs.try_recv() {
            job.refuse();
        }
    }

    /// Waits until nothing runs, at most that long; what still runs then. After `close`.
    pub(crate) fn wait_quiet(&self, timeout: Duration) -> Vec<LeftRunning> {
        let (state, _) = self
            .quiet
            .wait_timeout_while(self.lock(), timeout, |state| !state.running.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        let left = |(_, job, since): &(u64, Arc<dyn Job>, Instant)| LeftRunning {
            what: job.what(),
            actor: job.actor(),
            since: *since,
        };
        state.running.iter().map(left).collect()
    }

    pub(crate) fn counts(&self) -> PoolCounts {
        let state = self.lock();
        PoolCounts {
            threads: state.threads,
            running: state.running.len(),
            queued: self.jobs.len(),
        }
    }

    /// A thread's life, beginning with the job that it was started for.
    fn live(&self, first: &mut Option<Arc<dyn Job>>) {
        let mut life = || {
            while let Some(job) = first.take().or_else(|| self.next()) {
                self.run(job);
            }
        };
        match self.around.get() {
            Some(around) => around(&mut life),
            None => life(),
        }
    }

    fn run(&self, job: Arc<dyn Job>) {
        let mut state = self.lock();
        let number = state.next;
        state.next += 1;
        state.running.push((number, job.clone(), Instant::now()));
        drop(state);
        job.run();
        let mut state = self.lock();
        let kept = state
            .running
            .iter()
            .position(|(running, ..)| *running == number)
            .map(|at| state.running.swap_remove(at));
        if state.running.is_empty() {
            self.quiet.notify_all();
        }
        drop(state);
        drop((kept, job)); // Not under the lock: it may hold values of the user's.
    }

    /// The next job; `None`: this thread ends, and is not counted any more.
    fn next(&self) -> Option<Arc<dyn Job>> {
        let mut state = self.lock();
        if let Ok(job) = self.jobs.try_recv() {
            return Some(job);
        }
        state.idle += 1;
        drop(state);
        let received = self.jobs.recv_timeout(PATIENCE);
        match received {
            // Whoever sent it has counted an idle thread less.
            Ok(job) => Some(job),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let mut state = self.lock();
                // One was sent to an idle thread meanwhile; this is as good as any.
                if let Ok(job) = self.jobs.try_recv() {
                    return Some(job);
                }
                // Claimed, but the job was refused or taken by another who was busy then.
                state.idle = state.idle.saturating_sub(1);
                state.threads -= 1;
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics under this lock but an allocation that fails.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

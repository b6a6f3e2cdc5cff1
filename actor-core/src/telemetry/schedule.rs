//! What the workers did, moment by moment: turns, thefts, sleeps, wake-ups, stalls. A value to look through,
//! and a trace that <https://ui.perfetto.dev> and `chrome://tracing` open.
//!
//! The scheduler notes (`scheduler::recorder`); here that becomes something to read. Events stay as they
//! were noted, 56 bytes each, and are handed out one by one.

mod chrome;
mod links;

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::cell::Runtime;
use crate::id::{ActorId, NumaNodeId, WorkerId};
use crate::scheduler::{Noted, OPEN, Recordable, Recording, ThreadKind, What};
use links::Link;

pub use crate::scheduler::WokenBy;

/// How long to record, and how much of it to keep.
///
/// Events take memory while they are noted, 56 bytes each, on the NUMA nodes of the workers that note them.
/// Whichever limit is reached first holds. What comes after that is counted
/// ([`ScheduleRecording::dropped`]), and [`ScheduleRecording::whole_until`] says from when on.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::ScheduleOptions;
///
/// let two_seconds: ScheduleOptions = Duration::from_secs(2).into();
/// let little = ScheduleOptions::new(Duration::from_millis(100)).events(10_000);
/// # let _ = (two_seconds, little);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleOptions {
    duration: Duration,
    events: usize,
    bytes: usize,
}

/// The longest recording.
const DURATION_MAX: Duration = Duration::from_secs(60);
/// The most events and bytes that one may ask for.
const EVENTS_MAX: usize = 100_000_000;
const BYTES_MAX: usize = 8 << 30;

impl ScheduleOptions {
    /// For so long: more than nothing, 60 s at most. With the other limits at their defaults.
    pub const fn new(duration: Duration) -> Self {
        Self {
            duration,
            events: 1_000_000,
            bytes: 64 << 20,
        }
    }

    /// The most events of all threads together, 1 to 100,000,000. Default: 1,000,000.
    ///
    /// A busy worker notes one for each turn: up to some million a second if the turns are very short.
    #[must_use]
    pub const fn events(mut self, events: usize) -> Self {
        self.events = events;
        self
    }

    /// The most memory for events, 4 KiB to 8 GiB. Default: 64 MiB.
    #[must_use]
    pub const fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// For how long.
    pub const fn duration(&self) -> Duration {
        self.duration
    }

    /// Events for which there is room under both limits.
    pub(crate) fn room(&self) -> usize {
        self.events.min(self.bytes / size_of::<Noted>())
    }

    pub(crate) fn check(&self) -> Result<(), RecordError> {
        let wrong = |setting, asked: String, allowed: String| {
            Err(RecordError::Setting {
                setting,
                asked,
                allowed,
            })
        };
        if self.duration.is_zero() || self.duration > DURATION_MAX {
            let allowed = format!("more than 0s, at most {DURATION_MAX:?}");
            return wrong("duration", format!("{:?}", self.duration), allowed);
        }
        if self.events == 0 || self.events > EVENTS_MAX {
            return wrong(
                "events",
                self.events.to_string(),
                format!("1 to {EVENTS_MAX}"),
            );
        }
        if self.bytes < 4096 || self.bytes > BYTES_MAX {
            return wrong(
                "bytes",
                self.bytes.to_string(),
                format!("4096 to {BYTES_MAX}"),
            );
        }
        Ok(())
    }
}

/// Two seconds, and the other limits at their defaults.
impl Default for ScheduleOptions {
    fn default() -> Self {
        Self::new(Duration::from_secs(2))
    }
}

impl From<Duration> for ScheduleOptions {
    fn from(duration: Duration) -> Self {
        Self::new(duration)
    }
}

/// Why nothing was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// A recording of this system runs already: there is one at a time. Try again when it is over.
    AlreadyRunning,
    /// A limit is out of its range.
    Setting {
        /// Which.
        setting: &'static str,
        /// What was asked for.
        asked: String,
        /// What may be asked for.
        allowed: String,
    },
    /// A worker asked: it would wait for itself. Use the async form, or a thread of your own.
    OnWorker,
    /// The system has no workers: it is simulated.
    NoWorkers,
    /// The operating system has no thread to wait with.
    NoThread(std::io::ErrorKind),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRunning => f.write_str(
                "a recording of this system's schedule runs already, and there is one at a time: try \
                 again when it is over",
            ),
            Self::Setting {
                setting,
                asked,
                allowed,
            } => write!(f, "{setting} of a schedule recording is {asked}, allowed is {allowed}"),
            Self::OnWorker => f.write_str(
                "a worker cannot wait for a recording: use the async form, or a thread of your own",
            ),
            Self::NoWorkers => {
                f.write_str("a simulated system has no workers whose schedule could be recorded")
            }
            Self::NoThread(kind) => write!(f, "no thread to wait for the recording with: {kind}"),
        }
    }
}

impl std::error::Error for RecordError {}

/// What the workers of a system did for a while.
///
/// Made by [`SystemRef::record_schedule`](crate::SystemRef::record_schedule) and
/// [`start_schedule_recording`](crate::SystemRef::start_schedule_recording). `Display` has a line per thread;
/// [`write_chrome_trace`](Self::write_chrome_trace) has everything.
#[derive(Debug)]
pub struct ScheduleRecording {
    started: SystemTime,
    lasted: u64,
    whole_until: u64,
    threads: Vec<ThreadSchedule>,
    outside: Vec<Noted>,
    outside_dropped: u64,
    links: Vec<Link>,
    /// By NUMA index.
    numa_nodes: Vec<NumaNodeId>,
}

/// What one thread did.
#[derive(Debug)]
pub struct ThreadSchedule {
    worker: WorkerId,
    numa_node: NumaNodeId,
    role: ThreadRole,
    events: Vec<Noted>,
    dropped: u64,
    numa_nodes: Box<[NumaNodeId]>,
    lasted: u64,
}

/// What a thread that takes turns is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThreadRole {
    /// A worker.
    Worker,
    /// A spare, which stands in for workers that are stuck.
    Spare,
    /// It runs one actor alone ([`SpawnBuilder::dedicated`](crate::SpawnBuilder::dedicated)).
    Dedicated,
}

/// One thing that a thread did.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ScheduleEvent {
    /// When it began, since the recording did.
    pub at: Duration,
    /// How long it took; `None` if it went on when the recording ended, and for what has no length.
    pub lasted: Option<Duration>,
    /// What it was.
    pub kind: ScheduleEventKind,
}

/// What a thread did.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum ScheduleEventKind {
    /// A visit to an actor.
    #[non_exhaustive]
    Turn {
        /// Whom.
        actor: ActorId,
        /// Its type; `(batch lane)` for a turn that only carried messages between NUMA nodes.
        actor_type: &'static str,
        /// Messages it handled; 0 if it had not ended.
        messages: u32,
        /// Actors in the worker's own queue when it began, about.
        queued: u32,
        /// Actors that waited for any worker of its NUMA node then, about.
        waiting: u32,
    },
    /// It had nothing to do, and took from others.
    #[non_exhaustive]
    Steal {
        /// From whom; `None`: from what waited for any worker of that NUMA node.
        from: Option<WorkerId>,
        /// The NUMA node it took from.
        numa_node: NumaNodeId,
        /// Actors, about.
        actors: u32,
        /// From its own NUMA node.
        near: bool,
    },
    /// It slept.
    #[non_exhaustive]
    Park {
        /// Since before the recording began.
        before: bool,
        /// Who ended it, if it was anybody.
        woken_by: Option<WokenBy>,
    },
    /// It woke another.
    #[non_exhaustive]
    Wake {
        /// Whom.
        woken: WorkerId,
    },
    /// The watchdog has reported its turn as too long.
    #[non_exhaustive]
    Stall {
        /// It is over, rather than noticed.
        over: bool,
    },
    /// A spare was on duty.
    Shift,
}

/// A wake-up by a thread that is no worker.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutsideWake {
    /// When, since the recording began.
    pub at: Duration,
    /// How long it took the waker.
    pub lasted: Duration,
    /// Whom.
    pub woken: WorkerId,
    /// A number that tells the threads apart.
    pub thread: u32,
}

/// Sums over the events of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleTotals {
    /// Turns that began.
    pub turns: u64,
    /// Messages handled in those that ended.
    pub messages: u64,
    /// Thefts from its own NUMA node.
    pub steals_near: u64,
    /// Actors taken from other NUMA nodes.
    pub steals_far: u64,
    /// Sleeps that began.
    pub parks: u64,
    /// Others it woke.
    pub wakes: u64,
    /// Stalls that were noticed.
    pub stalls: u64,
    /// Time in turns.
    pub busy: Duration,
    /// Time asleep.
    pub asleep: Duration,
}

impl ScheduleRecording {
    pub(crate) fn new(runtime: &Runtime, started: SystemTime, recording: Recording) -> Self {
        let numa_nodes: Vec<NumaNodeId> = runtime.numa_nodes().collect();
        let Recording {
            threads,
            others,
            lasted,
            whole_until,
        } = recording;
        let whose = runtime.scheduler().recordable();
        let mut threads: Vec<ThreadSchedule> = whose
            .into_iter()
            .zip(threads)
            .map(|(whose, recorded)| {
                let Recordable {
                    worker,
                    numa_index,
                    kind,
                } = whose;
                ThreadSchedule {
                    worker,
                    numa_node: numa_nodes[numa_index],
                    role: match kind {
                        ThreadKind::Worker => ThreadRole::Worker,
                        ThreadKind::Spare => ThreadRole::Spare,
                        ThreadKind::Dedicated => ThreadRole::Dedicated,
                    },
                    events: recorded.events,
                    dropped: recorded.dropped,
                    numa_nodes: numa_nodes.clone().into(),
                    lasted,
                }
            })
            .collect();
        // Places in which nobody has ever sat.
        threads
            .retain(|it| it.role == ThreadRole::Worker || !it.events.is_empty() || it.dropped > 0);
        let links = links::find(&mut threads, &others.events);
        Self {
            started,
            lasted,
            whole_until,
            threads,
            outside: others.events,
            outside_dropped: others.dropped,
            links,
            numa_nodes,
        }
    }

    /// When it began, by the wall clock.
    pub const fn started(&self) -> SystemTime {
        self.started
    }

    /// How long it took.
    pub const fn lasted(&self) -> Duration {
        Duration::from_nanos(self.lasted)
    }

    /// Up to when nothing is missing: [`lasted`](Self::lasted), unless a limit was reached before.
    pub const fn whole_until(&self) -> Duration {
        Duration::from_nanos(self.whole_until)
    }

    /// Events that did not fit.
    pub fn dropped(&self) -> u64 {
        let threads: u64 = self.threads.iter().map(|thread| thread.dropped).sum();
        threads + self.outside_dropped
    }

    /// The threads that take turns: all workers, then spares and threads of single actors that did anything.
    pub fn threads(&self) -> &[ThreadSchedule] {
        &self.threads
    }

    /// The NUMA nodes that have workers.
    pub fn numa_nodes(&self) -> &[NumaNodeId] {
        &self.numa_nodes
    }

    /// Wake-ups by threads that are no workers.
    pub fn outside_wakes(&self) -> impl Iterator<Item = OutsideWake> + '_ {
        self.outside.iter().filter_map(|noted| match noted.what {
            What::Wake { woken, thread } => Some(OutsideWake {
                at: Duration::from_nanos(noted.at),
                lasted: Duration::from_nanos(noted.ended.saturating_sub(noted.at)),
                woken,
                thread,
            }),
            _ => None,
        })
    }

    /// The sums over all threads.
    pub fn totals(&self) -> ScheduleTotals {
        let mut all = ScheduleTotals::default();
        for thread in &self.threads {
            let one = thread.totals();
            all.turns += one.turns;
            all.messages += one.messages;
            all.steals_near += one.steals_near;
            all.steals_far += one.steals_far;
            all.parks += one.parks;
            all.wakes += one.wakes;
            all.stalls += one.stalls;
            all.busy += one.busy;
            all.asleep += one.asleep;
        }
        all
    }
}

impl ThreadSchedule {
    /// Its number. Those of spares are behind those of workers, and those of single actors behind these.
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Its NUMA node.
    pub const fn numa_node(&self) -> NumaNodeId {
        self.numa_node
    }

    /// What it is there for.
    pub const fn role(&self) -> ThreadRole {
        self.role
    }

    /// Events of this thread that did not fit.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What it did, in the order in which it was noted: what has a length is noted when it begins, but for
    /// wake-ups and a sleep from before the recording.
    pub fn events(&self) -> impl Iterator<Item = ScheduleEvent> + '_ {
        self.events.iter().map(|noted| self.event(noted))
    }

    /// The sums over its events.
    pub fn totals(&self) -> ScheduleTotals {
        let mut sums = ScheduleTotals::default();
        for noted in &self.events {
            // What went on at the end took time up to there.
            let took = Duration::from_nanos(noted.ended.min(self.lasted).saturating_sub(noted.at));
            match noted.what {
                What::Turn { messages, .. } => {
                    sums.turns += 1;
                    sums.messages += u64::from(messages);
                    sums.busy += took;
                }
                What::Steal { far: true, .. } => sums.steals_far += 1,
                What::Steal { far: false, .. } => sums.steals_near += 1,
                What::Park { before, .. } => {
                    sums.parks += u64::from(!before);
                    sums.asleep += took;
                }
                What::Wake { .. } => sums.wakes += 1,
                What::Stall { over } => sums.stalls += u64::from(!over),
                What::Shift => {}
            }
        }
        sums
    }

    fn event(&self, noted: &Noted) -> ScheduleEvent {
        let kind = match noted.what {
            What::Turn {
                actor,
                actor_type,
                messages,
                queued,
                injector,
            } => ScheduleEventKind::Turn {
                actor,
                actor_type,
                messages,
                queued,
                waiting: injector,
            },
            What::Park { before, woken_by } => ScheduleEventKind::Park { before, woken_by },
            What::Steal {
                from,
                numa_index,
                tasks,
                far,
            } => ScheduleEventKind::Steal {
                from,
                numa_node: self.numa_nodes[usize::from(numa_index)],
                actors: tasks,
                near: !far,
            },
            What::Wake { woken, .. } => ScheduleEventKind::Wake { woken },
            What::Stall { over } => ScheduleEventKind::Stall { over },
            What::Shift => ScheduleEventKind::Shift,
        };
        ScheduleEvent {
            at: Duration::from_nanos(noted.at),
            lasted: (noted.ended != OPEN)
                .then(|| Duration::from_nanos(noted.ended.saturating_sub(noted.at))),
            kind,
        }
    }
}

impl fmt::Display for ScheduleRecording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share =
            |time: Duration| 100.0 * time.as_secs_f64() / self.lasted().as_secs_f64().max(1e-9);
        write!(f, "recorded for {:.3?}", self.lasted())?;
        if self.dropped() > 0 {
            write!(
                f,
                ", whole for the first {:.3?}: {} events did not fit",
                self.whole_until(),
                self.dropped()
            )?;
        }
        for thread in &self.threads {
            let sums = thread.totals();
            write!(f, "\n{} on {}", thread.worker, thread.numa_node)?;
            match thread.role {
                ThreadRole::Worker => {}
                ThreadRole::Spare => f.write_str(" (spare)")?,
                ThreadRole::Dedicated => f.write_str(" (for one actor)")?,
            }
            write!(
                f,
                ": {:.1} % in {} turns with {} messages, {:.1} % in {} sleeps; {} near steals, {} far \
                 steals, {} wake-ups sent",
                share(sums.busy),
                sums.turns,
                sums.messages,
                share(sums.asleep),
                sums.parks,
                sums.steals_near,
                sums.steals_far,
                sums.wakes
            )?;
            if sums.stalls > 0 {
                write!(f, ", {} stalls", sums.stalls)?;
            }
        }
        Ok(())
    }
}

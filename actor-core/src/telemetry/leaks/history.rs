//! What one walk cannot know: when the marks in the cells were given, and how many actors there were
//! before. Pure: told of walks, asked for ages and trends.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::LeakOptions;
use crate::cell::MARKS;
use crate::clock::Tick;
use crate::id::ActorId;

/// Samples that are kept; older ones are thinned out, so they span ever more time.
pub(super) const SAMPLES_MAX: usize = 64;

/// Types and parents that one sample counts: the most numerous.
const KEYS_MAX: usize = 4096;

/// A type under a parent.
pub(super) type Key = (Option<ActorId>, &'static str);

/// The history of one system. Locked by who walks, for the length of the walk.
#[derive(Debug, Default)]
pub(crate) struct History {
    told: Mutex<Told>,
    sampling: Mutex<Option<Duration>>,
}

#[derive(Debug)]
pub(super) struct Told {
    /// When each mark was given out.
    times: [Tick; 256],
    /// How many cells bore each at the end of the last walk.
    bearers: [u64; 256],
    newest: u8,
    first: Option<Tick>,
    samples: VecDeque<Sample>,
}

#[derive(Debug)]
struct Sample {
    at: Tick,
    counts: HashMap<Key, u64>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            times: [Tick(0); 256],
            bearers: [0; 256],
            newest: *MARKS.start(),
            first: None,
            samples: VecDeque::new(),
        }
    }
}

impl History {
    pub(super) fn lock(&self) -> MutexGuard<'_, Told> {
        lock(&self.told)
    }

    /// Sets how often somebody samples; `true`: nobody does yet.
    pub(crate) fn sample_every(&self, period: Duration) -> bool {
        lock(&self.sampling).replace(period).is_none()
    }

    pub(crate) fn period(&self) -> Duration {
        lock(&self.sampling).unwrap_or_default()
    }

    /// How old marks are, to read a walk by that leaves none; `None` before the first walk that did.
    pub(crate) fn ages(&self, now: Tick) -> Option<Ages> {
        let told = self.lock();
        told.first?;
        Some(Ages {
            times: Box::new(told.times),
            now,
        })
    }

    /// Nobody samples any more.
    pub(crate) fn sampling_ended(&self) {
        *lock(&self.sampling) = None;
    }
}

/// When each mark was given out, as of some moment.
#[derive(Debug)]
pub(crate) struct Ages {
    times: Box<[Tick; 256]>,
    now: Tick,
}

impl Ages {
    /// How long a cell with that mark has been quiet, at least.
    pub(crate) fn of(&self, mark: u8) -> Duration {
        self.times[usize::from(mark)].until(self.now)
    }
}

impl Told {
    /// A mark for a walk that begins now: one that no cell bears.
    ///
    /// If every one is borne, the newest is given out again and its time moved on: then actors look
    /// younger than they are, never older.
    pub(super) fn begin_walk(&mut self, now: Tick) -> u8 {
        self.first.get_or_insert(now);
        let free = MARKS
            .clone()
            .find(|mark| self.bearers[usize::from(*mark)] == 0);
        let mark = free.unwrap_or(self.newest);
        self.times[usize::from(mark)] = now;
        self.newest = mark;
        mark
    }

    /// The walk is done: who bears what.
    pub(super) fn end_walk(&mut self, now: Tick, bearers: [u64; 256], mut counts: Vec<(Key, u64)>) {
        self.bearers = bearers;
        if counts.len() > KEYS_MAX {
            counts.select_nth_unstable_by_key(KEYS_MAX, |(_, count)| std::cmp::Reverse(*count));
            counts.truncate(KEYS_MAX);
        }
        if self.samples.len() == SAMPLES_MAX {
            self.forget_one(now);
        }
        let counts = counts.into_iter().collect();
        self.samples.push_back(Sample { at: now, counts });
    }

    /// Makes room: forgets the sample that is missed least, whose neighbours are close beside its age. So
    /// samples lie the thinner the older they are, and a few reach back for ever.
    fn forget_one(&mut self, now: Tick) {
        let samples = &self.samples;
        let missed = |at: usize| {
            let gap = samples[at - 1].at.until(samples[at + 1].at).as_secs_f64();
            gap / samples[at].at.until(now).as_secs_f64().max(1e-9)
        };
        let least = (1..samples.len() - 1).min_by(|a, b| missed(*a).total_cmp(&missed(*b)));
        self.samples.remove(least.unwrap_or_default());
    }

    /// How long a cell with that mark has been quiet, at least.
    pub(super) fn quiet_for(&self, mark: u8, now: Tick) -> Duration {
        self.times[usize::from(mark)].until(now)
    }

    pub(super) fn observed_for(&self, now: Tick) -> Duration {
        self.first.map_or(Duration::ZERO, |first| first.until(now))
    }

    /// What has only grown, over as many samples and as much time as the options say.
    pub(super) fn growing(&self, options: &LeakOptions) -> Vec<(Key, Vec<(Duration, u64)>)> {
        let chosen = self.choose(options);
        let Some(newest) = chosen.last() else {
            return Vec::new();
        };
        let mut growing = Vec::new();
        for (key, now) in &newest.counts {
            if *now < options.growth_min {
                continue;
            }
            let counts: Vec<_> = chosen
                .iter()
                .map(|sample| {
                    let count = sample.counts.get(key).copied().unwrap_or(0);
                    (sample.at.until(newest.at), count)
                })
                .collect();
            if only_grows(&counts) {
                growing.push((*key, counts));
            }
        }
        growing
    }

    /// The newest sample and those before it, apart by a share of the span; none, if they do not reach
    /// back far enough. Oldest first.
    fn choose(&self, options: &LeakOptions) -> Vec<&Sample> {
        let steps = options.growth_samples - 1;
        let apart = options.growth_span / steps as u32;
        let mut chosen: Vec<&Sample> = Vec::new();
        for sample in self.samples.iter().rev() {
            let far = chosen
                .last()
                .is_none_or(|last| sample.at.until(last.at) >= apart);
            if far {
                chosen.push(sample);
            }
            if chosen.len() > steps {
                chosen.reverse();
                return chosen;
            }
        }
        Vec::new()
    }
}

/// Never fewer than before, more in at least half of the steps, and by a tenth in all.
fn only_grows(counts: &[(Duration, u64)]) -> bool {
    let pairs = || counts.windows(2).map(|pair| (pair[0].1, pair[1].1));
    let (Some((_, first)), Some((_, last))) = (counts.first(), counts.last()) else {
        return false;
    };
    pairs().all(|(before, after)| after >= before)
        && pairs().filter(|(before, after)| after > before).count() * 2 >= counts.len() - 1
        && *last >= first + first / 10
        && last > first
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a walk that panicked half-way leaves is older than it could be, not wrong.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! What must be remembered: a sample a second for ten minutes, the stalls and the events of members of late.
//!
//! All of it has fixed bounds. A task on the reactor does it; what reads files or walks is done on a thread for blocking
//! work. It ends with the console.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use actor_core::{LatencyHistogram, StallReport, Stats, SystemRef};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::api::Series;
use super::{cpu, latency};
use crate::cluster::{Cluster, PeerLink};
use crate::id::{Incarnation, PeerId};
use crate::membership::MemberEvent;
use crate::remote::RemoteStats;

/// Between two samples.
pub(super) const STEP: Duration = Duration::from_secs(1);
/// Samples that are kept: ten minutes.
pub(super) const SAMPLES: usize = 600;
/// Stalls and events that are kept, each.
const KEPT: usize = 100;
/// Between two samples of who is quiet, at least; and so many times what the last took.
const QUIET_EVERY: Duration = Duration::from_secs(10);
const QUIET_SHARE: u32 = 500;

#[derive(Default)]
pub(super) struct Recent {
    history: Mutex<VecDeque<Sample>>,
    pair: Mutex<Option<Arc<Pair>>>,
    stalls: Mutex<StallBook>,
    events: Mutex<VecDeque<(SystemTime, MemberEvent)>>,
    /// When messages were last refused for the memory limit.
    overloaded: Mutex<Option<Instant>>,
}

/// Two looks at the books, a second apart.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) before: Stats,
    pub(super) now: Stats,
    pub(super) between: Duration,
    /// By worker.
    pub(super) loads: Vec<Option<f64>>,
    /// Messages per second by type of actor, as far as samples tell.
    pub(super) type_rates: HashMap<&'static str, f64>,
    /// By life of a peer.
    pub(super) link_rates: HashMap<(PeerId, Incarnation), LinkRates>,
}

/// What goes to a peer and comes from it, per second.
#[derive(Clone, Copy, Debug)]
pub(super) struct LinkRates {
    pub(super) messages_out: f64,
    pub(super) messages_in: f64,
    pub(super) bytes_out: f64,
    pub(super) bytes_in: f64,
}

impl LinkRates {
    fn between(before: &PeerLink, now: &PeerLink, between: Duration) -> Option<Self> {
        let rate = |of: fn(&PeerLink) -> u64| per_second(of(before), of(now), between);
        Some(Self {
            messages_out: rate(|it| it.messages_out)?,
            messages_in: rate(|it| it.messages_in)?,
            bytes_out: rate(|it| it.bytes_out)?,
            bytes_in: rate(|it| it.bytes_in)?,
        })
    }
}

/// Of those that were there at both looks.
fn link_rates(
    before: &[PeerLink],
    now: &[PeerLink],
    between: Duration,
) -> HashMap<(PeerId, Incarnation), LinkRates> {
    let key = |link: &PeerLink| (link.peer.clone(), link.incarnation);
    let before: HashMap<_, _> = before.iter().map(|link| (key(link), link)).collect();
    let rate = |now: &PeerLink| {
        let key = key(now);
        let rates = LinkRates::between(before.get(&key)?, now, between)?;
        Some((key, rates))
    };
    now.iter().filter_map(rate).collect()
}

impl Pair {
    /// How much more of something there is now, per second.
    pub(super) fn rate(&self, of: impl Fn(&Stats) -> u64) -> Option<f64> {
        per_second(of(&self.before), of(&self.now), self.between)
    }

    /// The share of messages between actors that crossed NUMA nodes meanwhile.
    pub(super) fn crossed_share(&self) -> Option<f64> {
        let sum = |stats: &Stats, crossing: bool| -> u64 {
            let edges = stats.edges.iter();
            edges
                .filter(|edge| !crossing || edge.crosses())
                .map(|edge| edge.messages)
                .sum()
        };
        let more = |crossing| sum(&self.now, crossing).saturating_sub(sum(&self.before, crossing));
        let all = more(false);
        (all > 0).then(|| more(true) as f64 / all as f64)
    }

    /// The load of all workers together.
    pub(super) fn load(&self) -> Option<f64> {
        cpu::mean(self.loads.iter().copied())
    }
}

fn per_second(before: u64, now: u64, between: Duration) -> Option<f64> {
    (!between.is_zero()).then(|| now.saturating_sub(before) as f64 / between.as_secs_f64())
}

/// One second.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: SystemTime,
    messages: Option<f64>,
    accepted: Option<f64>,
    dead_letters: Option<f64>,
    dropped: Option<f64>,
    refused: Option<f64>,
    restarts: Option<f64>,
    asks_ok: Option<f64>,
    asks_failed: Option<f64>,
    stalls: Option<f64>,
    steals_near: Option<f64>,
    steals_far: Option<f64>,
    queued: u64,
    actors: u64,
    crossed_share: Option<f64>,
    load: Option<f64>,
    arena_bytes: u64,
    remote_out: Option<f64>,
    remote_in: Option<f64>,
    /// The 50th, 99th and 99.9th percentile of what came in this second.
    wait: [Option<u64>; 3],
    handle: [Option<u64>; 3],
}

/// A stall, and when it began.
pub(super) type Dated = (SystemTime, StallReport);

/// Stalls that go on, and those that are over.
#[derive(Debug, Default)]
struct StallBook {
    now: Vec<Dated>,
    over: VecDeque<Dated>,
}

impl StallBook {
    fn note(&mut self, report: &StallReport) {
        let began = SystemTime::now()
            .checked_sub(report.started.elapsed())
            .unwrap_or(UNIX_EPOCH);
        let known = self.now.iter().position(|(_, other)| {
            other.worker == report.worker && other.started == report.started
        });
        let mut report = report.clone();
        if let Some(at) = known {
            let (_, before) = self.now.remove(at);
            // The report of the end has none: nobody is there any more.
            report.stack = report.stack.or(before.stack);
        }
        if report.still_running {
            if self.now.len() == KEPT {
                self.now.remove(0);
            }
            self.now.push((began, report));
        } else {
            if self.over.len() == KEPT {
                self.over.pop_back();
            }
            self.over.push_front((began, report));
        }
    }
}

impl Recent {
    /// Begins to remember.
    pub(super) fn start(
        system: SystemRef,
        cluster: Option<Cluster>,
        closing: &CancellationToken,
    ) -> Arc<Self> {
        let recent = Arc::new(Self::default());
        // Listeners stay as long as the system does; what they write to need not.
        let book = Arc::downgrade(&recent);
        system.on_stall(move |report| {
            if let Some(recent) = book.upgrade() {
                lock(&recent.stalls).note(report);
            }
        });
        if let Some(cluster) = cluster.clone() {
            let events = note_events(recent.clone(), cluster);
            spawn(system, closing, events);
        }
        spawn(system, closing, sample(recent.clone(), system, cluster));
        spawn(system, closing, sample_quiet(system));
        recent
    }

    pub(super) fn pair(&self) -> Option<Arc<Pair>> {
        lock(&self.pair).clone()
    }

    /// Those that go on, then those that are over, the newest first.
    pub(super) fn stalls(&self) -> (Vec<Dated>, Vec<Dated>) {
        let book = lock(&self.stalls);
        (book.now.clone(), book.over.iter().cloned().collect())
    }

    /// The newest first.
    pub(super) fn events(&self) -> Vec<(SystemTime, MemberEvent)> {
        lock(&self.events).iter().cloned().collect()
    }

    /// Whether messages were refused for the memory limit within that time.
    pub(super) fn was_overloaded(&self, within: Duration) -> bool {
        lock(&self.overloaded).is_some_and(|last| last.elapsed() < within)
    }

    /// The last so many samples, the oldest first, and when the first of them was taken.
    pub(super) fn series(&self, samples: usize) -> (Option<SystemTime>, usize, Series) {
        let history = lock(&self.history);
        let skip = history.len().saturating_sub(samples);
        let chosen: Vec<Sample> = history.iter().skip(skip).copied().collect();
        drop(history);
        fn column<T>(of: &[Sample], value: impl Fn(&Sample) -> Option<T>) -> Vec<Option<T>> {
            of.iter().map(value).collect()
        }
        let of = &chosen;
        let series = Series {
            messages_per_s: column(of, |it| it.messages),
            accepted_per_s: column(of, |it| it.accepted),
            dead_letters_per_s: column(of, |it| it.dead_letters),
            dropped_per_s: column(of, |it| it.dropped),
            refused_per_s: column(of, |it| it.refused),
            restarts_per_s: column(of, |it| it.restarts),
            asks_ok_per_s: column(of, |it| it.asks_ok),
            asks_failed_per_s: column(of, |it| it.asks_failed),
            stalls_per_s: column(of, |it| it.stalls),
            steals_near_per_s: column(of, |it| it.steals_near),
            steals_far_per_s: column(of, |it| it.steals_far),
            queued: column(of, |it| Some(it.queued)),
            actors: column(of, |it| Some(it.actors)),
            crossed_share: column(of, |it| it.crossed_share),
            load: column(of, |it| it.load),
            arena_bytes: column(of, |it| Some(it.arena_bytes)),
            wait_p50_ns: column(of, |it| it.wait[0]),
            wait_p99_ns: column(of, |it| it.wait[1]),
            wait_p999_ns: column(of, |it| it.wait[2]),
            handle_p50_ns: column(of, |it| it.handle[0]),
            handle_p99_ns: column(of, |it| it.handle[1]),
            handle_p999_ns: column(of, |it| it.handle[2]),
            remote_out_per_s: column(of, |it| it.remote_out),
            remote_in_per_s: column(of, |it| it.remote_in),
        };
        (chosen.first().map(|it| it.at), chosen.len(), series)
    }
}

fn spawn(
    system: SystemRef,
    closing: &CancellationToken,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let closing = closing.clone();
    system.tokio().spawn(async move {
        // Nothing is lost that anybody reads afterwards.
        closing.run_until_cancelled(work).await;
    });
}

/// A second's sample, every second.
async fn sample(recent: Arc<Recent>, system: SystemRef, cluster: Option<Cluster>) {
    let mut ticks = interval(STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last: Option<Look> = None;
    loop {
        ticks.tick().await;
        // Files are read and histograms copied, which a reactor should not wait for.
        let slow = move || (system.worker_cpu_times(), Times::read(system));
        let Ok((cpu, times)) = tokio::task::spawn_blocking(slow).await else {
            return;
        };
        let look = Look {
            at: Instant::now(),
            stats: system.stats(),
            cpu,
            times,
            remote: cluster.as_ref().and_then(Cluster::stats),
            links: cluster.as_ref().map_or_else(Vec::new, Cluster::links),
        };
        if let Some(before) = last.take() {
            recent.note(before, &look);
        }
        last = Some(look);
    }
}

/// Everything at a moment.
struct Look {
    at: Instant,
    stats: Stats,
    cpu: Vec<Option<Duration>>,
    times: Times,
    remote: Option<RemoteStats>,
    links: Vec<PeerLink>,
}

/// What was measured of messages so far.
struct Times {
    wait: LatencyHistogram,
    handle: LatencyHistogram,
    /// Messages by type of actor.
    types: HashMap<&'static str, u64>,
}

impl Times {
    fn read(system: SystemRef) -> Self {
        let told = system.latencies();
        let types = told.types.iter();
        Self {
            types: types.map(|it| (it.actor_type, it.wait.count())).collect(),
            wait: told.all.wait,
            handle: told.all.handle,
        }
    }
}

const SHARES: [f64; 3] = [0.5, 0.99, 0.999];

impl Recent {
    fn note(&self, before: Look, now: &Look) {
        let between = now.at.duration_since(before.at);
        let rate = |(of, count): (&&'static str, &u64)| {
            let earlier = before.times.types.get(of).copied().unwrap_or(0);
            Some((*of, per_second(earlier, *count, between)?))
        };
        let percentiles = |of: fn(&Times) -> &LatencyHistogram| {
            SHARES.map(|share| latency::between(of(&before.times), of(&now.times), share))
        };
        let (wait, handle) = (percentiles(|it| &it.wait), percentiles(|it| &it.handle));
        let pair = Pair {
            link_rates: link_rates(&before.links, &now.links, between),
            type_rates: now.times.types.iter().filter_map(rate).collect(),
            loads: cpu::loads(&before.cpu, &now.cpu, between),
            before: before.stats,
            now: now.stats.clone(),
            between,
        };
        if pair.now.messages.refused.overloaded > pair.before.messages.refused.overloaded {
            *lock(&self.overloaded) = Some(now.at);
        }
        // Another life of this peer counts anew.
        let remote = |of: fn(&RemoteStats) -> u64| {
            let (before, now) = (before.remote.as_ref()?, now.remote.as_ref()?);
            per_second(of(before), of(now), between)
        };
        let sample = Sample {
            at: SystemTime::now(),
            messages: pair.rate(|stats| stats.messages.handled),
            accepted: pair.rate(|stats| stats.messages.accepted),
            dead_letters: pair.rate(|stats| stats.messages.dead_letters.total()),
            dropped: pair.rate(|stats| stats.messages.dropped.total()),
            refused: pair.rate(|stats| stats.messages.refused.total()),
            restarts: pair.rate(|stats| stats.actors.restarts),
            asks_ok: pair.rate(|stats| stats.asks.answered),
            asks_failed: pair.rate(|stats| stats.asks.failed()),
            stalls: pair.rate(|stats| stats.stalls.stalls),
            steals_near: pair.rate(|stats| stats.workers.iter().map(|it| it.steals_near).sum()),
            steals_far: pair.rate(|stats| stats.workers.iter().map(|it| it.steals_far).sum()),
            queued: pair.now.messages.queued(),
            actors: pair.now.actors.alive(),
            crossed_share: pair.crossed_share(),
            load: pair.load(),
            arena_bytes: arena_bytes(&pair.now),
            remote_out: remote(|it| it.tells_out + it.asks_out + it.answers_out),
            remote_in: remote(|it| it.tells_in + it.asks_in + it.answers_in),
            wait,
            handle,
        };
        let mut history = lock(&self.history);
        if history.len() == SAMPLES {
            history.pop_front();
        }
        history.push_back(sample);
        drop(history);
        *lock(&self.pair) = Some(Arc::new(pair));
    }
}

/// Bytes of all arenas.
pub(super) fn arena_bytes(stats: &Stats) -> u64 {
    let memory = stats.numa_nodes.iter().map(|numa| numa.memory);
    memory
        .map(|memory| memory.slab_bytes + memory.cells * CELL_BYTES + memory.large_bytes)
        .sum()
}

/// Of the cell of an actor, as the core tells at `MemoryStats::cells`.
pub(super) const CELL_BYTES: u64 = 128;

/// So that there is something to compare with: who is quiet, and for how long.
async fn sample_quiet(system: SystemRef) {
    let mut pause = QUIET_EVERY;
    loop {
        tokio::time::sleep(pause).await;
        let began = Instant::now();
        if tokio::task::spawn_blocking(move || system.sample_leaks())
            .await
            .is_err()
        {
            return;
        }
        pause = QUIET_EVERY.max(began.elapsed() * QUIET_SHARE);
    }
}

async fn note_events(recent: Arc<Recent>, cluster: Cluster) {
    let mut events = cluster.events();
    // A handle of ours would keep nothing alive, and nothing ends it.
    drop(cluster);
    loop {
        match events.recv().await {
            Ok(event) => {
                let mut kept = lock(&recent.events);
                if kept.len() == KEPT {
                    kept.pop_back();
                }
                kept.push_front((SystemTime::now(), event));
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks leaves anything half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

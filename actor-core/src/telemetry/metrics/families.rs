//! The table of what the core tells: name, unit, kind, words, and where the figure comes from.
//!
//! One table for Prometheus and for OTLP, so that they cannot tell different things. Names are stable: dashboards and
//! alerts of others hold on to them.

use std::sync::Arc;
use std::time::Duration;

use super::census::{Census, OTHER, TYPES_MAX};
use super::{Entry, Histogram, Kind, Reading};
use crate::locality::LaneStats;
use crate::telemetry::{
    ActorRate, ActorRestarts, DepthHistogram, Latencies, LatencyHistogram, NumaStats, Stats,
    TypeLatency, WorkerStats,
};

/// Single actors that have, for what they have most of.
pub(crate) const STANDING_MAX: usize = 10;
/// Of the cell of an actor, as `MemoryStats::cells` says.
const CELL_BYTES: u64 = 128;

/// All that the core's families are read from, looked at once.
pub(crate) struct Look {
    pub(crate) stats: Stats,
    pub(crate) latencies: Latencies,
    /// At most [`STANDING_MAX`].
    pub(crate) busiest: Vec<ActorRate>,
    /// At most as many.
    pub(crate) most_restarted: Vec<ActorRestarts>,
    /// By type, those with the most first.
    pub(crate) failures: Vec<(&'static str, u64)>,
    pub(crate) census: Arc<Census>,
    pub(crate) cpu_times: Vec<Option<Duration>>,
    pub(crate) unpinned: usize,
    pub(crate) is_ready: bool,
    pub(crate) age: Duration,
}

struct Row {
    name: &'static str,
    unit: &'static str,
    kind: Kind,
    help: &'static str,
    read: fn(&Look, &mut Entry<'_>),
}

/// Reads the whole table.
pub(crate) fn read(look: &Look, reading: &mut Reading) {
    for row in FAMILIES {
        let mut entry = reading.family(row.name, row.unit, row.help, row.kind);
        (row.read)(look, &mut entry);
    }
}

const fn row(
    kind: Kind,
    name: &'static str,
    unit: &'static str,
    help: &'static str,
    read: fn(&Look, &mut Entry<'_>),
) -> Row {
    Row {
        name,
        unit,
        kind,
        help,
        read,
    }
}

use Kind::{Counter, Gauge, Histogram as Spread, UpDownCounter as UpDown};

// A line for a family is easier to look over than six.
#[rustfmt::skip]
const FAMILIES: &[Row] = &[
    // The process.
    row(Gauge, "actor.info", "", "What runs: always 1.", |_, out| {
        out.add(&[("version", env!("CARGO_PKG_VERSION"))], true);
    }),
    row(Gauge, "actor.ready", "", "Whether the system wants new work: 1 or 0.", |look, out| {
        out.add(&[], look.is_ready);
    }),
    row(Gauge, "actor.uptime", "s", "Time since the system was started.", |look, out| {
        out.add(&[], look.age);
    }),

    // Messages by what became of them.
    row(Counter, "actor.messages.offered", "{message}", "Messages that somebody tried to send.", |look, out| {
        out.add(&[], look.stats.messages.offered);
    }),
    row(Counter, "actor.messages.accepted", "{message}", "Messages taken into a mailbox.", |look, out| {
        out.add(&[], look.stats.messages.accepted);
    }),
    row(Counter, "actor.messages.handled", "{message}", "Messages whose handler ran to its end.", |look, out| {
        out.add(&[], look.stats.messages.handled);
    }),
    row(UpDown, "actor.messages.queued", "{message}", "Messages accepted and not ended yet.", |look, out| {
        out.add(&[], look.stats.messages.queued());
    }),
    row(Counter, "actor.messages.refused", "{message}", "Messages given back to the sender, by reason.", |look, out| {
        let it = look.stats.messages.refused;
        reasons(out, &[("full", it.full), ("dead", it.dead), ("overloaded", it.overloaded), ("other", it.other)]);
    }),
    row(Counter, "actor.dead_letters", "{message}", "Messages that had nobody to go to, by reason.", |look, out| {
        let it = look.stats.messages.dead_letters;
        reasons(out, &[
            ("actor_stopped", it.actor_stopped), ("peer_gone", it.peer_gone), ("not_exported", it.not_exported),
            ("too_large", it.too_large), ("unreachable", it.unreachable),
        ]);
    }),
    row(Counter, "actor.messages.dropped", "{message}", "Messages accepted and then not handled, by reason.", |look, out| {
        let it = look.stats.messages.dropped;
        reasons(out, &[
            ("expired", it.expired), ("cancelled", it.cancelled), ("panicked", it.panicked),
            ("interrupted", it.interrupted), ("overflow_oldest", it.overflow_oldest),
            ("overflow_newest", it.overflow_newest), ("abandoned", it.abandoned),
        ]);
    }),

    // How long they take, from samples.
    row(Spread, "actor.message.wait", "s", "Time in the mailbox, by type of actor: an estimate from samples.", |look, out| {
        times(out, &look.latencies, |it| spread(&it.wait));
    }),
    row(Spread, "actor.handler.duration", "s", "Time of handlers, by type of actor: an estimate from samples.", |look, out| {
        times(out, &look.latencies, |it| spread(&it.handle));
    }),
    row(Spread, "actor.mailbox.depth", "{message}", "Messages that wait behind one whose handler begins, by type of actor: an estimate from samples.", |look, out| {
        times(out, &look.latencies, |it| depths(&it.depth));
    }),
    row(Counter, "actor.messages.measured", "{message}", "Messages whose times were measured: the samples.", |look, out| {
        out.add(&[], look.latencies.measured);
    }),
    row(Counter, "actor.measurements.lost", "{message}", "Measurements that were lost, because more came at a time than could be taken in.", |look, out| {
        out.add(&[], look.latencies.lost);
    }),

    // Actors.
    row(UpDown, "actor.actors", "{actor}", "Actors that live now.", |look, out| {
        out.add(&[], look.stats.actors.alive());
    }),
    row(UpDown, "actor.attached_tasks", "{task}", "Tasks and streams attached to actors now.", |look, out| {
        out.add(&[], look.stats.actors.attached_tasks);
    }),
    row(Counter, "actor.spawned", "{actor}", "Actors spawned.", |look, out| {
        out.add(&[], look.stats.actors.spawned);
    }),
    row(Counter, "actor.stopped", "{actor}", "Actors that have stopped for good.", |look, out| {
        out.add(&[], look.stats.actors.stopped);
    }),
    row(Counter, "actor.restarts", "{restart}", "Restarts granted by supervisors.", |look, out| {
        out.add(&[], look.stats.actors.restarts);
    }),
    row(Counter, "actor.failures", "{failure}", "Lives that ended in failure, by type of actor.", |look, out| {
        let (named, rest) = look.failures.split_at(look.failures.len().min(TYPES_MAX));
        for (actor_type, count) in named {
            out.add(&[("type", actor_type)], *count);
        }
        if !rest.is_empty() {
            out.add(&[("type", OTHER)], rest.iter().map(|(_, count)| count).sum::<u64>());
        }
    }),
    row(Counter, "actor.panics", "{panic}", "Panics caught on the system's threads.", |look, out| {
        out.add(&[], look.stats.actors.panics);
    }),
    row(Counter, "actor.moves", "{move}", "Actors moved to another NUMA node.", |look, out| {
        out.add(&[], look.stats.actors.moves);
    }),
    row(Counter, "actor.abandoned", "{actor}", "Actors that did not stop when told to and cut off.", |look, out| {
        out.add(&[], look.stats.actors.abandoned);
    }),
    row(Counter, "actor.termination_notices", "{notice}", "Notices of an actor's end sent to watchers.", |look, out| {
        out.add(&[], look.stats.actors.termination_notices);
    }),
    row(UpDown, "actor.type.actors", "{actor}", "Actors that live, by type.", |look, out| {
        by_type(out, look, |it| it.alive);
    }),
    row(UpDown, "actor.type.busy", "{actor}", "Actors that have something to do, by type.", |look, out| {
        by_type(out, look, |it| it.busy);
    }),
    row(UpDown, "actor.type.mailbox.messages", "{message}", "Messages in mailboxes, by type of actor.", |look, out| {
        by_type(out, look, |it| it.queued);
    }),
    row(Gauge, "actor.longest.mailbox.messages", "{message}", "The mailboxes with the most messages, by actor: ten at most.", |look, out| {
        for seen in &look.census.longest {
            out.add(&[("actor", &seen.actor.to_string()), ("type", seen.actor_type)], seen.queued);
        }
    }),
    row(Gauge, "actor.busiest.message_rate", "{message}", "The actors with the most messages per second, by actor, estimated over the last seconds: ten at most.", |look, out| {
        for busy in &look.busiest {
            out.add(&[("actor", &busy.actor.to_string()), ("type", busy.actor_type)], busy.per_second);
        }
    }),
    row(Gauge, "actor.most_restarted.restarts", "{restart}", "The living actors that were started again most often, by actor: ten at most.", |look, out| {
        for again in &look.most_restarted {
            out.add(&[("actor", &again.actor.to_string()), ("type", again.actor_type)], again.restarts);
        }
    }),
    row(Gauge, "actor.walk.actors", "{actor}", "Actors that the walk found from which types and mailboxes are told.", |look, out| {
        out.add(&[], look.census.actors);
    }),
    row(Gauge, "actor.walk.duration", "s", "How long it took.", |look, out| {
        out.add(&[], look.census.took);
    }),
    row(Gauge, "actor.walk.age", "s", "How long ago it began: at most 10 s.", |look, out| {
        out.add(&[], look.census.at.elapsed());
    }),

    // Asks: begun = the sum of the outcomes + in flight.
    row(Counter, "actor.asks.begun", "{ask}", "Asks that began.", |look, out| {
        out.add(&[], look.stats.asks.begun);
    }),
    row(Counter, "actor.asks", "{ask}", "Asks that are over, by outcome: answered, or why not.", |look, out| {
        for (outcome, count) in look.stats.asks.outcomes() {
            out.add(&[("outcome", outcome)], count);
        }
    }),
    row(UpDown, "actor.asks.in_flight", "{ask}", "Asks that began and are not over.", |look, out| {
        out.add(&[], look.stats.asks.in_flight());
    }),
    row(UpDown, "actor.asks.waiting", "{ask}", "Handlers that wait for the answer to an ask.", |look, out| {
        out.add(&[], look.census.asking);
    }),
    row(Counter, "actor.asks.late_replies", "{reply}", "Replies that came after the asker had given up.", |look, out| {
        out.add(&[], look.stats.actors.late_replies);
    }),
    row(Counter, "actor.asks.no_reply", "{ask}", "Asks whose reply handle was dropped without a reply.", |look, out| {
        out.add(&[], look.stats.actors.no_replies);
    }),

    // Workers.
    row(Counter, "actor.turns", "{turn}", "Visits of threads to actors.", |look, out| {
        out.add(&[], look.stats.turns);
    }),
    row(Counter, "actor.wakes_from_outside", "{wake}", "Workers woken by threads that are none.", |look, out| {
        out.add(&[], look.stats.wakes_from_outside);
    }),
    row(Counter, "actor.worker.turns", "{turn}", "Visits to actors, by worker.", |look, out| {
        workers(out, look, |it| it.turns);
    }),
    row(Counter, "actor.worker.steals.near", "{steal}", "Thefts from workers of the same NUMA node.", |look, out| {
        workers(out, look, |it| it.steals_near);
    }),
    row(Counter, "actor.worker.steals.far", "{steal}", "Actors taken from another NUMA node.", |look, out| {
        workers(out, look, |it| it.steals_far);
    }),
    row(Counter, "actor.worker.parks", "{park}", "Times that a worker went to sleep.", |look, out| {
        workers(out, look, |it| it.parks);
    }),
    row(UpDown, "actor.worker.queued", "{actor}", "Actors in a worker's own queue, about.", |look, out| {
        workers(out, look, |it| it.queued as u64);
    }),
    row(Counter, "actor.worker.cpu", "s", "Time on a CPU, by worker; where the kernel tells it.", |look, out| {
        for (worker, time) in look.stats.workers.iter().zip(&look.cpu_times) {
            if let Some(time) = time {
                with_worker(worker, |labels| _ = out.add(labels, *time));
            }
        }
    }),
    row(UpDown, "actor.workers.unpinned", "{worker}", "Workers that are not on their CPU.", |look, out| {
        out.add(&[], look.unpinned);
    }),

    // Between NUMA nodes.
    row(Counter, "actor.messages.between_numa_nodes", "{message}", "Messages between actors, by NUMA nodes of sender and target, and whether those are two.", |look, out| {
        for edge in &look.stats.edges {
            let (from, to) = (edge.from.0.to_string(), edge.to.0.to_string());
            let crosses = if edge.crosses() { "true" } else { "false" };
            out.add(&[("from", &from), ("to", &to), ("crosses", crosses)], edge.messages);
        }
    }),
    row(Gauge, "actor.messages.crossed", "1", "Share of messages between actors that crossed from one NUMA node to another, since the start.", |look, out| {
        out.add(&[], look.stats.crossing_share().unwrap_or(0.0));
    }),
    row(Counter, "actor.steals.across", "{steal}", "Actors that workers of one NUMA node took from another, for a turn.", |look, out| {
        for pair in &look.stats.steals_across {
            out.add(&[("by", &pair.by.0.to_string()), ("from", &pair.from.0.to_string())], pair.actors);
        }
    }),
    row(Counter, "actor.lane.messages", "{message}", "Messages that went by batch lane.", |look, out| {
        lanes(out, look, |it| it.by_lane);
    }),
    row(Counter, "actor.lane.direct", "{message}", "Messages across that went straight.", |look, out| {
        lanes(out, look, |it| it.direct);
    }),
    row(Counter, "actor.lane.flushes", "{flush}", "Batches taken off a lane.", |look, out| {
        lanes(out, look, |it| it.batches);
    }),
    row(Counter, "actor.lane.settled", "{flush}", "Of these, by a sender that needed the lane empty.", |look, out| {
        lanes(out, look, |it| it.settled);
    }),
    row(Counter, "actor.lane.chains", "{chain}", "Rows of messages put into a mailbox as one.", |look, out| {
        lanes(out, look, |it| it.chains);
    }),
    row(Gauge, "actor.balancing.on", "", "Whether the balancer is at work: 1 or 0; there only where the system has one.", |look, out| {
        if let Some(it) = &look.stats.balancing {
            out.add(&[], it.is_on);
        }
    }),
    row(Counter, "actor.balancing.moves", "{move}", "Moves that the balancer ordered.", |look, out| {
        if let Some(it) = &look.stats.balancing {
            out.add(&[], it.moves);
        }
    }),

    // NUMA nodes.
    row(UpDown, "actor.numa.queued", "{actor}", "Actors that wait for any worker of the NUMA node.", |look, out| {
        nodes(out, look, |it| it.queued as u64);
    }),
    row(UpDown, "actor.numa.workers.asleep", "{worker}", "Workers that sleep.", |look, out| {
        nodes(out, look, |it| it.asleep as u64);
    }),
    row(UpDown, "actor.arena.slab", "By", "Bytes mapped for messages, states and frames.", |look, out| {
        nodes(out, look, |it| it.memory.slab_bytes);
    }),
    row(UpDown, "actor.arena.cell", "By", "Bytes of cells handed out so far.", |look, out| {
        nodes(out, look, |it| it.memory.cells * CELL_BYTES);
    }),
    row(UpDown, "actor.arena.large", "By", "Bytes in use of blocks above 4 KiB.", |look, out| {
        nodes(out, look, |it| it.memory.large_bytes);
    }),
    row(UpDown, "actor.arena.user", "By", "Bytes in use in NumaBoxes.", |look, out| {
        nodes(out, look, |it| it.memory.user_bytes);
    }),
    row(UpDown, "actor.arena.unbound_chunks", "{chunk}", "Chunks that the kernel refused to bind.", |look, out| {
        nodes(out, look, |it| it.memory.unbound_chunks);
    }),
    row(Counter, "actor.arena.remote_frees", "{block}", "Blocks that threads of other NUMA nodes sent home.", |look, out| {
        nodes(out, look, |it| it.memory.remote_frees);
    }),
    row(UpDown, "actor.blocking.threads", "{thread}", "Threads for work that blocks.", |look, out| {
        nodes(out, look, |it| it.blocking.threads as u64);
    }),
    row(UpDown, "actor.blocking.running", "{job}", "Blocking jobs that run.", |look, out| {
        nodes(out, look, |it| it.blocking.running as u64);
    }),
    row(UpDown, "actor.blocking.queued", "{job}", "Blocking jobs that wait for a thread.", |look, out| {
        nodes(out, look, |it| it.blocking.queued as u64);
    }),
    row(UpDown, "actor.timers.waiting", "{timer}", "Timers that wait for their time.", |look, out| {
        nodes(out, look, |it| it.timers.waiting as u64);
    }),
    row(Counter, "actor.timers.fired", "{timer}", "Timers whose time has come.", |look, out| {
        nodes(out, look, |it| it.timers.fired);
    }),

    // Stalls.
    row(Counter, "actor.stalls", "{stall}", "Turns that lasted longer than the threshold.", |look, out| {
        out.add(&[], look.stats.stalls.stalls);
    }),
    row(UpDown, "actor.stalls.running", "{stall}", "Of these, turns that go on.", |look, out| {
        out.add(&[], look.stats.stalls.running);
    }),
    row(Gauge, "actor.stall.longest", "s", "The longest of them.", |look, out| {
        out.add(&[], look.stats.stalls.longest);
    }),
    row(Counter, "actor.spares.started", "{thread}", "Times that a spare thread began to stand in for a stuck worker.", |look, out| {
        out.add(&[], look.stats.stalls.spares_started);
    }),
    row(Counter, "actor.spares.exhausted", "{time}", "Times that work waited and no spare was left.", |look, out| {
        out.add(&[], look.stats.stalls.spares_exhausted);
    }),

    // Spans.
    row(Gauge, "actor.spans.sample", "1", "Share of the traces begun here that are recorded.", |look, out| {
        out.add(&[], look.stats.spans.sample);
    }),
    row(Counter, "actor.spans.offered", "{span}", "Spans that ended.", |look, out| {
        out.add(&[], look.stats.spans.offered);
    }),
    row(Counter, "actor.spans.recorded", "{span}", "Spans that came to the collector.", |look, out| {
        out.add(&[], look.stats.spans.recorded);
    }),
    row(Counter, "actor.spans.dropped", "{span}", "Spans that found the queue to the collector full.", |look, out| {
        out.add(&[], look.stats.spans.dropped);
    }),
    row(Counter, "actor.spans.exported", "{span}", "Spans that exporters took.", |look, out| {
        out.add(&[], look.stats.spans.exported);
    }),
    row(Counter, "actor.spans.not_exported", "{span}", "Spans that exporters lost.", |look, out| {
        out.add(&[], look.stats.spans.not_exported);
    }),
    row(UpDown, "actor.traces.kept", "{trace}", "Traces that can be looked at.", |look, out| {
        out.add(&[], look.stats.spans.kept_traces);
    }),
];

fn reasons(out: &mut Entry<'_>, reasons: &[(&str, u64)]) {
    for (reason, count) in reasons {
        out.add(&[("reason", reason)], *count);
    }
}

fn by_type(out: &mut Entry<'_>, look: &Look, of: fn(&super::census::ByType) -> u64) {
    for row in &look.census.types {
        out.add(&[("type", row.actor_type)], of(row));
    }
}

fn workers(out: &mut Entry<'_>, look: &Look, of: fn(&WorkerStats) -> u64) {
    for worker in &look.stats.workers {
        with_worker(worker, |labels| _ = out.add(labels, of(worker)));
    }
}

fn with_worker(worker: &WorkerStats, add: impl FnOnce(&[(&'static str, &str)])) {
    let (number, node) = (worker.worker.0.to_string(), worker.numa_node.0.to_string());
    add(&[("worker", &number), ("numa_node", &node)]);
}

fn lanes(out: &mut Entry<'_>, look: &Look, of: fn(&LaneStats) -> u64) {
    for lane in &look.stats.lanes {
        let (from, to) = (lane.from.0.to_string(), lane.to.0.to_string());
        out.add(&[("from", &from), ("to", &to)], of(lane));
    }
}

fn nodes(out: &mut Entry<'_>, look: &Look, of: fn(&NumaStats) -> u64) {
    for node in &look.stats.numa_nodes {
        out.add(&[("numa_node", &node.numa_node.0.to_string())], of(node));
    }
}

/// By type: those with the most messages, and all others together.
fn times(out: &mut Entry<'_>, latencies: &Latencies, of: impl Fn(&TypeLatency) -> Histogram) {
    let is_named = |it: &&TypeLatency| it.actor_type != crate::telemetry::latencies::OTHERS;
    let named = latencies.types.iter().filter(is_named);
    let unnamed = latencies.types.iter().filter(|it| !is_named(it));
    let mut rest: Option<Histogram> = None;
    for (at, it) in named.chain(unnamed).enumerate() {
        if at < TYPES_MAX && is_named(&it) {
            out.add(&[("type", it.actor_type)], of(it));
        } else {
            let more = of(it);
            rest = Some(match rest {
                Some(rest) => rest.with(&more),
                None => more,
            });
        }
    }
    if let Some(rest) = rest {
        out.add(&[("type", OTHER)], rest);
    }
}

/// Upper bounds in nanoseconds: 1, 2.5 and 5 of each power of ten from 100 ns to 10 s.
const TIMES: [u64; 25] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Upper bounds of mailboxes.
const DEPTHS: [u64; 20] = [
    0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000,
    200_000, 500_000, 1_000_000,
];

fn spread(of: &LatencyHistogram) -> Histogram {
    let within = of.within_each(&TIMES).into_iter();
    let seconds = TIMES.iter().map(|nanos| *nanos as f64 / 1e9);
    let mut spread = Histogram::cumulative(seconds.zip(within), of.count(), of.sum().as_secs_f64());
    if of.count() > 0 {
        spread.min = Some(of.min().as_secs_f64());
        spread.max = Some(of.max().as_secs_f64());
    }
    spread
}

fn depths(of: &DepthHistogram) -> Histogram {
    let within = of.within_each(&DEPTHS).into_iter();
    let bounds = DEPTHS.iter().map(|depth| *depth as f64);
    let mut spread = Histogram::cumulative(bounds.zip(within), of.count(), of.sum() as f64);
    if of.count() > 0 {
        spread.min = Some(of.min() as f64);
        spread.max = Some(of.max() as f64);
    }
    spread
}

#[cfg(test)]
#[path = "families_tests.rs"]
mod tests;

//! What there is to read for Prometheus, and from where.

use actor_core::{Conservation, NumaStats, Stats, WorkerStats};

use super::text::{Kind, Text};
use super::times::times;
use crate::cluster::{Cluster, Status};
use crate::console::Shared;
use crate::console::recent::CELL_BYTES;
use crate::console::walks::{OTHER, Summary, TypeCount};
use crate::membership::MemberState;

/// Types of actors that have series of their own.
pub(super) const TYPES_MAX: usize = 100;
/// Peers that have.
const PEERS_MAX: usize = 256;

pub(super) fn write(shared: &Shared, walk: &Summary) -> String {
    let stats = shared.system.stats();
    let mut text = Text::default();
    process(&mut text, shared, &stats);
    messages(&mut text, &stats.messages);
    actors(&mut text, &stats, walk);
    workers(&mut text, shared, &stats);
    crossing(&mut text, &stats);
    numa_nodes(&mut text, &stats);
    times(&mut text, &shared.system.latencies());
    stalls(&mut text, &stats);
    spans(&mut text, &stats);
    if let Some(cluster) = &shared.cluster {
        peers(&mut text, cluster);
    }
    text.finish()
}

fn process(text: &mut Text, shared: &Shared, stats: &Stats) {
    text.family(Kind::Gauge, "actor_info", "What runs: always 1.")
        .series(
            &[
                ("name", &shared.name),
                ("version", env!("CARGO_PKG_VERSION")),
            ],
            1.0,
        );
    let ready = shared.system.is_ready() && !shared.system.is_shutting_down();
    text.one(
        Kind::Gauge,
        "actor_ready",
        "Whether the system wants new work: 1 or 0.",
        f64::from(u8::from(ready)),
    );
    text.one(
        Kind::Gauge,
        "actor_uptime_seconds",
        "Time since the console was started.",
        shared.started.elapsed().as_secs_f64(),
    );
    text.one(
        Kind::Counter,
        "actor_turns_total",
        "Visits of threads to actors.",
        stats.turns as f64,
    );
    text.one(
        Kind::Counter,
        "actor_wakes_from_outside_total",
        "Workers woken by threads that are none.",
        stats.wakes_from_outside as f64,
    );
}

fn messages(text: &mut Text, it: &Conservation) {
    let (refused, dead, dropped) = (it.refused, it.dead_letters, it.dropped);
    for (name, help, value) in [
        (
            "actor_messages_offered_total",
            "Messages that somebody tried to send.",
            it.offered,
        ),
        (
            "actor_messages_accepted_total",
            "Messages taken into a mailbox.",
            it.accepted,
        ),
        (
            "actor_messages_handled_total",
            "Messages whose handler ran to its end.",
            it.handled,
        ),
    ] {
        text.one(Kind::Counter, name, help, value as f64);
    }
    text.one(
        Kind::Gauge,
        "actor_messages_queued",
        "Messages accepted and not ended yet.",
        it.queued() as f64,
    );
    reasons(
        text,
        "actor_messages_refused_total",
        "Messages given back to the sender, by reason.",
        &[
            ("full", refused.full),
            ("dead", refused.dead),
            ("overloaded", refused.overloaded),
            ("other", refused.other),
        ],
    );
    reasons(
        text,
        "actor_dead_letters_total",
        "Messages that had nobody to go to, by reason.",
        &[
            ("actor_stopped", dead.actor_stopped),
            ("peer_gone", dead.peer_gone),
            ("not_exported", dead.not_exported),
            ("too_large", dead.too_large),
            ("unreachable", dead.unreachable),
        ],
    );
    reasons(
        text,
        "actor_messages_dropped_total",
        "Messages accepted and then not handled, by reason.",
        &[
            ("expired", dropped.expired),
            ("cancelled", dropped.cancelled),
            ("panicked", dropped.panicked),
            ("interrupted", dropped.interrupted),
            ("overflow_oldest", dropped.overflow_oldest),
            ("overflow_newest", dropped.overflow_newest),
            ("abandoned", dropped.abandoned),
        ],
    );
}

fn reasons(text: &mut Text, name: &'static str, help: &str, reasons: &[(&str, u64)]) {
    let mut family = text.family(Kind::Counter, name, help);
    for (reason, count) in reasons {
        family.series(&[("reason", reason)], *count as f64);
    }
}

fn actors(text: &mut Text, stats: &Stats, walk: &Summary) {
    let it = stats.actors;
    text.one(
        Kind::Gauge,
        "actor_actors",
        "Actors that live now.",
        it.alive() as f64,
    );
    text.one(
        Kind::Gauge,
        "actor_attached_tasks",
        "Tasks and streams attached to actors now.",
        it.attached_tasks as f64,
    );
    for (name, help, value) in [
        ("actor_spawned_total", "Actors spawned.", it.spawned),
        (
            "actor_stopped_total",
            "Actors that have stopped for good.",
            it.stopped,
        ),
        (
            "actor_restarts_total",
            "Restarts granted by supervisors.",
            it.restarts,
        ),
        (
            "actor_panics_total",
            "Panics caught on the system's threads.",
            it.panics,
        ),
        (
            "actor_moves_total",
            "Actors moved to another NUMA node.",
            it.moves,
        ),
        (
            "actor_abandoned_total",
            "Actors that did not stop when told to and cut off.",
            it.abandoned,
        ),
        (
            "actor_termination_notices_total",
            "Notices of an actor's end sent to watchers.",
            it.termination_notices,
        ),
        (
            "actor_asks_late_replies_total",
            "Replies that came after the asker had given up.",
            it.late_replies,
        ),
        (
            "actor_asks_no_reply_total",
            "Asks whose reply handle was dropped without a reply.",
            it.no_replies,
        ),
    ] {
        text.one(Kind::Counter, name, help, value as f64);
    }
    by_type(text, walk);
    let mut family = text.family(
        Kind::Gauge,
        "actor_longest_mailbox_messages",
        "The mailboxes with the most messages, by actor: ten at most.",
    );
    for seen in &walk.longest {
        let id = seen.actor.to_string();
        let labels = [("actor", id.as_str()), ("type", seen.actor_type)];
        family.series(&labels, f64::from(seen.queued));
    }
    text.one(
        Kind::Gauge,
        "actor_asks_waiting",
        "Handlers that wait for the answer to an ask.",
        walk.waiting_total as f64,
    );
    text.one(
        Kind::Gauge,
        "actor_walk_actors",
        "Actors that the walk found from which types and mailboxes are told.",
        walk.actors as f64,
    );
    text.one(
        Kind::Gauge,
        "actor_walk_seconds",
        "How long it took.",
        walk.took.as_secs_f64(),
    );
    text.one(
        Kind::Gauge,
        "actor_walk_age_seconds",
        "How long ago it began.",
        walk.at.elapsed().as_secs_f64(),
    );
}

/// By type: those with the most actors, and all others together.
fn by_type(text: &mut Text, walk: &Summary) {
    let mut rows: Vec<TypeCount> = Vec::new();
    let mut other = TypeCount {
        actor_type: OTHER,
        alive: 0,
        busy: 0,
        queued: 0,
    };
    for count in &walk.types {
        if rows.len() < TYPES_MAX && count.actor_type != OTHER {
            rows.push(*count);
        } else {
            other.alive += count.alive;
            other.busy += count.busy;
            other.queued += count.queued;
        }
    }
    if other.alive > 0 {
        rows.push(other);
    }
    type Of = fn(&TypeCount) -> u64;
    let families: [(&'static str, &str, Of); 3] = [
        ("actor_type_actors", "Actors that live, by type.", |it| {
            it.alive
        }),
        (
            "actor_type_busy",
            "Actors that have something to do, by type.",
            |it| it.busy,
        ),
        (
            "actor_type_mailbox_messages",
            "Messages in mailboxes, by type of actor.",
            |it| it.queued,
        ),
    ];
    for (name, help, of) in families {
        let mut family = text.family(Kind::Gauge, name, help);
        for row in &rows {
            family.series(&[("type", row.actor_type)], of(row) as f64);
        }
    }
}

fn workers(text: &mut Text, shared: &Shared, stats: &Stats) {
    type Of = fn(&WorkerStats) -> u64;
    let families: [(&'static str, &str, Of); 4] = [
        (
            "actor_worker_turns_total",
            "Visits to actors, by worker.",
            |it| it.turns,
        ),
        (
            "actor_worker_steals_near_total",
            "Thefts from workers of the same NUMA node.",
            |it| it.steals_near,
        ),
        (
            "actor_worker_steals_far_total",
            "Actors taken from another NUMA node.",
            |it| it.steals_far,
        ),
        (
            "actor_worker_parks_total",
            "Times that a worker went to sleep.",
            |it| it.parks,
        ),
    ];
    for (name, help, of) in families {
        let mut family = text.family(Kind::Counter, name, help);
        each_worker(stats, |_, labels, worker| {
            family.series(labels, of(worker) as f64);
        });
    }
    let mut family = text.family(
        Kind::Gauge,
        "actor_worker_queued",
        "Actors in a worker's own queue, about.",
    );
    each_worker(stats, |_, labels, worker| {
        family.series(labels, worker.queued as f64);
    });
    let times = shared.system.worker_cpu_times();
    if times.iter().any(Option::is_some) {
        let mut family = text.family(
            Kind::Counter,
            "actor_worker_cpu_seconds_total",
            "Time on a CPU, by worker.",
        );
        each_worker(stats, |at, labels, _| {
            if let Some(time) = times.get(at).copied().flatten() {
                family.series(labels, time.as_secs_f64());
            }
        });
    }
    text.one(
        Kind::Gauge,
        "actor_workers_unpinned",
        "Workers that are not on their CPU.",
        (shared.system.pin_failures().len() + shared.system.lost_pins().len()) as f64,
    );
}

fn each_worker(stats: &Stats, mut each: impl FnMut(usize, &[(&str, &str)], &WorkerStats)) {
    for (at, worker) in stats.workers.iter().enumerate() {
        let (id, node) = (worker.worker.0.to_string(), worker.numa_node.0.to_string());
        each(at, &[("worker", &id), ("numa_node", &node)], worker);
    }
}

fn crossing(text: &mut Text, stats: &Stats) {
    let mut family = text.family(
        Kind::Counter,
        "actor_messages_between_numa_nodes_total",
        "Messages between actors, by NUMA nodes of sender and target.",
    );
    for edge in &stats.edges {
        let (from, to) = (edge.from.0.to_string(), edge.to.0.to_string());
        family.series(&[("from", &from), ("to", &to)], edge.messages as f64);
    }
    text.one(
        Kind::Gauge,
        "actor_messages_crossed_ratio",
        "Share of messages between actors that crossed from one NUMA node to another, since the start.",
        stats.crossing_share().unwrap_or(0.0),
    );
    let mut family = text.family(
        Kind::Counter,
        "actor_steals_across_total",
        "Actors that workers of one NUMA node took from another, for a turn.",
    );
    for pair in &stats.steals_across {
        let (by, from) = (pair.by.0.to_string(), pair.from.0.to_string());
        family.series(&[("by", &by), ("from", &from)], pair.actors as f64);
    }
    type Of = fn(&actor_core::LaneStats) -> u64;
    let families: [(&'static str, &str, Of); 5] = [
        (
            "actor_lane_messages_total",
            "Messages that went by batch lane.",
            |it| it.by_lane,
        ),
        (
            "actor_lane_direct_total",
            "Messages across that went straight.",
            |it| it.direct,
        ),
        (
            "actor_lane_flushes_total",
            "Batches taken off a lane.",
            |it| it.batches,
        ),
        (
            "actor_lane_settled_total",
            "Of these, by a sender that needed the lane empty.",
            |it| it.settled,
        ),
        (
            "actor_lane_chains_total",
            "Rows of messages put into a mailbox as one.",
            |it| it.chains,
        ),
    ];
    for (name, help, of) in families {
        let mut family = text.family(Kind::Counter, name, help);
        for lane in &stats.lanes {
            let (from, to) = (lane.from.0.to_string(), lane.to.0.to_string());
            family.series(&[("from", &from), ("to", &to)], of(lane) as f64);
        }
    }
    if let Some(balancing) = &stats.balancing {
        text.one(
            Kind::Gauge,
            "actor_balancing_on",
            "Whether the balancer is at work: 1 or 0.",
            f64::from(u8::from(balancing.is_on)),
        );
        text.one(
            Kind::Counter,
            "actor_balancing_moves_total",
            "Moves that the balancer ordered.",
            balancing.moves as f64,
        );
    }
}

fn numa_nodes(text: &mut Text, stats: &Stats) {
    type Of = fn(&NumaStats) -> u64;
    let gauges: [(&'static str, &str, Of); 10] = [
        (
            "actor_numa_queued",
            "Actors that wait for any worker of the NUMA node.",
            |it| it.queued as u64,
        ),
        ("actor_numa_workers_asleep", "Workers that sleep.", |it| {
            it.asleep as u64
        }),
        (
            "actor_arena_slab_bytes",
            "Bytes mapped for messages, states and frames.",
            |it| it.memory.slab_bytes,
        ),
        (
            "actor_arena_cell_bytes",
            "Bytes of cells handed out so far.",
            |it| it.memory.cells * CELL_BYTES,
        ),
        (
            "actor_arena_large_bytes",
            "Bytes in use of blocks above 4 KiB.",
            |it| it.memory.large_bytes,
        ),
        (
            "actor_arena_user_bytes",
            "Bytes in use in NumaBoxes.",
            |it| it.memory.user_bytes,
        ),
        (
            "actor_arena_unbound_chunks",
            "Chunks that the kernel refused to bind.",
            |it| it.memory.unbound_chunks,
        ),
        (
            "actor_blocking_threads",
            "Threads for work that blocks.",
            |it| it.blocking.threads as u64,
        ),
        (
            "actor_blocking_queued",
            "Blocking jobs that wait for a thread.",
            |it| it.blocking.queued as u64,
        ),
        (
            "actor_timers_waiting",
            "Timers that wait for their time.",
            |it| it.timers.waiting as u64,
        ),
    ];
    let counters: [(&'static str, &str, Of); 2] = [
        (
            "actor_arena_remote_frees_total",
            "Blocks that threads of other NUMA nodes sent home.",
            |it| it.memory.remote_frees,
        ),
        (
            "actor_timers_fired_total",
            "Timers whose time has come.",
            |it| it.timers.fired,
        ),
    ];
    let gauges = gauges.iter().map(|it| (Kind::Gauge, it));
    let counters = counters.iter().map(|it| (Kind::Counter, it));
    for (kind, (name, help, of)) in gauges.chain(counters) {
        let mut family = text.family(kind, name, help);
        for numa in &stats.numa_nodes {
            let node = numa.numa_node.0.to_string();
            family.series(&[("numa_node", &node)], of(numa) as f64);
        }
    }
}

fn stalls(text: &mut Text, stats: &Stats) {
    let it = stats.stalls;
    text.one(
        Kind::Counter,
        "actor_stalls_total",
        "Turns that lasted longer than the threshold.",
        it.stalls as f64,
    );
    text.one(
        Kind::Gauge,
        "actor_stalls_running",
        "Of these, turns that go on.",
        it.running as f64,
    );
    text.one(
        Kind::Gauge,
        "actor_stall_longest_seconds",
        "The longest of them.",
        it.longest.as_secs_f64(),
    );
    text.one(
        Kind::Counter,
        "actor_spares_started_total",
        "Times that a spare thread began to stand in for a stuck worker.",
        it.spares_started as f64,
    );
    text.one(
        Kind::Counter,
        "actor_spares_exhausted_total",
        "Times that work waited and no spare was left.",
        it.spares_exhausted as f64,
    );
}

fn spans(text: &mut Text, stats: &Stats) {
    let it = stats.spans;
    text.one(
        Kind::Gauge,
        "actor_spans_sample_ratio",
        "Share of the traces begun here that are recorded.",
        it.sample,
    );
    for (name, help, value) in [
        ("actor_spans_offered_total", "Spans that ended.", it.offered),
        (
            "actor_spans_recorded_total",
            "Spans that came to the collector.",
            it.recorded,
        ),
        (
            "actor_spans_dropped_total",
            "Spans that found the queue to the collector full.",
            it.dropped,
        ),
        (
            "actor_spans_exported_total",
            "Spans that exporters took.",
            it.exported,
        ),
        (
            "actor_spans_not_exported_total",
            "Spans that exporters lost.",
            it.not_exported,
        ),
    ] {
        text.one(Kind::Counter, name, help, value as f64);
    }
    text.one(
        Kind::Gauge,
        "actor_traces_kept",
        "Traces that can be looked at.",
        it.kept_traces as f64,
    );
}

fn peers(text: &mut Text, cluster: &Cluster) {
    let view = cluster.view();
    let states = [
        MemberState::Joining,
        MemberState::Up,
        MemberState::Unreachable,
        MemberState::Leaving,
        MemberState::Down,
        MemberState::Left,
    ];
    let mut family = text.family(
        Kind::Gauge,
        "actor_cluster_members",
        "Members of the cluster as this peer sees them, by state.",
    );
    for state in states {
        let count = view
            .members()
            .iter()
            .filter(|it| it.state() == state)
            .count();
        family.series(&[("state", &state.to_string())], count as f64);
    }
    text.one(
        Kind::Gauge,
        "actor_cluster_running",
        "Whether this peer takes part: 1 or 0.",
        f64::from(u8::from(matches!(cluster.status(), Status::Running { .. }))),
    );
    text.one(
        Kind::Gauge,
        "actor_cluster_voters",
        "Peers that vote.",
        cluster.voters().len() as f64,
    );
    let links = cluster.links();
    let links = || links.iter().take(PEERS_MAX);
    let mut family = text.family(
        Kind::Gauge,
        "actor_peer_connected",
        "Whether there is a connection to the peer: 1 or 0.",
    );
    for link in links() {
        family.series(
            &[("peer", link.peer.as_str())],
            f64::from(u8::from(link.is_connected)),
        );
    }
    let mut family = text.family(
        Kind::Gauge,
        "actor_peer_lanes",
        "Connections for messages to the peer.",
    );
    for link in links() {
        family.series(&[("peer", link.peer.as_str())], link.lanes as f64);
    }
    let mut family = text.family(
        Kind::Gauge,
        "actor_peer_round_trip_seconds",
        "How long a heartbeat takes to go and come back.",
    );
    for link in links() {
        if let Some(time) = link.round_trip {
            family.series(&[("peer", link.peer.as_str())], time.as_secs_f64());
        }
    }
    if let Some(stats) = cluster.stats() {
        let mut family = text.family(
            Kind::Counter,
            "actor_remote_messages_total",
            "Messages to and from other peers in this life, by what became of them.",
        );
        for (name, count) in stats.counts() {
            // What is held goes down again.
            if name != "held" {
                family.series(&[("what", name)], count as f64);
            }
        }
        text.one(
            Kind::Gauge,
            "actor_remote_messages_held",
            "Messages from peers that wait for room in a mailbox.",
            stats.held as f64,
        );
    }
}

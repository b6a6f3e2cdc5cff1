//! `GET /api/v1/overview`.

use actor_core::{AskStats, Conservation, Stats};

use super::{attention, health, ms, ns, traces};
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{
    ActorCounts, AskCounts, DeadLetterReasons, DroppedReasons, Features, Health, Latency,
    MemoryBytes, MessageCounts, OutcomeCount, Overview, PeerCounts, Rates, RefusedReasons,
    StallCounts, SystemInfo, TracingInfo, WorkerCounts,
};
use crate::console::latency::spread;
use crate::console::recent::{Pair, arena_bytes};
use crate::membership::MemberState;

pub(in crate::console) async fn overview(shared: &Shared) -> Result<Answer, Wrong> {
    let stats = shared.system.stats();
    let latencies = shared.system.latencies();
    let pair = shared.recent.pair();
    let pair = pair.as_deref();
    let why = health::why_not(shared);
    let attention = attention::attention(shared, &stats, &why).await;
    let asleep: usize = stats.numa_nodes.iter().map(|numa| numa.asleep).sum();
    Ok(json(&Overview {
        now_ms: ms(std::time::SystemTime::now()),
        system: SystemInfo {
            name: shared.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            hostname: shared.hostname.clone(),
            started_at_ms: ms(shared.started_at),
            uptime_ns: ns(shared.started.elapsed()),
        },
        health: Health {
            live: true,
            ready: why.is_empty(),
            why,
        },
        features: Features {
            cluster: shared.cluster.is_some(),
            tracing: stats.spans.is_on,
            latency: latencies.measured > 0,
            schedule: true,
            actions: shared.allow_actions,
            token_required: shared.gate.needs_token(),
        },
        actors: ActorCounts {
            alive: stats.actors.alive(),
            spawned_total: stats.actors.spawned,
            stopped_total: stats.actors.stopped,
            restarts_total: stats.actors.restarts,
            panics_total: stats.actors.panics,
            moves_total: stats.actors.moves,
            abandoned_total: stats.actors.abandoned,
            attached_tasks: stats.actors.attached_tasks,
        },
        messages: messages(&stats.messages),
        rates: Rates {
            messages_per_s: rate(pair, |it| it.messages.handled),
            dead_letters_per_s: rate(pair, |it| it.messages.dead_letters.total()),
            dropped_per_s: rate(pair, |it| it.messages.dropped.total()),
            restarts_per_s: rate(pair, |it| it.actors.restarts),
            asks_per_s: rate(pair, |it| it.asks.begun),
            crossed_share: pair.and_then(Pair::crossed_share),
        },
        asks: AskCounts {
            begun_total: stats.asks.begun,
            in_flight: stats.asks.in_flight(),
            ok_total: Some(stats.asks.answered),
            no_reply_total: stats.actors.no_replies,
            late_replies_total: stats.actors.late_replies,
            failed_total: Some(stats.asks.failed()),
            by_outcome: outcomes(&stats.asks),
        },
        latency: Latency {
            wait: spread(&latencies.all.recent_wait),
            handle: spread(&latencies.all.recent_handle),
        },
        workers: WorkerCounts {
            count: stats.workers.len(),
            busy: stats.workers.len().saturating_sub(asleep),
            load: pair.and_then(Pair::load),
        },
        numa_nodes: stats.numa_nodes.len(),
        memory: MemoryBytes {
            arena_bytes: arena_bytes(&stats),
            user_bytes: stats.numa_nodes.iter().map(|it| it.memory.user_bytes).sum(),
        },
        stalls: StallCounts {
            total: stats.stalls.stalls,
            now: stats.stalls.running,
            longest_ns: ns(stats.stalls.longest),
        },
        tracing: Some(TracingInfo {
            enabled: stats.spans.is_on,
            sample: Some(stats.spans.sample),
            offered_total: stats.spans.offered,
            recorded_total: stats.spans.recorded,
            dropped_total: stats.spans.dropped,
            stored: usize::try_from(stats.spans.kept_traces).unwrap_or(usize::MAX),
            hint: traces::hint(&stats.spans),
        }),
        peers: shared.cluster.as_ref().map(|cluster| {
            let view = cluster.view();
            let of = |state: MemberState| {
                let members = view.members().iter();
                members.filter(|member| member.state() == state).count()
            };
            PeerCounts {
                up: of(MemberState::Up),
                unreachable: of(MemberState::Unreachable),
                others: of(MemberState::Joining) + of(MemberState::Leaving),
            }
        }),
        attention,
    }))
}

fn rate(pair: Option<&Pair>, of: fn(&Stats) -> u64) -> Option<f64> {
    pair?.rate(of)
}

/// Why asks have no reply: what happened, the most frequent first.
fn outcomes(asks: &AskStats) -> Vec<OutcomeCount> {
    let [_answered, failures @ ..] = asks.outcomes();
    let mut some: Vec<_> = failures.into_iter().collect();
    some.retain(|(_, total)| *total > 0);
    some.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
    let named = some.into_iter().map(|(outcome, total)| OutcomeCount {
        outcome: outcome.to_owned(),
        total,
    });
    named.collect()
}

fn messages(it: &Conservation) -> MessageCounts {
    let (refused, dead, dropped) = (it.refused, it.dead_letters, it.dropped);
    MessageCounts {
        offered_total: it.offered,
        accepted_total: it.accepted,
        handled_total: it.handled,
        queued: it.queued(),
        refused_total: refused.total(),
        dead_letters_total: dead.total(),
        dropped_total: dropped.total(),
        refused: RefusedReasons {
            full: refused.full,
            dead: refused.dead,
            overloaded: refused.overloaded,
            other: refused.other,
        },
        dead_letters: DeadLetterReasons {
            actor_stopped: dead.actor_stopped,
            peer_gone: dead.peer_gone,
            not_exported: dead.not_exported,
            too_large: dead.too_large,
            unreachable: dead.unreachable,
        },
        dropped: DroppedReasons {
            expired: dropped.expired,
            cancelled: dropped.cancelled,
            panicked: dropped.panicked,
            interrupted: dropped.interrupted,
            overflow_oldest: dropped.overflow_oldest,
            overflow_newest: dropped.overflow_newest,
            abandoned: dropped.abandoned,
        },
    }
}

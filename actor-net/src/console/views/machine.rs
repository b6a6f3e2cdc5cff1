//! `GET /api/v1/machine`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actor_core::topology::Source;
use actor_core::{NumaNodeId, NumaStats, Stats, WorkerId};
use tokio::sync::Mutex;

use super::{id, ns};
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{
    Arena, Balancing, Blocking, Dedicated, Edge, Lane, Machine, NumaNode, PagesOn, Residency,
    StalledBy, StealsAcross, Timers, Worker,
};
use crate::console::cpu;
use crate::console::recent::{CELL_BYTES, Pair};

/// How long what the kernel said of pages serves: it is asked for every page.
const PAGES_FRESH: Duration = Duration::from_secs(10);

/// What the kernel last said.
#[derive(Default)]
pub(in crate::console) struct ResidencyKept(Mutex<Option<(Instant, Option<Vec<Residency>>)>>);

pub(in crate::console) async fn machine(shared: &Shared) -> Result<Answer, Wrong> {
    let residency = residency(shared).await;
    let stats = shared.system.stats();
    let topology = shared.system.topology();
    let pair = shared.recent.pair();
    let pair = pair.as_deref();
    let workers = workers(shared, &stats, pair);
    let actors = shared.walks.last();
    let numa_nodes = stats.numa_nodes.iter().map(|numa| {
        let node = topology.numa_node(numa.numa_node);
        let own: Vec<Worker> = workers
            .iter()
            .filter(|(node, _)| *node == numa.numa_node)
            .map(|(_, worker)| worker.clone())
            .collect();
        let in_rings: u64 = own.iter().map(|worker| worker.queued as u64).sum();
        NumaNode {
            id: numa.numa_node.0,
            cpus: node.map_or_else(String::new, |node| {
                cpu_list(node.cpus.iter().map(|cpu| cpu.0))
            }),
            memory_bytes: node.and_then(|node| node.memory_bytes),
            queued: numa.queued as u64 + in_rings,
            asleep: numa.asleep,
            load: cpu::mean(own.iter().map(|worker| worker.load)),
            actors: actors
                .as_ref()
                .map(|walk| walk.by_numa.get(&numa.numa_node.0).copied().unwrap_or(0)),
            arena: arena(numa),
            blocking: Blocking {
                threads: numa.blocking.threads,
                running: numa.blocking.running,
                queued: numa.blocking.queued,
            },
            timers: Timers {
                waiting: numa.timers.waiting,
                fired_total: numa.timers.fired,
            },
            workers: own,
        }
    });
    let numa_nodes: Vec<NumaNode> = numa_nodes.collect();
    let ids = stats.numa_nodes.iter().map(|numa| numa.numa_node);
    let distances = ids
        .clone()
        .map(|from| ids.clone().map(|to| topology.distance(from, to)).collect())
        .collect();
    Ok(json(&Machine {
        source: source(topology.source()).to_owned(),
        pretended: topology.source() == Source::Pretend,
        cpu_quota: topology.cpu_quota().map(|quota| quota.cpus()),
        numa_nodes,
        distances,
        edges: edges(&stats, pair),
        steals_across: steals(&stats, pair),
        lanes: lanes(&stats),
        dedicated: stats
            .dedicated
            .iter()
            .map(|own| Dedicated {
                worker: own.worker.0,
                numa_node: own.numa_node.0,
                actor: id(own.actor),
                turns_total: own.turns,
                parks_total: own.parks,
            })
            .collect(),
        crossed_share: pair.and_then(Pair::crossed_share),
        wakes_from_outside_total: stats.wakes_from_outside,
        balancing: stats.balancing.map(|it| Balancing {
            on: it.is_on,
            samples_total: it.samples,
            moves_total: it.moves,
            crossing_before: it.crossing_before,
            crossing_now: it.crossing_now,
        }),
        residency,
    }))
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Sysfs => "sysfs",
        Source::Hwloc => "hwloc",
        Source::Pretend => "pretended",
        Source::Fallback => "fallback",
        _ => "other",
    }
}

/// The workers, each with its NUMA node.
fn workers(shared: &Shared, stats: &Stats, pair: Option<&Pair>) -> Vec<(NumaNodeId, Worker)> {
    let system = shared.system;
    let mut problems: HashMap<WorkerId, String> = HashMap::new();
    for (worker, why) in system.pin_failures() {
        problems.insert(*worker, why.clone());
    }
    for lost in system.lost_pins() {
        problems.insert(lost.worker, lost.to_string());
    }
    let (stalls, _) = shared.recent.stalls();
    let seats = system.seats();
    stats
        .workers
        .iter()
        .enumerate()
        .map(|(at, worker)| {
            let rate = |of: fn(&actor_core::WorkerStats) -> u64| {
                pair?.rate(|stats| stats.workers.get(at).map_or(0, of))
            };
            let cpu = seats.get(at).and_then(|seat| seat.cpu);
            let problem = problems.remove(&worker.worker);
            let stalled = stalls
                .iter()
                .find(|(_, stall)| stall.worker == worker.worker);
            let shown = Worker {
                id: worker.worker.0,
                cpu: cpu.map(|cpu| cpu.0),
                pinned: cpu.is_some() && problem.is_none(),
                pin_problem: problem,
                load: pair.and_then(|pair| pair.loads.get(at).copied().flatten()),
                queued: worker.queued,
                turns_total: worker.turns,
                turns_per_s: rate(|it| it.turns),
                steals_near_total: worker.steals_near,
                steals_near_per_s: rate(|it| it.steals_near),
                steals_far_total: worker.steals_far,
                steals_far_per_s: rate(|it| it.steals_far),
                parks_total: worker.parks,
                parks_per_s: rate(|it| it.parks),
                stalled: stalled.map(|(_, stall)| StalledBy {
                    actor: id(stall.actor),
                    actor_type: stall.actor_type.to_owned(),
                    name: stall.name.as_deref().map(str::to_owned),
                    message: stall.message.map(str::to_owned),
                    for_ns: ns(stall.started.elapsed()),
                }),
            };
            (worker.numa_node, shown)
        })
        .collect()
}

fn arena(numa: &NumaStats) -> Arena {
    let memory = numa.memory;
    Arena {
        slab_bytes: memory.slab_bytes,
        cells: memory.cells,
        cell_bytes: memory.cells * CELL_BYTES,
        large_bytes: memory.large_bytes,
        large_blocks: memory.large_blocks,
        user_bytes: memory.user_bytes,
        unbound_chunks: memory.unbound_chunks,
        remote_frees_total: memory.remote_frees,
        remote_batches_total: memory.remote_batches,
        huge_refusals: memory.huge_refusals,
    }
}

fn edges(stats: &Stats, pair: Option<&Pair>) -> Vec<Edge> {
    let of = |edge: &actor_core::Edge| Edge {
        from: edge.from.0,
        to: edge.to.0,
        messages_total: edge.messages,
        messages_per_s: pair.and_then(|pair| {
            pair.rate(|stats| {
                let edges = stats.edges.iter();
                edges
                    .filter(|it| it.from == edge.from && it.to == edge.to)
                    .map(|it| it.messages)
                    .sum()
            })
        }),
    };
    stats.edges.iter().map(of).collect()
}

fn steals(stats: &Stats, pair: Option<&Pair>) -> Vec<StealsAcross> {
    let of = |steals: &actor_core::StealsAcross| StealsAcross {
        by: steals.by.0,
        from: steals.from.0,
        actors_total: steals.actors,
        actors_per_s: pair.and_then(|pair| {
            pair.rate(|stats| {
                let pairs = stats.steals_across.iter();
                pairs
                    .filter(|it| it.by == steals.by && it.from == steals.from)
                    .map(|it| it.actors)
                    .sum()
            })
        }),
    };
    stats.steals_across.iter().map(of).collect()
}

fn lanes(stats: &Stats) -> Vec<Lane> {
    let of = |lane: &actor_core::LaneStats| Lane {
        from: lane.from.0,
        to: lane.to.0,
        direct_total: lane.direct,
        by_lane_total: lane.by_lane,
        batches_total: lane.batches,
        settled_total: lane.settled,
        chains_total: lane.chains,
        lost_races_total: lane.lost_races,
        mean_batch: lane.mean_batch(),
        line_transfers: lane.line_transfers(),
        gain: lane.gain(),
    };
    stats.lanes.iter().map(of).collect()
}

/// Where the pages lie; asked by one at a time, seldom.
async fn residency(shared: &Shared) -> Option<Vec<Residency>> {
    let mut kept = shared.residency.0.lock().await;
    if let Some((at, told)) = &*kept
        && at.elapsed() < PAGES_FRESH
    {
        return told.clone();
    }
    let system = shared.system;
    let told = tokio::task::spawn_blocking(move || system.residency()).await;
    // A kernel without NUMA, a sandbox: nothing is known.
    let told = told.ok().and_then(Result::ok).map(|nodes| {
        nodes
            .into_iter()
            .map(|(node, found)| Residency {
                numa_node: node.0,
                pages: found
                    .pages
                    .iter()
                    .map(|(on, pages)| PagesOn {
                        on: on.0,
                        pages: *pages,
                    })
                    .collect(),
                misplaced: found.misplaced(),
                untouched: found.untouched,
                huge_bytes: found.huge_bytes,
            })
            .collect::<Vec<_>>()
    });
    *kept = Some((Instant::now(), told.clone()));
    told
}

/// As `/sys` writes lists: `0-3,8`. Ascending numbers.
fn cpu_list(cpus: impl Iterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let range = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

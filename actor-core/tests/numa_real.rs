//! The NUMA claims, checked with the kernel: workers run on the CPUs they were given, actors on the
//! workers of their NUMA node, and their memory lies there.
//!
//! The checks hold on any machine and say little on one with a single NUMA node. `tools/numa-test` runs
//! this file in an emulated machine with several.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex};
use std::{fs, thread};

use actor_core::prelude::*;
use actor_core::topology::{Source, affinity};
use actor_core::{CpuId, CrossNumaStealing, NumaNodeId};
use common::*;

/// 1 KiB, so that states alone fill some chunks.
struct Resident([u64; 128]);
impl Actor for Resident {}

struct WhereAreYou;
impl Message for WhereAreYou {
    type Reply = Place;
}

#[derive(Debug)]
struct Place {
    /// The CPU that this thread ran on a moment ago.
    cpu: u32,
    /// Those it may run on.
    allowed: BTreeSet<u32>,
    home: NumaNodeId,
}

impl SyncHandler<WhereAreYou> for Resident {
    fn handle(&mut self, WhereAreYou: WhereAreYou, cx: &mut ActorContext<Self>) -> Place {
        Place {
            cpu: last_cpu(),
            allowed: allowed_cpus(),
            home: cx.numa_node(),
        }
    }
}

/// A message of a size that fills pages, handled after a wait: node and frame are both in use.
struct Carry([u64; 32]);
impl Message for Carry {
    type Reply = u64;
}
impl Handler<Carry> for Resident {
    async fn handle(&mut self, Carry(load): Carry, _cx: &mut ActorContext<Self>) -> u64 {
        tokio::task::yield_now().await;
        self.0[0] += load[31];
        self.0[0]
    }
}

#[test]
fn workers_run_where_they_are_pinned() {
    // With help from other NUMA nodes an actor may be a guest there for a turn; and on a busy machine a
    // worker may lose its CPU for so long that a spare stands in, which may use all CPUs of its NUMA node.
    let system = ActorSystem::builder()
        .cross_numa_stealing(CrossNumaStealing::Never)
        .spares(0)
        .build()
        .unwrap();
    if !system.pin_failures().is_empty() {
        eprintln!(
            "not checked: pins were refused: {:?}",
            system.pin_failures()
        );
        finish(system);
        return;
    }
    for node in system.numa_nodes() {
        let seats: BTreeSet<CpuId> = system
            .seats()
            .iter()
            .filter(|seat| seat.numa_node == node)
            .filter_map(|seat| seat.cpu)
            .collect();
        for _ in 0..200 {
            let actor = system
                .actor(Resident([0; 128]))
                .placement(Placement::Node(node))
                .spawn()
                .unwrap();
            let place = actor.ask_blocking(WhereAreYou).unwrap();
            assert_eq!(place.home, node);
            assert!(
                seats.is_empty() || seats.contains(&CpuId(place.cpu)),
                "an actor of {node} ran on CPU {}, its workers are on {seats:?}",
                place.cpu
            );
            assert!(
                seats.is_empty() || place.allowed == BTreeSet::from([place.cpu]),
                "a worker of {node} is not pinned to one CPU: {place:?}"
            );
            actor.stop();
        }
    }
    finish(system);
}

/// Holds its worker until all workers are held, so that each of them is seen.
struct Holder;
impl Actor for Holder {}

/// How many have come, of how many.
#[derive(Clone)]
struct RollCall(Arc<(Mutex<usize>, Condvar)>, usize);

impl RollCall {
    fn all_are_here(&self) {
        let (count, changed) = &*self.0;
        let mut here = count.lock().unwrap();
        *here += 1;
        changed.notify_all();
        while *here < self.1 {
            let (next, waited) = changed.wait_timeout(here, PATIENCE).unwrap();
            here = next;
            assert!(!waited.timed_out(), "{here} of {} workers came", self.1);
        }
    }
}

impl Message for RollCall {
    type Reply = Attendance;
}

#[derive(Debug)]
struct Attendance {
    thread: String,
    home: NumaNodeId,
    /// By sched_getaffinity.
    allowed: Vec<CpuId>,
    /// By getcpu.
    runs_on: Option<(CpuId, NumaNodeId)>,
}

impl SyncHandler<RollCall> for Holder {
    fn handle(&mut self, roll_call: RollCall, cx: &mut ActorContext<Self>) -> Attendance {
        let attendance = Attendance {
            thread: thread::current().name().unwrap_or("?").to_owned(),
            home: cx.numa_node(),
            allowed: affinity::current_thread_cpus().unwrap(),
            runs_on: affinity::current_cpu(),
        };
        roll_call.all_are_here();
        attendance
    }
}

/// Each worker of each NUMA node, one by one: its mask is its CPU, it runs there, and the kernel says that
/// this is on the NUMA node that it belongs to.
#[test]
fn every_single_worker_is_where_its_seat_says() {
    let system = ActorSystem::builder()
        .cross_numa_stealing(CrossNumaStealing::Never)
        // All are stuck at the same time, and spares would answer in their place.
        .spares(0)
        .build()
        .unwrap();
    if !system.pin_failures().is_empty() {
        let refused = system.pin_failures();
        eprintln!("not checked: pins were refused: {refused:?}");
        finish(system);
        return;
    }
    let is_real = system.topology().source() == Source::Sysfs;
    let mut seen = BTreeMap::new();
    for node in system.numa_nodes() {
        let workers = system.seats().iter().filter(|seat| seat.numa_node == node);
        let roll_call = RollCall(Arc::default(), workers.count());
        let answers: Vec<_> = (0..roll_call.1)
            .map(|_| {
                let spawn = system.actor(Holder).placement(Placement::Node(node));
                let ask = spawn.spawn().unwrap().ask(roll_call.clone());
                let _entered = system.tokio().enter();
                tokio::spawn(ask.within(2 * PATIENCE).into_future())
            })
            .collect();
        for answer in answers {
            let answer = system.block_on(answer).unwrap().unwrap();
            assert_eq!(answer.home, node);
            let worker = answer.thread.rsplit_once('-').unwrap().1;
            let worker: u16 = worker.parse().unwrap();
            let twice = seen.insert(worker, answer);
            assert!(twice.is_none(), "worker {worker} came twice: {twice:?}");
        }
    }
    for seat in system.seats() {
        let found = &seen[&seat.worker.0];
        let Some(cpu) = seat.cpu else { continue };
        assert_eq!(found.home, seat.numa_node, "{seat:?}: {found:?}");
        assert_eq!(found.allowed, [cpu], "{seat:?}: {found:?}");
        let (runs_on, near) = found.runs_on.expect("Linux tells");
        assert_eq!(runs_on, cpu, "{seat:?}: {found:?}");
        if is_real {
            assert_eq!(near, seat.numa_node, "{seat:?}: {found:?}");
        }
    }
    let (workers, nodes) = (system.seats().len(), system.numa_nodes().len());
    assert_eq!(seen.len(), workers);
    println!(
        "figure: workers at home: 100.0 % of {workers}, on {nodes} NUMA nodes (sched_getaffinity, getcpu)"
    );
    finish(system);
}

#[test]
fn moved_actors_run_at_their_new_home() {
    let system = ActorSystem::builder()
        .cross_numa_stealing(CrossNumaStealing::Never)
        .build()
        .unwrap();
    let nodes = system.numa_nodes();
    let (from, to) = (nodes[0], nodes[nodes.len() - 1]);
    let seats: BTreeSet<CpuId> = system
        .seats()
        .iter()
        .filter(|seat| seat.numa_node == to)
        .filter_map(|seat| seat.cpu)
        .collect();
    for _ in 0..200 {
        let spawn = system.actor(Resident([0; 128]));
        let actor = spawn.placement(Placement::Node(from)).spawn().unwrap();
        actor.ask_blocking(WhereAreYou).unwrap();
        actor.move_to(to).unwrap();
        let place = actor.ask_blocking(WhereAreYou).unwrap();
        assert_eq!(place.home, to);
        assert!(
            seats.is_empty() || seats.contains(&CpuId(place.cpu)),
            "moved to {to}, ran on CPU {}, the workers there are on {seats:?}",
            place.cpu
        );
    }
    finish(system);
}

#[test]
fn cells_states_messages_and_frames_lie_at_home() {
    const ACTORS: u64 = 3000;
    let system = system();
    let mut actors = Vec::new();
    for node in system.numa_nodes() {
        for _ in 0..ACTORS {
            let factory = || Resident([1; 128]);
            let actor = system.actor(factory).placement(Placement::Node(node));
            actors.push(actor.spawn().unwrap());
        }
    }
    system.block_on(async {
        for round in 0..3u64 {
            let calls: Vec<_> = actors
                .iter()
                .map(|actor| tokio::spawn(actor.ask(Carry([1; 32])).into_future()))
                .collect();
            for call in calls {
                assert_eq!(call.await.unwrap().unwrap(), round + 2);
            }
        }
    });
    match system.residency() {
        Ok(found) => {
            let (mut pages, mut at_home) = (0, 0);
            for (node, found) in found {
                // States alone are 1 KiB each.
                let least = ACTORS * 1024 / 4096;
                assert!(found.resident() >= least, "{node}: {found:?}");
                let refused = system
                    .stats()
                    .numa_nodes
                    .iter()
                    .any(|numa| numa.numa_node == node && numa.memory.unbound_chunks > 0);
                if refused {
                    eprintln!(
                        "{node}: mbind was refused, so pages lie where they were touched first"
                    );
                    continue;
                }
                assert!(
                    found.misplaced() * 100 <= found.resident(),
                    "less than 99 % at home, {node}: {found:?}"
                );
                if found.wanted.is_some() {
                    pages += found.resident();
                    at_home += found.resident() - found.misplaced();
                }
            }
            if pages > 0 {
                let share = at_home as f64 * 100.0 / pages as f64;
                println!("figure: pages at home: {share:.1} % of {pages} (move_pages)");
            }
        }
        Err(error) => eprintln!("not checked: the kernel does not tell where pages lie: {error}"),
    }
    finish(system);
}

/// Field 39 of `stat`; the name in field 2 may hold blanks, so counted from its closing bracket.
fn last_cpu() -> u32 {
    let stat = fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, after) = stat.rsplit_once(')').unwrap();
    after.split_whitespace().nth(36).unwrap().parse().unwrap()
}

fn allowed_cpus() -> BTreeSet<u32> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .unwrap();
    let mut cpus = BTreeSet::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(first.parse::<u32>().unwrap()..=last.parse().unwrap());
    }
    cpus
}

//! Large messages and states, boxes and timers lie on the NUMA node of their actor, and the threads that
//! ring timers run there: checked with the kernel, as `numa_real` does for the rest.
//!
//! The checks hold on any machine and say little on one with a single NUMA node. `tools/numa-test` runs
//! this file in an emulated machine with several.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{NumaBox, SystemRef};
use common::*;

/// Asks the kernel: at least so many pages of each arena exist, and 99 % of them lie at home.
#[track_caller]
fn assert_at_home(system: &SystemRef, least: u64) {
    let found = match system.residency() {
        Ok(found) => found,
        Err(error) => {
            eprintln!("not checked: the kernel does not tell where pages lie: {error}");
            return;
        }
    };
    for (node, found) in found {
        assert!(found.resident() >= least, "{node}: {found:?}");
        let refused = system
            .stats()
            .numa_nodes
            .iter()
            .any(|numa| numa.numa_node == node && numa.memory.unbound_chunks > 0);
        if refused {
            eprintln!("{node}: mbind was refused, so pages lie where they were touched first");
            continue;
        }
        assert!(
            found.misplaced() * 100 <= found.resident(),
            "less than 99 % at home, {node}: {found:?}"
        );
        println!("{node}: {found:?}");
    }
}

#[derive(Actor)]
struct Keeper {
    boxes: Vec<NumaBox<[u8]>>,
}

#[messages]
impl Keeper {
    /// Boxes of every size class and above.
    #[message]
    fn fill(&mut self, cx: &mut ActorContext<Self>) {
        for len in [100, 3000, 5000, 20_000, 70_000, 400_000, 2_000_000] {
            for _ in 0..3 {
                let boxed = cx.alloc_local_slice(len, |index| index as u8);
                self.boxes.push(boxed.expect("memory"));
            }
        }
    }

    #[message]
    fn arm(&mut self, timers: u32, cx: &mut ActorContext<Self>) {
        for n in 0..timers {
            cx.send_after(Duration::from_secs(3600 + u64::from(n)), Never);
        }
    }

    #[message]
    fn never(&mut self) {}
}

#[test]
fn boxes_and_large_messages_and_states_lie_at_home() {
    struct Wide([u8; 30_000]);
    impl Actor for Wide {}
    struct Load(Box<[u8; 9000]>, [u8; 9000]);
    impl Message for Load {
        type Reply = u8;
    }
    impl Handler<Load> for Wide {
        async fn handle(&mut self, Load(far, near): Load, _cx: &mut ActorContext<Self>) -> u8 {
            // The frame is as large as the message.
            tokio::task::yield_now().await;
            self.0[0] = far[8999] + near[8999];
            self.0[0]
        }
    }
    let system = system();
    let nodes = system.numa_nodes();
    for node in &nodes {
        let spawn = system.actor(|| Keeper { boxes: Vec::new() });
        let keeper = spawn.placement(Placement::Node(*node)).spawn().unwrap();
        keeper.fill().blocking().unwrap();
        let wide = system.actor(|| Wide([0; 30_000]));
        let wide = wide.placement(Placement::Node(*node)).spawn().unwrap();
        for _ in 0..100 {
            let load = Load(Box::new([1; 9000]), [2; 9000]);
            assert_eq!(wide.ask_blocking(load).unwrap(), 3);
        }
        wide.move_to(nodes[0]).unwrap();
        let load = Load(Box::new([3; 9000]), [4; 9000]);
        assert_eq!(wide.ask_blocking(load).unwrap(), 7);
    }
    // The boxes: 7.5 MB.
    assert_at_home(&system, 7_000_000 / 4096);
    finish(system);
}

#[test]
fn timers_wait_and_ring_at_home() {
    const TIMERS: u32 = 5000;
    let system = system();
    let nodes = system.numa_nodes();
    for node in &nodes {
        let spawn = system.actor(|| Keeper { boxes: Vec::new() });
        let keeper = spawn.placement(Placement::Node(*node)).spawn().unwrap();
        keeper.arm(TIMERS).blocking().unwrap();
    }
    for numa in system.stats().numa_nodes {
        let waiting = numa.timers.waiting;
        assert!(waiting >= TIMERS as usize, "{}: {waiting}", numa.numa_node);
    }
    // Entries of 48 bytes, and the nodes they ring with.
    assert_at_home(&system, u64::from(TIMERS) * (48 + 64) / 4096);
    // A thread moves to its NUMA node when it begins, which may be a while after the system has.
    let began = Instant::now();
    while let Err(stray) = timer_threads_are_at_home(&system) {
        assert!(began.elapsed() < PATIENCE, "{stray}");
        std::thread::sleep(Duration::from_millis(1));
    }
    finish(system);
}

/// Whether each NUMA node's timers are rung by a thread that may run there and nowhere else.
fn timer_threads_are_at_home(system: &SystemRef) -> Result<(), String> {
    let (nodes, threads) = (system.numa_nodes(), timer_threads());
    if nodes.len() == 1 {
        return Ok(());
    }
    for node in nodes {
        let cpus = system.topology().real_cpus_of(node);
        let cpus: BTreeSet<u32> = cpus.iter().map(|cpu| cpu.0).collect();
        let name = format!("actor-timer-{}", node.0);
        let ours: Vec<_> = threads.iter().filter(|(each, _)| *each == name).collect();
        if ours.is_empty() || ours.iter().any(|(_, allowed)| !allowed.is_subset(&cpus)) {
            return Err(format!("{node}, on {cpus:?}: {threads:?}"));
        }
    }
    Ok(())
}

/// The names of the threads that ring timers, and where they may run.
fn timer_threads() -> Vec<(String, BTreeSet<u32>)> {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    tasks
        .filter_map(|task| {
            // Threads of other tests may end meanwhile.
            let path = task.ok()?.path();
            let name = fs::read_to_string(path.join("comm")).ok()?;
            let status = fs::read_to_string(path.join("status")).ok()?;
            Some((name.trim().to_owned(), cpus_of(&status)))
        })
        .filter(|(name, _)| name.starts_with("actor-timer"))
        .collect()
}

fn cpus_of(status: &str) -> BTreeSet<u32> {
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

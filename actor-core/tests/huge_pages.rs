//! Huge pages: what can be had is used, what cannot is counted, and nothing fails. A binary of its own: the
//! setting is the process's.

mod common;

use std::time::{Duration, Instant};

use actor_core::HugePages;
use actor_core::prelude::*;
use common::*;

#[derive(Actor)]
struct Node {
    children: Vec<ActorRef<Self>>,
    load: [u64; 32],
}

#[messages]
impl Node {
    #[message]
    fn grow(&mut self, n: usize, cx: &mut ActorContext<Self>) {
        for _ in 0..n {
            let child = cx.spawn(|| Self {
                children: Vec::new(),
                load: [1; 32],
            });
            self.children.push(child.expect("spawned"));
        }
    }

    #[message]
    fn sum(&mut self) -> u64 {
        self.load.iter().sum()
    }
}

/// The names of this process's threads; none where they cannot be told.
fn threads() -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

#[test]
fn huge_pages_are_a_wish() {
    for pages in [
        HugePages::Transparent,
        HugePages::Explicit,
        HugePages::Never,
    ] {
        let system = ActorSystem::builder().huge_pages(pages).build().unwrap();
        let parent = system
            .spawn(|| Node {
                children: Vec::new(),
                load: [1; 32],
            })
            .unwrap();
        // States of 280 bytes: more chunks than were there before.
        parent.grow(20_000).blocking().unwrap();
        assert_eq!(parent.sum().blocking().unwrap(), 32);
        let refusals: u64 = system
            .stats()
            .numa_nodes
            .iter()
            .map(|numa| numa.memory.huge_refusals)
            .sum();
        let found = system.residency();
        println!("{pages:?}: {refusals} refusals, {found:?}");
        if let (HugePages::Explicit, Ok(found)) = (pages, found) {
            let huge: Option<u64> = found.iter().map(|(_, found)| found.huge_bytes).sum();
            // There is a pool of them, or there is none.
            assert!(huge.is_none_or(|huge| huge > 0 || refusals > 0));
        }
        finish(system);
        // It has ended; the kernel may take a moment to strike it off its list.
        let began = Instant::now();
        while threads().contains(&"actor-memory".to_owned()) {
            assert!(began.elapsed() < PATIENCE, "{:?}", threads());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

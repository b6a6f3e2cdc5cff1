//! What do huge pages bring, and what do they cost, with actors by the million?
//!
//! ```text
//! cargo bench -p benches --bench huge_pages                  1 million actors
//! cargo bench -p benches --bench huge_pages -- 5000000
//! ```
//!
//! The memory of actors belongs to the process, so each setting is measured in a process of its own, twice,
//! in turn. `spawn`: actors with a state of 8 bytes, from an actor, until it has them all. `look`: one read
//! of each cell, in random order. `tell`: a message to each in random order, until all are handled.

use std::env;
use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use actor_core::HugePages;
use actor_core::prelude::*;

const MODES: [(&str, HugePages); 3] = [
    ("never", HugePages::Never),
    ("transparent", HugePages::Transparent),
    ("explicit", HugePages::Explicit),
];

/// Names the setting to a process that measures one.
const MODE: &str = "ACTOR_BENCH_HUGE_PAGES";

#[derive(Actor)]
struct Idle {
    sum: u64,
}

#[messages]
impl Idle {
    #[message]
    fn add(&mut self, n: u64) {
        self.sum += n;
    }
}

#[derive(Actor)]
struct Parent {
    children: Vec<ActorRef<Idle>>,
}

#[messages]
impl Parent {
    #[message]
    fn spawn(&mut self, n: usize, cx: &mut ActorContext<Self>) -> Duration {
        self.children.reserve(n);
        let began = Instant::now();
        for _ in 0..n {
            let child = cx.spawn(Idle { sum: 0 }).expect("spawned");
            self.children.push(child);
        }
        began.elapsed()
    }

    #[message]
    fn look(&mut self) -> Duration {
        shuffle(&mut self.children);
        let began = Instant::now();
        let alive = self
            .children
            .iter()
            .filter(|child| child.is_alive())
            .count();
        let time = began.elapsed();
        assert_eq!(black_box(alive), self.children.len());
        time
    }

    /// Part of a round: handlers must end for their messages to be handled.
    #[message]
    fn round(&mut self, from: usize, to: usize) {
        for child in &self.children[from..to] {
            child.tell(Add { n: 1 }).expect("accepted");
        }
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    // Without `--bench` it is run by `cargo test`: whether it works is all that is asked.
    let default = if arguments.iter().any(|word| word == "--bench") {
        1_000_000
    } else {
        10_000
    };
    let asked = arguments.iter().find_map(|word| word.parse().ok());
    let actors = asked.unwrap_or(default);
    match env::var(MODE) {
        Ok(mode) => measure(&mode, actors),
        Err(_) => each_in_turn(actors),
    }
}

fn each_in_turn(actors: usize) {
    println!("{actors} actors, ns each");
    println!("huge pages    spawn   look   tell   on huge pages   resident");
    let this = env::current_exe().expect("a program knows itself");
    for _ in 0..2 {
        for (mode, _) in MODES {
            let status = Command::new(&this)
                .arg(actors.to_string())
                .env(MODE, mode)
                .status()
                .expect("this program runs");
            assert!(status.success(), "{mode}: {status}");
        }
    }
}

fn measure(mode: &str, actors: usize) {
    let (_, pages) = MODES
        .into_iter()
        .find(|(name, _)| *name == mode)
        .expect("a setting of this bench");
    let system = ActorSystem::builder()
        .huge_pages(pages)
        .build()
        .expect("the machine can run a system");
    let parent = system
        .spawn(Parent {
            children: Vec::new(),
        })
        .expect("spawned");
    let spawn = parent.spawn(actors).blocking().expect("answered");
    let look = parent.look().blocking().expect("answered");
    let began = Instant::now();
    // So many wait at a time that messages stay in the cache and only the actors do not.
    const PART: usize = 1000;
    for from in (0..actors).step_by(PART) {
        parent
            .round(from, (from + PART).min(actors))
            .blocking()
            .expect("answered");
    }
    while system.stats().messages.handled < system.stats().messages.accepted {
        std::thread::yield_now();
    }
    let tell = began.elapsed();
    let huge: u64 = system.residency().map_or(0, |found| {
        found.iter().filter_map(|(_, found)| found.huge_bytes).sum()
    });
    let each = |time: Duration| time.as_nanos() as f64 / actors as f64;
    println!(
        "{mode:<12} {:6.1} {:6.1} {:6.1} {:11} MiB {:6} MiB",
        each(spawn),
        each(look),
        each(tell),
        huge >> 20,
        resident() >> 20
    );
    let report = system.shutdown_blocking(Duration::from_secs(120));
    assert!(report.conservation.holds_at_rest(), "{report}");
}

/// Bytes of memory that the process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// The same order every time.
fn shuffle<T>(all: &mut [T]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for last in (1..all.len()).rev() {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        all.swap(last, (state % (last as u64 + 1)) as usize);
    }
}

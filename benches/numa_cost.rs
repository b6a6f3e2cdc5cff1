//! How many instructions does NUMA support cost on a machine with one NUMA node? Each workload does what a bench of
//! the core does so many times, on one worker, and ends. `tools/numa-cost` lets valgrind count: time is not
//! measured.
//!
//! On one worker nobody steals and nobody is woken, so the same happens in every run, but for what the clock
//! decides. `across` is the way between threads: one sends while the worker is kept busy, then the worker handles
//! it all, so that every block is taken on one thread and freed on another.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::topology::Workers;

mod common;
use common::{Add, AskOften, Counter, Driver, Flood, SpawnMany};

/// Does something so many times.
type Work = fn(&ActorSystem, u64);

/// The benches' names, as far as there is one, and what they do.
const WORKLOADS: [(&str, Work); 9] = [
    ("ping_pong_1", |system, n| play(system, 1, n)),
    ("ping_pong_64", |system, n| play(system, 64, n)),
    ("tell_unbounded", |system, n| {
        flood(system, 1, Mailbox::unbounded(), n);
    }),
    ("tell_bounded", |system, n| {
        flood(system, 1, Mailbox::bounded(1024), n);
    }),
    ("across", across),
    ("ask", ask_often),
    ("spawn", spawn_many),
    ("fan_in", |system, n| {
        flood(system, 8, Mailbox::unbounded(), n);
    }),
    ("timer", set_timers),
];

fn play(system: &ActorSystem, pairs: u64, n: u64) {
    common::play(system, pairs as usize, n / pairs);
}

fn flood(system: &ActorSystem, senders: u64, mailbox: Mailbox, n: u64) {
    let counter = counter(system, mailbox);
    let senders: Vec<_> = (0..senders)
        .map(|_| system.spawn(Driver).expect("spawned"))
        .collect();
    let n = n / senders.len() as u64;
    for sender in &senders {
        sender.tell(Flood { to: counter, n }).expect("room");
    }
    for sender in &senders {
        // Answered after the flood.
        let nothing = Flood { to: counter, n: 0 };
        sender.ask_blocking(nothing).expect("answered");
    }
    counter.ask_blocking(Add { n: 0 }).expect("answered");
}

fn counter(system: &ActorSystem, mailbox: Mailbox) -> ActorRef<Counter> {
    let spawn = system.actor(Counter { sum: 0 });
    spawn.mailbox(mailbox).spawn().expect("spawned")
}

fn ask_often(system: &ActorSystem, n: u64) {
    let driver = system.spawn(Driver).expect("spawned");
    let whom = counter(system, Mailbox::default());
    driver.ask_blocking(AskOften { whom, n }).expect("answered");
}

fn spawn_many(system: &ActorSystem, n: u64) {
    let parent = system.spawn(Driver).expect("spawned");
    parent.ask_blocking(SpawnMany { n }).expect("answered");
}

/// Keeps its worker busy until it is told to go on.
#[derive(Actor)]
struct Keeper;

#[messages]
impl Keeper {
    #[message]
    fn keep(&mut self, kept: mpsc::Sender<()>, go_on: mpsc::Receiver<()>) {
        kept.send(()).expect("the bench waits");
        go_on.recv().expect("the bench goes on");
    }
}

fn across(system: &ActorSystem, n: u64) {
    let keeper = system.spawn(Keeper).expect("spawned");
    let counter = counter(system, Mailbox::unbounded());
    let (keep, kept) = mpsc::channel();
    let (go_on, going) = mpsc::channel();
    let keep = Keep {
        kept: keep,
        go_on: going,
    };
    keeper.tell(keep).expect("room");
    kept.recv().expect("the keeper runs");
    for i in 0..n {
        counter.tell(Add { n: i }).expect("room");
    }
    go_on.send(()).expect("the keeper waits");
    counter.ask_blocking(Add { n: 0 }).expect("answered");
}

/// Sets timers that never ring.
#[derive(Actor)]
struct Setter;

#[messages]
impl Setter {
    #[message]
    fn set(&mut self, n: u64, cx: &mut ActorContext<Self>) {
        for _ in 0..n {
            let timer = cx.send_after(Duration::from_secs(3600), Set { n: 0 });
            assert!(cx.cancel_timer(timer), "it has not rung");
        }
    }
}

fn set_timers(system: &ActorSystem, n: u64) {
    let setter = system.spawn(Setter).expect("spawned");
    setter.ask_blocking(Set { n }).expect("answered");
}

fn run(name: &str, n: u64) -> Result<(), String> {
    let Some((_, work)) = WORKLOADS.iter().find(|(known, _)| *known == name) else {
        return Err(format!(
            "no workload {name}; there are {}",
            WORKLOADS.map(|(name, _)| name).join(", ")
        ));
    };
    let system = ActorSystem::builder()
        .workers(Workers::Count(1))
        .build()
        .map_err(|error| error.to_string())?;
    let began = Instant::now();
    work(&system, n);
    let time = began.elapsed();
    common::close(system);
    println!("{:.2} ns each", time.as_nanos() as f64 / n as f64);
    Ok(())
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let outcome = match (arguments.next().as_deref(), arguments.next()) {
        (Some("--list"), _) => {
            WORKLOADS.iter().for_each(|(name, _)| println!("{name}"));
            Ok(())
        }
        (Some(workload), Some(n)) => match n.parse() {
            Ok(n) => run(workload, n),
            Err(error) => Err(format!("`{n}` is no number of times: {error}")),
        },
        _ => WORKLOADS.iter().try_for_each(|(name, _)| run(name, 1000)),
    };
    if let Err(why) = outcome {
        eprintln!("numa_cost: {why}");
        std::process::exit(2);
    }
}

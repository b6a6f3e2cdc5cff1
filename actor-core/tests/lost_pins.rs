//! A worker whose CPU is taken from it works on, says so, and is pinned again when it may be.
//!
//! What the kernel does when a CPU goes offline is that it widens the thread's mask. The mask is changed here
//! from inside of a handler, on the worker's own thread.

#![cfg(any(target_os = "linux", target_os = "android"))]

mod common;

use actor_core::prelude::*;
use actor_core::topology::{Workers, affinity};
use actor_core::{CpuId, WorkerId};
use common::{finish, wait_until};

struct Hand;
impl Actor for Hand {}

/// Gives the worker's thread another mask, if there is one, and says which it has then.
struct Mask(Option<Vec<CpuId>>);
impl Message for Mask {
    type Reply = Vec<CpuId>;
}
impl SyncHandler<Mask> for Hand {
    fn handle(&mut self, Mask(cpus): Mask, _cx: &mut ActorContext<Self>) -> Vec<CpuId> {
        if let Some(cpus) = cpus {
            affinity::widen_current_thread(&cpus).unwrap();
        }
        affinity::current_thread_cpus().unwrap()
    }
}

#[test]
fn a_worker_that_loses_its_cpu_is_reported_and_pinned_again() {
    let all = affinity::process_cpus().unwrap();
    if all.len() < 2 {
        println!("skipped: there is one CPU, so nowhere else to go");
        return;
    }
    // One worker and no spare, so all turns are on one thread.
    let system = ActorSystem::builder()
        .workers(Workers::Count(1))
        .spares(0)
        .build()
        .unwrap();
    let (true, Some(cpu)) = (system.pin_failures().is_empty(), system.seats()[0].cpu) else {
        println!("skipped: threads cannot be pinned here");
        finish(system);
        return;
    };
    let hand = system.spawn(Hand).unwrap();
    // Every ask keeps the watchdog awake.
    let mask = |cpus| hand.ask_blocking(Mask(cpus)).unwrap();
    assert_eq!(mask(None), [cpu]);
    assert_eq!(system.lost_pins(), []);

    let others: Vec<CpuId> = all.iter().copied().filter(|other| *other != cpu).collect();
    assert_eq!(mask(Some(others.clone())), others);
    wait_until("the loss is reported", || {
        mask(None);
        !system.lost_pins().is_empty()
    });
    let lost = &system.lost_pins()[0];
    assert_eq!((lost.worker, lost.cpu), (WorkerId(0), cpu));
    assert_eq!(lost.runs_on, others);
    // Whoever moved the thread off its CPU may have had a reason.
    assert_eq!(mask(None), others);

    mask(Some(all.to_vec()));
    wait_until("it is pinned again", || {
        mask(None) == [cpu] && system.lost_pins().is_empty()
    });
    finish(system);
}

/// The real thing: `tools/numa-vm --nodes 2 --cpus 4 -- <this binary> --ignored --nocapture`.
#[test]
#[ignore = "takes a CPU offline: as root, in a machine of its own"]
fn a_cpu_that_is_taken_offline_is_missed_until_it_is_back() {
    let system = common::system();
    assert_eq!(system.pin_failures(), []);
    let seat = system.seats().last().unwrap();
    let cpu = seat.cpu.unwrap();
    let switch = |on: &str| {
        let path = format!("/sys/devices/system/cpu/{cpu}/online");
        std::fs::write(&path, on).unwrap_or_else(|error| panic!("{path}: {error}"));
    };
    let hands: Vec<_> = system
        .numa_nodes()
        .into_iter()
        .map(|node| {
            let hand = system.actor(Hand).placement(Placement::Node(node));
            hand.spawn().unwrap()
        })
        .collect();
    // Everybody goes on working meanwhile.
    let all_answer = || {
        for hand in &hands {
            hand.ask_blocking(Mask(None)).unwrap();
        }
    };
    switch("0");
    wait_until("it is missed", || {
        all_answer();
        !system.lost_pins().is_empty()
    });
    let lost = system.lost_pins();
    println!("{}", lost[0]);
    assert!(lost.iter().all(|lost| lost.cpu == cpu), "{lost:?}");
    switch("1");
    wait_until("it is back", || {
        all_answer();
        system.lost_pins().is_empty()
    });
    println!("pinned again");
    finish(system);
}

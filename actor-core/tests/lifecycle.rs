//! From spawn to the last dead letter: stop modes at every point of a life, crowds, and identities.

mod common;
#[path = "common/life.rs"]
mod life;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{SpawnError, StopMode};
use common::*;
use life::*;

const MODES: [StopMode; 3] = [StopMode::Drain, StopMode::Now, StopMode::Kill];

/// An actor whose handler holds the worker until the gate opens, with `n` notes behind it.
fn held(system: &SystemRef, log: &Log, n: u64) -> (ActorRef<Node>, Gate) {
    let a = Spec::new("A", log).spawn(system);
    let gate = Gate::new();
    let (inside, began) = (gate.clone(), Gate::new());
    let begun = began.clone();
    a.tell(with(move |_, _| {
        begun.open();
        inside.pass();
    }))
    .unwrap();
    began.pass();
    for n in 0..n {
        a.tell(Note(n)).unwrap();
    }
    (a, gate)
}

#[test]
fn m06_stop_modes_settle_what_waits() {
    quiet();
    let (system, log) = (system(), Log::new());
    for mode in MODES {
        let before = settle(&system);
        let (a, gate) = held(&system, &log, 10);
        a.stop_with(mode);
        gate.open();
        a.gone();
        let after = settle(&system);
        let (handled, dead) = (
            after.handled - before.handled,
            after.dead_letters.total() - before.dead_letters.total(),
        );
        let expected = if mode == StopMode::Drain {
            (11, 0)
        } else {
            (1, 10)
        };
        assert_eq!((handled, dead), expected, "{mode:?}");
        assert_eq!(after.dropped.total(), 0, "a plain handler is not cut off");
    }
    finish(system);
}

#[test]
fn m06_drained_messages_are_dropped_once() {
    quiet();
    let (system, log, tally) = (system(), Log::new(), Tally::new());
    let (a, gate) = held(&system, &log, 0);
    for _ in 0..1000 {
        let token = tally.token();
        a.tell(with(move |_, _| drop(token))).unwrap();
    }
    a.stop();
    gate.open();
    tally.all_dropped();
    let books = finish(system);
    assert_eq!(books.dead_letters.total(), 1000);
    assert_eq!((tally.made(), tally.dropped()), (1000, 1000));
}

#[test]
fn a_kill_cuts_a_suspended_handler_off() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = Spec::new("A", &log).spawn(&system);
    let asking = std::thread::spawn(move || a.ask_blocking(Sleep(None)));
    log.wait("A sleeps");
    for n in 0..5 {
        a.tell(Note(n)).unwrap();
    }
    a.kill();
    let answer = asking.join().unwrap();
    assert!(
        matches!(answer, Err(AskError::Dead { message: None, .. })),
        "{answer:?}"
    );
    a.gone();
    assert!(
        log.at("A sleep over") < log.at("A dropped 1"),
        "the future goes before the state it borrows"
    );
    let books = finish(system);
    assert_eq!(
        (books.dropped.interrupted, books.dead_letters.total()),
        (1, 5)
    );
}

#[test]
fn a_stop_waits_for_a_suspended_handler() {
    quiet();
    for mode in [StopMode::Drain, StopMode::Now] {
        let (system, log) = (system(), Log::new());
        let a = Spec::new("A", &log).spawn(&system);
        a.tell(Sleep(Some(Duration::from_millis(50)))).unwrap();
        a.tell(Note(1)).unwrap();
        log.wait("A sleeps");
        a.stop_with(mode);
        a.stop_with(mode);
        a.gone();
        assert!(log.at("A sleep over") < log.at("A stopping: stopped"));
        let books = finish(system);
        let drained = u64::from(mode == StopMode::Drain);
        assert_eq!(
            (books.handled, books.dead_letters.total()),
            (1 + drained, 1 - drained)
        );
        assert_eq!(log.count("A stopped"), 1, "stopped once");
    }
}

#[test]
fn stops_of_all_kinds_during_started() {
    quiet();
    for mode in MODES {
        for hang in [true, false] {
            if hang && mode != StopMode::Kill {
                continue;
            }
            let (system, log) = (system(), Log::new());
            let mut spec = Spec::new("A", &log);
            spec.on_start = if hang { Hook::Hang } else { Hook::Nothing };
            let a = spec.spawn(&system);
            a.tell(Note(1)).unwrap();
            if hang {
                log.wait("A started 1");
            }
            a.stop_with(mode);
            a.gone();
            assert_eq!(log.count("A dropped 1"), log.count("A started 1"));
            if hang {
                assert_eq!(log.starting("A stopping"), 0, "it never was started");
            }
            finish(system);
        }
    }
}

#[test]
fn a_kill_does_not_wait_for_hooks() {
    quiet();
    for hook in [Hook::Hang, Hook::PanicLater] {
        let (system, log) = (system(), Log::new());
        let mut spec = Spec::new("A", &log);
        spec.on_stop = hook;
        // In the stopped hook already.
        let a = spec.spawn(&system);
        a.life();
        a.stop();
        log.wait("A stopping: stopped");
        a.kill();
        a.gone();
        // In a handler, so that the hook comes after the kill.
        let b = spec.spawn(&system);
        b.tell(Sleep(None)).unwrap();
        log.wait("A sleeps");
        b.kill();
        b.gone();
        // In its terminated hook.
        spec.on_terminated = Hook::Hang;
        let c = spec.spawn(&system);
        c.watches(b, "B");
        log.wait("A heard of B: no such actor");
        c.kill();
        c.gone();
        finish(system);
        assert_eq!(log.starting("A dropped"), 3);
    }
}

#[test]
fn a_kill_reaches_the_whole_tree() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut leaf = Spec::new("leaf", &log);
    leaf.on_stop = Hook::Hang;
    let spec = Spec::new("top", &log).child(Spec::new("mid", &log).child(leaf));
    let top = spec.spawn(&system);
    spec.family.get("leaf").tell(Sleep(None)).unwrap();
    log.wait("leaf sleeps");
    top.kill();
    top.gone();
    assert!(!spec.family.get("leaf").is_alive() && !spec.family.get("mid").is_alive());
    finish(system);
}

#[test]
fn a_panic_while_draining_buries_the_rest() {
    quiet();
    let (system, log, tally) = (system(), Log::new(), Tally::new());
    for restart in [Restart::Permanent, Restart::Transient, Restart::Temporary] {
        let mut spec = Spec::new("A", &log);
        spec.restart = restart;
        let a = spec.spawn(&system);
        let gate = Gate::new();
        let inside = gate.clone();
        a.tell(with(move |_, _| inside.pass())).unwrap();
        a.tell(Crash).unwrap();
        for _ in 0..20 {
            let token = tally.token();
            a.tell(with(move |node, _| {
                node.numbers.push(1);
                drop(token);
            }))
            .unwrap();
        }
        a.stop_with(StopMode::Drain);
        gate.open();
        a.gone();
        assert_eq!(spec.lives(), 1);
    }
    let books = finish(system);
    assert_eq!(
        (books.dead_letters.total(), books.dropped.panicked),
        (60, 3)
    );
    assert_eq!(tally.alive(), 0);
}

#[test]
fn a_panic_while_draining_with_children_buries_the_rest() {
    quiet();
    let (system, log) = (system(), Log::new());
    let mut child = Spec::new("child", &log);
    child.on_stop = Hook::Hang;
    let spec = Spec::new("A", &log).child(child);
    let a = spec.spawn(&system);
    assert_eq!(spec.family.get("child").life(), 1);
    a.stop_with(StopMode::Drain);
    log.wait("child stopping: shut down");
    // It still takes messages: its children may have something to say.
    a.ask_blocking(Note(1)).unwrap();
    a.crash();
    for n in 0..5 {
        // May be refused if the child is gone by now; it is not.
        a.tell(Note(n)).unwrap();
    }
    std::thread::sleep(Duration::from_millis(10));
    spec.family.get("child").kill();
    a.gone();
    let books = finish(system);
    assert_eq!(books.dead_letters.total(), 5);
}

#[test]
fn children_can_report_while_their_parent_drains() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = Spec::new("A", &log);
    let a = spec.spawn(&system);
    let child = Spec::new("child", &log);
    let inner = child.clone();
    let child = a
        .ask_blocking(with(move |_, cx| inner.spawn_in(cx).unwrap()))
        .unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let gate = Gate::new();
    let (inside, seen_inside) = (gate.clone(), seen.clone());
    child
        .tell(with(move |_, _| {
            inside.pass();
            for _ in 0..10 {
                let seen = seen_inside.clone();
                a.tell(with(move |_, _| _ = seen.fetch_add(1, Ordering::SeqCst)))
                    .unwrap();
            }
        }))
        .unwrap();
    a.stop_with(StopMode::Drain);
    gate.open();
    a.gone();
    assert_eq!(seen.load(Ordering::SeqCst), 10);
    finish(system);
}

#[test]
fn messages_to_itself_while_stopping_are_buried_or_drained() {
    quiet();
    let (system, log) = (system(), Log::new());
    for mode in [StopMode::Drain, StopMode::Now] {
        let before = settle(&system);
        let a = Spec::new("A", &log).spawn(&system);
        a.tell(with(move |_, cx| {
            cx.actor_ref().stop_with(mode);
            for n in 0..10 {
                cx.actor_ref().tell(Note(n)).unwrap();
            }
        }))
        .unwrap();
        a.gone();
        let after = settle(&system);
        let handled = after.handled - before.handled;
        assert_eq!(handled, if mode == StopMode::Drain { 11 } else { 1 });
    }
    finish(system);
}

#[test]
fn own_stop_and_fail_end_the_life_after_the_message() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = Spec::new("A", &log);
    let a = spec.spawn(&system);
    let answer = a.ask_blocking(with(|_, cx| {
        cx.fail("out of luck");
        7
    }));
    assert_eq!(answer.unwrap(), 7, "the message is handled to its end");
    assert_eq!(a.life(), 2);
    assert_eq!(
        log.count("A stopping: failed: out of luck"),
        1,
        "its stopped hook runs"
    );
    let spawned = a.ask_blocking(with(|_, cx| {
        cx.stop();
        cx.spawn(Dot)
    }));
    assert_eq!(spawned.unwrap(), Err(SpawnError::ParentStopping));
    a.gone();
    assert_eq!(log.count("A stopping: stopped"), 1);
    finish(system);
}

#[test]
fn owned_reference_stops_on_drop() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = Spec::new("A", &log).spawn(&system);
    let owned = a.into_owned();
    for n in 0..10 {
        owned.tell(Note(n)).unwrap();
    }
    drop(owned);
    a.gone();
    let b = Spec::new("B", &log).spawn(&system).into_owned().release();
    assert_eq!(b.life(), 1);
    assert_eq!(finish(system).handled, 11);
}

#[test]
fn a_stale_reference_never_reaches_the_next_tenant() {
    quiet();
    let system = system();
    let mut old = Vec::new();
    for n in 0..10_000_u64 {
        let dot = system
            .actor(Dot)
            .restart(Restart::Temporary)
            .spawn()
            .unwrap();
        assert_eq!(dot.ask_blocking(Echo(n)).unwrap(), n);
        dot.stop();
        if n % 7 == 0 {
            // Not waiting makes a crowd of half-dead cells beside the recycled ones.
            wait_until("it is gone", || !dot.is_alive());
        }
        old.push(dot);
    }
    wait_until("all are gone", || system.stats().actors.alive() == 0);
    let new: Vec<_> = (0..500).map(|_| system.spawn(Dot).unwrap()).collect();
    let before = settle(&system);
    for dot in &old {
        assert!(matches!(dot.tell(Echo(1)), Err(SendError::Dead { .. })));
        assert!(matches!(
            dot.ask_blocking(Echo(1)),
            Err(AskError::Dead { .. })
        ));
        dot.stop_with(StopMode::Kill);
        assert!(!new.contains(dot));
    }
    for dot in &new {
        assert_eq!(
            dot.ask_blocking(Echo(2)).unwrap(),
            2,
            "stops for the old did not meet the new"
        );
    }
    let after = settle(&system);
    assert_eq!(after.handled - before.handled, 500);
    // A cell may have a tenant of another test's system by now; then that one's books have it.
    assert!(after.refused.dead - before.refused.dead <= 20_000);
    finish(system);
}

/// Stops and sends race with the end of an actor and the birth of the next in its cell.
#[test]
fn stale_stops_and_sends_race_with_recycling() {
    quiet();
    let system = system();
    let handle = system.handle();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            std::thread::spawn(move || {
                let mut accepted = 0_u64;
                for n in 0..3000 {
                    let dot = handle
                        .actor(Dot)
                        .restart(Restart::Temporary)
                        .spawn()
                        .unwrap();
                    accepted += u64::from(dot.tell(Echo(n)).is_ok());
                    dot.stop();
                    accepted += u64::from(dot.tell(Echo(n)).is_ok());
                    dot.stop_with(StopMode::Kill);
                    accepted += u64::from(dot.ask_blocking(Echo(n)).is_ok());
                }
                accepted
            })
        })
        .collect();
    let accepted: u64 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    let books = settle(&system);
    assert!(books.accepted >= accepted);
    wait_until("all are gone", || system.stats().actors.alive() == 0);
    finish(system);
}

struct Crowd(Vec<ActorRef<Dot>>);

impl Actor for Crowd {}

struct Grow(usize);

impl Message for Grow {
    type Reply = usize;
}

impl SyncHandler<Grow> for Crowd {
    fn handle(&mut self, Grow(n): Grow, cx: &mut ActorContext<Self>) -> usize {
        self.0.extend((0..n).map(|_| cx.spawn(Dot).unwrap()));
        cx.children()
    }
}

#[test]
fn s22_a_hundred_thousand_children_in_linear_time() {
    quiet();
    let system = system();
    let per_child = |n: usize| {
        let crowd = system.spawn(Crowd(Vec::new())).unwrap();
        let began = Instant::now();
        assert_eq!(crowd.ask_blocking(Grow(n)).unwrap(), n);
        crowd.stop();
        wait_until("the crowd is gone", || system.stats().actors.alive() == 0);
        began.elapsed().as_nanos() as u64 / n as u64
    };
    per_child(1000);
    // A machine that is busy with other things may hold any of them up: one good measurement is enough.
    let mut measured = (0..5).map(|_| {
        let small = (0..3).map(|_| per_child(1000)).max().unwrap();
        let large = per_child(100_000);
        println!("{large} ns per child among 100k, {small} ns among 1k");
        large <= small * 10
    });
    assert!(measured.any(|linear| linear), "not linear");
    finish(system);
}

#[test]
fn s22_a_hundred_thousand_are_killed_at_once() {
    quiet();
    let system = system();
    let crowd = system.spawn(Crowd(Vec::new())).unwrap();
    assert_eq!(crowd.ask_blocking(Grow(100_000)).unwrap(), 100_000);
    crowd.stop_with(StopMode::Kill);
    wait_until("the crowd is gone", || system.stats().actors.alive() == 0);
    finish(system);
}

struct Link {
    below: usize,
    ends: Arc<AtomicUsize>,
}

impl Actor for Link {
    async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), actor_core::ActorError> {
        if self.below > 0 {
            cx.spawn(Self {
                below: self.below - 1,
                ends: self.ends.clone(),
            })?;
        }
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.ends.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn s22_a_chain_of_a_hundred_thousand_parents() {
    quiet();
    let system = system();
    const DEEP: usize = 100_000;
    for mode in MODES {
        let ends = Arc::new(AtomicUsize::new(0));
        let top = system
            .spawn(Link {
                below: DEEP - 1,
                ends: ends.clone(),
            })
            .unwrap();
        wait_until("the chain is up", || {
            system.stats().actors.alive() == DEEP as u64
        });
        top.stop_with(mode);
        wait_until("the chain is gone", || system.stats().actors.alive() == 0);
        assert_eq!(ends.load(Ordering::Relaxed), DEEP);
    }
    finish(system);
}

struct Spawner;

impl Actor for Spawner {}

struct Batch(usize);

impl Message for Batch {
    type Reply = ();
}

impl Handler<Batch> for Spawner {
    async fn handle(&mut self, Batch(n): Batch, cx: &mut ActorContext<Self>) {
        for n in 0..n {
            let dot = cx.actor(Dot).restart(Restart::Temporary).spawn().unwrap();
            assert_eq!(dot.ask(Echo(n as u64)).await.unwrap(), n as u64);
            dot.stop();
        }
    }
}

#[test]
fn s23_temporary_children_come_and_go_in_the_same_cells() {
    if !is_alone("s23_temporary_children_come_and_go_in_the_same_cells") {
        return;
    }
    quiet();
    let system = system();
    let spawner = system.spawn(Spawner).unwrap();
    let footprint = || {
        let memory = system.stats().numa_nodes;
        memory.iter().fold((0, 0), |(cells, slabs), node| {
            (cells + node.memory.cells, slabs + node.memory.slab_bytes)
        })
    };
    const BATCH: usize = 5_000;
    let batches = if cfg!(debug_assertions) { 10 } else { 200 };
    let batch = || {
        spawner.ask_blocking(Batch(BATCH)).unwrap();
        wait_until("they are gone", || system.stats().actors.alive() == 1);
    };
    batch();
    let before = footprint();
    for _ in 0..batches {
        batch();
    }
    let after = footprint();
    println!("{before:?} -> {after:?} after {batches} batches of {BATCH}");
    // How many are there at once differs from batch to batch, by one batch at most.
    assert!(
        after.0 <= before.0 + BATCH as u64 + 1024,
        "cells: {before:?} -> {after:?}"
    );
    assert!(
        after.1 <= before.1 + (16 << 20),
        "slabs: {before:?} -> {after:?}"
    );
    assert_eq!(
        system.stats().actors.spawned,
        (batches as u64 + 1) * BATCH as u64 + 1
    );
    finish(system);
}

/// A tree of actors that fail, stop and are killed at random points comes to rest without orphans.
#[test]
fn s25_random_tree_comes_to_rest() {
    quiet();
    let seed = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(25);
    println!("SEED={seed}");
    let mut shake = Shake::new(seed);
    let (system, log) = (system(), Log::new());
    fn tree(shake: &mut Shake, log: &Log, depth: u32, n: &mut u32) -> Spec {
        *n += 1;
        let mut spec = Spec::new(&format!("n{n}"), log);
        spec.restart =
            [Restart::Permanent, Restart::Transient, Restart::Temporary][shake.below(3) as usize];
        spec.supervision = Supervision::one_for_one().intensity(shake.below(4) as u32);
        let hooks = [
            Hook::Nothing,
            Hook::Nothing,
            Hook::Nothing,
            Hook::Panic,
            Hook::PanicLater,
        ];
        spec.on_stop = hooks[shake.below(5) as usize];
        spec.hooks_from = 2;
        spec.on_start = hooks[shake.below(5) as usize];
        spec.on_drop = [Hook::Nothing, Hook::Nothing, Hook::Panic][shake.below(3) as usize];
        if shake.below(4) == 0 {
            spec.backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(3));
        }
        if depth > 0 {
            for _ in 0..6 {
                let child = tree(shake, log, depth - 1, n);
                spec = spec.child(child);
            }
        }
        spec
    }
    let mut n = 0;
    let spec = tree(&mut shake, &log, 3, &mut n);
    let top = spec.spawn(&system);
    spec.family.get(&format!("n{n}"));
    let modes = MODES;
    for _ in 0..2000 {
        let name = format!("n{}", 1 + shake.below(u64::from(n)));
        let at = spec.family.get(&name);
        match shake.below(8) {
            0..=2 => _ = at.tell(Crash),
            3 => {
                _ = at.tell(CrashAsync {
                    after_await: true,
                    bomb: true,
                })
            }
            4 => _ = at.tell(Sleep(Some(Duration::from_millis(1)))),
            5 => _ = at.tell(with(|_, cx| cx.fail("shaken"))),
            6 if name != "n1" => at.stop_with(modes[shake.below(3) as usize]),
            _ => _ = at.tell(Note(1)),
        }
    }
    settle(&system);
    top.stop_with(StopMode::Drain);
    wait_until("no orphan is left", || {
        top.stop_with(StopMode::Drain);
        system.stats().actors.alive() == 0
    });
    let made = log
        .lines()
        .iter()
        .filter(|line| line.contains(" dropped "))
        .count();
    assert!(made >= n as usize / 2, "{made} of {n}");
    finish(system);
}

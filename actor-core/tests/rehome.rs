//! An actor that is moved to another NUMA node keeps its address, its state and the order of its messages.
//!
//! On a machine with one NUMA node a move goes nowhere; run with `ACTOR_TOPOLOGY=4x1` to see them.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{CrossNumaStealing, MoveError, NumaNodeId, Restart, SystemRef};
use common::*;

/// Counts what each sender sent, and that its state is whole.
struct Ledger {
    last: Vec<u64>,
    seen: u64,
    /// The same word many times over: a torn copy shows.
    pattern: [u64; 64],
    alive: Alive,
}

struct Alive(Arc<AtomicUsize>);
impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}
impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ledger {
    fn factory(senders: usize, alive: &Arc<AtomicUsize>) -> impl FnMut() -> Self + Send + 'static {
        let alive = alive.clone();
        move || Self {
            last: vec![0; senders],
            seen: 0,
            pattern: [0; 64],
            alive: Alive::new(&alive),
        }
    }
}
impl Actor for Ledger {}

struct Entry(usize, u64);
impl Message for Entry {
    type Reply = ();
}
impl SyncHandler<Entry> for Ledger {
    fn handle(&mut self, Entry(sender, number): Entry, _cx: &mut ActorContext<Self>) {
        assert_eq!(number, self.last[sender] + 1, "of sender {sender}");
        self.last[sender] = number;
        self.seen += 1;
        assert!(self.pattern.iter().all(|word| *word == self.seen - 1));
        self.pattern = [self.seen; 64];
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    entries: u64,
    home: NumaNodeId,
}

struct Look;
impl Message for Look {
    type Reply = Seen;
}
impl SyncHandler<Look> for Ledger {
    fn handle(&mut self, Look: Look, cx: &mut ActorContext<Self>) -> Seen {
        assert!(self.alive.0.load(Ordering::SeqCst) > 0);
        Seen {
            entries: self.seen,
            home: cx.numa_node(),
        }
    }
}

struct Fail;
impl Message for Fail {
    type Reply = ();
}
impl SyncHandler<Fail> for Ledger {
    fn handle(&mut self, Fail: Fail, _cx: &mut ActorContext<Self>) {
        panic!("on purpose");
    }
}

/// Waits until the sender is dropped or used.
struct Wait(tokio::sync::oneshot::Receiver<()>);
impl Message for Wait {
    type Reply = NumaNodeId;
}
impl Handler<Wait> for Ledger {
    async fn handle(&mut self, Wait(end): Wait, cx: &mut ActorContext<Self>) -> NumaNodeId {
        // Ended either way.
        let _ = end.await;
        cx.numa_node()
    }
}

/// A sender that is an actor itself.
struct Sender(usize, ActorRef<Ledger>);
impl Actor for Sender {}
struct SendMany(u64, u64);
impl Message for SendMany {
    type Reply = ();
}
impl Handler<SendMany> for Sender {
    async fn handle(&mut self, SendMany(from, to): SendMany, _cx: &mut ActorContext<Self>) {
        for number in from..=to {
            self.1.send(Entry(self.0, number)).await.unwrap();
        }
    }
}

fn other_than(system: &SystemRef, node: NumaNodeId) -> NumaNodeId {
    let nodes = system.numa_nodes();
    let at = nodes.iter().position(|each| *each == node).unwrap();
    nodes[(at + 1) % nodes.len()]
}

#[test]
fn order_state_and_books_hold_while_an_actor_moves_about() {
    const SENDERS: usize = 6;
    const EACH: u64 = 3000;
    let system = system();
    let alive = Arc::new(AtomicUsize::new(0));
    let target = system.spawn(Ledger::factory(SENDERS, &alive)).unwrap();
    let (id, done) = (target.id(), Arc::new(AtomicBool::new(false)));
    let nodes = system.numa_nodes();
    let mover = std::thread::spawn({
        let (done, nodes) = (done.clone(), nodes.clone());
        move || {
            let mut moves = 0;
            while !done.load(Ordering::SeqCst) {
                target.move_to(nodes[moves % nodes.len()]).unwrap();
                moves += 1;
                std::thread::sleep(Duration::from_micros(300));
            }
        }
    });
    system.block_on(async {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let spread = system.actor(Sender(sender, target));
                spread.placement(Placement::Spread).spawn().unwrap()
            })
            .collect();
        let mut calls = Vec::new();
        for sender in &senders {
            calls.push(tokio::spawn(sender.ask(SendMany(1, EACH)).into_future()));
        }
        for call in calls {
            call.await.unwrap().unwrap();
        }
    });
    let seen = target.ask_blocking(Look).unwrap();
    if nodes.len() > 1 {
        wait_until("it has moved", || system.stats().actors.moves > 0);
    }
    done.store(true, Ordering::SeqCst);
    mover.join().unwrap();
    assert_eq!(seen.entries, SENDERS as u64 * EACH);
    assert_eq!(target.id(), id);
    assert_eq!(alive.load(Ordering::SeqCst), 1, "moved, not copied");
    finish(system);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_moved_actor_lives_there_and_later_children_follow_it() {
    let system = ActorSystem::builder()
        .cross_numa_stealing(CrossNumaStealing::Never)
        .build()
        .unwrap();
    let alive = Arc::new(AtomicUsize::new(0));
    for from in system.numa_nodes() {
        let spawn = system.actor(Ledger::factory(1, &alive));
        let target = spawn.placement(Placement::Node(from)).spawn().unwrap();
        assert_eq!(target.ask_blocking(Look).unwrap().home, from);
        let to = other_than(&system, from);
        target.tell(Entry(0, 1)).unwrap();
        target.move_to(to).unwrap();
        target.tell(Entry(0, 2)).unwrap();
        let seen = target.ask_blocking(Look).unwrap();
        assert_eq!(
            seen,
            Seen {
                entries: 2,
                home: to
            }
        );
        let snapshot = system.inspect_blocking(target.id(), PATIENCE).unwrap();
        assert_eq!(snapshot.numa_node, to);
        let near = system.actor(Ledger::factory(1, &alive));
        let near = near
            .placement(Placement::Near(target.id()))
            .spawn()
            .unwrap();
        assert_eq!(near.ask_blocking(Look).unwrap().home, to);
    }
    finish(system);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn a_suspended_handler_is_finished_at_the_old_home() {
    let system = system();
    let alive = Arc::new(AtomicUsize::new(0));
    let from = system.numa_nodes()[0];
    let spawn = system.actor(Ledger::factory(1, &alive));
    let target = spawn.placement(Placement::Node(from)).spawn().unwrap();
    let (end, ended) = tokio::sync::oneshot::channel();
    let call = {
        let _entered = system.tokio().enter();
        tokio::spawn(target.ask(Wait(ended)).into_future())
    };
    wait_until("the handler waits", || {
        let seen = system.inspect_blocking(target.id(), PATIENCE).unwrap();
        seen.handling.is_some()
    });
    let to = other_than(&system, from);
    target.move_to(to).unwrap();
    let seen = system.inspect_blocking(target.id(), PATIENCE).unwrap();
    assert_eq!(seen.numa_node, from, "its handler borrows the state");
    drop(end);
    let finished_at = system.block_on(call).unwrap().unwrap();
    assert_eq!(finished_at, from);
    assert_eq!(target.ask_blocking(Look).unwrap().home, to);
    finish(system);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn restarts_and_stops_in_the_middle_of_a_move_lose_no_state_and_no_message() {
    let system = system();
    std::panic::set_hook(Box::new(|_| {}));
    let alive = Arc::new(AtomicUsize::new(0));
    let nodes = system.numa_nodes();
    for round in 0..200 {
        let spawn = system.actor(Ledger::factory(1, &alive));
        let target = spawn.restart(Restart::Permanent).spawn().unwrap();
        target.move_to(nodes[round % nodes.len()]).unwrap();
        target.tell(Entry(0, 1)).unwrap();
        target.move_to(nodes[(round + 1) % nodes.len()]).unwrap();
        match round % 4 {
            0 => target.tell(Fail).unwrap(),
            1 => target.stop(),
            2 => target.stop_with(actor_core::StopMode::Kill),
            _ => {}
        }
        // Gone by now, perhaps.
        let _ = target.move_to(nodes[(round + 2) % nodes.len()]);
        if round % 4 == 0 {
            let seen = target.ask_blocking(Look).unwrap();
            assert_eq!(seen.entries, 0, "a new life");
        }
    }
    finish(system);
    assert_eq!(
        alive.load(Ordering::SeqCst),
        0,
        "each state was dropped once"
    );
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let system = system();
    let alive = Arc::new(AtomicUsize::new(0));
    let target = system.spawn(Ledger::factory(1, &alive)).unwrap();
    let error = target.move_to(NumaNodeId(200)).unwrap_err();
    assert!(error.to_string().contains("numa200"), "{error}");
    target.stop();
    wait_until("it has stopped", || !target.is_alive());
    let home = system.numa_nodes()[0];
    assert_eq!(
        target.move_to(home).unwrap_err(),
        MoveError::Dead { actor: target.id() }
    );
    finish(system);
}

//! Every ask is counted once when it begins and once when it ends, by how it ends: `begun = answered + failed + in flight`.
//!
//! What asks come to on the way to other peers is counted in `tests/remote.rs`, at the memory limit in
//! `tests/overload.rs`.

mod common;

use std::pin::Pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{AskStats, CancelToken, Overflow, Reply};
use common::{Gate, finish, wait_until};

struct Server;
impl Actor for Server {}

/// What the server does with it.
enum Do {
    Answer,
    Panic,
    /// Opens the first gate and waits for the second.
    Wait(Gate, Gate),
    Stop,
    AskMyself(ActorRef<Server>),
    AskBlocking(ActorRef<Server>),
}
impl Message for Do {
    type Reply = ();
}
impl Handler<Do> for Server {
    async fn handle(&mut self, what: Do, cx: &mut ActorContext<Self>) {
        match what {
            Do::Answer => {}
            Do::Panic => panic!("on purpose"),
            Do::Wait(entered, gate) => {
                entered.open();
                gate.pass();
            }
            Do::Stop => cx.stop(),
            Do::AskMyself(me) => {
                let refused = me.ask(Do::Answer).await;
                assert!(
                    matches!(refused, Err(AskError::Deadlock { .. })),
                    "{refused:?}"
                );
            }
            Do::AskBlocking(other) => {
                let refused = other.ask_blocking(Do::Answer);
                assert!(
                    matches!(refused, Err(AskError::WouldBlock { .. })),
                    "{refused:?}"
                );
            }
        }
    }
}

struct Forget;
impl Message for Forget {
    type Reply = ();
}
impl actor_core::DeferredHandler<Forget> for Server {
    fn handle(&mut self, _: Forget, reply: Reply<()>, _cx: &mut ActorContext<Self>) {
        drop(reply);
    }
}

fn system() -> ActorSystem {
    let one = ActorSystem::builder().workers(Workers::Count(1));
    one.build().expect("a system starts")
}

fn stays(system: &ActorSystem, mailbox: Mailbox) -> ActorRef<Server> {
    let server = system.actor(|| Server).restart(Restart::Permanent);
    server.mailbox(mailbox).spawn().expect("a server")
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(Waker::noop()))
}

/// What became more between the two, by name.
fn more(before: &AskStats, now: &AskStats) -> Vec<(&'static str, u64)> {
    let pairs = before.outcomes().into_iter().zip(now.outcomes());
    pairs
        .map(|((name, before), (_, now))| (name, now - before))
        .filter(|(_, more)| *more > 0)
        .collect()
}

/// Does something, and tells which outcomes it has counted.
fn counted(system: &ActorSystem, act: impl FnOnce()) -> Vec<(&'static str, u64)> {
    let before = system.stats().asks;
    assert_eq!(before.in_flight(), 0, "{before}");
    act();
    let now = system.stats().asks;
    assert_eq!(now.in_flight(), 0, "{now}");
    more(&before, &now)
}

#[test]
fn m07_each_outcome_of_an_ask_is_counted_by_its_name() {
    let system = system();
    let server = stays(&system, Mailbox::default());
    let ask = |what| server.ask_blocking(what);

    let of = counted(&system, || ask(Do::Answer).unwrap());
    assert_eq!(of, [("answered", 1)]);

    let of = counted(&system, || assert!(ask(Do::Panic).is_err()));
    assert_eq!(of, [("panicked", 1)]);

    let of = counted(&system, || assert!(server.ask_blocking(Forget).is_err()));
    assert_eq!(of, [("no_reply", 1)]);

    let of = counted(&system, || {
        let late = server.ask(Do::Answer).within(Duration::ZERO).blocking();
        assert!(matches!(late, Err(AskError::Expired { .. })), "{late:?}");
    });
    assert_eq!(of, [("expired", 1)]);

    let of = counted(&system, || {
        let cancel = CancelToken::new();
        cancel.cancel();
        let refused = server.ask(Do::Answer).cancel(&cancel).blocking();
        assert!(
            matches!(refused, Err(AskError::Cancelled { .. })),
            "{refused:?}"
        );
    });
    assert_eq!(of, [("cancelled", 1)]);

    // The outer ask is answered.
    let of = counted(&system, || ask(Do::AskMyself(server)).unwrap());
    assert_eq!(of, [("answered", 1), ("deadlock", 1)]);

    let other = stays(&system, Mailbox::default());
    let of = counted(&system, || ask(Do::AskBlocking(other)).unwrap());
    assert_eq!(of, [("answered", 1), ("would_block", 1)]);

    let brief = system.spawn(Server).unwrap();
    brief.ask_blocking(Do::Stop).unwrap();
    wait_until("it has stopped", || !brief.is_alive());
    let of = counted(&system, || {
        let dead = brief.ask_blocking(Do::Answer);
        assert!(matches!(dead, Err(AskError::Dead { .. })), "{dead:?}");
    });
    assert_eq!(of, [("dead", 1)]);

    // Told, not asked; and never begun.
    let of = counted(&system, || {
        server.tell(Do::Answer).unwrap();
        server.ask(Do::Answer).tell().unwrap();
        drop(server.ask(Do::Answer));
    });
    assert_eq!(of, []);
    finish(system);
}

#[test]
fn m07_an_ask_under_way_is_in_flight_and_one_that_is_dropped_abandoned() {
    let system = system();
    let server = stays(&system, Mailbox::default());
    let gate = Gate::new();
    server.tell(Do::Wait(Gate::new(), gate.clone())).unwrap();
    let mut waits = Box::pin(server.ask(Do::Answer));
    let mut dropped = Box::pin(server.ask(Do::Answer));
    assert!(poll(waits.as_mut()).is_pending());
    assert!(poll(dropped.as_mut()).is_pending());
    let asks = system.stats().asks;
    assert_eq!((asks.begun, asks.in_flight(), asks.failed()), (2, 2, 0));
    drop(dropped);
    let asks = system.stats().asks;
    assert_eq!((asks.in_flight(), asks.abandoned), (1, 1));
    gate.open();
    system.block_on(waits).unwrap();
    let asks = system.stats().asks;
    assert_eq!((asks.begun, asks.answered, asks.abandoned), (2, 1, 1));
    assert_eq!(asks.in_flight(), 0);
    assert!(asks.to_string().contains("failed, abandoned: 1"), "{asks}");
    // Of the two messages one was handled, and the other not.
    assert_eq!(finish(system).dropped.abandoned, 1);
}

/// A server in a handler that waits at the gate, whose mailbox is full.
fn filled(system: &ActorSystem, overflow: Overflow) -> (ActorRef<Server>, Gate) {
    let server = stays(system, Mailbox::bounded(1).overflow(overflow));
    let (entered, gate) = (Gate::new(), Gate::new());
    server
        .tell(Do::Wait(entered.clone(), gate.clone()))
        .unwrap();
    entered.pass();
    let dropped = || system.stats().messages.dropped.overflow_newest;
    let before = dropped();
    while server.tell(Do::Answer).is_ok() && dropped() == before {}
    (server, gate)
}

#[test]
fn m07_an_ask_that_finds_no_room_is_counted_as_full_or_by_what_the_mailbox_does() {
    let system = system();
    let (rejects, gate) = filled(&system, Overflow::Reject);
    let of = counted(&system, || {
        let full = rejects.ask_blocking(Do::Answer);
        assert!(matches!(full, Err(AskError::Full { .. })), "{full:?}");
    });
    assert_eq!(of, [("full", 1)]);
    gate.open();

    let (drops, gate) = filled(&system, Overflow::DropNewest);
    let of = counted(&system, || {
        let none = drops.ask_blocking(Do::Answer);
        assert!(matches!(none, Err(AskError::NoReply { .. })), "{none:?}");
    });
    assert_eq!(of, [("no_reply", 1)]);
    gate.open();

    // Given up while it waits for room.
    let (waits, gate) = filled(&system, Overflow::Wait);
    let of = counted(&system, || {
        let mut call = Box::pin(waits.ask(Do::Answer));
        assert!(poll(call.as_mut()).is_pending());
        assert_eq!(system.stats().asks.in_flight(), 1);
    });
    assert_eq!(of, [("abandoned", 1)]);
    gate.open();
    finish(system);
}

//! The panics that can be contained, each at its place: nothing but the actor notices.

mod common;
#[path = "common/life.rs"]
mod life;

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Wake, Waker};

use actor_core::prelude::*;
use actor_core::{ActorError, StopMode};
use common::*;
use life::*;

/// A bystander that must not notice anything, on every worker.
fn unharmed(system: &SystemRef, log: &Log) {
    for _ in 0..8 {
        let spec = Spec::new("bystander", log);
        let bystander = spec.spawn(system);
        assert_eq!(bystander.life(), 1);
        bystander.stop();
    }
}

#[test]
fn c6_handlers_sync_and_async() {
    quiet();
    let (system, log) = (system(), Log::new());
    let spec = Spec::new("A", &log);
    let a = spec.spawn(&system);
    a.crash();
    assert_eq!(a.life(), 2);
    for (after_await, bomb) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut spec = Spec::new("B", &log);
        spec.restart = Restart::Transient;
        let b = spec.spawn(&system);
        let answer = b.ask_blocking(CrashAsync { after_await, bomb });
        assert!(
            matches!(answer, Err(AskError::Panicked { .. })),
            "{answer:?}"
        );
        assert_eq!(b.life(), 2);
    }
    unharmed(&system, &log);
    let books = finish(system);
    assert_eq!(books.dropped.panicked, 5);
}

#[test]
fn c6_resume_unwind_is_a_panic_too() {
    quiet();
    let (system, log) = (system(), Log::new());
    let a = Spec::new("A", &log).spawn(&system);
    let answer = a.ask_blocking(with(|_, _| std::panic::resume_unwind(Box::new(17_u8))));
    assert!(matches!(answer, Err::<(), _>(AskError::Panicked { .. })));
    assert_eq!(a.life(), 2);
    finish(system);
}

#[test]
fn c6_state_drop() {
    quiet();
    for hook in [Hook::Panic, Hook::PanicWithBomb] {
        for mode in [StopMode::Drain, StopMode::Now, StopMode::Kill] {
            let (system, log) = (system(), Log::new());
            let mut spec = Spec::new("A", &log);
            spec.on_drop = hook;
            let a = spec.spawn(&system);
            let w = Spec::new("w", &log).spawn(&system);
            w.watches(a, "A");
            a.crash();
            assert_eq!(
                a.life(),
                2,
                "a Drop that panics does not keep it from its next life"
            );
            a.stop_with(mode);
            a.gone();
            wait_until("watchers are told", || log.starting("w heard of A") == 1);
            unharmed(&system, &log);
            finish(system);
        }
    }
}

/// Panics when dropped, unless something is panicking already.
struct Nasty(Tally, Token);

impl Nasty {
    fn new(tally: &Tally) -> Self {
        Self(tally.clone(), tally.token())
    }
}

impl Drop for Nasty {
    fn drop(&mut self) {
        let _ = (&self.0, &self.1);
        if !std::thread::panicking() {
            boom()
        }
    }
}

struct NastyText;

impl fmt::Debug for NastyText {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        boom()
    }
}

impl fmt::Display for NastyText {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        boom()
    }
}

impl std::error::Error for NastyText {}

impl Drop for NastyText {
    fn drop(&mut self) {
        boom()
    }
}

#[test]
fn c6_error_of_started_whose_text_and_drop_panic() {
    quiet();
    struct Failing;
    impl Actor for Failing {
        async fn started(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
            Err(Box::new(NastyText))
        }
    }
    let (system, log) = (system(), Log::new());
    let failing = system.spawn(|| Failing).unwrap();
    wait_until("it is given up", || !failing.is_alive());
    unharmed(&system, &log);
    finish(system);
}

#[test]
fn c6_reply_whose_drop_panics() {
    quiet();
    let (system, log, tally) = (system(), Log::new(), Tally::new());
    let a = Spec::new("A", &log).spawn(&system);
    // Nobody wants it: dropped by the runtime.
    let mine = tally.clone();
    a.tell(with(move |_, _| Nasty::new(&mine))).unwrap();
    // The asker has gone by the time it comes.
    let (mine, gate) = (tally.clone(), Gate::new());
    let inside = gate.clone();
    let late = a
        .ask(with(move |_, _| {
            inside.pass();
            Nasty::new(&mine)
        }))
        .within(std::time::Duration::from_millis(20))
        .blocking();
    assert!(matches!(late, Err(AskError::Expired { .. })));
    gate.open();
    assert_eq!(a.life(), 1, "it handled its messages well");
    tally.all_dropped();
    finish(system);
}

#[test]
fn m20_messages_whose_drop_panics_are_dropped_one_by_one() {
    quiet();
    for mode in [StopMode::Now, StopMode::Kill] {
        let (system, log, tally) = (system(), Log::new(), Tally::new());
        let a = Spec::new("A", &log).spawn(&system);
        let (gate, began) = (Gate::new(), Gate::new());
        let (inside, begun) = (gate.clone(), began.clone());
        a.tell(with(move |_, _| {
            begun.open();
            inside.pass();
        }))
        .unwrap();
        began.pass();
        for n in 0..6 {
            if n == 1 || n == 4 {
                let nasty = Nasty::new(&tally);
                a.tell(with(move |_, _| drop(nasty))).unwrap();
            } else {
                let token = tally.token();
                a.tell(with(move |_, _| drop(token))).unwrap();
            }
        }
        a.stop_with(mode);
        gate.open();
        tally.all_dropped();
        unharmed(&system, &log);
        let books = finish(system);
        assert_eq!(books.dead_letters.total(), 6);
        assert_eq!(tally.dropped(), 6);
    }
}

#[test]
fn c6_futures_whose_drop_panics_when_cut_off() {
    quiet();
    struct Guarded(Nasty);
    impl Message for Guarded {
        type Reply = ();
    }
    struct Waiter(Gate);
    impl Actor for Waiter {}
    impl Handler<Guarded> for Waiter {
        async fn handle(&mut self, message: Guarded, _cx: &mut ActorContext<Self>) {
            self.0.open();
            std::future::pending::<()>().await;
            drop(message.0);
        }
    }
    let (system, log, tally) = (system(), Log::new(), Tally::new());
    let gate = Gate::new();
    let waiter = system.spawn(Waiter(gate.clone())).unwrap();
    waiter.tell(Guarded(Nasty::new(&tally))).unwrap();
    gate.pass();
    waiter.stop_with(StopMode::Kill);
    tally.all_dropped();
    wait_until("it is gone", || !waiter.is_alive());
    unharmed(&system, &log);
    assert_eq!(finish(system).dropped.interrupted, 1);
}

struct NastyWaker;

impl Wake for NastyWaker {
    fn wake(self: Arc<Self>) {
        boom()
    }
}

#[test]
fn c6_wakers_of_askers_and_of_senders_in_line() {
    quiet();
    let (system, log) = (system(), Log::new());
    /// What it says when it begins, and what it waits for then.
    struct Slow(Gate, Gate);
    impl Actor for Slow {}
    struct Hold;
    impl Message for Hold {
        type Reply = ();
    }
    impl SyncHandler<Hold> for Slow {
        fn handle(&mut self, Hold: Hold, _cx: &mut ActorContext<Self>) {
            self.0.open();
            self.1.pass();
        }
    }
    let (begun, gate) = (Gate::new(), Gate::new());
    let slow = system
        .actor(Slow(begun.clone(), gate.clone()))
        .mailbox(Mailbox::bounded(2))
        .spawn()
        .unwrap();
    let waker = Waker::from(Arc::new(NastyWaker));
    let mut task = Task::from_waker(&waker);
    let mut ask = pin!(slow.ask(Hold));
    assert!(matches!(ask.as_mut().poll(&mut task), Poll::Pending));
    // No more comes out before the gate opens.
    begun.pass();
    while slow.tell(Hold).is_ok() {}
    let mut sends: Vec<_> = (0..3).map(|_| Box::pin(slow.send(Hold))).collect();
    for send in &mut sends {
        assert!(matches!(send.as_mut().poll(&mut task), Poll::Pending));
    }
    gate.open();
    wait_until("the mailbox is empty", || slow.queue_len() == 0);
    // A woken sender keeps its place in the line until it is polled or dropped.
    drop(sends);
    slow.ask_blocking(Hold).unwrap();
    assert!(matches!(ask.as_mut().poll(&mut task), Poll::Ready(Ok(()))));
    unharmed(&system, &log);
    finish(system);
}

#[test]
fn c6_factory_drop_and_hooks() {
    quiet();
    let (system, log, tally) = (system(), Log::new(), Tally::new());
    // The factory goes with the actor.
    let nasty = Nasty::new(&tally);
    let spec = Spec::new("A", &log);
    let a = system
        .spawn(move || {
            let _ = &nasty;
            spec.make()
        })
        .unwrap();
    assert_eq!(a.life(), 1);
    a.stop();
    tally.all_dropped();
    unharmed(&system, &log);
    finish(system);
}

#[test]
fn c6_a_hundred_thousand_panics_leave_nothing_behind() {
    quiet();
    let (system, log, tally) = (system(), Log::new(), Tally::new());
    let mut spec = Spec::new("A", &log);
    spec.supervision = Supervision::one_for_one()
        .intensity(10_000)
        .period(std::time::Duration::from_millis(1));
    let sup = spec.spawn(&system);
    struct Fragile(Token);
    impl Actor for Fragile {}
    struct Break;
    impl Message for Break {
        type Reply = ();
    }
    impl SyncHandler<Break> for Fragile {
        fn handle(&mut self, Break: Break, _cx: &mut ActorContext<Self>) {
            let _ = &self.0;
            std::panic::resume_unwind(Box::new(()))
        }
    }
    let mine = tally.clone();
    let fragile = sup
        .ask_blocking(with(move |_, cx| {
            cx.actor(move || Fragile(mine.token()))
                .mailbox(Mailbox::unbounded())
                .spawn()
                .unwrap()
        }))
        .unwrap();
    const N: usize = if cfg!(debug_assertions) {
        20_000
    } else {
        100_000
    };
    for n in 0..N {
        fragile.tell(Break).unwrap();
        if n % 2000 == 0 {
            settle(&system);
        }
    }
    settle(&system);
    wait_until("its last life has begun", || tally.made() == N + 1);
    assert_eq!(tally.alive(), 1);
    let books = finish(system);
    assert_eq!(books.dropped.panicked, N as u64);
    assert_eq!(tally.alive(), 0);
}

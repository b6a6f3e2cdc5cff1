//! How long messages wait and handlers take, measured on few of them.

mod common;

use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{TracingOptions, TypeLatency};
use common::*;
use tokio::sync::oneshot;

struct Worker;
impl Actor for Worker {}

struct Work(Duration);
impl Message for Work {
    type Reply = ();
}
impl SyncHandler<Work> for Worker {
    fn handle(&mut self, Work(time): Work, cx: &mut ActorContext<Self>) {
        assert!(cx.context().is_empty(), "what is measured is not seen");
        let began = Instant::now();
        while began.elapsed() < time {}
    }
}

struct Wait(oneshot::Receiver<()>);
impl Message for Wait {
    type Reply = ();
}
impl Handler<Wait> for Worker {
    async fn handle(&mut self, Wait(gate): Wait, _cx: &mut ActorContext<Self>) {
        _ = gate.await;
    }
}

/// Tells a worker so often.
struct Source(ActorRef<Worker>);
impl Actor for Source {}
struct Tell(u64);
impl Message for Tell {
    type Reply = ();
}
impl Handler<Tell> for Source {
    async fn handle(&mut self, Tell(times): Tell, _cx: &mut ActorContext<Self>) {
        for _ in 0..times {
            self.0.send(Work(Duration::ZERO)).await.expect("it lives");
        }
    }
}

fn of(system: &ActorSystem, name: &str) -> TypeLatency {
    let types = system.latencies().types;
    let found = types.into_iter().find(|of| of.actor_type.ends_with(name));
    found.unwrap_or_default()
}

#[test]
fn a_few_messages_speak_for_many() {
    let began = Instant::now();
    let system = system();
    let worker = system.spawn(Worker).expect("spawned");
    let source = system.spawn(Source(worker)).expect("spawned");
    const TIMES: u64 = 200_000;
    source.ask_blocking(Tell(TIMES)).expect("answered");
    settle(&system);
    let latencies = system.latencies();
    let worker = of(&system, "Worker");
    let counted = worker.wait.count();
    assert!(
        (TIMES / 2..TIMES * 2).contains(&counted),
        "{counted}: {worker:#?}"
    );
    assert_eq!(worker.handle.count(), counted, "none of them waited");
    assert!(worker.wait.max() >= worker.wait.quantile(0.5));
    assert!(latencies.measured < TIMES / 2, "{}", latencies.measured);
    assert!(latencies.all.wait.count() >= counted);
    assert!(worker.recent_wait.max() <= worker.wait.max());
    // What is half a minute old may not be recent any more.
    if began.elapsed() < Duration::from_secs(30) {
        assert_eq!(worker.recent_wait.max(), worker.wait.max());
    }
    finish(system);
}

#[test]
fn what_waits_behind_a_handler_is_measured() {
    let system = system();
    let worker = system
        .actor(Worker)
        .mailbox(Mailbox::unbounded())
        .spawn()
        .expect("spawned");
    let source = system.spawn(Source(worker)).expect("spawned");
    wait_until("the collector runs", || {
        source.ask_blocking(Tell(1)).expect("answered");
        of(&system, "Worker").wait.count() > 0
    });
    worker
        .ask_blocking(Work(Duration::from_millis(3)))
        .expect("answered");
    let (open, gate) = oneshot::channel();
    worker.tell(Wait(gate)).expect("told");
    // However few of them are measured.
    source.ask_blocking(Tell(10_000)).expect("answered");
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(5));
    let waited = began.elapsed();
    open.send(()).expect("waited for");
    settle(&system);
    let times = of(&system, "Worker");
    assert!(times.wait.max() >= waited, "{times:#?}");
    finish(system);
}

#[test]
fn what_is_not_handled_leaves_nothing_behind() {
    let system = system();
    for _ in 0..200 {
        let worker = system
            .actor(Worker)
            .mailbox(Mailbox::bounded(4).overflow(Overflow::Reject))
            .spawn()
            .expect("spawned");
        let source = system.spawn(Source(worker)).expect("spawned");
        let (_open, gate) = oneshot::channel::<()>();
        worker.tell(Wait(gate)).expect("told");
        // Some find no room, and the rest dies with the actor.
        for _ in 0..8 {
            _ = worker.tell(Work(Duration::ZERO));
        }
        worker.stop_with(actor_core::StopMode::Kill);
        source.stop();
    }
    finish(system);
}

#[test]
fn nothing_is_measured_where_tracing_is_off() {
    let system = ActorSystem::builder()
        .tracing(TracingOptions::off())
        .build()
        .expect("a system starts");
    let worker = system.spawn(Worker).expect("spawned");
    let source = system.spawn(Source(worker)).expect("spawned");
    source.ask_blocking(Tell(1000)).expect("answered");
    settle(&system);
    assert_eq!(system.latencies().measured, 0);
    finish(system);
}

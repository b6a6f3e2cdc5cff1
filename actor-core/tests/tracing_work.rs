//! Spans of work that goes beyond its handler, of what comes again by itself, and of failures that nobody chose to
//! record.

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{
    DeferredHandler, ExportError, Fate, Reentrant, ReentrantHandler, Reply, SpanExporter, SpanKind,
    SpanOutcome, SpanRecord, TraceContext, TraceFlags, TraceList, TracingOptions,
};
use common::traces::{sampled, span, trace_of};
use common::*;
use tokio::sync::oneshot;

fn traced(share: f64) -> ActorSystem {
    let options = TracingOptions::new().sample(share);
    let built = ActorSystem::builder().tracing(options).build();
    built.expect("a system starts")
}

/// Answers later, when it is told to.
#[derive(Default)]
struct Door(Vec<Reply<u32>>);
impl Actor for Door {}

struct Pass;
impl Message for Pass {
    type Reply = u32;
}
impl DeferredHandler<Pass> for Door {
    fn handle(&mut self, _: Pass, reply: Reply<u32>, _cx: &mut ActorContext<Self>) {
        self.0.push(reply);
    }
}

enum Then {
    Answer,
    Drop,
    Nothing,
}
impl Message for Then {
    type Reply = usize;
}
impl SyncHandler<Then> for Door {
    fn handle(&mut self, then: Then, _cx: &mut ActorContext<Self>) -> usize {
        let held = self.0.len();
        match then {
            Then::Answer => self.0.drain(..).for_each(|reply| reply.send(7)),
            Then::Drop => self.0.clear(),
            Then::Nothing => {}
        }
        held
    }
}

/// Handles without the state while it waits.
struct Nap(oneshot::Receiver<bool>);
impl Message for Nap {
    type Reply = u32;
}
impl ReentrantHandler<Nap> for Door {
    async fn handle(_this: Reentrant<Self>, Nap(gate): Nap) -> u32 {
        let panics = gate.await.unwrap_or(false);
        assert!(!panics, "woken badly");
        1
    }
}

/// Asks in a thread of its own, so that the test goes on.
fn ask<M>(
    door: ActorRef<Door>,
    message: M,
    context: Context,
) -> std::thread::JoinHandle<Option<u32>>
where
    M: Message<Reply = u32>,
    Door: Handler<M>,
{
    std::thread::spawn(move || door.ask(message).context(context).blocking().ok())
}

fn until_held(door: ActorRef<Door>) {
    wait_until("it is held", || {
        door.ask_blocking(Then::Nothing).expect("answered") == 1
    });
}

#[test]
fn the_span_of_a_deferred_handler_ends_with_its_answer() {
    let system = traced(0.0);
    let door = system.spawn(Door::default()).expect("spawned");
    let (context, id) = sampled();
    let asked = ask(door, Pass, context);
    until_held(door);
    // The handler has returned, and nothing of the trace is over.
    assert!(system.trace(id).is_none());
    std::thread::sleep(Duration::from_millis(2));
    door.ask_blocking(Then::Answer).expect("answered");
    assert_eq!(asked.join().expect("no panic"), Some(7));
    let trace = trace_of(&system, id, 2);
    let handled = span(&trace, SpanKind::Handle, "Pass");
    let ask = span(&trace, SpanKind::Ask, "Pass");
    assert!(handled.duration >= Duration::from_millis(2), "{handled:#?}");
    assert!(ask.ended() >= handled.ended() && handled.outcome == SpanOutcome::Ok);
    finish(system);
}

#[test]
fn a_deferred_handler_that_never_answers_says_so_in_its_span() {
    let system = traced(0.0);
    let door = system.spawn(Door::default()).expect("spawned");
    let (context, id) = sampled();
    let asked = ask(door, Pass, context);
    until_held(door);
    door.ask_blocking(Then::Drop).expect("answered");
    assert_eq!(asked.join().expect("no panic"), None);
    let trace = trace_of(&system, id, 2);
    let outcome = &span(&trace, SpanKind::Handle, "Pass").outcome;
    assert_eq!(*outcome, SpanOutcome::Failed(Fate::NoReply));
    // Told, nobody misses an answer; and what is held at the end of the actor ends with it.
    let (context, told) = sampled();
    context.run(|| door.tell(Pass)).expect("told");
    let (context, stopped) = sampled();
    context.run(|| door.tell(Pass)).expect("told");
    wait_until("both are held", || {
        door.ask_blocking(Then::Nothing).expect("answered") == 2
    });
    door.stop();
    let trace = trace_of(&system, told, 1);
    assert_eq!(
        trace.spans[0].outcome,
        SpanOutcome::Failed(Fate::ActorStopped)
    );
    trace_of(&system, stopped, 1);
    finish(system);
}

#[test]
fn the_span_of_a_reentrant_handler_ends_with_its_future() {
    let system = traced(0.0);
    let door = system.spawn(Door::default()).expect("spawned");
    let (context, id) = sampled();
    let (wake, gate) = oneshot::channel();
    let asked = ask(door, Nap(gate), context);
    // Behind it in the mailbox, and answered before it.
    wait_until("it waits", || system.stats().messages.handled >= 1);
    door.ask_blocking(Then::Nothing).expect("answered");
    assert!(system.trace(id).is_none());
    wake.send(false).expect("waited for");
    assert_eq!(asked.join().expect("no panic"), Some(1));
    let trace = trace_of(&system, id, 2);
    let handled = span(&trace, SpanKind::Handle, "Nap");
    assert_eq!(handled.outcome, SpanOutcome::Ok);
    assert!(span(&trace, SpanKind::Ask, "Nap").ended() >= handled.ended());
    finish(system);
}

#[test]
fn a_panic_after_the_first_await_is_in_the_trace_and_so_is_the_restart() {
    let system = traced(0.0);
    let door = system.spawn(Door::default).expect("spawned");
    let (context, id) = sampled();
    let (wake, gate) = oneshot::channel();
    let asked = ask(door, Nap(gate), context);
    wait_until("it waits", || system.stats().messages.handled >= 1);
    wake.send(true).expect("waited for");
    assert_eq!(asked.join().expect("no panic"), None);
    // The ask, the handling, and the hook of the next life.
    let trace = trace_of(&system, id, 3);
    let handled = span(&trace, SpanKind::Handle, "Nap");
    assert!(
        matches!(&handled.outcome, SpanOutcome::Panicked(text) if text.contains("woken badly")),
        "{handled:#?}"
    );
    let started = span(&trace, SpanKind::Started, "started");
    assert_eq!(
        (started.parent, started.restarts),
        (Some(handled.span_id()), 1)
    );
    let failures = system.failures(1);
    assert_eq!(failures.latest[0].trace_id, Some(id));
    finish(system);
}

/// Ticks, and says in which trace.
struct Clock;
impl Actor for Clock {}
struct Begin(mpsc::Sender<Context>);
impl Message for Begin {
    type Reply = ();
}
struct Tick(mpsc::Sender<Context>);
impl Message for Tick {
    type Reply = ();
}
struct End;
impl Message for End {
    type Reply = ();
}
impl SyncHandler<Begin> for Clock {
    fn handle(&mut self, Begin(seen): Begin, cx: &mut ActorContext<Self>) {
        cx.send_interval(Duration::from_millis(1), move || Tick(seen.clone()));
    }
}
impl SyncHandler<Tick> for Clock {
    fn handle(&mut self, Tick(seen): Tick, cx: &mut ActorContext<Self>) {
        // The test may have seen enough.
        _ = seen.send(cx.context());
    }
}
impl SyncHandler<End> for Clock {
    fn handle(&mut self, _: End, cx: &mut ActorContext<Self>) {
        cx.cancel_timers();
    }
}

fn three(ticks: &mpsc::Receiver<Context>) -> Vec<Context> {
    let next = || ticks.recv_timeout(PATIENCE).expect("it ticks");
    (0..3).map(|_| next()).collect()
}

#[test]
fn each_tick_of_an_interval_begins_a_trace_with_a_link_to_what_set_it() {
    let system = traced(1.0);
    let clock = system.spawn(Clock).expect("spawned");
    let (context, id) = sampled();
    let (seen, ticks) = mpsc::channel();
    let began = clock.ask(Begin(seen)).context(context).blocking();
    began.expect("answered");
    let contexts = three(&ticks);
    clock.ask_blocking(End).expect("answered");
    settle(&system);
    let begin = system.trace(id).expect("kept");
    assert_eq!(begin.spans.len(), 2, "the ask and its handling: {begin:#?}");
    let by = span(&begin, SpanKind::Handle, "Begin").span_id();
    let mut of_ticks = Vec::new();
    for context in contexts {
        let own = context.trace().expect("one of its own").trace_id();
        let trace = trace_of(&system, own, 1);
        let tick = span(&trace, SpanKind::Timer, "Tick");
        assert_eq!((tick.parent, tick.queue_wait), (None, Duration::ZERO));
        let link = tick.link.expect("linked");
        assert_eq!((link.trace_id, link.span_id), (id, by));
        of_ticks.push(own);
    }
    of_ticks.sort();
    of_ticks.dedup();
    assert_eq!(of_ticks.len(), 3);
    finish(system);
}

#[test]
fn a_tick_is_decided_on_by_itself() {
    // Set in a recorded trace, in a system that records none of its own.
    let system = traced(0.0);
    let clock = system.spawn(Clock).expect("spawned");
    let (context, id) = sampled();
    let (seen, ticks) = mpsc::channel();
    let began = clock.ask(Begin(seen)).context(context).blocking();
    began.expect("answered");
    for context in three(&ticks) {
        let trace = context.trace().expect("one");
        assert!(trace.trace_id() != id && !trace.is_sampled());
    }
    // What comes by itself is an edge too: without any trace before it.
    let other = system.spawn(Clock).expect("spawned");
    let (seen, ticks) = mpsc::channel();
    other.ask_blocking(Begin(seen)).expect("answered");
    assert!(three(&ticks).iter().all(Context::is_empty));
    system.set_sampling(1.0).expect("a share");
    wait_until("ticks are recorded", || {
        let next = ticks.recv_timeout(PATIENCE).expect("it ticks");
        next.trace().is_some_and(TraceContext::is_sampled)
    });
    for clock in [clock, other] {
        clock.ask_blocking(End).expect("answered");
    }
    finish(system);
}

/// Fails on whatever it is told, in the way that it is told.
struct Fragile;
impl Actor for Fragile {}
enum Fail {
    Panic,
    ByWord,
    InTask,
}
impl Message for Fail {
    type Reply = ();
}
impl SyncHandler<Fail> for Fragile {
    fn handle(&mut self, how: Fail, cx: &mut ActorContext<Self>) {
        match how {
            Fail::Panic => panic!("broken on purpose"),
            Fail::ByWord => cx.fail("said so on purpose"),
            Fail::InTask => {
                let task = cx.attach_task(|_| async { panic!("broken in a task") });
                task.expect("room");
            }
        }
    }
}

/// Keeps what it is given.
struct Into(Arc<Mutex<Vec<Arc<SpanRecord>>>>);
impl SpanExporter for Into {
    fn export(&mut self, batch: &[Arc<SpanRecord>]) -> Result<(), ExportError> {
        self.0.lock().expect("no panic").extend_from_slice(batch);
        Ok(())
    }
}

#[test]
fn a_failure_that_nobody_records_is_kept_and_found_by_its_trace() {
    let exported = Arc::new(Mutex::new(Vec::new()));
    // Nothing is sampled.
    let options = TracingOptions::new().exporter(Into(exported.clone()));
    let system = ActorSystem::builder().tracing(options).build();
    let system = system.expect("a system starts");
    let root = TraceContext::new_root(false);
    let flags = TraceFlags::NONE;
    let unsampled = TraceContext::new(root.trace_id(), root.span_id(), flags);
    for (how, context, text) in [
        (Fail::Panic, Context::empty(), "broken on purpose"),
        (
            Fail::Panic,
            Context::empty().with_trace(unsampled),
            "broken on purpose",
        ),
        (Fail::ByWord, Context::empty(), "said so on purpose"),
        (Fail::InTask, Context::empty(), "broken in a task"),
    ] {
        let before = system.traces(TraceList::Failed, 10).len();
        let fragile = system.actor(Fragile).name("glass").spawn();
        let fragile = fragile.expect("spawned");
        let of = context.trace().map(TraceContext::trace_id);
        context.run(|| fragile.tell(how)).expect("told");
        wait_until("it is kept", || {
            system.traces(TraceList::Failed, 10).len() > before
        });
        let failed = &system.traces(TraceList::Failed, 10)[0];
        let noted = || {
            let latest = system.failures(1).latest;
            latest.into_iter().find(|it| it.actor == fragile.id())
        };
        wait_until("it is noted", || noted().is_some());
        let failure = noted().expect("a moment ago");
        assert_eq!(failure.trace_id, Some(failed.trace_id), "{failure:#?}");
        assert!(of.is_none_or(|of| of == failed.trace_id));
        let trace = trace_of(&system, failed.trace_id, 1);
        let record = &trace.spans[0];
        assert!(record.outcome.to_string().contains(text), "{record:#?}");
        assert_eq!(record.actor, Some(fragile.id()));
        assert_eq!(record.actor_name.as_deref(), Some("glass"));
        assert!(record.worker.is_some() && !record.trace.is_sampled());
        wait_until("the name is free", || !fragile.is_alive());
    }
    assert!(system.traces(TraceList::Recent, 10).is_empty());
    assert!(system.flush_spans(PATIENCE));
    assert!(exported.lock().expect("no panic").is_empty());
    finish(system);
}

#[test]
fn a_start_that_fails_in_a_trace_says_so_there_and_in_the_record_of_the_failure() {
    struct Stillborn;
    impl Actor for Stillborn {
        async fn started(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
            Err("not today".into())
        }
    }
    let system = traced(0.0);
    let (context, id) = sampled();
    context.run(|| system.spawn(Stillborn)).expect("spawned");
    let trace = trace_of(&system, id, 1);
    let started = span(&trace, SpanKind::Started, "started");
    assert_eq!(started.outcome, SpanOutcome::Error("not today".into()));
    wait_until("it is noted", || !system.failures(1).latest.is_empty());
    let failure = &system.failures(1).latest[0];
    assert_eq!(
        (failure.trace_id, failure.message),
        (Some(id), Some("started"))
    );
    finish(system);
}

#[test]
fn a_task_that_fails_in_a_recorded_trace_has_a_span_in_it() {
    let system = traced(0.0);
    let fragile = system.spawn(|| Fragile).expect("spawned");
    let (context, id) = sampled();
    let asked = fragile.ask(Fail::InTask).context(context).blocking();
    asked.expect("answered");
    // The ask, its handling, the failure of the task, and the hook of the next life.
    let trace = trace_of(&system, id, 4);
    let handled = span(&trace, SpanKind::Handle, "Fail");
    let task = span(&trace, SpanKind::Handle, "attached task");
    assert_eq!(task.parent, Some(handled.span_id()));
    assert!(matches!(task.outcome, SpanOutcome::Panicked(_)));
    assert_eq!(
        span(&trace, SpanKind::Started, "started").parent,
        Some(handled.span_id())
    );
    finish(system);
}

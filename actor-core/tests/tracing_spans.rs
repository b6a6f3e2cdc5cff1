//! Traces that are recorded: which spans there are, under which, and what they say.

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{
    ActorId, Fate, SpanId, SpanKind, SpanOutcome, SpanRecord, TellSpans, TraceContext, TraceFlags,
    TraceList, TracingOptions,
};
use common::traces::{sampled, span, trace_of};
use common::*;
use tokio::sync::oneshot;

fn traced(options: TracingOptions) -> ActorSystem {
    ActorSystem::builder()
        .tracing(options)
        .build()
        .expect("a system starts")
}

fn all() -> ActorSystem {
    traced(TracingOptions::new().sample(1.0))
}

fn parent(of: &SpanRecord) -> Option<SpanId> {
    of.parent
}

/// Runs what it is sent.
struct Runner(u32);
impl Actor for Runner {}

type Job = Box<dyn FnOnce(&mut ActorContext<Runner>) + Send>;
struct Run(Job);
impl Message for Run {
    type Reply = ();
}
impl SyncHandler<Run> for Runner {
    fn handle(&mut self, Run(job): Run, cx: &mut ActorContext<Self>) {
        self.0 += 1;
        job(cx);
    }
}

fn job(f: impl FnOnce(&mut ActorContext<Runner>) + Send + 'static) -> Run {
    Run(Box::new(f))
}

/// Notes.
struct Note;
impl Message for Note {
    type Reply = ();
}
impl SyncHandler<Note> for Runner {
    fn handle(&mut self, _: Note, _cx: &mut ActorContext<Self>) {}
}

/// A message that waits for what it was given.
struct Wait(oneshot::Receiver<()>);
impl Message for Wait {
    type Reply = ();
}
impl Handler<Wait> for Runner {
    async fn handle(&mut self, Wait(gate): Wait, _cx: &mut ActorContext<Self>) {
        _ = gate.await;
    }
}

/// A message on which the actor asks another one, and then tells it.
struct AskThenTell(ActorRef<Runner>, oneshot::Receiver<()>);
impl Message for AskThenTell {
    type Reply = u64;
}
impl Handler<AskThenTell> for Runner {
    async fn handle(
        &mut self,
        AskThenTell(other, gate): AskThenTell,
        cx: &mut ActorContext<Self>,
    ) -> u64 {
        other.ask(job(|_| {})).await.expect("answered");
        // Over an await of something that is no actor.
        _ = gate.await;
        other.tell(Note).expect("told");
        cx.send_after(
            Duration::from_millis(1),
            job(move |_| {
                other.tell(Note).expect("told");
            }),
        );
        7
    }
}

#[test]
fn m16_one_trace_goes_from_an_ask_over_awaits_tells_and_timers() {
    let system = all();
    let front = system
        .actor(Runner(0))
        .name("front")
        .spawn()
        .expect("spawned");
    let back = system.spawn(Runner(0)).expect("spawned");
    let (open, gate) = oneshot::channel();
    let asked = std::thread::spawn(move || front.ask_blocking(AskThenTell(back, gate)));
    open.send(()).expect("waited for");
    assert_eq!(asked.join().expect("no panic").expect("answered"), 7);
    let [summary] = &system.traces(TraceList::Recent, 10)[..] else {
        panic!("one trace: {:#?}", system.traces(TraceList::Recent, 10));
    };
    // The ask, its handling; the ask in there, its handling; the tell's; the timer's, and its tell's.
    let trace = trace_of(&system, summary.trace_id, 7);
    let ask = span(&trace, SpanKind::Ask, "AskThenTell");
    let handled = span(&trace, SpanKind::Handle, "AskThenTell");
    let asked = span(&trace, SpanKind::Ask, "Run");
    let answered = span(&trace, SpanKind::Handle, "Run");
    let timer = span(&trace, SpanKind::Timer, "Run");
    assert_eq!(parent(ask), None);
    assert_eq!(parent(handled), Some(ask.span_id()));
    assert_eq!(parent(asked), Some(handled.span_id()));
    assert_eq!(parent(answered), Some(asked.span_id()));
    assert_eq!(parent(timer), Some(handled.span_id()));
    let notes: Vec<_> = trace
        .spans
        .iter()
        .filter(|span| span.message.ends_with("Note"))
        .collect();
    for by in [handled, timer] {
        let note = notes.iter().find(|note| note.parent == Some(by.span_id()));
        let note = note.expect("each has told");
        let link = note.link.expect("a tell is linked");
        assert_eq!((link.trace_id, link.span_id), (by.trace_id(), by.span_id()));
        assert_eq!(note.sender, by.actor);
    }
    assert_eq!(handled.actor, Some(front.id()));
    assert_eq!(handled.actor_name.as_deref(), Some("front"));
    assert_eq!(answered.sender, Some(front.id()));
    assert!(handled.worker.is_some() && handled.numa_node.is_some());
    assert_eq!(handled.sender, None, "from outside");
    // The handling lasts over its awaits, and within its ask.
    assert!(handled.ended() >= asked.ended() && ask.ended() >= handled.ended());
    assert!(handled.started <= asked.started);
    assert!(trace.spans.iter().all(|span| !span.is_error()));
    assert_eq!(system.stats().spans.dropped, 0);
    finish(system);
}

#[test]
fn what_a_message_waited_is_told_apart_from_the_work() {
    let system = all();
    let actor = system.spawn(Runner(0)).expect("spawned");
    let (open, gate) = oneshot::channel();
    actor.tell(Wait(gate)).expect("told");
    let (context, id) = sampled();
    context.run(|| actor.tell(Note)).expect("told");
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(5));
    let waited = began.elapsed();
    open.send(()).expect("waited for");
    let trace = trace_of(&system, id, 1);
    let note = span(&trace, SpanKind::Handle, "Note");
    assert!(note.queue_wait >= waited, "{note:#?}");
    assert_eq!(note.started, note.sent() + note.queue_wait);
    assert_eq!(trace.summary.queue_wait, note.queue_wait);
    finish(system);
}

#[test]
fn without_a_sampled_trace_nothing_is_recorded() {
    let system = ActorSystem::new().expect("a system starts");
    let actor = system.spawn(Runner(0)).expect("spawned");
    actor
        .ask_blocking(job(|cx| assert!(cx.context().is_empty())))
        .expect("answered");
    // Nor where it was decided elsewhere, whatever this system would decide.
    system.set_sampling(1.0).expect("a share");
    let id = TraceContext::new_root(true).trace_id();
    let span = TraceContext::new_root(true).span_id();
    let unsampled = Context::empty().with_trace(TraceContext::new(id, span, TraceFlags::NONE));
    let other = system.spawn(Runner(0)).expect("spawned");
    let asked = actor
        .ask(AskThenTell(other, oneshot::channel().1))
        .context(unsampled);
    assert_eq!(asked.blocking().expect("answered"), 7);
    settle(&system);
    let spans = system.stats().spans;
    assert_eq!(
        (spans.offered, spans.recorded, spans.kept_traces),
        (0, 0, 0)
    );
    finish(system);
}

#[test]
fn switched_off_even_sampled_traces_are_only_passed_on() {
    let system = traced(TracingOptions::off());
    let actor = system.spawn(Runner(0)).expect("spawned");
    let (context, id) = sampled();
    let trace = context.trace().cloned();
    let (send, seen) = mpsc::channel();
    let report = job(move |cx| {
        send.send(cx.context().trace().cloned())
            .expect("waited for")
    });
    actor
        .ask(report)
        .context(context)
        .blocking()
        .expect("answered");
    assert_eq!(seen.recv().expect("sent"), trace);
    assert!(system.trace(id).is_none());
    system.set_sampling(1.0).expect("a share");
    actor.ask_blocking(Note).expect("answered");
    assert_eq!(system.stats().spans.offered, 0);
    finish(system);
}

#[test]
fn a_share_of_the_traces_that_begin_outside_is_recorded_and_whole() {
    let system = traced(TracingOptions::new().sample(0.25));
    let actor = system.spawn(Runner(0)).expect("spawned");
    let other = system.spawn(Runner(0)).expect("spawned");
    for _ in 0..100 {
        let (_, gate) = oneshot::channel();
        actor
            .ask_blocking(AskThenTell(other, gate))
            .expect("answered");
    }
    settle(&system);
    wait_until("all timers have fired", || {
        system.stats().messages.handled >= 500
    });
    let traces = system.traces(TraceList::Recent, 1000);
    assert!((24..=26).contains(&traces.len()), "{}", traces.len());
    assert!(traces.iter().all(|trace| trace.spans == 7), "{traces:#?}");
    assert!(system.set_sampling(1.5).is_err());
    assert!(system.set_sampling(f64::NAN).is_err());
    finish(system);
}

#[test]
fn how_tells_are_drawn_can_be_chosen() {
    for how in [TellSpans::Linked, TellSpans::Child, TellSpans::NewTrace] {
        let system = traced(TracingOptions::new().sample(0.0).tell_spans(how));
        let actor = system.spawn(Runner(0)).expect("spawned");
        let other = system.spawn(Runner(0)).expect("spawned");
        let (context, id) = sampled();
        let tell = job(move |_| other.tell(Note).expect("told"));
        actor
            .ask(tell)
            .context(context)
            .blocking()
            .expect("answered");
        settle(&system);
        let of_two = if how == TellSpans::NewTrace { 2 } else { 3 };
        let trace = trace_of(&system, id, of_two);
        let sender = span(&trace, SpanKind::Handle, "Run");
        let notes = system
            .traces(TraceList::Recent, 10)
            .into_iter()
            .filter_map(|trace| system.trace(trace.trace_id))
            .flat_map(|trace| trace.spans);
        let note = notes
            .into_iter()
            .find(|span| span.message.ends_with("Note"))
            .expect("recorded");
        let link = note.link.map(|link| (link.trace_id, link.span_id));
        let to_sender = Some((id, sender.span_id()));
        match how {
            TellSpans::NewTrace => {
                assert_ne!(note.trace_id(), id);
                assert_eq!((note.parent, link), (None, to_sender));
            }
            TellSpans::Child => assert_eq!((note.parent, link), (Some(sender.span_id()), None)),
            _ => assert_eq!((note.parent, link), (Some(sender.span_id()), to_sender)),
        }
        finish(system);
    }
}

#[test]
fn a_panic_and_the_restart_it_causes_are_in_the_trace() {
    struct Fragile(ActorRef<Runner>);
    impl Actor for Fragile {
        async fn started(&mut self, _cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
            // In the context of what has caused the restart.
            self.0.tell(Note)?;
            Ok(())
        }
    }
    struct Break;
    impl Message for Break {
        type Reply = ();
    }
    impl SyncHandler<Break> for Fragile {
        fn handle(&mut self, _: Break, _cx: &mut ActorContext<Self>) {
            panic!("broken on purpose");
        }
    }
    let system = traced(TracingOptions::new());
    let log = system.spawn(Runner(0)).expect("spawned");
    let fragile = system.spawn(move || Fragile(log)).expect("spawned");
    let (context, id) = sampled();
    let failed = fragile.ask(Break).context(context).blocking();
    assert!(
        matches!(failed, Err(AskError::Panicked { .. })),
        "{failed:?}"
    );
    // The ask, the handling, the hook of the next life, and what that has told.
    let trace = trace_of(&system, id, 4);
    let handled = span(&trace, SpanKind::Handle, "Break");
    assert_eq!(
        handled.outcome,
        SpanOutcome::Panicked("broken on purpose".into())
    );
    let ask = span(&trace, SpanKind::Ask, "Break");
    assert_eq!(ask.outcome, SpanOutcome::Failed(Fate::Panicked));
    let started = span(&trace, SpanKind::Started, "started");
    assert_eq!(
        (started.parent, started.restarts),
        (Some(handled.span_id()), 1)
    );
    assert_eq!(
        span(&trace, SpanKind::Handle, "Note").parent,
        Some(started.span_id())
    );
    let failed = system.traces(TraceList::Failed, 10);
    assert_eq!(failed.len(), 1);
    assert_eq!((failed[0].trace_id, failed[0].errors), (id, 2));
    finish(system);
}

#[test]
fn actors_that_are_spawned_and_stopped_by_a_trace_have_their_hooks_in_it() {
    struct Child;
    impl Actor for Child {
        async fn stopped(&mut self, _why: &StopReason, _cx: &mut ActorContext<Self>) {
            tokio::task::yield_now().await;
        }
    }
    impl SyncHandler<Note> for Child {
        fn handle(&mut self, _: Note, cx: &mut ActorContext<Self>) {
            cx.stop();
        }
    }
    let system = traced(TracingOptions::new());
    let actor = system.spawn(Runner(0)).expect("spawned");
    let (context, id) = sampled();
    let spawn = job(|cx| cx.spawn(Child).expect("spawned").tell(Note).expect("told"));
    actor
        .ask(spawn)
        .context(context)
        .blocking()
        .expect("answered");
    let trace = trace_of(&system, id, 5);
    let by = span(&trace, SpanKind::Handle, "Run");
    let note = span(&trace, SpanKind::Handle, "Note");
    assert_eq!(
        span(&trace, SpanKind::Started, "started").parent,
        Some(by.span_id())
    );
    assert_eq!(
        span(&trace, SpanKind::Stopped, "stopped").parent,
        Some(note.span_id())
    );
    finish(system);
}

#[test]
fn messages_that_are_not_handled_have_spans_that_say_why() {
    let system = traced(TracingOptions::new());
    let actor = system.spawn(Runner(0)).expect("spawned");
    let (open, gate) = oneshot::channel();
    actor.tell(Wait(gate)).expect("told");
    // It must be sent before its time is over: with more time until it was.
    let accepted = || system.stats().messages.accepted;
    let (before, mut limit) = (accepted(), Duration::from_millis(1));
    let expired = loop {
        let (late, expired) = sampled();
        let late = late.with_timeout(limit);
        let asked = actor.ask(Note).context(late).blocking();
        assert!(matches!(asked, Err(AskError::Expired { .. })), "{asked:?}");
        if accepted() > before {
            break expired;
        }
        limit *= 2;
    };
    let (context, dead) = sampled();
    context.run(|| actor.tell(Note)).expect("told");
    actor.stop();
    open.send(()).expect("waited for");
    // The ask that gave up, and its message, which was never handled.
    let trace = trace_of(&system, expired, 2);
    let ask = span(&trace, SpanKind::Ask, "Note");
    assert_eq!(ask.outcome, SpanOutcome::Failed(Fate::Expired));
    let skipped = span(&trace, SpanKind::Handle, "Note");
    assert!(
        matches!(skipped.outcome, SpanOutcome::Failed(_)),
        "{skipped:#?}"
    );
    assert_eq!(skipped.parent, Some(ask.span_id()));
    let trace = trace_of(&system, dead, 1);
    let letter = span(&trace, SpanKind::Handle, "Note");
    assert_eq!(letter.outcome, SpanOutcome::Failed(Fate::ActorStopped));
    assert_eq!(letter.actor, Some(actor.id()));
    // Refused at once: there is no message, only the ask.
    wait_until("it has stopped", || !actor.is_alive());
    let (context, id) = sampled();
    let refused = actor.ask(Note).context(context).blocking();
    assert!(matches!(refused, Err(AskError::Dead { .. })), "{refused:?}");
    let trace = trace_of(&system, id, 1);
    assert_eq!(
        span(&trace, SpanKind::Ask, "Note").outcome,
        SpanOutcome::Failed(Fate::ActorStopped)
    );
    finish(system);
}

#[test]
fn an_ask_that_is_given_up_says_so() {
    let system = traced(TracingOptions::new());
    let actor = system.spawn(Runner(0)).expect("spawned");
    let (open, gate) = oneshot::channel();
    actor.tell(Wait(gate)).expect("told");
    let (context, id) = sampled();
    let mut ask = Box::pin(actor.ask(Note).context(context));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(ask.as_mut().poll(&mut cx).is_pending());
    drop(ask);
    open.send(()).expect("waited for");
    let trace = trace_of(&system, id, 2);
    assert_eq!(
        span(&trace, SpanKind::Ask, "Note").outcome,
        SpanOutcome::Abandoned
    );
    let outcome = &span(&trace, SpanKind::Handle, "Note").outcome;
    assert_eq!(*outcome, SpanOutcome::Failed(Fate::Abandoned));
    finish(system);
}

#[test]
fn work_that_blocks_is_in_the_trace_and_what_it_sends_too() {
    struct Blocker(ActorRef<Runner>);
    impl Actor for Blocker {}
    impl Handler<Note> for Blocker {
        async fn handle(&mut self, _: Note, cx: &mut ActorContext<Self>) {
            let other = self.0;
            cx.blocking(move || other.ask_blocking(Note))
                .await
                .expect("run")
                .expect("answered");
        }
    }
    let system = traced(TracingOptions::new());
    let other = system.spawn(Runner(0)).expect("spawned");
    let blocker = system.spawn(Blocker(other)).expect("spawned");
    let (context, id) = sampled();
    blocker
        .ask(Note)
        .context(context)
        .blocking()
        .expect("answered");
    let trace = trace_of(&system, id, 5);
    let work = trace
        .spans
        .iter()
        .find(|span| span.kind == SpanKind::Blocking)
        .expect("a span");
    let under = |kind, parent| {
        let found = trace
            .spans
            .iter()
            .find(|span| span.kind == kind && span.parent == Some(parent));
        found.expect("a span").span_id()
    };
    assert_eq!(work.actor, Some(blocker.id()));
    let inner = under(SpanKind::Ask, work.span_id());
    under(SpanKind::Handle, inner);
    let outer = work.parent.expect("of the handling");
    let outer = trace
        .spans
        .iter()
        .find(|span| span.span_id() == outer)
        .expect("a span");
    assert_eq!(
        (outer.kind, outer.actor),
        (SpanKind::Handle, Some(blocker.id()))
    );
    finish(system);
}

#[test]
fn work_that_blocks_decides_nothing_again() {
    struct Blocker(ActorRef<Runner>);
    impl Actor for Blocker {}
    impl Handler<Note> for Blocker {
        async fn handle(&mut self, _: Note, cx: &mut ActorContext<Self>) {
            let other = self.0;
            cx.blocking(move || other.ask_blocking(Note))
                .await
                .expect("run")
                .expect("answered");
        }
    }
    let system = traced(TracingOptions::new());
    let other = system.spawn(Runner(0)).expect("spawned");
    let blocker = system.spawn(Blocker(other)).expect("spawned");
    // Sent from inside, so not decided on here.
    let (done, told) = mpsc::channel();
    let tell = job(move |_| {
        blocker.tell(Note).expect("told");
        _ = done.send(());
    });
    other.tell(tell).expect("told");
    told.recv().expect("told");
    system.set_sampling(1.0).expect("a share");
    settle(&system);
    assert_eq!(system.stats().spans.offered, 0);
    finish(system);
}

#[test]
fn a_message_that_is_put_aside_waits_on_and_has_one_span() {
    #[derive(Default)]
    struct Door(bool);
    impl Actor for Door {}
    impl SyncHandler<Note> for Door {
        fn accepts(&self, _: &Note) -> Accept {
            if self.0 { Accept::Now } else { Accept::Later }
        }
        fn handle(&mut self, _: Note, _cx: &mut ActorContext<Self>) {}
    }
    struct Open;
    impl Message for Open {
        type Reply = ();
    }
    impl SyncHandler<Open> for Door {
        fn handle(&mut self, _: Open, cx: &mut ActorContext<Self>) {
            self.0 = true;
            cx.unstash_all();
        }
    }
    let system = traced(TracingOptions::new());
    let door = system.spawn(Door::default()).expect("spawned");
    let (context, id) = sampled();
    context.run(|| door.tell(Note)).expect("told");
    let began = Instant::now();
    std::thread::sleep(Duration::from_millis(2));
    let waited = began.elapsed();
    door.ask(Open).blocking().expect("answered");
    settle(&system);
    let trace = trace_of(&system, id, 1);
    assert!(span(&trace, SpanKind::Handle, "Note").queue_wait >= waited);
    assert!(!trace.spans[0].is_error());
    finish(system);
}

#[test]
fn an_ask_that_is_handed_on_goes_through_both_actors() {
    struct Desk(ActorRef<Runner>);
    impl Actor for Desk {}
    impl DeferredHandler<Note> for Desk {
        fn handle(&mut self, note: Note, reply: Reply<()>, cx: &mut ActorContext<Self>) {
            cx.forward(self.0, note, reply).expect("handed on");
        }
    }
    let system = traced(TracingOptions::new());
    let other = system.spawn(Runner(0)).expect("spawned");
    let desk = system.spawn(Desk(other)).expect("spawned");
    let (context, id) = sampled();
    desk.ask(Note)
        .context(context)
        .blocking()
        .expect("answered");
    let trace = trace_of(&system, id, 3);
    let by = |actor: ActorId, kind| {
        let found = trace
            .spans
            .iter()
            .find(|span| span.actor == Some(actor) && span.kind == kind);
        found.expect("a span")
    };
    let (ask, first) = (
        by(desk.id(), SpanKind::Ask),
        by(desk.id(), SpanKind::Handle),
    );
    assert_eq!(first.parent, Some(ask.span_id()));
    assert_eq!(
        by(other.id(), SpanKind::Handle).parent,
        Some(first.span_id())
    );
    finish(system);
}

#[test]
fn spans_of_others_are_taken_in() {
    let system = traced(TracingOptions::new());
    let root = TraceContext::new_root(true);
    let started = std::time::SystemTime::now();
    let request = SpanRecord::new(root.clone(), SpanKind::Request, "GET", started);
    system.record_span(request.clone());
    let unsampled = TraceContext::new(root.trace_id(), root.span_id(), TraceFlags::NONE);
    system.record_span(SpanRecord::new(
        unsampled,
        SpanKind::Request,
        "GET",
        started,
    ));
    let trace = trace_of(&system, root.trace_id(), 1);
    assert_eq!(trace.summary.kind, SpanKind::Request);
    finish(system);
}

#[test]
fn an_actor_s_stop_in_between_loses_no_span() {
    // Handlers that are cut off while they wait.
    let system = traced(TracingOptions::new());
    let seen = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..20 {
        let actor = system.spawn(Runner(0)).expect("spawned");
        let (context, id) = sampled();
        let (_keep, gate) = oneshot::channel();
        let begun = context.run(|| actor.tell(Wait(gate)));
        begun.expect("told");
        actor.stop_with(actor_core::StopMode::Kill);
        seen.lock().expect("no panic").push((id, _keep));
    }
    for (id, _) in seen.lock().expect("no panic").iter() {
        let trace = trace_of(&system, *id, 1);
        assert!(trace.spans[0].is_error(), "{:#?}", trace.spans);
    }
    finish(system);
}

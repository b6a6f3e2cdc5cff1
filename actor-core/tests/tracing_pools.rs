//! One trace over a pool: whoever asks, the router that picks a worker, the worker, what it sends, and the answer. The
//! router is an actor as users write it: it hands an ask on, tells all of its workers, or asks all of them, and they
//! are its children, which start again when they fail.

mod common;

use std::pin::Pin;
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{
    ActorId, Call, DeferredHandler, Fate, Reply, SpanKind, SpanOutcome, SpanRecord, Trace,
    TraceList, TracingOptions,
};
use common::traces::{sampled, span, trace_of};
use common::*;
use tokio::sync::oneshot;

const WORKERS: usize = 3;

/// Where workers put what they have made.
#[derive(Default)]
struct Store(u64);
impl Actor for Store {}

struct Put(u64);
impl Message for Put {
    type Reply = u64;
}
impl SyncHandler<Put> for Store {
    fn handle(&mut self, Put(n): Put, _cx: &mut ActorContext<Self>) -> u64 {
        self.0 += n;
        self.0
    }
}

/// Told, of what was done.
struct Note;
impl Message for Note {
    type Reply = ();
}
impl SyncHandler<Note> for Store {
    fn handle(&mut self, _: Note, _cx: &mut ActorContext<Self>) {}
}

struct Worker(ActorRef<Store>);
impl Actor for Worker {}

#[derive(Clone)]
struct Job(u64);
impl Message for Job {
    type Reply = u64;
}
impl Handler<Job> for Worker {
    async fn handle(&mut self, Job(n): Job, _cx: &mut ActorContext<Self>) -> u64 {
        assert!(n != 0, "nothing to do");
        self.0.ask(Put(n)).await.expect("it lives");
        self.0.tell(Note).expect("it lives");
        2 * n
    }
}

/// Keeps a worker busy.
struct Hold(oneshot::Receiver<()>);
impl Message for Hold {
    type Reply = ();
}
impl Handler<Hold> for Worker {
    async fn handle(&mut self, Hold(gate): Hold, _cx: &mut ActorContext<Self>) {
        _ = gate.await;
    }
}

/// The router.
struct Pool {
    store: ActorRef<Store>,
    workers: Vec<ActorRef<Worker>>,
    next: usize,
}

impl Actor for Pool {
    async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        let store = self.store;
        for _ in 0..WORKERS {
            self.workers.push(cx.spawn(move || Worker(store))?);
        }
        Ok(())
    }
}

impl DeferredHandler<Job> for Pool {
    fn handle(&mut self, job: Job, reply: Reply<u64>, cx: &mut ActorContext<Self>) {
        let worker = self.workers[self.next % WORKERS];
        self.next += 1;
        cx.forward(worker, job, reply).expect("handed on");
    }
}

/// For all of them, with nobody who waits.
struct Everyone(Job);
impl Message for Everyone {
    type Reply = ();
}
impl SyncHandler<Everyone> for Pool {
    fn handle(&mut self, Everyone(job): Everyone, _cx: &mut ActorContext<Self>) {
        for worker in &self.workers {
            worker.tell(job.clone()).expect("room");
        }
    }
}

/// The sum of what they answer.
struct Gather(Job);
impl Message for Gather {
    type Reply = u64;
}
impl Handler<Gather> for Pool {
    async fn handle(&mut self, Gather(job): Gather, _cx: &mut ActorContext<Self>) -> u64 {
        // All of them at once.
        let asked: Vec<_> = self
            .workers
            .iter()
            .map(|worker| tokio::spawn(Context::current().scope(worker.ask(job.clone()))))
            .collect();
        let mut sum = 0;
        for answer in asked {
            sum += answer.await.expect("no panic").expect("answered");
        }
        sum
    }
}

/// Hands on to a pool, at once or when it is told to.
struct Desk {
    pool: ActorRef<Pool>,
    keeps: bool,
    kept: Vec<(Job, Reply<u64>)>,
}
impl Actor for Desk {}
impl DeferredHandler<Job> for Desk {
    fn handle(&mut self, job: Job, reply: Reply<u64>, _cx: &mut ActorContext<Self>) {
        if self.keeps {
            self.kept.push((job, reply));
        } else {
            reply.forward(self.pool, job).expect("handed on");
        }
    }
}

struct HandOn;
impl Message for HandOn {
    type Reply = usize;
}
impl SyncHandler<HandOn> for Desk {
    fn handle(&mut self, _: HandOn, _cx: &mut ActorContext<Self>) -> usize {
        let jobs = self.kept.drain(..);
        jobs.map(|(job, reply)| reply.forward(self.pool, job).expect("handed on"))
            .count()
    }
}

struct Workers;
impl Message for Workers {
    type Reply = Vec<ActorRef<Worker>>;
}
impl SyncHandler<Workers> for Pool {
    fn handle(&mut self, _: Workers, _cx: &mut ActorContext<Self>) -> Vec<ActorRef<Worker>> {
        self.workers.clone()
    }
}

struct Scene {
    system: ActorSystem,
    pool: ActorRef<Pool>,
    workers: Vec<ActorRef<Worker>>,
}

impl Scene {
    fn new() -> Self {
        let options = TracingOptions::new();
        let system = ActorSystem::builder().tracing(options).build();
        let system = system.expect("a system starts");
        let store = system.spawn(Store::default()).expect("spawned");
        let pool = Pool {
            store,
            workers: Vec::new(),
            next: 0,
        };
        let pool = system.spawn(pool).expect("spawned");
        let workers = pool.ask_blocking(Workers).expect("answered");
        Self {
            system,
            pool,
            workers,
        }
    }
}

impl Scene {
    /// Asks, and sees the router hand it on. Nothing is waited for but that.
    fn asked(&self, job: Job, context: Context) -> Pin<Box<Call<Pool, Job>>> {
        let mut asked = Box::pin(self.pool.ask(job).context(context));
        let sent = self.system.block_on(poll_once(asked.as_mut()));
        assert!(sent.is_none(), "its worker is kept busy");
        // Behind it in the router's mailbox.
        self.pool.ask_blocking(Workers).expect("answered");
        asked
    }
}

/// The one span of that kind of that actor.
#[track_caller]
fn of(trace: &Trace, kind: SpanKind, actor: ActorId) -> &SpanRecord {
    let mut found = trace
        .spans
        .iter()
        .filter(|span| span.kind == kind && span.actor == Some(actor));
    match (found.next(), found.next()) {
        (Some(span), None) => span,
        _ => panic!("not one {kind} of {actor} in {:#?}", trace.spans),
    }
}

/// What the worker has sent while it handled this: an ask and its handling, and a tell.
#[track_caller]
fn sends_of(trace: &Trace, handled: &SpanRecord) {
    let below = |parent: &SpanRecord| -> Vec<&SpanRecord> {
        let parent = Some(parent.span_id());
        let spans = trace.spans.iter().map(|span| &**span);
        spans.filter(|span| span.parent == parent).collect()
    };
    let mut sent = below(handled);
    sent.sort_by_key(|span| span.kind == SpanKind::Ask);
    let [note, ask] = sent[..] else {
        panic!("of {handled:#?} there are {sent:#?}");
    };
    assert!(note.message.ends_with("Note") && ask.message.ends_with("Put"));
    assert_eq!((note.kind, ask.kind), (SpanKind::Handle, SpanKind::Ask));
    assert_eq!(note.sender, handled.actor);
    let link = note.link.expect("a tell is linked");
    assert_eq!(link.span_id, handled.span_id());
    let [put] = below(ask)[..] else {
        panic!("of {ask:#?} there are {:#?}", below(ask));
    };
    assert_eq!((put.kind, put.sender), (SpanKind::Handle, handled.actor));
    assert!(ask.started >= handled.started && ask.ended() <= handled.ended());
}

#[test]
fn an_ask_goes_over_the_router_to_a_worker_and_its_sends_and_back() {
    let scene = Scene::new();
    for worker in scene.workers.iter().chain(&scene.workers) {
        let (context, id) = sampled();
        let root = context.trace().expect("set").span_id();
        let asked = scene.pool.ask(Job(3)).context(context).blocking();
        assert_eq!(asked.expect("answered"), 6);
        // The ask, the router, the worker; its ask, that one's handling, and what it has told.
        let trace = trace_of(&scene.system, id, 6);
        let ask = span(&trace, SpanKind::Ask, "Job");
        let routed = of(&trace, SpanKind::Handle, scene.pool.id());
        let worked = of(&trace, SpanKind::Handle, worker.id());
        assert_eq!(ask.parent, Some(root));
        assert_eq!(routed.parent, Some(ask.span_id()));
        assert_eq!(worked.parent, Some(routed.span_id()));
        assert_eq!(worked.sender, Some(scene.pool.id()));
        assert!(worked.worker.is_some() && worked.numa_node.is_some());
        sends_of(&trace, worked);
        // The router is done when it has handed it on, the ask when the worker has answered.
        assert!(ask.started <= routed.started && ask.ended() >= worked.ended());
        assert!(trace.spans.iter().all(|span| !span.is_error()));
        assert_eq!(trace.summary.trace_id, id);
    }
    finish(scene.system);
}

#[test]
fn an_ask_that_is_handed_on_twice_is_below_each_in_turn() {
    let scene = Scene::new();
    let desk = Desk {
        pool: scene.pool,
        keeps: false,
        kept: Vec::new(),
    };
    let desk = scene.system.spawn(desk).expect("spawned");
    let (context, id) = sampled();
    let asked = desk.ask(Job(3)).context(context).blocking();
    assert_eq!(asked.expect("answered"), 6);
    let trace = trace_of(&scene.system, id, 7);
    let mut parent = span(&trace, SpanKind::Ask, "Job");
    for actor in [desk.id(), scene.pool.id(), scene.workers[0].id()] {
        let handled = of(&trace, SpanKind::Handle, actor);
        assert_eq!(handled.parent, Some(parent.span_id()));
        parent = handled;
    }
    sends_of(&trace, parent);
    finish(scene.system);
}

#[test]
fn what_is_handed_on_later_is_below_the_handling_that_took_it() {
    let scene = Scene::new();
    let desk = Desk {
        pool: scene.pool,
        keeps: true,
        kept: Vec::new(),
    };
    let desk = scene.system.spawn(desk).expect("spawned");
    let ((told, told_id), (asked, asked_id)) = (sampled(), sampled());
    told.run(|| desk.tell(Job(1))).expect("told");
    let mut answer = Box::pin(desk.ask(Job(2)).context(asked));
    let sent = scene.system.block_on(poll_once(answer.as_mut()));
    assert!(sent.is_none(), "it is kept");
    // By a handling in another trace.
    let (other, other_id) = sampled();
    let on = desk.ask(HandOn).context(other).blocking();
    assert_eq!(on.expect("answered"), 2);
    assert_eq!(scene.system.block_on(answer).expect("answered"), 4);
    for (id, spans, worker) in [(told_id, 6, 0), (asked_id, 7, 1)] {
        let trace = trace_of(&scene.system, id, spans);
        let kept = of(&trace, SpanKind::Handle, desk.id());
        let routed = of(&trace, SpanKind::Handle, scene.pool.id());
        let worked = of(&trace, SpanKind::Handle, scene.workers[worker].id());
        assert_eq!(routed.parent, Some(kept.span_id()));
        assert_eq!(worked.parent, Some(routed.span_id()));
        sends_of(&trace, worked);
    }
    trace_of(&scene.system, other_id, 2);
    finish(scene.system);
}

#[test]
fn what_a_job_waits_for_a_busy_worker_is_the_worker_s_span_s() {
    let scene = Scene::new();
    let (open, gate) = oneshot::channel();
    scene.workers[0].tell(Hold(gate)).expect("told");
    let (context, id) = sampled();
    let asked = scene.asked(Job(1), context);
    std::thread::sleep(Duration::from_millis(5));
    // Others of the pool do not wait, and what they do is no part of that trace.
    let (other, other_id) = sampled();
    let done = scene.pool.ask(Job(2)).context(other).blocking();
    assert_eq!(done.expect("answered"), 4);
    open.send(()).expect("waited for");
    assert_eq!(scene.system.block_on(asked).expect("answered"), 2);
    let trace = trace_of(&scene.system, id, 6);
    let worked = of(&trace, SpanKind::Handle, scene.workers[0].id());
    assert!(worked.queue_wait >= Duration::from_millis(5), "{worked:#?}");
    let other = trace_of(&scene.system, other_id, 6);
    of(&other, SpanKind::Handle, scene.workers[1].id());
    finish(scene.system);
}

#[test]
fn what_is_told_to_all_is_one_trace_with_each_of_them_below_the_router() {
    let scene = Scene::new();
    let (context, id) = sampled();
    context
        .run(|| scene.pool.tell(Everyone(Job(1))))
        .expect("told");
    let trace = trace_of(&scene.system, id, 1 + WORKERS * 4);
    let routed = span(&trace, SpanKind::Handle, "Everyone");
    for worker in &scene.workers {
        let worked = of(&trace, SpanKind::Handle, worker.id());
        assert_eq!(worked.parent, Some(routed.span_id()));
        assert_eq!(worked.sender, Some(scene.pool.id()));
        let link = worked.link.expect("a tell is linked");
        assert_eq!((link.trace_id, link.span_id), (id, routed.span_id()));
        sends_of(&trace, worked);
    }
    finish(scene.system);
}

#[test]
fn what_is_asked_of_all_is_one_trace_with_an_ask_for_each() {
    let scene = Scene::new();
    let (context, id) = sampled();
    let asked = scene.pool.ask(Gather(Job(1))).context(context).blocking();
    assert_eq!(asked.expect("answered"), 2 * WORKERS as u64);
    let trace = trace_of(&scene.system, id, 2 + WORKERS * 5);
    let routed = span(&trace, SpanKind::Handle, "Gather");
    for worker in &scene.workers {
        let ask = of(&trace, SpanKind::Ask, worker.id());
        let worked = of(&trace, SpanKind::Handle, worker.id());
        assert_eq!(ask.parent, Some(routed.span_id()));
        assert_eq!(worked.parent, Some(ask.span_id()));
        assert!(ask.ended() >= worked.ended() && ask.ended() <= routed.ended());
        sends_of(&trace, worked);
    }
    finish(scene.system);
}

#[test]
fn a_worker_that_starts_again_goes_on_in_the_traces_of_its_jobs() {
    let scene = Scene::new();
    let fragile = scene.workers[0];
    let (open, gate) = oneshot::channel();
    fragile.tell(Hold(gate)).expect("told");
    // One that fails, and behind it one that waits until the worker is there again.
    let pool = scene.pool;
    let (failing, failed_id) = sampled();
    let first = scene.asked(Job(0), failing.clone());
    let others = (0..WORKERS - 1).map(|_| pool.ask_blocking(Job(1)));
    others.for_each(|done| assert_eq!(done.expect("answered"), 2));
    let (waiting, waiting_id) = sampled();
    let second = scene.asked(Job(5), waiting);
    open.send(()).expect("waited for");
    let failed = scene.system.block_on(first);
    assert!(
        matches!(failed, Err(AskError::Panicked { .. })),
        "{failed:?}"
    );
    assert_eq!(scene.system.block_on(second).expect("answered"), 10);

    // The ask, the router, the worker that failed, and its new life.
    let trace = trace_of(&scene.system, failed_id, 4);
    let asked = span(&trace, SpanKind::Ask, "Job");
    let routed = of(&trace, SpanKind::Handle, pool.id());
    let worked = of(&trace, SpanKind::Handle, fragile.id());
    let started = of(&trace, SpanKind::Started, fragile.id());
    assert_eq!(asked.outcome, SpanOutcome::Failed(Fate::Panicked));
    assert_eq!(routed.parent, Some(asked.span_id()));
    // It has handed it on, which went well.
    assert_eq!(routed.outcome, SpanOutcome::Ok);
    assert_eq!(worked.parent, Some(routed.span_id()));
    let why = SpanOutcome::Panicked("nothing to do".into());
    assert_eq!((&worked.outcome, worked.restarts), (&why, 0));
    assert_eq!(started.parent, Some(worked.span_id()));
    assert_eq!(started.restarts, 1);
    let bad: Vec<_> = scene.system.traces(TraceList::Failed, 10);
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].trace_id, failed_id);

    // The one behind is handled by the new life, and its trace knows nothing of the failure.
    let trace = trace_of(&scene.system, waiting_id, 6);
    let worked = of(&trace, SpanKind::Handle, fragile.id());
    assert_eq!((&worked.outcome, worked.restarts), (&SpanOutcome::Ok, 1));
    assert!(worked.queue_wait > Duration::ZERO);
    sends_of(&trace, worked);

    // And the same trace tries again: over another worker, as the router has it.
    let again = pool.ask(Job(7)).context(failing).blocking();
    assert_eq!(again.expect("answered"), 14);
    let trace = trace_of(&scene.system, failed_id, 10);
    let worked = of(&trace, SpanKind::Handle, scene.workers[1].id());
    sends_of(&trace, worked);
    finish(scene.system);
}

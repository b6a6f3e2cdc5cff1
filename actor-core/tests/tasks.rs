//! M13, M16: futures that belong to an actor: reentrant handlers, continuations, results piped back.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actor_core::prelude::*;
use actor_core::{
    AttachError, Baggage, Reentrant, ReentrantError, ReentrantHandler, StopMode, TraceContext,
};
use common::{Gate, Shake, Tally, Token, finish, poll_once, settle, system, wait_until, within};
use tokio::sync::oneshot;

/// Notes what happens to it.
#[derive(Default)]
struct Log {
    lines: Vec<String>,
}
impl Actor for Log {}

struct Lines;
impl Message for Lines {
    type Reply = Vec<String>;
}
impl SyncHandler<Lines> for Log {
    fn handle(&mut self, _: Lines, _cx: &mut ActorContext<Self>) -> Vec<String> {
        self.lines.clone()
    }
}

struct Note(&'static str);
impl Message for Note {
    type Reply = ();
}
impl SyncHandler<Note> for Log {
    fn handle(&mut self, Note(line): Note, _cx: &mut ActorContext<Self>) {
        self.lines.push(line.to_owned());
    }
}

/// Notes, waits, notes again.
struct Wait(oneshot::Receiver<()>);
impl Message for Wait {
    type Reply = usize;
}
impl ReentrantHandler<Wait> for Log {
    async fn handle(this: Reentrant<Self>, Wait(released): Wait) -> usize {
        this.with(|log, _| log.lines.push("before".to_owned()));
        _ = released.await;
        this.with(|log, _| {
            log.lines.push("after".to_owned());
            log.lines.len()
        })
    }
}

struct Die;
impl Message for Die {
    type Reply = ();
}
impl SyncHandler<Die> for Log {
    fn handle(&mut self, _: Die, _cx: &mut ActorContext<Self>) {
        panic!("on purpose");
    }
}

#[test]
fn m13_other_messages_are_handled_while_a_reentrant_handler_waits() {
    let system = system();
    let log = system.spawn(Log::default).unwrap();
    system.block_on(async {
        let (release, released) = oneshot::channel();
        let mut waiting = Box::pin(log.ask(Wait(released)));
        assert!(poll_once(waiting.as_mut()).await.is_none());
        // In order up to its first await.
        log.tell(Note("meanwhile")).unwrap();
        assert_eq!(
            within(log.ask(Lines)).await.unwrap(),
            ["before", "meanwhile"]
        );
        assert_eq!(system.stats().actors.attached_tasks, 1);
        release.send(()).unwrap();
        assert_eq!(within(waiting).await.unwrap(), 3);
    });
    wait_until("the task is over", || {
        system.stats().actors.attached_tasks == 0
    });
    assert_eq!(settle(&system).handled, 3);
    finish(system);
}

#[test]
fn m13_a_circle_through_a_reentrant_handler_works() {
    /// Passes a number round the ring until it is zero.
    struct Member {
        next: Option<ActorRef<Self>>,
    }
    impl Actor for Member {}
    struct Round(u32);
    impl Message for Round {
        type Reply = u32;
    }
    impl ReentrantHandler<Round> for Member {
        async fn handle(this: Reentrant<Self>, Round(n): Round) -> u32 {
            if n == 0 {
                return 0;
            }
            let next = this.with(|member, _| member.next.expect("the ring is closed"));
            next.ask(Round(n - 1)).await.unwrap() + 1
        }
    }
    struct Meet(ActorRef<Member>);
    impl Message for Meet {
        type Reply = ();
    }
    impl SyncHandler<Meet> for Member {
        fn handle(&mut self, Meet(next): Meet, _cx: &mut ActorContext<Self>) {
            self.next = Some(next);
        }
    }
    let system = system();
    for ring in 1..=8_usize {
        let members: Vec<_> = (0..ring)
            .map(|_| system.spawn(Member { next: None }).unwrap())
            .collect();
        for (n, member) in members.iter().enumerate() {
            member.ask_blocking(Meet(members[(n + 1) % ring])).unwrap();
        }
        let rounds = ring as u32 * 3 + 1;
        let ask = members[0].ask(Round(rounds)).within(common::PATIENCE);
        assert_eq!(ask.blocking().unwrap(), rounds, "a ring of {ring}");
    }
    finish(system);
}

#[test]
fn m08_a_reentrant_handler_is_cut_off_with_the_life_of_its_actor() {
    for how in ["stop", "kill", "panic"] {
        let system = system();
        let log = system
            .actor(Log::default)
            .restart(Restart::Permanent)
            .spawn()
            .unwrap();
        system.block_on(async {
            let (release, released) = oneshot::channel();
            let mut waiting = Box::pin(log.ask(Wait(released)));
            assert!(poll_once(waiting.as_mut()).await.is_none());
            log.tell(Note("meanwhile")).unwrap();
            assert_eq!(within(log.ask(Lines)).await.unwrap().len(), 2);
            match how {
                "stop" => log.stop(),
                "kill" => log.stop_with(StopMode::Kill),
                _ => _ = within(log.ask(Die)).await.unwrap_err(),
            }
            let error = within(waiting).await.unwrap_err();
            assert!(
                matches!(error, AskError::Dead { message: None, .. }),
                "{how}: {error:?}"
            );
            assert!(release.send(()).is_err(), "{how}: its future is gone");
            if how != "kill" {
                // The next life has nothing of it.
                assert!(within(log.ask(Lines)).await.unwrap().is_empty());
            }
        });
        assert_eq!(system.stats().actors.attached_tasks, 0);
        finish(system);
    }
}

#[test]
fn m08_a_panic_in_a_reentrant_handler_is_the_actors_and_the_asker_hears_of_it() {
    struct Burst {
        later: bool,
    }
    impl Message for Burst {
        type Reply = ();
    }
    impl ReentrantHandler<Burst> for Log {
        async fn handle(this: Reentrant<Self>, burst: Burst) {
            if burst.later {
                tokio::task::yield_now().await;
            }
            this.with(|_, _| panic!("on purpose"));
        }
    }
    let system = system();
    let log = system
        .actor(Log::default)
        .restart(Restart::Permanent)
        .spawn()
        .unwrap();
    for later in [false, true] {
        log.ask_blocking(Note("old")).unwrap();
        let error = log.ask_blocking(Burst { later }).unwrap_err();
        assert!(matches!(error, AskError::Panicked { .. }), "{error:?}");
        assert!(log.ask_blocking(Lines).unwrap().is_empty(), "a new life");
    }
    let books = settle(&system);
    // The first panicked in its message's place, the second after it.
    assert_eq!(books.dropped.panicked, 1);
    let actors = system.stats().actors;
    assert_eq!((actors.panics, actors.restarts), (2, 2));
    finish(system);
}

#[test]
fn m13_the_state_is_lent_in_its_own_tasks_only_and_once_at_a_time() {
    struct Escape(std::sync::mpsc::Sender<Reentrant<Log>>);
    impl Message for Escape {
        type Reply = [Result<(), ReentrantError>; 3];
    }
    impl ReentrantHandler<Escape> for Log {
        async fn handle(
            this: Reentrant<Self>,
            Escape(send): Escape,
        ) -> [Result<(), ReentrantError>; 3] {
            send.send(this.clone()).unwrap();
            let there = this.clone();
            let elsewhere = tokio::spawn(async move { there.try_with(|_, _| ()) })
                .await
                .unwrap();
            let within = this.with(|_, _| this.try_with(|_, _| ()));
            [this.try_with(|_, _| ()), elsewhere, within]
        }
    }
    struct Use(Reentrant<Log>);
    impl Message for Use {
        type Reply = Result<(), ReentrantError>;
    }
    impl SyncHandler<Use> for Log {
        fn handle(
            &mut self,
            Use(handle): Use,
            _cx: &mut ActorContext<Self>,
        ) -> Result<(), ReentrantError> {
            handle.try_with(|_, _| ())
        }
    }
    let system = system();
    let log = system.spawn(Log::default).unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let [here, elsewhere, again] = log.ask_blocking(Escape(send)).unwrap();
    let actor = log.id();
    assert_eq!(here, Ok(()));
    assert_eq!(elsewhere, Err(ReentrantError::NotHere { actor }));
    assert_eq!(again, Err(ReentrantError::Lent { actor }));
    let handle = receive.recv().unwrap();
    // On a foreign thread, and in a plain handler of the very actor.
    let refused = Err(ReentrantError::NotHere { actor });
    assert_eq!(handle.try_with(|_, _| ()), refused);
    assert_eq!(log.ask_blocking(Use(handle)).unwrap(), refused);
    finish(system);
}

/// What an actor that asks others knows.
#[derive(Default)]
struct Asker {
    got: Vec<Result<usize, String>>,
    traces: Vec<Option<TraceContext>>,
}
impl Actor for Asker {}
struct AskThen(ActorRef<Log>);
impl Message for AskThen {
    type Reply = ();
}
impl SyncHandler<AskThen> for Asker {
    fn handle(&mut self, AskThen(log): AskThen, cx: &mut ActorContext<Self>) {
        let call = log.ask(Lines);
        cx.ask_then(call, |asker, lines, cx| {
            let got = lines.map(|lines| lines.len());
            asker.got.push(got.map_err(|error| error.to_string()));
            asker.traces.push(cx.context().trace().cloned());
        })
        .unwrap();
        // In order: the ask went first.
        log.tell(Note("after the ask")).unwrap();
    }
}
struct Got;
impl Message for Got {
    type Reply = (Vec<Result<usize, String>>, Vec<Option<TraceContext>>);
}
impl SyncHandler<Got> for Asker {
    fn handle(
        &mut self,
        _: Got,
        _cx: &mut ActorContext<Self>,
    ) -> (Vec<Result<usize, String>>, Vec<Option<TraceContext>>) {
        (self.got.clone(), self.traces.clone())
    }
}

#[test]
fn m16_ask_then_goes_on_with_the_state_and_the_context() {
    let system = system();
    let log = system.spawn(Log::default).unwrap();
    let asker = system.spawn(Asker::default).unwrap();
    let trace = TraceContext::new_root(true);
    let context = Context::empty().with_trace(trace.clone());
    context.run(|| asker.tell(AskThen(log))).unwrap();
    asker.tell(AskThen(log)).unwrap();
    wait_until("both are answered", || {
        asker.ask_blocking(Got).unwrap().0.len() == 2
    });
    let (got, traces) = asker.ask_blocking(Got).unwrap();
    assert_eq!(got, [Ok(0), Ok(1)]);
    // The trace; the span in force is that of the handling.
    let ids: Vec<_> = traces
        .iter()
        .map(|trace| trace.as_ref().map(TraceContext::trace_id))
        .collect();
    assert_eq!(ids, [Some(trace.trace_id()), None]);
    // An ask that fails goes on as well.
    log.stop();
    wait_until("it is dead", || !log.is_alive());
    struct AskDead(ActorRef<Log>);
    impl Message for AskDead {
        type Reply = ();
    }
    impl SyncHandler<AskDead> for Asker {
        fn handle(&mut self, AskDead(log): AskDead, cx: &mut ActorContext<Self>) {
            let then =
                |asker: &mut Self, lines: Result<Vec<String>, AskError<Lines>>, _: &mut _| {
                    asker
                        .got
                        .push(lines.map(|_| 0).map_err(|error| error.to_string()));
                };
            cx.ask_then(log.ask(Lines), then).unwrap();
        }
    }
    asker.ask_blocking(AskDead(log)).unwrap();
    wait_until("it failed", || {
        asker.ask_blocking(Got).unwrap().0.len() == 3
    });
    assert!(asker.ask_blocking(Got).unwrap().0[2].is_err());
    finish(system);
}

/// Pipes results to itself.
#[derive(Default)]
struct Pipe {
    got: Vec<u32>,
    baggage: Option<String>,
}
impl Actor for Pipe {}
struct Start(u32);
impl Message for Start {
    type Reply = usize;
}
struct Piped(u32);
impl Message for Piped {
    type Reply = ();
}
impl SyncHandler<Start> for Pipe {
    fn handle(&mut self, Start(n): Start, cx: &mut ActorContext<Self>) -> usize {
        for n in 0..n {
            let work = async move {
                for _ in 0..n % 3 {
                    tokio::task::yield_now().await;
                }
                n
            };
            cx.pipe_to_self(work, Piped).unwrap();
        }
        cx.attached_tasks()
    }
}
impl SyncHandler<Piped> for Pipe {
    fn handle(&mut self, Piped(n): Piped, cx: &mut ActorContext<Self>) {
        self.baggage = cx.context().baggage().get("who").map(str::to_owned);
        assert!(cx.deadline().is_none(), "the asker's deadline ends with it");
        self.got.push(n);
    }
}
struct Sum;
impl Message for Sum {
    type Reply = (usize, u32, Option<String>);
}
impl SyncHandler<Sum> for Pipe {
    fn handle(&mut self, _: Sum, _cx: &mut ActorContext<Self>) -> (usize, u32, Option<String>) {
        (self.got.len(), self.got.iter().sum(), self.baggage.clone())
    }
}

#[test]
fn m16_results_are_piped_to_a_full_mailbox_too_and_none_is_lost() {
    const N: u32 = 500;
    let system = system();
    let pipe = system
        .actor(Pipe::default)
        .mailbox(Mailbox::bounded(2).overflow(Overflow::Reject))
        .spawn()
        .unwrap();
    let baggage = Baggage::empty().with("who", "me").unwrap();
    let context = Context::empty()
        .with_baggage(baggage)
        .with_timeout(common::PATIENCE);
    let attached = pipe.ask(Start(N)).context(context).blocking().unwrap();
    assert_eq!(attached, N as usize);
    let sum = || loop {
        if let Ok(sum) = pipe.ask_blocking(Sum) {
            return sum;
        }
    };
    wait_until("all have come", || sum().0 == N as usize);
    assert_eq!(sum(), (N as usize, N * (N - 1) / 2, Some("me".to_owned())));
    settle(&system);
    assert_eq!(system.stats().actors.attached_tasks, 0);
    finish(system);
}

#[test]
fn m06_tasks_are_dropped_once_when_they_are_cancelled_or_their_actor_stops() {
    struct Hold {
        n: usize,
        tally: Tally,
        cancel: bool,
    }
    impl Message for Hold {
        type Reply = Vec<actor_core::Attached>;
    }
    impl SyncHandler<Hold> for Log {
        fn handle(&mut self, hold: Hold, cx: &mut ActorContext<Self>) -> Vec<actor_core::Attached> {
            let attach = |_| {
                let token: Token = hold.tally.token();
                let never = async move {
                    std::future::pending::<()>().await;
                    drop(token);
                };
                let attached = cx.attach(never, |_, (), _| unreachable!("never ready"));
                let attached = attached.unwrap();
                if hold.cancel {
                    drop(attached.clone().cancel_on_drop());
                }
                attached
            };
            (0..hold.n).map(attach).collect()
        }
    }
    let system = system();
    let log = system.spawn(Log::default).unwrap();
    let tally = Tally::new();
    let hold = |cancel| Hold {
        n: 100,
        tally: tally.clone(),
        cancel,
    };
    let cancelled = log.ask_blocking(hold(true)).unwrap();
    wait_until("they are over", || {
        cancelled.iter().all(actor_core::Attached::is_over)
    });
    assert_eq!(tally.alive(), 0);
    let kept = log.ask_blocking(hold(false)).unwrap();
    assert_eq!(tally.alive(), 100);
    log.stop();
    tally.all_dropped();
    wait_until("they are over", || {
        kept.iter().all(actor_core::Attached::is_over)
    });
    // Nothing comes of that.
    kept.iter().for_each(actor_core::Attached::cancel);
    settle(&system);
    assert_eq!(system.stats().actors.attached_tasks, 0);
    finish(system);
}

#[test]
fn m03_an_actor_has_no_more_tasks_than_it_may() {
    struct Fill(u32);
    impl Message for Fill {
        type Reply = Option<AttachError>;
    }
    impl SyncHandler<Fill> for Log {
        fn handle(
            &mut self,
            Fill(limit): Fill,
            cx: &mut ActorContext<Self>,
        ) -> Option<AttachError> {
            cx.limit_attached_tasks(limit);
            for _ in 0..limit {
                cx.attach_task(|_| std::future::pending()).unwrap();
            }
            cx.attach(async {}, |_, (), _| ()).err()
        }
    }
    let system = system();
    let log = system.spawn(Log::default).unwrap();
    let error = log.ask_blocking(Fill(3)).unwrap().unwrap();
    assert_eq!(error, AttachError::TooMany { limit: 3 });
    assert!(error.to_string().contains('3'), "{error}");
    // A reentrant message finds no place either: its asker is not left waiting.
    let (_release, released) = oneshot::channel();
    let error = log.ask_blocking(Wait(released)).unwrap_err();
    assert!(matches!(error, AskError::NoReply { .. }), "{error:?}");
    finish(system);
}

#[test]
fn x01_a_draining_actor_finishes_what_it_has_promised() {
    let system = system();
    let log = system.spawn(Log::default).unwrap();
    system.block_on(async {
        let (release, released) = oneshot::channel();
        let mut waiting = Box::pin(log.ask(Wait(released)));
        assert!(poll_once(waiting.as_mut()).await.is_none());
        log.stop_with(StopMode::Drain);
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        assert_eq!(within(waiting).await.unwrap(), 2);
    });
    wait_until("it has stopped", || !log.is_alive());
    finish(system);
}

#[test]
fn m02_tasks_and_handlers_never_overlap_and_every_wake_up_counts() {
    /// Counts in two steps, so that an overlap shows.
    #[derive(Default)]
    struct Counter {
        busy: bool,
        n: usize,
    }
    impl Actor for Counter {}
    impl Counter {
        fn count(&mut self) {
            assert!(!std::mem::replace(&mut self.busy, true), "an overlap");
            std::hint::black_box(&mut *self);
            self.n += 1;
            self.busy = false;
        }
    }
    struct Step(u64);
    impl Message for Step {
        type Reply = ();
    }
    impl ReentrantHandler<Step> for Counter {
        async fn handle(this: Reentrant<Self>, Step(seed): Step) {
            let mut shake = Shake::new(seed);
            for _ in 0..10 {
                match shake.below(3) {
                    0 => tokio::task::yield_now().await,
                    1 => {
                        // Woken from another thread.
                        let (send, receive) = oneshot::channel::<()>();
                        tokio::spawn(async move { _ = send.send(()) });
                        _ = receive.await;
                    }
                    _ => {
                        let me = this.with(|_, cx| cx.actor_ref());
                        _ = me.ask(Count).await;
                    }
                }
                this.with(|counter, _| counter.count());
            }
        }
    }
    struct Count;
    impl Message for Count {
        type Reply = usize;
    }
    impl Handler<Count> for Counter {
        async fn handle(&mut self, _: Count, _cx: &mut ActorContext<Self>) -> usize {
            let before = self.n;
            tokio::task::yield_now().await;
            assert_eq!(before, self.n, "a handler keeps the state to itself");
            self.n
        }
    }
    let system = system();
    let counter = system.spawn(Counter::default).unwrap();
    system.block_on(async {
        let steps: Vec<_> = (0..200)
            .map(|seed| tokio::spawn(async move { within(counter.ask(Step(seed))).await.unwrap() }))
            .collect();
        for step in steps {
            step.await.unwrap();
        }
        assert_eq!(within(counter.ask(Count)).await.unwrap(), 2000);
    });
    finish(system);
}

#[test]
fn m14_a_task_whose_asker_is_gone_can_see_it() {
    struct Look(Arc<AtomicUsize>, Gate);
    impl Message for Look {
        type Reply = ();
    }
    impl ReentrantHandler<Look> for Log {
        async fn handle(this: Reentrant<Self>, Look(seen, gate): Look) {
            gate.passed().await;
            let cancelled = this.with(|_, cx| cx.is_cancelled());
            seen.store(1 + usize::from(cancelled), Ordering::SeqCst);
        }
    }
    let system = system();
    let log = system.spawn(Log::default).unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let gate = Gate::new();
    system.block_on(async {
        let mut ask = Box::pin(log.ask(Look(seen.clone(), gate.clone())));
        assert!(poll_once(ask.as_mut()).await.is_none());
        within(log.ask(Lines)).await.unwrap();
        drop(ask);
    });
    gate.open();
    wait_until("it has looked", || seen.load(Ordering::SeqCst) == 2);
    finish(system);
}

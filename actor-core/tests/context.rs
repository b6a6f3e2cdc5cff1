//! M14 to M16: what travels with a message, and that it does not leak into the next.

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::{Baggage, Fate, TraceContext, TraceId};
use common::{Gate, Tally, Token, finish, settle, system, within};

/// What one hop saw of the context.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    remaining: Option<Duration>,
    trace: Option<TraceId>,
    baggage: Option<String>,
    empty: bool,
}

fn seen(context: &Context) -> Seen {
    Seen {
        remaining: context.remaining(),
        trace: context.trace().map(TraceContext::trace_id),
        baggage: context.baggage().get("tenant").map(str::to_owned),
        empty: context.is_empty(),
    }
}

/// Looks at its context, waits a little, and passes the message on.
struct Hop(Option<ActorRef<Self>>);
impl Actor for Hop {}
struct Look;
impl Message for Look {
    type Reply = Vec<Seen>;
}
impl Handler<Look> for Hop {
    async fn handle(&mut self, _: Look, cx: &mut ActorContext<Self>) -> Vec<Seen> {
        let mut all = vec![seen(&cx.context())];
        if let Some(next) = self.0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert_eq!(
                cx.context().is_empty(),
                all[0].empty,
                "kept across an await"
            );
            all.extend(next.ask(Look).await.unwrap());
        }
        all
    }
}

fn chain(system: &ActorSystem, hops: usize) -> ActorRef<Hop> {
    (0..hops)
        .fold(None, |next, _| Some(system.spawn(Hop(next)).unwrap()))
        .unwrap()
}

fn context(tenant: &str) -> Context {
    Context::empty()
        .with_trace(TraceContext::new_root(true))
        .with_baggage(Baggage::empty().with("tenant", tenant).unwrap())
}

#[test]
fn m14_each_hop_sees_less_time_left() {
    let system = system();
    let seen = chain(&system, 5)
        .ask(Look)
        .within(Duration::from_secs(300))
        .blocking()
        .unwrap();
    let left: Vec<_> = seen.iter().map(|seen| seen.remaining.unwrap()).collect();
    assert_eq!(left.len(), 5);
    assert!(left[0] <= Duration::from_secs(300));
    assert!(
        left.windows(2)
            .all(|two| two[1] + Duration::from_millis(4) <= two[0]),
        "{left:?}"
    );
    finish(system);
}

struct Work(
    Option<Gate>,
    #[expect(dead_code, reason = "counts drops")] Token,
);
impl Message for Work {
    type Reply = ();
}
impl SyncHandler<Work> for Hop {
    fn handle(&mut self, Work(gate, _): Work, _cx: &mut ActorContext<Self>) {
        if let Some(gate) = gate {
            gate.pass();
        }
    }
}

#[test]
fn m14_an_expired_message_is_not_handled_but_answered() {
    let system = system();
    let hop = chain(&system, 1);
    let (gate, tally) = (Gate::new(), Tally::new());
    hop.tell(Work(Some(gate.clone()), tally.token())).unwrap();
    let soon = || Context::empty().with_timeout(Duration::from_millis(20));
    let work = || hop.ask(Work(None, tally.token())).context(soon());
    for _ in 0..10 {
        // If it comes back, its time was over before it was sent: another one.
        while work().tell().is_err() {}
    }
    let error = loop {
        let error = work().blocking().unwrap_err();
        if let AskError::Expired { message: None, .. } = error {
            break error;
        }
    };
    assert!(error.to_string().contains("waited"), "{error}");
    gate.open();
    let books = settle(&system);
    assert_eq!(books.handled, 1);
    assert_eq!(books.dropped.expired + books.dropped.abandoned, 11);
    assert!(books.dropped.expired >= 10);
    tally.all_dropped();
    finish(system);
}

#[test]
fn m14_a_deadline_in_the_past_gives_the_message_back() {
    let system = system();
    let hop = chain(&system, 1);
    let tally = Tally::new();
    let past = Instant::now() - Duration::from_millis(1);
    let error = hop
        .ask(Work(None, tally.token()))
        .deadline(past)
        .blocking()
        .unwrap_err();
    assert!(
        matches!(
            &error,
            AskError::Expired {
                message: Some(_),
                ..
            }
        ),
        "{error:?}"
    );
    let error = hop
        .ask(Work(None, tally.token()))
        .deadline(past)
        .tell()
        .unwrap_err();
    assert!(matches!(&error, SendError::Expired { .. }), "{error:?}");
    let error = system
        .block_on(hop.ask(Work(None, tally.token())).deadline(past).send())
        .unwrap_err();
    assert!(matches!(&error, SendError::Expired { .. }), "{error:?}");
    let error = hop
        .ask(Work(None, tally.token()))
        .within(Duration::ZERO)
        .blocking()
        .unwrap_err();
    assert!(
        matches!(
            &error,
            AskError::Expired {
                message: Some(_),
                ..
            }
        ),
        "{error:?}"
    );
    let books = settle(&system);
    assert_eq!((books.refused.other, books.accepted), (4, 0));
    finish(system);
}

#[test]
fn m14_a_longer_deadline_does_not_stretch_a_shorter_one() {
    let system = system();
    let hop = chain(&system, 1);
    let call = hop
        .ask(Look)
        .within(Duration::from_secs(60))
        .within(Duration::from_secs(600));
    assert!(call.blocking().unwrap()[0].remaining.unwrap() <= Duration::from_secs(60));
    // The extremes are deadlines too.
    assert!(
        hop.ask(Look).within(Duration::MAX).blocking().unwrap()[0]
            .remaining
            .is_some()
    );
    finish(system);
}

/// Asks downstream, waits, and says what it was told.
struct Front {
    slow: ActorRef<Slow>,
    told: Arc<Mutex<Vec<String>>>,
    has_been_told: Gate,
    end: Gate,
}
impl Actor for Front {}
struct Request;
impl Message for Request {
    type Reply = ();
}
impl Handler<Request> for Front {
    async fn handle(&mut self, _: Request, cx: &mut ActorContext<Self>) {
        let answer = match self.slow.ask(Forever).await {
            Err(AskError::Cancelled { .. }) => "cancelled".to_owned(),
            other => format!("{other:?}"),
        };
        let saw = cx.is_cancelled();
        self.told
            .lock()
            .unwrap()
            .push(format!("{answer}, saw it: {saw}"));
        self.has_been_told.open();
        self.end.passed().await;
    }
}
struct Slow {
    saw: Arc<Mutex<Vec<bool>>>,
    begun: Gate,
    end: Gate,
}
impl Actor for Slow {}
struct Forever;
impl Message for Forever {
    type Reply = ();
}
impl Handler<Forever> for Slow {
    async fn handle(&mut self, _: Forever, cx: &mut ActorContext<Self>) {
        let context = cx.context();
        let token = context.cancel_token().expect("inherited");
        self.begun.open();
        token.cancelled().await;
        self.saw.lock().unwrap().push(cx.is_cancelled());
        self.end.passed().await;
    }
}

#[test]
fn m15_a_cancel_at_the_edge_reaches_everybody_downstream() {
    let system = system();
    let saw: Arc<Mutex<Vec<bool>>> = Arc::default();
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    let (begun, has_been_told, end) = (Gate::new(), Gate::new(), Gate::new());
    let slow = system
        .spawn(Slow {
            saw: Arc::clone(&saw),
            begun: begun.clone(),
            end: end.clone(),
        })
        .unwrap();
    let front = system
        .spawn(Front {
            slow,
            told: Arc::clone(&told),
            has_been_told: has_been_told.clone(),
            end: end.clone(),
        })
        .unwrap();
    let token = CancelToken::new();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| front.ask(Request).cancel(&token).blocking().unwrap_err());
        begun.pass();
        token.cancel();
        let error = asked.join().unwrap();
        assert!(
            matches!(error, AskError::Cancelled { message: None, .. }),
            "{error:?}"
        );
        // Neither handler returns before: an answer that comes together with the cancellation is an answer.
        has_been_told.pass();
        end.open();
    });
    let books = settle(&system);
    assert_eq!(*saw.lock().unwrap(), [true]);
    assert_eq!(*told.lock().unwrap(), ["cancelled, saw it: true"]);
    assert_eq!(books.handled, 2);
    finish(system);
}

#[test]
fn m15_a_cancelled_message_is_not_handled() {
    let system = system();
    let hop = chain(&system, 1);
    let (gate, tally) = (Gate::new(), Tally::new());
    hop.tell(Work(Some(gate.clone()), tally.token())).unwrap();
    let token = CancelToken::new();
    for _ in 0..10 {
        hop.ask(Work(None, tally.token()))
            .cancel(&token)
            .tell()
            .unwrap();
    }
    token.cancel();
    let error = hop
        .ask(Work(None, tally.token()))
        .cancel(&token)
        .tell()
        .unwrap_err();
    assert!(matches!(error, SendError::Cancelled { .. }), "{error:?}");
    drop(error);
    gate.open();
    let books = settle(&system);
    assert_eq!(
        (books.handled, books.dropped.cancelled, books.refused.other),
        (1, 10, 1)
    );
    tally.all_dropped();
    assert!(Fate::Cancelled.to_string().contains("cancelled"));
    finish(system);
}

#[test]
fn m16_trace_and_baggage_reach_every_hop() {
    let system = system();
    let hops = chain(&system, 4);
    for tenant in ["a", "b", "c"] {
        let context = context(tenant);
        let trace = context.trace().unwrap().trace_id();
        let all = hops.ask(Look).context(context).blocking().unwrap();
        assert_eq!(all.len(), 4);
        for seen in all {
            assert_eq!(
                (seen.trace, seen.baggage.as_deref()),
                (Some(trace), Some(tenant))
            );
            assert_eq!(seen.remaining, None);
        }
    }
    finish(system);
}

#[test]
fn m16_nothing_leaks_into_the_next_message() {
    let system = system();
    let hops = chain(&system, 3);
    system.block_on(async {
        for _ in 0..5 {
            let with = hops
                .ask(Look)
                .context(context("x").with_timeout(Duration::from_secs(600)));
            let (with, without) = within(async { tokio::join!(with, hops.ask(Look)) }).await;
            assert!(
                with.unwrap()
                    .iter()
                    .all(|seen| seen.baggage.as_deref() == Some("x"))
            );
            assert!(without.unwrap().iter().all(|seen| seen.empty));
        }
    });
    let one = chain(&system, 1);
    for n in 0..2000 {
        let call = one.ask(Look);
        let call = if n % 2 == 0 {
            call.context(context("x"))
        } else {
            call
        };
        assert_eq!(call.blocking().unwrap()[0].empty, n % 2 == 1);
    }
    finish(system);
}

/// Tells on from a handler, and starts a task.
struct Teller(ActorRef<Witness>);
impl Actor for Teller {}
struct Tell;
impl Message for Tell {
    type Reply = ();
}
impl Handler<Tell> for Teller {
    async fn handle(&mut self, _: Tell, cx: &mut ActorContext<Self>) {
        let witness = self.0;
        witness.tell(Note("tell")).unwrap();
        witness.send(Note("send")).await.unwrap();
        // A task starts with nothing unless it is handed on.
        tokio::spawn(async move { witness.tell(Note("task")).unwrap() })
            .await
            .unwrap();
        let scoped = async move {
            tokio::task::yield_now().await;
            witness.tell(Note("scoped")).unwrap();
        };
        tokio::spawn(cx.context().scope(scoped)).await.unwrap();
        Context::empty()
            .run(|| witness.tell(Note("cleared")))
            .unwrap();
        witness.tell(Note("after")).unwrap();
    }
}
struct Witness(Vec<(&'static str, bool)>);
impl Actor for Witness {}
struct Note(&'static str);
impl Message for Note {
    type Reply = ();
}
impl SyncHandler<Note> for Witness {
    fn handle(&mut self, Note(what): Note, cx: &mut ActorContext<Self>) {
        self.0.push((what, !cx.context().is_empty()));
    }
}
struct Report;
impl Message for Report {
    type Reply = Vec<(&'static str, bool)>;
}
impl SyncHandler<Report> for Witness {
    fn handle(&mut self, _: Report, _cx: &mut ActorContext<Self>) -> Vec<(&'static str, bool)> {
        std::mem::take(&mut self.0)
    }
}

#[test]
fn m16_what_a_handler_sends_inherits_its_context() {
    let system = system();
    let witness = system.spawn(Witness(Vec::new())).unwrap();
    let teller = system.spawn(Teller(witness)).unwrap();
    teller.ask(Tell).context(context("x")).blocking().unwrap();
    let expected = [
        ("tell", true),
        ("send", true),
        ("task", false),
        ("scoped", true),
        ("cleared", false),
        ("after", true),
    ];
    assert_eq!(witness.ask_blocking(Report).unwrap(), expected);
    teller.ask_blocking(Tell).unwrap();
    assert!(
        witness
            .ask_blocking(Report)
            .unwrap()
            .iter()
            .all(|(_, inherited)| !inherited)
    );

    // Outside of actors too.
    system.block_on(context("y").scope(async { witness.tell(Note("outside")).unwrap() }));
    context("z").run(|| witness.tell(Note("thread"))).unwrap();
    assert!(Context::current().is_empty());
    assert_eq!(
        witness.ask_blocking(Report).unwrap(),
        [("outside", true), ("thread", true)]
    );
    finish(system);
}

/// A handler that panics leaves no context behind on its thread.
struct Fragile;
impl Actor for Fragile {}
struct Break(bool);
impl Message for Break {
    type Reply = bool;
}
impl SyncHandler<Break> for Fragile {
    fn handle(&mut self, Break(now): Break, cx: &mut ActorContext<Self>) -> bool {
        assert!(!now, "broken");
        cx.context().is_empty()
    }
}

#[test]
fn m16_a_panic_leaves_no_context_behind() {
    let system = system();
    for _ in 0..20 {
        let fragile = system.spawn(|| Fragile).unwrap();
        let error = fragile
            .ask(Break(true))
            .context(context("x"))
            .blocking()
            .unwrap_err();
        assert!(matches!(error, AskError::Panicked { .. }), "{error:?}");
        assert!(fragile.ask_blocking(Break(false)).unwrap());
        assert!(
            system
                .spawn(|| Fragile)
                .unwrap()
                .ask_blocking(Break(false))
                .unwrap()
        );
    }
    finish(system);
}

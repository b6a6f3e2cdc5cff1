//! Two and three whole systems, and between them a queue for a network (`line`).

mod line;
mod lives;
mod runs;
mod strangers;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::remote::Export;
use actor_core::{StopMode, Terminated};
use serde::{Deserialize, Serialize};

use super::{Config, Exports, Remote, RemoteSettings, RemoteStats, Wanted, export};
use crate::id::{Incarnation, PeerId};
use line::{End, Line, join};

const PATIENCE: Duration = Duration::from_secs(60);

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

// ---- What travels -------------------------------------------------------------------------------

macro_rules! message {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),* } -> $reply:ty, $called:literal) => {
        $(#[$meta])*
        #[derive(Debug, Serialize, Deserialize)]
        struct $name { $($field: $type),* }
        impl Message for $name {
            type Reply = $reply;
            const EXPORT: Option<Export<Self>> = Some(export($called));
        }
    };
}

message!(Add { n: u64 } -> u64, "add");
message!(Bulk { n: u64, bytes: Vec<u8> } -> u64, "bulk");
message!(Hold { } -> (), "hold");
message!(Meet { whom: ActorRef<Sum> } -> ActorRef<Sum>, "meet");
message!(AddFor { whom: ActorRef<Sum>, n: u64 } -> u64, "add for");
message!(Unlucky { } -> (), "unlucky");
message!(
    /// Cannot be read.
    Broken { broken: Unreadable } -> u64, "broken");
message!(SayTo { whom: ActorRef<Sum>, count: u64 } -> (), "say to");
message!(NotThere { } -> (), "not there");

#[derive(Debug, Serialize)]
struct Unreadable(u8);
impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match u8::deserialize(from)? {
            1 => Ok(Self(1)),
            2 => panic!("on purpose"),
            _ => Err(serde::de::Error::custom("on purpose")),
        }
    }
}

/// Adds; and does what else it is asked for.
#[derive(Clone, Default)]
struct Sum {
    sum: u64,
    seen: Arc<Mutex<Vec<u64>>>,
    contexts: Arc<Mutex<Vec<Context>>>,
    gate: Option<Arc<tokio::sync::Semaphore>>,
}

impl Actor for Sum {
    async fn terminated(&mut self, who: Terminated, _: &mut ActorContext<Self>) {
        self.seen.lock().unwrap().push(ENDED);
        drop(who);
    }
}

const ENDED: u64 = u64::MAX;

impl SyncHandler<Add> for Sum {
    fn handle(&mut self, add: Add, _: &mut ActorContext<Self>) -> u64 {
        self.seen.lock().unwrap().push(add.n);
        self.contexts.lock().unwrap().push(Context::current());
        self.sum += add.n;
        self.sum
    }
}

impl SyncHandler<Bulk> for Sum {
    fn handle(&mut self, bulk: Bulk, _: &mut ActorContext<Self>) -> u64 {
        self.seen.lock().unwrap().push(bulk.n);
        bulk.bytes.len() as u64
    }
}

impl Handler<Hold> for Sum {
    async fn handle(&mut self, _: Hold, _: &mut ActorContext<Self>) {
        self.contexts.lock().unwrap().push(Context::current());
        match &self.gate {
            Some(gate) => drop(gate.acquire().await),
            // For ever, but for the asker.
            None => {
                let context = Context::current();
                context
                    .cancel_token()
                    .expect("an ask has one")
                    .cancelled()
                    .await;
            }
        }
        self.seen.lock().unwrap().push(77);
    }
}

impl SyncHandler<Meet> for Sum {
    fn handle(&mut self, meet: Meet, _: &mut ActorContext<Self>) -> ActorRef<Self> {
        meet.whom
    }
}

impl Handler<AddFor> for Sum {
    async fn handle(&mut self, add: AddFor, _: &mut ActorContext<Self>) -> u64 {
        add.whom.ask(Add { n: add.n }).await.expect("an answer")
    }
}

impl SyncHandler<Unlucky> for Sum {
    fn handle(&mut self, _: Unlucky, _: &mut ActorContext<Self>) {
        panic!("on purpose");
    }
}

impl SyncHandler<Broken> for Sum {
    fn handle(&mut self, _: Broken, _: &mut ActorContext<Self>) -> u64 {
        1
    }
}

impl SyncHandler<SayTo> for Sum {
    fn handle(&mut self, say: SayTo, cx: &mut ActorContext<Self>) {
        for n in 0..say.count {
            let bytes = vec![0; if n % 7 == 3 { 40_000 } else { 0 }];
            say.whom.tell(Bulk { n, bytes }).expect("room");
        }
        cx.stop();
    }
}

impl SyncHandler<NotThere> for Sum {
    fn handle(&mut self, _: NotThere, _: &mut ActorContext<Self>) {}
}

struct WatchIt(ActorRef<Sum>);
impl Message for WatchIt {
    type Reply = ();
}
impl SyncHandler<WatchIt> for Sum {
    fn handle(&mut self, WatchIt(who): WatchIt, cx: &mut ActorContext<Self>) {
        cx.watch(who);
    }
}

struct LinkWith(ActorRef<Sum>);
impl Message for LinkWith {
    type Reply = ();
}
impl SyncHandler<LinkWith> for Sum {
    fn handle(&mut self, LinkWith(who): LinkWith, cx: &mut ActorContext<Self>) {
        cx.link(who);
    }
}

struct FailNow;
impl Message for FailNow {
    type Reply = ();
}
impl SyncHandler<FailNow> for Sum {
    fn handle(&mut self, _: FailNow, cx: &mut ActorContext<Self>) {
        cx.fail("by its own word");
    }
}

// ---- Sides --------------------------------------------------------------------------------------

struct Side {
    system: ActorSystem,
    end: End,
}

impl Side {
    fn new(name: &str) -> Self {
        Self::with(name, Exports::new(), RemoteSettings::default())
    }

    fn with(name: &str, exports: Exports, settings: RemoteSettings) -> Self {
        Self::start(name, exports, settings, None)
    }

    /// One that lets messages wait for peers that are not met yet.
    fn wanted(name: &str, settings: RemoteSettings) -> Self {
        Self::start(name, Exports::new(), settings, Some(Box::new(|_| {})))
    }

    fn start(
        name: &str,
        exports: Exports,
        settings: RemoteSettings,
        wanted: Option<Wanted>,
    ) -> Self {
        let system = ActorSystem::builder().build().expect("a system");
        let exports = exports
            .handles::<Sum, Add>()
            .handles::<Sum, Bulk>()
            .handles::<Sum, Hold>()
            .handles::<Sum, Meet>()
            .handles::<Sum, AddFor>()
            .handles::<Sum, Unlucky>()
            .handles::<Sum, Broken>()
            .handles::<Sum, SayTo>();
        let peer = PeerId::new(name).expect("a name");
        let table = Remote::with_own(exports.clone()).table();
        let config = Config {
            peer: peer.clone(),
            incarnation: Incarnation(5),
            exports,
            settings,
            fragment: 16 << 10,
            wanted,
        };
        let remote = Remote::start(system.handle(), config).expect("it starts");
        Self {
            system,
            end: End {
                remote,
                peer,
                incarnation: Incarnation(5),
                table,
            },
        }
    }

    fn publish(&self, name: &str, sum: Sum) -> ActorRef<Sum> {
        let actor = self.system.spawn(sum).expect("an actor");
        assert!(self.end.remote.publish(name, actor));
        actor
    }

    fn find(&self, there: &Self, name: &str) -> ActorRef<Sum> {
        let looking = self.end.remote.lookup(&there.end.peer, name);
        self.system.block_on(looking).expect("found")
    }

    fn stats(&self) -> RemoteStats {
        self.end.remote.stats()
    }

    fn finish(self) {
        self.end.remote.shutdown();
        let report = self.system.shutdown_blocking(Duration::from_secs(30));
        assert!(report.is_clean(), "{report:?}");
    }
}

fn lanes(a: &Side, b: &Side, lanes: usize) -> (Arc<Line>, Arc<Line>) {
    join(&a.end, &b.end, lanes, 1 << 20)
}

/// Everything that went out came in, and what came in is accounted for.
fn check_books(a: &Side, b: &Side) {
    wait_until("the books balance", || {
        let balanced = |out: RemoteStats, back: RemoteStats| {
            let went = (out.tells_out, out.asks_out, out.answers_out);
            let dropped = out.dropped_expired + out.dropped_cancelled;
            let refused = back.refused_dead
                + back.refused_not_exported
                + back.refused_malformed
                + back.refused_full
                + back.refused_overloaded
                + back.refused_expired;
            back.held == 0
                && went.0 + went.1 == back.tells_in + back.asks_in + dropped
                && went.2 == back.answers_in
                && back.tells_in + back.asks_in == back.delivered + refused
        };
        let (a, b) = (a.stats(), b.stats());
        balanced(a, b) && balanced(b, a)
    });
}

// ---- Messages -----------------------------------------------------------------------------------

#[test]
fn r_tells_and_asks_reach_an_actor_of_another_process_in_order() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let _lines = lanes(&here, &there, 1);
    let sum = Sum::default();
    let seen = sum.seen.clone();
    there.publish("sum", sum);
    let sum = here.find(&there, "sum");
    for n in 1..=300 {
        sum.tell(Add { n }).unwrap();
        if n % 50 == 0 {
            assert_eq!(sum.ask_blocking(Add { n: 0 }).unwrap(), n * (n + 1) / 2);
        }
    }
    let mut expected = Vec::new();
    for n in 1..=300 {
        expected.push(n);
        if n % 50 == 0 {
            expected.push(0);
        }
    }
    assert_eq!(*seen.lock().unwrap(), expected);
    check_books(&here, &there);
    here.finish();
    there.finish();
}

#[test]
fn r_what_is_not_exported_not_there_too_large_or_dead_is_refused_by_name() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let _lines = lanes(&here, &there, 1);
    let original = there.publish("sum", Sum::default());
    let sum = here.find(&there, "sum");
    let error = sum.ask_blocking(NotThere {}).unwrap_err();
    assert!(matches!(error, AskError::NotExported { .. }), "{error}");
    let bytes = vec![0; 2 << 20];
    let error = sum.ask_blocking(Bulk { n: 1, bytes }).unwrap_err();
    assert!(matches!(error, AskError::TooLarge { .. }), "{error}");
    let looking = here.end.remote.lookup::<Sum>(&there.end.peer, "nobody");
    let error = here.system.block_on(looking).unwrap_err();
    assert!(error.to_string().contains("publish it there"), "{error}");
    let nobody = PeerId::new("nobody").unwrap();
    let looking = here.end.remote.lookup::<Sum>(&nobody, "sum");
    let error = here.system.block_on(looking).unwrap_err();
    assert!(error.to_string().contains("not known here"), "{error}");
    original.stop();
    wait_until("the proxy ends with its actor", || !sum.is_alive());
    assert!(sum.tell(Add { n: 1 }).unwrap_err().is_dead());
    check_books(&here, &there);
    here.finish();
    there.finish();
}

#[test]
fn r07_a_message_that_cannot_be_read_is_refused_alone() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let _lines = lanes(&here, &there, 1);
    there.publish("sum", Sum::default());
    let sum = here.find(&there, "sum");
    for broken in [0, 2] {
        let broken = Broken {
            broken: Unreadable(broken),
        };
        let error = sum.ask_blocking(broken).unwrap_err();
        assert!(matches!(error, AskError::NotExported { .. }), "{error:?}");
        let broken = Unreadable(0);
        sum.tell(Broken { broken }).unwrap();
        assert_eq!(
            sum.ask_blocking(Add { n: 0 }).unwrap(),
            0,
            "the rest goes on"
        );
    }
    let broken = Unreadable(1);
    assert_eq!(sum.ask_blocking(Broken { broken }).unwrap(), 1);
    assert_eq!(there.stats().refused_malformed, 4);
    check_books(&here, &there);
    here.finish();
    there.finish();
}

#[test]
fn r_a_panic_there_is_told_here() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let _lines = lanes(&here, &there, 1);
    there.publish("sum", Sum::default());
    let sum = here.find(&there, "sum");
    let error = sum.ask_blocking(Unlucky {}).unwrap_err();
    assert!(matches!(error, AskError::Panicked { .. }), "{error:?}");
    here.finish();
    there.finish();
}

#[test]
fn m14_m16_deadline_trace_and_baggage_cross_and_nothing_leaks_into_the_next() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let _lines = lanes(&here, &there, 1);
    let sum = Sum::default();
    let contexts = sum.contexts.clone();
    there.publish("sum", sum);
    let sum = here.find(&there, "sum");
    let baggage = actor_core::Baggage::parse("tenant=acme").unwrap();
    let context = Context::empty()
        .with_baggage(baggage)
        .with_timeout(Duration::from_secs(500));
    let deadline = context.deadline().unwrap();
    sum.ask(Add { n: 1 }).context(context).blocking().unwrap();
    sum.ask(Add { n: 2 }).blocking().unwrap();
    let contexts = contexts.lock().unwrap();
    assert_eq!(contexts[0].baggage().to_string(), "tenant=acme");
    let left = contexts[0].deadline().expect("it has one");
    assert!(left <= deadline, "it only shrinks");
    assert!(contexts[1].baggage().to_string().is_empty());
    assert!(contexts[1].deadline().is_none());
    drop(contexts);
    here.finish();
    there.finish();
}

#[test]
fn m15_who_gives_up_here_is_heard_there() {
    let (here, there) = (Side::new("here"), Side::new("there"));
    let _lines = lanes(&here, &there, 1);
    let sum = Sum::default();
    let (seen, contexts) = (sum.seen.clone(), sum.contexts.clone());
    there.publish("sum", sum);
    let sum = here.find(&there, "sum");
    let begun = |count| {
        wait_until("the handler has begun", || {
            contexts.lock().unwrap().len() == count
        });
    };
    let ended = |count| wait_until("it ends", || seen.lock().unwrap().len() == count);
    // By its token.
    let token = CancelToken::new();
    let asking = {
        let token = token.clone();
        here.system
            .tokio()
            .spawn(async move { sum.ask(Hold {}).cancel(&token).await })
    };
    begun(1);
    token.cancel();
    ended(1);
    let error = here.system.block_on(asking).unwrap().unwrap_err();
    assert!(matches!(error, AskError::Cancelled { .. }), "{error:?}");
    // By being dropped.
    let asking = here
        .system
        .tokio()
        .spawn(async move { sum.ask(Hold {}).await });
    begun(2);
    asking.abort();
    ended(2);
    // By its deadline, of which the callee hears from its own clock or from here.
    let error = sum
        .ask(Hold {})
        .within(Duration::from_millis(200))
        .blocking()
        .unwrap_err();
    assert!(matches!(error, AskError::Expired { .. }), "{error:?}");
    assert_eq!(
        sum.ask_blocking(Add { n: 1 }).unwrap(),
        1,
        "the actor goes on"
    );
    assert!(here.stats().cancelled_here >= 2, "{}", here.stats());
    here.finish();
    there.finish();
}

#[test]
fn r_a_reference_travels_and_comes_home_as_itself() {
    let (here, there, third) = (Side::new("here"), Side::new("there"), Side::new("third"));
    let _lines = (
        lanes(&here, &there, 1),
        lanes(&there, &third, 1),
        lanes(&here, &third, 1),
    );
    there.publish("sum", Sum::default());
    third.publish(
        "sum",
        Sum {
            sum: 100,
            ..Sum::default()
        },
    );
    let mine = here
        .system
        .spawn(Sum {
            sum: 10,
            ..Sum::default()
        })
        .unwrap();
    let (far, further) = (here.find(&there, "sum"), here.find(&third, "sum"));
    assert_eq!(far.ask_blocking(Meet { whom: mine }).unwrap(), mine, "home");
    assert_eq!(far.ask_blocking(Meet { whom: far }).unwrap(), far);
    assert_eq!(far.ask_blocking(Meet { whom: further }).unwrap(), further);
    // They ask each other directly.
    assert_eq!(far.ask_blocking(AddFor { whom: mine, n: 1 }).unwrap(), 11);
    assert_eq!(
        far.ask_blocking(AddFor {
            whom: further,
            n: 1
        })
        .unwrap(),
        101
    );
    // One of an actor that has ended is refused when it is used, not when it is read.
    mine.stop();
    wait_until("it is gone", || !mine.is_alive());
    let dead = far.ask_blocking(Meet { whom: mine }).unwrap();
    wait_until("it is refused here, too", || !dead.is_alive());
    for side in [here, there, third] {
        side.finish();
    }
}

#[test]
fn r_a_reference_to_a_peer_that_is_not_known_is_refused_in_words() {
    let (here, there, third) = (Side::new("here"), Side::new("there"), Side::new("third"));
    let _lines = (lanes(&here, &there, 1), lanes(&here, &third, 1));
    there.publish("sum", Sum::default());
    third.publish("sum", Sum::default());
    let (far, further) = (here.find(&there, "sum"), here.find(&third, "sum"));
    assert!(far.ask_blocking(Meet { whom: further }).is_err());
    assert_eq!(far.ask_blocking(Add { n: 1 }).unwrap(), 1, "that one alone");
    for side in [here, there, third] {
        side.finish();
    }
}

//! The seam for a network layer: proxies, messages that leave through a gateway, and asks that come in
//! from elsewhere. The network here is a function call from one system to another.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::remote::{
    self, CodecError, Export, Gateway, Outbound, ProxyHandle, RemoteFailure, RemoteReply,
    Undelivered,
};
use actor_core::{
    ActorId, CancelToken, Context, DeferredHandler, StopMode, StopReason, Terminated,
};
use common::{finish, settle, system, wait_until};

// ---- What travels -------------------------------------------------------------------------------

/// Adds, and gives the sum.
#[derive(Debug)]
struct Add(u64);
impl Message for Add {
    type Reply = u64;
    const EXPORT: Option<Export<Self>> = Some(Export {
        name: "add",
        schema: || 7,
        encode: |Self(n), bytes| {
            if *n == NOT_TO_BE_WRITTEN {
                bytes.extend([1, 2, 3]);
                return Err(CodecError::new("a number that is not to be written"));
            }
            bytes.extend(n.to_le_bytes());
            Ok(())
        },
        decode: |bytes| number(bytes).map(Add),
        encode_reply: |sum, bytes| {
            bytes.extend(sum.to_le_bytes());
            Ok(())
        },
        decode_reply: number,
    });
}

const NOT_TO_BE_WRITTEN: u64 = 1_000_666;
const UNLUCKY: u64 = 1_000_013;
const PANICS: u64 = 1_000_077;

fn number(bytes: &[u8]) -> Result<u64, CodecError> {
    bytes
        .try_into()
        .map(u64::from_le_bytes)
        .map_err(CodecError::new)
}

/// Stays at home.
struct Local;
impl Message for Local {
    type Reply = ();
}

#[derive(Default)]
struct Sum {
    sum: u64,
    seen: Arc<Mutex<Vec<u64>>>,
}
impl Actor for Sum {}
impl SyncHandler<Add> for Sum {
    fn handle(&mut self, Add(n): Add, _cx: &mut ActorContext<Self>) -> u64 {
        assert_ne!(n, UNLUCKY, "on purpose");
        self.seen.lock().unwrap().push(n);
        self.sum += n;
        self.sum
    }
}
impl SyncHandler<Local> for Sum {
    fn handle(&mut self, _: Local, _cx: &mut ActorContext<Self>) {}
}

// ---- The network --------------------------------------------------------------------------------

/// What the gateway did and is to do.
#[derive(Default)]
struct Wire {
    /// Where messages go; without it they are refused with `refusal`.
    target: Mutex<Option<ActorRef<Sum>>>,
    refusal: Mutex<Option<Undelivered>>,
    closed: AtomicBool,
    waker: Mutex<Option<Waker>>,
    stops: Mutex<Vec<StopMode>>,
    broken: Mutex<Vec<(ActorId, StopReason)>>,
    /// Replies that nobody gives yet.
    kept: Mutex<Vec<RemoteReply>>,
    keep: AtomicBool,
    forwarded: AtomicUsize,
    /// How many were forwarded when it heard last that no more come for now.
    flushed: AtomicUsize,
    gone: AtomicUsize,
}

impl Wire {
    fn to(target: ActorRef<Sum>) -> Arc<Self> {
        let wire = Self::default();
        *wire.target.lock().unwrap() = Some(target);
        Arc::new(wire)
    }

    fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        if let Some(waker) = self.waker.lock().unwrap().take() {
            waker.wake();
        }
    }

    fn proxy(
        self: &Arc<Self>,
        system: &SystemRef,
        mailbox: Mailbox,
    ) -> (ActorRef<Sum>, ProxyHandle) {
        system
            .proxy("sum over there", mailbox, Way(self.clone()))
            .expect("a proxy is made")
    }
}

struct Way(Arc<Wire>);

impl Gateway for Way {
    fn flush(&mut self) {
        let forwarded = self.0.forwarded.load(Ordering::SeqCst);
        self.0.flushed.store(forwarded, Ordering::SeqCst);
    }

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<()> {
        *self.0.waker.lock().unwrap() = Some(cx.waker().clone());
        if self.0.closed.load(Ordering::SeqCst) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    fn forward(&mut self, message: &mut Outbound<'_>) -> Result<(), Undelivered> {
        if let Some(refusal) = *self.0.refusal.lock().unwrap() {
            return Err(refusal);
        }
        let mut bytes = vec![9];
        if message.encode(&mut bytes).is_err() {
            assert_eq!(bytes, [9], "what failed leaves nothing behind");
            return Err(Undelivered::NotExported);
        }
        assert_eq!((message.name(), message.schema()), ("add", 7));
        assert_ne!(bytes[1..], PANICS.to_le_bytes(), "on purpose");
        self.0.forwarded.fetch_add(1, Ordering::SeqCst);
        let reply = message.reply();
        assert_eq!(reply.is_some(), message.is_ask());
        assert!(message.reply().is_none(), "once");
        if self.0.keep.load(Ordering::SeqCst) {
            self.0.kept.lock().unwrap().extend(reply);
            return Ok(());
        }
        let target = self
            .0
            .target
            .lock()
            .unwrap()
            .expect("somebody to forward to");
        let add = (Add::EXPORT.expect("exported").decode)(&bytes[1..]).expect("as it was written");
        match reply {
            Some(reply) => {
                let context = message.context().clone();
                remote::ask(target, add, context, move |outcome| match outcome {
                    Ok(sum) => {
                        let mut bytes = Vec::new();
                        (Add::EXPORT.expect("exported").encode_reply)(&sum, &mut bytes).unwrap();
                        reply.send(&bytes).expect("as it was written");
                    }
                    Err(failure) => reply.fail(failure),
                });
            }
            None => target.tell(add).expect("room"),
        }
        Ok(())
    }

    fn stop(&mut self, mode: StopMode) {
        self.0.stops.lock().unwrap().push(mode);
    }

    fn link_broken(&mut self, failed: ActorId, reason: &StopReason) {
        self.0.broken.lock().unwrap().push((failed, reason.clone()));
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.0.gone.fetch_add(1, Ordering::SeqCst);
    }
}

// ---- Messages -----------------------------------------------------------------------------------

#[test]
fn r_asks_and_tells_reach_an_actor_elsewhere_in_order() {
    let (here, there) = (system(), system());
    let sum = Sum::default();
    let seen = sum.seen.clone();
    let wire = Wire::to(there.spawn(sum).unwrap());
    let (proxy, _) = wire.proxy(&here, Mailbox::default());
    for n in 1..=500 {
        proxy.tell(Add(n)).unwrap();
        if n % 50 == 0 {
            assert_eq!(proxy.ask_blocking(Add(0)).unwrap(), n * (n + 1) / 2);
        }
    }
    settle(&there);
    let mut expected = Vec::new();
    for n in 1..=500 {
        expected.push(n);
        if n % 50 == 0 {
            expected.push(0);
        }
    }
    assert_eq!(*seen.lock().unwrap(), expected);
    let books = finish(here);
    assert_eq!(books.handled, 510, "handed over");
    assert_eq!(
        wire.gone.load(Ordering::SeqCst),
        1,
        "the gateway ends with the proxy"
    );
    finish(there);
}

#[test]
fn r_actors_ask_an_actor_elsewhere_and_forward_to_it() {
    /// Lets an actor elsewhere answer.
    struct Front(ActorRef<Sum>);
    impl Actor for Front {}
    struct Through(u64);
    impl Message for Through {
        type Reply = u64;
    }
    impl DeferredHandler<Through> for Front {
        fn handle(&mut self, Through(n): Through, reply: Reply<u64>, cx: &mut ActorContext<Self>) {
            cx.forward(self.0, Add(n), reply).unwrap();
        }
    }
    struct Twice(u64);
    impl Message for Twice {
        type Reply = u64;
    }
    impl Handler<Twice> for Front {
        async fn handle(&mut self, Twice(n): Twice, _cx: &mut ActorContext<Self>) -> u64 {
            self.0.ask(Add(n)).await.unwrap() + self.0.ask(Add(n)).await.unwrap()
        }
    }

    let (here, there) = (system(), system());
    let wire = Wire::to(there.spawn(Sum::default()).unwrap());
    let (proxy, _) = wire.proxy(&here, Mailbox::default());
    let front = here.spawn(Front(proxy)).unwrap();
    assert_eq!(front.ask_blocking(Through(5)).unwrap(), 5);
    assert_eq!(front.ask_blocking(Twice(1)).unwrap(), 6 + 7);
    front.tell(Through(2)).unwrap();
    wait_until("the told one is through", || {
        wire.forwarded.load(Ordering::SeqCst) == 4
    });
    assert!(matches!(
        front.ask_blocking(Through(UNLUCKY)),
        Err(AskError::Panicked { .. })
    ));
    finish(here);
    finish(there);
}

#[test]
fn r_what_cannot_travel_is_refused_by_name_and_counted() {
    let (here, there) = (system(), system());
    let wire = Wire::to(there.spawn(Sum::default()).unwrap());
    let (proxy, _) = wire.proxy(&here, Mailbox::default());
    let error = proxy.ask_blocking(Local).unwrap_err();
    assert!(matches!(error, AskError::NotExported { .. }), "{error}");
    assert!(error.to_string().contains("remote"), "{error}");
    proxy.tell(Local).unwrap();
    let error = proxy.ask_blocking(Add(NOT_TO_BE_WRITTEN)).unwrap_err();
    assert!(matches!(error, AskError::NotExported { .. }), "{error}");
    for (refusal, wanted) in [
        (Undelivered::PeerGone, "PeerGone"),
        (Undelivered::Unreachable, "Unreachable"),
        (Undelivered::TooLarge, "TooLarge"),
    ] {
        *wire.refusal.lock().unwrap() = Some(refusal);
        proxy.tell(Add(1)).unwrap();
        let error = proxy.ask_blocking(Add(1)).unwrap_err();
        assert!(format!("{error:?}").starts_with(wanted), "{error:?}");
    }
    let asks = here.stats().asks;
    assert_eq!(
        (
            asks.not_exported,
            asks.peer_gone,
            asks.unreachable,
            asks.too_large
        ),
        (2, 1, 1, 1)
    );
    assert_eq!((asks.begun, asks.failed()), (5, 5), "{asks}");
    let books = finish(here).dead_letters;
    assert_eq!(books.not_exported, 3);
    assert_eq!(
        (books.peer_gone, books.unreachable, books.too_large),
        (2, 2, 2)
    );
    finish(there);
}

#[test]
fn r_a_network_without_room_fills_the_mailbox_and_holds_its_senders() {
    let (here, there) = (system(), system());
    let sum = Sum::default();
    let seen = sum.seen.clone();
    let wire = Wire::to(there.spawn(sum).unwrap());
    wire.closed.store(true, Ordering::SeqCst);
    let (proxy, _) = wire.proxy(&here, Mailbox::bounded(4));
    for n in 0..4 {
        proxy.tell(Add(n)).unwrap();
    }
    assert!(proxy.tell(Add(99)).unwrap_err().is_full());
    let waiting = std::thread::spawn({
        let tokio = here.tokio();
        move || tokio.block_on(async { proxy.send(Add(4)).await })
    });
    assert_eq!(wire.forwarded.load(Ordering::SeqCst), 0);
    wire.open();
    waiting.join().unwrap().unwrap();
    wait_until("all are through", || {
        wire.forwarded.load(Ordering::SeqCst) == 5
    });
    settle(&there);
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 4]);
    finish(here);
    finish(there);
}

#[test]
fn r_a_reply_may_come_late_from_any_thread_or_never() {
    let (here, there) = (system(), system());
    let wire = Wire::to(there.spawn(Sum::default()).unwrap());
    wire.keep.store(true, Ordering::SeqCst);
    let (proxy, _) = wire.proxy(&here, Mailbox::default());
    let ask = |n| {
        let tokio = here.tokio();
        let asking = std::thread::spawn(move || tokio.block_on(async { proxy.ask(Add(n)).await }));
        wait_until("the ask is through", || {
            !wire.kept.lock().unwrap().is_empty()
        });
        (asking, wire.kept.lock().unwrap().remove(0))
    };
    let (asking, reply) = ask(1);
    assert!(!reply.is_abandoned());
    std::thread::spawn(move || reply.send(&42_u64.to_le_bytes()).unwrap());
    assert_eq!(asking.join().unwrap().unwrap(), 42);

    let (asking, reply) = ask(2);
    drop(reply);
    assert!(matches!(
        asking.join().unwrap(),
        Err(AskError::NoReply { .. })
    ));

    let (asking, reply) = ask(3);
    assert!(reply.send(&[1, 2, 3]).is_err(), "not a number");
    assert!(matches!(
        asking.join().unwrap(),
        Err(AskError::NoReply { .. })
    ));

    for (failure, wanted) in [
        (RemoteFailure::Dead, "Dead"),
        (RemoteFailure::Panicked, "Panicked"),
        (RemoteFailure::Expired, "Expired"),
        (RemoteFailure::Cancelled, "Cancelled"),
        (RemoteFailure::Full, "NoRoom"),
        (
            RemoteFailure::Undelivered(Undelivered::PeerGone),
            "PeerGone",
        ),
        (
            RemoteFailure::Undelivered(Undelivered::TooLarge),
            "TooLarge",
        ),
    ] {
        let (asking, reply) = ask(4);
        reply.fail(failure);
        let error = asking.join().unwrap().unwrap_err();
        assert!(
            format!("{error:?}").starts_with(wanted),
            "{failure}: {error:?}"
        );
    }

    let tokio = here.tokio();
    let given_up = tokio.block_on(async {
        tokio::time::timeout(Duration::from_millis(20), proxy.ask(Add(5))).await
    });
    assert!(given_up.is_err());
    wait_until("the ask is through, or was skipped", || {
        here.stats().messages.queued() == 0
    });
    for reply in wire.kept.lock().unwrap().drain(..) {
        assert!(reply.is_abandoned());
        reply.send(&7_u64.to_le_bytes()).unwrap();
    }
    finish(here);
    finish(there);
}

#[test]
fn r_a_panicking_gateway_costs_the_message_and_the_proxy_not_the_system() {
    let (here, there) = (system(), system());
    let wire = Wire::to(there.spawn(Sum::default()).unwrap());
    let (proxy, _) = wire.proxy(&here, Mailbox::default());
    let error = proxy.ask_blocking(Add(PANICS)).unwrap_err();
    assert!(matches!(error, AskError::Panicked { .. }), "{error:?}");
    wait_until("the proxy is gone", || !proxy.is_alive());
    assert!(proxy.tell(Add(1)).unwrap_err().is_dead());
    finish(here);
    finish(there);
}

// ---- Life and death -----------------------------------------------------------------------------

/// Watches, links, and tells what it hears.
struct Witness(Arc<Mutex<Vec<Terminated>>>);
impl Actor for Witness {
    async fn terminated(&mut self, who: Terminated, _cx: &mut ActorContext<Self>) {
        self.0.lock().unwrap().push(who);
    }
}
struct Watch(ActorRef<Sum>);
impl Message for Watch {
    type Reply = ();
}
impl SyncHandler<Watch> for Witness {
    fn handle(&mut self, Watch(who): Watch, cx: &mut ActorContext<Self>) {
        cx.watch(who);
    }
}
struct Link(ActorRef<Sum>);
impl Message for Link {
    type Reply = ();
}
impl SyncHandler<Link> for Witness {
    fn handle(&mut self, Link(who): Link, cx: &mut ActorContext<Self>) {
        cx.link(who);
    }
}
struct Fail;
impl Message for Fail {
    type Reply = ();
}
impl SyncHandler<Fail> for Witness {
    fn handle(&mut self, _: Fail, cx: &mut ActorContext<Self>) {
        cx.fail("by its own word");
    }
}

fn witness(system: &SystemRef) -> (ActorRef<Witness>, Arc<Mutex<Vec<Terminated>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    (system.spawn(Witness(heard.clone())).unwrap(), heard)
}

#[test]
fn r_the_end_elsewhere_is_heard_once_with_its_reason() {
    let (here, there) = (system(), system());
    let wire = Wire::to(there.spawn(Sum::default()).unwrap());
    let (proxy, handle) = wire.proxy(&here, Mailbox::default());
    let (witness, heard) = witness(&here);
    witness.ask_blocking(Watch(proxy)).unwrap();
    let gone = StopReason::PeerGone("10.0.0.7:4370".into());
    handle.end(StopMode::Drain, gone.clone());
    handle.end(StopMode::Drain, StopReason::Normal);
    wait_until("it is heard of", || !heard.lock().unwrap().is_empty());
    assert!(proxy.tell(Add(1)).unwrap_err().is_dead());
    witness.ask_blocking(Watch(proxy)).unwrap();
    wait_until("the late watch is answered", || {
        heard.lock().unwrap().len() == 2
    });
    let reasons: Vec<_> = heard
        .lock()
        .unwrap()
        .iter()
        .map(|t| t.reason.clone())
        .collect();
    assert_eq!(reasons, [gone, StopReason::NotFound]);
    finish(here);
    finish(there);
}

#[test]
fn r_a_stop_goes_there_and_the_proxy_stays() {
    let (here, there) = (system(), system());
    let wire = Wire::to(there.spawn(Sum::default()).unwrap());
    let (proxy, _) = wire.proxy(&here, Mailbox::default());
    proxy.stop();
    proxy.stop_with(StopMode::Kill);
    proxy.stop_with(StopMode::Drain);
    assert_eq!(proxy.ask_blocking(Add(3)).unwrap(), 3, "still there");
    assert_eq!(
        *wire.stops.lock().unwrap(),
        [StopMode::Now, StopMode::Kill, StopMode::Drain]
    );
    finish(here);
    finish(there);
}

#[test]
fn r_a_link_breaks_in_both_directions() {
    let (here, there) = (system(), system());
    let wire = Wire::to(there.spawn(Sum::default()).unwrap());
    let (proxy, handle) = wire.proxy(&here, Mailbox::default());
    let (fails, _) = witness(&here);
    let id = fails.id();
    fails.ask_blocking(Link(proxy)).unwrap();
    fails.tell(Fail).unwrap();
    wait_until("the gateway is told", || {
        !wire.broken.lock().unwrap().is_empty()
    });
    assert!(matches!(
        wire.broken.lock().unwrap()[..],
        [(failed, StopReason::Failed(_))] if failed == id
    ));
    assert!(proxy.is_alive(), "the actor elsewhere decides");

    let (shares, _) = witness(&here);
    shares.ask_blocking(Link(proxy)).unwrap();
    handle.end(StopMode::Now, StopReason::Panicked("over there".into()));
    wait_until("the linked one has failed", || !shares.is_alive());
    finish(here);
    finish(there);
}

// ---- Coming in ----------------------------------------------------------------------------------

#[test]
fn r_a_number_from_elsewhere_is_looked_at_before_it_is_believed() {
    let (here, other) = (system(), system());
    let sum = here.spawn(Sum::default()).unwrap();
    let number = sum.id().as_u64();
    assert_eq!(here.resolve::<Sum>(number), Some(sum));
    assert_eq!(here.resolve::<Witness>(number), None, "another type");
    assert_eq!(other.resolve::<Sum>(number), None, "another system");
    for wrong in [
        0,
        1,
        u64::MAX,
        number ^ 1 << 37,
        number ^ 1 << 38,
        number ^ 1 << 20,
    ] {
        assert_eq!(here.resolve::<Sum>(wrong), None, "{wrong:x}");
    }
    sum.stop();
    wait_until("it is gone", || !sum.is_alive());
    assert_eq!(here.resolve::<Sum>(number), None, "stale");
    finish(here);
    finish(other);
}

#[test]
fn r_an_ask_from_elsewhere_has_one_outcome() {
    let here = system();
    let (tell, told) = std::sync::mpsc::channel();
    let ask = |target: ActorRef<Sum>, n: u64, context: Context| {
        let tell = tell.clone();
        remote::ask(target, Add(n), context, move |outcome| {
            tell.send(outcome).unwrap()
        });
        told.recv_timeout(common::PATIENCE).unwrap()
    };
    let sum = here.spawn(Sum::default()).unwrap();
    assert_eq!(ask(sum, 3, Context::empty()), Ok(3));
    assert_eq!(ask(sum, 4, Context::empty()), Ok(7));
    let cancelled = CancelToken::new();
    cancelled.cancel();
    let context = Context::empty().with_cancel(cancelled);
    assert_eq!(ask(sum, 5, context), Err(RemoteFailure::Cancelled));
    let late = Context::empty().with_timeout(Duration::ZERO);
    assert_eq!(ask(sum, 5, late), Err(RemoteFailure::Expired));
    assert_eq!(
        ask(sum, UNLUCKY, Context::empty()),
        Err(RemoteFailure::Panicked)
    );
    wait_until("it is gone", || !sum.is_alive());
    assert_eq!(ask(sum, 5, Context::empty()), Err(RemoteFailure::Dead));

    // A closed proxy is an actor whose mailbox fills.
    let wire = Wire::to(sum);
    wire.closed.store(true, Ordering::SeqCst);
    let (full, handle) = wire.proxy(&here, Mailbox::bounded(1));
    full.tell(Add(1)).unwrap();
    assert_eq!(ask(full, 2, Context::empty()), Err(RemoteFailure::Full));
    handle.end(StopMode::Now, StopReason::Normal);
    wait_until("the proxy is gone", || !full.is_alive());
    assert!(told.try_recv().is_err(), "one outcome each");
    let books = finish(here);
    assert_eq!(books.dead_letters.actor_stopped, 1);
}

// ---- Batches --------------------------------------------------------------------------------------------

#[test]
fn a_gateway_hears_when_no_more_messages_come_for_now() {
    let (here, there) = (system(), system());
    let wire = Wire::to(there.spawn(Sum::default()).unwrap());
    let (proxy, handle) = wire.proxy(&here, Mailbox::unbounded());
    // More than one turn has.
    for n in 0..200 {
        proxy.tell(Add(n)).unwrap();
    }
    wait_until("all were forwarded", || {
        wire.flushed.load(Ordering::SeqCst) == 200
    });
    // Also when it has no room for those that wait.
    wire.closed.store(true, Ordering::SeqCst);
    proxy.tell(Add(1)).unwrap();
    wire.open();
    wait_until("the one that waited was forwarded", || {
        wire.flushed.load(Ordering::SeqCst) == 201
    });
    handle.end(StopMode::Drain, StopReason::Normal);
    finish(here);
    finish(there);
}

#[test]
fn a_batch_wakes_workers_when_it_ends_however_that_is() {
    let system = system();
    let sum = system.spawn(Sum::default()).unwrap();
    // An ask wakes nobody: the actor is queued already. So each of these would wait for ever.
    remote::gather(|| sum.tell(Add(1))).unwrap();
    assert_eq!(sum.ask_blocking(Add(0)).unwrap(), 1);
    remote::gather(|| {
        remote::gather(|| sum.tell(Add(2))).unwrap();
        sum.tell(Add(3))
    })
    .unwrap();
    assert_eq!(sum.ask_blocking(Add(0)).unwrap(), 6);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        remote::gather(|| {
            sum.tell(Add(4)).unwrap();
            panic!("on purpose");
        })
    }));
    assert!(ended.is_err());
    assert_eq!(sum.ask_blocking(Add(0)).unwrap(), 10);
    finish(system);
}

#[test]
fn what_is_told_at_once_is_what_was_told_one_by_one() {
    use actor_core::SendError;
    let system = system();
    let sum = system.actor(Sum::default());
    let sum = sum.mailbox(Mailbox::unbounded()).spawn().unwrap();
    let context = Context::empty().with_timeout(Duration::from_secs(600));
    let all = remote::tell_all(sum, &context, (1..=1000).map(Add));
    assert!(matches!(all, (1000, None)));
    assert_eq!(sum.ask_blocking(Add(0)).unwrap(), 500_500);

    // No room: the first that finds none comes back, and those behind it are still to be given.
    let (entered, release) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let narrow = system.actor(Stuck(entered.clone(), release.clone()));
    let narrow = narrow.mailbox(Mailbox::bounded(8)).spawn().unwrap();
    narrow.tell(Add(0)).unwrap();
    wait_until("it is stuck", || entered.load(Ordering::SeqCst));
    let mut numbers = 1..=20;
    let (taken, refused) = remote::tell_all(narrow, &context, numbers.by_ref().map(Add));
    let Some(SendError::Full {
        message: Add(n), ..
    }) = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(n, taken as u64 + 1);
    assert_eq!(numbers.next(), Some(n + 1));
    assert!((1..=8).contains(&taken), "{taken}");

    // Too late, and too late for all.
    let late = Context::empty().with_timeout(Duration::ZERO);
    let (taken, refused) = remote::tell_all(sum, &late, [Add(1), Add(2)]);
    assert!(matches!(
        (taken, refused),
        (
            0,
            Some(SendError::Expired {
                message: Add(1),
                ..
            })
        )
    ));

    // Who panics while there are some that nobody has seen yet takes them with him.
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        remote::tell_all(
            sum,
            &context,
            (1..).map(|n| if n < 10 { Add(n) } else { panic!("on purpose") }),
        )
    }));
    assert!(panicked.is_err());
    assert_eq!(sum.ask_blocking(Add(0)).unwrap(), 500_500);
    release.store(true, Ordering::SeqCst);
    let books = finish(system);
    assert_eq!((books.refused.full, books.refused.other), (1, 1));
}

/// Handles its first message until it is let go.
struct Stuck(Arc<AtomicBool>, Arc<AtomicBool>);
impl Actor for Stuck {}
impl SyncHandler<Add> for Stuck {
    fn handle(&mut self, _: Add, _: &mut ActorContext<Self>) -> u64 {
        self.0.store(true, Ordering::SeqCst);
        while !self.1.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        0
    }
}

//! Every place where the runtime calls code of the user's, times every way that code can fail there.
//!
//! One row per place, one test per row and manner, all generated from the table at the end. After each:
//! the process and all workers live, the sibling has missed nothing, the watcher is told once, whoever
//! asked got exactly one answer of the right kind, every value is dropped, the law holds, and
//! `actors.panics` says exactly how many panics there were.

mod common;
#[path = "common/life.rs"]
mod life;

use std::fmt;
use std::future::{Future, pending};
use std::panic::panic_any;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{Accept, ActorError, BlockingError, DeferredHandler, EventBus, StopMode};
use common::*;
use futures_core::Stream;
use life::{Bomb, Dot, Echo, Log, NodeRef, Spec, boom, quiet};

/// Where the user's code is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Factory,
    FactoryDrop,
    Started,
    StartedLater,
    StartErrorText,
    StartErrorDrop,
    Stopped,
    StoppedLater,
    Terminated,
    TerminatedLater,
    Handler,
    AsyncHandler,
    AsyncHandlerLater,
    HandlerFutureDrop,
    MessageDrop,
    UnwantedReplyDrop,
    LateReplyDrop,
    StateDrop,
    StateDropInRestart,
    AskerWaker,
    SenderWaker,
    TimerWaker,
    IntervalMaker,
    IntervalMakerDrop,
    TimerMessageDrop,
    StashedMessageDrop,
    PipedFuture,
    PipedFutureDrop,
    PipeMap,
    Continuation,
    ContinuationDrop,
    StreamPoll,
    StreamMap,
    StreamEnd,
    StreamDrop,
    EventClone,
    MissedEvents,
    Guard,
    BlockingWork,
    BlockingResultDrop,
    UnwantedDeferredReplyDrop,
    HeldReplyWaker,
}

/// In which way it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Panics,
    /// With a payload whose own drop panics.
    Bombs,
    /// Awaits for ever.
    Hangs,
}

/// Strikes once, at its place.
struct Trouble {
    place: Place,
    how: How,
    armed: AtomicBool,
    lives: AtomicU32,
    tally: Tally,
}

impl Trouble {
    fn new(place: Place, how: How) -> Arc<Self> {
        Arc::new(Self {
            place,
            how,
            armed: AtomicBool::new(true),
            lives: AtomicU32::new(0),
            tally: Tally::new(),
        })
    }

    fn is_due(&self, place: Place) -> bool {
        self.place == place && self.armed.swap(false, Ordering::SeqCst)
    }

    fn at(&self, place: Place) {
        if self.place == place && self.how != How::Hangs && self.is_due(place) {
            if self.how == How::Bombs {
                panic_any(Bomb)
            }
            boom()
        }
    }

    /// A hook or an async handler: at its first step, after an await, or never to return.
    async fn within(&self, first: Place, later: Place) {
        self.at(first);
        if self.how == How::Hangs && self.is_due(first) {
            pending::<()>().await;
        }
        if self.place == later {
            tokio::time::sleep(Duration::from_millis(1)).await;
            self.at(later);
        }
    }

    fn nasty(self: &Arc<Self>, place: Place) -> Nasty {
        Nasty {
            trouble: self.clone(),
            place,
            _token: self.tally.token(),
        }
    }
}

/// A value whose drop, text or wake-up is the place.
struct Nasty {
    trouble: Arc<Trouble>,
    place: Place,
    _token: Token,
}

impl Drop for Nasty {
    fn drop(&mut self) {
        // Twice at once would end the process; see `abort_class`.
        if !std::thread::panicking() {
            self.trouble.at(self.place);
        }
    }
}

impl Wake for Nasty {
    fn wake(self: Arc<Self>) {
        self.trouble.at(self.place);
    }
}

/// An error of `started`.
struct NastyError(Nasty);

impl fmt::Debug for NastyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NastyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.trouble.at(Place::StartErrorText);
        f.write_str("no luck")
    }
}

impl std::error::Error for NastyError {}

/// The actor that it happens to. Has a child, which must not outlive it.
struct Victim {
    trouble: Arc<Trouble>,
    life: u32,
    kept: Vec<Reply<Nasty>>,
    _token: Token,
}

impl Victim {
    fn new(trouble: &Arc<Trouble>) -> Self {
        trouble.at(Place::Factory);
        Self {
            trouble: trouble.clone(),
            life: trouble.lives.fetch_add(1, Ordering::SeqCst) + 1,
            kept: Vec::new(),
            _token: trouble.tally.token(),
        }
    }
}

impl Actor for Victim {
    async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        cx.spawn(Dot)?;
        self.trouble
            .within(Place::Started, Place::StartedLater)
            .await;
        let fails = [Place::StartErrorText, Place::StartErrorDrop];
        if self.life == 1 && fails.contains(&self.trouble.place) {
            return Err(Box::new(NastyError(
                self.trouble.nasty(Place::StartErrorDrop),
            )));
        }
        Ok(())
    }

    async fn stopped(&mut self, _reason: &StopReason, _cx: &mut ActorContext<Self>) {
        self.trouble
            .within(Place::Stopped, Place::StoppedLater)
            .await;
    }

    async fn terminated(&mut self, _who: Terminated, _cx: &mut ActorContext<Self>) {
        self.trouble
            .within(Place::Terminated, Place::TerminatedLater)
            .await;
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.trouble.at(Place::StateDrop);
            self.trouble.at(Place::StateDropInRestart);
        }
    }
}

/// Which life answers.
struct Ping;

impl Message for Ping {
    type Reply = u32;
}

impl SyncHandler<Ping> for Victim {
    fn handle(&mut self, Ping: Ping, _cx: &mut ActorContext<Self>) -> u32 {
        self.life
    }
}

struct Act;

impl Message for Act {
    type Reply = ();
}

impl SyncHandler<Act> for Victim {
    fn handle(&mut self, Act: Act, _cx: &mut ActorContext<Self>) {
        self.trouble.at(Place::Handler);
        if self.trouble.place == Place::StateDropInRestart {
            boom()
        }
    }
}

struct ActAsync(Gate);

impl Message for ActAsync {
    type Reply = ();
}

impl Handler<ActAsync> for Victim {
    async fn handle(&mut self, ActAsync(began): ActAsync, _cx: &mut ActorContext<Self>) {
        let _guard = self.trouble.nasty(Place::HandlerFutureDrop);
        began.open();
        self.trouble
            .within(Place::AsyncHandler, Place::AsyncHandlerLater)
            .await;
        if self.trouble.place == Place::HandlerFutureDrop {
            pending().await
        }
    }
}

/// Keeps the victim's thread until it is let go, and answers with something nasty.
struct Hold {
    began: Gate,
    go: Gate,
}

impl Message for Hold {
    type Reply = Nasty;
}

impl SyncHandler<Hold> for Victim {
    fn handle(&mut self, Hold { began, go }: Hold, _cx: &mut ActorContext<Self>) -> Nasty {
        began.open();
        go.pass();
        self.trouble.nasty(self.trouble.place)
    }
}

/// Carries something nasty.
struct Parcel(Nasty);

impl Message for Parcel {
    type Reply = ();
}

impl SyncHandler<Parcel> for Victim {
    fn handle(&mut self, Parcel(nasty): Parcel, _cx: &mut ActorContext<Self>) {
        let _ = &nasty;
    }
}

struct Watch(ActorRef<Dot>);

impl Message for Watch {
    type Reply = ();
}

impl SyncHandler<Watch> for Victim {
    fn handle(&mut self, Watch(dot): Watch, cx: &mut ActorContext<Self>) {
        cx.watch(dot);
    }
}

/// Looked at by a guard before it is handled.
struct Guarded;

impl Message for Guarded {
    type Reply = u32;
}

impl SyncHandler<Guarded> for Victim {
    fn handle(&mut self, Guarded: Guarded, _cx: &mut ActorContext<Self>) -> u32 {
        self.life
    }

    fn accepts(&self, _: &Guarded) -> Accept {
        self.trouble.at(Place::Guard);
        Accept::Now
    }
}

/// Answered later, by [`Release`] or by the end of the victim.
struct Keep;

impl Message for Keep {
    type Reply = Nasty;
}

impl DeferredHandler<Keep> for Victim {
    fn handle(&mut self, Keep: Keep, reply: Reply<Nasty>, _cx: &mut ActorContext<Self>) {
        self.kept.push(reply);
    }
}

struct Release;

impl Message for Release {
    type Reply = ();
}

impl SyncHandler<Release> for Victim {
    fn handle(&mut self, Release: Release, _cx: &mut ActorContext<Self>) {
        let place = self.trouble.place;
        for reply in self.kept.drain(..) {
            if place == Place::UnwantedDeferredReplyDrop {
                reply.send(self.trouble.nasty(place));
            } else {
                // Whoever asked is woken, and told that there is no reply.
                drop(reply);
            }
        }
    }
}

/// Work on a blocking thread. Answered with whether the work said that it panicked.
struct Block;

impl Message for Block {
    type Reply = bool;
}

impl Handler<Block> for Victim {
    async fn handle(&mut self, Block: Block, cx: &mut ActorContext<Self>) -> bool {
        let at = self.trouble.clone();
        match self.trouble.place {
            Place::BlockingWork => {
                let done = cx.blocking(move || at.at(Place::BlockingWork)).await;
                matches!(done, Err(BlockingError::Panicked(_)))
            }
            _ => {
                // Nobody takes the result.
                let (began, go) = (Gate::new(), Gate::new());
                let (begins, goes) = (began.clone(), go.clone());
                let mut work = Box::pin(cx.blocking(move || {
                    begins.open();
                    goes.pass();
                    at.nasty(Place::BlockingResultDrop)
                }));
                assert!(poll_once(work.as_mut()).await.is_none());
                began.passed().await;
                drop(work);
                go.open();
                true
            }
        }
    }
}

/// Told to two at once, so that it is cloned.
struct Event(Arc<Trouble>);

impl Message for Event {
    type Reply = ();
}

impl Clone for Event {
    fn clone(&self) -> Self {
        self.0.at(Place::EventClone);
        Self(self.0.clone())
    }
}

/// Subscribes.
struct Ear;

impl Actor for Ear {}

impl SyncHandler<Event> for Ear {
    fn handle(&mut self, _: Event, _cx: &mut ActorContext<Self>) {}
}

/// Keeps an ear's thread until it is let go.
struct Pause(Gate, Gate);

impl Message for Pause {
    type Reply = ();
}

impl SyncHandler<Pause> for Ear {
    fn handle(&mut self, Pause(began, go): Pause, _cx: &mut ActorContext<Self>) {
        began.open();
        go.pass();
    }
}

/// Three items, not in the turn that attaches it, then no more.
struct Items {
    trouble: Arc<Trouble>,
    is_polled: bool,
    left: u32,
    endless: bool,
    _held: Option<Nasty>,
}

impl Stream for Items {
    type Item = u32;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Option<u32>> {
        if !std::mem::replace(&mut self.is_polled, true) {
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.left == 0 {
            self.trouble.at(Place::StreamPoll);
            return if self.endless {
                Poll::Pending
            } else {
                Poll::Ready(None)
            };
        }
        self.left -= 1;
        Poll::Ready(Some(self.left))
    }
}

/// Does something in the victim, in its first life only.
struct Begin(Box<Deed>);

/// What a victim is to do with its context.
type Deed = dyn FnOnce(&mut ActorContext<Victim>) + Send;

impl Message for Begin {
    type Reply = ();
}

impl SyncHandler<Begin> for Victim {
    fn handle(&mut self, Begin(act): Begin, cx: &mut ActorContext<Self>) {
        act(cx);
    }
}

/// What goes on in an actor beside its messages: begun in one, struck later, or dropped with the actor.
fn begin(
    system: &SystemRef,
    victim: ActorRef<Victim>,
    trouble: &Arc<Trouble>,
    when_it_stops: bool,
) -> &'static str {
    let (at, dot) = (trouble.clone(), system.spawn(Dot).unwrap());
    let place = trouble.place;
    let nasty = when_it_stops.then(|| at.nasty(place));
    const LATER: Duration = Duration::from_secs(3600);
    const SOON: Duration = Duration::from_millis(1);
    let act = move |cx: &mut ActorContext<Victim>| {
        let at = at.clone();
        match place {
            Place::IntervalMaker => {
                _ = cx.send_interval(SOON, move || {
                    at.at(place);
                    Ping
                })
            }
            Place::IntervalMakerDrop => {
                _ = cx.send_interval(LATER, move || {
                    let _ = &nasty;
                    Ping
                })
            }
            Place::TimerMessageDrop => _ = cx.send_after(LATER, Parcel(nasty.expect("made"))),
            Place::StashedMessageDrop => cx
                .stash(Parcel(nasty.expect("made")))
                .expect("there is room"),
            Place::PipedFuture => {
                _ = cx
                    .pipe_to_self(
                        async move {
                            tokio::task::yield_now().await;
                            at.at(place)
                        },
                        |()| Ping,
                    )
                    .unwrap()
            }
            Place::PipedFutureDrop => {
                let waits = async move {
                    let _held = nasty;
                    pending::<()>().await;
                };
                _ = cx.pipe_to_self(waits, |()| Ping).unwrap();
            }
            Place::PipeMap => {
                _ = cx
                    .pipe_to_self(async {}, move |()| {
                        at.at(place);
                        Ping
                    })
                    .unwrap()
            }
            Place::Continuation => {
                _ = cx
                    .ask_then(dot.ask(Echo(1)), move |_, _, _| at.at(place))
                    .unwrap()
            }
            Place::StreamPoll | Place::StreamMap | Place::StreamEnd | Place::StreamDrop => {
                let (mapping, ending) = (at.clone(), at.clone());
                let items = Items {
                    trouble: at,
                    is_polled: false,
                    left: 3,
                    endless: place == Place::StreamDrop,
                    _held: nasty,
                };
                let map = move |_| {
                    mapping.at(Place::StreamMap);
                    Ping
                };
                _ = cx
                    .attach_stream_then(items, map, move |_, _| ending.at(Place::StreamEnd))
                    .unwrap()
            }
            _ => {
                _ = cx
                    .attach(pending::<()>(), move |_, (), _| drop(nasty))
                    .unwrap()
            }
        }
    };
    victim.ask_blocking(Begin(Box::new(act))).unwrap();
    let told = kind(&victim.ask_blocking(Ping));
    if when_it_stops {
        victim.stop();
    }
    wait_until("it happens", || !trouble.armed.load(Ordering::SeqCst));
    if when_it_stops {
        return told;
    }
    kind(&victim.ask_blocking(Ping))
}

/// In the middle of an event for many, or of the word how many were missed. The bus is as good as before.
fn publish(
    system: &SystemRef,
    victim: ActorRef<Victim>,
    trouble: &Arc<Trouble>,
    began: &Gate,
    go: &Gate,
) -> &'static str {
    let (bus, at) = (EventBus::new(), trouble.clone());
    let ears = [(); 2].map(|()| {
        let small = Mailbox::bounded(2).overflow(Overflow::Reject);
        let ear = system.actor(|| Ear).mailbox(small).spawn().unwrap();
        let at = trouble.clone();
        assert!(bus.subscribe_with(ear, move |_| {
            at.at(Place::MissedEvents);
            Event(at.clone())
        }));
        ear
    });
    let all_heard = || {
        wait_until("all is heard", || {
            ears.iter().all(|ear| ear.queue_len() == 0)
        });
    };
    if trouble.place == Place::MissedEvents {
        ears[0].tell(Pause(began.clone(), go.clone())).unwrap();
        began.pass();
        while bus.publish(Event(at.clone())).missed == 0 {}
        go.open();
        all_heard();
    }
    let in_victim = bus.clone();
    let told = kind(&victim.ask_blocking(Begin(Box::new(move |_| {
        _ = in_victim.publish(Event(at));
    }))));
    all_heard();
    assert_eq!(bus.subscribers(), 2);
    assert_eq!(bus.publish(Event(trouble.clone())).accepted, 2);
    ears.iter().for_each(|ear| ear.stop());
    told
}

/// What the asker was told.
fn kind<T, M>(answer: &Result<T, AskError<M>>) -> &'static str {
    match answer {
        Ok(_) => "answered",
        Err(AskError::Panicked { .. }) => "panicked",
        Err(AskError::Dead { .. }) => "stopped",
        Err(AskError::Expired { .. }) => "expired",
        Err(AskError::NoReply { .. }) => "no reply",
        Err(_) => "something else",
    }
}

/// What must be so after it.
struct Expected {
    /// What the asker is told.
    told: &'static str,
    /// Panics beside the payload's own.
    panics: u64,
    restarts: u64,
}

const fn expected(told: &'static str, panics: u64, restarts: u64) -> Expected {
    Expected {
        told,
        panics,
        restarts,
    }
}

/// Lets it happen, and returns what the asker was told.
fn provoke(system: &SystemRef, victim: ActorRef<Victim>, trouble: &Arc<Trouble>) -> &'static str {
    let hangs = trouble.how == How::Hangs;
    let (began, go) = (Gate::new(), Gate::new());
    let hold = || Hold {
        began: began.clone(),
        go: go.clone(),
    };
    let told = |ask: Call<Victim, Ping>| kind(&ask.blocking());
    match trouble.place {
        Place::Started if hangs => {
            // It waits behind a start that does not end.
            let ask = std::thread::spawn(move || told(victim.ask(Ping)));
            wait_until("the start hangs", || {
                !trouble.armed.load(Ordering::SeqCst) && victim.queue_len() == 1
            });
            victim.stop_with(StopMode::Kill);
            ask.join().unwrap()
        }
        Place::Factory
        | Place::Started
        | Place::StartedLater
        | Place::StartErrorText
        | Place::StartErrorDrop => told(victim.ask(Ping)),
        Place::FactoryDrop | Place::Stopped | Place::StoppedLater | Place::StateDrop => {
            let told = told(victim.ask(Ping));
            victim.stop();
            if hangs {
                wait_until("its stop hangs", || !trouble.armed.load(Ordering::SeqCst));
                victim.stop_with(StopMode::Kill);
            }
            told
        }
        Place::Terminated | Place::TerminatedLater => {
            let dot = system.spawn(Dot).unwrap();
            victim.ask_blocking(Watch(dot)).unwrap();
            dot.stop();
            wait_until("it heard", || !trouble.armed.load(Ordering::SeqCst));
            if hangs {
                let ask = std::thread::spawn(move || told(victim.ask(Ping)));
                wait_until("it waits", || victim.queue_len() == 1);
                victim.stop_with(StopMode::Kill);
                return ask.join().unwrap();
            }
            told(victim.ask(Ping))
        }
        Place::Handler | Place::StateDropInRestart => kind(&victim.ask_blocking(Act)),
        Place::AsyncHandler if hangs => {
            let inside = began.clone();
            let ask = std::thread::spawn(move || kind(&victim.ask_blocking(ActAsync(inside))));
            began.pass();
            victim.stop_with(StopMode::Kill);
            ask.join().unwrap()
        }
        Place::AsyncHandler | Place::AsyncHandlerLater => {
            kind(&victim.ask_blocking(ActAsync(began)))
        }
        Place::HandlerFutureDrop => {
            let inside = began.clone();
            let ask = std::thread::spawn(move || kind(&victim.ask_blocking(ActAsync(inside))));
            began.pass();
            victim.stop_with(StopMode::Kill);
            ask.join().unwrap()
        }
        Place::MessageDrop => {
            victim.tell(hold()).unwrap();
            began.pass();
            // What is being handled may count.
            let before = victim.queue_len();
            let nasty = trouble.nasty(Place::MessageDrop);
            let ask = std::thread::spawn(move || kind(&victim.ask_blocking(Parcel(nasty))));
            wait_until("it is queued", || victim.queue_len() > before);
            victim.stop();
            go.open();
            ask.join().unwrap()
        }
        Place::UnwantedReplyDrop => {
            go.open();
            victim.tell(hold()).unwrap();
            told(victim.ask(Ping))
        }
        Place::LateReplyDrop => {
            let mut late = Box::pin(victim.ask(hold()));
            let mut task = Task::from_waker(Waker::noop());
            assert!(late.as_mut().poll(&mut task).is_pending());
            began.pass();
            drop(late);
            go.open();
            told(victim.ask(Ping))
        }
        Place::AskerWaker | Place::SenderWaker | Place::TimerWaker | Place::HeldReplyWaker => {
            wakers(victim, trouble, &began, &go)
        }
        Place::IntervalMaker
        | Place::PipedFuture
        | Place::PipeMap
        | Place::Continuation
        | Place::StreamPoll
        | Place::StreamMap
        | Place::StreamEnd => begin(system, victim, trouble, false),
        Place::EventClone | Place::MissedEvents => publish(system, victim, trouble, &began, &go),
        Place::Guard => kind(&victim.ask_blocking(Guarded)),
        Place::BlockingWork | Place::BlockingResultDrop => {
            let answer = victim.ask_blocking(Block);
            wait_until("it happens", || !trouble.armed.load(Ordering::SeqCst));
            assert!(matches!(answer, Ok(true)), "{answer:?}");
            kind(&answer)
        }
        Place::UnwantedDeferredReplyDrop => {
            victim.tell(Keep).unwrap();
            victim.ask_blocking(Release).unwrap();
            told(victim.ask(Ping))
        }
        Place::IntervalMakerDrop
        | Place::TimerMessageDrop
        | Place::StashedMessageDrop
        | Place::PipedFutureDrop
        | Place::StreamDrop
        | Place::ContinuationDrop => begin(system, victim, trouble, true),
    }
}

fn wakers(
    victim: ActorRef<Victim>,
    trouble: &Arc<Trouble>,
    began: &Gate,
    go: &Gate,
) -> &'static str {
    let waker = Waker::from(Arc::new(trouble.nasty(trouble.place)));
    let mut task = Task::from_waker(&waker);
    let hold = Hold {
        began: began.clone(),
        go: go.clone(),
    };
    match trouble.place {
        Place::AskerWaker => {
            let mut ask = pin!(victim.ask(hold));
            assert!(ask.as_mut().poll(&mut task).is_pending());
            go.open();
            wait_until("it was woken", || !trouble.armed.load(Ordering::SeqCst));
            match ask.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
                Poll::Ready(answer) => kind(&answer),
                Poll::Pending => "nothing",
            }
        }
        Place::HeldReplyWaker => {
            let mut ask = pin!(victim.ask(Keep));
            assert!(ask.as_mut().poll(&mut task).is_pending());
            victim.ask_blocking(Release).unwrap();
            wait_until("it was woken", || !trouble.armed.load(Ordering::SeqCst));
            match ask.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
                Poll::Ready(answer) => kind(&answer),
                Poll::Pending => "nothing",
            }
        }
        Place::SenderWaker => {
            victim.tell(hold).unwrap();
            began.pass();
            // Its mailbox has room for two.
            while victim.tell(Act).is_ok() {}
            let mut send = Box::pin(victim.send(Act));
            assert!(send.as_mut().poll(&mut task).is_pending());
            go.open();
            wait_until("it was woken", || !trouble.armed.load(Ordering::SeqCst));
            drop(send);
            kind(&victim.ask_blocking(Ping))
        }
        _ => {
            // With time enough to begin to wait, on this machine at this moment.
            let mut limit = Duration::from_millis(10);
            let mut ask = loop {
                let hold = Hold {
                    began: began.clone(),
                    go: go.clone(),
                };
                let mut ask = Box::pin(victim.ask(hold).within(limit));
                if ask.as_mut().poll(&mut task).is_pending() {
                    break ask;
                }
                limit *= 2;
                assert!(limit < PATIENCE, "it never waits");
            };
            wait_until("it was woken", || !trouble.armed.load(Ordering::SeqCst));
            let told = match ask.as_mut().poll(&mut Task::from_waker(Waker::noop())) {
                Poll::Ready(answer) => kind(&answer),
                Poll::Pending => "nothing",
            };
            go.open();
            told
        }
    }
}

fn case(place: Place, how: How, expected: &Expected) {
    quiet();
    let (system, log, trouble) = (system(), Log::new(), Trouble::new(place, how));
    let handle = system.handle();
    let sibling = Spec::new("sibling", &log).spawn(&system);
    let watcher = Spec::new("watcher", &log).spawn(&system);
    let mut noted = 0;
    let mut nudge = || {
        noted += 1;
        sibling.tell(life::Note(noted)).unwrap();
    };
    nudge();

    // The watcher must be there before the first start fails.
    let (keep, made) = (Gate::new(), trouble.clone());
    let mut kept = Some(trouble.nasty(Place::FactoryDrop));
    if place != Place::FactoryDrop {
        kept = None;
    }
    let held = keep.clone();
    let victim = system
        .actor(move || {
            held.pass();
            let _ = &kept;
            Victim::new(&made)
        })
        .restart(Restart::Transient)
        .mailbox(Mailbox::bounded(2))
        .stash(2)
        .spawn()
        .unwrap();
    watcher
        .ask_blocking(life::with(move |node, cx| {
            node.names.insert(victim.id(), "victim".to_owned());
            cx.watch(victim);
        }))
        .unwrap();
    keep.open();
    let told = provoke(&handle, victim, &trouble);
    assert_eq!(told, expected.told, "the asker of {place:?}, {how:?}");
    nudge();
    wait_until("it was restarted", || {
        handle.stats().actors.restarts == expected.restarts
    });
    if how == How::Hangs {
        victim.stop_with(StopMode::Kill);
    } else {
        victim.stop();
    }
    wait_until("the victim is gone", || !victim.is_alive());
    // What an actor held may go a moment after its address does.
    wait_until("it did happen", || !trouble.armed.load(Ordering::SeqCst));
    wait_until("the watcher was told", || {
        log.starting("watcher heard of victim") == 1
    });

    // All workers take turns still.
    for n in 0..16 {
        assert_eq!(handle.spawn(Dot).unwrap().ask_blocking(Echo(n)).unwrap(), n);
    }
    nudge();
    let sum = sibling
        .ask_blocking(life::with(|node, _| node.numbers.clone()))
        .unwrap();
    assert_eq!(sum, [1, 2, 3], "the sibling missed nothing");
    assert_eq!(sibling.life(), 1);
    let told_restarts = handle.stats().actors.restarts;
    assert_eq!(told_restarts, expected.restarts, "restarts");
    finish(system);
    assert_eq!(log.starting("watcher heard of victim"), 1, "told once");
    trouble.tally.all_dropped();
    let actors = handle.stats().actors;
    let bomb = u64::from(how == How::Bombs);
    assert_eq!(actors.panics, expected.panics + bomb, "panics are counted");
    assert_eq!(actors.alive(), 0);
}

macro_rules! table {
    ($($place:ident { $($test:ident: $how:ident),+ } => $expected:expr;)+) => {
        $($(
            #[test]
            fn $test() {
                case(Place::$place, How::$how, &$expected);
            }
        )+)+

        /// So that a place cannot be left out.
        const ROWS: &[Place] = &[$(Place::$place),+];
    };
}

table! {
    Factory { c6_factory_panics: Panics, c6_factory_bombs: Bombs } => expected("answered", 1, 1);
    FactoryDrop { c6_factory_drop_panics: Panics, c6_factory_drop_bombs: Bombs } => expected("answered", 1, 0);
    Started { c6_started_panics: Panics, c6_started_bombs: Bombs } => expected("answered", 1, 1);
    StartedLater { c6_started_panics_later: Panics, c6_started_bombs_later: Bombs } => expected("answered", 1, 1);
    StartErrorText { c6_start_error_text_panics: Panics, c6_start_error_text_bombs: Bombs } => expected("answered", 1, 1);
    StartErrorDrop { c6_start_error_drop_panics: Panics, c6_start_error_drop_bombs: Bombs } => expected("answered", 1, 1);
    Stopped { c6_stopped_panics: Panics, c6_stopped_bombs: Bombs } => expected("answered", 1, 0);
    StoppedLater { c6_stopped_panics_later: Panics, c6_stopped_bombs_later: Bombs } => expected("answered", 1, 0);
    Terminated { c6_terminated_panics: Panics, c6_terminated_bombs: Bombs } => expected("answered", 1, 1);
    TerminatedLater { c6_terminated_panics_later: Panics, c6_terminated_bombs_later: Bombs } => expected("answered", 1, 1);
    Handler { c6_handler_panics: Panics, c6_handler_bombs: Bombs } => expected("panicked", 1, 1);
    AsyncHandler { c6_async_handler_panics: Panics, c6_async_handler_bombs: Bombs } => expected("panicked", 1, 1);
    AsyncHandlerLater { c6_async_handler_panics_later: Panics, c6_async_handler_bombs_later: Bombs } => expected("panicked", 1, 1);
    HandlerFutureDrop { c6_handler_future_drop_panics: Panics, c6_handler_future_drop_bombs: Bombs } => expected("stopped", 1, 0);
    MessageDrop { c6_message_drop_panics: Panics, c6_message_drop_bombs: Bombs } => expected("stopped", 1, 0);
    UnwantedReplyDrop { c6_unwanted_reply_drop_panics: Panics, c6_unwanted_reply_drop_bombs: Bombs } => expected("answered", 1, 0);
    LateReplyDrop { c6_late_reply_drop_panics: Panics, c6_late_reply_drop_bombs: Bombs } => expected("answered", 1, 0);
    StateDrop { c6_state_drop_panics: Panics, c6_state_drop_bombs: Bombs } => expected("answered", 1, 0);
    // The handler's panic comes first.
    StateDropInRestart { c6_state_drop_in_restart_panics: Panics, c6_state_drop_in_restart_bombs: Bombs } => expected("panicked", 2, 1);
    AskerWaker { c6_asker_waker_panics: Panics, c6_asker_waker_bombs: Bombs } => expected("answered", 1, 0);
    SenderWaker { c6_sender_waker_panics: Panics, c6_sender_waker_bombs: Bombs } => expected("answered", 1, 0);
    TimerWaker { c6_timer_waker_panics: Panics, c6_timer_waker_bombs: Bombs } => expected("expired", 1, 0);
    IntervalMaker { c6_interval_maker_panics: Panics, c6_interval_maker_bombs: Bombs } => expected("answered", 1, 1);
    IntervalMakerDrop { c6_interval_maker_drop_panics: Panics, c6_interval_maker_drop_bombs: Bombs } => expected("answered", 1, 0);
    TimerMessageDrop { c6_timer_message_drop_panics: Panics, c6_timer_message_drop_bombs: Bombs } => expected("answered", 1, 0);
    StashedMessageDrop { c6_stashed_message_drop_panics: Panics, c6_stashed_message_drop_bombs: Bombs } => expected("answered", 1, 0);
    PipedFuture { c6_piped_future_panics: Panics, c6_piped_future_bombs: Bombs } => expected("answered", 1, 1);
    PipedFutureDrop { c6_piped_future_drop_panics: Panics, c6_piped_future_drop_bombs: Bombs } => expected("answered", 1, 0);
    PipeMap { c6_pipe_map_panics: Panics, c6_pipe_map_bombs: Bombs } => expected("answered", 1, 1);
    Continuation { c6_continuation_panics: Panics, c6_continuation_bombs: Bombs } => expected("answered", 1, 1);
    ContinuationDrop { c6_continuation_drop_panics: Panics, c6_continuation_drop_bombs: Bombs } => expected("answered", 1, 0);
    StreamPoll { c6_stream_poll_panics: Panics, c6_stream_poll_bombs: Bombs } => expected("answered", 1, 1);
    StreamMap { c6_stream_map_panics: Panics, c6_stream_map_bombs: Bombs } => expected("answered", 1, 1);
    StreamEnd { c6_stream_end_panics: Panics, c6_stream_end_bombs: Bombs } => expected("answered", 1, 1);
    StreamDrop { c6_stream_drop_panics: Panics, c6_stream_drop_bombs: Bombs } => expected("answered", 1, 0);
    EventClone { c6_event_clone_panics: Panics, c6_event_clone_bombs: Bombs } => expected("panicked", 1, 1);
    MissedEvents { c6_missed_events_panics: Panics, c6_missed_events_bombs: Bombs } => expected("panicked", 1, 1);
    Guard { c6_guard_panics: Panics, c6_guard_bombs: Bombs } => expected("panicked", 1, 1);
    // Its actor is told, and decides for itself.
    BlockingWork { c6_blocking_work_panics: Panics, c6_blocking_work_bombs: Bombs } => expected("answered", 1, 0);
    BlockingResultDrop { c6_blocking_result_drop_panics: Panics, c6_blocking_result_drop_bombs: Bombs } => expected("answered", 1, 0);
    UnwantedDeferredReplyDrop { c6_unwanted_deferred_reply_drop_panics: Panics, c6_unwanted_deferred_reply_drop_bombs: Bombs } => expected("answered", 1, 0);
    HeldReplyWaker { c6_held_reply_waker_panics: Panics, c6_held_reply_waker_bombs: Bombs } => expected("no reply", 1, 0);
}

/// What awaits for ever is ended by a kill, and costs nobody else anything.
mod hangs {
    use super::{How, Place, case, expected};

    #[test]
    fn c6_started_hangs() {
        case(Place::Started, How::Hangs, &expected("stopped", 0, 0));
    }

    #[test]
    fn c6_stopped_hangs() {
        case(Place::Stopped, How::Hangs, &expected("answered", 0, 0));
    }

    #[test]
    fn c6_terminated_hangs() {
        case(Place::Terminated, How::Hangs, &expected("stopped", 0, 0));
    }

    #[test]
    fn c6_async_handler_hangs() {
        case(Place::AsyncHandler, How::Hangs, &expected("stopped", 0, 0));
    }
}

#[test]
fn c6_the_table_has_every_place() {
    assert_eq!(ROWS.len(), Place::HeldReplyWaker as usize + 1);
    for (index, place) in ROWS.iter().enumerate() {
        assert_eq!(*place as usize, index, "in the order of the list");
    }
}

//! M07 to M13: an ask is resolved exactly once, with a reply or with a reason, and whoever gives up
//! leaves nothing behind.

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actor_core::StopMode;
use actor_core::prelude::*;
use common::{
    Gate, PATIENCE, Shake, Tally, Token, finish, poll_once, settle, system, wait_until, within,
};
use tokio::sync::oneshot;

/// Answers with what it is given, in the way it is told to.
struct Server;
impl Actor for Server {}

struct Echo(
    u64,
    #[expect(dead_code, reason = "counts drops")] Token,
    Tally,
);
impl Message for Echo {
    type Reply = (u64, Token);
}
impl SyncHandler<Echo> for Server {
    fn handle(&mut self, Echo(n, _, tally): Echo, _cx: &mut ActorContext<Self>) -> (u64, Token) {
        assert_ne!(n, 13, "unlucky");
        (n, tally.token())
    }
}

/// Answers once released; says when it has begun.
struct Later {
    begun: Option<oneshot::Sender<()>>,
    release: oneshot::Receiver<()>,
    #[expect(dead_code, reason = "counts drops")]
    token: Token,
    tally: Tally,
}
impl Message for Later {
    type Reply = (bool, Token);
}
impl Handler<Later> for Server {
    async fn handle(&mut self, mut later: Later, cx: &mut ActorContext<Self>) -> (bool, Token) {
        _ = later.begun.take().map(|begun| begun.send(()));
        _ = (&mut later.release).await;
        (cx.is_cancelled(), later.tally.token())
    }
}

/// Keeps the worker's thread in the handler until the gate opens.
struct Block(Gate);
impl Message for Block {
    type Reply = ();
}
impl SyncHandler<Block> for Server {
    fn handle(&mut self, Block(gate): Block, _cx: &mut ActorContext<Self>) {
        gate.pass();
    }
}

fn later(tally: &Tally) -> (Later, oneshot::Receiver<()>, oneshot::Sender<()>) {
    let (begun, has_begun) = oneshot::channel();
    let (release, released) = oneshot::channel();
    let message = Later {
        begun: Some(begun),
        release: released,
        token: tally.token(),
        tally: tally.clone(),
    };
    (message, has_begun, release)
}

fn echo(n: u64, tally: &Tally) -> Echo {
    Echo(n, tally.token(), tally.clone())
}

#[test]
fn m07_an_ask_is_answered_once() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let tally = Tally::new();
    for n in 20..1020 {
        assert_eq!(server.ask_blocking(echo(n, &tally)).unwrap().0, n);
    }
    system.block_on(async {
        for n in 20..1020 {
            assert_eq!(within(server.ask(echo(n, &tally))).await.unwrap().0, n);
        }
    });
    let books = settle(&system);
    assert_eq!((books.offered, books.handled), (2000, 2000));
    assert_eq!((tally.made(), tally.alive()), (4000, 0));
    finish(system);
}

#[test]
fn m07_an_ask_past_its_deadline_is_expired_and_its_late_reply_dropped() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let tally = Tally::new();
    // Time enough to begin with it. If not, it was not handled at all: once more, with more time.
    let mut limit = Duration::from_millis(30);
    let (error, took, release) = loop {
        let (message, begun, release) = later(&tally);
        let asked = Instant::now();
        let error = server.ask(message).within(limit).blocking().unwrap_err();
        let took = asked.elapsed();
        if begun.blocking_recv().is_ok() {
            break (error, took, release);
        }
        assert!(limit < PATIENCE, "it never begins");
        limit *= 2;
    };
    match error {
        AskError::Expired {
            target,
            waited,
            message: None,
        } => {
            assert_eq!(target, server.id());
            assert!(
                waited + Duration::from_millis(1) >= limit && waited <= took,
                "{waited:?} of {took:?}"
            );
        }
        other => panic!("{other:?}"),
    }
    release.send(()).unwrap();
    let books = settle(&system);
    assert_eq!(books.handled, 1);
    assert_eq!(system.stats().actors.late_replies, 1);
    tally.all_dropped();
    finish(system);
}

#[test]
fn m07_expired_names_the_actor_and_the_wait() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let gate = Gate::new();
    let error = server
        .ask(Block(gate.clone()))
        .within(Duration::from_millis(10))
        .blocking()
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains(&server.to_string()) && text.contains("waited"),
        "{text}"
    );
    assert!(format!("{error:?}").contains("Block"), "{error:?}");
    gate.open();
    finish(system);
}

#[test]
fn m08_an_ask_to_the_dead_fails_at_once_with_its_message() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    server.stop();
    wait_until("it is dead", || !server.is_alive());
    let tally = Tally::new();
    // At once: the error says that it did not wait for the deadline.
    let error = server
        .ask(echo(1, &tally))
        .within(Duration::from_secs(3600))
        .blocking()
        .unwrap_err();
    assert!(
        matches!(
            &error,
            AskError::Dead {
                message: Some(Echo(1, ..)),
                ..
            }
        ),
        "{error:?}"
    );
    drop(error);
    tally.all_dropped();
    assert_eq!(settle(&system).refused.dead, 1);
    finish(system);
}

#[test]
fn m08_a_stop_resolves_asks_that_wait_in_the_mailbox_and_in_the_handler() {
    for mode in [StopMode::Now, StopMode::Kill] {
        let system = system();
        let server = system.spawn(|| Server).unwrap();
        let tally = Tally::new();
        system.block_on(async {
            let (message, begun, release) = later(&tally);
            let mut running = Box::pin(server.ask(message));
            assert!(poll_once(running.as_mut()).await.is_none());
            within(begun).await.unwrap();
            let mut waiting = Vec::new();
            for n in 20..30 {
                let mut ask = Box::pin(server.ask(echo(n, &tally)));
                assert!(poll_once(ask.as_mut()).await.is_none());
                waiting.push(ask);
            }
            server.stop_with(mode);
            if mode == StopMode::Now {
                release.send(()).unwrap();
                assert!(!within(running).await.unwrap().0);
            } else {
                let error = within(running).await.unwrap_err();
                assert!(
                    matches!(error, AskError::Dead { message: None, .. }),
                    "{error:?}"
                );
            }
            for ask in waiting {
                let error = within(ask).await.unwrap_err();
                assert!(
                    matches!(error, AskError::Dead { message: None, .. }),
                    "{error:?}"
                );
            }
        });
        let books = settle(&system);
        assert_eq!(books.dead_letters.actor_stopped, 10);
        assert_eq!(books.dropped.interrupted, u64::from(mode == StopMode::Kill));
        tally.all_dropped();
        finish(system);
    }
}

#[test]
fn m08_a_panic_answers_its_ask_and_only_that() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let tally = Tally::new();
    let error = server.ask_blocking(echo(13, &tally)).unwrap_err();
    assert!(
        matches!(error, AskError::Panicked { target } if target == server.id()),
        "{error:?}"
    );
    // Restarted, same address.
    assert_eq!(server.ask_blocking(echo(14, &tally)).unwrap().0, 14);
    let books = settle(&system);
    assert_eq!((books.dropped.panicked, books.handled), (1, 1));
    tally.all_dropped();
    finish(system);
}

/// M09 in this framework: a handler's return value is the reply, so there is no handle that could be
/// dropped or used twice (M10 holds by type). What is left of `NoReply` is the overflow policies, see
/// `backpressure.rs`. A tell's reply is dropped.
#[test]
fn m10_a_reply_to_a_tell_is_dropped_once() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let tally = Tally::new();
    for n in 20..120 {
        server.tell(echo(n, &tally)).unwrap();
        server.ask(echo(n, &tally)).tell().unwrap();
    }
    settle(&system);
    assert_eq!(tally.made(), 400);
    tally.all_dropped();
    assert_eq!(system.stats().actors.late_replies, 0);
    finish(system);
}

#[test]
fn m11_a_call_that_is_not_polled_sends_nothing() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let tally = Tally::new();
    drop(server.ask(echo(1, &tally)));
    drop(server.send(echo(1, &tally)));
    assert_eq!(tally.alive(), 0);
    assert_eq!(settle(&system).offered, 0);
    finish(system);
}

#[test]
fn m11_an_ask_dropped_before_its_handler_begins_is_not_handled() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let gate = Gate::new();
    server.tell(Block(gate.clone())).unwrap();
    let tally = Tally::new();
    system.block_on(async {
        for n in 20..30 {
            let mut ask = Box::pin(server.ask(echo(n, &tally)));
            assert!(poll_once(ask.as_mut()).await.is_none());
        }
    });
    gate.open();
    let books = settle(&system);
    assert_eq!((books.handled, books.dropped.abandoned), (1, 10));
    assert_eq!(tally.made(), 10, "no reply was made");
    tally.all_dropped();
    finish(system);
}

#[test]
fn m11_a_handler_goes_on_when_its_asker_is_gone_and_its_reply_is_dropped() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let tally = Tally::new();
    system.block_on(async {
        let (message, begun, release) = later(&tally);
        let mut ask = Box::pin(server.ask(message));
        assert!(poll_once(ask.as_mut()).await.is_none());
        within(begun).await.unwrap();
        drop(ask);
        release.send(()).unwrap();
    });
    let books = settle(&system);
    assert_eq!(books.handled, 1);
    assert_eq!(system.stats().actors.late_replies, 1);
    tally.all_dropped();
    finish(system);
}

#[test]
fn m11_a_handler_sees_that_its_call_was_cancelled() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let tally = Tally::new();
    system.block_on(async {
        let token = CancelToken::new();
        let (message, begun, release) = later(&tally);
        // Told, so that somebody is left to see what the handler saw.
        let saw = Arc::new(Mutex::new(None));
        let (second, second_begun, second_release) = later(&tally);
        let mut ask = Box::pin(server.ask(message).cancel(&token));
        assert!(poll_once(ask.as_mut()).await.is_none());
        within(begun).await.unwrap();
        token.cancel();
        let error = within(ask).await.unwrap_err();
        assert!(
            matches!(error, AskError::Cancelled { message: None, .. }),
            "{error:?}"
        );
        release.send(()).unwrap();
        let other = server.ask(second);
        let task = tokio::spawn({
            let saw = Arc::clone(&saw);
            async move { *saw.lock().unwrap() = Some(other.await.unwrap().0) }
        });
        within(second_begun).await.unwrap();
        second_release.send(()).unwrap();
        within(task).await.unwrap();
        assert_eq!(
            *saw.lock().unwrap(),
            Some(false),
            "the next message is not cancelled"
        );
    });
    settle(&system);
    tally.all_dropped();
    finish(system);
}

#[test]
fn m11_asks_dropped_at_any_moment_free_message_and_reply_once() {
    let system = system();
    let tally = Tally::new();
    let servers: Vec<_> = (0..4)
        .map(|_| {
            system
                .actor(|| Server)
                .mailbox(Mailbox::bounded(3))
                .spawn()
                .unwrap()
        })
        .collect();
    system.block_on(async {
        let mut tasks = Vec::new();
        for seed in 1..=6 {
            let (tally, servers) = (tally.clone(), servers.clone());
            tasks.push(tokio::spawn(async move {
                let mut shake = Shake::new(seed);
                for n in 0..1500 {
                    let server = servers[shake.below(4) as usize];
                    let mut ask = Box::pin(server.ask(echo(20 + n, &tally)));
                    if shake.below(3) == 0 {
                        ask = Box::pin(
                            server
                                .ask(echo(20 + n, &tally))
                                .within(Duration::from_micros(shake.below(300))),
                        );
                    }
                    for _ in 0..shake.below(4) {
                        match poll_once(ask.as_mut()).await {
                            Some(Ok((reply, _))) => assert_eq!(reply, 20 + n),
                            Some(Err(AskError::Expired { .. })) => {}
                            Some(Err(other)) => panic!("{other:?}"),
                            None if shake.below(2) == 0 => {
                                tokio::task::yield_now().await;
                                continue;
                            }
                            None => continue,
                        }
                        break;
                    }
                }
            }));
        }
        for task in tasks {
            within(task).await.unwrap();
        }
    });
    settle(&system);
    tally.all_dropped();
    finish(system);
}

/// An asker that moves from task to task and is polled for no reason.
#[test]
fn m11_an_ask_polled_by_changing_tasks_is_woken_once_answered() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let tally = Tally::new();
    system.block_on(async {
        for n in 20..320 {
            let mut ask = Box::pin(server.ask(echo(n, &tally)));
            let first = poll_once(ask.as_mut()).await;
            let (reply, _) = match first {
                Some(reply) => reply.unwrap(),
                None => {
                    let task = tokio::spawn(async move {
                        tokio::select! {
                            biased;
                            reply = &mut ask => reply,
                            () = tokio::task::yield_now() => ask.await,
                        }
                    });
                    within(task).await.unwrap().unwrap()
                }
            };
            assert_eq!(reply, n);
        }
    });
    settle(&system);
    tally.all_dropped();
    finish(system);
}

/// One of a ring: asks the next one, down to zero.
struct Ring {
    next: Option<ActorRef<Self>>,
    patience: Option<Duration>,
}
impl Actor for Ring {}
struct Join(ActorRef<Ring>);
impl Message for Join {
    type Reply = ();
}
impl SyncHandler<Join> for Ring {
    fn handle(&mut self, Join(next): Join, _cx: &mut ActorContext<Self>) {
        self.next = Some(next);
    }
}
struct Pass(u32);
impl Message for Pass {
    type Reply = Result<u32, String>;
}
impl Handler<Pass> for Ring {
    async fn handle(
        &mut self,
        Pass(left): Pass,
        _cx: &mut ActorContext<Self>,
    ) -> Result<u32, String> {
        if left == 0 {
            return Ok(0);
        }
        let next = self.next.expect("joined");
        let mut ask = next.ask(Pass(left - 1));
        if let Some(patience) = self.patience {
            ask = ask.within(patience);
        }
        match ask.await {
            Ok(Ok(n)) => Ok(n + 1),
            Ok(Err(deeper)) => Err(deeper),
            Err(AskError::Deadlock { path, message }) => {
                assert_eq!(message.map(|message| message.0), Some(left - 1));
                Err(path.to_string())
            }
            Err(other) => Err(format!("{other}")),
        }
    }
}

fn ring(system: &ActorSystem, n: usize, patience: Option<Duration>) -> Vec<ActorRef<Ring>> {
    let actors: Vec<_> = (0..n)
        .map(|_| {
            system
                .spawn(Ring {
                    next: None,
                    patience,
                })
                .unwrap()
        })
        .collect();
    for (at, actor) in actors.iter().enumerate() {
        actor.ask_blocking(Join(actors[(at + 1) % n])).unwrap();
    }
    actors
}

#[test]
fn m12_an_actor_that_asks_itself_is_told_so_at_once() {
    let system = system();
    let me = ring(&system, 1, None)[0];
    let path = me.ask_blocking(Pass(1)).unwrap().unwrap_err();
    assert_eq!(path, format!("{me} -> {me}"));
    assert_eq!(settle(&system).refused.other, 1);
    // And it can be asked on.
    assert_eq!(me.ask_blocking(Pass(0)).unwrap(), Ok(0));
    finish(system);
}

#[test]
fn m13_a_circle_of_asks_is_named_not_waited_for() {
    let system = system();
    for n in 2..=8 {
        let ring = ring(&system, n, None);
        for _ in 0..20 {
            // Once round comes back to a busy actor; one less is a chain that ends.
            let path = ring[0].ask_blocking(Pass(n as u32)).unwrap().unwrap_err();
            for actor in &ring {
                assert!(path.contains(&actor.to_string()), "{path} lacks {actor}");
            }
            assert_eq!(path.matches(" -> ").count(), n, "{path}");
            let hops = n as u32 - 1;
            assert_eq!(ring[0].ask_blocking(Pass(hops)).unwrap(), Ok(hops));
        }
    }
    finish(system);
}

#[test]
fn m13_circles_closed_from_all_sides_at_once_never_hang() {
    let system = system();
    for n in 2..=8 {
        let ring = ring(&system, n, None);
        system.block_on(async {
            let mut tasks = Vec::new();
            for actor in ring {
                tasks.push(tokio::spawn(async move {
                    for _ in 0..30 {
                        _ = actor.ask(Pass(n as u32)).await.unwrap();
                    }
                }));
            }
            for task in tasks {
                within(task).await.unwrap();
            }
        });
        settle(&system);
    }
    finish(system);
}

/// Asks back and forth that are no circles at any moment.
#[test]
fn m13_asks_in_turn_are_not_taken_for_a_circle() {
    let system = system();
    let pair = ring(&system, 2, None);
    for n in 0..2000 {
        assert_eq!(pair[n % 2].ask_blocking(Pass(1)).unwrap(), Ok(1));
    }
    finish(system);
}

/// A circle of which one side waits for room and the other for a reply.
struct Full(Option<ActorRef<Asker>>);
impl Actor for Full {}
struct Asker(ActorRef<Full>);
impl Actor for Asker {}
struct Go(Gate, ActorRef<Asker>);
impl Message for Go {
    type Reply = bool;
}
impl Handler<Go> for Full {
    async fn handle(&mut self, Go(gate, back): Go, _cx: &mut ActorContext<Self>) -> bool {
        gate.pass();
        matches!(back.ask(Poke).await, Err(AskError::Deadlock { .. }))
    }
}
struct Poke;
impl Message for Poke {
    type Reply = ();
}
impl SyncHandler<Poke> for Full {
    fn handle(&mut self, _: Poke, _cx: &mut ActorContext<Self>) {
        self.0 = None;
    }
}
impl SyncHandler<Poke> for Asker {
    fn handle(&mut self, _: Poke, _cx: &mut ActorContext<Self>) {}
}
struct Start(oneshot::Sender<()>);
impl Message for Start {
    type Reply = ();
}
impl Handler<Start> for Asker {
    async fn handle(&mut self, Start(begun): Start, _cx: &mut ActorContext<Self>) {
        let mut ask = Box::pin(self.0.ask(Poke));
        assert!(poll_once(ask.as_mut()).await.is_none());
        _ = begun.send(());
        ask.await.unwrap();
    }
}

#[test]
fn m13_waiting_for_room_closes_a_circle_too() {
    let system = system();
    if system.seats().len() < 2 {
        return; // One side blocks its worker to set the scene.
    }
    let full = system
        .actor(Full(None))
        .mailbox(Mailbox::bounded(1))
        .spawn()
        .unwrap();
    let asker = system.spawn(Asker(full)).unwrap();
    let gate = Gate::new();
    system.block_on(async {
        let mut go = Box::pin(full.ask(Go(gate.clone(), asker)));
        assert!(poll_once(go.as_mut()).await.is_none());
        wait_until("the mailbox is full", || full.tell(Poke).is_err());
        let (begun, has_begun) = oneshot::channel();
        asker.tell(Start(begun)).unwrap();
        within(has_begun).await.unwrap();
        gate.open();
        assert!(within(go).await.unwrap());
    });
    finish(system);
}

/// Asks from a plain thread's function inside a handler.
struct Blocker(ActorRef<Server>);
impl Actor for Blocker {}
struct TryToBlock;
impl Message for TryToBlock {
    type Reply = bool;
}
impl SyncHandler<TryToBlock> for Blocker {
    fn handle(&mut self, _: TryToBlock, _cx: &mut ActorContext<Self>) -> bool {
        let error = self.0.ask_blocking(Block(Gate::new())).unwrap_err();
        assert!(error.to_string().contains("ask(..).await"), "{error}");
        matches!(error, AskError::WouldBlock { target, .. } if target == self.0.id())
    }
}

#[test]
fn ask_blocking_on_a_worker_is_refused() {
    let system = system();
    let server = system.spawn(|| Server).unwrap();
    let blocker = system.spawn(Blocker(server)).unwrap();
    assert!(blocker.ask_blocking(TryToBlock).unwrap());
    assert_eq!(settle(&system).refused.other, 1);
    finish(system);
}

/// Two asks at once inside a handler.
struct Both(ActorRef<Server>, ActorRef<Server>);
impl Actor for Both {}
struct Race(Tally);
impl Message for Race {
    type Reply = u64;
}
impl Handler<Race> for Both {
    async fn handle(&mut self, Race(tally): Race, _cx: &mut ActorContext<Self>) -> u64 {
        let (a, b) = tokio::join!(self.0.ask(echo(20, &tally)), self.1.ask(echo(21, &tally)));
        let first = tokio::select! {
            reply = self.0.ask(echo(22, &tally)) => reply,
            reply = self.1.ask(echo(22, &tally)) => reply,
        };
        a.unwrap().0 + b.unwrap().0 + first.unwrap().0
    }
}

#[test]
fn m11_join_and_select_of_asks_work_in_a_handler() {
    let system = system();
    let tally = Tally::new();
    let both = Both(
        system.spawn(|| Server).unwrap(),
        system.spawn(|| Server).unwrap(),
    );
    let both = system.spawn(both).unwrap();
    for _ in 0..500 {
        assert_eq!(both.ask_blocking(Race(tally.clone())).unwrap(), 63);
    }
    settle(&system);
    tally.all_dropped();
    finish(system);
}

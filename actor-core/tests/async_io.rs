//! Async handlers: timers, sockets, tasks and channels of tokio work inside without set-up, and a
//! handler that is cut off drops what it holds.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actor_core::StopMode;
use actor_core::prelude::*;
use common::{PATIENCE, Tally, Token, finish, poll_once, settle, system, wait_until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

struct Worker;
impl Actor for Worker {}

struct Sleep(Duration);
impl Message for Sleep {
    type Reply = Duration;
}
impl Handler<Sleep> for Worker {
    async fn handle(&mut self, Sleep(time): Sleep, _cx: &mut ActorContext<Self>) -> Duration {
        let began = Instant::now();
        tokio::time::sleep(time).await;
        began.elapsed()
    }
}

#[test]
fn a_handler_sleeps_without_holding_its_worker() {
    let system = system();
    let actors: Vec<_> = (0..1000).map(|_| system.spawn(Worker).unwrap()).collect();
    // One after the other they would take 300 s.
    let time = Duration::from_millis(300);
    let began = Instant::now();
    system.block_on(async {
        let mut asks = Vec::new();
        for actor in &actors {
            asks.push(tokio::spawn(actor.ask(Sleep(time))));
        }
        for ask in asks {
            assert!(within(ask).await.unwrap().unwrap() >= time);
        }
    });
    assert!(
        began.elapsed() < PATIENCE,
        "one after the other: {:?}",
        began.elapsed()
    );
    settle(&system);
    finish(system);
}

struct Serve(TcpListener);
impl Message for Serve {
    type Reply = usize;
}
impl Handler<Serve> for Worker {
    async fn handle(&mut self, Serve(listener): Serve, _cx: &mut ActorContext<Self>) -> usize {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
        all.len()
    }
}
struct Dial(std::net::SocketAddr, Vec<u8>);
impl Message for Dial {
    type Reply = Vec<u8>;
}
impl Handler<Dial> for Worker {
    async fn handle(&mut self, Dial(to, data): Dial, _cx: &mut ActorContext<Self>) -> Vec<u8> {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(&data).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).await.unwrap();
        back
    }
}
struct Listen;
impl Message for Listen {
    type Reply = TcpListener;
}
impl Handler<Listen> for Worker {
    async fn handle(&mut self, _: Listen, _cx: &mut ActorContext<Self>) -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.unwrap()
    }
}

#[test]
fn sockets_work_in_handlers() {
    let system = system();
    let (server, client) = (system.spawn(Worker).unwrap(), system.spawn(Worker).unwrap());
    for size in [0, 1, 100_000] {
        let listener = server.ask_blocking(Listen).unwrap();
        let address = listener.local_addr().unwrap();
        system.block_on(async {
            let served = server.ask(Serve(listener));
            let data: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let dialled = client.ask(Dial(address, data.clone()));
            let (served, dialled) = within(async { tokio::join!(served, dialled) }).await;
            assert_eq!(served.unwrap(), size);
            assert_eq!(dialled.unwrap(), data);
        });
    }
    finish(system);
}

struct Tasks;
impl Message for Tasks {
    type Reply = u64;
}
impl Handler<Tasks> for Worker {
    async fn handle(&mut self, _: Tasks, _cx: &mut ActorContext<Self>) -> u64 {
        let task = tokio::spawn(async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            1
        });
        let blocking = tokio::task::spawn_blocking(|| {
            std::thread::sleep(Duration::from_millis(5));
            2
        });
        let (send, mut receive) = mpsc::channel(1);
        tokio::spawn(async move {
            for n in 0..100 {
                send.send(n).await.unwrap();
            }
        });
        let mut sum = 0;
        while let Some(n) = receive.recv().await {
            sum += n;
        }
        let (send, receive) = oneshot::channel();
        std::thread::spawn(move || send.send(4));
        sum + task.await.unwrap() + blocking.await.unwrap() + receive.await.unwrap()
    }
}

#[test]
fn tasks_channels_and_blocking_calls_work_in_handlers() {
    let system = system();
    let worker = system.spawn(Worker).unwrap();
    for _ in 0..20 {
        assert_eq!(worker.ask_blocking(Tasks).unwrap(), 4950 + 7);
    }
    finish(system);
}

struct SelfWake(Arc<AtomicBool>);
impl Message for SelfWake {
    type Reply = u64;
}
impl Handler<SelfWake> for Worker {
    async fn handle(&mut self, SelfWake(over): SelfWake, _cx: &mut ActorContext<Self>) -> u64 {
        let mut polls = 0;
        while !over.load(Ordering::Relaxed) {
            // Wakes itself each time. A handler that is ready at every await never gives its worker
            // back: nothing in Rust could take it away, and tokio's budget works in its own tasks only.
            let mut yielded = false;
            std::future::poll_fn(|cx| {
                if std::mem::replace(&mut yielded, true) {
                    return std::task::Poll::Ready(());
                }
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            })
            .await;
            polls += 1;
        }
        polls
    }
}

#[test]
fn m19_handlers_that_wake_themselves_do_not_starve_others() {
    let system = system();
    let over = Arc::new(AtomicBool::new(false));
    let storms: Vec<_> = (0..2 * system.seats().len() + 2)
        .map(|_| system.spawn(Worker).unwrap())
        .collect();
    system.block_on(async {
        let asks: Vec<_> = storms
            .iter()
            .map(|storm| tokio::spawn(storm.ask(SelfWake(Arc::clone(&over)))))
            .collect();
        let other = system.spawn(Worker).unwrap();
        // The storm ends when the others have been served, and not before.
        for _ in 0..20 {
            within(other.ask(Sleep(Duration::ZERO))).await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
        for ask in asks {
            assert!(within(ask).await.unwrap().unwrap() > 0);
        }
    });
    finish(system);
}

/// Never comes back, and holds something.
struct Hang(Token, oneshot::Sender<()>);
impl Message for Hang {
    type Reply = ();
}
impl Handler<Hang> for Worker {
    async fn handle(&mut self, Hang(token, begun): Hang, _cx: &mut ActorContext<Self>) {
        let _token = token;
        _ = begun.send(());
        std::future::pending().await
    }
}

#[test]
fn a_kill_drops_the_future_of_a_waiting_handler() {
    let system = system();
    let tally = Tally::new();
    for _ in 0..50 {
        let worker = system.spawn(Worker).unwrap();
        let (begun, has_begun) = oneshot::channel();
        worker.tell(Hang(tally.token(), begun)).unwrap();
        has_begun.blocking_recv().unwrap();
        assert_eq!(tally.alive(), 1);
        // Not cut off by a polite stop.
        worker.stop();
        std::thread::sleep(Duration::from_millis(1));
        assert!(worker.is_alive());
        worker.stop_with(StopMode::Kill);
        wait_until("it is dead", || !worker.is_alive());
        tally.all_dropped();
    }
    assert_eq!(settle(&system).dropped.interrupted, 50);
    finish(system);
}

/// Panics after it has waited.
struct PanicLate(Token);
impl Message for PanicLate {
    type Reply = ();
}
impl Handler<PanicLate> for Worker {
    async fn handle(&mut self, PanicLate(_token): PanicLate, _cx: &mut ActorContext<Self>) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        panic!("after an await");
    }
}

#[test]
fn a_panic_after_an_await_answers_its_ask() {
    let system = system();
    let tally = Tally::new();
    let worker = system.spawn(|| Worker).unwrap();
    let error = worker.ask_blocking(PanicLate(tally.token())).unwrap_err();
    assert!(matches!(error, AskError::Panicked { .. }), "{error:?}");
    assert!(worker.ask_blocking(Sleep(Duration::ZERO)).is_ok());
    tally.all_dropped();
    finish(system);
}

/// Time-outs inside a handler, around asks.
struct Impatient(ActorRef<Worker>);
impl Actor for Impatient {}
struct TryFor(Duration);
impl Message for TryFor {
    type Reply = bool;
}
/// Waits until it is let go.
struct Held(oneshot::Sender<()>, oneshot::Receiver<()>);
impl Message for Held {
    type Reply = ();
}
impl Handler<Held> for Worker {
    async fn handle(&mut self, Held(begun, go): Held, _cx: &mut ActorContext<Self>) {
        _ = begun.send(());
        go.await.unwrap();
    }
}
impl Handler<TryFor> for Impatient {
    async fn handle(&mut self, TryFor(time): TryFor, _cx: &mut ActorContext<Self>) -> bool {
        let (begun, mut has_begun) = oneshot::channel();
        let (go, held) = oneshot::channel();
        let mut ask = Box::pin(self.0.ask(Held(begun, held)));
        // It does not end before this handler lets it; it begins, and the time is over.
        while has_begun.try_recv().is_err() {
            assert!(poll_once(ask.as_mut()).await.is_none());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let by_tokio = tokio::time::timeout(time, ask).await;
        // This one waits behind it.
        let by_call = self.0.ask(Sleep(Duration::ZERO)).within(time).await;
        go.send(()).unwrap();
        by_tokio.is_err() && matches!(by_call, Err(AskError::Expired { .. }))
    }
}

#[test]
fn time_outs_around_asks_work_in_a_handler() {
    let system = system();
    let worker = system.spawn(Worker).unwrap();
    let impatient = system.spawn(Impatient(worker)).unwrap();
    assert!(
        impatient
            .ask_blocking(TryFor(Duration::from_millis(10)))
            .unwrap()
    );
    let books = settle(&system);
    // The one that began came to its end; the other was never handled, or not even sent.
    assert_eq!(books.handled, 2, "{books}");
    let not_handled = books.dropped.expired + books.dropped.abandoned + books.refused.other;
    assert_eq!(not_handled, 1, "{books}");
    finish(system);
}

//! M03: a full mailbox is a result, not an event. What each overflow policy does at the bound, that
//! waiting senders are served in order, and that giving up leaves nothing behind.

mod common;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{SendFuture, StopMode};
use common::{Shake, Tally, Token, finish, poll_once, settle, system, wait_until, within};
use tokio::sync::oneshot;

/// Writes down what it gets.
#[derive(Default)]
struct Sink {
    seen: Arc<Mutex<Vec<u64>>>,
}

impl Actor for Sink {}

struct Item(
    u64,
    #[expect(dead_code, reason = "counts drops")] Option<Token>,
);

impl Message for Item {
    type Reply = u64;
}

impl SyncHandler<Item> for Sink {
    fn handle(&mut self, Item(n, _): Item, _cx: &mut ActorContext<Self>) -> u64 {
        self.seen.lock().unwrap().push(n);
        n
    }
}

/// Keeps the actor waiting in its handler until released.
struct Hold {
    begun: oneshot::Sender<()>,
    release: oneshot::Receiver<()>,
}

impl Message for Hold {
    type Reply = ();
}

impl Handler<Hold> for Sink {
    async fn handle(&mut self, hold: Hold, _cx: &mut ActorContext<Self>) {
        _ = hold.begun.send(());
        // An error is a release too: the test has ended.
        _ = hold.release.await;
    }
}

struct Held {
    sink: ActorRef<Sink>,
    seen: Arc<Mutex<Vec<u64>>>,
    release: oneshot::Sender<()>,
}

/// An actor that is busy in a handler, with an empty mailbox.
fn held(system: &ActorSystem, mailbox: Mailbox) -> Held {
    let seen = Arc::default();
    let sink = system
        .actor(Sink {
            seen: Arc::clone(&seen),
        })
        .mailbox(mailbox)
        .spawn()
        .unwrap();
    let release = hold(sink);
    Held {
        sink,
        seen,
        release,
    }
}

fn hold(sink: ActorRef<Sink>) -> oneshot::Sender<()> {
    let (begun, has_begun) = oneshot::channel();
    let (release, released) = oneshot::channel();
    sink.tell(Hold {
        begun,
        release: released,
    })
    .unwrap();
    has_begun.blocking_recv().unwrap();
    // Its message leaves the mailbox when the handler first waits.
    wait_until("the actor waits in its handler", || sink.queue_len() == 0);
    release
}

fn item(n: u64) -> Item {
    Item(n, None)
}

#[test]
fn m03_a_full_mailbox_gives_the_message_back() {
    for overflow in [Overflow::Wait, Overflow::Reject] {
        for capacity in [1, 2, 31, 32, 33, 1000] {
            let system = system();
            let held = held(&system, Mailbox::bounded(capacity).overflow(overflow));
            for n in 0..capacity as u64 {
                held.sink.tell(item(n)).unwrap();
            }
            match held.sink.tell(item(4711)) {
                Err(SendError::Full {
                    target,
                    capacity: said,
                    message,
                }) => {
                    assert_eq!((target, said, message.0), (held.sink.id(), capacity, 4711));
                }
                other => panic!("{capacity}: {other:?}"),
            }
            let error = held.sink.recipient().tell(item(4712)).unwrap_err();
            assert!(error.is_full() && !error.is_dead(), "{error:?}");
            assert!(
                error
                    .to_string()
                    .contains(&format!("({capacity} messages)")),
                "{error}"
            );
            assert_eq!(error.into_message().0, 4712);

            held.release.send(()).unwrap();
            let books = settle(&system);
            assert_eq!(
                *held.seen.lock().unwrap(),
                (0..capacity as u64).collect::<Vec<_>>()
            );
            assert_eq!(books.refused.full, 2);
            assert_eq!(books.handled, capacity as u64 + 1);
            finish(system);
        }
    }
}

#[test]
fn m03_reject_refuses_sends_and_asks_at_once() {
    let system = system();
    let held = held(&system, Mailbox::bounded(2).overflow(Overflow::Reject));
    held.sink.tell(item(1)).unwrap();
    held.sink.tell(item(2)).unwrap();
    system.block_on(async {
        let error = held.sink.send(item(3)).await.unwrap_err();
        assert!(
            matches!(&error, SendError::Full { message, .. } if message.0 == 3),
            "{error:?}"
        );
        let error = held.sink.ask(item(4)).await.unwrap_err();
        assert!(
            matches!(&error, AskError::Full { capacity: 2, message, .. } if message.0 == 4),
            "{error:?}"
        );
    });
    let error = held.sink.ask_blocking(item(5)).unwrap_err();
    assert_eq!(error.into_message().map(|message| message.0), Some(5));
    held.release.send(()).unwrap();
    let books = settle(&system);
    assert_eq!((books.refused.full, books.handled), (3, 3));
    finish(system);
}

#[test]
fn m03_drop_newest_keeps_the_oldest_and_counts_the_rest() {
    let system = system();
    let held = held(&system, Mailbox::bounded(4).overflow(Overflow::DropNewest));
    let tally = Tally::new();
    for n in 0..10 {
        held.sink.tell(Item(n, Some(tally.token()))).unwrap();
    }
    system
        .block_on(held.sink.send(Item(10, Some(tally.token()))))
        .unwrap();
    let error = held
        .sink
        .ask_blocking(Item(11, Some(tally.token())))
        .unwrap_err();
    assert!(
        matches!(error, AskError::NoReply { target } if target == held.sink.id()),
        "{error:?}"
    );
    assert_eq!(tally.dropped(), 8);

    held.release.send(()).unwrap();
    let books = settle(&system);
    assert_eq!(*held.seen.lock().unwrap(), [0, 1, 2, 3]);
    assert_eq!(books.dropped.overflow_newest, 8);
    assert_eq!(books.refused.total(), 0);
    tally.all_dropped();
    finish(system);
}

#[test]
fn m03_drop_oldest_keeps_the_newest_and_refuses_at_twice_the_capacity() {
    let system = system();
    let held = held(&system, Mailbox::bounded(4).overflow(Overflow::DropOldest));
    let tally = Tally::new();
    for n in 0..8 {
        held.sink.tell(Item(n, Some(tally.token()))).unwrap();
    }
    let error = held.sink.tell(Item(8, Some(tally.token()))).unwrap_err();
    assert!(
        matches!(&error, SendError::Full { capacity, .. } if *capacity >= 4),
        "{error:?}"
    );
    drop(error);
    // It does not wait either: there is no room to wait for.
    let error = system
        .block_on(held.sink.send(Item(9, Some(tally.token()))))
        .unwrap_err();
    assert!(error.is_full());
    drop(error);

    held.release.send(()).unwrap();
    let books = settle(&system);
    assert_eq!(*held.seen.lock().unwrap(), [4, 5, 6, 7]);
    assert_eq!(books.dropped.overflow_oldest, 4);
    assert_eq!(books.refused.full, 2);
    tally.all_dropped();
    finish(system);
}

#[test]
fn m03_an_ask_pushed_out_of_a_full_mailbox_is_answered() {
    let system = system();
    let held = held(&system, Mailbox::bounded(1).overflow(Overflow::DropOldest));
    system.block_on(async {
        let mut oldest = Box::pin(held.sink.ask(item(1)));
        assert!(poll_once(oldest.as_mut()).await.is_none());
        held.sink.tell(item(2)).unwrap();
        held.release.send(()).unwrap();
        let error = oldest.await.unwrap_err();
        assert!(matches!(error, AskError::NoReply { .. }), "{error:?}");
    });
    let books = settle(&system);
    assert_eq!(*held.seen.lock().unwrap(), [2]);
    assert_eq!(books.dropped.overflow_oldest, 1);
    finish(system);
}

#[test]
fn m03_unbounded_takes_all() {
    let system = system();
    let held = held(&system, Mailbox::unbounded());
    // Beyond the 16 bits of the inbox's count.
    for n in 0..200_000 {
        held.sink.tell(item(n)).unwrap();
    }
    assert!(held.sink.queue_len() >= 65_535);
    held.release.send(()).unwrap();
    let books = settle(&system);
    assert_eq!(books.handled, 200_001);
    assert!(held.seen.lock().unwrap().iter().copied().eq(0..200_000));
    finish(system);
}

#[test]
fn m03_waiting_senders_are_woken_in_order() {
    for capacity in [1, 2, 3, 7, 64] {
        let system = system();
        let held = held(&system, Mailbox::bounded(capacity));
        for n in 0..capacity as u64 {
            held.sink.tell(item(n)).unwrap();
        }
        system.block_on(async {
            let mut waiting = Vec::new();
            for n in 0..200 {
                let mut send = Box::pin(held.sink.send(item(capacity as u64 + n)));
                assert!(poll_once(send.as_mut()).await.is_none());
                waiting.push(send);
            }
            held.release.send(()).unwrap();
            within(all(waiting)).await;
        });
        settle(&system);
        let mut seen = held.seen.lock().unwrap().clone();
        if capacity > 1 {
            // Of several that were woken together the first to be polled is the first to push.
            seen.sort_unstable();
        }
        assert!(
            seen.iter().copied().eq(0..capacity as u64 + 200),
            "capacity {capacity}: {seen:?}"
        );
        finish(system);
    }
}

#[test]
fn m03_each_waiting_task_is_served_in_turn() {
    let system = system();
    let held = held(&system, Mailbox::bounded(1));
    held.sink.tell(item(0)).unwrap();
    system.block_on(async {
        let mut tasks = Vec::new();
        for n in 1..=100 {
            let mut send = Box::pin(held.sink.send(item(n)));
            // In line here, so that the order is known; waited for in a task of its own.
            assert!(poll_once(send.as_mut()).await.is_none());
            tasks.push(tokio::spawn(send));
        }
        held.release.send(()).unwrap();
        for task in tasks {
            within(task).await.unwrap().unwrap();
        }
    });
    settle(&system);
    assert_eq!(*held.seen.lock().unwrap(), (0..=100).collect::<Vec<_>>());
    finish(system);
}

#[test]
fn m03_a_cancelled_send_leaves_no_place_taken_and_passes_its_turn_on() {
    for capacity in [1, 4] {
        let system = system();
        let held = held(&system, Mailbox::bounded(capacity));
        let tally = Tally::new();
        for n in 0..capacity as u64 {
            held.sink.tell(Item(n, Some(tally.token()))).unwrap();
        }
        let survivors = system.block_on(async {
            let mut waiting: Vec<Option<Sending>> = Vec::new();
            for n in 0..40 {
                let mut send = Box::pin(held.sink.send(Item(100 + n, Some(tally.token()))));
                assert!(poll_once(send.as_mut()).await.is_none());
                waiting.push(Some(send));
            }
            // Half give up while they wait.
            for each in waiting.iter_mut().step_by(2) {
                *each = None;
            }
            held.release.send(()).unwrap();
            // Of the others some give up after they were woken: the room has come, nobody polls.
            wait_until("room was made", || held.sink.queue_len() == 0);
            for each in waiting.iter_mut().skip(1).step_by(4) {
                *each = None;
            }
            let survivors: Vec<_> = waiting.into_iter().flatten().collect();
            let n = survivors.len() as u64;
            within(all(survivors)).await;
            n
        });
        let books = settle(&system);
        assert_eq!(survivors, 10);
        assert_eq!(books.handled, capacity as u64 + 1 + survivors);
        assert_eq!(books.refused.other, 40 - survivors);
        let expected: Vec<u64> = (0..capacity as u64)
            .chain((0..10).map(|n| 103 + 4 * n))
            .collect();
        let mut seen = held.seen.lock().unwrap().clone();
        seen.sort_unstable();
        assert_eq!(seen, expected);
        tally.all_dropped();

        // All the room is there again.
        let release = hold(held.sink);
        for n in 0..capacity as u64 {
            held.sink.tell(item(n)).unwrap();
        }
        assert!(held.sink.tell(item(0)).unwrap_err().is_full());
        release.send(()).unwrap();
        finish(system);
    }
}

#[test]
fn m03_senders_that_wait_are_told_when_the_actor_stops() {
    for mode in [StopMode::Now, StopMode::Kill] {
        let system = system();
        let held = held(&system, Mailbox::bounded(1));
        let tally = Tally::new();
        held.sink.tell(Item(0, Some(tally.token()))).unwrap();
        system.block_on(async {
            let mut waiting = Vec::new();
            for n in 1..20 {
                let mut send = Box::pin(held.sink.send(Item(n, Some(tally.token()))));
                assert!(poll_once(send.as_mut()).await.is_none());
                waiting.push(send);
            }
            let mut ask = Box::pin(held.sink.ask(Item(20, Some(tally.token()))));
            assert!(poll_once(ask.as_mut()).await.is_none());
            held.sink.stop_with(mode);
            _ = held.release.send(());
            for (send, n) in waiting.into_iter().zip(1..) {
                let error = within(send).await.unwrap_err();
                assert!(
                    matches!(&error, SendError::Dead { message, .. } if message.0 == n),
                    "{error:?}"
                );
            }
            let error = within(ask).await.unwrap_err();
            assert!(
                matches!(
                    &error,
                    AskError::Dead {
                        message: Some(Item(20, _)),
                        ..
                    }
                ),
                "{error:?}"
            );
        });
        let books = settle(&system);
        assert_eq!(books.refused.dead, 20);
        assert_eq!(books.dead_letters.actor_stopped, 1);
        tally.all_dropped();
        finish(system);
    }
}

#[test]
fn m03_a_send_waits_no_longer_than_its_deadline_or_its_token() {
    let system = system();
    let held = held(&system, Mailbox::bounded(1));
    held.sink.tell(item(0)).unwrap();
    system.block_on(async {
        let late = held
            .sink
            .ask(item(1))
            .within(Duration::from_millis(20))
            .send();
        let error = within(late).await.unwrap_err();
        assert!(
            matches!(&error, SendError::Expired { message, .. } if message.0 == 1),
            "{error:?}"
        );

        let token = CancelToken::new();
        let mut unwanted = Box::pin(held.sink.ask(item(2)).cancel(&token).send());
        assert!(poll_once(unwanted.as_mut()).await.is_none());
        token.cancel();
        let error = within(unwanted).await.unwrap_err();
        assert!(
            matches!(&error, SendError::Cancelled { message, .. } if message.0 == 2),
            "{error:?}"
        );

        // An ask that waits for room is no different, and gives its message back.
        let error = within(held.sink.ask(item(3)).within(Duration::from_millis(20)))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, AskError::Expired { message: Some(Item(3, _)), waited, .. }
                if *waited >= Duration::from_millis(20)),
            "{error:?}"
        );
    });
    held.release.send(()).unwrap();
    let books = settle(&system);
    assert_eq!(books.refused.other, 3);
    assert_eq!(*held.seen.lock().unwrap(), [0]);
    finish(system);
}

#[test]
fn m03_an_ask_waits_for_room_and_is_then_answered() {
    let system = system();
    let held = held(&system, Mailbox::bounded(1));
    held.sink.tell(item(0)).unwrap();
    system.block_on(async {
        let mut asks = Vec::new();
        for n in 1..=50 {
            let mut ask = Box::pin(held.sink.ask(item(n)));
            assert!(poll_once(ask.as_mut()).await.is_none());
            asks.push(ask);
        }
        held.release.send(()).unwrap();
        for (ask, n) in asks.into_iter().zip(1..) {
            assert_eq!(within(ask).await.unwrap(), n);
        }
    });
    settle(&system);
    assert_eq!(*held.seen.lock().unwrap(), (0..=50).collect::<Vec<_>>());
    finish(system);
}

/// Sends to another actor with backpressure, from its own handler.
struct Feeder(ActorRef<Sink>);
impl Actor for Feeder {}
struct Feed(u64);
impl Message for Feed {
    type Reply = ();
}
impl Handler<Feed> for Feeder {
    async fn handle(&mut self, Feed(n): Feed, _cx: &mut ActorContext<Self>) {
        for i in 0..n {
            self.0.send(item(i)).await.unwrap();
        }
    }
}

#[test]
fn m03_many_senders_on_a_small_mailbox_lose_nothing() {
    for capacity in [1, 2, 5, 33] {
        let system = system();
        let seen = Arc::default();
        let sink = system
            .actor(Sink {
                seen: Arc::clone(&seen),
            })
            .mailbox(Mailbox::bounded(capacity))
            .spawn()
            .unwrap();
        let feeders: Vec<_> = (0..8)
            .map(|_| system.spawn(Feeder(sink)).unwrap())
            .collect();
        system.block_on(async {
            let mut tasks = Vec::new();
            for feeder in feeders {
                tasks.push(tokio::spawn(
                    async move { feeder.ask(Feed(300)).await.unwrap() },
                ));
            }
            for _ in 0..8 {
                tasks.push(tokio::spawn(async move {
                    for n in 0..300 {
                        sink.send(item(n)).await.unwrap();
                    }
                }));
            }
            for task in tasks {
                within(task).await.unwrap();
            }
        });
        let books = settle(&system);
        assert_eq!(books.refused.total(), 0);
        assert_eq!(seen.lock().unwrap().len(), 16 * 300);
        finish(system);
    }
}

#[test]
fn m03_senders_that_come_and_go_leave_nothing_behind() {
    let system = system();
    let tally = Tally::new();
    let sink = system
        .actor(Sink::default())
        .mailbox(Mailbox::bounded(2))
        .spawn()
        .unwrap();
    let sent = system.block_on(async {
        let mut tasks = Vec::new();
        for seed in 1..=8 {
            let tally = tally.clone();
            tasks.push(tokio::spawn(async move {
                let mut shake = Shake::new(seed);
                let mut sent = 0;
                for n in 0..500 {
                    let mut send = Box::pin(sink.send(Item(n, Some(tally.token()))));
                    for _ in 0..shake.below(3) {
                        match poll_once(send.as_mut()).await {
                            Some(result) => {
                                result.unwrap();
                                sent += 1;
                                break;
                            }
                            None => tokio::task::yield_now().await,
                        }
                    }
                }
                // And at the end one that waits: a lost turn would leave it waiting for ever.
                sink.send(Item(0, Some(tally.token()))).await.unwrap();
                sent + 1
            }));
        }
        let mut sent = 0;
        for task in tasks {
            sent += within(task).await.unwrap();
        }
        sent
    });
    let books = settle(&system);
    assert_eq!(books.handled, sent);
    tally.all_dropped();
    finish(system);
}

type Sending = Pin<Box<SendFuture<Sink, Item>>>;

/// Polls all of them, in order, until all are done.
async fn all(mut sends: Vec<Sending>) {
    poll_fn(|cx| {
        sends.retain_mut(|send| match send.as_mut().poll(cx) {
            Poll::Ready(result) => {
                result.unwrap();
                false
            }
            Poll::Pending => true,
        });
        if sends.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

//! M03: streams attached to an actor, one item at a time.

mod common;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use actor_core::prelude::*;
use actor_core::{Attached, StopMode};
use common::{Gate, Tally, Token, finish, settle, system, wait_until};
use futures_core::Stream;
use tokio::sync::mpsc;

/// Numbers, as fast as they are asked for.
struct Numbers {
    next: Arc<AtomicUsize>,
    end: usize,
    #[expect(dead_code, reason = "counts drops")]
    token: Token,
}
impl Stream for Numbers {
    type Item = usize;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut std::task::Context<'_>) -> Poll<Option<usize>> {
        let next = self.next.fetch_add(1, Ordering::SeqCst);
        Poll::Ready((next < self.end).then_some(next))
    }
}

/// What comes out of a channel.
struct Channel(mpsc::Receiver<usize>);
impl Stream for Channel {
    type Item = usize;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Option<usize>> {
        self.0.poll_recv(cx)
    }
}

#[derive(Default)]
struct Sink {
    got: Vec<usize>,
    ended: bool,
    gate: Option<Gate>,
}
impl Actor for Sink {}

struct Item(usize);
impl Message for Item {
    type Reply = ();
}
impl Handler<Item> for Sink {
    async fn handle(&mut self, Item(n): Item, _cx: &mut ActorContext<Self>) {
        if let Some(gate) = &self.gate {
            gate.passed().await;
        } else if n % 4 == 0 {
            tokio::task::yield_now().await;
        }
        self.got.push(n);
    }
}
struct Got;
impl Message for Got {
    type Reply = (Vec<usize>, bool);
}
impl SyncHandler<Got> for Sink {
    fn handle(&mut self, _: Got, _cx: &mut ActorContext<Self>) -> (Vec<usize>, bool) {
        (self.got.clone(), self.ended)
    }
}
struct Attach<S>(S, Option<Gate>);
impl<S: Stream<Item = usize> + Send + 'static> Message for Attach<S> {
    type Reply = Attached;
}
impl<S: Stream<Item = usize> + Send + 'static> SyncHandler<Attach<S>> for Sink {
    fn handle(&mut self, Attach(stream, gate): Attach<S>, cx: &mut ActorContext<Self>) -> Attached {
        self.gate = gate;
        cx.attach_stream_then(stream, Item, |sink, _| sink.ended = true)
            .unwrap()
    }
}

#[test]
fn m01_a_streams_items_come_in_order_and_then_its_end() {
    let system = system();
    let sink = system.spawn(Sink::default).unwrap();
    let tally = Tally::new();
    let numbers = Numbers {
        next: Arc::default(),
        end: 1000,
        token: tally.token(),
    };
    let attached = sink.ask_blocking(Attach(numbers, None)).unwrap();
    wait_until("it has ended", || attached.is_over());
    let (got, ended) = sink.ask_blocking(Got).unwrap();
    assert_eq!(got, (0..1000).collect::<Vec<_>>());
    assert!(ended);
    tally.all_dropped();
    assert_eq!(settle(&system).handled, 1002);
    finish(system);
}

#[test]
fn m03_a_stream_is_not_asked_for_more_than_the_actor_has_handled() {
    let system = system();
    let sink = system
        .actor(Sink::default)
        .mailbox(Mailbox::bounded(4).overflow(Overflow::Reject))
        .spawn()
        .unwrap();
    let (tally, taken, gate) = (Tally::new(), Arc::new(AtomicUsize::new(0)), Gate::new());
    let numbers = Numbers {
        next: taken.clone(),
        end: usize::MAX,
        token: tally.token(),
    };
    let attached = sink
        .ask_blocking(Attach(numbers, Some(gate.clone())))
        .unwrap();
    wait_until("the first is being handled", || {
        taken.load(Ordering::SeqCst) == 1
    });
    for _ in 0..20 {
        std::thread::yield_now();
        assert_eq!(taken.load(Ordering::SeqCst), 1);
        assert!(sink.queue_len() <= 1);
    }
    gate.open();
    wait_until("it flows", || taken.load(Ordering::SeqCst) > 100);
    attached.cancel();
    wait_until("it is cancelled", || attached.is_over());
    tally.all_dropped();
    settle(&system);
    let (got, ended) = sink.ask_blocking(Got).unwrap();
    assert_eq!(got.len(), taken.load(Ordering::SeqCst));
    assert!(!ended, "cancelled is not ended");
    finish(system);
}

#[test]
fn m03_a_slow_actor_slows_the_other_end_of_a_channel_down() {
    let system = system();
    let sink = system.spawn(Sink::default).unwrap();
    let (send, receive) = mpsc::channel(2);
    let attached = sink.ask_blocking(Attach(Channel(receive), None)).unwrap();
    system.block_on(async {
        for n in 0..500 {
            common::within(send.send(n)).await.unwrap();
        }
        drop(send);
    });
    wait_until("it has ended", || attached.is_over());
    let (got, ended) = sink.ask_blocking(Got).unwrap();
    assert_eq!((got, ended), ((0..500).collect(), true));
    finish(system);
}

#[test]
fn m06_a_stream_is_dropped_when_its_actor_stops_drains_or_starts_again() {
    struct Die;
    impl Message for Die {
        type Reply = ();
    }
    impl SyncHandler<Die> for Sink {
        fn handle(&mut self, _: Die, _cx: &mut ActorContext<Self>) {
            panic!("on purpose");
        }
    }
    for how in ["stop", "kill", "drain", "panic"] {
        let system = system();
        let sink = system
            .actor(Sink::default)
            .restart(Restart::Permanent)
            .spawn()
            .unwrap();
        let tally = Tally::new();
        let numbers = Numbers {
            next: Arc::default(),
            end: usize::MAX,
            token: tally.token(),
        };
        let attached = sink.ask_blocking(Attach(numbers, None)).unwrap();
        wait_until("it flows", || system.stats().messages.handled > 100);
        match how {
            "stop" => sink.stop(),
            "kill" => sink.stop_with(StopMode::Kill),
            "drain" => sink.stop_with(StopMode::Drain),
            _ => _ = sink.ask_blocking(Die).unwrap_err(),
        }
        wait_until("it is cut off", || attached.is_over());
        tally.all_dropped();
        settle(&system);
        assert_eq!(system.stats().actors.attached_tasks, 0);
        finish(system);
    }
}

#[test]
fn m20_a_stream_that_panics_fails_its_actor() {
    struct Bomb(usize);
    impl Stream for Bomb {
        type Item = usize;

        fn poll_next(
            mut self: Pin<&mut Self>,
            _cx: &mut std::task::Context<'_>,
        ) -> Poll<Option<usize>> {
            self.0 += 1;
            assert!(self.0 < 4, "on purpose");
            Poll::Ready(Some(self.0))
        }
    }
    let system = system();
    let sink = system
        .actor(Sink::default)
        .restart(Restart::Permanent)
        .spawn()
        .unwrap();
    let attached = sink.ask_blocking(Attach(Bomb(0), None)).unwrap();
    wait_until("it has burst", || attached.is_over());
    assert_eq!(sink.ask_blocking(Got).unwrap(), (Vec::new(), false));
    assert_eq!(settle(&system).handled, 5);
    let actors = system.stats().actors;
    assert_eq!((actors.panics, actors.restarts), (1, 1));
    finish(system);
}

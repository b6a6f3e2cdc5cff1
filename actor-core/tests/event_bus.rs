//! C7, M01: events for many, each within the bound of its own mailbox.

mod common;

use std::sync::Arc;

use actor_core::prelude::*;
use actor_core::{EventBus, Published};
use common::{Gate, finish, settle, system, wait_until};

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Number(u64),
    Missed(u64),
}
impl Message for Event {
    type Reply = ();
}

#[derive(Default)]
struct Ear {
    heard: Vec<Event>,
}
impl Actor for Ear {}
impl SyncHandler<Event> for Ear {
    fn handle(&mut self, event: Event, _cx: &mut ActorContext<Self>) {
        self.heard.push(event);
    }
}
struct Heard;
impl Message for Heard {
    type Reply = Vec<Event>;
}
impl SyncHandler<Heard> for Ear {
    fn handle(&mut self, _: Heard, _cx: &mut ActorContext<Self>) -> Vec<Event> {
        self.heard.clone()
    }
}
struct Hold(Gate, std::sync::mpsc::Sender<()>);
impl Message for Hold {
    type Reply = ();
}
impl Handler<Hold> for Ear {
    async fn handle(&mut self, Hold(gate, begun): Hold, _cx: &mut ActorContext<Self>) {
        _ = begun.send(());
        gate.passed().await;
    }
}

fn counts(published: Published) -> (usize, usize, usize) {
    (published.accepted, published.missed, published.gone)
}

#[test]
fn m01_every_subscriber_hears_each_publisher_in_order() {
    const EVENTS: u64 = 500;
    let system = system();
    let bus = EventBus::new();
    let ears: Vec<_> = (0..5)
        .map(|_| system.spawn(Ear::default).unwrap())
        .collect();
    for ear in &ears {
        assert!(bus.subscribe(*ear));
        assert!(!bus.subscribe(*ear), "once is enough");
    }
    assert_eq!(bus.subscribers(), 5);
    let publishers: Vec<_> = (0..2)
        .map(|publisher| {
            let bus = bus.clone();
            std::thread::spawn(move || {
                for n in 0..EVENTS {
                    // Far from the bound of 1024 messages.
                    let published = bus.publish(Event::Number(n * 2 + publisher));
                    assert_eq!(counts(published), (5, 0, 0));
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.join().unwrap();
    }
    for ear in &ears {
        let heard = ear.ask_blocking(Heard).unwrap();
        for publisher in 0..2 {
            let of_one: Vec<_> = heard
                .iter()
                .filter_map(|event| match event {
                    Event::Number(n) if n % 2 == publisher => Some(n / 2),
                    _ => None,
                })
                .collect();
            assert_eq!(of_one, (0..EVENTS).collect::<Vec<_>>());
        }
    }
    assert!(bus.unsubscribe(ears[0]));
    assert!(!bus.unsubscribe(ears[0]));
    assert_eq!(counts(bus.publish(Event::Number(0))), (4, 0, 0));
    assert_eq!(settle(&system).handled, EVENTS * 10 + 5 + 4);
    finish(system);
}

#[test]
fn c7_a_slow_subscriber_misses_events_alone_and_is_told_how_many() {
    let system = system();
    let bus = EventBus::new();
    let spawn = || {
        system
            .actor(Ear::default)
            .mailbox(Mailbox::bounded(3))
            .spawn()
            .unwrap()
    };
    let (slow, fast) = (spawn(), system.spawn(Ear::default).unwrap());
    bus.subscribe_with(slow, Event::Missed);
    bus.subscribe(fast);
    let (gate, (begun, has_begun)) = (Gate::new(), std::sync::mpsc::channel());
    slow.tell(Hold(gate.clone(), begun)).unwrap();
    has_begun.recv().unwrap();
    // Its message leaves the mailbox when the handler first waits: no room comes up after that.
    wait_until("it waits in its handler", || slow.queue_len() == 0);
    let mut missed = 0;
    for n in 0..20 {
        let published = bus.publish(Event::Number(n));
        assert_eq!(published.accepted + published.missed, 2, "{published:?}");
        missed += published.missed as u64;
    }
    assert_eq!(missed, 17, "of 20, with room for 3");
    assert_eq!(bus.missed(slow), Some(missed));
    assert_eq!(bus.missed(fast), Some(0));
    gate.open();
    wait_until("there is room", || slow.queue_len() == 0);
    assert_eq!(counts(bus.publish(Event::Number(100))), (2, 0, 0));
    let heard = slow.ask_blocking(Heard).unwrap();
    let told = heard.len() - 2;
    assert_eq!(heard[told], Event::Missed(missed), "{heard:?}");
    assert_eq!(heard[told + 1], Event::Number(100));
    assert_eq!(fast.ask_blocking(Heard).unwrap().len(), 21);
    finish(system);
}

#[test]
fn m05_a_subscriber_that_has_stopped_is_forgotten() {
    let system = system();
    let bus = EventBus::default();
    let (a, b) = (
        system.spawn(Ear::default).unwrap(),
        system.spawn(Ear::default).unwrap(),
    );
    bus.subscribe(a);
    bus.subscribe(b);
    a.stop();
    wait_until("it is dead", || !a.is_alive());
    assert_eq!(counts(bus.publish(Event::Number(1))), (1, 0, 1));
    assert_eq!(bus.subscribed(), [b.id()]);
    assert_eq!(counts(bus.publish(Event::Number(2))), (1, 0, 0));
    let cancelled = Context::empty().with_timeout(std::time::Duration::ZERO);
    assert!(cancelled.run(|| bus.publish(Event::Number(3))).is_late);
    finish(system);
}

#[test]
fn m20_an_event_is_shared_by_arc_when_it_is_large() {
    impl Message for Large {
        type Reply = ();
    }
    #[derive(Clone)]
    struct Large(Arc<[u8]>);
    struct Len(std::sync::mpsc::Sender<usize>);
    impl Actor for Len {}
    impl SyncHandler<Large> for Len {
        fn handle(&mut self, Large(bytes): Large, _cx: &mut ActorContext<Self>) {
            self.0.send(bytes.len()).unwrap();
        }
    }
    let system = system();
    let (send, receive) = std::sync::mpsc::channel();
    let bus = EventBus::new();
    for _ in 0..3 {
        bus.subscribe(system.spawn(Len(send.clone())).unwrap());
    }
    bus.publish(Large(vec![0; 1 << 20].into()));
    for _ in 0..3 {
        assert_eq!(receive.recv().unwrap(), 1 << 20);
    }
    finish(system);
}

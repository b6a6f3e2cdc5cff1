//! Many senders on one mailbox, under each policy: nothing is lost unseen, order is kept, memory is flat.

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actor_core::prelude::*;
use actor_core::{Conservation, Overflow};
use common::{PATIENCE, Tally, Token, finish, settle, system};

const SENDERS: u64 = 8;
const EACH: u64 = if cfg!(debug_assertions) {
    4_000
} else {
    40_000
};

/// Checks that each sender's messages come in order, gaps allowed.
struct Sink {
    last: HashMap<u64, u64>,
    seen: Arc<AtomicU64>,
}
impl Actor for Sink {}
struct Numbered {
    sender: u64,
    number: u64,
    _token: Token,
}
impl Message for Numbered {
    type Reply = ();
}
impl SyncHandler<Numbered> for Sink {
    fn handle(&mut self, message: Numbered, _cx: &mut ActorContext<Self>) {
        let last = self.last.insert(message.sender, message.number);
        assert!(
            last < Some(message.number),
            "{last:?} before {}",
            message.number
        );
        self.seen.fetch_add(1, Ordering::Relaxed);
    }
}

/// An actor that sends as fast as it can.
struct Source {
    sink: ActorRef<Sink>,
    tally: Tally,
}
impl Actor for Source {}
/// So many, from this number on; without waiting or with.
struct Pour {
    sender: u64,
    from: u64,
    waits: bool,
}
impl Message for Pour {
    /// How many came back.
    type Reply = u64;
}
impl Handler<Pour> for Source {
    async fn handle(&mut self, pour: Pour, _cx: &mut ActorContext<Self>) -> u64 {
        let mut back = 0;
        for number in pour.from..pour.from + EACH {
            let message = Numbered {
                sender: pour.sender,
                number,
                _token: self.tally.token(),
            };
            let sent = if pour.waits {
                self.sink.send(message).await
            } else {
                self.sink.tell(message)
            };
            match sent {
                Ok(()) => {}
                Err(SendError::Full { .. }) => back += 1,
                Err(error) => panic!("{error}"),
            }
        }
        back
    }
}

/// Two rounds of a storm from actors. The books, what was handled, and what came back.
fn storm(mailbox: Mailbox, waits: bool) -> (Conservation, u64, u64) {
    let system = system();
    let (seen, tally) = (Arc::new(AtomicU64::new(0)), Tally::new());
    let sink = system
        .actor(Sink {
            last: HashMap::new(),
            seen: seen.clone(),
        })
        .mailbox(mailbox)
        .spawn()
        .unwrap();
    let sources: Vec<_> = (0..SENDERS)
        .map(|_| {
            let tally = tally.clone();
            system.spawn(Source { sink, tally }).unwrap()
        })
        .collect();
    let mut back = 0;
    for round in 0..2 {
        let asks: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let from = round * EACH;
                let pour = Pour {
                    sender,
                    from,
                    waits,
                };
                let source = sources[sender as usize];
                std::thread::spawn(move || source.ask(pour).within(PATIENCE).blocking().unwrap())
            })
            .collect();
        back += asks.into_iter().map(|ask| ask.join().unwrap()).sum::<u64>();
        settle(&system);
        tally.all_dropped();
        assert_eq!(sink.queue_len(), 0);
    }
    let books = finish(system);
    let pours = 2 * SENDERS;
    assert_eq!(books.offered, 2 * SENDERS * EACH + pours, "{books}");
    assert_eq!(books.refused.full, back, "{books}");
    let seen = seen.load(Ordering::SeqCst);
    assert_eq!(books.handled, seen + pours, "{books}");
    (books, seen, back)
}

#[test]
fn m03_a_storm_on_a_mailbox_that_makes_senders_wait_loses_nothing() {
    let (books, seen, back) = storm(Mailbox::bounded(16), true);
    assert_eq!((seen, back), (2 * SENDERS * EACH, 0), "{books}");
}

#[test]
fn m03_a_storm_on_a_mailbox_that_rejects_gives_back_what_it_does_not_take() {
    for waits in [false, true] {
        let mailbox = Mailbox::bounded(16).overflow(Overflow::Reject);
        let (books, seen, back) = storm(mailbox, waits);
        assert_eq!(seen + back, 2 * SENDERS * EACH, "{books}");
        assert_eq!(books.dropped.total(), 0, "{books}");
    }
}

#[test]
fn m03_a_storm_on_a_mailbox_that_drops_the_oldest_counts_each() {
    let mailbox = Mailbox::bounded(16).overflow(Overflow::DropOldest);
    let (books, seen, back) = storm(mailbox, false);
    let dropped = books.dropped.overflow_oldest;
    assert_eq!(seen + back + dropped, 2 * SENDERS * EACH, "{books}");
    // The newest of all is never among those that were dropped.
    assert!(seen >= 16, "{books}");
}

#[test]
fn m03_a_storm_on_a_mailbox_that_drops_the_newest_counts_each() {
    let mailbox = Mailbox::bounded(16).overflow(Overflow::DropNewest);
    let (books, seen, back) = storm(mailbox, false);
    let dropped = books.dropped.overflow_newest;
    assert_eq!(back, 0, "{books}");
    assert_eq!(seen + dropped, 2 * SENDERS * EACH, "{books}");
}

#[test]
fn m03_a_storm_on_a_mailbox_without_a_bound_is_taken_whole() {
    let (books, seen, back) = storm(Mailbox::unbounded(), false);
    assert_eq!((seen, back), (2 * SENDERS * EACH, 0), "{books}");
}

/// A notice and a timer are the runtime's own: what is dropped is the users' messages.
#[test]
fn m03_drop_oldest_drops_no_notice() {
    struct Watcher {
        gone: Arc<AtomicU64>,
        gate: common::Gate,
    }
    impl Actor for Watcher {
        async fn terminated(&mut self, _who: actor_core::Terminated, _cx: &mut ActorContext<Self>) {
            self.gone.fetch_add(1, Ordering::SeqCst);
        }
    }
    struct Watch(ActorRef<Watcher>);
    impl Message for Watch {
        type Reply = ();
    }
    impl SyncHandler<Watch> for Watcher {
        fn handle(&mut self, Watch(other): Watch, cx: &mut ActorContext<Self>) {
            cx.watch(other);
        }
    }
    struct Hold;
    impl Message for Hold {
        type Reply = ();
    }
    impl SyncHandler<Hold> for Watcher {
        fn handle(&mut self, _: Hold, _cx: &mut ActorContext<Self>) {
            self.gate.pass();
        }
    }
    struct Noise;
    impl Message for Noise {
        type Reply = ();
    }
    impl SyncHandler<Noise> for Watcher {
        fn handle(&mut self, _: Noise, _cx: &mut ActorContext<Self>) {}
    }
    let system = system();
    let (gone, gate) = (Arc::new(AtomicU64::new(0)), common::Gate::new());
    let watcher = system
        .actor(Watcher {
            gone: gone.clone(),
            gate: gate.clone(),
        })
        .mailbox(Mailbox::bounded(2).overflow(Overflow::DropOldest))
        .spawn()
        .unwrap();
    let mut others = Vec::new();
    for _ in 0..3 {
        let other = system
            .actor(Watcher {
                gone: gone.clone(),
                gate: gate.clone(),
            })
            .spawn()
            .unwrap();
        watcher.ask_blocking(Watch(other)).unwrap();
        others.push(other);
    }
    // Elsewhere than the others' worker, or they could not stop meanwhile.
    let elsewhere = others.iter().all(|other| other.is_alive());
    assert!(elsewhere);
    for other in &others {
        other.stop();
    }
    common::wait_until("they have stopped", || {
        others.iter().all(|other| !other.is_alive())
    });
    watcher.tell(Hold).unwrap();
    gate.open();
    for _ in 0..1000 {
        let _ = watcher.tell(Noise);
    }
    common::wait_until("all ends are told", || gone.load(Ordering::SeqCst) == 3);
    finish(system);
}

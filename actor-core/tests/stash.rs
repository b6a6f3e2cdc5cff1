//! Messages put aside: kept in order, with their askers, within their bound, and accounted for.

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{Accept, SpawnError, StashError, StopMode};
use common::{PATIENCE, Tally, Token, finish, settle, system, wait_until};

/// Takes work only while it is open.
struct Shop {
    open: bool,
    asked: u32,
    seen: Sender<u32>,
}
impl Actor for Shop {}

/// Waits for the shop to open, by the guard.
struct Work(u32);
impl Message for Work {
    type Reply = u32;
}
impl SyncHandler<Work> for Shop {
    fn accepts(&self, work: &Work) -> Accept {
        assert!(work.0 != 666, "the guard panics");
        if self.open {
            Accept::Now
        } else {
            Accept::Later
        }
    }
    fn handle(&mut self, Work(n): Work, _cx: &mut ActorContext<Self>) -> u32 {
        self.seen.send(n).unwrap();
        n * 2
    }
}

/// As `Work`, in an async handler.
struct SlowWork(
    u32,
    #[allow(dead_code, reason = "its drop is counted")] Token,
);
impl Message for SlowWork {
    type Reply = u32;
}
impl Handler<SlowWork> for Shop {
    fn accepts(&self, _: &SlowWork) -> Accept {
        if self.open {
            Accept::Now
        } else {
            Accept::Later
        }
    }
    async fn handle(&mut self, work: SlowWork, _cx: &mut ActorContext<Self>) -> u32 {
        tokio::task::yield_now().await;
        self.seen.send(work.0).unwrap();
        work.0 * 3
    }
}

/// Waits for the shop to open, by the handler.
#[derive(Debug, PartialEq)]
struct Parcel(u32);
impl Message for Parcel {
    type Reply = Option<StashError<Self>>;
}
impl SyncHandler<Parcel> for Shop {
    fn handle(
        &mut self,
        parcel: Parcel,
        cx: &mut ActorContext<Self>,
    ) -> Option<StashError<Parcel>> {
        self.asked += 1;
        if !self.open {
            return cx.stash(parcel).err();
        }
        self.seen.send(parcel.0).unwrap();
        None
    }
}

enum Order {
    /// Open, and take back so many.
    Open(usize),
    Shut,
    Panic,
    Count,
}
impl Message for Order {
    type Reply = usize;
}
impl SyncHandler<Order> for Shop {
    fn handle(&mut self, order: Order, cx: &mut ActorContext<Self>) -> usize {
        match order {
            Order::Open(n) => {
                self.open = true;
                cx.unstash(n)
            }
            Order::Shut => {
                self.open = false;
                0
            }
            Order::Panic => panic!("the shop burns down"),
            Order::Count => cx.stashed(),
        }
    }
}

fn shop(system: &ActorSystem, stash: usize, open: bool) -> (ActorRef<Shop>, Receiver<u32>) {
    let (seen, goods) = channel();
    let shop = system
        .actor(move || Shop {
            open,
            asked: 0,
            seen: seen.clone(),
        })
        .mailbox(Mailbox::unbounded())
        .stash(stash)
        .spawn()
        .unwrap();
    (shop, goods)
}

fn count(shop: ActorRef<Shop>) -> usize {
    shop.ask_blocking(Order::Count).unwrap()
}

#[test]
fn what_is_put_aside_comes_back_in_order_before_what_came_later() {
    let system = system();
    let (shop, goods) = shop(&system, 1000, false);
    for n in 0..300 {
        if n % 2 == 0 {
            shop.tell(Work(n)).unwrap();
        } else {
            shop.tell(Parcel(n)).unwrap();
        }
    }
    assert_eq!(count(shop), 300);
    wait_until("senders see room", || shop.queue_len() == 0);
    // In the books they wait.
    assert_eq!(system.stats().messages.queued(), 300);
    let gone = shop.ask(Order::Open(usize::MAX));
    assert_eq!(system.block_on(gone).unwrap(), 300);
    shop.tell(Work(300)).unwrap();
    assert_eq!(count(shop), 0);
    assert_eq!(
        goods.try_iter().collect::<Vec<_>>(),
        (0..=300).collect::<Vec<_>>()
    );
    finish(system);
}

#[test]
fn in_two_steps_the_order_is_the_same() {
    let system = system();
    let (shop, goods) = shop(&system, 1000, false);
    for n in 0..10 {
        shop.tell(Work(n)).unwrap();
    }
    assert_eq!(count(shop), 10);
    // All in one batch, most likely: the second step begins while the first is on its way.
    for step in [1, 2, 3, 100] {
        shop.tell(Order::Open(step)).unwrap();
    }
    shop.tell(Work(10)).unwrap();
    assert_eq!(count(shop), 0);
    assert_eq!(
        goods.try_iter().collect::<Vec<_>>(),
        (0..=10).collect::<Vec<_>>()
    );
    finish(system);
}

#[test]
fn what_is_still_not_wanted_is_put_aside_again() {
    let system = system();
    let (shop, goods) = shop(&system, 1000, true);
    shop.tell(Order::Shut).unwrap();
    for n in 0..5 {
        shop.tell(Work(n)).unwrap();
    }
    assert_eq!(shop.ask_blocking(Order::Open(2)).unwrap(), 2);
    shop.tell(Order::Shut).unwrap();
    shop.tell(Work(5)).unwrap();
    assert_eq!(count(shop), 4);
    assert_eq!(shop.ask_blocking(Order::Open(usize::MAX)).unwrap(), 4);
    assert_eq!(count(shop), 0);
    assert_eq!(goods.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    finish(system);
}

#[test]
fn an_ask_is_put_aside_with_its_asker() {
    let system = system();
    let tally = Tally::new();
    let (shop, _goods) = shop(&system, 1000, false);
    let asks: Vec<_> = (0..20)
        .map(|n| {
            let token = tally.token();
            std::thread::spawn(move || {
                let work = shop.ask_blocking(Work(n)).unwrap();
                (work, shop.ask_blocking(SlowWork(n, token)).unwrap())
            })
        })
        .collect();
    wait_until("all are aside", || count(shop) == 20);
    // One that gives up is not handled when it comes back.
    let late = shop
        .ask(SlowWork(99, tally.token()))
        .within(Duration::from_millis(5));
    let error = system.block_on(late).unwrap_err();
    assert!(matches!(error, AskError::Expired { .. }), "{error:?}");
    assert!(shop.ask_blocking(Order::Open(usize::MAX)).unwrap() >= 20);
    for (n, ask) in asks.into_iter().enumerate() {
        assert_eq!(ask.join().unwrap(), (n as u32 * 2, n as u32 * 3));
    }
    tally.all_dropped();
    let books = finish(system);
    // On a slow day it expires before it is sent.
    let ended = books.dropped.expired + books.dropped.abandoned + books.refused.other;
    assert_eq!(ended, 1, "{books}");
}

#[test]
fn over_the_bound_the_message_comes_back_or_is_counted() {
    let system = system();
    let (shop, goods) = shop(&system, 3, false);
    for n in 0..3 {
        assert_eq!(shop.ask_blocking(Parcel(n)).unwrap(), None);
    }
    let error = shop.ask_blocking(Parcel(3)).unwrap().unwrap();
    assert!(
        matches!(
            &error,
            StashError::Full {
                capacity: 3,
                message: Parcel(3)
            }
        ),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("3 messages are already"),
        "{error}"
    );
    assert_eq!(error.into_message(), Parcel(3));
    // By the guard: nobody is there to take it back.
    shop.tell(Work(4)).unwrap();
    let refused = shop.ask_blocking(Work(5)).unwrap_err();
    assert!(matches!(refused, AskError::NoReply { .. }), "{refused:?}");
    assert_eq!(shop.ask_blocking(Order::Open(usize::MAX)).unwrap(), 3);
    assert_eq!(count(shop), 0);
    assert_eq!(goods.try_iter().collect::<Vec<_>>(), [0, 1, 2]);
    let books = finish(system);
    assert_eq!(books.dropped.overflow_newest, 2, "{books}");
}

#[test]
fn a_bound_that_cannot_be_is_refused() {
    let system = system();
    let (seen, _goods) = channel();
    let shop = Shop {
        open: false,
        asked: 0,
        seen,
    };
    let error = system.actor(shop).stash(1_000_001).spawn().unwrap_err();
    assert!(matches!(&error, SpawnError::Option(_)), "{error:?}");
    assert!(error.to_string().contains("stash is 1000001"), "{error}");
    finish(system);
}

#[test]
fn s19_a_restart_puts_what_was_put_aside_back_to_the_front() {
    let system = system();
    // The next life is shut again: what comes back is put aside again, in order.
    let (shop, goods) = shop(&system, 1000, false);
    for n in 0..4 {
        shop.tell(Work(n)).unwrap();
    }
    assert_eq!(count(shop), 4);
    let panicked = shop.ask(Order::Panic);
    assert!(system.block_on(panicked).is_err());
    for n in 4..6 {
        shop.tell(Work(n)).unwrap();
    }
    assert_eq!(count(shop), 6);
    // Given back, and then the life ends before they are handled: the same.
    shop.tell(Order::Open(3)).unwrap();
    let _ = shop.ask_blocking(Order::Panic);
    wait_until("the next life", || count(shop) <= 6);
    assert!(shop.ask_blocking(Order::Open(usize::MAX)).is_ok());
    assert_eq!(count(shop), 0);
    assert_eq!(goods.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    settle(&system);
    let report = system.shutdown_blocking(PATIENCE);
    assert_eq!(report.conservation.dropped.panicked, 2, "{report}");
    assert!(report.conservation.holds_at_rest(), "{report}");
}

#[test]
fn a_guard_that_panics_ends_the_life_and_the_message() {
    let system = system();
    let (shop, goods) = shop(&system, 1000, true);
    let error = shop.ask_blocking(Work(666)).unwrap_err();
    assert!(matches!(error, AskError::Panicked { .. }), "{error:?}");
    shop.tell(Work(666)).unwrap();
    assert_eq!(shop.ask_blocking(Work(1)).unwrap(), 2);
    assert_eq!(goods.try_iter().collect::<Vec<_>>(), [1]);
    let books = finish(system);
    assert_eq!(books.dropped.panicked, 2, "{books}");
}

#[test]
fn m06_what_is_put_aside_when_the_actor_stops_is_a_dead_letter() {
    for mode in [StopMode::Now, StopMode::Drain, StopMode::Kill] {
        let system = system();
        let tally = Tally::new();
        let (shop, _goods) = shop(&system, 1000, false);
        for n in 0..7 {
            shop.tell(SlowWork(n, tally.token())).unwrap();
        }
        let token = tally.token();
        let asker = std::thread::spawn(move || shop.ask_blocking(SlowWork(7, token)));
        wait_until("all are aside", || count(shop) == 8);
        shop.stop_with(mode);
        let error = asker.join().unwrap().unwrap_err();
        assert!(matches!(error, AskError::Dead { .. }), "{error:?}");
        tally.all_dropped();
        let books = finish(system);
        assert_eq!(books.dead_letters.actor_stopped, 8, "{mode:?}: {books}");
    }
}

#[test]
fn timers_wait_aside_like_other_messages() {
    struct Sleeper {
        awake: bool,
        seen: Sender<u32>,
    }
    impl Actor for Sleeper {}
    struct Beat(u32);
    impl Message for Beat {
        type Reply = ();
    }
    impl SyncHandler<Beat> for Sleeper {
        fn accepts(&self, _: &Beat) -> Accept {
            if self.awake {
                Accept::Now
            } else {
                Accept::Later
            }
        }
        fn handle(&mut self, Beat(n): Beat, _cx: &mut ActorContext<Self>) {
            self.seen.send(n).unwrap();
        }
    }
    struct Begin;
    impl Message for Begin {
        type Reply = ();
    }
    impl SyncHandler<Begin> for Sleeper {
        fn handle(&mut self, _: Begin, cx: &mut ActorContext<Self>) {
            cx.send_after(Duration::ZERO, Beat(1));
            let mut n = 1;
            cx.send_interval(Duration::from_millis(1), move || {
                n += 1;
                Beat(n)
            });
        }
    }
    struct Wake;
    impl Message for Wake {
        type Reply = bool;
    }
    impl SyncHandler<Wake> for Sleeper {
        fn handle(&mut self, _: Wake, cx: &mut ActorContext<Self>) -> bool {
            self.awake = cx.stashed() >= 4;
            if self.awake {
                cx.cancel_timers();
                cx.unstash_all();
            }
            self.awake
        }
    }
    let system = system();
    let (seen, beats) = channel();
    let sleeper = system.spawn(Sleeper { awake: false, seen }).unwrap();
    sleeper.tell(Begin).unwrap();
    wait_until("four beats are aside", || {
        sleeper.ask_blocking(Wake).unwrap()
    });
    sleeper.ask_blocking(Wake).unwrap();
    let beats: Vec<u32> = beats.try_iter().collect();
    let mut in_order = beats.clone();
    in_order.sort_unstable();
    assert!(beats.len() >= 4 && beats[0] <= 2, "{beats:?}");
    assert_eq!(in_order, (1..=beats.len() as u32).collect::<Vec<_>>());
    finish(system);
}

#[test]
fn every_kind_of_handler_has_a_guard() {
    use actor_core::{DeferredHandler, Reentrant, ReentrantHandler, Reply};
    struct Door(bool);
    impl Actor for Door {}
    fn at(door: &Door, n: u32) -> Accept {
        assert!(n != 666, "the guard panics");
        if door.0 { Accept::Now } else { Accept::Later }
    }
    struct Knock(u32);
    impl Message for Knock {
        type Reply = u32;
    }
    impl DeferredHandler<Knock> for Door {
        fn accepts(&self, knock: &Knock) -> Accept {
            at(self, knock.0)
        }
        fn handle(&mut self, Knock(n): Knock, reply: Reply<u32>, _cx: &mut ActorContext<Self>) {
            reply.send(n);
        }
    }
    struct Ring(u32);
    impl Message for Ring {
        type Reply = u32;
    }
    impl ReentrantHandler<Ring> for Door {
        fn accepts(&self, ring: &Ring) -> Accept {
            at(self, ring.0)
        }
        async fn handle(_this: Reentrant<Self>, Ring(n): Ring) -> u32 {
            n
        }
    }
    struct Open;
    impl Message for Open {
        type Reply = usize;
    }
    impl SyncHandler<Open> for Door {
        fn handle(&mut self, _: Open, cx: &mut ActorContext<Self>) -> usize {
            if cx.stashed() == 0 {
                return 0;
            }
            self.0 = true;
            cx.unstash_all()
        }
    }
    let system = system();
    let door = system.spawn(|| Door(false)).unwrap();
    let knock = std::thread::spawn(move || door.ask_blocking(Knock(3)));
    wait_until("it is aside", || door.ask_blocking(Open).unwrap() == 1);
    assert_eq!(knock.join().unwrap().unwrap(), 3);
    let error = door.ask_blocking(Knock(666)).unwrap_err();
    assert!(matches!(error, AskError::Panicked { .. }), "{error:?}");
    let ring = std::thread::spawn(move || door.ask_blocking(Ring(4)));
    wait_until("it is aside", || door.ask_blocking(Open).unwrap() == 1);
    assert_eq!(ring.join().unwrap().unwrap(), 4);
    let error = door.ask_blocking(Ring(666)).unwrap_err();
    assert!(matches!(error, AskError::Panicked { .. }), "{error:?}");
    let books = finish(system);
    assert_eq!(books.dropped.panicked, 2, "{books}");
}

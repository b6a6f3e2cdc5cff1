//! M09, M10: a reply that is given later, by somebody else, or never.

mod common;

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{Accept, DeferredHandler, ForwardError, StopMode};
use common::{Gate, Tally, Token, finish, poll_once, settle, system, wait_until, within};

/// Keeps what it is asked for until it is told.
#[derive(Default)]
struct Desk {
    kept: Vec<Reply<(u32, Token)>>,
}
impl Actor for Desk {}

struct Get;
impl Message for Get {
    type Reply = (u32, Token);
}
impl DeferredHandler<Get> for Desk {
    fn handle(&mut self, _: Get, reply: Reply<(u32, Token)>, _cx: &mut ActorContext<Self>) {
        self.kept.push(reply);
    }
}

/// Answers all, and says how many of the askers were still there.
struct Answer(Tally);
impl Message for Answer {
    type Reply = usize;
}
impl SyncHandler<Answer> for Desk {
    fn handle(&mut self, Answer(tally): Answer, _cx: &mut ActorContext<Self>) -> usize {
        let wanted = self.kept.iter().filter(|reply| reply.is_wanted()).count();
        for (n, reply) in self.kept.drain(..).enumerate() {
            reply.send((n as u32, tally.token()));
        }
        wanted
    }
}

struct Forget;
impl Message for Forget {
    type Reply = ();
}
impl SyncHandler<Forget> for Desk {
    fn handle(&mut self, _: Forget, _cx: &mut ActorContext<Self>) {
        self.kept.clear();
    }
}

struct Panic;
impl Message for Panic {
    type Reply = u32;
}
impl DeferredHandler<Panic> for Desk {
    fn handle(&mut self, _: Panic, reply: Reply<u32>, _cx: &mut ActorContext<Self>) {
        assert!(!reply.is_wanted(), "on purpose");
        reply.send(0);
    }
}

/// Answers in the handler, or from a thread that races with the end of the handler.
struct Double {
    n: u32,
    from_a_thread: bool,
}
impl Message for Double {
    type Reply = u32;
}
impl DeferredHandler<Double> for Desk {
    fn handle(&mut self, double: Double, reply: Reply<u32>, cx: &mut ActorContext<Self>) {
        if double.from_a_thread {
            let scope = reply.context();
            cx.tokio()
                .spawn(scope.scope(async move { reply.send(double.n * 2) }));
        } else {
            reply.send(double.n * 2);
            // The context outlives the answer, until the handler returns.
            assert_eq!(cx.context().is_empty(), cx.deadline().is_none());
        }
    }
}

#[test]
fn m09_a_reply_can_be_given_when_another_message_comes() {
    let system = system();
    let desk = system.spawn(Desk::default).unwrap();
    let tally = Tally::new();
    system.block_on(async {
        let mut asks: Vec<_> = (0..10).map(|_| Box::pin(desk.ask(Get))).collect();
        for ask in &mut asks {
            assert!(poll_once(ask.as_mut()).await.is_none());
        }
        // An ask given up before its turn is skipped; these have had theirs.
        while system.stats().messages.handled < 10 {
            tokio::task::yield_now().await;
        }
        drop(asks.split_off(7));
        assert_eq!(
            within(desk.ask(Answer(tally.clone()))).await.unwrap(),
            7,
            "three have given up"
        );
        for (n, ask) in asks.into_iter().enumerate() {
            assert_eq!(within(ask).await.unwrap().0, n as u32);
        }
    });
    tally.all_dropped();
    assert_eq!(tally.made(), 10);
    assert_eq!(settle(&system).handled, 11);
    assert_eq!(system.stats().actors.late_replies, 3);
    finish(system);
}

#[test]
fn m09_a_handle_dropped_without_a_reply_says_no_reply_at_once() {
    let system = system();
    let desk = system.spawn(Desk::default).unwrap();
    system.block_on(async {
        let mut ask = Box::pin(desk.ask(Get));
        assert!(poll_once(ask.as_mut()).await.is_none());
        within(desk.ask(Forget)).await.unwrap();
        let error = within(ask).await.unwrap_err();
        assert!(
            matches!(error, AskError::NoReply { target } if target == desk.id()),
            "{error:?}"
        );
    });
    assert_eq!(system.stats().actors.no_replies, 1);
    assert_eq!(settle(&system).handled, 2);
    finish(system);
}

#[test]
fn m09_replies_in_the_state_of_an_actor_that_stops_or_fails_say_dead() {
    for how in ["stop", "kill", "panic"] {
        let system = system();
        let desk = system.spawn(Desk::default).unwrap();
        system.block_on(async {
            let mut ask = Box::pin(desk.ask(Get));
            assert!(poll_once(ask.as_mut()).await.is_none());
            match how {
                "stop" => desk.stop(),
                "kill" => desk.stop_with(StopMode::Kill),
                _ => {
                    let error = within(desk.ask(Panic)).await.unwrap_err();
                    assert!(matches!(error, AskError::Panicked { .. }), "{error:?}");
                }
            }
            let error = within(ask).await.unwrap_err();
            assert!(
                matches!(error, AskError::Dead { message: None, .. }),
                "{how}: {error:?}"
            );
        });
        assert_eq!(system.stats().actors.no_replies, 0, "{how}");
        finish(system);
    }
}

#[test]
fn m10_one_ask_has_one_answer_whoever_gives_it_and_however_fast() {
    // `send` takes the handle: a second reply does not compile. What is left is the race of the handle
    // with the end of the handler.
    let system = system();
    let desk = system.spawn(Desk::default).unwrap();
    for n in 0..2000 {
        let double = Double {
            n,
            from_a_thread: n % 2 == 0,
        };
        let ask = desk.ask(double).within(Duration::from_secs(60));
        assert_eq!(ask.blocking().unwrap(), n * 2);
    }
    assert_eq!(settle(&system).handled, 2000);
    finish(system);
}

#[test]
fn m10_a_message_that_was_told_has_a_blank_handle() {
    let system = system();
    let desk = system.spawn(Desk::default).unwrap();
    let tally = Tally::new();
    desk.tell(Get).unwrap();
    assert_eq!(desk.ask_blocking(Answer(tally.clone())).unwrap(), 0);
    tally.all_dropped();
    assert_eq!(tally.made(), 1);
    let actors = system.stats().actors;
    assert_eq!((actors.no_replies, actors.late_replies), (0, 0));
    assert_eq!(settle(&system).handled, 2);
    finish(system);
}

#[test]
fn m15_the_asks_context_stays_with_the_handle() {
    struct Deadline;
    impl Message for Deadline {
        type Reply = bool;
    }
    impl DeferredHandler<Deadline> for Desk {
        fn handle(&mut self, _: Deadline, reply: Reply<bool>, cx: &mut ActorContext<Self>) {
            let expected = cx.deadline();
            let work = async move {
                let same = Context::current().deadline() == expected && expected.is_some();
                reply.send(same);
            };
            cx.tokio().spawn(cx.context().scope(work));
        }
    }
    let system = system();
    let desk = system.spawn(Desk::default).unwrap();
    let ask = desk.ask(Deadline).within(Duration::from_secs(60));
    assert!(ask.blocking().unwrap());
    finish(system);
}

// ---- Forwarding -----------------------------------------------------------------------------------

/// Hands on what it is asked.
struct Front<B: Actor> {
    back: ActorRef<B>,
}
impl<B: Actor> Actor for Front<B> {}

struct Ask(u32);
impl Message for Ask {
    type Reply = u32;
}
impl<B: Handler<Ask>> DeferredHandler<Ask> for Front<B> {
    fn handle(&mut self, ask: Ask, reply: Reply<u32>, cx: &mut ActorContext<Self>) {
        if let Err(error) = cx.forward(self.back, ask, reply) {
            assert!(!error.to_string().is_empty());
        }
    }
}

struct Back;
impl Actor for Back {}
impl Handler<Ask> for Back {
    async fn handle(&mut self, Ask(n): Ask, cx: &mut ActorContext<Self>) -> u32 {
        if n % 3 == 0 {
            tokio::task::yield_now().await;
        }
        assert_ne!(n, 13, "unlucky");
        n + u32::from(cx.deadline().is_some())
    }
}
struct Hold(Gate);
impl Message for Hold {
    type Reply = ();
}
impl SyncHandler<Hold> for Back {
    fn handle(&mut self, Hold(gate): Hold, _cx: &mut ActorContext<Self>) {
        gate.pass();
    }
}

#[test]
fn m09_a_forwarded_ask_is_answered_by_the_last_in_the_line() {
    let system = system();
    let back = system.spawn(|| Back).unwrap();
    let middle = system.spawn(Front { back }).unwrap();
    let front = system.spawn(Front { back: middle }).unwrap();
    for n in 20..220 {
        assert_eq!(front.ask_blocking(Ask(n)).unwrap(), n);
    }
    let with_deadline = front.ask(Ask(1)).within(Duration::from_secs(60));
    assert_eq!(with_deadline.blocking().unwrap(), 2, "the deadline travels");
    front.tell(Ask(5)).unwrap();
    let books = settle(&system);
    assert_eq!((books.offered, books.handled), (606, 606));
    finish(system);
}

#[test]
fn m09_a_forwarded_ask_fails_with_the_fate_and_the_name_of_the_last() {
    let system = system();
    let back = system
        .actor(|| Back)
        .mailbox(Mailbox::bounded(1).overflow(Overflow::Reject))
        .spawn()
        .unwrap();
    let front = system.spawn(Front { back }).unwrap();
    let error = front.ask_blocking(Ask(13)).unwrap_err();
    assert!(
        matches!(error, AskError::Panicked { target } if target == back.id()),
        "{error:?}"
    );

    let gate = Gate::new();
    let back = system
        .actor(Back)
        .mailbox(Mailbox::bounded(1).overflow(Overflow::Reject))
        .spawn()
        .unwrap();
    let front = system.spawn(Front { back }).unwrap();
    back.tell(Hold(gate.clone())).unwrap();
    wait_until("the gate is reached", || {
        back.tell(Hold(gate.clone())).is_err() || back.queue_len() > 0
    });
    wait_until("it is full", || back.tell(Hold(gate.clone())).is_err());
    let error = front.ask_blocking(Ask(1)).unwrap_err();
    assert!(
        matches!(error, AskError::NoReply { target } if target == back.id()),
        "{error:?}"
    );
    // One that waits in the mailbox when its actor stops.
    back.stop();
    gate.open();
    wait_until("it is dead", || !back.is_alive());
    let error = front.ask_blocking(Ask(1)).unwrap_err();
    assert!(
        matches!(error, AskError::Dead { target, message: None } if target == back.id()),
        "{error:?}"
    );
    finish(system);
}

#[test]
fn m09_a_refused_forward_gives_message_and_handle_back() {
    struct Patient {
        back: ActorRef<Back>,
    }
    impl Actor for Patient {}
    impl DeferredHandler<Ask> for Patient {
        fn handle(&mut self, ask: Ask, reply: Reply<u32>, cx: &mut ActorContext<Self>) {
            let refused: ForwardError<Ask> = cx.forward(self.back, ask, reply).unwrap_err();
            assert!(refused.error().is_dead());
            let (error, reply) = refused.into_parts();
            reply.send(error.into_message().0 * 100);
        }
    }
    let system = system();
    let back = system.spawn(Back).unwrap();
    back.stop();
    wait_until("it is dead", || !back.is_alive());
    let patient = system.spawn(Patient { back }).unwrap();
    assert_eq!(patient.ask_blocking(Ask(2)).unwrap(), 200);
    finish(system);
}

#[test]
fn m11_an_asker_that_gave_up_is_seen_by_the_last_in_the_line() {
    let system = system();
    let back = system.spawn(Back).unwrap();
    let front = system.spawn(Front { back }).unwrap();
    let gate = Gate::new();
    back.tell(Hold(gate.clone())).unwrap();
    system.block_on(async {
        let mut ask = Box::pin(front.ask(Ask(1)));
        assert!(poll_once(ask.as_mut()).await.is_none());
        let queued = || async {
            while back.queue_len() == 0 {
                tokio::task::yield_now().await;
            }
        };
        within(queued()).await;
        drop(ask);
    });
    gate.open();
    assert_eq!(settle(&system).dropped.abandoned, 1);
    finish(system);
}

#[test]
fn m13_an_actor_that_holds_a_reply_back_may_ask_the_one_that_waits_for_it() {
    // A is asked by B, keeps the reply, and asks C, who is free: no circle. Then A asks B, who waits for A
    // without being in anybody's way: nobody can know who will answer, so it is not refused.
    struct Keeper {
        kept: Option<Reply<u32>>,
    }
    impl Actor for Keeper {}
    impl DeferredHandler<Ask> for Keeper {
        fn handle(&mut self, _: Ask, reply: Reply<u32>, _cx: &mut ActorContext<Self>) {
            self.kept = Some(reply);
        }
    }
    struct Try(ActorRef<Waiter>);
    impl Message for Try {
        type Reply = bool;
    }
    impl Handler<Try> for Keeper {
        async fn handle(&mut self, Try(waiter): Try, _cx: &mut ActorContext<Self>) -> bool {
            // The waiter is in its handler, so this waits for its answer to be given.
            let reply = self.kept.take();
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                if let Some(reply) = reply {
                    reply.send(7);
                }
            });
            within(waiter.ask(Ping)).await.is_ok()
        }
    }
    struct Waiter {
        keeper: ActorRef<Keeper>,
    }
    impl Actor for Waiter {}
    struct Go;
    impl Message for Go {
        type Reply = u32;
    }
    impl Handler<Go> for Waiter {
        async fn handle(&mut self, _: Go, _cx: &mut ActorContext<Self>) -> u32 {
            self.keeper.ask(Ask(0)).await.unwrap()
        }
    }
    struct Ping;
    impl Message for Ping {
        type Reply = ();
    }
    impl SyncHandler<Ping> for Waiter {
        fn handle(&mut self, _: Ping, _cx: &mut ActorContext<Self>) {}
    }
    let system = system();
    for _ in 0..50 {
        let keeper = system.spawn(Keeper { kept: None }).unwrap();
        let waiter = system.spawn(Waiter { keeper }).unwrap();
        system.block_on(async {
            let mut go = Box::pin(waiter.ask(Go));
            assert!(poll_once(go.as_mut()).await.is_none());
            // The keeper has it when it has handled one message.
            while system.stats().messages.handled % 4 != 1 {
                tokio::task::yield_now().await;
            }
            assert!(within(keeper.ask(Try(waiter))).await.unwrap());
            assert_eq!(within(go).await.unwrap(), 7);
        });
        settle(&system);
    }
    finish(system);
}

#[test]
fn m08_a_guard_that_panics_answers_the_asker_of_any_kind_of_handler() {
    /// Its guard panics, or puts aside.
    struct Guarded {
        panics: bool,
        open: bool,
    }
    impl Actor for Guarded {}
    impl Guarded {
        fn guard(&self) -> Accept {
            assert!(!self.panics, "on purpose");
            if self.open {
                Accept::Now
            } else {
                Accept::Later
            }
        }
    }
    struct Plain;
    impl Message for Plain {
        type Reply = u32;
    }
    impl SyncHandler<Plain> for Guarded {
        fn handle(&mut self, _: Plain, _cx: &mut ActorContext<Self>) -> u32 {
            7
        }
        fn accepts(&self, _: &Plain) -> Accept {
            self.guard()
        }
    }
    impl DeferredHandler<Ask> for Guarded {
        fn handle(&mut self, Ask(n): Ask, reply: Reply<u32>, _cx: &mut ActorContext<Self>) {
            reply.send(n);
        }
        fn accepts(&self, _: &Ask) -> Accept {
            self.guard()
        }
    }
    struct Open;
    impl Message for Open {
        type Reply = ();
    }
    impl SyncHandler<Open> for Guarded {
        fn handle(&mut self, _: Open, cx: &mut ActorContext<Self>) {
            self.open = true;
            cx.unstash_all();
        }
    }
    struct ToPlain(ActorRef<Guarded>);
    impl Actor for ToPlain {}
    impl DeferredHandler<Plain> for ToPlain {
        fn handle(&mut self, plain: Plain, reply: Reply<u32>, cx: &mut ActorContext<Self>) {
            _ = cx.forward(self.0, plain, reply);
        }
    }
    let system = system();
    for way in 0..4 {
        let guarded = |panics| {
            let guarded = system
                .spawn(Guarded {
                    panics,
                    open: false,
                })
                .unwrap();
            let front = system.spawn(Front { back: guarded }).unwrap();
            let plain = system.spawn(ToPlain(guarded)).unwrap();
            (guarded, front, plain)
        };
        let (g, front, plain) = guarded(true);
        let panicked = match way {
            0 => g.ask_blocking(Plain).unwrap_err().without_message(),
            1 => g.ask_blocking(Ask(7)).unwrap_err().without_message(),
            2 => front.ask_blocking(Ask(7)).unwrap_err().without_message(),
            _ => plain.ask_blocking(Plain).unwrap_err().without_message(),
        };
        assert!(
            matches!(panicked, AskError::Panicked { target } if target == g.id()),
            "{way}: {panicked:?}"
        );
        let (g, front, plain) = guarded(false);
        let aside = std::thread::spawn(move || match way {
            0 => g.ask_blocking(Plain).unwrap(),
            1 => g.ask_blocking(Ask(7)).unwrap(),
            2 => front.ask_blocking(Ask(7)).unwrap(),
            _ => plain.ask_blocking(Plain).unwrap(),
        });
        while !aside.is_finished() {
            g.ask_blocking(Open).unwrap();
        }
        assert_eq!(aside.join().unwrap(), 7, "{way}");
    }
    finish(system);
}

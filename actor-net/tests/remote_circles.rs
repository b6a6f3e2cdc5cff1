//! Asks that wait for each other over several peers: one of them fails with the path, and what is no circle is
//! not taken for one.

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::{AskError, DeferredHandler, Message, Reply};
use actor_net::remote::Exports;
use serde::{Deserialize, Serialize};

mod remote_kit;

use remote_kit::*;

/// Whether somebody on the way was told of a circle, rather than by its deadline.
fn is_told(asked: &Result<u64, String>) -> bool {
    matches!(asked, Err(text) if text.contains("wait for each other"))
}

#[test]
fn m13_a_circle_over_two_or_three_peers_is_named() {
    let (one, two, three) = trio();
    let mine = one.spawn(&Witness::default());
    two.publish("witness", &Witness::default());
    three.publish("witness", &Witness::default());
    let (near, far) = (one.find(&two, "witness"), one.find(&three, "witness"));
    for via in [
        vec![near, mine],
        vec![near, far, mine],
        // One that does not begin with the first of them.
        vec![near, far, near],
    ] {
        let asked = mine.ask_blocking(Circle { via: via.clone() }).unwrap();
        // Who is told is in it; who asked it hears that it was told, or gave up.
        assert!(asked.is_err(), "{asked:?}");
    }
    // They go on.
    for witness in [mine, near, far] {
        let asked = witness.ask_blocking(Circle { via: vec![] }).unwrap();
        assert_eq!(asked, Ok(0));
    }
    finish([one, two, three]);
}

#[test]
fn m13_the_path_has_all_of_them() {
    let (one, two) = pair();
    let mine = one.spawn(&Witness::default());
    let beside = one.spawn(&Witness::default());
    two.publish("witness", &Witness::default());
    let there = one.find(&two, "witness");
    // The greatest of those that wait across the network is told: on peer `two`.
    let asked = mine
        .ask_blocking(Circle {
            via: vec![beside, there, mine],
        })
        .unwrap();
    assert!(is_told(&asked), "{asked:?}");
    let text = asked.unwrap_err();
    assert_eq!(text.matches("->").count(), 3, "{text}");
    finish([one, two]);
}

#[test]
fn m13_circles_closed_from_all_sides_at_once_end() {
    let (one, two) = pair();
    two.publish("witness", &Witness::default());
    let there = one.find(&two, "witness");
    let here = one.spawn(&Witness::default());
    for _ in 0..10 {
        // Each handler asks the other actor, whose handler may just do the same.
        let ask = |first: ActorRef<Witness>, then| {
            let asking = async move { first.ask(Circle { via: vec![then] }).await };
            one.system.tokio().spawn(asking)
        };
        let both = [ask(here, there), ask(there, here)];
        let ends = both.map(|asking| one.system.block_on(asking).unwrap().unwrap());
        let told = ends.iter().filter(|end| is_told(end)).count();
        let well = ends.iter().filter(|end| **end == Ok(1)).count();
        assert!(told <= 1 && told + well == 2, "{ends:?}");
    }
    finish([one, two]);
}

// ---- What is none -------------------------------------------------------------------------------

/// Keeps replies back.
#[derive(Actor, Default)]
struct Keeper {
    kept: Option<Reply<u64>>,
}

#[derive(Debug, Message, Serialize, Deserialize)]
#[message(remote = "tests.keep", reply = u64)]
struct Keep {}

impl DeferredHandler<Keep> for Keeper {
    fn handle(&mut self, _: Keep, reply: Reply<u64>, _: &mut ActorContext<Self>) {
        self.kept = Some(reply);
    }
}

#[derive(Debug, Message, Serialize, Deserialize)]
#[message(remote = "tests.try", reply = bool)]
struct Try {
    waiter: ActorRef<Waiter>,
}

impl Handler<Try> for Keeper {
    async fn handle(&mut self, Try { waiter }: Try, _: &mut ActorContext<Self>) -> bool {
        let reply = self.kept.take();
        // The waiter is in its handler until somebody else answers, later than any circle is looked for.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(400)).await;
            if let Some(reply) = reply {
                reply.send(7);
            }
        });
        waiter.ask(Ping {}).await.is_ok()
    }
}

struct Waiter {
    keeper: Option<ActorRef<Keeper>>,
}

impl Actor for Waiter {}

#[derive(Debug, Message, Serialize, Deserialize)]
#[message(remote = "tests.ping", reply = ())]
struct Ping {}

impl SyncHandler<Ping> for Waiter {
    fn handle(&mut self, _: Ping, _: &mut ActorContext<Self>) {}
}

struct Go;
impl Message for Go {
    type Reply = Result<u64, String>;
}
impl Handler<Go> for Waiter {
    async fn handle(&mut self, _: Go, _: &mut ActorContext<Self>) -> Result<u64, String> {
        let keeper = self.keeper.expect("it knows one");
        let asked = keeper.ask(Keep {}).await;
        asked.map_err(|error: AskError<Keep>| error.to_string())
    }
}

fn kept() -> Exports {
    exports()
        .handles::<Keeper, Keep>()
        .handles::<Keeper, Try>()
        .handles::<Waiter, Ping>()
}

#[test]
fn m13_one_that_holds_a_reply_back_may_ask_the_one_that_waits_for_it() {
    let one = Process::with("one", None, |builder| builder.exports(kept()));
    let two = Process::with("two", Some(&one), |builder| builder.exports(kept()));
    one.sees(2);
    two.sees(2);
    let keeper = two.system.spawn(Keeper::default()).unwrap();
    assert!(two.cluster.publish("keeper", keeper));
    let looking = one.cluster.lookup::<Keeper>(two.cluster.peer(), "keeper");
    let there = one.system.block_on(looking).unwrap();
    let waiter = one
        .system
        .spawn(Waiter {
            keeper: Some(there),
        })
        .unwrap();
    let waiting = one
        .system
        .tokio()
        .spawn(async move { waiter.ask(Go).await });
    wait_until("it waits", || two.stats().asks_in >= 2);
    assert!(there.ask_blocking(Try { waiter }).unwrap());
    let waited = one.system.block_on(waiting).unwrap().unwrap();
    assert_eq!(waited, Ok(7));
    finish([one, two]);
}

#[test]
fn m13_asks_that_take_long_are_no_circle() {
    let (one, two, three) = trio();
    let (witness, gate) = Witness::gated();
    two.publish("middle", &Witness::default());
    three.publish("last", &witness);
    let (near, far) = (one.find(&two, "middle"), one.find(&three, "last"));
    let mine = one.spawn(&Witness::default());
    // Three wait in a row, and others for them, through many looks.
    let asking = one.system.tokio().spawn(async move {
        mine.ask(HoldVia {
            via: vec![near, far],
        })
        .await
    });
    witness.until(&Heard::Held, 1);
    let behind = one
        .system
        .tokio()
        .spawn(async move { far.ask(Note { from: 1, n: 1 }).await });
    std::thread::sleep(Duration::from_millis(500));
    gate.add_permits(1);
    assert!(one.system.block_on(asking).unwrap().is_ok());
    assert_eq!(one.system.block_on(behind).unwrap().unwrap(), 1);
    finish([one, two, three]);
}

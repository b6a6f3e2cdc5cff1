//! A scene to look at, and to take pictures of: a shop of three peers, with desks that ask a bank and the stock on other
//! peers, three actors that would wait for each other every few seconds, and now and then a failure. It is ignored:
//! it tests little, and takes as long as somebody looks.
//!
//! ```sh
//! ACTOR_TOPOLOGY=2x1 cargo test --release -p actor-net --features console --test console_scene -- --ignored --nocapture
//! ```
//!
//! It says where the console is, and ends after `ACTOR_SCENE_SECONDS` (600). `tests/console_page/run --pictures`
//! takes the pictures of docs/ from it.

use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{Reentrant, ReentrantHandler, TracingOptions};
use actor_net::cluster::{Cluster, Seeds};
use actor_net::registry::Group;
use actor_net::remote::Exports;
use serde::{Deserialize, Serialize};

use self::console_kit::{PATIENCE, builder, finish};

mod console_kit;

const PEERS: usize = 3;
const DESKS: usize = 6;

/// Takes its time, for all at once.
#[derive(Actor)]
struct Bank;

#[derive(Message)]
struct Pay {
    takes: Duration,
}

impl ReentrantHandler<Pay> for Bank {
    async fn handle(_this: Reentrant<Self>, pay: Pay) {
        tokio::time::sleep(pay.takes).await;
    }
}

/// On the other peers.
#[derive(Actor)]
struct Stock {
    left: u64,
}

#[derive(Debug, Message, Serialize, Deserialize)]
#[message(remote = "scene.take", reply = u64)]
struct Take {
    items: u64,
}

impl SyncHandler<Take> for Stock {
    fn handle(&mut self, take: Take, _cx: &mut ActorContext<Self>) -> u64 {
        self.left = self.left.wrapping_sub(take.items);
        self.left
    }
}

#[derive(Actor)]
struct Desk {
    bank: ActorRef<Bank>,
    stock: Group<Stock>,
}

#[derive(Message)]
struct Charge {
    number: u64,
}

/// Of so many charges one finds the desk unprepared.
const POISONED: u64 = 2500;

impl Handler<Charge> for Desk {
    async fn handle(&mut self, charge: Charge, _cx: &mut ActorContext<Self>) {
        assert!(
            !charge.number.is_multiple_of(POISONED),
            "the card cannot be read"
        );
        let takes = Duration::from_millis(5 + charge.number % 20);
        // Peers come and go; an order that finds no stock is given up, and counted as a failed ask.
        _ = self.bank.ask(Pay { takes }).await;
        if let Ok(stock) = self.stock.round_robin() {
            _ = stock.ask(Take { items: 1 }).await;
        }
    }
}

/// Asks the next before it answers, and the last asks the first.
#[derive(Actor)]
struct Ring(Option<ActorRef<Self>>);

#[derive(Message)]
struct Join {
    next: ActorRef<Ring>,
}

impl SyncHandler<Join> for Ring {
    fn handle(&mut self, join: Join, _cx: &mut ActorContext<Self>) {
        self.0 = Some(join.next);
    }
}

#[derive(Message)]
#[message(reply = bool)]
struct Audit;

impl Handler<Audit> for Ring {
    async fn handle(&mut self, _: Audit, _cx: &mut ActorContext<Self>) -> bool {
        let next = self.0.expect("joined");
        matches!(
            next.ask(Audit).await,
            Ok(true) | Err(AskError::Deadlock { .. })
        )
    }
}

struct Peer {
    system: ActorSystem,
    cluster: Cluster,
}

impl Peer {
    fn start(at: usize, first: Option<&Self>) -> Self {
        let traced = TracingOptions::new().sample(0.05);
        let system = ActorSystem::builder().tracing(traced);
        let system = match at {
            // The one that is looked at has the workers of the machine.
            0 => system,
            _ => system.workers(Workers::Count(1)),
        };
        let system = system.build().unwrap();
        let seeds = first.map_or_else(Seeds::none, |first| {
            Seeds::none().endpoint(first.cluster.local_addr().into())
        });
        let cluster = Cluster::builder(system.handle(), "shop")
            .peer(format!("shop-{at}"))
            .exports(Exports::new().handles::<Stock, Take>())
            .seeds(seeds);
        let cluster = system.block_on(cluster.start()).unwrap();
        Self { system, cluster }
    }

    fn stock(&self) -> Group<Stock> {
        self.cluster.groups().group("stock").unwrap()
    }
}

/// What is looked at, on the first peer.
fn furnish(peer: &Peer) -> (Vec<ActorRef<Desk>>, ActorRef<Ring>) {
    let system = &peer.system;
    let bank = system.actor(Bank).name("bank").spawn().unwrap();
    let desk = |at: usize| {
        let stock = peer.stock();
        let made = move || Desk {
            bank,
            stock: stock.clone(),
        };
        let desk = system.actor(made).name(format!("desk-{at}"));
        desk.spawn().unwrap()
    };
    let ring = ["clearing", "audit", "ledger"];
    let ring = ring.map(|name| system.actor(Ring(None)).name(name).spawn().unwrap());
    for (at, one) in ring.iter().enumerate() {
        let next = ring[(at + 1) % ring.len()];
        one.ask_blocking(Join { next }).unwrap();
    }
    ((0..DESKS).map(desk).collect(), ring[0])
}

#[test]
#[ignore = "to be looked at: it runs for ten minutes, see the top of the file"]
fn a_shop_of_three_peers_to_look_at() {
    let seconds = std::env::var("ACTOR_SCENE_SECONDS").map_or(600, |text| {
        text.parse()
            .expect("ACTOR_SCENE_SECONDS is a whole number of seconds")
    });
    let mut peers = vec![Peer::start(0, None)];
    for at in 1..PEERS {
        let next = Peer::start(at, peers.first());
        let stock = next.system.spawn(Stock { left: u64::MAX }).unwrap();
        next.stock().join(stock).unwrap();
        peers.push(next);
    }
    for peer in &peers {
        let up = peer.cluster.until_up(PEERS, PATIENCE);
        peer.system.block_on(up).unwrap();
    }
    let first = &peers[0];
    let console = builder(&first.system).cluster(&first.cluster);
    let console = console.start().unwrap();
    println!("console: {}", console.url());

    let (desks, ring) = furnish(first);
    first.system.block_on(async {
        let until = tokio::time::Instant::now() + Duration::from_secs(seconds);
        let is_open = move || tokio::time::Instant::now() < until;
        let customers = desks.into_iter().enumerate().map(|(at, desk)| {
            tokio::spawn(async move {
                let mut number = at as u64;
                while is_open() {
                    number += DESKS as u64;
                    // A desk that fails is there again for the next.
                    _ = desk.ask(Charge { number }).await;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
        });
        let customers: Vec<_> = customers.collect();
        while is_open() {
            _ = ring.ask(Audit).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        for customer in customers {
            customer.await.expect("no panic");
        }
    });
    drop(console);
    for peer in peers.iter().rev() {
        peer.system.block_on(peer.cluster.leave(PATIENCE));
    }
    for peer in peers {
        finish(peer.system);
    }
}

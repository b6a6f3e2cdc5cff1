//! What the benches share: a system as users get it, and two actors to send between.

#![allow(dead_code, reason = "each bench uses its own part of this module")]

use std::time::{Duration, Instant};

use actor_core::prelude::*;
use actor_core::topology::Topology;
use actor_core::{CrossNumaStealing, NumaNodeId};

/// The defaults.
pub(crate) fn system() -> ActorSystem {
    ActorSystem::new().expect("the machine can run a system")
}

/// Two pretended NUMA nodes with one worker each and no stealing between them, so that who runs where
/// is certain: what is sent from the first to the second crosses CPUs.
pub(crate) fn two_workers() -> ActorSystem {
    ActorSystem::builder()
        .topology(Topology::pretend("2x1").expect("a valid machine"))
        .cross_numa_stealing(CrossNumaStealing::Never)
        .build()
        .expect("the machine can run a system")
}

/// The NUMA node of the first or second of [`two_workers`].
pub(crate) fn side(system: &ActorSystem, index: usize) -> NumaNodeId {
    system.numa_nodes()[index]
}

/// Ends a bench: the books must be right, or its figures are not worth anything.
pub(crate) fn close(system: ActorSystem) {
    let report = system.shutdown_blocking(Duration::from_secs(30));
    assert!(report.conservation.holds_at_rest(), "{report}");
}

/// Adds up what it is sent.
#[derive(Actor)]
pub(crate) struct Counter {
    pub(crate) sum: u64,
}

#[messages]
impl Counter {
    #[message]
    pub(crate) fn add(&mut self, n: u64) -> u64 {
        self.sum += n;
        self.sum
    }
}

/// Sends from inside of the runtime.
#[derive(Actor)]
pub(crate) struct Driver;

#[messages]
impl Driver {
    /// `n` messages with backpressure; answers when the last one is accepted.
    #[message]
    pub(crate) async fn flood(&mut self, to: ActorRef<Counter>, n: u64) {
        for i in 0..n {
            to.send(Add { n: i }).await.expect("the counter lives");
        }
    }

    /// `n` asks, one after the other; answers with the time they took.
    #[message]
    pub(crate) async fn ask_often(&mut self, whom: ActorRef<Counter>, n: u64) -> Duration {
        let began = Instant::now();
        for i in 0..n {
            whom.ask(Add { n: i }).await.expect("the counter answers");
        }
        began.elapsed()
    }

    /// Spawns `n` actors of eight bytes and sends each a message.
    #[message]
    pub(crate) fn spawn_many(&mut self, n: u64, cx: &mut ActorContext<Self>) {
        for _ in 0..n {
            let actor = cx
                .spawn(Counter { sum: 0 })
                .expect("there is room for actors");
            actor.tell(Add { n: 1 }).expect("a new actor has room");
        }
    }
}

/// Bounces a number to its peer so many times.
#[derive(Actor)]
pub(crate) struct Player {
    pub(crate) peer: Option<ActorRef<Self>>,
    pub(crate) done: Option<std::sync::mpsc::Sender<()>>,
    pub(crate) left: u64,
}

#[messages]
impl Player {
    #[message]
    pub(crate) fn meet(&mut self, peer: ActorRef<Self>) {
        self.peer = Some(peer);
    }

    #[message]
    pub(crate) fn ball(&mut self, n: u64) {
        if self.left == 0 {
            if let Some(done) = &self.done {
                done.send(()).expect("the bench waits");
            }
            return;
        }
        self.left -= 1;
        if let Some(peer) = self.peer {
            peer.tell(Ball { n: n + 1 }).expect("the peer has room");
        }
    }
}

/// `pairs` pairs play `messages` balls each; the wall time.
pub(crate) fn play(system: &ActorSystem, pairs: usize, messages: u64) -> Duration {
    let (done, ended) = std::sync::mpsc::channel();
    let players: Vec<_> = (0..pairs)
        .map(|_| {
            let player = |peer| Player {
                peer,
                done: Some(done.clone()),
                left: messages / 2,
            };
            let first = system.spawn(player(None)).expect("spawned");
            let second = system.spawn(player(Some(first))).expect("spawned");
            first.ask_blocking(Meet { peer: second }).expect("answered");
            (first, second)
        })
        .collect();
    let began = Instant::now();
    for (first, _) in &players {
        first.tell(Ball { n: 0 }).expect("room");
    }
    for _ in 0..pairs {
        ended.recv().expect("the players play");
    }
    let time = began.elapsed();
    for (first, second) in players {
        first.stop();
        second.stop();
    }
    time
}

//! The last word about an actor that peers watched: after everything that it sent.
//!
//! What an actor sent before its end may still be in the mailbox of a proxy, in a lane, or in pieces on its
//! way, while word of the end would go by the control connection. So ends go in rounds. In a round every proxy
//! of the peer gets a barrier into its mailbox; when all have come through, all messages from before are in
//! the lanes. When the large ones among them are gone, each lane gets a mark, and for each lane the end is
//! told once, to be held there until the mark has come. The peer acts on the last of them.
//!
//! What holds a round up is a lane without room. After [`PATIENCE`] the end is told anyway; after [`PAUSED`] already, if
//! only proxies hold it up whose actors stay full (`held`): an end may overtake what was sent to such an actor.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use actor_core::remote::{CodecError, Export, ProxyHandle};
use actor_core::{ActorId, Message, SendError, StopReason};
use tokio::sync::mpsc;

use super::association::{Association, lock};
use super::fate::end_of;
use super::gateway::Elsewhere;
use crate::wire::message::{Address, Flush};
use crate::wire::signal::{Signal, SignalKind};

/// How long a round waits for proxies that have no room. 10 s.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same when all of them are held back by the peer. 500 ms.
const PAUSED: Duration = Duration::from_millis(500);

/// An end that a peer is to hear of.
#[derive(Debug)]
pub(super) struct Farewell {
    pub(super) watched: Address,
    pub(super) watcher: Address,
    pub(super) reason: StopReason,
}

#[derive(Default)]
pub(super) struct Farewells(Mutex<State>);

#[derive(Default)]
struct State {
    /// For the next round.
    queue: Vec<Farewell>,
    is_running: bool,
    /// Numbers of large messages that were sent and are not gone.
    large: BTreeSet<u64>,
    next_large: u64,
    /// A round that waits for those up to this number.
    behind_large: Option<(u64, Vec<Farewell>)>,
}

/// One round; its barriers are through when the last handle to it is dropped.
pub(super) struct Round {
    association: Weak<Association>,
    farewells: Mutex<Vec<Farewell>>,
    /// Proxies whose barriers are not through.
    left: Mutex<HashSet<ActorId>>,
}

impl Round {
    /// Whether it waits for nothing but actors there that stay full.
    fn is_held_back(&self) -> bool {
        let Some(association) = self.association.upgrade() else {
            return true;
        };
        let paused = association.paused_proxies();
        lock(&self.left).iter().all(|proxy| paused.contains(proxy))
    }

    /// Goes on, if it has not already.
    fn pass(&self) {
        let farewells = std::mem::take(
            // Nothing under the lock panics.
            &mut *self
                .farewells
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if let Some(association) = self.association.upgrade()
            && !farewells.is_empty()
        {
            association.barriers_are_through(farewells);
        }
    }
}

impl Drop for Round {
    fn drop(&mut self) {
        self.pass();
    }
}

/// Goes through the mailbox of a proxy, and is dropped there.
pub(super) enum Barrier {
    /// Of a round.
    Round { round: Arc<Round>, proxy: ActorId },
    /// Of this side's leaving: it is through when all of these are dropped.
    Leaving(#[expect(dead_code, reason = "it is dropped")] mpsc::Sender<()>),
}

impl Drop for Barrier {
    fn drop(&mut self) {
        if let Self::Round { round, proxy } = self {
            lock(&round.left).remove(proxy);
        }
    }
}

impl Barrier {
    pub(super) const NAME: &'static str = "actor-net barrier";
}

impl Message for Barrier {
    type Reply = ();
    // It never leaves this process; with a name it comes as far as the gateway.
    const EXPORT: Option<Export<Self>> = Some(Export {
        name: Self::NAME,
        schema: || 0,
        encode: |_, _| Err(CodecError::new("a barrier does not travel")),
        decode: |_| Err(CodecError::new("a barrier does not travel")),
        encode_reply: |(), _| Ok(()),
        decode_reply: |_| Ok(()),
    });
}

impl Farewells {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A large message is about to be sent; its number, from 1.
    pub(super) fn large_begins(&self) -> u64 {
        let mut state = self.lock();
        state.next_large += 1;
        let number = state.next_large;
        state.large.insert(number);
        number
    }
}

impl Association {
    /// An actor here that the peer watches has ended.
    pub(super) fn farewell(self: &Arc<Self>, farewell: Farewell) {
        let batch = {
            let mut state = self.farewells.lock();
            state.queue.push(farewell);
            if state.is_running {
                return;
            }
            state.is_running = true;
            std::mem::take(&mut state.queue)
        };
        self.begin_round(batch);
    }

    fn begin_round(self: &Arc<Self>, farewells: Vec<Farewell>) {
        let round = Arc::new(Round {
            association: Arc::downgrade(self),
            farewells: Mutex::new(farewells),
            left: Mutex::default(),
        });
        let tokio = self.own.system.tokio();
        let impatient = Arc::downgrade(&round);
        let mut waits = false;
        for proxy in self.all_proxies() {
            waits = true;
            lock(&round.left).insert(proxy.id());
            let barrier = Barrier::Round {
                round: round.clone(),
                proxy: proxy.id(),
            };
            self.put_behind_all(&proxy, barrier);
        }
        if waits {
            tokio.spawn(async move {
                let until = tokio::time::Instant::now() + PATIENCE;
                loop {
                    tokio::time::sleep(PAUSED).await;
                    let Some(round) = impatient.upgrade() else {
                        return;
                    };
                    if round.is_held_back() || tokio::time::Instant::now() >= until {
                        return round.pass();
                    }
                }
            });
        }
    }

    /// Behind all that is in the mailbox of a proxy.
    fn put_behind_all(&self, proxy: &ProxyHandle, barrier: Barrier) {
        let proxy = proxy.actor_ref::<Elsewhere>();
        if let Err(SendError::Full { message, .. }) = proxy.tell(barrier) {
            let tokio = self.own.system.tokio();
            tokio.spawn(async move { drop(proxy.send(message).await) });
        }
    }

    /// `through` is dropped when all that was sent to this peer before is in the lanes.
    pub(super) fn when_all_is_sent(&self, through: &mpsc::Sender<()>) {
        if self.way().is_none() {
            return;
        }
        for proxy in self.all_proxies() {
            self.put_behind_all(&proxy, Barrier::Leaving(through.clone()));
        }
    }

    /// All messages from before are in the lanes.
    fn barriers_are_through(self: &Arc<Self>, farewells: Vec<Farewell>) {
        {
            let mut state = self.farewells.lock();
            if !state.large.is_empty() {
                state.behind_large = Some((state.next_large, farewells));
                return;
            }
        }
        self.tell_all(farewells);
    }

    /// A large message is gone: it has arrived, or it never will.
    pub(super) fn large_is_gone(self: &Arc<Self>, number: u64) {
        let passed = {
            let mut state = self.farewells.lock();
            state.large.remove(&number);
            let first = state.large.first().copied().unwrap_or(u64::MAX);
            let is_through = |(last, _): &mut (u64, _)| first > *last;
            state.behind_large.take_if(is_through)
        };
        if let Some((_, farewells)) = passed {
            self.tell_all(farewells);
        }
    }

    /// Ends a round, and begins the next if there is one.
    fn tell_all(self: &Arc<Self>, farewells: Vec<Farewell>) {
        if let Some(way) = self.way() {
            for farewell in farewells {
                for lane in 0..way.lanes() {
                    let told = way.signal(Signal {
                        from: farewell.watched,
                        to: farewell.watcher,
                        kind: SignalKind::Terminated(end_of(&farewell.reason, true)),
                    });
                    // Otherwise the peer is about to be declared dead.
                    if let Ok(signal) = told {
                        let watcher = farewell.watcher.id;
                        way.flush(lane, 0, Flush { watcher, signal });
                    }
                }
            }
        }
        let batch = {
            let mut state = self.farewells.lock();
            if state.queue.is_empty() {
                state.is_running = false;
                return;
            }
            std::mem::take(&mut state.queue)
        };
        self.begin_round(batch);
    }
}

//! A kind of entity on one peer: its region, and actors that are as simple as shows what the region wants.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ledger::{Ask, Ledger};
use crate::consensus::Authority;
use crate::consensus::shard_map::ShardCommand;
use crate::id::Life;
use crate::sharding::EntityKey;
use crate::sharding::simulated::{Origin, Output, Packet, Region, Settings};

/// How long an actor needs for a message, and to end.
const WORK: Duration = Duration::from_millis(3);

/// What the regions of a kind on two peers have for each other.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Between {
    Item {
        key: EntityKey,
        epoch: u64,
        hops: u8,
        ask: Ask,
    },
    Packet(Packet),
}

struct Actor {
    epoch: u64,
    inbox: VecDeque<Ask>,
    is_stopping: bool,
    busy_until: Instant,
}

pub(super) struct Hosted {
    pub(super) kind: &'static str,
    life: Life,
    pub(super) region: Region<Ask>,
    actors: BTreeMap<EntityKey, Actor>,
    ledger: Rc<RefCell<Ledger>>,
    pub(super) out: VecDeque<(Life, Between)>,
    pub(super) wishes: Vec<ShardCommand>,
}

impl Hosted {
    pub(super) fn new(
        kind: &'static str,
        settings: Settings,
        life: Life,
        ledger: &Rc<RefCell<Ledger>>,
        now: Instant,
    ) -> Self {
        let mut hosted = Self {
            kind,
            region: Region::new(life.clone(), kind, settings, now),
            life,
            actors: BTreeMap::new(),
            ledger: Rc::clone(ledger),
            out: VecDeque::new(),
            wishes: Vec::new(),
        };
        hosted.pump(now);
        hosted
    }

    pub(super) fn ask(&mut self, key: u64, now: Instant) {
        let ask = self.ledger.borrow_mut().ask(&self.life);
        self.offer(EntityKey::from(key), ask, Origin::Here, now);
    }

    pub(super) fn learn(&mut self, authority: &Authority, now: Instant) {
        let kind = authority.shards().kind(self.kind);
        self.region.handle_map(authority.version(), kind, now);
        self.pump(now);
    }

    pub(super) fn handle(&mut self, from: &Life, what: Between, now: Instant) {
        match what {
            Between::Item {
                key,
                epoch,
                hops,
                ask,
            } => self.offer(key, ask, Origin::Peer { epoch, hops }, now),
            Between::Packet(packet) => {
                self.region.handle_packet(from, packet, now);
                self.pump(now);
            }
        }
    }

    pub(super) fn handle_way(&mut self, life: &Life, is_there: bool, now: Instant) {
        self.region.handle_way(life, is_there, now);
        self.pump(now);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.region.handle_timeout(now);
        self.pump(now);
        let due = |actor: &Actor| actor.has_work() && now >= actor.busy_until;
        let due: Vec<_> = self
            .actors
            .iter()
            .filter(|(_, actor)| due(actor))
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            // Ending one may have ended others.
            let Some(actor) = self.actors.get_mut(&key) else {
                continue;
            };
            if let Some(ask) = actor.inbox.pop_front() {
                actor.busy_until = now + WORK;
                self.ledger.borrow_mut().handle(&ask);
            } else {
                let epoch = actor.epoch;
                self.actors.remove(&key);
                self.ledger.borrow_mut().end(self.kind, &key, epoch);
                self.region.handle_ended(&key, epoch, now);
                self.pump(now);
            }
        }
        self.check_books();
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let actors = self.actors.values();
        let busy = actors.filter(|actor| actor.has_work());
        let busy = busy.map(|actor| actor.busy_until).min();
        [self.region.poll_timeout(), busy]
            .into_iter()
            .flatten()
            .min()
    }

    /// Nothing waits, here or in an actor.
    pub(super) fn is_quiet(&self) -> bool {
        let is_idle = |actor: &Actor| actor.inbox.is_empty();
        self.region.counts().waiting == 0 && self.actors.values().all(is_idle)
    }

    fn offer(&mut self, key: EntityKey, ask: Ask, origin: Origin, now: Instant) {
        self.region.offer(key, ask, origin, now);
        self.pump(now);
    }

    fn pump(&mut self, now: Instant) {
        while let Some(output) = self.region.poll_output() {
            match output {
                Output::Activate { key, epoch } => {
                    let mut ledger = self.ledger.borrow_mut();
                    ledger.activate(self.kind, &key, epoch, &self.life);
                    let actor = Actor {
                        epoch,
                        inbox: VecDeque::new(),
                        is_stopping: false,
                        busy_until: now,
                    };
                    let other = self.actors.insert(key, actor);
                    assert!(other.is_none(), "made twice");
                }
                Output::Deliver { key, item } => {
                    let actor = self.actors.get_mut(&key).expect("made before");
                    if actor.inbox.is_empty() {
                        actor.busy_until = now + WORK;
                    }
                    actor.inbox.push_back(item);
                }
                Output::Stop { key, epoch } => {
                    let actor = self.actors.get_mut(&key).expect("made before");
                    assert_eq!(actor.epoch, epoch);
                    actor.is_stopping = true;
                    actor.busy_until = actor.busy_until.max(now + WORK);
                }
                Output::Kill { key, epoch } => {
                    let actor = self.actors.remove(&key).expect("made before");
                    assert_eq!(actor.epoch, epoch);
                    self.ledger.borrow_mut().end(self.kind, &key, epoch);
                    self.region.handle_ended(&key, epoch, now);
                }
                Output::Forward {
                    to,
                    key,
                    origin,
                    item,
                } => {
                    let Origin::Peer { epoch, hops } = origin else {
                        panic!("forwarded from nowhere");
                    };
                    let ask = item;
                    let item = Between::Item {
                        key,
                        epoch,
                        hops,
                        ask,
                    };
                    self.out.push_back((to, item));
                }
                Output::Refuse { item, .. } => self.ledger.borrow_mut().refuse(&item),
                Output::Send { to, packet } => self.out.push_back((to, Between::Packet(packet))),
                Output::Propose(command) => self.wishes.push(command),
            }
        }
    }

    /// All that was offered is somewhere.
    fn check_books(&self) {
        let counts = self.region.counts();
        let refused: u64 = counts.refused.values().sum();
        assert_eq!(
            counts.offered,
            counts.delivered + counts.forwarded + counts.waiting + refused,
            "{counts:?}"
        );
    }
}

impl Actor {
    fn has_work(&self) -> bool {
        !self.inbox.is_empty() || self.is_stopping
    }
}

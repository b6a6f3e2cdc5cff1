//! What one peer knows of a kind of entity, and does about it: where a message for a key goes, what waits, which
//! actors run here. Pure: messages are values of any type `T`, time is an argument.
//!
//! | in | |
//! |---|---|
//! | [`Region::handle_map`] | what all have agreed on (`consensus::shard_map`) |
//! | [`Region::offer`] | a message, from here or from another peer's region |
//! | [`Region::handle_packet`] | what another region says about a shard that moves |
//! | [`Region::handle_ended`] | an actor of ours has ended |
//! | [`Region::handle_way`] | there is a way to another region, or none any more |
//! | [`Region::handle_gone`] | the others have declared us down |
//! | [`Region::handle_life`] | we go on as another life |
//! | [`Region::handle_closing`], [`Region::handle_end`] | this peer is about to leave; it has |
//! | [`Region::handle_timeout`] | when [`Region::poll_timeout`] says so |
//!
//! What is to be done then comes out of [`Region::poll_output`], **in an order that is to be kept**: a `Stopped`
//! says that the messages before it were the last, so both must go to that peer on one way.
//!
//! **An actor is made only here, and only under two conditions**: the map says that the shard is ours, in an
//! epoch; and of an earlier actor for that key it is known that it has ended. Which epoch is ours no other peer
//! has had or will have (`shard_map`), so there are never two of a key in one epoch.
//!
//! A region may be one of several for a kind, each with a slice of the shards: every one has a mailbox of
//! its own then. All peers cut the same slices.

pub(super) mod messages;
mod owner;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::handoff::{Closing, Packet, Phase};
use super::hash::shard_of;
use super::key::EntityKey;
pub(crate) use super::shard::Origin;
use super::shard::{Said, Shard};
use crate::consensus::shard_map::{Kind, ShardCommand, Slot};
use crate::id::Life;

/// How often a message may be sent on from peer to peer. Each step goes to the owner of a later epoch, so
/// more than two are rare; the bound is for peers that do not keep to that.
pub(crate) const HOPS_MAX: u8 = 4;

/// How a kind of entity is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) shards: u16,
    /// Which slice of the shards is ours: those whose number modulo `slices` is this.
    pub(crate) slice: u16,
    pub(crate) slices: u16,
    /// Whether this peer takes shards; otherwise it only sends.
    pub(crate) hosts: bool,
    /// Whether there is an actor without a message that asks for it: a singleton.
    pub(crate) eager: bool,
    /// Messages of one region that may wait for owners, or behind one actor that is being passivated.
    pub(crate) buffer: usize,
    /// How long one may wait for an owner.
    pub(crate) patience: Duration,
    /// How long an owner waits for those who do not say that they have stopped.
    pub(crate) barrier: Duration,
    /// After which time what has had no effect is said again.
    pub(crate) retry: Duration,
    /// An actor that is given nothing for so long is stopped.
    pub(crate) passivate_after: Option<Duration>,
}

impl Settings {
    /// The defaults.
    pub(crate) const fn new(shards: u16) -> Self {
        Self {
            shards,
            slice: 0,
            slices: 1,
            hosts: true,
            eager: false,
            buffer: 10_000,
            patience: Duration::from_secs(60),
            barrier: Duration::from_secs(5),
            retry: Duration::from_millis(500),
            passivate_after: Some(Duration::from_secs(120)),
        }
    }
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output<T> {
    /// Make the actor for that key. It is told its epoch.
    Activate { key: EntityKey, epoch: u64 },
    /// The actor that was made for that key is to have this.
    Deliver { key: EntityKey, item: T },
    /// Let it finish what it has, and end. `handle_ended` is called then.
    Stop { key: EntityKey, epoch: u64 },
    /// End it at once: another owner has a later epoch.
    Kill { key: EntityKey, epoch: u64 },
    /// The region of that peer is to have this.
    Forward {
        to: Life,
        key: EntityKey,
        origin: Origin,
        item: T,
    },
    /// It goes nowhere.
    Refuse {
        key: EntityKey,
        item: T,
        why: Refusal,
    },
    /// For the region of that peer, behind what was forwarded to it before.
    Send { to: Life, packet: Packet },
    /// All should agree on this.
    Propose(ShardCommand),
}

/// Why a message goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refusal {
    /// As many wait for owners as may.
    Full,
    /// It has waited for an owner as long as it may.
    NoOwner,
    /// It has been sent on as often as it may.
    Hops,
    /// The others have declared this peer down.
    Gone,
    /// The kind has another number of shards in this cluster.
    OtherShards,
}

/// What became of messages. `offered` is the sum of all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) offered: u64,
    pub(crate) delivered: u64,
    pub(crate) forwarded: u64,
    pub(crate) refused: BTreeMap<Refusal, u64>,
    /// Now.
    pub(crate) waiting: u64,
    /// Owners that did not wait until all had stopped.
    pub(crate) barriers_cut_short: u64,
}

pub(crate) struct Region<T> {
    own: Life,
    kind: String,
    settings: Settings,
    /// Of the newest map that was seen.
    version: Option<u64>,
    /// The map has had us as a user. From then on a map without us says that we were declared down.
    is_declared: bool,
    is_gone: bool,
    /// This peer is about to leave: no more actors are made.
    is_closing: bool,
    /// There is no life after this one.
    is_over: bool,
    has_other_shards: bool,
    users: BTreeSet<Life>,
    /// Lives to whom there is a way now. What is for others waits.
    ways: BTreeSet<Life>,
    shards: BTreeMap<u16, Shard<T>>,
    outputs: VecDeque<Output<T>>,
    /// What is said and proposed together at the end of a step.
    stopped: BTreeMap<Life, Vec<(u16, u64)>>,
    released: Vec<(u16, u64)>,
    counts: Counts,
    wake: Option<Instant>,
}

impl<T> Region<T> {
    /// It begins with proposing itself as a user of the kind, again and again until the map has it.
    pub(crate) fn new(own: Life, kind: &str, settings: Settings, now: Instant) -> Self {
        let mut region = Self {
            own,
            kind: kind.to_owned(),
            settings,
            version: None,
            is_declared: false,
            is_gone: false,
            is_closing: false,
            is_over: false,
            has_other_shards: false,
            users: BTreeSet::new(),
            ways: BTreeSet::new(),
            shards: BTreeMap::new(),
            outputs: VecDeque::new(),
            stopped: BTreeMap::new(),
            released: Vec::new(),
            counts: Counts::default(),
            wake: None,
        };
        region.declare(now);
        region
    }

    /// The map as of `version`; `None` if it does not know the kind. An older one than was seen is ignored.
    pub(crate) fn handle_map(&mut self, version: u64, kind: Option<&Kind>, now: Instant) {
        if self.is_gone || self.version.is_some_and(|seen| version < seen) {
            return;
        }
        self.version = Some(version);
        let Some(kind) = kind else { return };
        self.has_other_shards = kind.shards() != self.settings.shards;
        if self.has_other_shards {
            self.refuse_waiting(Refusal::OtherShards);
            return;
        }
        if !kind.is_user(&self.own) {
            if self.is_declared {
                self.handle_gone();
            }
            return;
        }
        self.is_declared = true;
        self.users = kind.users().cloned().collect();
        let slice = usize::from(self.settings.slice);
        let slices = usize::from(self.settings.slices.max(1));
        for (at, slot) in kind.slots().skip(slice).step_by(slices) {
            self.learn(at, slot, now);
        }
        self.finish();
    }

    /// What another region says.
    pub(crate) fn handle_packet(&mut self, from: &Life, packet: Packet, now: Instant) {
        if self.is_gone {
            return;
        }
        match packet {
            Packet::Stopped { shards } => {
                let heard: Vec<_> = shards
                    .into_iter()
                    .take(self.settings.shards.into())
                    .filter(|(at, epoch)| self.has_stopped(from, *at, *epoch, now))
                    .collect();
                if !heard.is_empty() {
                    let packet = Packet::Heard { shards: heard };
                    let to = from.clone();
                    self.outputs.push_back(Output::Send { to, packet });
                }
            }
            Packet::Heard { shards } => {
                for (at, epoch) in shards {
                    if let Some(shard) = self.shards.get_mut(&at)
                        && shard.slot.epoch == epoch
                        && shard.slot.owner.as_ref() == Some(from)
                        && shard.said == Said::Stopped
                    {
                        shard.said = Said::Heard;
                    }
                }
            }
        }
        self.finish();
    }

    /// There is a way to the region of that life; or there is none any more, for good: the life is over, and
    /// what is for it waits until the map says who comes after it.
    pub(crate) fn handle_way(&mut self, life: &Life, is_there: bool, now: Instant) {
        if self.is_gone {
            return;
        }
        if !is_there {
            self.ways.remove(life);
            return;
        }
        if self.ways.insert(life.clone()) {
            let all: Vec<_> = self.shards.keys().copied().collect();
            for at in all {
                self.stop_sending(at, now);
                self.flush(at, now);
            }
            self.finish();
        }
    }

    /// The others have declared us down: every epoch of ours is over. What waits here for owners waits on, for
    /// our next life.
    pub(crate) fn handle_gone(&mut self) {
        self.is_gone = true;
        let all: Vec<_> = self.shards.keys().copied().collect();
        for at in &all {
            self.kill_actors(*at);
        }
        let mut strangers = Vec::new();
        for shard in self.shards.values_mut() {
            strangers.extend(shard.ahead.drain(..));
            let held = std::mem::take(&mut shard.held);
            for held in held {
                match held.origin {
                    Origin::Here => shard.held.push_back(held),
                    Origin::Peer { .. } => strangers.push(held),
                }
            }
        }
        // For their senders this peer is gone.
        for held in strangers {
            self.refuse(held.key, held.item, Refusal::Gone);
        }
    }

    /// We go on as another life, which has no shards and knows nobody. Only when the last actor of the
    /// former one has ended.
    pub(crate) fn handle_life(&mut self, own: Life, now: Instant) {
        debug_assert_eq!(self.actors(), 0, "no actor outlives its life");
        self.own = own;
        self.version = None;
        self.is_declared = false;
        self.is_gone = false;
        self.has_other_shards = false;
        self.users.clear();
        self.ways.clear();
        self.stopped.clear();
        self.released.clear();
        for shard in self.shards.values_mut() {
            let held = std::mem::take(&mut shard.held);
            *shard = Shard {
                held,
                ..Shard::new()
            };
        }
        self.declare(now);
    }

    /// This peer is about to leave, and there may be nobody to take what it still has: its actors finish what
    /// they have, and none is made any more.
    pub(crate) fn handle_closing(&mut self, now: Instant) {
        if self.is_gone || self.is_closing {
            return;
        }
        self.is_closing = true;
        let all: Vec<_> = self.shards.keys().copied().collect();
        for at in all {
            self.stop_actors(at);
            self.flush(at, now);
        }
        self.finish();
    }

    /// This peer takes part no more, and nothing comes after this life.
    pub(crate) fn handle_end(&mut self) {
        self.handle_gone();
        self.is_over = true;
        self.refuse_waiting(Refusal::Gone);
    }

    /// What is to be done next.
    pub(crate) fn poll_output(&mut self) -> Option<Output<T>> {
        self.outputs.pop_front()
    }

    /// When `handle_timeout` is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.wake
    }

    /// Time has passed.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.wake.is_none_or(|wake| now < wake) {
            return;
        }
        self.wake = None;
        let all: Vec<_> = self.shards.keys().copied().collect();
        if self.is_gone {
            for at in all {
                self.give_up_waiting(at, now);
            }
            return;
        }
        if !self.is_declared {
            self.declare(now);
        }
        for at in all {
            self.give_up_waiting(at, now);
            self.say_again(at, now);
            self.advance(at, now);
            self.passivate_idle(at, now);
            self.activate_eager(at, now);
        }
        self.finish();
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Who uses the kind, as far as is known here: to all of them there should be ways.
    pub(crate) fn users(&self) -> impl Iterator<Item = &Life> {
        self.users.iter().filter(|user| **user != self.own)
    }

    /// Shards that are ours now.
    pub(crate) fn owned(&self) -> usize {
        let owned = |shard: &&Shard<T>| shard.is_owner(&self.own);
        self.shards.values().filter(owned).count()
    }

    /// Actors that run here, or are about to end.
    pub(crate) fn actors(&self) -> usize {
        self.shards.values().map(|shard| shard.actors.len()).sum()
    }

    /// Whether the others have declared this peer down.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Whether the cluster has the kind with another number of shards.
    pub(crate) fn has_other_shards(&self) -> bool {
        self.has_other_shards
    }

    /// Whether what is sent to that life has a chance to arrive.
    fn is_there(&self, life: &Life) -> bool {
        self.users.contains(life) && self.ways.contains(life)
    }

    fn shard_of(&self, key: &EntityKey) -> u16 {
        shard_of(key.as_str(), self.settings.shards)
    }

    /// Whose a shard is, as the map says now.
    fn learn(&mut self, at: u16, slot: &Slot, now: Instant) {
        let shard = self.shards.entry(at).or_insert_with(Shard::new);
        if slot.epoch < shard.slot.epoch {
            return;
        }
        if slot.epoch > shard.slot.epoch {
            // None, unless it was taken from us; then all of ours will be.
            self.kill_actors(at);
        }
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        if slot.epoch > shard.slot.epoch {
            shard.phase = Phase::Serving;
            shard.early.clear();
            shard.said = Said::Nothing;
        }
        shard.slot.clone_from(slot);
        if let (Some(owner), Some(_)) = (&slot.owner, &slot.next)
            && *owner == self.own
        {
            match &mut shard.phase {
                Phase::Serving => {
                    let users = self.users.iter();
                    let closing =
                        Closing::new(users, owner, &shard.early, self.settings.barrier, now);
                    wake_by(&mut self.wake, closing.until());
                    shard.phase = Phase::Closing(closing);
                }
                Phase::Closing(closing) => closing.keep(|user| self.users.contains(user)),
                Phase::Draining | Phase::Empty { .. } => {}
            }
        }
        self.stop_sending(at, now);
        self.advance(at, now);
        self.flush(at, now);
        self.activate_eager(at, now);
    }

    /// Somebody has stopped sending to a shard of ours; whether that was heard, or does not matter any more.
    fn has_stopped(&mut self, who: &Life, at: u16, epoch: u64, now: Instant) -> bool {
        let Some(shard) = self.shards.get_mut(&at) else {
            return false;
        };
        if epoch != shard.slot.epoch {
            // What is to come will be said again when we know of it.
            return epoch < shard.slot.epoch;
        }
        if !shard.is_owner(&self.own) {
            return false;
        }
        match &mut shard.phase {
            Phase::Serving => {
                let is_known = self.users.contains(who);
                if is_known {
                    shard.early.insert(who.clone());
                }
                return is_known;
            }
            Phase::Closing(closing) => closing.stopped(who),
            Phase::Draining | Phase::Empty { .. } => return true,
        }
        self.advance(at, now);
        true
    }

    fn declare(&mut self, now: Instant) {
        self.outputs
            .push_back(Output::Propose(ShardCommand::Declare {
                kind: self.kind.clone(),
                shards: self.settings.shards,
                user: self.own.clone(),
                hosts: self.settings.hosts,
            }));
        wake_by(&mut self.wake, now + self.settings.retry);
    }

    /// Tells another owner that is to let go of a shard that nothing more comes from here.
    fn stop_sending(&mut self, at: u16, now: Instant) {
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        if shard.said == Said::Nothing
            && let (Some(owner), Some(_)) = (&shard.slot.owner, &shard.slot.next)
            && *owner != self.own
            && self.users.contains(owner)
            && self.ways.contains(owner)
        {
            shard.said = Said::Stopped;
            let shards = self.stopped.entry(owner.clone()).or_default();
            shards.push((at, shard.slot.epoch));
            wake_by(&mut self.wake, now + self.settings.retry);
        }
    }

    /// What has had no effect is said again.
    fn say_again(&mut self, at: u16, now: Instant) {
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        let retry = self.settings.retry;
        if let (Said::Stopped, Some(owner)) = (shard.said, &shard.slot.owner)
            && self.users.contains(owner)
            && self.ways.contains(owner)
        {
            let shards = self.stopped.entry(owner.clone()).or_default();
            shards.push((at, shard.slot.epoch));
            wake_by(&mut self.wake, now + retry);
        }
        if let Phase::Empty { proposed } = &mut shard.phase {
            if now >= *proposed + retry {
                *proposed = now;
                self.released.push((at, shard.slot.epoch));
            }
            wake_by(&mut self.wake, *proposed + retry);
        }
        if let Phase::Closing(closing) = &shard.phase {
            wake_by(&mut self.wake, closing.until());
        }
    }

    /// The end of a step: what belongs together is said in one.
    fn finish(&mut self) {
        while let Some((to, shards)) = self.stopped.pop_first() {
            let packet = Packet::Stopped { shards };
            self.outputs.push_back(Output::Send { to, packet });
        }
        if !self.released.is_empty() {
            self.outputs
                .push_back(Output::Propose(ShardCommand::Release {
                    kind: self.kind.clone(),
                    owner: self.own.clone(),
                    shards: std::mem::take(&mut self.released),
                }));
        }
    }
}

/// Sooner, if it was later.
fn wake_by(wake: &mut Option<Instant>, at: Instant) {
    *wake = Some(wake.map_or(at, |wake| wake.min(at)));
}

//! Where a message goes, and what waits until that is known.

use std::time::Instant;

use super::{HOPS_MAX, Output, Refusal, Region, wake_by};
use crate::id::Life;
use crate::sharding::handoff::Phase;
use crate::sharding::key::EntityKey;
use crate::sharding::shard::{Activation, Held, Origin, Stage};

/// Where a message goes that need not wait, and for which nothing else is to be done first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Way<'a> {
    /// To the actor for its key, which runs.
    Here,
    There {
        to: &'a Life,
        origin: Origin,
    },
}

enum Verdict {
    Here,
    There(Life),
    /// Until the shard has another owner, or one at all.
    Hold,
    /// Until we know of the epoch that its sender knows.
    Ahead,
    Refuse(Refusal),
}

impl<T> Region<T> {
    /// Where a message goes, if that is settled: it is counted, and the caller takes it there. Otherwise
    /// it is for [`offer`](Self::offer). Both only when all outputs have been taken.
    pub(crate) fn route(
        &mut self,
        key: &EntityKey,
        origin: Origin,
        now: Instant,
    ) -> Option<Way<'_>> {
        let at = self.shard_of(key);
        match self.verdict(at, origin) {
            Verdict::Here => {
                let actor = self.shards.get_mut(&at)?.actors.get_mut(key)?;
                if actor.stage != Stage::Running {
                    return None;
                }
                actor.used = now;
                self.counts.offered += 1;
                self.counts.delivered += 1;
                Some(Way::Here)
            }
            Verdict::There(_) => {
                self.counts.offered += 1;
                self.counts.forwarded += 1;
                let slot = &self.shards.get(&at)?.slot;
                let origin = Origin::Peer {
                    epoch: slot.epoch,
                    hops: origin.hops().saturating_add(1),
                };
                let to = slot.owner.as_ref()?;
                Some(Way::There { to, origin })
            }
            _ => None,
        }
    }

    /// A message for a key.
    pub(crate) fn offer(&mut self, key: EntityKey, item: T, origin: Origin, now: Instant) {
        self.counts.offered += 1;
        let at = self.shard_of(&key);
        self.counts.waiting += 1;
        let is_full = self.counts.waiting > self.settings.buffer as u64;
        let held = Held {
            key,
            item,
            origin,
            since: now,
        };
        self.place(at, held, is_full, now);
    }

    /// Whether another message for that key would be refused now.
    pub(crate) fn is_full(&self) -> bool {
        self.counts.waiting >= self.settings.buffer as u64
    }

    /// Takes up again what waits for a shard.
    pub(super) fn flush(&mut self, at: u16, now: Instant) {
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        let held = std::mem::take(&mut shard.held);
        let ahead = std::mem::take(&mut shard.ahead);
        for held in held.into_iter().chain(ahead) {
            self.place(at, held, false, now);
        }
    }

    /// What has waited too long.
    pub(super) fn give_up_waiting(&mut self, at: u16, now: Instant) {
        let patience = self.settings.patience;
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        let mut late = Vec::new();
        for queue in [&mut shard.held, &mut shard.ahead] {
            // Some were taken up again in another order than they came.
            while let Some(at) = queue.iter().position(|held| now >= held.since + patience) {
                late.extend(queue.remove(at));
            }
            if let Some(oldest) = queue.iter().map(|held| held.since).min() {
                wake_by(&mut self.wake, oldest + patience);
            }
        }
        for held in late {
            self.refuse(held.key, held.item, Refusal::NoOwner);
        }
    }

    pub(super) fn refuse_waiting(&mut self, why: Refusal) {
        let mut all = Vec::new();
        for shard in self.shards.values_mut() {
            all.extend(shard.held.drain(..));
            all.extend(shard.ahead.drain(..));
        }
        for held in all {
            self.refuse(held.key, held.item, why);
        }
    }

    /// Counted among those that wait until here.
    pub(super) fn refuse(&mut self, key: EntityKey, item: T, why: Refusal) {
        self.counts.waiting -= 1;
        *self.counts.refused.entry(why).or_default() += 1;
        self.outputs.push_back(Output::Refuse { key, item, why });
    }

    fn verdict(&self, at: u16, origin: Origin) -> Verdict {
        if self.is_over {
            return Verdict::Refuse(Refusal::Gone);
        }
        if self.is_gone {
            // Our next life takes up what is from here.
            return match origin {
                Origin::Here => Verdict::Hold,
                Origin::Peer { .. } => Verdict::Refuse(Refusal::Gone),
            };
        }
        if self.has_other_shards {
            return Verdict::Refuse(Refusal::OtherShards);
        }
        let Some(shard) = self.shards.get(&at).filter(|_| self.is_declared) else {
            return Verdict::Hold;
        };
        let is_from_here = match origin {
            Origin::Peer { epoch, .. } if epoch > shard.slot.epoch => return Verdict::Ahead,
            Origin::Peer { .. } => false,
            Origin::Here => true,
        };
        let Some(owner) = &shard.slot.owner else {
            return Verdict::Hold;
        };
        let is_ours = *owner == self.own;
        if is_ours && self.is_closing {
            return Verdict::Refuse(Refusal::Gone);
        }
        if is_ours && !is_from_here && matches!(shard.phase, Phase::Closing(_)) {
            // What is under way from those who have not stopped yet. What is held is from here.
            return Verdict::Here;
        }
        // What came before goes first.
        if !shard.held.is_empty() {
            return Verdict::Hold;
        }
        if is_ours {
            return match shard.phase {
                Phase::Serving => Verdict::Here,
                _ => Verdict::Hold,
            };
        }
        if shard.slot.next.is_some() || !self.is_there(owner) {
            return Verdict::Hold;
        }
        if origin.hops() >= HOPS_MAX {
            return Verdict::Refuse(Refusal::Hops);
        }
        Verdict::There(owner.clone())
    }

    /// Takes a message that is counted as waiting where it belongs.
    fn place(&mut self, at: u16, held: Held<T>, is_full: bool, now: Instant) {
        let verdict = match self.verdict(at, held.origin) {
            Verdict::Hold | Verdict::Ahead if is_full => Verdict::Refuse(Refusal::Full),
            verdict => verdict,
        };
        match verdict {
            Verdict::Here => self.deliver(at, held.key, held.item, is_full, now),
            Verdict::There(to) => {
                self.counts.waiting -= 1;
                self.counts.forwarded += 1;
                let epoch = self.shards.get(&at).map_or(0, |shard| shard.slot.epoch);
                let hops = held.origin.hops().saturating_add(1);
                self.outputs.push_back(Output::Forward {
                    to,
                    key: held.key,
                    origin: Origin::Peer { epoch, hops },
                    item: held.item,
                });
            }
            Verdict::Refuse(why) => self.refuse(held.key, held.item, why),
            Verdict::Hold | Verdict::Ahead => {
                wake_by(&mut self.wake, held.since + self.settings.patience);
                let shard = self.shards.entry(at).or_insert_with(super::Shard::new);
                match verdict {
                    Verdict::Ahead => shard.ahead.push_back(held),
                    _ => shard.held.push_back(held),
                }
            }
        }
    }

    /// To the actor for its key, which is made if it is not there.
    fn deliver(&mut self, at: u16, key: EntityKey, item: T, is_full: bool, now: Instant) {
        let Some(shard) = self.shards.get_mut(&at) else {
            return self.refuse(key, item, Refusal::NoOwner);
        };
        let epoch = shard.slot.epoch;
        if let Some(actor) = shard.actors.get_mut(&key) {
            match actor.stage {
                Stage::Running => actor.used = now,
                Stage::Stopping if is_full => return self.refuse(key, item, Refusal::Full),
                Stage::Stopping => return actor.queue.push_back(item),
                Stage::Killed => return self.refuse(key, item, Refusal::Gone),
            }
        } else {
            let actor = Activation::new(epoch, now);
            shard.actors.insert(key.clone(), actor);
            self.activated(key.clone(), epoch, now);
        }
        self.counts.waiting -= 1;
        self.counts.delivered += 1;
        self.outputs.push_back(Output::Deliver { key, item });
    }
}

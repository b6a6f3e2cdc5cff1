//! The actors of shards that are ours: made, passivated, and ended when a shard goes.

use std::time::Instant;

use super::{Output, Refusal, Region, wake_by};
use crate::sharding::handoff::Phase;
use crate::sharding::key::EntityKey;
use crate::sharding::shard::{Activation, Stage};

impl<T> Region<T> {
    /// An actor has ended: because it was stopped, by itself, or because it could not be made.
    pub(crate) fn handle_ended(&mut self, key: &EntityKey, epoch: u64, now: Instant) {
        let at = self.shard_of(key);
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        let is_it = shard.actors.get(key).is_some_and(|it| it.epoch == epoch);
        let Some(ended) = is_it.then(|| shard.actors.remove(key)).flatten() else {
            return;
        };
        if ended.stage == Stage::Stopping && !ended.queue.is_empty() {
            // It was only passivated, and is needed again.
            let mut actor = Activation::new(epoch, now);
            let is_draining = shard.phase == Phase::Draining || self.is_closing;
            if is_draining {
                actor.stage = Stage::Stopping;
            }
            shard.actors.insert(key.clone(), actor);
            self.activated(key.clone(), epoch, now);
            for item in ended.queue {
                self.counts.waiting -= 1;
                self.counts.delivered += 1;
                let key = key.clone();
                self.outputs.push_back(Output::Deliver { key, item });
            }
            if is_draining {
                let key = key.clone();
                self.outputs.push_back(Output::Stop { key, epoch });
            }
        } else if self.settings.eager {
            // Again, but not at once: what ends by itself may do so again.
            wake_by(&mut self.wake, now + self.settings.retry);
        }
        self.advance(at, now);
        self.finish();
    }

    /// An actor of ours did not take what it was given: it is ending by itself. That is not counted as delivered, and
    /// what comes now is for the next one.
    pub(crate) fn handle_ending(&mut self, key: &EntityKey) {
        self.counts.offered -= 1;
        self.counts.delivered -= 1;
        self.passivate(key);
    }

    /// An actor of ours has nothing more to do for now.
    pub(crate) fn passivate(&mut self, key: &EntityKey) {
        let at = self.shard_of(key);
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        if let Some(actor) = shard.actors.get_mut(key)
            && actor.stage == Stage::Running
        {
            actor.stage = Stage::Stopping;
            let (key, epoch) = (key.clone(), actor.epoch);
            self.outputs.push_back(Output::Stop { key, epoch });
        }
    }

    /// The next phases of a shard that goes, as far as nothing is to be waited for.
    pub(super) fn advance(&mut self, at: u16, now: Instant) {
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        if let Phase::Closing(closing) = &shard.phase
            && closing.is_over(now)
        {
            self.counts.barriers_cut_short += u64::from(closing.is_cut_short());
            shard.phase = Phase::Draining;
            self.stop_actors(at);
        }
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        if shard.phase == Phase::Draining && shard.actors.is_empty() && !self.is_gone {
            shard.phase = Phase::Empty { proposed: now };
            self.released.push((at, shard.slot.epoch));
            wake_by(&mut self.wake, now + self.settings.retry);
        }
    }

    /// Each finishes what it has, and ends.
    pub(super) fn stop_actors(&mut self, at: u16) {
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        for (key, actor) in &mut shard.actors {
            if actor.stage == Stage::Running {
                actor.stage = Stage::Stopping;
                self.outputs.push_back(Output::Stop {
                    key: key.clone(),
                    epoch: actor.epoch,
                });
            }
        }
    }

    /// The epoch of these actors is over.
    pub(super) fn kill_actors(&mut self, at: u16) {
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        let mut lost = Vec::new();
        for (key, actor) in &mut shard.actors {
            lost.extend(actor.queue.drain(..).map(|item| (key.clone(), item)));
            if actor.stage != Stage::Killed {
                actor.stage = Stage::Killed;
                self.outputs.push_back(Output::Kill {
                    key: key.clone(),
                    epoch: actor.epoch,
                });
            }
        }
        for (key, item) in lost {
            self.refuse(key, item, Refusal::Gone);
        }
    }

    pub(super) fn passivate_idle(&mut self, at: u16, now: Instant) {
        let Some(after) = self.settings.passivate_after else {
            return;
        };
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        if shard.phase != Phase::Serving || self.settings.eager {
            return;
        }
        for (key, actor) in &mut shard.actors {
            if actor.stage != Stage::Running {
                continue;
            }
            if now >= actor.used + after {
                actor.stage = Stage::Stopping;
                self.outputs.push_back(Output::Stop {
                    key: key.clone(),
                    epoch: actor.epoch,
                });
            } else {
                // Not for each of many at its own time.
                let soonest = now + after / 8;
                wake_by(&mut self.wake, soonest.max(actor.used + after));
            }
        }
    }

    /// A singleton is there whether it is asked for or not.
    pub(super) fn activate_eager(&mut self, at: u16, now: Instant) {
        let Some(shard) = self.shards.get_mut(&at) else {
            return;
        };
        let is_wanted = self.settings.eager
            && !self.is_closing
            && shard.is_owner(&self.own)
            && shard.phase == Phase::Serving
            && shard.actors.is_empty();
        if is_wanted {
            let (key, epoch) = (EntityKey::only(), shard.slot.epoch);
            shard
                .actors
                .insert(key.clone(), Activation::new(epoch, now));
            self.activated(key, epoch, now);
        }
    }

    pub(super) fn activated(&mut self, key: EntityKey, epoch: u64, now: Instant) {
        if let Some(after) = self.settings.passivate_after {
            wake_by(&mut self.wake, now + after);
        }
        self.outputs.push_back(Output::Activate { key, epoch });
    }
}

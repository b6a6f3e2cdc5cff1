//! Who should own which shard: values in, wishes out.
//!
//! Every host may have its share: the shards times its weight, divided by the weights of all, rounded down
//! (its *floor*) or up (its *cap*). Three rules, in this order:
//!
//! 1. A shard that nobody has, or whose owner is gone, goes to the host that attracts it most (rendezvous,
//!    `hash.rs`) of those below their floors, or else below their caps.
//! 2. A shard of a host that is leaving goes likewise.
//! 3. A host above its cap, or a host below its floor: as many shards as bring both within go from those that
//!    have most to those that lack most; of all that could, those that attract each other most.
//!
//! Nothing else moves. A host that comes takes its share from the others and nobody else changes anything; of
//! a host that goes only what it had moves. At most [`Limits::moves`] are under way at a time; those of
//! leaving hosts come first, as somebody waits for them.
//!
//! The plan is not agreed upon, its effect is: each wish names the epoch that it is about
//! (`consensus::shard_map`), so that two peers who plan at once, or one that plans again, do no harm.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::hash::attraction;
use crate::consensus::shard_map::{Kind, ShardCommand};
use crate::id::Life;

/// A peer that takes shards, as membership sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) life: Life,
    /// What it takes in comparison with others: 1 to 1000.
    pub(crate) weight: u32,
    pub(crate) state: HostState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostState {
    /// It may be given shards.
    Up,
    /// It keeps what it has, and is given nothing: it may come back or be declared down.
    Unreachable,
    /// What it has is to go elsewhere.
    Leaving,
}

/// How much may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Shards of one kind under way at a time: 32.
    pub(crate) moves: usize,
    /// Shards in one command: 256, about 20 KiB.
    pub(crate) batch: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            moves: 32,
            batch: 256,
        }
    }
}

/// What should change about a kind. Hosts that are not in `hosts` are gone, or take no shards.
pub(crate) fn plan(name: &str, kind: &Kind, hosts: &[Host], limits: Limits) -> Vec<ShardCommand> {
    let users = kind.hosts();
    let hosts: BTreeMap<&Life, &Host> = hosts
        .iter()
        .filter(|host| users.contains(&host.life))
        .map(|host| (&host.life, host))
        .collect();
    let mut plan = Plan::new(name, kind, &hosts);
    if plan.shares.is_empty() {
        return Vec::new();
    }
    plan.give_free_ones();
    plan.redirect(&hosts);
    plan.empty_leaving_ones(&hosts, limits);
    plan.balance(limits);
    plan.into_commands(limits)
}

/// What a host has, counting what is on its way to it, and what it may have.
struct Share {
    floor: usize,
    cap: usize,
    has: Vec<u16>,
}

struct Plan<'a> {
    name: &'a str,
    kind: &'a Kind,
    /// Of hosts that are up.
    shares: BTreeMap<&'a Life, Share>,
    assign: Vec<(u16, u64, Life)>,
    shift: Vec<(u16, u64, Life)>,
    under_way: usize,
}

impl<'a> Plan<'a> {
    fn new(name: &'a str, kind: &'a Kind, hosts: &BTreeMap<&'a Life, &'a Host>) -> Self {
        let up: Vec<_> = hosts
            .values()
            .filter(|host| host.state == HostState::Up)
            .collect();
        // An unreachable host has not lost its share.
        let weights: usize = hosts
            .values()
            .filter(|host| host.state != HostState::Leaving)
            .map(|host| weight(host))
            .sum();
        let shards = usize::from(kind.shards());
        let mut shares: BTreeMap<&Life, Share> = up
            .iter()
            .map(|host| {
                let part = shards * weight(host);
                let share = Share {
                    floor: part / weights,
                    cap: part.div_ceil(weights),
                    has: Vec::new(),
                };
                (&host.life, share)
            })
            .collect();
        let mut under_way = 0;
        for (shard, slot) in kind.slots() {
            under_way += usize::from(slot.next.is_some());
            let holder = slot.next.as_ref().or(slot.owner.as_ref());
            if let Some(share) = holder.and_then(|holder| shares.get_mut(holder)) {
                share.has.push(shard);
            }
        }
        Self {
            name,
            kind,
            shares,
            assign: Vec::new(),
            shift: Vec::new(),
            under_way,
        }
    }

    /// The host for a shard that must go somewhere: the one it is drawn to most of those below their floors, or
    /// else of those below their caps, or else of all.
    fn host_for(&self, shard: u16) -> Option<&'a Life> {
        self.shares
            .iter()
            .max_by_key(|(life, share)| {
                let pull = attraction(self.name, shard, life.peer.as_str());
                (
                    share.has.len() < share.floor,
                    share.has.len() < share.cap,
                    pull,
                )
            })
            .map(|(life, _)| *life)
    }

    fn take(&mut self, shard: u16, to: &'a Life) {
        if let Some(share) = self.shares.get_mut(to) {
            share.has.push(shard);
        }
    }

    fn give_free_ones(&mut self) {
        let kind = self.kind;
        for (shard, slot) in kind.slots() {
            // Who is gone is no user: the map sees to that.
            let is_owned = slot.owner.as_ref().is_some_and(|owner| kind.is_user(owner));
            if !is_owned && let Some(to) = self.host_for(shard) {
                let waits = slot.next.as_ref() == Some(to);
                self.assign.push((shard, slot.epoch, to.clone()));
                if !waits {
                    self.forget(shard);
                    self.take(shard, to);
                }
            }
        }
    }

    /// Moves to somebody who is gone or leaving himself go to somebody else.
    fn redirect(&mut self, hosts: &BTreeMap<&'a Life, &'a Host>) {
        let kind = self.kind;
        for (shard, slot) in kind.slots() {
            let (Some(owner), Some(next)) = (&slot.owner, &slot.next) else {
                continue;
            };
            let stays = hosts
                .get(next)
                .is_some_and(|host| host.state != HostState::Leaving);
            if !stays
                && kind.is_user(owner)
                && let Some(to) = self.host_for(shard)
            {
                self.shift.push((shard, slot.epoch, to.clone()));
                self.take(shard, to);
            }
        }
    }

    fn empty_leaving_ones(&mut self, hosts: &BTreeMap<&'a Life, &'a Host>, limits: Limits) {
        let kind = self.kind;
        for (shard, slot) in kind.slots() {
            let Some(owner) = slot.owner.as_ref().filter(|_| slot.next.is_none()) else {
                continue;
            };
            // One that uses the kind and takes no shards any more is as one that leaves.
            let is_leaving = match hosts.get(owner) {
                Some(host) => host.state == HostState::Leaving,
                None => kind.is_user(owner) && !kind.hosts().contains(owner),
            };
            if is_leaving
                && self.under_way < limits.moves
                && let Some(to) = self.host_for(shard)
            {
                self.under_way += 1;
                self.shift.push((shard, slot.epoch, to.clone()));
                self.take(shard, to);
            }
        }
    }

    fn balance(&mut self, limits: Limits) {
        while self.under_way < limits.moves {
            let Some((from, to)) = self.worst_pair() else {
                return;
            };
            let settled = self.settled(from);
            let pull = |shard: &u16| {
                let to = attraction(self.name, *shard, to.peer.as_str());
                let from = attraction(self.name, *shard, from.peer.as_str());
                (to > from, to, Reverse(from))
            };
            let Some(shard) = settled.into_iter().max_by_key(pull) else {
                return;
            };
            let epoch = self.kind.slot(shard).map_or(0, |slot| slot.epoch);
            self.under_way += 1;
            self.shift.push((shard, epoch, to.clone()));
            self.forget(shard);
            self.take(shard, to);
        }
    }

    /// Who has too much and who too little, if somebody has.
    fn worst_pair(&self) -> Option<(&'a Life, &'a Life)> {
        let over = |(life, share): (&&'a Life, &Share)| {
            let has = share.has.len();
            (has > share.floor && !self.settled(life).is_empty())
                .then(|| (has > share.cap, has - share.floor, *life))
        };
        let under = |(life, share): (&&'a Life, &Share)| {
            let has = share.has.len();
            (has < share.cap).then(|| (has < share.floor, share.cap - has, *life))
        };
        let (is_over, _, from) = self.shares.iter().filter_map(over).max()?;
        let (is_under, _, to) = self.shares.iter().filter_map(under).max()?;
        (is_over || is_under).then_some((from, to))
    }

    /// What a host has for certain: it owns it, and it is not on its way.
    fn settled(&self, host: &Life) -> Vec<u16> {
        let owned = |shard: &&u16| {
            self.kind
                .slot(**shard)
                .is_some_and(|slot| slot.owner.as_ref() == Some(host) && slot.next.is_none())
        };
        let share = self.shares.get(host);
        let has = share.map_or(&[][..], |share| &share.has);
        has.iter().filter(owned).copied().collect()
    }

    fn forget(&mut self, shard: u16) {
        for share in self.shares.values_mut() {
            share.has.retain(|has| *has != shard);
        }
    }

    fn into_commands(self, limits: Limits) -> Vec<ShardCommand> {
        let kind = self.name;
        let chunks = |shards: Vec<_>, command: fn(String, Vec<_>) -> ShardCommand| {
            let batches: Vec<_> = shards
                .chunks(limits.batch.max(1))
                .map(|batch: &[(u16, u64, Life)]| command(kind.to_owned(), batch.to_vec()))
                .collect();
            batches
        };
        let mut commands = chunks(self.assign, |kind, shards| ShardCommand::Assign {
            kind,
            shards,
        });
        commands.extend(chunks(self.shift, |kind, shards| ShardCommand::Move {
            kind,
            shards,
        }));
        commands
    }
}

fn weight(host: &Host) -> usize {
    host.weight.clamp(1, 1000) as usize
}

#[cfg(test)]
mod tests;

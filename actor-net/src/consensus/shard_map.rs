//! Who owns which shard: the part of the agreed state that `sharding` stands on. Commands in, a new state
//! out; the same on every peer, because all apply the same commands in the same order.
//!
//! ```text
//!             Assign (nobody, or an owner that is gone)            Move(to)
//!   epoch e   ------------------------------------->  epoch e+1  ---------->  epoch e+1, next = to
//!   nobody                                            owner = o               owner = o, until it lets go
//!                                                         ^                          |
//!                                                         |   Release(by o), or      |
//!                                                         +---Assign when o is gone--+
//!                                                              epoch e+2, owner = to
//! ```
//!
//! **Two owners never have one epoch**: an epoch is made here only, one above the last, and belongs to the
//! owner it is made with. **And a new one is made only when the old owner has let go** (`Release`, which it
//! proposes after the last of its actors has ended) **or is gone**: declared down or left by the same log.
//! An owner that is cut off does not know that it was declared down; its epoch is then the older one, by
//! which whoever it writes to can tell.
//!
//! Each command names the epoch it is about. One that comes late, or twice, is about an epoch that is over and
//! changes nothing; so whoever proposes may propose again, and two who propose the same agree.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::Life;

/// Shards of a kind of entity: 1 (a singleton) to 1024.
pub(crate) const SHARDS_MAX: u16 = 1024;

/// Kinds of entities and singletons of a cluster.
pub(crate) const KINDS_MAX: usize = 4096;

/// Bytes of the name of a kind.
pub(crate) const KIND_NAME_MAX: usize = 64;

/// All kinds of entities, by name. A singleton is a kind with one shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShardMap {
    kinds: BTreeMap<String, Kind>,
}

/// One kind of entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kind {
    /// Who uses it; `true` if it takes shards, too. Who is gone is not among them.
    users: BTreeMap<Life, bool>,
    slots: Vec<Slot>,
}

/// One shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// Which owner, counted over all that there were; 0 before the first.
    pub(crate) epoch: u64,
    pub(crate) owner: Option<Life>,
    /// Who is to have it when the owner has let go.
    pub(crate) next: Option<Life>,
}

/// A wish about the map. What it says about epochs is compared with what is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum ShardCommand {
    /// This life uses the kind, and takes shards of it if `hosts`. Makes the kind if it is not there.
    Declare {
        kind: String,
        shards: u16,
        user: Life,
        hosts: bool,
    },
    /// Shards that nobody has, or whose owner is gone, get owners.
    Assign {
        kind: String,
        shards: Vec<(u16, u64, Life)>,
    },
    /// Shards are to go from their owners, who live, to others.
    Move {
        kind: String,
        shards: Vec<(u16, u64, Life)>,
    },
    /// An owner has let go of shards that were to go to others.
    Release {
        kind: String,
        owner: Life,
        shards: Vec<(u16, u64)>,
    },
}

/// What a command did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It changed so many shards, or users.
    Changed(usize),
    /// It was about an epoch that is over, or said again.
    Nothing,
    /// The kind is there with so many shards; all must say the same.
    OtherShards(u16),
    /// A name, a number or a kind that cannot be.
    Invalid,
}

impl ShardMap {
    pub(crate) fn kind(&self, name: &str) -> Option<&Kind> {
        self.kinds.get(name)
    }

    pub(crate) fn kinds(&self) -> impl Iterator<Item = (&str, &Kind)> {
        self.kinds.iter().map(|(name, kind)| (name.as_str(), kind))
    }

    /// Applies a command; `is_gone` says which lives this log has declared down or seen leave.
    pub(crate) fn apply(
        &mut self,
        command: &ShardCommand,
        is_gone: &dyn Fn(&Life) -> bool,
    ) -> Applied {
        match command {
            ShardCommand::Declare {
                kind,
                shards,
                user,
                hosts,
            } => self.declare(kind, *shards, user, *hosts, is_gone),
            ShardCommand::Assign { kind, shards } => self.each(kind, shards, |slot, epoch, to| {
                let is_free = slot.owner.as_ref().is_none_or(is_gone);
                let fits = slot.epoch == *epoch && is_free && !is_gone(to);
                if fits {
                    slot.give(Some(to.clone()));
                }
                fits
            }),
            ShardCommand::Move { kind, shards } => self.each(kind, shards, |slot, epoch, to| {
                let lives = slot.owner.as_ref().is_some_and(|owner| !is_gone(owner));
                // To its own owner: a move that is called off, once the owner has closed it.
                let is_news = slot.next.as_ref() != Some(to)
                    && (slot.next.is_some() || slot.owner.as_ref() != Some(to));
                let fits = slot.epoch == *epoch && lives && is_news && !is_gone(to);
                if fits {
                    slot.next = Some(to.clone());
                }
                fits
            }),
            ShardCommand::Release {
                kind,
                owner,
                shards,
            } => {
                let shards: Vec<_> = shards.iter().map(|(at, epoch)| (*at, *epoch, ())).collect();
                self.each(kind, &shards, |slot, epoch, ()| {
                    let fits = slot.epoch == *epoch
                        && slot.owner.as_ref() == Some(owner)
                        && slot.next.is_some();
                    if fits {
                        let next = slot.next.take().filter(|next| !is_gone(next));
                        slot.give(next);
                    }
                    fits
                })
            }
        }
    }

    /// A life is gone: it uses nothing any more. What it owned waits for `Assign`.
    pub(crate) fn remove(&mut self, gone: &Life) {
        for kind in self.kinds.values_mut() {
            kind.users.remove(gone);
        }
    }

    fn declare(
        &mut self,
        name: &str,
        shards: u16,
        user: &Life,
        hosts: bool,
        is_gone: &dyn Fn(&Life) -> bool,
    ) -> Applied {
        let is_name = (1..=KIND_NAME_MAX).contains(&name.len());
        let is_known = self.kinds.contains_key(name);
        if !is_name
            || !(1..=SHARDS_MAX).contains(&shards)
            || !is_known && self.kinds.len() >= KINDS_MAX
        {
            return Applied::Invalid;
        }
        if is_gone(user) {
            return Applied::Nothing;
        }
        let kind = self.kinds.entry(name.to_owned()).or_insert_with(|| Kind {
            users: BTreeMap::new(),
            slots: vec![Slot::default(); shards.into()],
        });
        if kind.slots.len() != usize::from(shards) {
            return Applied::OtherShards(kind.shards());
        }
        match kind.users.insert(user.clone(), hosts) {
            Some(before) if before == hosts => Applied::Nothing,
            _ => Applied::Changed(1),
        }
    }

    fn each<T>(
        &mut self,
        kind: &str,
        shards: &[(u16, u64, T)],
        mut change: impl FnMut(&mut Slot, &u64, &T) -> bool,
    ) -> Applied {
        let Some(kind) = self.kinds.get_mut(kind) else {
            return Applied::Invalid;
        };
        let mut changed = 0;
        for (at, epoch, what) in shards {
            if let Some(slot) = kind.slots.get_mut(usize::from(*at)) {
                changed += usize::from(change(slot, epoch, what));
            }
        }
        match changed {
            0 => Applied::Nothing,
            some => Applied::Changed(some),
        }
    }
}

impl Kind {
    pub(crate) fn shards(&self) -> u16 {
        // `declare` lets no more in.
        self.slots.len().try_into().unwrap_or(SHARDS_MAX)
    }

    pub(crate) fn slot(&self, shard: u16) -> Option<&Slot> {
        self.slots.get(usize::from(shard))
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = (u16, &Slot)> {
        (0..).zip(&self.slots)
    }

    /// Who uses it, owners or not.
    pub(crate) fn users(&self) -> impl Iterator<Item = &Life> {
        self.users.keys()
    }

    pub(crate) fn is_user(&self, life: &Life) -> bool {
        self.users.contains_key(life)
    }

    /// Who takes shards.
    pub(crate) fn hosts(&self) -> BTreeSet<&Life> {
        let hosts = self.users.iter().filter(|(_, hosts)| **hosts);
        hosts.map(|(life, _)| life).collect()
    }
}

impl Slot {
    fn give(&mut self, owner: Option<Life>) {
        // 2^64 moves are not made.
        self.epoch = self.epoch.saturating_add(1);
        self.owner = owner;
        self.next = None;
    }
}

#[cfg(test)]
mod tests;

//! One shard as a region knows it: whose it is, what waits for it, and the actors in it, if it is ours.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::handoff::Phase;
use super::key::EntityKey;
use crate::consensus::shard_map::Slot;
use crate::id::Life;

pub(super) struct Shard<T> {
    pub(super) slot: Slot,
    /// As its owner.
    pub(super) phase: Phase,
    /// As its owner: who has stopped for this epoch before we knew that it is to go.
    pub(super) early: BTreeSet<Life>,
    /// As another: what we have said to its owner.
    pub(super) said: Said,
    pub(super) actors: BTreeMap<EntityKey, Activation<T>>,
    /// What waits until the shard has an owner that takes it.
    pub(super) held: VecDeque<Held<T>>,
    /// From peers that know of a later epoch than we do. Apart from the others, so that a number that will
    /// never come holds up nobody else.
    pub(super) ahead: VecDeque<Held<T>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    /// That we have stopped; not known to be heard.
    Stopped,
    Heard,
}

pub(super) struct Held<T> {
    pub(super) key: EntityKey,
    pub(super) item: T,
    pub(super) origin: Origin,
    pub(super) since: Instant,
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Here,
    /// From the region of another peer, which took us for the owner in that epoch.
    Peer {
        epoch: u64,
        /// How often it has been sent on: 1 from the first region to the next.
        hops: u8,
    },
}

impl Origin {
    pub(super) fn hops(self) -> u8 {
        match self {
            Self::Here => 0,
            Self::Peer { hops, .. } => hops,
        }
    }
}

/// An actor of ours.
pub(super) struct Activation<T> {
    pub(super) epoch: u64,
    pub(super) stage: Stage,
    /// When it was last given something.
    pub(super) used: Instant,
    /// What came while it is being passivated; it will be made again.
    pub(super) queue: VecDeque<T>,
}

impl<T> Activation<T> {
    pub(super) fn new(epoch: u64, now: Instant) -> Self {
        Self {
            epoch,
            stage: Stage::Running,
            used: now,
            queue: VecDeque::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Running,
    /// It finishes what it has, then ends.
    Stopping,
    /// Its epoch is over.
    Killed,
}

impl<T> Shard<T> {
    pub(super) fn new() -> Self {
        Self {
            slot: Slot::default(),
            phase: Phase::Serving,
            early: BTreeSet::new(),
            said: Said::Nothing,
            actors: BTreeMap::new(),
            held: VecDeque::new(),
            ahead: VecDeque::new(),
        }
    }

    pub(super) fn is_owner(&self, own: &Life) -> bool {
        self.slot.owner.as_ref() == Some(own)
    }
}

//! What this peer has put into groups, for others to be told.
//!
//! Every join and every departure gets the next *version*. A join lies under its version until the actor leaves;
//! a departure is remembered for a while. Who knows everything up to version `v` is told, in the order of
//! versions, what joined after `v` and is still there, and which of what it may know has left. A *chunk* of that
//! says of a range of versions `from..=to` that these are all the members there are within it, so applying one
//! twice, or one that begins before what is known, does no harm (`copy.rs` has the other side).
//!
//! Departures are forgotten from the oldest on when there are too many. Who knows less than the last one forgotten
//! (`floor`) cannot be told what left, so it is told all there is from the beginning (a *sweep*), and drops what was
//! not said.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::entry::{Entry, GroupLimits, JoinError};
use super::frames::{Change, Delta, Position};

/// A group's name and an actor's number.
pub(super) type Key = (Arc<str>, u64);

/// Our own memberships, by version.
#[derive(Debug)]
pub(super) struct Log {
    version: u64,
    joined: BTreeMap<u64, (Arc<str>, Entry)>,
    by_key: BTreeMap<Key, u64>,
    groups: BTreeMap<Arc<str>, usize>,
    left: VecDeque<Departure>,
    /// The version of the last departure that was forgotten.
    floor: u64,
    limits: GroupLimits,
}

#[derive(Debug)]
struct Departure {
    version: u64,
    /// Under which version it was in: who knows less never heard of it.
    joined: u64,
    key: Key,
}

/// What a join did.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    New,
    /// It was in the group, and something about it has changed.
    Changed,
    /// It was in the group as it is.
    Same,
}

impl Log {
    pub(super) fn new(limits: GroupLimits) -> Self {
        Self {
            version: 0,
            joined: BTreeMap::new(),
            by_key: BTreeMap::new(),
            groups: BTreeMap::new(),
            left: VecDeque::new(),
            floor: 0,
            limits,
        }
    }

    #[cfg(test)]
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn join(&mut self, group: &Arc<str>, entry: Entry) -> Result<Joined, JoinError> {
        let key = (Arc::clone(group), entry.number);
        let mut what = Joined::New;
        if let Some(version) = self.by_key.get(&key) {
            if self
                .joined
                .get(version)
                .is_some_and(|(_, old)| *old == entry)
            {
                return Ok(Joined::Same);
            }
            self.joined.remove(version);
            what = Joined::Changed;
        } else {
            if self.by_key.len() >= self.limits.entries {
                let max = self.limits.entries;
                return Err(JoinError::TooManyEntries { max });
            }
            if !self.groups.contains_key(group) && self.groups.len() >= self.limits.groups {
                let max = self.limits.groups;
                return Err(JoinError::TooManyGroups { max });
            }
            *self.groups.entry(Arc::clone(group)).or_default() += 1;
        }
        self.version += 1;
        self.by_key.insert(key, self.version);
        self.joined.insert(self.version, (Arc::clone(group), entry));
        Ok(what)
    }

    /// Whether it was there.
    pub(super) fn leave(&mut self, group: &Arc<str>, number: u64) -> bool {
        let key = (Arc::clone(group), number);
        let Some(joined) = self.by_key.remove(&key) else {
            return false;
        };
        self.joined.remove(&joined);
        if let Some(members) = self.groups.get_mut(group) {
            *members -= 1;
            if *members == 0 {
                self.groups.remove(group);
            }
        }
        self.version += 1;
        let version = self.version;
        self.left.push_back(Departure {
            version,
            joined,
            key,
        });
        while self.left.len() > self.limits.departures {
            if let Some(forgotten) = self.left.pop_front() {
                self.floor = forgotten.version;
            }
        }
        true
    }

    /// Whether there is something that one at `position` was not told.
    pub(super) fn has_news_for(&self, position: Position) -> bool {
        position.known < self.version || position.swept.is_some()
    }

    /// The next that one at `position` is told: at most about `bytes` written down, and at least one change if
    /// there is any.
    pub(super) fn chunk(&self, position: Position, bytes: usize) -> Delta {
        let sweep = position.known > 0 && position.known < self.floor;
        let from = match (sweep, position.swept) {
            (true, Some(through)) if through <= self.version => through,
            (true, _) => 0,
            (false, _) => position.known.min(self.version),
        };
        let mut changes = Vec::new();
        let mut room = bytes;
        let mut to = self.version;
        let joins = self.joined.range(from.saturating_add(1)..);
        let joins = joins.map(|(version, (group, entry))| {
            let group = Arc::clone(group);
            let entry = entry.clone();
            (*version, Change::Join { group, entry })
        });
        let first = self
            .left
            .partition_point(|departure| departure.version <= from);
        let departures = self.left.range(first..);
        let departures = departures.filter(|departure| !sweep && departure.joined <= from);
        let departures = departures.map(|departure| {
            let (group, number) = departure.key.clone();
            (departure.version, Change::Leave { group, number })
        });
        for (version, change) in merge(joins, departures) {
            let size = change.size_bound();
            if size > room && !changes.is_empty() {
                // All before this one.
                to = version - 1;
                break;
            }
            room = room.saturating_sub(size);
            changes.push((version, change));
        }
        Delta {
            sweep,
            at: self.version,
            from,
            to,
            changes,
        }
    }

    /// The groups that an actor is in.
    pub(super) fn groups_of(&self, number: u64) -> Vec<Arc<str>> {
        let of = self.by_key.keys().filter(|(_, other)| *other == number);
        of.map(|(group, _)| Arc::clone(group)).collect()
    }

    /// All that is in groups now.
    pub(super) fn all(&self) -> impl Iterator<Item = &(Arc<str>, Entry)> {
        self.joined.values()
    }
}

/// Two sequences that ascend, as one.
fn merge(
    left: impl Iterator<Item = (u64, Change)>,
    right: impl Iterator<Item = (u64, Change)>,
) -> impl Iterator<Item = (u64, Change)> {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || match (left.peek(), right.peek()) {
        (Some((a, _)), Some((b, _))) if b < a => right.next(),
        (None, _) => right.next(),
        _ => left.next(),
    })
}

//! What is known here of another peer's log (`log.rs`), for one life of that peer.
//!
//! `known` is the version up to which everything was applied. A chunk is a statement about a range of versions,
//! made when the log was at version `at`: its joins are all the members within the range. It is applied if it
//! goes on where we are, or began before: what we have within the range and was not said is gone.
//!
//! During a sweep the chunks go from the beginning, each where the one before ended, each made no earlier than that.
//! The log may change in between, so at the end everything is known as of the version of the *first* chunk; later
//! departures come by themselves.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::entry::{Entry, GroupLimits};
use super::frames::{Change, Delta, Position};
use super::log::Key;

#[derive(Debug, Default)]
pub(super) struct Copy {
    known: u64,
    sweep: Option<Sweep>,
    by_key: BTreeMap<Key, u64>,
    by_version: BTreeMap<u64, Key>,
    groups: BTreeMap<Arc<str>, usize>,
}

#[derive(Clone, Copy, Debug)]
struct Sweep {
    as_of: u64,
    at: u64,
    through: u64,
}

/// What a chunk changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    Joined(Arc<str>, Entry),
    Changed(Arc<str>, Entry),
    Left(Arc<str>, u64),
}

/// The peer has more in groups than is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooMuch {
    /// Memberships, and the limit.
    Entries(usize),
    /// Groups, and the limit.
    Groups(usize),
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries(max) => write!(
                f,
                "more than twice the {max} memberships allowed; raise GroupLimits::entries on all peers"
            ),
            Self::Groups(max) => write!(
                f,
                "members in more than twice the {max} groups allowed; raise GroupLimits::groups on all peers"
            ),
        }
    }
}

impl Copy {
    pub(super) fn position(&self) -> Position {
        Position {
            known: self.known,
            swept: self.sweep.map(|sweep| sweep.through),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// All that is in it, group and number.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.by_key.keys()
    }

    /// Takes a chunk; `news` gets what changed. A chunk that does not fit where we are changes nothing.
    pub(super) fn apply(
        &mut self,
        delta: Delta,
        limits: &GroupLimits,
        news: &mut Vec<News>,
    ) -> Result<(), TooMuch> {
        if delta.sweep {
            let in_turn = match self.sweep {
                Some(sweep) => delta.at >= sweep.at && [0, sweep.through].contains(&delta.from),
                None => delta.from == 0,
            };
            if !in_turn || delta.at < self.known {
                return Ok(());
            }
            let as_of = match self.sweep {
                Some(sweep) if delta.from > 0 => sweep.as_of,
                _ => delta.at,
            };
            let (at, through) = (delta.at, delta.to);
            self.state(delta, limits, news)?;
            self.sweep = Some(Sweep { as_of, at, through });
            if through >= as_of {
                self.known = as_of;
                self.sweep = None;
            }
        } else {
            if delta.from > self.known || delta.to <= self.known {
                return Ok(());
            }
            let to = delta.to;
            self.state(delta, limits, news)?;
            self.known = to;
            self.sweep = None;
        }
        Ok(())
    }

    /// Makes the range what the chunk says it is.
    fn state(
        &mut self,
        delta: Delta,
        limits: &GroupLimits,
        news: &mut Vec<News>,
    ) -> Result<(), TooMuch> {
        let within = delta.from.saturating_add(1)..=delta.to;
        let mut unsaid: BTreeMap<u64, ()> = match within.is_empty() {
            true => BTreeMap::new(),
            false => self
                .by_version
                .range(within)
                .map(|(v, _)| (*v, ()))
                .collect(),
        };
        for (version, change) in delta.changes {
            match change {
                Change::Join { group, entry } => {
                    unsaid.remove(&version);
                    self.join(version, group, entry, limits, news)?;
                }
                Change::Leave { group, number } => {
                    let key = (group, number);
                    // One that joined again later has not left.
                    if let Some(joined) = self.by_key.get(&key).filter(|joined| **joined < version)
                    {
                        let joined = *joined;
                        self.remove(joined, news);
                    }
                }
            }
        }
        for (version, ()) in unsaid {
            self.remove(version, news);
        }
        Ok(())
    }

    fn join(
        &mut self,
        version: u64,
        group: Arc<str>,
        entry: Entry,
        limits: &GroupLimits,
        news: &mut Vec<News>,
    ) -> Result<(), TooMuch> {
        let key = (Arc::clone(&group), entry.number);
        match self.by_key.get(&key) {
            // Known, or known better.
            Some(known) if *known >= version => return Ok(()),
            Some(former) => {
                self.by_version.remove(former);
                news.push(News::Changed(group, entry));
            }
            None => {
                // Twice: in a sweep what is there now comes before what is gone has gone.
                if self.by_key.len() >= limits.entries.saturating_mul(2) {
                    return Err(TooMuch::Entries(limits.entries));
                }
                let groups_max = limits.groups.saturating_mul(2);
                if !self.groups.contains_key(&group) && self.groups.len() >= groups_max {
                    return Err(TooMuch::Groups(limits.groups));
                }
                *self.groups.entry(Arc::clone(&group)).or_default() += 1;
                news.push(News::Joined(group, entry));
            }
        }
        // A version names one join; a peer that gives it to two has the first taken back.
        if let Some(other) = self.by_version.insert(version, key.clone())
            && other != key
        {
            self.forget(&other, news);
        }
        self.by_key.insert(key, version);
        Ok(())
    }

    fn remove(&mut self, version: u64, news: &mut Vec<News>) {
        if let Some(key) = self.by_version.remove(&version) {
            self.forget(&key, news);
        }
    }

    fn forget(&mut self, key: &Key, news: &mut Vec<News>) {
        if self.by_key.remove(key).is_none() {
            return;
        }
        let (group, number) = key;
        if let Some(members) = self.groups.get_mut(group) {
            *members = members.saturating_sub(1);
            if *members == 0 {
                self.groups.remove(group);
            }
        }
        news.push(News::Left(Arc::clone(group), *number));
    }
}

//! How a first cluster is founded exactly once: pure.
//!
//! Peers that have no cluster say so to each other. When one sees as many of them as are expected (itself among
//! them) and is the first of them by name, it asks each for a promise: to hold to its founding. With *all*
//! promises it founds the cluster with those peers. A peer promises once: whoever asks later hears to whom, and gives
//! up its own attempt, releasing those who promised, if that is a peer before it by name. So of several that
//! ask at once the first by name gets all promises in the end.
//!
//! A promise is kept on disk where there is one. It ends when it is released, or when the life of the peer it
//! was given to is over while nothing has been decided yet.
//!
//! Two groups found two clusters only if each has as many peers as expected and none is in both: so the number
//! expected is more than half of those that are started first. Two clusters never mix: every message between
//! peers names the founding it holds to.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::PeerId;

use super::engine::RaftId;
use super::message::{Found, Hello};

/// Where this peer is with founding.
#[derive(Debug)]
pub(crate) struct Founding {
    own: RaftId,
    peer: PeerId,
    /// 0: it never founds.
    expected: u16,
    /// Peers without a cluster, as they said last.
    fresh: BTreeMap<PeerId, Hello>,
    attempt: u64,
    /// Whom it asks, and who promised.
    asked: BTreeMap<PeerId, RaftId>,
    granted: BTreeSet<PeerId>,
}

/// What is to be done next.
#[derive(Debug, PartialEq)]
pub(crate) enum Do {
    /// Hold to this founding; kept before anything else is done.
    Pin(Option<RaftId>),
    /// Say this to a peer.
    Say(PeerId, Found),
    /// Found the cluster, with these.
    Found(BTreeSet<RaftId>),
}

impl Founding {
    pub(crate) fn new(own: RaftId, peer: PeerId, expected: u16) -> Self {
        Self {
            own,
            peer,
            expected,
            fresh: BTreeMap::new(),
            attempt: 0,
            asked: BTreeMap::new(),
            granted: BTreeSet::new(),
        }
    }

    /// How many without a cluster it sees, itself among them.
    pub(crate) fn seen(&self) -> usize {
        self.fresh.len() + 1
    }

    /// Where a peer without a cluster says it runs.
    pub(crate) fn zone(&self, peer: &PeerId) -> String {
        let hello = self.fresh.get(peer);
        hello.map(|hello| hello.zone.clone()).unwrap_or_default()
    }

    /// A peer said hello.
    pub(crate) fn hello(&mut self, from: &PeerId, hello: &Hello) {
        if hello.fresh && hello.id.is_of(from) {
            self.fresh.insert(from.clone(), hello.clone());
        } else {
            self.fresh.remove(from);
        }
    }

    /// Who is up, by what this peer sees: others no longer count.
    pub(crate) fn retain(&mut self, is_up: impl Fn(&PeerId, &Hello) -> bool) {
        self.fresh.retain(|peer, hello| is_up(peer, hello));
    }

    /// Looks at what it knows, and asks or founds if it is time. `pin` is the founding that it holds to.
    pub(crate) fn poll(&mut self, pin: Option<&RaftId>) -> Vec<Do> {
        let said = self.fresh.values().map(|hello| hello.expected);
        let expected = said.fold(self.expected, u16::max);
        let before_it = self.fresh.first_key_value().map(|(peer, _)| peer);
        let is_first = before_it.is_none_or(|peer| self.peer < *peer);
        if let Some(pin) = pin.filter(|pin| **pin != self.own) {
            // Its release may have been lost: it is asked whether it still wants the promise.
            let founder = pin
                .peer()
                .filter(|founder| self.fresh.contains_key(founder));
            let holding = Found::Holding { founder: *pin };
            return founder
                .map(|founder| Do::Say(founder, holding))
                .into_iter()
                .collect();
        }
        if self.expected == 0 || self.seen() < usize::from(expected) || !is_first {
            return match pin {
                Some(_) => self.give_up(),
                None => Vec::new(),
            };
        }
        let mut todo = Vec::new();
        if pin.is_none() {
            self.attempt += 1;
            self.granted.clear();
            let fresh = self.fresh.iter();
            self.asked = fresh
                .map(|(peer, hello)| (peer.clone(), hello.id))
                .collect();
            todo.push(Do::Pin(Some(self.own)));
        }
        // Somebody that was asked has another life now, or is gone: its promise is worth nothing.
        let changed = self
            .asked
            .iter()
            .any(|(peer, id)| self.fresh.get(peer).is_none_or(|hello| hello.id != *id));
        if changed || self.asked.len() + 1 < usize::from(expected) {
            todo.extend(self.give_up());
            return todo;
        }
        todo.extend(self.go_on());
        todo
    }

    fn go_on(&self) -> Vec<Do> {
        if self.granted.len() == self.asked.len() {
            let mut with: BTreeSet<_> = self.asked.values().cloned().collect();
            with.insert(self.own);
            return vec![Do::Found(with)];
        }
        let silent = self
            .asked
            .keys()
            .filter(|peer| !self.granted.contains(*peer));
        let ask = |peer: &PeerId| {
            let founder = self.own;
            let attempt = self.attempt;
            Do::Say(peer.clone(), Found::Ask { founder, attempt })
        };
        silent.map(ask).collect()
    }

    fn give_up(&mut self) -> Vec<Do> {
        let asked = std::mem::take(&mut self.asked);
        self.granted.clear();
        let release = |peer| {
            let founder = self.own;
            Do::Say(peer, Found::Release { founder })
        };
        let mut todo = vec![Do::Pin(None)];
        todo.extend(asked.into_keys().map(release));
        todo
    }

    /// A peer speaks of founding. `pin` is the founding this one holds to, `fresh`: nothing has been decided here.
    pub(crate) fn hear(
        &mut self,
        from: &PeerId,
        found: &Found,
        pin: Option<&RaftId>,
        fresh: bool,
    ) -> Vec<Do> {
        match found {
            Found::Ask { founder, attempt } if founder.is_of(from) => {
                let attempt = *attempt;
                match pin {
                    None if fresh => vec![
                        Do::Pin(Some(*founder)),
                        Do::Say(from.clone(), Found::Granted { attempt }),
                    ],
                    Some(pin) if pin == founder => {
                        vec![Do::Say(from.clone(), Found::Granted { attempt })]
                    }
                    _ => {
                        let by = pin.cloned().unwrap_or_default();
                        vec![Do::Say(from.clone(), Found::Held { attempt, by })]
                    }
                }
            }
            Found::Granted { attempt } if *attempt == self.attempt => {
                if self.asked.contains_key(from) {
                    self.granted.insert(from.clone());
                }
                let is_asking = fresh && pin == Some(&self.own) && !self.asked.is_empty();
                if is_asking && self.granted.len() == self.asked.len() {
                    self.go_on()
                } else {
                    Vec::new()
                }
            }
            Found::Held { attempt, by } if *attempt == self.attempt => {
                let is_asking = fresh && pin == Some(&self.own) && self.asked.contains_key(from);
                if is_asking && *by < self.own {
                    self.give_up()
                } else {
                    Vec::new()
                }
            }
            Found::Holding { founder } if *founder == self.own => {
                let is_wanted = pin == Some(&self.own) && self.asked.contains_key(from);
                if fresh && !is_wanted {
                    vec![Do::Say(from.clone(), Found::Release { founder: self.own })]
                } else {
                    Vec::new()
                }
            }
            Found::Release { founder } if founder.is_of(from) => {
                if fresh && pin == Some(founder) {
                    vec![Do::Pin(None)]
                } else {
                    Vec::new()
                }
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;

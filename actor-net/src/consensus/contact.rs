//! Whether anybody leads now.
//!
//! The engine names the leader that it followed last, however long ago that was. Here is noted when that one was last heard
//! of: by those who follow with each of its entries and heartbeats, by itself with each answer of a majority.
//!
//! A cluster that has lost most of its voters looks well from every other side: its members are up, its messages arrive.
//! Only what all must agree on waits, and whoever waits for it does not know why. So it is said aloud.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::id::PeerId;

use super::front::{Shared, Sight};

/// In longest elections: so long nobody leads before it is said.
const SAID_AFTER: u32 = 10;

/// When a leader was last heard of.
#[derive(Debug)]
pub(super) struct Contact {
    /// The longest time that voters wait before they elect another.
    election: Duration,
    /// At the beginning: now.
    heard: Instant,
    /// It was said that nobody leads: since when that is so.
    silent_since: Option<Instant>,
    has_heard: bool,
}

/// What is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Nobody has led for so long.
    Lost(Duration),
    /// Somebody leads, after nobody had for so long.
    Back(Duration),
}

impl Contact {
    pub(super) fn new(election: Duration, now: Instant) -> Self {
        Self {
            election: election * 2,
            heard: now,
            silent_since: None,
            has_heard: false,
        }
    }

    /// Somebody leads.
    pub(super) fn handle_leader(&mut self, now: Instant) {
        self.heard = now;
        self.has_heard = true;
    }

    /// There is no cluster yet that somebody could lead.
    pub(super) fn handle_no_cluster(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Whether somebody leads: heard of twice within the time after which voters elect another.
    pub(super) fn is_led(&self, now: Instant) -> bool {
        self.has_heard && now.saturating_duration_since(self.heard) <= self.election * 2
    }

    pub(super) fn poll_word(&mut self, now: Instant) -> Option<Word> {
        if self.is_led(now) {
            let since = self.silent_since.take()?;
            return Some(Word::Back(now.saturating_duration_since(since)));
        }
        let silent = now.saturating_duration_since(self.heard);
        if self.silent_since.is_some() || silent < self.election * SAID_AFTER {
            return None;
        }
        self.silent_since = Some(self.heard);
        Some(Word::Lost(silent))
    }
}

impl Shared {
    /// Looks whether somebody leads, and says so when that has changed for long.
    pub(super) fn look_for_leader(&self) {
        let now = Instant::now();
        let metrics = self.metrics();
        let acknowledged = metrics.millis_since_quorum_ack.map(Duration::from_millis);
        let has_cluster = self.log.founding().is_some();
        let word = {
            let mut contact = self.contact();
            if acknowledged.is_some_and(|ago| ago <= self.settings.election) {
                contact.handle_leader(now);
            } else if !has_cluster {
                contact.handle_no_cluster(now);
            }
            contact.poll_word(now)
        };
        match word {
            Some(Word::Lost(silent)) => {
                let voters = metrics.membership_config.membership().voter_ids();
                let voters: BTreeSet<_> = voters.filter_map(|id| id.peer()).collect();
                let gone = self.gone_of(&voters);
                tracing::error!(
                    peer = %self.own.peer,
                    ?silent,
                    voters = names(&voters, "not known here"),
                    gone = names(&gone, "none"),
                    "nobody leads the cluster: who is a member and who has which shard or unique name is not decided until \
                     somebody does; if most of the voters are gone for good, start all peers anew"
                );
            }
            Some(Word::Back(silent)) => {
                tracing::info!(peer = %self.own.peer, ?silent, "somebody leads the cluster again");
            }
            None => {}
        }
    }

    /// Those that are not there, or not what they were when they became voters.
    fn gone_of(&self, voters: &BTreeSet<PeerId>) -> BTreeSet<PeerId> {
        let seen = self.members.borrow().clone();
        let authority = self.authority();
        let is_there = |peer: &&PeerId| {
            **peer == self.own.peer
                || seen.get(*peer).is_some_and(|seen| {
                    let known = authority.member(peer).map(|member| member.incarnation);
                    seen.sight == Sight::Up
                        && known.is_none_or(|known| known == seen.life.incarnation)
                })
        };
        let gone = voters.iter().filter(|peer| !is_there(peer));
        gone.cloned().collect()
    }
}

fn names(peers: &BTreeSet<PeerId>, nobody: &str) -> String {
    if peers.is_empty() {
        return nobody.to_owned();
    }
    let names: Vec<_> = peers.iter().map(PeerId::as_str).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELECTION: Duration = Duration::from_millis(500);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_was_heard_of_lately_leads() {
        let start = Instant::now();
        let mut contact = Contact::new(ELECTION, start);
        assert!(!contact.is_led(start), "nobody was heard of yet");
        contact.handle_leader(start);
        assert!(contact.is_led(start + 2 * SECOND));
        assert!(!contact.is_led(start + 2 * SECOND + ELECTION));
    }

    #[test]
    fn it_is_said_once_that_nobody_leads_and_once_that_somebody_does_again() {
        let start = Instant::now();
        let mut contact = Contact::new(ELECTION, start);
        let poll =
            |contact: &mut Contact, seconds: u32| contact.poll_word(start + SECOND * seconds);
        contact.handle_leader(start);
        assert_eq!(poll(&mut contact, 9), None, "an election or two");
        assert_eq!(poll(&mut contact, 10), Some(Word::Lost(10 * SECOND)));
        assert_eq!(poll(&mut contact, 60), None);
        contact.handle_leader(start + 61 * SECOND);
        assert_eq!(poll(&mut contact, 62), Some(Word::Back(62 * SECOND)));
        assert_eq!(poll(&mut contact, 63), None);
        assert_eq!(poll(&mut contact, 80), Some(Word::Lost(19 * SECOND)));
    }

    #[test]
    fn who_looks_for_a_cluster_misses_no_leader() {
        let start = Instant::now();
        let mut contact = Contact::new(ELECTION, start);
        contact.handle_no_cluster(start + 60 * SECOND);
        assert_eq!(contact.poll_word(start + 69 * SECOND), None);
        assert!(!contact.is_led(start + 60 * SECOND));
        let lost = contact.poll_word(start + 70 * SECOND);
        assert_eq!(lost, Some(Word::Lost(10 * SECOND)));
    }
}

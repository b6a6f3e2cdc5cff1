//! Whether anybody leads now.
//!
//! The engine names the leader that it followed last, however long ago that was. Here is noted when that one was last heard
//! of: by those who follow with each of its entries and heartbeats, by itself with each answer of a majority.
//!
//! A cluster that has lost most of its voters looks well from every other side: its members are up, its messages arrive.
//! Only what all must agree on waits, and whoever waits for it does not know why. So it is said aloud.

use std::time::Duration;

use tokio::time::Instant;

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

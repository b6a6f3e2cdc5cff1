//! How a shard leaves its owner, from the owner's side.
//!
//! ```text
//! Serving --- the map says `next` ---> Closing --- all have stopped, or it takes too long ---> Draining
//!                                      (takes what is under way)                                   |
//!                                                                           the last actor has ended
//!                                                                                                  v
//!              the map says another epoch <--- `Release` is proposed, again and again <--- Empty
//! ```
//!
//! **Closing** keeps the order: whoever uses the kind stops sending when it sees `next`, and then says so, on the
//! same way as its messages. When all have, nothing is under way any more, and what they hold back goes to
//! the next owner, behind everything that came here. One who does not say so in time is waited for no
//! more; what still comes from it is held here and sent on, and may be overtaken by what it sends later.
//!
//! **Draining** lets every actor finish what it has. Nothing is given to them any more but what was already
//! taken for them, while they were being passivated.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::id::Life;

/// What the regions of one kind on two peers say to each other, on the way of the messages between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Packet {
    /// To an owner that is to let go: nothing more comes from me for these shards in these epochs.
    Stopped { shards: Vec<(u16, u64)> },
    /// Heard.
    Heard { shards: Vec<(u16, u64)> },
}

/// Where the owner of a shard stands; for all others `Serving`, without a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    Closing(Closing),
    Draining,
    Empty { proposed: Instant },
}

/// For whom an owner waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closing {
    waiting: BTreeSet<Life>,
    until: Instant,
}

impl Closing {
    /// `early` are those who have stopped before the owner itself knew.
    pub(super) fn new<'a>(
        users: impl Iterator<Item = &'a Life>,
        own: &Life,
        early: &BTreeSet<Life>,
        patience: Duration,
        now: Instant,
    ) -> Self {
        Self {
            waiting: users
                .filter(|user| *user != own && !early.contains(*user))
                .cloned()
                .collect(),
            until: now + patience,
        }
    }

    pub(super) fn stopped(&mut self, who: &Life) {
        self.waiting.remove(who);
    }

    /// Who is gone sends nothing any more. Who has come since has seen that the shard is to go.
    pub(super) fn keep(&mut self, is_user: impl Fn(&Life) -> bool) {
        self.waiting.retain(is_user);
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.waiting.is_empty() || now >= self.until
    }

    /// Whether somebody never said that it has stopped.
    pub(super) fn is_cut_short(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }
}

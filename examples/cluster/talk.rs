//! What the story and the peers say to each other: a JSON value a line, over stdin and stdout of the peers.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use actor_net::membership::View;
use actor_net::remote::RemoteStats;
use serde::{Deserialize, Serialize};

/// The story tells a peer what to do. When its input ends, it leaves: the story is over, one way or another.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Ask for each order until it is answered, and tell by whom.
    Sweep,
    /// Ask all the time.
    Drive,
    /// No more of it; what is under way ends.
    Rest,
    /// Leave the cluster, and end.
    Leave,
}

/// What a peer tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// It takes part, and listens there.
    Listens(SocketAddr),
    /// It sees this.
    Sees(Sight),
    /// What came of its asks so far, some times a second.
    Asked(Tally),
    /// All orders were asked for.
    Swept(Swept),
    /// Nothing is under way any more.
    Rests(Tally),
    /// Its books, while it still takes part.
    Books(Books),
    /// It has left, and its system is shut down.
    Ended(Ended),
}

/// A view, to be printed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sight {
    pub(crate) version: u64,
    /// Name, number of the life, and state of each member.
    pub(crate) members: Vec<(String, u64, String)>,
}

impl Sight {
    pub(crate) fn of(view: &View) -> Self {
        let members = view.members().iter().map(|member| {
            let peer = member.peer().to_string();
            (peer, member.incarnation().0, member.state().to_string())
        });
        Self {
            version: view.version(),
            members: members.collect(),
        }
    }

    /// How a member stands; empty if it is not known.
    pub(crate) fn state_of(&self, peer: &str) -> &str {
        let member = self.members.iter().find(|(name, ..)| name == peer);
        member.map_or("", |(_, _, state)| state)
    }

    pub(crate) fn up(&self) -> usize {
        self.members
            .iter()
            .filter(|(_, _, state)| state == "up")
            .count()
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, _, state)) in self.members.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {state}")?;
        }
        Ok(())
    }
}

/// What came of the asks of one peer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) offered: u64,
    /// By who answered.
    pub(crate) answered: BTreeMap<String, u64>,
    /// By the kind of error.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Answers of an order that was not there before, or not any more.
    pub(crate) placed: u64,
}

impl Tally {
    pub(crate) fn answers(&self) -> u64 {
        self.answered.values().sum()
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.placed += other.placed;
        for (to, from) in [
            (&mut self.answered, &other.answered),
            (&mut self.failed, &other.failed),
        ] {
            for (key, n) in from {
                *to.entry(key.clone()).or_default() += n;
            }
        }
    }
}

/// Who answered for each order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Swept {
    /// Of whom `by` has the numbers.
    pub(crate) peers: Vec<String>,
    /// For each order, by its place in the file; `None` if nobody answered in time.
    pub(crate) by: Vec<Option<u16>>,
    /// Asks that failed on the way.
    pub(crate) failures: u64,
    /// How many were new where they were answered.
    pub(crate) placed: u64,
}

impl Swept {
    /// Who answered for an order.
    pub(crate) fn who(&self, order: usize) -> Option<&str> {
        let number = (*self.by.get(order)?)?;
        self.peers.get(usize::from(number)).map(String::as_str)
    }
}

/// The books of one peer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Books {
    /// Messages that its entities handled, by the peer that asked.
    pub(crate) handled: BTreeMap<String, u64>,
    /// Shards of which it is the owner.
    pub(crate) shards: usize,
    /// Entities that live there.
    pub(crate) entities: usize,
    pub(crate) wire: Wire,
}

/// Messages to and from other peers, in all.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Wire {
    pub(crate) out: u64,
    pub(crate) arrived: u64,
    /// Their connection broke on the way.
    pub(crate) lost: u64,
    /// Surely not sent.
    pub(crate) dropped: u64,
    pub(crate) delivered: u64,
    pub(crate) held: u64,
    pub(crate) refused: u64,
}

impl Wire {
    /// Whether all that came is somewhere.
    pub(crate) fn is_balanced(&self) -> bool {
        self.arrived == self.delivered + self.held + self.refused
    }

    pub(crate) fn of(stats: &RemoteStats) -> Self {
        Self {
            out: stats.tells_out + stats.asks_out,
            arrived: stats.tells_in + stats.asks_in,
            lost: stats.lost_tells + stats.lost_asks,
            dropped: stats.dropped_expired
                + stats.dropped_cancelled
                + stats.dropped_too_large
                + stats.dropped_peer_gone
                + stats.dropped_discarded,
            delivered: stats.delivered,
            held: stats.held,
            refused: stats.refused_dead
                + stats.refused_not_exported
                + stats.refused_malformed
                + stats.refused_full
                + stats.refused_overloaded
                + stats.refused_expired,
        }
    }
}

/// How a peer ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ended {
    /// Offered, accepted and so on, of its runtime: all that its actors sent each other.
    pub(crate) report: String,
    /// Whether the law holds in it.
    pub(crate) holds: bool,
    /// Whether nothing was cut off.
    pub(crate) is_clean: bool,
}

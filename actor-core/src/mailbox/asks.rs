//! The books of asks: each is begun once, and ends in one way.
//!
//! `begun = answered + failed + in flight`, for the asks of a system's actors, whoever asks. They are in the
//! message's books as well: the message of an ask that is given up may still be handled. Counted where the asker
//! is, in lines of its own (`ledger`): once when the message is offered and once when the ask is over.

use std::fmt;

use super::ledger::Count;
use super::node::Fate;

/// The asks of one system, since its start: how many began, and how they ended.
///
/// `begun = answered + failed + in flight`, where each failure is one variant of [`AskError`](crate::AskError), or the call was
/// dropped. Asks to the actors of this system and, by proxies, to those of other peers; what peers ask here is in
/// their books.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
///
/// struct Ping;
/// impl Message for Ping { type Reply = (); }
/// struct Echo;
/// impl Actor for Echo {}
/// impl SyncHandler<Ping> for Echo {
///     fn handle(&mut self, _: Ping, _cx: &mut ActorContext<Self>) {}
/// }
///
/// let system = ActorSystem::new()?;
/// let echo = system.spawn(Echo)?;
/// echo.ask_blocking(Ping)?;
/// let asks = system.stats().asks;
/// assert_eq!((asks.begun, asks.answered, asks.failed(), asks.in_flight()), (1, 1, 0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AskStats {
    /// Asks that began: their message was offered, or refused at once.
    pub begun: u64,
    /// Those that have their reply.
    pub answered: u64,
    /// The mailbox was full.
    pub full: u64,
    /// The actor had stopped, or stopped before it answered.
    pub dead: u64,
    /// The deadline passed.
    pub expired: u64,
    /// The call's context was cancelled.
    pub cancelled: u64,
    /// The handler panicked.
    pub panicked: u64,
    /// The reply was dropped, or the mailbox's policy dropped the message.
    pub no_reply: u64,
    /// The peer that the actor lives on was gone.
    pub peer_gone: u64,
    /// There was no connection to the peer.
    pub unreachable: u64,
    /// There was no room on the peer.
    pub no_room: u64,
    /// The message does not travel to the peer.
    pub not_exported: u64,
    /// The message or its reply was larger than the peer takes.
    pub too_large: u64,
    /// Waiting would have closed a circle of actors that wait for each other, or was found to be in one.
    pub deadlock: u64,
    /// The memory limit for messages was reached.
    pub overloaded: u64,
    /// It would have blocked a worker.
    pub would_block: u64,
    /// The call was dropped before it had its reply.
    pub abandoned: u64,
}

impl AskStats {
    pub(crate) fn read(sum: impl Fn(Count) -> u64) -> Self {
        // Ends are read before the beginnings, so that an ask under way never shows as one too many.
        let ended = Self {
            begun: 0,
            answered: sum(Count::AsksAnswered),
            full: sum(Count::AskFull),
            dead: sum(Count::AskDead),
            expired: sum(Count::AskExpired),
            cancelled: sum(Count::AskCancelled),
            panicked: sum(Count::AskPanicked),
            no_reply: sum(Count::AskNoReply),
            peer_gone: sum(Count::AskPeerGone),
            unreachable: sum(Count::AskUnreachable),
            no_room: sum(Count::AskNoRoom),
            not_exported: sum(Count::AskNotExported),
            too_large: sum(Count::AskTooLarge),
            deadlock: sum(Count::AskDeadlock),
            overloaded: sum(Count::AskOverloaded),
            would_block: sum(Count::AskWouldBlock),
            abandoned: sum(Count::AskAbandoned),
        };
        Self {
            begun: sum(Count::AsksBegun),
            ..ended
        }
    }

    /// How asks end, by name, `answered` first: each with its count, those that never happened as well.
    pub fn outcomes(&self) -> [(&'static str, u64); 16] {
        let mut all = [("answered", self.answered); 16];
        all[1..].copy_from_slice(&self.failures());
        all
    }

    fn failures(&self) -> [(&'static str, u64); 15] {
        [
            ("full", self.full),
            ("dead", self.dead),
            ("expired", self.expired),
            ("cancelled", self.cancelled),
            ("panicked", self.panicked),
            ("no_reply", self.no_reply),
            ("peer_gone", self.peer_gone),
            ("unreachable", self.unreachable),
            ("no_room", self.no_room),
            ("not_exported", self.not_exported),
            ("too_large", self.too_large),
            ("deadlock", self.deadlock),
            ("overloaded", self.overloaded),
            ("would_block", self.would_block),
            ("abandoned", self.abandoned),
        ]
    }

    /// Those that ended without a reply.
    pub fn failed(&self) -> u64 {
        self.failures().iter().map(|(_, count)| count).sum()
    }

    /// Those that go on.
    pub fn in_flight(&self) -> u64 {
        self.begun.saturating_sub(self.answered + self.failed())
    }
}

impl fmt::Display for AskStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "asks begun {} = answered {} + failed {} + in flight {}",
            self.begun,
            self.answered,
            self.failed(),
            self.in_flight()
        )?;
        let some = self.failures().into_iter().filter(|(_, count)| *count > 0);
        for (outcome, count) in some {
            write!(f, "\n  failed, {outcome}: {count}")?;
        }
        Ok(())
    }
}

impl Count {
    /// How an ask has ended whose message had that fate. What is none of a message alone is `NoReply`.
    pub(crate) const fn of_ask(fate: Fate) -> Self {
        match fate {
            Fate::ActorStopped | Fate::Interrupted => Self::AskDead,
            Fate::Expired => Self::AskExpired,
            Fate::Cancelled => Self::AskCancelled,
            Fate::Panicked => Self::AskPanicked,
            Fate::PeerGone => Self::AskPeerGone,
            Fate::Unreachable => Self::AskUnreachable,
            Fate::NoRoom => Self::AskNoRoom,
            Fate::NotExported => Self::AskNotExported,
            Fate::TooLarge => Self::AskTooLarge,
            Fate::Oldest | Fate::Newest | Fate::Abandoned | Fate::NoReply => Self::AskNoReply,
        }
    }
}

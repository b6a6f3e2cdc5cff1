//! Lifecycle signals: watches, links, ends, stops. They arrive once, whatever becomes of connections.
//!
//! Each has a number, counted from 1 for each life of the receiving peer. The receiver acknowledges in sums
//! ("up to here"), drops what it has had, and says in the next handshake how far it came; the sender keeps
//! what is not acknowledged and sends it again over the next connection. Numbers are never given anew, so
//! nothing is delivered twice; who cannot get rid of its signals for too long declares the peer dead.
//!
//! **`Terminated` after the last message.** Messages go over data lanes, signals over the control connection:
//! one could overtake the other. A signal about an actor's end therefore says when a mark follows the actor's
//! last message on its lane (`Flush`), and is held ([`Held`]) until that has come. Marks are acknowledged and
//! sent again like signals, so none is waited for in vain.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::codec::{Decoded, Flaw, Reader, cut, put_text, put_u64};
use super::error::Fault;
use super::limits::DETAIL_MAX;
use super::message::Address;

/// What a signal says. `from` is an actor of the sender, `to` one of the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SignalKind {
    Watch,
    Unwatch,
    /// `from`, which `to` watched, has ended.
    Terminated(End),
    Link,
    Unlink,
    /// `from`, which was linked with `to`, has ended.
    Exit(End),
    /// `to` is asked to stop: 0 what waits first, 1 after this message, 2 at once. With [`STOP_MARKED`] a mark with
    /// the signal's number has to come first.
    Stop {
        mode: u8,
    },
}

/// Added to the mode of a stop that waits for its mark.
pub(crate) const STOP_MARKED: u8 = 0x80;

/// How an actor ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The number of the reason, as the floor above counts them.
    pub(crate) reason: u8,
    pub(crate) detail: String,
    /// The mark with the signal's number has to come first.
    pub(crate) marked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signal {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) kind: SignalKind,
}

impl Signal {
    fn code(&self) -> u8 {
        match self.kind {
            SignalKind::Watch => 1,
            SignalKind::Unwatch => 2,
            SignalKind::Terminated(_) => 3,
            SignalKind::Link => 4,
            SignalKind::Unlink => 5,
            SignalKind::Exit(_) => 6,
            SignalKind::Stop { .. } => 7,
        }
    }

    /// Whether it has to wait for its mark.
    fn is_marked(&self) -> bool {
        match &self.kind {
            SignalKind::Terminated(end) | SignalKind::Exit(end) => end.marked,
            SignalKind::Stop { mode } => mode & STOP_MARKED != 0,
            _ => false,
        }
    }

    pub(crate) fn encode(&self, number: u64, out: &mut Vec<u8>) {
        put_u64(out, number);
        out.push(self.code());
        self.from.encode(out);
        self.to.encode(out);
        match &self.kind {
            SignalKind::Terminated(end) | SignalKind::Exit(end) => {
                out.push(end.reason);
                put_text(out, cut(&end.detail, DETAIL_MAX));
                out.push(u8::from(end.marked));
            }
            SignalKind::Stop { mode } => out.push(*mode),
            SignalKind::Watch | SignalKind::Unwatch | SignalKind::Link | SignalKind::Unlink => {}
        }
    }

    pub(crate) fn decode(body: &[u8]) -> Decoded<(u64, Self)> {
        let mut reader = Reader::new(body);
        let number = reader.u64("number")?;
        let at = reader.at();
        let code = reader.u8("signal")?;
        let from = Address::decode(&mut reader, "from")?;
        let to = Address::decode(&mut reader, "to")?;
        let kind = match code {
            1 => SignalKind::Watch,
            2 => SignalKind::Unwatch,
            3 => SignalKind::Terminated(End::decode(&mut reader)?),
            4 => SignalKind::Link,
            5 => SignalKind::Unlink,
            6 => SignalKind::Exit(End::decode(&mut reader)?),
            7 => SignalKind::Stop {
                mode: reader.u8("mode")?,
            },
            other => {
                let value = other.into();
                return reader.flaw("signal", at, Flaw::Unknown { value });
            }
        };
        reader.finish()?;
        Ok((number, Self { from, to, kind }))
    }
}

impl End {
    fn decode(reader: &mut Reader<'_>) -> Decoded<Self> {
        let reason = reader.u8("reason")?;
        let detail = reader.text("detail", DETAIL_MAX)?.to_owned();
        let at = reader.at();
        let marked = match reader.u8("marked")? {
            0 => false,
            1 => true,
            other => {
                let value = other.into();
                return reader.flaw("marked", at, Flaw::Unknown { value });
            }
        };
        Ok(Self {
            reason,
            detail,
            marked,
        })
    }
}

/// Signals on their way to a peer.
#[derive(Debug)]
pub(crate) struct SignalOutbox {
    /// The number of the first that waits for its acknowledgement.
    first: u64,
    waiting: VecDeque<(Signal, Instant)>,
    /// How many of them have gone over the present connection.
    sent: usize,
    max: usize,
    age_max: Duration,
}

/// The peer does not take its signals: it is to be declared dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undeliverable {
    TooMany {
        max: usize,
    },
    TooOld {
        age: Duration,
    },
    /// Its life is over already. Said by the floor above.
    Lost,
}

impl SignalOutbox {
    pub(crate) fn new(max: usize, age_max: Duration) -> Self {
        Self {
            first: 1,
            waiting: VecDeque::new(),
            sent: 0,
            max,
            age_max,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes one, and says its number.
    pub(crate) fn push(&mut self, signal: Signal, now: Instant) -> Result<u64, Undeliverable> {
        if self.waiting.len() >= self.max {
            return Err(Undeliverable::TooMany { max: self.max });
        }
        let behind = u64::try_from(self.waiting.len()).unwrap_or(u64::MAX);
        self.waiting.push_back((signal, now));
        Ok(self.first.saturating_add(behind))
    }

    /// A new connection; the peer has all up to `received`.
    pub(crate) fn resume(&mut self, received: u64) -> Result<(), Fault> {
        self.sent = self.waiting.len();
        self.acknowledged(received)?;
        self.sent = 0;
        Ok(())
    }

    pub(crate) fn acknowledged(&mut self, received: u64) -> Result<(), Fault> {
        // One who has heard less than was acknowledged before has forgotten what it knew.
        let count = received.saturating_add(1).saturating_sub(self.first);
        let sent = u64::try_from(self.sent).unwrap_or(u64::MAX);
        if let Some(over) = count.checked_sub(sent).filter(|over| *over > 0) {
            let which = "signals";
            return Err(Fault::Returned { which, over });
        }
        for _ in 0..count {
            self.waiting.pop_front();
            self.sent = self.sent.saturating_sub(1);
            self.first = self.first.saturating_add(1);
        }
        Ok(())
    }

    /// The next to go over this connection.
    pub(crate) fn next(&mut self) -> Option<(u64, &Signal)> {
        let at = self.sent;
        let (signal, _) = self.waiting.get(at)?;
        self.sent = at.saturating_add(1);
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        Some((self.first.saturating_add(at), signal))
    }

    pub(crate) fn tick(&self, now: Instant) -> Result<(), Undeliverable> {
        let age = self.age_max;
        match self.waiting.front() {
            Some((_, since)) if now.saturating_duration_since(*since) >= age => {
                Err(Undeliverable::TooOld { age })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn timeout(&self) -> Option<Instant> {
        self.waiting
            .front()
            .and_then(|(_, since)| since.checked_add(self.age_max))
    }
}

/// How far the peer's signals have come.
#[derive(Debug, Default)]
pub(crate) struct SignalInbox {
    received: u64,
    acknowledge: bool,
}

impl SignalInbox {
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Whether it is a new one. One that skips a number is a fault: connections lose nothing in between.
    pub(crate) fn take(&mut self, number: u64) -> Result<bool, Fault> {
        self.acknowledge = true;
        let expected = self.received.saturating_add(1);
        if number > expected || number == 0 {
            let got = number;
            return Err(Fault::Signal { expected, got });
        }
        if number < expected {
            return Ok(false);
        }
        self.received = number;
        Ok(true)
    }

    /// The acknowledgement that is due; one for however many came.
    pub(crate) fn due(&mut self) -> Option<u64> {
        std::mem::take(&mut self.acknowledge).then_some(self.received)
    }
}

/// Signals that wait for their mark.
#[derive(Debug, Default)]
pub(crate) struct Held {
    signals: BTreeMap<u64, Signal>,
    /// Marks that came before their signal.
    marks: BTreeSet<u64>,
}

impl Held {
    /// A signal has come; it is given back if it may be delivered at once.
    pub(crate) fn offer(&mut self, number: u64, signal: Signal) -> Option<Signal> {
        // Beyond the limit nothing is held: the order suffers then, and not the memory.
        let full = self.signals.len() >= HELD_MAX;
        if !signal.is_marked() || self.marks.remove(&number) || full {
            return Some(signal);
        }
        self.signals.insert(number, signal);
        None
    }

    /// The mark of signal `number` has come. `received`: how far signals have come themselves.
    pub(crate) fn mark(&mut self, number: u64, received: u64) -> Option<Signal> {
        let held = self.signals.remove(&number);
        // A mark that is sent again may find that its signal was delivered.
        if held.is_none() && number > received && self.marks.len() < HELD_MAX {
            self.marks.insert(number);
        }
        held
    }

    pub(crate) fn len(&self) -> usize {
        self.signals.len()
    }
}

/// As many as signals may be under way by default.
const HELD_MAX: usize = 20_000;

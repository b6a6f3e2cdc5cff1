//! What waits to be sent on a lane, and in which order it goes.
//!
//! Two rules. *A pair keeps its order*: what one actor sends to another arrives as it was sent, so behind a
//! message in pieces the later messages of its pair wait. *Nobody else waits*: small messages of other pairs
//! pass between the pieces. At most [`BURST`] bytes of small messages go before a piece has its turn, and
//! pieces of several large messages take turns, so neither side starves the other.
//!
//! ```text
//! push ──┬─ a large message of the pair is here ──> backlog[pair] ──> (when that is done) ready
//!        ├─ others ──> ready ──┬─ small ──────────────────────────────────────────────────> frames
//!        │                     └─ large ──> waiting ──> active (credit for all of it) ──> pieces
//!        └─ answers, cancellations of what was sent ──> exempt (no credit, no order) ──────> frames
//! ```
//!
//! A large message goes through `ready` like any other, for small ones of its pair may wait there before it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use actor_core::CancelToken;

use super::message::{Cancelled, Flush, Head};
use super::payload::Payload;
use super::run::Items;

/// Bytes of small messages that may go while a piece of a large one waits.
pub(crate) const BURST: usize = 64 << 10;

/// In a token: nobody wants to hear that the message has arrived, only that it has not.
pub(crate) const QUIET: u64 = 1 << 63;

/// A message on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// Who sends to whom, as one number; messages with the same keep their order.
    pub(crate) pair: u64,
    pub(crate) head: Head,
    pub(crate) payload: Payload,
    pub(crate) deadline: Option<Instant>,
    /// Not sent any more once this is cancelled.
    pub(crate) cancel: Option<CancelToken>,
    /// By which its fate is told; 0 for those who do not want to know, with [`QUIET`] for those who want to
    /// know the worst only.
    pub(crate) token: u64,
}

impl Outgoing {
    /// No encoding of its body is longer.
    pub(crate) fn size_bound(&self) -> usize {
        self.payload.len().saturating_add(self.head.size_bound())
    }

    /// Takes the first `max` messages of a run out of it.
    fn split_off_run(&mut self, max: u32) -> Self {
        let mut first = self.clone();
        let (Head::Tells { count: left, .. }, Head::Tells { count: taken, .. }) =
            (&mut self.head, &mut first.head)
        else {
            return first;
        };
        let mut items = Items::of(&self.payload);
        *taken = 0;
        while *taken < max && *left > 1 && items.next().is_some() {
            *taken = taken.saturating_add(1);
            *left = left.saturating_sub(1);
        }
        let at = self.payload.len().saturating_sub(items.left());
        (first.payload, self.payload) = self.payload.split(at);
        first
    }

    pub(crate) fn verdict(&self, now: Instant) -> Option<DropReason> {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            return Some(DropReason::Expired);
        }
        self.cancel
            .as_ref()
            .is_some_and(CancelToken::is_cancelled)
            .then_some(DropReason::Cancelled)
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// Its deadline passed while it waited.
    Expired,
    /// Its scope was cancelled while it waited.
    Cancelled,
    /// The peer stopped taking its pieces.
    Discarded,
    /// It is longer than the peer takes.
    TooLarge,
    /// The peer was given up.
    Unreachable,
}

/// What was looked for has left, or was never here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotHere;

/// Something that waits.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are messages; a box for each is what is not wanted here"
)]
pub(crate) enum Entry {
    Message(Outgoing),
    Flush(Flush),
    Cancel(Cancelled),
}

/// A large message of which pieces are going out.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) stream: u64,
    pub(crate) message: Outgoing,
    /// Its encoded head, and where in head and payload it is.
    pub(crate) head: Vec<u8>,
    pub(crate) flags: u8,
    pub(crate) sent: usize,
    /// It was cancelled; it is to be given up at its next piece.
    pub(crate) withdrawn: bool,
}

impl Active {
    pub(crate) fn total(&self) -> usize {
        self.head.len().saturating_add(self.message.payload.len())
    }

    /// Appends up to `max` bytes of what is left; says how many.
    pub(crate) fn put_piece(&mut self, max: usize, out: &mut Vec<u8>) -> usize {
        let from = self.sent;
        let head = self.head.get(from..).unwrap_or_default();
        let head = head.get(..max.min(head.len())).unwrap_or_default();
        out.extend_from_slice(head);
        let room = max.saturating_sub(head.len());
        let at = from
            .saturating_add(head.len())
            .saturating_sub(self.head.len());
        let payload = self.message.payload.get(at..).unwrap_or_default();
        let payload = payload.get(..room.min(payload.len())).unwrap_or_default();
        out.extend_from_slice(payload);
        let piece = head.len().saturating_add(payload.len());
        self.sent = self.sent.saturating_add(piece);
        piece
    }
}

fn messages_of(message: &Outgoing) -> usize {
    usize::try_from(message.head.messages()).unwrap_or(usize::MAX)
}

/// The queues of one lane.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) exempt: VecDeque<Entry>,
    pub(crate) ready: VecDeque<Entry>,
    pub(crate) waiting: VecDeque<Outgoing>,
    pub(crate) active: VecDeque<Active>,
    /// Pairs with a large message in `ready`, `waiting` or `active`, and what of theirs is behind it.
    backlog: BTreeMap<u64, VecDeque<Entry>>,
    bytes: usize,
    messages: usize,
    answer_bytes: usize,
    next_stream: u64,
    /// Bytes of small messages since the last piece.
    pub(crate) since_piece: usize,
}

impl Outbox {
    /// Bytes and messages that wait here; answers are not counted.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.bytes, self.messages)
    }

    /// Bytes of answers that wait here.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.answer_bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exempt.is_empty()
            && self.ready.is_empty()
            && self.waiting.is_empty()
            && self.active.is_empty()
    }

    /// Puts an entry where it belongs. `fragment`: what is longer goes in pieces.
    pub(crate) fn push(&mut self, pair: u64, entry: Entry, fragment: usize) {
        if let Entry::Message(message) = &entry {
            let size = message.size_bound();
            if message.head.takes_credit() {
                self.bytes = self.bytes.saturating_add(size);
                self.messages = self.messages.saturating_add(messages_of(message));
            } else {
                self.answer_bytes = self.answer_bytes.saturating_add(size);
            }
        }
        self.place(pair, entry, fragment);
    }

    fn place(&mut self, pair: u64, entry: Entry, fragment: usize) {
        match entry {
            Entry::Message(message) if !message.head.takes_credit() => {
                // An answer is ordered with nothing: its asker waits for it and for nothing else.
                if message.size_bound() > fragment {
                    self.waiting.push_back(message);
                } else {
                    self.exempt.push_back(Entry::Message(message));
                }
            }
            Entry::Cancel(Cancelled::Scope(_)) => self.exempt.push_back(entry),
            _ if self.backlog.contains_key(&pair) => {
                self.backlog.entry(pair).or_default().push_back(entry);
            }
            Entry::Message(message) if message.size_bound() > fragment => {
                self.backlog.insert(pair, VecDeque::new());
                self.ready.push_back(Entry::Message(message));
            }
            _ => self.ready.push_back(entry),
        }
    }

    /// If a large message is at the front of `ready`, it waits for its room from now on, and holds up nobody
    /// but its pair.
    pub(crate) fn set_large_apart(&mut self, fragment: usize) -> bool {
        let is_large = |entry: &Entry| matches!(entry, Entry::Message(message) if message.size_bound() > fragment);
        if !self.ready.front().is_some_and(is_large) {
            return false;
        }
        if let Some(Entry::Message(message)) = self.ready.pop_front() {
            self.waiting.push_back(message);
        }
        true
    }

    /// Begins to send the first large message that waits.
    pub(crate) fn begin(&mut self, head: Vec<u8>, flags: u8) {
        let Some(message) = self.waiting.pop_front() else {
            return;
        };
        self.next_stream = self.next_stream.wrapping_add(1);
        self.active.push_back(Active {
            stream: self.next_stream,
            message,
            head,
            flags,
            sent: 0,
            withdrawn: false,
        });
    }

    /// A message has left, or is dropped; it was the foremost of its pair.
    pub(crate) fn gone(&mut self, message: &Outgoing, fragment: usize) {
        self.account(message);
        if message.head.takes_credit() && message.size_bound() > fragment {
            self.unblock(message.pair, fragment);
        }
    }

    /// It waits here no more.
    fn account(&mut self, message: &Outgoing) {
        let size = message.size_bound();
        if !message.head.takes_credit() {
            self.answer_bytes = self.answer_bytes.saturating_sub(size);
            return;
        }
        self.bytes = self.bytes.saturating_sub(size);
        self.messages = self.messages.saturating_sub(messages_of(message));
    }

    /// If a run of more than `max` messages is at the front of `ready`, it becomes two: one that is no longer, and
    /// the rest. A peer with a small window would never have room for all of it.
    pub(crate) fn shorten_run(&mut self, max: u32) {
        let max = max.max(1);
        let is_long = |entry: &Entry| matches!(entry, Entry::Message(message) if message.head.messages() > max);
        if !self.ready.front().is_some_and(is_long) {
            return;
        }
        let Some(Entry::Message(mut rest)) = self.ready.pop_front() else {
            return;
        };
        let before = rest.size_bound();
        let first = rest.split_off_run(max);
        let after = rest.size_bound().saturating_add(first.size_bound());
        self.bytes = self.bytes.saturating_add(after.saturating_sub(before));
        self.ready.push_front(Entry::Message(rest));
        self.ready.push_front(Entry::Message(first));
    }

    /// Takes an ask that nobody waits for any more out of its queue. `Ok(None)`: pieces of it have gone
    /// out, the next will be its end. `Err`: it is not here.
    pub(crate) fn withdraw(
        &mut self,
        pair: u64,
        call: u64,
        fragment: usize,
    ) -> Result<Option<Outgoing>, NotHere> {
        let is_it =
            |message: &Outgoing| matches!(message.head, Head::Ask { call: of, .. } if of == call);
        let entry_is_it =
            |entry: &Entry| matches!(entry, Entry::Message(message) if is_it(message));
        if let Some(active) = self.active.iter_mut().find(|active| is_it(&active.message)) {
            active.withdrawn = true;
            return Ok(None);
        }
        let foremost = if let Some(at) = self.waiting.iter().position(is_it) {
            self.waiting.remove(at).map(Entry::Message)
        } else if let Some(at) = self.ready.iter().position(entry_is_it) {
            self.ready.remove(at)
        } else {
            None
        };
        if let Some(Entry::Message(message)) = foremost {
            self.gone(&message, fragment);
            return Ok(Some(message));
        }
        // One behind another large message of its pair: nothing waits for it alone.
        let behind = self.backlog.get_mut(&pair).and_then(|behind| {
            let at = behind.iter().position(entry_is_it)?;
            behind.remove(at)
        });
        match behind {
            Some(Entry::Message(message)) => {
                self.account(&message);
                Ok(Some(message))
            }
            _ => Err(NotHere),
        }
    }

    /// The large message of a pair is done with: what is behind it may go, up to the next large one.
    fn unblock(&mut self, pair: u64, fragment: usize) {
        let Some(mut behind) = self.backlog.remove(&pair) else {
            return;
        };
        while let Some(entry) = behind.pop_front() {
            self.place(pair, entry, fragment);
            // That was a large one again: the rest stays behind it.
            if let Some(again) = self.backlog.get_mut(&pair) {
                *again = behind;
                return;
            }
        }
    }

    /// The connection broke: what was begun and not completed is to be sent again from its beginning, for
    /// the peer has surely not got it.
    pub(crate) fn restart(&mut self) {
        self.since_piece = 0;
        let mut active: Vec<_> = self.active.drain(..).collect();
        active.sort_by_key(|active| active.stream);
        for active in active.into_iter().rev() {
            self.waiting.push_front(active.message);
        }
    }

    /// Takes out everything, in an order that keeps the pairs'.
    pub(crate) fn drain(&mut self) -> Vec<Entry> {
        self.restart();
        let mut all: Vec<_> = self.exempt.drain(..).chain(self.ready.drain(..)).collect();
        all.extend(self.waiting.drain(..).map(Entry::Message));
        for (_, behind) in std::mem::take(&mut self.backlog) {
            all.extend(behind);
        }
        (self.bytes, self.messages, self.answer_bytes) = (0, 0, 0);
        all
    }
}

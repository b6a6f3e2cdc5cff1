//! Windows: how much a sender may have under way, and how it gets that back.
//!
//! A lane has three accounts: messages, bytes of small messages, bytes of fragmented ones. They are apart so
//! that a large message that waits for its room cannot be starved by small ones, nor hold them up. A message
//! is charged when it is sent (one in pieces: for all of it when it begins) and is given back when the
//! receiver has taken it out of the wire's hands. Both sides count; a peer that sends beyond its credit, or
//! gives back what was never sent, breaks the connection.

use super::codec::{Decoded, Reader, put_varint};
use super::error::Fault;
use super::limits::PeerLimits;

/// What one message takes of the window; given back with `Lane::release`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "a charge that is never given back shrinks the window for good"]
pub(crate) struct Charge {
    pub(crate) messages: u32,
    pub(crate) bytes: u32,
    pub(crate) large: u32,
    /// Of which connection of the lane; another's windows have nothing to do with it.
    pub(crate) connection: u32,
}

impl Charge {
    /// What another message of the same connection takes.
    pub(crate) fn add(&mut self, other: Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.large = self.large.saturating_add(other.large);
    }
}

/// What the receiver of messages says: so many came in, and so much was taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credit {
    /// Messages and marks that came, since the last time; answers and refused ones among them.
    pub(crate) received: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) large: u64,
}

impl Credit {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        for number in [self.received, self.messages, self.bytes, self.large] {
            put_varint(out, number);
        }
    }

    pub(crate) fn decode(body: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(body);
        let credit = Self {
            received: reader.varint("received")?,
            messages: reader.varint("messages")?,
            bytes: reader.varint("bytes")?,
            large: reader.varint("bytes of large messages")?,
        };
        reader.finish()?;
        Ok(credit)
    }
}

/// The sender's side: what is left of the peer's window.
#[derive(Debug)]
pub(crate) struct SendWindow {
    limit: [u32; 3],
    used: [u32; 3],
}

const WHICH: [&str; 3] = ["messages", "bytes", "bytes of large messages"];

impl SendWindow {
    /// Whether the peer has nothing of ours that it has not done with.
    pub(crate) fn is_unused(&self) -> bool {
        self.used == [0; 3]
    }

    pub(crate) fn new(limits: &PeerLimits) -> Self {
        Self {
            limit: [
                limits.window_messages,
                limits.window_bytes,
                limits.window_large,
            ],
            used: [0; 3],
        }
    }

    pub(crate) fn allows(&self, charge: Charge) -> bool {
        let wanted = [charge.messages, charge.bytes, charge.large];
        self.used
            .iter()
            .zip(self.limit)
            .zip(wanted)
            .all(|((used, limit), wanted)| {
                wanted == 0 || used.checked_add(wanted).is_some_and(|sum| sum <= limit)
            })
    }

    pub(crate) fn charge(&mut self, charge: Charge) {
        let wanted = [charge.messages, charge.bytes, charge.large];
        for (used, wanted) in self.used.iter_mut().zip(wanted) {
            *used = used.saturating_add(wanted);
        }
    }

    /// What was charged was not sent after all.
    pub(crate) fn take_back(&mut self, charge: Charge) {
        let wanted = [charge.messages, charge.bytes, charge.large];
        for (used, wanted) in self.used.iter_mut().zip(wanted) {
            *used = used.saturating_sub(wanted);
        }
    }

    pub(crate) fn give_back(&mut self, credit: &Credit) -> Result<(), Fault> {
        let given = [credit.messages, credit.bytes, credit.large];
        for ((used, given), which) in self.used.iter_mut().zip(given).zip(WHICH) {
            match u32::try_from(given)
                .ok()
                .and_then(|given| used.checked_sub(given))
            {
                Some(rest) => *used = rest,
                None => {
                    let over = given.saturating_sub(u64::from(*used));
                    return Err(Fault::Returned { which, over });
                }
            }
        }
        Ok(())
    }
}

/// The receiver's side: what the peer has under way, and what it is to be told.
#[derive(Debug)]
pub(crate) struct ReceiveWindow {
    limit: [u32; 3],
    used: [u32; 3],
    due: Credit,
}

impl ReceiveWindow {
    /// Whether nothing of the peer's is here, and it knows.
    pub(crate) fn is_unused(&self) -> bool {
        self.used == [0; 3] && self.due.is_empty()
    }

    pub(crate) fn new(limits: &PeerLimits) -> Self {
        let SendWindow { limit, used } = SendWindow::new(limits);
        Self {
            limit,
            used,
            due: Credit::default(),
        }
    }

    /// Room for large messages.
    pub(crate) fn room_large(&self) -> u32 {
        let [_, _, limit] = self.limit;
        let [_, _, used] = self.used;
        limit.saturating_sub(used)
    }

    pub(crate) fn take(&mut self, charge: Charge) -> Result<(), Fault> {
        let wanted = [charge.messages, charge.bytes, charge.large];
        for (((used, limit), wanted), which) in
            self.used.iter_mut().zip(self.limit).zip(wanted).zip(WHICH)
        {
            let sum = used.saturating_add(wanted);
            if wanted > 0 && sum > limit {
                let over = u64::from(sum.saturating_sub(limit));
                return Err(Fault::Credit { which, over });
            }
            *used = sum;
        }
        Ok(())
    }

    /// A message has come, whatever becomes of it.
    pub(crate) fn received(&mut self) {
        self.due.received = self.due.received.saturating_add(1);
    }

    pub(crate) fn release(&mut self, charge: Charge) {
        let given = [charge.messages, charge.bytes, charge.large];
        for (used, given) in self.used.iter_mut().zip(given) {
            *used = used.saturating_sub(given);
        }
        let due = &mut self.due;
        due.messages = due.messages.saturating_add(charge.messages.into());
        due.bytes = due.bytes.saturating_add(charge.bytes.into());
        due.large = due.large.saturating_add(charge.large.into());
    }

    pub(crate) fn is_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Whether the sender should hear of it before the delay is over: a quarter of a window is free again.
    pub(crate) fn is_urgent(&self) -> bool {
        let due = [
            self.due.messages.max(self.due.received / 2),
            self.due.bytes,
            self.due.large,
        ];
        due.iter()
            .zip(self.limit)
            .any(|(due, limit)| *due >= u64::from(limit / 4).max(1))
    }

    /// What to tell the sender now. With `withhold` only what has come: the room is kept back.
    pub(crate) fn collect(&mut self, withhold: bool) -> Credit {
        if withhold {
            return Credit {
                received: std::mem::take(&mut self.due.received),
                ..Credit::default()
            };
        }
        std::mem::take(&mut self.due)
    }
}

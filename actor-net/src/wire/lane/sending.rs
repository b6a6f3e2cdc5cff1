//! A lane's way out: what is pushed, what comes back, which frame is next.

use std::time::Instant;

use super::super::codec::put_varint;
use super::super::credit::{Charge, Credit};
use super::super::error::Fault;
use super::super::frame::{FrameKind, HEADER, put_frame};
use super::super::message::{Cancelled, Flush};
use super::super::outbox::{Active, BURST, DropReason, Entry, NotHere, Outgoing, QUIET};
use super::super::reassembly::{FIRST, LAST};
use super::{Lane, LaneEvent, PushError, Sent, charge_large};

impl Lane {
    /// Takes a message to be sent. Answers are always taken (their number is that of the asks that were let
    /// in); everything else only while there is room.
    #[expect(clippy::result_large_err, reason = "the message comes back")]
    pub(crate) fn push(&mut self, message: Outgoing) -> Result<(), PushError> {
        let bytes = message.size_bound();
        if u32::try_from(bytes).map_or(true, |bytes| bytes > self.message_max) {
            let max = self.message_max;
            return Err(PushError::TooLarge {
                message,
                bytes,
                max,
            });
        }
        if message.head.takes_credit() && !self.has_room() {
            return Err(PushError::Full(message));
        }
        self.used = self.used.wrapping_add(1);
        self.outbox
            .push(message.pair, Entry::Message(message), self.fragment);
        Ok(())
    }

    /// As `push`, for what was collected while there was room, and is taken whether there still is any; whether
    /// there is room for more.
    #[expect(clippy::result_large_err, reason = "the message comes back")]
    pub(crate) fn push_collected(&mut self, message: Outgoing) -> Result<bool, PushError> {
        let bytes = message.size_bound();
        if u32::try_from(bytes).map_or(true, |bytes| bytes > self.message_max) {
            let max = self.message_max;
            return Err(PushError::TooLarge {
                message,
                bytes,
                max,
            });
        }
        self.outbox
            .push(message.pair, Entry::Message(message), self.fragment);
        Ok(self.has_room())
    }

    pub(crate) fn has_room(&self) -> bool {
        let (bytes, messages) = self.outbox.load();
        bytes < self.limits.outbox_bytes && messages < self.limits.outbox_messages
    }

    /// Bytes and messages that wait here.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn load(&self) -> (usize, usize) {
        self.outbox.load()
    }

    /// `sender` was refused and wants to hear when there is room.
    pub(crate) fn want_room(&mut self, sender: u64) {
        if self.is_blocked.insert(sender) {
            self.blocked.push_back(sender);
        }
    }

    /// `sender` does not want to hear any more.
    pub(crate) fn forget(&mut self, sender: u64) {
        if self.is_blocked.remove(&sender) {
            self.blocked.retain(|blocked| *blocked != sender);
        }
    }

    /// Nobody waits for the answer to `call` any more. What is still here of it is not sent.
    pub(crate) fn cancel_call(&mut self, pair: u64, call: u64) {
        match self.outbox.withdraw(pair, call, self.fragment) {
            Ok(Some(message)) => {
                let reason = DropReason::Cancelled;
                self.events
                    .push_back(LaneEvent::Dropped { message, reason });
            }
            Ok(None) => {}
            Err(NotHere) => self
                .outbox
                .exempt
                .push_back(Entry::Cancel(Cancelled::Call(call))),
        }
    }

    /// A scope is cancelled: the peer is to stop what belongs to it.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn cancel_scope(&mut self, scope: u64) {
        let entry = Entry::Cancel(Cancelled::Scope(scope));
        self.outbox.push(0, entry, self.fragment);
    }

    /// All that was pushed for `pair` stands before this.
    pub(crate) fn flush(&mut self, pair: u64, flush: Flush) {
        self.outbox.push(pair, Entry::Flush(flush), self.fragment);
    }

    /// Appends frames until `out` has `budget` bytes or there is nothing more to say now.
    pub(crate) fn transmit(&mut self, now: Instant, out: &mut Vec<u8>, budget: usize) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        if connection.closed {
            return;
        }
        connection.heartbeat.put(now, out);
        for (stream, of_peer) in connection.aborts.drain(..) {
            put_frame(out, FrameKind::Abort, u8::from(of_peer), |out| {
                put_varint(out, stream);
            });
        }
        self.put_credit(now, out);
        while out.len() < budget && self.put_next(now, out) {}
        self.unblock_senders();
        let Some(connection) = &mut self.connection else {
            return;
        };
        if connection.drain.wanted && !connection.drain.sent && self.outbox.active.is_empty() {
            connection.drain.sent = true;
            put_frame(out, FrameKind::Drain, 0, |_| {});
        }
        if connection.drain.sent
            && connection.drain.by_peer
            && connection.credit_at.is_none()
            && !connection.drain.told
        {
            connection.drain.told = true;
            self.events.push_back(LaneEvent::Drained);
        }
        if let Some(goodbye) = connection.goodbye.take() {
            goodbye.put(out);
            connection.closed = true;
        }
    }

    fn put_credit(&mut self, now: Instant, out: &mut Vec<u8>) {
        // Answers that wait keep the room for more questions back: a peer that asks and does not read the
        // answers runs out of credit, not this side out of memory.
        let full = self.outbox.answer_bytes() >= self.limits.outbox_bytes;
        let Some(connection) = &mut self.connection else {
            return;
        };
        let withhold = full && !connection.drain.wanted;
        let receive = &mut connection.receive;
        let due = connection.credit_at.is_some_and(|at| at <= now);
        if !receive.is_due() || !(due || receive.is_urgent() && !withhold) {
            if due {
                connection.credit_at = None;
            }
            return;
        }
        let credit = receive.collect(withhold);
        connection.credit_at = if receive.is_due() {
            now.checked_add(self.limits.credit_delay)
        } else {
            None
        };
        if !credit.is_empty() {
            put_frame(out, FrameKind::Credit, 0, |out| credit.encode(out));
        }
    }

    /// The peer has got so much, and taken so much out.
    pub(super) fn credit(&mut self, credit: &Credit) -> Result<(), Fault> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        connection.send.give_back(credit)?;
        let known = u64::try_from(connection.unacknowledged.len()).unwrap_or(u64::MAX);
        if let Some(over) = credit.received.checked_sub(known).filter(|over| *over > 0) {
            let which = "messages received";
            return Err(Fault::Returned { which, over });
        }
        for _ in 0..credit.received {
            match connection.unacknowledged.pop_front() {
                None => break,
                Some(Sent::Message { token, .. }) if token != 0 && token & QUIET == 0 => {
                    self.events.push_back(LaneEvent::Delivered { token });
                }
                Some(Sent::Message { .. } | Sent::Mark(_)) => {}
            }
        }
        Ok(())
    }

    /// The peer has dropped what it got of a message in pieces.
    pub(super) fn discarded_by_peer(&mut self, stream: u64) {
        let active = &mut self.outbox.active;
        if let Some(at) = active.iter().position(|active| active.stream == stream)
            && let Some(active) = active.remove(at)
        {
            // The end is told, so that the peer forgets the stream. The room comes back by credit.
            if let Some(connection) = &mut self.connection {
                connection.aborts.push((stream, false));
            }
            self.dropped(active.message, DropReason::Discarded);
        }
    }

    fn dropped(&mut self, message: Outgoing, reason: DropReason) {
        self.outbox.gone(&message, self.fragment);
        self.events
            .push_back(LaneEvent::Dropped { message, reason });
    }

    /// Whoever was held up is let in again when half of the room is free, first come first.
    pub(super) fn unblock_senders(&mut self) {
        if self.blocked.is_empty() {
            return;
        }
        let (bytes, messages) = self.outbox.load();
        let half = self.limits.outbox_messages / 2;
        if bytes > self.limits.outbox_bytes / 2 || messages > half {
            return;
        }
        for _ in messages..=half {
            let Some(sender) = self.blocked.pop_front() else {
                return;
            };
            self.is_blocked.remove(&sender);
            self.events.push_back(LaneEvent::Unblocked { sender });
        }
    }

    /// One more frame, if there is one that may go.
    fn put_next(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let stopping = self
            .connection
            .as_ref()
            .is_none_or(|connection| connection.goodbye.is_some() || connection.drain.sent);
        if stopping {
            return false;
        }
        let draining = self
            .connection
            .as_ref()
            .is_some_and(|connection| connection.drain.wanted);
        if !draining {
            self.begin_large(now);
        }
        if self.outbox.since_piece >= BURST && self.put_piece(now, out) {
            return true;
        }
        if !draining && self.put_small(now, out) {
            return true;
        }
        self.put_piece(now, out)
    }

    fn put_small(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        if self.outbox.exempt.is_empty() && self.outbox.set_large_apart(self.fragment) {
            return true;
        }
        if let Some(connection) = &self.connection {
            self.outbox.shorten_run(connection.peer.window_messages / 4);
        }
        let entry = match self.outbox.exempt.pop_front() {
            Some(entry) => entry,
            None => match self.outbox.ready.front() {
                Some(Entry::Message(message)) if !self.affordable(message, now) => return false,
                Some(_) => match self.outbox.ready.pop_front() {
                    Some(entry) => entry,
                    None => return false,
                },
                None => return false,
            },
        };
        match entry {
            Entry::Cancel(cancelled) => {
                put_frame(out, FrameKind::Cancel, 0, |out| cancelled.encode(out));
            }
            Entry::Flush(flush) => {
                put_frame(out, FrameKind::Flush, 0, |out| flush.encode(out));
                if let Some(connection) = &mut self.connection {
                    connection.unacknowledged.push_back(Sent::Mark(flush));
                }
            }
            Entry::Message(message) => {
                if let Some(reason) = message.verdict(now) {
                    self.dropped(message, reason);
                } else {
                    self.put_message(&message, now, out);
                }
            }
        }
        true
    }

    /// Whether the window has room for it; what will not be sent anyway needs none.
    fn affordable(&self, message: &Outgoing, now: Instant) -> bool {
        let bytes = u32::try_from(message.size_bound()).unwrap_or(u32::MAX);
        let charge = Charge {
            messages: message.head.messages(),
            bytes,
            ..Charge::default()
        };
        message.verdict(now).is_some()
            || self
                .connection
                .as_ref()
                .is_some_and(|connection| connection.send.allows(charge))
    }

    fn put_message(&mut self, message: &Outgoing, now: Instant, out: &mut Vec<u8>) {
        let start = out.len();
        let remaining = message
            .deadline
            .map(|deadline| deadline.saturating_duration_since(now));
        let mut flags = 0;
        let body = put_frame(out, message.head.kind(), 0, |out| {
            flags = message.head.encode(remaining, out);
            out.extend_from_slice(&message.payload);
        });
        let flags_at = start.saturating_add(HEADER).saturating_sub(1);
        if let Some(place) = out.get_mut(flags_at) {
            *place = flags;
        }
        if let Some(connection) = &mut self.connection {
            if message.head.takes_credit() {
                connection.send.charge(Charge {
                    messages: message.head.messages(),
                    bytes: u32::try_from(body).unwrap_or(u32::MAX),
                    ..Charge::default()
                });
            }
            connection.unacknowledged.push_back(Sent::Message {
                token: message.token,
                messages: message.head.messages(),
            });
        }
        self.outbox.since_piece = self
            .outbox
            .since_piece
            .saturating_add(body)
            .saturating_add(HEADER);
        self.outbox.gone(message, self.fragment);
    }

    /// Begins the large messages that wait, as far as there is room for all of each.
    fn begin_large(&mut self, now: Instant) {
        while let Some(message) = self.outbox.waiting.front() {
            let Some(connection) = &mut self.connection else {
                return;
            };
            let streams = usize::try_from(connection.peer.streams).unwrap_or(usize::MAX);
            if self.outbox.active.len() >= streams {
                return;
            }
            let mut reason = message.verdict(now);
            let remaining = message
                .deadline
                .map(|deadline| deadline.saturating_duration_since(now));
            let mut head = Vec::new();
            let flags = message.head.encode(remaining, &mut head);
            let total = head.len().saturating_add(message.payload.len());
            let total = u32::try_from(total).unwrap_or(u32::MAX);
            if total > self.message_max {
                reason = reason.or(Some(DropReason::TooLarge));
            }
            let charge = charge_large(message.head.kind(), total);
            if reason.is_none() && !connection.send.allows(charge) {
                return;
            }
            match reason {
                None => {
                    connection.send.charge(charge);
                    self.outbox.begin(head, flags);
                }
                Some(reason) => {
                    if let Some(message) = self.outbox.waiting.pop_front() {
                        self.dropped(message, reason);
                    }
                }
            }
        }
    }

    /// A piece of the large message whose turn it is.
    fn put_piece(&mut self, now: Instant, out: &mut Vec<u8>) -> bool {
        let Some(mut active) = self.outbox.active.pop_front() else {
            return false;
        };
        self.outbox.since_piece = 0;
        let reason = match active.withdrawn {
            true => Some(DropReason::Cancelled),
            false => active.message.verdict(now),
        };
        if let Some(reason) = reason {
            self.give_up_pieces(active, reason, out);
            return true;
        }
        let total = active.total();
        let first = active.sent == 0;
        let left = total.saturating_sub(active.sent);
        // A message in pieces has at least two.
        let most = if first {
            self.fragment.min(left.saturating_sub(1))
        } else {
            self.fragment
        };
        let last = most >= left;
        let flags = u8::from(first)
            .saturating_mul(FIRST)
            .saturating_add(u8::from(last).saturating_mul(LAST));
        put_frame(out, FrameKind::Fragment, flags, |out| {
            put_varint(out, active.stream);
            if first {
                out.push(active.message.head.kind().code());
                out.push(active.flags);
                put_varint(out, u64::try_from(total).unwrap_or(u64::MAX));
            }
            active.put_piece(most, out);
        });
        if last {
            if let Some(connection) = &mut self.connection {
                connection.unacknowledged.push_back(Sent::Message {
                    token: active.message.token,
                    messages: 1,
                });
            }
            self.outbox.gone(&active.message, self.fragment);
        } else {
            self.outbox.active.push_back(active);
        }
        true
    }

    fn give_up_pieces(&mut self, active: Active, reason: DropReason, out: &mut Vec<u8>) {
        if active.sent > 0 {
            put_frame(out, FrameKind::Abort, 0, |out| {
                put_varint(out, active.stream);
            });
        } else if let Some(connection) = &mut self.connection {
            // The peer has never heard of it: its room is still ours.
            let total = u32::try_from(active.total()).unwrap_or(u32::MAX);
            let charge = charge_large(active.message.head.kind(), total);
            connection.send.take_back(charge);
        }
        self.dropped(active.message, reason);
    }
}

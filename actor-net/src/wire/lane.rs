//! A data lane: the messages between two peers for one NUMA node of each, over one connection at a time.
//!
//! Bytes in ([`Lane::receive`]), time in ([`Lane::tick`]), messages in ([`Lane::push`]); bytes out
//! ([`Lane::transmit`]), events out ([`Lane::poll_event`]). The lane outlives its connections: what waits when
//! one breaks goes over the next. What had gone out and was not acknowledged is *unknown*: it may have
//! arrived, so it is never sent again, and its fate is told as [`LaneEvent::Lost`].
//!
//! Whoever drives a lane calls `transmit` only when the bytes it got last are written: what small messages
//! have to wait for is then at most one such batch, and batches grow by themselves when the network is slow.
//! The kernel's own buffer has to be kept short for the same reason (`TCP_NOTSENT_LOWAT`).

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use super::codec::DecodeError;
use super::credit::{Charge, Credit, ReceiveWindow, SendWindow};
use super::error::{CloseReason, Fault, WireError};
use super::frame::{Frame, FrameDecoder, FrameKind, Stage};
use super::heartbeat::Heartbeat;
use super::limits::{Limits, PeerLimits};
use super::message::{Cancelled, Flush, Head};
use super::outbox::{DropReason, Entry, Outbox, Outgoing};
use super::reassembly::{Piece, Reassembly};
use super::receive::{TakeFrames, receive};

mod sending;

/// What [`Lane::transmit`] is asked for at a time, unless the driver knows better.
pub(crate) const BATCH: usize = 64 << 10;

/// A message that came in.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) head: Head,
    pub(crate) payload: Bytes,
    pub(crate) deadline: Option<Instant>,
    /// To be given back when the message has left the wire's hands.
    pub(crate) charge: Charge,
}

impl Incoming {
    /// Copies the payload out of what was read with it. For those who keep the message: a few bytes would
    /// keep a whole chunk of the connection in memory.
    pub(crate) fn detach(mut self) -> Self {
        self.payload = Bytes::copy_from_slice(&self.payload);
        self
    }
}

/// What a lane has to say.
#[derive(Debug)]
pub(crate) enum LaneEvent {
    Message(Incoming),
    /// A message that could not be read; `call` if it was an ask, whose asker is to be told.
    Refused {
        error: WireError,
        call: Option<u64>,
        /// How many it was.
        messages: u32,
    },
    /// A message in pieces made no progress and was dropped.
    Incomplete {
        stream: u64,
        bytes: u32,
    },
    Cancel(Cancelled),
    Flush(Flush),
    /// The peer has it.
    Delivered {
        token: u64,
    },
    /// The connection broke when it was on its way: it may have arrived or not.
    Lost {
        token: u64,
        /// How many it was.
        messages: u32,
    },
    /// It was not sent.
    Dropped {
        message: Outgoing,
        reason: DropReason,
    },
    /// There is room again for this sender.
    Unblocked {
        sender: u64,
    },
    /// Both sides have said all; the connection can be closed without loss.
    Drained,
    /// The peer ends the connection.
    Goodbye(CloseReason),
}

/// Why a message was not taken; it comes back.
#[derive(Debug)]
pub(crate) enum PushError {
    /// Too much waits already.
    Full(Outgoing),
    TooLarge {
        message: Outgoing,
        bytes: usize,
        max: u32,
    },
}

/// What a broken connection left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Messages that had gone out and were not acknowledged.
    pub(crate) unknown: usize,
    /// Messages that wait for the next connection.
    pub(crate) waiting: usize,
}

#[derive(Debug)]
struct Connection {
    decoder: FrameDecoder,
    send: SendWindow,
    receive: ReceiveWindow,
    reassembly: Reassembly,
    heartbeat: Heartbeat,
    /// What went out and is not acknowledged.
    unacknowledged: VecDeque<Sent>,
    /// When the peer is to hear of what came, at the latest.
    credit_at: Option<Instant>,
    /// Streams to give up: the id, and whether it is one of the peer's.
    aborts: Vec<(u64, bool)>,
    peer: PeerLimits,
    goodbye: Option<CloseReason>,
    drain: Drain,
    closed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Sent {
    /// A message, by its token, or so many of them.
    Message { token: u64, messages: u32 },
    /// A mark: it says the same when it comes twice, so it is sent again.
    Mark(Flush),
}

#[derive(Debug, Default)]
struct Drain {
    wanted: bool,
    sent: bool,
    by_peer: bool,
    told: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Lane {
    limits: Limits,
    fragment: usize,
    outbox: Outbox,
    connection: Option<Connection>,
    events: VecDeque<LaneEvent>,
    /// Senders that were held up, in their order.
    blocked: VecDeque<u64>,
    is_blocked: BTreeSet<u64>,
    message_max: u32,
    /// How many connections it has had.
    connections: u32,
    /// Counts what goes and comes, but for signs of life.
    used: u64,
}

impl Lane {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            fragment: usize::try_from(limits.fragment).unwrap_or(usize::MAX),
            message_max: limits.message,
            connections: 0,
            used: 0,
            limits,
            outbox: Outbox::default(),
            connection: None,
            events: VecDeque::new(),
            blocked: VecDeque::new(),
            is_blocked: BTreeSet::new(),
        }
    }

    /// A connection is there; `decoder` may hold bytes that came behind the handshake.
    pub(crate) fn connect(&mut self, mut decoder: FrameDecoder, peer: PeerLimits, now: Instant) {
        decoder.enter(Stage::Lane, self.limits.lane_frame);
        self.message_max = self.limits.message.min(peer.message);
        self.connections = self.connections.wrapping_add(1);
        self.connection = Some(Connection {
            decoder,
            send: SendWindow::new(&peer),
            receive: ReceiveWindow::new(&self.limits.promised()),
            reassembly: Reassembly::new(self.limits.streams, self.limits.message),
            heartbeat: Heartbeat::new(&self.limits, now),
            unacknowledged: VecDeque::new(),
            credit_at: None,
            aborts: Vec::new(),
            peer,
            goodbye: None,
            drain: Drain::default(),
            closed: false,
        });
    }

    /// The connection is gone. What waits stays; charges of messages that came over it need not be given
    /// back, and are ignored when they are.
    pub(crate) fn disconnect(&mut self) -> Loss {
        let Some(connection) = self.connection.take() else {
            return Loss::default();
        };
        self.outbox.restart();
        let mut unknown = 0usize;
        for sent in connection.unacknowledged {
            match sent {
                Sent::Message { token, messages } => {
                    unknown =
                        unknown.saturating_add(usize::try_from(messages).unwrap_or(usize::MAX));
                    self.event_of(token, |token| LaneEvent::Lost { token, messages });
                }
                Sent::Mark(flush) => self.outbox.exempt.push_back(Entry::Flush(flush)),
            }
        }
        let (_, waiting) = self.outbox.load();
        Loss { unknown, waiting }
    }

    /// The peer is given up: what waits is handed back.
    pub(crate) fn give_up(&mut self) -> Loss {
        let mut loss = self.disconnect();
        loss.waiting = 0;
        for entry in self.outbox.drain() {
            if let Entry::Message(message) = entry {
                let reason = DropReason::Unreachable;
                self.events
                    .push_back(LaneEvent::Dropped { message, reason });
            }
        }
        self.unblock_senders();
        loss
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    /// The next thing it has to say.
    pub(crate) fn poll_event(&mut self) -> Option<LaneEvent> {
        self.events.pop_front()
    }

    /// How many things it has to say.
    pub(crate) fn backlog(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing waits here to be sent.
    pub(crate) fn is_quiet(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Whether all that was pushed has arrived, as far as the peer has said.
    pub(crate) fn is_said(&self) -> bool {
        let connection = self.connection.as_ref();
        self.is_quiet() && connection.is_none_or(|it| it.unacknowledged.is_empty())
    }

    /// Messages that wait here to be sent; answers are not among them.
    pub(crate) fn queued(&self) -> usize {
        self.outbox.load().1
    }

    /// A number that is another one when the lane was used meanwhile.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Whether its connection could be closed and nobody would notice: nothing is on its way in either direction or
    /// waits for an acknowledgement, and no window has anything in it (the next connection begins with whole ones).
    pub(crate) fn is_at_rest(&self) -> bool {
        let Some(connection) = &self.connection else {
            return false;
        };
        self.is_quiet()
            && connection.unacknowledged.is_empty()
            && connection.aborts.is_empty()
            && connection.reassembly.is_empty()
            && connection.send.is_unused()
            && connection.receive.is_unused()
            && connection.goodbye.is_none()
            && !connection.drain.wanted
    }

    /// Whether the peer should get room back before the delay is over.
    pub(crate) fn owes_credit(&self) -> bool {
        self.connection
            .as_ref()
            .is_some_and(|connection| connection.receive.is_urgent())
    }

    /// Bytes of everything half-received or half-decoded here.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn memory(&self) -> usize {
        self.connection.as_ref().map_or(0, |connection| {
            connection
                .decoder
                .buffered()
                .saturating_add(connection.reassembly.held())
        })
    }

    /// Takes what came. After an error the connection is of no use: what `transmit` gives then is the
    /// goodbye.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<(), WireError> {
        if let Some(connection) = &mut self.connection {
            connection.heartbeat.heard(now);
        }
        receive(self, bytes, now)
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) -> Result<(), WireError> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        if let Err(fault) = connection.heartbeat.tick(now) {
            let (at, frame) = (0, None);
            return self.fail(WireError { at, frame, fault });
        }
        let timeout = self.limits.reassembly_timeout;
        for (stream, kind, bytes) in connection.reassembly.expire(now, timeout) {
            connection.receive.release(charge_large(kind, bytes));
            connection.aborts.push((stream, true));
            self.events
                .push_back(LaneEvent::Incomplete { stream, bytes });
        }
        Ok(())
    }

    /// When `tick` and then `transmit` want to be called, if nothing happens before.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let connection = self.connection.as_ref()?;
        [
            connection.heartbeat.timeout(),
            connection
                .reassembly
                .next_expiry(self.limits.reassembly_timeout),
            connection.credit_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A message has left the wire's hands: its room is the peer's again.
    pub(crate) fn release(&mut self, charge: Charge, now: Instant) {
        let delay = self.limits.credit_delay;
        if let Some(connection) = &mut self.connection
            && charge.connection == self.connections
        {
            connection.receive.release(charge);
            connection.note_credit(now.checked_add(delay));
        }
    }

    /// Says all that has begun, and asks the peer to do so; then [`LaneEvent::Drained`].
    pub(crate) fn drain(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.drain.wanted = true;
        }
    }

    /// Ends the connection with a word; the next `transmit` gives it.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if let Some(connection) = &mut self.connection {
            connection.goodbye.get_or_insert(reason);
        }
    }

    fn event_of(&mut self, token: u64, event: impl FnOnce(u64) -> LaneEvent) {
        if token != 0 {
            self.events.push_back(event(token));
        }
    }

    /// A whole message is here.
    fn whole(
        &mut self,
        at: u64,
        kind: FrameKind,
        flags: u8,
        body: &Bytes,
        charge: Charge,
        now: Instant,
    ) {
        let delay = self.limits.credit_delay;
        let Some(connection) = &mut self.connection else {
            return;
        };
        connection.receive.received();
        connection.note_credit(now.checked_add(delay));
        let event = match Head::decode(kind, flags, body) {
            Ok((head, payload)) => LaneEvent::Message(Incoming {
                deadline: self.limits.deadline(&head, now),
                head,
                payload,
                charge: Charge {
                    connection: self.connections,
                    ..charge
                },
            }),
            Err(error) => {
                connection.receive.release(charge);
                LaneEvent::Refused {
                    error: refused(at, kind, error),
                    call: Head::call_of(kind, body),
                    messages: charge.messages.max(1),
                }
            }
        };
        self.events.push_back(event);
    }
}

impl TakeFrames for Lane {
    fn decoder(&mut self) -> Option<&mut FrameDecoder> {
        self.connection
            .as_mut()
            .map(|connection| &mut connection.decoder)
    }

    fn is_over(&self) -> bool {
        self.connection
            .as_ref()
            .is_none_or(|connection| connection.closed || connection.goodbye.is_some())
    }

    fn take(&mut self, frame: Frame, now: Instant) -> Result<(), Fault> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let Frame {
            kind,
            flags,
            body,
            at,
        } = frame;
        let about_data = !matches!(
            kind,
            FrameKind::Ping
                | FrameKind::Pong
                | FrameKind::Goodbye
                | FrameKind::Credit
                | FrameKind::Abort
        );
        if connection.drain.by_peer && about_data {
            return Err(Fault::Unexpected { stage: Stage::Lane });
        }
        if about_data {
            self.used = self.used.wrapping_add(1);
        }
        match kind {
            FrameKind::Tell
            | FrameKind::Tells
            | FrameKind::Ask
            | FrameKind::Reply
            | FrameKind::Fail => {
                let mut charge = Charge::default();
                if matches!(kind, FrameKind::Tell | FrameKind::Tells | FrameKind::Ask) {
                    charge.messages = Head::messages_of(kind, &body).map_err(Fault::Malformed)?;
                    charge.bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
                }
                connection.receive.take(charge)?;
                self.whole(at, kind, flags, &body, charge, now);
            }
            FrameKind::Fragment => {
                let room = connection.receive.room_large();
                match connection.reassembly.take(flags, &body, room, now)? {
                    Piece::Begun { charge, kind } => {
                        connection.receive.take(charge_large(kind, charge))?;
                    }
                    Piece::More => {}
                    Piece::Discarded => {
                        connection.receive.received();
                        let at = now.checked_add(self.limits.credit_delay);
                        connection.note_credit(at);
                    }
                    Piece::Complete(whole) => {
                        let charge = charge_large(whole.kind, whole.charge);
                        self.whole(at, whole.kind, whole.flags, &whole.body, charge, now);
                    }
                }
            }
            FrameKind::Abort => {
                let stream = stream_of(&body).map_err(Fault::Malformed)?;
                if flags != 0 {
                    self.discarded_by_peer(stream);
                } else {
                    let (charge, kind) = connection.reassembly.abort(stream)?;
                    if let Some(kind) = kind {
                        connection.receive.release(charge_large(kind, charge));
                        let at = now.checked_add(self.limits.credit_delay);
                        connection.note_credit(at);
                    }
                }
            }
            FrameKind::Credit => {
                let credit = Credit::decode(&body).map_err(Fault::Malformed)?;
                self.credit(&credit)?;
            }
            FrameKind::Cancel => {
                let cancelled = Cancelled::decode(&body).map_err(Fault::Malformed)?;
                self.events.push_back(LaneEvent::Cancel(cancelled));
            }
            FrameKind::Flush => {
                let flush = Flush::decode(&body).map_err(Fault::Malformed)?;
                connection.receive.received();
                connection.note_credit(now.checked_add(self.limits.credit_delay));
                self.events.push_back(LaneEvent::Flush(flush));
            }
            FrameKind::Drain => {
                connection.drain.by_peer = true;
                connection.drain.wanted = true;
                if !connection.reassembly.is_empty() {
                    return Err(Fault::Stream {
                        stream: 0,
                        what: "the connection is drained while a message in pieces is incomplete",
                    });
                }
                // The peer wants to know what came before the connection goes.
                connection.credit_at = Some(now);
            }
            FrameKind::Ping => connection.heartbeat.ping(&body)?,
            FrameKind::Pong => connection.heartbeat.pong(&body, now)?,
            FrameKind::Goodbye => {
                let reason = CloseReason::decode(&body)?;
                connection.closed = true;
                self.events.push_back(LaneEvent::Goodbye(reason));
            }
            FrameKind::Hello
            | FrameKind::Welcome
            | FrameKind::Confirm
            | FrameKind::Refuse
            | FrameKind::Signal
            | FrameKind::SignalAck
            | FrameKind::Table
            | FrameKind::Datagram => return Err(Fault::Unexpected { stage: Stage::Lane }),
        }
        Ok(())
    }

    fn fail(&mut self, error: WireError) -> Result<(), WireError> {
        self.close(CloseReason::of(&error));
        Err(error)
    }
}

impl Connection {
    fn note_credit(&mut self, at: Option<Instant>) {
        if self.credit_at.is_none() {
            self.credit_at = at;
        }
    }
}

impl Limits {
    /// When what came with `head` expires: what remains, from now, and not believed beyond the maximum.
    fn deadline(&self, head: &Head, now: Instant) -> Option<Instant> {
        let remaining = head.addressed()?.context.as_ref()?.remaining?;
        now.checked_add(remaining.min(self.deadline_max))
    }
}

fn charge_large(kind: FrameKind, large: u32) -> Charge {
    Charge {
        messages: u32::from(matches!(kind, FrameKind::Tell | FrameKind::Ask)),
        large,
        ..Charge::default()
    }
}

fn stream_of(body: &[u8]) -> Result<u64, DecodeError> {
    let mut reader = super::codec::Reader::new(body);
    let stream = reader.varint("stream")?;
    reader.finish()?;
    Ok(stream)
}

fn refused(at: u64, kind: FrameKind, error: DecodeError) -> WireError {
    WireError {
        at,
        frame: Some(kind),
        fault: Fault::Message(error),
    }
}

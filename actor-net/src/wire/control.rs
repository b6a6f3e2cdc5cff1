//! The control connection to a peer: lifecycle signals, the table of message types, gossip's datagrams,
//! heartbeats.
//!
//! [`Control`] is one *association*: this life of ours with one life of the peer. It outlives its
//! connections, which only carry it; a new life of the peer gets a new one. Bytes and time in, bytes and
//! events out, as with a [`Lane`](super::lane::Lane).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::codec::{Reader, put_varint};
use super::error::{CloseReason, Fault, WireError};
use super::frame::{Frame, FrameDecoder, FrameKind, Stage, put_frame};
use super::heartbeat::Heartbeat;
use super::limits::{Limits, PeerLimits};
use super::receive::{TakeFrames, receive};
use super::signal::{Held, Signal, SignalInbox, SignalOutbox, Undeliverable};
use super::table::{self, MessageTable, TableBuilder};

/// What the control connection has to say.
#[derive(Debug)]
pub(crate) enum ControlEvent {
    /// Once for each signal, after what has to come before it.
    Signal(Signal),
    /// Which types the peer takes; messages can be sent from now on.
    Table(MessageTable),
    /// Bytes of a floor above.
    Datagram { channel: u8, bytes: Bytes },
    /// Signals cannot be delivered: the peer is to be declared dead.
    Undeliverable(Undeliverable),
    /// The peer ends the connection.
    Goodbye(CloseReason),
}

/// A datagram that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatagramError {
    NotConnected,
    TooLong {
        bytes: usize,
        max: usize,
    },
    /// Too many bytes wait already.
    Full,
}

#[derive(Debug)]
struct Connection {
    decoder: FrameDecoder,
    heartbeat: Heartbeat,
    peer: PeerLimits,
    /// Frames of our table that are still to be sent, the last one first.
    table: Vec<Vec<u8>>,
    incoming_table: Option<TableBuilder>,
    datagrams: VecDeque<Vec<u8>>,
    datagram_bytes: usize,
    goodbye: Option<CloseReason>,
    closed: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Control {
    limits: Limits,
    own_table: MessageTable,
    connection: Option<Connection>,
    outbox: SignalOutbox,
    inbox: SignalInbox,
    held: Held,
    events: VecDeque<ControlEvent>,
    gave_up: bool,
}

/// What a control connection needs to know of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resumed {
    pub(crate) limits: PeerLimits,
    /// How far the peer has got our signals.
    pub(crate) received_through: u64,
    /// The hash over what the peer exports.
    pub(crate) schema: u64,
}

impl Control {
    pub(crate) fn new(limits: Limits, own_table: MessageTable) -> Self {
        Self {
            outbox: SignalOutbox::new(limits.signals, limits.signal_age),
            inbox: SignalInbox::default(),
            held: Held::default(),
            events: VecDeque::new(),
            connection: None,
            gave_up: false,
            own_table,
            limits,
        }
    }

    /// How far the peer's signals have come; to be said in the handshake.
    pub(crate) fn received_through(&self) -> u64 {
        self.inbox.received()
    }

    /// A connection is there.
    pub(crate) fn connect(
        &mut self,
        mut decoder: FrameDecoder,
        resumed: Resumed,
        now: Instant,
    ) -> Result<(), WireError> {
        self.outbox
            .resume(resumed.received_through)
            .map_err(|fault| WireError {
                at: 0,
                frame: Some(FrameKind::Hello),
                fault,
            })?;
        decoder.enter(Stage::Control, self.limits.control_frame);
        let same = resumed.schema == self.own_table.hash();
        let mut table = Vec::new();
        if same {
            self.events
                .push_back(ControlEvent::Table(self.own_table.clone()));
        } else {
            let max = usize::try_from(resumed.limits.control_frame).unwrap_or(usize::MAX);
            table = self.own_table.frames(max);
            table.reverse();
        }
        self.connection = Some(Connection {
            decoder,
            heartbeat: Heartbeat::new(&self.limits, now),
            peer: resumed.limits,
            table,
            incoming_table: (!same).then(|| TableBuilder::new(self.limits.message_types)),
            datagrams: VecDeque::new(),
            datagram_bytes: 0,
            goodbye: None,
            closed: false,
        });
        Ok(())
    }

    /// The connection is gone; datagrams that waited go with it.
    pub(crate) fn disconnect(&mut self) {
        self.connection = None;
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection.is_some()
    }

    pub(crate) fn poll_event(&mut self) -> Option<ControlEvent> {
        self.events.pop_front()
    }

    /// How many things it has to say.
    pub(crate) fn backlog(&self) -> usize {
        self.events.len()
    }

    /// The smoothed round trip of the present connection.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.connection.as_ref()?.heartbeat.round_trip()
    }

    /// Bytes of what is half-decoded.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn memory(&self) -> usize {
        self.connection
            .as_ref()
            .map_or(0, |connection| connection.decoder.buffered())
    }

    /// Signals that are not acknowledged, and signals that are held.
    pub(crate) fn signals(&self) -> (usize, usize) {
        (self.outbox.len(), self.held.len())
    }

    /// Sends a signal, now or over a later connection, and says its number. If it is a marked one, the caller
    /// puts the mark behind the actor's messages on their lane: `Lane::flush` with this number.
    pub(crate) fn signal(&mut self, signal: Signal, now: Instant) -> Result<u64, Undeliverable> {
        self.outbox.push(signal, now)
    }

    /// Sends bytes of a floor above; they may be lost.
    pub(crate) fn datagram(&mut self, channel: u8, bytes: &[u8]) -> Result<(), DatagramError> {
        let Some(connection) = &mut self.connection else {
            return Err(DatagramError::NotConnected);
        };
        let len = bytes.len();
        let max = usize::try_from(connection.peer.control_frame).unwrap_or(usize::MAX);
        let max = max.saturating_sub(1);
        if len > max {
            return Err(DatagramError::TooLong { bytes: len, max });
        }
        let waiting = connection.datagram_bytes.saturating_add(len);
        if waiting > self.limits.datagram_bytes {
            return Err(DatagramError::Full);
        }
        let mut body = Vec::with_capacity(len.saturating_add(1));
        body.push(channel);
        body.extend_from_slice(bytes);
        connection.datagrams.push_back(body);
        connection.datagram_bytes = waiting;
        Ok(())
    }

    /// The mark behind an actor's last message came over its lane.
    pub(crate) fn flushed(&mut self, number: u64) {
        let signal = self.held.mark(number, self.inbox.received());
        self.events.extend(signal.map(ControlEvent::Signal));
    }

    /// Ends the connection with a word; the next `transmit` gives it.
    pub(crate) fn close(&mut self, reason: CloseReason) {
        if let Some(connection) = &mut self.connection {
            connection.goodbye.get_or_insert(reason);
        }
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
        if let Err(undeliverable) = self.outbox.tick(now)
            && !self.gave_up
        {
            self.gave_up = true;
            self.events
                .push_back(ControlEvent::Undeliverable(undeliverable));
        }
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        match connection.heartbeat.tick(now) {
            Ok(()) => Ok(()),
            Err(fault) => {
                let (at, frame) = (0, None);
                self.fail(WireError { at, frame, fault })
            }
        }
    }

    /// When `tick` and then `transmit` want to be called, if nothing happens before.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let heartbeat = self
            .connection
            .as_ref()
            .and_then(|connection| connection.heartbeat.timeout());
        let age = self.outbox.timeout().filter(|_| !self.gave_up);
        heartbeat.into_iter().chain(age).min()
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
        if let Some(received) = self.inbox.due() {
            put_frame(out, FrameKind::SignalAck, 0, |out| {
                put_varint(out, received)
            });
        }
        while connection.goodbye.is_none() && out.len() < budget {
            if let Some((number, signal)) = self.outbox.next() {
                put_frame(out, FrameKind::Signal, 0, |out| signal.encode(number, out));
            } else if let Some(body) = connection.table.pop() {
                let last = u8::from(connection.table.is_empty());
                let flags = last.saturating_mul(table::LAST);
                put_frame(out, FrameKind::Table, flags, |out| {
                    out.extend_from_slice(&body);
                });
            } else if let Some(body) = connection.datagrams.pop_front() {
                let len = body.len().saturating_sub(1);
                connection.datagram_bytes = connection.datagram_bytes.saturating_sub(len);
                put_frame(out, FrameKind::Datagram, 0, |out| {
                    out.extend_from_slice(&body);
                });
            } else {
                break;
            }
        }
        if let Some(goodbye) = connection.goodbye.take() {
            goodbye.put(out);
            connection.closed = true;
        }
    }
}

impl TakeFrames for Control {
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
            kind, flags, body, ..
        } = frame;
        match kind {
            FrameKind::Signal => {
                let (number, signal) = Signal::decode(&body).map_err(Fault::Malformed)?;
                if self.inbox.take(number)? {
                    let signal = self.held.offer(number, signal);
                    self.events.extend(signal.map(ControlEvent::Signal));
                }
            }
            FrameKind::SignalAck => {
                let mut reader = Reader::new(&body);
                let received = reader.varint("received").map_err(Fault::Malformed)?;
                reader.finish().map_err(Fault::Malformed)?;
                self.outbox.acknowledged(received)?;
            }
            FrameKind::Table => {
                let Some(builder) = &mut connection.incoming_table else {
                    return Err(Fault::Table {
                        what: "it is complete already, or was not needed",
                    });
                };
                if let Some(table) = builder.take(flags, &body)? {
                    connection.incoming_table = None;
                    self.events.push_back(ControlEvent::Table(table));
                }
            }
            FrameKind::Datagram => {
                let mut reader = Reader::new(&body);
                let channel = reader.u8("channel").map_err(Fault::Malformed)?;
                let bytes = body.slice(reader.at().min(body.len())..);
                self.events
                    .push_back(ControlEvent::Datagram { channel, bytes });
            }
            FrameKind::Ping => connection.heartbeat.ping(&body)?,
            FrameKind::Pong => connection.heartbeat.pong(&body, now)?,
            FrameKind::Goodbye => {
                let reason = CloseReason::decode(&body)?;
                connection.closed = true;
                self.events.push_back(ControlEvent::Goodbye(reason));
            }
            _ => {
                return Err(Fault::Unexpected {
                    stage: Stage::Control,
                });
            }
        }
        Ok(())
    }

    fn fail(&mut self, error: WireError) -> Result<(), WireError> {
        self.close(CloseReason::of(&error));
        Err(error)
    }
}

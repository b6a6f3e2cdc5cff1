//! Messages in pieces, put together again.
//!
//! The first piece says how long the whole will be, and the window is charged for that at once: so what is
//! incomplete never exceeds the window, and no two half-received messages can wait for each other's room.
//! Memory is another matter: it grows with the pieces, whatever length was declared.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::codec::{DecodeError, Reader};
use super::error::Fault;
use super::frame::FrameKind;

/// Flag: the first piece; it says what the whole is.
pub(crate) const FIRST: u8 = 1;
/// Flag: the last piece.
pub(crate) const LAST: u8 = 2;

/// A frame that came in pieces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    pub(crate) kind: FrameKind,
    pub(crate) flags: u8,
    pub(crate) body: Bytes,
    /// Bytes of the window for large messages that it takes.
    pub(crate) charge: u32,
}

/// What a piece led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A message has begun, and takes that much of the window.
    Begun {
        charge: u32,
        kind: FrameKind,
    },
    /// More is to come.
    More,
    Complete(Whole),
    /// The end of one that was dropped here.
    Discarded,
}

#[derive(Debug)]
struct Stream {
    kind: FrameKind,
    flags: u8,
    total: u32,
    bytes: BytesMut,
    moved_at: Instant,
    /// It was dropped here; its pieces are thrown away until the sender has heard of it.
    discarded: bool,
}

/// The incomplete messages of one lane.
#[derive(Debug)]
pub(crate) struct Reassembly {
    streams: BTreeMap<u64, Stream>,
    streams_max: usize,
    message_max: u32,
    held: usize,
}

/// The head of a piece.
struct PieceHead {
    stream: u64,
    first: Option<(u8, u8, u32)>,
}

impl PieceHead {
    fn decode(reader: &mut Reader<'_>, flags: u8) -> Result<Self, DecodeError> {
        let stream = reader.varint("stream")?;
        let first = if flags & FIRST != 0 {
            let kind = reader.u8("kind of the whole")?;
            let flags = reader.u8("flags of the whole")?;
            Some((kind, flags, reader.varint32("length of the whole")?))
        } else {
            None
        };
        Ok(Self { stream, first })
    }
}

impl Reassembly {
    pub(crate) fn new(streams_max: u32, message_max: u32) -> Self {
        Self {
            streams: BTreeMap::new(),
            streams_max: usize::try_from(streams_max).unwrap_or(usize::MAX),
            message_max,
            held: 0,
        }
    }

    /// Bytes of incomplete messages.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }

    /// Takes a piece. `room` is what is left of the window for large messages.
    pub(crate) fn take(
        &mut self,
        flags: u8,
        body: &Bytes,
        room: u32,
        now: Instant,
    ) -> Result<Piece, Fault> {
        let mut reader = Reader::new(body);
        let head = PieceHead::decode(&mut reader, flags).map_err(Fault::Malformed)?;
        let id = head.stream;
        let wrong = |what| Err(Fault::Stream { stream: id, what });
        let bytes = body.get(reader.at()..).unwrap_or_default();
        if bytes.is_empty() {
            return wrong("a piece without bytes");
        }
        let mut begun = None;
        if let Some((code, inner, total)) = head.first {
            let Some(
                kind @ (FrameKind::Tell | FrameKind::Ask | FrameKind::Reply | FrameKind::Fail),
            ) = FrameKind::from_code(code)
            else {
                return wrong("the whole is no message");
            };
            if total > self.message_max {
                return wrong("the whole is longer than a message may be");
            }
            if self.streams.contains_key(&id) {
                return wrong("it has begun already");
            }
            if self.streams.len() >= self.streams_max {
                return wrong("more messages in pieces at a time than allowed");
            }
            if total > room {
                return Err(Fault::Credit {
                    which: "bytes of large messages",
                    over: u64::from(total.saturating_sub(room)),
                });
            }
            let stream = Stream {
                kind,
                flags: inner,
                total,
                bytes: BytesMut::new(),
                moved_at: now,
                discarded: false,
            };
            self.streams.insert(id, stream);
            begun = Some(Piece::Begun {
                charge: total,
                kind,
            });
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            return wrong("a piece of a message that has not begun");
        };
        stream.moved_at = now;
        if stream.discarded {
            if flags & LAST != 0 {
                self.streams.remove(&id);
                return Ok(Piece::Discarded);
            }
            return Ok(Piece::More);
        }
        let total = usize::try_from(stream.total).unwrap_or(usize::MAX);
        let len = stream.bytes.len().saturating_add(bytes.len());
        if len > total {
            return wrong("more bytes than the whole was to have");
        }
        stream.bytes.extend_from_slice(bytes);
        self.held = self.held.saturating_add(bytes.len());
        if flags & LAST == 0 {
            if len == total {
                return wrong("all bytes are there, and the piece is not marked as the last");
            }
            return Ok(begun.unwrap_or(Piece::More));
        }
        if len < total {
            return wrong("it ends before all bytes are there");
        }
        if begun.is_some() {
            return wrong("a whole in one piece is no message in pieces");
        }
        let Some(stream) = self.streams.remove(&id) else {
            return wrong("a piece of a message that has not begun");
        };
        self.held = self.held.saturating_sub(len);
        Ok(Piece::Complete(Whole {
            kind: stream.kind,
            flags: stream.flags,
            body: stream.bytes.freeze(),
            charge: stream.total,
        }))
    }

    /// The sender gives one up; what of the window is free again.
    pub(crate) fn abort(&mut self, id: u64) -> Result<(u32, Option<FrameKind>), Fault> {
        let Some(stream) = self.streams.remove(&id) else {
            return Err(Fault::Stream {
                stream: id,
                what: "given up, but has not begun",
            });
        };
        self.held = self.held.saturating_sub(stream.bytes.len());
        if stream.discarded {
            return Ok((0, None));
        }
        Ok((stream.total, Some(stream.kind)))
    }

    /// Drops the bytes of those that made no progress for `timeout`: their ids, kinds and charges.
    pub(crate) fn expire(&mut self, now: Instant, timeout: Duration) -> Vec<(u64, FrameKind, u32)> {
        let mut expired = Vec::new();
        for (id, stream) in &mut self.streams {
            if stream.discarded || now.saturating_duration_since(stream.moved_at) < timeout {
                continue;
            }
            self.held = self.held.saturating_sub(stream.bytes.len());
            stream.bytes = BytesMut::new();
            stream.discarded = true;
            expired.push((*id, stream.kind, stream.total));
        }
        expired
    }

    /// When `expire` has something to do, if nothing comes.
    pub(crate) fn next_expiry(&self, timeout: Duration) -> Option<Instant> {
        self.streams
            .values()
            .filter(|stream| !stream.discarded)
            .filter_map(|stream| stream.moved_at.checked_add(timeout))
            .min()
    }
}

//! The frame: six bytes of header and a body, and the decoder that finds frames in a stream.
//!
//! ```text
//! byte 0..4   length of the body, u32 little-endian
//! byte 4      what kind of frame
//! byte 5      flags; their meaning is the kind's, and bits without one are zero
//! byte 6..    the body
//! ```
//!
//! A header is judged as soon as its six bytes are here: a length beyond the limit, a kind that has no
//! business on this connection or at this time, a flag without a meaning end the connection before a byte of
//! the body is waited for. Kinds from 0x80 on are extensions: who does not know one skips it.
//!
//! **Memory**: a decoder holds at most one incomplete frame and what was read at once beyond it, see
//! [`FrameDecoder::memory_max`], whatever comes and however slowly.

use bytes::{Buf, Bytes, BytesMut};

use super::error::{Fault, WireError};
use super::limits::HANDSHAKE_FRAME_MAX;

pub(crate) const HEADER: usize = 6;

/// What is read from the socket at once, before and after authentication.
const CHUNK_HANDSHAKE: usize = 4 << 10;
const CHUNK: usize = 64 << 10;

/// Kinds from here on may be skipped by those who do not know them.
const EXTENSION: u8 = 0x80;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $code:literal, $stage:ident, flags $flags:literal, body $max:expr;)*) => {
        /// What a frame is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum FrameKind {
            $($(#[$doc])* $kind,)*
        }

        impl FrameKind {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$kind),*];

            pub(crate) const fn code(self) -> u8 {
                match self { $(Self::$kind => $code,)* }
            }

            pub(crate) const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$kind),)* _ => None }
            }

            /// The flags that have a meaning.
            const fn flags(self) -> u8 {
                match self { $(Self::$kind => $flags,)* }
            }

            /// The longest body, if it is shorter than the connection's limit.
            const fn body_max(self) -> usize {
                match self { $(Self::$kind => $max,)* }
            }

            fn belongs(self, stage: Stage) -> bool {
                let place = match self { $(Self::$kind => Place::$stage,)* };
                match place {
                    Place::Both => stage != Stage::Handshake,
                    Place::Handshake => stage == Stage::Handshake,
                    Place::Control => stage == Stage::Control,
                    Place::Lane => stage == Stage::Lane,
                }
            }
        }
    };
}

enum Place {
    Handshake,
    Control,
    Lane,
    Both,
}

const ANY: usize = usize::MAX;

kinds! {
    /// The dialler's greeting.
    Hello = 0x01, Handshake, flags 0, body ANY;
    /// The acceptor's answer.
    Welcome = 0x02, Handshake, flags 0, body ANY;
    /// The dialler's proof.
    Confirm = 0x03, Handshake, flags 0, body 64;
    /// No, and why.
    Refuse = 0x04, Handshake, flags 0, body 512;
    /// Are you there?
    Ping = 0x10, Both, flags 0, body 8;
    /// I am.
    Pong = 0x11, Both, flags 0, body 8;
    /// The last frame of a connection, and why.
    Goodbye = 0x12, Both, flags 0, body 512;
    /// A lifecycle signal.
    Signal = 0x18, Control, flags 0, body 2048;
    /// Signals up to here have come.
    SignalAck = 0x19, Control, flags 0, body 10;
    /// Message types that this side takes.
    Table = 0x1a, Control, flags 1, body ANY;
    /// Bytes for a floor above (gossip, consensus); may be lost.
    Datagram = 0x1b, Control, flags 0, body ANY;
    /// A message that wants no answer.
    Tell = 0x20, Lane, flags 3, body ANY;
    /// A message that wants one.
    Ask = 0x21, Lane, flags 3, body ANY;
    /// The answer.
    Reply = 0x22, Lane, flags 0, body ANY;
    /// There is no answer, and why.
    Fail = 0x23, Lane, flags 0, body 2048;
    /// Nobody wants the answer any more.
    Cancel = 0x24, Lane, flags 0, body 11;
    /// What an actor sent before it ended has all been sent.
    Flush = 0x25, Lane, flags 0, body 18;
    /// Messages that go as one.
    Tells = 0x26, Lane, flags 3, body ANY;
    /// A piece of a message.
    Fragment = 0x28, Lane, flags 3, body ANY;
    /// A message in pieces will not be completed.
    Abort = 0x29, Lane, flags 1, body 10;
    /// So much has come, so much was taken out.
    Credit = 0x2a, Lane, flags 0, body 40;
    /// Nothing more will be sent on this connection; it is to be closed.
    Drain = 0x2b, Lane, flags 0, body 0;
}

/// What a connection is for, and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Handshake,
    Control,
    Lane,
}

/// One frame that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    pub(crate) flags: u8,
    pub(crate) body: Bytes,
    /// Where its header begins, in bytes of the connection.
    pub(crate) at: u64,
}

/// Finds frames in a stream that arrives in any pieces.
#[derive(Debug)]
pub(crate) struct FrameDecoder {
    buffer: BytesMut,
    stage: Stage,
    frame_max: usize,
    /// Bytes of the connection that are done with.
    at: u64,
    skipped: u64,
}

impl FrameDecoder {
    pub(crate) fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            stage: Stage::Handshake,
            frame_max: HANDSHAKE_FRAME_MAX,
            at: 0,
            skipped: 0,
        }
    }

    /// From now on frames of another stage come, of at most `frame_max` bytes of body.
    pub(crate) fn enter(&mut self, stage: Stage, frame_max: u32) {
        self.stage = stage;
        self.frame_max = usize::try_from(frame_max).unwrap_or(HANDSHAKE_FRAME_MAX);
    }

    fn chunk(&self) -> usize {
        match self.stage {
            Stage::Handshake => CHUNK_HANDSHAKE,
            Stage::Control | Stage::Lane => CHUNK,
        }
    }

    /// The most it ever holds: a frame and what one read may bring.
    pub(crate) fn memory_max(&self) -> usize {
        self.frame_max
            .saturating_add(HEADER)
            .saturating_add(self.chunk())
    }

    /// What it holds now.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// What it has allocated.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Frames of unknown extensions that were skipped.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Takes bytes off the front of `bytes`, as many as there is room for, and says how many. There is
    /// always room for some after `next` has said that it needs more.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> usize {
        let room = self.memory_max().saturating_sub(self.buffer.len());
        let taken = bytes.get(..room.min(bytes.len())).unwrap_or_default();
        self.buffer.extend_from_slice(taken);
        taken.len()
    }

    /// The next frame, if it is here. After an error the connection is of no use any more.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, WireError> {
        loop {
            let Some(&[l0, l1, l2, l3, code, flags]) = self.buffer.first_chunk::<HEADER>() else {
                return Ok(None);
            };
            let len = u32::from_le_bytes([l0, l1, l2, l3]);
            let at = self.at;
            let kind = FrameKind::from_code(code);
            let fault = |fault| {
                Err(WireError {
                    at,
                    frame: kind,
                    fault,
                })
            };
            let max = kind.map_or(self.frame_max, |kind| kind.body_max().min(self.frame_max));
            let body_len = match usize::try_from(len) {
                Ok(body_len) if body_len <= max => body_len,
                _ => return fault(Fault::TooLong { len, max }),
            };
            match kind {
                None if code < EXTENSION || self.stage == Stage::Handshake => {
                    return fault(Fault::UnknownFrame { code });
                }
                Some(kind) if !kind.belongs(self.stage) => {
                    return fault(Fault::Unexpected { stage: self.stage });
                }
                Some(kind) if flags & !kind.flags() != 0 => {
                    return fault(Fault::Flags { flags });
                }
                _ => {}
            }
            let whole = HEADER.saturating_add(body_len);
            if self.buffer.len() < whole {
                return Ok(None);
            }
            let mut body = self.buffer.split_to(whole);
            body.advance(HEADER);
            self.at = at.saturating_add(u64::try_from(whole).unwrap_or(u64::MAX));
            let Some(kind) = kind else {
                self.skipped = self.skipped.saturating_add(1);
                continue;
            };
            return Ok(Some(Frame {
                kind,
                flags,
                body: body.freeze(),
                at,
            }));
        }
    }
}

/// Writes a frame whose body `write` appends; gives back the body's length.
pub(crate) fn put_frame(
    out: &mut Vec<u8>,
    kind: FrameKind,
    flags: u8,
    write: impl FnOnce(&mut Vec<u8>),
) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind.code(), flags]);
    write(out);
    let len = out.len().saturating_sub(start).saturating_sub(HEADER);
    let length = u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(place) = out
        .get_mut(start..)
        .and_then(|frame| frame.first_chunk_mut())
    {
        *place = length;
    }
    len
}

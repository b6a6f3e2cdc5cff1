//! What can be wrong with what a peer sends, and what becomes of the connection.
//!
//! Two classes. *Fatal*: the two sides no longer agree on what was said (a frame that cannot be delimited, a
//! credit that was never given, a piece of nothing), so the connection is closed with a goodbye that says why.
//! *One message*: the frame stands, its inside makes no sense (an unknown code, a text that is none); it is
//! refused, counted and, if it was a question, answered with a failure; the connection goes on.

use std::fmt;
use std::time::Duration;

use super::codec::DecodeError;
use super::frame::{FrameKind, Stage};

/// Something a peer sent that cannot be, and where in the connection's bytes its frame begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WireError {
    pub(crate) at: u64,
    pub(crate) frame: Option<FrameKind>,
    pub(crate) fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The body is declared longer than it may be.
    TooLong { len: u32, max: usize },
    /// A kind of frame that nobody knows.
    UnknownFrame { code: u8 },
    /// A kind that does not belong on this connection, or not yet.
    Unexpected { stage: Stage },
    /// Flags without a meaning.
    Flags { flags: u8 },
    /// The body of a frame that the connection's state depends on.
    Malformed(DecodeError),
    /// The inside of one message.
    Message(DecodeError),
    /// More was sent than the window allowed.
    Credit { which: &'static str, over: u64 },
    /// More was given back, or acknowledged, than had been sent.
    Returned { which: &'static str, over: u64 },
    /// A piece that does not fit what came before.
    Stream { stream: u64, what: &'static str },
    /// A signal out of its turn.
    Signal { expected: u64, got: u64 },
    /// More types than allowed, or numbers that repeat.
    Table { what: &'static str },
    /// Nothing came for longer than allowed.
    Silent { after: Duration },
}

impl Fault {
    /// Whether the connection ends by it; otherwise one message is refused.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_fatal(&self) -> bool {
        !matches!(self, Self::Message(_))
    }

    /// Its number in a goodbye.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::TooLong { .. } => 1,
            Self::UnknownFrame { .. } => 2,
            Self::Unexpected { .. } => 3,
            Self::Flags { .. } => 4,
            Self::Malformed(_) | Self::Message(_) => 5,
            Self::Credit { .. } => 6,
            Self::Returned { .. } => 7,
            Self::Stream { .. } => 8,
            Self::Signal { .. } => 9,
            Self::Table { .. } => 10,
            Self::Silent { .. } => 11,
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.frame {
            Some(kind) => write!(f, "{kind:?} frame at byte {}: ", self.at)?,
            None => write!(f, "frame at byte {}: ", self.at)?,
        }
        match &self.fault {
            Fault::TooLong { len, max } => write!(
                f,
                "a body of {len} bytes, at most {max} are allowed; is this a peer of the same protocol, and \
                 do both sides have the same limits?"
            ),
            Fault::UnknownFrame { code } => write!(
                f,
                "unknown kind {code:#04x}; the other side speaks another version or another protocol"
            ),
            Fault::Unexpected { stage } => write!(f, "does not belong in stage {stage:?}"),
            Fault::Flags { flags } => write!(f, "flags {flags:#04x} without a meaning"),
            Fault::Malformed(error) | Fault::Message(error) => error.fmt(f),
            Fault::Credit { which, over } => {
                write!(f, "{over} {which} more than the window allows")
            }
            Fault::Returned { which, over } => {
                write!(f, "{over} {which} more given back than were sent")
            }
            Fault::Stream { stream, what } => write!(f, "stream {stream}: {what}"),
            Fault::Signal { expected, got } => {
                write!(f, "signal {got} came where {expected} was due")
            }
            Fault::Table { what } => write!(f, "the table of message types: {what}"),
            Fault::Silent { after } => write!(
                f,
                "nothing came for {after:?}; the peer is gone, stuck, or the network is cut"
            ),
        }
    }
}

impl std::error::Error for WireError {}

/// Why a connection was ended, as the goodbye says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The peer shuts down.
    Shutdown,
    /// Another connection takes the place of this one.
    Replaced,
    /// It was not used.
    Idle,
    /// What this side sent was wrong: the fault's number, and its text.
    Fault { code: u8, detail: String },
    /// A reason of a later version.
    Other { code: u8, detail: String },
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shutdown => f.write_str("the peer shuts down"),
            Self::Replaced => f.write_str("another connection took its place"),
            Self::Idle => f.write_str("it was not used"),
            Self::Fault { code, detail } => {
                write!(
                    f,
                    "the peer found a fault ({code}) in what it got: {detail}"
                )
            }
            Self::Other { code, detail } => write!(f, "reason {code}: {detail}"),
        }
    }
}

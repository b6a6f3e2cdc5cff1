//! What goes over a data lane: tells, asks, their answers, cancellations, and the mark behind an actor's last
//! message. Tells that have all but their payload in common go as one (`run.rs`).
//!
//! Who sent a message is the connection's peer, never a field: an address here is only which of its actors.

use bytes::Bytes;

use super::codec::{Decoded, Flaw, Reader, cut, put_text, put_u64, put_varint};
use super::context::ContextBlock;
use super::frame::FrameKind;
use super::limits::{DETAIL_MAX, NAME_MAX};
use super::run;

/// Flag of `Tell` and `Ask`: the sender's address is there.
const SENDER: u8 = 1;
/// Flag of `Tell` and `Ask`: a context block is there.
const CONTEXT: u8 = 2;

/// An actor of one peer: its id there, and a random key that a stranger cannot guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub(crate) id: u64,
    pub(crate) key: u64,
}

impl Address {
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        put_u64(out, self.id);
        put_u64(out, self.key);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>, field: &'static str) -> Decoded<Self> {
        Ok(Self {
            id: reader.u64(field)?,
            key: reader.u64(field)?,
        })
    }
}

/// Whom a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Actor(Address),
    /// A name that the peer has exported.
    Name(String),
}

/// Where a message goes, where it comes from, and what travels with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Addressed {
    /// The number that the *receiver* has given to the message's type, see `table.rs`.
    pub(crate) message_type: u32,
    pub(crate) target: Target,
    pub(crate) sender: Option<Address>,
    pub(crate) context: Option<ContextBlock>,
}

/// The head of what goes over a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Tell(Addressed),
    /// So many tells; the payload is a run of theirs.
    Tells {
        count: u32,
        to: Addressed,
    },
    Ask {
        call: u64,
        /// The lane on which the asker wants the answer.
        reply_lane: u8,
        to: Addressed,
    },
    Reply {
        call: u64,
    },
    Fail {
        call: u64,
        code: FailCode,
        detail: String,
    },
}

/// Why an ask has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailCode {
    /// There is no such actor, or not any more.
    Dead,
    /// The type, the actor or the name is not exported to this peer.
    NotExported,
    /// Both know the type, and mean different things by it.
    SchemaDiffers,
    /// Its mailbox is full.
    Full,
    /// The deadline passed before it was handled.
    Expired,
    Cancelled,
    /// The handler panicked.
    Panicked,
    /// The handler did not answer.
    NoReply,
    /// The actor stopped before it came to it.
    Stopped,
    /// The message could not be read.
    Malformed,
    /// The answer is longer than the asker takes.
    TooLarge,
    /// The actors that wait for each other are in the detail.
    Deadlock,
    /// There was an answer, and it was lost with a connection.
    Lost,
    /// A code of a later version.
    Other(u8),
}

const FAIL_CODES: [(FailCode, u8); 13] = [
    (FailCode::Dead, 1),
    (FailCode::NotExported, 2),
    (FailCode::SchemaDiffers, 3),
    (FailCode::Full, 4),
    (FailCode::Expired, 5),
    (FailCode::Cancelled, 6),
    (FailCode::Panicked, 7),
    (FailCode::NoReply, 8),
    (FailCode::Stopped, 9),
    (FailCode::Malformed, 10),
    (FailCode::TooLarge, 11),
    (FailCode::Deadlock, 12),
    (FailCode::Lost, 13),
];

impl FailCode {
    pub(crate) fn code(self) -> u8 {
        if let Self::Other(code) = self {
            return code;
        }
        FAIL_CODES
            .iter()
            .find(|(known, _)| *known == self)
            .map_or(0, |(_, code)| *code)
    }

    pub(crate) fn from_code(code: u8) -> Self {
        FAIL_CODES
            .iter()
            .find(|(_, known)| *known == code)
            .map_or(Self::Other(code), |(known, _)| *known)
    }
}

impl Head {
    pub(crate) fn kind(&self) -> FrameKind {
        match self {
            Self::Tell(_) => FrameKind::Tell,
            Self::Tells { .. } => FrameKind::Tells,
            Self::Ask { .. } => FrameKind::Ask,
            Self::Reply { .. } => FrameKind::Reply,
            Self::Fail { .. } => FrameKind::Fail,
        }
    }

    pub(crate) fn addressed(&self) -> Option<&Addressed> {
        match self {
            Self::Tell(to) | Self::Tells { to, .. } | Self::Ask { to, .. } => Some(to),
            Self::Reply { .. } | Self::Fail { .. } => None,
        }
    }

    /// How many messages it stands for.
    pub(crate) fn messages(&self) -> u32 {
        match self {
            Self::Tells { count, .. } => *count,
            _ => 1,
        }
    }

    /// Whether it takes room in the receiver's window. Answers do not: who waits for one takes it at once,
    /// and an answer that waits behind full mailboxes could keep just those from being emptied.
    pub(crate) fn takes_credit(&self) -> bool {
        self.addressed().is_some()
    }

    /// No encoding of it is longer.
    pub(crate) fn size_bound(&self) -> usize {
        let parts = match self {
            Self::Fail { detail, .. } => detail.len().min(DETAIL_MAX),
            Self::Tell(to) | Self::Tells { to, .. } | Self::Ask { to, .. } => {
                let name = match &to.target {
                    Target::Actor(_) => 16,
                    Target::Name(name) => name.len(),
                };
                let context = to.context.as_ref().map_or(16, |block| block.size_bound());
                name.saturating_add(context)
            }
            Self::Reply { .. } => 0,
        };
        parts.saturating_add(64)
    }

    /// Appends the head, and says with which flags. `remaining` is what is left of the deadline.
    pub(crate) fn encode(&self, remaining: Option<std::time::Duration>, out: &mut Vec<u8>) -> u8 {
        match self {
            Self::Tell(to) => to.encode(remaining, out),
            Self::Tells { count, to } => {
                put_varint(out, (*count).into());
                to.encode(remaining, out)
            }
            Self::Ask {
                call,
                reply_lane,
                to,
            } => {
                put_varint(out, *call);
                out.push(*reply_lane);
                to.encode(remaining, out)
            }
            Self::Reply { call } => {
                put_varint(out, *call);
                0
            }
            Self::Fail { call, code, detail } => {
                put_varint(out, *call);
                out.push(code.code());
                put_text(out, cut(detail, DETAIL_MAX));
                0
            }
        }
    }

    /// Reads the head and the payload behind it.
    pub(crate) fn decode(kind: FrameKind, flags: u8, body: &Bytes) -> Decoded<(Self, Bytes)> {
        let mut reader = Reader::new(body);
        let head = match kind {
            FrameKind::Tell => Self::Tell(Addressed::decode(flags, &mut reader)?),
            FrameKind::Tells => {
                let count = read_count(&mut reader)?;
                let to = Addressed::decode(flags, &mut reader)?;
                run::check(&reader, body.get(reader.at()..).unwrap_or_default(), count)?;
                Self::Tells { count, to }
            }
            FrameKind::Ask => Self::Ask {
                call: reader.varint("call")?,
                reply_lane: reader.u8("reply lane")?,
                to: Addressed::decode(flags, &mut reader)?,
            },
            FrameKind::Reply => Self::Reply {
                call: reader.varint("call")?,
            },
            FrameKind::Fail => {
                let head = Self::Fail {
                    call: reader.varint("call")?,
                    code: FailCode::from_code(reader.u8("code")?),
                    detail: reader.text("detail", DETAIL_MAX)?.to_owned(),
                };
                reader.finish()?;
                head
            }
            other => {
                let value = other.code().into();
                return reader.flaw("kind", 0, Flaw::Unknown { value });
            }
        };
        let payload = body.slice(reader.at().min(body.len())..);
        Ok((head, payload))
    }

    /// How many messages a body says that it has. What they take of the window is told by that alone, so a body
    /// that does not say it breaks the connection.
    pub(crate) fn messages_of(kind: FrameKind, body: &[u8]) -> Decoded<u32> {
        match kind {
            FrameKind::Tells => read_count(&mut Reader::new(body)),
            _ => Ok(1),
        }
    }

    /// Which call a body is about that does not decode otherwise, so that its asker can be told.
    pub(crate) fn call_of(kind: FrameKind, body: &[u8]) -> Option<u64> {
        match kind {
            FrameKind::Ask => Reader::new(body).varint("call").ok(),
            _ => None,
        }
    }
}

fn read_count(reader: &mut Reader<'_>) -> Decoded<u32> {
    let at = reader.at();
    let count = reader.varint32("messages")?;
    // Each has a length of two bytes.
    let max = u64::try_from(reader.left() / 2).unwrap_or(u64::MAX);
    let value = u64::from(count);
    if (1..=max).contains(&value) {
        return Ok(count);
    }
    reader.flaw("messages", at, Flaw::Range { value, min: 1, max })
}

impl Addressed {
    fn encode(&self, remaining: Option<std::time::Duration>, out: &mut Vec<u8>) -> u8 {
        put_varint(out, self.message_type.into());
        match &self.target {
            Target::Actor(address) => {
                out.push(1);
                address.encode(out);
            }
            Target::Name(name) => {
                out.push(2);
                put_text(out, name);
            }
        }
        let mut flags = 0;
        if let Some(sender) = self.sender {
            flags |= SENDER;
            sender.encode(out);
        }
        match &self.context {
            Some(block) if remaining.is_some() || !block.is_empty() => {
                flags |= CONTEXT;
                block.encode(remaining, out);
            }
            None if remaining.is_some() => {
                flags |= CONTEXT;
                ContextBlock::default().encode(remaining, out);
            }
            _ => {}
        }
        flags
    }

    fn decode(flags: u8, reader: &mut Reader<'_>) -> Decoded<Self> {
        let message_type = reader.varint32("message type")?;
        let at = reader.at();
        let target = match reader.u8("target")? {
            1 => Target::Actor(Address::decode(reader, "target")?),
            2 => Target::Name(reader.text("target name", NAME_MAX)?.to_owned()),
            other => {
                let value = other.into();
                return reader.flaw("target", at, Flaw::Unknown { value });
            }
        };
        let sender = if flags & SENDER != 0 {
            Some(Address::decode(reader, "sender")?)
        } else {
            None
        };
        let context = if flags & CONTEXT != 0 {
            Some(ContextBlock::decode(reader)?)
        } else {
            None
        };
        if flags & !(SENDER | CONTEXT) != 0 {
            let value = flags.into();
            return reader.flaw("flags", 0, Flaw::Unknown { value });
        }
        Ok(Self {
            message_type,
            target,
            sender,
            context,
        })
    }
}

/// What nobody wants any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cancelled {
    /// The answer to one ask.
    Call(u64),
    /// Everything of a scope, begun or not.
    Scope(u64),
}

impl Cancelled {
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        let (tag, number) = match self {
            Self::Call(call) => (0, call),
            Self::Scope(scope) => (1, scope),
        };
        out.push(tag);
        put_varint(out, number);
    }

    pub(crate) fn decode(body: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(body);
        let tag = reader.u8("what is cancelled")?;
        let number = reader.varint("number")?;
        reader.finish()?;
        match tag {
            0 => Ok(Self::Call(number)),
            1 => Ok(Self::Scope(number)),
            other => {
                let value = other.into();
                reader.flaw("what is cancelled", 0, Flaw::Unknown { value })
            }
        }
    }
}

/// The mark behind the last message of an actor that has ended: what it sent to `watcher` has all gone
/// before on this lane, so signal number `signal` (its `Terminated`) may be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flush {
    /// The receiver's actor that the signal is for.
    pub(crate) watcher: u64,
    pub(crate) signal: u64,
}

impl Flush {
    pub(crate) fn encode(self, out: &mut Vec<u8>) {
        put_u64(out, self.watcher);
        put_varint(out, self.signal);
    }

    pub(crate) fn decode(body: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(body);
        let flush = Self {
            watcher: reader.u64("watcher")?,
            signal: reader.varint("signal")?,
        };
        reader.finish()?;
        Ok(flush)
    }
}

//! What foca says, as bytes, read within bounds; and an ear at what it notes.
//!
//! foca tells its owner of members that come and go, but not of suspicion. It does write every change of its
//! list with `encode_member` (to gossip it), so the writer passes each on: [`Told`] through a channel, because
//! foca owns its codec and gives no way back to it. The same goes for the header of what it sends, where its
//! own number of refutations stands.

use std::fmt;
use std::sync::mpsc::Sender;

use bytes::{Buf, BufMut};
use foca::{Header, Member, Message, State};

use super::facts::Fact;
use super::identity::Identity;
use crate::wire::codec::{DecodeError, Decoded, Flaw, Reader, put_u16};

/// What foca has noted, in its order.
#[derive(Debug)]
pub(super) enum Told {
    /// A member is in that state now; `refuted` says how many suspicions it has refuted.
    Member {
        id: Identity,
        refuted: u16,
        state: State,
    },
    /// One more suspicion of ourselves was refuted.
    Refuted,
    /// News beside foca's own, from a peer or from ourselves.
    Fact(Fact),
}

pub(super) struct Codec {
    told: Sender<Told>,
    refuted: u16,
}

impl Codec {
    pub(super) fn new(told: Sender<Told>) -> Self {
        Self { told, refuted: 0 }
    }

    fn tell(&self, told: Told) {
        // The other end lives as long as foca, beside it.
        let _at_the_end = self.told.send(told);
    }
}

/// Why there is no packet, or no member.
#[derive(Debug)]
pub(super) enum CodecError {
    Decode(DecodeError),
    /// It does not fit into this packet any more.
    Full,
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => error.fmt(f),
            Self::Full => f.write_str("the packet is full"),
        }
    }
}

impl std::error::Error for CodecError {}

impl foca::Codec<Identity> for Codec {
    type Error = CodecError;

    fn encode_header(
        &mut self,
        header: &Header<Identity>,
        buf: impl BufMut,
    ) -> Result<(), CodecError> {
        if header.src_incarnation > self.refuted {
            self.refuted = header.src_incarnation;
            self.tell(Told::Refuted);
        }
        let mut out = Vec::with_capacity(128);
        header.src.encode(&mut out);
        put_u16(&mut out, header.src_incarnation);
        header.dst.encode(&mut out);
        put_message(&mut out, &header.message);
        put(&out, buf)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Identity>, CodecError> {
        take(buf, header)
    }

    fn encode_member(
        &mut self,
        member: &Member<Identity>,
        buf: impl BufMut,
    ) -> Result<(), CodecError> {
        let (refuted, state) = (member.incarnation(), member.state());
        self.tell(Told::Member {
            id: member.id().clone(),
            refuted,
            state,
        });
        let mut out = Vec::with_capacity(64);
        put_member(&mut out, member);
        put(&out, buf)
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Member<Identity>, CodecError> {
        take(buf, decode_member)
    }
}

fn put(bytes: &[u8], mut buf: impl BufMut) -> Result<(), CodecError> {
    if buf.remaining_mut() < bytes.len() {
        return Err(CodecError::Full);
    }
    buf.put_slice(bytes);
    Ok(())
}

/// Reads one thing off the front. foca's buffers are in one piece.
fn take<T>(
    mut buf: impl Buf,
    read: impl FnOnce(&mut Reader<'_>) -> Decoded<T>,
) -> Result<T, CodecError> {
    let mut reader = Reader::new(buf.chunk());
    let thing = read(&mut reader).map_err(CodecError::Decode)?;
    let bytes = reader.at();
    buf.advance(bytes);
    Ok(thing)
}

/// The head of a packet of foca's: who says it, how often it has refuted, to whom, what.
pub(super) fn header(reader: &mut Reader<'_>) -> Decoded<Header<Identity>> {
    Ok(Header {
        src: Identity::decode(reader)?,
        src_incarnation: reader.u16("refutations")?,
        dst: Identity::decode(reader)?,
        message: message(reader)?,
    })
}

pub(super) fn put_member(out: &mut Vec<u8>, member: &Member<Identity>) {
    member.id().encode(out);
    put_u16(out, member.incarnation());
    out.push(match member.state() {
        State::Alive => 0,
        State::Suspect => 1,
        State::Down => 2,
    });
}

pub(super) fn decode_member(reader: &mut Reader<'_>) -> Decoded<Member<Identity>> {
    let id = Identity::decode(reader)?;
    let refuted = reader.u16("refutations")?;
    let at = reader.at();
    let state = match reader.u8("state")? {
        0 => State::Alive,
        1 => State::Suspect,
        2 => State::Down,
        other => {
            let value = other.into();
            return reader.flaw("state", at, Flaw::Unknown { value });
        }
    };
    Ok(Member::new(id, refuted, state))
}

fn put_message(out: &mut Vec<u8>, message: &Message<Identity>) {
    let mut probe = |kind: u8, number: &u8, who: Option<&Identity>| {
        out.extend_from_slice(&[kind, *number]);
        if let Some(who) = who {
            who.encode(out);
        }
    };
    match message {
        Message::Ping(number) => probe(0, number, None),
        Message::Ack(number) => probe(1, number, None),
        Message::PingReq {
            target,
            probe_number,
        } => probe(2, probe_number, Some(target)),
        Message::IndirectPing {
            origin,
            probe_number,
        } => probe(3, probe_number, Some(origin)),
        Message::IndirectAck {
            target,
            probe_number,
        } => probe(4, probe_number, Some(target)),
        Message::ForwardedAck {
            origin,
            probe_number,
        } => probe(5, probe_number, Some(origin)),
        Message::Announce => out.push(6),
        Message::Feed => out.push(7),
        Message::Gossip => out.push(8),
        Message::Broadcast => out.push(9),
        Message::TurnUndead => out.push(10),
    }
}

fn message(reader: &mut Reader<'_>) -> Decoded<Message<Identity>> {
    let at = reader.at();
    let kind = reader.u8("message")?;
    let probe_number = match kind {
        0..=5 => reader.u8("probe number")?,
        _ => 0,
    };
    Ok(match kind {
        0 => Message::Ping(probe_number),
        1 => Message::Ack(probe_number),
        2 => Message::PingReq {
            target: Identity::decode(reader)?,
            probe_number,
        },
        3 => Message::IndirectPing {
            origin: Identity::decode(reader)?,
            probe_number,
        },
        4 => Message::IndirectAck {
            target: Identity::decode(reader)?,
            probe_number,
        },
        5 => Message::ForwardedAck {
            origin: Identity::decode(reader)?,
            probe_number,
        },
        6 => Message::Announce,
        7 => Message::Feed,
        8 => Message::Gossip,
        9 => Message::Broadcast,
        10 => Message::TurnUndead,
        other => {
            let value = other.into();
            return reader.flaw("message", at, Flaw::Unknown { value });
        }
    })
}

//! What peers say to each other about what all must agree on, and how it fits into datagrams.
//!
//! A message is written by postcard and cut into parts that a datagram can carry. A peer's messages may
//! come with their parts mixed; they are put together again, few at a time and none beyond [`MESSAGE_BYTES_MAX`],
//! whatever the parts claim. A message with a part missing (its connection broke) is given up when later ones
//! need the room. Nothing here is trusted: what cannot be read is an error, never a panic.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use openraft::error::SnapshotMismatch;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use crate::id::Incarnation;
use crate::wire::bounded;

use super::command::Request;
use super::engine::{LogId, RaftId, Types};
use super::machine::Outcome;

/// Bytes of a message in one datagram: 48 KiB.
pub(crate) const PART_BYTES: usize = 48 << 10;

/// Bytes of a message: 4 MiB.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Messages of one peer that are being put together.
const PARTIAL_MAX: usize = 4;

/// A message between peers.
#[derive(Debug, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is made, written and gone; none is kept"
)]
pub(crate) enum Message {
    Hello(Hello),
    Welcome(Welcome),
    Found(Found),
    Call {
        id: u64,
        /// The founding that the sender holds to.
        founding: RaftId,
        call: Call,
    },
    Reply {
        id: u64,
        reply: Reply,
    },
}

/// A peer that does not take part yet says who it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) incarnation: Incarnation,
    pub(crate) id: RaftId,
    pub(crate) zone: String,
    /// It would found a cluster with so many; 0: it never founds one.
    pub(crate) expected: u16,
    /// It has no cluster.
    pub(crate) fresh: bool,
    /// The founding that it holds to: a cluster lets nobody in who does not hold to its own.
    pub(crate) founding: Option<RaftId>,
}

/// The answer of one that does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Welcome {
    pub(crate) founding: RaftId,
    pub(crate) leader: Option<RaftId>,
    /// The life that said hello has been declared down.
    pub(crate) over: bool,
}

/// How peers without a cluster agree who founds one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Found {
    /// Will you hold to my founding?
    Ask { founder: RaftId, attempt: u64 },
    /// I do.
    Granted { attempt: u64 },
    /// I hold to another's.
    Held { attempt: u64, by: RaftId },
    /// I still hold to yours: do you want that?
    Holding { founder: RaftId },
    /// Forget that I asked.
    Release { founder: RaftId },
}

/// A question that is answered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Call {
    Append {
        to: RaftId,
        request: AppendEntriesRequest<Types>,
    },
    Vote {
        to: RaftId,
        request: VoteRequest<RaftId>,
    },
    Snapshot {
        to: RaftId,
        request: InstallSnapshotRequest<Types>,
    },
    Propose(Request),
    Read,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Append(AppendEntriesResponse<RaftId>),
    Vote(VoteResponse<RaftId>),
    Snapshot(InstallSnapshotResponse<RaftId>),
    SnapshotMismatch(SnapshotMismatch),
    Outcome(Outcome),
    /// What was agreed on up to here holds now.
    ReadAt(Option<LogId>),
    /// Ask the leader, who may be this one.
    NotLeader(Option<RaftId>),
    /// It leads, but no majority follows; whether the command will be applied is known if it is not.
    NoQuorum {
        uncertain: bool,
    },
    /// It takes part under another number, or holds to another founding.
    NotMe,
    /// It cannot answer.
    Failed,
}

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_allocvec(value)
}

pub(crate) fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Malformed> {
    let mut format = postcard::Deserializer::from_bytes(bytes);
    let value = bounded::read(&mut format, bytes.len()).map_err(|_| Malformed)?;
    match format.finalize() {
        Ok([]) => Ok(value),
        _ => Err(Malformed),
    }
}

/// A part of a message, as it is in a datagram.
#[derive(Debug, Serialize, Deserialize)]
struct Part<'a> {
    message: u64,
    index: u16,
    of: u16,
    #[serde(borrow)]
    bytes: &'a [u8],
}

/// The datagrams of a message; `None` if it is too large.
pub(crate) fn parts(number: u64, message: &[u8]) -> Option<Vec<Vec<u8>>> {
    if message.len() > MESSAGE_BYTES_MAX {
        return None;
    }
    let chunks: Vec<_> = message.chunks(PART_BYTES).collect();
    let of = u16::try_from(chunks.len()).ok()?;
    let parts = chunks.into_iter().zip(0..).map(|(bytes, index)| {
        encode(&Part {
            message: number,
            index,
            of,
            bytes,
        })
        .ok()
    });
    parts.collect()
}

/// Puts the messages of one peer together.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    partial: BTreeMap<u64, Partial>,
}

#[derive(Debug)]
struct Partial {
    next: u16,
    of: u16,
    bytes: Vec<u8>,
}

impl Reassembly {
    /// Takes a datagram; the message, if it is whole with it.
    pub(crate) fn take(&mut self, datagram: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
        let part: Part<'_> = decode(datagram)?;
        if part.index == 0 && part.of == 1 {
            return Ok(Some(part.bytes.to_vec()));
        }
        let partial = match self.partial.entry(part.message) {
            Entry::Vacant(entry) if part.index == 0 => entry.insert(Partial {
                next: 0,
                of: part.of,
                bytes: Vec::new(),
            }),
            // Its beginning was lost with a connection.
            Entry::Vacant(_) => return Ok(None),
            Entry::Occupied(entry) => entry.into_mut(),
        };
        let in_order = part.index == partial.next && part.of == partial.of && part.index < part.of;
        if !in_order || partial.bytes.len() + part.bytes.len() > MESSAGE_BYTES_MAX {
            self.partial.remove(&part.message);
            return Err(Malformed);
        }
        partial.bytes.extend_from_slice(part.bytes);
        partial.next += 1;
        if partial.next == partial.of {
            return Ok(self.partial.remove(&part.message).map(|whole| whole.bytes));
        }
        // Numbers grow: the smallest is the one begun first.
        if self.partial.len() > PARTIAL_MAX {
            self.partial.pop_first();
        }
        Ok(None)
    }
}

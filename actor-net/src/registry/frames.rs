//! The datagrams of groups, byte by byte.
//!
//! ```text
//! Digest   1, flags u8, reader's incarnation, owner's incarnation, known, [swept if flag 4]    (varints)
//! Delta    2, flags u8, owner's incarnation, at, from, to, count, changes                      (varints)
//! change   kind u8 (1 join, 2 leave), version less the one before it, group text, number
//!          a join also: key u64, NUMA node u8, weight u16, actor type text
//! ```
//!
//! A *digest* goes from who reads a log to its owner: where it is, which also acknowledges what came. Flags: 1 an
//! answer is wanted even if it says nothing new; 2 the same is wanted from the other side; 4 a sweep is under way.
//! A *delta* goes the other way; flag 1: it is part of a sweep. Versions ascend within it and lie in its range. No
//! datagram says whose log it is of: that is whoever the connection is with.

use std::num::NonZeroU16;
use std::sync::Arc;

use actor_core::NumaNodeId;

use super::entry::{Entry, Key, NAME_BYTES_MAX, TYPE_BYTES_MAX, check_name};
use crate::id::Incarnation;
use crate::wire::codec::{Decoded, Flaw, Reader, put_len, put_text, put_u16, put_u64, put_varint};

/// Where a reader is in a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// Everything up to this version is known.
    pub(super) known: u64,
    /// And in a sweep that is under way, what lies up to this one.
    pub(super) swept: Option<u64>,
}

/// What a reader says to the owner of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) reader: Incarnation,
    pub(super) owner: Incarnation,
    pub(super) position: Position,
    pub(super) answer_wanted: bool,
    pub(super) position_wanted: bool,
}

/// What the owner says to a reader, see `log.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delta {
    pub(super) sweep: bool,
    /// The owner's version when it said so.
    pub(super) at: u64,
    /// Of what lies after this version
    pub(super) from: u64,
    /// up to this one.
    pub(super) to: u64,
    pub(super) changes: Vec<(u64, Change)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Join { group: Arc<str>, entry: Entry },
    Leave { group: Arc<str>, number: u64 },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Digest(Digest),
    Delta { owner: Incarnation, delta: Delta },
}

const DIGEST: u8 = 1;
const DELTA: u8 = 2;
const JOIN: u8 = 1;
const LEAVE: u8 = 2;

const ANSWER_WANTED: u8 = 1;
const POSITION_WANTED: u8 = 2;
const SWEEPING: u8 = 4;
const SWEEP: u8 = 1;

/// Bytes that the changes of one datagram may have: 56 KiB, so that the whole stays below a control frame's 64.
pub(super) const CHANGES_BYTES: usize = 56 << 10;

/// Changes in one datagram: what fits, at the fewest bytes a change has.
const CHANGES_MAX: usize = (64 << 10) / 5;

impl Change {
    pub(super) fn size_bound(&self) -> usize {
        // Kind, two varints, a key, a NUMA node, a weight, two lengths.
        let fixed = 1 + 10 + 10 + 8 + 1 + 2 + 2 + 2;
        match self {
            Self::Join { group, entry } => fixed + group.len() + entry.actor_type.len(),
            Self::Leave { group, .. } => fixed + group.len(),
        }
    }
}

impl Digest {
    pub(super) fn encode(&self) -> Vec<u8> {
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        let mut out = Vec::with_capacity(48);
        out.push(DIGEST);
        out.push(
            flag(self.answer_wanted, ANSWER_WANTED)
                | flag(self.position_wanted, POSITION_WANTED)
                | flag(self.position.swept.is_some(), SWEEPING),
        );
        put_varint(&mut out, self.reader.0);
        put_varint(&mut out, self.owner.0);
        put_varint(&mut out, self.position.known);
        if let Some(swept) = self.position.swept {
            put_varint(&mut out, swept);
        }
        out
    }
}

impl Delta {
    pub(super) fn encode(&self, owner: Incarnation) -> Vec<u8> {
        let bytes: usize = self
            .changes
            .iter()
            .map(|(_, change)| change.size_bound())
            .sum();
        let mut out = Vec::with_capacity(64 + bytes);
        out.push(DELTA);
        out.push(if self.sweep { SWEEP } else { 0 });
        put_varint(&mut out, owner.0);
        put_varint(&mut out, self.at);
        put_varint(&mut out, self.from);
        put_varint(&mut out, self.to);
        put_len(&mut out, self.changes.len());
        let mut before = self.from;
        for (version, change) in &self.changes {
            let (kind, group, number) = match change {
                Change::Join { group, entry } => (JOIN, group, entry.number),
                Change::Leave { group, number } => (LEAVE, group, *number),
            };
            out.push(kind);
            put_varint(&mut out, version.saturating_sub(before));
            before = *version;
            put_text(&mut out, group);
            put_varint(&mut out, number);
            if let Change::Join { entry, .. } = change {
                put_u64(&mut out, entry.key.0);
                out.push(entry.numa_node.0);
                put_u16(&mut out, entry.weight.get());
                put_text(&mut out, &entry.actor_type);
            }
        }
        out
    }
}

impl Frame {
    pub(super) fn decode(bytes: &[u8]) -> Decoded<Self> {
        let mut reader = Reader::new(bytes);
        let frame = match reader.u8("kind")? {
            DIGEST => Self::Digest(digest(&mut reader)?),
            DELTA => {
                let (owner, delta) = delta(&mut reader)?;
                Self::Delta { owner, delta }
            }
            other => {
                let value = u64::from(other);
                return reader.flaw("kind", 0, Flaw::Unknown { value });
            }
        };
        reader.finish()?;
        Ok(frame)
    }
}

fn flags(reader: &mut Reader<'_>, known: u8) -> Decoded<u8> {
    let at = reader.at();
    let flags = reader.u8("flags")?;
    if flags & !known != 0 {
        let value = u64::from(flags);
        return reader.flaw("flags", at, Flaw::Unknown { value });
    }
    Ok(flags)
}

fn digest(reader: &mut Reader<'_>) -> Decoded<Digest> {
    let flags = flags(reader, ANSWER_WANTED | POSITION_WANTED | SWEEPING)?;
    let own = Incarnation(reader.varint("reader's incarnation")?);
    let owner = Incarnation(reader.varint("owner's incarnation")?);
    let known = reader.varint("known")?;
    let swept = match flags & SWEEPING {
        0 => None,
        _ => Some(reader.varint("swept")?),
    };
    Ok(Digest {
        reader: own,
        owner,
        position: Position { known, swept },
        answer_wanted: flags & ANSWER_WANTED != 0,
        position_wanted: flags & POSITION_WANTED != 0,
    })
}

fn delta(reader: &mut Reader<'_>) -> Decoded<(Incarnation, Delta)> {
    let flags = flags(reader, SWEEP)?;
    let owner = Incarnation(reader.varint("owner's incarnation")?);
    let version = reader.at();
    let at = reader.varint("at")?;
    let from = reader.varint("from")?;
    let to = reader.varint("to")?;
    if to > at || from > to {
        let (min, max) = (from, at);
        return reader.flaw(
            "to",
            version,
            Flaw::Range {
                value: to,
                min,
                max,
            },
        );
    }
    let count = reader.count("changes", CHANGES_MAX)?;
    let mut changes = Vec::new();
    let mut before = from;
    for _ in 0..count {
        let change = change(reader, before, to)?;
        before = change.0;
        changes.push(change);
    }
    let delta = Delta {
        sweep: flags & SWEEP != 0,
        at,
        from,
        to,
        changes,
    };
    Ok((owner, delta))
}

/// The next one, which has a version after `before`, up to `to`.
fn change(reader: &mut Reader<'_>, before: u64, to: u64) -> Decoded<(u64, Change)> {
    let at = reader.at();
    let kind = reader.u8("change")?;
    let version = before.checked_add(reader.varint("version")?);
    let Some(version) = version.filter(|version| *version > before && *version <= to) else {
        let value = version.unwrap_or(u64::MAX);
        let (min, max) = (before.saturating_add(1), to);
        return reader.flaw("version", at, Flaw::Range { value, min, max });
    };
    let name = reader.at();
    let group = reader.text("group", NAME_BYTES_MAX)?;
    if check_name(group).is_err() {
        return reader.flaw("group", name, Flaw::Text);
    }
    let group: Arc<str> = Arc::from(group);
    let number = reader.varint("number")?;
    match kind {
        LEAVE => Ok((version, Change::Leave { group, number })),
        JOIN => {
            let key = Key(reader.u64("key")?);
            let numa_node = NumaNodeId(reader.u8("NUMA node")?);
            let at = reader.at();
            let weight = reader.u16("weight")?;
            let Some(weight) = NonZeroU16::new(weight) else {
                let (value, min, max) = (0, 1, u64::from(u16::MAX));
                return reader.flaw("weight", at, Flaw::Range { value, min, max });
            };
            let actor_type = Arc::from(reader.text("actor type", TYPE_BYTES_MAX)?);
            let entry = Entry {
                number,
                key,
                actor_type,
                numa_node,
                weight,
            };
            Ok((version, Change::Join { group, entry }))
        }
        other => {
            let value = u64::from(other);
            reader.flaw("change", at, Flaw::Unknown { value })
        }
    }
}

//! Which message types a peer takes, and by which numbers.
//!
//! Each side numbers what *it* exports, 0 and up, in the order of the names, and tells the other after the
//! handshake; who sends uses the receiver's numbers. A type is its name and the hash of its schema: only where
//! both agree is it sent. When both sides export just the same (their hashes over everything are equal) the
//! numbers are equal too, and nothing is sent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::codec::{Decoded, Reader, put_text, put_u64, put_varint};
use super::error::Fault;

/// Bytes of a type's name.
pub(crate) const TYPE_NAME_MAX: usize = 255;

/// Flag: the last frame of the table.
pub(crate) const LAST: u8 = 1;

/// The types that one side takes; the number of one is its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MessageTable {
    entries: Arc<[(Arc<str>, u64)]>,
}

/// A type cannot be sent to this peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TypeError {
    NotExported {
        name: String,
    },
    SchemaDiffers {
        name: String,
        ours: u64,
        theirs: u64,
    },
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotExported { name } => write!(
                f,
                "the peer does not take messages of type `{name}`; export it there"
            ),
            Self::SchemaDiffers { name, ours, theirs } => write!(
                f,
                "`{name}` has schema {ours:016x} here and {theirs:016x} at the peer; run the same version of \
                 the type on both sides, or give the new one another name"
            ),
        }
    }
}

impl std::error::Error for TypeError {}

impl MessageTable {
    /// The table of these types. Of two with one name the first counts.
    pub(crate) fn new<'a>(types: impl IntoIterator<Item = (&'a str, u64)>) -> Self {
        let mut sorted = BTreeMap::new();
        for (name, schema) in types {
            sorted.entry(name).or_insert(schema);
        }
        Self {
            entries: sorted
                .into_iter()
                .map(|(name, schema)| (Arc::from(name), schema))
                .collect(),
        }
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The name and schema behind a number.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn get(&self, number: u32) -> Option<(&str, u64)> {
        let at = usize::try_from(number).ok()?;
        self.entries
            .get(at)
            .map(|(name, schema)| (&**name, *schema))
    }

    /// The number by which this side wants a type.
    pub(crate) fn find(&self, name: &str, schema: u64) -> Result<u32, TypeError> {
        let found = self
            .entries
            .binary_search_by(|(known, _)| (**known).cmp(name));
        let Some((at, (_, theirs))) = found.ok().and_then(|at| Some((at, self.entries.get(at)?)))
        else {
            return Err(TypeError::NotExported {
                name: name.to_owned(),
            });
        };
        if *theirs != schema {
            return Err(TypeError::SchemaDiffers {
                name: name.to_owned(),
                ours: schema,
                theirs: *theirs,
            });
        }
        Ok(u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// One number for all of it (FNV-1a over the table's bytes). It saves sending the table between equals;
    /// nothing is trusted because of it.
    pub(crate) fn hash(&self) -> u64 {
        let mut bytes = Vec::new();
        for entry in self.entries.iter() {
            put_entry(&mut bytes, entry);
        }
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }

    /// The bodies of the frames that tell a peer, each of at most `frame_max` bytes.
    pub(crate) fn frames(&self, frame_max: usize) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut body = Vec::new();
        let mut first = 0u64;
        let mut count = 0u64;
        let mut flush = |first: u64, count: u64, body: &mut Vec<u8>| {
            let mut frame = Vec::new();
            put_varint(&mut frame, first);
            put_varint(&mut frame, count);
            frame.append(body);
            frames.push(frame);
        };
        for entry in self.entries.iter() {
            let mut bytes = Vec::new();
            put_entry(&mut bytes, entry);
            if count > 0 && body.len().saturating_add(bytes.len()).saturating_add(20) > frame_max {
                flush(first, count, &mut body);
                first = first.saturating_add(count);
                count = 0;
            }
            body.append(&mut bytes);
            count = count.saturating_add(1);
        }
        flush(first, count, &mut body);
        frames
    }
}

fn put_entry(out: &mut Vec<u8>, (name, schema): &(Arc<str>, u64)) {
    put_text(out, name);
    put_u64(out, *schema);
}

/// A peer's table while it comes.
#[derive(Debug)]
pub(crate) struct TableBuilder {
    entries: Vec<(Arc<str>, u64)>,
    max: usize,
}

impl TableBuilder {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            entries: Vec::new(),
            max,
        }
    }

    /// Takes a frame; gives the table with the last.
    pub(crate) fn take(&mut self, flags: u8, body: &Bytes) -> Result<Option<MessageTable>, Fault> {
        let mut reader = Reader::new(body);
        let wrong = |what| Err(Fault::Table { what });
        let first = reader.varint("first number").map_err(Fault::Malformed)?;
        if usize::try_from(first) != Ok(self.entries.len()) {
            return wrong("its numbers do not go on where they stopped");
        }
        let count = reader.varint("count").map_err(Fault::Malformed)?;
        for _ in 0..count {
            if self.entries.len() >= self.max {
                return wrong("more message types than allowed");
            }
            let (name, schema) = entry(&mut reader).map_err(Fault::Malformed)?;
            if self.entries.last().is_some_and(|(last, _)| **last >= *name) {
                return wrong("its names are not in their order");
            }
            self.entries.push((Arc::from(name), schema));
        }
        reader.finish().map_err(Fault::Malformed)?;
        if flags & LAST == 0 {
            return Ok(None);
        }
        Ok(Some(MessageTable {
            entries: std::mem::take(&mut self.entries).into(),
        }))
    }
}

fn entry<'a>(reader: &mut Reader<'a>) -> Decoded<(&'a str, u64)> {
    Ok((reader.text("name", TYPE_NAME_MAX)?, reader.u64("schema")?))
}

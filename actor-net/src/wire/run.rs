//! Messages that go as one: told to one actor, of one type, in one context.
//!
//! Who sends many messages at once mostly sends them there, and says the same of each but for its payload. Then
//! one head stands before all of their payloads: it is written, read, looked up and accounted for once. Each
//! payload has its length before it, `u16`, so that none is longer than [`ITEM_MAX`]; what is goes alone.
//!
//! A run is for the wire one message of several: it goes whole, is dropped whole when its deadline has passed,
//! and is whole under way when a connection breaks. It is short enough never to go in pieces.

use bytes::Bytes;

use super::codec::{Decoded, Flaw, Reader};

/// Bytes of a payload that may go in a run. Longer ones gain nothing by company.
pub(crate) const ITEM_MAX: usize = 2048;

/// What stands before a payload.
const LENGTH: usize = 2;

/// Payloads that are collected.
#[derive(Debug, Default)]
pub(crate) struct Run {
    bytes: Vec<u8>,
    /// What of them is whole: writing a payload is the user's code, which may panic.
    end: usize,
    count: u32,
}

/// What became of a payload that was to go with others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    Here,
    /// It is too long for this run, whatever else is in it.
    Apart(Vec<u8>),
}

impl Run {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds what `write` appends, if that leaves the run within `max` bytes. A failure of `write` adds nothing.
    pub(crate) fn add<E>(
        &mut self,
        max: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Added, E> {
        let start = self.end;
        self.bytes.truncate(start);
        self.bytes.extend_from_slice(&[0; LENGTH]);
        let begin = self.bytes.len();
        if let Err(error) = write(&mut self.bytes) {
            self.bytes.truncate(start);
            return Err(error);
        }
        let len = self.bytes.len().saturating_sub(begin);
        let place = self
            .bytes
            .get_mut(start..)
            .and_then(<[u8]>::first_chunk_mut);
        match (u16::try_from(len), place) {
            (Ok(short), Some(place)) if len <= ITEM_MAX && begin.saturating_add(len) <= max => {
                *place = short.to_le_bytes();
                self.count = self.count.saturating_add(1);
                self.end = self.bytes.len();
                Ok(Added::Here)
            }
            _ => {
                let apart = self.bytes.split_off(begin.min(self.bytes.len()));
                self.bytes.truncate(start);
                Ok(Added::Apart(apart))
            }
        }
    }

    /// The payload, if it is one alone.
    pub(crate) fn only(&self) -> Option<&[u8]> {
        match self.count {
            1 => self.bytes.get(LENGTH..self.end),
            _ => None,
        }
    }

    /// Empties it, and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        (self.end, self.count) = (0, 0);
    }

    /// Takes all of it; the next one is made as large.
    pub(crate) fn take(&mut self) -> (u32, Bytes) {
        self.bytes.truncate(self.end);
        self.end = 0;
        let next = Vec::with_capacity(self.bytes.len());
        let bytes = std::mem::replace(&mut self.bytes, next);
        (std::mem::take(&mut self.count), bytes.into())
    }
}

/// The payloads of a run, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    /// Of bytes that [`check`] found right, or a rest of such; of others as many as there are.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Bytes that were not read.
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<LENGTH>()?;
        let (item, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        self.0 = rest;
        Some(item)
    }
}

/// Whether what is left to read are just so many payloads.
pub(super) fn check(reader: &Reader<'_>, bytes: &[u8], count: u32) -> Decoded<()> {
    let mut items = Items::of(bytes);
    let mut found = 0u32;
    while found < count && items.next().is_some() {
        found = found.saturating_add(1);
    }
    let at = reader
        .at()
        .saturating_add(bytes.len().saturating_sub(items.left()));
    if found < count {
        let value = count.into();
        let max = found.into();
        return reader.flaw("payloads", at, Flaw::TooLong { value, max });
    }
    match items.left() {
        0 => Ok(()),
        bytes => reader.flaw("payloads", at, Flaw::Trailing { bytes }),
    }
}

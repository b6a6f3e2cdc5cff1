//! Reading and writing the fields of a frame's body.
//!
//! Numbers of fixed size are little-endian. A *varint* is LEB128, at most ten bytes, and only its shortest
//! form is read: each value has one encoding, so that golden frames are unique. A *text* is a varint length
//! and that many bytes of UTF-8; the reader is told how long it may be, and looks at the length before
//! anything else.

use std::fmt;

/// What is wrong with a field, and where: bytes from the beginning of the frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecodeError {
    pub(crate) field: &'static str,
    pub(crate) at: usize,
    pub(crate) flaw: Flaw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The body ends within the field.
    Short { needed: usize, left: usize },
    /// A varint of more than 64 bits, or not in its shortest form.
    Varint,
    /// A length or a count beyond what is allowed.
    TooLong { value: u64, max: u64 },
    /// A number outside of its range.
    Range { value: u64, min: u64, max: u64 },
    /// Not UTF-8, or characters that do not belong.
    Text,
    /// A code that this version does not know.
    Unknown { value: u64 },
    /// Bytes after the last field.
    Trailing { bytes: usize },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: ", self.field, self.at)?;
        match self.flaw {
            Flaw::Short { needed, left } => write!(f, "needs {needed} bytes, {left} are left"),
            Flaw::Varint => f.write_str("not a varint of 64 bits in its shortest form"),
            Flaw::TooLong { value, max } => write!(f, "{value} is more than the {max} allowed"),
            Flaw::Range { value, min, max } => write!(f, "{value} is not within {min}..={max}"),
            Flaw::Text => f.write_str("not the text that belongs here"),
            Flaw::Unknown { value } => write!(f, "unknown code {value}"),
            Flaw::Trailing { bytes } => write!(f, "{bytes} bytes too many"),
        }
    }
}

impl std::error::Error for DecodeError {}

pub(crate) type Decoded<T> = Result<T, DecodeError>;

/// Reads fields off the front of a body.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(crate) fn flaw<T>(&self, field: &'static str, at: usize, flaw: Flaw) -> Decoded<T> {
        Err(DecodeError { field, at, flaw })
    }

    pub(crate) fn slice(&mut self, field: &'static str, len: usize) -> Decoded<&'a [u8]> {
        let end = self.at.saturating_add(len);
        match self.bytes.get(self.at..end) {
            Some(slice) => {
                self.at = end;
                Ok(slice)
            }
            None => {
                let left = self.left();
                self.flaw(field, self.at, Flaw::Short { needed: len, left })
            }
        }
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Decoded<[u8; N]> {
        let slice = self.slice(field, N)?;
        let mut array = [0; N];
        array.copy_from_slice(slice);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Decoded<u8> {
        self.array::<1>(field).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, field: &'static str) -> Decoded<u16> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Decoded<u32> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Decoded<u64> {
        self.array(field).map(u64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self, field: &'static str) -> Decoded<u128> {
        self.array(field).map(u128::from_le_bytes)
    }

    pub(crate) fn varint(&mut self, field: &'static str) -> Decoded<u64> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..70u32).step_by(7) {
            let byte = self.u8(field)?;
            let bits = u64::from(byte & 0x7f);
            let last = byte & 0x80 == 0;
            // The tenth byte has one bit; a last byte of nothing is a longer form of something shorter.
            if shift == 63 && byte > 1 || last && bits == 0 && shift > 0 {
                return self.flaw(field, start, Flaw::Varint);
            }
            value |= bits.checked_shl(shift).unwrap_or(0);
            if last {
                return Ok(value);
            }
        }
        self.flaw(field, start, Flaw::Varint)
    }

    /// A varint of at most `max`.
    pub(crate) fn count(&mut self, field: &'static str, max: usize) -> Decoded<usize> {
        let start = self.at;
        let value = self.varint(field)?;
        match usize::try_from(value) {
            Ok(count) if count <= max => Ok(count),
            _ => {
                let max = u64::try_from(max).unwrap_or(u64::MAX);
                self.flaw(field, start, Flaw::TooLong { value, max })
            }
        }
    }

    /// A varint of 32 bits.
    pub(crate) fn varint32(&mut self, field: &'static str) -> Decoded<u32> {
        let start = self.at;
        let value = self.varint(field)?;
        match u32::try_from(value) {
            Ok(value) => Ok(value),
            Err(_) => {
                let max = u64::from(u32::MAX);
                self.flaw(field, start, Flaw::TooLong { value, max })
            }
        }
    }

    pub(crate) fn text(&mut self, field: &'static str, max: usize) -> Decoded<&'a str> {
        let start = self.at;
        let len = self.count(field, max)?;
        match std::str::from_utf8(self.slice(field, len)?) {
            Ok(text) => Ok(text),
            Err(_) => self.flaw(field, start, Flaw::Text),
        }
    }

    pub(crate) fn blob(&mut self, field: &'static str, max: usize) -> Decoded<&'a [u8]> {
        let len = self.count(field, max)?;
        self.slice(field, len)
    }

    /// Everything must have been read.
    pub(crate) fn finish(&self) -> Decoded<()> {
        match self.left() {
            0 => Ok(()),
            bytes => self.flaw("end", self.at, Flaw::Trailing { bytes }),
        }
    }
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

pub(crate) fn put_len(out: &mut Vec<u8>, len: usize) {
    put_varint(out, u64::try_from(len).unwrap_or(u64::MAX));
}

pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_u128(out: &mut Vec<u8>, value: u128) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_blob(out, text.as_bytes());
}

pub(crate) fn put_blob(out: &mut Vec<u8>, blob: &[u8]) {
    put_len(out, blob.len());
    out.extend_from_slice(blob);
}

/// As much of `text` as fits `max` bytes, cut between characters.
pub(crate) fn cut(text: &str, max: usize) -> &str {
    let mut end = max.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

//! Small facts that travel with a request, as the W3C Baggage recommendation writes them:
//! <https://www.w3.org/TR/baggage/>.
//!
//! Baggage never changes: `with` and `without` make a new one that shares the entries, so a clone
//! for each message costs one reference count, and empty baggage costs nothing at all.
//!
//! Everything in it is a *claim* of whoever called: good for routing and logs, never for access
//! decisions. It goes over the wire in plain sight, and every hop pays for it; hence the limits,
//! which are checked before anything is copied.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Bytes of the header; the recommendation asks for at least as many.
pub const BAGGAGE_BYTES_MAX: usize = 8192;

/// Entries; the recommendation asks for at least as many.
pub const BAGGAGE_ENTRIES_MAX: usize = 64;

/// Immutable `key = value` pairs that travel with a message; a clone is one reference count.
///
/// Prints as a `baggage` header, values percent-encoded.
///
/// # Examples
///
/// ```
/// use actor_core::context::Baggage;
///
/// let baggage = Baggage::parse("tenant=acme, plan=gr%C3%BCn;ttl=5")?;
/// assert_eq!(baggage.get("plan"), Some("grün"));
/// let more = baggage.with("user", "a b")?.without("tenant");
/// assert_eq!(more.to_string(), "plan=gr%C3%BCn;ttl=5,user=a%20b");
/// assert_eq!(baggage.len(), 2);
/// # Ok::<(), actor_core::context::BaggageError>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Baggage(Option<Arc<Entries>>);

impl Baggage {
    /// No baggage. Allocates nothing.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// Reads a `baggage` header.
    ///
    /// White space and empty entries are skipped. Of entries with one key the last wins, at the
    /// place of the first. Bytes that do not decode to UTF-8 become U+FFFD, as the recommendation
    /// wants. Properties (`key=value;property`) are kept as they are.
    ///
    /// # Errors
    ///
    /// [`BaggageError`] names the entry. Nothing of a header with an error is used.
    pub fn parse(header: &str) -> Result<Self, BaggageError> {
        if header.len() > BAGGAGE_BYTES_MAX {
            return Err(BaggageError::TooLong {
                bytes: header.len(),
            });
        }
        let texts = || header.split(',').map(trim).filter(|text| !text.is_empty());
        let count = texts().count();
        if count > BAGGAGE_ENTRIES_MAX {
            return Err(BaggageError::TooManyEntries { entries: count });
        }
        let mut list: Vec<Arc<Entry>> = Vec::with_capacity(count);
        for text in texts() {
            put(&mut list, Entry::parse(text)?);
        }
        // U+FFFD takes 9 bytes where the bytes it stands for took 3.
        Self::from_list(list)
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entry(key).map(|entry| &*entry.value)
    }

    /// The properties that came with `key`, as written: everything after the first `;`.
    pub fn properties(&self, key: &str) -> Option<&str> {
        self.entry(key)?.properties.as_deref()
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list().iter().map(|entry| (&*entry.key, &*entry.value))
    }

    /// The same baggage with `value` under `key`, in place of what was there, properties included.
    ///
    /// Copies one pointer for each entry.
    ///
    /// # Errors
    ///
    /// [`BaggageError::Malformed`] when `key` is not an HTTP token (letters, digits and
    /// ``!#$%&'*+-.^_`|~``; at least one), and the limits [`BAGGAGE_BYTES_MAX`] (encoded) and
    /// [`BAGGAGE_ENTRIES_MAX`]. A value can be any text.
    pub fn with(&self, key: &str, value: &str) -> Result<Self, BaggageError> {
        // A byte can take three when encoded, never less than one: this bounds the copies below.
        if key.len() + value.len() > BAGGAGE_BYTES_MAX {
            return Err(BaggageError::TooLong {
                bytes: self.header_bytes() + key.len() + value.len(),
            });
        }
        if !is_token(key) {
            return Err(BaggageError::malformed(key, BAD_KEY));
        }
        let mut list = self.list().to_vec();
        put(
            &mut list,
            Entry {
                key: key.into(),
                value: value.into(),
                properties: None,
            },
        );
        Self::from_list(list)
    }

    /// The same baggage without `key`; a plain clone when it has no such key.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        let Some(gone) = self.list().iter().position(|entry| *entry.key == *key) else {
            return self.clone();
        };
        let mut list = self.list().to_vec();
        list.remove(gone);
        if list.is_empty() {
            return Self::empty();
        }
        let header_bytes = header_bytes(&list);
        Self(Some(Arc::new(Entries { list, header_bytes })))
    }

    /// Number of entries, at most [`BAGGAGE_ENTRIES_MAX`].
    pub fn len(&self) -> usize {
        self.list().len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Length of the header in bytes, at most [`BAGGAGE_BYTES_MAX`].
    pub fn header_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |entries| entries.header_bytes)
    }

    fn list(&self) -> &[Arc<Entry>] {
        self.0.as_ref().map_or(&[], |entries| &entries.list)
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.list()
            .iter()
            .map(|entry| &**entry)
            .find(|entry| *entry.key == *key)
    }

    fn from_list(list: Vec<Arc<Entry>>) -> Result<Self, BaggageError> {
        let header_bytes = header_bytes(&list);
        if list.is_empty() {
            Ok(Self::empty())
        } else if list.len() > BAGGAGE_ENTRIES_MAX {
            Err(BaggageError::TooManyEntries {
                entries: list.len(),
            })
        } else if header_bytes > BAGGAGE_BYTES_MAX {
            Err(BaggageError::TooLong {
                bytes: header_bytes,
            })
        } else {
            Ok(Self(Some(Arc::new(Entries { list, header_bytes }))))
        }
    }
}

impl FromStr for Baggage {
    type Err = BaggageError;

    fn from_str(header: &str) -> Result<Self, BaggageError> {
        Self::parse(header)
    }
}

impl fmt::Display for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.list().iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            entry.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Never empty: empty baggage is `None` above.
#[derive(PartialEq, Eq)]
struct Entries {
    list: Vec<Arc<Entry>>,
    header_bytes: usize,
}

#[derive(PartialEq, Eq)]
struct Entry {
    key: Box<str>,
    value: Box<str>,
    properties: Option<Box<str>>,
}

impl Entry {
    fn parse(text: &str) -> Result<Self, BaggageError> {
        let malformed = |reason| BaggageError::malformed(text, reason);
        let (pair, properties) = match text.split_once(';') {
            Some((pair, properties)) => (pair, Some(trim(properties))),
            None => (text, None),
        };
        let Some((key, value)) = pair.split_once('=') else {
            return Err(malformed("must have the form key=value"));
        };
        let (key, value) = (trim(key), trim(value));
        if !is_token(key) {
            return Err(malformed(BAD_KEY));
        }
        if !value.bytes().all(is_value_octet) {
            return Err(malformed(
                "its value must be percent-encoded: printable ASCII other than space , ; \" and \\",
            ));
        }
        let Some(value) = decode(value) else {
            return Err(malformed(
                "each % in its value must be followed by two hex digits",
            ));
        };
        if !properties.is_none_or(|text| text.split(';').all(is_property)) {
            return Err(malformed(
                "each of its properties must be a token, or a token = a percent-encoded value",
            ));
        }
        Ok(Self {
            key: key.into(),
            value: value.into(),
            properties: properties.map(Into::into),
        })
    }

    fn header_bytes(&self) -> usize {
        let encoded: usize = self
            .value
            .bytes()
            .map(|b| if is_plain(b) { 1 } else { 3 })
            .sum();
        let properties = self.properties.as_ref().map_or(0, |text| 1 + text.len());
        self.key.len() + 1 + encoded + properties
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.key)?;
        let mut rest = self.value.as_bytes();
        while !rest.is_empty() {
            let plain = rest.iter().take_while(|&&byte| is_plain(byte)).count();
            let (head, tail) = rest.split_at(plain);
            f.write_str(std::str::from_utf8(head).expect("plain bytes are ASCII"))?;
            rest = tail;
            if let Some((byte, tail)) = rest.split_first() {
                write!(f, "%{byte:02X}")?;
                rest = tail;
            }
        }
        match &self.properties {
            Some(properties) => write!(f, ";{properties}"),
            None => Ok(()),
        }
    }
}

/// Why baggage was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BaggageError {
    /// The header is, or would become, longer than [`BAGGAGE_BYTES_MAX`].
    #[non_exhaustive]
    TooLong {
        /// Bytes.
        bytes: usize,
    },
    /// More than [`BAGGAGE_ENTRIES_MAX`] entries.
    #[non_exhaustive]
    TooManyEntries {
        /// Entries.
        entries: usize,
    },
    /// An entry that does not follow the recommendation's grammar.
    #[non_exhaustive]
    Malformed {
        /// The entry, or its key, cut after 64 bytes.
        entry: String,
        /// What it must be.
        reason: &'static str,
    },
}

impl BaggageError {
    fn malformed(entry: &str, reason: &'static str) -> Self {
        let mut end = entry.len().min(64);
        while !entry.is_char_boundary(end) {
            end -= 1;
        }
        Self::Malformed {
            entry: entry[..end].to_owned(),
            reason,
        }
    }
}

impl fmt::Display for BaggageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(
                f,
                "baggage takes {bytes} bytes: must take at most {BAGGAGE_BYTES_MAX}; drop or shorten entries"
            ),
            Self::TooManyEntries { entries } => write!(
                f,
                "baggage has {entries} entries: must have at most {BAGGAGE_ENTRIES_MAX}; drop entries"
            ),
            Self::Malformed { entry, reason } => {
                write!(f, "baggage entry {entry:?} is malformed: {reason}")
            }
        }
    }
}

impl std::error::Error for BaggageError {}

/// Linear search: 64 entries at most.
fn put(list: &mut Vec<Arc<Entry>>, entry: Entry) {
    match list.iter_mut().find(|old| old.key == entry.key) {
        Some(old) => *old = Arc::new(entry),
        None => list.push(Arc::new(entry)),
    }
}

fn header_bytes(list: &[Arc<Entry>]) -> usize {
    let commas = list.len().saturating_sub(1);
    list.iter().map(|entry| entry.header_bytes()).sum::<usize>() + commas
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// RFC 9110's `token`.
fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

/// The recommendation's `baggage-octet`.
fn is_value_octet(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

/// Written as it is; the rest is percent-encoded.
fn is_plain(byte: u8) -> bool {
    is_value_octet(byte) && byte != b'%'
}

fn is_property(text: &str) -> bool {
    match text.split_once('=') {
        Some((key, value)) => is_token(trim(key)) && trim(value).bytes().all(is_value_octet),
        None => is_token(trim(text)),
    }
}

/// `None` when a `%` is not followed by two hex digits.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            decoded.push((high * 16 + low) as u8);
        } else {
            decoded.push(byte);
        }
    }
    Some(Cow::Owned(String::from_utf8_lossy(&decoded).into_owned()))
}

const BAD_KEY: &str = "its key must be a token: letters, digits and !#$%&'*+-.^_`|~, at least one";

#[cfg(test)]
mod tests;

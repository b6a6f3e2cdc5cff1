//! The grammar of `tracestate`: vendors' `key=value` entries, newest first.
//!
//! We add no entry of our own and look nothing up, so the text is checked, tidied (no white space
//! around entries, no empty entries) and carried whole. Keys follow level 2, which accepts all
//! that level 1 accepts.

use std::fmt;
use std::sync::Arc;

use super::{TRACESTATE_BYTES_MAX, TRACESTATE_ENTRIES_MAX};

/// Checks and tidies a header; `None` when it has no entries.
pub(super) fn check(header: &str) -> Result<Option<Arc<str>>, TraceStateError> {
    let entries = || {
        header
            .split(',')
            .map(trim)
            .filter(|entry| !entry.is_empty())
    };

    // Sizes first: nothing is copied before the text is known to be small.
    let (mut count, mut bytes) = (0, 0);
    for entry in entries() {
        bytes += entry.len() + usize::from(count > 0);
        count += 1;
    }
    if count > TRACESTATE_ENTRIES_MAX {
        return Err(TraceStateError::TooManyEntries { entries: count });
    }
    if bytes > TRACESTATE_BYTES_MAX {
        return Err(TraceStateError::TooLong { bytes });
    }
    if count == 0 {
        return Ok(None);
    }

    let mut keys: Vec<&str> = Vec::with_capacity(count);
    let mut tidy = String::with_capacity(bytes);
    for entry in entries() {
        let malformed = |reason| TraceStateError::Malformed {
            entry: entry.to_owned(),
            reason,
        };
        let Some((key, value)) = entry.split_once('=') else {
            return Err(malformed("must have the form key=value"));
        };
        if !is_key(key) {
            return Err(malformed(
                "its key must be 1 to 256 characters of a-z 0-9 _ - * / @, the first a letter or a digit",
            ));
        }
        if !is_value(value) {
            return Err(malformed(
                "its value must be 1 to 256 printable ASCII characters other than ',' and '='",
            ));
        }
        if keys.contains(&key) {
            return Err(TraceStateError::Duplicate {
                key: key.to_owned(),
            });
        }
        keys.push(key);
        if !tidy.is_empty() {
            tidy.push(',');
        }
        tidy.push_str(entry);
    }
    Ok(Some(tidy.into()))
}

/// Why a `tracestate` was refused. The trace itself is still good: go on without the state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceStateError {
    /// More than [`TRACESTATE_BYTES_MAX`] bytes.
    #[non_exhaustive]
    TooLong {
        /// Bytes after tidying.
        bytes: usize,
    },
    /// More than [`TRACESTATE_ENTRIES_MAX`] entries.
    #[non_exhaustive]
    TooManyEntries {
        /// Entries found.
        entries: usize,
    },
    /// An entry that is not `key=value` by the recommendation's grammar.
    #[non_exhaustive]
    Malformed {
        /// The entry.
        entry: String,
        /// What it must be.
        reason: &'static str,
    },
    /// Two entries with one key.
    #[non_exhaustive]
    Duplicate {
        /// The key.
        key: String,
    },
}

impl fmt::Display for TraceStateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(
                f,
                "tracestate has {bytes} bytes: must have at most {TRACESTATE_BYTES_MAX}; drop entries from its end"
            ),
            Self::TooManyEntries { entries } => write!(
                f,
                "tracestate has {entries} entries: must have at most {TRACESTATE_ENTRIES_MAX}; drop entries from its end"
            ),
            Self::Malformed { entry, reason } => {
                write!(f, "tracestate entry {entry:?} is malformed: {reason}")
            }
            Self::Duplicate { key } => write!(
                f,
                "tracestate key {key:?} appears twice: each key must appear once"
            ),
        }
    }
}

impl std::error::Error for TraceStateError {}

fn trim(entry: &str) -> &str {
    entry.trim_matches([' ', '\t'])
}

fn is_key(key: &str) -> bool {
    let first_is_good = key
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    first_is_good
        && key.len() <= 256
        && key.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte)
        })
}

/// The entry was trimmed, so a value cannot end in a space; it may begin with one.
fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && value
            .bytes()
            .all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}

//! Which trace a message belongs to, as the W3C Trace Context recommendation writes it (levels 1
//! and 2): <https://www.w3.org/TR/trace-context-2/>.
//!
//! The fixed part, `TraceParent`, is 25 bytes of numbers and `Copy`; the optional `tracestate` is
//! kept as text that was checked once and is then shared. Nothing here decides *whether* to trace
//! and nothing records spans: this is the part that has to travel.
//!
//! What peers and callers send is a claim, so each length is bounded before anything is copied. A
//! broken `tracestate` never costs the trace: it is a separate call with an error of its own, and
//! on error the recommendation wants the state dropped and the parent kept.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};
use std::str::FromStr;
use std::sync::Arc;

use crate::random;

/// Bytes of `tracestate` that are carried; the recommendation asks for at least as many.
pub const TRACESTATE_BYTES_MAX: usize = 512;

/// Entries in a `tracestate`: the recommendation's limit.
pub const TRACESTATE_ENTRIES_MAX: usize = 32;

/// The trace a message belongs to and the span that caused it.
///
/// A clone costs a copy of 25 bytes, and one reference count if there is a `tracestate`.
///
/// # Examples
///
/// ```
/// use actor_core::TraceContext;
///
/// let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let caller = TraceContext::parse_traceparent(header)?.with_tracestate("vendor=1")?;
/// let mine = caller.child();
/// assert_eq!(mine.trace_id(), caller.trace_id());
/// assert_ne!(mine.span_id(), caller.span_id());
/// assert_eq!(caller.to_traceparent().to_string(), header);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    parent: TraceParent,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// A context from its parts, without `tracestate`.
    pub const fn new(trace_id: TraceId, span_id: SpanId, flags: TraceFlags) -> Self {
        Self {
            parent: TraceParent {
                trace_id,
                span_id,
                flags,
            },
            state: None,
        }
    }

    /// Begins a trace: fresh random ids, the `random` flag set.
    ///
    /// The ids come from a fast generator of this thread; they are unique for practical purposes
    /// and must not be used as secrets.
    pub fn new_root(sampled: bool) -> Self {
        let mut flags = TraceFlags::RANDOM;
        if sampled {
            flags = flags | TraceFlags::SAMPLED;
        }
        Self::new(TraceId(random::nonzero_u128()), SpanId::random(), flags)
    }

    /// Reads a `traceparent` header.
    ///
    /// Versions above `00` are read as far as version `00` goes, and of their flags only
    /// `sampled`; the recommendation wants both. Unknown flags are cleared.
    ///
    /// # Errors
    ///
    /// [`TraceParseError`] says what is wrong and where. The recommendation then starts a new
    /// trace: see [`new_root`](Self::new_root).
    pub fn parse_traceparent(header: &str) -> Result<Self, TraceParseError> {
        Ok(Self {
            parent: header.parse()?,
            state: None,
        })
    }

    /// The same context with this `tracestate` in place of the one it had.
    ///
    /// White space around entries and empty entries are left out; an empty text removes the state.
    ///
    /// # Errors
    ///
    /// [`TraceStateError`] when an entry is malformed or repeated, or a limit is passed
    /// ([`TRACESTATE_BYTES_MAX`], [`TRACESTATE_ENTRIES_MAX`]). Clone first to keep the context
    /// without the state.
    pub fn with_tracestate(mut self, header: &str) -> Result<Self, TraceStateError> {
        self.state = tracestate::check(header)?;
        Ok(self)
    }

    /// The same trace and flags, with this span.
    #[must_use]
    pub fn with_span(&self, span_id: SpanId) -> Self {
        Self {
            parent: TraceParent {
                span_id,
                ..self.parent
            },
            state: self.state.clone(),
        }
    }

    /// From here on it names this span.
    pub(crate) const fn set_span(&mut self, span_id: SpanId) {
        self.parent.span_id = span_id;
    }

    /// A span of the same trace: new span id, everything else kept.
    #[must_use]
    pub fn child(&self) -> Self {
        self.with_span(SpanId::random())
    }

    /// The fixed part, which prints as a `traceparent` header.
    pub const fn to_traceparent(&self) -> TraceParent {
        self.parent
    }

    /// The trace.
    pub const fn trace_id(&self) -> TraceId {
        self.parent.trace_id
    }

    /// The span that sent the message: the parent of what the receiver starts.
    pub const fn span_id(&self) -> SpanId {
        self.parent.span_id
    }

    /// The flags.
    pub const fn flags(&self) -> TraceFlags {
        self.parent.flags
    }

    /// Whether the caller records this trace.
    pub const fn is_sampled(&self) -> bool {
        self.parent.flags.is_sampled()
    }

    /// The `tracestate` header, if there is one: at most [`TRACESTATE_BYTES_MAX`] bytes of ASCII.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// The fixed part of a trace context. Prints as a `traceparent` header of version `00`: 55 bytes,
/// written without allocating.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
}

impl TraceParent {
    /// Length of the header in bytes.
    pub const LEN: usize = 55;
}

impl FromStr for TraceParent {
    type Err = TraceParseError;

    /// Reads a `traceparent` header; see [`TraceContext::parse_traceparent`].
    fn from_str(header: &str) -> Result<Self, TraceParseError> {
        let text = header.as_bytes();
        let length = TraceParseError::Length {
            what: "traceparent",
            found: text.len(),
            expected: Self::LEN,
        };
        if text.len() < Self::LEN {
            return Err(length);
        }
        let version = hex(text, 0, 2)? as u8;
        if version == 0xff {
            return Err(TraceParseError::ForbiddenVersion);
        }
        if text.len() > Self::LEN {
            if version == 0 {
                return Err(length);
            }
            dash(text, Self::LEN)?;
        }
        dash(text, 2)?;
        let trace_id = hex(text, 3, 32)?;
        dash(text, 35)?;
        let span_id = hex(text, 36, 16)? as u64;
        dash(text, 52)?;
        let bits = hex(text, 53, 2)? as u8;
        Ok(Self {
            trace_id: TraceId::new(trace_id).ok_or(TraceParseError::ZeroTraceId)?,
            span_id: SpanId::new(span_id).ok_or(TraceParseError::ZeroSpanId)?,
            flags: match version {
                0 => TraceFlags::from_bits(bits),
                _ => TraceFlags(bits & TraceFlags::SAMPLED.0),
            },
        })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "00-{}-{}-{:02x}",
            self.trace_id, self.span_id, self.flags.0
        )
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of a trace; never zero. Prints as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(NonZeroU128);

impl TraceId {
    /// The id with this number; `None` for zero, which the recommendation forbids.
    pub const fn new(number: u128) -> Option<Self> {
        match NonZeroU128::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The id as a number, first digit highest.
    pub const fn as_u128(self) -> u128 {
        self.0.get()
    }
}

impl FromStr for TraceId {
    type Err = TraceParseError;

    /// Reads exactly 32 lower-case hex digits, not all zero.
    fn from_str(digits: &str) -> Result<Self, TraceParseError> {
        Self::new(exact_hex(digits, "trace id", 32)?).ok_or(TraceParseError::ZeroTraceId)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of a span within its trace; never zero. Prints as 16 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(NonZeroU64);

impl SpanId {
    /// The id with this number; `None` for zero, which the recommendation forbids.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The id as a number, first digit highest.
    pub const fn as_u64(self) -> u64 {
        self.0.get()
    }

    pub(crate) fn random() -> Self {
        Self(random::nonzero_u64())
    }
}

impl FromStr for SpanId {
    type Err = TraceParseError;

    /// Reads exactly 16 lower-case hex digits, not all zero.
    fn from_str(digits: &str) -> Result<Self, TraceParseError> {
        Self::new(exact_hex(digits, "span id", 16)? as u64).ok_or(TraceParseError::ZeroSpanId)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The flags of a trace; only the two that the recommendation defines can be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceFlags(u8);

impl TraceFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// The caller may have recorded this trace.
    pub const SAMPLED: Self = Self(1);
    /// The low 7 bytes of the trace id are random (level 2).
    pub const RANDOM: Self = Self(2);

    /// The flags of the header's last byte; unknown ones are cleared, as the recommendation wants.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & (Self::SAMPLED.0 | Self::RANDOM.0))
    }

    /// The header's last byte.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether [`SAMPLED`](Self::SAMPLED) is set.
    pub const fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED.0 != 0
    }

    /// Whether [`RANDOM`](Self::RANDOM) is set.
    pub const fn is_random(self) -> bool {
        self.0 & Self::RANDOM.0 != 0
    }
}

impl std::ops::BitOr for TraceFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Why a `traceparent`, a trace id or a span id could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceParseError {
    /// Too short, or longer than its version allows.
    #[non_exhaustive]
    Length {
        /// What was being read.
        what: &'static str,
        /// Bytes found.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// A byte that is not a lower-case hex digit.
    #[non_exhaustive]
    NotHex {
        /// The byte.
        found: u8,
        /// Its position, from 0.
        at: usize,
    },
    /// A byte other than `-` between two fields.
    #[non_exhaustive]
    NotDash {
        /// The byte.
        found: u8,
        /// Its position, from 0.
        at: usize,
    },
    /// Version `ff`, which the recommendation forbids.
    ForbiddenVersion,
    /// A trace id of zero means "no trace".
    ZeroTraceId,
    /// A span id of zero means "no span".
    ZeroSpanId,
}

impl fmt::Display for TraceParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length {
                what,
                found,
                expected,
            } => write!(f, "{what} has {found} bytes: must have {expected}"),
            Self::NotHex { found, at } => write!(
                f,
                "'{}' at byte {at}: must be a lower-case hex digit, 0 to 9 or a to f",
                found.escape_ascii()
            ),
            Self::NotDash { found, at } => {
                write!(f, "'{}' at byte {at}: must be '-'", found.escape_ascii())
            }
            Self::ForbiddenVersion => f.write_str("traceparent has version ff: must be 00 to fe"),
            Self::ZeroTraceId => f.write_str("trace id is zero: must have a digit other than 0"),
            Self::ZeroSpanId => f.write_str("span id is zero: must have a digit other than 0"),
        }
    }
}

impl std::error::Error for TraceParseError {}

fn exact_hex(digits: &str, what: &'static str, expected: usize) -> Result<u128, TraceParseError> {
    let text = digits.as_bytes();
    if text.len() != expected {
        return Err(TraceParseError::Length {
            what,
            found: text.len(),
            expected,
        });
    }
    hex(text, 0, expected)
}

/// The number in `digits` hex digits from byte `from`; the caller has checked the length.
fn hex(text: &[u8], from: usize, digits: usize) -> Result<u128, TraceParseError> {
    let mut number = 0;
    for (at, &found) in text.iter().enumerate().skip(from).take(digits) {
        let digit = match found {
            b'0'..=b'9' => found - b'0',
            b'a'..=b'f' => found - b'a' + 10,
            _ => return Err(TraceParseError::NotHex { found, at }),
        };
        number = (number << 4) | u128::from(digit);
    }
    Ok(number)
}

fn dash(text: &[u8], at: usize) -> Result<(), TraceParseError> {
    match text[at] {
        b'-' => Ok(()),
        found => Err(TraceParseError::NotDash { found, at }),
    }
}

mod tracestate;
pub use tracestate::TraceStateError;

#[cfg(test)]
mod tests;

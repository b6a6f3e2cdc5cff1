//! The error of every builder on this floor: a number that makes no sense, found before anything
//! starts.

use std::fmt;

/// An option with a value outside of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidOption {
    field: &'static str,
    value: String,
    allowed: &'static str,
}

impl InvalidOption {
    pub(crate) fn new(field: &'static str, value: impl ToString, allowed: &'static str) -> Self {
        Self {
            field,
            value: value.to_string(),
            allowed,
        }
    }

    /// The option, in words: `supervision period`.
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was refused.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// What is allowed instead.
    pub const fn allowed(&self) -> &'static str {
        self.allowed
    }
}

impl fmt::Display for InvalidOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}: must be {}",
            self.field, self.value, self.allowed
        )
    }
}

impl std::error::Error for InvalidOption {}

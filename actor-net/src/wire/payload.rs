//! The bytes of a message on its way out.
//!
//! Most messages are small, and there are many of them: what fits lies in the message itself. Memory of its own
//! would be taken by the thread that sends and given back by the one that writes, which costs more than all
//! else that is done with a small message.

use std::ops::Deref;

use bytes::Bytes;

/// What lies in the message itself, at most. So that a payload has 96 bytes with this.
pub(crate) const HERE_MAX: usize = 94;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Here { len: u8, bytes: [u8; HERE_MAX] },
    Apart(Bytes),
}

impl Payload {
    /// Takes the bytes out of `scratch`, which is empty then.
    pub(crate) fn take(scratch: &mut Vec<u8>) -> Self {
        if let Some(here) = Self::here(scratch) {
            scratch.clear();
            return here;
        }
        Self::Apart(std::mem::take(scratch).into())
    }

    /// What is before `at`, and the rest.
    pub(crate) fn split(&self, at: usize) -> (Self, Self) {
        let bytes = match self {
            Self::Here { .. } => Bytes::copy_from_slice(self),
            Self::Apart(bytes) => bytes.clone(),
        };
        let at = at.min(bytes.len());
        (
            Self::Apart(bytes.slice(..at)),
            Self::Apart(bytes.slice(at..)),
        )
    }

    /// A copy of `from`, which lies here if it fits.
    pub(crate) fn of(from: &[u8]) -> Self {
        Self::here(from).unwrap_or_else(|| Self::Apart(Bytes::copy_from_slice(from)))
    }

    fn here(from: &[u8]) -> Option<Self> {
        let mut bytes = [0; HERE_MAX];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        let len = u8::try_from(from.len()).ok()?;
        Some(Self::Here { len, bytes })
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Here { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Apart(bytes) => bytes,
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::here(&bytes).unwrap_or(Self::Apart(bytes))
    }
}

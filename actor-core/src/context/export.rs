//! How a message is written down for actors on other peers. The runtime knows no format: a network layer
//! brings one, as a few functions.

use std::fmt;

use super::actor::Message;

/// How a type of message, and the reply to it, are written down and read again.
///
/// Given as [`Message::EXPORT`]; usually made by the network layer out of a serialization library.
pub struct Export<M: Message> {
    /// What the type is called between peers: the same in every build that knows it.
    pub name: &'static str,
    /// A number for the shape of the message and its reply: where two builds have different ones, it is not
    /// sent. May be costly; who needs it often keeps it.
    pub schema: fn() -> u64,
    /// Appends the message.
    pub encode: fn(&M, &mut Vec<u8>) -> Result<(), CodecError>,
    /// Reads a message; the bytes come from a stranger.
    pub decode: fn(&[u8]) -> Result<M, CodecError>,
    /// Appends the reply.
    pub encode_reply: fn(&M::Reply, &mut Vec<u8>) -> Result<(), CodecError>,
    /// Reads a reply; the bytes come from a stranger.
    pub decode_reply: fn(&[u8]) -> Result<M::Reply, CodecError>,
}

impl<M: Message> Clone for Export<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Message> Copy for Export<M> {}

impl<M: Message> fmt::Debug for Export<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("name", &self.name)
            .field("message", &format_args!("{}", std::any::type_name::<M>()))
            .finish_non_exhaustive()
    }
}

/// A message or a reply that could not be written down or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError(Box<str>);

impl CodecError {
    /// With the words of the library that failed.
    pub fn new(error: impl fmt::Display) -> Self {
        Self(error.to_string().into())
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot be written down or read: {}", self.0)
    }
}

impl std::error::Error for CodecError {}

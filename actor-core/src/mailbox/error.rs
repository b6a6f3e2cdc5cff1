//! What can go wrong with a send or an ask. The message comes back whenever it was not consumed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::id::ActorId;

/// Why a `tell` or a `send` did not take the message; it gives it back.
///
/// # Examples
///
/// ```
/// # use actor_core::{ActorId, SendError};
/// fn retry_later<M>(error: SendError<M>) -> Option<M> {
///     match error {
///         SendError::Full { message, .. } => Some(message), // room will come
///         _ => None,
///     }
/// }
/// ```
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq)]
pub enum SendError<M> {
    /// The mailbox is full.
    Full {
        /// The actor that has no room.
        target: ActorId,
        /// How many messages its mailbox holds.
        capacity: usize,
        /// The message.
        message: M,
    },
    /// The actor has stopped, or its system is shutting down.
    Dead {
        /// The actor.
        target: ActorId,
        /// The message.
        message: M,
    },
    /// The process is at its memory limit for messages.
    Overloaded {
        /// The actor.
        target: ActorId,
        /// The message.
        message: M,
    },
    /// The message's deadline passed before there was room for it.
    Expired {
        /// The actor.
        target: ActorId,
        /// The message.
        message: M,
    },
    /// The message's context was cancelled before there was room for it.
    Cancelled {
        /// The actor.
        target: ActorId,
        /// The message.
        message: M,
    },
}

impl<M> SendError<M> {
    /// The message that was not sent.
    pub fn into_message(self) -> M {
        match self {
            Self::Full { message, .. }
            | Self::Dead { message, .. }
            | Self::Overloaded { message, .. }
            | Self::Expired { message, .. }
            | Self::Cancelled { message, .. } => message,
        }
    }

    /// The same error with another message: for who has wrapped what somebody else sent.
    pub fn map<N>(self, change: impl FnOnce(M) -> N) -> SendError<N> {
        match self {
            Self::Full {
                target,
                capacity,
                message,
            } => SendError::Full {
                target,
                capacity,
                message: change(message),
            },
            Self::Dead { target, message } => SendError::Dead {
                target,
                message: change(message),
            },
            Self::Overloaded { target, message } => SendError::Overloaded {
                target,
                message: change(message),
            },
            Self::Expired { target, message } => SendError::Expired {
                target,
                message: change(message),
            },
            Self::Cancelled { target, message } => SendError::Cancelled {
                target,
                message: change(message),
            },
        }
    }

    /// The actor it was meant for.
    pub fn target(&self) -> ActorId {
        match self {
            Self::Full { target, .. }
            | Self::Dead { target, .. }
            | Self::Overloaded { target, .. }
            | Self::Expired { target, .. }
            | Self::Cancelled { target, .. } => *target,
        }
    }

    /// Whether the mailbox was full: the one refusal that passes by itself.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// Whether the actor has stopped.
    pub fn is_dead(&self) -> bool {
        matches!(self, Self::Dead { .. })
    }

    fn words(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full {
                target, capacity, ..
            } => write!(
                f,
                "mailbox of {target} is full ({capacity} messages); wait with send(..).await, retry, \
                 or give it a larger mailbox"
            ),
            Self::Dead { target, .. } => write!(f, "{target} has stopped"),
            Self::Overloaded { target, .. } => write!(
                f,
                "message to {target} refused: the process is at its memory limit for messages"
            ),
            Self::Expired { target, .. } => {
                write!(f, "message to {target} not sent: its deadline passed first")
            }
            Self::Cancelled { target, .. } => {
                write!(f, "message to {target} not sent: its context was cancelled")
            }
        }
    }
}

// By hand, so that `M` needs no `Debug`: messages often hold what has none.
impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Full { .. } => "Full",
            Self::Dead { .. } => "Dead",
            Self::Overloaded { .. } => "Overloaded",
            Self::Expired { .. } => "Expired",
            Self::Cancelled { .. } => "Cancelled",
        };
        debug(f, name, &self.target(), std::any::type_name::<M>())
    }
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words(f)
    }
}

impl<M> Error for SendError<M> {}

/// Why an ask has no reply.
///
/// `Full`, `Overloaded` and `WouldBlock` give the message back; `Dead`, `Deadlock`, `Expired` and `Cancelled`
/// do if it was never accepted. After `Expired` and `Cancelled` the handler may or may not have run.
#[non_exhaustive]
#[derive(Clone, PartialEq, Eq)]
pub enum AskError<M> {
    /// The mailbox is full and its policy is `Reject`, or `DropOldest` at twice its capacity.
    Full {
        /// The actor that has no room.
        target: ActorId,
        /// How many messages its mailbox holds.
        capacity: usize,
        /// The message.
        message: M,
    },
    /// The actor has stopped. `message` is there if it was never accepted.
    Dead {
        /// The actor.
        target: ActorId,
        /// The message, unless the actor stopped after it had taken it in.
        message: Option<M>,
    },
    /// The deadline passed. The handler may or may not have run.
    Expired {
        /// The actor.
        target: ActorId,
        /// How long the asker waited.
        waited: Duration,
        /// The message, if it was never accepted.
        message: Option<M>,
    },
    /// The call's context was cancelled.
    Cancelled {
        /// The actor.
        target: ActorId,
        /// The message, if it was never accepted.
        message: Option<M>,
    },
    /// The handler panicked on this message.
    Panicked {
        /// The actor.
        target: ActorId,
    },
    /// There will be no reply: the handler dropped its [`Reply`](crate::Reply) handle, or the mailbox's
    /// overflow policy dropped the message.
    NoReply {
        /// The actor.
        target: ActorId,
    },
    /// The actor lives on a peer that is gone. The handler may or may not have run.
    PeerGone {
        /// The actor.
        target: ActorId,
    },
    /// There is no connection now to the peer that the actor lives on. The handler may or may not have
    /// run.
    Unreachable {
        /// The actor.
        target: ActorId,
    },
    /// The actor lives on another peer, and its mailbox, or the memory for messages there, was full when the ask came: an
    /// ask waits for room where it is sent, not there. The handler has not run; ask again after a pause.
    NoRoom {
        /// The actor.
        target: ActorId,
    },
    /// The actor lives on another peer, and this type of message does not travel: it is not marked
    /// `remote` here, or not exported there.
    NotExported {
        /// The actor.
        target: ActorId,
    },
    /// Written down, the message or its reply is larger than the peer takes.
    TooLarge {
        /// The actor.
        target: ActorId,
    },
    /// Waiting for the reply would close a circle of actors that wait for each other.
    Deadlock {
        /// The circle: the asker first, each asks the next, the last asks the first.
        path: DeadlockPath,
        /// The message; gone if the circle goes over several peers, where it is found only after a while.
        message: Option<M>,
    },
    /// The process is at its memory limit for messages.
    Overloaded {
        /// The actor.
        target: ActorId,
        /// The message.
        message: M,
    },
    /// `ask_blocking` was called on a worker, whose other actors would wait with it.
    WouldBlock {
        /// The actor.
        target: ActorId,
        /// The message.
        message: M,
    },
}

/// The actors of a circle of asks, in asking order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadlockPath(pub(crate) Vec<ActorId>);

impl DeadlockPath {
    /// The actors; the asker comes first.
    pub fn actors(&self) -> &[ActorId] {
        &self.0
    }
}

impl fmt::Display for DeadlockPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for actor in &self.0 {
            write!(f, "{actor} -> ")?;
        }
        match self.0.first() {
            Some(first) => write!(f, "{first}"),
            None => Ok(()),
        }
    }
}

impl<M> AskError<M> {
    /// The message, if it was never accepted by the actor.
    pub fn into_message(self) -> Option<M> {
        match self {
            Self::Full { message, .. }
            | Self::Overloaded { message, .. }
            | Self::WouldBlock { message, .. } => Some(message),
            Self::Dead { message, .. }
            | Self::Deadlock { message, .. }
            | Self::Expired { message, .. }
            | Self::Cancelled { message, .. } => message,
            Self::Panicked { .. }
            | Self::NoReply { .. }
            | Self::PeerGone { .. }
            | Self::Unreachable { .. }
            | Self::NoRoom { .. }
            | Self::NotExported { .. }
            | Self::TooLarge { .. } => None,
        }
    }

    /// The actor that was asked.
    pub fn target(&self) -> ActorId {
        match self {
            Self::Full { target, .. }
            | Self::Dead { target, .. }
            | Self::Expired { target, .. }
            | Self::Cancelled { target, .. }
            | Self::Panicked { target }
            | Self::NoReply { target }
            | Self::PeerGone { target }
            | Self::Unreachable { target }
            | Self::NoRoom { target }
            | Self::NotExported { target }
            | Self::TooLarge { target }
            | Self::Overloaded { target, .. }
            | Self::WouldBlock { target, .. } => *target,
            Self::Deadlock { path, .. } => path
                .0
                .get(1)
                .or_else(|| path.0.first())
                .copied()
                .unwrap_or(ActorId(0)),
        }
    }

    /// The same error with another message: for who has wrapped what somebody else sent.
    pub fn map<N>(self, change: impl FnOnce(M) -> N) -> AskError<N> {
        match self {
            Self::Full {
                target,
                capacity,
                message,
            } => AskError::Full {
                target,
                capacity,
                message: change(message),
            },
            Self::Dead { target, message } => AskError::Dead {
                target,
                message: message.map(change),
            },
            Self::Expired {
                target,
                waited,
                message,
            } => AskError::Expired {
                target,
                waited,
                message: message.map(change),
            },
            Self::Cancelled { target, message } => AskError::Cancelled {
                target,
                message: message.map(change),
            },
            Self::Panicked { target } => AskError::Panicked { target },
            Self::NoReply { target } => AskError::NoReply { target },
            Self::PeerGone { target } => AskError::PeerGone { target },
            Self::Unreachable { target } => AskError::Unreachable { target },
            Self::NoRoom { target } => AskError::NoRoom { target },
            Self::NotExported { target } => AskError::NotExported { target },
            Self::TooLarge { target } => AskError::TooLarge { target },
            Self::Deadlock { path, message } => AskError::Deadlock {
                path,
                message: message.map(change),
            },
            Self::Overloaded { target, message } => AskError::Overloaded {
                target,
                message: change(message),
            },
            Self::WouldBlock { target, message } => AskError::WouldBlock {
                target,
                message: change(message),
            },
        }
    }

    /// The same error without the message, for callers that pass errors up. Where the message may have come back,
    /// `Some(())` says that it did.
    pub fn without_message(self) -> AskError<()> {
        self.map(drop)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Full { .. } => "Full",
            Self::Dead { .. } => "Dead",
            Self::Expired { .. } => "Expired",
            Self::Cancelled { .. } => "Cancelled",
            Self::Panicked { .. } => "Panicked",
            Self::NoReply { .. } => "NoReply",
            Self::PeerGone { .. } => "PeerGone",
            Self::Unreachable { .. } => "Unreachable",
            Self::NoRoom { .. } => "NoRoom",
            Self::NotExported { .. } => "NotExported",
            Self::TooLarge { .. } => "TooLarge",
            Self::Deadlock { .. } => "Deadlock",
            Self::Overloaded { .. } => "Overloaded",
            Self::WouldBlock { .. } => "WouldBlock",
        }
    }
}

impl<M> From<SendError<M>> for AskError<M> {
    fn from(error: SendError<M>) -> Self {
        match error {
            SendError::Full {
                target,
                capacity,
                message,
            } => Self::Full {
                target,
                capacity,
                message,
            },
            SendError::Dead { target, message } => Self::Dead {
                target,
                message: Some(message),
            },
            SendError::Overloaded { target, message } => Self::Overloaded { target, message },
            SendError::Expired { target, message } => Self::Expired {
                target,
                waited: Duration::ZERO,
                message: Some(message),
            },
            SendError::Cancelled { target, message } => Self::Cancelled {
                target,
                message: Some(message),
            },
        }
    }
}

impl<M> fmt::Debug for AskError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadlock { path, .. } => f
                .debug_struct("Deadlock")
                .field("path", &format_args!("{path}"))
                .finish_non_exhaustive(),
            _ => debug(f, self.name(), &self.target(), std::any::type_name::<M>()),
        }
    }
}

impl<M> fmt::Display for AskError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of an error without its message (`without_message`) the type is lost.
        let what = match std::any::type_name::<M>() {
            "()" => "the message",
            name => name,
        };
        match self {
            Self::Full {
                target, capacity, ..
            } => {
                write!(
                    f,
                    "mailbox of {target} is full ({capacity} messages); retry later or wait for room"
                )
            }
            Self::Dead {
                target,
                message: Some(_),
            } => write!(f, "{target} has stopped"),
            Self::Dead {
                target,
                message: None,
            } => {
                write!(f, "{target} stopped before it could reply to {what}")
            }
            Self::Expired { target, waited, .. } => {
                write!(
                    f,
                    "no reply from {target} to {what} before the deadline (waited {waited:?})"
                )
            }
            Self::Cancelled { target, .. } => {
                write!(f, "the ask of {target} with {what} was cancelled")
            }
            Self::Panicked { target } => write!(f, "{target} panicked while handling {what}"),
            Self::NoReply { target } => {
                write!(
                    f,
                    "{target} dropped {what} without a reply (its handler gave none, or its mailbox was full)"
                )
            }
            Self::PeerGone { target } => write!(
                f,
                "no reply from {target} to {what}: the peer it lives on is gone; it may have been handled"
            ),
            Self::Unreachable { target } => write!(
                f,
                "no reply from {target} to {what}: there is no connection to its peer; it may have been \
                 handled"
            ),
            Self::NoRoom { target } => write!(
                f,
                "no room for {what} at {target}, which lives on another peer: its mailbox or that process was full, and \
                 it was not handled; ask again after a pause"
            ),
            Self::NotExported { target } => write!(
                f,
                "{target} lives on another peer, and {what} does not travel: mark it \
                 #[message(remote)] and export it there"
            ),
            Self::TooLarge { target } => write!(
                f,
                "{what} for {target}, or the reply to it, is larger than the peer takes; send it in parts \
                 or raise the limit on both sides"
            ),
            Self::Deadlock { path, .. } => write!(
                f,
                "asking would wait for ever, these actors wait for each other: {path}; use tell in one \
                 direction"
            ),
            Self::Overloaded { target, .. } => write!(
                f,
                "message to {target} refused: the process is at its memory limit for messages"
            ),
            Self::WouldBlock { target, .. } => write!(
                f,
                "ask_blocking({target}) on a worker would hold up its other actors; use ask(..).await"
            ),
        }
    }
}

impl<M> Error for AskError<M> {}

fn debug(f: &mut fmt::Formatter<'_>, name: &str, target: &ActorId, message: &str) -> fmt::Result {
    f.debug_struct(name)
        .field("target", target)
        .field("message_type", &format_args!("{message}"))
        .finish_non_exhaustive()
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;

//! How large a mailbox is and what happens at the bound.

use super::inbox::CAPACITY_MAX;

/// The bound of an actor's mailbox.
///
/// Bounded to [`Mailbox::DEFAULT_CAPACITY`] with [`Overflow::Wait`] unless said otherwise: a queue
/// without a bound turns overload into an out-of-memory kill. A larger bound hides bursts and adds
/// waiting time; an unbounded one is for actors whose senders are bounded by themselves.
///
/// # Examples
///
/// ```
/// use actor_core::{Mailbox, Overflow};
///
/// let small = Mailbox::bounded(16).overflow(Overflow::Reject);
/// assert_eq!(small.capacity(), Some(16));
/// assert_eq!(Mailbox::unbounded().capacity(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mailbox {
    capacity: Option<usize>,
    overflow: Overflow,
}

/// What happens to a message that finds the mailbox full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Overflow {
    /// `send` waits for room; `tell` gives the message back in `Full`. The default.
    #[default]
    Wait,
    /// `send` and `tell` both give the message back in `Full` at once.
    Reject,
    /// The new message is dropped and counted; the sender sees success. An ask is answered
    /// `NoReply`.
    DropNewest,
    /// The oldest waiting messages are dropped and counted, down to the capacity, whenever the actor
    /// looks at its mailbox; an ask among them is answered `NoReply`. Only the actor's own worker can take
    /// a message out, so while one handler runs as many messages again may pile up; what comes beyond
    /// that is given back in `Full`.
    DropOldest,
}

impl Mailbox {
    /// Capacity of a mailbox that nobody configured: 1024 messages.
    pub const DEFAULT_CAPACITY: usize = 1024;
    /// The largest capacity: 60,000 messages (30,000 with [`Overflow::DropOldest`]).
    pub const MAX_CAPACITY: usize = CAPACITY_MAX as usize;

    /// At most `capacity` messages. Checked at spawn: 1 to [`Mailbox::MAX_CAPACITY`].
    pub const fn bounded(capacity: usize) -> Self {
        Self {
            capacity: Some(capacity),
            overflow: Overflow::Wait,
        }
    }

    /// No bound but memory's.
    pub const fn unbounded() -> Self {
        Self {
            capacity: None,
            overflow: Overflow::Wait,
        }
    }

    /// What happens at the bound; no effect on an unbounded mailbox.
    #[must_use]
    pub const fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// The bound, `None` without one.
    pub const fn capacity(&self) -> Option<usize> {
        self.capacity
    }

    /// What happens at the bound.
    pub const fn overflow_policy(&self) -> Overflow {
        self.overflow
    }

    /// The largest capacity that this overflow policy allows.
    pub(crate) const fn max_capacity(&self) -> usize {
        match self.overflow {
            Overflow::DropOldest => Self::MAX_CAPACITY / 2,
            _ => Self::MAX_CAPACITY,
        }
    }

    /// The bound the inbox enforces; 0 = none. Call after the capacity was checked.
    pub(crate) fn inbox_capacity(&self) -> u32 {
        let capacity = self.capacity.map_or(0, |capacity| capacity as u32);
        match self.overflow {
            Overflow::DropOldest => capacity * 2,
            _ => capacity,
        }
    }
}

impl Default for Mailbox {
    fn default() -> Self {
        Self::bounded(Self::DEFAULT_CAPACITY)
    }
}

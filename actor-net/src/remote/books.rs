//! What became of every message that left or came: the books of this floor.
//!
//! Out: `tells` and `asks` were handed to a lane. Each of them arrived, or is under `lost` (its connection
//! broke while it was on its way: it may have arrived) or `dropped` (it was surely not sent), or is on its
//! way. In: each that came was put into a mailbox (`delivered`), is `held` for a full one, or is under
//! `refused`. So between two peers, when nothing is under way:
//! `out + lost in between = in`, and `in = delivered + held + refused`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! books {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What became of messages between this process and all its peers, since it started.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct RemoteStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Default)]
        pub(super) struct Books {
            $(pub(super) $name: Counter,)*
        }

        impl Books {
            pub(super) fn read(&self) -> RemoteStats {
                RemoteStats {
                    $($name: self.$name.0.load(Ordering::Relaxed),)*
                }
            }
        }

        impl RemoteStats {
            /// Every count by its name, in their order.
            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }

        impl fmt::Display for RemoteStats {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut first = true;
                for (name, count) in self.counts() {
                    if count != 0 {
                        let comma = if first { "" } else { ", " };
                        write!(f, "{comma}{name} {count}")?;
                        first = false;
                    }
                }
                if first {
                    f.write_str("nothing yet")?;
                }
                Ok(())
            }
        }
    };
}

/// A number that only grows (but for `held`).
#[derive(Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        // Relaxed: a figure.
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn one_more(&self) {
        self.add(1);
    }

    pub(super) fn take(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }
}

books! {
    /// Tells that were handed to a lane.
    tells_out,
    /// Asks that were handed to a lane.
    asks_out,
    /// Answers and failures that were handed to a lane.
    answers_out,
    /// Tells that came.
    tells_in,
    /// Asks that came.
    asks_in,
    /// Answers and failures that came.
    answers_in,
    /// Answers that came for an ask that nobody waits for any more.
    answers_late,
    /// Tells that were on their way when their connection broke. They may have arrived.
    lost_tells,
    /// The same of asks; the asker heard `Unreachable`.
    lost_asks,
    /// The same of answers; the asker is told so.
    lost_answers,
    /// Messages that were not sent: their deadline passed first.
    dropped_expired,
    /// Messages that were not sent: they were cancelled, or the asker gave up.
    dropped_cancelled,
    /// Messages that were not sent: too large for the peer.
    dropped_too_large,
    /// Messages that were not sent: the peer was given up.
    dropped_peer_gone,
    /// Messages that the peer stopped taking halfway.
    dropped_discarded,
    /// Messages that came and were put into a mailbox.
    delivered,
    /// Messages that came and wait for room in a mailbox, now.
    held,
    /// Messages that came for an actor that has stopped, or with a key that is not its.
    refused_dead,
    /// Messages that came for an actor that does not take them from peers, or for a name that is not there.
    refused_not_exported,
    /// Messages that came and could not be read, by the frame or by their type.
    refused_malformed,
    /// Messages that came for a mailbox that was full and does not let wait.
    refused_full,
    /// Messages that came at the memory limit for messages.
    refused_overloaded,
    /// Messages that came too late, or cancelled.
    refused_expired,
    /// Asks that this side gave up after they had gone out.
    cancelled_here,
    /// Asks of peers that were given up there.
    cancelled_there,
    /// Times that a peer was asked to hold back the senders of an actor here that stays full.
    pauses_out,
    /// Times that a peer has asked for that.
    pauses_in,
    /// Orders to stop that were not followed, for peers may not give any here.
    stops_refused,
}

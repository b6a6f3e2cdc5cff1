//! What travels with a message, and how a message waits.
//!
//! A mailbox is three small things that the cell embeds:
//! - [`inbox::Inbox`]: one word that many senders push to, with the life-cycle tags in it;
//! - the owner's private FIFO, which is just a pointer to the first taken [`node::Node`];
//! - nothing else: an idle actor owns no mailbox memory.
//!
//! The mailbox never wakes anybody. A push says whether the pusher must schedule the cell.

pub(crate) mod batch;
pub(crate) mod inbox;
pub(crate) mod lane;
pub(crate) mod node;
pub(crate) mod quiet;
pub(crate) mod recall;
pub(crate) mod reply;
pub(crate) mod waiters;

#[cfg(not(actor_loom))]
mod asks;
#[cfg(not(actor_loom))]
mod config;
#[cfg(not(actor_loom))]
mod error;
#[cfg(not(actor_loom))]
pub(crate) mod ledger;

#[cfg(not(actor_loom))]
pub use asks::AskStats;
#[cfg(not(actor_loom))]
pub use config::{Mailbox, Overflow};
#[cfg(not(actor_loom))]
pub use error::{AskError, DeadlockPath, SendError};
#[cfg(not(actor_loom))]
pub use ledger::{Conservation, DeadLetters, Dropped, Refused};

//! A message on its way: an intrusive node with the payload inline.
//!
//! ```text
//!  0        8        16       24     28     32
//!  | next   | vtable | context| gen  | meta | payload (message; for an ask also its reply slot) |
//! ```
//!
//! A 32-byte message shares one cache line with its header. The vtable is a function pointer set per
//! actor and message type, not an enum: the set of messages stays open and a node is no larger than
//! its own payload (measured equal to an enum match, docs/decisions/0002).
//!
//! # Invariants
//!
//! - N1: a node has one owner at a time: the sender until the push succeeds, then the mailbox, then
//!   the worker that took it; an ask's node is shared by exactly two parties as `reply` says.
//! - N2: `next` is written only by the owner, before the push that publishes it or after the take; and
//!   by the responder of an ask that is being handled, since nobody follows the link of such a node
//!   (one that is handled in place is the oldest: the walk over those above it ends there).
//! - N3: nodes are aligned to 64 bytes, so six address bits are free for the inbox's tags.

use std::ptr::NonNull;

#[cfg(not(actor_loom))]
use crate::id::ActorId;
use crate::sync::UnsafeCell;

/// Of an actor's index in its arena.
#[cfg(not(actor_loom))]
const INDEX_BITS: u32 = u64::BITS - 8 - ActorId::GENERATION_BITS;
#[cfg(not(actor_loom))]
const _: () = assert!(INDEX_BITS <= 24 + (u32::BITS - ActorId::GENERATION_BITS));
const _: () = assert!(size_of::<Meta>() == 4);

/// The part of a node that the mailbox knows.
#[derive(Debug)]
#[repr(C, align(32))]
pub(crate) struct Node {
    /// The node pushed before (in an inbox) or to be handled after (in the private FIFO).
    pub(crate) next: UnsafeCell<*mut Self>,
    pub(crate) vtable: &'static NodeVtable,
    /// The context block of the floor above, or null: most messages carry none.
    pub(crate) context: *mut (),
    /// The generation of the target the sender meant.
    pub(crate) generation: u32,
    pub(crate) meta: Meta,
}

/// Where the node's memory came from.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(4))]
pub(crate) struct Meta {
    /// Arena of the block.
    pub(crate) arena: u8,
    /// User message or one of ours: ours are not counted in the conservation law.
    pub(crate) internal: bool,
}

/// What can be done with a node of unknown type.
#[derive(Debug)]
pub(crate) struct NodeVtable {
    /// Hands the message to the actor of a cell and says how far it got.
    ///
    /// # Safety
    ///
    /// The caller is the owner of the cell and of the node, the node is of the cell's actor type,
    /// and the generations match.
    pub(crate) run: unsafe fn(cell: NonNull<()>, node: NonNull<Node>) -> Step,
    /// As `run`, of a proxy: hands the message to what takes it to another process.
    ///
    /// # Safety
    ///
    /// The caller is the owner of the cell, a proxy's, and of the node.
    pub(crate) forward: unsafe fn(cell: NonNull<()>, node: NonNull<Node>) -> Step,
    /// Ends a node: drops what it still holds, answers an ask, frees the memory.
    ///
    /// # Safety
    ///
    /// The caller owns the node and gives it up. `end` says truly whether the message is still in it.
    pub(crate) finish: unsafe fn(node: NonNull<Node>, end: End),
    /// Whether somebody asked and has given up waiting for the reply.
    ///
    /// # Safety
    ///
    /// The node is alive and being handled by the caller.
    pub(crate) abandoned: unsafe fn(node: NonNull<Node>) -> bool,
    /// The message type's name, for reports.
    pub(crate) message: fn() -> &'static str,
}

/// How far `run` got.
#[derive(Debug)]
pub(crate) enum Step {
    /// The handler ran to its end; for an ask the reply lies in the node.
    Done,
    /// The message is on its way to another process; an ask is answered by a handle.
    Forwarded,
    /// An async handler is waiting: its frame is in the cell, the node is still in use.
    Pending,
    /// The handler is not ready for it: still in the node, to be put aside.
    Later,
    /// The message was not handed over (expired, cancelled, nobody waits): still in the node.
    Skipped(Fate),
    /// The handler's guard panicked: the message is still in the node.
    GuardPanicked(Box<dyn std::any::Any + Send>),
    /// The handler panicked; the message is gone.
    Panicked(Box<dyn std::any::Any + Send>),
}

/// Why a node ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// `run` said `Done`.
    Handled,
    /// `forward` said `Forwarded`.
    Forwarded,
    /// The message was taken out by a handler that did not finish; an ask is answered with this.
    Interrupted(Fate),
    /// The message is still in the node; an ask is answered with this.
    Unhandled(Fate),
}

/// What became of a message that was not handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Fate {
    /// The actor had stopped, or stopped before it came to the message.
    ActorStopped = 1,
    /// The message's deadline passed while it waited.
    Expired = 2,
    /// The message's context was cancelled while it waited.
    Cancelled = 3,
    /// The handler panicked on it.
    Panicked = 4,
    /// The handler was cut off by a kill while it waited for something.
    Interrupted = 5,
    /// Pushed out by a newer message (`Overflow::DropOldest`).
    Oldest = 6,
    /// Not taken into a full mailbox (`Overflow::DropNewest`), or not put aside in a full stash.
    Newest = 7,
    /// The asker gave up before the handler started.
    Abandoned = 8,
    /// The reply was never given.
    NoReply = 9,
    /// The peer that the actor lives on is gone.
    PeerGone = 10,
    /// The peer does not take this type of message from others, or there is no way to write it down.
    NotExported = 11,
    /// Written down, the message is larger than its peer takes.
    TooLarge = 12,
    /// There is no connection to the peer now.
    Unreachable = 13,
    /// It was an ask, and there was no room for it where its actor lives, on another peer.
    NoRoom = 14,
}

impl Fate {
    /// The fate of that number.
    pub(crate) fn of(number: u8) -> Option<Self> {
        ALL.into_iter().find(|fate| *fate as u8 == number)
    }

    /// Whether the message had nobody to go to, rather than being given up for a reason of its own.
    pub(crate) const fn is_dead_letter(self) -> bool {
        matches!(
            self,
            Self::ActorStopped
                | Self::PeerGone
                | Self::NotExported
                | Self::TooLarge
                | Self::Unreachable
        )
    }
}

const ALL: [Fate; 14] = [
    Fate::ActorStopped,
    Fate::Expired,
    Fate::Cancelled,
    Fate::Panicked,
    Fate::Interrupted,
    Fate::Oldest,
    Fate::Newest,
    Fate::Abandoned,
    Fate::NoReply,
    Fate::PeerGone,
    Fate::NotExported,
    Fate::TooLarge,
    Fate::Unreachable,
    Fate::NoRoom,
];

/// How many fates there are, and 0, which is none.
pub(crate) const FATES: usize = Fate::NoRoom as usize + 1;

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ActorStopped => "the actor has stopped",
            Self::Expired => "the deadline passed before it was handled",
            Self::Cancelled => "it was cancelled before it was handled",
            Self::Panicked => "the handler panicked on it",
            Self::Interrupted => "the actor was killed while handling it",
            Self::Oldest => "pushed out of a full mailbox by a newer message",
            Self::Newest => "not taken into a full mailbox or stash",
            Self::Abandoned => "the asker gave up before it was handled",
            Self::NoReply => "no reply was given",
            Self::PeerGone => "the peer it was for is gone",
            Self::NotExported => "its type is not exported to or by the peer",
            Self::TooLarge => "it is larger than the peer takes",
            Self::Unreachable => "there is no connection to the peer",
            Self::NoRoom => "there was no room for it on the actor's peer",
        })
    }
}

/// [`NodeVtable::forward`] of what an actor only ever sends to itself.
///
/// # Safety
///
/// As for `NodeVtable::forward`.
pub(crate) unsafe fn stays_here(_cell: NonNull<()>, _node: NonNull<Node>) -> Step {
    Step::Skipped(Fate::NotExported)
}

impl Node {
    /// Writes whom the node is for on the node itself, for a way that does not end at one mailbox. The target
    /// needs 30 bits, and 6 of `generation` and 24 of `meta` are free; `whom` puts things back.
    ///
    /// # Safety
    ///
    /// The caller owns the node (N1), which carries a user's message and is not read before `whom`.
    #[cfg(not(actor_loom))]
    #[inline(always)]
    pub(crate) unsafe fn address_to(node: NonNull<Self>, index: u32) {
        debug_assert!(index < 1 << INDEX_BITS, "{index} is no index of a cell");
        let head = node.as_ptr();
        // SAFETY: N1, by the caller; four bytes of `meta` are the node's own (its alignment says so).
        unsafe {
            debug_assert!(!(*head).meta.internal, "a notice goes its own way");
            (*head).generation |= index >> 24 << ActorId::GENERATION_BITS;
            let rest = index << 8 | u32::from((*head).meta.arena);
            (&raw mut (*head).meta).cast::<u32>().write(rest);
        }
    }

    /// Whom the node is for; it is again as it was before `address_to`.
    ///
    /// # Safety
    ///
    /// The caller owns the node (N1), and `address_to` was the last to write its head.
    #[cfg(not(actor_loom))]
    #[inline(always)]
    pub(crate) unsafe fn whom(node: NonNull<Self>) -> u32 {
        let head = node.as_ptr();
        // SAFETY: as in `address_to`.
        unsafe {
            let high = (*head).generation >> ActorId::GENERATION_BITS << 24;
            (*head).generation &= (1 << ActorId::GENERATION_BITS) - 1;
            let rest = (&raw const (*head).meta).cast::<u32>().read();
            (*head).meta = Meta {
                arena: rest as u8,
                internal: false,
            };
            high | rest >> 8
        }
    }

    /// # Safety
    ///
    /// The caller owns the node (N1).
    #[inline(always)]
    pub(crate) unsafe fn set_next(node: NonNull<Self>, next: *mut Self) {
        // SAFETY: N1 and N2, by the caller.
        unsafe { node.as_ref() }.next.with_mut(|slot| {
            // SAFETY: as above: nobody else looks at `next` now.
            unsafe { *slot = next }
        });
    }

    /// # Safety
    ///
    /// The caller owns the node (N1).
    #[inline(always)]
    pub(crate) unsafe fn next(node: NonNull<Self>) -> *mut Self {
        // SAFETY: N1 and N2, by the caller.
        unsafe { node.as_ref() }.next.with(|slot| {
            // SAFETY: as above.
            unsafe { *slot }
        })
    }
}

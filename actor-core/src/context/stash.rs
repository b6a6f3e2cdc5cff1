//! Putting messages aside until the actor is ready for them.
//!
//! Two forms, for two situations (docs/decisions/0005):
//! - `accepts`, a guard of the handler that is asked before the message leaves its node. It works for
//!   asks and async handlers, copies nothing, and costs nothing where it is not written.
//! - `cx.stash(message)`, for a handler that finds out half-way. The message goes into a new node.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::actor::{Actor, Handler, Message};
use super::actor_context::ActorContext;
use super::envelope::{NoMemory, TellNode};
use super::message_context::Context;
use super::spanning::Verb;
use crate::cell::CellRef;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::Step;

/// Whether a handler takes a message now; said by [`Handler::accepts`] and [`SyncHandler::accepts`].
///
/// [`Handler::accepts`]: crate::Handler::accepts
/// [`SyncHandler::accepts`]: crate::SyncHandler::accepts
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Accept {
    /// It is handled.
    #[default]
    Now,
    /// It is put aside until [`ActorContext::unstash_all`] gives it back.
    Later,
}

/// A message that could not be put aside, with the message.
#[derive(PartialEq, Eq)]
#[non_exhaustive]
pub enum StashError<M> {
    /// As many messages as allowed are put aside already.
    Full {
        /// How many that are.
        capacity: usize,
        /// The message.
        message: M,
    },
    /// The memory limit for messages is reached.
    Overloaded {
        /// The message.
        message: M,
    },
}

impl<M> StashError<M> {
    /// The message.
    pub fn into_message(self) -> M {
        match self {
            Self::Full { message, .. } | Self::Overloaded { message } => message,
        }
    }
}

// By hand, as for `SendError`: the message need not be `Debug`.
impl<M> fmt::Debug for StashError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { capacity, .. } => f
                .debug_struct("Full")
                .field("capacity", capacity)
                .field("message", &std::any::type_name::<M>())
                .finish(),
            Self::Overloaded { .. } => f
                .debug_struct("Overloaded")
                .field("message", &std::any::type_name::<M>())
                .finish(),
        }
    }
}

impl<M> fmt::Display for StashError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = std::any::type_name::<M>();
        match self {
            Self::Full { capacity, .. } => write!(
                f,
                "{message} was not put aside: {capacity} messages are already; unstash some, or \
                 allow more with ActorOptions::stash"
            ),
            Self::Overloaded { .. } => write!(
                f,
                "{message} was not put aside: the memory limit for messages is reached \
                 (SystemBuilder::message_memory)"
            ),
        }
    }
}

impl<M> std::error::Error for StashError<M> {}

/// # Putting messages aside
///
/// An actor that is not ready for a message (not connected yet, busy with a transaction) puts it aside
/// and takes it back later, in order and before all that has come meanwhile.
///
/// At most [`ActorOptions::stash`](crate::ActorOptions::stash) messages, 1000 unless said otherwise. They
/// are not counted as waiting in the mailbox, so senders see room. Deadlines go on: a message that has
/// expired when it is given back is dropped and counted, and its asker has heard already.
///
/// On a restart all are given back to the front of the mailbox. When the actor stops, drained or not, they
/// become dead letters.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_core::Accept;
///
/// struct Store { ready: bool, saved: Vec<u32> }
/// impl Actor for Store {}
///
/// struct Save(u32);
/// impl Message for Save { type Reply = usize; }
/// struct Ready;
/// impl Message for Ready { type Reply = (); }
///
/// impl SyncHandler<Save> for Store {
///     fn accepts(&self, _: &Save) -> Accept {
///         if self.ready { Accept::Now } else { Accept::Later }
///     }
///     fn handle(&mut self, Save(n): Save, _cx: &mut ActorContext<Self>) -> usize {
///         self.saved.push(n);
///         self.saved.len()
///     }
/// }
/// impl SyncHandler<Ready> for Store {
///     fn handle(&mut self, _: Ready, cx: &mut ActorContext<Self>) {
///         self.ready = true;
///         cx.unstash_all();
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// let store = system.spawn(Store { ready: false, saved: Vec::new() })?;
/// store.tell(Save(1))?;
/// let second = store.ask(Save(2));
/// store.tell(Ready)?;
/// // Asked while the store was not ready, and answered all the same.
/// assert_eq!(system.block_on(second)?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<A: Actor> ActorContext<A> {
    /// Puts a message aside: the one being handled, given back, or any other that this actor handles.
    ///
    /// It is kept as a tell in the present context; if it came by an ask, the asker gets what this handler
    /// returns. To put an ask aside with its asker, write [`accepts`](crate::Handler::accepts). In the
    /// books it is a message of its own.
    ///
    /// # Errors
    ///
    /// [`StashError`] gives the message back when there is no room for it.
    pub fn stash<M: Message>(&mut self, message: M) -> Result<(), StashError<M>>
    where
        A: Handler<M>,
    {
        // SAFETY: `&mut self`: the handler runs on the owner, or while the owner waits for it.
        unsafe {
            let context = Context::current().departing(Verb::Own, self.cell().runtime());
            stash_new::<A, M>(self.cell(), context, message)
        }
    }

    /// Gives all messages that were put aside back to the mailbox: they are handled next, in the order
    /// in which they were put aside. How many there were.
    ///
    /// Those for which the handler is still not ready are put aside again.
    pub fn unstash_all(&mut self) -> usize {
        self.unstash(usize::MAX)
    }

    /// As [`unstash_all`](Self::unstash_all) for the first `n` of them.
    pub fn unstash(&mut self, n: usize) -> usize {
        // SAFETY: as in `stash`.
        unsafe { self.cell().unstash(n) }
    }

    /// How many messages are put aside.
    pub fn stashed(&self) -> usize {
        // SAFETY: as in `stash`; reads a number that only the owner changes.
        unsafe { self.cell().stashed() }.0
    }
}

/// Puts a message aside in a node of its own.
///
/// # Safety
///
/// The caller owns the cell, whose actor is an `A`, or its owner waits for the caller.
pub(super) unsafe fn stash_new<A: Handler<M>, M: Message>(
    cell: CellRef,
    context: Context,
    message: M,
) -> Result<(), StashError<M>> {
    // SAFETY: by the caller.
    let (stashed, capacity) = unsafe { cell.stashed() };
    if stashed >= capacity {
        return Err(StashError::Full { capacity, message });
    }
    let id = cell.id();
    let node = TellNode::alloc::<A>(cell.arena(), id.generation(), context, message)
        .map_err(|NoMemory(message)| StashError::Overloaded { message })?;
    cell.runtime().count(Count::Offered, 1);
    cell.runtime().count(Count::Accepted, 1);
    // SAFETY: by the caller; the node is ours and in no list.
    let kept = unsafe { cell.stash(node) };
    debug_assert!(kept, "there was room a moment ago");
    Ok(())
}

/// Asks the handler's guard; if the message is not to be handled now, says how far it got. With the
/// default guard nothing is left of this.
///
/// # Safety
///
/// The caller owns the cell, whose actor is an `A`, alive and unborrowed.
#[inline(always)]
pub(super) unsafe fn gate<A: Handler<M>, M: Message>(
    cell: CellRef,
    message: &M,
) -> Result<(), Step> {
    // SAFETY: by the caller.
    let actor = unsafe { &*cell.state().cast::<A>() };
    match catch_unwind(AssertUnwindSafe(|| actor.accepts(message))) {
        Ok(Accept::Now) => Ok(()),
        Ok(Accept::Later) => Err(Step::Later),
        Err(payload) => Err(Step::GuardPanicked(payload)),
    }
}

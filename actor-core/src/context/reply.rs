//! A reply that is given later, or by somebody else.
//!
//! The handle is the responder's side of an ask, moved out of the turn: `mailbox::reply` says who
//! touches what. It knows the reply's type and not the message's, so that it can be stored, mapped over
//! messages and forwarded; three functions behind a table know the node.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::actor::{Actor, Message, SyncHandler};
use super::actor_context::ActorContext;
use super::circles;
use super::envelope::{AskNode, context_of};
use super::message_context::Context;
use super::outgoing::inherited;
use super::spanning;
use super::stash::Accept;
use crate::cell::{CellRef, Runtime, contain, ending};
use crate::id::ActorId;
use crate::mailbox::node::{Fate, Node};
use crate::trace::SpanOutcome;

/// How an actor handles a message that it answers later: when another message comes, from a spawned
/// task, or not at all.
///
/// The handler itself is a plain function; what it does with the [`Reply`] is its own affair. The message
/// counts as handled when the function returns. A panic in it is handled as for
/// [`Handler::handle`](crate::Handler::handle).
///
/// With `#[messages]`: `#[message(deferred)] fn get(&mut self, key: Key, reply: Reply<Value>)`.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_core::{DeferredHandler, Reply};
///
/// /// Waits until the door is open, however long.
/// struct Pass;
/// impl Message for Pass { type Reply = u32; }
/// struct Open;
/// impl Message for Open { type Reply = (); }
///
/// #[derive(Default)]
/// struct Door { passed: u32, waiting: Vec<Reply<u32>> }
/// impl Actor for Door {}
///
/// impl DeferredHandler<Pass> for Door {
///     fn handle(&mut self, _: Pass, reply: Reply<u32>, _cx: &mut ActorContext<Self>) {
///         self.waiting.push(reply);
///     }
/// }
/// impl SyncHandler<Open> for Door {
///     fn handle(&mut self, _: Open, _cx: &mut ActorContext<Self>) {
///         for reply in self.waiting.drain(..) {
///             self.passed += 1;
///             reply.send(self.passed);
///         }
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// let door = system.spawn(Door::default())?;
/// system.block_on(async {
///     let (passed, ()) = tokio::try_join!(door.ask(Pass), async {
///         door.ask(Open).await.map_err(|_| unreachable!())
///     })?;
///     assert_eq!(passed, 1);
///     Ok::<(), AskError<Pass>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "the actor `{Self}` does not handle the message `{M}`",
    label = "`{Self}` has no handler for this message"
)]
pub trait DeferredHandler<M: Message>: Actor {
    /// Handles one message, and answers through `reply` now or at any time later.
    fn handle(&mut self, message: M, reply: Reply<M::Reply>, cx: &mut ActorContext<Self>);

    /// As [`Handler::accepts`](crate::Handler::accepts).
    #[inline(always)]
    fn accepts(&self, message: &M) -> Accept {
        let _ = message;
        Accept::Now
    }

    #[doc(hidden)]
    const PLAIN: bool = false;

    #[doc(hidden)]
    fn handle_plain(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply {
        let _ = (message, cx);
        unreachable!("a deferred handler is called with a reply handle, by the runtime")
    }
}

impl<A: SyncHandler<M>, M: Message> DeferredHandler<M> for A {
    fn handle(&mut self, message: M, reply: Reply<M::Reply>, cx: &mut ActorContext<Self>) {
        reply.send(SyncHandler::handle(self, message, cx));
    }

    #[inline(always)]
    fn accepts(&self, message: &M) -> Accept {
        SyncHandler::accepts(self, message)
    }

    const PLAIN: bool = true;

    #[inline(always)]
    fn handle_plain(&mut self, message: M, cx: &mut ActorContext<Self>) -> M::Reply {
        SyncHandler::handle(self, message, cx)
    }
}

/// The right to answer one ask, once: [`send`](Self::send) uses it up.
///
/// Keep it in the actor's state, or move it to a task or a thread. The asker waits meanwhile, with its
/// own deadline; the actor does not. Of a message that was told, not asked, the handle is a blank: a
/// reply sent by it is dropped.
///
/// Dropped without a reply, the asker hears at once:
///
/// | dropped | the asker gets |
/// |---|---|
/// | with the state of an actor that stops or starts again | [`Dead`](crate::AskError::Dead) |
/// | by a panic | [`Panicked`](crate::AskError::Panicked) |
/// | otherwise | [`NoReply`](crate::AskError::NoReply), counted in [`ActorStats::no_replies`](crate::ActorStats) |
///
/// An actor that asks while it holds a reply back is not taken for a member of a circle: nobody can know
/// who will answer. If only this actor can, and it waits for the very actor that waits for the reply,
/// a deadline ends that.
#[must_use = "an asker waits; dropped, the handle says `NoReply` to it"]
pub struct Reply<R: Send + 'static> {
    /// An `AskNode` whose responder we are; `None`: nobody asked.
    node: Option<NonNull<Node>>,
    table: &'static Table<R>,
    /// The actor that took the message.
    target: ActorId,
    books: &'static Runtime,
    /// What a drop says, if it is neither a panic's nor the runtime's.
    unsaid: (Fate, Option<ActorId>),
    /// Of the handling, if that is recorded: its span ends with the reply. Empty otherwise.
    work: Context,
}

/// What can be done with the node of an ask for an `R`.
pub(super) struct Table<R> {
    pub(super) hand_in: unsafe fn(NonNull<Node>, Result<R, u8>, &'static Runtime),
    pub(super) is_abandoned: unsafe fn(NonNull<Node>) -> bool,
}

/// A handle that has forgotten its type. It answers nobody when it is dropped.
#[derive(Clone)]
pub(super) struct Erased {
    node: Option<NonNull<Node>>,
    table: *const (),
    target: ActorId,
    books: &'static Runtime,
    unsaid: (Fate, Option<ActorId>),
}

// SAFETY: as for `Reply`, of whose fields it consists.
unsafe impl Send for Erased {}
// SAFETY: as for `Reply`.
unsafe impl Sync for Erased {}

impl Erased {
    /// # Safety
    ///
    /// It was made from a handle of this type, and of its copies one is used up.
    pub(super) unsafe fn restore<R: Send + 'static>(self) -> Reply<R> {
        Reply {
            node: self.node,
            // SAFETY: by the caller: a &'static of this type once.
            table: unsafe { &*self.table.cast::<Table<R>>() },
            target: self.target,
            books: self.books,
            unsaid: self.unsaid,
            work: Context::empty(),
        }
    }
}

struct TableOf<M>(M);

impl<M: Message> TableOf<M> {
    const TABLE: &'static Table<M::Reply> = &Table {
        // SAFETY: by the callers the node is an ask of `M`, theirs to answer, and given up.
        hand_in: |node, reply, books| unsafe { AskNode::<M>::hand_in(node.cast(), reply, books) },
        is_abandoned: |node| {
            // SAFETY: by the callers the node is an ask of `M`, alive.
            unsafe { (*node.cast::<AskNode<M>>().as_ptr()).reply.is_abandoned() }
        },
    };
}

/// No node has this table's functions called on it.
struct Nobody<R>(R);

impl<R: Send + 'static> Nobody<R> {
    const TABLE: &'static Table<R> = &Table {
        hand_in: |_, _, _| unreachable!("nobody asked"),
        is_abandoned: |_| unreachable!("nobody asked"),
    };
}

// SAFETY: the responder's side of a node may be on any thread (reply R2), the value is `Send`, and the
// rest is plain data.
unsafe impl<R: Send> Send for Reply<R> {}
// SAFETY: through a shared reference only atomics and the context, which is Sync, are read.
unsafe impl<R: Send> Sync for Reply<R> {}

/// Beside the fates, always with [`BLAMED`]: the node's link is the number of a circle.
pub(super) const CIRCLE: u8 = 0x3d;

/// In the number of a failure: the node's link is the id of the actor that failed, not the one asked.
pub(super) const BLAMED: u8 = 0x40;

impl<R: Send + 'static> Reply<R> {
    /// # Safety
    ///
    /// The caller is the responder of the node and leaves that to the handle, of which there is one.
    pub(super) unsafe fn to_asker<M: Message<Reply = R>>(
        node: NonNull<AskNode<M>>,
        cell: CellRef,
    ) -> Self {
        // SAFETY: by the caller.
        unsafe { Self::of(node.cast(), TableOf::<M>::TABLE, cell.id(), cell.runtime()) }
    }

    /// To what another table than an ask's knows.
    ///
    /// # Safety
    ///
    /// As for `to_asker`, with a node that the table is for.
    pub(super) unsafe fn of(
        node: NonNull<Node>,
        table: &'static Table<R>,
        target: ActorId,
        books: &'static Runtime,
    ) -> Self {
        Self {
            node: Some(node),
            table,
            target,
            books,
            unsaid: (Fate::NoReply, None),
            work: Context::empty(),
        }
    }

    /// For a handler that is about to get it: if the handling is recorded, its span ends with this.
    ///
    /// # Safety
    ///
    /// The caller owns the node, which is being handled.
    #[inline(always)]
    pub(super) unsafe fn work_on(&mut self, node: NonNull<Node>) {
        // SAFETY: by the caller.
        unsafe {
            if !node.as_ref().context.is_null() {
                self.work = spanning::keep_open(node);
            }
        }
    }

    /// The handling comes to no reply of its own: another actor has the message now.
    pub(super) fn let_go(&mut self) -> Context {
        std::mem::take(&mut self.work)
    }

    /// What a message has that is sent in the place of the one that this answers.
    pub(super) fn context_of_next(&self) -> Context {
        if self.is_asked() {
            self.context()
        } else if self.work.is_empty() {
            inherited()
        } else {
            // It may be handed on by another handling, long after.
            self.work.clone()
        }
    }

    /// As it was before `let_go`.
    pub(super) fn take_up(&mut self, work: Context) {
        self.work = work;
    }

    /// Ends the span of the handling, before the asker hears.
    #[inline(always)]
    fn work_over(&mut self, outcome: impl FnOnce() -> SpanOutcome) {
        if !self.work.is_empty() {
            spanning::reply_given(&std::mem::take(&mut self.work), outcome());
        }
    }

    /// Whether the handling is recorded.
    pub(super) fn is_recorded(&self) -> bool {
        !self.work.is_empty()
    }

    /// The work on it has panicked, in a step of the actor's.
    #[cold]
    pub(super) fn panicked(&mut self, text: &str) {
        spanning::blame_for(&self.work);
        self.work_over(|| SpanOutcome::Panicked(text.into()));
    }

    pub(super) fn erase(mut self) -> Erased {
        self.work_over(|| SpanOutcome::Ok);
        let this = ManuallyDrop::new(self);
        Erased {
            node: this.node,
            table: std::ptr::from_ref(this.table).cast(),
            target: this.target,
            books: this.books,
            unsaid: this.unsaid,
        }
    }

    /// Of a message that was told.
    pub(super) fn to_nobody(cell: CellRef) -> Self {
        Self {
            node: None,
            table: Nobody::<R>::TABLE,
            target: cell.id(),
            books: cell.runtime(),
            unsaid: (Fate::NoReply, None),
            work: Context::empty(),
        }
    }

    /// Answers. A reply that nobody waits for any more is dropped and counted.
    pub fn send(mut self, reply: R) {
        self.work_over(|| SpanOutcome::Ok);
        let this = ManuallyDrop::new(self);
        match this.node {
            // SAFETY: the one handle of the node gives it up (`self` is not dropped).
            Some(node) => unsafe { (this.table.hand_in)(node, Ok(reply), this.books) },
            None => {
                contain(|| drop(reply));
            }
        }
    }

    /// Whether the asker has given up waiting, so that the work can be saved. Of a message that was told
    /// nobody ever waited, and this is `false`.
    pub fn is_abandoned(&self) -> bool {
        // SAFETY: the node is alive until we answer.
        self.node
            .is_some_and(|node| unsafe { (self.table.is_abandoned)(node) })
    }

    /// Whether somebody waits for the reply: it was asked for, and the asker has not given up.
    pub fn is_wanted(&self) -> bool {
        self.node.is_some() && !self.is_abandoned()
    }

    pub(super) fn is_asked(&self) -> bool {
        self.node.is_some()
    }

    /// The context of the ask: its deadline, trace and baggage. For work on the reply outside of the
    /// handler: `tokio::spawn(reply.context().scope(work))`. Empty for a message that was told.
    pub fn context(&self) -> Context {
        if self.is_asked() && !self.work.is_empty() {
            // The ask may have come over others, and what is below this handling is no part of theirs.
            return self.work.clone();
        }
        // SAFETY: the responder's side, and with it the context, is ours until we answer.
        self.node.map_or_else(Context::empty, |node| unsafe {
            Context::clone(&context_of(node))
        })
    }

    /// The actor that took the message.
    pub fn target(&self) -> ActorId {
        self.target
    }

    /// What the asker hears if the handle is dropped as it is.
    pub(super) fn otherwise(&mut self, fate: Fate, blame: Option<ActorId>) {
        self.unsaid = (fate, blame);
    }

    /// Ends the ask without a reply.
    pub(super) fn fail(mut self, fate: Fate, blame: ActorId) {
        self.end(fate, Some(blame));
        std::mem::forget(self);
    }

    /// Ends the ask: these actors wait for each other.
    pub(super) fn fail_in_circle(mut self, actors: Vec<ActorId>) {
        self.work_over(|| SpanOutcome::Refused("a circle of asks"));
        let mut this = ManuallyDrop::new(self);
        if let Some(node) = this.node.take() {
            let number = circles::keep(actors) as usize;
            // SAFETY: N2: the node is being handled or was, and we are its responder, by the one handle of it,
            // which gives it up.
            unsafe {
                Node::set_next(node, std::ptr::without_provenance_mut(number));
                (this.table.hand_in)(node, Err(CIRCLE | BLAMED), this.books);
            }
        }
    }

    /// Ends the ask with a number that the table knows; it was never accepted.
    pub(super) fn refuse(mut self, failure: u8) {
        self.work_over(|| SpanOutcome::Refused("refused"));
        let mut this = ManuallyDrop::new(self);
        if let Some(node) = this.node.take() {
            // SAFETY: the one handle of the node gives it up.
            unsafe { (this.table.hand_in)(node, Err(failure), this.books) };
        }
    }

    fn end(&mut self, fate: Fate, blame: Option<ActorId>) {
        let is_asked = self.is_asked();
        self.work_over(|| match fate {
            // Nobody asked, so nobody misses it.
            Fate::NoReply if !is_asked => SpanOutcome::Ok,
            fate => SpanOutcome::Failed(fate),
        });
        let Some(node) = self.node.take() else {
            return;
        };
        if fate == Fate::NoReply {
            self.books.record_fate(fate, self.target, "", None);
        }
        let mut failure = fate as u8;
        if let Some(blame) = blame {
            failure |= BLAMED;
            let id = std::ptr::without_provenance_mut(blame.as_u64() as usize);
            // SAFETY: N2: the node is being handled or was, and we are its responder.
            unsafe { Node::set_next(node, id) };
        }
        // SAFETY: the one handle of the node gives it up.
        unsafe { (self.table.hand_in)(node, Err(failure), self.books) };
    }
}

impl<R: Send + 'static> Drop for Reply<R> {
    fn drop(&mut self) {
        let (fate, blame) = match ending() {
            Some(fate) => (fate, None),
            None if std::thread::panicking() => (Fate::Panicked, None),
            None => self.unsaid,
        };
        self.end(fate, blame);
    }
}

/// The fate behind a failure's number, and who is to blame.
///
/// # Safety
///
/// The node is the asker's alone, and its slot said that it failed so.
pub(super) unsafe fn failure_of(node: NonNull<Node>, failure: u8) -> (u8, Option<ActorId>) {
    // SAFETY: by the caller; the mark says that the link is an id.
    let blame = (failure & BLAMED != 0).then(|| ActorId(unsafe { Node::next(node) }.addr() as u64));
    (failure & !BLAMED, blame)
}

impl<R: Send + 'static> fmt::Debug for Reply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("type", &format_args!("{}", std::any::type_name::<R>()))
            .field("target", &self.target)
            .field("asked", &self.node.is_some())
            .finish_non_exhaustive()
    }
}

//! Handing an ask on: another actor answers, and the asker hears from it directly.
//!
//! A forwarded message is a node of its own that holds the reply handle. It needs no reply slot: what its
//! handler returns goes to the handle, and so does its fate if it is not handled.

use std::alloc::Layout;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::actor::{Handler, Message};
use super::actor_context::ActorContext;
use super::actor_ref::{ActorRef, refused};
use super::envelope::{context_of, head};
use super::harness::{self, Answer};
use super::message_context::{Context, InForce};
use super::outgoing::{Offered, Target};
use super::proxy;
use super::reply::Reply;
use super::spanning::{self, Verb};
use super::stash::gate;
use crate::cell::{CellRef, contain};
use crate::id::ActorId;
use crate::mailbox::SendError;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{End, Fate, Node, NodeVtable, Step};
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};
use crate::trace::SpanOutcome;

impl<A> ActorContext<A> {
    /// Hands the ask that is being handled on to another actor; see [`Reply::forward`].
    ///
    /// # Errors
    ///
    /// [`ForwardError`].
    pub fn forward<B, M>(
        &mut self,
        target: ActorRef<B>,
        message: M,
        reply: Reply<M::Reply>,
    ) -> Result<(), ForwardError<M>>
    where
        B: Handler<M>,
        M: Message,
    {
        reply.forward(target, message)
    }
}

impl<R: Send + 'static> Reply<R> {
    /// Hands the ask on: `target` gets `message`, the asker gets its reply.
    ///
    /// The message travels with the ask's own context: its deadline, cancellation, trace and baggage. If
    /// it is not handled the asker hears why, and of `target`: [`Dead`](crate::AskError::Dead),
    /// [`Panicked`](crate::AskError::Panicked), [`Expired`](crate::AskError::Expired) ..
    ///
    /// Of an ask that was told, `message` is told as well.
    ///
    /// # Errors
    ///
    /// Does not wait. If `target` does not take the message, it comes back with the handle; both dropped,
    /// the asker hears of it.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    /// use actor_core::{DeferredHandler, Reply};
    ///
    /// struct Square(u64);
    /// impl Message for Square { type Reply = u64; }
    ///
    /// struct Worker;
    /// impl Actor for Worker {}
    /// impl SyncHandler<Square> for Worker {
    ///     fn handle(&mut self, Square(n): Square, _cx: &mut ActorContext<Self>) -> u64 { n * n }
    /// }
    ///
    /// struct Balancer { workers: Vec<ActorRef<Worker>>, next: usize }
    /// impl Actor for Balancer {}
    /// impl DeferredHandler<Square> for Balancer {
    ///     fn handle(&mut self, message: Square, reply: Reply<u64>, cx: &mut ActorContext<Self>) {
    ///         self.next = (self.next + 1) % self.workers.len();
    ///         // Dropped, the error tells the asker.
    ///         _ = cx.forward(self.workers[self.next], message, reply);
    ///     }
    /// }
    ///
    /// let system = ActorSystem::new()?;
    /// let workers = vec![system.spawn(Worker)?, system.spawn(Worker)?];
    /// let balancer = system.spawn(Balancer { workers, next: 0 })?;
    /// assert_eq!(balancer.ask_blocking(Square(7))?, 49);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn forward<B, M>(mut self, target: ActorRef<B>, message: M) -> Result<(), ForwardError<M>>
    where
        B: Handler<M>,
        M: Message<Reply = R>,
    {
        let context = self.context_of_next();
        let to = Target::of(target.id());
        to.count(Count::Offered);
        if !to.admits() {
            to.count(Count::RefusedDead);
            let error = SendError::Dead {
                target: to.id,
                message,
            };
            return Err(ForwardError::new(error, self));
        }
        if let Some(fate) = context.refusal() {
            to.count(Count::RefusedOther);
            return Err(ForwardError::new(refused(to.id, fate, message), self));
        }
        let context = context.departing(Verb::Own, to.runtime);
        let (arena, generation) = (to.cell.arena(), to.id.generation());
        let (class, layout) = (ForwardNode::<M>::CLASS, ForwardNode::<M>::LAYOUT);
        let Some(block) = memory::alloc(arena, class, layout, Purpose::Message) else {
            to.count(Count::RefusedOverloaded);
            let error = SendError::Overloaded {
                target: to.id,
                message,
            };
            return Err(ForwardError::new(error, self));
        };
        let node = block.cast::<ForwardNode<M>>();
        // What the next one does is its own.
        let work = self.let_go();
        // SAFETY: a fresh block of this layout; then the node is ours and of the target's type, and `Full`
        // and `Drop` leave it with us.
        unsafe {
            node.write(ForwardNode {
                node: head(&Forwarded::<B, M>::VTABLE, arena, generation, context),
                target: to.id,
                reply: MaybeUninit::new(self),
                message: MaybeUninit::new(message),
            });
            match to.push(node.cast()) {
                Offered::Accepted => {
                    spanning::reply_given(&work, SpanOutcome::Ok);
                    Ok(())
                }
                Offered::Full => {
                    to.count(Count::RefusedFull);
                    let (message, mut reply) = ForwardNode::take_back(node);
                    reply.take_up(work);
                    let error = SendError::Full {
                        target: to.id,
                        capacity: to.capacity(),
                        message,
                    };
                    Err(ForwardError::new(error, reply))
                }
                Offered::Drop => {
                    to.record(Fate::Newest, std::any::type_name::<M>());
                    let (message, mut reply) = ForwardNode::take_back(node);
                    reply.take_up(work);
                    reply.fail(Fate::Newest, to.id);
                    contain(move || drop(message));
                    Ok(())
                }
            }
        }
    }
}

/// Why an ask was not handed on.
///
/// Dropped, the asker hears of it: [`Dead`](crate::AskError::Dead) of the actor that has stopped,
/// [`Expired`](crate::AskError::Expired) or [`Cancelled`](crate::AskError::Cancelled), otherwise
/// [`NoReply`](crate::AskError::NoReply) of the actor that had no room. To do better, take it apart.
#[must_use = "dropped, the asker gets an error"]
pub struct ForwardError<M: Message> {
    error: SendError<M>,
    reply: Reply<M::Reply>,
}

impl<M: Message> ForwardError<M> {
    fn new(error: SendError<M>, mut reply: Reply<M::Reply>) -> Self {
        let fate = match &error {
            SendError::Dead { .. } => Fate::ActorStopped,
            SendError::Expired { .. } => Fate::Expired,
            SendError::Cancelled { .. } => Fate::Cancelled,
            _ => Fate::NoReply,
        };
        reply.otherwise(fate, Some(error.target()));
        Self { error, reply }
    }

    /// Why the message was not taken.
    pub fn error(&self) -> &SendError<M> {
        &self.error
    }

    /// The refusal with the message, and the handle: to wait for room, to try another actor, or to answer.
    pub fn into_parts(self) -> (SendError<M>, Reply<M::Reply>) {
        let Self { error, mut reply } = self;
        reply.otherwise(Fate::NoReply, None);
        (error, reply)
    }
}

impl<M: Message> fmt::Debug for ForwardError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForwardError").field(&self.error).finish()
    }
}

impl<M: Message> fmt::Display for ForwardError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not handed on: {}", self.error)
    }
}

impl<M: Message> std::error::Error for ForwardError<M> {}

/// A message whose reply somebody else is waiting for.
#[repr(C, align(64))]
struct ForwardNode<M: Message> {
    node: Node,
    /// Whom it is for.
    target: ActorId,
    reply: MaybeUninit<Reply<M::Reply>>,
    message: MaybeUninit<M>,
}

impl<M: Message> ForwardNode<M> {
    const LAYOUT: Layout = Layout::new::<Self>();
    const CLASS: Class = class_for(Self::LAYOUT);

    /// # Safety
    ///
    /// The node is the caller's, and was not accepted.
    unsafe fn take_back(this: NonNull<Self>) -> (M, Reply<M::Reply>) {
        // SAFETY: by the caller; both are still in it.
        unsafe {
            let message = (*this.as_ptr()).message.assume_init_read();
            let reply = (*this.as_ptr()).reply.assume_init_read();
            Self::free(this);
            (message, reply)
        }
    }

    /// # Safety
    ///
    /// The node is the caller's; message and reply are gone from it.
    unsafe fn free(this: NonNull<Self>) {
        // SAFETY: by the caller.
        unsafe {
            let node = &(*this.as_ptr()).node;
            drop(Context::from_raw(node.context));
            memory::free(this.cast(), node.meta.arena, Self::CLASS, Self::LAYOUT);
        }
    }
}

struct Forwarded<B, M>(PhantomData<(B, M)>);

impl<B: Handler<M>, M: Message> Forwarded<B, M> {
    const VTABLE: NodeVtable = NodeVtable {
        run: Self::run,
        forward: Self::forward,
        finish: Self::finish,
        abandoned: |node| {
            // A deferred handler has taken the handle.
            // SAFETY: by `NodeVtable::abandoned`; this vtable is only on such nodes, and an async handler's
            // leaves the handle in its node until it is done.
            !B::DEFERRED && unsafe { Self::reply(node).is_abandoned() }
        },
        message: std::any::type_name::<M>,
    };

    /// # Safety
    ///
    /// The node is alive and such a one, with the handle in it.
    unsafe fn reply<'a>(node: NonNull<Node>) -> &'a Reply<M::Reply> {
        // SAFETY: by the caller.
        unsafe {
            (*node.cast::<ForwardNode<M>>().as_ptr())
                .reply
                .assume_init_ref()
        }
    }

    unsafe fn run(cell: NonNull<()>, node: NonNull<Node>) -> Step {
        let this = node.cast::<ForwardNode<M>>().as_ptr();
        // SAFETY: by `NodeVtable::run` we own cell and node, with message and handle in it.
        unsafe {
            if Self::reply(node).is_abandoned() {
                return Step::Skipped(Fate::Abandoned);
            }
            if let Some(fate) = context_of(node).refusal() {
                return Step::Skipped(fate);
            }
            let _in_force = InForce::enter_raw(node.as_ref().context);
            let cell = CellRef::from_raw(cell.cast());
            if let Err(step) = gate::<B, M>(cell, (*this).message.assume_init_ref()) {
                return step;
            }
            let message = (*this).message.assume_init_read();
            if B::DEFERRED {
                let reply = (*this).reply.assume_init_read();
                return harness::deliver_deferred::<B, M>(cell, node, message, reply);
            }
            harness::deliver::<B, M, IntoHandle>(cell, node, message)
        }
    }

    unsafe fn forward(cell: NonNull<()>, node: NonNull<Node>) -> Step {
        let this = node.cast::<ForwardNode<M>>().as_ptr();
        // SAFETY: by `NodeVtable::forward` we own cell and node, with message and handle in it; the handle is
        // taken at most once, and then the message is forwarded.
        unsafe {
            if Self::reply(node).is_abandoned() {
                return Step::Skipped(Fate::Abandoned);
            }
            if !Self::reply(node).is_asked() {
                return proxy::forward_told(cell, node, &mut (*this).message);
            }
            let handle = (&raw const (*this).reply).cast::<Reply<M::Reply>>();
            proxy::forward(cell, node, &mut (*this).message, None, || handle.read())
        }
    }

    unsafe fn finish(node: NonNull<Node>, end: End) {
        let this = node.cast::<ForwardNode<M>>();
        // SAFETY: by `NodeVtable::finish` the node is ours, and `end` says what is in it: a handler that
        // ran to its end has used the handle up, and a deferred one has taken it.
        unsafe {
            let failed = match end {
                End::Handled | End::Forwarded => None,
                End::Interrupted(fate) => (!B::DEFERRED).then_some(fate),
                End::Unhandled(fate) => {
                    contain(|| (*this.as_ptr()).message.assume_init_drop());
                    Some(fate)
                }
            };
            if let Some(fate) = failed {
                let blame = (*this.as_ptr()).target;
                (*this.as_ptr()).reply.assume_init_read().fail(fate, blame);
            }
            ForwardNode::free(this);
        }
    }
}

/// A forwarded message's reply goes to the handle.
struct IntoHandle;

impl<M: Message> Answer<M> for IntoHandle {
    unsafe fn answer(node: NonNull<Node>, reply: M::Reply) {
        // SAFETY: by `Answer::answer` the node is in our hands, with the handle in it.
        let handle = unsafe {
            if !node.as_ref().context.is_null() {
                // Its span ends before the asker hears. That it is done is heard of once more, after that.
                (spanning::HOOKS.end)(node, SpanOutcome::Ok);
            }
            (*node.cast::<ForwardNode<M>>().as_ptr())
                .reply
                .assume_init_read()
        };
        handle.send(reply);
    }
}

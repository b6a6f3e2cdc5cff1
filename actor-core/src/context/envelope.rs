//! The typed side of a node: a message for a `tell`, or a message and its reply slot for an `ask`.
//!
//! One vtable per actor type, message type and kind. A node lies in the arena of its *target*: the
//! handler reads it at home, and what the handler frees goes home without a detour.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::task::Waker;

use super::actor::{Handler, Message};
use super::harness::{self, Answer};
use super::message_context::{Context, InForce};
use super::proxy;
use super::reply::Reply;
use super::stash::gate;
use crate::cell::observe::{self, Hook};
use crate::cell::{CellRef, Runtime, contain, current_cell};
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{End, Fate, Meta, Node, NodeVtable, Step};
use crate::mailbox::reply::{ReplySlot, Responded};
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};
use crate::sync::UnsafeCell;
use crate::sync::atomic::Ordering;

/// A message that nobody waits for.
#[repr(C, align(64))]
pub(super) struct TellNode<M> {
    pub(super) node: Node,
    pub(super) message: MaybeUninit<M>,
}

/// A message whose sender waits for the reply, which is written over it.
#[repr(C, align(64))]
pub(super) struct AskNode<M: Message> {
    pub(super) node: Node,
    pub(super) reply: ReplySlot,
    content: Content<M>,
}

union Content<M: Message> {
    message: ManuallyDrop<M>,
    reply: ManuallyDrop<M::Reply>,
}

/// The message comes back: over the memory limit.
pub(super) struct NoMemory<M>(pub(super) M);

impl<M: Message> TellNode<M> {
    const LAYOUT: Layout = Layout::new::<Self>();
    const CLASS: Class = class_for(Self::LAYOUT);

    #[inline(always)]
    pub(super) fn alloc<A: Handler<M>>(
        arena: u8,
        generation: u32,
        context: Context,
        message: M,
    ) -> Result<NonNull<Node>, NoMemory<M>> {
        let Some(block) = memory::alloc(arena, Self::CLASS, Self::LAYOUT, Purpose::Message) else {
            return Err(NoMemory(message));
        };
        let node = head(&Tell::<A, M>::VTABLE, arena, generation, context);
        // SAFETY: a fresh block of this layout.
        unsafe {
            block.cast::<Self>().write(Self {
                node,
                message: MaybeUninit::new(message),
            })
        };
        Ok(block.cast())
    }

    /// Undoes `alloc` for a node that was not accepted.
    ///
    /// # Safety
    ///
    /// The node came from `alloc` of this type and is the caller's.
    pub(super) unsafe fn take_back(node: NonNull<Node>) -> M {
        // SAFETY: by the caller; the message is still in it.
        unsafe {
            let this = node.cast::<Self>();
            let message = (*this.as_ptr()).message.assume_init_read();
            Self::free(this);
            message
        }
    }

    /// # Safety
    ///
    /// The node is the caller's and its message has been moved out or dropped.
    #[inline(always)]
    unsafe fn free(this: NonNull<Self>) {
        // SAFETY: by the caller; the context's count goes with the node.
        unsafe {
            let node = &(*this.as_ptr()).node;
            drop(Context::from_raw(node.context));
            memory::free(this.cast(), node.meta.arena, Self::CLASS, Self::LAYOUT);
        }
    }
}

impl<M: Message> AskNode<M> {
    const LAYOUT: Layout = Layout::new::<Self>();
    const CLASS: Class = class_for(Self::LAYOUT);

    #[inline(always)]
    pub(super) fn alloc<A: Handler<M>>(
        arena: u8,
        generation: u32,
        context: Context,
        message: M,
        waker: Waker,
    ) -> Result<NonNull<Self>, NoMemory<M>> {
        let Some(block) = memory::alloc(arena, Self::CLASS, Self::LAYOUT, Purpose::Message) else {
            return Err(NoMemory(message));
        };
        let this = Self {
            node: head(&Ask::<A, M>::VTABLE, arena, generation, context),
            reply: ReplySlot::waiting(waker),
            content: Content {
                message: ManuallyDrop::new(message),
            },
        };
        let block = block.cast::<Self>();
        // SAFETY: a fresh block of this layout.
        unsafe { block.write(this) };
        Ok(block)
    }

    /// Undoes `alloc` for a node that was not accepted.
    ///
    /// # Safety
    ///
    /// The node came from `alloc` and is the caller's.
    pub(super) unsafe fn take_back(this: NonNull<Self>) -> M {
        // SAFETY: by the caller; the message is still in it, and nobody else has seen the slot, so
        // `abandon` only drops the waker.
        unsafe {
            let abandoned = (*this.as_ptr()).reply.abandon();
            debug_assert!(
                abandoned.is_none(),
                "an ask that was not sent has an answer"
            );
            let message = ManuallyDrop::take(&mut (*this.as_ptr()).content.message);
            drop(Context::from_raw((*this.as_ptr()).node.context));
            Self::free(this);
            message
        }
    }

    /// The reply; frees the node.
    ///
    /// # Safety
    ///
    /// The slot said `Value` to the caller, the asker.
    #[inline(always)]
    pub(super) unsafe fn into_reply(this: NonNull<Self>) -> M::Reply {
        // SAFETY: by the caller (reply R2, R3).
        unsafe {
            let reply = ManuallyDrop::take(&mut (*this.as_ptr()).content.reply);
            Self::free(this);
            reply
        }
    }

    /// The responder's last act: the context is let go, the asker is told, and the node is freed if the
    /// asker has given up. `books`: where a late reply is counted, if not in those of the running actor.
    ///
    /// # Safety
    ///
    /// The caller is the one to respond (reply R2, R5); the message is gone, and without a failure the
    /// reply is in its place. The node is given up.
    #[inline(always)]
    unsafe fn respond(this: NonNull<Self>, failure: Option<u8>, books: Option<&'static Runtime>) {
        // SAFETY: by the caller.
        unsafe {
            drop(Context::from_raw((*this.as_ptr()).node.context));
            // Before the answer: from then on the asker may ask back without that being a circle.
            let responded = (*this.as_ptr()).reply.respond(failure, |waker| {
                if let Some(asker) = CellRef::of_waker(waker) {
                    // Release: ordered before the answer, which is all that the asker needs; a look
                    // from elsewhere that comes too early is checked again (`call::circle`).
                    asker.waiting_on().store(0, Ordering::Release);
                }
            });
            match responded {
                Responded::Delivered => {}
                Responded::Wake(waker) => {
                    contain(|| waker.wake());
                }
                Responded::Abandoned(waker) => {
                    contain(|| drop(waker));
                    if failure.is_none() {
                        let books = books.or_else(|| Some(current_cell()?.runtime()));
                        if let Some(runtime) = books {
                            runtime.count(Count::LateReplies, 1);
                        }
                        contain(|| {
                            ManuallyDrop::drop(&mut (*this.as_ptr()).content.reply);
                            strike::<M>(Hook::ReplyDrop);
                        });
                    }
                    Self::free(this);
                }
            }
        }
    }

    /// The turn is done with a message whose handler answers by a handle, now or later.
    ///
    /// # Safety
    ///
    /// A handle was made of the node, which the caller, the turn, gives up.
    unsafe fn leave(this: NonNull<Self>) {
        // SAFETY: by the caller; until `leave` the turn is the responder (reply R5).
        unsafe {
            let slot = &(*this.as_ptr()).reply;
            if !slot.is_handed_in() {
                // Whom the asker waits for now is not known to anybody: a handle can be anywhere. The
                // note goes, or an actor that asks back while it holds the reply would be refused.
                let left_behind = slot.peek(|waker| {
                    if let Some(asker) = CellRef::of_waker(waker) {
                        // Release: as in `respond`.
                        asker.waiting_on().store(0, Ordering::Release);
                    }
                });
                contain(|| drop(left_behind));
            }
            if let Some(failure) = slot.leave() {
                Self::respond(this, failure, None);
            }
        }
    }

    /// The handle's answer.
    ///
    /// # Safety
    ///
    /// The caller is the one handle made of the node, and gives it up.
    pub(super) unsafe fn hand_in(
        this: NonNull<Self>,
        reply: Result<M::Reply, u8>,
        books: &'static Runtime,
    ) {
        // SAFETY: by the caller: the content is the handle's until it hands in (reply R2, R5).
        unsafe {
            let failure = match reply {
                Ok(reply) => {
                    (*this.as_ptr()).content.reply = ManuallyDrop::new(reply);
                    None
                }
                Err(failure) => Some(failure),
            };
            if (*this.as_ptr()).reply.hand_in(failure) {
                Self::respond(this, failure, Some(books));
            }
        }
    }

    /// # Safety
    ///
    /// The caller is the last to hold the node; message, reply, context and waker are gone from it.
    #[inline(always)]
    pub(super) unsafe fn free(this: NonNull<Self>) {
        // SAFETY: by the caller.
        unsafe {
            let arena = (*this.as_ptr()).node.meta.arena;
            memory::free(this.cast(), arena, Self::CLASS, Self::LAYOUT);
        }
    }
}

#[inline(always)]
pub(super) fn head(
    vtable: &'static NodeVtable,
    arena: u8,
    generation: u32,
    context: Context,
) -> Node {
    Node {
        next: UnsafeCell::new(std::ptr::null_mut()),
        vtable,
        context: context.into_raw(),
        generation,
        meta: Meta {
            arena,
            internal: false,
        },
    }
}

/// The context of a node that is being handled.
///
/// # Safety
///
/// The node is alive and the caller's for `'a`.
#[inline(always)]
pub(super) unsafe fn context_of(node: NonNull<Node>) -> ManuallyDrop<Context> {
    // SAFETY: by the caller.
    unsafe { Context::borrow_raw(node.as_ref().context) }
}

pub(super) struct Tell<A, M>(PhantomData<(A, M)>);

impl<A: Handler<M>, M: Message> Tell<A, M> {
    pub(super) const VTABLE: NodeVtable = NodeVtable {
        run: Self::run,
        forward: |cell, node| {
            let this = node.cast::<TellNode<M>>().as_ptr();
            // SAFETY: by `NodeVtable::forward` the node is ours, with the message in it.
            unsafe { proxy::forward_told(cell, node, &mut (*this).message) }
        },
        finish: Self::finish,
        abandoned: |_| false,
        message: std::any::type_name::<M>,
    };

    unsafe fn run(cell: NonNull<()>, node: NonNull<Node>) -> Step {
        // SAFETY: by `NodeVtable::run` we own cell and node.
        unsafe {
            if let Some(fate) = context_of(node).refusal() {
                return Step::Skipped(fate);
            }
            let _in_force = InForce::enter_raw(node.as_ref().context);
            let cell = CellRef::from_raw(cell.cast());
            let message = &mut (*node.cast::<TellNode<M>>().as_ptr()).message;
            if let Err(step) = gate::<A, M>(cell, message.assume_init_ref()) {
                return step;
            }
            let message = message.assume_init_read();
            deliver_told::<A, M>(cell, node, message)
        }
    }

    unsafe fn finish(node: NonNull<Node>, end: End) {
        let this = node.cast::<TellNode<M>>();
        // SAFETY: by `NodeVtable::finish` the node is ours, and `Unhandled` says the message is in it.
        unsafe {
            if let End::Unhandled(_) = end {
                contain(|| {
                    (*this.as_ptr()).message.assume_init_drop();
                    strike::<M>(Hook::MessageDrop);
                });
            }
            TellNode::free(this);
        }
    }
}

/// Gives a message that nobody waits for to its handler.
///
/// # Safety
///
/// As for [`harness::deliver`].
#[inline(always)]
pub(super) unsafe fn deliver_told<A: Handler<M>, M: Message>(
    cell: CellRef,
    node: NonNull<Node>,
    message: M,
) -> Step {
    // SAFETY: by the caller.
    unsafe {
        if A::DEFERRED {
            return harness::deliver_deferred::<A, M>(cell, node, message, Reply::to_nobody(cell));
        }
        harness::deliver::<A, M, IntoNothing>(cell, node, message)
    }
}

/// A tell's reply goes nowhere.
struct IntoNothing;

impl<M: Message> Answer<M> for IntoNothing {
    unsafe fn answer(_node: NonNull<Node>, reply: M::Reply) {
        if std::mem::needs_drop::<M::Reply>() {
            contain(|| {
                drop(reply);
                strike::<M>(Hook::ReplyDrop);
            });
        }
    }
}

/// The test kit's chance to make a `Drop` panic, after the value is gone.
#[inline(always)]
fn strike<M>(hook: Hook) {
    observe::strike(hook, false, current_cell(), std::any::type_name::<M>());
}

struct Ask<A, M>(PhantomData<(A, M)>);

impl<A: Handler<M>, M: Message> Ask<A, M> {
    const VTABLE: NodeVtable = NodeVtable {
        run: Self::run,
        forward: Self::forward,
        finish: Self::finish,
        abandoned: |node| {
            // SAFETY: by `NodeVtable::abandoned`; this vtable is only on asks of `M`.
            unsafe { (*node.cast::<AskNode<M>>().as_ptr()).reply.is_abandoned() }
        },
        message: std::any::type_name::<M>,
    };

    unsafe fn run(cell: NonNull<()>, node: NonNull<Node>) -> Step {
        let this = node.cast::<AskNode<M>>();
        // SAFETY: by `NodeVtable::run` we own cell and node, and are the responder of its slot. `finish`
        // of a deferred handler leaves that to the handle.
        unsafe {
            if (*this.as_ptr()).reply.is_abandoned() {
                return Step::Skipped(Fate::Abandoned);
            }
            if let Some(fate) = context_of(node).refusal() {
                return Step::Skipped(fate);
            }
            let _in_force = InForce::enter_raw(node.as_ref().context);
            let cell = CellRef::from_raw(cell.cast());
            if let Err(step) = gate::<A, M>(cell, &(*this.as_ptr()).content.message) {
                return step;
            }
            let message = ManuallyDrop::take(&mut (*this.as_ptr()).content.message);
            if A::DEFERRED {
                let reply = Reply::to_asker::<M>(this, cell);
                return harness::deliver_deferred::<A, M>(cell, node, message, reply);
            }
            harness::deliver::<A, M, IntoNode>(cell, node, message)
        }
    }

    unsafe fn forward(cell: NonNull<()>, node: NonNull<Node>) -> Step {
        let this = node.cast::<AskNode<M>>();
        // SAFETY: by `NodeVtable::forward` we own cell and node, and are the responder of its slot; `finish`
        // leaves that to the handle.
        unsafe {
            if (*this.as_ptr()).reply.is_abandoned() {
                return Step::Skipped(Fate::Abandoned);
            }
            let owner = CellRef::from_raw(cell.cast());
            // The note of whom the asker waits for goes when the message has left: this is the last to see it.
            let mut asker = None;
            let left_behind = (*this.as_ptr()).reply.peek(|waker| {
                let waits = |cell: &CellRef| {
                    cell.waiting_on().load(Ordering::Relaxed) == owner.id().as_u64()
                };
                asker = CellRef::of_waker(waker).filter(waits).map(CellRef::id);
            });
            contain(|| drop(left_behind));
            let content = (&raw mut (*this.as_ptr()).content.message).cast::<MaybeUninit<M>>();
            proxy::forward(cell, node, &mut *content, asker, || {
                Reply::to_asker::<M>(this, owner)
            })
        }
    }

    unsafe fn finish(node: NonNull<Node>, end: End) {
        let this = node.cast::<AskNode<M>>();
        // SAFETY: by `NodeVtable::finish` the responder's side of the node is ours (reply R2), and
        // `end` says what is in it. A deferred handler's message is out of the node only if a handle was
        // made of it.
        unsafe {
            let failure = match end {
                End::Forwarded => {
                    AskNode::leave(this);
                    return;
                }
                End::Handled | End::Interrupted(_) if A::DEFERRED => {
                    AskNode::leave(this);
                    return;
                }
                End::Handled => None,
                End::Interrupted(fate) => Some(fate as u8),
                End::Unhandled(fate) => {
                    contain(|| {
                        ManuallyDrop::drop(&mut (*this.as_ptr()).content.message);
                        strike::<M>(Hook::MessageDrop);
                    });
                    Some(fate as u8)
                }
            };
            AskNode::respond(this, failure, None);
        }
    }
}

/// An ask's reply is written where the message was.
struct IntoNode;

impl<M: Message> Answer<M> for IntoNode {
    #[inline(always)]
    unsafe fn answer(node: NonNull<Node>, reply: M::Reply) {
        // SAFETY: by `Answer::answer` the node is an ask of this message type in our hands (reply R2).
        unsafe { (*node.cast::<AskNode<M>>().as_ptr()).content.reply = ManuallyDrop::new(reply) };
    }
}

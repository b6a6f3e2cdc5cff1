//! The bridge from the untyped cell to the user's actor: hooks, handlers, and their frames.
//!
//! An async handler is polled once in place, in a block of its own size; only if it is pending does it
//! stay there, as the cell's frame. A plain handler builds no future at all.

use std::alloc::Layout;
use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::Poll;

use super::actor::{Actor, ActorError, Handler, Message};
use super::actor_context::ActorContext;
use super::envelope::context_of;
use super::hook_spans::{Hooked, of_hook};
use super::lent;
use super::message_context::InForce;
use super::reply::Reply;
use super::span::HandlerSpan;
use super::spanning;
use crate::cell::observe::{self, Hook};
use crate::cell::{ActorVtable, CellRef, Frame, FrameDone, FramePoll, FrameVtable, Local, contain};
use crate::mailbox::node::{Node, Step};
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};
use crate::trace::SpanKind;

/// Where a reply goes.
pub(super) trait Answer<M: Message> {
    /// # Safety
    ///
    /// `node` is of the kind this answers and in the hands of the caller, and its message is gone.
    unsafe fn answer(node: NonNull<Node>, reply: M::Reply);
}

/// What an actor type is to the untyped floor.
pub(super) struct Typed<A>(PhantomData<A>);

impl<A: Actor> Typed<A> {
    pub(super) const VTABLE: ActorVtable = ActorVtable {
        type_name: std::any::type_name::<A>,
        layout: Layout::new::<A>(),
        class: class_for(Layout::new::<A>()),
        drop_state: |state| {
            // SAFETY: by `ActorVtable::drop_state` a live value lies there.
            unsafe { state.cast::<A>().drop_in_place() }
        },
        started: |cell| {
            // SAFETY: by `ActorVtable::started`.
            unsafe {
                let span = of_hook(cell, SpanKind::Started, "started");
                begin::<A, _, Started>(cell, None, HandlerSpan::none(), |actor, cx| {
                    Hooked::new(span, actor.started(cx))
                })
            }
        },
        stopped: |cell, reason| {
            // SAFETY: by `ActorVtable::stopped`.
            unsafe {
                let span = of_hook(cell, SpanKind::Stopped, "stopped");
                begin::<A, _, Stopped>(cell, None, HandlerSpan::none(), |actor, cx| {
                    Hooked::new(span, async move {
                        actor.stopped(&reason, cx).await;
                    })
                })
            }
        },
        terminated: |cell, who| {
            // SAFETY: by `ActorVtable::terminated`.
            unsafe {
                begin::<A, _, Ended>(cell, None, HandlerSpan::none(), |actor, cx| {
                    actor.terminated(who, cx)
                })
            }
        },
        // SAFETY: by `ActorVtable::trace_of`.
        trace_of: |context| unsafe { spanning::trace_of(context) },
        proxy: None,
        kind: TypeId::of::<A>,
    };
}

/// Gives a message to its handler.
///
/// # Safety
///
/// The caller owns the cell, whose actor is an `A`, alive and unborrowed, and the node, whose message
/// was just taken out.
#[inline(always)]
pub(super) unsafe fn deliver<A, M, R>(cell: CellRef, node: NonNull<Node>, message: M) -> Step
where
    A: Handler<M>,
    M: Message,
    R: Answer<M>,
{
    if A::BLOCKING {
        // SAFETY: by the caller.
        return unsafe { lent::begin::<A, M, R>(cell, node, message) };
    }
    let span = HandlerSpan::of_message::<A, M>(cell);
    if A::SYNC {
        let _inside = span.enter();
        // SAFETY: by the caller: the state is an `A` that nobody borrows.
        let actor = unsafe { &mut *cell.state().cast::<A>() };
        let handled = catch_unwind(AssertUnwindSafe(|| {
            observe::strike(Hook::Handler, false, Some(cell), std::any::type_name::<M>());
            let mut cx = ActorContext::new(cell);
            actor.handle_sync(message, &mut cx)
        }));
        return match handled {
            Ok(reply) => {
                // SAFETY: by the caller.
                unsafe { R::answer(node, reply) };
                Step::Done
            }
            Err(payload) => Step::Panicked(payload),
        };
    }
    // SAFETY: by the caller.
    let polled = unsafe {
        begin::<A, _, Replies<M, R>>(cell, Some(node), span, |actor, cx| {
            Handler::<M>::handle(actor, message, cx)
        })
    };
    match polled {
        FramePoll::Pending => Step::Pending,
        FramePoll::Done(_) => Step::Done,
        FramePoll::Panicked(payload) => Step::Panicked(payload),
    }
}

/// Gives a message to a handler that answers by a handle.
///
/// # Safety
///
/// The caller owns the cell, whose actor is an `A`, alive and unborrowed.
pub(super) unsafe fn deliver_deferred<A, M>(
    cell: CellRef,
    node: NonNull<Node>,
    message: M,
    mut reply: Reply<M::Reply>,
) -> Step
where
    A: Handler<M>,
    M: Message,
{
    // SAFETY: by the caller.
    unsafe { reply.work_on(node) };
    let span = HandlerSpan::of_message::<A, M>(cell);
    let _inside = span.enter();
    // SAFETY: by the caller: the state is an `A` that nobody borrows.
    let actor = unsafe { &mut *cell.state().cast::<A>() };
    let handled = catch_unwind(AssertUnwindSafe(|| {
        observe::strike(Hook::Handler, false, Some(cell), std::any::type_name::<M>());
        let mut cx = ActorContext::new(cell);
        actor.handle_later(message, reply, &mut cx);
    }));
    match handled {
        // A reentrant handler has left a task, whose first step is this message's.
        // SAFETY: by the caller; the handler's borrow of the state is over.
        Ok(()) => unsafe { cell.first_step() },
        Err(payload) => Step::Panicked(payload),
    }
}

/// What becomes of a future's output.
trait Outcome<T> {
    /// Whose future it is, for the test kit.
    const HOOK: Hook;
    /// The message's type, if it is a handler's.
    const MESSAGE: fn() -> &'static str = || "";

    /// # Safety
    ///
    /// For a message: `node` is the one being handled.
    unsafe fn done(node: Option<NonNull<Node>>, output: T) -> FrameDone;
}

struct Replies<M, R>(PhantomData<(M, R)>);
struct Started;
struct Stopped;
struct Ended;

impl<M: Message, R: Answer<M>> Outcome<M::Reply> for Replies<M, R> {
    const HOOK: Hook = Hook::Handler;
    const MESSAGE: fn() -> &'static str = std::any::type_name::<M>;

    unsafe fn done(node: Option<NonNull<Node>>, output: M::Reply) -> FrameDone {
        if let Some(node) = node {
            // SAFETY: by the caller.
            unsafe { R::answer(node, output) };
        }
        FrameDone::Message
    }
}

impl Outcome<Result<(), ActorError>> for Started {
    const HOOK: Hook = Hook::Started;

    unsafe fn done(_node: Option<NonNull<Node>>, output: Result<(), ActorError>) -> FrameDone {
        FrameDone::Started(output.map_err(|error| {
            // The error's Display and Drop are the user's.
            let mut text = String::from("an error whose text panics");
            contain(|| text = error.to_string());
            contain(move || drop(error));
            text
        }))
    }
}

impl Outcome<()> for Stopped {
    const HOOK: Hook = Hook::Stopped;

    unsafe fn done(_node: Option<NonNull<Node>>, (): ()) -> FrameDone {
        FrameDone::Stopped
    }
}

impl Outcome<()> for Ended {
    const HOOK: Hook = Hook::Terminated;

    unsafe fn done(_node: Option<NonNull<Node>>, (): ()) -> FrameDone {
        FrameDone::Terminated
    }
}

/// A frame with a future of known type (cell::frame F1, F2).
#[repr(C)]
struct TypedFrame<A: Actor, F> {
    head: Frame,
    /// The message being handled, for its context and its reply.
    node: Option<NonNull<Node>>,
    cx: ActorContext<A>,
    arena: u8,
    span: HandlerSpan,
    future: ManuallyDrop<F>,
}

struct FrameOf<A, F, O>(PhantomData<(A, F, O)>);

impl<A: Actor, F: Future, O: Outcome<F::Output>> FrameOf<A, F, O> {
    const LAYOUT: Layout = Layout::new::<TypedFrame<A, F>>();
    const CLASS: Class = class_for(Self::LAYOUT);
    const VTABLE: FrameVtable = FrameVtable {
        poll: Self::poll,
        cancel: Self::cancel,
        is_lent: |_| false,
    };

    unsafe fn poll(
        frame: NonNull<Frame>,
        cell: CellRef,
        cx: &mut std::task::Context<'_>,
    ) -> FramePoll {
        // SAFETY: by `FrameVtable::poll`.
        unsafe { Self::poll_again(frame, cell, cx, true) }
    }

    /// # Safety
    ///
    /// As for `FrameVtable::poll`.
    #[inline(always)]
    unsafe fn poll_again(
        frame: NonNull<Frame>,
        cell: CellRef,
        cx: &mut std::task::Context<'_>,
        resumed: bool,
    ) -> FramePoll {
        let this = frame.cast::<TypedFrame<A, F>>().as_ptr();
        // SAFETY: F1: the frame is alive and ours; F2: the future does not move.
        unsafe {
            let context = (*this)
                .node
                .map_or(std::ptr::null_mut(), |node| node.as_ref().context);
            let _in_force = InForce::enter_raw(context);
            let span = &(*this).span;
            let inside = span.enter();
            let future = &raw mut (*this).future;
            let polled = catch_unwind(AssertUnwindSafe(|| {
                if resumed {
                    observe::strike(O::HOOK, true, Some(cell), O::MESSAGE());
                }
                Pin::new_unchecked(&mut **future).poll(cx)
            }));
            drop(inside);
            match polled {
                Ok(Poll::Pending) => FramePoll::Pending,
                Ok(Poll::Ready(output)) => {
                    let node = (*this).node;
                    Self::discard(this);
                    FramePoll::Done(O::done(node, output))
                }
                Err(payload) => {
                    Self::discard(this);
                    FramePoll::Panicked(payload)
                }
            }
        }
    }

    unsafe fn cancel(frame: NonNull<Frame>) {
        // SAFETY: by `FrameVtable::cancel`.
        unsafe { Self::discard(frame.cast::<TypedFrame<A, F>>().as_ptr()) };
    }

    /// Drops the future and frees the frame.
    ///
    /// # Safety
    ///
    /// F1: the frame is alive and ours, and not used afterwards.
    #[inline(always)]
    unsafe fn discard(this: *mut TypedFrame<A, F>) {
        // SAFETY: by the caller.
        unsafe {
            contain(|| ManuallyDrop::drop(&mut (*this).future));
            Self::free(this);
        }
    }

    /// Frees a frame whose future is gone, or was never put in.
    ///
    /// # Safety
    ///
    /// As for `discard`.
    #[inline(always)]
    unsafe fn free(this: *mut TypedFrame<A, F>) {
        // SAFETY: by the caller; `alloc` made the block with these.
        unsafe {
            let arena = (*this).arena;
            (&raw mut (*this).span).drop_in_place();
            memory::free(
                NonNull::new_unchecked(this.cast()),
                arena,
                Self::CLASS,
                Self::LAYOUT,
            );
        }
    }
}

/// Makes a future of the actor's, polls it once, and leaves it as the cell's frame if it is pending.
///
/// # Safety
///
/// The caller owns the cell, whose actor is an `A`, alive and unborrowed, and which has no frame.
#[inline(always)]
unsafe fn begin<A, F, O>(
    cell: CellRef,
    node: Option<NonNull<Node>>,
    span: HandlerSpan,
    make: impl FnOnce(&'static mut A, &'static mut ActorContext<A>) -> F,
) -> FramePoll
where
    A: Actor,
    F: Future,
    O: Outcome<F::Output>,
{
    let arena = Local::current().map_or(0, Local::arena);
    let class = FrameOf::<A, F, O>::CLASS;
    let block = memory::alloc(arena, class, FrameOf::<A, F, O>::LAYOUT, Purpose::Runtime)
        .expect("the runtime's own blocks are not refused");
    let this = block.cast::<TypedFrame<A, F>>().as_ptr();
    // SAFETY: a fresh block of this layout, written field by field; F2 for the two long borrows: the
    // state and `cx` outlive the future, which is dropped before either.
    unsafe {
        (&raw mut (*this).head).write(Frame {
            vtable: &FrameOf::<A, F, O>::VTABLE,
        });
        (&raw mut (*this).node).write(node);
        (&raw mut (*this).cx).write(ActorContext::new(cell));
        (&raw mut (*this).arena).write(arena);
        (&raw mut (*this).span).write(span);
        let actor = &mut *cell.state().cast::<A>();
        let cx = &mut (*this).cx;
        let future = &raw mut (*this).future;
        let made: Result<(), Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(|| {
            observe::strike(O::HOOK, false, Some(cell), O::MESSAGE());
            future.write(ManuallyDrop::new(make(actor, cx)));
        }));
        if let Err(payload) = made {
            FrameOf::<A, F, O>::free(this);
            return FramePoll::Panicked(payload);
        }
        let waker = ManuallyDrop::new(cell.waker());
        let mut task = std::task::Context::from_waker(&waker);
        let polled = FrameOf::<A, F, O>::poll_again(block.cast(), cell, &mut task, false);
        if matches!(polled, FramePoll::Pending) {
            cell.suspend_in(block.cast());
        }
        polled
    }
}

/// Why the message being handled by `cell` is not wanted any more, as far as its context says.
///
/// # Safety
///
/// The caller owns the cell.
pub(super) unsafe fn current_refused(cell: CellRef) -> bool {
    // SAFETY: by the caller; the current node is alive while it is handled.
    unsafe {
        cell.current_node().is_some_and(|node| {
            context_of(node).refusal().is_some() || (node.as_ref().vtable.abandoned)(node)
        })
    }
}

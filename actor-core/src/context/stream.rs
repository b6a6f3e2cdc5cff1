//! A stream attached to an actor: its items come as messages, one at a time.
//!
//! The next item is asked for when the message of the last one has met its fate. So a stream never has
//! more than one message in the mailbox, whatever its speed, and a slow actor slows its streams down.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{self, Poll, Waker};

use futures_core::Stream;

use super::actor::{Actor, Handler, Message};
use super::actor_context::ActorContext;
use super::attached::{AttachError, Attached};
use super::envelope::{NoMemory, Tell, TellNode, head};
use super::message_context::{Context, InForce};
use super::outgoing::Target;
use super::spanning::Verb;
use crate::cell::{CellRef, Drain, First, Work};
use crate::contain::{contain, log};
use crate::id::ActorId;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{End, Node, NodeVtable, stays_here};
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};
use crate::sync::atomic::{AtomicBool, Ordering};
use std::alloc::Layout;

impl<A: Actor> ActorContext<A> {
    /// Sends each item of a stream to this actor, as a message made by `map`.
    ///
    /// With back-pressure: the stream is polled again when the last item's message was handled (or met
    /// another fate). The messages go to the end of the mailbox, one at a time, also of a full one; they
    /// carry the trace and the baggage of the message being handled now, not its deadline.
    ///
    /// The stream is dropped when it ends, when it is cancelled through the handle, when the actor stops
    /// or starts again, and when the actor is told to drain its mailbox.
    ///
    /// # Errors
    ///
    /// [`AttachError`]: the stream is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    /// use futures_core::Stream;
    ///
    /// struct Line(String);
    /// impl Message for Line { type Reply = (); }
    /// #[derive(Default)]
    /// struct Reader { lines: usize }
    /// impl SyncHandler<Line> for Reader {
    ///     fn handle(&mut self, _: Line, _cx: &mut ActorContext<Self>) { self.lines += 1; }
    /// }
    ///
    /// fn lines() -> impl Stream<Item = String> + Send + 'static {
    ///     // A socket's lines, a channel, an interval ..
    /// #   struct None; impl Stream for None { type Item = String;
    /// #   fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>)
    /// #   -> std::task::Poll<Option<String>> { std::task::Poll::Ready(Option::None) } }
    /// #   None
    /// }
    ///
    /// impl Actor for Reader {
    ///     async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
    ///         cx.attach_stream(lines(), Line)?;
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn attach_stream<S, M, F>(&mut self, stream: S, map: F) -> Result<Attached, AttachError>
    where
        S: Stream + Send + 'static,
        M: Message,
        A: Handler<M>,
        F: FnMut(S::Item) -> M + Send + 'static,
    {
        self.attach_stream_then(stream, map, |_, _| ())
    }

    /// As [`attach_stream`](Self::attach_stream), and when the stream has ended and its last item was
    /// handled, `end` runs with the state. Not if the stream was cancelled or cut off.
    ///
    /// # Errors
    ///
    /// [`AttachError`]: the stream is dropped.
    pub fn attach_stream_then<S, M, F, E>(
        &mut self,
        stream: S,
        map: F,
        end: E,
    ) -> Result<Attached, AttachError>
    where
        S: Stream + Send + 'static,
        M: Message,
        A: Handler<M>,
        F: FnMut(S::Item) -> M + Send + 'static,
        E: FnOnce(&mut A, &mut Self) + Send + 'static,
    {
        let work = Items {
            context: Context::current().without_deadline(),
            actor: self.id(),
            stream,
            map,
            end: Some(end),
            is_out: false,
            handled: Arc::new(AtomicBool::new(false)),
            of: PhantomData::<fn(A, M)>,
        };
        self.attach_work(Box::pin(work), First::Now, Drain::CutsOff)
    }
}

/// The work of a stream.
struct Items<A, S, M, F, E> {
    context: Context,
    actor: ActorId,
    /// Pinned with the work.
    stream: S,
    map: F,
    end: Option<E>,
    /// An item is on its way.
    is_out: bool,
    /// Its message has met its fate.
    handled: Arc<AtomicBool>,
    of: PhantomData<fn(A, M)>,
}

impl<A, S, M, F, E> Work for Items<A, S, M, F, E>
where
    A: Handler<M>,
    M: Message,
    S: Stream + Send,
    F: FnMut(S::Item) -> M + Send,
    E: FnOnce(&mut A, &mut ActorContext<A>) + Send,
{
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        // SAFETY: `stream` stays where it is until the work is dropped; nothing else is pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let _in_force = InForce::enter(&this.context);
        loop {
            // Acquire: with the Release in `finish`.
            if this.is_out && !this.handled.swap(false, Ordering::Acquire) {
                return Poll::Pending;
            }
            this.is_out = false;
            // SAFETY: as above.
            let next = unsafe { Pin::new_unchecked(&mut this.stream) }.poll_next(cx);
            let Some(item) = std::task::ready!(next) else {
                return Poll::Ready(());
            };
            let message = (this.map)(item);
            this.is_out = send::<A, M>(
                this.actor,
                message,
                this.context.clone(),
                &this.handled,
                cx.waker(),
            );
            if !this.is_out {
                // No memory: that comes from messages being handled, and this may be a stream that never
                // pauses.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    unsafe fn complete(self: Pin<&mut Self>, cell: CellRef) {
        // SAFETY: as in `poll`.
        let this = unsafe { self.get_unchecked_mut() };
        let _in_force = InForce::enter(&this.context);
        if let Some(end) = this.end.take() {
            // SAFETY: by the caller: the state is an `A` that nobody borrows.
            let actor = unsafe { &mut *cell.state().cast::<A>() };
            end(actor, &mut ActorContext::new(cell));
        }
    }

    fn context(&self) -> *mut () {
        self.context.as_raw()
    }
}

/// A message that says when it has met its fate.
#[repr(C, align(64))]
struct ItemNode<M> {
    tell: TellNode<M>,
    handled: Arc<AtomicBool>,
    waker: Waker,
}

/// Sends one item's message. `false`: there was no memory for it, which the books say.
fn send<A: Handler<M>, M: Message>(
    actor: ActorId,
    message: M,
    context: Context,
    handled: &Arc<AtomicBool>,
    waker: &Waker,
) -> bool {
    let target = Target::of(actor);
    target.count(Count::Offered);
    let context = context.departing(Verb::Own, target.runtime);
    let arena = target.cell.arena();
    let (class, layout) = (ItemNode::<M>::CLASS, ItemNode::<M>::LAYOUT);
    let allocated = memory::alloc(arena, class, layout, Purpose::Message);
    let Some(block) = allocated else {
        target.count(Count::RefusedOverloaded);
        log!(
            warn,
            %actor, message_type = std::any::type_name::<M>(),
            "an item of a stream was not delivered: the process is at its memory limit for messages"
        );
        contain(move || drop(NoMemory(message)));
        return false;
    };
    let node = head(&Item::<A, M>::VTABLE, arena, actor.generation(), context);
    // SAFETY: a fresh block of this layout; then the node is ours and of the actor's type.
    unsafe {
        block.cast::<ItemNode<M>>().write(ItemNode {
            tell: TellNode {
                node,
                message: MaybeUninit::new(message),
            },
            handled: handled.clone(),
            waker: waker.clone(),
        });
        target.push_always(block.cast());
    }
    true
}

impl<M> ItemNode<M> {
    const LAYOUT: Layout = Layout::new::<Self>();
    const CLASS: Class = class_for(Self::LAYOUT);
}

struct Item<A, M>(PhantomData<(A, M)>);

impl<A: Handler<M>, M: Message> Item<A, M> {
    const VTABLE: NodeVtable = NodeVtable {
        // The message lies where a tell's does.
        run: Tell::<A, M>::VTABLE.run,
        forward: stays_here,
        finish: Self::finish,
        abandoned: |_| false,
        message: std::any::type_name::<M>,
    };

    unsafe fn finish(node: NonNull<Node>, end: End) {
        let this = node.cast::<ItemNode<M>>().as_ptr();
        // SAFETY: by `NodeVtable::finish` the node is ours, and `Unhandled` says the message is in it;
        // `send` made the block with this layout.
        unsafe {
            if let End::Unhandled(_) = end {
                contain(|| (*this).tell.message.assume_init_drop());
            }
            let handled = (&raw const (*this).handled).read();
            let waker = (&raw const (*this).waker).read();
            let (context, arena) = ((*this).tell.node.context, (*this).tell.node.meta.arena);
            drop(Context::from_raw(context));
            memory::free(
                NonNull::new_unchecked(this.cast()),
                arena,
                ItemNode::<M>::CLASS,
                ItemNode::<M>::LAYOUT,
            );
            // Release: with the Acquire in `poll`.
            handled.store(true, Ordering::Release);
            waker.wake();
        }
    }
}

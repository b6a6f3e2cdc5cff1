//! A tell that waits for room.

use std::pin::Pin;
use std::task::{self, Poll};

use super::actor::{Handler, Message};
use super::actor_ref::{ActorRef, refused};
use super::envelope::{NoMemory, TellNode};
use super::message_context::Context;
use super::outgoing::{InLine, Offered, Patience, Target, inherited};
use crate::cell::Runtime;
use crate::mailbox::SendError;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::Fate;

/// The future of [`ActorRef::send`]: ready when the message has been accepted or refused.
///
/// # Cancel safety
///
/// Dropped before it is ready, nothing was sent; the place in line goes to the next sender.
#[must_use = "a message is sent when this is awaited"]
pub struct Send<A, M: Message> {
    target: ActorRef<A>,
    message: Option<M>,
    context: Option<Context>,
    line: Option<InLine>,
    patience: Patience,
    offered: bool,
    books: Option<&'static Runtime>,
}

impl<A, M: Message> std::fmt::Debug for Send<A, M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Send")
            .field("target", &self.target.id())
            .finish_non_exhaustive()
    }
}

// The message is never pinned: it is moved out when it is sent.
impl<A, M: Message> Unpin for Send<A, M> {}

impl<A, M: Message> Send<A, M> {
    pub(super) fn new(target: ActorRef<A>, message: M, context: Option<Context>) -> Self {
        Self {
            target,
            message: Some(message),
            context,
            line: None,
            patience: Patience::default(),
            offered: false,
            books: None,
        }
    }
}

impl<A: Handler<M>, M: Message> Future for Send<A, M> {
    type Output = Result<(), SendError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let target = Target::found(this.target.id(), &mut this.books);
        let mut message = this
            .message
            .take()
            .expect("a Send is not polled after it was ready");
        if !this.offered {
            this.offered = true;
            target.count(Count::Offered);
        }
        let context = this.context.get_or_insert_with(inherited).clone();
        loop {
            if !target.admits() {
                target.count(Count::RefusedDead);
                this.line = None;
                return Poll::Ready(Err(SendError::Dead {
                    target: target.id,
                    message,
                }));
            }
            if let Some(fate) = context.refusal() {
                target.count(Count::RefusedOther);
                this.line = None;
                return Poll::Ready(Err(refused(target, fate, message)));
            }
            if let Some(line) = &this.line
                && !line.is_woken(cx.waker())
            {
                // The context said above that it is not over; this arms its timer.
                if let Some(fate) = this.patience.poll(target.runtime, &context, cx, None) {
                    target.count(Count::RefusedOther);
                    this.line = None;
                    return Poll::Ready(Err(refused(target, fate, message)));
                }
                this.message = Some(message);
                return Poll::Pending;
            }
            let arena = target.cell.arena();
            let node =
                match TellNode::alloc::<A>(arena, target.id.generation(), context.clone(), message)
                {
                    Ok(node) => node,
                    Err(NoMemory(message)) => {
                        target.overloaded();
                        this.line = None;
                        return Poll::Ready(Err(SendError::Overloaded {
                            target: target.id,
                            message,
                        }));
                    }
                };
            // SAFETY: the node is ours and of the target's type.
            match unsafe { target.push(node) } {
                Offered::Accepted => {
                    if let Some(line) = this.line.take() {
                        line.done();
                    }
                    return Poll::Ready(Ok(()));
                }
                Offered::Drop => {
                    target.record(Fate::Newest, std::any::type_name::<M>());
                    // SAFETY: `Drop` leaves the node with us.
                    drop(unsafe { TellNode::<M>::take_back(node) });
                    return Poll::Ready(Ok(()));
                }
                Offered::Full => {
                    // SAFETY: `Full` leaves the node with us.
                    message = unsafe { TellNode::take_back(node) };
                }
            }
            if !target.cell.waits_for_room() {
                target.count(Count::RefusedFull);
                let capacity = target.capacity();
                return Poll::Ready(Err(SendError::Full {
                    target: target.id,
                    capacity,
                    message,
                }));
            }
            match &this.line {
                Some(line) => _ = line.again(cx.waker()),
                None => this.line = InLine::enter(target, cx.waker()),
            }
        }
    }
}

impl<A, M: Message> Drop for Send<A, M> {
    fn drop(&mut self) {
        // Given up while waiting for room: it was offered, so it needs a fate.
        if self.offered && self.message.is_some() {
            Target::found(self.target.id(), &mut self.books).count(Count::RefusedOther);
        }
    }
}

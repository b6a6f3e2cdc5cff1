//! A tell that waits for room.

use std::pin::Pin;
use std::task::{self, Poll};

use super::actor::{Handler, Message};
use super::actor_ref::{ActorRef, refused};
use super::call::circle;
use super::envelope::{NoMemory, TellNode, context_of};
use super::message_context::Context;
use super::outgoing::{InLine, Offered, Patience, Target, inherited};
use super::spanning::Verb;
use crate::cell::{CellRef, Runtime, current_cell};
use crate::mailbox::SendError;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::Fate;
use crate::sync::atomic::Ordering;

/// The future of [`ActorRef::send`]: ready when the message has been accepted or refused.
///
/// In a handler it does not wait for room with an actor that waits, directly or through others, for this
/// one: that room would never come. It is refused with `Full` at once.
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
    /// The actor that waits in this send, whose `waiting_on` names the target.
    sender: Option<CellRef>,
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
            sender: None,
        }
    }

    /// Notes whom the sending actor waits for. `false`: it would wait for ever, for an actor that waits
    /// for it.
    #[cold]
    fn wait_for(&mut self, target: CellRef, cx: &task::Context<'_>) -> bool {
        if self.sender.is_some() {
            return true;
        }
        // As for an ask: only where the handler itself waits.
        let Some(sender) =
            current_cell().filter(|cell| CellRef::of_waker(cx.waker()) == Some(*cell))
        else {
            return true;
        };
        // SeqCst, with the loads in `circle`: as in `Call::wait_for`.
        sender
            .waiting_on()
            .store(self.target.id().as_u64(), Ordering::SeqCst);
        self.sender = Some(sender);
        if circle(sender, target, self.target.id()).is_some() {
            self.stop_waiting();
            return false;
        }
        true
    }

    fn stop_waiting(&mut self) {
        if let Some(sender) = self.sender.take() {
            // An ask beside this send may have left a note of its own.
            // Release: as the responder's clearing of an ask's note; Relaxed: nothing was done.
            _ = sender.waiting_on().compare_exchange(
                self.target.id().as_u64(),
                0,
                Ordering::Release,
                Ordering::Relaxed,
            );
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
            // From here on it waits: for room, then in the mailbox.
            let context = this.context.take().unwrap_or_else(inherited);
            this.context = Some(context.departing(Verb::Tell, target.runtime));
        }
        let mut context = this.context.take().unwrap_or_default();
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
                return Poll::Ready(Err(refused(target.id, fate, message)));
            }
            if let Some(line) = &this.line
                && !line.is_woken(cx.waker())
            {
                // The context said above that it is not over; this arms its timer.
                if let Some(fate) = this.patience.poll(target.runtime, &context, cx, None) {
                    target.count(Count::RefusedOther);
                    this.line = None;
                    return Poll::Ready(Err(refused(target.id, fate, message)));
                }
                (this.message, this.context) = (Some(message), Some(context));
                return Poll::Pending;
            }
            let arena = target.cell.arena();
            let generation = target.id.generation();
            let node = match TellNode::alloc::<A>(arena, generation, context, message) {
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
                    this.stop_waiting();
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
                    unsafe {
                        context = Context::clone(&context_of(node));
                        message = TellNode::take_back(node);
                    }
                }
            }
            if !target.cell.waits_for_room() || !this.wait_for(target.cell, cx) {
                target.count(Count::RefusedFull);
                this.line = None;
                let capacity = target.capacity();
                return Poll::Ready(Err(SendError::Full {
                    target: target.id,
                    capacity,
                    message,
                }));
            }
            match &this.line {
                Some(line) => _ = line.again(cx.waker()),
                None => this.line = InLine::enter(target.cell, cx.waker()),
            }
        }
    }
}

impl<A, M: Message> Drop for Send<A, M> {
    fn drop(&mut self) {
        self.stop_waiting();
        // Given up while waiting for room: it was offered, so it needs a fate.
        if self.offered && self.message.is_some() {
            Target::found(self.target.id(), &mut self.books).count(Count::RefusedOther);
        }
    }
}

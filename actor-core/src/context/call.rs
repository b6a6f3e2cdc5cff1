//! Asking: a message, and the reply to it.

use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use super::actor::{Actor, Handler, Message};
use super::actor_ref::{ActorRef, tell};
use super::blocking::block_on;
use super::cancel::CancelToken;
use super::circles;
use super::envelope::{AskNode, NoMemory};
use super::message_context::Context;
use super::outgoing::{InLine, Offered, Patience, Target, inherited};
use super::reply::{CIRCLE, failure_of};
use super::send::Send;
use super::spanning::Verb;
use crate::cell::{CellRef, Local, Runtime};
use crate::clock::Tick;
use crate::id::ActorId;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::Fate;
use crate::mailbox::reply::Polled;
use crate::mailbox::{AskError, DeadlockPath, SendError};
use crate::sync::atomic::Ordering;
use crate::trace::SpanOutcome;

/// A message on its way to an actor: await it to ask, or end it with [`tell`](Self::tell) or
/// [`send`](Self::send).
///
/// Made by [`ActorRef::ask`] and by the methods that `#[messages]` generates. Nothing is sent before it
/// is awaited or ended. The call inherits the context in force (deadline, cancellation, trace,
/// baggage); the methods here can only tighten it.
///
/// An ask allocates nothing from the global allocator: the reply is written into the message's own node.
///
/// # Cancel safety
///
/// Dropped while waiting, the message is skipped if its handler has not begun (counted as abandoned);
/// if it has, the handler can see it by [`ActorContext::is_cancelled`](crate::ActorContext::is_cancelled)
/// and its reply is dropped and counted.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::prelude::*;
///
/// struct Greet(&'static str);
/// impl Message for Greet { type Reply = String; }
/// struct Greeter;
/// impl Actor for Greeter {}
/// impl SyncHandler<Greet> for Greeter {
///     fn handle(&mut self, Greet(who): Greet, _cx: &mut ActorContext<Self>) -> String {
///         format!("hello {who}")
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// let greeter = system.spawn(Greeter)?;
/// system.block_on(async {
///     let reply = greeter.ask(Greet("world")).within(Duration::from_secs(1)).await?;
///     assert_eq!(reply, "hello world");
///     Ok::<(), AskError<Greet>>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is sent until a call is awaited, told or sent"]
pub struct Call<A: Actor, M: Message> {
    target: ActorRef<A>,
    state: State<M>,
    context: Option<Context>,
    line: Option<InLine>,
    patience: Patience,
    began: Tick,
    offered: bool,
    books: Option<&'static Runtime>,
    /// The actor that waits in this ask, whose `waiting_on` names the target.
    asker: Option<CellRef>,
}

enum State<M: Message> {
    Unsent(M),
    Sent(NonNull<AskNode<M>>),
    Done,
}

/// Why an ask is not sent.
enum Refusal {
    Dead,
    /// It was cancelled, or its time was up.
    GaveUp(Fate),
    Circle(DeadlockPath),
    Overloaded,
    Full,
}

// SAFETY: the node is shared by asker and responder as `mailbox::reply` says, from any thread.
unsafe impl<M: Message> std::marker::Send for State<M> {}
// SAFETY: nothing can be done with a shared reference to it.
unsafe impl<M: Message> Sync for State<M> {}

// Nothing in it is pinned: the message is moved out when it is sent, the node has its own memory.
impl<A: Actor, M: Message> Unpin for Call<A, M> {}

impl<A: Handler<M>, M: Message> Call<A, M> {
    pub(super) fn new(target: ActorRef<A>, message: M) -> Self {
        Self {
            target,
            state: State::Unsent(message),
            context: None,
            line: None,
            patience: Patience::default(),
            began: Tick(0),
            offered: false,
            books: None,
            asker: None,
        }
    }

    /// Waits at most that long, from now; an earlier deadline in force stays.
    pub fn within(self, timeout: Duration) -> Self {
        self.narrow(|context| context.with_timeout(timeout))
    }

    /// Waits at most until then; an earlier deadline in force stays. One in the past is refused with
    /// `Expired`, and the message comes back.
    pub fn deadline(self, at: Instant) -> Self {
        self.narrow(|context| context.with_deadline(at))
    }

    /// Gives up, and lets the handler know, when `token` is cancelled.
    pub fn cancel(self, token: &CancelToken) -> Self {
        self.narrow(|context| context.with_cancel(token.clone()))
    }

    /// Uses this context instead of the one in force.
    pub fn context(mut self, context: Context) -> Self {
        self.context = Some(context);
        self
    }

    fn narrow(mut self, change: impl FnOnce(&Context) -> Context) -> Self {
        self.context = Some(change(&self.context.take().unwrap_or_else(inherited)));
        self
    }

    /// Sends the message without waiting for anything; a reply is dropped.
    ///
    /// # Errors
    ///
    /// As [`ActorRef::tell`].
    pub fn tell(mut self) -> Result<(), SendError<M>> {
        let message = self.take_message();
        let context = self.context.take().unwrap_or_else(inherited);
        tell::<A, M>(
            Target::found(self.target.id(), &mut self.books),
            message,
            context,
        )
    }

    /// Sends the message, waiting for room; a reply is dropped.
    pub fn send(mut self) -> Send<A, M> {
        let message = self.take_message();
        let context = self.context.take();
        Send::new(self.target, message, context)
    }

    /// Asks from a plain thread, which sleeps until the reply is there.
    ///
    /// # Errors
    ///
    /// As when awaited; on a worker `WouldBlock`.
    pub fn blocking(mut self) -> Result<M::Reply, AskError<M>> {
        if Local::current().is_some() {
            let target = Target::found(self.target.id(), &mut self.books);
            target.count_ask();
            target.count(Count::RefusedOther);
            target.count(Count::AskWouldBlock);
            let message = self.take_message();
            return Err(AskError::WouldBlock {
                target: target.id,
                message,
            });
        }
        block_on(self)
    }

    fn take_message(&mut self) -> M {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Unsent(message) => message,
            State::Sent(_) | State::Done => {
                unreachable!("a call is taken apart before it is polled")
            }
        }
    }

    fn poll_unsent(
        &mut self,
        mut message: M,
        cx: &mut task::Context<'_>,
    ) -> Poll<Result<M::Reply, AskError<M>>> {
        let target = Target::found(self.target.id(), &mut self.books);
        if !self.offered {
            self.offered = true;
            target.count_ask();
            let context = self.context.take().unwrap_or_else(inherited);
            self.context = Some(context.departing(Verb::Ask, target.runtime));
        }
        let context = self.context.get_or_insert_with(Context::empty).clone();
        // One look at the clock for all that is done below without waiting.
        let now = (!context.is_empty()).then(Tick::now);
        if let Some(now) = now
            && self.began == Tick(0)
        {
            self.began = now;
        }
        loop {
            if !target.admits() {
                return self.refuse(target, Refusal::Dead, message);
            }
            if let Some(fate) = now.and_then(|now| context.refusal_at(now)) {
                return self.refuse(target, Refusal::GaveUp(fate), message);
            }
            if let Some(line) = &self.line
                && !line.is_woken(cx.waker())
            {
                if let Some(fate) = self.patience.poll(target.runtime, &context, cx, None) {
                    return self.refuse(target, Refusal::GaveUp(fate), message);
                }
                self.state = State::Unsent(message);
                return Poll::Pending;
            }
            if let Some(path) = self.wait_for(target, cx) {
                return self.refuse(target, Refusal::Circle(path), message);
            }
            let (arena, generation) = (target.cell.arena(), target.id.generation());
            let waker = cx.waker().clone();
            let node = match AskNode::alloc::<A>(arena, generation, context.clone(), message, waker)
            {
                Ok(node) => node,
                Err(NoMemory(message)) => {
                    return self.refuse(target, Refusal::Overloaded, message);
                }
            };
            // SAFETY: the node is ours and of the target's type.
            match unsafe { target.push(node.cast()) } {
                Offered::Accepted => {
                    if let Some(line) = self.line.take() {
                        line.done();
                    }
                    self.state = State::Sent(node);
                    return self.poll_sent(node, cx, true, now);
                }
                Offered::Drop => {
                    self.over(Count::AskNoReply, || SpanOutcome::Failed(Fate::Newest));
                    target.record(Fate::Newest, std::any::type_name::<M>());
                    // SAFETY: `Drop` leaves the node with us.
                    drop(unsafe { AskNode::take_back(node) });
                    self.stop_waiting();
                    return Poll::Ready(Err(AskError::NoReply { target: target.id }));
                }
                Offered::Full => {
                    // SAFETY: `Full` leaves the node with us.
                    message = unsafe { AskNode::take_back(node) };
                }
            }
            // The note stays while it waits for room: an actor that waits for a place with one that
            // waits for its reply closes a circle just as well.
            if !target.cell.waits_for_room() {
                return self.refuse(target, Refusal::Full, message);
            }
            match &self.line {
                Some(line) => _ = line.again(cx.waker()),
                None => self.line = InLine::enter(target.cell, cx.waker()),
            }
        }
    }

    /// `is_fresh`: the node was sent a moment ago, with the task's waker; `fresh`: at that time.
    #[inline(always)]
    fn poll_sent(
        &mut self,
        node: NonNull<AskNode<M>>,
        cx: &mut task::Context<'_>,
        is_fresh: bool,
        fresh: Option<Tick>,
    ) -> Poll<Result<M::Reply, AskError<M>>> {
        let same_waker =
            is_fresh || self.asker.is_some() && CellRef::of_waker(cx.waker()) == self.asker;
        // SAFETY: the node is alive while the state is `Sent` (reply R3).
        let reply = unsafe { &(*node.as_ptr()).reply };
        // The responder clears `waiting_on` only through the waker it takes. So as long as there is a
        // note, the waker stays in its place: an answer that slips in while the asker looks at its waker
        // would leave the note standing, and a later ask would be refused as a circle.
        let polled = if same_waker {
            reply.look()
        } else {
            self.stop_waiting();
            reply.poll(cx.waker())
        };
        if polled != Polled::Pending {
            return Poll::Ready(self.resolve(node, polled));
        }
        let context = self.context.get_or_insert_with(Context::empty);
        if context.is_empty() {
            return Poll::Pending;
        }
        let runtime = Target::found(self.target.id(), &mut self.books).runtime;
        let Some(fate) = self.patience.poll(runtime, context, cx, fresh) else {
            return Poll::Pending;
        };
        self.stop_waiting();
        // SAFETY: as above.
        match unsafe { (*node.as_ptr()).reply.abandon() } {
            None => {
                self.state = State::Done;
                Poll::Ready(self.failed(fate as u8, None))
            }
            // The reply came at the last moment.
            Some(polled) => Poll::Ready(self.resolve(node, polled)),
        }
    }

    /// The answer is there, and the node is ours.
    #[inline(always)]
    fn resolve(
        &mut self,
        node: NonNull<AskNode<M>>,
        polled: Polled,
    ) -> Result<M::Reply, AskError<M>> {
        self.state = State::Done;
        if let Some(asker) = self.asker.take() {
            // The responder has cleared the note, unless it answered while this call was looking at
            // its waker. A load, because that is the rare case, and because an ask beside this one may
            // have left a note of its own.
            // Relaxed: only this actor writes notes, and the answer's Acquire shows the responder's.
            if asker.waiting_on().load(Ordering::Relaxed) == self.target.id().as_u64() {
                asker.waiting_on().store(0, Ordering::SeqCst);
            }
        }
        if polled == Polled::Value {
            self.over(Count::AsksAnswered, || SpanOutcome::Ok);
            // SAFETY: the slot says that the value is there and ours.
            return Ok(unsafe { AskNode::into_reply(node) });
        }
        let Polled::Failed(failure) = polled else {
            unreachable!("an ask is resolved when it is answered")
        };
        // SAFETY: the slot says that the node is ours and there is nothing in it.
        let (fate, blame) = unsafe {
            let failure = failure_of(node.cast(), failure);
            AskNode::free(node);
            failure
        };
        self.failed(fate, blame)
    }

    /// Why there is no reply; `blame` is who has not given it, if that is not who was asked. Apart for the same
    /// reason as [`refuse`](Self::refuse).
    #[cold]
    #[inline(never)]
    fn failed(&self, fate: u8, blame: Option<ActorId>) -> Result<M::Reply, AskError<M>> {
        match Fate::of(fate) {
            Some(fate) => self.over(Count::of_ask(fate), || SpanOutcome::Failed(fate)),
            None if fate == CIRCLE => {
                self.over(Count::AskDeadlock, || SpanOutcome::Refused(IN_A_CIRCLE));
            }
            None => self.over(Count::AskNoReply, || SpanOutcome::Failed(Fate::NoReply)),
        }
        if fate == CIRCLE {
            let circle = blame.and_then(|number| circles::take(number.as_u64()));
            let path = DeadlockPath(circle.unwrap_or_else(|| vec![self.target.id()]));
            if let Some(runtime) = self.books {
                runtime.note_circle(&path.0, std::any::type_name::<M>());
            }
            return Err(AskError::Deadlock {
                path,
                message: None,
            });
        }
        let target = blame.unwrap_or_else(|| self.target.id());
        Err(match fate {
            fate if fate == Fate::Panicked as u8 => AskError::Panicked { target },
            fate if fate == Fate::Expired as u8 => AskError::Expired {
                target,
                waited: self.waited(),
                message: None,
            },
            fate if fate == Fate::Cancelled as u8 => AskError::Cancelled {
                target,
                message: None,
            },
            fate if fate == Fate::ActorStopped as u8 || fate == Fate::Interrupted as u8 => {
                AskError::Dead {
                    target,
                    message: None,
                }
            }
            fate if fate == Fate::PeerGone as u8 => AskError::PeerGone { target },
            fate if fate == Fate::Unreachable as u8 => AskError::Unreachable { target },
            fate if fate == Fate::NoRoom as u8 => AskError::NoRoom { target },
            fate if fate == Fate::NotExported as u8 => AskError::NotExported { target },
            fate if fate == Fate::TooLarge as u8 => AskError::TooLarge { target },
            _ => AskError::NoReply { target },
        })
    }

    /// Notes whom the asking actor waits for, unless that closes a circle.
    ///
    /// Only for an ask that the handler itself awaits (the task's waker is the cell's own): one inside
    /// a combinator with its own wakers would never be unnoted by the responder.
    #[inline(always)]
    fn wait_for(&mut self, target: Target, cx: &task::Context<'_>) -> Option<DeadlockPath> {
        let asker = crate::cell::current_cell()?;
        if CellRef::of_waker(cx.waker()) != Some(asker) {
            return None;
        }
        // SeqCst, with the loads below: of two actors that ask each other at the same time at least one
        // sees the other's note (a store-buffering pair needs one total order).
        asker
            .waiting_on()
            .store(target.id.as_u64(), Ordering::SeqCst);
        self.asker = Some(asker);
        let path = circle(asker, target.cell, target.id);
        if path.is_some() {
            self.stop_waiting();
        }
        path
    }

    /// Gives the message back. Apart from the way of what is sent: an error is as large as the message, and without
    /// optimisation a function has stack for all of its errors at once.
    #[cold]
    #[inline(never)]
    fn refuse(
        &mut self,
        target: Target,
        why: Refusal,
        message: M,
    ) -> Poll<Result<M::Reply, AskError<M>>> {
        target.count(match why {
            Refusal::Dead => Count::RefusedDead,
            Refusal::Full => Count::RefusedFull,
            Refusal::Overloaded => Count::RefusedOverloaded,
            Refusal::GaveUp(_) | Refusal::Circle(_) => Count::RefusedOther,
        });
        if let Refusal::Circle(path) = &why {
            target
                .runtime
                .note_circle(&path.0, std::any::type_name::<M>());
        }
        let count = match &why {
            Refusal::Dead => Count::AskDead,
            Refusal::GaveUp(fate) => Count::of_ask(*fate),
            Refusal::Circle(_) => Count::AskDeadlock,
            Refusal::Overloaded => Count::AskOverloaded,
            Refusal::Full => Count::AskFull,
        };
        self.over(count, || match &why {
            Refusal::Dead => SpanOutcome::Failed(Fate::ActorStopped),
            Refusal::GaveUp(fate) => SpanOutcome::Failed(*fate),
            Refusal::Circle(_) => SpanOutcome::Refused(IN_A_CIRCLE),
            Refusal::Overloaded => SpanOutcome::Refused("no memory for messages"),
            Refusal::Full => SpanOutcome::Refused("the mailbox is full"),
        });
        self.stop_waiting();
        self.line = None;
        self.state = State::Done;
        let capacity = target.capacity();
        let target = target.id;
        Poll::Ready(Err(match why {
            Refusal::Dead => AskError::Dead {
                target,
                message: Some(message),
            },
            Refusal::GaveUp(Fate::Cancelled) => AskError::Cancelled {
                target,
                message: Some(message),
            },
            Refusal::GaveUp(_) => AskError::Expired {
                target,
                waited: self.waited(),
                message: Some(message),
            },
            Refusal::Circle(path) => AskError::Deadlock {
                path,
                message: Some(message),
            },
            Refusal::Overloaded => AskError::Overloaded { target, message },
            Refusal::Full => AskError::Full {
                target,
                capacity,
                message,
            },
        }))
    }

    fn waited(&self) -> Duration {
        if self.began == Tick(0) {
            Duration::ZERO
        } else {
            self.began.until(Tick::now())
        }
    }
}

/// What the span of an ask says that its actors cannot answer.
const IN_A_CIRCLE: &str = "the actors wait for each other";

impl<A: Actor, M: Message> Call<A, M> {
    /// The ask has come to its end: once.
    #[inline(always)]
    fn over(&self, count: Count, outcome: impl FnOnce() -> SpanOutcome) {
        if let Some(runtime) = self.books {
            runtime.count(count, 1);
        }
        if let Some(context) = self.context.as_ref().filter(|context| !context.is_empty()) {
            let types = (std::any::type_name::<A>(), std::any::type_name::<M>());
            let target = self.target.id();
            let runtime = self.books.unwrap_or_else(|| Target::of(target).runtime);
            context.ask_over(runtime, target, types, outcome());
        }
    }

    fn stop_waiting(&mut self) {
        if let Some(asker) = self.asker.take() {
            // Release: as in the responder's own clearing.
            asker.waiting_on().store(0, Ordering::Release);
        }
    }
}

/// How far a chain of waiting actors is followed.
const CHAIN_MAX: usize = 64;

/// The circle that `asker` closes by waiting for `target`.
#[inline(always)]
pub(super) fn circle(asker: CellRef, target: CellRef, id: ActorId) -> Option<DeadlockPath> {
    // The common case: the target waits for nobody.
    if asker != target && target.waiting_on().load(Ordering::SeqCst) == 0 {
        return None;
    }
    // A circle that is real stands still. One that was pieced together from edges of different moments
    // is gone at the second look.
    let first = follow(asker, id)?;
    follow(asker, id).filter(|second| *second == first)
}

#[cold]
fn follow(asker: CellRef, target: ActorId) -> Option<DeadlockPath> {
    let asker_id = asker.id();
    let mut path = vec![asker_id];
    let mut at = target;
    while path.len() < CHAIN_MAX {
        if at == asker_id {
            return Some(DeadlockPath(path));
        }
        path.push(at);
        let next = CellRef::of(at).waiting_on().load(Ordering::SeqCst);
        if next == 0 {
            return None;
        }
        at = ActorId(next);
    }
    None
}

impl<A: Handler<M>, M: Message> Future for Call<A, M> {
    type Output = Result<M::Reply, AskError<M>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        match std::mem::replace(&mut this.state, State::Done) {
            State::Unsent(message) => this.poll_unsent(message, cx),
            State::Sent(node) => {
                this.state = State::Sent(node);
                this.poll_sent(node, cx, false, None)
            }
            State::Done => panic!("a Call was polled after it was ready"),
        }
    }
}

impl<A: Actor, M: Message> Drop for Call<A, M> {
    fn drop(&mut self) {
        self.stop_waiting();
        match std::mem::replace(&mut self.state, State::Done) {
            State::Sent(node) => {
                self.over(Count::AskAbandoned, || SpanOutcome::Abandoned);
                // SAFETY: the node is alive while the state is `Sent`; an answer makes it ours.
                unsafe {
                    match (*node.as_ptr()).reply.abandon() {
                        None => {}
                        Some(Polled::Value) => {
                            crate::cell::contain(|| drop(AskNode::into_reply(node)));
                        }
                        Some(_) => AskNode::free(node),
                    }
                }
            }
            State::Unsent(_) if self.offered => {
                self.over(Count::AskAbandoned, || SpanOutcome::Abandoned);
                // Given up while waiting for room: it was offered, so it needs a fate.
                Target::found(self.target.id(), &mut self.books).count(Count::RefusedOther);
            }
            State::Unsent(_) | State::Done => {}
        }
    }
}

impl<M: Message> std::fmt::Debug for State<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unsent(_) => "Unsent",
            Self::Sent(_) => "Sent",
            Self::Done => "Done",
        })
    }
}

//! Futures that run beside the messages of an actor: continuations, results piped back, tasks.
//!
//! They are futures of the actor, not of tokio: polled by its own worker, in its NUMA node's memory,
//! between two messages and never at the same time as a handler, and dropped with the life that attached
//! them. So what they come back with can be handled with `&mut` state, and nothing outlives the actor.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use super::actor::{Actor, Handler, Message};
use super::actor_context::ActorContext;
use super::call::Call;
use super::envelope::{NoMemory, TellNode};
use super::message_context::{Context, InForce};
use super::outgoing::Target;
use super::reentrant::Reentrant;
use super::reply::Reply;
use super::spanning::Verb;
use crate::cell::{CellRef, Drain, First, TASKS_MAX, Task, Work};
use crate::contain::{contain, log, look_at};
use crate::id::ActorId;
use crate::mailbox::AskError;
use crate::mailbox::ledger::Count;

impl<A: Actor> ActorContext<A> {
    /// Asks, and goes on with `then` when the answer is there; other messages are handled meanwhile.
    ///
    /// The call is sent at once, in order with what the handler sends after it. `then` gets the state, the
    /// answer or the reason why there is none, and runs in the context of the message being handled now,
    /// between two messages, exactly once unless this life of the actor ends before. A panic in it ends
    /// this life like one in a handler. An actor that drains its mailbox waits for it; other stops do not.
    ///
    /// # Errors
    ///
    /// [`AttachError`]: nothing is sent.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// struct Price;
    /// impl Message for Price { type Reply = u64; }
    /// struct Shop;
    /// impl Actor for Shop {}
    /// impl SyncHandler<Price> for Shop {
    ///     fn handle(&mut self, _: Price, _cx: &mut ActorContext<Self>) -> u64 { 7 }
    /// }
    ///
    /// struct Refresh;
    /// impl Message for Refresh { type Reply = (); }
    /// struct Board { shop: ActorRef<Shop>, price: Option<u64> }
    /// impl Actor for Board {}
    /// impl SyncHandler<Refresh> for Board {
    ///     fn handle(&mut self, _: Refresh, cx: &mut ActorContext<Self>) {
    ///         let asked = cx.ask_then(self.shop.ask(Price), |board, price, _cx| {
    ///             board.price = price.ok();
    ///         });
    ///         asked.expect("far from the limit");
    ///     }
    /// }
    /// ```
    pub fn ask_then<B, M, F>(&mut self, call: Call<B, M>, then: F) -> Result<Attached, AttachError>
    where
        B: Handler<M>,
        M: Message,
        F: FnOnce(&mut A, Result<M::Reply, AskError<M>>, &mut Self) + Send + 'static,
    {
        self.attach(call, then)
    }

    /// Runs a future beside the messages and goes on with `then` when it is ready. As
    /// [`ask_then`](Self::ask_then), for any future; it is polled for the first time at once.
    ///
    /// Inside, tokio's timers, sockets and channels work as in a handler. Work of more than some
    /// microseconds between two awaits holds up the actor and belongs elsewhere.
    ///
    /// # Errors
    ///
    /// [`AttachError`]: the future is dropped.
    pub fn attach<F, T>(&mut self, future: F, then: T) -> Result<Attached, AttachError>
    where
        F: Future + Send + 'static,
        F::Output: Send,
        T: FnOnce(&mut A, F::Output, &mut Self) + Send + 'static,
    {
        let work = Then {
            context: Context::current(),
            future: Some(future),
            output: None,
            then: Some(then),
            actor: PhantomData,
        };
        self.attach_work(Box::pin(work), First::Now, Drain::Waits)
    }

    /// Runs a future beside the messages and sends its result to this actor, as a message made by `map`.
    ///
    /// The message goes to the end of the mailbox, also of a full one: there are at most as many as
    /// attached tasks. It carries the trace and the baggage of the message being handled now, but not its
    /// deadline: that is the asker's, and whoever waits for the result here is the actor itself.
    ///
    /// # Errors
    ///
    /// [`AttachError`]: the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// struct Load(&'static str);
    /// impl Message for Load { type Reply = (); }
    /// struct Loaded(std::io::Result<String>);
    /// impl Message for Loaded { type Reply = (); }
    ///
    /// struct Config(String);
    /// impl Actor for Config {}
    /// impl SyncHandler<Load> for Config {
    ///     fn handle(&mut self, Load(path): Load, cx: &mut ActorContext<Self>) {
    ///         let reading = async move { std::fs::read_to_string(path) };
    ///         cx.pipe_to_self(reading, Loaded).expect("far from the limit");
    ///     }
    /// }
    /// impl SyncHandler<Loaded> for Config {
    ///     fn handle(&mut self, Loaded(text): Loaded, _cx: &mut ActorContext<Self>) {
    ///         self.0 = text.unwrap_or_default();
    ///     }
    /// }
    /// ```
    pub fn pipe_to_self<F, M, T>(&mut self, future: F, map: T) -> Result<Attached, AttachError>
    where
        F: Future + Send + 'static,
        F::Output: Send,
        M: Message,
        A: Handler<M>,
        T: FnOnce(F::Output) -> M + Send + 'static,
    {
        self.attach(future, |_, output, cx| {
            let message = map(output);
            tell_self::<A, M>(cx.id(), message, Context::current().without_deadline());
        })
    }

    /// Runs a task beside the messages that can borrow the actor's state between its awaits; see
    /// [`Reentrant`]. It begins when its turn comes among the messages. It may be a loop that never ends:
    /// nothing waits for it, also not an actor that drains.
    ///
    /// # Errors
    ///
    /// [`AttachError`]: nothing was run.
    pub fn attach_task<F>(
        &mut self,
        task: impl FnOnce(Reentrant<A>) -> F,
    ) -> Result<Attached, AttachError>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.attach_step(task, None, First::InTurn, Drain::GoesOn)
    }

    /// A reentrant handler's future, and the reply that its output is.
    pub(super) fn attach_step<F>(
        &mut self,
        make: impl FnOnce(Reentrant<A>) -> F,
        reply: Option<Reply<F::Output>>,
        first: First,
        drain: Drain,
    ) -> Result<Attached, AttachError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let work = Reentering {
            context: Context::current(),
            future: make(Reentrant::of(self)),
            reply,
        };
        self.attach_work(Box::pin(work), first, drain)
    }

    pub(super) fn attach_work(
        &mut self,
        work: Pin<Box<dyn Work>>,
        first: First,
        drain: Drain,
    ) -> Result<Attached, AttachError> {
        // SAFETY: `&mut self`: the handler runs on the owner, or while the owner waits for it; the work is
        // made for an `A`.
        match unsafe { self.cell().attach(work, first, drain) } {
            Ok(task) => Ok(Attached { task }),
            Err(limit) => Err(AttachError::TooMany { limit }),
        }
    }

    /// How many tasks are attached to this actor and not over.
    pub fn attached_tasks(&self) -> usize {
        // SAFETY: as in `attach_work`; reads what only the owner changes.
        unsafe { self.cell().task_count() }
    }

    /// How many tasks may be attached at a time, for the rest of this life: 10,000 unless said otherwise.
    /// `0` refuses all new ones. Those there are go on.
    pub fn limit_attached_tasks(&mut self, limit: u32) {
        // SAFETY: as in `attach_work`.
        unsafe { self.cell().limit_tasks(limit) };
    }
}

/// Puts a message into an actor's own mailbox, whatever its bound; the books know.
pub(super) fn tell_self<A: Handler<M>, M: Message>(id: ActorId, message: M, context: Context) {
    let target = Target::of(id);
    target.count(Count::Offered);
    let context = context.departing(Verb::Own, target.runtime);
    match TellNode::alloc::<A>(target.cell.arena(), id.generation(), context, message) {
        // SAFETY: the node is ours and of the actor's type.
        Ok(node) => unsafe { target.push_always(node) },
        Err(NoMemory(message)) => {
            target.count(Count::RefusedOverloaded);
            log!(
            warn,
                actor = %id, message_type = std::any::type_name::<M>(),
                "a result was not delivered: the process is at its memory limit for messages"
            );
            contain(move || drop(message));
        }
    }
}

/// A task that was attached to an actor.
///
/// Dropping this lets the task go on. It ends by itself, by [`cancel`](Self::cancel), or when the actor
/// stops or starts again.
#[derive(Clone)]
pub struct Attached {
    task: Arc<Task>,
}

impl Attached {
    /// Drops the task's future the next time the actor comes to it; what it has done stays done. From
    /// anywhere; nothing happens if it is over. A continuation whose future is ready and that has not run
    /// does not run any more.
    pub fn cancel(&self) {
        self.task.cancel();
    }

    /// Whether it has ended, in whatever way.
    pub fn is_over(&self) -> bool {
        self.task.is_over()
    }

    /// The actor it is attached to.
    pub fn actor(&self) -> ActorId {
        self.task.actor()
    }

    /// A guard that cancels the task when it is dropped: for a field of the state of a connection, say.
    #[must_use = "dropped at once, it cancels at once"]
    pub fn cancel_on_drop(self) -> AttachedGuard {
        AttachedGuard(self)
    }
}

impl fmt::Debug for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attached")
            .field("actor", &self.actor())
            .field("is_over", &self.is_over())
            .finish()
    }
}

/// Cancels an attached task when it is dropped; made by [`Attached::cancel_on_drop`].
#[derive(Debug)]
pub struct AttachedGuard(Attached);

impl AttachedGuard {
    /// Lets the task go on.
    pub fn disarm(self) -> Attached {
        let attached = self.0.clone();
        std::mem::forget(self);
        attached
    }
}

impl Drop for AttachedGuard {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Why nothing was attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttachError {
    /// The actor has as many tasks as it may have.
    TooMany {
        /// How many it may have.
        limit: u32,
    },
}

impl fmt::Display for AttachError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany { limit } => write!(
                f,
                "the actor has {limit} attached tasks, as many as it may have (default {TASKS_MAX}): let \
                 some end first, or raise the limit with limit_attached_tasks(..)"
            ),
        }
    }
}

impl std::error::Error for AttachError {}

// ---- The work -----------------------------------------------------------------------------------

/// A future, then something with its output and the state.
struct Then<A, F: Future, T> {
    context: Context,
    /// Pinned with the work. Gone when it is ready.
    future: Option<F>,
    output: Option<F::Output>,
    then: Option<T>,
    actor: PhantomData<fn(A)>,
}

impl<A, F, T> Work for Then<A, F, T>
where
    A: Actor,
    F: Future + Send,
    F::Output: Send,
    T: FnOnce(&mut A, F::Output, &mut ActorContext<A>) + Send,
{
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        // SAFETY: `future` stays where it is until it is dropped there; nothing else is pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let _in_force = InForce::enter(&this.context);
        let Some(future) = &mut this.future else {
            return Poll::Ready(());
        };
        // SAFETY: as above.
        let output = std::task::ready!(unsafe { Pin::new_unchecked(future) }.poll(cx));
        this.output = Some(output);
        this.future = None;
        Poll::Ready(())
    }

    unsafe fn complete(self: Pin<&mut Self>, cell: CellRef) {
        // SAFETY: as in `poll`.
        let this = unsafe { self.get_unchecked_mut() };
        let _in_force = InForce::enter(&this.context);
        if let (Some(then), Some(output)) = (this.then.take(), this.output.take()) {
            // SAFETY: by the caller: the state is an `A` that nobody borrows.
            let actor = unsafe { &mut *cell.state().cast::<A>() };
            then(actor, output, &mut ActorContext::new(cell));
        }
    }

    fn context(&self) -> *mut () {
        self.context.as_raw()
    }
}

/// As `future.poll`; if it panics, the span of the handling says so.
#[cold]
fn poll_recorded<F: Future<Output: Send + 'static>>(
    future: Pin<&mut F>,
    reply: &mut Reply<F::Output>,
    cx: &mut task::Context<'_>,
) -> Poll<F::Output> {
    catch_unwind(AssertUnwindSafe(|| future.poll(cx))).unwrap_or_else(|payload| {
        reply.panicked(look_at(&*payload));
        resume_unwind(payload)
    })
}

/// A future that borrows the state by itself, and the asker of its output.
struct Reentering<F: Future>
where
    F::Output: Send + 'static,
{
    context: Context,
    future: F,
    reply: Option<Reply<F::Output>>,
}

impl<F> Work for Reentering<F>
where
    F: Future + Send,
    F::Output: Send + 'static,
{
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        // SAFETY: `future` stays where it is until the work is dropped; nothing else is pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let _in_force = InForce::enter(&this.context);
        // SAFETY: as above.
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        let polled = match &mut this.reply {
            Some(reply) if reply.is_recorded() => poll_recorded(future, reply, cx),
            _ => future.poll(cx),
        };
        let output = std::task::ready!(polled);
        match this.reply.take() {
            Some(reply) => reply.send(output),
            None => drop(output),
        }
        Poll::Ready(())
    }

    unsafe fn complete(self: Pin<&mut Self>, _cell: CellRef) {}

    fn context(&self) -> *mut () {
        self.context.as_raw()
    }

    fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_some_and(Reply::is_abandoned)
    }
}

//! Messages that come from other peers: an address from outside is looked at before it is believed, and
//! what a handler answers goes to a function of the network layer, without a task that waits for it.

use std::alloc::Layout;
use std::any::TypeId;
use std::ptr::NonNull;

use super::actor::{Actor, Handler, Message};
use super::actor_ref::{ActorRef, tell};
use super::envelope::{NoMemory, TellNode, head};
use super::message_context::{Context, Shares};
use super::outgoing::Target;
use super::proxy::{ProxyHandle, RemoteFailure};
use super::reply::{Reply, Table};
use crate::cell::{CellRef, Local, Runtime, StopMode, StopReason, at_work, contain};
use crate::id::ActorId;
use crate::mailbox::SendError;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{End, Fate, Node, NodeVtable, Step};
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};
use crate::sync::atomic::Ordering;
use crate::trace::TraceContext;

/// The actor of a system with that number, if there is one, it lives, and is an `A`.
pub(crate) fn resolve<A: Actor>(runtime: &'static Runtime, number: u64) -> Option<ActorRef<A>> {
    resolve_kind(runtime, number, TypeId::of::<A>()).map(ActorRef::new)
}

/// As [`resolve`], for a type that is known by its number.
pub(crate) fn resolve_kind(
    runtime: &'static Runtime,
    number: u64,
    kind: TypeId,
) -> Option<ActorId> {
    let id = ActorId::from_u64(number)?;
    if !memory::has_cell(id.numa_node().0, id.index()) {
        return None;
    }
    let cell = CellRef::of(id);
    let known =
        cell.is_kind(id.generation(), kind) && std::ptr::eq(Target::of(id).runtime, runtime);
    known.then_some(id)
}

/// As [`resolve_kind`], and also one that has ended: its identity is refused by everything it is used for,
/// whatever its type was.
pub(crate) fn resolve_or_gone(
    runtime: &'static Runtime,
    number: u64,
    kind: TypeId,
) -> Option<ActorId> {
    resolve_kind(runtime, number, kind).or_else(|| {
        let id = ActorId::from_u64(number)?;
        if !memory::has_cell(id.numa_node().0, id.index()) {
            return None;
        }
        // A generation that is still to come could become somebody else's.
        (id.generation() < CellRef::of(id).generation()).then_some(id)
    })
}

/// Whom an actor's handler waits for.
pub(crate) fn waits_for(actor: ActorId) -> Option<ActorId> {
    let cell = CellRef::of(actor);
    let lives = cell.generation() == actor.generation();
    let next = cell.waiting_on().load(Ordering::SeqCst);
    ActorId::from_u64(next).filter(|_| lives && next != 0)
}

/// An actor here, of whatever type: nothing can be told to it, for no message is known to be its own. It
/// can be watched and awaited, as any [`ActorRef`].
#[derive(Debug)]
pub enum Anyone {}

/// The living actor of a system with that number, whatever it is; never a proxy.
pub(crate) fn resolve_anyone(runtime: &'static Runtime, number: u64) -> Option<ActorRef<Anyone>> {
    let id = ActorId::from_u64(number)?;
    if !memory::has_cell(id.numa_node().0, id.index()) {
        return None;
    }
    let cell = CellRef::of(id);
    let known = cell.lives_here(id.generation()) && std::ptr::eq(Target::of(id).runtime, runtime);
    known.then_some(ActorRef::new(id))
}

impl ActorRef<Anyone> {
    /// Stops it, as [`ActorRef::stop_with`].
    pub fn stop_for_elsewhere(&self, mode: StopMode) {
        let reason = match mode {
            StopMode::Kill => StopReason::Killed,
            StopMode::Drain | StopMode::Now => StopReason::Normal,
        };
        CellRef::of(self.id()).stop(self.id().generation(), mode, reason);
    }

    /// The actor that the proxy stands for has failed, and this one was linked with it there: it fails too,
    /// or hears of it if it traps links.
    pub fn link_broken(&self, proxy: &ProxyHandle, reason: StopReason) {
        CellRef::of(self.id()).share_fate(self.id().generation(), proxy.id(), reason);
    }
}

/// Tells an actor here messages that came together, in their order, all in the same context; how many were
/// accepted. The first that is refused comes back, and `messages` still has those behind it.
///
/// As [`ActorRef::tell`] for each, at a fraction of the price: they are put into the mailbox in rows of up to
/// 128. What others put there at the same moment, a bounded mailbox may hold beyond its bound, and no more.
/// A panic in `messages` goes through; what it gave before is dropped if it is not in the mailbox yet.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_core::{Mailbox, SendError, remote};
///
/// #[derive(Actor)]
/// struct Sum(u64);
///
/// #[messages]
/// impl Sum {
///     #[message]
///     fn add(&mut self, n: u64) -> u64 { self.0 += n; self.0 }
/// }
///
/// let system = ActorSystem::new()?;
/// let sum = system.spawn(Sum(0))?;
/// let all = (1..=100).map(|n| Add { n });
/// assert!(matches!(remote::tell_all(sum, &Context::empty(), all), (100, None)));
/// assert_eq!(sum.ask_blocking(Add { n: 0 })?, 5050);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn tell_all<A, M>(
    target: ActorRef<A>,
    context: &Context,
    messages: impl IntoIterator<Item = M>,
) -> (usize, Option<SendError<M>>)
where
    A: Handler<M>,
    M: Message,
{
    let mut messages = messages.into_iter();
    let mut taken = 0;
    let to = Target::of(target.id());
    while let Some(first) = messages.next() {
        let room = to.room().min(ROW_MAX);
        // Whatever is unusual has one way to be told of it.
        let is_plain = room > 1
            && Local::current().is_none()
            && to.admits()
            && context.refusal().is_none()
            // Each of a recorded trace knows by itself when it was sent.
            && !context.trace().is_some_and(TraceContext::is_sampled);
        if !is_plain {
            let mut refused = None;
            // What panics is the drop of a message that the mailbox took and its policy dropped.
            // Whether it is recorded was decided where it came in, elsewhere.
            at_work(|| contain(|| refused = tell::<A, M>(to, first, context.clone()).err()));
            if refused.is_some() {
                return (taken, refused);
            }
            taken += 1;
            continue;
        }
        let mut row = Row::<A, M>::new(to, context, room);
        let mut next = Some(first);
        while let Some(message) = next.take() {
            if let Err(NoMemory(message)) = row.add(message) {
                taken += row.send();
                to.count(Count::Offered);
                to.overloaded();
                let target = target.id();
                return (taken, Some(SendError::Overloaded { target, message }));
            }
            if row.count < room {
                next = messages.next();
            }
        }
        taken += row.send();
    }
    (taken, None)
}

/// Messages that go into a mailbox at once. A multiple of what a handler sees in one turn would only be colder.
const ROW_MAX: usize = 128;

/// Messages for one actor that nobody has seen yet.
struct Row<A: Handler<M>, M: Message> {
    to: Target,
    /// Linked by `next` from the newest to the oldest.
    newest: Option<NonNull<Node>>,
    oldest: Option<NonNull<Node>>,
    count: usize,
    /// That of all of them: of its counts, which were made at once, those are left that no node has yet.
    context: Shares,
    of: std::marker::PhantomData<fn(A, M)>,
}

impl<A: Handler<M>, M: Message> Row<A, M> {
    fn new(to: Target, context: &Context, room: usize) -> Self {
        Self {
            to,
            newest: None,
            oldest: None,
            count: 0,
            context: context.shares(room),
            of: std::marker::PhantomData,
        }
    }

    fn add(&mut self, message: M) -> Result<(), NoMemory<M>> {
        let (arena, generation) = (self.to.cell.arena(), self.to.id.generation());
        let node = TellNode::alloc::<A>(arena, generation, self.context.take(), message)?;
        let older = self
            .newest
            .map_or(std::ptr::null_mut(), NonNull::<Node>::as_ptr);
        // SAFETY: N1: the node is ours.
        unsafe { Node::set_next(node, older) };
        self.newest = Some(node);
        self.oldest.get_or_insert(node);
        self.count += 1;
        Ok(())
    }

    /// How many it was.
    fn send(mut self) -> usize {
        let count = std::mem::take(&mut self.count);
        if let (Some(newest), Some(oldest)) = (self.newest.take(), self.oldest.take()) {
            // SAFETY: the nodes are ours, of the target's type, linked as they should be, and given up.
            unsafe { self.to.push_row(newest, oldest, count) };
        }
        count
    }
}

impl<A: Handler<M>, M: Message> Drop for Row<A, M> {
    fn drop(&mut self) {
        let mut at = self.newest.take();
        while let Some(node) = at {
            // SAFETY: not sent, so they are ours still, as `add` made them.
            unsafe {
                at = NonNull::new(Node::next(node));
                let message = TellNode::<M>::take_back(node);
                contain(|| drop(message));
            }
        }
    }
}

/// Asks an actor here for somebody elsewhere: `answer` is called once, on whatever thread the outcome is
/// known, with the reply or why there is none.
///
/// The message has that context: its deadline is kept, and cancelling its token is what the end of the
/// asker looks like here. Does not wait: a full mailbox is [`RemoteFailure::Full`], whatever its policy for those
/// who could wait. A panic in `answer` is caught.
pub fn ask<A, M, F>(target: ActorRef<A>, message: M, context: Context, answer: F)
where
    A: Handler<M>,
    M: Message,
    F: FnOnce(Result<M::Reply, RemoteFailure>) + Send + 'static,
{
    let to = Target::of(target.id());
    let Some(block) = memory::alloc(
        to.cell.arena(),
        Sink::<F>::CLASS,
        Sink::<F>::LAYOUT,
        Purpose::Message,
    ) else {
        contain(|| answer(Err(RemoteFailure::Overloaded)));
        return;
    };
    let node = head(&NOWHERE, to.cell.arena(), target.id().generation(), context);
    let sink = block.cast::<Sink<F>>();
    // SAFETY: a fresh block of this layout, whose one handle is made here.
    let reply = unsafe {
        sink.write(Sink { node, answer });
        Reply::of(
            sink.cast(),
            &TableOf::<M, F>::TABLE,
            target.id(),
            to.runtime,
        )
    };
    // Whether it is recorded was decided where it came in, elsewhere.
    let Err(refused) = at_work(|| reply.forward(target, message)) else {
        return;
    };
    let (error, reply) = refused.into_parts();
    let fate = match &error {
        SendError::Full { .. } => FULL,
        SendError::Overloaded { .. } => OVERLOADED,
        SendError::Dead { .. } => Fate::ActorStopped as u8,
        SendError::Expired { .. } => Fate::Expired as u8,
        SendError::Cancelled { .. } => Fate::Cancelled as u8,
    };
    reply.refuse(fate);
    contain(move || drop(error));
}

/// Beside the fates: what only an answer to elsewhere says.
const FULL: u8 = 0x3e;
const OVERLOADED: u8 = 0x3f;

/// What waits for an answer.
#[repr(C, align(64))]
struct Sink<F> {
    /// Never in a mailbox: its context is the ask's, its link names who is to blame.
    node: Node,
    answer: F,
}

impl<F> Sink<F> {
    const LAYOUT: Layout = Layout::new::<Self>();
    const CLASS: Class = class_for(Self::LAYOUT);
}

struct TableOf<M, F>(M, F);

impl<M, F> TableOf<M, F>
where
    M: Message,
    F: FnOnce(Result<M::Reply, RemoteFailure>) + Send + 'static,
{
    const TABLE: Table<M::Reply> = Table {
        hand_in: |node, reply, _books| {
            let this = node.cast::<Sink<F>>().as_ptr();
            // SAFETY: by the callers the node is such a one, theirs to answer, and given up.
            let answer = unsafe {
                let (context, arena) = ((*this).node.context, (*this).node.meta.arena);
                let answer = (&raw const (*this).answer).read();
                drop(Context::from_raw(context));
                memory::free(node.cast(), arena, Sink::<F>::CLASS, Sink::<F>::LAYOUT);
                answer
            };
            let outcome = reply.map_err(|failure| match failure & !super::reply::BLAMED {
                FULL => RemoteFailure::Full,
                OVERLOADED => RemoteFailure::Overloaded,
                fate => RemoteFailure::of(fate),
            });
            contain(move || answer(outcome));
        },
        // Who gives up elsewhere cancels the context.
        is_abandoned: |_| false,
    };
}

static NOWHERE: NodeVtable = NodeVtable {
    run: nowhere,
    forward: nowhere,
    finish: ended,
    abandoned: |_| false,
    message: || "an answer to elsewhere",
};

unsafe fn nowhere(_cell: NonNull<()>, _node: NonNull<Node>) -> Step {
    unreachable!("a sink is in no mailbox")
}

unsafe fn ended(_node: NonNull<Node>, _end: End) {
    unreachable!("a sink is in no mailbox")
}

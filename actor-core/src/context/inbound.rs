//! Messages that come from other peers: an address from outside is looked at before it is believed, and
//! what a handler answers goes to a function of the network layer, without a task that waits for it.

use std::alloc::Layout;
use std::any::TypeId;
use std::ptr::NonNull;

use super::actor::{Actor, Handler, Message};
use super::actor_ref::ActorRef;
use super::envelope::head;
use super::message_context::Context;
use super::outgoing::Target;
use super::proxy::{ProxyHandle, RemoteFailure};
use super::reply::{Reply, Table};
use crate::cell::{CellRef, Runtime, StopMode, StopReason, contain};
use crate::id::ActorId;
use crate::mailbox::SendError;
use crate::mailbox::node::{End, Fate, Node, NodeVtable, Step};
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};
use crate::sync::atomic::Ordering;

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
    let Err(refused) = reply.forward(target, message) else {
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

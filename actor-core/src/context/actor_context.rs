//! What a handler gets beside its message.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use super::actor::Actor;
use super::actor_ref::ActorRef;
use super::harness;
use super::hook_spans;
use super::message_context::Context;
use super::options::SpawnError;
use super::spawn::{IntoActor, Parent, SpawnBuilder, builder};
use crate::cell::{CellRef, StopMode, StopReason};
use crate::id::{ActorId, NumaNodeId};

/// The actor's side of the runtime, for the time of one message or hook.
///
/// What changes something takes `&mut self`; what only reads takes `&self`.
pub struct ActorContext<A> {
    pub(super) cell: CellRef,
    actor: PhantomData<fn(A)>,
}

impl<A: Actor> ActorContext<A> {
    #[inline(always)]
    pub(super) fn new(cell: CellRef) -> Self {
        Self {
            cell,
            actor: PhantomData,
        }
    }

    /// The cell, for the parts of this type in other files.
    #[inline(always)]
    pub(super) fn cell(&self) -> CellRef {
        self.cell
    }

    /// This actor's own address.
    pub fn actor_ref(&self) -> ActorRef<A> {
        ActorRef::new(self.cell.id())
    }

    /// This actor's identity.
    pub fn id(&self) -> ActorId {
        self.cell.id()
    }

    /// The NUMA node that is this actor's home.
    pub fn numa_node(&self) -> NumaNodeId {
        NumaNodeId(self.cell.arena())
    }

    /// The context of the message being handled: what it sends inherits it.
    pub fn context(&self) -> Context {
        Context::current()
    }

    /// When the present work must be done, if its sender said so.
    pub fn deadline(&self) -> Option<Instant> {
        self.context().deadline()
    }

    /// Time left for the present work; zero when it is late.
    pub fn remaining(&self) -> Option<Duration> {
        self.context().remaining()
    }

    /// Whether nobody needs the present work any more: its context was cancelled or is past its
    /// deadline. Long handlers look at this between steps.
    pub fn is_cancelled(&self) -> bool {
        // SAFETY: a handler runs on the owner of its cell, or while the owner waits for it.
        unsafe { harness::current_refused(self.cell) }
    }

    /// Spawns a child from a value or a closure, with the options of its type.
    ///
    /// It is supervised by this actor and stopped before it.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`].
    pub fn spawn<How, I: IntoActor<How>>(
        &mut self,
        actor: I,
    ) -> Result<ActorRef<I::Actor>, SpawnError> {
        self.actor(actor).spawn()
    }

    /// As [`spawn`](Self::spawn), with options to change first.
    pub fn actor<How, I: IntoActor<How>>(&mut self, actor: I) -> SpawnBuilder<'_, I::Actor> {
        builder(Parent::Actor(self.cell, PhantomData), actor)
    }

    /// How many children this actor has.
    pub fn children(&self) -> usize {
        // SAFETY: as in `is_cancelled`; reads a number that only the owner changes.
        unsafe { self.cell.child_count() }
    }

    /// Stops this actor when the present message is done; what waits becomes dead letters.
    pub fn stop(&mut self) {
        // SAFETY: `&mut self`: the handler runs on the owner, or while the owner waits for it.
        unsafe {
            self.note_cause();
            self.cell.stop_self(StopMode::Now, StopReason::Normal);
        }
    }

    /// Ends this life as a failure when the present message is done: the supervisor decides as it does
    /// after a panic. The `stopped` hook runs.
    pub fn fail(&mut self, why: impl fmt::Display) {
        let reason = StopReason::Failed(why.to_string().into());
        // SAFETY: as in `stop`.
        unsafe {
            self.note_cause();
            hook_spans::blame(self.cell);
            self.cell.stop_self(StopMode::Now, reason);
        }
    }

    /// What the hooks that follow on the end of this life are a part of.
    ///
    /// # Safety
    ///
    /// As for `stop`.
    unsafe fn note_cause(&mut self) {
        if let Some(cause) = hook_spans::cause() {
            // SAFETY: by the caller.
            unsafe { self.cell.set_cause(cause) };
        }
    }

    /// The tokio runtime of this actor's NUMA node; `tokio::spawn` in a handler uses it already.
    pub fn tokio(&self) -> &'static tokio::runtime::Handle {
        &self.cell.runtime().reactors()[self.cell.numa_index()]
    }
}

impl<A> fmt::Debug for ActorContext<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ActorContext<{}>({})",
            std::any::type_name::<A>(),
            self.cell.id()
        )
    }
}

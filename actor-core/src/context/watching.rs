//! Caring about other actors' ends: watches, death pacts, links; and waiting for one from outside.
//!
//! | | who is told | what happens | of what |
//! |---|---|---|---|
//! | `watch` | the watcher | its `terminated` hook | the end for good |
//! | `death_pact` | the watcher | it fails | the end for good |
//! | `link` | both | they fail together; with `trap_links` the hook | the end of a *life*, a restart too |
//! | `terminated().await` | whoever awaits | the reason | the end for good |

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use super::actor::Actor;
use super::actor_context::ActorContext;
use super::actor_ref::ActorRef;
use crate::cell::{CellRef, EndSlot, OnEnd, StopReason};
use crate::id::ActorId;

impl<A: Actor> ActorContext<A> {
    /// Asks for [`Actor::terminated`] to be called when `actor` stops for good; once, also if it is asked
    /// for twice. An actor that has stopped already is reported at once, with reason `NotFound`. Ends
    /// with this life: after a restart `started` must ask again.
    pub fn watch<B>(&mut self, actor: ActorRef<B>) {
        self.watch_for(actor.id(), OnEnd::Tell);
    }

    /// As [`watch`](Self::watch), but this actor fails when `actor` stops for good, whatever the reason:
    /// with [`StopReason::DeathPact`], after all that `actor` sent before, as if by
    /// [`fail`](Self::fail); `terminated` is not called. Of `watch` and `death_pact` for one actor the
    /// later call holds; [`unwatch`](Self::unwatch) ends both.
    pub fn death_pact<B>(&mut self, actor: ActorRef<B>) {
        self.watch_for(actor.id(), OnEnd::Fail);
    }

    /// Takes a watch or a death pact back: no notice comes any more, not even one that is in the mailbox.
    pub fn unwatch<B>(&mut self, actor: ActorRef<B>) {
        let watched = actor.id();
        // SAFETY: as in `watch_for`.
        if unsafe { self.cell().forget_watched(watched) }.is_some() {
            CellRef::of(watched).unwatch(watched.generation(), self.id());
        }
    }

    /// Links this actor's life with another's: if one of them ends other than orderly (it fails, is killed,
    /// or is restarted after a failure), the other fails too, with [`StopReason::Linked`], at once
    /// after the message it is handling; a handler suspended at an `.await` is cut off. Orderly ends
    /// (`Normal`, `Shutdown`, `AutoShutdown`) take nobody down.
    ///
    /// An actor with [`trap_links`](crate::ActorOptions::trap_links) does not fail: its `terminated` hook is
    /// called, for orderly ends as well, after all that the other sent before.
    ///
    /// Linking with an actor that is gone is a broken link at once, with reason
    /// [`StopReason::NotFound`]. Linking twice is linking once, from whichever side; with itself, nothing.
    /// A link holds for this life: after a restart `started` links again if it is wanted.
    pub fn link<B>(&mut self, actor: ActorRef<B>) {
        // SAFETY: as in `watch_for`.
        unsafe { self.cell().link(actor.id()) };
    }

    /// Takes a link back, whoever made it: from here on nothing of the other's end is felt, not even if
    /// it has happened already.
    pub fn unlink<B>(&mut self, actor: ActorRef<B>) {
        // SAFETY: as in `watch_for`.
        unsafe { self.cell().unlink(actor.id()) };
    }

    fn watch_for(&mut self, watched: ActorId, on_end: OnEnd) {
        // SAFETY: `&mut self`: the handler runs on the owner, or while the owner waits for it.
        if unsafe { self.cell().remember_watched(watched, on_end) } {
            CellRef::of(watched).watch(watched.generation(), self.id());
        }
    }
}

impl<A> ActorRef<A> {
    /// Waits for the actor's end, from anywhere: a task, a thread (`system.block_on`), another actor's
    /// handler. A restart is no end. An actor that has stopped already is told as
    /// [`StopReason::NotFound`].
    ///
    /// Asks when it is first polled. An actor that awaits its own end waits for ever.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves nothing behind; ask again at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// struct Job;
    /// impl Actor for Job {}
    ///
    /// let system = ActorSystem::new()?;
    /// let job = system.spawn(Job)?;
    /// let end = system.tokio().spawn(job.terminated());
    /// job.stop();
    /// let reason = system.block_on(end)?;
    /// assert!(reason.is_normal());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn terminated(&self) -> TerminatedFuture {
        TerminatedFuture {
            actor: self.id(),
            slot: None,
        }
    }
}

/// The end of an actor, to be awaited; made by [`ActorRef::terminated`].
#[must_use = "nothing is waited for before it is awaited"]
pub struct TerminatedFuture {
    actor: ActorId,
    slot: Option<Arc<EndSlot>>,
}

impl Future for TerminatedFuture {
    type Output = StopReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<StopReason> {
        let actor = self.actor;
        match &self.slot {
            Some(slot) => slot.poll(cx.waker()),
            None => {
                let (cell, waker) = (CellRef::of(actor), cx.waker().clone());
                let slot = EndSlot::wait_for(cell, actor.generation(), waker);
                self.slot = Some(slot);
                Poll::Pending
            }
        }
    }
}

impl Drop for TerminatedFuture {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            slot.leave();
        }
    }
}

impl fmt::Debug for TerminatedFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TerminatedFuture({})", self.actor)
    }
}

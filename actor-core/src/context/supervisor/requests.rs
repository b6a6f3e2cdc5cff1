//! What a supervisor can be asked about its children, from anywhere.
//!
//! No answer waits for a child but that of `terminate_child`, and that one keeps no other waiting.

use std::any::TypeId;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;

use super::Supervisor;
use super::error::SupervisorError;
use super::plan::Planned;
use super::spec::ChildSpec;
use crate::context::actor::{Actor, Message, SyncHandler};
use crate::context::actor_context::ActorContext;
use crate::context::actor_ref::ActorRef;
use crate::context::call::Call;
use crate::context::children::{ChildCounts, ChildInfo, ChildKey};
use crate::context::reentrant::{Reentrant, ReentrantHandler};
use crate::id::ActorId;

/// Requests to a [`Supervisor`]. They are answered between its own messages and never wait for a
/// handler of a child's, so they are answered at once also while children fail and restart.
impl ActorRef<Supervisor> {
    /// The child of that name, as an actor of its type.
    ///
    /// The reference stays valid over restarts, so ask once and keep it. Only a child that was
    /// terminated and started again, by `restart_child` or with its group, is a new actor: ask again.
    /// Under `simple_one_for_one` children are not found by name: `start_child` gives the reference.
    ///
    /// # Errors
    ///
    /// In the reply: `Child(NotFound)`, `NotRunning` or `WrongType`.
    pub fn child<A: Actor>(&self, name: impl AsRef<str>) -> Call<Supervisor, FindChild<A>> {
        self.ask(FindChild {
            name: name.as_ref().into(),
            actor: PhantomData,
        })
    }

    /// Who the children are, in the order in which they are started; with those that were terminated
    /// and can be started again.
    pub fn which_children(&self) -> Call<Supervisor, WhichChildren> {
        self.ask(WhichChildren)
    }

    /// How many children there are, by phase.
    pub fn count_children(&self) -> Call<Supervisor, CountChildren> {
        self.ask(CountChildren)
    }

    /// Starts one more child, as the youngest; it is restarted and stopped like the declared ones, and
    /// forgotten when the supervisor itself is restarted. The reference can be used at once; the child
    /// starts when its elder siblings are up.
    ///
    /// # Errors
    ///
    /// In the reply: `Spec` if its options make no sense here, `NameTaken`, or `Child(Spawn)`.
    pub fn start_child<A: Actor>(&self, child: ChildSpec<A>) -> Call<Supervisor, StartChild<A>> {
        self.ask(StartChild(child))
    }

    /// Stops a child for good, within its [`Shutdown`](crate::Shutdown) time; also one that is being
    /// restarted. The reply comes when it is gone, or was given up; other requests are answered
    /// meanwhile. Told instead of asked (`.tell()`), nobody waits.
    ///
    /// Its end counts for no limit and no auto-shutdown. Its specification is kept for
    /// [`restart_child`](Self::restart_child), unless it is temporary or the supervisor
    /// `simple_one_for_one`. As in OTP, a group restart starts it again with the others.
    ///
    /// # Errors
    ///
    /// In the reply: `Child(NotFound)`, `Child(Ambiguous)`. Fine with a child that was terminated
    /// already.
    pub fn terminate_child(&self, child: impl Into<ChildKey>) -> Call<Supervisor, TerminateChild> {
        self.ask(TerminateChild(child.into()))
    }

    /// Starts a child again that was terminated, in its old place; the reply is its new identity.
    ///
    /// # Errors
    ///
    /// In the reply: `Child(..)` if it is not terminated, is not on record, or cannot be spawned.
    pub fn restart_child(&self, child: impl Into<ChildKey>) -> Call<Supervisor, RestartChild> {
        self.ask(RestartChild(child.into()))
    }

    /// Forgets a child that was terminated; its name is free for another.
    ///
    /// # Errors
    ///
    /// In the reply: `Child(..)` if it is not terminated or not on record.
    pub fn delete_child(&self, child: impl Into<ChildKey>) -> Call<Supervisor, DeleteChild> {
        self.ask(DeleteChild(child.into()))
    }
}

/// See [`ActorRef::child`].
pub struct FindChild<A> {
    name: Arc<str>,
    actor: PhantomData<fn() -> A>,
}

/// See [`ActorRef::which_children`].
#[derive(Clone, Copy, Debug)]
pub struct WhichChildren;

/// See [`ActorRef::count_children`].
#[derive(Clone, Copy, Debug)]
pub struct CountChildren;

/// See [`ActorRef::start_child`].
#[derive(Debug)]
pub struct StartChild<A>(ChildSpec<A>);

/// See [`ActorRef::terminate_child`].
#[derive(Clone, Debug)]
pub struct TerminateChild(ChildKey);

/// See [`ActorRef::restart_child`].
#[derive(Clone, Debug)]
pub struct RestartChild(ChildKey);

/// See [`ActorRef::delete_child`].
#[derive(Clone, Debug)]
pub struct DeleteChild(ChildKey);

impl<A: Actor> Message for FindChild<A> {
    type Reply = Result<ActorRef<A>, SupervisorError>;
}

impl<A: Actor> SyncHandler<FindChild<A>> for Supervisor {
    fn handle(
        &mut self,
        FindChild { name, .. }: FindChild<A>,
        cx: &mut ActorContext<Self>,
    ) -> Result<ActorRef<A>, SupervisorError> {
        let named = self.running(name.clone(), cx)?;
        if named.actor.id != TypeId::of::<A>() {
            return Err(SupervisorError::WrongType {
                child: name,
                is: named.actor.name,
                asked: std::any::type_name::<A>(),
            });
        }
        Ok(ActorRef::new(named.id))
    }
}

impl Message for WhichChildren {
    type Reply = Vec<ChildInfo>;
}

impl SyncHandler<WhichChildren> for Supervisor {
    fn handle(&mut self, _: WhichChildren, cx: &mut ActorContext<Self>) -> Vec<ChildInfo> {
        cx.which_children()
    }
}

impl Message for CountChildren {
    type Reply = ChildCounts;
}

impl SyncHandler<CountChildren> for Supervisor {
    fn handle(&mut self, _: CountChildren, cx: &mut ActorContext<Self>) -> ChildCounts {
        cx.count_children()
    }
}

impl<A: Actor> Message for StartChild<A> {
    type Reply = Result<ActorRef<A>, SupervisorError>;
}

impl<A: Actor> SyncHandler<StartChild<A>> for Supervisor {
    fn handle(
        &mut self,
        StartChild(child): StartChild<A>,
        cx: &mut ActorContext<Self>,
    ) -> Result<ActorRef<A>, SupervisorError> {
        let child = Planned::check(child.declared, &self.plan.supervision)?;
        self.start_more(&child, cx).map(ActorRef::new)
    }
}

impl Message for TerminateChild {
    type Reply = Result<(), SupervisorError>;
}

impl ReentrantHandler<TerminateChild> for Supervisor {
    async fn handle(
        this: Reentrant<Self>,
        TerminateChild(key): TerminateChild,
    ) -> Result<(), SupervisorError> {
        // From here on it is this actor that is meant, whoever has its name next.
        let child = this.with(|supervisor, cx| {
            let child = supervisor.find(key, cx)?;
            cx.terminate_child(child).map(|()| child)
        })?;
        poll_fn(|task| this.with(|_, cx| pin!(cx.child_terminated(child)).poll(task))).await;
        Ok(())
    }
}

impl Message for RestartChild {
    type Reply = Result<ActorId, SupervisorError>;
}

impl SyncHandler<RestartChild> for Supervisor {
    fn handle(
        &mut self,
        RestartChild(key): RestartChild,
        cx: &mut ActorContext<Self>,
    ) -> Result<ActorId, SupervisorError> {
        let child = self.find(key, cx)?;
        let again = cx.restart_child(child)?;
        if let Some(named) = self.children.values_mut().find(|named| named.id == child) {
            named.id = again;
        }
        Ok(again)
    }
}

impl Message for DeleteChild {
    type Reply = Result<(), SupervisorError>;
}

impl SyncHandler<DeleteChild> for Supervisor {
    fn handle(
        &mut self,
        DeleteChild(key): DeleteChild,
        cx: &mut ActorContext<Self>,
    ) -> Result<(), SupervisorError> {
        let child = self.find(key, cx)?;
        cx.delete_child(child)?;
        self.children.retain(|_, named| named.id != child);
        Ok(())
    }
}

impl<A> fmt::Debug for FindChild<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FindChild").field(&self.name).finish()
    }
}

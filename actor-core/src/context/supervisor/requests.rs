//! What a supervisor can be asked about its children, from anywhere.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use super::Supervisor;
use super::error::SupervisorError;
use super::plan::Planned;
use super::spec::ChildSpec;
use crate::context::actor::{Actor, Message, SyncHandler};
use crate::context::actor_context::ActorContext;
use crate::context::actor_ref::ActorRef;
use crate::context::call::Call;

/// Requests to a [`Supervisor`]. They are answered between its messages, never after a child's: also
/// while children fail and restart.
impl ActorRef<Supervisor> {
    /// The child of that name, as an actor of its type.
    ///
    /// The reference stays valid over restarts, so ask once and keep it. A child that was terminated
    /// and started again is a new actor: ask again.
    ///
    /// # Errors
    ///
    /// `NotFound`, `NotRunning` or `WrongType`, inside of the reply.
    pub fn child<A: Actor>(&self, name: impl AsRef<str>) -> Call<Supervisor, FindChild<A>> {
        self.ask(FindChild {
            name: name.as_ref().into(),
            actor: PhantomData,
        })
    }

    /// Starts one more child, after those that are there; it is restarted and stopped like the declared
    /// ones, and forgotten when the supervisor itself is restarted.
    ///
    /// # Errors
    ///
    /// `Spec` if its options make no sense here, `NameTaken`, or `Spawn`; inside of the reply.
    pub fn start_child<A: Actor>(&self, child: ChildSpec<A>) -> Call<Supervisor, StartChild<A>> {
        self.ask(StartChild(child))
    }
}

/// See [`ActorRef::child`].
pub struct FindChild<A> {
    name: Arc<str>,
    actor: PhantomData<fn() -> A>,
}

/// See [`ActorRef::start_child`].
#[derive(Debug)]
pub struct StartChild<A>(ChildSpec<A>);

impl<A: Actor> Message for FindChild<A> {
    type Reply = Result<ActorRef<A>, SupervisorError>;
}

impl<A: Actor> SyncHandler<FindChild<A>> for Supervisor {
    fn handle(
        &mut self,
        FindChild { name, .. }: FindChild<A>,
        cx: &mut ActorContext<Self>,
    ) -> Result<ActorRef<A>, SupervisorError> {
        let _ = cx;
        let Some(named) = self.children.get(&name) else {
            return Err(SupervisorError::NotFound { child: name });
        };
        if named.actor.id != TypeId::of::<A>() {
            return Err(SupervisorError::WrongType {
                child: name,
                is: named.actor.name,
                asked: std::any::type_name::<A>(),
            });
        }
        let child = ActorRef::new(named.id);
        if child.is_alive() {
            Ok(child)
        } else {
            Err(SupervisorError::NotRunning { child: name })
        }
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

impl<A> fmt::Debug for FindChild<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FindChild").field(&self.name).finish()
    }
}

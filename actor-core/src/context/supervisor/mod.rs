//! A ready supervisor: a tree of actors is declared, checked as a whole, and run by an actor that does
//! nothing else.
//!
//! - `spec`: what users write; `order`: in which order it starts; `plan`: the declaration checked;
//!   `error`: what can be wrong with it;
//! - here: the actor; `requests`: what it can be asked.
//!
//! The rules of supervision are not here: restarts, limits, strategies are the cell's
//! (`cell::children`), the same for any parent. What this actor adds is a name for each child, so that
//! it can be found and managed from outside. Its handlers never wait for a child, so it answers whatever
//! its children do.

mod error;
mod order;
mod plan;
mod requests;
mod spec;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

pub use error::{SpecError, SupervisorError};
pub use plan::{ByDeclaration, SupervisorPlan};
pub use requests::{
    CountChildren, DeleteChild, FindChild, RestartChild, StartChild, TerminateChild, WhichChildren,
};
pub use spec::{ChildSpec, SupervisorSpec};

use plan::{Plan, Planned};
use spec::Identity;

use super::actor::{Actor, ActorError};
use super::actor_context::ActorContext;
use super::actor_ref::ActorRef;
use super::children::{ChildError, ChildKey};
use crate::id::ActorId;
use crate::supervision::Strategy;

/// An actor that starts the children it was declared with, and supervises them.
///
/// Declare it with [`Supervisor::one_for_one`] or one of its siblings, and spawn the declaration: at the
/// top of a system, under an actor, or within another supervisor. A declaration with a mistake in it is
/// refused before anything starts, and the mistake named ([`SpecError`]).
///
/// The children are started in the order they were declared, but for what
/// [`after`](ChildSpec::after) says, each when the one before it is up (for a supervisor: when all of
/// its own are up). They are stopped in reverse. The supervisor takes requests meanwhile. A child whose
/// start fails is restarted by the usual rules; its juniors wait for it, or for its end.
///
/// Its children are found by name ([`child`](crate::ActorRef::child)); a reference that was handed out
/// stays valid over restarts. They can be added, terminated, restarted and deleted while it runs. When
/// the supervisor itself is restarted it begins with what was declared.
///
/// It is transient unless its [`ChildSpec`] says otherwise: restarted by its own supervisor when it
/// fails, which is when its children fail more often than its limit allows, and gone when it is told to
/// stop.
///
/// # Examples
///
/// See [`SupervisorSpec`].
pub struct Supervisor {
    plan: Arc<Plan>,
    /// The children by name; of a `simple_one_for_one` the declared ones only.
    children: HashMap<Arc<str>, Named>,
    /// Entries at which those of children that are gone are swept out.
    sweep_at: usize,
}

/// A child as its supervisor knows it.
#[derive(Clone, Copy, Debug)]
struct Named {
    /// Who it was when it was last looked at.
    id: ActorId,
    actor: Identity,
}

impl Supervisor {
    fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            children: HashMap::new(),
            sweep_at: SWEEP_MIN,
        }
    }

    /// Whether children are told apart by name.
    fn names_its_children(&self) -> bool {
        self.plan.supervision.strategy != Strategy::SimpleOneForOne
    }

    /// Spawns a declared child and notes who it is.
    fn start(
        &mut self,
        child: &Planned,
        cx: &mut ActorContext<Self>,
    ) -> Result<ActorId, SupervisorError> {
        let id = child.start(cx)?;
        let actor = child.actor;
        self.children
            .insert(child.name.clone(), Named { id, actor });
        Ok(id)
    }

    /// As `start`, for a child that was not declared.
    fn start_more(
        &mut self,
        child: &Planned,
        cx: &mut ActorContext<Self>,
    ) -> Result<ActorId, SupervisorError> {
        if !self.names_its_children() {
            return Ok(child.start(cx)?);
        }
        if self.find(child.name.clone().into(), cx).is_ok() {
            let child = child.name.clone();
            return Err(SupervisorError::NameTaken { child });
        }
        self.sweep(cx);
        self.start(child, cx)
    }

    /// Children come and go and their names stay: now and then they are looked through, at a cost that
    /// is a small part of that of the spawns since.
    fn sweep(&mut self, cx: &ActorContext<Self>) {
        if self.children.len() < self.sweep_at {
            return;
        }
        let children = cx.which_children();
        let on_record: HashSet<&str> = children
            .iter()
            .filter_map(|child| child.name.as_deref())
            .collect();
        self.children.retain(|name, _| on_record.contains(&**name));
        self.sweep_at = SWEEP_MIN.max(self.children.len() * 2);
    }

    /// Who is meant. Of a child that was terminated, who it was.
    ///
    /// Looks through all children only for one that is not who it was, or that was never named here.
    fn find(&self, key: ChildKey, cx: &ActorContext<Self>) -> Result<ActorId, ChildError> {
        if let ChildKey::Name(name) = &key {
            match self.children.get(name) {
                Some(named) if named.is_alive() => return Ok(named.id),
                Some(_) => {}
                None if self.names_its_children() => return Err(ChildError::NotFound(key)),
                None => {}
            }
        }
        cx.find_child(key).map(|(_, id)| id)
    }

    /// The child of that name, if it runs or is about to.
    fn running(
        &mut self,
        name: Arc<str>,
        cx: &ActorContext<Self>,
    ) -> Result<Named, SupervisorError> {
        let found = self.find(name.clone().into(), cx);
        let (Some(named), Ok(id)) = (self.children.get_mut(&name), found) else {
            return Err(ChildError::NotFound(ChildKey::Name(name)).into());
        };
        // A child that was terminated and came back with its group is a new actor.
        named.id = id;
        if named.is_alive() {
            Ok(*named)
        } else {
            Err(SupervisorError::NotRunning { child: name })
        }
    }
}

impl Named {
    /// Whether it has not ended for good.
    fn is_alive(&self) -> bool {
        ActorRef::<Supervisor>::new(self.id).is_alive()
    }
}

/// Below this many names none is looked at for being worthless.
const SWEEP_MIN: usize = 64;

impl Actor for Supervisor {
    async fn started(&mut self, cx: &mut ActorContext<Self>) -> Result<(), ActorError> {
        let plan = self.plan.clone();
        for child in &plan.children {
            self.start(child, cx)
                .map_err(|error| format!("child {}: {error}", child.name))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor")
            .field("plan", &self.plan)
            .field("children", &self.children)
            .finish_non_exhaustive()
    }
}

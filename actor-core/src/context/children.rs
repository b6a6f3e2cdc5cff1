//! What a supervisor may ask and order about its own children while it handles a message.
//!
//! The words are those of OTP's supervisor: which, count, terminate, restart, delete. None of them waits,
//! so they answer at once even while a child fails again and again.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use super::actor::Actor;
use super::actor_context::ActorContext;
use super::actor_ref::ActorRef;
use super::options::SpawnError;
use crate::cell::{Child, ChildState, Refusal};
use crate::id::ActorId;

/// One child, as its supervisor knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildInfo {
    /// The actor; of a terminated child the one that it was last.
    pub id: ActorId,
    /// The label it was spawned with.
    pub name: Option<Arc<str>>,
    /// Its Rust type.
    pub actor_type: &'static str,
    /// Where it stands.
    pub phase: ChildPhase,
    /// How often it was started again.
    pub restarts: u64,
}

/// Where a child stands, as far as its supervisor knows: the child may have failed this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChildPhase {
    /// It runs, or starts for the first time.
    Running,
    /// It failed, or was stopped with its group, and is not up again yet.
    Restarting,
    /// It was told to stop for good.
    Stopping,
    /// It was terminated; what is left is the specification to start it again.
    Terminated,
}

/// How many children there are, by phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildCounts {
    /// Children on record, terminated ones included.
    pub specs: usize,
    /// Running.
    pub running: usize,
    /// Being restarted.
    pub restarting: usize,
    /// Being stopped for good.
    pub stopping: usize,
    /// Terminated, and not deleted.
    pub terminated: usize,
}

/// Which child is meant: by its id, its address, or the label it was spawned with.
///
/// A label must be that of exactly one child.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildKey {
    /// The actor.
    Id(ActorId),
    /// Its label.
    Name(Arc<str>),
}

/// Why an order about a child was not carried out. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildError {
    /// This actor has no such child, or has it no longer.
    NotFound(ChildKey),
    /// Several children have that label.
    Ambiguous {
        /// The label.
        name: Arc<str>,
        /// How many have it.
        children: usize,
    },
    /// The child runs; terminate it first.
    Running(ActorId),
    /// The child is being restarted by its supervisor; terminate it first.
    Restarting(ActorId),
    /// The child has been told to stop and is not gone yet;
    /// [`child_terminated`](ActorContext::child_terminated) waits for that.
    Stopping(ActorId),
    /// Under `simple_one_for_one` no specifications are kept: spawn another child, and stop this one.
    Dynamic(ActorId),
    /// It could not be spawned.
    Spawn(SpawnError),
}

impl<A: Actor> ActorContext<A> {
    /// The children, oldest first, in the order in which they are started; with those that were
    /// terminated and can be started again.
    pub fn which_children(&self) -> Vec<ChildInfo> {
        // SAFETY: a handler runs on the owner of its cell, or while the owner waits for it.
        let children = unsafe { self.cell.list_children() };
        children.into_iter().map(ChildInfo::from).collect()
    }

    /// How many children there are, by phase.
    pub fn count_children(&self) -> ChildCounts {
        let mut counts = ChildCounts::default();
        // SAFETY: as in `which_children`.
        for child in unsafe { self.cell.list_children() } {
            counts.specs += 1;
            match child.state {
                ChildState::Running => counts.running += 1,
                ChildState::Restarting => counts.restarting += 1,
                ChildState::Stopping => counts.stopping += 1,
                ChildState::Terminated => counts.terminated += 1,
            }
        }
        counts
    }

    /// Has a child stop for good, within its [`Shutdown`](crate::Shutdown) time; also one that is being
    /// restarted. Its end is not a failure and counts for no limit and no auto-shutdown.
    ///
    /// Returns at once; [`child_terminated`](Self::child_terminated) waits. Its specification is kept,
    /// in its place among the children, for [`restart_child`](Self::restart_child): unless it is
    /// temporary, was spawned by value, or this supervisor is `simple_one_for_one`. As in OTP, a group
    /// restart starts it again with the others. Fine with a child that was terminated already.
    ///
    /// # Errors
    ///
    /// [`ChildError::NotFound`], [`ChildError::Ambiguous`].
    pub fn terminate_child(&mut self, child: impl Into<ChildKey>) -> Result<(), ChildError> {
        let (key, id) = self.find_child(child.into())?;
        // SAFETY: `&mut self`: the handler runs on the owner, or while the owner waits for it.
        unsafe { self.cell.terminate_child(id) }.map_err(|refusal| explain(refusal, key, id))
    }

    /// Waits until a child that was terminated, or is stopping for another reason, is gone. At once if
    /// there is no such child.
    ///
    /// Does not make it stop. Other messages wait meanwhile, the children are supervised as always.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn child_terminated(&mut self, child: impl Into<ChildKey>) {
        let Ok((_, id)) = self.find_child(child.into()) else {
            return;
        };
        let cell = self.cell;
        // SAFETY: the future is polled by the handler, so on the owner, or while the owner waits for it.
        poll_fn(|cx| unsafe { cell.poll_child_end(id, cx.waker()) }).await;
    }

    /// Spawns a child that was terminated again, in its old place among the children.
    ///
    /// It is a new actor, whose id is the answer; a name it was registered under leads to it. References
    /// to the old one stay dead.
    ///
    /// # Errors
    ///
    /// [`ChildError::Running`], [`ChildError::Restarting`] or [`ChildError::Stopping`] if it is not
    /// terminated, [`ChildError::Dynamic`] under `simple_one_for_one`, [`ChildError::NotFound`] if nothing
    /// was kept, [`ChildError::Spawn`] if it cannot be spawned; it is kept then.
    pub fn restart_child(&mut self, child: impl Into<ChildKey>) -> Result<ActorId, ChildError> {
        let (key, id) = self.find_child(child.into())?;
        // SAFETY: as in `terminate_child`.
        unsafe { self.cell.restart_child(id) }.map_err(|refusal| explain(refusal, key, id))
    }

    /// Forgets a child that was terminated.
    ///
    /// # Errors
    ///
    /// As for [`restart_child`](Self::restart_child).
    pub fn delete_child(&mut self, child: impl Into<ChildKey>) -> Result<(), ChildError> {
        let (key, id) = self.find_child(child.into())?;
        // SAFETY: as in `terminate_child`.
        unsafe { self.cell.delete_child(id) }.map_err(|refusal| explain(refusal, key, id))
    }

    /// The one child that is meant.
    pub(super) fn find_child(&self, key: ChildKey) -> Result<(ChildKey, ActorId), ChildError> {
        let name = match key {
            ChildKey::Id(id) => return Ok((key, id)),
            ChildKey::Name(name) => name,
        };
        // SAFETY: as in `which_children`.
        match unsafe { self.cell.children_named(&name) }[..] {
            [] => Err(ChildError::NotFound(ChildKey::Name(name))),
            [id] => Ok((ChildKey::Name(name), id)),
            ref several => Err(ChildError::Ambiguous {
                children: several.len(),
                name,
            }),
        }
    }
}

fn explain(refusal: Refusal, key: ChildKey, id: ActorId) -> ChildError {
    match refusal {
        Refusal::NotFound | Refusal::State(ChildState::Terminated) => ChildError::NotFound(key),
        Refusal::State(ChildState::Running) => ChildError::Running(id),
        Refusal::State(ChildState::Restarting) => ChildError::Restarting(id),
        Refusal::State(ChildState::Stopping) => ChildError::Stopping(id),
        Refusal::Dynamic => ChildError::Dynamic(id),
        Refusal::Spawn(failure, name) => ChildError::Spawn(super::spawn::explain(failure, name)),
    }
}

impl From<Child> for ChildInfo {
    fn from(child: Child) -> Self {
        Self {
            id: child.id,
            name: child.name,
            actor_type: child.actor_type,
            phase: match child.state {
                ChildState::Running => ChildPhase::Running,
                ChildState::Restarting => ChildPhase::Restarting,
                ChildState::Stopping => ChildPhase::Stopping,
                ChildState::Terminated => ChildPhase::Terminated,
            },
            restarts: child.restarts,
        }
    }
}

impl From<ActorId> for ChildKey {
    fn from(id: ActorId) -> Self {
        Self::Id(id)
    }
}

impl<A: Actor> From<ActorRef<A>> for ChildKey {
    fn from(actor: ActorRef<A>) -> Self {
        Self::Id(actor.id())
    }
}

impl From<&str> for ChildKey {
    fn from(name: &str) -> Self {
        Self::Name(name.into())
    }
}

impl From<String> for ChildKey {
    fn from(name: String) -> Self {
        Self::Name(name.into())
    }
}

impl From<Arc<str>> for ChildKey {
    fn from(name: Arc<str>) -> Self {
        Self::Name(name)
    }
}

impl fmt::Display for ChildKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => write!(f, "`{name}`"),
        }
    }
}

impl fmt::Display for ChildPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Terminated => "terminated",
        })
    }
}

impl fmt::Display for ChildInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            actor_type,
            phase,
            restarts,
            ..
        } = self;
        if let Some(name) = &self.name {
            write!(f, "{name} ")?;
        }
        write!(f, "{id} {actor_type}: {phase}, {restarts} restarts")
    }
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(key) => write!(f, "no child {key}"),
            Self::Ambiguous { name, children } => {
                write!(
                    f,
                    "{children} children are called `{name}`: name one by its id"
                )
            }
            Self::Running(id) => write!(f, "{id} is running: terminate it first"),
            Self::Restarting(id) => write!(f, "{id} is being restarted: terminate it first"),
            Self::Stopping(id) => write!(f, "{id} is stopping: wait until it is gone"),
            Self::Dynamic(id) => write!(
                f,
                "{id} is a child under simple_one_for_one, where no specification is kept: stop it, and \
                 spawn another"
            ),
            Self::Spawn(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ChildError {}

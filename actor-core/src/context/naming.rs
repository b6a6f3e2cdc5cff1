//! Names: one live actor per name and system, found by name and type.
//!
//! A name is kept over restarts and freed when its actor ends, before anybody is told of the end: who
//! hears `Terminated` may take the name at once. References go by identity, not by name, so a message
//! to the old holder never reaches the new one.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use super::actor::Actor;
use super::actor_context::ActorContext;
use super::actor_ref::ActorRef;
use crate::cell::{CellRef, Kind, NotHeld, Runtime};
use crate::id::ActorId;

/// The longest name, in bytes of UTF-8. The shortest is one byte.
pub const NAME_BYTES_MAX: usize = 255;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidName {
    /// It has no character, or too many.
    Length {
        /// Its length.
        bytes: usize,
    },
    /// It has a control character, which would garble logs and reports.
    Control {
        /// At which byte.
        at: usize,
        /// Which.
        character: char,
    },
}

/// Why an actor was not given a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another live actor has the name.
    AlreadyRegistered {
        /// The name.
        name: Arc<str>,
        /// Who has it.
        holder: ActorId,
    },
    /// The text is no name.
    Name(InvalidName),
    /// The actor has stopped.
    Dead {
        /// The actor.
        actor: ActorId,
    },
    /// The actor lives in another system; names are per system.
    OtherSystem {
        /// The actor.
        actor: ActorId,
    },
}

/// Why there is no reference for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LookupError {
    /// No live actor has the name.
    NotRegistered {
        /// The name.
        name: Arc<str>,
    },
    /// The holder is of another type than was asked for.
    WrongType {
        /// The name.
        name: Arc<str>,
        /// Who has it.
        holder: ActorId,
        /// The holder's type.
        holder_type: &'static str,
        /// The type that was asked for.
        asked: &'static str,
    },
}

/// One name that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegisteredName {
    /// The name.
    pub name: Arc<str>,
    /// Who has it.
    pub actor: ActorId,
    /// The holder's type.
    pub actor_type: &'static str,
}

/// Refuses what cannot be a name.
pub(super) fn check(name: &str) -> Result<(), InvalidName> {
    let bytes = name.len();
    if bytes == 0 || bytes > NAME_BYTES_MAX {
        return Err(InvalidName::Length { bytes });
    }
    match name.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, character)) => Err(InvalidName::Control { at, character }),
        None => Ok(()),
    }
}

pub(crate) fn lookup<A: Actor>(
    runtime: &'static Runtime,
    name: &str,
) -> Result<ActorRef<A>, LookupError> {
    match runtime.names().find(name) {
        None => Err(LookupError::NotRegistered { name: name.into() }),
        Some(holder) if holder.kind.id == TypeId::of::<A>() => Ok(ActorRef::new(holder.actor)),
        Some(holder) => Err(LookupError::WrongType {
            name: name.into(),
            holder: holder.actor,
            holder_type: holder.kind.name,
            asked: std::any::type_name::<A>(),
        }),
    }
}

pub(crate) fn register<A: Actor>(
    runtime: &'static Runtime,
    name: &str,
    actor: ActorRef<A>,
) -> Result<(), RegisterError> {
    check(name)?;
    let id = actor.id();
    let cell = CellRef::of(id);
    // A cell belongs to its system for as long as its actor lives; of a dead one the registry says so.
    if actor.is_alive() && !std::ptr::eq(cell.runtime(), runtime) {
        return Err(RegisterError::OtherSystem { actor: id });
    }
    let name: Arc<str> = name.into();
    match runtime.names().give(&name, id, Kind::of::<A>()) {
        Ok(()) => Ok(()),
        Err(NotHeld::Taken(holder)) => Err(RegisterError::AlreadyRegistered { name, holder }),
        Err(NotHeld::Dead) => Err(RegisterError::Dead { actor: id }),
    }
}

pub(crate) fn unregister(runtime: &'static Runtime, name: &str) -> Option<ActorId> {
    runtime.names().take(name).map(|holder| holder.actor)
}

pub(crate) fn registered(runtime: &'static Runtime) -> Vec<RegisteredName> {
    let names = runtime.names().list().into_iter();
    names
        .map(|(name, holder)| RegisteredName {
            name,
            actor: holder.actor,
            actor_type: holder.kind.name,
        })
        .collect()
}

impl<A: Actor> ActorContext<A> {
    /// The actor of that name, in this actor's system.
    ///
    /// # Errors
    ///
    /// See [`LookupError`].
    pub fn lookup<B: Actor>(&self, name: &str) -> Result<ActorRef<B>, LookupError> {
        lookup(self.runtime(), name)
    }

    /// Gives an actor a name, this one (`cx.actor_ref()`) or another. An actor may have several. Does
    /// nothing if it has that name already.
    ///
    /// # Errors
    ///
    /// See [`RegisterError`].
    pub fn register<B: Actor>(
        &mut self,
        name: &str,
        actor: ActorRef<B>,
    ) -> Result<(), RegisterError> {
        register(self.runtime(), name, actor)
    }

    /// Frees a name, whoever holds it; the answer is who did.
    pub fn unregister(&mut self, name: &str) -> Option<ActorId> {
        unregister(self.runtime(), name)
    }

    /// All names of the system that are held, in alphabetical order.
    pub fn registered(&self) -> Vec<RegisteredName> {
        registered(self.runtime())
    }

    fn runtime(&self) -> &'static Runtime {
        CellRef::of(self.id()).runtime()
    }
}

impl From<InvalidName> for RegisterError {
    fn from(name: InvalidName) -> Self {
        Self::Name(name)
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { bytes } => write!(
                f,
                "a name of {bytes} bytes is impossible: 1 to {NAME_BYTES_MAX} are allowed"
            ),
            Self::Control { at, character } => write!(
                f,
                "a name cannot have the control character {character:?} (at byte {at}); use printable \
                 characters"
            ),
        }
    }
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyRegistered { name, holder } => {
                write!(f, "the name {name:?} is held by {holder}, which is alive")
            }
            Self::Name(name) => name.fmt(f),
            Self::Dead { actor } => write!(f, "{actor} has stopped and can have no name"),
            Self::OtherSystem { actor } => write!(
                f,
                "{actor} lives in another actor system; register it with that one"
            ),
        }
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegistered { name } => write!(f, "no live actor has the name {name:?}"),
            Self::WrongType {
                name,
                holder,
                holder_type,
                asked,
            } => write!(
                f,
                "the name {name:?} is held by {holder}, a `{holder_type}`, not a `{asked}`"
            ),
        }
    }
}

impl std::error::Error for InvalidName {}
impl std::error::Error for RegisterError {}
impl std::error::Error for LookupError {}

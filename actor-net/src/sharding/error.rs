//! Why a kind of entity is not declared, and why an entity is not reached.

use std::convert::Infallible;
use std::fmt;

use actor_core::SpawnError;

use super::entity::InvalidEntity;
use super::key::InvalidKey;

/// Why a kind of entity was not declared.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeclareError {
    /// It cannot be.
    Invalid(InvalidEntity),
    /// Its routers cannot be spawned.
    Spawn(SpawnError),
}

impl fmt::Display for DeclareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => error.fmt(f),
            Self::Spawn(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DeclareError {}

/// A kind of entity that this peer has not declared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotDeclared {
    /// Nothing was declared by that name.
    Unknown {
        /// The name.
        name: Box<str>,
    },
    /// That name is of another type of actors.
    OtherType {
        /// The name.
        name: Box<str>,
        /// The type that was asked for.
        actor: &'static str,
    },
    /// No kind was declared for that type of actors.
    NoKindOf {
        /// The type.
        actor: &'static str,
    },
    /// Several kinds were declared for that type of actors: say which.
    SeveralKindsOf {
        /// The type.
        actor: &'static str,
        /// The kinds.
        names: Vec<Box<str>>,
    },
}

impl fmt::Display for NotDeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WHAT_TO_DO: &str =
            "declare it before the peer starts, with hosts(false) if it is only to be sent to";
        match self {
            Self::Unknown { name } => {
                write!(f, "{name:?} is not declared on this peer; {WHAT_TO_DO}")
            }
            Self::OtherType { name, actor } => write!(
                f,
                "{name:?} is declared on this peer for another type of actor than {actor}"
            ),
            Self::NoKindOf { actor } => write!(
                f,
                "no kind of entity with actors of type {actor} is declared on this peer; {WHAT_TO_DO}"
            ),
            Self::SeveralKindsOf { actor, names } => write!(
                f,
                "{names:?} are all kinds of entities with actors of type {actor}; say which, with entity_of"
            ),
        }
    }
}

impl std::error::Error for NotDeclared {}

/// Why there is no reference to an entity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntityError {
    /// The key is none.
    Key(InvalidKey),
    /// The kind is not declared on this peer.
    NotDeclared(NotDeclared),
}

impl fmt::Display for EntityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => error.fmt(f),
            Self::NotDeclared(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EntityError {}

impl From<InvalidKey> for EntityError {
    fn from(error: InvalidKey) -> Self {
        Self::Key(error)
    }
}

impl From<NotDeclared> for EntityError {
    fn from(error: NotDeclared) -> Self {
        Self::NotDeclared(error)
    }
}

/// Of what is a key for certain.
impl From<Infallible> for EntityError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

//! What can be wrong with a declared tree, and with a request about one of its children.

use std::fmt;
use std::sync::Arc;

use crate::context::children::ChildError;
use crate::context::options::SpawnError;
use crate::supervision::InvalidOption;

/// Why a declared tree is refused. Nothing was started.
///
/// A child is named by its path from the top of the declared tree: `pool/conn` is the child `conn` of
/// the child `pool`. The path of the tree itself is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecError {
    /// A name that cannot be one.
    Name {
        /// Where: the path of the supervisor.
        supervisor: String,
        /// Which of its children, from 0.
        position: usize,
        /// The name.
        name: String,
        /// What a name is.
        allowed: &'static str,
    },
    /// Two children of one supervisor have the same name.
    DuplicateName {
        /// The path of both.
        path: String,
        /// Their positions, from 0.
        positions: (usize, usize),
    },
    /// `after` names no sibling.
    UnknownDependency {
        /// The child that has it.
        path: String,
        /// The name.
        after: String,
        /// The siblings there are.
        siblings: Vec<String>,
    },
    /// Children that wait for each other.
    DependencyCycle {
        /// The path of the supervisor.
        supervisor: String,
        /// The circle: each is to start after the next, the last after the first.
        cycle: Vec<String>,
    },
    /// An option out of its range, or one that does not go with another.
    Option {
        /// The child; empty for the supervisor at the top.
        path: String,
        /// The option, its value and what is allowed.
        option: InvalidOption,
    },
    /// A mailbox that is impossible.
    MailboxCapacity {
        /// The child.
        path: String,
        /// What was asked for.
        capacity: usize,
        /// The most that its overflow policy allows.
        max: usize,
    },
    /// Supervisors within supervisors, too many levels of them.
    TooDeep {
        /// The supervisor that is one too deep.
        path: String,
        /// How many levels there may be.
        max: usize,
    },
}

impl SpecError {
    /// The path of what is at fault.
    pub fn path(&self) -> &str {
        match self {
            Self::Name { supervisor, .. } | Self::DependencyCycle { supervisor, .. } => supervisor,
            Self::DuplicateName { path, .. }
            | Self::UnknownDependency { path, .. }
            | Self::Option { path, .. }
            | Self::MailboxCapacity { path, .. }
            | Self::TooDeep { path, .. } => path,
        }
    }

    /// The field that is at fault.
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Name { .. } | Self::DuplicateName { .. } => "name",
            Self::UnknownDependency { .. } | Self::DependencyCycle { .. } => "after",
            Self::Option { option, .. } => option.field(),
            Self::MailboxCapacity { .. } => "mailbox",
            Self::TooDeep { .. } => "supervisor",
        }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name {
                supervisor,
                position,
                name,
                allowed,
            } => write!(
                f,
                "{}: the name {name:?} of child {position} is no name: must be {allowed}",
                Place(supervisor)
            ),
            Self::DuplicateName {
                path,
                positions: (first, second),
            } => write!(
                f,
                "{}: name is given twice, to the children {first} and {second}: must be unique \
                 under one supervisor",
                Place(path)
            ),
            Self::UnknownDependency {
                path,
                after,
                siblings,
            } => {
                write!(
                    f,
                    "{}: after is {after:?}: must be a sibling, ",
                    Place(path)
                )?;
                if siblings.is_empty() {
                    f.write_str("and there are none")
                } else {
                    write!(f, "one of {}", siblings.join(", "))
                }
            }
            Self::DependencyCycle { supervisor, cycle } => {
                let first = cycle.first().map_or("", String::as_str);
                write!(
                    f,
                    "{}: after goes in a circle: {} after {first}: leave one of them out",
                    Place(supervisor),
                    cycle.join(" after "),
                )
            }
            Self::Option { path, option } => write!(f, "{}: {option}", Place(path)),
            Self::MailboxCapacity {
                path,
                capacity,
                max,
            } => write!(
                f,
                "{}: mailbox is {capacity} messages: must be 1 to {max}, or Mailbox::unbounded()",
                Place(path)
            ),
            Self::TooDeep { path, max } => write!(
                f,
                "{}: supervisor is more than {max} levels deep: must be {max} or fewer",
                Place(path)
            ),
        }
    }
}

impl std::error::Error for SpecError {}

/// A path as a reader sees it.
struct Place<'a>(&'a str);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.write_str("supervisor")
        } else {
            write!(f, "child {}", self.0)
        }
    }
}

/// Why a supervisor did not do what was asked of it about a child. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SupervisorError {
    /// There is no such child, or it is not in the state that was asked for.
    Child(ChildError),
    /// The child was terminated and does not run; `restart_child` starts it again.
    NotRunning {
        /// The child.
        child: Arc<str>,
    },
    /// The child is of another type than was asked for.
    WrongType {
        /// The child.
        child: Arc<str>,
        /// Its type.
        is: &'static str,
        /// The type that was asked for.
        asked: &'static str,
    },
    /// There is a child of that name.
    NameTaken {
        /// The name.
        child: Arc<str>,
    },
    /// The specification of the new child is refused.
    Spec(SpecError),
}

impl fmt::Display for SupervisorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Child(child) => child.fmt(f),
            Self::NotRunning { child } => {
                write!(f, "the child {child:?} was terminated: restart it first")
            }
            Self::WrongType { child, is, asked } => {
                write!(f, "the child {child:?} is a {is}, not a {asked}")
            }
            Self::NameTaken { child } => write!(
                f,
                "there is a child {child:?} already: terminate and delete it first"
            ),
            Self::Spec(spec) => spec.fmt(f),
        }
    }
}

impl std::error::Error for SupervisorError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Child(child) => Some(child),
            Self::Spec(spec) => Some(spec),
            Self::NotRunning { .. } | Self::WrongType { .. } | Self::NameTaken { .. } => None,
        }
    }
}

impl From<ChildError> for SupervisorError {
    fn from(child: ChildError) -> Self {
        Self::Child(child)
    }
}

impl From<SpecError> for SupervisorError {
    fn from(spec: SpecError) -> Self {
        Self::Spec(spec)
    }
}

impl From<SpawnError> for SupervisorError {
    fn from(spawn: SpawnError) -> Self {
        Self::Child(ChildError::Spawn(spawn))
    }
}

//! A declared tree that was found right: what a supervisor starts, life after life.
//!
//! Checking is a function of the declaration alone. It goes through the tree from the top and stops at
//! the first mistake, so that the same declaration is always refused in the same words.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::Supervisor;
use super::error::SpecError;
use super::order::{Disorder, Wish, order};
use super::spec::{Declared, Identity, Make, SupervisorSpec};
use crate::context::actor::Actor;
use crate::context::actor_context::ActorContext;
use crate::context::naming;
use crate::context::options::{ActorOptions, SpawnError};
use crate::context::spawn::{IntoActor, Source};
use crate::id::ActorId;
use crate::supervision::{AutoShutdown, InvalidOption, Restart, Supervision};

/// The longest name of a child, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// Levels of supervisors within supervisors.
pub(super) const DEPTH_MAX: usize = 64;

/// A declared tree that was checked: spawn it, any number of times.
///
/// Made by [`SupervisorSpec::build`].
#[derive(Clone)]
#[must_use = "nothing starts before it is spawned"]
pub struct SupervisorPlan(pub(super) Arc<Plan>);

/// One supervisor of it.
pub(super) struct Plan {
    pub(super) supervision: Supervision,
    /// In the order in which they start.
    pub(super) children: Vec<Planned>,
}

/// One child.
pub(super) struct Planned {
    pub(super) name: Arc<str>,
    pub(super) options: ActorOptions,
    pub(super) registered: Option<Arc<str>>,
    pub(super) actor: Identity,
    start: Arc<dyn StartChild>,
}

/// Starts a child of a type that only it knows.
pub(super) trait StartChild: Send + Sync {
    fn start(
        &self,
        cx: &mut ActorContext<Supervisor>,
        child: &Planned,
    ) -> Result<ActorId, SpawnError>;
}

/// An actor made by a closure of the user's.
pub(super) struct Leaf<F>(pub(super) Arc<F>);

impl<A: Actor, F: Fn() -> A + Send + Sync + 'static> StartChild for Leaf<F> {
    fn start(
        &self,
        cx: &mut ActorContext<Supervisor>,
        child: &Planned,
    ) -> Result<ActorId, SpawnError> {
        let make = self.0.clone();
        spawn(cx, child, move || make())
    }
}

/// A supervisor within a supervisor.
struct Nested(SupervisorPlan);

impl StartChild for Nested {
    fn start(
        &self,
        cx: &mut ActorContext<Supervisor>,
        child: &Planned,
    ) -> Result<ActorId, SpawnError> {
        spawn(cx, child, self.0.factory())
    }
}

fn spawn<A: Actor>(
    cx: &mut ActorContext<Supervisor>,
    child: &Planned,
    make: impl FnMut() -> A + Send + 'static,
) -> Result<ActorId, SpawnError> {
    let mut builder = cx
        .actor(make)
        .name(&child.name)
        .options(child.options.clone());
    if let Some(name) = &child.registered {
        builder = builder.registered(name);
    }
    builder.held().spawn().map(|child| child.id())
}

impl Planned {
    /// Spawns it under the supervisor whose context this is. It starts when its elder siblings are up.
    pub(super) fn start(&self, cx: &mut ActorContext<Supervisor>) -> Result<ActorId, SpawnError> {
        self.start.start(cx, self)
    }
}

impl SupervisorPlan {
    fn factory(&self) -> impl FnMut() -> Supervisor + Send + 'static + use<> {
        let plan = self.0.clone();
        move || Supervisor::new(plan.clone())
    }
}

/// Marker: made from a declaration.
#[derive(Debug)]
pub struct ByDeclaration;

impl IntoActor<ByDeclaration> for SupervisorPlan {
    type Actor = Supervisor;

    fn into_source(self) -> Source<Supervisor> {
        self.factory().into_source()
    }

    fn options_to_spawn_with(&self) -> ActorOptions {
        Supervisor::options().supervision(self.0.supervision)
    }
}

impl IntoActor<ByDeclaration> for SupervisorSpec {
    type Actor = Supervisor;

    fn into_source(self) -> Source<Supervisor> {
        match self.build() {
            Ok(plan) => plan.into_source(),
            Err(error) => Source::Refused(SpawnError::Spec(error)),
        }
    }

    fn options_to_spawn_with(&self) -> ActorOptions {
        Supervisor::options().supervision(self.supervision)
    }
}

impl Plan {
    /// Checks a whole tree.
    pub(super) fn check(spec: SupervisorSpec) -> Result<Self, SpecError> {
        Self::at("", spec, 1, &mut HashMap::new())
    }

    /// Checks the tree below `path`, the supervisor there being on that level.
    fn at(
        path: &str,
        spec: SupervisorSpec,
        level: usize,
        registered: &mut Registered,
    ) -> Result<Self, SpecError> {
        if level > DEPTH_MAX {
            return Err(SpecError::TooDeep {
                path: path.to_owned(),
                max: DEPTH_MAX,
            });
        }
        let supervision = spec.supervision;
        supervision.check().map_err(|option| SpecError::Option {
            path: path.to_owned(),
            option,
        })?;
        for (position, child) in spec.children.iter().enumerate() {
            check_name(path, position, &child.name)?;
        }
        let order = in_order(path, &spec.children)?;
        let mut planned: Vec<Option<Planned>> = Vec::with_capacity(spec.children.len());
        for child in spec.children {
            let child = Planned::at(path, child, &supervision, level, registered)?;
            planned.push(Some(child));
        }
        let children = order
            .into_iter()
            .filter_map(|position| planned[position].take())
            .collect();
        Ok(Self {
            supervision,
            children,
        })
    }
}

impl Planned {
    /// Checks one child of a supervisor that is under way, at whose path nobody looks.
    pub(super) fn check(child: Declared, supervision: &Supervision) -> Result<Self, SpecError> {
        check_name("", 0, &child.name)?;
        if let Some(after) = child.after.first() {
            // Its siblings have been started, whoever they are.
            return Err(SpecError::UnknownDependency {
                path: child.name.to_string(),
                after: after.to_string(),
                siblings: Vec::new(),
            });
        }
        Self::at("", child, supervision, 1, &mut HashMap::new())
    }

    fn at(
        supervisor: &str,
        child: Declared,
        supervision: &Supervision,
        level: usize,
        registered: &mut Registered,
    ) -> Result<Self, SpecError> {
        let path = join(supervisor, &child.name);
        let mut options = child.options;
        check_options(&path, &options, supervision)?;
        if let Some(name) = &child.registered {
            check_registered(&path, name, registered)?;
        }
        let start: Arc<dyn StartChild> = match child.make {
            Make::Leaf(start) => start,
            Make::Nested(spec) => {
                options.supervision = spec.supervision;
                let plan = Plan::at(&path, *spec, level + 1, registered)?;
                Arc::new(Nested(SupervisorPlan(Arc::new(plan))))
            }
        };
        Ok(Self {
            name: child.name,
            options,
            registered: child.registered,
            actor: child.actor,
            start,
        })
    }
}

fn check_name(supervisor: &str, position: usize, name: &str) -> Result<(), SpecError> {
    let allowed = if name.is_empty() || name.len() > NAME_BYTES_MAX {
        "1 to 255 bytes long"
    } else if name.contains('/') {
        "without '/', which parts the names of a path"
    } else if name.contains(char::is_control) {
        "without control characters, which would garble logs and trees"
    } else {
        return Ok(());
    };
    Err(SpecError::Name {
        supervisor: supervisor.to_owned(),
        position,
        name: name.to_owned(),
        allowed,
    })
}

/// The names for the system's registry in one tree, and whose they are.
type Registered = HashMap<Arc<str>, String>;

fn check_registered(
    path: &str,
    name: &Arc<str>,
    registered: &mut Registered,
) -> Result<(), SpecError> {
    let refuse = |value: String, allowed| SpecError::Option {
        path: path.to_owned(),
        option: InvalidOption::new("registered", value, allowed),
    };
    if naming::check(name).is_err() {
        let allowed = "a name of 1 to 255 bytes without control characters";
        return Err(refuse(format!("{name:?}"), allowed));
    }
    match registered.insert(name.clone(), path.to_owned()) {
        None => Ok(()),
        Some(other) => Err(refuse(
            format!("{name:?}, which is also the name of {other}"),
            "the name of one actor in the system",
        )),
    }
}

fn in_order(supervisor: &str, children: &[Declared]) -> Result<Vec<usize>, SpecError> {
    let wishes: Vec<Wish<'_>> = children
        .iter()
        .map(|child| Wish {
            name: &child.name,
            after: child.after.iter().map(|after| &**after).collect(),
        })
        .collect();
    let name = |child: usize| children[child].name.to_string();
    order(&wishes).map_err(|disorder| match disorder {
        Disorder::Duplicate(first, second) => SpecError::DuplicateName {
            path: join(supervisor, &children[first].name),
            positions: (first, second),
        },
        Disorder::Unknown { child, after } => SpecError::UnknownDependency {
            path: join(supervisor, &children[child].name),
            after,
            siblings: (0..children.len())
                .filter(|each| *each != child)
                .map(name)
                .collect(),
        },
        Disorder::Cycle(cycle) => SpecError::DependencyCycle {
            supervisor: supervisor.to_owned(),
            cycle: cycle.into_iter().map(name).collect(),
        },
    })
}

fn check_options(
    path: &str,
    options: &ActorOptions,
    supervision: &Supervision,
) -> Result<(), SpecError> {
    let refuse = |option| SpecError::Option {
        path: path.to_owned(),
        option,
    };
    match options.check() {
        Ok(()) => {}
        Err(SpawnError::Option(option)) => return Err(refuse(option)),
        Err(SpawnError::MailboxCapacity { capacity, max }) => {
            return Err(SpecError::MailboxCapacity {
                path: path.to_owned(),
                capacity,
                max,
            });
        }
        Err(other) => {
            let wrong = InvalidOption::new("options", other, "what a spawn accepts");
            return Err(refuse(wrong));
        }
    }
    if options.significant && options.restart == Restart::Permanent {
        return Err(refuse(InvalidOption::new(
            "significant",
            "true for a permanent child",
            "false, or the child transient or temporary: a permanent one never ends by itself",
        )));
    }
    if options.significant && supervision.auto_shutdown == AutoShutdown::Never {
        return Err(refuse(InvalidOption::new(
            "significant",
            "true under a supervisor whose auto_shutdown is Never",
            "false, or the supervisor's auto_shutdown Any or All",
        )));
    }
    Ok(())
}

fn join(supervisor: &str, child: &str) -> String {
    if supervisor.is_empty() {
        child.to_owned()
    } else {
        format!("{supervisor}/{child}")
    }
}

impl fmt::Debug for SupervisorPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorPlan")
            .field("supervision", &self.supervision)
            .field("children", &self.children)
            .finish()
    }
}

impl fmt::Debug for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Planned")
            .field("name", &self.name)
            .field("actor", &self.actor.name)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

//! Declaring: a supervisor, its children, their options. Values only; nothing is looked at before
//! `plan` checks it and nothing starts before the whole tree was found right.

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::Supervisor;
use super::error::SpecError;
use super::plan::{Leaf, Plan, StartChild, SupervisorPlan};
use crate::context::actor::Actor;
use crate::context::options::ActorOptions;
use crate::locality::Placement;
use crate::mailbox::Mailbox;
use crate::supervision::{
    AutoShutdown, Backoff, OnPanic, Restart, Shutdown, Strategy, Supervision,
};

/// A supervisor as it is declared: its strategy, its limits, its children in the order they start.
///
/// Made by [`Supervisor::one_for_one`] and its siblings. Spawn it like any actor, which checks the whole
/// tree first, or [`build`](Self::build) it to check now and spawn later, or often.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::prelude::*;
/// use actor_core::{ChildSpec, Supervisor};
///
/// struct Db;
/// impl Actor for Db {}
/// struct Cache;
/// impl Actor for Cache {}
/// struct Conn;
/// impl Actor for Conn {}
///
/// let shop = Supervisor::one_for_all()
///     .intensity(3)
///     .period(Duration::from_secs(10))
///     .child("db", || Db)
///     .child_with(
///         ChildSpec::new("cache", || Cache)
///             .restart(Restart::Permanent)
///             .backoff(Backoff::new(Duration::from_millis(10), Duration::from_secs(5)))
///             .after("db"),
///     )
///     .supervisor(
///         "pool",
///         Supervisor::one_for_one().child("conn-1", || Conn).child("conn-2", || Conn),
///     );
///
/// let system = ActorSystem::new()?;
/// let shop = system.actor(shop).name("shop").spawn()?;
/// let db: ActorRef<Db> = shop.child("db").blocking()??;
/// assert!(db.is_alive());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing starts before it is spawned"]
pub struct SupervisorSpec {
    pub(super) supervision: Supervision,
    pub(super) children: Vec<Declared>,
}

/// One child as it is declared.
///
/// Starts from [`Actor::options`] of its type, as a spawn does.
#[must_use = "a child is declared by child_with, or started by start_child"]
pub struct ChildSpec<A> {
    pub(super) declared: Declared,
    actor: PhantomData<fn() -> A>,
}

/// A [`ChildSpec`] without its type.
pub(super) struct Declared {
    pub(super) name: Arc<str>,
    pub(super) options: ActorOptions,
    pub(super) after: Vec<Arc<str>>,
    pub(super) registered: Option<Arc<str>>,
    pub(super) actor: Identity,
    pub(super) make: Make,
}

/// What type a child is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    pub(super) id: TypeId,
    pub(super) name: &'static str,
}

/// Where a child comes from.
pub(super) enum Make {
    Leaf(Arc<dyn StartChild>),
    Nested(Box<SupervisorSpec>),
}

impl Supervisor {
    /// A child that fails is restarted alone.
    pub const fn one_for_one() -> SupervisorSpec {
        SupervisorSpec::of(Strategy::OneForOne)
    }

    /// With a child that fails all are restarted.
    pub const fn one_for_all() -> SupervisorSpec {
        SupervisorSpec::of(Strategy::OneForAll)
    }

    /// With a child that fails those that were started after it are restarted.
    pub const fn rest_for_one() -> SupervisorSpec {
        SupervisorSpec::of(Strategy::RestForOne)
    }

    /// For many children of one kind that come and go by
    /// [`start_child`](crate::ActorRef::start_child): a child that fails is restarted alone, one that
    /// was terminated is forgotten, all are stopped at once.
    pub const fn simple_one_for_one() -> SupervisorSpec {
        SupervisorSpec::of(Strategy::SimpleOneForOne)
    }
}

impl SupervisorSpec {
    const fn of(strategy: Strategy) -> Self {
        Self {
            supervision: Supervision::of(strategy),
            children: Vec::new(),
        }
    }

    /// How many restarts within the period are carried out; default 3. One more, and the supervisor
    /// gives up. See [`Supervision::intensity`].
    pub const fn intensity(mut self, restarts: u32) -> Self {
        self.supervision = self.supervision.intensity(restarts);
        self
    }

    /// The window in which restarts are counted; default 5 s. See [`Supervision::period`].
    pub const fn period(mut self, window: Duration) -> Self {
        self.supervision = self.supervision.period(window);
        self
    }

    /// Whether the supervisor ends itself with its significant children; default never.
    pub const fn auto_shutdown(mut self, when: AutoShutdown) -> Self {
        self.supervision = self.supervision.auto_shutdown(when);
        self
    }

    /// One more child, with the options of its type. `make` is called for each of its lives.
    pub fn child<A, F>(self, name: impl AsRef<str>, make: F) -> Self
    where
        A: Actor,
        F: Fn() -> A + Send + Sync + 'static,
    {
        self.child_with(ChildSpec::new(name, make))
    }

    /// One more child, with options.
    pub fn child_with<A: Actor>(mut self, child: ChildSpec<A>) -> Self {
        self.children.push(child.declared);
        self
    }

    /// One more child that is a supervisor itself.
    pub fn supervisor(self, name: impl AsRef<str>, spec: Self) -> Self {
        self.child_with(ChildSpec::supervisor(name, spec))
    }

    /// Checks the whole tree.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with the path of the child and the field; see [`SpecError`].
    pub fn build(self) -> Result<SupervisorPlan, SpecError> {
        Plan::check(self).map(|plan| SupervisorPlan(Arc::new(plan)))
    }
}

impl<A: Actor> ChildSpec<A> {
    /// A child with the options of its type. `make` is called on the child's own worker, for each of
    /// its lives.
    ///
    /// The name is its own among its siblings, and its label in logs and trees: 1 to 255 bytes, no `/`
    /// and no control characters.
    pub fn new<F>(name: impl AsRef<str>, make: F) -> Self
    where
        F: Fn() -> A + Send + Sync + 'static,
    {
        Self::of(name.as_ref(), Make::Leaf(Arc::new(Leaf(Arc::new(make)))))
    }

    fn of(name: &str, make: Make) -> Self {
        Self {
            declared: Declared {
                name: name.into(),
                options: A::options(),
                after: Vec::new(),
                registered: None,
                actor: Identity {
                    id: TypeId::of::<A>(),
                    name: std::any::type_name::<A>(),
                },
                make,
            },
            actor: PhantomData,
        }
    }

    /// Whether it is started again when it ends.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.declared.options.restart = restart;
        self
    }

    /// The wait before a restart.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.declared.options.backoff = backoff;
        self
    }

    /// How long its end may take when its supervisor stops it.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.declared.options.shutdown = shutdown;
        self
    }

    /// Its end counts for the supervisor's [`auto_shutdown`](SupervisorSpec::auto_shutdown), which must
    /// not be `Never`; and it must not be permanent.
    pub fn significant(mut self) -> Self {
        self.declared.options.significant = true;
        self
    }

    /// What a panic in a handler means.
    pub fn on_panic(mut self, on_panic: OnPanic) -> Self {
        self.declared.options.on_panic = on_panic;
        self
    }

    /// How many messages may wait, and what happens then.
    pub fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.declared.options.mailbox = mailbox;
        self
    }

    /// Where it lives. By default on the NUMA node of its supervisor.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.declared.options.placement = placement;
        self
    }

    /// How it supervises children of its own. For a nested supervisor its own declaration counts.
    pub fn supervision(mut self, supervision: Supervision) -> Self {
        self.declared.options.supervision = supervision;
        self
    }

    /// A name in the system's registry, beside that among its siblings; see
    /// [`SpawnBuilder::registered`](crate::SpawnBuilder::registered).
    pub fn registered(mut self, name: impl AsRef<str>) -> Self {
        self.declared.registered = Some(name.as_ref().into());
        self
    }

    /// Starts it after that sibling is up, wherever the two are declared. May be said several times.
    ///
    /// It is about the order at the start, in a group restart and, the other way round, at the end. It
    /// is not needed after a sibling that is declared earlier: children start one after the other.
    pub fn after(mut self, sibling: impl AsRef<str>) -> Self {
        self.declared.after.push(sibling.as_ref().into());
        self
    }
}

impl ChildSpec<Supervisor> {
    /// A supervisor as a child.
    pub fn supervisor(name: impl AsRef<str>, spec: SupervisorSpec) -> Self {
        Self::of(name.as_ref(), Make::Nested(Box::new(spec)))
    }
}

impl<A> fmt::Debug for ChildSpec<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.declared.fmt(f)
    }
}

impl fmt::Debug for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut child = f.debug_struct("ChildSpec");
        child
            .field("name", &self.name)
            .field("actor", &self.actor.name)
            .field("options", &self.options)
            .field("after", &self.after);
        if let Make::Nested(spec) = &self.make {
            child.field("supervisor", spec);
        }
        child.finish_non_exhaustive()
    }
}

//! How an actor comes to life.

use std::marker::PhantomData;
use std::sync::Arc;

use super::actor::Actor;
use super::actor_ref::ActorRef;
use super::harness::Typed;
use super::hook_spans;
use super::naming;
use super::options::{ActorOptions, SpawnError};
use super::placement::{self, Wish};
use crate::cell::{
    self, ActorVtable, Birth, CellRef, Factory, Kind, Origin, RestartPolicy, Runtime, SpawnFailure,
};
use crate::locality::Placement;
use crate::mailbox::Mailbox;
use crate::scheduler::NoBooth;
use crate::supervision::{
    AutoShutdown, Backoff, InvalidOption, OnPanic, Restart, Shutdown, Supervision,
};

/// What an actor can be made from: a value, or a closure that builds one.
///
/// A value is moved in and cannot be rebuilt: such an actor is never restarted. A closure
/// (`FnMut() -> A`) is called on the actor's own worker, at the first start and at each restart, so that
/// its memory is touched first where it will live.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither an actor nor a closure that builds one",
    note = "pass a value whose type implements `Actor`, or `|| MyActor {{ .. }}` (FnMut() -> MyActor + Send + 'static)"
)]
pub trait IntoActor<How> {
    /// The actor's type.
    type Actor: Actor;

    #[doc(hidden)]
    fn into_source(self) -> Source<Self::Actor>;

    /// What the spawn begins with.
    #[doc(hidden)]
    fn options_to_spawn_with(&self) -> ActorOptions {
        Self::Actor::options()
    }
}

/// Marker: made from a value.
#[derive(Debug)]
pub struct ByValue;

/// Marker: made by a closure.
#[derive(Debug)]
pub struct ByFactory;

#[doc(hidden)]
pub enum Source<A> {
    Value(A),
    Factory(Factory),
    /// A declaration that was found wrong.
    Refused(SpawnError),
}

impl<A> std::fmt::Debug for Source<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Value(_) => "Value",
            Self::Factory(_) => "Factory",
            Self::Refused(_) => "Refused",
        })
    }
}

impl<A: Actor> IntoActor<ByValue> for A {
    type Actor = A;

    fn into_source(self) -> Source<A> {
        Source::Value(self)
    }
}

impl<A, F> IntoActor<ByFactory> for F
where
    A: Actor,
    F: FnMut() -> A + Send + 'static,
{
    type Actor = A;

    fn into_source(mut self) -> Source<A> {
        Source::Factory(Box::new(move |state| {
            let actor = self();
            // SAFETY: the cell calls this with the block it allocated for `A`, which is vacant.
            unsafe { state.cast::<A>().write(actor) };
        }))
    }
}

/// Where the new actor hangs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parent<'a> {
    Root(&'static Runtime),
    /// The owner of the cell is asking.
    Actor(CellRef, PhantomData<&'a mut ()>),
}

/// An actor about to be spawned: change its options, then [`spawn`](Self::spawn).
///
/// Made by `ActorSystem::actor` and [`ActorContext::actor`](crate::ActorContext::actor). Starts from
/// [`Actor::options`].
#[derive(Debug)]
#[must_use = "nothing happens before .spawn()"]
pub struct SpawnBuilder<'a, A: Actor> {
    parent: Parent<'a>,
    source: Source<A>,
    options: ActorOptions,
    name: Option<Arc<str>>,
    registered: Option<Arc<str>>,
    held: bool,
    vtable: &'static ActorVtable,
}

pub(crate) fn builder<'a, How, I: IntoActor<How>>(
    parent: Parent<'a>,
    actor: I,
) -> SpawnBuilder<'a, I::Actor> {
    SpawnBuilder {
        parent,
        options: actor.options_to_spawn_with(),
        source: actor.into_source(),
        name: None,
        registered: None,
        held: false,
        vtable: &Typed::<I::Actor>::VTABLE,
    }
}

impl<A: Actor> SpawnBuilder<'_, A> {
    /// A label for logs and reports. Need not be unique, and nothing is looked up by it.
    pub fn name(mut self, name: impl AsRef<str>) -> Self {
        self.name = Some(name.as_ref().into());
        self
    }

    /// The name under which it is found by `lookup`: its own from before it starts until it ends, over
    /// restarts. Also its label, unless [`name`](Self::name) says another. 1 to
    /// [`NAME_BYTES_MAX`](crate::NAME_BYTES_MAX) bytes without control characters.
    ///
    /// If a live actor holds it already, `spawn` fails with [`SpawnError::AlreadyRegistered`] and
    /// nothing is started.
    pub fn registered(mut self, name: impl AsRef<str>) -> Self {
        self.registered = Some(name.as_ref().into());
        self
    }

    /// How many messages may wait, and what happens then.
    pub fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.options.mailbox = mailbox;
        self
    }

    /// Whether it is started again when it ends.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.options.restart = restart;
        self
    }

    /// The wait before a restart.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.options.backoff = backoff;
        self
    }

    /// Where it lives.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.options.placement = placement;
        self
    }

    /// Whether it gets a thread of its own, on the NUMA node that its placement says. Default: no;
    /// [`Placement::Dedicated`] says the same for the spawner's NUMA node.
    ///
    /// For actors that compute for long, or must answer without waiting behind others. All of its turns run
    /// on that thread, through restarts, and nothing else does; its children are ordinary actors of the
    /// same NUMA node. The thread may use any CPU of its NUMA node, and competes there with the workers:
    /// leave it one ([`SystemBuilder::workers`](crate::SystemBuilder::workers)) if it is to be undisturbed.
    /// With nothing to do it spins for 20 us, then sleeps in the kernel. The watchdog leaves it alone; it
    /// ends with the actor. Such an actor cannot be moved, and in a simulation it is like any other.
    ///
    /// The spawn is refused with [`SpawnError::DedicatedThreads`] if the NUMA node has no thread left
    /// ([`SystemBuilder::dedicated_threads`](crate::SystemBuilder::dedicated_threads)), and with
    /// [`SpawnError::Option`] if this says `false` and the placement is `Dedicated`.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// struct Matcher;
    /// impl Actor for Matcher {}
    ///
    /// let system = ActorSystem::new()?;
    /// let node = system.numa_nodes()[0];
    /// let matcher = system
    ///     .actor(Matcher)
    ///     .placement(Placement::Node(node))
    ///     .dedicated(true)
    ///     .spawn()?;
    /// assert_eq!(system.stats().dedicated[0].actor, matcher.id());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dedicated(mut self, dedicated: bool) -> Self {
        self.options.dedicated = Some(dedicated);
        self
    }

    /// Where those below it live that do not say so themselves: its children, and theirs. Default: where
    /// their parents do. A nearer ancestor's word counts more.
    ///
    /// Does not place the actor itself. Checked at each spawn below: a NUMA node without workers is refused
    /// there.
    pub fn children_placement(mut self, placement: Placement) -> Self {
        self.options.children_placement = Some(placement);
        self
    }

    /// How it supervises its children.
    pub fn supervision(mut self, supervision: Supervision) -> Self {
        self.options.supervision = supervision;
        self
    }

    /// How long its end may take when its supervisor stops it.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.options.shutdown = shutdown;
        self
    }

    /// What a panic in a handler means.
    pub fn on_panic(mut self, on_panic: OnPanic) -> Self {
        self.options.on_panic = on_panic;
        self
    }

    /// Whether its end counts for the auto-shutdown of its supervisor; see
    /// [`ActorOptions::significant`].
    pub fn significant(mut self, significant: bool) -> Self {
        self.options.significant = significant;
        self
    }

    /// Whether a broken link is told rather than shared; see [`ActorOptions::trap_links`].
    pub fn trap_links(mut self, trap: bool) -> Self {
        self.options.trap_links = trap;
        self
    }

    /// All options at once.
    pub(super) fn options(mut self, options: ActorOptions) -> Self {
        self.options = options;
        self
    }

    /// It starts when its elder siblings are up that were spawned so, too, and this actor's `started`
    /// is over. Under an actor only.
    pub(super) fn held(mut self) -> Self {
        self.held = true;
        self
    }

    /// With another table than its type's.
    pub(super) fn proxied_by(mut self, vtable: &'static ActorVtable) -> Self {
        self.vtable = vtable;
        self
    }

    /// How many messages it may put aside; see [`ActorOptions::stash`].
    pub fn stash(mut self, messages: usize) -> Self {
        self.options.stash = messages;
        self
    }

    /// Spawns it. Messages can be sent at once; they wait until `started` is done.
    ///
    /// # Errors
    ///
    /// See [`SpawnError`]; a bad option names the value and what is allowed.
    pub fn spawn(self) -> Result<ActorRef<A>, SpawnError> {
        // The declaration's own words name the child; those of the options do not.
        let source = match self.source {
            Source::Refused(error) => return Err(error),
            source => source,
        };
        self.options.check()?;
        if let Some(name) = &self.registered {
            naming::check(name)?;
        }
        let runtime = match self.parent {
            Parent::Root(runtime) => runtime,
            Parent::Actor(cell, _) => cell.runtime(),
        };
        let wish = Wish::of(self.parent, &self.options);
        let numa_index = placement::place(self.parent, runtime, wish.placement)?;
        placement::check_subtree(runtime, self.options.children_placement)?;
        let birth = Birth {
            vtable: self.vtable,
            numa_index,
            dedicated: wish.dedicated,
            children_placement: wish.children,
            mailbox: self.options.mailbox,
            restart: match self.options.restart {
                Restart::Permanent => RestartPolicy::Permanent,
                Restart::Transient => RestartPolicy::Transient,
                Restart::Temporary => RestartPolicy::Temporary,
            },
            backoff: self.options.backoff,
            supervision: self.options.supervision,
            name: self.name.or_else(|| self.registered.clone()),
            trap_links: self.options.trap_links,
            held: self.held,
            stash: self.options.stash,
            registered: self.registered.clone().map(|name| (name, Kind::of::<A>())),
            shutdown: self.options.shutdown,
            on_panic: self.options.on_panic,
            significant: self.options.significant,
            cause: hook_spans::cause(),
        };
        if self.options.significant {
            let never = match self.parent {
                Parent::Root(_) => true,
                // SAFETY: `Parent::Actor` is made by the owner of that cell only.
                Parent::Actor(cell, _) => unsafe { cell.auto_shutdown() == AutoShutdown::Never },
            };
            if never {
                return Err(SpawnError::Option(InvalidOption::new(
                    "significant",
                    "true under a supervisor whose auto_shutdown is Never",
                    "false, or the supervisor's auto_shutdown Any or All",
                )));
            }
        }
        let parent = match self.parent {
            Parent::Root(_) => None,
            Parent::Actor(cell, _) => Some(cell),
        };
        let spawned = match source {
            Source::Refused(error) => return Err(error),
            Source::Factory(factory) => {
                // SAFETY: `Parent::Actor` is made by the owner of that cell only; the factory writes an
                // `A`, as the vtable says.
                unsafe { cell::spawn(runtime, parent, birth, Origin::Factory(factory)) }
            }
            Source::Value(value) => {
                let mut value = Some(value);
                let mut write = |state: *mut u8| {
                    if let Some(value) = value.take() {
                        // SAFETY: the block was allocated for the vtable's layout, an `A`'s.
                        unsafe { state.cast::<A>().write(value) };
                    }
                };
                // SAFETY: as above.
                unsafe { cell::spawn(runtime, parent, birth, Origin::Value(&mut write)) }
            }
        };
        match spawned {
            Ok(id) => Ok(ActorRef::new(id)),
            Err(failure) => Err(explain(failure, self.registered)),
        }
    }
}

/// A failure to spawn in the user's words; `registered` is the name that was to be held.
pub(super) fn explain(failure: SpawnFailure, registered: Option<Arc<str>>) -> SpawnError {
    match failure {
        SpawnFailure::Closed => SpawnError::ShuttingDown,
        SpawnFailure::ParentStopping => SpawnError::ParentStopping,
        SpawnFailure::NameTaken(holder) => SpawnError::AlreadyRegistered {
            name: registered.unwrap_or_default(),
            holder,
        },
        SpawnFailure::NoCells => SpawnError::TooManyActors,
        SpawnFailure::NoThread(_, NoBooth::Stopping) => SpawnError::ShuttingDown,
        SpawnFailure::NoThread(_, NoBooth::NoThread(reason)) => SpawnError::NoThread { reason },
        SpawnFailure::NoThread(numa_node, NoBooth::Taken { limit }) => {
            SpawnError::DedicatedThreads { numa_node, limit }
        }
    }
}

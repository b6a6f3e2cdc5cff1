//! What can be said about an actor, per type and per spawn.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::naming::InvalidName;
use super::supervisor::SpecError;
use crate::cell::STASH_CAPACITY;
use crate::id::{ActorId, NumaNodeId};
use crate::locality::Placement;
use crate::mailbox::Mailbox;
use crate::supervision::{Backoff, InvalidOption, OnPanic, Restart, Shutdown, Supervision};

/// Mailbox, restart policy, placement and supervision of an actor.
///
/// Say it per type by [`Actor::options`](crate::Actor::options) (or `#[actor(..)]`), and per spawn on
/// the [`SpawnBuilder`](crate::SpawnBuilder), which wins.
///
/// | option | default | touch it when |
/// |---|---|---|
/// | `mailbox` | 1024 messages, senders wait | bursts are larger, or waiting is wrong |
/// | `restart` | transient: after a panic, not after a normal end | |
/// | `backoff` | none: restarted at once | the failure is likely to repeat for a while |
/// | `placement` | the spawner's NUMA node; spread, if spawned from outside | actors do not talk to their spawner |
/// | `dedicated` | no: it shares the workers | it computes for long, or must not wait behind others |
/// | `children_placement` | where their parents live | a subtree is to be spread, or to live elsewhere |
/// | `supervision` | one_for_one, 3 restarts in 5 s | children fail often or rarely |
/// | `shutdown` | 5 s, then cut off | its `stopped` hook takes longer, or is not worth waiting for |
/// | `on_panic` | restart | the state survives a panic and is dear |
/// | `significant` | no | the supervisor is pointless without it |
/// | `trap_links` | no: a link's failure is shared | the actor tends to others that fail |
#[derive(Clone, Debug, PartialEq)]
pub struct ActorOptions {
    pub(crate) mailbox: Mailbox,
    pub(crate) restart: Restart,
    pub(crate) backoff: Backoff,
    pub(crate) placement: Placement,
    /// What was said of it, if anything.
    pub(crate) dedicated: Option<bool>,
    pub(crate) children_placement: Option<Placement>,
    pub(crate) supervision: Supervision,
    pub(crate) shutdown: Shutdown,
    pub(crate) on_panic: OnPanic,
    pub(crate) significant: bool,
    pub(crate) trap_links: bool,
    pub(crate) stash: usize,
}

/// The most messages that an actor may be allowed to put aside.
const STASH_MAX: usize = 1_000_000;

impl ActorOptions {
    /// The defaults.
    pub const fn new() -> Self {
        Self {
            mailbox: Mailbox::bounded(Mailbox::DEFAULT_CAPACITY),
            restart: Restart::Transient,
            backoff: Backoff::none(),
            placement: Placement::Inherit,
            dedicated: None,
            children_placement: None,
            supervision: Supervision::one_for_one(),
            shutdown: Shutdown::DEFAULT,
            on_panic: OnPanic::Restart,
            significant: false,
            trap_links: false,
            stash: STASH_CAPACITY,
        }
    }

    /// How many messages may wait, and what happens then.
    #[must_use]
    pub const fn mailbox(mut self, mailbox: Mailbox) -> Self {
        self.mailbox = mailbox;
        self
    }

    /// Whether the actor is started again when it ends. Needs a factory: an actor spawned by value
    /// cannot be rebuilt and stops instead, with a warning.
    #[must_use]
    pub const fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// The wait before a restart.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Where it lives.
    #[must_use]
    pub const fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Whether it gets a thread of its own; see
    /// [`SpawnBuilder::dedicated`](crate::SpawnBuilder::dedicated). Default: no.
    #[must_use]
    pub const fn dedicated(mut self, dedicated: bool) -> Self {
        self.dedicated = Some(dedicated);
        self
    }

    /// Where those below it live that do not say so themselves; see
    /// [`SpawnBuilder::children_placement`](crate::SpawnBuilder::children_placement).
    #[must_use]
    pub const fn children_placement(mut self, placement: Placement) -> Self {
        self.children_placement = Some(placement);
        self
    }

    /// How it supervises its children.
    #[must_use]
    pub const fn supervision(mut self, supervision: Supervision) -> Self {
        self.supervision = supervision;
        self
    }

    /// How long its end may take when its supervisor stops it; default 5 s.
    #[must_use]
    pub const fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// What a panic in a handler means; default a failure.
    #[must_use]
    pub const fn on_panic(mut self, on_panic: OnPanic) -> Self {
        self.on_panic = on_panic;
        self
    }

    /// Whether its end counts for the [`AutoShutdown`](crate::AutoShutdown) of its supervisor; default
    /// no. Such a child must be transient or temporary, and its supervisor's auto-shutdown not `Never`:
    /// the spawn is refused otherwise.
    #[must_use]
    pub const fn significant(mut self, significant: bool) -> Self {
        self.significant = significant;
        self
    }

    /// Whether a broken link is told to the actor's `terminated` hook rather than ending its life; see
    /// [`ActorContext::link`](crate::ActorContext::link). Default: no.
    #[must_use]
    pub const fn trap_links(mut self, trap: bool) -> Self {
        self.trap_links = trap;
        self
    }

    /// How many messages the actor may put aside ([`ActorContext::stash`](crate::ActorContext::stash),
    /// [`Handler::accepts`](crate::Handler::accepts)): 1000 by default, at most a million.
    #[must_use]
    pub const fn stash(mut self, messages: usize) -> Self {
        self.stash = messages;
        self
    }

    /// Refuses what cannot be.
    pub(crate) fn check(&self) -> Result<(), SpawnError> {
        if let Some(capacity) = self.mailbox.capacity() {
            let max = self.mailbox.max_capacity();
            if capacity == 0 || capacity > max {
                return Err(SpawnError::MailboxCapacity { capacity, max });
            }
        }
        if self.stash > STASH_MAX {
            return Err(SpawnError::Option(InvalidOption::new(
                "stash",
                self.stash,
                "0 to 1,000,000 messages",
            )));
        }
        if self.placement == Placement::Dedicated && self.dedicated == Some(false) {
            return Err(SpawnError::Option(InvalidOption::new(
                "dedicated",
                "false beside Placement::Dedicated, which asks for a thread of its own",
                "true, or the placement another one: Placement::Inherit is the same NUMA node on its workers",
            )));
        }
        self.backoff.check()?;
        self.supervision.check()?;
        self.shutdown.check()?;
        if self.significant && self.restart == Restart::Permanent {
            return Err(SpawnError::Option(InvalidOption::new(
                "significant",
                "true for a permanent child",
                "false, or the child transient or temporary: a permanent one never ends by itself",
            )));
        }
        Ok(())
    }
}

impl Default for ActorOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Why an actor could not be spawned. Its state (or factory) has been dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// The mailbox can hold nothing, or more than the runtime can count.
    MailboxCapacity {
        /// What was asked for.
        capacity: usize,
        /// The most that this overflow policy allows.
        max: usize,
    },
    /// A restart or supervision option is out of range.
    Option(InvalidOption),
    /// The NUMA node does not exist or has no workers.
    NoSuchNumaNode {
        /// What was asked for.
        asked: NumaNodeId,
        /// The NUMA nodes that have workers.
        have_workers: Vec<NumaNodeId>,
    },
    /// The system is shutting down or has shut down.
    ShuttingDown,
    /// The actor that was to be the parent is stopping.
    ParentStopping,
    /// Another live actor holds the name; nothing was started.
    AlreadyRegistered {
        /// The name.
        name: Arc<str>,
        /// Who has it.
        holder: ActorId,
    },
    /// The declared tree is wrong; the path of the child and the field are named.
    Spec(SpecError),
    /// The text given to `registered` is no name.
    Name(InvalidName),
    /// The address space for actors is used up.
    TooManyActors,
    /// No thread of its own for the actor: those of that NUMA node are all taken.
    DedicatedThreads {
        /// Where the actor was to live.
        numa_node: NumaNodeId,
        /// How many there are.
        limit: usize,
    },
    /// The operating system refused a thread for the actor.
    NoThread {
        /// What it said.
        reason: io::ErrorKind,
    },
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MailboxCapacity { capacity, max } => write!(
                f,
                "a mailbox for {capacity} messages is impossible: 1 to {max} are allowed, or \
                 Mailbox::unbounded()"
            ),
            Self::Option(option) => option.fmt(f),
            Self::NoSuchNumaNode {
                asked,
                have_workers,
            } => {
                write!(f, "not spawned: ")?;
                no_workers(f, *asked, have_workers)?;
                f.write_str(", or leave the choice to Placement::Spread")
            }
            Self::ShuttingDown => f.write_str("not spawned: the actor system is shutting down"),
            Self::ParentStopping => f.write_str("not spawned: the parent actor is stopping"),
            Self::AlreadyRegistered { name, holder } => write!(
                f,
                "not spawned: the name {name:?} is held by {holder}, which is alive"
            ),
            Self::Spec(spec) => spec.fmt(f),
            Self::Name(name) => name.fmt(f),
            Self::TooManyActors => f.write_str(
                "not spawned: the address space for actors is used up (is `ulimit -v` set?)",
            ),
            Self::DedicatedThreads { numa_node, limit } => write!(
                f,
                "not spawned: all {limit} dedicated threads of {numa_node} are taken; \
                 SystemBuilder::dedicated_threads allows more, another placement goes elsewhere"
            ),
            Self::NoThread { reason } => write!(
                f,
                "not spawned: the operating system refused the actor's thread: {reason}"
            ),
        }
    }
}

/// Says of a NUMA node that it is no home, and which are.
pub(super) fn no_workers(
    f: &mut fmt::Formatter<'_>,
    asked: NumaNodeId,
    have_workers: &[NumaNodeId],
) -> fmt::Result {
    write!(
        f,
        "no workers on {asked}, which does not exist or has no CPU that this system uses; there are \
         workers on"
    )?;
    for (i, node) in have_workers.iter().enumerate() {
        write!(f, "{} {node}", if i == 0 { "" } else { "," })?;
    }
    f.write_str(": take one of these")
}

impl std::error::Error for SpawnError {}

impl From<SpecError> for SpawnError {
    fn from(spec: SpecError) -> Self {
        Self::Spec(spec)
    }
}

impl From<InvalidName> for SpawnError {
    fn from(name: InvalidName) -> Self {
        Self::Name(name)
    }
}

impl From<InvalidOption> for SpawnError {
    fn from(option: InvalidOption) -> Self {
        Self::Option(option)
    }
}

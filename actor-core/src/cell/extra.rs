//! What few actors need: children, watchers, a factory, a name. Boxed on first use, at the actor's home.

use std::alloc::Layout;
use std::any::Any;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use super::family::Family;
use super::few::Few;
use super::header::{CellRef, Sibling};
use super::links::Numbers;
use super::monitor::EndSlot;
use super::reason::StopReason;
use super::recent::Culprit;
use super::stash::Stash;
use super::tasks::TaskSet;
use super::timers::TimerTable;
use super::watch::OnEnd;
use crate::clock::Tick;
use crate::contain::contain;
use crate::id::ActorId;
use crate::locality::Placement;
use crate::mailbox::Mailbox;
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};
use crate::scheduler::timer::TimerKey;
use crate::supervision::{Backoff, BackoffState, RestartWindow, Supervision};

/// Builds the state in its block: at the first start and at each restart. May panic.
pub(crate) type Factory = Box<dyn FnMut(*mut u8) + Send>;

/// The context that a hook runs in, because a message of a recorded trace is behind it: of the floor above.
pub(crate) type Cause = Box<dyn Any + Send + Sync>;

pub(crate) struct Extra {
    /// That it lies in: its actor may have moved since.
    arena: u8,
    pub(super) name: Option<Arc<str>>,
    /// The names this actor holds in the registry, to be swept out at its end.
    pub(super) names: Vec<Arc<str>>,
    /// `None`: spawned by value, cannot be restarted.
    pub(super) factory: Option<Factory>,
    pub(super) backoff: Backoff,
    pub(super) backoff_state: BackoffState,
    pub(super) restart_at: Tick,
    /// The timer that ends the back-off.
    pub(super) restart_timer: Option<TimerKey>,
    /// After the back-off it reports to its parent instead of starting.
    pub(super) is_preparing: bool,
    pub(super) restarts: u64,
    /// Why the actor is stopping, as far as it is known.
    pub(super) stop_reason: Option<StopReason>,
    /// What has ended this life while its state was lent to another thread.
    pub(super) failure: Option<StopReason>,
    /// What the next hook is a part of.
    pub(super) cause: Option<Cause>,
    /// What this life fails on, if it was no message: of a hook, or of an attached task.
    pub(super) blame: Option<Culprit>,
    /// As it was spawned with, to be spawned again.
    pub(super) mailbox: Mailbox,
    /// At its end it leaves its specification to its parent.
    pub(super) leaves_spec: bool,
    /// Where those below it live that do not say where.
    pub(super) children_placement: Option<Placement>,

    // The parent's side.
    pub(super) first_child: Sibling,
    pub(super) last_child: Sibling,
    pub(super) children: usize,
    pub(super) supervision: Supervision,
    pub(super) window: Option<RestartWindow>,
    /// The restarts of this actor itself, if it is a top-level one: the root counts for each alone.
    pub(super) own_window: Option<RestartWindow>,
    /// Children that are held until those before them are up; see `sequence`.
    pub(super) sequence: VecDeque<CellRef>,
    /// The child that has been told to stop; the next one is told when it is gone.
    pub(super) stopping_child: Option<CellRef>,
    /// The children live on while this actor is between two lives.
    pub(super) keeps_children: bool,
    /// What few parents need.
    pub(super) family: Option<Box<Family>>,

    /// Futures polled between the messages.
    pub(super) tasks: Option<Box<TaskSet>>,

    /// Who wants to hear of this actor's end.
    pub(super) watchers: Few<()>,
    /// Whose end this actor wants to hear of.
    pub(super) watching: Few<OnEnd>,
    /// Futures that wait for this actor's end.
    pub(super) monitors: Vec<Arc<EndSlot>>,
    /// Whose lives this one is linked with.
    pub(super) links: Few<Numbers>,
    /// Broken links whose notices are in the mailbox.
    pub(super) broken: Vec<ActorId>,
    /// A broken link is told, not shared.
    pub(super) trap_links: bool,
    /// The NUMA index that the actor is to move to.
    pub(super) move_to: Option<usize>,
    /// Where the state block lies, if not in the arena of the actor's home.
    pub(super) state_arena: Option<u8>,
    /// Overflow bound of a `DropOldest` mailbox.
    pub(super) keep_newest: u32,
    pub(super) stash: Stash,
    /// Made with the first timer.
    pub(super) timers: Option<Box<TimerTable>>,
}

impl Extra {
    const LAYOUT: Layout = Layout::new::<Self>();
    const CLASS: Class = class_for(Self::LAYOUT);

    /// In a block of the actor's home. It stays there when the actor moves.
    pub(super) fn alloc(arena: u8) -> ExtraBox {
        let block = memory::alloc(arena, Self::CLASS, Self::LAYOUT, Purpose::Runtime)
            .expect("the runtime's own blocks are not refused");
        let extra = block.cast::<Self>();
        // SAFETY: a fresh block of this layout.
        unsafe { extra.write(Self::new(arena)) };
        ExtraBox(extra)
    }

    fn new(arena: u8) -> Self {
        Self {
            arena,
            name: None,
            names: Vec::new(),
            factory: None,
            backoff: Backoff::none(),
            backoff_state: BackoffState::default(),
            restart_at: Tick(0),
            restart_timer: None,
            is_preparing: false,
            restarts: 0,
            stop_reason: None,
            failure: None,
            cause: None,
            blame: None,
            mailbox: Mailbox::unbounded(),
            leaves_spec: false,
            children_placement: None,
            first_child: Sibling::NONE,
            last_child: Sibling::NONE,
            children: 0,
            supervision: Supervision::one_for_one(),
            window: None,
            own_window: None,
            sequence: VecDeque::new(),
            stopping_child: None,
            keeps_children: false,
            family: None,
            watchers: Few::new(),
            watching: Few::new(),
            monitors: Vec::new(),
            links: Few::new(),
            broken: Vec::new(),
            trap_links: false,
            tasks: None,
            move_to: None,
            state_arena: None,
            keep_newest: 0,
            stash: Stash::new(),
            timers: None,
        }
    }
}

/// Owns an `Extra`; without it in a cell, as a bare pointer.
pub(super) struct ExtraBox(NonNull<Extra>);

impl ExtraBox {
    pub(super) fn into_raw(self) -> *mut Extra {
        ManuallyDrop::new(self).0.as_ptr()
    }

    /// # Safety
    ///
    /// It came from `into_raw` and nobody else uses it.
    pub(super) unsafe fn from_raw(extra: NonNull<Extra>) -> Self {
        Self(extra)
    }
}

impl Deref for ExtraBox {
    type Target = Extra;

    fn deref(&self) -> &Extra {
        // SAFETY: owned and initialised.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for ExtraBox {
    fn deref_mut(&mut self) -> &mut Extra {
        // SAFETY: as above.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for ExtraBox {
    fn drop(&mut self) {
        let arena = self.arena;
        // A factory holds user values; the block is given back all the same.
        // SAFETY: owned; not looked at again.
        contain(|| unsafe { self.0.drop_in_place() });
        // SAFETY: allocated by `Extra::alloc` from that arena.
        unsafe { memory::free(self.0.cast(), arena, Extra::CLASS, Extra::LAYOUT) };
    }
}

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extra")
            .field("name", &self.name)
            .field("children", &self.children)
            .field("restarts", &self.restarts)
            .finish_non_exhaustive()
    }
}

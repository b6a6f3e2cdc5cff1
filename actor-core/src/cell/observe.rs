//! What the test kit sees of the cells, and where it may strike.
//!
//! The runtime says what happens by [`see`] and lets the kit panic in the place of user code by
//! [`strike`]. Both are empty without the feature `testkit`; with it, and with no simulation on this
//! thread, both are one look at a thread-local flag.
//!
//! The kit is three floors up, so it speaks through [`Observer`], which this floor owns.

use std::ptr::NonNull;

use super::header::CellRef;
use super::reason::StopReason;
use super::runtime::Runtime;
use crate::id::ActorId;
use crate::mailbox::node::Fate;

#[cfg(feature = "testkit")]
use std::cell::{Cell, RefCell};
#[cfg(feature = "testkit")]
use std::rc::Rc;

/// Where user code runs, and so where a test may want it to panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "testkit", non_exhaustive)]
#[cfg_attr(
    not(feature = "testkit"),
    allow(unreachable_pub, reason = "public as part of the test kit")
)]
pub enum Hook {
    /// The closure that builds the actor, at the first start and at each restart.
    Factory,
    /// `Actor::started`.
    Started,
    /// A message's handler, plain or async.
    Handler,
    /// `Actor::stopped`.
    Stopped,
    /// `Actor::terminated`.
    Terminated,
    /// The `Drop` of the actor's state: after its fields are gone, as a `Drop` that panics.
    StateDrop,
    /// The `Drop` of a message that was not handled.
    MessageDrop,
    /// The `Drop` of a reply that nobody took.
    ReplyDrop,
}

/// One thing that happened.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "testkit"),
    allow(dead_code, reason = "nobody looks without the test kit")
)]
pub(crate) enum Event<'a> {
    Spawned {
        actor: ActorId,
        parent: Option<ActorId>,
        actor_type: &'static str,
        name: Option<&'a str>,
    },
    Turn {
        actor: ActorId,
    },
    Handled {
        actor: ActorId,
        message: &'static str,
    },
    Unhandled {
        actor: ActorId,
        message: &'static str,
        fate: Fate,
    },
    Failed {
        actor: ActorId,
        reason: &'a StopReason,
    },
    Restarted {
        actor: ActorId,
    },
    Stopped {
        actor: ActorId,
        reason: &'a StopReason,
    },
    /// A child's word reached the one it takes for its parent.
    FromChild {
        parent: ActorId,
        /// One of these two: an actor and the next one in its cell.
        child: ActorId,
        or: ActorId,
    },
}

/// Where in user code the runtime is.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "testkit"),
    allow(dead_code, reason = "nobody looks without the test kit")
)]
pub(crate) struct Place {
    pub(crate) hook: Hook,
    /// The future was pending before: this is after an await.
    pub(crate) resumed: bool,
    /// Whose code it is, as far as it is known.
    pub(crate) cell: Option<CellRef>,
    /// The message's type, or nothing.
    pub(crate) message: &'static str,
}

/// Who looks on.
#[cfg(feature = "testkit")]
pub(crate) trait Observer {
    /// The system it looks at; it hears of no other.
    fn runtime(&self) -> &'static Runtime;
    fn see(&self, event: Event<'_>);
    /// The text of a panic to raise here, if one is due.
    fn strike(&self, place: Place, runtime: &Runtime) -> Option<String>;
    /// A cell that was freed in this system and may be lived in again; which one, and whether, is a
    /// choice that must be the seed's: a stale reference meets whoever lives there.
    fn kept_cell(&self, arena: u8) -> Option<NonNull<u8>>;
    /// Takes a freed cell in.
    fn keep_cell(&self, cell: NonNull<u8>, arena: u8);
    /// The thread is about to wait for an answer of the runtime's: does all that can be done now.
    fn run_now(&self);
    /// The thread waits for a future: does one thing of what is to be done. `false`: there is nothing,
    /// and nothing will come.
    fn drive(&self) -> bool;
}

#[cfg(feature = "testkit")]
thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static OBSERVER: RefCell<Option<Rc<dyn Observer>>> = const { RefCell::new(None) };
}

/// Sets who looks on from this thread.
#[cfg(feature = "testkit")]
pub(crate) fn set_observer(observer: Option<Rc<dyn Observer>>) {
    WATCHED.set(observer.is_some());
    let before = OBSERVER.with(|slot| std::mem::replace(&mut *slot.borrow_mut(), observer));
    drop(before);
}

/// Who looks on from this thread.
#[cfg(feature = "testkit")]
pub(crate) fn observer() -> Option<Rc<dyn Observer>> {
    if !WATCHED.get() {
        return None;
    }
    OBSERVER
        .try_with(|slot| slot.borrow().clone())
        .ok()
        .flatten()
}

/// Tells the kit, if it looks on.
#[inline(always)]
pub(crate) fn see<'a>(runtime: &Runtime, event: impl FnOnce() -> Event<'a>) {
    #[cfg(feature = "testkit")]
    if WATCHED.get()
        && let Some(observer) = observer()
        && std::ptr::eq(observer.runtime(), runtime)
    {
        observer.see(event());
    }
    #[cfg(not(feature = "testkit"))]
    let _ = (runtime, event);
}

/// Panics if the kit wants user code to panic here. Only where a panic of the user's is caught.
#[inline(always)]
pub(crate) fn strike(hook: Hook, resumed: bool, cell: Option<CellRef>, message: &'static str) {
    let place = Place {
        hook,
        resumed,
        cell,
        message,
    };
    #[cfg(feature = "testkit")]
    if WATCHED.get()
        && let Some(cell) = cell
        && let Some(observer) = observer()
        && let Some(text) = observer.strike(place, cell.runtime())
    {
        // Not `panic!`: the hook would print what the test means to happen.
        std::panic::resume_unwind(Box::new(text));
    }
    #[cfg(not(feature = "testkit"))]
    let _ = place;
}

/// A freed cell of a simulated system.
#[inline(always)]
pub(super) fn kept_cell(runtime: &Runtime, arena: u8) -> Option<NonNull<u8>> {
    #[cfg(feature = "testkit")]
    if WATCHED.get()
        && let Some(observer) = observer()
        && std::ptr::eq(observer.runtime(), runtime)
    {
        return observer.kept_cell(arena);
    }
    let _ = (runtime, arena);
    None
}

/// Whether a simulated system takes a freed cell in.
#[inline(always)]
pub(super) fn keeps_cell(runtime: &Runtime, cell: NonNull<u8>, arena: u8) -> bool {
    #[cfg(feature = "testkit")]
    if WATCHED.get()
        && let Some(observer) = observer()
        && std::ptr::eq(observer.runtime(), runtime)
    {
        observer.keep_cell(cell, arena);
        return true;
    }
    let _ = (runtime, cell, arena);
    false
}

/// Before a wait on this thread for something that only actors can bring: in a simulation they run on
/// this thread, now.
#[inline(always)]
pub(crate) fn run_now() {
    #[cfg(feature = "testkit")]
    if let Some(observer) = observer() {
        observer.run_now();
    }
}

/// What came of asking the kit to go on while this thread waits.
#[cfg(feature = "testkit")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driven {
    /// No simulation here: sleep.
    Unwatched,
    /// Something was done: look again.
    Stepped,
    /// Nothing is left that could be done.
    Stuck,
}

/// Lets the simulation of this thread do one thing.
#[cfg(feature = "testkit")]
pub(crate) fn drive() -> Driven {
    match observer() {
        None => Driven::Unwatched,
        Some(observer) if observer.drive() => Driven::Stepped,
        Some(_) => Driven::Stuck,
    }
}

//! Notices of an actor's end, as messages to those who watch.
//!
//! A notice goes through the watcher's mailbox, not its signal lane: what the actor sent before its end
//! is handled before the notice of it (promise C2).

use std::ptr::NonNull;

use super::frame::{FrameDone, FramePoll};
use super::header::CellRef;
use super::reason::StopReason;
use crate::id::ActorId;
use crate::mailbox::inbox::Pushed;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{End, Meta, Node, NodeVtable, Step};
use crate::scheduler::Hint;
use crate::sync::UnsafeCell;

/// The end of an actor that was watched.
///
/// Delivered exactly once per watch, after every message that the actor sent to the watcher. A restart
/// is not an end and is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terminated {
    /// The actor that is gone.
    pub actor: ActorId,
    /// Why it stopped; [`StopReason::NotFound`] if it was gone before it was watched.
    pub reason: StopReason,
}

/// A notice on its way. From the global allocator: ends are rare beside messages.
#[repr(C, align(64))]
struct Notice {
    node: Node,
    terminated: Option<Terminated>,
}

static NOTICE: NodeVtable = NodeVtable {
    run,
    finish,
    abandoned: |_| false,
    message: || "Terminated",
};

/// Tells `watcher` of the end of `actor`.
pub(super) fn notify(watcher: ActorId, actor: ActorId, reason: StopReason) {
    let notice = Box::new(Notice {
        node: Node {
            next: UnsafeCell::new(std::ptr::null_mut()),
            vtable: &NOTICE,
            context: std::ptr::null_mut(),
            generation: watcher.generation(),
            meta: Meta {
                arena: 0,
                internal: true,
            },
        },
        terminated: Some(Terminated { actor, reason }),
    });
    let node = NonNull::from(Box::leak(notice)).cast::<Node>();
    let cell = CellRef::of(watcher);
    cell.runtime().count(Count::Notices, 1);
    // SAFETY: the node is ours and well formed; `push_always` never says Full.
    match unsafe { cell.inbox().push_always(node) } {
        Pushed::Schedule => cell.schedule(Hint::Next),
        Pushed::Queued => {}
        Pushed::Full => unreachable!("a notice needs no room"),
    }
}

unsafe fn run(cell: NonNull<()>, node: NonNull<Node>) -> Step {
    let cell = CellRef::from_raw(cell.cast());
    // SAFETY: by `NodeVtable::run` we own the node, and this vtable is only on notices.
    let terminated = unsafe { node.cast::<Notice>().as_mut() }.terminated.take();
    let Some(terminated) = terminated else {
        return Step::Done;
    };
    // Unwatched meanwhile: the notice is void, even one that is queued already (W03).
    // SAFETY: by `NodeVtable::run` we own the cell.
    if !unsafe { cell.forget_watched(terminated.actor) } {
        return Step::Done;
    }
    // SAFETY: we own the cell, and a message is only run when the state is alive and unborrowed.
    match unsafe { (cell.vtable().terminated)(cell, terminated) } {
        FramePoll::Pending => Step::Pending,
        FramePoll::Done(FrameDone::Terminated) => Step::Done,
        FramePoll::Done(other) => unreachable!("the terminated hook ended as {other:?}"),
        FramePoll::Panicked(payload) => Step::Panicked(payload),
    }
}

unsafe fn finish(node: NonNull<Node>, _end: End) {
    // SAFETY: by `NodeVtable::finish` the node is given up to us; it was leaked from such a box.
    drop(unsafe { Box::from_raw(node.cast::<Notice>().as_ptr()) });
}

impl CellRef {
    /// Removes an actor from the list of those this one watches. Whether it was on it.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn forget_watched(self, actor: ActorId) -> bool {
        // SAFETY: H2, by the caller.
        let Some(extra) = (unsafe { (*self.owned()).extra.as_mut() }) else {
            return false;
        };
        let at = extra.watching.iter().position(|watched| *watched == actor);
        at.map(|at| extra.watching.swap_remove(at)).is_some()
    }

    /// Puts an actor on that list. Whether it is new there.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn remember_watched(self, actor: ActorId) -> bool {
        // SAFETY: H2, by the caller.
        let extra = unsafe { self.extra() };
        let new = !extra.watching.contains(&actor);
        if new {
            extra.watching.push(actor);
        }
        new
    }
}

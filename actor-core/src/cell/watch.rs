//! Notices of an actor's end, as messages to those who watch.
//!
//! A notice goes through the watcher's mailbox, not its signal lane: what the actor sent before its end
//! is handled before the notice of it (promise C2).

use std::ptr::NonNull;
use std::sync::Arc;

use super::crossing;
use super::frame::{FrameDone, FramePoll};
use super::header::CellRef;
use super::reason::{SharedFate, StopReason};
use super::signal::StopMode;
use crate::id::ActorId;
use crate::mailbox::inbox::Pushed;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{End, Meta, Node, NodeVtable, Step, stays_here};
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
    /// Of a link, to an actor that traps them.
    of_link: bool,
}

/// Watches in one list from which on the leak report looks at the actor.
pub(crate) const MANY: usize = 1024;

/// What the end of a watched actor does to the watcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnEnd {
    /// Its `terminated` hook is called.
    Tell,
    /// It fails.
    Fail,
}

static NOTICE: NodeVtable = NodeVtable {
    run,
    forward: stays_here,
    finish,
    abandoned: |_| false,
    message: || "Terminated",
};

/// Tells `watcher` of the end of `actor`.
pub(super) fn notify(watcher: ActorId, actor: ActorId, reason: StopReason) {
    push(watcher, Terminated { actor, reason }, false);
}

/// Tells `linked`, which traps links, that the one with `actor` is broken.
pub(super) fn notify_linked(linked: ActorId, actor: ActorId, reason: StopReason) {
    push(linked, Terminated { actor, reason }, true);
}

fn push(watcher: ActorId, terminated: Terminated, of_link: bool) {
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
        terminated: Some(terminated),
        of_link,
    });
    let node = NonNull::from(Box::leak(notice)).cast::<Node>();
    let cell = CellRef::of(watcher);
    cell.runtime().count(Count::Notices, 1);
    // After every message that the actor sent before its end.
    crossing::settle_towards(cell);
    // SAFETY: the node is ours and well formed; `push_always` never says Full.
    match unsafe { cell.inbox().push_always(node) } {
        Pushed::Schedule => cell.schedule(Hint::Next),
        Pushed::Queued | Pushed::Crowded => {}
        Pushed::Full => unreachable!("a notice needs no room"),
    }
}

unsafe fn run(cell: NonNull<()>, node: NonNull<Node>) -> Step {
    let cell = CellRef::from_raw(cell.cast());
    // SAFETY: by `NodeVtable::run` we own the node, and this vtable is only on notices.
    let notice = unsafe { node.cast::<Notice>().as_mut() };
    let Some(terminated) = notice.terminated.take() else {
        return Step::Done;
    };
    // Unwatched or unlinked meanwhile: the notice is void, even one that is queued already (W03, W10).
    // SAFETY: by `NodeVtable::run` we own the cell.
    let wanted = unsafe {
        if notice.of_link {
            cell.forget_broken(terminated.actor).then_some(OnEnd::Tell)
        } else {
            cell.forget_watched(terminated.actor)
        }
    };
    match wanted {
        None => return Step::Done,
        Some(OnEnd::Tell) => {}
        Some(OnEnd::Fail) => {
            let fate = SharedFate::new(terminated.actor, terminated.reason);
            let reason = StopReason::DeathPact(Arc::new(fate));
            // SAFETY: by `NodeVtable::run` we own the cell.
            unsafe { cell.stop_self(StopMode::Now, reason) };
            return Step::Done;
        }
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
    /// Removes an actor from the list of those this one watches; what it was watched for.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn forget_watched(self, actor: ActorId) -> Option<OnEnd> {
        // SAFETY: H2, by the caller.
        let extra = unsafe { (*self.owned()).extra.as_mut() }?;
        extra.watching.remove(actor)
    }

    /// Puts an actor on that list. Whether it is new there.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn remember_watched(self, actor: ActorId, on_end: OnEnd) -> bool {
        // SAFETY: H2, by the caller.
        let extra = unsafe { self.extra() };
        let new = extra.watching.insert(actor, on_end).is_none();
        if new && extra.watching.len() == MANY {
            self.note_many_watches();
        }
        new
    }
}

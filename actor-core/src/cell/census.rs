//! The census: a walk over all cells of a system by a plain thread, past the workers.
//!
//! It reads atomics only and holds nobody up, so it can look at 10^6 actors in a few hundredths of a second
//! while they work. What it reads of one cell need not be of one moment: it is evidence for reports
//! (header H5), and what looks odd is looked at again by the owner (`inspect`).
//!
//! How long an actor has been quiet is told by a mark that the walk leaves in the cell (`mailbox::quiet`): the
//! walk since which it has handled nothing, whose time the caller keeps. A mark's time is the beginning of
//! its walk, so an actor that worked during the walk looks quiet for longer than it is, by the length of a
//! walk at most.

use super::header::CellRef;
use super::runtime::Runtime;
use super::vtable::ActorVtable;
use crate::id::ActorId;
use crate::mailbox::inbox::Rest;
pub(crate) use crate::mailbox::quiet::MARKS;
use crate::memory;
use crate::sync::atomic::Ordering;

/// One live actor, as it shows from outside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) actor: ActorId,
    /// Its kind, to count by: one type may have several, whose names are the same.
    pub(crate) kind: &'static ActorVtable,
    /// `None`: at the top.
    pub(crate) parent: Option<ActorId>,
    /// The walk since which it has handled nothing.
    pub(crate) mark: u8,
    pub(crate) rest: Rest,
    /// An `OwnedRef` is about.
    pub(crate) held: bool,
    /// A list of its watches is long.
    pub(crate) many_watches: bool,
    /// Whom its handler waits for in an ask.
    pub(crate) waits_for: Option<ActorId>,
}

/// Walks over the live actors of a system, its root left out, and marks those that were active.
pub(crate) fn census(runtime: &'static Runtime, mark: u8, mut visit: impl FnMut(Seen)) {
    debug_assert!(MARKS.contains(&mark), "{mark} is no mark of a walk");
    let root = runtime.root();
    for node in runtime.numa_nodes() {
        let cells = memory::cells(node);
        for index in 0..cells {
            let cell = CellRef::of(ActorId::new(node.0, index, 0));
            if cell == root {
                continue;
            }
            if let Some(seen) = look(cell, runtime, mark) {
                visit(seen);
            }
        }
    }
}

fn look(cell: CellRef, runtime: &'static Runtime, mark: u8) -> Option<Seen> {
    if !cell.is_of(runtime) {
        return None;
    }
    let generation = cell.generation();
    let mark = cell.quiet().look(mark)?;
    let kind = cell.vtable_now()?;
    let parent = cell.parent_now()?;
    let seen = Seen {
        actor: cell.id_of(generation),
        kind,
        parent: (parent != runtime.root()).then(|| parent.id()),
        mark,
        rest: cell.inbox().rest(),
        held: cell.is_held(),
        many_watches: cell.has_many_watches(),
        waits_for: match cell.waiting_on().load(Ordering::Relaxed) {
            0 => None,
            id => Some(ActorId(id)),
        },
    };
    // Ended meanwhile, and perhaps somebody else has moved in: not the one that was looked at.
    (cell.generation() == generation).then_some(seen)
}

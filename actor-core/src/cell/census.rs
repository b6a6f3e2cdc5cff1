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
use crate::mailbox::quiet::Quiet;
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
    /// The bound of its mailbox; 0: none.
    pub(crate) capacity: u32,
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
    walk(runtime, |cell| {
        if let Some((seen, ())) = look(cell, runtime, |quiet| Some((quiet.look(mark)?, ()))) {
            visit(seen);
        }
    });
}

/// As [`census`], and leaves no marks. With each actor whether it has handled something since the last walk that did;
/// then its mark says nothing.
pub(crate) fn glance(runtime: &'static Runtime, mut visit: impl FnMut(Seen, bool)) {
    walk(runtime, |cell| {
        let peek = |quiet: &Quiet| {
            let since = quiet.peek()?;
            Some((since.unwrap_or_default(), since.is_none()))
        };
        if let Some((seen, fresh)) = look(cell, runtime, peek) {
            visit(seen, fresh);
        }
    });
}

fn walk(runtime: &'static Runtime, mut visit: impl FnMut(CellRef)) {
    let root = runtime.root();
    for node in runtime.numa_nodes() {
        let cells = memory::cells(node);
        for index in 0..cells {
            let cell = CellRef::of(ActorId::new(node.0, index, 0));
            if cell != root && cell.is_of(runtime) {
                visit(cell);
            }
        }
    }
}

/// What shows of a cell, if somebody lives in it: that is what `quiet` tells, with the mark.
fn look<T>(
    cell: CellRef,
    runtime: &'static Runtime,
    quiet: impl FnOnce(&Quiet) -> Option<(u8, T)>,
) -> Option<(Seen, T)> {
    let generation = cell.generation();
    let (mark, more) = quiet(cell.quiet())?;
    let kind = cell.vtable_now()?;
    let parent = cell.parent_now()?;
    let seen = Seen {
        actor: cell.id_of(generation),
        kind,
        parent: (parent != runtime.root()).then(|| parent.id()),
        mark,
        rest: cell.inbox().rest(),
        capacity: cell.inbox().capacity(),
        held: cell.is_held(),
        many_watches: cell.has_many_watches(),
        waits_for: match cell.waiting_on().load(Ordering::Relaxed) {
            0 => None,
            id => Some(ActorId(id)),
        },
    };
    // Ended meanwhile, and perhaps somebody else has moved in: not the one that was looked at.
    (cell.generation() == generation).then_some((seen, more))
}

/// As [`glance`], at one actor; `None` when it has ended or is of another system.
pub(crate) fn glance_at(runtime: &'static Runtime, actor: ActorId) -> Option<(Seen, bool)> {
    let cell = CellRef::of(actor);
    if !cell.is_of(runtime) || cell == runtime.root() {
        return None;
    }
    let (seen, fresh) = look(cell, runtime, |quiet| {
        let since = quiet.peek()?;
        Some((since.unwrap_or_default(), since.is_none()))
    })?;
    (seen.actor == actor).then_some((seen, fresh))
}

impl CellRef {
    /// Who lives in the cell, if that is somebody of that system.
    pub(crate) fn living_in(self, runtime: &'static Runtime) -> Option<ActorId> {
        let (seen, ()) = self.is_of(runtime).then(|| {
            look(self, runtime, |quiet| {
                Some((quiet.peek()?.unwrap_or_default(), ()))
            })
        })??;
        Some(seen.actor)
    }
}

//! The census: a walk over all cells of a system by a plain thread, past the workers.
//!
//! It reads atomics only and holds nobody up, so it can look at 10^6 actors in a few hundredths of a second
//! while they work. What it reads of one cell need not be of one moment: it is evidence for reports
//! (header H5), and what looks odd is looked at again by the owner (`inspect`).
//!
//! # How long has an actor been quiet?
//!
//! A clock in each cell would cost a clock read per turn. Instead the owner writes `FRESH` into the byte
//! `quiet` whenever it handles something, a plain store to a line it writes anyway; and the census, when it
//! finds `FRESH`, marks the cell with the number of this walk. The mark stays until something is
//! handled. So a mark says: nothing was handled *since that walk*, whose time the caller keeps.
//!
//! ```text
//!   VACANT --occupy--> FRESH --census: CAS--> mark of a walk (2 to 255)
//!                        ^                       |
//!                        +---- owner: store -----+      terminate: store VACANT, from any
//! ```
//!
//! The owner stores, the census swaps (`mailbox::quiet`): an end that falls between the census's look and its
//! mark is not marked over. A mark's time is the beginning of its walk, so an actor that worked during
//! the walk looks quiet for longer than it is, by the length of a walk at most.

use super::header::{CellRef, FRESH, VACANT};
use super::runtime::Runtime;
use super::vtable::ActorVtable;
use crate::id::ActorId;
use crate::mailbox::inbox::Rest;
use crate::memory;
use crate::sync::atomic::Ordering;

/// The marks there are: the walks that can be told apart.
pub(crate) const MARKS: std::ops::RangeInclusive<u8> = 2..=255;

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
        let cells = memory::stats(node).cells as u32;
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
    // Acquire: with the Release in `occupy`.
    let mut quiet = cell.quiet().load(Ordering::Acquire);
    if quiet == VACANT || !cell.is_of(runtime) {
        return None;
    }
    let generation = cell.generation();
    if quiet == FRESH {
        // Acquire: as above. Relaxed when it fails: the owner was faster, and the cell is fresh or vacant.
        let marked =
            cell.quiet()
                .compare_exchange(FRESH, mark, Ordering::Acquire, Ordering::Relaxed);
        match marked {
            Ok(_) => quiet = mark,
            Err(VACANT) => return None,
            Err(now) => quiet = if now == FRESH { mark } else { now },
        }
    }
    let kind = cell.vtable_now()?;
    let parent = cell.parent_now()?;
    let seen = Seen {
        actor: cell.id_of(generation),
        kind,
        parent: (parent != runtime.root()).then(|| parent.id()),
        mark: quiet,
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

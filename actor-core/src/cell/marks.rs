//! Marks in the word that says where an actor lives: one bit each, for who looks from outside.
//!
//! They are evidence (header H5): set and cleared by a read-modify-write, since several threads write the
//! word, read without an edge, and gone when somebody else moves into the cell. Two are for reports; the
//! third is the actor's word to its parent that it cannot be cut off; the fourth is its `dedicated` thread's.

use super::header::CellRef;

/// Somebody holds an `OwnedRef`.
const HELD: u32 = 1 << 18;
/// A list of watches has grown long.
const MANY_WATCHES: u32 = 1 << 19;
/// The actor's time to stop is over, and a thread of the blocking pool still works on its state.
const AWAY: u32 = 1 << 21;
/// The actor has a thread of its own; see `dedicated`. Not evidence: set before anybody knows the actor,
/// and taken back by its owner at its end.
pub(super) const DEDICATED: u32 = 1 << 22;

impl CellRef {
    /// Says for reports that somebody holds the actor (`OwnedRef`), or lets go of it.
    pub(crate) fn hold(self, generation: u32, held: bool) {
        if self.generation() == generation {
            self.mark(HELD, held);
        }
    }

    pub(super) fn is_held(self) -> bool {
        self.has_mark(HELD)
    }

    /// Says for reports that one of the actor's lists of watches has grown long.
    pub(super) fn note_many_watches(self) {
        self.mark(MANY_WATCHES, true);
    }

    pub(super) fn has_many_watches(self) -> bool {
        self.has_mark(MANY_WATCHES)
    }

    /// Says for the parent that the actor's time is over and its handler still runs elsewhere, or does no
    /// more. By the owner.
    pub(super) fn set_away(self, away: bool) {
        if away != self.is_away() {
            self.mark(AWAY, away);
        }
    }

    /// Whether that is so: what the parent sees may be old, as with all that it sees of a child.
    pub(super) fn is_away(self) -> bool {
        self.has_mark(AWAY)
    }
}

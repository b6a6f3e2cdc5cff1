//! What a parent remembers of its children beyond the list they hang in. Boxed on first use.
//!
//! A child for which nothing unusual was said and that never failed costs nothing here. All of it
//! belongs to the owner of the parent (header H2), and ends with the life that had the children.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;

use super::birth::Birth;
use super::extra::Factory;
use super::header::CellRef;
use super::names::Kind;
use super::reason::StopReason;
use crate::clock::Tick;
use crate::id::ActorId;
use crate::scheduler::timer::TimerKey;
use crate::supervision::{Round, Shutdown};

#[derive(Debug, Default)]
pub(super) struct Family {
    /// Children of which there is something to know.
    pub(super) roster: HashMap<CellRef, Listed>,
    /// Children that were told to stop, one by one.
    pub(super) asked: HashMap<CellRef, Asked>,
    /// All were told to stop, at once.
    pub(super) all_asked: Option<AllAsked>,
    /// Specifications of children that were terminated, by the cell that keeps their place in the list.
    pub(super) kept: HashMap<CellRef, Kept>,
    /// The group restart under way.
    pub(super) round: Option<Round<CellRef>>,
    /// Rounds so far in this life.
    pub(super) rounds: u64,
    /// Failures that came while a round was under way and were not about it.
    pub(super) later: VecDeque<Failure>,
    /// When somebody who was told to stop is to be looked after.
    pub(super) alarm: Option<(Tick, TimerKey)>,
    /// Significant children that live.
    pub(super) significant: usize,
    /// Handlers of this actor that wait for a child's end.
    pub(super) waiting: Vec<Waker>,
}

/// What a parent knows of a child.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listed {
    pub(super) name: Option<Arc<str>>,
    pub(super) registered: Option<(Arc<str>, Kind)>,
    pub(super) shutdown: Shutdown,
    pub(super) significant: bool,
    pub(super) restarts: u64,
    /// It failed and is not up again.
    pub(super) is_restarting: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) at: Tick,
    pub(super) why: Why,
}

/// Why a child was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// With its parent.
    Shutdown,
    /// It alone, for good.
    Terminate,
    /// To be started again in the round.
    Round,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct AllAsked {
    pub(super) at: Tick,
    pub(super) killed: bool,
}

/// A child that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) child: CellRef,
    pub(super) name: Option<Arc<str>>,
    pub(super) reason: StopReason,
}

/// How to spawn a child that has ended once more.
pub(crate) struct Spec {
    pub(super) birth: Birth,
    pub(super) factory: Factory,
    pub(super) restarts: u64,
}

/// A specification without an actor.
#[derive(Debug)]
pub(super) struct Kept {
    /// Who it was.
    pub(super) id: ActorId,
    pub(super) spec: Box<Spec>,
    /// Whether its cell may be lived in again.
    pub(super) reusable: bool,
    /// The round it was terminated in, which does not start it again.
    pub(super) round: u64,
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spec")
            .field("birth", &self.birth)
            .finish_non_exhaustive()
    }
}

impl CellRef {
    /// What this actor remembers of its children; made if need be.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, and drops the reference before it comes here again.
    pub(super) unsafe fn family<'a>(self) -> &'a mut Family {
        // SAFETY: H2, by the caller.
        unsafe { self.extra() }.family.get_or_insert_default()
    }

    /// As [`CellRef::family`], if there is anything.
    ///
    /// # Safety
    ///
    /// As there.
    pub(super) unsafe fn family_if_any<'a>(self) -> Option<&'a mut Family> {
        // SAFETY: H2, by the caller.
        unsafe { self.extra_if_any() }?.family.as_deref_mut()
    }

    /// The same, only to look: a handler may do so from two threads.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, or the owner waits for it.
    pub(super) unsafe fn family_seen<'a>(self) -> Option<&'a Family> {
        // SAFETY: H2, by the caller.
        unsafe { (*self.owned()).extra.as_ref() }?.family.as_deref()
    }

    /// Notes what was said of a new child.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn enroll(self, child: Self, listed: Listed) {
        // SAFETY: H2, by the caller.
        let family = unsafe { self.family() };
        family.significant += usize::from(listed.significant);
        family.roster.insert(child, listed);
    }
}

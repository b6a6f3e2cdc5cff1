//! What a supervisor may do to single children: stop one for good, start it again, forget it.
//!
//! As in OTP a child that was terminated leaves its specification: how to spawn it again. The child
//! itself hands it over at its end (the factory was its own), and its cell stays in the list to keep its
//! place, which matters to `rest_for_one` and to the order of stops. What is started again is a new actor
//! with a new identity: the old one has ended, and who watched it was told.

use std::sync::Arc;
use std::task::{Poll, Waker};

use super::birth::{self, SpawnFailure};
use super::family::Why;
use super::header::CellRef;
use super::signal::StopMode;
use crate::id::ActorId;

/// Where a child stands, as far as its supervisor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChildState {
    Running,
    Restarting,
    Stopping,
    Terminated,
}

/// One child on record.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(crate) id: ActorId,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) actor_type: &'static str,
    pub(crate) state: ChildState,
    pub(crate) restarts: u64,
}

/// Why an order about a child was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotFound,
    /// Not terminated, but in this state.
    State(ChildState),
    /// Specifications are not kept here.
    Dynamic,
    /// Could not be spawned; with the name that it was to hold.
    Spawn(SpawnFailure, Option<Arc<str>>),
}

impl CellRef {
    /// Who the children are, in their order.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, or the owner waits for it.
    pub(crate) unsafe fn list_children(self) -> Vec<Child> {
        // SAFETY: H2 and H3, by the caller; shared borrows only.
        unsafe {
            let mut children = Vec::new();
            let Some(extra) = (*self.owned()).extra.as_ref() else {
                return children;
            };
            let family = self.family_seen();
            let mut next = extra.first_child.cell();
            while let Some(child) = next {
                next = (*child.owned()).next.cell();
                if let Some(kept) = family.and_then(|family| family.kept.get(&child)) {
                    children.push(Child {
                        id: kept.id,
                        name: kept.spec.birth.name.clone(),
                        actor_type: (kept.spec.birth.vtable.type_name)(),
                        state: ChildState::Terminated,
                        restarts: kept.spec.restarts,
                    });
                } else if let Some(id) = child.living_id() {
                    let listed = family.and_then(|family| family.roster.get(&child));
                    children.push(Child {
                        id,
                        name: listed.and_then(|listed| listed.name.clone()),
                        actor_type: (child.vtable().type_name)(),
                        state: self.state_of(child),
                        restarts: listed.map_or(0, |listed| listed.restarts),
                    });
                }
            }
            children
        }
    }

    /// Where a child stands that has not ended.
    unsafe fn state_of(self, child: Self) -> ChildState {
        // SAFETY: H2, by the callers; a shared borrow.
        let Some(family) = (unsafe { self.family_seen() }) else {
            return ChildState::Running;
        };
        let asked = family.asked.get(&child).map(|asked| asked.why);
        let listed = family.roster.get(&child);
        if family.all_asked.is_some() || matches!(asked, Some(Why::Shutdown | Why::Terminate)) {
            ChildState::Stopping
        } else if listed.is_some_and(|listed| listed.is_restarting) {
            ChildState::Restarting
        } else {
            ChildState::Running
        }
    }

    /// The ids of the children of that name that are on record.
    ///
    /// # Safety
    ///
    /// As for `list_children`.
    pub(crate) unsafe fn children_named(self, name: &str) -> Vec<ActorId> {
        // SAFETY: by the caller.
        let Some(family) = (unsafe { self.family_seen() }) else {
            return Vec::new();
        };
        let living = family.roster.iter();
        let living = living
            .filter(|(_, listed)| listed.name.as_deref() == Some(name))
            .filter_map(|(child, _)| child.living_id());
        let kept = family.kept.values();
        let kept = kept
            .filter(|kept| kept.spec.birth.name.as_deref() == Some(name))
            .map(|kept| kept.id);
        living.chain(kept).collect()
    }

    /// The cell that keeps the place of a child that was terminated.
    unsafe fn place_of(self, id: ActorId) -> Option<Self> {
        // SAFETY: H2, by the callers; a shared borrow.
        let family = unsafe { self.family_seen() }?;
        let place = Self::of(id);
        family
            .kept
            .get(&place)
            .is_some_and(|kept| kept.id == id)
            .then_some(place)
    }

    /// A child of that id that lives.
    unsafe fn living_child(self, id: ActorId) -> Option<Self> {
        let child = Self::of(id);
        let is_child = child.is_child_of(self, id.generation());
        // SAFETY: H3: the links of a child are its parent's.
        (is_child && unsafe { !child.is_abandoned() }).then_some(child)
    }

    /// Has a child stop for good.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn terminate_child(self, id: ActorId) -> Result<(), Refusal> {
        // SAFETY: H2, by the caller.
        unsafe {
            let Some(child) = self.living_child(id) else {
                return self.place_of(id).map(|_| ()).ok_or(Refusal::NotFound);
            };
            if self.state_of(child) != ChildState::Stopping {
                self.ask_to_stop(child, StopMode::Now, Why::Terminate);
            }
            Ok(())
        }
    }

    /// Whether a child is still to be waited for; if so, `waker` is woken when one has gone.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn poll_child_end(self, id: ActorId, waker: &Waker) -> Poll<()> {
        // SAFETY: H2, by the caller.
        unsafe {
            let child = Self::of(id);
            // It may have ended already, and its word of it be on the way: then it is on no record yet.
            let is_mine = child.is_child_of(self, id.generation())
                || (child.is_child_of(self, id.generation() + 1) && child.living_id().is_none());
            if !is_mine || self.place_of(id).is_some() || !self.is_listed(child) {
                return Poll::Ready(());
            }
            let waiting = &mut self.family().waiting;
            if !waiting.iter().any(|waiting| waiting.will_wake(waker)) {
                waiting.push(waker.clone());
            }
            Poll::Pending
        }
    }

    /// Whether a cell that calls this actor its parent is in its list.
    unsafe fn is_listed(self, child: Self) -> bool {
        // SAFETY: H2 and H3, by the caller.
        unsafe {
            let mut next = self.extra().first_child.cell();
            while let Some(each) = next {
                if each == child {
                    return true;
                }
                next = (*each.owned()).next.cell();
            }
            false
        }
    }

    /// Spawns a child that was terminated again.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn restart_child(self, id: ActorId) -> Result<ActorId, Refusal> {
        // SAFETY: H2, by the caller.
        unsafe {
            let place = self.place_to_change(id)?;
            self.revive(place).map(Self::id).map_err(|failure| {
                let kept = self.family().kept.get(&place);
                let registered = kept.and_then(|kept| kept.spec.birth.registered.as_ref());
                Refusal::Spawn(failure, registered.map(|(name, _)| name.clone()))
            })
        }
    }

    /// Forgets a child that was terminated.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn delete_child(self, id: ActorId) -> Result<(), Refusal> {
        // SAFETY: H2, by the caller.
        unsafe {
            let place = self.place_to_change(id)?;
            let family = self.family();
            if let Some(round) = &mut family.round {
                round.gone(place);
            }
            if let Some(kept) = family.kept.remove(&place) {
                self.give_up_place(place, kept);
            }
            Ok(())
        }
    }

    unsafe fn place_to_change(self, id: ActorId) -> Result<Self, Refusal> {
        // SAFETY: H2, by the callers.
        unsafe {
            if let Some(place) = self.place_of(id) {
                return Ok(place);
            }
            match self.living_child(id) {
                Some(_) if self.is_dynamic() => Err(Refusal::Dynamic),
                Some(child) => Err(Refusal::State(self.state_of(child))),
                None => Err(Refusal::NotFound),
            }
        }
    }

    /// Spawns from the specification kept at `place`, in its place. Without success it stays kept.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn revive(self, place: Self) -> Result<Self, SpawnFailure> {
        // SAFETY: H2, by the caller.
        unsafe {
            if self.is_stopping() {
                return Err(SpawnFailure::ParentStopping);
            }
            let Some(kept) = self.family().kept.remove(&place) else {
                return Err(SpawnFailure::ParentStopping);
            };
            let restarts = kept.spec.restarts + 1;
            let again = birth::respawn(self, place, kept.spec);
            match again {
                Ok(child) => {
                    // SAFETY: its place in the list is the new child's now.
                    super::children::free(place, kept.reusable);
                    let listed = self.family().roster.entry(child).or_default();
                    (listed.restarts, listed.is_restarting) = (restarts, true);
                    self.runtime().note_restarts(child.id(), restarts);
                    Ok(child)
                }
                Err((failure, spec)) => {
                    let kept = super::family::Kept { spec, ..kept };
                    self.family().kept.insert(place, kept);
                    Err(failure)
                }
            }
        }
    }
}

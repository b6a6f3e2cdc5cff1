//! The parent's side: who the children are, and stopping them.
//!
//! Children hang in a list through their own cells, in the order they were started (header H3), so a
//! child costs the parent no memory and a million of them are unlinked in a million steps. The cell of a
//! child that was terminated and whose specification is kept stays in the list, to keep its place;
//! `children` counts those that live.

use super::birth;
use super::extra::Extra;
use super::family::{Kept, Spec, Why};
use super::header::{CellRef, Flags, Phase, Sibling};
use super::reason::StopReason;
use super::signal::{Signal, SignalKind, StopMode};
use crate::contain::{contain, log};
use crate::supervision::{AutoShutdown, Shutdown, Strategy};

impl CellRef {
    /// The extra part, made if need be.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, and drops the reference before it comes here again.
    pub(super) unsafe fn extra<'a>(self) -> &'a mut Extra {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            if (*owned).extra.is_null() {
                (*owned).extra = Extra::alloc(self.arena()).into_raw();
            }
            &mut *(*owned).extra
        }
    }

    /// The extra part, if there is one.
    ///
    /// # Safety
    ///
    /// As for [`CellRef::extra`].
    pub(super) unsafe fn extra_if_any<'a>(self) -> Option<&'a mut Extra> {
        // SAFETY: H2, by the caller.
        unsafe { (*self.owned()).extra.as_mut() }
    }

    /// Whether children are no longer welcome.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn is_stopping(self) -> bool {
        // SAFETY: H2, by the caller.
        // Field by field: a reference to all of `Owned` would cover the sibling links (H3).
        let (flags, phase) = unsafe { ((*self.owned()).flags, (*self.owned()).phase) };
        flags.has(Flags::URGENT) || !matches!(phase, Phase::Starting | Phase::Running)
    }

    /// When this supervisor ends itself with its significant children.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn auto_shutdown(self) -> AutoShutdown {
        // SAFETY: H2, by the caller; a shared borrow, so that a handler may look from two threads.
        unsafe { (*self.owned()).extra.as_ref() }
            .map_or(AutoShutdown::Never, |extra| extra.supervision.auto_shutdown)
    }

    /// How many children there are.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn child_count(self) -> usize {
        // SAFETY: H2, by the caller; a shared borrow, so that a handler may look from two threads.
        unsafe { (*self.owned()).extra.as_ref() }.map_or(0, |extra| extra.children)
    }

    /// Adds the youngest child.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`; `child` is linked nowhere.
    pub(super) unsafe fn link_child(self, child: Self) {
        let sibling = Sibling::of(child);
        // SAFETY: H2 for the parent, H3 for the links of its children.
        unsafe {
            let extra = self.extra();
            (*child.owned()).prev = extra.last_child;
            (*child.owned()).next = Sibling::NONE;
            match extra.last_child.cell() {
                Some(last) => (*last.owned()).next = sibling,
                None => extra.first_child = sibling,
            }
            extra.last_child = sibling;
            extra.children += 1;
        }
    }

    /// Puts a child in the place of one whose specification was kept.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`, in whose list `place` is; `child` is linked nowhere.
    pub(super) unsafe fn link_in_place(self, place: Self, child: Self) {
        let sibling = Sibling::of(child);
        // SAFETY: H2 for the parent, H3 for the links of its children.
        unsafe {
            let (prev, next) = ((*place.owned()).prev, (*place.owned()).next);
            let extra = self.extra();
            (*child.owned()).prev = prev;
            (*child.owned()).next = next;
            match prev.cell() {
                Some(prev) => (*prev.owned()).next = sibling,
                None => extra.first_child = sibling,
            }
            match next.cell() {
                Some(next) => (*next.owned()).prev = sibling,
                None => extra.last_child = sibling,
            }
            extra.children += 1;
        }
    }

    /// Takes a child out of the list that is gone or no longer waited for.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`, whose child it is.
    pub(super) unsafe fn unlink_child(self, child: Self) {
        // SAFETY: by the caller.
        unsafe {
            self.unlink_place(child);
            self.extra().children -= 1;
        }
    }

    /// Takes a cell out of the list.
    unsafe fn unlink_place(self, place: Self) {
        // SAFETY: H2 for the parent, H3 for the links, by the callers.
        unsafe {
            let (prev, next) = ((*place.owned()).prev, (*place.owned()).next);
            let extra = self.extra();
            match prev.cell() {
                Some(prev) => (*prev.owned()).next = next,
                None => extra.first_child = next,
            }
            match next.cell() {
                Some(next) => (*next.owned()).prev = prev,
                None => extra.last_child = prev,
            }
        }
    }

    /// A child is gone for good: unlinks it and gives its cell back, or keeps both for its specification;
    /// then goes on with what waited for that.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`, whose child it is, or was when it was abandoned.
    pub(super) unsafe fn child_gone(self, child: Self, reusable: bool, spec: Option<Box<Spec>>) {
        // SAFETY: by the caller; the child's turn has left the cell but for its own dead letters,
        // which `claim` waits for.
        unsafe {
            if child.is_abandoned() {
                log!(warn, "an abandoned actor has ended after all");
                free(child, reusable);
                return;
            }
            // Before its cell is another's.
            self.child_settled(child);
            let ended_itself = self.ended_by_itself(child);
            let significant = self.family_if_any().and_then(|family| {
                let listed = family.roster.get(&child)?;
                listed.significant.then_some(())
            });
            let mut listed = self.forget_child(child);
            match spec {
                Some(mut spec)
                    if (!self.is_stopping() || self.supervises_between_lives())
                        && !self.is_dynamic() =>
                {
                    self.extra().children -= 1;
                    let family = self.family();
                    if let Some(listed) = &mut listed {
                        spec.birth.shutdown = listed.shutdown;
                        spec.birth.significant = listed.significant;
                        spec.birth.registered = listed.registered.take();
                    }
                    let kept = Kept {
                        id: child.id_of(child.generation() - 1),
                        spec,
                        reusable,
                        round: family.rounds,
                    };
                    family.kept.insert(child, kept);
                }
                spec => {
                    self.unlink_child(child);
                    free(child, reusable);
                    // A factory holds user values.
                    contain(move || drop(spec));
                }
            }
            if significant.is_some() && ended_itself {
                let left = self.family().significant;
                self.significant_child_ended(left);
            }
            self.after_child(child);
        }
    }

    /// Whether nobody on this side told the child to end.
    unsafe fn ended_by_itself(self, child: Self) -> bool {
        // SAFETY: H2, by the caller.
        unsafe { self.family_if_any() }
            .is_none_or(|family| family.all_asked.is_none() && !family.asked.contains_key(&child))
    }

    /// Strikes a child off all records but the list.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`.
    pub(super) unsafe fn forget_child(self, child: Self) -> Option<super::family::Listed> {
        // SAFETY: H2, by the caller.
        let family = unsafe { self.family_if_any() }?;
        family.asked.remove(&child);
        family.later.retain(|failure| failure.child != child);
        if let Some(round) = &mut family.round {
            round.gone(child);
        }
        for waker in std::mem::take(&mut family.waiting) {
            // A combinator's, maybe: somebody's code.
            contain(move || waker.wake());
        }
        let listed = family.roster.remove(&child)?;
        family.significant -= usize::from(listed.significant);
        Some(listed)
    }

    /// A child has left: tells the next one to stop, or to start, if that is what it was about.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`. May end its current life.
    pub(super) unsafe fn after_child(self, child: Self) {
        // SAFETY: H2, by the caller.
        unsafe {
            let extra = self.extra();
            if extra.stopping_child == Some(child) {
                extra.stopping_child = None;
            }
            if (*self.owned()).phase == Phase::StoppingChildren && !extra.keeps_children {
                self.stop_next_child();
            } else if let Some(family) = &extra.family {
                if family.asked.is_empty() && family.all_asked.is_none() {
                    self.cancel_alarm();
                }
                self.go_on();
            }
        }
    }

    /// Whether the children are many and alike: stopped together, and not kept when terminated.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn is_dynamic(self) -> bool {
        // SAFETY: H2, by the caller; a shared borrow, so that a handler may look from two threads.
        unsafe { (*self.owned()).extra.as_ref() }
            .is_some_and(|extra| extra.supervision.strategy == Strategy::SimpleOneForOne)
    }

    /// Tells the youngest child to stop, if none is stopping already; all at once if they are dynamic.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn stop_next_child(self) {
        // SAFETY: by the caller, H3.
        unsafe {
            let flags = (*self.owned()).flags;
            let extra = self.extra();
            if extra.stopping_child.is_some() {
                return;
            }
            let mode = if flags.has(Flags::DRAIN) && !flags.has(Flags::RESTARTING) {
                StopMode::Drain
            } else {
                StopMode::Now
            };
            let all_asked = extra
                .family
                .as_ref()
                .is_some_and(|family| family.all_asked.is_some());
            let Some(last) = extra.last_child.cell().filter(|_| !all_asked) else {
                return;
            };
            if !self.is_dynamic() {
                extra.stopping_child = Some(last);
                self.ask_to_stop(last, mode, Why::Shutdown);
                return;
            }
            let mut next = Some(last);
            while let Some(child) = next {
                next = (*child.owned()).prev.cell();
                let (mode, reason) = if self.shutdown_of(child) == Shutdown::Kill {
                    (StopMode::Kill, StopReason::Killed)
                } else {
                    (mode, StopReason::Shutdown)
                };
                child.signal(Signal::to(child, SignalKind::Stop { mode, reason }));
            }
            if mode != StopMode::Drain {
                self.all_were_asked(false);
            }
        }
    }

    /// A child came while this actor, the root, was ending: it goes the way of the others.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, in whose list the child is.
    pub(super) unsafe fn see_off(self, child: Self) {
        // SAFETY: by the caller.
        unsafe {
            let all_asked = self
                .family_if_any()
                .is_some_and(|family| family.all_asked.is_some());
            match (*self.owned()).phase {
                // Its turn comes.
                Phase::Starting | Phase::Running => self.stop_next_child(),
                Phase::StoppingChildren if !all_asked => self.stop_next_child(),
                // The others have been told, or are gone and the root with them: nobody goes through the
                // list once more.
                _ => {
                    let (mode, reason) = (StopMode::Kill, StopReason::Killed);
                    child.signal(Signal::to(child, SignalKind::Stop { mode, reason }));
                }
            }
        }
    }

    /// Children that drain are to stop now: the order has changed.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which waits for its children.
    pub(super) unsafe fn hurry_children(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            if self.is_dynamic() || self.extra().stopping_child.take().is_some() {
                self.stop_next_child();
            }
        }
    }

    /// Kills all children, youngest first, without waiting between them.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn kill_children(self) {
        // SAFETY: by the caller, H3.
        unsafe {
            let Some(extra) = self.extra_if_any() else {
                return;
            };
            let mut at = extra.last_child;
            if at.cell().is_none() {
                return;
            }
            while let Some(child) = at.cell() {
                at = (*child.owned()).prev;
                let (mode, reason) = (StopMode::Kill, StopReason::Killed);
                child.signal(Signal::to(child, SignalKind::Stop { mode, reason }));
            }
            self.all_were_asked(true);
        }
    }

    /// Forgets the specifications of children that were terminated.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn forget_kept(self) {
        // SAFETY: by the caller.
        unsafe {
            let Some(family) = self.family_if_any() else {
                return;
            };
            for (place, kept) in std::mem::take(&mut family.kept) {
                self.give_up_place(place, kept);
            }
        }
    }

    /// Forgets one specification.
    ///
    /// # Safety
    ///
    /// The caller owns the parent `self`, in whose list `place` is, and has taken `kept` off the record.
    pub(super) unsafe fn give_up_place(self, place: Self, kept: Kept) {
        // SAFETY: by the caller.
        unsafe {
            self.unlink_place(place);
            free(place, kept.reusable);
        }
        // A factory holds user values.
        contain(move || drop(kept));
    }
}

/// Gives a cell back that nobody lives in.
///
/// # Safety
///
/// The cell is in nobody's list.
pub(super) unsafe fn free(cell: CellRef, reusable: bool) {
    if reusable {
        // SAFETY: by the caller.
        unsafe { birth::free_cell(cell.runtime(), cell.as_raw(), cell.id().numa_node().0) };
    }
}

//! Links: two actors that fail together.
//!
//! A link belongs to two *lives*. When one of them ends, the other is told by a signal, ahead of its
//! mailbox: unless it traps links, an end that is no orderly one ends its life too, as a failure, and its
//! supervisor decides. Both may come back; the new lives are strangers until one links again.
//!
//! Nobody can change both ends at once, and an end, an unlink and a new link may cross on their way. So a
//! link has a number, each side notes the numbers it knows of, and a word about a link counts only for
//! whom it finds with that number in hand:
//!
//! ```text
//!  A.link(B)    A notes (B: own 7)       --- Made 7 --->      B notes (A: theirs 7)
//!  B unlinks    A forgets 7             <-- Undone 7 ---      B has forgotten 7
//!  A ends       A forgets all           --- Broken 7 --->     B knows 7? then it is told, and forgets
//!  B is dead                            <-- Broken 7, NotFound
//! ```
//!
//! Two that link each other at once have two numbers for one link; whoever hears that it is broken by
//! either forgets both, and takes back the one that the other does not know yet (`Undone`). Signals of one
//! sender to one cell arrive in order, so a `Made` never comes after the word that undoes it.

use super::header::{CellRef, Flags, Phase};
use super::reason::{SharedFate, StopReason};
use super::signal::{Signal, SignalKind};
use super::watch;
use crate::id::ActorId;
use crate::sync::atomic::{AtomicU64, Ordering};

/// The numbers under which one side knows a link; 0 = none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// Given by this side.
    own: u64,
    /// Given by the other.
    theirs: u64,
}

impl Numbers {
    fn know(self, number: u64) -> bool {
        number != 0 && (self.own == number || self.theirs == number)
    }

    fn share(self, other: Self) -> bool {
        self.know(other.own) || self.know(other.theirs)
    }
}

/// One side's word about a link to the other.
#[derive(Debug)]
pub(super) enum Bond {
    Made(u64),
    Undone(Numbers),
    Broken(Numbers, StopReason),
}

impl CellRef {
    /// Links this actor's life with another's; once, however often it is asked for.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, or the owner waits for it.
    pub(crate) unsafe fn link(self, other: ActorId) {
        let me = self.id();
        if other == me {
            return;
        }
        // SAFETY: H2, by the caller.
        let links = unsafe { &mut self.extra().links };
        if links.get_mut(other).is_some() {
            return;
        }
        let own = next_number();
        links.insert(other, Numbers { own, theirs: 0 });
        send(other, me, Bond::Made(own));
    }

    /// An actor elsewhere, for which the proxy `other` stands, was linked with this one and has failed. The
    /// link was known there only, so it is made and broken in one breath.
    pub(crate) fn share_fate(self, generation: u32, other: ActorId, reason: StopReason) {
        let me = self.id_of(generation);
        let own = next_number();
        send(me, other, Bond::Made(own));
        send(me, other, Bond::Broken(Numbers { own, theirs: 0 }, reason));
    }

    /// Takes that back: nothing of the other's end is felt any more, not even if it is on its way.
    ///
    /// # Safety
    ///
    /// As for [`CellRef::link`].
    pub(crate) unsafe fn unlink(self, other: ActorId) {
        // SAFETY: H2, by the caller.
        let Some(extra) = (unsafe { (*self.owned()).extra.as_mut() }) else {
            return;
        };
        extra.broken.retain(|each| *each != other);
        if let Some(numbers) = extra.links.remove(other) {
            send(other, self.id(), Bond::Undone(numbers));
        }
    }

    /// A word about a link arrived, meant for the actor of `generation`.
    ///
    /// # Safety
    ///
    /// The caller owns the cell. May end the actor's current life.
    pub(super) unsafe fn bond(self, generation: u32, from: ActorId, bond: Bond) {
        // SAFETY: H2, by the caller.
        unsafe {
            if generation != self.generation() || (*self.owned()).phase == Phase::Dead {
                if let Bond::Made(own) = bond {
                    let numbers = Numbers { own, theirs: 0 };
                    let gone = self.id_of(generation);
                    send(from, gone, Bond::Broken(numbers, StopReason::NotFound));
                }
                return;
            }
            let links = &mut self.extra().links;
            match (bond, links.get_mut(from)) {
                (Bond::Made(theirs), Some(known)) => known.theirs = theirs,
                (Bond::Made(theirs), None) => {
                    links.insert(from, Numbers { own: 0, theirs });
                }
                (Bond::Undone(numbers), Some(known)) => {
                    if numbers.know(known.own) {
                        known.own = 0;
                    }
                    if numbers.know(known.theirs) {
                        known.theirs = 0;
                    }
                    if (known.own, known.theirs) == (0, 0) {
                        links.remove(from);
                    }
                }
                (Bond::Broken(numbers, reason), Some(known)) if known.share(numbers) => {
                    let unheard = known.own;
                    links.remove(from);
                    if unheard != 0 && !numbers.know(unheard) {
                        let numbers = Numbers {
                            own: unheard,
                            theirs: 0,
                        };
                        send(from, self.id(), Bond::Undone(numbers));
                    }
                    self.link_broken(from, reason);
                }
                // Unlinked meanwhile.
                (Bond::Undone(_) | Bond::Broken(..), _) => {}
            }
        }
    }

    /// The other end of a link is gone.
    unsafe fn link_broken(self, other: ActorId, reason: StopReason) {
        // SAFETY: H2, by the caller.
        unsafe {
            if !matches!((*self.owned()).phase, Phase::Starting | Phase::Running) {
                // This life is over, and the next one has not asked for this.
                return;
            }
            if let Some(proxy) = self.vtable().proxy {
                // The actor itself, where it is, shares the fate of the other or traps it.
                if is_failure(&reason) && (*self.owned()).flags.has(Flags::STATE) {
                    (proxy.link_broken)(self, other, reason);
                }
                return;
            }
            let extra = self.extra();
            if extra.trap_links {
                extra.broken.push(other);
                watch::notify_linked(self.id(), other, reason);
            } else if is_failure(&reason) {
                let fate = SharedFate::new(other, reason);
                self.fail(StopReason::Linked(std::sync::Arc::new(fate)));
            }
        }
    }

    /// This life has ended for `reason`: tells those it was linked with. `me` is who it was.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn sever_links(self, me: ActorId, reason: &StopReason) {
        // SAFETY: H2, by the caller.
        let Some(extra) = (unsafe { self.extra_if_any() }) else {
            return;
        };
        extra.broken.clear();
        for (other, numbers) in extra.links.take() {
            send(other, me, Bond::Broken(numbers, reason.clone()));
        }
    }

    /// Whether the notice of a broken link is still wanted.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn forget_broken(self, other: ActorId) -> bool {
        // SAFETY: H2, by the caller.
        let Some(extra) = (unsafe { self.extra_if_any() }) else {
            return false;
        };
        let at = extra.broken.iter().position(|each| *each == other);
        at.map(|at| extra.broken.remove(at)).is_some()
    }
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // Relaxed: only distinct.
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether an end takes the other side of a link down: all but those that somebody in charge wanted.
/// A kill does: it leaves half of a pair without an orderly end.
fn is_failure(reason: &StopReason) -> bool {
    !matches!(
        reason,
        StopReason::Normal | StopReason::Shutdown | StopReason::AutoShutdown
    )
}

fn send(to: ActorId, from: ActorId, bond: Bond) {
    let bond = SignalKind::Bond { from, bond };
    CellRef::of(to).signal(Signal::to_generation(to.generation(), bond));
}

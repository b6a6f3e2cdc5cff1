//! Moving an actor to another NUMA node, without anybody noticing but the clock.
//!
//! The address stays, because the cell stays: two cache lines that the new owner keeps in its cache. What
//! moves is where the actor runs, where its state lies, and where new messages for it are made.
//!
//! ```text
//!  worker of the old home                       worker of the new home
//!  signal -> no handler suspended? ->           state copied into its arena,
//!    place says the new home, cell is    -->    old block given back, on with the messages
//!    queued there, turn over
//! ```
//!
//! The copy is made by the new home, whose touch puts the page there even where `mbind` is refused. A
//! suspended handler borrows the state, so the move waits until it is done. Messages keep their order: there
//! is one inbox before and after, and the turn that moves is the only one there is.
//!
//! A sender that read the old place a moment ago may queue the cell there once more: that worker takes one
//! turn as a guest and sends the cell home (`turn::take_turn`).

use std::ptr::NonNull;

use super::birth;
use super::crossing;
use super::header::{CellRef, Flags};
use super::signal::{Signal, SignalKind};
use crate::mailbox::ledger::Count;
use crate::scheduler::Hint;

impl CellRef {
    /// Asks the owner to move the actor of that generation.
    pub(crate) fn move_home(self, generation: u32, numa_index: usize) {
        if self.generation() == generation {
            let kind = SignalKind::MoveTo(numa_index);
            self.signal(Signal::to_generation(generation, kind));
        }
    }

    /// Notes the order; carried out when no handler is suspended.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn move_asked(self, numa_index: usize) {
        if self.is_dedicated() {
            // Its thread is bound to its NUMA node; whoever asks is told so, but for the balancer's samples.
            return;
        }
        // SAFETY: H2, by the caller.
        unsafe {
            self.extra().move_to = Some(numa_index);
            (*self.owned()).flags.set(Flags::MOVE);
        }
    }

    /// Carries out the next step of a move. `true`: the cell is queued at its new home and no longer the
    /// caller's.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which is running and has no frame; it has published what it took.
    pub(super) unsafe fn step_of_move(self) -> bool {
        // SAFETY: H2, by the caller; no frame, so nobody borrows the state (frame F2).
        unsafe {
            let extra = self.extra();
            let Some(numa_index) = extra.move_to.take() else {
                (*self.owned()).flags.clear(Flags::MOVE);
                self.fetch_state();
                return false;
            };
            if numa_index == self.numa_index() {
                return false;
            }
            // The block stays where it is until the new home fetches it; the first of several moves counts.
            extra.state_arena.get_or_insert_with(|| self.arena());
            // What it has sent on lanes from here is delivered before it sends from elsewhere.
            crossing::settle_from(self.runtime(), self.numa_index());
            self.set_home(self.runtime().arena(numa_index), numa_index);
            self.runtime().count(Count::Moves, 1);
            self.schedule(Hint::Back);
            true
        }
    }

    /// Brings the state into the arena of the actor's home.
    unsafe fn fetch_state(self) {
        // SAFETY: H2, by the caller; the state is alive (the actor runs) and unborrowed, so it may be moved
        // as any Rust value may.
        unsafe {
            let Some(from) = self.extra().state_arena.take() else {
                return;
            };
            let (vtable, old) = (self.vtable(), self.state());
            if from == self.arena() || vtable.layout.size() == 0 {
                return;
            }
            let new = birth::alloc_state(self.arena(), vtable);
            let Some(new) = NonNull::new(new) else {
                // No memory there: it stays where it is, and the block is remembered.
                self.extra().state_arena = Some(from);
                return;
            };
            new.as_ptr()
                .copy_from_nonoverlapping(old, vtable.layout.size());
            (*self.owned()).state = new.as_ptr();
            birth::free_state(from, vtable, old);
        }
    }

    /// The arena that the state block came from.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn state_arena(self) -> u8 {
        // SAFETY: H2, by the caller.
        unsafe { self.extra_if_any() }
            .and_then(|extra| extra.state_arena)
            .unwrap_or_else(|| self.arena())
    }
}

//! The room in a mailbox, as its owner shows it to senders, and those who wait for it.

use super::header::{CellRef, Flags};
use crate::mailbox::waiters;

/// Shows senders the room there is.
///
/// # Safety
///
/// The caller owns the cell.
#[inline(always)]
pub(super) unsafe fn publish(cell: CellRef, left: u32) {
    // SAFETY: H2, by the caller.
    unsafe { cell.inbox().publish_taken(left) };
}

/// As `publish`, before the cell is left: also wakes those that wait for room.
///
/// With `eager` for whatever room there is; otherwise only when half of the mailbox is free. A sender
/// that is woken for each free place would be parked again at the next message; one that fills half a
/// mailbox pays for its sleep once in 512 messages.
///
/// # Safety
///
/// The caller owns the cell.
#[inline(always)]
pub(super) unsafe fn publish_and_wake(cell: CellRef, left: u32, eager: bool) {
    // SAFETY: H2, by the caller.
    unsafe {
        cell.inbox().publish_taken(left);
        let owned = cell.owned();
        if !(*owned).flags.is_bounded() {
            return;
        }
        if cell.inbox().clear_waiters() {
            (*owned).flags.set(Flags::WAITERS);
        }
        if (*owned).flags.has(Flags::WAITERS) {
            wake_waiters(cell, eager);
        }
    }
}

#[cold]
unsafe fn wake_waiters(cell: CellRef, eager: bool) {
    // SAFETY: H2, by the caller.
    unsafe {
        let (capacity, len) = (cell.inbox().capacity(), cell.inbox().len());
        let room = capacity.saturating_sub(len);
        let enough = if eager { 1 } else { capacity.div_ceil(2) };
        if room >= enough && !waiters::table().wake(cell.inbox(), room as usize) {
            (*cell.owned()).flags.clear(Flags::WAITERS);
        }
    }
}

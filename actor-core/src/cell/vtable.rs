//! What the untyped floor knows of an actor type.

use std::alloc::Layout;

use super::frame::FramePoll;
use super::header::CellRef;
use super::reason::StopReason;
use super::watch::Terminated;
use crate::memory::class::Class;

/// One per actor type.
#[derive(Debug)]
pub(crate) struct ActorVtable {
    pub(crate) type_name: fn() -> &'static str,
    pub(crate) layout: Layout,
    pub(crate) class: Class,
    /// Drops the state in its block; may panic.
    ///
    /// # Safety
    ///
    /// The block holds a live value that nobody borrows.
    pub(crate) drop_state: unsafe fn(*mut u8),
    /// Begins a hook: polls its future once and leaves it in `Owned::frame` if it is pending.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, whose state is alive and unborrowed.
    pub(crate) started: unsafe fn(CellRef) -> FramePoll,
    /// As `started`.
    pub(crate) stopped: unsafe fn(CellRef, StopReason) -> FramePoll,
    /// As `started`.
    pub(crate) terminated: unsafe fn(CellRef, Terminated) -> FramePoll,
}

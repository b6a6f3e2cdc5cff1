//! What the untyped floor knows of an actor type.

use std::alloc::Layout;
use std::any::TypeId;
use std::task::Context;

use super::frame::FramePoll;
use super::header::CellRef;
use super::reason::StopReason;
use super::signal::StopMode;
use super::watch::Terminated;
use crate::id::ActorId;
use crate::memory::class::Class;
use crate::trace::TraceContext;

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
    /// The trace that a message's context belongs to.
    ///
    /// # Safety
    ///
    /// The context is alive, or null.
    pub(crate) trace_of: unsafe fn(*mut ()) -> Option<TraceContext>,
    /// Of an actor elsewhere: the way there.
    pub(crate) proxy: Option<&'static ProxyVtable>,
    /// The Rust type, for whoever has an id and believes to know.
    pub(crate) kind: fn() -> TypeId,
}

/// What is done for an actor that lives elsewhere.
#[derive(Debug)]
pub(crate) struct ProxyVtable {
    /// Whether the next message may be forwarded; if not, the cell is woken when that changes.
    ///
    /// # Safety
    ///
    /// As for [`ActorVtable::started`].
    pub(crate) is_ready: unsafe fn(CellRef, &mut Context<'_>) -> bool,
    /// For now nothing more will be forwarded.
    ///
    /// # Safety
    ///
    /// As above.
    pub(crate) flush: unsafe fn(CellRef),
    /// Somebody wants the actor to stop.
    ///
    /// # Safety
    ///
    /// As above.
    pub(crate) stop: unsafe fn(CellRef, StopMode),
    /// An actor that it is linked with has failed.
    ///
    /// # Safety
    ///
    /// As above.
    pub(crate) link_broken: unsafe fn(CellRef, ActorId, StopReason),
}

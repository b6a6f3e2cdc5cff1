//! A suspended async handler or hook: the future, in a recycled block, behind three functions.
//!
//! # Invariants
//!
//! - F1: a frame is made, polled and dropped only by the owner of its cell.
//! - F2: the future borrows the actor's state and the frame's own `ActorContext`. Neither moves while
//!   the frame lives: the state lies in its block, the context in the frame, the frame in its block.
//!   The state is not touched otherwise while a frame lives.

use std::any::Any;
use std::ptr::NonNull;
use std::task::Context;

use super::header::CellRef;

/// The start of every frame.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Frame {
    pub(crate) vtable: &'static FrameVtable,
}

#[derive(Debug)]
pub(crate) struct FrameVtable {
    /// Polls the future; unless it is pending, the frame is gone afterwards, also after a panic.
    ///
    /// # Safety
    ///
    /// F1, F2; the frame is alive and of the cell's actor.
    pub(crate) poll: unsafe fn(NonNull<Frame>, CellRef, &mut Context<'_>) -> FramePoll,
    /// Drops the future without finishing it and frees the frame. Contains panics.
    ///
    /// # Safety
    ///
    /// F1; the frame is alive.
    pub(crate) cancel: unsafe fn(NonNull<Frame>),
    /// Whether another thread works on the actor's state right now, so that `cancel` would wait for it. If
    /// none does yet, none will: after `false` the frame is good for `cancel` only.
    ///
    /// # Safety
    ///
    /// F1; the frame is alive, and cancelled next if the answer is `false`.
    pub(crate) is_lent: unsafe fn(NonNull<Frame>) -> bool,
}

/// What a poll of a frame found.
#[derive(Debug)]
pub(crate) enum FramePoll {
    Pending,
    Done(FrameDone),
    Panicked(Box<dyn Any + Send>),
}

/// What a frame was for, once it is done.
#[derive(Debug)]
pub(crate) enum FrameDone {
    /// A message: for an ask the reply lies in the node.
    Message,
    /// The `started` hook: an error's text if it failed.
    Started(Result<(), String>),
    /// The `stopped` hook.
    Stopped,
    /// The `terminated` hook.
    Terminated,
}

//! What a timer does when its time has come.
//!
//! Most wake a task, and a task's waker is all that is needed. A timer of an actor puts a message into
//! a mailbox, which is two floors up: an [`Alarm`] is a block of memory behind two functions that the
//! floor above supplies. Not a `Waker` in disguise, because a waker must be clonable and the block, with
//! a message in it, is not.
//!
//! Both are code of others, and are called and dropped outside of the wheel's lock.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::Waker;

/// A block that was given away until its time comes: rung once, or dropped.
#[derive(Debug)]
pub(crate) struct Alarm {
    block: NonNull<()>,
    vtable: &'static AlarmVtable,
}

/// What can be done with the block.
#[derive(Debug)]
pub(crate) struct AlarmVtable {
    /// The time has come. Takes the block.
    ///
    /// # Safety
    ///
    /// The block is of the kind that the table is for and the caller's, who gives it up.
    pub(crate) ring: unsafe fn(NonNull<()>),
    /// The time will not come. Takes the block.
    ///
    /// # Safety
    ///
    /// As for `ring`.
    pub(crate) drop: unsafe fn(NonNull<()>),
}

// SAFETY: `Alarm::new`'s contract: the block may be used from any thread, by one at a time.
unsafe impl Send for Alarm {}

impl Alarm {
    /// # Safety
    ///
    /// The block is of the kind that `vtable` is for, the caller's, who gives it up, and may be used
    /// from any thread.
    pub(crate) unsafe fn new(block: NonNull<()>, vtable: &'static AlarmVtable) -> Self {
        Self { block, vtable }
    }

    fn ring(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: `new`'s contract; `this` is not dropped, so the block is given up once.
        unsafe { (this.vtable.ring)(this.block) };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: `new`'s contract; whoever drops the alarm gives up the block.
        unsafe { (self.vtable.drop)(self.block) };
    }
}

/// What a timer of the wheel carries.
#[derive(Debug)]
pub(super) enum Due {
    Wake(Waker),
    Ring(Alarm),
}

impl Due {
    /// Does it. May panic as far as a waker may.
    pub(super) fn now(self) {
        match self {
            Self::Wake(waker) => waker.wake(),
            Self::Ring(alarm) => alarm.ring(),
        }
    }
}

//! What the runtime says to a cell, beside the mailbox and ahead of it.

use std::sync::Arc;

use super::family::{Listed, Spec};
use super::header::CellRef;
use super::inspect::Inspection;
use super::links::Bond;
use super::monitor::EndSlot;
use super::names::Names;
use super::reason::StopReason;
use crate::id::ActorId;
use crate::mailbox::lane::Linked;

/// How an actor is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopMode {
    /// Handle what is in the mailbox first, then stop the children the same way, last child first.
    Drain,
    /// Stop after the message being handled; what waits becomes dead letters.
    Now,
    /// Stop at once: a handler suspended at an `.await` is cut off and its message counted as
    /// interrupted, and so is the `stopped` hook at its first `.await` that is not ready. A handler that
    /// does not await cannot be cut off; Rust has no way to.
    Kill,
}

/// One signal on its way.
#[derive(Debug)]
pub(super) struct Signal {
    pub(super) next: *mut Self,
    /// The generation it is meant for.
    pub(super) generation: u32,
    pub(super) kind: SignalKind,
}

#[derive(Debug)]
pub(super) enum SignalKind {
    Stop {
        mode: StopMode,
        reason: StopReason,
    },
    /// To a proxy: the actor that it stands for is to stop.
    StopThere(StopMode),
    /// From the parent: stop for good, and leave your specification to me.
    Terminate,
    /// From the parent: stop, and come back down to be started again with your siblings.
    Recycle,
    /// From the parent: your time to stop is over.
    CutOff,
    /// To the root: a child spawned from outside.
    Adopt {
        child: CellRef,
        listed: Option<Box<Listed>>,
    },
    /// To a parent: the child has sat out its back-off, as it was told to.
    ChildReady(CellRef),
    /// To a parent: a child that was told to stop is to be looked after.
    Alarm,
    /// To a parent: the child is down and its policy says restart.
    ChildDown {
        child: CellRef,
        name: Option<Arc<str>>,
        reason: StopReason,
    },
    /// To a parent: the child is gone; unlink and free it.
    ChildGone {
        child: CellRef,
        reusable: bool,
        spec: Option<Box<Spec>>,
    },
    /// To a child that is down.
    Restart(Grant),
    /// The registry gave the actor a name, or took it away.
    Named {
        name: std::sync::Arc<str>,
        names: &'static Names,
    },
    Watch(ActorId),
    /// A future waits for the end.
    Monitor(std::sync::Arc<EndSlot>),
    /// An actor's word about a link with it.
    Bond {
        from: ActorId,
        bond: Bond,
    },
    Unwatch(ActorId),
    /// To another NUMA node, by its index.
    MoveTo(usize),
    /// To a parent: a child that was held, and those it holds, are up.
    ChildStarted(CellRef),
    /// To a child that is held: start.
    Release,
    /// A look from outside.
    Inspect(Box<Inspection>),
}

/// What a child that is down is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    /// Start again after the back-off.
    AfterBackoff,
    /// Sit out the back-off and report.
    Prepare,
    /// Start again.
    AtOnce,
}

impl Linked for Signal {
    fn next(&mut self) -> &mut *mut Self {
        &mut self.next
    }
}

impl Signal {
    pub(super) fn to(cell: CellRef, kind: SignalKind) -> Box<Self> {
        Self::to_generation(cell.generation(), kind)
    }

    pub(super) fn to_generation(generation: u32, kind: SignalKind) -> Box<Self> {
        Box::new(Self {
            next: std::ptr::null_mut(),
            generation,
            kind,
        })
    }
}

/// Asks an actor to stop, by id: nothing happens if it has stopped.
impl CellRef {
    pub(crate) fn stop(self, generation: u32, mode: StopMode, reason: StopReason) {
        if self.generation() == generation {
            self.signal(Signal::to_generation(
                generation,
                SignalKind::Stop { mode, reason },
            ));
        }
    }

    /// Asks for a `Terminated` notice; an actor that is gone is reported at once.
    pub(crate) fn watch(self, generation: u32, watcher: ActorId) {
        // Also to a cell whose actor is gone: its turn answers NotFound.
        self.signal(Signal::to_generation(
            generation,
            SignalKind::Watch(watcher),
        ));
    }

    pub(crate) fn unwatch(self, generation: u32, watcher: ActorId) {
        if self.generation() == generation {
            self.signal(Signal::to_generation(
                generation,
                SignalKind::Unwatch(watcher),
            ));
        }
    }
}

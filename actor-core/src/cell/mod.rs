//! One actor: its cell, its turns, its life from spawn to the last dead letter.
//!
//! This floor is untyped. What it knows of an actor is a [`vtable::ActorVtable`]; the typed bridge is
//! `context::harness`, one floor up. Nothing here depends on user types, so it is compiled once.
//!
//! - `header`: the 128 bytes, the invariants, references and wakers;
//! - `turn`: one visit of a worker: signals first, then a budget of messages, panics caught;
//! - `life`: starting, failing, stopping; `again`: another life; `end`: what is owed to others at the end;
//! - `rehome`: moving to another NUMA node; `crossing`: messages from one to another;
//! - `dedicated`: having a thread of its own;
//! - `children`: the parent's side: who they are, stopping them in reverse; `failure`: deciding restarts,
//!   alone or in a group; `deadline`: those that do not stop; `administer`: stopping, starting and
//!   forgetting single ones; `family`: what has to be remembered for that;
//! - `tasks`: futures that are polled between the messages;
//! - `timers`: which timers still count; `stash`: messages put aside;
//! - `birth`: claiming a cell and moving in;
//! - `watch`, `links`, `monitor`: who hears of an end, and how;
//! - `names`: the registry;
//! - `census`: a walk over all of them from outside; `marks`: what it and the parent are told by a bit;
//! - `inspect`: a look at an actor, taken by its owner.
//! - `observe`, `simulated`: the test kit's windows; empty without the feature `testkit`.

mod administer;
mod again;
mod birth;
mod census;
mod children;
pub(crate) mod crossing;
mod deadline;
mod dedicated;
mod end;
mod extra;
mod failure;
mod family;
mod few;
mod frame;
mod header;
pub(crate) mod heaviest;
mod inspect;
mod life;
mod links;
mod local;
mod marks;
mod monitor;
mod names;
pub(crate) mod observe;
mod orders;
#[cfg(all(unix, not(miri)))]
pub(crate) mod overflow;
mod proxy;
mod reason;
pub(crate) mod recent;
mod rehome;
mod room;
mod running;
mod runtime;
mod sequence;
mod signal;
#[cfg(feature = "testkit")]
pub(crate) mod simulated;
mod spanning;
mod stall;
pub(crate) mod stamps;
mod stash;
mod tasks;
mod timers;
mod turn;
mod vtable;
mod watch;

pub(crate) use administer::{Child, ChildState, Refusal};
pub(crate) use birth::{Birth, Origin, SpawnFailure, spawn};
pub(crate) use census::{MARKS, Seen, census, glance, glance_at};
pub(crate) use extra::{Cause, Factory};
pub(crate) use frame::{Frame, FrameDone, FramePoll, FrameVtable};
pub(crate) use header::{CellRef, RestartPolicy};
pub(crate) use inspect::Inspection;
pub use inspect::{ActorPhase, ActorSnapshot};
pub(crate) use local::{
    Local, at_work, context_now, current_cell, ending, is_at_work, swap_context,
};
#[cfg(feature = "model")]
pub(crate) use local::{MESSAGES_PER_TURN, SENDS_BEFORE_EXPOSE};
pub(crate) use monitor::EndSlot;
pub(crate) use names::{Kind, NotHeld};
pub use reason::{Causes, Escalation, SharedFate, StopReason};
pub(crate) use running::publish_trace;
pub(crate) use runtime::{LogLimit, Runtime};
pub use signal::StopMode;
pub(crate) use spanning::{Begin, ContextHead, SpanHooks};
pub(crate) use stall::Stalled;
pub(crate) use stash::STASH_CAPACITY;
pub(crate) use tasks::{Drain, First, NotLent, TASKS_MAX, Task, Work, lend};
pub use timers::{Every, TimerId, TimerKey, TimerRef};
#[cfg(feature = "model")]
pub(crate) use turn::{CLOCK_EVERY, TURN_TIME};
pub(crate) use vtable::{ActorVtable, ProxyVtable};
pub(crate) use watch::OnEnd;
pub use watch::Terminated;

pub(crate) use crate::contain::contain;

//! The end of an actor: its identity is void, what waits becomes dead letters, those who care are told.
//!
//! All functions here run on the cell's owner (header H2).

use std::ptr::NonNull;

use super::birth;
use super::crossing;
use super::extra::ExtraBox;
use super::family::Spec;
use super::header::{CellRef, Flags, Phase};
use super::local::while_ending;
use super::observe::{self, Event, Hook};
use super::orders::process_signals;
use super::reason::StopReason;
use super::signal::{Signal, SignalKind};
use super::spanning;
use super::stamps;
use super::watch;
use crate::contain::{contain, log};
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{End, Fate, Node};
use crate::mailbox::waiters;
use crate::probes;
use crate::supervision::{OnPanic, Shutdown};

impl CellRef {
    /// The end of an actor that no worker will serve again: its system has stopped. Its hooks are not run.
    ///
    /// Reached by what a worker was kept from by a handler that never came back, and by an actor spawned
    /// from outside in the last moment of a shutdown.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn end_unserved(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            // Lent to a thread that still works on it: that thread comes by here when it is done.
            if (*owned).phase == Phase::Dead || self.is_lent() {
                return;
            }
            self.cut_off_frame();
            let extra = self.extra();
            if extra.stop_reason.is_none() {
                extra.stop_reason = Some(StopReason::Killed);
            }
            (*owned).flags.clear(Flags::any(
                Flags::RESTARTING.bits() | Flags::DRAIN.bits() | Flags::STOP.bits(),
            ));
            (*owned).flags.set(Flags::KILL);
            if self.child_count() == 0 {
                self.terminate();
            } else {
                // Their ends bring us back here.
                self.drop_state();
                (*owned).phase = Phase::StoppingChildren;
                self.kill_children();
            }
        }
    }

    /// The end: the identity is void, what waits becomes dead letters, those who care are told.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which has no frame and no children. It stays the owner.
    pub(super) unsafe fn terminate(self) {
        // SAFETY: H2, by the caller.
        unsafe {
            self.drop_state();
            self.cancel_restart();
            self.cancel_alarm();
            self.forget_kept();
            let spec = self.spec();
            let owned = self.owned();
            let id = self.id();
            let reason = self.stop_reason();
            observe::see(self.runtime(), || Event::Stopped {
                actor: id,
                reason: &reason,
            });
            probes::stop(id, self.vtable().type_name);
            (*owned).phase = Phase::Dead;
            self.quiet().vacate();
            birth::free_state(self.state_arena(), self.vtable(), self.state());
            (*owned).state = std::ptr::null_mut();
            let reusable = self.next_generation();
            self.sever_links(id, &reason);
            self.bury_stash();
            self.bury_messages();
            (*owned).flags.clear(Flags::WAITERS);
            waiters::table().wake(self.inbox(), usize::MAX);
            let extra = std::mem::replace(&mut (*owned).extra, std::ptr::null_mut());
            if let Some(extra) = NonNull::new(extra) {
                let extra = ExtraBox::from_raw(extra);
                if extra.name.is_some() {
                    self.runtime().labels().remove(id);
                }
                // Before anybody hears of the end (W06).
                for name in &extra.names {
                    self.runtime().names().release(name, id);
                }
                for (watcher, ()) in extra.watchers.iter() {
                    watch::notify(watcher, id, reason.clone());
                }
                for slot in &extra.monitors {
                    slot.tell(reason.clone());
                }
                for (watched, _) in extra.watching.iter() {
                    Self::of(watched).unwatch(watched.generation(), id);
                }
                // A factory holds user values.
                contain(move || drop(extra));
            }
            self.runtime().count(Count::Stopped, 1);
            let (parent, root) = (self.parent(), (*owned).flags.has(Flags::ROOT));
            (*owned).flags = Flags::NONE;
            // Before the parent hears of the end, who may want the thread for the next child.
            self.leave_thread();
            match parent {
                Some(parent) => {
                    let gone = SignalKind::ChildGone {
                        child: self,
                        reusable,
                        spec,
                    };
                    parent.signal(Signal::to(parent, gone));
                }
                None if root => self.runtime().ended().open(),
                None => {}
            }
        }
    }

    /// How to spawn this actor again, if its parent asked for that.
    pub(super) unsafe fn spec(self) -> Option<Box<Spec>> {
        // SAFETY: H2, by the caller.
        unsafe {
            let extra = self.extra_if_any().filter(|extra| extra.leaves_spec)?;
            let owned = self.owned();
            let on_panic = if (*owned).flags.has(Flags::RESUME) {
                OnPanic::Resume
            } else {
                OnPanic::Restart
            };
            Some(Box::new(Spec {
                factory: extra.factory.take()?,
                restarts: extra.restarts,
                birth: birth::Birth {
                    vtable: self.vtable(),
                    numa_index: self.numa_index(),
                    dedicated: self.is_dedicated(),
                    children_placement: extra.children_placement,
                    mailbox: extra.mailbox,
                    restart: (*owned).flags.restart(),
                    backoff: extra.backoff,
                    supervision: extra.supervision,
                    name: extra.name.clone(),
                    // What else the parent was told, it still knows.
                    registered: None,
                    shutdown: Shutdown::DEFAULT,
                    on_panic,
                    significant: false,
                    cause: None,
                    trap_links: extra.trap_links,
                    stash: extra.stash.capacity,
                    held: false,
                },
            }))
        }
    }

    /// Turns all that waits in the mailbox into dead letters, one by one: a `Drop` that panics takes
    /// none of the others with it (M20).
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn bury_messages(self) {
        // SAFETY: H2, by the caller; each node is owned once taken.
        unsafe {
            let owned = self.owned();
            loop {
                let mut at = std::mem::replace(&mut (*owned).fifo, std::ptr::null_mut());
                if at.is_null() {
                    let taken = self.inbox().take();
                    self.inbox().publish_taken(0);
                    if taken.waiters {
                        waiters::table().wake(self.inbox(), usize::MAX);
                    }
                    at = taken.first;
                }
                if at.is_null() {
                    return;
                }
                while let Some(node) = std::ptr::NonNull::new(at) {
                    at = Node::next(node);
                    self.end_node(node, End::Unhandled(Fate::ActorStopped));
                }
            }
        }
    }

    /// Ends one node and records its fate. A panic in a user's `Drop` is contained.
    ///
    /// # Safety
    ///
    /// The caller owns the node and gives it up.
    pub(super) unsafe fn end_node(self, node: std::ptr::NonNull<Node>, end: End) {
        // SAFETY: by the caller.
        unsafe {
            let (vtable, meta) = (node.as_ref().vtable, node.as_ref().meta);
            // Whom it was for: this may be at the end of that one, when the cell is the next one's.
            let target = self.id_of(node.as_ref().generation);
            if !node.as_ref().context.is_null() {
                spanning::ended(self.runtime(), target, node, end);
            }
            if let (End::Interrupted(fate) | End::Unhandled(fate), false) = (end, meta.internal) {
                let trace = spanning::trace_of(self, node);
                self.runtime()
                    .record_fate(fate, target, (vtable.message)(), trace);
                observe::see(self.runtime(), || Event::Unhandled {
                    actor: target,
                    message: (vtable.message)(),
                    fate,
                });
            }
            (vtable.finish)(node, end);
        }
    }

    /// Cuts off a suspended handler or hook.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn cut_off_frame(self) {
        // SAFETY: H2 and F1, by the caller.
        unsafe {
            let owned = self.owned();
            let frame = std::mem::replace(&mut (*owned).frame, std::ptr::null_mut());
            let Some(frame) = std::ptr::NonNull::new(frame) else {
                return;
            };
            if (*owned).flags.has(Flags::TIMED) {
                (*owned).flags.clear(Flags::TIMED);
                stamps::resume(self.runtime(), self);
            }
            (frame.as_ref().vtable.cancel)(frame);
            let current = std::mem::replace(&mut (*owned).current, std::ptr::null_mut());
            if let Some(node) = std::ptr::NonNull::new(current) {
                self.end_node(node, End::Interrupted(Fate::Interrupted));
            }
        }
    }

    /// Whether a thread of the blocking pool works on the state. If not, `cut_off_frame` is next: what had
    /// not begun has been taken back.
    pub(super) unsafe fn is_lent(self) -> bool {
        // SAFETY: H2 and F1, by the caller.
        unsafe {
            std::ptr::NonNull::new((*self.owned()).frame)
                .is_some_and(|frame| (frame.as_ref().vtable.is_lent)(frame))
        }
    }

    pub(super) unsafe fn drop_state(self) {
        // SAFETY: H2, by the callers, who have no frame; so nobody borrows the state (F2).
        unsafe {
            let owned = self.owned();
            self.end_timers();
            if !(*owned).flags.has(Flags::STATE) {
                return;
            }
            (*owned).flags.clear(Flags::STATE);
            self.cut_off_tasks();
            let (vtable, state) = (self.vtable(), self.state());
            // Replies that it holds back will not be given: it stopped.
            let dropped = while_ending(Fate::ActorStopped, || {
                contain(|| {
                    (vtable.drop_state)(state);
                    observe::strike(Hook::StateDrop, false, Some(self), "");
                })
            });
            if !dropped {
                log!(error,
                    actor = %self.id(), actor_type = (vtable.type_name)(),
                    "panicked in the Drop of its state"
                );
            }
        }
    }
}

/// Ends an actor whose system has no workers any more, and what waits in its cell.
///
/// # Safety
///
/// The caller owns the cell.
pub(super) unsafe fn bury(cell: CellRef) {
    // SAFETY: by the caller.
    unsafe {
        if (*cell.owned()).phase == Phase::Lane {
            crossing::last_turn(cell);
            return;
        }
        loop {
            cell.inbox().clear_notify();
            // Watches are answered and children that are gone unlinked; the rest is moot.
            process_signals(cell);
            cell.end_unserved();
            cell.bury_messages();
            // As in `attend`: the mark of a later signal may be gone, the signal is not.
            if cell.has_signals() {
                continue;
            }
            // A frame that is left has lent the state to a thread. Idle, the cell would not hear its call.
            let left = if (*cell.owned()).frame.is_null() {
                cell.inbox().finish(false)
            } else {
                cell.inbox().suspend()
            };
            if left {
                return;
            }
        }
    }
}

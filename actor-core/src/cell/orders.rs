//! What an actor does about each signal.

use super::family::Failure;
use super::header::{CellRef, Phase};
use super::observe::{self, Event};
use super::reason::StopReason;
use super::signal::{Signal, SignalKind};
use super::watch;

/// Handles the signals that wait, in the order they came.
pub(super) unsafe fn process_signals(cell: CellRef) {
    if !cell.has_signals() {
        return;
    }
    for signal in cell.take_signals() {
        // SAFETY: H2, by the caller.
        unsafe { process_signal(cell, *signal) };
    }
}

/// Lets the test kit see who takes whom for its parent.
#[inline(always)]
fn tell_of_child(cell: CellRef, kind: &SignalKind) {
    let (SignalKind::ChildDown { child, .. } | SignalKind::ChildGone { child, .. }) = kind else {
        return;
    };
    observe::see(cell.runtime(), || Event::FromChild {
        parent: cell.id(),
        // Its end has moved its generation on; it may have ended after it said that it is down.
        child: child.id_of(child.generation() - 1),
        or: child.id(),
    });
}

unsafe fn process_signal(cell: CellRef, signal: Signal) {
    // SAFETY: H2, by the caller. Signals about children reach only their parent, whose generation
    // cannot change before they are gone.
    unsafe {
        let meant = signal.generation == cell.generation();
        tell_of_child(cell, &signal.kind);
        match signal.kind {
            SignalKind::Watch(watcher) if !meant || (*cell.owned()).phase == Phase::Dead => {
                let gone = cell.id_of(signal.generation);
                watch::notify(watcher, gone, StopReason::NotFound);
            }
            SignalKind::Watch(watcher) => {
                let watchers = &mut cell.extra().watchers;
                if watchers.insert(watcher, ()).is_none() && watchers.len() == watch::MANY {
                    cell.note_many_watches();
                }
            }
            SignalKind::Monitor(slot) if !meant || (*cell.owned()).phase == Phase::Dead => {
                slot.tell(StopReason::NotFound);
            }
            SignalKind::Monitor(slot) => cell.monitored(slot),
            SignalKind::Bond { from, bond } => cell.bond(signal.generation, from, bond),
            SignalKind::Named { name, names } if !meant || (*cell.owned()).phase == Phase::Dead => {
                names.release(&name, cell.id_of(signal.generation));
            }
            SignalKind::Named { name, names } => cell.named(name, names),
            SignalKind::Unwatch(watcher) if meant => {
                if let Some(extra) = cell.extra_if_any() {
                    extra.watchers.remove(watcher);
                }
            }
            SignalKind::Stop { mode, reason } if meant => cell.stop_asked(mode, reason),
            SignalKind::StopThere(mode) if meant => cell.stop_there(mode),
            SignalKind::Restart(grant) if meant => cell.restart(grant),
            SignalKind::Terminate if meant => cell.terminate_asked(),
            SignalKind::Recycle if meant => cell.recycle(),
            SignalKind::CutOff if meant => cell.cut_off(),
            SignalKind::Alarm if meant => cell.alarm_rang(),
            // For an actor that is gone: nobody to stop, to restart or to forget.
            SignalKind::MoveTo(numa_index) if meant => cell.move_asked(numa_index),
            SignalKind::MoveTo(_) => {}
            SignalKind::Release if meant => cell.release(),
            SignalKind::Release => {}
            SignalKind::ChildStarted(child) => cell.child_up(child),
            SignalKind::Unwatch(_)
            | SignalKind::Stop { .. }
            | SignalKind::StopThere(_)
            | SignalKind::Restart(_)
            | SignalKind::Terminate
            | SignalKind::Recycle
            | SignalKind::CutOff
            | SignalKind::Alarm => {}
            SignalKind::Inspect(inspection) => cell.inspected(meant, *inspection),
            SignalKind::Adopt { child, listed } => {
                cell.link_child(child);
                if let Some(listed) = listed {
                    cell.enroll(child, *listed);
                }
                if cell.is_stopping() {
                    cell.see_off(child);
                }
            }
            SignalKind::ChildDown {
                child,
                name,
                reason,
            } => cell.child_down(Failure {
                child,
                name,
                reason,
            }),
            SignalKind::ChildReady(child) => cell.child_ready(child),
            SignalKind::ChildGone {
                child,
                reusable,
                spec,
            } => cell.child_gone(child, reusable, spec),
        }
    }
}

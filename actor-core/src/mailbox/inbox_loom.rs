//! Models of the inbox: no message and no signal is lost, nobody runs a cell twice, the bound holds.
//! Each weakened twin is caught.
//!
//! Who is told to schedule runs the owner's turn himself, as a worker would a moment later.

// std's: loom's would panic a second time when it is dropped after a violation was found.
use std::sync::Arc;

use super::super::node::{End, Meta, NodeVtable, Step};
use super::{Inbox, Look, Node, Protocol, Pushed, Sound};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{UnsafeCell, thread};
use std::ptr::NonNull;

struct RelaxedPush;
impl Protocol for RelaxedPush {
    const PUSH: Ordering = Ordering::Acquire;
}

struct RelaxedLeave;
impl Protocol for RelaxedLeave {
    const LEAVE: Ordering = Ordering::Relaxed;
}

struct RelaxedLook;
impl Protocol for RelaxedLook {
    const LOOK: Ordering = Ordering::Relaxed;
}

struct TakenLate;
impl Protocol for TakenLate {
    const TAKEN_FIRST: bool = false;
}

struct TwoSteps;
impl Protocol for TwoSteps {
    const ONE_STEP: bool = false;
}

struct BlindSuspend;
impl Protocol for BlindSuspend {
    const SUSPEND_LOOKS: bool = false;
}

static VTABLE: NodeVtable = NodeVtable {
    run,
    forward: run,
    finish,
    abandoned: |_| false,
    message: || "model",
};

unsafe fn run(_: NonNull<()>, _: NonNull<Node>) -> Step {
    unreachable!("the models handle messages themselves")
}

unsafe fn finish(_: NonNull<Node>, _: End) {
    unreachable!("the models end messages themselves")
}

#[repr(C, align(64))]
struct Message {
    node: Node,
    from: u32,
    number: u32,
}

fn message(from: u32, number: u32) -> NonNull<Node> {
    let node = Node {
        next: UnsafeCell::new(std::ptr::null_mut()),
        vtable: &VTABLE,
        context: std::ptr::null_mut(),
        generation: 0,
        meta: Meta {
            arena: 0,
            internal: false,
        },
    };
    NonNull::from(Box::leak(Box::new(Message { node, from, number }))).cast()
}

/// Ends a message and says who sent it. Its memory is not used again: an address that comes back by the
/// allocator's whim would make a model take another path the second time.
fn end(node: NonNull<Node>) -> (u32, u32) {
    // SAFETY: the models' nodes come from `message`, and the caller owns this one.
    let message = unsafe { node.cast::<Message>().as_ref() };
    (message.from, message.number)
}

/// A cell reduced to what the inbox guards.
struct Cell<P> {
    inbox: Inbox<P>,
    /// The signal lane: how many came.
    signals: AtomicU32,
    owned: UnsafeCell<Owned>,
}

// SAFETY: `owned` is the owner's (B1), which is what the models put to the test.
unsafe impl<P> Sync for Cell<P> {}
// SAFETY: as above.
unsafe impl<P> Send for Cell<P> {}

#[derive(Default)]
struct Owned {
    handled: Vec<(u32, u32)>,
    signals: u32,
}

impl<P: Protocol> Cell<P> {
    fn new(capacity: u32) -> Arc<Self> {
        Arc::new(Self {
            inbox: Inbox::new(capacity),
            signals: AtomicU32::new(0),
            owned: UnsafeCell::new(Owned::default()),
        })
    }

    fn send(&self, from: u32, number: u32) {
        // SAFETY: a fresh node.
        if unsafe { self.inbox.push(message(from, number)) } == Pushed::Schedule {
            self.turn();
        }
    }

    fn signal(&self) {
        // Relaxed: the inbox's edges are what is tested.
        self.signals.fetch_add(1, Ordering::Relaxed);
        if self.inbox.notify() {
            self.turn();
        }
    }

    fn handle(&self, node: NonNull<Node>) {
        let who = end(node);
        // SAFETY: we are the owner, says the inbox.
        self.owned
            .with_mut(|owned| unsafe { (*owned).handled.push(who) });
    }

    fn handle_chain(&self, mut at: *mut Node) {
        while let Some(node) = NonNull::new(at) {
            // SAFETY: taken, so ours.
            at = unsafe { Node::next(node) };
            self.handle(node);
        }
    }

    fn has_signals(&self) -> bool {
        self.signals.load(Ordering::Relaxed) != 0
    }

    fn take_signals(&self) {
        let n = self.signals.swap(0, Ordering::Relaxed);
        // SAFETY: as in `handle`.
        self.owned
            .with_mut(|owned| unsafe { (*owned).signals += n });
    }

    /// `cell::turn::run`, in short.
    fn turn(&self) {
        loop {
            if self.has_signals() {
                // SAFETY: we are the owner, until `close_after` or `finish`.
                unsafe { self.inbox.clear_notify() };
                self.take_signals();
            }
            // SAFETY: as above.
            unsafe {
                match self.inbox.look() {
                    Look::One(node, stamp) => {
                        // In place: read before it leaves the inbox, ended after.
                        let (from, number) = {
                            let message = node.cast::<Message>().as_ref();
                            (message.from, message.number)
                        };
                        self.owned
                            .with_mut(|owned| (*owned).handled.push((from, number)));
                        if !self.has_signals() && self.inbox.close_after(stamp) {
                            end(node);
                            return;
                        }
                        let above = self.inbox.take_above(node);
                        end(node);
                        self.handle_chain(above.first);
                        self.inbox.publish_taken(0);
                    }
                    Look::More => {
                        let taken = self.inbox.take();
                        self.handle_chain(taken.first);
                        self.inbox.publish_taken(0);
                    }
                    Look::Empty if self.inbox.finish(false) => return,
                    Look::Empty => {}
                }
            }
        }
    }

    /// Everything is over: the inbox is idle and what was handled is this much.
    fn assert_handled(&self, senders: u32, each: u32, signals: u32) {
        assert!(self.inbox.claim(0), "the inbox is not idle at the end");
        let (handled, seen) = self.owned.with(|owned| {
            // SAFETY: claimed, so ours.
            unsafe { ((*owned).handled.clone(), (*owned).signals) }
        });
        assert_eq!(seen, signals, "a signal is handled once");
        for sender in 0..senders {
            let numbers: Vec<u32> = handled
                .iter()
                .filter(|(from, _)| *from == sender)
                .map(|(_, number)| *number)
                .collect();
            assert_eq!(
                numbers,
                (0..each).collect::<Vec<_>>(),
                "sender {sender}: all, once, in order"
            );
        }
    }
}

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Two senders with two messages each; whoever wakes the cell runs it.
fn push_against_finish<P: Protocol + 'static>() {
    check(3, || {
        let cell = Cell::<P>::new(0);
        let theirs = cell.clone();
        let other = thread::spawn(move || {
            theirs.send(1, 0);
            theirs.send(1, 1);
        });
        cell.send(0, 0);
        cell.send(0, 1);
        other.join().unwrap();
        cell.assert_handled(2, 2, 0);
    });
}

/// A signal while the cell handles a message and goes idle.
fn notify_against_finish<P: Protocol + 'static>() {
    check(3, || {
        let cell = Cell::<P>::new(0);
        let theirs = cell.clone();
        let other = thread::spawn(move || {
            theirs.signal();
            theirs.signal();
        });
        cell.send(0, 0);
        other.join().unwrap();
        cell.assert_handled(1, 1, 2);
    });
}

/// A dead cell turns what comes into dead letters. A take removes the mark of a signal, so the lane is
/// looked at again before going idle (`cell::turn::attend`); the twin does not.
fn signal_to_the_dead(looks_again: bool) {
    check(3, move || {
        let cell = Cell::<Sound>::new(0);
        assert!(cell.inbox.claim(0));
        let theirs = cell.clone();
        let other = thread::spawn(move || theirs.signal());
        loop {
            // SAFETY: claimed above, ours until `finish`.
            unsafe {
                cell.inbox.clear_notify();
                cell.take_signals();
                cell.handle_chain(cell.inbox.take().first);
                if (!looks_again || !cell.has_signals()) && cell.inbox.finish(false) {
                    break;
                }
            }
        }
        other.join().unwrap();
        cell.assert_handled(0, 0, 1);
    });
}

/// An actor ends while somebody sends to it, and its cell is lived in again: the message is refused or
/// becomes one dead letter, and the next inhabitant never sees it (`cell::life::terminate`).
fn send_against_end<P: Protocol + 'static>() {
    struct Lives<P> {
        cell: Arc<Cell<P>>,
        generation: AtomicU32,
        dead_letters: AtomicU32,
    }

    impl<P: Protocol> Lives<P> {
        /// A turn in which nothing of generation 1 is handled any more.
        fn bury(&self) {
            // SAFETY: the caller owns the cell, until `finish`.
            unsafe {
                loop {
                    let mut at = self.cell.inbox.take().first;
                    while let Some(node) = NonNull::new(at) {
                        at = Node::next(node);
                        assert_eq!(end(node), (0, 1), "sent to the first inhabitant");
                        self.cell.owned.with_mut(|owned| (*owned).signals += 1);
                        self.dead_letters.fetch_add(1, Ordering::Relaxed);
                    }
                    if self.cell.inbox.finish(false) {
                        return;
                    }
                }
            }
        }
    }

    check(3, || {
        let lives = Arc::new(Lives {
            cell: Cell::<P>::new(0),
            generation: AtomicU32::new(1),
            dead_letters: AtomicU32::new(0),
        });
        assert!(lives.cell.inbox.claim(0));
        let theirs = lives.clone();
        let sender = thread::spawn(move || {
            // Acquire: as `CellRef::generation`.
            if theirs.generation.load(Ordering::Acquire) != 1 {
                return 0;
            }
            // SAFETY: a fresh node.
            if unsafe { theirs.cell.inbox.push(message(0, 1)) } == Pushed::Schedule {
                theirs.bury();
            }
            1
        });
        // Release: as `next_generation`.
        lives.generation.store(2, Ordering::Release);
        lives.bury();
        // The next inhabitant, unless a stale message is being buried there right now.
        if lives.cell.inbox.claim(0) {
            lives.bury();
        }
        let accepted = sender.join().unwrap();
        let dead_letters = lives.dead_letters.load(Ordering::Relaxed);
        assert_eq!(accepted, dead_letters, "accepted is accounted for");
    });
}

/// A suspended handler, and what wakes it: by `notify` with a signal or by a waker's `wake`.
fn wake_against_suspend<P: Protocol + 'static>(by_signal: bool) {
    check(3, move || {
        let cell = Cell::<P>::new(0);
        assert!(cell.inbox.claim(0));
        let theirs = cell.clone();
        let other = thread::spawn(move || {
            theirs.signals.fetch_add(1, Ordering::Relaxed);
            if by_signal {
                theirs.inbox.notify()
            } else {
                theirs.inbox.wake()
            }
            .then(|| handler(&theirs));
        });
        handler(&cell);
        // A message meanwhile waits its turn: it schedules nothing, or runs after the handler.
        cell.send(0, 0);
        other.join().unwrap();
        cell.assert_handled(1, 1, 1);
    });

    /// Polls until the signal is there, then handles messages and goes idle.
    fn handler<P: Protocol>(cell: &Cell<P>) {
        // SAFETY: we are the owner, until `suspend`.
        unsafe {
            loop {
                cell.inbox.clear_notify();
                cell.take_signals();
                if cell.owned.with(|owned| (*owned).signals) == 1 {
                    return cell.turn();
                }
                if cell.inbox.suspend() {
                    return;
                }
            }
        }
    }
}

/// A spawner claims a dead cell while a stale sender still pushes to it.
fn claim_against_stale_push<P: Protocol + 'static>() {
    check(3, || {
        let cell = Cell::<P>::new(0);
        let theirs = cell.clone();
        let stale = thread::spawn(move || theirs.send(0, 0));
        if cell.inbox.claim(7) {
            // SAFETY: claimed.
            cell.owned
                .with_mut(|owned| unsafe { (*owned).handled.reserve(1) });
            cell.turn();
        }
        stale.join().unwrap();
        cell.assert_handled(1, 1, 0);
    });
}

/// A mailbox of two with one message in it. The owner takes once, handles at most the one it looked at
/// in place, and stops there; two senders push meanwhile.
fn bound_holds<P: Protocol + 'static>(in_place: bool) {
    check(3, move || {
        let cell = Cell::<P>::new(2);
        assert!(cell.inbox.claim(2));
        // SAFETY: a fresh node.
        assert_eq!(unsafe { cell.inbox.push(message(9, 0)) }, Pushed::Queued);
        let senders: Vec<_> = (0..2)
            .map(|from| {
                let cell = cell.clone();
                thread::spawn(move || {
                    let node = message(from, 0);
                    // SAFETY: a fresh node; ours again when the mailbox is full.
                    match unsafe { cell.inbox.push(node) } {
                        Pushed::Full => drop(end(node)),
                        Pushed::Queued | Pushed::Crowded => {}
                        Pushed::Schedule => unreachable!("the cell has an owner"),
                    }
                })
            })
            .collect();
        // SAFETY: claimed above.
        let held = unsafe {
            match cell.inbox.look() {
                Look::One(node, _) if in_place => {
                    let taken = cell.inbox.take_above(node);
                    end(node);
                    taken
                }
                _ => cell.inbox.take(),
            }
        };
        for sender in senders {
            sender.join().unwrap();
        }
        let waiting = cell.inbox.len() - cell.inbox.taken();
        assert!(
            held.count + waiting <= 2,
            "{} taken and {waiting} waiting in a mailbox of 2",
            held.count
        );
        // SAFETY: claimed above; the first batch is walked before the second is taken.
        unsafe {
            cell.handle_chain(held.first);
            cell.handle_chain(cell.inbox.take().first);
        }
    });
}

#[test]
fn loom_inbox_push_against_finish() {
    push_against_finish::<Sound>();
}

#[test]
fn loom_inbox_notify_against_finish() {
    notify_against_finish::<Sound>();
}

#[test]
fn loom_inbox_signal_to_the_dead() {
    signal_to_the_dead(true);
}

#[test]
fn loom_inbox_notify_against_suspend() {
    wake_against_suspend::<Sound>(true);
}

#[test]
fn loom_inbox_wake_against_suspend() {
    wake_against_suspend::<Sound>(false);
}

#[test]
fn loom_inbox_claim_against_stale_push() {
    claim_against_stale_push::<Sound>();
}

#[test]
fn loom_inbox_send_against_end() {
    send_against_end::<Sound>();
}

#[test]
fn loom_inbox_bound_holds_against_a_take() {
    bound_holds::<Sound>(false);
}

#[test]
fn loom_inbox_bound_holds_in_place() {
    bound_holds::<Sound>(true);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_inbox_with_relaxed_push_is_caught() {
    push_against_finish::<RelaxedPush>();
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_inbox_with_relaxed_leave_is_caught() {
    push_against_finish::<RelaxedLeave>();
}

#[test]
#[should_panic]
fn loom_inbox_finish_in_two_steps_is_caught() {
    push_against_finish::<TwoSteps>();
}

#[test]
#[should_panic]
fn loom_inbox_notify_in_two_steps_is_caught() {
    notify_against_finish::<TwoSteps>();
}

#[test]
#[should_panic(expected = "a signal is handled once")]
fn loom_inbox_dead_that_do_not_look_again_are_caught() {
    signal_to_the_dead(false);
}

#[test]
#[should_panic]
fn loom_inbox_end_in_two_steps_is_caught() {
    send_against_end::<TwoSteps>();
}

#[test]
#[should_panic]
fn loom_inbox_blind_suspend_is_caught_by_notify() {
    wake_against_suspend::<BlindSuspend>(true);
}

#[test]
#[should_panic]
fn loom_inbox_blind_suspend_is_caught_by_wake() {
    wake_against_suspend::<BlindSuspend>(false);
}

#[test]
#[should_panic(expected = "Causality violation")]
fn loom_inbox_relaxed_suspend_is_caught() {
    wake_against_suspend::<RelaxedLeave>(false);
}

#[test]
#[should_panic]
fn loom_inbox_claim_in_two_steps_is_caught() {
    claim_against_stale_push::<TwoSteps>();
}

#[test]
#[should_panic(expected = "in a mailbox of 2")]
fn loom_inbox_bound_with_relaxed_look_is_caught() {
    bound_holds::<RelaxedLook>(false);
}

#[test]
#[should_panic(expected = "in a mailbox of 2")]
fn loom_inbox_bound_with_late_taken_is_caught() {
    bound_holds::<TakenLate>(false);
}

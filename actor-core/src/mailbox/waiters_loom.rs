//! Models of waiting for room: every sender gets in, whoever makes the room, and a turn that is not
//! used is handed on. Each twin leaves somebody waiting for ever.

// std's: loom's would panic a second time when it is dropped after a deadlock was found.
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::super::inbox::{Look, Pushed, Sound};
use super::super::node::{End, Meta, Node, NodeVtable, Step};
use super::{Inbox, Protocol, Waiters};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Condvar, Mutex, UnsafeCell, thread};

struct AnnounceAnywhere;
impl Protocol for AnnounceAnywhere {
    const ANNOUNCE_IN_PLACE: bool = false;
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
struct Message(Node);

fn message() -> NonNull<Node> {
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
    NonNull::from(Box::leak(Box::new(Message(node)))).cast()
}

/// Ends a message. Its memory is not used again: an address that comes back by the allocator's whim would
/// make a model take another path the second time.
fn end(_node: NonNull<Node>) {}

struct Bed {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Bed {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            rung: Mutex::new(false),
            bell: Condvar::new(),
        })
    }

    fn sleep(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !*rung {
            rung = self.bell.wait(rung).unwrap();
        }
        *rung = false;
    }
}

impl Wake for Bed {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.bell.notify_one();
    }
}

/// What the owner of a cell may do wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Careful,
    /// Handles in place, and goes idle, while it knows of waiters.
    InPlaceAlways,
    /// Does not remember that some still wait when it has woken as many as there is room for.
    ForgetsTheRest,
}

struct Cell<P> {
    inbox: Inbox<P>,
    waiters: Waiters,
    /// The owner knows of waiters.
    knows: UnsafeCell<bool>,
    handled: AtomicU32,
    owner: Owner,
}

// SAFETY: `knows` is the owner's (inbox B1).
unsafe impl<P> Sync for Cell<P> {}
// SAFETY: as above.
unsafe impl<P> Send for Cell<P> {}

impl<P: Protocol> Cell<P> {
    fn new(capacity: u32, owner: Owner) -> Arc<Self> {
        Arc::new(Self {
            inbox: Inbox::new(capacity),
            waiters: Waiters::new(),
            knows: UnsafeCell::new(false),
            handled: AtomicU32::new(0),
            owner,
        })
    }

    /// `context::send::Send`, in short.
    fn send(&self) {
        let bed = Bed::new();
        let waker = Waker::from(bed.clone());
        let mut line = None;
        let node = message();
        loop {
            if let Some(ticket) = line {
                if !self.waiters.is_woken(&self.inbox, ticket, &waker) {
                    bed.sleep();
                    continue;
                }
            }
            // SAFETY: ours as long as the answer is `Full`.
            let pushed = unsafe { self.inbox.push(node) };
            if pushed == Pushed::Full {
                match line {
                    Some(ticket) => _ = self.waiters.wait_again(&self.inbox, ticket, &waker),
                    None => line = self.waiters.wait(&self.inbox, &waker),
                }
                continue;
            }
            if pushed == Pushed::Schedule {
                self.turn();
            }
            if let Some(ticket) = line {
                self.waiters.leave(&self.inbox, ticket, true);
            }
            return;
        }
    }

    fn know(&self, of_waiters: bool) {
        // SAFETY: we are the owner, says the inbox.
        self.knows.with_mut(|knows| unsafe { *knows = of_waiters });
    }

    fn knows(&self) -> bool {
        // SAFETY: as above.
        self.knows.with(|knows| unsafe { *knows })
    }

    /// `cell::turn::next` and `publish_and_wake`, in short.
    fn turn(&self) {
        // SAFETY: we are the owner, until `close_after` or `finish`.
        unsafe {
            loop {
                match self.inbox.look() {
                    Look::One(node, stamp)
                        if !self.knows() || self.owner == Owner::InPlaceAlways =>
                    {
                        self.handled.fetch_add(1, Ordering::Relaxed);
                        if self.inbox.close_after(stamp) {
                            return end(node);
                        }
                        let above = self.inbox.take_above(node);
                        end(node);
                        self.receive(&above);
                    }
                    Look::One(..) | Look::More => {
                        let taken = self.inbox.take();
                        self.receive(&taken);
                    }
                    Look::Empty => {
                        self.make_room();
                        if self.inbox.finish(self.knows()) {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn receive(&self, taken: &super::super::inbox::Taken) {
        if taken.waiters {
            self.know(true);
        }
        let mut at = taken.first;
        while let Some(node) = NonNull::new(at) {
            // SAFETY: taken, so ours.
            at = unsafe { Node::next(node) };
            end(node);
            self.handled.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the owner.
        unsafe { self.inbox.publish_taken(0) };
    }

    fn make_room(&self) {
        // SAFETY: the owner.
        unsafe {
            self.inbox.publish_taken(0);
            if self.inbox.clear_waiters() {
                self.know(true);
            }
        }
        if self.knows() {
            let room = self.inbox.capacity().saturating_sub(self.inbox.len()) as usize;
            if room > 0
                && (!self.waiters.wake(&self.inbox, room) || self.owner == Owner::ForgetsTheRest)
            {
                self.know(false);
            }
        }
    }
}

fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// A mailbox of one, its message taken and not handled yet. Senders find it full, wait, and get in one
/// after the other.
fn everybody_gets_in<P: Protocol + 'static>(senders: u32, preemptions: usize, owner: Owner) {
    check(preemptions, move || {
        let cell = Cell::<P>::new(1, owner);
        assert!(cell.inbox.claim(1));
        // SAFETY: claimed: one message is with the owner.
        unsafe { cell.inbox.publish_taken(1) };
        let threads: Vec<_> = (0..senders)
            .map(|_| {
                let cell = cell.clone();
                thread::spawn(move || cell.send())
            })
            .collect();
        cell.turn();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(
            cell.handled.load(Ordering::Relaxed),
            senders,
            "each message is handled once"
        );
        assert!(
            cell.waiters.shard(&cell.inbox).lists.is_empty(),
            "nobody is left in line"
        );
    });
}

/// Two wait for one place. The first gives up, before or after it was woken: the second gets the place.
fn unused_turn_is_handed_on(says_so: bool) {
    check(3, move || {
        let cell = Cell::<Sound>::new(1, Owner::Careful);
        assert!(cell.inbox.claim(1));
        // SAFETY: claimed.
        unsafe { cell.inbox.publish_taken(1) };
        let (first, second) = (Bed::new(), Bed::new());
        let one = cell.waiters.wait(&cell.inbox, &first.into()).unwrap();
        let two = cell
            .waiters
            .wait(&cell.inbox, &second.clone().into())
            .unwrap();
        let theirs = cell.clone();
        let quitter = thread::spawn(move || {
            if says_so {
                theirs.waiters.leave(&theirs.inbox, one, false);
            }
        });
        cell.turn();
        quitter.join().unwrap();
        // Whoever woke it, it is awake now, or sleeps for ever.
        second.sleep();
        cell.waiters.leave(&cell.inbox, two, false);
    });
}

#[test]
fn loom_waiters_one_gets_in() {
    everybody_gets_in::<Sound>(1, 3, Owner::Careful);
}

#[test]
fn loom_waiters_two_get_in() {
    everybody_gets_in::<Sound>(2, 2, Owner::Careful);
}

#[test]
fn loom_waiters_unused_turn_is_handed_on() {
    unused_turn_is_handed_on(true);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_waiters_announced_anywhere_is_caught() {
    everybody_gets_in::<AnnounceAnywhere>(1, 3, Owner::Careful);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_waiters_passed_by_in_place_is_caught() {
    everybody_gets_in::<Sound>(2, 2, Owner::InPlaceAlways);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_waiters_forgotten_rest_is_caught() {
    everybody_gets_in::<Sound>(2, 2, Owner::ForgetsTheRest);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_waiters_kept_turn_is_caught() {
    unused_turn_is_handed_on(false);
}

//! Models of a batch lane: who goes past it overtakes nothing, nothing is lost, its turn is one at a time.
//! Each weakened twin is caught.
//!
//! An inbox is a list of numbers under a model's mutex: its own protocol has models of its own.

// std's: loom's would panic a second time when it is dropped after a violation was found.
use std::sync::Arc;

use super::super::node::{End, Meta, NodeVtable, Step};
use super::{Batch, BatchLane, Node, Protocol, Sound};
use crate::sync::atomic::Ordering;
use crate::sync::{UnsafeCell, thread};
use std::ptr::NonNull;

struct RelaxedPush;
impl Protocol for RelaxedPush {
    const PUSH: Ordering = Ordering::Relaxed;
}

struct RelaxedLook;
impl Protocol for RelaxedLook {
    const LOOK: Ordering = Ordering::Relaxed;
}

struct RelaxedLeave;
impl Protocol for RelaxedLeave {
    const LEAVE: Ordering = Ordering::Relaxed;
}

struct Unlocked;
impl Protocol for Unlocked {
    const LOCKED: bool = false;
}

struct IdleTooSoon;
impl Protocol for IdleTooSoon {
    const DELIVERED_FIRST: bool = false;
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
    number: UnsafeCell<u32>,
}

fn message(number: u32) -> NonNull<Node> {
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
    let number = UnsafeCell::new(number);
    NonNull::from(Box::leak(Box::new(Message { node, number }))).cast()
}

/// A lane and the inbox of the one actor it leads to. `inbox` is a cell that says when two touch it with no
/// edge between them; it stands for all that a delivery writes.
struct Pair<P: Protocol> {
    lane: BatchLane<P>,
    inbox: UnsafeCell<Vec<u32>>,
}

// SAFETY: loom's cell reports what is not ordered; that is what the models are for.
unsafe impl<P: Protocol> Sync for Pair<P> {}
// SAFETY: as above.
unsafe impl<P: Protocol> Send for Pair<P> {}

impl<P: Protocol + 'static> Pair<P> {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lane: BatchLane::new(),
            inbox: UnsafeCell::new(Vec::new()),
        })
    }

    fn deliver(&self, batch: &Batch) {
        let mut at = Some(batch.first);
        while let Some(node) = at {
            // SAFETY: D1.
            unsafe {
                at = NonNull::new(Node::next(node));
                let message = Box::from_raw(node.cast::<Message>().as_ptr());
                let number = message.number.with(|number| *number);
                self.handle(number);
            }
        }
    }

    fn handle(&self, number: u32) {
        // SAFETY: loom reports it if two do this at once.
        self.inbox
            .with_mut(|inbox| unsafe { (*inbox).push(number) });
    }

    /// By lane; runs the lane's turn if it falls to the caller.
    fn by_lane(&self, number: u32) -> bool {
        // SAFETY: fresh, given up.
        unsafe { self.lane.push(message(number)) }
    }

    fn turn(&self) {
        // SAFETY: the caller's push began it.
        while !unsafe { self.lane.drain(2, |batch| self.deliver(&batch)) } {
            thread::yield_now();
        }
    }

    fn settle(&self) {
        // SAFETY: `deliver` owns it.
        unsafe { self.lane.settle(|batch| self.deliver(&batch)) };
    }
}

/// A sender sends 1 by lane, then 2 past it as the rule says; the lane's turn runs on another thread.
fn overtakes<P: Protocol + 'static>(settles: bool) {
    loom::model(move || {
        let pair = Pair::<P>::new();
        assert!(pair.by_lane(1));
        let theirs = pair.clone();
        let turn = thread::spawn(move || theirs.turn());
        if settles {
            if !pair.lane.look().idle {
                pair.settle();
            }
        } else {
            while !pair.lane.look().idle {
                thread::yield_now();
            }
        }
        pair.inbox
            // SAFETY: all that may touch it has done so, or loom tells.
            .with(|inbox| assert_eq!(unsafe { (*inbox).as_slice() }, [1], "overtaken"));
        turn.join().unwrap();
        // SAFETY: the other thread has ended.
        pair.inbox
            .with(|inbox| assert_eq!(unsafe { (*inbox).as_slice() }, [1], "lost or doubled"));
    });
}

/// Two senders, one message each, and whoever is told to runs the turn.
fn two_senders<P: Protocol + 'static>() {
    loom::model(|| {
        let pair = Pair::<P>::new();
        let theirs = pair.clone();
        let other = thread::spawn(move || {
            if theirs.by_lane(1) {
                theirs.turn();
            }
        });
        if pair.by_lane(2) {
            pair.turn();
        }
        other.join().unwrap();
        assert!(pair.lane.look().idle, "somebody had the turn");
        pair.inbox.with(|inbox| {
            // SAFETY: the other thread has ended.
            let mut seen = unsafe { (*inbox).clone() };
            seen.sort_unstable();
            assert_eq!(seen, [1, 2]);
        });
    });
}

/// One sender's two messages by lane, while another settles: in order.
fn settled_between<P: Protocol + 'static>() {
    loom::model(|| {
        let pair = Pair::<P>::new();
        let mine = pair.by_lane(1);
        let theirs = pair.clone();
        let settler = thread::spawn(move || theirs.settle());
        pair.by_lane(2);
        assert!(mine);
        pair.turn();
        settler.join().unwrap();
        // SAFETY: the other thread has ended.
        pair.inbox
            .with(|inbox| assert_eq!(unsafe { (*inbox).as_slice() }, [1, 2]));
    });
}

#[test]
fn loom_batch_lane_idle_means_delivered() {
    overtakes::<Sound>(false);
}

#[test]
fn loom_batch_lane_settled_means_delivered() {
    overtakes::<Sound>(true);
}

#[test]
fn loom_batch_lane_of_two_senders() {
    two_senders::<Sound>();
}

#[test]
fn loom_batch_lane_settled_between() {
    settled_between::<Sound>();
}

#[test]
#[should_panic]
fn loom_batch_lane_idle_too_soon_is_overtaken() {
    overtakes::<IdleTooSoon>(false);
}

#[test]
#[should_panic]
fn loom_batch_lane_relaxed_look_is_caught() {
    overtakes::<RelaxedLook>(false);
}

#[test]
#[should_panic]
fn loom_batch_lane_relaxed_leave_is_caught() {
    overtakes::<RelaxedLeave>(false);
}

#[test]
#[should_panic]
fn loom_batch_lane_without_the_lock_is_caught() {
    overtakes::<Unlocked>(true);
}

#[test]
#[should_panic]
fn loom_batch_lane_without_the_lock_reorders() {
    settled_between::<Unlocked>();
}

#[test]
#[should_panic]
fn loom_batch_lane_relaxed_push_is_caught() {
    two_senders::<RelaxedPush>();
}

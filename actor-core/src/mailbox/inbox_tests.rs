//! The inbox on one thread and on real ones: order, counts, bounds, marks.

use std::sync::Arc;

use super::super::node::{End, Meta, NodeVtable, Step};
use super::*;
use crate::sync::{UnsafeCell, thread};

static VTABLE: NodeVtable = NodeVtable {
    run,
    forward: run,
    finish,
    abandoned: |_| false,
    message: || "test",
};

unsafe fn run(_: NonNull<()>, _: NonNull<Node>) -> Step {
    Step::Done
}

unsafe fn finish(node: NonNull<Node>, _: End) {
    end(node);
}

#[repr(C, align(64))]
struct Message {
    node: Node,
    number: u32,
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
    NonNull::from(Box::leak(Box::new(Message { node, number }))).cast()
}

/// Ends a message that is the caller's.
fn end(node: NonNull<Node>) -> u32 {
    // SAFETY: the nodes of these tests come from `message`, and the caller owns this one.
    unsafe { Box::from_raw(node.cast::<Message>().as_ptr()) }.number
}

fn send(inbox: &Inbox, number: u32) -> Pushed {
    let node = message(number);
    // SAFETY: a fresh node; ours again if it was refused.
    let pushed = unsafe { inbox.push(node) };
    if pushed == Pushed::Full {
        end(node);
    }
    pushed
}

/// Ends a chain of messages and lists them.
fn drain(mut at: *mut Node) -> Vec<u32> {
    let mut numbers = Vec::new();
    while let Some(node) = NonNull::new(at) {
        // SAFETY: taken, so ours.
        at = unsafe { Node::next(node) };
        numbers.push(end(node));
    }
    numbers
}

/// What the owner takes.
fn take(inbox: &Inbox) -> Taken {
    // SAFETY: these tests are the owner where they take.
    unsafe { inbox.take() }
}

fn finish_idle(inbox: &Inbox) -> bool {
    // SAFETY: as above.
    unsafe { inbox.finish(false) }
}

#[test]
fn only_the_first_push_into_an_idle_inbox_schedules() {
    let inbox = Inbox::<Sound>::new(0);
    assert_eq!(send(&inbox, 0), Pushed::Schedule);
    assert_eq!(send(&inbox, 1), Pushed::Queued);
    assert!(
        !finish_idle(&inbox),
        "an inbox with messages does not go idle"
    );
    assert_eq!(drain(take(&inbox).first), [0, 1]);
    assert!(finish_idle(&inbox));
    assert_eq!(send(&inbox, 2), Pushed::Schedule);
    drain(take(&inbox).first);
}

#[test]
fn messages_come_out_in_the_order_they_were_sent() {
    let inbox = Inbox::<Sound>::new(0);
    for batch in [0, 1, 2, 3, 100] {
        for number in 0..batch {
            assert_ne!(send(&inbox, number), Pushed::Full);
        }
        assert_eq!(inbox.len(), batch + inbox.taken());
        let taken = take(&inbox);
        assert_eq!(taken.count, batch);
        assert_eq!(drain(taken.first), (0..batch).collect::<Vec<_>>());
        // SAFETY: we are the owner.
        unsafe { inbox.publish_taken(0) };
        assert_eq!(inbox.len(), 0);
    }
}

#[test]
fn a_bound_counts_what_waits_and_what_was_taken() {
    let largest = if cfg!(miri) { 100 } else { CAPACITY_MAX };
    for capacity in [1, 2, 3, 64, largest] {
        let inbox = Inbox::<Sound>::new(capacity);
        for number in 0..capacity {
            assert_ne!(send(&inbox, number), Pushed::Full, "{number} of {capacity}");
        }
        assert_eq!(send(&inbox, 0), Pushed::Full);
        let taken = take(&inbox);
        assert_eq!((taken.count, inbox.taken()), (capacity, capacity));
        assert_eq!(
            send(&inbox, 0),
            Pushed::Full,
            "taken and not handled is not room"
        );
        // SAFETY: we are the owner.
        unsafe { inbox.publish_taken(capacity - 1) };
        assert_eq!(send(&inbox, 0), Pushed::Queued);
        assert_eq!(send(&inbox, 0), Pushed::Full);
        drain(taken.first);
        drain(take(&inbox).first);
    }
}

#[test]
fn our_own_notices_need_no_room() {
    let inbox = Inbox::<Sound>::new(1);
    assert_eq!(send(&inbox, 0), Pushed::Schedule);
    // SAFETY: a fresh node.
    assert_eq!(unsafe { inbox.push_always(message(1)) }, Pushed::Queued);
    assert_eq!(send(&inbox, 2), Pushed::Full);
    let taken = take(&inbox);
    assert_eq!((taken.count, inbox.taken()), (2, 2));
    assert_eq!(drain(taken.first), [0, 1]);
}

#[test]
#[cfg_attr(miri, ignore = "a hundred thousand messages take minutes there")]
fn the_count_saturates_and_the_batch_is_whole() {
    const MESSAGES: u32 = 100_000;
    let inbox = Inbox::<Sound>::new(0);
    for number in 0..MESSAGES {
        assert_ne!(send(&inbox, number), Pushed::Full);
    }
    assert_eq!(inbox.len(), 0xffff, "sixteen bits");
    let taken = take(&inbox);
    assert_eq!(taken.count, MESSAGES);
    assert_eq!(inbox.taken(), MESSAGES, "counted while it was turned round");
    assert_eq!(drain(taken.first), (0..MESSAGES).collect::<Vec<_>>());
}

#[test]
fn one_message_is_handled_in_place_and_closed_with_one_step() {
    let inbox = Inbox::<Sound>::new(4);
    // SAFETY: an idle inbox is nobody's; we claim it.
    unsafe {
        assert!(inbox.claim(4));
        assert_eq!(inbox.look(), Look::Empty);
        assert_eq!(send(&inbox, 0), Pushed::Queued);
        let Look::One(node, stamp) = inbox.look() else {
            panic!("one message is one message");
        };
        assert!(inbox.close_after(stamp));
        end(node);
        assert_eq!(send(&inbox, 1), Pushed::Schedule, "closing made it idle");
    }
    drain(take(&inbox).first);
}

#[test]
fn a_stamp_is_void_once_anything_has_come() {
    let inbox = Inbox::<Sound>::new(4);
    assert!(inbox.claim(4));
    // SAFETY: claimed.
    unsafe {
        for newcomer in [true, false] {
            assert_eq!(send(&inbox, 0), Pushed::Queued);
            let Look::One(node, stamp) = inbox.look() else {
                panic!("one message is one message");
            };
            if newcomer {
                assert_eq!(send(&inbox, 1), Pushed::Queued);
                assert_eq!(send(&inbox, 2), Pushed::Queued);
            } else {
                assert!(!inbox.notify(), "it has an owner");
            }
            assert!(!inbox.close_after(stamp));
            let above = inbox.take_above(node);
            assert_eq!(
                (above.count, above.notified),
                if newcomer { (2, false) } else { (0, true) }
            );
            assert_eq!(
                inbox.taken(),
                above.count,
                "the one in place is not counted any more"
            );
            assert_eq!(
                drain(above.first),
                if newcomer { vec![1, 2] } else { vec![] }
            );
            assert_eq!(end(node), 0);
            inbox.publish_taken(0);
        }
    }
}

#[test]
fn two_messages_or_a_mark_are_not_handled_in_place() {
    let inbox = Inbox::<Sound>::new(0);
    assert!(inbox.claim(0));
    assert_eq!(send(&inbox, 0), Pushed::Queued);
    assert!(!inbox.notify());
    // SAFETY: claimed.
    assert_eq!(unsafe { inbox.look() }, Look::More);
    let taken = take(&inbox);
    assert!(taken.notified);
    drain(taken.first);
    assert_eq!(send(&inbox, 0), Pushed::Queued);
    assert_eq!(send(&inbox, 1), Pushed::Queued);
    // SAFETY: claimed.
    assert_eq!(unsafe { inbox.look() }, Look::More);
    drain(take(&inbox).first);
}

#[test]
fn a_notification_schedules_the_idle_and_the_suspended_and_marks_the_running() {
    let inbox = Inbox::<Sound>::new(0);
    assert!(inbox.notify(), "idle: the notifier schedules");
    assert!(!inbox.notify(), "scheduled: a mark");
    // SAFETY: the first notification made us the owner.
    unsafe {
        assert!(
            !inbox.finish(false) && !inbox.suspend(),
            "a mark must be seen to"
        );
        assert!(inbox.clear_notify());
        assert!(!inbox.clear_notify());
        assert!(inbox.suspend());
    }
    assert_eq!(
        send(&inbox, 0),
        Pushed::Queued,
        "a suspended cell is not woken by messages"
    );
    assert!(inbox.wake(), "suspended: the waker schedules");
    assert!(!inbox.wake());
    // SAFETY: the wake made us the owner.
    unsafe {
        inbox.clear_notify();
        assert!(inbox.suspend());
    }
    assert!(inbox.notify(), "suspended: the notifier schedules");
    drain(take(&inbox).first);
    assert!(finish_idle(&inbox));
    assert!(!inbox.wake(), "an idle cell has nothing to wake");
    assert!(inbox.claim(0), "and stays idle");
}

#[test]
fn a_dead_cell_is_claimed_once_and_not_while_it_is_scheduled() {
    let inbox = Inbox::<Sound>::new(3);
    assert!(inbox.claim(5));
    assert_eq!((inbox.capacity(), inbox.taken(), inbox.len()), (5, 0, 0));
    assert!(!inbox.claim(5));
    assert!(finish_idle(&inbox));
    assert_eq!(send(&inbox, 0), Pushed::Schedule, "a stale push");
    assert!(!inbox.claim(5), "its message is being ended");
    drain(take(&inbox).first);
}

#[test]
fn a_waiter_announces_itself_only_where_it_is_full() {
    let inbox = Inbox::<Sound>::new(1);
    assert!(inbox.claim(1));
    assert!(!inbox.announce_waiter(), "there is room");
    assert_eq!(send(&inbox, 0), Pushed::Queued);
    assert!(inbox.announce_waiter());
    // SAFETY: claimed.
    unsafe {
        assert!(!inbox.suspend(), "somebody may wait who saw it full");
        assert!(inbox.clear_waiters());
        assert!(!inbox.clear_waiters());
        assert!(inbox.announce_waiter());
        let taken = inbox.take();
        assert!(taken.waiters);
        assert_eq!(drain(taken.first), [0]);
        assert!(inbox.announce_waiter(), "taken and not handled is not room");
        assert!(!inbox.finish(false), "the mark is in the way");
        inbox.publish_taken(0);
        assert!(inbox.clear_waiters());
        assert!(inbox.finish(true), "leaves word of those who still wait");
    }
    assert_eq!(send(&inbox, 1), Pushed::Schedule);
    let taken = take(&inbox);
    assert!(taken.waiters, "the next owner knows");
    drain(taken.first);
    assert!(
        !Inbox::<Sound>::new(0).announce_waiter(),
        "an unbounded mailbox has always room"
    );
}

#[test]
fn threads_lose_nothing_and_keep_their_order() {
    const SENDERS: u32 = 4;
    let each: u32 = if cfg!(miri) { 30 } else { 20_000 };
    let inbox = Arc::new(Inbox::<Sound>::new(64));
    assert!(inbox.claim(64));
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let inbox = inbox.clone();
            thread::spawn(move || {
                for number in 0..each {
                    while send(&inbox, sender << 24 | number) == Pushed::Full {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let mut next = [0; SENDERS as usize];
    while next.iter().sum::<u32>() < SENDERS * each {
        let taken = take(&inbox);
        assert!(
            taken.count <= 64 + SENDERS,
            "{} in a mailbox of 64",
            taken.count
        );
        for number in drain(taken.first) {
            let sender = (number >> 24) as usize;
            assert_eq!(number & 0xff_ffff, next[sender], "sender {sender}");
            next[sender] += 1;
        }
        // SAFETY: claimed.
        unsafe { inbox.publish_taken(0) };
        thread::yield_now();
    }
    for sender in senders {
        sender.join().expect("no panic");
    }
    assert!(finish_idle(&inbox));
}

use super::super::node::{End, Meta, NodeVtable, Step};
use super::*;
use crate::sync::UnsafeCell;

static VTABLE: NodeVtable = NodeVtable {
    run: |_, _| Step::Done,
    forward: |_, _| Step::Done,
    finish: |_: NonNull<Node>, _: End| {},
    abandoned: |_| false,
    message: || "test",
};

#[repr(C, align(64))]
struct Aligned(Node);

fn node(arena: u8, generation: u32) -> NonNull<Node> {
    let node = Node {
        next: UnsafeCell::new(std::ptr::null_mut()),
        vtable: &VTABLE,
        context: std::ptr::null_mut(),
        generation,
        meta: Meta {
            arena,
            internal: false,
        },
    };
    NonNull::from(Box::leak(Box::new(Aligned(node)))).cast()
}

/// The generations of a batch, oldest first; frees the nodes.
fn generations(batch: &Batch) -> Vec<u32> {
    let mut at = Some(batch.first);
    let mut seen = Vec::new();
    while let Some(node) = at {
        // SAFETY: the batch is ours; the nodes came from `node`.
        unsafe {
            at = NonNull::new(Node::next(node));
            Node::whom(node);
            seen.push(Box::from_raw(node.cast::<Aligned>().as_ptr()).0.generation);
        }
    }
    seen
}

fn push(lane: &BatchLane, generation: u32) -> bool {
    let node = node(1, generation);
    // SAFETY: a fresh node, given up.
    unsafe {
        Node::address_to(node, 7);
        lane.push(node)
    }
}

#[test]
fn an_address_is_written_over_the_head_and_taken_off_again() {
    let largest = (1 << 30) - 1;
    for index in [0, 1, 0xff_ffff, 0x100_0000, largest] {
        for (arena, generation) in [(0, 1), (255, (1 << 26) - 1), (3, 77)] {
            let node = node(arena, generation);
            // SAFETY: the node is ours.
            unsafe {
                Node::address_to(node, index);
                assert_eq!(Node::whom(node), index);
                let node = Box::from_raw(node.cast::<Aligned>().as_ptr()).0;
                assert_eq!((node.generation, node.meta.arena), (generation, arena));
                assert!(!node.meta.internal);
            }
        }
    }
}

#[test]
fn the_first_push_says_schedule_and_idle_comes_back_after_the_delivery() {
    let lane: BatchLane = BatchLane::new();
    assert!(lane.look().idle);
    assert!(push(&lane, 1));
    assert!(!push(&lane, 2));
    let view = lane.look();
    assert_eq!((view.idle, view.waiting), (false, 2));
    let mut seen = Vec::new();
    // SAFETY: the test has the turn, by the first push.
    let idle = unsafe {
        lane.drain(4, |batch| {
            assert!(!lane.look().idle, "not before it is delivered");
            seen.extend(generations(&batch));
            if seen.len() == 2 {
                assert!(!push(&lane, 3));
            }
        })
    };
    assert!(idle);
    assert_eq!(seen, [1, 2, 3]);
    assert!(lane.look().idle);
    assert!(push(&lane, 4));
    // SAFETY: as above.
    assert!(unsafe { lane.drain(4, |batch| drop(generations(&batch))) });
}

#[test]
fn settling_leaves_the_turn_to_who_has_it() {
    let lane: BatchLane = BatchLane::new();
    assert!(push(&lane, 1));
    let mut seen = Vec::new();
    // SAFETY: the closure owns the batch.
    unsafe { lane.settle(|batch| seen.extend(generations(&batch))) };
    assert_eq!(seen, [1]);
    assert!(!lane.look().idle, "its turn is still to come");
    assert!(!push(&lane, 2), "so nobody else schedules it");
    // SAFETY: the test has the turn.
    assert!(!unsafe { lane.drain(1, |batch| seen.extend(generations(&batch))) });
    // SAFETY: as above.
    assert!(unsafe { lane.drain(1, |batch| seen.extend(generations(&batch))) });
    assert_eq!(seen, [1, 2]);
    // SAFETY: nothing is given.
    unsafe { lane.settle(|_| unreachable!("idle")) };
}

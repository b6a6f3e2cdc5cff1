//! Memory and timers by NUMA node: boxes lie where they were allocated and go home from anywhere, timers
//! wait on the wheel of their actor's home, and the books of memory say so.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::Topology;
use actor_core::{CrossNumaStealing, NumaAllocError, NumaBox, NumaNodeId, SystemRef, TimerStats};
use common::*;

const HOUR: Duration = Duration::from_secs(3600);

/// Two pretended NUMA nodes with a worker each, and nobody takes actors of the other.
fn two_nodes() -> ActorSystem {
    ActorSystem::builder()
        .topology(Topology::pretend("2x1").unwrap())
        .cross_numa_stealing(CrossNumaStealing::Never)
        .build()
        .unwrap()
}

#[derive(Actor)]
struct Owner {
    boxes: Vec<NumaBox<[u64]>>,
}

#[messages]
impl Owner {
    /// Where the box lies.
    #[message]
    fn make(&mut self, len: usize, cx: &mut ActorContext<Self>) -> NumaNodeId {
        let boxed = cx
            .alloc_local_slice(len, |index| index as u64)
            .expect("memory");
        let node = boxed.numa_node();
        self.boxes.push(boxed);
        node
    }

    #[message]
    fn take(&mut self, boxed: NumaBox<[u64]>) {
        self.boxes.push(boxed);
    }

    #[message]
    fn give(&mut self, to: ActorRef<Self>) {
        for boxed in self.boxes.drain(..) {
            to.tell(Take { boxed }).expect("accepted");
        }
    }

    /// How many there are, and whether all lie at the actor's home and hold what was put in.
    #[message]
    fn bring(&mut self, cx: &mut ActorContext<Self>) -> (usize, bool) {
        let all = std::mem::take(&mut self.boxes);
        self.boxes = all
            .into_iter()
            .map(|boxed| cx.bring_home(boxed).expect("memory"))
            .collect();
        let whole = self.boxes.iter().all(|boxed| {
            let whole = boxed.iter().enumerate().all(|(at, n)| at as u64 == *n);
            boxed.numa_node() == cx.numa_node() && whole
        });
        (self.boxes.len(), whole)
    }

    #[message]
    fn keep(&mut self, boxed: NumaBox<u64>) -> NumaNodeId {
        boxed.numa_node()
    }

    /// Hands the boxes out of the system.
    #[message]
    fn release(&mut self, to: mpsc::Sender<Vec<NumaBox<[u64]>>>) {
        to.send(std::mem::take(&mut self.boxes))
            .expect("the test listens");
    }

    #[message]
    fn drop_all(&mut self) {
        self.boxes.clear();
    }

    #[message]
    fn arm(&mut self, timers: u32, cx: &mut ActorContext<Self>) {
        for _ in 0..timers {
            cx.send_after(HOUR, DropAll);
        }
    }

    #[message]
    fn disarm(&mut self, cx: &mut ActorContext<Self>) -> usize {
        cx.cancel_timers()
    }
}

fn owner_on(system: &SystemRef, node: NumaNodeId) -> ActorRef<Owner> {
    let owner = system.actor(|| Owner { boxes: Vec::new() });
    // Thousands of boxes are given at once.
    let owner = owner.mailbox(Mailbox::unbounded());
    owner.placement(Placement::Node(node)).spawn().unwrap()
}

fn waiting(system: &SystemRef) -> Vec<usize> {
    let stats = system.stats();
    let timers = stats.numa_nodes.iter().map(|numa| numa.timers);
    timers.map(|TimerStats { waiting, .. }| waiting).collect()
}

#[test]
fn m01_a_box_lies_at_its_makers_home_until_it_is_brought_to_another() {
    let system = two_nodes();
    let nodes = system.numa_nodes();
    let (here, there) = (owner_on(&system, nodes[0]), owner_on(&system, nodes[1]));
    for len in [0, 1, 60, 600, 6000, 100_000] {
        assert_eq!(here.make(len).blocking().unwrap(), nodes[0]);
    }
    here.give(there).blocking().unwrap();
    assert_eq!(there.bring().blocking().unwrap(), (6, true));
    // Moved itself, it has them elsewhere until it brings them after.
    there.move_to(nodes[0]).unwrap();
    assert_eq!(there.bring().blocking().unwrap(), (6, true));
    let (sender, boxes) = mpsc::channel();
    there.release(sender).blocking().unwrap();
    let boxes = boxes.recv().unwrap();
    finish(system);
    // The system is gone, its memory is not.
    assert_eq!(boxes.len(), 6);
    assert!(boxes.iter().all(|boxed| boxed.numa_node() == nodes[0]));
    assert_eq!(boxes[5][99_999], 99_999);
}

#[test]
fn m02_what_cannot_be_allocated_is_a_typed_error() {
    let system = two_nodes();
    let nodes = system.numa_nodes();
    let nowhere = NumaNodeId(77);
    let refused = system.alloc_on(nowhere, String::from("kept")).unwrap_err();
    assert_eq!(refused.value, "kept");
    assert_eq!(
        refused.error,
        NumaAllocError::NoSuchNode {
            asked: nowhere,
            existing: nodes.clone()
        }
    );
    assert_eq!(
        refused.to_string(),
        "numa77 has no workers: use one of numa0 numa1"
    );
    // More than any machine has.
    let error = system
        .alloc_slice_on(nodes[0], 1 << 46, |_| 0u8)
        .unwrap_err();
    assert!(
        matches!(error, NumaAllocError::NoMemory { bytes, .. } if bytes == 1 << 46),
        "{error}"
    );
    let error = system
        .alloc_slice_on(nodes[1], usize::MAX / 2, |_| 0u64)
        .unwrap_err();
    assert!(matches!(error, NumaAllocError::TooLarge { .. }), "{error}");
    let boxed = system.alloc_on(nodes[1], 7u64).unwrap();
    assert_eq!((*boxed, boxed.numa_node()), (7, nodes[1]));
    let owner = owner_on(&system, nodes[0]);
    assert_eq!(owner.keep(boxed).blocking().unwrap(), nodes[1]);
    finish(system);
}

#[test]
fn m03_what_is_freed_elsewhere_goes_home_in_batches_and_is_counted() {
    const BOXES: u64 = 2000;
    let system = two_nodes();
    let nodes = system.numa_nodes();
    let memory = || system.stats().numa_nodes[0].memory;
    let before = memory();
    let (here, there) = (owner_on(&system, nodes[0]), owner_on(&system, nodes[1]));
    for _ in 0..BOXES {
        here.make(16).blocking().unwrap();
    }
    here.give(there).blocking().unwrap();
    there.drop_all().blocking().unwrap();
    let after = memory();
    // A thread keeps up to two magazines of 63.
    let travelled = after.remote_frees - before.remote_frees;
    let batches = after.remote_batches - before.remote_batches;
    assert!(travelled >= BOXES - 126, "{travelled}");
    assert!(
        batches > 0 && batches < travelled / 4,
        "{travelled} in {batches}"
    );
    let classes = system.memory_classes();
    let (_, classes) = &classes[0];
    let class = classes
        .iter()
        .find(|class| class.block_bytes == 128)
        .unwrap();
    assert!(class.free_bytes >= travelled * 128, "{class:?}");
    assert!(class.reserved_bytes >= class.free_bytes, "{class:?}");
    finish(system);
}

#[test]
fn m04_timers_wait_on_the_wheel_of_their_actors_home() {
    let system = two_nodes();
    let nodes = system.numa_nodes();
    let owner = owner_on(&system, nodes[1]);
    owner.arm(100).blocking().unwrap();
    assert_eq!(waiting(&system), [0, 100]);
    // What was set before a move stays where it is and is cancelled there.
    owner.move_to(nodes[0]).unwrap();
    owner.arm(50).blocking().unwrap();
    assert_eq!(waiting(&system), [50, 100]);
    assert_eq!(owner.disarm().blocking().unwrap(), 150);
    assert_eq!(waiting(&system), [0, 0]);
    finish(system);
}

#[test]
fn m05_messages_and_states_above_a_page_are_counted_and_come_back() {
    struct Big([u8; 20_000]);
    impl Message for Big {
        type Reply = u8;
    }
    struct Wide([u8; 50_000]);
    impl Actor for Wide {}
    impl SyncHandler<Big> for Wide {
        fn handle(&mut self, Big(bytes): Big, _cx: &mut ActorContext<Self>) -> u8 {
            self.0[7] += bytes[19_999];
            self.0[7]
        }
    }
    let system = two_nodes();
    let nodes = system.numa_nodes();
    let wide = system.actor(|| Wide([1; 50_000]));
    let wide = wide.placement(Placement::Node(nodes[1])).spawn().unwrap();
    for n in 2..50 {
        assert_eq!(wide.ask_blocking(Big([1; 20_000])).unwrap(), n);
    }
    let memory = system.stats().numa_nodes[1].memory;
    // Its state, at least: other tests of this process have blocks there as well.
    assert!(memory.large_bytes >= 50_000, "{memory:?}");
    assert!(memory.large_blocks >= 1, "{memory:?}");
    wide.move_to(nodes[0]).unwrap();
    assert_eq!(wide.ask_blocking(Big([1; 20_000])).unwrap(), 50);
    finish(system);
}

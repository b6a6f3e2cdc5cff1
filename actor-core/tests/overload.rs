//! C8: at the memory limit messages are refused with themselves inside, and taken again once there is
//! room. A binary of its own, because the limit is the process's.

mod common;

use actor_core::prelude::*;
use common::{Gate, PATIENCE, settle};

const LIMIT: u64 = 16 << 20;
const PAYLOAD: usize = 4000;

struct Hoard(usize);
impl Actor for Hoard {}
struct Wait(Gate);
impl Message for Wait {
    type Reply = ();
}
impl SyncHandler<Wait> for Hoard {
    fn handle(&mut self, Wait(gate): Wait, _cx: &mut ActorContext<Self>) {
        gate.pass();
    }
}
struct Heavy([u8; PAYLOAD]);
impl Message for Heavy {
    type Reply = usize;
}
impl SyncHandler<Heavy> for Hoard {
    fn handle(&mut self, heavy: Heavy, _cx: &mut ActorContext<Self>) -> usize {
        self.0 += usize::from(heavy.0[PAYLOAD - 1]);
        self.0
    }
}

#[test]
fn c8_messages_over_the_memory_limit_come_back() {
    let system = ActorSystem::builder()
        .message_memory(LIMIT)
        .build()
        .unwrap();
    let hoard = system
        .actor(Hoard(0))
        .mailbox(Mailbox::unbounded())
        .spawn()
        .unwrap();
    for round in 1..=3 {
        let gate = Gate::new();
        hoard.tell(Wait(gate.clone())).unwrap();
        let mut taken = 0;
        let refused = loop {
            match hoard.tell(Heavy([1; PAYLOAD])) {
                Ok(()) => taken += 1,
                Err(error) => break error,
            }
            assert!(taken * PAYLOAD < 4 * LIMIT as usize, "there is no limit");
        };
        assert!(
            matches!(&refused, SendError::Overloaded { target, .. } if *target == hoard.id()),
            "{refused:?}"
        );
        assert!(refused.to_string().contains("memory limit"), "{refused}");
        assert_eq!(refused.into_message().0[0], 1);
        assert!(
            taken * PAYLOAD > LIMIT as usize / 4,
            "refused after {taken} messages"
        );
        let error = system.block_on(hoard.ask(Heavy([1; PAYLOAD]))).unwrap_err();
        assert!(
            matches!(&error, AskError::Overloaded { message, .. } if message.0[9] == 1),
            "{error:?}"
        );
        let error = system
            .block_on(hoard.send(Heavy([1; PAYLOAD])))
            .unwrap_err();
        assert!(matches!(&error, SendError::Overloaded { .. }), "{error:?}");
        // What the runtime itself needs is still there: actors start, stop and hear of each other.
        // Not on the NUMA node whose worker the gate holds, if that is its only one.
        let elsewhere = system
            .numa_nodes()
            .into_iter()
            .rfind(|node| *node != hoard.id().numa_node());
        let other = system
            .actor(Hoard(0))
            .placement(elsewhere.map_or(Placement::Inherit, Placement::Node))
            .spawn()
            .unwrap();
        other.stop();
        common::wait_until("it is dead", || !other.is_alive());

        gate.open();
        let books = settle(&system);
        assert_eq!(books.refused.overloaded, 3 * round);
        // And there is room again.
        hoard.ask_blocking(Heavy([0; PAYLOAD])).unwrap();
    }
    let report = system.shutdown_blocking(PATIENCE);
    assert!(
        report.is_clean() && report.conservation.holds_at_rest(),
        "{report}"
    );
}

mod groups;
mod log;
mod machine;
mod names;
mod simulation;

use std::num::NonZeroU16;
use std::sync::Arc;

use actor_core::NumaNodeId;

use super::entry::{Entry, Key};
use crate::id::PeerId;

fn peer(number: usize) -> PeerId {
    PeerId::new(&format!("peer-{number}")).unwrap()
}

fn entry(number: u64) -> Entry {
    weighing(number, 1)
}

fn weighing(number: u64, weight: u16) -> Entry {
    Entry {
        number,
        key: Key(!number),
        actor_type: Arc::from("tests::Worker"),
        numa_node: NumaNodeId(0),
        weight: NonZeroU16::new(weight).unwrap(),
    }
}

//! What the fuzzer calls, and `cargo test` with the corpus: datagrams about groups, and a machine that takes them.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actor_core::NumaNodeId;

use super::entry::{Entry, GroupLimits, Key};
use super::frames::Frame;
use super::machine::{Config, Groups};
use crate::id::{Incarnation, PeerId};
use crate::wire::fuzz::Target;

/// The decoders and machines by name.
pub(crate) const TARGETS: &[(&str, Target)] = &[("groups", groups), ("group_frames", frames)];

/// What decodes says the same when it is encoded again.
fn frames(data: &[u8]) {
    let Ok(frame) = Frame::decode(data) else {
        return;
    };
    let again = match &frame {
        Frame::Digest(digest) => digest.encode(),
        Frame::Delta { owner, delta } => delta.encode(*owner),
    };
    assert_eq!(again, data, "each value has one encoding");
    assert_eq!(
        Frame::decode(&again).expect("what was written is read"),
        frame
    );
}

/// A machine with members of its own, and a peer that says anything: each two bytes are the length of a datagram.
fn groups(data: &[u8]) {
    const ENTRIES_MAX: usize = 20;
    let name = |name: &str| PeerId::new(name).expect("a name");
    let now = Instant::now();
    let mut config = Config::new(name("own"), Incarnation(1), 7);
    config.chunk = 64;
    config.limits = GroupLimits {
        groups: 4,
        entries: ENTRIES_MAX,
        departures: 2,
    };
    let mut machine = Groups::new(config);
    let other = name("other");
    machine.handle_members([(&other, Incarnation(1))], now);
    for number in 0..6 {
        let entry = Entry {
            number,
            key: Key(number),
            actor_type: Arc::from("t"),
            numa_node: NumaNodeId(0),
            weight: NonZeroU16::MIN,
        };
        machine.join("g", entry).expect("there is room");
    }
    for number in 0..4 {
        machine.leave("g", number);
    }
    let mut rest = data;
    while let Some((len, more)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_le_bytes(*len)).min(more.len());
        let (datagram, more) = more.split_at(len);
        rest = more;
        machine.handle_datagram(&other, datagram, now);
        let mut sent = 0;
        while let Some(datagram) = machine.poll_transmit() {
            assert!(
                Frame::decode(&datagram.bytes).is_ok(),
                "what we write is read"
            );
            sent += 1;
            assert!(sent <= 2, "an answer and a question for each datagram");
        }
        while machine.poll_event().is_some() {}
        let (own, others) = machine.entries();
        assert!(own == 2 && others <= 2 * ENTRIES_MAX);
    }
    machine.handle_timeout(now + Duration::from_secs(60));
    machine.handle_members([], now);
    assert_eq!(machine.entries(), (2, 0));
    assert_eq!(machine.groups().count(), 1);
}

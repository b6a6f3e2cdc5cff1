//! What tests, the fuzzer and the simulation begin with.

use std::time::Duration;

use super::handshake::{Admission, Dial, Own, VERSIONS};
use super::hello::{ConnectionKind, Introduction};
use super::limits::Limits;
use crate::id::{ClusterId, Incarnation, PeerId};

/// A side with default limits.
pub(crate) fn own(peer: &str, incarnation: u64) -> Own {
    let limits = Limits::default();
    Own {
        versions: VERSIONS,
        features: 0,
        required: 0,
        who: Introduction {
            cluster: ClusterId::new("tests").expect("a name"),
            peer: PeerId::new(peer).expect("a name"),
            incarnation: Incarnation(incarnation),
            nonce: [7; 32],
            numa_nodes: vec![0],
            limits: limits.promised(),
            heartbeat_timeout_ms: 5000,
            schema: 1,
        },
        limits,
    }
}

/// A dial of a control connection to whoever is there.
pub(crate) fn dial() -> Dial {
    Dial {
        kind: ConnectionKind::Control,
        wanted: None,
        known: None,
        last_epoch: 0,
        received_through: 0,
    }
}

pub(crate) fn admission() -> Admission {
    Admission {
        session: 0x0102_0304,
        epoch: 1,
        received_through: 0,
    }
}

/// Limits that are soon reached.
pub(crate) fn small_limits() -> Limits {
    Limits {
        lane_frame: 32 << 10,
        fragment: 1024,
        message: 64 << 10,
        window_messages: 32,
        window_bytes: 32 << 10,
        window_large: 128 << 10,
        streams: 4,
        outbox_bytes: 64 << 10,
        outbox_messages: 64,
        credit_delay: Duration::from_millis(5),
        ..Limits::default()
    }
}

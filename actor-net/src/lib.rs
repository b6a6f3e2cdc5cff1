//! The network layer that will bridge actor systems over TCP. **It bridges nothing yet**: its lower floors
//! are being built.
//!
//! A reference to an actor elsewhere will be an ordinary `ActorRef`, whose cell forwards what it is sent.
//!
//! | floor | holds, or will hold |
//! |---|---|
//! | [`id`] | peers, clusters, incarnations |
//! | [`transport`] | bytes from here to there: TCP, TLS 1.3, who is on the other end |
//! | `wire` | what the bytes mean: pure state machines, no I/O, no clock |
//! | [`membership`] | who is there, who is suspected, who is gone |
//! | [`remote`] | the forwarding cell, message numbers, per-peer outboxes, remote watches |
//! | [`sharding`] | actors by key |
//! | [`cluster`] | the front door |

// Read on, top to bottom, and you have the architecture: each floor stands on those above it in this
// list and never imports from those below (`tests/floors.rs` keeps it so).

// Floor 0. Ground: what every floor stands on.
pub mod id;

// Floor 1. Bytes from here to there.
pub mod transport;

// Floor 2. What the bytes mean (no I/O, no clock).
pub(crate) mod wire;

// Floor 3. Who is there (no I/O, no clock).
pub mod membership {
    //! Who is there. Nothing yet.
}

// Floor 4. Actors over there.
pub mod remote;

// Floor 5. Actors by key.
pub mod sharding {
    //! Actors by key. Nothing yet.
}

// Floor 6. The front door.
pub mod cluster {
    //! The front door. Nothing yet.
}

pub use remote::export;

/// What the fuzz targets call (`fuzz/`): a decoder or machine of the wire by its name, and bytes for it.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz(target: &str, data: &[u8]) {
    let (_, run) = wire::fuzz::TARGETS
        .iter()
        .find(|(name, _)| *name == target)
        .expect("a target of wire::fuzz::TARGETS");
    run(data);
}

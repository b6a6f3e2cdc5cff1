//! The network layer: processes become peers of a cluster over TCP, and a reference to an actor elsewhere is an
//! ordinary `ActorRef`, whose cell forwards what it is sent. It begins at [`cluster::Cluster`].
//!
//! | floor | holds |
//! |---|---|
//! | [`id`] | peers, clusters, incarnations |
//! | `datagram` | what the machines of the upper floors say to each other |
//! | `simulation` | (tests only) a seeded network that drives those machines |
//! | [`transport`] | bytes from here to there: TCP, TLS 1.3, who is on the other end |
//! | `wire` | what the bytes mean: pure state machines, no I/O, no clock |
//! | [`peers`] | one association with every peer: dials, handshakes, the control connection, the lanes |
//! | [`membership`] | who is there, who is suspected, who is gone: no I/O, no clock |
//! | [`consensus`] | what all must agree on: members by epoch, owners of shards, unique names |
//! | [`remote`] | the forwarding cell, exported types, remote asks, watches, spawns |
//! | [`registry`] | groups of actors, names, who is nearest |
//! | [`sharding`] | actors by key, singletons |
//! | [`cluster`] | the front door |
//! | `console` | (feature `console`) what an operator sees: a page, JSON, metrics |

// Read on, top to bottom, and you have the architecture: each floor stands on those above it in this
// list and never imports from those below (`tests/floors.rs` keeps it so).

// Floor 0. Ground: what every floor stands on.
pub(crate) mod datagram;
pub mod id;
#[cfg(test)]
pub(crate) mod simulation;

// Floor 1. Bytes from here to there.
pub mod transport;

// Floor 2. What the bytes mean (no I/O, no clock).
pub(crate) mod wire;

// Floor 3. One association with every peer.
pub mod peers;

// Floor 4. Who is there (no I/O, no clock).
pub mod membership;

// Floor 5. What all must agree on.
pub mod consensus;

// Floor 6. Actors over there.
pub mod remote;

// Floor 7. Who is called what.
pub mod registry;

// Floor 8. Actors by key.
pub mod sharding;

// Floor 9. The front door.
pub mod cluster;

// Floor 10. What an operator sees.
#[cfg(feature = "console")]
pub mod console;

// Floor 11. What the fuzzer calls.
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;

pub use remote::export;

/// What the fuzz targets call (`fuzz/`): a decoder or machine by its name, and bytes for it.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn fuzz(target: &str, data: &[u8]) {
    let (_, run) = fuzz::targets()
        .find(|(name, _)| *name == target)
        .expect("a target of `fuzz::targets`");
    run(data);
}

/// The programs of the README are tests, and so are the samples of the guide.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/cluster.md")]
    struct Cluster;
}

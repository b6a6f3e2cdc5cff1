//! Whole clusters on one thread, in virtual time, as a seed decides.
//!
//! Each floor tests its machines on it by themselves; `cluster/simulated/` joins them to whole peers.
//!
//! The machines of the upper floors are pure, so a cluster of them is a value: [`Network`] holds one machine for
//! each peer, carries their datagrams, calls their timers, and lets everything happen to them that happens to
//! processes and networks: delay, loss, connections that break with what is on them, peers that are cut off
//! one way or both, that pause, crash, come back as another life, whose clocks run fast or slow. There is no
//! time but the network's, and no chance but the seed's: the same seed gives the same trace.
//!
//! What a connection promises (`datagram.rs`) it promises here too: datagrams come once and in order, or not
//! at all, and not to another life. [`Weather`] can be made worse than that, for machines that promise to bear it.
//!
//! `ACTOR_SEED=<n> cargo test ..` runs every seeded test with that one seed, `ACTOR_SEEDS=<n>` with so many.

mod network;
mod random;
mod weather;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Instant;

use crate::datagram::Datagram;
use crate::id::{Incarnation, PeerId};

pub(crate) use network::Network;
pub(crate) use random::Random;
pub(crate) use weather::Weather;

/// A pure machine of an upper floor, as the network drives it: as the driver of the cluster does.
pub(crate) trait Machine {
    /// Its `Debug` goes into the trace: it must not show an `Instant`, which is another one in each run.
    type Event: fmt::Debug;

    fn handle_datagram(&mut self, from: &PeerId, bytes: &[u8], now: Instant);

    fn handle_timeout(&mut self, now: Instant);

    /// There is a connection with that life of a peer.
    fn handle_connected(&mut self, _peer: &PeerId, _incarnation: Incarnation, _now: Instant) {}

    /// There is none any more.
    fn handle_disconnected(&mut self, _peer: &PeerId, _now: Instant) {}

    fn poll_transmit(&mut self) -> Option<Datagram>;

    /// When `handle_timeout` is to be called.
    fn poll_timeout(&mut self) -> Option<Instant>;

    fn poll_event(&mut self) -> Option<Self::Event>;
}

/// Runs a test for each of so many seeds; for `ACTOR_SEEDS` of them, or only for `ACTOR_SEED`, where these are set. A
/// test that panics says with which seed.
pub(crate) fn for_seeds(count: u64, mut test: impl FnMut(u64)) {
    let number = |name: &str| {
        let text = std::env::var(name).ok();
        text.map(|text| {
            text.parse::<u64>()
                .unwrap_or_else(|_| panic!("{name} is a number"))
        })
    };
    let seeds = match number("ACTOR_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ACTOR_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        let failing = SayOnPanic(seed);
        test(seed);
        drop(failing);
    }
}

struct SayOnPanic(u64);

impl Drop for SayOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {0}; replay: ACTOR_SEED={0}", self.0);
        }
    }
}

//! What the machine model in `benches/numa_model` is made of: the queues and the pure decisions, by hand.
//!
//! Feature `model`. **Not part of the interface**: it changes without notice and is hidden from the docs.
//! A model that ran copies of these would say nothing about the runtime.

use std::time::Duration;

use crate::clock::Tick;
use crate::context::{self, Load};
use crate::id::{ActorId, NumaNodeId};
use crate::locality::{self, Balancing};
use crate::{cell, memory, system};

pub use crate::scheduler::stepped::{Beyond, Counts, Next, Source, Stepped};

/// Messages that a turn may handle.
pub const MESSAGES_PER_TURN: u32 = cell::MESSAGES_PER_TURN;
/// A turn that takes longer ends, if it looks at the clock.
pub const TURN_TIME: Duration = cell::TURN_TIME;
/// Messages between two looks at the clock.
pub const CLOCK_EVERY: u32 = cell::CLOCK_EVERY;
/// Sends in one turn after which the LIFO slot is opened to thieves.
pub const SENDS_BEFORE_EXPOSE: u32 = cell::SENDS_BEFORE_EXPOSE;
/// Blocks that go to and from a depot at a time.
pub const MAGAZINE: usize = memory::MAGAZINE;
/// Sends between two samples of one worker.
pub const SAMPLE_EVERY: u32 = locality::SAMPLE_EVERY;
/// Time between two looks of the balancer.
pub const BALANCER_INTERVAL: Duration = system::BALANCER_INTERVAL;

/// The NUMA index that `Placement::Key` means among `numa_nodes` numbered from 0.
pub fn by_key(key: u64, numa_nodes: usize) -> usize {
    let nodes = (0..numa_nodes).map(|index| NumaNodeId(u8::try_from(index).unwrap_or(u8::MAX)));
    context::by_key(key, nodes)
}

/// The NUMA index that `Placement::LeastLoaded` means, from (queued, workers, asleep) of each.
pub fn least_loaded(loads: &[(usize, usize, usize)], first: usize) -> usize {
    let load = |&(work, workers, asleep): &(usize, usize, usize)| Load {
        work,
        workers,
        asleep,
    };
    let loads: Vec<Load> = loads.iter().map(load).collect();
    context::lightest(&loads, first)
}

/// The balancer, and the rows in which workers leave samples for it.
#[derive(Debug)]
pub struct Balancer {
    balancer: locality::Balancer,
    traffic: locality::Traffic,
    /// By worker: samples so far.
    samples: Vec<u32>,
}

impl Balancer {
    /// For workers of these NUMA indices.
    pub fn new(options: Balancing, numa_nodes: usize, workers: &[usize]) -> Self {
        let traffic = locality::Traffic::new(workers.len(), numa_nodes);
        for (worker, &numa_index) in workers.iter().enumerate() {
            traffic.row(worker).set_numa_index(numa_index);
        }
        Self {
            balancer: locality::Balancer::new(options, numa_nodes, Tick(1)),
            traffic,
            samples: vec![0; workers.len()],
        }
    }

    /// A worker has sent that actor the message, one in [`SAMPLE_EVERY`], of which it leaves a sample.
    pub fn sample(&mut self, worker: usize, actor: u32) {
        let number = &mut self.samples[worker];
        let target = ActorId::new(0, actor, 1);
        self.traffic.row(worker).sample(*number, target);
        *number = number.wrapping_add(1);
    }

    /// The balancer's look at that time since its start: actors, and the NUMA indices they go to.
    pub fn poll(&mut self, now: Duration, home: impl Fn(u32) -> usize) -> Vec<(u32, usize)> {
        for row in self.traffic.rows() {
            for target in row.take_samples() {
                self.balancer.handle_sample(target, row.numa_index());
            }
        }
        let moves = self
            .balancer
            .poll_moves(Tick(1).after(now), |actor| Some(home(actor.index())));
        moves
            .into_iter()
            .map(|each| (each.actor.index(), each.to))
            .collect()
    }
}

//! The balancer before a measurement: the runtime's own balancer and sampling rows, in virtual seconds.
//!
//! A run of some milliseconds is too short for a balancer that thinks in seconds. So who talks to whom is
//! drawn from the workload, each worker leaves a full row of samples between two looks, and what the
//! balancer says is done, until it has said nothing for a while.

use actor_core::Balancing;
use actor_core::model::{BALANCER_INTERVAL, Balancer};

use crate::machine::Machine;
use crate::random::Random;
use crate::workload::Workload;

/// Moves actors between the homes given; how many moves.
pub(crate) fn settle(
    machine: &Machine,
    workload: &Workload,
    options: Balancing,
    homes: &mut [usize],
    random: &mut Random,
) -> u64 {
    let seats = machine.seats();
    // Drawing changes a workload that counts; what is measured is another copy.
    let workload = &mut workload.clone();
    let mut balancer = Balancer::new(options, machine.sockets, &seats);
    let (mut moves, mut quiet) = (0, 0);
    let mut turn = vec![0_usize; machine.sockets];
    for look in 0..LOOKS_MAX {
        for _ in 0..SAMPLES * machine.cores() {
            let (from, to) = workload.edge(random);
            // The workers of a NUMA node take turns.
            let socket = homes[from];
            let core = socket * machine.cores_per_socket + turn[socket] % machine.cores_per_socket;
            turn[socket] += 1;
            balancer.sample(core, to as u32);
        }
        let due = balancer.poll(BALANCER_INTERVAL * look, |actor| homes[actor as usize]);
        quiet = if due.is_empty() { quiet + 1 } else { 0 };
        moves += due.len() as u64;
        for (actor, to) in due {
            homes[actor as usize] = to;
        }
        if quiet > QUIET {
            break;
        }
    }
    moves
}

/// What a row holds.
const SAMPLES: usize = 64;
/// A minute.
const LOOKS_MAX: u32 = 600;
/// Two seconds.
const QUIET: u32 = 20;

//! What is settled before the first thread starts: whether the seats fit the machine, and who is numbered how.

use std::io;

use crate::id::WorkerId;
use crate::scheduler::config::SeatSpec;
use crate::scheduler::seat::Place;

/// The places of each NUMA node's spares: numbered behind all workers, in order.
pub(super) fn spare_places(workers: usize, members: &[usize], spares: &[usize]) -> Vec<Vec<Place>> {
    let mut next = workers;
    let at_home = |(numa_index, (&members, &spares)): (usize, (&usize, &usize))| {
        let place = |i| Place {
            // The builder keeps the sum below.
            worker: WorkerId(u16::try_from(next + i).unwrap_or(u16::MAX)),
            numa_index,
            index: next + i,
            slot: members + i,
        };
        let places = (0..spares).map(place).collect();
        next += spares;
        places
    };
    members
        .iter()
        .zip(spares)
        .enumerate()
        .map(at_home)
        .collect()
}

/// Whether every NUMA node has a worker, and every worker a NUMA node.
pub(super) fn check(seats: &[SeatSpec], distances: &[Vec<u32>]) -> io::Result<()> {
    let refuse = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let nodes = distances.len();
    if seats.is_empty() {
        return refuse("a scheduler needs at least one worker; 0 seats given".to_owned());
    }
    for (from, row) in distances.iter().enumerate() {
        if row.len() != nodes {
            let len = row.len();
            return refuse(format!(
                "distances must be square: {nodes} NUMA nodes, but {len} distances from index {from}"
            ));
        }
        if !seats.iter().any(|seat| seat.numa_index == from) {
            return refuse(format!(
                "NUMA index {from} of {nodes} has no worker; its tasks would never run"
            ));
        }
    }
    match seats.iter().find(|seat| seat.numa_index >= nodes) {
        Some(SeatSpec {
            worker, numa_index, ..
        }) => refuse(format!(
            "{worker} sits at NUMA index {numa_index}, but there are {nodes} NUMA nodes"
        )),
        None => Ok(()),
    }
}

//! Pretended machines: `2x4` is two NUMA nodes of four CPUs each.
//!
//! They show how a program behaves on a machine one does not have: the same placement, the same
//! stealing order, the same lanes. Real CPUs take turns in playing the pretended ones, in order, so
//! threads are pinned and timings mean nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{CpuId, NumaNodeId};

use super::error::{PretendReason, TopologyError};
use super::machine::{
    CpuPart, DISTANCE_LOCAL, DISTANCE_UNKNOWN, NumaNodePart, Parts, Pinning, Source, Topology,
};

/// The machine that `value` describes, played by the CPUs `real` (none: threads stay unpinned).
pub(super) fn topology(value: &str, real: &[CpuId]) -> Result<Topology, TopologyError> {
    let shape = Shape::parse(value).map_err(|reason| TopologyError::InvalidPretend {
        variable: None,
        value: value.to_owned(),
        reason,
    })?;
    let id = |node: u32| NumaNodeId(node as u8); // at most 64, checked by `parse`
    let all = shape.nodes + shape.memory_only;
    let numa_nodes = (0..all).map(|node| NumaNodePart {
        id: id(node),
        memory_bytes: None,
        has_memory: true,
        memory_allowed: true,
    });
    let cpus = (0..shape.nodes * shape.cpus).map(|cpu| {
        let node = cpu / shape.cpus;
        CpuPart {
            id: CpuId(cpu),
            numa_node: Some(id(node)),
            package: Some(node),
            core: CpuId(cpu),
            cache: Some(CpuId(node * shape.cpus)),
        }
    });
    let distances = (0..all)
        .flat_map(|a| (0..all).map(move |b| (a, b)))
        .map(|(a, b)| {
            let distance = if a == b {
                DISTANCE_LOCAL
            } else {
                shape.distance
            };
            ((id(a), id(b)), distance)
        })
        .collect::<BTreeMap<_, _>>();
    Topology::assemble(Parts {
        source: Source::Pretend,
        numa_nodes: numa_nodes.collect(),
        cpus: cpus.collect(),
        allowed: (0..shape.nodes * shape.cpus)
            .map(CpuId)
            .collect::<BTreeSet<_>>(),
        offline: Vec::new(),
        distances,
        cpu_quota: None,
        pinning: Pinning::Stand(real.to_vec()),
    })
}

/// `NODESxCPUS[+MEMORY][@DISTANCE]`, in numbers.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    nodes: u32,
    cpus: u32,
    memory_only: u32,
    distance: u32,
}

impl Shape {
    fn parse(value: &str) -> Result<Self, PretendReason> {
        let rest = value.trim();
        let (rest, distance) = split(rest, '@');
        let (rest, memory_only) = split(rest, '+');
        let (nodes, cpus) = rest.split_once(['x', 'X']).ok_or(PretendReason::Shape)?;
        let nodes = number("the number of NUMA nodes", nodes, 1, NODES_MAX)?;
        let cpus = number(
            "the number of CPUs per NUMA node",
            cpus,
            1,
            CPUS_PER_NODE_MAX,
        )?;
        let memory_only = match memory_only {
            Some(text) => number(
                "the number of memory-only NUMA nodes",
                text,
                0,
                NODES_MAX - nodes,
            )?,
            None => 0,
        };
        let distance = match distance {
            // 255 means "unreachable" in ACPI.
            Some(text) => number("the distance between NUMA nodes", text, DISTANCE_LOCAL, 254)?,
            None => DISTANCE_UNKNOWN,
        };
        Ok(Self {
            nodes,
            cpus,
            memory_only,
            distance,
        })
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn number(part: &'static str, text: &str, min: u32, max: u32) -> Result<u32, PretendReason> {
    let given = text.trim();
    if given.is_empty() || !given.bytes().all(|b| b.is_ascii_digit()) {
        let given = given.to_owned();
        return Err(PretendReason::NotANumber { part, given });
    }
    // Digits that do not parse are too many of them.
    match given.parse::<u32>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(PretendReason::OutOfRange {
            part,
            given: given.to_owned(),
            min,
            max,
        }),
    }
}

/// More than any machine Linux runs on has sockets with memory; `NumaNodeId` would hold 256.
const NODES_MAX: u32 = 64;
const CPUS_PER_NODE_MAX: u32 = 1024;

#[cfg(test)]
mod tests;

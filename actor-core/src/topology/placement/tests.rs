use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{PlacementError, Seat, WORKERS_MAX, Workers, nearest_order, plan};
use crate::id::{CpuId, NumaNodeId};
use crate::topology::Topology;
use crate::topology::machine::{CpuPart, CpuQuota, NumaNodePart, Parts, Pinning, Source};

/// A machine whose CPUs are (NUMA node, core, allowed), numbered from 0.
fn machine(cpus: &[(u8, u32, bool)], quota: Option<CpuQuota>) -> Topology {
    let nodes: BTreeSet<u8> = cpus.iter().map(|cpu| cpu.0).chain([200]).collect();
    // A core is named by its first CPU.
    let first = |core| CpuId(cpus.iter().position(|cpu| cpu.1 == core).unwrap() as u32);
    let cpu = |(at, (node, core, _)): (usize, &(u8, u32, bool))| CpuPart {
        id: CpuId(at as u32),
        numa_node: Some(NumaNodeId(*node)),
        package: None,
        core: first(*core),
        cache: None,
    };
    let allowed = cpus.iter().enumerate().filter(|(_, cpu)| cpu.2);
    let node = |id: &u8| NumaNodePart {
        id: NumaNodeId(*id),
        memory_bytes: None,
        has_memory: true,
        memory_allowed: true,
    };
    Topology::assemble(Parts {
        source: Source::Sysfs,
        numa_nodes: nodes.iter().map(node).collect(), // 200 is memory only
        cpus: cpus.iter().enumerate().map(cpu).collect(),
        allowed: allowed.map(|(at, _)| CpuId(at as u32)).collect(),
        offline: Vec::new(),
        distances: BTreeMap::new(),
        cpu_quota: quota,
        pinning: Pinning::Direct,
    })
    .unwrap()
}

fn shown(seats: &[Seat]) -> Vec<(u8, u32)> {
    seats
        .iter()
        .map(|seat| (seat.numa_node.0, seat.cpu.unwrap().0))
        .collect()
}

/// NUMA node 0: cores {0,2} {1,3}; NUMA node 1: cores {4,6} {5,7}, 5 forbidden.
fn two_by_two_cores() -> Topology {
    machine(
        &[
            (0, 0, true),
            (0, 1, true),
            (0, 0, true),
            (0, 1, true),
            (1, 2, true),
            (1, 3, false),
            (1, 2, true),
            (1, 3, true),
        ],
        None,
    )
}

#[test]
fn each_wish() {
    let machine = two_by_two_cores();
    for (wish, seats) in [
        (
            Workers::Auto,
            vec![(0, 0), (0, 1), (0, 2), (0, 3), (1, 4), (1, 6), (1, 7)],
        ),
        (
            Workers::PerCpu,
            vec![(0, 0), (0, 1), (0, 2), (0, 3), (1, 4), (1, 6), (1, 7)],
        ),
        (Workers::PerCore, vec![(0, 0), (0, 1), (1, 4), (1, 7)]),
        (Workers::Count(1), vec![(0, 0)]),
        (Workers::Count(2), vec![(0, 0), (1, 4)]),
        (Workers::Count(3), vec![(0, 0), (0, 1), (1, 4)]),
        // Separate cores before siblings: 7 before 6.
        (Workers::Count(4), vec![(0, 0), (0, 1), (1, 4), (1, 7)]),
        (
            Workers::Count(7),
            vec![(0, 0), (0, 1), (0, 2), (0, 3), (1, 4), (1, 6), (1, 7)],
        ),
        // A second lap starts when every CPU has a worker.
        (
            Workers::Count(8),
            vec![
                (0, 0),
                (0, 1),
                (0, 2),
                (0, 3),
                (1, 4),
                (1, 4),
                (1, 6),
                (1, 7),
            ],
        ),
        (Workers::PerNumaNode(1), vec![(0, 0), (1, 4)]),
        (
            Workers::PerNumaNode(4),
            vec![
                (0, 0),
                (0, 1),
                (0, 2),
                (0, 3),
                (1, 4),
                (1, 4),
                (1, 6),
                (1, 7),
            ],
        ),
    ] {
        let planned = plan(&machine, wish).unwrap();
        assert_eq!(shown(&planned), seats, "{wish:?}");
        let workers: Vec<usize> = planned.iter().map(|seat| seat.worker.0.into()).collect();
        assert!(workers.into_iter().eq(0..planned.len()), "{wish:?}");
    }
}

#[test]
fn auto_asks_for_no_more_than_the_quota_keeps_busy() {
    let quota = CpuQuota::new(250_000, 100_000);
    let machine = machine(&[(0, 0, true); 4].map(|_| (0, 0, true)), quota);
    assert_eq!(plan(&machine, Workers::Auto).unwrap().len(), 3);
    assert_eq!(plan(&machine, Workers::PerCpu).unwrap().len(), 4);
}

#[test]
fn none_and_too_many_are_refused_with_the_range() {
    let machine = two_by_two_cores();
    for wish in [Workers::Count(0), Workers::PerNumaNode(0)] {
        let error = plan(&machine, wish).unwrap_err();
        assert_eq!(error, PlacementError::NoWorkers { asked: wish });
        assert!(
            error
                .to_string()
                .ends_with("is no worker at all, a system has 1 to 4096")
        );
    }
    for (wish, total) in [
        (Workers::Count(4097), 4097),
        (Workers::PerNumaNode(2049), 4098),
        (Workers::PerNumaNode(usize::MAX), usize::MAX),
    ] {
        let error = plan(&machine, wish).unwrap_err();
        assert_eq!(error, PlacementError::TooManyWorkers { asked: wish, total });
    }
    assert_eq!(
        plan(&machine, Workers::Count(WORKERS_MAX)).unwrap().len(),
        WORKERS_MAX
    );
    let huge = Topology::pretend("64x1024").unwrap();
    let message = "Auto comes to 65536 workers, a system has 1 to 4096; ask for Count of fewer";
    assert_eq!(plan(&huge, Workers::Auto).unwrap_err().to_string(), message);
}

#[test]
fn nearest_first_in_groups_and_oneself_alone() {
    // Columns: 0 1 2 3; firmware claims that 1 is as near to 0 as 0 itself.
    let rows = [
        [10, 10, 21, 14],
        [11, 10, 21, 21],
        [21, 21, 10, 11],
        [14, 21, 11, 10],
    ];
    let node = |id: u8| NumaNodePart {
        id: NumaNodeId(id),
        memory_bytes: None,
        has_memory: true,
        memory_allowed: true,
    };
    let cpu = |id: u32| CpuPart {
        id: CpuId(id),
        numa_node: Some(NumaNodeId(0)),
        package: None,
        core: CpuId(id),
        cache: None,
    };
    let pairs = (0..4_u8).flat_map(|a| (0..4_u8).map(move |b| (a, b)));
    let machine = Topology::assemble(Parts {
        source: Source::Sysfs,
        numa_nodes: (0..4).map(node).collect(),
        cpus: vec![cpu(0)],
        allowed: [CpuId(0)].into(),
        offline: Vec::new(),
        distances: pairs
            .map(|(a, b)| {
                (
                    (NumaNodeId(a), NumaNodeId(b)),
                    rows[usize::from(a)][usize::from(b)],
                )
            })
            .collect(),
        cpu_quota: None,
        pinning: Pinning::Direct,
    })
    .unwrap();
    let order = |from| {
        let groups = nearest_order(&machine, NumaNodeId(from));
        groups
            .iter()
            .map(|group| group.iter().map(|id| id.0).collect())
            .collect::<Vec<Vec<u8>>>()
    };
    assert_eq!(order(0), [vec![0], vec![1], vec![3], vec![2]]);
    assert_eq!(order(1), [vec![1], vec![0], vec![2, 3]]);
    assert_eq!(order(3), [vec![3], vec![2], vec![0], vec![1]]);
    // One that does not exist is far from all.
    assert_eq!(order(9), [vec![0, 1, 2, 3]]);
}

fn machines() -> impl Strategy<Value = Topology> {
    let cpu = (0_u8..5, 0_u32..12, proptest::bool::weighted(0.7));
    proptest::collection::vec(cpu, 1..40).prop_map(|mut cpus| {
        cpus[0].2 = true;
        machine(&cpus, None)
    })
}

proptest! {
    #[test]
    fn per_cpu_uses_every_allowed_cpu_once(machine in machines()) {
        let seats = plan(&machine, Workers::PerCpu).unwrap();
        let mut used: Vec<CpuId> = seats.iter().map(|seat| seat.cpu.unwrap()).collect();
        used.sort_unstable();
        prop_assert_eq!(used, machine.allowed());
    }

    #[test]
    fn seats_are_allowed_ordered_even_and_at_home(
        machine in machines(),
        count in 1_usize..100,
        kind in 0..4,
    ) {
        let wish = match kind {
            0 => Workers::Count(count),
            1 => Workers::PerNumaNode(count),
            2 => Workers::PerCore,
            _ => Workers::Auto,
        };
        let seats = plan(&machine, wish).unwrap();
        let mut load = BTreeMap::<CpuId, usize>::new();
        for (at, seat) in seats.iter().enumerate() {
            let cpu = machine.cpu(seat.cpu.unwrap()).unwrap();
            prop_assert!(cpu.allowed);
            prop_assert_eq!(cpu.numa_node, seat.numa_node);
            prop_assert_eq!(usize::from(seat.worker.0), at);
            *load.entry(cpu.id).or_default() += 1;
        }
        prop_assert!(seats.is_sorted_by_key(|seat| (seat.numa_node, seat.cpu)));
        match wish {
            Workers::Count(count) => {
                prop_assert_eq!(seats.len(), count);
                let load = |cpu| load.get(cpu).copied().unwrap_or(0);
                let most = machine.allowed().iter().map(load).max().unwrap();
                let least = machine.allowed().iter().map(load).min().unwrap();
                prop_assert!(most - least <= 1, "{} and {}", most, least);
            }
            Workers::PerCore => {
                let mut cores = BTreeSet::new();
                let mine = seats.iter().map(|seat| machine.cpu(seat.cpu.unwrap()).unwrap());
                prop_assert!(mine.into_iter().all(|cpu| cores.insert((cpu.numa_node, cpu.core))));
            }
            _ => {}
        }
    }
}

use proptest::prelude::*;

use super::{Shape, topology};
use crate::id::{CpuId, NumaNodeId};
use crate::topology::{Source, TopologyError};

#[test]
fn every_form_of_the_grammar() {
    for (value, nodes, cpus, memory_only, distance) in [
        ("2x4", 2, 4, 0, 20),
        (" 2X4\n", 2, 4, 0, 20),
        ("1x1", 1, 1, 0, 20),
        ("64x1024", 64, 1024, 0, 20),
        ("2x4+1", 2, 4, 1, 20),
        ("2x4@21", 2, 4, 0, 21),
        ("2x4+62@254", 2, 4, 62, 254),
    ] {
        let shape = Shape {
            nodes,
            cpus,
            memory_only,
            distance,
        };
        assert_eq!(Shape::parse(value), Ok(shape), "{value:?}");
    }
}

#[test]
fn a_bad_description_is_named_with_the_allowed_range() {
    for (value, message) in [
        (
            "",
            "`` does not describe a machine: expected NODESxCPUS[+MEMORY][@DISTANCE], such as 2x4, 2x4+1 or 2x4@21",
        ),
        (
            "8",
            "`8` does not describe a machine: expected NODESxCPUS[+MEMORY][@DISTANCE], such as 2x4, 2x4+1 or 2x4@21",
        ),
        (
            "0x4",
            "`0x4` does not describe a machine: the number of NUMA nodes must be 1 to 64, not 0",
        ),
        (
            "65x4",
            "`65x4` does not describe a machine: the number of NUMA nodes must be 1 to 64, not 65",
        ),
        (
            "2x0",
            "`2x0` does not describe a machine: the number of CPUs per NUMA node must be 1 to 1024, not 0",
        ),
        (
            "2x1025",
            "`2x1025` does not describe a machine: the number of CPUs per NUMA node must be 1 to 1024, not 1025",
        ),
        (
            "2x99999999999999",
            "`2x99999999999999` does not describe a machine: the number of CPUs per NUMA node must be 1 to 1024, not 99999999999999",
        ),
        (
            "2x4x8",
            "`2x4x8` does not describe a machine: the number of CPUs per NUMA node must be a number, not `4x8`",
        ),
        (
            "-2x4",
            "`-2x4` does not describe a machine: the number of NUMA nodes must be a number, not `-2`",
        ),
        (
            "twox4",
            "`twox4` does not describe a machine: the number of NUMA nodes must be a number, not `two`",
        ),
        (
            "2x4+",
            "`2x4+` does not describe a machine: the number of memory-only NUMA nodes must be a number, not ``",
        ),
        (
            "60x4+5",
            "`60x4+5` does not describe a machine: the number of memory-only NUMA nodes must be 0 to 4, not 5",
        ),
        (
            "2x4@9",
            "`2x4@9` does not describe a machine: the distance between NUMA nodes must be 10 to 254, not 9",
        ),
    ] {
        let error = topology(value, &[CpuId(0)]).unwrap_err();
        assert!(matches!(&error, TopologyError::InvalidPretend { value: v, .. } if v == value));
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn real_cpus_take_turns() {
    let machine = topology("2x4", &[CpuId(3), CpuId(9), CpuId(11)]).unwrap();
    let real: Vec<u32> = (0..8)
        .map(|cpu| machine.real_cpu(CpuId(cpu)).unwrap().0)
        .collect();
    assert_eq!(real, [3, 9, 11, 3, 9, 11, 3, 9]);
    assert_eq!(machine.real_cpu(CpuId(8)), None);
    assert_eq!(
        machine.real_cpus_of(NumaNodeId(1)),
        [CpuId(3), CpuId(9), CpuId(11)]
    );
}

#[test]
fn nothing_real_is_bound_to_what_does_not_exist() {
    let machine = topology("2x4+1", &[]).unwrap();
    assert_eq!(machine.source(), Source::Pretend);
    assert_eq!(machine.real_cpu(CpuId(0)), None);
    assert_eq!(machine.memory_home(NumaNodeId(0)), None);
    assert!(machine.numa_node(NumaNodeId(2)).unwrap().is_memory_only());
}

proptest! {
    #[test]
    fn no_text_panics(value in "[0-9xX+@ a-]{0,12}") {
        let _ = topology(&value, &[CpuId(0)]);
    }

    #[test]
    fn what_is_in_range_is_made(nodes in 1_u32..=8, cpus in 1_u32..=16, memory in 0_u32..=3, d in 10_u32..=254) {
        let machine = topology(&format!("{nodes}x{cpus}+{memory}@{d}"), &[CpuId(0)]).unwrap();
        prop_assert_eq!(machine.numa_nodes().len() as u32, nodes + memory);
        prop_assert_eq!(machine.cpus().len() as u32, nodes * cpus);
        for node in machine.numa_nodes() {
            prop_assert_eq!(node.is_memory_only(), u32::from(node.id.0) >= nodes);
        }
    }
}

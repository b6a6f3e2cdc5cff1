use super::topology;
use crate::id::{CpuId, NumaNodeId};
use crate::topology::test_tree::Tree;
use crate::topology::{DISTANCE_UNKNOWN, Source, TopologyError};

const CPU: &str = "sys/devices/system/cpu";
const NODE: &str = "sys/devices/system/node";

#[test]
fn no_tree_at_all_is_not_found() {
    let tree = Tree::new("sysfs-none", &[]);
    let error = topology(tree.root(), None).unwrap_err();
    assert!(matches!(error, TopologyError::NotFound { .. }), "{error}");
}

#[test]
fn online_cpus_alone_make_one_numa_node_with_all_of_them() {
    let tree = Tree::new("sysfs-bare", &[(&format!("{CPU}/online"), "0-2\n")]);
    let machine = topology(tree.root(), None).unwrap();
    assert_eq!(machine.source(), Source::Sysfs);
    let [node] = machine.numa_nodes() else {
        panic!("{machine}");
    };
    assert_eq!(node.cpus, [0, 1, 2].map(CpuId));
    assert_eq!(node.memory_bytes, None);
    assert!(node.has_memory && node.memory_allowed);
    assert_eq!(machine.allowed(), [0, 1, 2].map(CpuId));
    for cpu in machine.cpus() {
        assert_eq!((cpu.package, cpu.core, cpu.cache), (None, cpu.id, None));
    }
    assert_eq!(machine.cpu_quota(), None);
}

#[test]
fn a_cpu_in_no_list_joins_its_core_else_the_first_numa_node() {
    let tree = Tree::new(
        "sysfs-orphans",
        &[
            (&format!("{CPU}/online"), "0-4\n"),
            (
                &format!("{CPU}/cpu1/topology/thread_siblings_list"),
                "1,3\n",
            ),
            (
                &format!("{CPU}/cpu3/topology/thread_siblings_list"),
                "1,3\n",
            ),
            (&format!("{CPU}/cpu0/topology/physical_package_id"), "-1\n"),
            (&format!("{NODE}/online"), "0-1\n"),
            (&format!("{NODE}/node0/cpulist"), "0,2\n"),
            (&format!("{NODE}/node1/cpulist"), "1\n"),
        ],
    );
    let machine = topology(tree.root(), None).unwrap();
    let home = |cpu| machine.cpu(CpuId(cpu)).unwrap().numa_node.0;
    assert_eq!([0, 1, 2, 3, 4].map(home), [0, 1, 0, 1, 0]);
    assert_eq!(
        machine.siblings(CpuId(3)).collect::<Vec<_>>(),
        [1, 3].map(CpuId)
    );
    assert_eq!(machine.siblings(CpuId(9)).count(), 0);
    assert_eq!(machine.cpu(CpuId(0)).unwrap().package, None);
    // Nobody told distances.
    assert_eq!(
        machine.distance(NumaNodeId(0), NumaNodeId(1)),
        DISTANCE_UNKNOWN
    );
    assert_eq!(machine.distance(NumaNodeId(1), NumaNodeId(1)), 10);
}

#[test]
fn memory_is_served_by_the_nearest_that_has_some_and_is_allowed() {
    let tree = Tree::new(
        "sysfs-memory",
        &[
            (&format!("{CPU}/online"), "0-3\n"),
            (&format!("{NODE}/online"), "0-3\n"),
            (&format!("{NODE}/has_memory"), "1-3\n"),
            (&format!("{NODE}/node0/cpulist"), "0-1\n"),
            (&format!("{NODE}/node0/distance"), "10 12 14 32\n"),
            (&format!("{NODE}/node3/cpulist"), "2-3\n"),
            ("proc/self/status", "Name:\tx\nMems_allowed_list:\t2-3\n"),
        ],
    );
    let machine = topology(tree.root(), None).unwrap();
    // 0 has no memory, that of 1 is not allowed, 2 is nearer than 3.
    assert_eq!(machine.memory_home(NumaNodeId(0)), Some(NumaNodeId(2)));
    assert_eq!(machine.memory_home(NumaNodeId(3)), Some(NumaNodeId(3)));
    let drawing = machine.to_string();
    assert!(drawing.contains("numa0: no memory"), "{drawing}");
    assert!(
        drawing.contains("numa1: memory only, memory not allowed"),
        "{drawing}"
    );
}

#[test]
fn what_makes_no_sense_is_an_error_that_names_the_file() {
    let base = [
        (format!("{CPU}/online"), "0-1\n"),
        (format!("{NODE}/online"), "0,2\n"),
        (format!("{NODE}/node0/cpulist"), "0\n"),
        (format!("{NODE}/node2/cpulist"), "1\n"),
    ];
    let base: Vec<(&str, &str)> = base
        .iter()
        .map(|(path, text)| (path.as_str(), *text))
        .collect();
    for (at, (path, content, says)) in [
        (format!("{CPU}/online"), "", "expected at least one CPU"),
        (
            format!("{CPU}/online"),
            "0-4294967295\n",
            "`0-4294967295` is out of range, numbers are 0 to 8191",
        ),
        (
            format!("{NODE}/online"),
            "256\n",
            "`256` is out of range, numbers are 0 to 255",
        ),
        (
            format!("{NODE}/node2/cpulist"),
            "0-1\n",
            "expected no CPU of numa0, found `cpu0`",
        ),
        (
            format!("{NODE}/node0/distance"),
            "10 20 20\n",
            "expected 2 numbers of 0 to 255, found `10 20 20`",
        ),
        (
            format!("{NODE}/node0/distance"),
            "10 256\n",
            "expected 2 numbers of 0 to 255, found `10 256`",
        ),
        (
            format!("{NODE}/node0/meminfo"),
            "Node 0 MemTotal: lots kB\n",
            "expected `Node N MemTotal: NUMBER kB`",
        ),
        (
            format!("{CPU}/cpu0/topology/physical_package_id"),
            "\u{fffd}\u{1}",
            "expected a number, found `\u{fffd}\\u{1}`",
        ),
        (
            format!("{CPU}/cpu0/cache/index0/level"),
            "x\n",
            "expected a number, found `x`",
        ),
        (
            "proc/self/status".to_owned(),
            "Cpus_allowed_list:\t5-1\n",
            "range `5-1` runs backwards",
        ),
        (
            "sys/fs/cgroup/cpu.max".to_owned(),
            "1 0\n",
            "expected `max PERIOD` or `QUOTA PERIOD` in microseconds, found `1 0`",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let tree = Tree::new(&format!("sysfs-bad-{at}"), &base);
        tree.write(&path, content);
        let message = topology(tree.root(), None).unwrap_err().to_string();
        assert!(
            message.contains(&path) && message.contains(says),
            "{message}"
        );
    }
}

#[test]
fn a_cpuset_without_an_online_cpu_is_an_error() {
    let tree = Tree::new(
        "sysfs-nothing-allowed",
        &[(&format!("{CPU}/online"), "0-1\n")],
    );
    tree.write("proc/self/status", "Cpus_allowed_list:\t4-7\n");
    let error = topology(tree.root(), None).unwrap_err();
    let message = "no CPU is both online (0-1) and allowed to this process (4-7); \
                   check the cpuset of the cgroup or the container";
    assert_eq!(error.to_string(), message);
    let error = topology(tree.root(), Some(&[CpuId(4), CpuId(5)])).unwrap_err();
    assert!(
        error.to_string().contains("allowed to this process (4-5)"),
        "{error}"
    );
}

#[test]
fn the_process_set_is_taken_before_the_trees() {
    let tree = Tree::new("sysfs-process", &[(&format!("{CPU}/online"), "0-3\n")]);
    tree.write("proc/self/status", "Cpus_allowed_list:\t0\n");
    let machine = topology(tree.root(), Some(&[CpuId(2), CpuId(3), CpuId(9)])).unwrap();
    assert_eq!(machine.allowed(), [CpuId(2), CpuId(3)]);
    assert!(
        machine.to_string().contains("not allowed: 0-1"),
        "{machine}"
    );
}

use super::{Limits, limits};
use crate::topology::CpuQuota;
use crate::topology::test_tree::Tree;

fn quota(quota_us: u64, period_us: u64) -> Option<CpuQuota> {
    CpuQuota::new(quota_us, period_us)
}

#[test]
fn nothing_there_limits_nothing() {
    let tree = Tree::new("cgroup-none", &[]);
    assert_eq!(limits(tree.root()), Ok(Limits::default()));
}

#[test]
fn version_2_the_smallest_quota_on_the_way_up_and_the_nearest_cpuset() {
    let tree = Tree::new(
        "cgroup-v2",
        &[
            ("proc/self/cgroup", "0::/a/b/c\n"),
            (
                "proc/self/mountinfo",
                "22 1 0:20 / /proc rw - proc proc rw\n\
                 30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
            ),
            ("sys/fs/cgroup/cpuset.cpus.effective", "0-15\n"),
            ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/a/b/cpuset.cpus.effective", "0-7\n"),
            ("sys/fs/cgroup/a/b/cpuset.mems.effective", "1\n"),
            ("sys/fs/cgroup/a/b/c/cpu.max", "400000 100000\n"),
            ("sys/fs/cgroup/a/b/c/cpuset.cpus.effective", "\n"),
            ("sys/fs/cgroup/elsewhere/cpu.max", "1000 100000\n"),
        ],
    );
    let expected = Limits {
        cpus: Some((0..=7).collect()),
        memory_nodes: Some(vec![1]),
        quota: quota(150_000, 100_000),
    };
    assert_eq!(limits(tree.root()), Ok(expected));
}

#[test]
fn version_1_a_hierarchy_per_controller() {
    let tree = Tree::new(
        "cgroup-v1",
        &[
            (
                "proc/self/cgroup",
                "5:cpuset:/docker/x\n4:cpu,cpuacct:/docker/x\n2:memory:/\n0::/\n",
            ),
            (
                "proc/self/mountinfo",
                // As a container without a namespace of its own sees it: only its own part.
                "33 31 0:30 /docker/x /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n\
                 34 31 0:31 /docker/x /sys/fs/cgroup/cpuset ro - cgroup cgroup rw,cpuset\n\
                 35 31 0:32 / /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
            ),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "250000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpuset/cpuset.effective_cpus", "2-3\n"),
            ("sys/fs/cgroup/cpuset/cpuset.effective_mems", "0\n"),
        ],
    );
    let expected = Limits {
        cpus: Some(vec![2, 3]),
        memory_nodes: Some(vec![0]),
        quota: quota(250_000, 100_000),
    };
    assert_eq!(limits(tree.root()), Ok(expected));

    tree.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    assert_eq!(limits(tree.root()).unwrap().quota, None);
    tree.write("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "many\n");
    let message = limits(tree.root()).unwrap_err().to_string();
    assert!(message.ends_with("cpu.cfs_quota_us: expected microseconds or -1, found `many`"));
}

#[test]
fn a_group_outside_of_what_is_mounted_does_not_lead_out_of_it() {
    let mount = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    let tree = Tree::new(
        "cgroup-outside",
        &[
            ("proc/self/cgroup", "0::/../../../secret\n"),
            ("proc/self/mountinfo", mount),
            ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
            ("secret/cpu.max", "garbage\n"),
        ],
    );
    assert_eq!(limits(tree.root()).unwrap().quota, quota(50_000, 100_000));
}

#[test]
fn a_quota_in_whole_cpus_is_rounded_up_and_never_zero() {
    for (quota_us, whole) in [(250_000, 3), (200_000, 2), (1_000, 1), (0, 1)] {
        assert_eq!(quota(quota_us, 100_000).unwrap().whole_cpus(), whole);
    }
    assert_eq!(quota(250_000, 100_000).unwrap().cpus(), 2.5);
    assert_eq!(quota(1, 0), None);
}

use std::path::Path;

use crate::id::{CpuId, NumaNodeId};
use crate::topology::{Source, Topology, Workers, affinity, plan, sysfs};

#[test]
fn without_any_account_one_numa_node_has_the_cpus_we_may_use() {
    let machine = Topology::fallback();
    assert_eq!(machine.source(), Source::Fallback);
    assert_eq!(machine.numa_nodes().len(), 1);
    assert_eq!(machine.cpus().len(), machine.allowed().len());
    // Nothing is known of memory, so nothing is bound.
    assert_eq!(machine.memory_home(NumaNodeId(0)), None);
    match affinity::process_cpus() {
        Some(cpus) => {
            assert_eq!(machine.allowed(), cpus);
            assert_eq!(machine.real_cpu(cpus[0]), Some(cpus[0]));
        }
        None => {
            assert_eq!(machine.real_cpu(CpuId(0)), None);
            let seats = plan(&machine, Workers::Count(1)).unwrap();
            assert_eq!(seats[0].cpu, None);
            assert!(
                machine
                    .to_string()
                    .contains("threads cannot be pinned here")
            );
        }
    }
}

#[test]
fn the_running_machine_is_the_kernels() {
    let Some(cpus) = affinity::process_cpus() else {
        return; // not Linux: nothing to compare
    };
    if !Path::new("/sys/devices/system/cpu/online").exists() {
        return;
    }
    let machine = Topology::detect_machine();
    let kernel = sysfs::topology(Path::new("/"), Some(cpus)).unwrap();
    assert_eq!(machine.differences(&kernel), <[&str; 0]>::default());
    assert_eq!(machine, kernel);
}

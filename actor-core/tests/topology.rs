//! What the runtime makes of real shapes of machines: every provider over every recorded machine of
//! `fixtures/topology`, and over the one that runs the test.
//!
//! hwloc and `detect` obey environment variables, which belong to the whole process: those checks run
//! in a child, which is this program again with the name of one ignored test.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use actor_core::id::{CpuId, NumaNodeId};
use actor_core::topology::{
    ENV, Source, Topology, TopologyError, Workers, cpu_list, nearest_order, plan,
};

const MACHINES: [&str; 4] = ["container-holes", "cxl", "epyc-nps4", "xeon-snc2"];

// ---- The kernel's account of each recorded machine -----------------------------------------------

#[test]
fn xeon_snc2_numa_nodes_full_of_gaps_and_a_cache_across_two() {
    let machine = recorded("xeon-snc2");
    assert_eq!(nodes(&machine), "0-3");
    assert_eq!(
        cpus_of(&machine, 0),
        "0-2,5-6,10-12,15-16,40-42,45-46,50-52,55-56"
    );
    assert_eq!(
        cpus_of(&machine, 3),
        "23-24,27-29,33-34,37-39,63-64,67-69,73-74,77-79"
    );
    assert_eq!(
        distances(&machine),
        [
            [10, 11, 21, 21],
            [11, 10, 21, 21],
            [21, 21, 10, 11],
            [21, 21, 11, 10]
        ]
    );
    // Siblings are n and n + 40; the cache spans the package, so both of its NUMA nodes.
    for cpu in machine.cpus() {
        let core = cpu.id.0 % 40;
        let siblings: Vec<CpuId> = machine.siblings(cpu.id).collect();
        assert_eq!(siblings, [CpuId(core), CpuId(core + 40)]);
        assert_eq!(cpu.package, Some(core / 20));
        assert_eq!(cpu.cache, Some(CpuId(core / 20 * 20)));
    }
    assert_eq!(machine.numa_nodes()[0].memory_bytes, Some(48 << 30));
    assert!(
        machine
            .to_string()
            .contains("cache of cpu0, shared with numa1: cpus 0-2,5-6")
    );
    assert_eq!(order(&machine, 2), [vec![2], vec![3], vec![0, 1]]);
}

#[test]
fn epyc_nps4_256_cpus_and_two_caches_per_numa_node() {
    let machine = recorded("epyc-nps4");
    assert_eq!(nodes(&machine), "0-7");
    assert_eq!(machine.cpus().len(), 256);
    assert_eq!(cpus_of(&machine, 7), "112-127,240-255");
    for cpu in machine.cpus() {
        let core = cpu.id.0 % 128;
        assert_eq!(cpu.core, CpuId(core));
        assert_eq!(cpu.cache, Some(CpuId(core / 8 * 8)));
        assert_eq!(u32::from(cpu.numa_node.0), core / 16);
    }
    assert_eq!(distances(&machine)[5], [32, 32, 32, 32, 12, 10, 12, 12]);
    assert_eq!(
        order(&machine, 5),
        [vec![5], vec![4, 6, 7], vec![0, 1, 2, 3]]
    );
    let drawing = machine.to_string();
    assert!(drawing.starts_with("8 NUMA nodes, 256 CPUs in 128 cores and 2 packages (kernel)\n"));
    assert!(drawing.contains("├─ cache of cpu112: cpus 112-119,240-247 (8 cores of 2)\n"));
    assert!(drawing.lines().count() < 40, "{drawing}");
}

#[test]
fn cxl_memory_without_cpus_gets_no_worker() {
    let machine = recorded("cxl");
    assert_eq!(nodes(&machine), "0-2"); // 3 is possible, not online
    let memory_only: Vec<bool> = machine
        .numa_nodes()
        .iter()
        .map(|node| node.is_memory_only())
        .collect();
    assert_eq!(memory_only, [false, false, true]);
    assert!(machine.numa_nodes()[2].has_memory);
    assert_eq!(
        distances(&machine),
        [[10, 21, 14], [21, 10, 24], [14, 24, 10]]
    );
    assert_eq!(order(&machine, 0), [vec![0], vec![2], vec![1]]);

    let seats = plan(&machine, Workers::PerCpu).unwrap();
    assert_eq!(seats.len(), 64);
    assert!(seats.iter().all(|seat| seat.numa_node != NumaNodeId(2)));
    let seats = plan(&machine, Workers::PerNumaNode(3)).unwrap();
    assert_eq!(seats.len(), 6);
    assert_eq!(plan(&machine, Workers::PerCore).unwrap().len(), 32);
    assert!(
        machine
            .to_string()
            .contains("└─ numa2: 256.0 GiB, memory only\n")
    );
}

#[test]
fn container_holes_only_what_the_container_may_use() {
    let machine = recorded("container-holes");
    assert_eq!(nodes(&machine), "0,2");
    assert_eq!(cpus_of(&machine, 0), "0-2,4-7");
    assert_eq!(cpus_of(&machine, 2), "8,11-15");
    assert_eq!(list(machine.offline()), "3,9-10");
    assert_eq!(list(machine.allowed()), "11-14");
    // One column per online NUMA node, not per number.
    assert_eq!(distances(&machine), [[10, 21], [21, 10]]);
    assert_eq!(machine.distance(NumaNodeId(0), NumaNodeId(1)), 20);
    assert_eq!(machine.numa_node(NumaNodeId(1)), None);
    assert_eq!(machine.cpu(CpuId(9)), None);
    assert_eq!(
        machine
            .only_cpus(&[2, 9, 12, 77].map(CpuId))
            .unwrap_err()
            .to_string(),
        "CPU 77 does not exist, CPU 9 is switched off, CPU 2 is outside of this process's cpuset; \
         name some of 11-14"
    );
    assert_eq!(
        machine
            .only_numa_nodes(&[0, 1, 2].map(NumaNodeId))
            .unwrap_err()
            .to_string(),
        "NUMA node 1 does not exist, NUMA node 0 has no CPU inside of this process's cpuset; \
         name some of 2"
    );

    let allowed: Vec<bool> = machine
        .numa_nodes()
        .iter()
        .map(|node| node.memory_allowed)
        .collect();
    assert_eq!(allowed, [false, true]);
    assert_eq!(machine.memory_home(NumaNodeId(0)), Some(NumaNodeId(2)));
    assert_eq!(machine.real_cpus_of(NumaNodeId(0)), []);
    assert_eq!(list(&machine.real_cpus_of(NumaNodeId(2))), "11-14");

    assert_eq!(machine.cpu_quota().unwrap().cpus(), 2.5);
    let seats = plan(&machine, Workers::Auto).unwrap();
    let cpus: Vec<u32> = seats.iter().map(|seat| seat.cpu.unwrap().0).collect();
    assert_eq!(cpus, [11, 12, 13]); // 2.5 CPUs' worth of time
    assert_eq!(plan(&machine, Workers::PerCpu).unwrap().len(), 4);
    let drawing = machine.to_string();
    assert!(drawing.contains(
        "allowed to this process: cpus 11-14\noffline: cpus 3,9-10\nCPU quota: 2.50 CPUs\n"
    ));
    assert!(
        drawing.contains("numa0: 32.0 GiB, memory not allowed, package 0\n"),
        "{drawing}"
    );
    assert!(
        drawing.contains("cpus 8,11-15 (6 cores), not allowed: 8,15\n"),
        "{drawing}"
    );
}

#[test]
fn every_allowed_cpu_of_every_machine_gets_one_worker() {
    for name in MACHINES {
        let machine = recorded(name);
        let seats = plan(&machine, Workers::PerCpu).unwrap();
        let mut cpus: Vec<CpuId> = seats.iter().map(|seat| seat.cpu.unwrap()).collect();
        cpus.sort_unstable();
        assert_eq!(cpus, machine.allowed(), "{name}");
        assert!(
            seats.is_sorted_by_key(|seat| (seat.numa_node, seat.cpu)),
            "{name}"
        );
    }
}

// ---- hwloc's account, which must be the same ------------------------------------------------------

#[test]
fn hwloc_and_the_kernel_agree_on_every_recorded_machine() {
    if !have_hwloc() {
        return;
    }
    for name in MACHINES {
        let xml = match name {
            "container-holes" => "container-holes.whole-machine.xml".to_owned(),
            name => format!("{name}.xml"),
        };
        child(
            "child_hwloc_agrees_with_the_kernel",
            &[
                ("HWLOC_XMLFILE", fixture(&xml).as_ref()),
                (ROOT, &unpacked(name)),
            ],
        );
    }
}

#[test]
fn hwloc_reading_the_recorded_tree_itself_agrees_too() {
    if !have_hwloc() {
        return;
    }
    // Not `container-holes`: hwloc takes limits of a tree that is not this system for none.
    for name in ["cxl", "epyc-nps4", "xeon-snc2"] {
        let root = unpacked(name);
        child(
            "child_hwloc_agrees_with_the_kernel",
            &[
                ("HWLOC_FSROOT", &root),
                ("HWLOC_THISSYSTEM", "0".as_ref()),
                ("HWLOC_COMPONENTS", "-x86".as_ref()),
                (ROOT, &root),
            ],
        );
    }
}

#[test]
#[ignore = "run by other tests, in a process with another environment"]
fn child_hwloc_agrees_with_the_kernel() {
    if !is_child() {
        return;
    }
    let root = PathBuf::from(env::var_os(ROOT).unwrap());
    let kernel = Topology::from_sysfs(&root).unwrap();
    let hwloc = Topology::from_hwloc(&root).unwrap();
    assert_eq!(hwloc.source(), Source::Hwloc);
    assert_eq!(kernel.differences(&hwloc), <[&str; 0]>::default());
    assert_eq!(kernel, hwloc);

    // And by hwloc alone, as far as it can tell.
    let nothing = root.join("sys/nothing");
    let alone = Topology::from_hwloc(&nothing).unwrap();
    assert_eq!(list(kernel.allowed()), list(alone.allowed()));
    assert!(kernel.cpus().iter().eq(alone.cpus()), "{kernel}{alone}");
    assert_eq!(nodes(&kernel), nodes(&alone));
}

#[test]
fn hwloc_inside_the_container_sees_only_its_part() {
    if !have_hwloc() {
        return;
    }
    let xml = fixture("container-holes.xml");
    child("child_hwloc_sees_the_container", &[("HWLOC_XMLFILE", &xml)]);
}

#[test]
#[ignore = "run by other tests, in a process with another environment"]
fn child_hwloc_sees_the_container() {
    if !is_child() {
        return;
    }
    let machine = Topology::from_hwloc(&fixture("nothing")).unwrap();
    assert_eq!(nodes(&machine), "2");
    assert_eq!(cpus_of(&machine, 2), "11-14");
    assert_eq!(list(machine.allowed()), "11-14");
    assert_eq!(machine.numa_nodes()[0].memory_bytes, None);
}

#[test]
fn hwloc_that_shows_another_machine_is_found_out() {
    if !have_hwloc() {
        return;
    }
    child(
        "child_hwloc_differs",
        &[
            ("HWLOC_XMLFILE", fixture("xeon-snc2.xml").as_ref()),
            (ROOT, &unpacked("cxl")),
        ],
    );
}

#[test]
#[ignore = "run by other tests, in a process with another environment"]
fn child_hwloc_differs() {
    if !is_child() {
        return;
    }
    let root = PathBuf::from(env::var_os(ROOT).unwrap());
    let kernel = Topology::from_sysfs(&root).unwrap();
    let hwloc = Topology::from_hwloc(&root).unwrap();
    let differences = kernel.differences(&hwloc);
    assert!(
        differences.contains(&"NUMA nodes: 0-2 or 0-3".to_owned()),
        "{differences:?}"
    );
    assert!(
        differences.contains(&"online CPUs: 0-63 or 0-79".to_owned()),
        "{differences:?}"
    );
    // `detect` then believes the kernel that runs it, whatever hwloc was told.
    assert_eq!(Topology::detect().unwrap().source(), Source::Sysfs);
}

#[test]
fn without_hwloc_the_error_says_what_is_missing() {
    match Topology::from_hwloc(Path::new("/")) {
        Ok(machine) => assert_eq!(machine.source(), Source::Hwloc),
        Err(error @ TopologyError::Hwloc { .. }) => {
            let message = error.to_string();
            let missing = "no answer from hwloc: ";
            assert!(
                message.starts_with(missing) && message.len() > missing.len(),
                "{message}"
            );
        }
        Err(error) => panic!("{error}"),
    }
}

// ---- The running machine, and pretended ones ------------------------------------------------------

#[test]
#[cfg(target_os = "linux")]
fn hwloc_and_the_kernel_agree_on_the_running_machine() {
    if !have_hwloc() {
        return;
    }
    let root = Path::new("/");
    let (kernel, hwloc) = (
        Topology::from_sysfs(root).unwrap(),
        Topology::from_hwloc(root).unwrap(),
    );
    assert_eq!(kernel.differences(&hwloc), <[&str; 0]>::default());
    assert_eq!(kernel, hwloc);
    child("child_detects_through_hwloc", &[]);
}

#[test]
#[ignore = "run by other tests, in a process with another environment"]
fn child_detects_through_hwloc() {
    if !is_child() {
        return;
    }
    assert_eq!(Topology::detect().unwrap().source(), Source::Hwloc);
}

#[test]
fn detecting_twice_sees_the_same_machine() {
    assert_eq!(Topology::detect().unwrap(), Topology::detect().unwrap());
}

#[test]
#[cfg(target_os = "linux")]
fn a_main_thread_under_taskset_narrows_the_machine() {
    use actor_core::topology::affinity;
    let cpus = affinity::process_cpus().unwrap();
    // The child inherits the mask of the thread that starts it.
    std::thread::spawn(|| {
        affinity::pin_current_thread(cpus[0], cpus).unwrap();
        let expected = cpus[0].0.to_string();
        child("child_sees_one_cpu", &[("EXPECTED", expected.as_ref())]);
    })
    .join()
    .unwrap();
}

#[test]
#[ignore = "run by other tests, in a process with another environment"]
fn child_sees_one_cpu() {
    if !is_child() {
        return;
    }
    let machine = Topology::detect().unwrap();
    assert_eq!(list(machine.allowed()), env::var("EXPECTED").unwrap());
    assert_eq!(plan(&machine, Workers::PerCpu).unwrap().len(), 1);
}

#[test]
fn the_environment_pretends_a_machine_or_the_error_names_it() {
    child("child_pretends_two_by_four", &[(ENV, "2x4".as_ref())]);
    child("child_is_refused", &[(ENV, "2x9999".as_ref())]);
    child("child_is_not_pretended", &[(ENV, "".as_ref())]);
}

#[test]
#[ignore = "run by other tests, in a process with another environment"]
fn child_pretends_two_by_four() {
    if !is_child() {
        return;
    }
    let machine = Topology::detect().unwrap();
    assert_eq!(machine.source(), Source::Pretend);
    assert_eq!(machine, Topology::pretend("2x4").unwrap());
    let seats = plan(&machine, Workers::Auto).unwrap();
    assert_eq!(seats.len(), 8);
    let real = actor_core::topology::affinity::process_cpus();
    for seat in seats {
        assert_eq!(seat.cpu.is_some(), real.is_some());
        assert!(seat.cpu.is_none_or(|cpu| real.unwrap().contains(&cpu)));
    }
    assert!(machine.to_string().contains("(pretended)\nplayed by "));
}

#[test]
#[ignore = "run by other tests, in a process with another environment"]
fn child_is_refused() {
    if !is_child() {
        return;
    }
    let error = Topology::detect().unwrap_err();
    let message = "ACTOR_TOPOLOGY: `2x9999` does not describe a machine: \
                   the number of CPUs per NUMA node must be 1 to 1024, not 9999";
    assert_eq!(error.to_string(), message);
}

#[test]
#[ignore = "run by other tests, in a process with another environment"]
fn child_is_not_pretended() {
    if !is_child() {
        return;
    }
    assert_ne!(Topology::detect().unwrap().source(), Source::Pretend);
}

// ---- Helpers --------------------------------------------------------------------------------------

/// The environment variable that tells a child which tree to read.
const ROOT: &str = "TOPOLOGY_TEST_ROOT";

/// The environment variable that tells a child that it is one.
const CHILD: &str = "TOPOLOGY_TEST_CHILD";

/// Whether this test was started by `child`, and not by `cargo test -- --include-ignored`.
fn is_child() -> bool {
    env::var_os(CHILD).is_some()
}

fn recorded(name: &str) -> Topology {
    Topology::from_sysfs(&unpacked(name)).unwrap()
}

fn fixture(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/topology")
        .join(file)
}

/// The tree of a recorded machine, unpacked once and kept beside the build's other files.
fn unpacked(name: &str) -> PathBuf {
    let archive = fs::read(fixture(&format!("{name}.sysfs.tar.gz"))).unwrap();
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("topology");
    fs::create_dir_all(&parent).unwrap();
    // FNV-1a: a changed archive is unpacked anew.
    let hash = archive
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        });
    let home = parent.join(format!("{name}-{hash:016x}"));
    if home.exists() {
        return home;
    }
    // Tests run side by side, in threads and processes: unpack under a name of one's own.
    let own = parent.join(format!(
        "{name}-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let _ = fs::remove_dir_all(&own);
    tar::Archive::new(flate2::read::GzDecoder::new(&archive[..]))
        .unpack(&own)
        .unwrap();
    match fs::rename(&own, &home) {
        Ok(()) => {}
        // Another was first.
        Err(_) if home.exists() => fs::remove_dir_all(&own).unwrap(),
        Err(error) => panic!("{error}"),
    }
    home
}

fn have_hwloc() -> bool {
    match Topology::from_hwloc(Path::new("/")) {
        Err(error @ TopologyError::Hwloc { .. }) => {
            println!("not checked: {error}");
            false
        }
        _ => true,
    }
}

/// Runs an ignored test of this program alone, in a process with these variables.
fn child(test: &str, variables: &[(&str, &Path)]) {
    let run = |test: &str| -> io::Result<Output> {
        Command::new(env::current_exe()?)
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env_remove(ENV)
            .env(CHILD, "1")
            .envs(variables.iter().copied())
            .output()
    };
    let output = run(test).unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    // A name that matches nothing succeeds as well: count.
    assert!(
        output.status.success() && stdout.contains("1 passed"),
        "{test} with {variables:?}:\n{stdout}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn nodes(machine: &Topology) -> String {
    cpu_list::format(machine.numa_nodes().iter().map(|node| node.id.0.into()))
}

fn cpus_of(machine: &Topology, node: u8) -> String {
    list(&machine.numa_node(NumaNodeId(node)).unwrap().cpus)
}

fn list(cpus: &[CpuId]) -> String {
    cpu_list::format(cpus.iter().map(|cpu| cpu.0))
}

fn distances(machine: &Topology) -> Vec<Vec<u32>> {
    let ids = || machine.numa_nodes().iter().map(|node| node.id);
    ids()
        .map(|from| ids().map(|to| machine.distance(from, to)).collect())
        .collect()
}

fn order(machine: &Topology, from: u8) -> Vec<Vec<u8>> {
    let groups = nearest_order(machine, NumaNodeId(from)).into_iter();
    groups
        .map(|group| group.into_iter().map(|id| id.0).collect())
        .collect()
}

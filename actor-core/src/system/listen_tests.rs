use super::steer::{Step, program};
use crate::id::CpuId;

/// Runs the few steps that we use, as the kernel does.
fn run(program: &[Step], cpu: u32) -> u32 {
    let mut at = 0;
    loop {
        let Step(code, jt, jf, k) = program[at];
        at += 1;
        match code {
            0x20 => assert_eq!(k, 0xffff_f024, "the CPU's number"),
            0x35 => at += usize::from(if cpu >= k { jt } else { jf }),
            0x25 => at += usize::from(if cpu > k { jt } else { jf }),
            0x06 => return k,
            other => panic!("no such step: {other:#x}"),
        }
    }
}

#[test]
fn every_cpu_finds_the_socket_of_its_numa_node() {
    let cpus = |list: &[u32]| list.iter().copied().map(CpuId).collect::<Vec<_>>();
    let nodes = [
        cpus(&[0, 1, 8, 9]),
        cpus(&[5, 4, 2, 3]),
        cpus(&[]),
        cpus(&[11]),
    ];
    let program = program(&nodes);
    for cpu in 0..16 {
        let expected = nodes
            .iter()
            .position(|cpus| cpus.contains(&CpuId(cpu)))
            .map_or(u32::MAX, |socket| u32::try_from(socket).unwrap());
        assert_eq!(run(&program, cpu), expected, "CPU {cpu}");
    }
    // Load, three steps per range, fall back.
    assert_eq!(program.len(), 1 + 3 * 4 + 1);
}

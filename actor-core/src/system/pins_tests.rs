use super::*;

fn cpus(numbers: &[u32]) -> Vec<CpuId> {
    numbers.iter().copied().map(CpuId).collect()
}

#[test]
fn a_mask_is_judged_by_whether_it_has_the_cpu_and_others() {
    let judged = |runs_on: &[u32]| judge(CpuId(3), &cpus(runs_on));
    assert_eq!(judged(&[3]), Verdict::Kept);
    assert_eq!(judged(&[0, 1, 3]), Verdict::Widened);
    assert_eq!(judged(&[3, 4000]), Verdict::Widened);
    // Offline: the kernel leaves it out of the mask that it tells.
    assert_eq!(judged(&[0, 1, 2]), Verdict::Away);
    assert_eq!(judged(&[2]), Verdict::Away);
    assert_eq!(judged(&[]), Verdict::Away);
}

#[test]
fn a_loss_is_told_once_and_keeps_its_time() {
    let mut entry = Entry {
        worker: WorkerId(1),
        cpu: CpuId(3),
        thread: None,
        lost: None,
    };
    let News::Lost(first) = entry.loses(cpus(&[0, 1, 2])) else {
        panic!("the first time is news");
    };
    assert_eq!(
        first.to_string(),
        "worker1 has lost cpu3 and runs on CPUs 0-2: the CPU is offline or outside of the cpuset, or \
         the thread was moved from outside"
    );
    assert!(matches!(entry.loses(cpus(&[0])), News::None));
    let now = entry.lost.clone().unwrap();
    assert_eq!((now.since, now.runs_on), (first.since, cpus(&[0])));
    // Its thread has ended.
    assert!(matches!(entry.look(), News::None));
    assert_eq!(entry.lost, None);
}

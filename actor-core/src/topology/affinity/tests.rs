#![cfg(any(target_os = "linux", target_os = "android"))]

use std::io::ErrorKind;
use std::thread;

use super::{
    PinError, current_cpu, current_thread_cpus, list, pin_current_thread, process_cpus,
    widen_current_thread,
};
use crate::id::CpuId;

fn cpus() -> &'static [CpuId] {
    process_cpus().expect("Linux tells")
}

#[test]
fn a_pinned_thread_runs_there_at_once_and_nowhere_else() {
    for &cpu in cpus() {
        thread::spawn(move || {
            pin_current_thread(cpu, cpus()).unwrap();
            assert_eq!(current_thread_cpus().unwrap(), [cpu]);
            if let Some((now, _)) = current_cpu() {
                assert_eq!(now, cpu);
            }
        })
        .join()
        .unwrap();
    }
}

#[test]
fn pinning_does_not_shrink_what_the_process_may_use() {
    let before = cpus();
    thread::spawn(move || {
        pin_current_thread(before[0], before).unwrap();
        assert_eq!(cpus(), before);
        // A child inherits the mask; widening undoes it.
        thread::spawn(move || {
            assert_eq!(current_thread_cpus().unwrap(), before[..1]);
            widen_current_thread(before).unwrap();
            assert_eq!(current_thread_cpus().unwrap(), before);
        })
        .join()
        .unwrap();
    })
    .join()
    .unwrap();
}

#[test]
fn a_cpu_that_cannot_be_is_an_error_not_an_abort() {
    let before = current_thread_cpus().unwrap();
    let absent = [1023, 1024, 8191]
        .map(CpuId)
        .into_iter()
        .filter(|cpu| !cpus().contains(cpu));
    for cpu in absent {
        let error = pin_current_thread(cpu, cpus()).unwrap_err();
        assert!(matches!(error, PinError::NotAllowed { .. }), "{error}");
        // Even when somebody claims that it is allowed.
        let error = pin_current_thread(cpu, &[cpu]).unwrap_err();
        assert!(
            matches!(
                error,
                PinError::Refused {
                    code: libc::EINVAL,
                    ..
                }
            ),
            "{error}"
        );
    }
    let error = pin_current_thread(CpuId(8192), &[CpuId(8192)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cpu8192 cannot exist, CPUs are 0 to 8191"
    );
    let error = pin_current_thread(CpuId(u32::MAX), &[]).unwrap_err();
    assert_eq!(
        error,
        PinError::OutOfRange {
            cpu: CpuId(u32::MAX)
        }
    );
    assert_eq!(current_thread_cpus().unwrap(), before);
}

#[test]
fn the_error_says_the_cpu_and_the_cpuset() {
    let error = pin_current_thread(CpuId(7), &[CpuId(0), CpuId(1), CpuId(2)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cpu7 is outside the cpuset of this process (0-2)"
    );
}

#[test]
fn widening_to_nothing_is_refused() {
    let kind = |cpus: &[CpuId]| widen_current_thread(cpus).unwrap_err().kind();
    assert_eq!(kind(&[]), ErrorKind::InvalidInput);
    assert_eq!(kind(&[CpuId(8192)]), ErrorKind::InvalidInput);
    assert_eq!(kind(&[CpuId(8191)]), ErrorKind::InvalidInput);
    let text = widen_current_thread(&[CpuId(8191)])
        .unwrap_err()
        .to_string();
    assert!(text.contains("no CPU of 8191"), "{text}");
    assert!(text.contains(&list(cpus())), "{text}");
}

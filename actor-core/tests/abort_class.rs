//! The honest limits: what ends the whole process, and that it does so as documented.
//!
//! Each test runs itself again in a process of its own and looks at how that one dies.

#![cfg(unix)]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use actor_core::prelude::*;

const ROLE: &str = "ACTOR_TEST_ROLE";

/// Whether this is the process that is to die; in the other one, how it died.
fn dies_of(test: &str) -> Option<i32> {
    if std::env::var_os(ROLE).is_some() {
        return None;
    }
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, "victim")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    Some(
        status
            .signal()
            .unwrap_or_else(|| panic!("it lived, and ended with {status}")),
    )
}

struct Victim;

impl Actor for Victim {}

struct Do(fn());

impl Message for Do {
    type Reply = ();
}

impl SyncHandler<Do> for Victim {
    fn handle(&mut self, Do(act): Do, _cx: &mut ActorContext<Self>) {
        act();
    }
}

fn suffer(act: fn()) {
    let system = common::system();
    let victim = system.spawn(Victim).unwrap();
    // The process ends before there is an answer.
    let answer = victim.ask_blocking(Do(act));
    panic!("survived: {answer:?}");
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("a second panic")
    }
}

#[test]
fn a_panic_while_unwinding_aborts() {
    match dies_of("a_panic_while_unwinding_aborts") {
        Some(signal) => assert_eq!(signal, libc_sigabrt()),
        None => suffer(|| {
            let _local = PanicsInDrop;
            panic!("a first panic")
        }),
    }
}

#[test]
fn a_stack_overflow_aborts() {
    #[expect(unconditional_recursion, reason = "that is the point")]
    fn deeper(n: u64) -> u64 {
        let block = std::hint::black_box([n; 512]);
        deeper(n + 1) + block[7]
    }
    match dies_of("a_stack_overflow_aborts") {
        Some(signal) => assert_eq!(signal, libc_sigabrt()),
        None => suffer(|| _ = std::hint::black_box(deeper(0))),
    }
}

#[test]
fn two_panicking_elements_of_one_vec_abort() {
    match dies_of("two_panicking_elements_of_one_vec_abort") {
        Some(signal) => assert_eq!(signal, libc_sigabrt()),
        None => suffer(|| drop(vec![PanicsInDrop, PanicsInDrop])),
    }
}

/// SIGABRT is 6 wherever Rust runs on Unix.
const fn libc_sigabrt() -> i32 {
    6
}

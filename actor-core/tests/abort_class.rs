//! The honest limits: what ends the whole process, and that it does so as documented.
//!
//! Each test runs itself again in a process of its own and looks at how that one dies.

#![cfg(unix)]

mod common;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use actor_core::prelude::*;

const ROLE: &str = "ACTOR_TEST_ROLE";

/// How a process died.
struct Death {
    signal: i32,
    /// What it wrote to standard error.
    said: String,
}

/// Whether this is the process that is to die (`None`); in the other one, how it died.
fn dies_of(test: &str) -> Option<Death> {
    if std::env::var_os(ROLE).is_some() {
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, "victim")
        .stdout(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = output.status;
    let signal = status
        .signal()
        .unwrap_or_else(|| panic!("it lived, and ended with {status}: {said}"));
    Some(Death { signal, said })
}

/// Runs that in a handler of a process of its own, which must die of SIGABRT, saying so.
fn must_abort(test: &str, saying: &[&str], act: fn()) {
    match dies_of(test) {
        None => suffer(act),
        Some(death) => {
            assert_eq!(death.signal, libc_sigabrt(), "{}", death.said);
            for part in saying {
                assert!(death.said.contains(part), "no {part:?} in {}", death.said);
            }
        }
    }
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
fn c6_a_panic_while_unwinding_aborts() {
    must_abort(
        "c6_a_panic_while_unwinding_aborts",
        &["a first panic", "a second panic"],
        || {
            let _local = PanicsInDrop;
            panic!("a first panic")
        },
    );
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn deeper(n: u64) -> u64 {
    let block = std::hint::black_box([n; 512]);
    deeper(n + 1) + block[7]
}

#[test]
fn c6_a_stack_overflow_aborts_and_names_the_actor() {
    let named: &[&str] = if cfg!(target_os = "linux") {
        &[
            "actor:",
            "abort_class::Victim) has overflowed its worker's stack while handling abort_class::Do",
            "SystemBuilder::worker_stack",
            // std's own word comes after ours.
            "has overflowed its stack",
        ]
    } else {
        &["has overflowed its stack"]
    };
    must_abort(
        "c6_a_stack_overflow_aborts_and_names_the_actor",
        named,
        || _ = std::hint::black_box(deeper(0)),
    );
}

#[test]
fn c6_a_stack_overflow_on_another_thread_is_none_of_ours() {
    const ME: &str = "c6_a_stack_overflow_on_another_thread_is_none_of_ours";
    match dies_of(ME) {
        None => {
            let _system = common::system();
            let other = std::thread::spawn(|| std::hint::black_box(deeper(0)));
            panic!("survived: {:?}", other.join());
        }
        Some(death) => {
            assert_eq!(death.signal, libc_sigabrt(), "{}", death.said);
            assert!(!death.said.contains("worker's stack"), "{}", death.said);
        }
    }
}

#[test]
fn c6_the_naming_can_be_switched_off() {
    const ME: &str = "c6_the_naming_can_be_switched_off";
    match dies_of(ME) {
        None => {
            let system = ActorSystem::builder()
                .name_stack_overflows(false)
                .build()
                .unwrap();
            let victim = system.spawn(Victim).unwrap();
            let answer = victim.ask_blocking(Do(|| _ = std::hint::black_box(deeper(0))));
            panic!("survived: {answer:?}");
        }
        Some(death) => {
            assert_eq!(death.signal, libc_sigabrt(), "{}", death.said);
            assert!(!death.said.contains("worker's stack"), "{}", death.said);
        }
    }
}

#[test]
fn c6_a_larger_stack_holds_more() {
    let _system = common::system();
    let system = ActorSystem::builder()
        .worker_stack(64 << 20)
        .build()
        .unwrap();
    let victim = system.spawn(Victim).unwrap();
    fn down(n: u64) -> u64 {
        let block = std::hint::black_box([n; 512]);
        if n == 0 {
            block[3]
        } else {
            down(n - 1) + block[7]
        }
    }
    // 16 MiB at the least: eight times what there is by default.
    victim
        .ask_blocking(Do(|| _ = std::hint::black_box(down(4096))))
        .unwrap();
    common::finish(system);
    for bytes in [0, (64 << 10) - 1, (1 << 30) + 1] {
        let refused = ActorSystem::builder().worker_stack(bytes).build();
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("65536 to 1073741824 are allowed"), "{text}");
    }
}

#[test]
fn c6_two_panicking_elements_of_one_vec_abort() {
    must_abort(
        "c6_two_panicking_elements_of_one_vec_abort",
        &["a second panic"],
        || drop(vec![PanicsInDrop, PanicsInDrop]),
    );
}

#[test]
fn c6_a_panic_in_the_panic_hook_aborts() {
    must_abort("c6_a_panic_in_the_panic_hook_aborts", &[], || {
        std::panic::set_hook(Box::new(|_| panic!("in the hook")));
        panic!("in the handler")
    });
}

#[test]
fn c6_a_display_of_the_panic_message_that_panics_aborts() {
    struct Nasty;
    impl std::fmt::Display for Nasty {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("in Display")
        }
    }
    must_abort(
        "c6_a_display_of_the_panic_message_that_panics_aborts",
        &[],
        || panic!("{}", Nasty),
    );
}

#[test]
fn c6_a_panic_across_extern_c_aborts() {
    extern "C" fn foreign() {
        panic!("in a callback")
    }
    must_abort(
        "c6_a_panic_across_extern_c_aborts",
        &["in a callback"],
        || foreign(),
    );
}

#[test]
fn c6_a_failed_allocation_aborts() {
    must_abort(
        "c6_a_failed_allocation_aborts",
        &["memory allocation of 64 bytes failed"],
        || std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u64; 8]>()),
    );
}

#[test]
fn c6_a_thread_local_whose_drop_panics_aborts() {
    const ME: &str = "c6_a_thread_local_whose_drop_panics_aborts";
    thread_local! {
        static LOCAL: std::cell::RefCell<Option<PanicsInDrop>> = const { std::cell::RefCell::new(None) };
    }
    match dies_of(ME) {
        None => {
            let system = common::system();
            let victim = system.spawn(Victim).unwrap();
            victim
                .ask_blocking(Do(|| LOCAL.set(Some(PanicsInDrop))))
                .unwrap();
            // The worker's thread ends.
            let report = common::finish(system);
            panic!("survived: {report:?}");
        }
        Some(death) => assert_eq!(death.signal, libc_sigabrt(), "{}", death.said),
    }
}

/// SIGABRT is 6 wherever Rust runs on Unix.
const fn libc_sigabrt() -> i32 {
    6
}

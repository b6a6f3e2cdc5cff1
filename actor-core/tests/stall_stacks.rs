//! Reports of stalls say which functions the handler is in (feature `stall-stacks`).
#![cfg(all(
    feature = "stall-stacks",
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{StallReport, ThreadStack};

const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Actor)]
struct Stuck;

/// Which way to be stuck, until the flag is up.
enum How {
    Sleeping,
    Computing,
    Deep(usize),
}

#[derive(Message)]
struct Hold(How, &'static AtomicBool);

impl Handler<Hold> for Stuck {
    async fn handle(&mut self, Hold(how, over): Hold, _cx: &mut ActorContext<Self>) {
        match how {
            How::Sleeping => wait_for_something(over),
            How::Computing => compute_for_long(over),
            How::Deep(levels) => go_down(levels, over),
        }
    }
}

#[inline(never)]
fn wait_for_something(over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    black_box(over);
}

#[inline(never)]
fn compute_for_long(over: &AtomicBool) {
    let mut n = 1_u64;
    while !over.load(Ordering::Relaxed) {
        n = black_box(n.rotate_left(7) ^ 0x9e37);
    }
    black_box(n);
}

#[inline(never)]
fn go_down(levels: usize, over: &AtomicBool) {
    if levels == 0 {
        compute_for_long(over);
    } else {
        go_down(levels - 1, over);
    }
    black_box(levels);
}

/// The stack in the report of a stall of that kind. A thread that gets no CPU for a second does not answer.
fn stack_of(how: fn() -> How) -> ThreadStack {
    let mut tries = (0..20).filter_map(|_| stack_in_report(how(), true));
    tries.next().expect("it answers")
}

fn stack_in_report(how: How, stacks: bool) -> Option<ThreadStack> {
    let over: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let (tell, told) = mpsc::channel::<StallReport>();
    let system = ActorSystem::builder()
        .workers(Workers::Count(1))
        .report_stalls_after(Duration::from_millis(20))
        .stall_stacks(stacks)
        // In the handler: whoever gets no CPU on the way there is late as well.
        .on_stall(move |stall| {
            if stall.message.is_some() {
                drop(tell.send(stall.clone()));
            }
        })
        .build()
        .unwrap();
    system.spawn(Stuck).unwrap().tell(Hold(how, over)).unwrap();
    let begun = told.recv_timeout(PATIENCE).unwrap();
    assert!(begun.still_running);
    over.store(true, Ordering::Relaxed);
    let ended = told.recv_timeout(PATIENCE).unwrap();
    assert!(!ended.still_running);
    assert!(ended.stack.is_none(), "it is long somewhere else");
    let report = system.shutdown_blocking(PATIENCE);
    assert!(report.is_clean(), "{report}");
    begun.stack.map(|stack| ThreadStack::clone(&stack))
}

fn at(stack: &ThreadStack, function: &str) -> Option<usize> {
    let mut names = stack.frames.iter().map(|frame| &frame.function);
    names.position(|name| name.contains(function))
}

#[test]
fn a_handler_that_waits_in_the_kernel_shows_where() {
    let stack = stack_of(|| How::Sleeping);
    let waits = at(&stack, "wait_for_something").unwrap_or_else(|| panic!("{stack}"));
    let handles = at(&stack, "Handler").unwrap_or_else(|| panic!("{stack}"));
    assert!(waits < handles, "innermost first: {stack}");
    assert!(!stack.is_cut, "{stack}");
    let location = stack.frames[waits].location.as_ref();
    let (file, _) = location.unwrap_or_else(|| panic!("{stack}"));
    assert!(file.ends_with("tests/stall_stacks.rs"), "{stack}");
    assert_eq!(at(&stack, "take_turn"), None, "of no interest: {stack}");
}

#[test]
fn a_handler_that_computes_shows_where() {
    let stack = stack_of(|| How::Computing);
    assert!(at(&stack, "compute_for_long").is_some(), "{stack}");
}

#[test]
fn a_deep_stack_is_cut() {
    let stack = stack_of(|| How::Deep(1_000));
    let computes = at(&stack, "compute_for_long").unwrap_or_else(|| panic!("{stack}"));
    let goes = at(&stack, "go_down").unwrap_or_else(|| panic!("{stack}"));
    assert!(computes < goes, "innermost first: {stack}");
    assert!(stack.is_cut && stack.frames.len() <= 128, "{stack}");
    assert!(stack.to_string().ends_with("..."), "{stack}");
}

#[test]
fn nobody_is_interrupted_who_was_not_to_be() {
    assert!(stack_in_report(How::Computing, false).is_none());
}

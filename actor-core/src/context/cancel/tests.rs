use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::sync::thread;

#[test]
fn cancellation_goes_down_never_up_nor_sideways() {
    let root = CancelToken::new();
    let (left, right) = (root.child(), root.child());
    let leaf = left.child();
    left.cancel();
    assert!(leaf.is_cancelled() && left.is_cancelled());
    assert!(!root.is_cancelled() && !right.is_cancelled());
    root.clone().cancel();
    root.cancel();
    assert!(root.is_cancelled() && right.is_cancelled());
    assert!(root.child().is_cancelled());
    assert_eq!(format!("{root:?}"), "CancelToken { is_cancelled: true }");
}

#[test]
fn children_outlive_the_parent_token_and_still_work() {
    let root = CancelToken::new();
    let leaf = root.child().child();
    root.cancel();
    drop(root);
    assert!(leaf.is_cancelled());
}

#[test]
fn waiting_ends_with_the_cancellation() {
    let token = CancelToken::new();
    let child = token.child();
    let mut wait = pin!(child.cancelled());
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(wait.as_mut().poll(&mut cx), Poll::Pending);
    token.cancel();
    assert_eq!(wait.as_mut().poll(&mut cx), Poll::Ready(()));
}

#[test]
fn a_waiting_task_is_woken_from_another_thread() {
    let token = CancelToken::new();
    let waiting = token.child();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let canceller = thread::spawn(move || token.cancel());
    runtime.block_on(waiting.cancelled());
    canceller.join().unwrap();
    assert!(waiting.is_cancelled());
}

#[test]
fn the_guard_cancels_unless_disarmed() {
    let token = CancelToken::new();
    let kept = token.clone().cancel_on_drop().disarm();
    assert!(!kept.is_cancelled());
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _guard = kept.cancel_on_drop();
        panic!("as planned");
    }));
    assert!(unwound.is_err());
    assert!(token.is_cancelled());
}

//! Waiting for a future on a plain thread.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs `future` to its end on this thread, which sleeps while it is pending.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
    }
    let mut future = pin!(future);
    // A thread whose locals are gone already makes a waker of its own.
    let waker = WAKER
        .try_with(Waker::clone)
        .unwrap_or_else(|_| Waker::from(Arc::new(Unpark(thread::current()))));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            // A wake-up between the poll and here makes this return at once; a spurious one polls once
            // more.
            Poll::Pending => wait(),
        }
    }
}

/// Sleeps until woken. In a simulation, whose only thread this is, there is nobody to wait for: it does
/// the others' work instead.
fn wait() {
    #[cfg(feature = "testkit")]
    match crate::cell::observe::drive() {
        crate::cell::observe::Driven::Unwatched => {}
        crate::cell::observe::Driven::Stepped => return,
        crate::cell::observe::Driven::Stuck => panic!(
            "this thread waits for an answer that cannot come: nothing is left to do in the simulation"
        ),
    }
    thread::park();
}

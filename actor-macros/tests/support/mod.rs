//! Where the tests get the traits they expand to: the one switch.
//!
//! Every test, `ui/` included, names `crate::support::actor_core`. To run them against the runtime
//! put `pub(crate) use ::actor_core;` in place of the stand-in below and start actors with a
//! system; `expand` names nothing that is not in the stand-in.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test crate uses its own part of this module"
)]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

#[path = "actor_core_standin.rs"]
pub(crate) mod actor_core;

use actor_core::{
    Actor, ActorContext, ActorError, ActorRef, Call, Handler, Message, StopReason, Terminated,
};

/// Starts an actor.
pub(crate) fn start<A: Actor>(actor: A) -> ActorRef<A> {
    ActorRef::start(actor)
}

/// Asks, and waits for the reply.
pub(crate) fn reply_of<A: Handler<M>, M: Message>(call: Call<A, M>) -> M::Reply {
    call.reply()
}

/// A context outside of any actor.
pub(crate) fn context<A: Actor>() -> ActorContext<A> {
    ActorContext::new()
}

/// An error a hook may return.
pub(crate) fn actor_error(text: &str) -> ActorError {
    ActorError(text.to_owned())
}

/// Why an actor stopped.
pub(crate) fn stop_reason() -> StopReason {
    StopReason::Normal
}

/// The news that a watched actor has ended.
pub(crate) fn terminated() -> Terminated {
    Terminated(StopReason::Normal)
}

/// Polls a future until it is ready.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

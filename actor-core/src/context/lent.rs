//! A handler that blocks: the actor's state is lent to a thread of the blocking pool while the actor waits.
//!
//! `#[message(blocking)]` makes such handlers. There is no future of the user's in it, on purpose: a
//! future that lends `&mut self` to another thread would be unsound as soon as somebody leaks it. Here the
//! runtime itself makes the frame, and nobody else can get at it.
//!
//! # Invariants
//!
//! - L1: while a job is `Running`, its frame stays in its cell, and with it the state, the node and the
//!   node's context stay where they are (frame F2: nobody else touches the state while a frame lives).
//! - L2: whoever drops the frame waits until the job is not `Running` any more. So that no worker has to,
//!   a kill, a failure and the end of the time to stop ask first (`FrameVtable::is_lent`) and leave such a
//!   frame for when it is done.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::actor::{Handler, Message};
use super::harness::Answer;
use super::message_context::InForce;
use crate::cell::{CellRef, Frame, FrameDone, FramePoll, FrameVtable, at_work};
use crate::contain::contain;
use crate::id::ActorId;
use crate::mailbox::node::{Node, Step};
use crate::scheduler::Job;

/// The frame in the cell; the pool has the other half.
#[repr(C)]
struct LentFrame<A, M: Message> {
    head: Frame,
    node: NonNull<Node>,
    job: Arc<Lent<A, M>>,
}

struct Lent<A, M: Message> {
    state: Mutex<State<M>>,
    over: Condvar,
    actor: *mut A,
    context: *mut (),
    id: ActorId,
    waker: Waker,
}

enum State<M: Message> {
    Queued(M),
    Running,
    Done(Result<M::Reply, Box<dyn Any + Send>>),
    Gone,
}

// SAFETY: the pointers are followed by the one thread that runs the job, while L1 keeps what they point to
// alive and untouched by others; the actor, the message and the reply are `Send`.
unsafe impl<A: Send, M: Message> Send for Lent<A, M> {}
// SAFETY: as above; all else is under the lock.
unsafe impl<A: Send, M: Message> Sync for Lent<A, M> {}

/// Hands a message and the actor's state to the pool.
///
/// # Safety
///
/// As for `harness::deliver`.
pub(super) unsafe fn begin<A, M, R>(cell: CellRef, node: NonNull<Node>, message: M) -> Step
where
    A: Handler<M>,
    M: Message,
    R: Answer<M>,
{
    // SAFETY: by the caller: the state is an `A` that nobody borrows, and the node is alive.
    let (actor, context) = unsafe { (cell.state().cast::<A>(), node.as_ref().context) };
    let job = Arc::new(Lent {
        state: Mutex::new(State::Queued(message)),
        over: Condvar::new(),
        actor,
        context,
        id: cell.id(),
        waker: cell.waker(),
    });
    let frame = Box::new(LentFrame::<A, M> {
        head: Frame {
            vtable: const { &vtable::<A, M, R>() },
        },
        node,
        job: job.clone(),
    });
    let frame = NonNull::from(Box::leak(frame)).cast::<Frame>();
    // In its place before the job can be done and wake the cell.
    // SAFETY: the caller owns the cell, which has no frame.
    unsafe { cell.suspend_in(frame) };
    let taken = cell
        .runtime()
        .pool(cell.numa_index())
        .is_some_and(|pool| pool.submit(job.clone(), true).is_ok());
    if !taken {
        // Closed, no thread to be had, or a system without any: here, as a plain handler.
        job.run();
    }
    // Whether or not it is done: it woke the cell, whose owner will look at it.
    Step::Pending
}

const fn vtable<A, M, R>() -> FrameVtable
where
    A: Handler<M>,
    M: Message,
    R: Answer<M>,
{
    FrameVtable {
        poll: poll::<A, M, R>,
        cancel: cancel::<A, M>,
        is_lent: is_lent::<A, M>,
    }
}

unsafe fn poll<A, M, R>(
    frame: NonNull<Frame>,
    _cell: CellRef,
    _cx: &mut std::task::Context<'_>,
) -> FramePoll
where
    A: Handler<M>,
    M: Message,
    R: Answer<M>,
{
    let this = frame.cast::<LentFrame<A, M>>();
    // SAFETY: frame F1: alive and ours.
    let job = unsafe { this.as_ref() }.job.clone();
    let mut state = job.lock();
    if !matches!(*state, State::Done(_)) {
        return FramePoll::Pending;
    }
    let State::Done(result) = std::mem::replace(&mut *state, State::Gone) else {
        unreachable!("looked at a moment ago, under the lock");
    };
    drop(state);
    // SAFETY: made by `begin` from a box; not used afterwards.
    let this = unsafe { Box::from_raw(this.as_ptr()) };
    match result {
        Ok(reply) => {
            // SAFETY: the node is of the kind that `R` answers, its message is gone, and it is the owner's.
            unsafe { R::answer(this.node, reply) };
            FramePoll::Done(FrameDone::Message)
        }
        Err(payload) => FramePoll::Panicked(payload),
    }
}

unsafe fn cancel<A: Handler<M>, M: Message>(frame: NonNull<Frame>) {
    // SAFETY: frame F1: alive and ours, made by `begin` from a box, not used afterwards.
    let this = unsafe { Box::from_raw(frame.cast::<LentFrame<A, M>>().as_ptr()) };
    let mut state = this.job.lock();
    // L2.
    while matches!(*state, State::Running) {
        state = this
            .job
            .over
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner);
    }
    let before = std::mem::replace(&mut *state, State::Gone);
    drop(state);
    contain(move || drop(before));
}

unsafe fn is_lent<A: Handler<M>, M: Message>(frame: NonNull<Frame>) -> bool {
    // SAFETY: frame F1: alive and ours.
    let this = unsafe { frame.cast::<LentFrame<A, M>>().as_ref() };
    let mut state = this.job.lock();
    if matches!(*state, State::Queued(_)) {
        // Taken back in the same step, or a thread might begin it before `cancel` comes.
        let before = std::mem::replace(&mut *state, State::Gone);
        drop(state);
        contain(move || drop(before));
        return false;
    }
    matches!(*state, State::Running)
}

impl<A, M: Message> Lent<A, M> {
    fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Handler<M>, M: Message> Job for Lent<A, M> {
    fn run(&self) {
        let mut state = self.lock();
        let message = match std::mem::replace(&mut *state, State::Running) {
            State::Queued(message) => message,
            other => {
                *state = other;
                return;
            }
        };
        drop(state);
        let result = {
            // L1: the node keeps its context.
            let _in_force = InForce::enter_raw(self.context);
            at_work(|| {
                catch_unwind(AssertUnwindSafe(|| {
                    // SAFETY: L1: the state is alive, where it was, and nobody else's until `Done`.
                    let actor = unsafe { &mut *self.actor };
                    actor.handle_lent(message)
                }))
            })
        };
        *self.lock() = State::Done(result);
        self.over.notify_all();
        self.waker.wake_by_ref();
    }

    /// The pool closes: the shutdown, which closes it, cannot wait for it, and the actor is at its end.
    fn refuse(&self) {
        let mut state = self.lock();
        let why: Box<dyn Any + Send> = Box::new("not begun: the system shuts down");
        match std::mem::replace(&mut *state, State::Done(Err(why))) {
            State::Queued(message) => {
                drop(state);
                contain(move || drop(message));
                self.waker.wake_by_ref();
            }
            other => *state = other,
        }
    }

    fn what(&self) -> &'static str {
        std::any::type_name::<M>()
    }

    fn actor(&self) -> Option<ActorId> {
        Some(self.id)
    }
}

//! `cx.blocking(f).await`: work that blocks, on a thread that may.
//!
//! A [`Blocking`] is the asker's half of a job, the pool has the other; they meet in one small state
//! under a lock, which is never held while code of the user's runs.
//!
//! ```text
//!   Queued(f) --the pool takes f--> Running --> Done(result) --polled--> Gone
//!       |                              |
//!       | future dropped, pool closed  | future dropped: runs on, the result is dropped on the pool
//!       +----------> Gone / Done(Err)  +----> Detached
//! ```

use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::actor::Actor;
use super::actor_context::ActorContext;
use super::message_context::Context;
use super::spanning::WorkSpan;
use crate::cell::{Local, Runtime, at_work};
use crate::contain::{caught, contain, look_at, panic_text};
use crate::id::ActorId;
use crate::scheduler::{Job, NotTaken, Pool};
use crate::trace::{SpanKind, SpanOutcome};

/// Why work for [`blocking`] has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockingError {
    /// As many jobs wait as may: all threads of the pool are busy, and have been for a while.
    Full {
        /// How many may wait (`SystemBuilder::blocking_queue`).
        limit: usize,
    },
    /// The work panicked, with this text.
    Panicked(Arc<str>),
    /// The system shuts down: it was not begun.
    ShuttingDown,
    /// The context it was asked for in was cancelled, or its deadline passed, before it was begun.
    Cancelled,
    /// There is no thread to run it on: what the operating system said.
    NoThread(Arc<str>),
    /// Not called on a thread of an actor system: use `SystemRef::blocking`.
    NoSystem,
}

impl fmt::Display for BlockingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { limit } => write!(
                f,
                "{limit} blocking jobs wait already: try later, or raise blocking_threads or blocking_queue"
            ),
            Self::Panicked(text) => write!(f, "the blocking work panicked: {text}"),
            Self::ShuttingDown => f.write_str("the system shuts down: the work was not begun"),
            Self::Cancelled => {
                f.write_str("the work was cancelled, or its deadline passed, before it was begun")
            }
            Self::NoThread(reason) => {
                write!(f, "no thread for blocking work: the operating system says: {reason}")
            }
            Self::NoSystem => f.write_str(
                "no actor system on this thread: call SystemRef::blocking on the system that is meant",
            ),
        }
    }
}

impl std::error::Error for BlockingError {}

impl From<NotTaken> for BlockingError {
    fn from(why: NotTaken) -> Self {
        match why {
            NotTaken::Full(limit) => Self::Full { limit },
            NotTaken::Closed => Self::ShuttingDown,
            NotTaken::NoThread(reason) => Self::NoThread(reason),
        }
    }
}

/// Work on a thread that may block; made by [`ActorContext::blocking`], [`blocking`] and
/// [`SystemRef::blocking`](crate::SystemRef::blocking).
///
/// Nothing happens before it is polled.
///
/// # Cancel safety
///
/// Dropped before the work began, it is not begun. Dropped later, the work runs to its end, since a thread
/// cannot be stopped, and its result is dropped.
#[must_use = "the work is begun when this is awaited"]
pub struct Blocking<R> {
    work: Arc<dyn Outcome<R>>,
    to: To,
}

/// Where it is submitted at the first poll.
#[derive(Clone, Copy)]
enum To {
    Pool(&'static Pool),
    /// A system without threads (the test kit): here.
    Inline,
    Nowhere,
    /// It has been.
    Submitted,
}

trait Outcome<R>: Job {
    fn poll(&self, waker: &Waker) -> Poll<Result<R, BlockingError>>;
    fn abandon(&self);
}

struct Work<F, R> {
    state: Mutex<State<F, R>>,
    context: Context,
    actor: Option<ActorId>,
    /// Whose spans it is among.
    books: Option<&'static Runtime>,
}

enum State<F, R> {
    Queued(F, Option<Waker>),
    Running(Option<Waker>),
    Detached,
    Done(Result<R, BlockingError>),
    Gone,
}

impl<F, R> Work<F, R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    fn lock(&self) -> MutexGuard<'_, State<F, R>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self, result: Result<R, BlockingError>) {
        let mut state = self.lock();
        let before = std::mem::replace(&mut *state, State::Gone);
        let waker = match before {
            State::Queued(_, waker) | State::Running(waker) => {
                *state = State::Done(result);
                drop(state);
                waker
            }
            State::Detached | State::Done(_) | State::Gone => {
                drop(state);
                contain(move || drop(result));
                None
            }
        };
        if let Some(waker) = waker {
            contain(move || waker.wake());
        }
    }
}

impl<F, R> Job for Work<F, R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    fn run(&self) {
        if self.context.is_cancelled() || self.context.is_expired() {
            self.refuse_with(BlockingError::Cancelled);
            return;
        }
        let mut state = self.lock();
        let work = match std::mem::replace(&mut *state, State::Gone) {
            State::Queued(work, waker) => {
                *state = State::Running(waker);
                work
            }
            other => {
                *state = other;
                return;
            }
        };
        drop(state);
        let span = self.books.and_then(|runtime| {
            self.context
                .begin_work(runtime, SpanKind::Blocking, self.what(), self.actor)
        });
        let context = span.as_ref().map_or(&self.context, WorkSpan::context);
        let run = || context.run(|| catch_unwind(AssertUnwindSafe(work)));
        let result = if self.actor.is_some() {
            at_work(run)
        } else {
            run()
        };
        if let Some(span) = span {
            span.end(match &result {
                Ok(_) => SpanOutcome::Ok,
                Err(payload) => SpanOutcome::Panicked(look_at(&**payload).into()),
            });
        }
        self.done(result.map_err(|payload| {
            caught();
            BlockingError::Panicked(panic_text(payload).into())
        }));
    }

    fn refuse(&self) {
        self.refuse_with(BlockingError::ShuttingDown);
    }

    fn what(&self) -> &'static str {
        std::any::type_name::<F>()
    }

    fn actor(&self) -> Option<ActorId> {
        self.actor
    }
}

impl<F, R> Work<F, R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    fn refuse_with(&self, why: BlockingError) {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Gone) {
            State::Queued(work, waker) => {
                *state = State::Done(Err(why));
                drop(state);
                contain(move || drop(work));
                if let Some(waker) = waker {
                    contain(move || waker.wake());
                }
            }
            other => *state = other,
        }
    }
}

impl<F, R> Outcome<R> for Work<F, R>
where
    F: FnOnce() -> R + Send,
    R: Send,
{
    fn poll(&self, waker: &Waker) -> Poll<Result<R, BlockingError>> {
        // Cloned and dropped outside of the lock: it may be anybody's.
        let waker = waker.clone();
        let mut state = self.lock();
        let before = match &mut *state {
            State::Queued(_, slot) | State::Running(slot) => slot.replace(waker),
            State::Done(_) => {
                let State::Done(result) = std::mem::replace(&mut *state, State::Gone) else {
                    unreachable!("looked at a moment ago, under the lock");
                };
                drop(state);
                return Poll::Ready(result);
            }
            State::Detached | State::Gone => {
                panic!("a blocking future is polled again after it was ready")
            }
        };
        drop(state);
        drop(before);
        Poll::Pending
    }

    fn abandon(&self) {
        let mut state = self.lock();
        let next = match &*state {
            State::Running(_) | State::Detached => State::Detached,
            State::Queued(..) | State::Done(_) | State::Gone => State::Gone,
        };
        let before = std::mem::replace(&mut *state, next);
        drop(state);
        contain(move || drop(before));
    }
}

impl<R> Blocking<R> {
    fn new<F>(work: F, to: To, actor: Option<ActorId>, books: Option<&'static Runtime>) -> Self
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let work = Work {
            state: Mutex::new(State::Queued(work, None)),
            context: match books {
                Some(runtime) => Context::current().departing_within(runtime),
                None => Context::current(),
            },
            actor,
            books,
        };
        Self {
            work: Arc::new(work),
            to,
        }
    }
}

impl<R> Future for Blocking<R> {
    type Output = Result<R, BlockingError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.to, To::Submitted) {
            To::Submitted => {}
            To::Nowhere => return Poll::Ready(Err(BlockingError::NoSystem)),
            To::Inline => self.work.run(),
            To::Pool(pool) => {
                // Before it is submitted: it may be done before this returns.
                let pending = self.work.poll(cx.waker());
                debug_assert!(pending.is_pending(), "not begun yet");
                let job: Arc<dyn Job> = self.work.clone();
                return match pool.submit(job, false) {
                    Ok(()) => Poll::Pending,
                    Err(why) => Poll::Ready(Err(why.into())),
                };
            }
        }
        self.work.poll(cx.waker())
    }
}

impl<R> Drop for Blocking<R> {
    fn drop(&mut self) {
        self.work.abandon();
    }
}

impl<R> fmt::Debug for Blocking<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("work", &self.work.what())
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// The pool of this thread's NUMA node, on threads of a system that are no workers.
    static HERE: Cell<Option<&'static Pool>> = const { Cell::new(None) };
}

/// Says which pool serves this thread.
pub(crate) fn serve_here(pool: &'static Pool) {
    HERE.set(Some(pool));
}

/// The pool of a NUMA node.
fn pool_of(runtime: &Runtime, numa_index: usize) -> To {
    runtime.pool(numa_index).map_or(To::Inline, To::Pool)
}

/// As [`SystemRef::blocking`](crate::SystemRef::blocking).
pub(crate) fn blocking_in<F, R>(runtime: &'static Runtime, work: F) -> Blocking<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let numa_index = match Local::current() {
        Some(local) if std::ptr::eq(local.runtime(), runtime) => local.numa_index(),
        _ => 0,
    };
    Blocking::new(work, pool_of(runtime, numa_index), None, Some(runtime))
}

/// Runs `work` on a thread that may block, near this one: on the pool of the NUMA node of the actor, tokio
/// task or blocking work that calls it.
///
/// The context in force here (deadline, trace, baggage) is in force inside. `work` is not begun if that
/// context is cancelled or late by then. Inside, tokio's runtime is at hand, and actors may be asked with
/// `ask_blocking`.
///
/// # Errors
///
/// See [`BlockingError`]; `NoSystem` on threads that belong to no actor system.
///
/// # Cancel safety
///
/// See [`Blocking`].
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
///
/// let system = ActorSystem::new()?;
/// let sum = system.block_on(async {
///     let work = system.tokio().spawn(async {
///         actor_core::blocking(|| (1..=10_u64).sum::<u64>()).await
///     });
///     work.await.unwrap()
/// })?;
/// assert_eq!(sum, 55);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn blocking<F, R>(work: F) -> Blocking<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    let (to, actor, books) = match Local::current() {
        Some(local) => (
            pool_of(local.runtime(), local.numa_index()),
            local.cell().map(|cell| cell.id()),
            Some(local.runtime()),
        ),
        None => (HERE.get().map_or(To::Nowhere, To::Pool), None, None),
    };
    Blocking::new(work, to, actor, books)
}

impl<A: Actor> ActorContext<A> {
    /// Runs `work` on a thread that may block, of this actor's NUMA node, while the actor waits.
    ///
    /// At most 64 threads per NUMA node (`SystemBuilder::blocking_threads`) run such work, started when
    /// needed; beyond, 1024 jobs wait (`blocking_queue`). The message's context is in force inside. For a
    /// whole handler that blocks and needs `&mut self`, mark it `#[message(blocking)]`.
    ///
    /// # Errors
    ///
    /// See [`BlockingError`]. A panic of `work` is an error here, not the actor's failure.
    ///
    /// # Cancel safety
    ///
    /// See [`Blocking`]. When the actor is killed, work that has begun runs on without it.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// struct Files;
    /// impl Actor for Files {}
    /// struct Size(std::path::PathBuf);
    /// impl Message for Size {
    ///     type Reply = std::io::Result<u64>;
    /// }
    /// impl Handler<Size> for Files {
    ///     async fn handle(
    ///         &mut self,
    ///         Size(path): Size,
    ///         cx: &mut ActorContext<Self>,
    ///     ) -> std::io::Result<u64> {
    ///         cx.blocking(move || std::fs::metadata(path))
    ///             .await
    ///             .map_err(std::io::Error::other)?
    ///             .map(|metadata| metadata.len())
    ///     }
    /// }
    /// # let system = ActorSystem::new()?;
    /// # let files = system.spawn(Files)?;
    /// # assert!(files.ask_blocking(Size("/".into()))?.is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blocking<F, R>(&self, work: F) -> Blocking<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let cell = self.cell();
        let to = pool_of(cell.runtime(), cell.numa_index());
        Blocking::new(work, to, Some(self.id()), Some(cell.runtime()))
    }
}

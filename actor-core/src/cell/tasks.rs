//! Attached tasks: futures that belong to an actor and are polled between its messages.
//!
//! A suspended handler keeps the state to itself; an attached task does not. It is polled by the actor's
//! owner when its node comes up in the mailbox, in the order of the wake-ups among the messages, and in
//! between the actor handles whatever comes. `mailbox::recall` says who pushes the node.
//!
//! The floor above brings the work ([`Work`]) and this one knows nothing of its types. A task ends when
//! its work does, when it is cancelled, or with the life of the actor that attached it: stopped or
//! started again, the actor has none left.
//!
//! # Invariants
//!
//! - T1: a task's work is touched by the owner of its cell only, and by one step at a time. `Recall` K3
//!   carries it from worker to worker.
//! - T2: a step runs when the state is alive and unborrowed. What it lends of it ([`lend`]) is lent once at
//!   a time, on this thread, before the step ends.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use super::header::{CellRef, Flags};
use super::local::while_ending;
use super::spanning;
use crate::contain::{contain, log};
use crate::id::ActorId;
use crate::mailbox::inbox::Pushed;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{End, Fate, Meta, Node, NodeVtable, Step, stays_here};
use crate::mailbox::recall::Recall;
use crate::scheduler::Hint;
use crate::sync::UnsafeCell;
use crate::sync::atomic::{AtomicBool, Ordering};

/// Tasks that one actor may have at a time, unless it says otherwise.
pub(crate) const TASKS_MAX: u32 = 10_000;

/// What a task does. Its methods run on the owner of the cell (T1) and may panic.
pub(crate) trait Work: Send {
    /// Goes on. `Ready`: [`complete`](Self::complete) is next, maybe after other messages.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()>;

    /// What is left to do with the actor's state at hand.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, whose actor is of the type that attached the work, alive and unborrowed.
    unsafe fn complete(self: Pin<&mut Self>, cell: CellRef);

    /// The context block of what it does, for as long as it lives.
    fn context(&self) -> *mut ();

    /// Whether somebody asked for it and has given up.
    fn is_abandoned(&self) -> bool {
        false
    }
}

/// When a new task is polled for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// At once, in the handler that attaches it: it cannot have to do with the state.
    Now,
    /// When the handler that attaches it returns ([`CellRef::first_step`]).
    AfterHandler,
    /// When its turn comes among the messages.
    InTurn,
}

/// What becomes of it when its actor drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drain {
    /// The actor waits for it.
    Waits,
    /// It goes on as long as there are messages.
    GoesOn,
    /// It ends at its next step: it would bring new work for ever.
    CutsOff,
}

/// One task. Shared by its set, its wakers, its handles and the mailbox.
#[repr(C, align(64))]
pub(crate) struct Task {
    node: UnsafeCell<Node>,
    recall: Recall,
    is_cancelled: AtomicBool,
    actor: ActorId,
    /// Its place in the set.
    slot: u32,
    drain: Drain,
    body: UnsafeCell<Option<Body>>,
}

struct Body {
    work: Pin<Box<dyn Work>>,
    is_ready: bool,
}

// SAFETY: T1 for `body`, N1 for `node`; work is Send, the rest is atomics and plain data.
unsafe impl Send for Task {}
// SAFETY: as above.
unsafe impl Sync for Task {}

/// The tasks of one actor: in its `Extra`.
#[derive(Default)]
pub(super) struct TaskSet {
    slots: Vec<Option<Arc<Task>>>,
    free: Vec<u32>,
    /// Those that a draining actor waits for.
    waited_for: u32,
    /// Attached by the handler that runs, to be polled when it returns.
    fresh: Option<Arc<Task>>,
    limit: Option<u32>,
}

impl TaskSet {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn limit(&self) -> u32 {
        self.limit.unwrap_or(TASKS_MAX)
    }
}

/// Whether that node is a task's, to take a step of it.
///
/// # Safety
///
/// The caller owns the node.
pub(super) unsafe fn is_step(node: NonNull<Node>) -> bool {
    // SAFETY: by the caller.
    std::ptr::eq(unsafe { node.as_ref() }.vtable, &TASK)
}

static TASK: NodeVtable = NodeVtable {
    run,
    forward: stays_here,
    finish,
    abandoned: |node| {
        // SAFETY: by `NodeVtable::abandoned` the node is being handled by the caller, the owner (T1).
        unsafe {
            let task = node.cast::<Task>().as_ref();
            task.body.with(|body| {
                (*body)
                    .as_ref()
                    .is_some_and(|body| body.work.is_abandoned())
            })
        }
    },
    message: || "attached task",
};

// ---- The step that is on ------------------------------------------------------------------------

thread_local! {
    static STEP: Cell<*const Stepping> = const { Cell::new(std::ptr::null()) };
}

/// The step that this thread is in: what it can lend.
struct Stepping {
    actor: ActorId,
    cell: CellRef,
    life: u64,
    is_lent: Cell<bool>,
}

/// Why the state is not lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotLent {
    /// No step of a task of that actor, in that life, is on in this thread.
    NotHere,
    /// It is lent already.
    Lent,
}

/// The state of an actor whose task this thread is polling, until this is dropped.
pub(crate) struct Lent<'a> {
    step: &'a Stepping,
}

impl Lent<'_> {
    pub(crate) fn cell(&self) -> CellRef {
        self.step.cell
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.step.is_lent.set(false);
    }
}

/// Runs `f` with the state of an actor lent to it, in a step of one of its tasks (T2).
pub(crate) fn lend<R>(
    actor: ActorId,
    life: u64,
    f: impl FnOnce(&Lent<'_>) -> R,
) -> Result<R, NotLent> {
    let step = STEP.get();
    // SAFETY: set by `in_step`, which outlives everything that is called in it on this thread.
    let Some(step) = (unsafe { step.as_ref() }) else {
        return Err(NotLent::NotHere);
    };
    if step.actor != actor || step.life != life {
        return Err(NotLent::NotHere);
    }
    if step.is_lent.replace(true) {
        return Err(NotLent::Lent);
    }
    Ok(f(&Lent { step }))
}

/// # Safety
///
/// The caller owns the cell, whose state is alive and unborrowed (T2).
unsafe fn in_step<R>(cell: CellRef, f: impl FnOnce() -> R) -> R {
    struct Restore(*const Stepping);
    impl Drop for Restore {
        fn drop(&mut self) {
            STEP.set(self.0);
        }
    }
    let step = Stepping {
        actor: cell.id(),
        cell,
        // SAFETY: by the caller.
        life: unsafe { cell.life() },
        is_lent: Cell::new(false),
    };
    let _restore = Restore(STEP.replace(&raw const step));
    f()
}

// ---- One task -----------------------------------------------------------------------------------

impl Task {
    /// Ends it at its next step, wherever it is. Nothing happens if it has ended.
    pub(crate) fn cancel(self: &Arc<Self>) {
        // Release: with the Acquire in `step`; the call brings it about.
        self.is_cancelled.store(true, Ordering::Release);
        self.wake_by_ref();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.recall.is_over()
    }

    pub(crate) fn actor(&self) -> ActorId {
        self.actor
    }

    /// Puts the node into the mailbox; the count goes with it and comes back in `finish`.
    fn push(self: Arc<Self>) {
        let cell = CellRef::of(self.actor);
        let task = Arc::into_raw(self).cast_mut();
        // SAFETY: from an Arc.
        let node = unsafe { NonNull::new_unchecked(task) }.cast::<Node>();
        // SAFETY: K1: the node is in no mailbox, and ours until it is in this one; it is well formed, and
        // `push_always` never says Full. A cell whose actor is gone turns it away by its generation.
        match unsafe { cell.inbox().push_always(node) } {
            Pushed::Schedule => cell.schedule(Hint::Next),
            Pushed::Queued | Pushed::Crowded => {}
            Pushed::Full => unreachable!("a task's node needs no room"),
        }
    }

    /// The turn is done with the node.
    fn leave(self: Arc<Self>) {
        if self.recall.leave() {
            self.push();
        }
    }

    /// The body, taken out.
    ///
    /// # Safety
    ///
    /// T1: the caller owns the cell, and no step of this task is on.
    unsafe fn take_body(&self) -> Option<Body> {
        // SAFETY: by the caller. The node's context is the work's, and read in steps only.
        unsafe {
            self.node
                .with_mut(|node| (*node).context = std::ptr::null_mut());
            self.body.with_mut(|body| (*body).take())
        }
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        if self.recall.call() {
            self.push();
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.recall.call() {
            Self::push(self.clone());
        }
    }
}

unsafe fn run(cell: NonNull<()>, node: NonNull<Node>) -> Step {
    // SAFETY: by `NodeVtable::run`: this vtable is only on tasks, and the count that went with the push
    // is given back by `finish`, which is later.
    let task = unsafe {
        let task = node.cast::<Task>().as_ptr().cast_const();
        Arc::increment_strong_count(task);
        Arc::from_raw(task)
    };
    if !task.recall.begin() {
        // Cut off or cancelled while it waited.
        return Step::Done;
    }
    // SAFETY: by `NodeVtable::run` we own the cell, and the state is alive and unborrowed.
    unsafe { CellRef::from_raw(cell.cast()).step(&task) }
}

unsafe fn finish(node: NonNull<Node>, end: End) {
    // SAFETY: by `NodeVtable::finish` the node is given up to us, and with it the count of its push.
    let task = unsafe { Arc::from_raw(node.cast::<Task>().as_ptr().cast_const()) };
    match end {
        End::Handled => task.leave(),
        // The actor is gone, and all of its tasks with it; or this step panicked, and was the last.
        End::Forwarded | End::Interrupted(_) | End::Unhandled(_) => task.recall.over(),
    }
}

// ---- The actor's side ---------------------------------------------------------------------------

impl CellRef {
    /// Which life of the actor this is.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(crate) unsafe fn life(self) -> u64 {
        // SAFETY: by the caller.
        unsafe { self.extra_if_any() }.map_or(0, |extra| extra.restarts)
    }

    /// Attaches a task. `Err`: there are as many as there may be, that many.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, or the owner waits for it; the work is for an actor of its type.
    ///
    /// # Panics
    ///
    /// If the work does in its first step.
    pub(crate) unsafe fn attach(
        self,
        work: Pin<Box<dyn Work>>,
        first: First,
        drain: Drain,
    ) -> Result<Arc<Task>, u32> {
        // SAFETY: by the caller.
        let task = unsafe {
            let set = self.extra().tasks.get_or_insert_default();
            if set.len() >= set.limit() as usize {
                return Err(set.limit());
            }
            let slot = set.free.pop().unwrap_or(set.slots.len() as u32);
            let task = Arc::new(Task {
                node: UnsafeCell::new(Node {
                    next: UnsafeCell::new(std::ptr::null_mut()),
                    vtable: &TASK,
                    context: work.context(),
                    generation: self.generation(),
                    meta: Meta {
                        arena: 0,
                        internal: true,
                    },
                }),
                recall: Recall::running(),
                is_cancelled: AtomicBool::new(false),
                actor: self.id(),
                slot,
                drain,
                body: UnsafeCell::new(Some(Body {
                    work,
                    is_ready: false,
                })),
            });
            if slot as usize == set.slots.len() {
                set.slots.push(None);
            }
            set.slots[slot as usize] = Some(task.clone());
            set.waited_for += u32::from(drain == Drain::Waits);
            task
        };
        self.runtime().count(Count::TasksAttached, 1);
        match first {
            First::Now => {
                // SAFETY: by the caller; the state is borrowed by the handler, so this is no step and
                // nothing is lent.
                match unsafe { poll(&task) } {
                    Ok(Poll::Pending) => task.clone().leave(),
                    Ok(Poll::Ready(())) => {
                        task.clone().leave();
                        task.wake_by_ref();
                    }
                    Err(payload) => {
                        // SAFETY: by the caller.
                        unsafe { self.end_task(&task, Some(Fate::Panicked)) };
                        resume_unwind(payload);
                    }
                }
            }
            // SAFETY: by the caller.
            First::AfterHandler => unsafe {
                let fresh = self
                    .extra()
                    .tasks
                    .as_mut()
                    .and_then(|set| set.fresh.replace(task.clone()));
                debug_assert!(fresh.is_none(), "a handler has one first step");
            },
            First::InTurn => {
                task.clone().leave();
                task.wake_by_ref();
            }
        }
        Ok(task)
    }

    /// After a handler that answers later: the first step of the task that it left, if it left one.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, whose state is alive and unborrowed.
    pub(crate) unsafe fn first_step(self) -> Step {
        // SAFETY: by the caller.
        unsafe {
            let fresh = self
                .extra_if_any()
                .and_then(|extra| extra.tasks.as_mut())
                .and_then(|set| set.fresh.take());
            let Some(task) = fresh else {
                return Step::Done;
            };
            let step = self.step(&task);
            task.leave();
            step
        }
    }

    /// One step of a task that is RUNNING.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, whose state is alive and unborrowed.
    unsafe fn step(self, task: &Arc<Task>) -> Step {
        // SAFETY: by the caller, T1 and T2.
        unsafe {
            // Acquire: with the Release in `cancel`.
            let cancelled = task.is_cancelled.load(Ordering::Acquire);
            let drained = task.drain == Drain::CutsOff && (*self.owned()).flags.has(Flags::DRAIN);
            if cancelled || drained {
                self.end_task(task, None);
                return Step::Done;
            }
            let is_ready = task
                .body
                .with(|body| (*body).as_ref().is_none_or(|body| body.is_ready));
            if !is_ready {
                match in_step(self, || poll(task)) {
                    Ok(Poll::Ready(())) => {}
                    Ok(Poll::Pending) => return Step::Done,
                    Err(payload) => {
                        spanning::step_panicked(self, NonNull::from(&**task).cast());
                        self.end_task(task, Some(Fate::Panicked));
                        return Step::Panicked(payload);
                    }
                }
            }
            let completed = catch_unwind(AssertUnwindSafe(|| {
                task.body.with_mut(|body| {
                    if let Some(work) = work_of(body) {
                        Pin::new_unchecked(&mut *work).complete(self);
                    }
                });
            }));
            if completed.is_err() {
                spanning::step_panicked(self, NonNull::from(&**task).cast());
            }
            self.end_task(task, completed.is_err().then_some(Fate::Panicked));
            match completed {
                Ok(()) => Step::Done,
                Err(payload) => Step::Panicked(payload),
            }
        }
    }

    /// Takes a task out of the set and drops its work; replies that it holds say `fate`.
    unsafe fn end_task(self, task: &Task, fate: Option<Fate>) {
        // SAFETY: T1, by the callers.
        unsafe {
            task.recall.over();
            if let Some(set) = self.extra().tasks.as_mut()
                && let Some(place) = set.slots.get_mut(task.slot as usize)
                && place.take().is_some()
            {
                set.free.push(task.slot);
                set.waited_for -= u32::from(task.drain == Drain::Waits);
            }
            self.drop_work(task, fate);
        }
    }

    unsafe fn drop_work(self, task: &Task, fate: Option<Fate>) {
        // SAFETY: T1, by the callers.
        let Some(body) = (unsafe { task.take_body() }) else {
            return;
        };
        self.runtime().count(Count::TasksEnded, 1);
        let is_sound = match fate {
            Some(fate) => while_ending(fate, || contain(move || drop(body))),
            None => contain(move || drop(body)),
        };
        if !is_sound {
            log!(error, actor = %self.id(), "panicked in the Drop of an attached task");
        }
    }

    /// The life is over, and with it the tasks: who waits for one of them hears that the actor stopped.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, and no step is on.
    pub(super) unsafe fn cut_off_tasks(self) {
        // SAFETY: by the caller.
        unsafe {
            let Some(set) = self.extra_if_any().and_then(|extra| extra.tasks.take()) else {
                return;
            };
            for task in set.slots.into_iter().flatten() {
                task.recall.over();
                self.drop_work(&task, Some(Fate::ActorStopped));
            }
        }
    }

    /// Whether there are tasks that a draining actor waits for.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn has_tasks_to_finish(self) -> bool {
        // SAFETY: by the caller.
        unsafe { self.extra_if_any() }
            .and_then(|extra| extra.tasks.as_ref())
            .is_some_and(|set| set.waited_for > 0)
    }

    /// How many tasks there are.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, or the owner waits for it.
    pub(crate) unsafe fn task_count(self) -> usize {
        // SAFETY: by the caller; a shared borrow, so that a handler may look from two threads.
        unsafe { (*self.owned()).extra.as_ref() }
            .and_then(|extra| extra.tasks.as_ref())
            .map_or(0, |set| set.len())
    }

    /// Sets how many there may be, in this life.
    ///
    /// # Safety
    ///
    /// As for `attach`.
    pub(crate) unsafe fn limit_tasks(self, limit: u32) {
        // SAFETY: by the caller.
        unsafe { self.extra().tasks.get_or_insert_default().limit = Some(limit) };
    }
}

/// The work in a body, without a borrow of the body.
///
/// # Safety
///
/// T1: the caller owns the cell. What is done with it ends before the body is taken out.
unsafe fn work_of(body: *mut Option<Body>) -> Option<*mut dyn Work> {
    // SAFETY: by the caller; a pinned work is not moved through the pointer.
    unsafe {
        let body = (*body).as_mut()?;
        Some(&raw mut *body.work.as_mut().get_unchecked_mut())
    }
}

/// Polls the work of a task that is RUNNING.
///
/// # Safety
///
/// T1: the caller owns the cell.
unsafe fn poll(task: &Arc<Task>) -> std::thread::Result<Poll<()>> {
    let waker = Waker::from(task.clone());
    let mut cx = Context::from_waker(&waker);
    let polled = catch_unwind(AssertUnwindSafe(|| {
        task.body.with_mut(|body| {
            // SAFETY: T1, by the caller. Nobody takes the body out while its work is in a step, and it is
            // borrowed for moments only: the work may ask `TASK.abandoned`, which looks into it.
            unsafe {
                let Some(work) = work_of(body) else {
                    return Poll::Ready(());
                };
                let polled = Pin::new_unchecked(&mut *work).poll(&mut cx);
                if let Some(body) = &mut *body {
                    body.is_ready = polled.is_ready();
                }
                polled
            }
        })
    }));
    // A waker of ours: its drop is no user's.
    drop(waker);
    polled
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("actor", &self.actor)
            .field("is_over", &self.is_over())
            .finish_non_exhaustive()
    }
}

//! A task: a thin pointer to something that takes turns.
//!
//! A queued task costs no memory beyond the one link inside the thing itself, and scheduling one
//! allocates nothing. The price is the *single-runner invariant* on which every queue of this floor
//! stands:
//!
//! > A task is in at most one queue, and nobody schedules it again before its turn has begun.
//!
//! The floor above keeps it with the life-cycle word of the cell: only the thread whose CAS took the
//! cell out of "idle" may call `schedule`. So whoever holds a `Task` is alone with its `Link`, and
//! hands both on together; no link is ever written by two threads without a queue's
//! release/acquire edge between them.

use std::ptr::{self, NonNull};

use crate::sync::UnsafeCell;

/// The place in a queue, inside whatever is scheduled: its first field, in a `repr(C)` type.
#[repr(C)]
pub(crate) struct Link {
    /// Touched only by the holder of the [`Task`], or through the queue that holds it.
    next: UnsafeCell<*mut Self>,
}

impl Link {
    #[cfg(all(any(test, feature = "model"), not(actor_loom)))]
    pub(crate) const fn new() -> Self {
        Self {
            next: UnsafeCell::new(ptr::null_mut()),
        }
    }

    /// loom's cells are not const.
    #[cfg(actor_loom)]
    pub(crate) fn new() -> Self {
        Self {
            next: UnsafeCell::new(ptr::null_mut()),
        }
    }
}

// SAFETY: the cell inside is touched only under the single-runner invariant above, so a shared
// `&Link` gives access to nothing.
unsafe impl Sync for Link {}
// SAFETY: the pointer inside is a place in a queue; it may be followed on any thread.
unsafe impl Send for Link {}

/// The right to schedule something once, and a pointer to it.
///
/// `Copy` because queues store it in plain slots; see `from_raw` for what its holder owes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Task(NonNull<Link>);

// SAFETY: a task is handed from thread to thread, that is its purpose; what it points to is only
// reached through `Driver::take_turn`, whose implementor answers for it.
unsafe impl Send for Task {}

impl Task {
    /// # Safety
    ///
    /// - `link` points to a `Link` that stays valid until the turn of this task has begun, and again
    ///   from then until `take_turn` has returned `After::Again`.
    /// - The single-runner invariant: of all copies of all `Task`s with this pointer, one is given
    ///   to the scheduler, and the next only after the turn of the one before has begun.
    pub(crate) const unsafe fn from_raw(link: NonNull<Link>) -> Self {
        Self(link)
    }

    /// The pointer given to `from_raw`, with its provenance.
    pub(crate) const fn as_ptr(self) -> *mut Link {
        self.0.as_ptr()
    }

    fn next(self) -> Option<Self> {
        // SAFETY: `self` is held by a chain, which holds the task (single-runner invariant) and
        // keeps its pointee alive (`from_raw`).
        let next = unsafe { self.0.as_ref() }
            .next
            .with(|next| unsafe { *next });
        NonNull::new(next).map(Self)
    }

    fn set_next(self, next: Option<Self>) {
        let next = next.map_or(ptr::null_mut(), Self::as_ptr);
        // SAFETY: as in `next`; the holder is the only one to touch the link.
        unsafe { self.0.as_ref() }
            .next
            .with_mut(|slot| unsafe { *slot = next });
    }
}

/// What becomes of a task after its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum After {
    /// The task is idle, gone, or already scheduled again by somebody: do not touch it.
    Done,
    /// There is more to do: to the back of this worker's queue.
    Again,
}

/// Where a task goes that a worker schedules for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hint {
    /// Next on this worker, while its data is warm. Not reachable for thieves.
    Next,
    /// To the back of this worker's ring, where thieves may take it.
    Back,
}

/// Tasks linked in order through their own links, at least one.
///
/// # Invariants
///
/// The chain holds each of its tasks (they are in no other queue), `first` leads to `last` in
/// `len - 1` steps, and `last` has no next.
#[derive(Debug)]
#[must_use = "a dropped chain is a row of tasks that never run again"]
pub(crate) struct Chain {
    first: Task,
    last: Task,
    len: usize,
}

// SAFETY: as for `Task`.
unsafe impl Send for Chain {}

impl Chain {
    pub(crate) fn one(task: Task) -> Self {
        task.set_next(None);
        Self {
            first: task,
            last: task,
            len: 1,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push_back(&mut self, task: Task) {
        self.append(Self::one(task));
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.last.set_next(Some(other.first));
        self.last = other.last;
        self.len += other.len;
    }

    /// The first task, and the others if there are any.
    pub(crate) fn pop_front(self) -> (Task, Option<Self>) {
        let rest = self.first.next().map(|first| Self {
            first,
            last: self.last,
            len: self.len - 1,
        });
        (self.first, rest)
    }

    /// The first `n` tasks (all, if there are no more), and the others. Walks `n` links.
    ///
    /// # Panics
    ///
    /// If `n` is 0: a chain has at least one task.
    pub(crate) fn split_front(self, n: usize) -> (Self, Option<Self>) {
        assert!(n > 0, "a chain cannot be empty; n = {n}");
        if n >= self.len {
            return (self, None);
        }
        let mut last = self.first;
        for _ in 1..n {
            last = last.next().expect("a chain is as long as its len says");
        }
        let rest = last.next().map(|first| Self {
            first,
            last: self.last,
            len: self.len - n,
        });
        last.set_next(None);
        let front = Self {
            first: self.first,
            last,
            len: n,
        };
        (front, rest)
    }
}

/// Takes the tasks out, in order.
impl IntoIterator for Chain {
    type Item = Task;
    type IntoIter = Tasks;

    fn into_iter(self) -> Tasks {
        Tasks(Some(self))
    }
}

/// See `Chain::into_iter`.
#[derive(Debug)]
pub(crate) struct Tasks(Option<Chain>);

impl Iterator for Tasks {
    type Item = Task;

    fn next(&mut self) -> Option<Task> {
        let (task, rest) = self.0.take()?.pop_front();
        self.0 = rest;
        Some(task)
    }
}

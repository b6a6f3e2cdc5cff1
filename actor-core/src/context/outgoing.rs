//! The sending half that `tell`, `send` and `ask` share: admission, context, accounting.

use std::pin::Pin;
use std::ptr::NonNull;
use std::task::Waker;

use super::message_context::Context;
use crate::cell::{CellRef, Local, Runtime, crossing, stamps};
use crate::clock::Tick;
use crate::id::ActorId;
use crate::mailbox::inbox::Pushed;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{Fate, Node};
use crate::mailbox::waiters::{self, Ticket};
use crate::scheduler::Hint;
use crate::scheduler::timer::TimerKey;

/// A target that has been looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub(super) id: ActorId,
    pub(super) cell: CellRef,
    /// Whose books the send is in: looked up once. A cell whose actor is gone may be taken over by
    /// another system of the process between two looks, and half of the send would be in its books.
    pub(super) runtime: &'static Runtime,
}

/// What became of a node that was offered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Offered {
    Accepted,
    /// The node is the caller's again.
    Full,
    /// As `Full`, and by the mailbox's policy the message is dropped.
    Drop,
}

impl Target {
    #[inline(always)]
    pub(super) fn of(id: ActorId) -> Self {
        let cell = CellRef::of(id);
        Self {
            id,
            cell,
            runtime: cell.runtime(),
        }
    }

    /// As `of`, in the books of the system that it was found in before.
    pub(super) fn found(id: ActorId, before: &mut Option<&'static Runtime>) -> Self {
        let mut target = Self::of(id);
        target.runtime = before.get_or_insert(target.runtime);
        target
    }

    /// Whether the actor takes messages from here: it lives, and is not shutting down to outsiders.
    #[inline(always)]
    pub(super) fn admits(self) -> bool {
        if self.cell.generation() != self.id.generation() {
            return false;
        }
        // A thread that is no worker brings new work; that is over once shutdown has begun.
        Local::current().is_some() || !self.runtime.is_closed()
    }

    /// Pushes a node and does the books. `offered` has been counted by the caller.
    ///
    /// # Safety
    ///
    /// The node is the caller's and of the target's type; unless the answer is `Accepted` it stays so.
    #[inline(always)]
    pub(super) unsafe fn push(self, node: NonNull<Node>) -> Offered {
        let local = Local::current();
        // Ways of their own to the very end: what stays at home would pay for what it shares with others.
        let ours = local.filter(|local| std::ptr::eq(local.runtime(), self.runtime));
        // Counted before the push: whoever sees the message handled sees it accepted as well.
        match ours {
            Some(local) => {
                let number = local.counters().add_owned(Count::Accepted, 1);
                if local.is_stamped(number) {
                    // SAFETY: by the caller.
                    unsafe { stamps::stamp(local, node) };
                }
                if !local.is_home_of(self.cell) {
                    // SAFETY: by the caller.
                    return unsafe { push_across(self.id, local, node) };
                }
                // SAFETY: by the caller.
                match unsafe { self.cell.inbox().push(node) } {
                    Pushed::Queued => {}
                    Pushed::Crowded => give_way(self.cell),
                    Pushed::Schedule => self.cell.schedule_at_home(Hint::Next),
                    // SAFETY: the node is still ours.
                    Pushed::Full => unsafe {
                        return refused_full(self.id, self.runtime, Some(local), node);
                    },
                }
                local.note_send(self.id);
                Offered::Accepted
            }
            None => {
                self.runtime.ledger().add(Count::Accepted, 1);
                crossing::settle_towards_in(self.runtime, self.cell);
                // SAFETY: by the caller.
                unsafe {
                    stamps::stamp_outside(self.runtime, node);
                    let pushed = self.cell.inbox().push(node);
                    self.pushed(pushed, local, node)
                }
            }
        }
    }

    /// How many messages the mailbox takes, as far as it shows.
    pub(super) fn room(self) -> usize {
        match self.capacity() {
            0 => usize::MAX,
            capacity => capacity.saturating_sub(self.cell.inbox().len() as usize),
        }
    }

    /// Pushes a row of nodes whatever the bound, and does the books, as offered and as accepted.
    ///
    /// # Safety
    ///
    /// The caller is no worker, and owns the nodes, of the target's type, which are linked from the newest to
    /// the oldest, so many. They are given up.
    pub(super) unsafe fn push_row(
        self,
        newest: NonNull<Node>,
        oldest: NonNull<Node>,
        count: usize,
    ) {
        let ledger = self.runtime.ledger();
        ledger.add(Count::Offered, count as u64);
        ledger.add(Count::Accepted, count as u64);
        crossing::settle_towards_in(self.runtime, self.cell);
        // SAFETY: by the caller; a chain is taken whatever the bound.
        unsafe {
            let pushed = self.cell.inbox().push_chain(newest, oldest, count as u32);
            self.pushed(pushed, None, newest);
        }
    }

    /// What is left to do after a push.
    ///
    /// # Safety
    ///
    /// If `pushed` is `Full`, the node is the caller's.
    #[inline(always)]
    unsafe fn pushed(self, pushed: Pushed, local: Option<&Local>, node: NonNull<Node>) -> Offered {
        match pushed {
            Pushed::Queued => {}
            Pushed::Crowded => give_way(self.cell),
            Pushed::Schedule => self.cell.schedule(Hint::Next),
            // SAFETY: by the caller.
            Pushed::Full => unsafe {
                return refused_full(self.id, self.runtime, local, node);
            },
        }
        Offered::Accepted
    }

    /// Pushes a node whatever the bound, and does the books: for what an actor sends itself, of which
    /// there is a bound elsewhere.
    ///
    /// # Safety
    ///
    /// The node is the caller's, of the target's type, and given up.
    pub(super) unsafe fn push_always(self, node: NonNull<Node>) {
        self.count(Count::Accepted);
        // SAFETY: by the caller.
        match unsafe { self.cell.inbox().push_always(node) } {
            Pushed::Queued | Pushed::Crowded => {}
            Pushed::Schedule => self.cell.schedule(Hint::Next),
            Pushed::Full => unreachable!("this needs no room"),
        }
    }

    /// The message was refused at the memory limit.
    #[inline(always)]
    pub(super) fn overloaded(self) {
        refused_overloaded(self.runtime, self.cell);
    }

    #[inline(always)]
    pub(super) fn count(self, count: Count) {
        self.count_from(Local::current(), count, 1);
    }

    /// An ask begins: its message is offered.
    #[inline(always)]
    pub(super) fn count_ask(self) {
        let local = Local::current();
        self.count_from(local, Count::Offered, 1);
        self.count_from(local, Count::AsksBegun, 1);
    }

    /// The sum wraps: adding `u64::MAX` takes one back.
    #[inline(always)]
    fn count_from(self, local: Option<&Local>, count: Count, n: u64) {
        let runtime = self.runtime;
        match local {
            Some(local) if std::ptr::eq(local.runtime(), runtime) => {
                local.counters().add_owned(count, n);
            }
            _ => runtime.ledger().add(count, n),
        }
    }

    pub(super) fn record(self, fate: Fate, message: &'static str) {
        self.runtime.record_fate(fate, self.id, message, None);
    }

    pub(super) fn capacity(self) -> usize {
        self.cell.inbox().capacity() as usize
    }
}

// The rare ends of a send take what they need one by one: a `Target` handed to a function that is not
// inlined has to lie in memory, and then every send pays for putting it there (measured: 9 of 43 ns of a
// ping-pong).

/// As [`Target::push`], to an actor of the same system that is not simply at home here.
///
/// # Safety
///
/// As there.
#[inline(never)]
unsafe fn push_across(id: ActorId, local: &Local, node: NonNull<Node>) -> Offered {
    // SAFETY: by the caller.
    let pushed = unsafe { crossing::send(local, id, node) };
    let target = Target {
        id,
        cell: CellRef::of(id),
        runtime: local.runtime(),
    };
    // SAFETY: `Full` leaves the node with us.
    let offered = unsafe { target.pushed(pushed, Some(local), node) };
    if offered == Offered::Accepted {
        local.note_send(id);
    }
    offered
}

/// There is no room; the message had been counted as accepted.
///
/// # Safety
///
/// The node is the caller's.
#[cold]
#[inline(never)]
unsafe fn refused_full(
    id: ActorId,
    runtime: &'static Runtime,
    local: Option<&Local>,
    node: NonNull<Node>,
) -> Offered {
    // SAFETY: by the caller.
    unsafe { stamps::take_off(node) };
    let target = Target {
        id,
        cell: CellRef::of(id),
        runtime,
    };
    if target.cell.drops_newest() {
        return Offered::Drop;
    }
    target.count_from(local, Count::Accepted, u64::MAX);
    Offered::Full
}

#[cold]
#[inline(never)]
fn refused_overloaded(runtime: &'static Runtime, target: CellRef) {
    runtime.count(Count::RefusedOverloaded, 1);
    give_way(target);
}

/// More is sent than can be handled: the turn of the actor that sends ends with its present message,
/// so that a sender with a thousand messages to handle does not send a thousand times as many before
/// the receiver has its turn.
#[cold]
#[inline(never)]
fn give_way(target: CellRef) {
    if let Some(sender) = Local::current().and_then(Local::owned_cell)
        && sender != target
    {
        // SAFETY: the turn on this thread is the sender's and has not left it, so its owner is here.
        unsafe { sender.end_turn_soon() };
    }
}

/// The context in force, for a message that says nothing of its own. A null check when there is none.
#[inline(always)]
pub(super) fn inherited() -> Context {
    if crate::cell::context_now().is_null() {
        return Context::empty();
    }
    Context::current()
}

/// How long a waiting sender waits: until the deadline or the cancellation of its context.
#[derive(Default)]
pub(super) struct Patience {
    deadline: Option<Tick>,
    cancel: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    timer: Option<(&'static Runtime, TimerKey)>,
}

impl Patience {
    /// `Some` when waiting is over; otherwise the task will be woken when it is.
    ///
    /// The first call takes the limits from `context`. `now`: the time, if it was read a moment ago.
    pub(super) fn poll(
        &mut self,
        runtime: &'static Runtime,
        context: &Context,
        task: &mut std::task::Context<'_>,
        now: Option<Tick>,
    ) -> Option<Fate> {
        if self.deadline.is_none() && self.cancel.is_none() {
            if context.is_empty() {
                return None;
            }
            self.deadline = context.deadline_tick();
            self.cancel = context.cancel_token().map(|token| {
                let token = token.clone();
                Box::pin(async move { token.cancelled().await }) as _
            });
        }
        if let Some(cancel) = &mut self.cancel
            && cancel.as_mut().poll(task).is_ready()
        {
            return Some(Fate::Cancelled);
        }
        if let Some(at) = self.deadline {
            if now.unwrap_or_else(Tick::now) >= at {
                return Some(Fate::Expired);
            }
            match self.timer {
                Some((runtime, key)) if runtime.timers().replace_waker(key, task.waker()) => {}
                _ => {
                    let (timers, here) = (runtime.timers(), runtime.numa_index_here());
                    self.timer = Some((runtime, timers.wake_at(here, at, task.waker().clone())))
                }
            }
        }
        None
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        if let Some((runtime, key)) = self.timer {
            runtime.timers().cancel(key);
        }
    }
}

impl std::fmt::Debug for Patience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patience")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// A place in the line for room in a mailbox; given up on drop.
#[derive(Debug)]
pub(super) struct InLine {
    cell: CellRef,
    ticket: Ticket,
    used: bool,
}

impl InLine {
    /// Gets in line. `None`: there is room by now.
    pub(super) fn enter(cell: CellRef, waker: &Waker) -> Option<Self> {
        let ticket = waiters::table().wait(cell.inbox(), waker)?;
        Some(Self {
            cell,
            ticket,
            used: false,
        })
    }

    /// Whether it is this one's turn.
    pub(super) fn is_woken(&self, waker: &Waker) -> bool {
        waiters::table().is_woken(self.cell.inbox(), self.ticket, waker)
    }

    /// It was its turn and the mailbox was full again. `false`: there is room by now.
    pub(super) fn again(&self, waker: &Waker) -> bool {
        waiters::table().wait_again(self.cell.inbox(), self.ticket, waker)
    }

    /// The room was taken.
    pub(super) fn done(mut self) {
        self.used = true;
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        waiters::table().leave(self.cell.inbox(), self.ticket, self.used);
    }
}

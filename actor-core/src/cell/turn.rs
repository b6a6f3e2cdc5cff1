//! One visit of a worker to a cell: signals first, then a budget of messages.
//!
//! The hot path is the loop in [`run`]: look at the signal lane (own line), take a message, run it.
//! Whatever is unusual (a signal, a suspended handler, a stop, a start) goes through [`attend`].
//!
//! A single waiting message is handled *in place*, while it is still in the inbox word: then one CAS
//! both removes it and goes idle, where take and finish would be two. This is what makes a ping-pong as
//! cheap as with the fastest queue (docs/decisions/0002). An ask's reply is delivered only after the
//! message has left the inbox, because the asker frees the node.

use std::ptr::NonNull;
use std::time::Duration;

use super::crossing;
use super::frame::Frame;
use super::header::{CellRef, Flags, Phase};
use super::local::Local;
use super::observe::{self, Event};
use super::orders::process_signals;
use super::reason::StopReason;
use super::room::{publish, publish_and_wake};
use super::spanning;
use super::stamps;
use crate::clock::Tick;
use crate::contain::panic_text;
use crate::mailbox::inbox::{Look, Stamp, Taken};
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{End, Fate, Node, Step};
use crate::memory::ONE_HOME;
use crate::probes;
use crate::scheduler::{After, Hint};

/// A turn of slower messages ends after this long, so that the others need not wait for all of them.
pub(crate) const TURN_TIME: Duration = Duration::from_micros(100);

/// Messages between two looks at the clock (a look costs as much as a message).
pub(crate) const CLOCK_EVERY: u32 = 16;

/// So many messages of a proxy count as one in its turn.
const FORWARDED_FOR_ONE: u32 = 4;

/// Polls of one suspended handler in one turn, when it wakes itself.
const POLLS_PER_TURN: u32 = 16;

/// Runs a cell.
///
/// # Safety
///
/// The caller owns the cell; unless the answer is `Again` it no longer does.
pub(crate) unsafe fn take_turn(cell: CellRef, local: &Local) -> After {
    local.begin_turn(cell);
    crossing::begin_turn(cell, local);
    observe::see(local.runtime(), || Event::Turn { actor: cell.id() });
    // Between turns a cell is of one type and one life.
    let turn = probes::turn_begin(
        || cell.id(),
        || cell.type_name_of(cell.generation()).unwrap_or_default(),
    );
    // SAFETY: by the caller.
    let after = unsafe { run(cell, local) };
    probes::turn_end(turn, after == After::Again);
    local.end_turn();
    if !ONE_HOME && after == After::Again && cell.route() != local.route() {
        // A guest, or an actor that has moved: to where it belongs, whatever queue it came from.
        cell.schedule(Hint::Back);
        return After::Done;
    }
    after
}

/// Where the next message comes from.
enum Next {
    /// Taken: nobody but us knows of it.
    Taken(NonNull<Node>),
    /// Still in the inbox.
    InPlace(NonNull<Node>, Stamp),
    /// None, and the cell has been given up.
    Gone,
    /// None yet: something else to see to first.
    Attend,
}

/// What `attend` found.
enum Attended {
    /// Messages may be handled.
    Run,
    /// The turn is over.
    Over(After),
}

unsafe fn run(cell: CellRef, local: &Local) -> After {
    let mut budget = local.messages_per_turn();
    let mut began: Option<Tick> = None;
    let mut late = false;
    let mut polls = POLLS_PER_TURN;
    // SAFETY: H2 throughout: we own the cell until a `Next::Gone` or an `Attended::Over(Done)`.
    unsafe {
        let mut left = cell.count_taken();
        // Read from the senders' line once, not per message; changes only in `attend`.
        let mut generation = cell.generation();
        loop {
            let owned = cell.owned();
            if cell.has_signals()
                || (*owned).phase != Phase::Running
                || !(*owned).frame.is_null()
                || (*owned).flags.has(Flags::UNUSUAL)
            {
                match attend(cell, &mut left, &mut polls) {
                    Attended::Run => generation = cell.generation(),
                    Attended::Over(after) => return after,
                }
                if (*owned).flags.has(Flags::PROXY) {
                    match forward_next(cell, local, generation, &mut left, &mut budget) {
                        Some(after) => return after,
                        None => continue,
                    }
                }
                if budget > 0 && (*owned).flags.has(Flags::UNSTASH) {
                    cell.next_unstashed(&mut left);
                }
            }
            if budget == 0 {
                publish_and_wake(cell, left, late);
                return After::Again;
            }
            let (node, in_place) = match next(cell, &mut left) {
                Next::Taken(node) => (node, None),
                Next::InPlace(node, stamp) => (node, Some(stamp)),
                Next::Gone => return After::Done,
                Next::Attend => continue,
            };
            budget -= 1;
            if budget.is_multiple_of(CLOCK_EVERY) {
                match began {
                    None => began = Some(Tick::now()),
                    Some(at) if at.until(Tick::now()) > TURN_TIME => (budget, late) = (0, true),
                    Some(_) => {}
                }
            }
            let idle = if node.as_ref().context.is_null() {
                handle::<false, false>(cell, local, generation, node, in_place, &mut left)
            } else {
                handle_in_context(cell, local, generation, node, in_place, &mut left)
            };
            if idle {
                local.set_left(false);
                return After::Done;
            }
        }
    }
}

/// One message of a proxy. `None`: go on; otherwise the turn is over.
#[cold]
unsafe fn forward_next(
    cell: CellRef,
    local: &Local,
    generation: u32,
    left: &mut u32,
    budget: &mut u32,
) -> Option<After> {
    // SAFETY: H2, by the caller.
    unsafe {
        let is_last = *budget == 0 || (*cell.owned()).fifo.is_null();
        if !cell.may_forward(is_last) {
            publish_and_wake(cell, *left, true);
            // Messages pile up until the network has room.
            return cell.inbox().suspend().then_some(After::Done);
        }
        if *budget == 0 {
            publish_and_wake(cell, *left, true);
            return Some(After::Again);
        }
        match next(cell, left) {
            Next::Taken(node) => {
                // A message that is forwarded costs little, and what goes together costs less.
                *budget -= u32::from((*left).is_multiple_of(FORWARDED_FOR_ONE));
                handle::<true, true>(cell, local, generation, node, None, left);
                None
            }
            Next::InPlace(..) => {
                unreachable!("a proxy's messages are taken before they are forwarded")
            }
            Next::Gone => Some(After::Done),
            Next::Attend => None,
        }
    }
}

/// Handles a message that has a context: as any other, with what may stand behind that. Apart, so that most messages
/// pay for it with one look at a word that was just fetched.
#[inline(never)]
unsafe fn handle_in_context(
    cell: CellRef,
    local: &Local,
    generation: u32,
    node: NonNull<Node>,
    in_place: Option<Stamp>,
    left: &mut u32,
) -> bool {
    // SAFETY: by the caller, as for `handle`.
    unsafe { handle::<false, true>(cell, local, generation, node, in_place, left) }
}

/// Handles one message, or forwards it. `true`: the cell has gone idle with it. Without `CONTEXT` the message has
/// none.
#[inline(always)]
unsafe fn handle<const FORWARD: bool, const CONTEXT: bool>(
    cell: CellRef,
    local: &Local,
    generation: u32,
    node: NonNull<Node>,
    in_place: Option<Stamp>,
    left: &mut u32,
) -> bool {
    // SAFETY: H2 and N1: we own the cell and the node; a node in place is ours to read, and stays in
    // the inbox only as a marker.
    unsafe {
        let owned = cell.owned();
        let has_context = CONTEXT && !node.as_ref().context.is_null();
        let mut timed = None;
        let step = if node.as_ref().generation == generation {
            if has_context {
                timed = spanning::begin(cell, local, node, *left, FORWARD);
            }
            (*owned).current = node.as_ptr();
            cell.quiet().touch();
            local.running().begin_message(node.as_ref().vtable);
            let way = if FORWARD {
                node.as_ref().vtable.forward
            } else {
                node.as_ref().vtable.run
            };
            let step = way(cell.as_raw().cast(), node);
            if !matches!(step, Step::Pending) {
                (*owned).current = std::ptr::null_mut();
            }
            step
        } else {
            Step::Skipped(Fate::ActorStopped)
        };
        if has_context {
            spanning::after(cell, node, &step, timed);
        }
        let meta = node.as_ref().meta;
        if let (Step::Done | Step::Forwarded, false) = (&step, meta.internal) {
            local.counters().add_owned(Count::Handled, 1);
            observe::see(local.runtime(), || Event::Handled {
                actor: cell.id(),
                message: (node.as_ref().vtable.message)(),
            });
        }
        let mut idle = false;
        if let Some(stamp) = in_place {
            idle = matches!(step, Step::Done)
                && !cell.has_signals()
                // Inbox B3: with senders in line the way to idle is `next`'s, which wakes them or leaves
                // word; the word as it was seen says nothing of those that a former turn took over.
                && !(*owned).flags.has(Flags::any(Flags::UNUSUAL.bits() | Flags::WAITERS.bits()))
                && cell.inbox().close_after(stamp);
            if idle {
                // What ends the message below may be the user's: a waker, the drop of a late reply.
                local.set_left(true);
            } else {
                let taken = cell.inbox().take_above(node);
                receive(cell, &taken, left);
            }
        }
        // The node is ours alone now; if `idle`, the cell is not.
        match step {
            Step::Done => (node.as_ref().vtable.finish)(node, End::Handled),
            Step::Forwarded => (node.as_ref().vtable.finish)(node, End::Forwarded),
            Step::Pending => {}
            Step::Later => cell.stash_or_drop(node),
            Step::Skipped(fate) => cell.end_node(node, End::Unhandled(fate)),
            Step::GuardPanicked(payload) => {
                local.counters().add_owned(Count::Panics, 1);
                let culprit = spanning::culprit(cell, node);
                cell.end_node(node, End::Unhandled(Fate::Panicked));
                cell.message_panicked(panic_text(payload).into(), culprit);
            }
            Step::Panicked(payload) => {
                local.counters().add_owned(Count::Panics, 1);
                let culprit = spanning::culprit(cell, node);
                cell.end_node(node, End::Interrupted(Fate::Panicked));
                cell.message_panicked(panic_text(payload).into(), culprit);
            }
        }
        idle
    }
}

/// The next message, or what there is instead.
#[inline(always)]
unsafe fn next(cell: CellRef, left: &mut u32) -> Next {
    // SAFETY: H2, by the caller.
    unsafe {
        let owned = cell.owned();
        if let Some(node) = NonNull::new((*owned).fifo) {
            (*owned).fifo = Node::next(node);
            *left -= 1;
            if (*owned).flags.is_publishing(*left) {
                publish(cell, *left);
            }
            return Next::Taken(node);
        }
        match cell.inbox().look() {
            // Not while senders wait: in place the cell could go idle past them (inbox B3).
            Look::One(node, stamp)
                if (*owned).phase == Phase::Running
                    && !(*owned).flags.has(Flags::any(Flags::WAITERS.bits() | Flags::PROXY.bits()))
                    // Nor one of our own in a bounded mailbox: in place it keeps a sender's room, and an
                    // attached task that waits for room in its own actor's mailbox, woken by such a node,
                    // would find it taken by its own wake-up for ever.
                    && !((*owned).flags.is_bounded() && node.as_ref().meta.internal) =>
            {
                // What goes idle by way of a message in place publishes no more, and without a bound nothing
                // was published at the end of the batch before: a store per batch takes the senders' line
                // away once more. Here the look has just fetched it.
                if cell.inbox().taken() != 0 {
                    publish(cell, 0);
                }
                Next::InPlace(node, stamp)
            }
            Look::Empty => {
                publish_and_wake(cell, 0, true);
                if (*owned).flags.has(Flags::DRAIN) && (crossing::bring_more(cell) || drained(cell))
                {
                    return Next::Attend;
                }
                if cell.inbox().finish((*owned).flags.has(Flags::WAITERS)) {
                    return Next::Gone;
                }
                Next::Attend
            }
            Look::One(..) | Look::More => {
                let taken = cell.inbox().take();
                receive(cell, &taken, left);
                Next::Attend
            }
        }
    }
}

/// Books a batch of taken messages in.
unsafe fn receive(cell: CellRef, taken: &Taken, left: &mut u32) {
    // SAFETY: H2, by the caller.
    unsafe {
        let owned = cell.owned();
        debug_assert!(
            (*owned).fifo.is_null(),
            "taking a batch before the last one is done"
        );
        (*owned).fifo = taken.first;
        *left = taken.count;
        if taken.waiters {
            (*owned).flags.set(Flags::WAITERS);
        }
        if (*owned).flags.has(Flags::DROP_OLDEST) {
            drop_oldest(cell, left);
        }
    }
}

/// Keeps only the newest messages of a `DropOldest` mailbox. Our own nodes are neither dropped nor
/// counted: a notice is owed to the actor, and an interval would stand still without its tick.
unsafe fn drop_oldest(cell: CellRef, left: &mut u32) {
    // SAFETY: H2, by the caller; taken nodes are ours.
    unsafe {
        let owned = cell.owned();
        let keep = cell.extra().keep_newest;
        if *left <= keep {
            return;
        }
        let mut users: u32 = 0;
        let mut at = (*owned).fifo;
        while let Some(node) = NonNull::new(at) {
            users += u32::from(!node.as_ref().meta.internal);
            at = Node::next(node);
        }
        let mut before: Option<NonNull<Node>> = None;
        let mut at = (*owned).fifo;
        while users > keep
            && let Some(node) = NonNull::new(at)
        {
            at = Node::next(node);
            if node.as_ref().meta.internal {
                before = Some(node);
                continue;
            }
            match before {
                Some(before) => Node::set_next(before, at),
                None => (*owned).fifo = at,
            }
            users -= 1;
            *left -= 1;
            let fate = if node.as_ref().generation == cell.generation() {
                Fate::Oldest
            } else {
                Fate::ActorStopped
            };
            cell.end_node(node, End::Unhandled(fate));
        }
        cell.inbox().publish_taken(*left);
    }
}

/// A draining actor's mailbox is empty. `true`: it moved on.
unsafe fn drained(cell: CellRef) -> bool {
    // SAFETY: H2, by the caller.
    unsafe {
        let owned = cell.owned();
        match (*owned).phase {
            // Its tasks end by themselves: what comes with that wakes the cell.
            Phase::Running | Phase::StoppingChildren if cell.has_tasks_to_finish() => false,
            Phase::Running => {
                let reason = cell
                    .extra()
                    .stop_reason
                    .clone()
                    .unwrap_or(StopReason::Normal);
                cell.begin_stop(reason, false);
                true
            }
            // Not before the children are gone, who may still send.
            Phase::StoppingChildren if cell.child_count() == 0 => {
                cell.run_stopped();
                true
            }
            _ => false,
        }
    }
}

/// Sees to all that is not a plain message.
#[cold]
#[inline(never)]
unsafe fn attend(cell: CellRef, left: &mut u32, polls: &mut u32) -> Attended {
    // SAFETY: H2, by the caller.
    unsafe {
        loop {
            cell.inbox().clear_notify();
            if cell.has_signals() {
                // One of them may be a look at the mailbox.
                publish(cell, *left);
                process_signals(cell);
            }
            let owned = cell.owned();
            if !(*owned).frame.is_null() {
                if *polls == 0 {
                    publish_and_wake(cell, *left, true);
                    // It keeps waking itself: the others' turn. What woke it is remembered by coming
                    // back at all.
                    return Attended::Over(After::Again);
                }
                *polls -= 1;
                if poll_frame(cell) {
                    continue;
                }
                publish_and_wake(cell, *left, true);
                if cell.inbox().suspend() {
                    return Attended::Over(After::Done);
                }
                continue;
            }
            if (*owned).flags.has(Flags::GIVE_WAY) {
                (*owned).flags.clear(Flags::GIVE_WAY);
                publish_and_wake(cell, *left, true);
                return Attended::Over(After::Again);
            }
            let flags = (*owned).flags;
            let wait = match (*owned).phase {
                Phase::Lane => return Attended::Over(crossing::lane_turn(cell)),
                Phase::Dead => {
                    cell.bury_messages();
                    *left = 0;
                    // The take in `bury_messages` removes the mark of a signal that came meanwhile; the
                    // signal itself is visible then.
                    if !cell.has_signals() && cell.inbox().finish(false) {
                        return Attended::Over(After::Done);
                    }
                    false
                }
                Phase::Starting => {
                    cell.start();
                    false
                }
                Phase::Running
                    if flags.has(Flags::any(Flags::STOP.bits() | Flags::KILL.bits())) =>
                {
                    cell.stop_now();
                    false
                }
                Phase::Running if flags.has(Flags::MOVE) => {
                    publish_and_wake(cell, *left, true);
                    if cell.step_of_move() {
                        return Attended::Over(After::Done);
                    }
                    false
                }
                // Draining is running on, until `drained` says otherwise.
                Phase::Running => return Attended::Run,
                // Only while there is a state to handle messages with: a failed life has none.
                Phase::StoppingChildren
                    if flags.has(Flags::DRAIN)
                        && flags.has(Flags::STATE)
                        && !flags.has(Flags::RESTARTING) =>
                {
                    return Attended::Run;
                }
                Phase::StoppingChildren if cell.waits_for_no_child() => {
                    cell.run_stopped();
                    false
                }
                Phase::BackingOff if cell.backoff_over() => {
                    cell.end_backoff();
                    false
                }
                Phase::StoppingChildren | Phase::Stopping | Phase::Down | Phase::BackingOff => true,
            };
            if wait {
                publish_and_wake(cell, *left, true);
                // Messages pile up; a signal or a timer goes on from here.
                if cell.inbox().suspend() {
                    return Attended::Over(After::Done);
                }
            }
        }
    }
}

/// Polls the suspended handler or hook. `true`: it is gone.
unsafe fn poll_frame(cell: CellRef) -> bool {
    use super::frame::{FrameDone, FramePoll};
    // SAFETY: H2 and F1, by the caller.
    unsafe {
        let owned = cell.owned();
        let Some(frame) = NonNull::new((*owned).frame) else {
            return true;
        };
        let vtable = frame.as_ref().vtable;
        if let Some(local) = Local::current() {
            let node = NonNull::new((*owned).current);
            local
                .running()
                .resume(node.map(|node| node.as_ref().vtable));
        }
        let waker = cell.waker();
        let mut context = std::task::Context::from_waker(&waker);
        let polled = (vtable.poll)(frame, cell, &mut context);
        if matches!(polled, FramePoll::Pending) {
            return false;
        }
        cell.quiet().touch();
        (*owned).frame = std::ptr::null_mut();
        if (*owned).flags.has(Flags::CUT) {
            // Back from the thread that had its state.
            cell.set_away(false);
        }
        let current = std::mem::replace(&mut (*owned).current, std::ptr::null_mut());
        let current = NonNull::new(current);
        if (*owned).flags.has(Flags::TIMED) {
            (*owned).flags.clear(Flags::TIMED);
            stamps::resume(cell.runtime(), cell);
        }
        match polled {
            FramePoll::Pending => {}
            FramePoll::Done(done) => {
                if let Some(node) = current {
                    if !node.as_ref().meta.internal {
                        cell.runtime().count(Count::Handled, 1);
                        observe::see(cell.runtime(), || Event::Handled {
                            actor: cell.id(),
                            message: (node.as_ref().vtable.message)(),
                        });
                    }
                    cell.end_node(node, End::Handled);
                }
                if !matches!(done, FrameDone::Message) {
                    cell.hook_done(done);
                }
            }
            FramePoll::Panicked(payload) => {
                if let Some(node) = current {
                    spanning::panicked(cell, node, &*payload);
                    cell.runtime().count(Count::Panics, 1);
                    let culprit = spanning::culprit(cell, node);
                    cell.end_node(node, End::Interrupted(Fate::Panicked));
                    cell.message_panicked(panic_text(payload).into(), culprit);
                } else {
                    cell.hook_panicked(payload);
                }
            }
        }
        true
    }
}

impl CellRef {
    /// Leaves a handler's or hook's future to be polled when it is woken.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, which has no frame.
    pub(crate) unsafe fn suspend_in(self, frame: NonNull<Frame>) {
        // SAFETY: H2, by the caller.
        unsafe { (*self.owned()).frame = frame.as_ptr() };
    }

    /// Ends the turn with the present message, for once.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, or the owner waits for it.
    pub(crate) unsafe fn end_turn_soon(self) {
        // SAFETY: H2, by the caller.
        unsafe { (*self.owned()).flags.set(Flags::GIVE_WAY) };
    }

    /// The message being handled.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, or the owner waits for it.
    pub(crate) unsafe fn current_node(self) -> Option<NonNull<Node>> {
        // SAFETY: H2, by the caller.
        NonNull::new(unsafe { (*self.owned()).current })
    }

    /// How many taken messages a former turn left.
    unsafe fn count_taken(self) -> u32 {
        // SAFETY: H2, by the caller.
        if unsafe { (*self.owned()).fifo.is_null() } {
            0
        } else {
            self.inbox().taken()
        }
    }
}

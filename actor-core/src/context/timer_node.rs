//! The typed side of a timer: the node that waits in the wheel with its message, or for an interval
//! with the way to make one.
//!
//! It is one of the runtime's own nodes (`meta.internal`) until the moment it is handled: then, if the
//! actor's table still knows the timer, its message is offered, accepted and handed over in one step.
//! So a timer's message is sent when it is handled, never waits as a message, and a timer that is
//! cancelled or dies with its actor was never sent: the books have nothing to say about it.
//!
//! Invariant: a one-shot's message is in its node while `meta.internal` is set, and when it ends unhandled.
//!
//! Memory: from the arena of the actor's NUMA node, as the runtime's own: a timer is not refused at the
//! memory limit. It counts towards it, so that timers without bound make the messages refused that
//! set them.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::mem::{self, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use super::actor::{Handler, Message};
use super::envelope::deliver_told;
use super::message_context::{Context, InForce};
use super::stash::{gate, stash_new};
use crate::cell::{CellRef, TimerId, contain};
use crate::clock::Tick;
use crate::mailbox::ledger::Count;
use crate::mailbox::node::{End, Fate, Meta, Node, NodeVtable, Step, stays_here};
use crate::memory::class::{Class, class_for};
use crate::memory::{self, Purpose};
use crate::scheduler::timer::{Alarm, AlarmVtable};
use crate::sync::UnsafeCell;

/// `P` is the message of a one-shot; for a tick of an interval it is the context that the interval was begun in.
#[repr(C, align(64))]
struct TimerNode<P> {
    node: Node,
    cell: CellRef,
    timer: TimerId,
    payload: MaybeUninit<P>,
}

impl<P> TimerNode<P> {
    const LAYOUT: Layout = Layout::new::<Self>();
    const CLASS: Class = class_for(Self::LAYOUT);

    fn alloc(
        vtable: &'static NodeVtable,
        cell: CellRef,
        timer: TimerId,
        context: Context,
        payload: P,
    ) -> NonNull<Node> {
        let id = cell.id();
        let arena = cell.arena();
        let block = memory::alloc(arena, Self::CLASS, Self::LAYOUT, Purpose::Runtime)
            .expect("the runtime's own blocks are not refused");
        let this = Self {
            node: Node {
                next: UnsafeCell::new(std::ptr::null_mut()),
                vtable,
                context: context.into_raw(),
                generation: id.generation(),
                meta: Meta {
                    arena,
                    internal: true,
                },
            },
            cell,
            timer,
            payload: MaybeUninit::new(payload),
        };
        // SAFETY: a fresh block of this layout.
        unsafe { block.cast::<Self>().write(this) };
        block.cast()
    }

    /// Drops what is in the node and frees it.
    ///
    /// # Safety
    ///
    /// The node is of this type and given up by the caller; `full` or `meta.internal` say that the
    /// payload is in it.
    unsafe fn end(node: NonNull<Node>, full: bool) {
        let this = node.cast::<Self>().as_ptr();
        // SAFETY: by the caller; the context's count goes with the node.
        unsafe {
            if (full || (*this).node.meta.internal) && mem::needs_drop::<P>() {
                contain(|| (*this).payload.assume_init_drop());
            }
            drop(Context::from_raw((*this).node.context));
            memory::free(
                node.cast(),
                (*this).node.meta.arena,
                Self::CLASS,
                Self::LAYOUT,
            );
        }
    }

    /// Behind the wheel's alarm: to the mailbox when the time comes, ended when it will not.
    const ALARM: AlarmVtable = AlarmVtable {
        ring: |block| {
            let node = block.cast::<Node>();
            // SAFETY: by `AlarmVtable::ring` the node is ours; `alloc` made it internal.
            unsafe {
                let cell = (*node.cast::<Self>().as_ptr()).cell;
                cell.push_internal(node);
            }
        },
        // SAFETY: by `AlarmVtable::drop` the node is ours.
        drop: |block| unsafe { Self::end(block.cast(), true) },
    };

    /// # Safety
    ///
    /// The caller owns the cell and the node, which is of this type.
    unsafe fn arm(cell: CellRef, timer: TimerId, at: Tick, node: NonNull<Node>) {
        // SAFETY: by the caller; what a node holds may be dropped and handled on any thread (`Message`
        // is Send).
        unsafe {
            let alarm = Alarm::new(node.cast(), &Self::ALARM);
            cell.arm_timer(timer, at, alarm);
        }
    }

    unsafe fn finish(node: NonNull<Node>, end: End) {
        // SAFETY: by `NodeVtable::finish`, and the invariant.
        unsafe { Self::end(node, matches!(end, End::Unhandled(_))) };
    }
}

/// From here on the node is a message: one that was sent, accepted, and is being handled.
///
/// # Safety
///
/// The caller owns the node.
unsafe fn becomes_a_message(cell: CellRef, node: NonNull<Node>) {
    let runtime = cell.runtime();
    runtime.count(Count::Offered, 1);
    runtime.count(Count::Accepted, 1);
    // SAFETY: N1, by the caller: nobody else looks at a node that is being handled.
    unsafe { (*node.as_ptr()).meta.internal = false };
}

/// A timer with one message.
pub(super) struct Once<A, M>(PhantomData<(A, M)>);

impl<A: Handler<M>, M: Message> Once<A, M> {
    const VTABLE: NodeVtable = NodeVtable {
        run: Self::run,
        forward: stays_here,
        finish: TimerNode::<M>::finish,
        abandoned: |_| false,
        message: std::any::type_name::<M>,
    };

    /// # Safety
    ///
    /// The caller owns the cell, whose actor is an `A`.
    pub(super) unsafe fn arm(
        cell: CellRef,
        timer: TimerId,
        at: Tick,
        context: Context,
        message: M,
    ) {
        let node = TimerNode::alloc(&Self::VTABLE, cell, timer, context, message);
        // SAFETY: by the caller; the node was made a moment ago.
        unsafe { TimerNode::<M>::arm(cell, timer, at, node) };
    }

    unsafe fn run(cell: NonNull<()>, node: NonNull<Node>) -> Step {
        let cell = CellRef::from_raw(cell.cast());
        let this = node.cast::<TimerNode<M>>().as_ptr();
        // SAFETY: by `NodeVtable::run` we own cell and node; the message is in it (invariant).
        unsafe {
            // It is a message already when it was put aside and comes back.
            if (*this).node.meta.internal {
                // Cancelled, replaced, or of an earlier life.
                if !cell.take_timer((*this).timer) {
                    return Step::Done;
                }
                becomes_a_message(cell, node);
            }
            let _in_force = InForce::enter_raw((*this).node.context);
            if let Err(step) = gate::<A, M>(cell, (*this).payload.assume_init_ref()) {
                return step;
            }
            let message = (*this).payload.assume_init_read();
            deliver_told::<A, M>(cell, node, message)
        }
    }
}

/// One tick of an interval. The next one is armed when this one is come to, so that an interval has one
/// tick on its way at most.
pub(super) struct Ticking<A, M>(PhantomData<(A, M)>);

impl<A: Handler<M>, M: Message> Ticking<A, M> {
    const VTABLE: NodeVtable = NodeVtable {
        run: Self::run,
        forward: stays_here,
        finish: TimerNode::<Context>::finish,
        abandoned: |_| false,
        message: std::any::type_name::<M>,
    };

    /// # Safety
    ///
    /// As for `Once::arm`; the timer's maker makes `M`s.
    pub(super) unsafe fn arm(cell: CellRef, timer: TimerId, at: Tick, begun_in: Context) {
        let context = begun_in.of_tick(cell.runtime(), at, cell.id());
        let node = TimerNode::alloc(&Self::VTABLE, cell, timer, context, begun_in);
        // SAFETY: by the caller; the node was made a moment ago.
        unsafe { TimerNode::<Context>::arm(cell, timer, at, node) };
    }

    unsafe fn run(cell: NonNull<()>, node: NonNull<Node>) -> Step {
        let cell = CellRef::from_raw(cell.cast());
        let this = node.cast::<TimerNode<Context>>().as_ptr();
        // SAFETY: by `NodeVtable::run` we own cell and node; the table's maker for this timer was given
        // with this vtable, so it makes an `M`.
        unsafe {
            let timer = (*this).timer;
            let Some(tock) = cell.tick_timer(timer, Tick::now()) else {
                return Step::Done;
            };
            // What is left of it need not be dropped, and may be.
            let begun_in = mem::take((*this).payload.assume_init_mut());
            Self::arm(cell, timer, tock.next, begun_in);
            let _in_force = InForce::enter_raw((*this).node.context);
            let mut make = tock.make;
            let mut message = MaybeUninit::<M>::uninit();
            let made = catch_unwind(AssertUnwindSafe(|| make(message.as_mut_ptr().cast())));
            cell.return_maker(timer, make);
            if let Err(payload) = made {
                becomes_a_message(cell, node);
                return Step::Panicked(payload);
            }
            let message = message.assume_init();
            match gate::<A, M>(cell, &message) {
                Ok(()) => {}
                Err(Step::Later) => {
                    // The node has no room for it: it is put aside in one of its own.
                    let context = super::envelope::context_of(node).before_handling();
                    let Err(refused) = stash_new::<A, M>(cell, context, message) else {
                        return Step::Done;
                    };
                    contain(|| drop(refused));
                    becomes_a_message(cell, node);
                    return Step::Skipped(Fate::Newest);
                }
                Err(step) => {
                    contain(|| drop(message));
                    becomes_a_message(cell, node);
                    return step;
                }
            }
            becomes_a_message(cell, node);
            deliver_told::<A, M>(cell, node, message)
        }
    }
}

//! Messages that an actor has put aside until it is ready for them.
//!
//! ```text
//!   run says Later ──► kept ── unstash ──► back ── one at a time ──► front of the FIFO ──► run
//!                       (in Extra)          (in Extra, flag UNSTASH)
//! ```
//!
//! What is put aside is the node itself: an ask keeps its asker, a message its context, and nothing is
//! copied. In the books it goes on waiting: accepted, and neither handled nor dropped.
//!
//! `back` is emptied one node at a time by the turn, each straight into the hands of `next`, and not
//! laid before the FIFO as a whole: so messages that are unstashed in two steps stay in order, and
//! the count of the FIFO, which is the turn's own, stays right. While there is something in it the flag
//! keeps the turn from passing by and from going idle.
//!
//! Both lists end like the mailbox does: a restart puts all back to its front, the end of the actor makes
//! dead letters of them.

use std::ptr::{NonNull, null_mut};

use super::header::{CellRef, Flags};
use crate::mailbox::node::{End, Fate, Node};

/// What an actor has put aside; a part of `Extra`.
#[derive(Debug)]
pub(super) struct Stash {
    kept: Chain,
    back: Chain,
    pub(super) capacity: usize,
}

/// Nodes in order.
#[derive(Debug)]
struct Chain {
    first: *mut Node,
    last: *mut Node,
    len: usize,
}

/// How many messages an actor puts aside if nobody says otherwise.
pub(crate) const STASH_CAPACITY: usize = 1000;

impl Stash {
    pub(super) const fn new() -> Self {
        Self {
            kept: Chain::new(),
            back: Chain::new(),
            capacity: STASH_CAPACITY,
        }
    }
}

impl Chain {
    const fn new() -> Self {
        Self {
            first: null_mut(),
            last: null_mut(),
            len: 0,
        }
    }

    /// # Safety
    ///
    /// The node is the caller's (N1), who gives it up.
    unsafe fn push(&mut self, node: NonNull<Node>) {
        // SAFETY: by the caller; what is in the chain is the chain's.
        unsafe {
            Node::set_next(node, null_mut());
            match NonNull::new(self.last) {
                Some(last) => Node::set_next(last, node.as_ptr()),
                None => self.first = node.as_ptr(),
            }
        }
        self.last = node.as_ptr();
        self.len += 1;
    }

    fn pop(&mut self) -> Option<NonNull<Node>> {
        let node = NonNull::new(self.first)?;
        // SAFETY: N1: what is in the chain is the chain's.
        self.first = unsafe { Node::next(node) };
        if self.first.is_null() {
            self.last = null_mut();
        }
        self.len -= 1;
        Some(node)
    }
}

impl CellRef {
    /// Puts a message aside. `false`: there is no room, and the node is still the caller's.
    ///
    /// # Safety
    ///
    /// The caller owns the cell and the node, which is out of the inbox.
    pub(crate) unsafe fn stash(self, node: NonNull<Node>) -> bool {
        // SAFETY: H2 and N1, by the caller.
        unsafe {
            let stash = &mut self.extra().stash;
            if stash.kept.len >= stash.capacity {
                return false;
            }
            stash.kept.push(node);
            true
        }
    }

    /// As [`stash`](Self::stash); a message that finds no room is dropped, and an asker told.
    ///
    /// # Safety
    ///
    /// As for `stash`; the node is given up.
    pub(super) unsafe fn stash_or_drop(self, node: NonNull<Node>) {
        // SAFETY: by the caller.
        unsafe {
            if !self.stash(node) {
                self.end_node(node, End::Unhandled(Fate::Newest));
            }
        }
    }

    /// Gives the `n` messages that were put aside first back to the mailbox, before all that waits
    /// there. How many there were.
    ///
    /// # Safety
    ///
    /// The caller owns the cell, or its owner waits for the caller.
    pub(crate) unsafe fn unstash(self, n: usize) -> usize {
        // SAFETY: H2, by the caller.
        unsafe {
            let Some(extra) = self.extra_if_any() else {
                return 0;
            };
            let stash = &mut extra.stash;
            let mut moved = 0;
            while moved < n
                && let Some(node) = stash.kept.pop()
            {
                stash.back.push(node);
                moved += 1;
            }
            if stash.back.len > 0 {
                (*self.owned()).flags.set(Flags::UNSTASH);
            }
            moved
        }
    }

    /// How many messages are put aside, and how many may be.
    ///
    /// # Safety
    ///
    /// As for [`unstash`](Self::unstash).
    pub(crate) unsafe fn stashed(self) -> (usize, usize) {
        // SAFETY: H2, by the caller.
        unsafe { (*self.owned()).extra.as_ref() }.map_or((0, STASH_CAPACITY), |extra| {
            (extra.stash.kept.len, extra.stash.capacity)
        })
    }

    /// For the turn: lays the next message that was given back before the FIFO.
    ///
    /// # Safety
    ///
    /// The caller owns the cell and takes the first of the FIFO next.
    pub(super) unsafe fn next_unstashed(self, left: &mut u32) {
        // SAFETY: H2, by the caller.
        unsafe {
            let owned = self.owned();
            let Some(extra) = self.extra_if_any() else {
                return;
            };
            if let Some(node) = extra.stash.back.pop() {
                Node::set_next(node, (*owned).fifo);
                (*owned).fifo = node.as_ptr();
                *left += 1;
            }
            if extra.stash.back.len == 0 {
                (*owned).flags.clear(Flags::UNSTASH);
            }
        }
    }

    /// Makes dead letters of all that is put aside.
    ///
    /// # Safety
    ///
    /// The caller owns the cell.
    pub(super) unsafe fn bury_stash(self) {
        // SAFETY: H2, by the caller. The extra part is looked up each time: a message's `Drop` is the
        // user's.
        unsafe {
            while let Some(node) = self
                .extra_if_any()
                .and_then(|extra| extra.stash.back.pop().or_else(|| extra.stash.kept.pop()))
            {
                self.end_node(node, End::Unhandled(Fate::ActorStopped));
            }
            (*self.owned()).flags.clear(Flags::UNSTASH);
        }
    }
}

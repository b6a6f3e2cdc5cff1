//! Hearing of who comes to a group and who goes.
//!
//! A subscriber's queue is bounded. When it is full it is emptied, and the subscriber gets what there is then in
//! one piece, as at the beginning: it may be late, but it never goes on from something that is not true, and it
//! costs no more memory than the group.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::directory::{Board, Shared};
use super::entry::Member;
use super::machine::Left;

/// Changes that wait for a subscriber: 1024. One that has fallen behind further gets the present members instead.
pub const PENDING_EVENTS_MAX: usize = 1024;

/// What a subscriber to a group hears.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GroupEvent {
    /// These are the members now, and no others. Always the first, and again when the subscriber has fallen
    /// [too far](PENDING_EVENTS_MAX) behind.
    Current(Vec<Member>),
    /// One more.
    Joined(Member),
    /// It was a member before; its weight is another now, or its peer is seen otherwise ([`Member::peer_state`]).
    Changed(Member),
    /// One less.
    Left {
        /// The former member.
        member: Member,
        /// Why it left.
        why: Left,
    },
}

/// A stream of what happens in a group, made by [`Group::subscribe`](super::Group::subscribe). It never ends by
/// itself. An actor takes it by
/// [`ActorContext::attach_stream`](actor_core::ActorContext::attach_stream).
#[must_use = "nothing is heard unless it is polled"]
pub struct GroupEvents {
    shared: Arc<Shared>,
    board: Arc<Board>,
    queue: Arc<Queue>,
}

/// What waits for one subscriber.
pub(super) struct Queue {
    /// Of this type members are heard of.
    actor_type: &'static str,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    events: VecDeque<GroupEvent>,
    /// What there is must be taken before any change: at first, and when changes were lost.
    is_behind: bool,
    waker: Option<Waker>,
}

impl GroupEvents {
    pub(super) fn new(shared: Arc<Shared>, board: Arc<Board>, actor_type: &'static str) -> Self {
        let queue = Arc::new(Queue {
            actor_type,
            waiting: Mutex::new(Waiting {
                events: VecDeque::new(),
                is_behind: true,
                waker: None,
            }),
        });
        shared.subscribe(&board, &queue);
        Self {
            shared,
            board,
            queue,
        }
    }

    /// The next one, when it is there.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing is lost.
    pub async fn next(&mut self) -> GroupEvent {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The next one if it is there already.
    pub fn try_next(&mut self) -> Option<GroupEvent> {
        match self.poll_event(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<GroupEvent> {
        {
            let mut waiting = self.queue.lock();
            if !waiting.is_behind {
                if let Some(event) = waiting.events.pop_front() {
                    return Poll::Ready(event);
                }
                waiting.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        // The lock of the machine comes before that of the queue.
        let members = self.shared.refill(&self.board, &self.queue);
        Poll::Ready(GroupEvent::Current(members))
    }
}

impl Stream for GroupEvents {
    type Item = GroupEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<GroupEvent>> {
        self.get_mut().poll_event(cx).map(Some)
    }
}

impl fmt::Debug for GroupEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.queue.lock();
        f.debug_struct("GroupEvents")
            .field("group", &self.board.group)
            .field("waiting", &waiting.events.len())
            .field("is_behind", &waiting.is_behind)
            .finish_non_exhaustive()
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wants(&self, member: &Member) -> bool {
        *member.actor_type == *self.actor_type
    }

    /// Begins anew: what waits is in the present members.
    pub(super) fn forget(&self) {
        let mut waiting = self.lock();
        waiting.events.clear();
        waiting.is_behind = false;
    }

    /// Adds a change; who is to be woken for it.
    pub(super) fn push(&self, event: &GroupEvent) -> Option<Waker> {
        let (GroupEvent::Joined(member)
        | GroupEvent::Changed(member)
        | GroupEvent::Left { member, .. }) = event
        else {
            return None;
        };
        if !self.wants(member) {
            return None;
        }
        let mut waiting = self.lock();
        if waiting.is_behind {
            return waiting.waker.take();
        }
        if waiting.events.len() >= PENDING_EVENTS_MAX {
            waiting.events = VecDeque::new();
            waiting.is_behind = true;
        } else {
            waiting.events.push_back(event.clone());
        }
        waiting.waker.take()
    }
}

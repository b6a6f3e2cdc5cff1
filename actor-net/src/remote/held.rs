//! Messages that wait for room in mailboxes here, and what keeps them from holding up others.
//!
//! A message for a full mailbox that lets its senders wait is held, and everything for the same actor behind it. At first
//! it takes room of its own, of which there is so much for each peer (`RemoteSettings::held_messages`, `held_bytes`): what
//! it took of the peer's window is free again, and the other actors of the lane get their messages.
//!
//! ```text
//!   there: senders ──> proxy of X ──┐                         ┌──> mailbox of X: full ──> held for X
//!          senders ──> proxy of Y ──┴── lane, one window ─────┴──> mailbox of Y
//!             ^                                                           │
//!             └──────── "hold X back", "go on with X" (datagrams) ────────┘
//! ```
//!
//! When [`PAUSE_AT`] are held for one actor its peer is asked to hold that one proxy back; then the proxy's mailbox fills,
//! and who sends to X is held up, and nobody else (`pauses`). Where a peer does not heed it, or so many actors are full that
//! the room here is used up, messages keep their room of the window, and the peer is held up as a whole.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actor_core::StopMode;

use super::association::{Association, lock};
use super::calls::Table;
use super::exports::Waiting;
use super::inbound::code_of_refusal;
use super::pauses::Word;
use super::settings::RemoteSettings;
use crate::wire::credit::Charge;
use crate::wire::lane::Incoming;

/// So many messages for one actor, and its senders are held back; so few, and they may go on.
const PAUSE_AT: usize = 1024;
const RESUME_AT: usize = 256;

/// When a pause is said again: well before it ends.
const AGAIN: Duration = Duration::from_millis(400);

/// Messages that wait for room in mailboxes, by the number of the actor.
#[derive(Default)]
pub(super) struct Held {
    pub(super) actors: AtomicUsize,
    queues: Mutex<Table<Queue>>,
    /// Actors that are to stop when all that is held for them is in their mailboxes.
    stops: Mutex<BTreeSet<u64>>,
    /// What takes room of its own.
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Parked>,
    messages: usize,
    /// When the peer was asked to hold its senders back.
    paused: Option<Instant>,
}

/// One that waits, and whose room it takes.
pub(super) struct Parked {
    pub(super) lane: usize,
    pub(super) incoming: Incoming,
    /// That of its own, not of the peer's window.
    pub(super) own: bool,
}

/// What a message that was put behind others leads to.
pub(super) struct Queued {
    /// It takes room of its own: what it took of the window is free.
    pub(super) free: Option<Charge>,
    /// The peer is to hold its senders back.
    pub(super) pause: bool,
}

/// What comes after one that was put into its mailbox.
pub(super) enum Next {
    Message(Box<Parked>),
    /// None is left; whether the actor is to stop now.
    None {
        stops: bool,
    },
}

impl Held {
    /// Room of its own for a message, if there is any; to be [given back](Self::give_room).
    pub(super) fn take_room(&self, charge: Charge, settings: &RemoteSettings) -> bool {
        let (messages, bytes) = size_of(charge);
        // Relaxed: counts, that may be over by those who look at once, and are corrected.
        let all = self.messages.fetch_add(messages, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = all.saturating_add(messages) <= settings.held_messages
            && before.saturating_add(bytes) <= settings.held_bytes;
        if !fits {
            self.give_room(charge);
        }
        fits
    }

    pub(super) fn give_room(&self, charge: Charge) {
        let (messages, bytes) = size_of(charge);
        self.messages.fetch_sub(messages, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Something is held for this actor from now on.
    pub(super) fn begin(&self, number: u64) {
        let mut queues = lock(&self.queues);
        queues.entry(number).or_default();
        self.actors.fetch_add(1, Ordering::AcqRel);
    }

    /// Puts a message behind what is held for the same actor; it comes back if nothing is.
    #[expect(clippy::result_large_err, reason = "the message comes back")]
    pub(super) fn push(
        &self,
        number: u64,
        lane: usize,
        incoming: Incoming,
        settings: &RemoteSettings,
    ) -> Result<Queued, Incoming> {
        let mut queues = lock(&self.queues);
        let Some(queue) = queues.get_mut(&number) else {
            return Err(incoming);
        };
        let charge = incoming.charge;
        let own = self.take_room(charge, settings);
        queue.messages += messages_of(&incoming);
        queue.waiting.push_back(Parked {
            lane,
            // Copied out: a few bytes would keep a whole chunk of the connection.
            incoming: incoming.detach(),
            own,
        });
        let pause = queue.paused.is_none() && queue.messages >= PAUSE_AT;
        if pause {
            queue.paused = Some(Instant::now());
        }
        Ok(Queued {
            free: own.then_some(charge),
            pause,
        })
    }

    /// The next message for an actor; whether the peer is to let its senders go on.
    pub(super) fn pop(&self, number: u64) -> (Next, bool) {
        let mut queues = lock(&self.queues);
        let Some(queue) = queues.get_mut(&number) else {
            return (Next::None { stops: false }, false);
        };
        let next = queue.waiting.pop_front();
        if let Some(next) = &next {
            queue.messages -= messages_of(&next.incoming);
        }
        let resume = queue.messages <= RESUME_AT && queue.paused.take().is_some();
        match next {
            Some(next) => (Next::Message(Box::new(next)), resume),
            None => {
                queues.remove(&number);
                self.actors.fetch_sub(1, Ordering::AcqRel);
                let stops = lock(&self.stops).remove(&number);
                (Next::None { stops }, resume)
            }
        }
    }

    /// If messages are held for an actor, it stops behind them; whether there are any.
    pub(super) fn stop_behind(&self, number: u64) -> bool {
        let queues = lock(&self.queues);
        let is_held = queues.contains_key(&number);
        if is_held {
            lock(&self.stops).insert(number);
        }
        is_held
    }

    /// Pauses that are to be said again.
    pub(super) fn pauses_due(&self, now: Instant) -> Vec<u64> {
        if self.actors.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut due = Vec::new();
        for (number, queue) in &mut *lock(&self.queues) {
            if let Some(said) = &mut queue.paused
                && now.saturating_duration_since(*said) >= AGAIN
            {
                *said = now;
                due.push(*number);
            }
        }
        due
    }
}

/// Messages and bytes.
fn size_of(charge: Charge) -> (usize, usize) {
    let bytes = charge.bytes.saturating_add(charge.large);
    let number = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    (number(charge.messages), number(bytes))
}

fn messages_of(incoming: &Incoming) -> usize {
    usize::try_from(incoming.head.messages()).unwrap_or(usize::MAX)
}

/// A message that waits for room, and what it takes of the window meanwhile.
pub(super) struct Blocked {
    pub(super) number: u64,
    pub(super) waiting: Waiting,
    pub(super) lane: usize,
    pub(super) charge: Charge,
    /// What came with it, and has the charge of all.
    pub(super) rest: Option<Box<Incoming>>,
    /// All of it takes room of its own, not of the window.
    pub(super) own: bool,
}

impl Blocked {
    pub(super) fn messages(&self) -> u64 {
        let rest = self.rest.as_ref();
        1 + rest.map_or(0, |rest| rest.head.messages().into())
    }

    /// What it takes, with what came with it.
    pub(super) fn charge_of_all(&self) -> Charge {
        self.rest.as_ref().map_or(self.charge, |rest| rest.charge)
    }
}

/// What the messages of one batch took of the peer's window, given back at its end, however that comes.
pub(super) struct Room<'a> {
    pub(super) association: &'a Association,
    pub(super) lane: usize,
    pub(super) charge: Option<Charge>,
}

impl Room<'_> {
    pub(super) fn add(&mut self, charge: Charge) {
        match &mut self.charge {
            Some(sum) if sum.connection == charge.connection => sum.add(charge),
            _ => {
                if let Some(other) = self.charge.replace(charge) {
                    self.association.release(self.lane, other);
                }
            }
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if let Some(charge) = self.charge.take() {
            self.association.release(self.lane, charge);
        }
    }
}

/// Puts what is held for one actor into its mailbox, one by one, as it has room.
pub(super) async fn pump(association: Arc<Association>, first: Blocked) {
    let number = first.number;
    let mut blocked = Some(first);
    loop {
        if let Some(Blocked {
            waiting,
            lane,
            charge,
            rest,
            own,
            ..
        }) = blocked.take()
        {
            let sent = waiting.await;
            match sent {
                Ok(()) => association.own.books.delivered.one_more(),
                Err(refusal) => association.refused(code_of_refusal(refusal)),
            }
            association.own.books.held.take(1);
            association.free(own, lane, charge);
            if let Some(rest) = rest {
                match actor_core::remote::gather(|| association.hand_in_again(lane, *rest)) {
                    Ok(charge) => association.free(own, lane, charge),
                    Err(again) => {
                        blocked = Some(Blocked { own, ..again });
                        continue;
                    }
                }
            }
        }
        match actor_core::remote::gather(|| association.hand_in_held(number)) {
            Handed::All => return,
            Handed::Some => tokio::task::yield_now().await,
            Handed::Until(again) => blocked = Some(again),
        }
    }
}

/// What became of messages that were held.
enum Handed {
    /// None is left.
    All,
    /// There are more.
    Some,
    /// This one has no room yet.
    Until(Blocked),
}

impl Association {
    /// What a message took that was held is free.
    fn free(&self, own: bool, lane: usize, charge: Charge) {
        if own {
            self.held.give_room(charge);
        } else {
            self.release(lane, charge);
        }
    }

    /// As `hand_in`, for what was held.
    fn hand_in_again(self: &Arc<Self>, lane: usize, held: Incoming) -> Result<Charge, Blocked> {
        let messages = u64::from(held.head.messages());
        let handed = self.hand_in(lane, held);
        let left = handed.as_ref().err().map_or(0, Blocked::messages);
        self.own.books.held.take(messages.saturating_sub(left));
        handed
    }

    /// Hands in what is held for an actor, in its order, until there is no room, or for as long as others can wait.
    fn hand_in_held(self: &Arc<Self>, number: u64) -> Handed {
        let mut room: Option<Room<'_>> = None;
        for _ in 0..HELD_BATCH {
            let (next, resume) = self.held.pop(number);
            if resume {
                self.say_of(number, Word::GoOn);
            }
            let next = match next {
                Next::Message(next) => *next,
                Next::None { stops } => {
                    if stops {
                        self.stop_now(number, StopMode::Drain);
                    }
                    return Handed::All;
                }
            };
            let Parked {
                lane,
                incoming,
                own,
            } = next;
            match self.hand_in_again(lane, incoming) {
                Ok(charge) if own => self.held.give_room(charge),
                Ok(charge) => match &mut room {
                    Some(room) if room.lane == lane => room.add(charge),
                    _ => {
                        room = Some(Room {
                            association: self,
                            lane,
                            charge: Some(charge),
                        });
                    }
                },
                Err(again) => return Handed::Until(Blocked { own, ..again }),
            }
        }
        Handed::Some
    }
}

/// How many held messages are handed in before others have their turn.
const HELD_BATCH: usize = 64;

#[cfg(test)]
mod tests;

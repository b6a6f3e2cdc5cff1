//! Messages that came for a full mailbox and wait here for room in it, everything for the same actor in its order;
//! and the room of the peer's window that messages keep meanwhile.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use actor_core::StopMode;

use super::association::{Association, lock};
use super::calls::Table;
use super::exports::Waiting;
use super::inbound::code_of_refusal;
use crate::wire::credit::Charge;
use crate::wire::lane::Incoming;

/// Messages that wait for room in mailboxes, by the number of the actor.
#[derive(Default)]
pub(super) struct Held {
    pub(super) actors: AtomicUsize,
    pub(super) queues: Mutex<Table<VecDeque<(usize, Incoming)>>>,
    /// Actors that are to stop when all that is held for them is in their mailboxes.
    pub(super) stops: Mutex<BTreeSet<u64>>,
}

/// A message that waits for room, and what it takes of the window meanwhile.
pub(super) struct Blocked {
    pub(super) number: u64,
    pub(super) waiting: Waiting,
    pub(super) lane: usize,
    pub(super) charge: Charge,
    /// What came with it, and has the charge of all.
    pub(super) rest: Option<Box<Incoming>>,
}

impl Blocked {
    pub(super) fn messages(&self) -> u64 {
        let rest = self.rest.as_ref();
        1 + rest.map_or(0, |rest| rest.head.messages().into())
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
            ..
        }) = blocked.take()
        {
            let sent = waiting.await;
            match sent {
                Ok(()) => association.own.books.delivered.one_more(),
                Err(refusal) => association.refused(code_of_refusal(refusal)),
            }
            association.own.books.held.take(1);
            association.release(lane, charge);
            if let Some(rest) = rest {
                match actor_core::remote::gather(|| association.hand_in_again(lane, *rest)) {
                    Ok(charge) => association.release(lane, charge),
                    Err(again) => {
                        blocked = Some(again);
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
            let next = {
                let mut queues = lock(&self.held.queues);
                let next = queues.get_mut(&number).and_then(VecDeque::pop_front);
                if next.is_none() {
                    queues.remove(&number);
                    self.held.actors.fetch_sub(1, Ordering::AcqRel);
                    if lock(&self.held.stops).remove(&number) {
                        self.stop_now(number, StopMode::Drain);
                    }
                }
                next
            };
            let Some((lane, incoming)) = next else {
                return Handed::All;
            };
            match self.hand_in_again(lane, incoming) {
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
                Err(again) => return Handed::Until(again),
            }
        }
        Handed::Some
    }
}

/// How many held messages are handed in before others have their turn.
const HELD_BATCH: usize = 64;

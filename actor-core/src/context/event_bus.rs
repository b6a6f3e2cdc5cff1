//! Typed publish and subscribe, for actors of one process.
//!
//! A bus is a list of mailboxes. Publishing tells each of them and never waits: an event that finds a
//! mailbox full is missed by that subscriber alone, counted, and told to it as soon as there is room, if
//! it wants to know. Who publishes sees how it went.
//!
//! The list is replaced when it changes, and a publisher works on the list as it found it. So nothing is
//! locked while events are copied and sent.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::actor::Message;
use super::recipient::Recipient;
use crate::id::ActorId;
use crate::mailbox::SendError;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Events of type `E`, for every actor that subscribes.
///
/// Cheap to clone (a counter); all clones are one bus. Events of one publisher reach each subscriber in
/// the order they were published. An event too large to be copied per subscriber goes as an `Arc<E>`.
///
/// # Examples
///
/// ```
/// use actor_core::prelude::*;
/// use actor_core::EventBus;
///
/// #[derive(Clone)]
/// struct PriceChanged(u64);
/// impl Message for PriceChanged { type Reply = (); }
///
/// struct Board(u64);
/// impl Actor for Board {}
/// impl SyncHandler<PriceChanged> for Board {
///     fn handle(&mut self, PriceChanged(price): PriceChanged, _cx: &mut ActorContext<Self>) {
///         self.0 = price;
///     }
/// }
///
/// let system = ActorSystem::new()?;
/// let prices = EventBus::new();
/// let board = system.spawn(Board(0))?;
/// prices.subscribe(board);
/// let published = prices.publish(PriceChanged(7));
/// assert_eq!((published.accepted, published.missed, published.gone), (1, 0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventBus<E: Message> {
    shared: Arc<Shared<E>>,
}

struct Shared<E: Message> {
    subscribers: Mutex<Arc<[Arc<Subscriber<E>>]>>,
}

struct Subscriber<E: Message> {
    who: Recipient<E>,
    /// Makes the event that tells how many were missed.
    on_missed: Option<Box<dyn Fn(u64) -> E + Send + Sync>>,
    /// Missed, and not told yet.
    untold: AtomicU64,
    missed: AtomicU64,
}

/// What became of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Subscribers whose mailbox took it.
    pub accepted: usize,
    /// Subscribers that missed it: their mailbox was full, or there was no memory for messages.
    pub missed: usize,
    /// Subscribers that have stopped; they are subscribed no more.
    pub gone: usize,
    /// Nobody got it any more: the publisher's context had expired or was cancelled.
    pub is_late: bool,
}

impl<E: Message + Clone> EventBus<E> {
    /// A bus without subscribers.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                subscribers: Mutex::new(Arc::from([])),
            }),
        }
    }

    /// From the next event on, `who` gets them all, within the bound of its mailbox: a policy that drops
    /// messages is the subscriber's own, and counted there; with the others an event that finds it full
    /// is missed and counted here. `false`: it is subscribed already.
    ///
    /// Until it stops or [unsubscribes](Self::unsubscribe).
    pub fn subscribe(&self, who: impl Into<Recipient<E>>) -> bool {
        self.add(who.into(), None)
    }

    /// As [`subscribe`](Self::subscribe), and when there is room again the subscriber is first told how
    /// many events it has missed, by the event that `missed` makes of the number.
    pub fn subscribe_with(
        &self,
        who: impl Into<Recipient<E>>,
        missed: impl Fn(u64) -> E + Send + Sync + 'static,
    ) -> bool {
        self.add(who.into(), Some(Box::new(missed)))
    }

    fn add(
        &self,
        who: Recipient<E>,
        on_missed: Option<Box<dyn Fn(u64) -> E + Send + Sync>>,
    ) -> bool {
        let new = Arc::new(Subscriber {
            who,
            on_missed,
            untold: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        });
        self.change(|before| {
            let known = before.iter().any(|each| each.who == who);
            (!known).then(|| before.iter().cloned().chain([new]).collect())
        })
    }

    /// From the next event on, this subscriber gets none. What is in its mailbox it gets still. `false`:
    /// it was not subscribed.
    pub fn unsubscribe(&self, who: impl Into<Recipient<E>>) -> bool {
        let who = who.into();
        self.remove(|each| each.who == who)
    }

    fn remove(&self, is_to_go: impl Fn(&Subscriber<E>) -> bool) -> bool {
        self.change(|before| {
            let kept: Vec<_> = before
                .iter()
                .filter(|each| !is_to_go(each))
                .cloned()
                .collect();
            (kept.len() < before.len()).then_some(kept)
        })
    }

    /// Replaces the list; the old one is dropped outside of the lock. Whether it changed.
    fn change(
        &self,
        f: impl FnOnce(&[Arc<Subscriber<E>>]) -> Option<Vec<Arc<Subscriber<E>>>>,
    ) -> bool {
        let mut subscribers = self.lock();
        let Some(new) = f(&subscribers) else {
            return false;
        };
        let old = std::mem::replace(&mut *subscribers, new.into());
        drop(subscribers);
        drop(old);
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<[Arc<Subscriber<E>>]>> {
        self.shared
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells all subscribers of an event. Never waits; from anywhere.
    ///
    /// The events carry the context in force, as any message does.
    pub fn publish(&self, event: E) -> Published {
        let subscribers = self.lock().clone();
        let mut published = Published::default();
        let mut last = Some(event);
        for (n, each) in subscribers.iter().enumerate() {
            // The last one gets the event itself.
            let event = if n + 1 == subscribers.len() {
                last.take()
            } else {
                last.clone()
            };
            if let Some(event) = event {
                each.tell(event, &mut published);
            }
        }
        if published.gone > 0 {
            self.remove(|each| !each.who.is_alive());
        }
        published
    }

    /// How many are subscribed, those that have stopped since the last event included.
    pub fn subscribers(&self) -> usize {
        self.lock().len()
    }

    /// How many events a subscriber has missed since it subscribed; `None` if it is not subscribed.
    pub fn missed(&self, who: impl Into<Recipient<E>>) -> Option<u64> {
        let who = who.into();
        let subscribers = self.lock().clone();
        let found = subscribers.iter().find(|each| each.who == who)?;
        Some(found.missed.load(Ordering::Relaxed))
    }
}

impl<E: Message> Subscriber<E> {
    fn tell(&self, event: E, published: &mut Published) {
        // Relaxed, here and below: figures. Two publishers at once may tell a number in two parts.
        let untold = self.untold.load(Ordering::Relaxed);
        if untold > 0
            && let Some(on_missed) = &self.on_missed
        {
            if self.who.tell(on_missed(untold)).is_err() {
                // Not before it knows what it missed: or it would take the next event for the next one.
                return self.miss_or_gone(published);
            }
            self.untold.fetch_sub(untold, Ordering::Relaxed);
        }
        match self.who.tell(event) {
            Ok(()) => published.accepted += 1,
            Err(SendError::Expired { .. } | SendError::Cancelled { .. }) => {
                published.is_late = true;
            }
            Err(_) => self.miss_or_gone(published),
        }
    }

    fn miss_or_gone(&self, published: &mut Published) {
        if self.who.is_alive() {
            self.untold.fetch_add(1, Ordering::Relaxed);
            self.missed.fetch_add(1, Ordering::Relaxed);
            published.missed += 1;
        } else {
            published.gone += 1;
        }
    }
}

impl<E: Message + Clone> Default for EventBus<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Message> Clone for EventBus<E> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<E: Message> EventBus<E> {
    /// The identities of those who are subscribed now, in the order they came.
    pub fn subscribed(&self) -> Vec<ActorId> {
        let subscribers = self
            .shared
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        subscribers.iter().map(|each| each.who.id()).collect()
    }
}

impl<E: Message> fmt::Debug for EventBus<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBus")
            .field("event", &format_args!("{}", std::any::type_name::<E>()))
            .field("subscribers", &self.subscribed().len())
            .finish()
    }
}

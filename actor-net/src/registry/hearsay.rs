//! Who has which unique name, as this peer has heard: what all agreed on, a moment later.
//!
//! Looking costs nothing and asks nobody. A subscriber hears the state of one name, the newest each time: what came
//! and went before it looked is left out, and the epoch tells that there was something. What it begins with and what
//! follows are put into its seat under one lock, so nothing is missed in between.
//!
//! A peer that takes part in no cluster knows nothing: between two lives, after the last, before it is a member, and
//! from the moment on when it hears that the others have declared its life down. Then every subscriber is told
//! [`NameEvent::Unknown`], so that an actor that had a name knows that it may have lost it.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::names::Holder;
use crate::consensus::{Authority, Change, Consensus, Event};
use crate::id::Life;

/// What a subscriber to a unique name hears.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameEvent {
    /// This actor has it.
    Held(Holder),
    /// Nobody has it.
    Free,
    /// This peer takes part in no cluster now: it has not joined yet, its life was ended, or it has left. If an actor
    /// of this process had the name, it has it no longer; it may claim it again when the peer is a member again.
    Unknown,
}

/// A stream of who has a unique name, made by [`UniqueName::subscribe`](super::UniqueName::subscribe). It never ends by
/// itself. An actor takes it by
/// [`ActorContext::attach_stream`](actor_core::ActorContext::attach_stream).
#[must_use = "nothing is heard unless it is polled"]
pub struct NameEvents {
    name: Arc<str>,
    seat: Arc<Seat>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Hearsay(Mutex<State>);

#[derive(Default)]
struct State {
    /// The present life, and what it has heard.
    heard: Option<(Life, Arc<Authority>)>,
    subscribers: BTreeMap<Arc<str>, Vec<Weak<Seat>>>,
}

/// One subscriber's.
#[derive(Default)]
struct Seat(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// With the version of what all agreed on that it is of.
    news: Option<(u64, NameEvent)>,
    told: Option<NameEvent>,
    waker: Option<Waker>,
}

impl Hearsay {
    /// Hears what all agree on in a life of this peer, until that is over.
    pub(crate) async fn follow(self: Arc<Self>, life: Life, consensus: Consensus) {
        let mut changes = consensus.changes();
        let replaced: Arc<[Event]> = Arc::new([Event::Replaced]);
        self.begin(
            &life,
            &Change {
                authority: consensus.authority(),
                events: replaced,
            },
        );
        drop(consensus);
        while let Some(change) = changes.next().await {
            self.hear(&life, &change);
        }
    }

    fn begin(&self, life: &Life, change: &Change) {
        self.lock().heard = Some((life.clone(), Arc::default()));
        self.hear(life, change);
    }

    /// Something was agreed on. What a life hears that is not the present one is of no account.
    fn hear(&self, life: &Life, change: &Change) {
        let mut wakers = Vec::new();
        {
            let mut state = self.lock();
            let Some((present, heard)) = &mut state.heard else {
                return;
            };
            if present != life {
                return;
            }
            // What it began with may be newer than the first change.
            if change.authority.version() > heard.version() {
                *heard = Arc::clone(&change.authority);
            }
            let is_about_all = change.events.iter().any(|event| match event {
                Event::Up(other) | Event::Down { life: other, .. } => other == life,
                Event::Replaced => true,
                _ => false,
            });
            if is_about_all {
                state.tell_all(&mut wakers);
            } else {
                for event in &*change.events {
                    if let Event::Name { name, .. } = event {
                        state.tell(name, &mut wakers);
                    }
                }
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The life is over.
    pub(super) fn end(&self) {
        let mut wakers = Vec::new();
        {
            let mut state = self.lock();
            state.heard = None;
            state.tell_all(&mut wakers);
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) fn holder(&self, name: &str) -> Option<Holder> {
        match self.lock().event(name) {
            NameEvent::Held(holder) => Some(holder),
            _ => None,
        }
    }

    /// All names that somebody has, in order.
    pub(crate) fn all(&self) -> BTreeMap<String, Holder> {
        let authority = self.lock().authority();
        let names = authority.iter().flat_map(|authority| authority.names());
        names
            .map(|(name, by)| (name.to_owned(), by.into()))
            .collect()
    }

    pub(crate) fn subscribe(&self, name: &Arc<str>) -> NameEvents {
        let seat = Arc::new(Seat::default());
        let mut state = self.lock();
        seat.lock().news = Some((state.version(), state.event(name)));
        let seats = state.subscribers.entry(Arc::clone(name)).or_default();
        seats.retain(|seat| seat.strong_count() > 0);
        seats.push(Arc::downgrade(&seat));
        drop(state);
        NameEvents {
            name: Arc::clone(name),
            seat,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What was heard, while this peer is a member.
    fn authority(&self) -> Option<Arc<Authority>> {
        let (life, authority) = self.heard.as_ref()?;
        authority.is_up(life).then(|| Arc::clone(authority))
    }

    /// The version that was heard; when nothing will be heard any more, that is after all versions.
    fn version(&self) -> u64 {
        let heard = self.heard.as_ref();
        heard.map_or(u64::MAX, |(_, authority)| authority.version())
    }

    fn event(&self, name: &str) -> NameEvent {
        match self.authority() {
            Some(authority) => match authority.name(name) {
                Some(by) => NameEvent::Held(by.into()),
                None => NameEvent::Free,
            },
            None => NameEvent::Unknown,
        }
    }

    fn tell(&mut self, name: &str, wakers: &mut Vec<Waker>) {
        let news = (self.version(), self.event(name));
        if let Some(seats) = self.subscribers.get_mut(name) {
            seats.retain(|seat| match seat.upgrade() {
                Some(seat) => {
                    wakers.extend(seat.put(news.clone()));
                    true
                }
                None => false,
            });
            if seats.is_empty() {
                self.subscribers.remove(name);
            }
        }
    }

    fn tell_all(&mut self, wakers: &mut Vec<Waker>) {
        let names: Vec<_> = self.subscribers.keys().cloned().collect();
        for name in names {
            self.tell(&name, wakers);
        }
    }
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is to be woken for it.
    fn put(&self, news: (u64, NameEvent)) -> Option<Waker> {
        let mut waiting = self.lock();
        waiting.news = Some(news);
        waiting.waker.take()
    }
}

impl NameEvents {
    /// The next one, when it is there.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing is lost.
    pub async fn next(&mut self) -> NameEvent {
        std::future::poll_fn(|cx| self.poll_event(cx)).await
    }

    /// The next one if it is there already.
    pub fn try_next(&mut self) -> Option<NameEvent> {
        match self.poll_event(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(event) => Some(event),
            Poll::Pending => None,
        }
    }

    /// Waits until whoever got it in that epoch is heard to have it no more.
    pub(super) async fn until_lost(self, epoch: u64) -> NameEvent {
        std::future::poll_fn(|cx| {
            let mut waiting = self.seat.lock();
            match waiting.news.take() {
                // What was agreed on before that epoch says nothing of it.
                Some((version, event)) if version >= epoch => match &event {
                    NameEvent::Held(holder) if holder.epoch == epoch => {}
                    _ => return Poll::Ready(event),
                },
                _ => {}
            }
            waiting.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<NameEvent> {
        let mut waiting = self.seat.lock();
        match waiting.news.take() {
            // What came was undone before anybody looked.
            Some((_, event)) if waiting.told.as_ref() != Some(&event) => {
                waiting.told = Some(event.clone());
                Poll::Ready(event)
            }
            _ => {
                waiting.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Stream for NameEvents {
    type Item = NameEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<NameEvent>> {
        self.get_mut().poll_event(cx).map(Some)
    }
}

impl fmt::Debug for NameEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameEvents")
            .field("name", &self.name)
            .field("told", &self.seat.lock().told)
            .finish_non_exhaustive()
    }
}

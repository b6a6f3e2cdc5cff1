//! One life of one peer, as this floor sees it: the proxies for its actors, the asks under way, the watches it
//! has here.
//!
//! An association may be there before its peer is: a reference to an actor of a peer that was never met makes
//! one, and what is sent waits until the peer is up. When the peer is lost it ends, for good: all asks fail,
//! all proxies end, and their watchers hear that the peer is gone.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use actor_core::remote::{CodecError, ProxyHandle, RemoteFailure, Undelivered};
use actor_core::{ActorId, CancelToken, Handler, Message, SendError, StopMode, StopReason};
use tokio::task::AbortHandle;

use super::answer::{TOKEN_ASK, TOKEN_TELL, number_of};
use super::calls::{Calls, GivenUp, Pending, Table};
use super::circles::Waiting;
use super::farewell::Farewells;
use super::gateway::{DESK_ADDRESS, Elsewhere, Gate};
use super::held::Held;
use super::own::Own;
use super::pauses::Pause;
use super::way::Way;
use crate::id::{Incarnation, PeerId};
use crate::wire::limits::LANES_MAX;
use crate::wire::message::{Address, Head};
use crate::wire::outbox::Outgoing;
use crate::wire::signal::{Signal, SignalKind};

pub(super) struct Association {
    pub(super) own: Arc<Own>,
    pub(super) peer: PeerId,
    /// The same, for spans.
    pub(super) peer_name: Arc<str>,
    pub(super) incarnation: Incarnation,
    since: Instant,
    way: OnceLock<Arc<dyn Way>>,
    lost: OnceLock<StopReason>,
    /// Proxies that wait for the peer to be up.
    waiting: Mutex<Vec<Waker>>,
    proxies: Mutex<HashMap<Address, Proxy>>,
    calls: Calls,
    /// Asks of the peer, by lane and number.
    asked: Box<[Mutex<Table<Open>>]>,
    next_pair: AtomicU64,
    /// Who watches whom, of those here.
    pub(super) watches: Mutex<HashMap<(u64, Address), AbortHandle>>,
    pub(super) farewells: Farewells,
    pub(super) held: Held,
    /// Proxies here that are held back by the peer.
    pub(super) paused: Mutex<Vec<Arc<Pause>>>,
    /// Actors here that have waited for one there for a while: by which lane and call.
    pub(super) waits: Mutex<HashMap<ActorId, (usize, u64)>>,
}

/// An ask of the peer that is not answered yet.
pub(super) struct Open {
    pub(super) token: CancelToken,
    /// The number of the actor that is asked; 0: not known, or somebody else may answer.
    pub(super) target: u64,
}

struct Proxy {
    handle: ProxyHandle,
    /// The pair of its gateway, for of two that are made at once only one stays.
    gate: u64,
    /// How many times its end was told; once for each lane.
    ends: usize,
    pause: Arc<Pause>,
}

/// What nothing panics under.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Association {
    pub(super) fn new(own: Arc<Own>, peer: PeerId, incarnation: Incarnation) -> Arc<Self> {
        Arc::new(Self {
            own,
            peer_name: Arc::from(peer.as_str()),
            peer,
            incarnation,
            since: Instant::now(),
            way: OnceLock::new(),
            lost: OnceLock::new(),
            waiting: Mutex::default(),
            proxies: Mutex::default(),
            calls: Calls::new(LANES_MAX),
            asked: (0..LANES_MAX).map(|_| Mutex::default()).collect(),
            next_pair: AtomicU64::new(1),
            watches: Mutex::default(),
            farewells: Farewells::default(),
            held: Held::default(),
            paused: Mutex::default(),
            waits: Mutex::default(),
        })
    }

    // ---- The way there ------------------------------------------------------------------------------

    /// The way to the peer, once it was up.
    pub(super) fn way(&self) -> Option<&Arc<dyn Way>> {
        self.way.get()
    }

    /// Whether it has waited too long for its peer to be up.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.since);
        self.way.get().is_none() && waited >= self.own.settings.meet_within
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    /// The way, as soon as there is one; `None` when the peer is lost.
    pub(super) fn poll_way(&self, cx: &mut Context<'_>) -> Option<Option<Arc<dyn Way>>> {
        if self.is_lost() {
            return Some(None);
        }
        if let Some(way) = self.way.get() {
            return Some(Some(way.clone()));
        }
        lock(&self.waiting).push(cx.waker().clone());
        // It may have come, or gone, meanwhile.
        if self.is_lost() {
            return Some(None);
        }
        self.way.get().map(|way| Some(way.clone()))
    }

    fn wake_waiting(&self) {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The peer is up, perhaps again.
    pub(super) fn up(&self, way: Arc<dyn Way>) {
        if self.way.set(way).is_err() {
            return;
        }
        // Of proxies that were made before.
        let known: Vec<_> = lock(&self.proxies)
            .iter()
            .map(|(address, proxy)| (*address, proxy.handle))
            .collect();
        for (address, handle) in known {
            self.watch(address, &handle);
        }
        self.wake_waiting();
    }

    pub(super) fn next_pair(&self) -> u64 {
        self.next_pair.fetch_add(1, Ordering::Relaxed)
    }

    /// The sender of what nobody has said.
    pub(super) fn nobody(&self) -> Address {
        Address { id: 0, key: 0 }
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(way) = self.way() {
            // A peer that takes no signals is about to be declared dead, and everybody hears of that.
            _ = way.signal(signal);
        }
    }

    // ---- Proxies ------------------------------------------------------------------------------------

    /// The actor that stands here for one of the peer's.
    pub(super) fn proxy(self: &Arc<Self>, address: Address) -> Result<ProxyHandle, CodecError> {
        if let Some(known) = lock(&self.proxies).get(&address) {
            return Ok(known.handle);
        }
        if lock(&self.proxies).len() >= self.own.settings.proxies_max {
            return Err(CodecError::new(format_args!(
                "{} references to actors of peer {} are known already, and no more are allowed",
                self.own.settings.proxies_max, self.peer
            )));
        }
        let name = format!("actor {:x} of {}", address.id, self.peer);
        let gate = Gate::new(self.clone(), address);
        let (pair, pause) = (gate.pair(), gate.pause());
        let mailbox = self.own.settings.mailbox;
        let (_, handle) = self
            .own
            .system
            .proxy::<Elsewhere>(&name, mailbox, gate)
            .map_err(CodecError::new)?;
        // Before anybody can have it and write it down.
        self.own.proxy_made(handle.id(), self, address);
        let other = match lock(&self.proxies).entry(address) {
            Entry::Occupied(known) => Some(known.get().handle),
            Entry::Vacant(place) => {
                place.insert(Proxy {
                    handle,
                    gate: pair,
                    ends: 0,
                    pause,
                });
                None
            }
        };
        if let Some(other) = other {
            // Somebody was faster.
            self.own.proxy_ended(handle.id());
            handle.end(StopMode::Now, StopReason::Normal);
            return Ok(other);
        }
        self.watch(address, &handle);
        if let Some(reason) = self.lost.get() {
            handle.end(StopMode::Drain, reason.clone());
        }
        Ok(handle)
    }

    /// The proxy has to end when the actor does. A desk lives as long as its peer.
    fn watch(&self, address: Address, proxy: &ProxyHandle) {
        if address == DESK_ADDRESS {
            return;
        }
        self.signal(Signal {
            from: self.own.wire_address(proxy.id()),
            to: address,
            kind: SignalKind::Watch,
        });
    }

    /// Puts a word of this floor into the mailbox of a proxy, behind what is there; whether there is such a proxy.
    pub(super) fn pass_through<M>(&self, address: Address, word: M) -> bool
    where
        M: Message,
        Elsewhere: Handler<M>,
    {
        let known = lock(&self.proxies).get(&address).map(|proxy| proxy.handle);
        let Some(proxy) = known else {
            return false;
        };
        let proxy = proxy.actor_ref::<Elsewhere>();
        match proxy.tell(word) {
            Ok(()) => true,
            Err(SendError::Full { message, .. }) => {
                let tokio = self.own.system.tokio();
                tokio.spawn(async move { drop(proxy.send(message).await) });
                true
            }
            Err(_) => false,
        }
    }

    /// What holds back the proxy of an actor, if there is one.
    pub(super) fn pause_of(&self, address: Address) -> Option<Arc<Pause>> {
        let proxies = lock(&self.proxies);
        proxies.get(&address).map(|proxy| proxy.pause.clone())
    }

    /// Proxies here that are held back.
    pub(super) fn paused_proxies(&self) -> HashSet<ActorId> {
        if lock(&self.paused).is_empty() {
            return HashSet::new();
        }
        let proxies = lock(&self.proxies);
        let paused = proxies.values().filter(|proxy| proxy.pause.is_on());
        paused.map(|proxy| proxy.handle.id()).collect()
    }

    pub(super) fn all_proxies(&self) -> Vec<ProxyHandle> {
        let proxies = lock(&self.proxies);
        proxies.values().map(|proxy| proxy.handle).collect()
    }

    /// The peer says that its actor has ended. Told once for each lane if there is something to wait for.
    pub(super) fn actor_ended(&self, address: Address, reason: StopReason, is_marked: bool) {
        let lanes = self.way().map_or(1, |way| way.lanes());
        let handle = {
            let mut proxies = lock(&self.proxies);
            let Some(proxy) = proxies.get_mut(&address) else {
                return;
            };
            proxy.ends += 1;
            if is_marked && proxy.ends < lanes {
                return;
            }
            proxy.handle
        };
        handle.end(StopMode::Now, reason);
    }

    /// The gateway of a proxy is gone.
    pub(super) fn proxy_ended(&self, gate: u64, address: Address) {
        let ended = {
            let mut proxies = lock(&self.proxies);
            match proxies.entry(address) {
                Entry::Occupied(proxy) if proxy.get().gate == gate => Some(proxy.remove()),
                _ => None,
            }
        };
        let Some(ended) = ended else {
            return;
        };
        self.own.proxy_ended(ended.handle.id());
        if ended.ends == 0 && !self.is_lost() && address != DESK_ADDRESS {
            self.signal(Signal {
                from: self.own.wire_address(ended.handle.id()),
                to: address,
                kind: SignalKind::Unwatch,
            });
        }
    }

    // ---- Asks that go there -------------------------------------------------------------------------

    pub(super) fn begin_call(&self, lane: usize, pending: Pending) -> u64 {
        self.calls.insert(lane, pending)
    }

    pub(super) fn end_call(&self, lane: usize, call: u64) -> Option<Pending> {
        self.calls.take(lane, call)
    }

    /// Asks that nobody waits for any more are cancelled there.
    pub(super) fn sweep(&self, now: Instant) {
        self.sweep_pauses(now);
        let mut waits = Waiting::new(now);
        let gone = self
            .calls
            .sweep(now, |lane, call, pending| waits.note(lane, call, pending));
        self.look_for_circles(waits);
        for (lane, call, pending, why) in gone {
            self.own.books.cancelled_here.one_more();
            if let Some(way) = self.way() {
                way.cancel_call(lane, pending.pair, call);
            }
            pending.reply.fail(match why {
                GivenUp::Expired => RemoteFailure::Expired,
                GivenUp::Abandoned | GivenUp::Cancelled => RemoteFailure::Cancelled,
            });
        }
    }

    /// The asker of this call waits for itself, by way of the others.
    pub(super) fn give_up_circle(&self, lane: usize, call: u64, circle: Vec<ActorId>) {
        let Some(pending) = self.end_call(lane, call) else {
            return;
        };
        self.own.books.cancelled_here.one_more();
        if let Some(way) = self.way() {
            way.cancel_call(lane, pending.pair, call);
        }
        pending.reply.fail_in_circle(circle);
    }

    pub(super) fn note_out(&self, is_ask: bool, messages: u32) {
        let books = &self.own.books;
        if is_ask {
            books.asks_out.one_more();
        } else {
            books.tells_out.add(messages.into());
        }
    }

    /// What the proxy has given away was not taken by its lane: so many messages.
    pub(super) fn not_sent(
        self: &Arc<Self>,
        lane: usize,
        (token, messages): (u64, u32),
        why: Undelivered,
    ) {
        let books = &self.own.books;
        match why {
            Undelivered::TooLarge => books.dropped_too_large.add(messages.into()),
            _ => books.dropped_peer_gone.add(messages.into()),
        }
        if token & 3 == TOKEN_ASK
            && let Some(pending) = self.end_call(lane, number_of(token))
        {
            pending.reply.fail(RemoteFailure::Undelivered(why));
        }
        self.token_is_gone(token);
    }

    /// A told message that goes in pieces gets a number, for the sake of ends that wait for it.
    pub(super) fn number_large(&self, mut message: Outgoing) -> Outgoing {
        let is_large = message.size_bound() > self.own.fragment;
        if is_large && matches!(message.head, Head::Tell(_)) {
            message.token = self.farewells.large_begins() << 2 | TOKEN_TELL;
        }
        message
    }

    pub(super) fn token_is_gone(self: &Arc<Self>, token: u64) {
        if token & 3 == TOKEN_TELL && number_of(token) > 0 {
            self.large_is_gone(number_of(token));
        }
    }

    // ---- Asks that come from there ------------------------------------------------------------------

    pub(super) fn asked(&self, lane: usize) -> MutexGuard<'_, Table<Open>> {
        lock(&self.asked[lane % self.asked.len()])
    }

    /// An ask of the peer is answered; whether it still was wanted.
    pub(super) fn forget_call(&self, lane: usize, call: u64) -> bool {
        self.asked(lane).remove(&call).is_some()
    }

    // ---- The end ------------------------------------------------------------------------------------

    /// This life of the peer is over.
    pub(super) fn lose(self: &Arc<Self>, reason: StopReason) {
        if self.lost.set(reason.clone()).is_err() {
            return;
        }
        for pending in self.calls.drain() {
            let gone = RemoteFailure::Undelivered(Undelivered::PeerGone);
            pending.reply.fail(gone);
        }
        for lane in 0..self.asked.len() {
            let asked = std::mem::take(&mut *self.asked(lane));
            asked.values().for_each(|open| open.token.cancel());
        }
        for (_, watch) in std::mem::take(&mut *lock(&self.watches)) {
            watch.abort();
        }
        self.wake_waiting();
        self.end_pauses();
        for proxy in self.all_proxies() {
            // What waits in its mailbox is refused by the gateway, with the reason.
            proxy.end(StopMode::Drain, reason.clone());
        }
    }
}

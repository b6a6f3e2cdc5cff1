//! One machine of the wire, and the links that carry it, one after the other.
//!
//! ```text
//!  a worker: push ──┐                                  ┌──> link.queue, link.flush ──> the kernel
//!  the link's task: │   ┌──────────────────────────┐   │
//!     received ─────┼──>│ lock: machine, connection├───┘ one batch at a time (`write`)
//!  the pump: timers,│   └──────────────────────────┘───┐
//!     room, rest ───┘                                  └──> notices, in their order (`deliver`)
//! ```
//!
//! The lock is held while the machine works and while a batch is copied into the link's queue; never for a
//! system call, and never while somebody above is called. *Who writes*: anyone who has something, if nobody
//! writes: the latency of an ask is that of a system call on the thread that asks. Whoever comes while one
//! writes leaves its message and goes; and who comes within [`QUICK`] of the last write leaves it to the pump,
//! for messages that follow each other closely are better written together. *Who delivers*: link and pump,
//! whoever comes first, and the other leaves what it has to the first; workers never do. So notices come one
//! at a time, in order, on the port's reactor.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::error::{Interruption, PeerLost};
use super::peer::Peer;
use crate::transport::{Flow, Link, LinkEnd, LinkEvents, SendRefused, TcpLink, Unsent};
use crate::wire::error::{CloseReason, WireError};
use crate::wire::lane::BATCH;

/// What was pushed into a port, beside what others push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// One message; soon after another one it is left to the pump.
    Single,
    /// So many that a system call for them alone is worth it.
    Many,
}

/// What a port drives: a [`Control`] or a [`Lane`] of a peer.
pub(super) trait Machine: Sized + Send + 'static {
    type Event: Send + 'static;

    fn port(peer: &Peer, at: usize) -> &Port<Self>;
    /// Hears notices, from the front, and takes each out before it is told: called outside of the lock, one
    /// call at a time.
    fn hear(peer: &Arc<Peer>, at: usize, notices: &mut VecDeque<Notice<Self::Event>>);

    fn receive(&mut self, bytes: &[u8], now: Instant) -> Result<(), WireError>;
    fn tick(&mut self, now: Instant) -> Result<(), WireError>;
    fn poll_timeout(&self) -> Option<Instant>;
    fn transmit(&mut self, now: Instant, out: &mut Vec<u8>, budget: usize);
    fn poll_event(&mut self) -> Option<Self::Event>;
    fn backlog(&self) -> usize;
    fn close(&mut self, reason: CloseReason);
    fn disconnect(&mut self);
}

/// What is heard of a port.
#[derive(Debug)]
pub(super) enum Notice<E> {
    Event(E),
    /// Its connection is gone.
    Ended {
        session: u128,
        why: Interruption,
    },
    /// The peer's life is over: the last notice but for events that follow from it.
    Over(PeerLost),
}

/// See the module.
pub(super) struct Port<M: Machine> {
    state: Mutex<State<M>>,
    /// For the pump.
    wake: Notify,
}

pub(super) type Held<'a, M> = MutexGuard<'a, State<M>>;

pub(super) struct State<M: Machine> {
    pub(super) machine: M,
    connection: Option<Connection>,
    /// The number of its last connection among those of its kind, as both sides count.
    pub(super) epoch: u32,
    /// How many links there were.
    links: u64,
    /// What was noted before what the machine has to say now.
    notices: VecDeque<Notice<M::Event>>,
    /// Empty: for who delivers.
    spare: VecDeque<Notice<M::Event>>,
    out: Vec<u8>,
    delivering: bool,
    /// The pump has been woken and has not looked yet.
    woken: bool,
    /// When the pump will look by itself.
    armed: Option<Instant>,
    wrote: Option<Instant>,
    /// Bytes that went, and that came.
    pub(super) bytes: (u64, u64),
    /// Messages that were pushed.
    pub(super) pushed: u64,
    /// Its peer's life is over.
    pub(super) over: bool,
}

struct Connection {
    link: TcpLink,
    number: u64,
    session: u128,
    /// Somebody has queued a batch and is at it.
    writing: bool,
    /// Something came while somebody was writing.
    more: bool,
    /// The kernel did not take all: the pump waits until it has.
    unsent: bool,
    paused: bool,
    /// To be closed when the goodbye has gone out.
    closing: bool,
    closed: bool,
    why: Option<Interruption>,
}

impl<M: Machine> Port<M> {
    pub(super) fn new(machine: M) -> Self {
        Self {
            state: Mutex::new(State {
                machine,
                connection: None,
                epoch: 0,
                links: 0,
                notices: VecDeque::new(),
                spare: VecDeque::new(),
                out: Vec::new(),
                delivering: false,
                woken: false,
                armed: None,
                wrote: None,
                bytes: (0, 0),
                pushed: 0,
                over: false,
            }),
            wake: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> Held<'_, M> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the pump look: at what is to be sent, to be told, and at the time.
    pub(super) fn wake(&self) {
        self.wake_held(self.lock());
    }

    /// The same, with the lock in hand.
    pub(super) fn wake_held(&self, mut state: Held<'_, M>) {
        let first = !std::mem::replace(&mut state.woken, true);
        drop(state);
        if first {
            self.wake.notify_one();
        }
    }

    /// Sends what a worker has put into the machine: here, or by whoever is at it. `false`: there is no connection.
    pub(super) fn send(&self, mut state: Held<'_, M>, pace: Pace) -> bool {
        let woken = state.woken;
        let Some(connection) = &mut state.connection else {
            return false;
        };
        if connection.writing {
            connection.more = true;
            return true;
        }
        if woken || connection.unsent {
            return true;
        }
        let now = now();
        let is_quick = state
            .wrote
            .is_some_and(|at| now.saturating_duration_since(at) < QUICK);
        if is_quick && pace == Pace::Single {
            state.woken = true;
            drop(state);
            self.wake.notify_one();
            return true;
        }
        self.write(state, now, 1);
        true
    }

    /// Writes batches, if nobody does, until there is nothing more, the kernel is full, or it was `rounds`
    /// times; the rest is the pump's.
    fn write<'a>(&'a self, mut state: Held<'a, M>, mut now: Instant, mut rounds: u32) {
        let mut looks = LOOKS;
        loop {
            let held = &mut *state;
            let Some(connection) = &mut held.connection else {
                return;
            };
            if connection.writing {
                connection.more = true;
                return;
            }
            if connection.unsent {
                return;
            }
            connection.more = false;
            held.out.clear();
            held.machine.transmit(now, &mut held.out, BATCH);
            let link = connection.link.clone();
            if held.out.is_empty() {
                let close = connection.closing && !std::mem::replace(&mut connection.closed, true);
                // It may have something to say now.
                if state.machine.backlog() > 0 {
                    self.wake_held(state);
                } else {
                    drop(state);
                }
                if close {
                    link.close();
                }
                return;
            }
            match link.queue(&held.out) {
                Ok(()) => held.bytes.0 += held.out.len() as u64,
                // Its end is on its way.
                Err(SendRefused::Closed) => return,
                Err(error) => {
                    drop(state);
                    link.abort(&error.to_string());
                    return;
                }
            }
            connection.writing = true;
            let number = connection.number;
            drop(state);
            link.flush();
            let all_out = link.stats().bytes_queued == 0;
            now = self::now();
            state = self.lock();
            state.wrote = Some(now);
            let backlog = state.machine.backlog();
            let (more, closing) = match &mut state.connection {
                Some(connection) if connection.number == number => {
                    connection.writing = false;
                    connection.unsent = !all_out;
                    (connection.more, connection.closing)
                }
                _ => (false, false),
            };
            rounds = rounds.saturating_sub(1);
            if all_out && rounds == 0 && more && !closing && looks > 0 {
                // Mostly somebody who only looked whether there is something to send. The pump's thread, to find
                // that out, costs more than a look here.
                looks -= 1;
                continue;
            }
            if !all_out || rounds == 0 {
                let wake = !all_out || more || closing || backlog > 0;
                let first = wake && !std::mem::replace(&mut state.woken, true);
                drop(state);
                if first {
                    self.wake.notify_one();
                }
                return;
            }
        }
    }

    /// A new link takes the place of the one before. `connect` tells the machine; `rest` came behind the
    /// handshake. Called before the link reads.
    pub(super) fn attach(
        &self,
        link: &TcpLink,
        (session, epoch): (u128, u32),
        rest: &[u8],
        connect: impl FnOnce(&mut M, Instant) -> Result<(), WireError>,
    ) -> u64 {
        let mut state = self.lock();
        state.links += 1;
        let number = state.links;
        let now = now();
        let mut old = None;
        if state.over || epoch < state.epoch {
            drop(state);
            link.abort("nobody wants it any more");
        } else {
            old = state.end_connection(Interruption::Replaced);
            state.epoch = epoch;
            let fed = connect(&mut state.machine, now)
                .and_then(|()| state.machine.receive(&[], now))
                .and_then(|()| state.machine.receive(rest, now));
            state.bytes.1 += rest.len() as u64;
            state.connection = Some(Connection {
                link: link.clone(),
                number,
                session,
                writing: false,
                more: false,
                unsent: false,
                paused: false,
                closing: fed.is_err(),
                closed: false,
                why: fed.err().map(Interruption::Fault),
            });
            drop(state);
        }
        if let Some(old) = old {
            old.abort("another connection took its place");
        }
        self.wake();
        number
    }

    /// Ends its connection with a word, if it is of this session.
    pub(super) fn close(&self, session: Option<u128>, reason: CloseReason, why: Interruption) {
        let mut state = self.lock();
        let held = &mut *state;
        let Some(connection) = &mut held.connection else {
            return;
        };
        if session.is_some_and(|session| session != connection.session) {
            return;
        }
        held.machine.close(reason);
        connection.closing = true;
        connection.why.get_or_insert(why);
        drop(state);
        self.wake();
    }

    /// Room was given back: has the pump say so, now or when it is due.
    pub(super) fn released(&self, state: Held<'_, M>, urgent: bool) {
        if urgent || state.is_due_earlier() {
            self.wake_held(state);
        }
    }

    /// Cuts its connection, if it is of this session.
    pub(super) fn cut(&self, session: u128, why: &str) {
        let state = self.lock();
        let link = state
            .connection
            .as_ref()
            .filter(|connection| connection.session == session)
            .map(|connection| connection.link.clone());
        drop(state);
        if let Some(link) = link {
            link.abort(why);
        }
    }

    /// The peer has said goodbye on it.
    pub(super) fn heard_goodbye(&self, reason: CloseReason) {
        let mut state = self.lock();
        if let Some(connection) = &mut state.connection {
            connection.closing = true;
            connection.why.get_or_insert(Interruption::Goodbye(reason));
        }
        drop(state);
        self.wake();
    }

    /// Ends it for good. The machine's last words are said by `give_up`.
    pub(super) fn end(&self, why: Option<PeerLost>, give_up: impl FnOnce(&mut M)) {
        let mut state = self.lock();
        if std::mem::replace(&mut state.over, true) {
            return;
        }
        let link = state
            .connection
            .as_ref()
            .map(|connection| connection.link.clone());
        let goodbye = state
            .connection
            .as_ref()
            .is_some_and(|connection| connection.closing);
        state.end_connection(Interruption::Disconnected);
        give_up(&mut state.machine);
        if let Some(why) = why {
            state.note(Notice::Over(why));
        }
        drop(state);
        match link {
            // What it has queued may still go out.
            Some(link) if goodbye => link.close(),
            Some(link) => link.abort("the peer's life is over"),
            None => {}
        }
        self.wake();
    }

    pub(super) fn is_connected(&self) -> bool {
        self.lock().connection.is_some()
    }
}

impl<M: Machine> State<M> {
    /// The connection is gone, or is not wanted any more.
    fn end_connection(&mut self, why: Interruption) -> Option<TcpLink> {
        let connection = self.connection.take()?;
        self.machine.disconnect();
        self.note(Notice::Ended {
            session: connection.session,
            why: connection.why.unwrap_or(why),
        });
        Some(connection.link)
    }

    /// Puts a notice behind those that are there.
    fn note(&mut self, notice: Notice<M::Event>) {
        while let Some(event) = self.machine.poll_event() {
            self.notices.push_back(Notice::Event(event));
        }
        self.notices.push_back(notice);
    }

    /// Whether it is of the present connection.
    fn of(&mut self, number: u64) -> Option<&mut Connection> {
        self.connection
            .as_mut()
            .filter(|connection| connection.number == number)
    }

    /// Whether the machine wants to be looked at before the pump will.
    fn is_due_earlier(&self) -> bool {
        let next = self.machine.poll_timeout();
        next.is_some_and(|next| self.armed.is_none_or(|armed| next < armed))
    }

    fn backlog(&self) -> usize {
        self.notices.len() + self.machine.backlog()
    }

    /// Some of what is to be told.
    fn take(&mut self, into: &mut VecDeque<Notice<M::Event>>) {
        while into.len() < TELL_MAX {
            let next = self.notices.pop_front();
            match next.or_else(|| self.machine.poll_event().map(Notice::Event)) {
                Some(notice) => into.push_back(notice),
                None => return,
            }
        }
    }
}

/// Tells what there is to tell, unless somebody does.
fn deliver<M: Machine>(peer: &Arc<Peer>, at: usize) {
    let port = M::port(peer, at);
    let mut state = port.lock();
    if state.delivering {
        return;
    }
    let mut batch = std::mem::take(&mut state.spare);
    loop {
        state.take(&mut batch);
        if batch.is_empty() {
            state.delivering = false;
            state.spare = batch;
            let resume = state
                .connection
                .as_mut()
                .and_then(|it| std::mem::take(&mut it.paused).then(|| it.link.clone()));
            // The pump may have looked while this was delivering, and waits for it to be done.
            let over = state.over;
            drop(state);
            if let Some(link) = resume {
                link.resume();
            }
            if over {
                port.wake();
            }
            return;
        }
        state.delivering = true;
        drop(state);
        while !batch.is_empty() {
            let before = batch.len();
            // A panic above is a fault of ours; the others must hear what follows all the same.
            if catch_unwind(AssertUnwindSafe(|| M::hear(peer, at, &mut batch))).is_err() {
                tracing::error!(peer = %peer.id(), "the code that hears of a peer panicked");
            }
            if batch.len() == before {
                // Whoever has panicked before taking one out would do so again.
                batch.pop_front();
            }
        }
        state = port.lock();
    }
}

/// What comes up from a link of a port.
pub(super) struct Ears<M: Machine> {
    pub(super) peer: Arc<Peer>,
    pub(super) at: usize,
    pub(super) number: u64,
    pub(super) of: std::marker::PhantomData<fn(M)>,
}

impl<M: Machine> LinkEvents for Ears<M> {
    fn received(&mut self, bytes: &[u8]) -> Flow {
        let port = M::port(&self.peer, self.at);
        let now = now();
        {
            let mut state = port.lock();
            if state.of(self.number).is_none() {
                return Flow::Continue;
            }
            state.bytes.1 += bytes.len() as u64;
            if let Err(error) = state.machine.receive(bytes, now)
                && let Some(connection) = state.of(self.number)
            {
                connection.closing = true;
                connection.why.get_or_insert(Interruption::Fault(error));
            }
        }
        deliver::<M>(&self.peer, self.at);
        port.write(port.lock(), now, ROUNDS_HERE);
        let mut state = port.lock();
        let wake = state.is_due_earlier() && !std::mem::replace(&mut state.woken, true);
        let late = state.delivering && state.backlog() > BACKLOG_MAX;
        let pause = match state.of(self.number) {
            Some(connection) if late => {
                connection.paused = true;
                true
            }
            _ => false,
        };
        drop(state);
        if wake {
            port.wake.notify_one();
        }
        if pause { Flow::Pause } else { Flow::Continue }
    }

    fn closed(&mut self, end: &LinkEnd, _: Unsent) {
        let mut state = M::port(&self.peer, self.at).lock();
        if state.of(self.number).is_some() {
            state.end_connection(Interruption::Ended(end.clone()));
        }
        drop(state);
        deliver::<M>(&self.peer, self.at);
    }
}

/// The pump: what nobody else is there for. Ends with the peer's life.
pub(super) async fn pump<M: Machine>(peer: Arc<Peer>, at: usize) {
    let port = M::port(&peer, at);
    let mut rounds = 0_u32;
    loop {
        let now = now();
        {
            let mut state = port.lock();
            state.woken = false;
            let fault = state.machine.tick(now).err();
            if let Some(error) = fault {
                // Who does not answer does not read a goodbye either.
                let why = error.to_string();
                let link = state.end_connection(Interruption::Fault(error));
                drop(state);
                if let Some(link) = link {
                    link.abort(&why);
                }
            }
        }
        deliver::<M>(&peer, at);
        port.write(port.lock(), now, ROUNDS_PUMP);
        let (deadline, unsent, again) = {
            let mut state = port.lock();
            if state.over && state.backlog() == 0 && !state.delivering {
                return;
            }
            let busy = state
                .connection
                .as_ref()
                .is_some_and(|connection| connection.unsent || connection.writing);
            // What is due cannot be said while the kernel takes nothing: no reason to look all the time.
            let soonest = now.checked_add(if busy { LOOK_BUSY } else { LOOK });
            let due = state.machine.poll_timeout();
            state.armed = due.map(|due| soonest.map_or(due, |soonest| due.max(soonest)));
            let unsent = state
                .connection
                .as_ref()
                .filter(|connection| connection.unsent)
                .map(|connection| (connection.link.clone(), connection.number));
            let again = state.backlog() > 0 && !state.delivering;
            (state.armed, unsent, again)
        };
        rounds = rounds.wrapping_add(1);
        if again || rounds.is_multiple_of(ROUNDS_PUMP) {
            tokio::task::yield_now().await;
        }
        if again {
            continue;
        }
        rest(port, deadline, unsent).await;
    }
}

/// Until there is something to do.
async fn rest<M: Machine>(
    port: &Port<M>,
    deadline: Option<Instant>,
    unsent: Option<(TcpLink, u64)>,
) {
    let mut woken = pin!(port.wake.notified());
    let mut timer = pin!(async {
        match deadline {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    });
    let mut room = pin!(async {
        match &unsent {
            Some((link, _)) => {
                // All of it is out when all of the queue is free.
                let _ = link.room(link.queue_bytes_max()).await;
            }
            None => std::future::pending().await,
        }
    });
    let written = std::future::poll_fn(|cx| {
        if room.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        if woken.as_mut().poll(cx).is_ready() || timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        Poll::Pending
    })
    .await;
    if written
        && let Some((_, number)) = &unsent
        && let Some(connection) = port.lock().of(*number)
    {
        connection.unsent = false;
    }
}

/// The time, as the machines count it: that of the reactor, which a test may hold.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Messages that follow each other within this are left to the pump, which writes them together. A fraction of
/// a round trip on loopback (16 us raw), and several times a system call.
const QUICK: Duration = Duration::from_micros(8);

/// How often whoever writes writes once more because somebody came meanwhile.
const LOOKS: u32 = 3;

/// How many batches the link's task writes before it reads again.
const ROUNDS_HERE: u32 = 4;

/// How many batches the pump writes before others have their turn.
const ROUNDS_PUMP: u32 = 16;

/// How many notices are taken out under one lock.
const TELL_MAX: usize = 64;

/// How often the pump looks at the time, at most; the second while the kernel takes nothing.
const LOOK: Duration = Duration::from_millis(1);
const LOOK_BUSY: Duration = Duration::from_millis(20);

/// How much may wait to be told before reading pauses.
const BACKLOG_MAX: usize = 1024;

#[cfg(test)]
mod raw;

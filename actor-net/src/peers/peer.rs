//! One life of one peer, seen from here: what goes to it, and what is heard of it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};

use tokio::sync::{Notify, watch};

use super::error::{Interruption, PeerLost, PushError};
use super::hub::Hub;
use super::port::{Held, Notice, Pace, Port, now};
use super::traffic::Traffic;
use crate::datagram::Channel;
use crate::id::{Incarnation, PeerId};
use crate::wire::control::{Control, ControlEvent, DatagramError};
use crate::wire::credit::Charge;
use crate::wire::error::CloseReason;
use crate::wire::hello::Introduction;
use crate::wire::lane::{self, Lane, LaneEvent};
use crate::wire::message::Flush;
use crate::wire::outbox::Outgoing;
use crate::wire::signal::{Signal, Undeliverable};
use crate::wire::table::{MessageTable, TypeError};

/// See the module. It outlives its connections; once lost, it takes nothing more.
pub(crate) struct Peer {
    introduction: Introduction,
    pub(super) hub: Arc<Hub>,
    pub(super) control: Port<Control>,
    lanes: Box<[LanePort]>,
    types: RwLock<MessageTable>,
    session: watch::Sender<Session>,
    connected: AtomicBool,
    /// `up` was said once.
    met: AtomicBool,
    /// This side says its last words to it.
    leaving: AtomicBool,
}

struct LanePort {
    port: Port<Lane>,
    /// Who waits for room, by the number of the sender.
    rooms: Mutex<BTreeMap<u64, Waker>>,
    /// Something happened that a task waits for: its connection ended, or is drained.
    news: Notify,
    drained: AtomicBool,
    /// The peer has something to send by it.
    asked: AtomicBool,
    /// Messages that came.
    came: AtomicU64,
}

/// What becomes of the control connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Session {
    /// The last one that began.
    pub(super) id: u128,
    /// `up` was said of it, and it has not ended.
    pub(super) up: bool,
    /// It has begun and not ended.
    pub(super) there: bool,
    pub(super) over: bool,
}

impl Peer {
    /// A life that begins now. Its pumps are to be started.
    pub(super) fn new(hub: &Arc<Hub>, introduction: Introduction) -> Self {
        let config = &hub.config;
        let lanes = config.numa_nodes.len().max(introduction.numa_nodes.len());
        let lane = || LanePort {
            port: Port::new(Lane::new(config.limits.clone())),
            rooms: Mutex::default(),
            news: Notify::new(),
            drained: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            came: AtomicU64::new(0),
        };
        Self {
            introduction,
            hub: hub.clone(),
            control: Port::new(Control::new(config.limits.clone(), config.exports.clone())),
            lanes: (0..lanes).map(|_| lane()).collect(),
            types: RwLock::default(),
            session: watch::Sender::default(),
            connected: AtomicBool::new(false),
            met: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
        }
    }

    pub(crate) fn id(&self) -> &PeerId {
        &self.introduction.peer
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        self.introduction.incarnation
    }

    /// What it said of itself when it was met first.
    pub(crate) fn introduction(&self) -> &Introduction {
        &self.introduction
    }

    /// Whether there is a control connection now.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// How long a ping and its answer take, of late; while the connection is never quiet none is sent.
    pub(crate) fn round_trip(&self) -> Option<std::time::Duration> {
        self.control.lock().machine.round_trip()
    }

    /// What has gone to this life of it and come from it.
    pub(crate) fn traffic(&self) -> Traffic {
        let (out, came) = self.control.lock().bytes;
        let mut sum = Traffic {
            bytes_out: out,
            bytes_in: came,
            ..Traffic::default()
        };
        for lane in &self.lanes {
            let state = lane.port.lock();
            sum.bytes_out += state.bytes.0;
            sum.bytes_in += state.bytes.1;
            sum.messages_out += state.pushed;
            sum.queued += state.machine.queued() as u64;
            drop(state);
            // Relaxed: a figure.
            sum.messages_in += lane.came.load(Ordering::Relaxed);
        }
        sum
    }

    /// Whether this life is over.
    pub(crate) fn is_lost(&self) -> bool {
        self.session.borrow().over
    }

    /// How many data lanes there are, counted from 0; a greater number counts on from 0 again.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// The number by which the peer wants a type of message.
    pub(crate) fn find_type(&self, name: &str, schema: u64) -> Result<u32, TypeError> {
        let types = self.types.read().unwrap_or_else(PoisonError::into_inner);
        types.find(name, schema)
    }

    /// Takes a message to be sent over a lane, and sends it unless a write is under way, which then is
    /// followed by one for all that came meanwhile. Never waits.
    #[expect(clippy::result_large_err, reason = "the message comes back")]
    pub(crate) fn push(&self, lane: usize, message: Outgoing) -> Result<(), PushError> {
        let lane = self.lane(lane);
        let mut state = lane.port.lock();
        push(&mut state, message)?;
        lane.send(state, Pace::Single);
        Ok(())
    }

    /// As [`push`](Self::push), for one of several in a row: nothing is sent before [`send`](Self::send), but with
    /// what others send.
    #[expect(clippy::result_large_err, reason = "the message comes back")]
    pub(crate) fn push_ahead(&self, lane: usize, message: Outgoing) -> Result<(), PushError> {
        push(&mut self.lane(lane).port.lock(), message)
    }

    /// As `push_ahead`, for what was collected while there was room: it is taken in any case. Whether there is room
    /// for more.
    #[expect(clippy::result_large_err, reason = "the message comes back")]
    pub(crate) fn push_collected(&self, lane: usize, message: Outgoing) -> Result<bool, PushError> {
        let mut state = self.lane(lane).port.lock();
        if state.over {
            return Err(PushError::Lost(message));
        }
        let messages = message.head.messages();
        let has_room = state.machine.push_collected(message).map_err(refused)?;
        state.pushed += u64::from(messages);
        Ok(has_room)
    }

    /// Sends what was pushed ahead, so many messages.
    pub(crate) fn send(&self, lane: usize, messages: usize) {
        let lane = self.lane(lane);
        let pace = match messages {
            0..MANY => Pace::Single,
            _ => Pace::Many,
        };
        lane.send(lane.port.lock(), pace);
    }

    /// Whether a lane takes a message of `sender`, any number; the waker is woken when it does again, first
    /// come first. Ready, too, when this life is over.
    pub(crate) fn poll_room(&self, lane: usize, sender: u64, cx: &mut Context<'_>) -> Poll<()> {
        let lane = self.lane(lane);
        let mut state = lane.port.lock();
        if state.over || state.machine.has_room() {
            return Poll::Ready(());
        }
        state.machine.want_room(sender);
        let old = lane.rooms().insert(sender, cx.waker().clone());
        drop(state);
        drop(old);
        Poll::Pending
    }

    /// `sender` does not wait for room any more.
    pub(crate) fn forget_room(&self, lane: usize, sender: u64) {
        let lane = self.lane(lane);
        lane.port.lock().machine.forget(sender);
        let old = lane.rooms().remove(&sender);
        drop(old);
    }

    /// Nobody waits for the answer to this call any more.
    pub(crate) fn cancel_call(&self, lane: usize, pair: u64, call: u64) {
        self.put(lane, |machine| machine.cancel_call(pair, call));
    }

    /// Marks that all of `pair` that was pushed before is before it. The second half of a marked signal, whose
    /// number it has.
    pub(crate) fn flush(&self, lane: usize, pair: u64, flush: Flush) {
        self.put(lane, |machine| machine.flush(pair, flush));
    }

    /// Sends a lifecycle signal, once and surely as long as this life lasts, and says its number.
    ///
    /// When too many wait already the peer is given up, with all that follows.
    pub(crate) fn signal(&self, signal: Signal) -> Result<u64, Undeliverable> {
        let mut state = self.control.lock();
        if state.over {
            return Err(Undeliverable::Lost);
        }
        match state.machine.signal(signal, now()) {
            Ok(number) => {
                self.control.send(state, Pace::Single);
                Ok(number)
            }
            Err(error) => {
                drop(state);
                self.hub.lose(self, PeerLost::Undeliverable(error));
                Err(error)
            }
        }
    }

    /// A message that came over this lane has left the wire's hands: its room is the peer's again.
    pub(crate) fn release(&self, lane: usize, charge: Charge) {
        let port = &self.lane(lane).port;
        let mut state = port.lock();
        state.machine.release(charge, now());
        let urgent = state.machine.owes_credit();
        port.released(state, urgent);
    }

    /// Sends bytes of a floor above; they may be lost with the connection.
    pub(crate) fn datagram(&self, channel: Channel, bytes: &[u8]) -> Result<(), DatagramError> {
        let mut state = self.control.lock();
        state.machine.datagram(channel as u8, bytes)?;
        self.control.send(state, Pace::Single);
        Ok(())
    }

    fn put(&self, lane: usize, what: impl FnOnce(&mut Lane)) {
        let lane = self.lane(lane);
        let mut state = lane.port.lock();
        if state.over {
            return;
        }
        what(&mut state.machine);
        lane.send(state, Pace::Single);
    }

    fn lane(&self, lane: usize) -> &LanePort {
        &self.lanes[lane % self.lanes.len()]
    }
}

/// For the floor's own files.
impl Peer {
    pub(super) fn control_port(&self, _: usize) -> &Port<Control> {
        &self.control
    }

    pub(super) fn lane_port(&self, at: usize) -> &Port<Lane> {
        &self.lane(at).port
    }

    pub(super) fn watch(&self) -> watch::Receiver<Session> {
        self.session.subscribe()
    }

    /// A control connection begins.
    pub(super) fn begin_session(&self, id: u128) {
        self.session.send_modify(|session| {
            session.id = id;
            session.up = false;
            session.there = true;
        });
    }

    /// Until `up` was said of this session; `false` when it never will be.
    pub(super) async fn is_up(&self, id: u128) -> bool {
        let mut watch = self.watch();
        let state = watch
            .wait_for(|it| it.over || it.id != id || it.up || !it.there)
            .await;
        state.is_ok_and(|it| it.id == id && it.up && !it.over)
    }

    /// Until this session has ended.
    pub(super) async fn session_ended(&self, id: u128) {
        let mut watch = self.watch();
        let _ = watch
            .wait_for(|it| it.over || it.id != id || !it.there)
            .await;
    }

    /// Until a lane has no connection.
    pub(super) async fn lane_ended(&self, at: usize) {
        self.lane_news(at, |lane| !lane.port.is_connected()).await;
    }

    /// Until all of a lane has been said by both sides, or its connection is gone.
    pub(super) async fn lane_drained(&self, at: usize) {
        let done =
            |lane: &LanePort| lane.drained.load(Ordering::Acquire) || !lane.port.is_connected();
        self.lane_news(at, done).await;
    }

    /// Until a lane has no connection, and somebody here or there has something to send by it.
    pub(super) async fn lane_wanted(&self, at: usize) {
        let wanted = |lane: &LanePort| {
            let state = lane.port.lock();
            let is_wanted = !state.machine.is_quiet() || lane.asked.load(Ordering::Acquire);
            is_wanted && !state.machine.is_connected()
        };
        self.lane_news(at, wanted).await;
    }

    /// A lane has a connection again.
    pub(super) fn lane_is_there(&self, at: usize) {
        self.lane(at).asked.store(false, Ordering::Release);
    }

    /// The peer asks for lanes, by their numbers.
    fn lanes_asked_for(&self, numbers: &[u8]) {
        for &number in numbers.iter().take(self.lanes.len()) {
            if let Some(lane) = self.lanes.get(usize::from(number)) {
                lane.asked.store(true, Ordering::Release);
                lane.news.notify_waiters();
            }
        }
    }

    /// Whether this side has said all that it had to say to it.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// This side has said all: lanes that are closed stay so.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    async fn lane_news(&self, at: usize, done: impl Fn(&LanePort) -> bool) {
        let lane = self.lane(at);
        loop {
            let mut news = std::pin::pin!(lane.news.notified());
            // Before the look, so that what happens after it is noticed.
            news.as_mut().enable();
            if done(lane) {
                return;
            }
            news.await;
        }
    }

    /// This life is over.
    pub(super) fn end(&self, why: PeerLost) {
        self.session.send_modify(|session| {
            session.over = true;
            session.up = false;
        });
        for lane in &self.lanes {
            lane.port.end(None, |machine| {
                let _counted_by_its_events = machine.give_up();
            });
            lane.news.notify_waiters();
        }
        self.control.end(Some(why), |_| {});
    }

    pub(super) fn hear_control(
        peer: &Arc<Self>,
        _: usize,
        notices: &mut VecDeque<Notice<ControlEvent>>,
    ) {
        while let Some(notice) = notices.pop_front() {
            Self::hear_of_control(peer, notice);
        }
    }

    fn hear_of_control(peer: &Arc<Self>, notice: Notice<ControlEvent>) {
        let events = &peer.hub.events;
        match notice {
            Notice::Event(ControlEvent::Signal(signal)) => events.signal(peer, signal),
            Notice::Event(ControlEvent::Datagram { channel, bytes })
                if channel == Channel::Lanes as u8 =>
            {
                peer.lanes_asked_for(&bytes);
            }
            Notice::Event(ControlEvent::Datagram { channel, bytes }) => {
                events.datagram(peer, channel, bytes);
            }
            Notice::Event(ControlEvent::Table(table)) => peer.hear_up(table),
            Notice::Event(ControlEvent::Undeliverable(why)) => {
                peer.hub.lose(peer, PeerLost::Undeliverable(why));
            }
            Notice::Event(ControlEvent::Goodbye(reason)) => {
                let for_good = reason == CloseReason::Shutdown;
                peer.control.heard_goodbye(reason);
                if for_good {
                    peer.hub.lose(peer, PeerLost::Shutdown);
                }
            }
            Notice::Ended { session, why } => peer.hear_down(session, &why),
            Notice::Over(why) => {
                if peer.met.load(Ordering::Acquire) {
                    let (id, life) = (peer.id(), peer.incarnation());
                    // What somebody has decided or announced is no surprise.
                    if let PeerLost::Undeliverable(_) = why {
                        tracing::warn!(peer = %id, %life, %why, "peer lost");
                    } else {
                        tracing::info!(peer = %id, %life, %why, "peer lost");
                    }
                    events.lost(peer, &why);
                }
            }
        }
    }

    /// It is known what it takes: messages can be sent.
    fn hear_up(self: &Arc<Self>, table: MessageTable) {
        *self.types.write().unwrap_or_else(PoisonError::into_inner) = table;
        if self.is_lost() {
            return;
        }
        self.met.store(true, Ordering::Release);
        self.connected.store(true, Ordering::Release);
        tracing::info!(peer = %self.id(), life = %self.incarnation(), "peer connected");
        self.hub.events.up(self);
        self.session.send_modify(|session| session.up = true);
    }

    fn hear_down(self: &Arc<Self>, session: u128, why: &Interruption) {
        self.hub.book().disconnected(self.id(), session);
        self.session.send_modify(|it| {
            if it.id == session {
                it.up = false;
                it.there = false;
            }
        });
        for lane in &self.lanes {
            lane.port
                .cut(session, "the control connection of its session has ended");
        }
        if self.connected.swap(false, Ordering::AcqRel) {
            if why.is_planned() {
                tracing::info!(peer = %self.id(), %why, "connection to a peer interrupted");
            } else {
                tracing::warn!(peer = %self.id(), %why, "connection to a peer interrupted");
            }
            self.hub.events.interrupted(self, why);
        }
    }

    pub(super) fn hear_lane(
        peer: &Arc<Self>,
        at: usize,
        notices: &mut VecDeque<Notice<LaneEvent>>,
    ) {
        let came = notices.iter().map(messages_of).sum();
        // Relaxed: a figure. Before they are told, so that whoever has one finds it counted.
        peer.lane(at).came.fetch_add(came, Ordering::Relaxed);
        while let Some(notice) = notices.front() {
            if is_for_above(notice) {
                let mut above = ForAbove(notices);
                peer.hub.events.lane_events(peer, at, &mut above);
                above.for_each(drop);
            } else if let Some(notice) = notices.pop_front() {
                Self::hear_of_lane(peer, at, notice);
            }
        }
    }

    fn hear_of_lane(peer: &Arc<Self>, at: usize, notice: Notice<LaneEvent>) {
        let lane = peer.lane(at);
        match notice {
            Notice::Event(LaneEvent::Flush(flush)) => {
                peer.control.lock().machine.flushed(flush.signal);
                peer.control.wake();
            }
            Notice::Event(LaneEvent::Unblocked { sender }) => {
                let waker = lane.rooms().remove(&sender);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            Notice::Event(LaneEvent::Drained) => {
                lane.drained.store(true, Ordering::Release);
                lane.news.notify_waiters();
            }
            Notice::Event(LaneEvent::Goodbye(reason)) => lane.port.heard_goodbye(reason),
            Notice::Event(event) => peer.hub.events.lane_event(peer, at, event),
            Notice::Ended { why, .. } => {
                lane.drained.store(false, Ordering::Release);
                tracing::debug!(peer = %peer.id(), lane = at, %why, "lane ended");
                lane.news.notify_waiters();
            }
            Notice::Over(_) => {}
        }
    }
}

/// How many messages came with it.
fn messages_of(notice: &Notice<LaneEvent>) -> u64 {
    match notice {
        Notice::Event(LaneEvent::Message(message)) => u64::from(message.head.messages()),
        _ => 0,
    }
}

/// Whether this floor has nothing to do with it.
fn is_for_above(notice: &Notice<LaneEvent>) -> bool {
    let Notice::Event(event) = notice else {
        return false;
    };
    !matches!(
        event,
        LaneEvent::Flush(_)
            | LaneEvent::Unblocked { .. }
            | LaneEvent::Drained
            | LaneEvent::Goodbye(_)
    )
}

/// What is at the front for the floors above.
struct ForAbove<'a>(&'a mut VecDeque<Notice<LaneEvent>>);

impl Iterator for ForAbove<'_> {
    type Item = LaneEvent;

    fn next(&mut self) -> Option<LaneEvent> {
        if !is_for_above(self.0.front()?) {
            return None;
        }
        match self.0.pop_front()? {
            Notice::Event(event) => Some(event),
            Notice::Ended { .. } | Notice::Over(_) => None,
        }
    }
}

#[expect(clippy::result_large_err, reason = "the message comes back")]
fn push(state: &mut Held<'_, Lane>, message: Outgoing) -> Result<(), PushError> {
    if state.over {
        return Err(PushError::Lost(message));
    }
    let messages = message.head.messages();
    state.machine.push(message).map_err(refused)?;
    state.pushed += u64::from(messages);
    Ok(())
}

fn refused(error: lane::PushError) -> PushError {
    match error {
        lane::PushError::Full(message) => PushError::Full(message),
        lane::PushError::TooLarge {
            message,
            bytes,
            max,
        } => PushError::TooLarge {
            message,
            bytes,
            max,
        },
    }
}

/// So many messages in one turn of a sender are worth a system call of their own, however soon after the last.
const MANY: usize = 8;

impl LanePort {
    /// Sends what was put into it; wakes whoever can make a connection if there is none.
    fn send(&self, state: Held<'_, Lane>, pace: Pace) {
        if !self.port.send(state, pace) {
            self.news.notify_waiters();
        }
    }

    fn rooms(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Waker>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("id", self.id())
            .field("incarnation", &self.incarnation())
            .field("connected", &self.is_connected())
            .field("session", &*self.session.borrow())
            .finish_non_exhaustive()
    }
}

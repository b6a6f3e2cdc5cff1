//! A network that is a queue: what stands for `peers` where only this floor is looked at.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;

use crate::id::{Incarnation, PeerId};
use crate::peers::PushError;
use crate::remote::{Remote, Way};
use crate::wire::credit::Charge;
use crate::wire::lane::{Incoming, LaneEvent};
use crate::wire::message::{Cancelled, Flush, Head};
use crate::wire::outbox::Outgoing;
use crate::wire::signal::{STOP_MARKED, Signal, SignalKind, Undeliverable};
use crate::wire::table::{MessageTable, TypeError};

/// One end of a line: the way to the peer on the other end.
pub(crate) struct Line {
    to: PeerId,
    incarnation: Incarnation,
    table: MessageTable,
    lanes: usize,
    message_max: usize,
    queue: Mutex<Option<Sender<Item>>>,
    signals: AtomicU64,
    /// Whether messages find no room.
    pub(crate) is_full: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
    /// Runs that went over it.
    pub(crate) runs: AtomicU64,
    /// Charges that were given back.
    pub(crate) released: AtomicU64,
}

#[allow(clippy::large_enum_variant, reason = "few, in tests")]
enum Item {
    Message(usize, Outgoing),
    Cancel(usize, u64),
    Flush(u64),
    Signal(u64, Signal),
    Datagram(Vec<u8>),
}

/// Where one end of a line delivers.
pub(crate) struct End {
    pub(crate) remote: Remote,
    pub(crate) peer: PeerId,
    pub(crate) incarnation: Incarnation,
    pub(crate) table: MessageTable,
}

/// Joins two sides; what `a` and `b` send each other is delivered by a thread for each direction.
pub(crate) fn join(a: &End, b: &End, lanes: usize, message_max: usize) -> (Arc<Line>, Arc<Line>) {
    let line = |to: &End| {
        Arc::new(Line {
            to: to.peer.clone(),
            incarnation: to.incarnation,
            table: to.table.clone(),
            lanes,
            message_max,
            queue: Mutex::new(None),
            signals: AtomicU64::new(0),
            is_full: AtomicBool::new(false),
            waiting: Mutex::default(),
            runs: AtomicU64::new(0),
            released: AtomicU64::new(0),
        })
    };
    let (to_b, to_a) = (line(b), line(a));
    let way: Arc<dyn Way> = to_b.clone();
    a.remote.up(&way);
    let way: Arc<dyn Way> = to_a.clone();
    b.remote.up(&way);
    deliver(&to_b, &a.remote, &b.remote, &to_a);
    deliver(&to_a, &b.remote, &a.remote, &to_b);
    (to_b, to_a)
}

/// What `own` sends by `line` is delivered to `remote`, whose way back is `back`.
fn deliver(line: &Arc<Line>, own: &Remote, remote: &Remote, back: &Arc<Line>) {
    let (sender, items) = channel();
    *line.queue.lock().unwrap() = Some(sender);
    let (own, remote) = (own.clone(), remote.clone());
    let (line, back): (Weak<Line>, Weak<Line>) = (Arc::downgrade(line), Arc::downgrade(back));
    std::thread::spawn(move || {
        let (mut marks, mut held) = (BTreeSet::new(), Vec::<(u64, Signal)>::new());
        for item in items {
            let (Some(line), Some(back)) = (line.upgrade(), back.upgrade()) else {
                return;
            };
            match item {
                Item::Message(lane, message) => {
                    let (token, now) = (message.token, Instant::now());
                    if let Some(reason) = message.verdict(now) {
                        let event = LaneEvent::Dropped { message, reason };
                        own.lane_event(&*line, lane, event);
                        continue;
                    }
                    remote.lane_event(&*back, lane, arrive(&message, now));
                    if token != 0 {
                        own.lane_event(&*line, lane, LaneEvent::Delivered { token });
                    }
                }
                Item::Cancel(lane, call) => {
                    let event = LaneEvent::Cancel(Cancelled::Call(call));
                    remote.lane_event(&*back, lane, event);
                }
                Item::Flush(signal) => {
                    marks.insert(signal);
                }
                Item::Signal(number, signal) => held.push((number, signal)),
                Item::Datagram(bytes) => remote.datagram(&*back, &bytes),
            }
            held.retain(|(number, signal)| {
                let is_marked = match &signal.kind {
                    SignalKind::Terminated(end) | SignalKind::Exit(end) => end.marked,
                    SignalKind::Stop { mode } => mode & STOP_MARKED != 0,
                    _ => false,
                };
                if is_marked && !marks.contains(number) {
                    return true;
                }
                remote.signal(&*back, signal.clone());
                false
            });
        }
    });
}

/// Over the wire and back.
fn arrive(message: &Outgoing, now: Instant) -> LaneEvent {
    let mut body = Vec::new();
    let remaining = message
        .deadline
        .map(|deadline| deadline.saturating_duration_since(now));
    let flags = message.head.encode(remaining, &mut body);
    body.extend_from_slice(&message.payload);
    let kind = message.head.kind();
    let (head, payload) = Head::decode(kind, flags, &Bytes::from(body)).expect("as it was written");
    let context = head.addressed().and_then(|to| to.context.as_ref());
    let deadline = context.and_then(|context| now.checked_add(context.remaining?));
    let charge = Charge {
        messages: head.messages(),
        bytes: u32::try_from(payload.len()).expect("a short message"),
        ..Charge::default()
    };
    LaneEvent::Message(Incoming {
        head,
        payload,
        deadline,
        charge,
    })
}

impl Line {
    fn send(&self, item: Item) -> bool {
        let queue = self.queue.lock().unwrap();
        queue.as_ref().is_some_and(|queue| queue.send(item).is_ok())
    }

    /// There is room, or there is none.
    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
        for waker in std::mem::take(&mut *self.waiting.lock().unwrap()) {
            waker.wake();
        }
    }

    /// Nothing goes over it any more.
    pub(crate) fn cut(&self) {
        *self.queue.lock().unwrap() = None;
        self.set_full(false);
    }
}

impl Way for Line {
    fn id(&self) -> &PeerId {
        &self.to
    }

    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn lanes(&self) -> usize {
        self.lanes
    }

    fn numa_nodes(&self) -> &[u8] {
        &[0, 1, 2, 3]
    }

    fn find_type(&self, name: &str, schema: u64) -> Result<u32, TypeError> {
        self.table.find(name, schema)
    }

    fn push(&self, lane: usize, message: Outgoing) -> Result<(), PushError> {
        let bytes = message.size_bound();
        if bytes > self.message_max {
            let max = u32::try_from(self.message_max).unwrap();
            return Err(PushError::TooLarge {
                message,
                bytes,
                max,
            });
        }
        if message.head.takes_credit() && self.is_full.load(Ordering::SeqCst) {
            return Err(PushError::Full(message));
        }
        if self.queue.lock().unwrap().is_none() {
            return Err(PushError::Lost(message));
        }
        self.send(Item::Message(lane, message));
        Ok(())
    }

    fn push_collected(&self, lane: usize, message: Outgoing) -> Result<bool, PushError> {
        let full = self.is_full.load(Ordering::SeqCst);
        let is_run = matches!(message.head, Head::Tells { .. });
        self.runs.fetch_add(is_run.into(), Ordering::SeqCst);
        if self.queue.lock().unwrap().is_none() {
            return Err(PushError::Lost(message));
        }
        self.send(Item::Message(lane, message));
        Ok(!full)
    }

    fn poll_room(&self, _lane: usize, _sender: u64, cx: &mut Context<'_>) -> Poll<()> {
        self.waiting.lock().unwrap().push(cx.waker().clone());
        if self.is_full.load(Ordering::SeqCst) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    fn forget(&self, _lane: usize, _sender: u64) {}

    fn cancel_call(&self, lane: usize, _pair: u64, call: u64) {
        self.send(Item::Cancel(lane, call));
    }

    fn flush(&self, _lane: usize, _pair: u64, flush: Flush) {
        self.send(Item::Flush(flush.signal));
    }

    fn signal(&self, signal: Signal) -> Result<u64, Undeliverable> {
        let number = self.signals.fetch_add(1, Ordering::SeqCst) + 1;
        self.send(Item::Signal(number, signal));
        Ok(number)
    }

    fn release(&self, _lane: usize, _charge: Charge) {
        self.released.fetch_add(1, Ordering::SeqCst);
    }

    fn datagram(&self, bytes: &[u8]) {
        self.send(Item::Datagram(bytes.to_vec()));
    }
}

//! The way from a proxy to its actor: what is told or asked here goes over a lane there.
//!
//! All that goes to one actor goes through one proxy, one message at a time, and has one number (`pair`) on
//! the lane: so it arrives in the order in which it was sent, whoever sent it. While the lane has no room the
//! proxy takes nothing, its mailbox fills, and its senders wait or are refused as with any full mailbox.
//!
//! What is told in one turn goes as a run (`wire::run`) as long as it is of one type and in one context; what is
//! of another, an ask, or the end of the turn sends it on its way first.

use std::sync::Arc;
use std::task::{Context, Poll};

use actor_core::remote::{CodecError, Export, Gateway, Outbound, Undelivered};
use actor_core::{
    Actor, ActorContext, ActorId, Context as MessageContext, Message, StopMode, StopReason,
    SyncHandler,
};

use super::addressing::on_link;
use super::answer::{TOKEN_ASK, TOKEN_TELL};
use super::association::Association;
use super::calls::Pending;
use super::desk::DESK;
use super::farewell::Barrier;
use super::fate::{end_of, number_of_mode};
use super::pauses::Pause;
use super::way::Way;
use crate::peers::PushError;
use crate::wire::context::ContextBlock;
use crate::wire::message::{Address, Addressed, Flush, Head, Target};
use crate::wire::outbox::{Outgoing, QUIET};
use crate::wire::payload::Payload;
use crate::wire::run::{Added, ITEM_MAX, Run};
use crate::wire::signal::{STOP_MARKED, Signal, SignalKind};

/// The gateway of one proxy.
pub(super) struct Gate {
    association: Arc<Association>,
    address: Address,
    /// As a sender on its lane.
    pair: u64,
    /// The lane, when it is known: with the first message.
    lane: Option<usize>,
    /// Taken from the mailbox, and not yet by the lane.
    stash: Option<Outgoing>,
    /// The numbers that the peer has given to types of messages, by where their names lie.
    types: Vec<(usize, u32)>,
    /// What a message is written down in.
    scratch: Vec<u8>,
    /// What is told in this turn and goes together.
    run: Run,
    /// What they have in common, if there are any.
    common: Option<Common>,
    /// The lane has taken what there was no room for.
    is_crowded: bool,
    /// Messages that the lane has and that were not sent yet.
    ahead: usize,
    /// The actor stays full, and its peer has asked to hold it back.
    pause: Arc<Pause>,
}

/// See [`Gate::run`].
struct Common {
    /// Where the name of their type lies.
    place: usize,
    context: MessageContext,
    to: Addressed,
    /// Bytes of payloads that may go with this head.
    max: usize,
}

/// What stands in the types for the actor of a proxy, where only this floor tells it something.
pub(super) struct Elsewhere;

impl Actor for Elsewhere {}

impl SyncHandler<Barrier> for Elsewhere {
    fn handle(&mut self, _: Barrier, _: &mut ActorContext<Self>) {}
}

/// Goes through the mailbox of a proxy behind all that its actor is to handle before it stops.
pub(super) struct LastOrder {}

impl LastOrder {
    const NAME: &'static str = "actor-net last order";
}

impl Message for LastOrder {
    type Reply = ();
    // As a barrier: it comes as far as the gateway.
    const EXPORT: Option<Export<Self>> = Some(Export {
        name: Self::NAME,
        schema: || 0,
        encode: |_, _| Err(CodecError::new("an order does not travel")),
        decode: |_| Err(CodecError::new("an order does not travel")),
        encode_reply: |(), _| Ok(()),
        decode_reply: |_| Ok(()),
    });
}

impl SyncHandler<LastOrder> for Elsewhere {
    fn handle(&mut self, _: LastOrder, _: &mut ActorContext<Self>) {}
}

/// What stands for the desk of a peer, which is reached by its name.
pub(super) const DESK_ADDRESS: Address = Address { id: 0, key: 0 };

/// How often a lane that says it has room may be found full before others have their turn.
const TRIES: usize = 4;

impl Gate {
    pub(super) fn new(association: Arc<Association>, address: Address) -> Self {
        Self {
            pair: association.next_pair(),
            association,
            address,
            lane: None,
            stash: None,
            types: Vec::new(),
            scratch: Vec::new(),
            run: Run::default(),
            common: None,
            is_crowded: false,
            ahead: 0,
            pause: Arc::default(),
        }
    }

    pub(super) fn pause(&self) -> Arc<Pause> {
        self.pause.clone()
    }

    pub(super) const fn pair(&self) -> u64 {
        self.pair
    }

    fn lane(&mut self, way: &dyn Way) -> usize {
        let number = self.address.id;
        *self.lane.get_or_insert_with(|| lane_of(way, number))
    }

    fn type_number(&mut self, way: &dyn Way, message: &Outbound<'_>) -> Result<u32, Undelivered> {
        let place = message.name().as_ptr().addr();
        if let Some((_, number)) = self.types.iter().find(|(known, _)| *known == place) {
            return Ok(*number);
        }
        let number = way
            .find_type(message.name(), message.schema())
            .map_err(|error| {
                let peer = &self.association.peer;
                tracing::debug!(%peer, %error, "a message was not sent");
                Undelivered::NotExported
            })?;
        self.types.push((place, number));
        Ok(number)
    }

    /// Pushes what is in the stash, as far as there is room.
    fn push_stash(&mut self, way: &dyn Way) {
        let Some(message) = self.stash.take() else {
            return;
        };
        let lane = self.lane(way);
        let is_ask = matches!(message.head, Head::Ask { .. });
        let (token, messages) = (message.token, message.head.messages());
        let why = match way.push(lane, message) {
            Ok(()) => return self.association.note_out(is_ask, messages),
            Err(PushError::Full(message)) => {
                self.stash = Some(message);
                return;
            }
            Err(PushError::TooLarge { .. }) => Undelivered::TooLarge,
            Err(PushError::Lost(_)) => Undelivered::PeerGone,
        };
        self.association.not_sent(lane, (token, messages), why);
    }

    // ---- What goes together -------------------------------------------------------------------------

    /// Takes a message that is told. What is too long to go with others comes back, written down.
    fn collect(
        &mut self,
        way: &dyn Way,
        message: &Outbound<'_>,
    ) -> Result<Option<Vec<u8>>, Undelivered> {
        let place = message.name().as_ptr().addr();
        let goes_with = |common: &Common| {
            common.place == place && common.context.is_clone_of(message.context())
        };
        if !self.common.as_ref().is_some_and(goes_with) {
            self.push_run(way);
            self.begin_run(way, message)?;
        }
        match self.write(message)? {
            Added::Here => Ok(None),
            // It does not go with these: alone, or at the head of others.
            Added::Apart(bytes) => {
                self.push_run(way);
                if bytes.len() > ITEM_MAX {
                    return Ok(Some(bytes));
                }
                self.begin_run(way, message)?;
                let max = self.common.as_ref().map_or(0, |common| common.max);
                let added = self.run.add(max, |run| {
                    run.extend_from_slice(&bytes);
                    Ok::<(), Undelivered>(())
                });
                match added? {
                    Added::Here => Ok(None),
                    Added::Apart(bytes) => Ok(Some(bytes)),
                }
            }
        }
    }

    /// Writes a message down behind the others.
    fn write(&mut self, message: &Outbound<'_>) -> Result<Added, Undelivered> {
        let max = self.common.as_ref().map_or(0, |common| common.max);
        let (run, association) = (&mut self.run, &self.association);
        let added = run.add(max, |bytes| on_link(association, || message.encode(bytes)));
        added.map_err(|error| {
            let peer = &self.association.peer;
            tracing::debug!(%peer, message = message.name(), %error, "a message was not sent");
            Undelivered::NotExported
        })
    }

    fn begin_run(&mut self, way: &dyn Way, message: &Outbound<'_>) -> Result<(), Undelivered> {
        let to = self.addressed(way, message)?;
        let count = u32::MAX;
        let head = Head::Tells { count, to };
        // All of it is shorter than what goes in pieces.
        let max = self
            .association
            .own
            .fragment
            .saturating_sub(head.size_bound());
        let Head::Tells { to, .. } = head else {
            return Ok(());
        };
        self.common = Some(Common {
            place: message.name().as_ptr().addr(),
            context: message.context().clone(),
            to,
            max,
        });
        Ok(())
    }

    /// Where a message goes, and what travels with it.
    fn addressed(
        &mut self,
        way: &dyn Way,
        message: &Outbound<'_>,
    ) -> Result<Addressed, Undelivered> {
        let message_type = self.type_number(way, message)?;
        let context = message.context();
        let block = (!context.is_empty()).then(|| ContextBlock::of(context));
        Ok(Addressed {
            message_type,
            target: self.target(),
            sender: None,
            context: block.filter(|block| !block.is_empty()),
        })
    }

    /// The lane gets what was collected, whether it has room or not.
    fn push_run(&mut self, way: &dyn Way) {
        let Some(Common { context, to, .. }) = self.common.take() else {
            return;
        };
        let (head, payload) = match self.run.only().map(Payload::of) {
            Some(only) => {
                self.run.clear();
                (Head::Tell(to), only)
            }
            None if self.run.is_empty() => return,
            None => {
                let (count, bytes) = self.run.take();
                (Head::Tells { count, to }, Payload::Apart(bytes))
            }
        };
        let messages = head.messages();
        let token = QUIET | TOKEN_TELL;
        let message = Outgoing {
            pair: self.pair,
            head,
            payload,
            deadline: context.deadline(),
            cancel: context.cancel_token().cloned(),
            token,
        };
        let lane = self.lane(way);
        let why = match way.push_collected(lane, message) {
            Ok(has_room) => {
                self.is_crowded = !has_room;
                self.ahead += usize::try_from(messages).unwrap_or(usize::MAX);
                self.association.note_out(false, messages);
                return;
            }
            Err(PushError::Full(message)) => {
                self.stash = Some(message);
                return;
            }
            Err(PushError::TooLarge { .. }) => Undelivered::TooLarge,
            Err(PushError::Lost(_)) => Undelivered::PeerGone,
        };
        self.association.not_sent(lane, (token, messages), why);
    }
}

/// Which lane goes to the NUMA node that an actor lives on.
fn lane_of(way: &dyn Way, number: u64) -> usize {
    // As `ActorId::numa_node`: of what is said to be an actor's number there.
    let node = u8::try_from(number >> 30 & 0xff).unwrap_or_default();
    let place = way.numa_nodes().iter().position(|known| *known == node);
    place.unwrap_or_default() % way.lanes().max(1)
}

impl Gateway for Gate {
    fn peer(&self) -> Option<Arc<str>> {
        Some(self.association.peer_name.clone())
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.pause.holds(cx) {
            return Poll::Pending;
        }
        // Room is looked for when there was none: the one message that then does not fit waits in the stash.
        if self.stash.is_none() && !self.is_crowded && self.association.way().is_some() {
            return Poll::Ready(());
        }
        let association = self.association.clone();
        let way = match association.poll_way(cx) {
            None => return Poll::Pending,
            // Lost: what comes is refused.
            Some(None) => {
                self.push_nothing();
                return Poll::Ready(());
            }
            Some(Some(way)) => way,
        };
        let lane = self.lane(&*way);
        for _ in 0..TRIES {
            self.push_stash(&*way);
            if way.poll_room(lane, self.pair, cx).is_pending() {
                return Poll::Pending;
            }
            self.is_crowded = false;
            if self.stash.is_none() {
                return Poll::Ready(());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn forward(&mut self, message: &mut Outbound<'_>) -> Result<(), Undelivered> {
        if message.name() == Barrier::NAME {
            // What is before it is on its lane; it is dropped when this returns, and that is all there is to it.
            if let Some(way) = self.association.clone().way() {
                self.push_run(&**way);
            }
            return Ok(());
        }
        if message.name() == LastOrder::NAME {
            self.stop_behind();
            return Ok(());
        }
        let association = self.association.clone();
        if association.is_lost() {
            return Err(Undelivered::PeerGone);
        }
        let way = association.way().ok_or(Undelivered::Unreachable)?;
        let payload = if message.is_ask() {
            // Behind what was told before.
            self.push_run(&**way);
            self.scratch.clear();
            on_link(&association, || message.encode(&mut self.scratch)).map_err(|error| {
                let peer = &association.peer;
                tracing::debug!(%peer, message = message.name(), %error, "a message was not sent");
                Undelivered::NotExported
            })?;
            Payload::take(&mut self.scratch)
        } else {
            match self.collect(&**way, message)? {
                None => return Ok(()),
                Some(bytes) => Payload::Apart(bytes.into()),
            }
        };
        let to = self.addressed(&**way, message)?;
        let context = message.context();
        let (deadline, cancel) = (context.deadline(), context.cancel_token().cloned());
        let lane = self.lane(&**way);
        let pair = self.pair;
        let outgoing = |head, token, cancel| Outgoing {
            pair,
            head,
            payload,
            deadline,
            cancel,
            token,
        };
        let asker = message.asker();
        let (message, is_ask) = match message.reply() {
            None => (outgoing(Head::Tell(to), QUIET | TOKEN_TELL, cancel), false),
            Some(reply) => {
                let pending = Pending {
                    reply,
                    pair,
                    cancel: cancel.clone(),
                    deadline,
                    asker,
                    waits: None,
                };
                // In the table before it is sent: the answer may be here before `push` returns.
                let call = association.begin_call(lane, pending);
                let token = QUIET | call << 2 | TOKEN_ASK;
                // Lost meanwhile, perhaps after all that were in the table had been failed.
                if association.is_lost() {
                    association.not_sent(lane, (token, 1), Undelivered::PeerGone);
                    return Ok(());
                }
                let reply_lane = u8::try_from(lane).unwrap_or_default();
                let head = Head::Ask {
                    call,
                    reply_lane,
                    to,
                };
                (outgoing(head, token, cancel), true)
            }
        };
        let message = association.number_large(message);
        let token = message.token;
        let why = match way.push_ahead(lane, message) {
            Ok(()) => {
                self.ahead += 1;
                association.note_out(is_ask, 1);
                return Ok(());
            }
            Err(PushError::Full(message)) => {
                self.stash = Some(message);
                return Ok(());
            }
            Err(PushError::TooLarge { .. }) => Undelivered::TooLarge,
            Err(PushError::Lost(_)) => Undelivered::PeerGone,
        };
        if is_ask {
            association.not_sent(lane, (token, 1), why);
            return Ok(());
        }
        association.token_is_gone(token);
        Err(why)
    }

    fn flush(&mut self) {
        if self.common.is_some()
            && let Some(way) = self.association.clone().way()
        {
            self.push_run(&**way);
        }
        if self.ahead == 0 {
            return;
        }
        let messages = std::mem::take(&mut self.ahead);
        if let (Some(way), Some(lane)) = (self.association.way(), self.lane) {
            way.send(lane, messages);
        }
    }

    fn stop(&mut self, mode: StopMode) {
        // Behind what waits here and what is on its way.
        if mode == StopMode::Drain && self.association.pass_through(self.address, LastOrder {}) {
            return;
        }
        self.association.signal(Signal {
            from: self.association.nobody(),
            to: self.address,
            kind: SignalKind::Stop {
                mode: number_of_mode(mode),
            },
        });
    }

    fn link_broken(&mut self, failed: ActorId, reason: &StopReason) {
        self.association.signal(Signal {
            from: self.association.own.wire_address(failed),
            to: self.address,
            kind: SignalKind::Exit(end_of(reason, false)),
        });
    }
}

impl Gate {
    /// The actor is to stop when it has handled all that was sent before.
    fn stop_behind(&mut self) {
        let association = self.association.clone();
        let Some(way) = association.way() else {
            return;
        };
        self.push_run(&**way);
        let stop = Signal {
            from: association.nobody(),
            to: self.address,
            kind: SignalKind::Stop {
                mode: number_of_mode(StopMode::Drain) | STOP_MARKED,
            },
        };
        // Otherwise the peer is about to be declared dead.
        if let Ok(signal) = way.signal(stop) {
            let watcher = self.address.id;
            way.flush(self.lane(&**way), self.pair, Flush { watcher, signal });
        }
    }

    fn target(&self) -> Target {
        if self.address == DESK_ADDRESS {
            Target::Name(DESK.to_owned())
        } else {
            Target::Actor(self.address)
        }
    }

    /// The peer is lost, and what could not be pushed with it.
    fn push_nothing(&mut self) {
        if let Some(message) = self.stash.take() {
            let lane = self.lane.unwrap_or_default();
            let what = (message.token, message.head.messages());
            self.association.not_sent(lane, what, Undelivered::PeerGone);
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.flush();
        self.push_nothing();
        if let (Some(way), Some(lane)) = (self.association.way(), self.lane) {
            way.forget(lane, self.pair);
        }
        self.association.proxy_ended(self.pair, self.address);
    }
}

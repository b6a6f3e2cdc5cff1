//! What comes over the lanes: messages for actors here, answers for askers here, word of what became of what
//! was sent.
//!
//! All of it is done on the lane's own thread, beside the mailboxes it goes to. The room that a message took
//! of the peer's window is given back when it is in a mailbox. A message for a mailbox that is full *and lets
//! senders wait* is held here until there is room, and everything for the same actor behind it (`held`). An ask does not
//! wait: its asker hears that the mailbox is full. What a policy drops or refuses is dropped or refused as for
//! a sender here, and counted. Nothing is dropped in silence.
//!
//! What cannot be read, by its frame or its type, is refused alone: the asker is told, the link goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actor_core::remote::{CodecError, RemoteFailure, Undelivered};
use actor_core::{Baggage, CancelToken, Context};

use super::addressing::on_link;
use super::answer::{Answer, CALL_MAX, TOKEN_ASK, TOKEN_TELL, is_answer, number_of, send_failure};
use super::association::{Association, Open};
use super::exports::{Asked, Refusal, Taker, Tally, Told, Waiting, contained};
use super::fate::failure_of;
use super::held::{Blocked, Room, pump};
use super::pauses::Word;
use crate::wire::credit::Charge;
use crate::wire::lane::{Incoming, LaneEvent};
use crate::wire::message::{Addressed, Cancelled, FailCode, Head, Target};
use crate::wire::outbox::DropReason;
use crate::wire::run::Items;

impl Association {
    /// Things that came over a lane, or became of what went out by it.
    pub(super) fn lane_events(
        self: &Arc<Self>,
        lane: usize,
        events: &mut dyn Iterator<Item = LaneEvent>,
    ) {
        let mut room = Room {
            association: self,
            lane,
            charge: None,
        };
        for event in events {
            self.lane_event(lane, event, &mut room);
        }
    }

    fn lane_event(self: &Arc<Self>, lane: usize, event: LaneEvent, room: &mut Room<'_>) {
        let books = &self.own.books;
        match event {
            LaneEvent::Message(incoming) => match &incoming.head {
                Head::Reply { call } => {
                    books.answers_in.one_more();
                    let Some(pending) = self.end_call(lane, *call) else {
                        return books.answers_late.one_more();
                    };
                    let read = on_link(self, || pending.reply.send(&incoming.payload));
                    if let Err(error) = read {
                        tracing::debug!(peer = %self.peer, %error, "an answer was not read");
                        books.refused_malformed.one_more();
                    }
                }
                Head::Fail { call, code, detail } => {
                    books.answers_in.one_more();
                    let Some(pending) = self.end_call(lane, *call) else {
                        return books.answers_late.one_more();
                    };
                    if !detail.is_empty() {
                        tracing::debug!(peer = %self.peer, ?code, detail, "an ask was refused");
                    }
                    pending.reply.fail(failure_of(*code));
                }
                Head::Tell(_) => {
                    books.tells_in.one_more();
                    self.arrived(lane, incoming, room);
                }
                Head::Tells { count, .. } => {
                    books.tells_in.add((*count).into());
                    self.arrived(lane, incoming, room);
                }
                Head::Ask { call, to, .. } => {
                    books.asks_in.one_more();
                    if *call <= CALL_MAX {
                        let target = match to.target {
                            Target::Actor(address) => address.id,
                            Target::Name(_) => 0,
                        };
                        let token = CancelToken::new();
                        self.asked(lane).insert(*call, Open { token, target });
                    }
                    self.arrived(lane, incoming, room);
                }
            },
            LaneEvent::Refused {
                error,
                call,
                messages,
            } => {
                books.refused_malformed.add(messages.into());
                tracing::debug!(peer = %self.peer, %error, "a message was not read");
                if let Some(call) = call.filter(|call| *call <= CALL_MAX) {
                    send_failure(self, lane, call, FailCode::Malformed, error.to_string());
                }
            }
            LaneEvent::Incomplete { stream, bytes } => {
                books.refused_malformed.one_more();
                tracing::debug!(peer = %self.peer, stream, bytes, "a message never became whole");
            }
            LaneEvent::Cancel(Cancelled::Call(call)) => {
                // Taken out first: whoever is woken may answer.
                let open = self.asked(lane).remove(&call);
                if let Some(open) = open {
                    books.cancelled_there.one_more();
                    open.token.cancel();
                }
            }
            LaneEvent::Delivered { token } => self.token_is_gone(token),
            LaneEvent::Lost { token, messages } => self.lost_on_the_way(lane, token, messages),
            LaneEvent::Dropped { message, reason } => {
                self.dropped(lane, &message.head, message.token, reason);
            }
            LaneEvent::Cancel(Cancelled::Scope(_))
            | LaneEvent::Flush(_)
            | LaneEvent::Unblocked { .. }
            | LaneEvent::Drained
            | LaneEvent::Goodbye(_) => {}
        }
    }

    /// The connection broke when it was on its way: it may have arrived or not.
    fn lost_on_the_way(self: &Arc<Self>, lane: usize, token: u64, messages: u32) {
        let books = &self.own.books;
        if is_answer(token) {
            books.lost_answers.one_more();
            // The asker would wait for ever: told again, by the next connection, in other words.
            let call = number_of(token);
            send_failure(self, lane, call, FailCode::Lost, String::new());
        } else if token & 3 == TOKEN_ASK {
            books.lost_asks.one_more();
            if let Some(pending) = self.end_call(lane, number_of(token)) {
                let unknown = RemoteFailure::Undelivered(Undelivered::Unreachable);
                pending.reply.fail(unknown);
            }
        } else if token & 3 == TOKEN_TELL {
            books.lost_tells.add(messages.into());
        }
        self.token_is_gone(token);
    }

    /// It was not sent.
    fn dropped(self: &Arc<Self>, lane: usize, head: &Head, token: u64, reason: DropReason) {
        let books = &self.own.books;
        let (count, failure) = match reason {
            DropReason::Expired => (&books.dropped_expired, RemoteFailure::Expired),
            DropReason::Cancelled => (&books.dropped_cancelled, RemoteFailure::Cancelled),
            DropReason::TooLarge => (
                &books.dropped_too_large,
                RemoteFailure::Undelivered(Undelivered::TooLarge),
            ),
            DropReason::Discarded => (
                &books.dropped_discarded,
                RemoteFailure::Undelivered(Undelivered::Unreachable),
            ),
            DropReason::Unreachable => (
                &books.dropped_peer_gone,
                RemoteFailure::Undelivered(Undelivered::PeerGone),
            ),
        };
        count.add(head.messages().into());
        match head {
            Head::Ask { call, .. } => {
                if let Some(pending) = self.end_call(lane, *call) {
                    pending.reply.fail(failure);
                }
            }
            Head::Reply { call } if reason != DropReason::Unreachable => {
                let code = match reason {
                    DropReason::TooLarge => FailCode::TooLarge,
                    _ => FailCode::Lost,
                };
                send_failure(self, lane, *call, code, String::new());
            }
            Head::Reply { .. } | Head::Fail { .. } | Head::Tell(_) | Head::Tells { .. } => {}
        }
        self.token_is_gone(token);
    }

    // ---- Messages for actors here -------------------------------------------------------------------

    /// A tell or an ask has come.
    fn arrived(self: &Arc<Self>, lane: usize, incoming: Incoming, room: &mut Room<'_>) {
        let mut incoming = incoming;
        let settings = &self.own.settings;
        // Behind what waits for the same actor already.
        if self.held.actors.load(Ordering::Acquire) > 0
            && let Some(number) = self.number_of(&incoming.head)
        {
            let messages = incoming.head.messages().into();
            match self.held.push(number, lane, incoming, settings) {
                Ok(queued) => {
                    self.own.books.held.add(messages);
                    if let Some(charge) = queued.free {
                        room.add(charge);
                    }
                    if queued.pause {
                        self.say_of(number, Word::HoldBack);
                    }
                    return;
                }
                Err(back) => incoming = back,
            }
        }
        let mut blocked = match self.hand_in(lane, incoming) {
            Ok(charge) => return room.add(charge),
            Err(blocked) => blocked,
        };
        // Copied out: a few bytes would keep a whole chunk of the connection.
        blocked.rest = blocked.rest.map(|rest| Box::new(rest.detach()));
        let charge = blocked.charge_of_all();
        blocked.own = self.held.take_room(charge, settings);
        if blocked.own {
            room.add(charge);
        }
        self.held.begin(blocked.number);
        self.own.books.held.add(blocked.messages());
        self.own.system.tokio().spawn(pump(self.clone(), blocked));
    }

    /// The actor that a message is for, by its number here.
    fn number_of(&self, head: &Head) -> Option<u64> {
        match &head.addressed()?.target {
            Target::Actor(address) => self.own.is_ours(*address).then_some(address.id),
            Target::Name(name) => self.own.named(name).map(|actor| actor.as_u64()),
        }
    }

    /// Gives a message to its actor: what it took of the window is free again. The message is back if the actor
    /// has no room now.
    pub(super) fn hand_in(
        self: &Arc<Self>,
        lane: usize,
        incoming: Incoming,
    ) -> Result<Charge, Blocked> {
        let charge = incoming.charge;
        let number = self.number_of(&incoming.head);
        if let Head::Tells { .. } = incoming.head {
            return self.hand_in_run(lane, number, incoming);
        }
        let Incoming {
            head,
            payload,
            deadline,
            ..
        } = incoming;
        let blocked = match head {
            Head::Tell(to) => {
                // User code: reading a message, and dropping one that is refused.
                let told = contained(|| {
                    let Some(number) = number else {
                        return Err(self.no_such(&to));
                    };
                    let context = self.context_of(&to, deadline, None);
                    self.tell(number, &to, &payload, context)
                });
                match told {
                    Some(Ok(Some(waiting))) => number.map(|number| Blocked {
                        number,
                        waiting,
                        lane,
                        charge,
                        rest: None,
                        own: false,
                    }),
                    Some(Ok(None)) => {
                        self.own.books.delivered.one_more();
                        None
                    }
                    Some(Err(code)) => {
                        self.refused(code);
                        None
                    }
                    None => {
                        self.refused(FailCode::Malformed);
                        None
                    }
                }
            }
            Head::Ask {
                call,
                reply_lane,
                to,
            } => {
                self.ask(lane, call, reply_lane, number, &to, &payload, deadline);
                None
            }
            Head::Tells { .. } | Head::Reply { .. } | Head::Fail { .. } => None,
        };
        blocked.map_or(Ok(charge), Err)
    }

    /// As `hand_in`, for a run.
    fn hand_in_run(
        self: &Arc<Self>,
        lane: usize,
        number: Option<u64>,
        incoming: Incoming,
    ) -> Result<Charge, Blocked> {
        let books = &self.own.books;
        let (charge, deadline) = (incoming.charge, incoming.deadline);
        let Some(to) = incoming.head.addressed() else {
            return Ok(charge);
        };
        let context = self.context_of(to, deadline, None);
        let mut items = Items::of(&incoming.payload);
        while items.left() > 0 {
            let before = items.left();
            let mut tally = Tally::default();
            // User code, as in `hand_in`.
            let told = contained(|| {
                let number = number.ok_or_else(|| self.no_such(to))?;
                self.tell_run(number, to, &mut items, &context, &mut tally)
            });
            books.delivered.add(tally.delivered);
            books.refused_malformed.add(tally.unreadable);
            if let Some(error) = tally.error {
                self.unreadable(to, &error);
            }
            match told {
                Some(Ok(Told::Full(waiting))) => {
                    let Some(number) = number else {
                        continue;
                    };
                    let count = u32::try_from(items.clone().count()).unwrap_or(u32::MAX);
                    let at = incoming.payload.len() - items.left();
                    let rest = (count > 0).then(|| {
                        let to = to.clone();
                        Box::new(Incoming {
                            head: Head::Tells { count, to },
                            payload: incoming.payload.slice(at..),
                            deadline,
                            charge,
                        })
                    });
                    return Err(Blocked {
                        number,
                        waiting,
                        lane,
                        charge: rest.as_ref().map_or(charge, |_| Charge::default()),
                        rest,
                        own: false,
                    });
                }
                Some(Ok(Told::Refused(refusal))) => self.refused(code_of_refusal(refusal)),
                Some(Ok(_)) => {}
                // Nobody takes any of them.
                Some(Err(code)) => items.by_ref().for_each(|_| self.refused(code)),
                None => {
                    self.refused(FailCode::Malformed);
                    if items.left() == before {
                        items.next();
                    }
                }
            }
        }
        Ok(charge)
    }

    fn tell_run(
        self: &Arc<Self>,
        number: u64,
        to: &Addressed,
        items: &mut Items<'_>,
        context: &Context,
        tally: &mut Tally,
    ) -> Result<Told, FailCode> {
        for taker in self.takers(to) {
            let system = &self.own.system;
            let told = on_link(self, || {
                (taker.tell_run)(system, number, items, context, tally)
            });
            if !matches!(told, Told::NotThis) {
                return Ok(told);
            }
        }
        Err(self.not_taken(number))
    }

    pub(super) fn release(&self, lane: usize, charge: Charge) {
        if let Some(way) = self.way() {
            way.release(lane, charge);
        }
    }

    fn takers(&self, to: &Addressed) -> &[Taker] {
        usize::try_from(to.message_type)
            .ok()
            .and_then(|number| self.own.takers.get(number))
            .map_or(&[], |takers| takers)
    }

    fn no_such(&self, to: &Addressed) -> FailCode {
        match &to.target {
            Target::Actor(_) => FailCode::Dead,
            Target::Name(_) => FailCode::NotExported,
        }
    }

    /// Why nobody of those who take such messages took it.
    fn not_taken(&self, number: u64) -> FailCode {
        match self.own.system.resolve_anyone(number) {
            Some(_) => FailCode::NotExported,
            None => FailCode::Dead,
        }
    }

    fn tell(
        self: &Arc<Self>,
        number: u64,
        to: &Addressed,
        payload: &[u8],
        context: Context,
    ) -> Result<Option<Waiting>, FailCode> {
        for taker in self.takers(to) {
            let system = &self.own.system;
            let told = on_link(self, || {
                (taker.tell)(system, number, payload, context.clone())
            });
            return match told {
                Told::NotThis => continue,
                Told::Done => Ok(None),
                Told::Full(waiting) => Ok(Some(waiting)),
                Told::Unreadable(error) => {
                    self.unreadable(to, &error);
                    Err(FailCode::Malformed)
                }
                Told::Refused(refusal) => Err(code_of_refusal(refusal)),
            };
        }
        Err(self.not_taken(number))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one message")]
    fn ask(
        self: &Arc<Self>,
        lane: usize,
        call: u64,
        reply_lane: u8,
        number: Option<u64>,
        to: &Addressed,
        payload: &[u8],
        deadline: Option<std::time::Instant>,
    ) {
        let token = self.asked(lane).get(&call).map(|open| open.token.clone());
        let Some(token) = token else {
            // Cancelled while it was held; or its number is none that can be answered.
            self.refused(FailCode::Cancelled);
            return;
        };
        let lanes = self.way().map_or(1, |way| way.lanes());
        let reply_lane = Some(usize::from(reply_lane)).filter(|wanted| *wanted < lanes);
        let mut answer = Some(Answer {
            association: self.clone(),
            came: lane,
            lane: reply_lane.unwrap_or(lane),
            call,
            is_given: false,
        });
        let asked = contained(|| {
            let number = number.ok_or_else(|| (self.no_such(to), CodecError::new("nobody")))?;
            let context = self.context_of(to, deadline, Some(token));
            for taker in self.takers(to) {
                let system = &self.own.system;
                let Some(mine) = answer.take() else {
                    return Ok(());
                };
                if taker.answers_later {
                    // Its handler may be done with it, and somebody else be about to answer.
                    if let Some(open) = self.asked(lane).get_mut(&call) {
                        open.target = 0;
                    }
                }
                let asked = on_link(self, || {
                    (taker.ask)(system, number, payload, context.clone(), mine)
                });
                match asked {
                    Asked::Done => return Ok(()),
                    Asked::NotThis(back) => answer = Some(back),
                    Asked::Unreadable(error, back) => {
                        answer = Some(back);
                        self.unreadable(to, &error);
                        return Err((FailCode::Malformed, error));
                    }
                }
            }
            Err((self.not_taken(number), CodecError::new("nobody")))
        });
        let (code, detail) = match asked {
            Some(Ok(())) => return self.own.books.delivered.one_more(),
            Some(Err((FailCode::Malformed, error))) => (FailCode::Malformed, error.to_string()),
            Some(Err((code, _))) => (code, String::new()),
            None => (FailCode::Malformed, "reading it panicked".to_owned()),
        };
        self.refused(code);
        if let Some(answer) = answer {
            answer.fail(code, detail);
        }
    }

    fn unreadable(&self, to: &Addressed, error: &CodecError) {
        let name = usize::try_from(to.message_type)
            .ok()
            .and_then(|number| self.own.type_names.get(number));
        tracing::debug!(peer = %self.peer, message = name, %error, "a message was not read");
    }

    pub(super) fn refused(&self, code: FailCode) {
        let books = &self.own.books;
        match code {
            FailCode::Dead | FailCode::Stopped => books.refused_dead.one_more(),
            FailCode::NotExported | FailCode::SchemaDiffers => {
                books.refused_not_exported.one_more();
            }
            FailCode::Full => books.refused_full.one_more(),
            FailCode::Other(_) => books.refused_overloaded.one_more(),
            FailCode::Expired | FailCode::Cancelled => books.refused_expired.one_more(),
            _ => books.refused_malformed.one_more(),
        }
    }
}

pub(super) const fn code_of_refusal(refusal: Refusal) -> FailCode {
    match refusal {
        Refusal::Full => FailCode::Full,
        Refusal::Dead => FailCode::Dead,
        Refusal::Overloaded => FailCode::Other(0),
        Refusal::Expired => FailCode::Expired,
        Refusal::Cancelled => FailCode::Cancelled,
    }
}

impl Association {
    fn context_of(
        &self,
        to: &Addressed,
        deadline: Option<std::time::Instant>,
        cancel: Option<CancelToken>,
    ) -> Context {
        match &to.context {
            Some(block) => {
                let context = block.to_context(deadline, cancel);
                match context.trace() {
                    Some(trace) if trace.is_sampled() => context.from_peer(&self.peer_name),
                    _ => context,
                }
            }
            None => Context::of_parts(deadline, cancel, None, Baggage::empty()),
        }
    }
}

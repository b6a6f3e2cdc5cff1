//! The right to answer an ask that came from a peer: a reply, or why there is none, over the lane that the
//! asker wants it on.
//!
//! Dropped without a word, it says that there is no reply; so a handler that is cut off, or a reply that
//! panics while it is written down, leaves no asker waiting.

use std::sync::Arc;

use actor_core::Message;
use actor_core::remote::RemoteFailure;
use bytes::Bytes;

use super::addressing::on_link;
use super::association::Association;
use super::fate::code_of;
use crate::peers::PushError;
use crate::wire::message::{FailCode, Head};
use crate::wire::outbox::{Outgoing, QUIET};
use crate::wire::payload::{HERE_MAX, Payload};

/// Kinds of tokens, in the lowest two bits. Of those that are `QUIET` nothing is heard when all is well.
pub(super) const TOKEN_TELL: u64 = 1;
pub(super) const TOKEN_ASK: u64 = 2;
const TOKEN_ANSWER: u64 = 3;

/// The number in a token.
pub(super) const fn number_of(token: u64) -> u64 {
    (token & !QUIET) >> 2
}

pub(super) const fn is_answer(token: u64) -> bool {
    token & 3 == TOKEN_ANSWER
}

/// The greatest number of a call that is taken: it has to fit into a token.
pub(super) const CALL_MAX: u64 = number_of(u64::MAX);

pub(super) struct Answer {
    pub(super) association: Arc<Association>,
    /// The lane that the ask came by: its cancellation comes by the same.
    pub(super) came: usize,
    pub(super) lane: usize,
    pub(super) call: u64,
    pub(super) is_given: bool,
}

impl Answer {
    /// With what the handler said.
    pub(super) fn give<M: Message>(mut self, outcome: Result<M::Reply, RemoteFailure>) {
        let reply = match outcome {
            Ok(reply) => reply,
            Err(failure) => return self.fail(code_of(failure), String::new()),
        };
        let Some(export) = M::EXPORT else {
            return self.fail(FailCode::NotExported, String::new());
        };
        let mut bytes = Vec::with_capacity(HERE_MAX);
        let written = on_link(&self.association, || {
            (export.encode_reply)(&reply, &mut bytes)
        });
        if let Err(error) = written {
            return self.fail(FailCode::NoReply, error.to_string());
        }
        if self.is_wanted() {
            let payload = Payload::take(&mut bytes);
            send(&self.association, self.lane, self.call, payload);
        }
    }

    pub(super) fn fail(mut self, code: FailCode, detail: String) {
        self.end(code, detail);
    }

    /// Whether the asker has not given up. Ends the call here.
    fn is_wanted(&mut self) -> bool {
        self.is_given = true;
        self.association.forget_call(self.came, self.call)
    }

    fn end(&mut self, code: FailCode, detail: String) {
        if !self.is_given && self.is_wanted() {
            send_failure(&self.association, self.lane, self.call, code, detail);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.end(FailCode::NoReply, String::new());
    }
}

fn send(association: &Association, lane: usize, call: u64, payload: Payload) {
    let pushed = push(association, lane, call, Head::Reply { call }, payload);
    if let Err(PushError::TooLarge { bytes, max, .. }) = pushed {
        association.own.books.dropped_too_large.one_more();
        let detail = format!("the answer has {bytes} bytes, at most {max} are taken");
        send_failure(association, lane, call, FailCode::TooLarge, detail);
    }
}

/// Tells the asker of `call` that there is no answer.
pub(super) fn send_failure(
    association: &Association,
    lane: usize,
    call: u64,
    code: FailCode,
    detail: String,
) {
    let head = Head::Fail { call, code, detail };
    // Answers always have room, and a failure is small; of one whose peer is gone nobody wants to know.
    _ = push(association, lane, call, head, Bytes::new().into());
}

#[expect(clippy::result_large_err, reason = "the message comes back")]
fn push(
    association: &Association,
    lane: usize,
    call: u64,
    head: Head,
    payload: Payload,
) -> Result<(), PushError> {
    let Some(way) = association.way() else {
        return Ok(());
    };
    let answer = Outgoing {
        pair: 0,
        head,
        payload,
        deadline: None,
        cancel: None,
        token: QUIET | call << 2 | TOKEN_ANSWER,
    };
    way.push(lane, answer)?;
    association.own.books.answers_out.one_more();
    Ok(())
}

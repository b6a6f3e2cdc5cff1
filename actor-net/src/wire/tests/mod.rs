//! What the wire promises, one file for each promise.

mod arbiter;
mod bounded;
mod control;
mod fairness;
mod forged;
mod golden;
mod handshake;
mod heartbeat;
mod lane;
mod run;
mod simulation;
mod splits;

use std::time::Instant;

use bytes::Bytes;

use super::frame::FrameDecoder;
use super::lane::Lane;
use super::limits::Limits;
use super::message::{Address, Addressed, Head, Target};
use super::outbox::Outgoing;

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("hex") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

pub(super) fn to_actor(id: u64) -> Addressed {
    Addressed {
        message_type: 3,
        target: Target::Actor(Address { id, key: !id }),
        sender: None,
        context: None,
    }
}

pub(super) fn tell(pair: u64, token: u64, payload: impl Into<Bytes>) -> Outgoing {
    Outgoing {
        pair,
        head: Head::Tell(to_actor(pair)),
        payload: payload.into().into(),
        deadline: None,
        cancel: None,
        token,
    }
}

pub(super) fn ask(pair: u64, call: u64, payload: impl Into<Bytes>) -> Outgoing {
    Outgoing {
        head: Head::Ask {
            call,
            reply_lane: 0,
            to: to_actor(pair),
        },
        ..tell(pair, 0, payload)
    }
}

pub(super) fn connected(limits: &Limits, now: Instant) -> Lane {
    let mut lane = Lane::new(limits.clone());
    lane.connect(FrameDecoder::new(), limits.promised(), now);
    lane
}

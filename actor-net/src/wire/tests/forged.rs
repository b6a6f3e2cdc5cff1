//! A hundred things that a peer should not send, and what becomes of it: the words of the error, and whether
//! the connection ends (`Fatal`) or one message is refused (`One`).

use std::time::Instant;

use super::super::codec::{put_text, put_varint};
use super::super::control::{Control, Resumed};
use super::super::frame::{FrameDecoder, FrameKind};
use super::super::handshake::{Handshake, HandshakeError, HandshakeEvent, SessionAuth};
use super::super::lane::LaneEvent;
use super::super::limits::Limits;
use super::super::table::MessageTable;
use super::super::test_kit::{dial, own, small_limits};
use super::connected;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fatal,
    One,
}
use End::{Fatal, One};
use connections::{on_a_lane, on_the_control_connection};
use handshake::{before_authentication, to_the_dialler};

mod connections;
mod handshake;

#[derive(Clone, Copy, Debug)]
enum At {
    Acceptor,
    Dialler,
    Control,
    Lane,
}

struct Case {
    at: At,
    name: &'static str,
    bytes: Vec<u8>,
    words: &'static str,
    end: End,
}

/// A frame with any header.
fn raw(len: u32, code: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut out = len.to_le_bytes().to_vec();
    out.extend_from_slice(&[code, flags]);
    out.extend_from_slice(body);
    out
}

fn frame(kind: FrameKind, flags: u8, body: &[u8]) -> Vec<u8> {
    raw(body.len() as u32, kind.code(), flags, body)
}

fn varint(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, value);
    out
}

fn text(value: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_text(&mut out, value);
    out
}

fn all(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// Whether a frame of this kind is among those.
fn says(mut frames: &[u8], kind: FrameKind) -> bool {
    while let Some((header, rest)) = frames.split_first_chunk::<6>() {
        if header[4] == kind.code() {
            return true;
        }
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        frames = &rest[len as usize..];
    }
    false
}

fn run(case: &Case) -> (String, End) {
    let now = Instant::now();
    match case.at {
        At::Acceptor | At::Dialler => {
            let auth = SessionAuth::default();
            let mut machine = match case.at {
                At::Acceptor => Handshake::accept(own("b", 1), auth, now),
                _ => Handshake::dial(own("a", 1), auth, dial(), now),
            };
            let mut out = Vec::new();
            machine.transmit(&mut out);
            machine.receive(&case.bytes);
            let Some(HandshakeEvent::Failed(error)) = machine.poll_event() else {
                return ("nothing".to_owned(), One);
            };
            out.clear();
            machine.transmit(&mut out);
            if !matches!(error, HandshakeError::RefusedByPeer(_)) {
                assert_eq!(out[4], FrameKind::Refuse.code(), "the other side is told");
            }
            (error.to_string(), Fatal)
        }
        At::Control => {
            let limits = Limits::default();
            let mut control = Control::new(limits.clone(), MessageTable::new([("x", 1)]));
            let resumed = Resumed {
                limits: limits.promised(),
                received_through: 0,
                schema: 0,
            };
            control.connect(FrameDecoder::new(), resumed, now).unwrap();
            match control.receive(&case.bytes, now) {
                Err(error) => {
                    assert!(error.fault.is_fatal());
                    let mut out = Vec::new();
                    control.transmit(now, &mut out, 1 << 16);
                    assert!(says(&out, FrameKind::Goodbye), "the other side is told");
                    (error.to_string(), Fatal)
                }
                Ok(()) => ("nothing".to_owned(), One),
            }
        }
        At::Lane => {
            let mut lane = connected(&small_limits(), now);
            if let Err(error) = lane.receive(&case.bytes, now) {
                assert!(error.fault.is_fatal());
                let mut out = Vec::new();
                lane.transmit(now, &mut out, 1 << 16);
                assert!(says(&out, FrameKind::Goodbye), "the other side is told");
                return (error.to_string(), Fatal);
            }
            while let Some(event) = lane.poll_event() {
                if let LaneEvent::Refused { error, .. } = event {
                    assert!(!error.fault.is_fatal());
                    // The connection goes on.
                    let good = frame(FrameKind::Reply, 0, &[1]);
                    lane.receive(&good, now).unwrap();
                    assert!(matches!(lane.poll_event(), Some(LaneEvent::Message(_))));
                    return (error.to_string(), One);
                }
            }
            ("nothing".to_owned(), One)
        }
    }
}

#[test]
fn forged_frames_are_refused_with_words_and_by_their_class() {
    let cases: Vec<Case> = [
        before_authentication(),
        to_the_dialler(),
        on_the_control_connection(),
        on_a_lane(),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(cases.len() >= 100, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let (words, end) = run(case);
        if end != case.end || !words.contains(case.words) {
            wrong.push(format!(
                "{:?}, {}: wanted {:?} `{}`, got {end:?} `{words}`",
                case.at, case.name, case.end, case.words
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// An ask that cannot be read names its call, so that the asker can be told.
#[test]
fn r07_who_asked_what_cannot_be_read_can_be_answered() {
    let now = Instant::now();
    let mut lane = connected(&small_limits(), now);
    lane.receive(&frame(FrameKind::Ask, 0, &[42, 0, 3, 9]), now)
        .unwrap();
    assert!(matches!(
        lane.poll_event(),
        Some(LaneEvent::Refused { call: Some(42), .. })
    ));
}

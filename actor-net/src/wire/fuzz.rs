//! What the fuzzer calls, and `cargo test` with the corpus: one function for each decoder and machine. None
//! may panic, and none may hold more than it says.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::context::ContextBlock;
use super::control::{Control, Resumed};
use super::credit::Credit;
use super::error::CloseReason;
use super::frame::{FrameDecoder, FrameKind, Stage};
use super::handshake::{Handshake, HandshakeEvent, SessionAuth};
use super::hello::{Hello, Refusal, Welcome};
use super::lane::{Lane, LaneEvent};
use super::limits::Limits;
use super::message::{Cancelled, Flush, Head};
use super::reassembly::Reassembly;
use super::signal::Signal;
use super::table::{MessageTable, TableBuilder};

/// Takes any bytes.
pub(crate) type Target = fn(&[u8]);

/// The decoders and machines by name, for targets and the replay of the corpus.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("frames", frames),
    ("handshake", handshake),
    ("hello", hello),
    ("messages", messages),
    ("context", context),
    ("signals", signals),
    ("table", table),
    ("fragments", fragments),
    ("small", small),
    ("lane", lane),
    ("control", control),
];

/// The first byte says how the rest is cut into reads.
fn split(data: &[u8]) -> (usize, &[u8]) {
    match data.split_first() {
        Some((first, rest)) => (usize::from(*first).saturating_add(1), rest),
        None => (1, data),
    }
}

/// Frames in a stream, at each stage.
fn frames(data: &[u8]) {
    let (cut, data) = split(data);
    for stage in [Stage::Handshake, Stage::Control, Stage::Lane] {
        let mut decoder = FrameDecoder::new();
        if stage != Stage::Handshake {
            decoder.enter(stage, Limits::default().lane_frame);
        }
        'connection: for mut piece in data.chunks(cut) {
            while !piece.is_empty() {
                let fed = decoder.feed(piece);
                piece = piece.get(fed..).unwrap_or_default();
                assert!(decoder.buffered() <= decoder.memory_max());
                loop {
                    match decoder.next() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => break 'connection,
                    }
                }
            }
        }
    }
}

/// Both sides of a handshake.
fn handshake(data: &[u8]) {
    let (cut, data) = split(data);
    let now = Instant::now();
    let own = super::test_kit::own("fuzz", 1);
    let dial = super::test_kit::dial();
    let sides = [
        Handshake::dial(own.clone(), SessionAuth::default(), dial, now),
        Handshake::accept(own, SessionAuth::default(), now),
    ];
    for mut side in sides {
        for piece in data.chunks(cut) {
            side.receive(piece);
            assert!(side.memory() <= 4096 + 6 + 4096);
            if let Some(HandshakeEvent::Greeted(_)) = side.poll_event() {
                side.admit(super::test_kit::admission());
            }
        }
        side.tick(now + Duration::from_secs(6));
    }
}

/// The greetings' bodies; what decodes must say the same when it is encoded again.
fn hello(data: &[u8]) {
    if let Ok((hello, proof)) = Hello::decode(data) {
        let mut again = Vec::new();
        hello.encode(&mut again);
        super::hello::Proof::put(proof.tag, &mut again);
        let (read, _) = Hello::decode(&again).expect("what was written is read");
        assert_eq!(read, hello);
    }
    if let Ok((welcome, proof)) = Welcome::decode(data) {
        let mut again = Vec::new();
        welcome.encode(&mut again);
        super::hello::Proof::put(proof.tag, &mut again);
        let (read, _) = Welcome::decode(&again).expect("what was written is read");
        assert_eq!(read, welcome);
    }
}

/// Bodies of messages.
fn messages(data: &[u8]) {
    let (flags, data) = split(data);
    let flags = u8::try_from(flags & 3).unwrap_or(0);
    let body = Bytes::copy_from_slice(data);
    for kind in [
        FrameKind::Tell,
        FrameKind::Tells,
        FrameKind::Ask,
        FrameKind::Reply,
        FrameKind::Fail,
    ] {
        let Ok((head, payload)) = Head::decode(kind, flags, &body) else {
            continue;
        };
        let mut again = Vec::new();
        let context = head.addressed().and_then(|to| to.context.as_ref());
        let remaining = context.and_then(|block| block.remaining);
        let flags = head.encode(remaining, &mut again);
        assert!(again.len() <= head.size_bound());
        again.extend_from_slice(&payload);
        let (read, rest) =
            Head::decode(kind, flags, &again.into()).expect("what was written is read");
        assert_eq!(rest, payload);
        assert_eq!(read.kind(), head.kind());
    }
}

/// The context block, and what becomes of it.
fn context(data: &[u8]) {
    let mut reader = super::codec::Reader::new(data);
    if let Ok(block) = ContextBlock::decode(&mut reader) {
        let _context = block.to_context(None, None);
        let mut again = Vec::new();
        block.encode(block.remaining, &mut again);
        assert!(again.len() <= block.size_bound());
        let read = ContextBlock::decode(&mut super::codec::Reader::new(&again));
        assert_eq!(read.as_ref(), Ok(&block));
    }
}

/// Bodies of signals.
fn signals(data: &[u8]) {
    if let Ok((number, signal)) = Signal::decode(data) {
        let mut again = Vec::new();
        signal.encode(number, &mut again);
        assert_eq!(Signal::decode(&again), Ok((number, signal)));
    }
}

/// Frames of the table of message types.
fn table(data: &[u8]) {
    let (flags, data) = split(data);
    let mut builder = TableBuilder::new(100);
    let flags = u8::try_from(flags & 1).unwrap_or(0);
    let body = Bytes::copy_from_slice(data);
    for _ in 0..2 {
        if let Ok(Some(table)) = builder.take(flags, &body) {
            assert!(table.len() <= 100);
            let mut read = TableBuilder::new(100);
            let frames = table.frames(4096);
            for (at, frame) in frames.iter().enumerate() {
                let last = u8::from(at + 1 == frames.len());
                let whole = read.take(last, &Bytes::copy_from_slice(frame));
                if last == 1 {
                    assert_eq!(whole, Ok(Some(table.clone())));
                }
            }
        }
    }
}

/// Messages in pieces: each two bytes are flags and length of one.
fn fragments(data: &[u8]) {
    let now = Instant::now();
    let mut reassembly = Reassembly::new(4, 4096);
    let mut rest = data;
    while let Some((&[flags, len], more)) = rest.split_first_chunk::<2>() {
        let len = usize::from(len).min(more.len());
        let (body, more) = more.split_at(len);
        rest = more;
        let body = Bytes::copy_from_slice(body);
        if reassembly.take(flags & 3, &body, 4096, now).is_err() {
            return;
        }
        assert!(reassembly.held() <= data.len());
    }
    reassembly.expire(now + Duration::from_secs(60), Duration::from_secs(30));
    assert_eq!(reassembly.held(), 0);
}

/// The small bodies.
fn small(data: &[u8]) {
    let _ = Credit::decode(data);
    let _ = Cancelled::decode(data);
    let _ = Flush::decode(data);
    let _ = Refusal::decode(data);
    let _ = CloseReason::decode(data);
}

/// A lane that is connected.
fn lane(data: &[u8]) {
    let (cut, data) = split(data);
    let now = Instant::now();
    let limits = super::test_kit::small_limits();
    let mut lane = Lane::new(limits.clone());
    lane.connect(FrameDecoder::new(), limits.promised(), now);
    let most = limits.lane_frame as usize + 6 + (64 << 10) + limits.window_large as usize;
    for piece in data.chunks(cut) {
        let failed = lane.receive(piece, now).is_err();
        assert!(lane.memory() <= most);
        while let Some(event) = lane.poll_event() {
            if let LaneEvent::Message(message) = event {
                lane.release(message.charge, now);
            }
        }
        let mut out = Vec::new();
        lane.transmit(now, &mut out, 1 << 16);
        if failed {
            break;
        }
    }
    let _ = lane.tick(now + Duration::from_secs(60));
    lane.disconnect();
}

/// A control connection.
fn control(data: &[u8]) {
    let (cut, data) = split(data);
    let now = Instant::now();
    let limits = Limits::default();
    let mut control = Control::new(limits.clone(), MessageTable::new([("ping", 1)]));
    let resumed = Resumed {
        limits: limits.promised(),
        received_through: 0,
        schema: 0,
    };
    control
        .connect(FrameDecoder::new(), resumed, now)
        .expect("nothing to resume");
    for piece in data.chunks(cut) {
        let failed = control.receive(piece, now).is_err();
        while control.poll_event().is_some() {}
        let mut out = Vec::new();
        control.transmit(now, &mut out, 1 << 16);
        if failed {
            break;
        }
    }
    let _ = control.tick(now + Duration::from_secs(60));
}

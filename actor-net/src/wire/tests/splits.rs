use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::frame::{Frame, FrameDecoder, FrameKind, Stage, put_frame};
use super::super::lane::LaneEvent;
use super::super::limits::Limits;
use super::super::message::Head;
use super::super::test_kit::small_limits;
use super::{connected, tell};

fn frames_of(bytes: &[u8], cuts: &[usize]) -> Vec<Frame> {
    let mut decoder = FrameDecoder::new();
    decoder.enter(Stage::Lane, 32 << 10);
    let mut frames = Vec::new();
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let cut = (*cuts.next().unwrap_or(&1)).clamp(1, rest.len());
        let fed = decoder.feed(&rest[..cut]);
        rest = &rest[fed..];
        while let Some(frame) = decoder.next().expect("whole frames") {
            frames.push(frame);
        }
    }
    frames
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Wherever the network cuts a stream, the same frames come out.
    #[test]
    fn frames_do_not_depend_on_how_they_are_cut(
        bodies in vec(vec(any::<u8>(), 0..300), 1..20),
        cuts in vec(1usize..200, 1..20),
    ) {
        let mut bytes = Vec::new();
        for body in &bodies {
            put_frame(&mut bytes, FrameKind::Reply, 0, |out| out.extend_from_slice(body));
        }
        let frames = frames_of(&bytes, &cuts);
        let got: Vec<_> = frames.iter().map(|frame| frame.body.to_vec()).collect();
        prop_assert_eq!(&got, &bodies);
        prop_assert_eq!(&frames, &frames_of(&bytes, &[usize::MAX]));
    }

    /// Whatever is sent comes out, once, each pair in its order, whatever the batches and the cuts.
    #[test]
    fn messages_do_not_depend_on_batches_and_cuts(
        sizes in vec((0u64..4, 0usize..6000), 1..30),
        budget in 1usize..20_000,
        cut in 1usize..5000,
    ) {
        let now = Instant::now();
        let limits = small_limits();
        let (mut a, mut b) = (connected(&limits, now), connected(&limits, now));
        let mut expected: [Vec<Vec<u8>>; 4] = Default::default();
        let mut got: [Vec<Vec<u8>>; 4] = Default::default();
        let mut sizes = sizes.into_iter().enumerate().peekable();
        for step in 0.. {
            prop_assert!(step < 100_000, "it does not end");
            while let Some((number, (pair, size))) = sizes.peek().copied() {
                let payload = vec![number as u8; size];
                if a.push(tell(pair, 0, payload.clone())).is_err() {
                    break;
                }
                expected[pair as usize].push(payload);
                sizes.next();
            }
            let at = now + Duration::from_millis(step);
            let mut out = Vec::new();
            a.transmit(at, &mut out, budget);
            if out.is_empty() && sizes.peek().is_none() {
                break;
            }
            for piece in out.chunks(cut) {
                b.receive(piece, at).expect("an honest peer");
            }
            while let Some(event) = b.poll_event() {
                if let LaneEvent::Message(message) = event {
                    let Head::Tell(to) = &message.head else { panic!("{:?}", message.head) };
                    let super::super::message::Target::Actor(address) = &to.target else {
                        panic!("{to:?}")
                    };
                    got[address.id as usize].push(message.payload.to_vec());
                    b.release(message.charge, at);
                }
            }
            let mut back = Vec::new();
            b.transmit(at, &mut back, usize::MAX);
            a.receive(&back, at).expect("an honest peer");
        }
        prop_assert_eq!(got, expected);
    }

    /// Garbage neither panics nor makes anything hold more than it says.
    #[test]
    fn c11_garbage_holds_no_more_than_documented(
        garbage in vec(any::<u8>(), 0..4000),
        cut in 1usize..600,
    ) {
        let cut = u8::try_from(cut.min(256) - 1).unwrap_or(255);
        let mut data = vec![cut];
        data.extend_from_slice(&garbage);
        for (_, target) in super::super::fuzz::TARGETS {
            target(&data);
        }
    }
}

#[test]
fn c11_a_declared_length_allocates_nothing() {
    let now = Instant::now();
    let limits = Limits::default();
    let mut lane = connected(&limits, now);
    // 60 messages that say they will have 256 KiB each, of which a few bytes come.
    for stream in 0..60u64 {
        let mut out = Vec::new();
        put_frame(&mut out, FrameKind::Fragment, 1, |out| {
            super::super::codec::put_varint(out, stream);
            out.extend_from_slice(&[FrameKind::Tell.code(), 0]);
            super::super::codec::put_varint(out, 256 << 10);
            out.extend_from_slice(b"few");
        });
        lane.receive(&out, now).unwrap();
    }
    assert_eq!(lane.memory(), 60 * 3);
}

#[test]
fn c11_slow_bytes_hold_one_frame() {
    let mut decoder = FrameDecoder::new();
    let mut frame = Vec::new();
    put_frame(&mut frame, FrameKind::Hello, 0, |out| {
        out.extend_from_slice(&[0; 4096]);
    });
    for byte in &frame[..frame.len() - 1] {
        assert_eq!(decoder.feed(&[*byte]), 1);
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.capacity() <= 2 * decoder.memory_max());
    }
    assert!(decoder.buffered() <= 4096 + 6);
    assert!(
        2 * decoder.memory_max() <= 64 << 10,
        "before authentication"
    );
}

#[test]
fn a_decoder_takes_no_more_than_it_may_hold_until_it_is_asked() {
    let mut decoder = FrameDecoder::new();
    decoder.enter(Stage::Lane, 64 << 10);
    let flood = vec![0x80; 1 << 20];
    let fed = decoder.feed(&flood);
    assert_eq!(fed, decoder.memory_max());
    assert_eq!(decoder.feed(&flood), 0);
}

#[test]
fn unknown_extensions_are_skipped_and_counted() {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&[3, 0, 0, 0, 0x99, 0xff, 1, 2, 3]);
    put_frame(&mut bytes, FrameKind::Drain, 0, |_| {});
    let mut decoder = FrameDecoder::new();
    decoder.enter(Stage::Lane, 32 << 10);
    decoder.feed(&bytes);
    let frame = decoder.next().unwrap().unwrap();
    assert_eq!((frame.kind, frame.at), (FrameKind::Drain, 9));
    assert_eq!(decoder.skipped(), 1);
}

#[test]
fn a_kept_message_does_not_keep_the_chunk_it_came_in() {
    let now = Instant::now();
    let limits = Limits::default();
    let (mut a, mut b) = (connected(&limits, now), connected(&limits, now));
    a.push(tell(1, 0, Bytes::from_static(b"few"))).unwrap();
    let mut out = Vec::new();
    a.transmit(now, &mut out, 1);
    b.receive(&out, now).unwrap();
    let Some(LaneEvent::Message(message)) = b.poll_event() else {
        panic!("no message");
    };
    let message = message.detach();
    assert!(message.payload.is_unique());
    b.release(message.charge, now);
}

use std::time::{Duration, Instant};

use actor_core::{Baggage, CancelToken, Context, TraceContext};

use super::super::context::{ContextBlock, TraceParts};
use super::super::error::CloseReason;
use super::super::frame::FrameDecoder;
use super::super::lane::{Lane, LaneEvent, Loss, PushError};
use super::super::limits::{InvalidLimit, Limits};
use super::super::message::{Address, Cancelled, FailCode, Flush, Head};
use super::super::outbox::{DropReason, Outgoing, QUIET};
use super::super::payload::{HERE_MAX, Payload};
use super::super::test_kit::small_limits;
use super::{ask, connected, tell, to_actor};

/// Carries what `from` has to say to `to`.
fn carry(from: &mut Lane, to: &mut Lane, now: Instant) -> usize {
    let mut out = Vec::new();
    from.transmit(now, &mut out, 64 << 10);
    to.receive(&out, now).expect("an honest peer");
    out.len()
}

fn events(lane: &mut Lane) -> Vec<LaneEvent> {
    std::iter::from_fn(|| lane.poll_event()).collect()
}

/// Payloads of the messages that came; their room is given back.
fn messages(lane: &mut Lane, now: Instant) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    for event in events(lane) {
        if let LaneEvent::Message(message) = event {
            payloads.push(message.payload.to_vec());
            lane.release(message.charge, now);
        }
    }
    payloads
}

fn two() -> (Lane, Lane, Instant) {
    let now = Instant::now();
    let limits = small_limits();
    (connected(&limits, now), connected(&limits, now), now)
}

#[test]
fn a_pair_keeps_its_order_behind_a_large_message_and_others_pass() {
    let (mut a, mut b, now) = two();
    a.push(tell(1, 0, vec![1; 5000])).unwrap();
    a.push(tell(1, 0, &b"behind"[..])).unwrap();
    a.push(tell(1, 0, vec![2; 5000])).unwrap();
    a.push(tell(1, 0, &b"last"[..])).unwrap();
    a.push(tell(2, 0, &b"other"[..])).unwrap();
    while carry(&mut a, &mut b, now) > 0 {}
    let got: Vec<_> = messages(&mut b, now)
        .iter()
        .map(|payload| (payload[0], payload.len()))
        .collect();
    assert_eq!(got, [(b'o', 5), (1, 5000), (b'b', 6), (2, 5000), (b'l', 4)]);
}

/// Found by the simulation: a large message must not overtake small ones of its pair that wait for room.
#[test]
fn a_large_message_stays_behind_the_small_ones_of_its_pair_that_wait_for_room() {
    let (mut a, mut b, now) = two();
    for number in 0..40u8 {
        a.push(tell(1, 0, vec![number])).unwrap();
    }
    a.push(tell(1, 0, vec![40; 5000])).unwrap();
    a.push(ask(1, 7, vec![41; 5000])).unwrap();
    a.push(tell(1, 0, vec![42])).unwrap();
    a.cancel_call(1, 7);
    let mut got = Vec::new();
    for step in 0..10 {
        let at = now + Duration::from_millis(10 * step);
        while carry(&mut a, &mut b, at) > 0 {}
        got.extend(messages(&mut b, at).iter().map(|payload| payload[0]));
        b.tick(at).unwrap();
        carry(&mut b, &mut a, at);
    }
    let expected: Vec<u8> = (0..41).chain([42]).collect();
    assert_eq!(got, expected);
}

#[test]
fn m14_m16_context_crosses_with_what_remains_of_the_deadline() {
    let (mut a, mut b, now) = two();
    let trace = TraceContext::new_root(true).with_tracestate("v=1").unwrap();
    let context = Context::empty()
        .with_trace(trace.clone())
        .with_baggage(Baggage::parse("tenant=acme").unwrap());
    let mut block = ContextBlock::of(&context);
    block.scope = 9;
    block.more_mut().chain = vec![1, 2];
    let mut message = ask(1, 7, &b"?"[..]);
    if let Head::Ask { to, .. } = &mut message.head {
        to.context = Some(block);
        to.sender = Some(Address { id: 4, key: 5 });
    }
    message.deadline = Some(now + Duration::from_millis(100));
    a.push(message).unwrap();
    // It waits 30 ms here.
    let sent = now + Duration::from_millis(30);
    carry(&mut a, &mut b, sent);
    let Some(LaneEvent::Message(got)) = b.poll_event() else {
        panic!("no message");
    };
    assert_eq!(got.deadline, Some(sent + Duration::from_millis(70)));
    let Head::Ask { call: 7, to, .. } = &got.head else {
        panic!("{:?}", got.head);
    };
    let block = to.context.as_ref().unwrap();
    assert_eq!((block.scope, &block.more().chain[..]), (9, &[1, 2][..]));
    let context = block.to_context(got.deadline, None);
    assert_eq!(context.trace(), Some(&trace));
    assert_eq!(context.baggage().get("tenant"), Some("acme"));
    assert!(context.deadline().is_some());
    assert!(
        !ContextBlock::of(&Context::empty())
            .to_context(None, None)
            .is_cancelled()
    );
    // A trace that is none, and baggage that does not parse, lose no message.
    let mut broken = ContextBlock {
        trace: Some(TraceParts {
            trace: 0,
            span: 0,
            flags: 0,
        }),
        ..ContextBlock::default()
    };
    broken.more_mut().baggage = "=;=".to_owned();
    assert!(broken.to_context(None, None).trace().is_none());
}

#[test]
fn a_deadline_beyond_the_maximum_is_not_believed() {
    let (mut a, mut b, now) = two();
    let mut message = tell(1, 0, &b"x"[..]);
    message.deadline = Some(now + Duration::from_secs(1_000_000));
    a.push(message).unwrap();
    carry(&mut a, &mut b, now);
    let Some(LaneEvent::Message(got)) = b.poll_event() else {
        panic!("no message");
    };
    assert_eq!(got.deadline, Some(now + Duration::from_secs(3600)));
}

#[test]
fn what_expires_or_is_cancelled_while_it_waits_is_not_sent() {
    let (mut a, mut b, now) = two();
    let token = CancelToken::new();
    let mut late = tell(1, 1, &b"late"[..]);
    late.deadline = Some(now);
    let mut cancelled = tell(2, 2, &b"cancelled"[..]);
    cancelled.cancel = Some(token.clone());
    token.cancel();
    let mut large = tell(3, 3, vec![0; 5000]);
    large.deadline = Some(now);
    for message in [late, cancelled, large, tell(3, 4, &b"behind"[..])] {
        a.push(message).unwrap();
    }
    carry(&mut a, &mut b, now);
    let dropped: Vec<_> = events(&mut a)
        .into_iter()
        .map(|event| match event {
            LaneEvent::Dropped { message, reason } => (message.token, reason),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        dropped,
        [
            (1, DropReason::Expired),
            (2, DropReason::Cancelled),
            (3, DropReason::Expired)
        ]
    );
    assert_eq!(messages(&mut b, now), [b"behind".to_vec()]);
    assert_eq!(a.load(), (0, 0));
}

#[test]
fn m15_an_ask_is_cancelled_wherever_it_is() {
    let (mut a, mut b, now) = two();
    // Still here: it is not sent, and nothing is.
    a.push(ask(1, 1, &b"?"[..])).unwrap();
    a.cancel_call(1, 1);
    assert_eq!(carry(&mut a, &mut b, now), 0);
    // Sent: the peer is told.
    a.push(ask(1, 2, &b"?"[..])).unwrap();
    carry(&mut a, &mut b, now);
    a.cancel_call(1, 2);
    carry(&mut a, &mut b, now);
    a.cancel_scope(5);
    carry(&mut a, &mut b, now);
    // Half sent: its pieces are given up, and what is behind it goes.
    a.push(ask(1, 3, vec![0; 9000])).unwrap();
    a.push(tell(1, 0, &b"behind"[..])).unwrap();
    let mut out = Vec::new();
    a.transmit(now, &mut out, 100);
    b.receive(&out, now).unwrap();
    assert!(b.memory() > 0);
    a.cancel_call(1, 3);
    while carry(&mut a, &mut b, now) > 0 {}
    assert_eq!(b.memory(), 0);
    let seen: Vec<_> = events(&mut b)
        .into_iter()
        .map(|event| match event {
            LaneEvent::Message(message) => format!("{:?}", message.head.kind()),
            LaneEvent::Cancel(Cancelled::Call(call)) => format!("cancel {call}"),
            LaneEvent::Cancel(Cancelled::Scope(scope)) => format!("scope {scope}"),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(seen, ["Ask", "cancel 2", "scope 5", "Tell"]);
}

#[test]
fn r10_a_sender_is_held_up_and_let_in_again() {
    let (mut a, mut b, now) = two();
    let mut pushed = 0u64;
    let refused = loop {
        match a.push(tell(1, 0, pushed.to_le_bytes().to_vec())) {
            Ok(()) => pushed += 1,
            Err(PushError::Full(message)) => break message,
            Err(other) => panic!("{other:?}"),
        }
        assert!(pushed < 1000, "no end");
    };
    assert_eq!(refused.payload.len(), 8);
    a.want_room(11);
    a.want_room(12);
    a.want_room(11);
    a.want_room(13);
    a.forget(13);
    // The peer's window lets half of them go, and no more until it takes some out.
    while carry(&mut a, &mut b, now) > 0 {}
    let (_, waiting) = a.load();
    assert_eq!(waiting, 64 - 32);
    let unblocked: Vec<_> = events(&mut a)
        .into_iter()
        .map(|event| match event {
            LaneEvent::Unblocked { sender } => sender,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(unblocked, [11, 12]);
    let mut got = Vec::new();
    for _ in 0..4 {
        got.extend(messages(&mut b, now));
        let later = now + Duration::from_millis(10);
        b.tick(later).unwrap();
        carry(&mut b, &mut a, later);
        carry(&mut a, &mut b, later);
    }
    let expected: Vec<_> = (0..pushed)
        .map(|number| number.to_le_bytes().to_vec())
        .collect();
    assert_eq!(got, expected);
}

#[test]
fn answers_pass_a_window_that_is_full_and_hold_credit_back_when_they_pile_up() {
    let (mut a, mut b, now) = two();
    for call in 1..=32 {
        a.push(ask(1, call, &b"?"[..])).unwrap();
    }
    a.push(tell(1, 0, &b"waits"[..])).unwrap();
    a.push(Outgoing {
        head: Head::Reply { call: 99 },
        ..tell(0, 0, &b"!"[..])
    })
    .unwrap();
    carry(&mut a, &mut b, now);
    let heads: Vec<_> = events(&mut b)
        .into_iter()
        .map(|event| match event {
            LaneEvent::Message(message) => {
                b.release(message.charge, now);
                message.head
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(heads.len(), 33);
    assert!(heads.contains(&Head::Reply { call: 99 }));
    // The answers of `b` are longer than what it may keep: no more questions until `a` has read them.
    for call in 1..=3 {
        b.push(Outgoing {
            head: Head::Reply { call },
            ..tell(0, 0, vec![0; 60 << 10])
        })
        .unwrap();
    }
    let later = now + Duration::from_secs(1);
    let mut out = Vec::new();
    b.transmit(later, &mut out, 1);
    a.receive(&out, later).unwrap();
    let mut more = Vec::new();
    a.transmit(later, &mut more, 64 << 10);
    assert!(more.is_empty(), "credit was given while answers pile up");
    for step in 2..20 {
        let later = now + Duration::from_secs(1) + Duration::from_millis(10 * step);
        carry(&mut b, &mut a, later);
        for event in events(&mut a) {
            if let LaneEvent::Message(message) = event {
                a.release(message.charge, later);
            }
        }
        carry(&mut a, &mut b, later);
    }
    assert_eq!(messages(&mut b, later), [b"waits".to_vec()]);
}

#[test]
fn r08_too_large_is_said_at_once_and_by_the_smaller_limit() {
    let (mut a, _, now) = two();
    let Err(PushError::TooLarge { max, bytes, .. }) = a.push(tell(1, 0, vec![0; 65 << 10])) else {
        panic!("taken");
    };
    assert_eq!(max, 64 << 10);
    assert!(bytes > 65 << 10);
    // The peer's limit is known when it is there; what was taken before comes back.
    let small = small_limits();
    let mut a = Lane::new(small.clone());
    a.push(tell(1, 8, vec![0; 50 << 10])).unwrap();
    let peer = Limits {
        message: 32 << 10,
        ..small
    };
    a.connect(FrameDecoder::new(), peer.promised(), now);
    let mut out = Vec::new();
    a.transmit(now, &mut out, 1 << 20);
    assert!(out.is_empty());
    let [LaneEvent::Dropped { message, reason }] = &events(&mut a)[..] else {
        panic!("not dropped");
    };
    assert_eq!((message.token, *reason), (8, DropReason::TooLarge));
}

#[test]
fn what_was_sent_and_not_acknowledged_is_lost_and_what_waits_is_kept() {
    let (mut a, mut b, now) = two();
    for token in 1..=3 {
        a.push(tell(token, token, &b"x"[..])).unwrap();
    }
    a.push(tell(9, 9, vec![9; 5000])).unwrap();
    let mut out = Vec::new();
    a.transmit(now, &mut out, 300);
    // Two whole messages arrive, then the connection breaks; the large one was only begun.
    b.receive(&out, now).unwrap();
    let got = messages(&mut b, now).len();
    let later = now + Duration::from_millis(5);
    b.tick(later).unwrap();
    carry(&mut b, &mut a, later);
    assert_eq!(
        a.disconnect(),
        Loss {
            unknown: 0,
            waiting: 1
        }
    );
    b.disconnect();
    assert_eq!(got, 3);
    let delivered = events(&mut a).len();
    assert_eq!(delivered, 3);
    a.push(tell(1, 4, &b"y"[..])).unwrap();
    let limits = small_limits();
    a.connect(FrameDecoder::new(), limits.promised(), now);
    b.connect(FrameDecoder::new(), limits.promised(), now);
    while carry(&mut a, &mut b, now) > 0 {}
    assert_eq!(messages(&mut b, now).len(), 2);
    assert_eq!(
        a.disconnect(),
        Loss {
            unknown: 2,
            waiting: 0
        }
    );
    let lost: Vec<_> = events(&mut a)
        .into_iter()
        .map(|event| match event {
            LaneEvent::Lost { token, .. } => token,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(lost, [4, 9]);
    a.push(tell(1, 5, &b"z"[..])).unwrap();
    a.give_up();
    assert!(matches!(
        events(&mut a)[..],
        [LaneEvent::Dropped {
            reason: DropReason::Unreachable,
            ..
        }]
    ));
}

#[test]
fn room_of_a_connection_that_is_gone_is_not_given_back_to_the_next() {
    let (mut a, mut b, now) = two();
    a.push(tell(1, 0, &b"x"[..])).unwrap();
    carry(&mut a, &mut b, now);
    let Some(LaneEvent::Message(kept)) = b.poll_event() else {
        panic!("no message");
    };
    let kept = kept.detach();
    let limits = small_limits();
    for lane in [&mut a, &mut b] {
        lane.disconnect();
        lane.connect(FrameDecoder::new(), limits.promised(), now);
    }
    b.release(kept.charge, now);
    let later = now + Duration::from_secs(1);
    carry(&mut b, &mut a, later);
}

#[test]
fn r11_a_drained_connection_closes_without_loss() {
    let (mut a, mut b, now) = two();
    a.push(tell(1, 1, vec![1; 5000])).unwrap();
    b.push(tell(1, 1, &b"back"[..])).unwrap();
    let mut out = Vec::new();
    a.transmit(now, &mut out, 100);
    b.receive(&out, now).unwrap();
    b.drain();
    a.push(tell(2, 2, &b"waits for the next connection"[..]))
        .unwrap();
    let mut at = now;
    let (mut a_done, mut b_done) = (false, false);
    for _ in 0..5 {
        at += Duration::from_millis(10);
        for lane in [&mut a, &mut b] {
            lane.tick(at).unwrap();
        }
        carry(&mut b, &mut a, at);
        carry(&mut a, &mut b, at);
        a_done |= events(&mut a)
            .iter()
            .any(|event| matches!(event, LaneEvent::Drained));
        b_done |= events(&mut b)
            .iter()
            .any(|event| matches!(event, LaneEvent::Drained));
    }
    assert!(a_done && b_done);
    assert_eq!(a.disconnect().unknown, 0);
    assert_eq!(b.disconnect().unknown, 0);
    assert_eq!(a.load().1 + b.load().1, 2);
}

#[test]
fn an_incomplete_message_that_stands_still_is_dropped_and_both_sides_hear_of_it() {
    let (mut a, mut b, now) = two();
    a.push(tell(1, 6, vec![0; 9000])).unwrap();
    a.push(tell(1, 7, &b"behind"[..])).unwrap();
    let mut out = Vec::new();
    a.transmit(now, &mut out, 100);
    b.receive(&out, now).unwrap();
    let mut at = now;
    for _ in 0..30 {
        at += Duration::from_secs(1);
        b.receive(&[], at).unwrap();
        b.tick(at).unwrap();
    }
    assert!(matches!(b.poll_event(), Some(LaneEvent::Incomplete { .. })));
    assert_eq!(b.memory(), 0);
    carry(&mut b, &mut a, at);
    let Some(LaneEvent::Dropped { message, reason }) = a.poll_event() else {
        panic!("not dropped");
    };
    assert_eq!((message.token, reason), (6, DropReason::Discarded));
    carry(&mut a, &mut b, at);
    assert_eq!(messages(&mut b, at), [b"behind".to_vec()]);
}

#[test]
fn a_failure_says_its_code_and_unknown_codes_survive() {
    let (mut a, mut b, now) = two();
    for code in [FailCode::Deadlock, FailCode::Other(77)] {
        let detail = "x".repeat(3000);
        a.push(Outgoing {
            head: Head::Fail {
                call: 1,
                code,
                detail,
            },
            ..tell(0, 0, &b""[..])
        })
        .unwrap();
        while carry(&mut a, &mut b, now) > 0 {}
        let Some(LaneEvent::Message(got)) = b.poll_event() else {
            panic!("no failure");
        };
        let Head::Fail {
            code: read, detail, ..
        } = got.head
        else {
            panic!("{:?}", got.head);
        };
        assert_eq!((read, detail.len()), (code, 1024));
    }
}

#[test]
fn a_goodbye_is_the_last_word() {
    let (mut a, mut b, now) = two();
    a.close(CloseReason::Shutdown);
    a.push(tell(1, 0, &b"x"[..])).unwrap();
    carry(&mut a, &mut b, now);
    assert!(matches!(
        events(&mut b)[..],
        [LaneEvent::Goodbye(CloseReason::Shutdown)]
    ));
    assert_eq!(carry(&mut a, &mut b, now), 0);
}

#[test]
fn a_mark_is_sent_again_when_the_connection_breaks() {
    let (mut a, mut b, now) = two();
    a.push(tell(1, 0, vec![1; 5000])).unwrap();
    let flush = Flush {
        watcher: 1,
        signal: 4,
    };
    a.flush(1, flush);
    let mut out = Vec::new();
    a.transmit(now, &mut out, 1 << 20);
    a.disconnect();
    let limits = small_limits();
    a.connect(FrameDecoder::new(), limits.promised(), now);
    carry(&mut a, &mut b, now);
    assert!(matches!(
        events(&mut b)[..],
        [LaneEvent::Flush(again)] if again == flush
    ));
}

#[test]
fn limits_that_cannot_be_are_refused_with_what_can() {
    Limits::default().check().unwrap();
    small_limits().check().unwrap();
    let default = Limits::default;
    let wrong = [
        Limits {
            message: 32 << 20,
            ..default()
        },
        Limits {
            fragment: 40 << 10,
            ..default()
        },
        Limits {
            control_frame: 100,
            ..default()
        },
        Limits {
            heartbeat_timeout: Duration::from_secs(1),
            ..default()
        },
        Limits {
            streams: 0,
            ..default()
        },
    ];
    for limits in wrong {
        let InvalidLimit { name, min, max, .. } = limits.check().unwrap_err();
        assert!(!name.is_empty() && min <= max);
    }
}

#[test]
fn heads_are_never_longer_than_their_bound() {
    for head in [
        Head::Tell(to_actor(u64::MAX)),
        Head::Ask {
            call: u64::MAX,
            reply_lane: 255,
            to: to_actor(1),
        },
        Head::Reply { call: u64::MAX },
    ] {
        let mut out = Vec::new();
        head.encode(Some(Duration::MAX), &mut out);
        assert!(out.len() <= head.size_bound());
    }
}

#[test]
fn of_a_quiet_token_only_the_loss_is_told() {
    let (mut a, mut b, now) = two();
    a.push(tell(1, 7, &b"heard"[..])).unwrap();
    a.push(tell(1, QUIET | 8, &b"quiet"[..])).unwrap();
    carry(&mut a, &mut b, now);
    assert_eq!(messages(&mut b, now).len(), 2);
    let later = now + Duration::from_millis(100);
    b.tick(later).unwrap();
    carry(&mut b, &mut a, later);
    assert!(matches!(
        events(&mut a)[..],
        [LaneEvent::Delivered { token: 7 }]
    ));
    a.push(tell(1, QUIET | 9, &b"lost"[..])).unwrap();
    carry(&mut a, &mut b, later);
    a.disconnect();
    assert!(matches!(events(&mut a)[..], [LaneEvent::Lost { token, .. }] if token == QUIET | 9));
}

#[test]
fn a_payload_is_the_same_wherever_it_lies() {
    for len in [0, 1, HERE_MAX - 1, HERE_MAX, HERE_MAX + 1, 10_000] {
        let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
        let mut scratch = bytes.clone();
        let payload = Payload::take(&mut scratch);
        assert_eq!(&payload[..], &bytes[..]);
        assert!(scratch.is_empty());
        assert_eq!(matches!(payload, Payload::Here { .. }), len <= HERE_MAX);
        assert_eq!(Payload::from(bytes::Bytes::from(bytes))[..], payload[..]);
    }
    assert_eq!(size_of::<Payload>(), 96);
}

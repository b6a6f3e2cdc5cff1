use std::time::{Duration, Instant};

use super::super::control::{Control, ControlEvent, DatagramError, Resumed};
use super::super::frame::FrameDecoder;
use super::super::limits::Limits;
use super::super::message::Address;
use super::super::signal::{End, Signal, SignalKind, Undeliverable};
use super::super::table::{MessageTable, TypeError};

fn control(table: MessageTable) -> Control {
    Control::new(Limits::default(), table)
}

fn resumed(received_through: u64, schema: u64) -> Resumed {
    Resumed {
        limits: Limits::default().promised(),
        received_through,
        schema,
    }
}

fn signal(from: u64, kind: SignalKind) -> Signal {
    Signal {
        from: Address { id: from, key: 0 },
        to: Address { id: 1, key: 1 },
        kind,
    }
}

fn pass(from: &mut Control, to: &mut Control, now: Instant) -> usize {
    let mut out = Vec::new();
    from.transmit(now, &mut out, 64 << 10);
    to.receive(&out, now).expect("an honest peer");
    out.len()
}

fn signals(control: &mut Control) -> Vec<u64> {
    std::iter::from_fn(|| control.poll_event())
        .filter_map(|event| match event {
            ControlEvent::Signal(signal) => Some(signal.from.id),
            _ => None,
        })
        .collect()
}

#[test]
fn r05_signals_come_once_and_in_order_over_any_number_of_connections() {
    let now = Instant::now();
    let table = MessageTable::default();
    let mut a = control(table.clone());
    let mut b = control(table.clone());
    let mut got = Vec::new();
    let mut next = 0;
    for round in 0..50 {
        let schema = table.hash();
        a.connect(
            FrameDecoder::new(),
            resumed(b.received_through(), schema),
            now,
        )
        .unwrap();
        b.connect(
            FrameDecoder::new(),
            resumed(a.received_through(), schema),
            now,
        )
        .unwrap();
        for _ in 0..10 {
            a.signal(signal(next, SignalKind::Watch), now).unwrap();
            next += 1;
        }
        let mut out = Vec::new();
        a.transmit(now, &mut out, 1 << 20);
        // A part of it arrives; of the acknowledgements every other.
        let arrived = out.len() * (round % 7) / 6;
        b.receive(&out[..arrived.min(out.len())], now).unwrap();
        got.extend(signals(&mut b));
        if round % 2 == 0 {
            pass(&mut b, &mut a, now);
        }
        a.disconnect();
        b.disconnect();
    }
    let schema = table.hash();
    a.connect(
        FrameDecoder::new(),
        resumed(b.received_through(), schema),
        now,
    )
    .unwrap();
    b.connect(
        FrameDecoder::new(),
        resumed(a.received_through(), schema),
        now,
    )
    .unwrap();
    pass(&mut a, &mut b, now);
    pass(&mut b, &mut a, now);
    got.extend(signals(&mut b));
    assert_eq!(got, (0..next).collect::<Vec<_>>());
    assert_eq!(a.signals(), (0, 0));
}

#[test]
fn w05_an_end_waits_for_the_mark_behind_the_last_message() {
    let now = Instant::now();
    let end = End {
        reason: 0,
        detail: String::new(),
        marked: true,
    };
    let connect = |control: &mut Control| {
        control
            .connect(
                FrameDecoder::new(),
                resumed(0, MessageTable::default().hash()),
                now,
            )
            .unwrap();
        while control.poll_event().is_some() {}
    };
    for mark_first in [false, true] {
        let mut a = control(MessageTable::default());
        let mut b = control(MessageTable::default());
        connect(&mut a);
        connect(&mut b);
        let number = a
            .signal(signal(1, SignalKind::Terminated(end.clone())), now)
            .unwrap();
        a.signal(signal(2, SignalKind::Watch), now).unwrap();
        if mark_first {
            b.flushed(number);
            assert!(signals(&mut b).is_empty());
            pass(&mut a, &mut b, now);
            assert_eq!(signals(&mut b), [1, 2]);
        } else {
            pass(&mut a, &mut b, now);
            assert_eq!(signals(&mut b), [2], "others do not wait");
            b.flushed(number);
            assert_eq!(signals(&mut b), [1]);
        }
        // A mark that comes again says nothing new.
        b.flushed(number);
        assert!(signals(&mut b).is_empty());
    }
}

#[test]
fn r06_signals_that_cannot_be_delivered_are_told_once() {
    let now = Instant::now();
    let limits = Limits {
        signals: 3,
        ..Limits::default()
    };
    let mut a = Control::new(limits, MessageTable::default());
    for from in 0..3 {
        a.signal(signal(from, SignalKind::Watch), now).unwrap();
    }
    assert_eq!(
        a.signal(signal(3, SignalKind::Watch), now),
        Err(Undeliverable::TooMany { max: 3 })
    );
    let old = now + Duration::from_secs(60);
    assert_eq!(a.poll_timeout(), Some(old));
    for _ in 0..3 {
        a.tick(old).unwrap();
    }
    let age = Duration::from_secs(60);
    assert!(matches!(
        a.poll_event(),
        Some(ControlEvent::Undeliverable(Undeliverable::TooOld { age: told })) if told == age
    ));
    assert!(a.poll_event().is_none());
    assert_eq!(a.poll_timeout(), None);
}

#[test]
fn tables_cross_in_as_many_frames_as_it_takes_and_equals_send_none() {
    let now = Instant::now();
    let names: Vec<String> = (0..5000)
        .map(|n| format!("app.messages.Type{n:05}"))
        .collect();
    let large = MessageTable::new(names.iter().map(|name| (name.as_str(), 42)));
    let small = MessageTable::new([("app.Ping", 1)]);
    let mut a = control(large.clone());
    let mut b = control(small.clone());
    a.connect(FrameDecoder::new(), resumed(0, small.hash()), now)
        .unwrap();
    b.connect(FrameDecoder::new(), resumed(0, large.hash()), now)
        .unwrap();
    while pass(&mut a, &mut b, now) + pass(&mut b, &mut a, now) > 0 {}
    let Some(ControlEvent::Table(seen)) = b.poll_event() else {
        panic!("no table");
    };
    assert_eq!(seen, large);
    let Some(ControlEvent::Table(seen)) = a.poll_event() else {
        panic!("no table");
    };
    assert_eq!(seen.find("app.Ping", 1), Ok(0));
    assert_eq!(seen.get(0), Some(("app.Ping", 1)));
    assert!(matches!(
        seen.find("app.Pong", 1),
        Err(TypeError::NotExported { .. })
    ));
    let differs = seen.find("app.Ping", 2).unwrap_err();
    assert!(differs.to_string().contains("same version"), "{differs}");
    assert_eq!(large.find(&names[777], 42), Ok(777));
    // Equal tables: known at once, nothing sent.
    let mut c = control(large.clone());
    c.connect(FrameDecoder::new(), resumed(0, large.hash()), now)
        .unwrap();
    assert!(matches!(c.poll_event(), Some(ControlEvent::Table(_))));
    let mut out = Vec::new();
    c.transmit(now, &mut out, 1 << 20);
    assert!(out.is_empty());
}

#[test]
fn datagrams_are_bounded_and_arrive_whole() {
    let now = Instant::now();
    let mut a = control(MessageTable::default());
    let mut b = control(MessageTable::default());
    assert_eq!(a.datagram(1, b"x"), Err(DatagramError::NotConnected));
    let schema = MessageTable::default().hash();
    a.connect(FrameDecoder::new(), resumed(0, schema), now)
        .unwrap();
    b.connect(FrameDecoder::new(), resumed(0, schema), now)
        .unwrap();
    assert!(matches!(
        a.datagram(1, &vec![0; 65 << 10]),
        Err(DatagramError::TooLong { max: 65_535, .. })
    ));
    let mut taken = 0;
    while a.datagram(3, &[7; 60_000]).is_ok() {
        taken += 1;
    }
    assert_eq!(a.datagram(3, &[7; 60_000]), Err(DatagramError::Full));
    while pass(&mut a, &mut b, now) > 0 {}
    let mut got = 0;
    while let Some(event) = b.poll_event() {
        if let ControlEvent::Datagram { channel: 3, bytes } = event {
            assert_eq!(bytes, vec![7; 60_000]);
            got += 1;
        }
    }
    assert_eq!((got, got > 10), (taken, true));
}

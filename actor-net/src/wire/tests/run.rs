//! Messages that go as one: together on their way, and each for itself in the books.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::lane::{Lane, LaneEvent, Loss};
use super::super::message::Head;
use super::super::outbox::{DropReason, Outgoing, QUIET};
use super::super::payload::Payload;
use super::super::run::{Added, ITEM_MAX, Items, Run};
use super::super::test_kit::small_limits;
use super::{connected, tell, to_actor};

/// So many messages, each with its number.
fn run_of(pair: u64, numbers: std::ops::Range<u32>) -> Outgoing {
    let mut run = Run::default();
    for n in numbers {
        let added = run.add(usize::MAX, |out| {
            out.extend_from_slice(&n.to_le_bytes());
            Ok::<(), ()>(())
        });
        assert_eq!(added, Ok(Added::Here));
    }
    let (count, bytes) = run.take();
    let to = to_actor(pair);
    Outgoing {
        head: Head::Tells { count, to },
        payload: Payload::from(bytes),
        ..tell(pair, QUIET | 1, Bytes::new())
    }
}

fn carry(from: &mut Lane, to: &mut Lane, now: Instant) {
    let mut out = Vec::new();
    from.transmit(now, &mut out, 64 << 10);
    to.receive(&out, now).expect("an honest peer");
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    let number = |item: &[u8]| u32::from_le_bytes(item.try_into().unwrap());
    Items::of(bytes).map(number).collect()
}

/// What came, and how many messages of the window each took; their room is given back.
fn come(lane: &mut Lane, now: Instant) -> Vec<(Vec<u32>, u32)> {
    let mut all = Vec::new();
    while let Some(event) = lane.poll_event() {
        let LaneEvent::Message(message) = event else {
            panic!("{event:?}");
        };
        let Head::Tells { count, .. } = message.head else {
            panic!("{:?}", message.head);
        };
        let found = numbers(&message.payload);
        assert_eq!(found.len(), count as usize);
        all.push((found, message.charge.messages));
        lane.release(message.charge, now);
    }
    all
}

fn two() -> (Lane, Lane, Instant) {
    let now = Instant::now();
    let limits = small_limits();
    (connected(&limits, now), connected(&limits, now), now)
}

#[test]
fn a_run_arrives_as_it_was_and_takes_room_for_each_of_its_messages() {
    let (mut a, mut b, now) = two();
    assert!(a.push_collected(run_of(1, 0..8)).unwrap());
    carry(&mut a, &mut b, now);
    assert_eq!(come(&mut b, now), [((0..8).collect(), 8)]);
    // It is acknowledged as one, and leaves nothing unknown behind.
    let later = now + Duration::from_millis(100);
    b.tick(later).unwrap();
    carry(&mut b, &mut a, later);
    assert_eq!(a.disconnect(), Loss::default());
}

#[test]
fn a_run_beyond_the_peers_window_goes_in_parts_and_in_order() {
    let (mut a, mut b, mut now) = two();
    a.push_collected(run_of(1, 0..100)).unwrap();
    let mut got = Vec::new();
    for _ in 0..200 {
        carry(&mut a, &mut b, now);
        for (numbers, messages) in come(&mut b, now) {
            assert!(messages <= 8, "a quarter of the window");
            got.extend(numbers);
        }
        now += Duration::from_millis(10);
        b.tick(now).unwrap();
        carry(&mut b, &mut a, now);
    }
    assert_eq!(got, (0..100).collect::<Vec<_>>());
    assert_eq!(a.load(), (0, 0), "what waited is accounted for to the byte");
}

#[test]
fn what_becomes_of_a_run_becomes_of_all_of_its_messages() {
    let (mut a, mut b, now) = two();
    a.push_collected(run_of(1, 0..5)).unwrap();
    carry(&mut a, &mut b, now);
    let late = Outgoing {
        deadline: Some(now),
        ..run_of(1, 5..8)
    };
    a.push_collected(late).unwrap();
    carry(&mut a, &mut b, now);
    a.disconnect();
    let dropped = a.poll_event();
    assert!(
        matches!(&dropped, Some(LaneEvent::Dropped { message, reason: DropReason::Expired })
            if message.head.messages() == 3),
        "{dropped:?}"
    );
    let lost = a.poll_event();
    assert!(
        matches!(lost, Some(LaneEvent::Lost { messages: 5, .. })),
        "{lost:?}"
    );
}

#[test]
fn there_is_room_or_none_after_what_is_taken_in_any_case() {
    let (mut a, _, _) = two();
    assert!(a.push_collected(run_of(1, 0..63)).unwrap());
    assert!(!a.push_collected(run_of(1, 63..64)).unwrap());
    assert!(!a.push_collected(run_of(1, 64..70)).unwrap());
    assert_eq!(a.load().1, 70);
}

#[test]
fn what_does_not_fit_comes_back_and_what_fails_or_panics_leaves_nothing() {
    let mut run = Run::default();
    let put = |bytes: Vec<u8>| {
        move |out: &mut Vec<u8>| {
            out.extend_from_slice(&bytes);
            Ok::<(), ()>(())
        }
    };
    assert_eq!(run.add(20, put(vec![1; 10])), Ok(Added::Here));
    assert_eq!(run.only(), Some(&[1; 10][..]));
    assert_eq!(run.add(20, put(vec![2; 7])), Ok(Added::Apart(vec![2; 7])));
    let long = vec![3; ITEM_MAX + 1];
    assert_eq!(
        run.add(usize::MAX, put(long.clone())),
        Ok(Added::Apart(long))
    );
    let failed = run.add(usize::MAX, |out| {
        out.push(4);
        Err(())
    });
    assert_eq!(failed, Err(()));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = run.add(usize::MAX, |out| -> Result<(), ()> {
            out.push(5);
            panic!("on purpose");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(run.only(), Some(&[1; 10][..]));
    assert_eq!(run.add(20, put(vec![6; 6])), Ok(Added::Here));
    let (count, bytes) = run.take();
    let items: Vec<_> = Items::of(&bytes).collect();
    assert_eq!((count, items), (2, vec![&[1; 10][..], &[6; 6][..]]));
    assert!(run.is_empty());
}

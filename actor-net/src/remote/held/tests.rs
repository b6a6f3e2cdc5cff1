//! Room and pauses as values; over real peers they are in `tests/remote_messages.rs`.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use bytes::Bytes;

use super::*;
use crate::remote::pauses::{LEASE, Pause, read_word};
use crate::wire::message::{Address, Addressed, Head, Target};

fn message(bytes: u32) -> Incoming {
    let address = Address { id: 7, key: 1 };
    Incoming {
        head: Head::Tell(Addressed {
            message_type: 0,
            target: Target::Actor(address),
            sender: None,
            context: None,
        }),
        payload: Bytes::new(),
        deadline: None,
        charge: Charge {
            messages: 1,
            bytes,
            ..Charge::default()
        },
    }
}

fn settings(messages: usize, bytes: usize) -> RemoteSettings {
    RemoteSettings {
        held_messages: messages,
        held_bytes: bytes,
        ..RemoteSettings::default()
    }
}

#[test]
fn what_is_held_takes_room_of_its_own_and_beyond_that_of_the_window() {
    let held = Held::default();
    assert!(held.push(7, 0, message(1), &settings(9, 900)).is_err());
    held.begin(7);
    for (messages, bytes, fit) in [(3, 900, 3), (9, 250, 2), (0, 900, 0)] {
        let settings = settings(messages, bytes);
        let free: Vec<_> = (0..5)
            .map(|_| held.push(7, 0, message(100), &settings).ok().unwrap().free)
            .collect();
        assert_eq!(free.iter().flatten().count(), fit);
        for n in 0..5 {
            let (Next::Message(next), _) = held.pop(7) else {
                panic!("it is there");
            };
            assert_eq!(next.own, n < fit, "in order");
            if next.own {
                held.give_room(next.incoming.charge);
            }
        }
    }
    assert_eq!(held.messages.load(Ordering::Relaxed), 0);
    assert_eq!(held.bytes.load(Ordering::Relaxed), 0);
    assert!(held.stop_behind(7));
    assert!(matches!(held.pop(7), (Next::None { stops: true }, false)));
    assert!(!held.stop_behind(7));
}

#[test]
fn a_long_queue_is_paused_once_and_said_again_until_it_is_short() {
    let held = Held::default();
    held.begin(7);
    let settings = settings(100_000, 1 << 20);
    let pauses = |held: &Held, count: usize| {
        let pushed = (0..count).map(|_| held.push(7, 0, message(1), &settings).ok().unwrap());
        pushed.filter(|queued| queued.pause).count()
    };
    assert_eq!(pauses(&held, PAUSE_AT - 1), 0);
    assert_eq!(pauses(&held, 100), 1);
    let now = Instant::now();
    assert!(held.pauses_due(now).is_empty());
    let later = now + AGAIN;
    assert_eq!(held.pauses_due(later), [7]);
    assert!(held.pauses_due(later).is_empty());
    let mut resumed = 0;
    while let (Next::Message(_), resume) = held.pop(7) {
        resumed += usize::from(resume);
    }
    assert_eq!(resumed, 1);
    assert!(held.pauses_due(later + AGAIN).is_empty());
}

struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn who_is_held_back_is_woken_when_the_pause_ends() {
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    let waker = Waker::from(woken.clone());
    let cx = Context::from_waker(&waker);
    let (pause, now) = (Pause::default(), Instant::now());
    assert!(!pause.holds(&cx));
    pause.set(Some(now + LEASE));
    assert!(pause.holds(&cx) && pause.is_on());
    assert!(!pause.is_over(now) && pause.is_over(now + LEASE));
    pause.set(None);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert!(!pause.holds(&cx));
}

#[test]
fn words_that_are_none_are_not_read() {
    let mut bytes = vec![1];
    bytes.extend([3; 16]);
    assert!(matches!(read_word(&bytes), Some((Word::HoldBack, _))));
    for wrong in [&bytes[..16], &bytes[1..], &[]] {
        assert_eq!(read_word(wrong), None);
    }
}

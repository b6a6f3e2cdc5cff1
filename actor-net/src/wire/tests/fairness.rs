use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::lane::{BATCH, Lane, LaneEvent, PushError};
use super::super::limits::Limits;
use super::{connected, tell};

/// Bytes per microsecond of a link of 100 Mbit/s, times ten.
const TEN_RATE: usize = 125;

/// A link of 100 Mbit/s between two lanes, in virtual time: what is written is there when its last bit is.
struct Link {
    start: Instant,
    micros: u64,
    from: Lane,
    to: Lane,
    pushed: BTreeMap<u64, u64>,
    small_delay_max: u64,
    large_done: Vec<u64>,
}

impl Link {
    fn new() -> Self {
        let start = Instant::now();
        let limits = Limits::default();
        Self {
            start,
            micros: 0,
            from: connected(&limits, start),
            to: connected(&limits, start),
            pushed: BTreeMap::new(),
            small_delay_max: 0,
            large_done: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_micros(self.micros)
    }

    fn small(&mut self, number: u64, pair: u64) -> bool {
        let mut payload = number.to_le_bytes().to_vec();
        payload.resize(64, 0);
        match self.from.push(tell(pair, 0, payload)) {
            Ok(()) => self.pushed.insert(number, self.micros).is_none(),
            Err(PushError::Full(_)) => false,
            Err(other) => panic!("{other:?}"),
        }
    }

    /// One batch over the link.
    fn step(&mut self) {
        let mut out = Vec::new();
        let now = self.now();
        self.from.transmit(now, &mut out, BATCH);
        self.micros += (out.len() * 10 / TEN_RATE).max(10) as u64;
        let now = self.now();
        self.to.receive(&out, now).unwrap();
        while let Some(event) = self.to.poll_event() {
            let LaneEvent::Message(message) = event else {
                panic!("{event:?}");
            };
            if message.payload.len() == 64 {
                let number = u64::from_le_bytes(message.payload[..8].try_into().unwrap());
                let pushed = self.pushed.remove(&number).expect("pushed once");
                self.small_delay_max = self.small_delay_max.max(self.micros - pushed);
            } else {
                self.large_done.push(self.micros);
            }
            self.to.release(message.charge, now);
        }
        self.to.tick(now).unwrap();
        let mut back = Vec::new();
        self.to.transmit(now, &mut back, BATCH);
        self.from.receive(&back, now).unwrap();
    }
}

#[test]
fn r09_a_large_message_does_not_delay_small_ones_by_more_than_50_ms() {
    let mut link = Link::new();
    for pair in 0..3 {
        // The outbox takes one beyond its limit, the others are held up.
        let _ = link.from.push(tell(1000 + pair, 0, vec![0; 10 << 20]));
    }
    let mut number = 0;
    while link.large_done.is_empty() {
        number += 1;
        link.small(number, number % 7);
        link.step();
        assert!(link.micros < 5_000_000, "the large message does not arrive");
    }
    assert!(number > 100);
    assert!(
        link.small_delay_max <= 20_000,
        "a small message took {} us",
        link.small_delay_max
    );
    // Alone on the link it takes 0.84 s; the small ones took hardly anything of that.
    assert!(link.large_done[0] < 1_000_000, "{:?}", link.large_done);
}

#[test]
fn a_flood_of_small_messages_does_not_keep_a_large_one_from_arriving() {
    let mut link = Link::new();
    link.from.push(tell(1000, 0, vec![0; 1 << 20])).unwrap();
    let mut number = 0;
    while link.large_done.is_empty() {
        for _ in 0..3000 {
            number += 1;
            if !link.small(number, number % 7) {
                break;
            }
        }
        link.step();
        assert!(link.micros < 5_000_000, "the large message starves");
    }
    // It gets a fifth of the link: 0.42 s.
    assert!(link.large_done[0] < 800_000, "{:?}", link.large_done);
}

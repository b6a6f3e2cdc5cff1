//! The network itself, with machines that do as little as shows it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Machine, Network, Weather, for_seeds};
use crate::datagram::Datagram;
use crate::id::{Incarnation, PeerId};

fn name(number: u64) -> PeerId {
    PeerId::new(&format!("peer-{number}")).expect("a name")
}

/// Counts to everybody else, one number each `every`.
struct Counter {
    others: Vec<PeerId>,
    every: Duration,
    at: Instant,
    next: u64,
    out: VecDeque<Datagram>,
    said: VecDeque<Said>,
}

#[derive(Clone, Debug, PartialEq)]
enum Said {
    Got(PeerId, u64),
    Connected(PeerId, Incarnation),
    Disconnected(PeerId),
}

impl Counter {
    fn new(others: Vec<PeerId>, now: Instant) -> Self {
        Self {
            others,
            every: Duration::from_millis(10),
            at: now,
            next: 0,
            out: VecDeque::new(),
            said: VecDeque::new(),
        }
    }
}

impl Machine for Counter {
    type Event = Said;

    fn handle_datagram(&mut self, from: &PeerId, bytes: &[u8], _now: Instant) {
        let number = u64::from_le_bytes(bytes.try_into().expect("a number"));
        self.said.push_back(Said::Got(from.clone(), number));
    }

    fn handle_timeout(&mut self, now: Instant) {
        assert!(now >= self.at, "woken {:?} too early", self.at - now);
        self.at = now + self.every;
        self.next += 1;
        let bytes = self.next.to_le_bytes().to_vec();
        self.out.extend(self.others.iter().map(|to| Datagram {
            to: to.clone(),
            bytes: bytes.clone(),
        }));
    }

    fn handle_connected(&mut self, peer: &PeerId, incarnation: Incarnation, _now: Instant) {
        self.said
            .push_back(Said::Connected(peer.clone(), incarnation));
    }

    fn handle_disconnected(&mut self, peer: &PeerId, _now: Instant) {
        self.said.push_back(Said::Disconnected(peer.clone()));
    }

    fn poll_transmit(&mut self) -> Option<Datagram> {
        self.out.pop_front()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        Some(self.at)
    }

    fn poll_event(&mut self) -> Option<Said> {
        self.said.pop_front()
    }
}

fn network(seed: u64, peers: u64, weather: Weather) -> Network<Counter> {
    let mut network = Network::new(seed, weather);
    for number in 0..peers {
        let others = (0..peers).filter(|n| *n != number).map(name).collect();
        let start = network.start();
        network.add(name(number), Incarnation(1), Counter::new(others, start));
    }
    network
}

fn got(events: &[(Duration, Said)], from: &PeerId) -> Vec<u64> {
    let numbers = events.iter().filter_map(|(_, said)| match said {
        Said::Got(who, number) if who == from => Some(*number),
        _ => None,
    });
    numbers.collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn in_fair_weather_everything_comes_once_and_in_order() {
    let mut network = network(1, 3, Weather::fair());
    network.run_for(SECOND);
    let events = network.events(&name(0));
    for other in [1, 2] {
        let numbers = got(&events, &name(other));
        let expected: Vec<_> = (1..=numbers.len() as u64).collect();
        assert_eq!(numbers, expected);
        assert!(numbers.len() > 90, "one each 10 ms: {}", numbers.len());
    }
    assert_eq!(network.counts().lost, 0);
}

#[test]
fn the_same_seed_is_the_same_trace() {
    let storm = |seed| {
        let mut network = network(seed, 4, Weather::foul());
        network.skew(&name(2), 100_000);
        network.run_for(SECOND);
        network.cut(&name(0), &name(1));
        network.run_for(7 * SECOND);
        network.pause(&name(3));
        network.heal();
        network.run_for(SECOND);
        network.resume(&name(3));
        let start = network.start();
        network.restart(&name(1), Incarnation(2), Counter::new(vec![name(0)], start));
        network.run_for(SECOND);
        (network.trace(), network.counts())
    };
    assert_eq!(storm(7), storm(7));
    assert_ne!(storm(7).0, storm(8).0);
}

#[test]
fn a_cut_is_one_way_and_ends_with_the_connection() {
    let mut network = network(3, 2, Weather::fair());
    network.run_for(SECOND);
    network.events(&name(0));
    network.events(&name(1));
    network.cut(&name(0), &name(1));
    network.run_for(2 * SECOND);
    assert!(got(&network.events(&name(0)), &name(1)).len() > 100);
    assert!(got(&network.events(&name(1)), &name(0)).is_empty());
    // Nothing comes for the time of silence: given up, and both know.
    network.run_for(4 * SECOND);
    assert!(!network.is_connected(&name(0), &name(1)));
    for side in [0, 1] {
        let said = network.events(&name(side));
        let gone = Said::Disconnected(name(1 - side));
        assert!(said.iter().any(|(_, said)| *said == gone), "{said:?}");
    }
    network.heal();
    network.run_for(SECOND);
    assert!(network.is_connected(&name(0), &name(1)));
    let said = network.events(&name(1));
    assert!(!got(&said, &name(0)).is_empty(), "{said:?}");
}

#[test]
fn what_a_paused_peer_is_sent_waits_for_it() {
    let mut network = network(4, 2, Weather::fair());
    network.run_for(SECOND);
    network.events(&name(1));
    network.pause(&name(1));
    network.run_for(2 * SECOND);
    assert_eq!(network.events(&name(1)), []);
    network.resume(&name(1));
    let numbers = got(&network.events(&name(1)), &name(0));
    assert!(numbers.len() > 150, "{}", numbers.len());
    assert!(numbers.windows(2).all(|two| two[1] == two[0] + 1));
}

#[test]
fn another_life_gets_nothing_that_was_meant_for_the_one_before() {
    for_seeds(20, |seed| {
        let mut network = network(seed, 2, Weather::fair());
        network.run_for(SECOND);
        network.crash(&name(1));
        let before = network.machine(&name(0)).next;
        network.run_for(SECOND);
        network.events(&name(1));
        let start = network.start();
        network.restart(&name(1), Incarnation(2), Counter::new(vec![name(0)], start));
        network.run_for(SECOND);
        let numbers = got(&network.events(&name(1)), &name(0));
        assert!(numbers.iter().all(|number| *number > before + 90));
        let said = network.events(&name(0));
        let back = Said::Connected(name(1), Incarnation(2));
        assert!(said.iter().any(|(_, said)| *said == back));
    });
}

#[test]
fn clocks_that_run_fast_or_slow_wake_in_their_own_time() {
    let mut network = network(5, 3, Weather::fair());
    network.skew(&name(0), 200_000);
    network.skew(&name(1), -200_000);
    network.run_for(10 * SECOND);
    let [fast, slow, right] = [0, 1, 2].map(|n| network.machine(&name(n)).next);
    assert!((1190..=1201).contains(&fast), "{fast}");
    assert!((790..=801).contains(&slow), "{slow}");
    assert!((995..=1001).contains(&right), "{right}");
}

#[test]
fn a_partition_keeps_groups_together() {
    let mut network = network(6, 4, Weather::fair());
    network.partition(&[vec![name(0), name(1)], vec![name(2), name(3)]]);
    network.run_for(SECOND);
    let said = network.events(&name(0));
    assert!(!got(&said, &name(1)).is_empty());
    assert!(got(&said, &name(2)).is_empty());
    assert!(got(&said, &name(3)).is_empty());
}

//! Two machines and what is said between them, step by step.

use std::time::{Duration, Instant};

use super::super::entry::{GroupLimits, JoinError};
use super::super::machine::{Config, Event, Groups, Left};
use super::{entry, peer, weighing};
use crate::id::{Incarnation, PeerId};

fn config(number: usize, incarnation: u64) -> Config {
    Config::new(peer(number), Incarnation(incarnation), number as u64)
}

fn machine(number: usize, incarnation: u64) -> Groups {
    Groups::new(config(number, incarnation))
}

fn see(machine: &mut Groups, number: usize, incarnation: u64, now: Instant) {
    machine.handle_members([(&peer(number), Incarnation(incarnation))], now);
}

/// Both see each other.
fn pair(now: Instant) -> [Groups; 2] {
    let mut both = [machine(0, 1), machine(1, 1)];
    see(&mut both[0], 1, 1, now);
    see(&mut both[1], 0, 1, now);
    both
}

/// Carries datagrams until there are none; how many.
fn settle(both: &mut [Groups; 2], now: Instant) -> usize {
    let mut carried = 0;
    loop {
        let before = carried;
        for from in [0, 1] {
            while let Some(datagram) = both[from].poll_transmit() {
                assert_eq!(datagram.to, peer(1 - from));
                both[1 - from].handle_datagram(&peer(from), &datagram.bytes, now);
                carried += 1;
            }
        }
        if before == carried {
            return carried;
        }
        assert!(carried < 10_000, "they come to rest");
    }
}

fn members(groups: &Groups, group: &str) -> Vec<(PeerId, u64)> {
    let members = groups.members(group);
    let members = members.map(|member| (member.id.peer.clone(), member.id.number));
    members.collect()
}

fn events(groups: &mut Groups) -> Vec<Event> {
    std::iter::from_fn(|| groups.poll_event()).collect()
}

#[test]
fn a_join_is_one_datagram_to_each() {
    let now = Instant::now();
    let mut both = pair(now);
    both[0].join("early", entry(1)).unwrap();
    settle(&mut both, now);
    assert_eq!(members(&both[1], "early"), [(peer(0), 1)]);
    both[0].join("workers", entry(7)).unwrap();
    let datagram = both[0].poll_transmit().unwrap();
    assert_eq!(both[0].poll_transmit(), None);
    both[1].handle_datagram(&peer(0), &datagram.bytes, now);
    assert_eq!(members(&both[1], "workers"), [(peer(0), 7)]);
    let heard = events(&mut both[1]);
    assert!(matches!(heard.last(), Some(Event::Joined { member, .. }) if member.id.number == 7));
    assert_eq!(settle(&mut both, now), 1, "its acknowledgement");
    assert!(both[0].leave("workers", 7));
    settle(&mut both, now);
    assert_eq!(members(&both[1], "workers"), []);
    let heard = events(&mut both[1]);
    assert!(matches!(
        heard.last(),
        Some(Event::Left {
            why: Left::Gone,
            ..
        })
    ));
}

#[test]
fn many_joins_share_datagrams() {
    let now = Instant::now();
    let mut both = pair(now);
    settle(&mut both, now);
    let mut first = None;
    for number in 0..10_000 {
        both[0].join("workers", entry(number)).unwrap();
        // A driver that sends at once.
        while let Some(datagram) = both[0].poll_transmit() {
            assert!(
                first.replace(datagram).is_none(),
                "one on its way at a time"
            );
        }
    }
    both[1].handle_datagram(&peer(0), &first.unwrap().bytes, now);
    let carried = settle(&mut both, now);
    assert_eq!(members(&both[1], "workers").len(), 10_000);
    assert!(carried < 40, "{carried}");
}

#[test]
fn the_members_of_a_life_go_with_it() {
    let now = Instant::now();
    let mut both = pair(now);
    both[0].join("workers", entry(1)).unwrap();
    settle(&mut both, now);
    both[1].join("workers", entry(2)).unwrap();
    both[0].join("workers", entry(3)).unwrap();
    let late = both[0].poll_transmit().unwrap();
    events(&mut both[1]);
    both[1].handle_members([], now);
    assert_eq!(members(&both[1], "workers"), [(peer(1), 2)]);
    let left = events(&mut both[1]);
    assert!(
        matches!(
            &left[..],
            [Event::Left {
                why: Left::PeerGone,
                ..
            }]
        ),
        "{left:?}"
    );
    // What it said before it went is heard neither now nor when its next life is there.
    both[1].handle_datagram(&peer(0), &late.bytes, now);
    see(&mut both[1], 0, 2, now);
    both[1].handle_datagram(&peer(0), &late.bytes, now);
    assert_eq!(members(&both[1], "workers"), [(peer(1), 2)]);
    both[0] = machine(0, 2);
    see(&mut both[0], 1, 1, now);
    both[0].join("workers", entry(9)).unwrap();
    settle(&mut both, now);
    for machine in &both {
        assert_eq!(members(machine, "workers"), [(peer(0), 9), (peer(1), 2)]);
    }
}

#[test]
fn who_sees_the_other_first_does_not_matter() {
    let now = Instant::now();
    let mut both = [machine(0, 1), machine(1, 1)];
    both[0].join("workers", entry(1)).unwrap();
    both[1].join("workers", entry(2)).unwrap();
    see(&mut both[1], 0, 1, now);
    settle(&mut both, now);
    assert_eq!(members(&both[1], "workers").len(), 2);
    assert_eq!(
        members(&both[0], "workers").len(),
        1,
        "peer-1 is nobody yet"
    );
    see(&mut both[0], 1, 1, now);
    settle(&mut both, now);
    assert_eq!(members(&both[0], "workers").len(), 2);
    both[0].leave("workers", 1);
    both[1].leave("workers", 2);
    settle(&mut both, now);
    for machine in &both {
        assert_eq!(members(machine, "workers"), []);
    }
}

#[test]
fn what_is_lost_is_said_again() {
    let mut now = Instant::now();
    let mut both = pair(now);
    settle(&mut both, now);
    both[0].join("workers", entry(1)).unwrap();
    assert!(both[0].poll_transmit().is_some(), "which is lost");
    both[0].join("workers", entry(2)).unwrap();
    assert_eq!(
        both[0].poll_transmit(),
        None,
        "one is thought to be on its way"
    );
    // By its timer,
    now += Duration::from_secs(6);
    both[1].handle_timeout(now);
    settle(&mut both, now);
    assert_eq!(members(&both[1], "workers").len(), 2);
    // and at once when there is a new connection.
    both[0].join("workers", entry(3)).unwrap();
    assert!(both[0].poll_transmit().is_some(), "which is lost");
    both[0].handle_connected(&peer(1), now);
    both[1].handle_connected(&peer(0), now);
    settle(&mut both, now);
    assert_eq!(members(&both[1], "workers").len(), 3);
}

#[test]
fn a_peer_that_says_nothing_is_asked_less_and_less() {
    let start = Instant::now();
    let mut one = machine(0, 1);
    see(&mut one, 1, 1, start);
    let mut again = vec![];
    for _ in 0..8 {
        assert!(one.poll_transmit().is_some());
        assert_eq!(one.poll_transmit(), None);
        let at = one.poll_timeout().unwrap();
        again.push((at - start).as_millis());
        one.handle_timeout(at);
    }
    assert_eq!(again, [500, 1500, 3500, 7500, 12500, 17500, 22500, 27500]);
}

#[test]
fn a_changed_weight_is_told() {
    let now = Instant::now();
    let mut both = pair(now);
    both[0].join("workers", weighing(1, 2)).unwrap();
    settle(&mut both, now);
    both[0].join("workers", weighing(1, 5)).unwrap();
    settle(&mut both, now);
    let weights: Vec<_> = both[1].members("workers").map(|m| m.weight.get()).collect();
    assert_eq!(weights, [5]);
    let heard = events(&mut both[1]);
    assert!(matches!(heard.last(), Some(Event::Changed { .. })));
}

#[test]
fn an_actor_that_ends_leaves_all_its_groups() {
    let now = Instant::now();
    let mut both = pair(now);
    for group in ["a", "b", "c"] {
        both[0].join(group, entry(1)).unwrap();
        both[0].join(group, entry(2)).unwrap();
    }
    settle(&mut both, now);
    both[0].leave_all(1);
    settle(&mut both, now);
    for group in ["a", "b", "c"] {
        assert_eq!(members(&both[1], group), [(peer(0), 2)]);
    }
    assert_eq!(both[1].entries(), (0, 3));
    assert_eq!(both[0].entries(), (3, 0));
}

#[test]
fn a_peer_with_too_much_is_not_listed_and_its_next_life_is() {
    let now = Instant::now();
    let mut small = config(1, 1);
    small.limits = GroupLimits {
        entries: 3,
        ..GroupLimits::default()
    };
    let mut both = [machine(0, 1), Groups::new(small)];
    see(&mut both[0], 1, 1, now);
    see(&mut both[1], 0, 1, now);
    for number in 0..7 {
        both[0].join("workers", entry(number)).unwrap();
    }
    settle(&mut both, now);
    assert_eq!(members(&both[1], "workers"), []);
    let refused = events(&mut both[1]);
    assert!(
        matches!(refused.last(), Some(Event::Refused { .. })),
        "{refused:?}"
    );
    both[1].join("workers", entry(1)).unwrap();
    settle(&mut both, now);
    assert_eq!(members(&both[0], "workers").len(), 8);
    both[0] = machine(0, 2);
    see(&mut both[0], 1, 1, now);
    see(&mut both[1], 0, 2, now);
    both[0].join("workers", entry(1)).unwrap();
    settle(&mut both, now);
    assert_eq!(members(&both[1], "workers").len(), 2);
}

#[test]
fn bytes_that_mean_nothing_are_dropped_and_reported() {
    let now = Instant::now();
    let mut both = pair(now);
    both[0].handle_datagram(&peer(1), &[9, 9], now);
    let reported = events(&mut both[0]);
    assert!(
        matches!(&reported[..], [Event::Malformed { .. }]),
        "{reported:?}"
    );
    for name in ["", "no\nlines", &"x".repeat(256)] {
        let refused = both[0].join(name, entry(1));
        assert!(matches!(refused, Err(JoinError::Name(_))), "{refused:?}");
    }
}

/// What a peer says is of its own actors by construction; what it says as another life of itself is not heard.
#[test]
fn a_peer_speaks_of_itself_only() {
    let now = Instant::now();
    let mut both = pair(now);
    settle(&mut both, now);
    let mut forger = machine(0, 9);
    see(&mut forger, 1, 1, now);
    forger.join("workers", entry(1)).unwrap();
    let mut asking = machine(1, 1);
    see(&mut asking, 0, 9, now);
    forger.handle_datagram(&peer(1), &asking.poll_transmit().unwrap().bytes, now);
    let mut said = 0;
    while let Some(datagram) = forger.poll_transmit() {
        both[1].handle_datagram(&peer(0), &datagram.bytes, now);
        both[1].handle_datagram(&peer(5), &datagram.bytes, now);
        said += 1;
    }
    assert!(said > 1);
    assert_eq!(both[1].groups().count(), 0);
}

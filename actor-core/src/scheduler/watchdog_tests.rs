use std::time::{Duration, Instant};

use super::super::seat::{Duty, Place, Seat};
use super::{Bell, Seen, Watched};
use crate::id::WorkerId;

fn watched(now: Instant) -> Watched {
    let place = Place {
        worker: WorkerId(0),
        numa_index: 0,
        index: 0,
        slot: 0,
    };
    let (seat, _) = Seat::new(place, Duty::On, 1);
    Watched::new(Box::leak(seat), now)
}

#[test]
fn only_the_same_turn_counts_as_standing_still() {
    let now = Instant::now();
    let later = now + Duration::from_millis(30);
    let mut watched = watched(now);
    assert_eq!(watched.look(1, true, now), Seen::Moving);
    assert_eq!(watched.look(1, true, later), Seen::Same(later - now));
    assert_eq!(watched.look(1, false, later), Seen::Moving, "between turns");
    assert_eq!(watched.look(2, true, later), Seen::Moving, "another turn");
}

#[test]
fn a_bell_rings_once_for_who_dozes() {
    let bell = Bell::default();
    bell.ring_if_dozing();
    assert!(!*bell.lock(), "nobody dozes");
    bell.doze();
    bell.ring_if_dozing();
    assert!(*bell.lock());
    bell.wait_until_rung();
    bell.ring_if_dozing();
    assert!(!*bell.lock(), "it is awake");
}

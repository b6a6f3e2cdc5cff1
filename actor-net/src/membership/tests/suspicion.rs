//! How long a suspicion lasts (G03), and what our own health does to it.

use std::time::{Duration, Instant};

use super::super::health::Health;
use super::super::suspicion::{Suspicion, timeout};
use super::cluster::name;

const MIN: Duration = Duration::from_secs(2);
const MAX: Duration = Duration::from_secs(12);

#[test]
fn g03_independent_accusers_shorten_the_wait_by_less_and_less() {
    let waits: Vec<_> = (1..=6).map(|n| timeout(MIN, MAX, n, 100)).collect();
    assert_eq!(waits[0], MAX);
    assert!(waits[0] > waits[1] && waits[1] > waits[2] && waits[2] > waits[3]);
    assert!(waits[0] - waits[1] > waits[1] - waits[2]);
    assert_eq!(waits[3..], [MIN; 3]);
    // Nobody at all is no more than one.
    assert_eq!(timeout(MIN, MAX, 0, 100), MAX);
}

#[test]
fn g03_where_fewer_could_confirm_those_are_enough() {
    assert_eq!(timeout(MIN, MAX, 1, 2), MIN);
    assert_eq!(timeout(MIN, MAX, 1, 3), MAX);
    assert_eq!(timeout(MIN, MAX, 2, 3), MIN);
    assert_eq!(timeout(MIN, MAX, 3, 4), MIN);
}

#[test]
fn g03_the_same_accuser_twice_changes_nothing() {
    let now = Instant::now();
    let mut suspicion = Suspicion::new(0, now);
    assert!(suspicion.accuse(name(1)));
    let deadline = suspicion.deadline(MIN, MAX, 10);
    assert!(!suspicion.accuse(name(1)));
    assert_eq!(suspicion.deadline(MIN, MAX, 10), deadline);
    assert!(suspicion.accuse(name(2)));
    assert!(suspicion.deadline(MIN, MAX, 10) < deadline);
}

#[test]
fn g03_a_crowd_of_accusers_is_not_remembered() {
    let mut suspicion = Suspicion::new(0, Instant::now());
    for number in 0..10_000 {
        suspicion.accuse(name(number));
    }
    assert!(suspicion.accusers.len() < 20);
}

#[test]
fn health_is_bounded_and_comes_back() {
    let mut health = Health::default();
    assert_eq!(health.patience(), 1);
    for _ in 0..100 {
        health.worsen();
    }
    assert_eq!((health.score(), health.patience()), (7, 8));
    for _ in 0..100 {
        health.improve();
    }
    assert_eq!(health, Health::default());
}

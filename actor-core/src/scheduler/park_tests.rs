use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Parker;
use crate::sync::thread;

#[test]
fn a_token_left_before_ends_the_next_sleep_at_once() {
    let parker = Parker::<super::Sound>::new();
    parker.unpark();
    parker.unpark();
    parker.park();
}

#[test]
fn tokens_wake_a_sleeper_each_time() {
    let parker = Arc::new(Parker::<super::Sound>::new());
    let back = Arc::new(Parker::<super::Sound>::new());
    let (theirs, their_back) = (parker.clone(), back.clone());
    let sleeper = thread::spawn(move || {
        for _ in 0..1000 {
            theirs.park();
            their_back.unpark();
        }
    });
    for _ in 0..1000 {
        parker.unpark();
        back.park();
    }
    sleeper.join().unwrap();
}

#[test]
fn a_sleeper_without_a_token_stays_asleep() {
    let parker = Arc::new(Parker::<super::Sound>::new());
    let theirs = parker.clone();
    let start = Instant::now();
    let sleeper = thread::spawn(move || {
        theirs.park();
        start.elapsed()
    });
    thread::sleep(Duration::from_millis(50));
    parker.unpark();
    assert!(sleeper.join().unwrap() >= Duration::from_millis(50));
}

#[test]
fn the_time_of_a_sleep_may_be_up_and_the_next_token_still_counts() {
    let parker = Parker::<super::Sound>::new();
    let start = Instant::now();
    assert!(!parker.park_timeout(Duration::from_millis(5)));
    assert!(start.elapsed() >= Duration::from_millis(5));
    parker.unpark();
    assert!(parker.park_timeout(Duration::MAX), "at once");
    parker.unpark();
    parker.park();
}

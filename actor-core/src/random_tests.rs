use std::collections::HashSet;

use super::*;
use crate::sync::thread;

#[test]
fn follows_the_published_generator() {
    // First outputs of the reference C code for the state 1, 2, 3, 4.
    let mut state = [1, 2, 3, 4];
    let mut got = Vec::new();
    for _ in 0..4 {
        let (value, next) = step(state);
        got.push(value);
        state = next;
    }
    assert_eq!(
        got,
        [41943041, 58720359, 3588806011781223, 3591011842654386]
    );
}

#[test]
fn threads_draw_different_numbers() {
    let draw = || (0..1000).map(|_| next_u64()).collect::<Vec<_>>();
    let mut seen: HashSet<u64> = draw().into_iter().collect();
    for thread in (0..4).map(|_| thread::spawn(draw)).collect::<Vec<_>>() {
        seen.extend(thread.join().unwrap());
    }
    assert_eq!(seen.len(), 5000);
}

//! Circles of asks that somebody elsewhere has found, on their way to the asker.
//!
//! An answer is a number; a circle is a list. So the list is kept here, and the answer names its place. An asker
//! that has given up never comes for its own, so only the latest few are kept: one that is not found any more is
//! told as the two that are known, asker and asked.

use std::collections::VecDeque;
use std::sync::PoisonError;

use crate::id::ActorId;
use crate::sync::{Mutex, MutexGuard};

/// Circles are rare, and asked for at once.
const KEPT_MAX: usize = 64;

struct Kept {
    next: u64,
    circles: VecDeque<(u64, Vec<ActorId>)>,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    next: 1,
    circles: VecDeque::new(),
});

fn lock() -> MutexGuard<'static, Kept> {
    // Nothing under the lock panics.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a circle; by which number it is found.
pub(super) fn keep(circle: Vec<ActorId>) -> u64 {
    let mut kept = lock();
    let number = kept.next;
    kept.next += 1;
    kept.circles.push_back((number, circle));
    if kept.circles.len() > KEPT_MAX {
        kept.circles.pop_front();
    }
    number
}

/// Takes it out.
pub(super) fn take(number: u64) -> Option<Vec<ActorId>> {
    let mut kept = lock();
    let at = kept.circles.iter().position(|(of, _)| *of == number)?;
    kept.circles.remove(at).map(|(_, circle)| circle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_taken_once_and_the_latest_are_kept() {
        let circle = |n| vec![ActorId(n), ActorId(n + 1)];
        let numbers: Vec<_> = (0..3).map(|n| keep(circle(n))).collect();
        assert_eq!(take(numbers[1]), Some(circle(1)));
        assert_eq!(take(numbers[1]), None);
        for n in 0..1000 {
            keep(circle(n));
        }
        assert_eq!(take(numbers[0]), None, "too old");
        assert!(lock().circles.len() <= KEPT_MAX);
    }
}

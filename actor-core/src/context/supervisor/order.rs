//! In which order the children of one supervisor start: names and wishes in, positions out.
//!
//! As declared, except that a child waits for those it is to start `after`. Pure.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// What is wrong with the wishes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Disorder {
    /// Two children, by position, have one name.
    Duplicate(usize, usize),
    /// A child is to start after one that does not exist.
    Unknown { child: usize, after: String },
    /// Each of these is to start after the next, the last after the first.
    Cycle(Vec<usize>),
}

/// A child's name, and the names of those it is to start after.
pub(super) struct Wish<'a> {
    pub(super) name: &'a str,
    pub(super) after: Vec<&'a str>,
}

/// The positions in the order in which the children start.
pub(super) fn order(wishes: &[Wish<'_>]) -> Result<Vec<usize>, Disorder> {
    let mut at = HashMap::with_capacity(wishes.len());
    for (position, wish) in wishes.iter().enumerate() {
        if let Some(first) = at.insert(wish.name, position) {
            return Err(Disorder::Duplicate(first, position));
        }
    }
    // For each child those that wait for it, and for how many it waits.
    let mut waiters = vec![Vec::new(); wishes.len()];
    let mut waits = vec![0_usize; wishes.len()];
    for (child, wish) in wishes.iter().enumerate() {
        for after in &wish.after {
            let Some(&first) = at.get(after) else {
                let after = (*after).to_owned();
                return Err(Disorder::Unknown { child, after });
            };
            waiters[first].push(child);
            waits[child] += 1;
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..wishes.len())
        .filter(|child| waits[*child] == 0)
        .map(Reverse)
        .collect();
    let mut order = Vec::with_capacity(wishes.len());
    while let Some(Reverse(child)) = ready.pop() {
        order.push(child);
        for &waiter in &waiters[child] {
            waits[waiter] -= 1;
            if waits[waiter] == 0 {
                ready.push(Reverse(waiter));
            }
        }
    }
    if order.len() == wishes.len() {
        return Ok(order);
    }
    Err(Disorder::Cycle(cycle(wishes, &at, &waits)))
}

/// A circle among those that still wait. Each waits for another that still waits, so whoever follows
/// that comes by some child twice.
fn cycle(wishes: &[Wish<'_>], at: &HashMap<&str, usize>, waits: &[usize]) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut seen = vec![false; wishes.len()];
    let mut child = waits.iter().position(|waits| *waits > 0).unwrap_or(0);
    while !seen[child] {
        seen[child] = true;
        path.push(child);
        let next = wishes[child]
            .after
            .iter()
            .filter_map(|after| at.get(after))
            .find(|next| waits[**next] > 0);
        match next {
            Some(&next) => child = next,
            None => break,
        }
    }
    let start = path.iter().position(|each| *each == child).unwrap_or(0);
    path.split_off(start)
}

#[cfg(test)]
mod tests;

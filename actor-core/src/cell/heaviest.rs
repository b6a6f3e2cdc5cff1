//! Who has most of something: a count by actor, of a bounded number of actors.
//!
//! When there are too many, those that have ended go, and then the lesser half. So of an actor with little too little may
//! be told, or nothing; those with much stay. Taking one in costs a look into a table, and making room, which is
//! rare, a walk over it.

use std::collections::HashMap;

use super::header::CellRef;
use crate::id::ActorId;

/// Actors that are told apart: some 100 KiB.
const ACTORS_MAX: usize = 4096;

#[derive(Clone, Debug, Default)]
pub(crate) struct Heaviest {
    counts: HashMap<ActorId, u64>,
}

impl Heaviest {
    /// Counts so many more for an actor. How many that are.
    pub(crate) fn add(&mut self, actor: ActorId, more: u64) -> u64 {
        if self.counts.len() >= ACTORS_MAX && !self.counts.contains_key(&actor) {
            self.make_room(|actor| CellRef::of(actor).generation() == actor.generation());
        }
        let count = self.counts.entry(actor).or_default();
        *count = count.saturating_add(more);
        *count
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ActorId, u64)> + '_ {
        self.counts.iter().map(|(actor, count)| (*actor, *count))
    }

    fn make_room(&mut self, is_alive: impl Fn(ActorId) -> bool) {
        self.counts.retain(|actor, _| is_alive(*actor));
        let keep = ACTORS_MAX / 2;
        if self.counts.len() <= keep {
            return;
        }
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let (greater, least, _) = counts.select_nth_unstable_by(keep - 1, |a, b| b.cmp(a));
        let least = *least;
        // Of those that have as much as the least that stays, as many as there is room for.
        let mut equal = keep - greater.iter().filter(|count| **count > least).count();
        self.counts.retain(|_, count| {
            let stays = *count > least || *count == least && equal > 0;
            if stays && *count == least {
                equal -= 1;
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_with_most_stay_and_the_number_is_bounded() {
        let mut counts = Heaviest::default();
        let id = |n: u32| ActorId::new(0, n, 1);
        for n in 100..100 + 3 * ACTORS_MAX as u32 {
            if counts.counts.len() == ACTORS_MAX {
                // Without cells to ask who lives.
                counts.make_room(|_| true);
                assert_eq!(counts.counts.len(), ACTORS_MAX / 2);
            }
            assert_eq!(counts.add(id(n), 1), 1);
            counts.add(id(7), 5);
        }
        assert_eq!(counts.counts[&id(7)], 5 * 3 * ACTORS_MAX as u64);
        assert!(counts.iter().count() <= ACTORS_MAX);
        counts.make_room(|actor| actor == id(7));
        assert_eq!(
            counts.iter().map(|(actor, _)| actor).collect::<Vec<_>>(),
            [id(7)]
        );
    }
}

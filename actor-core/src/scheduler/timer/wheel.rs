//! A hierarchical timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP
//! 1987, scheme 7). Pure: the time is an argument.
//!
//! ```text
//!   level 0   64 slots of   1 ms    |  An entry lies on the level of the highest six bits in
//!   level 1   64 slots of  64 ms    |  which its time differs from `elapsed`, in the slot that
//!   level 2   64 slots of 4.1 s     |  those six bits of its time name.
//!   level 3   64 slots of 4.4 min   |
//!   level 4   64 slots of 4.7 h     |  When `elapsed` reaches the start of a slot of level 1 and
//!   level 5   64 slots of 12.4 d    |  up, its entries go down; on level 0 they fire.
//!   levels 6 and 7: the rest of what a `Tick` can say
//! ```
//!
//! Levels 0 to 5 reach 2.2 years ahead. Levels 6 and 7 are there so that every `Tick` has a slot:
//! they cost 1 KiB and spare a case for "too far".
//!
//! Insert and remove are O(1) and touch the entry, its neighbours in the slot and the slot. An
//! entry goes down once a level at most, so a timer that fires costs O(levels) over its life.
//!
//! Rules that the code relies on:
//! 1. `elapsed` never goes back, and never passes the start of a slot that holds entries.
//! 2. So an entry's time and `elapsed` agree in all bits above the entry's level, and an entry
//!    found in the slot that `elapsed` is in is due to go down, or on level 0 to fire.
//! 3. `advance` may stop half-way through a slot. Then `elapsed` is that slot's start, and rule 2
//!    makes the rest of the slot the first thing that is due in the next call.

use std::fmt;

use super::slab::Slab;
use crate::clock::Tick;

/// Timers that carry a `T` each.
///
/// Timers of the same millisecond fire in the order in which they were inserted, unless an
/// `advance` was cut short between.
pub(crate) struct Wheel<T> {
    /// In ms, like all times inside: rule 1.
    elapsed: u64,
    levels: [Level; LEVELS],
    /// Bit `n`: level `n` has entries.
    occupied_levels: u8,
    entries: Slab<Entry<T>>,
    /// Head of the list of vacant entries, linked by `next`.
    vacant: u32,
    len: usize,
}

#[derive(Clone, Copy)]
struct Level {
    /// Bit `n`: slot `n` has entries.
    occupied: u64,
    slots: [Slot; SLOTS],
}

/// A list of entries, first in first out.
#[derive(Clone, Copy)]
struct Slot {
    first: u32,
    last: u32,
}

struct Entry<T> {
    /// When it is due, in ms.
    at: u64,
    /// Counts the timers that this entry was; a key of an older one does not fit.
    generation: u32,
    previous: u32,
    next: u32,
    level: u8,
    slot: u8,
    /// `None` when vacant.
    value: Option<T>,
}

/// Names one timer. A timer that fired or was removed leaves a key that fits nothing, until its
/// entry has been reused 2^32 times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// Fits no timer of any wheel.
    pub(crate) const FITS_NOTHING: Self = Self {
        index: NONE,
        generation: 0,
    };
}

impl<T> Wheel<T> {
    /// An empty wheel. Allocates, in that arena, with the first insert, then only for more timers than
    /// ever before.
    pub(crate) fn new(now: Tick, arena: u8) -> Self {
        Self {
            elapsed: now.0 / NANOS,
            levels: [Level::EMPTY; LEVELS],
            occupied_levels: 0,
            entries: Slab::new(arena),
            vacant: NONE,
            len: 0,
        }
    }

    /// Adds a timer due at `at`; a time that has passed is due at the next `advance`.
    ///
    /// `Tick(u64::MAX)`, where `Tick::after` saturates, is never due.
    pub(crate) fn insert(&mut self, at: Tick, value: T) -> Key {
        let at = at.0.div_ceil(NANOS).max(self.elapsed);
        let index = self.occupy(at, value);
        self.link(index);
        self.len += 1;
        Key {
            index,
            generation: self.entries[index].generation,
        }
    }

    /// Takes a timer out; `None` when it has fired or was removed before.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get_mut(key)?;
        self.unlink(key.index);
        self.release(key.index)
    }

    /// What a timer carries; `None` when it has fired or was removed before.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        entry.value.as_mut()
    }

    /// Fires what is due at `now`, but does at most `limit` steps, each firing one timer or moving
    /// one down a level. Whether all is done is then for `next_expiry` to say.
    ///
    /// A `now` before that of an earlier call fires nothing. If `fire` panics, the timer has fired
    /// and the wheel is in order.
    pub(crate) fn advance(&mut self, now: Tick, limit: usize, fire: &mut impl FnMut(T)) {
        let now = now.0 / NANOS;
        let mut steps_left = limit;
        while let Some((start, level, slot)) = self.next_slot() {
            if start > now {
                break;
            }
            self.elapsed = start;
            loop {
                let index = self.levels[level].slots[slot].first;
                if index == NONE {
                    break;
                }
                if steps_left == 0 {
                    return;
                }
                steps_left -= 1;
                self.unlink(index);
                if level > 0 {
                    self.link(index);
                } else if let Some(value) = self.release(index) {
                    fire(value);
                }
            }
        }
        self.elapsed = self.elapsed.max(now);
    }

    /// A time before which `advance` has nothing to do: the next expiry, or sooner, when a slot's
    /// entries have to go down. `None` when there are no timers.
    pub(crate) fn next_expiry(&self) -> Option<Tick> {
        let (start, ..) = self.next_slot()?;
        Some(Tick(start.saturating_mul(NANOS)))
    }

    /// When a timer for `at` can fire: the first tick of the wheel that is not before it. Rounded
    /// up, as `advance` rounds down; so never early.
    pub(crate) fn expiry(at: Tick) -> Tick {
        Tick(at.0.div_ceil(NANOS).saturating_mul(NANOS))
    }

    /// The arena that its entries lie in.
    pub(crate) fn arena(&self) -> u8 {
        self.entries.arena()
    }

    /// Timers that have not fired.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The occupied slot that starts first: its start, level and number. On a tie the lowest level:
    /// what has come down fires before more comes down.
    fn next_slot(&self) -> Option<(u64, usize, usize)> {
        let mut found: Option<(u64, usize, usize)> = None;
        let mut levels = self.occupied_levels;
        while levels != 0 {
            let level = levels.trailing_zeros() as usize;
            levels &= levels - 1;
            let shift = BITS * level as u32;
            // Rule 2: no occupied slot lies behind the one that `elapsed` is in.
            let slot = self.levels[level].occupied.trailing_zeros() as usize;
            let above = self.elapsed >> shift >> BITS << BITS << shift;
            let start = above | (slot as u64) << shift;
            debug_assert!(start >= self.elapsed, "rule 1: {start} < {}", self.elapsed);
            if found.is_none_or(|(first, ..)| start < first) {
                found = Some((start, level, slot));
            }
        }
        found
    }

    fn occupy(&mut self, at: u64, value: T) -> u32 {
        match self.vacant {
            NONE => {
                let index = self.entries.len();
                assert!(
                    index < NONE as usize,
                    "a timing wheel holds at most {NONE} timers"
                );
                self.entries.push(Entry {
                    at,
                    generation: 0,
                    previous: NONE,
                    next: NONE,
                    level: 0,
                    slot: 0,
                    value: Some(value),
                });
                index as u32
            }
            index => {
                let entry = &mut self.entries[index];
                self.vacant = entry.next;
                entry.at = at;
                entry.value = Some(value);
                index
            }
        }
    }

    /// Makes an unlinked entry vacant.
    fn release(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index];
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = self.vacant;
        self.vacant = index;
        self.len -= 1;
        entry.value.take()
    }

    /// Puts an entry at the end of the slot that its time and `elapsed` name.
    fn link(&mut self, index: u32) {
        let at = self.entries[index].at;
        // `| 63`: a difference in the low six bits, or none, is level 0.
        let differs = (at ^ self.elapsed) | (SLOTS as u64 - 1);
        let level = ((u64::BITS - 1 - differs.leading_zeros()) / BITS) as usize;
        let slot = (at >> (BITS * level as u32)) as usize % SLOTS;

        let list = &mut self.levels[level].slots[slot];
        let previous = std::mem::replace(&mut list.last, index);
        if previous == NONE {
            list.first = index;
            self.levels[level].occupied |= 1 << slot;
            self.occupied_levels |= 1 << level;
        } else {
            self.entries[previous].next = index;
        }
        let entry = &mut self.entries[index];
        entry.previous = previous;
        entry.next = NONE;
        entry.level = level as u8;
        entry.slot = slot as u8;
    }

    fn unlink(&mut self, index: u32) {
        let Entry {
            previous,
            next,
            level,
            slot,
            ..
        } = self.entries[index];
        let level_number = level;
        let level = &mut self.levels[level as usize];
        let list = &mut level.slots[slot as usize];
        match previous {
            NONE => list.first = next,
            _ => self.entries[previous].next = next,
        }
        match next {
            NONE => list.last = previous,
            _ => self.entries[next].previous = previous,
        }
        if list.first == NONE {
            level.occupied &= !(1 << slot);
            if level.occupied == 0 {
                self.occupied_levels &= !(1 << level_number);
            }
        }
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("len", &self.len)
            .field("elapsed_ms", &self.elapsed)
            .field("next_expiry", &self.next_expiry())
            .finish_non_exhaustive()
    }
}

impl Level {
    const EMPTY: Self = Self {
        occupied: 0,
        slots: [Slot {
            first: NONE,
            last: NONE,
        }; SLOTS],
    };
}

/// Bits of the time that one level looks at.
const BITS: u32 = 6;
const SLOTS: usize = 1 << BITS;
const LEVELS: usize = 8;

/// One tick of the wheel.
const NANOS: u64 = 1_000_000;

/// No entry.
const NONE: u32 = u32::MAX;

// Every `Tick` has a slot.
const _: () = assert!(u64::MAX / NANOS < 1 << (BITS * LEVELS as u32));

#[cfg(test)]
#[path = "wheel_tests.rs"]
mod tests;

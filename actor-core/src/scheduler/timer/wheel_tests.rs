use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MS: u64 = NANOS;
const ARENA: u8 = 210;

fn fired(wheel: &mut Wheel<u32>, now: u64) -> Vec<u32> {
    let mut fired = Vec::new();
    wheel.advance(Tick(now), usize::MAX, &mut |value| fired.push(value));
    fired
}

#[test]
fn t01_never_early_and_at_most_a_tick_late() {
    for level in 0..7 {
        for offset in [0, 1, MS - 1, MS, 63 * MS, 64 * MS, 65 * MS + 1] {
            let at = (1 << (BITS * level)) * MS + offset;
            let mut wheel = Wheel::new(Tick(1), ARENA);
            wheel.insert(Tick(at), 7);
            assert_eq!(fired(&mut wheel, at - 1), [], "{at}");
            let due = at.div_ceil(MS) * MS;
            assert_eq!(Wheel::<u32>::expiry(Tick(at)), Tick(due));
            assert_eq!(fired(&mut wheel, due - 1), [], "{at}");
            assert_eq!(fired(&mut wheel, due), [7], "{at}");
            assert!(due - at < MS);
            assert_eq!(wheel.next_expiry(), None);
        }
    }
}

#[test]
fn the_time_to_sleep_leads_to_every_expiry() {
    let mut wheel = Wheel::new(Tick(12_345_678), ARENA);
    let at = 12_345_678 + 86_400_000 * MS;
    wheel.insert(Tick(at), 1);
    let (mut naps, mut now) = (0, 0);
    while let Some(next) = wheel.next_expiry() {
        assert!(next.0 > now);
        now = next.0;
        naps += 1;
        fired(&mut wheel, now);
    }
    assert_eq!(now, at.div_ceil(MS) * MS);
    assert!(naps <= LEVELS, "{naps}");
}

#[test]
fn the_past_is_due_at_once_and_time_going_back_fires_nothing() {
    let mut wheel = Wheel::new(Tick(100 * MS), ARENA);
    wheel.insert(Tick(0), 1);
    wheel.insert(Tick(99 * MS), 2);
    assert_eq!(wheel.next_expiry(), Some(Tick(100 * MS)));
    assert_eq!(fired(&mut wheel, 99 * MS), []);
    assert_eq!(fired(&mut wheel, 100 * MS), [1, 2]);
    wheel.insert(Tick(101 * MS), 3);
    assert_eq!(fired(&mut wheel, 50 * MS), []);
    assert_eq!(fired(&mut wheel, 101 * MS), [3]);
}

#[test]
fn the_end_of_time_is_never_due() {
    let mut wheel = Wheel::new(Tick(1), ARENA);
    let key = wheel.insert(Tick(1).after(std::time::Duration::MAX), 1);
    let last = u64::MAX / MS * MS;
    wheel.insert(Tick(last), 2);
    assert_eq!(fired(&mut wheel, last - 1), []);
    assert_eq!(fired(&mut wheel, u64::MAX), [2]);
    assert_eq!(wheel.next_expiry(), Some(Tick(u64::MAX)));
    assert_eq!(wheel.remove(key), Some(1));
}

#[test]
fn t02_a_key_fits_one_timer_only() {
    let mut wheel = Wheel::new(Tick(1), ARENA);
    let first = wheel.insert(Tick(5 * MS), 1);
    assert_eq!(wheel.remove(first), Some(1));
    assert_eq!(wheel.remove(first), None);
    let second = wheel.insert(Tick(5 * MS), 2);
    assert_eq!(second.index, first.index);
    assert_eq!(wheel.remove(first), None);
    assert_eq!(wheel.get_mut(first), None);
    *wheel.get_mut(second).unwrap() = 3;
    assert_eq!(fired(&mut wheel, 5 * MS), [3]);
    assert_eq!(wheel.remove(second), None);
    assert_eq!(wheel.remove(Key::FITS_NOTHING), None);
    assert_eq!(wheel.len(), 0);
}

#[test]
fn steady_state_does_not_allocate() {
    let mut wheel = Wheel::new(Tick(1), ARENA);
    let mut now = 1;
    for round in 0..1000 {
        let keys: Vec<Key> = (0..64)
            .map(|n| wheel.insert(Tick(now + n * 97 * MS), n as u32))
            .collect();
        for key in keys.iter().step_by(2) {
            wheel.remove(*key);
        }
        now += 64 * 97 * MS;
        assert_eq!(fired(&mut wheel, now).len(), 32);
        assert_eq!(wheel.entries.len(), 64, "round {round}");
    }
}

#[test]
fn t04_a_storm_is_fired_in_portions() {
    const N: u32 = 100_000;
    let mut wheel = Wheel::new(Tick(1), ARENA);
    for n in 0..N {
        wheel.insert(Tick(10_000 * MS), n);
    }
    let mut all = Vec::new();
    let mut calls = 0;
    while wheel
        .next_expiry()
        .is_some_and(|next| next.0 <= 20_000 * MS)
    {
        let before = all.len();
        wheel.advance(Tick(20_000 * MS), 256, &mut |n| all.push(n));
        assert!(all.len() - before <= 256);
        calls += 1;
    }
    assert_eq!(all, (0..N).collect::<Vec<_>>());
    // Two levels down, then out: three steps each.
    assert!(calls <= 3 * N / 256 + 3, "{calls}");
}

#[test]
fn a_panic_while_firing_leaves_the_wheel_in_order() {
    let mut wheel = Wheel::new(Tick(1), ARENA);
    for n in 0..3 {
        wheel.insert(Tick(5 * MS), n);
    }
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wheel.advance(Tick(9 * MS), usize::MAX, &mut |n| assert_ne!(n, 1));
    }));
    assert!(result.is_err());
    assert_eq!(wheel.len(), 1);
    assert_eq!(fired(&mut wheel, 9 * MS), [2]);
}

#[derive(Clone, Debug)]
enum Op {
    Insert { ahead: u64 },
    InsertPast { behind: u64 },
    Remove { which: usize },
    Advance { by: u64, limit: usize },
}

/// Spans of all magnitudes, from nanoseconds to beyond the last level.
fn span() -> impl Strategy<Value = u64> {
    (0u32..64, any::<u64>()).prop_map(|(bits, number)| number >> bits)
}

/// Spans around a few ticks, where most of the edges are.
fn short() -> impl Strategy<Value = u64> {
    0..200 * MS
}

fn ops(limit: impl Strategy<Value = usize> + Clone) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        3 => short().prop_map(|ahead| Op::Insert { ahead }),
        3 => span().prop_map(|ahead| Op::Insert { ahead }),
        1 => span().prop_map(|behind| Op::InsertPast { behind }),
        2 => any::<usize>().prop_map(|which| Op::Remove { which }),
        3 => (short(), limit.clone()).prop_map(|(by, limit)| Op::Advance { by, limit }),
        1 => (span(), limit).prop_map(|(by, limit)| Op::Advance { by: by / 64, limit }),
    ];
    vec(op, 1..150)
}

/// The same promises kept by a sorted map.
#[derive(Default)]
struct Model {
    elapsed: u64,
    now: u64,
    inserted: u32,
    /// By due ms, then by age.
    waiting: BTreeMap<(u64, u32), Key>,
}

impl Model {
    fn insert(&mut self, wheel: &mut Wheel<u32>, at: u64) {
        let key = wheel.insert(Tick(at), self.inserted);
        let due = at.div_ceil(MS).max(self.elapsed);
        self.waiting.insert((due, self.inserted), key);
        self.inserted += 1;
    }

    fn remove(&mut self, wheel: &mut Wheel<u32>, which: usize) {
        let Some((&entry, &key)) = self.waiting.iter().nth(which % (self.waiting.len() + 1)) else {
            return;
        };
        self.waiting.remove(&entry);
        assert_eq!(wheel.get_mut(key).copied(), Some(entry.1));
        assert_eq!(wheel.remove(key), Some(entry.1));
        assert_eq!(wheel.remove(key), None);
    }

    /// A bound on sleeping: never after the first expiry.
    fn check(&self, wheel: &Wheel<u32>) {
        assert_eq!(wheel.len(), self.waiting.len());
        let first = self
            .waiting
            .keys()
            .next()
            .map(|&(due, _)| due.saturating_mul(MS));
        match (wheel.next_expiry(), first) {
            (None, None) => {}
            (Some(next), Some(first)) => assert!(next.0 <= first, "{next:?} {first}"),
            other => panic!("{other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn t01_agrees_with_a_sorted_map(start in span(), ops in ops(Just(usize::MAX))) {
        let mut wheel = Wheel::new(Tick(start), ARENA);
        let mut model = Model { elapsed: start / MS, now: start, ..Model::default() };
        for op in ops {
            match op {
                Op::Insert { ahead } => model.insert(&mut wheel, model.now.saturating_add(ahead)),
                Op::InsertPast { behind } => {
                    model.insert(&mut wheel, model.now.saturating_sub(behind));
                }
                Op::Remove { which } => model.remove(&mut wheel, which),
                Op::Advance { by, limit } => {
                    model.now = model.now.saturating_add(by);
                    model.elapsed = model.now / MS;
                    let mut got = Vec::new();
                    wheel.advance(Tick(model.now), limit, &mut |n| got.push(n));
                    let later = model.waiting.split_off(&(model.elapsed + 1, 0));
                    let due = std::mem::replace(&mut model.waiting, later);
                    let expected: Vec<u32> = due.keys().map(|&(_, n)| n).collect();
                    prop_assert_eq!(got, expected);
                    // What is due at the end of time is never due, and it is that time.
                    let is_later = |next: Tick| next.0 > model.now || next.0 == u64::MAX;
                    prop_assert!(wheel.next_expiry().is_none_or(is_later));
                }
            }
            model.check(&wheel);
        }
    }

    #[test]
    fn t04_cut_short_it_fires_the_same_timers_never_early(
        start in span(),
        ops in ops(0usize..5),
    ) {
        let mut wheel = Wheel::new(Tick(start), ARENA);
        let mut model = Model { now: start, ..Model::default() };
        for op in ops {
            match op {
                Op::Insert { ahead } => model.insert(&mut wheel, model.now.saturating_add(ahead)),
                Op::InsertPast { behind } => {
                    model.insert(&mut wheel, model.now.saturating_sub(behind));
                }
                Op::Remove { which } => model.remove(&mut wheel, which),
                Op::Advance { by, limit } => {
                    model.now = model.now.saturating_add(by);
                    let mut got = Vec::new();
                    wheel.advance(Tick(model.now), limit, &mut |n| got.push(n));
                    prop_assert!(got.len() <= limit);
                    for number in got {
                        let entry = *model.waiting.keys().find(|entry| entry.1 == number).unwrap();
                        prop_assert!(entry.0 <= model.now / MS, "early: {entry:?}");
                        model.waiting.remove(&entry);
                    }
                }
            }
            prop_assert_eq!(wheel.len(), model.waiting.len());
        }
        let mut rest = fired(&mut wheel, model.now);
        rest.sort_unstable();
        let later = model.waiting.split_off(&(model.now / MS + 1, 0));
        let mut expected: Vec<u32> = model.waiting.keys().map(|&(_, n)| n).collect();
        expected.sort_unstable();
        prop_assert_eq!(rest, expected);
        prop_assert_eq!(wheel.len(), later.len());
    }
}

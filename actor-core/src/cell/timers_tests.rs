use super::*;

const MS: u64 = 1_000_000;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn t01_a_fixed_rate_stays_on_its_grid_and_skips_what_it_missed() {
    let every = Every::fixed_rate(ms(10));
    // In time, and late by less than a period: the grid goes on.
    assert_eq!(every.next(Tick(50 * MS), Tick(50 * MS)), (Tick(60 * MS), 0));
    assert_eq!(every.next(Tick(50 * MS), Tick(59 * MS)), (Tick(60 * MS), 0));
    // The tick that is due this very moment is missed already: it comes with this one.
    assert_eq!(every.next(Tick(50 * MS), Tick(60 * MS)), (Tick(70 * MS), 1));
    // A stall of 10 s: one tick, 999 and more skipped, then the grid.
    let late = Tick(50 * MS + 10_005 * MS);
    assert_eq!(every.next(Tick(50 * MS), late), (Tick(10_060 * MS), 1000));
}

#[test]
fn t01_a_fixed_delay_counts_from_the_last_tick_and_skips_nothing() {
    let every = Every::fixed_delay(ms(10));
    assert_eq!(every.next(Tick(50 * MS), Tick(51 * MS)), (Tick(61 * MS), 0));
    assert_eq!(
        every.next(Tick(50 * MS), Tick(10_055 * MS)),
        (Tick(10_065 * MS), 0)
    );
}

#[test]
fn t01_periods_at_the_edges() {
    let none = Every::fixed_rate(Duration::ZERO);
    assert_eq!(none.next(Tick(MS), Tick(MS)), (Tick(2 * MS), 0));
    let never = Every::fixed_rate(Duration::MAX);
    assert_eq!(never.next(Tick(MS), Tick(9 * MS)), (Tick(u64::MAX), 0));
    assert_eq!(Every::from(ms(7)).first(), ms(7));
    assert_eq!(Every::fixed_rate(ms(7)).first_after(ms(2)).first(), ms(2));
}

#[test]
fn t03_a_slot_that_is_used_again_does_not_fit_the_old_id() {
    let mut table = TimerTable::default();
    let (first, serial) = table.insert(Tick(1), None);
    assert!(table.remove(first, serial).is_some());
    let (second, other) = table.insert(Tick(2), None);
    assert_eq!(first, second);
    assert!(table.remove(first, serial).is_none());
    assert_eq!(table.len(), 1);
    assert!(table.remove(second, other).is_some());
    assert_eq!(table.len(), 0);
}

#[test]
fn memory_of_many_timers_goes_with_the_last_of_them() {
    let mut table = TimerTable::default();
    let all: Vec<_> = (0..10_000).map(|n| table.insert(Tick(n), None)).collect();
    for (slot, serial) in all {
        assert!(table.remove(slot, serial).is_some());
    }
    assert_eq!(table.slots.capacity(), 0);
    // And the serials go on: nothing of before fits.
    assert_eq!(table.insert(Tick(1), None).1, 10_001);
}

#[test]
fn keys_print_as_they_read() {
    assert_eq!(TimerKey::from("retry").to_string(), "retry");
    assert_eq!(TimerKey::from(("retry", 7)).to_string(), "retry#7");
    assert_eq!(TimerKey::from(7).to_string(), "#7");
}

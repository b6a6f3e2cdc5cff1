use proptest::collection::vec;
use proptest::prelude::*;

use super::Verdict::{LimitReached, Restart};
use super::*;

fn ms(at: u64) -> Tick {
    Tick(1 + at * 1_000_000)
}

#[test]
fn s05_limit_is_exact() {
    for limit in [1, 2, 3, 10, 100] {
        let mut window = RestartWindow::new(limit, Duration::from_secs(5));
        for crash in 0..limit {
            assert_eq!(window.record(ms(u64::from(crash))), Restart, "{crash}");
        }
        assert_eq!(window.record(ms(200)), LimitReached);
        // Whoever carries on nevertheless is told again.
        assert_eq!(window.record(ms(300)), LimitReached);
    }
}

#[test]
fn s06_old_crashes_leave_the_window() {
    let mut window = RestartWindow::new(1, Duration::from_secs(1));
    for crash in 0..4 {
        assert_eq!(window.record(ms(crash * 2100)), Restart);
    }
    assert_eq!(window.len(), 1);
}

#[test]
fn s06_a_crash_leaves_exactly_one_period_after_it_came() {
    for (second, expected) in [(1_000_000_001, LimitReached), (1_000_000_002, Restart)] {
        let mut window = RestartWindow::new(1, Duration::from_secs(1));
        assert_eq!(window.record(Tick(1)), Restart);
        assert_eq!(window.record(Tick(second)), expected, "{second}");
    }
    // It slides: no bucket boundary forgives 2 + 2 crashes around it.
    let mut window = RestartWindow::new(2, Duration::from_secs(1));
    let verdicts = [900, 950, 1050, 1100].map(|at| window.record(ms(at)));
    assert_eq!(verdicts, [Restart, Restart, LimitReached, LimitReached]);
}

#[test]
fn s07_very_long_windows_count() {
    const DAY: u64 = 24 * 3600 * 1000;
    let mut month = RestartWindow::new(2, Duration::from_secs(30 * 24 * 3600));
    assert_eq!(month.record(ms(0)), Restart);
    assert_eq!(month.record(ms(29 * DAY)), Restart);
    assert_eq!(month.record(ms(30 * DAY)), LimitReached);
    assert_eq!(month.record(ms(60 * DAY)), Restart);

    for period in [Duration::from_millis(u64::MAX), Duration::MAX] {
        let mut ever = RestartWindow::new(2, period);
        assert_eq!(ever.record(Tick(1)), Restart);
        assert_eq!(ever.record(Tick(u64::MAX / 2)), Restart);
        assert_eq!(ever.record(Tick(u64::MAX)), LimitReached);
    }
}

#[test]
fn s08_limit_zero_stops_at_the_first_crash() {
    let mut window = RestartWindow::new(0, Duration::from_secs(5));
    assert_eq!(window.record(ms(0)), LimitReached);
    assert_eq!(window.record(ms(100_000)), LimitReached);
    assert_eq!(window.crashes.capacity(), 0);
}

#[test]
fn memory_is_bounded_by_the_intensity() {
    let mut window = RestartWindow::new(u32::MAX, Duration::MAX);
    assert_eq!(window.crashes.capacity(), 0);
    for crash in 0..30_000 {
        let expected = if crash < 10_000 {
            Restart
        } else {
            LimitReached
        };
        assert_eq!(window.record(ms(crash)), expected);
    }
    assert_eq!(window.len(), 10_000);
    assert!(window.crashes.capacity() <= 20_000);
}

#[test]
fn time_does_not_go_back() {
    let mut window = RestartWindow::new(1, Duration::from_secs(1));
    assert_eq!(window.record(ms(5000)), Restart);
    assert_eq!(window.record(ms(1)), LimitReached);
}

proptest! {
    /// The definition, told plainly: a crash is one too many when `intensity` others lie at most
    /// one period before it.
    #[test]
    fn agrees_with_the_definition(
        intensity in 0u32..6,
        period in 1u64..50,
        gaps in vec(0u64..20, 0..200),
    ) {
        let mut window = RestartWindow::new(intensity, Duration::from_nanos(period));
        let mut all: Vec<u64> = Vec::new();
        let mut now = 1;
        for gap in gaps {
            now += gap;
            let recent = all.iter().filter(|&&at| now - at <= period).count();
            let expected = if recent < intensity as usize { Restart } else { LimitReached };
            prop_assert_eq!(window.record(Tick(now)), expected);
            prop_assert!(window.len() <= intensity as usize);
            all.push(now);
        }
    }
}

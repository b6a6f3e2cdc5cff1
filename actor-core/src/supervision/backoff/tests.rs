use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);

/// The delays of a child that crashes the moment it is restarted.
fn crash_loop(backoff: &Backoff, randoms: &[u64]) -> Vec<Duration> {
    let mut state = BackoffState::default();
    let mut now = Tick(1);
    let mut delays = Vec::new();
    for &random in randoms {
        let delay = state.next(now, backoff, random);
        delays.push(delay);
        now = now.after(delay);
    }
    delays
}

#[test]
fn s20_delays_double_up_to_the_maximum() {
    let backoff = Backoff::new(10 * MS, 100 * MS).jitter(0);
    let delays = crash_loop(&backoff, &[7; 6]);
    assert_eq!(delays, [10, 20, 40, 80, 100, 100].map(|n| n * MS));
    let steep = crash_loop(&backoff.factor(5), &[7; 3]);
    assert_eq!(steep, [10, 50, 100].map(|n| n * MS));
    assert_eq!(crash_loop(&backoff.factor(1), &[7; 3]), [10 * MS; 3]);
}

#[test]
fn s20_waiting_is_not_quiet() {
    // reset_after is as long as the longest delay: a child that always fails stays at it.
    let backoff = Backoff::new(MS, 30 * MS).jitter(0);
    let delays = crash_loop(&backoff, &[0; 50]);
    assert_eq!(delays[5..], [30 * MS; 45]);
}

#[test]
fn s20_resets_exactly_after_the_quiet_period() {
    let backoff = Backoff::new(10 * MS, 1000 * MS)
        .jitter(0)
        .reset_after(50 * MS);
    for (up, expected) in [
        (Duration::ZERO, 20 * MS),
        (50 * MS - Duration::from_nanos(1), 20 * MS),
        (50 * MS, 10 * MS),
        (5000 * MS, 10 * MS),
    ] {
        let mut state = BackoffState::default();
        let first = state.next(Tick(1), &backoff, 0);
        let second = state.next(Tick(1).after(first).after(up), &backoff, 0);
        assert_eq!((first, second), (10 * MS, expected), "up for {up:?}");
    }
}

#[test]
fn s20_jitter_spreads_within_the_bounds_at_both_ends() {
    let backoff = Backoff::new(100 * MS, 200 * MS).jitter(50);
    let low = crash_loop(&backoff, &[0; 2]);
    let high = crash_loop(&backoff, &[u64::MAX; 2]);
    assert_eq!(low, [100 * MS, 100 * MS]);
    assert_eq!(high, [150 * MS, 200 * MS]);
    let middle = crash_loop(&backoff, &[u64::MAX / 2; 2]);
    assert_eq!(middle.map_ms(), [125, 150]);
}

trait Millis {
    fn map_ms(&self) -> Vec<u128>;
}

impl Millis for Vec<Duration> {
    fn map_ms(&self) -> Vec<u128> {
        self.iter()
            .map(|d| (d.as_nanos() + 500_000) / 1_000_000)
            .collect()
    }
}

#[test]
fn none_restarts_at_once() {
    assert_eq!(Backoff::default(), Backoff::none());
    assert_eq!(Backoff::none().factor(9).jitter(9).check(), Ok(()));
    assert_eq!(crash_loop(&Backoff::none(), &[1, 2]), [Duration::ZERO; 2]);
}

#[test]
fn check_names_the_option_and_the_range() {
    let good = Backoff::new(10 * MS, 5000 * MS);
    assert_eq!(good.check(), Ok(()));
    assert_eq!(Backoff::new(MS, MS).jitter(100).factor(100).check(), Ok(()));
    assert_eq!(Backoff::new(MS, Duration::MAX).check(), Ok(()));
    for (backoff, field, value) in [
        (Backoff::new(Duration::ZERO, MS), "min", "0 s"),
        (
            Backoff::new(2 * MS, MS),
            "max",
            "0.001 s with a min of 0.002 s",
        ),
        (good.factor(0), "factor", "0"),
        (good.factor(101), "factor", "101"),
        (good.jitter(101), "jitter", "101 %"),
        (good.reset_after(Duration::ZERO), "reset_after", "0 s"),
    ] {
        let error = backoff.check().unwrap_err();
        assert_eq!(error.field(), format!("backoff {field}"));
        assert_eq!(error.value(), value);
        assert!(error.to_string().contains("must be "), "{error}");
    }
    assert_eq!(
        Backoff::new(2 * MS, MS).check().unwrap_err().to_string(),
        "backoff max is 0.001 s with a min of 0.002 s: must be at least as long as min"
    );
}

proptest! {
    #[test]
    fn s20_delays_stay_within_bounds_and_grow(
        min in 1u64..1_000_000_000,
        span in 0u64..1_000_000_000_000,
        factor in 2u32..=100,
        jitter in 0u32..=33,
        randoms in vec(any::<u64>(), 1..60),
    ) {
        let (min, max) = (Duration::from_nanos(min), Duration::from_nanos(min + span));
        let backoff = Backoff::new(min, max).factor(factor).jitter(jitter);
        prop_assert!(backoff.check().is_ok());
        let delays = crash_loop(&backoff, &randoms);
        // With a factor of 2 and at most a third of jitter the bands of two steps do not overlap.
        let floor_at_max = Duration::from_nanos((max.as_nanos() as f64 * 0.66) as u64);
        for pair in delays.windows(2) {
            prop_assert!(pair[0] <= pair[1] || pair[1] >= floor_at_max, "{delays:?}");
        }
        for delay in delays {
            prop_assert!((min..=max).contains(&delay));
        }
    }

    #[test]
    fn s20_a_quiet_period_resets(
        randoms in vec(any::<u64>(), 1..20),
        quiet in 1u64..10_000_000_000,
        jitter in 0u32..=100,
    ) {
        let quiet = Duration::from_nanos(quiet);
        let backoff = Backoff::new(MS, 60_000 * MS).jitter(jitter).reset_after(quiet);
        let mut state = BackoffState::default();
        let mut now = Tick(1);
        for &random in &randoms {
            now = now.after(state.next(now, &backoff, random));
        }
        let fresh = BackoffState::default().next(now, &backoff, 5);
        prop_assert_eq!(state.next(now.after(quiet), &backoff, 5), fresh);
    }

    #[test]
    fn unchecked_numbers_never_panic(
        min: u64, max: u64, factor: u32, jitter: u32, reset: u64,
        calls in vec((any::<u64>(), any::<u64>()), 1..10),
    ) {
        let backoff = Backoff::new(Duration::from_millis(min), Duration::from_millis(max))
            .factor(factor)
            .jitter(jitter)
            .reset_after(Duration::from_millis(reset));
        let mut state = BackoffState::default();
        for (now, random) in calls {
            let _ = state.next(Tick(now), &backoff, random);
        }
    }
}

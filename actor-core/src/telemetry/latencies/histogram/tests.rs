use proptest::prelude::*;

use super::*;

#[test]
fn each_time_is_in_its_bucket_and_buckets_do_not_overlap() {
    let mut last = 0;
    for index in 1..BUCKETS {
        let (before, end) = (end_of(index - 1), end_of(index));
        assert!(end > before, "{index}");
        assert_eq!(index_of(before + 1), index);
        assert_eq!(index_of(end), index);
        last = end;
    }
    assert!(last >= MAX);
    assert_eq!(index_of(u64::MAX), BUCKETS - 1);
}

#[test]
fn an_empty_one_says_nothing() {
    let none = LatencyHistogram::default();
    assert_eq!(
        (none.count(), none.quantile(0.99), none.mean()),
        (0, Duration::ZERO, Duration::ZERO)
    );
    assert_eq!(none.count_within(Duration::from_secs(1)), 0);
}

#[test]
fn a_measurement_speaks_for_its_weight() {
    let mut times = LatencyHistogram::default();
    times.add(1000, 99);
    times.add(1_000_000, 1);
    assert_eq!(times.count(), 100);
    let about =
        |time: Duration, of: u64| time.as_nanos().abs_diff(u128::from(of)) * 32 <= u128::from(of);
    assert!(about(times.quantile(0.5), 1000) && about(times.quantile(0.99), 1000));
    assert_eq!(times.quantile(1.0), Duration::from_millis(1));
    assert_eq!(times.count_within(Duration::from_micros(2)), 99);
    assert_eq!(times.count_within(Duration::MAX), 100);
    assert_eq!(times.sum(), Duration::from_nanos(99_000 + 1_000_000));
}

proptest! {
    #[test]
    fn quantiles_are_off_by_three_percent_at_most(mut times in proptest::collection::vec(0u64..MAX, 1..200), share in 0.0f64..=1.0) {
        let (mut left, mut right) = (LatencyHistogram::default(), LatencyHistogram::default());
        for (index, time) in times.iter().enumerate() {
            if index % 2 == 0 { left.add(*time, 1) } else { right.add(*time, 1) }
        }
        let both = left.with(&right);
        times.sort_unstable();
        let rank = ((share * times.len() as f64).ceil() as usize).max(1);
        let exact = u128::from(times[rank - 1]);
        let found = both.quantile(share).as_nanos();
        prop_assert!(found >= exact && (found - exact) * 32 <= exact.max(32), "{found} for {exact}");
        prop_assert_eq!(both.count(), times.len() as u64);
        prop_assert_eq!(both.count_within(Duration::MAX), times.len() as u64);
    }
}

//! How loaded the workers are: the share of a time that each has spent on a CPU. Pure.

use std::time::Duration;

/// Of each worker, from its time on a CPU before and now, and the time between.
pub(super) fn loads(
    before: &[Option<Duration>],
    now: &[Option<Duration>],
    between: Duration,
) -> Vec<Option<f64>> {
    let load = |(before, now): (&Option<Duration>, &Option<Duration>)| {
        let spent = (*now)?.checked_sub((*before)?)?;
        // The kernel brings the figure of a thread that runs up to date at its ticks only.
        (!between.is_zero()).then(|| (spent.as_secs_f64() / between.as_secs_f64()).min(1.0))
    };
    before.iter().zip(now).map(load).collect()
}

/// The mean of those that are known.
pub(super) fn mean(loads: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let known: Vec<f64> = loads.flatten().collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_the_share_of_the_time_between() {
        let ms = |ms| Some(Duration::from_millis(ms));
        let before = [ms(100), ms(100), None, ms(100), ms(100)];
        let now = [ms(350), ms(100), ms(5), None, ms(2000)];
        let loads = loads(&before, &now, Duration::from_secs(1));
        assert_eq!(loads, [Some(0.25), Some(0.0), None, None, Some(1.0)]);
        assert_eq!(mean(loads.into_iter().take(3)), Some(0.125));
        assert_eq!(mean([None].into_iter()), None);
    }

    #[test]
    fn no_time_between_is_no_load() {
        let some = [Some(Duration::ZERO)];
        assert_eq!(loads(&some, &some, Duration::ZERO), [None]);
    }
}

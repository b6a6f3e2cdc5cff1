//! How long messages wait and handlers take, as the console tells it. Pure.

use std::time::Duration;

use actor_core::LatencyHistogram;

use super::api::Spread;

/// How a histogram is spread; `None` if there is nothing in it.
pub(super) fn spread(of: &LatencyHistogram) -> Option<Spread> {
    let at = |share| ns(of.quantile(share));
    (of.count() > 0).then(|| Spread {
        samples: of.count(),
        mean_ns: ns(of.mean()),
        p50_ns: at(0.5),
        p90_ns: at(0.9),
        p99_ns: at(0.99),
        p999_ns: at(0.999),
        max_ns: ns(of.max()),
    })
}

/// The time that this share of what came between two looks at one histogram did not exceed, to its step; `None` when
/// nothing came.
pub(super) fn between(
    before: &LatencyHistogram,
    now: &LatencyHistogram,
    share: f64,
) -> Option<u64> {
    let came = now.count().saturating_sub(before.count());
    if came == 0 {
        return None;
    }
    let wanted = ((came as f64 * share).ceil() as u64).max(1);
    let within = |nanos: u64| {
        let time = Duration::from_nanos(nanos);
        now.count_within(time)
            .saturating_sub(before.count_within(time))
    };
    // The shortest time within which so many are: counts only grow with it.
    let (mut low, mut high) = (0, ns(now.max()));
    while low < high {
        let middle = low + (high - low) / 2;
        if within(middle) >= wanted {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Some(low)
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

//! The number of this process's life: greater than that of every life before, without a file to keep it in.
//!
//! It is the time of the start, in microseconds since 1970. Where clocks go back over a restart (a machine without a
//! battery, a restored snapshot) the peers know a greater number and say so; the next start is above it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::id::Incarnation;

/// For a process that starts at `now`, whose earlier lives, as far as is known, were at most `known`.
pub(super) fn incarnation_at(now: SystemTime, known: Option<Incarnation>) -> Incarnation {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let by_clock = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
    let above = known.map_or(1, |known| known.0.saturating_add(1));
    Incarnation(by_clock.max(above))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_life_is_greater_whatever_the_clock_says() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let first = incarnation_at(now, None);
        assert_eq!(first, Incarnation(1_000_000_000_000));
        assert!(incarnation_at(now + Duration::from_micros(1), None) > first);
        // A clock that was set back.
        assert_eq!(incarnation_at(UNIX_EPOCH, Some(first)).0, first.0 + 1);
        // One before 1970.
        assert_eq!(
            incarnation_at(UNIX_EPOCH - Duration::from_secs(1), None),
            Incarnation(1)
        );
    }
}

//! When it is time to decide: what is seen must have stayed the same for a while.

use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nobody is unreachable, or not for long enough.
    Wait,
    /// Nothing has changed for the stability time.
    Stable,
    /// It has changed again and again, for too long.
    Unstable,
}

/// Since when somebody is unreachable, and since when nothing has changed.
#[derive(Clone, Debug)]
pub(crate) struct Stability {
    stable_after: Duration,
    unstable_after: Option<Duration>,
    began: Option<Instant>,
    changed: Option<Instant>,
}

impl Stability {
    pub(crate) fn new(stable_after: Duration, unstable_after: Option<Duration>) -> Self {
        Self {
            stable_after,
            unstable_after,
            began: None,
            changed: None,
        }
    }

    /// Something has changed about who is there and who is unreachable; whether anybody is.
    pub(crate) fn observe(&mut self, anybody: bool, now: Instant) {
        if anybody {
            self.began.get_or_insert(now);
            self.changed = Some(now);
        } else {
            // What healed may break again: the trouble is over when nothing has happened for the stability time.
            self.changed = self.began.map(|_| now);
            if self.unstable_after.is_none() {
                self.began = None;
                self.changed = None;
            }
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let stable = self.changed? + self.stable_after;
        let unstable = self
            .unstable_after
            .and_then(|after| self.began.map(|began| began + after));
        Some(unstable.map_or(stable, |unstable| unstable.min(stable)))
    }

    pub(crate) fn verdict(&self, now: Instant) -> Verdict {
        match self.changed {
            Some(changed) if now >= changed + self.stable_after => Verdict::Stable,
            Some(_) if self.deadline().is_some_and(|deadline| now >= deadline) => Verdict::Unstable,
            _ => Verdict::Wait,
        }
    }

    /// It cannot be decided yet, though nothing has changed.
    pub(crate) fn postpone(&mut self, until: Instant) {
        let since = until.checked_sub(self.stable_after).unwrap_or(until);
        self.began = Some(since);
        self.changed = Some(since);
    }

    /// It was decided; the next change begins anew.
    pub(crate) fn settle(&mut self) {
        self.began = None;
        self.changed = None;
    }

    /// So much time has not passed for us.
    pub(crate) fn shift(&mut self, by: Duration) {
        for time in [&mut self.began, &mut self.changed].into_iter().flatten() {
            *time += by;
        }
    }
}

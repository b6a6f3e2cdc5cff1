//! Leaks, named: reports and samples of a running system. What is looked for: `telemetry::leaks`.

use std::io;
use std::time::Duration;

use super::SystemRef;
use crate::telemetry::{LeakOptions, LeakReport, leaks};

impl SystemRef {
    /// What looks as if it had been forgotten, with the evidence and what to do: actors that do nothing and
    /// that nobody seems to need, asks that nobody waits for any more, types that only grow in
    /// number, very long lists of watches. With the defaults of [`LeakOptions`].
    ///
    /// A walk past the workers (10^6 actors: some hundredths of a second), then questions to the suspects,
    /// which are answered ahead of their mailboxes; at most half a second in all beyond the walk. The
    /// thread waits meanwhile: in async code use `spawn_blocking`. From a handler it does not
    /// wait, and suspects are not asked.
    ///
    /// Time passes between samples only, and a report is a sample: the first knows of no idle actor. Call
    /// it, or [`sample_leaks`](Self::sample_leaks), regularly, or have the system do it by
    /// [`sample_leaks_every`](Self::sample_leaks_every).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use actor_core::{LeakOptions, prelude::*};
    ///
    /// struct Forgotten;
    /// impl Actor for Forgotten {}
    ///
    /// let system = ActorSystem::new()?;
    /// system.spawn(Forgotten)?;
    /// system.sample_leaks();
    /// let report = system.leak_report_with(&LeakOptions::new().idle_for(Duration::ZERO));
    /// println!("{report}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn leak_report(&self) -> LeakReport {
        self.leak_report_with(&LeakOptions::new())
    }

    /// As [`leak_report`](Self::leak_report), with other limits.
    pub fn leak_report_with(&self, options: &LeakOptions) -> LeakReport {
        leaks::survey(self.runtime, &self.plan.leaks, options)
    }

    /// Notes who is quiet and how many there are of each type, for later reports.
    pub fn sample_leaks(&self) {
        leaks::sample(self.runtime, &self.plan.leaks);
    }

    /// Has a thread of its own call [`sample_leaks`](Self::sample_leaks) at that period, at least a
    /// millisecond, until the system has ended. Once a minute is enough for the defaults. A second call
    /// changes the period, from the next sample on.
    ///
    /// # Errors
    ///
    /// If the operating system has no thread for it.
    pub fn sample_leaks_every(&self, period: Duration) -> io::Result<()> {
        let history = &self.plan.leaks;
        if !history.sample_every(period.max(Duration::from_millis(1))) {
            return Ok(());
        }
        let system = *self;
        let sampler = move || {
            let runtime = system.runtime;
            while !runtime.ended().wait(system.plan.leaks.period())
                && !runtime.scheduler().is_stopping()
            {
                system.sample_leaks();
            }
            system.plan.leaks.sampling_ended();
        };
        let spawned = std::thread::Builder::new()
            .name("actor-leaks".to_owned())
            .spawn(sampler);
        if spawned.is_err() {
            history.sampling_ended();
        }
        spawned.map(drop)
    }
}

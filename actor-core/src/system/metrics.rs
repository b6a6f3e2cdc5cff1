//! All figures of a system as families of metrics, and the seam for those of others.

use std::sync::Arc;

use super::SystemRef;
use crate::telemetry::metrics::{self, Look, Reading, STANDING_MAX, Source};

impl SystemRef {
    /// All figures of the system, with those that others have added: what OTLP exports and Prometheus reads.
    ///
    /// It reads counters, and walks past all actors if nobody has for ten seconds (10^6 of them take some hundredths
    /// of a second): not on a worker or a reactor, but where blocking work goes. Series are bounded, as [`Reading`] says.
    ///
    /// # Examples
    ///
    /// A scrape without the console:
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// let system = ActorSystem::new()?;
    /// let text = system.metrics().prometheus(); // text/plain; version=0.0.4
    /// assert!(text.contains("\nactor_actors 0\n"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn metrics(&self) -> Reading {
        let sources = &self.plan.metrics;
        let unpinned = self.pin_failures().len() + self.lost_pins().len();
        let look = Look {
            stats: self.stats(),
            latencies: self.latencies(),
            busiest: self.busiest(STANDING_MAX),
            most_restarted: self.most_restarted(STANDING_MAX),
            failures: self.failures_by_type(),
            census: sources.census(|visit| self.for_each_actor(visit)),
            cpu_times: self.worker_cpu_times(),
            unpinned,
            is_ready: self.is_ready() && !self.is_shutting_down(),
            age: sources.age(),
        };
        let mut reading = Reading::new(sources.since());
        metrics::read(&look, &mut reading);
        sources.read(&mut reading);
        reading.finish()
    }

    /// Adds figures to every [reading](Self::metrics) from now on, and so to what OTLP exports and the console shows to
    /// Prometheus: until what it returns is dropped, or for ever ([`Source::forever`]).
    ///
    /// `read` is called on the thread of who asks, after the system's own figures, now and then by several at a time. It
    /// should only look at counters: everybody who asks waits for it. If it panics, what it has added by then counts.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// let system = ActorSystem::new()?;
    /// let sold = Arc::new(AtomicU64::new(0));
    /// let counter = sold.clone();
    /// let source = system.add_metrics(move |reading| {
    ///     let mut family = reading.counter("shop.sold", "{item}", "Items sold, by shop.");
    ///     family.add(&[("shop", "north")], counter.load(Ordering::Relaxed));
    /// });
    /// sold.fetch_add(3, Ordering::Relaxed);
    /// assert!(system.metrics().prometheus().contains("shop_sold_total{shop=\"north\"} 3"));
    /// drop(source);
    /// assert!(!system.metrics().prometheus().contains("shop_sold"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_metrics(&self, read: impl Fn(&mut Reading) + Send + Sync + 'static) -> Source {
        self.plan.metrics.add(Arc::new(read))
    }
}

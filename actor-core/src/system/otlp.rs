//! Beginning an export to an OpenTelemetry collector.

use std::io;

use super::SystemRef;
use crate::telemetry::otlp::{OtlpExport, OtlpOptions};

impl SystemRef {
    /// Exports the system's traces and figures to an OpenTelemetry collector, until the system has ended.
    ///
    /// What is traced is decided by [`TracingOptions::sample`](crate::TracingOptions::sample), or by
    /// `OTEL_TRACES_SAMPLER` if the options come from variables and that is set. No worker waits for any of
    /// this. A collector that is down, hangs or refuses is told once as a warning, and counted
    /// ([`OtlpExport::stats`], and among the system's own [metrics](Self::metrics)). The end of a shutdown waits for what is under way, as long as
    /// [`TracingOptions::flush_within`](crate::TracingOptions::flush_within) says.
    ///
    /// A `tokio` runtime is neither needed nor in the way.
    ///
    /// # Errors
    ///
    /// What the operating system says to a new thread; `NotConnected` if the system has ended. Options that make
    /// no sense are not errors: they are warnings ([`OtlpExport::warnings`]).
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::otlp::OtlpOptions;
    /// use actor_core::{TracingOptions, prelude::*};
    ///
    /// let system = ActorSystem::builder()
    ///     .tracing(TracingOptions::new().sample(0.01))
    ///     .build()?;
    /// // OTEL_EXPORTER_OTLP_ENDPOINT and the other variables, or http://localhost:4318.
    /// let export = system.export_otlp(OtlpOptions::from_env().service_name("shop"))?;
    /// println!("{:?}", export.stats());
    /// # std::mem::forget(system); // without a collector: not to wait for one
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn export_otlp(&self, options: OtlpOptions) -> io::Result<OtlpExport> {
        let share = OtlpExport::sample(&options);
        let system = *self;
        let (export, exporter) = OtlpExport::start(options, move || system.metrics())?;
        if let Some(exporter) = exporter {
            self.add_span_exporter(exporter)?;
            let told = export.clone();
            self.add_metrics(move |reading| told.read(reading))
                .forever();
            if let Some(share) = share {
                self.set_sampling(share).map_err(io::Error::other)?;
            }
        }
        Ok(export)
    }
}

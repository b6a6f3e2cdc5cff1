//! What an export is told: by the program, by variables, by default, in this order.

use std::fmt;
#[cfg(feature = "otlp-tls")]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;

use super::env::{self, OtlpWarning};
use crate::random;

/// How the collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP with protobuf, the default; port 4318 by custom.
    HttpProtobuf,
    /// gRPC, with the feature `otlp-grpc`; port 4317 by custom.
    Grpc,
}

impl Protocol {
    pub(super) const fn default_endpoint(self) -> &'static str {
        match self {
            Self::HttpProtobuf => "http://localhost:4318",
            Self::Grpc => "http://localhost:4317",
        }
    }
}

#[derive(Clone, PartialEq)]
pub(super) struct Settings {
    pub(super) is_on: bool,
    pub(super) traces_on: bool,
    pub(super) metrics_on: bool,
    pub(super) protocol: Protocol,
    pub(super) endpoint: Option<String>,
    pub(super) traces_endpoint: Option<String>,
    pub(super) metrics_endpoint: Option<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) certificate: Option<PathBuf>,
    pub(super) client_certificate: Option<PathBuf>,
    pub(super) client_key: Option<PathBuf>,
    pub(super) timeout: Duration,
    pub(super) sample: Option<f64>,
    pub(super) queue: usize,
    pub(super) batch: usize,
    pub(super) delay: Duration,
    pub(super) export_limit: Duration,
    pub(super) metrics_every: Duration,
    pub(super) compresses_metrics: bool,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) service_name: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            is_on: true,
            traces_on: true,
            metrics_on: true,
            protocol: Protocol::HttpProtobuf,
            endpoint: None,
            traces_endpoint: None,
            metrics_endpoint: None,
            headers: Vec::new(),
            certificate: None,
            client_certificate: None,
            client_key: None,
            timeout: Duration::from_secs(10),
            sample: None,
            queue: 2048,
            batch: 512,
            delay: Duration::from_secs(5),
            export_limit: Duration::from_secs(30),
            metrics_every: Duration::from_secs(60),
            compresses_metrics: false,
            attributes: Vec::new(),
            service_name: None,
        }
    }
}

impl Settings {
    pub(super) fn traces_url(&self) -> String {
        self.url(self.traces_endpoint.as_deref(), "v1/traces")
    }

    pub(super) fn metrics_url(&self) -> String {
        self.url(self.metrics_endpoint.as_deref(), "v1/metrics")
    }

    /// An endpoint for one signal is taken as it is; the general one gets a path, except for gRPC.
    fn url(&self, own: Option<&str>, path: &str) -> String {
        if let Some(own) = own {
            return own.to_owned();
        }
        let default = self.protocol.default_endpoint();
        let general = self.endpoint.as_deref().unwrap_or(default);
        match self.protocol {
            Protocol::HttpProtobuf => format!("{}/{path}", general.trim_end_matches('/')),
            Protocol::Grpc => general.to_owned(),
        }
    }

    /// Who sends this.
    pub(super) fn resource(&self) -> Resource {
        let pair = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
        let mut attributes = vec![
            pair("telemetry.sdk.language", "rust"),
            pair("telemetry.sdk.name", "opentelemetry"),
            pair("telemetry.distro.name", "actor-core"),
            pair("telemetry.distro.version", env!("CARGO_PKG_VERSION")),
            pair("service.instance.id", &format!("{:032x}", random_id())),
            KeyValue::new("process.pid", i64::from(std::process::id())),
        ];
        if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
            attributes.push(pair("host.name", host.trim()));
        }
        let own = self.attributes.iter();
        attributes.extend(own.map(|(key, value)| pair(key, value)));
        // The name of its own variable comes before one among the attributes.
        let is_named = self.attributes.iter().any(|(key, _)| key == "service.name");
        match &self.service_name {
            Some(name) => attributes.push(pair("service.name", name)),
            None if is_named => {}
            None => attributes.push(pair("service.name", &unknown_service())),
        }
        Resource::builder_empty()
            .with_attributes(attributes)
            .build()
    }
}

/// As the specification says: with the name of the program.
fn unknown_service() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_ref().and_then(|path| path.file_stem());
    match name.and_then(|name| name.to_str()) {
        Some(name) => format!("unknown_service:{name}"),
        None => "unknown_service".to_owned(),
    }
}

fn random_id() -> u128 {
    random::nonzero_u128().get()
}

/// How traces and metrics are exported: for [`SystemRef::export_otlp`](crate::SystemRef::export_otlp).
///
/// [`from_env`](Self::from_env) heeds the standard variables of OpenTelemetry; what is said here comes before
/// them.
///
/// | option | variable | default |
/// |---|---|---|
/// | [`endpoint`](Self::endpoint) | `OTEL_EXPORTER_OTLP_ENDPOINT`, `.._TRACES_ENDPOINT`, `.._METRICS_ENDPOINT` | `http://localhost:4318` |
/// | [`protocol`](Self::protocol) | `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf` |
/// | [`header`](Self::header) | `OTEL_EXPORTER_OTLP_HEADERS` | none |
/// | `certificate`, `client_certificate` (feature `otlp-tls`) | `OTEL_EXPORTER_OTLP_CERTIFICATE`, `.._CLIENT_CERTIFICATE`, `.._CLIENT_KEY` | what the operating system trusts; none |
/// | [`timeout`](Self::timeout) | `OTEL_EXPORTER_OTLP_TIMEOUT`, in ms | 10 s for a batch with its retries |
/// | [`service_name`](Self::service_name) | `OTEL_SERVICE_NAME` | `unknown_service:` and the program's name |
/// | [`attribute`](Self::attribute) | `OTEL_RESOURCE_ATTRIBUTES` | host, process, an id of the instance |
/// | [`metrics_every`](Self::metrics_every) | `OTEL_METRIC_EXPORT_INTERVAL`, in ms | 60 s |
/// | [`batches`](Self::batches) | `OTEL_BSP_MAX_QUEUE_SIZE`, `.._MAX_EXPORT_BATCH_SIZE`, `.._SCHEDULE_DELAY` | 2048 spans, 512, 5 s |
/// | | `OTEL_EXPORTER_OTLP_COMPRESSION`, `.._TRACES_COMPRESSION`, `.._METRICS_COMPRESSION`: `gzip`, `none`; of HTTP | `none` |
/// | | `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`: `cumulative` | `cumulative` |
/// | `TracingOptions::sample` | `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` | as the system was built |
/// | | `OTEL_TRACES_EXPORTER`, `OTEL_METRICS_EXPORTER`: `otlp`, `none` | `otlp` |
/// | | `OTEL_SDK_DISABLED` | `false` |
///
/// Samplers are always parent-based: what comes in sampled is recorded.
#[derive(Clone)]
#[must_use = "given to SystemRef::export_otlp"]
pub struct OtlpOptions {
    pub(super) settings: Settings,
    pub(super) warnings: Vec<OtlpWarning>,
}

impl OtlpOptions {
    /// The defaults, whatever the variables say.
    pub fn new() -> Self {
        Self {
            settings: Settings::default(),
            warnings: Vec::new(),
        }
    }

    /// What the standard variables say, and the defaults. Values that make no sense are not used;
    /// [`warnings`](Self::warnings) has them, and they are logged when the export begins.
    pub fn from_env() -> Self {
        let (settings, warnings) = env::read(&|variable| std::env::var(variable).ok());
        Self { settings, warnings }
    }

    /// Values of variables that are not used, and why.
    pub fn warnings(&self) -> &[OtlpWarning] {
        &self.warnings
    }

    /// Where the collector is: `http://host:port`, with the path before `/v1/traces` if there is one. `https` with the
    /// feature `otlp-tls`, by HTTP with protobuf.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        let url = url.into();
        match env::check_url(&url) {
            Ok(()) => {
                self.settings.endpoint = Some(url);
                self.settings.traces_endpoint = None;
                self.settings.metrics_endpoint = None;
            }
            Err(allowed) => self.warnings.push(OtlpWarning {
                variable: "endpoint".to_owned(),
                value: url,
                allowed: allowed.to_owned(),
                used: self.settings.url(None, ""),
            }),
        }
        self
    }

    /// HTTP or gRPC.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.settings.protocol = protocol;
        self
    }

    /// Goes with every request: a key of the collector's.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.push((name.into(), value.into()));
        self
    }

    /// Whom `https` trusts: the certificates of this file (PEM) instead of those that the operating system trusts.
    #[cfg(feature = "otlp-tls")]
    pub fn certificate(mut self, file: impl AsRef<Path>) -> Self {
        self.settings.certificate = Some(file.as_ref().to_owned());
        self
    }

    /// As whom `https` speaks to a collector that asks: certificate and key, both PEM.
    #[cfg(feature = "otlp-tls")]
    pub fn client_certificate(
        mut self,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Self {
        self.settings.client_certificate = Some(certificate.as_ref().to_owned());
        self.settings.client_key = Some(key.as_ref().to_owned());
        self
    }

    /// How long one batch may take, retries included.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout.max(Duration::from_millis(1));
        self
    }

    /// Under which name traces and metrics are found.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.settings.service_name = Some(name.into());
        self
    }

    /// What else there is to say about this process, by OpenTelemetry's names.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.attributes.push((key.into(), value.into()));
        self
    }

    /// Between two exports of metrics.
    pub fn metrics_every(mut self, interval: Duration) -> Self {
        self.settings.metrics_every = interval.max(Duration::from_millis(1));
        self
    }

    /// Whether traces are exported, and whether metrics are.
    pub fn signals(mut self, traces: bool, metrics: bool) -> Self {
        (self.settings.traces_on, self.settings.metrics_on) = (traces, metrics);
        self
    }

    /// At most `queue` spans wait; they go in batches of up to `batch`, at the latest after `delay`.
    pub fn batches(mut self, queue: usize, batch: usize, delay: Duration) -> Self {
        self.settings.queue = queue.max(1);
        self.settings.batch = batch.clamp(1, self.settings.queue);
        self.settings.delay = delay;
        self
    }
}

impl Default for OtlpOptions {
    fn default() -> Self {
        Self::from_env()
    }
}

/// Without the values of headers, which are secrets.
impl fmt::Debug for OtlpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settings.fmt(f)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&String> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("OtlpOptions")
            .field("is_on", &self.is_on)
            .field("traces", &self.traces_url())
            .field("metrics", &self.metrics_url())
            .field("protocol", &self.protocol)
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

//! The standard variables of OpenTelemetry: pure, from a look-up to settings and complaints.
//!
//! A value that makes no sense never stops a service: it is told once, with the variable, the value, what is
//! allowed, and what is used instead.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::settings::{Protocol, Settings};

/// A variable whose value was not used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpWarning {
    /// The variable, or the option of [`OtlpOptions`](super::OtlpOptions).
    pub variable: String,
    /// Its value; of headers, which are secrets, only the name.
    pub value: String,
    /// What would have been allowed.
    pub allowed: String,
    /// What is used instead.
    pub used: String,
}

impl fmt::Display for OtlpWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            variable,
            value,
            allowed,
            used,
        } = self;
        write!(
            f,
            "{variable} is {value:?}, allowed is {allowed}; used is {used}"
        )
    }
}

/// What a look-up of variables says, and what it does not make sense of.
pub(super) struct Read<'a> {
    look_up: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<OtlpWarning>,
}

/// Settings as the variables have them.
pub(super) fn read(look_up: &dyn Fn(&str) -> Option<String>) -> (Settings, Vec<OtlpWarning>) {
    let mut read = Read {
        look_up,
        warnings: Vec::new(),
    };
    let mut settings = Settings::default();
    read.fill(&mut settings);
    (settings, read.warnings)
}

impl Read<'_> {
    fn fill(&mut self, settings: &mut Settings) {
        settings.is_on = !self
            .word("OTEL_SDK_DISABLED", &["true", "false"], "false")
            .eq("true");
        settings.traces_on = self.word("OTEL_TRACES_EXPORTER", &["otlp", "none"], "otlp") == "otlp";
        settings.metrics_on =
            self.word("OTEL_METRICS_EXPORTER", &["otlp", "none"], "otlp") == "otlp";

        let protocols: &[&str] = if cfg!(feature = "otlp-grpc") {
            &["http/protobuf", "grpc"]
        } else {
            // gRPC with the feature `otlp-grpc`.
            &["http/protobuf"]
        };
        let protocol = self.word("OTEL_EXPORTER_OTLP_PROTOCOL", protocols, "http/protobuf");
        settings.protocol = if protocol == "grpc" {
            Protocol::Grpc
        } else {
            Protocol::HttpProtobuf
        };
        settings.endpoint = self.url(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            settings.protocol.default_endpoint(),
        );
        settings.traces_endpoint =
            self.url("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "the general endpoint");
        settings.metrics_endpoint = self.url(
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "the general endpoint",
        );
        let (timeout, longest) = (Duration::from_secs(10), 600_000);
        settings.timeout = self.millis("OTEL_EXPORTER_OTLP_TIMEOUT", longest, timeout);
        settings.headers = self.pairs("OTEL_EXPORTER_OTLP_HEADERS", true);
        settings.certificate = self.file("OTEL_EXPORTER_OTLP_CERTIFICATE");
        settings.client_certificate = self.file("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
        settings.client_key = self.file("OTEL_EXPORTER_OTLP_CLIENT_KEY");

        settings.sample = self.sampler();
        let queue = self.number("OTEL_BSP_MAX_QUEUE_SIZE", 1..=1_000_000, 2048);
        let batch_default = queue.min(512);
        settings.batch = self.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1..=queue, batch_default);
        settings.queue = queue;
        let delay = Duration::from_secs(5);
        settings.delay = self.millis("OTEL_BSP_SCHEDULE_DELAY", 600_000, delay);
        let limit = Duration::from_secs(30);
        settings.export_limit = self.millis("OTEL_BSP_EXPORT_TIMEOUT", 600_000, limit);
        let interval = Duration::from_secs(60);
        settings.metrics_every = self.millis("OTEL_METRIC_EXPORT_INTERVAL", 86_400_000, interval);

        // The spans' exporter heeds its own by itself.
        let general = self.word("OTEL_EXPORTER_OTLP_COMPRESSION", &["gzip", "none"], "none");
        let of_metrics = "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION";
        settings.compresses_metrics = self.word(of_metrics, &["gzip", "none"], general) == "gzip";
        let temporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        self.word(temporality, &["cumulative"], "cumulative");

        settings.attributes = self.pairs("OTEL_RESOURCE_ATTRIBUTES", false);
        settings.service_name = self.get("OTEL_SERVICE_NAME");
    }

    /// Its value, if it has one: an empty one is none, as the specification says.
    fn get(&self, variable: &str) -> Option<String> {
        (self.look_up)(variable)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    fn warn(&mut self, variable: &str, value: &str, allowed: String, used: &str) {
        self.warnings.push(OtlpWarning {
            variable: variable.to_owned(),
            value: value.to_owned(),
            allowed,
            used: used.to_owned(),
        });
    }

    fn word(
        &mut self,
        variable: &str,
        allowed: &[&'static str],
        default: &'static str,
    ) -> &'static str {
        let Some(value) = self.get(variable) else {
            return default;
        };
        if let Some(word) = allowed.iter().find(|word| value.eq_ignore_ascii_case(word)) {
            return word;
        }
        self.warn(variable, &value, allowed.join(" or "), default);
        default
    }

    fn number(
        &mut self,
        variable: &str,
        allowed: std::ops::RangeInclusive<usize>,
        default: usize,
    ) -> usize {
        let Some(value) = self.get(variable) else {
            return default;
        };
        match value.parse() {
            Ok(number) if allowed.contains(&number) => number,
            _ => {
                let range = format!("{} to {}", allowed.start(), allowed.end());
                self.warn(variable, &value, range, &default.to_string());
                default
            }
        }
    }

    fn millis(&mut self, variable: &str, most: usize, default: Duration) -> Duration {
        let default = usize::try_from(default.as_millis()).unwrap_or(most);
        Duration::from_millis(self.number(variable, 1..=most, default) as u64)
    }

    fn url(&mut self, variable: &str, default: &str) -> Option<String> {
        let value = self.get(variable)?;
        match check_url(&value) {
            Ok(()) => Some(value),
            Err(allowed) => {
                self.warn(variable, &value, allowed.to_owned(), default);
                None
            }
        }
    }

    /// A file with certificates or a key. Whether it is one, is seen when it is needed.
    fn file(&mut self, variable: &str) -> Option<PathBuf> {
        let value = self.get(variable)?;
        if cfg!(feature = "otlp-tls") {
            return Some(value.into());
        }
        let allowed = "a file, in a build with the feature `otlp-tls`".to_owned();
        self.warn(variable, &value, allowed, "none: this build has no TLS");
        None
    }

    /// The share of traces that begin here and are recorded; `None`: as the system was told.
    fn sampler(&mut self) -> Option<f64> {
        const SAMPLERS: &str = "always_on, always_off, traceidratio, parentbased_always_on, \
                                parentbased_always_off or parentbased_traceidratio";
        let (variable, argument) = ("OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG");
        let value = self.get(variable)?;
        // What comes in sampled is recorded here, whatever begins here: all samplers are parent-based.
        match value
            .to_ascii_lowercase()
            .trim_start_matches("parentbased_")
        {
            "always_on" => Some(1.0),
            "always_off" => Some(0.0),
            "traceidratio" => {
                let Some(share) = self.get(argument) else {
                    return Some(1.0);
                };
                match share.parse() {
                    Ok(share) if (0.0..=1.0).contains(&share) => Some(share),
                    _ => {
                        self.warn(argument, &share, "0 to 1".to_owned(), "1");
                        Some(1.0)
                    }
                }
            }
            _ => {
                let used = "the share that the system was built with";
                self.warn(variable, &value, SAMPLERS.to_owned(), used);
                None
            }
        }
    }

    /// `key=value,key=value`, percent-encoded.
    fn pairs(&mut self, variable: &str, secret: bool) -> Vec<(String, String)> {
        let Some(value) = self.get(variable) else {
            return Vec::new();
        };
        let mut pairs = Vec::new();
        for pair in value
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
        {
            let key = pair.split('=').next().unwrap_or_default().trim();
            let decoded = pair
                .split_once('=')
                .and_then(|(_, value)| decoded(value.trim()));
            match decoded {
                Some(value) if !key.is_empty() => pairs.push((key.to_owned(), value)),
                _ => {
                    let shown = if secret { key } else { pair };
                    let allowed = "key=value,key=value with values percent-encoded";
                    self.warn(variable, shown, allowed.to_owned(), "the other pairs");
                }
            }
        }
        pairs
    }
}

/// `Err`: what is allowed.
pub(super) fn check_url(url: &str) -> Result<(), &'static str> {
    const HAS_TLS: bool = cfg!(feature = "otlp-tls");
    let allowed = if HAS_TLS {
        "http://host:port or https://host:port"
    } else {
        "http://host:port (this build has no TLS, which is the feature `otlp-tls`: without it a local agent or \
         collector can go on with https)"
    };
    let parsed = reqwest::Url::parse(url).map_err(|_| allowed)?;
    let is_known = parsed.scheme() == "http" || HAS_TLS && parsed.scheme() == "https";
    if is_known && parsed.has_host() {
        Ok(())
    } else {
        Err(allowed)
    }
}

/// `None`: a `%` without two hex digits, or no UTF-8.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (rest.next()?, rest.next()?);
            let digit = |byte: u8| char::from(byte).to_digit(16);
            bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;

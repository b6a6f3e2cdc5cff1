//! How a request with metrics goes to the collector: by HTTP, tried again while that may help, or by gRPC.
//!
//! For as long as an export may take and no longer. What fails is not kept: the next reading has it all.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;

use super::books::Books;
use super::client::Client;
use super::settings::Settings;
use crate::random;

/// How often one is sent at most.
const TRIES: u32 = 3;
/// Before the second try, about; the third waits four times as long.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) enum Upload {
    Http(Http),
    #[cfg(feature = "otlp-grpc")]
    Grpc(Box<grpc::Grpc>),
}

impl Upload {
    pub(super) fn http(settings: &Settings, client: Client) -> Self {
        Self::Http(Http {
            client,
            url: settings.metrics_url(),
            headers: settings.headers.clone(),
            limit: settings.timeout,
            compresses: settings.compresses_metrics,
        })
    }

    /// Sends it and waits for the answer.
    pub(super) fn send(
        &self,
        request: ExportMetricsServiceRequest,
        books: &Arc<Books>,
    ) -> Result<(), String> {
        let result = match self {
            Self::Http(http) => http.send(&request),
            #[cfg(feature = "otlp-grpc")]
            Self::Grpc(grpc) => grpc.send(request),
        };
        let answer = result.inspect_err(|error| books.note_error(error.clone()))?;
        let Some(partial) = answer.partial_success else {
            return Ok(());
        };
        if partial.rejected_data_points == 0 {
            return Ok(());
        }
        let error = format!(
            "the collector rejected {} points: {}",
            partial.rejected_data_points, partial.error_message
        );
        books.note_error(error.clone());
        Err(error)
    }
}

pub(super) struct Http {
    client: Client,
    url: String,
    headers: Vec<(String, String)>,
    limit: Duration,
    compresses: bool,
}

/// A try that failed.
struct Failed {
    error: String,
    /// Whether another may do better, and how long the collector wants to be left alone first.
    again: Option<Duration>,
}

impl Http {
    fn send(
        &self,
        request: &ExportMetricsServiceRequest,
    ) -> Result<ExportMetricsServiceResponse, String> {
        let body = request.encode_to_vec();
        let body = if self.compresses {
            zipped(&body).map_err(|error| format!("metrics cannot be compressed: {error}"))?
        } else {
            body
        };
        let body = Bytes::from(body);
        let until = Instant::now() + self.limit;
        let mut tries = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let failed = match self.once(body.clone(), left) {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            tries += 1;
            let Some(wanted) = failed.again.filter(|_| tries < TRIES) else {
                return Err(failed.error);
            };
            let pause = PAUSE * 4_u32.pow(tries - 1);
            // Not all clients of a collector that comes back at the same moment.
            let jitter = pause.mul_f64((random::next_u64() % 1000) as f64 / 2000.0);
            let pause = wanted.max(pause + jitter);
            if Instant::now() + pause >= until {
                return Err(failed.error);
            }
            std::thread::sleep(pause);
        }
    }

    fn once(&self, body: Bytes, limit: Duration) -> Result<ExportMetricsServiceResponse, Failed> {
        let for_good = |error: String| Failed { error, again: None };
        let mut request = Request::post(&self.url)
            .header("content-type", "application/x-protobuf")
            .header(
                "user-agent",
                concat!("actor-core/", env!("CARGO_PKG_VERSION")),
            );
        if self.compresses {
            request = request.header("content-encoding", "gzip");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        // Without the values of headers, which are secrets: the error names none.
        let request = request
            .body(body)
            .map_err(|error| for_good(error.to_string()))?;
        let answer = self
            .client
            .send_within(request, limit)
            .map_err(|error| Failed {
                error: super::client::with_causes(&*error),
                again: Some(Duration::ZERO),
            })?;
        let status = answer.status();
        if status.is_success() {
            // A body that is none of protobuf says nothing against the data.
            return Ok(
                ExportMetricsServiceResponse::decode(answer.body().clone()).unwrap_or_default()
            );
        }
        let is_passing = matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
        );
        let wanted = answer.headers().get("retry-after");
        let wanted = wanted.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Err(Failed {
            error: format!("the collector answered {status}"),
            again: is_passing.then(|| wanted.map_or(Duration::ZERO, Duration::from_secs)),
        })
    }
}

fn zipped(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

#[cfg(feature = "otlp-grpc")]
pub(super) mod grpc {
    //! The same by gRPC, on the runtime that the spans' exporter has.

    use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
    use opentelemetry_proto::tonic::collector::metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
    };
    use tonic::metadata::MetadataMap;
    use tonic::transport::{Channel, Endpoint};

    use super::super::settings::Settings;

    pub(in super::super) struct Grpc {
        client: MetricsServiceClient<Channel>,
        metadata: MetadataMap,
        runtime: tokio::runtime::Handle,
    }

    impl Grpc {
        /// Inside of the runtime.
        pub(in super::super) fn new(
            settings: &Settings,
            metadata: MetadataMap,
        ) -> Result<Self, String> {
            let endpoint = Endpoint::from_shared(settings.metrics_url())
                .map_err(|error| error.to_string())?
                .timeout(settings.timeout)
                .connect_timeout(settings.timeout);
            Ok(Self {
                client: MetricsServiceClient::new(endpoint.connect_lazy()),
                metadata,
                runtime: tokio::runtime::Handle::current(),
            })
        }

        pub(super) fn send(
            &self,
            request: ExportMetricsServiceRequest,
        ) -> Result<ExportMetricsServiceResponse, String> {
            let mut request = tonic::Request::new(request);
            *request.metadata_mut() = self.metadata.clone();
            // A handle; the connection is shared.
            let mut client = self.client.clone();
            let answer = self.runtime.block_on(client.export(request));
            answer
                .map(tonic::Response::into_inner)
                .map_err(|status| format!("the collector answered {status}"))
        }
    }
}

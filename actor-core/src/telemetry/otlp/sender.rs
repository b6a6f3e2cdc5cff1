//! OpenTelemetry's exporters, made and driven on a thread of ours.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use opentelemetry_otlp::{
    Protocol as OtelProtocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};

use super::books::Books;
use super::client::Client;
use super::settings::{Protocol, Settings};
use super::upload::Upload;

pub(super) struct Sender {
    spans: SpanExporter,
    resource: Resource,
    /// gRPC's. Dropped last, and on a thread that may wait.
    #[cfg(feature = "otlp-grpc")]
    runtime: Option<tokio::runtime::Runtime>,
}

impl Sender {
    pub(super) fn new(settings: &Settings, books: &Arc<Books>) -> Result<Self, String> {
        let resource = settings.resource();
        #[cfg(feature = "otlp-grpc")]
        let runtime = match settings.protocol {
            Protocol::HttpProtobuf => None,
            // Several threads, so that the connection lives on between two exports: one thread would only turn
            // while somebody blocks on it.
            Protocol::Grpc => Some(
                tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .thread_name("actor-otlp-grpc")
                    .enable_all()
                    .build()
                    .map_err(|error| error.to_string())?,
            ),
        };
        #[cfg(feature = "otlp-grpc")]
        let entered = runtime.as_ref().map(tokio::runtime::Runtime::enter);
        let mut spans = span_exporter(settings, books)?;
        #[cfg(feature = "otlp-grpc")]
        drop(entered);
        spans.set_resource(&resource);
        Ok(Self {
            spans,
            resource,
            #[cfg(feature = "otlp-grpc")]
            runtime,
        })
    }

    /// Sends a batch and waits for the answer.
    pub(super) fn send(&self, spans: Vec<SpanData>) -> Result<(), String> {
        let export = self.spans.export(spans);
        #[cfg(feature = "otlp-grpc")]
        if let Some(runtime) = &self.runtime {
            return runtime.block_on(export).map_err(|error| error.to_string());
        }
        block_on(export).map_err(|error| error.to_string())
    }

    /// How metrics go.
    pub(super) fn upload(&self, settings: &Settings, books: &Arc<Books>) -> Result<Upload, String> {
        #[cfg(feature = "otlp-grpc")]
        if let Some(runtime) = &self.runtime {
            let _entered = runtime.enter();
            let grpc = super::upload::grpc::Grpc::new(settings, metadata(settings)?)?;
            return Ok(Upload::Grpc(Box::new(grpc)));
        }
        check_protocol(settings.protocol)?;
        Ok(Upload::http(settings, client(settings, books)?))
    }

    pub(super) fn resource(&self) -> Resource {
        self.resource.clone()
    }
}

fn span_exporter(settings: &Settings, books: &Arc<Books>) -> Result<SpanExporter, String> {
    #[cfg(feature = "otlp-grpc")]
    if settings.protocol == Protocol::Grpc {
        use opentelemetry_otlp::WithTonicConfig;
        if settings.traces_url().starts_with("https:") {
            return Err("https goes by http/protobuf, not by gRPC".to_owned());
        }
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(settings.traces_url())
            .with_timeout(settings.timeout)
            .with_metadata(metadata(settings)?)
            .build();
        return exporter.map_err(|error| error.to_string());
    }
    check_protocol(settings.protocol)?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(client(settings, books)?)
        .with_headers(headers(settings))
        .with_retry_policy(RetryPolicy::recommended())
        .with_protocol(OtelProtocol::HttpBinary)
        .with_endpoint(settings.traces_url())
        .with_timeout(settings.timeout.min(settings.export_limit))
        .build();
    exporter.map_err(|error| error.to_string())
}

fn check_protocol(protocol: Protocol) -> Result<(), String> {
    match protocol {
        Protocol::HttpProtobuf => Ok(()),
        Protocol::Grpc => Err("gRPC needs actor-core's feature `otlp-grpc`".to_owned()),
    }
}

fn client(settings: &Settings, books: &Arc<Books>) -> Result<Client, String> {
    Client::new(settings, books.clone())
}

fn headers(settings: &Settings) -> HashMap<String, String> {
    settings.headers.iter().cloned().collect()
}

#[cfg(feature = "otlp-grpc")]
fn metadata(
    settings: &Settings,
) -> Result<opentelemetry_otlp::tonic_types::metadata::MetadataMap, String> {
    let mut map = http::HeaderMap::new();
    for (name, value) in &settings.headers {
        let name = http::HeaderName::try_from(name).map_err(|error| error.to_string())?;
        // Without the value, which is a secret.
        let value = http::HeaderValue::try_from(value)
            .map_err(|_| format!("the value of header {name} is not one of a header"))?;
        map.insert(name, value);
    }
    Ok(opentelemetry_otlp::tonic_types::metadata::MetadataMap::from_headers(map))
}

/// Drives a future on this thread, which may sleep.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

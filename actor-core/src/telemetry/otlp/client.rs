//! One HTTP request with protobuf, counted, and with the words of what went wrong.
//!
//! Under OpenTelemetry's exporter of spans, which retries by itself and says nothing of it: here every try comes by.
//! The client blocks, so it may only be used on threads without a tokio runtime; ours are.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use super::books::Books;
use super::settings::Settings;
use crate::contain::panic_text;

#[derive(Debug)]
pub(super) struct Client {
    client: reqwest::blocking::Client,
    books: Arc<Books>,
}

impl Client {
    /// On the thread that will use it.
    pub(super) fn new(settings: &Settings, books: Arc<Books>) -> Result<Self, String> {
        let builder = reqwest::blocking::Client::builder()
            .timeout(settings.timeout)
            // A collector does not send elsewhere; a body that is sent twice would be.
            .redirect(reqwest::redirect::Policy::none());
        #[cfg(feature = "otlp-tls")]
        let builder = builder.tls_backend_preconfigured(super::tls::config(settings)?);
        // It panics where others have switched its TLS on and given it no cryptography.
        let client = catch_unwind(AssertUnwindSafe(|| builder.build()))
            .map_err(panic_text)?
            .map_err(|error| with_causes(&error))?;
        Ok(Self { client, books })
    }

    /// A batch of spans.
    fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let response = self.execute(request.try_into()?)?;
        // A collector may take a batch and say that it does not keep all of it.
        if response.status().is_success()
            && let Ok(answer) = ExportTraceServiceResponse::decode(&**response.body())
            && let Some(partial) = answer.partial_success
            && let Ok(spans @ 1..) = u64::try_from(partial.rejected_spans)
        {
            let why = partial.error_message;
            self.books.reject(spans);
            self.books
                .note_error(format!("the collector rejected {spans} spans: {why}"));
        }
        Ok(response)
    }

    /// As `send`, for at most that long.
    pub(super) fn send_within(
        &self,
        request: http::Request<Bytes>,
        limit: Duration,
    ) -> Result<http::Response<Bytes>, HttpError> {
        let mut request: reqwest::blocking::Request = request.try_into()?;
        // Nothing is no limit there.
        *request.timeout_mut() = Some(limit.max(Duration::from_millis(1)));
        self.execute(request)
    }

    fn execute(
        &self,
        request: reqwest::blocking::Request,
    ) -> Result<http::Response<Bytes>, HttpError> {
        self.books.tried();
        let response = self.client.execute(request).inspect_err(|error| {
            self.books.note_error(with_causes(error));
        })?;
        let status = response.status();
        let mut builder = http::Response::builder().status(status);
        if let Some(headers) = builder.headers_mut() {
            headers.clone_from(response.headers());
        }
        if !status.is_success() {
            self.books
                .note_error(format!("the collector answered {status}"));
        }
        // Bounded: a collector answers in some bytes.
        let mut body = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(response, BODY_MAX), &mut body)?;
        Ok(builder.body(Bytes::from(body))?)
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: http::Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move { self.send(request) })
    }
}

/// "error sending request" alone helps nobody.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

const BODY_MAX: u64 = 1 << 20;

//! A `tower` layer around a server's handlers: where the trace of a request begins or goes on.
//!
//! Per request: read the headers, decide (the caller's decision if it sent a trace, else the system's share), put
//! the context in force while the handler's future is polled, and record a span when it is over. A request
//! whose client goes away drops the future: that is a span too, as `Abandoned`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant, SystemTime};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::headers::extract;
use crate::context::{Context, Scoped};
use crate::system::SystemRef;
use crate::trace::{SpanKind, SpanLink, SpanOutcome, SpanRecord, TraceContext};

/// Puts the context of each request in force while it is handled: for axum, and whatever else takes `tower` layers.
///
/// - The caller sent a trace: the request joins it, and is recorded if the caller's is.
/// - It sent none: the system decides whether this one is recorded
///   ([`TracingOptions::sample`](crate::TracingOptions::sample)).
/// - Baggage goes along; a deadline is set if the layer has one.
///
/// What the handler sends to actors then carries all that. If the trace is recorded, the request has a span of
/// kind [`SpanKind::Request`](crate::SpanKind::Request), with method, path and status as attributes; status 5xx
/// is an error, a client that went away before the answer is
/// [`Abandoned`](crate::SpanOutcome::Abandoned). Handlers that spawn tasks hand the context on with
/// [`Context::scope`](crate::Context::scope).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use actor_core::http::RequestLayer;
/// use actor_core::prelude::*;
/// use axum::{Router, routing::get};
///
/// let system = ActorSystem::new()?;
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(RequestLayer::new(system.handle()).timeout(Duration::from_secs(5)));
/// # drop(app);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct RequestLayer {
    system: SystemRef,
    name: Option<&'static str>,
    timeout: Option<Duration>,
    is_public: bool,
}

impl RequestLayer {
    /// Around the handlers of a server whose work is done by `system`.
    pub const fn new(system: SystemRef) -> Self {
        Self {
            system,
            name: None,
            timeout: None,
            is_public: false,
        }
    }

    /// What the span is called: a route, such as `GET /orders/{id}`. Default: the method alone, since paths are
    /// too many to group by.
    #[must_use]
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }

    /// Sets a deadline on what the request causes, so long after it came. Default: none.
    ///
    /// The handler itself is not cut off: asks in it fail when the time is up.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// For a server that strangers reach: their traces are not joined but linked to, their decisions to record
    /// not followed, their baggage not taken. Default: callers are trusted.
    #[must_use]
    pub const fn public(mut self) -> Self {
        self.is_public = true;
        self
    }

    /// The context to handle a request in, and its span if it is recorded.
    fn begin<B>(&self, request: &Request<B>) -> (Context, Option<Box<Span>>) {
        let came = extract(request.headers());
        let caller = came.trace();
        let (mut context, parent, link) = if self.is_public {
            (self.system.begin_trace(), None, caller.map(SpanLink::to))
        } else if let Some(caller) = caller {
            let own = came.with_trace(caller.child());
            (own, Some(caller.span_id()), None)
        } else {
            let begun = self.system.begin_trace();
            (begun.with_baggage(came.baggage()), None, None)
        };
        if let Some(timeout) = self.timeout {
            context = context.with_timeout(timeout);
        }
        let is_sampled = |trace: &&TraceContext| trace.is_sampled();
        let span = context.trace().filter(is_sampled).map(|trace| {
            let method = method(request.method());
            let name = self.name.unwrap_or(method);
            let mut record =
                SpanRecord::new(trace.clone(), SpanKind::Request, name, SystemTime::now());
            record.parent = parent;
            record.link = link;
            let path = request.uri().path();
            // A path is the client's: as long as it likes.
            let path = path
                .char_indices()
                .nth(PATH_MAX)
                .map_or(path, |(end, _)| &path[..end]);
            record.attributes = vec![
                ("http.request.method", Arc::from(method)),
                ("url.path", Arc::from(path)),
            ];
            if let Some(route) = self.name {
                // The name may have the method in front.
                let path = route.split_once(' ').map_or(route, |(_, path)| path);
                record.attributes.push(("http.route", Arc::from(path)));
            }
            Box::new(Span {
                system: self.system,
                began: Instant::now(),
                record: Some(record),
            })
        });
        (context, span)
    }
}

impl fmt::Debug for RequestLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestLayer")
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .field("is_public", &self.is_public)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RequestLayer {
    type Service = RequestService<S>;

    fn layer(&self, inner: S) -> RequestService<S> {
        RequestService {
            inner,
            layer: *self,
        }
    }
}

/// A service with [`RequestLayer`] around it.
#[derive(Clone, Debug)]
pub struct RequestService<S> {
    inner: S,
    layer: RequestLayer,
}

impl<S, B, R> Service<Request<B>> for RequestService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = RequestFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (context, span) = self.layer.begin(&request);
        // What the service does before its future exists belongs to the request too.
        let future = context.run(|| self.inner.call(request));
        RequestFuture {
            future: Box::pin(context.scope(future)),
            span,
        }
    }
}

/// A request that is being handled.
pub struct RequestFuture<F> {
    future: Pin<Box<Scoped<F>>>,
    span: Option<Box<Span>>,
}

impl<F> fmt::Debug for RequestFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFuture")
            .field("is_recorded", &self.span.is_some())
            .finish_non_exhaustive()
    }
}

impl<F, R, E> Future for RequestFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        let Poll::Ready(result) = self.future.as_mut().poll(cx) else {
            return Poll::Pending;
        };
        if let Some(span) = self.span.take() {
            span.end(result.as_ref().ok().map(Response::status));
        }
        Poll::Ready(result)
    }
}

/// The span of a request that is being handled.
struct Span {
    system: SystemRef,
    began: Instant,
    record: Option<SpanRecord>,
}

impl Span {
    /// Answered; without a status the service failed and the server hangs up.
    fn end(mut self: Box<Self>, status: Option<http::StatusCode>) {
        let outcome = match status {
            Some(status) if status.is_server_error() => {
                SpanOutcome::Error(Arc::from(status.as_str()))
            }
            Some(_) => SpanOutcome::Ok,
            None => SpanOutcome::Error(Arc::from("the service failed")),
        };
        if let (Some(status), Some(record)) = (status, &mut self.record) {
            let status = ("http.response.status_code", Arc::from(status.as_str()));
            record.attributes.push(status);
        }
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: SpanOutcome) {
        if let Some(mut record) = self.record.take() {
            record.duration = self.began.elapsed();
            record.outcome = outcome;
            self.system.record_span(record);
        }
    }
}

/// The client went away, or the handler panicked.
impl Drop for Span {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.tell(SpanOutcome::Panicked(Arc::from(
                "the handler of the request",
            )));
        } else {
            self.tell(SpanOutcome::Abandoned);
        }
    }
}

/// Methods are the client's too; those that are none of HTTP's are one.
fn method(method: &http::Method) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE",
    ];
    let known = KNOWN.iter().find(|name| **name == method.as_str());
    known.copied().unwrap_or("_OTHER")
}

/// Letters of a path that are recorded.
const PATH_MAX: usize = 256;

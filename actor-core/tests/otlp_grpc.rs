//! The export by gRPC, against a receiver that speaks HTTP/2 and knows no more of gRPC than the two frames it needs.

mod common;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use actor_core::otlp::{OtlpOptions, Protocol};
use actor_core::prelude::*;
use actor_core::topology::Workers;
use actor_core::{SpanKind, SpanRecord, TraceContext, TracingOptions};
use bytes::Bytes;
use common::*;
use http::{HeaderMap, Response};

struct Call {
    path: String,
    head: HeaderMap,
    body: Vec<u8>,
}

/// Takes calls and answers each with that gRPC status.
struct Receiver {
    url: String,
    calls: Arc<Mutex<Vec<Call>>>,
    // Dropped, it ends.
    _runtime: tokio::runtime::Runtime,
}

impl Receiver {
    fn start(status: &'static str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = calls.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = seen.clone();
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(stream).await else {
                        return;
                    };
                    while let Some(Ok((request, answer))) = connection.accept().await {
                        tokio::spawn(serve(request, answer, status, seen.clone()));
                    }
                });
            }
        });
        Self {
            url,
            calls,
            _runtime: runtime,
        }
    }
}

async fn serve(
    request: http::Request<h2::RecvStream>,
    mut answer: h2::server::SendResponse<Bytes>,
    status: &'static str,
    seen: Arc<Mutex<Vec<Call>>>,
) {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(Ok(part)) = stream.data().await {
        body.extend_from_slice(&part);
        _ = stream.flow_control().release_capacity(part.len());
    }
    seen.lock().unwrap().push(Call {
        path: head.uri.path().to_owned(),
        head: head.headers,
        body,
    });
    let response = Response::builder()
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let Ok(mut stream) = answer.send_response(response, false) else {
        return;
    };
    // An empty message: not compressed, no bytes.
    _ = stream.send_data(Bytes::from_static(&[0; 5]), false);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.parse().unwrap());
    _ = stream.send_trailers(trailers);
}

fn system() -> ActorSystem {
    let tracing = TracingOptions::new().flush_within(PATIENCE);
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    builder.tracing(tracing).build().unwrap()
}

fn options(url: &str) -> OtlpOptions {
    let options = OtlpOptions::new()
        .protocol(Protocol::Grpc)
        .endpoint(url)
        .signals(true, false)
        .header("api-key", "hidden");
    options.service_name("test").timeout(PATIENCE)
}

fn record(system: &ActorSystem) -> TraceContext {
    let trace = TraceContext::new_root(true);
    let now = SystemTime::now();
    system.record_span(SpanRecord::new(
        trace.clone(),
        SpanKind::Request,
        "GET",
        now,
    ));
    trace
}

#[test]
fn spans_come_by_grpc_with_their_trace_and_headers() {
    let receiver = Receiver::start("0");
    let system = system();
    let export = system.export_otlp(options(&receiver.url)).unwrap();
    assert!(export.warnings().is_empty());
    let trace = record(&system);
    assert!(system.flush_spans(PATIENCE));
    let spans = system.stats().spans;
    assert_eq!((spans.exported, spans.not_exported), (1, 0));
    {
        let calls = receiver.calls.lock().unwrap();
        let [call] = &calls[..] else {
            panic!("{} calls", calls.len());
        };
        assert_eq!(
            call.path,
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
        );
        assert_eq!(call.head["api-key"], "hidden");
        let id = trace.trace_id().as_u128().to_be_bytes();
        assert!(call.body.windows(16).any(|part| part == id));
    }
    // And what waits goes at the end.
    record(&system);
    finish(system);
    let stats = export.stats();
    assert_eq!((stats.spans_sent, stats.spans_failed), (2, 0), "{stats:?}");
}

#[test]
fn a_refusal_and_a_receiver_that_is_gone_are_counted() {
    // 3: an invalid argument, which does not become better.
    let receiver = Receiver::start("3");
    let system = system();
    let export = system.export_otlp(options(&receiver.url)).unwrap();
    record(&system);
    assert!(system.flush_spans(PATIENCE));
    assert_eq!(export.stats().spans_failed, 1);
    assert_eq!(system.stats().spans.not_exported, 1);
    drop(receiver);
    record(&system);
    finish(system);
    let stats = export.stats();
    assert_eq!((stats.spans_sent, stats.spans_failed), (0, 2), "{stats:?}");
    assert!(stats.last_error.is_some());
}

#[test]
fn a_receiver_that_never_answers_holds_up_nobody() {
    // Listens, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let tracing = TracingOptions::new().flush_within(Duration::from_millis(100));
    let builder = ActorSystem::builder().workers(Workers::Count(1));
    let system = builder.tracing(tracing).build().unwrap();
    let export = system.export_otlp(options(&url)).unwrap();
    record(&system);
    finish(system);
    let stats = export.stats();
    assert_eq!(stats.spans_sent, 0);
    assert_eq!(stats.spans_offered, stats.spans_failed + stats.spans_queued);
}
